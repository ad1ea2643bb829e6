#ifndef WEIR_TESTS_RUNTIME_DRAIN_GRAPH_H_
#define WEIR_TESTS_RUNTIME_DRAIN_GRAPH_H_

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/runtime/state_graph.h"

namespace weir {

// DrainGraph: two siblings, one of which is done at once. The other, in the
// process that is told to end, is in the middle of something; in the next one
// it is done at once, too.
struct DrainGraph {
  StateGraph builder;
  Channel<std::string> job =
      builder.AddChannel("job", LastValue<std::string>());
  Channel<AppendLog<std::string>, OneOrMany<std::string>> log =
      builder.AddChannel("log", AppendLogChannel<std::string>());

  // `begun` is called when the second is where it is to be.
  DrainGraph(bool is_first, std::function<void()> begun) {
    builder.AddNode("done", [this, is_first](NodeContext& /*node*/) {
      return Update(log, is_first ? "done" : "done again");
    });
    RetryPolicy retry;
    retry.initial_interval = absl::Hours(1);
    retry.max_interval = absl::Hours(1);
    builder.AddNode(
        "busy",
        [this, is_first,
         begun = std::move(begun)](NodeContext& node) -> NodeResult {
          const std::string& what = node.Get(job);
          if (what == "ask") {
            const absl::StatusOr<std::string> answer =
                node.Interrupt<std::string>("go on?");
            if (!answer.ok()) return answer.status();
          } else if (is_first) {
            begun();
            if (what == "retry") return absl::UnavailableError("not now");
            const auto end =
                std::chrono::steady_clock::now() + std::chrono::seconds(60);
            while (std::chrono::steady_clock::now() < end &&
                   (what == "deaf" || !node.stop_token().stop_requested())) {
              std::this_thread::yield();
            }
            return absl::CancelledError("asked to stop");
          }
          return Update(log, "busy");
        },
        {.retry = {retry}});
    builder.AddEdge(kStart, "done");
    builder.AddEdge(kStart, "busy");
  }
  DrainGraph(const DrainGraph&) = delete;
  DrainGraph& operator=(const DrainGraph&) = delete;
};

}  // namespace weir

#endif  // WEIR_TESTS_RUNTIME_DRAIN_GRAPH_H_
