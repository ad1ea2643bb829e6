// The superstep loop.
//
// A run is a state machine that goes through
//
//   Plan -> tasks -> Barrier -> Plan -> tasks -> ... -> End
//
// and holds a thread only while it has something to do. StartStep() opens a
// superstep. One task is executed right there, without an atomic operation if
// its body returns at once. Several are put up to be claimed: unclaimed_ counts
// those that no worker has, unfinished_ those that have not ended. Workers are
// invited by posted jobs; the worker that opened the superstep takes part. Each
// claims a few tasks at a time, executes them, and takes off unfinished_ what
// ended. Whoever brings unfinished_ to zero has seen the superstep's last task
// end, is alone with the run's state, and carries on: barrier, plan, next
// superstep. Nobody waits for anybody.
//
// A task whose body waits (a coroutine, a callback, a graph inside, a retry)
// has not ended when Execute() returns. Whatever completes it posts a job that
// ends it and goes on in the same way.
//
// The state is written between the last task of one superstep and the first of
// the next, by one worker; tasks only read it. unfinished_ orders the tasks
// before the barrier, and unclaimed_ the plan before the tasks.

#include "weir/runtime/internal/run_loop.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "weir/runtime/errors.h"
#include "weir/runtime/internal/called_function.h"
#include "weir/runtime/internal/room_wait.h"
#include "weir/runtime/internal/task_id.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// The most tasks that one claim takes: enough that workers which run tiny tasks
// meet rarely, few enough that a long task does not hold up many others.
constexpr uint32_t kMaxClaim = 8;

// How many siblings, writers or nodes a message names.
constexpr size_t kMaxNamed = 5;

// Null if there is nothing of that.
std::unique_ptr<const RunEnv::Rare> MakeRare(RunOptions& options) {
  if (!options.from.has_value() && options.interrupt_before.empty() &&
      options.interrupt_after.empty() && options.metadata.empty()) {
    return nullptr;
  }
  return std::make_unique<const RunEnv::Rare>(RunEnv::Rare{
      std::move(options.from), std::move(options.interrupt_before),
      std::move(options.interrupt_after), std::move(options.metadata)});
}

// That of the place it goes on from, if a saved run is given no other.
std::string ThreadOf(RunOptions& options) {
  return options.thread_id.empty() && options.checkpointer != nullptr &&
                 options.from.has_value()
             ? options.from->thread_id
             : std::move(options.thread_id);
}

}  // namespace

RunEnv::RunEnv(RunOptions&& options, Executor* runs_on)
    : executor(runs_on),
      modes(options.modes),
      subgraphs(options.subgraphs),
      on_failure(options.on_failure),
      durability(options.durability),
      max_concurrency(options.max_concurrency),
      max_async_lag(options.max_async_lag),
      recursion_limit(options.recursion_limit),
      step_timeout(options.step_timeout),
      stop(std::move(options.stop)),
      control(options.control),
      store(options.store),
      context(std::move(options.context)),
      run_id(std::move(options.run_id)),
      thread_id(ThreadOf(options)),
      rare_(MakeRare(options)) {
  if (options.checkpointer == nullptr) return;
  session =
      std::make_unique<ThreadSession>(options.checkpointer, thread_id, run_id);
  answers = std::make_unique<Answers>();
}

const RunEnv::Rare& RunEnv::rare() const {
  static const Rare* const kNone = new Rare();
  return rare_ == nullptr ? *kNone : *rare_;
}

Run::Run(std::shared_ptr<const CompiledGraph> graph,
         std::shared_ptr<RunEnv> env, RunListener* listener, StepTask* parent,
         int call)
    : graph_(std::move(graph)),
      env_(std::move(env)),
      listener_(listener),
      parent_(parent),
      call_(call),
      ns_(parent == nullptr || env_->log == nullptr
              ? nullptr
              : std::make_shared<const std::vector<NamespaceLevel>>(
                    Namespace())),
      channels_(graph_->channels),
      triggers_(*graph_) {
  // A run's own stops take the place of its graph's.
  auto stops = [parent](const StopNodes& own, const StopNodes& compiled) {
    const StopNodes& all = parent == nullptr && !own.empty() ? own : compiled;
    return all.empty() ? nullptr : &all;
  };
  stops_before_ =
      stops(env_->rare().interrupt_before, graph_->interrupt_before);
  stops_after_ = stops(env_->rare().interrupt_after, graph_->interrupt_after);
  const bool saved = parent == nullptr ? env_->session != nullptr
                                       : parent->run->line_ != nullptr &&
                                             graph_->memory != Memory::kNone;
  if (saved) {
    line_ = std::make_unique<Line>();
    if (parent != nullptr)
      line_->ns = parent->run->NamespaceInside(*parent, *graph_, call_);
    channels_.NoteChanges();
  }
  if (env_->on_failure == OnFailure::kCancelSiblings ||
      env_->step_timeout < absl::InfiniteDuration()) {
    MakeStoppable();
  }
}

Run::~Run() = default;

std::vector<NamespaceLevel> Run::Namespace() const {
  if (parent_ == nullptr) return {};
  std::vector<NamespaceLevel> levels = parent_->run->Namespace();
  levels.push_back(
      {parent_->run->NameInIds(*parent_->node), parent_->Id(), call_});
  return levels;
}

void Run::MakeStoppable() {
  if (stop_.stop_possible()) return;
  const std::stop_token outer = outer_stop_token();
  stop_ = std::stop_source();
  if (outer.stop_possible()) {
    stop_link_ = std::make_unique<std::stop_callback<RequestStop>>(
        outer, RequestStop{this});
  }
}

void Run::Cancel() {
  cancelled_.store(true, std::memory_order_relaxed);
  stop_.request_stop();
}

std::stop_token Run::outer_stop_token() const {
  return parent_ == nullptr ? env_->stop : parent_->stop_token();
}

std::stop_token Run::stop_token() const {
  return stop_.stop_possible() ? stop_.get_token() : outer_stop_token();
}

bool Run::cancelled() const {
  return cancelled_.load(std::memory_order_relaxed) ||
         outer_stop_token().stop_requested();
}

absl::Status Run::CancelledError() const {
  return MakeError(ErrorKind::kCancelled, absl::StatusCode::kCancelled,
                   absl::StrFormat("run of graph '%s' cancelled in step %d",
                                   graph_->name, step_));
}

absl::Status Run::NeverEndsError() const {
  return absl::InternalError(absl::StrFormat(
      "graph '%s' waits for something that never comes: nothing is left to "
      "run, and a node has not ended",
      graph_->name));
}

absl::Status Run::PlanStart(Input& input) {
  Command& command = input.command();
  if (input.is_continue()) {
    return MakeError(ErrorKind::kEmptyInput, absl::StatusCode::kInvalidArgument,
                     absl::StrFormat("graph '%s' got no input and has no "
                                     "checkpoint to go on from; give it an "
                                     "Input::Values, which may be empty",
                                     graph_->name));
  }
  if (!input.is_command()) {
    // The input schema decides what gets in; all else is dropped.
    Update kept;
    const Value refused = UpdateAccess::refused(command.update);
    if (refused.has_value()) {
      return MakeError(
          ErrorKind::kInvalidUpdate, absl::StatusCode::kInvalidArgument,
          absl::StrFormat("the input is %s, which is no record of channels",
                          Shown(refused)));
    }
    for (Write& write : UpdateAccess::writes(command.update)) {
      if (const std::string* name = UpdateAccess::name(command.update, write)) {
        const std::optional<uint32_t> channel = graph_->FindChannel(*name);
        if (!channel.has_value()) continue;
        write = Write(std::move(write.value), *channel, graph_->schema,
                      write.overwrite != 0);
      }
      if (write.schema == graph_->schema &&
          write.channel < graph_->in_input.size() &&
          !graph_->in_input[write.channel]) {
        continue;
      }
      UpdateAccess::writes(kept).push_back(std::move(write));
    }
    if (line_ != nullptr) {
      line_->start = std::make_shared<const Command>(
          ByName(*graph_, Command{.update = kept}));
      line_->start_is_command = false;
    }
    start_ = NodeResult(std::move(kept));
  } else {
    if (line_ != nullptr) {
      line_->start = std::make_shared<const Command>(ByName(*graph_, command));
      line_->start_is_command = true;
    }
    start_ = NodeResult(std::move(command));
  }
  start_due_ = true;
  return absl::OkStatus();
}

void Run::ReserveTasks(size_t n) {
  if (n <= task_capacity_) return;
  // Nothing of the last superstep is needed any more, so nothing is moved.
  task_capacity_ =
      static_cast<uint32_t>(std::max(n, size_t{2} * task_capacity_));
  tasks_ = std::make_unique<StepTask[]>(task_capacity_);
}

// Plans the next superstep. False if the run has ended.
bool Run::Plan() {
  if (step_ > last_step_) {
    std::vector<std::string> next;
    for (uint32_t node : triggers_.Take()) {
      next.push_back(graph_->nodes[node].name);
    }
    for (const PendingSend& send : sends_) {
      next.push_back(graph_->nodes[send.node].name);
    }
    if (next.size() > kMaxNamed) {
      next.resize(kMaxNamed);
      next.push_back("...");
    }
    End(MakeError(
        ErrorKind::kGraphRecursion, absl::StatusCode::kResourceExhausted,
        absl::StrFormat(
            "graph '%s' reached the recursion limit of %d supersteps; next "
            "would have been: %s. Raise RunOptions::recursion_limit, or see "
            "why the graph does not end",
            graph_->name, limit(),
            next.empty() ? "nothing" : absl::StrJoin(next, ", "))));
    return false;
  }
  PlanTasks();
  if (env_->session != nullptr) TakeFound();
  const uint32_t wanted = interest();
  if ((wanted & (kCheckpoints | kDebug)) != 0) PublishCheckpoint();
  if (task_count_ == 0) {
    End(absl::OkStatus());
    return false;
  }
  const bool starts = tasks_[0].node == &graph_->start;
  if (!starts && cancelled()) {
    End(CancelledError());
    return false;
  }
  if (!starts && env_->control != nullptr) {
    if (std::optional<std::string> reason = env_->control->drain()) {
      End(MakeError(ErrorKind::kGraphDrained, absl::StatusCode::kCancelled,
                    absl::StrFormat("graph '%s' drained before step %d: %s",
                                    graph_->name, step_, *reason)));
      return false;
    }
  }
  if (stops_before_ != nullptr && StopsAt(*stops_before_)) {
    EndStopped();
    return false;
  }
  if (starts) return true;
  if ((wanted & (kTasks | kDebug)) != 0) PublishTaskStarts();
  if (line_ == nullptr) return true;
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (tasks_[i].stored) tasks_[i].PublishStored();
  }
  return true;
}

// The tasks of the next superstep: the start's, or those of the nodes that are
// due and of the packets, in merge order.
void Run::PlanTasks() {
  if (start_due_) {
    start_due_ = false;
    // Room for those that it leads to, too.
    ReserveTasks(std::max<size_t>(1, graph_->start.edges.size()));
    tasks_[0].Plan(this, &graph_->start, 0);
    task_count_ = 1;
    return;
  }
  const absl::Span<const uint32_t> due = triggers_.Take();
  ReserveTasks(due.size() + sends_.size());
  uint32_t index = 0;
  for (uint32_t node : due) {
    tasks_[index].Plan(this, &graph_->nodes[node], index);
    ++index;
  }
  triggers_.Taken();
  for (size_t i = 0; i < sends_.size(); ++i) {
    if (sends_[i].node == kToEnd) continue;  // Dropped, but counted.
    StepTask& task = tasks_[index];
    task.Plan(this, &graph_->nodes[sends_[i].node], index);
    task.send_index = static_cast<int32_t>(i);
    task.context.plain_size_ = 0;
    task.send_input = std::move(sends_[i].arg);
    if (sends_[i].timeout.has_value()) {
      task.extra().run_timeout = sends_[i].timeout;
    }
    ++index;
  }
  sends_.clear();
  task_count_ = index;
}

// Plans the superstep after a barrier, unless the run stops there. One whose
// store has failed, or that another has overtaken on its thread, goes no
// further.
bool Run::PlanNext() {
  if (store_failed()) {
    End(env_->session->error());
    return false;
  }
  if (stops_after_ != nullptr && std::exchange(stepped_, false) &&
      StopsAt(*stops_after_)) {
    EndStopped();
    return false;
  }
  return Plan();
}

// Opens the planned superstep, and runs it here while it is a single task. True
// if there are tasks to claim.
bool Run::StartStep() {
  while (true) {
    if (env_->step_timeout < absl::InfiniteDuration()) WatchStep();
    if (RunCounts* const counts = env_->counts) {
      counts->supersteps.fetch_add(1, std::memory_order_relaxed);
      counts->tasks.fetch_add(task_count_, std::memory_order_relaxed);
    }
    if (task_count_ > 1) {
      Open();
      return true;
    }
    // Counted before the task runs, for one that ends elsewhere.
    unfinished_.store(1, std::memory_order_relaxed);
    if (bounded()) begun_.fetch_add(1, std::memory_order_relaxed);
    if (!tasks_[0].Execute()) return false;
    if (bounded()) begun_.fetch_sub(1, std::memory_order_relaxed);
    if (!Barrier() || (line_ != nullptr && !SaveStep()) || !RoomForEvents() ||
        !PlanNext()) {
      return false;
    }
  }
}

// Puts the superstep's tasks up to be claimed. Where the executor picks the
// order and any number may run at once, posts each by itself instead: claims
// come in the tasks' order, whichever job makes them.
void Run::Open() {
  const uint32_t count = task_count_;
  unfinished_.store(count, std::memory_order_relaxed);
  if (executor().picks_order() && !bounded()) {
    for (uint32_t task = 0; task < count; ++task) {
      executor().Post([self = Ref<Run>::Share(this), task] {
        if (self->tasks_[task].Execute()) self->TaskEnded();
      });
    }
    return;
  }
  unclaimed_.store(
      count, bounded() ? std::memory_order_seq_cst : std::memory_order_release);
  // From here on, helpers of earlier supersteps may run the tasks, and plan the
  // superstep after.
  Invite(count);
}

// Posts jobs that help with a superstep of `count` tasks, as many as can be of
// use.
void Run::Invite(uint32_t count) {
  Executor& on = executor();
  const int bound = env_->max_concurrency;
  uint32_t useful =
      on.picks_order()
          ? count
          : std::min(count - 1, static_cast<uint32_t>(on.workers() - 1));
  if (bound > 0) useful = std::min(useful, static_cast<uint32_t>(bound));
  while (invited_.load(std::memory_order_relaxed) < useful) {
    invited_.fetch_add(1, std::memory_order_relaxed);
    on.Post([self = Ref<Run>::Share(this)] {
      self->invited_.fetch_sub(1, std::memory_order_relaxed);
      self->Work();
    });
  }
}

void Run::Work() {
  while (true) {
    uint32_t first = 0;
    const uint32_t claimed = Claim(&first);
    if (claimed == 0) return;
    uint32_t ended = 0;
    for (uint32_t i = first; i < first + claimed; ++i) {
      if (tasks_[i].Execute()) ++ended;
    }
    if (ended == 0) continue;
    if (bounded()) begun_.fetch_sub(1, std::memory_order_seq_cst);
    if (unfinished_.fetch_sub(ended, std::memory_order_acq_rel) == ended &&
        !Advance()) {
      return;
    }
  }
}

void Run::ResumeTask(StepTask* task) {
  if (!task->Resume()) return;
  if (task->call == nullptr) {
    TaskEnded();
  } else {
    task->call->Ended();
  }
}

// A task that was executed by itself has ended.
void Run::TaskEnded() {
  if (bounded()) begun_.fetch_sub(1, std::memory_order_seq_cst);
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    if (Advance()) Work();
  } else if (bounded()) {
    Work();  // In the place of the task that ended.
  }
}

void Run::PostResume(StepTask* task) {
  executor().Post(
      [self = Ref<Run>::Share(this), task] { self->ResumeTask(task); });
}

// The superstep's last task has ended. True if the next one has tasks to claim.
bool Run::Advance() {
  return Barrier() && (line_ == nullptr || SaveStep()) && RoomForEvents() &&
         PlanNext() && StartStep();
}

// Whether the run may go on now: a reader may have asked it to wait. It goes on
// then when the reader has read, has left, or has been waited for long enough.
bool Run::RoomForEvents() {
  if (env_->log == nullptr || !env_->log->congested()) return true;
  RoomWait::Begin(executor(), env_->log->Open(), env_->log->patience(),
                  stop_token(), [self = Ref<Run>::Share(this)] {
                    if (self->PlanNext() && self->StartStep()) self->Work();
                  });
  return false;
}

void Run::TaskFailed() {
  any_failed_.store(true, std::memory_order_relaxed);
  if (env_->on_failure == OnFailure::kCancelSiblings) {
    stop_.request_stop();
  }
}

void Run::WatchStep() {
  Executor& on = executor();
  step_began_ = on.Now();
  step_timer_ = on.CallAfter(
      env_->step_timeout,
      [self = Ref<Run>::Share(this)] { self->stop_.request_stop(); });
}

// Ends the superstep: its failure, or its writes. False if the run has ended.
bool Run::Barrier() {
  if (parent_ != nullptr) {
    static_cast<void>(parent_->Progress(/*by_heartbeat=*/false));
  }
  if (store_failed()) {
    End(env_->session->error());
    return false;
  }
  if (absl::Status failure = StepFailure(); !failure.ok()) {
    End(std::move(failure));
    return false;
  }
  stopped_ = cancelled_.load(std::memory_order_relaxed);
  if (any_interrupted_.load(std::memory_order_relaxed)) {
    EndInterrupted();
    return false;
  }
  absl::Status merged;
  try {
    merged = Merge();
  } catch (...) {
    // From a channel kind of the user's; reducers are caught one by one.
    const absl::Status thrown = CurrentException();
    merged = Annotate(thrown, ErrorKind::kReducerError,
                      absl::StrFormat("a channel threw in step %d: %s", step_,
                                      std::string(thrown.message())));
  }
  if (!merged.ok()) {
    End(std::move(merged));
    return false;
  }
  if (wrote_shown_ && Wants(kValues)) {
    Publish(kValues, StateValues{ReadAll(shown())});
  }
  ++step_;
  armed_ = true;
  stepped_ = true;
  return true;
}

// What ends the run in this superstep: the failure of the lowest task in merge
// order, with its siblings' attached, unless all were only asked to stop; else
// the step's timeout; else a command for the parent.
absl::Status Run::StepFailure() {
  bool timed_out = false;
  if (env_->step_timeout < absl::InfiniteDuration()) {
    // A timer past cancelling has stopped the nodes, or will stop the next
    // ones.
    timed_out = !executor().Cancel(step_timer_) ||
                executor().Now() - step_began_ > env_->step_timeout;
  }
  if (any_failed_.load(std::memory_order_relaxed) &&
      (!timed_out || AnyFailedByItself())) {
    return TaskFailure();
  }
  if (timed_out) {
    return MakeError(
        ErrorKind::kStepTimeout, absl::StatusCode::kDeadlineExceeded,
        absl::StrFormat("step %d of graph '%s' took longer than "
                        "RunOptions::step_timeout, %s; in it ran %s",
                        step_, graph_->name,
                        absl::FormatDuration(env_->step_timeout), TaskNames()));
  }
  if (!any_parent_command_.load(std::memory_order_relaxed)) {
    return absl::OkStatus();
  }
  for (uint32_t i = 0; i < task_count_; ++i) {
    StepTask& task = tasks_[i];
    if (!task.has_parent_command) continue;
    parent_command_ =
        std::make_unique<Command>(*std::move(task.extra().parent_command));
    return MakeError(
        ErrorKind::kParentCommand, absl::StatusCode::kFailedPrecondition,
        absl::StrFormat("node '%s' returned a command for the parent graph in "
                        "step %d, and graph '%s' is not inside another; use "
                        "Command::Graph::kThis, or the graph as a node",
                        task.node->name, step_, graph_->name));
  }
  return absl::OkStatus();
}

// The nodes of the superstep, for messages.
std::string Run::TaskNames() const {
  std::vector<std::string> names;
  for (uint32_t i = 0; i < task_count_; ++i) {
    std::string name = absl::StrCat("'", tasks_[i].node->name, "'");
    if (!names.empty() && names.back() == name) continue;
    if (names.size() == kMaxNamed) {
      names.push_back("...");
      break;
    }
    names.push_back(std::move(name));
  }
  return absl::StrJoin(names, ", ");
}

// Whether a task's failure is its own, and not that it was asked to stop.
bool Run::FailedByItself(const absl::Status& failure) const {
  return ErrorKindOf(failure) != ErrorKind::kGraphDrained &&
         !(failure.code() == absl::StatusCode::kCancelled &&
           stop_token().stop_requested());
}

bool Run::AnyFailedByItself() const {
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (!tasks_[i].status.ok() && FailedByItself(tasks_[i].status)) return true;
  }
  return false;
}

// The failure of the lowest task in merge order, with the others attached. What
// was only asked to stop comes after what went wrong.
absl::Status Run::TaskFailure() const {
  std::vector<const absl::Status*> failures;
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (!tasks_[i].status.ok()) failures.push_back(&tasks_[i].status);
  }
  std::stable_partition(
      failures.begin(), failures.end(),
      [this](const absl::Status* failure) { return FailedByItself(*failure); });
  const absl::Status& first = *failures.front();
  if (!FailedByItself(first) && cancelled()) return CancelledError();
  if (failures.size() == 1) return first;
  std::string text(first.message());
  for (size_t i = 1; i < failures.size(); ++i) {
    if (i > kMaxNamed) {
      absl::StrAppend(&text, "; and ", failures.size() - i, " more");
      break;
    }
    absl::StrAppend(&text, "; also: ", failures[i]->message());
  }
  return Annotate(first, ErrorKind::kNodeError, text);
}

// The barrier proper: engine-wide order first, then the order within each task.
absl::Status Run::Merge() {
  wrote_shown_ = false;
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (!tasks_[i].is_send()) triggers_.Consume(*tasks_[i].node);
  }
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (absl::Status s = MergeTask(tasks_[i]); !s.ok()) return s;
  }
  if (line_ != nullptr) NoteRan();
  // What a task was given and held goes now, also for the sake of values that
  // reducers could change in place.
  for (uint32_t i = 0; i < task_count_; ++i) tasks_[i].Release();
  channels_.EndStep();
  // Packets are work too: a deferred node waits for them.
  if (!triggers_.any_due() && sends_.empty()) {
    channels_.Finish();
    triggers_.Finish();
  }
  return absl::OkStatus();
}

absl::Status Run::MergeTask(StepTask& task) {
  // If the barrier is refused, what the tasks did is still to be stored.
  const bool keeps = line_ != nullptr && env_->durability == Durability::kExit;
  for (Write& write : task.writes) {
    absl::Status applied;
    try {
      applied = channels_.Apply(
          write.channel, keeps ? Value(write.value) : std::move(write.value),
          write.overwrite != 0);
    } catch (...) {
      applied = ThrownByReducer();
    }
    if (!applied.ok()) return WriteRefused(write, applied);
    const bool is_output = graph_->in_output[write.channel];
    wrote_output_ |= is_output;
    wrote_shown_ |= is_output || parent_ == nullptr;
  }
  for (uint32_t node : task.gotos) triggers_.Fire(node);
  for (PendingSend& send : task.sends) {
    sends_.push_back(keeps ? PendingSend(send) : std::move(send));
  }
  if (!task.fires_edges) return absl::OkStatus();
  for (uint32_t node : task.node->edges) triggers_.Fire(node);
  for (JoinSource at : task.node->joins) triggers_.Arrive(at);
  return absl::OkStatus();
}

absl::Status Run::WriteRefused(const Write& write,
                               const absl::Status& why) const {
  std::vector<std::string> writers;
  for (uint32_t i = 0; i < task_count_; ++i) {
    for (const Write& other : tasks_[i].writes) {
      if (other.channel != write.channel) continue;
      if (writers.size() == kMaxNamed) {
        writers.push_back("...");
        break;
      }
      writers.push_back(absl::StrCat("'", tasks_[i].node->name, "'"));
    }
    if (writers.size() > kMaxNamed) break;
  }
  const ErrorKind kind = why.code() == absl::StatusCode::kInvalidArgument
                             ? ErrorKind::kInvalidUpdate
                             : ErrorKind::kReducerError;
  return Annotate(why, kind,
                  absl::StrFormat("channel '%s' %s (written in step %d by %s)",
                                  graph_->channels[write.channel].name,
                                  std::string(why.message()), step_,
                                  absl::StrJoin(writers, ", ")));
}

// Ends the run, once all that it has stored is stored.
void Run::End(absl::Status status) {
  status_ = std::move(status);
  if (line_ == nullptr) return FinishEnd();
  if (env_->durability == Durability::kExit) StoreExit();
  if (parent_ != nullptr) return FinishEnd();
  if (env_->session->WhenStored([self = Ref<Run>::Share(this)] {
        self->executor().Post([self] { self->FinishEnd(); });
      })) {
    FinishEnd();
  }
}

void Run::FinishEnd() {
  if (line_ != nullptr && status_.ok()) status_ = env_->session->error();
  if (listener_ == nullptr) return end_signal_.End();
  // The listener may let go of the run.
  const Ref<Run> self = Ref<Run>::Share(this);
  listener_->RunEnded(*this);
  end_signal_.End();
}

Values Run::Output() const {
  return wrote_output_ ? ReadAll(&graph_->in_output) : MakeValues();
}

Values Run::ReadAll(const std::vector<bool>* which) const {
  Values values = MakeValues();
  values.Reserve(channels_.size());
  for (uint32_t i = 0; i < channels_.size(); ++i) {
    if (which != nullptr && !(*which)[i]) continue;
    if (const Value* value = channels_.Read(i)) values.Add(i, *value);
  }
  return values;
}

// Claims up to kMaxClaim tasks: a share of what is left, so that workers end
// together.
uint32_t Run::Claim(uint32_t* first) {
  while (bounded()) {
    if (!TakePlace()) return 0;
    const uint32_t claimed = ClaimTasks(first);
    if (claimed > 0) return claimed;
    // Tasks put up since may have met nobody but whoever found this place
    // taken. seq_cst, as in Open() and TakePlace(): either that one sees the
    // place free, or this sees the tasks.
    begun_.fetch_sub(1, std::memory_order_seq_cst);
    if (unclaimed_.load(std::memory_order_seq_cst) == 0) return 0;
  }
  return ClaimTasks(first);
}

uint32_t Run::ClaimTasks(uint32_t* first) {
  uint32_t left = unclaimed_.load(std::memory_order_relaxed);
  while (left > 0) {
    uint32_t n = 1;
    if (!bounded() && !executor().picks_order()) {
      n = std::clamp(left / static_cast<uint32_t>(2 * executor().workers()), 1u,
                     kMaxClaim);
    }
    if (unclaimed_.compare_exchange_weak(left, left - n,
                                         std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
      *first = task_count_ - left;
      return n;
    }
  }
  return 0;
}

// Takes one of max_concurrency places. Never more than there are, not even for
// a moment. Whoever is refused may rely on those that have one: each looks for
// tasks again after it has given its place back.
bool Run::TakePlace() {
  int begun = begun_.load(std::memory_order_seq_cst);
  while (begun < env_->max_concurrency) {
    if (begun_.compare_exchange_weak(begun, begun + 1,
                                     std::memory_order_acq_rel,
                                     std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

void Run::Publish(uint32_t mode, EventPayload&& payload, bool in_debug,
                  std::shared_ptr<const void> names) {
  auto body = Ref<EventBody>::Adopt(new EventBody(std::move(payload)));
  body->ns = ns_;
  body->names = names == nullptr ? graph_ : std::move(names);
  body->step = step_;
  const bool debug = in_debug && Wants(kDebug);
  if (debug) body->time = executor().Now();
  Ref<const EventBody> shared(std::move(body));
  if (!debug) {
    env_->log->Publish(mode, Event(mode, std::move(shared)));
    return;
  }
  env_->log->Publish(mode, Event(mode, shared));
  env_->log->Publish(kDebug, Event(kDebug, std::move(shared)));
}

void Run::PublishDebug(EventPayload&& payload,
                       std::shared_ptr<const void> names) {
  auto body = Ref<EventBody>::Adopt(new EventBody(std::move(payload)));
  body->ns = ns_;
  body->names = names == nullptr ? graph_ : std::move(names);
  body->step = step_;
  body->time = executor().Now();
  env_->log->Publish(kDebug,
                     Event(kDebug, Ref<const EventBody>(std::move(body))));
}

void Run::Warn(const std::string& text) {
  if (Wants(kDebug)) PublishDebug(RunWarning{text});
}

void Run::PublishTaskStarts() {
  for (uint32_t i = 0; i < task_count_; ++i) {
    StepTask& task = tasks_[i];
    std::vector<std::string> triggers = {"__pregel_push"};
    if (!task.is_send()) triggers = task.node->triggers;
    Publish(kTasks,
            TaskStarted{task.Id(), task.node->name, task.Input(),
                        std::move(triggers)},
            /*in_debug=*/true);
  }
}

void Run::PublishCheckpoint() {
  if (line_ == nullptr) return;
  auto body = Ref<EventBody>::Adopt(new EventBody(CheckpointReached{
      std::make_shared<const StateSnapshot>(Snapshot(/*as_history=*/true))}));
  body->ns = ns_;
  body->names = graph_;
  body->step = line_->metadata.step;
  body->time = executor().Now();
  const Ref<const EventBody> shared(std::move(body));
  env_->log->Publish(kCheckpoints, Event(kCheckpoints, shared));
  env_->log->Publish(kDebug, Event(kDebug, shared));
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
