// How much does a run cost that waits? Many runs of a Runtime at once, each
// with one node that sleeps as a coroutine: the time until all have ended, and
// the memory of each while all wait. Compared with as many bare timers of the
// same executor, which is what no runtime can do without.

#include <malloc.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bench/support/check.h"
#include "benchmark/benchmark.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace weir {
namespace {

constexpr absl::Duration kWait = absl::Milliseconds(100);

void Runs(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("runs")
      ->Arg(10'000)
      ->Arg(1'000'000)
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}

// Bytes that are allocated now.
double AllocatedBytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

void BM_Executor_Timers(benchmark::State& state) {
  const auto runs = static_cast<size_t>(state.range(0));
  TbbExecutor executor;
  for (auto _ : state) {
    std::atomic<size_t> left{runs};
    absl::Notification done;
    for (size_t i = 0; i < runs; ++i) {
      executor.PostAfter(kWait, [&left, &done] {
        if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) done.Notify();
      });
    }
    done.WaitForNotification();
  }
}
BENCHMARK(BM_Executor_Timers)->Apply(Runs);

void BM_Runtime_WaitingRuns(benchmark::State& state) {
  const auto runs = static_cast<size_t>(state.range(0));
  StateGraph builder;
  const auto count = builder.AddChannel("count", LastValue<int>());
  std::atomic<size_t> waiting{0};
  double bytes = 0;
  const double before = AllocatedBytes();
  builder.AddNode(
      "wait",
      [count, runs, before, &waiting,
       &bytes](NodeContext& node) -> Task<NodeResult> {
        if (waiting.fetch_add(1, std::memory_order_acq_rel) + 1 == runs) {
          bytes = AllocatedBytes() - before;
        }
        const absl::Status slept = co_await node.Sleep(kWait);
        if (!slept.ok()) co_return slept;
        const int next = node.Get(count) + 1;
        co_return Update(count, next);
      });
  builder.AddEdge(kStart, "wait");
  const absl::StatusOr<Graph> graph = builder.Compile();
  if (!Succeeded(state, graph)) return;
  std::atomic<size_t> left{0};
  std::atomic<size_t> good{0};
  for (auto _ : state) {
    Runtime runtime;
    if (!runtime.Register("graph", *graph).ok()) return;
    waiting = 0;
    good = 0;
    left = runs;
    absl::Notification done;
    const auto on_end = [count, &left, &good, &done](const RunInfo& /*run*/,
                                                     const RunOutcome& end) {
      if (end.values.Get(count) == 1) good.fetch_add(1);
      if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) done.Notify();
    };
    for (size_t i = 0; i < runs; ++i) {
      const absl::StatusOr<RunInfo> run =
          runtime.StartRun("", "graph", Update(), {.on_end = on_end});
      if (!Succeeded(state, run)) return;
    }
    done.WaitForNotification();
    if (!Equal(state, static_cast<int>(good.load()), static_cast<int>(runs))) {
      return;
    }
  }
  state.counters["bytes_per_run"] = bytes / static_cast<double>(runs);
}
BENCHMARK(BM_Runtime_WaitingRuns)->Apply(Runs);

}  // namespace
}  // namespace weir
