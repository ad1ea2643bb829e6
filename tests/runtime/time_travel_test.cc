#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"
#include "tests/support/saved_graph.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"

// Runs that begin at a point in a thread's past.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TimeTravelTest : public SavedGraphTest {
 protected:
  static std::vector<CheckpointId> Ids(
      const std::vector<StateSnapshot>& history) {
    std::vector<CheckpointId> ids;
    for (const StateSnapshot& state : history) ids.push_back(state.ref.id);
    return ids;
  }
  static std::vector<std::string> Questions(const RunResult& result) {
    std::vector<std::string> questions;
    for (const Interrupt& asked : result.interrupts) {
      questions.push_back(*asked.value.As<std::string>());
    }
    return questions;
  }
};

TEST_F(TimeTravelTest, ReplayAddsABranchAndKeepsWhatWas) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  const std::vector<StateSnapshot> history = History(graph);
  Run(graph, Input::Continue(), {.from = Before(graph, "b").ref});
  const std::vector<StateSnapshot> longer = History(graph);
  ASSERT_THAT(longer, SizeIs(history.size() + 2));
  EXPECT_EQ(Ids({longer.begin() + 2, longer.end()}), Ids(history));
  EXPECT_EQ(longer[1].metadata->source, "fork");
  EXPECT_EQ(longer[1].parent, history[1].ref.id);
  EXPECT_EQ(longer[0].parent, longer[1].ref.id);
  EXPECT_EQ(State(graph).ref.id, longer[0].ref.id) << "the branch is the head";
  EXPECT_THAT(State(graph, history[0].ref).values.Get(notes_),
              ElementsAre("a@1", "b@2"));
}

TEST_F(TimeTravelTest, ReplayOfTheEndRunsNothing) {
  AddPath(builder_, Node("a", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  TakeRan();
  const std::vector<StateSnapshot> history = History(graph);
  const RunResult end = Run(graph, Input::Continue(), {.from = history[0].ref});
  EXPECT_THAT(end.Get(notes_), ElementsAre("a@1"));
  EXPECT_THAT(TakeRan(), IsEmpty());
  const std::vector<StateSnapshot> longer = History(graph);
  ASSERT_THAT(longer, SizeIs(history.size() + 1));
  EXPECT_EQ(longer[0].metadata->source, "fork");
  EXPECT_THAT(longer[0].next, IsEmpty());
}

TEST_F(TimeTravelTest, ReplayBeforeAQuestionAsksAgainEachTime) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", Asks{"b?"}),
          Node("c", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  Run(graph, Input::Resume(Value("first")));
  const CheckpointRef before = Before(graph, "b").ref;
  for (int i = 0; i < 3; ++i) {
    TakeRan();
    const RunResult again = Run(graph, Input::Continue(), {.from = before});
    EXPECT_EQ(again.end, RunEnd::kInterrupted);
    EXPECT_THAT(Questions(again), ElementsAre("b?"));
    EXPECT_THAT(again.Get(notes_), ElementsAre("a@1"));
    EXPECT_THAT(TakeRan(), ElementsAre("b"));
  }
  EXPECT_THAT(Run(graph, Input::Resume(Value("second"))).Get(notes_),
              ElementsAre("a@1", "b? second", "c@4"));
}

TEST_F(TimeTravelTest, ForkAsksLaterQuestionsAndKeepsEarlierAnswers) {
  AddPath(builder_, Node("a", Asks{"a?"}), Node("b", Asks{"b?"}),
          Node("c", Asks{"c?"}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  for (const char* answer : {"1", "2", "3"}) {
    Run(graph, Input::Resume(Value(answer)));
  }
  TakeRan();
  Change(graph, {.values = Update(notes_, "fork"), .as_node = "a"},
         Before(graph, "b").ref);
  RunResult result = Run(graph, Input::Continue());
  EXPECT_THAT(Questions(result), ElementsAre("b?"));
  EXPECT_THAT(result.Get(notes_), ElementsAre("a? 1", "fork"));
  result = Run(graph, Input::Resume(Value("two")));
  EXPECT_THAT(Questions(result), ElementsAre("c?"));
  EXPECT_THAT(Run(graph, Input::Resume(Value("three"))).Get(notes_),
              ElementsAre("a? 1", "fork", "b? two", "c? three"));
  EXPECT_THAT(TakeRan(), ElementsAre("b", "b", "c", "c"));
}

TEST_F(TimeTravelTest, ForkDoesNotTakeWhatTheBranchHadStored) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}),
          Node("c", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  TakeRan();
  const StateSnapshot before = Before(graph, "b");
  ASSERT_THAT(before.tasks, SizeIs(1));
  ASSERT_TRUE(before.tasks[0].finished) << "its result is stored";
  Change(graph, {.values = Update(notes_, "fork"), .as_node = "a"}, before.ref);
  EXPECT_FALSE(State(graph).tasks.at(0).finished);
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_),
              ElementsAre("a@1", "fork", "b@3", "c@4"));
  EXPECT_THAT(TakeRan(), ElementsAre("b", "c"));
}

TEST_F(TimeTravelTest, InputAtAPointInThePastFollowsIt) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  const StateSnapshot before = Before(graph, "b");
  EXPECT_THAT(
      Run(graph, Update(notes_, "new"), {.from = before.ref}).Get(notes_),
      ElementsAre("a@1", "new", "a@4", "b@5"));
  const std::vector<StateSnapshot> history = History(graph);
  EXPECT_EQ(history[3].metadata->source, "input");
  EXPECT_EQ(history[3].parent, before.ref.id);
}

TEST_F(TimeTravelTest, CopyIsASiblingAndAnUpdateIsAChild) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  const StateSnapshot before = Before(graph, "b");
  Change(graph, {.as_node = std::string(kCopyUpdate)}, before.ref);
  const StateSnapshot copy = State(graph);
  EXPECT_EQ(copy.metadata->source, "fork");
  EXPECT_EQ(copy.parent, before.parent);
  EXPECT_THAT(copy.next, ElementsAre("b"));
  EXPECT_FALSE(copy.tasks.at(0).finished) << "what b had done is not copied";
  EXPECT_EQ(copy.values.ToJson(), before.values.ToJson());

  Change(graph, {.values = Update(notes_, "by hand"), .as_node = "a"},
         before.ref);
  const StateSnapshot update = State(graph);
  EXPECT_EQ(update.metadata->source, "update");
  EXPECT_EQ(update.parent, before.ref.id);
  EXPECT_EQ(update.metadata->step, before.metadata->step + 1);
}

// Graphs inside.

class NestedTravelTest : public TimeTravelTest {
 protected:
  // A graph inside another: x, then two questions in the channel "log".
  Graph Asking(Memory memory = Memory::kOfTask) {
    StateGraph inner;
    inner.AddChannel("log", AppendLogChannel<std::string>());
    AddPath(inner, Node("x"), Node("one", Asks{"one?", "log"}),
            Node("two", Asks{"two?", "log"}));
    return MustCompile(inner, {.memory = memory});
  }
  // A graph of `inner` between a and z.
  static void Surround(StateGraph& builder, const Graph& inner,
                       NestedTravelTest* test) {
    builder.AddNode("inside", inner);
    for (const char* name : {"a", "z"}) {
      builder.AddNode(name, [test](NodeContext& node) { test->NoteRan(node); });
    }
    builder.AddEdge(kStart, "a");
    builder.AddEdge("a", "inside");
    builder.AddEdge("inside", "z");
  }
  Graph Nested(const Graph& inner) {
    StateGraph outer;
    outer.AddChannel("log", AppendLogChannel<std::string>());
    Surround(outer, inner, this);
    return MustCompile(outer);
  }
  // Where the innermost graph waits.
  CheckpointRef Innermost(const Graph& graph) {
    const StateSnapshot top = State(graph);
    const StateSnapshot* state = &top;
    while (!state->tasks.empty() && state->tasks[0].state != nullptr) {
      state = state->tasks[0].state.get();
    }
    return state->ref;
  }
};

TEST_F(NestedTravelTest, ReplayOfTheOuterGraphStartsAStatelessOneAnew) {
  const Graph graph = Nested(Asking());
  Run(graph, Update());
  Run(graph, Input::Resume(Value("1")));
  Run(graph, Input::Resume(Value("2")));
  TakeRan();
  const RunResult again =
      Run(graph, Input::Continue(), {.from = Before(graph, "inside").ref});
  EXPECT_THAT(Questions(again), ElementsAre("one?"));
  EXPECT_THAT(TakeRan(), ElementsAre("x", "one"));
  Run(graph, Input::Resume(Value("I")));
  EXPECT_EQ(Run(graph, Input::Resume(Value("II"))).ToJson(),
            R"({"log": ["one? I", "two? II"]})");
}

TEST_F(NestedTravelTest, AnswerAtTheNamedHeadIsNoTravel) {
  for (const Memory memory : {Memory::kOfTask, Memory::kOfThread}) {
    store_.DeleteThread("t", [](absl::Status) {});
    const Graph graph = Nested(Asking(memory));
    Run(graph, Update());
    TakeRan();
    const RunResult next =
        Run(graph, Input::Resume(Value("1")), {.from = State(graph).ref});
    EXPECT_THAT(Questions(next), ElementsAre("two?"));
    EXPECT_THAT(TakeRan(), ElementsAre("one", "two"))
        << "the graph inside goes on where it stopped";
  }
}

// A graph that counts its turns, run once in each round of a loop.
TEST_F(NestedTravelTest, GraphThatRemembersIsAsItWasAtItsFirstVisitOnly) {
  StateGraph inner;
  const auto turns = inner.AddChannel("turns", LastValue<int>());
  std::vector<int> seen;
  inner.AddNode("count", [turns, &seen](NodeContext& node) {
    seen.push_back(node.Get(turns) + 1);
    return Update(turns, seen.back());
  });
  inner.AddEdge(kStart, "count");
  AddPath(builder_, Node("a", NoteStep{notes_}));
  builder_.AddNode("inside", MustCompile(inner, {.memory = Memory::kOfThread}));
  builder_.AddEdge("a", "inside");
  builder_.AddConditionalEdges("inside", [this](NodeContext& state) {
    return Route(state.Get(notes_).size() < 3 ? "a" : kEnd);
  });
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  EXPECT_THAT(seen, ElementsAre(1, 2, 3));
  seen.clear();
  std::optional<CheckpointRef> second;
  for (const StateSnapshot& state : History(graph)) {
    if (state.next == Lines{"inside"} && state.values.Get(notes_).size() == 2) {
      second = state.ref;
    }
  }
  ASSERT_TRUE(second.has_value());
  Run(graph, Input::Continue(), {.from = second});
  EXPECT_THAT(seen, ElementsAre(2, 3));
}

TEST_F(NestedTravelTest, GoesToACheckpointInsideAndThenRunsTheParent) {
  for (const Memory memory : {Memory::kOfTask, Memory::kOfThread}) {
    store_.DeleteThread("t", [](absl::Status) {});
    const Graph graph = Nested(Asking(memory));
    Run(graph, Update());
    const CheckpointRef first = Innermost(graph);
    Run(graph, Input::Resume(Value("1")));
    const CheckpointRef second = Innermost(graph);
    Run(graph, Input::Resume(Value("2")));

    TakeRan();
    EXPECT_THAT(Questions(Run(graph, Input::Continue(), {.from = second})),
                ElementsAre("two?"));
    EXPECT_THAT(TakeRan(), ElementsAre("two"));
    RunResult end = Run(graph, Input::Resume(Value("II")));
    EXPECT_EQ(end.ToJson(), R"({"log": ["one? 1", "two? II"]})");
    EXPECT_THAT(TakeRan(), ElementsAre("two", "z"));

    EXPECT_THAT(Questions(Run(graph, Input::Continue(), {.from = first})),
                ElementsAre("one?"));
    EXPECT_THAT(TakeRan(), ElementsAre("one"));
    EXPECT_THAT(Questions(Run(graph, Input::Resume(Value("I")))),
                ElementsAre("two?"));
    end = Run(graph, Input::Resume(Value("III")));
    EXPECT_EQ(end.ToJson(), R"({"log": ["one? I", "two? III"]})");
    EXPECT_THAT(TakeRan(), ElementsAre("one", "two", "two", "z"));
  }
}

TEST_F(NestedTravelTest, GoesToACheckpointThreeLevelsDeep) {
  for (const Memory memory : {Memory::kOfTask, Memory::kOfThread}) {
    store_.DeleteThread("t", [](absl::Status) {});
    StateGraph middle;
    middle.AddChannel("log", AppendLogChannel<std::string>());
    Surround(middle, Asking(memory), this);
    const Graph graph = Nested(MustCompile(middle, {.memory = memory}));
    Run(graph, Update());
    EXPECT_THAT(TakeRan(), ElementsAre("a", "a", "x", "one"));
    const CheckpointRef first = Innermost(graph);
    Run(graph, Input::Resume(Value("1")));
    const CheckpointRef second = Innermost(graph);
    Run(graph, Input::Resume(Value("2")));

    TakeRan();
    EXPECT_THAT(Questions(Run(graph, Input::Continue(), {.from = first})),
                ElementsAre("one?"));
    EXPECT_THAT(TakeRan(), ElementsAre("one"))
        << "nothing before it, at no level";
    EXPECT_THAT(Questions(Run(graph, Input::Resume(Value("I")))),
                ElementsAre("two?"));
    RunResult end = Run(graph, Input::Resume(Value("II")));
    EXPECT_EQ(end.ToJson(), R"({"log": ["one? I", "two? II"]})");
    EXPECT_THAT(TakeRan(), ElementsAre("one", "two", "two", "z", "z"));

    EXPECT_THAT(Questions(Run(graph, Input::Continue(), {.from = second})),
                ElementsAre("two?"));
    EXPECT_THAT(TakeRan(), ElementsAre("two"));
    end = Run(graph, Input::Resume(Value("III")));
    EXPECT_EQ(end.ToJson(), R"({"log": ["one? 1", "two? III"]})");
    EXPECT_THAT(TakeRan(), ElementsAre("two", "z", "z"));
  }
}

TEST_F(NestedTravelTest, ChangedStateInsideThePastIsRunOn) {
  const Graph graph = Nested(Asking());
  Run(graph, Update());
  Run(graph, Input::Resume(Value("1")));
  const CheckpointRef second = Innermost(graph);
  Run(graph, Input::Resume(Value("2")));
  TakeRan();
  const CheckpointRef made = Change(
      graph,
      {.values = Update().Set("log", Value("by hand")), .as_node = "one"},
      second);
  EXPECT_THAT(Questions(Run(graph, Input::Continue(), {.from = made})),
              ElementsAre("two?"));
  EXPECT_EQ(Run(graph, Input::Resume(Value("II"))).ToJson(),
            R"({"log": ["one? 1", "by hand", "two? II"]})");
  EXPECT_THAT(TakeRan(), ElementsAre("two", "two", "z"));
}

}  // namespace
}  // namespace weir
