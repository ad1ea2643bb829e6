#include "weir/stream/segment_pool.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cassert>
#include <exception>
#include <new>
#include <utility>

#include "absl/base/optimization.h"

namespace weir {
inline namespace v0 {
namespace {

constexpr size_t kSlabBytes = size_t{2} << 20;
// A header of one line and 1,024 slots of 32 bytes.
constexpr size_t kBlockBytes = ABSL_CACHELINE_SIZE + size_t{1024} * 32;

#if defined(__linux__)

void* MapSlab() {
  // Twice as much as is needed holds an aligned one.
  void* const mapped = mmap(nullptr, 2 * kSlabBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) std::terminate();
  char* const from = static_cast<char*>(mapped);
  const size_t before =
      (kSlabBytes - reinterpret_cast<uintptr_t>(from)) % kSlabBytes;
  if (before != 0) munmap(from, before);
  munmap(from + before + kSlabBytes, kSlabBytes - before);
  madvise(from + before, kSlabBytes, MADV_HUGEPAGE);  // Else small pages do.
  return from + before;
}

void UnmapSlab(void* slab) { munmap(slab, kSlabBytes); }

#else

void* MapSlab() {
  return ::operator new (kSlabBytes, std::align_val_t{kSlabBytes});
}

void UnmapSlab(void* slab) {
  ::operator delete (slab, std::align_val_t{kSlabBytes});
}

#endif

}  // namespace

struct SegmentPool::Block {
  Block* next;
};

// At the start of its memory.
struct alignas(ABSL_CACHELINE_SIZE) SegmentPool::Slab {
  static constexpr size_t kBlocks =
      (kSlabBytes - ABSL_CACHELINE_SIZE) / kBlockBytes;

  static Slab* Of(void* block) {
    const size_t offset = reinterpret_cast<uintptr_t>(block) % kSlabBytes;
    return reinterpret_cast<Slab*>(static_cast<char*>(block) - offset);
  }

  bool full() const { return used == kBlocks; }

  void* Take() {
    ++used;
    if (free != nullptr) return std::exchange(free, free->next);
    return reinterpret_cast<char*>(this + 1) + kBlockBytes * carved++;
  }

  Slab* previous = nullptr;
  Slab* next = nullptr;
  Block* free = nullptr;
  size_t carved = 0;  // Blocks that were taken at least once.
  size_t used = 0;
};

SegmentPool::~SegmentPool() {
  assert(in_use() == 0);
  const absl::MutexLock lock(&mutex_);
  for (std::atomic<void*>& spare : spare_) {
    void* const memory = spare.exchange(nullptr, std::memory_order_acquire);
    if (memory != nullptr) GiveBack(memory);
  }
  while (with_room_ != nullptr) {
    Slab* const slab = with_room_;
    Unlink(slab);
    UnmapSlab(slab);
  }
}

void* SegmentPool::Allocate(size_t bytes) noexcept {
  in_use_.fetch_add(1, std::memory_order_relaxed);
  if (bytes != kBlockBytes) {
    return ::operator new (bytes, std::align_val_t{ABSL_CACHELINE_SIZE});
  }
  for (std::atomic<void*>& spare : spare_) {
    if (spare.load(std::memory_order_relaxed) == nullptr) continue;
    void* const memory = spare.exchange(nullptr, std::memory_order_acquire);
    if (memory != nullptr) return memory;
  }
  const absl::MutexLock lock(&mutex_);
  return Carve();
}

void SegmentPool::Free(void* memory, size_t bytes) noexcept {
  in_use_.fetch_sub(1, std::memory_order_relaxed);
  if (bytes != kBlockBytes) {
    return ::operator delete (memory, std::align_val_t{ABSL_CACHELINE_SIZE});
  }
  for (std::atomic<void*>& spare : spare_) {
    void* none = spare.load(std::memory_order_relaxed);
    if (none == nullptr &&
        spare.compare_exchange_strong(none, memory, std::memory_order_release,
                                      std::memory_order_relaxed)) {
      return;
    }
  }
  const absl::MutexLock lock(&mutex_);
  GiveBack(memory);
}

size_t SegmentPool::slab_bytes() const {
  const absl::MutexLock lock(&mutex_);
  return slabs_ * kSlabBytes;
}

void* SegmentPool::Carve() {
  if (with_room_ == nullptr) {
    Link(new (MapSlab()) Slab);
    ++slabs_;
    ++empty_slabs_;
  }
  Slab* const slab = with_room_;
  if (slab->used == 0) --empty_slabs_;
  void* const memory = slab->Take();
  if (slab->full()) Unlink(slab);
  return memory;
}

void SegmentPool::GiveBack(void* memory) {
  Slab* const slab = Slab::Of(memory);
  if (slab->full()) Link(slab);
  slab->free = new (memory) Block{slab->free};
  if (--slab->used != 0) return;
  if (empty_slabs_ == 0) {
    ++empty_slabs_;
    return;
  }
  Unlink(slab);
  UnmapSlab(slab);
  --slabs_;
}

void SegmentPool::Link(Slab* slab) {
  slab->previous = nullptr;
  slab->next = with_room_;
  if (with_room_ != nullptr) with_room_->previous = slab;
  with_room_ = slab;
}

void SegmentPool::Unlink(Slab* slab) {
  (slab->previous == nullptr ? with_room_ : slab->previous->next) = slab->next;
  if (slab->next != nullptr) slab->next->previous = slab->previous;
}

}  // namespace v0
}  // namespace weir
