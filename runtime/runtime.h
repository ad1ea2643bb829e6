#ifndef WEIR_RUNTIME_RUNTIME_H_
#define WEIR_RUNTIME_RUNTIME_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "weir/checkpoint/checkpointer.h"
#include "weir/export.h"
#include "weir/runtime/counters.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/run_stream.h"
#include "weir/runtime/thread.h"
#include "weir/runtime/thread_stream.h"

namespace weir {
inline namespace v0 {

// What the end of a Runtime does to the runs that are running. Those that wait
// to run end without having begun. Where threads are stored, both stay
// unfinished there, and the next Runtime goes on with them.
enum class OnShutdown {
  kCancel,  // Their nodes are asked to stop.
  kDrain,   // They stop at their next barrier, and can be continued.
};

// RuntimeOptions: every field has a default.
struct RuntimeOptions {
  // Null: the Runtime makes a TbbExecutor. Otherwise it must outlive the
  // Runtime.
  Executor* executor = nullptr;
  // Where threads are kept. Null: in a MemoryCheckpointer of the Runtime's own.
  // Otherwise it must outlive the Runtime.
  Checkpointer* checkpointer = nullptr;
  // What nodes remember from one thread to the next. Null: a MemoryStore of the
  // Runtime's own, on the executor's time. Otherwise it must outlive the
  // Runtime.
  Store* store = nullptr;
  // Makes the ids of threads and runs; by default UUIDs of version 7. Must be
  // safe to call from several threads at once.
  std::function<std::string()> new_id{};
  OnShutdown on_shutdown = OnShutdown::kCancel;
  // Called for each run that another Runtime has left unfinished, before it
  // goes on: with what it was started with, for you to add what is not stored:
  // `store`, `on_end`, and a `context` that has no bytes. Called in Register().
  std::function<void(const RunInfo& run, StartOptions& options)> on_recover{};
  // How long a thread's stream keeps the starts, ends and states of what is
  // over.
  absl::Duration thread_retention = absl::Seconds(120);
};

// One run of Runtime::StartBatch().
struct BatchRun {
  std::string graph{};
  Input input = Input::Continue();
  StartOptions options{};
};

// Runtime: graphs by name, threads, the runs on them, and their streams.
//
// At most one run of a thread is running; MultitaskStrategy says what becomes
// of the others. When a run ends, its last checkpoint is stored as its
// durability asks; then its status and its thread's state change in one step;
// then its stream ends, those who joined it are woken, the thread's stream
// tells, and the thread's next run begins. So whoever sees the end of a stream
// finds what the run has left.
//
// Where the checkpointer has a RunStore, threads, runs and the events of those
// that are resumable outlive the Runtime: a run's id is returned when the run
// is stored; a thread is brought back when it is first asked for; a run that
// was unfinished when its process ended goes on when its graph is registered,
// from its last checkpoint, and shows its next attempt by a second metadata
// event. Readers of a resumable run then get what is stored, and nothing
// before; what they have seen no crash takes back. Stateless runs are not
// stored, unless their threads are kept.
//
// Errors:   NotFound for an unknown graph, thread or run, and for a run of
//           another thread; InvalidArgument for options that cannot be;
//           Unavailable once the Runtime ends; the store's own. Each message
//           names what it is about. A call that is refused has changed nothing.
// Threads:  thread-safe. Calls that wait take part in the executor's work where
//           it has no workers, or when made in one of its jobs. A node must not
//           wait for its own run.
// Lifetime: the destructor ends all runs, as `on_shutdown` says, and waits for
//           the nodes that run; every stream then ends with Unavailable.
// Source:   LangGraph's Agent Server API; docs/behaviours.md says where weir
//           differs.
class WEIR_EXPORT Runtime {
 public:
  explicit Runtime(RuntimeOptions options = {});
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Makes `graph` known by `name`, and lets those of its runs go on that are
  // stored as unfinished. AlreadyExists if the name is taken. Other errors are
  // the store's, or of what it has: the graph is known, and those runs go on
  // that can.
  absl::Status Register(std::string_view name, Graph graph);

  // Makes a thread for runs to belong to.
  ThreadId CreateThread();
  // AlreadyExists: see IfExists. With supersteps, what UpdateState() refuses.
  [[nodiscard]] absl::StatusOr<ThreadInfo> CreateThread(ThreadOptions options);
  [[nodiscard]] absl::StatusOr<ThreadInfo> GetThread(
      const ThreadId& thread) const;
  absl::StatusOr<ThreadInfo> UpdateThread(const ThreadId& thread,
                                          ThreadChange change);
  // Cancels its runs, waits until they have stopped, and deletes all that the
  // thread had. Their streams and the thread's end with NotFound.
  absl::Status DeleteThread(const ThreadId& thread);
  // A new thread, idle, with all checkpoints of `thread`. Unimplemented where
  // the store cannot copy.
  [[nodiscard]] absl::StatusOr<ThreadInfo> CopyThread(const ThreadId& thread);
  [[nodiscard]] absl::StatusOr<ThreadList> SearchThreads(
      const ThreadQuery& query) const;
  [[nodiscard]] absl::StatusOr<size_t> CountThreads(
      const ThreadQuery& query) const;

  // The state of a thread as the graph reads it that ran last, its checkpoints
  // (10 unless `which` says), and a change to it: as Graph::GetState(),
  // GetHistory() and UpdateState() of a StateOptions whose checkpointer,
  // thread_id and executor are set here. While a run is running they show its
  // latest checkpoint. NotFound for a checkpoint that is not there.
  // FailedPrecondition: UpdateState() of a thread that has an unfinished run,
  // or no graph yet.
  [[nodiscard]] absl::StatusOr<StateSnapshot> GetState(
      const ThreadId& thread, StateOptions options = {}) const;
  [[nodiscard]] absl::StatusOr<std::vector<StateSnapshot>> GetHistory(
      const ThreadId& thread, HistoryOptions which = {},
      StateOptions options = {}) const;
  absl::StatusOr<CheckpointRef> UpdateState(const ThreadId& thread,
                                            StateUpdate update,
                                            StateOptions options = {});

  // Starts a run of `graph` on `thread`, which goes on from where its last run
  // left it; see Input for how. With an empty thread the run is stateless: it
  // has a thread of its own, and no checkpoints unless on_completion keeps
  // them. FailedPrecondition: MultitaskStrategy::kReject, and the thread has an
  // unfinished run; or the thread is that of a stateless run, or is being
  // deleted. Unimplemented: kRollback, where the store cannot delete runs.
  [[nodiscard]] absl::StatusOr<RunInfo> StartRun(const ThreadId& thread,
                                                 std::string_view graph,
                                                 Input input,
                                                 StartOptions options = {});
  // The same, with a reader that is there before the run begins.
  [[nodiscard]] absl::StatusOr<RunStream> Stream(const ThreadId& thread,
                                                 std::string_view graph,
                                                 Input input,
                                                 StartOptions options = {});
  // The same, and Join(). Who leaves, by `stop`, does as on_disconnect says.
  [[nodiscard]] absl::StatusOr<RunOutcome> Wait(const ThreadId& thread,
                                                std::string_view graph,
                                                Input input,
                                                StartOptions options = {},
                                                std::stop_token stop = {});
  // StartRun() that does not wait until the run is stored: `done` is told then,
  // once, by the store's thread or in the call, and must not wait. (A thread
  // that is stored and not here yet is waited for.)
  void StartRun(const ThreadId& thread, std::string_view graph, Input input,
                StartOptions options,
                absl::AnyInvocable<void(absl::StatusOr<RunInfo>)> done);
  // Starts stateless runs, at least one, in this order; or none if one is
  // refused.
  [[nodiscard]] absl::StatusOr<std::vector<RunInfo>> StartBatch(
      std::vector<BatchRun> runs);

  [[nodiscard]] absl::StatusOr<RunInfo> GetRun(const ThreadId& thread,
                                               const RunId& run) const;
  // The newest first.
  [[nodiscard]] absl::StatusOr<std::vector<RunInfo>> ListRuns(
      const ThreadId& thread, const RunQuery& query = {}) const;

  // Waits for the end of a run, and returns what it left: at once, and always
  // the same, if it has ended. Aborted: it was rolled back. Takes no events
  // from anybody.
  [[nodiscard]] absl::StatusOr<RunOutcome> Join(const ThreadId& thread,
                                                const RunId& run,
                                                JoinOptions options = {});
  // The same without waiting: `done` is called once, on a worker.
  void Join(const ThreadId& thread, const RunId& run, JoinOptions options,
            absl::AnyInvocable<void(absl::StatusOr<RunOutcome>)> done);

  // A reader of a run's events, who may come at any time. A run that is not
  // resumable keeps nothing for those who are not there: one that ends before
  // its reader comes has an empty stream; Stream() has no such race.
  // InvalidArgument: a last_event_id below -1, or modes that the run was not
  // started with. FailedPrecondition: a last_event_id, and the run is not
  // resumable. OutOfRange: the run has not come to that event yet, or what
  // follows it is not kept any more.
  [[nodiscard]] absl::StatusOr<RunStream> JoinStream(
      const ThreadId& thread, const RunId& run, JoinStreamOptions options = {});
  // A reader of all that happens on a thread. InvalidArgument and OutOfRange as
  // above.
  [[nodiscard]] absl::StatusOr<ThreadStream> JoinThreadStream(
      const ThreadId& thread, ThreadStreamOptions options = {});

  // Asks a run to stop, for everybody. Its nodes see their stop token; it has
  // stopped when they have returned. If they all return well, the superstep is
  // kept, and the run ends as kInterrupted all the same; else a run that goes
  // on repeats the nodes that did not return well, and no others. A run that
  // has ended its last superstep is not interrupted any more, and one that has
  // ended stays as it is.
  absl::Status Cancel(const ThreadId& thread, const RunId& run,
                      CancelOptions options = {});
  // The same for several: all, or none if one is not found.
  absl::Status CancelMany(const CancelQuery& query, CancelOptions options = {});
  // Deletes a run that has ended, with its events, its checkpoints, and what it
  // did after those of other runs; what later runs build on stays.
  // FailedPrecondition: it has not ended.
  absl::Status DeleteRun(const ThreadId& thread, const RunId& run);

  // Starts no more runs, and has those that are running stop at their next
  // barrier. OK when all have stopped; DeadlineExceeded if some have not by
  // then: their nodes are asked to stop, and the destructor waits for them.
  absl::Status Drain(absl::Duration deadline);

  // What it has done and has to do. Takes a short lock; no O(runs) work.
  RuntimeCounters counters() const;

  // The store that runs get whose options have none.
  Store& store();

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_RUNTIME_H_
