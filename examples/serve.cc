// A host that serves a graph of its own over HTTP, beside what it does anyway:
// here it counts words of texts that clients send, until its input ends. Run
// it, and open the page that it names, or:
//
//   curl -s localhost:2024/runs/wait -d '{"assistant_id": "count", "input":
//   {"text": "to be or not to be"}}'

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include "absl/status/status.h"

#include "weir/channels/last_value.h"
#include "weir/gateway/gateway.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

namespace {

using Counts = std::map<std::string, int>;

absl::StatusOr<weir::Graph> CountWords() {
  weir::StateGraph builder;
  const auto text = builder.AddChannel("text", weir::LastValue<std::string>());
  const auto counts = builder.AddChannel("counts", weir::LastValue<Counts>());
  builder.AddNode("count", [text, counts](weir::NodeContext& node) {
    std::istringstream words(node.Get(text));
    Counts found;
    for (std::string word; words >> word;) ++found[word];
    return weir::Update(counts, std::move(found));
  });
  builder.AddEdge(weir::kStart, "count");
  return builder.Compile();
}

absl::Status Run(uint16_t port) {
  absl::StatusOr<weir::Graph> graph = CountWords();
  if (!graph.ok()) return graph.status();
  weir::Runtime runtime;
  weir::Gateway gateway(runtime, {.port = port});
  if (absl::Status s =
          gateway.Serve("count", *std::move(graph),
                        {.description = "Counts the words of a text.",
                         .example_input = R"({"text": "to be or not to be"})"});
      !s.ok()) {
    return s;
  }
  if (absl::Status s = gateway.Start(); !s.ok()) return s;
  std::cout << "http://localhost:" << gateway.port()
            << "/ until the end of the input" << std::endl;

  // The host's own work; the Runtime is its, too: what clients do shows in it.
  for (std::string line; std::getline(std::cin, line);) {
    const absl::StatusOr<size_t> threads = runtime.CountThreads({});
    std::cout << threads.value_or(0) << " threads" << std::endl;
  }
  // Streams are cut, other answers get a second.
  gateway.Stop(absl::Seconds(1));
  return absl::OkStatus();
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): what could throw is told not to.
int main(int argc, char** argv) {
  const absl::Status s =
      Run(static_cast<uint16_t>(argc > 1 ? std::atoi(argv[1]) : 2024));
  if (!s.ok()) std::cerr << s << '\n';
  return s.ok() ? 0 : 1;
}
