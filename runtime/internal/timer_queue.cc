#include "weir/runtime/internal/timer_queue.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "weir/runtime/executor.h"

namespace weir {
inline namespace v0 {
namespace internal {

TimerHeap::TimerId TimerHeap::Add(int64_t due, uint32_t tie, Job job,
                                  bool mark) {
  uint32_t slot = first_free_;
  if (slot == kNoSlot) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    first_free_ = slots_[slot].position;
  }
  slots_[slot].job = std::move(job);
  slots_[slot].mark = mark;
  const Item item = {
      .due = due, .order = uint64_t{tie} << 32 | added_++, .slot = slot};
  heap_.push_back(item);
  MoveUp(heap_.size() - 1, item);
  return uint64_t{slots_[slot].generation} << 32 | slot;
}

TimerHeap::Job TimerHeap::Cancel(TimerId id) {
  const auto slot = static_cast<uint32_t>(id);
  const auto generation = static_cast<uint32_t>(id >> 32);
  if (slot >= slots_.size() || slots_[slot].generation != generation) {
    return nullptr;
  }
  return Remove(slots_[slot].position);
}

TimerHeap::Job TimerHeap::TakeFirst(bool* mark) {
  if (mark != nullptr) *mark = slots_[heap_.front().slot].mark;
  return Remove(0);
}

TimerHeap::Job TimerHeap::Remove(size_t position) {
  const uint32_t index = heap_[position].slot;
  const Item last = heap_.back();
  heap_.pop_back();
  if (position < heap_.size()) {
    if (position > 0 && Before(last, heap_[(position - 1) / 2])) {
      MoveUp(position, last);
    } else {
      MoveDown(position, last);
    }
  }
  Slot& slot = slots_[index];
  Job job = std::move(slot.job);
  slot.job = nullptr;
  if (++slot.generation == 0) slot.generation = 1;
  slot.position = first_free_;
  first_free_ = index;
  return job;
}

void TimerHeap::Place(size_t position, const Item& item) {
  heap_[position] = item;
  slots_[item.slot].position = static_cast<uint32_t>(position);
}

void TimerHeap::MoveUp(size_t position, const Item& item) {
  while (position > 0) {
    const size_t parent = (position - 1) / 2;
    if (!Before(item, heap_[parent])) break;
    Place(position, heap_[parent]);
    position = parent;
  }
  Place(position, item);
}

void TimerHeap::MoveDown(size_t position, const Item& item) {
  for (;;) {
    size_t child = 2 * position + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && Before(heap_[child + 1], heap_[child])) {
      ++child;
    }
    if (!Before(heap_[child], item)) break;
    Place(position, heap_[child]);
    position = child;
  }
  Place(position, item);
}

int64_t DueAfter(int64_t now, absl::Duration delay) {
  int64_t nanos = std::max<int64_t>(0, absl::ToInt64Nanoseconds(delay));
  if (nanos >= kNever - now) return kNever;
  if (absl::Nanoseconds(nanos) < delay) ++nanos;  // All of it is to pass.
  return now + nanos;
}

TimerQueue::TimerId TimerQueue::Add(absl::Duration delay, Job job,
                                    Where where) {
  const int64_t due = DueAfter(SteadyNanos(), delay);
  absl::MutexLock lock(&mutex_);
  if (stopped_) return 0;
  const bool first = timers_.empty() || due < timers_.next_due();
  const TimerId id =
      timers_.Add(due, /*tie=*/0, std::move(job), where == kHere);
  if (!thread_.joinable()) {
    thread_ = std::jthread([this] { Serve(); });
  } else if (first) {
    Changed();
  }
  return id;
}

void TimerQueue::Changed() {
  changed_.fetch_add(1, std::memory_order_relaxed);
  parking_.Wake(&changed_, 1);
}

bool TimerQueue::Cancel(TimerId id) {
  Job job;  // Destroyed once the lock is released.
  absl::MutexLock lock(&mutex_);
  job = timers_.Cancel(id);
  return job != nullptr;
}

void TimerQueue::Stop() {
  std::jthread thread;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    thread = std::move(thread_);
    Changed();
  }
  if (thread.joinable()) thread.join();
  TimerHeap dropped;
  absl::MutexLock lock(&mutex_);
  std::swap(dropped, timers_);
}

void TimerQueue::Serve() {
  std::vector<std::pair<Job, bool>> due;  // And whether it runs here.
  absl::MutexLock lock(&mutex_);
  while (!stopped_) {
    const int64_t now = SteadyNanos();
    if (timers_.empty() || timers_.next_due() > now) {
      // Not by absl::CondVar, whose timeouts are of the wall clock: one that is
      // set back would make timers late.
      absl::Time until = absl::InfiniteFuture();
      if (!timers_.empty()) {
        until = SteadyNow() + absl::Nanoseconds(timers_.next_due() - now);
      }
      const uint32_t seen = changed_.load(std::memory_order_relaxed);
      mutex_.Unlock();
      parking_.Wait(changed_, seen, until);
      mutex_.Lock();
      continue;
    }
    while (!timers_.empty() && timers_.next_due() <= now) {
      bool here = false;
      Job job = timers_.TakeFirst(&here);
      due.emplace_back(std::move(job), here);
    }
    mutex_.Unlock();
    for (auto& [job, here] : due) {
      if (here) {
        job();
      } else {
        hand_over_(std::move(job));
      }
    }
    due.clear();
    mutex_.Lock();
  }
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
