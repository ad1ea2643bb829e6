// Random graphs give one result and one story, whatever order their tasks run
// in.
//
// Each graph runs as a stream with all modes on SimExecutors of many seeds,
// each with other delays and bounds of concurrency, and on an InlineExecutor;
// now and then on workers as well. Final state or failure, message included,
// and canonical events must be the same: see Canonical().
//
// WEIR_RANDOM_GRAPHS says how many graphs; WEIR_RANDOM_SEED runs the one graph
// of that seed.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/random_graph.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

using random_graph::Build;
using random_graph::Describe;
using random_graph::DrawGraph;
using random_graph::Feature;
using random_graph::GraphPlan;
using random_graph::Host;
using random_graph::MakeInput;
using random_graph::NumberFromEnvironment;
using random_graph::Tally;

using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::Not;

#if defined(ABSL_HAVE_THREAD_SANITIZER)
constexpr int kDefaultGraphs = 100;
#elif defined(ABSL_HAVE_ADDRESS_SANITIZER)
constexpr int kDefaultGraphs = 250;
#elif defined(NDEBUG)
constexpr int kDefaultGraphs = 10'000;
#else
constexpr int kDefaultGraphs = 500;
#endif
constexpr int kInterleavings = 20;
// One graph in so many runs on workers too.
constexpr int kOnWorkers = 16;
// With fewer graphs, some feature may be missing by chance.
constexpr int kEnoughForAllFeatures = 200;

constexpr StreamModes kAllModes =
    kValues | kUpdates | kCustom | kTasks | kCheckpoints | kDebug;

// The story of a run, without what may differ between two interleavings: which
// of two tasks that run at once was first, and when. For each run of a graph
// and each of its supersteps these lines: the tasks that start, in order; what
// each task did, in its order, sorted by task; the warnings, sorted; what the
// barrier gave, in order. A line tells of each event that is out of place.
//
// Requires that one thread ended the tasks. Custom values must be strings that
// begin with the task's id.
class Canonical {
 public:
  explicit Canonical(const std::vector<Event>& events) {
    for (size_t i = 0; i < events.size(); ++i) {
      if (events[i].id() != i) {
        misplaced_.push_back(
            absl::StrFormat("event %d has the id %d", i, events[i].id()));
      }
      Add(events[i]);
    }
    for (const auto& [address, run] : runs_) {
      for (const auto& [step, of_step] : run.steps)
        Append(run.name, step, of_step);
    }
    // By name and step: runs that go on at once begin in any order.
    std::sort(steps_.begin(), steps_.end());
  }

  friend bool operator==(const Canonical& a, const Canonical& b) {
    return a.steps_ == b.steps_ && a.misplaced_ == b.misplaced_;
  }

  const std::vector<std::string>& misplaced() const { return misplaced_; }

  // Where two differ.
  static std::string Difference(const Canonical& a, const Canonical& b) {
    for (const std::string& text : b.misplaced_) return text;
    for (const std::string& text : a.misplaced_) return text;
    for (size_t i = 0; i < std::max(a.steps_.size(), b.steps_.size()); ++i) {
      const Lines none{{}, {}, {"nothing"}};
      const Lines& in_a = i < a.steps_.size() ? a.steps_[i] : none;
      const Lines& in_b = i < b.steps_.size() ? b.steps_[i] : none;
      if (in_a == in_b) continue;
      const auto [line_a, line_b] =
          std::mismatch(in_a.text.begin(), in_a.text.end(), in_b.text.begin(),
                        in_b.text.end());
      return absl::StrFormat(
          "step %d of run '%s':\n  %s\nstep %d of run '%s':\n  %s\n", in_a.step,
          in_a.run, line_a == in_a.text.end() ? "nothing" : *line_a, in_b.step,
          in_b.run, line_b == in_b.text.end() ? "nothing" : *line_b);
    }
    return "no difference";
  }

 private:
  enum Phase { kStarts, kRuns, kBarrier };

  struct Step {
    Phase phase = kStarts;
    std::vector<std::string> starts;
    std::map<std::string, std::vector<std::string>> tasks;
    std::vector<std::string> barrier;
    std::multiset<std::string> warnings;
  };

  struct RunOfGraph {
    std::string name;
    std::map<int64_t, Step> steps;
    // An update, which does not say whose it is. Its task's end comes next.
    std::optional<std::string> update;
  };

  struct Lines {
    std::string run;
    int64_t step = 0;
    std::vector<std::string> text;
    auto operator<=>(const Lines&) const = default;
  };

  void Add(const Event& event) {
    RunOfGraph& run = RunOf(event);
    if (!run.steps.empty() && event.step() < run.steps.rbegin()->first) {
      Misplaced(event, "after a later superstep");
    }
    Step& step = run.steps[event.step()];
    if (const auto* warning = event.As<RunWarning>()) {
      step.warnings.insert(warning->text);
      return;
    }
    const std::string text = Text(event);
    if (const auto* start = event.As<TaskStarted>()) {
      Enter(step, kStarts, event);
      step.starts.push_back(text);
      step.tasks.try_emplace(start->id);
      ended_.erase(start->id);  // In a graph whose node is tried again.
    } else if (event.As<NodeUpdate>() != nullptr) {
      Enter(step, kRuns, event);
      if (run.update.has_value()) Misplaced(event, "after another update");
      run.update = text;
    } else if (const auto* custom = event.As<CustomValue>()) {
      Enter(step, kRuns, event);
      const auto* emitted = custom->value.As<std::string>();
      Does(step, event, emitted == nullptr ? "" : emitted->substr(0, 32), text);
    } else if (const auto* retried = event.As<TaskRetried>()) {
      Enter(step, kRuns, event);
      Does(step, event, retried->id, text);
    } else if (const auto* end = event.As<TaskFinished>()) {
      Enter(step, kRuns, event);
      if (run.update.has_value()) {
        Does(step, event, end->id, *std::exchange(run.update, std::nullopt));
      }
      Does(step, event, end->id, text);
      ended_.insert(end->id);
    } else {
      Enter(step, kBarrier, event);
      step.barrier.push_back(text);
    }
  }

  void Enter(Step& step, Phase phase, const Event& event) {
    if (phase < step.phase) Misplaced(event, "after a later part of its step");
    step.phase = phase;
  }

  void Does(Step& step, const Event& event, const std::string& task,
            std::string text) {
    auto it = step.tasks.find(task);
    if (it == step.tasks.end()) {
      Misplaced(event, "of a task that did not start");
    } else {
      it->second.push_back(std::move(text));
    }
  }

  void Misplaced(const Event& event, std::string_view where) {
    misplaced_.push_back(
        absl::StrCat(std::string(where), ": ", event.ToJson()));
  }

  // Each run has its namespace at an address of its own. When a node is tried
  // again, its graph has the same name again.
  RunOfGraph& RunOf(const Event& event) {
    const auto [it, added] = runs_.try_emplace(&event.ns());
    if (added) {
      std::string name;
      for (const NamespaceLevel& level : event.ns()) {
        absl::StrAppend(&name, level.node, ":", level.task_id, ":", level.call,
                        "|");
      }
      const int nth = ++named_[name];
      it->second.name = absl::StrCat(name, nth);
    }
    if (!event.ns().empty() && ended_.contains(event.ns().back().task_id)) {
      Misplaced(event, "of a graph whose task has ended");
    }
    return it->second;
  }

  // A debug event says what an event before it said, but for the time.
  std::string Text(const Event& event) {
    std::string text;
    if (event.mode() != kDebug) {
      text = event.ToJson();
      if (event.mode() & (kTasks | kCheckpoints)) {
        texts_.insert_or_assign(&event.payload(), text);
      }
    } else if (auto said = texts_.extract(&event.payload())) {
      text = std::move(said.mapped());
    } else {
      text = "what nobody said";
    }
    return absl::StrCat(std::string(event.name()), " ", text);
  }

  void Append(const std::string& run, int64_t number, const Step& step) {
    Lines lines{run, number, {}};
    for (const std::string& text : step.starts) lines.text.push_back(text);
    for (const auto& [id, texts] : step.tasks) {
      lines.text.push_back(absl::StrCat("task ", id));
      for (const std::string& text : texts) lines.text.push_back(text);
    }
    for (const std::string& text : step.warnings) lines.text.push_back(text);
    for (const std::string& text : step.barrier) lines.text.push_back(text);
    steps_.push_back(std::move(lines));
  }

  std::vector<Lines> steps_;
  std::vector<std::string> misplaced_;

  // While events are added.
  std::unordered_map<const void*, RunOfGraph> runs_;
  std::map<std::string, int> named_;
  std::unordered_set<std::string> ended_;
  std::unordered_map<const EventPayload*, std::string> texts_;
};

struct Outcome {
  std::string result;
  ErrorKind error = ErrorKind::kNone;
  std::vector<Event> events;
};

std::string ResultText(const absl::StatusOr<Values>& result) {
  return result.ok() ? result->ToJson()
                     : random_graph::StatusText(result.status());
}

Outcome Stream(const Graph& graph, Input input, RunOptions options) {
  options.modes = kAllModes;
  options.subgraphs = true;
  options.run_id = "run";
  options.thread_id = "thread";
  Outcome outcome;
  RunStream stream = graph.Stream(std::move(input), std::move(options));
  while (const Event* event = stream.Next()) outcome.events.push_back(*event);
  const absl::StatusOr<Values> result = stream.Result();
  outcome.result = ResultText(result);
  outcome.error = ErrorKindOf(result.status());
  if (stream.status() != result.status()) {
    absl::StrAppend(&outcome.result, ", but the stream's status is ",
                    random_graph::StatusText(stream.status()));
  }
  return outcome;
}

Outcome Stream(const Graph& graph, const GraphPlan& plan, const Host& host,
               Executor& executor, int max_concurrency) {
  return Stream(graph, MakeInput(plan),
                {.recursion_limit = plan.recursion_limit,
                 .max_concurrency = max_concurrency,
                 .executor = &executor,
                 .context = Value(&host)});
}

// Tells two interleavings apart: the tasks in the order in which they ended.
uint64_t OrderOf(const std::vector<Event>& events) {
  uint64_t hash = 0;
  for (const Event& event : events) {
    if (event.mode() != kTasks) continue;
    if (const auto* end = event.As<TaskFinished>()) {
      hash = random_graph::internal::Mix(hash, end->id);
    }
  }
  return hash;
}

void CountFeatures(const Outcome& outcome, Tally& tally) {
  std::map<std::pair<const void*, int64_t>, int> widths;
  std::set<std::pair<const void*, std::string_view>> triggered;
  for (const Event& event : outcome.events) {
    if (event.mode() != kTasks) continue;
    if (const auto* end = event.As<TaskFinished>()) {
      if (!end->status.ok()) tally.Count(random_graph::kFailedTask);
    }
    const auto* start = event.As<TaskStarted>();
    if (start == nullptr) continue;
    const void* run = &event.ns();
    const int width = ++widths[{run, event.step()}];
    if (width == 2) tally.Count(random_graph::kFanOut);
    if (width == 1 && !event.ns().empty())
      tally.Count(random_graph::kGraphNode);
    if (start->triggers.front() == "__pregel_push") continue;
    if (!triggered.insert({run, start->node}).second) {
      tally.Count(random_graph::kCycle);
    }
  }
  switch (outcome.error) {
    case ErrorKind::kNone:
      tally.Count(random_graph::kRunOk);
      break;
    case ErrorKind::kNodeError:
      tally.Count(random_graph::kRunFailed);
      break;
    case ErrorKind::kInvalidUpdate:
      tally.Count(random_graph::kRunRefused);
      break;
    case ErrorKind::kGraphRecursion:
      tally.Count(random_graph::kRunOutOfSteps);
      break;
    default:
      break;
  }
}

// What was seen of all graphs. Thread-safe.
struct Totals {
  Tally tally;
  // Relaxed: read when all that count have been joined.
  std::atomic<int64_t> graphs{0};
  std::atomic<int64_t> runs{0};
  std::atomic<int64_t> events{0};
  std::atomic<int64_t> orders{0};     // Different ones, summed over the graphs.
  std::atomic<int64_t> reordered{0};  // Graphs with several.
};

// What runs need of the world that is not simulated.
struct Elsewhere {
  TbbExecutor workers{2};
  // Completes callbacks. A thread of its own: functions that run a graph hold
  // the thread that they are on, and all could do so at once.
  InlineExecutor callbacks;
  absl::Notification over;
  std::jthread thread{[this] { callbacks.RunUntil(over); }};

  ~Elsewhere() { over.Notify(); }
};

// The differences between interleavings of one graph; empty if there are none.
std::string CheckGraph(uint64_t seed, Elsewhere& elsewhere, Totals& totals) {
  const GraphPlan plan = DrawGraph(seed);
  const absl::StatusOr<Graph> graph = Build(plan);
  if (!graph.ok()) return random_graph::StatusText(graph.status());

  std::optional<Outcome> first;
  std::optional<Canonical> story;
  std::set<uint64_t> orders;
  const auto check = [&](std::string_view where, const Outcome& outcome) {
    totals.runs.fetch_add(1, std::memory_order_relaxed);
    totals.events.fetch_add(static_cast<int64_t>(outcome.events.size()),
                            std::memory_order_relaxed);
    orders.insert(OrderOf(outcome.events));
    if (outcome.result != first->result) {
      return absl::StrFormat("the first result:\n  %s\n%s:\n  %s\n",
                             first->result, where, outcome.result);
    }
    const Canonical canonical(outcome.events);
    if (canonical == *story && canonical.misplaced().empty()) {
      return std::string();
    }
    return absl::StrFormat("%s, against the first run: %s\n", where,
                           Canonical::Difference(*story, canonical));
  };

  for (int i = 0; i < kInterleavings; ++i) {
    const uint64_t run = seed * 1000 + static_cast<uint64_t>(i);
    SimExecutor executor(run);
    Host host{.executor = &executor,
              .delays = run,
              .longest_delay = absl::Milliseconds(1)};
    if (i == 0) host.tally = &totals.tally;
    constexpr int kBounds[] = {0, 0, 1, 0, 2, 0, 3};
    const int bound = kBounds[static_cast<size_t>(i) % std::size(kBounds)];
    Outcome outcome = Stream(*graph, plan, host, executor, bound);
    if (!first.has_value()) {
      CountFeatures(outcome, totals.tally);
      story.emplace(outcome.events);
      first = std::move(outcome);
      if (!story->misplaced().empty()) return story->misplaced().front();
      continue;
    }
    std::string difference = check(
        absl::StrFormat("with the seed %d and max_concurrency %d", run, bound),
        outcome);
    if (!difference.empty()) return difference;
  }
  totals.graphs.fetch_add(1, std::memory_order_relaxed);
  totals.orders.fetch_add(static_cast<int64_t>(orders.size()),
                          std::memory_order_relaxed);
  if (orders.size() > 1) {
    totals.reordered.fetch_add(1, std::memory_order_relaxed);
  }

  InlineExecutor inline_executor;
  const Host host{.executor = &elsewhere.callbacks,
                  .delays = seed,
                  .longest_delay = absl::Microseconds(8)};
  std::string difference = check(
      "on an InlineExecutor", Stream(*graph, plan, host, inline_executor, 0));
  if (!difference.empty() || seed % kOnWorkers != 0) return difference;

  // With real workers, only the result can be compared.
  for (Executor* executor : {static_cast<Executor*>(&elsewhere.workers),
                             static_cast<Executor*>(nullptr)}) {
    totals.runs.fetch_add(1, std::memory_order_relaxed);
    const std::string result = ResultText(
        graph->Invoke(MakeInput(plan), {.recursion_limit = plan.recursion_limit,
                                        .executor = executor,
                                        .context = Value(&host),
                                        .run_id = "run",
                                        .thread_id = "thread"}));
    if (result != first->result) {
      return absl::StrFormat(
          "the first result:\n  %s\n%s:\n  %s\n", first->result,
          executor == nullptr ? "by Invoke()" : "on workers", result);
    }
  }
  return std::string();
}

// Checks graphs from several threads until one of them fails.
class Checker {
 public:
  Checker(uint64_t first_seed, int graphs)
      : next_(first_seed), end_(first_seed + static_cast<uint64_t>(graphs)) {}

  void Work(Elsewhere& elsewhere) {
    while (true) {
      // Relaxed: each seed is given out once, and nothing else matters.
      const uint64_t seed = next_.fetch_add(1, std::memory_order_relaxed);
      if (seed >= end_) return;
      const std::string difference = CheckGraph(seed, elsewhere, totals);
      if (difference.empty()) continue;
      next_.store(end_, std::memory_order_relaxed);
      absl::MutexLock lock(&mutex_);
      absl::StrAppend(&failures_, "WEIR_RANDOM_SEED=", seed, "\n", difference,
                      Describe(DrawGraph(seed)));
    }
  }

  std::string failures() const {
    absl::MutexLock lock(&mutex_);
    return failures_;
  }

  Totals totals;

 private:
  std::atomic<uint64_t> next_;
  const uint64_t end_;
  mutable absl::Mutex mutex_;
  std::string failures_ ABSL_GUARDED_BY(mutex_);
};

TEST(RandomGraphsTest, InterleavingsDoNotShow) {
  const std::optional<uint64_t> seed =
      NumberFromEnvironment("WEIR_RANDOM_SEED");
  const int graphs =
      seed.has_value()
          ? 1
          : static_cast<int>(NumberFromEnvironment("WEIR_RANDOM_GRAPHS")
                                 .value_or(kDefaultGraphs));
  if (seed.has_value()) std::puts(Describe(DrawGraph(*seed)).c_str());

  Checker checker(seed.value_or(1), graphs);
  {
    // Made by one thread: oneTBB sets up its profiling hooks on first use, with
    // accesses that ThreadSanitizer takes for races.
    std::deque<Elsewhere> elsewhere;
    std::vector<std::jthread> threads;
    const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < std::min(cores, 8u); ++i) elsewhere.emplace_back();
    for (Elsewhere& own : elsewhere) {
      threads.emplace_back([&checker, &own] { checker.Work(own); });
    }
  }
  EXPECT_EQ(checker.failures(), "");

  const Totals& totals = checker.totals;
  std::printf(
      "%d graphs, %d runs, %d events, %.1f orders a graph\n",
      static_cast<int>(totals.graphs.load()),
      static_cast<int>(totals.runs.load()),
      static_cast<int>(totals.events.load()),
      static_cast<double>(totals.orders.load()) /
          static_cast<double>(std::max<int64_t>(1, totals.graphs.load())));
  for (int i = 0; i < random_graph::kFeatures; ++i) {
    const int64_t count = totals.tally[static_cast<Feature>(i)];
    const std::string name(random_graph::kFeatureNames[static_cast<size_t>(i)]);
    std::printf("  %-20s %8d\n", name.c_str(), static_cast<int>(count));
    if (totals.graphs.load() >= kEnoughForAllFeatures) {
      EXPECT_THAT(count, Gt(0)) << name;
    }
  }
  if (totals.graphs.load() >= kEnoughForAllFeatures) {
    // Most graphs have tasks that can change places, and most did.
    EXPECT_THAT(totals.reordered.load(), Gt(totals.graphs.load() / 2));
  }
}

// Were the engine to merge in another order, the comparison would tell: the
// same graphs with names that sort the other way round have other results.
TEST(RandomGraphsTest, AnotherMergeOrderShows) {
  constexpr int kGraphs = 200;
  int both_end_well = 0;
  int different = 0;
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    const GraphPlan plan = DrawGraph(seed);
    std::array<absl::StatusOr<Values>, 2> results;
    for (const bool turned : {false, true}) {
      const absl::StatusOr<Graph> graph =
          Build(plan, {.turn_merge_order = turned});
      ASSERT_TRUE(graph.ok()) << graph.status();
      SimExecutor executor(seed);
      const Host host{.executor = &executor};
      results[turned ? 1 : 0] = graph->Invoke(
          MakeInput(plan, turned), {.recursion_limit = plan.recursion_limit,
                                    .executor = &executor,
                                    .context = Value(&host)});
    }
    if (!results[0].ok() || !results[1].ok()) continue;
    ++both_end_well;
    if (ResultText(results[0]) != ResultText(results[1])) ++different;
  }
  std::printf("%d of %d graphs tell the merge order\n", different,
              both_end_well);
  EXPECT_THAT(both_end_well, Gt(kGraphs / 4));
  EXPECT_THAT(different, Gt(both_end_well / 2));
}

// Two nodes that run at once and emit three values each, then one alone.
std::vector<Event> SomeEvents(std::string_view written = "x") {
  StateGraph builder;
  const auto name = builder.AddChannel("name", LastValue<std::string>());
  for (const char* node : {"a", "b", "c"}) {
    builder.AddNode(
        node, [name, node, text = std::string(written)](NodeContext& context) {
          for (int i = 0; i < 3; ++i) {
            context.Emit(absl::StrCat(context.task_id(), " ", i));
          }
          return *node == 'b' ? Update() : Update(name, text);
        });
  }
  builder.AddEdge(kStart, "a");
  builder.AddEdge(kStart, "b");
  builder.AddJoin({"a", "b"}, "c");
  const absl::StatusOr<Graph> graph = builder.Compile();
  EXPECT_TRUE(graph.ok()) << graph.status();
  SimExecutor executor(1);
  return Stream(*graph, Update(), {.executor = &executor}).events;
}

// As the log would have numbered them.
std::vector<Event> Numbered(std::vector<Event> events) {
  for (size_t i = 0; i < events.size(); ++i) events[i].set_id(i);
  return events;
}

// The node whose task emitted a value, or ended, with this event.
std::string_view Doer(const Event& event) {
  if (const auto* custom = event.As<CustomValue>()) return custom->node;
  if (const auto* end = event.As<TaskFinished>()) return end->node;
  return "";
}

TEST(RandomGraphsTest, CanonicalEventsForgetWhichTaskWasFirst) {
  const std::vector<Event> events = SomeEvents();
  std::vector<Event> swapped = events;
  const auto first_of = [&swapped](std::string_view node) {
    return std::find_if(
        swapped.begin(), swapped.end(),
        [node](const Event& event) { return Doer(event) == node; });
  };
  auto earlier = first_of("a");
  auto later = first_of("b");
  ASSERT_TRUE(earlier != swapped.end() && later != swapped.end());
  if (later < earlier) std::swap(earlier, later);
  std::rotate(earlier, later, later + 1);
  EXPECT_EQ(Canonical(events), Canonical(Numbered(swapped)));
  EXPECT_THAT(Canonical(Numbered(swapped)).misplaced(), IsEmpty());
}

TEST(RandomGraphsTest, CanonicalEventsKeepEverythingElse) {
  const std::vector<Event> events = SomeEvents();
  const Canonical canonical(events);
  EXPECT_THAT(canonical.misplaced(), IsEmpty());
  EXPECT_EQ(canonical, Canonical(SomeEvents()));
  EXPECT_FALSE(canonical == Canonical(SomeEvents("y")));
  for (size_t i = 0; i < events.size(); ++i) {
    std::vector<Event> without = events;
    without.erase(without.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_FALSE(canonical == Canonical(Numbered(without))) << events[i];
  }
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    std::vector<Event> swapped = events;
    std::swap(swapped[i], swapped[i + 1]);
    // Only what a and b do may change places. Whose an update is, Canonical()
    // finds out from what follows.
    const std::string_view one = Doer(events[i]);
    const std::string_view other = Doer(events[i + 1]);
    if (events[i + 1].mode() == kUpdates) continue;
    const bool of_two_tasks =
        (one == "a" && other == "b") || (one == "b" && other == "a");
    EXPECT_EQ(canonical == Canonical(Numbered(swapped)), of_two_tasks)
        << events[i] << '\n'
        << events[i + 1];
  }
}

}  // namespace
}  // namespace weir
