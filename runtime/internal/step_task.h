#ifndef WEIR_RUNTIME_INTERNAL_STEP_TASK_H_
#define WEIR_RUNTIME_INTERNAL_STEP_TASK_H_

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <forward_list>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "weir/channels/values.h"
#include "weir/checkpoint/checkpoint.h"
#include "weir/runtime/event.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/ref.h"
#include "weir/runtime/internal/timed_wait.h"
#include "weir/runtime/node.h"

namespace weir {
inline namespace v0 {
namespace internal {

struct CalledFunction;
class Run;
struct TaskWrites;

// Is told, once, that a run has ended.
class RunListener {
 public:
  // On the worker that ended the run; `run` has its final status.
  virtual void RunEnded(Run& run) noexcept = 0;

 protected:
  ~RunListener() = default;
};

// A Send on its way to becoming a task.
struct PendingSend {
  uint32_t node;  // kToEnd: nowhere, though it counts among the others.
  Value arg;
  std::optional<absl::Duration> timeout;
};

// What a router sees: the run's channels with its own task's writes applied. A
// channel is copied when the router reads it, and only if the task wrote it or
// a quiet superstep clears it.
struct RouterView {
  struct Overlay {
    uint32_t channel;
    ChannelState state;
  };

  const Value* Read(uint32_t channel);
  // All readable channels and unknown fields as one value.
  const Value& Input();
  void Clear() {
    input.reset();
    overlays.clear();
  }

  bool reads(uint32_t channel) const;

  StepTask* task = nullptr;
  const CompiledBranch* branch = nullptr;
  // Reserved before use: what Read() returned must stay where it is.
  std::vector<Overlay> overlays;
  Value input;
};

// StepTask: one execution of a node in one superstep: its input, its attempts,
// and what came of it. A run keeps its tasks' memory from superstep to
// superstep.
//
//   Execute() -> body returns -----------------------> Settle() -> ended
//             -> body waits   -> Complete() -> post ---^   \-> retry later
//
// Threads: single-owner: the worker that executes it, then whoever completes
//          it, then the barrier. Complete() may be called from any thread, and
//          Emit(), EmitMessage(), Progress() and stop_token() while the body
//          lives.
struct StepTask final : CompletionSink, RunListener {
  enum TimeoutCause { kNotTimedOut = 0, kRunTimeout, kIdleTimeout };
  struct TimeLeft {
    absl::Duration left;
    TimeoutCause cause;
  };

  // The clock of one attempt that has a timeout. Shared with its timer, which
  // may come late and then touches nothing else.
  struct AttemptClock {
    AttemptClock(absl::Time now, absl::Duration run, absl::Duration idle)
        : began(now), run_timeout(run), idle_timeout(idle) {}

    TimeLeft Left(absl::Time now) const;
    int LookAt(absl::Time now);
    void NoteProgress(absl::Time now);

    // Time that the attempt waits for readers does not count.
    void BeginWait(absl::Time now);
    void EndWait(absl::Time now);

    const absl::Time began;
    const absl::Duration run_timeout;
    const absl::Duration idle_timeout;
    std::stop_source stop;
    // Nanoseconds after `began`; written by NoteProgress(), read by the timer.
    // Relaxed: nothing but the number counts.
    std::atomic<int64_t> last_progress_ns{0};
    // How long it has waited for readers, and since when it does, -1 if it does
    // not: nanoseconds, written by the body, read by the timer. Relaxed: a
    // timer that sees the one without the other looks again.
    std::atomic<int64_t> waited_ns{0};
    std::atomic<int64_t> waits_since_ns{-1};
    // A TimeoutCause, set by the timer or by who finds the time up. What is
    // emitted after that is dropped. Relaxed: an event more or less at that
    // moment is no matter.
    std::atomic<int> timed_out{0};
    // The timer to cancel; the timer's job replaces it as it re-arms. Relaxed:
    // a timer that is missed fires in vain.
    std::atomic<uint64_t> timer{0};
  };

  // What few tasks need.
  struct Extra {
    Extra();
    ~Extra();

    Value input;  // The readable channels as one value.
    // Fields of dynamic updates that are no channels; routers see them.
    std::vector<std::pair<std::string, Value>> unknown;
    // Fields of a Send that were looked for. They stay in place, and take no
    // memory while there are none.
    std::forward_list<std::pair<std::string, Value>> found;
    std::optional<Command> parent_command;
    // The command of a called graph for this one, until the body returns.
    std::optional<Command> called_command;
    std::optional<absl::Duration> run_timeout;  // Of a Send.
    std::optional<NodeFailure> failure;         // While the error handler runs.
    // How many questions, graphs and functions the body had come to by then.
    size_t body_asked = 0;
    int body_graphs = 0;
    int body_functions = 0;
    int attempt = 1;
    absl::Time first_attempt;
    // Links the attempt's stop source to the run's.
    std::optional<std::stop_callback<std::function<void()>>> stop_link;
    Ref<TimedWait> retry;
    absl::Status last_failure;  // That is to be retried.
    Ref<Run> child;
    int calls = 0;               // Graphs that the body has run.
    std::vector<Value> answers;  // To what the body asks, in order.
    size_t asked = 0;            // By this attempt.
    // What the body was told to pause for.
    bool told_to_pause = false;
    std::vector<Interrupt> asks;
    std::string error;      // Of a task that has failed, for the store.
    std::string cache_key;  // Empty: not cached.
    // The functions that the body has called, those of earlier attempts too,
    // and how many this attempt has.
    std::vector<std::shared_ptr<CalledFunction>> called;
    int called_in_attempt = 0;
    // Those that have not ended, and one for the body that has called some.
    // acq_rel: whoever brings it to zero goes on with the task, and sees what
    // the others did.
    std::atomic<int> open_calls{0};
    // Of blocks that have run once, by their ids.
    std::vector<std::pair<std::string, Value>> once;
    Value returned;  // Of a function that was called.
  };

  StepTask();
  ~StepTask();

  // Prepares for a superstep.
  void Plan(Run* of_run, const CompiledNode* of_node, uint32_t at_index);

  // Drops what it holds, once the barrier has taken over what it did.
  void Release();

  // Runs the body. True if the task has ended; false if it goes on elsewhere,
  // and then neither the task nor the run may be touched any more.
  bool Execute();
  // Goes on with a task that completed after Execute() had returned, or whose
  // next attempt is due. As Execute().
  bool Resume();

  void Complete(NodeResult result) noexcept override;
  void RunEnded(Run& child) noexcept override;

  // For the body's NodeContext.
  int attempt() const { return extra_ == nullptr ? 1 : extra_->attempt; }
  absl::Time first_attempt() const {
    return extra_ == nullptr ? absl::UnixEpoch() : extra_->first_attempt;
  }
  const NodeFailure* failure() const {
    return extra_ != nullptr && extra_->failure.has_value() ? &*extra_->failure
                                                            : nullptr;
  }
  int NextCall() {
    static_cast<void>(Progress(/*by_heartbeat=*/false));
    return extra().calls++;
  }
  // The answer to what the body asks next, or an error of kind kInterrupt that
  // the body is to return.
  absl::StatusOr<Value> Ask(Value question);
  // A graph that the body ran waits for answers.
  absl::Status NoteCalledInterrupt(const Run& child);
  // Of what the task asks.
  std::string InterruptId() const;
  void AddAnswer(Value answer);
  // Takes over what the task has done before this run.
  void TakeStored(const TaskWrites& found);
  // A graph inside goes on where it stopped.
  bool resumes() const;
  // What a store keeps of the task, now that it has ended.
  std::vector<PendingWrite> Writes() const;
  // Shows what the task did before this run.
  void PublishStored();
  // Calls, in call.cc.
  std::shared_ptr<CalledFunction> CallFunction(std::string_view name,
                                               NodeBody body, Value argument,
                                               CallOptions options);
  absl::StatusOr<Value> RunOnce(
      std::string_view name, OnceMode mode, const ValueType* wanted,
      absl::FunctionRef<absl::StatusOr<Value>()> block);
  // A function that the body has called has ended.
  void CallEnded();
  // It waits for answers.
  void NoteCallInterrupt(CalledFunction& asks);
  std::optional<Command> TakeCalledCommand();
  bool succeeded() const { return ended && !interrupted && status.ok(); }
  // What a store keeps of the body's calls and blocks, of a task that has not
  // ended well. In exit durability: otherwise the store has it.
  std::vector<PendingWrite> WritesWithin() const;
  // Makes this the task of a called function.
  void PlanCall(CalledFunction* of, Value argument);

  // For results that come from elsewhere than the body.
  absl::Status TakeResult(NodeResult& result) { return Take(result); }
  // And with what follows from them: the node's routers.
  absl::Status TakeGiven(NodeResult& result);
  void NoteForeignHandle(uint32_t schema);
  void NoteCalledCommand(Command command);
  const Value* FindUnknown(std::string_view name) const;
  void AddUnknown(Values& values) const;

  // Made when first needed.
  Extra& extra();
  bool is_send() const { return send_index >= 0; }
  bool reads(uint32_t channel) const;
  const Value& Input();
  const Value* FindByName(std::string_view name);
  const Value* FindField(std::string_view name);
  std::string Id() const;
  std::stop_token stop_token() const;
  bool Progress(bool by_heartbeat);
  void Emit(Value value);
  // Whether no reader asks the run to wait; and waits until it is so.
  bool HasRoom() const;
  void AwaitRoom(std::coroutine_handle<> body);
  void EmitMessage(std::string id, Value piece, std::vector<std::string> tags);
  // The value of the output channels of `child`, or its failure, as what the
  // node returned.
  NodeResult ResultOf(Run& child);

  // The task's own memory of a superstep, in the order of use.
  Run* run = nullptr;
  const CompiledNode* node = nullptr;
  uint32_t index = 0;              // Place in the superstep, in merge order.
  CalledFunction* call = nullptr;  // Of the task of a called function.
  // Which Send, or which call; -1 for a triggered node.
  int32_t send_index = -1;
  Value send_input;  // Or the call's argument.
  NodeContext context;

  absl::InlinedVector<Write, 2> writes;  // Channels are this graph's.
  absl::InlinedVector<uint32_t, 2> gotos;
  std::vector<PendingSend> sends;
  absl::Status status;
  bool fires_edges = true;  // Not after an error handler.
  bool has_parent_command = false;
  bool stored = false;       // Done before this run; not to be executed.
  bool interrupted = false;  // Ended by asking.
  bool ended = false;        // And not yet merged by the barrier.
  int32_t found = -1;        // Index into what the run's line has found.

 private:
  bool Attempt();
  bool Start();
  bool StartGraph();
  bool Settle(NodeResult& result);
  absl::Status Take(NodeResult& result);
  absl::Status TakeList(std::vector<NodeResult::Item>& list);
  absl::Status TakeUpdate(Update& update);
  absl::Status CheckRecord(const Update& update) const;
  absl::StatusOr<std::optional<uint32_t>> ChannelOf(const Update& update,
                                                    const Write& write) const;
  absl::Status TakeGoto(Target& target);
  // The nodes that a Command or a router may lead to; absent: any.
  using DeclaredNodes = std::optional<std::vector<uint32_t>>;
  absl::Status TakeSend(Target& target, uint32_t to,
                        const DeclaredNodes& declared);
  absl::StatusOr<Value> StateOf(Update update);
  absl::Status RunBranches();
  absl::Status TakeRoute(const CompiledBranch& branch, Route& route);
  bool CallsHaveEnded(NodeResult& result);
  bool NoteUnheardInterrupts();
  bool FailedByItself(const absl::Status& failure) const;
  std::stop_token outer_stop_token() const;
  // As Run::Publish().
  void Publish(uint32_t mode, EventPayload&& payload, bool in_debug = false);
  bool Pause();
  bool Fail(absl::Status failure);
  void Handle(absl::Status failure);
  PendingWrite FailureWrite() const;
  bool Retry(absl::Status& failure);
  void ClearResult();
  void Commit(bool cached);
  void PublishCommit(bool cached);
  void PublishMessages();
  void PublishMessage(std::string_view id, Value message,
                      std::vector<std::string> tags, bool whole);
  const std::string& ShownName() const;
  void PublishEnd(const absl::Status& failure);
  // The writes to the channels that are in `which`, or to all.
  Values WritesAsValues(const std::vector<bool>* which) const;
  Value Returned() const;

  const absl::Duration* RunTimeout() const;
  void BeginClock();
  absl::Status EndClock(absl::Status status);
  absl::StatusOr<bool> TakeFromCache();
  void PutInCache();

  friend class weir::NodeContext;
  friend struct CalledFunction;
  friend struct RouterView;

  std::unique_ptr<Extra> extra_;
  // From Complete() to Settle().
  std::unique_ptr<NodeResult> completed_;
  absl::Status thrown_;  // By a body that waits.
  // Of an attempt that has a timeout; else null. Not in Extra, which the body
  // may make while other threads emit for it: this stays while the body runs.
  std::shared_ptr<AttemptClock> clock_;
  std::unique_ptr<RouterView> view_;
  absl::Status read_error_;  // A handle of another graph, a view that fails.
  bool handling_ = false;    // The error handler's turn.
  // The body has emitted pieces of a message without an id. Relaxed: it is read
  // after the body has ended.
  std::atomic<bool> emitted_unnamed_{false};

  // The hand-shake of a body that waits: Execute() and Complete() each exchange
  // their mark in, and whoever comes second goes on with the task. acq_rel: the
  // second sees all that the first did.
  enum Mark : uint8_t { kRunning, kWaits, kCompleted };
  std::atomic<uint8_t> mark_{kRunning};
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_STEP_TASK_H_
