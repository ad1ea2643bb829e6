// Runs meet workers, foreign threads, stop requests and impatient readers at
// random moments.
//
// Allowed:
// - The tasks of a superstep run in any order, on any thread, and at once.
// - A completion comes before its node's body has returned, or long after, and
//   from any thread.
// - A run that is asked to stop, or that runs out of time, ends with Cancelled
//   or DeadlineExceeded at any superstep, or with the failure of an attempt
//   that is not followed by another then, or ends well.
// - A stream that is destroyed early has given any number of events.
//
// Forbidden:
// - A result, an order of merged writes, or a failure's message that depends on
//   which task was first.
// - A task that begins before all tasks of the superstep before have ended, or
//   does not see what they wrote: to channels, or to memory that nothing but
//   the superstep's end protects.
// - State that changes while a task that read it has not ended.
// - More unfinished tasks at once than max_concurrency.
// - A planned task that does not run, or runs twice, when its sibling fails.
// - A task that runs, or begins, after its run has ended: when Invoke() has
//   returned, or the stream is gone.
// - A sleep cut short, or a stop token triggered, in a run that nobody stops.
// - Events with a hole or a duplicate in their ids, or out of a superstep's
//   order.
// - A run, a graph or a node's captures that outlive executors and streams.
// - A run that never ends (the test hangs).

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/channels/topic.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

#if defined(ABSL_HAVE_THREAD_SANITIZER) || defined(ABSL_HAVE_ADDRESS_SANITIZER)
constexpr int kDefaultRounds = 200;
#else
constexpr int kDefaultRounds = 400;
#endif

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Seed() { return engine_(); }
  int Below(int end) {
    return static_cast<int>(engine_() % static_cast<uint64_t>(end));
  }
  int Between(int first, int last) { return first + Below(last - first + 1); }
  bool Chance(int percent) { return Below(100) < percent; }

 private:
  std::mt19937_64 engine_;
};

// Passes some time without sleeping.
void Spin(int turns) {
  for (int i = 0; i < turns; ++i) {
    std::atomic_signal_fence(std::memory_order_seq_cst);  // Keeps the loop.
  }
}

// Threads that weir knows nothing of. They run what they are given, in any
// order; the destructor runs what is left.
class ForeignThreads {
 public:
  using Job = absl::AnyInvocable<void()>;

  explicit ForeignThreads(uint64_t seed, int threads = 2) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back(
          [this, random = Random(seed + static_cast<uint64_t>(i))] {
            Work(random);
          });
    }
  }
  ~ForeignThreads() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

  void Post(Job job) {
    absl::MutexLock lock(&mutex_);
    jobs_.push_back(std::move(job));
  }

 private:
  bool CanGoOn() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || !jobs_.empty();
  }

  void Work(Random random) {
    while (true) {
      Job job;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &ForeignThreads::CanGoOn));
        if (jobs_.empty()) return;
        std::swap(jobs_[static_cast<size_t>(
                      random.Below(static_cast<int>(jobs_.size())))],
                  jobs_.back());
        job = std::move(jobs_.back());
        jobs_.pop_back();
      }
      if (random.Chance(30)) Spin(random.Below(2000));
      job();
    }
  }

  absl::Mutex mutex_;
  std::vector<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;  // Joined before the rest is gone.
};

// How a node of the fan-out goes about its work.
enum class Flavour {
  kFunction,
  kRetried,    // A function that fails at first.
  kCoroutine,  // Sleeps.
  kCallback,   // Completed by a foreign thread.
  kGraph,      // A graph that is a node.
  kAwaiter,    // A coroutine that runs a graph,
  kCaller,     // and a function that does.
};
constexpr int kFlavours = 7;

// What a graph looks like: for some rounds, a node leads to `flavours.size()`
// nodes and sends packets to another; then one that joins the nodes looks at
// what all of them did, and a router leads back.
struct Shape {
  std::vector<Flavour> flavours;
  int packets = 0;
  Flavour of_packets = Flavour::kFunction;
  int rounds = 1;

  int width() const { return static_cast<int>(flavours.size()); }
  int tasks() const { return width() + packets; }  // In the wide superstep.
};

// What may happen in a run, and what did. Nodes find it as their context.
// Destroyed as soon as the run is over, so that a late task is caught.
class Witness {
 public:
  struct Expectations {
    int max_concurrency = 0;
    bool may_stop = false;
    std::vector<int> failing;           // Nodes that fail in the last round.
    ForeignThreads* foreign = nullptr;  // Null: callbacks complete at once.
    absl::Duration longest_sleep = absl::ZeroDuration();
    uint64_t seed = 0;
  };

  Witness(const Shape& shape, Expectations expectations)
      : last_round(static_cast<size_t>(shape.tasks()), -1),
        expected(std::move(expectations)) {}

  ~Witness() {
    EXPECT_EQ(Complaints(), "");
    EXPECT_EQ(running_.load(std::memory_order_relaxed), 0)
        << "tasks run after the end of their run";
  }

  // A task's body begins and ends. Those of graphs inside are not counted
  // against max_concurrency.
  void Enter(const NodeContext& node, bool inside = false) {
    const int running = running_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (!inside && expected.max_concurrency > 0 &&
        unfinished_.fetch_add(1, std::memory_order_relaxed) >=
            expected.max_concurrency) {
      Complain(absl::StrCat(running, " tasks run at once"));
    }
    if (!expected.may_stop && node.stop_token().stop_requested()) {
      Complain("asked to stop");
    }
    if (!inside) begun_.fetch_add(1, std::memory_order_relaxed);
  }
  void Leave(bool inside = false) {
    if (!inside && expected.max_concurrency > 0) {
      unfinished_.fetch_sub(1, std::memory_order_relaxed);
    }
    running_.fetch_sub(1, std::memory_order_relaxed);
  }

  void Complain(std::string text) {
    absl::MutexLock lock(&mutex_);
    if (complaints_.size() < 5) complaints_.push_back(std::move(text));
  }
  std::string Complaints() const {
    absl::MutexLock lock(&mutex_);
    return absl::StrJoin(complaints_, "; ");
  }

  // Bodies that began. Once the run is over.
  int begun() const { return begun_.load(std::memory_order_relaxed); }

  // A number that nothing depends on but how long things take.
  uint64_t Whim(const NodeContext& node, int task) const {
    uint64_t z = expected.seed +
                 0x9e3779b97f4a7c15 *
                     static_cast<uint64_t>(1000 * node.step() + task + 1);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    return z ^ (z >> 27);
  }

  // Of each task of the fan-out: the round in which it last ran. Not atomic:
  // each is written by its task and read by tasks of later supersteps.
  std::vector<int> last_round;
  const Expectations expected;

 private:
  // Relaxed: bounds that hold whatever the order.
  std::atomic<int> running_{0};
  std::atomic<int> unfinished_{0};
  std::atomic<int> begun_{0};
  mutable absl::Mutex mutex_;
  std::vector<std::string> complaints_ ABSL_GUARDED_BY(mutex_);
};

// What nodes share. Kept alive by them alone.
struct Parts {
  Shape shape;
  Channel<int> round;
  Channel<std::vector<int>, OneOrMany<int>> list;  // In the order of merging.
  Channel<int64_t> sum;
  std::vector<std::optional<Graph>> inner;  // Of each node.
};
using SharedParts = std::shared_ptr<const Parts>;

Witness& WitnessOf(const NodeContext& node) {
  return **node.context<Witness*>();
}

// What the packet `k` is in the list.
int PacketItem(int k) { return 1000 + k; }

bool IsToFail(const NodeContext& node, const Parts& parts, int task) {
  const std::vector<int>& failing = WitnessOf(node).expected.failing;
  return node.Get(parts.round) == parts.shape.rounds - 1 &&
         std::find(failing.begin(), failing.end(), task) != failing.end();
}

// A node of kRetried says this at first.
constexpr char kNotYet[] = "not yet";

std::string FailureText(int task) { return absl::StrCat("as told ", task); }

// What the task does, whatever its flavour. The packets carry their round, for
// they do not see the state.
NodeResult Act(NodeContext& node, const Parts& parts, int task,
               std::optional<int> item = std::nullopt) {
  Witness& witness = WitnessOf(node);
  const int* packet = node.Input<int>();
  const int round = packet == nullptr ? node.Get(parts.round) : *packet / 1000;
  if (packet != nullptr) task = parts.shape.width() + *packet % 1000;
  if (packet == nullptr &&
      node.Get(parts.list).size() !=
          static_cast<size_t>(round * parts.shape.tasks())) {
    witness.Complain(absl::StrCat("task ", task, " sees a list of ",
                                  node.Get(parts.list).size(), " in round ",
                                  round));
  }
  int& last_round = witness.last_round[static_cast<size_t>(task)];
  if (last_round != round - 1) {
    witness.Complain(absl::StrCat("task ", task, " ran in round ", last_round,
                                  " before round ", round));
  }
  last_round = round;
  if (packet == nullptr && IsToFail(node, parts, task)) {
    if (task % 2 == 0) throw std::runtime_error(FailureText(task));
    return absl::UnknownError(FailureText(task));
  }
  const int written =
      packet != nullptr ? PacketItem(*packet % 1000) : item.value_or(task);
  return Update(parts.list, written).Set(parts.sum, written);
}

// Enters and leaves, also when what is between throws.
class Presence {
 public:
  explicit Presence(const NodeContext& node, bool inside = false)
      : witness_(WitnessOf(node)), inside_(inside) {
    witness_.Enter(node, inside_);
  }
  ~Presence() { witness_.Leave(inside_); }
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;

 private:
  Witness& witness_;
  const bool inside_;
};

Task<int> Sleep(NodeContext& node, int task) {
  Witness& witness = WitnessOf(node);
  const absl::Duration delay =
      witness.expected.longest_sleep *
      static_cast<double>(witness.Whim(node, task) % 5) / 4;
  // What the state was, and is still to be after the sleep.
  const Values* input = node.Input<Values>();
  const std::string before = input == nullptr ? "" : input->ToJson();
  const absl::Status slept = co_await node.Sleep(delay);
  if (!slept.ok() && !witness.expected.may_stop) {
    witness.Complain("a sleep was cut short");
  }
  if (input != nullptr && input->ToJson() != before) {
    witness.Complain("the state changed under a task");
  }
  co_return slept.ok() ? 1 : 0;
}

Task<NodeResult> Sleeper(NodeContext& node, SharedParts parts, int task) {
  const Presence presence(node);
  Task<int> sleep = Sleep(node, task);
  co_await sleep;
  NodeResult result = Act(node, *parts, task);
  co_return std::move(result);
}

void CallBack(NodeContext& node, Completion done, const SharedParts& parts,
              int task) {
  Witness& witness = WitnessOf(node);
  witness.Enter(node);
  auto complete = [&node, &witness, parts, task,
                   done = std::move(done)]() mutable {
    NodeResult result;
    try {
      result = Act(node, *parts, task);
    } catch (const std::exception& error) {
      result = absl::UnknownError(error.what());
    }
    witness.Leave();
    done(std::move(result));
  };
  ForeignThreads* const foreign = witness.expected.foreign;
  const uint64_t whim = witness.Whim(node, task);
  if (foreign == nullptr || whim % 4 == 0) {
    complete();
  } else {
    foreign->Post(std::move(complete));
    // The completion may have come by now, and the task be another's; but
    // nothing of it is touched any more.
    if (whim % 4 == 1) Spin(static_cast<int>(whim % 3000));
  }
}

Task<NodeResult> Awaiter(NodeContext& node, SharedParts parts, int task) {
  const Presence presence(node);
  GraphCall call =
      node.Invoke(*parts->inner[static_cast<size_t>(task)], Update());
  absl::StatusOr<Values> values = co_await call;
  NodeResult result;
  if (values.ok()) {
    const Value* list = values->Find("list");
    result = Act(node, *parts, task, list->As<std::vector<int>>()->front());
  } else {
    result = NodeResult(values.status());
  }
  co_return std::move(result);
}

NodeResult Caller(NodeContext& node, const Parts& parts, int task) {
  const Presence presence(node);
  const absl::StatusOr<Values> values =
      node.Invoke(*parts.inner[static_cast<size_t>(task)], Update());
  if (!values.ok()) return values.status();
  return Act(node, parts, task,
             values->Find("list")->As<std::vector<int>>()->front());
}

Task<NodeResult> InnerSleeper(NodeContext& node, Channel<int> own, int number) {
  const Presence presence(node, /*inside=*/true);
  Task<int> sleep = Sleep(node, number);
  co_await sleep;
  NodeResult result(Update(own, number));
  co_return std::move(result);
}

// A graph that writes `item` to the list once three nodes have run at once.
Graph MakeInnerGraph(int item) {
  StateGraph builder;
  const auto list = builder.AddChannel("list", Topic<int>(/*accumulate=*/true));
  std::vector<Channel<int>> own;
  std::vector<NodeRef> nodes;
  for (int i = 0; i < 3; ++i) {
    own.push_back(
        builder.AddChannel(absl::StrCat("own_", i), LastValue<int>()));
    const std::string name = absl::StrCat("node_", i);
    if (i == 1) {
      nodes.push_back(
          builder.AddNode(name, [own = own.back(), i](NodeContext& node) {
            return InnerSleeper(node, own, i);
          }));
    } else {
      nodes.push_back(
          builder.AddNode(name, [own = own.back(), i](NodeContext& node) {
            const Presence presence(node, /*inside=*/true);
            return Update(own, i);
          }));
    }
    builder.AddEdge(kStart, nodes.back());
  }
  builder.AddNode("join", [own, list, item](NodeContext& node) {
    const Presence presence(node, /*inside=*/true);
    for (size_t i = 0; i < own.size(); ++i) {
      const int* seen = node.Find(own[i]);
      if (seen == nullptr || *seen != static_cast<int>(i)) {
        WitnessOf(node).Complain("a join does not see a source's write");
      }
    }
    return Update(list, item);
  });
  builder.AddJoin(nodes, "join");
  builder.SetInput({});
  builder.SetOutput({list});
  absl::StatusOr<Graph> graph = builder.Compile();
  EXPECT_TRUE(graph.ok()) << graph.status();
  return *std::move(graph);
}

// Sorts as the number does.
std::string NodeName(int task) { return absl::StrFormat("node_%03d", task); }

NodeId AddTask(StateGraph& builder, const SharedParts& parts,
               const std::string& name, Flavour flavour, int task) {
  switch (flavour) {
    case Flavour::kFunction:
      return builder.AddNode(name, [parts, task](NodeContext& node) {
        const Presence presence(node);
        return Act(node, *parts, task);
      });
    case Flavour::kRetried: {
      RetryPolicy retry{.initial_interval = absl::Microseconds(20),
                        .max_attempts = 2,
                        .jitter = false};
      retry.retry_on = [](const absl::Status& failure) {
        return failure.code() == absl::StatusCode::kUnavailable;
      };
      NodeOptions options;
      options.retry.push_back(std::move(retry));
      return builder.AddNode(
          name,
          [parts, task](NodeContext& node) {
            const Presence presence(node);
            if (node.attempt() == 1) {
              return NodeResult(absl::UnavailableError(kNotYet));
            }
            return Act(node, *parts, task);
          },
          std::move(options));
    }
    case Flavour::kCoroutine:
      return builder.AddNode(name, [parts, task](NodeContext& node) {
        return Sleeper(node, parts, task);
      });
    case Flavour::kCallback:
      return builder.AddNode(name,
                             [parts, task](NodeContext& node, Completion done) {
                               CallBack(node, std::move(done), parts, task);
                             });
    case Flavour::kGraph:
      return builder.AddNode(name, *parts->inner[static_cast<size_t>(task)]);
    case Flavour::kAwaiter:
      return builder.AddNode(name, [parts, task](NodeContext& node) {
        return Awaiter(node, parts, task);
      });
    case Flavour::kCaller:
      return builder.AddNode(name, [parts, task](NodeContext& node) {
        return Caller(node, *parts, task);
      });
  }
  return NodeId();
}

// Looks at what the superstep before did.
Update Join(NodeContext& node, const Parts& parts) {
  Witness& witness = WitnessOf(node);
  const int round = node.Get(parts.round);
  const Shape& shape = parts.shape;
  for (int task = 0; task < shape.tasks(); ++task) {
    // A graph that is a node does not say when it ran.
    const bool tells =
        task >= shape.width() ||
        shape.flavours[static_cast<size_t>(task)] != Flavour::kGraph;
    const int last_round = witness.last_round[static_cast<size_t>(task)];
    if (tells && last_round != round) {
      witness.Complain(absl::StrCat("task ", task, " last ran in round ",
                                    last_round, ", not in ", round));
    }
  }
  const std::vector<int>& list = node.Get(parts.list);
  if (list.size() != static_cast<size_t>((round + 1) * shape.tasks())) {
    witness.Complain(
        absl::StrCat("a list of ", list.size(), " after round ", round));
  }
  return Update(parts.round, round + 1);
}

struct Machine {
  Graph graph;
  std::weak_ptr<const Parts> parts;
  Shape shape;
  Channel<std::vector<int>, OneOrMany<int>> list;
  Channel<int64_t> sum;
};

Machine MakeMachine(Shape shape) {
  StateGraph builder;
  auto making = std::make_shared<Parts>();
  making->shape = shape;
  making->round = builder.AddChannel("round", LastValue<int>());
  making->list = builder.AddChannel("list", Topic<int>(/*accumulate=*/true));
  making->sum = builder.AddChannel(
      "sum",
      Reducer<int64_t>([](int64_t a, const int64_t& b) { return a + b; }));
  for (int i = 0; i < shape.width(); ++i) {
    const Flavour flavour = shape.flavours[static_cast<size_t>(i)];
    making->inner.emplace_back();
    if (flavour == Flavour::kGraph || flavour == Flavour::kAwaiter ||
        flavour == Flavour::kCaller) {
      making->inner.back() = MakeInnerGraph(i);
    }
  }
  const SharedParts parts = making;

  std::vector<NodeRef> nodes;
  for (int i = 0; i < shape.width(); ++i) {
    nodes.push_back(AddTask(builder, parts, NodeName(i),
                            shape.flavours[static_cast<size_t>(i)], i));
    builder.AddEdge("first", nodes.back());
  }
  const NodeId packet =
      AddTask(builder, parts, "packet", shape.of_packets, shape.width());
  const NodeId first = builder.AddNode("first", [parts,
                                                 packet](NodeContext& node) {
    const Presence presence(node);
    Command command;
    for (int k = 0; k < parts->shape.packets; ++k) {
      command.go_to.push_back(Send(packet, 1000 * node.Get(parts->round) + k));
    }
    return command;
  });
  const NodeId join = builder.AddNode("join", [parts](NodeContext& node) {
    const Presence presence(node);
    return Join(node, *parts);
  });
  builder.AddEdge(kStart, first);
  builder.AddJoin(nodes, join);
  builder.AddConditionalEdges(join, [parts, first](NodeContext& state) {
    return state.Get(parts->round) < parts->shape.rounds ? Target(first)
                                                         : Target(kEnd);
  });
  absl::StatusOr<Graph> graph = builder.Compile();
  EXPECT_TRUE(graph.ok()) << graph.status();
  return Machine{*std::move(graph), parts, std::move(shape), parts->list,
                 parts->sum};
}

Shape DrawShape(Random& random, int widest, bool nested) {
  Shape shape;
  const int width = random.Between(1, widest);
  // Some graphs have nodes of one kind only.
  const std::optional<int> only =
      random.Chance(30) ? std::optional<int>(random.Below(kFlavours))
                        : std::nullopt;
  for (int i = 0; i < width; ++i) {
    auto flavour = static_cast<Flavour>(only.value_or(random.Below(kFlavours)));
    if (!nested && flavour >= Flavour::kGraph) flavour = Flavour::kFunction;
    shape.flavours.push_back(flavour);
  }
  if (random.Chance(50)) shape.packets = random.Between(1, 2 * widest);
  shape.of_packets = static_cast<Flavour>(random.Below(4));
  shape.rounds = random.Between(1, 4);
  return shape;
}

void ExpectWholeResult(const Machine& machine,
                       const absl::StatusOr<Values>& result) {
  ASSERT_TRUE(result.ok()) << result.status();
  const Shape& shape = machine.shape;
  std::vector<int> list;
  int64_t sum = 0;
  for (int round = 0; round < shape.rounds; ++round) {
    for (int i = 0; i < shape.width(); ++i) {
      list.push_back(i);
      const bool is_graph =
          shape.flavours[static_cast<size_t>(i)] == Flavour::kGraph;
      if (!is_graph) sum += i;
    }
    for (int k = 0; k < shape.packets; ++k) {
      list.push_back(PacketItem(k));
      sum += PacketItem(k);
    }
  }
  EXPECT_EQ(result->Get(machine.list), list);
  EXPECT_EQ(result->Get(machine.sum), sum);
}

// The executors that runs may share.
struct Executors {
  TbbExecutor workers{4};  // More than the machine may have.
  TbbExecutor one_worker{1};
};

enum class Where { kCaller, kWorkers, kOneWorker, kInline, kSim };
constexpr int kWheres = 5;

// An executor for one run.
class Place {
 public:
  Place(Where where, Executors& executors, uint64_t seed) {
    switch (where) {
      case Where::kCaller:
        break;
      case Where::kWorkers:
        executor_ = &executors.workers;
        break;
      case Where::kOneWorker:
        executor_ = &executors.one_worker;
        break;
      case Where::kInline:
        own_ = std::make_unique<InlineExecutor>();
        executor_ = own_.get();
        break;
      case Where::kSim:
        own_ = std::make_unique<SimExecutor>(seed);
        executor_ = own_.get();
        break;
    }
  }

  Executor* executor() const { return executor_; }

 private:
  std::unique_ptr<Executor> own_;
  Executor* executor_ = nullptr;
};

Where DrawWhere(Random& random) {
  return static_cast<Where>(random.Below(kWheres));
}

// Foreign threads may not touch simulated time.
Witness::Expectations Expect(Random& random, Where where,
                             ForeignThreads& foreign) {
  Witness::Expectations expected;
  expected.foreign = where == Where::kSim ? nullptr : &foreign;
  expected.longest_sleep = absl::Microseconds(random.Below(4) * 40);
  expected.seed = random.Seed();
  if (random.Chance(40)) expected.max_concurrency = random.Between(1, 4);
  return expected;
}

RunOptions OptionsFor(Witness& witness, const Place& place) {
  RunOptions options;
  options.max_concurrency = witness.expected.max_concurrency;
  options.executor = place.executor();
  options.context = Value(&witness);
  return options;
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number
                                                            : otherwise;
}

// Calls `round` with one generator after another; the seed of the one that
// fails is in the message.
template <class F>
void ForManyRounds(F round) {
  const uint64_t seed =
      FromEnvironment("WEIR_STRESS_SEED", std::random_device{}());
  const uint64_t rounds = FromEnvironment("WEIR_STRESS_ROUNDS", kDefaultRounds);
  std::printf("WEIR_STRESS_SEED=%llu\n", static_cast<unsigned long long>(seed));
  for (uint64_t i = 0; i < rounds && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("round seed " + std::to_string(seed + i));
    Random random(seed + i);
    round(random);
  }
}

// Whether a graph is gone once nothing can hold it.
void ExpectGone(std::weak_ptr<const Parts>& parts) {
  EXPECT_TRUE(parts.expired()) << "a graph outlives what ran it";
}

// Several threads run one graph at once, each where it likes.
void InvokeFromManyThreads(Random& random, int widest, bool nested) {
  Executors executors;
  ForeignThreads foreign(random.Seed());
  const Machine machine = MakeMachine(DrawShape(random, widest, nested));
  std::vector<std::jthread> drivers;
  for (int driver = random.Between(1, 4); driver > 0; --driver) {
    drivers.emplace_back([&executors, &foreign, &machine,
                          mine = Random(random.Seed())]() mutable {
      for (int run = 0; run < 4; ++run) {
        const Where where = DrawWhere(mine);
        const Place place(where, executors, mine.Seed());
        Witness witness(machine.shape, Expect(mine, where, foreign));
        ExpectWholeResult(machine, machine.graph.Invoke(
                                       Update(), OptionsFor(witness, place)));
      }
    });
  }
}

TEST(RunLoopStressTest, ManyThreadsInvokeOneGraph) {
  ForManyRounds([](Random& random) {
    InvokeFromManyThreads(random, /*widest=*/random.Chance(20) ? 100 : 12,
                          /*nested=*/false);
  });
}

TEST(RunLoopStressTest, ManyThreadsInvokeGraphsInGraphs) {
  ForManyRounds([](Random& random) {
    InvokeFromManyThreads(random, /*widest=*/8, /*nested=*/true);
  });
}

// Several threads on one InlineExecutor: one runs jobs, the others wait.
TEST(RunLoopStressTest, ManyThreadsShareAnInlineExecutor) {
  ForManyRounds([](Random& random) {
    ForeignThreads foreign(random.Seed());
    InlineExecutor executor;
    const Machine machine = MakeMachine(DrawShape(random, 8, /*nested=*/false));
    std::vector<std::jthread> drivers;
    for (int driver = 0; driver < 3; ++driver) {
      drivers.emplace_back([&executor, &foreign, &machine,
                            mine = Random(random.Seed())]() mutable {
        Witness witness(machine.shape, Expect(mine, Where::kInline, foreign));
        RunOptions options;
        options.max_concurrency = witness.expected.max_concurrency;
        options.executor = &executor;
        options.context = Value(&witness);
        ExpectWholeResult(machine, machine.graph.Invoke(Update(), options));
      });
    }
  });
}

// The status of a run whose nodes `failing` failed in its last round.
std::string ExpectedFailure(const Shape& shape,
                            const std::vector<int>& failing) {
  // Each round is three supersteps, after the start's.
  const int step = 3 * (shape.rounds - 1) + 2;
  std::vector<std::string> texts;
  for (const int task : failing) {
    texts.push_back(absl::StrFormat("node '%s' failed in step %d: %s",
                                    NodeName(task), step, FailureText(task)));
  }
  const size_t named = std::min<size_t>(texts.size(), 6);
  std::string text = absl::StrJoin(
      texts.begin(), texts.begin() + static_cast<ptrdiff_t>(named), "; also: ");
  if (texts.size() > named) {
    absl::StrAppend(&text, "; and ", texts.size() - named, " more");
  }
  return text;
}

TEST(RunLoopStressTest, FailuresAreToldInMergeOrder) {
  ForManyRounds([](Random& random) {
    Executors executors;
    ForeignThreads foreign(random.Seed());
    Shape shape = DrawShape(random, 12, /*nested=*/false);
    shape.of_packets = Flavour::kFunction;
    const Machine machine = MakeMachine(shape);
    for (int run = 0; run < 4; ++run) {
      const Where where = DrawWhere(random);
      const Place place(where, executors, random.Seed());
      Witness::Expectations expected = Expect(random, where, foreign);
      for (int task = 0; task < shape.width(); ++task) {
        if (random.Chance(30)) expected.failing.push_back(task);
      }
      const bool cancels_siblings = random.Chance(50);
      expected.may_stop = cancels_siblings;
      Witness witness(shape, expected);
      RunOptions options = OptionsFor(witness, place);
      if (cancels_siblings) options.on_failure = OnFailure::kCancelSiblings;
      const absl::StatusOr<Values> result =
          machine.graph.Invoke(Update(), options);
      if (expected.failing.empty()) {
        ExpectWholeResult(machine, result);
        continue;
      }
      // A sibling that was to be tried again may have been asked to stop
      // before, and then fails as well.
      const auto retried = std::count(shape.flavours.begin(),
                                      shape.flavours.end(), Flavour::kRetried);
      if (!cancels_siblings || retried == 0) {
        EXPECT_EQ(absl::StrReplaceAll(result.status().message(),
                                      {{" after 2 attempts", ""}}),
                  ExpectedFailure(shape, expected.failing));
        EXPECT_EQ(ErrorKindOf(result.status()), ErrorKind::kNodeError);
        // All siblings ran: the first node, all tasks and the join in each
        // round, but for the last one's join.
        EXPECT_EQ(
            witness.begun(),
            shape.rounds * (shape.tasks() + 2 + static_cast<int>(retried)) - 1);
      } else {
        EXPECT_FALSE(result.ok());
      }
    }
  });
}

// What the run ends with if it was stopped before its end.
void ExpectWholeResultOr(absl::StatusCode stopped, const Machine& machine,
                         const absl::StatusOr<Values>& result) {
  if (result.ok()) {
    ExpectWholeResult(machine, result);
  } else if (!absl::StrContains(result.status().message(), kNotYet)) {
    EXPECT_EQ(result.status().code(), stopped) << result.status();
  }
}

// Reads some events; returns whether the stream ended.
bool ReadSome(RunStream& stream, int most) {
  uint64_t next_id = 0;
  int64_t step = -1;
  for (int i = 0; i < most; ++i) {
    const Event* event = stream.Next();
    if (event == nullptr) return true;
    EXPECT_EQ(event->id(), next_id++);
    if (!event->ns().empty()) continue;
    EXPECT_GE(event->step(), step) << *event;
    step = event->step();
  }
  return false;
}

// Readers leave, cancel, or stay to the end, while the run's tasks sleep, wait
// for foreign threads, or run graphs.
TEST(RunLoopStressTest, StreamsEndWheneverTheirReadersLike) {
  ForManyRounds([](Random& random) {
    std::vector<std::weak_ptr<const Parts>> graphs;
    {
      Executors executors;
      ForeignThreads foreign(random.Seed());
      absl::Mutex mutex;
      std::vector<std::jthread> drivers;
      for (int driver = 0; driver < 3; ++driver) {
        drivers.emplace_back([&executors, &foreign, &mutex, &graphs,
                              mine = Random(random.Seed())]() mutable {
          std::optional<Machine> machine =
              MakeMachine(DrawShape(mine, 8, mine.Chance(50)));
          {
            absl::MutexLock lock(&mutex);
            graphs.push_back(machine->parts);
          }
          for (int run = 0; run < 3; ++run) {
            const Where where = DrawWhere(mine);
            const Place place(where, executors, mine.Seed());
            Witness::Expectations expected = Expect(mine, where, foreign);
            expected.may_stop = true;
            Witness witness(machine->shape, expected);
            RunOptions options = OptionsFor(witness, place);
            options.modes = kValues | kUpdates | kTasks | kCustom | kDebug;
            options.subgraphs = mine.Chance(50);
            RunStream stream = machine->graph.Stream(Update(), options);
            const bool last = run == 2;
            if (mine.Chance(60)) {
              // The run keeps the graph.
              if (last) machine.reset();
              ReadSome(stream, mine.Below(60));
              continue;
            }
            if (mine.Chance(50)) {
              ReadSome(stream, mine.Below(20));
              stream.Cancel();
              while (stream.Next() != nullptr) {
              }
              ExpectWholeResultOr(absl::StatusCode::kCancelled, *machine,
                                  stream.Result());
            } else {
              EXPECT_TRUE(ReadSome(stream, 1'000'000));
              ExpectWholeResult(*machine, stream.Result());
            }
          }
        });
      }
    }
    for (std::weak_ptr<const Parts>& graph : graphs) ExpectGone(graph);
  });
}

// Somebody else asks runs to stop, or to drain, or they run out of time.
TEST(RunLoopStressTest, StopRequestsMayComeAtAnyMoment) {
  ForManyRounds([](Random& random) {
    Executors executors;
    ForeignThreads foreign(random.Seed());
    const Machine machine =
        MakeMachine(DrawShape(random, 8, random.Chance(50)));
    for (int run = 0; run < 4; ++run) {
      const Where where = DrawWhere(random);
      const Place place(where, executors, random.Seed());
      Witness::Expectations expected = Expect(random, where, foreign);
      expected.may_stop = true;
      Witness witness(machine.shape, expected);
      RunOptions options = OptionsFor(witness, place);
      std::stop_source stop;
      RunControl control;
      const int how = random.Below(3);
      if (how == 0) options.stop = stop.get_token();
      if (how == 1) options.control = &control;
      if (how == 2) {
        options.step_timeout = absl::Microseconds(random.Between(1, 300));
      }
      auto ask_to_stop = [&stop, &control] {
        stop.request_stop();
        control.RequestDrain("enough");
      };
      {
        std::optional<std::jthread> stopper;
        if (where == Where::kSim) {
          place.executor()->PostAfter(absl::Microseconds(random.Below(500)),
                                      ask_to_stop);
        } else {
          stopper.emplace([ask_to_stop, turns = random.Below(100'000)] {
            Spin(turns);
            ask_to_stop();
          });
        }
        ExpectWholeResultOr(how == 2 ? absl::StatusCode::kDeadlineExceeded
                                     : absl::StatusCode::kCancelled,
                            machine, machine.graph.Invoke(Update(), options));
      }
    }
  });
}

// Attempts run out of time, now and then at the moment when they end.
TEST(RunLoopStressTest, AttemptsMayRunOutOfTime) {
  ForManyRounds([](Random& random) {
    Executors executors;
    StateGraph builder;
    const auto sum = builder.AddChannel(
        "sum",
        Reducer<int64_t>([](int64_t a, const int64_t& b) { return a + b; }));
    const absl::Duration limit = absl::Microseconds(random.Between(30, 200));
    const absl::Duration longest = absl::Microseconds(random.Between(30, 300));
    constexpr int kWidth = 6;
    for (int i = 0; i < kWidth; ++i) {
      NodeOptions options;
      options.timeout = TimeoutPolicy{.run = limit};
      options.retry.push_back({.initial_interval = absl::Microseconds(5),
                               .max_attempts = 3,
                               .jitter = false});
      builder.AddNode(
          NodeName(i),
          [sum, i, longest](NodeContext& node) -> Task<NodeResult> {
            Witness& witness = WitnessOf(node);
            const Presence presence(node);
            const absl::Duration delay =
                longest *
                static_cast<double>(
                    witness.Whim(node, i + 10 * node.attempt()) % 9) /
                8;
            const absl::Status slept = co_await node.Sleep(delay);
            NodeResult result(Update(sum, 1));
            if (!slept.ok()) result = NodeResult(slept);
            co_return std::move(result);
          },
          std::move(options));
      builder.AddEdge(kStart, NodeName(i));
    }
    const absl::StatusOr<Graph> graph = builder.Compile();
    ASSERT_TRUE(graph.ok()) << graph.status();
    for (int run = 0; run < 4; ++run) {
      const Where where = DrawWhere(random);
      const Place place(where, executors, random.Seed());
      Witness::Expectations expected;
      expected.may_stop = true;
      expected.seed = random.Seed();
      expected.max_concurrency = random.Below(4);
      Witness witness(Shape(), expected);
      const absl::StatusOr<Values> result =
          graph->Invoke(Update(), OptionsFor(witness, place));
      if (result.ok()) {
        EXPECT_EQ(result->Get(sum), kWidth);
      } else {
        EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded)
            << result.status();
        EXPECT_EQ(ErrorKindOf(result.status()), ErrorKind::kNodeTimeout);
      }
    }
  });
}

// Completions that are used twice, dropped, or used while the body throws.
TEST(RunLoopStressTest, CompletionsMayBeDroppedAnywhere) {
  ForManyRounds([](Random& random) {
    Executors executors;
    ForeignThreads foreign(random.Seed());
    StateGraph builder;
    const auto list = builder.AddChannel("list", Topic<int>());
    const uint64_t whims = random.Seed();
    std::vector<int> expected;
    bool fails = false;
    constexpr int kWidth = 8;
    for (int i = 0; i < kWidth; ++i) {
      const int how = static_cast<int>((whims >> (3 * i)) % 8);
      if (how < 6) expected.push_back(i);
      if (how >= 6) fails = true;
      builder.AddNode(NodeName(i), [list, i, how, &foreign](NodeContext& node,
                                                            Completion done) {
        Witness& witness = WitnessOf(node);
        witness.Enter(node);
        auto complete = [&witness, list, i, how,
                         done = std::move(done)]() mutable {
          witness.Leave();
          if (how >= 6) return;  // Dropped, with this.
          Completion moved = std::move(done);
          moved(Update(list, i));
          moved(absl::InternalError("a second time"));
        };
        if (how % 2 == 0 || witness.expected.foreign == nullptr) {
          complete();
        } else {
          foreign.Post(std::move(complete));
        }
      });
      builder.AddEdge(kStart, NodeName(i));
    }
    const absl::StatusOr<Graph> graph = builder.Compile();
    ASSERT_TRUE(graph.ok()) << graph.status();
    for (int run = 0; run < 4; ++run) {
      const Where where = DrawWhere(random);
      const Place place(where, executors, random.Seed());
      Witness witness(Shape(), Expect(random, where, foreign));
      const absl::StatusOr<Values> result =
          graph->Invoke(Update(), OptionsFor(witness, place));
      if (fails) {
        EXPECT_EQ(result.status().code(), absl::StatusCode::kInternal)
            << result.status();
      } else {
        ASSERT_TRUE(result.ok()) << result.status();
        EXPECT_EQ(result->Get(list), expected);
      }
    }
  });
}

}  // namespace
}  // namespace weir
