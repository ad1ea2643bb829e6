#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// How a node that is to stop is told, and what becomes of the run then.
namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StoppingTest : public testing::Test {
 protected:
  template <class F>
  void AddEntry(const std::string& name, F body, NodeOptions options = {}) {
    builder_.AddNode(name, std::move(body), std::move(options));
    builder_.AddEdge(kStart, name);
  }

  StateGraph builder_;
  const Channel<int> count_ = builder_.AddChannel("count", LastValue<int>());
};

// Holds its worker until it is told to stop.
void Poll(NodeContext& node) {
  while (!node.stop_token().stop_requested()) std::this_thread::yield();
}

// Two workers, and a timer that is due when a node says so: starting threads
// may take any time.
class DueOnDemand : public Executor {
 public:
  void MakeDue() {
    absl::MutexLock lock(&mutex_);
    if (job_ != nullptr) tbb_.CallAfter(absl::ZeroDuration(), std::move(job_));
    job_ = nullptr;
  }

  void Post(Job job) override { tbb_.Post(std::move(job)); }
  TimerId PostAfter(absl::Duration delay, Job job) override {
    return tbb_.PostAfter(delay, std::move(job));
  }
  TimerId CallAfter(absl::Duration, Job job) override {
    absl::MutexLock lock(&mutex_);
    job_ = std::move(job);
    return 1;
  }
  bool Cancel(TimerId) override {
    absl::MutexLock lock(&mutex_);
    return std::exchange(job_, nullptr) != nullptr;
  }
  absl::Time Now() const override { return absl::UnixEpoch(); }
  int workers() const override { return tbb_.workers(); }
  bool RunUntil(const absl::Notification& done) override {
    return tbb_.RunUntil(done);
  }

 private:
  TbbExecutor tbb_{2};
  absl::Mutex mutex_;
  Job job_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(StoppingTest, StepTimeoutReachesNodesThatHoldEveryWorker) {
  DueOnDemand executor;
  for (const char* name : {"a", "b", "c", "d"}) {
    AddEntry(name, [&executor](NodeContext& node) {
      executor.MakeDue();
      Poll(node);
    });
  }
  const absl::Status status =
      MustCompile(builder_)
          .Invoke(Update(), {.step_timeout = absl::Milliseconds(200),
                             .executor = &executor})
          .status();
  EXPECT_EQ(ErrorKindOf(status), ErrorKind::kStepTimeout);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("200ms"), HasSubstr("'a', 'b', 'c', 'd'")));
}

TEST_F(StoppingTest, RunTimeoutReachesANodeThatHoldsTheOnlyWorker) {
  AddEntry("a", Poll, {.timeout = TimeoutPolicy{.run = absl::Milliseconds(2)}});
  const Graph graph = MustCompile(builder_);
  EXPECT_EQ(ErrorKindOf(graph.Invoke(Update()).status()),
            ErrorKind::kNodeTimeout);
  TbbExecutor one(1);
  EXPECT_EQ(ErrorKindOf(graph.Invoke(Update(), {.executor = &one}).status()),
            ErrorKind::kNodeTimeout);
}

TEST_F(StoppingTest, StepTimeoutDoesNotHideAFailure) {
  AddEntry("a", [](NodeContext&) { return absl::DataLossError("disk gone"); });
  AddEntry("b", [](NodeContext& node) -> Task<NodeResult> {
    absl::Status slept = co_await node.Sleep(absl::Hours(1));
    co_return slept;
  });
  SimExecutor executor(1);
  const absl::Status status =
      MustCompile(builder_)
          .Invoke(Update(),
                  {.step_timeout = absl::Seconds(1), .executor = &executor})
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("disk gone"));
}

TEST_F(StoppingTest, WhoFailedFirstComesBeforeWhomThatStopped) {
  AddEntry("a", [](NodeContext& node) -> Task<NodeResult> {
    absl::Status slept = co_await node.Sleep(absl::Hours(1));
    co_return slept;
  });
  AddEntry("b", [](NodeContext&) { return absl::DataLossError("disk gone"); });
  for (uint64_t seed = 0; seed < 10; ++seed) {
    SimExecutor executor(seed);
    const absl::Status status =
        MustCompile(builder_)
            .Invoke(Update(), {.on_failure = OnFailure::kCancelSiblings,
                               .executor = &executor})
            .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  }
}

TEST_F(StoppingTest, BeingStoppedIsNoFailureToHandle) {
  bool handled = false;
  AddEntry("a",
           [](NodeContext& node) -> Task<NodeResult> {
             absl::Status slept = co_await node.Sleep(absl::Hours(1));
             co_return slept;
           },
           {.error_handler =
                ErrorHandler([&handled](NodeContext&) { handled = true; })});
  SimExecutor executor(1);
  std::stop_source stop;
  executor.PostAfter(absl::Seconds(1), [&stop] { stop.request_stop(); });
  const absl::Status status =
      MustCompile(builder_)
          .Invoke(Update(), {.stop = stop.get_token(), .executor = &executor})
          .status();
  EXPECT_EQ(ErrorKindOf(status), ErrorKind::kCancelled);
  EXPECT_FALSE(handled);
}

TEST_F(StoppingTest, FailureThatWouldBeTriedAgainIsNotHandledInstead) {
  bool handled = false;
  std::stop_source stop;
  AddEntry("a",
           [&stop](NodeContext&) {
             stop.request_stop();
             return absl::UnavailableError("once");
           },
           {.retry = {RetryPolicy{.max_attempts = 2}},
            .error_handler =
                ErrorHandler([&handled](NodeContext&) { handled = true; })});
  const absl::Status status = MustCompile(builder_)
                                  .Invoke(Update(), {.stop = stop.get_token()})
                                  .status();
  EXPECT_EQ(ErrorKindOf(status), ErrorKind::kCancelled);
  EXPECT_FALSE(handled);
}

TEST_F(StoppingTest, ProgressAfterTheTimeIsUpDoesNotBringItBack) {
  AddEntry("a",
           [](NodeContext& node) {
             const absl::Time start = absl::Now();
             while (absl::Now() - start < absl::Milliseconds(3)) {
             }
             node.Emit("late");
             node.Heartbeat();
           },
           {.timeout = TimeoutPolicy{.idle = absl::Milliseconds(1)}});
  InlineExecutor executor;
  const Streamed run = StreamAll(MustCompile(builder_), Update(),
                                 {.modes = kCustom, .executor = &executor});
  EXPECT_EQ(ErrorKindOf(run.status), ErrorKind::kNodeTimeout);
  EXPECT_THAT(run.events, ElementsAre());
}

TEST_F(StoppingTest, WhatAGraphInsideDoesIsProgress) {
  StateGraph inner;
  const auto rounds = inner.AddChannel("rounds", LastValue<int>());
  inner.AddNode("tick", [rounds](NodeContext& node) -> Task<NodeResult> {
    absl::Status slept = co_await node.Sleep(absl::Seconds(1));
    if (!slept.ok()) co_return slept;
    co_return Update(rounds, node.Get(rounds) + 1);
  });
  inner.AddEdge(kStart, "tick");
  inner.AddConditionalEdges("tick", [rounds](NodeContext& state) {
    return Target(state.Get(rounds) < 10 ? "tick" : kEnd);
  });
  builder_.AddNode("inside", MustCompile(inner),
                   {.timeout = TimeoutPolicy{.idle = absl::Seconds(3)}});
  builder_.AddEdge(kStart, "inside");
  SimExecutor executor(1);
  EXPECT_EQ(
      MustCompile(builder_).Invoke(Update(), {.executor = &executor}).status(),
      absl::OkStatus());
}

TEST_F(StoppingTest, BoundedRunsNeverLoseTheirTasks) {
  const auto round = [this](NodeContext& node) {
    return node.node() == "a" ? Update(count_, node.Get(count_) + 1) : Update();
  };
  AddEntry("a", round);
  AddEntry("b", round);
  builder_.AddConditionalEdges("a", [this](NodeContext& state) {
    if (state.Get(count_) == 5) return Route();
    return Route(std::vector<Target>{"a", "b"});
  });
  const Graph graph = MustCompile(builder_);
  for (int run = 0; run < 2000; ++run) {
    const absl::StatusOr<Values> end =
        graph.Invoke(Update(count_, 0), {.max_concurrency = 1});
    ASSERT_TRUE(end.ok()) << end.status();
    ASSERT_EQ(end->Get(count_), 5);
  }
}

TEST_F(StoppingTest, OtherThreadsMayEmitWhileTheBodyLooksAtItsInput) {
  AddEntry("a", [](NodeContext& node) {
    std::thread other([&node] {
      for (int i = 0; i < 100; ++i) {
        node.Emit(i);
        node.Heartbeat();
        if (node.stop_token().stop_requested()) return;
      }
    });
    for (int i = 0; i < 100; ++i) static_cast<void>(node.input());
    other.join();
  });
  EXPECT_EQ(StreamAll(MustCompile(builder_), Update(), {.modes = kCustom})
                .events.size(),
            100u);
}

TEST_F(StoppingTest, OptionsOutOfRangeAreRefused) {
  AddEntry("a", [](NodeContext&) {});
  const Graph graph = MustCompile(builder_);
  EXPECT_EQ(graph.Invoke(Update(), {.max_concurrency = -1}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(graph.Invoke(Update(), {.step_timeout = -absl::Seconds(1)})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(graph.Invoke(Update(), {.recursion_limit = 0}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(StoppingTest, SendsWithoutTimeAreRefused) {
  AddEntry("a", [](NodeContext&) {
    Send send("b", 1);
    send.timeout = absl::ZeroDuration();
    return send;
  });
  builder_.AddNode("b", [](NodeContext&) {});
  const absl::Status status = MustCompile(builder_).Invoke(Update()).status();
  EXPECT_EQ(ErrorKindOf(status), ErrorKind::kInvalidUpdate);
}

}  // namespace
}  // namespace weir
