#ifndef WEIR_RUNTIME_INTERNAL_RUN_LOOP_H_
#define WEIR_RUNTIME_INTERNAL_RUN_LOOP_H_

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

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "weir/channels/channel_set.h"
#include "weir/channels/value.h"
#include "weir/channels/values.h"
#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/end_signal.h"
#include "weir/runtime/internal/ref.h"
#include "weir/runtime/internal/run_log.h"
#include "weir/runtime/internal/saved_by.h"
#include "weir/runtime/internal/saved_line.h"
#include "weir/runtime/internal/saved_pieces.h"
#include "weir/runtime/internal/step_task.h"
#include "weir/runtime/internal/thread_session.h"
#include "weir/runtime/internal/triggers.h"
#include "weir/runtime/run.h"

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

// The answers that a run is resumed with.
class Answers {
 public:
  // By Interrupt::id. Fixed once the run has begun.
  std::map<std::string, Value> by_id;

  // For whoever asks first, where nobody did when the run began. Given once.
  void SetFirst(Value answer) {
    absl::MutexLock lock(&mutex_);
    first_ = std::move(answer);
  }
  Value TakeFirst() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(first_, Value());
  }

 private:
  absl::Mutex mutex_;
  Value first_ ABSL_GUARDED_BY(mutex_);
};

// What the runs of a Runtime have done. Relaxed: only the numbers count.
struct RunCounts {
  std::atomic<uint64_t> supersteps{0};
  std::atomic<uint64_t> tasks{0};
};

// What a run shares with the runs of the graphs inside it. All fixed before the
// run begins.
struct RunEnv {
  // With the session of a saved run.
  RunEnv(RunOptions&& options, Executor* runs_on);

  Executor* const executor;
  RunLog* log = nullptr;        // Null: nobody can ever watch.
  RunCounts* counts = nullptr;  // Null: nobody counts.
  // The end of a process has cut an earlier attempt of the run short.
  bool is_again = false;

  // RunOptions. Many runs wait at once: what few of them are given is apart.
  const StreamModes modes;
  const bool subgraphs;
  const OnFailure on_failure;
  const Durability durability;
  const int max_concurrency;
  const int max_async_lag;
  const int64_t recursion_limit;
  const absl::Duration step_timeout;
  const std::stop_token stop;
  RunControl* const control;
  Store* const store;
  const Value context;
  const std::string run_id;
  const std::string thread_id;
  struct Rare {
    std::optional<CheckpointRef> from;
    std::vector<std::string> interrupt_before;
    std::vector<std::string> interrupt_after;
    std::map<std::string, std::string> metadata;
  };
  const Rare& rare() const;

  // Null if nobody can ever see messages.
  std::unique_ptr<SentMessages> sent_messages{};
  // Null: the run is not saved.
  std::unique_ptr<ThreadSession> session{};
  std::unique_ptr<Answers> answers{};  // Of a saved run.

  // Gives readers of the log the options' modes.
  void Watch(RunLog* by) {
    log = by;
    if (session != nullptr) session->StoreWith(log->durable());
    if ((modes & kMessages) != 0) {
      sent_messages = std::make_unique<SentMessages>();
    }
  }

 private:
  // Null: none of these. Made last: the thread may be that of `from`.
  const std::unique_ptr<const Rare> rare_;
};

// Run: one execution of a compiled graph: a state machine that workers carry on
// and that holds none of them while its tasks wait. The essay is in
// run_loop.cc.
//
// Threads:  Begin() once; the loop then owns everything but what is marked
//           below. Results may be read once the listener was told.
// Lifetime: reference-counted: by its starter and by each job of it.
class Run final : public RefCounted<Run>, private StoreListener {
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

  // Whether it has ended, and the listener was told.
  bool ended() const { return end_signal_.ended(); }
  // Takes part in what the executor does until then. False if it never ends.
  bool AwaitEnd() {
    return ended() || executor().RunUntil(end_signal_.notification());
  }
  const absl::Status& status() const { return status_; }
  // For a run whose executor has nothing left that could end it.
  absl::Status NeverEndsError() const;
  // The output channels, empty if nothing was written to one; and what the run
  // waits for.
  RunResult Result() const;
  Values Output() const;
  bool wrote_output() const { return wrote_output_; }
  RunEnd end() const { return end_; }
  // Whether Cancel() came before the last superstep ended. A run that has
  // nothing left to do then ends well all the same.
  bool stopped() const { return stopped_; }
  // The last; none if there is none, or the run is not saved.
  CheckpointId last_checkpoint() const {
    return line_ == nullptr ? CheckpointId() : line_->current;
  }
  const std::vector<Interrupt>& interrupts() const { return interrupts_; }
  // Of a run whose status is a ParentCommand.
  std::unique_ptr<Command> TakeParentCommand() {
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
  int64_t limit() const { return env_->recursion_limit; }
  // The last superstep that is within the recursion limit.
  int64_t last_step() const { return last_step_; }
  bool saved() const { return line_ != nullptr; }
  bool resuming() const { return line_ != nullptr && line_->resuming; }
  bool travelling() const { return line_ != nullptr && line_->travelling; }
  // What tasks of a node are called in their ids and in the namespaces of the
  // graphs inside: its name, as the checkpoint that the run is at has it.
  const std::string& NameInIds(const CompiledNode& node) const {
    return line_ == nullptr || line_->saved_by == nullptr
               ? node.name
               : line_->saved_by->NameInIds(node.name);
  }
  // Of a saved run.
  const std::string& ns() const { return line_->ns; }
  const CheckpointId& checkpoint() const { return line_->current; }

  // For the tasks of this run.

  // The result of the start's task: the input, or the command given as input.
  NodeResult& start() { return start_; }
  // Carries on with a task that completed elsewhere or is due again; on a
  // worker of its own.
  void ResumeTask(StepTask* task);
  void PostResume(StepTask* task);
  bool FailedByItself(const absl::Status& failure) const;
  bool store_failed() const {
    return env_->session != nullptr && !env_->session->error().ok();
  }
  // A task has failed; siblings may have to be stopped.
  void TaskFailed();
  // A task has ended in a command for the parent.
  void TaskCommandedParent() {
    any_parent_command_.store(true, std::memory_order_relaxed);
  }
  // A task asks something, and has ended.
  void TaskInterrupted() {
    any_interrupted_.store(true, std::memory_order_relaxed);
  }
  // Stores writes of a task. Only if stores_writes().
  void StoreWrites(std::vector<PendingWrite> writes);
  // The same, and holds the worker until the store has them.
  absl::Status StoreWritesAndWait(std::vector<PendingWrite> writes);
  // What the task of that id has done before this run; null if nothing.
  const TaskWrites* FindWrites(std::string_view task_id) const;
  // Gives a task what it has done before this run, and its answer.
  void TakeFoundFor(StepTask& task);
  // What a store keeps of a task.
  std::shared_ptr<SavedTask> ToSaved(absl::Span<const Write> writes,
                                     absl::Span<const uint32_t> gotos,
                                     absl::Span<const PendingSend> sends) const;
  bool HasStoredEventsOf(const StepTask& task) const;
  bool stores_writes() const {
    return line_ != nullptr && env_->durability != Durability::kExit;
  }

  // The modes that anyone wants events of from this run.
  uint32_t interest() const {
    return env_->log != nullptr && (parent_ == nullptr || env_->subgraphs)
               ? env_->log->interest()
               : 0;
  }
  bool Wants(uint32_t modes) const { return (interest() & modes) != 0; }
  // Publishes `payload` in `mode` and, if `in_debug`, in kDebug as well.
  // `names` holds those in the payload that are not the graph's.
  void Publish(uint32_t mode, EventPayload&& payload, bool in_debug = false,
               std::shared_ptr<const void> names = nullptr);
  // The same in kDebug alone. Only if that is wanted.
  void PublishDebug(EventPayload&& payload,
                    std::shared_ptr<const void> names = nullptr);
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

  // For reading and changing a thread's state: a run that never begins. Brings
  // it to what `tuple` holds of the graph; all its pieces are in `pieces`.
  absl::Status Restore(CheckpointTuple tuple, SavedPieces& pieces);
  // Applies what commands gave the checkpoint, and plans what comes next with
  // what its tasks have done; `with_finished` shows that in the state.
  absl::Status PlanRestored(bool with_finished);
  // Where the run is saved, in place of the outermost graph's place.
  void SetNamespace(std::string ns) { line_->ns = std::move(ns); }
  // Changes the state as if nodes had returned updates: a superstep in which
  // only they ran. Nothing else that was planned will run.
  struct NodeUpdateOf {
    const CompiledNode* node;
    NodeResult result;
    std::string task_id;  // Empty: that of the node's planned task, if any.
  };
  absl::Status UpdateAs(std::vector<NodeUpdateOf> updates);
  // Takes new input: the start writes it. What came next is dropped.
  absl::Status TakeInput(Update update);
  // Ends what was planned, with what its tasks have finished.
  absl::Status EndPlanned();
  // Makes a checkpoint of the state.
  void SaveUpdate(std::string_view source, bool sibling);
  // The node that an update without one is of; null if that is ambiguous.
  const CompiledNode* LastNode() const;
  const CompiledNode* FindNode(std::string_view name) const;
  // The state and what comes next. Not as history: with what the tasks that
  // have finished wrote, and without what is answered.
  StateSnapshot Snapshot(bool as_history) const;

 private:
  // The checkpoints of a saved run.
  struct Line {
    std::string ns;
    // The checkpoint that the run is at; none before the first.
    CheckpointId current;
    CheckpointId parent;
    CheckpointMetadata metadata;
    absl::Time created_at;
    // What the store has of them: what the next one is put as a change of.
    CheckpointId stored;
    // What is put next (kept for its memory): the channels that have changed
    // since; and where among them each is, -1 for those that are not. The run's
    // place in its graph, and the graph, count as two channels more.
    NewCheckpoint next;
    std::vector<int32_t> place;
    std::vector<uint32_t> placed;
    // Of each channel, what `stored` has for the next one to add to; empty
    // where values are never put in pieces.
    std::vector<StoredGrowth> grown;
    // That place, as it was noted last; null: never.
    std::shared_ptr<const SavedEngine> engine;
    // What has saved the checkpoint that the run is at; null for this graph.
    std::unique_ptr<SavedBy> saved_by;
    bool graph_noted = false;  // This graph is stored, or in `next`.
    bool had_output = false;   // SavedEngine::wrote_output, as it was found.
    // What the tasks of the next superstep have done before this run.
    FoundWrites found;
    // The nodes that ran last, and in which superstep.
    SavedNames ran;
    int64_t ran_step = 0;
    // What the start is to write: kept until its superstep has ended.
    std::shared_ptr<const Command> start;
    bool start_is_command = false;
    // Until the first barrier: the run goes on where another stopped, and from
    // a point in the past.
    bool resuming = false;
    bool travelling = false;
    // The source of the checkpoint that the run begins with; "" for none.
    std::string_view begins_with;
    // For the graphs inside: what the thread was, as it is gone back to.
    CheckpointId travelled_from;
    bool exit_stored = false;
  };

  // In run_line.cc, run_restore.cc, run_save.cc and run_state.cc.
  template <class T>
  void Await(absl::FunctionRef<void(Checkpointer::Done<T>)> start,
             absl::AnyInvocable<void(absl::StatusOr<T>)> then);
  std::string NamespaceInside(const StepTask& task, const CompiledGraph& graph,
                              int call) const;
  TaskWrites TakeNullTask();
  bool ApplyFinished();
  absl::Status CheckInput(Input& input) const;
  void OpenThread(Input input);
  std::string NodesNow(const std::string& ns) const;
  bool GoesTo(const CheckpointRef& from, CheckpointKey* key) const;
  void LoadLine(Input input);
  void Found(absl::StatusOr<std::optional<CheckpointTuple>> tuple, Input input);
  void Loaded(absl::StatusOr<std::optional<CheckpointTuple>> tuple,
              SavedPieces pieces, Input input);
  absl::Status First(std::optional<CheckpointTuple> tuple, SavedPieces pieces,
                     Input input);
  bool IsOfParentsStep(const Checkpoint& checkpoint) const;
  absl::Status Resume(Input input);
  bool IsOwn(std::string_view run_id) const;
  absl::Status ApplyNullTask(TaskWrites& null);
  absl::Status RestoreGraph(const Checkpoint& checkpoint, SavedPieces& pieces);
  const SavedFor& StoredNames() const;
  absl::Status RestoreChannel(const SavedBy::Saved& saved, bool here,
                              SavedPieces& pieces);
  void DropTasks(const SavedBy& by);
  absl::Status CheckDropped() const;
  absl::Status LoadWrites(const std::vector<PendingWrite>& writes);
  absl::Status LoadWrite(const PendingWrite& write, TaskWrites* at) const;
  absl::Status RestoreEngine(const SavedEngine& engine, int64_t step);
  std::string SavedByText() const;
  absl::StatusOr<uint32_t> StoredNode(const std::string& name) const;
  absl::Status CheckNodes(const SavedTask& record) const;
  bool HasRest() const;
  bool IsAt(const SavedEngine& engine) const;
  bool RanHere() const { return line_->ran_step == line_->metadata.step; }
  std::shared_ptr<const SavedEngine> EngineState() const;
  SavedEngine::Rest RestState() const;
  void DropPlanned();
  bool SaveStep();
  bool RoomForEvents();
  bool SaveCheckpoint(std::string_view source, int64_t step);
  void MakeCheckpoint(std::string_view source, int64_t step);
  void GatherChanges();
  void NoteUnstored(uint32_t channel, std::string_view name, SavedValue value);
  void MakePieces();
  SavedSend ToSaved(const PendingSend& send) const;
  void AddRecord(const SavedTask& record, TaskWrites* task) const;
  void StoreExit();
  bool StoreLine();
  uint64_t MostBehind() const;
  bool HasKeptUp();
  void Stored() noexcept override;
  void GoOn();
  void NoteRan();
  bool KeepRanBySends();
  void TakeFound();
  bool StopsAt(const StopNodes& stops) const;
  void EndStopped();
  void EndInterrupted();
  void FinishEnd();

  absl::Status PlanStart(Input& input);
  bool Plan();
  void PlanTasks();
  bool PlanNext();
  void ReserveTasks(size_t n);
  bool StartStep();
  void Open();
  void WatchStep();
  void Invite(uint32_t count);
  uint32_t Claim(uint32_t* first);
  uint32_t ClaimTasks(uint32_t* first);
  bool TakePlace();
  bool bounded() const { return env_->max_concurrency > 0; }
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
  void PublishCheckpoint();
  void End(absl::Status status);

  // Fixed after construction.
  const std::shared_ptr<const CompiledGraph> graph_;
  const std::shared_ptr<RunEnv> env_;
  RunListener* const listener_;
  StepTask* const parent_;
  std::stop_source stop_{std::nostopstate};
  struct RequestStop {
    void operator()() const { run->stop_.request_stop(); }
    Run* run;
  };
  std::unique_ptr<std::stop_callback<RequestStop>> stop_link_;
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
  bool start_due_ = false;  // The next superstep is the start's.
  bool stepped_ = false;    // A superstep has ended, and none is planned.
  bool stopped_ = false;    // See stopped().
  int64_t step_ = 0;        // 0 is the start's.
  int64_t last_step_ = 0;
  std::unique_ptr<Line> line_;  // Null: the run is not saved.
  // The nodes to stop before and after; most runs have none.
  const StopNodes* stops_before_ = nullptr;
  const StopNodes* stops_after_ = nullptr;
  // Something has changed since the run was resumed, so that it may stop where
  // it was told to.
  bool armed_ = true;
  RunEnd end_ = RunEnd::kFinished;
  std::vector<Interrupt> interrupts_;
  absl::Time step_began_;  // Set if there is a step timeout.
  Executor::TimerId step_timer_ = 0;
  bool wrote_shown_ = false;   // In this superstep.
  bool wrote_output_ = false;  // In any superstep.
  absl::Status status_;
  std::unique_ptr<Command> parent_command_;
  EndSignal end_signal_;

  // Tasks of the superstep that no worker has claimed. StartStep() stores it
  // after the tasks are planned (release); a successful claim reads it
  // (acquire) and so sees the tasks. A claim that succeeds is of the current
  // superstep, whatever the claimer thought: it is only above zero while tasks
  // wait. seq_cst where max_concurrency bounds the tasks: see begun_.
  std::atomic<uint32_t> unclaimed_{0};
  // Tasks of the superstep that have not ended. Each worker takes off what it
  // ended (acq_rel); the one that reaches zero sees all that the tasks did.
  std::atomic<uint32_t> unfinished_{0};
  // Jobs posted to help with the superstep that have not begun. Relaxed: a
  // bound on how many are posted.
  std::atomic<uint32_t> invited_{0};
  // Tasks begun and not ended, where max_concurrency bounds them: a task that
  // begins in another's place begins after it. seq_cst with unclaimed_: whoever
  // gives a place back then looks for tasks, and whoever put tasks up then
  // looks for a place; one of them sees what the other did.
  std::atomic<int> begun_{0};
  // Whether some task of the superstep failed: set before the task ends, read
  // after the last did. Relaxed: unfinished_ orders them.
  std::atomic<bool> any_failed_{false};
  std::atomic<bool> any_parent_command_{false};  // Likewise.
  std::atomic<bool> any_interrupted_{false};     // Likewise.
  // How many checkpoints have been put that are not stored, and whether the run
  // waits for some of them. acq_rel: the run and the last store call that it
  // waits for each change it, and whoever comes second, and sees what the first
  // did, goes on.
  static constexpr uint64_t kWaiting = 1;
  static constexpr uint64_t kOneBehind = 2;
  std::atomic<uint64_t> behind_{0};
  // Set by Cancel(). Relaxed: a barrier that misses it is followed by another.
  std::atomic<bool> cancelled_{false};
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_RUN_LOOP_H_
