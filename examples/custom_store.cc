// A store of one's own: threads are kept where the host keeps everything else.
// table_checkpointer.h has the store. It is right when it passes the suite that
// comes with weir, find_package(weir COMPONENTS testing), in a test of one's
// own that is linked with weir::testing and has only this:
//
//   #include <memory>
//
//   #include "table_checkpointer.h"
//   #include "weir/testing/checkpointer_conformance.h"
//
//   namespace weir {
//   INSTANTIATE_TEST_SUITE_P(
//       Table, CheckpointerConformanceTest,
//       testing::Values(CheckpointerCase{"Table", [] {
//         return std::make_unique<example::TableCheckpointer>();
//       }}));
//   }  // namespace weir

#include <iostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "table_checkpointer.h"

#include "weir/channels/append_log.h"
#include "weir/runtime/state_graph.h"

int main() {
  weir::StateGraph builder;
  const auto journal =
      builder.AddChannel("journal", weir::AppendLogChannel<std::string>());
  for (const std::string name : {"draft", "publish"}) {
    builder.AddNode(name, [journal, name](weir::NodeContext&) {
      return weir::Update(journal, name + "ed");
    });
  }
  builder.AddEdge(weir::kStart, "draft");
  builder.AddEdge("draft", "publish");
  const absl::StatusOr<weir::Graph> graph =
      builder.Compile({.interrupt_before = {"publish"}});
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  example::TableCheckpointer store;
  weir::RunOptions options;
  options.checkpointer = &store;
  options.thread_id = "article";
  absl::StatusOr<weir::RunResult> result =
      graph->Invoke(weir::Update(), options);
  while (result.ok() && result->end == weir::RunEnd::kStopped) {
    std::cout << "waits, with " << result->ToJson() << '\n';
    result = graph->Invoke(weir::Input::Continue(), options);
  }
  if (!result.ok()) {
    std::cerr << result.status() << '\n';
    return 1;
  }
  std::cout << "ended, with " << result->ToJson() << '\n';

  const absl::StatusOr<std::vector<weir::StateSnapshot>> history =
      graph->GetHistory({.checkpointer = &store, .thread_id = "article"});
  if (!history.ok()) {
    std::cerr << history.status() << '\n';
    return 1;
  }
  for (const weir::StateSnapshot& state : *history) {
    std::cout << "step " << state.metadata->step << ": "
              << state.values.ToJson() << '\n';
  }
  return 0;
}
