#include "weir/stream/internal/parking.h"

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <thread>

#include "weir/stream/internal/steady_time.h"

namespace weir {
inline namespace v0 {
namespace internal {

#if defined(__linux__)

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t) &&
              std::atomic<uint32_t>::is_always_lock_free);

void FutexParking::Wait(const std::atomic<uint32_t>& word, uint32_t expected,
                        absl::Time deadline) noexcept {
  timespec left;
  const timespec* timeout = nullptr;
  if (deadline != absl::InfiniteFuture()) {
    const absl::Duration until = deadline - SteadyNow();
    if (until <= absl::ZeroDuration()) return;
    // The kernel counts it by the steady clock.
    left = absl::ToTimespec(std::min(until, absl::Hours(24)));
    timeout = &left;
  }
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, timeout, nullptr, 0);
}

void FutexParking::Wake(const void* word, int most) noexcept {
  // The kernel only looks the address up among those that sleep, so memory that
  // is gone does no harm; if it holds another word by now, somebody there wakes
  // for no reason.
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, most, nullptr, nullptr, 0);
}

#endif

void TableParking::Wait(const std::atomic<uint32_t>& word, uint32_t expected,
                        absl::Time deadline) noexcept {
  Bucket& bucket = BucketOf(&word);
  const absl::MutexLock lock(&bucket.mutex);
  // The word changes before Wake() locks: either it is seen here, or the
  // sleeper is seen there.
  if (word.load(std::memory_order_acquire) != expected) return;
  Sleeper self{.word = &word, .next = bucket.first, .woken = {}};
  bucket.first = &self;
  while (self.asleep && SteadyNow() < deadline) {
    // Abseil's timeouts are of the wall clock: one that is set back makes this
    // late by no more than that.
    constexpr absl::Duration kLongest = absl::Seconds(10);
    self.woken.WaitWithTimeout(&bucket.mutex,
                               std::min(deadline - SteadyNow(), kLongest));
  }
  Remove(bucket, self);
}

void TableParking::Wake(const void* word, int most) noexcept {
  Bucket& bucket = BucketOf(word);
  const absl::MutexLock lock(&bucket.mutex);
  for (Sleeper* s = bucket.first; s != nullptr && most > 0; s = s->next) {
    if (s->word != word || !s->asleep) continue;
    s->asleep = false;
    s->woken.Signal();
    --most;
  }
}

void TableParking::Remove(Bucket& bucket, Sleeper& sleeper) {
  Sleeper** at = &bucket.first;
  while (*at != &sleeper) at = &(*at)->next;
  *at = sleeper.next;
}

unsigned Cores() {
  // Asking takes a system call.
  static const unsigned kCores =
      std::max(1u, std::thread::hardware_concurrency());
  return kCores;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
