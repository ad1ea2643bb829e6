#include <algorithm>
#include <atomic>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// What RunOptions bound or stop: tasks at once, time, drains and cancelling.
namespace weir {
namespace {

using ::testing::ElementsAre;

class RunControlTest : public testing::Test {
 protected:
  template <class F>
  void AddEntry(const std::string& name, F body, NodeOptions options = {}) {
    builder_.AddNode(name, std::move(body), std::move(options));
    builder_.AddEdge(kStart, name);
  }
  absl::Status Run(SimExecutor& executor, RunOptions options) {
    options.executor = &executor;
    return MustCompile(builder_).Invoke(Update(), std::move(options)).status();
  }
  static absl::Duration Elapsed(const SimExecutor& executor) {
    return executor.Now() - absl::UnixEpoch();
  }

  StateGraph builder_;
};

// Sleeps and then notes how it was woken.
struct Sleeper {
  absl::Duration time;
  std::vector<std::string>* woken;

  Task<NodeResult> operator()(NodeContext& node) const {
    const absl::Status slept = co_await node.Sleep(time);
    woken->push_back(absl::StrCat(std::string(node.node()),
                                  slept.ok() ? " in time" : " stopped"));
    co_return NodeResult();
  }
};

// Tasks at once.

class MaxConcurrencyTest : public RunControlTest {
 protected:
  // A node that takes a second.
  struct OneSecond {
    MaxConcurrencyTest* test;
    Task<NodeResult> operator()(NodeContext& node) const {
      test->most_ = std::max(test->most_, ++test->running_);
      (void)co_await node.Sleep(absl::Seconds(1));
      --test->running_;
      ++test->ended_;
      co_return NodeResult();
    }
  };
  int running_ = 0;
  int most_ = 0;
  int ended_ = 0;
};

TEST_F(MaxConcurrencyTest, BoundsTheTasksThatAreUnfinished) {
  for (int i = 0; i < 10; ++i) {
    AddEntry(absl::StrCat("n", i), OneSecond{this});
  }
  for (const int bound : {1, 2, 3, 9, 10, 100}) {
    SCOPED_TRACE(bound);
    ForEachOrder(10, [&](SimExecutor& executor) {
      running_ = most_ = ended_ = 0;
      EXPECT_TRUE(Run(executor, {.max_concurrency = bound}).ok());
      EXPECT_EQ(ended_, 10);
      EXPECT_EQ(most_, std::min(bound, 10));
      // A place that becomes free is taken at once.
      EXPECT_EQ(Elapsed(executor), absl::Seconds((10 + bound - 1) / bound));
    });
  }
}

TEST_F(MaxConcurrencyTest, IsNoBoundIfZero) {
  for (int i = 0; i < 10; ++i) {
    AddEntry(absl::StrCat("n", i), OneSecond{this});
  }
  SimExecutor executor(1);
  EXPECT_TRUE(Run(executor, {}).ok());
  EXPECT_EQ(most_, 10);
}

TEST_F(MaxConcurrencyTest, HoldsForSendsAndLaterSupersteps) {
  AddEntry("a", [](NodeContext&) {
    Command command;
    for (int i = 0; i < 10; ++i) command.go_to.emplace_back(Send("w", i));
    return command;
  });
  builder_.AddNode("w", OneSecond{this});
  builder_.AddConditionalEdges("w", [](NodeContext& state) {
    return Route(state.step() < 3 ? Target(Send("w", 1)) : Target(kEnd));
  });
  ForEachOrder(10, [&](SimExecutor& executor) {
    running_ = most_ = ended_ = 0;
    EXPECT_TRUE(Run(executor, {.max_concurrency = 4}).ok());
    EXPECT_EQ(ended_, 20);
    EXPECT_EQ(most_, 4);
    EXPECT_EQ(Elapsed(executor), absl::Seconds(6));
  });
}

TEST_F(MaxConcurrencyTest, HoldsWhileTasksWaitForAnotherAttempt) {
  for (int i = 0; i < 4; ++i) {
    AddEntry(absl::StrCat("n", i),
             [this](NodeContext& node) -> NodeResult {
               if (node.attempt() == 1) {
                 most_ = std::max(most_, ++running_);
                 return absl::UnavailableError("busy");
               }
               --running_;
               ++ended_;
               return {};
             },
             {.retry = {RetryPolicy{.initial_interval = absl::Seconds(1),
                                    .jitter = false}}});
  }
  ForEachOrder(10, [&](SimExecutor& executor) {
    running_ = most_ = ended_ = 0;
    EXPECT_TRUE(Run(executor, {.max_concurrency = 2}).ok());
    EXPECT_EQ(ended_, 4);
    EXPECT_EQ(most_, 2);
    EXPECT_EQ(Elapsed(executor), absl::Seconds(2));
  });
}

TEST_F(MaxConcurrencyTest, CountsForEachGraphByItself) {
  StateGraph inner;
  for (int i = 0; i < 4; ++i) {
    const std::string name = absl::StrCat("x", i);
    inner.AddNode(name, OneSecond{this});
    inner.AddEdge(kStart, name);
  }
  for (const char* name : {"a", "b"}) {
    builder_.AddNode(name, MustCompile(inner));
    builder_.AddEdge(kStart, name);
  }
  SimExecutor executor(1);
  EXPECT_TRUE(Run(executor, {.max_concurrency = 2}).ok());
  EXPECT_EQ(most_, 4);
  EXPECT_EQ(Elapsed(executor), absl::Seconds(2));
}

TEST_F(MaxConcurrencyTest, HoldsOnManyWorkers) {
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  std::atomic<int> ended{0};
  const NotesChannel notes = AddNotes(builder_);
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    const std::string name = absl::StrFormat("n%03d", i);
    AddEntry(name, [&, notes](NodeContext& node) {
      const int now = running.fetch_add(1) + 1;
      int seen = most.load();
      while (seen < now && !most.compare_exchange_weak(seen, now)) {
      }
      ended.fetch_add(1);
      running.fetch_sub(1);
      return NoteStep{notes}(node);
    });
    absl::StrAppend(&expected, i == 0 ? "" : " ", name, "@1");
  }
  TbbExecutor executor(4);
  for (const int bound : {1, 2, 3}) {
    most = 0;
    ended = 0;
    EXPECT_EQ(NotesOf(MustCompile(builder_), notes,
                      {.max_concurrency = bound, .executor = &executor}),
              expected);
    EXPECT_LE(most.load(), bound);
    EXPECT_EQ(ended.load(), 200);
  }
}

TEST_F(MaxConcurrencyTest, HoldsForNodesThatOtherThreadsComplete) {
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  TbbExecutor others(2);
  for (int i = 0; i < 50; ++i) {
    AddEntry(absl::StrCat("n", i), [&](NodeContext&, Completion done) {
      const int now = running.fetch_add(1) + 1;
      int seen = most.load();
      while (seen < now && !most.compare_exchange_weak(seen, now)) {
      }
      others.Post([&running, done = std::move(done)]() mutable {
        running.fetch_sub(1);
        done(NodeResult());
      });
    });
  }
  TbbExecutor executor(2);
  EXPECT_TRUE(
      MustCompile(builder_)
          .Invoke(Update(), {.max_concurrency = 3, .executor = &executor})
          .ok());
  EXPECT_LE(most.load(), 3);
  EXPECT_EQ(running.load(), 0);
}

// Time for a superstep.

TEST_F(RunControlTest, StepTimeoutStopsTheNodesAndFailsTheRun) {
  std::vector<std::string> woken;
  AddEntry("a", Sleeper{absl::Seconds(10), &woken});
  AddEntry("b", Sleeper{absl::Seconds(1), &woken});
  bool ran = false;
  builder_.AddNode("c", [&ran](NodeContext&) { ran = true; });
  builder_.AddEdge("a", "c");
  ForEachOrder(10, [&](SimExecutor& executor) {
    woken.clear();
    EXPECT_THAT(
        Run(executor, {.step_timeout = absl::Seconds(3)}),
        IsError(ErrorKind::kStepTimeout, absl::StatusCode::kDeadlineExceeded,
                {"step 1", "'graph'", "3s"}));
    EXPECT_THAT(woken, ElementsAre("b in time", "a stopped"));
    EXPECT_EQ(Elapsed(executor), absl::Seconds(3));
    EXPECT_FALSE(ran);
  });
}

TEST_F(RunControlTest, StepTimeoutIsForEachSuperstep) {
  std::vector<std::string> woken;
  AddEntry("a", Sleeper{absl::Seconds(2), &woken});
  builder_.AddNode("b", Sleeper{absl::Seconds(2), &woken});
  builder_.AddNode("c", Sleeper{absl::Seconds(2), &woken});
  builder_.AddEdge("a", "b");
  builder_.AddEdge("b", "c");
  ForEachOrder(10, [&](SimExecutor& executor) {
    EXPECT_TRUE(Run(executor, {.step_timeout = absl::Seconds(3)}).ok());
    EXPECT_EQ(Elapsed(executor), absl::Seconds(6));
  });
}

// Where both come at one moment either may win, but nothing else may come of
// it.
TEST_F(RunControlTest, StepThatEndsAsItsTimeIsUpEitherEndsOrTimesOut) {
  std::vector<std::string> woken;
  AddEntry("a", Sleeper{absl::Seconds(3), &woken});
  builder_.AddNode("b", Sleeper{absl::Seconds(1), &woken});
  builder_.AddEdge("a", "b");
  int ended = 0;
  int timed_out = 0;
  ForEachOrder(200, [&](SimExecutor& executor) {
    woken.clear();
    const absl::Status status =
        Run(executor, {.step_timeout = absl::Seconds(3)});
    if (status.ok()) {
      ++ended;
      EXPECT_THAT(woken, ElementsAre("a in time", "b in time"));
    } else {
      ++timed_out;
      EXPECT_EQ(ErrorKindOf(status), ErrorKind::kStepTimeout) << status;
      EXPECT_EQ(Elapsed(executor), absl::Seconds(3));
    }
  });
  EXPECT_GT(ended, 0);
  EXPECT_GT(timed_out, 0);
}

TEST_F(RunControlTest, StepTimeoutHoldsInGraphsInside) {
  std::vector<std::string> woken;
  StateGraph inner;
  inner.AddNode("x", Sleeper{absl::Seconds(2), &woken});
  inner.AddNode("y", Sleeper{absl::Seconds(10), &woken});
  inner.AddEdge(kStart, "x");
  inner.AddEdge("x", "y");
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  SimExecutor executor(1);
  // The outer superstep is the first whose time is up.
  EXPECT_THAT(
      Run(executor, {.step_timeout = absl::Seconds(3)}),
      IsError(ErrorKind::kStepTimeout, absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(woken, ElementsAre("x in time", "y stopped"));
  EXPECT_EQ(Elapsed(executor), absl::Seconds(3));
}

TEST_F(RunControlTest, StepTimeoutEndsTheWaitForAnotherAttempt) {
  int attempts = 0;
  AddEntry("a",
           [&attempts](NodeContext&) {
             ++attempts;
             return absl::UnavailableError("busy");
           },
           {.retry = {RetryPolicy{.initial_interval = absl::Hours(1),
                                  .max_interval = absl::Hours(1)}}});
  SimExecutor executor(1);
  EXPECT_EQ(ErrorKindOf(Run(executor, {.step_timeout = absl::Seconds(3)})),
            ErrorKind::kStepTimeout);
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(Elapsed(executor), absl::Seconds(3));
}

TEST_F(RunControlTest, StepTimeoutFailsAStepWhoseNodeHeldTheOnlyWorker) {
  InlineExecutor executor;
  AddEntry("a", [&executor](NodeContext&) {
    const absl::Time end = executor.Now() + absl::Milliseconds(2);
    while (executor.Now() < end) {
    }
  });
  EXPECT_EQ(
      ErrorKindOf(MustCompile(builder_)
                      .Invoke(Update(), {.step_timeout = absl::Milliseconds(1),
                                         .executor = &executor})
                      .status()),
      ErrorKind::kStepTimeout);
}

// Draining.

TEST_F(RunControlTest, DrainStopsAtTheNextBarrier) {
  RunControl control;
  AddEntry("a", [&control](NodeContext& node) {
    control.RequestDrain("closing time");
    control.RequestDrain("a later reason");
    EXPECT_FALSE(node.stop_token().stop_requested());
  });
  bool ran = false;
  builder_.AddNode("b", [&ran](NodeContext&) { ran = true; });
  builder_.AddEdge("a", "b");
  SimExecutor executor(1);
  EXPECT_THAT(Run(executor, {.control = &control}),
              IsError(ErrorKind::kGraphDrained, absl::StatusCode::kCancelled,
                      {"'graph'", "step 2", "closing time"}));
  EXPECT_FALSE(ran);
}

TEST_F(RunControlTest, DrainLetsTheSuperstepEnd) {
  RunControl control;
  std::vector<std::string> woken;
  AddEntry("a", Sleeper{absl::Seconds(5), &woken});
  builder_.AddNode("b", Idle());
  builder_.AddEdge("a", "b");
  SimExecutor executor(1);
  executor.PostAfter(absl::Seconds(1),
                     [&control] { control.RequestDrain("x"); });
  EXPECT_EQ(ErrorKindOf(Run(executor, {.control = &control})),
            ErrorKind::kGraphDrained);
  EXPECT_THAT(woken, ElementsAre("a in time"));
}

TEST_F(RunControlTest, DrainOfARunWithNothingLeftIsNoFailure) {
  RunControl control;
  AddEntry("a", [&control](NodeContext&) { control.RequestDrain("x"); });
  SimExecutor executor(1);
  EXPECT_TRUE(Run(executor, {.control = &control}).ok());
}

TEST_F(RunControlTest, DrainBeforeTheRunKeepsAllNodesFromRunning) {
  RunControl control;
  control.RequestDrain("x");
  bool ran = false;
  AddEntry("a", [&ran](NodeContext&) { ran = true; });
  SimExecutor executor(1);
  EXPECT_EQ(ErrorKindOf(Run(executor, {.control = &control})),
            ErrorKind::kGraphDrained);
  EXPECT_FALSE(ran);
}

TEST_F(RunControlTest, DrainReachesGraphsInsideAndIsNotRetried) {
  RunControl control;
  StateGraph inner;
  int runs = 0;
  inner.AddNode("x", [&control, &runs](NodeContext&) {
    ++runs;
    control.RequestDrain("closing time");
  });
  inner.AddNode("y", [](NodeContext&) { ADD_FAILURE() << "it was drained"; });
  inner.AddEdge(kStart, "x");
  inner.AddEdge("x", "y");
  RetryPolicy any;
  any.retry_on = [](const absl::Status&) { return true; };
  builder_.AddNode("sub", MustCompile(inner), {.retry = {any}});
  builder_.AddEdge(kStart, "sub");
  SimExecutor executor(1);
  EXPECT_THAT(Run(executor, {.control = &control}),
              IsError(ErrorKind::kGraphDrained, absl::StatusCode::kCancelled,
                      {"closing time"}));
  EXPECT_EQ(runs, 1);
}

TEST_F(RunControlTest, OneControlDrainsManyRuns) {
  RunControl control;
  AddEntry("a", [&control](NodeContext&) { control.RequestDrain("x"); });
  builder_.AddNode("b", Idle());
  builder_.AddEdge("a", "b");
  SimExecutor executor(1);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(ErrorKindOf(Run(executor, {.control = &control})),
              ErrorKind::kGraphDrained);
  }
  EXPECT_TRUE(Run(executor, {}).ok());
}

// Cancelling.

class CancelTest : public RunControlTest {
 protected:
  // Runs the graph and asks it to stop after `time`.
  absl::Status RunAndStop(SimExecutor& executor, absl::Duration time,
                          RunOptions options = {}) {
    std::stop_source stop;
    executor.PostAfter(time, [&stop] { stop.request_stop(); });
    options.stop = stop.get_token();
    return Run(executor, std::move(options));
  }
  std::vector<std::string> woken_;
};

TEST_F(CancelTest, WakesWhatSleepsAndEndsTheRun) {
  AddEntry("a", Sleeper{absl::Hours(1), &woken_});
  builder_.AddNode("b", Idle());
  builder_.AddEdge("a", "b");
  ForEachOrder(5, [&](SimExecutor& executor) {
    woken_.clear();
    EXPECT_THAT(RunAndStop(executor, absl::Seconds(2)),
                IsError(ErrorKind::kCancelled, absl::StatusCode::kCancelled,
                        {"'graph'"}));
    EXPECT_THAT(woken_, ElementsAre("a stopped"));
    EXPECT_EQ(Elapsed(executor), absl::Seconds(2));
  });
}

TEST_F(CancelTest, NodeThatPassesItOnDoesNotHideIt) {
  AddEntry("a", [](NodeContext& node) -> Task<absl::Status> {
    co_return co_await node.Sleep(absl::Hours(1));
  });
  SimExecutor executor(1);
  EXPECT_THAT(RunAndStop(executor, absl::Seconds(2)),
              IsError(ErrorKind::kCancelled, absl::StatusCode::kCancelled));
}

TEST_F(CancelTest, WaitsForANodeThatDoesNotStop) {
  bool ended = false;
  SimExecutor executor(1);
  AddEntry("a", [&](NodeContext&, Completion done) {
    executor.PostAfter(absl::Seconds(10),
                       [&ended, done = std::move(done)]() mutable {
                         ended = true;
                         done(NodeResult());
                       });
  });
  builder_.AddNode("b", Idle());
  builder_.AddEdge("a", "b");
  EXPECT_THAT(RunAndStop(executor, absl::Seconds(2)),
              IsError(ErrorKind::kCancelled, absl::StatusCode::kCancelled));
  EXPECT_TRUE(ended);
  EXPECT_EQ(Elapsed(executor), absl::Seconds(10));
}

TEST_F(CancelTest, RunWithNothingLeftToDoEndsWell) {
  AddEntry("a", Sleeper{absl::Hours(1), &woken_});
  SimExecutor executor(1);
  EXPECT_TRUE(RunAndStop(executor, absl::Seconds(2)).ok());
  EXPECT_EQ(Elapsed(executor), absl::Seconds(2));
}

TEST_F(CancelTest, StopBeforeTheRunKeepsAllNodesFromRunning) {
  std::stop_source stop;
  stop.request_stop();
  bool ran = false;
  AddEntry("a", [&ran](NodeContext&) { ran = true; });
  SimExecutor executor(1);
  EXPECT_THAT(Run(executor, {.stop = stop.get_token()}),
              IsError(ErrorKind::kCancelled, absl::StatusCode::kCancelled));
  EXPECT_FALSE(ran);
}

TEST_F(CancelTest, ReachesGraphsInside) {
  StateGraph inner;
  inner.AddNode("x", Sleeper{absl::Hours(1), &woken_});
  inner.AddNode("y", Sleeper{absl::Hours(1), &woken_});
  inner.AddEdge(kStart, "x");
  inner.AddEdge("x", "y");
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  SimExecutor executor(1);
  EXPECT_THAT(RunAndStop(executor, absl::Seconds(2)),
              IsError(ErrorKind::kCancelled, absl::StatusCode::kCancelled));
  EXPECT_THAT(woken_, ElementsAre("x stopped"));
}

TEST_F(CancelTest, NodeCanAskForIt) {
  std::stop_source stop;
  AddEntry("a", [&stop](NodeContext& node) {
    EXPECT_FALSE(node.stop_token().stop_requested());
    stop.request_stop();
    EXPECT_TRUE(node.stop_token().stop_requested());
  });
  builder_.AddNode("b", [](NodeContext&) { ADD_FAILURE() << "was cancelled"; });
  builder_.AddEdge("a", "b");
  SimExecutor executor(1);
  EXPECT_EQ(ErrorKindOf(Run(executor, {.stop = stop.get_token()})),
            ErrorKind::kCancelled);
}

TEST_F(CancelTest, FailureOfASiblingIsStillReported) {
  AddEntry("a", Sleeper{absl::Hours(1), &woken_});
  AddEntry("b", [](NodeContext& node) -> Task<absl::Status> {
    (void)co_await node.Sleep(absl::Hours(1));
    co_return absl::DataLossError("disk is gone");
  });
  SimExecutor executor(1);
  EXPECT_THAT(RunAndStop(executor, absl::Seconds(2)),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kDataLoss,
                      {"'b'", "disk is gone"}));
}

TEST_F(CancelTest, SleepForEverEndsWithIt) {
  AddEntry("a", Sleeper{absl::InfiniteDuration(), &woken_});
  ForEachOrder(5, [&](SimExecutor& executor) {
    woken_.clear();
    (void)RunAndStop(executor, absl::Seconds(2));
    EXPECT_THAT(woken_, ElementsAre("a stopped"));
    EXPECT_EQ(Elapsed(executor), absl::Seconds(2));
  });
}

TEST_F(CancelTest, SiblingThatWaitsForAnotherAttemptComesAfterTheCause) {
  AddEntry("a", [](NodeContext&) { return absl::UnavailableError("busy"); },
           {.retry = {RetryPolicy{.initial_interval = absl::Hours(1),
                                  .max_interval = absl::Hours(1)}}});
  AddEntry("b", [](NodeContext& node) -> Task<absl::Status> {
    (void)co_await node.Sleep(absl::Seconds(1));
    co_return absl::DataLossError("the cause");
  });
  ForEachOrder(5, [&](SimExecutor& executor) {
    EXPECT_THAT(Run(executor, {.on_failure = OnFailure::kCancelSiblings}),
                IsError(ErrorKind::kNodeError, absl::StatusCode::kDataLoss,
                        {"node 'b'", "the cause", "also: node 'a'", "busy"}));
    EXPECT_EQ(Elapsed(executor), absl::Seconds(1));
  });
}

}  // namespace
}  // namespace weir
