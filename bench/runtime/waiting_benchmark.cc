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

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bench/support/check.h"
#include "benchmark/benchmark.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/command.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace weir {
namespace {

constexpr absl::Duration kWait = absl::Milliseconds(100);

void Runs(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("runs")
      ->RangeMultiplier(10)
      ->Range(1'000, 1'000'000)
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

// Counts runs that have ended, and whether their result is right.
class Ends {
 public:
  explicit Ends(size_t runs) : all_(runs), left_(runs) {}

  void Add(bool good) {
    if (good) good_.fetch_add(1, std::memory_order_relaxed);
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) done_.Notify();
  }
  bool any() const { return left_.load(std::memory_order_relaxed) != all_; }
  int64_t Good() {
    done_.WaitForNotification();
    return good_.load(std::memory_order_relaxed);
  }

 private:
  const size_t all_;
  // acq_rel: who notifies has seen all that was counted.
  std::atomic<size_t> left_;
  std::atomic<int64_t> good_{0};  // Relaxed: see left_.
  absl::Notification done_;
};

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
  // Before the runs of an iteration. Adding up what is allocated takes a while,
  // and is not timed.
  void Reset(benchmark::State& state) {
    state.PauseTiming();
    waiting_.store(0, std::memory_order_relaxed);
    all_wait_ = std::make_unique<absl::Notification>();
    before_ = AllocatedBytes();
    state.ResumeTiming();
  }
  // Once they are started: measures while they wait, if none has ended before
  // the last began. This is timed, and short beside the wait.
  void Measure(benchmark::State& state, const Ends& ends) {
    all_wait_->WaitForNotification();
    const double bytes = AllocatedBytes() - before_;
    if (ends.any()) return;
    state.counters["bytes_per_run"] = bytes / static_cast<double>(runs_);
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
  // Runs that have begun. acq_rel: who notifies comes after all of them.
  std::atomic<size_t> waiting_{0};
  std::unique_ptr<absl::Notification> all_wait_;
  double before_ = 0;
};

void BM_Graph_WaitingRuns(benchmark::State& state) {
  const auto runs = static_cast<size_t>(state.range(0));
  WaitingGraph waiting(runs);
  const absl::StatusOr<Graph> graph = waiting.Compile();
  if (!Succeeded(state, graph)) return;
  for (auto _ : state) {
    Ends ends(runs);
    TbbExecutor executor;
    waiting.Reset(state);
    for (size_t i = 0; i < runs; ++i) {
      graph->Invoke(Update(), {.executor = &executor},
                    [&waiting, &ends](const absl::StatusOr<RunResult>& result) {
                      ends.Add(result.ok() && result->Get(waiting.count) == 1);
                    });
    }
    waiting.Measure(state, ends);
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
    Ends ends(runs);
    const auto on_end = [&waiting, &ends](const RunInfo& /*run*/,
                                          const RunOutcome& end) {
      ends.Add(end.values.Get(waiting.count) == 1);
    };
    Runtime runtime;
    if (!runtime.Register("graph", *graph).ok()) return;
    waiting.Reset(state);
    for (size_t i = 0; i < runs; ++i) {
      const absl::StatusOr<RunInfo> run =
          runtime.StartRun("", "graph", Update(), {.on_end = on_end});
      if (!Succeeded(state, run)) return;
    }
    waiting.Measure(state, ends);
    if (!Equal(state, ends.Good(), state.range(0))) return;
  }
}
BENCHMARK(BM_Runtime_WaitingRuns)->Apply(Runs);

}  // namespace
}  // namespace weir
