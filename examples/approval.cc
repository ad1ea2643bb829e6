// A run that asks its host and goes on with the answer, perhaps days later: the
// thread remembers. Two functions run side by side and are not run again when
// the node is; the payment is made once, however often the node runs.

#include <algorithm>
#include <iostream>
#include <string>
#include <utility>

#include "weir/channels/last_value.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/call.h"
#include "weir/runtime/state_graph.h"

namespace {

int PriceOf(const std::string& shop) {
  std::cout << "asking " + shop + "\n";  // In one piece: the other runs too.
  return shop == "corner shop" ? 7 : 9;
}

}  // namespace

int main() {
  weir::StateGraph builder;
  const auto item = builder.AddChannel("item", weir::LastValue<std::string>());
  const auto receipt =
      builder.AddChannel("receipt", weir::LastValue<std::string>());
  builder.AddNode(
      "buy", [item, receipt](weir::NodeContext& node) -> weir::NodeResult {
        auto near = node.Call("price", PriceOf, std::string("corner shop"));
        auto far = node.Call("price", PriceOf, std::string("market"));
        const absl::StatusOr<int> here = std::move(near);
        if (!here.ok()) return here.status();
        const absl::StatusOr<int> there = std::move(far);
        if (!there.ok()) return there.status();
        const int price = std::min(*here, *there);

        const absl::StatusOr<bool> approved = node.Interrupt<bool>(
            "buy " + node.Get(item) + " for " + std::to_string(price) + "?");
        if (!approved.ok()) return approved.status();  // Pauses the run.
        if (!*approved) return weir::Update(receipt, "nothing bought");

        const absl::StatusOr<std::string> paid =
            node.Once("pay", [&] { return "paid " + std::to_string(price); });
        if (!paid.ok()) return paid.status();
        return weir::Update(receipt, *paid);
      });
  builder.AddEdge(weir::kStart, "buy");
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  weir::MemoryCheckpointer store;
  weir::RunOptions options;
  options.checkpointer = &store;
  options.thread_id = "shopping";
  absl::StatusOr<weir::RunResult> result =
      graph->Invoke(weir::Update(item, "ice cream"), options);
  while (result.ok() && result->end == weir::RunEnd::kInterrupted) {
    std::cout << result->interrupts[0].value.ToJson() << " yes\n";
    result = graph->Invoke(weir::Input::Resume(weir::Value(true)), options);
  }
  if (!result.ok()) {
    std::cerr << result.status() << '\n';
    return 1;
  }
  std::cout << result->Get(receipt) << '\n';
  return 0;
}
