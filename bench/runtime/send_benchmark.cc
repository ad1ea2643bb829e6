// What does a task made by a Send cost, and does it stay the same for many of
// them? A dispatcher sends `width` numbers to one worker node, which appends
// the number it is sent to a list. Compared with a hand-written loop over the
// same functions, and with a oneTBB flow graph of a dispatcher and a node of
// unlimited concurrency.

#include <cstddef>
#include <functional>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/support/check.h"
#include "benchmark/benchmark.h"
#include "oneapi/tbb/flow_graph.h"

#include "weir/channels/append_log.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

void Widths(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("width")
      ->Arg(100)
      ->Arg(1'000)
      ->Arg(10'000)
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}

// 0 + 1 + ... + (width - 1).
int SumBelow(int width) { return width * (width - 1) / 2; }

void BM_Graph_Send(benchmark::State& state) {
  const int width = static_cast<int>(state.range(0));
  StateGraph builder;
  const auto list = builder.AddChannel("list", AppendLogChannel<int>());
  const NodeId worker = builder.AddNode("worker", [list](NodeContext& node) {
    return Update(list, *node.Input<int>());
  });
  const NodeId dispatcher =
      builder.AddNode("dispatcher", [worker, width](NodeContext&) {
        Command command;
        command.go_to.reserve(static_cast<size_t>(width));
        for (int i = 0; i < width; ++i) {
          command.go_to.push_back(Send(worker, i));
        }
        return command;
      });
  builder.AddEdge(kStart, dispatcher);
  const absl::StatusOr<Graph> graph = builder.Compile();
  if (!Succeeded(state, graph)) return;

  for (auto _ : state) {
    const absl::StatusOr<Values> result = graph->Invoke(Update());
    if (!Succeeded(state, result)) break;
    const auto* numbers = result->Find(list);
    const size_t size = numbers == nullptr ? 0 : numbers->size();
    if (!Equal(state, static_cast<int>(size), width)) break;
  }
  state.counters["per_task"] = TimePer(width);

  const absl::StatusOr<Values> result = graph->Invoke(Update());
  if (!Succeeded(state, result)) return;
  int sum = 0;
  for (const int number : result->Get(list)) sum += number;
  Equal(state, sum, SumBelow(width));
}
BENCHMARK(BM_Graph_Send)->Apply(Widths);

void BM_Floor_Send(benchmark::State& state) {
  const int width = static_cast<int>(state.range(0));
  std::function<int(const int&)> worker = [](const int& number) {
    return number;
  };
  std::function<std::vector<int>()> dispatcher = [width] {
    std::vector<int> numbers;
    numbers.reserve(static_cast<size_t>(width));
    for (int i = 0; i < width; ++i) numbers.push_back(i);
    return numbers;
  };
  // The compiler must not know which functions these are.
  benchmark::DoNotOptimize(worker);
  benchmark::DoNotOptimize(dispatcher);

  for (auto _ : state) {
    std::vector<int> writes;
    std::vector<int> list;
    for (const int number : dispatcher()) writes.push_back(worker(number));
    for (const int write : writes) list.push_back(write);
    benchmark::DoNotOptimize(list.data());
    if (!Equal(state, static_cast<int>(list.size()), width)) break;
  }
  state.counters["per_task"] = TimePer(width);
}
BENCHMARK(BM_Floor_Send)->Apply(Widths);

void BM_TbbFlowGraph_Send(benchmark::State& state) {
  namespace flow = tbb::flow;
  using Dispatcher = flow::multifunction_node<int, std::tuple<int>>;
  const int width = static_cast<int>(state.range(0));
  flow::graph graph;
  // Each task writes to a place of its own; the list is made after the last.
  std::vector<int> writes(static_cast<size_t>(width));
  std::vector<int> list;
  Dispatcher dispatcher(graph, flow::unlimited,
                        [](int count, Dispatcher::output_ports_type& ports) {
                          for (int i = 0; i < count; ++i)
                            std::get<0>(ports).try_put(i);
                        });
  flow::function_node<int> worker(
      graph, flow::unlimited,
      [&writes](int number) { writes[static_cast<size_t>(number)] = number; });
  flow::make_edge(flow::output_port<0>(dispatcher), worker);

  for (auto _ : state) {
    list = {};
    dispatcher.try_put(width);
    graph.wait_for_all();
    for (const int write : writes) list.push_back(write);
    benchmark::DoNotOptimize(list.data());
    if (!Equal(state, static_cast<int>(list.size()), width)) break;
  }
  state.counters["per_task"] = TimePer(width);

  int sum = 0;
  for (const int number : list) sum += number;
  Equal(state, sum, SumBelow(width));
}
BENCHMARK(BM_TbbFlowGraph_Send)->Apply(Widths);

}  // namespace
}  // namespace weir
