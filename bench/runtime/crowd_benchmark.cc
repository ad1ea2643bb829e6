// What becomes of a run's cost among many? 64 resumable runs of a Runtime at
// once, on four workers for each core, each with 16 readers that get all of its
// updates on those workers; against one such run alone, on a worker for each
// core. The time is for each run, from its start until all its readers have
// seen its end.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "bench/support/check.h"
#include "bench/support/stopwatch.h"
#include "benchmark/benchmark.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

constexpr int kReaders = 16;

// A graph, and how many updates each run of it has.
struct Work {
  StateGraph builder{};
  int updates = 0;
};

NodeId AddCount(StateGraph& builder, const std::string& name,
                Channel<int> count) {
  return builder.AddNode(name, [count](NodeContext& node) {
    return Update(count, node.Get(count) + 1);
  });
}

Work Line() {
  Work work{.updates = 3};
  const auto count = work.builder.AddChannel("count", LastValue<int>());
  NodeRef last = kStart;
  for (const char* name : {"a", "b", "c"}) {
    const NodeId node = AddCount(work.builder, name, count);
    work.builder.AddEdge(last, node);
    last = node;
  }
  return work;
}

Work Loop() {
  constexpr int kSteps = 1000;
  Work work{.updates = kSteps};
  const auto count = work.builder.AddChannel("count", LastValue<int>());
  const NodeId again = AddCount(work.builder, "count", count);
  work.builder.AddEdge(kStart, again);
  work.builder.AddConditionalEdges(
      again,
      [count, again](NodeContext& node) {
        return node.Get(count) < kSteps ? Target(again) : Target(kEnd);
      },
      {.destinations = {{again, kEnd}}});
  return work;
}

Work Par() {
  constexpr int kWidth = 5;
  Work work{.updates = kWidth + 1};
  const auto list = work.builder.AddChannel("list", AppendLogChannel<int>());
  const auto count = work.builder.AddChannel("count", LastValue<int>());
  std::vector<NodeRef> all;
  for (int i = 0; i < kWidth; ++i) {
    const NodeId node = work.builder.AddNode(
        absl::StrCat("work_", i),
        [list, i](NodeContext&) { return Update(list, i); });
    work.builder.AddEdge(kStart, node);
    all.push_back(node);
  }
  const NodeId join = work.builder.AddNode("join", [=](NodeContext& node) {
    return Update(count, static_cast<int>(node.Get(list).size()));
  });
  work.builder.AddJoin(all, join);
  return work;
}

// Counts what all readers got; ends when all of them have.
class Readers {
 public:
  explicit Readers(int64_t runs) : left_(runs * kReaders) {}

  void Listen(RunStream stream) {
    streams_.push_back(std::move(stream));
    auto got = std::make_shared<int64_t>(0);
    streams_.back().Listen(
        [got](const Event& event) { *got += event.mode() == kUpdates ? 1 : 0; },
        [this, got](const absl::Status&) {
          updates_.fetch_add(*got, std::memory_order_relaxed);
          if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            all_ended_.Notify();
          }
        });
  }
  int64_t Updates() {
    all_ended_.WaitForNotification();
    return updates_.load(std::memory_order_relaxed);
  }

 private:
  std::vector<RunStream> streams_;
  std::atomic<int64_t> updates_{0};  // Relaxed: see left_.
  // acq_rel: who notifies has seen all that was counted.
  std::atomic<int64_t> left_;
  absl::Notification all_ended_;
};

// Starts a run, and has its readers listen.
absl::Status Start(Runtime& runtime, const ThreadId& thread, Readers& readers) {
  const absl::StatusOr<RunInfo> run = runtime.StartRun(
      thread, "graph", Update(),
      {.modes = kUpdates, .recursion_limit = 10'000, .resumable = true});
  if (!run.ok()) return run.status();
  for (int i = 0; i < kReaders; ++i) {
    absl::StatusOr<RunStream> reader =
        runtime.JoinStream(thread, run->id, {.last_event_id = -1});
    if (!reader.ok()) return reader.status();
    readers.Listen(*std::move(reader));
  }
  return absl::OkStatus();
}

void BM_Runtime_Crowd(benchmark::State& state, Work (*make)()) {
  const int64_t runs = state.range(0);
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const Work work = make();
  const absl::StatusOr<Graph> graph = work.builder.Compile();
  if (!Succeeded(state, graph)) return;
  TbbExecutor executor(runs == 1 ? cores : 4 * cores);
  Runtime runtime({.executor = &executor});
  if (!runtime.Register("graph", *graph).ok()) return;
  for (auto _ : state) {
    std::vector<ThreadId> threads;
    Readers readers(runs);
    absl::Status status;
    state.SetIterationTime(Seconds([&] {
      for (int64_t i = 0; i < runs && status.ok(); ++i) {
        threads.push_back(runtime.CreateThread());
        status = Start(runtime, threads.back(), readers);
      }
      if (status.ok()) readers.Updates();
    }));
    if (!status.ok()) return state.SkipWithError(status.ToString().c_str());
    if (!Equal(state, readers.Updates(), runs * kReaders * work.updates)) {
      return;
    }
    for (const ThreadId& thread : threads) {
      if (!runtime.DeleteThread(thread).ok()) return;
    }
  }
  state.counters["per_run"] = TimePer(runs);
}
void Runs(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("runs")->Arg(1)->Arg(64)->UseManualTime()->Unit(
      benchmark::kMicrosecond);
}
BENCHMARK_CAPTURE(BM_Runtime_Crowd, line, Line)->Apply(Runs);
BENCHMARK_CAPTURE(BM_Runtime_Crowd, loop, Loop)->Apply(Runs);
BENCHMARK_CAPTURE(BM_Runtime_Crowd, par, Par)->Apply(Runs);

}  // namespace
}  // namespace weir
