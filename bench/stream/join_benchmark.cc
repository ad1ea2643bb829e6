// What does it cost to come, to go, and to read what was? A reader that comes
// and goes, to a log that has run and to a new one; a join at any of a million
// events, with the first event read; and the replay of all of them, against
// that of a vector with a lock, which copies out under it. Both also against a
// loop over plain memory.

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "bench/stream/baselines.h"
#include "bench/stream/feeds.h"
#include "bench/support/check.h"
#include "bench/support/stopwatch.h"
#include "benchmark/benchmark.h"

#include "weir/stream/cursor.h"
#include "weir/stream/event_log.h"
#include "weir/stream/segment_pool.h"

namespace weir {
namespace {

constexpr int64_t kKept = 1'000'000;

void Fill(EventLog<Payload>& log) {
  for (uint64_t i = 0; i < kKept; ++i) log.Publish(1, MakePayload(i));
}

// A million events side by side, each with what a log has to look at before it
// gives one away: what the machine's memory allows.
class PlainSlots {
 public:
  struct Slot {
    std::atomic<uint32_t> state{1};
    uint32_t mode = 1;
    Payload payload;
  };

  PlainSlots() : slots_(Allocate()) {
    for (uint64_t i = 0; i < kKept; ++i) {
      new (&slots_[i]) Slot{.payload = MakePayload(i)};
    }
  }
  const Slot& operator[](uint64_t i) const { return slots_[i]; }

 private:
  static Slot* Allocate() {
    constexpr size_t kHugePage = size_t{2} << 20;
    constexpr size_t kBytes =
        (kKept * sizeof(Slot) + kHugePage - 1) / kHugePage * kHugePage;
    void* const memory = std::aligned_alloc(kHugePage, kBytes);
    if (memory == nullptr) std::abort();
#if defined(__linux__)
    madvise(memory, kBytes, MADV_HUGEPAGE);  // As a SegmentPool's is.
#endif
    return static_cast<Slot*>(memory);
  }

  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  const std::unique_ptr<Slot[], Free> slots_;
};

// Abseil's mutexes look for deadlocks unless it was built with NDEBUG; Debian's
// was not. A program may turn that off.
void BM_EventLog_AttachAndLeave(benchmark::State& state) {
  EventLog<Payload> log;
  if (state.range(0) == 0) {
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  }
  for (auto _ : state) {
    absl::StatusOr<Cursor<Payload>> reader = log.Attach();
    if (!Succeeded(state, reader)) break;
  }
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kAbort);
}
BENCHMARK(BM_EventLog_AttachAndLeave)
    ->ArgName("deadlock_detection")
    ->Arg(0)
    ->Arg(1)
    ->UseRealTime();

// The first reader has the first segment made.
void BM_EventLog_FirstAttach(benchmark::State& state) {
  constexpr int kLogs = 256;
  for (auto _ : state) {
    std::vector<std::unique_ptr<EventLog<Payload>>> logs(kLogs);
    for (auto& log : logs) log = std::make_unique<EventLog<Payload>>();
    std::vector<absl::StatusOr<Cursor<Payload>>> readers;
    readers.reserve(kLogs);
    state.SetIterationTime(Seconds([&logs, &readers] {
      for (const auto& log : logs) readers.push_back(log->Attach());
    }));
    for (const auto& reader : readers) {
      if (!Succeeded(state, reader)) return;
    }
  }
  state.counters["per_log"] = TimePer(kLogs);
}
BENCHMARK(BM_EventLog_FirstAttach)
    ->UseManualTime()
    ->MinTime(0.1)
    ->Unit(benchmark::kMicrosecond);

// Comes after any event, reads the next and leaves.
void BM_EventLog_JoinAnywhere(benchmark::State& state) {
  SegmentPool pool;
  EventLog<Payload> log({.resumable = true, .pool = &pool});
  Fill(log);
  std::minstd_rand random(1);
  for (auto _ : state) {
    const auto after = static_cast<int64_t>(random() % (kKept - 1));
    absl::StatusOr<Cursor<Payload>> reader = log.Attach({.after = after});
    if (!Succeeded(state, reader)) return;
    const auto entry = reader->TryNext();
    if (!entry) return state.SkipWithError("no event");
    if (!Equal(state, static_cast<int64_t>(entry->number), after + 1)) return;
  }
}
BENCHMARK(BM_EventLog_JoinAnywhere)->UseRealTime();

// Where to look next is read from where it looks.
void BM_Floor_JoinAnywhere(benchmark::State& state) {
  const PlainSlots slots;
  std::minstd_rand random(1);
  uint64_t at = 0;
  for (auto _ : state) {
    at = (at + random()) % kKept;
    const PlainSlots::Slot& slot = slots[at];
    if (slot.state.load(std::memory_order_acquire) != 1) return;
    at = slot.payload.number;
  }
}
BENCHMARK(BM_Floor_JoinAnywhere)->UseRealTime();

void BM_EventLog_Replay(benchmark::State& state) {
  SegmentPool pool;
  EventLog<Payload> log({.resumable = true, .pool = &pool});
  Fill(log);
  log.Close(absl::OkStatus());
  for (auto _ : state) {
    absl::StatusOr<Cursor<Payload>> reader = log.Attach({.after = -1});
    if (!Succeeded(state, reader)) return;
    uint64_t sum = 0;
    while (const auto entry = reader->Next()) sum += entry->Sum();
    if (!Equal(state, static_cast<int64_t>(sum),
               static_cast<int64_t>(SumOfPayloads(kKept)))) {
      return;
    }
  }
  state.SetItemsProcessed(state.iterations() * kKept);
  state.counters["bytes_per_event"] =
      static_cast<double>(pool.slab_bytes()) / static_cast<double>(kKept);
}
BENCHMARK(BM_EventLog_Replay)->UseRealTime()->Unit(benchmark::kMicrosecond);

void BM_Floor_Replay(benchmark::State& state) {
  const PlainSlots slots;
  uint32_t mask = 1;
  for (auto _ : state) {
    benchmark::DoNotOptimize(mask);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < kKept; ++i) {
      const PlainSlots::Slot& slot = slots[i];
      if (slot.state.load(std::memory_order_acquire) != 1) break;
      if ((slot.mode & mask) != 0) sum += slot.payload.Sum();
    }
    if (!Equal(state, static_cast<int64_t>(sum),
               static_cast<int64_t>(SumOfPayloads(kKept)))) {
      return;
    }
  }
  state.SetItemsProcessed(state.iterations() * kKept);
}
BENCHMARK(BM_Floor_Replay)->UseRealTime()->Unit(benchmark::kMicrosecond);

void BM_MutexLog_Replay(benchmark::State& state) {
  MutexLogFeed log({});
  for (uint64_t i = 0; i < kKept; ++i) log.Publish(0, MakePayload(i));
  for (auto _ : state) {
    log.Rewind(0);
    uint64_t sum = 0;
    log.Read(0, kKept, [&sum](const Payload& p) { sum += p.Sum(); });
    if (!Equal(state, static_cast<int64_t>(sum),
               static_cast<int64_t>(SumOfPayloads(kKept)))) {
      return;
    }
  }
  state.SetItemsProcessed(state.iterations() * kKept);
}
BENCHMARK(BM_MutexLog_Replay)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace weir
