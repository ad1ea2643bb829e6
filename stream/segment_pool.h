#ifndef WEIR_STREAM_SEGMENT_POOL_H_
#define WEIR_STREAM_SEGMENT_POOL_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "weir/export.h"

namespace weir {
inline namespace v0 {

// SegmentPool: memory for the segments of many logs, passed in EventLogOptions.
// What one log gives back another gets, without page faults.
//
// Shape:     segments of 1,024 events of up to 24 bytes are carved from slabs
//            of 2 MiB, on Linux in huge pages if the system has some to give.
//            16 segments and one slab are kept spare; further slabs go back to
//            the system when empty. Other sizes are from the heap.
// Errors:    out of memory ends the process.
// Threads:   thread-safe. A log asks it once for 1,024 events.
// Lifetime:  must outlive the logs it serves, their cursors, and the jobs they
//            gave to a Reclaimer.
class WEIR_EXPORT SegmentPool {
 public:
  SegmentPool() = default;
  SegmentPool(const SegmentPool&) = delete;
  SegmentPool& operator=(const SegmentPool&) = delete;
  ~SegmentPool();

  // Aligned to a cache line. `bytes` is the same for both.
  void* Allocate(size_t bytes) noexcept;
  void Free(void* memory, size_t bytes) noexcept;

  // Segments that are allocated now, those from the heap too.
  size_t in_use() const { return in_use_.load(std::memory_order_relaxed); }

  // Memory taken from the system for slabs.
  size_t slab_bytes() const;

 private:
  struct Slab;
  struct Block;

  void* Carve() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveBack(void* memory) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Link(Slab* slab) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Unlink(Slab* slab) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // In front of the lock. Filled by compare-exchange from null and emptied by
  // exchange, which release and acquire what was done to the memory.
  std::array<std::atomic<void*>, 16> spare_ = {};

  std::atomic<size_t> in_use_{0};  // Relaxed: a count, it publishes nothing.

  mutable absl::Mutex mutex_;
  Slab* with_room_ ABSL_GUARDED_BY(mutex_) = nullptr;  // All but the full ones.
  size_t slabs_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t empty_slabs_ ABSL_GUARDED_BY(mutex_) = 0;  // Of which one is kept.
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_SEGMENT_POOL_H_
