// What a run tells while it goes on, by mode: the state after each superstep,
// what each node wrote, what nodes emit, and messages piece by piece.

#include <iostream>
#include <string>

#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/runtime/state_graph.h"

int main() {
  weir::StateGraph builder;
  const auto question =
      builder.AddChannel("question", weir::LastValue<std::string>());
  const auto messages = builder.AddChannel("messages", weir::Messages());
  builder.AddNode("search", [question](weir::NodeContext& node) {
    node.Emit("searching for " + node.Get(question));  // kCustom, at once.
    return weir::Update(question, node.Get(question) + "?");
  });
  builder.AddNode("answer", [messages](weir::NodeContext& node) {
    // As a model would: the pieces first, and then the whole message, which is
    // not sent again.
    for (const char* piece : {"Forty", "-", "two"}) {
      node.EmitMessage(weir::Message{"assistant", piece, "reply-1"});
    }
    return weir::Update(messages,
                        weir::Message{"assistant", "Forty-two", "reply-1"});
  });
  builder.AddEdge(weir::kStart, "search");
  builder.AddEdge("search", "answer");
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  weir::RunStream stream =
      graph->Stream(weir::Update(question, "the answer"),
                    {.modes = weir::kValues | weir::kUpdates | weir::kCustom |
                              weir::kMessages});
  while (const weir::Event* event = stream.Next()) {
    // One mode has a type that is worth more than its JSON.
    if (const auto* chunk = event->As<weir::MessageChunk>()) {
      std::cout << "piece    " << chunk->message.As<weir::Message>()->content
                << '\n';
    } else {
      std::cout << *event << '\n';
    }
  }
  if (!stream.status().ok()) {
    std::cerr << stream.status() << '\n';
    return 1;
  }
  return 0;
}
