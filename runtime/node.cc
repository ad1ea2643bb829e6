#include "weir/runtime/node.h"

#include <memory>
#include <utility>

#include "absl/strings/str_format.h"

#include "weir/runtime/errors.h"
#include "weir/runtime/internal/ref.h"
#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/internal/step_task.h"
#include "weir/runtime/internal/timed_wait.h"

namespace weir {
inline namespace v0 {

const Value* NodeContext::ReadElsewhere(uint32_t channel,
                                        uint32_t schema) const {
  const internal::CompiledGraph& graph = task_->run->graph();
  if (schema != schema_ || channel >= graph.channels.size()) {
    task_->NoteForeignHandle(schema);
    return nullptr;
  }
  // A router sees the state also after a Send's task.
  if (view_ == nullptr && task_->is_send()) {
    return task_->FindField(graph.channels[channel].name);
  }
  if (view_ != nullptr) {
    return view_->reads(channel) ? view_->Read(channel) : nullptr;
  }
  if (!task_->reads(channel)) return nullptr;
  return task_->run->channels().Read(channel);
}

const Value* NodeContext::Find(std::string_view name) const {
  if (view_ == nullptr) return task_->FindByName(name);
  const std::optional<uint32_t> channel = task_->run->graph().FindChannel(name);
  if (!channel.has_value()) return task_->FindUnknown(name);
  return view_->reads(*channel) ? view_->Read(*channel) : nullptr;
}

const Value& NodeContext::input() const {
  return view_ == nullptr ? task_->Input() : view_->Input();
}

EmitCall NodeContext::Emit(Value value) const {
  task_->Emit(std::move(value));
  return EmitCall(task_);
}
bool EmitCall::await_ready() const noexcept { return task_->HasRoom(); }
void EmitCall::await_suspend(std::coroutine_handle<> node) {
  task_->AwaitRoom(node);
}
void NodeContext::EmitMessagePiece(std::string id, Value piece,
                                   std::vector<std::string> tags) const {
  task_->EmitMessage(std::move(id), std::move(piece), std::move(tags));
}
absl::StatusOr<Value> NodeContext::Ask(Value question) const {
  return task_->Ask(std::move(question));
}
absl::Status NodeContext::WrongAnswer(const Value& answer,
                                      const internal::ValueType* wanted) const {
  return absl::InvalidArgumentError(absl::StrFormat(
      "node '%s' asked for %s and was answered with %s (%s). The answer is "
      "kept: go on from the checkpoint before it (RunOptions::from) or delete "
      "this run, and answer again with a value of the type asked for",
      task_->node->name, wanted->name, answer.ToJson(), answer.type_name()));
}
std::stop_token NodeContext::stop_token() const { return task_->stop_token(); }
void NodeContext::Heartbeat() const {
  static_cast<void>(task_->Progress(/*by_heartbeat=*/true));
}
std::string_view NodeContext::node() const { return task_->node->name; }
int64_t NodeContext::step() const { return task_->run->step(); }
std::string NodeContext::task_id() const { return task_->Id(); }
std::string_view NodeContext::run_id() const {
  return task_->run->env().run_id;
}
std::string_view NodeContext::thread_id() const {
  return task_->run->env().thread_id;
}
int NodeContext::attempt() const { return task_->attempt(); }
absl::Time NodeContext::first_attempt_time() const {
  return task_->first_attempt();
}
int64_t NodeContext::remaining_steps() const {
  return task_->run->last_step() - task_->run->step();
}
bool NodeContext::is_last_step() const { return remaining_steps() == 1; }
const Value& NodeContext::context_value() const {
  return task_->run->env().context;
}
Store* NodeContext::store() const { return task_->run->env().store; }
const NodeFailure* NodeContext::failure() const { return task_->failure(); }

Completion::~Completion() {
  if (sink_ == nullptr) return;
  (*this)(NodeResult(absl::InternalError(
      "completion dropped: the node's Completion was destroyed before it was "
      "called")));
}

namespace internal {

// A graph that a node's body runs.
class CallState final : public RunListener {
 public:
  CallState(StepTask* task, const Graph& graph, Input input)
      : task_(task), graph_(graph.shared()), input_(std::move(input)) {}

  // On this worker, to its end.
  absl::StatusOr<Values> Run() {
    const Ref<internal::Run> child = Start(nullptr);
    child->Begin(std::move(input_));
    if (!child->AwaitEnd()) {
      // Its tasks still wait; they may be completed later, and then ask the
      // tasks around them whether to stop.
      child->AddRef();
      for (StepTask* task = task_; task != nullptr;
           task = task->run->parent()) {
        task->run->AddRef();
      }
      return absl::InternalError(absl::StrFormat(
          "graph '%s', called by node '%s', waits for something that never "
          "comes",
          graph_->name, task_->node->name));
    }
    return Result();
  }

  // Resumes `node` when the graph has ended. Touches nothing of this
  // afterwards.
  void RunThen(std::coroutine_handle<> node) {
    node_ = node;
    const Ref<internal::Run> child = Start(this);
    child->Begin(std::move(input_));
  }

  absl::StatusOr<Values> Result() {
    if (child_->status().ok()) {
      if (child_->end() == RunEnd::kFinished) return child_->Output();
      return task_->NoteCalledInterrupt(*child_);
    }
    if (const std::unique_ptr<Command> command = child_->TakeParentCommand()) {
      task_->NoteCalledCommand(std::move(*command));
    }
    return child_->status();
  }

 private:
  Ref<internal::Run> Start(RunListener* listener) {
    child_ = Ref<internal::Run>::Adopt(new internal::Run(
        graph_, task_->run->shared_env(), listener, task_, task_->NextCall()));
    return child_;
  }

  void RunEnded(internal::Run& run) noexcept override {
    run.executor().Post([node = node_] { node.resume(); });
  }

  StepTask* const task_;
  const std::shared_ptr<const CompiledGraph> graph_;
  Input input_;
  Ref<internal::Run> child_;
  std::coroutine_handle<> node_;
};

}  // namespace internal

GraphCall NodeContext::Invoke(const Graph& graph, weir::Input input) const {
  return GraphCall(
      std::make_unique<internal::CallState>(task_, graph, std::move(input)));
}

GraphCall::GraphCall(std::unique_ptr<internal::CallState> state)
    : state_(std::move(state)) {}
GraphCall::GraphCall(GraphCall&&) noexcept = default;
GraphCall::~GraphCall() = default;
GraphCall::operator absl::StatusOr<Values>() && { return state_->Run(); }
void GraphCall::await_suspend(std::coroutine_handle<> node) {
  state_->RunThen(node);
}
absl::StatusOr<Values> GraphCall::await_resume() { return state_->Result(); }

SleepCall NodeContext::Sleep(absl::Duration delay) const {
  return SleepCall(task_, delay);
}

SleepCall::SleepCall(internal::StepTask* task, absl::Duration delay)
    : task_(task), delay_(delay) {}
SleepCall::SleepCall(SleepCall&&) noexcept = default;
SleepCall::~SleepCall() = default;
void SleepCall::await_suspend(std::coroutine_handle<> node) {
  const auto wait =
      internal::Ref<internal::TimedWait>::Adopt(new internal::TimedWait(
          task_->run->executor(), [node] { node.resume(); }));
  wait_ = wait;
  // The node may have gone on, and this be gone, before Arm() returns.
  wait->Arm(delay_, task_->stop_token());
}
absl::Status SleepCall::await_resume() {
  return wait_ && wait_->stopped()
             ? absl::CancelledError("asked to stop while asleep")
             : absl::OkStatus();
}

}  // namespace v0
}  // namespace weir
