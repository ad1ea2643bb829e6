#ifndef WEIR_TESTS_GATEWAY_PACED_EXECUTOR_H_
#define WEIR_TESTS_GATEWAY_PACED_EXECUTOR_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "weir/runtime/executor.h"

namespace weir {

// Workers in virtual time: when no job runs, time jumps to the next timer, if
// that is near and the test lets it fire. So nodes that wait are done in the
// order of their waits, at once, and stand where the test wants them to.
//
// Threads: thread-safe.
class PacedExecutor final : public Executor {
 public:
  // As many at once as TbbExecutor says.
  explicit PacedExecutor(int workers) : workers_(workers) {}
  ~PacedExecutor() override {
    std::map<Due, Job> dropped;
    absl::MutexLock lock(&mutex_);
    dropped.swap(timers_);
  }

  // From now on `timers` more of them fire.
  void Allow(int64_t timers) {
    absl::MutexLock lock(&mutex_);
    allowed_ = timers;
    FireNext();
  }
  void Hold() { Allow(0); }
  void Flow() { Allow(std::numeric_limits<int64_t>::max()); }

  void Post(Job job) override {
    absl::MutexLock lock(&mutex_);
    Run(std::move(job));
  }
  TimerId PostAfter(absl::Duration delay, Job job) override {
    absl::MutexLock lock(&mutex_);
    const TimerId id = ++last_timer_;
    timers_.emplace(Due(now_ + delay, id), std::move(job));
    FireNext();
    return id;
  }
  bool Cancel(TimerId timer) override {
    Job dropped;
    absl::MutexLock lock(&mutex_);
    for (auto it = timers_.begin(); it != timers_.end(); ++it) {
      if (it->first.second != timer) continue;
      dropped = std::move(it->second);
      timers_.erase(it);
      return true;
    }
    return false;
  }
  absl::Time Now() const override {
    absl::MutexLock lock(&mutex_);
    // No two things happen at the same time.
    return now_ += absl::Microseconds(1);
  }
  int workers() const override { return workers_.workers(); }
  bool RunUntil(const absl::Notification& done) override {
    return workers_.RunUntil(done);
  }

 private:
  using Due = std::pair<absl::Time, TimerId>;
  // What waits for longer than nodes do has its time never come: how long runs
  // are kept, and those that are to begin later.
  static constexpr absl::Duration kNear = absl::Seconds(10);

  void Run(Job job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++running_;
    workers_.Post([this, job = std::move(job)]() mutable {
      std::exchange(job, nullptr)();
      absl::MutexLock lock(&mutex_);
      --running_;
      FireNext();
    });
  }
  void FireNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (running_ > 0 || allowed_ == 0 || timers_.empty()) return;
    const auto next = timers_.begin();
    if (next->first.first > now_ + kNear) return;
    --allowed_;
    now_ = std::max(now_, next->first.first);
    Run(std::move(timers_.extract(next).mapped()));
  }

  mutable absl::Mutex mutex_;
  mutable absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::Now();
  int64_t allowed_ ABSL_GUARDED_BY(mutex_) =
      std::numeric_limits<int64_t>::max();
  int64_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  TimerId last_timer_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<Due, Job> timers_ ABSL_GUARDED_BY(mutex_);
  TbbExecutor workers_;  // Ends first.
};

}  // namespace weir

#endif  // WEIR_TESTS_GATEWAY_PACED_EXECUTOR_H_
