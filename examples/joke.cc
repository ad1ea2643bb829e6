// The smallest whole program: two nodes, one thread, one run, its events.
// Run it as `joke TOPIC`.

#include <iostream>
#include <string>

#include "weir/channels/last_value.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

int main(int argc, char** argv) {
  const std::string about = argc > 1 ? argv[1] : "ice cream";

  weir::StateGraph builder;
  const auto topic =
      builder.AddChannel("topic", weir::LastValue<std::string>());
  const auto joke = builder.AddChannel("joke", weir::LastValue<std::string>());
  builder.AddNode("refine_topic", [topic](weir::NodeContext& node) {
    return weir::Update(topic, node.Get(topic) + " and cats");
  });
  builder.AddNode("generate_joke", [topic, joke](weir::NodeContext& node) {
    return weir::Update(joke, "This is a joke about " + node.Get(topic));
  });
  builder.AddEdge(weir::kStart, "refine_topic");
  builder.AddEdge("refine_topic", "generate_joke");
  builder.AddEdge("generate_joke", weir::kEnd);

  // Mistakes in the graph are found here, all of them at once.
  absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  weir::Runtime runtime;
  if (absl::Status s = runtime.Register("agent", *graph); !s.ok()) {
    std::cerr << s << '\n';
    return 1;
  }
  const weir::ThreadId thread = runtime.CreateThread();
  absl::StatusOr<weir::RunStream> stream = runtime.Stream(
      thread, "agent", weir::Update(topic, about), {.modes = weir::kUpdates});
  if (!stream.ok()) {
    std::cerr << stream.status() << '\n';
    return 1;
  }
  while (const weir::Event* event = stream->Next()) std::cout << *event << '\n';
  return stream->status().ok() ? 0 : 1;
}
