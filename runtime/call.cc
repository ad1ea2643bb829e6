#include "weir/runtime/call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "weir/runtime/errors.h"
#include "weir/runtime/internal/called_function.h"
#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/internal/saved_bytes.h"
#include "weir/runtime/internal/task_id.h"

namespace weir {
inline namespace v0 {
namespace internal {

struct CallAccess {
  static StepTask* task(const NodeContext& node) {
    return node.view_ == nullptr ? node.task_ : nullptr;
  }
};

namespace {

std::shared_ptr<const CompiledNode> NodeOfCall(std::string_view name,
                                               NodeBody body,
                                               CallOptions options) {
  auto node = std::make_shared<CompiledNode>();
  node->name = std::string(name);
  node->body = std::make_shared<const NodeBody>(std::move(body));
  const bool timed = std::min(options.timeout.run, options.timeout.idle) <
                     absl::InfiniteDuration();
  if (timed || !options.retry.empty() || options.cache.has_value()) {
    auto policies = std::make_shared<NodePolicies>();
    policies->retry = std::move(options.retry);
    policies->timeout = options.timeout;
    policies->cache = std::move(options.cache);
    node->policies = std::move(policies);
  }
  return node;
}

absl::Status CheckCallOptions(std::string_view name,
                              const CallOptions& options) {
  const std::vector<std::string> mistakes =
      PolicyMistakes(absl::StrFormat("call of '%s'", std::string(name)),
                     options.retry, options.timeout);
  if (mistakes.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(mistakes, "; "));
}

PendingWrite OnceWrite(const CompiledGraph& graph, const std::string& id,
                       Value value) {
  auto record = std::make_shared<SavedTask>();
  record->names = graph.names;
  record->writes.push_back(Write(std::move(value), kReturnValue, 0, false));
  return {id, "", 0, std::string(kTaskChannel),
          SaveRecord<SavedTask>(std::move(record))};
}

absl::Status OutsideABody(const std::string& what) {
  return absl::FailedPreconditionError(
      absl::StrFormat("a router %s; only the body of a node may", what));
}

// `value`, if it is of the type wanted (null: any).
absl::StatusOr<Value> OfType(Value value, const ValueType* wanted,
                             const std::string& what) {
  if (wanted == nullptr || value.type() == wanted) return value;
  return absl::FailedPreconditionError(absl::StrFormat(
      "%s has recorded %s, and is now to give %s; give what has changed "
      "another name",
      what, Shown(value), wanted->name));
}

}  // namespace

CalledFunction::CalledFunction(StepTask* of, std::string_view name,
                               int at_index, NodeBody body, Value argument,
                               CallOptions options)
    : parent(of),
      index(at_index),
      node(NodeOfCall(name, std::move(body), std::move(options))) {
  task.PlanCall(this, std::move(argument));
  const std::stop_token outer = parent->stop_token();
  if (outer.stop_possible()) {
    stop_link.emplace(outer, [this] { stop.request_stop(); });
  }
}

void CalledFunction::Run() {
  if (begun.exchange(true, std::memory_order_relaxed)) return;
  const bool ended_here =
      stop.stop_requested()
          ? task.Fail(absl::CancelledError("asked to stop before it began"))
          : task.Execute();
  if (ended_here) Ended();
}

void CalledFunction::Ended() {
  stop_link.reset();
  if (mark.exchange(kHasEnded, std::memory_order_acq_rel) == kIsAwaited) then();
  // The parent may end as soon as it knows, and the run with it.
  parent->CallEnded();
}

bool CalledFunction::WhenEnded(absl::AnyInvocable<void()> then_call) {
  if (ended()) return false;
  then = std::move(then_call);
  uint8_t open = kIsOpen;
  return mark.compare_exchange_strong(
      open, kIsAwaited, std::memory_order_acq_rel, std::memory_order_acquire);
}

absl::StatusOr<Value> CalledFunction::Result(const ValueType* wanted) {
  if (task.interrupted) {
    parent->NoteCallInterrupt(*this);
    parent->extra().told_to_pause = true;
    return MakeError(ErrorKind::kInterrupt, absl::StatusCode::kCancelled,
                     absl::StrFormat("'%s', called by node '%s', waits for an "
                                     "answer; return this status at once",
                                     node->name, parent->node->name));
  }
  if (!task.status.ok()) {
    if (std::optional<Command> command = task.TakeCalledCommand()) {
      parent->NoteCalledCommand(*std::move(command));
    }
    return task.status;
  }
  return OfType(task.writes[0].value, wanted,
                absl::StrFormat("'%s', called by node '%s',", node->name,
                                parent->node->name));
}

// StepTask's part of calls.

void StepTask::PlanCall(CalledFunction* of, Value argument) {
  Plan(of->parent->run, of->node.get(), of->parent->index);
  call = of;
  send_index = of->index;
  send_input = std::move(argument);
  context.plain_size_ = 0;
}

std::shared_ptr<CalledFunction> StepTask::CallFunction(std::string_view name,
                                                       NodeBody body,
                                                       Value argument,
                                                       CallOptions options) {
  static_cast<void>(Progress(/*by_heartbeat=*/false));
  Extra& mine = extra();
  const absl::Status options_status = CheckCallOptions(name, options);
  if (!options_status.ok()) options = CallOptions();
  auto made = std::make_shared<CalledFunction>(
      this, name, mine.called_in_attempt++, std::move(body),
      std::move(argument), std::move(options));
  StepTask& task = made->task;
  // Of an earlier attempt.
  const auto place = static_cast<size_t>(made->index);
  if (place >= mine.called.size()) mine.called.resize(place + 1);
  std::shared_ptr<CalledFunction>& before = mine.called[place];
  if (before == nullptr || before->node->name != made->node->name) {
    run->TakeFoundFor(task);
  } else if (before->task.succeeded()) {
    return before;
  } else if (before->task.extra_ != nullptr) {
    task.extra().answers = before->task.extra_->answers;
  }
  before = made;
  if (mine.open_calls.load(std::memory_order_relaxed) == 0) {
    mine.open_calls.store(1, std::memory_order_relaxed);  // The body's own.
  }
  mine.open_calls.fetch_add(1, std::memory_order_relaxed);
  if (task.stored) {
    task.ended = true;
    made->begun.store(true, std::memory_order_relaxed);
    made->Ended();
    return made;
  }
  if (run->Wants(kTasks | kDebug)) {
    task.Publish(
        kTasks,
        TaskStarted{
            task.Id(), made->node->name, task.send_input, {"__pregel_push"}},
        /*in_debug=*/true);
  }
  if (!options_status.ok()) {
    made->begun.store(true, std::memory_order_relaxed);
    if (task.Fail(options_status)) made->Ended();
    return made;
  }
  run->executor().Post([made, self = Ref<Run>::Share(run)] { made->Run(); });
  return made;
}

// The body has returned; its calls may not have ended. False if the last of
// them goes on with the task.
bool StepTask::CallsHaveEnded(NodeResult& result) {
  completed_ = std::make_unique<NodeResult>(std::move(result));
  if (extra_->open_calls.fetch_sub(1, std::memory_order_acq_rel) != 1) {
    return false;
  }
  result = std::move(*completed_);
  completed_ = nullptr;
  return true;
}

void StepTask::CallEnded() {
  Run* const my_run = run;
  if (extra_->open_calls.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    my_run->PostResume(this);
  }
}

void StepTask::NoteCallInterrupt(CalledFunction& asks) {
  if (std::exchange(asks.noted, true)) return;
  Extra& mine = extra();
  const std::vector<Interrupt>& asked = asks.task.extra().asks;
  mine.asks.insert(mine.asks.end(), asked.begin(), asked.end());
}

// Notes what functions ask that the body has not asked for. Whether there is
// any.
bool StepTask::NoteUnheardInterrupts() {
  bool any = false;
  for (const std::shared_ptr<CalledFunction>& made : extra_->called) {
    if (made == nullptr || !made->task.interrupted || made->noted ||
        made->index >= extra_->called_in_attempt) {
      continue;
    }
    NoteCallInterrupt(*made);
    any = true;
  }
  return any;
}

std::optional<Command> StepTask::TakeCalledCommand() {
  if (extra_ == nullptr || !extra_->called_command.has_value() ||
      ErrorKindOf(status) != ErrorKind::kParentCommand) {
    return std::nullopt;
  }
  return std::exchange(extra_->called_command, std::nullopt);
}

absl::StatusOr<Value> StepTask::RunOnce(
    std::string_view name, OnceMode mode, const ValueType* wanted,
    absl::FunctionRef<absl::StatusOr<Value>()> block) {
  static_cast<void>(Progress(/*by_heartbeat=*/false));
  Extra& mine = extra();
  const std::string what =
      absl::StrFormat("block '%s' of node '%s'", std::string(name), node->name);
  const std::string id = OnceId(*this, name);
  auto recorded = [&](const Value& value) -> absl::StatusOr<Value> {
    if (const auto* failure = value.As<SavedFailure>()) {
      return failure->status();
    }
    return OfType(value, wanted, what);
  };
  for (const auto& [done, value] : mine.once) {
    if (done == id) return recorded(value);
  }
  const TaskWrites* before = run->FindWrites(id);
  if (before != nullptr && !before->writes.empty()) {
    mine.once.emplace_back(id, before->writes[0].value);
    return recorded(before->writes[0].value);
  }
  if (mode == OnceMode::kAtMostOnce) {
    if (before != nullptr && before->begun) {
      return MakeError(
          ErrorKind::kUnknownOutcome, absl::StatusCode::kAborted,
          absl::StrFormat("%s was begun and its end was not recorded: the "
                          "process ended within it, or its record was lost. "
                          "It will not run again; find out what it did",
                          what));
    }
    if (!run->stores_writes()) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "%s is to run at most once, and the run stores nothing as it goes; "
          "give it a checkpointer, and Durability::kSync or kAsync",
          what));
    }
    absl::Status told = run->StoreWritesAndWait(
        {{id, "", 1, std::string(kBegunChannel), Save(Value(None()))}});
    if (!told.ok()) return told;
  }
  absl::StatusOr<Value> result;
  try {
    result = block();
  } catch (...) {
    result = CurrentException();
  }
  if (!result.ok() && mode == OnceMode::kAtLeastOnce) return result;
  if (ErrorKindOf(result.status()) == ErrorKind::kInterrupt) {
    mine.told_to_pause = false;
    mine.asks.clear();
    result = absl::FailedPreconditionError(absl::StrFormat(
        "%s asks, and could not run again with the answer; ask outside it",
        what));
  }
  Value kept = result.ok() ? *result : Value(SavedFailure(result.status()));
  if (run->stores_writes()) {
    run->StoreWrites({OnceWrite(run->graph(), id, kept)});
  }
  mine.once.emplace_back(id, std::move(kept));
  return result;
}

std::vector<PendingWrite> StepTask::WritesWithin() const {
  std::vector<PendingWrite> kept;
  if (extra_ == nullptr) return kept;
  for (const auto& [id, value] : extra_->once) {
    kept.push_back(OnceWrite(run->graph(), id, value));
  }
  for (const std::shared_ptr<CalledFunction>& made : extra_->called) {
    if (made == nullptr) continue;
    for (const auto& of_call :
         {made->task.Writes(), made->task.WritesWithin()}) {
      kept.insert(kept.end(), of_call.begin(), of_call.end());
    }
  }
  return kept;
}

// The header's functions.

CallHandle::CallHandle(std::shared_ptr<CalledFunction> call)
    : call_(std::move(call)) {}
CallHandle::CallHandle(CallHandle&&) noexcept = default;
CallHandle::~CallHandle() = default;

bool CallHandle::Run() {
  if (call_ == nullptr) return true;
  call_->Run();
  return call_->ended();
}

bool CallHandle::Await(std::coroutine_handle<> caller) {
  Executor& executor = call_->parent->run->executor();
  return call_->WhenEnded(
      [&executor, caller] { executor.Post([caller] { caller.resume(); }); });
}

absl::Status CallHandle::Wait() {
  if (Run()) return absl::OkStatus();
  StepTask* const parent = call_->parent;
  if (!call_->WhenEnded([call = call_.get()] { call->done.Notify(); }) ||
      parent->run->executor().RunUntil(call_->done)) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrFormat(
      "'%s', called by node '%s', waits for something that never comes",
      call_->node->name, parent->node->name));
}

absl::StatusOr<Value> CallHandle::Result(const ValueType* wanted) {
  if (call_ == nullptr) return OutsideABody("called a function");
  return call_->Result(wanted);
}

void CallHandle::Cancel() {
  if (call_ != nullptr) call_->stop.request_stop();
}

NodeResult ReturnFromCall(NodeContext& task, absl::StatusOr<Value> result) {
  if (!result.ok()) return NodeResult(std::move(result).status());
  CallAccess::task(task)->extra().returned = *std::move(result);
  return NodeResult();
}

CallHandle StartCall(const NodeContext& node, std::string_view name,
                     NodeBody body, Value argument, CallOptions options) {
  StepTask* const task = CallAccess::task(node);
  if (task == nullptr) return CallHandle(nullptr);
  return CallHandle(task->CallFunction(
      name, std::move(body), std::move(argument), std::move(options)));
}

absl::StatusOr<Value> RunOnce(
    const NodeContext& node, std::string_view name, OnceMode mode,
    const ValueType* wanted, absl::FunctionRef<absl::StatusOr<Value>()> block) {
  StepTask* const task = CallAccess::task(node);
  if (task == nullptr) {
    return OutsideABody(
        absl::StrFormat("has the block '%s'", std::string(name)));
  }
  return task->RunOnce(name, mode, wanted, block);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
