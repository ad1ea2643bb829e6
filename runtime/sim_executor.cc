#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

#include "weir/runtime/executor.h"
#include "weir/runtime/internal/timer_queue.h"

namespace weir {
inline namespace v0 {
namespace {

// Draws that are the same on every platform, which std's distributions are not.
// Source: splitmix64 by Sebastiano Vigna, https://prng.di.unimi.it/splitmix64.c
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint32_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<uint32_t>((z ^ (z >> 31)) >> 32);
  }

  size_t Below(size_t end) {
    return static_cast<size_t>((uint64_t{Next()} * end) >> 32);
  }

 private:
  uint64_t state_;
};

}  // namespace

struct SimExecutor::Rep {
  explicit Rep(uint64_t seed) : random(seed) {}

  bool RunNext();
  void JumpToNextTimer();

  Random random;
  std::vector<Job> ready;
  internal::TimerHeap timers;
  int64_t now = 0;  // Nanoseconds since the Unix epoch.
  bool closed = false;
};

// False if nothing is left to run.
bool SimExecutor::Rep::RunNext() {
  if (ready.empty()) {
    if (timers.empty() || timers.next_due() == internal::kNever) return false;
    JumpToNextTimer();
  }
  const size_t index = ready.size() == 1 ? 0 : random.Below(ready.size());
  std::swap(ready[index], ready.back());
  Job job = std::move(ready.back());
  ready.pop_back();
  job();
  return true;
}

// Of timers due at one time, any number may be past cancelling when the first
// one's job runs, as on an executor with threads.
void SimExecutor::Rep::JumpToNextTimer() {
  now = timers.next_due();
  do {
    ready.push_back(timers.TakeFirst());
  } while (!timers.empty() && timers.next_due() == now && random.Below(2) == 0);
}

SimExecutor::SimExecutor(uint64_t seed) : rep_(std::make_unique<Rep>(seed)) {}

SimExecutor::~SimExecutor() {
  rep_->closed = true;
  const std::vector<Job> ready = std::move(rep_->ready);
  const internal::TimerHeap timers = std::move(rep_->timers);
}

void SimExecutor::Post(Job job) {
  if (rep_->closed) return;
  rep_->ready.push_back(std::move(job));
}

Executor::TimerId SimExecutor::PostAfter(absl::Duration delay, Job job) {
  if (rep_->closed) return 0;
  const int64_t due = internal::DueAfter(rep_->now, delay);
  return rep_->timers.Add(due, rep_->random.Next(), std::move(job));
}

bool SimExecutor::Cancel(TimerId timer) {
  return rep_->timers.Cancel(timer) != nullptr;
}

absl::Time SimExecutor::Now() const { return absl::FromUnixNanos(rep_->now); }

bool SimExecutor::RunUntil(const absl::Notification& done) {
  while (!done.HasBeenNotified()) {
    if (!rep_->RunNext()) return done.HasBeenNotified();
  }
  return true;
}

}  // namespace v0
}  // namespace weir
