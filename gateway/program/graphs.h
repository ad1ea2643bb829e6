#ifndef WEIR_GATEWAY_PROGRAM_GRAPHS_H_
#define WEIR_GATEWAY_PROGRAM_GRAPHS_H_

#include <string>
#include <vector>

#include "weir/export.h"
#include "weir/gateway/gateway.h"
#include "weir/runtime/graph.h"

namespace weir {
inline namespace v0 {

// One graph to serve.
struct ExampleGraph {
  std::string name;
  Graph graph;
  GraphOptions options;
};

// Small graphs, each about one thing that a client meets: `joke`, `slow` (takes
// its time), `ask` (asks a person), `boom` (fails), `parent` (has a graph
// inside), `chat` (writes a message piece by piece), `steps` (goes round) and
// `fan` (nodes side by side).
WEIR_EXPORT std::vector<ExampleGraph> ExampleGraphs();

}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_PROGRAM_GRAPHS_H_
