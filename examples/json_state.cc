// State without types of one's own: channels hold JSON, the input is a text
// that somebody sent, and nodes return objects with a field for each channel
// they write, as nodes in Python return dicts.

#include <iostream>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/nlohmann_json.h"
#include "weir/channels/reducer.h"
#include "weir/runtime/state_graph.h"

namespace {

using nlohmann::json;

// Objects are merged field by field.
json Merged(json all, const json& more) {
  all.merge_patch(more);
  return all;
}

// What a node returns: a field for each channel that it writes.
weir::NodeResult Write(json fields) {
  return weir::NodeResult::FromValue(weir::Value(std::move(fields)));
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): what could throw is told not to.
int main() {
  weir::StateGraph builder;
  const auto order = builder.AddChannel("order", weir::LastValue<json>());
  const auto bill =
      builder.AddChannel("bill", weir::Reducer<json>(Merged, json::object()));
  builder.AddChannel("log", weir::AppendLogChannel<json>());

  builder.AddNode("add_up", [order](weir::NodeContext& node) {
    double total = 0;
    // A field that is missing throws, and the run ends with a status that says
    // which.
    for (const json& line : node.Get(order).at("lines")) {
      total += line.at("price").get<double>() * line.value("count", 1);
    }
    return Write({{"bill", {{"total", total}}},
                  {"log", {{"step", node.step()}, {"did", "add_up"}}}});
  });
  builder.AddNode("deliver", [bill](weir::NodeContext& node) {
    const double total = node.Get(bill).at("total").get<double>();
    return Write({{"bill", {{"delivery", total < 20 ? 5 : 0}}},
                  {"log", {{"step", node.step()}, {"did", "deliver"}}}});
  });
  builder.AddEdge(weir::kStart, "add_up");
  builder.AddConditionalEdges("add_up", [order](weir::NodeContext& state) {
    const bool pick_up = state.Get(order).value("pick_up", false);
    return weir::Route(pick_up ? weir::kEnd : "deliver");
  });
  // A field that is no channel's name fails its node, and is not dropped.
  const absl::StatusOr<weir::Graph> graph = builder.Compile({.strict = true});
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  for (const std::string text :
       {R"({"order": {"lines": [{"price": 2.5, "count": 4}, {"price": 3}]}})",
        R"({"order": {"lines": [{"price": 40}], "pick_up": true}})",
        R"({"order": {"lines": [{"count": 4}]}})"}) {
    json input = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (input.is_discarded()) {
      std::cerr << "not JSON: " << text << '\n';
      return 1;
    }
    const absl::StatusOr<weir::RunResult> result =
        graph->Invoke(weir::Input::FromValue(weir::Value(std::move(input))));
    std::cout << (result.ok() ? result->ToJson()
                              : std::string(result.status().message()))
              << '\n';
  }
  return 0;
}
