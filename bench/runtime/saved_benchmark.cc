// What does it cost a superstep to be saved? The loop of loop_benchmark.cc, on
// a thread of a store in memory: one node adds one to a counter until 1,000,
// and every superstep leaves a checkpoint. Beside the counter is a list of
// `idle_bytes` that nobody writes, which must not matter; or the node also
// appends a message of 100 bytes, whose cost must not grow with the list; or
// the thread already has `history` checkpoints, which must not matter either.
// Compared with the same loop unsaved, and with the store alone, told what the
// run tells it.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bench/support/check.h"
#include "benchmark/benchmark.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/checkpointer.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

constexpr int kSteps = 1'000;
constexpr size_t kMessageBytes = 100;

struct LoopGraph {
  StateGraph builder;
  Channel<int> counter = builder.AddChannel("counter", LastValue<int>());
  Channel<std::vector<int64_t>> idle =
      builder.AddChannel("idle", LastValue<std::vector<int64_t>>());
  Channel<AppendLog<std::string>, OneOrMany<std::string>> messages =
      builder.AddChannel("messages", AppendLogChannel<std::string>());

  absl::StatusOr<Graph> Compile(bool appends) {
    auto add_one = [counter = counter](NodeContext& node) {
      return Update(counter, node.Get(counter) + 1);
    };
    auto append = [counter = counter, messages = messages](NodeContext& node) {
      return Update(counter, node.Get(counter) + 1)
          .Set(messages, std::string(kMessageBytes, 'x'));
    };
    const NodeId loop = appends ? builder.AddNode("loop", append)
                                : builder.AddNode("loop", add_one);
    builder.AddEdge(kStart, loop);
    builder.AddConditionalEdges(
        loop,
        [counter = counter, loop](NodeContext& state) {
          return state.Get(counter) < kSteps ? Target(loop) : Target(kEnd);
        },
        {.destinations = {{loop, kEnd}}});
    return builder.Compile();
  }
};

// A checkpoint for each superstep, and for the input and the start.
void HasCheckpoints(benchmark::State& state, const Graph& graph,
                    MemoryCheckpointer& store, int count) {
  const auto history =
      graph.GetHistory({.checkpointer = &store, .thread_id = "t"});
  if (!Succeeded(state, history)) return;
  Equal(state, static_cast<int>(history->size()), count);
}

void Loop(benchmark::State& state, bool saved, bool appends,
          int64_t idle_bytes) {
  LoopGraph of;
  const absl::StatusOr<Graph> graph = of.Compile(appends);
  if (!Succeeded(state, graph)) return;
  const Value idle(std::vector<int64_t>(
      static_cast<size_t>(idle_bytes) / sizeof(int64_t), 7));

  auto run = [&](MemoryCheckpointer& store) {
    RunOptions options;
    if (saved) {
      options.checkpointer = &store;
      options.thread_id = "t";
    }
    return graph->Invoke(Update().Set("idle", idle), std::move(options));
  };
  for (auto _ : state) {
    state.PauseTiming();
    auto store = std::make_unique<MemoryCheckpointer>();
    state.ResumeTiming();
    if (!Holds(state, run(*store), of.counter, kSteps)) return;
    state.PauseTiming();
    store = nullptr;  // What a run costs is asked, not what forgetting it does.
    state.ResumeTiming();
  }
  state.counters["per_superstep"] = TimePer(kSteps);

  MemoryCheckpointer store;
  const absl::StatusOr<RunResult> result = run(store);
  if (!Succeeded(state, result)) return;
  Equal(state, static_cast<int>(result->Get(of.messages).size()),
        appends ? kSteps : 0);
  if (saved) HasCheckpoints(state, *graph, store, kSteps + 2);
}

void BM_Graph_SavedLoop1000(benchmark::State& state) {
  Loop(state, /*saved=*/true, /*appends=*/false, state.range(0));
}
BENCHMARK(BM_Graph_SavedLoop1000)
    ->ArgName("idle_bytes")
    ->Arg(0)
    ->RangeMultiplier(10)
    ->Range(1'000, 1'000'000)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

void BM_Graph_UnsavedLoop1000(benchmark::State& state) {
  Loop(state, /*saved=*/false, /*appends=*/false, 0);
}
BENCHMARK(BM_Graph_UnsavedLoop1000)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

void BM_Graph_SavedAppendLoop1000(benchmark::State& state) {
  Loop(state, /*saved=*/true, /*appends=*/true, 0);
}
BENCHMARK(BM_Graph_SavedAppendLoop1000)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

void BM_Graph_UnsavedAppendLoop1000(benchmark::State& state) {
  Loop(state, /*saved=*/false, /*appends=*/true, 0);
}
BENCHMARK(BM_Graph_UnsavedAppendLoop1000)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

// The run alone is timed, not what makes the history. A thread with a short one
// is made anew for each run; a long one hardly grows by a run.
void BM_Graph_SavedLoop1000_AfterHistory(benchmark::State& state) {
  const int64_t history = state.range(0);
  LoopGraph of;
  const absl::StatusOr<Graph> graph = of.Compile(/*appends=*/false);
  if (!Succeeded(state, graph)) return;
  MemoryCheckpointer store;
  int threads = 0;
  std::string thread;
  // A run from `counter` on leaves two checkpoints more than it has supersteps.
  auto run = [&](int counter) {
    RunOptions options;
    options.checkpointer = &store;
    options.thread_id = thread;
    return Holds(state,
                 graph->Invoke(Update(of.counter, counter), std::move(options)),
                 of.counter, kSteps);
  };
  auto make_history = [&] {
    thread = absl::StrCat(threads++);
    for (int64_t made = 0; made < history; made += kSteps + 2) {
      const int64_t left = history - made;
      if (!run(left > kSteps ? 0 : static_cast<int>(kSteps + 2 - left))) {
        return false;
      }
    }
    return true;
  };
  if (!make_history()) return;

  for (auto _ : state) {
    if (history < 10 * kSteps && !make_history()) break;
    const auto start = std::chrono::steady_clock::now();
    const bool right = run(0);
    state.SetIterationTime(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count());
    if (!right) break;
  }
  state.counters["per_superstep"] = TimePer(kSteps);
}
BENCHMARK(BM_Graph_SavedLoop1000_AfterHistory)
    ->ArgName("history")
    ->Arg(100)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond)
    ->UseManualTime();

// The store alone: what a task did and a checkpoint with two channels for
// each superstep.
void BM_MemoryCheckpointer_Loop1000(benchmark::State& state) {
  const auto value = std::make_shared<const int>(7);
  for (auto _ : state) {
    state.PauseTiming();
    auto made = std::make_unique<MemoryCheckpointer>();
    state.ResumeTiming();
    MemoryCheckpointer& store = *made;
    absl::Status failed;
    Fence fence;
    store.Open("t", [&](absl::StatusOr<ThreadLease> lease) {
      if (lease.ok()) fence = std::move(lease->fence);
    });
    auto done = [&failed](absl::Status status) { failed.Update(status); };
    CheckpointId last;
    for (uint64_t step = 1; step <= kSteps; ++step) {
      if (step > 1) {
        NewWrites writes;
        writes.checkpoint = last;
        writes.writes.push_back({"0123456789abcdef0123456789abcdef", "", 0,
                                 "__task__", SavedValue(value, nullptr)});
        store.PutWrites(fence, std::move(writes), done);
      }
      NewCheckpoint put;
      put.base = last;
      put.checkpoint.id = {step, step};
      put.checkpoint.parent = last;
      for (const char* channel : {"counter", "__engine__"}) {
        put.checkpoint.channels.push_back(
            {channel, step, 0, SavedValue(value, nullptr)});
      }
      last = put.checkpoint.id;
      store.Put(fence, std::move(put), done);
    }
    state.PauseTiming();
    made = nullptr;
    state.ResumeTiming();
    if (!failed.ok()) {
      state.SkipWithError(std::string(failed.message()).c_str());
      break;
    }
  }
  state.counters["per_superstep"] = TimePer(kSteps);
}
BENCHMARK(BM_MemoryCheckpointer_Loop1000)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

}  // namespace
}  // namespace weir
