// Nodes that fail: one is tried again, one takes too long and is stopped, and
// what fails for good is handled by a node's error handler.

#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

int main() {
  weir::StateGraph builder;
  const auto price = builder.AddChannel("price", weir::LastValue<int>());
  const auto rate = builder.AddChannel("rate", weir::LastValue<double>());

  weir::NodeOptions patient;
  patient.retry = {{.initial_interval = absl::Milliseconds(1),
                    .max_attempts = 3,
                    .jitter = false}};
  builder.AddNode(
      "price",
      [price](weir::NodeContext& node) -> weir::NodeResult {
        std::cout << "price: attempt " << node.attempt() << '\n';
        // By default only what may pass is tried again, as Unavailable may.
        if (node.attempt() < 3) return absl::UnavailableError("busy");
        return weir::Update(price, 42);
      },
      patient);

  weir::NodeOptions hasty;
  hasty.timeout = weir::TimeoutPolicy{.run = absl::Milliseconds(10)};
  hasty.error_handler = [rate](weir::NodeContext& node) {
    std::cout << node.failure()->node << ": "
              << (absl::IsDeadlineExceeded(node.failure()->status)
                      ? "took too long"
                      : "failed")
              << ", the usual rate\n";
    return weir::Update(rate, 1.5);
  };
  builder.AddNode(
      "rate",
      [rate](weir::NodeContext& node) -> weir::Task<weir::NodeResult> {
        // Ends when the attempt has run out of time.
        if (absl::Status s = co_await node.Sleep(absl::Hours(1)); !s.ok()) {
          co_return s;
        }
        co_return weir::Update(rate, 2.0);
      },
      hasty);
  builder.AddEdge(weir::kStart, "price");
  builder.AddEdge("price", "rate");
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  const absl::StatusOr<weir::RunResult> result = graph->Invoke(weir::Update());
  if (!result.ok()) {
    std::cerr << result.status() << '\n';
    return 1;
  }
  std::cout << result->Get(price) * result->Get(rate) << '\n';
  return 0;
}
