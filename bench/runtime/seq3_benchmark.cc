// What does one short run cost, beginning and end included? Three nodes in a
// line each read a counter and write one more. Compared with a hand-written
// loop over the three functions, and with a oneTBB flow graph of three nodes
// that is built once and given one message.

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/support/check.h"
#include "benchmark/benchmark.h"
#include "oneapi/tbb/flow_graph.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

void BM_Graph_Seq3(benchmark::State& state) {
  StateGraph builder;
  const auto counter = builder.AddChannel("counter", LastValue<int>());
  const auto add_one = [counter](NodeContext& node) {
    return Update(counter, node.Get(counter) + 1);
  };
  const NodeId a = builder.AddNode("a", add_one);
  const NodeId b = builder.AddNode("b", add_one);
  const NodeId c = builder.AddNode("c", add_one);
  builder.AddEdge(kStart, a);
  builder.AddEdge(a, b);
  builder.AddEdge(b, c);
  builder.AddEdge(c, kEnd);
  const absl::StatusOr<Graph> graph = builder.Compile();
  if (!Succeeded(state, graph)) return;

  for (auto _ : state) {
    const absl::StatusOr<Values> result = graph->Invoke(Update());
    if (!Holds(state, result, counter, 3)) break;
  }
}
BENCHMARK(BM_Graph_Seq3)->UseRealTime();

void BM_Floor_Seq3(benchmark::State& state) {
  std::vector<std::function<int(const int&)>> nodes(
      3, [](const int& counter) { return counter + 1; });
  // The compiler must not know which functions these are.
  benchmark::DoNotOptimize(nodes.data());
  benchmark::ClobberMemory();

  for (auto _ : state) {
    int counter = 0;
    for (const auto& node : nodes) {
      const int write = node(counter);
      counter = write;
    }
    if (!Equal(state, counter, 3)) break;
  }
}
BENCHMARK(BM_Floor_Seq3)->UseRealTime();

void BM_TbbFlowGraph_Seq3(benchmark::State& state) {
  namespace flow = tbb::flow;
  flow::graph graph;
  int result = 0;
  const auto add_one = [](int counter) { return counter + 1; };
  flow::function_node<int, int> a(graph, flow::unlimited, add_one);
  flow::function_node<int, int> b(graph, flow::unlimited, add_one);
  flow::function_node<int> c(graph, flow::unlimited,
                             [&result](int counter) { result = counter + 1; });
  flow::make_edge(a, b);
  flow::make_edge(b, c);

  for (auto _ : state) {
    result = 0;
    a.try_put(0);
    graph.wait_for_all();
    if (!Equal(state, result, 3)) break;
  }
}
BENCHMARK(BM_TbbFlowGraph_Seq3)->UseRealTime();

}  // namespace
}  // namespace weir
