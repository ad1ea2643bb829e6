#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/late_checkpointer.h"
#include "tests/support/graph_run.h"
#include "tests/support/served_graph.h"

#include "weir/channels/last_value.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"
#include "weir/runtime/thread_stream.h"

// The lives of runs and of their threads, and runs that compete for a thread.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class RunsTest : public ServedGraphTest {
 protected:
  Lines RunsOn(const ThreadId& thread) {
    absl::StatusOr<std::vector<RunInfo>> runs = runtime_->ListRuns(thread);
    EXPECT_TRUE(runs.ok()) << runs.status();
    Lines ids;
    for (const RunInfo& run : *runs) ids.push_back(run.id);
    return ids;
  }
  absl::Status Cancel(const RunInfo& run, CancelOptions options = {}) {
    return runtime_->Cancel(run.thread_id, run.id, options);
  }

  // What other graphs than "work" write.
  using Said = Channel<std::string>;
  static Said AddSaid(StateGraph& builder) {
    return builder.AddChannel("said", LastValue<std::string>());
  }
  // As JSON text; "" for nothing.
  std::string SaidOn(const ThreadId& thread) {
    const Values values = runtime_->GetState(thread)->values;
    EXPECT_EQ(runtime_->GetThread(thread)->values, values);
    const Value* const said = values.Find("said");
    std::string json;
    if (said != nullptr) said->AppendJson(&json);
    return json;
  }
};

// Life cycles.

TEST_F(RunsTest, RunIsPendingAndItsThreadBusyFromTheStart) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run = Start(thread, "emit", {.after = absl::Hours(1)});
  EXPECT_EQ(run.status, RunStatus::kPending);
  EXPECT_EQ(StatusOf(run), "pending");
  EXPECT_EQ(StatusOf(thread), "busy");
}

TEST_F(RunsTest, RunIsRunningFromItsMetadataOn) {
  const ThreadId thread = runtime_->CreateThread();
  RunStream stream = Stream(thread, "wait", {.after = absl::Hours(1)});
  RunFor(absl::Minutes(59));
  EXPECT_EQ(stream.TryNext(), nullptr);
  EXPECT_EQ(StatusOf(thread, stream.run_id()), "pending");
  const Event* const event = stream.Next();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->ToJson(), absl::StrCat(R"({"run_id": ")", stream.run_id(),
                                          R"(", "attempt": 1})"));
  EXPECT_EQ(StatusOf(thread, stream.run_id()), "running");
  EXPECT_EQ(runtime_->GetRun(thread, stream.run_id())->attempt, 1);
}

struct EndRow {
  const char* name;
  const char* job;
  StartOptions options;
  const char* run;
  const char* thread;
  std::vector<std::string> next;
  const char* error;  // In the last event, if that is an error.
};
const EndRow kEndRows[] = {
    {"finishes", "emit", {}, "success", "idle", {}, ""},
    {"asks", "ask", {}, "success", "interrupted", {"b"}, ""},
    {"stops before a node",
     "emit",
     {.interrupt_before = {"b"}},
     "success",
     "interrupted",
     {"b"},
     ""},
    {"stops after any node",
     "emit",
     {.interrupt_after = {"*"}},
     "success",
     "interrupted",
     {"b"},
     ""},
    {"fails", "fail", {}, "error", "error", {"b"}, "NodeError"},
    {"takes too many supersteps",
     "emit",
     {.recursion_limit = 2},
     "error",
     "error",
     {"c"},
     "GraphRecursionError"},
    {"takes too long",
     "sleep",
     {.timeout = absl::Seconds(9)},
     "timeout",
     "error",
     {"b"},
     "RunTimeoutError"},
};

TEST_F(RunsTest, EndOfARunSaysWhatItsThreadIs) {
  for (const EndRow& row : kEndRows) {
    SCOPED_TRACE(row.name);
    const ThreadId thread = runtime_->CreateThread();
    RunStream stream = Stream(thread, row.job, row.options);
    const Streamed events = ReadAll(stream);
    EXPECT_EQ(StatusOf(thread, stream.run_id()), row.run);
    EXPECT_EQ(StatusOf(thread), row.thread);
    EXPECT_EQ(NextOf(thread), row.next);
    EXPECT_EQ(absl::StartsWith(events.events.back(), "error"),
              *row.error != '\0');
    EXPECT_THAT(events.events.back(), HasSubstr(row.error));
    const RunOutcome left =
        Outcome({.id = stream.run_id(), .thread_id = thread});
    EXPECT_EQ(RunStatusName(left.status), row.run);
    EXPECT_EQ(left.error, events.status);
    EXPECT_EQ(left.interrupts, runtime_->GetThread(thread)->interrupts);
    EXPECT_EQ(left.interrupts.empty(), std::string(row.job) != "ask");
  }
}

TEST_F(RunsTest, CancelledRunIsInterruptedAndItsThreadIdle) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run = Start(thread, "wait");
  RunAll();
  EXPECT_TRUE(Cancel(run, {.wait = true}).ok());
  EXPECT_EQ(StatusOf(run), "interrupted");
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_EQ(NotesOn(thread), "a wait") << "the last state is kept";
  EXPECT_EQ(StoredNotesOn(thread), "a wait");
  EXPECT_THAT(NextOf(thread), ElementsAre("b"));
  // It goes on at the node that was cut.
  const RunInfo next = Start(thread, Input::Continue());
  RunAll();
  gate_.Open();
  EXPECT_EQ(Outcome(next).status, RunStatus::kSuccess);
  EXPECT_EQ(NotesOn(thread), "a wait, b wait");
}

TEST_F(RunsTest, RolledBackRunIsGoneAndItsThreadAsBefore) {
  for (const char* const first : {"", "emit", "ask", "fail"}) {
    SCOPED_TRACE(first);
    const ThreadId thread = runtime_->CreateThread();
    if (*first != '\0') (void)Outcome(Start(thread, first));
    const ThreadInfo before = *runtime_->GetThread(thread);
    const StateSnapshot state = *runtime_->GetState(thread);
    const RunInfo run = Start(thread, "wait");
    RunAll();
    EXPECT_TRUE(Cancel(run, {CancelAction::kRollback, true}).ok());
    EXPECT_EQ(StatusOf(run), "gone");
    const ThreadInfo after = *runtime_->GetThread(thread);
    EXPECT_EQ(after.status, before.status);
    EXPECT_EQ(after.values, before.values);
    EXPECT_EQ(after.interrupts, before.interrupts);
    EXPECT_EQ(after.graph, before.graph);
    EXPECT_EQ(runtime_->GetState(thread)->ref.id, state.ref.id);
    EXPECT_EQ(runtime_->GetState(thread)->next, state.next);
  }
}

TEST_F(RunsTest, RollbackOfAnAnswerLeavesTheQuestionOpen) {
  const ThreadId thread = runtime_->CreateThread();
  (void)Outcome(Start(thread, "ask"));
  const ThreadInfo before = *runtime_->GetThread(thread);
  const StateSnapshot state = *runtime_->GetState(thread);
  hold_after_ = 0;
  const RunInfo answers = Start(thread, Input::Resume(Value("yes")));
  RunAll();
  ASSERT_EQ(gate_.waiting(), 1u);
  EXPECT_THAT(runtime_->GetState(thread)->interrupts, IsEmpty());
  EXPECT_TRUE(Cancel(answers, {CancelAction::kRollback, true}).ok());
  EXPECT_EQ(StatusOf(answers), "gone");
  EXPECT_EQ(StatusOf(thread), "interrupted");
  EXPECT_EQ(runtime_->GetThread(thread)->interrupts, before.interrupts);
  EXPECT_THAT(runtime_->GetState(thread)->interrupts, SizeIs(1));
  EXPECT_THAT(NextOf(thread), ElementsAre("b"));
  EXPECT_EQ(runtime_->GetState(thread)->ToJson(), state.ToJson());
  hold_after_ = -1;
  (void)Outcome(Start(thread, Input::Resume(Value("no"))));
  EXPECT_EQ(NotesOn(thread), "a ask, no");
  EXPECT_EQ(StoredNotesOn(thread), "a ask, no");
}

// A node that asks twice, and then waits at the gate if it is held. With
// `true`, in a graph inside.
class UndoneAnswersTest : public RunsTest,
                          public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    StateGraph builder;
    const Said said = AddSaid(builder);
    builder.AddNode(
        "asker", [this, said](NodeContext& node) { return Ask(node, said); });
    builder.AddEdge(kStart, "asker");
    StateGraph outer;
    (void)AddSaid(outer);
    outer.AddNode("sub", MustCompile(builder));
    outer.AddEdge(kStart, "sub");
    const Graph graph = MustCompile(GetParam() ? outer : builder);
    EXPECT_TRUE(runtime_->Register("asker", graph).ok());
  }
  RunInfo Run(Input input) {
    absl::StatusOr<RunInfo> run =
        runtime_->StartRun(thread_, "asker", std::move(input));
    EXPECT_TRUE(run.ok()) << run.status();
    RunAll();
    return run.ok() ? *std::move(run) : RunInfo();
  }
  std::string State() {
    return runtime_->GetState(thread_, {.subgraphs = true})->ToJson();
  }
  Task<NodeResult> Ask(NodeContext& node, Said said) {
    std::string all;
    for (const char* const question : {"milk?", "sugar?"}) {
      absl::StatusOr<std::string> answer =
          co_await node.Interrupt<std::string>(question);
      if (!answer.ok()) co_return answer.status();
      absl::StrAppend(&all, *answer);
    }
    if (held_ && !co_await gate_.Wait(node)) {
      co_return absl::CancelledError("as asked");
    }
    co_return Update(said, all);
  }

  ThreadId thread_ = runtime_->CreateThread();
  bool held_ = false;
};

TEST_P(UndoneAnswersTest, ThreadIsAsIfTheyHadNotBeenGiven) {
  const RunInfo zero = Run(Update());
  const std::string first = State();
  const RunInfo one = Run(Input::Resume(Value("1")));
  const std::string second = State();
  EXPECT_NE(first, second);
  // What it has asked is answered since, so it stays.
  EXPECT_TRUE(runtime_->DeleteRun(thread_, zero.id).ok());
  EXPECT_EQ(State(), second);
  held_ = true;
  for (const char* const undone : {"2", "3"}) {
    const RunInfo two = Run(Input::Resume(Value(undone)));
    ASSERT_EQ(gate_.waiting(), 1u);
    EXPECT_NE(State(), second);
    EXPECT_TRUE(Cancel(two, {CancelAction::kRollback, true}).ok());
    EXPECT_EQ(State(), second);
  }
  held_ = false;
  const RunInfo last = Run(Input::Resume(Value("4")));
  EXPECT_EQ(SaidOn(thread_), R"("14")");
  // The same once they have ended.
  EXPECT_TRUE(runtime_->DeleteRun(thread_, last.id).ok());
  EXPECT_EQ(State(), second);
  EXPECT_EQ(StatusOf(thread_), "interrupted");
  EXPECT_TRUE(runtime_->DeleteRun(thread_, one.id).ok());
  EXPECT_EQ(State(), first);
  EXPECT_EQ(StatusOf(thread_), "interrupted");
  Run(Input::Resume(Value("5")));
  Run(Input::Resume(Value("6")));
  EXPECT_EQ(SaidOn(thread_), R"("56")");
}

INSTANTIATE_TEST_SUITE_P(InAGraphInside, UndoneAnswersTest, testing::Bool());

TEST_F(RunsTest, RunCancelledBeforeItBeganHasAnEmptyStream) {
  const ThreadId thread = runtime_->CreateThread();
  RunStream stream = Stream(thread, "emit", {.after = absl::Hours(1)});
  const RunInfo run{.id = stream.run_id(), .thread_id = thread};
  EXPECT_TRUE(Cancel(run).ok());
  EXPECT_EQ(Read(stream), "end CANCELLED");
  EXPECT_EQ(StatusOf(run), "interrupted");
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_EQ(runtime_->GetRun(thread, run.id)->started_at, std::nullopt);
  RunFor(absl::Hours(2));
  EXPECT_EQ(tries_, 0);
}

TEST_F(RunsTest, RunRolledBackBeforeItBeganIsGone) {
  const ThreadId thread = runtime_->CreateThread();
  RunStream stream = Stream(thread, "emit", {.after = absl::Hours(1)});
  EXPECT_TRUE(
      runtime_
          ->Cancel(thread, stream.run_id(), {.action = CancelAction::kRollback})
          .ok());
  EXPECT_EQ(StatusOf(thread, stream.run_id()), "gone");
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_EQ(Read(stream), "0 end ABORTED") << "with the error event";
}

TEST_F(RunsTest, TerminalStatusStays) {
  for (const EndRow& row : kEndRows) {
    SCOPED_TRACE(row.name);
    const ThreadId thread = runtime_->CreateThread();
    const RunInfo run = Start(thread, row.job, row.options);
    const RunOutcome left = Outcome(run);
    for (const CancelAction action :
         {CancelAction::kInterrupt, CancelAction::kRollback}) {
      EXPECT_TRUE(Cancel(run, {action, true}).ok());
      EXPECT_EQ(StatusOf(run), row.run);
      EXPECT_EQ(StatusOf(thread), row.thread);
    }
  }
}

TEST_F(RunsTest, FailedRunIsNotTriedAgain) {
  const RunInfo run = Start(runtime_->CreateThread(), "fail");
  EXPECT_EQ(Outcome(run).status, RunStatus::kError);
  RunFor(absl::Hours(1));
  EXPECT_EQ(tries_, 1);
}

TEST_F(RunsTest, ThreadStaysBusyWhileAnotherRunWaits) {
  for (const char* const job : {"emit", "ask", "fail"}) {
    SCOPED_TRACE(job);
    const ThreadId thread = runtime_->CreateThread();
    const RunInfo first = Start(thread, job);
    const RunInfo second = Start(thread, "emit", {.after = absl::Hours(1)});
    (void)Outcome(first);
    EXPECT_EQ(StatusOf(thread), "busy");
    (void)Outcome(second);
    EXPECT_EQ(StatusOf(thread), "idle");
  }
}

TEST_F(RunsTest, CancelOfAWaitingRunLeavesTheVerdictOfTheLast) {
  const ThreadId thread = runtime_->CreateThread();
  (void)Outcome(Start(thread, "fail"));
  const RunInfo waits = Start(thread, "emit", {.after = absl::Hours(1)});
  EXPECT_EQ(StatusOf(thread), "busy");
  EXPECT_TRUE(Cancel(waits).ok());
  EXPECT_EQ(StatusOf(thread), "error");
}

TEST_F(RunsTest, FailedThreadIsTriedAgainWithoutInputAndStartsOverWithSome) {
  const ThreadId thread = runtime_->CreateThread();
  (void)Outcome(Start(thread, "fail"));
  EXPECT_EQ(Outcome(Start(thread, Input::Continue())).status,
            RunStatus::kError);
  EXPECT_EQ(tries_, 2);
  EXPECT_EQ(NotesOn(thread), "a fail") << "the node alone ran again";
  (void)Outcome(Start(thread, "emit"));
  EXPECT_EQ(NotesOn(thread), "a fail, a emit, b emit");
  EXPECT_EQ(StatusOf(thread), "idle");
}

TEST_F(RunsTest, InterruptedThreadIsAnswered) {
  const ThreadId thread = runtime_->CreateThread();
  const RunOutcome asked = Outcome(Start(thread, "ask"));
  ASSERT_THAT(asked.interrupts, SizeIs(1));
  EXPECT_THAT(asked.ToJson(), HasSubstr(R"("__interrupt__": [{)"));
  EXPECT_THAT(asked.ToJson(), HasSubstr("milk?"));
  (void)Outcome(Start(thread, Input::Resume(Value("yes"))));
  EXPECT_EQ(NotesOn(thread), "a ask, yes");
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_THAT(runtime_->GetThread(thread)->interrupts, IsEmpty());
}

// What is seen when.

TEST_F(RunsTest, WhoeverIsToldOfTheEndFindsEverythingFinal) {
  InEachOrder(50, [this] {
    const ThreadId thread = runtime_->CreateThread();
    Lines told;
    RunInfo run;
    const auto tell = [&](const std::string& who) {
      told.push_back(who);
      EXPECT_EQ(StatusOf(run), "success") << who;
      EXPECT_THAT(NotesOn(thread), StartsWith("a emit, b emit")) << who;
      EXPECT_THAT(StoredNotesOn(thread), StartsWith("a emit, b emit")) << who;
    };
    absl::StatusOr<ThreadStream> life =
        runtime_->JoinThreadStream(thread, {.modes = kLifecycle});
    ASSERT_TRUE(life.ok());
    life->Listen(
        [&](const ThreadEvent& event) {
          if (event.run_id == run.id && event.As<RunDone>()) tell("thread");
        },
        [](const absl::Status&) {});
    run = Start(thread, "emit",
                {.on_end = [&](const RunInfo& info, const RunOutcome& left) {
                  EXPECT_EQ(info.status, RunStatus::kSuccess);
                  EXPECT_EQ(left.status, RunStatus::kSuccess);
                  tell("callback");
                }});
    RunStream stream = Join(run);
    stream.Listen([](const Event&) {},
                  [&](const absl::Status&) { tell("reader"); });
    runtime_->Join(thread, run.id, {},
                   [&](absl::StatusOr<RunOutcome>) { tell("join"); });
    (void)Start(thread, "emit");
    RunAll();
    EXPECT_THAT(told, testing::UnorderedElementsAre("thread", "callback",
                                                    "reader", "join"));
  });
}

TEST_F(RunsTest, NextRunBeginsOnceTheEndOfTheLastWasTold) {
  InEachOrder(20, [this] {
    const ThreadId thread = runtime_->CreateThread();
    absl::StatusOr<ThreadStream> all =
        runtime_->JoinThreadStream(thread, {.modes = kRunModes});
    ASSERT_TRUE(all.ok());
    const RunInfo first = Start(thread, "emit");
    const RunInfo second = Start(thread, "emit");
    RunAll();
    bool first_is_done = false;
    while (const ThreadEvent* event = all->TryNext()) {
      EXPECT_EQ(first_is_done, event->run_id == second.id);
      first_is_done |= event->As<RunDone>() != nullptr;
    }
    EXPECT_LE(*runtime_->GetRun(thread, first.id)->ended_at,
              *runtime_->GetRun(thread, second.id)->started_at);
  });
}

TEST_F(RunsTest, WhoSeesTheEndMayChangeTheThreadAtOnce) {
  InEachOrder(20, [this] {
    const ThreadId thread = runtime_->CreateThread();
    RunStream stream = Stream(thread, "emit");
    while (stream.Next() != nullptr) {
    }
    EXPECT_TRUE(runtime_
                    ->UpdateState(thread, {.values = Update(notes_, "by hand"),
                                           .as_node = "c"})
                    .ok());
    EXPECT_EQ(NotesOn(thread), "a emit, b emit, by hand");
  });
}

TEST_F(RunsTest, RunBeginsAsSoonAsItIsDue) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo first = Start(thread, "sleep");
  const RunInfo second = Start(thread, "emit");
  (void)Outcome(second);
  EXPECT_EQ(runtime_->GetRun(thread, first.id)->started_at, absl::UnixEpoch());
  EXPECT_EQ(runtime_->GetRun(thread, second.id)->started_at,
            absl::UnixEpoch() + absl::Minutes(1));
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch() + absl::Minutes(1));
}

// Runs that compete.

struct RaceRow {
  MultitaskStrategy strategy;
  bool pending;  // Is the first run, else it is running.
  const char* first;
  const char* second;
  const char* notes;
};
constexpr RaceRow kRaceRows[] = {
    {MultitaskStrategy::kReject, false, "success", "FAILED_PRECONDITION",
     "a wait, b wait"},
    {MultitaskStrategy::kReject, true, "success", "FAILED_PRECONDITION",
     "a wait, b wait"},
    {MultitaskStrategy::kEnqueue, false, "success", "success",
     "a wait, b wait, a emit, b emit"},
    {MultitaskStrategy::kEnqueue, true, "success", "success",
     "a wait, b wait, a emit, b emit"},
    {MultitaskStrategy::kInterrupt, false, "interrupted", "success",
     "a wait, a emit, b emit"},
    {MultitaskStrategy::kInterrupt, true, "interrupted", "success",
     "a emit, b emit"},
    {MultitaskStrategy::kRollback, false, "gone", "success", "a emit, b emit"},
    {MultitaskStrategy::kRollback, true, "gone", "success", "a emit, b emit"},
};

TEST_F(RunsTest, StrategyOfTheNewRunDecidesAboutTheOthers) {
  for (const RaceRow& row : kRaceRows) {
    SCOPED_TRACE(absl::StrCat(std::string(MultitaskStrategyName(row.strategy)),
                              row.pending ? ", pending" : ", running"));
    const ThreadId thread = runtime_->CreateThread();
    const absl::Duration after =
        row.pending ? absl::Minutes(1) : absl::ZeroDuration();
    const RunInfo first = Start(thread, "wait", {.after = after});
    RunAll();
    EXPECT_EQ(StatusOf(first), row.pending ? "pending" : "running");
    const absl::StatusOr<RunInfo> second =
        runtime_->StartRun(thread, "work", Job("emit"),
                           {.multitask = row.strategy, .after = after});
    RunFor(absl::Minutes(2));
    gate_.Open();
    RunAll();
    EXPECT_EQ(StatusOf(first), row.first);
    EXPECT_EQ(second.ok() ? StatusOf(*second) : CodeOf(second.status()),
              row.second);
    EXPECT_EQ(NotesOn(thread), row.notes);
    EXPECT_EQ(StatusOf(thread), "idle");
  }
}

TEST_F(RunsTest, StrategyIsEnqueueUnlessToldOtherwise) {
  EXPECT_EQ(Start(runtime_->CreateThread(), "emit").multitask,
            MultitaskStrategy::kEnqueue);
}

TEST_F(RunsTest, RefusedRunLeavesNothing) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo first = Start(thread, "wait");
  RunAll();
  const absl::Time updated = runtime_->GetThread(thread)->updated_at;
  RunFor(absl::Seconds(1));
  EXPECT_THAT(runtime_
                  ->StartRun(thread, "work", Job("emit"),
                             {.multitask = MultitaskStrategy::kReject})
                  .status(),
              Refused(absl::StatusCode::kFailedPrecondition,
                      {thread, first.id, "busy"}));
  EXPECT_THAT(
      runtime_->StartRun(thread, "work", Job("emit"), {.max_async_lag = 0})
          .status(),
      Refused(absl::StatusCode::kInvalidArgument, {"max_async_lag"}));
  EXPECT_THAT(RunsOn(thread), ElementsAre(first.id));
  EXPECT_EQ(runtime_->GetThread(thread)->updated_at, updated);
  gate_.Open();
  (void)Outcome(first);
  EXPECT_TRUE(runtime_
                  ->StartRun(thread, "work", Job("emit"),
                             {.multitask = MultitaskStrategy::kReject})
                  .ok());
}

TEST_F(RunsTest, NewRunWaitsUntilTheOldOneHasReallyStopped) {
  for (const MultitaskStrategy strategy :
       {MultitaskStrategy::kInterrupt, MultitaskStrategy::kRollback}) {
    const ThreadId thread = runtime_->CreateThread();
    const RunInfo old = Start(thread, "deaf");
    RunAll();
    const RunInfo fresh = Start(thread, "emit", {.multitask = strategy});
    RunFor(absl::Hours(1));
    EXPECT_EQ(StatusOf(old), "running");
    EXPECT_EQ(StatusOf(fresh), "pending");
    EXPECT_EQ(StatusOf(thread), "busy");
    gate_.Open();
    EXPECT_EQ(Outcome(fresh).status, RunStatus::kSuccess);
    const bool undone = strategy == MultitaskStrategy::kRollback;
    EXPECT_EQ(StatusOf(old), undone ? "gone" : "interrupted");
    EXPECT_EQ(NotesOn(thread),
              undone ? "a emit, b emit" : "a deaf, b deaf, a emit, b emit");
  }
}

TEST_F(RunsTest, NewRunEndsAllThatAreUnfinished) {
  for (const MultitaskStrategy strategy :
       {MultitaskStrategy::kInterrupt, MultitaskStrategy::kRollback}) {
    const ThreadId thread = runtime_->CreateThread();
    std::vector<RunInfo> old = {
        Start(thread, "wait"), Start(thread, "emit"),
        Start(thread, "emit", {.after = absl::Hours(1)})};
    RunAll();
    const RunInfo fresh = Start(thread, "emit", {.multitask = strategy});
    EXPECT_EQ(Outcome(fresh).status, RunStatus::kSuccess);
    for (const RunInfo& run : old) {
      EXPECT_EQ(StatusOf(run), strategy == MultitaskStrategy::kRollback
                                   ? "gone"
                                   : "interrupted");
    }
    EXPECT_EQ(executor_.Now(), absl::UnixEpoch());
  }
}

TEST_F(RunsTest, RunsOfAThreadGoOneAfterAnother) {
  InEachOrder(20, [this] {
    const ThreadId thread = runtime_->CreateThread();
    std::vector<RunInfo> runs;
    std::string all;
    for (int i = 0; i < 5; ++i) {
      runs.push_back(Start(thread, absl::StrCat(i)));
      absl::StrAppend(&all, i == 0 ? "" : ", ", "a ", i, ", b ", i);
    }
    (void)Outcome(runs.back());
    EXPECT_EQ(NotesOn(thread), all);
  });
}

TEST_F(RunsTest, LaterRunDoesNotHoldUpOneThatIsDue) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo later = Start(thread, "later", {.after = absl::Minutes(5)});
  const RunInfo soon = Start(thread, "soon", {.after = absl::Minutes(1)});
  const RunInfo now = Start(thread, "now");
  (void)Outcome(later);
  EXPECT_EQ(NotesOn(thread), "a now, b now, a soon, b soon, a later, b later");
  EXPECT_EQ(runtime_->GetRun(thread, soon.id)->started_at,
            absl::UnixEpoch() + absl::Minutes(1));
  EXPECT_EQ(*runtime_->GetRun(thread, later.id)->started_at,
            later.created_at + absl::Minutes(5));
  EXPECT_EQ(later.start_after, later.created_at + absl::Minutes(5));
}

TEST_F(RunsTest, RunBeginsAfterAnyFractionOfTime) {
  const absl::Duration third = absl::Seconds(1) / 3;
  RunStream stream = Stream(runtime_->CreateThread(), "emit", {.after = third});
  EXPECT_THAT(ReadAll(stream).events, SizeIs(testing::Ge(2)));
  EXPECT_TRUE(stream.ended());
}

TEST_F(RunsTest, ThreadsDoNotWaitForOneAnother) {
  const RunInfo waits = Start(runtime_->CreateThread(), "wait");
  const RunInfo other = Start(runtime_->CreateThread(), "emit");
  EXPECT_EQ(Outcome(other).status, RunStatus::kSuccess);
  EXPECT_EQ(StatusOf(waits), "running");
}

// Time limits.

TEST_F(RunsTest, TimeLimitCountsFromTheBeginningOfTheRun) {
  const ThreadId thread = runtime_->CreateThread();
  (void)Start(thread, "sleep");
  const RunInfo run = Start(thread, "wait", {.timeout = absl::Seconds(30)});
  EXPECT_EQ(Outcome(run).status, RunStatus::kTimeout);
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch() + absl::Seconds(90));
}

TEST_F(RunsTest, RunThatIsLateEndsWhenItsNodeHasReturned) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run = Start(thread, "deaf", {.timeout = absl::Seconds(9)});
  RunFor(absl::Hours(1));
  EXPECT_EQ(StatusOf(run), "running");
  gate_.Open();
  const RunOutcome left = Outcome(run);
  EXPECT_EQ(left.status, RunStatus::kTimeout);
  EXPECT_THAT(left.error,
              IsError(ErrorKind::kRunTimeout,
                      absl::StatusCode::kDeadlineExceeded, {run.id}));
  EXPECT_THAT(left.ToJson(),
              StartsWith(R"({"__error__": {"error": "RunTimeoutError", )"));
  EXPECT_EQ(NotesOn(thread), "a deaf, b deaf") << "what was finished stays";
}

TEST_F(RunsTest, RunThatWasCancelledFirstDoesNotTimeOut) {
  const RunInfo run =
      Start(runtime_->CreateThread(), "deaf", {.timeout = absl::Seconds(9)});
  RunAll();
  EXPECT_TRUE(Cancel(run).ok());
  RunFor(absl::Minutes(1));
  gate_.Open();
  EXPECT_EQ(Outcome(run).status, RunStatus::kInterrupted);
}

// Runs that are stopped in their last superstep: of the graph "last", whose one
// node waits at the gate, deaf, and then asks or is done.
class LastSuperstepTest : public RunsTest {
 protected:
  void SetUp() override { Register(); }

  void Register() {
    StateGraph builder;
    const Said said = AddSaid(builder);
    builder.AddNode(
        "last", [this, said](NodeContext& node) { return End(node, said); });
    builder.AddEdge(kStart, "last");
    EXPECT_TRUE(runtime_->Register("last", MustCompile(builder)).ok());
  }
  RunInfo StartLast(StartOptions options = {}) {
    absl::StatusOr<RunInfo> run = runtime_->StartRun(
        runtime_->CreateThread(), "last", Update(), std::move(options));
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *std::move(run) : RunInfo();
  }
  Task<NodeResult> End(NodeContext& node, Said said) {
    co_await gate_.WaitDeaf();
    if (asks_) {
      absl::StatusOr<std::string> answer =
          co_await node.Interrupt<std::string>("milk?");
      if (!answer.ok()) co_return answer.status();
    }
    co_return Update(said, "done");
  }

  bool asks_ = false;
};

TEST_F(LastSuperstepTest, WhatStopsTheRunBeforeItsEndSaysHowItEnds) {
  for (const bool asks : {false, true}) {
    for (const bool late : {false, true}) {
      SCOPED_TRACE(absl::StrCat(asks ? "asks" : "is done",
                                late ? ", late" : ", cancelled"));
      asks_ = asks;
      const RunInfo run = StartLast({.timeout = absl::Seconds(9)});
      RunFor(late ? absl::Seconds(10) : absl::Seconds(1));
      if (!late) {
        EXPECT_TRUE(Cancel(run).ok());
      }
      gate_.Open();
      const RunOutcome left = Outcome(run);
      EXPECT_EQ(left.status,
                late ? RunStatus::kTimeout : RunStatus::kInterrupted);
      EXPECT_EQ(CodeOf(left.error), late ? "DEADLINE_EXCEEDED" : "CANCELLED");
      EXPECT_THAT(left.interrupts, IsEmpty());
      EXPECT_EQ(StatusOf(run.thread_id), late ? "error" : "idle");
      // What has ended well stays.
      EXPECT_EQ(SaidOn(run.thread_id), asks ? "" : R"("done")");
      EXPECT_EQ(NextOf(run.thread_id), asks ? Lines{"last"} : Lines());
    }
  }
}

TEST_F(LastSuperstepTest, OnlyDeletingTheLastRunChangesTheVerdict) {
  asks_ = true;
  const RunInfo last = StartLast();
  const RunInfo never =
      Start(last.thread_id, "emit", {.after = absl::Hours(1)});
  RunFor(absl::Seconds(1));
  EXPECT_TRUE(Cancel(never).ok());
  EXPECT_TRUE(Cancel(last).ok());
  gate_.Open();
  EXPECT_EQ(Outcome(last).status, RunStatus::kInterrupted);
  EXPECT_EQ(StatusOf(last.thread_id), "idle");
  EXPECT_TRUE(runtime_->DeleteRun(never.thread_id, never.id).ok());
  EXPECT_EQ(StatusOf(last.thread_id), "idle");
}

TEST_F(LastSuperstepTest, StopBeforeTheEndComesBeforeAStopAfterTheNode) {
  const RunInfo run = StartLast({.interrupt_after = {"last"}});
  RunAll();
  EXPECT_TRUE(Cancel(run).ok());
  gate_.Open();
  EXPECT_EQ(Outcome(run).status, RunStatus::kInterrupted);
  EXPECT_EQ(StatusOf(run.thread_id), "idle");
}

TEST_F(LastSuperstepTest, RunIsASuccessThatIsStoppedOnceItHasEnded) {
  for (const Durability durability : {Durability::kAsync, Durability::kSync}) {
    for (const bool late : {false, true}) {
      MemoryCheckpointer memory;
      LateCheckpointer store(&memory, &executor_);
      Open({.checkpointer = &store});
      Register();
      const RunInfo run =
          StartLast({.durability = durability, .timeout = absl::Seconds(9)});
      RunFor(absl::Seconds(9) - absl::Microseconds(500));
      gate_.Open();
      RunAll();
      // The store has yet to answer.
      EXPECT_EQ(StatusOf(run), "running");
      if (late) {
        RunFor(absl::Microseconds(500));
      } else {
        EXPECT_TRUE(Cancel(run).ok());
      }
      EXPECT_EQ(StatusOf(run), "running");
      EXPECT_EQ(Outcome(run).status, RunStatus::kSuccess);
      EXPECT_EQ(StatusOf(run.thread_id), "idle");
      EXPECT_EQ(SaidOn(run.thread_id), R"("done")");
      runtime_ = nullptr;
    }
  }
}

TEST_F(RunsTest, RunThatEndsInTimeIsNotTouchedByItsLimit) {
  const RunInfo run =
      Start(runtime_->CreateThread(), "sleep", {.timeout = absl::Minutes(2)});
  EXPECT_EQ(Outcome(run).status, RunStatus::kSuccess);
  RunFor(absl::Minutes(5));
  EXPECT_EQ(StatusOf(run), "success");
}

TEST_F(RunsTest, CountersTellWhatRunsHaveDone) {
  const ThreadId thread = runtime_->CreateThread();
  const auto counters = [this] { return runtime_->counters().ToJson(); };
  constexpr char kStore[] =
      R"("store": {"transactions": 0, "syncs": 0, "bytes_written": 0}})";
  EXPECT_EQ(counters(),
            absl::StrCat(R"({"pending": 0, "running": 0, "threads": 1, )",
                         R"("succeeded": 0, "failed": 0, "timed_out": 0, )",
                         R"("interrupted": 0, "supersteps": 0, "tasks": 0, )",
                         R"("events": 0, )", kStore));
  const RunInfo waits = Start(thread, "wait");
  const RunInfo next = Start(thread, "emit");
  const RunInfo dropped = Start(thread, "emit", {.after = absl::Hours(1)});
  RunFor(absl::Seconds(1));
  RuntimeCounters now = runtime_->counters();
  EXPECT_EQ(now.pending, 2u);
  EXPECT_EQ(now.running, 1u);
  EXPECT_EQ(now.supersteps, 3u) << "its start, a, and b, which waits";
  EXPECT_TRUE(Cancel(waits, {.wait = true}).ok());
  EXPECT_TRUE(Cancel(dropped).ok());
  (void)Outcome(next);
  (void)Outcome(Start(thread, "fail"));
  RunStream late = Stream(thread, "deaf", {.timeout = absl::Seconds(1)});
  RunFor(absl::Seconds(2));
  gate_.Open();
  const size_t seen = ReadAll(late).events.size();
  now = runtime_->counters();
  EXPECT_EQ(now.pending, 0u);
  EXPECT_EQ(now.running, 0u);
  EXPECT_EQ(now.succeeded, 1u);
  EXPECT_EQ(now.failed, 1u);
  EXPECT_EQ(now.timed_out, 1u);
  EXPECT_EQ(now.interrupted, 2u);
  EXPECT_EQ(now.supersteps, 3u + 4 + 3 + 3);
  EXPECT_EQ(now.tasks, now.supersteps) << "each of its nodes runs alone";
  EXPECT_EQ(now.events, seen) << "nobody has asked for others";
}

TEST_F(RunsTest, CountersHaveTasksSideBySideAndInGraphsInside) {
  StateGraph inner;
  inner.AddNode("deep", Idle());
  inner.AddEdge(kStart, "deep");
  StateGraph builder;
  builder.AddNode("inner", MustCompile(inner));
  builder.AddEdge(kStart, "inner");
  for (const char* node : {"a", "b", "c"}) {
    builder.AddNode(node, Idle());
    builder.AddEdge(kStart, node);
  }
  ASSERT_TRUE(runtime_->Register("wide", MustCompile(builder)).ok());
  const absl::StatusOr<RunOutcome> end =
      runtime_->Wait(runtime_->CreateThread(), "wide", Update());
  ASSERT_TRUE(end.ok()) << end.status();
  RuntimeCounters now = runtime_->counters();
  EXPECT_EQ(now.running, 0u) << "it has ended";
  EXPECT_EQ(now.succeeded, 1u);
  EXPECT_EQ(now.supersteps, 2u + 2) << "each graph's start, and one";
  EXPECT_EQ(now.tasks, 1u + 4 + 1 + 1);

  const ThreadId thread = runtime_->CreateThread();
  const RunInfo undone = Start(thread, "wait");
  const RunInfo waits = Start(thread, "emit");
  RunAll();
  EXPECT_EQ(runtime_->counters().pending, 1u);
  EXPECT_TRUE(Cancel(waits, {CancelAction::kRollback, true}).ok());
  EXPECT_TRUE(Cancel(undone, {CancelAction::kRollback, true}).ok());
  now = runtime_->counters();
  EXPECT_EQ(now.pending, 0u);
  EXPECT_EQ(now.running, 0u);
  EXPECT_EQ(now.interrupted, 2u);
}

}  // namespace
}  // namespace weir
