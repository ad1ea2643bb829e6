#ifndef WEIR_RUNTIME_DRAW_H_
#define WEIR_RUNTIME_DRAW_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "weir/export.h"
#include "weir/runtime/event.h"
#include "weir/runtime/graph.h"

namespace weir {
inline namespace v0 {

// When a run goes along an edge.
enum class EdgeKind {
  kAlways,  // Whenever `from` has run.
  kJoin,    // Once all sources of a join to `to` have run.
  kChoice,  // If a router or a Command of `from` says so; declared.
  // The same of a router or a node that declares no destinations: then there is
  // one to every node, and to kEnd. Not of nodes whose return type can lead
  // nowhere, such as Update.
  kAnywhere,
};

// GraphShape: the nodes of a graph and where each may lead, by name: what is
// drawn of it, and nothing else. A graph that is strict goes along these edges
// alone; another one also where a Command of a declared node leads.
//
// Shape:   nodes by name, kStart first and, if something leads there, kEnd
//          last; edges by `from`, `to` and kind, none twice.
// Threads: a plain value.
struct GraphShape {
  // A node, or the start or the end.
  struct Node {
    std::string name{};
    bool defer = false;
    // Of a node that is a graph.
    std::shared_ptr<const GraphShape> graph{};
  };
  // A way from one node to another.
  struct Edge {
    std::string from{};
    std::string to{};
    EdgeKind kind = EdgeKind::kAlways;
    std::string label{};  // Of a path map; several are "a, b".
  };

  std::string name{};
  std::vector<Node> nodes{};
  std::vector<Edge> edges{};
};

WEIR_EXPORT GraphShape ShapeOf(const Graph& graph);

// RunTrail: what a run did to the nodes of its graph, for drawings: add each
// event of a reader of kTasks, or of kDebug, which also has times. Around what
// a node's graph does, a node that a Migration has renamed has its old name
// until the next checkpoint.
//
// Threads: thread-compatible.
class WEIR_EXPORT RunTrail {
 public:
  // What the tasks of one node did.
  struct Visits {
    int64_t started = 0;
    int64_t finished = 0;
    absl::Duration took = absl::ZeroDuration();  // All of them together.
    std::string error{};                         // The last one's.
  };

  void Add(const Event& event);

  // By the path to the node: those of the nodes around it, and its own name.
  using Path = std::vector<std::string>;
  const std::map<Path, Visits>& nodes() const { return nodes_; }

 private:
  std::map<Path, Visits> nodes_;
  std::map<std::string, absl::Time> started_;  // By task.
};

// DrawOptions: of the functions below.
struct DrawOptions {
  bool subgraphs = true;          // Whether what is in a node's graph is drawn.
  const RunTrail* run = nullptr;  // Null: none. Only read in the call.
};

// The shape as a Mermaid flowchart, and as a graph in Graphviz's DOT language.
// Names may hold any bytes. A line to a join ends in a circle, one that is
// chosen is dashed in DOT and has a label or "?" in Mermaid, and one of
// kAnywhere is dotted. A node that has run is green, one that has failed red;
// it says how often, if not once, and how long.
WEIR_EXPORT std::string ToMermaid(const GraphShape& shape,
                                  const DrawOptions& options = {});
WEIR_EXPORT std::string ToDot(const GraphShape& shape,
                              const DrawOptions& options = {});

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_DRAW_H_
