// A task for each piece of work, as many as the input asks for: a router sends
// each text to a node of its own run side by side, and a reducer merges what
// they found, always in the same order. As `map_reduce FOLDER` it also writes
// what the run did there: map_reduce.dot for Graphviz, and map_reduce.json, a
// time line that ui.perfetto.dev opens.

#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/runtime/draw.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/trace.h"

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

// Runs the graph, and draws it and the run.
bool Draw(const weir::Graph& graph, weir::Update input,
          const std::string& folder) {
  weir::RunTrail trail;
  weir::TraceRecorder trace;
  weir::RunStream stream =
      graph.Stream(std::move(input), {.modes = weir::kDebug});
  while (const weir::Event* event = stream.Next()) {
    trail.Add(*event);
    trace.Add(*event);
  }
  std::ofstream dot(folder + "/map_reduce.dot");
  dot << weir::ToDot(weir::ShapeOf(graph), {.run = &trail});
  std::ofstream time_line(folder + "/map_reduce.json");
  time_line << trace.ToJson();
  return stream.status().ok() && dot.flush() && time_line.flush();
}

}  // namespace

int main(int argc, char** argv) {
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

  const weir::Update input(texts,
                           {"the weir holds the river", "the river runs on",
                            "a stone in the river"});
  const absl::StatusOr<weir::RunResult> result = graph->Invoke(input);
  if (!result.ok()) {
    std::cerr << result.status() << '\n';
    return 1;
  }
  for (const auto& [word, count] : result->Get(counts)) {
    std::cout << word << ' ' << count << '\n';
  }
  std::cout << "most: " << result->Get(most) << '\n';
  if (argc > 1 && !Draw(*graph, input, argv[1])) {
    std::cerr << "could not draw the run to " << argv[1] << '\n';
    return 1;
  }
  return 0;
}
