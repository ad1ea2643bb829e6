// Protobuf messages as the state of a graph: in channels, in a checkpoint on
// disk and back, and as JSON in events.

#include <cstdint>
#include <iostream>
#include <memory>
#include <string>

#include "order.pb.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/protobuf_json.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

template <>
struct weir::Codec<shop::Order> : weir::ProtobufJsonCodec<shop::Order> {};

namespace {

shop::Order OrderOf(const std::string& item, int64_t cents) {
  shop::Order order;
  order.set_item(item);
  order.set_cents(cents);
  return order;
}

absl::Status Unexpected(const std::string& what) {
  return absl::InternalError("unexpected: " + what);
}

absl::Status Sell(const std::string& file) {
  absl::StatusOr<std::unique_ptr<weir::SqliteCheckpointer>> store =
      weir::SqliteCheckpointer::Open(file);
  if (!store.ok()) return store.status();

  weir::StateGraph builder;
  const auto order =
      builder.AddChannel("order", weir::LastValue<shop::Order>());
  const auto sold =
      builder.AddChannel("sold", weir::AppendLogChannel<shop::Order>());
  builder.AddNode("price", [order](weir::NodeContext& node) {
    shop::Order priced = node.Get(order);
    priced.set_cents(250);
    priced.add_notes("priced");
    return weir::Update(order, priced);
  });
  builder.AddNode("sell", [order, sold](weir::NodeContext& node) {
    return weir::Update(sold, node.Get(order));
  });
  builder.AddEdge(weir::kStart, "price");
  builder.AddEdge("price", "sell");
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) return graph.status();

  weir::Runtime runtime({.checkpointer = store->get()});
  if (absl::Status s = runtime.Register("shop", *graph); !s.ok()) return s;
  const weir::ThreadId thread = runtime.CreateThread();
  absl::StatusOr<weir::RunStream> stream =
      runtime.Stream(thread, "shop", weir::Update(order, OrderOf("ice", 0)),
                     {.modes = weir::kUpdates});
  if (!stream.ok()) return stream.status();
  std::string events;
  while (const weir::Event* event = stream->Next()) {
    if (event->mode() == weir::kUpdates) events += event->ToJson() + '\n';
  }
  if (!stream->status().ok()) return stream->status();
  if (events !=
      "{\"price\": {\"order\": "
      "{\"item\": \"ice\", \"cents\": \"250\", \"notes\": [\"priced\"]}}}\n"
      "{\"sell\": {\"sold\": "
      "{\"item\": \"ice\", \"cents\": \"250\", \"notes\": [\"priced\"]}}}\n") {
    return Unexpected(events);
  }

  const absl::StatusOr<weir::StateSnapshot> state =
      graph->GetState({.checkpointer = store->get(), .thread_id = thread});
  if (!state.ok()) return state.status();
  const auto* saved = state->values.Find(sold);
  if (saved == nullptr || saved->size() != 1 || (*saved)[0].cents() != 250 ||
      (*saved)[0].notes_size() != 1) {
    return Unexpected(state->values.ToJson());
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  const absl::Status s = Sell(argc > 1 ? argv[1] : "orders.db");
  std::cout << s << '\n';
  return s.ok() ? 0 : 1;
}
