// One reader for all that happens on a thread, run after run, whichever graph
// runs: what a page needs that shows a conversation. It may come before the
// first run, and come back after the last event that it saw.

#include <atomic>
#include <cstdint>
#include <iostream>
#include <string>

#include "weir/channels/append_log.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

namespace {

// A graph of one node, which adds to the thread's lines. Graphs that run on one
// thread share its channels by name.
absl::StatusOr<weir::Graph> Saying(const std::string& what) {
  weir::StateGraph builder;
  const auto lines =
      builder.AddChannel("lines", weir::AppendLogChannel<std::string>());
  builder.AddNode(what, [lines, what](weir::NodeContext& node) {
    const size_t number = node.Get(lines).size() + 1;
    return weir::Update(lines, std::to_string(number) + ": " + what);
  });
  builder.AddEdge(weir::kStart, what);
  return builder.Compile();
}

// Prints what happens to the end of so many runs.
absl::Status Follow(weir::ThreadStream& stream, int runs) {
  while (runs > 0) {
    const weir::ThreadEvent* event = stream.Next();
    if (event == nullptr) return stream.status();
    std::cout << event->run_id << ' ';
    if (const auto* updated = event->As<weir::StateUpdated>()) {
      std::cout << "state    " << updated->state.values.ToJson() << '\n';
      --runs;
    } else {
      std::cout << *event << '\n';
    }
  }
  return absl::OkStatus();
}

int Failed(const absl::Status& status) {
  std::cerr << status << '\n';
  return 1;
}

}  // namespace

int main() {
  std::atomic<int> runs = 0;
  weir::Runtime runtime(
      {.new_id = [&runs] { return "run-" + std::to_string(++runs); }});
  for (const std::string name : {"question", "answer"}) {
    const absl::StatusOr<weir::Graph> graph = Saying(name);
    if (!graph.ok()) return Failed(graph.status());
    absl::Status registered = runtime.Register(name, *graph);
    if (!registered.ok()) return Failed(registered);
  }
  const absl::StatusOr<weir::ThreadInfo> thread =
      runtime.CreateThread({.id = "conversation"});
  if (!thread.ok()) return Failed(thread.status());

  // A reader, before there is anything to read.
  weir::ThreadStreamOptions options;
  options.modes = weir::kRunModes | weir::kStateUpdate;
  absl::StatusOr<weir::ThreadStream> stream =
      runtime.JoinThreadStream(thread->id, options);
  if (!stream.ok()) return Failed(stream.status());

  // Each run waits for the one before. They keep their events for readers who
  // are away.
  for (const std::string graph : {"question", "answer", "question"}) {
    const absl::StatusOr<weir::RunInfo> run =
        runtime.StartRun(thread->id, graph, weir::Update(),
                         {.modes = weir::kUpdates, .resumable = true});
    if (!run.ok()) return Failed(run.status());
  }
  absl::Status status = Follow(*stream, 1);
  if (!status.ok()) return Failed(status);

  // It leaves, and comes back after the last event that it saw.
  options.last_event_id = stream->last_event_id();
  std::cout << "back after event " << *options.last_event_id << '\n';
  stream = runtime.JoinThreadStream(thread->id, options);
  if (!stream.ok()) return Failed(stream.status());
  status = Follow(*stream, 2);
  return status.ok() ? 0 : Failed(status);
}
