#include "bench/support/allocation_count.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

// Both are written by CountAllocations() and read by operator new, relaxed:
// work that was handed to another worker was synchronised by the hand-over.
//
// Whether to count: so that code being timed pays for one load.
constinit std::atomic<bool> counting = false;
constinit std::atomic<int64_t> allocations = 0;

void* Allocate(size_t size, size_t alignment) {
  if (counting.load(std::memory_order_relaxed)) {
    allocations.fetch_add(1, std::memory_order_relaxed);
  }
  if (size == 0) size = 1;
  void* memory = alignment <= alignof(std::max_align_t)
                     ? std::malloc(size)
                     : std::aligned_alloc(alignment, (size + alignment - 1) /
                                                         alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// The array and nothrow forms call these.
void* operator new(size_t size) { return Allocate(size, 1); }
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace weir {

int64_t CountAllocations(absl::FunctionRef<void()> work) {
  const int64_t before = allocations.load(std::memory_order_relaxed);
  counting.store(true, std::memory_order_relaxed);
  work();
  counting.store(false, std::memory_order_relaxed);
  return allocations.load(std::memory_order_relaxed) - before;
}

}  // namespace weir
