// What do streams cost a run? A loop of 10,000 supersteps that nobody watches,
// through a Runtime, against the same through Graph::Invoke(), which nobody can
// ever watch; and with 1 and 16 readers of its updates, who read when it has
// ended, so that what is measured is publishing. Reading is measured by itself.

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/support/check.h"
#include "benchmark/benchmark.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

constexpr int kSteps = 10'000;

struct Loop {
  Loop() {
    const NodeId count_up = builder.AddNode("count", [this](NodeContext& node) {
      return Update(count, node.Get(count) + 1);
    });
    builder.AddEdge(kStart, count_up);
    builder.AddConditionalEdges(
        count_up,
        [this, count_up](NodeContext& node) {
          return node.Get(count) < kSteps ? Target(count_up) : Target(kEnd);
        },
        {.destinations = {{count_up, kEnd}}});
  }

  StateGraph builder;
  const Channel<int> count = builder.AddChannel("count", LastValue<int>());
};

void BM_Graph_Unwatchable(benchmark::State& state) {
  Loop loop;
  const absl::StatusOr<Graph> graph = loop.builder.Compile();
  if (!Succeeded(state, graph)) return;
  InlineExecutor executor;
  for (auto _ : state) {
    const absl::StatusOr<Values> end = graph->Invoke(
        Update(), {.recursion_limit = 2 * kSteps, .executor = &executor});
    if (!Holds(state, end, loop.count, kSteps)) return;
  }
  state.counters["per_step"] = TimePer(kSteps);
}
BENCHMARK(BM_Graph_Unwatchable)->Unit(benchmark::kMicrosecond);

// `readers` of all updates are there before the run begins.
void BM_Runtime_Watched(benchmark::State& state) {
  Loop loop;
  const absl::StatusOr<Graph> graph = loop.builder.Compile();
  if (!Succeeded(state, graph)) return;
  InlineExecutor executor;
  Runtime runtime({.executor = &executor});
  if (!runtime.Register("loop", *graph).ok()) return;
  for (auto _ : state) {
    state.PauseTiming();
    const absl::StatusOr<RunInfo> run =
        runtime.StartRun("", "loop", Update(),
                         {.modes = kUpdates,
                          .recursion_limit = 2 * kSteps,
                          .window = 2 * kSteps});
    if (!Succeeded(state, run)) return;
    std::vector<RunStream> readers;
    for (int64_t i = 0; i < state.range(0); ++i) {
      absl::StatusOr<RunStream> reader =
          runtime.JoinStream(run->thread_id, run->id);
      if (!Succeeded(state, reader)) return;
      readers.push_back(*std::move(reader));
    }
    state.ResumeTiming();
    const absl::StatusOr<RunOutcome> end =
        runtime.Join(run->thread_id, run->id);
    state.PauseTiming();
    if (!Succeeded(state, end) ||
        !Equal(state, end->values.Get(loop.count), kSteps)) {
      return;
    }
    for (RunStream& reader : readers) {
      int events = 0;
      while (reader.Next() != nullptr) ++events;
      if (!Equal(state, events, kSteps)) return;
    }
    state.ResumeTiming();
  }
  state.counters["per_step"] = TimePer(kSteps);
}
BENCHMARK(BM_Runtime_Watched)
    ->ArgName("readers")
    ->Arg(0)
    ->Arg(1)
    ->Arg(4)
    ->Arg(16)
    ->Unit(benchmark::kMicrosecond);

void BM_RunStream_Next(benchmark::State& state) {
  Loop loop;
  const absl::StatusOr<Graph> graph = loop.builder.Compile();
  if (!Succeeded(state, graph)) return;
  InlineExecutor executor;
  Runtime runtime({.executor = &executor});
  if (!runtime.Register("loop", *graph).ok()) return;
  const ThreadId thread = runtime.CreateThread();
  const absl::StatusOr<RunInfo> run = runtime.StartRun(
      thread, "loop", Update(),
      {.modes = kUpdates, .recursion_limit = 2 * kSteps, .resumable = true});
  if (!Succeeded(state, run) ||
      !Succeeded(state, runtime.Join(thread, run->id))) {
    return;
  }
  for (auto _ : state) {
    absl::StatusOr<RunStream> reader =
        runtime.JoinStream(thread, run->id, {.last_event_id = -1});
    if (!Succeeded(state, reader)) return;
    int events = 0;
    while (reader->Next() != nullptr) ++events;
    if (!Equal(state, events, kSteps + 1)) return;
  }
  state.counters["per_event"] = TimePer(kSteps);
}
BENCHMARK(BM_RunStream_Next)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace weir
