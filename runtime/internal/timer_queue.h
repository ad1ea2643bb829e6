#ifndef WEIR_RUNTIME_INTERNAL_TIMER_QUEUE_H_
#define WEIR_RUNTIME_INTERNAL_TIMER_QUEUE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "weir/runtime/executor.h"
#include "weir/stream/internal/parking.h"
#include "weir/stream/internal/steady_time.h"

namespace weir {
inline namespace v0 {
namespace internal {

// TimerHeap: jobs by the time at which they are due. Adding, cancelling and
// taking cost O(log n).
//
// Units:   times are nanoseconds of whatever clock the owner reads.
// Threads: thread-compatible.
class TimerHeap {
 public:
  using Job = Executor::Job;
  using TimerId = Executor::TimerId;

  // Of those due at one time, the one with the lowest `tie` comes first, then
  // the one added first. An id is never 0, and never names a later timer.
  // `mark` comes back from TakeFirst().
  TimerId Add(int64_t due, uint32_t tie, Job job, bool mark = false);

  // Takes a timer's job out; a null job if it has been taken.
  Job Cancel(TimerId id);

  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }
  // Of a heap that is not empty.
  int64_t next_due() const { return heap_.front().due; }
  Job TakeFirst(bool* mark = nullptr);

 private:
  struct Item {
    int64_t due;
    uint64_t order;  // The tie, then the number of the Add(), which may wrap.
    uint32_t slot;
  };
  struct Slot {
    Job job;  // Null in a free slot.
    bool mark = false;
    // In the heap; in a free slot, the next free slot.
    uint32_t position = 0;
    uint32_t generation = 1;  // Never 0; changes when the slot is freed.
  };
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  static bool Before(const Item& a, const Item& b) {
    return a.due != b.due ? a.due < b.due : a.order < b.order;
  }
  void Place(size_t position, const Item& item);
  void MoveUp(size_t position, const Item& item);
  void MoveDown(size_t position, const Item& item);
  Job Remove(size_t position);

  std::vector<Item> heap_;
  std::vector<Slot> slots_;
  uint32_t first_free_ = kNoSlot;
  uint32_t added_ = 0;
};

// Due when there are no nanoseconds left to count.
inline constexpr int64_t kNever = INT64_MAX;

// `delay` after `now`; `now` for a negative one.
int64_t DueAfter(int64_t now, absl::Duration delay);

// TimerQueue: hands jobs over once their delay has passed, from a thread that
// starts with the first timer; or runs them there.
//
// Threads:  thread-safe. `hand_over` and jobs that run there are called on the
//           timer thread with no lock held, in the order of the due times; they
//           must not destroy the queue.
// Lifetime: the destructor drops the jobs not yet handed over. No call of
//           `hand_over` begins after Stop() or the destructor has returned.
class TimerQueue {
 public:
  using Job = Executor::Job;
  using TimerId = Executor::TimerId;

  explicit TimerQueue(absl::AnyInvocable<void(Job)> hand_over)
      : hand_over_(std::move(hand_over)) {}
  ~TimerQueue() { Stop(); }

  enum Where : bool { kHandedOver, kHere };
  // A stopped queue drops the job and returns 0.
  TimerId Add(absl::Duration delay, Job job, Where where = kHandedOver);
  // Drops a job. False if it has been handed over, or runs or has run.
  bool Cancel(TimerId id);
  // Drops all jobs and ends the thread.
  void Stop();

 private:
  void Serve();
  void Changed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::AnyInvocable<void(Job)> hand_over_;  // Called by the timer thread only.

  absl::Mutex mutex_;
  // Counts what the thread is to wake for: an earlier first timer, or stopped_.
  // Relaxed: it is read and changed under the lock, and only slept on without.
  std::atomic<uint32_t> changed_{0};
  [[no_unique_address]] Parking parking_;
  TimerHeap timers_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_ ABSL_GUARDED_BY(mutex_);  // Not before the first timer.
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_TIMER_QUEUE_H_
