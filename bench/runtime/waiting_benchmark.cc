// How much does a run cost that waits? Many runs at once, each with one node
// that sleeps as a coroutine: the time until all have ended, and the memory of
// each while all wait. Runs alone (Graph::Invoke), and stateless runs of a
// Runtime, which can be listed, joined and cancelled while they wait. Compared
// with as many bare timers of the same executor, which is what no runtime can
// do without.

#include <malloc.h>

#include <atomic>
#include <cstdint>
#include <memory>
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

// A graph whose one node waits. Measures the memory once all its runs wait.
class WaitingGraph {
 public:
  explicit WaitingGraph(size_t runs) : runs_(runs) {}

  absl::StatusOr<Graph> Compile() {
    StateGraph builder;
    count = builder.AddChannel("count", LastValue<int>());
    builder.AddNode("wait", [this](NodeContext& node) { return Wait(node); });
    builder.AddEdge(kStart, "wait");
    return builder.Compile();
  }
  // Before the runs of an iteration. It takes a while to add up what is
  // allocated, which is no part of a run.
  void Reset(benchmark::State& state) {
    state.PauseTiming();
    waiting_ = 0;
    all_wait_ = std::make_unique<absl::Notification>();
    before_ = AllocatedBytes();
    state.ResumeTiming();
  }
  // Once they are started: measures while they all wait.
  void Measure(benchmark::State& state) {
    all_wait_->WaitForNotification();
    state.counters["bytes_per_run"] =
        (AllocatedBytes() - before_) / static_cast<double>(runs_);
  }

  Channel<int> count;

 private:
  Task<NodeResult> Wait(NodeContext& node) {
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == runs_) {
      all_wait_->Notify();
    }
    const absl::Status slept = co_await node.Sleep(kWait);
    if (!slept.ok()) co_return slept;
    const int next = node.Get(count) + 1;
    co_return Update(count, next);
  }

  const size_t runs_;
  std::atomic<size_t> waiting_{0};
  std::unique_ptr<absl::Notification> all_wait_;
  double before_ = 0;
};

// Counts runs that have ended, and whether their result is right.
class Ends {
 public:
  explicit Ends(size_t runs) : left_(runs) {}

  void Add(bool good) {
    if (good) good_.fetch_add(1, std::memory_order_relaxed);
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) done_.Notify();
  }
  int64_t Good() {
    done_.WaitForNotification();
    return good_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<size_t> left_;
  std::atomic<int64_t> good_{0};
  absl::Notification done_;
};

void BM_Graph_WaitingRuns(benchmark::State& state) {
  const auto runs = static_cast<size_t>(state.range(0));
  WaitingGraph waiting(runs);
  const absl::StatusOr<Graph> graph = waiting.Compile();
  if (!Succeeded(state, graph)) return;
  for (auto _ : state) {
    TbbExecutor executor;
    waiting.Reset(state);
    Ends ends(runs);
    for (size_t i = 0; i < runs; ++i) {
      graph->Invoke(Update(), {.executor = &executor},
                    [&waiting, &ends](const absl::StatusOr<RunResult>& result) {
                      ends.Add(result.ok() && result->Get(waiting.count) == 1);
                    });
    }
    waiting.Measure(state);
    if (!Equal(state, ends.Good(), state.range(0))) return;
  }
}
BENCHMARK(BM_Graph_WaitingRuns)->Apply(Runs);

void BM_Runtime_WaitingRuns(benchmark::State& state) {
  const auto runs = static_cast<size_t>(state.range(0));
  WaitingGraph waiting(runs);
  const absl::StatusOr<Graph> graph = waiting.Compile();
  if (!Succeeded(state, graph)) return;
  for (auto _ : state) {
    Runtime runtime;
    if (!runtime.Register("graph", *graph).ok()) return;
    waiting.Reset(state);
    Ends ends(runs);
    const auto on_end = [&waiting, &ends](const RunInfo& /*run*/,
                                          const RunOutcome& end) {
      ends.Add(end.values.Get(waiting.count) == 1);
    };
    for (size_t i = 0; i < runs; ++i) {
      const absl::StatusOr<RunInfo> run =
          runtime.StartRun("", "graph", Update(), {.on_end = on_end});
      if (!Succeeded(state, run)) return;
    }
    waiting.Measure(state);
    if (!Equal(state, ends.Good(), state.range(0))) return;
  }
}
BENCHMARK(BM_Runtime_WaitingRuns)->Apply(Runs);

}  // namespace
}  // namespace weir
