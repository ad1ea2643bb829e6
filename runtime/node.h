#ifndef WEIR_RUNTIME_NODE_H_
#define WEIR_RUNTIME_NODE_H_

#include <coroutine>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "weir/channels/channel.h"
#include "weir/channels/values.h"
#include "weir/export.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/internal/ref.h"
#include "weir/runtime/policy.h"

namespace weir {
inline namespace v0 {

namespace internal {
class Run;
struct CallAccess;
class CallState;
class TimedWait;
struct RouterView;
struct StepTask;
}  // namespace internal

template <class M>
struct MessageTraits;  // In weir/channels/messages.h.

// What an error handler is told.
struct NodeFailure {
  std::string_view node;
  absl::Status status;
};

class GraphCall;
class NodeContext;
class SleepCall;

// What NodeContext::Emit() returns, for coroutines.
class WEIR_EXPORT EmitCall {
 public:
  bool await_ready() const noexcept;
  void await_suspend(std::coroutine_handle<> node);
  void await_resume() noexcept {}

 private:
  friend class NodeContext;
  explicit EmitCall(internal::StepTask* task) : task_(task) {}
  internal::StepTask* task_;
};

// What NodeContext::Interrupt() returns.
template <class T>
class InterruptCall {
 public:
  explicit InterruptCall(absl::StatusOr<T> answer)
      : answer_(std::move(answer)) {}

  // NOLINTNEXTLINE(google-explicit-constructor): see NodeContext::Interrupt
  operator absl::StatusOr<T>() && { return std::move(answer_); }

  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  absl::StatusOr<T> await_resume() { return std::move(answer_); }

 private:
  absl::StatusOr<T> answer_;
};

// NodeContext: what a node, a router or an error handler sees of its run. It
// reads its input, the state as it was when the superstep began: nobody writes
// state while nodes run.
//
// Errors:   a channel that is empty, or not in the node's input schema, is
//           found as null. A handle of another graph is too, and fails the
//           task.
// Threads:  single-owner: of the task's body. Emit(), EmitMessage(),
//           Heartbeat() and stop_token() may be called from any thread while
//           the body lives.
// Lifetime: until the node's function returns, its Task ends or its Completion
//           is used; references to state live as long.
class WEIR_EXPORT NodeContext {
 public:
  NodeContext(const NodeContext&) = delete;
  NodeContext& operator=(const NodeContext&) = delete;

  // The channel's value, or null while it is empty.
  template <class T, class W>
  const T* Find(const Channel<T, W>& channel) const {
    const Value* value = Read(channel.index(), channel.schema());
    return value == nullptr ? nullptr : value->template As<T>();
  }
  // The channel's value, or a T{} while it is empty.
  template <class T, class W>
  const T& Get(const Channel<T, W>& channel) const {
    const T* value = Find(channel);
    if (value != nullptr) return *value;
    static const T kDefault{};
    return kDefault;
  }
  // By name: a channel, or a field of what a Send carried.
  const Value* Find(std::string_view name) const;

  // The whole input: the readable channels as a record (a Values), or exactly
  // what a Send carried.
  const Value& input() const;
  // The input as a T, or null if it is of another type.
  template <class T>
  const T* Input() const {
    return input().template As<T>();
  }

  // Publishes a custom event at once. Never waits; but a coroutine may
  // `co_await` what it returns, and then waits for readers with
  // JoinStreamOptions::backpressure, and for a store that is megabytes behind
  // with the events of a resumable run; which does not count as the node's
  // time.
  EmitCall Emit(Value value) const;
  template <class T>
  requires(!std::is_same_v<std::decay_t<T>, Value>) EmitCall Emit(T&& value)
  const { return Emit(Value(std::forward<T>(value))); }

  // Publishes a piece of a message at once, for readers of kMessages. A piece
  // is an M with only what is new; the pieces of one message have its id, and
  // the whole message, when the node returns it, is not sent again. Pieces
  // without an id are of one message, the first without one that the node
  // returns. `tags` go with the piece; one
  // with the tag "nostream" is not sent. Never waits.
  //
  //   node.EmitMessage(weir::Message{"assistant", "Hel"});
  //   node.EmitMessage(weir::Message{"assistant", "lo"});
  //   return weir::Update(messages, weir::Message{"assistant", "Hello"});
  template <class M>
  void EmitMessage(M piece, std::vector<std::string> tags = {}) const {
    std::string id(MessageTraits<M>::Id(piece));
    EmitMessagePiece(std::move(id),
                     Value(std::in_place_type<M>, std::move(piece)),
                     std::move(tags));
  }

  // Triggered when the run is cancelled or this attempt has run out of time.
  // Callbacks on it run on the thread that asks, and must be short. On an
  // executor without threads of its own time runs out only between jobs.
  std::stop_token stop_token() const;
  // Says that the node is making progress; see TimeoutPolicy::idle.
  void Heartbeat() const;

  std::string_view node() const;
  // 0 is the start's superstep.
  int64_t step() const;
  // 32 hex digits; the same whenever the same superstep is planned again.
  std::string task_id() const;
  std::string_view run_id() const;
  std::string_view thread_id() const;
  // 1 for the first.
  int attempt() const;
  // When the first attempt of a node with a retry policy or timeout began.
  absl::Time first_attempt_time() const;
  // Supersteps left within the recursion limit, this one included.
  int64_t remaining_steps() const;
  // Whether this is the last superstep after which the run can still end well.
  bool is_last_step() const;

  // What RunOptions::context holds, or null if it is no T.
  template <class T>
  const T* context() const {
    return context_value().template As<T>();
  }
  const Value& context_value() const;

  // What RunOptions::store holds, or null. See weir/runtime/store.h.
  Store* store() const;

  // In an error handler, the failure to handle; else null.
  const NodeFailure* failure() const;

  // Runs another graph on `input` as part of this task. Converts to
  // absl::StatusOr<Values>, which runs it to its end on the calling worker; in
  // a coroutine, `co_await` it, which holds no worker while the graph waits. A
  // node that gets a ParentCommand status returns it, and has then returned the
  // command.
  [[nodiscard]] GraphCall Invoke(const Graph& graph, weir::Input input) const;

  // Asks the host: pauses the run with `question`, as one of
  // RunResult::interrupts, until a later run resumes it with an answer. Then
  // the node runs again from its start, and each Interrupt() that was answered
  // gives its answer, in the order of the calls. Converts to absl::StatusOr<T>;
  // may be `co_await`ed. Without an answer it is a status of kind kInterrupt,
  // which the node returns at once: a node that returns anything else fails,
  // and says so.
  //
  // Errors: NoCheckpointer if the run is not saved; InvalidArgument if the
  //         answer is no T. It stays the answer: a later run that answers again
  //         goes on from the checkpoint before, by RunOptions::from, or after
  //         Runtime::DeleteRun() of this one. To ask again in the node itself,
  //         ask for a Value and look at its type.
  template <class T = Value, class Q = Value>
  InterruptCall<T> Interrupt(Q&& question) const;

  // Calls `body` as a task of its own, with `argument` or none: body(argument),
  // or body(task, argument), where `task` is the call's NodeContext. It may
  // return a T, an absl::StatusOr<T>, a Status or nothing, or be a coroutine
  // that does; its result must be something that a Value holds. It begins at
  // once, on any worker, and is what FunctionCall<T> says. A task's calls are
  // told apart by their order and names, so a node must make the same ones
  // whenever it runs: one that has ended well is not run again in a later
  // attempt or run of the task. max_concurrency does not count them. Include
  // weir/runtime/call.h. (Make the call in a statement of its own, and then
  // `co_await` it: g++ 12 destroys a lambda within a co_await expression
  // twice.)
  template <class F>
  auto Call(std::string_view name, F body, CallOptions options = {}) const;
  template <class F, class A>
  requires(!std::is_same_v<A, CallOptions>) auto Call(
      std::string_view name, F body, A argument,
      CallOptions options = {}) const;

  // Runs `block()` here, unless it has succeeded before in this task, by that
  // name: then gives the recorded result. A failure is not recorded, and the
  // next attempt runs the block again. In kAtMostOnce the store is told, and
  // waited for, before the block runs, a failure is recorded as well, and the
  // block may not ask. (In Durability::kExit a graph inside that has ended well
  // is not saved; if its node runs again, so do its blocks.) Include
  // weir/runtime/call.h.
  //
  //   absl::StatusOr<std::string> id =
  //       node.Once("charge", [&] { return bank.Charge(node.task_id()); });
  //
  // Errors: the block's own. UnknownOutcome in kAtMostOnce if the process ended
  //         within the block. FailedPrecondition in kAtMostOnce if the run
  //         stores nothing as it goes, or the record is of another type.
  template <class F>
  auto Once(std::string_view name, F block,
            OnceMode mode = OnceMode::kAtLeastOnce) const;

  // In a coroutine, `co_await node.Sleep(d)`: OK after `d`, Cancelled when
  // asked to stop before.
  [[nodiscard]] SleepCall Sleep(absl::Duration delay) const;

 private:
  friend struct internal::StepTask;
  friend struct internal::RouterView;
  friend class internal::Run;
  friend struct internal::CallAccess;
  NodeContext() = default;

  const Value* Read(uint32_t channel, uint32_t schema) const {
    // The common case: the state, all of it readable.
    if (channel < plain_size_ && schema == schema_)
      return plain_[channel].Read();
    return ReadElsewhere(channel, schema);
  }
  const Value* ReadElsewhere(uint32_t channel, uint32_t schema) const;
  absl::StatusOr<Value> Ask(Value question) const;
  absl::Status WrongAnswer(const Value& answer,
                           const internal::ValueType* wanted) const;
  void EmitMessagePiece(std::string id, Value piece,
                        std::vector<std::string> tags) const;

  // The run's channels, if the task may read all and sees them as they are.
  const ChannelState* plain_ = nullptr;
  uint32_t plain_size_ = 0;  // 0 if it may not.
  uint32_t schema_ = 0;
  internal::StepTask* task_ = nullptr;
  internal::RouterView* view_ = nullptr;  // Routers only.
};

template <class T, class Q>
InterruptCall<T> NodeContext::Interrupt(Q&& question) const {
  absl::StatusOr<Value> answer = Ask(Value(std::forward<Q>(question)));
  if constexpr (std::is_same_v<T, Value>) {
    return InterruptCall<T>(std::move(answer));
  } else {
    if (!answer.ok()) return InterruptCall<T>(answer.status());
    if (const T* typed = answer->template As<T>()) {
      return InterruptCall<T>(*typed);
    }
    return InterruptCall<T>(
        WrongAnswer(*answer, &internal::ValueTypeOf<T>::kType));
  }
}

// What NodeContext::Invoke() returns.
class WEIR_EXPORT GraphCall {
 public:
  GraphCall(GraphCall&&) noexcept;
  ~GraphCall();

  // NOLINTNEXTLINE(google-explicit-constructor): see NodeContext::Invoke
  operator absl::StatusOr<Values>() &&;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> node);
  absl::StatusOr<Values> await_resume();

 private:
  friend class NodeContext;
  explicit GraphCall(std::unique_ptr<internal::CallState> state);
  std::unique_ptr<internal::CallState> state_;
};

// What NodeContext::Sleep() returns.
class WEIR_EXPORT SleepCall {
 public:
  SleepCall(SleepCall&& other) noexcept;
  ~SleepCall();

  bool await_ready() const noexcept { return delay_ <= absl::ZeroDuration(); }
  void await_suspend(std::coroutine_handle<> node);
  absl::Status await_resume();

 private:
  friend class NodeContext;
  SleepCall(internal::StepTask* task, absl::Duration delay);

  internal::StepTask* const task_;
  const absl::Duration delay_;
  internal::Ref<internal::TimedWait> wait_;  // Once it sleeps.
};

namespace internal {

// Where a Completion delivers.
class CompletionSink {
 public:
  virtual void Complete(NodeResult result) noexcept = 0;

 protected:
  ~CompletionSink() = default;
};

}  // namespace internal

// Completion: how a node written as a callback ends: `done(result)`, once, from
// any thread. Destroyed unused, it fails the task.
//
// Threads: single-owner.
class WEIR_EXPORT Completion {
 public:
  explicit Completion(internal::CompletionSink* sink) : sink_(sink) {}
  Completion(Completion&& other) noexcept
      : sink_(std::exchange(other.sink_, nullptr)) {}
  Completion& operator=(Completion&& other) noexcept {
    std::swap(sink_, other.sink_);
    return *this;
  }
  ~Completion();

  // Ends the node; a second call has no effect.
  void operator()(NodeResult result) {
    if (auto* sink = std::exchange(sink_, nullptr)) {
      sink->Complete(std::move(result));
    }
  }

 private:
  internal::CompletionSink* sink_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_NODE_H_
