#ifndef WEIR_RUNTIME_INTERNAL_RUN_LOOP_H_
#define WEIR_RUNTIME_INTERNAL_RUN_LOOP_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

#include "weir/channels/channel_set.h"
#include "weir/channels/values.h"
#include "weir/runtime/event.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/ref.h"
#include "weir/runtime/internal/step_task.h"
#include "weir/runtime/internal/triggers.h"
#include "weir/runtime/run.h"
#include "weir/stream/event_log.h"

namespace weir {
inline namespace v0 {
namespace internal {

// The ids of the messages that readers of kMessages were sent.
class SentMessages {
 public:
  // False if the id was there.
  bool Add(std::string_view id) {
    absl::MutexLock lock(&mutex_);
    return ids_.emplace(id).second;
  }

 private:
  absl::Mutex mutex_;
  absl::flat_hash_set<std::string> ids_ ABSL_GUARDED_BY(mutex_);
};

// What a run shares with the runs of the graphs inside it. All fixed before the
// run begins.
struct RunEnv {
  Executor* executor = nullptr;
  EventLog<Event>* log = nullptr;  // Null: nobody can ever watch.
  RunOptions options;
  // Null if there is no log.
  std::unique_ptr<SentMessages> sent_messages{};
};

// Run: one execution of a compiled graph: a state machine that workers carry on
// and that holds none of them while its tasks wait. The essay is in
// run_loop.cc.
//
// Threads:  Begin() once; the loop then owns everything but what is marked
//           below. Results may be read once the listener was told.
// Lifetime: reference-counted: by its starter and by each job of it.
class Run final : public RefCounted<Run> {
 public:
  // `listener` may be null, and must live until it is told. `parent` is the
  // task that runs this graph inside its own, as its `call`-th, or null.
  Run(std::shared_ptr<const CompiledGraph> graph, std::shared_ptr<RunEnv> env,
      RunListener* listener, StepTask* parent, int call = 0);
  ~Run();

  // Starts on the calling thread, and goes on there as long as a task is ready.
  void Begin(Input input);

  // Runs tasks of the current superstep while there are some to claim. Any
  // number of workers at once; each must hold a reference.
  void Work();

  // Asks the run's nodes to stop, and the run to end at the next barrier. Only
  // for runs made stoppable. Thread-safe.
  void Cancel();
  // Before Begin(): gives the run a stop source of its own.
  void MakeStoppable();
  std::stop_token stop_token() const;

  // Notified after the listener was told.
  const absl::Notification& done() const { return done_; }
  const absl::Status& status() const { return status_; }
  // For a run whose executor has nothing left that could end it.
  absl::Status NeverEndsError() const;
  // The output channels; empty if nothing was written to one.
  Values Output() const;
  bool wrote_output() const { return wrote_output_; }
  // Of a run whose status is a ParentCommand.
  std::optional<Command> TakeParentCommand() {
    return std::move(parent_command_);
  }

  const CompiledGraph& graph() const { return *graph_; }
  // The graph's own or that of the nearest graph around it; null if none.
  Cache* cache() const {
    if (graph_->cache != nullptr) return graph_->cache.get();
    return parent_ == nullptr ? nullptr : parent_->run->cache();
  }
  const ChannelSet& channels() const { return channels_; }
  const RunEnv& env() const { return *env_; }
  const std::shared_ptr<RunEnv>& shared_env() const { return env_; }
  Executor& executor() const { return *env_->executor; }
  StepTask* parent() const { return parent_; }
  int64_t step() const { return step_; }
  int64_t limit() const { return env_->options.recursion_limit; }

  // For the tasks of this run.

  // The result of the start's task: the input, or the command given as input.
  NodeResult& start() { return start_; }
  // Carries on with a task that completed elsewhere or is due again; on a
  // worker of its own.
  void ResumeTask(uint32_t task);
  void PostResume(uint32_t task);
  bool FailedByItself(const absl::Status& failure) const;
  // A task has failed; siblings may have to be stopped.
  void TaskFailed();

  // Whether anyone wants events of these modes from this run. One load.
  bool Wants(uint32_t modes) const {
    return env_->log != nullptr && (env_->log->interest() & modes) != 0 &&
           (parent_ == nullptr || env_->options.subgraphs);
  }
  // Publishes `payload` in `mode` and, if `in_debug`, in kDebug as well.
  void Publish(uint32_t mode, EventPayload payload, bool in_debug = false);
  void Warn(const std::string& text);

  Values MakeValues() const { return Values(graph_->names); }
  // The channels that its values and updates events show: of a graph inside
  // another its output's, of the outermost all (null).
  const std::vector<bool>* shown() const {
    return parent_ == nullptr ? nullptr : &graph_->in_output;
  }
  // The channels that are in `which`, or all, and not empty.
  Values ReadAll(const std::vector<bool>* which) const;
  // The path to this graph's run; empty at the root.
  std::vector<NamespaceLevel> Namespace() const;

 private:
  absl::Status PlanStart(Input input);
  bool Plan();
  void ReserveTasks(size_t n);
  bool StartStep();
  void Open();
  void WatchStep();
  void Invite(uint32_t count);
  uint32_t Claim(uint32_t* first);
  uint32_t ClaimTasks(uint32_t* first);
  bool TakePlace();
  bool bounded() const { return env_->options.max_concurrency > 0; }
  void TaskEnded();
  bool Advance();
  bool Barrier();
  absl::Status StepFailure();
  absl::Status TaskFailure() const;
  bool AnyFailedByItself() const;
  std::string TaskNames() const;
  absl::Status CancelledError() const;
  bool cancelled() const;
  std::stop_token outer_stop_token() const;
  absl::Status Merge();
  absl::Status MergeTask(StepTask& task);
  absl::Status WriteRefused(const Write& write, const absl::Status& why) const;
  void PublishTaskStarts();
  void PublishCheckpoint(std::string_view source);
  void End(absl::Status status);

  // Fixed after construction.
  const std::shared_ptr<const CompiledGraph> graph_;
  const std::shared_ptr<RunEnv> env_;
  RunListener* const listener_;
  StepTask* const parent_;
  std::stop_source stop_{std::nostopstate};
  std::optional<std::stop_callback<std::function<void()>>> stop_link_;
  const int call_;
  // For events; null at the root, and where nobody can watch.
  const std::shared_ptr<const std::vector<NamespaceLevel>> ns_;

  // Owned by whoever is between the last task of one superstep and the first of
  // the next; read by the tasks.
  ChannelSet channels_;
  Triggers triggers_;
  std::vector<PendingSend> sends_;
  std::unique_ptr<StepTask[]> tasks_;  // In merge order.
  uint32_t task_capacity_ = 0;
  uint32_t task_count_ = 0;
  NodeResult start_;
  int64_t step_ = 0;       // 0 is the start's.
  absl::Time step_began_;  // Set if there is a step timeout.
  Executor::TimerId step_timer_ = 0;
  bool wrote_shown_ = false;   // In this superstep.
  bool wrote_output_ = false;  // In any superstep.
  absl::Status status_;
  std::optional<Command> parent_command_;
  absl::Notification done_;

  // Tasks of the superstep that no worker has claimed. StartStep() stores it
  // after the tasks are planned (release); a successful claim reads it
  // (acquire) and so sees the tasks. A claim that succeeds is of the current
  // superstep, whatever the claimer thought: it is only above zero while tasks
  // wait.
  std::atomic<uint32_t> unclaimed_{0};
  // Tasks of the superstep that have not ended. Each worker takes off what it
  // ended (acq_rel); the one that reaches zero sees all that the tasks did.
  std::atomic<uint32_t> unfinished_{0};
  // Jobs posted to help with the superstep that have not begun. Relaxed: a
  // bound on how many are posted.
  std::atomic<uint32_t> invited_{0};
  // Tasks begun and not ended, where max_concurrency bounds them. acq_rel, so
  // that a task that begins in another's place begins after it.
  std::atomic<int> begun_{0};
  // Whether some task of the superstep failed, or ended in a command for the
  // parent: set before the task ends, read after the last did. Relaxed:
  // unfinished_ orders them.
  std::atomic<bool> any_failed_{false};
  // Set by Cancel(). Relaxed: a barrier that misses it is followed by another.
  std::atomic<bool> cancelled_{false};
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_RUN_LOOP_H_
