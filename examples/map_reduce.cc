// A task for each piece of work, as many as the input asks for: a router sends
// each text to a node of its own run side by side, and a reducer merges what
// they found, always in the same order.

#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/runtime/state_graph.h"

namespace {

using Counts = std::map<std::string, int>;

Counts Added(Counts all, const Counts& more) {
  for (const auto& [word, count] : more) all[word] += count;
  return all;
}

Counts CountWords(const std::string& text) {
  Counts counts;
  std::istringstream words(text);
  for (std::string word; words >> word;) ++counts[word];
  return counts;
}

}  // namespace

int main() {
  weir::StateGraph builder;
  const auto texts =
      builder.AddChannel("texts", weir::LastValue<std::vector<std::string>>());
  const auto counts =
      builder.AddChannel("counts", weir::Reducer<Counts>(Added, Counts()));
  const auto most = builder.AddChannel("most", weir::LastValue<std::string>());

  builder.AddNode("count", [counts](weir::NodeContext& node) {
    // Its input is what the Send carries, and not the state.
    return weir::Update(counts, CountWords(*node.Input<std::string>()));
  });
  builder.AddNode("pick", [counts, most](weir::NodeContext& node) {
    std::pair<std::string, int> best;
    for (const auto& [word, count] : node.Get(counts)) {
      if (count > best.second) best = {word, count};
    }
    return weir::Update(most, best.first + " " + std::to_string(best.second));
  });
  builder.AddConditionalEdges(
      weir::kStart,
      [texts](weir::NodeContext& state) {
        std::vector<weir::Send> sends;
        for (const std::string& text : state.Get(texts)) {
          sends.emplace_back("count", text);
        }
        return weir::Route(std::move(sends));
      },
      {.destinations = {{"count"}}});
  builder.AddEdge("count", "pick");
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  const absl::StatusOr<weir::RunResult> result = graph->Invoke(
      weir::Update(texts, {"the weir holds the river", "the river runs on",
                           "a stone in the river"}));
  if (!result.ok()) {
    std::cerr << result.status() << '\n';
    return 1;
  }
  for (const auto& [word, count] : result->Get(counts)) {
    std::cout << word << ' ' << count << '\n';
  }
  std::cout << "most: " << result->Get(most) << '\n';
  return 0;
}
