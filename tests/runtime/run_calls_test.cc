#include <functional>
#include <memory>
#include <optional>
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
#include "tests/support/served_graph.h"

#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// What a Runtime's calls about runs do: starting, asking, joining, cancelling,
// deleting, and runs without a thread.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::SizeIs;
using ::testing::StartsWith;

class RunCallsTest : public ServedGraphTest {
 protected:
  size_t Threads() {
    const absl::StatusOr<size_t> count = runtime_->CountThreads({});
    EXPECT_TRUE(count.ok()) << count.status();
    return count.value_or(0);
  }
  Lines RunsOn(const ThreadId& thread, const RunQuery& query = {}) {
    absl::StatusOr<std::vector<RunInfo>> runs =
        runtime_->ListRuns(thread, query);
    EXPECT_TRUE(runs.ok()) << runs.status();
    Lines ids;
    for (const RunInfo& run : *runs) ids.push_back(run.id);
    return ids;
  }
  absl::Status Cancel(const RunInfo& run, CancelOptions options = {}) {
    return runtime_->Cancel(run.thread_id, run.id, options);
  }
};

// Starting.

TEST_F(RunCallsTest, OptionsThatCannotBeAreRefusedAndLeaveNothing) {
  const std::pair<const char*, StartOptions> rows[] = {
      {"modes", {.modes = kControl}},
      {"modes", {.modes = static_cast<StreamModes>(1u << 20)}},
      {"recursion_limit", {.recursion_limit = 0}},
      {"max_concurrency", {.max_concurrency = -1}},
      {"step_timeout", {.step_timeout = absl::ZeroDuration()}},
      {"timeout", {.timeout = absl::ZeroDuration()}},
      {"after", {.after = -absl::Seconds(1)}},
      {"retention", {.resumable = true, .retention = -absl::Seconds(1)}},
      {"window", {.window = 0}},
      {"resumable", {.max_events = 1}},
      {"resumable", {.max_bytes = 1}},
  };
  const ThreadId thread = runtime_->CreateThread();
  for (auto [field, options] : rows) {
    SCOPED_TRACE(field);
    const auto refused =
        Refused(absl::StatusCode::kInvalidArgument, {"'work'", field});
    options.if_not_exists = IfNotExists::kCreate;
    for (const ThreadId& where : {thread, ThreadId("new"), ThreadId()}) {
      EXPECT_THAT(
          runtime_->StartRun(where, "work", Job("emit"), options).status(),
          refused);
      EXPECT_THAT(
          runtime_->Stream(where, "work", Job("emit"), options).status(),
          refused);
      EXPECT_THAT(runtime_->Wait(where, "work", Job("emit"), options).status(),
                  refused);
    }
  }
  EXPECT_EQ(Threads(), 1u);
  EXPECT_THAT(RunsOn(thread), IsEmpty());
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_THAT(runtime_->GetThread(thread)->metadata, IsEmpty());
}

TEST_F(RunCallsTest, UnknownGraphOrThreadIsNotFoundAndLeavesNothing) {
  const ThreadId thread = runtime_->CreateThread();
  for (const MultitaskStrategy strategy :
       {MultitaskStrategy::kEnqueue, MultitaskStrategy::kReject,
        MultitaskStrategy::kInterrupt, MultitaskStrategy::kRollback}) {
    const StartOptions options{.multitask = strategy};
    EXPECT_THAT(
        runtime_->StartRun("nobody's", "work", Job("emit"), options).status(),
        Refused(absl::StatusCode::kNotFound, {"'nobody's'"}));
    EXPECT_THAT(
        runtime_->StartRun(thread, "ghost", Job("emit"), options).status(),
        Refused(absl::StatusCode::kNotFound, {"'ghost'"}));
  }
  EXPECT_THAT(runtime_
                  ->StartRun("fresh", "ghost", Job("emit"),
                             {.if_not_exists = IfNotExists::kCreate})
                  .status(),
              Refused(absl::StatusCode::kNotFound));
  EXPECT_EQ(Threads(), 1u);
  EXPECT_THAT(RunsOn(thread), IsEmpty());
}

TEST_F(RunCallsTest, ThreadIsMadeWithTheMetadataOfItsRunIfSoAsked) {
  const RunInfo run = Start("fresh", "emit",
                            {.metadata = {{"user", "\"ann\""}},
                             .if_not_exists = IfNotExists::kCreate});
  EXPECT_EQ(run.thread_id, "fresh");
  (void)Outcome(run);
  EXPECT_EQ(NotesOn("fresh"), "a emit, b emit");
  EXPECT_THAT(runtime_->GetThread("fresh")->metadata,
              IsSupersetOf({std::pair<const std::string, std::string>(
                  "user", "\"ann\"")}));
}

TEST_F(RunCallsTest, MetadataOfTheRunGoesOverThatOfItsThread) {
  const absl::StatusOr<ThreadInfo> thread = runtime_->CreateThread(
      {.metadata = {{"user", "\"ann\""}, {"plan", "1"}}});
  ASSERT_TRUE(thread.ok());
  const RunInfo run =
      Start(thread->id, "emit", {.metadata = {{"plan", "2"}, {"try", "3"}}});
  EXPECT_THAT(
      run.metadata,
      IsSupersetOf(Metadata{{"user", "\"ann\""}, {"plan", "2"}, {"try", "3"}}));
  EXPECT_EQ(runtime_->GetThread(thread->id)->metadata["plan"], "1");
}

TEST_F(RunCallsTest, FirstRunTellsItsThreadTheGraph) {
  const ThreadId thread = runtime_->CreateThread();
  EXPECT_EQ(runtime_->GetThread(thread)->graph, "");
  (void)Outcome(Start(thread, "emit"));
  EXPECT_EQ(runtime_->GetThread(thread)->metadata["graph_id"], "\"work\"");
  EXPECT_EQ(runtime_->GetThread(thread)->graph, "work");
}

TEST_F(RunCallsTest, ReaderOfStreamIsThereBeforeTheRunBegins) {
  InEachOrder(20, [this] {
    RunStream stream = Stream(runtime_->CreateThread(), "emit");
    EXPECT_EQ(Read(stream), "0..15 end");
  });
}

TEST_F(RunCallsTest, WaitReturnsWhatTheRunLeft) {
  const ThreadId thread = runtime_->CreateThread();
  const absl::StatusOr<RunOutcome> left =
      runtime_->Wait(thread, "work", Job("emit"), {.modes = kCustom});
  ASSERT_TRUE(left.ok()) << left.status();
  EXPECT_EQ(left->ToJson(), R"({"notes": ["a emit", "b emit"]})");
  EXPECT_EQ(left->values, runtime_->GetThread(thread)->values);
}

TEST_F(RunCallsTest, RunMayGoOnFromTheMiddleOfTheHistory) {
  const ThreadId thread = runtime_->CreateThread();
  (void)Outcome(Start(thread, "one"));
  const CheckpointRef middle = runtime_->GetState(thread)->ref;
  (void)Outcome(Start(thread, "two"));
  (void)Outcome(Start(thread, "three", {.from = middle}));
  EXPECT_EQ(NotesOn(thread), "a one, b one, a three, b three");
}

TEST_F(RunCallsTest, RunFromACheckpointThatIsNotThereFails) {
  const ThreadId thread = runtime_->CreateThread();
  (void)Outcome(Start(thread, "one"));
  const ThreadId other = runtime_->CreateThread();
  (void)Outcome(Start(other, "two"));
  CheckpointRef nowhere;
  nowhere.id.sequence = 77;
  for (const CheckpointRef& from : {nowhere, runtime_->GetState(other)->ref}) {
    const RunOutcome left = Outcome(Start(thread, "three", {.from = from}));
    EXPECT_EQ(left.status, RunStatus::kError);
    EXPECT_EQ(CodeOf(left.error), "NOT_FOUND") << left.error;
    EXPECT_EQ(StoredNotesOn(thread), "a one, b one");
    EXPECT_EQ(NotesOn(thread), "a one, b one");
  }
}

TEST_F(RunCallsTest, StopAtANodeThatIsNotThereIsRefused) {
  const ThreadId thread = runtime_->CreateThread();
  EXPECT_THAT(runtime_
                  ->StartRun(thread, "work", Job("emit"),
                             {.interrupt_before = {"ghost"}})
                  .status(),
              Refused(absl::StatusCode::kInvalidArgument, {"ghost"}));
  EXPECT_THAT(runtime_
                  ->StartRun(thread, "work", Job("emit"),
                             {.interrupt_after = {"a", "ghost"}})
                  .status(),
              Refused(absl::StatusCode::kInvalidArgument, {"ghost"}));
  EXPECT_THAT(RunsOn(thread), IsEmpty());
}

// Batches.

TEST_F(RunCallsTest, BatchStartsItsRunsInOrder) {
  std::vector<BatchRun> batch;
  batch.reserve(3);
  for (int i = 0; i < 3; ++i) {
    batch.push_back(
        {"work", Job(absl::StrCat(i)), {.on_completion = OnCompletion::kKeep}});
  }
  const absl::StatusOr<std::vector<RunInfo>> runs =
      runtime_->StartBatch(std::move(batch));
  ASSERT_TRUE(runs.ok()) << runs.status();
  ASSERT_THAT(*runs, SizeIs(3));
  for (size_t i = 0; i < 3; ++i) {
    (void)Outcome((*runs)[i]);
    EXPECT_EQ(NotesOn((*runs)[i].thread_id), absl::StrCat("a ", i, ", b ", i));
  }
}

TEST_F(RunCallsTest, BatchIsStartedAsAWholeOrNotAtAll) {
  EXPECT_EQ(CodeOf(runtime_->StartBatch({}).status()), "INVALID_ARGUMENT");
  std::vector<BatchRun> batch;
  batch.push_back(
      {"work", Job("emit"), {.on_completion = OnCompletion::kKeep}});
  batch.push_back({"ghost", Job("emit"), {}});
  EXPECT_EQ(CodeOf(runtime_->StartBatch(std::move(batch)).status()),
            "NOT_FOUND");
  RunAll();
  EXPECT_EQ(Threads(), 0u);
  EXPECT_EQ(tries_, 0);
}

// Asking.

TEST_F(RunCallsTest, RunsAreListedTheNewestFirst) {
  const ThreadId thread = runtime_->CreateThread();
  Lines ids;
  for (int i = 0; i < 12; ++i) {
    const RunInfo run =
        Start(thread, i % 3 == 0 ? "fail" : "emit",
              {.metadata = {{"odd", i % 2 == 1 ? "true" : "false"}}});
    ids.insert(ids.begin(), run.id);
    (void)Outcome(run);
  }
  EXPECT_THAT(RunsOn(thread), SizeIs(10));
  EXPECT_EQ(RunsOn(thread, {.limit = 100}), ids);
  EXPECT_THAT(RunsOn(thread, {.limit = 2, .offset = 1}),
              ElementsAre(ids[1], ids[2]));
  EXPECT_THAT(RunsOn(thread, {.offset = 12}), IsEmpty());
  EXPECT_THAT(RunsOn(thread, {.status = RunStatus::kError}), SizeIs(4));
  EXPECT_THAT(RunsOn(thread, {.status = RunStatus::kPending}), IsEmpty());
  EXPECT_THAT(RunsOn(thread, {.metadata = {{"odd", "true"}}}), SizeIs(6));
  EXPECT_THAT(RunsOn(thread, {.status = RunStatus::kError,
                              .metadata = {{"odd", "true"}},
                              .limit = 1,
                              .offset = 1}),
              ElementsAre(ids[8]));
  EXPECT_THAT(runtime_->ListRuns(thread, {.limit = 0}).status(),
              Refused(absl::StatusCode::kInvalidArgument, {"limit"}));
  EXPECT_THAT(runtime_->ListRuns("nobody's").status(),
              Refused(absl::StatusCode::kNotFound, {"'nobody's'"}));
}

TEST_F(RunCallsTest, RunInfoShowsHowItWasStarted) {
  const RunInfo run = Start(runtime_->CreateThread(), "sleep",
                            {.modes = kCustom | kTasks,
                             .subgraphs = true,
                             .resumable = true,
                             .multitask = MultitaskStrategy::kInterrupt,
                             .after = absl::Seconds(5)});
  (void)Outcome(run);
  const RunInfo info = *runtime_->GetRun(run.thread_id, run.id);
  EXPECT_EQ(info.graph, "work");
  EXPECT_EQ(info.modes, kCustom | kTasks);
  EXPECT_TRUE(info.subgraphs);
  EXPECT_TRUE(info.resumable);
  EXPECT_EQ(info.multitask, MultitaskStrategy::kInterrupt);
  EXPECT_EQ(info.created_at, absl::UnixEpoch());
  EXPECT_EQ(info.start_after, absl::UnixEpoch() + absl::Seconds(5));
  EXPECT_EQ(info.started_at, info.start_after);
  EXPECT_EQ(info.ended_at, absl::UnixEpoch() + absl::Seconds(65));
  EXPECT_EQ(info.updated_at, info.ended_at);
  EXPECT_THAT(info.ToJson(), HasSubstr(R"("status": "success")"));
  EXPECT_THAT(info.ToJson(), HasSubstr("1970-01-01T00:01:05.000Z"));
}

TEST_F(RunCallsTest, JoinGivesTheSameEveryTime) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo first = Start(thread, "ask", {.modes = kCustom});
  const RunOutcome left = Outcome(first);
  (void)Outcome(Start(thread, Input::Resume(Value("yes"))));
  (void)Outcome(Start(thread, "emit"));
  const absl::Time now = executor_.Now();
  for (int i = 0; i < 3; ++i) {
    const RunOutcome again = Outcome(first);
    EXPECT_EQ(again.status, left.status);
    EXPECT_EQ(again.values, left.values);
    EXPECT_EQ(again.interrupts, left.interrupts);
    EXPECT_EQ(again.ToJson(), left.ToJson());
  }
  EXPECT_EQ(executor_.Now(), now) << "and at once";
  EXPECT_EQ(left.values.ToJson(), R"({"notes": ["a ask"]})");
}

TEST_F(RunCallsTest, JoinShowsTheFailureItself) {
  const RunOutcome left = Outcome(Start(runtime_->CreateThread(), "fail"));
  EXPECT_EQ(left.status, RunStatus::kError);
  EXPECT_THAT(left.error,
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnavailable,
                      {"'b'", "no milk"}));
  EXPECT_THAT(
      left.ToJson(),
      StartsWith(R"({"__error__": {"error": "NodeError", "message": )"));
  EXPECT_THAT(left.ToJson(), HasSubstr("no milk"));
}

TEST_F(RunCallsTest, JoinOfARolledBackRunIsAborted) {
  const RunInfo run = Start(runtime_->CreateThread(), "wait");
  std::vector<absl::Status> told;
  runtime_->Join(run.thread_id, run.id, {},
                 [&](absl::StatusOr<RunOutcome> outcome) {
                   told.push_back(outcome.status());
                 });
  RunAll();
  EXPECT_TRUE(Cancel(run, {CancelAction::kRollback}).ok());
  RunAll();
  EXPECT_THAT(told, ElementsAre(IsError(ErrorKind::kRollback,
                                        absl::StatusCode::kAborted, {run.id})));
}

TEST_F(RunCallsTest, JoinOfARunThatNeverEndsSaysSo) {
  const RunInfo run = Start(runtime_->CreateThread(), "deaf");
  EXPECT_THAT(runtime_->Join(run.thread_id, run.id).status(),
              Refused(absl::StatusCode::kInternal, {run.id}));
  gate_.Open();
  EXPECT_EQ(Outcome(run).status, RunStatus::kSuccess);
}

// Told at the end.

TEST_F(RunCallsTest, OnEndIsCalledOnceHoweverTheRunEnds) {
  const std::pair<const char*, const char*> rows[] = {{"emit", "success"},
                                                      {"ask", "success"},
                                                      {"fail", "error"},
                                                      {"wait", "interrupted"},
                                                      {"sleep", "timeout"}};
  for (const auto& [job, status] : rows) {
    SCOPED_TRACE(job);
    Lines told;
    const RunInfo run = Start(
        runtime_->CreateThread(), job,
        {.timeout = absl::Seconds(9),
         .on_end = [&](const RunInfo& info, const RunOutcome& left) {
           told.push_back(std::string(RunStatusName(info.status)));
           EXPECT_EQ(left.status, info.status);
           EXPECT_EQ(StatusOf(info), told.back());
           EXPECT_NE(StatusOf(info.thread_id), "busy");
           EXPECT_EQ(left.values.ToJson(),
                     runtime_->GetThread(info.thread_id)->values.ToJson());
         }});
    RunAll();
    if (gate_.waiting() > 0) (void)Cancel(run);
    RunFor(absl::Minutes(5));
    EXPECT_THAT(told, ElementsAre(status));
  }
}

TEST_F(RunCallsTest, OnEndIsCalledForARunThatNeverBeganAndNotForOneUndone) {
  int told = 0;
  const auto count = [&told](const RunInfo&, const RunOutcome&) { ++told; };
  const ThreadId thread = runtime_->CreateThread();
  const StartOptions late{.after = absl::Hours(1), .on_end = count};
  EXPECT_TRUE(Cancel(Start(thread, "emit", late)).ok());
  RunAll();
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(
      Cancel(Start(thread, "emit", late), {CancelAction::kRollback}).ok());
  const RunInfo runs = Start(thread, "wait", {.on_end = count});
  RunAll();
  EXPECT_TRUE(Cancel(runs, {CancelAction::kRollback, true}).ok());
  RunAll();
  EXPECT_EQ(told, 1);
}

// Cancelling.

TEST_F(RunCallsTest, CancelReturnsAtOnceUnlessToldToWait) {
  for (const bool wait : {false, true}) {
    const absl::Time begin = executor_.Now();
    const RunInfo run = Start(runtime_->CreateThread(), "deaf");
    RunAll();
    executor_.PostAfter(absl::Seconds(5), [this] { gate_.Open(); });
    EXPECT_TRUE(Cancel(run, {.wait = wait}).ok());
    EXPECT_EQ(StatusOf(run), wait ? "interrupted" : "running");
    EXPECT_EQ(executor_.Now() - begin,
              wait ? absl::Seconds(5) : absl::ZeroDuration());
    RunFor(absl::Seconds(5));
    EXPECT_EQ(StatusOf(run), "interrupted");
    EXPECT_EQ(StatusOf(run.thread_id), "idle");
  }
}

TEST_F(RunCallsTest, CancelThatWaitedLeavesAThreadThatCanBeChanged) {
  const RunInfo run = Start(runtime_->CreateThread(), "wait");
  RunAll();
  const StateUpdate update{.values = Update(notes_, "by hand"), .as_node = "c"};
  EXPECT_EQ(CodeOf(runtime_->UpdateState(run.thread_id, update).status()),
            "FAILED_PRECONDITION");
  EXPECT_TRUE(Cancel(run, {.wait = true}).ok());
  EXPECT_TRUE(runtime_->UpdateState(run.thread_id, update).ok());
  EXPECT_EQ(NotesOn(run.thread_id), "a wait, by hand");
}

TEST_F(RunCallsTest, CancelsMany) {
  const auto query = [](const CancelQuery& of) { return of; };
  struct Row {
    const char* name;
    std::function<CancelQuery(const Lines&, const ThreadId&)> query;
    Lines statuses;  // Of two that run, two that wait and one that has ended.
  };
  const Row rows[] = {
      {"named",
       [&](const Lines& ids, const ThreadId& thread) {
         return query({.thread = thread, .runs = {ids[0], ids[2], ids[4]}});
       },
       {"interrupted", "running", "interrupted", "pending", "success"}},
      {"pending",
       [&](const Lines&, const ThreadId&) {
         return query({.status = RunStatus::kPending});
       },
       {"running", "running", "interrupted", "interrupted", "success"}},
      {"running",
       [&](const Lines&, const ThreadId&) {
         return query({.status = RunStatus::kRunning});
       },
       {"interrupted", "interrupted", "pending", "pending", "success"}},
      {"all",
       [&](const Lines&, const ThreadId&) { return query({.all = true}); },
       {"interrupted", "interrupted", "interrupted", "interrupted", "success"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Open();
    const ThreadId thread = runtime_->CreateThread();
    const RunInfo done = Start(thread, "emit");
    (void)Outcome(done);
    const StartOptions late{.after = absl::Hours(1)};
    const std::vector<RunInfo> runs = {
        Start(thread, "wait"), Start(runtime_->CreateThread(), "wait"),
        Start(thread, "emit", late), Start(thread, "emit", late), done};
    RunAll();
    Lines ids;
    for (const RunInfo& run : runs) ids.push_back(run.id);
    EXPECT_TRUE(
        runtime_->CancelMany(row.query(ids, thread), {.wait = true}).ok());
    Lines statuses;
    for (const RunInfo& run : runs) statuses.push_back(StatusOf(run));
    EXPECT_EQ(statuses, row.statuses);
  }
}

TEST_F(RunCallsTest, CancelOfManyIsAllOrNothing) {
  const RunInfo run = Start(runtime_->CreateThread(), "wait");
  const RunInfo elsewhere = Start(runtime_->CreateThread(), "wait");
  RunAll();
  for (const RunId& other : {RunId("no run"), elsewhere.id}) {
    EXPECT_THAT(runtime_->CancelMany(
                    {.thread = run.thread_id, .runs = {run.id, other}}),
                Refused(absl::StatusCode::kNotFound, {other}));
  }
  RunAll();
  EXPECT_EQ(StatusOf(run), "running");
  EXPECT_EQ(StatusOf(elsewhere), "running");
}

TEST_F(RunCallsTest, CancelOfManyNeedsToKnowWhich) {
  const RunInfo run = Start(runtime_->CreateThread(), "wait");
  RunAll();
  const CancelQuery rows[] = {
      {},
      {.thread = run.thread_id},
      {.runs = {run.id}, .all = true},
      {.runs = {run.id}, .status = RunStatus::kRunning},
      {.status = RunStatus::kSuccess},
      {.status = RunStatus::kInterrupted},
  };
  for (const CancelQuery& query : rows) {
    EXPECT_EQ(CodeOf(runtime_->CancelMany(query)), "INVALID_ARGUMENT");
  }
  RunAll();
  EXPECT_EQ(StatusOf(run), "running");
}

// Undoing and deleting where the store does not help.

TEST_F(RunCallsTest, RollbackNeedsAStoreThatCanDeleteRuns) {
  MemoryCheckpointer memory;
  LateCheckpointer late(&memory, &executor_);
  Open({.checkpointer = &late});
  const RunInfo run = Start(runtime_->CreateThread(), "wait");
  RunFor(absl::Seconds(1));
  EXPECT_THAT(Cancel(run, {CancelAction::kRollback}),
              Refused(absl::StatusCode::kUnimplemented, {"kInterrupt"}));
  EXPECT_THAT(runtime_
                  ->StartRun(run.thread_id, "work", Job("emit"),
                             {.multitask = MultitaskStrategy::kRollback})
                  .status(),
              Refused(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(RunsOn(run.thread_id), SizeIs(1));
  EXPECT_EQ(StatusOf(run), "running");
  EXPECT_TRUE(Cancel(run, {.wait = true}).ok());
  EXPECT_EQ(StatusOf(run), "interrupted");
  runtime_ = nullptr;
}

TEST_F(RunCallsTest, RollbackThatTheStoreRefusesIsAnError) {
  FailingCheckpointer store(std::make_shared<MemoryCheckpointer>());
  Open({.checkpointer = &store});
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run = Start(thread, "wait");
  RunAll();
  store.Fail("DeleteRuns", absl::DataLossError("disk is gone"));
  EXPECT_TRUE(Cancel(run, {CancelAction::kRollback, true}).ok());
  EXPECT_EQ(StatusOf(run), "error");
  EXPECT_EQ(StatusOf(thread), "error");
  EXPECT_EQ(CodeOf(Outcome(run).error), "DATA_LOSS");
  EXPECT_EQ(CodeOf(runtime_->DeleteRun(thread, run.id)), "DATA_LOSS");
  EXPECT_EQ(StatusOf(run), "error") << "it is still there";
  runtime_ = nullptr;
}

// Deleting.

TEST_F(RunCallsTest, RunThatHasNotEndedIsNotDeleted) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo runs = Start(thread, "wait");
  const RunInfo waits = Start(thread, "emit");
  RunAll();
  for (const RunInfo& run : {runs, waits}) {
    EXPECT_THAT(runtime_->DeleteRun(thread, run.id),
                Refused(absl::StatusCode::kFailedPrecondition, {run.id}));
  }
  gate_.Open();
  EXPECT_EQ(Outcome(runs).status, RunStatus::kSuccess);
  EXPECT_EQ(Outcome(waits).status, RunStatus::kSuccess);
}

TEST_F(RunCallsTest, DeletedRunTakesItsCheckpointsAlong) {
  const ThreadId thread = runtime_->CreateThread();
  (void)Outcome(Start(thread, "one"));
  const RunInfo two = Start(thread, "two");
  (void)Outcome(two);
  EXPECT_TRUE(runtime_->DeleteRun(thread, two.id).ok());
  EXPECT_EQ(StatusOf(two), "gone");
  EXPECT_THAT(RunsOn(thread), SizeIs(1));
  EXPECT_EQ(StoredNotesOn(thread), "a one, b one");
  EXPECT_EQ(NotesOn(thread), "a one, b one");
  EXPECT_EQ(CodeOf(runtime_->Join(thread, two.id).status()), "NOT_FOUND");
}

TEST_F(RunCallsTest, CheckpointsThatLaterOnesBuildOnStay) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo one = Start(thread, "one");
  (void)Outcome(one);
  const RunInfo two = Start(thread, "two");
  (void)Outcome(two);
  EXPECT_TRUE(runtime_->DeleteRun(thread, one.id).ok());
  EXPECT_EQ(StatusOf(one), "gone");
  EXPECT_EQ(StoredNotesOn(thread), "a one, b one, a two, b two");
  EXPECT_GT(runtime_->GetHistory(thread, {.limit = 100})->size(), 5u);
}

TEST_F(RunCallsTest, WhatLaterRunsGoOnWithStays) {
  StateGraph builder;
  const NotesChannel notes = AddNotes(builder);
  int tries[] = {0, 0};
  for (const int node : {0, 1}) {
    const std::string name = node == 0 ? "p" : "q";
    builder.AddNode(
        name,
        [&tries, node, name, notes](NodeContext&) -> absl::StatusOr<Update> {
          // "p" fails once, "q" three times.
          if (++tries[node] < 2 + 2 * node) return absl::UnavailableError("no");
          return Update(notes, name);
        });
    builder.AddEdge(kStart, name);
  }
  EXPECT_TRUE(runtime_->Register("tries", MustCompile(builder)).ok());
  const ThreadId thread = runtime_->CreateThread();
  std::vector<RunInfo> runs;
  for (int i = 0; i < 3; ++i) {
    absl::StatusOr<RunInfo> run = runtime_->StartRun(
        thread, "tries", i == 0 ? Update() : Input::Continue());
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_EQ(Outcome(*run).status, RunStatus::kError);
    runs.push_back(*std::move(run));
  }
  EXPECT_EQ(tries[0], 2);
  EXPECT_TRUE(runtime_->DeleteRun(thread, runs[1].id).ok());
  absl::StatusOr<RunInfo> last =
      runtime_->StartRun(thread, "tries", Input::Continue());
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ(Outcome(*last).status, RunStatus::kSuccess);
  EXPECT_EQ(runtime_->GetThread(thread)->values.Get(notes), (Notes{"p", "q"}));
  EXPECT_EQ(tries[0], 2) << "what has ended well does not run again";
}

TEST_F(RunCallsTest, DeletingTheLastRunLeavesAnEmptyThread) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run = Start(thread, "fail");
  (void)Outcome(run);
  EXPECT_TRUE(runtime_->DeleteRun(thread, run.id).ok());
  EXPECT_EQ(NotesOn(thread), "");
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_FALSE(runtime_->GetState(thread)->metadata.has_value());
}

// Without a thread.

TEST_F(RunCallsTest, RunWithoutAThreadLeavesNothing) {
  RunStream stream = Stream("", "emit");
  EXPECT_EQ(Threads(), 0u);
  EXPECT_EQ(Read(stream), "0..15 end");
  EXPECT_EQ(stream.run_status(), RunStatus::kSuccess);
  EXPECT_TRUE(stream.Result().ok());
  EXPECT_EQ(CodeOf(runtime_->GetRun("", stream.run_id()).status()),
            "NOT_FOUND");
  EXPECT_EQ(Threads(), 0u);
  const absl::StatusOr<RunOutcome> left =
      runtime_->Wait("", "work", Job("emit"), {.modes = kCustom});
  ASSERT_TRUE(left.ok()) << left.status();
  EXPECT_EQ(left->ToJson(), R"({"notes": ["a emit", "b emit"]})");
}

TEST_F(RunCallsTest, RunWithoutAThreadIsJoinedWhileItLives) {
  const RunInfo run = Start("", "wait");
  EXPECT_NE(run.thread_id, "");
  RunStream stream = Join(run);
  RunAll();
  EXPECT_EQ(StatusOf(run), "running");
  EXPECT_EQ(StatusOf("", run.id), "running") << "its thread may be left out";
  gate_.Open();
  EXPECT_EQ(Outcome(run).ToJson(), R"({"notes": ["a wait", "b wait"]})");
  RunAll();
  EXPECT_EQ(StatusOf(run), "gone");
  EXPECT_EQ(StatusOf(run.thread_id), "gone");
  EXPECT_EQ(Read(stream), "0..2 end");
}

TEST_F(RunCallsTest, RunWithoutAThreadMayBeKept) {
  const RunInfo run = Start("", "ask", {.on_completion = OnCompletion::kKeep});
  (void)Outcome(run);
  RunAll();
  EXPECT_EQ(StatusOf(run), "success");
  EXPECT_EQ(StatusOf(run.thread_id), "interrupted");
  EXPECT_EQ(Threads(), 1u);
  (void)Outcome(Start(run.thread_id, Input::Resume(Value("yes"))));
  EXPECT_EQ(NotesOn(run.thread_id), "a ask, yes");
}

TEST_F(RunCallsTest, RunsWithoutAThreadNeverCompete) {
  const StartOptions reject{.multitask = MultitaskStrategy::kReject};
  const RunInfo first = Start("", "wait", reject);
  const RunInfo second = Start("", "wait", reject);
  RunAll();
  EXPECT_EQ(gate_.waiting(), 2u);
  EXPECT_TRUE(Cancel(first, {.wait = true}).ok());
  EXPECT_EQ(StatusOf(second), "running");
}

TEST_F(RunCallsTest, StreamOfARunWithoutAThreadNamesItsOwn) {
  absl::StatusOr<RunStream> stream =
      runtime_->Stream("", "work", Job("emit"), {.resumable = true});
  ASSERT_TRUE(stream.ok());
  EXPECT_TRUE(runtime_->JoinStream(stream->thread_id(), stream->run_id()).ok());
}

TEST_F(RunCallsTest, CancelledRunWithoutAThreadIsGone) {
  const RunInfo runs = Start("", "wait");
  const RunInfo waits = Start("", "emit", {.after = absl::Hours(1)});
  RunAll();
  EXPECT_TRUE(Cancel(runs, {.wait = true}).ok());
  EXPECT_TRUE(Cancel(waits, {.wait = true}).ok());
  RunAll();
  EXPECT_EQ(StatusOf(runs), "gone");
  EXPECT_EQ(StatusOf(waits), "gone");
}

TEST_F(RunCallsTest, ThreadOfARunWithoutOneTakesNoOthers) {
  const RunInfo run = Start("", "wait");
  RunAll();
  EXPECT_THAT(runtime_->StartRun(run.thread_id, "work", Job("emit")).status(),
              Refused(absl::StatusCode::kFailedPrecondition,
                      {run.thread_id, "stateless"}));
  gate_.Open();
  RunAll();
  EXPECT_EQ(StatusOf(run), "gone");
}

}  // namespace
}  // namespace weir
