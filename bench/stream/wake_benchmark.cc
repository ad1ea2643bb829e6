// What does it cost to wake readers, and how long do events take? A publish
// that finds 1, 4 and 16 readers asleep, against a lock and a condition for
// each, and against one bare wake of the system; one that finds 1,000 readers
// armed, against one enqueue to their arena; and a ball passed to and fro
// between two workers, who sleep or spin.
//
// A publish is measured when all other workers of the process are asleep. With
// few cores those that it wakes soon run in its place: own_time leaves that
// out.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "bench/stream/baselines.h"
#include "bench/stream/feeds.h"
#include "bench/support/check.h"
#include "bench/support/process.h"
#include "bench/support/stopwatch.h"
#include "benchmark/benchmark.h"
#include "oneapi/tbb/task_arena.h"

#include "weir/stream/cursor.h"
#include "weir/stream/event_log.h"
#include "weir/stream/wait.h"

namespace weir {
namespace {

// Until all other workers have counted to `count` and sleep.
void WaitForSleepers(const std::atomic<int64_t>& counter, int64_t count) {
  // Acquire: what they did before they counted.
  while (counter.load(std::memory_order_acquire) < count) {
    std::this_thread::yield();
  }
  WaitUntilOthersSleep();
}

// Times `work` as an iteration, and counts what the worker itself computed.
void TimeWork(benchmark::State& state, absl::FunctionRef<void()> work) {
  const double before = OwnSeconds();
  state.SetIterationTime(Seconds(work));
  state.counters["own_time"].value += OwnSeconds() - before;
  state.counters["own_time"].flags = benchmark::Counter::kAvgIterations;
}

template <class Feed>
void BM_PublishWaking(benchmark::State& state) {
  const int64_t readers = state.range(0);
  Feed feed({.readers = static_cast<int>(readers)});
  std::atomic<int64_t> read{0};
  std::atomic<uint64_t> sum{0};  // Relaxed: joining publishes it.
  std::vector<std::jthread> workers;
  workers.reserve(static_cast<size_t>(readers));
  for (int reader = 0; reader < static_cast<int>(readers); ++reader) {
    workers.emplace_back([&feed, &read, &sum, reader] {
      for (bool stop = false; !stop;) {
        feed.Read(reader, 1, [&sum, &stop](const Payload& payload) {
          stop = payload.number == kStop;
          if (!stop) sum.fetch_add(payload.Sum(), std::memory_order_relaxed);
        });
        read.fetch_add(1, std::memory_order_release);
      }
    });
  }
  int64_t published = 0;
  for (auto _ : state) {
    WaitForSleepers(read, published * readers);
    const Payload payload = MakePayload(static_cast<uint64_t>(published++));
    TimeWork(state, [&feed, &payload] { feed.Publish(0, payload); });
  }
  WaitForSleepers(read, published * readers);
  feed.Publish(0, MakePayload(kStop));
  workers.clear();
  Equal(state, static_cast<int64_t>(sum.load(std::memory_order_relaxed)),
        readers * static_cast<int64_t>(SumOfPayloads(published)));
}
void Sleepers(benchmark::internal::Benchmark* row) {
  row->ArgName("readers")->Iterations(500)->UseManualTime();
}
BENCHMARK(BM_PublishWaking<EventLogFeed<0>>)
    ->Name("BM_EventLog_PublishWaking")
    ->Apply(Sleepers)
    ->Arg(1)
    ->Arg(4)
    ->Arg(16);
BENCHMARK(BM_PublishWaking<WakeFeed>)
    ->Name("BM_Wake_PublishWaking")
    ->Apply(Sleepers)
    ->Arg(1);
BENCHMARK(BM_PublishWaking<DequeFeed>)
    ->Name("BM_Deque_PublishWaking")
    ->Apply(Sleepers)
    ->Arg(1)
    ->Arg(4)
    ->Arg(16);
#ifdef WEIR_BENCH_CONCURRENTQUEUE
BENCHMARK(BM_PublishWaking<MoodycamelFeed>)
    ->Name("BM_Moodycamel_PublishWaking")
    ->Apply(Sleepers)
    ->Arg(1)
    ->Arg(4)
    ->Arg(16);
#endif

// A reader in an arena: woken, it counts.
class ArmedReader final : public Waiter {
 public:
  ArmedReader(Cursor<Payload> cursor, tbb::task_arena& arena,
              std::atomic<int64_t>& woken)
      : Waiter(&arena),
        cursor_(std::move(cursor)),
        arena_(arena),
        woken_(woken) {}

  bool Arm() { return cursor_.Arm(this); }
  uint64_t Read() {
    const auto entry = cursor_.TryNext();
    return entry ? entry->Sum() : 0;
  }

  void Wake() noexcept override {
    // Release: to WaitForSleepers().
    woken_.fetch_add(1, std::memory_order_release);
  }
  void WakeWith(WakeChain rest) noexcept override {
    arena_.enqueue(Job{this, std::move(rest)});
  }

 private:
  struct Job {
    void operator()() const {
      std::move(rest).WakeNext();
      reader->Wake();
    }
    ArmedReader* reader;
    mutable WakeChain rest;  // The arena has it const.
  };

  Cursor<Payload> cursor_;
  tbb::task_arena& arena_;
  std::atomic<int64_t>& woken_;
};

void BM_EventLog_PublishToArmed(benchmark::State& state) {
  const int64_t readers = state.range(0);
  tbb::task_arena arena(2);
  std::atomic<int64_t> woken{0};
  EventLog<Payload> log;
  std::vector<std::unique_ptr<ArmedReader>> armed;
  for (int64_t i = 0; i < readers; ++i) {
    absl::StatusOr<Cursor<Payload>> cursor = log.Attach();
    if (!Succeeded(state, cursor)) return;
    armed.push_back(
        std::make_unique<ArmedReader>(*std::move(cursor), arena, woken));
  }
  uint64_t sum = 0;
  int64_t published = 0;
  for (auto _ : state) {
    for (const auto& reader : armed) {
      if (!Equal(state, reader->Arm() ? 1 : 0, 1)) return;
    }
    WaitUntilOthersSleep();
    const Payload payload = MakePayload(static_cast<uint64_t>(published++));
    TimeWork(state, [&log, &payload] { log.Publish(1, payload); });
    WaitForSleepers(woken, published * readers);
    for (const auto& reader : armed) sum += reader->Read();
  }
  Equal(state, static_cast<int64_t>(sum),
        readers * static_cast<int64_t>(SumOfPayloads(published)));
}
BENCHMARK(BM_EventLog_PublishToArmed)
    ->ArgName("readers")
    ->Arg(1)
    ->Arg(1000)
    ->Iterations(200)
    ->UseManualTime();

void BM_Arena_Enqueue(benchmark::State& state) {
  tbb::task_arena arena(2);
  std::atomic<int64_t> done{0};
  int64_t enqueued = 0;
  for (auto _ : state) {
    WaitForSleepers(done, enqueued++);
    TimeWork(state, [&arena, &done] {
      arena.enqueue([&done] { done.fetch_add(1, std::memory_order_release); });
    });
  }
  WaitForSleepers(done, enqueued);
}
BENCHMARK(BM_Arena_Enqueue)->Iterations(200)->UseManualTime();

// A ball goes there and back; one_way is half of that.
template <class Feed, class Read>
void PassBall(benchmark::State& state, Read read) {
  Feed there({});
  Feed back({});
  uint64_t sum = 0;
  std::jthread echo([&there, &back, &read] {
    for (bool stop = false; !stop;) {
      read(there, [&back, &stop](const Payload& payload) {
        stop = payload.number == kStop;
        back.Publish(0, payload);
      });
    }
  });
  const auto pass = [&there, &back, &read, &sum](uint64_t number) {
    there.Publish(0, MakePayload(number));
    read(back, [&sum](const Payload& payload) { sum += payload.Sum(); });
  };
  uint64_t passed = 0;
  for (auto _ : state) pass(passed++);
  const uint64_t got = sum;
  pass(kStop);
  Equal(state, static_cast<int64_t>(got),
        static_cast<int64_t>(SumOfPayloads(static_cast<int64_t>(passed))));
  state.counters["one_way"] = TimePer(2);
}

template <class Feed>
void BM_PassBallAsleep(benchmark::State& state) {
  PassBall<Feed>(state, [](Feed& feed, auto look) { feed.Read(0, 1, look); });
}
void Ball(benchmark::internal::Benchmark* row) {
  row->UseRealTime()->MinTime(0.2);
}
BENCHMARK(BM_PassBallAsleep<EventLogFeed<0>>)
    ->Name("BM_EventLog_PassBall")
    ->Apply(Ball);
BENCHMARK(BM_PassBallAsleep<DequeFeed>)->Name("BM_Deque_PassBall")->Apply(Ball);
#ifdef WEIR_BENCH_CONCURRENTQUEUE
BENCHMARK(BM_PassBallAsleep<MoodycamelFeed>)
    ->Name("BM_Moodycamel_PassBall")
    ->Apply(Ball);
#endif

void BM_PassBallSpinning(benchmark::State& state) {
  using Feed = EventLogFeed<0>;
  PassBall<Feed>(state,
                 [](Feed& feed, auto look) { feed.SpinAndRead(0, 1, look); });
}
BENCHMARK(BM_PassBallSpinning)
    ->Name("BM_EventLog_PassBallSpinning")
    ->Apply(Ball);

}  // namespace
}  // namespace weir
