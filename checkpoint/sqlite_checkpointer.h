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
#include "weir/checkpoint/run_store.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// SqliteOptions: every field has a default.
struct SqliteOptions {
  // What one transaction takes at most of the calls that wait. It is at least
  // one call, however large.
  size_t max_batch_calls = 256;
  size_t max_batch_bytes = size_t{4} << 20;
  // The write-ahead log is copied to the database when it has grown to this.
  int64_t wal_bytes = int64_t{32} << 20;
  // Of one value; a greater one is refused.
  size_t max_value_bytes = size_t{256} << 20;
  // Of one checkpoint without its values: names of channels, metadata, and the
  // values of up to 64 bytes. A greater one is refused.
  size_t max_header_bytes = size_t{16} << 20;
  // Once a namespace has twice as many checkpoints that are rows, its oldest so
  // many are packed: into one compressed record, with their writes and values
  // of up to 4 KiB. Packed ones are read as before, at the cost of reading the
  // pack; to be changed they become rows again. 0: none is packed.
  size_t pack_checkpoints = 64;
  // Only to read a file that is there, while another process may write it; see
  // SqliteCheckpointer::Open(). The numbers above are of no meaning then.
  bool read_only = false;
  // The VFS of SQLite that files are reached through; "" is its default.
  std::string vfs{};
};

// What a file has of a thread, without its records.
struct ThreadSummary {
  // The checkpoints of one graph of the thread.
  struct Namespace {
    std::string ns{};
    uint64_t checkpoints = 0;
    CheckpointId latest{};  // None: only writes have been stored.
  };
  std::string thread{};
  std::vector<Namespace> namespaces{};  // By name; "" is the outermost graph's.
};

// SqliteCheckpointer: keeps threads in one file, which outlives the process and
// a loss of power. It has every capability but that it shares no values, and
// keeps a Runtime's threads, runs and events as well.
//
// Shape:    one worker has the database. It makes all calls in their order, and
//           takes what waits into one transaction with one synchronisation of
//           the disk; so many runs share its cost. Writes of a task alone wait
//           0.1 ms for what follows. Beside the file are, while it is open,
//           SQLite's `-wal` and `-shm`, and `.weir-lock`, which stays.
// Cost:     Put() stores the values that have changed, and an entry for each
//           channel. Get() does not depend on the length of the history; List()
//           makes three queries a namespace, and one for each different value.
//           Put() of a stored id, DeleteRuns() and Prune() read the headers of
//           the namespaces that they change.
// Removal:  once DeleteThread(), DeleteRuns() or Prune() is done, no byte of
//           what it has removed is in the database or its log (in a file of up
//           to 2^24 pages, 64 GiB): it is overwritten, and the log is copied
//           and cut off, which costs two synchronisations more. It needs as
//           much space in the log as is removed, as rows. When only that last
//           part has failed, so does the call, though what it removes is gone
//           from every answer; the next removal tries again. Free pages beyond
//           a quarter of the file are given back little by little.
// Memory:   a call holds its bytes until it is answered; nothing is refused
//           for that. So it is bounded by what callers have under way, which
//           for a run its durability bounds.
// Errors:   those of Checkpointer, but for Unimplemented. Values that cannot be
//           encoded are refused as their encoder says. DataLoss names what is
//           damaged; in the log, the last transaction excepted, which could be
//           what a loss of power has left. ResourceExhausted: the disk or
//           memory is full, a file may not grow, or a value or the header of a
//           checkpoint is too large; once there is space, the same calls
//           succeed. Unavailable: a file could not be read or written. When
//           that may have lost something (a transaction's end has failed),
//           every later call fails so until the file is opened anew: what was
//           done before is then there.
// Signals:  none is handled or ignored here. Under a limit of the size of files
//           (RLIMIT_FSIZE) SIGXFSZ ends the process, as is its default; a host
//           that ignores it gets ResourceExhausted. Nothing that was done is
//           lost either way.
// Threads:  thread-safe. Values are encoded in the call. `done` is called on
//           the worker, with no lock held; or in the call, if it is refused at
//           once. So the runs that are saved here need an executor that waits
//           for other threads, as all do but SimExecutor.
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
  //
  // With `read_only` no file is made, changed, locked by `.weir-lock` or
  // removed, whoever has it open, also in a folder that cannot be written. Each
  // call sees the threads as they are at one moment, reads and answers before
  // it returns, and leaves nothing open. A writer waits for none; but as long
  // as some reader is always at work, its log is not begun anew, and grows.
  // Calls that would change something are answered FailedPrecondition.
  // NotFound: there is no file. Unavailable: it changes too fast, or may not be
  // read. (Not in the process that writes the file: after a crash its writer's
  // Open() may be told Unavailable while another store of it reads.)
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> Open(
      std::string path, SqliteOptions options = {});
  ~SqliteCheckpointer() override;

  CheckpointerCapabilities capabilities() const override;
  CheckpointerCounters counters() const override;
  RunStore* runs() override;
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

  // All threads, by name: also those that have been opened, and have nothing.
  // Reads the keys of all checkpoints, and no value.
  void ListThreads(Done<std::vector<ThreadSummary>> done);

 private:
  struct Rep;
  explicit SqliteCheckpointer(std::unique_ptr<Rep> rep);

  std::unique_ptr<Rep> rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_SQLITE_CHECKPOINTER_H_
