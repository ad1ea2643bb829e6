#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// Which nodes run in which superstep, and when what they wrote is seen.
namespace weir {
namespace {

using ::testing::ElementsAre;

class SuperstepTest : public testing::Test {
 protected:
  // Adds nodes that note when they run.
  void AddNodes(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      builder_.AddNode(name, NoteStep{notes_});
    }
  }
  void AddDeferred(const std::string& name) {
    builder_.AddNode(name, NoteStep{notes_}, {.defer = true});
  }
  // Adds an edge from each node to the one after it.
  void AddPath(const std::vector<std::string>& nodes) {
    for (size_t i = 1; i < nodes.size(); ++i) {
      builder_.AddEdge(nodes[i - 1], nodes[i]);
    }
  }
  // Which node ran in which superstep, in merge order.
  std::string Run(RunOptions options = {}) {
    return NotesOf(MustCompile(builder_), notes_, std::move(options));
  }

  const std::string start_{kStart};
  StateGraph builder_;
  const NotesChannel notes_ = AddNotes(builder_);
};

TEST_F(SuperstepTest, WritesAreSeenFromTheNextSuperstepOn) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  auto note = [this, count](NodeContext& node) {
    return Update(notes_, absl::StrCat(std::string(node.node()), " sees ",
                                       node.Get(count)));
  };
  builder_.AddNode("a", [count](NodeContext&) { return Update(count, 1); });
  builder_.AddNode("b", note);
  builder_.AddNode("c", note);
  builder_.AddEdge(kStart, "a");
  builder_.AddEdge(kStart, "b");
  builder_.AddEdge("a", "c");
  EXPECT_EQ(Run(), "b sees 0 c sees 1");
}

TEST_F(SuperstepTest, ReferencesToTheStateHoldWhileItsWriterRuns) {
  const auto text = builder_.AddChannel("text", LastValue<std::string>());
  builder_.AddNode("reader", [this, text](NodeContext& node) -> Task<Update> {
    const std::string& before = node.Get(text);
    (void)co_await node.Sleep(absl::Seconds(2));
    co_return Update(notes_, before);
  });
  builder_.AddNode("writer", [text](NodeContext&) {
    return Update(text, std::string(100, 'x'));
  });
  builder_.AddEdge(kStart, "reader");
  builder_.AddEdge(kStart, "writer");
  SimExecutor executor(1);
  const Values values =
      MustInvoke(MustCompile(builder_), Update(text, std::string(50, 'o')),
                 {.executor = &executor});
  EXPECT_THAT(values.Get(notes_), ElementsAre(std::string(50, 'o')));
  EXPECT_EQ(values.Get(text), std::string(100, 'x'));
}

TEST_F(SuperstepTest, ReducerAppliesToTheInputBeforeTheFirstNode) {
  const auto sum = builder_.AddChannel(
      "sum", Reducer<int>([](int a, int b) { return a + b; }, 100));
  builder_.AddNode("a", [this, sum](NodeContext& node) {
    return Update(notes_, absl::StrCat(node.Get(sum)));
  });
  builder_.AddEdge(kStart, "a");
  EXPECT_THAT(MustInvoke(MustCompile(builder_), Update(sum, 11)).Get(notes_),
              ElementsAre("111"));
}

// Node names sort as bytes: upper case comes first.
TEST_F(SuperstepTest, WritesMergeByNodeNameThenBySendWhateverEndsFirst) {
  std::vector<std::string> ended;
  auto late = [this, &ended](int seconds, const std::string& line) {
    return [this, &ended, seconds, line](NodeContext& node) -> Task<Update> {
      (void)co_await node.Sleep(absl::Seconds(seconds));
      ended.push_back(line);
      co_return Update(notes_, line);
    };
  };
  builder_.AddNode("m", [](NodeContext&) {
    return Command{.go_to = {Send("w", 0), Send("w", 1), Send("w", 2)}};
  });
  builder_.AddNode("b", late(4, "b"));
  builder_.AddNode("Z", late(6, "Z"));
  builder_.AddNode("a", late(5, "a"));
  builder_.AddNode("w", [this, &ended](NodeContext& node) -> Task<Update> {
    const int index = *node.Input<int>();
    (void)co_await node.Sleep(absl::Seconds(3 - index));
    ended.push_back(absl::StrCat("w", index));
    co_return Update(notes_, absl::StrCat("w", index));
  });
  AddPath({start_, "m", "a"});
  AddPath({"m", "b"});
  AddPath({"m", "Z"});
  ForEachOrder(20, [&](SimExecutor& executor) {
    ended.clear();
    EXPECT_EQ(Run({.executor = &executor}), "Z a b w0 w1 w2");
    EXPECT_THAT(ended, ElementsAre("w2", "w1", "w0", "b", "a", "Z"));
  });
}

TEST_F(SuperstepTest, MergeOrderIsTheSameOnManyWorkers) {
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    const std::string name = absl::StrFormat("n%03d", i);
    builder_.AddNode(name, NoteStep{notes_});
    builder_.AddEdge(kStart, name);
    absl::StrAppend(&expected, i == 0 ? "" : " ", name, "@1");
  }
  TbbExecutor executor(4);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Run({.executor = &executor}), expected);
  }
}

TEST_F(SuperstepTest, WritesOfOneTaskMergeInTheirOrder) {
  builder_.AddNode("a", [this](NodeContext&) {
    return Update(notes_, "1").Set(notes_, "2").Set("notes", Value("3"));
  });
  builder_.AddEdge(kStart, "a");
  EXPECT_EQ(Run(), "1 2 3");
}

TEST_F(SuperstepTest, SeveralEdgesOfOneSuperstepAreOneRun) {
  AddNodes({"a", "b", "c"});
  AddPath({start_, "a", "c"});
  AddPath({start_, "b", "c"});
  EXPECT_EQ(Run(), "a@1 b@1 c@2");
}

TEST_F(SuperstepTest, EdgesOfDifferentSuperstepsAreARunEach) {
  AddNodes({"a", "b", "c"});
  AddPath({start_, "a", "b", "c"});
  AddPath({"a", "c"});
  EXPECT_EQ(Run(), "a@1 b@2 c@2 c@3");
}

TEST_F(SuperstepTest, NodeThatReturnsNothingStillLeadsOn) {
  builder_.AddNode("a", Idle());
  AddNodes({"b"});
  AddPath({start_, "a", "b"});
  EXPECT_EQ(Run(), "b@2");
}

TEST_F(SuperstepTest, EdgeToTheEndDoesNotStopOthers) {
  AddNodes({"a", "b", "c"});
  AddPath({start_, "a", "b", "c"});
  builder_.AddEdge("a", kEnd);
  builder_.AddEdge("b", kEnd);
  EXPECT_EQ(Run(), "a@1 b@2 c@3");
}

TEST_F(SuperstepTest, NodeMayLeadToItself) {
  AddNodes({"a"});
  builder_.AddEdge(kStart, "a");
  builder_.AddConditionalEdges("a", [](NodeContext& state) {
    return Route(state.step() < 3 ? "a" : kEnd);
  });
  EXPECT_EQ(Run(), "a@1 a@2 a@3");
}

TEST_F(SuperstepTest, GraphServesSeveralRunsEachWithItsOwnState) {
  AddNodes({"a", "b"});
  AddPath({start_, "a", "b"});
  const Graph graph = MustCompile(builder_);
  EXPECT_EQ(NotesOf(graph, notes_), "a@1 b@2");
  EXPECT_EQ(NotesOf(graph, notes_), "a@1 b@2");
}

TEST_F(SuperstepTest, GraphServesManyThreadsAtOnce) {
  const auto sum = builder_.AddChannel(
      "sum", Reducer<int>([](int a, int b) { return a + b; }));
  for (const char* name : {"a", "b", "c"}) {
    builder_.AddNode(
        name, [sum](NodeContext& node) { return Update(sum, node.Get(sum)); });
    builder_.AddEdge(kStart, name);
  }
  const Graph graph = MustCompile(builder_);
  std::vector<std::jthread> threads;
  for (int number = 1; number <= 4; ++number) {
    threads.emplace_back([&graph, sum, number] {
      for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(MustInvoke(graph, Update(sum, number)).Get(sum), 4 * number);
      }
    });
  }
}

// Joins.

TEST_F(SuperstepTest, JoinWaitsForItsSlowestSource) {
  AddNodes({"a", "b", "b2", "b3", "c"});
  AddPath({start_, "a"});
  AddPath({start_, "b", "b2", "b3"});
  builder_.AddJoin({"a", "b3"}, "c");
  EXPECT_EQ(Run(), "a@1 b@1 b2@2 b3@3 c@4");
}

TEST_F(SuperstepTest, JoinOfWhichOneSourceNeverRunsDoesNotFire) {
  AddNodes({"a", "b", "c"});
  AddPath({start_, "a"});
  builder_.AddJoin({"a", "b"}, "c");
  EXPECT_EQ(Run(), "a@1");
}

TEST_F(SuperstepTest, JoinInALoopBeginsAnewEachRound) {
  AddNodes({"s", "a", "b", "b2", "j"});
  AddPath({start_, "s", "a"});
  AddPath({"s", "b", "b2"});
  builder_.AddJoin({"a", "b2"}, "j");
  builder_.AddConditionalEdges("j", [](NodeContext& state) {
    return Route(state.step() < 8 ? "s" : kEnd);
  });
  EXPECT_EQ(Run(), "s@1 a@2 b@2 b2@3 j@4 s@5 a@6 b@6 b2@7 j@8");
}

TEST_F(SuperstepTest, HalfFilledJoinOutlastsARunForAnotherReason) {
  AddNodes({"a", "b", "b2", "b3", "c"});
  AddPath({start_, "a", "c"});  // To c at once, and as a source of the join.
  AddPath({start_, "b", "b2", "b3"});
  builder_.AddJoin({"a", "b3"}, "c");
  EXPECT_EQ(Run(), "a@1 b@1 b2@2 c@2 b3@3 c@4");
}

TEST_F(SuperstepTest, JoinThatCompletesAsItsTargetIsLedToIsOneRun) {
  AddNodes({"a", "b", "c"});
  AddPath({start_, "a", "c"});
  AddPath({start_, "b"});
  builder_.AddJoin({"a", "b"}, "c");
  EXPECT_EQ(Run(), "a@1 b@1 c@2");
}

TEST_F(SuperstepTest, SourceThatRunsTwiceFillsItsPlaceOnce) {
  AddNodes({"a", "b", "b2", "b3", "c"});
  AddPath({start_, "a"});
  AddPath({start_, "b", "b2", "b3"});
  builder_.AddConditionalEdges("a", [](NodeContext& state) {
    return Route(state.step() < 2 ? "a" : kEnd);
  });
  builder_.AddJoin({"a", "b3"}, "c");
  EXPECT_EQ(Run(), "a@1 b@1 a@2 b2@2 b3@3 c@4");
}

TEST_F(SuperstepTest, SourceThatRunsWhileTheTargetRunsCountsForTheNextRound) {
  AddNodes({"a", "b", "c"});
  AddPath({start_, "a", "b"});
  builder_.AddJoin({"a", "b"}, "c");
  // a runs again beside c, and then b beside nothing.
  builder_.AddConditionalEdges("b", [](NodeContext& state) {
    return Route(state.step() == 2 ? "a" : kEnd);
  });
  EXPECT_EQ(Run(), "a@1 b@2 a@3 c@3 b@4 c@5");
}

TEST_F(SuperstepTest, SourceReachedByRouterOrSendCounts) {
  AddNodes({"a", "b", "c"});
  builder_.AddConditionalEdges(kStart, [](NodeContext&) {
    return std::vector<Target>{"a", Send("b", 1)};
  });
  builder_.AddJoin({"a", "b"}, "c");
  EXPECT_EQ(Run(), "a@1 b@1 c@2");
}

TEST_F(SuperstepTest, SeveralJoinsMayShareTheirSources) {
  AddNodes({"a", "b", "c", "d", "e"});
  AddPath({start_, "a"});
  AddPath({start_, "b"});
  AddPath({"b", "c"});
  builder_.AddJoin({"a", "b"}, "d");
  builder_.AddJoin({"a", "c"}, "d");
  builder_.AddJoin({"b", "a", "c"}, "e");
  EXPECT_EQ(Run(), "a@1 b@1 c@2 d@2 d@3 e@3");
}

TEST_F(SuperstepTest, JoinHasAnyNumberOfSources) {
  std::vector<NodeRef> sources;
  for (int i = 0; i < 200; ++i) {
    const std::string name = absl::StrFormat("n%03d", i);
    builder_.AddNode(name, Idle());
    // Two of them run a superstep later.
    builder_.AddEdge(i == 70 || i == 199 ? "n000" : start_, name);
    sources.emplace_back(name);
  }
  AddNodes({"z"});
  builder_.AddJoin(sources, "z");
  EXPECT_EQ(Run(), "z@3");
}

TEST_F(SuperstepTest, JoinOfOneSourceIsAnEdge) {
  AddNodes({"a", "b"});
  AddPath({start_, "a"});
  builder_.AddJoin({"a"}, "b");
  EXPECT_EQ(Run(), "a@1 b@2");
}

TEST_F(SuperstepTest, JoinIntoTheEndDoesNothing) {
  AddNodes({"a", "b"});
  AddPath({start_, "a"});
  AddPath({start_, "b"});
  builder_.AddJoin({"a", "b"}, kEnd);
  EXPECT_EQ(Run(), "a@1 b@1");
}

// Deferred nodes.

TEST_F(SuperstepTest, DeferredNodeRunsLastAndOnce) {
  AddNodes({"a", "b", "b2", "b3"});
  AddDeferred("d");
  AddPath({start_, "a", "d"});
  AddPath({start_, "b", "b2", "b3", "d"});
  EXPECT_EQ(Run(), "a@1 b@1 b2@2 b3@3 d@4");
}

TEST_F(SuperstepTest, DeferredNodeThatNothingLedToDoesNotRun) {
  AddNodes({"a"});
  AddDeferred("d");
  AddPath({start_, "a"});
  EXPECT_EQ(Run(), "a@1");
}

TEST_F(SuperstepTest, DeferredNodeWaitsForPendingSends) {
  AddNodes({"w", "x"});
  builder_.AddNode("s", [](NodeContext&) {
    return Command{.go_to = {Send("w", 1), Send("w", 2)}};
  });
  AddDeferred("d");
  AddPath({start_, "s", "d"});
  AddPath({"w", "x"});
  EXPECT_EQ(Run(), "w@2 w@2 x@3 d@4");
}

TEST_F(SuperstepTest, DeferredNodeWaitsForSendsOfSends) {
  AddNodes({"x"});
  builder_.AddNode("s", [](NodeContext&) { return Send("w", 1); });
  builder_.AddNode("w", [](NodeContext&) { return Send("x", 1); });
  AddDeferred("d");
  AddPath({start_, "s", "d"});
  EXPECT_EQ(Run(), "x@3 d@4");
}

TEST_F(SuperstepTest, SendRunsADeferredNodeAtOnce) {
  AddNodes({"a", "b"});
  AddDeferred("d");
  builder_.AddConditionalEdges(kStart, [](NodeContext&) {
    return std::vector<Target>{"a", Send("d", 1)};
  });
  AddPath({"a", "b"});
  EXPECT_EQ(Run(), "a@1 d@1 b@2");
}

TEST_F(SuperstepTest, DeferredNodeBehindAJoinWaitsForOtherPaths) {
  AddNodes({"a", "b", "c", "c2", "c3"});
  AddDeferred("d");
  AddPath({start_, "a"});
  AddPath({start_, "b"});
  AddPath({start_, "c", "c2", "c3"});
  builder_.AddJoin({"a", "b"}, "d");
  EXPECT_EQ(Run(), "a@1 b@1 c@1 c2@2 c3@3 d@4");
}

TEST_F(SuperstepTest, DeferredNodeBehindAnIncompleteJoinNeverRuns) {
  AddNodes({"a", "b", "c"});
  AddDeferred("d");
  AddPath({start_, "a", "c"});
  builder_.AddJoin({"a", "b"}, "d");
  EXPECT_EQ(Run(), "a@1 c@2");
}

TEST_F(SuperstepTest, DeferredNodeInALoopRunsOnceARound) {
  AddNodes({"s", "a", "b", "b2"});
  AddDeferred("d");
  AddPath({start_, "s", "a", "d"});
  AddPath({"s", "b", "b2", "d"});
  builder_.AddConditionalEdges("d", [](NodeContext& state) {
    return Route(state.step() < 8 ? "s" : kEnd);
  });
  EXPECT_EQ(Run(), "s@1 a@2 b@2 b2@3 d@4 s@5 a@6 b@6 b2@7 d@8");
}

TEST_F(SuperstepTest, DeferredNodeBehindAJoinInALoopRunsOnceARound) {
  AddNodes({"s", "a", "b"});
  AddDeferred("d");
  AddPath({start_, "s", "a"});
  AddPath({"s", "b"});
  builder_.AddJoin({"a", "b"}, "d");
  builder_.AddConditionalEdges("d", [](NodeContext& state) {
    return Route(state.step() < 6 ? "s" : kEnd);
  });
  EXPECT_EQ(Run(), "s@1 a@2 b@2 d@3 s@4 a@5 b@5 d@6");
}

TEST_F(SuperstepTest, DeferredNodesThatWaitRunTogether) {
  AddNodes({"a", "b"});
  AddDeferred("d");
  AddDeferred("e");
  AddPath({start_, "a", "d"});
  AddPath({"a", "b", "e"});
  EXPECT_EQ(Run(), "a@1 b@2 d@3 e@3");
}

TEST_F(SuperstepTest, DeferredNodeMayLeadToADeferredNode) {
  AddNodes({"a", "b"});
  AddDeferred("d");
  AddDeferred("e");
  AddPath({start_, "a", "d", "e"});
  AddPath({"d", "b"});
  EXPECT_EQ(Run(), "a@1 d@2 b@3 e@4");
}

TEST_F(SuperstepTest, GotoADeferredNodeWaitsToo) {
  AddNodes({"b", "c"});
  builder_.AddNode("a", [](NodeContext&) { return Command{.go_to = {"d"}}; });
  AddDeferred("d");
  AddPath({start_, "a", "b", "c"});
  EXPECT_EQ(Run(), "b@2 c@3 d@4");
}

TEST_F(SuperstepTest, ValueForTheFinishIsHiddenUntilThen) {
  const auto late =
      builder_.AddChannel("late", LastValueAfterFinish<std::string>());
  auto note = [this, late](NodeContext& node) {
    const std::string* value = node.Find(late);
    return Update(notes_, value == nullptr ? "none" : *value);
  };
  builder_.AddNode("a", [late](NodeContext&) { return Update(late, "done"); });
  builder_.AddNode("b", note);
  builder_.AddNode("d", note, {.defer = true});
  AddPath({start_, "a", "b"});
  AddPath({"a", "d"});
  EXPECT_EQ(Run(), "none done");
}

}  // namespace
}  // namespace weir
