#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/failing_checkpointer.h"
#include "tests/checkpoint/late_checkpointer.h"
#include "tests/support/graph_run.h"
#include "tests/support/saved_graph.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/channels/reducer.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/run.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// Threads that remember: what a run saves, and how others go on from it.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class SavedRunsTest : public SavedGraphTest {
 protected:
  // How often each node's body has run. They run one at a time.
  void Count(const NodeContext& node) { ++times_[std::string(node.node())]; }

  std::map<std::string, int> times_;
};

TEST_F(SavedRunsTest, ThreadRemembersAndThreadsAreApart) {
  AddEntry("a", [this](NodeContext& node) {
    return Update(notes_, absl::StrCat("turn ", node.Get(notes_).size() + 1));
  });
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  EXPECT_THAT(Run(graph, Update()).Get(notes_),
              ElementsAre("turn 1", "turn 2"));
  EXPECT_THAT(Run(graph, Update(), {.thread_id = "other"}).Get(notes_),
              ElementsAre("turn 1"));
}

TEST_F(SavedRunsTest, HistoryHasACheckpointForEachSuperstep) {
  AddEntry("a", NoteStep{notes_});
  builder_.AddNode("b", NoteStep{notes_});
  builder_.AddEdge("a", "b");
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.run_id = "r", .metadata = {{"host", "\"h\""}}});
  const absl::StatusOr<std::vector<StateSnapshot>> history =
      graph.GetHistory(Thread());
  ASSERT_TRUE(history.ok()) << history.status();
  ASSERT_THAT(*history, SizeIs(4));
  EXPECT_EQ((*history)[0].metadata->step, 2);
  EXPECT_THAT((*history)[0].next, IsEmpty());
  EXPECT_THAT((*history)[1].next, ElementsAre("b"));
  EXPECT_THAT((*history)[2].next, ElementsAre("a"));
  EXPECT_EQ((*history)[3].metadata->source, "input");
  EXPECT_EQ((*history)[3].metadata->step, -1);
  EXPECT_EQ((*history)[1].parent, (*history)[2].ref.id);
  EXPECT_EQ((*history)[1].tasks[0].result.ToJson(), R"({"notes": "b@2"})");
  const absl::StatusOr<std::vector<StateSnapshot>> some = graph.GetHistory(
      Thread(), {.filter = {{"host", "\"h\""}, {"step", "1"}}, .limit = 5});
  ASSERT_TRUE(some.ok());
  EXPECT_THAT(*some, SizeIs(1));
}

TEST_F(SavedRunsTest, FinishedSiblingsOfAFailureDoNotRunAgain) {
  bool broken = true;
  AddEntry("a", [this](NodeContext& node) {
    Count(node);
    return Update(notes_, "a");
  });
  AddEntry("b", [this, &broken](NodeContext& node) -> NodeResult {
    Count(node);
    if (broken) return absl::UnavailableError("not now");
    return Update(notes_, "b");
  });
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(graph.Invoke(Update(), Saved()).ok());
  const absl::StatusOr<StateSnapshot> state = graph.GetState(Thread());
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_THAT(state->next, ElementsAre("b"));
  EXPECT_THAT(state->values.Get(notes_), ElementsAre("a"));
  EXPECT_THAT(state->tasks[1].error, HasSubstr("not now"));
  broken = false;
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_), ElementsAre("a", "b"));
  EXPECT_EQ(times_["a"], 1);
  EXPECT_EQ(times_["b"], 2);
}

TEST_F(SavedRunsTest, FinishedSiblingsInsideAGraphDoNotRunAgain) {
  bool broken = true;
  StateGraph inner;
  const auto notes = inner.AddChannel("log", AppendLogChannel<std::string>());
  inner.AddNode("a", [this, notes](NodeContext& node) {
    Count(node);
    return Update(notes, "a");
  });
  inner.AddNode("b", [this, &broken, notes](NodeContext& node) -> NodeResult {
    Count(node);
    if (broken) return absl::UnavailableError("not now");
    return Update(notes, "b");
  });
  inner.AddEdge(kStart, "a");
  inner.AddEdge(kStart, "b");
  builder_.AddNode("inside", MustCompile(inner));
  builder_.AddEdge(kStart, "inside");
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(graph.Invoke(Update(), Saved()).ok());
  broken = false;
  Run(graph, Input::Continue());
  EXPECT_EQ(times_["a"], 1);
  EXPECT_EQ(times_["b"], 2);
}

TEST_F(SavedRunsTest, FailedTaskLeavesNoWritesOfItsOwn) {
  bool broken = true;
  AddEntry("a", [this](NodeContext& node) {
    Count(node);
    return Update(notes_, "a");
  });
  builder_.AddNode("b", Idle());
  builder_.AddConditionalEdges("a", [&broken](NodeContext&) -> Route {
    if (broken) return absl::UnavailableError("no route");
    return Route("b");
  });
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(graph.Invoke(Update(), Saved()).ok());
  EXPECT_THAT(graph.GetState(Thread())->values.Get(notes_), IsEmpty());
  broken = false;
  const RunResult end = Run(graph, Input::Continue());
  EXPECT_THAT(end.Get(notes_), ElementsAre("a"));
  EXPECT_EQ(times_["a"], 2) << "its router had not run";
}

TEST_F(SavedRunsTest, HandledFailureIsHandled) {
  AddEntry("a", [](NodeContext&) { return absl::DataLossError("gone"); },
           {.error_handler = ErrorHandler(
                [this](NodeContext&) { return Update(notes_, "handled"); })});
  AddEntry("b", NoteStep{notes_});
  EXPECT_THAT(Run(MustCompile(builder_), Update()).Get(notes_),
              ElementsAre("handled", "b@1"));
}

TEST_F(SavedRunsTest, NewInputDropsWhatWaited) {
  AddEntry("a", NoteStep{notes_});
  builder_.AddNode("b", NoteStep{notes_});
  builder_.AddEdge("a", "b");
  const Graph graph = MustCompile(builder_);
  EXPECT_EQ(Run(graph, Update(), {.interrupt_before = {"b"}}).end,
            RunEnd::kStopped);
  EXPECT_THAT(Run(graph, Update()).Get(notes_),
              ElementsAre("a@1", "a@4", "b@5"));
}

TEST_F(SavedRunsTest, StopsBeforeAndAfterNodesAndGoesOn) {
  AddEntry("a", NoteStep{notes_});
  builder_.AddNode("b", NoteStep{notes_});
  builder_.AddEdge("a", "b");
  const Graph graph = MustCompile(
      builder_, {.interrupt_before = {"b"}, .interrupt_after = {"b"}});
  RunResult result = Run(graph, Update());
  EXPECT_EQ(result.end, RunEnd::kStopped);
  EXPECT_THAT(result.Get(notes_), ElementsAre("a@1"));
  result = Run(graph, Input::Continue());
  EXPECT_EQ(result.end, RunEnd::kStopped);
  EXPECT_THAT(result.Get(notes_), ElementsAre("a@1", "b@2"));
  EXPECT_EQ(Run(graph, Input::Continue()).end, RunEnd::kFinished);
  EXPECT_THAT(
      std::string(
          MustCompile(builder_).Invoke(Input::Continue()).status().message()),
      HasSubstr("no input"));
  const absl::Status status =
      builder_.Compile({.interrupt_before = {"c"}}).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("'c'"));
}

TEST_F(SavedRunsTest, PastIsRunAgainAsABranch) {
  AddEntry("a", [this](NodeContext& node) {
    Count(node);
    return Update(notes_, absl::StrCat("a", times_["a"]));
  });
  builder_.AddNode("b", [this](NodeContext& node) {
    Count(node);
    return Update(notes_, absl::StrCat("b", times_["b"]));
  });
  builder_.AddEdge("a", "b");
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  const std::vector<StateSnapshot> history = *graph.GetHistory(Thread());
  const RunResult end = Run(graph, Input::Continue(), {.from = history[1].ref});
  EXPECT_THAT(end.Get(notes_), ElementsAre("a1", "b2"));
  const std::vector<StateSnapshot> longer = *graph.GetHistory(Thread());
  ASSERT_THAT(longer, SizeIs(history.size() + 2));
  EXPECT_EQ(longer[1].metadata->source, "fork");
  EXPECT_EQ(longer[1].parent, history[1].ref.id);
}

TEST_F(SavedRunsTest, RunFromACheckpointThatIsNotThereIsRefused) {
  AddEntry("a", Idle());
  CheckpointRef nowhere;
  nowhere.id.sequence = 77;
  const absl::Status status =
      MustCompile(builder_)
          .Invoke(Input::Continue(), Saved({.from = nowhere}))
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
}

TEST_F(SavedRunsTest, UpdateCountsAsARunOfItsNode) {
  AddEntry("a", NoteStep{notes_});
  builder_.AddNode("b", NoteStep{notes_});
  builder_.AddNode("c", NoteStep{notes_});
  builder_.AddEdge("a", "b");
  builder_.AddEdge("b", "c");
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_before = {"b"}});
  const absl::StatusOr<CheckpointRef> made = graph.UpdateState(
      Thread(), {.values = Update(notes_, "by hand"), .as_node = "b"});
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(graph.GetState(Thread())->metadata->source, "update");
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_),
              ElementsAre("a@1", "by hand", "c@3"));
}

TEST_F(SavedRunsTest, UpdateAsANodeBehindAJoinUsesTheJoinUp) {
  AddEntry("a", NoteStep{notes_});
  AddEntry("b", NoteStep{notes_});
  builder_.AddNode("c", NoteStep{notes_});
  builder_.AddJoin({"a", "b"}, "c");
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_before = {"c"}});
  ASSERT_TRUE(graph
                  .UpdateState(Thread(), {.values = Update(notes_, "as c"),
                                          .as_node = "c"})
                  .ok());
  EXPECT_THAT(graph.GetState(Thread())->next, IsEmpty());
}

TEST_F(SavedRunsTest, UpdatesThatCannotBeAreRefused) {
  AddEntry("a", NoteStep{notes_});
  AddEntry("b", NoteStep{notes_});
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  EXPECT_THAT(
      graph.UpdateState(Thread(), {.values = Update(notes_, "?")}).status(),
      IsError(ErrorKind::kInvalidUpdate, absl::StatusCode::kInvalidArgument,
              {"several nodes"}));
  EXPECT_THAT(graph.UpdateState(Thread(), {.as_node = "nobody"}).status(),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"'nobody'"}));
  EXPECT_EQ(graph.UpdateState(Thread(), std::vector<std::vector<StateUpdate>>())
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(graph.GetState({}).status(),
              IsError(ErrorKind::kNoCheckpointer,
                      absl::StatusCode::kFailedPrecondition, {"checkpointer"}));
}

TEST_F(SavedRunsTest, StateOfNoThreadIsEmpty) {
  AddEntry("a", Idle());
  const absl::StatusOr<StateSnapshot> state =
      MustCompile(builder_).GetState(Thread());
  ASSERT_TRUE(state.ok());
  EXPECT_THAT(state->next, IsEmpty());
  EXPECT_FALSE(state->metadata.has_value());
  EXPECT_THAT(state->ToJson(),
              HasSubstr(R"("values": {}, "next": [], "tasks": [])"));
}

TEST_F(SavedRunsTest, StateIsReadableAsText) {
  AddEntry("a", NoteStep{notes_});
  builder_.AddNode("b", NoteStep{notes_});
  builder_.AddEdge("a", "b");
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_before = {"b"}});
  const std::string text = graph.GetState(Thread())->ToJson();
  EXPECT_THAT(text,
              HasSubstr(R"({"values": {"notes": ["a@1"]}, "next": ["b"])"));
  EXPECT_THAT(text, HasSubstr(R"("name": "b", "interrupts": [])"));
  EXPECT_THAT(text, HasSubstr(R"("source": "loop", "step": 1)"));
  EXPECT_THAT(text, HasSubstr(R"("thread_id": "t")"));
}

TEST_F(SavedRunsTest, EveryDurabilityKeepsTheEnd) {
  AddEntry("a", NoteStep{notes_});
  builder_.AddNode("b", NoteStep{notes_});
  builder_.AddEdge("a", "b");
  const Graph graph = MustCompile(builder_);
  size_t checkpoints = 0;
  for (const Durability durability :
       {Durability::kSync, Durability::kAsync, Durability::kExit}) {
    Run(graph, Update(), {.durability = durability});
    checkpoints += durability == Durability::kExit ? 1 : 4;
    EXPECT_THAT(*graph.GetHistory(Thread()), SizeIs(checkpoints));
  }
  EXPECT_THAT(graph.GetState(Thread())->values.Get(notes_), SizeIs(6));
}

TEST_F(SavedRunsTest, EveryDurabilityKeepsWhatABarrierRefuses) {
  const auto one = builder_.AddChannel("one", LastValue<int>());
  AddEntry("a", [this](NodeContext&) -> NodeResult {
    Command command{.update = Update(notes_, "a")};
    command.go_to.emplace_back(Send("d", "packet"));
    return command;
  });
  for (const char* node : {"b", "c"}) {
    AddEntry(node, [one](NodeContext&) { return Update(one, 1); });
  }
  builder_.AddNode("d", Idle());
  const Graph graph = MustCompile(builder_);
  for (const Durability durability :
       {Durability::kSync, Durability::kAsync, Durability::kExit}) {
    const absl::Status status =
        graph.Invoke(Update(), Saved({.durability = durability})).status();
    EXPECT_EQ(ErrorKindOf(status), ErrorKind::kInvalidUpdate);
    EXPECT_EQ(graph.GetState(Thread())->tasks.at(0).result.ToJson(),
              R"({"notes": "a"})");
    EXPECT_EQ(graph.Invoke(Input::Continue(), Saved()).status(), status);
  }
}

TEST_F(SavedRunsTest, StoresMayAnswerLate) {
  AddEntry("a", NoteStep{notes_});
  AddEntry("b", NoteStep{notes_});
  builder_.AddNode("c", NoteStep{notes_});
  builder_.AddJoin({"a", "b"}, "c");
  const Graph graph = MustCompile(builder_);
  for (const Durability durability :
       {Durability::kSync, Durability::kAsync, Durability::kExit}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      SimExecutor executor(seed);
      MemoryCheckpointer memory;
      LateCheckpointer late(&memory, &executor);
      const absl::StatusOr<RunResult> end =
          graph.Invoke(Update(), {.executor = &executor,
                                  .thread_id = "t",
                                  .checkpointer = &late,
                                  .durability = durability});
      ASSERT_TRUE(end.ok()) << end.status();
      EXPECT_THAT(end->Get(notes_), ElementsAre("a@1", "b@1", "c@2"));
      const StateOptions state{.checkpointer = &memory, .thread_id = "t"};
      EXPECT_THAT(graph.GetState(state)->values.Get(notes_), SizeIs(3));
    }
  }
}

// Each superstep takes no time, and each answer of the store a millisecond: one
// checkpoint more is under way than the run may be ahead.
TEST_F(SavedRunsTest, AsyncRunIsNoFurtherAheadOfItsStoreThanItMay) {
  constexpr int kSteps = 100;
  AddEntry("a", NoteStep{notes_});
  builder_.AddConditionalEdges("a", [this](NodeContext& node) {
    return node.Get(notes_).size() < kSteps ? "a" : std::string(kEnd);
  });
  const Graph graph = MustCompile(builder_);
  for (const int lag : {1, 4, 1'000}) {
    SimExecutor executor(1);
    MemoryCheckpointer memory;
    LateCheckpointer late(&memory, &executor);
    const absl::Time began = executor.Now();
    const absl::StatusOr<RunResult> end =
        graph.Invoke(Update(), {.executor = &executor,
                                .thread_id = "t",
                                .checkpointer = &late,
                                .durability = Durability::kAsync,
                                .max_async_lag = lag});
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_THAT(end->Get(notes_), SizeIs(kSteps));
    const absl::Duration took = executor.Now() - began;
    EXPECT_GE(took, absl::Milliseconds(kSteps / (lag + 1))) << lag;
    EXPECT_LE(took, absl::Milliseconds(kSteps / lag + 3)) << lag;
    const StateOptions state{.checkpointer = &memory, .thread_id = "t"};
    EXPECT_THAT(graph.GetState(state)->values.Get(notes_), SizeIs(kSteps));
  }
}

TEST_F(SavedRunsTest, AsyncRunMayNotBeAheadByLessThanOneSuperstep) {
  AddEntry("a", NoteStep{notes_});
  const absl::Status refused =
      MustCompile(builder_)
          .Invoke(Update(), Saved({.max_async_lag = 0}))
          .status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("max_async_lag is 0"));
}

TEST_F(SavedRunsTest, FailureOfEachCallOfTheStoreEndsTheRun) {
  AddEntry("a", NoteStep{notes_});
  const Graph graph = MustCompile(builder_);
  for (const char* call : {"Open", "Get", "Put", "PutWrites"}) {
    FailingCheckpointer store(std::make_shared<MemoryCheckpointer>());
    store.Fail(call, absl::ResourceExhaustedError("full"));
    for (const Durability durability :
         {Durability::kSync, Durability::kAsync}) {
      EXPECT_EQ(graph
                    .Invoke(Update(), {.thread_id = "t",
                                       .checkpointer = &store,
                                       .durability = durability})
                    .status()
                    .code(),
                absl::StatusCode::kResourceExhausted)
          << call;
    }
  }
}

TEST_F(SavedRunsTest, StoreThatFailsAGraphInsideIsNoFailureOfItsNode) {
  StateGraph inner;
  inner.AddNode("a", Idle());
  inner.AddEdge(kStart, "a");
  int handled = 0;
  builder_.AddNode(
      "inside", MustCompile(inner),
      {.retry = {RetryPolicy{.initial_interval = {}}},
       .error_handler = ErrorHandler([&handled](NodeContext&) { ++handled; })});
  builder_.AddEdge(kStart, "inside");
  const Graph graph = MustCompile(builder_);
  for (const char* call : {"Get", "Put"}) {
    FailingCheckpointer store(std::make_shared<MemoryCheckpointer>());
    // After those of the outermost graph, the one inside.
    store.Fail(call, absl::UnavailableError("away"), *call == 'G' ? 1 : 2);
    const RunOptions options{.thread_id = "t", .checkpointer = &store};
    EXPECT_EQ(graph.Invoke(Update(), options).status().code(),
              absl::StatusCode::kUnavailable);
    store.Fail("", absl::OkStatus());
    EXPECT_TRUE(graph.Invoke(Input::Continue(), options).ok());
  }
  EXPECT_EQ(handled, 0);
}

TEST_F(SavedRunsTest, FailureOfTheStoreIsNotHiddenByOneOfANode) {
  AddEntry("a", NoteStep{notes_});
  AddEntry("b", [](NodeContext&) { return absl::InternalError("broken"); });
  FailingCheckpointer store(std::make_shared<MemoryCheckpointer>());
  store.Fail("PutWrites", absl::ResourceExhaustedError("full"), 1);
  EXPECT_EQ(MustCompile(builder_)
                .Invoke(Update(), {.thread_id = "t", .checkpointer = &store})
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(SavedRunsTest, InputIsTakenUpByAGraphThatIsCompiledAnew) {
  const auto checkpoints = std::make_shared<FailingCheckpointer>(
      std::make_shared<MemoryCheckpointer>());
  FailingCheckpointer store(checkpoints);
  const RunOptions options{
      .executor = &executor_, .thread_id = "t", .checkpointer = &store};
  std::vector<std::string> got;  // Nodes run one at a time.
  for (const bool first : {true, false}) {
    StateGraph builder;
    const auto name = builder.AddChannel("name", LastValue<std::string>());
    const NodeId a = builder.AddNode("a", [name, &got](NodeContext& node) {
      got.push_back("a " + node.Get(name));
    });
    const NodeId b = builder.AddNode("b", [&got](NodeContext& node) {
      got.push_back("b " + *node.Find("name")->As<std::string>());
    });
    builder.AddEdge(kStart, a);
    const Graph graph = MustCompile(builder);
    if (first) {
      // What the start writes is lost: there is only the input.
      store.Fail("PutWrites", absl::UnavailableError("away"));
      checkpoints->Fail("Put", absl::UnavailableError("away"), 1);
      EXPECT_FALSE(graph
                       .Invoke(Input::Command(
                                   {.update = Update(name, "x"),
                                    .go_to = {a, Send(b, Update(name, "y"))}}),
                               options)
                       .ok());
      store.Fail("", absl::OkStatus());
      checkpoints->Fail("", absl::OkStatus());
    } else {
      EXPECT_TRUE(graph.Invoke(Input::Continue(), options).ok());
    }
  }
  EXPECT_THAT(got, UnorderedElementsAre("a x", "b y"));
}

TEST_F(SavedRunsTest, SecondWriterEndsTheFirst) {
  AddEntry("a", [this](NodeContext&) {
    // Another host takes the thread over while this run is under way.
    store_.Open("t", [](absl::StatusOr<ThreadLease>) {});
    return Update(notes_, "a");
  });
  builder_.AddNode("b", [this](NodeContext& node) { Count(node); });
  builder_.AddEdge("a", "b");
  EXPECT_EQ(MustCompile(builder_).Invoke(Update(), Saved()).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(times_["b"], 0) << "what cannot be stored does not run";
}

TEST_F(SavedRunsTest, StoreKeepsTheIdsThatTheStreamOfMessagesShows) {
  const auto messages = builder_.AddChannel("messages", Messages());
  AddEntry("a", [messages](NodeContext&) {
    return Update(messages, Message{"assistant", "hi", ""});
  });
  bool broken = true;
  AddEntry("b", [&broken](NodeContext&) {
    return broken ? absl::UnavailableError("not now") : absl::OkStatus();
  });
  const Graph graph = MustCompile(builder_);
  std::string id;
  {
    RunStream stream = graph.Stream(Update(), Saved({.modes = kMessages}));
    while (const Event* event = stream.Next()) {
      if (const auto* chunk = event->As<MessageChunk>()) id = chunk->id;
    }
    EXPECT_FALSE(stream.status().ok());
  }
  broken = false;
  const RunResult end = Run(graph, Input::Continue());
  EXPECT_EQ((*end.Find("messages")->As<MessageList<>>())[0].id, id);
}

TEST_F(SavedRunsTest, CheckpointerNeedsAThread) {
  AddEntry("a", Idle());
  EXPECT_EQ(MustCompile(builder_)
                .Invoke(Update(), {.checkpointer = &store_})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(SavedRunsTest, GraphInsideRemembersAsItWasCompiled) {
  for (const Memory memory :
       {Memory::kOfTask, Memory::kOfThread, Memory::kNone}) {
    StateGraph inner;
    const auto turns = inner.AddChannel("turns", LastValue<int>());
    int last = 0;
    inner.AddNode("count", [turns, &last](NodeContext& node) {
      last = node.Get(turns) + 1;
      return Update(turns, last);
    });
    inner.AddEdge(kStart, "count");
    StateGraph outer;
    outer.AddNode("inside", MustCompile(inner, {.memory = memory}));
    outer.AddEdge(kStart, "inside");
    const Graph graph = MustCompile(outer);
    MemoryCheckpointer store;
    for (int turn = 0; turn < 3; ++turn) {
      ASSERT_TRUE(
          graph.Invoke(Update(), {.thread_id = "t", .checkpointer = &store})
              .ok());
    }
    EXPECT_EQ(last, memory == Memory::kOfThread ? 3 : 1);
  }
}

TEST_F(SavedRunsTest, GraphThatRemembersTakesNewInputAfterItsTaskHasFailed) {
  StateGraph inner;
  const auto total = inner.AddChannel("total", LastValue<int>());
  const auto given = inner.AddChannel("given", LastValue<int>());
  inner.AddNode("add", [total, given](NodeContext& node) {
    return Update(total, node.Get(total) + node.Get(given));
  });
  inner.AddEdge(kStart, "add");
  const Graph inside = MustCompile(inner, {.memory = Memory::kOfThread});
  int fails = 0;
  AddEntry(
      "a",
      [this, inside, total, given, &fails](NodeContext& node) -> NodeResult {
        if (--fails == 0) return absl::UnavailableError("before");
        absl::StatusOr<Values> end = node.Invoke(inside, Update(given, 1));
        if (!end.ok()) return end.status();
        if (--fails == 0) return absl::UnavailableError("after");
        return Update(notes_, absl::StrCat(end->Get(total)));
      },
      {.calls = {inside}});
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  // It has not run in this turn, and then it has.
  for (const int at : {1, 2}) {
    fails = at;
    EXPECT_FALSE(graph.Invoke(Update(), Saved()).ok());
    Run(graph, Input::Continue());
  }
  EXPECT_THAT(graph.GetState(Thread())->values.Get(notes_),
              ElementsAre("1", "2", "3"));
}

TEST_F(SavedRunsTest, GraphThatRemembersIsNotTakenForItsOutputWhenResumed) {
  StateGraph inner;
  const auto notes = inner.AddChannel(
      "notes", Reducer<Notes, std::string>([](Notes all, const auto& line) {
        all.push_back(line);
        return all;
      }));
  bool first = true;
  inner.AddNode("ask", [notes, &first](NodeContext& node) -> NodeResult {
    if (std::exchange(first, false)) return Update(notes, "once");
    absl::StatusOr<Value> answer = node.Interrupt("?");
    return answer.status();
  });
  inner.AddEdge(kStart, "ask");
  inner.SetInput({});
  const Graph inside = MustCompile(inner, {.memory = Memory::kOfThread});
  std::vector<std::string> returned;
  AddEntry("a",
           [inside, &returned](NodeContext& node) -> NodeResult {
             absl::StatusOr<Values> end = node.Invoke(inside, Update());
             if (!end.ok()) return end.status();
             returned.push_back(end->ToJson());
             return Update();
           },
           {.calls = {inside}});
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  EXPECT_EQ(Run(graph, Update()).end, RunEnd::kInterrupted);
  Run(graph, Input::Resume(Value("yes")));
  // The second time, it has written nothing.
  EXPECT_THAT(returned, ElementsAre(R"({"notes": ["once"]})", "{}"));
}

TEST_F(SavedRunsTest, EachCallOfATaskHasAMemoryOfItsOwn) {
  StateGraph inner;
  const auto turns = inner.AddChannel("turns", LastValue<int>());
  inner.AddNode("count", [turns](NodeContext& node) {
    return Update(turns, node.Get(turns) + 1);
  });
  inner.AddEdge(kStart, "count");
  const Graph inside = MustCompile(inner, {.memory = Memory::kOfThread});
  AddEntry("a",
           [this, inside, turns](NodeContext& node) -> NodeResult {
             Update update;
             for (int call = 0; call < 2; ++call) {
               absl::StatusOr<Values> end = node.Invoke(inside, Update());
               if (!end.ok()) return end.status();
               update.Set(notes_, absl::StrCat(call, ":", end->Get(turns)));
               if (call == 1) end = node.Invoke(inside, Update());
             }
             return update;
           },
           {.calls = {inside}});
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  EXPECT_THAT(Run(graph, Update()).Get(notes_),
              ElementsAre("0:1", "1:1", "0:2", "1:2"));
}

TEST_F(SavedRunsTest, DurableMemoryBelongsInsideAGraph) {
  AddEntry("a", Idle());
  EXPECT_EQ(MustCompile(builder_, {.memory = Memory::kOfThread})
                .Invoke(Update(), Saved())
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(SavedRunsTest, RuntimeKeepsItsThreads) {
  AddEntry("a", NoteStep{notes_});
  SimExecutor executor(1);
  Runtime runtime({.executor = &executor});
  ASSERT_TRUE(runtime.Register("graph", MustCompile(builder_)).ok());
  const ThreadId thread = runtime.CreateThread();
  for (int turn = 0; turn < 2; ++turn) {
    absl::StatusOr<RunStream> stream =
        runtime.Stream(thread, "graph", Update());
    ASSERT_TRUE(stream.ok());
    while (stream->Next() != nullptr) {
    }
    EXPECT_TRUE(stream->status().ok()) << stream->status();
  }
  EXPECT_THAT(runtime.GetState(thread)->values.Get(notes_),
              ElementsAre("a@1", "a@4"));
  ASSERT_TRUE(
      runtime.UpdateState(thread, {.values = Update(notes_, "by hand")}).ok());
  EXPECT_THAT(*runtime.GetHistory(thread), SizeIs(7));
  EXPECT_EQ(runtime.GetState("nobody").status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace weir
