#ifndef WEIR_RUNTIME_INTERNAL_TIMED_WAIT_H_
#define WEIR_RUNTIME_INTERNAL_TIMED_WAIT_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <utility>

#include "absl/time/time.h"

#include "weir/runtime/executor.h"
#include "weir/runtime/internal/ref.h"

namespace weir {
inline namespace v0 {
namespace internal {

// TimedWait: calls a job once, on the executor: when a time has passed, or
// before that when asked to stop or by FireNow().
//
//   kArming --Arm() done--> kWaits --the first to fire--> kFired
//      \--the first to fire--> kFired, and Arm() posts the job
//
// Threads:  Arm() once. The job may run before Arm() returns.
// Lifetime: reference-counted; the timer holds a reference.
class TimedWait final : public RefCounted<TimedWait> {
 public:
  TimedWait(Executor& executor, Executor::Job job)
      : executor_(executor), job_(std::move(job)) {}

  void Arm(absl::Duration delay, const std::stop_token& stop) {
    timer_ = executor_.PostAfter(
        delay, [self = Ref<TimedWait>::Share(this)] { self->Fire(kTimer); });
    if (stop.stop_possible()) link_.emplace(stop, Asked{this});
    uint8_t arming = kArming;
    if (!state_.compare_exchange_strong(arming, kWaits,
                                        std::memory_order_acq_rel)) {
      executor_.Cancel(timer_);
      executor_.Post(std::move(job_));
    }
  }

  // What is waited for has come. Thread-safe, also before Arm().
  void FireNow() { Fire(kCame); }

  // Whether it was stopped before the time had passed; for the job.
  bool stopped() const { return stopped_; }

 private:
  enum Cause : uint8_t { kTimer, kAsked, kCame };
  void Fire(Cause cause) {
    // Only the first gets past this.
    if (fired_.exchange(true, std::memory_order_relaxed)) return;
    stopped_ = cause == kAsked;
    if (state_.exchange(kFired, std::memory_order_acq_rel) == kArming) return;
    // The timer's call is a job already. The job may hold this.
    if (cause == kTimer) return std::exchange(job_, nullptr)();
    executor_.Cancel(timer_);
    executor_.Post(std::move(job_));
  }

  struct Asked {
    void operator()() const { wait->Fire(kAsked); }
    TimedWait* wait;
  };

  enum State : uint8_t { kArming, kWaits, kFired };

  Executor& executor_;
  Executor::Job job_;
  Executor::TimerId timer_ = 0;
  std::optional<std::stop_callback<Asked>> link_;
  bool stopped_ = false;
  // Elects the first to fire. Relaxed: it publishes nothing.
  std::atomic<bool> fired_{false};
  // Arm() publishes timer_ and link_ (release) to Fire() (acquire), or Fire()
  // publishes stopped_ to Arm().
  std::atomic<uint8_t> state_{kArming};
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_TIMED_WAIT_H_
