#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// Runs that wait for readers who asked them to.
namespace weir {
namespace {

constexpr int kEvents = 100;
constexpr absl::Duration kPatience = absl::Seconds(1);

class BackpressureTest : public testing::Test {
 protected:
  BackpressureTest() {
    // One event in each superstep.
    StateGraph steps;
    const auto count = steps.AddChannel("count", LastValue<int>());
    const NodeId step = steps.AddNode("step", [count](NodeContext& node) {
      node.Emit(node.Get(count));
      return Update(count, node.Get(count) + 1);
    });
    steps.AddEdge(kStart, step);
    steps.AddConditionalEdges(step, [count, step](NodeContext& node) {
      return node.Get(count) < kEvents ? Target(step) : Target(kEnd);
    });
    Register("steps", steps);
    // All of them in one node.
    StateGraph body;
    body.AddNode("body",
                 [](NodeContext& node) -> Task<void> {
                   for (int i = 0; i < kEvents; ++i) co_await node.Emit(i);
                 },
                 {.timeout = TimeoutPolicy{.run = kPatience / 2}});
    body.AddEdge(kStart, "body");
    Register("body", body);
  }
  void Register(const char* name, const StateGraph& builder) {
    ASSERT_TRUE(runtime_.Register(name, MustCompile(builder)).ok());
  }

  // A run that keeps four events, and a reader that it is to wait for.
  void Start(const char* graph) {
    const ThreadId thread = runtime_.CreateThread();
    absl::StatusOr<RunInfo> run = runtime_.StartRun(
        thread, graph, Update(), {.modes = kCustom, .window = 4});
    ASSERT_TRUE(run.ok()) << run.status();
    run_ = *std::move(run);
    absl::StatusOr<RunStream> reader = runtime_.JoinStream(
        run_.thread_id, run_.id, {.backpressure = kPatience});
    ASSERT_TRUE(reader.ok()) << reader.status();
    reader_.emplace(*std::move(reader));
  }
  RunStatus Join() {
    absl::StatusOr<RunOutcome> end = runtime_.Join(run_.thread_id, run_.id);
    EXPECT_TRUE(end.ok()) << end.status();
    return end.ok() ? end->status : RunStatus::kPending;
  }

  SimExecutor executor_{1};
  Runtime runtime_{{.executor = &executor_}};
  RunInfo run_;
  std::optional<RunStream> reader_;
};

TEST_F(BackpressureTest, SlowReaderGetsAllOfARunThatWaitsAtItsBarriers) {
  Start("steps");
  int events = 0;
  while (reader_->Next() != nullptr) ++events;
  EXPECT_EQ(events, kEvents);
  EXPECT_TRUE(reader_->status().ok()) << reader_->status();
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch());
}

TEST_F(BackpressureTest, SlowReaderGetsAllOfANodeThatWaitsAsItEmits) {
  Start("body");
  int events = 0;
  while (reader_->Next() != nullptr) ++events;
  EXPECT_EQ(events, kEvents);
  EXPECT_EQ(Join(), RunStatus::kSuccess);
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch());
}

TEST_F(BackpressureTest, RunWaitsNoLongerThanItWasAskedTo) {
  Start("steps");
  EXPECT_EQ(Join(), RunStatus::kSuccess);
  EXPECT_GE(executor_.Now() - absl::UnixEpoch(), kPatience);
  while (reader_->Next() != nullptr) {
  }
  EXPECT_EQ(reader_->status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(BackpressureTest, WaitDoesNotCountAsTheNodesTime) {
  Start("body");
  EXPECT_EQ(Join(), RunStatus::kSuccess) << "its timeout is half of one wait";
  EXPECT_GE(executor_.Now() - absl::UnixEpoch(), kPatience);
}

TEST_F(BackpressureTest, RunGoesOnWhenTheReaderLeaves) {
  Start("steps");
  EXPECT_NE(reader_->Next(), nullptr);
  reader_.reset();
  EXPECT_EQ(Join(), RunStatus::kSuccess);
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch());
}

TEST_F(BackpressureTest, CancelledRunDoesNotWait) {
  for (const char* graph : {"steps", "body"}) {
    Start(graph);
    EXPECT_NE(reader_->Next(), nullptr);
    ASSERT_TRUE(runtime_.Cancel(run_.thread_id, run_.id, {.wait = true}).ok());
    EXPECT_EQ(executor_.Now(), absl::UnixEpoch());
  }
}

}  // namespace
}  // namespace weir
