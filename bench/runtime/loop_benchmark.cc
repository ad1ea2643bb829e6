// What does a superstep cost once a run is going, does it allocate, and does it
// matter how many other nodes the graph has? One node adds one to a counter and
// a router leads back to it until 1,000. Compared with a hand-written loop over
// the node and the router, and with a oneTBB flow graph in which a node sends
// itself a message. Of `nodes`, all but that one can be reached but never are:
// a step must not look at them, and compiling should cost the same for each.

#include <cstdint>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bench/support/allocation_count.h"
#include "bench/support/check.h"
#include "benchmark/benchmark.h"
#include "oneapi/tbb/flow_graph.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

constexpr int kSteps = 1'000;

// Makes the looping node, and nodes that follow each other and that its router
// may choose. Returns the counter.
Channel<int> Build(StateGraph& builder, int nodes, int steps) {
  const auto counter = builder.AddChannel("counter", LastValue<int>());
  const auto add_one = [counter](NodeContext& node) {
    return Update(counter, node.Get(counter) + 1);
  };
  const NodeId loop = builder.AddNode("loop", add_one);
  builder.AddEdge(kStart, loop);
  BranchOptions branch;
  branch.destinations = {loop, kEnd};

  std::optional<NodeId> previous;
  for (int i = 1; i < nodes; ++i) {
    const NodeId idle = builder.AddNode(absl::StrCat("idle_", i), add_one);
    if (previous.has_value()) {
      builder.AddEdge(*previous, idle);
    } else {
      branch.destinations->push_back(idle);
    }
    previous = idle;
  }

  builder.AddConditionalEdges(
      loop,
      [counter, loop, steps](NodeContext& state) {
        return state.Get(counter) < steps ? Target(loop) : Target(kEnd);
      },
      std::move(branch));
  return counter;
}

// Allocations in supersteps: of a run of 2,000 less those of one of 1,000, so
// that what a run allocates once does not count.
double AllocationsPerSuperstep(benchmark::State& state, int nodes) {
  int64_t allocations[2] = {};
  for (const int runs : {1, 2}) {
    const int steps = runs * kSteps;
    StateGraph builder;
    const Channel<int> counter = Build(builder, nodes, steps);
    const absl::StatusOr<Graph> graph = builder.Compile();
    if (!Succeeded(state, graph)) return 0;
    // The first run may set up what later ones share.
    if (!Holds(state, graph->Invoke(Update()), counter, steps)) return 0;
    allocations[runs - 1] = CountAllocations([&graph, &counter, &state, steps] {
      Holds(state, graph->Invoke(Update()), counter, steps);
    });
  }
  return static_cast<double>(allocations[1] - allocations[0]) / kSteps;
}

void BM_Graph_Loop1000(benchmark::State& state) {
  const int nodes = static_cast<int>(state.range(0));
  StateGraph builder;
  const Channel<int> counter = Build(builder, nodes, kSteps);
  const absl::StatusOr<Graph> graph = builder.Compile();
  if (!Succeeded(state, graph)) return;

  for (auto _ : state) {
    const absl::StatusOr<Values> result = graph->Invoke(Update());
    if (!Holds(state, result, counter, kSteps)) break;
  }
  state.counters["per_superstep"] = TimePer(kSteps);
  state.counters["allocations_per_superstep"] =
      AllocationsPerSuperstep(state, nodes);
}
BENCHMARK(BM_Graph_Loop1000)
    ->ArgName("nodes")
    ->Arg(1)
    ->RangeMultiplier(10)
    ->Range(10, 10'000)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

void BM_Floor_Loop1000(benchmark::State& state) {
  std::function<int(const int&)> node = [](const int& counter) {
    return counter + 1;
  };
  std::function<bool(const int&)> again = [](const int& counter) {
    return counter < kSteps;
  };
  // The compiler must not know which functions these are.
  benchmark::DoNotOptimize(node);
  benchmark::DoNotOptimize(again);

  for (auto _ : state) {
    int counter = 0;
    do {
      const int write = node(counter);
      counter = write;
    } while (again(counter));
    if (!Equal(state, counter, kSteps)) break;
  }
  state.counters["per_superstep"] = TimePer(kSteps);
}
BENCHMARK(BM_Floor_Loop1000)->Unit(benchmark::kMicrosecond)->UseRealTime();

void BM_TbbFlowGraph_Loop1000(benchmark::State& state) {
  namespace flow = tbb::flow;
  using Loop = flow::multifunction_node<int, std::tuple<int>>;
  flow::graph graph;
  int result = 0;
  Loop loop(graph, flow::unlimited,
            [&result](int counter, Loop::output_ports_type& ports) {
              ++counter;
              if (counter < kSteps) {
                std::get<0>(ports).try_put(counter);
              } else {
                result = counter;
              }
            });
  flow::make_edge(flow::output_port<0>(loop), loop);

  for (auto _ : state) {
    result = 0;
    loop.try_put(0);
    graph.wait_for_all();
    if (!Equal(state, result, kSteps)) break;
  }
  state.counters["per_superstep"] = TimePer(kSteps);
}
BENCHMARK(BM_TbbFlowGraph_Loop1000)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

// Building is timed as well: checks could be made early. So is freeing the
// graph.
void BM_StateGraph_BuildAndCompile(benchmark::State& state) {
  const int nodes = static_cast<int>(state.range(0));
  for (auto _ : state) {
    StateGraph builder;
    Build(builder, nodes, kSteps);
    const absl::StatusOr<Graph> graph = builder.Compile();
    if (!Succeeded(state, graph)) break;
  }
  state.counters["per_node"] = TimePer(nodes);
}
BENCHMARK(BM_StateGraph_BuildAndCompile)
    ->ArgName("nodes")
    ->Arg(1'000)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond);

void BM_StateGraph_Compile(benchmark::State& state) {
  const int nodes = static_cast<int>(state.range(0));
  StateGraph builder;
  const Channel<int> counter = Build(builder, nodes, kSteps);
  for (auto _ : state) {
    const absl::StatusOr<Graph> graph = builder.Compile();
    if (!Succeeded(state, graph)) return;
  }
  state.counters["per_node"] = TimePer(nodes);

  const absl::StatusOr<Graph> graph = builder.Compile();
  if (!Succeeded(state, graph)) return;
  Holds(state, graph->Invoke(Update()), counter, kSteps);
}
BENCHMARK(BM_StateGraph_Compile)
    ->ArgName("nodes")
    ->Arg(100)
    ->Arg(1'000)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace weir
