#ifndef WEIR_RUNTIME_INTERNAL_DURABLE_EVENTS_H_
#define WEIR_RUNTIME_INTERNAL_DURABLE_EVENTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "weir/checkpoint/run_store.h"
#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"

namespace weir {
inline namespace v0 {
namespace internal {

struct CompiledGraph;
class ReaderGate;
class RunLog;

// CommitLine: gives commits to a store in the order in which they were added.
// They are added where the order is decided, under whatever lock that is, and
// given where none is held: a store may answer in the call.
//
// Threads: thread-safe.
class CommitLine {
 public:
  explicit CommitLine(RunStore* store) : store_(store) {}

  void Add(RunCommit&& commit, RunStore::StatusDone done);
  // Gives the store what was added; if another thread is about it, that one
  // goes on with what is new.
  void Send();

 private:
  struct Waiting {
    RunCommit commit;
    RunStore::StatusDone done;
  };

  RunStore* const store_;
  absl::Mutex mutex_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  bool sending_ ABSL_GUARDED_BY(mutex_) = false;
};

// DurableEvents: the events of a run that a store has to have before anybody
// reads them. An event is encoded when it is published; it is stored with the
// next thing that the run stores, or after a while by itself; and goes to the
// run's log once it is stored. So the log has nothing that a crash could take
// back, and ids go on where the store ends.
//
// Threads:  thread-safe.
// Lifetime: shared by the run and by what is under way, which is inside `gate`;
//           the log must live until that has been answered.
class DurableEvents : public std::enable_shared_from_this<DurableEvents> {
 public:
  // What is published waits no longer than this for something else to be
  // stored, nor for more than so many bytes.
  static constexpr absl::Duration kLongestWait = absl::Milliseconds(20);
  static constexpr size_t kMostBytes = size_t{64} << 10;
  // Who is to wait does so while more than this is not stored, until it is
  // half.
  static constexpr size_t kMostUnstored = size_t{4} << 20;

  // `first_id` is that of the next event. Without `by_itself`, events wait for
  // the end of the run.
  DurableEvents(std::shared_ptr<CommitLine> line, std::string run,
                std::shared_ptr<const CompiledGraph> graph, RunLog* log,
                Executor* executor, std::shared_ptr<ReaderGate> gate,
                uint64_t first_id, bool by_itself);

  // The run is its thread's writer.
  void Opened(const Fence& fence);
  // Whether a value that a node emits can be stored.
  absl::Status Check(const Value& value) const;
  // FailedPrecondition if it could not be read back; then it is not published.
  absl::Status Publish(uint32_t mode, Event event);
  // Stores `commit`, and with it what was published before: Add() decides the
  // order, Send() gives it to the store, under no lock. Commit() is both.
  void Commit(RunCommit&& commit, RunStore::StatusDone done);
  void Add(RunCommit&& commit, RunStore::StatusDone done);
  void Send() { line_->Send(); }
  // What is not stored never will be.
  void Drop();

  // Whether the store is far behind what is published.
  bool behind() const { return behind_.load(std::memory_order_relaxed); }
  // Calls `job` when it is not: here, or on the executor.
  void AwaitStored(Executor::Job job);

  // The first failure: from then on nothing goes to the log.
  absl::Status error() const;
  void Note(const absl::Status& status);

  // One past the id of the last event that was published.
  uint64_t next_id() const;

 private:
  // Events of one commit.
  struct Batch {
    std::vector<std::pair<uint32_t, Event>> events;
    size_t bytes = 0;
    bool stored = false;
  };
  using BatchPtr = std::shared_ptr<Batch>;

  // Moves what was published into `commit`.
  BatchPtr Take(RunCommit& commit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddLocked(RunCommit&& commit, RunStore::StatusDone done)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Stored(const BatchPtr& batch, const absl::Status& status);
  // Gives the log the events of those batches at the front that are stored.
  void Release() ABSL_LOCKS_EXCLUDED(mutex_);
  void Fail(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Flush() ABSL_LOCKS_EXCLUDED(mutex_);
  void FlushLater() ABSL_LOCKS_EXCLUDED(mutex_);
  void CatchUp(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string run_;
  const std::shared_ptr<const CompiledGraph> graph_;
  RunLog* const log_;
  Executor* const executor_;
  const std::shared_ptr<ReaderGate> gate_;
  const bool by_itself_;
  const std::shared_ptr<CommitLine> line_;  // The thread's.

  // Whether there is something to look for in error_. Relaxed: error_ has a
  // lock, and a failure that is seen a superstep later is soon enough.
  std::atomic<bool> failed_{false};
  // Written under mutex_. Relaxed: who waits looks again there.
  std::atomic<bool> behind_{false};
  mutable absl::Mutex mutex_;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  Fence fence_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_);
  // Published, and not given to the store yet.
  std::vector<std::pair<uint32_t, Event>> pending_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> pending_bytes_ ABSL_GUARDED_BY(mutex_);
  size_t pending_size_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t unstored_ ABSL_GUARDED_BY(mutex_) = 0;  // Bytes not in the log yet.
  std::vector<Executor::Job> waiting_ ABSL_GUARDED_BY(mutex_);
  bool timed_ ABSL_GUARDED_BY(mutex_) = false;  // A flush will come.
  bool dropped_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<BatchPtr> under_way_ ABSL_GUARDED_BY(mutex_);
  bool releasing_ ABSL_GUARDED_BY(mutex_) = false;
  // What the log has let go of, and the store has yet to.
  uint64_t oldest_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_DURABLE_EVENTS_H_
