// A thread goes on with another graph than it stopped in, from a file: what the
// other does not know is said, with its name and the thread's, and which graphs
// they were. migrations_test.cc has what a host says of its changes.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waiting_checkpointer.h"
#include "tests/support/graph_run.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

using ::testing::ElementsAre;

// A graph of one run, and its channel.
struct ChangedBuilder : StateGraph {
  NotesChannel notes = AddNotes(*this);

  ChangedBuilder& Entry(const std::string& name) {
    AddNode(name, NoteStep{notes});
    AddEdge(kStart, name);
    return *this;
  }
  ChangedBuilder& Then(const std::string& from, const std::string& to) {
    AddNode(to, NoteStep{notes});
    AddEdge(from, to);
    return *this;
  }
};

class ChangedGraphTest : public testing::Test {
 protected:
  // Each call has the file to itself, as a process would.
  template <class F>
  auto WithStore(F call) {
    auto store = SqliteCheckpointer::Open(folder_.File("db"));
    EXPECT_TRUE(store.ok()) << store.status();
    WaitingCheckpointer waiting(**store);
    return call(static_cast<Checkpointer&>(waiting));
  }
  absl::StatusOr<RunResult> Run(const StateGraph& builder, Input input,
                                RunOptions options = {}) {
    return WithStore([&](Checkpointer& store) {
      options.thread_id = "ann's";
      options.checkpointer = &store;
      options.executor = &executor_;
      const Graph graph = MustCompile(builder);
      saved_by_ = graph.fingerprint();
      return graph.Invoke(std::move(input), options);
    });
  }
  absl::StatusOr<StateSnapshot> State(const StateGraph& builder) {
    return WithStore([&](Checkpointer& store) {
      return MustCompile(builder).GetState(
          {.checkpointer = &store, .thread_id = "ann's"});
    });
  }
  void RunUpTo(const std::string& node, const StateGraph& builder) {
    const auto result = Run(builder, Update(), {.interrupt_before = {node}});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->end, RunEnd::kStopped);
  }
  // Neither goes on nor shows a state that would lack something; and the graph
  // that it stopped in finds all as it was.
  void ExpectRefused(const StateGraph& changed,
                     const std::vector<std::string>& named) {
    std::vector<std::string> parts = named;
    parts.emplace_back("'ann's'");
    parts.push_back("version 0 (fingerprint " + saved_by_);
    parts.push_back(MustCompile(changed).fingerprint());
    const auto refused =
        IsError(ErrorKind::kNone, absl::StatusCode::kFailedPrecondition, parts);
    EXPECT_THAT(Run(changed, Input::Continue()).status(), refused);
    EXPECT_THAT(State(changed).status(), refused);
  }

  const TempFolder folder_;
  InlineExecutor executor_;
  std::string saved_by_;  // The fingerprint of the graph that ran last.
};

TEST_F(ChangedGraphTest, ANodeThatWasDueAndIsGoneIsNamed) {
  ChangedBuilder was;
  was.Entry("a").Then("a", "b");
  RunUpTo("b", was);
  ChangedBuilder renamed;
  renamed.Entry("a").Then("a", "c");
  ExpectRefused(renamed, {"'b'"});
  EXPECT_THAT(Run(was, Input::Continue())->Get(was.notes),
              ElementsAre("a@1", "b@2"));
}

TEST_F(ChangedGraphTest, AnInterruptedNodeThatIsGoneIsNamed) {
  ChangedBuilder was;
  was.AddNode("asks", [&was](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> answer = node.Interrupt<std::string>("milk?");
    if (!answer.ok()) return answer.status();
    return Update(was.notes, *answer);
  });
  was.AddEdge(kStart, "asks");
  EXPECT_EQ(Run(was, Update())->end, RunEnd::kInterrupted);
  ChangedBuilder removed;
  removed.Entry("a");
  ExpectRefused(removed, {"'asks'"});
  EXPECT_THAT(Run(removed, Input::Resume(Value("yes"))).status(),
              IsError(ErrorKind::kNone, absl::StatusCode::kFailedPrecondition,
                      {"'asks'", "'ann's'"}));
  EXPECT_THAT(Run(was, Input::Resume(Value("yes")))->Get(was.notes),
              ElementsAre("yes"));
}

TEST_F(ChangedGraphTest, ASendToANodeThatIsGoneIsNamed) {
  ChangedBuilder was;
  was.AddNode("a", [](NodeContext&) { return Send("b", Value(1)); });
  was.AddEdge(kStart, "a");
  was.AddNode("b", NoteStep{was.notes});
  RunUpTo("b", was);
  ChangedBuilder removed;
  removed.Entry("a");
  ExpectRefused(removed, {"'b'"});
  EXPECT_TRUE(Run(was, Input::Continue()).ok());
}

TEST_F(ChangedGraphTest, WhatAFinishedSiblingLeadsToIsNotPassedOver) {
  bool broken = true;
  const auto make = [&broken](const std::string& to, ChangedBuilder& builder) {
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
  ChangedBuilder was;
  make("b", was);
  EXPECT_FALSE(Run(was, Update()).ok());
  broken = false;
  ChangedBuilder renamed;
  make("c", renamed);
  ExpectRefused(renamed, {"'b'"});
  EXPECT_THAT(Run(was, Input::Continue())->Get(was.notes), ElementsAre("b@2"));
}

TEST_F(ChangedGraphTest, AJoinThatHasBegunAndIsGoneIsNamed) {
  const auto make = [](bool joins, ChangedBuilder& builder) {
    builder.Entry("a").Entry("x").Then("x", "y");
    builder.AddNode("end", NoteStep{builder.notes});
    if (joins) {
      builder.AddJoin({"a", "y"}, "end");
    } else {
      builder.AddEdge("y", "end");
    }
  };
  ChangedBuilder was;
  make(true, was);
  RunUpTo("y", was);
  ChangedBuilder without;
  make(false, without);
  ExpectRefused(without, {"'join:a+y:end'"});
  EXPECT_TRUE(Run(was, Input::Continue()).ok());
}

TEST_F(ChangedGraphTest, ANodeThatIsGoneAndNotDueIsNotMissed) {
  ChangedBuilder was;
  was.Entry("a").Then("a", "b");
  RunUpTo("b", was);
  ChangedBuilder without;
  without.Entry("other");
  without.AddNode("b", NoteStep{without.notes});
  EXPECT_THAT(Run(without, Input::Continue())->Get(without.notes),
              ElementsAre("a@1", "b@2"));
}

TEST_F(ChangedGraphTest, AnAddedChannelIsAsInANewThread) {
  ChangedBuilder was;
  was.Entry("a").Then("a", "b");
  RunUpTo("b", was);
  ChangedBuilder more;
  const auto count = more.AddChannel("count", LastValue<int>());
  more.Entry("a").Then("a", "b");
  const auto result = Run(more, Input::Continue());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->Get(more.notes), ElementsAre("a@1", "b@2"));
  EXPECT_EQ(result->Find(count), nullptr);
}

TEST_F(ChangedGraphTest, ARemovedChannelIsNoHindrance) {
  ChangedBuilder was;
  (void)was.AddChannel("count", LastValue<int>());
  was.Entry("a").Then("a", "b");
  RunUpTo("b", was);
  ChangedBuilder without;
  without.Entry("a").Then("a", "b");
  EXPECT_THAT(Run(without, Input::Continue())->Get(without.notes),
              ElementsAre("a@1", "b@2"));
}

TEST_F(ChangedGraphTest, AChannelOfAnotherTypeIsNamed) {
  ChangedBuilder was;
  const auto count = was.AddChannel("count", LastValue<int>());
  was.AddNode("a", [count](NodeContext&) { return Update(count, 1000); });
  was.AddEdge(kStart, "a");
  was.Then("a", "b");
  RunUpTo("b", was);
  ChangedBuilder retyped;
  (void)retyped.AddChannel("count", LastValue<std::vector<std::string>>());
  retyped.Entry("a").Then("a", "b");
  ExpectRefused(retyped, {"'count'", "int32", "list<string>"});
  EXPECT_EQ(Run(was, Input::Continue())->Get(count), 1000);
}

TEST_F(ChangedGraphTest, AChannelOfAnotherTypeIsNamedIfItsBytesWouldDecode) {
  ChangedBuilder was;
  const auto count = was.AddChannel("count", LastValue<int>());
  was.AddNode("a", [count](NodeContext&) { return Update(count, 1000); });
  was.AddEdge(kStart, "a");
  was.Then("a", "b");
  RunUpTo("b", was);
  ChangedBuilder retyped;
  (void)retyped.AddChannel("count", LastValue<unsigned>());
  retyped.Entry("a").Then("a", "b");
  ExpectRefused(retyped, {"'count'", "int32", "uint32"});
  EXPECT_EQ(Run(was, Input::Continue())->Get(count), 1000);
}

// What codecs write alike has one name.
TEST_F(ChangedGraphTest, AListMayBeOfAnotherKind) {
  ChangedBuilder was;
  const auto lines =
      was.AddChannel("lines", LastValue<std::vector<std::string>>());
  was.AddNode("a", [lines](NodeContext&) {
    return Update(lines, std::vector<std::string>{"x", "y"});
  });
  was.AddEdge(kStart, "a");
  was.Then("a", "b");
  RunUpTo("b", was);
  ChangedBuilder retyped;
  const auto log = retyped.AddChannel("lines", AppendLogChannel<std::string>());
  retyped.Entry("a").Then("a", "b");
  const auto result = Run(retyped, Input::Continue());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->Get(log).size(), 2);
}

// A checkpoint that an older weir has saved says nothing of its graph: it is as
// one of version 0.
TEST_F(ChangedGraphTest, ACheckpointThatDoesNotSayItsGraphGoesOn) {
  ChangedBuilder was;
  was.Entry("a").Then("a", "b");
  RunUpTo("b", was);
  WithStore([](Checkpointer& store) {
    Fence fence;
    store.Open("ann's", [&](auto lease) { fence = lease->fence; });
    store.Get({"ann's", "", std::nullopt}, [&](auto tuple) {
      NewCheckpoint again{.checkpoint = (*tuple)->checkpoint};
      std::erase_if(again.checkpoint.channels, [](const SavedChannel& saved) {
        return saved.channel == "__graph__";
      });
      for (SavedChannel& saved : again.checkpoint.channels) {
        saved.version += 100;
      }
      again.checkpoint.id.sequence += 1;
      store.Put(fence, std::move(again), [](const absl::Status& stored) {
        EXPECT_TRUE(stored.ok()) << stored;
      });
    });
    return 0;
  });
  const auto later = WithStore([&](Checkpointer& store) {
    return MustCompile(was, {.version = 1})
        .GetState({.checkpointer = &store, .thread_id = "ann's"});
  });
  EXPECT_THAT(later.status(),
              IsError(ErrorKind::kNone, absl::StatusCode::kFailedPrecondition,
                      {"'ann's'", "version 1", "from version 0"}));
  EXPECT_THAT(Run(was, Input::Continue())->Get(was.notes),
              ElementsAre("a@1", "b@2"));
}

}  // namespace
}  // namespace weir
