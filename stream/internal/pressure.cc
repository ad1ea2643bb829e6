#include "weir/stream/internal/pressure.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace weir {
inline namespace v0 {
namespace internal {

Pressure::Reader::Reader(uint64_t window, uint64_t index)
    : window_(window), step_(std::max<uint64_t>(1, window / 8)), told_(index) {}

template <typename Change>
void Pressure::Update(Change change) {
  std::vector<Waiter*> woken;
  {
    const absl::MutexLock lock(&mutex_);
    change();
    Recount();
    if (!congested()) woken.swap(waiters_);
  }
  for (Waiter* waiter : woken) waiter->Wake();
}

void Pressure::Add(Reader* reader) {
  const absl::MutexLock lock(&mutex_);
  readers_.push_back(reader);
  Recount();
}

void Pressure::Remove(Reader* reader) {
  Update([this, reader]()
             ABSL_NO_THREAD_SAFETY_ANALYSIS { std::erase(readers_, reader); });
}

void Pressure::Tell(Reader* reader, uint64_t index) {
  Update([reader, index] { reader->told_ = index; });
}

void Pressure::Close() {
  Update([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { closed_ = true; });
}

bool Pressure::Arm(Waiter* waiter) {
  const absl::MutexLock lock(&mutex_);
  // The limit rises under the lock only, so there is no room until Update(),
  // which finds the waiter.
  if (!congested()) return false;
  waiters_.push_back(waiter);
  return true;
}

bool Pressure::Disarm(Waiter* waiter) {
  const absl::MutexLock lock(&mutex_);
  return std::erase(waiters_, waiter) != 0;
}

void Pressure::Recount() {
  uint64_t limit = kNone;
  for (const Reader* reader : readers_) {
    if (closed_) break;
    limit = std::min(limit, reader->told_ + reader->window_);
  }
  limit_.store(limit, std::memory_order_relaxed);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
