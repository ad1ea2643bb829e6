#ifndef WEIR_STREAM_INTERNAL_PARKING_H_
#define WEIR_STREAM_INTERNAL_PARKING_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "weir/export.h"

namespace weir {
inline namespace v0 {
namespace internal {

// Two ways for workers to sleep on a 32-bit word, of one shape:
//
//   void Wait(word, expected, deadline): sleeps while the word is `expected`,
//     until a Wake(), or the deadline by SteadyNow(), or for no reason.
//   void Wake(&word, most): wakes up to `most` that sleep there. The word's
//     memory may be gone.
//
// The caller looks at the word again after a Wait(), and changes it, by a
// read-modify-write, before a Wake(): what it publishes is published by that.

#if defined(__linux__)
// By the kernel's table of sleepers.
class WEIR_EXPORT FutexParking {
 public:
  static void Wait(const std::atomic<uint32_t>& word, uint32_t expected,
                   absl::Time deadline) noexcept;
  static void Wake(const void* word, int most) noexcept;
};
#endif

// By a table of its own, for systems without one.
class WEIR_EXPORT TableParking {
 public:
  void Wait(const std::atomic<uint32_t>& word, uint32_t expected,
            absl::Time deadline) noexcept;
  void Wake(const void* word, int most) noexcept;

 private:
  // On the stack of its Wait().
  struct Sleeper {
    const void* word;
    Sleeper* next;
    absl::CondVar woken;
    bool asleep = true;
  };
  struct Bucket {
    absl::Mutex mutex;
    Sleeper* first ABSL_GUARDED_BY(mutex) = nullptr;
  };

  // Takes `sleeper` out, if it is still in.
  static void Remove(Bucket& bucket, Sleeper& sleeper)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(bucket.mutex);

  Bucket& BucketOf(const void* word) {
    return buckets_[reinterpret_cast<uintptr_t>(word) / sizeof(uint32_t) %
                    buckets_.size()];
  }

  std::array<Bucket, 3> buckets_;  // Most sleep on one slot.
};

#if defined(__linux__)
using Parking = FutexParking;
#else
using Parking = TableParking;
#endif

// How many workers can run at once; 1 if unknown.
WEIR_EXPORT unsigned Cores();

// Tells the core that this is a loop that waits.
inline void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_PARKING_H_
