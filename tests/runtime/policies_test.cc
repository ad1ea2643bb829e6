#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// Retries and timeouts, in virtual time.
namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::Not;

class PoliciesTest : public testing::Test {
 protected:
  template <class F>
  void AddEntry(const std::string& name, F body, NodeOptions options = {}) {
    builder_.AddNode(name, std::move(body), std::move(options));
    builder_.AddEdge(kStart, name);
  }
  absl::Duration Elapsed() const { return executor_.Now() - absl::UnixEpoch(); }
  absl::Status Run(CompileOptions options = {}, RunOptions run = {}) {
    run.executor = &executor_;
    return MustCompile(builder_, std::move(options))
        .Invoke(Update(), std::move(run))
        .status();
  }

  SimExecutor executor_{1};
  StateGraph builder_;
};

// Retries.

class RetryTest : public PoliciesTest {
 protected:
  // A node that notes the time of each attempt and fails so many of them.
  std::function<NodeResult(NodeContext&)> Failing(
      int times, absl::Status failure = absl::UnavailableError("busy")) {
    return [this, times, failure](NodeContext& node) {
      EXPECT_EQ(node.first_attempt_time(), absl::UnixEpoch());
      attempts_.push_back(absl::StrCat(node.attempt(), " at ",
                                       absl::FormatDuration(Elapsed())));
      return node.attempt() <= times ? NodeResult(failure) : NodeResult();
    };
  }
  static RetryPolicy Steady(int max_attempts) {
    return {.initial_interval = absl::Seconds(1),
            .backoff_factor = 1,
            .max_attempts = max_attempts,
            .jitter = false};
  }
  std::vector<std::string> attempts_;
};

TEST_F(RetryTest, WaitsLongerAfterEachFailure) {
  AddEntry("a", Failing(4),
           {.retry = {RetryPolicy{.max_attempts = 5, .jitter = false}}});
  EXPECT_TRUE(Run().ok());
  EXPECT_THAT(attempts_, ElementsAre("1 at 0", "2 at 500ms", "3 at 1.5s",
                                     "4 at 3.5s", "5 at 7.5s"));
}

TEST_F(RetryTest, WaitsNoLongerThanTheLongestInterval) {
  AddEntry("a", Failing(4),
           {.retry = {RetryPolicy{.initial_interval = absl::Seconds(1),
                                  .backoff_factor = 10,
                                  .max_interval = absl::Seconds(20),
                                  .max_attempts = 5,
                                  .jitter = false}}});
  EXPECT_TRUE(Run().ok());
  EXPECT_THAT(attempts_, ElementsAre("1 at 0", "2 at 1s", "3 at 11s",
                                     "4 at 31s", "5 at 51s"));
}

TEST_F(RetryTest, MakesAsManyAttemptsAsAllowedTheFirstIncluded) {
  AddEntry("a", Failing(9), {.retry = {Steady(3)}});
  EXPECT_THAT(Run(), IsError(ErrorKind::kNodeError,
                             absl::StatusCode::kUnavailable, {"'a'", "busy"}));
  EXPECT_THAT(attempts_, ElementsAre("1 at 0", "2 at 1s", "3 at 2s"));
}

TEST_F(RetryTest, OneAttemptIsNoRetry) {
  AddEntry("a", Failing(9), {.retry = {Steady(1)}});
  EXPECT_FALSE(Run().ok());
  EXPECT_THAT(attempts_, ElementsAre("1 at 0"));
}

TEST_F(RetryTest, JitterIsUpToASecondMore) {
  for (int i = 0; i < 200; ++i) {
    AddEntry(absl::StrCat("n", i),
             [this](NodeContext& node) {
               if (node.attempt() == 1) return absl::UnavailableError("busy");
               EXPECT_THAT(Elapsed(),
                           AllOf(Ge(absl::Seconds(5)), Lt(absl::Seconds(6))));
               attempts_.push_back(absl::FormatDuration(Elapsed()));
               return absl::OkStatus();
             },
             {.retry = {RetryPolicy{.initial_interval = absl::Seconds(5),
                                    .max_interval = absl::Seconds(5)}}});
  }
  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(attempts_.size(), 200U);
  EXPECT_GT(std::set<std::string>(attempts_.begin(), attempts_.end()).size(),
            100U);
}

TEST_F(RetryTest, FirstPolicyThatMatchesDecides) {
  RetryPolicy busy = Steady(3);
  busy.retry_on = [](const absl::Status& s) {
    return s.code() == absl::StatusCode::kUnavailable;
  };
  RetryPolicy any = Steady(5);
  any.initial_interval = absl::Seconds(10);
  any.retry_on = [](const absl::Status&) { return true; };
  AddEntry("a",
           [this](NodeContext& node) {
             attempts_.push_back(absl::FormatDuration(Elapsed()));
             return node.attempt() == 2 ? absl::InternalError("odd")
                                        : absl::UnavailableError("busy");
           },
           {.retry = {busy, any}});
  EXPECT_FALSE(Run().ok());
  // Failures count across the policies: the third is the first policy's last.
  EXPECT_THAT(attempts_, ElementsAre("0", "1s", "11s"));
}

TEST_F(RetryTest, FailureThatNoPolicyMatchesIsFinal) {
  RetryPolicy policy = Steady(5);
  policy.retry_on = [](const absl::Status& s) {
    return s.code() == absl::StatusCode::kNotFound;
  };
  AddEntry("a", Failing(9), {.retry = {policy}});
  EXPECT_FALSE(Run().ok());
  EXPECT_THAT(attempts_, ElementsAre("1 at 0"));
}

TEST_F(RetryTest, ByDefaultTriesAgainWhatMayPass) {
  std::map<std::string, int> attempts;
  for (const absl::StatusCode code :
       {absl::StatusCode::kCancelled, absl::StatusCode::kUnknown,
        absl::StatusCode::kInvalidArgument, absl::StatusCode::kDeadlineExceeded,
        absl::StatusCode::kNotFound, absl::StatusCode::kAlreadyExists,
        absl::StatusCode::kPermissionDenied,
        absl::StatusCode::kResourceExhausted,
        absl::StatusCode::kFailedPrecondition, absl::StatusCode::kAborted,
        absl::StatusCode::kOutOfRange, absl::StatusCode::kUnimplemented,
        absl::StatusCode::kInternal, absl::StatusCode::kUnavailable,
        absl::StatusCode::kDataLoss, absl::StatusCode::kUnauthenticated}) {
    AddEntry(absl::StatusCodeToString(code),
             [code, &attempts](NodeContext& node) {
               attempts[std::string(node.node())] = node.attempt();
               return absl::Status(code, "failed");
             },
             {.retry = {Steady(2)}});
  }
  EXPECT_FALSE(Run().ok());
  EXPECT_EQ(attempts.size(), 16U);
  std::vector<std::string> retried;
  for (const auto& [code, count] : attempts) {
    if (count > 1) retried.push_back(code);
  }
  EXPECT_THAT(retried, ElementsAre("ABORTED", "DEADLINE_EXCEEDED",
                                   "UNAVAILABLE", "UNKNOWN"));
}

TEST_F(RetryTest, ExceptionsAreRetriedByDefault) {
  AddEntry("a",
           [](NodeContext& node) {
             if (node.attempt() < 3) throw std::runtime_error("not yet");
           },
           {.retry = {Steady(3)}});
  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(Elapsed(), absl::Seconds(2));
}

TEST_F(RetryTest, RefusedResultIsNotRetriedByDefault) {
  int attempts = 0;
  AddEntry("a",
           [&attempts](NodeContext&) {
             ++attempts;
             return NodeResult::FromValue(Value(5));
           },
           {.retry = {Steady(3)}});
  EXPECT_FALSE(Run().ok());
  EXPECT_EQ(attempts, 1);
}

TEST_F(RetryTest, FailingRouterIsRetriedWithItsNode) {
  const NotesChannel notes = AddNotes(builder_);
  AddEntry("a",
           [notes](NodeContext& node) {
             return Update(notes, absl::StrCat("attempt ", node.attempt()))
                 .Set("unknown", Value(node.attempt()));
           },
           {.retry = {Steady(3)}});
  builder_.AddConditionalEdges("a", [](NodeContext& state) -> Route {
    // Nothing is left of what earlier attempts returned.
    EXPECT_EQ(*state.Find("unknown")->As<int>(), state.attempt());
    if (state.attempt() < 3) throw std::runtime_error("lost");
    return kEnd;
  });
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes, {.executor = &executor_}),
            "attempt 3");
}

TEST_F(RetryTest, FailedAttemptsLeaveTheirEventsAndNothingElse) {
  const NotesChannel notes = AddNotes(builder_);
  AddEntry("a",
           [notes](NodeContext& node) {
             node.Emit(node.attempt());
             if (node.attempt() == 1) throw std::runtime_error("not yet");
             return Update(notes, "done");
           },
           {.retry = {Steady(2)}});
  const Streamed run =
      StreamAll(MustCompile(builder_), Update(),
                {.modes = kCustom | kUpdates | kTasks, .executor = &executor_});
  EXPECT_THAT(run.events,
              ElementsAre(HasSubstr(R"("triggers")"), "custom 1", "custom 2",
                          R"(updates {"a": {"notes": "done"}})",
                          HasSubstr(R"("error": null)")));
}

TEST_F(RetryTest, SiblingsDoNotWaitForAnotherAttempt) {
  AddEntry("a", Failing(1), {.retry = {Steady(2)}});
  absl::Duration sibling;
  AddEntry("b", [this, &sibling](NodeContext&) { sibling = Elapsed(); });
  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(sibling, absl::ZeroDuration());
  EXPECT_EQ(Elapsed(), absl::Seconds(1));
}

TEST_F(RetryTest, CoroutineStartsAgainFromItsBeginning) {
  const NotesChannel notes = AddNotes(builder_);
  AddEntry("a",
           [this, notes](NodeContext& node) -> Task<NodeResult> {
             attempts_.push_back(absl::FormatDuration(Elapsed()));
             (void)co_await node.Sleep(absl::Seconds(10));
             if (node.attempt() < 3) throw std::runtime_error("not yet");
             co_return Update(notes, "done");
           },
           {.retry = {Steady(3)}});
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes, {.executor = &executor_}),
            "done");
  EXPECT_THAT(attempts_, ElementsAre("0", "11s", "22s"));
}

TEST_F(RetryTest, GraphAsANodeIsRunAgain) {
  int runs = 0;
  StateGraph inner;
  inner.AddNode("x", [&runs](NodeContext& node) {
    EXPECT_EQ(node.attempt(), 1) << "the retry is the outer node's";
    if (++runs < 3) throw std::runtime_error("not yet");
  });
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner), {.retry = {Steady(3)}});
  builder_.AddEdge(kStart, "sub");
  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(runs, 3);
}

TEST_F(RetryTest, GraphsThatANodeCallsAreCountedAnewByEachAttempt) {
  StateGraph inner;
  inner.AddNode("x", Idle());
  inner.AddEdge(kStart, "x");
  const Graph graph = MustCompile(inner);
  AddEntry("a",
           [graph](NodeContext& node) -> absl::Status {
             const absl::StatusOr<Values> values = node.Invoke(graph, Update());
             EXPECT_TRUE(values.ok());
             return node.attempt() == 1 ? absl::AbortedError("not yet")
                                        : absl::OkStatus();
           },
           {.retry = {Steady(2)}});
  std::vector<int> calls;
  RunStream stream = MustCompile(builder_).Stream(
      Update(), {.modes = kUpdates, .subgraphs = true, .executor = &executor_});
  while (const Event* event = stream.Next()) {
    if (!event->ns().empty()) calls.push_back(event->ns()[0].call);
  }
  EXPECT_THAT(calls, ElementsAre(0, 0));
}

TEST_F(RetryTest, DefaultPolicyIsForNodesWithoutOne) {
  AddEntry("a", Failing(1));
  AddEntry("b",
           [](NodeContext& node) {
             EXPECT_EQ(node.attempt(), 1);
             return absl::NotFoundError("not retried");
           },
           {.retry = {Steady(5)}});
  RetryPolicy any = Steady(2);
  any.retry_on = [](const absl::Status&) { return true; };
  EXPECT_THAT(
      Run({.retry = {any}}),
      IsError(ErrorKind::kNodeError, absl::StatusCode::kNotFound, {"'b'"}));
  EXPECT_THAT(attempts_, ElementsAre("1 at 0", "2 at 1s"));
}

TEST_F(RetryTest, DefaultPolicyDoesNotReachIntoGraphsInside) {
  StateGraph inner;
  int runs = 0;
  inner.AddNode("x", [&runs](NodeContext&) {
    ++runs;
    return absl::UnavailableError("busy");
  });
  inner.AddEdge(kStart, "x");
  // A policy of its own takes the place of the default.
  builder_.AddNode("sub", MustCompile(inner), {.retry = {Steady(1)}});
  builder_.AddEdge(kStart, "sub");
  EXPECT_FALSE(Run({.retry = {Steady(5)}}).ok());
  EXPECT_EQ(runs, 1);
}

TEST_F(RetryTest, PredicateThatThrowsIsAFailureOfTheNode) {
  RetryPolicy policy = Steady(3);
  policy.retry_on = [](const absl::Status&) -> bool {
    throw std::runtime_error("cannot decide");
  };
  AddEntry("a", Failing(9), {.retry = {policy}});
  EXPECT_THAT(Run(), IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                             {"'a'", "cannot decide"}));
  EXPECT_THAT(attempts_, ElementsAre("1 at 0"));
}

TEST_F(RetryTest, StopEndsTheWaitWithoutAnotherAttempt) {
  std::stop_source stop;
  RetryPolicy policy = Steady(3);
  policy.initial_interval = absl::Hours(1);
  AddEntry("a", Failing(9), {.retry = {policy}});
  executor_.PostAfter(absl::Seconds(2), [&stop] { stop.request_stop(); });
  EXPECT_FALSE(Run({}, {.stop = stop.get_token()}).ok());
  EXPECT_THAT(attempts_, ElementsAre("1 at 0"));
  EXPECT_EQ(Elapsed(), absl::Seconds(2));
}

TEST_F(RetryTest, StoppedRunMakesNoFurtherAttempt) {
  std::stop_source stop;
  AddEntry("a",
           [this, &stop](NodeContext&) {
             attempts_.push_back("attempt");
             stop.request_stop();
             return absl::UnavailableError("busy");
           },
           {.retry = {Steady(3)}});
  EXPECT_FALSE(Run({}, {.stop = stop.get_token()}).ok());
  EXPECT_THAT(attempts_, ElementsAre("attempt"));
}

// Timeouts.

class TimeoutTest : public PoliciesTest {
 protected:
  // A node that sleeps, and then notes how it was woken.
  std::function<Task<NodeResult>(NodeContext&)> Sleeping(absl::Duration time) {
    return [this, time](NodeContext& node) -> Task<NodeResult> {
      const absl::Status slept = co_await node.Sleep(time);
      woken_.push_back(slept.ok() ? "in time" : "stopped");
      co_return NodeResult(Update(notes_, "written"));
    };
  }
  // The same for any graph.
  std::function<Task<NodeResult>(NodeContext&)> SleepingOnly(
      absl::Duration time) {
    return [this, time](NodeContext& node) -> Task<NodeResult> {
      const absl::Status slept = co_await node.Sleep(time);
      woken_.push_back(slept.ok() ? "in time" : "stopped");
      co_return NodeResult();
    };
  }
  static NodeOptions RunTimeout(absl::Duration time) {
    return {.timeout = TimeoutPolicy{.run = time}};
  }
  const NotesChannel notes_ = AddNotes(builder_);
  std::vector<std::string> woken_;
};

TEST_F(TimeoutTest, StopsAnAttemptThatTakesTooLong) {
  AddEntry("a", Sleeping(absl::Seconds(10)), RunTimeout(absl::Seconds(3)));
  EXPECT_THAT(Run(), IsError(ErrorKind::kNodeTimeout,
                             absl::StatusCode::kDeadlineExceeded,
                             {"'a'", "step 1", "run timeout after 3s"}));
  EXPECT_THAT(woken_, ElementsAre("stopped"));
  EXPECT_EQ(Elapsed(), absl::Seconds(3));
}

TEST_F(TimeoutTest, LeavesAnAttemptInTimeAlone) {
  AddEntry("a", Sleeping(absl::Seconds(3)), RunTimeout(absl::Seconds(4)));
  EXPECT_TRUE(Run().ok());
  EXPECT_THAT(woken_, ElementsAre("in time"));
  EXPECT_EQ(Elapsed(), absl::Seconds(3)) << "nor does its timer keep the run";
}

TEST_F(TimeoutTest, CannotBeSwallowedNorLeaveWrites) {
  // It goes on for a while after it was asked to stop, and then returns well.
  AddEntry(
      "a",
      [this](NodeContext& node) -> Task<NodeResult> {
        (void)co_await node.Sleep(absl::Seconds(10));
        node.Emit("too late");
        co_return NodeResult(Update(notes_, "written"));
      },
      RunTimeout(absl::Seconds(3)));
  const Streamed run = StreamAll(
      MustCompile(builder_), Update(),
      {.modes = kCustom | kUpdates | kValues, .executor = &executor_});
  EXPECT_EQ(ErrorKindOf(run.status), ErrorKind::kNodeTimeout);
  EXPECT_THAT(run.events, IsEmpty());
}

TEST_F(TimeoutTest, BeatsWhatTheBodyFailsWith) {
  AddEntry(
      "a",
      [](NodeContext& node) -> Task<NodeResult> {
        const absl::Status slept = co_await node.Sleep(absl::Seconds(10));
        throw std::runtime_error("stopped");
        co_return slept;
      },
      RunTimeout(absl::Seconds(3)));
  EXPECT_EQ(ErrorKindOf(Run()), ErrorKind::kNodeTimeout);
}

TEST_F(TimeoutTest, WaitsForABodyThatDoesNotStop) {
  bool ended = false;
  AddEntry(
      "a",
      [this, &ended](NodeContext&, Completion done) {
        executor_.PostAfter(absl::Seconds(10),
                            [&ended, done = std::move(done)]() mutable {
                              ended = true;
                              done(NodeResult());
                            });
      },
      RunTimeout(absl::Seconds(3)));
  EXPECT_THAT(Run(), IsError(ErrorKind::kNodeTimeout,
                             absl::StatusCode::kDeadlineExceeded,
                             {"run timeout after 10s"}));
  EXPECT_TRUE(ended);
  EXPECT_EQ(Elapsed(), absl::Seconds(10));
}

TEST_F(TimeoutTest, IsRetriedByDefault) {
  AddEntry(
      "a",
      [this](NodeContext& node) -> Task<NodeResult> {
        woken_.push_back(absl::FormatDuration(Elapsed()));
        (void)co_await node.Sleep(absl::Seconds(node.attempt() < 3 ? 10 : 1));
        co_return NodeResult(Update(notes_, "written"));
      },
      {.retry = {RetryPolicy{.initial_interval = absl::Seconds(1),
                             .backoff_factor = 1,
                             .jitter = false}},
       .timeout = TimeoutPolicy{.run = absl::Seconds(3)}});
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes_, {.executor = &executor_}),
            "written");
  EXPECT_THAT(woken_, ElementsAre("0", "4s", "8s"));
}

TEST_F(TimeoutTest, DefaultIsForNodesWithoutOne) {
  AddEntry("a", Sleeping(absl::Seconds(10)));
  AddEntry("b", Sleeping(absl::Seconds(5)), RunTimeout(absl::Seconds(9)));
  const absl::Status failure =
      Run({.timeout = TimeoutPolicy{.run = absl::Seconds(3)}});
  EXPECT_THAT(failure, IsError(ErrorKind::kNodeTimeout,
                               absl::StatusCode::kDeadlineExceeded, {"'a'"}));
  EXPECT_THAT(std::string(failure.message()), Not(HasSubstr("'b'")));
}

TEST_F(TimeoutTest, StopsAGraphAsANode) {
  StateGraph inner;
  inner.AddNode("x", SleepingOnly(absl::Seconds(10)));
  inner.AddNode("y", SleepingOnly(absl::Seconds(10)));
  inner.AddEdge(kStart, "x");
  inner.AddEdge("x", "y");
  builder_.AddNode("sub", MustCompile(inner), RunTimeout(absl::Seconds(3)));
  builder_.AddEdge(kStart, "sub");
  EXPECT_THAT(Run(), IsError(ErrorKind::kNodeTimeout,
                             absl::StatusCode::kDeadlineExceeded,
                             {"'sub'", "run timeout after 3s"}));
  EXPECT_THAT(woken_, ElementsAre("stopped")) << "y never runs";
}

TEST_F(TimeoutTest, StopOfTheRunIsPassedOnToTheAttempt) {
  std::stop_source stop;
  AddEntry("a", Sleeping(absl::Seconds(10)), RunTimeout(absl::Seconds(8)));
  executor_.PostAfter(absl::Seconds(2), [&stop] { stop.request_stop(); });
  (void)Run({}, {.stop = stop.get_token()});
  EXPECT_THAT(woken_, ElementsAre("stopped"));
  EXPECT_EQ(Elapsed(), absl::Seconds(2));
}

TEST_F(TimeoutTest, SendsTimeoutTakesThePlaceOfTheNodes) {
  builder_.AddNode("w", Sleeping(absl::Seconds(5)),
                   RunTimeout(absl::Seconds(4)));
  AddEntry("a", [](NodeContext&) {
    Send shorter("w", 1);
    shorter.timeout = absl::Seconds(2);
    Send longer("w", 2);
    longer.timeout = absl::Seconds(10);
    return Command{.go_to = {shorter, Send("w", 3), longer}};
  });
  const absl::Status failure = Run();
  EXPECT_THAT(
      failure,
      IsError(ErrorKind::kNodeTimeout, absl::StatusCode::kDeadlineExceeded,
              {"run timeout after 2s", "run timeout after 4s"}));
  EXPECT_THAT(woken_, ElementsAre("stopped", "stopped", "in time"));
}

TEST_F(TimeoutTest, SendsTimeoutNeedsNoPolicyOfTheNode) {
  builder_.AddNode("w", [this](NodeContext& node) -> Task<NodeResult> {
    node.Emit("progress");
    node.Heartbeat();
    const absl::Status slept = co_await node.Sleep(absl::Seconds(5));
    woken_.push_back(slept.ok() ? "in time" : "stopped");
    co_return NodeResult();
  });
  AddEntry("a", [](NodeContext&) {
    Send send("w", 1);
    send.timeout = absl::Seconds(2);
    return send;
  });
  EXPECT_EQ(ErrorKindOf(Run()), ErrorKind::kNodeTimeout);
  EXPECT_THAT(woken_, ElementsAre("stopped"));
}

// The body passes time on the only thread there is, in a graph that it calls.
TEST_F(TimeoutTest, ReachesAGraphThatAFunctionCalls) {
  StateGraph inner;
  inner.AddNode("x", SleepingOnly(absl::Seconds(10)));
  inner.AddEdge(kStart, "x");
  AddEntry(
      "a",
      [graph = MustCompile(inner)](NodeContext& node) {
        const absl::StatusOr<Values> values = node.Invoke(graph, Update());
        EXPECT_TRUE(values.ok()) << values.status();
        return absl::OkStatus();
      },
      RunTimeout(absl::Seconds(3)));
  EXPECT_EQ(ErrorKindOf(Run()), ErrorKind::kNodeTimeout);
  EXPECT_THAT(woken_, ElementsAre("stopped"));
  EXPECT_EQ(Elapsed(), absl::Seconds(3));
}

TEST_F(TimeoutTest, FailsAFunctionThatHeldItsWorkerForTooLong) {
  InlineExecutor executor;
  AddEntry(
      "a",
      [&executor](NodeContext&) {
        // No timer can run meanwhile.
        const absl::Time end = executor.Now() + absl::Milliseconds(2);
        while (executor.Now() < end) {
        }
      },
      RunTimeout(absl::Milliseconds(1)));
  EXPECT_EQ(ErrorKindOf(MustCompile(builder_)
                            .Invoke(Update(), {.executor = &executor})
                            .status()),
            ErrorKind::kNodeTimeout);
}

// Idle timeouts.

class IdleTimeoutTest : public TimeoutTest {
 protected:
  // Sleeps `naps` times for two seconds and calls `sign` after each.
  std::function<Task<NodeResult>(NodeContext&)> Napping(
      int naps, std::function<void(NodeContext&)> sign) {
    return [this, naps, sign](NodeContext& node) -> Task<NodeResult> {
      for (int i = 0; i < naps; ++i) {
        const absl::Status slept = co_await node.Sleep(absl::Seconds(2));
        if (!slept.ok()) co_return slept;
        sign(node);
      }
      co_return NodeResult(Update(notes_, "written"));
    };
  }
  static NodeOptions Idle3s(bool only_heartbeats = false) {
    return {.timeout = TimeoutPolicy{.idle = absl::Seconds(3),
                                     .only_heartbeats = only_heartbeats}};
  }
};

TEST_F(IdleTimeoutTest, IsPutOffByHeartbeats) {
  AddEntry("a", Napping(10, [](NodeContext& node) { node.Heartbeat(); }),
           Idle3s());
  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(Elapsed(), absl::Seconds(20));
}

TEST_F(IdleTimeoutTest, IsPutOffByWhatIsEmitted) {
  AddEntry("a", Napping(10, [](NodeContext& node) { node.Emit(1); }), Idle3s());
  EXPECT_TRUE(Run().ok());
}

TEST_F(IdleTimeoutTest, CountsHeartbeatsOnlyIfSoChosen) {
  AddEntry("a", Napping(10, [](NodeContext& node) { node.Emit(1); }),
           Idle3s(/*only_heartbeats=*/true));
  EXPECT_THAT(Run(), IsError(ErrorKind::kNodeTimeout,
                             absl::StatusCode::kDeadlineExceeded,
                             {"idle timeout after 3s"}));
}

TEST_F(IdleTimeoutTest, IsPutOffByHeartbeatsAlsoIfOnlyTheyCount) {
  AddEntry("a", Napping(10, [](NodeContext& node) { node.Heartbeat(); }),
           Idle3s(/*only_heartbeats=*/true));
  EXPECT_TRUE(Run().ok());
}

TEST_F(IdleTimeoutTest, ComesAfterTheLastSignOfProgress) {
  int naps = 0;
  AddEntry("a",
           Napping(10,
                   [&naps](NodeContext& node) {
                     if (++naps <= 3) node.Heartbeat();
                   }),
           Idle3s());
  EXPECT_THAT(Run(), IsError(ErrorKind::kNodeTimeout,
                             absl::StatusCode::kDeadlineExceeded,
                             {"'a'", "idle timeout after 9s"}));
  EXPECT_EQ(Elapsed(), absl::Seconds(9));
}

TEST_F(IdleTimeoutTest, DoesNotPutOffTheRunTimeout) {
  AddEntry("a", Napping(10, [](NodeContext& node) { node.Heartbeat(); }),
           {.timeout = TimeoutPolicy{.run = absl::Seconds(7),
                                     .idle = absl::Seconds(3)}});
  EXPECT_THAT(Run(), IsError(ErrorKind::kNodeTimeout,
                             absl::StatusCode::kDeadlineExceeded,
                             {"run timeout after 7s"}));
  EXPECT_EQ(Elapsed(), absl::Seconds(7));
}

}  // namespace
}  // namespace weir
