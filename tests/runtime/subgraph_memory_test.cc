#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"
#include "tests/support/saved_graph.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/values.h"
#include "weir/checkpoint/checkpointer.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"

// What graphs inside others remember: of the superstep in which the run
// stopped, and of the thread's earlier runs.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SubgraphMemoryTest : public SavedGraphTest {
 protected:
  // A graph that counts its turns in a channel of its own, then asks, and
  // returns "turn: question answer" in the channel "log".
  Graph CountingAndAsking(Memory memory) {
    StateGraph inner;
    const auto turns = inner.AddChannel("turns", LastValue<int>());
    const auto log = inner.AddChannel("log", AppendLogChannel<std::string>());
    inner.SetInput({});
    inner.SetOutput({log});
    AddPath(inner,
            Node("count",
                 [turns](NodeContext& node) {
                   return Update(turns, node.Get(turns) + 1);
                 }),
            Node("ask", [turns, log](NodeContext& node) -> NodeResult {
              absl::StatusOr<std::string> answer =
                  node.Interrupt<std::string>("name?");
              if (!answer.ok()) return answer.status();
              return Overwrite(log, AppendLog<std::string>{absl::StrCat(
                                        node.Get(turns), ": ", *answer)});
            }));
    return MustCompile(inner, {.memory = memory});
  }
  // A graph that counts its turns and returns their number in the channel
  // "log".
  Graph Counting(const std::string& name) {
    StateGraph inner;
    const auto turns = inner.AddChannel("turns", LastValue<int>());
    const auto log = inner.AddChannel("log", AppendLogChannel<std::string>());
    inner.SetInput({});
    inner.SetOutput({log});
    inner.AddNode("count", [name, turns, log](NodeContext& node) {
      const int turn = node.Get(turns) + 1;
      return Update(turns, turn)
          .Overwrite(log, AppendLog<std::string>{absl::StrCat(name, turn)});
    });
    inner.AddEdge(kStart, "count");
    return MustCompile(inner, {.memory = Memory::kOfThread});
  }
  // A graph of which one node is `inner`.
  Graph Around(const Graph& inner) {
    StateGraph outer;
    outer.AddChannel("log", AppendLogChannel<std::string>());
    outer.AddNode("inside", inner);
    outer.AddEdge(kStart, "inside");
    return MustCompile(outer);
  }
  // A node that notes its name.
  auto Says(const std::string& line) {
    return [this, line](NodeContext&) { return Update(log_, line); };
  }
  std::string LogOf(const Graph& graph) {
    return State(graph).values.Find("log")->ToJson();
  }

  const Channel<AppendLog<std::string>, OneOrMany<std::string>> log_ =
      builder_.AddChannel("log", AppendLogChannel<std::string>());
};

// Where a run stopped.

TEST_F(SubgraphMemoryTest, StopInsideLeavesTheSiblingOfTheGraphFinished) {
  StateGraph inner;
  inner.AddChannel("mine", LastValue<int>());
  AddPath(inner, Node("x"), Node("y"));
  builder_.AddNode("inside", MustCompile(inner, {.interrupt_before = {"y"}}));
  builder_.AddEdge(kStart, "inside");
  AddPath(builder_, Node("sibling", Says("sibling")));
  builder_.AddNode("last", Says("last"));
  builder_.AddJoin({"inside", "sibling"}, "last");
  const Graph graph = MustCompile(builder_);
  const RunResult stopped = Run(graph, Update());
  EXPECT_EQ(stopped.end, RunEnd::kStopped);
  EXPECT_THAT(stopped.interrupts, IsEmpty()) << "nobody asks";
  EXPECT_EQ(stopped.ToJson(), R"({"notes": [], "log": ["sibling"]})");
  EXPECT_THAT(TakeRan(), testing::UnorderedElementsAre("x", "sibling"));
  EXPECT_THAT(
      Events(graph, Input::Continue(), {.modes = kUpdates}),
      ElementsAre(
          R"(updates {"sibling": {"log": "sibling"}, "__metadata__": {"cached": true}})",
          R"(updates {"inside": null})",
          R"(updates {"last": {"log": "last"}})"));
  EXPECT_THAT(TakeRan(), ElementsAre("y"));
}

TEST_F(SubgraphMemoryTest, OnlyThePausedLeafRunsAgainTwoLevelsDeep) {
  StateGraph leaf;
  leaf.AddChannel("log", AppendLogChannel<std::string>());
  AddPath(leaf, Node("l1"), Node("ask", Asks{"deep?", "log"}), Node("l2"));
  StateGraph middle;
  middle.AddChannel("log", AppendLogChannel<std::string>());
  AddPath(middle, Node("m1"));
  middle.AddNode("leaf", MustCompile(leaf));
  middle.AddEdge("m1", "leaf");
  AddPath(builder_, Node("a"));
  builder_.AddNode("middle", MustCompile(middle));
  builder_.AddEdge("a", "middle");
  const Graph graph = MustCompile(builder_);
  const RunResult asked = Run(graph, Update());
  ASSERT_THAT(asked.interrupts, SizeIs(1));
  EXPECT_THAT(TakeRan(), ElementsAre("a", "m1", "l1", "ask"));
  Run(graph, Input::Resume(Value("yes")));
  EXPECT_EQ(LogOf(graph), R"(["deep? yes"])");
  EXPECT_THAT(TakeRan(), ElementsAre("ask", "l2"));
}

// D6 in docs/behaviours.md.
TEST_F(SubgraphMemoryTest, SiblingsOfAQuestionInsideDoNotRunAgain) {
  StateGraph inner;
  inner.AddChannel("log", AppendLogChannel<std::string>());
  AddPath(inner, Node("ask", Asks{"deep?", "log"}));
  AddPath(inner, Node("sibling"));
  builder_.AddNode("inside", MustCompile(inner));
  builder_.AddEdge(kStart, "inside");
  const Graph graph = MustCompile(builder_);
  EXPECT_EQ(Run(graph, Update()).end, RunEnd::kInterrupted);
  EXPECT_THAT(TakeRan(), testing::UnorderedElementsAre("ask", "sibling"));
  Run(graph, Input::Resume(Value("yes")));
  EXPECT_EQ(LogOf(graph), R"(["deep? yes"])");
  EXPECT_THAT(TakeRan(), ElementsAre("ask"));
}

TEST_F(SubgraphMemoryTest, GraphThatANodeCallsGoesOnAfterEachOfTwoQuestions) {
  StateGraph inner;
  inner.AddChannel("log", AppendLogChannel<std::string>());
  AddPath(inner, Node("x"), Node("one", Asks{"one?", "log"}),
          Node("two", Asks{"two?", "log"}));
  const Graph inside = MustCompile(inner);
  builder_.AddNode("caller",
                   [this, inside](NodeContext& node) -> NodeResult {
                     NoteRan(node);
                     absl::StatusOr<Values> end = node.Invoke(inside, Update());
                     if (!end.ok()) return end.status();
                     return Update(notes_, end->ToJson());
                   },
                   {.calls = {inside}});
  builder_.AddEdge(kStart, "caller");
  const Graph graph = MustCompile(builder_);
  EXPECT_EQ(Run(graph, Update()).interrupts.at(0).value, Value("one?"));
  EXPECT_THAT(TakeRan(), ElementsAre("caller", "x", "one"));
  EXPECT_EQ(Run(graph, Input::Resume(Value("1"))).interrupts.at(0).value,
            Value("two?"));
  EXPECT_THAT(TakeRan(), ElementsAre("caller", "one", "two"));
  EXPECT_THAT(Run(graph, Input::Resume(Value("2"))).Get(notes_),
              ElementsAre(R"({"log": ["one? 1", "two? 2"]})"));
  EXPECT_THAT(TakeRan(), ElementsAre("caller", "two"));
}

// From one run of the thread to the next.

TEST_F(SubgraphMemoryTest, GraphOfATaskForgetsBetweenTurnsThatAsk) {
  const Graph graph = Around(CountingAndAsking(Memory::kOfTask));
  for (int turn = 1; turn <= 2; ++turn) {
    EXPECT_EQ(Run(graph, Update()).end, RunEnd::kInterrupted);
    EXPECT_THAT(TakeRan(), ElementsAre("count", "ask"));
    Run(graph, Input::Resume(Value(absl::StrCat("turn ", turn))));
    EXPECT_THAT(TakeRan(), ElementsAre("ask"));
  }
  EXPECT_EQ(State(graph).values.ToJson(),
            R"({"log": ["1: turn 1", "1: turn 2"]})");
}

TEST_F(SubgraphMemoryTest, GraphOfAThreadCountsOnOverTurnsThatAsk) {
  const Graph graph = Around(CountingAndAsking(Memory::kOfThread));
  for (int turn = 1; turn <= 3; ++turn) {
    EXPECT_EQ(Run(graph, Update()).end, RunEnd::kInterrupted);
    EXPECT_THAT(TakeRan(), ElementsAre("count", "ask"));
    Run(graph, Input::Resume(Value(absl::StrCat("turn ", turn))));
    EXPECT_THAT(TakeRan(), ElementsAre("ask"));
  }
  EXPECT_EQ(State(graph).values.ToJson(),
            R"({"log": ["1: turn 1", "2: turn 2", "3: turn 3"]})");
}

TEST_F(SubgraphMemoryTest, GraphsOfAThreadDoNotMix) {
  builder_.AddNode("x", Counting("x"));
  builder_.AddNode("y", Counting("y"));
  builder_.AddEdge(kStart, "x");
  builder_.AddConditionalEdges("x", [this](NodeContext& state) {
    return Route(state.Get(log_).size() > 1 ? "y" : kEnd);
  });
  const Graph graph = MustCompile(builder_);
  for (int turn = 0; turn < 3; ++turn) Run(graph, Update());
  EXPECT_EQ(LogOf(graph), R"(["x1", "x2", "y1", "x3", "y2"])");
}

TEST_F(SubgraphMemoryTest, GraphWithoutMemoryKeepsNothing) {
  StateGraph inner;
  const auto turns = inner.AddChannel("turns", LastValue<int>());
  std::vector<int> seen;
  bool broken = true;
  AddPath(inner,
          Node("count",
               [turns, &seen](NodeContext& node) {
                 seen.push_back(node.Get(turns) + 1);
                 return Update(turns, seen.back());
               }),
          Node("fail", [&broken](NodeContext&) -> NodeResult {
            if (broken) return absl::UnavailableError("not now");
            return NodeResult();
          }));
  const Graph graph = Around(MustCompile(inner, {.memory = Memory::kNone}));
  EXPECT_FALSE(Invoke(graph, Update()).ok());
  broken = false;
  Run(graph, Input::Continue());
  EXPECT_THAT(TakeRan(), ElementsAre("count", "fail", "count", "fail"))
      << "it starts anew when its task does";
  Run(graph, Update());
  EXPECT_THAT(seen, ElementsAre(1, 1, 1));
  CheckpointQuery all;
  all.thread = "t";
  store_.List(std::move(all),
              [](absl::StatusOr<std::vector<CheckpointTuple>> list) {
                for (const CheckpointTuple& tuple : *list) {
                  EXPECT_EQ(tuple.checkpoint.ns, "");
                }
              });
}

TEST_F(SubgraphMemoryTest, GraphWithoutMemoryIsGivenItsAnswer) {
  const Graph graph = Around(CountingAndAsking(Memory::kNone));
  ASSERT_EQ(Run(graph, Update()).end, RunEnd::kInterrupted);
  Run(graph, Input::Resume(Value("weir")));
  EXPECT_EQ(State(graph).values.ToJson(), R"({"log": ["1: weir"]})");
  EXPECT_THAT(TakeRan(), ElementsAre("count", "ask", "count", "ask"));
}

TEST_F(SubgraphMemoryTest, GraphRunOnAThreadOfItsOwnIsItsOwnRoot) {
  StateGraph inner;
  const auto turns = inner.AddChannel("turns", LastValue<int>());
  inner.AddNode("count", [turns](NodeContext& node) {
    return Update(turns, node.Get(turns) + 1);
  });
  inner.AddEdge(kStart, "count");
  const Graph inside = MustCompile(inner);
  builder_.AddNode("caller", [&](NodeContext&) -> NodeResult {
    absl::StatusOr<RunResult> end =
        inside.Invoke(Update(), Saved({.thread_id = "own"}));
    if (!end.ok()) return end.status();
    return Update(notes_, absl::StrCat(end->Get(turns)));
  });
  builder_.AddEdge(kStart, "caller");
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  EXPECT_THAT(Run(graph, Update()).Get(notes_), ElementsAre("1", "2"));
  const absl::StatusOr<StateSnapshot> own =
      inside.GetState({.checkpointer = &store_, .thread_id = "own"});
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(own->ref.ns, "");
  EXPECT_THAT(own->metadata->parents, IsEmpty());
  EXPECT_EQ(own->values.Get(turns), 2);
  EXPECT_FALSE(State(graph).values.Find("turns"));
}

// Durability.

TEST_F(SubgraphMemoryTest, DurabilityIsThatOfTheRunAround) {
  builder_.AddNode("thread", Counting("x"));
  StateGraph inner;
  inner.AddChannel("own", LastValue<int>());
  AddPath(inner, Node("y"));
  builder_.AddNode("task", MustCompile(inner));
  builder_.AddEdge(kStart, "thread");
  builder_.AddEdge("thread", "task");
  const Graph graph = MustCompile(builder_);
  auto count = [this](const std::string& prefix) {
    int found = 0;
    CheckpointQuery all;
    all.thread = "t";
    store_.List(
        std::move(all), [&](absl::StatusOr<std::vector<CheckpointTuple>> list) {
          for (const CheckpointTuple& tuple : *list) {
            if (prefix.empty() ? tuple.checkpoint.ns.empty()
                               : tuple.checkpoint.ns.starts_with(prefix)) {
              ++found;
            }
          }
        });
    return found;
  };
  Run(graph, Update(), {.durability = Durability::kExit});
  EXPECT_EQ(count(""), 1);
  EXPECT_EQ(count("thread"), 1) << "it is needed by the next run";
  EXPECT_EQ(count("task"), 0) << "its result is in the state";
  Run(graph, Update(), {.durability = Durability::kSync});
  EXPECT_EQ(count(""), 1 + 4);
  EXPECT_EQ(count("thread"), 1 + 3);
  EXPECT_EQ(count("task"), 3);
  EXPECT_EQ(LogOf(graph), R"(["x1", "x2"])");
}

}  // namespace
}  // namespace weir
