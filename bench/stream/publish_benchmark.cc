// What does publishing cost? To a log that nobody reads; with a reader that
// keeps up, one event at a time and in batches, against the two atomic
// operations that take most of it; to a log that keeps all, from a
// warm pool and from the heap, against a vector with a lock; with up to 1,000
// readers that do not read, against a queue for each; and all of it with the
// reading, on one worker, against the queues of baselines.h.
//
// per_event is the time of one event. Where an iteration's time is "manual",
// what is not publishing is left out of it.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/stream/baselines.h"
#include "bench/stream/feeds.h"
#include "bench/support/allocation_count.h"
#include "bench/support/check.h"
#include "bench/support/process.h"
#include "bench/support/stopwatch.h"
#include "benchmark/benchmark.h"

#include "weir/stream/cursor.h"
#include "weir/stream/event_log.h"
#include "weir/stream/segment_pool.h"

namespace weir {
namespace {

// For all of stream_benchmark.
const SteadyProcess kSteadyProcess;

constexpr uint32_t kMode = 1;
constexpr uint32_t kOtherMode = 2;

// Nobody wants the event, and nothing is done but to find that out.
void BM_EventLog_PublishUnwanted(benchmark::State& state) {
  EventLog<Payload> log;
  std::optional<Cursor<Payload>> reader;
  if (state.range(0) != 0) {
    absl::StatusOr<Cursor<Payload>> other = log.Attach({.mask = kOtherMode});
    if (!Succeeded(state, other)) return;
    reader = *std::move(other);
  }
  uint64_t made = 0;
  const auto publish = [&log, &made] {
    benchmark::DoNotOptimize(
        log.Publish(kMode, [&made] { return MakePayload(++made); }));
  };
  const int64_t allocations = CountAllocations(publish);
  for (auto _ : state) publish();
  if (!Equal(state, static_cast<int64_t>(made + log.next_id()), 0)) return;
  if (!Equal(state, allocations, 0)) return;
}
BENCHMARK(BM_EventLog_PublishUnwanted)
    ->ArgName("of_other_mode")
    ->Arg(0)
    ->Arg(1)
    ->UseRealTime();

// To a reader that has read all, in a log that has run for long.
void BM_EventLog_PublishHot(benchmark::State& state) {
  constexpr int kEvents = 1024;
  SegmentPool pool;
  EventLog<Payload> log({.pool = &pool});
  absl::StatusOr<Cursor<Payload>> reader = log.Attach();
  if (!Succeeded(state, reader)) return;
  std::array<BatchEvent<Payload>, 16> batch;
  for (size_t i = 0; i < batch.size(); ++i) batch[i] = {kMode, MakePayload(i)};
  uint64_t want = 0;
  uint64_t got = 0;
  for (auto _ : state) {
    state.SetIterationTime(Seconds([&] {
      if (state.range(0) == 1) {
        for (uint64_t i = 0; i < kEvents; ++i) {
          log.Publish(kMode, MakePayload(i));
        }
      } else {
        for (size_t i = 0; i < kEvents / batch.size(); ++i) {
          log.PublishBatch(batch);
        }
      }
    }));
    want += state.range(0) == 1
                ? SumOfPayloads(kEvents)
                : kEvents / batch.size() * SumOfPayloads(batch.size());
    while (const auto entry = reader->TryNext()) got += entry->Sum();
  }
  if (!Equal(state, static_cast<int64_t>(got), static_cast<int64_t>(want))) {
    return;
  }
  state.counters["per_event"] = TimePer(kEvents);
}
BENCHMARK(BM_EventLog_PublishHot)
    ->ArgName("batch")
    ->Arg(1)
    ->Arg(16)
    ->UseManualTime();

// What a publish cannot do without, whoever wrote it: a claim by fetch_add, the
// event, and an exchange that says it is there, in slots that the core has.
void BM_Floor_PublishHot(benchmark::State& state) {
  struct Slot {
    std::atomic<uint32_t> ready{0};
    uint32_t mode = 0;
    Payload payload;
  };
  std::vector<Slot> slots(1024);
  std::atomic<uint64_t> claim{0};
  for (auto _ : state) {
    const uint64_t at = claim.fetch_add(1, std::memory_order_acq_rel);
    Slot& slot = slots[at % slots.size()];
    slot.mode = kMode;
    slot.payload = MakePayload(at);
    benchmark::DoNotOptimize(slot.ready.exchange(1, std::memory_order_acq_rel));
  }
}
BENCHMARK(BM_Floor_PublishHot)->UseRealTime();

// To a log that keeps all; each iteration makes one and lets it go. 60,000
// events are what a pool gives again and again without the system: it keeps one
// slab; with more of them it takes some from the system each time.
void BM_EventLog_PublishKept(benchmark::State& state) {
  const int64_t events = state.range(0);
  SegmentPool pool;
  int64_t faults = 0;
  size_t slab_bytes = 0;
  const auto publish = [&] {
    EventLog<Payload> log(
        {.resumable = true, .pool = state.range(1) != 0 ? &pool : nullptr});
    const int64_t faults_before = PageFaults();
    const double seconds = Seconds([&] {
      for (int64_t i = 0; i < events; ++i) {
        log.Publish(kMode, MakePayload(static_cast<uint64_t>(i)));
      }
    });
    faults += PageFaults() - faults_before;
    slab_bytes = pool.slab_bytes();
    return seconds;
  };
  publish();
  faults = 0;
  for (auto _ : state) state.SetIterationTime(publish());
  state.counters["per_event"] = TimePer(events);
  state.counters["page_faults"] = benchmark::Counter(
      static_cast<double>(faults), benchmark::Counter::kAvgIterations);
  if (slab_bytes == 0) return;
  state.counters["bytes_per_event"] =
      static_cast<double>(slab_bytes) / static_cast<double>(events);
}
BENCHMARK(BM_EventLog_PublishKept)
    ->ArgNames({"events", "pool"})
    ->Args({60'000, 1})
    ->Args({1'000'000, 1})
    ->Args({60'000, 0})
    ->Args({1'000'000, 0})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

void BM_MutexLog_PublishKept(benchmark::State& state) {
  const int64_t events = state.range(0);
  for (auto _ : state) {
    MutexLogFeed log({});
    state.SetIterationTime(Seconds([&] {
      for (int64_t i = 0; i < events; ++i) {
        log.Publish(0, MakePayload(static_cast<uint64_t>(i)));
      }
    }));
  }
  state.counters["per_event"] = TimePer(events);
}
BENCHMARK(BM_MutexLog_PublishKept)
    ->ArgName("events")
    ->Arg(60'000)
    ->Arg(1'000'000)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

// To readers of which none reads.
template <class Feed>
void BM_PublishIdle(benchmark::State& state) {
  const int64_t events = state.range(1);
  SegmentPool pool;
  const auto publish = [&] {
    Feed feed({.readers = static_cast<int>(state.range(0)), .pool = &pool});
    return Seconds([&] {
      for (int64_t i = 0; i < events; ++i) {
        feed.Publish(0, MakePayload(static_cast<uint64_t>(i)));
      }
    });
  };
  publish();
  for (auto _ : state) state.SetIterationTime(publish());
  state.counters["per_event"] = TimePer(events);
}

// As many events for 1 and 16 readers, and for 1,000.
template <int64_t kFew, int64_t kMany>
void IdleReaders(benchmark::internal::Benchmark* row) {
  row->ArgNames({"readers", "events"})
      ->Args({1, kFew})
      ->Args({16, kFew})
      ->Args({1000, kMany})
      ->UseManualTime()
      ->MinTime(0.2)
      ->Unit(benchmark::kMicrosecond);
}
BENCHMARK(BM_PublishIdle<EventLogFeed<0>>)
    ->Name("BM_EventLog_PublishIdle")
    ->Apply(IdleReaders<50'000, 50'000>);
BENCHMARK(BM_PublishIdle<DequeFeed>)
    ->Name("BM_Deque_PublishIdle")
    ->Apply(IdleReaders<20'000, 1'000>);
#ifdef WEIR_BENCH_CONCURRENTQUEUE
BENCHMARK(BM_PublishIdle<MoodycamelFeed>)
    ->Name("BM_Moodycamel_PublishIdle")
    ->Apply(IdleReaders<20'000, 1'000>);
#endif

// On one worker: publishes some, reads them.
template <class Feed>
void BM_PublishAndRead(benchmark::State& state) {
  constexpr int kEvents = 64;
  SegmentPool pool;
  Feed feed({.pool = &pool});
  uint64_t sum = 0;
  for (auto _ : state) {
    for (uint64_t i = 0; i < kEvents; ++i) feed.Publish(0, MakePayload(i));
    feed.Read(0, kEvents, [&sum](const Payload& p) { sum += p.Sum(); });
  }
  const auto want =
      static_cast<uint64_t>(state.iterations()) * SumOfPayloads(kEvents);
  if (!Equal(state, static_cast<int64_t>(sum), static_cast<int64_t>(want))) {
    return;
  }
  state.counters["per_event"] = TimePer(kEvents);
}
void OneWorker(benchmark::internal::Benchmark* row) {
  row->UseRealTime()->MinTime(0.2);
}
BENCHMARK(BM_PublishAndRead<EventLogFeed<0>>)
    ->Name("BM_EventLog_PublishAndRead")
    ->Apply(OneWorker);
BENCHMARK(BM_PublishAndRead<EventLogFeed<kBound>>)
    ->Name("BM_EventLogBounded_PublishAndRead")
    ->Apply(OneWorker);
BENCHMARK(BM_PublishAndRead<RingFeed>)
    ->Name("BM_Ring_PublishAndRead")
    ->Apply(OneWorker);
BENCHMARK(BM_PublishAndRead<DequeFeed>)
    ->Name("BM_Deque_PublishAndRead")
    ->Apply(OneWorker);
BENCHMARK(BM_PublishAndRead<TbbQueueFeed>)
    ->Name("BM_TbbQueue_PublishAndRead")
    ->Apply(OneWorker);
BENCHMARK(BM_PublishAndRead<TbbBoundedQueueFeed>)
    ->Name("BM_TbbBoundedQueue_PublishAndRead")
    ->Apply(OneWorker);
#ifdef WEIR_BENCH_CONCURRENTQUEUE
BENCHMARK(BM_PublishAndRead<MoodycamelFeed>)
    ->Name("BM_Moodycamel_PublishAndRead")
    ->Apply(OneWorker);
#endif
#ifdef WEIR_BENCH_BOOST
BENCHMARK(BM_PublishAndRead<BoostSpscFeed>)
    ->Name("BM_BoostSpsc_PublishAndRead")
    ->Apply(OneWorker);
#endif

}  // namespace
}  // namespace weir
