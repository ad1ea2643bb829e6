#ifndef WEIR_RUNTIME_INTERNAL_SERVICE_H_
#define WEIR_RUNTIME_INTERNAL_SERVICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/optimization.h"
#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

#include "weir/checkpoint/run_store.h"
#include "weir/runtime/internal/durable_events.h"
#include "weir/runtime/internal/join_call.h"
#include "weir/runtime/internal/reader.h"
#include "weir/runtime/internal/ref.h"
#include "weir/runtime/internal/run_log.h"
#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/internal/saved_runs.h"
#include "weir/runtime/internal/streamed_run.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/thread_stream.h"
#include "weir/stream/reclaimer.h"
#include "weir/stream/segment_pool.h"

// What a Runtime and its streams share.
namespace weir {
inline namespace v0 {
namespace internal {

class Service;
class ServedRun;

using RunPtr = std::shared_ptr<ServedRun>;

// What is done once a lock is given up: user code, other workers' wake-ups,
// destructors. Declared before the lock is taken.
class Later {
 public:
  Later() = default;
  Later(const Later&) = delete;
  Later& operator=(const Later&) = delete;
  ~Later() {
    for (absl::AnyInvocable<void()>& job : jobs_) job();
  }
  void Do(absl::AnyInvocable<void()> job) { jobs_.push_back(std::move(job)); }

 private:
  std::vector<absl::AnyInvocable<void()>> jobs_;
};

// One record of what happens on a thread, besides its runs' events.
struct ThreadRecord {
  enum class Kind { kStarted, kDone, kState };

  Kind kind;
  RunPtr run{};  // Null: an update by hand.
  // The state, if it is stored, and the graph that reads it.
  CheckpointId state{};
  std::optional<Graph> graph{};
  // Set by Service::Record(). The id is in the thread's stream, where a run's
  // event e has that of its start + 1 + e.
  uint64_t id = 0;
  absl::Time time = absl::UnixEpoch();
  RunStatus status = RunStatus::kRunning;  // Of the run, once it is done.
};

// A thread of a Runtime. All of it is guarded by Service::mutex.
struct ServedThread {
  explicit ServedThread(RunStore* rows)
      : line(rows == nullptr ? nullptr : std::make_shared<CommitLine>(rows)) {}

  // What the store gets of the thread, its runs and their events, in the order
  // in which it came to be: of two states of a row the later one stays. Fixed;
  // null where nothing is stored.
  const std::shared_ptr<CommitLine> line;
  ThreadInfo info;
  CheckpointId checkpoint;  // What info.values are of; none: of nothing stored.
  // What info.status is when no run is unfinished.
  ThreadStatus verdict = ThreadStatus::kIdle;
  bool temporary = false;  // Of a stateless run; goes with it.
  // Its state is being changed by hand, or it is being deleted: no run begins.
  bool changing = false;
  bool deleted = false;
  // The state is to be read from the store, by a graph that is yet to be known.
  bool state_due = false;
  // The run that it was made to be of; none if it was made by itself.
  RunId made_for;
  // The greatest next_id that the store may have.
  uint64_t stored_next_id = 0;

  std::vector<RunPtr> runs;     // As they were created.
  std::vector<RunPtr> pending;  // By start_after, then as created.
  // From when it begins to when all were told of its end.
  RunPtr running;
  // For who waits until no run runs and nobody changes the state.
  absl::Notification* quiet = nullptr;
  Executor::TimerId ttl_timer = 0;

  // The stream. What is older than the retention is dropped from the front,
  // each run as a whole.
  std::vector<ThreadRecord> records;
  // Changes by hand that follow a run whose end is not recorded yet.
  std::vector<ThreadRecord> held_records;
  uint64_t first_record = 0;  // How many were dropped.
  uint64_t next_id = 0;       // Of the next record.
  std::vector<ThreadStream::Rep*> readers;

  uint64_t end_record() const { return first_record + records.size(); }
  // One past the id of the newest, which may be a running run's.
  uint64_t end_id() const;
};

using ThreadPtr = std::shared_ptr<ServedThread>;

// A run of a Runtime.
//
// Lifetime: shared by the tables and its streams; its thread has it while it
//           runs.
class ServedRun final : public StreamedRun,
                        public std::enable_shared_from_this<ServedRun>,
                        private RunListener {
 public:
  ServedRun(std::shared_ptr<Service> of, ThreadPtr on,
            std::optional<Graph> runs, RunInfo about, Input begins_with,
            StartOptions how);

  const RunId& id() const override { return info.id; }
  const std::string& thread_id() const override { return thread->info.id; }
  void Left(RunStream::Rep& reader, bool before_end) override;
  void Cancel() override;
  RunStatus final_status() const override;
  absl::StatusOr<RunResult> Result() override;
  absl::Status Explain(absl::Status status) const override;

  // What joins are answered, once the run has ended.
  absl::StatusOr<RunOutcome> Answer() const;
  // The run itself, that tells this of its end.
  Ref<Run> Make(std::shared_ptr<RunEnv> env);

  // Fixed after construction.
  const std::shared_ptr<Service> service;
  const ThreadPtr thread;
  // Absent for a run that was found in the store, until the graph is known.
  std::optional<Graph> graph;
  const StreamModes modes;
  const bool resumable;
  const bool stored;  // Has checkpoints.
  const uint64_t window;
  const uint64_t max_events;
  const uint64_t max_bytes;

  RunLog log;
  RunControl control;

  // What it begins with; given to the run when it does.
  struct Beginning {
    Input input;
    StartOptions options;
  };
  std::unique_ptr<Beginning> beginning;

  // Guarded by Service::mutex, but for the id, which is fixed. It has no
  // thread_id: the thread has.
  RunInfo info;
  std::optional<CancelAction> cancelled;
  bool timed_out = false;
  // Its outcome is decided: it is not cancelled any more.
  bool decided = false;
  // Is not stored yet, or its graph is not known: it does not begin.
  bool held_back = false;
  // What the store has of it: see SavedRunInfo.
  std::string begins;
  std::string asks;
  // Whether its outcome and its events are still to be read from the store.
  bool outcome_due = false;
  bool events_due = false;
  bool deleted = false;
  Ref<Run> run;  // While it runs.
  // The thread as it was when the run began, if that is stored.
  struct Before {
    ThreadStatus verdict;
    std::string graph;
    Values values;
    std::vector<Interrupt> interrupts;
    CheckpointId checkpoint;
    bool state_due;  // The values are to be read from the store.
  };
  std::unique_ptr<Before> before;
  std::unique_ptr<RunOutcome> outcome;  // Once it has ended.
  RunEnd end = RunEnd::kFinished;
  // Its last, if it has any. From its verdict on: what it left its thread with.
  CheckpointId checkpoint;
  absl::Status rolled_back;  // Not OK: what joins are answered.
  // The stream is closed. With these, for readers that come later.
  bool announced = false;
  bool answered = false;  // And so are those who joined.
  absl::Status closed_with;
  uint64_t end_event = 0;  // One past the last event's id.
  // Its first event that is not of an earlier process; once it has begun.
  std::optional<uint64_t> counted_from;
  bool expired = false;  // The events are not kept any more.
  std::vector<std::shared_ptr<JoinCall>> joins;
  uint64_t first_id = 0;  // Of its start, in the thread's stream.
  absl::Duration retention;
  std::function<void(const RunInfo&, const RunOutcome&)> on_end;
  Executor::TimerId start_timer = 0;
  Executor::TimerId timeout_timer = 0;
  Executor::TimerId retention_timer = 0;

  bool unfinished() const {
    return info.status == RunStatus::kPending ||
           info.status == RunStatus::kRunning;
  }

 private:
  // NOLINTNEXTLINE(bugprone-exception-escape): see its definition
  void RunEnded(Run& ended) noexcept override;
};

// Has events destroyed as jobs of an executor, while that is there.
//
// Threads: thread-safe.
class ExecutorReclaimer final : public Reclaimer {
 public:
  ExecutorReclaimer(Executor* executor, std::shared_ptr<ReaderGate> gate)
      : gate_(std::move(gate)), executor_(executor) {}

  void Reclaim(absl::AnyInvocable<void() &&> job) noexcept override;
  // From now on they are destroyed where they are found.
  void Close() {
    absl::MutexLock lock(&mutex_);
    executor_ = nullptr;
  }

 private:
  const std::shared_ptr<ReaderGate> gate_;
  absl::Mutex mutex_;
  Executor* executor_ ABSL_GUARDED_BY(mutex_);
};

// Service: threads, the runs on them, and what happens to both. The essay is in
// service.cc.
//
// Threads: thread-safe.
class Service final : public std::enable_shared_from_this<Service> {
 public:
  // The options have an executor, a checkpointer, a store and ids.
  explicit Service(RuntimeOptions options);

  // Ends all runs, and waits. False if some can never end.
  bool Shutdown();

  absl::Status Register(std::string_view name, Graph graph);

  // Threads; see Runtime.
  absl::StatusOr<ThreadInfo> CreateThread(ThreadOptions options);
  absl::StatusOr<ThreadInfo> GetThread(const ThreadId& id);
  absl::StatusOr<ThreadInfo> UpdateThread(const ThreadId& id,
                                          ThreadChange change);
  absl::Status DeleteThread(const ThreadId& id);
  absl::StatusOr<ThreadInfo> CopyThread(const ThreadId& id);
  absl::StatusOr<ThreadList> SearchThreads(const ThreadQuery& query);
  absl::StatusOr<StateSnapshot> GetState(const ThreadId& id,
                                         StateOptions options);
  absl::StatusOr<std::vector<StateSnapshot>> GetHistory(const ThreadId& id,
                                                        HistoryOptions which,
                                                        StateOptions options);
  absl::StatusOr<CheckpointRef> UpdateState(const ThreadId& id,
                                            StateUpdate update,
                                            StateOptions options);

  struct NewRun {
    ThreadId thread{};
    std::string graph{};
    Input input = Input::Continue();
    StartOptions options{};
    std::string begins{};  // Set by Admit(): see EncodeBeginning().
  };
  // Starts all or none.
  absl::StatusOr<std::vector<RunInfo>> Start(std::vector<NewRun> runs);
  void Start(NewRun run,
             absl::AnyInvocable<void(absl::StatusOr<RunInfo>)> done);
  // Starts one, with a reader that is there before it begins.
  absl::StatusOr<std::shared_ptr<RunStream::Rep>> Stream(NewRun run);
  // Starts one, and returns it.
  absl::StatusOr<RunPtr> StartOne(NewRun run);

  absl::StatusOr<RunPtr> FindRun(const ThreadId& thread, const RunId& id);
  absl::StatusOr<RunInfo> GetRun(const ThreadId& thread, const RunId& id);
  absl::StatusOr<std::vector<RunInfo>> ListRuns(const ThreadId& thread,
                                                const RunQuery& query);
  // Has `done` called as a job of the executor.
  void Join(const RunPtr& run, const JoinOptions& options, JoinCall::Done done);
  // Has `done` called with `answer` as a job of the executor.
  void Answer(JoinCall::Done done, absl::StatusOr<RunOutcome> answer);
  absl::StatusOr<RunOutcome> Wait(const RunPtr& run,
                                  const JoinOptions& options);
  absl::StatusOr<std::shared_ptr<RunStream::Rep>> Read(
      const RunPtr& run, const JoinStreamOptions& options);
  absl::StatusOr<std::shared_ptr<ThreadStream::Rep>> ReadThread(
      const ThreadId& thread, const ThreadStreamOptions& options);

  absl::Status Cancel(const std::vector<RunPtr>& runs,
                      const CancelOptions& options);
  absl::Status CancelMany(const CancelQuery& query,
                          const CancelOptions& options);
  absl::Status DeleteRun(const ThreadId& thread, const RunId& id);

  RuntimeCounters Counters();

  // A run has stopped.
  void Ended(const RunPtr& run, Run& ended);

  // Asks all runs to stop at their next barrier, starts no others, and waits.
  // DeadlineExceeded if some have not stopped by then: their nodes are asked to
  // stop.
  absl::Status Drain(absl::Duration deadline);

  // Readers that wait for something are inside, and other jobs that the end
  // waits for.
  const std::shared_ptr<ReaderGate> gate = std::make_shared<ReaderGate>();
  // For the runs' logs, whose cursors share ownership of this.
  SegmentPool pool;
  ExecutorReclaimer reclaimer;
  Executor* const executor;
  Checkpointer* const checkpointer;
  Store* const store;
  // Where threads and runs outlive this; null: nowhere.
  RunStore* const rows;

  absl::Mutex mutex;

 private:
  friend struct ThreadStream::Rep;

  std::string NewId() const { return options_.new_id(); }

  // What the store has. In service_rows.cc.
  bool IsStored(const ServedThread& thread) const {
    return rows != nullptr && !thread.temporary;
  }
  static SavedThreadInfo Describe(const ServedThread& thread);
  static SavedRunInfo Describe(const ServedRun& run);
  static ThreadRow RowOf(const ServedThread& thread);
  static RunRow RowOf(const ServedRun& run);
  // Has the store take a change of a thread, in the order of these calls.
  void Save(const ServedThread& thread, RunCommit&& commit,
            RunStore::StatusDone done, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void SaveThread(ServedThread& thread, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void SaveRun(const ServedRun& run, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // The same, waiting until it is there.
  absl::Status SaveAndWait(const ServedThread& thread,
                           absl::FunctionRef<RunCommit()> make)
      ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status SaveThreadAndWait(const ServedThread& thread)
      ABSL_LOCKS_EXCLUDED(mutex);
  // What a store answers that needs nobody's help to.
  template <class T>
  absl::StatusOr<T> AwaitRows(absl::FunctionRef<void(RunStore::Done<T>)> start)
      const ABSL_LOCKS_EXCLUDED(mutex);
  // Calls that are given to the store at once.
  template <class T>
  std::vector<absl::StatusOr<T>> AwaitEach(
      size_t count,
      absl::FunctionRef<void(size_t, RunStore::Done<T>)> start) const
      ABSL_LOCKS_EXCLUDED(mutex);
  // What many calls of Load() and ReadEvents() would bring, sooner. What fails
  // is left to those, who tell.
  void LoadAhead(std::vector<ThreadId> all) ABSL_LOCKS_EXCLUDED(mutex);
  void ReadEventsAhead(const std::vector<RunPtr>& all)
      ABSL_LOCKS_EXCLUDED(mutex);
  // Has the thread here if it is stored, and its state if its graph is known.
  absl::Status Load(const ThreadId& id, bool with_state = true)
      ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status LoadRun(const RunId& id) ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status AddLoaded(const ThreadRows& stored)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::Status AddLoadedRun(const ThreadPtr& thread, const RunRow& row)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // All that may match, of those that are only stored without their state
  // unless it is asked for.
  absl::StatusOr<std::vector<ThreadInfo>> AllThreads(const ThreadQuery& query)
      ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status DropRow(const ServedRun& run) ABSL_LOCKS_EXCLUDED(mutex);
  void ReadState(const ThreadPtr& thread) ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status ReadOutcome(const RunPtr& run) ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status ReadEvents(const RunPtr& run) ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status TakeEvents(const RunPtr& run,
                          const absl::StatusOr<std::vector<EventRow>>& stored)
      ABSL_LOCKS_EXCLUDED(mutex);
  // Lets the unfinished runs of a graph go on that the store has.
  absl::Status Recover(const std::string& graph) ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status LoadMortal() ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status MakeReady(const RunPtr& run) ABSL_LOCKS_EXCLUDED(mutex);
  absl::StatusOr<bool> HasOwnCheckpoint(const ServedRun& run)
      ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status Open() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // Threads. In service_threads.cc.
  absl::StatusOr<ThreadPtr> Find(const ThreadId& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::StatusOr<Graph> FindGraph(const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  struct Readable {
    ThreadPtr thread;
    std::optional<Graph> graph;  // None before the first run.
  };
  absl::StatusOr<Readable> FindReadable(const ThreadId& id)
      ABSL_LOCKS_EXCLUDED(mutex);
  // `options`, of a thread here.
  StateOptions OptionsFor(const ThreadId& id, StateOptions options) const;
  ThreadPtr AddThread(ThreadInfo info) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // After a change: the times, and the status.
  void Touch(ServedThread& thread) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void WatchTtl(const ThreadPtr& thread) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void TtlOver(const ThreadPtr& thread) ABSL_LOCKS_EXCLUDED(mutex);
  void Forget(const ThreadPtr& thread, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void ForgetRun(const RunPtr& run, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // Keeps runs from beginning while the state is changed by hand.
  absl::Status BeginChange(ServedThread& thread)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void EndChange(const ThreadPtr& thread) ABSL_LOCKS_EXCLUDED(mutex);
  absl::StatusOr<CheckpointRef> Change(
      const ThreadPtr& thread, const Graph& graph, StateOptions options,
      std::vector<std::vector<StateUpdate>> supersteps)
      ABSL_LOCKS_EXCLUDED(mutex);
  // Brings what the thread shows to what is stored.
  void Refresh(const ThreadPtr& thread, const Graph& graph)
      ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status AwaitStatus(
      absl::FunctionRef<void(Checkpointer::StatusDone)> start)
      ABSL_LOCKS_EXCLUDED(mutex);
  absl::StatusOr<bool> IsBuiltOn(const ServedRun& run)
      ABSL_LOCKS_EXCLUDED(mutex);
  bool IsLastThatRan(const ServedRun& run) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // Runs. In service.cc.
  static RunInfo Show(const ServedRun& run);
  absl::Status Check(const NewRun& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // Starts all or none: calls `added` with those that are to begin when it has
  // returned, and `done` when they have been stored.
  using RunsDone =
      absl::AnyInvocable<void(absl::StatusOr<std::vector<RunPtr>>)>;
  void Admit(std::vector<NewRun> runs,
             absl::FunctionRef<void(const std::vector<RunPtr>&)> added,
             RunsDone done) ABSL_LOCKS_EXCLUDED(mutex);
  absl::StatusOr<std::vector<RunPtr>> AdmitAndWait(
      std::vector<NewRun> runs,
      absl::FunctionRef<void(const std::vector<RunPtr>&)> added)
      ABSL_LOCKS_EXCLUDED(mutex);
  absl::Status Encode(NewRun& run) ABSL_LOCKS_EXCLUDED(mutex);
  RunPtr Add(NewRun run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Admitted(const std::vector<RunPtr>& runs, const absl::Status& stored)
      ABSL_LOCKS_EXCLUDED(mutex);
  void LetBegin(const RunPtr& run, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Withdraw(const std::vector<RunPtr>& runs, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Enqueue(const RunPtr& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Schedule(const ThreadPtr& thread, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Launch(const RunPtr& run) ABSL_LOCKS_EXCLUDED(mutex);
  void WatchTimeout(const RunPtr& run, absl::Duration timeout)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void CancelOne(const RunPtr& run, CancelAction action, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void EndPending(const RunPtr& run, const absl::Status& why, bool undoes,
                  Later* later) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::Status Verdict(const ServedRun& run, const Run& ended,
                       RunStatus* verdict) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // What is stored of the end of a run.
  RunCommit EndOf(const RunPtr& run, const RunOutcome& outcome,
                  std::string asks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void SaveEnd(const RunPtr& run, RunOutcome outcome, std::string asks)
      ABSL_LOCKS_EXCLUDED(mutex);
  RunStore::StatusDone StoredEnd(const RunPtr& run, RunOutcome outcome);
  void EndStored(const RunPtr& run, RunOutcome outcome,
                 const absl::Status& stored) ABSL_LOCKS_EXCLUDED(mutex);
  static ThreadStatus VerdictOf(const RunOutcome& outcome, RunEnd end);
  void Settle(const RunPtr& run, RunOutcome outcome, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void RollBack(const RunPtr& run) ABSL_LOCKS_EXCLUDED(mutex);
  void RolledBack(const RunPtr& run, const absl::Status& deleted)
      ABSL_LOCKS_EXCLUDED(mutex);
  void Undo(const RunPtr& run, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Announce(const RunPtr& run) ABSL_LOCKS_EXCLUDED(mutex);
  void Count(RunStatus ended) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void CallOnEnd(const RunPtr& run) ABSL_LOCKS_EXCLUDED(mutex);
  void GoOn(const RunPtr& run) ABSL_LOCKS_EXCLUDED(mutex);
  void Retain(const RunPtr& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void AddJoin(const RunPtr& run, const JoinOptions& options,
               const std::shared_ptr<JoinCall>& call)
      ABSL_LOCKS_EXCLUDED(mutex);
  static absl::AnyInvocable<void(JoinCall&)> Leaver(const RunPtr& run,
                                                    const JoinOptions& options);
  absl::StatusOr<Cursor<Event>> Attach(const RunPtr& run,
                                       const CursorOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  static absl::StatusOr<Cursor<Event>> AttachToEnd(const ServedRun& run,
                                                   CursorOptions options);
  std::shared_ptr<RunStream::Rep> MakeReader(const RunPtr& run,
                                             Cursor<Event> cursor,
                                             bool cancels);

  // The thread's stream. In thread_stream.cc.
  void Record(ServedThread& thread, ThreadRecord record, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // Lets a reader use the store, which is there until it leaves the gate. False
  // if the Runtime ends.
  bool EnterStore() ABSL_LOCKS_EXCLUDED(mutex);
  void DropOld(ServedThread& thread, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void WakeReaders(ServedThread& thread, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  const RuntimeOptions options_;
  absl::flat_hash_map<std::string, Graph> graphs_ ABSL_GUARDED_BY(mutex);
  // By the ids that the values have.
  using Threads = absl::flat_hash_map<std::string_view, ThreadPtr>;
  using Runs = absl::flat_hash_map<std::string_view, RunPtr>;
  Threads threads_ ABSL_GUARDED_BY(mutex);
  Runs runs_ ABSL_GUARDED_BY(mutex);
  size_t running_ ABSL_GUARDED_BY(mutex) = 0;  // Threads with a running run.
  size_t ending_ ABSL_GUARDED_BY(mutex) = 0;   // Of these, that have ended.
  size_t pending_ ABSL_GUARDED_BY(mutex) = 0;  // Runs that wait to run.
  bool closed_ ABSL_GUARDED_BY(mutex) = false;
  bool mortal_loaded_ ABSL_GUARDED_BY(mutex) = false;
  // How many threads and runs have been forgotten: whoever reads the store
  // meanwhile may have read what is gone.
  uint64_t forgotten_ ABSL_GUARDED_BY(mutex) = 0;
  absl::Notification* idle_ ABSL_GUARDED_BY(mutex) = nullptr;
  // How runs have ended; and what they do, which all workers write.
  RuntimeCounters ended_ ABSL_GUARDED_BY(mutex);
  alignas(ABSL_CACHELINE_SIZE) RunCounts counts_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_SERVICE_H_
