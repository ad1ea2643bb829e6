// Runs, threads and streams that outlive their Runtime: each test ends one
// Runtime, by its destructor or as a crash would, and goes on with another on
// the same file.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waiting_checkpointer.h"
#include "tests/support/served_graph.h"

#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// A store whose process ends: from then on nothing is taken or answered.
class CrashingCheckpointer final : public Checkpointer, private RunStore {
  template <class T>
  using Done = Checkpointer::Done<T>;
  using StatusDone = Checkpointer::StatusDone;

 public:
  explicit CrashingCheckpointer(Checkpointer& store) : store_(store) {}

  // Takes so many more changes, then ends.
  void EndAfter(int changes) { left_ = changes; }
  void End() { left_ = 0; }
  bool ended() const { return left_ == 0; }
  int changes() const { return changes_; }

  CheckpointerCapabilities capabilities() const override {
    return store_.capabilities();
  }
  RunStore* runs() override { return this; }
  void Open(std::string_view thread, Done<ThreadLease> done) override {
    if (Changes(done)) store_.Open(thread, std::move(done));
  }
  void Put(const Fence& fence, NewCheckpoint&& made, StatusDone done) override {
    if (Changes(done)) store_.Put(fence, std::move(made), std::move(done));
  }
  void PutWrites(const Fence& fence, NewWrites&& made,
                 StatusDone done) override {
    if (Changes(done)) {
      store_.PutWrites(fence, std::move(made), std::move(done));
    }
  }
  void Get(CheckpointKey key,
           Done<std::optional<CheckpointTuple>> done) override {
    if (Reads(done)) store_.Get(std::move(key), std::move(done));
  }
  void List(CheckpointQuery query,
            Done<std::vector<CheckpointTuple>> done) override {
    if (Reads(done)) store_.List(std::move(query), std::move(done));
  }
  void History(CheckpointKey key, std::vector<std::string> channels,
               Done<std::vector<std::vector<SavedChannel>>> done) override {
    if (!Reads(done)) return;
    store_.History(std::move(key), std::move(channels), std::move(done));
  }
  void DeleteThread(std::string_view thread, StatusDone done) override {
    if (Changes(done)) store_.DeleteThread(thread, std::move(done));
  }
  void DeleteRuns(std::vector<std::string> runs, StatusDone done) override {
    if (Changes(done)) store_.DeleteRuns(std::move(runs), std::move(done));
  }
  void CopyThread(std::string_view from, std::string_view to,
                  StatusDone done) override {
    if (Changes(done)) store_.CopyThread(from, to, std::move(done));
  }
  void Prune(std::vector<std::string> threads, PruneMode mode,
             StatusDone done) override {
    if (Changes(done)) store_.Prune(std::move(threads), mode, std::move(done));
  }
  void Flush(StatusDone done) override {
    if (Reads(done)) store_.Flush(std::move(done));
  }

 private:
  static absl::Status Gone() { return absl::UnavailableError("crashed"); }
  template <class D>
  bool Changes(D& done) {
    if (left_ != 0) {
      if (left_ > 0) --left_;
      ++changes_;
      return true;
    }
    done(Gone());
    return false;
  }
  template <class D>
  bool Reads(D& done) {
    if (left_ != 0) return true;
    done(Gone());
    return false;
  }

  void Commit(RunCommit&& commit, StatusDone done) override {
    if (Changes(done)) {
      store_.runs()->Commit(std::move(commit), std::move(done));
    }
  }
  void GetThread(std::string_view thread,
                 Done<std::optional<ThreadRows>> done) override {
    if (Reads(done)) store_.runs()->GetThread(thread, std::move(done));
  }
  void ListThreads(Done<std::vector<ThreadRow>> done) override {
    if (Reads(done)) store_.runs()->ListThreads(std::move(done));
  }
  void GetRun(std::string_view run, Done<std::optional<RunRow>> done) override {
    if (Reads(done)) store_.runs()->GetRun(run, std::move(done));
  }
  void ListUnfinished(Done<std::vector<RunRow>> done) override {
    if (Reads(done)) store_.runs()->ListUnfinished(std::move(done));
  }
  void ListEvents(std::string_view run, uint64_t first,
                  Done<std::vector<EventRow>> done) override {
    if (Reads(done)) store_.runs()->ListEvents(run, first, std::move(done));
  }

  Checkpointer& store_;
  int left_ = -1;
  int changes_ = 0;
};

class DurableRunsTest : public ServedGraphTest {
 protected:
  DurableRunsTest() { Reopen(); }
  ~DurableRunsTest() override { runtime_ = nullptr; }

  // Ends the Runtime, and goes on with another on the same file.
  void Reopen(RuntimeOptions options = {}) {
    const int ids = ids_;
    runtime_ = nullptr;
    crashing_ = nullptr;
    waiting_ = nullptr;
    store_ = nullptr;
    absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> opened =
        SqliteCheckpointer::Open(folder_.File("runs.db"));
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    waiting_ = std::make_unique<WaitingCheckpointer>(*store_);
    crashing_ = std::make_unique<CrashingCheckpointer>(*waiting_);
    options.checkpointer = crashing_.get();
    options.new_id = [this] { return absl::StrCat("id-", ++ids_); };
    Open(std::move(options));
    ids_ = std::max(ids_, ids);
  }
  // The same, with nothing stored by the one that ends.
  void Crash() {
    crashing_->End();
    gate_.Open();
    Reopen();
  }
  std::vector<RunInfo> Runs(const ThreadId& thread) {
    absl::StatusOr<std::vector<RunInfo>> runs = runtime_->ListRuns(thread);
    EXPECT_TRUE(runs.ok()) << runs.status();
    return runs.ok() ? *runs : std::vector<RunInfo>();
  }
  // The custom events that a reader gets, as text, and "attempt n" for
  // metadata.
  Lines Custom(RunStream& stream) {
    RunAll();
    Lines lines;
    while (const Event* event = stream.TryNext()) {
      if (const auto* custom = event->As<CustomValue>()) {
        std::string json;
        custom->value.AppendJson(&json);
        lines.push_back(json);
      } else if (const auto* begun = event->As<RunMetadata>()) {
        lines.push_back(absl::StrCat("attempt ", begun->attempt));
      }
    }
    if (stream.ended()) lines.push_back("end");
    return lines;
  }

  TempFolder folder_;
  std::unique_ptr<SqliteCheckpointer> store_;
  std::unique_ptr<WaitingCheckpointer> waiting_;
  std::unique_ptr<CrashingCheckpointer> crashing_;
};

TEST_F(DurableRunsTest, ThreadsAndRunsAreThereInTheNextRuntime) {
  const ThreadId thread =
      runtime_->CreateThread({.metadata = {{"user", "\"ann\""}}})->id;
  const RunInfo run = Start(thread, "nothing");
  const RunOutcome left = Outcome(run);
  Reopen();
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_EQ(StatusOf(run), "success");
  EXPECT_EQ(NotesOn(thread), "a nothing, b nothing");
  const absl::StatusOr<ThreadInfo> info = runtime_->GetThread(thread);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->metadata.at("user"), "\"ann\"");
  EXPECT_EQ(info->graph, "work");
  const RunOutcome again = Outcome(run);
  EXPECT_EQ(again.status, left.status);
  EXPECT_EQ(again.values, left.values);
  // The next run goes on from there.
  EXPECT_EQ(Outcome(Start(thread, "more")).status, RunStatus::kSuccess);
  EXPECT_EQ(NotesOn(thread), "a nothing, b nothing, a more, b more");
  EXPECT_THAT(Runs(thread), SizeIs(2));
}

TEST_F(DurableRunsTest, WhatWaitsIsNotHeldUpByAClockThatIsSetBack) {
  RunFor(absl::Hours(1));
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo begun = Start(thread, "wait");
  const RunInfo next = Start(thread, "nothing");
  const RunInfo later =
      Start(runtime_->CreateThread(), "nothing", {.after = absl::Minutes(5)});
  const ThreadId mortal =
      runtime_->CreateThread({.ttl = absl::Minutes(10)})->id;
  const RunInfo kept =
      Start(runtime_->CreateThread(), "nothing",
            {.resumable = true, .retention = absl::Minutes(10)});
  Outcome(kept);
  RunAll();
  ASSERT_EQ(StatusOf(begun), "running");
  runtime_ = nullptr;
  sim_.emplace(1);  // Where it was, an hour ago.
  Reopen();
  const RunInfo newest = Start(thread, "more");
  RunAll();
  gate_.Open();
  RunAll();
  EXPECT_EQ(NotesOn(thread),
            "a wait, b wait, a nothing, b nothing, a more, b more");
  EXPECT_EQ(StatusOf(newest), "success");
  EXPECT_EQ(StatusOf(later), "pending");
  RunFor(absl::Minutes(6));
  EXPECT_EQ(StatusOf(later), "success");
  EXPECT_TRUE(runtime_->GetThread(mortal).ok());
  EXPECT_TRUE(
      runtime_->JoinStream(kept.thread_id, kept.id, {.last_event_id = -1})
          .ok());
  RunFor(absl::Minutes(11));
  EXPECT_EQ(StatusOf(mortal), "gone");
  EXPECT_THAT(
      runtime_->JoinStream(kept.thread_id, kept.id, {.last_event_id = -1})
          .status(),
      Refused(absl::StatusCode::kOutOfRange, {kept.id}));
}

TEST_F(DurableRunsTest, FailuresAndQuestionsAreThereInTheNextRuntime) {
  const ThreadId failed = runtime_->CreateThread();
  const RunInfo fails = Start(failed, "fail");
  const ThreadId paused = runtime_->CreateThread();
  const RunInfo asks = Start(paused, "ask");
  const RunOutcome error = Outcome(fails);
  const RunOutcome question = Outcome(asks);
  ASSERT_THAT(question.interrupts, SizeIs(1));
  Reopen();
  EXPECT_EQ(StatusOf(failed), "error");
  EXPECT_EQ(StatusOf(fails), "error");
  EXPECT_EQ(Outcome(fails).error, error.error);
  EXPECT_EQ(StatusOf(paused), "interrupted");
  EXPECT_EQ(Outcome(asks).interrupts, question.interrupts);
  EXPECT_EQ(runtime_->GetThread(paused)->interrupts, question.interrupts);
  const RunInfo answer = Start(paused, Input::Resume(Value("yes")));
  EXPECT_EQ(Outcome(answer).status, RunStatus::kSuccess);
  EXPECT_EQ(StatusOf(paused), "idle");
}

TEST_F(DurableRunsTest, RunIsStoredBeforeItsIdIsReturned) {
  const ThreadId thread = runtime_->CreateThread();
  crashing_->EndAfter(1);
  const RunInfo run = Start(thread, "nothing");
  Reopen();
  EXPECT_EQ(Outcome(run).status, RunStatus::kSuccess);
  EXPECT_EQ(runtime_->GetRun(thread, run.id)->attempt, 1);
  EXPECT_EQ(NotesOn(thread), "a nothing, b nothing");
}

TEST_F(DurableRunsTest, RunThatCannotBeStoredWasNeverThere) {
  const ThreadId thread = runtime_->CreateThread();
  crashing_->End();
  EXPECT_THAT(runtime_->StartRun(thread, "work", Job("nothing")).status(),
              Refused(absl::StatusCode::kUnavailable));
  EXPECT_THAT(runtime_
                  ->StartRun("new", "work", Job("nothing"),
                             {.if_not_exists = IfNotExists::kCreate})
                  .status(),
              Refused(absl::StatusCode::kUnavailable));
  EXPECT_THAT(runtime_->CreateThread({.id = "other"}).status(),
              Refused(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Runs(thread), IsEmpty());
  EXPECT_EQ(StatusOf(thread), "idle");
  Reopen();
  EXPECT_THAT(Runs(thread), IsEmpty());
  EXPECT_EQ(StatusOf("new"), "gone");
  EXPECT_EQ(StatusOf("other"), "gone");
}

TEST_F(DurableRunsTest, RunGoesOnFromItsLastCheckpoint) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run = Start(thread, "wait", {.durability = Durability::kSync});
  RunAll();
  EXPECT_EQ(gate_.waiting(), 1U);
  Crash();
  RunAll();
  EXPECT_EQ(gate_.waiting(), 1U);  // "b" again, and not "a".
  EXPECT_EQ(StatusOf(run), "running");
  EXPECT_EQ(runtime_->GetRun(thread, run.id)->attempt, 2);
  gate_.Open();
  EXPECT_EQ(Outcome(run).status, RunStatus::kSuccess);
  EXPECT_EQ(NotesOn(thread), "a wait, b wait");
}

TEST_F(DurableRunsTest, RunsThatWaitedFollowInTheirOrder) {
  const ThreadId thread = runtime_->CreateThread();
  Start(thread, "wait");
  Start(thread, "nothing");
  const RunInfo later = Start(thread, "more", {.after = absl::Hours(1)});
  const RunInfo last = Start(thread, "emit");
  RunAll();
  Crash();
  RunAll();
  EXPECT_EQ(StatusOf(last), "pending");
  gate_.Open();
  EXPECT_EQ(Outcome(last).status, RunStatus::kSuccess);
  EXPECT_EQ(NotesOn(thread),
            "a wait, b wait, a nothing, b nothing, a emit, b emit");
  EXPECT_EQ(StatusOf(later), "pending");
  EXPECT_EQ(Outcome(later).status, RunStatus::kSuccess);
}

TEST_F(DurableRunsTest, EndOfTheRuntimeLeavesRunsToTheNext) {
  for (const OnShutdown how : {OnShutdown::kCancel, OnShutdown::kDrain}) {
    Reopen({.on_shutdown = how});
    const ThreadId thread = runtime_->CreateThread();
    const RunInfo first = Start(thread, "wait");
    const RunInfo second = Start(thread, "nothing");
    RunAll();
    if (how == OnShutdown::kDrain) {
      executor_.Post([this] { gate_.Open(); });
    }
    Reopen();
    RunAll();
    gate_.Open();
    EXPECT_EQ(Outcome(first).status, RunStatus::kSuccess);
    EXPECT_EQ(Outcome(second).status, RunStatus::kSuccess);
    EXPECT_EQ(NotesOn(thread), "a wait, b wait, a nothing, b nothing");
  }
}

TEST_F(DurableRunsTest, DrainStopsAtABarrierAndTheNextRuntimeGoesOn) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run = Start(thread, "sleep");
  const RunInfo deaf = Start(runtime_->CreateThread(), "deaf");
  RunAll();
  // One sleeps for a minute, the other does not hear.
  EXPECT_THAT(runtime_->Drain(absl::Seconds(5)),
              Refused(absl::StatusCode::kDeadlineExceeded, {"barrier"}));
  EXPECT_THAT(runtime_->StartRun(thread, "work", Job("nothing")).status(),
              Refused(absl::StatusCode::kUnavailable));
  gate_.Open();
  EXPECT_TRUE(runtime_->Drain(absl::Seconds(5)).ok());
  Reopen();
  RunAll();
  gate_.Open();
  EXPECT_EQ(Outcome(run).status, RunStatus::kSuccess);
  EXPECT_EQ(Outcome(deaf).status, RunStatus::kSuccess);
  EXPECT_EQ(NotesOn(thread), "a sleep, b sleep");
}

TEST_F(DurableRunsTest, CancelledRunStaysCancelled) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo running = Start(thread, "deaf");
  const RunInfo pending = Start(thread, "nothing");
  RunAll();
  EXPECT_TRUE(runtime_->Cancel(thread, running.id).ok());
  EXPECT_TRUE(runtime_->Cancel(thread, pending.id).ok());
  Crash();
  EXPECT_EQ(Outcome(running).status, RunStatus::kInterrupted);
  EXPECT_EQ(StatusOf(pending), "interrupted");
  EXPECT_EQ(NotesOn(thread), "a deaf");
}

TEST_F(DurableRunsTest, RolledBackRunLeavesNothing) {
  const ThreadId thread = runtime_->CreateThread();
  Outcome(Start(thread, "nothing"));
  const RunInfo undone = Start(thread, "wait", {.resumable = true});
  RunAll();
  Crash();
  RunAll();
  EXPECT_TRUE(runtime_
                  ->Cancel(thread, undone.id,
                           {.action = CancelAction::kRollback, .wait = true})
                  .ok());
  EXPECT_EQ(NotesOn(thread), "a nothing, b nothing");
  Reopen();
  EXPECT_EQ(NotesOn(thread), "a nothing, b nothing");
  EXPECT_EQ(StatusOf(undone), "gone");
  EXPECT_EQ(StatusOf(thread), "idle");
}

TEST_F(DurableRunsTest, DeletedRunsAndThreadsStayDeleted) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo first = Start(thread, "emit", {.resumable = true});
  Outcome(first);
  const RunInfo second = Start(thread, "nothing");
  Outcome(second);
  const ThreadId other = runtime_->CreateThread();
  Outcome(Start(other, "nothing"));
  Reopen();
  EXPECT_TRUE(runtime_->DeleteRun(thread, first.id).ok());
  EXPECT_TRUE(runtime_->DeleteThread(other).ok());
  EXPECT_EQ(StatusOf(first), "gone");
  Reopen();
  EXPECT_EQ(StatusOf(first), "gone");
  EXPECT_EQ(StatusOf(second), "success");
  EXPECT_EQ(StatusOf(other), "gone");
  EXPECT_EQ(NotesOn(thread), "a emit, b emit, a nothing, b nothing");
}

TEST_F(DurableRunsTest, ThreadsAreFoundThatNobodyHasAskedFor) {
  const ThreadId ann =
      runtime_->CreateThread({.metadata = {{"user", "\"ann\""}}})->id;
  const ThreadId bob =
      runtime_->CreateThread({.metadata = {{"user", "\"bob\""}}})->id;
  Outcome(Start(ann, "nothing"));
  Outcome(Start(bob, "more"));
  Reopen();
  absl::StatusOr<ThreadList> found =
      runtime_->SearchThreads({.metadata = {{"user", "\"bob\""}}});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_THAT(found->threads, SizeIs(1));
  EXPECT_EQ(found->threads[0].id, bob);
  EXPECT_EQ(found->threads[0].status, ThreadStatus::kIdle);
  EXPECT_THAT(found->threads[0].values.Get(notes_),
              ElementsAre("a more", "b more"));
  found = runtime_->SearchThreads(
      {.values = {{"notes", R"(["a nothing", "b nothing"])"}}});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_THAT(found->threads, SizeIs(1));
  EXPECT_EQ(found->threads[0].id, ann);
  EXPECT_EQ(*runtime_->CountThreads({}), 2U);
}

TEST_F(DurableRunsTest, ResumableStreamIsReplayedAcrossARestart) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run = Start(
      thread, "emit",
      {.modes = kCustom, .durability = Durability::kSync, .resumable = true});
  Outcome(run);
  RunStream before = Join(run, {.last_event_id = -1});
  EXPECT_EQ(Read(before), "0..15 end");
  Reopen();
  RunStream all = Join(run, {.last_event_id = -1});
  EXPECT_EQ(Read(all), "0..15 end");
  RunStream rest = Join(run, {.last_event_id = 7});
  EXPECT_EQ(Read(rest), "8..15 end");
  RunStream live = Join(run);
  EXPECT_EQ(Read(live), "end");
  EXPECT_THAT(
      runtime_->JoinStream(thread, run.id, {.last_event_id = 16}).status(),
      Refused(absl::StatusCode::kOutOfRange));
  // The time that events stay goes on, too.
  RunFor(absl::Seconds(121));
  EXPECT_THAT(
      runtime_->JoinStream(thread, run.id, {.last_event_id = 7}).status(),
      Refused(absl::StatusCode::kOutOfRange));
  Reopen();
  EXPECT_THAT(
      runtime_->JoinStream(thread, run.id, {.last_event_id = 7}).status(),
      Refused(absl::StatusCode::kOutOfRange));
}

TEST_F(DurableRunsTest, ReaderGoesOnWhereItWasWhenTheProcessEnded) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run =
      Start(thread, "wait", {.modes = kUpdates | kCustom, .resumable = true});
  RunStream first = Join(run, {.last_event_id = -1});
  // "attempt 1" and the update of "a".
  EXPECT_EQ(Read(first), "0..1");
  Crash();
  RunStream second = Join(run, {.last_event_id = 1});
  RunFor(absl::Milliseconds(20));
  EXPECT_THAT(Read(second), "2");  // "attempt 2"
  gate_.Open();
  EXPECT_EQ(Read(second), "3..4 end");
  RunStream all = Join(run, {.last_event_id = -1});
  EXPECT_EQ(Read(all), "0..4 end");
}

TEST_F(DurableRunsTest, ReadersSeeNothingBeforeItIsStored) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run =
      Start(thread, "wait", {.modes = kUpdates, .resumable = true});
  RunStream stream = Join(run, {.last_event_id = -1});
  crashing_->EndAfter(1);  // The run has its thread, and nothing stored.
  EXPECT_EQ(Read(stream), "end UNAVAILABLE");
}

TEST_F(DurableRunsTest, EventsOfANodeThatTakesLongAreStoredMeanwhile) {
  const ThreadId thread = runtime_->CreateThread();
  hold_after_ = 14;
  const RunInfo run =
      Start(thread, "emit", {.modes = kCustom, .resumable = true});
  RunStream stream = Join(run, {.last_event_id = -1});
  RunAll();
  RunFor(absl::Milliseconds(50));
  EXPECT_EQ(Read(stream), "0..14");
  gate_.Open();
  EXPECT_EQ(Read(stream), "15 end");
}

TEST_F(DurableRunsTest, AnswerIsGivenOnceWhereverTheProcessEnds) {
  for (int changes = 1;; ++changes) {
    SCOPED_TRACE(changes);
    const ThreadId thread = runtime_->CreateThread();
    Outcome(Start(thread, "ask-twice"));
    ASSERT_EQ(StatusOf(thread), "interrupted");
    crashing_->EndAfter(changes);
    const absl::StatusOr<RunInfo> run =
        runtime_->StartRun(thread, "work", Input::Resume(Value("milk")));
    RunAll();
    const bool ended = crashing_->ended();
    Reopen();
    if (run.ok()) {
      const RunOutcome left = Outcome(*run);
      EXPECT_EQ(left.status, RunStatus::kSuccess) << left.error;
      ASSERT_THAT(left.interrupts, SizeIs(1));
      EXPECT_EQ(left.interrupts[0].value, Value("sugar?"));
    }
    if (!ended) break;
  }
}

TEST_F(DurableRunsTest, StateEqualsAnUndisturbedRunsWhereverTheProcessEnds) {
  for (int changes = 1;; ++changes) {
    SCOPED_TRACE(changes);
    const ThreadId thread = runtime_->CreateThread();
    crashing_->EndAfter(changes);
    const absl::StatusOr<RunInfo> run =
        runtime_->StartRun(thread, "work", Job("emit"),
                           {.modes = kUpdates | kCustom, .resumable = true});
    RunAll();
    const bool ended = crashing_->ended();
    Reopen();
    if (run.ok()) {
      EXPECT_EQ(Outcome(*run).status, RunStatus::kSuccess);
      EXPECT_EQ(NotesOn(thread), "a emit, b emit");
      RunStream all = Join(*run, {.last_event_id = -1});
      int updates = 0;
      int64_t id = -1;
      RunAll();
      while (const Event* event = all.TryNext()) {
        EXPECT_EQ(static_cast<int64_t>(event->id()), ++id);
        if (event->As<NodeUpdate>() != nullptr) ++updates;
      }
      EXPECT_TRUE(all.ended());
      EXPECT_EQ(updates, 3);  // Of each node one.
    }
    if (!ended) break;
  }
}

TEST_F(DurableRunsTest, WhatIsNotStoredIsGivenAgain) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run = Start(thread, "wait");
  RunAll();
  crashing_->End();
  gate_.Open();
  int ended = 0;
  RuntimeOptions options;
  options.on_recover = [&](const RunInfo& info, StartOptions& again) {
    EXPECT_EQ(info.id, run.id);
    EXPECT_EQ(info.attempt, 2);
    again.on_end = [&ended](const RunInfo&, const RunOutcome&) { ++ended; };
  };
  Reopen(std::move(options));
  RunAll();
  gate_.Open();
  Outcome(run);
  RunAll();
  EXPECT_EQ(ended, 1);
}

TEST_F(DurableRunsTest, RunFoundAgainHasTheOptionsItWasStartedWith) {
  for (const int lag : {1, 5}) {
    const RunInfo run = Start(runtime_->CreateThread(), "wait",
                              {.max_concurrency = 3, .max_async_lag = lag});
    RunAll();
    crashing_->End();
    gate_.Open();
    int found = 0;
    RuntimeOptions options;
    options.on_recover = [&](const RunInfo& info, StartOptions& again) {
      if (info.id != run.id) return;
      ++found;
      EXPECT_EQ(again.max_concurrency, 3);
      EXPECT_EQ(again.max_async_lag, lag);
    };
    Reopen(std::move(options));
    RunAll();
    gate_.Open();
    Outcome(run);
    EXPECT_EQ(found, 1);
  }
}

TEST_F(DurableRunsTest, CountersLeaveOutWhatAnEarlierProcessDid) {
  const RunInfo run =
      Start(runtime_->CreateThread(), "wait", {.resumable = true});
  RunAll();
  EXPECT_EQ(runtime_->counters().running, 1u);
  crashing_->End();
  gate_.Open();
  Reopen();
  EXPECT_EQ(runtime_->counters().pending + runtime_->counters().running, 1u);
  RunStream all = Join(run, {.last_event_id = -1});
  RunAll();
  gate_.Open();
  Outcome(run);
  uint64_t before = 0;
  uint64_t after = 0;
  int attempts = 0;
  while (const Event* event = all.TryNext()) {
    if (event->As<RunMetadata>() != nullptr) ++attempts;
    ++(attempts < 2 ? before : after);
  }
  EXPECT_GT(before, 0u);
  EXPECT_GT(after, 0u);
  EXPECT_EQ(runtime_->counters().events, after);
  EXPECT_EQ(runtime_->counters().succeeded, 1u);
}

TEST_F(DurableRunsTest, RunsWaitForTheirGraph) {
  const ThreadId thread = runtime_->CreateThread();
  ASSERT_TRUE(runtime_->Register("other", MustCompile(Work())).ok());
  const absl::StatusOr<RunInfo> run =
      runtime_->StartRun(thread, "other", Job("nothing"));
  ASSERT_TRUE(run.ok()) << run.status();
  crashing_->End();
  Reopen();
  RunAll();
  EXPECT_EQ(StatusOf(*run), "pending");
  EXPECT_EQ(StatusOf(thread), "busy");
  ASSERT_TRUE(runtime_->Register("other", MustCompile(Work())).ok());
  EXPECT_EQ(Outcome(*run).status, RunStatus::kSuccess);
}

TEST_F(DurableRunsTest, ThreadStreamsIdsGoOn) {
  const ThreadId thread = runtime_->CreateThread();
  absl::StatusOr<ThreadStream> before =
      runtime_->JoinThreadStream(thread, {.modes = kLifecycle});
  ASSERT_TRUE(before.ok()) << before.status();
  Outcome(Start(thread, "emit"));
  RunAll();
  uint64_t last = 0;
  while (const ThreadEvent* event = before->TryNext()) last = event->id;
  Reopen();
  absl::StatusOr<ThreadStream> after =
      runtime_->JoinThreadStream(thread, {.modes = kLifecycle});
  ASSERT_TRUE(after.ok()) << after.status();
  Outcome(Start(thread, "nothing"));
  RunAll();
  const ThreadEvent* const next = after->TryNext();
  ASSERT_NE(next, nullptr);
  EXPECT_GT(next->id, last);
}

TEST_F(DurableRunsTest, ThreadThatLivesForATimeEndsThoughNobodyAsksForIt) {
  const ThreadId thread = runtime_->CreateThread({.ttl = absl::Minutes(1)})->id;
  Outcome(Start(thread, "nothing"));
  Reopen();
  RunFor(absl::Minutes(2));
  EXPECT_EQ(StatusOf(thread), "gone");
  Reopen();
  EXPECT_EQ(StatusOf(thread), "gone");
}

// A type that nothing says how to store.
struct Unstorable {
  int* place = nullptr;
  friend bool operator==(const Unstorable&, const Unstorable&) = default;
};

TEST_F(DurableRunsTest, EmittingWhatCannotBeStoredFailsTheTask) {
  StateGraph builder;
  const NotesChannel notes = AddNotes(builder);
  builder.AddNode("emits", [notes](NodeContext& node) {
    node.Emit(Value(Unstorable()));
    return Update(notes, "emitted");
  });
  builder.AddEdge(kStart, "emits");
  ASSERT_TRUE(runtime_->Register("emits", MustCompile(builder)).ok());
  const absl::StatusOr<RunInfo> run =
      runtime_->StartRun(runtime_->CreateThread(), "emits", Update(),
                         {.modes = kCustom, .resumable = true});
  ASSERT_TRUE(run.ok()) << run.status();
  const RunOutcome left = Outcome(*run);
  EXPECT_EQ(left.status, RunStatus::kError);
  EXPECT_THAT(left.error, Refused(absl::StatusCode::kFailedPrecondition,
                                  {"'emits'", "emitted"}));
}

TEST_F(DurableRunsTest, StatelessRunsAreNotStored) {
  const int changes = crashing_->changes();
  Outcome(Start("", "nothing"));
  EXPECT_EQ(crashing_->changes(), changes);
  const RunInfo kept =
      Start("", "nothing", {.on_completion = OnCompletion::kKeep});
  Outcome(kept);
  Reopen();
  EXPECT_EQ(NotesOn(kept.thread_id), "a nothing, b nothing");
}

}  // namespace
}  // namespace weir
