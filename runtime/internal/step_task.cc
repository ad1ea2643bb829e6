#include "weir/runtime/internal/step_task.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "weir/runtime/errors.h"
#include "weir/runtime/internal/called_function.h"
#include "weir/runtime/internal/result_cache.h"
#include "weir/runtime/internal/room_wait.h"
#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/internal/saved_bytes.h"
#include "weir/runtime/internal/task_id.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

absl::Status InvalidUpdate(const std::string& message) {
  return MakeError(ErrorKind::kInvalidUpdate,
                   absl::StatusCode::kInvalidArgument, message);
}

// Whether a channel refused a write, or the user's reducer failed.
ErrorKind RefusalKind(const absl::Status& why) {
  return why.code() == absl::StatusCode::kInvalidArgument
             ? ErrorKind::kInvalidUpdate
             : ErrorKind::kReducerError;
}

// The engine's own names; an update that has one was not meant for a channel.
bool IsReserved(std::string_view name) {
  constexpr std::string_view kReserved[] = {"__input__",
                                            "__interrupt__",
                                            "__resume__",
                                            "__error__",
                                            "__error_source_node__",
                                            "__no_writes__",
                                            "__scheduled__",
                                            "__pregel_tasks",
                                            "__return__",
                                            "__previous__",
                                            "__start__",
                                            "__end__",
                                            "__root__",
                                            "__pregel_pull",
                                            "__pregel_push",
                                            "__parent__",
                                            "__overwrite__",
                                            "__copy__"};
  return std::find(std::begin(kReserved), std::end(kReserved), name) !=
         std::end(kReserved);
}

bool IsDeclared(uint32_t node,
                const std::optional<std::vector<uint32_t>>& declared) {
  return !declared.has_value() ||
         std::find(declared->begin(), declared->end(), node) != declared->end();
}

bool RetriedByDefault(const absl::Status& failure) {
  switch (failure.code()) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
      return true;
    default:
      return false;
  }
}

// Whether `policy` retries `failure`; a failure itself if its predicate throws.
absl::StatusOr<bool> IsRetried(const RetryPolicy& policy,
                               const absl::Status& failure) {
  if (!policy.retry_on) return RetriedByDefault(failure);
  try {
    return policy.retry_on(failure);
  } catch (...) {
    const absl::Status thrown = CurrentException();
    return absl::Status(
        thrown.code(),
        absl::StrFormat("retry_on threw: %s; it was asked about: %s",
                        std::string(thrown.message()),
                        std::string(failure.message())));
  }
}

// The failure of a task that would have been tried again after `failure`, had
// it not been asked to stop.
absl::Status NotTriedAgain(const absl::Status& failure) {
  return absl::CancelledError(absl::StrFormat(
      "asked to stop before it was tried again; it had failed: %s",
      std::string(failure.message())));
}

// `draw` is from 0 up to 1.
absl::Duration RetryDelay(const RetryPolicy& policy, int failures,
                          double draw) {
  absl::Duration delay =
      policy.initial_interval *
      std::pow(policy.backoff_factor, static_cast<double>(failures - 1));
  delay = std::min(delay, policy.max_interval);
  if (policy.jitter) delay += absl::Seconds(draw);
  return delay;
}

// The one place where a function node's exceptions are caught.
NodeResult CallBody(const SyncBody& body, NodeContext& context) {
  try {
    return body(context);
  } catch (...) {
    return NodeResult(CurrentException());
  }
}

// And a router's.
Route CallRouter(const RouterBody& router, NodeContext& state) {
  try {
    return router(state);
  } catch (...) {
    return Route(CurrentException());
  }
}

}  // namespace

const Value* RouterView::Read(uint32_t channel) {
  const ChannelSet& channels = task->run->channels();
  const ChannelInfo& info = task->run->graph().channels[channel];
  for (const Overlay& overlay : overlays) {
    if (overlay.channel == channel) return overlay.state.Read();
  }
  const bool written =
      std::any_of(task->writes.begin(), task->writes.end(),
                  [channel](const Write& w) { return w.channel == channel; });
  if (!written && !info.kind->clears_when_quiet()) {
    return channels.Read(channel);
  }
  overlays.push_back({channel, channels.state(channel)});
  ChannelState& state = overlays.back().state;
  if (!written) {
    info.kind->Quiet(state);
    return state.Read();
  }
  for (const Write& write : task->writes) {
    if (write.channel != channel) continue;
    absl::StatusOr<bool> changed =
        info.kind->Apply(state, write.value, write.overwrite != 0);
    if (!changed.ok()) {
      task->read_error_ =
          Annotate(changed.status(), RefusalKind(changed.status()),
                   absl::StrFormat("channel '%s' %s", info.name,
                                   std::string(changed.status().message())));
      return nullptr;
    }
    ++state.writes;
  }
  return state.Read();
}

StepTask::Extra::Extra() = default;
StepTask::Extra::~Extra() = default;
StepTask::StepTask() = default;
StepTask::~StepTask() = default;

StepTask::Extra& StepTask::extra() {
  if (extra_ == nullptr) extra_ = std::make_unique<Extra>();
  return *extra_;
}

bool RouterView::reads(uint32_t channel) const {
  return branch->readable.has_value() ? (*branch->readable)[channel]
                                      : task->reads(channel);
}

const Value& RouterView::Input() {
  if (input.has_value()) return input;
  Values values = task->run->MakeValues();
  for (uint32_t i = 0; i < task->run->channels().size(); ++i) {
    if (!reads(i)) continue;
    if (const Value* value = Read(i)) values.Add(i, *value);
  }
  // A router that names what it reads gets nothing else.
  if (!branch->readable.has_value()) task->AddUnknown(values);
  input = Value(std::move(values));
  return input;
}

void StepTask::Plan(Run* of_run, const CompiledNode* of_node,
                    uint32_t at_index) {
  run = of_run;
  node = of_node;
  index = at_index;
  send_index = -1;
  context.task_ = this;
  context.schema_ = run->graph().schema;
  context.plain_ = run->channels().states();
  context.plain_size_ = node->readable.has_value() || run->graph().has_private
                            ? 0
                            : run->channels().size();
  ClearResult();
  status = absl::OkStatus();
  fires_edges = true;
  stored = false;
  interrupted = false;
  ended = false;
  found = -1;
  handling_ = false;
  emitted_unnamed_.store(false, std::memory_order_relaxed);
  read_error_ = absl::OkStatus();
  mark_.store(kRunning, std::memory_order_relaxed);
}

void StepTask::Release() {
  ended = false;
  if (is_send()) send_input.reset();
  if (extra_ != nullptr) extra_.reset();
  if (view_ != nullptr) view_->Clear();
}

void StepTask::ClearResult() {
  writes.clear();
  gotos.clear();
  sends.clear();
  has_parent_command = false;
  if (extra_ != nullptr) extra_->unknown.clear();
}

bool StepTask::Execute() {
  if (stored) return true;
  if (handling_) return Start();
  if (node->policies != nullptr || extra_ != nullptr) return Attempt();
  return Start();
}

bool StepTask::Resume() {
  if (const std::unique_ptr<NodeResult> result = std::move(completed_)) {
    return Settle(*result);
  }
  if (extra_->retry->stopped()) {
    --extra_->attempt;  // The one that did not begin.
    return Fail(NotTriedAgain(extra_->last_failure));
  }
  return Attempt();
}

// One attempt at a node that may have policies.
bool StepTask::Attempt() {
  if (extra_ != nullptr) extra_->asked = 0;
  if (node->policies != nullptr && node->policies->cache.has_value() &&
      run->cache() != nullptr && extra().cache_key.empty()) {
    const absl::StatusOr<bool> taken = TakeFromCache();
    if (!taken.ok()) return Fail(taken.status());
    if (*taken) return true;
  }
  BeginClock();
  return Start();
}

// Calls the body: the node's, or its error handler's.
bool StepTask::Start() {
  if (node == &run->graph().start) return Settle(run->start());
  if (!handling_ && node->graph != nullptr) return StartGraph();
  const NodeBody& body =
      handling_ ? *node->policies->error_handler : *node->body;
  if (body.sync) {
    NodeResult result = CallBody(body.sync, context);
    return Settle(result);
  }
  mark_.store(kRunning, std::memory_order_relaxed);
  try {
    body.async(context, Completion(this));
  } catch (...) {
    thrown_ = CurrentException();
  }
  if (mark_.exchange(kWaits, std::memory_order_acq_rel) != kCompleted) {
    return false;
  }
  return Resume();
}

// The node is a graph: runs it on this task's input.
bool StepTask::StartGraph() {
  mark_.store(kRunning, std::memory_order_relaxed);
  Update input;
  const CompiledGraph& inner = *node->graph;
  if (is_send()) {
    input = Update::FromValue(send_input);
  } else {
    for (const SharedChannel& shared : node->graph_input) {
      if (!reads(shared.outer)) continue;
      const Value* value = run->channels().Read(shared.outer);
      if (value == nullptr) continue;
      UpdateAccess::writes(input).push_back(
          {*value, shared.inner, inner.schema, false});
    }
  }
  Ref<Run> child =
      Ref<Run>::Adopt(new Run(node->graph, run->shared_env(), this, this));
  extra().child = child;
  child->Begin(Input::Values(std::move(input)));
  if (mark_.exchange(kWaits, std::memory_order_acq_rel) != kCompleted) {
    return false;
  }
  return Resume();
}

void StepTask::RunEnded(Run& child) noexcept { Complete(ResultOf(child)); }

NodeResult StepTask::ResultOf(Run& child) {
  // The kind alone may be that of a status which a node passed on.
  if (const std::unique_ptr<Command> command = child.TakeParentCommand()) {
    // One level only: here the command is this node's own.
    command->graph = Command::Graph::kThis;
    return NodeResult(std::move(*command));
  }
  if (!child.status().ok()) return NodeResult(child.status());
  if (child.end() != RunEnd::kFinished) {
    return NodeResult(NoteCalledInterrupt(child));
  }
  if (!child.wrote_output()) return NodeResult();
  Update update;
  for (const SharedChannel& shared : node->graph_output) {
    const Value* value = child.channels().Read(shared.inner);
    if (value == nullptr) continue;
    UpdateAccess::writes(update).push_back(
        {*value, shared.outer, run->graph().schema, false});
  }
  return NodeResult(std::move(update));
}

void StepTask::Complete(NodeResult result) noexcept {
  completed_ = std::make_unique<NodeResult>(std::move(result));
  // After the exchange the task belongs to whoever came second.
  Run* const my_run = run;
  if (mark_.exchange(kCompleted, std::memory_order_acq_rel) == kWaits) {
    my_run->PostResume(this);
  }
}

// The attempt's body has returned: takes its result over, and ends the task or
// tries again.
bool StepTask::Settle(NodeResult& result) {
  if (extra_ != nullptr &&
      extra_->open_calls.load(std::memory_order_relaxed) > 0 &&
      !CallsHaveEnded(result)) {
    return false;
  }
  absl::Status outcome = result.status();
  if (!thrown_.ok()) outcome = std::exchange(thrown_, {});
  // A called function leaves it to its caller.
  if (extra_ != nullptr && extra_->called_command.has_value() &&
      call == nullptr) {
    if (ErrorKindOf(outcome) == ErrorKind::kParentCommand) {
      result = NodeResult(*std::move(extra_->called_command));
      outcome = absl::OkStatus();
    }
    extra_->called_command.reset();
  }
  if (clock_ != nullptr) outcome = EndClock(std::move(outcome));
  if (extra_ != nullptr) {
    const bool unheard = NoteUnheardInterrupts();
    if (extra_->told_to_pause) {
      if (ErrorKindOf(outcome) == ErrorKind::kInterrupt) return Pause();
      outcome = MakeError(
          ErrorKind::kNodeError, absl::StatusCode::kFailedPrecondition,
          "was told to pause by Interrupt() and returned something else; "
          "return the status that Interrupt() gives, at once");
    } else if (unheard && outcome.ok()) {
      return Pause();
    }
  }
  if (call != nullptr && outcome.ok()) {
    writes.push_back(
        Write(std::move(extra_->returned), kReturnValue, 0, false));
  } else if (outcome.ok()) {
    outcome = Take(result);
  }
  if (outcome.ok() && fires_edges && !has_parent_command) {
    outcome = RunBranches();
  }
  if (outcome.ok()) outcome = read_error_;
  if (!outcome.ok()) return Fail(std::move(outcome));
  Commit(/*cached=*/false);
  return true;
}

absl::Status StepTask::TakeGiven(NodeResult& result) {
  if (!result.status().ok()) return result.status();
  if (absl::Status s = Take(result); !s.ok()) return s;
  if (absl::Status s = RunBranches(); !s.ok()) return s;
  return read_error_;
}

absl::Status StepTask::Take(NodeResult& result) {
  if (result.list() != nullptr) return TakeList(*result.list());
  return TakeUpdate(result.update());
}

absl::Status StepTask::TakeList(std::vector<NodeResult::Item>& list) {
  bool any_command = false;
  for (NodeResult::Item& item : list) {
    if (!item.is_command()) continue;
    any_command = true;
    if (item.command().graph == Command::Graph::kParent) {
      // A signal: nothing else that the task wrote counts.
      extra().parent_command = std::move(item.command());
      has_parent_command = true;
      return absl::OkStatus();
    }
  }
  if (!any_command) {
    return InvalidUpdate(absl::StrFormat(
        "returned a list of %d updates; return one Update, or put a Command "
        "into the list",
        list.size()));
  }
  for (NodeResult::Item& item : list) {
    if (absl::Status s = TakeUpdate(item.command().update); !s.ok()) return s;
  }
  for (NodeResult::Item& item : list) {
    for (Target& target : item.command().go_to) {
      if (absl::Status s = TakeGoto(target); !s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

absl::Status StepTask::CheckRecord(const Update& update) const {
  const Value refused = UpdateAccess::refused(update);
  if (!refused.has_value()) return absl::OkStatus();
  return InvalidUpdate(
      absl::StrFormat("returned %s, which is no update; return a record of "
                      "channels, a Command or nothing",
                      Shown(refused)));
}

// The channel that `write` is for; none if it is for a name that is no channel.
absl::StatusOr<std::optional<uint32_t>> StepTask::ChannelOf(
    const Update& update, const Write& write) const {
  const CompiledGraph& graph = run->graph();
  if (write.schema == graph.schema) {
    if (write.channel < graph.channels.size()) return write.channel;
    return InvalidUpdate(absl::StrFormat(
        "wrote with the handle of a channel that was added after "
        "graph '%s' was compiled; compile it again",
        graph.name));
  }
  const std::string* name = UpdateAccess::name(update, write);
  if (name == nullptr && write.schema == 0) {
    return InvalidUpdate(
        "wrote with a channel handle that no AddChannel() has returned");
  }
  if (name == nullptr) {
    return InvalidUpdate(absl::StrFormat(
        "wrote with a channel handle of another graph (schema %d, this is "
        "'%s' with schema %d); use the handles of the builder that made "
        "this graph",
        write.schema, graph.name, graph.schema));
  }
  const std::optional<uint32_t> channel = graph.FindChannel(*name);
  if (!channel.has_value() && IsReserved(*name)) {
    return InvalidUpdate(
        absl::StrFormat("wrote '%s', which is reserved for the engine", *name));
  }
  return channel;
}

absl::Status StepTask::TakeUpdate(Update& update) {
  const uint32_t schema = run->graph().schema;
  const size_t channels = run->graph().channels.size();
  if (absl::Status s = CheckRecord(update); !s.ok()) return s;
  for (Write& write : UpdateAccess::writes(update)) {
    if (write.schema == schema && write.channel < channels) {
      writes.push_back(std::move(write));
      continue;
    }
    absl::StatusOr<std::optional<uint32_t>> channel = ChannelOf(update, write);
    if (!channel.ok()) return channel.status();
    if (channel->has_value()) {
      writes.push_back(
          {std::move(write.value), **channel, schema, write.overwrite != 0});
      continue;
    }
    const std::string& name = *UpdateAccess::name(update, write);
    const std::string text = absl::StrFormat(
        "node '%s' writes '%s', which is no channel of graph '%s'", node->name,
        name, run->graph().name);
    if (run->graph().strict) {
      return InvalidUpdate(text + "; correct the name, or add the channel");
    }
    run->Warn(text + "; ignored");
    extra().unknown.emplace_back(name, std::move(write.value));
  }
  return absl::OkStatus();
}

absl::Status StepTask::TakeGoto(Target& target) {
  const CompiledGraph& graph = run->graph();
  const uint32_t to = graph.Resolve(target.node());
  if (target.is_send()) return TakeSend(target, to, node->destinations);
  if (to == kToEnd) return absl::OkStatus();
  if (to == kToUnknown ||
      (graph.strict && !IsDeclared(to, node->destinations))) {
    const std::string text = absl::StrFormat(
        "node '%s' goes to '%s', which is %s", node->name,
        graph.NameOf(target.node()),
        to == kToUnknown ? "no node of this graph"
                         : "not among its declared destinations");
    if (graph.strict) {
      return InvalidUpdate(text +
                           "; correct it, or declare it in "
                           "NodeOptions::destinations");
    }
    run->Warn(text + "; ignored");
    return absl::OkStatus();
  }
  gotos.push_back(to);
  return absl::OkStatus();
}

absl::Status StepTask::TakeSend(Target& target, uint32_t to,
                                const DeclaredNodes& declared) {
  if (to == kToEnd) {
    return InvalidUpdate(absl::StrFormat(
        "sends a packet to %s; a Send needs a node", std::string(kEnd)));
  }
  const bool strict = run->graph().strict;
  if (to == kToUnknown || (strict && !IsDeclared(to, declared))) {
    const std::string text = absl::StrFormat(
        "node '%s' sends a packet to '%s', which is %s", node->name,
        run->graph().NameOf(target.node()),
        to == kToUnknown ? "no node of this graph"
                         : "not among the declared destinations");
    if (strict) {
      return InvalidUpdate(text +
                           "; correct it, or declare it as one of the "
                           "destinations");
    }
    run->Warn(text + "; ignored");
    return absl::OkStatus();
  }
  const std::optional<absl::Duration> timeout = target.timeout();
  if (timeout.has_value() && *timeout <= absl::ZeroDuration()) {
    return InvalidUpdate(absl::StrFormat(
        "sends a packet to '%s' with a timeout of %s; it must be more than "
        "nothing",
        run->graph().nodes[to].name, absl::FormatDuration(*timeout)));
  }
  Value arg = std::move(target).TakeArg();
  if (arg.As<Update>() != nullptr) {
    absl::StatusOr<Value> state = StateOf(std::move(arg).Take<Update>());
    if (!state.ok()) return state.status();
    arg = *std::move(state);
  }
  sends.push_back({to, std::move(arg), timeout});
  return absl::OkStatus();
}

// What a Send carries that was given an update: each channel as that update
// alone makes it, so that the node reads it as it would read the state.
absl::StatusOr<Value> StepTask::StateOf(Update update) {
  if (absl::Status s = CheckRecord(update); !s.ok()) return s;
  const CompiledGraph& graph = run->graph();
  Values unknown;
  std::vector<std::pair<uint32_t, ChannelState>> states;
  for (Write& write : UpdateAccess::writes(update)) {
    absl::StatusOr<std::optional<uint32_t>> at_channel =
        ChannelOf(update, write);
    if (!at_channel.ok()) return at_channel.status();
    if (!at_channel->has_value()) {
      unknown.Add(*UpdateAccess::name(update, write), std::move(write.value));
      continue;
    }
    const uint32_t channel = **at_channel;
    const ChannelKind& kind = *graph.channels[channel].kind;
    auto at = std::find_if(states.begin(), states.end(),
                           [=](const auto& s) { return s.first == channel; });
    if (at == states.end()) {
      at = states.emplace(at, channel, ChannelState());
      kind.Init(at->second);
    }
    absl::Status applied;
    try {
      applied =
          kind.Apply(at->second, std::move(write.value), write.overwrite != 0)
              .status();
    } catch (...) {
      applied = ThrownByReducer();
    }
    if (!applied.ok()) {
      return Annotate(applied, RefusalKind(applied),
                      absl::StrFormat("channel '%s' %s in what is sent",
                                      graph.channels[channel].name,
                                      std::string(applied.message())));
    }
    ++at->second.writes;
  }
  Values values = run->MakeValues();
  for (auto& [channel, state] : states) {
    graph.channels[channel].kind->Finish(state);
    if (const Value* value = state.Read()) values.Add(channel, *value);
  }
  for (const Values::Item& item : unknown.items()) {
    values.Add(unknown.name(item), item.value);
  }
  return Value(std::move(values));
}

absl::Status StepTask::RunBranches() {
  if (node->branches.empty()) return absl::OkStatus();
  if (view_ == nullptr) view_ = std::make_unique<RouterView>();
  view_->task = this;
  view_->Clear();
  view_->overlays.reserve(writes.size() + run->graph().quiet_channels);
  NodeContext state;
  state.schema_ = context.schema_;
  state.task_ = this;
  state.view_ = view_.get();
  for (const CompiledBranch& branch : node->branches) {
    view_->branch = &branch;
    view_->input.reset();
    Route route = CallRouter(*branch.router, state);
    if (absl::Status s = TakeRoute(branch, route); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status StepTask::TakeRoute(const CompiledBranch& branch, Route& route) {
  if (!route.status().ok()) {
    return Annotate(route.status(), ErrorKind::kNodeError,
                    absl::StrFormat("router '%s': %s", branch.name,
                                    std::string(route.status().message())));
  }
  const CompiledGraph& graph = run->graph();
  auto refuse = [&](const Target& target, std::string_view why) {
    return MakeError(
        ErrorKind::kInvalidBranch, absl::StatusCode::kInvalidArgument,
        absl::StrFormat("router '%s' answered '%s', which is %s", branch.name,
                        graph.NameOf(target.node()), why));
  };
  for (Target& target : route.targets()) {
    uint32_t to;
    if (target.is_send() || branch.path_map.empty()) {
      to = graph.Resolve(target.node());
      if (target.is_send()) {
        absl::Status s = TakeSend(target, to, branch.destinations);
        if (!s.ok()) return s;
        continue;
      }
    } else {
      const NodeRef& ref = target.node();
      const uint32_t by_id =
          ref.id().schema() != 0 ? graph.Resolve(ref) : kToUnknown;
      auto it = branch.path_map.find(
          by_id == kToUnknown ? ref.name() : graph.nodes[by_id].name);
      if (it == branch.path_map.end()) {
        std::vector<std::string> labels;
        for (const auto& [label, node_index] : branch.path_map) {
          labels.push_back(absl::StrCat("'", label, "'"));
        }
        std::sort(labels.begin(), labels.end());
        return refuse(target, absl::StrCat("not in its path map of ",
                                           absl::StrJoin(labels, ", ")));
      }
      to = it->second;
    }
    if (to == kToEnd) continue;
    if (to == kToUnknown) {
      if (target.node().name() == kStart) {
        return refuse(target, "no valid destination");
      }
      if (graph.strict) return refuse(target, "no node of this graph");
      run->Warn(absl::StrFormat(
          "router '%s' of node '%s' answered '%s', which is no node of this "
          "graph; ignored",
          branch.name, node->name, graph.NameOf(target.node())));
      continue;
    }
    if (graph.strict && !IsDeclared(to, branch.destinations)) {
      return refuse(target, "not among its declared destinations");
    }
    gotos.push_back(to);
  }
  return absl::OkStatus();
}

// The body asks: the task has ended, and runs again when it has an answer.
bool StepTask::Pause() {
  ClearResult();
  interrupted = true;
  ended = true;
  const std::vector<Interrupt>& asks = extra_->asks;
  if (run->stores_writes()) run->StoreWrites(Writes());
  // What a called function asks, its caller asks.
  if (call == nullptr) {
    if (run->Wants(kUpdates)) {
      run->Publish(kUpdates, RunInterrupted{asks, std::nullopt});
    }
    if (run->Wants(kValues)) {
      run->Publish(kValues, RunInterrupted{asks, run->ReadAll(run->shown())});
    }
  }
  if (run->Wants(kTasks | kDebug)) {
    Publish(kTasks,
            TaskFinished{Id(), ShownName(), run->MakeValues(), {}, asks},
            /*in_debug=*/true);
  }
  if (call == nullptr) run->TaskInterrupted();
  return true;
}

absl::StatusOr<Value> StepTask::Ask(Value question) {
  if (run->env().session == nullptr) {
    return MakeError(ErrorKind::kNoCheckpointer,
                     absl::StatusCode::kFailedPrecondition,
                     absl::StrFormat("node '%s' asks, and the run could not be "
                                     "resumed with an answer: it has no "
                                     "checkpointer; set "
                                     "RunOptions::checkpointer",
                                     node->name));
  }
  Extra& mine = extra();
  const size_t i = mine.asked++;
  if (i < mine.answers.size()) return mine.answers[i];
  if (run->env().answers != nullptr) {
    Value answer = run->env().answers->TakeFirst();
    if (answer.has_value()) {
      AddAnswer(answer);
      return answer;
    }
  }
  const std::string id = InterruptId();
  mine.told_to_pause = true;
  mine.asks.push_back({id, std::move(question)});
  return MakeError(ErrorKind::kInterrupt, absl::StatusCode::kCancelled,
                   absl::StrFormat("node '%s' waits for an answer to the "
                                   "interrupt %s; return this status at once",
                                   node->name, id));
}

// Kept by the store before it is used, so that it is given once.
void StepTask::AddAnswer(Value answer) {
  Extra& mine = extra();
  mine.answers.push_back(std::move(answer));
  if (!run->stores_writes()) return;
  std::vector<PendingWrite> kept;
  kept.push_back({Id(), "", kResumeWrite, std::string(kResumeChannel),
                  SaveRecord(SavedAnswers{mine.answers, run->graph().names})});
  run->StoreWrites(std::move(kept));
}

absl::Status StepTask::NoteCalledInterrupt(const Run& child) {
  Extra& mine = extra();
  mine.told_to_pause = true;
  mine.asks.insert(mine.asks.end(), child.interrupts().begin(),
                   child.interrupts().end());
  return MakeError(ErrorKind::kInterrupt, absl::StatusCode::kCancelled,
                   absl::StrFormat("graph '%s', run by node '%s', is "
                                   "interrupted; return this status at once",
                                   child.graph().name, node->name));
}

std::string StepTask::InterruptId() const {
  return TaskInterruptId(*run, *this);
}

bool StepTask::resumes() const {
  return (run->resuming() && !run->travelling()) || attempt() > 1 ||
         (call != nullptr && call->parent->resumes());
}

void StepTask::TakeStored(const TaskWrites& stored_writes) {
  if (!stored_writes.answers.empty()) extra().answers = stored_writes.answers;
  if (!stored_writes.finished()) {
    // The node has failed for good, and its handler has not ended well.
    if (stored_writes.failure.has_value() && node->policies != nullptr &&
        node->policies->error_handler != nullptr) {
      const SavedFailure& failure = *stored_writes.failure;
      Extra& mine = extra();
      mine.asked = failure.asked;
      mine.calls = failure.graphs;
      mine.called_in_attempt = failure.functions;
      Handle(failure.status());
    }
    return;
  }
  stored = true;
  const CompiledGraph& graph = run->graph();
  for (const Write& write : stored_writes.writes) writes.push_back(write);
  for (const std::string& name : stored_writes.gotos) {
    const uint32_t to = graph.Resolve(NodeRef(name));
    if (to < graph.nodes.size()) gotos.push_back(to);
  }
  for (const SavedSend& send : stored_writes.sends) {
    const uint32_t to = graph.Resolve(NodeRef(send.node));
    if (to < graph.nodes.size()) sends.push_back({to, send.arg, send.timeout});
  }
  fires_edges = stored_writes.fires_edges;
}

// The error handler runs in the node's place.
void StepTask::Handle(absl::Status failure) {
  handling_ = true;
  fires_edges = false;
  Extra& mine = extra();
  mine.failure = NodeFailure{node->name, std::move(failure)};
  mine.body_asked = mine.asked;
  mine.body_graphs = mine.calls;
  mine.body_functions = mine.called_in_attempt;
}

std::vector<PendingWrite> StepTask::Writes() const {
  std::vector<PendingWrite> kept;
  if (stored || has_parent_command) return kept;
  std::string id = Id();
  if (extra_ != nullptr && !extra_->answers.empty()) {
    kept.push_back(
        {id, "", kResumeWrite, std::string(kResumeChannel),
         SaveRecord(SavedAnswers{extra_->answers, run->graph().names})});
  }
  if (interrupted) {
    kept.push_back(
        {id, "", kInterruptWrite, std::string(kInterruptChannel),
         SaveRecord(SavedInterrupts{extra_->asks, extra_->answers.size(),
                                    run->graph().names})});
    return kept;
  }
  if (!status.ok()) {
    kept.push_back(
        {id, "", kErrorWrite, std::string(kErrorChannel),
         Save(Value(extra_ == nullptr ? std::string() : extra_->error))});
    if (handling_) kept.push_back(FailureWrite());
    return kept;
  }
  std::shared_ptr<SavedTask> record =
      run->ToSaved(absl::MakeConstSpan(writes), absl::MakeConstSpan(gotos),
                   absl::MakeConstSpan(sends));
  record->fires_edges = fires_edges;
  kept.reserve(1);
  PendingWrite& write = kept.emplace_back();
  write.task_id = std::move(id);
  write.channel = kTaskChannel;
  write.value = SaveRecord<SavedTask>(std::move(record));
  return kept;
}

PendingWrite StepTask::FailureWrite() const {
  SavedFailure failure(extra_->failure->status);
  failure.asked = extra_->body_asked;
  failure.graphs = extra_->body_graphs;
  failure.functions = extra_->body_functions;
  return {Id(), "", kFailureWrite, std::string(kFailureChannel),
          SaveRecord(std::move(failure))};
}

void StepTask::PublishStored() {
  if (!run->Wants(kUpdates) || run->HasStoredEventsOf(*this)) return;
  Publish(kUpdates, NodeUpdate{ShownName(), WritesAsValues(run->shown()),
                               /*cached=*/true});
}

// The attempt failed: another attempt, the error handler, or the task's end. A
// task that fails leaves no writes.
bool StepTask::Fail(absl::Status failure) {
  ClearResult();
  read_error_ = absl::OkStatus();
  if (extra_ != nullptr) {
    extra_->told_to_pause = false;
    extra_->asks.clear();
  }
  // Being drained, or asked to stop, is no failure to retry or to handle.
  // Nor is that the store has failed a graph inside.
  if (node->policies != nullptr && !handling_ && !run->store_failed() &&
      FailedByItself(failure)) {
    if (Retry(failure)) return false;
    if (node->policies->error_handler != nullptr && FailedByItself(failure)) {
      PublishEnd(failure);
      Handle(std::move(failure));
      // Before the handler runs: a later run does not run the node again.
      if (run->stores_writes()) run->StoreWrites({FailureWrite()});
      return Start();
    }
  }
  std::string text = absl::StrFormat(
      "%s '%s'%s failed in step %d%s: %s",
      call != nullptr ? "function"
                      : (handling_ ? "error handler of node" : "node"),
      node->name,
      call != nullptr
          ? absl::StrFormat(", called by '%s',", call->parent->node->name)
          : "",
      run->step(),
      attempt() > 1 && !handling_
          ? absl::StrFormat(" after %d attempts", attempt())
          : "",
      std::string(failure.message()));
  if (handling_) {
    absl::StrAppend(&text, "; it was handling: ",
                    std::string(extra_->failure->status.message()));
  }
  status = Annotate(failure, ErrorKind::kNodeError, text);
  NoteFailedNode(node->name, &status);
  ended = true;
  if (run->saved()) {
    extra().error = std::string(failure.message());
    if (run->stores_writes()) run->StoreWrites(Writes());
  }
  PublishEnd(failure);
  if (call == nullptr) run->TaskFailed();
  return true;
}

bool StepTask::Retry(absl::Status& failure) {
  for (const RetryPolicy& policy : node->policies->retry) {
    const absl::StatusOr<bool> retried = IsRetried(policy, failure);
    if (!retried.ok()) {
      failure = retried.status();
      return false;
    }
    if (!*retried) continue;
    Extra& mine = extra();
    if (mine.attempt >= policy.max_attempts) return false;
    if (outer_stop_token().stop_requested()) {
      failure = NotTriedAgain(failure);
      return false;
    }
    // Drawn from the task, where runs are to repeat from a seed.
    double draw = 0;
    if (run->executor().picks_order()) {
      draw =
          static_cast<double>(XXH3_64bits_withSeed(
                                  &mine.attempt, sizeof(mine.attempt), index) >>
                              11) /
          9007199254740992.0;
    } else {
      absl::BitGen random;
      draw = absl::Uniform(random, 0.0, 1.0);
    }
    const absl::Duration delay = RetryDelay(policy, mine.attempt, draw);
    if (run->Wants(kDebug)) {
      run->PublishDebug(
          TaskRetried{Id(), node->name, mine.attempt, failure, delay},
          call == nullptr ? nullptr : call->node);
    }
    ++mine.attempt;
    mine.last_failure = std::move(failure);
    mine.calls = 0;
    mine.called_in_attempt = 0;
    mine.asked = 0;
    mine.child = Ref<Run>();
    Ref<TimedWait> wait = Ref<TimedWait>::Adopt(new TimedWait(
        run->executor(), [self = Ref<Run>::Share(run), task = this] {
          self->ResumeTask(task);
        }));
    mine.retry = wait;
    wait->Arm(delay, outer_stop_token());
    return true;
  }
  return false;
}

void StepTask::PublishCommit(bool cached) {
  // First: it gives ids to messages, and the store keeps them.
  if (!cached && call == nullptr && run->Wants(kMessages)) PublishMessages();
  if (run->Wants(kUpdates)) {
    Publish(kUpdates, NodeUpdate{ShownName(), WritesAsValues(run->shown()),
                                 cached, Returned()});
  }
  if (!cached) PublishEnd(absl::OkStatus());
}

// The task has succeeded: what it did becomes visible.
void StepTask::Commit(bool cached) {
  if (!cached && extra_ != nullptr && !extra_->cache_key.empty() &&
      !handling_ && !has_parent_command) {
    PutInCache();
  }
  ended = true;
  if (has_parent_command) {
    if (call == nullptr) run->TaskCommandedParent();
  } else if (run->interest() != 0 && node != &run->graph().start) {
    PublishCommit(cached);
  }
  // Last: with what it did, its events are stored.
  if (run->stores_writes()) run->StoreWrites(Writes());
}

const std::string& StepTask::ShownName() const {
  return handling_ ? node->policies->handler_name : node->name;
}

// The messages among the task's writes that no reader has and the task was not
// given.
void StepTask::PublishMessages() {
  // The message of the pieces that had no id is the first that has none.
  bool pieces = emitted_unnamed_.load(std::memory_order_relaxed);
  auto first_id = [&] {
    return std::exchange(pieces, false) ? Id() : std::string();
  };
  for (Write& write : writes) {
    const ChannelInfo& channel = run->graph().channels[write.channel];
    const MessageReader* reader = channel.kind->messages();
    if (reader == nullptr) continue;
    const Value* given = is_send() ? FindField(channel.name)
                                   : run->channels().Read(write.channel);
    try {
      reader->Visit(write.value, first_id,
                    [&](std::string_view id, const Value& message) {
                      if (given != nullptr && reader->Contains(*given, id))
                        return;
                      if (!run->env().sent_messages->Add(id)) return;
                      PublishMessage(id, message, {}, /*whole=*/true);
                    });
    } catch (...) {
      // A message without an id, and the channel cannot give it one: the
      // barrier will meet that again, and refuse the write.
    }
  }
}

void StepTask::PublishMessage(std::string_view id, Value message,
                              std::vector<std::string> tags, bool whole) {
  MessageChunk chunk{.node = ShownName(),
                     .task_id = Id(),
                     .id = std::string(id),
                     .message = std::move(message),
                     .whole = whole,
                     .send = send_index,
                     .triggers = {},
                     .tags = std::move(tags)};
  if (!is_send()) chunk.triggers = node->triggers;
  Publish(kMessages, std::move(chunk));
}

void StepTask::PublishEnd(const absl::Status& failure) {
  if (node == &run->graph().start || !run->Wants(kTasks | kDebug)) return;
  Publish(
      kTasks,
      TaskFinished{
          Id(), ShownName(), WritesAsValues(nullptr), failure, {}, Returned()},
      /*in_debug=*/true);
}

Values StepTask::WritesAsValues(const std::vector<bool>* which) const {
  Values values = run->MakeValues();
  if (call != nullptr) return values;
  values.Reserve(writes.size());
  for (const Write& write : writes) {
    if (which != nullptr && !(*which)[write.channel]) continue;
    values.Add(write.channel, write.value);
  }
  return values;
}

// What a called function has returned; absent for all else.
Value StepTask::Returned() const {
  return call == nullptr || writes.empty() ? Value() : writes[0].value;
}

void StepTask::Publish(uint32_t mode, EventPayload&& payload, bool in_debug) {
  run->Publish(mode, std::move(payload), in_debug,
               call == nullptr ? nullptr : call->node);
}

bool StepTask::FailedByItself(const absl::Status& failure) const {
  return run->FailedByItself(failure) &&
         !(call != nullptr && failure.code() == absl::StatusCode::kCancelled &&
           call->stop.stop_requested());
}

bool StepTask::reads(uint32_t channel) const {
  if (node->readable.has_value()) return (*node->readable)[channel];
  return run->graph().in_state[channel];
}

const Value& StepTask::Input() {
  if (is_send()) return send_input;
  Value& input = extra().input;
  if (!input.has_value()) {
    const CompiledGraph& graph = run->graph();
    input = Value(run->ReadAll(node->readable.has_value() ? &*node->readable
                                                          : &graph.in_state));
  }
  return input;
}

const Value* StepTask::FindByName(std::string_view name) {
  if (is_send()) return FindField(name);
  const std::optional<uint32_t> channel = run->graph().FindChannel(name);
  if (!channel.has_value() || !reads(*channel)) return nullptr;
  return run->channels().Read(*channel);
}

// A field of what the Send carried.
const Value* StepTask::FindField(std::string_view name) {
  if (const Values* values = send_input.As<Values>()) return values->Find(name);
  Extra& mine = extra();
  for (const auto& [found_name, value] : mine.found) {
    if (found_name == name) return value.has_value() ? &value : nullptr;
  }
  mine.found.emplace_front(name, send_input.Field(name));
  const Value& value = mine.found.front().second;
  return value.has_value() ? &value : nullptr;
}

const Value* StepTask::FindUnknown(std::string_view name) const {
  if (extra_ == nullptr) return nullptr;
  for (const auto& [unknown, value] : extra_->unknown) {
    if (unknown == name) return &value;
  }
  return nullptr;
}

void StepTask::AddUnknown(Values& values) const {
  if (extra_ == nullptr) return;
  for (const auto& [name, value] : extra_->unknown) values.Add(name, value);
}

void StepTask::NoteForeignHandle(uint32_t schema) {
  if (schema == run->graph().schema) {
    read_error_ =
        MakeError(ErrorKind::kNodeError, absl::StatusCode::kFailedPrecondition,
                  absl::StrFormat(
                      "read with the handle of a channel that was added after "
                      "graph '%s' was compiled; compile it again",
                      run->graph().name));
    return;
  }
  read_error_ = MakeError(
      ErrorKind::kNodeError, absl::StatusCode::kFailedPrecondition,
      absl::StrFormat("read with a channel handle of another graph (schema %d, "
                      "this is '%s' with schema %d); use the handles of the "
                      "builder that made this graph",
                      schema, run->graph().name, run->graph().schema));
}

void StepTask::NoteCalledCommand(Command command) {
  command.graph = Command::Graph::kThis;
  extra().called_command = std::move(command);
}

std::string StepTask::Id() const { return TaskId(*run, *this); }

std::stop_token StepTask::stop_token() const {
  if (clock_ != nullptr) {
    return clock_->stop.get_token();
  }
  return outer_stop_token();
}

std::stop_token StepTask::outer_stop_token() const {
  return call == nullptr ? run->stop_token() : call->stop.get_token();
}

// Notes that this task is making progress, and so those around it are. False if
// the attempt's time was up before.
bool StepTask::Progress(bool by_heartbeat) {
  bool in_time = true;
  for (StepTask* task = this; task != nullptr;
       task = task->call != nullptr ? task->call->parent
                                    : task->run->parent()) {
    if (task->clock_ == nullptr) continue;
    AttemptClock& clock = *task->clock_;
    const absl::Time now = run->executor().Now();
    if (task == this) in_time = clock.LookAt(now) == kNotTimedOut;
    // A Send's timeout needs no policy of the node.
    const NodePolicies* policies = task->node->policies.get();
    if (by_heartbeat || policies == nullptr ||
        !policies->timeout.only_heartbeats) {
      clock.NoteProgress(now);
    }
  }
  return in_time;
}

void StepTask::Emit(Value value) {
  if (!Progress(/*by_heartbeat=*/false) || !run->Wants(kCustom)) return;
  if (DurableEvents* const durable = run->env().log->durable()) {
    absl::Status storable = durable->Check(value);
    if (!storable.ok()) {
      read_error_ = std::move(storable);
      return;
    }
  }
  Publish(kCustom, CustomValue{node->name, std::move(value)});
}

bool StepTask::HasRoom() const {
  const RunLog* const log = run->env().log;
  if (log == nullptr) return true;
  const DurableEvents* const durable = log->durable();
  return !log->congested() && (durable == nullptr || !durable->behind());
}

void StepTask::AwaitRoom(std::coroutine_handle<> body) {
  RunLog& log = *run->env().log;
  if (clock_ != nullptr) clock_->BeginWait(run->executor().Now());
  auto await_readers = [this, body, &log] {
    RoomWait::Begin(run->executor(), log.Open(), log.patience(), stop_token(),
                    [this, body] {
                      if (clock_ != nullptr) {
                        clock_->EndWait(run->executor().Now());
                      }
                      body.resume();
                    });
  };
  DurableEvents* const durable = log.durable();
  if (durable == nullptr) return await_readers();
  const auto wait = Ref<TimedWait>::Adopt(
      new TimedWait(run->executor(), std::move(await_readers)));
  durable->AwaitStored([wait] { wait->FireNow(); });
  wait->Arm(absl::InfiniteDuration(), stop_token());
}

void StepTask::EmitMessage(std::string id, Value piece,
                           std::vector<std::string> tags) {
  if (!Progress(/*by_heartbeat=*/false) || !run->Wants(kMessages)) return;
  if (std::find(tags.begin(), tags.end(), "nostream") != tags.end()) return;
  if (id.empty()) {
    emitted_unnamed_.store(true, std::memory_order_relaxed);
    id = Id();
  }
  run->env().sent_messages->Add(id);
  PublishMessage(id, std::move(piece), std::move(tags), /*whole=*/false);
}

// What is left to an attempt, by the limit that comes first.
StepTask::TimeLeft StepTask::AttemptClock::Left(absl::Time now) const {
  absl::Duration elapsed =
      now - began -
      absl::Nanoseconds(waited_ns.load(std::memory_order_relaxed));
  const int64_t since = waits_since_ns.load(std::memory_order_relaxed);
  if (since >= 0) elapsed -= now - began - absl::Nanoseconds(since);
  const absl::Duration run_left = run_timeout - elapsed;
  const absl::Duration idle_left =
      idle_timeout - (elapsed - absl::Nanoseconds(last_progress_ns.load(
                                    std::memory_order_relaxed)));
  return run_left <= idle_left ? TimeLeft{run_left, kRunTimeout}
                               : TimeLeft{idle_left, kIdleTimeout};
}

// Whether the time is up, and by which limit. Once up, it stays so.
int StepTask::AttemptClock::LookAt(absl::Time now) {
  const TimeLeft time = Left(now);
  if (time.left < absl::ZeroDuration()) {
    int none = kNotTimedOut;
    timed_out.compare_exchange_strong(none, time.cause,
                                      std::memory_order_relaxed);
  }
  return timed_out.load(std::memory_order_relaxed);
}

void StepTask::AttemptClock::NoteProgress(absl::Time now) {
  if (LookAt(now) != kNotTimedOut) return;
  last_progress_ns.store(absl::ToInt64Nanoseconds(now - began) -
                             waited_ns.load(std::memory_order_relaxed),
                         std::memory_order_relaxed);
}

void StepTask::AttemptClock::BeginWait(absl::Time now) {
  waits_since_ns.store(absl::ToInt64Nanoseconds(now - began),
                       std::memory_order_relaxed);
}

void StepTask::AttemptClock::EndWait(absl::Time now) {
  const int64_t since = waits_since_ns.exchange(-1, std::memory_order_relaxed);
  waited_ns.fetch_add(absl::ToInt64Nanoseconds(now - began) - since,
                      std::memory_order_relaxed);
}

namespace {

// Watches one attempt; runs on a timer's thread and touches the clock alone.
void WatchClock(Executor* executor,
                const std::shared_ptr<StepTask::AttemptClock>& clock) {
  const StepTask::TimeLeft time = clock->Left(executor->Now());
  if (time.left <= absl::ZeroDuration()) {
    clock->timed_out.store(time.cause, std::memory_order_relaxed);
    clock->stop.request_stop();
    return;
  }
  clock->timer.store(
      executor->CallAfter(time.left,
                          [executor, clock] { WatchClock(executor, clock); }),
      std::memory_order_relaxed);
}

}  // namespace

void StepTask::BeginClock() {
  const TimeoutPolicy* timeout =
      node->policies == nullptr ? nullptr : &node->policies->timeout;
  absl::Duration run_timeout =
      timeout == nullptr ? absl::InfiniteDuration() : timeout->run;
  const absl::Duration idle_timeout =
      timeout == nullptr ? absl::InfiniteDuration() : timeout->idle;
  if (extra_ != nullptr && extra_->run_timeout.has_value()) {
    run_timeout = *extra_->run_timeout;
  }
  const bool timed =
      std::min(run_timeout, idle_timeout) < absl::InfiniteDuration();
  if (!timed && (node->policies == nullptr || node->policies->retry.empty())) {
    return;
  }
  Extra& mine = extra();
  const absl::Time now = run->executor().Now();
  if (mine.attempt == 1) mine.first_attempt = now;
  if (!timed) return;
  clock_ = std::make_shared<AttemptClock>(now, run_timeout, idle_timeout);
  mine.stop_link.emplace(outer_stop_token(),
                         [clock = clock_] { clock->stop.request_stop(); });
  WatchClock(&run->executor(), clock_);
}

// The body has returned. An attempt that was out of time by then has failed,
// whatever it returned: also one that held the only worker, so that no timer
// could tell it.
absl::Status StepTask::EndClock(absl::Status outcome) {
  const std::shared_ptr<AttemptClock> clock = std::move(clock_);
  clock_ = nullptr;
  extra_->stop_link.reset();
  run->executor().Cancel(clock->timer.load(std::memory_order_relaxed));
  const absl::Time now = run->executor().Now();
  const int cause = clock->LookAt(now);
  if (cause == kNotTimedOut) return outcome;
  return MakeError(
      ErrorKind::kNodeTimeout, absl::StatusCode::kDeadlineExceeded,
      absl::StrFormat(
          "%s timeout after %s (its limit is %s); see "
          "NodeContext::stop_token(), by which the node was asked "
          "to stop",
          cause == kRunTimeout ? "run" : "idle",
          absl::FormatDuration(now - clock->began),
          absl::FormatDuration(cause == kRunTimeout ? clock->run_timeout
                                                    : clock->idle_timeout)));
}

// Whether the result was in the cache; a failure if the key's function throws.
absl::StatusOr<bool> StepTask::TakeFromCache() {
  absl::StatusOr<std::string> key;
  try {
    key = CacheKey(run->graph(), *node, call != nullptr, *node->policies->cache,
                   Input());
  } catch (...) {
    return CurrentException();
  }
  if (!key.ok()) {
    run->Warn(absl::StrFormat("node '%s' is not cached: %s", node->name,
                              std::string(key.status().message())));
    return false;
  }
  const std::string& stored_as = extra().cache_key = *std::move(key);
  std::optional<CachedResult> hit =
      run->cache()->rep()->Get(stored_as, run->executor().Now());
  if (!hit.has_value()) return false;
  const size_t nodes = run->graph().nodes.size();
  for (const std::string& name : hit->gotos) {
    gotos.push_back(run->graph().Resolve(NodeRef(name)));
  }
  for (CachedResult::Sent& sent : hit->sends) {
    sends.push_back({run->graph().Resolve(NodeRef(sent.node)),
                     std::move(sent.arg), sent.timeout});
  }
  const bool known =
      std::all_of(gotos.begin(), gotos.end(),
                  [nodes](uint32_t to) { return to < nodes; }) &&
      std::all_of(sends.begin(), sends.end(), [nodes](const PendingSend& send) {
        return send.node < nodes;
      });
  if (!known) {
    ClearResult();
    return false;
  }
  for (Write& write : hit->writes) writes.push_back(std::move(write));
  Commit(/*cached=*/true);
  return true;
}

void StepTask::PutInCache() {
  const absl::Duration ttl = node->policies->cache->ttl;
  CachedResult result;
  result.writes.assign(writes.begin(), writes.end());
  const std::vector<CompiledNode>& nodes = run->graph().nodes;
  for (uint32_t to : gotos) result.gotos.push_back(nodes[to].name);
  for (const PendingSend& send : sends) {
    result.sends.push_back({nodes[send.node].name, send.arg, send.timeout});
  }
  run->cache()->rep()->Put(extra_->cache_key, node->name, std::move(result),
                           ttl == absl::InfiniteDuration()
                               ? absl::InfiniteFuture()
                               : run->executor().Now() + ttl);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
