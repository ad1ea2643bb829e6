#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"
#include "tests/support/saved_graph.h"

#include "weir/channels/ephemeral.h"
#include "weir/channels/last_value.h"
#include "weir/channels/untracked.h"
#include "weir/runtime/event.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"

// What checkpoints hold, and what is shown of them.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::SizeIs;

class CheckpointContentsTest : public SavedGraphTest {};

TEST_F(CheckpointContentsTest, EphemeralInputIsGoneOnceItWasRead) {
  const auto question =
      builder_.AddChannel("question", Ephemeral<std::string>());
  AddPath(builder_,
          Node("a",
               [this, question](NodeContext& node) {
                 return Update(notes_, node.Get(question));
               }),
          Node("b", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(question, "why?"));
  const std::vector<StateSnapshot> history = History(graph);
  ASSERT_THAT(history, SizeIs(4));
  EXPECT_EQ(history[2].values.ToJson(), R"({"notes": [], "question": "why?"})");
  const std::vector<CheckpointTuple> stored = Stored();
  for (const size_t later : {0u, 1u}) {
    EXPECT_EQ(history[later].values.Find("question"), nullptr);
    for (const SavedChannel& saved : stored[later].checkpoint.channels) {
      EXPECT_TRUE(saved.channel != "question" || !saved.value.has_value());
    }
  }
  EXPECT_EQ(history[0].values.ToJson(), R"({"notes": ["why?", "b@2"]})");
}

TEST_F(CheckpointContentsTest, UntrackedValuesAreSeenAndNotStored) {
  const auto secret = builder_.AddChannel("secret", Untracked<std::string>());
  AddPath(builder_,
          Node("a", [secret](NodeContext&) { return Update(secret, "hush"); }),
          Node("b", [this, secret](NodeContext& node) {
            return Update(notes_, node.Get(secret));
          }));
  const Graph graph = MustCompile(builder_);
  EXPECT_THAT(Run(graph, Update()).Get(notes_), ElementsAre("hush"));
  for (const CheckpointTuple& tuple : Stored()) {
    for (const SavedChannel& saved : tuple.checkpoint.channels) {
      EXPECT_NE(saved.channel, "secret");
    }
    for (const PendingWrite& write : tuple.writes) {
      EXPECT_NE(write.channel, "secret");
    }
  }
}

// A run that goes on from the store finds what was stored of the Send.
TEST_F(CheckpointContentsTest, UntrackedValuesInASendAreNotStored) {
  const auto secret = builder_.AddChannel("secret", Untracked<std::string>());
  const auto open = builder_.AddChannel("open", LastValue<std::string>());
  AddPath(builder_, Node("a", [secret, open](NodeContext&) {
            return Send("w", Update(secret, "hush").Set(open, "hello"));
          }));
  builder_.AddNode("w", [this](NodeContext& node) {
    return Update(notes_, node.input().ToJson());
  });
  const Graph graph = MustCompile(builder_);
  EXPECT_THAT(Run(graph, Update(), {.thread_id = "live"}).Get(notes_),
              ElementsAre(R"({"secret": "hush", "open": "hello"})"));
  Run(graph, Update(), {.interrupt_before = {"w"}});
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_),
              ElementsAre(R"({"open": "hello"})"));
}

TEST_F(CheckpointContentsTest, HistoryShowsEveryWriteOfAChannel) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  AddPath(builder_, Node("a", [this, count](NodeContext&) {
            return Update(notes_, "1").Set(count, 5).Set(notes_, "2");
          }));
  const Graph graph = MustCompile(builder_);
  EXPECT_THAT(Run(graph, Update()).Get(notes_), ElementsAre("1", "2"));
  EXPECT_THAT(
      Before(graph, "a").ToJson(),
      HasSubstr(R"("result": {"notes": {"$writes": ["1", "2"]}, "count": 5})"));
}

// A checkpoint is stored as what differs from the one before. A loop comes to
// the same place in the graph again and again: only its state changes.
TEST_F(CheckpointContentsTest, LoopStoresWhatItChangesAndGoesOnFromAnywhere) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  AddPath(builder_, Node("loop", [count](NodeContext& node) {
            return Update(count, node.Get(count) + 1);
          }));
  builder_.AddConditionalEdges("loop", [count](NodeContext& state) {
    return state.Get(count) < 5 ? Target("loop") : Target(kEnd);
  });
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  std::map<std::string, std::set<uint64_t>> versions;
  for (const CheckpointTuple& tuple : Stored()) {
    const int64_t step = tuple.checkpoint.metadata.step;
    if (step < 1 || step == 5) continue;
    for (const SavedChannel& saved : tuple.checkpoint.channels) {
      versions[saved.channel].insert(saved.version);
    }
  }
  EXPECT_THAT(versions, ElementsAre(Pair("__engine__", SizeIs(1)),
                                    Pair("__graph__", SizeIs(1)),
                                    Pair("count", SizeIs(4))));
  const std::vector<StateSnapshot> history = History(graph);
  ASSERT_THAT(history, SizeIs(7));
  for (size_t left = 1; left < 6; ++left) {
    TakeRan();
    const RunResult end =
        Run(graph, Input::Continue(), {.from = history[left].ref});
    EXPECT_EQ(end.Get(count), 5) << left;
    EXPECT_THAT(TakeRan(), SizeIs(left));
  }
}

TEST_F(CheckpointContentsTest, MetadataOfTheRunIsInEveryCheckpoint) {
  StateGraph inner;
  inner.AddChannel("own", LastValue<int>());
  AddPath(inner, Node("x"));
  AddPath(builder_, Node("a"));
  builder_.AddNode("inside", MustCompile(inner, {.memory = Memory::kOfThread}));
  builder_.AddEdge("a", "inside");
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(),
      {.run_id = "r1", .metadata = {{"host", "\"h\""}, {"tries", "2"}}});
  for (const char* ns : {"", "inside"}) {
    const std::vector<CheckpointTuple> stored = Stored(ns);
    EXPECT_THAT(stored, SizeIs(*ns == '\0' ? 4 : 3));
    for (const CheckpointTuple& tuple : stored) {
      EXPECT_EQ(tuple.checkpoint.metadata.run_id, "r1");
      EXPECT_EQ(tuple.checkpoint.metadata.custom,
                (std::map<std::string, std::string>{{"host", "\"h\""},
                                                    {"tries", "2"}}));
      EXPECT_EQ(tuple.checkpoint.metadata.parents.contains(""), *ns != '\0');
    }
  }
}

TEST_F(CheckpointContentsTest, StreamedCheckpointsAreThoseOfTheHistory) {
  bool broken = true;
  AddPath(builder_, Node("a", NoteStep{notes_}),
          Node("b",
               [this, &broken](NodeContext& node) -> NodeResult {
                 if (broken) return absl::UnavailableError("not now");
                 return NoteStep{notes_}(node);
               }),
          Node("c", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  std::vector<StateSnapshot> streamed;
  for (const bool first : {true, false}) {
    broken = first;
    RunStream stream = graph.Stream(first ? Input(Update()) : Input::Continue(),
                                    Saved({.modes = kCheckpoints}));
    while (const Event* event = stream.Next()) {
      const StateSnapshot& state = *event->As<CheckpointReached>()->state;
      // A run that goes on shows where it does.
      if (!streamed.empty() && streamed.back().ref.id == state.ref.id) continue;
      streamed.push_back(state);
    }
    EXPECT_EQ(stream.status().ok(), !first);
  }
  const std::vector<StateSnapshot> history = History(graph);
  ASSERT_THAT(streamed, SizeIs(history.size()));
  for (size_t i = 0; i < history.size(); ++i) {
    const StateSnapshot& stored = history[history.size() - 1 - i];
    EXPECT_EQ(streamed[i].ref.id, stored.ref.id);
    EXPECT_EQ(streamed[i].parent, stored.parent);
    EXPECT_EQ(streamed[i].values.ToJson(), stored.values.ToJson());
    EXPECT_EQ(streamed[i].next, stored.next);
    EXPECT_EQ(streamed[i].metadata->source, stored.metadata->source);
    EXPECT_EQ(streamed[i].metadata->step, stored.metadata->step);
    ASSERT_THAT(streamed[i].tasks, SizeIs(stored.tasks.size()));
    for (size_t t = 0; t < stored.tasks.size(); ++t) {
      EXPECT_EQ(streamed[i].tasks[t].id, stored.tasks[t].id);
    }
  }
}

// Exact histories, the newest first.
TEST_F(CheckpointContentsTest, StopsInputUpdatesAndReplaysMakeThisHistory) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_, {.interrupt_after = {"a"}});
  EXPECT_EQ(Run(graph, Update(notes_, "1")).end, RunEnd::kStopped);
  EXPECT_EQ(Run(graph, Update(notes_, "2")).end, RunEnd::kStopped);
  const CheckpointRef stopped = State(graph).ref;
  Change(graph, {.values = Update(notes_, "as b"), .as_node = "b"});
  EXPECT_EQ(Run(graph, Input::Continue()).end, RunEnd::kFinished);
  EXPECT_EQ(Run(graph, Input::Continue(), {.from = stopped}).end,
            RunEnd::kFinished);
  std::vector<std::string> lines;
  for (const StateSnapshot& state : History(graph)) {
    lines.push_back(absl::StrCat(state.metadata->source, " ",
                                 state.metadata->step, " ",
                                 absl::StrJoin(state.values.Get(notes_), ","),
                                 " > ", absl::StrJoin(state.next, ",")));
  }
  EXPECT_THAT(lines, ElementsAre("loop 6 1,a@1,2,a@4,b@6 > ",  // replayed
                                 "fork 5 1,a@1,2,a@4 > b",     //
                                 "update 5 1,a@1,2,a@4,as b > ",
                                 "loop 4 1,a@1,2,a@4 > b",     // stopped
                                 "loop 3 1,a@1,2 > a",         //
                                 "input 2 1,a@1 > __start__",  //
                                 "loop 1 1,a@1 > b",           // stopped
                                 "loop 0 1 > a",               //
                                 "input -1  > __start__"));
}

}  // namespace
}  // namespace weir
