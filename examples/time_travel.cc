// Every superstep leaves a checkpoint: a thread's history can be read, and a
// run can go on from any part of it, with other values. What was there stays.

#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/state_graph.h"

namespace {

template <class T>
T OrExit(absl::StatusOr<T> result) {
  if (!result.ok()) {
    std::cerr << result.status() << '\n';
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing runs then.
    std::exit(1);
  }
  return *std::move(result);
}

}  // namespace

int main() {
  weir::StateGraph builder;
  const auto place =
      builder.AddChannel("place", weir::LastValue<std::string>());
  const auto diary =
      builder.AddChannel("diary", weir::AppendLogChannel<std::string>());
  builder.AddNode("leave", [place](weir::NodeContext& node) {
    return weir::Update(place, node.Get(place) + " station");
  });
  builder.AddNode("travel", [place, diary](weir::NodeContext& node) {
    return weir::Update(diary, "left " + node.Get(place));
  });
  builder.AddNode("arrive", [diary](weir::NodeContext&) {
    return weir::Update(diary, "arrived");
  });
  builder.AddEdge(weir::kStart, "leave");
  builder.AddEdge("leave", "travel");
  builder.AddEdge("travel", "arrive");
  const weir::Graph graph = OrExit(builder.Compile());

  weir::MemoryCheckpointer store;
  weir::RunOptions options;
  options.checkpointer = &store;
  options.thread_id = "journey";
  const weir::StateOptions thread{.checkpointer = &store,
                                  .thread_id = "journey"};
  const auto print = [&](const weir::Values& values) {
    for (const std::string& line : values.Get(diary)) {
      std::cout << "  " << line << '\n';
    }
  };

  std::cout << "once:\n";
  print(OrExit(graph.Invoke(weir::Update(place, "Cambridge"), options)));

  std::cout << "its history, the newest first:\n";
  weir::CheckpointRef before_travel;
  for (const weir::StateSnapshot& state : OrExit(graph.GetHistory(thread))) {
    const std::string next = state.next.empty() ? "the end" : state.next[0];
    std::cout << "  before " << next << '\n';
    if (next == "travel") before_travel = state.ref;
  }

  std::cout << "again from before the journey:\n";
  options.from = before_travel;
  print(OrExit(graph.Invoke(weir::Input::Continue(), options)));

  std::cout << "and from another place:\n";
  weir::StateOptions past = thread;
  past.at = before_travel;
  options.from = OrExit(graph.UpdateState(
      past, {.values = weir::Update(place, "Oxford"), .as_node = "leave"}));
  print(OrExit(graph.Invoke(weir::Input::Continue(), options)));
  return 0;
}
