#include "weir/runtime/draw.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "weir/runtime/internal/compiled_graph.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// Whether something in the graph may return a command for the one around it.
bool MayLeadOut(const CompiledGraph& graph);

bool MayLead(const CompiledNode& node) {
  if (node.graph != nullptr) return MayLeadOut(*node.graph);
  if (!node.calls.empty()) return true;
  if (node.body != nullptr && node.body->may_lead) return true;
  return node.policies != nullptr && node.policies->error_handler != nullptr &&
         node.policies->error_handler->may_lead;
}

bool MayLeadOut(const CompiledGraph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), MayLead);
}

// Collects the edges of a graph.
class Edges {
 public:
  explicit Edges(const CompiledGraph& graph) : graph_(graph) {}

  void AddFrom(std::string_view name, const CompiledNode& node) {
    from_ = name;
    const size_t before = edges_.size();
    for (const uint32_t to : node.edges) Add(to, EdgeKind::kAlways);
    for (const JoinSource& source : node.joins) {
      Add(graph_.joins[source.join].target, EdgeKind::kJoin);
    }
    for (const CompiledBranch& branch : node.branches) AddBranch(branch);
    if (node.destinations.has_value()) {
      for (const uint32_t to : *node.destinations) Add(to, EdgeKind::kChoice);
    } else if (MayLead(node)) {
      AddAnywhere();
    }
    if (edges_.size() == before) Add(kToEnd, EdgeKind::kAlways);
  }

  // By from, to and kind, each once.
  std::vector<GraphShape::Edge> Take() {
    const auto key = [](const GraphShape::Edge& edge) {
      return std::tie(edge.from, edge.to, edge.kind);
    };
    std::stable_sort(
        edges_.begin(), edges_.end(),
        [key](const auto& a, const auto& b) { return key(a) < key(b); });
    std::vector<GraphShape::Edge> merged;
    for (GraphShape::Edge& edge : edges_) {
      if (merged.empty() || key(merged.back()) != key(edge)) {
        merged.push_back(std::move(edge));
      } else if (!edge.label.empty()) {
        std::string& label = merged.back().label;
        absl::StrAppend(&label, label.empty() ? "" : ", ", edge.label);
      }
    }
    return merged;
  }

 private:
  void AddBranch(const CompiledBranch& branch) {
    std::vector<std::pair<std::string, uint32_t>> labels(
        branch.path_map.begin(), branch.path_map.end());
    std::sort(labels.begin(), labels.end());
    for (const auto& [label, to] : labels) Add(to, EdgeKind::kChoice, label);
    if (!labels.empty()) return;
    if (!branch.destinations.has_value()) return AddAnywhere();
    for (const uint32_t to : *branch.destinations) Add(to, EdgeKind::kChoice);
  }
  void AddAnywhere() {
    for (uint32_t to = 0; to < graph_.nodes.size(); ++to) {
      Add(to, EdgeKind::kAnywhere);
    }
    Add(kToEnd, EdgeKind::kAnywhere);
  }
  void Add(uint32_t to, EdgeKind kind, std::string label = {}) {
    const std::string name =
        to == kToEnd ? std::string(kEnd) : graph_.nodes[to].name;
    edges_.push_back({std::string(from_), name, kind, std::move(label)});
  }

  const CompiledGraph& graph_;
  std::string_view from_;
  std::vector<GraphShape::Edge> edges_;
};

GraphShape ShapeOf(const CompiledGraph& graph) {
  GraphShape shape{.name = graph.name};
  Edges edges(graph);
  shape.nodes.push_back({.name = std::string(kStart)});
  edges.AddFrom(kStart, graph.start);
  for (const CompiledNode& node : graph.nodes) {
    GraphShape::Node& drawn = shape.nodes.emplace_back();
    drawn.name = node.name;
    drawn.defer = node.defer;
    if (node.graph != nullptr) {
      drawn.graph = std::make_shared<const GraphShape>(ShapeOf(*node.graph));
    }
    edges.AddFrom(node.name, node);
  }
  shape.edges = edges.Take();
  const bool ends =
      std::any_of(shape.edges.begin(), shape.edges.end(),
                  [](const GraphShape::Edge& edge) { return edge.to == kEnd; });
  if (ends) shape.nodes.push_back({.name = std::string(kEnd)});
  return shape;
}

// What a node's box says.
std::string Caption(const std::string& name, const RunTrail::Visits* visits) {
  if (visits == nullptr) return name;
  std::string text = name;
  if (visits->started != 1) {
    absl::StrAppendFormat(&text, "\n%d times", visits->started);
  }
  if (visits->took > absl::ZeroDuration()) {
    absl::StrAppend(&text, "\n", absl::FormatDuration(visits->took));
  }
  if (!visits->error.empty()) absl::StrAppend(&text, "\n", visits->error);
  return text;
}

constexpr std::string_view kGreen = "#d5f5d5";
constexpr std::string_view kRed = "#f8d0d0";

// Writes a shape; one for each language says what its parts look like. Ids are
// "n" and the places of the nodes on the path.
class Drawer {
 public:
  explicit Drawer(const DrawOptions& options) : options_(options) {}
  virtual ~Drawer() = default;
  Drawer(const Drawer&) = delete;
  Drawer& operator=(const Drawer&) = delete;

  void Draw(const GraphShape& shape, const std::string& prefix) {
    std::map<std::string_view, End> ends;
    for (size_t i = 0; i < shape.nodes.size(); ++i) {
      const GraphShape::Node& node = shape.nodes[i];
      const End& end =
          ends[node.name] = {absl::StrCat(prefix, i), IsOpen(node)};
      path_.push_back(node.name);
      DrawNode(node, end);
      path_.pop_back();
    }
    for (const GraphShape::Edge& edge : shape.edges) {
      const auto from = ends.find(edge.from);
      const auto to = ends.find(edge.to);
      if (from == ends.end() || to == ends.end()) continue;  // A host's shape.
      DrawEdge(from->second, to->second, edge);
    }
  }

 protected:
  // Of an edge: a node, which may be drawn as a graph.
  struct End {
    std::string id;
    bool open = false;
  };

  // A node's box, or an oval.
  virtual void Box(const std::string& id, const std::string& caption, bool oval,
                   std::string_view colour) = 0;
  virtual void BeginGraph(const std::string& id, const std::string& caption,
                          std::string_view colour) = 0;
  virtual void EndGraph() = 0;
  virtual void DrawEdge(const End& from, const End& to,
                        const GraphShape::Edge& edge) = 0;

  void Line(std::string_view text) {
    absl::StrAppend(&out_, std::string(2 * depth_, ' '),
                    absl::string_view(text.data(), text.size()), "\n");
  }

  std::string out_;
  size_t depth_ = 1;

 private:
  bool IsOpen(const GraphShape::Node& node) const {
    return options_.subgraphs && node.graph != nullptr;
  }
  void DrawNode(const GraphShape::Node& node, const End& end) {
    const RunTrail::Visits* visits = nullptr;
    if (options_.run != nullptr) {
      const auto it = options_.run->nodes().find(path_);
      if (it != options_.run->nodes().end()) visits = &it->second;
    }
    std::string_view colour;
    if (visits != nullptr) colour = visits->error.empty() ? kGreen : kRed;
    const std::string caption =
        Caption(node.defer ? node.name + " (deferred)" : node.name, visits);
    if (!end.open) {
      const bool oval = node.name == kStart || node.name == kEnd;
      return Box(end.id, caption, oval, colour);
    }
    BeginGraph(end.id, caption, colour);
    ++depth_;
    Draw(*node.graph, end.id + "_");
    --depth_;
    EndGraph();
  }

  const DrawOptions& options_;
  RunTrail::Path path_;
};

class MermaidDrawer final : public Drawer {
 public:
  using Drawer::Drawer;
  std::string Drawn(const GraphShape& shape) {
    Draw(shape, "n");
    return "flowchart TD\n" + out_;
  }

 private:
  static std::string Quoted(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
      switch (c) {
        case '"':
        case '#':
        case '%':
        case '&':
        case '<':
        case '>':
        case '`':
          absl::StrAppend(&quoted, "#", static_cast<int>(c), ";");
          break;
        case '\n':
          quoted += "<br>";
          break;
        default:
          quoted += c;
      }
    }
    return quoted + "\"";
  }
  void Fill(const std::string& id, std::string_view colour) {
    if (!colour.empty()) {
      Line(absl::StrFormat("style %s fill:%s", id, std::string(colour)));
    }
  }

  void Box(const std::string& id, const std::string& caption, bool oval,
           std::string_view colour) override {
    Line(absl::StrCat(id, oval ? "([" : "[", Quoted(caption),
                      oval ? "])" : "]"));
    Fill(id, colour);
  }
  void BeginGraph(const std::string& id, const std::string& caption,
                  std::string_view colour) override {
    Fill(id, colour);
    Line(absl::StrFormat("subgraph %s [%s]", id, Quoted(caption)));
  }
  void EndGraph() override { Line("end"); }
  void DrawEdge(const End& from, const End& to,
                const GraphShape::Edge& edge) override {
    std::string line = " -->";
    if (edge.kind == EdgeKind::kJoin) line = " --o";
    if (edge.kind == EdgeKind::kAnywhere) line = " -.->";
    if (edge.kind == EdgeKind::kChoice) {
      const std::string label = edge.label.empty() ? "?" : edge.label;
      absl::StrAppend(&line, "|", Quoted(label), "|");
    }
    Line(absl::StrCat(from.id, line, " ", to.id));
  }
};

class DotDrawer final : public Drawer {
 public:
  using Drawer::Drawer;
  std::string Drawn(const GraphShape& shape) {
    Draw(shape, "n");
    return absl::StrCat("digraph ", Quoted(shape.name),
                        " {\n"
                        "  compound=true;\n"
                        "  node [shape=box, style=\"rounded,filled\", "
                        "fillcolor=white];\n",
                        out_, "}\n");
  }

 private:
  static std::string Quoted(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
      if (c == '\n') {
        quoted += "\\n";
        continue;
      }
      if (c == '"' || c == '\\') quoted += '\\';
      if (c != '\0') quoted += c;  // Which ends the file for Graphviz.
    }
    return quoted + "\"";
  }

  void Box(const std::string& id, const std::string& caption, bool oval,
           std::string_view colour) override {
    std::string look = "label=" + Quoted(caption);
    if (oval) look += ", shape=oval";
    if (!colour.empty()) {
      absl::StrAppendFormat(&look, ", fillcolor=\"%s\"", std::string(colour));
    }
    Line(absl::StrFormat("%s [%s];", id, look));
  }
  void BeginGraph(const std::string& id, const std::string& caption,
                  std::string_view colour) override {
    Line(absl::StrFormat("subgraph cluster_%s {", id));
    Line(absl::StrFormat("  label=%s;", Quoted(caption)));
    if (!colour.empty()) {
      Line(absl::StrFormat("  bgcolor=\"%s\";", std::string(colour)));
    }
  }
  void EndGraph() override { Line("}"); }
  void DrawEdge(const End& from, const End& to,
                const GraphShape::Edge& edge) override {
    std::string look;
    const auto add = [&look](const std::string& more) {
      absl::StrAppend(&look, look.empty() ? "" : ", ", more);
    };
    if (edge.kind == EdgeKind::kChoice) add("style=dashed");
    if (edge.kind == EdgeKind::kAnywhere) add("style=dotted");
    if (edge.kind == EdgeKind::kJoin) add("arrowhead=odot");
    if (!edge.label.empty()) add("label=" + Quoted(edge.label));
    // An edge of a cluster is one of its start that is cut at the border.
    if (from.open) add("ltail=cluster_" + from.id);
    if (to.open) add("lhead=cluster_" + to.id);
    if (!look.empty()) look = " [" + look + "]";
    Line(absl::StrCat(from.id, from.open ? "_0" : "", " -> ", to.id,
                      to.open ? "_0" : "", look, ";"));
  }
};

}  // namespace
}  // namespace internal

GraphShape ShapeOf(const Graph& graph) {
  return internal::ShapeOf(graph.compiled());
}

void RunTrail::Add(const Event& event) {
  Path path;
  for (const NamespaceLevel& level : event.ns()) path.push_back(level.node);
  if (const auto* started = event.As<TaskStarted>()) {
    path.emplace_back(started->node);
    ++nodes_[path].started;
    started_[started->id] = event.time();
  } else if (const auto* finished = event.As<TaskFinished>()) {
    path.emplace_back(finished->node);
    Visits& visits = nodes_[path];
    ++visits.finished;
    if (!finished->status.ok()) {
      visits.error = std::string(finished->status.message());
    }
    const auto start = started_.find(finished->id);
    if (start == started_.end()) return;
    visits.took += event.time() - start->second;
    started_.erase(start);
  }
}

std::string ToMermaid(const GraphShape& shape, const DrawOptions& options) {
  return internal::MermaidDrawer(options).Drawn(shape);
}

std::string ToDot(const GraphShape& shape, const DrawOptions& options) {
  return internal::DotDrawer(options).Drawn(shape);
}

}  // namespace v0
}  // namespace weir
