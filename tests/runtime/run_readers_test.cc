#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
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

#include "weir/runtime/event.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/run_stream.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// The readers of a run: leaving, reading side by side, being slow, what is kept
// for them, and the ways to read.
namespace weir {
namespace {

using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RunReadersTest : public ServedGraphTest {};

// Leaving.

enum class Way { kStream, kWait, kJoin, kJoinStream };

struct LeaveRow {
  const char* name;
  Way way;
  bool cancels;
  bool early;  // Else at the end.
  const char* ends;
};
constexpr LeaveRow kLeaveRows[] = {
    {"Stream", Way::kStream, false, true, "success"},
    {"Stream, to the end", Way::kStream, false, false, "success"},
    {"Stream that cancels", Way::kStream, true, true, "interrupted"},
    {"Stream that cancels, to the end", Way::kStream, true, false, "success"},
    {"Wait", Way::kWait, false, true, "success"},
    {"Wait, to the end", Way::kWait, false, false, "success"},
    {"Wait that cancels", Way::kWait, true, true, "interrupted"},
    {"Wait that cancels, to the end", Way::kWait, true, false, "success"},
    {"Join", Way::kJoin, false, true, "success"},
    {"Join, to the end", Way::kJoin, false, false, "success"},
    {"Join that cancels", Way::kJoin, true, true, "interrupted"},
    {"Join that cancels, to the end", Way::kJoin, true, false, "success"},
    {"JoinStream", Way::kJoinStream, false, true, "success"},
    {"JoinStream, to the end", Way::kJoinStream, false, false, "success"},
    {"JoinStream that cancels", Way::kJoinStream, true, true, "interrupted"},
    {"JoinStream that cancels, to the end", Way::kJoinStream, true, false,
     "success"},
};

class LeavingTest : public RunReadersTest {
 protected:
  void Leave(const LeaveRow& row, const ThreadId& thread) {
    StartOptions options{.modes = kCustom};
    if (row.way == Way::kStream || row.way == Way::kWait) {
      options.on_disconnect =
          row.cancels ? OnDisconnect::kCancel : OnDisconnect::kContinue;
    }
    if (row.way == Way::kStream) {
      RunStream stream = Stream(thread, "wait", options);
      return LeaveStream(row, &stream);
    }
    if (row.way == Way::kWait) {
      return LeaveWait(row, [&](std::stop_token stop) {
        return runtime_->Wait(thread, "work", Job("wait"), options, stop);
      });
    }
    const RunInfo run = Start(thread, "wait", options);
    if (row.way == Way::kJoinStream) {
      RunStream stream = Join(run, {.cancel_on_disconnect = row.cancels});
      return LeaveStream(row, &stream);
    }
    LeaveWait(row, [&](std::stop_token stop) {
      return runtime_->Join(
          thread, run.id,
          JoinOptions{.cancel_on_disconnect = row.cancels, .stop = stop});
    });
  }

 private:
  void LeaveStream(const LeaveRow& row, RunStream* stream) {
    (void)Read(*stream);
    if (row.early) return;
    gate_.Open();
    EXPECT_THAT(Read(*stream), EndsWith("end"));
  }
  template <class F>
  void LeaveWait(const LeaveRow& row, F wait) {
    std::stop_source stop;
    executor_.PostAfter(absl::Seconds(1), [&] {
      if (row.early) {
        stop.request_stop();
      } else {
        gate_.Open();
      }
    });
    const absl::StatusOr<RunOutcome> left = wait(stop.get_token());
    EXPECT_EQ(CodeOf(left.status()), row.early ? "CANCELLED" : "OK");
    EXPECT_EQ(executor_.Now(), absl::UnixEpoch() + absl::Seconds(1));
    stop.request_stop();
  }
};

TEST_F(LeavingTest, EndsTheRunIfTheReaderSaidSoAndLeftEarly) {
  for (const LeaveRow& row : kLeaveRows) {
    SCOPED_TRACE(row.name);
    sim_.emplace(1);
    Open();
    const ThreadId thread = runtime_->CreateThread();
    Leave(row, thread);
    RunAll();
    gate_.Open();
    RunAll();
    const absl::StatusOr<std::vector<RunInfo>> runs =
        runtime_->ListRuns(thread);
    ASSERT_THAT(*runs, SizeIs(1));
    EXPECT_EQ(RunStatusName(runs->front().status), row.ends);
  }
}

TEST_F(LeavingTest, ByOneReaderEndsTheRunForAllOthers) {
  const ThreadId thread = runtime_->CreateThread();
  RunStream other = Stream(thread, "wait");
  {
    RunStream leaver = Join({.id = other.run_id(), .thread_id = thread},
                            {.cancel_on_disconnect = true});
  }
  EXPECT_EQ(Read(other), "0 end CANCELLED");
  EXPECT_EQ(other.run_status(), RunStatus::kInterrupted);
}

TEST_F(LeavingTest, CancelsARunThatHasNotBegun) {
  const RunInfo run =
      Start(runtime_->CreateThread(), "emit", {.after = absl::Hours(1)});
  { RunStream leaver = Join(run, {.cancel_on_disconnect = true}); }
  EXPECT_EQ(StatusOf(run), "interrupted");
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch());
}

TEST_F(LeavingTest, MovingAStreamIsNotLeavingIt) {
  const RunInfo run = Start(runtime_->CreateThread(), "wait");
  std::vector<RunStream> readers;
  readers.push_back(Join(run, {.cancel_on_disconnect = true}));
  RunStream moved = std::move(readers.front());
  readers.clear();
  RunAll();
  EXPECT_EQ(StatusOf(run), "running");
  // But assigning another stream to it is.
  moved = Join(run);
  RunAll();
  EXPECT_EQ(StatusOf(run), "interrupted");
}

TEST_F(LeavingTest, ReaderThatWasOvertakenDoesNotCancelTheRun) {
  const ThreadId thread = runtime_->CreateThread();
  hold_after_ = 10;
  {
    RunStream slow = Stream(thread, "emit",
                            {.modes = kCustom,
                             .resumable = true,
                             .max_events = 2,
                             .on_disconnect = OnDisconnect::kCancel});
    EXPECT_EQ(Read(slow), "end DATA_LOSS");
  }
  RunAll();
  EXPECT_EQ(StatusOf(thread), "busy");
  gate_.Open();
  RunAll();
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_EQ(NotesOn(thread), "a emit, b emit");
}

TEST_F(LeavingTest, RefusedJoinIsNotADisconnect) {
  const RunInfo run = Start(runtime_->CreateThread(), "wait");
  EXPECT_FALSE(
      runtime_
          ->JoinStream(run.thread_id, run.id,
                       {.last_event_id = -2, .cancel_on_disconnect = true})
          .ok());
  RunAll();
  EXPECT_EQ(StatusOf(run), "running");
}

TEST_F(LeavingTest, StopThatCameBeforeTheWaitCounts) {
  std::stop_source stop;
  stop.request_stop();
  const ThreadId thread = runtime_->CreateThread();
  EXPECT_EQ(CodeOf(runtime_
                       ->Wait(thread, "work", Job("wait"),
                              {.on_disconnect = OnDisconnect::kCancel},
                              stop.get_token())
                       .status()),
            "CANCELLED");
  RunAll();
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_THAT(*runtime_->ListRuns(thread, {.status = RunStatus::kInterrupted}),
              SizeIs(1));
}

// Side by side.

TEST_F(RunReadersTest, EachReaderGetsAllThatItIsDue) {
  for (const bool resumable : {false, true}) {
    hold_after_ = 7;
    const ThreadId thread = runtime_->CreateThread();
    RunStream first =
        Stream(thread, "emit", {.modes = kCustom, .resumable = resumable});
    const RunInfo run{.id = first.run_id(), .thread_id = thread};
    RunStream second = Join(run);
    for (int i = 0; i < 3; ++i) {
      EXPECT_NE(first.Next(), nullptr);
      EXPECT_NE(second.Next(), nullptr);
    }
    RunStream third = Join(run);
    gate_.Open();
    EXPECT_EQ(Read(second), "4..15 end");
    EXPECT_EQ(Read(third), "8..15 end");
    EXPECT_EQ(Read(first), "3..15 end");
  }
}

TEST_F(RunReadersTest, JoiningTheEndTakesNoEvents) {
  const ThreadId thread = runtime_->CreateThread();
  RunStream stream = Stream(thread, "emit");
  const RunInfo run{.id = stream.run_id(), .thread_id = thread};
  EXPECT_EQ(Outcome(run).status, RunStatus::kSuccess);
  EXPECT_TRUE(stream.Result().ok());
  EXPECT_EQ(Read(stream), "0..15 end");
}

TEST_F(RunReadersTest, ReaderThatLeftTakesNothingMore) {
  hold_after_ = 7;
  const ThreadId thread = runtime_->CreateThread();
  RunStream stays = Stream(thread, "emit");
  {
    RunStream leaves = Join({.id = stays.run_id(), .thread_id = thread});
    EXPECT_NE(leaves.Next(), nullptr);
  }
  gate_.Open();
  EXPECT_EQ(Read(stays), "0..15 end");
}

TEST_F(RunReadersTest, StreamOutlivesItsRuntime) {
  const ThreadId thread = runtime_->CreateThread();
  RunStream stream =
      Stream(thread, "emit", {.modes = kCustom, .resumable = true});
  EXPECT_EQ(Outcome({.id = stream.run_id(), .thread_id = thread}).status,
            RunStatus::kSuccess);
  runtime_ = nullptr;
  EXPECT_EQ(Read(stream), "0..15 end");
  EXPECT_EQ(stream.run_status(), RunStatus::kSuccess);
  EXPECT_TRUE(stream.Result().ok());
  stream.Cancel();
}

TEST(OwnedRuntimeTest, StreamOutlivesTheWorkersOfItsRuntime) {
  StateGraph builder;
  builder.AddNode("a", [](NodeContext& node) { node.Emit(1); });
  builder.AddEdge(kStart, "a");
  auto runtime = std::make_unique<Runtime>();
  ASSERT_TRUE(runtime->Register("graph", MustCompile(builder)).ok());
  absl::StatusOr<RunStream> stream = runtime->Stream(
      runtime->CreateThread(), "graph", Update(), {.modes = kCustom});
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_TRUE(stream->Result().ok());
  runtime = nullptr;
  EXPECT_THAT(ReadAll(*stream).events, SizeIs(2));
  EXPECT_TRUE(stream->Result().ok());
  stream->Cancel();
}

// Slow readers.

TEST_F(RunReadersTest, ReaderMayAskHowFarBehindItIs) {
  hold_after_ = 7;
  const ThreadId thread = runtime_->CreateThread();
  RunStream stream = Stream(thread, "emit", {.modes = kUpdates | kCustom});
  RunStream some =
      Join({.id = stream.run_id(), .thread_id = thread}, {.modes = kUpdates});
  EXPECT_EQ(stream.lag(), 1u) << "that it has begun";
  EXPECT_EQ(some.lag(), 0u);
  RunAll();
  EXPECT_EQ(stream.lag(), 9u);
  EXPECT_EQ(some.lag(), 8u) << "also those that its filter hides";
  EXPECT_NE(stream.Next(), nullptr);
  EXPECT_EQ(stream.lag(), 8u);
  EXPECT_EQ(Read(stream), "1..8");
  EXPECT_EQ(stream.lag(), 0u);
}

TEST_F(RunReadersTest, SlowReaderDoesNotSlowTheRun) {
  const ThreadId thread = runtime_->CreateThread();
  RunStream stream = Stream(thread, "emit");
  RunAll();
  EXPECT_EQ(StatusOf(thread), "idle");
  EXPECT_EQ(stream.lag(), 16u);
  EXPECT_EQ(Read(stream), "0..15 end");
}

TEST_F(RunReadersTest, ReaderWhoseNextEventIsDroppedEndsWithDataLoss) {
  hold_after_ = 7;
  const ThreadId thread = runtime_->CreateThread();
  RunStream stream = Stream(
      thread, "emit", {.modes = kCustom, .resumable = true, .max_events = 4});
  EXPECT_EQ(Read(stream), "end DATA_LOSS");
  RunStream other =
      Join({.id = stream.run_id(), .thread_id = thread}, {.last_event_id = 3});
  EXPECT_NE(other.Next(), nullptr);
  gate_.Open();
  RunAll();
  EXPECT_EQ(Read(other), "end DATA_LOSS") << "it never skips";
  EXPECT_EQ(other.last_event_id(), 4);
}

TEST_F(RunReadersTest, DataLossNamesTheFirstMissingAndTheOldestKept) {
  RunStream stream =
      Stream(runtime_->CreateThread(), "emit",
             {.modes = kCustom, .resumable = true, .max_events = 4});
  EXPECT_EQ(Read(stream), "end DATA_LOSS");
  EXPECT_THAT(stream.status(), Refused(absl::StatusCode::kDataLoss,
                                       {"first missing id is 0", "12"}));
}

TEST_F(RunReadersTest, ReaderWithinTheWindowGetsAll) {
  RunStream stream = Stream(runtime_->CreateThread(), "emit",
                            {.modes = kCustom, .window = 16});
  EXPECT_EQ(Read(stream), "0..15 end");
}

TEST_F(RunReadersTest, ReaderBehindTheWindowEndsWithDataLoss) {
  hold_after_ = 7;
  const ThreadId thread = runtime_->CreateThread();
  RunStream slow = Stream(thread, "emit", {.modes = kCustom, .window = 8});
  RunStream quick = Join({.id = slow.run_id(), .thread_id = thread});
  EXPECT_NE(slow.Next(), nullptr);
  EXPECT_NE(slow.Next(), nullptr);
  EXPECT_EQ(Read(quick), "1..7");
  gate_.Open();
  EXPECT_EQ(Read(quick), "8..15 end") << "who is quick is not touched";
  EXPECT_EQ(Read(slow), "end DATA_LOSS");
  // Events 2 to 7 were missed, after 1.
  EXPECT_THAT(slow.status(), Refused(absl::StatusCode::kDataLoss, {"1", "6"}));
  EXPECT_EQ(slow.run_status(), std::nullopt);
}

TEST_F(RunReadersTest, ReaderThatSkipsGoesOnAtTheOldestKept) {
  hold_after_ = 7;
  const ThreadId thread = runtime_->CreateThread();
  RunStream first = Stream(thread, "emit", {.modes = kCustom, .window = 8});
  RunStream skips = Join({.id = first.run_id(), .thread_id = thread},
                         {.on_lag = OnLag::kSkip});
  EXPECT_NE(skips.Next(), nullptr);
  EXPECT_EQ(skips.missed(), 0u);
  gate_.Open();
  EXPECT_EQ(Read(skips), "8..15 end");
  EXPECT_EQ(skips.missed(), 6u);
  EXPECT_EQ(skips.run_status(), RunStatus::kSuccess);
}

// What is kept.

TEST_F(RunReadersTest, EventsAreKeptForATimeAfterTheEnd) {
  hold_after_ = 7;
  const RunInfo run = Start(
      runtime_->CreateThread(), "emit",
      {.modes = kCustom, .resumable = true, .retention = absl::Seconds(9)});
  RunFor(absl::Hours(1));
  {
    RunStream stream = Join(run, {.last_event_id = -1});
    EXPECT_EQ(Read(stream), "0..7") << "all of a run that lives";
  }
  gate_.Open();
  RunFor(absl::Seconds(8));
  RunStream attached = Join(run, {.last_event_id = -1});
  EXPECT_NE(attached.Next(), nullptr);
  RunFor(absl::Seconds(2));
  EXPECT_THAT(runtime_->JoinStream(run.thread_id, run.id, {.last_event_id = -1})
                  .status(),
              Refused(absl::StatusCode::kOutOfRange, {run.id, "not kept"}));
  EXPECT_THAT(runtime_->JoinStream(run.thread_id, run.id, {.last_event_id = 14})
                  .status(),
              Refused(absl::StatusCode::kOutOfRange, {run.id, "14"}));
  EXPECT_THAT(runtime_->JoinStream(run.thread_id, run.id, {.last_event_id = 16})
                  .status(),
              Refused(absl::StatusCode::kOutOfRange, {run.id, "16", "15"}));
  RunStream at_end = Join(run, {.last_event_id = 15});
  EXPECT_EQ(Read(at_end), "end");
  EXPECT_EQ(at_end.run_status(), RunStatus::kSuccess);
  RunStream live = Join(run);
  EXPECT_EQ(Read(live), "end");
  EXPECT_EQ(Read(attached), "1..15 end") << "who has them keeps them";
}

TEST_F(RunReadersTest, EventsAreKept120SecondsUnlessToldOtherwise) {
  const RunInfo run = Start(runtime_->CreateThread(), "emit",
                            {.modes = kCustom, .resumable = true});
  const RunInfo always = Start(runtime_->CreateThread(), "emit",
                               {.modes = kCustom,
                                .resumable = true,
                                .retention = absl::InfiniteDuration()});
  RunFor(absl::Seconds(119));
  RunStream stream = Join(run, {.last_event_id = -1});
  RunFor(absl::Seconds(2));
  EXPECT_FALSE(
      runtime_->JoinStream(run.thread_id, run.id, {.last_event_id = -1}).ok());
  RunFor(absl::Hours(10'000));
  RunStream old = Join(always, {.last_event_id = -1});
  EXPECT_EQ(Read(old), "0..15 end");
}

TEST_F(RunReadersTest, LimitInEventsDropsTheOldestWhileTheRunLives) {
  hold_after_ = 7;
  const RunInfo run =
      Start(runtime_->CreateThread(), "emit",
            {.modes = kCustom, .resumable = true, .max_events = 3});
  RunAll();
  EXPECT_FALSE(
      runtime_->JoinStream(run.thread_id, run.id, {.last_event_id = 3}).ok());
  RunStream stream = Join(run, {.last_event_id = 4});
  EXPECT_EQ(Read(stream), "5..7");
  gate_.Open();
  for (uint64_t id = 8; id <= 15; ++id) {
    const Event* const event = stream.Next();
    if (event == nullptr) break;  // It was overtaken in one job.
    EXPECT_GE(event->id(), id);
  }
}

TEST_F(RunReadersTest, LimitInBytesCountsTheData) {
  const RunInfo run =
      Start(runtime_->CreateThread(), "emit",
            {.modes = kCustom, .resumable = true, .max_bytes = 7});
  (void)Outcome(run);
  EXPECT_FALSE(
      runtime_->JoinStream(run.thread_id, run.id, {.last_event_id = 11}).ok());
  RunStream stream = Join(run, {.last_event_id = 12});
  EXPECT_EQ(Read(stream), "13..15 end");
}

TEST_F(RunReadersTest, LimitsCountTheErrorToo) {
  const RunInfo run =
      Start(runtime_->CreateThread(), "fail",
            {.modes = kUpdates, .resumable = true, .max_events = 2});
  (void)Outcome(run);
  EXPECT_FALSE(
      runtime_->JoinStream(run.thread_id, run.id, {.last_event_id = -1}).ok());
  RunStream stream = Join(run, {.last_event_id = 0});
  EXPECT_EQ(Read(stream), "1..2 end UNAVAILABLE");
}

// Ways to read.

TEST_F(RunReadersTest, NextRunsTheRunAndTryNextDoesNot) {
  RunStream stream = Stream(runtime_->CreateThread(), "emit");
  ASSERT_NE(stream.TryNext(), nullptr) << "that it has begun is told at once";
  EXPECT_EQ(stream.TryNext(), nullptr);
  EXPECT_FALSE(stream.ended());
  const Event* const event = stream.Next();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(EventText(*event), "custom 1");
}

TEST_F(RunReadersTest, NextIsNullWhereNothingCanCome) {
  RunStream stream = Stream(runtime_->CreateThread(), "deaf");
  EXPECT_NE(stream.Next(), nullptr);
  EXPECT_EQ(stream.Next(), nullptr);
  EXPECT_FALSE(stream.ended());
  gate_.Open();
  EXPECT_EQ(Read(stream), "end");
}

TEST_F(RunReadersTest, NodeOfAnotherRunMayAwaitEvents) {
  InEachOrder(20, [this] {
    hold_after_ = 7;
    std::vector<uint64_t> ids;
    std::optional<RunStream> stream;
    StateGraph builder;
    builder.AddNode("read", [&](NodeContext&) -> Task<NodeResult> {
      while (const Event* event = co_await stream->NextAsync()) {
        ids.push_back(event->id());
      }
      co_return NodeResult(Update());
    });
    builder.AddEdge(kStart, "read");
    ASSERT_TRUE(runtime_->Register("reader", MustCompile(builder)).ok());
    stream.emplace(Stream(runtime_->CreateThread(), "emit"));
    absl::StatusOr<RunInfo> reader =
        runtime_->StartRun(runtime_->CreateThread(), "reader", Update());
    ASSERT_TRUE(reader.ok());
    RunAll();
    EXPECT_THAT(ids, SizeIs(8));
    gate_.Open();
    EXPECT_EQ(Outcome(*reader).status, RunStatus::kSuccess);
    EXPECT_THAT(ids, SizeIs(16));
    EXPECT_TRUE(stream->ended());
    runtime_ = nullptr;
  });
}

TEST_F(RunReadersTest, ListenerIsToldEachEventAndThenTheEnd) {
  InEachOrder(20, [this] {
    Lines told;
    RunStream stream = Stream(runtime_->CreateThread(), "emit");
    stream.Listen(
        [&told](const Event& event) { told.push_back(EventText(event)); },
        [&told](const absl::Status& status) {
          told.push_back("end " + CodeOf(status));
        });
    EXPECT_THAT(told, IsEmpty()) << "never inside the call";
    RunAll();
    ASSERT_THAT(told, SizeIs(17));
    EXPECT_EQ(told[1], "custom 1");
    EXPECT_EQ(told[16], "end OK");
  });
}

TEST_F(RunReadersTest, ListenerThatIsGoneIsNotCalled) {
  hold_after_ = 7;
  int calls = 0;
  const ThreadId thread = runtime_->CreateThread();
  {
    RunStream stream = Stream(thread, "emit");
    stream.Listen([&calls](const Event&) { ++calls; },
                  [&calls](const absl::Status&) { ++calls; });
    RunAll();
    EXPECT_EQ(calls, 8);
  }
  gate_.Open();
  RunAll();
  EXPECT_EQ(calls, 8);
  EXPECT_EQ(StatusOf(thread), "idle") << "the run goes on";
}

TEST_F(RunReadersTest, ListenerMayDestroyItsStream) {
  InEachOrder(20, [this] {
    int calls = 0;
    auto stream =
        std::make_unique<RunStream>(Stream(runtime_->CreateThread(), "emit"));
    stream->Listen(
        [&](const Event&) {
          if (++calls == 5) stream = nullptr;
        },
        [&](const absl::Status&) { ++calls; });
    RunAll();
    EXPECT_EQ(calls, 5);
    auto other =
        std::make_unique<RunStream>(Stream(runtime_->CreateThread(), "emit"));
    other->Listen([](const Event&) {},
                  [&](const absl::Status&) { other = nullptr; });
    RunAll();
    EXPECT_EQ(other, nullptr);
  });
}

// With workers.

class WorkersTest : public testing::Test {
 protected:
  static constexpr int kMany = 2'000;

  WorkersTest() {
    StateGraph builder;
    builder.AddNode("a", [](NodeContext& node) {
      for (int i = 1; i <= kMany; ++i) node.Emit(i);
    });
    builder.AddEdge(kStart, "a");
    EXPECT_TRUE(runtime_.Register("graph", MustCompile(builder)).ok());
  }

  TbbExecutor executor_{4};
  Runtime runtime_{{.executor = &executor_}};
};

TEST_F(WorkersTest, ReplayRunsOnIntoWhatComesWithoutGapOrDuplicate) {
  for (int round = 0; round < 5; ++round) {
    const ThreadId thread = runtime_.CreateThread();
    absl::StatusOr<RunInfo> run = runtime_.StartRun(
        thread, "graph", Update(), {.modes = kCustom, .resumable = true});
    ASSERT_TRUE(run.ok()) << run.status();
    std::vector<std::jthread> readers;
    readers.reserve(4);
    for (int i = 0; i < 4; ++i) {
      readers.emplace_back([&] {
        int64_t last = -1;
        while (last < kMany) {  // Leaves now and then, and comes back.
          absl::StatusOr<RunStream> stream =
              runtime_.JoinStream(thread, run->id, {.last_event_id = last});
          ASSERT_TRUE(stream.ok()) << stream.status();
          for (int n = 0; n < 500; ++n) {
            const Event* const event = stream->Next();
            if (event == nullptr) break;
            ASSERT_EQ(static_cast<int64_t>(event->id()), ++last);
          }
        }
      });
    }
  }
}

TEST_F(WorkersTest, CallsOfAListenerDoNotOverlap) {
  std::atomic<bool> inside{false};
  int calls = 0;  // Not atomic: the calls come one after another.
  absl::Notification over;
  absl::StatusOr<RunStream> stream = runtime_.Stream(
      runtime_.CreateThread(), "graph", Update(), {.modes = kCustom});
  ASSERT_TRUE(stream.ok()) << stream.status();
  stream->Listen(
      [&](const Event&) {
        EXPECT_FALSE(inside.exchange(true));
        ++calls;
        inside.store(false);
      },
      [&](const absl::Status&) {
        EXPECT_FALSE(inside.exchange(true));
        over.Notify();
      });
  over.WaitForNotification();
  EXPECT_EQ(calls, kMany + 1);
}

TEST_F(WorkersTest, DestroyingAStreamWaitsForACallUnderWay) {
  absl::Notification began, go_on;
  bool ended = false;
  absl::StatusOr<RunStream> stream = runtime_.Stream(
      runtime_.CreateThread(), "graph", Update(), {.modes = kCustom});
  ASSERT_TRUE(stream.ok()) << stream.status();
  stream->Listen(
      [&](const Event&) {
        if (began.HasBeenNotified()) return;
        began.Notify();
        go_on.WaitForNotification();
        ended = true;
      },
      [](const absl::Status&) {});
  began.WaitForNotification();
  std::jthread destroyer([&] {
    { const RunStream last = *std::move(stream); }
    EXPECT_TRUE(ended);
  });
  go_on.Notify();
}

}  // namespace
}  // namespace weir
