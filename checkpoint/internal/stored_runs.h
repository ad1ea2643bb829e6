#ifndef WEIR_CHECKPOINT_INTERNAL_STORED_RUNS_H_
#define WEIR_CHECKPOINT_INTERNAL_STORED_RUNS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/internal/database.h"
#include "weir/checkpoint/run_store.h"

namespace weir {
inline namespace v0 {
namespace internal {

// Whether a row is whole whose record is still sealed; errors are those of
// UnsealRecord(), and name it.
absl::Status CheckSealed(const ThreadRow& row);
absl::Status CheckSealed(const RunRow& row);
absl::Status CheckSealed(const EventRow& row);

// StoredRuns: the rows of RunStore on a database; as StoredThreads, which has
// the checkpoints beside them.
//
// Threads: single-owner.
class StoredRuns {
 public:
  explicit StoredRuns(Database& db) : db_(db) {}

  // All of a commit but its checkpoint and writes.
  absl::Status Put(const RunCommit& commit);
  absl::StatusOr<std::optional<ThreadRows>> GetThread(
      const std::string& thread);
  absl::StatusOr<std::vector<ThreadRow>> ListThreads();
  absl::StatusOr<std::optional<RunRow>> GetRun(const std::string& run);
  absl::StatusOr<std::vector<RunRow>> ListUnfinished();
  absl::StatusOr<std::vector<EventRow>> ListEvents(const std::string& run,
                                                   uint64_t first);
  absl::Status DropRun(std::string_view run);
  absl::Status DropThread(std::string_view thread);

 private:
  absl::Status PutRun(const RunRow& row);

  Database& db_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_STORED_RUNS_H_
