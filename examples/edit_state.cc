// A run that stops before a node, so that a person can look at the state and
// change it; then it goes on with what they have made of it.

#include <iostream>
#include <string>

#include "absl/status/statusor.h"

#include "weir/channels/last_value.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/state_graph.h"

namespace {

int Failed(const absl::Status& status) {
  std::cerr << status << '\n';
  return 1;
}

}  // namespace

int main() {
  weir::StateGraph builder;
  const auto text = builder.AddChannel("text", weir::LastValue<std::string>());
  const auto sent = builder.AddChannel("sent", weir::LastValue<std::string>());
  builder.AddNode("write", [text](weir::NodeContext&) {
    return weir::Update(text, "Dear Sir or Madam, your order is on its way.");
  });
  builder.AddNode("send", [text, sent](weir::NodeContext& node) {
    return weir::Update(sent, node.Get(text));
  });
  builder.AddEdge(weir::kStart, "write");
  builder.AddEdge("write", "send");
  const absl::StatusOr<weir::Graph> graph =
      builder.Compile({.interrupt_before = {"send"}});
  if (!graph.ok()) return Failed(graph.status());

  weir::MemoryCheckpointer store;
  weir::RunOptions options;
  options.checkpointer = &store;
  options.thread_id = "letter";
  const weir::StateOptions thread{.checkpointer = &store,
                                  .thread_id = "letter"};
  absl::StatusOr<weir::RunResult> result =
      graph->Invoke(weir::Update(), options);
  if (!result.ok()) return Failed(result.status());

  const absl::StatusOr<weir::StateSnapshot> waiting = graph->GetState(thread);
  if (!waiting.ok()) return Failed(waiting.status());
  for (const std::string& node : waiting->next) {
    std::cout << "before " << node << ": " << waiting->values.ToJson() << '\n';
  }
  // As if "write" had written this: what follows "write" is next, as before.
  const absl::StatusOr<weir::CheckpointRef> edited = graph->UpdateState(
      thread,
      {.values = weir::Update(text, "Dear Ann, your order is on its way."),
       .as_node = "write"});
  if (!edited.ok()) return Failed(edited.status());

  result = graph->Invoke(weir::Input::Continue(), options);
  if (!result.ok()) return Failed(result.status());
  std::cout << "sent: " << result->Get(sent) << '\n';
  return 0;
}
