#include <algorithm>
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

#include "weir/channels/reducer.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/thread.h"
#include "weir/runtime/thread_stream.h"

// The threads of a Runtime: making, finding, changing and deleting them, and
// what their checkpoints say.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class ThreadsTest : public ServedGraphTest {
 protected:
  ThreadInfo Make(ThreadOptions options = {}) {
    absl::StatusOr<ThreadInfo> made =
        runtime_->CreateThread(std::move(options));
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : ThreadInfo();
  }
  ThreadInfo Get(const ThreadId& thread) {
    absl::StatusOr<ThreadInfo> info = runtime_->GetThread(thread);
    EXPECT_TRUE(info.ok()) << info.status();
    return info.ok() ? *std::move(info) : ThreadInfo();
  }
  std::vector<StateSnapshot> History(const ThreadId& thread,
                                     HistoryOptions which = {}) {
    absl::StatusOr<std::vector<StateSnapshot>> history =
        runtime_->GetHistory(thread, std::move(which));
    EXPECT_TRUE(history.ok()) << history.status();
    return history.ok() ? *std::move(history) : std::vector<StateSnapshot>();
  }
  StateUpdate ByHand(const std::string& note = "by hand") {
    return {.values = Update(notes_, note), .as_node = "c"};
  }
};

// Making.

TEST_F(ThreadsTest, FreshThreadIsIdleAndEmpty) {
  RunFor(absl::Seconds(5));
  const ThreadInfo made = Make({.metadata = {{"user", "\"ann\""}}});
  EXPECT_EQ(made.status, ThreadStatus::kIdle);
  EXPECT_EQ(made.created_at, absl::UnixEpoch() + absl::Seconds(5));
  EXPECT_EQ(made.updated_at, made.created_at);
  EXPECT_THAT(made.metadata, ElementsAre(Pair("user", "\"ann\"")));
  EXPECT_TRUE(made.values.empty());
  EXPECT_THAT(made.interrupts, IsEmpty());
  EXPECT_EQ(made.ttl, std::nullopt);
  EXPECT_EQ(Get(made.id).ToJson(), made.ToJson());
  EXPECT_THAT(made.ToJson(), HasSubstr(R"("status": "idle")"));
  EXPECT_THAT(made.ToJson(), HasSubstr("1970-01-01T00:00:05.000Z"));
}

TEST_F(ThreadsTest, IdMayBeGivenAndIsTakenOnce) {
  EXPECT_EQ(Make({.id = "mine", .metadata = {{"n", "1"}}}).id, "mine");
  EXPECT_THAT(runtime_->CreateThread({.id = "mine"}).status(),
              Refused(absl::StatusCode::kAlreadyExists, {"'mine'"}));
  const ThreadInfo same = Make({.id = "mine",
                                .metadata = {{"n", "2"}},
                                .if_exists = IfExists::kDoNothing,
                                .ttl = absl::Seconds(1)});
  EXPECT_THAT(same.metadata, ElementsAre(Pair("n", "1")));
  EXPECT_EQ(same.ttl, std::nullopt);
  EXPECT_EQ(Make({.id = "other", .if_exists = IfExists::kDoNothing}).id,
            "other");
  EXPECT_NE(Make().id, Make().id);
}

TEST_F(ThreadsTest, ThreadMayBeginWithAHistory) {
  const ThreadInfo made = Make(
      {.graph = "work",
       .supersteps = {{{.values = Update(notes_, "one"), .as_node = "a"}},
                      {{.values = Update(notes_, "two"), .as_node = "b"}}}});
  EXPECT_EQ(NotesOn(made.id), "one, two");
  EXPECT_EQ(made.values, Get(made.id).values);
  EXPECT_THAT(NextOf(made.id), ElementsAre("c"));
  EXPECT_THAT(History(made.id), SizeIs(2));
  EXPECT_EQ(StatusOf(made.id), "idle");
  (void)Outcome(Start(made.id, Input::Continue()));
  EXPECT_EQ(NotesOn(made.id), "one, two");
  EXPECT_THAT(NextOf(made.id), IsEmpty());
}

TEST_F(ThreadsTest, HistoryThatCannotBeMakesNoThread) {
  const ThreadOptions rows[] = {
      {.id = "new", .graph = "ghost"},
      {.id = "new", .supersteps = {{ByHand()}}},
      {.id = "new",
       .graph = "work",
       .supersteps = {{ByHand()},
                      {{.values = Update(notes_, "x"), .as_node = "ghost"}}}},
      {.id = "new", .ttl = -absl::Seconds(1)},
      {.id = "new", .ttl = absl::ZeroDuration()},
  };
  const char* const codes[] = {"NOT_FOUND", "INVALID_ARGUMENT",
                               "INVALID_ARGUMENT", "INVALID_ARGUMENT",
                               "INVALID_ARGUMENT"};
  for (size_t i = 0; i < std::size(rows); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(CodeOf(runtime_->CreateThread(rows[i]).status()), codes[i]);
    EXPECT_EQ(StatusOf("new"), "gone");
  }
  EXPECT_THAT(History(Make({.id = "new", .graph = "work"}).id), IsEmpty());
}

// Changing.

TEST_F(ThreadsTest, MetadataIsMergedByName) {
  const ThreadId thread =
      Make({.metadata = {{"a", "1"}, {"b", R"({"x": 1})"}}}).id;
  RunFor(absl::Seconds(5));
  const absl::StatusOr<ThreadInfo> changed = runtime_->UpdateThread(
      thread, {.metadata = {{"b", R"({"y": 2})"}, {"c", "3"}}});
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_THAT(
      changed->metadata,
      ElementsAre(Pair("a", "1"), Pair("b", R"({"y": 2})"), Pair("c", "3")));
  EXPECT_EQ(Get(thread).ToJson(), changed->ToJson());
  EXPECT_EQ(changed->updated_at, changed->created_at + absl::Seconds(5));
  EXPECT_EQ(changed->state_updated_at, changed->created_at);
}

TEST_F(ThreadsTest, StateTimeIsThatOfTheLastRunOrUpdate) {
  const ThreadId thread = Make().id;
  (void)Outcome(Start(thread, "sleep"));
  EXPECT_EQ(Get(thread).state_updated_at, absl::UnixEpoch() + absl::Minutes(1));
  RunFor(absl::Minutes(1));
  EXPECT_TRUE(runtime_->UpdateState(thread, ByHand()).ok());
  EXPECT_EQ(Get(thread).state_updated_at, absl::UnixEpoch() + absl::Minutes(2));
}

TEST_F(ThreadsTest, BusyThreadIsReadCopiedAndGivenMetadata) {
  const ThreadId thread = Make().id;
  (void)Outcome(Start(thread, "one"));
  const RunInfo run = Start(thread, "wait");
  RunAll();
  EXPECT_EQ(StatusOf(thread), "busy");
  EXPECT_TRUE(runtime_->UpdateThread(thread, {.metadata = {{"a", "1"}}}).ok());
  EXPECT_EQ(StatusOf(thread), "busy");
  EXPECT_EQ(StoredNotesOn(thread), "a one, b one, a wait")
      << "the newest checkpoint of the run";
  EXPECT_THAT(NextOf(thread), ElementsAre("b"));
  const absl::StatusOr<ThreadInfo> copy = runtime_->CopyThread(thread);
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(copy->status, ThreadStatus::kIdle);
  EXPECT_EQ(StoredNotesOn(copy->id), "a one, b one, a wait");
  gate_.Open();
  EXPECT_EQ(Outcome(run).status, RunStatus::kSuccess);
}

// Not there.

TEST_F(ThreadsTest, UnknownThreadIsNotFoundByName) {
  using Call = std::function<absl::Status(Runtime&, const ThreadId&)>;
  const std::pair<const char*, Call> calls[] = {
      {"GetThread",
       [](Runtime& r, const ThreadId& t) { return r.GetThread(t).status(); }},
      {"UpdateThread",
       [](Runtime& r, const ThreadId& t) {
         return r.UpdateThread(t, {}).status();
       }},
      {"DeleteThread",
       [](Runtime& r, const ThreadId& t) { return r.DeleteThread(t); }},
      {"CopyThread",
       [](Runtime& r, const ThreadId& t) { return r.CopyThread(t).status(); }},
      {"GetState",
       [](Runtime& r, const ThreadId& t) { return r.GetState(t).status(); }},
      {"GetHistory",
       [](Runtime& r, const ThreadId& t) { return r.GetHistory(t).status(); }},
      {"UpdateState",
       [](Runtime& r, const ThreadId& t) {
         return r.UpdateState(t, {}).status();
       }},
      {"ListRuns",
       [](Runtime& r, const ThreadId& t) { return r.ListRuns(t).status(); }},
      {"JoinThreadStream",
       [](Runtime& r, const ThreadId& t) {
         return r.JoinThreadStream(t).status();
       }},
  };
  const ThreadId deleted = Make().id;
  EXPECT_TRUE(runtime_->DeleteThread(deleted).ok());
  for (const auto& [name, call] : calls) {
    SCOPED_TRACE(name);
    for (const ThreadId& thread : {ThreadId("nobody's"), deleted}) {
      EXPECT_THAT(call(*runtime_, thread),
                  Refused(absl::StatusCode::kNotFound, {"'" + thread + "'"}));
    }
  }
}

// Deleting.

TEST_F(ThreadsTest, DeletedThreadTakesAllAlong) {
  const ThreadId thread = Make({.id = "t"}).id;
  const RunInfo run = Start(thread, "emit", {.resumable = true});
  (void)Outcome(run);
  EXPECT_TRUE(runtime_->DeleteThread(thread).ok());
  EXPECT_EQ(StatusOf(thread), "gone");
  EXPECT_EQ(StatusOf(run), "gone");
  EXPECT_EQ(StatusOf("", run.id), "gone");
  (void)Make({.id = "t", .graph = "work"});
  EXPECT_THAT(History(thread), IsEmpty());
  EXPECT_EQ(StoredNotesOn(thread), "");
}

TEST_F(ThreadsTest, DeletingWaitsUntilItsRunsHaveStopped) {
  const ThreadId thread = Make().id;
  RunStream stream = Stream(thread, "deaf");
  RunStream waiting = Stream(thread, "emit");
  RunAll();
  std::vector<absl::StatusOr<RunOutcome>> told;
  runtime_->Join(thread, stream.run_id(), {},
                 [&](absl::StatusOr<RunOutcome> left) {
                   told.push_back(std::move(left));
                 });
  executor_.PostAfter(absl::Seconds(5), [this] { gate_.Open(); });
  EXPECT_TRUE(runtime_->DeleteThread(thread).ok());
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch() + absl::Seconds(5));
  EXPECT_EQ(StatusOf(thread), "gone");
  EXPECT_EQ(Read(stream), "0 end NOT_FOUND");
  EXPECT_EQ(Read(waiting), "end NOT_FOUND");
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(tries_, 1);
}

TEST_F(ThreadsTest, RunsGoOnAfterAThreadWasDeletedInTheMiddleOfARun) {
  for (int i = 0; i < 3; ++i) {
    const ThreadId thread = Make().id;
    (void)Start(thread, "wait");
    RunAll();
    EXPECT_TRUE(runtime_->DeleteThread(thread).ok());
  }
  EXPECT_EQ(Outcome(Start(Make().id, "emit")).status, RunStatus::kSuccess);
}

TEST_F(ThreadsTest, ThreadThatIsBeingDeletedTakesNoRuns) {
  const ThreadId thread = Make().id;
  (void)Start(thread, "deaf");
  RunAll();
  absl::Status refused;
  executor_.PostAfter(absl::Seconds(1), [&] {
    refused = runtime_
                  ->StartRun(thread, "work", Job("emit"),
                             {.if_not_exists = IfNotExists::kCreate})
                  .status();
    EXPECT_EQ(CodeOf(runtime_->CreateThread({.id = thread}).status()),
              "ALREADY_EXISTS");
    gate_.Open();
  });
  EXPECT_TRUE(runtime_->DeleteThread(thread).ok());
  EXPECT_THAT(refused,
              Refused(absl::StatusCode::kFailedPrecondition, {thread}));
  EXPECT_EQ(
      NotesOn(Start(thread, "emit", {.if_not_exists = IfNotExists::kCreate})
                  .thread_id),
      "");
}

TEST_F(ThreadsTest, ThreadThatCannotBeDeletedStays) {
  FailingCheckpointer store(std::make_shared<MemoryCheckpointer>());
  Open({.checkpointer = &store});
  const ThreadId thread = Make().id;
  (void)Outcome(Start(thread, "one"));
  store.Fail("DeleteThread", absl::DataLossError("disk is gone"));
  EXPECT_EQ(CodeOf(runtime_->DeleteThread(thread)), "DATA_LOSS");
  EXPECT_EQ(NotesOn(thread), "a one, b one");
  store.Fail("", absl::OkStatus());
  (void)Outcome(Start(thread, "two"));
  EXPECT_TRUE(runtime_->DeleteThread(thread).ok());
  runtime_ = nullptr;
}

// Where the store's answers are jobs of the executor, which has no workers.
TEST_F(ThreadsTest, CallsThatWaitForTheStoreTakePartInTheExecutorsWork) {
  MemoryCheckpointer memory;
  LateCheckpointer late(&memory, &executor_);
  Open({.checkpointer = &late});
  const ThreadId thread =
      Make({.graph = "work",
            .supersteps = {{{.values = Update(notes_, "first")}}, {ByHand()}}})
          .id;
  EXPECT_EQ(NotesOn(thread), "first, by hand");
  EXPECT_EQ(StoredNotesOn(thread), "first, by hand");
  absl::StatusOr<ThreadStream> states =
      runtime_->JoinThreadStream(thread, {.modes = kStateUpdate});
  ASSERT_TRUE(states.ok()) << states.status();
  EXPECT_TRUE(runtime_->UpdateState(thread, ByHand("again")).ok());
  const ThreadEvent* const event = states->Next();
  ASSERT_NE(event, nullptr);
  EXPECT_THAT(event->As<StateUpdated>()->state.values.Get(notes_),
              ElementsAre("first", "by hand", "again"));
  EXPECT_EQ(StoredNotesOn(thread), "first, by hand, again");
  EXPECT_THAT(History(thread), SizeIs(3));
  // Nor does a job that waits hold up what it waits for.
  Lines found;
  executor_.Post([&] { found = NextOf(thread); });
  (void)Outcome(Start(thread, "ask"));
  executor_.Post([&] { found = NextOf(thread); });
  RunFor(absl::Seconds(1));
  EXPECT_THAT(found, ElementsAre("b"));
  runtime_ = nullptr;
}

TEST_F(ThreadsTest, ThreadWhoseStateIsChangedDoesNotExpire) {
  MemoryCheckpointer memory;
  LateCheckpointer late(&memory, &executor_, absl::Hours(1));
  Open({.checkpointer = &late});
  const ThreadId thread =
      Make({.ttl = absl::Minutes(1),
            .graph = "work",
            .supersteps = {{{.values = Update(notes_, "first")}}}})
          .id;
  EXPECT_EQ(NotesOn(thread), "first");
  RunFor(absl::Hours(3));
  EXPECT_EQ(StatusOf(thread), "gone");
  runtime_ = nullptr;
}

// Copying.

TEST_F(ThreadsTest, CopyHasAllCheckpointsAndGoesItsOwnWay) {
  const ThreadId thread = Make({.metadata = {{"user", "\"ann\""}}}).id;
  (void)Outcome(Start(thread, "fail"));
  const absl::StatusOr<ThreadInfo> copy = runtime_->CopyThread(thread);
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_NE(copy->id, thread);
  EXPECT_EQ(copy->status, ThreadStatus::kIdle);
  EXPECT_EQ(copy->metadata, Get(thread).metadata);
  EXPECT_EQ(copy->values, Get(thread).values);
  EXPECT_EQ(History(copy->id).size(), History(thread).size());
  EXPECT_THAT(NextOf(copy->id), ElementsAre("b"));
  EXPECT_THAT(*runtime_->ListRuns(copy->id), IsEmpty());
  (void)Outcome(Start(copy->id, "two"));
  EXPECT_EQ(NotesOn(thread), "a fail");
  EXPECT_EQ(NotesOn(copy->id), "a fail, a two, b two");
}

TEST_F(ThreadsTest, ThreadThatHasNotRunIsCopiedToo) {
  const absl::StatusOr<ThreadInfo> copy =
      runtime_->CopyThread(Make({.metadata = {{"a", "1"}}}).id);
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_THAT(copy->metadata, ElementsAre(Pair("a", "1")));
}

TEST_F(ThreadsTest, CopyNeedsAStoreThatCan) {
  MemoryCheckpointer memory;
  LateCheckpointer late(&memory, &executor_);
  Open({.checkpointer = &late});
  const ThreadId thread = Make().id;
  EXPECT_THAT(runtime_->CopyThread(thread).status(),
              Refused(absl::StatusCode::kUnimplemented, {thread}));
  EXPECT_EQ(*runtime_->CountThreads({}), 1u);
  runtime_ = nullptr;
}

// Finding.

class SearchTest : public ThreadsTest {
 protected:
  SearchTest() {
    const char* const jobs[] = {"emit", "ask", "fail", "wait", nullptr};
    for (int i = 0; i < 5; ++i) {
      const ThreadId id = absl::StrCat("t", (i * 2) % 5);
      (void)Make({.id = id,
                  .metadata = {{"even", i % 2 == 0 ? "true" : "false"},
                               {"n", absl::StrCat(i)}}});
      if (jobs[i] != nullptr) (void)Start(id, jobs[i]);
      RunFor(absl::Seconds(1));
    }
  }
  Lines Ids(const ThreadQuery& query) {
    absl::StatusOr<ThreadList> list = runtime_->SearchThreads(query);
    EXPECT_TRUE(list.ok()) << list.status();
    Lines ids;
    for (const ThreadInfo& thread : list->threads) ids.push_back(thread.id);
    return ids;
  }
};

TEST_F(SearchTest, EveryFieldNarrows) {
  // Made in this order: t0 idle, t2 interrupted, t4 error, t1 busy, t3 idle.
  struct Row {
    const char* name;
    ThreadQuery query;
    Lines ids;
  };
  const Row rows[] = {
      {"all", {}, {"t3", "t1", "t4", "t2", "t0"}},
      {"metadata", {.metadata = {{"even", "true"}}}, {"t3", "t4", "t0"}},
      {"all of the metadata",
       {.metadata = {{"even", "true"}, {"n", "4"}}},
       {"t3"}},
      {"no such metadata", {.metadata = {{"even", "\"true\""}}}, {}},
      {"values", {.values = {{"notes", R"(["a ask"])"}}}, {"t2"}},
      {"no such channel", {.values = {{"ghost", "1"}}}, {}},
      {"idle", {.status = ThreadStatus::kIdle}, {"t3", "t0"}},
      {"interrupted", {.status = ThreadStatus::kInterrupted}, {"t2"}},
      {"error", {.status = ThreadStatus::kError}, {"t4"}},
      {"busy", {.status = ThreadStatus::kBusy}, {"t1"}},
      {"ids", {.ids = {"t0", "t4", "t9"}}, {"t4", "t0"}},
      {"several",
       {.metadata = {{"even", "true"}},
        .status = ThreadStatus::kIdle,
        .ids = {"t0", "t1"}},
       {"t0"}},
      {"page", {.limit = 2, .offset = 1}, {"t1", "t4"}},
      {"page beyond", {.limit = 2, .offset = 9}, {}},
      {"the oldest first", {.ascending = true}, {"t0", "t2", "t4", "t1", "t3"}},
      {"by id",
       {.order = ThreadOrder::kId, .ascending = true},
       {"t0", "t1", "t2", "t3", "t4"}},
      {"by status",
       {.order = ThreadOrder::kStatus, .ascending = true},
       {"t0", "t3", "t1", "t2", "t4"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(Ids(row.query), row.ids);
    ThreadQuery rest = row.query;
    rest.limit = 1000;
    rest.offset = 0;
    EXPECT_EQ(*runtime_->CountThreads(row.query), Ids(rest).size());
    EXPECT_EQ(runtime_->SearchThreads(row.query)->total, Ids(rest).size());
  }
}

TEST_F(SearchTest, OrderOfUpdatesFollowsChanges) {
  EXPECT_TRUE(runtime_->UpdateThread("t4", {}).ok());
  EXPECT_EQ(Ids({.limit = 2, .order = ThreadOrder::kUpdatedAt}),
            (Lines{"t4", "t3"}));
  gate_.Open();
  RunFor(absl::Seconds(1));
  EXPECT_EQ(Ids({.limit = 2, .order = ThreadOrder::kUpdatedAt}),
            (Lines{"t4", "t1"}));
}

TEST_F(SearchTest, PageHasOneToAThousand) {
  for (const size_t limit : {size_t{0}, size_t{1001}}) {
    EXPECT_THAT(
        runtime_->SearchThreads({.limit = limit}).status(),
        Refused(absl::StatusCode::kInvalidArgument, {absl::StrCat(limit)}));
  }
  EXPECT_THAT(Ids({.limit = 1000}), SizeIs(5));
  EXPECT_THAT(Ids({.limit = 1}), SizeIs(1));
  for (int i = 0; i < 10; ++i) (void)Make();
  EXPECT_THAT(Ids({}), SizeIs(10)) << "by default";
}

// Time to live.

TEST_F(ThreadsTest, ThreadIsDeletedWhenItHasNotChangedForItsTime) {
  const ThreadId thread = Make({.ttl = absl::Seconds(10)}).id;
  RunFor(absl::Seconds(9));
  EXPECT_EQ(StatusOf(thread), "idle");
  (void)Outcome(Start(thread, "one"));
  RunFor(absl::Seconds(9));
  EXPECT_EQ(NotesOn(thread), "a one, b one") << "counted from the last change";
  EXPECT_TRUE(runtime_->UpdateThread(thread, {}).ok());
  RunFor(absl::Seconds(9));
  EXPECT_EQ(StatusOf(thread), "idle");
  RunFor(absl::Seconds(2));
  EXPECT_EQ(StatusOf(thread), "gone");
}

TEST_F(ThreadsTest, BusyThreadOutlivesItsTime) {
  const ThreadId thread = Make({.ttl = absl::Seconds(10)}).id;
  const RunInfo run = Start(thread, "wait");
  const absl::Time updated = Get(thread).updated_at;
  RunFor(absl::Hours(1));
  EXPECT_EQ(StatusOf(run), "running");
  EXPECT_EQ(Get(thread).updated_at, updated) << "nothing has changed";
  gate_.Open();
  EXPECT_EQ(Outcome(run).status, RunStatus::kSuccess);
  RunFor(absl::Seconds(9));
  EXPECT_EQ(StatusOf(thread), "idle");
  RunFor(absl::Seconds(11));
  EXPECT_EQ(StatusOf(thread), "gone");
}

TEST_F(ThreadsTest, TimeToLiveMayBeChanged) {
  const ThreadId thread = Make().id;
  RunFor(absl::Hours(1000));
  EXPECT_EQ(runtime_->UpdateThread(thread, {.ttl = absl::Seconds(10)})->ttl,
            absl::Seconds(10));
  RunFor(absl::Seconds(5));
  EXPECT_TRUE(
      runtime_->UpdateThread(thread, {.ttl = absl::InfiniteDuration()}).ok());
  RunFor(absl::Hours(1000));
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_EQ(
      CodeOf(
          runtime_->UpdateThread(thread, {.ttl = -absl::Seconds(1)}).status()),
      "INVALID_ARGUMENT");
  EXPECT_EQ(StatusOf(thread), "idle");
}

TEST_F(ThreadsTest, TimeOfADeletedThreadIsNotThatOfTheNextOfItsName) {
  InEachOrder(50, [this] {
    const ThreadId thread = Make({.id = "t", .ttl = absl::Seconds(10)}).id;
    executor_.PostAfter(absl::Seconds(10), [&] {
      (void)runtime_->DeleteThread(thread);
      (void)Make({.id = "t"});
    });
    RunFor(absl::Hours(1));
    EXPECT_EQ(StatusOf(thread), "idle");
  });
}

// States.

TEST_F(ThreadsTest, ThreadThatNeverRanHasAnEmptyState) {
  const ThreadId thread = Make().id;
  const absl::StatusOr<StateSnapshot> state = runtime_->GetState(thread);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_TRUE(state->values.empty());
  EXPECT_THAT(state->next, IsEmpty());
  EXPECT_THAT(state->tasks, IsEmpty());
  EXPECT_FALSE(state->metadata.has_value());
  EXPECT_FALSE(state->ref.id.has_value());
  EXPECT_EQ(state->ref.thread_id, thread);
  EXPECT_THAT(History(thread), IsEmpty());
}

TEST_F(ThreadsTest, HistoryIsThatOfTheThreadTheNewestFirst) {
  const ThreadId thread = Make().id;
  const RunInfo one = Start(thread, "one", {.metadata = {{"try", "1"}}});
  (void)Outcome(one);
  (void)Outcome(Start(thread, "two"));
  const std::vector<StateSnapshot> all = History(thread, {.limit = 100});
  ASSERT_THAT(all, SizeIs(10)) << "five a run";
  EXPECT_EQ(all.front().ref.id, runtime_->GetState(thread)->ref.id);
  EXPECT_EQ(all[1].ref.id, all[0].parent);
  EXPECT_THAT(History(thread, {.limit = 3}), SizeIs(3));
  EXPECT_THAT(History(thread, {.before = all[7].ref.id}), SizeIs(2));
  EXPECT_THAT(History(thread, {.filter = {{"try", "1"}}}), SizeIs(5));
  EXPECT_EQ(all.back().metadata->run_id, one.id);
  (void)Outcome(Start(thread, "three"));
  EXPECT_THAT(History(thread), SizeIs(10)) << "by default";
}

TEST_F(ThreadsTest, UnknownCheckpointIsNotFound) {
  const ThreadId fresh = Make().id;
  const ThreadId thread = Make().id;
  (void)Outcome(Start(thread, "one"));
  const ThreadId other = Make().id;
  (void)Outcome(Start(other, "one"));
  CheckpointRef nowhere;
  nowhere.id.sequence = 77;
  for (const ThreadId& of : {fresh, thread}) {
    EXPECT_THAT(runtime_->GetState(of, {.at = nowhere}).status(),
                Refused(absl::StatusCode::kNotFound, {of}));
  }
  // Nor is one of another thread.
  CheckpointRef elsewhere = runtime_->GetState(other)->ref;
  EXPECT_FALSE(runtime_->GetState(thread, {.at = elsewhere}).ok());
  EXPECT_FALSE(runtime_->UpdateState(thread, ByHand(), {.at = elsewhere}).ok());
  EXPECT_EQ(NotesOn(thread), "a one, b one");
  const CheckpointRef own = runtime_->GetState(thread)->ref;
  EXPECT_TRUE(runtime_->GetState(thread, {.at = own}).ok());
}

TEST_F(ThreadsTest, UpdateChangesTheStateAndWhatTheThreadShows) {
  const ThreadId thread = Make().id;
  (void)Outcome(Start(thread, "one"));
  const absl::StatusOr<CheckpointRef> made =
      runtime_->UpdateState(thread, ByHand());
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(NotesOn(thread), "a one, b one, by hand");
  EXPECT_EQ(runtime_->GetState(thread)->ref.id, made->id);
  EXPECT_EQ(runtime_->GetState(thread)->metadata->source, "update");
  EXPECT_EQ(StatusOf(thread), "idle");
}

TEST_F(ThreadsTest, UpdateIsRefusedWhileARunIsUnfinished) {
  const ThreadId thread = Make().id;
  (void)Outcome(Start(thread, "one"));
  const auto refused =
      Refused(absl::StatusCode::kFailedPrecondition, {thread, "busy"});
  const RunInfo waits = Start(thread, "two", {.after = absl::Hours(1)});
  EXPECT_THAT(runtime_->UpdateState(thread, ByHand()).status(), refused);
  const RunInfo runs = Start(thread, "wait");
  RunAll();
  EXPECT_THAT(runtime_->UpdateState(thread, ByHand()).status(), refused);
  EXPECT_TRUE(runtime_->Cancel(thread, waits.id).ok());
  gate_.Open();
  EXPECT_EQ(Outcome(runs).status, RunStatus::kSuccess);
  EXPECT_TRUE(runtime_->UpdateState(thread, ByHand()).ok());
}

TEST_F(ThreadsTest, UpdateNeedsAGraphAndANode) {
  const ThreadId thread = Make().id;
  EXPECT_THAT(runtime_->UpdateState(thread, ByHand()).status(),
              Refused(absl::StatusCode::kFailedPrecondition,
                      {thread, "graph", "run one"}));
  const ThreadId ready = Make({.graph = "work"}).id;
  EXPECT_TRUE(runtime_->UpdateState(ready, ByHand()).ok());
  EXPECT_EQ(NotesOn(ready), "by hand");
  const absl::StatusOr<CheckpointRef> unknown = runtime_->UpdateState(
      ready, {.values = Update(notes_, "x"), .as_node = "ghost"});
  EXPECT_THAT(unknown.status(),
              Refused(absl::StatusCode::kInvalidArgument, {"ghost"}));
  EXPECT_EQ(NotesOn(ready), "by hand");
  EXPECT_EQ(StatusOf(ready), "idle") << "it is not left busy";
  EXPECT_TRUE(runtime_->UpdateState(ready, ByHand()).ok());
}

TEST_F(ThreadsTest, RunThatIsStartedWhileTheStateChangesWaits) {
  std::function<void()> changing;
  StateGraph builder;
  const auto sum = builder.AddChannel(
      "sum", Reducer<int, int>([&changing](int old, int change) {
        if (changing) std::exchange(changing, nullptr)();
        return old + change;
      }));
  builder.AddNode("a", [sum](NodeContext&) { return Update(sum, 1); });
  builder.AddEdge(kStart, "a");
  ASSERT_TRUE(runtime_->Register("sums", MustCompile(builder)).ok());
  const ThreadId thread = Make({.graph = "sums"}).id;
  RunId run;
  changing = [&] {
    run = runtime_->StartRun(thread, "sums", Update()).value().id;
    EXPECT_EQ(StatusOf(thread, run), "pending");
    EXPECT_EQ(CodeOf(runtime_->UpdateState(thread, {}).status()),
              "FAILED_PRECONDITION");
  };
  EXPECT_TRUE(
      runtime_->UpdateState(thread, {.values = Update(sum, 5), .as_node = "a"})
          .ok());
  const absl::StatusOr<RunOutcome> left = runtime_->Join(thread, run);
  ASSERT_TRUE(left.ok()) << left.status();
  EXPECT_EQ(left->values.Get(sum), 6);
}

TEST_F(ThreadsTest, UpdateAnswersWhatAThreadAsked) {
  const ThreadId thread = Make().id;
  (void)Outcome(Start(thread, "ask"));
  EXPECT_EQ(StatusOf(thread), "interrupted");
  EXPECT_TRUE(runtime_->UpdateState(thread, ByHand()).ok());
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_THAT(Get(thread).interrupts, IsEmpty());
}

}  // namespace
}  // namespace weir
