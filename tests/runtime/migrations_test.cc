// A thread goes on with a later version of its graph: what migrations say of
// nodes, channels and values, wherever a checkpoint is loaded.

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waiting_checkpointer.h"
#include "tests/support/graph_run.h"

#include "weir/channels/append_log.h"
#include "weir/channels/ephemeral.h"
#include "weir/channels/last_value.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/migration.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

enum class Kept { kInMemory, kAsBytes, kInAFile };

// A graph that notes what it runs.
struct MigratedBuilder : StateGraph {
  NotesChannel notes = AddNotes(*this);

  MigratedBuilder& Entry(const std::string& name) {
    AddNode(name, NoteStep{notes});
    AddEdge(kStart, name);
    return *this;
  }
  MigratedBuilder& Then(const std::string& from, const std::string& to) {
    AddNode(to, NoteStep{notes});
    AddEdge(from, to);
    return *this;
  }
  // A node that notes what it is answered.
  MigratedBuilder& Asks(const std::string& name) {
    AddNode(name, [to = notes](NodeContext& node) -> NodeResult {
      absl::StatusOr<std::string> answer = node.Interrupt<std::string>("well?");
      if (!answer.ok()) return answer.status();
      return Update(to, absl::StrCat(std::string(node.node()), " ", *answer));
    });
    AddEdge(kStart, name);
    return *this;
  }
};

class MigrationsTest : public testing::TestWithParam<Kept> {
 protected:
  // A file is opened anew for each call, as by another process.
  template <class F>
  auto WithStore(F call) {
    if (GetParam() != Kept::kInAFile) {
      return call(static_cast<Checkpointer&>(memory_));
    }
    auto store = SqliteCheckpointer::Open(folder_.File("db"));
    EXPECT_TRUE(store.ok()) << store.status();
    WaitingCheckpointer waiting(**store);
    return call(static_cast<Checkpointer&>(waiting));
  }
  absl::StatusOr<RunResult> Run(const Graph& graph, Input input,
                                RunOptions options = {}) {
    return WithStore([&](Checkpointer& store) {
      options.thread_id = "ann's";
      options.checkpointer = &store;
      options.executor = &executor_;
      return graph.Invoke(std::move(input), options);
    });
  }
  absl::StatusOr<StateSnapshot> State(const Graph& graph,
                                      bool subgraphs = false) {
    return WithStore([&](Checkpointer& store) {
      return graph.GetState({.checkpointer = &store,
                             .thread_id = "ann's",
                             .subgraphs = subgraphs});
    });
  }
  absl::StatusOr<std::vector<StateSnapshot>> History(const Graph& graph) {
    return WithStore([&](Checkpointer& store) {
      return graph.GetHistory({.checkpointer = &store, .thread_id = "ann's"});
    });
  }
  std::vector<CheckpointTuple> Stored() {
    return WithStore([&](Checkpointer& store) {
      std::vector<CheckpointTuple> all;
      store.List({.thread = "ann's"}, [&all](auto list) {
        EXPECT_TRUE(list.ok()) << list.status();
        all = *std::move(list);
      });
      return all;
    });
  }
  void RunUpTo(const std::string& node, const Graph& graph,
               Update update = {}) {
    const auto result =
        Run(graph, std::move(update), {.interrupt_before = {node}});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->end, RunEnd::kStopped);
  }
  void ExpectRefused(const Graph& graph,
                     const std::vector<std::string>& named) {
    std::vector<std::string> parts = named;
    parts.emplace_back("'ann's'");
    const auto refused =
        IsError(ErrorKind::kNone, absl::StatusCode::kFailedPrecondition, parts);
    EXPECT_THAT(Run(graph, Input::Continue()).status(), refused);
    EXPECT_THAT(Run(graph, Update()).status(), refused);
    EXPECT_THAT(State(graph).status(), refused);
    EXPECT_THAT(History(graph).status(), refused);
  }

  const TempFolder folder_;
  MemoryCheckpointer memory_{{.as_bytes = GetParam() == Kept::kAsBytes}};
  InlineExecutor executor_;
};

INSTANTIATE_TEST_SUITE_P(All, MigrationsTest,
                         testing::Values(Kept::kInMemory, Kept::kAsBytes,
                                         Kept::kInAFile),
                         [](const auto& kept) -> std::string {
                           switch (kept.param) {
                             case Kept::kInMemory:
                               return "InMemory";
                             case Kept::kAsBytes:
                               return "AsBytes";
                             default:
                               return "InAFile";
                           }
                         });

TEST_P(MigrationsTest, ARenamedNodeThatAsksKeepsItsQuestion) {
  MigratedBuilder was;
  was.Asks("asks");
  const auto asked = Run(MustCompile(was), Update());
  ASSERT_THAT(asked->interrupts, SizeIs(1));
  const std::string id = asked->interrupts[0].id;
  MigratedBuilder is;
  is.Asks("approves").Then("approves", "after");
  const Graph graph = MustCompile(
      is,
      {.version = 1,
       .migrations = {{.from = 0, .to = 1, .nodes = {{"asks", "approves"}}}}});
  const auto state = State(graph);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_THAT(state->next, ElementsAre("approves"));
  ASSERT_THAT(state->interrupts, SizeIs(1));
  EXPECT_EQ(state->interrupts[0].id, id);
  const auto end = Run(graph, Input::ResumeEach({{id, Value("yes")}}));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_THAT(end->Get(is.notes), ElementsAre("approves yes", "after@2"));
  EXPECT_THAT(History(graph)->size(), 4);
}

TEST_P(MigrationsTest, AGraphInARenamedNodeGoesOn) {
  int ran = 0;
  const auto make = [&ran](const std::string& name, StateGraph& builder) {
    StateGraph inner;
    const auto to = inner.AddChannel("answer", LastValue<std::string>());
    inner.AddNode("first", [&ran](NodeContext&) { ++ran; });
    inner.AddEdge(kStart, "first");
    inner.AddNode("asks", [to](NodeContext& node) -> NodeResult {
      absl::StatusOr<std::string> answer = node.Interrupt<std::string>("well?");
      if (!answer.ok()) return answer.status();
      return Update(to, *answer);
    });
    inner.AddEdge("first", "asks");
    builder.AddNode(name, MustCompile(inner));
    builder.AddEdge(kStart, name);
    return builder.AddChannel("answer", LastValue<std::string>());
  };
  StateGraph was;
  make("old", was);
  EXPECT_EQ(Run(MustCompile(was), Update())->end, RunEnd::kInterrupted);
  StateGraph is;
  const auto answer = make("new", is);
  const Graph graph = MustCompile(
      is, {.version = 3,
           .migrations = {{.from = 0, .to = 3, .nodes = {{"old", "new"}}}}});
  const auto state = State(graph, /*subgraphs=*/true);
  ASSERT_TRUE(state.ok()) << state.status();
  ASSERT_THAT(state->tasks, SizeIs(1));
  ASSERT_NE(state->tasks[0].state, nullptr);
  EXPECT_THAT(state->tasks[0].state->next, ElementsAre("asks"));
  const auto end = Run(graph, Input::Resume(Value("yes")));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->Get(answer), "yes");
  EXPECT_EQ(ran, 1);
  // The past is there by the old name.
  const auto again =
      Run(graph, Input::Continue(), {.from = state->tasks[0].state->ref});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->end, RunEnd::kInterrupted);
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(Run(graph, Input::Resume(Value("no")))->Get(answer), "no");
  EXPECT_EQ(ran, 1);
}

TEST_P(MigrationsTest, AGraphInsideHasItsOwnVersion) {
  const auto make = [](const std::string& name, CompileOptions options,
                       MigratedBuilder& inner) {
    StateGraph builder;
    inner.Asks(name);
    builder.AddNode("in", MustCompile(inner, std::move(options)));
    builder.AddEdge(kStart, "in");
    return MustCompile(builder);
  };
  MigratedBuilder was;
  EXPECT_EQ(Run(make("old", {}, was), Update())->end, RunEnd::kInterrupted);
  MigratedBuilder without;
  EXPECT_THAT(
      Run(make("new", {.version = 1}, without), Input::Resume(Value("yes")))
          .status(),
      IsError(ErrorKind::kNodeError, absl::StatusCode::kFailedPrecondition,
              {"'ann's'", "version 0", "version 1"}));
  MigratedBuilder is;
  const Graph graph =
      make("new",
           {.version = 1,
            .migrations = {{.from = 0, .to = 1, .nodes = {{"old", "new"}}}}},
           is);
  const auto state = State(graph, /*subgraphs=*/true);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_THAT(state->tasks[0].state->next, ElementsAre("new"));
  const auto end = Run(graph, Input::Resume(Value("yes")));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->end, RunEnd::kFinished);
}

TEST_P(MigrationsTest, ARunThatIsStoredAtItsEndIsOfTheNewVersion) {
  MigratedBuilder was;
  const auto count = was.AddChannel("count", LastValue<int>());
  was.Entry("a").Then("a", "b");
  RunUpTo("b", MustCompile(was), Update(count, 1));
  MigratedBuilder is;
  const auto total = is.AddChannel("total", LastValue<int>());
  is.Entry("a").Then("a", "c");
  is.AddNode("adds", [total](NodeContext& node) {
    return Update(total, node.Get(total) + 1);
  });
  is.AddEdge("c", "adds");
  const Graph graph =
      MustCompile(is, {.version = 1,
                       .migrations = {{.from = 0,
                                       .to = 1,
                                       .nodes = {{"b", "c"}},
                                       .channels = {{"count", "total"}}}}});
  const auto end =
      Run(graph, Input::Continue(), {.durability = Durability::kExit});
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->Get(total), 2);
  EXPECT_EQ(State(MustCompile(is, {.version = 1}))->values.Get(total), 2);
}

// A graph inside that is not saved starts anew, and is answered all the same.
TEST_P(MigrationsTest, AGraphInARenamedNodeThatIsNotSavedIsAnswered) {
  const auto make = [](const std::string& name, StateGraph& builder) {
    MigratedBuilder inner;
    inner.Asks("asks");
    const Graph graph = MustCompile(inner, {.memory = Memory::kNone});
    builder.AddNode(name, [graph](NodeContext& node) -> Task<NodeResult> {
      const absl::StatusOr<Values> said = co_await node.Invoke(graph, Update());
      if (!said.ok()) co_return said.status();
      co_return NodeResult();
    });
    builder.AddEdge(kStart, name);
  };
  StateGraph was;
  make("old", was);
  EXPECT_EQ(Run(MustCompile(was), Update())->end, RunEnd::kInterrupted);
  StateGraph is;
  make("new", is);
  const auto end = Run(
      MustCompile(
          is,
          {.version = 1,
           .migrations = {{.from = 0, .to = 1, .nodes = {{"old", "new"}}}}}),
      Input::Resume(Value("yes")));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->end, RunEnd::kFinished);
}

TEST_P(MigrationsTest, WhereAFinishedSiblingGoesIsRenamed) {
  bool broken = true;
  const auto make = [&broken](const std::string& to, MigratedBuilder& builder) {
    builder.AddNode(
        "ends", [to](NodeContext&) { return Command{.go_to = {Target(to)}}; });
    builder.AddNode("fails", [&broken](NodeContext&) -> NodeResult {
      if (broken) return absl::UnavailableError("not now");
      return NodeResult();
    });
    builder.AddEdge(kStart, "ends");
    builder.AddEdge(kStart, "fails");
    builder.AddNode(to, NoteStep{builder.notes});
  };
  MigratedBuilder was;
  make("b", was);
  EXPECT_FALSE(Run(MustCompile(was), Update()).ok());
  broken = false;
  MigratedBuilder is;
  make("c", is);
  const auto end = Run(
      MustCompile(
          is, {.version = 1,
               .migrations = {{.from = 0, .to = 1, .nodes = {{"b", "c"}}}}}),
      Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_THAT(end->Get(is.notes), ElementsAre("c@2"));
}

TEST_P(MigrationsTest, AListInPiecesIsConvertedWhole) {
  const auto make = [](auto line, StateGraph& builder) {
    const auto log =
        builder.AddChannel("log", AppendLogChannel<decltype(line(0))>());
    const auto rounds = builder.AddChannel("rounds", LastValue<int>());
    builder.AddNode("loop", [=](NodeContext& node) {
      const int round = node.Get(rounds) + 1;
      return Update(rounds, round).Set(log, line(round));
    });
    builder.AddEdge(kStart, "loop");
    builder.AddConditionalEdges("loop", [rounds](NodeContext& state) {
      return state.Get(rounds) % 20 != 0 ? Target("loop") : Target(kEnd);
    });
    return log;
  };
  StateGraph was;
  make([](int n) { return absl::StrCat("a line that is long enough ", n); },
       was);
  ASSERT_TRUE(Run(MustCompile(was), Update()).ok());
  bool in_pieces = false;
  const std::vector<CheckpointTuple> stored = Stored();
  for (const SavedChannel& saved : stored.front().checkpoint.channels) {
    in_pieces |= saved.channel == "log" && saved.appended_to != 0;
  }
  EXPECT_EQ(in_pieces, GetParam() != Kept::kInMemory);
  StateGraph is;
  const auto log = make([](int n) { return n; }, is);
  const Graph graph = MustCompile(
      is,
      {.version = 1,
       .migrations = {{.from = 0, .to = 1, .values = [](SavedState& state) {
                         return state.Convert<AppendLog<std::string>>(
                             "log", [](const auto& lines) {
                               AppendLog<int> sizes;
                               for (const std::string& line : lines) {
                                 sizes.Append(static_cast<int>(line.size()));
                               }
                               return sizes;
                             });
                       }}}});
  const auto end = Run(graph, Update());
  ASSERT_TRUE(end.ok()) << end.status();
  const AppendLog<int> sizes = end->Get(log);
  ASSERT_EQ(sizes.size(), 40);
  EXPECT_EQ(sizes[0], 28);
  EXPECT_EQ(sizes[19], 29);
  EXPECT_EQ(sizes[20], 21);
  EXPECT_TRUE(History(graph).ok());
}

// An empty channel is of any type.
TEST_P(MigrationsTest, AChannelThatWasClearedMayHaveAnotherType) {
  const auto make = [](auto kind, MigratedBuilder& builder) {
    (void)builder.AddChannel("once", std::move(kind));
    builder.Entry("a").Then("a", "b").Then("b", "c");
  };
  MigratedBuilder was;
  make(Ephemeral<int>(), was);
  RunUpTo("c", MustCompile(was), Update().Set("once", Value(1)));
  MigratedBuilder is;
  make(Ephemeral<std::string>(), is);
  const auto end = Run(MustCompile(is), Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_THAT(end->Get(is.notes), ElementsAre("a@1", "b@2", "c@3"));
}

TEST_P(MigrationsTest, ARenamedChannelKeepsItsValueAndItsPieces) {
  const auto make = [](const std::string& log, const std::string& count,
                       StateGraph& builder) {
    const auto lines = builder.AddChannel(log, AppendLogChannel<std::string>());
    const auto rounds = builder.AddChannel(count, LastValue<int>());
    builder.AddNode("loop", [lines, rounds](NodeContext& node) {
      const int round = node.Get(rounds) + 1;
      return Update(rounds, round)
          .Set(lines, absl::StrCat("a line that is long enough ", round));
    });
    builder.AddEdge(kStart, "loop");
    builder.AddConditionalEdges("loop", [rounds](NodeContext& state) {
      return state.Get(rounds) % 20 != 0 ? Target("loop") : Target(kEnd);
    });
    return std::pair(lines, rounds);
  };
  StateGraph was;
  make("log", "count", was);
  ASSERT_TRUE(Run(MustCompile(was), Update()).ok());
  StateGraph is;
  const auto [lines, rounds] = make("lines", "rounds", is);
  const Graph graph = MustCompile(
      is,
      {.version = 1,
       .migrations = {{.from = 0,
                       .to = 1,
                       .channels = {{"log", "lines"}, {"count", "rounds"}}}}});
  for (const int32_t total : {40, 60}) {
    const auto end = Run(graph, Update());
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_EQ(end->Get(rounds), total);
    EXPECT_EQ(end->Get(lines).size(), total);
    EXPECT_EQ(end->Get(lines)[0], "a line that is long enough 1");
  }
  // The new checkpoints have the new names alone; all can be shown.
  const std::vector<CheckpointTuple> stored = Stored();
  for (const SavedChannel& saved : stored.front().checkpoint.channels) {
    EXPECT_THAT(saved.channel, AllOf(testing::Ne("log"), testing::Ne("count")));
  }
  const auto history = History(graph);
  ASSERT_TRUE(history.ok()) << history.status();
  EXPECT_EQ(history->size(), stored.size());
  EXPECT_EQ(history->at(history->size() - 12).values.Get(lines).size(), 10);
}

TEST_P(MigrationsTest, ARetypedChannelIsConvertedWithWhatIsNotMergedYet) {
  bool broken = true;
  int ran = 0;
  const auto make = [&](auto type, auto value, StateGraph& builder) {
    const auto count = builder.AddChannel("count", LastValue<decltype(type)>());
    builder.AddNode("first",
                    [=](NodeContext&) { return Update(count, value(5)); });
    builder.AddNode("ends", [=, &ran](NodeContext&) {
      ++ran;
      return Update(count, value(7));
    });
    builder.AddNode("fails", [&broken](NodeContext&) -> NodeResult {
      if (broken) return absl::UnavailableError("not now");
      return NodeResult();
    });
    builder.AddEdge(kStart, "first");
    builder.AddEdge("first", "ends");
    builder.AddEdge("first", "fails");
    return count;
  };
  StateGraph was;
  make(
      int{}, [](int n) { return n; }, was);
  EXPECT_FALSE(Run(MustCompile(was), Update()).ok());
  broken = false;
  StateGraph is;
  const auto count = make(
      std::string(), [](int n) { return absl::StrCat(n); }, is);
  ExpectRefused(MustCompile(is),
                {"'count'", "int32", "string", MustCompile(was).fingerprint(),
                 MustCompile(is).fingerprint()});
  const Graph graph = MustCompile(
      is, {.version = 1,
           .migrations = {{.from = 0, .to = 1, .values = [](SavedState& state) {
                             return state.Convert<int>("count", [](int n) {
                               return absl::StrCat(n, " apples");
                             });
                           }}}});
  const auto history = History(graph);
  ASSERT_TRUE(history.ok()) << history.status();
  EXPECT_EQ(history->front().values.Get(count), "5 apples");
  const auto end = Run(graph, Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->Get(count), "7 apples");
  EXPECT_EQ(ran, 1);
}

// The first superstep of the new version is cut short: what it has done there
// is of that version, after a checkpoint of the old one.
TEST_P(MigrationsTest, WhatTheNewVersionHasDoneIsNotMigratedAgain) {
  bool broken = true;
  const auto make = [&broken](int unit, StateGraph& builder) {
    const auto time = builder.AddChannel("time", LastValue<int>());
    builder.AddNode("first",
                    [=](NodeContext&) { return Update(time, 5 * unit); });
    builder.AddNode("b", [=](NodeContext& node) {
      return Update(time, node.Get(time) + unit);
    });
    builder.AddNode("c", [&broken](NodeContext&) -> NodeResult {
      if (broken) return absl::UnavailableError("not now");
      return NodeResult();
    });
    builder.AddEdge(kStart, "first");
    builder.AddEdge("first", "b");
    builder.AddEdge("first", "c");
    return time;
  };
  StateGraph was;
  make(1, was);
  RunUpTo("b", MustCompile(was));
  StateGraph is;
  const auto time = make(1000, is);
  const Graph graph = MustCompile(
      is, {.version = 1,
           .migrations = {{.from = 0, .to = 1, .values = [](SavedState& state) {
                             return state.Convert<int>(
                                 "time", [](int n) { return n * 1000; });
                           }}}});
  EXPECT_FALSE(Run(graph, Input::Continue()).ok());
  // Nor does the old graph take it.
  EXPECT_THAT(Run(MustCompile(was), Input::Continue()).status(),
              IsError(ErrorKind::kNone, absl::StatusCode::kFailedPrecondition,
                      {"'ann's'", "version 1", "version 0"}));
  broken = false;
  const auto end = Run(graph, Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->Get(time), 6000);
}

TEST_P(MigrationsTest, SendsToADroppedNodeAreDroppedAndTheOthersAreKept) {
  bool broken = true;
  std::vector<std::string> ran;
  const auto make = [&](const std::vector<std::string>& nodes,
                        StateGraph& builder) {
    builder.AddNode("a", [nodes](NodeContext&) {
      Command command;
      for (const std::string& node : nodes) {
        command.go_to.emplace_back(Send(node, Value(1)));
      }
      return command;
    });
    builder.AddEdge(kStart, "a");
    for (const std::string& name : nodes) {
      builder.AddNode(name, [&, name](NodeContext&) -> NodeResult {
        if (broken && name != "c") return absl::UnavailableError("not now");
        ran.push_back(name);
        return NodeResult();
      });
    }
  };
  StateGraph was;
  make({"b", "c", "d"}, was);
  EXPECT_FALSE(Run(MustCompile(was), Update()).ok());
  EXPECT_THAT(ran, ElementsAre("c"));
  broken = false;
  StateGraph is;
  make({"c", "e"}, is);
  const Graph graph = MustCompile(
      is,
      {.version = 1,
       .migrations = {{.from = 0, .to = 1, .nodes = {{"b", ""}, {"d", "e"}}}}});
  EXPECT_THAT(State(graph)->next, ElementsAre("e"));
  const auto end = Run(graph, Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_THAT(ran, ElementsAre("c", "e"));
}

TEST_P(MigrationsTest, QuestionsOfADroppedNodeAreGone) {
  MigratedBuilder was;
  was.Asks("a").Asks("b");
  EXPECT_THAT(Run(MustCompile(was), Update())->interrupts, SizeIs(2));
  MigratedBuilder is;
  is.Asks("b");
  const Graph graph = MustCompile(
      is, {.version = 1,
           .migrations = {{.from = 0, .to = 1, .nodes = {{"a", ""}}}}});
  EXPECT_THAT(State(graph)->interrupts, SizeIs(1));
  const auto end = Run(graph, Input::Resume(Value("yes")));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_THAT(end->Get(is.notes), ElementsAre("b yes"));
}

TEST_P(MigrationsTest, AJoinKeepsWhatHasComeWhenItsNodesAreRenamed) {
  const auto make = [](const std::string& a, const std::string& y,
                       MigratedBuilder& builder) {
    builder.Entry(a).Entry("x").Then("x", y);
    builder.AddNode("end", NoteStep{builder.notes});
    builder.AddJoin({a, y}, "end");
  };
  MigratedBuilder was;
  make("a", "y", was);
  RunUpTo("y", MustCompile(was));
  MigratedBuilder is;  // In the other order.
  make("z", "b", is);
  const Graph graph = MustCompile(
      is, {.version = 1,
           .migrations = {
               {.from = 0, .to = 1, .nodes = {{"a", "z"}, {"y", "b"}}}}});
  const auto end = Run(graph, Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_THAT(end->Get(is.notes), ElementsAre("a@1", "x@1", "b@2", "end@3"));
}

TEST_P(MigrationsTest, AJoinDoesNotWaitForWhatIsDropped) {
  MigratedBuilder was;
  was.Entry("a").Entry("x").Then("x", "y");
  was.AddNode("end", NoteStep{was.notes});
  was.AddJoin({"a", "y"}, "end");
  RunUpTo("y", MustCompile(was));
  MigratedBuilder is;
  is.Entry("a").Entry("x").Then("a", "end");
  const Graph graph = MustCompile(
      is, {.version = 1,
           .migrations = {{.from = 0, .to = 1, .nodes = {{"y", ""}}}}});
  const auto end = Run(graph, Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_THAT(end->Get(is.notes), ElementsAre("a@1", "x@1", "end@2"));
}

TEST_P(MigrationsTest, ADeferredNodeDoesNotWaitForWhatIsDropped) {
  MigratedBuilder was;
  was.Entry("a").Then("a", "b");
  was.AddNode("late", NoteStep{was.notes}, {.defer = true});
  was.AddEdge("a", "late");
  RunUpTo("b", MustCompile(was));
  MigratedBuilder is;
  is.Entry("a");
  is.AddNode("late", NoteStep{is.notes}, {.defer = true});
  is.AddEdge("a", "late");
  const Graph graph = MustCompile(
      is, {.version = 1,
           .migrations = {{.from = 0, .to = 1, .nodes = {{"b", ""}}}}});
  EXPECT_THAT(State(graph)->next, ElementsAre("late"));
  const auto end = Run(graph, Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_THAT(end->Get(is.notes), ElementsAre("a@1", "late@2"));
}

TEST_P(MigrationsTest, TwoNodesThatAreToRunDoNotBecomeOne) {
  MigratedBuilder was;
  was.Entry("first").Then("first", "a").Then("first", "b");
  RunUpTo("a", MustCompile(was));
  MigratedBuilder is;
  is.Entry("first").Then("first", "c");
  ExpectRefused(
      MustCompile(is, {.version = 1,
                       .migrations = {{.from = 0,
                                       .to = 1,
                                       .nodes = {{"a", "c"}, {"b", "c"}}}}}),
      {"'a'", "'b'", "'c'"});
}

TEST_P(MigrationsTest, TwoChannelsDoNotBecomeOne) {
  MigratedBuilder was;
  const auto count = was.AddChannel("count", LastValue<int>());
  was.Entry("a").Then("a", "b");
  RunUpTo("b", MustCompile(was), Update(count, 1));
  MigratedBuilder is;
  is.Entry("a").Then("a", "b");
  ExpectRefused(
      MustCompile(is, {.version = 1,
                       .migrations = {{.from = 0,
                                       .to = 1,
                                       .channels = {{"count", "notes"}}}}}),
      {"'count'", "'notes'"});
}

// What a command has planned.
TEST_P(MigrationsTest, NodesThatACommandStartedKeepTheirIds) {
  int paid = 0;
  const auto make = [&paid](const std::string& pay, const std::string& ask,
                            MigratedBuilder& builder) {
    builder.Entry("first");
    builder.AddNode(pay, [&paid](NodeContext&) { ++paid; });
    builder.AddNode(ask, [to = builder.notes](NodeContext& node) -> NodeResult {
      absl::StatusOr<std::string> answer = node.Interrupt<std::string>("well?");
      if (!answer.ok()) return answer.status();
      return Update(to, *answer);
    });
  };
  MigratedBuilder was;
  make("pay", "ask", was);
  ASSERT_TRUE(Run(MustCompile(was), Update()).ok());
  const auto asked =
      Run(MustCompile(was),
          Input::Command({.go_to = {Target("ask"), Target("pay")}}));
  ASSERT_TRUE(asked.ok()) << asked.status();
  ASSERT_THAT(asked->interrupts, SizeIs(1));
  EXPECT_EQ(paid, 1);
  MigratedBuilder both;
  make("charge", "one", both);
  ExpectRefused(
      MustCompile(
          both, {.version = 1,
                 .migrations = {{.from = 0,
                                 .to = 1,
                                 .nodes = {{"ask", "one"}, {"pay", "one"}}}}}),
      {"'ask'", "'pay'", "'one'"});
  MigratedBuilder without;
  without.Entry("first");
  const auto none = State(MustCompile(
      without,
      {.version = 1,
       .migrations = {
           {.from = 0, .to = 1, .nodes = {{"ask", ""}, {"pay", ""}}}}}));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_THAT(none->next, IsEmpty());
  EXPECT_THAT(none->interrupts, IsEmpty());
  MigratedBuilder is;
  make("charge", "approve", is);
  const Graph graph = MustCompile(
      is, {.version = 1,
           .migrations = {{.from = 0,
                           .to = 1,
                           .nodes = {{"ask", "approve"}, {"pay", "charge"}}}}});
  const auto end =
      Run(graph, Input::ResumeEach({{asked->interrupts[0].id, Value("yes")}}));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_THAT(end->Get(is.notes), ElementsAre("first@1", "yes"));
  EXPECT_EQ(paid, 1);
}

TEST_P(MigrationsTest, SendsOfACommandKeepTheirIdsAfterThoseOfTheSuperstep) {
  std::vector<std::string> ran;
  const auto make = [&ran](const std::string& b, const std::string& pay,
                           const std::string& ask, MigratedBuilder& builder) {
    builder.AddNode("a", [b](NodeContext&) { return Send(b, Value(1)); });
    builder.AddEdge(kStart, "a");
    for (const std::string& name : {b, pay}) {
      builder.AddNode(name,
                      [&ran, name](NodeContext&) { ran.push_back(name); });
    }
    builder.AddNode(ask, [to = builder.notes](NodeContext& node) -> NodeResult {
      absl::StatusOr<std::string> answer = node.Interrupt<std::string>("well?");
      if (!answer.ok()) return answer.status();
      return Update(to, *answer);
    });
  };
  MigratedBuilder was;
  make("b", "pay", "ask", was);
  RunUpTo("b", MustCompile(was));
  const auto asked =
      Run(MustCompile(was),
          Input::Command({.go_to = {Target(Send("ask", Value(1))),
                                    Target(Send("pay", Value(1)))}}));
  ASSERT_TRUE(asked.ok()) << asked.status();
  ASSERT_THAT(asked->interrupts, SizeIs(1));
  EXPECT_THAT(ran, UnorderedElementsAre("b", "pay"));
  MigratedBuilder is;
  make("c", "charge", "approve", is);
  const Graph graph = MustCompile(
      is,
      {.version = 1,
       .migrations = {
           {.from = 0,
            .to = 1,
            .nodes = {{"b", "c"}, {"ask", "approve"}, {"pay", "charge"}}}}});
  const auto end =
      Run(graph, Input::ResumeEach({{asked->interrupts[0].id, Value("yes")}}));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_THAT(end->Get(is.notes), ElementsAre("yes"));
  EXPECT_THAT(ran, UnorderedElementsAre("b", "pay"));
}

TEST_P(MigrationsTest, WhatADroppedNodeHasDoneIsNotLost) {
  bool broken = true;
  const auto make = [&broken](MigratedBuilder& builder) {
    builder.AddNode("fails", [&broken](NodeContext&) -> NodeResult {
      if (broken) return absl::UnavailableError("not now");
      return NodeResult();
    });
    builder.AddEdge(kStart, "fails");
  };
  MigratedBuilder was;
  make(was);
  was.Entry("ends");
  EXPECT_FALSE(Run(MustCompile(was), Update()).ok());
  broken = false;
  MigratedBuilder is;
  make(is);
  const Graph graph = MustCompile(
      is, {.version = 1,
           .migrations = {{.from = 0, .to = 1, .nodes = {{"ends", ""}}}}});
  const auto refused =
      IsError(ErrorKind::kNone, absl::StatusCode::kFailedPrecondition,
              {"'ann's'", "'ends'", "rename the node"});
  EXPECT_THAT(Run(graph, Input::Continue()).status(), refused);
  const auto ended = WithStore([&](Checkpointer& store) {
    return graph.UpdateState({.checkpointer = &store, .thread_id = "ann's"},
                             StateUpdate{.as_node = std::string(kEnd)});
  });
  EXPECT_THAT(ended.status(), refused);
  EXPECT_TRUE(State(graph).ok());
  EXPECT_TRUE(History(graph).ok());
  EXPECT_THAT(Run(MustCompile(was), Input::Continue())->Get(was.notes),
              ElementsAre("ends@1"));
  // Merged, it is no hindrance to the history.
  EXPECT_TRUE(History(graph).ok());
  EXPECT_THAT(State(graph)->values.Get(is.notes), ElementsAre("ends@1"));
}

TEST_P(MigrationsTest, AnUpdateAfterADroppedNodeHasToNameItsNode) {
  MigratedBuilder was;
  was.Entry("a").Then("a", "b").Then("b", "c");
  RunUpTo("c", MustCompile(was));
  MigratedBuilder is;
  is.Entry("a").Then("a", "c");
  const Graph graph = MustCompile(
      is, {.version = 1,
           .migrations = {{.from = 0, .to = 1, .nodes = {{"b", ""}}}}});
  const auto update = [&](const std::string& as) {
    return WithStore([&](Checkpointer& store) {
      return graph
          .UpdateState(
              {.checkpointer = &store, .thread_id = "ann's"},
              StateUpdate{.values = Update(is.notes, "given"), .as_node = as})
          .status();
    });
  };
  EXPECT_THAT(update(""),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"as_node"}));
  EXPECT_TRUE(update("a").ok());
  EXPECT_THAT(State(graph)->next, ElementsAre("c"));
}

TEST_P(MigrationsTest, AJoinOfNodesWithPlusInTheirNamesDoesNotChange) {
  const auto make = [](const std::string& y, MigratedBuilder& builder) {
    builder.Entry("a+b").Entry("x").Then("x", y);
    builder.AddNode("end", NoteStep{builder.notes});
    builder.AddJoin({"a+b", y}, "end");
  };
  MigratedBuilder was;
  make("y", was);
  RunUpTo("y", MustCompile(was));
  MigratedBuilder is;
  make("z", is);
  ExpectRefused(
      MustCompile(
          is, {.version = 1,
               .migrations = {{.from = 0, .to = 1, .nodes = {{"y", "z"}}}}}),
      {"'join:a+b+y:end'", "'+'"});
  const auto end = Run(
      MustCompile(was, {.version = 1, .migrations = {{.from = 0, .to = 1}}}),
      Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_THAT(end->Get(was.notes), ElementsAre("a+b@1", "x@1", "y@2", "end@3"));
}

TEST_P(MigrationsTest, LinesThatAreNotMergedYetAreConverted) {
  bool broken = true;
  const auto make = [&broken](auto line, StateGraph& builder) {
    const auto log =
        builder.AddChannel("log", AppendLogChannel<decltype(line(0))>());
    builder.AddNode("first",
                    [=](NodeContext&) { return Update(log, line(1)); });
    builder.AddNode("ends", [=](NodeContext&) { return Update(log, line(2)); });
    builder.AddNode("fails", [&broken](NodeContext&) -> NodeResult {
      if (broken) return absl::UnavailableError("not now");
      return NodeResult();
    });
    builder.AddEdge(kStart, "first");
    builder.AddEdge("first", "ends");
    builder.AddEdge("first", "fails");
    return log;
  };
  StateGraph was;
  make([](int n) { return n; }, was);
  EXPECT_FALSE(Run(MustCompile(was), Update()).ok());
  broken = false;
  StateGraph is;
  const auto log = make([](int n) { return absl::StrCat(n); }, is);
  const auto values = [](SavedState& state) {
    const auto line = [](int n) { return absl::StrCat(n, " apples"); };
    state.ConvertWrites<int>("log", line);
    return state.Convert<AppendLog<int>>("log", [line](const auto& lines) {
      AppendLog<std::string> now;
      for (const int n : lines) now.Append(line(n));
      return now;
    });
  };
  const auto end = Run(
      MustCompile(is, {.version = 1,
                       .migrations = {{.from = 0, .to = 1, .values = values}}}),
      Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  const AppendLog<std::string> lines = end->Get(log);
  EXPECT_THAT(std::vector<std::string>(lines.begin(), lines.end()),
              ElementsAre("1 apples", "2 apples"));
}

TEST_P(MigrationsTest, WhatALaterVersionHasBegunIsLeftToIt) {
  bool broken = true;
  MigratedBuilder builder;
  builder.Entry("a").Then("a", "ends").Then("a", "stops");
  builder.AddNode("fails", [&broken](NodeContext&) -> NodeResult {
    if (broken) return absl::UnavailableError("not now");
    return NodeResult();
  });
  builder.AddEdge("a", "fails");
  RunUpTo("ends", MustCompile(builder));
  const Graph later = MustCompile(
      builder, {.version = 2, .migrations = {{.from = 0, .to = 2}}});
  EXPECT_FALSE(Run(later, Input::Continue()).ok());
  ExpectRefused(MustCompile(builder, {.version = 1,
                                      .migrations = {{.from = 0, .to = 1}}}),
                {"in version 2", "version 1", "run it with version 2"});
  broken = false;
  EXPECT_TRUE(Run(later, Input::Continue()).ok());
}

TEST_P(MigrationsTest, StepsAreTakenOneAfterTheOther) {
  MigratedBuilder was;
  const auto cents = was.AddChannel("cents", LastValue<int>());
  (void)was.AddChannel("unused", LastValue<int>());
  was.Entry("a").Then("a", "b");
  RunUpTo("b", MustCompile(was), Update(cents, 250));
  MigratedBuilder is;
  const auto price = is.AddChannel("price", LastValue<std::string>());
  const auto paid = is.AddChannel("paid", LastValue<bool>());
  is.Entry("a").Then("a", "d");
  const Graph graph = MustCompile(
      is, {.version = 7,
           // In any order.
           .migrations = {{.from = 4,
                           .to = 7,
                           .nodes = {{"c", "d"}},
                           .channels = {{"amount", "price"}},
                           .values =
                               [](SavedState& state) {
                                 if (state.Has("amount")) {
                                   return absl::InternalError("the old name");
                                 }
                                 state.Set("paid", true);
                                 return state.Convert<double>(
                                     "price", [](double n) {
                                       return absl::StrCat(n, " EUR");
                                     });
                               }},
                          {.from = 0,
                           .to = 4,
                           .nodes = {{"b", "c"}},
                           .channels = {{"cents", "amount"}, {"unused", ""}},
                           .values = [](SavedState& state) -> absl::Status {
                             const absl::StatusOr<int> amount =
                                 state.Get<int>("amount");
                             if (!amount.ok()) return amount.status();
                             state.Set("amount", *amount / 100.0);
                             return absl::OkStatus();
                           }}}});
  const auto end = Run(graph, Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->Get(price), "2.5 EUR");
  EXPECT_TRUE(end->Get(paid));
  EXPECT_THAT(end->Get(is.notes), ElementsAre("a@1", "d@2"));
  // Saved by this version, it needs no migration.
  EXPECT_EQ(State(MustCompile(is, {.version = 7}))->values.Get(price),
            "2.5 EUR");
}

TEST_P(MigrationsTest, AFailedMigrationSaysWhichAndWhy) {
  MigratedBuilder was;
  const auto count = was.AddChannel("count", LastValue<int>());
  was.Entry("a").Then("a", "b");
  RunUpTo("b", MustCompile(was), Update(count, 1));
  const auto with = [&](std::function<absl::Status(SavedState&)> values) {
    return MustCompile(
        was,
        {.version = 1, .migrations = {{.from = 0, .to = 1, .values = values}}});
  };
  ExpectRefused(with([](SavedState& state) {
                  return state.Get<std::string>("count").status();
                }),
                {"'count'", "from version 0 to 1"});
  ExpectRefused(with([](SavedState& state) {
                  state.Set("count", std::string("one"));
                  return absl::OkStatus();
                }),
                {"'count'", "string", "int"});
  ExpectRefused(with([](SavedState& state) {
                  state.Set("other", 1);
                  return absl::OkStatus();
                }),
                {"'other'"});
  EXPECT_THAT(
      State(with([](SavedState&) -> absl::Status { throw 1; })).status(),
      IsError(ErrorKind::kNone, absl::StatusCode::kUnknown,
              {"from version 0 to 1", "'ann's'"}));
  EXPECT_THAT(State(with([](SavedState& state) {
                return state.Get<int>("none").status();
              })).status(),
              IsError(ErrorKind::kNone, absl::StatusCode::kNotFound,
                      {"'none'", "'ann's'"}));
  EXPECT_TRUE(Run(MustCompile(was), Input::Continue()).ok());
}

TEST_P(MigrationsTest, AMissingStepIsNamed) {
  MigratedBuilder builder;
  builder.Entry("a").Then("a", "b");
  const Graph was = MustCompile(builder);
  RunUpTo("b", was);
  const Graph is = MustCompile(
      builder, {.version = 3, .migrations = {{.from = 0, .to = 1}}});
  ExpectRefused(is, {"version 0", "version 3", "from version 1",
                     was.fingerprint(), is.fingerprint(), "migrations"});
  EXPECT_TRUE(Run(was, Input::Continue()).ok());
}

TEST_P(MigrationsTest, ACheckpointOfALaterVersionIsRefused) {
  MigratedBuilder builder;
  builder.Entry("a").Then("a", "b");
  RunUpTo("b", MustCompile(builder, {.version = 2}));
  const Graph earlier = MustCompile(builder, {.version = 1});
  ExpectRefused(earlier, {"version 2", "version 1", earlier.fingerprint(),
                          "later version"});
  EXPECT_TRUE(
      Run(MustCompile(builder, {.version = 2}), Input::Continue()).ok());
}

TEST_P(MigrationsTest, HistoryIsOneAcrossVersionsAndRunsGoOnFromAnyOfThem) {
  const auto make = [](const std::string& name, StateGraph& builder) {
    const auto count = builder.AddChannel(name, LastValue<int>());
    builder.AddNode("add", [count](NodeContext& node) {
      return Update(count, node.Get(count) + 1);
    });
    builder.AddEdge(kStart, "add");
    builder.AddConditionalEdges("add", [count](NodeContext& state) {
      return state.Get(count) % 3 != 0 ? Target("add") : Target(kEnd);
    });
    return count;
  };
  StateGraph was;
  make("count", was);
  ASSERT_TRUE(Run(MustCompile(was), Update()).ok());
  StateGraph is;
  const auto total = make("total", is);
  const Graph graph = MustCompile(
      is,
      {.version = 1,
       .migrations = {{.from = 0, .to = 1, .channels = {{"count", "total"}}}}});
  ASSERT_TRUE(Run(graph, Update()).ok());
  const auto history = History(graph);
  ASSERT_TRUE(history.ok()) << history.status();
  std::vector<int> totals;
  for (const StateSnapshot& state : *history) {
    totals.push_back(state.values.Get(total));
  }
  EXPECT_THAT(totals, ElementsAre(6, 5, 4, 3, 3, 3, 2, 1, 0, 0));
  const auto end = Run(graph, Input::Continue(), {.from = history->at(7).ref});
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->Get(total), 3);
  EXPECT_EQ(State(graph)->values.Get(total), 3);
  EXPECT_TRUE(History(graph).ok());
}

TEST_P(MigrationsTest, AChangedStateIsOfTheNewVersion) {
  MigratedBuilder was;
  const auto count = was.AddChannel("count", LastValue<int>());
  was.Entry("a").Then("a", "b");
  RunUpTo("b", MustCompile(was), Update(count, 1));
  MigratedBuilder is;
  const auto total = is.AddChannel("total", LastValue<int>());
  is.Entry("a").Then("a", "c");
  const Graph graph =
      MustCompile(is, {.version = 1,
                       .migrations = {{.from = 0,
                                       .to = 1,
                                       .nodes = {{"b", "c"}},
                                       .channels = {{"count", "total"}}}}});
  const auto updated = WithStore([&](Checkpointer& store) {
    return graph.UpdateState(
        {.checkpointer = &store, .thread_id = "ann's"},
        StateUpdate{.values = Update(total, 2), .as_node = "a"});
  });
  ASSERT_TRUE(updated.ok()) << updated.status();
  const auto end = Run(MustCompile(is, {.version = 1}), Input::Continue());
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->Get(total), 2);
}

TEST_P(MigrationsTest, AThousandSuperstepsStoreTheGraphOnce) {
  StateGraph builder;
  const auto n = builder.AddChannel("n", LastValue<int>());
  builder.AddNode(
      "a", [n](NodeContext& node) { return Update(n, node.Get(n) + 1); });
  builder.AddEdge(kStart, "a");
  builder.AddConditionalEdges("a", [n](NodeContext& state) {
    return state.Get(n) < 1000 ? Target("a") : Target(kEnd);
  });
  const Graph graph = MustCompile(builder);
  ASSERT_TRUE(Run(graph, Update(), {.recursion_limit = 2000}).ok());
  ASSERT_TRUE(Run(graph, Update(n, 998)).ok());
  std::set<uint64_t> versions;
  const std::vector<CheckpointTuple> stored = Stored();
  EXPECT_GT(stored.size(), 1000);
  for (const CheckpointTuple& tuple : stored) {
    size_t records = 0;
    for (const SavedChannel& saved : tuple.checkpoint.channels) {
      if (saved.channel != "__graph__") continue;
      ++records;
      versions.insert(saved.version);
      // Smaller ones a file has in each checkpoint.
      std::string bytes;
      ASSERT_TRUE(saved.value.Encode(&bytes).ok());
      EXPECT_GT(bytes.size(), 64);
    }
    EXPECT_EQ(records, 1);
  }
  EXPECT_THAT(versions, SizeIs(1));
  // No view has it.
  const auto state = State(graph);
  EXPECT_THAT(state->ToJson(), testing::Not(HasSubstr("__graph__")));
}

TEST(GraphVersionTest, MistakesInMigrationsAreFoundWhenCompiling) {
  MigratedBuilder builder;
  builder.Entry("a");
  const auto mistake = [&](int version, std::vector<Migration> migrations) {
    return builder
        .Compile({.version = version, .migrations = std::move(migrations)})
        .status();
  };
  const auto is = [](const std::vector<std::string>& parts) {
    return IsError(ErrorKind::kInvalidGraph, absl::StatusCode::kInvalidArgument,
                   parts);
  };
  EXPECT_THAT(mistake(-1, {}), is({"version is -1"}));
  EXPECT_THAT(mistake(1, {{.from = 1, .to = 1}}), is({"from version 1 to 1"}));
  EXPECT_THAT(mistake(1, {{.from = 0, .to = 2}}), is({"from version 0 to 2"}));
  EXPECT_THAT(mistake(2, {{.from = 0, .to = 1}, {.from = 0, .to = 2}}),
              is({"two migrations", "version 0"}));
  MigratedBuilder inner;
  inner.Entry("x");
  builder.AddNode("b", MustCompile(inner, {.memory = Memory::kOfThread}));
  EXPECT_THAT(mistake(2, {{.from = 0, .to = 1, .nodes = {{"old", "older"}}},
                          {.from = 1, .to = 2, .nodes = {{"older", "b"}}}}),
              is({"'older'", "'b'"}));
  // An old name that is there again, where it says what is stored inside.
  EXPECT_THAT(mistake(1, {{.from = 0, .to = 1, .nodes = {{"b", "a"}}}}),
              is({"renames node 'b'", "another 'b'"}));
  EXPECT_THAT(mistake(1, {{.from = 0, .to = 1, .nodes = {{"b", ""}}}}),
              is({"drops node 'b'", "another 'b'"}));
  EXPECT_THAT(mistake(1, {{.from = 0, .to = 1, .nodes = {{"a", "b"}}}}),
              is({"renames node 'a'", "another 'a'"}));
  EXPECT_TRUE(mistake(1, {{.from = 0, .to = 1, .nodes = {{"a", ""}}}}).ok());
}

TEST(GraphVersionTest, FingerprintIsOfNamesAndTheSameEverywhere) {
  const auto make = [](bool reversed, const std::string& last) {
    StateGraph builder;
    const auto channels = [&](bool first) {
      if (first) {
        (void)builder.AddChannel("count", LastValue<int>());
      } else {
        (void)builder.AddChannel("names",
                                 LastValue<std::vector<std::string>>());
      }
    };
    channels(!reversed);
    channels(reversed);
    for (const std::string& name : reversed
                                       ? std::vector<std::string>{last, "a"}
                                       : std::vector<std::string>{"a", last}) {
      builder.AddNode(name, Idle());
    }
    builder.AddEdge(kStart, "a");
    builder.AddEdge("a", last);
    return MustCompile(builder);
  };
  // Changes only with what it is made of, which docs/checkpoint_format.md says.
  EXPECT_EQ(make(false, "b").fingerprint(), "3612dea4fd08bb3c");
  EXPECT_EQ(make(true, "b").fingerprint(), make(false, "b").fingerprint());
  EXPECT_NE(make(true, "c").fingerprint(), make(false, "b").fingerprint());
  EXPECT_EQ(make(true, "b").version(), 0);
}

}  // namespace
}  // namespace weir
