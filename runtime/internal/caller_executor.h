#ifndef WEIR_RUNTIME_INTERNAL_CALLER_EXECUTOR_H_
#define WEIR_RUNTIME_INTERNAL_CALLER_EXECUTOR_H_

#include <atomic>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

#include "weir/runtime/executor.h"

namespace weir {
inline namespace v0 {
namespace internal {

// CallerExecutor: the thread that makes it, its owner, helped by the workers of
// that thread's implicit oneTBB arena. Made for one Graph::Invoke(), on the
// stack: it touches neither the heap nor oneTBB before the first Post() or
// timer.
//
// Threads:  thread-safe, but only the owner and running jobs take part in
//           RunUntil(); other threads just wait there. `done` is best notified
//           in a job: else it may take RunUntil() some milliseconds to see it.
// Lifetime: destroyed by its owner. The destructor drops timers and the jobs
//           still queued, and waits for those that run.
class CallerExecutor final : public Executor {
 public:
  CallerExecutor() : owner_(std::this_thread::get_id()) {}
  ~CallerExecutor() override {
    if (Rep* rep = rep_.load(std::memory_order_acquire)) Destroy(rep);
  }

  CallerExecutor(const CallerExecutor&) = delete;
  CallerExecutor& operator=(const CallerExecutor&) = delete;

  void Post(Job job) override;
  TimerId PostAfter(absl::Duration delay, Job job) override;
  TimerId CallAfter(absl::Duration delay, Job job) override;
  bool Cancel(TimerId timer) override;
  absl::Time Now() const override;
  int workers() const override;
  bool RunUntil(const absl::Notification& done) override;

  // Runs what is queued and waits for what runs. By the owner, not from a job.
  void RetireJobs() {
    if (Rep* rep = rep_.load(std::memory_order_acquire)) Retire(rep);
  }

 private:
  struct Rep;

  Rep& rep();
  static void Destroy(Rep* rep);
  static void Retire(Rep* rep);

  const std::thread::id owner_;
  // Set once, by the first use that needs it, whatever its thread; the release
  // exchange in rep() publishes what was made to the acquire loads.
  std::atomic<Rep*> rep_{nullptr};
  // What workers() found, or 0; the value stands alone, so relaxed.
  mutable std::atomic<int> workers_{0};
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_CALLER_EXECUTOR_H_
