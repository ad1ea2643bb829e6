#include <algorithm>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/late_checkpointer.h"
#include "tests/support/graph_run.h"
#include "tests/support/saved_graph.h"

#include "weir/channels/last_value.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// What a thread keeps of a run that failed or was stopped, and how the next one
// goes on from it.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RecoveryTest : public SavedGraphTest {
 protected:
  // An entry node that sleeps, and notes whether that was cut short.
  void AddSleeping(const std::string& name, absl::Duration time) {
    builder_.AddNode(name, [this, time](NodeContext& node) -> Task<NodeResult> {
      NoteRan(node);
      const absl::Status slept = co_await node.Sleep(time);
      if (!slept.ok()) co_return slept;
      co_return NodeResult(Update(notes_, std::string(node.node())));
    });
    builder_.AddEdge(kStart, name);
  }
  RunOptions Simulated(RunOptions options = {}) {
    options.executor = &sim_;
    return Saved(std::move(options));
  }
  // Checks that "fast" has finished and "slow" is to run, and runs it.
  void GoesOnWithTheSlowOne(const Graph& graph) {
    const StateSnapshot state = State(graph);
    EXPECT_THAT(state.next, ElementsAre("slow"));
    EXPECT_THAT(state.values.Get(notes_), ElementsAre("fast"));
    EXPECT_EQ(state.metadata->step, 0) << "the superstep has no checkpoint";
    TakeRan();
    const absl::StatusOr<RunResult> end =
        graph.Invoke(Input::Continue(), Simulated());
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_THAT(end->Get(notes_), ElementsAre("fast", "slow"));
    EXPECT_THAT(TakeRan(), ElementsAre("slow"));
  }

  SimExecutor sim_{1};
};

// Failures.

TEST_F(RecoveryTest, StateAtACheckpointHidesWhatFinishedAfterIt) {
  bool broken = true;
  AddPath(builder_, Node("good", NoteStep{notes_}));
  AddPath(builder_, Node("wild", [&broken](NodeContext&) -> NodeResult {
            if (broken) return absl::UnavailableError("not now");
            return NodeResult();
          }));
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(Invoke(graph, Update()).ok());
  const StateSnapshot latest = State(graph);
  EXPECT_THAT(latest.values.Get(notes_), ElementsAre("good@1"));
  EXPECT_THAT(latest.next, ElementsAre("wild"));
  const StateSnapshot at = State(graph, latest.ref);
  EXPECT_THAT(at.values.Get(notes_), IsEmpty());
  EXPECT_THAT(at.next, ElementsAre("good", "wild"));
  TakeRan();
  broken = false;
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_), ElementsAre("good@1"));
  EXPECT_THAT(TakeRan(), ElementsAre("wild"));
}

TEST_F(RecoveryTest, FailureIsNotedBesideACheckpointThatStaysAsItWas) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", [](NodeContext&) {
            return absl::UnavailableError("not now");
          }));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_before = {"b"}});
  const std::vector<CheckpointTuple> before = Stored();
  EXPECT_FALSE(Invoke(graph, Input::Continue()).ok());
  const std::vector<CheckpointTuple> after = Stored();
  ASSERT_THAT(after, SizeIs(before.size()));
  EXPECT_EQ(after[0].checkpoint.id, before[0].checkpoint.id);
  EXPECT_THAT(before[0].writes, IsEmpty());
  ASSERT_THAT(after[0].writes, SizeIs(1));
  EXPECT_EQ(after[0].writes[0].channel, "__error__");
  const StateSnapshot state = State(graph);
  ASSERT_THAT(state.tasks, SizeIs(1));
  EXPECT_EQ(after[0].writes[0].task_id, state.tasks[0].id);
  EXPECT_EQ(state.tasks[0].error, "not now");
  EXPECT_THAT(state.values.Get(notes_), ElementsAre("a@1"));
}

TEST_F(RecoveryTest, NewInputAfterAFailureGoesOnFromTheLastBarrier) {
  bool broken = true;
  AddPath(builder_, Node("a", NoteStep{notes_}),
          Node("b", [this, &broken](NodeContext& node) -> NodeResult {
            if (broken) return absl::UnavailableError("not now");
            return NoteStep{notes_}(node);
          }));
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(Invoke(graph, Update()).ok());
  TakeRan();
  broken = false;
  EXPECT_THAT(Run(graph, Update(notes_, "again")).Get(notes_),
              ElementsAre("a@1", "again", "a@4", "b@5"));
  EXPECT_THAT(TakeRan(), ElementsAre("a", "b")) << "the b that failed is gone";
}

TEST_F(RecoveryTest, HandlerThatFailedRunsAgainWithoutItsNode) {
  bool broken = true;
  AddPath(builder_, Node("sibling", NoteStep{notes_}));
  builder_.AddNode(
      "a",
      [this](NodeContext& node) {
        NoteRan(node);
        return absl::DataLossError("gone");
      },
      {.error_handler =
           ErrorHandler([this, &broken](NodeContext& node) -> NodeResult {
             ran_.push_back("handler");
             if (broken) return absl::UnavailableError("not now");
             return Update(notes_,
                           std::string(node.failure()->status.message()));
           })});
  builder_.AddEdge(kStart, "a");
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(Invoke(graph, Update()).ok());
  EXPECT_THAT(TakeRan(),
              testing::UnorderedElementsAre("a", "handler", "sibling"));
  broken = false;
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_),
              ElementsAre("gone", "sibling@1"));
  EXPECT_THAT(TakeRan(), ElementsAre("handler"));
}

TEST_F(RecoveryTest, HandledTaskIsFinishedWhereItsSiblingFailed) {
  bool broken = true;
  builder_.AddNode("a",
                   [this](NodeContext& node) {
                     NoteRan(node);
                     return absl::DataLossError("gone");
                   },
                   {.error_handler = ErrorHandler([this](NodeContext&) {
                      return Update(notes_, "handled");
                    })});
  builder_.AddEdge(kStart, "a");
  builder_.AddNode("never", NoteStep{notes_});
  builder_.AddEdge("a", "never");
  AddPath(builder_, Node("wild", [&broken](NodeContext&) -> NodeResult {
            if (broken) return absl::UnavailableError("not now");
            return NodeResult();
          }));
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(Invoke(graph, Update()).ok());
  TakeRan();
  broken = false;
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_),
              ElementsAre("handled"));
  EXPECT_THAT(TakeRan(), ElementsAre("wild"));
}

TEST_F(RecoveryTest, HandlerOfASiblingDoesNotSwallowAQuestion) {
  AddPath(builder_, Node("ask", Asks{"name?"}));
  builder_.AddNode("a",
                   [](NodeContext&) { return absl::DataLossError("gone"); });
  builder_.AddEdge(kStart, "a");
  const Graph graph = MustCompile(
      builder_, {.error_handler = ErrorHandler([this](NodeContext&) {
                   return Update(notes_, "handled");
                 })});
  const RunResult asked = Run(graph, Update());
  EXPECT_EQ(asked.end, RunEnd::kInterrupted);
  EXPECT_THAT(asked.interrupts, SizeIs(1));
  EXPECT_THAT(Run(graph, Input::Resume(Value("weir"))).Get(notes_),
              ElementsAre("handled", "name? weir"));
}

// Runs that were stopped.

TEST_F(RecoveryTest, CancelledRunEndsOnceItsSavesHaveEnded) {
  for (const Durability durability :
       {Durability::kSync, Durability::kAsync, Durability::kExit}) {
    SimExecutor sim(1);
    MemoryCheckpointer memory;
    LateCheckpointer late(&memory, &sim, absl::Hours(1));
    std::stop_source stop;
    StateGraph builder;
    const NotesChannel notes = AddNotes(builder);
    builder.AddNode("a", [notes, &stop](NodeContext&) {
      stop.request_stop();
      return Update(notes, "a");
    });
    builder.AddNode("b", [](NodeContext&) { ADD_FAILURE() << "cancelled"; });
    builder.AddEdge(kStart, "a");
    builder.AddEdge("a", "b");
    const Graph graph = MustCompile(builder);
    EXPECT_EQ(ErrorKindOf(graph
                              .Invoke(Update(), {.stop = stop.get_token(),
                                                 .executor = &sim,
                                                 .thread_id = "t",
                                                 .checkpointer = &late,
                                                 .durability = durability})
                              .status()),
              ErrorKind::kCancelled);
    EXPECT_GT(sim.Now(), absl::UnixEpoch() + absl::Hours(2));
    const absl::StatusOr<StateSnapshot> state =
        graph.GetState({.checkpointer = &memory, .thread_id = "t"});
    ASSERT_TRUE(state.ok()) << state.status();
    EXPECT_THAT(state->values.Get(notes), ElementsAre("a"));
    EXPECT_THAT(state->next, ElementsAre("b"));
  }
}

TEST_F(RecoveryTest, ReaderThatLeavesKeepsWhatHasFinished) {
  AddSleeping("fast", absl::Seconds(1));
  AddSleeping("slow", absl::Hours(1));
  const Graph graph = MustCompile(builder_);
  {
    RunStream stream = graph.Stream(Update(), Simulated({.modes = kUpdates}));
    EXPECT_NE(stream.Next(), nullptr);
  }
  EXPECT_EQ(sim_.Now(), absl::UnixEpoch() + absl::Seconds(1))
      << "the other is not waited for";
  GoesOnWithTheSlowOne(graph);
}

TEST_F(RecoveryTest, StepTimeoutKeepsWhatHasFinished) {
  AddSleeping("fast", absl::Seconds(1));
  AddSleeping("slow", absl::Hours(1));
  const Graph graph = MustCompile(builder_);
  EXPECT_EQ(
      ErrorKindOf(
          graph.Invoke(Update(), Simulated({.step_timeout = absl::Seconds(3)}))
              .status()),
      ErrorKind::kStepTimeout);
  GoesOnWithTheSlowOne(graph);
}

TEST_F(RecoveryTest, StepTimeoutCountsTheTimeOfTheReader) {
  AddSleeping("fast", absl::Seconds(1));
  AddSleeping("slow", absl::Seconds(5));
  const Graph graph = MustCompile(builder_);
  RunStream stream = graph.Stream(
      Update(),
      Simulated({.modes = kUpdates, .step_timeout = absl::Seconds(3)}));
  EXPECT_NE(stream.Next(), nullptr);
  // The reader is busy with the first event.
  absl::Notification done;
  sim_.PostAfter(absl::Seconds(9), [&done] { done.Notify(); });
  EXPECT_TRUE(sim_.RunUntil(done));
  EXPECT_EQ(stream.Next(), nullptr);
  EXPECT_EQ(ErrorKindOf(stream.status()), ErrorKind::kStepTimeout);
  GoesOnWithTheSlowOne(graph);
}

TEST_F(RecoveryTest, DrainedRunIsSavedAndGoesOn) {
  RunControl* control = nullptr;
  StateGraph inner;
  inner.AddChannel("notes", LastValue<std::string>());
  AddPath(inner,
          Node("x",
               [&control](NodeContext&) {
                 if (control != nullptr) control->RequestDrain("closing time");
               }),
          Node("y"));
  const Graph inside = MustCompile(inner);
  StateGraph outer;
  outer.AddNode("inside", inside);
  outer.AddEdge(kStart, "inside");
  const Graph around = MustCompile(outer);
  for (const Graph& graph : {inside, around}) {
    for (const Durability durability :
         {Durability::kSync, Durability::kAsync, Durability::kExit}) {
      store_.DeleteThread("t", [](absl::Status) {});
      RunControl draining;
      control = &draining;
      EXPECT_EQ(
          ErrorKindOf(Invoke(graph, Update(),
                             {.control = &draining, .durability = durability})
                          .status()),
          ErrorKind::kGraphDrained);
      EXPECT_THAT(TakeRan(), ElementsAre("x"));
      control = nullptr;
      EXPECT_EQ(Run(graph, Input::Continue()).end, RunEnd::kFinished);
      EXPECT_THAT(TakeRan(), ElementsAre("y"));
    }
  }
}

TEST_F(RecoveryTest, BoundOnTasksHoldsForARunThatGoesOn) {
  int running = 0;
  int most = 0;
  AddPath(builder_, Node("fan", [](NodeContext&) {
            Command command;
            for (int i = 0; i < 10; ++i) command.go_to.push_back(Send("w", i));
            return command;
          }));
  builder_.AddNode("w", [&](NodeContext& node) -> Task<NodeResult> {
    most = std::max(most, ++running);
    const int index = *node.Input<int>();
    (void)co_await node.Sleep(absl::Seconds(10 - index));
    --running;
    co_return NodeResult(Update(notes_, absl::StrCat(index)));
  });
  const Graph graph = MustCompile(builder_, {.interrupt_before = {"w"}});
  ASSERT_TRUE(graph.Invoke(Update(), Simulated()).ok());
  EXPECT_EQ(most, 0);
  const absl::StatusOr<RunResult> end =
      graph.Invoke(Input::Continue(), Simulated({.max_concurrency = 3}));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(most, 3);
  EXPECT_THAT(end->Get(notes_),
              ElementsAre("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"));
}

}  // namespace
}  // namespace weir
