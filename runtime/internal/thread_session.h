#ifndef WEIR_RUNTIME_INTERNAL_THREAD_SESSION_H_
#define WEIR_RUNTIME_INTERNAL_THREAD_SESSION_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/checkpointer.h"

namespace weir {
inline namespace v0 {
namespace internal {

class DurableEvents;

// Is told, once, that a call of a store has ended.
class StoreListener {
 public:
  virtual void Stored() noexcept = 0;

 protected:
  ~StoreListener() = default;
};

// ThreadSession: a run's hold on its thread in a store: the fence, the thread's
// counters, and the calls under way. The runs of the graphs inside share it.
//
// Threads: thread-safe, but for Opened() and WhenStored().
class ThreadSession {
 public:
  ThreadSession(Checkpointer* store, std::string thread,
                const std::string& run_id)
      : store_(store),
        thread_(std::move(thread)),
        run_id_(run_id.empty() ? nullptr
                               : std::make_shared<const std::string>(run_id)),
        can_(store->capabilities()) {}

  // Before any other call: what is stored takes the run's events with it. Null
  // for none.
  void StoreWith(DurableEvents* events) { events_ = events; }

  Checkpointer& store() const { return *store_; }
  const std::string& thread() const { return thread_; }
  // Whether the store keeps values as they are, and is done when it returns.
  bool shares_values() const { return can_.shares_values; }
  // Whether values that grow are to be put in pieces.
  bool takes_pieces() const { return can_.history && !can_.shares_values; }

  // The store has made this the thread's writer. Before any other call.
  void Opened(ThreadLease lease);

  // Ids grow, versions are never used twice.
  CheckpointId NewId();
  uint64_t NewVersion() {
    return version_.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  // Stores in the order called. `listener`, if any, is told when it is done,
  // however it ended; see error(). (A pointer, so that what the store is given
  // to call takes no memory.) Writes get the run's id.
  void Put(NewCheckpoint&& checkpoint, StoreListener* listener = nullptr);
  void PutWrites(NewWrites&& writes, StoreListener* listener = nullptr);

  // The first failure of a call, and of those made elsewhere that this is told
  // of.
  absl::Status error() const;
  void NoteFailure(const absl::Status& status);

  // True if nothing is under way; else calls `then` once that is so. For one
  // caller at a time, that starts nothing meanwhile.
  bool WhenStored(absl::AnyInvocable<void()> then);

 private:
  Checkpointer::StatusDone WhenDone(StoreListener* listener);
  void Ended();

  Checkpointer* const store_;
  DurableEvents* events_ = nullptr;
  const std::string thread_;
  // Shared by all that is stored, so that a write costs no copy of it. Null if
  // the run has none.
  const std::shared_ptr<const std::string> run_id_;
  Fence fence_;
  uint64_t seed_ = 0;
  // Relaxed: only the numbers count.
  std::atomic<uint64_t> sequence_{0};
  std::atomic<uint64_t> version_{0};
  // Calls under way, and one for the run itself, which WhenStored() gives up.
  // acq_rel: who brings it to zero sees then_ and all that the calls did.
  std::atomic<int> under_way_{1};
  absl::AnyInvocable<void()> then_;
  const CheckpointerCapabilities can_;
  // Whether there is something to look for in error_. Relaxed: error_ has a
  // lock, and a failure that is seen a superstep later is soon enough.
  std::atomic<bool> failed_{false};
  mutable absl::Mutex mutex_;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_THREAD_SESSION_H_
