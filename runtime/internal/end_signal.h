#ifndef WEIR_RUNTIME_INTERNAL_END_SIGNAL_H_
#define WEIR_RUNTIME_INTERNAL_END_SIGNAL_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/synchronization/notification.h"

namespace weir {
inline namespace v0 {
namespace internal {

// EndSignal: tells that something has ended, once. Makes a Notification only
// for those who wait: most look, and find that it has, and Abseil's mutexes
// cost as much as a superstep where it was built to look for deadlocks.
//
// Threads:  thread-safe.
// Lifetime: who has called notification() keeps this until it is notified.
class EndSignal {
 public:
  EndSignal() = default;
  ~EndSignal() { delete Waited(word_.load(std::memory_order_relaxed)); }
  EndSignal(const EndSignal&) = delete;
  EndSignal& operator=(const EndSignal&) = delete;

  // Acquire: pairs with End(), for what the ending left.
  bool ended() const {
    return (word_.load(std::memory_order_acquire) & kEnded) != 0;
  }

  // If nobody waits, this may be gone once the bit is set.
  void End() {
    const uintptr_t word = word_.fetch_or(kEnded, std::memory_order_acq_rel);
    if (absl::Notification* const waited = Waited(word)) waited->Notify();
  }

  const absl::Notification& notification() {
    uintptr_t word = word_.load(std::memory_order_acquire);
    if (Waited(word) != nullptr) return *Waited(word);
    auto made = std::make_unique<absl::Notification>();
    // Release: whoever sees the pointer sees the Notification. Acquire: if it
    // has ended, for what it left; if another was first, for theirs.
    while (!word_.compare_exchange_weak(
        word, word | reinterpret_cast<uintptr_t>(made.get()),
        std::memory_order_acq_rel, std::memory_order_acquire)) {
      if (Waited(word) != nullptr) return *Waited(word);
    }
    if ((word & kEnded) != 0) made->Notify();
    return *made.release();
  }

 private:
  static constexpr uintptr_t kEnded = 1;

  static absl::Notification* Waited(uintptr_t word) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): one word has to tell both.
    return reinterpret_cast<absl::Notification*>(word & ~kEnded);
  }

  // The Notification, null while nobody waits, and kEnded.
  std::atomic<uintptr_t> word_{0};
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_END_SIGNAL_H_
