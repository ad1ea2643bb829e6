#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/call.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// Functions that nodes call, on many workers at once.
namespace weir {
namespace {

constexpr int kRuns = 300;
constexpr int kCalls = 8;

// Adds up 1 and 2 and ... n, each by a call of its own and half of them by
// coroutines that wait; some are dropped.
Task<absl::StatusOr<int>> Sum(NodeContext& task, const int& n) {
  auto itself = [](const int& k) { return k; };
  auto later = [](NodeContext& call, const int& k) -> Task<int> {
    static_cast<void>(co_await call.Sleep(absl::Microseconds(k)));
    co_return k;
  };
  std::vector<FunctionCall<int>> calls;
  for (int k = 1; k <= n; ++k) {
    if (k % 2 == 0) {
      calls.push_back(task.Call("itself", itself, k));
    } else {
      calls.push_back(task.Call("later", later, k));
    }
    if (k % 3 == 0) {
      auto dropped = task.Call("later", later, k);
    }
  }
  int sum = 0;
  for (FunctionCall<int>& call : calls) {
    absl::StatusOr<int> k = co_await call;
    if (!k.ok()) co_return k.status();
    sum += *k;
  }
  co_return sum;
}

TEST(CallsStressTest, ManyCallsOfManyRunsGiveWhatEachReturns) {
  StateGraph builder;
  const Channel<int> sum = builder.AddChannel("sum", LastValue<int>());
  builder.AddNode("a", [sum](NodeContext& node) -> Task<NodeResult> {
    auto one = node.Call("sum", Sum, kCalls);
    auto two = node.Call("sum", Sum, kCalls);
    absl::StatusOr<int> a = co_await one;
    if (!a.ok()) co_return a.status();
    absl::StatusOr<int> once = node.Once("once", [&a] { return *a; });
    absl::StatusOr<int> b = co_await two;
    if (!b.ok()) co_return b.status();
    co_return Update(sum, *once + *b);
  });
  builder.AddEdge(kStart, "a");
  const Graph graph = MustCompile(builder);
  MemoryCheckpointer store;
  TbbExecutor executor(4);
  std::atomic<int> next{0};
  std::vector<std::thread> hosts;
  for (int i = 0; i < 3; ++i) {
    hosts.emplace_back([&] {
      for (int run = next.fetch_add(1); run < kRuns; run = next.fetch_add(1)) {
        RunOptions options{.executor = &executor};
        if (run % 2 == 0) {
          options.checkpointer = &store;
          options.thread_id = absl::StrCat(run);
        }
        const absl::StatusOr<RunResult> result =
            graph.Invoke(Update(), std::move(options));
        ASSERT_TRUE(result.ok()) << result.status();
        EXPECT_EQ(result->Get(sum), kCalls * (kCalls + 1));
      }
    });
  }
  for (std::thread& host : hosts) host.join();
}

TEST(CallsStressTest, PlainFunctionsWaitForCallsOnOtherWorkers) {
  StateGraph builder;
  const Channel<int> sum = builder.AddChannel("sum", LastValue<int>());
  builder.AddNode("a", [sum](NodeContext& node) -> NodeResult {
    auto one = node.Call("sum", Sum, kCalls);
    auto two = node.Call("sum", Sum, kCalls);
    absl::StatusOr<int> a = std::move(two);
    absl::StatusOr<int> b = std::move(one);
    if (!a.ok()) return a.status();
    if (!b.ok()) return b.status();
    return Update(sum, *a + *b);
  });
  builder.AddEdge(kStart, "a");
  const Graph graph = MustCompile(builder);
  TbbExecutor executor(2);
  for (int run = 0; run < kRuns / 3; ++run) {
    const absl::StatusOr<RunResult> result =
        graph.Invoke(Update(), {.executor = &executor});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->Get(sum), kCalls * (kCalls + 1));
  }
}

}  // namespace
}  // namespace weir
