#include "weir/runtime/thread_stream.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"
#include "tests/support/served_graph.h"

#include "weir/channels/values.h"
#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// The stream of a thread: all that happens on it, run after run.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ThreadStreamTest : public ServedGraphTest {
 protected:
  // Runs of jobs that are not "emit" have no events but their metadata.
  static StartOptions Plain() { return {.modes = kCustom}; }
  static StartOptions Resumable() {
    return {.modes = kCustom, .resumable = true};
  }

  ThreadStream Open(const ThreadId& thread, ThreadStreamOptions options = {}) {
    absl::StatusOr<ThreadStream> stream =
        runtime_->JoinThreadStream(thread, options);
    EXPECT_TRUE(stream.ok()) << stream.status();
    return *std::move(stream);
  }
  absl::Status Refusal(const ThreadId& thread, ThreadStreamOptions options) {
    return runtime_->JoinThreadStream(thread, options).status();
  }
  // "id-2 metadata", "id-2 custom 1", "id-2 started", "id-2 done success",
  // "id-2 state a emit, b emit".
  std::string Text(const ThreadEvent& event) {
    std::string text = event.run_id;
    if (const Event* of_run = event.As<Event>()) {
      absl::StrAppend(&text, " ", std::string(of_run->name()));
      if (of_run->mode() == kCustom) {
        absl::StrAppend(&text, " ", of_run->ToJson());
      }
    }
    if (const auto* started = event.As<RunStarted>()) {
      EXPECT_EQ(started->run_id, event.run_id);
      EXPECT_EQ(started->attempt, 1);
      text += " started";
    }
    if (const auto* done = event.As<RunDone>()) {
      EXPECT_EQ(done->run_id, event.run_id);
      absl::StrAppend(&text, " done ",
                      std::string(RunStatusName(done->status)));
    }
    if (const auto* updated = event.As<StateUpdated>()) {
      EXPECT_EQ(updated->run_id, event.run_id);
      absl::StrAppend(&text, " state ",
                      absl::StrJoin(updated->state.values.Get(notes_), ", "));
    }
    return text;
  }
  // What a reader gets now. Adds the ids to ids_read_.
  Lines Read(ThreadStream& stream) {
    RunAll();
    Lines texts;
    while (const ThreadEvent* event = stream.TryNext()) {
      EXPECT_EQ(static_cast<int64_t>(event->id), stream.last_event_id());
      EXPECT_TRUE(texts.empty() || event->id > ids_read_.back());
      ids_read_.push_back(event->id);
      texts.push_back(Text(*event));
    }
    return texts;
  }
  static ThreadStreamModes AllModes() {
    return kRunModes | kLifecycle | kStateUpdate;
  }

  std::vector<uint64_t> ids_read_;
};

// What comes.

struct ModesRow {
  const char* name;
  ThreadStreamModes modes;
  std::vector<std::string> first;   // Of the run "id-2".
  std::vector<std::string> second;  // Of "id-3", which fails.
};
const ModesRow kModesRows[] = {
    {"run_modes",
     kRunModes,
     {"id-2 metadata", "id-2 done success"},
     {"id-3 metadata", "id-3 error", "id-3 done error"}},
    {"lifecycle",
     kLifecycle,
     {"id-2 started", "id-2 done success"},
     {"id-3 started", "id-3 done error"}},
    {"state_update",
     kStateUpdate,
     {"id-2 state a x, b x"},
     {"id-3 state a x, b x, a fail"}},
    {"run_modes and lifecycle",
     kRunModes | kLifecycle,
     {"id-2 metadata", "id-2 done success"},
     {"id-3 metadata", "id-3 error", "id-3 done error"}},
    {"lifecycle and state_update",
     kLifecycle | kStateUpdate,
     {"id-2 started", "id-2 done success", "id-2 state a x, b x"},
     {"id-3 started", "id-3 done error", "id-3 state a x, b x, a fail"}},
    {"all",
     kRunModes | kLifecycle | kStateUpdate,
     {"id-2 metadata", "id-2 done success", "id-2 state a x, b x"},
     {"id-3 metadata", "id-3 error", "id-3 done error",
      "id-3 state a x, b x, a fail"}},
};

TEST_F(ThreadStreamTest, ModesSayWhatComesOfEachRun) {
  for (const ModesRow& row : kModesRows) {
    for (const bool resumable : {false, true}) {
      SCOPED_TRACE(absl::StrCat(row.name, resumable ? ", resumable" : ""));
      ServedGraphTest::Open();
      const ThreadId thread = runtime_->CreateThread();
      ThreadStream stream = Open(thread, {.modes = row.modes});
      EXPECT_THAT(Read(stream), IsEmpty());
      EXPECT_FALSE(stream.ended());
      (void)Start(thread, "x", resumable ? Resumable() : Plain());
      EXPECT_EQ(Read(stream), row.first);
      (void)Start(thread, "fail", resumable ? Resumable() : Plain());
      EXPECT_EQ(Read(stream), row.second);
      EXPECT_FALSE(stream.ended());
      // And to who comes later, of resumable runs.
      if (!resumable) continue;
      ThreadStream replay =
          Open(thread, {.modes = row.modes, .last_event_id = -1});
      Lines all = row.first;
      all.insert(all.end(), row.second.begin(), row.second.end());
      EXPECT_EQ(Read(replay), all);
    }
  }
}

TEST_F(ThreadStreamTest, RunsShowTheModesTheyWereStartedWith) {
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream stream = Open(thread);
  (void)Start(thread, "x", {.modes = kUpdates});
  (void)Start(thread, "x", {.modes = kValues});
  EXPECT_THAT(Read(stream),
              ElementsAre("id-2 metadata", "id-2 updates", "id-2 updates",
                          "id-2 updates", "id-2 done success", "id-3 metadata",
                          "id-3 values", "id-3 values", "id-3 values",
                          "id-3 done success"));
}

TEST_F(ThreadStreamTest, EventsComeWhileTheRunRuns) {
  hold_after_ = 2;
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream stream = Open(thread);
  (void)Start(thread, "emit", Plain());
  EXPECT_THAT(Read(stream),
              ElementsAre("id-2 metadata", "id-2 custom 1", "id-2 custom 2"));
  gate_.Open();
  EXPECT_THAT(Read(stream), SizeIs(14));
}

TEST_F(ThreadStreamTest, NamesAndDataAreThoseOfTheWire) {
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream life = Open(thread, {.modes = kLifecycle});
  ThreadStream states = Open(thread, {.modes = kStateUpdate});
  (void)Start(thread, "x", Plain());
  const ThreadEvent* event = life.Next();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->name(), "metadata");
  EXPECT_EQ(event->ToJson(), R"({"run_id": "id-2", "attempt": 1})");
  event = life.Next();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->name(), "metadata");
  EXPECT_EQ(event->ToJson(), R"({"status": "run_done", "run_id": "id-2"})");
  std::ostringstream printed;
  printed << *event;
  EXPECT_EQ(printed.str(),
            R"(metadata {"status": "run_done", "run_id": "id-2"})");
  event = states.Next();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->name(), "state_update");
  EXPECT_THAT(event->ToJson(),
              StartsWith(R"({"values": {"notes": ["a x", "b x"], )"));
  EXPECT_THAT(event->ToJson(), HasSubstr(R"("run_id": "id-2"})"));
}

TEST_F(ThreadStreamTest, UpdateByHandIsAStateWithoutARun) {
  const ThreadId thread = runtime_->CreateThread();
  (void)Outcome(Start(thread, "x"));
  ThreadStream stream = Open(thread, {.modes = AllModes()});
  EXPECT_TRUE(runtime_
                  ->UpdateState(thread, {.values = Update(notes_, "by hand"),
                                         .as_node = "c"})
                  .ok());
  const ThreadEvent* const event = stream.Next();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(Text(*event), " state a x, b x, by hand");
  EXPECT_EQ(event->ToJson().find("run_id\": \"\""), std::string::npos);
}

// Calls `on_post` with each job that is posted, just before.
class WatchedExecutor : public Executor {
 public:
  explicit WatchedExecutor(SimExecutor* sim) : sim_(*sim) {}

  std::function<void()> on_post = [] {};

  void Post(Job job) override {
    on_post();
    sim_.Post(std::move(job));
  }
  TimerId PostAfter(absl::Duration delay, Job job) override {
    return sim_.PostAfter(delay, std::move(job));
  }
  bool Cancel(TimerId timer) override { return sim_.Cancel(timer); }
  absl::Time Now() const override { return sim_.Now(); }
  int workers() const override { return sim_.workers(); }
  bool RunUntil(const absl::Notification& done) override {
    return sim_.RunUntil(done);
  }
  bool picks_order() const override { return sim_.picks_order(); }

 private:
  SimExecutor& sim_;
};

// Its thread is idle from its verdict on; its events have ids until it is done.
TEST_F(ThreadStreamTest, UpdateByHandComesAfterTheRunThatIsJustEnding) {
  WatchedExecutor executor(&executor_);
  ServedGraphTest::Open({.executor = &executor});
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream stream = Open(thread, {.modes = AllModes()});
  const RunInfo run = Start(
      thread, "x",
      {.modes = kCustom, .on_end = [](const RunInfo&, const RunOutcome&) {}});
  bool updated = false;
  executor.on_post = [&] {
    // The call of on_end is posted after the verdict, before the run is done.
    if (updated || StatusOf(run) != "success") return;
    updated = true;
    EXPECT_THAT(Read(stream), ElementsAre("id-2 metadata"));
    EXPECT_TRUE(runtime_
                    ->UpdateState(thread, {.values = Update(notes_, "by hand"),
                                           .as_node = "c"})
                    .ok());
  };
  EXPECT_THAT(Read(stream),
              ElementsAre("id-2 done success", "id-2 state a x, b x",
                          " state a x, b x, by hand"));
  EXPECT_TRUE(updated);
  runtime_ = nullptr;
}

TEST_F(ThreadStreamTest, RunsThatPauseOrAreStoppedAreDoneToo) {
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream stream = Open(thread, {.modes = kLifecycle | kStateUpdate});
  (void)Outcome(Start(thread, "ask"));
  EXPECT_THAT(Read(stream), ElementsAre("id-2 started", "id-2 done success",
                                        "id-2 state a ask"));
  const RunInfo cancelled = Start(thread, "wait");
  RunAll();
  EXPECT_TRUE(runtime_->Cancel(thread, cancelled.id).ok());
  EXPECT_THAT(Read(stream), ElementsAre("id-3 started", "id-3 done interrupted",
                                        "id-3 state a ask, a wait"));
  const RunInfo undone = Start(thread, "wait");
  RunAll();
  EXPECT_TRUE(
      runtime_->Cancel(thread, undone.id, {.action = CancelAction::kRollback})
          .ok());
  EXPECT_THAT(Read(stream), ElementsAre("id-4 started", "id-4 done interrupted",
                                        "id-4 state a ask, a wait"));
}

TEST_F(ThreadStreamTest, RunThatNeverBeganIsNotTold) {
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream stream = Open(thread, {.modes = AllModes()});
  const RunInfo run = Start(thread, "x", {.after = absl::Hours(1)});
  EXPECT_TRUE(runtime_->Cancel(thread, run.id).ok());
  EXPECT_THAT(Read(stream), IsEmpty());
}

// Places.

TEST_F(ThreadStreamTest, JoinBeforeTheFirstRunLosesNothing) {
  InEachOrder(20, [this] {
    const ThreadId thread = runtime_->CreateThread();
    ThreadStream live = Open(thread);
    ThreadStream from_start = Open(thread, {.last_event_id = -1});
    EXPECT_EQ(live.last_event_id(), -1);
    (void)Start(thread, "emit", Plain());
    EXPECT_THAT(Read(live), SizeIs(17));
    EXPECT_THAT(Read(from_start), SizeIs(17));
  });
}

TEST_F(ThreadStreamTest, IdsGrowOverTheRunsOfAThread) {
  for (const bool resumable : {false, true}) {
    ServedGraphTest::Open();
    const ThreadId thread = runtime_->CreateThread();
    ThreadStream all = Open(thread, {.modes = AllModes()});
    ids_read_.clear();
    Lines texts;
    for (int i = 0; i < 3; ++i) {
      (void)Start(thread, "emit", resumable ? Resumable() : Plain());
      for (std::string& text : Read(all)) texts.push_back(std::move(text));
    }
    EXPECT_THAT(texts, SizeIs(3 * 18));
    EXPECT_TRUE(std::is_sorted(ids_read_.begin(), ids_read_.end()));
  }
}

TEST_F(ThreadStreamTest, IdNamesTheSameEventForEveryReader) {
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream first = Open(thread, {.modes = AllModes()});
  (void)Start(thread, "emit", Resumable());
  (void)Start(thread, "fail", Resumable());
  const Lines texts = Read(first);
  const std::vector<uint64_t> ids = ids_read_;
  for (const ThreadStreamModes modes : {kRunModes, kLifecycle, kStateUpdate}) {
    ThreadStream some = Open(thread, {.modes = modes, .last_event_id = -1});
    ids_read_.clear();
    const Lines got = Read(some);
    for (size_t i = 0; i < got.size(); ++i) {
      const auto at = std::find(ids.begin(), ids.end(), ids_read_[i]);
      if (at == ids.end()) {
        EXPECT_THAT(got[i], testing::EndsWith("started"));
      } else {
        EXPECT_EQ(got[i], texts[static_cast<size_t>(at - ids.begin())]);
      }
    }
  }
}

TEST_F(ThreadStreamTest, ReaderGoesOnAfterAnyEventItSaw) {
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream first = Open(thread, {.modes = AllModes()});
  (void)Start(thread, "emit", Resumable());
  (void)Start(thread, "fail", Resumable());
  (void)Start(thread, "emit", Resumable());
  const Lines texts = Read(first);
  const std::vector<uint64_t> ids = ids_read_;
  ASSERT_THAT(texts, SizeIs(18 + 4 + 18));
  for (size_t i = 0; i < ids.size(); ++i) {
    SCOPED_TRACE(texts[i]);
    ThreadStream next = Open(
        thread,
        {.modes = AllModes(), .last_event_id = static_cast<int64_t>(ids[i])});
    EXPECT_EQ(next.last_event_id(), static_cast<int64_t>(ids[i]));
    EXPECT_EQ(Read(next),
              Lines(texts.begin() + static_cast<long>(i) + 1, texts.end()));
  }
}

TEST_F(ThreadStreamTest, ReplayRunsOnIntoARunThatRuns) {
  for (const bool resumable : {false, true}) {
    ServedGraphTest::Open();
    const ThreadId thread = runtime_->CreateThread();
    (void)Outcome(Start(thread, "x", Resumable()));
    hold_after_ = 2;
    (void)Start(thread, "emit", resumable ? Resumable() : Plain());
    RunAll();
    ThreadStream replay = Open(thread, {.last_event_id = -1});
    ThreadStream live = Open(thread);
    gate_.Open();
    hold_after_ = -1;
    const Lines got = Read(replay);
    EXPECT_EQ(got.front(), "id-2 metadata");
    EXPECT_EQ(got[1], "id-2 done success");
    EXPECT_EQ(got[2], resumable ? "id-3 metadata" : "id-3 custom 3");
    EXPECT_EQ(got.back(), "id-3 done success");
    EXPECT_EQ(Read(live).front(), "id-3 custom 3");
  }
}

TEST_F(ThreadStreamTest, NoIdMeansWhatComesFromNowOn) {
  const ThreadId thread = runtime_->CreateThread();
  (void)Outcome(Start(thread, "x", Resumable()));
  ThreadStream stream = Open(thread, {.modes = AllModes()});
  EXPECT_THAT(Read(stream), IsEmpty());
  (void)Start(thread, "x", Resumable());
  EXPECT_THAT(Read(stream), SizeIs(3));
}

TEST_F(ThreadStreamTest, ReplayHasOfPlainRunsWhatIsKeptOfThem) {
  const ThreadId thread = runtime_->CreateThread();
  (void)Outcome(Start(thread, "emit", Plain()));
  (void)Outcome(Start(thread, "x", Resumable()));
  ThreadStream stream =
      Open(thread, {.modes = AllModes(), .last_event_id = -1});
  EXPECT_THAT(Read(stream),
              ElementsAre("id-2 done success", "id-2 state a emit, b emit",
                          "id-3 metadata", "id-3 done success",
                          "id-3 state a emit, b emit, a x, b x"));
}

TEST_F(ThreadStreamTest, ReplayHasOfALimitedRunWhatItsLimitLeft) {
  const ThreadId thread = runtime_->CreateThread();
  StartOptions options = Resumable();
  options.max_events = 2;
  (void)Outcome(Start(thread, "emit", options));
  ThreadStream stream = Open(thread, {.last_event_id = -1});
  EXPECT_THAT(Read(stream), ElementsAre("id-2 custom 14", "id-2 custom 15",
                                        "id-2 done success"));
}

TEST_F(ThreadStreamTest, StatesOfTheReplayAreThoseOfTheirTime) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo undone = Start(thread, "wait");
  RunAll();
  EXPECT_TRUE(runtime_
                  ->Cancel(thread, undone.id,
                           {.action = CancelAction::kRollback, .wait = true})
                  .ok());
  (void)Outcome(Start(thread, "one"));
  const RunInfo other = Start(thread, "wait");
  RunAll();
  EXPECT_TRUE(runtime_
                  ->Cancel(thread, other.id,
                           {.action = CancelAction::kRollback, .wait = true})
                  .ok());
  (void)Outcome(Start(thread, "two"));
  ThreadStream stream =
      Open(thread, {.modes = kStateUpdate, .last_event_id = -1});
  EXPECT_THAT(Read(stream),
              ElementsAre("id-2 state ", "id-3 state a one, b one",
                          "id-4 state a one, b one",
                          "id-5 state a one, b one, a two, b two"));
}

TEST_F(ThreadStreamTest, StatesAreReadByTheGraphThatLeftThem) {
  StateGraph builder;
  const auto count = builder.AddChannel("count", LastValue<int>());
  builder.AddNode("a", [count](NodeContext&) { return Update(count, 7); });
  builder.AddEdge(kStart, "a");
  ASSERT_TRUE(runtime_->Register("count", MustCompile(builder)).ok());
  const ThreadId thread = runtime_->CreateThread();
  (void)Outcome(Start(thread, "one"));
  ASSERT_TRUE(runtime_->Wait(thread, "count", Update()).ok());
  ThreadStream stream =
      Open(thread, {.modes = kStateUpdate, .last_event_id = -1});
  EXPECT_THAT(Read(stream).front(), "id-2 state a one, b one");
}

TEST_F(ThreadStreamTest, IdsThatCannotBeAreRefused) {
  const ThreadId thread = runtime_->CreateThread();
  EXPECT_THAT(Refusal(thread, {.last_event_id = 0}),
              Refused(absl::StatusCode::kOutOfRange, {thread, "0"}));
  (void)Outcome(Start(thread, "emit", Resumable()));
  for (const ThreadStreamModes modes : {kRunModes, kLifecycle}) {
    EXPECT_THAT(Refusal(thread, {.modes = modes, .last_event_id = 1000}),
                Refused(absl::StatusCode::kOutOfRange, {thread, "1000"}));
    EXPECT_THAT(Refusal(thread, {.modes = modes, .last_event_id = -2}),
                Refused(absl::StatusCode::kInvalidArgument, {thread, "-2"}));
  }
}

TEST_F(ThreadStreamTest, ModesThatAreNoneAreRefused) {
  const ThreadId thread = runtime_->CreateThread();
  for (const uint32_t modes : {0u, 8u, 9u}) {
    EXPECT_THAT(
        Refusal(thread, {.modes = static_cast<ThreadStreamModes>(modes)}),
        Refused(absl::StatusCode::kInvalidArgument,
                {thread, "kRunModes", "kLifecycle", "kStateUpdate"}));
  }
}

TEST_F(ThreadStreamTest, IdIsReadAsText) {
  const std::pair<const char*, std::optional<int64_t>> good[] = {
      {"", std::nullopt}, {"-", -1}, {"0", 0}, {"17", 17}};
  for (const auto& [text, id] : good) {
    const absl::StatusOr<std::optional<int64_t>> parsed =
        ParseThreadEventId(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, id) << text;
  }
  for (const std::string text :
       {"-1", "--", "2.5", "-5", "+3", "3 ", "1718000000000-0", "x"}) {
    EXPECT_THAT(ParseThreadEventId(text).status(),
                Refused(absl::StatusCode::kInvalidArgument,
                        {"'" + text + "'", "thread"}));
  }
}

// What is kept.

TEST_F(ThreadStreamTest, OldEndsAndStatesAreDropped) {
  ServedGraphTest::Open({.thread_retention = absl::Seconds(10)});
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream early = Open(thread, {.modes = kLifecycle});
  ThreadStream slow = Open(thread, {.modes = kLifecycle});
  (void)Outcome(Start(thread, "one", Resumable()));
  EXPECT_THAT(Read(early), SizeIs(2));
  const auto seen = static_cast<int64_t>(ids_read_.back());
  RunFor(absl::Seconds(11));
  (void)Outcome(Start(thread, "two", Resumable()));
  ThreadStream replay =
      Open(thread, {.modes = kLifecycle, .last_event_id = -1});
  EXPECT_THAT(Read(replay), ElementsAre("id-3 started", "id-3 done success"));
  EXPECT_THAT(Refusal(thread, {.modes = kLifecycle, .last_event_id = 0}),
              Refused(absl::StatusCode::kOutOfRange, {thread, "oldest"}));
  // The state after the end of the first is not kept either.
  EXPECT_EQ(CodeOf(Refusal(thread, {.last_event_id = seen})), "OUT_OF_RANGE");
  EXPECT_THAT(Read(early), ElementsAre("id-3 started", "id-3 done success"));
  EXPECT_THAT(Read(slow), IsEmpty());
  EXPECT_EQ(CodeOf(slow.status()), "DATA_LOSS") << "it never skips";
}

TEST_F(ThreadStreamTest, StartOfALongRunIsKeptUntilItsEnd) {
  ServedGraphTest::Open({.thread_retention = absl::Seconds(10)});
  const ThreadId thread = runtime_->CreateThread();
  (void)Start(thread, "sleep", Resumable());
  RunFor(absl::Seconds(59));
  ThreadStream replay = Open(thread, {.last_event_id = -1});
  ThreadStream life = Open(thread, {.modes = kLifecycle, .last_event_id = -1});
  RunFor(absl::Seconds(2));
  EXPECT_THAT(Read(replay), ElementsAre("id-2 metadata", "id-2 done success"));
  EXPECT_THAT(Read(life), ElementsAre("id-2 started", "id-2 done success"));
}

TEST_F(ThreadStreamTest, RunWhoseEventsAreNotKeptHasItsEnd) {
  const ThreadId thread = runtime_->CreateThread();
  StartOptions options = Resumable();
  options.retention = absl::Seconds(5);
  ThreadStream first = Open(thread);
  (void)Outcome(Start(thread, "emit", options));
  EXPECT_THAT(Read(first), SizeIs(17));
  RunFor(absl::Seconds(10));
  ThreadStream replay = Open(thread, {.last_event_id = -1});
  EXPECT_THAT(Read(replay), ElementsAre("id-2 done success"));
  EXPECT_THAT(
      Refusal(thread, {.last_event_id = static_cast<int64_t>(ids_read_[3])}),
      Refused(absl::StatusCode::kOutOfRange));
}

TEST_F(ThreadStreamTest, DeletedRunIsPassedOver) {
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream slow = Open(thread);
  const RunInfo run = Start(thread, "emit", Resumable());
  (void)Outcome(run);
  ASSERT_NE(slow.Next(), nullptr);
  EXPECT_TRUE(runtime_->DeleteRun(thread, run.id).ok());
  (void)Start(thread, "x", Resumable());
  EXPECT_THAT(Read(slow), ElementsAre("id-2 done success", "id-3 metadata",
                                      "id-3 done success"));
  EXPECT_FALSE(slow.ended());
}

// Ends.

TEST_F(ThreadStreamTest, StreamNeverEndsByItself) {
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream stream = Open(thread);
  (void)Start(thread, "x", Plain());
  EXPECT_THAT(Read(stream), SizeIs(2));
  EXPECT_EQ(stream.Next(), nullptr);
  EXPECT_FALSE(stream.ended());
  RunFor(absl::Hours(1000));
  (void)Start(thread, "x", Plain());
  EXPECT_THAT(Read(stream), SizeIs(2));
}

TEST_F(ThreadStreamTest, LeavingDoesNotTouchTheRun) {
  const ThreadId thread = runtime_->CreateThread();
  const RunInfo run = Start(thread, "wait", Plain());
  {
    ThreadStream stream = Open(thread);
    (void)Read(stream);
  }
  RunAll();
  EXPECT_EQ(StatusOf(run), "running");
}

TEST_F(ThreadStreamTest, EndsWithNotFoundWhenItsThreadIsDeleted) {
  for (const char* const job : {"", "wait"}) {
    for (const ThreadStreamModes modes : {kRunModes, kStateUpdate}) {
      const ThreadId thread = runtime_->CreateThread();
      ThreadStream stream = Open(thread, {.modes = modes});
      if (*job != '\0') (void)Start(thread, job, Plain());
      (void)Read(stream);
      absl::Status told;
      ThreadStream listens = Open(thread, {.modes = modes});
      listens.Listen([](const ThreadEvent&) {},
                     [&told](const absl::Status& status) { told = status; });
      RunAll();
      EXPECT_TRUE(runtime_->DeleteThread(thread).ok());
      (void)Read(stream);
      EXPECT_TRUE(stream.ended());
      EXPECT_THAT(stream.status(),
                  Refused(absl::StatusCode::kNotFound, {thread, "deleted"}));
      EXPECT_EQ(CodeOf(told), "NOT_FOUND");
    }
  }
}

TEST_F(ThreadStreamTest, ThreadOfAStatelessRunEndsWithIt) {
  const RunInfo run = Start("", "wait", Plain());
  ThreadStream stream = Open(run.thread_id, {.modes = kLifecycle});
  gate_.Open();
  RunAll();
  gate_.Open();
  (void)Read(stream);
  EXPECT_EQ(CodeOf(stream.status()), "NOT_FOUND");
}

// Ways to read.

TEST_F(ThreadStreamTest, NodeMayAwaitEventsOfAThread) {
  InEachOrder(20, [this] {
    Lines texts;
    std::optional<ThreadStream> stream;
    StateGraph builder;
    builder.AddNode("read", [&](NodeContext&) -> Task<NodeResult> {
      while (const ThreadEvent* event = co_await stream->NextAsync()) {
        texts.push_back(Text(*event));
      }
      co_return stream->status();
    });
    builder.AddEdge(kStart, "read");
    ASSERT_TRUE(runtime_->Register("reader", MustCompile(builder)).ok());
    const ThreadId thread = runtime_->CreateThread();
    stream.emplace(Open(thread));
    absl::StatusOr<RunInfo> reader =
        runtime_->StartRun(runtime_->CreateThread(), "reader", Update());
    ASSERT_TRUE(reader.ok());
    RunAll();
    (void)Start(thread, "emit", Plain());
    (void)Start(thread, "x", Plain());
    RunAll();
    EXPECT_THAT(texts, SizeIs(19));
    EXPECT_TRUE(runtime_->DeleteThread(thread).ok());
    EXPECT_EQ(CodeOf(Outcome(*reader).error), "NOT_FOUND");
    runtime_ = nullptr;
  });
}

TEST_F(ThreadStreamTest, ListenerIsToldAndMayDestroyItsStream) {
  InEachOrder(20, [this] {
    const ThreadId thread = runtime_->CreateThread();
    Lines texts;
    auto stream =
        std::make_unique<ThreadStream>(Open(thread, {.modes = AllModes()}));
    stream->Listen(
        [&](const ThreadEvent& event) {
          texts.push_back(Text(event));
          if (event.As<StateUpdated>() != nullptr) stream = nullptr;
        },
        [&](const absl::Status&) { texts.push_back("end"); });
    (void)Start(thread, "x", Plain());
    (void)Start(thread, "x", Plain());
    RunAll();
    EXPECT_THAT(texts, SizeIs(3));
    EXPECT_EQ(stream, nullptr);
  });
}

TEST_F(ThreadStreamTest, ListenerIsToldWhatIsLeftWhenTheRuntimeIsGone) {
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream stream = Open(thread);
  const RunInfo started = Start(thread, "emit", Resumable());
  (void)Outcome(started);
  RunStream run =
      *runtime_->JoinStream(thread, started.id, {.last_event_id = -1});
  runtime_ = nullptr;
  absl::Status ended;
  stream.Listen([](const ThreadEvent&) {},
                [&ended](const absl::Status& s) { ended = s; });
  EXPECT_EQ(CodeOf(ended), "UNAVAILABLE");
  int events = 0;
  bool told = false;
  run.Listen([&events](const Event&) { ++events; },
             [&told](const absl::Status&) { told = true; });
  EXPECT_GT(events, 1);
  EXPECT_TRUE(told);
}

TEST_F(ThreadStreamTest, StreamOutlivesItsRuntime) {
  const ThreadId thread = runtime_->CreateThread();
  ThreadStream stream = Open(thread, {.modes = AllModes()});
  (void)Outcome(Start(thread, "x", Plain()));
  ASSERT_NE(stream.Next(), nullptr);
  runtime_ = nullptr;
  while (stream.TryNext() != nullptr) {
  }
  EXPECT_TRUE(stream.ended());
  EXPECT_EQ(CodeOf(stream.status()), "UNAVAILABLE");
}

}  // namespace
}  // namespace weir
