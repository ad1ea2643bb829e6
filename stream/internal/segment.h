#ifndef WEIR_STREAM_INTERNAL_SEGMENT_H_
#define WEIR_STREAM_INTERNAL_SEGMENT_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "absl/base/optimization.h"

#include "weir/stream/segment_pool.h"

namespace weir {
inline namespace v0 {
namespace internal {

// States of a slot. Before it is ready it has any of the first three flags, set
// by compare-exchange; then its writer exchanges it to kReady, and gets them.
//
//   kEmpty, kSleepers, kArmed, kDead  --writer-->  kReady | kEnded
enum SlotState : uint32_t {
  kEmpty = 0,
  kSleepers = 1,  // Readers sleep on it: the writer wakes one.
  kArmed = 2,     // Waiters may be armed for it: the writer wakes those.
  kDead = 4,      // Its segment is dead: the writer goes on with its eviction.
  kReady = 8,     // It has an event.
  kEnded = 16,    // It has none: the log ends here.
};

inline bool IsReady(uint32_t state) { return state >= kReady; }

// One event of a log.
template <typename E>
struct Slot {
  // The writer's exchange, or for later slots of a batch its store, releases
  // the event to readers' acquire loads. The exchange also acquires what those
  // did who set a flag, by a compare-exchange that releases.
  std::atomic<uint32_t> state{kEmpty};
  uint32_t mode;
  // Two slots share a cache line, no slot needs two.
  alignas(std::max(alignof(E), alignof(uint64_t)))
      std::byte storage[std::max(sizeof(E), size_t{24})];

  void Fill(uint32_t event_mode, E&& event) noexcept {
    mode = event_mode;
    new (storage) E(std::move(event));
  }

  const E& event() const {
    return *std::launder(reinterpret_cast<const E*>(storage));
  }

  // Sets `flag` unless the slot is ready, and returns the state then. Always a
  // read-modify-write, even if the flag is there: so the writer's exchange,
  // which comes later in the order of this word, acquires what this releases,
  // whoever set a flag first.
  uint32_t Flag(uint32_t flag) {
    uint32_t seen = state.load(std::memory_order_acquire);
    while (!internal::IsReady(seen)) {
      if (state.compare_exchange_weak(seen, seen | flag,
                                      std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        return seen | flag;
      }
    }
    return seen;
  }
};

// Adds a reference, unless there are none.
inline bool AddUnlessZero(std::atomic<uint32_t>& count) {
  // Relaxed: the caller has the address by an acquire load of the directory.
  uint32_t seen = count.load(std::memory_order_relaxed);
  while (seen != 0) {
    if (count.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed,
                                    std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

// Segment: a block of slots, which follow it in memory.
//
// Lifetime:  two counts. While `refs` is not 0 the log has its events; then it
//            is evicted, and while `pins` is not 0 its memory and events stay.
//            Both end at 0: AddUnlessZero().
template <typename E>
struct alignas(ABSL_CACHELINE_SIZE) Segment {
  static_assert(alignof(E) <= ABSL_CACHELINE_SIZE,
                "events are aligned to a cache line at most");

  Segment(uint64_t of, uint64_t first_index, uint32_t count)
      : number(of), first(first_index), size(count), refs(of == 0 ? 1 : 2) {
    for (uint32_t i = 0; i < count; ++i) new (slots() + i) Slot<E>;
  }

  static constexpr size_t Bytes(uint32_t slots) {
    return sizeof(Segment) + slots * sizeof(Slot<E>);
  }

  // In the memory of `used`, an old one of this size, or else from `pool`, or
  // from the heap.
  static Segment* New(Segment* used, SegmentPool* pool, uint64_t of,
                      uint64_t first_index, uint32_t count) noexcept {
    const size_t bytes = Bytes(count);
    void* memory = used;
    if (memory == nullptr) {
      memory = pool != nullptr
                   ? pool->Allocate(bytes)
                   : ::operator new (bytes, std::align_val_t{alignof(Segment)});
    }
    return new (memory) Segment(of, first_index, count);
  }

  // Without its events.
  static void Free(SegmentPool* pool, Segment* segment) noexcept {
    const size_t bytes = Bytes(segment->size);
    if (pool != nullptr) return pool->Free(segment, bytes);
    ::operator delete (segment, std::align_val_t{alignof(Segment)});
  }

  Slot<E>* slots() { return reinterpret_cast<Slot<E>*>(this + 1); }

  // Nobody else has it.
  void DestroyEvents() noexcept {
    for (uint32_t i = 0; i < size; ++i) {
      Slot<E>& slot = slots()[i];
      // Relaxed: the counts that led here acquired it.
      if (slot.state.load(std::memory_order_relaxed) == kReady) {
        std::destroy_at(&slot.event());
      }
    }
  }

  const uint64_t number;
  const uint64_t first;  // Index of its first slot.
  const uint32_t size;

  // One for the log, until its floor is above; one for the segment before,
  // until that is evicted, so that who holds a segment has all that follow; and
  // one for each strict reader in it. Taken away with acquire and release: who
  // evicts comes after all who used it.
  std::atomic<uint32_t> refs;

  // One for all of `refs`, and one for each lossy reader in it. As above.
  std::atomic<uint32_t> pins{1};

  Segment* next = nullptr;  // Owned by the Gate that keeps it.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_SEGMENT_H_
