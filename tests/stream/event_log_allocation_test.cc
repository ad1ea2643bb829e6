// What publishing allocates. This program's operator new counts, on every
// thread.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "gtest/gtest.h"

#include "weir/stream/cursor.h"
#include "weir/stream/event_log.h"
#include "weir/stream/segment_pool.h"
#include "weir/stream/wait.h"

namespace {

// Written by operator new. Relaxed: one worker.
constinit std::atomic<int64_t> allocations = 0;

void* TryAllocate(size_t size, size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (size == 0) size = 1;
  return alignment <= alignof(std::max_align_t)
             ? std::malloc(size)
             : std::aligned_alloc(
                   alignment, (size + alignment - 1) / alignment * alignment);
}

void* Allocate(size_t size, std::align_val_t alignment = {}) {
  void* memory = TryAllocate(size, static_cast<size_t>(alignment));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// All forms: those that are not here would be a sanitizer's, which has all of
// them and does not call one from another.
using Alignment = std::align_val_t;
using NoThrow = const std::nothrow_t&;
void* operator new(size_t n) { return Allocate(n); }
void* operator new[](size_t n) { return Allocate(n); }
void* operator new(size_t n, Alignment a) { return Allocate(n, a); }
void* operator new[](size_t n, Alignment a) { return Allocate(n, a); }
void* operator new(size_t n, NoThrow) noexcept { return TryAllocate(n, 1); }
void* operator new[](size_t n, NoThrow) noexcept { return TryAllocate(n, 1); }
void* operator new(size_t n, Alignment a, NoThrow) noexcept {
  return TryAllocate(n, static_cast<size_t>(a));
}
void* operator new[](size_t n, Alignment a, NoThrow) noexcept {
  return TryAllocate(n, static_cast<size_t>(a));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, Alignment) noexcept { std::free(p); }
void operator delete[](void* p, Alignment) noexcept { std::free(p); }
void operator delete(void* p, size_t, Alignment) noexcept { std::free(p); }
void operator delete[](void* p, size_t, Alignment) noexcept { std::free(p); }
void operator delete(void* p, NoThrow) noexcept { std::free(p); }
void operator delete[](void* p, NoThrow) noexcept { std::free(p); }
void operator delete(void* p, Alignment, NoThrow) noexcept { std::free(p); }
void operator delete[](void* p, Alignment, NoThrow) noexcept { std::free(p); }

namespace weir {
namespace {

using Event = std::array<uint64_t, 3>;

int64_t CountAllocations(absl::FunctionRef<void()> work) {
  const int64_t before = allocations.load(std::memory_order_relaxed);
  work();
  return allocations.load(std::memory_order_relaxed) - before;
}

class NoWaiter final : public Waiter {
 public:
  void Wake() noexcept override {}
};

TEST(EventLogAllocationTest, UnwatchedLogAllocatesItselfAlone) {
  std::optional<EventLog<Event>> log;
  EXPECT_EQ(CountAllocations([&log] { log.emplace(); }), 1);
  EXPECT_EQ(CountAllocations([&log] {
              for (int i = 0; i < 1000; ++i) log->Publish(1, Event{});
              log->Close(absl::OkStatus(), Event{});
              log.reset();
            }),
            0);
}

TEST(EventLogAllocationTest, EventOfAnUnwantedModeAllocatesNothing) {
  EventLog<Event> log;
  const Cursor<Event> cursor = *log.Attach({.mask = 2});
  EXPECT_EQ(CountAllocations([&log] {
              for (int i = 0; i < 1000; ++i) log.Publish(1, Event{});
            }),
            0);
}

TEST(EventLogAllocationTest, ComingAndGoingAllocatesNothing) {
  EventLog<Event> log;
  const Cursor<Event> cursor = *log.Attach();
  log.Publish(1, Event{});
  EXPECT_EQ(CountAllocations([&log] {
              for (int i = 0; i < 1000; ++i) (void)*log.Attach();
            }),
            0);
}

TEST(EventLogAllocationTest, ReaderThatKeepsUpLetsSegmentsBeUsedAgain) {
  EventLog<Event> log;
  Cursor<Event> cursor = *log.Attach();
  const auto publish = [&log, &cursor](uint64_t events) {
    for (uint64_t i = 0; i < events; ++i) {
      log.Publish(1, Event{i});
      EXPECT_EQ((*cursor.TryNext())[0], i);
    }
  };
  publish(8000);
  // What is left are the directory's blocks.
  EXPECT_LE(CountAllocations([&publish] { publish(1000000); }), 4);
}

TEST(EventLogAllocationTest, ArmedReadersThatComeAndGoLeaveNothingBehind) {
  EventLog<Event> log;
  const auto visit = [&log] {
    NoWaiter waiter;
    Cursor<Event> cursor = *log.Attach();
    EXPECT_TRUE(cursor.Arm(&waiter));
  };
  visit();
  EXPECT_EQ(CountAllocations([&visit] {
              for (int i = 0; i < 1000; ++i) visit();
            }),
            0);
}

}  // namespace
}  // namespace weir
