// A graph drawn, and what a run did in it: prints Mermaid text. As `drawing
// FOLDER` it also writes graph.dot for Graphviz, and run.json, a time line that
// ui.perfetto.dev opens.

#include <fstream>
#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/draw.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"
#include "weir/runtime/trace.h"

namespace {

// A node that takes a while.
auto Working(absl::Duration duration) {
  return [duration](weir::NodeContext& node) -> weir::Task<weir::Update> {
    (void)co_await node.Sleep(duration);
    co_return weir::Update();
  };
}

}  // namespace

int main(int argc, char** argv) {
  weir::StateGraph builder;
  const auto tries = builder.AddChannel("tries", weir::LastValue<int>());
  builder.AddNode("plan", Working(absl::Milliseconds(2)));
  builder.AddNode("search", Working(absl::Milliseconds(7)));
  builder.AddNode("recall", Working(absl::Milliseconds(3)));
  builder.AddNode("answer", [tries](weir::NodeContext& node) {
    return weir::Update(tries, node.Get(tries) + 1);
  });
  builder.AddEdge(weir::kStart, "plan");
  builder.AddEdge("plan", "search");
  builder.AddEdge("plan", "recall");
  builder.AddJoin({"search", "recall"}, "answer");
  builder.AddConditionalEdges(
      "answer",
      [tries](weir::NodeContext& state) {
        return weir::Target(state.Get(tries) < 2 ? "again" : "good");
      },
      {.path_map = {{"again", "plan"}, {"good", std::string(weir::kEnd)}}});
  const absl::StatusOr<weir::Graph> graph = builder.Compile({.name = "answer"});
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  weir::SimExecutor executor(1);  // In virtual time: the same each time.
  weir::RunTrail trail;
  weir::TraceRecorder trace;
  weir::RunStream stream = graph->Stream(
      weir::Update(), {.modes = weir::kDebug, .executor = &executor});
  while (const weir::Event* event = stream.Next()) {
    trail.Add(*event);
    trace.Add(*event);
  }
  if (!stream.status().ok()) {
    std::cerr << stream.status() << '\n';
    return 1;
  }

  const weir::GraphShape shape = weir::ShapeOf(*graph);
  std::cout << weir::ToMermaid(shape, {.run = &trail});
  if (argc > 1) {
    const std::string folder = argv[1];
    std::ofstream(folder + "/graph.dot") << weir::ToDot(shape, {.run = &trail});
    std::ofstream(folder + "/run.json") << trace.ToJson();
  }
  return 0;
}
