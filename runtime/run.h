#ifndef WEIR_RUNTIME_RUN_H_
#define WEIR_RUNTIME_RUN_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "weir/channels/value.h"
#include "weir/channels/values.h"
#include "weir/checkpoint/checkpointer.h"
#include "weir/export.h"
#include "weir/runtime/command.h"
#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/state.h"

namespace weir {
inline namespace v0 {

class Store;  // In weir/runtime/store.h.

// When a thread's checkpoints are stored.
enum class Durability {
  kSync,  // Each before the next superstep begins.
  // While the run goes on, which waits where the store is more than
  // RunOptions::max_async_lag supersteps behind; all of them before it ends.
  kAsync,
  kExit,  // One, when the run ends, however it ends.
};

// Input: what a run starts with.
class WEIR_EXPORT Input {
 public:
  // New input: the channels of the graph's input schema that `update` names;
  // others are dropped. An empty update is input too.
  static Input Values(Update update);
  // As Values(), from a record.
  static Input FromValue(Value record) {
    return Values(Update::FromValue(std::move(record)));
  }
  // An update for the state and nodes to go to, applied through the graph's
  // start. One with neither is an EmptyInputError.
  static Input Command(Command command);
  // No input: goes on with a thread where it stopped. An EmptyInputError on a
  // thread without a checkpoint; on one that has finished nothing runs, and the
  // run ends well.
  static Input Continue() { return Input(); }

  // Goes on with a thread that stopped at one Interrupt, and answers it. With
  // `command`, also changes the state and starts nodes. FailedPrecondition if
  // several interrupts wait: answer those by their ids. An answer that nobody
  // asks for is dropped.
  static Input Resume(Value answer, weir::Command command = {});
  // The same, with answers by Interrupt::id. Those that get none ask again.
  static Input ResumeEach(std::map<std::string, Value> answers,
                          weir::Command command = {});

  // NOLINTNEXTLINE(google-explicit-constructor): the usual input
  Input(Update update) : Input(Values(std::move(update))) {}

  bool is_continue() const { return kind_ == Kind::kContinue; }
  bool is_command() const { return kind_ == Kind::kCommand; }
  bool is_resume() const { return answer_.has_value() || has_answers_; }
  weir::Command& command() { return command_; }
  Value& answer() { return answer_; }
  std::map<std::string, Value>& answers() { return answers_; }

 private:
  enum class Kind { kContinue, kValues, kCommand };
  Input() = default;

  Kind kind_ = Kind::kContinue;
  weir::Command command_;  // Of kValues, only the update is set.
  Value answer_;
  std::map<std::string, Value> answers_;
  bool has_answers_ = false;
};

// RunControl: asks runs that were given it to stop at their next barrier. A run
// that stops so ends with GraphDrained; one that has nothing left to do ends
// normally.
//
// Threads: thread-safe. Must outlive the runs.
class WEIR_EXPORT RunControl {
 public:
  void RequestDrain(std::string_view reason) {
    absl::MutexLock lock(&mutex_);
    if (!drain_.has_value()) drain_ = std::string(reason);
    requested_.store(true, std::memory_order_relaxed);
  }
  // The first reason given, if a drain was requested.
  std::optional<std::string> drain() const {
    if (!requested_.load(std::memory_order_relaxed)) return std::nullopt;
    absl::MutexLock lock(&mutex_);
    return drain_;
  }

 private:
  // Whether drain_ is set. Relaxed: the mutex publishes the reason, and a run
  // that misses it has another barrier.
  std::atomic<bool> requested_{false};
  mutable absl::Mutex mutex_;
  std::optional<std::string> drain_ ABSL_GUARDED_BY(mutex_);
};

// What happens to the siblings of a task that failed. Either way every planned
// task runs to its end before the run ends.
enum class OnFailure {
  kRunSiblings,
  kCancelSiblings,  // Their stop token is triggered.
};

// RunOptions: how a run is run. Every field has a default.
struct RunOptions {
  // Of a stream: which events to get.
  StreamModes modes = kUpdates;
  // Whether a stream has the events of graphs inside the graph as well.
  bool subgraphs = false;
  // Supersteps, the start's included; graphs inside have the same limit, each
  // for itself. At least 1.
  int64_t recursion_limit = 10'007;
  // Tasks of this run that may be unfinished at once; 0 for any number. Graphs
  // inside have the same limit, each for itself.
  int max_concurrency = 0;
  OnFailure on_failure = OnFailure::kRunSiblings;
  // Per superstep. When it has passed, running nodes are asked to stop, and the
  // run fails with a StepTimeout once they have.
  absl::Duration step_timeout = absl::InfiniteDuration();
  // Stops the run at the next barrier, and asks its nodes to stop.
  std::stop_token stop{};
  // Null: the calling thread and the process's oneTBB workers. Otherwise it
  // must outlive the run.
  Executor* executor = nullptr;
  // Null: none. Otherwise it must outlive the run.
  RunControl* control = nullptr;
  // What nodes get from NodeContext::store(), those of graphs inside as well.
  // Null: none. Otherwise it must outlive the run.
  Store* store = nullptr;
  // What nodes get from NodeContext::context<T>().
  Value context{};
  // Names the run in task ids; by default a fresh one for runs that publish
  // events.
  std::string run_id{};
  // The thread that the run belongs to.
  std::string thread_id{};
  // Where the thread's checkpoints are. Null: the run is not saved, and cannot
  // be interrupted. Otherwise it needs a thread_id, and must outlive the run.
  Checkpointer* checkpointer = nullptr;
  Durability durability = Durability::kAsync;
  // Of kAsync: how many supersteps the run may be ahead of its store, and each
  // graph inside for itself. At least 1. What a process that is killed has run
  // ahead runs again; a run that may be further ahead waits less often, and
  // holds what it has changed meanwhile. A store that shares values is never
  // behind.
  int max_async_lag = 1;
  // Where in the thread's history to go on; by default at its end. Its
  // thread_id may be left out.
  std::optional<CheckpointRef> from{};
  // Nodes before and after which the run stops, "*" for all; if there are any,
  // they take the place of the graph's.
  std::vector<std::string> interrupt_before{};
  std::vector<std::string> interrupt_after{};
  // Goes into the metadata of the run's checkpoints, for filters. The values
  // are JSON text.
  std::map<std::string, std::string> metadata{};
};

// Names a run.
using RunId = std::string;

//   kPending --> kRunning --> kSuccess, kError, kTimeout, kInterrupted
//       \----------------------------------------------------^
//
// The last four are terminal: a run that has one keeps it.
enum class RunStatus {
  kPending,      // Waits for its time, or for other runs of its thread.
  kRunning,      //
  kSuccess,      // Ended well, or paused: its thread says which.
  kError,        // A node failed, or something else did.
  kTimeout,      // Took longer than it was given.
  kInterrupted,  // Cancelled.
};

// "pending", "running", "success", "error", "timeout", "interrupted".
WEIR_EXPORT std::string_view RunStatusName(RunStatus status);

// Why a run that did not fail has ended.
enum class RunEnd {
  kFinished,     // Nothing is left to run.
  kInterrupted,  // Nodes ask: see RunResult::interrupts.
  kStopped,      // Before or after a node, as interrupt_before and _after say.
};

// RunResult: what a run returns that did not fail: the values of the output
// channels, and what it waits for if it has not finished.
struct RunResult : Values {
  RunResult() = default;
  explicit RunResult(Values values) : Values(std::move(values)) {}

  RunEnd end = RunEnd::kFinished;
  std::vector<Interrupt> interrupts;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_RUN_H_
