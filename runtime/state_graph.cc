#include "weir/runtime/state_graph.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "weir/channels/internal/type_table.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/saved_by.h"

namespace weir {
inline namespace v0 {
namespace {

using internal::CompiledBranch;
using internal::CompiledGraph;
using internal::CompiledNode;
using internal::kToEnd;
using internal::kToUnknown;
using internal::TypeTable;

// Tells the handles of one builder from those of another in this process. A
// counter, so that no two builders can meet; it is the process's only state.
uint32_t NextSchema() {
  static std::atomic<uint32_t> next{1};
  // Relaxed: only the number counts. 31 bits, as a Write has; 0 is for none.
  const uint32_t id = next.fetch_add(1, std::memory_order_relaxed) & 0x7fffffff;
  return id == 0 ? NextSchema() : id;
}

struct BuiltChannel {
  std::string name;
  std::shared_ptr<const ChannelKind> kind;
  bool is_private;
};

struct BuiltNode {
  std::string name;
  std::shared_ptr<const internal::NodeBody> body;
  std::shared_ptr<const CompiledGraph> graph;
  NodeOptions options;
};

struct BuiltEdge {
  NodeRef from;
  NodeRef to;
};

struct BuiltJoin {
  std::vector<NodeRef> from;
  NodeRef to;
};

struct BuiltBranch {
  NodeRef from;
  std::shared_ptr<const internal::RouterBody> router;
  BranchOptions options;
};

}  // namespace

struct StateGraph::Rep {
  const uint32_t schema = NextSchema();
  TypeTable types;
  std::vector<BuiltChannel> channels;
  std::vector<BuiltNode> nodes;
  std::vector<BuiltEdge> edges;
  std::vector<BuiltJoin> joins;
  std::vector<BuiltBranch> branches;
  std::optional<std::vector<ChannelRef>> input;
  std::optional<std::vector<ChannelRef>> output;
};

StateGraph::StateGraph() : rep_(std::make_unique<Rep>()) {}
StateGraph::~StateGraph() = default;
StateGraph::StateGraph(StateGraph&&) noexcept = default;
StateGraph& StateGraph::operator=(StateGraph&&) noexcept = default;

uint32_t StateGraph::schema() const { return rep_->schema; }

void StateGraph::AddValueType(const internal::ValueType* type) {
  rep_->types.Add(type);
}

uint32_t StateGraph::AddChannelKind(std::string name,
                                    std::shared_ptr<const ChannelKind> kind,
                                    bool is_private) {
  rep_->channels.push_back({std::move(name), std::move(kind), is_private});
  return static_cast<uint32_t>(rep_->channels.size() - 1);
}

NodeId StateGraph::AddNodeBody(std::string name,
                               std::shared_ptr<const internal::NodeBody> body,
                               NodeOptions options) {
  rep_->nodes.push_back(
      {std::move(name), std::move(body), nullptr, std::move(options)});
  return NodeId(static_cast<uint32_t>(rep_->nodes.size() - 1), rep_->schema);
}

NodeId StateGraph::AddNode(std::string name, const Graph& graph,
                           NodeOptions options) {
  rep_->nodes.push_back(
      {std::move(name), nullptr, graph.shared(), std::move(options)});
  return NodeId(static_cast<uint32_t>(rep_->nodes.size() - 1), rep_->schema);
}

void StateGraph::AddEdge(NodeRef from, NodeRef to) {
  rep_->edges.push_back({std::move(from), std::move(to)});
}

void StateGraph::AddJoin(std::vector<NodeRef> from, NodeRef to) {
  rep_->joins.push_back({std::move(from), std::move(to)});
}

void StateGraph::AddBranch(NodeRef from, internal::RouterBody router,
                           BranchOptions options) {
  rep_->branches.push_back(
      {std::move(from),
       std::make_shared<internal::RouterBody>(std::move(router)),
       std::move(options)});
}

void StateGraph::SetInput(std::vector<ChannelRef> channels) {
  rep_->input = std::move(channels);
}

void StateGraph::SetOutput(std::vector<ChannelRef> channels) {
  rep_->output = std::move(channels);
}

namespace {

// Compiler: turns a builder into a CompiledGraph and collects its mistakes.
class Compiler {
 public:
  Compiler(uint32_t schema, const CompileOptions& options)
      : options_(options), graph_(std::make_shared<CompiledGraph>()) {
    graph_->name = options.name;
    graph_->schema = schema;
    graph_->strict = options.strict;
    graph_->memory = options.memory;
    graph_->interrupt_before = options.interrupt_before;
    graph_->interrupt_after = options.interrupt_after;
    graph_->cache = options.result_cache;
    graph_->version = options.version;
    graph_->migrations = options.migrations;
    std::stable_sort(
        graph_->migrations.begin(), graph_->migrations.end(),
        [](const auto& a, const auto& b) { return a.from < b.from; });
    CheckPolicies("CompileOptions", options.retry, options.timeout);
  }

  void AddChannels(const std::vector<BuiltChannel>& channels,
                   const TypeTable& types);
  void AddNodes(const std::vector<BuiltNode>& nodes);
  void SetSchemas(const std::optional<std::vector<ChannelRef>>& input,
                  const std::optional<std::vector<ChannelRef>>& output);
  void AddEdges(const std::vector<BuiltEdge>& edges);
  void AddJoins(const std::vector<BuiltJoin>& joins);
  void AddBranches(const std::vector<BuiltBranch>& branches);
  void CheckStops();
  absl::StatusOr<Graph> Finish();

 private:
  void Mistake(std::string text) { mistakes_.push_back(std::move(text)); }
  void CompileNode(const BuiltNode& built, CompiledNode& node);
  void CheckPolicies(const std::string& where,
                     const std::vector<RetryPolicy>& retries,
                     const std::optional<TimeoutPolicy>& timeout);
  void ShareChannels(const BuiltNode& built, CompiledNode& node);
  std::string NameOf(const NodeRef& ref) const;
  std::optional<uint32_t> FindChannel(const ChannelRef& ref,
                                      const std::string& where);
  std::vector<bool> Select(const std::vector<ChannelRef>& refs,
                           const std::string& where);
  // The node that `what` leaves; null, with a mistake noted, if there is none.
  CompiledNode* Source(const NodeRef& ref, const std::string& what);
  // The node that `what` leads to, kToEnd, or kToUnknown with a mistake noted.
  uint32_t Destination(const NodeRef& ref, const std::string& what);
  std::optional<std::vector<uint32_t>> Destinations(
      const std::optional<std::vector<NodeRef>>& refs, const std::string& what);

  const CompileOptions& options_;
  const std::shared_ptr<CompiledGraph> graph_;
  std::vector<std::string> names_;  // Of nodes, by ordinal.
  std::vector<std::string> mistakes_;
  bool has_entry_ = false;
};

bool IsReserved(std::string_view name) { return name.starts_with("__"); }

void Compiler::AddChannels(const std::vector<BuiltChannel>& channels,
                           const TypeTable& types) {
  auto names = std::make_shared<ChannelNames>();
  names->schema = graph_->schema;
  names->types = std::make_shared<const TypeTable>(types);
  for (const BuiltChannel& channel : channels) {
    const uint32_t index = static_cast<uint32_t>(graph_->channels.size());
    if (channel.name.empty()) {
      Mistake(absl::StrFormat("channel %d has no name; give it one", index));
    } else if (IsReserved(channel.name)) {
      Mistake(absl::StrFormat(
          "channel '%s': names that begin with '__' are reserved; rename it",
          channel.name));
    } else if (!graph_->channel_index.try_emplace(channel.name, index).second) {
      Mistake(
          absl::StrFormat("channel '%s' is added twice; remove or rename "
                          "one",
                          channel.name));
    }
    if (channel.kind == nullptr) {
      Mistake(absl::StrFormat("channel '%s' has no kind", channel.name));
    } else if (channel.kind->clears_when_quiet()) {
      ++graph_->quiet_channels;
    }
    names->names.push_back(channel.name);
    graph_->channels.push_back({channel.name, channel.kind});
    graph_->in_state.push_back(!channel.is_private);
    graph_->has_private |= channel.is_private;
    graph_->has_unsaved |= channel.kind != nullptr && !channel.kind->is_saved();
  }
  graph_->names = std::move(names);
}

std::optional<uint32_t> Compiler::FindChannel(const ChannelRef& ref,
                                              const std::string& where) {
  if (ref.schema() == graph_->schema) return ref.index();
  if (ref.schema() != 0) {
    Mistake(
        absl::StrFormat("%s names a channel handle of another graph; use "
                        "this builder's handles",
                        where));
    return std::nullopt;
  }
  auto it = graph_->channel_index.find(ref.name());
  if (it != graph_->channel_index.end()) return it->second;
  Mistake(
      absl::StrFormat("%s names channel '%s', which does not exist; add it "
                      "or correct the name",
                      where, ref.name()));
  return std::nullopt;
}

std::vector<bool> Compiler::Select(const std::vector<ChannelRef>& refs,
                                   const std::string& where) {
  std::vector<bool> selected(graph_->channels.size());
  for (const ChannelRef& ref : refs) {
    if (std::optional<uint32_t> i = FindChannel(ref, where)) {
      selected[*i] = true;
    }
  }
  return selected;
}

void Compiler::SetSchemas(
    const std::optional<std::vector<ChannelRef>>& input,
    const std::optional<std::vector<ChannelRef>>& output) {
  graph_->in_input =
      input.has_value() ? Select(*input, "the input schema") : graph_->in_state;
  graph_->in_output = output.has_value() ? Select(*output, "the output schema")
                                         : graph_->in_state;
}

void Compiler::AddNodes(const std::vector<BuiltNode>& nodes) {
  graph_->start.name = std::string(kStart);
  graph_->nodes.resize(nodes.size());
  graph_->node_of_ordinal.resize(nodes.size());
  std::vector<uint32_t> order(nodes.size());
  for (uint32_t i = 0; i < nodes.size(); ++i) {
    order[i] = i;
    names_.push_back(nodes[i].name);
  }
  // Code-point order, which for UTF-8 is the order of bytes.
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return nodes[a].name < nodes[b].name;
  });
  for (uint32_t index = 0; index < order.size(); ++index) {
    const BuiltNode& built = nodes[order[index]];
    graph_->node_of_ordinal[order[index]] = index;
    const std::string& name = built.name;
    if (name.empty()) {
      Mistake(
          absl::StrFormat("node %d has no name; give it one", order[index]));
    } else if (IsReserved(name)) {
      Mistake(absl::StrFormat(
          "node '%s': names that begin with '__' are reserved; rename it",
          name));
    } else if (name.find_first_of("|:") != std::string::npos ||
               name.find('\0') != std::string::npos) {
      Mistake(absl::StrFormat(
          "node '%s': a name may not hold '|', ':' or a NUL; rename it", name));
    } else if (!graph_->node_index.try_emplace(name, index).second) {
      Mistake(absl::StrFormat("node '%s' is added twice; remove or rename one",
                              name));
    }
    CompileNode(built, graph_->nodes[index]);
  }
  // Destinations may name nodes that come later.
  for (uint32_t ordinal = 0; ordinal < nodes.size(); ++ordinal) {
    graph_->nodes[graph_->node_of_ordinal[ordinal]].destinations = Destinations(
        nodes[ordinal].options.destinations,
        absl::StrFormat("node '%s' declares the destination", names_[ordinal]));
  }
}

void Compiler::CompileNode(const BuiltNode& built, CompiledNode& node) {
  node.name = built.name;
  node.body = built.body;
  node.graph = built.graph;
  node.defer = built.options.defer;
  for (const Graph& graph : built.options.calls) {
    node.calls.push_back(graph.shared());
  }
  node.triggers.push_back("branch:to:" + built.name);
  if (built.options.input.has_value()) {
    node.readable =
        Select(*built.options.input,
               absl::StrFormat("the input of node '%s'", built.name));
  }
  if (node.graph != nullptr) ShareChannels(built, node);
  if (node.graph == nullptr && node.body == nullptr) {
    Mistake(absl::StrFormat(
        "node '%s' is a Graph that was moved from; give it a copy",
        built.name));
  }
  CheckPolicies(absl::StrFormat("node '%s'", built.name), built.options.retry,
                built.options.timeout);

  const NodeOptions& own = built.options;
  auto policies = std::make_shared<internal::NodePolicies>();
  policies->retry = own.retry.empty() ? options_.retry : own.retry;
  const auto& timeout =
      own.timeout.has_value() ? own.timeout : options_.timeout;
  if (timeout.has_value()) policies->timeout = *timeout;
  policies->cache = own.cache.has_value() ? own.cache : options_.cache;
  const auto& handler = own.error_handler.has_value() ? own.error_handler
                                                      : options_.error_handler;
  if (handler.has_value()) {
    policies->error_handler = handler->body();
    policies->handler_name = own.error_handler.has_value()
                                 ? "__error_handler__" + built.name
                                 : "__default_error_handler__";
  }
  if (!policies->retry.empty() || timeout.has_value() ||
      policies->cache.has_value() || handler.has_value()) {
    node.policies = std::move(policies);
  }
}

void Compiler::CheckPolicies(const std::string& where,
                             const std::vector<RetryPolicy>& retries,
                             const std::optional<TimeoutPolicy>& timeout) {
  for (std::string& mistake : internal::PolicyMistakes(
           where, retries, timeout.value_or(TimeoutPolicy()))) {
    Mistake(std::move(mistake));
  }
}

// A graph inside shares the channels of the same names.
void Compiler::ShareChannels(const BuiltNode& built, CompiledNode& node) {
  const CompiledGraph& inner = *node.graph;
  for (uint32_t outer = 0; outer < graph_->channels.size(); ++outer) {
    const ChannelInfo& channel = graph_->channels[outer];
    auto it = inner.channel_index.find(channel.name);
    if (it == inner.channel_index.end() || channel.kind == nullptr) continue;
    const uint32_t index = it->second;
    const internal::ValueType* inner_type =
        inner.channels[index].kind->read_type();
    if (channel.kind->read_type() != inner_type) {
      Mistake(absl::StrFormat(
          "node '%s' is a graph whose channel '%s' holds %s, and here it holds "
          "%s; give both one type or two names",
          built.name, channel.name, std::string(inner_type->name),
          std::string(channel.kind->read_type()->name)));
      continue;
    }
    if (inner.in_input[index]) node.graph_input.push_back({outer, index});
    if (inner.in_output[index]) node.graph_output.push_back({outer, index});
  }
}

std::string Compiler::NameOf(const NodeRef& ref) const {
  if (ref.id().schema() == 0) return ref.name();
  if (ref.id().schema() != graph_->schema) return "(a node of another graph)";
  return names_[ref.id().ordinal()];
}

CompiledNode* Compiler::Source(const NodeRef& ref, const std::string& what) {
  if (ref.id().schema() == 0 && ref.name() == kStart) return &graph_->start;
  const uint32_t node = graph_->Resolve(ref);
  if (node == kToEnd) {
    Mistake(absl::StrFormat("%s leaves %s, which nothing leaves", what,
                            std::string(kEnd)));
    return nullptr;
  }
  if (node == kToUnknown) {
    Mistake(
        absl::StrFormat("%s leaves '%s', which is no node; add it or "
                        "correct the name",
                        what, NameOf(ref)));
    return nullptr;
  }
  return &graph_->nodes[node];
}

uint32_t Compiler::Destination(const NodeRef& ref, const std::string& what) {
  if (ref.id().schema() == 0 && ref.name() == kStart) {
    Mistake(absl::StrFormat("%s leads to %s, which nothing leads to", what,
                            std::string(kStart)));
    return kToUnknown;
  }
  const uint32_t node = graph_->Resolve(ref);
  if (node == kToUnknown) {
    Mistake(
        absl::StrFormat("%s leads to '%s', which is no node; add it or "
                        "correct the name",
                        what, NameOf(ref)));
  }
  return node;
}

std::optional<std::vector<uint32_t>> Compiler::Destinations(
    const std::optional<std::vector<NodeRef>>& refs, const std::string& what) {
  if (!refs.has_value()) return std::nullopt;
  std::vector<uint32_t> nodes;
  for (const NodeRef& ref : *refs) {
    const uint32_t node = Destination(ref, what);
    if (node != kToUnknown) nodes.push_back(node);
  }
  return nodes;
}

void Compiler::AddEdges(const std::vector<BuiltEdge>& edges) {
  for (const BuiltEdge& edge : edges) {
    const std::string what = absl::StrFormat(
        "edge '%s' -> '%s'", NameOf(edge.from), NameOf(edge.to));
    CompiledNode* from = Source(edge.from, what);
    const uint32_t to = Destination(edge.to, what);
    if (from == nullptr) continue;
    if (from == &graph_->start) has_entry_ = true;
    if (to != kToUnknown && to != kToEnd) from->edges.push_back(to);
  }
  auto tidy = [](CompiledNode& node) {
    std::sort(node.edges.begin(), node.edges.end());
    node.edges.erase(std::unique(node.edges.begin(), node.edges.end()),
                     node.edges.end());
  };
  tidy(graph_->start);
  for (CompiledNode& node : graph_->nodes) tidy(node);
}

void Compiler::AddJoins(const std::vector<BuiltJoin>& joins) {
  std::set<std::pair<std::set<std::string>, std::string>> seen;
  for (const BuiltJoin& join : joins) {
    std::set<std::string> sources;
    for (const NodeRef& ref : join.from) sources.insert(NameOf(ref));
    const std::string name = absl::StrCat("join:", absl::StrJoin(sources, "+"),
                                          ":", NameOf(join.to));
    const std::string what =
        absl::StrFormat("join of '%s' -> '%s'", absl::StrJoin(sources, "', '"),
                        NameOf(join.to));
    if (sources.empty()) {
      Mistake(absl::StrFormat("join -> '%s' has no sources; name at least one",
                              NameOf(join.to)));
    }
    const uint32_t to = Destination(join.to, what);
    std::vector<CompiledNode*> from;
    for (const std::string& source : sources) {
      if (source == kStart) {
        Mistake(
            absl::StrFormat("%s: %s cannot be joined; it runs once, before "
                            "all nodes",
                            what, std::string(kStart)));
        continue;
      }
      from.push_back(Source(source, what));
    }
    if (to == kToUnknown || to == kToEnd || from.size() != sources.size() ||
        std::find(from.begin(), from.end(), nullptr) != from.end() ||
        !seen.emplace(sources, NameOf(join.to)).second) {
      continue;
    }
    const auto index = static_cast<uint32_t>(graph_->joins.size());
    graph_->joins.push_back({name, to, static_cast<uint32_t>(from.size())});
    for (uint32_t i = 0; i < from.size(); ++i) {
      from[i]->joins.push_back({index, i});
    }
    CompiledNode& target = graph_->nodes[to];
    target.led_by_joins.push_back(index);
    target.triggers.push_back(name);
    std::sort(target.triggers.begin(), target.triggers.end());
  }
}

void Compiler::AddBranches(const std::vector<BuiltBranch>& branches) {
  for (const BuiltBranch& built : branches) {
    const std::string what = absl::StrFormat(
        "conditional edge%s of '%s'",
        built.options.name.empty() ? "" : " '" + built.options.name + "'",
        NameOf(built.from));
    CompiledNode* from = Source(built.from, what);
    CompiledBranch branch;
    branch.router = built.router;
    branch.destinations = Destinations(built.options.destinations, what);
    if (built.options.input.has_value()) {
      branch.readable = Select(*built.options.input, "the input of " + what);
    }
    for (const auto& [label, node] : built.options.path_map) {
      branch.path_map[label] = Destination(node, what);
    }
    if (from == nullptr) continue;
    if (from == &graph_->start) has_entry_ = true;
    branch.name = built.options.name;
    if (branch.name.empty()) {
      const size_t n = from->branches.size();
      branch.name = n == 0 ? "branch" : absl::StrCat("branch_", n + 1);
    }
    for (const CompiledBranch& other : from->branches) {
      if (other.name == branch.name) {
        Mistake(
            absl::StrFormat("node '%s' has two branches named '%s'; name "
                            "one otherwise",
                            from->name, branch.name));
      }
    }
    from->branches.push_back(std::move(branch));
  }
}

void Compiler::CheckStops() {
  for (const std::vector<std::string>* stops :
       {&options_.interrupt_before, &options_.interrupt_after}) {
    for (const std::string& node : *stops) {
      if (node == "*" || graph_->node_index.contains(node)) continue;
      Mistake(absl::StrFormat(
          "an interrupt is set at '%s', which is no node; add it or correct "
          "the name",
          node));
    }
  }
}

absl::StatusOr<Graph> Compiler::Finish() {
  CheckStops();
  for (std::string& mistake : internal::MigrationMistakes(*graph_)) {
    Mistake(std::move(mistake));
  }
  if (!has_entry_) {
    Mistake(absl::StrFormat(
        "nothing leaves %s, so that no node would ever run; add an edge or "
        "conditional edges from it",
        std::string(kStart)));
  }
  if (!mistakes_.empty()) {
    return internal::MakeError(
        ErrorKind::kInvalidGraph, absl::StatusCode::kInvalidArgument,
        absl::StrFormat("graph '%s' does not compile: %s", graph_->name,
                        absl::StrJoin(mistakes_, "; ")));
  }
  internal::NameGraph(graph_.get());
  return Graph(graph_);
}

}  // namespace

absl::StatusOr<Graph> StateGraph::Compile(CompileOptions options) const {
  Compiler compiler(rep_->schema, options);
  compiler.AddChannels(rep_->channels, rep_->types);
  compiler.AddNodes(rep_->nodes);
  compiler.SetSchemas(rep_->input, rep_->output);
  compiler.AddEdges(rep_->edges);
  compiler.AddJoins(rep_->joins);
  compiler.AddBranches(rep_->branches);
  return compiler.Finish();
}

namespace internal {

std::vector<std::string> PolicyMistakes(const std::string& where,
                                        const std::vector<RetryPolicy>& retries,
                                        const TimeoutPolicy& timeout) {
  std::vector<std::string> mistakes;
  for (const RetryPolicy& retry : retries) {
    if (retry.max_attempts < 1) {
      mistakes.push_back(
          absl::StrFormat("%s: RetryPolicy::max_attempts is %d; it counts "
                          "the first attempt, so it is at least 1",
                          where, retry.max_attempts));
    }
    if (!(retry.backoff_factor >= 1) ||
        retry.initial_interval < absl::ZeroDuration()) {
      mistakes.push_back(
          absl::StrFormat("%s: a retry's interval must not be negative nor "
                          "its backoff_factor below 1",
                          where));
    }
  }
  if (std::min(timeout.run, timeout.idle) <= absl::ZeroDuration()) {
    mistakes.push_back(
        absl::StrFormat("%s: a timeout must be above zero", where));
  }
  return mistakes;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
