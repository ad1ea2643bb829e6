#include "tests/conformance/case_graph.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/conformance/case_channels.h"
#include "tests/conformance/node_actions.h"

#include "weir/runtime/command.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/state_graph.h"

namespace weir::conformance {
namespace {

// A list of names as references of some kind.
template <class Ref>
std::vector<Ref> Refs(const Spec& names) {
  std::vector<Ref> refs;
  for (const Spec& name : names) refs.emplace_back(name.get<std::string>());
  return refs;
}

bool Contains(const Spec& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

CompileOptions ToCompileOptions(const Spec& graph) {
  CompileOptions options;
  options.interrupt_before = StopsOf(graph, "interrupt_before");
  options.interrupt_after = StopsOf(graph, "interrupt_after");
  if (graph.contains("checkpointer")) {
    options.memory =
        graph["checkpointer"].get<bool>() ? Memory::kOfThread : Memory::kNone;
  }
  return options;
}

RetryPolicy ToRetryPolicy(const Spec& spec) {
  RetryPolicy policy;
  policy.initial_interval = absl::Milliseconds(1);
  policy.backoff_factor = 1;
  policy.max_attempts = spec.at("max_attempts").get<int>();
  policy.jitter = false;
  if (spec.contains("on")) {
    policy.retry_on = [&classes = spec["on"]](const absl::Status& failure) {
      return Contains(classes, RaisedClass(failure));
    };
  } else {
    policy.retry_on = [](const absl::Status&) { return true; };
  }
  return policy;
}

NodeOptions ToNodeOptions(const Spec& spec) {
  NodeOptions options;
  options.defer = spec.value("defer", false);
  if (spec.contains("input")) options.input = Refs<ChannelRef>(spec["input"]);
  if (spec.contains("retry")) options.retry = {ToRetryPolicy(spec["retry"])};
  if (spec.contains("ends")) options.destinations = Refs<NodeRef>(spec["ends"]);
  return options;
}

void AddChannels(StateGraph& builder, const Spec& graph) {
  for (const auto& [name, channel] : graph.at("channels").items()) {
    const bool is_private =
        graph.contains("state") && !Contains(graph["state"], name);
    AddChannel(builder, name, channel, is_private);
  }
  if (graph.contains("input")) {
    builder.SetInput(Refs<ChannelRef>(graph["input"]));
  }
  if (graph.contains("output")) {
    builder.SetOutput(Refs<ChannelRef>(graph["output"]));
  }
}

absl::Status AddNode(StateGraph& builder, const std::string& name,
                     const Spec& spec, Counters* counters) {
  if (spec.contains("subgraph")) {
    absl::StatusOr<Graph> graph = BuildGraph(spec["subgraph"], counters);
    if (!graph.ok()) return std::move(graph).status();
    builder.AddNode(name, *graph, ToNodeOptions(spec));
    return absl::OkStatus();
  }
  std::map<std::string, Graph> called;
  if (spec.contains("subgraphs")) {
    for (const auto& [label, called_spec] : spec["subgraphs"].items()) {
      absl::StatusOr<Graph> graph = BuildGraph(called_spec, counters);
      if (!graph.ok()) return std::move(graph).status();
      called.emplace(label, *std::move(graph));
    }
  }
  NodeOptions options = ToNodeOptions(spec);
  for (const auto& [label, graph] : called) options.calls.push_back(graph);
  auto actions = std::make_shared<const NodeActions>(
      spec.at("do"), std::move(called), counters);
  if (actions->waits()) {
    builder.AddNode(
        name,
        [actions](NodeContext& node) { return actions->RunWaiting(node); },
        std::move(options));
  } else {
    builder.AddNode(
        name, [actions](NodeContext& node) { return actions->Run(node); },
        std::move(options));
  }
  return absl::OkStatus();
}

absl::Status AddNodes(StateGraph& builder, const Spec& nodes,
                      Counters* counters) {
  if (nodes.is_array()) {
    for (const Spec& node : nodes) {
      if (absl::Status s = AddNode(builder, node.at(0), node.at(1), counters);
          !s.ok()) {
        return s;
      }
    }
    return absl::OkStatus();
  }
  for (const auto& [name, node] : nodes.items()) {
    if (absl::Status s = AddNode(builder, name, node, counters); !s.ok()) {
      return s;
    }
  }
  return absl::OkStatus();
}

void AddEdges(StateGraph& builder, const Spec& edges) {
  for (const Spec& edge : edges) {
    if (edge.is_object()) {
      builder.AddJoin(Refs<NodeRef>(edge.at("join")),
                      edge.at("to").get<std::string>());
    } else {
      builder.AddEdge(edge.at(0).get<std::string>(),
                      edge.at(1).get<std::string>());
    }
  }
}

void AddBranch(StateGraph& builder, const Spec& branch, Counters* counters) {
  BranchOptions options;
  options.name = branch.value("name", "");
  if (branch.contains("map")) {
    for (const auto& [label, node] : branch["map"].items()) {
      const auto name = node.get<std::string>();
      options.path_map[branch["map"].is_array() ? name : label] = name;
    }
  }
  builder.AddConditionalEdges(
      branch.at("from").get<std::string>(),
      [&path = branch.at("path"), counters](NodeContext& state) {
        return ToTargets(Scope(ToJson(state.input()), counters).Eval(path));
      },
      std::move(options));
}

}  // namespace

std::vector<std::string> StopsOf(const Spec& spec, const char* field) {
  if (!spec.contains(field)) return {};
  if (spec[field].is_string()) return {spec[field].get<std::string>()};
  return spec[field].get<std::vector<std::string>>();
}

absl::StatusOr<Graph> BuildGraph(const Spec& spec, Counters* counters) {
  StateGraph builder;
  AddChannels(builder, spec);
  if (absl::Status s = AddNodes(builder, spec.at("nodes"), counters); !s.ok()) {
    return s;
  }
  if (spec.contains("edges")) AddEdges(builder, spec["edges"]);
  if (spec.contains("branches")) {
    for (const Spec& branch : spec["branches"]) {
      AddBranch(builder, branch, counters);
    }
  }
  return builder.Compile(ToCompileOptions(spec));
}

}  // namespace weir::conformance
