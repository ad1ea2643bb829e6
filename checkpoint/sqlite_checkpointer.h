#ifndef WEIR_CHECKPOINT_SQLITE_CHECKPOINTER_H_
#define WEIR_CHECKPOINT_SQLITE_CHECKPOINTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpointer.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

struct SqliteOptions {
  // What one transaction takes at most of the calls that wait. It is at least
  // one call, however large.
  size_t max_batch_calls = 256;
  size_t max_batch_bytes = size_t{4} << 20;
  // The write-ahead log is copied to the database when it has grown to this.
  int64_t wal_bytes = int64_t{32} << 20;
  // Of one value; a greater one is refused.
  size_t max_value_bytes = size_t{256} << 20;
  // The VFS of SQLite that files are reached through; "" is its default.
  std::string vfs{};
};

// SqliteCheckpointer: keeps threads in one file, which outlives the process and
// a loss of power. It has every capability.
//
// Shape:    one worker has the database. It makes all calls in their order, and
//           takes what waits into one transaction with one synchronisation of
//           the disk; so many runs share its cost. Beside the file are, while
//           it is open, SQLite's `-wal` and `-shm`, and `.weir-lock`, which
//           stays.
// Cost:     Put() stores the values that have changed, and an entry for each
//           channel. Get() does not depend on the length of the history; List()
//           makes two queries a namespace, and one for each different value.
//           Put() of a stored id, DeleteRuns() and Prune() read the headers of
//           the namespaces that they change.
//           What is deleted is overwritten in the database; the write-ahead log
//           may have it until it is written over, at the latest when it closes.
// Errors:   those of Checkpointer, but for Unimplemented. Values that cannot be
//           encoded are refused as their encoder says. DataLoss names what is
//           damaged. ResourceExhausted: the disk is full, or a value is too
//           large. Unavailable: a file could not be read or written. When that
//           may have lost something (a transaction's end has failed), every
//           later call fails so until the file is opened anew: what was done
//           before is then there.
// Threads:  thread-safe. Values are encoded in the call. `done` is called on
//           the worker, with no lock held; or in the call, if it is refused at
//           once. So the runs that are saved here need an executor that waits
//           for other threads: not InlineExecutor, nor SimExecutor.
// Lifetime: must outlive the calls under way; the destructor makes those that
//           wait, and is not to be called from a `done`. Not to be used after
//           fork(), nor on a file system that is shared over a network.
// Source:   docs/checkpoint_format.md; group commit as in LevelDB's writers.
class WEIR_EXPORT SqliteCheckpointer final : public Checkpointer {
 public:
  // Opens the database at `path`, or makes one. FailedPrecondition: it is open
  // elsewhere (the message names process and host), it is not weir's, or a
  // newer weir has made it; the file is left as it is. InvalidArgument: an
  // empty path, an option of 0, or an unknown VFS.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> Open(
      std::string path, SqliteOptions options = {});
  ~SqliteCheckpointer() override;

  CheckpointerCapabilities capabilities() const override;
  void Open(std::string_view thread, Done<ThreadLease> done) override;
  void Put(const Fence& fence, NewCheckpoint&& checkpoint,
           StatusDone done) override;
  void PutWrites(const Fence& fence, NewWrites&& writes,
                 StatusDone done) override;
  void Get(CheckpointKey key,
           Done<std::optional<CheckpointTuple>> done) override;
  void List(CheckpointQuery query,
            Done<std::vector<CheckpointTuple>> done) override;
  void History(CheckpointKey key, std::vector<std::string> channels,
               Done<std::vector<std::vector<SavedChannel>>> done) override;
  void DeleteThread(std::string_view thread, StatusDone done) override;
  void DeleteRuns(std::vector<std::string> run_ids, StatusDone done) override;
  void CopyThread(std::string_view from, std::string_view to,
                  StatusDone done) override;
  void Prune(std::vector<std::string> threads, PruneMode mode,
             StatusDone done) override;
  void Flush(StatusDone done) override;

 private:
  struct Rep;
  explicit SqliteCheckpointer(std::unique_ptr<Rep> rep);

  std::unique_ptr<Rep> rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_SQLITE_CHECKPOINTER_H_
