#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/ephemeral.h"
#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/channels/topic.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// Conditional edges, Commands and Sends: where nodes lead besides their edges.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Targets = std::vector<Target>;

class RoutingTest : public testing::Test {
 protected:
  void AddNodes(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      builder_.AddNode(name, NoteStep{notes_});
    }
  }
  // A node that notes when it runs and then leads to `targets`.
  void AddGoing(const std::string& name, Targets targets,
                NodeOptions options = {}) {
    builder_.AddNode(
        name,
        [notes = notes_, targets = std::move(targets)](NodeContext& node) {
          return Command{.update = NoteStep{notes}(node), .go_to = targets};
        },
        std::move(options));
  }
  // A node that notes its input, a number.
  void AddNumbered(const std::string& name) {
    builder_.AddNode(name, [notes = notes_](NodeContext& node) {
      const int* number = node.Input<int>();
      return Update(notes, absl::StrCat(std::string(node.node()),
                                        number == nullptr ? -1 : *number));
    });
  }
  std::string Run(CompileOptions options = {}) {
    return NotesOf(MustCompile(builder_, std::move(options)), notes_);
  }
  absl::Status Failure(CompileOptions options = {}) {
    return MustCompile(builder_, std::move(options)).Invoke(Update()).status();
  }
  // What the run says in kDebug events of what it ignored.
  std::vector<std::string> Warnings() {
    std::vector<std::string> warnings;
    SimExecutor executor(1);
    RunStream stream = MustCompile(builder_).Stream(
        Update(), {.modes = kDebug, .executor = &executor});
    while (const Event* event = stream.Next()) {
      if (const auto* warning = event->As<RunWarning>()) {
        warnings.push_back(warning->text);
      }
    }
    EXPECT_TRUE(stream.status().ok()) << stream.status();
    return warnings;
  }

  StateGraph builder_;
  const NotesChannel notes_ = AddNotes(builder_);
};

// Conditional edges.

TEST_F(RoutingTest, PathMapLooksUpTheRoutersAnswers) {
  AddNodes({"a", "b", "c"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges(
      "a",
      [](NodeContext&) {
        return Targets{"left", "right", "out"};
      },
      {.path_map = {
           {"left", "c"}, {"right", "b"}, {"out", std::string(kEnd)}}});
  EXPECT_EQ(Run(), "a@1 b@2 c@2");
}

TEST_F(RoutingTest, AnswerThatThePathMapMissesFailsTheTask) {
  AddNodes({"a", "b"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [](NodeContext&) { return "b"; },
                               {.name = "pick", .path_map = {{"left", "b"}}});
  EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidBranch,
                                 absl::StatusCode::kInvalidArgument,
                                 {"'a'", "'pick'", "'b'", "path map"}));
}

TEST_F(RoutingTest, PathMapLooksUpTheEndToo) {
  AddNodes({"a", "b"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [](NodeContext&) { return kEnd; },
                               {.path_map = {{"left", "b"}}});
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kInvalidBranch,
                      absl::StatusCode::kInvalidArgument, {"'__end__'"}));
}

TEST_F(RoutingTest, SendsOfARouterAreNotLookedUp) {
  AddNodes({"a", "b"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a",
                               [](NodeContext&) {
                                 return Targets{Send("b", 1), "left"};
                               },
                               {.path_map = {{"left", std::string(kEnd)}}});
  EXPECT_EQ(Run(), "a@1 b@2");
}

TEST_F(RoutingTest, RouterMayAnswerWithNothing) {
  AddNodes({"a"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [](NodeContext&) { return Route(); });
  builder_.AddConditionalEdges("a", [](NodeContext&) { return Targets{}; });
  builder_.AddConditionalEdges("a", [](NodeContext&) { return kEnd; });
  EXPECT_EQ(Run(), "a@1");
}

TEST_F(RoutingTest, RouterMayAnswerInAnyFormOfATarget) {
  AddNodes({"s", "b", "c", "d", "e"});
  const NodeId f = builder_.AddNode("f", NoteStep{notes_});
  builder_.AddEdge(kStart, "s");
  builder_.AddConditionalEdges("s", [](NodeContext&) { return "b"; });
  builder_.AddConditionalEdges("s",
                               [](NodeContext&) { return std::string("c"); });
  builder_.AddConditionalEdges("s", [](NodeContext&) {
    return std::vector<std::string>{"d", "d"};
  });
  builder_.AddConditionalEdges(
      "s", [](NodeContext&) { return absl::StatusOr<std::string>("e"); });
  builder_.AddConditionalEdges("s", [f](NodeContext&) { return f; });
  EXPECT_EQ(Run(), "s@1 b@2 c@2 d@2 e@2 f@2");
}

TEST_F(RoutingTest, SameNodeTwiceIsOneRunAndSameSendTwiceIsTwo) {
  AddNodes({"a", "b", "w"});
  builder_.AddEdge(kStart, "a");
  builder_.AddEdge("a", "b");
  builder_.AddConditionalEdges("a", [](NodeContext&) {
    return Targets{"b", "b", Send("w", 1), Send("w", 1)};
  });
  EXPECT_EQ(Run(), "a@1 b@2 w@2 w@2");
}

TEST_F(RoutingTest, UnknownAnswerIsIgnoredWithAWarning) {
  AddNodes({"a", "b"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [](NodeContext&) {
    return Targets{"ghost", "b"};
  });
  EXPECT_EQ(Run(), "a@1 b@2");
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("'ghost'")));
}

TEST_F(RoutingTest, UnknownAnswerFailsTheTaskOfAStrictGraph) {
  AddNodes({"a"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [](NodeContext&) { return "ghost"; });
  EXPECT_THAT(Failure({.strict = true}),
              IsError(ErrorKind::kInvalidBranch,
                      absl::StatusCode::kInvalidArgument, {"'a'", "'ghost'"}));
}

TEST_F(RoutingTest, UndeclaredAnswerFailsTheTaskOfAStrictGraph) {
  AddNodes({"a", "b", "c"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [](NodeContext&) { return "c"; },
                               {.destinations = {{"b"}}});
  EXPECT_EQ(Run(), "a@1 c@2");
  EXPECT_THAT(Failure({.strict = true}),
              IsError(ErrorKind::kInvalidBranch,
                      absl::StatusCode::kInvalidArgument, {"'c'", "declared"}));
}

TEST_F(RoutingTest, StartIsNoDestination) {
  AddNodes({"a"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [](NodeContext&) { return kStart; });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidBranch,
                                 absl::StatusCode::kInvalidArgument,
                                 {"'a'", "'__start__'", "destination"}));
}

TEST_F(RoutingTest, SendOfARouterToTheEndFailsTheTask) {
  AddNodes({"a"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [](NodeContext&) { return Send(kEnd, 1); });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"'a'", "__end__"}));
}

TEST_F(RoutingTest, RouterSeesItsOwnTasksWritesOnly) {
  const auto sum = builder_.AddChannel(
      "sum", Reducer<int>([](int a, int b) { return a + b; }));
  std::map<std::string, int> seen;
  for (const auto& [name, n] : std::map<std::string, int>{{"a", 1}, {"b", 2}}) {
    builder_.AddNode(name, [sum, n = n](NodeContext&) {
      return Update(sum, n).Set(sum, n * 10);
    });
    builder_.AddEdge(kStart, name);
    builder_.AddConditionalEdges(name, [sum, &seen](NodeContext& state) {
      seen[std::string(state.node())] = state.Get(sum);
      return kEnd;
    });
  }
  EXPECT_EQ(MustInvoke(MustCompile(builder_), Update(sum, 100)).Get(sum), 133);
  EXPECT_EQ(seen, (std::map<std::string, int>{{"a", 111}, {"b", 122}}));
}

TEST_F(RoutingTest, RouterSeesWhatTheSuperstepAfterItSees) {
  const auto once = builder_.AddChannel("once", Ephemeral<int>());
  const auto kept = builder_.AddChannel("kept", Ephemeral<int>());
  const auto topic = builder_.AddChannel("topic", Topic<int>());
  std::string in_node;
  std::string in_router;
  builder_.AddNode("a", [&in_node, kept](NodeContext& node) {
    in_node = node.input().ToJson();
    return Update(kept, 5);
  });
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [&in_router](NodeContext& state) {
    in_router = state.input().ToJson();
    return kEnd;
  });
  MustInvoke(MustCompile(builder_), Update(once, 1).Set(kept, 2).Set(topic, 3));
  EXPECT_EQ(in_node, R"({"notes": [], "once": 1, "kept": 2, "topic": [3]})");
  EXPECT_EQ(in_router, R"({"notes": [], "kept": 5})");
}

TEST_F(RoutingTest, RouterReadsByHandleByNameAndWhole) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  const auto empty = builder_.AddChannel("empty", LastValue<int>());
  builder_.AddNode("a", [count](NodeContext&) { return Update(count, 3); });
  AddNodes({"b"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [count, empty](NodeContext& state) {
    EXPECT_EQ(state.Get(count), 3);
    EXPECT_EQ(*state.Find("count")->As<int>(), 3);
    EXPECT_EQ(state.Find(empty), nullptr);
    EXPECT_EQ(state.Find("empty"), nullptr);
    EXPECT_EQ(state.Find("ghost"), nullptr);
    const Values* whole = state.Input<Values>();
    EXPECT_EQ(state.Input<Values>(), whole) << "it is made once";
    EXPECT_EQ(whole->Get(count), 3);
    return "b";
  });
  EXPECT_EQ(Run(), "b@2");
}

TEST_F(RoutingTest, UnknownFieldsOfTheResultPassToTheRouter) {
  AddNodes({"b", "c"});
  builder_.AddNode(
      "a", [](NodeContext&) { return Update().Set("next", Value("c")); });
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [](NodeContext& state) {
    EXPECT_EQ(state.input().ToJson(), R"({"notes": [], "next": "c"})");
    return *state.Find("next")->As<std::string>();
  });
  EXPECT_EQ(Run(), "c@2");
}

TEST_F(RoutingTest, RouterIsBoundToItsNodesInputSchema) {
  const auto open = builder_.AddChannel("open", LastValue<int>());
  const auto other = builder_.AddChannel("other", LastValue<int>());
  builder_.AddNode(
      "a",
      [open, other](NodeContext&) { return Update(open, 1).Set(other, 2); },
      {.input = {{open}}});
  AddNodes({"b"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [open, other](NodeContext& state) {
    EXPECT_EQ(state.Get(open), 1);
    EXPECT_EQ(state.Find(other), nullptr);
    EXPECT_EQ(state.Find("other"), nullptr);
    EXPECT_EQ(state.input().ToJson(), R"({"open": 1})");
    return "b";
  });
  EXPECT_EQ(Run(), "b@2");
}

TEST_F(RoutingTest, RouterRunsAfterEachSendOnTheState) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  AddNodes({"b"});
  AddNumbered("w");
  builder_.AddConditionalEdges(kStart, [](NodeContext&) {
    return Targets{Send("w", 1), Send("w", 2)};
  });
  int calls = 0;
  builder_.AddConditionalEdges("w", [&calls, count](NodeContext& state) {
    ++calls;
    EXPECT_EQ(state.Get(count), 7);
    return "b";
  });
  SimExecutor executor(1);
  const Values values = MustInvoke(MustCompile(builder_), Update(count, 7),
                                   {.executor = &executor});
  EXPECT_THAT(values.Get(notes_), ElementsAre("w1", "w2", "b@2"));
  EXPECT_EQ(calls, 2);
}

TEST_F(RoutingTest, RoutersRunInTheOrderAdded) {
  AddNodes({"a"});
  AddNumbered("w");
  builder_.AddEdge(kStart, "a");
  for (int i = 0; i < 3; ++i) {
    builder_.AddConditionalEdges("a",
                                 [i](NodeContext&) { return Send("w", i); });
  }
  EXPECT_EQ(Run(), "a@1 w0 w1 w2");
}

TEST_F(RoutingTest, RouterOfTheStartSeesTheInput) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  AddNodes({"a", "b"});
  builder_.AddConditionalEdges(kStart, [count](NodeContext& state) {
    return state.Get(count) > 0 ? "b" : "a";
  });
  EXPECT_THAT(MustInvoke(MustCompile(builder_), Update(count, 1)).Get(notes_),
              ElementsAre("b@1"));
}

TEST_F(RoutingTest, RouterMayEmitAndCallAGraph) {
  StateGraph inner;
  const auto in = inner.AddChannel("in", LastValue<int>());
  inner.AddNode(
      "x", [in](NodeContext& node) { return Update(in, node.Get(in) + 1); });
  inner.AddEdge(kStart, "x");
  AddNodes({"a", "b", "c"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges(
      "a", [graph = MustCompile(inner), in](NodeContext& state) -> Route {
        const absl::StatusOr<Values> values =
            state.Invoke(graph, Update(in, 1));
        if (!values.ok()) return values.status();
        state.Emit("decided");
        return values->Get(in) == 2 ? "b" : "c";
      });
  SimExecutor executor(1);
  EXPECT_THAT(
      StreamAll(MustCompile(builder_), Update(),
                {.modes = kCustom | kUpdates, .executor = &executor})
          .events,
      ElementsAre(R"(custom "decided")", R"(updates {"a": {"notes": "a@1"}})",
                  R"(updates {"b": {"notes": "b@2"}})"));
}

// Commands.

TEST_F(RoutingTest, CommandsUpdateGotoAndEdgesAllCount) {
  AddGoing("a", {"c", "d"});
  AddNodes({"b", "c", "d"});
  builder_.AddEdge(kStart, "a");
  builder_.AddEdge("a", "b");
  EXPECT_EQ(Run(), "a@1 b@2 c@2 d@2");
}

TEST_F(RoutingTest, GotoOfTheEndLeadsNowhere) {
  AddGoing("a", {kEnd});
  AddNodes({"b"});
  builder_.AddEdge(kStart, "a");
  builder_.AddEdge("a", "b");
  EXPECT_EQ(Run(), "a@1 b@2");
}

TEST_F(RoutingTest, GotoANodeThatAnEdgeLeadsToIsOneRun) {
  AddGoing("a", {"b", "b"});
  AddNodes({"b"});
  builder_.AddEdge(kStart, "a");
  builder_.AddEdge("a", "b");
  EXPECT_EQ(Run(), "a@1 b@2");
}

TEST_F(RoutingTest, UnknownGotoIsIgnoredWithAWarning) {
  AddGoing("a", {"ghost", Send("phantom", 1), "b"});
  AddNodes({"b"});
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "a@1 b@2");
  EXPECT_THAT(Warnings(),
              ElementsAre(HasSubstr("'ghost'"), HasSubstr("'phantom'")));
}

TEST_F(RoutingTest, UnknownGotoFailsTheTaskOfAStrictGraph) {
  AddGoing("a", {"ghost"});
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(Failure({.strict = true}),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"'a'", "'ghost'"}));
}

TEST_F(RoutingTest, UnknownSendFailsTheTaskOfAStrictGraph) {
  AddGoing("a", {Send("ghost", 1)});
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(Failure({.strict = true}),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"'a'", "'ghost'"}));
}

TEST_F(RoutingTest, UndeclaredGotoFailsTheTaskOfAStrictGraph) {
  AddGoing("a", {"c"}, {.destinations = {{"b"}}});
  AddNodes({"b", "c"});
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "a@1 c@2");
  EXPECT_THAT(
      Failure({.strict = true}),
      IsError(ErrorKind::kInvalidUpdate, absl::StatusCode::kInvalidArgument,
              {"'a'", "'c'", "declared"}));
}

TEST_F(RoutingTest, UndeclaredSendFailsTheTaskOfAStrictGraph) {
  AddGoing("a", {Send("c", 1)}, {.destinations = {{"b"}}});
  AddNodes({"b", "c"});
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "a@1 c@2");
  EXPECT_THAT(
      Failure({.strict = true}),
      IsError(ErrorKind::kInvalidUpdate, absl::StatusCode::kInvalidArgument,
              {"'a'", "'c'", "declared"}));
}

TEST_F(RoutingTest, SendOfANodeToTheEndFailsTheTask) {
  AddGoing("a", {Send(kEnd, 1)});
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"'a'", "__end__"}));
}

TEST_F(RoutingTest, NodeOfAnotherGraphIsUnknown) {
  StateGraph other;
  const NodeId foreign = other.AddNode("b", Idle());
  AddGoing("a", {foreign});
  AddNodes({"b"});
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "a@1");
  EXPECT_THAT(Failure({.strict = true}),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"'a'"}));
}

TEST_F(RoutingTest, ListOfUpdatesAndCommandsIsTakenInOrder) {
  AddNodes({"b", "c"});
  builder_.AddNode("a", [notes = notes_](NodeContext&) {
    return std::vector<NodeResult::Item>{
        Update(notes, "1"),
        Command{.update = Update(notes, "2"), .go_to = {"c"}},
        Update(notes, "3"),
        Command{.go_to = {"b"}},
    };
  });
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "1 2 3 b@2 c@2");
}

TEST_F(RoutingTest, ListWithoutACommandFailsTheTask) {
  builder_.AddNode("a", [notes = notes_](NodeContext&) {
    return std::vector<NodeResult::Item>{Update(notes, "1")};
  });
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidUpdate,
                                 absl::StatusCode::kInvalidArgument,
                                 {"'a'", "list", "Command"}));
}

TEST_F(RoutingTest, EmptyListFailsTheTask) {
  builder_.AddNode(
      "a", [](NodeContext&) { return std::vector<NodeResult::Item>(); });
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"'a'", "list"}));
}

// Sends.

TEST_F(RoutingTest, SendCarriesExactlyItsValue) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  AddGoing("a", {Send("w", 42)});
  builder_.AddNode("w", [count, notes = notes_](NodeContext& node) {
    EXPECT_EQ(node.Find(count), nullptr) << "the state is not its input";
    EXPECT_EQ(node.Find("count"), nullptr);
    EXPECT_EQ(node.Input<std::string>(), nullptr);
    return Update(notes, absl::StrCat(*node.Input<int>()));
  });
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(MustInvoke(MustCompile(builder_), Update(count, 1)).Get(notes_),
              ElementsAre("a@1", "42"));
}

TEST_F(RoutingTest, SendCarriesItsValueWithoutACopy) {
  const Value text(std::string(100, 'x'));
  const std::string* at = text.As<std::string>();
  AddGoing("a", {Send("w", text)});
  builder_.AddNode("w", [at](NodeContext& node) {
    EXPECT_EQ(node.Input<std::string>(), at);
  });
  builder_.AddEdge(kStart, "a");
  Run();
}

TEST_F(RoutingTest, SendMayCarryACommandWhichIsAValueLikeAnyOther) {
  AddGoing("a", {Send("w", Value(Command{.go_to = {"b"}}))});
  builder_.AddNode("w", [notes = notes_](NodeContext& node) {
    const Command* carried = node.Input<Command>();
    return Update(notes, carried == nullptr
                             ? "nothing"
                             : carried->go_to.at(0).node().name());
  });
  AddNodes({"b"});
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "a@1 b") << "it is not followed";
}

TEST_F(RoutingTest, FieldsOfASentRecordAreFoundAsChannels) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  AddGoing(
      "a",
      {Send("w", std::map<std::string, int>{{"count", 5}, {"unknown", 6}})});
  builder_.AddNode("w", [count, notes = notes_](NodeContext& node) {
    EXPECT_EQ(node.Find(notes), nullptr);
    EXPECT_EQ(*node.Find("unknown")->As<int>(), 6);
    EXPECT_EQ(node.Find("ghost"), nullptr);
    const int* first = node.Find(count);
    EXPECT_EQ(node.Find(count), first) << "what was found stays";
    return Update(notes, absl::StrCat(*first));
  });
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "a@1 5");
}

TEST_F(RoutingTest, SentUpdateIsFoundByItsHandles) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  const auto text = builder_.AddChannel("text", LastValue<std::string>());
  AddGoing("a",
           {Send("w", Update(count, 5).Set("extra", Value(std::string("e"))))});
  builder_.AddNode("w", [count, text, notes = notes_](NodeContext& node) {
    EXPECT_EQ(node.Find(text), nullptr);
    EXPECT_EQ(node.input().ToJson(), R"({"count": 5, "extra": "e"})");
    EXPECT_EQ(*node.Find("extra")->As<std::string>(), "e");
    return Update(notes, absl::StrCat(node.Get(count)));
  });
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "a@1 5");
}

TEST_F(RoutingTest, SentUpdateIsReadAsTheStateWouldBe) {
  const auto topic = builder_.AddChannel("topic", Topic<int>());
  const auto sum = builder_.AddChannel(
      "sum", Reducer<int>([](int a, int b) { return a + b; }, 100));
  AddGoing("a", {Send("w", Update(topic, 1).Set(topic, 2).Set(sum, 3))});
  builder_.AddNode("w", [topic, sum, notes = notes_](NodeContext& node) {
    EXPECT_THAT(node.Get(topic), ElementsAre(1, 2));
    return Update(notes, absl::StrCat(node.Get(sum)));
  });
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "a@1 103");
}

TEST_F(RoutingTest, SentUpdateWithAForeignHandleFailsTheTask) {
  StateGraph other;
  const auto foreign = other.AddChannel("x", LastValue<int>());
  AddGoing("a", {Send("w", Update(foreign, 1))});
  AddNodes({"w"});
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidUpdate,
                                 absl::StatusCode::kInvalidArgument,
                                 {"'a'", "another graph"}));
}

TEST_F(RoutingTest, SendsRunInTheMergeOrderOfTheTasksThatSent) {
  AddGoing("z", {Send("w", 2), Send("v", 3)});
  AddGoing("a", {Send("w", 0), Send("v", 1)});
  AddNumbered("w");
  AddNumbered("v");
  builder_.AddEdge(kStart, "z");
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "a@1 z@1 w0 v1 w2 v3");
}

TEST_F(RoutingTest, SendsOfSendsRunASuperstepLater) {
  AddGoing("a", {Send("b", 1)});
  AddGoing("b", {Send("c", 1)});
  AddNodes({"c"});
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "a@1 b@2 c@3");
}

TEST_F(RoutingTest, NodeLedToAndSentToRunsForEach) {
  AddGoing("a", {"w", Send("w", 1)});
  builder_.AddNode("w", [notes = notes_](NodeContext& node) {
    return Update(notes, node.Input<int>() == nullptr ? "led" : "sent");
  });
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "a@1 led sent");
}

TEST_F(RoutingTest, NodeMayReturnASend) {
  builder_.AddNode("a", [](NodeContext&) { return Send("w", 7); });
  AddNumbered("w");
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "w7");
}

TEST_F(RoutingTest, SentRecordIsTheInputOfASubgraph) {
  StateGraph inner;
  const auto in = inner.AddChannel("count", LastValue<int>());
  inner.AddNode("double", [in](NodeContext& node) {
    return Update(in, 2 * node.Get(in));
  });
  inner.AddEdge(kStart, "double");
  const auto count = builder_.AddChannel("count", LastValue<int>());
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddNode(
      "a", [count](NodeContext&) { return Send("sub", Update(count, 21)); });
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(MustInvoke(MustCompile(builder_), Update()).Get(count), 42);
}

// Commands for the parent.

class ParentCommandTest : public testing::Test {
 protected:
  // A channel that the graphs of a test share: lines, joined.
  static Channel<std::string> AddLog(StateGraph& builder) {
    return builder.AddChannel(
        "log",
        Reducer<std::string>([](std::string log, const std::string& line) {
          if (!log.empty() && !line.empty()) log += " ";
          return log + line;
        }));
  }
  static void AddNode(StateGraph& builder, const std::string& name) {
    builder.AddNode(name, [](NodeContext& node) {
      return Update().Set("log", Value(absl::StrCat(std::string(node.node()),
                                                    "@", node.step())));
    });
  }
  static Command ForParent(std::vector<Target> targets) {
    return {.update = Update().Set("log", Value("up")),
            .go_to = std::move(targets),
            .graph = Command::Graph::kParent};
  }
  // A graph of a node that returns a command for the parent, and one beside it.
  static Graph GraphThatReturns(Command command) {
    StateGraph inner;
    AddLog(inner);
    inner.AddNode("x", [command](NodeContext&) { return command; });
    AddNode(inner, "beside");
    inner.AddEdge(kStart, "x");
    inner.AddEdge(kStart, "beside");
    return MustCompile(inner);
  }
  std::string Run(RunOptions options = {}) {
    return MustInvoke(MustCompile(builder_), Update(), std::move(options))
        .Get(log_);
  }
  absl::Status Failure(Input input = Update()) {
    return MustCompile(builder_).Invoke(std::move(input)).status();
  }

  StateGraph builder_;
  const Channel<std::string> log_ = AddLog(builder_);
};

TEST_F(ParentCommandTest, IsAsIfTheParentsNodeHadReturnedIt) {
  builder_.AddNode("sub", GraphThatReturns(ForParent({"other"})));
  AddNode(builder_, "next");
  AddNode(builder_, "other");
  builder_.AddEdge(kStart, "sub");
  builder_.AddEdge("sub", "next");
  // Nothing of the superstep in the graph inside counts.
  EXPECT_EQ(Run(), "up next@2 other@2");
}

TEST_F(ParentCommandTest, GoesUpOneLevelOnly) {
  StateGraph middle;
  AddLog(middle);
  middle.AddNode("leaf", GraphThatReturns(ForParent({"mate"})));
  AddNode(middle, "mate");
  middle.AddEdge(kStart, "leaf");
  builder_.AddNode("sub", MustCompile(middle));
  AddNode(builder_, "mate");
  builder_.AddEdge(kStart, "sub");
  EXPECT_EQ(Run(), "up mate@2");
}

TEST_F(ParentCommandTest, GotoMeansTheParentsNodes) {
  builder_.AddNode("sub", GraphThatReturns(ForParent({"beside"})));
  builder_.AddEdge(kStart, "sub");
  EXPECT_EQ(Run(), "up") << "only the graph inside has a node 'beside'";
}

TEST_F(ParentCommandTest, SiblingsRunToTheirEnd) {
  bool ended = false;
  StateGraph inner;
  inner.AddNode("x", [](NodeContext&) { return ForParent({}); });
  inner.AddNode("y", [&ended](NodeContext& node) -> Task<NodeResult> {
    (void)co_await node.Sleep(absl::Seconds(1));
    ended = true;
    co_return NodeResult();
  });
  inner.AddEdge(kStart, "x");
  inner.AddEdge(kStart, "y");
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  ForEachOrder(5, [&](SimExecutor& executor) {
    ended = false;
    EXPECT_EQ(Run({.executor = &executor}), "up");
    EXPECT_TRUE(ended);
  });
}

TEST_F(ParentCommandTest, IsNotLostToTheWatchOnItsSuperstep) {
  StateGraph inner;
  inner.AddNode("x", [](NodeContext& node) -> Task<NodeResult> {
    (void)co_await node.Sleep(absl::Seconds(1));
    co_return NodeResult(ForParent({"other"}));
  });
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner));
  AddNode(builder_, "other");
  builder_.AddEdge(kStart, "sub");
  SimExecutor executor(1);
  EXPECT_EQ(Run({.step_timeout = absl::Seconds(2), .executor = &executor}),
            "up other@2");
}

TEST_F(ParentCommandTest, FailureOfASiblingBeatsIt) {
  StateGraph inner;
  inner.AddNode("x", [](NodeContext&) { return ForParent({}); });
  inner.AddNode(
      "y", [](NodeContext&) { return absl::DataLossError("disk is gone"); });
  inner.AddEdge(kStart, "x");
  inner.AddEdge(kStart, "y");
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kDataLoss,
                      {"'sub'", "'y'", "disk is gone"}));
}

TEST_F(ParentCommandTest, FailsAGraphThatHasNoParent) {
  builder_.AddNode("a", [](NodeContext&) { return ForParent({}); });
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kParentCommand,
                      absl::StatusCode::kFailedPrecondition, {"'a'"}));
}

TEST_F(ParentCommandTest, IsRefusedAsInput) {
  AddNode(builder_, "a");
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(Failure(Input::Command(ForParent({}))),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"parent"}));
}

TEST_F(ParentCommandTest, OfACalledGraphIsItsCallersOnceReturned) {
  const Graph called = GraphThatReturns(ForParent({"other"}));
  builder_.AddNode("a", [called](NodeContext& node) {
    const absl::StatusOr<Values> values = node.Invoke(called, Update());
    EXPECT_THAT(values.status(),
                IsError(ErrorKind::kParentCommand,
                        absl::StatusCode::kFailedPrecondition));
    return NodeResult(values.status());
  });
  AddNode(builder_, "other");
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "up other@2");
}

TEST_F(ParentCommandTest, OfACalledGraphIsDroppedUnlessReturned) {
  const Graph called = GraphThatReturns(ForParent({"other"}));
  builder_.AddNode("a", [this, called](NodeContext& node) {
    const absl::StatusOr<Values> values = node.Invoke(called, Update());
    EXPECT_FALSE(values.ok());
    return Update(log_, "own");
  });
  AddNode(builder_, "other");
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "own");
}

}  // namespace
}  // namespace weir
