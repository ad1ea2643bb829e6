#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"
#include "tests/support/saved_graph.h"

#include "weir/runtime/errors.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"

// Changing a thread's state by hand.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class UpdateStateTest : public SavedGraphTest {
 protected:
  using Supersteps = std::vector<std::vector<StateUpdate>>;

  absl::Status Failure(const Graph& graph, Supersteps supersteps) {
    return graph.UpdateState(Thread(), std::move(supersteps)).status();
  }
  StateUpdate As(const std::string& node, const std::string& line) {
    return {.values = Update(notes_, line), .as_node = node};
  }
};

TEST_F(UpdateStateTest, SuperstepsAreAppliedInTurn) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}),
          Node("c", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  ASSERT_TRUE(graph
                  .UpdateState(Thread(),
                               Supersteps{{As("a", "as a")}, {As("b", "as b")}})
                  .ok());
  const std::vector<StateSnapshot> history = History(graph);
  ASSERT_THAT(history, SizeIs(2));
  EXPECT_EQ(history[0].parent, history[1].ref.id);
  EXPECT_THAT(history[0].next, ElementsAre("c"));
  EXPECT_THAT(history[1].next, ElementsAre("b"));
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_),
              ElementsAre("as a", "as b", "c@2"));
}

TEST_F(UpdateStateTest, UpdatesOfOneSuperstepMergeAsItsTasksWould) {
  AddPath(builder_, Node("a", NoteStep{notes_}));
  AddPath(builder_, Node("b", NoteStep{notes_}));
  builder_.AddNode("c", NoteStep{notes_});
  builder_.AddJoin({"a", "b"}, "c");
  const Graph graph = MustCompile(builder_);
  ASSERT_TRUE(
      graph
          .UpdateState(Thread(), Supersteps{{As("b", "as b"), As("a", "as a")}})
          .ok());
  EXPECT_THAT(State(graph).values.Get(notes_), ElementsAre("as a", "as b"));
  EXPECT_THAT(State(graph).next, ElementsAre("c"));
}

TEST_F(UpdateStateTest, SuperstepsThatCannotBeAreRefused) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  EXPECT_EQ(Failure(graph, Supersteps()).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Failure(graph, Supersteps(1)).code(),
            absl::StatusCode::kInvalidArgument);
  const auto refused = [](const std::vector<std::string>& parts) {
    return IsError(ErrorKind::kInvalidUpdate,
                   absl::StatusCode::kInvalidArgument, parts);
  };
  EXPECT_THAT(Failure(graph, {{As("a", "1"), As("", "2")}}),
              refused({"names its node"}));
  for (const std::string_view alone : {kEnd, kInputUpdate, kCopyUpdate}) {
    const std::string name(alone);
    EXPECT_THAT(Failure(graph, {{{.as_node = name}, As("a", "1")}}),
                refused({"'" + name + "'"}));
  }
  EXPECT_THAT(Failure(graph, {{As(std::string(kEnd), "1")}}),
              refused({"'__end__'"}));
  EXPECT_THAT(Failure(graph, {{As("ghost", "1")}}), refused({"'ghost'"}));
  EXPECT_THAT(Failure(graph, {{{.as_node = std::string(kInputUpdate)}}}),
              refused({"'__input__'"}));
  EXPECT_THAT(History(graph), IsEmpty());
}

TEST_F(UpdateStateTest, UpdateWithoutValuesSkipsTheNode) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}),
          Node("c", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_before = {"b"}});
  Change(graph, {.as_node = "b"});
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_),
              ElementsAre("a@1", "c@3"));
}

TEST_F(UpdateStateTest, DropsEveryOtherTaskThatWaited) {
  AddPath(builder_, Node("s"));
  for (const char* name : {"b", "c"}) {
    builder_.AddNode(name, NoteStep{notes_});
    builder_.AddEdge("s", name);
  }
  builder_.AddNode("b2", NoteStep{notes_});
  builder_.AddEdge("b", "b2");
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_before = {"b"}});
  EXPECT_THAT(State(graph).next, ElementsAre("b", "c"));
  Change(graph, As("b", "by hand"));
  EXPECT_THAT(State(graph).next, ElementsAre("b2"));
}

// D9 in docs/behaviours.md.
TEST_F(UpdateStateTest, UpdateAsADeferredNodeBehindAJoinUsesTheJoinUp) {
  AddPath(builder_, Node("a", NoteStep{notes_}));
  AddPath(builder_, Node("b", NoteStep{notes_}));
  builder_.AddNode("d", NoteStep{notes_}, {.defer = true});
  builder_.AddJoin({"a", "b"}, "d");
  builder_.AddNode("e", NoteStep{notes_});
  builder_.AddEdge("d", "e");
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_before = {"d"}});
  Change(graph, As("d", "as d"));
  EXPECT_THAT(State(graph).next, ElementsAre("e"));
}

// A history as "step values next", the newest first.
std::vector<std::string> Shown(const std::vector<StateSnapshot>& history) {
  std::vector<std::string> lines;
  for (const StateSnapshot& state : history) {
    lines.push_back(absl::StrCat(state.metadata->step, " ",
                                 state.values.ToJson(), " ",
                                 absl::StrJoin(state.next, ",")));
  }
  return lines;
}

TEST_F(UpdateStateTest, UpdatesAsInputAndNodesMakeTheHistoryOfARun) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(notes_, "in"), {.thread_id = "run"});
  const absl::StatusOr<std::vector<StateSnapshot>> run =
      graph.GetHistory({.checkpointer = &store_, .thread_id = "run"});
  ASSERT_TRUE(run.ok());
  ASSERT_TRUE(graph
                  .UpdateState(Thread(),
                               Supersteps{{As(std::string(kInputUpdate), "in")},
                                          {As(std::string(kStart), "in")},
                                          {As("a", "a@1")},
                                          {As("b", "b@2")}})
                  .ok());
  EXPECT_EQ(Shown(History(graph)), Shown(*run));
  EXPECT_EQ(History(graph).back().metadata->source, "input");
}

TEST_F(UpdateStateTest, UpdateAsInputIsRunFromTheStart) {
  AddPath(builder_, Node("a", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_before = {"a"}});
  Change(graph, As(std::string(kInputUpdate), "in"));
  EXPECT_THAT(State(graph).next, ElementsAre("__start__")) << "a is dropped";
  EXPECT_EQ(State(graph).metadata->source, "input");
  EXPECT_EQ(State(graph).metadata->step, 1);
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_),
              ElementsAre("in", "a@3"));
}

TEST_F(UpdateStateTest, UpdateIsTheResultOfTheTaskItStandsFor) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_before = {"b"}});
  const StateSnapshot before = State(graph);
  ASSERT_THAT(before.tasks, SizeIs(1));
  EXPECT_FALSE(before.tasks[0].finished);
  Change(graph, As("b", "by hand"));
  const StateSnapshot after = State(graph, before.ref);
  ASSERT_THAT(after.tasks, SizeIs(1));
  EXPECT_EQ(after.tasks[0].id, before.tasks[0].id);
  EXPECT_EQ(after.tasks[0].result.ToJson(), R"({"notes": "by hand"})");
}

// An update without a node is that of the one that ran last. Sends count only
// where an edge had led to their node in the superstep before; the store tells
// a later run.
TEST_F(UpdateStateTest, NodeThatASendRanCountsAfterAnEdgeHasRunIt) {
  AddPath(builder_, Node("w", NoteStep{notes_}));
  AddPath(builder_, Node("x", [](NodeContext&) { return Send("w", 1); }));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_after = {"x"}});
  EXPECT_THAT(Failure(graph, {{{.values = Update(notes_, "?")}}}),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"several nodes"}));
  Run(graph, Input::Continue());
  EXPECT_THAT(TakeRan(), ElementsAre("w", "x", "w"));
  Change(graph, {.values = Update(notes_, "as w")});
  EXPECT_THAT(State(graph).values.Get(notes_),
              ElementsAre("w@1", "w@2", "as w"));
}

TEST_F(UpdateStateTest, NodeThatASendRanDoesNotCountLater) {
  AddPath(builder_, Node("w", NoteStep{notes_}));
  AddPath(builder_, Node("x", [](NodeContext&) { return Send("y", 1); }));
  builder_.AddNode("y", [](NodeContext&) { return Send("w", 1); });
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_after = {"y"}});
  Run(graph, Input::Continue());
  EXPECT_THAT(TakeRan(), ElementsAre("w", "x", "w"));
  EXPECT_THAT(Failure(graph, {{{.values = Update(notes_, "?")}}}),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"several nodes"}));
}

TEST_F(UpdateStateTest, UpdateMayNameTheTaskItStandsFor) {
  AddPath(builder_, Node("a", [](NodeContext&) {
            return Command{.go_to = {Send("w", 1), Send("w", 2)}};
          }));
  builder_.AddNode("w", NoteStep{notes_});
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_before = {"w"}});
  const StateSnapshot before = State(graph);
  ASSERT_THAT(before.tasks, SizeIs(2));
  StateUpdate update = As("w", "by hand");
  update.task_id = before.tasks[1].id;
  Change(graph, update);
  const StateSnapshot after = State(graph, before.ref);
  EXPECT_FALSE(after.tasks[0].finished);
  EXPECT_EQ(after.tasks[1].result.ToJson(), R"({"notes": "by hand"})");
  EXPECT_THAT(State(graph).next, IsEmpty()) << "the other is dropped";
}

}  // namespace
}  // namespace weir
