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
#include "tests/support/graph_run.h"
#include "tests/support/served_graph.h"

#include "weir/runtime/errors.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/runtime.h"
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

TEST_F(RunsTest, RunThatEndsInTimeIsNotTouchedByItsLimit) {
  const RunInfo run =
      Start(runtime_->CreateThread(), "sleep", {.timeout = absl::Minutes(2)});
  EXPECT_EQ(Outcome(run).status, RunStatus::kSuccess);
  RunFor(absl::Minutes(5));
  EXPECT_EQ(StatusOf(run), "success");
}

}  // namespace
}  // namespace weir
