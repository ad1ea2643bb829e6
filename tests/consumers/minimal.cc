// The program that minimal.sh measures: what a new user writes first.

#include "weir/channels/last_value.h"
#include "weir/runtime/state_graph.h"

int main() {
  weir::StateGraph builder;
  const auto counter = builder.AddChannel("counter", weir::LastValue<int>());
  const char* before = weir::kStart.data();
  for (const char* name : {"a", "b", "c"}) {
    builder.AddNode(name, [counter](weir::NodeContext& node) {
      return weir::Update(counter, node.Get(counter) + 1);
    });
    builder.AddEdge(before, name);
    before = name;
  }
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) return 1;
  const absl::StatusOr<weir::RunResult> result =
      graph->Invoke(weir::Update(counter, 0));
  return result.ok() && result->Get(counter) == 3 ? 0 : 1;
}
