// How many events a second get from producers to readers, each on a worker of
// its own, and how much memory does that take at its peak? Each reader gets
// each event. The event log, without a bound and with back-pressure at 65,536
// events, against what is in baselines.h. bench/report.py draws the rows
// of one producer.
//
// items_per_second counts events published, from when the first producer begins
// to when the last reader has the last event. Slow ones get fewer events.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <limits>
#include <thread>
#include <vector>

#include "bench/stream/baselines.h"
#include "bench/stream/feeds.h"
#include "bench/support/check.h"
#include "bench/support/process.h"
#include "benchmark/benchmark.h"

#include "weir/stream/segment_pool.h"

namespace weir {
namespace {

using Clock = std::chrono::steady_clock;

// What one worker has to tell, when it is joined.
struct Told {
  Clock::time_point time;  // When it began to publish, or had read all.
  uint64_t sum = 0;
};

// Each producer publishes `each` events.
template <class Feed>
class Delivery {
 public:
  Delivery(const Shape& shape, int64_t each)
      : shape_(shape),
        each_(each),
        feed_(shape),
        start_(shape.producers + shape.readers),
        producers_(static_cast<size_t>(shape.producers)),
        readers_(static_cast<size_t>(shape.readers)) {}

  void Run() {
    std::vector<std::jthread> workers;
    for (size_t i = 0; i < readers_.size(); ++i) {
      workers.emplace_back([this, i] { Read(i); });
    }
    for (size_t i = 0; i < producers_.size(); ++i) {
      workers.emplace_back([this, i] { Publish(i); });
    }
  }

  double Seconds() const {
    const auto earlier = [](const auto& a, const auto& b) {
      return a.value.time < b.value.time;
    };
    const auto begin = std::ranges::min_element(producers_, earlier);
    const auto end = std::ranges::max_element(readers_, earlier);
    return std::chrono::duration<double>(end->value.time - begin->value.time)
        .count();
  }

  // Whether all readers got all.
  bool Check(benchmark::State& state) const {
    const uint64_t want =
        static_cast<uint64_t>(shape_.producers) * SumOfPayloads(each_);
    return std::ranges::all_of(readers_, [&state, want](const auto& reader) {
      return Equal(state, static_cast<int64_t>(reader.value.sum),
                   static_cast<int64_t>(want));
    });
  }

 private:
  void Publish(size_t producer) {
    start_.arrive_and_wait();
    producers_[producer].value.time = Clock::now();
    for (int64_t i = 0; i < each_; ++i) {
      feed_.Publish(static_cast<int>(producer),
                    MakePayload(static_cast<uint64_t>(i)));
    }
  }

  void Read(size_t reader) {
    start_.arrive_and_wait();
    uint64_t sum = 0;
    feed_.Read(static_cast<int>(reader), shape_.producers * each_,
               [&sum](const Payload& payload) { sum += payload.Sum(); });
    readers_[reader].value = {Clock::now(), sum};
  }

  const Shape shape_;
  const int64_t each_;
  Feed feed_;
  std::latch start_;
  std::vector<Apart<Told>> producers_;
  std::vector<Apart<Told>> readers_;
};

template <class Feed>
void BM_Deliver(benchmark::State& state) {
  SegmentPool pool;
  const Shape shape = {.producers = static_cast<int>(state.range(0)),
                       .readers = static_cast<int>(state.range(1)),
                       .pool = &pool};
  const int64_t each = state.range(2) / shape.producers;
  const PeakMemory memory;
  for (auto _ : state) {
    Delivery<Feed> delivery(shape, each);
    delivery.Run();
    if (!delivery.Check(state)) return;
    state.SetIterationTime(delivery.Seconds());
  }
  state.SetItemsProcessed(state.iterations() * each * shape.producers);
  state.counters["peak_MB"] = static_cast<double>(memory.bytes()) / 1e6;
}

// Thousands of events for 1, 4, 16 and 64 readers.
template <int64_t k1, int64_t k4, int64_t k16, int64_t k64>
void Readers(benchmark::internal::Benchmark* row) {
  row->ArgNames({"producers", "readers", "events"})
      ->Args({1, 1, k1 * 1000})
      ->Args({1, 4, k4 * 1000})
      ->Args({1, 16, k16 * 1000})
      ->Args({1, 64, k64 * 1000})
      ->Args({2, 1, k1 * 1000})
      ->Args({2, 16, k16 * 1000})
      ->Iterations(3)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}
BENCHMARK(BM_Deliver<EventLogFeed<0>>)
    ->Name("BM_EventLog_Deliver")
    ->Apply(Readers<4000, 2000, 1000, 300>);
BENCHMARK(BM_Deliver<EventLogFeed<kBound>>)
    ->Name("BM_EventLogBounded_Deliver")
    ->Apply(Readers<4000, 2000, 1000, 300>);
BENCHMARK(BM_Deliver<RingFeed>)
    ->Name("BM_Ring_Deliver")
    ->Apply(Readers<4000, 1000, 500, 300>);
BENCHMARK(BM_Deliver<DequeFeed>)
    ->Name("BM_Deque_Deliver")
    ->Apply(Readers<1000, 200, 20, 4>);
BENCHMARK(BM_Deliver<MutexLogFeed>)
    ->Name("BM_MutexLog_Deliver")
    ->Apply(Readers<1000, 300, 30, 10>);
BENCHMARK(BM_Deliver<TbbQueueFeed>)
    ->Name("BM_TbbQueue_Deliver")
    ->Apply(Readers<1000, 300, 100, 20>);
BENCHMARK(BM_Deliver<TbbBoundedQueueFeed>)
    ->Name("BM_TbbBoundedQueue_Deliver")
    ->Apply(Readers<1000, 200, 20, 4>);
#ifdef WEIR_BENCH_CONCURRENTQUEUE
BENCHMARK(BM_Deliver<MoodycamelFeed>)
    ->Name("BM_Moodycamel_Deliver")
    ->Apply(Readers<1000, 300, 50, 5>);
#endif
#ifdef WEIR_BENCH_BOOST
BENCHMARK(BM_Deliver<BoostSpscFeed>)
    ->Name("BM_BoostSpsc_Deliver")
    ->ArgNames({"producers", "readers", "events"})
    ->Args({1, 1, 4'000'000})
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
#endif

}  // namespace
}  // namespace weir
