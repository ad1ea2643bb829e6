// What a superstep allocates. This program's operator new counts, on every
// thread.
//
// A run allocates once for itself, and then for what it has not seen yet: more
// tasks at once than ever, longer lists. A loop that goes on as it did needs
// nothing more. So the measure is the difference between runs of different
// lengths: it is exact, and must be zero where nothing is to be allocated.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/channels/topic.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/state_graph.h"

namespace {

// Written by operator new and delete. Relaxed: what other workers allocated for
// a run is counted before they hand over, and the hand-over synchronises.
constinit std::atomic<int64_t> allocations = 0;
constinit std::atomic<int64_t> deallocations = 0;

void* TryAllocate(size_t size, size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (size == 0) size = 1;
  return alignment <= alignof(std::max_align_t)
             ? std::malloc(size)
             : std::aligned_alloc(
                   alignment, (size + alignment - 1) / alignment * alignment);
}

void* Allocate(size_t size, std::align_val_t alignment = {}) {
  void* memory = TryAllocate(size, static_cast<size_t>(alignment));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void Deallocate(void* memory) {
  if (memory == nullptr) return;
  deallocations.fetch_add(1, std::memory_order_relaxed);
  std::free(memory);
}

}  // namespace

// All forms: those that are not here would be a sanitizer's, which has all of
// them and does not call one from another.
using Alignment = std::align_val_t;
using NoThrow = const std::nothrow_t&;
void* operator new(size_t n) { return Allocate(n); }
void* operator new[](size_t n) { return Allocate(n); }
void* operator new(size_t n, Alignment a) { return Allocate(n, a); }
void* operator new[](size_t n, Alignment a) { return Allocate(n, a); }
void* operator new(size_t n, NoThrow) noexcept { return TryAllocate(n, 1); }
void* operator new[](size_t n, NoThrow) noexcept { return TryAllocate(n, 1); }
void* operator new(size_t n, Alignment a, NoThrow) noexcept {
  return TryAllocate(n, static_cast<size_t>(a));
}
void* operator new[](size_t n, Alignment a, NoThrow) noexcept {
  return TryAllocate(n, static_cast<size_t>(a));
}
void operator delete(void* p) noexcept { Deallocate(p); }
void operator delete[](void* p) noexcept { Deallocate(p); }
void operator delete(void* p, size_t) noexcept { Deallocate(p); }
void operator delete[](void* p, size_t) noexcept { Deallocate(p); }
void operator delete(void* p, Alignment) noexcept { Deallocate(p); }
void operator delete[](void* p, Alignment) noexcept { Deallocate(p); }
void operator delete(void* p, size_t, Alignment) noexcept { Deallocate(p); }
void operator delete[](void* p, size_t, Alignment) noexcept { Deallocate(p); }
void operator delete(void* p, NoThrow) noexcept { Deallocate(p); }
void operator delete[](void* p, NoThrow) noexcept { Deallocate(p); }
void operator delete(void* p, Alignment, NoThrow) noexcept { Deallocate(p); }
void operator delete[](void* p, Alignment, NoThrow) noexcept { Deallocate(p); }

namespace weir {
namespace {

using ::testing::Eq;
using ::testing::Gt;
using ::testing::Lt;

// How often `work`, and whatever else runs meanwhile, allocates.
int64_t CountAllocations(absl::FunctionRef<void()> work) {
  const int64_t before = allocations.load(std::memory_order_relaxed);
  work();
  return allocations.load(std::memory_order_relaxed) - before;
}

// A graph that goes on for as many rounds as its input says.
struct Loop {
  absl::StatusOr<Graph> graph;
  Channel<int> counter;  // Rounds.
  Channel<int> rounds;
};

// The allocations of a run of so many rounds, on an executor that has run it
// before.
int64_t AllocationsOf(const Loop& loop, int rounds, Executor* executor) {
  const RunOptions options = {.recursion_limit = 10 * rounds + 10,
                              .executor = executor};
  int64_t of_last_run = 0;
  for (int warm_up = 0; warm_up < 3; ++warm_up) {
    int counted = 0;
    of_last_run = CountAllocations([&loop, &options, &counted, rounds] {
      absl::StatusOr<Values> result =
          loop.graph->Invoke(Update(loop.rounds, rounds), options);
      ASSERT_TRUE(result.ok()) << result.status();
      counted = result->Get(loop.counter);
    });
    EXPECT_EQ(counted, rounds);
  }
  return of_last_run;
}

// What each of `rounds` more rounds allocates, between runs of that many and of
// twice as many.
double PerRound(const Loop& loop, int rounds, Executor* executor = nullptr) {
  const int64_t once = AllocationsOf(loop, rounds, executor);
  const int64_t twice = AllocationsOf(loop, 2 * rounds, executor);
  std::printf("%d allocations with %d rounds, %d with %d\n",
              static_cast<int>(once), rounds, static_cast<int>(twice),
              2 * rounds);
  return static_cast<double>(twice - once) / rounds;
}

// Adds the channels, and to `last` the router that leads back to `first`.
void Close(StateGraph& builder, Loop& loop, NodeId first, NodeId last) {
  builder.AddEdge(kStart, first);
  builder.AddConditionalEdges(
      last, [counter = loop.counter, rounds = loop.rounds,
             first](NodeContext& state) {
        return state.Get(counter) < state.Get(rounds) ? Target(first)
                                                      : Target(kEnd);
      });
  loop.graph = builder.Compile();
  ASSERT_TRUE(loop.graph.ok()) << loop.graph.status();
}

Loop AddChannels(StateGraph& builder) {
  Loop loop;
  loop.counter = builder.AddChannel("counter", LastValue<int>());
  loop.rounds = builder.AddChannel("rounds", LastValue<int>());
  return loop;
}

// One node and its router, in one superstep a round.
Loop MakeLoopOfOne(const NodeOptions& options = {}) {
  StateGraph builder;
  Loop loop = AddChannels(builder);
  const NodeId one = builder.AddNode(
      "one",
      [counter = loop.counter](NodeContext& node) {
        return Update(counter, node.Get(counter) + 1);
      },
      options);
  Close(builder, loop, one, one);
  return loop;
}

// `width` nodes that run at once, then one that joins them and counts.
Loop MakeLoopOfMany(int width) {
  StateGraph builder;
  Loop loop = AddChannels(builder);
  const NodeId first = builder.AddNode("first", [](NodeContext&) {});
  std::vector<NodeRef> many;
  for (int i = 0; i < width; ++i) {
    const auto own =
        builder.AddChannel(absl::StrCat("own_", i), LastValue<int>());
    many.push_back(builder.AddNode(
        absl::StrCat("many_", i),
        [own](NodeContext& node) { return Update(own, node.Get(own) + 1); }));
    builder.AddEdge(first, many.back());
  }
  const NodeId join =
      builder.AddNode("join", [counter = loop.counter](NodeContext& node) {
        return Update(counter, node.Get(counter) + 1);
      });
  builder.AddJoin(many, join);
  Close(builder, loop, first, join);
  return loop;
}

TEST(AllocationTest, NewAndDeleteAreCounted) {
  const int64_t freed = deallocations.load(std::memory_order_relaxed);
  EXPECT_THAT(CountAllocations([] {
                std::make_unique<int>(1).reset();
                std::vector<int>(100).clear();
              }),
              Eq(2));
  EXPECT_THAT(deallocations.load(std::memory_order_relaxed), Eq(freed + 2));
}

TEST(AllocationTest, SteadySuperstepAllocatesNothing) {
  const Loop loop = MakeLoopOfOne();
  EXPECT_THAT(PerRound(loop, 1000), Eq(0));
}

TEST(AllocationTest, SteadySuperstepAllocatesNothingOnAnyExecutor) {
  const Loop loop = MakeLoopOfOne();
  InlineExecutor inline_executor;
  EXPECT_THAT(PerRound(loop, 1000, &inline_executor), Eq(0));
  SimExecutor sim_executor(1);
  EXPECT_THAT(PerRound(loop, 1000, &sim_executor), Eq(0));
  TbbExecutor tbb_executor(2);
  EXPECT_THAT(PerRound(loop, 1000, &tbb_executor), Eq(0));
}

TEST(AllocationTest, SteadySuperstepWithALimitAllocatesNothing) {
  const Loop loop = MakeLoopOfOne();
  const auto run = [&loop](int rounds) {
    return CountAllocations([&loop, rounds] {
      const absl::StatusOr<Values> result = loop.graph->Invoke(
          Update(loop.rounds, rounds), {.max_concurrency = 1});
      EXPECT_TRUE(result.ok()) << result.status();
    });
  };
  run(1000);
  EXPECT_EQ(run(1000), run(2000));
}

TEST(AllocationTest, SteadySuperstepOfManyTasksAllocatesNothing) {
  InlineExecutor executor;
  for (const int width : {2, 5, 100}) {
    EXPECT_THAT(PerRound(MakeLoopOfMany(width), 1000, &executor), Eq(0))
        << width;
  }
}

TEST(AllocationTest, SuperstepOfManyTasksOnWorkersAllocatesLittle) {
  // What is posted to workers, and what their sleeping takes, depends on how
  // they meet. It must stay below one allocation for each task.
  constexpr int kWidth = 5;
  EXPECT_THAT(PerRound(MakeLoopOfMany(kWidth), 1000), Lt(kWidth));
}

// The chunks of an AppendLog<int> of so many elements.
int Chunks(int elements) {
  int chunks = 0;
  for (int slots = 8; elements > 0; slots = std::min(2 * slots, 1024)) {
    elements -= slots;
    ++chunks;
  }
  return chunks;
}

TEST(AllocationTest, AppendingAllocatesChunksAlone) {
  StateGraph builder;
  Loop loop = AddChannels(builder);
  const auto log = builder.AddChannel("log", AppendLogChannel<int>());
  const NodeId one =
      builder.AddNode("one", [counter = loop.counter, log](NodeContext& node) {
        const int count = node.Get(counter);
        return Update(counter, count + 1).Set(log, count);
      });
  Close(builder, loop, one, one);
  for (const int rounds : {100, 1000, 5000}) {
    const int64_t once = AllocationsOf(loop, rounds, nullptr);
    const int64_t twice = AllocationsOf(loop, 2 * rounds, nullptr);
    EXPECT_THAT(twice - once, Eq(Chunks(2 * rounds) - Chunks(rounds)))
        << rounds;
  }
}

TEST(AllocationTest, ReducingInPlaceAllocatesNothing) {
  StateGraph builder;
  Loop loop = AddChannels(builder);
  // Longer than what a string holds inline.
  const auto text =
      builder.AddChannel("text", Reducer<std::string, char>(
                                     [](std::string held, const char& next) {
                                       held[held.size() - 1] = next;
                                       return held;
                                     },
                                     std::string(100, '-')));
  const NodeId one =
      builder.AddNode("one", [counter = loop.counter, text](NodeContext& node) {
        return Update(counter, node.Get(counter) + 1).Set(text, 'x');
      });
  Close(builder, loop, one, one);
  EXPECT_THAT(PerRound(loop, 1000), Eq(0));
}

TEST(AllocationTest, TopicKeepsItsMemory) {
  StateGraph builder;
  Loop loop = AddChannels(builder);
  const auto topic = builder.AddChannel("topic", Topic<int>());
  const NodeId one = builder.AddNode(
      "one", [counter = loop.counter, topic](NodeContext& node) {
        const int count = node.Get(counter);
        return Update(counter, count + 1).Set(topic, count);
      });
  Close(builder, loop, one, one);
  EXPECT_THAT(PerRound(loop, 1000), Eq(0));
}

// What Sends allocate is the node's own: the Command that holds them, and its
// list of targets.
TEST(AllocationTest, SendsAllocateOnlyTheCommandThatHoldsThem) {
  constexpr int kPackets = 5;
  const auto make_command = [](NodeId to) {
    Command command;
    command.go_to.reserve(kPackets);
    for (int i = 0; i < kPackets; ++i) command.go_to.push_back(Send(to, i));
    return command;
  };
  const int64_t of_command = CountAllocations(
      [&make_command] { NodeResult result(make_command(NodeId())); });

  StateGraph builder;
  Loop loop = AddChannels(builder);
  const auto sum = builder.AddChannel("sum", LastValue<int>());
  const NodeId worker = builder.AddNode("worker", [sum](NodeContext& node) {
    const int* packet = node.Input<int>();
    if (packet != nullptr && *packet == 0) return Update(sum, *packet);
    return Update();
  });
  const NodeId dispatcher = builder.AddNode(
      "dispatcher",
      [worker, make_command](NodeContext&) { return make_command(worker); });
  const NodeId count =
      builder.AddNode("count", [counter = loop.counter](NodeContext& node) {
        return Update(counter, node.Get(counter) + 1);
      });
  builder.AddEdge(dispatcher, count);
  Close(builder, loop, dispatcher, count);

  InlineExecutor executor;
  EXPECT_THAT(PerRound(loop, 1000, &executor), Eq(of_command));
}

// Nodes that wait, and graphs inside, need memory of their own for each task.
// It must be the same for each, however long the run.
TEST(AllocationTest, OtherNodesAllocateTheSameEachTime) {
  struct Kind {
    const char* name;
    std::function<NodeId(StateGraph&, Channel<int>)> add;
    int most;
  };
  const auto inner = [] {
    StateGraph builder;
    const auto counter = builder.AddChannel("counter", LastValue<int>());
    builder.AddNode("inner", [counter](NodeContext& node) {
      return Update(counter, node.Get(counter) + 1);
    });
    builder.AddEdge(kStart, "inner");
    return *builder.Compile();
  }();
  const Kind kinds[] = {
      {"a node with a retry policy",
       [](StateGraph& builder, Channel<int> counter) {
         NodeOptions options;
         options.retry.emplace_back();
         return builder.AddNode(
             "one",
             [counter](NodeContext& node) {
               return Update(counter, node.Get(counter) + 1);
             },
             options);
       },
       1},
      {"a callback",
       [](StateGraph& builder, Channel<int> counter) {
         return builder.AddNode("one",
                                [counter](NodeContext& node, Completion done) {
                                  done(Update(counter, node.Get(counter) + 1));
                                });
       },
       1},
      {"a coroutine",
       [](StateGraph& builder, Channel<int> counter) {
         return builder.AddNode(
             "one", [counter](NodeContext& node) -> Task<NodeResult> {
               NodeResult result(Update(counter, node.Get(counter) + 1));
               co_return std::move(result);
             });
       },
       3},
      {"a graph",
       [&inner](StateGraph& builder, Channel<int>) {
         return builder.AddNode("one", inner);
       },
       7},
  };
  InlineExecutor executor;
  for (const Kind& kind : kinds) {
    StateGraph builder;
    Loop loop = AddChannels(builder);
    const NodeId one = kind.add(builder, loop.counter);
    Close(builder, loop, one, one);
    const int64_t once = AllocationsOf(loop, 1000, &executor);
    const int64_t twice = AllocationsOf(loop, 2000, &executor);
    const int64_t thrice = AllocationsOf(loop, 3000, &executor);
    std::printf("%s: %.3f allocations a round\n", kind.name,
                static_cast<double>(twice - once) / 1000);
    EXPECT_EQ(thrice - twice, twice - once) << kind.name;
    EXPECT_THAT(twice - once, testing::Le(1000 * kind.most)) << kind.name;
  }
}

TEST(AllocationTest, RunFreesWhatItAllocates) {
  const Loop loop = MakeLoopOfMany(5);
  InlineExecutor executor;
  AllocationsOf(loop, 100, &executor);
  const int64_t live = allocations.load(std::memory_order_relaxed) -
                       deallocations.load(std::memory_order_relaxed);
  EXPECT_THAT(AllocationsOf(loop, 200, &executor), Gt(0));
  EXPECT_THAT(allocations.load(std::memory_order_relaxed) -
                  deallocations.load(std::memory_order_relaxed),
              Eq(live));
}

}  // namespace
}  // namespace weir
