// Does a row of work so many times, for a count of its instructions: what does
// one more of it cost? As `instructions ROW TIMES [slow]`. All of it is done by
// one thread, so that the count is the same each time. `slow` makes the nodes
// do more, which check_instructions.py must notice.

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/stream/event_log.h"
#include "weir/stream/segment_pool.h"

namespace weir {
namespace {

bool slow = false;

int64_t Fail(const std::string& why) {
  std::cerr << why << '\n';
  std::exit(1);
}

struct Counting {
  int64_t Read(const absl::StatusOr<RunResult>& result) const {
    return result.ok() ? result->Get(counter)
                       : Fail(result.status().ToString());
  }
  // The sum of what `times` runs leave in the counter.
  int64_t SumOfRuns(int64_t times) {
    const absl::StatusOr<Graph> graph = builder.Compile();
    int64_t sum = 0;
    for (int64_t i = 0; i < times; ++i) {
      sum += Read(graph->Invoke(Update(), {.executor = &executor}));
    }
    return sum;
  }
  auto AddOne() const {
    return [counter = counter](NodeContext& node) {
      // About a fifth more than a superstep.
      if (slow) (void)absl::StrCat(node.Get(counter), " is not short enough");
      return Update(counter, node.Get(counter) + 1);
    };
  }

  StateGraph builder;
  Channel<int> counter = builder.AddChannel("counter", LastValue<int>());
  InlineExecutor executor;
};

// Three nodes in a line, `times` runs.
int64_t Seq3(int64_t times) {
  Counting of;
  const NodeId a = of.builder.AddNode("a", of.AddOne());
  const NodeId b = of.builder.AddNode("b", of.AddOne());
  const NodeId c = of.builder.AddNode("c", of.AddOne());
  of.builder.AddEdge(kStart, a);
  of.builder.AddEdge(a, b);
  of.builder.AddEdge(b, c);
  return of.SumOfRuns(times) / 3;
}

// A graph that runs for `times` supersteps.
absl::StatusOr<Graph> LoopGraph(Counting& of, int64_t times) {
  const NodeId loop = of.builder.AddNode("loop", of.AddOne());
  of.builder.AddEdge(kStart, loop);
  of.builder.AddConditionalEdges(
      loop,
      [counter = of.counter, loop, times](NodeContext& state) {
        return state.Get(counter) < times ? Target(loop) : Target(kEnd);
      },
      {.destinations = {{loop, kEnd}}});
  return of.builder.Compile();
}

// One run of it that nobody can watch, saved in memory if `saved`.
int64_t Loop(int64_t times, bool saved) {
  Counting of;
  const absl::StatusOr<Graph> graph = LoopGraph(of, times);
  MemoryCheckpointer store;
  RunOptions options{.recursion_limit = times + 2, .executor = &of.executor};
  if (saved) {
    options.thread_id = "t";
    options.checkpointer = &store;
  }
  return of.Read(graph->Invoke(Update(), std::move(options)));
}

// The same as a run of a Runtime; with a reader of its updates if `watched`.
int64_t ServedLoop(int64_t times, bool watched) {
  Counting of;
  const absl::StatusOr<Graph> graph = LoopGraph(of, times);
  Runtime runtime({.executor = &of.executor});
  if (!runtime.Register("loop", *graph).ok()) return Fail("not registered");
  const absl::StatusOr<RunInfo> run =
      runtime.StartRun("", "loop", Update(),
                       {.modes = kUpdates,
                        .recursion_limit = times + 2,
                        .window = static_cast<uint64_t>(times) + 2});
  if (!run.ok()) return Fail(run.status().ToString());
  absl::StatusOr<RunStream> reader;
  if (watched) {
    reader = runtime.JoinStream(run->thread_id, run->id);
    if (!reader.ok()) return Fail(reader.status().ToString());
  }
  const absl::StatusOr<RunOutcome> end = runtime.Join(run->thread_id, run->id);
  if (!end.ok()) return Fail(end.status().ToString());
  if (!watched) return end->values.Get(of.counter);
  int64_t updates = 0;
  while (reader->Next() != nullptr) ++updates;
  return updates;
}

// Five parallel nodes and a join, `times` runs.
int64_t Par5(int64_t times) {
  Counting of;
  const auto list = of.builder.AddChannel("list", AppendLogChannel<int>());
  std::vector<NodeRef> nodes;
  for (int i = 0; i < 5; ++i) {
    nodes.push_back(of.builder.AddNode(
        absl::StrCat("append_", i),
        [list, i](NodeContext&) { return Update(list, i); }));
    of.builder.AddEdge(kStart, nodes.back());
  }
  const NodeId join =
      of.builder.AddNode("join", [list, &of](NodeContext& node) {
        return Update(of.counter, static_cast<int>(node.Get(list).size()));
      });
  of.builder.AddJoin(nodes, join);
  return of.SumOfRuns(times) / 5;
}

// `times` events to a reader that then reads them.
int64_t Publish(int64_t times) {
  SegmentPool pool;
  EventLog<int64_t> log({.pool = &pool});
  absl::StatusOr<Cursor<int64_t>> reader = log.Attach();
  if (!reader.ok()) return Fail(reader.status().ToString());
  int64_t read = 0;
  for (int64_t i = 0; i < times; i += 64) {
    for (int64_t k = i; k < i + 64 && k < times; ++k) log.Publish(1, k);
    while (reader->TryNext()) ++read;
  }
  return read;
}

// Each gives `times` if all of it was done.
const std::map<std::string, std::function<int64_t(int64_t)>>& Rows() {
  static const auto* const kRows =
      new std::map<std::string, std::function<int64_t(int64_t)>>{
          {"seq3", Seq3},
          {"loop", [](int64_t times) { return Loop(times, false); }},
          {"saved_loop", [](int64_t times) { return Loop(times, true); }},
          {"unwatched_loop",
           [](int64_t times) { return ServedLoop(times, false); }},
          {"watched_loop",
           [](int64_t times) { return ServedLoop(times, true); }},
          {"par5", Par5},
          {"publish", Publish}};
  return *kRows;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  const auto& rows = weir::Rows();
  const auto row = argc < 3 ? rows.end() : rows.find(argv[1]);
  if (row == rows.end()) {
    std::cerr << "usage: instructions ROW TIMES [slow]; rows:";
    for (const auto& [name, work] : rows) std::cerr << ' ' << name;
    std::cerr << '\n';
    return 2;
  }
  weir::slow = argc > 3 && std::string(argv[3]) == "slow";
  const int64_t times = std::atoll(argv[2]);
  return row->second(times) == times ? 0 : 1;
}
