#ifndef WEIR_CHECKPOINT_CHECKPOINTER_H_
#define WEIR_CHECKPOINT_CHECKPOINTER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

class RunStore;  // In weir/checkpoint/run_store.h.

// The right to write a thread. A thread has one writer: who opens it last.
struct Fence {
  std::string thread{};
  uint64_t epoch = 0;
};

// What Checkpointer::Open() gives a thread's new writer.
struct ThreadLease {
  Fence fence{};
  uint64_t last_sequence = 0;  // The greatest that an id of the thread had.
  uint64_t last_version = 0;   // The greatest that a channel of it had.
};

// A checkpoint to be stored: what has changed since another.
struct NewCheckpoint {
  // Of its channels, those that differ from `base`; each with a version that
  // the thread has never had.
  Checkpoint checkpoint{};
  // Where the other channels are as they were; none if there are no others. In
  // the same namespace; most often the parent.
  CheckpointId base{};
  // Channels of `base` that the checkpoint has not.
  std::vector<std::string> removed{};
};

// Writes of one task of the superstep after a checkpoint.
struct NewWrites {
  std::string ns{};
  CheckpointId checkpoint{};  // May be stored after these.
  std::vector<PendingWrite> writes{};
};

// Which checkpoint is meant.
struct CheckpointKey {
  std::string thread{};
  std::string ns{};
  std::optional<CheckpointId> id{};  // Absent: the latest.
};

// Which checkpoints are meant; every field narrows it.
struct CheckpointQuery {
  std::optional<std::string> thread{};
  std::optional<std::string> ns{};  // "" is the outermost graph's alone.
  std::optional<CheckpointId> id{};
  std::optional<CheckpointId> before{};  // Only smaller ids.
  // All must be equal. Of metadata: "source", "step", "run_id" if there is one,
  // and the custom ones, as JSON text ("\"loop\"", "3").
  std::map<std::string, std::string> filter{};
  std::optional<size_t> limit{};  // Counted after filtering.
};

// What Prune() leaves.
enum class PruneMode {
  kKeepLatest,  // The latest checkpoint of each namespace, with its writes.
  kDeleteAll,   // Nothing, as DeleteThread().
};

// What a store can do beyond what each must.
struct CheckpointerCapabilities {
  bool delete_runs = false;
  bool copy_thread = false;
  bool prune = false;
  bool history = false;
  // Keeps values themselves (SavedValue::shared()) and never asks for their
  // bytes, so that a whole value costs it nothing. Runs put pieces of values
  // (SavedChannel::appended_to) to other stores that have a history.
  bool shares_values = false;
};

// What a store has done since it was opened: each number only grows.
struct CheckpointerCounters {
  uint64_t transactions = 0;   // For calls that change something.
  uint64_t syncs = 0;          // Synchronisations of the disk.
  uint64_t bytes_written = 0;  // To its files, pages and logs included.
};

// Checkpointer: where threads' checkpoints are kept; the contract of a store.
// A store of your own derives from this and passes the suite in
// weir/testing/checkpointer_conformance.h.
//
// Every call gives its result to `done`, once, on any thread, now or later;
// `done` must not wait. Calls of one thread's writer take effect in the order
// made: what is stored at any moment, also after a crash, is a prefix of them.
//
// What a call is given by && is the store's to take from, until it returns;
// what is left then is of no use but to be assigned to, or destroyed.
//
// A call that fails has stored nothing. One that is done has what it promises:
// a durable store is done when what it was given will stay, whatever happens to
// the process.
//
// Errors:   Aborted to a writer whose fence is not the thread's latest.
//           InvalidArgument if a checkpoint that is to be written has no id.
//           DataLoss where what was stored cannot be read back. Unimplemented
//           where capabilities() says no. Other codes are the store's own;
//           each names the thread.
// Threads:  thread-safe.
// Lifetime: must outlive the calls under way.
// Source:   LangGraph's BaseCheckpointSaver; fences and deltas are weir's.
class WEIR_EXPORT Checkpointer {
 public:
  template <class T>
  using Done = absl::AnyInvocable<void(absl::StatusOr<T>)>;
  using StatusDone = absl::AnyInvocable<void(absl::Status)>;

  virtual ~Checkpointer() = default;

  virtual CheckpointerCapabilities capabilities() const = 0;

  // For metrics. Zeros where a store does not count.
  virtual CheckpointerCounters counters() const { return {}; }

  // Where a Runtime keeps its threads and runs; null if this keeps checkpoints
  // alone.
  virtual RunStore* runs() { return nullptr; }

  // Makes the caller the writer of `thread`, which need not exist, and every
  // earlier one's fence void.
  virtual void Open(std::string_view thread, Done<ThreadLease> done) = 0;

  // Stores a checkpoint. One of the same namespace and id is replaced, and
  // keeps its writes; those that have it for a base stay as they are.
  // FailedPrecondition: `base` is not stored; or a channel is appended to a
  // version that it has not in `base`; or the id is neither stored nor greater
  // than all stored of its namespace. (Not of the thread: a graph that is saved
  // only at its end may be after one inside it, with an older id.)
  virtual void Put(const Fence& fence, NewCheckpoint&& checkpoint,
                   StatusDone done) = 0;

  // Stores writes by (namespace, checkpoint, task, index): under an index from
  // 0 on the first stays, at a place below 0 the last. What gives way there to
  // the write of another run is kept out of sight, for DeleteRuns(): when the
  // one that shows is deleted, the oldest of them shows next, below 0 the
  // newest. See docs/design/undone_writes.md.
  // FailedPrecondition: the checkpoint is not stored and, by the rule of Put(),
  // never can be.
  virtual void PutWrites(const Fence& fence, NewWrites&& writes,
                         StatusDone done) = 0;

  // A checkpoint and its writes; absent if there is none.
  virtual void Get(CheckpointKey key,
                   Done<std::optional<CheckpointTuple>> done) = 0;

  // Checkpoints with their writes, the greatest id first; those of equal ids by
  // thread, then namespace.
  virtual void List(CheckpointQuery query,
                    Done<std::vector<CheckpointTuple>> done) = 0;

  // The value of a channel in a checkpoint as it was put: the whole value that
  // the pieces start from, then the pieces in order. Empty for a channel that
  // the checkpoint has not, or if there is no such checkpoint. Channels are
  // answered in the order asked.
  virtual void History(CheckpointKey key, std::vector<std::string> channels,
                       Done<std::vector<std::vector<SavedChannel>>> done);

  // Removes all of a thread. Nothing to do if it is unknown. Its fences become
  // void.
  virtual void DeleteThread(std::string_view thread, StatusDone done) = 0;

  // Removes the checkpoints whose metadata has one of these run ids, in every
  // thread and namespace, with their writes; and the writes that these runs
  // have put after other checkpoints: what gave way to them is back. What stays
  // still loads. "" is no run's id.
  virtual void DeleteRuns(std::vector<std::string> run_ids, StatusDone done);

  // Copies all of `from`, ids and order included, to the thread `to`, whose
  // fences become void.
  // NotFound: `from` has nothing stored. AlreadyExists: `to` has.
  virtual void CopyThread(std::string_view from, std::string_view to,
                          StatusDone done);

  // Removes all but what `mode` says of these threads; those that are unknown
  // are passed over. What stays still loads.
  virtual void Prune(std::vector<std::string> threads, PruneMode mode,
                     StatusDone done);

  // Done when all calls made before have taken effect and will stay.
  virtual void Flush(StatusDone done) = 0;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_CHECKPOINTER_H_
