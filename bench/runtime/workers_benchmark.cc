// Does a second worker halve the time of a superstep whose nodes compute? Eight
// nodes of 200 us of work each, on an executor with one worker and with two.
// Compared with two OS threads that share the eight by hand and wait for each
// other spinning, which shows what the machine gives.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <stop_token>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bench/support/check.h"
#include "benchmark/benchmark.h"

#include "weir/channels/append_log.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

constexpr int kNodes = 8;
constexpr absl::Duration kWork = absl::Microseconds(200);

// Each round needs the one before, and no memory.
int Work(int64_t rounds) {
  uint64_t x = static_cast<uint64_t>(rounds);
  for (int64_t i = 0; i < rounds; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
  }
  return static_cast<int>(x >> 40);
}

// The rounds that take kWork while nothing else disturbs.
int64_t Rounds() {
  static const int64_t kRounds = [] {
    constexpr int64_t kTrial = 1'000'000;
    absl::Duration best = absl::InfiniteDuration();
    for (int i = 0; i < 10; ++i) {
      const absl::Time begin = absl::Now();
      benchmark::DoNotOptimize(Work(kTrial));
      best = std::min(best, absl::Now() - begin);
    }
    return static_cast<int64_t>(absl::FDivDuration(kWork, best) * kTrial);
  }();
  return kRounds;
}

void Workers(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("workers")
      ->Arg(1)
      ->Arg(2)
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}

void BM_Graph_CpuBound(benchmark::State& state) {
  const int64_t rounds = Rounds();
  const int want = Work(rounds);
  StateGraph builder;
  const auto list = builder.AddChannel("list", AppendLogChannel<int>());
  for (int i = 0; i < kNodes; ++i) {
    const NodeId node = builder.AddNode(
        absl::StrCat("work_", i),
        [list, rounds](NodeContext&) { return Update(list, Work(rounds)); });
    builder.AddEdge(kStart, node);
  }
  const absl::StatusOr<Graph> graph = builder.Compile();
  if (!Succeeded(state, graph)) return;
  TbbExecutor executor(static_cast<int>(state.range(0)));
  RunOptions options;
  options.executor = &executor;

  for (auto _ : state) {
    const absl::StatusOr<Values> result = graph->Invoke(Update(), options);
    if (!Succeeded(state, result)) break;
    int right = 0;
    for (const int number : result->Get(list)) right += number == want ? 1 : 0;
    if (!Equal(state, right, kNodes)) break;
  }
}
BENCHMARK(BM_Graph_CpuBound)->Apply(Workers);

void BM_Floor_CpuBound(benchmark::State& state) {
  const int64_t rounds = Rounds();
  const int want = Work(rounds);
  const int helpers = static_cast<int>(state.range(0)) - 1;
  int results[kNodes] = {};
  // Written by the benchmark with release, which publishes the reset of
  // `ended`; the helper reads it with acquire.
  std::atomic<int64_t> iteration = 0;
  // Shares done. Each worker adds one with release, which publishes its results
  // to the benchmark's acquire load.
  std::atomic<int> ended = 0;
  const auto share = [rounds, size = kNodes / (1 + helpers), &results,
                      &ended](int worker) {
    for (int i = 0; i < size; ++i) results[worker * size + i] = Work(rounds);
    ended.fetch_add(1, std::memory_order_release);
  };
  std::jthread helper;
  if (helpers > 0) {
    helper = std::jthread([&iteration, &share](const std::stop_token& stop) {
      int64_t next = 1;
      while (!stop.stop_requested()) {
        if (iteration.load(std::memory_order_acquire) < next) continue;
        share(1);
        ++next;
      }
    });
  }

  for (auto _ : state) {
    ended.store(0, std::memory_order_relaxed);
    iteration.fetch_add(1, std::memory_order_release);
    share(0);
    while (ended.load(std::memory_order_acquire) < 1 + helpers) {
    }
    const auto right = std::count(std::begin(results), std::end(results), want);
    if (!Equal(state, static_cast<int>(right), kNodes)) break;
  }
}
BENCHMARK(BM_Floor_CpuBound)->Apply(Workers);

}  // namespace
}  // namespace weir
