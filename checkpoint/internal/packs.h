#ifndef WEIR_CHECKPOINT_INTERNAL_PACKS_H_
#define WEIR_CHECKPOINT_INTERNAL_PACKS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/internal/database.h"
#include "weir/checkpoint/internal/packed.h"
#include "weir/checkpoint/internal/stored.h"

namespace weir {
inline namespace v0 {
namespace internal {

// Packs: the rows of old checkpoints, of their writes, and of the values that
// they have, moved into packs, and out of them to be changed.
//
// The ids of a pack, from its first to its last, are in no other pack of the
// namespace, nor the versions of a channel. A namespace that has a pack has a
// later checkpoint that is a row.
//
// Threads: single-owner.
class Packs {
 public:
  // Packs have `size` checkpoints; with 0 none is made.
  Packs(Database& db, size_t size) : db_(db), size_(size) {}

  // To be called when a checkpoint has been added.
  absl::Status Added(const StoredNamespace& in);
  // To be called in the same transaction, outside the savepoint of a call, in
  // which SQLite would keep a copy of each page: packs the oldest of namespaces
  // that have 2 * size rows, or some of them. What is damaged stays as it is,
  // and is no error. The transaction is to be taken back if this fails.
  absl::Status PackDue();

  // A checkpoint that is in a pack.
  absl::StatusOr<std::optional<PackedCheckpoint>> Find(
      const StoredNamespace& in, const CheckpointId& id);
  // Gives those between two ids, the greatest first, until told false.
  using OnCheckpoint = absl::FunctionRef<bool(PackedCheckpoint&&)>;
  absl::Status Each(const StoredNamespace& in, const CheckpointId& after,
                    const std::optional<CheckpointId>& before,
                    OnCheckpoint each);
  // All values of the pack that has this version, if there is one.
  absl::StatusOr<std::vector<PackedValue>> FindValues(const StoredNamespace& in,
                                                      std::string_view channel,
                                                      uint64_t version);
  using OnValue = absl::FunctionRef<void(std::string_view, PackedValue&&)>;
  absl::Status EachValue(const StoredNamespace& in, OnValue each);

  // Make rows of all that is in the packs: of this id, true if there is one; of
  // this run, each of whose namespaces is given; and of the newest, if no row
  // is newer.
  absl::StatusOr<bool> Unpack(const StoredNamespace& in,
                              const CheckpointId& id);
  using OnNamespace = absl::FunctionRef<void(int64_t row)>;
  absl::Status UnpackRun(const std::string& run, OnNamespace each);
  absl::Status UnpackNewest(const StoredNamespace& in);
  // Removes these values, by channel and version. What is left of their packs
  // becomes rows.
  using ValueKeys = std::set<std::pair<std::string, uint64_t>>;
  absl::Status DropValues(const StoredNamespace& in, const ValueKeys& gone);
  // Removes all packs of checkpoints, or of anything; what is in them is not
  // looked at.
  absl::Status DropCheckpoints(int64_t row);
  absl::Status DropAll(int64_t row);
  absl::Status Copy(const StoredNamespace& from, const StoredNamespace& to);

 private:
  struct Oldest;

  absl::StatusOr<uint64_t> CountRows(int64_t row);
  absl::Status ReadOldest(const StoredNamespace& in, Oldest& oldest);
  absl::Status ReadWrites(const StoredNamespace& in, Oldest& oldest);
  absl::Status ReadValues(const StoredNamespace& in, const std::string& channel,
                          const std::set<uint64_t>& versions, Oldest& oldest);
  absl::Status PackOldest(const StoredNamespace& in, const Oldest& oldest);
  absl::Status Put(int64_t ns, const PackRow& row, std::string_view record);
  absl::Status Drop(int64_t ns, const PackRow& row);

  Database& db_;
  const size_t size_;
  // Rows of checkpoints by namespace, as far as they are known: no more than
  // there are, but for what was taken back or removed.
  absl::flat_hash_map<int64_t, uint64_t> counts_;
  std::map<int64_t, StoredNamespace> due_;  // That have so many.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_PACKS_H_
