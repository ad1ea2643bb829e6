#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/channels/topic.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/state_graph.h"

// What gets into a run's state, who sees it, and what comes out.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SchemaTest : public testing::Test {
 protected:
  // Adds a node that keeps its input as text in seen_.
  void AddSeeing(const std::string& name, NodeOptions options = {}) {
    builder_.AddNode(
        name,
        [this, name](NodeContext& node) {
          std::string seen = node.input().ToJson();
          const absl::MutexLock lock(&mutex_);  // Nodes run side by side.
          seen_[name] = std::move(seen);
        },
        std::move(options));
  }
  std::string Invoke(Input input, RunOptions options = {}) {
    return MustInvoke(MustCompile(builder_), std::move(input),
                      std::move(options))
        .ToJson();
  }
  absl::Status Failure(Input input) {
    return MustCompile(builder_).Invoke(std::move(input)).status();
  }

  StateGraph builder_;
  absl::Mutex mutex_;
  std::map<std::string, std::string> seen_;
};

// Private channels and the input of nodes.

class PrivateChannelTest : public SchemaTest {
 protected:
  PrivateChannelTest() {
    builder_.AddNode(
        "a", [this](NodeContext&) { return Update(secret_, 7).Set(open_, 1); });
    builder_.AddEdge(kStart, "a");
  }
  const Channel<int> open_ = builder_.AddChannel("open", LastValue<int>());
  const Channel<int> secret_ =
      builder_.AddPrivateChannel("secret", LastValue<int>());
};

TEST_F(PrivateChannelTest, IsReadByNodesThatListIt) {
  builder_.AddNode("b",
                   [this](NodeContext& node) {
                     EXPECT_EQ(node.Get(secret_), 7);
                     EXPECT_EQ(*node.Find("secret")->As<int>(), 7);
                     EXPECT_EQ(node.Find(open_), nullptr);
                     seen_["b"] = node.input().ToJson();
                   },
                   {.input = {{secret_}}});
  builder_.AddEdge("a", "b");
  Invoke(Update());
  EXPECT_EQ(seen_["b"], R"({"secret": 7})");
}

TEST_F(PrivateChannelTest, IsNotSeenByOtherNodes) {
  builder_.AddNode("b", [this](NodeContext& node) {
    EXPECT_EQ(node.Find(secret_), nullptr);
    EXPECT_EQ(node.Get(secret_), 0);
    EXPECT_EQ(node.Find("secret"), nullptr);
    EXPECT_EQ(node.Get(open_), 1);
    seen_["b"] = node.input().ToJson();
  });
  builder_.AddEdge("a", "b");
  Invoke(Update());
  EXPECT_EQ(seen_["b"], R"({"open": 1})");
}

TEST_F(PrivateChannelTest, IsNotReturned) {
  EXPECT_EQ(Invoke(Update()), R"({"open": 1})");
}

TEST_F(PrivateChannelTest, IsNotSetByInput) {
  AddSeeing("b", {.input = {{secret_, open_}}});
  builder_.AddEdge(kStart, "b");
  Invoke(Update(secret_, 3).Set(open_, 4));
  EXPECT_EQ(seen_["b"], R"({"open": 4})");
}

TEST_F(PrivateChannelTest, IsInTheSchemasThatListIt) {
  builder_.SetInput({"secret"});
  builder_.SetOutput({"secret"});
  AddSeeing("b", {.input = {{secret_}}});
  builder_.AddEdge(kStart, "b");
  EXPECT_EQ(Invoke(Update(secret_, 3)), R"({"secret": 7})");
  EXPECT_EQ(seen_["b"], R"({"secret": 3})");
}

TEST_F(SchemaTest, NodeSeesTheChannelsOfItsInputThatAreNotEmpty) {
  const auto one = builder_.AddChannel("one", LastValue<int>());
  builder_.AddChannel("two", LastValue<int>());
  const auto three = builder_.AddChannel("three", LastValue<int>());
  AddSeeing("all");
  AddSeeing("some", {.input = {{"two", three}}});
  AddSeeing("none", {.input = std::vector<ChannelRef>()});
  for (const char* name : {"all", "some", "none"}) {
    builder_.AddEdge(kStart, name);
  }
  Invoke(Update(three, 3).Set(one, 1));
  EXPECT_EQ(seen_["all"], R"({"one": 1, "three": 3})");
  EXPECT_EQ(seen_["some"], R"({"three": 3})");
  EXPECT_EQ(seen_["none"], "{}");
}

TEST_F(SchemaTest, NodeReadsByHandleByNameAndWhole) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  const auto text = builder_.AddChannel("text", LastValue<std::string>());
  builder_.AddNode("a", [count, text](NodeContext& node) {
    EXPECT_EQ(*node.Find(count), 5);
    EXPECT_EQ(node.Get(count), 5);
    EXPECT_EQ(node.Find("count")->As<int>(), node.Find(count));
    EXPECT_EQ(node.Find("count")->As<std::string>(), nullptr);
    EXPECT_EQ(node.Find(text), nullptr);
    EXPECT_EQ(node.Get(text), "");
    EXPECT_EQ(node.Find("text"), nullptr);
    EXPECT_EQ(node.Find("ghost"), nullptr);
    EXPECT_EQ(node.Input<Values>()->Get(count), 5);
    EXPECT_EQ(node.Input<int>(), nullptr);
    EXPECT_EQ(&node.input(), &node.input());
  });
  builder_.AddEdge(kStart, "a");
  Invoke(Update(count, 5));
}

TEST_F(SchemaTest, NodeMayWriteWhatItDoesNotRead) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  builder_.AddNode("a", [count](NodeContext&) { return Update(count, 5); },
                   {.input = std::vector<ChannelRef>()});
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Invoke(Update()), R"({"count": 5})");
}

TEST_F(SchemaTest, UnknownFieldsOfAResultAreDropped) {
  builder_.AddChannel("count", LastValue<int>());
  builder_.AddNode("a", [](NodeContext&) {
    return NodeResult::FromValue(
        Value(std::map<std::string, int>{{"count", 5}, {"ghost", 6}}));
  });
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Invoke(Update()), R"({"count": 5})");
}

TEST_F(SchemaTest, NoneIsAValueAndNotAbsence) {
  const auto none = builder_.AddChannel("none", LastValue<None>());
  AddSeeing("a");
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Invoke(Update(none, None())), R"({"none": null})");
  EXPECT_EQ(seen_["a"], R"({"none": null})");
}

// The input and output of a run.

TEST_F(SchemaTest, InputSetsTheChannelsOfTheInputSchemaOnly) {
  const auto in = builder_.AddChannel("in", LastValue<int>());
  const auto other = builder_.AddChannel("other", LastValue<int>());
  builder_.SetInput({in});
  AddSeeing("a");
  builder_.AddEdge(kStart, "a");
  Invoke(Update(in, 1).Set(other, 2).Set("ghost", Value(3)));
  EXPECT_EQ(seen_["a"], R"({"in": 1})");
}

TEST_F(SchemaTest, OutputIsTheChannelsOfTheOutputSchema) {
  builder_.AddChannel("in", LastValue<int>());
  builder_.AddChannel("empty", LastValue<int>());
  const auto out = builder_.AddChannel("out", LastValue<int>());
  builder_.SetOutput({"out", "empty"});
  builder_.AddNode("a", [out](NodeContext& node) {
    return Update(out, 2 * *node.Find("in")->As<int>());
  });
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Invoke(Update().Set("in", Value(4))), R"({"out": 8})");
}

TEST_F(SchemaTest, RunThatWroteNoOutputChannelReturnsNothing) {
  const auto in = builder_.AddChannel("in", LastValue<int>());
  // It is not empty, but nobody wrote it.
  const auto sum = builder_.AddChannel(
      "sum", Reducer<int>([](int a, int b) { return a + b; }));
  builder_.SetOutput({sum});
  AddSeeing("a");
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Invoke(Update(in, 1)), "{}");
  EXPECT_EQ(seen_["a"], R"({"in": 1, "sum": 0})");
}

TEST_F(SchemaTest, EmptyUpdateIsInput) {
  AddSeeing("a");
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Invoke(Input::Values({})), "{}");
  EXPECT_EQ(seen_["a"], "{}");
}

TEST_F(SchemaTest, RecordIsInput) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  AddSeeing("a");
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Invoke(Input::FromValue(
                Value(std::map<std::string, int>{{"count", 5}, {"ghost", 6}}))),
            R"({"count": 5})");
  // What a run returned is input for the next.
  const Values values = MustInvoke(MustCompile(builder_), Update(count, 9));
  EXPECT_EQ(Invoke(Input::FromValue(Value(values))), R"({"count": 9})");
}

TEST_F(SchemaTest, InputThatIsNoRecordIsRefused) {
  AddSeeing("a");
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(Failure(Input::FromValue(Value(5))),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"input", "5"}));
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(SchemaTest, InputOfAWrongTypeIsRefused) {
  builder_.AddChannel("count", LastValue<int>());
  AddSeeing("a");
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(
      Failure(Update().Set("count", Value("five"))),
      IsError(ErrorKind::kInvalidUpdate, absl::StatusCode::kInvalidArgument,
              {"'count'", "int", "std::string", "'__start__'"}));
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(SchemaTest, InputWithAForeignHandleIsRefused) {
  StateGraph other;
  const auto foreign = other.AddChannel("x", LastValue<int>());
  AddSeeing("a");
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(Failure(Update(foreign, 5)),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"another graph"}));
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(SchemaTest, NothingToGoOnWithIsEmptyInput) {
  AddSeeing("a");
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(Failure(Input::Continue()),
              IsError(ErrorKind::kEmptyInput,
                      absl::StatusCode::kInvalidArgument, {"'graph'"}));
  EXPECT_THAT(Failure(Input::Command({})),
              IsError(ErrorKind::kEmptyInput,
                      absl::StatusCode::kInvalidArgument, {"command"}));
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(SchemaTest, CommandAsInputIsAppliedOnceAndTheEntryRunsToo) {
  const NotesChannel notes = AddNotes(builder_);
  const auto sum = builder_.AddChannel(
      "sum", Reducer<int>([](int a, int b) { return a + b; }));
  builder_.AddNode("entry", NoteStep{notes});
  builder_.AddNode("other", NoteStep{notes});
  builder_.AddEdge(kStart, "entry");
  EXPECT_EQ(
      Invoke(Input::Command({.update = Update(sum, 5), .go_to = {"other"}})),
      R"({"notes": ["entry@1", "other@1"], "sum": 5})");
}

TEST_F(SchemaTest, CommandAsInputMaySendOrOnlyUpdate) {
  const NotesChannel notes = AddNotes(builder_);
  builder_.AddNode("entry", NoteStep{notes});
  builder_.AddNode("w", [notes](NodeContext& node) {
    return Update(notes, absl::StrCat("w", *node.Input<int>()));
  });
  builder_.AddEdge(kStart, "entry");
  EXPECT_EQ(Invoke(Input::Command({.go_to = {Send("w", 3)}})),
            R"({"notes": ["entry@1", "w3"]})");
  EXPECT_EQ(Invoke(Input::Command({.update = Update(notes, "x")})),
            R"({"notes": ["x", "entry@1"]})");
}

// Overwrite.

class OverwriteTest : public SchemaTest {
 protected:
  // Adds an entry node that returns `update`.
  void AddWriting(const std::string& name, const Update& update) {
    builder_.AddNode(name, [update](NodeContext&) { return update; });
    builder_.AddEdge(kStart, name);
  }
  const NotesChannel notes_ = AddNotes(builder_);
  Notes Lines(std::vector<std::string> lines) { return lines; }
};

TEST_F(OverwriteTest, ReplacesTheValueUnreduced) {
  AddWriting("a", Overwrite(notes_, Lines({"new"})));
  EXPECT_EQ(Invoke(Update(notes_, "old")), R"({"notes": ["new"]})");
}

TEST_F(OverwriteTest, DropsAllOtherWritesOfItsSuperstep) {
  AddWriting("a", Update(notes_, "before"));
  AddWriting("b", Overwrite(notes_, Lines({"new"})));
  AddWriting("c", Update(notes_, "after"));
  EXPECT_EQ(Invoke(Update(notes_, "old")), R"({"notes": ["new"]})");
}

TEST_F(OverwriteTest, HoldsForItsSuperstepOnly) {
  AddWriting("a", Overwrite(notes_, Lines({"new"})));
  builder_.AddNode("b", NoteStep{notes_});
  builder_.AddEdge("a", "b");
  EXPECT_EQ(Invoke(Update()), R"({"notes": ["new", "b@2"]})");
}

TEST_F(OverwriteTest, ByNameOrAsARecordIsTheSame) {
  AddWriting("a", Update().Overwrite("notes", Value(Lines({"by name"}))));
  EXPECT_EQ(Invoke(Update(notes_, "old")), R"({"notes": ["by name"]})");
  AddWriting("b", Update().Set("notes", Value(std::map<std::string, Notes>{
                                            {"__overwrite__", {"record"}}})));
  EXPECT_THAT(Failure(Update()), IsError(ErrorKind::kInvalidUpdate,
                                         absl::StatusCode::kInvalidArgument,
                                         {"'notes'", "two", "'a'", "'b'"}));
}

TEST_F(OverwriteTest, RecordOfMoreFieldsIsNone) {
  using Record = std::map<std::string, int>;
  const auto record = builder_.AddChannel("record", LastValue<Record>());
  AddWriting("a", Update().Set("record",
                               Value(Record{{"__overwrite__", 1}, {"x", 2}})));
  EXPECT_EQ(MustInvoke(MustCompile(builder_), Update()).Get(record).size(), 2U);
}

TEST_F(OverwriteTest, IsSeenByARouter) {
  AddWriting("a", Update(notes_, "x").Overwrite(notes_, Lines({"new"})));
  builder_.AddConditionalEdges("a", [this](NodeContext& state) {
    EXPECT_THAT(state.Get(notes_), ElementsAre("new"));
    return kEnd;
  });
  Invoke(Update(notes_, "old"));
}

TEST_F(OverwriteTest, MayComeAsInput) {
  AddSeeing("a");
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Invoke(Overwrite(notes_, Lines({"new"}))), R"({"notes": ["new"]})");
}

// Graphs as nodes.

TEST_F(SchemaTest, SubgraphSharesChannelsByName) {
  StateGraph inner;
  const auto in = inner.AddChannel("count", LastValue<int>());
  const auto own = inner.AddChannel("own", LastValue<int>());
  inner.AddNode("x", [in, own](NodeContext& node) {
    EXPECT_EQ(node.input().ToJson(), R"({"count": 1})");
    return Update(in, node.Get(in) + 1).Set(own, 5);
  });
  inner.AddEdge(kStart, "x");
  const auto count = builder_.AddChannel("count", LastValue<int>());
  const auto other = builder_.AddChannel("other", LastValue<int>());
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  EXPECT_EQ(Invoke(Update(count, 1).Set(other, 2)),
            R"({"count": 2, "other": 2})");
}

TEST_F(SchemaTest, SchemasOfASubgraphSayWhatIsShared) {
  StateGraph inner;
  const auto in = inner.AddChannel("in", LastValue<int>());
  const auto out = inner.AddChannel("out", LastValue<int>());
  inner.SetInput({in});
  inner.SetOutput({out});
  inner.AddNode("x", [in, out](NodeContext& node) {
    EXPECT_EQ(node.input().ToJson(), R"({"in": 1})");
    return Update(out, 10).Set(in, 20);
  });
  inner.AddEdge(kStart, "x");
  const auto outer_in = builder_.AddChannel("in", LastValue<int>());
  const auto outer_out = builder_.AddChannel("out", LastValue<int>());
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  EXPECT_EQ(Invoke(Update(outer_in, 1).Set(outer_out, 2)),
            R"({"in": 1, "out": 10})");
}

TEST_F(SchemaTest, InputOfASubgraphsNodeRestrictsWhatItGets) {
  StateGraph inner;
  inner.AddChannel("a", LastValue<int>());
  inner.AddChannel("b", LastValue<int>());
  std::string seen;
  inner.AddNode("x",
                [&seen](NodeContext& node) { seen = node.input().ToJson(); });
  inner.AddEdge(kStart, "x");
  const auto a = builder_.AddChannel("a", LastValue<int>());
  const auto b = builder_.AddChannel("b", LastValue<int>());
  builder_.AddNode("sub", MustCompile(inner), {.input = {{a}}});
  builder_.AddEdge(kStart, "sub");
  Invoke(Update(a, 1).Set(b, 2));
  EXPECT_EQ(seen, R"({"a": 1})");
}

TEST_F(SchemaTest, SubgraphBeginsAnewEachTime) {
  StateGraph inner;
  const auto sum =
      inner.AddChannel("own", Reducer<int>([](int a, int b) { return a + b; }));
  std::vector<int> seen;
  inner.AddNode("x", [sum, &seen](NodeContext& node) {
    seen.push_back(node.Get(sum));
    return Update(sum, 1);
  });
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  builder_.AddConditionalEdges("sub", [](NodeContext& state) {
    return Route(state.step() < 3 ? "sub" : kEnd);
  });
  Invoke(Update());
  EXPECT_THAT(seen, ElementsAre(0, 0, 0));
}

// The recursion limit.

class RecursionLimitTest : public testing::Test {
 protected:
  RecursionLimitTest() {
    for (const char* name : {"a", "b", "c"}) {
      builder_.AddNode(name, [this](NodeContext& node) {
        left_.push_back(absl::StrCat(node.remaining_steps(),
                                     node.is_last_step() ? "!" : ""));
      });
    }
    builder_.AddEdge(kStart, "a");
    builder_.AddEdge("a", "b");
    builder_.AddEdge("b", "c");
  }
  absl::Status Run(int64_t limit) {
    return MustCompile(builder_, {.name = "chain"})
        .Invoke(Update(), {.recursion_limit = limit})
        .status();
  }
  StateGraph builder_;
  std::vector<std::string> left_;
};

TEST_F(RecursionLimitTest, ThreeNodesInARowNeedFour) {
  EXPECT_TRUE(Run(4).ok());
  EXPECT_THAT(left_, ElementsAre("3", "2", "1!"));
}

TEST_F(RecursionLimitTest, MessageHasTheLimitAndWhatWasNext) {
  EXPECT_THAT(Run(2), IsError(ErrorKind::kGraphRecursion,
                              absl::StatusCode::kResourceExhausted,
                              {"'chain'", "limit of 2", "next", "c"}));
  EXPECT_THAT(left_, ElementsAre("1!", "0"));
}

TEST_F(RecursionLimitTest, SuperstepThatWouldFindNothingLeftCounts) {
  EXPECT_THAT(Run(3), IsError(ErrorKind::kGraphRecursion,
                              absl::StatusCode::kResourceExhausted,
                              {"limit of 3", "nothing"}));
  EXPECT_THAT(left_, ElementsAre("2", "1!", "0"));
}

TEST_F(RecursionLimitTest, OneIsEnoughForNoNode) {
  StateGraph builder;
  builder.AddEdge(kStart, kEnd);
  EXPECT_TRUE(
      MustCompile(builder).Invoke(Update(), {.recursion_limit = 1}).ok());
}

TEST_F(RecursionLimitTest, BelowOneIsRefused) {
  for (const int64_t limit : {0, -1}) {
    EXPECT_THAT(Run(limit),
                IsError(ErrorKind::kNone, absl::StatusCode::kInvalidArgument,
                        {"recursion_limit", absl::StrCat(limit)}));
  }
  EXPECT_THAT(left_, IsEmpty());
}

TEST_F(RecursionLimitTest, PendingSendsAreNamedToo) {
  StateGraph builder;
  builder.AddNode("a", [](NodeContext&) { return Send("w", 1); });
  builder.AddNode("w", Idle());
  builder.AddEdge(kStart, "a");
  EXPECT_THAT(
      MustCompile(builder).Invoke(Update(), {.recursion_limit = 1}).status(),
      IsError(ErrorKind::kGraphRecursion, absl::StatusCode::kResourceExhausted,
              {"w"}));
}

TEST_F(RecursionLimitTest, GraphInsideCountsForItself) {
  StateGraph outer;
  outer.AddNode("sub", MustCompile(builder_));
  outer.AddNode("next", Idle());
  outer.AddEdge(kStart, "sub");
  outer.AddEdge("sub", "next");
  const Graph graph = MustCompile(outer);
  EXPECT_TRUE(graph.Invoke(Update(), {.recursion_limit = 4}).ok());
  EXPECT_THAT(
      graph.Invoke(Update(), {.recursion_limit = 3}).status(),
      IsError(ErrorKind::kGraphRecursion, absl::StatusCode::kResourceExhausted,
              {"'sub'", "limit of 3"}));
}

TEST_F(RecursionLimitTest, EndlessLoopEndsAtTheDefault) {
  StateGraph builder;
  int runs = 0;
  builder.AddNode("a", [&runs](NodeContext&) { ++runs; });
  builder.AddEdge(kStart, "a");
  builder.AddEdge("a", "a");
  EXPECT_THAT(MustCompile(builder).Invoke(Update()).status(),
              IsError(ErrorKind::kGraphRecursion,
                      absl::StatusCode::kResourceExhausted, {"10007"}));
  EXPECT_EQ(runs, 10007);
}

// What a node is told of its run.

TEST(NodeContextTest, TellsTheNodeItsPlace) {
  StateGraph builder;
  std::vector<std::string> ids;
  builder.AddNode("a", [&ids](NodeContext& node) {
    EXPECT_EQ(node.node(), "a");
    EXPECT_EQ(node.step(), 1);
    EXPECT_EQ(node.run_id(), "run 1");
    EXPECT_EQ(node.thread_id(), "thread 1");
    EXPECT_EQ(node.attempt(), 1);
    EXPECT_EQ(node.failure(), nullptr);
    EXPECT_EQ(*node.context<std::string>(), "shared");
    EXPECT_EQ(node.context<int>(), nullptr);
    EXPECT_FALSE(node.stop_token().stop_requested());
    node.Heartbeat();
    node.Emit("nobody listens");
    ids.push_back(node.task_id());
    return Command{.go_to = {Send("a2", 1), Send("a2", 2)}};
  });
  builder.AddNode("a2",
                  [&ids](NodeContext& node) { ids.push_back(node.task_id()); });
  builder.AddEdge(kStart, "a");
  const Graph graph = MustCompile(builder);
  SimExecutor executor(1);
  const RunOptions options{.executor = &executor,
                           .context = Value("shared"),
                           .run_id = "run 1",
                           .thread_id = "thread 1"};
  MustInvoke(graph, Update(), options);
  const std::vector<std::string> first = std::move(ids);
  ids.clear();
  MustInvoke(graph, Update(), options);
  // The same superstep of the same run has the same ids, and no two tasks have.
  EXPECT_EQ(ids, first);
  EXPECT_THAT(first, testing::Each(testing::MatchesRegex("[0-9a-f]{32}")));
  EXPECT_EQ(std::set<std::string>(first.begin(), first.end()).size(), 3U);
}

TEST(NodeContextTest, IsHandedToGraphsInside) {
  StateGraph inner;
  int calls = 0;
  inner.AddNode("x", [&calls](NodeContext& node) {
    ++calls;
    EXPECT_EQ(*node.context<int>(), 42);
    EXPECT_EQ(node.run_id(), "run 1");
  });
  inner.AddEdge(kStart, "x");
  const Graph graph = MustCompile(inner);
  StateGraph outer;
  outer.AddNode("sub", graph);
  outer.AddNode("call", [graph](NodeContext& node) {
    const absl::StatusOr<Values> values = node.Invoke(graph, Update());
    return values.status();
  });
  outer.AddEdge(kStart, "sub");
  outer.AddEdge(kStart, "call");
  MustInvoke(MustCompile(outer), Update(),
             {.context = Value(42), .run_id = "run 1"});
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace weir
