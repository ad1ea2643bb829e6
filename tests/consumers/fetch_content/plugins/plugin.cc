// A plug-in that runs graphs.

#include "absl/status/statusor.h"

#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/runtime/run.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

// The sum of 1 to n, each added by a node of its own in parallel, read from the
// events of a run; -1 if that fails.
extern "C" __attribute__((visibility("default"))) int SumTo(int n) {
  weir::StateGraph builder;
  const auto sum = builder.AddChannel(
      "sum", weir::Reducer<int>([](int a, int b) { return a + b; }));
  for (int i = 1; i <= n; ++i) {
    const std::string name = "add " + std::to_string(i);
    builder.AddNode(
        name, [sum, i](weir::NodeContext&) { return weir::Update(sum, i); });
    builder.AddEdge(weir::kStart, name);
  }
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) return -1;

  weir::Runtime runtime;
  if (!runtime.Register("sum", *graph).ok()) return -1;
  absl::StatusOr<weir::RunStream> stream = runtime.Stream(
      runtime.CreateThread(), "sum", weir::Update(), {.modes = weir::kValues});
  if (!stream.ok()) return -1;
  int last = -1;
  while (const weir::Event* event = stream->Next()) {
    if (const auto* state = event->As<weir::StateValues>()) {
      last = state->values.Get(sum);
    }
  }
  return stream->status().ok() ? last : -1;
}

// Where this plug-in's weir is.
extern "C" __attribute__((visibility("default"))) const void* WeirOf() {
  return reinterpret_cast<const void*>(&weir::RunStatusName);
}
