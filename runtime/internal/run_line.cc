// A run's line of checkpoints: how it begins from what a thread has, and ends.
// How it is brought to a checkpoint is in run_restore.cc, what it stores as it
// goes in run_save.cc, and the state as others see it in run_state.cc.
//
// A run that is saved first makes itself the thread's writer and loads a
// checkpoint: the thread's latest, or the one it was told to go on from. Then
// it either resumes, and plans what the checkpoint says comes next, or takes
// new input, which drops that. Tasks store their writes as they end, and each
// barrier stores a checkpoint: what has changed since the one before.

#include <algorithm>
#include <set>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "weir/runtime/errors.h"
#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/internal/saved_by.h"
#include "weir/runtime/internal/saved_bytes.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// One asynchronous call of a store: the store and the caller each exchange
// their mark in, and whoever comes second goes on. acq_rel: the second sees
// what the first left here.
template <class T>
struct StoreCall : RefCounted<StoreCall<T>> {
  enum Mark : uint8_t { kCalling, kReturned, kDone };
  std::atomic<uint8_t> mark{kCalling};
  absl::StatusOr<T> result;
};

// The path without the tasks in it: "a:ID|b:ID|1" is "a|b|1".
std::string WithoutTasks(const std::string& ns) {
  std::vector<std::string> levels = absl::StrSplit(ns, '|');
  for (std::string& level : levels) {
    level.resize(std::min(level.size(), level.find(':')));
  }
  return absl::StrJoin(levels, "|");
}

}  // namespace

// Starts an asynchronous call and goes on with its result: here if it is there
// when the call returns, else as a job.
template <class T>
void Run::Await(absl::FunctionRef<void(Checkpointer::Done<T>)> start,
                absl::AnyInvocable<void(absl::StatusOr<T>)> then) {
  auto call = Ref<StoreCall<T>>::Adopt(new StoreCall<T>());
  auto shared_then =
      std::make_shared<absl::AnyInvocable<void(absl::StatusOr<T>)>>(
          std::move(then));
  start([call, shared_then,
         self = Ref<Run>::Share(this)](absl::StatusOr<T> result) mutable {
    call->result = std::move(result);
    if (call->mark.exchange(StoreCall<T>::kDone, std::memory_order_acq_rel) ==
        StoreCall<T>::kReturned) {
      Executor& executor = self->executor();
      executor.Post([call, shared_then, self = std::move(self)] {
        (*shared_then)(std::move(call->result));
      });
    }
  });
  if (call->mark.exchange(StoreCall<T>::kReturned, std::memory_order_acq_rel) ==
      StoreCall<T>::kDone) {
    (*shared_then)(std::move(call->result));
  }
}

std::string Run::NamespaceInside(const StepTask& task,
                                 const CompiledGraph& graph, int call) const {
  std::string ns = line_->ns;
  if (!ns.empty()) ns.push_back('|');
  absl::StrAppend(&ns, NameInIds(*task.node), ":", task.Id());
  if (call > 0) absl::StrAppend(&ns, "|", call);
  return graph.memory == Memory::kOfThread ? WithoutTasks(ns) : ns;
}

// What can be refused before anything is loaded.
absl::Status Run::CheckInput(Input& input) const {
  if (limit() < 1) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "recursion_limit is %d; it must be at least 1", limit()));
  }
  if (env_->max_concurrency < 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "max_concurrency is %d; it must be at least 0, which is any number",
        env_->max_concurrency));
  }
  if (env_->max_async_lag < 1) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "max_async_lag is %d; it must be at least 1 superstep. To be none "
        "ahead, leave it out and use Durability::kSync",
        env_->max_async_lag));
  }
  if (env_->step_timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("step_timeout is %s; it must be more than nothing",
                        absl::FormatDuration(env_->step_timeout)));
  }
  if (line_ != nullptr && parent_ == nullptr) {
    if (env_->thread_id.empty()) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "graph '%s' was given a checkpointer and no thread; set "
          "RunOptions::thread_id",
          graph_->name));
    }
    if (graph_->memory == Memory::kOfThread) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "graph '%s' is compiled with Memory::kOfThread, which is for a "
          "graph inside another; the outermost always remembers its thread",
          graph_->name));
    }
  }
  if (line_ == nullptr && input.is_resume()) {
    return MakeError(ErrorKind::kNoCheckpointer,
                     absl::StatusCode::kFailedPrecondition,
                     absl::StrFormat("graph '%s' is to be resumed with an "
                                     "answer and has no checkpointer; set "
                                     "RunOptions::checkpointer",
                                     graph_->name));
  }
  if (input.is_command()) {
    Command& command = input.command();
    if (command.graph == Command::Graph::kParent) {
      return MakeError(ErrorKind::kInvalidUpdate,
                       absl::StatusCode::kInvalidArgument,
                       "the input is a command for the parent graph, and a "
                       "run's own graph has none");
    }
    if (command.update.empty() && command.go_to.empty() && !input.is_resume()) {
      return MakeError(ErrorKind::kEmptyInput,
                       absl::StatusCode::kInvalidArgument,
                       "the input is a command that holds nothing; give it an "
                       "update or somewhere to go");
    }
  }
  return absl::OkStatus();
}

void Run::Begin(Input input) {
  if (absl::Status s = CheckInput(input); !s.ok()) {
    End(std::move(s));
  } else if (line_ == nullptr) {
    last_step_ = limit();
    if (absl::Status begun = PlanStart(input); !begun.ok()) {
      End(std::move(begun));
    } else {
      GoOn();
    }
  } else if (parent_ == nullptr) {
    OpenThread(std::move(input));
  } else {
    LoadLine(std::move(input));
  }
}

void Run::OpenThread(Input input) {
  ThreadSession& session = *env_->session;
  Await<ThreadLease>(
      [&session](Checkpointer::Done<ThreadLease> done) {
        session.store().Open(session.thread(), std::move(done));
      },
      [this,
       input = std::move(input)](absl::StatusOr<ThreadLease> lease) mutable {
        if (!lease.ok()) return End(std::move(lease).status());
        env_->session->Opened(*std::move(lease));
        LoadLine(std::move(input));
      });
}

// A path to this graph, with the names that its nodes have now.
std::string Run::NodesNow(const std::string& ns) const {
  std::vector<const Run*> around;  // This graph's parent first.
  for (const Run* run = this; run->parent_ != nullptr;) {
    run = run->parent_->run;
    around.push_back(run);
  }
  std::vector<std::string> levels = absl::StrSplit(ns, '|');
  for (std::string& level : levels) {
    const size_t end = std::min(level.size(), level.find(':'));
    if (level.find_first_not_of("0123456789") == std::string::npos) continue;
    if (around.empty()) break;
    const CompiledNode* const node =
        around.back()->graph_->FindNode(level.substr(0, end));
    if (node != nullptr) level.replace(0, end, node->name);
    around.pop_back();
  }
  return absl::StrJoin(levels, "|");
}

// Whether `from` names a checkpoint of this graph, which is inside another. Its
// tasks have new ids where the graph around it has been gone back in.
bool Run::GoesTo(const CheckpointRef& from, CheckpointKey* key) const {
  const std::string here = WithoutTasks(NodesNow(line_->ns));
  auto goes_to = [&](const std::string& ns, const CheckpointId& id) {
    if (WithoutTasks(NodesNow(ns)) != here) return false;
    key->ns = ns;
    if (id.has_value()) key->id = id;
    return true;
  };
  return goes_to(from.ns, from.id) ||
         std::any_of(from.around.begin(), from.around.end(),
                     [&goes_to](const auto& at) {
                       return goes_to(at.first, at.second);
                     });
}

void Run::LoadLine(Input input) {
  ThreadSession& session = *env_->session;
  CheckpointKey key{session.thread(), line_->ns, std::nullopt};
  std::optional<CheckpointId> before;
  const std::optional<CheckpointRef>& from = env_->rare().from;
  if (parent_ == nullptr) {
    if (from.has_value()) {
      const CheckpointId id =
          from->ns.empty() ? from->id
                           : (from->around.contains("") ? from->around.at("")
                                                        : CheckpointId());
      if (id.has_value()) key.id = id;
    }
    line_->travelling = key.id.has_value() && !input.is_resume();
  } else if (parent_->run->line_->travelling) {
    line_->travelling = GoesTo(*from, &key);
    if (!line_->travelling) {
      // What was here is of another future.
      if (graph_->memory == Memory::kOfTask) {
        Found(std::optional<CheckpointTuple>(), std::move(input));
        return;
      }
      before = parent_->run->line_->travelled_from;
    }
  }
  if (before.has_value()) {
    CheckpointQuery query;
    query.thread = key.thread;
    query.ns = key.ns;
    query.before = before;
    query.limit = 1;
    Await<std::vector<CheckpointTuple>>(
        [&](Checkpointer::Done<std::vector<CheckpointTuple>> done) {
          session.store().List(std::move(query), std::move(done));
        },
        [this, input = std::move(input)](
            absl::StatusOr<std::vector<CheckpointTuple>> list) mutable {
          if (!list.ok()) return Found(list.status(), std::move(input));
          std::optional<CheckpointTuple> tuple;
          if (!list->empty()) tuple = std::move(list->front());
          Found(std::move(tuple), std::move(input));
        });
    return;
  }
  Await<std::optional<CheckpointTuple>>(
      [&](Checkpointer::Done<std::optional<CheckpointTuple>> done) {
        session.store().Get(std::move(key), std::move(done));
      },
      [this, input = std::move(input)](
          absl::StatusOr<std::optional<CheckpointTuple>> tuple) mutable {
        Found(std::move(tuple), std::move(input));
      });
}

// Asks for the pieces of what the checkpoint has in pieces.
void Run::Found(absl::StatusOr<std::optional<CheckpointTuple>> tuple,
                Input input) {
  SavedPieces pieces(graph_.get());
  std::vector<std::string> missing;
  if (tuple.ok() && tuple->has_value()) {
    pieces.Note((*tuple)->checkpoint);
    missing = pieces.Missing((*tuple)->checkpoint);
  }
  if (missing.empty()) {
    return Loaded(std::move(tuple), std::move(pieces), std::move(input));
  }
  ThreadSession& session = *env_->session;
  const Checkpoint& checkpoint = (*tuple)->checkpoint;
  CheckpointKey key{session.thread(), checkpoint.ns, checkpoint.id};
  using Histories = std::vector<std::vector<SavedChannel>>;
  Await<Histories>(
      [&](Checkpointer::Done<Histories> done) {
        session.store().History(std::move(key), std::move(missing),
                                std::move(done));
      },
      [this, tuple = std::move(tuple), pieces = std::move(pieces),
       input = std::move(input)](absl::StatusOr<Histories> histories) mutable {
        if (histories.ok()) {
          pieces.Note(*histories);
        } else {
          tuple = histories.status();
        }
        Loaded(std::move(tuple), std::move(pieces), std::move(input));
      });
}

void Run::Loaded(absl::StatusOr<std::optional<CheckpointTuple>> tuple,
                 SavedPieces pieces, Input input) {
  if (!tuple.ok()) {
    env_->session->NoteFailure(tuple.status());
    return End(std::move(tuple).status());
  }
  const absl::Status begun =
      First(*std::move(tuple), std::move(pieces), std::move(input));
  if (!begun.ok()) return End(begun);
  if (!line_->begins_with.empty() &&
      !SaveCheckpoint(line_->begins_with, step_ - 1)) {
    return;
  }
  GoOn();
}

// What the run begins with: input, or where the thread stopped.
absl::Status Run::First(std::optional<CheckpointTuple> tuple,
                        SavedPieces pieces, Input input) {
  int64_t found_step = -2;
  bool resuming = false;
  if (tuple.has_value()) {
    found_step = tuple->checkpoint.metadata.step;
    if (parent_ != nullptr) {
      resuming = line_->travelling ||
                 (parent_->resumes() && IsOfParentsStep(tuple->checkpoint));
    } else {
      const std::string& run_id = env_->run_id;
      resuming =
          input.is_continue() || input.is_command() ||
          (!run_id.empty() && tuple->checkpoint.metadata.run_id == run_id);
    }
    if (absl::Status s = Restore(*std::move(tuple), pieces); !s.ok()) return s;
  } else if (parent_ == nullptr && line_->travelling) {
    return MakeError(
        ErrorKind::kEmptyInput, absl::StatusCode::kNotFound,
        absl::StrFormat("thread '%s' has no checkpoint %s to go on from",
                        env_->thread_id, env_->rare().from->id.ToString()));
  }
  last_step_ = found_step + limit() + 2;
  if (resuming) {
    step_ = found_step + 1;
    return Resume(std::move(input));
  }
  if (absl::Status s = PlanStart(input); !s.ok()) return s;
  DropPlanned();
  line_->travelling = false;
  line_->begins_with = "input";
  step_ = found_step + 2;
  return absl::OkStatus();
}

// Whether the graph inside made the checkpoint in the superstep that its parent
// is in. One that remembers its thread may have run last before that.
bool Run::IsOfParentsStep(const Checkpoint& checkpoint) const {
  const std::map<std::string, CheckpointId>& parents =
      checkpoint.metadata.parents;
  if (parents.empty()) return true;  // Made from outside: nothing is known.
  const Line& around = *parent_->run->line_;
  const auto at = parents.find(around.ns);
  return at != parents.end() && at->second == around.current;
}

// Goes on where the thread stopped.
absl::Status Run::Resume(Input input) {
  line_->resuming = true;
  // A graph inside returns what it would have, had it not been stopped.
  wrote_output_ = parent_ == nullptr || line_->had_output;

  // An earlier attempt has taken what it was given with it.
  const bool again = IsOwn(line_->metadata.run_id);
  if (again) input = Input::Continue();
  armed_ = again;

  if (parent_ == nullptr) {
    std::set<std::string> open = line_->found.Open();
    if (input.answer().has_value() && open.size() > 1) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "%d interrupts wait in thread '%s', and the answer does not say for "
          "which it is; use Input::ResumeEach() with their ids",
          open.size(), env_->thread_id));
    }
    env_->answers->by_id = std::move(input.answers());
    // What this run asked came after the answer.
    for (const TaskWrites& task : line_->found) {
      if (!task.asked_own || !task.interrupts.has_value()) continue;
      for (const Interrupt& asked : task.interrupts->interrupts) {
        open.erase(asked.id);
      }
    }
    if (input.answer().has_value()) {
      if (open.size() == 1) {
        env_->answers->by_id[*open.begin()] = std::move(input.answer());
      } else if (!line_->found.any_own()) {
        env_->answers->SetFirst(std::move(input.answer()));
      }
    }
  }

  if (!line_->travelling) {
    absl::Status s = CheckDropped();
    if (!s.ok()) return s;
  }

  // What is of another place in the thread is to be stored here, too.
  const bool forks =
      line_->travelling &&
      (!line_->stored.has_value() || (line_->metadata.source != "fork" &&
                                      line_->metadata.source != "update"));
  TaskWrites null = TakeNullTask();
  if (line_->travelling) null = TaskWrites();  // Of another future.
  if (input.is_command() && !null.own) {
    StepTask task;
    task.Plan(this, &graph_->start, 0);
    NodeResult result(std::move(input.command()));
    if (absl::Status s = task.TakeResult(result); !s.ok()) return s;
    const std::shared_ptr<const SavedTask> record =
        ToSaved(absl::MakeConstSpan(task.writes),
                absl::MakeConstSpan(task.gotos), task.sends);
    // A fork holds it; what is gone back to stays as it is.
    if (stores_writes() && !forks) {
      StoreWrites({{std::string(kNullTask), "", null.records,
                    std::string(kTaskChannel), SaveRecord(record)}});
    }
    AddRecord(*record, &null);
    ++null.records;
    // What is not saved is written all the same.
    for (const Write& write : task.writes) {
      if (!graph_->channels[write.channel].kind->is_saved()) {
        null.writes.push_back(write);
      }
    }
  }
  if (absl::Status s = ApplyNullTask(null); !s.ok()) return s;

  if (line_->travelling) line_->found.clear();
  if (forks) {
    line_->begins_with = "fork";
    ++step_;
  }
  // Of what is stored, readers have it.
  if (Wants(kValues) && !(again && env_->log->durable() != nullptr)) {
    Publish(kValues, StateValues{ReadAll(shown())});
  }
  return absl::OkStatus();
}

// Whether that run is this one, in an earlier attempt.
bool Run::IsOwn(std::string_view run_id) const {
  return env_->is_again && run_id == env_->run_id;
}

// Whether the events of a task that has ended before are in the log.
bool Run::HasStoredEventsOf(const StepTask& task) const {
  return env_->log->durable() != nullptr && task.found >= 0 &&
         line_->found[static_cast<size_t>(task.found)].own;
}

// What commands gave the checkpoint that the run is at.
TaskWrites Run::TakeNullTask() {
  TaskWrites null;
  for (TaskWrites& task : line_->found) {
    if (task.task_id == kNullTask) null = std::exchange(task, TaskWrites());
  }
  return null;
}

// Applies what the null task wrote: at once, as no superstep of its own.
absl::Status Run::ApplyNullTask(TaskWrites& null) {
  for (Write& write : null.writes) {
    absl::Status applied;
    try {
      applied =
          channels_.Apply(write.channel, write.value, write.overwrite != 0);
    } catch (...) {
      applied = CurrentException();
    }
    if (!applied.ok()) {
      return Annotate(applied,
                      applied.code() == absl::StatusCode::kInvalidArgument
                          ? ErrorKind::kInvalidUpdate
                          : ErrorKind::kReducerError,
                      absl::StrFormat("channel '%s' %s (written by the "
                                      "command that the run was given)",
                                      graph_->channels[write.channel].name,
                                      std::string(applied.message())));
    }
  }
  channels_.EndWrites();
  for (const std::string& name : null.gotos) {
    const uint32_t node = graph_->Resolve(NodeRef(name));
    if (node < graph_->nodes.size()) triggers_.Fire(node);
  }
  for (const SavedSend& send : null.sends) {
    // One to a dropped node keeps its place.
    const uint32_t node =
        send.node.empty() ? kToEnd : graph_->Resolve(NodeRef(send.node));
    if (node < graph_->nodes.size() || node == kToEnd) {
      sends_.push_back({node, send.arg, send.timeout});
    }
  }
  return absl::OkStatus();
}

// New input: what the thread was about to run never runs, and counts as if it
// had.
void Run::DropPlanned() {
  bool any = !sends_.empty();
  for (uint32_t node : triggers_.Take()) {
    triggers_.Consume(graph_->nodes[node]);
    any = true;
  }
  triggers_.Taken();
  sends_.clear();
  line_->found.clear();
  if (any) channels_.EndStep();
}

// Gives the planned tasks what they have done before this run.
void Run::TakeFound() {
  if (line_ == nullptr ? env_->answers->by_id.empty()
                       : !line_->resuming && line_->found.empty()) {
    return;
  }
  for (uint32_t i = 0; i < task_count_; ++i) TakeFoundFor(tasks_[i]);
}

void Run::TakeFoundFor(StepTask& task) {
  if (env_->session == nullptr) return;
  const bool any_found = line_ != nullptr && !line_->found.empty();
  // A graph inside that is not saved starts anew, and is answered all the same.
  const bool any_answers =
      (line_ == nullptr || line_->resuming) && !env_->answers->by_id.empty();
  if (any_found) {
    if (const TaskWrites* found = FindWrites(task.Id())) {
      task.found = line_->found.IndexOf(*found);
      task.TakeStored(*found);
    }
  }
  if (!any_answers || task.stored) return;
  auto it = env_->answers->by_id.find(task.InterruptId());
  if (it == env_->answers->by_id.end()) return;
  // One that has its answer would take this one for its next question.
  if (task.found >= 0 &&
      !line_->found[static_cast<size_t>(task.found)].MayBeAnswered(it->first)) {
    return;
  }
  task.AddAnswer(it->second);
}

const TaskWrites* Run::FindWrites(std::string_view task_id) const {
  return line_ == nullptr ? nullptr : line_->found.Find(task_id);
}

bool Run::StopsAt(const StopNodes& stops) const {
  if (!armed_) return false;
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (tasks_[i].node == &graph_->start) continue;
    for (const std::string& stop : stops) {
      if (stop == "*" || stop == tasks_[i].node->name) return true;
    }
  }
  return false;
}

// The run stops before or after a node.
void Run::EndStopped() {
  end_ = RunEnd::kStopped;
  wrote_output_ = true;
  if (Wants(kUpdates)) Publish(kUpdates, RunInterrupted{});
  End(absl::OkStatus());
}

// Tasks ask: the superstep is not ended, and its checkpoint stays the last. The
// result shows what the tasks that have finished wrote.
void Run::EndInterrupted() {
  wrote_output_ = true;
  bool finished = false;
  for (uint32_t i = 0; i < task_count_; ++i) {
    StepTask& task = tasks_[i];
    if (task.interrupted) {
      for (const Interrupt& asked : task.extra().asks) {
        interrupts_.push_back(asked);
      }
    }
    finished |= !task.interrupted && !task.writes.empty();
  }
  // Where nobody asks, a graph inside has stopped before or after a node.
  end_ = interrupts_.empty() ? RunEnd::kStopped : RunEnd::kInterrupted;
  if (line_ != nullptr && env_->durability == Durability::kExit) {
    StoreExit();  // Before the state shows more than its checkpoint.
  }
  if (finished && ApplyFinished() && Wants(kValues)) {
    Publish(kValues, StateValues{ReadAll(shown())});
  }
  End(absl::OkStatus());
}

RunResult Run::Result() const {
  RunResult result(Output());
  result.end = end_;
  result.interrupts = interrupts_;
  return result;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
