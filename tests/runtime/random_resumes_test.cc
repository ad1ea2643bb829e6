// Random graphs end in the same state, however often they are stopped on the
// way and continued.
//
// Each graph runs once undisturbed, and once on a thread where things happen:
// bodies fail, nodes ask, runs stop before and after nodes, are cancelled and
// drained, the store answers late, fails and fills up, another writer takes the
// thread over, and the process ends in the middle of any store call. Whatever
// is left is gone on with until the graph has ended. Then
//
// - the state is that of the undisturbed run, also that of graphs inside which
//   remember their thread, and so each write was applied exactly once;
// - no body ran again after what it had done was stored;
// - each answer went to its question;
// - the thread's history is one of growing ids, each with its parent, and of
//   steps that follow one another.
//
// WEIR_RANDOM_RESUMES says how many graphs; WEIR_RANDOM_SEED runs the one of
// that seed, and tells what happened to it.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/failing_checkpointer.h"
#include "tests/support/random_graph.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/checkpointer.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

using random_graph::AddPauses;
using random_graph::Build;
using random_graph::Describe;
using random_graph::Dice;
using random_graph::Director;
using random_graph::DrawGraph;
using random_graph::GraphPlan;
using random_graph::Host;
using random_graph::MakeInput;
using random_graph::NodeName;
using random_graph::NodePlan;
using random_graph::NumberFromEnvironment;
using random_graph::internal::AnswerTo;

using ::testing::Gt;

#if defined(ABSL_HAVE_THREAD_SANITIZER)
constexpr int kDefaultGraphs = 200;
#elif defined(ABSL_HAVE_ADDRESS_SANITIZER)
constexpr int kDefaultGraphs = 400;
#elif defined(NDEBUG)
constexpr int kDefaultGraphs = 10'000;
#else
constexpr int kDefaultGraphs = 1'000;
#endif
// With fewer graphs, something may not happen by chance.
constexpr int kEnoughForAll = 200;
// More runs than any of the graphs needs.
constexpr int kMaxRuns = 1'000;

// What happened to runs. Each counts once a run, but for kGraphs.
enum Happening {
  kGraphs,
  kTurns,
  kRuns,
  kSync,
  kAsync,
  kExit,
  kLate,           // The store did everything later.
  kBodyFailed,     // Runs that ended by it, as below.
  kAsked,          // Runs that ended with questions,
  kAskedSeveral,   // with several,
  kAskedInside,    // with one of a graph inside.
  kAnsweredOne,    // Runs begun with an answer by value,
  kAnsweredAll,    // with answers to all questions,
  kAnsweredSome,   // with answers to some,
  kAnsweredAfter,  // with answers to what the thread's state showed.
  kSameRunAgain,   // Runs begun with the input of the turn, and its run id.
  kInputAgain,     // The input had been lost.
  kStopped,        // Before or after a node.
  kCancelled,
  kDrained,
  kStoreFailed,
  kStoreFull,
  kOvertaken,       // By a writer that does nothing more,
  kOvertakenByRun,  // or by a run.
  kCrashed,
  kCrashedInExit,
  kCalm,    // Runs to which nothing happened.
  kPieces,  // Turns after which a value was stored in pieces.
  kThreadMemory,
  kNoMemory,
  kHappenings,
};

constexpr std::array<std::string_view, kHappenings> kHappeningNames = {
    "graphs",
    "turns",
    "runs",
    "sync",
    "async",
    "exit",
    "late",
    "body_failed",
    "asked",
    "asked_several",
    "asked_inside",
    "answered_one",
    "answered_all",
    "answered_some",
    "answered_after",
    "same_run_again",
    "input_again",
    "stopped",
    "cancelled",
    "drained",
    "store_failed",
    "store_full",
    "overtaken",
    "overtaken_by_run",
    "crashed",
    "crashed_in_exit",
    "calm",
    "pieces",
    "graphs_with_thread_memory",
    "graphs_with_no_memory"};

using Counts = std::array<int64_t, kHappenings>;

// What a thread's store has been told and has taken.
struct Stored {
  std::set<std::string> tasks;  // Those whose writes are stored.
  std::optional<int64_t> step;  // The last of the outermost graph.
  std::vector<std::string> wrong;
};

// The store as one run has it: another, which does everything later if it is to
// be late, and fills up or ends, in the middle of a run, with some write.
//
// Threads: for a SimExecutor.
class RunStore final : public Checkpointer {
 public:
  enum class End { kNone, kFull, kCrash };

  RunStore(MemoryCheckpointer* store, Stored* stored, Executor* executor,
           Dice* delays, bool late)
      : store_(store),
        stored_(stored),
        executor_(executor),
        delays_(delays),
        late_(late) {}

  // From the `write`-th write on, nothing is stored any more. A crash is told
  // to `crash` first.
  void EndAt(End end, int write, absl::AnyInvocable<void()> crash) {
    end_ = end;
    writes_left_ = write;
    crash_ = std::move(crash);
  }
  bool ended() const { return end_ != End::kNone && writes_left_ < 0; }

  CheckpointerCapabilities capabilities() const override {
    return store_->capabilities();
  }
  void Open(std::string_view thread, Done<ThreadLease> done) override {
    Read(std::move(done), [this, thread = std::string(thread)](auto then) {
      store_->Open(thread, std::move(then));
    });
  }
  void Put(const Fence& fence, NewCheckpoint&& checkpoint,
           StatusDone done) override {
    std::optional<int64_t> step;
    if (checkpoint.checkpoint.ns.empty()) {
      step = checkpoint.checkpoint.metadata.step;
    }
    Write(std::move(done),
          [this, fence, step,
           checkpoint = std::move(checkpoint)](StatusDone then) mutable {
            store_->Put(fence, std::move(checkpoint),
                        [this, step, &then](absl::Status status) {
                          if (status.ok() && step.has_value()) {
                            stored_->step = step;
                          }
                          then(std::move(status));
                        });
          });
  }
  void PutWrites(const Fence& fence, NewWrites&& writes,
                 StatusDone done) override {
    std::set<std::string> tasks;
    for (const PendingWrite& write : writes.writes) {
      // A task's numbered writes are stored when it has ended well.
      if (write.index >= 0) tasks.insert(write.task_id);
    }
    Write(std::move(done),
          [this, fence, tasks = std::move(tasks),
           writes = std::move(writes)](StatusDone then) mutable {
            store_->PutWrites(fence, std::move(writes),
                              [this, &tasks, &then](absl::Status status) {
                                if (status.ok()) stored_->tasks.merge(tasks);
                                then(std::move(status));
                              });
          });
  }
  void Get(CheckpointKey key,
           Done<std::optional<CheckpointTuple>> done) override {
    Read(std::move(done), [this, key = std::move(key)](auto then) {
      store_->Get(key, std::move(then));
    });
  }
  void List(CheckpointQuery query,
            Done<std::vector<CheckpointTuple>> done) override {
    Read(std::move(done), [this, query = std::move(query)](auto then) {
      store_->List(query, std::move(then));
    });
  }
  void History(CheckpointKey key, std::vector<std::string> channels,
               Done<std::vector<std::vector<SavedChannel>>> done) override {
    Read(std::move(done),
         [this, key = std::move(key), channels = std::move(channels)](
             auto then) { store_->History(key, channels, std::move(then)); });
  }
  void DeleteThread(std::string_view thread, StatusDone done) override {
    store_->DeleteThread(thread, std::move(done));
  }
  void Flush(StatusDone done) override {
    Read(std::move(done),
         [this](auto then) { store_->Flush(std::move(then)); });
  }

 private:
  template <class DoneType, class Call>
  void Read(DoneType done, Call call) {
    Do([this, done = std::move(done), call = std::move(call)]() mutable {
      if (ended() && end_ == End::kCrash) {
        return done(absl::UnavailableError("the process has ended"));
      }
      call(std::move(done));
    });
  }

  void Write(StatusDone done, absl::AnyInvocable<void(StatusDone)> call) {
    Do([this, done = std::move(done), call = std::move(call)]() mutable {
      if (end_ != End::kNone && writes_left_-- == 0 && end_ == End::kCrash) {
        crash_();
      }
      if (ended()) {
        return done(absl::ResourceExhaustedError("the store is full"));
      }
      call(std::move(done));
    });
  }

  // What is done later is done in the order of the calls.
  void Do(absl::AnyInvocable<void()> call) {
    if (!late_) return call();
    waiting_.push_back(std::move(call));
    if (waiting_.size() == 1) DoNextLater();
  }

  void DoNextLater() {
    executor_->PostAfter(absl::Microseconds(100) * delays_->Below(8), [this] {
      waiting_.front()();
      waiting_.pop_front();
      if (!waiting_.empty()) DoNextLater();
    });
  }

  MemoryCheckpointer* const store_;
  Stored* const stored_;
  Executor* const executor_;
  Dice* const delays_;
  const bool late_;
  End end_ = End::kNone;
  int writes_left_ = 0;
  absl::AnyInvocable<void()> crash_;
  std::deque<absl::AnyInvocable<void()>> waiting_;
};

// What is to happen in one run.
struct Trouble {
  Durability durability = Durability::kAsync;
  bool late = false;
  int max_concurrency = 0;
  bool stops_inside = false;
  std::vector<std::string> stops_before;
  std::vector<std::string> stops_after;
  int failing_percent = 0;  // Of bodies.
  // From the start of so many bodies on, from 1 on.
  int cancel_at_body = 0;
  int drain_at_body = 0;
  int overtake_at_body = 0;
  bool overtake_by_run = false;
  std::optional<absl::Duration> cancel_after;
  std::optional<absl::Duration> drain_after;
  std::optional<int> full_at_write;
  std::optional<int> crash_at_write;
  std::string failing_call;
  int failing_after = 0;

  std::string ToString() const {
    std::string text = durability == Durability::kSync    ? "sync"
                       : durability == Durability::kAsync ? "async"
                                                          : "exit";
    if (late) text += ", late";
    if (max_concurrency > 0) absl::StrAppend(&text, ", ", max_concurrency);
    if (stops_inside) text += ", stops inside";
    for (const std::string& node : stops_before) {
      absl::StrAppend(&text, ", stops before ", node);
    }
    for (const std::string& node : stops_after) {
      absl::StrAppend(&text, ", stops after ", node);
    }
    if (failing_percent > 0) {
      absl::StrAppend(&text, ", ", failing_percent, "% of bodies fail");
    }
    const auto at_body = [&text](std::string_view what, int body) {
      if (body > 0) {
        absl::StrAppendFormat(&text, ", %s at body %d", what, body);
      }
    };
    at_body("is cancelled", cancel_at_body);
    at_body("is drained", drain_at_body);
    at_body(overtake_by_run ? "is overtaken by a run" : "is overtaken",
            overtake_at_body);
    if (cancel_after) {
      absl::StrAppend(&text, ", is cancelled after ",
                      absl::FormatDuration(*cancel_after));
    }
    if (drain_after) {
      absl::StrAppend(&text, ", is drained after ",
                      absl::FormatDuration(*drain_after));
    }
    if (full_at_write) absl::StrAppend(&text, ", full at ", *full_at_write);
    if (crash_at_write) absl::StrAppend(&text, ", crash at ", *crash_at_write);
    if (!failing_call.empty()) {
      absl::StrAppendFormat(&text, ", %s fails after %d", failing_call,
                            failing_after);
    }
    return text;
  }
};

// What the bodies of one run meet.
class RunDirector final : public Director {
 public:
  RunDirector(const Trouble& trouble, Stored* stored, Dice* dice)
      : trouble_(trouble), stored_(stored), dice_(dice) {}

  absl::Status Meet(const NodeContext& node, Moment moment, bool is_inside,
                    bool may_fail) override {
    if (gone_) return absl::OkStatus();
    if (moment == kBodyStarts) {
      CheckStart(node, is_inside);
      ++bodies_;
      if (bodies_ == trouble_.cancel_at_body) stop_.request_stop();
      if (bodies_ == trouble_.drain_at_body) control_.RequestDrain("now");
      if (bodies_ == trouble_.overtake_at_body) {
        overtaken_ = true;
        // What this run does from now on, it does in vain.
        if (trouble_.overtake_by_run) gone_ = true;
        overtake_();
      }
    }
    if (!may_fail || !dice_->Chance(trouble_.failing_percent)) {
      return absl::OkStatus();
    }
    failed_ = true;
    return dice_->Chance(50) ? absl::UnavailableError("it so happens")
                             : absl::InternalError("it so happens");
  }

  absl::StatusOr<std::string> Ask(const NodeContext& node,
                                  const std::string& question,
                                  bool is_inside) override {
    absl::StatusOr<std::string> answer = node.Interrupt<std::string>(question);
    asked_inside_ |= is_inside && !answer.ok();
    if (answer.ok() && *answer != AnswerTo(question)) {
      stored_->wrong.push_back(
          absl::StrFormat("'%s' was answered '%s' in place of '%s'", question,
                          *answer, AnswerTo(question)));
    }
    return answer;
  }

  // The process has ended; what is left of it does not count.
  void Crash() {
    gone_ = true;
    crashed_ = true;
    stop_.request_stop();
  }
  void OnOvertake(absl::AnyInvocable<void()> overtake) {
    overtake_ = std::move(overtake);
  }

  std::stop_source stop_source() const { return stop_; }
  RunControl* control() { return &control_; }
  bool failed() const { return failed_; }
  bool asked_inside() const { return asked_inside_; }
  bool overtaken() const { return overtaken_; }
  bool crashed() const { return crashed_; }
  bool stopped() const { return stop_.stop_requested(); }
  bool drained() const { return control_.drain().has_value(); }

 private:
  void CheckStart(const NodeContext& node, bool is_inside) {
    if (stored_->tasks.contains(node.task_id())) {
      stored_->wrong.push_back(absl::StrFormat(
          "task %s of node '%s' in step %d runs again, and its writes are "
          "stored",
          node.task_id(), node.node(), node.step()));
    }
    if (!is_inside && stored_->step.has_value() &&
        node.step() <= *stored_->step) {
      stored_->wrong.push_back(
          absl::StrFormat("node '%s' runs in step %d, and step %d is stored",
                          node.node(), node.step(), *stored_->step));
    }
  }

  const Trouble& trouble_;
  Stored* const stored_;
  Dice* const dice_;
  absl::AnyInvocable<void()> overtake_;
  std::stop_source stop_;
  RunControl control_;
  int bodies_ = 0;
  bool failed_ = false;
  bool asked_inside_ = false;
  bool overtaken_ = false;
  bool crashed_ = false;
  bool gone_ = false;
};

// How deep in the graph one is that remembers its thread; 0 if there is none.
int DepthOfThreadMemory(const GraphPlan& graph, int depth = 0) {
  int deepest = graph.memory == Memory::kOfThread ? depth : 0;
  for (const NodePlan& node : graph.nodes) {
    if (node.inner == nullptr) continue;
    deepest = std::max(deepest, DepthOfThreadMemory(*node.inner, depth + 1));
  }
  return deepest;
}

bool HasNoMemory(const GraphPlan& graph) {
  return graph.memory == Memory::kNone ||
         std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const NodePlan& node) {
                       return node.inner != nullptr && HasNoMemory(*node.inner);
                     });
}

bool HasStops(const GraphPlan& graph) {
  return !graph.stops_before.empty() || !graph.stops_after.empty() ||
         std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const NodePlan& node) {
                       return node.inner != nullptr && HasStops(*node.inner);
                     });
}

std::string ResultText(const absl::StatusOr<RunResult>& result) {
  return result.ok() ? result->ToJson()
                     : random_graph::StatusText(result.status());
}

// Where two texts begin to differ.
std::string Difference(const std::string& undisturbed,
                       const std::string& here) {
  const auto [a, b] = std::mismatch(undisturbed.begin(), undisturbed.end(),
                                    here.begin(), here.end());
  const size_t at = static_cast<size_t>(a - undisturbed.begin());
  const size_t from = at < 200 ? 0 : at - 200;
  return absl::StrFormat("undisturbed:\n  %s\nhere:\n  %s\n",
                         undisturbed.substr(from, 400), here.substr(from, 400));
}

// One graph, and what happens to it.
class Story {
 public:
  Story(uint64_t seed, Counts& counts)
      : seed_(seed), dice_(seed), counts_(counts) {}

  // What is wrong; empty if nothing is.
  std::string Tell() {
    if (!Draw()) return "no graph was drawn that runs to its end";
    ++counts_[kGraphs];
    if (DepthOfThreadMemory(plan_) > 0) ++counts_[kThreadMemory];
    if (HasNoMemory(plan_)) ++counts_[kNoMemory];
    for (size_t turn = 0; turn < expected_.size(); ++turn) {
      ++counts_[kTurns];
      std::string wrong = TellTurn(turn);
      if (!wrong.empty()) return wrong;
    }
    return CheckHistory();
  }

  std::string Description() const {
    return absl::StrCat("WEIR_RANDOM_SEED=", seed_, "\n", Describe(plan_),
                        happened_);
  }

 private:
  // Draws graphs until one runs to its end when nothing happens.
  bool Draw() {
    for (int i = 0; i < 100; ++i) {
      const uint64_t drawn = dice_.Next();
      plan_ = DrawGraph(drawn);
      AddPauses(drawn, plan_);
      plan_.recursion_limit = 200;  // Each run has all of it again.
      absl::StatusOr<Graph> graph = Build(plan_);
      if (!graph.ok()) return false;
      graph_.emplace(*std::move(graph));
      graph = Build(plan_, {.stops_inside = true});
      if (!graph.ok()) return false;
      stopping_graph_.emplace(*std::move(graph));
      if (RunUndisturbed(dice_.Chance(30) ? 2 : 1)) return true;
    }
    return false;
  }

  // Without a store, graphs inside remember nothing from task to task.
  bool RunUndisturbed(int turns) {
    const bool saved =
        turns > 1 || DepthOfThreadMemory(plan_) > 0 || dice_.Chance(30);
    expected_.clear();
    for (int turn = 0; turn < turns; ++turn) {
      SimExecutor executor(dice_.Next());
      Dice whims(dice_.Next());
      const Host host{.executor = &executor,
                      .longest_delay = absl::Milliseconds(1),
                      .whims = &whims};
      const absl::StatusOr<RunResult> result =
          graph_->Invoke(InputOf(static_cast<size_t>(turn)),
                         {.recursion_limit = plan_.recursion_limit,
                          .executor = &executor,
                          .context = Value(&host),
                          .thread_id = "undisturbed",
                          .checkpointer = saved ? &undisturbed_ : nullptr});
      if (!result.ok()) return Forget();
      expected_.push_back({ResultText(result), {}});
      if (saved) {
        expected_.back().states = States(undisturbed_, "undisturbed");
      }
    }
    return true;
  }

  bool Forget() {
    undisturbed_.DeleteThread("undisturbed", [](absl::Status) {});
    return false;
  }

  Input InputOf(size_t turn) const {
    if (turn == 0) return MakeInput(plan_);
    return Input::Values(
        Update().Set("list", Value("more")).Set("fold", Value(uint64_t{11})));
  }

  // The states of the thread's graphs that outlive their tasks, private
  // channels included, by their paths. Without what tasks did after the last
  // checkpoint: a command for the parent ends a graph, whatever its siblings
  // ask.
  std::map<std::string, std::string> States(MemoryCheckpointer& store,
                                            const std::string& thread) {
    std::map<std::string, CheckpointId> latest;
    store.List({.thread = thread},
               [&latest](absl::StatusOr<std::vector<CheckpointTuple>> list) {
                 if (!list.ok()) return;
                 for (const CheckpointTuple& tuple : *list) {
                   const std::string& ns = tuple.checkpoint.ns;
                   if (ns.find(':') != std::string::npos) continue;
                   latest.try_emplace(ns, tuple.checkpoint.id);
                 }
               });
    std::map<std::string, std::string> states;
    for (const auto& [ns, id] : latest) {
      const absl::StatusOr<StateSnapshot> snapshot =
          graph_->GetState({.checkpointer = &store,
                            .thread_id = thread,
                            .at = CheckpointRef{.ns = ns, .id = id}});
      states[ns] = snapshot.ok() ? snapshot->values.ToJson()
                                 : random_graph::StatusText(snapshot.status());
    }
    return states;
  }

  std::string TellTurn(size_t turn) {
    turn_ = turn;
    began_at_ = LatestId();
    asked_.clear();
    asks_known_ = false;
    calm_ = false;
    const int troubles = dice_.Between(1, 8);
    for (int run = 0; run < kMaxRuns; ++run) {
      calm_ = run >= troubles;
      absl::StatusOr<RunResult> result;
      std::string wrong = RunOnce(&result);
      if (!stored_.wrong.empty()) wrong = stored_.wrong.front();
      if (!wrong.empty()) return wrong;
      if (!result.ok() || result->end != RunEnd::kFinished) continue;
      const std::string text = ResultText(result);
      if (text != expected_[turn].result) {
        return Difference(expected_[turn].result, text);
      }
      return CheckStates(expected_[turn].states);
    }
    return "the graph does not end";
  }

  std::string CheckStates(const std::map<std::string, std::string>& expected) {
    if (expected.empty()) return "";
    const std::map<std::string, std::string> states = States(store_, thread_);
    for (const auto& [ns, state] : expected) {
      const auto at = states.find(ns);
      const std::string here = at == states.end() ? "nothing" : at->second;
      if (here == state) continue;
      return absl::StrFormat("state of '%s', %s", ns, Difference(state, here));
    }
    return "";
  }

  Trouble DrawTrouble() {
    Trouble trouble;
    const int memory = DepthOfThreadMemory(plan_);
    // A graph that remembers its thread is stored when it ends, and the run
    // around it later. What the run then loses is done again, but not on what
    // the graph remembered before; so is what a graph around it does again
    // whose task has not ended.
    const bool may_exit = memory <= 1;
    trouble.durability = static_cast<Durability>(dice_.Below(may_exit ? 3 : 2));
    const bool may_lose =
        trouble.durability != Durability::kExit || memory == 0;
    trouble.late = dice_.Chance(30);
    constexpr int kBounds[] = {0, 0, 0, 1, 2, 3};
    trouble.max_concurrency = kBounds[dice_.Below(6)];
    if (calm_) return trouble;
    trouble.stops_inside = dice_.Chance(50);
    for (int i = dice_.Below(3); i >= 0; --i) {
      constexpr int kLosing = 4;
      const int kind = dice_.Below(10);
      if (kind < kLosing && !may_lose) continue;
      switch (kind) {
        case 0:
          trouble.crash_at_write = DrawCount();
          break;
        case 1:
          trouble.full_at_write = DrawCount();
          break;
        case 2:
          trouble.overtake_at_body = 1 + DrawCount();
          trouble.overtake_by_run = dice_.Chance(50);
          break;
        case 3: {
          constexpr const char* kCalls[] = {"Open", "Get", "Put", "PutWrites"};
          const int call = dice_.Below(4);
          trouble.failing_call = kCalls[call];
          if (call > 0) trouble.failing_after = DrawCount();
          break;
        }
        case 4:
          if (dice_.Chance(50)) {
            trouble.cancel_at_body = 1 + DrawCount();
          } else {
            trouble.cancel_after = absl::Microseconds(1 << dice_.Below(14));
          }
          break;
        case 5:
          if (dice_.Chance(50)) {
            trouble.drain_at_body = 1 + DrawCount();
          } else {
            trouble.drain_after = absl::Microseconds(1 << dice_.Below(14));
          }
          break;
        case 6:
        case 7: {
          std::vector<std::string>& stops =
              kind == 6 ? trouble.stops_before : trouble.stops_after;
          const int node = dice_.Below(static_cast<int>(plan_.nodes.size()));
          stops.push_back(dice_.Chance(25) ? "*" : NodeName(plan_, node));
          break;
        }
        default:
          trouble.failing_percent = 1 << dice_.Below(6);
          break;
      }
    }
    return trouble;
  }

  // Most often few.
  int DrawCount() { return dice_.Below(2 << dice_.Below(6)); }

  // One run: whatever is next for the thread.
  std::string RunOnce(absl::StatusOr<RunResult>* result) {
    const Trouble trouble = DrawTrouble();
    absl::StrAppendFormat(&happened_, "turn %d: %s\n", turn_,
                          trouble.ToString());
    Input input = NextInput();
    Count(kRuns);
    Count(trouble.durability == Durability::kSync    ? kSync
          : trouble.durability == Durability::kAsync ? kAsync
                                                     : kExit);
    if (trouble.late) Count(kLate);

    RunDirector director(trouble, &stored_, &dice_);
    Dice whims(dice_.Next());
    SimExecutor executor(dice_.Next());
    auto store = std::make_shared<RunStore>(&store_, &stored_, &executor,
                                            &whims, trouble.late);
    FailingCheckpointer failing(store);
    const std::string thread = thread_;
    if (trouble.full_at_write.has_value()) {
      store->EndAt(RunStore::End::kFull, *trouble.full_at_write, {});
    } else if (trouble.crash_at_write.has_value()) {
      store->EndAt(RunStore::End::kCrash, *trouble.crash_at_write,
                   [this, &director] {
                     director.Crash();
                     GoOnWithCopy();
                   });
    }
    const absl::Status store_failure = absl::DataLossError("the call fails");
    if (!trouble.failing_call.empty()) {
      failing.Fail(trouble.failing_call, store_failure, trouble.failing_after);
    }
    director.OnOvertake([this, &trouble] {
      if (trouble.overtake_by_run) {
        Overtake();
      } else {
        store_.Open(thread_, [](absl::StatusOr<ThreadLease>) {});
      }
    });
    if (trouble.cancel_after.has_value()) {
      executor.PostAfter(
          *trouble.cancel_after,
          [stop = director.stop_source()]() mutable { stop.request_stop(); });
    }
    if (trouble.drain_after.has_value()) {
      executor.PostAfter(*trouble.drain_after, [control = director.control()] {
        control->RequestDrain("now");
      });
    }
    const Host host{.executor = &executor,
                    .longest_delay = absl::Milliseconds(1),
                    .whims = &whims,
                    .director = &director};
    const Graph& graph = trouble.stops_inside ? *stopping_graph_ : *graph_;
    *result = graph.Invoke(std::move(input),
                           {.recursion_limit = plan_.recursion_limit,
                            .max_concurrency = trouble.max_concurrency,
                            .stop = director.stop_source().get_token(),
                            .executor = &executor,
                            .control = director.control(),
                            .context = Value(&host),
                            .run_id = RunId(),
                            .thread_id = thread,
                            .checkpointer = &failing,
                            .durability = trouble.durability,
                            .interrupt_before = trouble.stops_before,
                            .interrupt_after = trouble.stops_after});
    std::string how =
        result->ok() ? "ok" : random_graph::StatusText(result->status());
    if (result->ok() && (*result)->end != RunEnd::kFinished) {
      how =
          absl::StrCat((*result)->end == RunEnd::kStopped ? "stopped" : "asks",
                       " ", (*result)->interrupts.size());
    }
    absl::StrAppend(&happened_, "  ", how.substr(0, 300), "\n");

    asks_known_ = false;
    if (director.crashed()) {
      Count(kCrashed);
      if (trouble.durability == Durability::kExit) Count(kCrashedInExit);
      *result = absl::UnavailableError("crashed");
      return "";
    }
    if (director.overtaken()) {
      Count(trouble.overtake_by_run ? kOvertakenByRun : kOvertaken);
      if (result->ok()) return "a run ended well that was overtaken";
      return "";
    }
    if (!result->ok()) {
      return NoteFailure(result->status(), trouble, director, *store);
    }
    NoteEnd(**result, director);
    return "";
  }

  // Why a run has failed: an explanation, or it is wrong.
  std::string NoteFailure(const absl::Status& status, const Trouble& trouble,
                          const RunDirector& director, const RunStore& store) {
    const ErrorKind kind = ErrorKindOf(status);
    if (kind == ErrorKind::kCancelled && director.stopped()) {
      Count(kCancelled);
    } else if (kind == ErrorKind::kGraphDrained && director.drained()) {
      Count(kDrained);
    } else if (status.code() == absl::StatusCode::kDataLoss &&
               !trouble.failing_call.empty()) {
      Count(kStoreFailed);
    } else if (status.code() == absl::StatusCode::kResourceExhausted &&
               store.ended()) {
      Count(kStoreFull);
    } else if (director.failed() &&
               (status.code() == absl::StatusCode::kUnavailable ||
                status.code() == absl::StatusCode::kInternal)) {
      Count(kBodyFailed);
    } else {
      return absl::StrCat("a run failed for no reason: ",
                          random_graph::StatusText(status));
    }
    return "";
  }

  void NoteEnd(const RunResult& result, const RunDirector& director) {
    switch (result.end) {
      case RunEnd::kFinished:
        if (calm_) Count(kCalm);
        break;
      case RunEnd::kStopped:
        Count(kStopped);
        break;
      case RunEnd::kInterrupted:
        EXPECT_FALSE(result.interrupts.empty()) << happened_;
        asked_ = result.interrupts;
        asks_known_ = true;
        Count(kAsked);
        if (asked_.size() > 1) Count(kAskedSeveral);
        if (director.asked_inside()) Count(kAskedInside);
        break;
    }
  }

  // Where the thread is: its end, or the input that is still to come.
  Input NextInput() {
    if (LatestId() == began_at_) {
      if (turn_tried_ == turn_) Count(kInputAgain);
      turn_tried_ = turn_;
      return InputOf(turn_);
    }
    turn_tried_ = turn_;
    if (!asks_known_ && dice_.Chance(30)) {
      asked_ = AskedInState();
      asks_known_ = true;
      if (!asked_.empty()) Count(kAnsweredAfter);
    }
    if (asks_known_ && !asked_.empty() && (calm_ || dice_.Chance(85))) {
      return Answers();
    }
    if (!plan_.starts_by_command && dice_.Chance(10)) {
      Count(kSameRunAgain);
      happened_ += "  again with the input\n";
      return InputOf(turn_);
    }
    return Input::Continue();
  }

  // What the thread's state says is asked. Of what is asked inside a task that
  // runs a graph, it shows what had reached the task when the run failed, and
  // the next question of the same task has the same id: nothing to answer
  // without asking again.
  std::vector<Interrupt> AskedInState() {
    const absl::StatusOr<StateSnapshot> state =
        graph_->GetState({.checkpointer = &store_, .thread_id = thread_});
    if (!state.ok()) return {};
    for (const TaskState& task : state->tasks) {
      for (size_t i = 0; i < plan_.nodes.size(); ++i) {
        if (plan_.nodes[i].inner != nullptr && !task.interrupts.empty() &&
            task.name == NodeName(plan_, static_cast<int>(i))) {
          return {};
        }
      }
    }
    return state->interrupts;
  }

  Input Answers() {
    for (const Interrupt& asked : asked_) {
      absl::StrAppend(&happened_, "  ", asked.id.substr(0, 4), " ",
                      *asked.value.As<std::string>(), "\n");
    }
    if (asked_.size() == 1 && dice_.Chance(50)) {
      Count(kAnsweredOne);
      return Input::Resume(Value(AnswerTo(*asked_[0].value.As<std::string>())));
    }
    std::map<std::string, Value> answers;
    for (const Interrupt& asked : asked_) {
      if (!calm_ && dice_.Chance(30)) continue;
      answers[asked.id] = Value(AnswerTo(*asked.value.As<std::string>()));
    }
    Count(answers.size() == asked_.size() ? kAnsweredAll : kAnsweredSome);
    absl::StrAppend(&happened_, "  answers ", answers.size(), "\n");
    if (dice_.Chance(20)) {
      answers["0123456789abcdef0123456789abcdef"] = Value("to nobody");
    }
    return Input::ResumeEach(std::move(answers));
  }

  // Another process takes the thread over and goes on with it, as far as it
  // gets.
  void Overtake() {
    Trouble trouble;
    RunDirector director(trouble, &stored_, &dice_);
    Dice whims(dice_.Next());
    SimExecutor executor(dice_.Next());
    RunStore store(&store_, &stored_, &executor, &whims, false);
    const Host host{.executor = &executor,
                    .longest_delay = absl::Milliseconds(1),
                    .whims = &whims,
                    .director = &director};
    const absl::StatusOr<RunResult> result = graph_->Invoke(
        LatestId() == began_at_ ? InputOf(turn_) : Input::Continue(),
        {.recursion_limit = plan_.recursion_limit,
         .executor = &executor,
         .context = Value(&host),
         .run_id = RunId(),
         .thread_id = thread_,
         .checkpointer = &store});
    if (!result.ok()) {
      stored_.wrong.push_back("the run that took over failed: " +
                              random_graph::StatusText(result.status()));
    }
  }

  // What is stored is all that is left.
  void GoOnWithCopy() {
    const std::string from =
        std::exchange(thread_, absl::StrCat("t", ++copies_));
    store_.CopyThread(from, thread_, [](absl::Status) {});
  }

  std::string RunId() const { return absl::StrCat("turn ", turn_); }

  std::optional<CheckpointId> LatestId() {
    std::optional<CheckpointId> id;
    store_.Get({.thread = thread_},
               [&id](absl::StatusOr<std::optional<CheckpointTuple>> tuple) {
                 if (tuple.ok() && tuple->has_value()) {
                   id = (*tuple)->checkpoint.id;
                 }
               });
    return id;
  }

  static bool HasPieces(const CheckpointTuple& tuple) {
    const std::vector<SavedChannel>& channels = tuple.checkpoint.channels;
    return std::any_of(
        channels.begin(), channels.end(),
        [](const SavedChannel& saved) { return saved.appended_to != 0; });
  }

  std::string CheckHistory() {
    std::vector<CheckpointTuple> all;
    store_.List({.thread = thread_},
                [&all](absl::StatusOr<std::vector<CheckpointTuple>> list) {
                  if (list.ok()) all = *std::move(list);
                });
    if (std::any_of(all.begin(), all.end(), HasPieces)) Count(kPieces);
    std::map<std::string, std::map<CheckpointId, int64_t>> steps;
    for (auto at = all.rbegin(); at != all.rend(); ++at) {  // Oldest first.
      const Checkpoint& checkpoint = at->checkpoint;
      std::map<CheckpointId, int64_t>& known = steps[checkpoint.ns];
      const int64_t step = checkpoint.metadata.step;
      const std::string text =
          absl::StrFormat("checkpoint %s of '%s', step %d",
                          checkpoint.id.ToString(), checkpoint.ns, step);
      if (!known.empty() && checkpoint.id <= known.rbegin()->first) {
        return text + " has no greater id than the one before";
      }
      if (!checkpoint.parent.has_value()) {
        if (!known.empty()) return text + " has no parent";
        if (!used_exit_ && step != -1) return text + " is the first";
      } else if (!known.contains(checkpoint.parent)) {
        return text + " has a parent that is not there";
      } else if (const int64_t before = known[checkpoint.parent];
                 used_exit_ ? step <= before : step != before + 1) {
        return absl::StrFormat("%s follows step %d", text, before);
      }
      known[checkpoint.id] = step;
    }
    return all.empty() ? "nothing is stored" : "";
  }

  void Count(Happening happening) {
    ++counts_[happening];
    used_exit_ |= happening == kExit;
  }

  const uint64_t seed_;
  Dice dice_;
  Counts& counts_;
  GraphPlan plan_;
  std::optional<Graph> graph_;
  std::optional<Graph> stopping_graph_;

  struct Expected {
    std::string result;
    std::map<std::string, std::string> states;  // Empty: not known.
  };
  MemoryCheckpointer undisturbed_;
  std::vector<Expected> expected_;  // By turn.

  // Half of all stories are stored as bytes; what they are to tell is not.
  MemoryCheckpointer store_{{.as_bytes = seed_ % 2 == 1}};
  Stored stored_;
  std::string thread_ = "t";
  int copies_ = 0;
  bool used_exit_ = false;
  size_t turn_ = 0;
  std::optional<size_t> turn_tried_;
  std::optional<CheckpointId> began_at_;
  std::vector<Interrupt> asked_;
  bool asks_known_ = false;
  bool calm_ = false;  // Nothing more happens in this turn.
  std::string happened_;
};

TEST(RandomResumesTest, DisturbancesDoNotShow) {
  const std::optional<uint64_t> seed =
      NumberFromEnvironment("WEIR_RANDOM_SEED");
  const uint64_t graphs = seed.has_value()
                              ? 1
                              : NumberFromEnvironment("WEIR_RANDOM_RESUMES")
                                    .value_or(kDefaultGraphs);
  const uint64_t first = seed.value_or(1);
  Counts counts{};
  int failures = 0;
  for (uint64_t i = first; i < first + graphs && failures < 3; ++i) {
    Story story(i, counts);
    const std::string wrong = story.Tell();
    if (seed.has_value()) std::puts(story.Description().c_str());
    if (wrong.empty()) continue;
    ++failures;
    ADD_FAILURE() << wrong << '\n' << story.Description();
  }
  for (size_t i = 0; i < kHappenings; ++i) {
    const std::string name(kHappeningNames[i]);
    std::printf("  %-25s %8d\n", name.c_str(), static_cast<int>(counts[i]));
    if (graphs >= kEnoughForAll && failures == 0) {
      EXPECT_THAT(counts[i], Gt(0)) << name;
    }
  }
}

}  // namespace
}  // namespace weir
