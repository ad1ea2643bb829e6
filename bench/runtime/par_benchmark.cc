// What does it cost to run several small nodes in one superstep? From the start
// to `width` nodes, each of which appends its number to a list; a join of all
// of them writes the list's length. Compared with a hand-written loop over the
// same functions, and with a oneTBB flow graph of a node for each number and
// one that waits for all. Five is what graphs look like; a thousand shows the
// cost of a task.

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bench/support/check.h"
#include "benchmark/benchmark.h"
#include "oneapi/tbb/flow_graph.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

void Widths(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("width")
      ->Arg(5)
      ->RangeMultiplier(10)
      ->Range(10, 1'000)
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}

// 0 + 1 + ... + (width - 1).
int SumBelow(int width) { return width * (width - 1) / 2; }

void BM_Graph_Par(benchmark::State& state) {
  const int width = static_cast<int>(state.range(0));
  StateGraph builder;
  const auto list = builder.AddChannel("list", AppendLogChannel<int>());
  const auto length = builder.AddChannel("length", LastValue<int>());
  std::vector<NodeRef> nodes;
  for (int i = 0; i < width; ++i) {
    nodes.push_back(
        builder.AddNode(absl::StrCat("append_", i),
                        [list, i](NodeContext&) { return Update(list, i); }));
    builder.AddEdge(kStart, nodes.back());
  }
  const NodeId join =
      builder.AddNode("join", [list, length](NodeContext& node) {
        return Update(length, static_cast<int>(node.Get(list).size()));
      });
  builder.AddJoin(nodes, join);
  const absl::StatusOr<Graph> graph = builder.Compile();
  if (!Succeeded(state, graph)) return;

  for (auto _ : state) {
    const absl::StatusOr<Values> result = graph->Invoke(Update());
    if (!Holds(state, result, length, width)) break;
  }
  state.counters["per_node"] = TimePer(width);

  const absl::StatusOr<Values> result = graph->Invoke(Update());
  if (!Succeeded(state, result)) return;
  int sum = 0;
  for (const int number : result->Get(list)) sum += number;
  Equal(state, sum, SumBelow(width));
}
BENCHMARK(BM_Graph_Par)->Apply(Widths);

void BM_Floor_Par(benchmark::State& state) {
  const int width = static_cast<int>(state.range(0));
  std::vector<std::function<int()>> nodes;
  for (int i = 0; i < width; ++i) nodes.emplace_back([i] { return i; });
  std::function<int(const std::vector<int>&)> join =
      [](const std::vector<int>& list) {
        return static_cast<int>(list.size());
      };
  // The compiler must not know which functions these are.
  benchmark::DoNotOptimize(nodes.data());
  benchmark::DoNotOptimize(join);
  std::vector<int> writes(nodes.size());

  for (auto _ : state) {
    std::vector<int> list;
    for (size_t i = 0; i < nodes.size(); ++i) writes[i] = nodes[i]();
    for (const int write : writes) list.push_back(write);
    const int length = join(list);
    benchmark::DoNotOptimize(list.data());
    if (!Equal(state, length, width)) break;
  }
  state.counters["per_node"] = TimePer(width);
}
BENCHMARK(BM_Floor_Par)->Apply(Widths);

void BM_TbbFlowGraph_Par(benchmark::State& state) {
  namespace flow = tbb::flow;
  using Node = flow::continue_node<flow::continue_msg>;
  const int width = static_cast<int>(state.range(0));
  flow::graph graph;
  // Each node writes to a place of its own; the join moves all to the list.
  std::vector<int> writes(static_cast<size_t>(width));
  std::vector<int> list;
  int length = 0;
  flow::broadcast_node<flow::continue_msg> start(graph);
  Node join(graph, [&writes, &list, &length](flow::continue_msg) {
    for (const int write : writes) list.push_back(write);
    length = static_cast<int>(list.size());
  });
  std::vector<std::unique_ptr<Node>> nodes;
  for (int i = 0; i < width; ++i) {
    int* const write = &writes[static_cast<size_t>(i)];
    nodes.push_back(std::make_unique<Node>(
        graph, [write, i](flow::continue_msg) { *write = i; }));
    flow::make_edge(start, *nodes.back());
    flow::make_edge(*nodes.back(), join);
  }

  for (auto _ : state) {
    list = {};
    length = 0;
    start.try_put(flow::continue_msg());
    graph.wait_for_all();
    if (!Equal(state, length, width)) break;
  }
  state.counters["per_node"] = TimePer(width);

  int sum = 0;
  for (const int number : list) sum += number;
  Equal(state, sum, SumBelow(width));
}
BENCHMARK(BM_TbbFlowGraph_Par)->Apply(Widths);

}  // namespace
}  // namespace weir
