// A channel that holds a Protobuf message, which needs no codec: a store keeps
// it in Protobuf's own format, so that an order saved today can be read when
// the message has more fields.

#include <iostream>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "order.pb.h"

#include "weir/channels/last_value.h"
#include "weir/channels/protobuf_json.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/state_graph.h"

// Has the message show as JSON; without this it shows its type alone.
template <>
struct weir::Codec<shop::Order> : weir::ProtobufJsonCodec<shop::Order> {};

namespace {

struct Shop {
  weir::Graph graph;
  weir::Channel<shop::Order> order;
};

absl::StatusOr<Shop> MakeShop() {
  weir::StateGraph builder;
  const auto order =
      builder.AddChannel("order", weir::LastValue<shop::Order>());
  builder.AddNode("add_up", [order](weir::NodeContext& node) {
    shop::Order priced = node.Get(order);
    for (const shop::Order::Line& line : priced.lines()) {
      priced.set_total(priced.total() + line.count() * line.price());
    }
    return weir::Update(order, std::move(priced));
  });
  builder.AddNode("pay", [order](weir::NodeContext& node) {
    shop::Order paid = node.Get(order);
    paid.set_paid(true);
    return weir::Update(order, std::move(paid));
  });
  builder.AddEdge(weir::kStart, "add_up");
  builder.AddEdge("add_up", "pay");
  absl::StatusOr<weir::Graph> graph =
      builder.Compile({.interrupt_before = {"pay"}});
  if (!graph.ok()) return graph.status();
  return Shop{*std::move(graph), order};
}

// Runs the thread "order-1" until it waits or ends, and prints the order.
absl::Status Run(weir::Checkpointer& store, const shop::Order* first) {
  const absl::StatusOr<Shop> shop = MakeShop();
  if (!shop.ok()) return shop.status();
  const absl::StatusOr<weir::RunResult> result = shop->graph.Invoke(
      first != nullptr ? weir::Input(weir::Update(shop->order, *first))
                       : weir::Input::Continue(),
      {.thread_id = "order-1", .checkpointer = &store});
  if (!result.ok()) return result.status();
  std::cout << result->ToJson() << '\n'
            << "total " << result->Get(shop->order).total() << '\n';
  return absl::OkStatus();
}

}  // namespace

int main() {
  // Keeps the bytes that a SqliteCheckpointer would have in its file.
  weir::MemoryCheckpointer store({.as_bytes = true});

  shop::Order order;
  shop::Order::Line* line = order.add_lines();
  line->set_item("ice cream");
  line->set_count(2);
  line->set_price(3.5);
  absl::Status status = Run(store, &order);
  // As if another process went on: all that it has is what was stored.
  if (status.ok()) status = Run(store, nullptr);
  if (!status.ok()) {
    std::cerr << status << '\n';
    return 1;
  }
  return 0;
}
