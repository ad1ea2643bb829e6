// What is drawn of a graph is where its runs go.

#include "weir/runtime/draw.h"

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAreArray;

Graph Compiled(const StateGraph& builder, CompileOptions options = {}) {
  absl::StatusOr<Graph> graph = builder.Compile(std::move(options));
  EXPECT_TRUE(graph.ok()) << graph.status();
  return *std::move(graph);
}

// "from kind to", and the label if there is one.
std::vector<std::string> EdgesOf(const GraphShape& shape) {
  constexpr const char* kKinds[] = {"->", "join", "choice", "any"};
  std::vector<std::string> texts;
  for (const GraphShape::Edge& edge : shape.edges) {
    std::string text = absl::StrFormat(
        "%s %s %s", edge.from, kKinds[static_cast<int>(edge.kind)], edge.to);
    if (!edge.label.empty()) text += " [" + edge.label + "]";
    texts.push_back(std::move(text));
  }
  return texts;
}
std::vector<std::string> NodesOf(const GraphShape& shape) {
  std::vector<std::string> names;
  for (const GraphShape::Node& node : shape.nodes) names.push_back(node.name);
  return names;
}

const auto kNothing = [](NodeContext&) {};
const auto kAnyResult = [](NodeContext&) { return NodeResult(); };

TEST(ShapeTest, HasEachWayToAnotherNode) {
  StateGraph builder;
  builder.AddNode("plain", kNothing);
  builder.AddNode("other", kNothing);
  builder.AddNode("joined", kNothing, {.defer = true});
  builder.AddNode("routed", kNothing);
  builder.AddNode("sender", kAnyResult, {.destinations = {{"plain", kEnd}}});
  builder.AddEdge(kStart, "plain");
  builder.AddEdge(kStart, "other");
  builder.AddJoin({"plain", "other"}, "joined");
  builder.AddEdge("joined", "routed");
  builder.AddConditionalEdges(
      "routed", [](NodeContext&) { return Target("yes"); },
      {.path_map = {
           {"yes", "sender"}, {"sure", "sender"}, {"no", std::string(kEnd)}}});
  const GraphShape shape = ShapeOf(Compiled(builder, {.name = "all ways"}));
  EXPECT_EQ(shape.name, "all ways");
  EXPECT_THAT(NodesOf(shape), ElementsAre(kStart, "joined", "other", "plain",
                                          "routed", "sender", kEnd));
  EXPECT_TRUE(shape.nodes[1].defer);
  EXPECT_THAT(EdgesOf(shape),
              ElementsAre("__start__ -> other", "__start__ -> plain",
                          "joined -> routed", "other join joined",
                          "plain join joined", "routed choice __end__ [no]",
                          "routed choice sender [sure, yes]",
                          "sender choice __end__", "sender choice plain"));
}

TEST(ShapeTest, WhatDeclaresNothingMayGoAnywhere) {
  StateGraph builder;
  builder.AddNode("a", kAnyResult);
  builder.AddNode("b", kNothing);
  builder.AddNode("silent", kAnyResult,
                  {.destinations = std::vector<NodeRef>()});
  builder.AddEdge(kStart, "a");
  builder.AddConditionalEdges("b",
                              [](NodeContext&) { return Target("silent"); });
  EXPECT_THAT(EdgesOf(ShapeOf(Compiled(builder))),
              ElementsAre("__start__ -> a", "a any __end__", "a any a",
                          "a any b", "a any silent", "b any __end__", "b any a",
                          "b any b", "b any silent", "silent -> __end__"));
}

TEST(ShapeTest, AnErrorHandlerAndAGraphInsideMayLeadOn) {
  StateGraph inner;
  inner.AddNode("up", kAnyResult, {.destinations = std::vector<NodeRef>()});
  inner.AddEdge(kStart, "up");
  StateGraph builder;
  builder.AddNode("graph", Compiled(inner, {.name = "inner"}));
  builder.AddNode("handled", kNothing,
                  {.error_handler = ErrorHandler(kAnyResult)});
  builder.AddEdge(kStart, "graph");
  builder.AddEdge("graph", "handled");
  const GraphShape shape = ShapeOf(Compiled(builder));
  EXPECT_THAT(EdgesOf(shape),
              ElementsAre("__start__ -> graph", "graph any __end__",
                          "graph any graph", "graph -> handled",
                          "graph any handled", "handled any __end__",
                          "handled any graph", "handled any handled"));
  ASSERT_NE(shape.nodes[1].graph, nullptr);
  EXPECT_EQ(shape.nodes[1].graph->name, "inner");
  EXPECT_THAT(EdgesOf(*shape.nodes[1].graph),
              ElementsAre("__start__ -> up", "up -> __end__"));
}

// A random graph whose nodes take each of their ways in turn, and note it.
class WaysTaken {
 public:
  WaysTaken(uint32_t seed, int nodes) : random_(seed), nodes_(nodes) {
    for (int node = 0; node < nodes; ++node) Add(node);
    builder_.AddEdge(kStart, Name(0));
    Note(std::string(kStart), "->", Name(0));
  }

  const std::set<std::string>& taken() const { return taken_; }
  GraphShape Run(int supersteps) {
    const Graph graph = Compiled(builder_, {.strict = true});
    InlineExecutor executor;
    for (int run = 0; run < 200; ++run) {
      const absl::Status s =
          graph
              .Invoke(Update(),
                      {.recursion_limit = supersteps, .executor = &executor})
              .status();
      EXPECT_TRUE(s.ok() || absl::IsResourceExhausted(s) ||
                  absl::IsOutOfRange(s))
          << s;
    }
    return ShapeOf(graph);
  }

 private:
  std::string Name(int node) const {
    return node == nodes_ ? std::string(kEnd) : absl::StrFormat("n%d", node);
  }
  void Note(const std::string& from, const char* how, const std::string& to) {
    taken_.insert(absl::StrFormat("%s %s %s", from, how, to));
  }
  // Where a node may go: to the next, so that all are met, and elsewhere.
  std::vector<std::string> Ways(int node) {
    std::set<int> ways = {node + 1};
    for (int more = static_cast<int>(random_() % 3); more > 0; --more) {
      ways.insert(
          static_cast<int>(random_() % static_cast<uint32_t>(nodes_ + 1)));
    }
    std::vector<std::string> names;
    for (const int way : ways) names.push_back(Name(way));
    return names;
  }
  // The next of `ways`, noted.
  std::function<Target(const char*)> Next(const std::string& from,
                                          std::vector<std::string> ways) {
    return [this, from, ways = std::move(ways),
            next = std::make_shared<size_t>(0)](const char* label) {
      const size_t i = (*next)++ % ways.size();
      Note(from, "choice",
           *label == '\0' ? ways[i]
                          : absl::StrFormat("%s [%s%d]", ways[i], label, i));
      return *label == '\0' ? Target(ways[i])
                            : Target(absl::StrFormat("%s%d", label, i));
    };
  }
  static std::vector<NodeRef> Refs(const std::vector<std::string>& names) {
    return {names.begin(), names.end()};
  }
  void Add(int node) {
    const std::string name = Name(node);
    const std::vector<std::string> ways = Ways(node);
    const auto next = Next(name, ways);
    switch (random_() % 4) {
      case 0:
        builder_.AddNode(name, kNothing);
        builder_.AddEdge(name, Name(node + 1));
        Note(name, "->", Name(node + 1));
        return;
      case 1:
        builder_.AddNode(
            name, [next](NodeContext&) { return Command{.go_to = {next("")}}; },
            {.destinations = Refs(ways)});
        return;
      case 2:
        builder_.AddNode(name, kNothing);
        builder_.AddConditionalEdges(name,
                                     [next](NodeContext&) { return next(""); },
                                     {.destinations = Refs(ways)});
        return;
      default: {
        BranchOptions options;
        for (size_t i = 0; i < ways.size(); ++i) {
          options.path_map[absl::StrFormat("way %d", i)] = ways[i];
        }
        builder_.AddNode(name, kNothing);
        builder_.AddConditionalEdges(
            name, [next](NodeContext&) { return next("way "); }, options);
      }
    }
  }

  std::mt19937 random_;
  const int nodes_;
  StateGraph builder_;
  std::set<std::string> taken_;
};

TEST(ShapeTest, IsWhereRunsOfRandomGraphsGo) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    WaysTaken ways(seed, 2 + static_cast<int>(seed % 7));
    const GraphShape shape = ways.Run(/*supersteps=*/60);
    EXPECT_THAT(EdgesOf(shape), UnorderedElementsAreArray(ways.taken()));
  }
}

// A node that is a graph, a choice, and a node that fails.
StateGraph SampleGraph() {
  StateGraph inner;
  inner.AddNode("in\"side", kNothing);
  inner.AddEdge(kStart, "in\"side");
  StateGraph builder;
  builder.AddNode("graph", Compiled(inner));
  builder.AddNode("fails", [](NodeContext&) -> absl::Status {
    return absl::InternalError("no <luck>");
  });
  builder.AddEdge(kStart, "graph");
  builder.AddConditionalEdges(
      "graph", [](NodeContext&) { return Target("go"); },
      {.path_map = {{"go", "fails"}, {"stop", std::string(kEnd)}}});
  return builder;
}

TEST(DrawTest, MermaidOfAllParts) {
  EXPECT_EQ(ToMermaid(ShapeOf(Compiled(SampleGraph()))), R"(flowchart TD
  n0(["__start__"])
  n1["fails"]
  subgraph n2 ["graph"]
    n2_0(["__start__"])
    n2_1["in#34;side"]
    n2_2(["__end__"])
    n2_0 --> n2_1
    n2_1 --> n2_2
  end
  n3(["__end__"])
  n0 --> n2
  n1 --> n3
  n2 -->|"stop"| n3
  n2 -->|"go"| n1
)");
}

TEST(DrawTest, DotOfAllParts) {
  EXPECT_EQ(ToDot(ShapeOf(Compiled(SampleGraph(), {.name = "all \"parts\""}))),
            R"(digraph "all \"parts\"" {
  compound=true;
  node [shape=box, style="rounded,filled", fillcolor=white];
  n0 [label="__start__", shape=oval];
  n1 [label="fails"];
  subgraph cluster_n2 {
    label="graph";
    n2_0 [label="__start__", shape=oval];
    n2_1 [label="in\"side"];
    n2_2 [label="__end__", shape=oval];
    n2_0 -> n2_1;
    n2_1 -> n2_2;
  }
  n3 [label="__end__", shape=oval];
  n0 -> n2_0 [lhead=cluster_n2];
  n1 -> n3;
  n2_0 -> n3 [style=dashed, label="stop", ltail=cluster_n2];
  n2_0 -> n1 [style=dashed, label="go", ltail=cluster_n2];
}
)");
}

TEST(DrawTest, ARunsTrailIsDrawnOver) {
  const Graph graph = Compiled(SampleGraph());
  SimExecutor executor(1);
  RunTrail trail;
  RunStream stream = graph.Stream(
      Update(), {.modes = kDebug, .subgraphs = true, .executor = &executor});
  while (const Event* event = stream.Next()) trail.Add(*event);
  EXPECT_FALSE(stream.status().ok());
  const RunTrail::Path inside = {"graph", "in\"side"};
  ASSERT_TRUE(trail.nodes().contains(inside));
  EXPECT_EQ(trail.nodes().at(inside).finished, 1);
  const GraphShape shape = ShapeOf(graph);
  const std::string mermaid = ToMermaid(shape, {.run = &trail});
  EXPECT_THAT(mermaid, HasSubstr("style n2_1 fill:#d5f5d5"));
  EXPECT_THAT(mermaid, HasSubstr("style n1 fill:#f8d0d0"));
  EXPECT_THAT(mermaid, HasSubstr("no #60;luck#62;"));
  const std::string folded = ToDot(shape, {.subgraphs = false, .run = &trail});
  EXPECT_THAT(folded, Not(HasSubstr("cluster")));
  EXPECT_THAT(folded, HasSubstr("n2 [label=\"graph\", fillcolor=\"#d5f5d5\"]"));
}

TEST(RunTrailTest, CountsAndTimesOfTheExecutor) {
  StateGraph builder;
  const auto count = builder.AddChannel("count", LastValue<int>());
  builder.AddNode("nap", [count](NodeContext& node) -> Task<NodeResult> {
    (void)co_await node.Sleep(absl::Seconds(3));
    co_return Update(count, node.Get(count) + 1);
  });
  builder.AddEdge(kStart, "nap");
  builder.AddConditionalEdges("nap",
                              [count](NodeContext& state) {
                                return state.Get(count) < 2 ? Target("nap")
                                                            : Target(kEnd);
                              },
                              {.destinations = {{"nap", kEnd}}});
  const Graph graph = Compiled(builder);
  SimExecutor executor(1);
  RunTrail trail;
  RunStream stream =
      graph.Stream(Update(), {.modes = kDebug, .executor = &executor});
  while (const Event* event = stream.Next()) trail.Add(*event);
  const RunTrail::Visits& nap = trail.nodes().at({"nap"});
  EXPECT_EQ(nap.started, 2);
  EXPECT_EQ(nap.finished, 2);
  EXPECT_EQ(nap.took, absl::Seconds(6));
  EXPECT_EQ(nap.error, "");
  EXPECT_THAT(ToDot(ShapeOf(graph), {.run = &trail}),
              HasSubstr("nap\\n2 times\\n6s"));
}

}  // namespace
}  // namespace weir
