#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

#include "weir/runtime/executor.h"
#include "weir/runtime/internal/timer_queue.h"
#include "weir/stream/internal/parking.h"
#include "weir/stream/internal/steady_time.h"

namespace weir {
inline namespace v0 {
namespace {

// A thread with nothing to do sleeps until there is a job, and looks at `done`
// from time to time: a thread that runs no job may notify it, and then wakes
// nobody. The time between two looks doubles from the first to the last.
constexpr absl::Duration kFirstLook = absl::Microseconds(50);
constexpr absl::Duration kLastLook = absl::Milliseconds(5);

}  // namespace

struct InlineExecutor::Rep {
  void Push(Job job);
  void MoveDueTimers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  bool RunNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Wait(absl::Duration longest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Changed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  absl::Mutex mutex;
  // Counts what those in Wait() are to wake for: a job or an earlier timer was
  // added, or a job ran. Relaxed: it is read and changed under the lock, and
  // only slept on without.
  std::atomic<uint32_t> changed{0};
  [[no_unique_address]] internal::Parking parking;
  std::deque<Job> jobs ABSL_GUARDED_BY(mutex);
  internal::TimerHeap timers ABSL_GUARDED_BY(mutex);
  // The thread that is in a job: no other may run one.
  std::thread::id runner ABSL_GUARDED_BY(mutex);
  int waiting ABSL_GUARDED_BY(mutex) = 0;  // Threads in Wait().
  bool closed ABSL_GUARDED_BY(mutex) = false;
};

void InlineExecutor::Rep::Push(Job job) {
  absl::MutexLock lock(&mutex);
  if (closed) return;
  jobs.push_back(std::move(job));
  Changed();
}

void InlineExecutor::Rep::Changed() {
  if (waiting == 0) return;
  changed.fetch_add(1, std::memory_order_relaxed);
  parking.Wake(&changed, waiting);
}

void InlineExecutor::Rep::MoveDueTimers() {
  if (timers.empty()) return;
  const int64_t now = internal::SteadyNanos();
  while (!timers.empty() && timers.next_due() <= now) {
    jobs.push_back(timers.TakeFirst());
  }
}

// Runs one job, with the lock released. False if there is none, or another
// thread is in one.
bool InlineExecutor::Rep::RunNext() {
  const std::thread::id outer = runner;
  if (outer != std::thread::id() && outer != std::this_thread::get_id()) {
    return false;
  }
  MoveDueTimers();
  if (jobs.empty()) return false;
  Job job = std::move(jobs.front());
  jobs.pop_front();
  runner = std::this_thread::get_id();
  mutex.Unlock();
  job();
  job = nullptr;
  mutex.Lock();
  runner = outer;
  Changed();
  return true;
}

void InlineExecutor::Rep::Wait(absl::Duration longest) {
  if (!timers.empty()) {
    const int64_t now = internal::SteadyNanos();
    longest = std::min(longest, absl::Nanoseconds(timers.next_due() - now));
  }
  ++waiting;
  const uint32_t seen = changed.load(std::memory_order_relaxed);
  mutex.Unlock();
  parking.Wait(changed, seen, internal::SteadyNow() + longest);
  mutex.Lock();
  --waiting;
}

InlineExecutor::InlineExecutor() : rep_(std::make_unique<Rep>()) {}

InlineExecutor::~InlineExecutor() {
  std::deque<Job> jobs;
  internal::TimerHeap timers;
  absl::MutexLock lock(&rep_->mutex);
  rep_->closed = true;
  std::swap(jobs, rep_->jobs);
  std::swap(timers, rep_->timers);
}

void InlineExecutor::Post(Job job) { rep_->Push(std::move(job)); }

Executor::TimerId InlineExecutor::PostAfter(absl::Duration delay, Job job) {
  const int64_t due = internal::DueAfter(internal::SteadyNanos(), delay);
  absl::MutexLock lock(&rep_->mutex);
  if (rep_->closed) return 0;
  rep_->Changed();
  return rep_->timers.Add(due, /*tie=*/0, std::move(job));
}

bool InlineExecutor::Cancel(TimerId timer) {
  Job job;  // Destroyed once the lock is released.
  absl::MutexLock lock(&rep_->mutex);
  job = rep_->timers.Cancel(timer);
  return job != nullptr;
}

absl::Time InlineExecutor::Now() const { return internal::SteadyNow(); }

bool InlineExecutor::RunUntil(const absl::Notification& done) {
  Rep& rep = *rep_;
  absl::Duration look = kFirstLook;
  absl::MutexLock lock(&rep.mutex);
  while (!done.HasBeenNotified()) {
    if (rep.RunNext()) {
      look = kFirstLook;
    } else {
      rep.Wait(look);
      look = std::min(2 * look, kLastLook);
    }
  }
  return true;
}

}  // namespace v0
}  // namespace weir
