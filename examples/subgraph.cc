// A graph as a node of another: they share the channels of the same name, the
// inner one's others are its own; its events come with the path to it.

#include <iostream>
#include <string>

#include "weir/channels/last_value.h"
#include "weir/runtime/state_graph.h"

int main() {
  weir::StateGraph inner;
  const auto text = inner.AddChannel("text", weir::LastValue<std::string>());
  const auto draft = inner.AddChannel("draft", weir::LastValue<std::string>());
  inner.AddNode("write", [text, draft](weir::NodeContext& node) {
    return weir::Update(draft, "about " + node.Get(text));
  });
  inner.AddNode("polish", [text, draft](weir::NodeContext& node) {
    return weir::Update(text, "An essay " + node.Get(draft));
  });
  inner.AddEdge(weir::kStart, "write");
  inner.AddEdge("write", "polish");
  const absl::StatusOr<weir::Graph> essay = inner.Compile({.name = "essay"});
  if (!essay.ok()) {
    std::cerr << essay.status() << '\n';
    return 1;
  }

  weir::StateGraph outer;
  const auto shared = outer.AddChannel("text", weir::LastValue<std::string>());
  outer.AddNode("essay", *essay);
  outer.AddNode("sign", [shared](weir::NodeContext& node) {
    return weir::Update(shared, node.Get(shared) + ". The end.");
  });
  outer.AddEdge(weir::kStart, "essay");
  outer.AddEdge("essay", "sign");
  const absl::StatusOr<weir::Graph> graph = outer.Compile();
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  weir::RunStream stream =
      graph->Stream(weir::Update(shared, "weirs"), {.subgraphs = true});
  while (const weir::Event* event = stream.Next()) {
    for (const weir::NamespaceLevel& level : event->ns()) {
      std::cout << level.node << " > ";
    }
    std::cout << event->ToJson() << '\n';
  }
  if (!stream.status().ok()) {
    std::cerr << stream.status() << '\n';
    return 1;
  }
  return 0;
}
