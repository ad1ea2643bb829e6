#ifndef WEIR_CHECKPOINT_INTERNAL_DATABASE_SCAN_H_
#define WEIR_CHECKPOINT_INTERNAL_DATABASE_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

#include "weir/checkpoint/database_report.h"
#include "weir/checkpoint/internal/page_file.h"
#include "weir/checkpoint/internal/stored.h"
#include "weir/checkpoint/internal/tree_walk.h"

namespace weir {
inline namespace v0 {
namespace internal {

// DatabaseScan: goes through all rows of a database and says which threads are
// whole.
//
// The rows of a damaged page were between those before and behind it. If these
// are of one namespace, so were they. Else each namespace in between is
// doubtful, unless something that is there refers to what is not: then it is
// damaged. Names of threads and paths of namespaces are in an index as well as
// in a table, and are found in either.
//
// Threads: single-owner.
class DatabaseScan {
 public:
  explicit DatabaseScan(const PageFile& pages) : pages_(pages), walk_(pages) {}

  // To be called first. FailedPrecondition: a record of a newer format.
  absl::Status Run();
  const DatabaseReport& report() const { return report_; }

  // What is to be saved of the threads that are not damaged, by table.
  using OnRow = absl::FunctionRef<void(std::string_view, const TreeRow&)>;
  using OnNamespace =
      absl::FunctionRef<void(int64_t row, int64_t thread, std::string_view)>;
  void SavedRows(OnRow row);
  void SavedNamespaces(OnNamespace each) const;
  // The greatest number `sessions` that anything in the file shows.
  uint64_t sessions() const { return sessions_; }

 private:
  struct Thread {
    bool recorded = false;  // Has its row, not just its name.
    DatabaseThread told{};
  };
  // Whether a value, and all that it is appended to, is there.
  enum Chain { kUnknown, kOnTheWay, kThere, kBroken };
  struct Value {
    uint64_t appended_to = 0;
    Chain chain = kUnknown;
  };
  struct Namespace {
    StoredNamespace in{};
    int64_t thread = 0;
    bool lost = false;               // Nothing is known of it but its rows.
    bool lacks_checkpoints = false;  // It may, for it is beside a hole.
    absl::flat_hash_map<std::pair<std::string, uint64_t>, Value> values{};
    std::set<CheckpointId> checkpoints{};
    std::set<CheckpointId> written{};  // Checkpoints that have writes.
  };
  // Where rows have been lost: between two namespaces, if there are any.
  struct Hole {
    uint32_t page = 0;
    bool certain = true;  // That they have been lost just here.
    std::optional<int64_t> after{};
    std::optional<int64_t> before{};
  };
  // What a damage is told of.
  struct Place {
    DatabaseDamage told{};
    Thread* thread = nullptr;  // That it makes a damaged one, if any.
  };
  using Record = absl::FunctionRef<void(Namespace&, const TreeRow&, Place)>;

  void FindRoots();
  void CheckPages();
  void ReadNumbers();
  // What a Runtime keeps. A thread is whole without it; what of it is damaged
  // is told, and not saved.
  void ReadRuns();
  template <class Row>
  void ReadRow(const Row& row, std::string thread);
  bool IsDamaged(std::string_view thread) const;
  void ReadThreads();
  void ReadNamespaces();
  void ReadValue(Namespace& in, const TreeRow& row, Place place);
  void ReadPack(Namespace& in, const TreeRow& row, Place place);
  void ReadCheckpoint(Namespace& in, const TreeRow& row, Place place);
  void AddCheckpoint(Namespace& in, const StoredCheckpoint& stored,
                     Place place);
  void AddWrite(Namespace& in, const StoredWrite& stored);
  void ReadWrite(Namespace& in, const TreeRow& row, Place place);
  void CheckChain(Namespace& in, const StoredChannel& channel, Place place);
  void CheckReferences();
  void TellOtherPages();

  void ReadRecords(const char* table, const char* what, Record record);
  void NoteHole(const char* what, const Hole& hole);
  // The record that is the column `at`; empty, and noted, if it is lost with
  // `what` it holds.
  std::string_view RecordOf(const TreeRow& row, size_t at, const Place& place,
                            const std::string& what = "a record");
  bool Decoded(const absl::Status& status, Place place);
  void Note(Place place, std::string what);
  void Walk(const char* tree, absl::FunctionRef<void(const TreeRow&)> row,
            TreeWalk::OnHole hole);
  Namespace& NamespaceAt(int64_t row);
  Place PlaceOf(const Namespace& in);
  bool IsSaved(int64_t thread) const;

  const PageFile& pages_;
  TreeWalk walk_;
  absl::flat_hash_map<std::string, uint32_t> roots_;
  std::map<int64_t, Thread> threads_;
  std::map<int64_t, Namespace> namespaces_;
  std::set<uint32_t> told_pages_;
  std::map<std::string, std::string, std::less<>> runs_;  // Their threads.
  uint64_t sessions_ = 0;
  absl::Status newer_;
  DatabaseReport report_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_DATABASE_SCAN_H_
