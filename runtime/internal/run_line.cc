// A run's line of checkpoints: how it begins from what a thread has, and what
// it stores as it goes.
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
#include "absl/types/span.h"

#include "weir/runtime/errors.h"
#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/internal/saved_by.h"
#include "weir/runtime/internal/saved_bytes.h"
#include "weir/runtime/internal/task_id.h"

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

// For a worker that waits for the store.
struct StoreWait final : RefCounted<StoreWait>, StoreListener {
  void Stored() noexcept override {
    done.Notify();
    DropRef();
  }
  absl::Notification done;
};

// The path without the tasks in it: "a:ID|b:ID|1" is "a|b|1".
std::string WithoutTasks(const std::string& ns) {
  std::vector<std::string> levels = absl::StrSplit(ns, '|');
  for (std::string& level : levels) {
    level.resize(std::min(level.size(), level.find(':')));
  }
  return absl::StrJoin(levels, "|");
}

// Refuses to go on where a task of a dropped node has ended, and what it did is
// not merged.
absl::Status CheckDropped(const Run& run, const SavedBy* by,
                          const FoundWrites& found, std::string_view thread) {
  if (by == nullptr) return absl::OkStatus();
  for (const auto& [node, send] : by->dropped_tasks()) {
    const TaskWrites* const task = found.Find(PlannedTaskId(run, node, send));
    if (task == nullptr || !task->finished()) continue;
    const bool led =
        !task->gotos.empty() ||
        std::any_of(task->sends.begin(), task->sends.end(),
                    [](const SavedSend& to) { return !to.node.empty(); });
    if (task->writes.empty() && !led) continue;
    return absl::FailedPreconditionError(absl::StrFormat(
        "in thread '%s' a task of node '%s' has ended, the superstep has not, "
        "and a migration drops the node, with what the task did; go on with "
        "the graph that saved the thread until the superstep has ended, or "
        "rename the node to one of graph '%s'",
        std::string(thread), node, run.graph().name));
  }
  return absl::OkStatus();
}

}  // namespace

// What a store keeps of a Send: channels that are not saved are not in it.
SavedSend Run::ToSaved(const PendingSend& send) const {
  SavedSend saved{graph_->nodes[send.node].name, send.arg, send.timeout};
  if (!graph_->has_unsaved) return saved;
  bool any = false;
  Values rest = MakeValues();
  send.arg.ForEachField([&](std::string_view name, Value value) {
    const std::optional<uint32_t> channel = graph_->FindChannel(name);
    if (channel.has_value() && !graph_->channels[*channel].kind->is_saved()) {
      any = true;
    } else {
      rest.Add(name, std::move(value));
    }
  });
  if (any) saved.arg = Value(std::move(rest));
  return saved;
}

std::shared_ptr<SavedTask> Run::ToSaved(
    absl::Span<const Write> writes, absl::Span<const uint32_t> gotos,
    absl::Span<const PendingSend> sends) const {
  auto record = std::make_shared<SavedTask>();
  record->names = graph_->names;
  if (line_ != nullptr && line_->saved_by != nullptr &&
      line_->saved_by->migrates()) {
    record->version = graph_->version;
  }
  for (const Write& write : writes) {
    if (write.channel == kReturnValue ||
        graph_->channels[write.channel].kind->is_saved()) {
      record->writes.push_back(write);
    }
  }
  for (uint32_t node : gotos) record->gotos.push_back(graph_->nodes[node].name);
  for (const PendingSend& send : sends) record->sends.push_back(ToSaved(send));
  return record;
}

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
        "max_async_lag is %d; it must be at least 1 superstep, or durability "
        "be Durability::kSync",
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
    absl::Status s = CheckDropped(*this, line_->saved_by.get(), line_->found,
                                  env_->session->thread());
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

// Brings the run to what a checkpoint holds.
absl::Status Run::Restore(CheckpointTuple tuple, SavedPieces& pieces) {
  Checkpoint& checkpoint = tuple.checkpoint;
  auto failed = [&](const absl::Status& why, const std::string& what = "") {
    return absl::Status(
        why.code(),
        absl::StrFormat("checkpoint %s of thread '%s': %s%s",
                        checkpoint.id.ToString(), env_->session->thread(), what,
                        std::string(why.message())));
  };
  auto lost = [&](const std::string& what, const absl::Status& why) {
    // What a later weir has stored, or of a type that is not known, is whole.
    const bool whole =
        absl::IsFailedPrecondition(why) || absl::IsUnavailable(why);
    return failed(whole ? why : absl::DataLossError(why.message()), what);
  };
  const bool here = checkpoint.ns == line_->ns;
  if (here && env_->session->takes_pieces()) {
    line_->grown.resize(channels_.size());
  }
  if (absl::Status s = RestoreGraph(checkpoint, pieces); !s.ok()) {
    return failed(s);
  }
  SavedBy* const by = line_->saved_by.get();
  const bool migrates = by != nullptr && by->migrates();
  line_->graph_noted &= here;
  for (const SavedChannel& saved : checkpoint.channels) {
    if (saved.channel == kGraphChannel) continue;
    if (saved.channel == kEngineChannel) {
      const auto engine = LoadRecord<SavedEngine>(saved.value, StoredNames());
      if (!engine.ok()) {
        return lost("the run's place in the graph: ", engine.status());
      }
      SavedEngine now;
      if (migrates) {
        absl::Status s = by->Migrate(**engine, &now);
        if (!s.ok()) return failed(s);
      }
      absl::Status s =
          RestoreEngine(migrates ? now : **engine, checkpoint.metadata.step);
      if (!s.ok()) return s;
      continue;
    }
    if (migrates) continue;
    absl::Status s =
        RestoreChannel({.name = saved.channel, .stored = &saved}, here, pieces);
    if (!s.ok()) {
      return lost(absl::StrFormat("channel '%s': ", saved.channel), s);
    }
  }
  if (migrates) {
    for (const SavedBy::Saved& saved : by->channels()) {
      absl::Status s = RestoreChannel(saved, here, pieces);
      if (!s.ok()) {
        return lost(absl::StrFormat("channel '%s': ", saved.name), s);
      }
    }
  }
  line_->current = checkpoint.id;
  line_->stored = here ? checkpoint.id : CheckpointId();
  line_->travelled_from = checkpoint.id;
  if (checkpoint.metadata.source == "fork") {
    line_->travelled_from = checkpoint.parent;
  }
  line_->parent = checkpoint.parent;
  line_->metadata = std::move(checkpoint.metadata);
  line_->created_at = checkpoint.created_at;
  step_ = line_->metadata.step + 1;
  last_step_ = step_ + limit();
  if (absl::Status s = LoadWrites(tuple.writes); !s.ok()) return s;
  if (by != nullptr) DropTasks(*by);
  return absl::OkStatus();
}

// Forgets the tasks of nodes that a migration has dropped. What ended ones have
// done is kept; see CheckDropped().
void Run::DropTasks(const SavedBy& by) {
  if (by.dropped_tasks().empty()) return;
  for (const auto& [node, send] : by.dropped_tasks()) {
    const std::string id = PlannedTaskId(*this, node, send);
    const TaskWrites* const task = line_->found.Find(id);
    if (task != nullptr && !task->finished()) line_->found.Drop(id);
  }
  const bool sends =
      std::any_of(sends_.begin(), sends_.end(),
                  [](const PendingSend& send) { return send.node != kToEnd; });
  if (triggers_.any_due() || sends) return;
  const TaskWrites* const null = line_->found.Find(kNullTask);
  if (null != nullptr &&
      (!null->gotos.empty() ||
       std::any_of(null->sends.begin(), null->sends.end(),
                   [](const SavedSend& send) { return !send.node.empty(); }))) {
    return;
  }
  // Nothing else was left to run.
  channels_.Finish();
  triggers_.Finish();
}

// What has saved the checkpoint, and its channels as migrations leave them.
absl::Status Run::RestoreGraph(const Checkpoint& checkpoint,
                               SavedPieces& pieces) {
  absl::StatusOr<std::unique_ptr<SavedBy>> by =
      SavedBy::Find(*graph_, checkpoint);
  if (!by.ok()) return by.status();
  line_->saved_by = *std::move(by);
  line_->graph_noted =
      line_->saved_by == nullptr &&
      std::any_of(
          checkpoint.channels.begin(), checkpoint.channels.end(),
          [](const SavedChannel& c) { return c.channel == kGraphChannel; });
  if (line_->saved_by == nullptr || !line_->saved_by->migrates()) {
    return absl::OkStatus();
  }
  return line_->saved_by->Migrate(checkpoint, &pieces);
}

// The names by which what the checkpoint has is read.
const SavedFor& Run::StoredNames() const {
  return line_->saved_by == nullptr ? graph_->names : line_->saved_by->names();
}

// `here`: the channel is stored where the run is.
absl::Status Run::RestoreChannel(const SavedBy::Saved& saved, bool here,
                                 SavedPieces& pieces) {
  const SavedChannel* const stored = saved.stored;
  // Set to nothing.
  if (stored == nullptr && !saved.value.has_value()) return absl::OkStatus();
  const bool moved = stored == nullptr || stored->channel != saved.name;
  if (stored != nullptr && moved && here) {
    line_->next.removed.push_back(stored->channel);
  }
  const std::optional<uint32_t> channel = graph_->FindChannel(saved.name);
  if (!channel.has_value()) {
    // A channel that the graph has no more keeps its value in the history.
    if (saved.name.empty() || (!moved && !saved.value.has_value())) {
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(
        absl::StrFormat("a migration sets it, and graph '%s' has it not; "
                        "rename it to \"\" to drop it",
                        graph_->name));
  }
  const ChannelKind& kind = *graph_->channels[*channel].kind;
  StoredGrowth grown;
  absl::StatusOr<Value> value = saved.value;
  if (saved.value.has_value()) {
    if (value->type() != kind.snapshot_type()) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "a migration gives it %s, and graph '%s' keeps %s in it",
          std::string(value->type_name()), graph_->name,
          std::string(kind.snapshot_type()->name)));
    }
  } else {
    const std::string& own = graph_->type_names[*channel];
    const std::string was = line_->saved_by == nullptr
                                ? own
                                : line_->saved_by->TypeOf(stored->channel);
    if (stored->value.has_value() && !was.empty() && !own.empty() &&
        was != own) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "it is stored as %s, and graph '%s' has it as %s; raise "
          "CompileOptions::version and convert it in a migration, or give the "
          "type its old name by Codec<T>::Name() if only that has changed, or "
          "run the thread with the graph that it was saved by%s",
          was, graph_->name, own, SavedByText()));
    }
    value = pieces.Load(*stored, kind, &grown);
    if (!value.ok()) return value.status();
  }
  if (absl::Status s = channels_.Restore(*channel, *value); !s.ok()) return s;
  if (!here || moved || saved.value.has_value()) {
    // From another place in the thread, or changed: nothing of it is stored.
    const bool as_it_is = !saved.value.has_value() && stored->appended_to == 0;
    NoteUnstored(*channel, saved.name, as_it_is ? stored->value : Save(*value));
  } else if (!line_->grown.empty()) {
    line_->grown[*channel] = std::move(grown);
  }
  return absl::OkStatus();
}

absl::Status Run::LoadWrites(const std::vector<PendingWrite>& writes) {
  for (const PendingWrite& write : writes) {
    TaskWrites* const at = &line_->found.FindOrAdd(write.task_id);
    const bool own = IsOwn(write.run_id == nullptr ? "" : *write.run_id);
    at->own |= own;
    if (write.channel == kInterruptChannel) at->asked_own = own;
    if (write.channel == kTaskChannel) {
      auto record = LoadRecord<SavedTask>(write.value, StoredNames());
      if (!record.ok()) return record.status();
      const int version = (*record)->version.value_or(graph_->version);
      if (line_->saved_by != nullptr) {
        record = line_->saved_by->Migrate(*std::move(record),
                                          write.task_id == kNullTask);
        if (!record.ok()) {
          return absl::Status(
              record.status().code(),
              absl::StrFormat("in thread '%s': %s", env_->session->thread(),
                              std::string(record.status().message())));
        }
      } else if (version != graph_->version) {
        return absl::FailedPreconditionError(absl::StrFormat(
            "in thread '%s' a task of the superstep that has begun has run in "
            "version %d of the graph, and '%s' is version %d; run it with the "
            "later one",
            env_->session->thread(), version, graph_->name, graph_->version));
      }
      if (write.index < 0 || write.index >= kMostRecords) {
        return absl::DataLossError(absl::StrFormat(
            "checkpoint %s: what task '%s' has done is stored at the place %d, "
            "which no run takes",
            line_->current.ToString(), write.task_id, write.index));
      }
      if (absl::Status s = CheckNodes(**record); !s.ok()) return s;
      AddRecord(**record, at);
      // Those of a run that was undone are missing.
      at->records = std::max(at->records, write.index + 1);
      continue;
    }
    if (absl::Status s = LoadWrite(write, at); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// What is not what an ended task did.
absl::Status Run::LoadWrite(const PendingWrite& write, TaskWrites* at) const {
  const SavedFor& names = StoredNames();
  if (write.channel == kErrorChannel) {
    absl::StatusOr<Value> value = Load(write.value, TypeOf<std::string>());
    if (!value.ok()) return value.status();
    const auto* text = value->As<std::string>();
    at->error = text == nullptr ? "" : *text;
  } else if (write.channel == kFailureChannel) {
    const auto failure = LoadRecord<SavedFailure>(write.value, names);
    if (!failure.ok()) return failure.status();
    at->failure = **failure;
  } else if (write.channel == kInterruptChannel) {
    const auto asks = LoadRecord<SavedInterrupts>(write.value, names);
    if (!asks.ok()) return asks.status();
    at->interrupts = **asks;
  } else if (write.channel == kResumeChannel) {
    const auto answers = LoadRecord<SavedAnswers>(write.value, names);
    if (!answers.ok()) return answers.status();
    at->answers = (*answers)->values;
  } else if (write.channel == kBegunChannel) {
    at->begun = true;
  }
  return absl::OkStatus();
}

// Adds to `task` what `record` has of it, as far as this graph knows it.
void Run::AddRecord(const SavedTask& record, TaskWrites* task) const {
  for (const Write& write : record.writes) {
    uint32_t channel = write.channel;
    if (channel != kReturnValue && record.names != graph_->names) {
      const std::optional<uint32_t> same =
          graph_->FindChannel(record.names->names[channel]);
      if (!same.has_value()) continue;
      channel = *same;
    }
    task->writes.push_back(
        Write(write.value, channel, graph_->schema, write.overwrite != 0));
  }
  task->gotos.insert(task->gotos.end(), record.gotos.begin(),
                     record.gotos.end());
  task->sends.insert(task->sends.end(), record.sends.begin(),
                     record.sends.end());
  task->fires_edges = record.fires_edges;
}

// For the end of a message.
std::string Run::SavedByText() const {
  return line_->saved_by == nullptr
             ? ""
             : absl::StrCat("; it ", line_->saved_by->ToString());
}

// A node that the thread is to go on at, by the name that is stored; kToEnd for
// the one of a Send that a migration has dropped.
absl::StatusOr<uint32_t> Run::StoredNode(const std::string& name) const {
  if (name.empty()) {
    if (line_->saved_by != nullptr && line_->saved_by->migrates()) {
      return kToEnd;
    }
    return absl::DataLossError(absl::StrFormat(
        "thread '%s' is to go on at a node without a name, which no run stores",
        env_->session->thread()));
  }
  const uint32_t node = graph_->Resolve(NodeRef(name));
  if (node < graph_->nodes.size()) return node;
  return absl::FailedPreconditionError(absl::StrFormat(
      "thread '%s' is to go on at node '%s', which graph '%s' has not; run "
      "it with the graph that it stopped in, or from an earlier checkpoint, or "
      "say in CompileOptions::migrations what has become of the node%s",
      env_->session->thread(), name, graph_->name, SavedByText()));
}

// Whether this graph has the nodes that a task which has ended leads to.
absl::Status Run::CheckNodes(const SavedTask& record) const {
  absl::Status s;
  for (const std::string& name : record.gotos) {
    s.Update(StoredNode(name).status());
  }
  for (const SavedSend& send : record.sends) {
    s.Update(StoredNode(send.node).status());
  }
  return s;
}

// `step` is that of the checkpoint.
absl::Status Run::RestoreEngine(const SavedEngine& engine, int64_t step) {
  auto node_of = [this](const std::string& name) { return StoredNode(name); };
  for (const std::string& name : engine.due) {
    absl::StatusOr<uint32_t> node = node_of(name);
    if (!node.ok()) return node.status();
    triggers_.RestoreDue(*node);
  }
  line_->had_output = engine.wrote_output;
  line_->ran = engine.ran;
  line_->ran_step = engine.ran_here ? step : step - 1;
  if (engine.rest == nullptr) return absl::OkStatus();
  const SavedEngine::Rest& rest = *engine.rest;
  for (const std::string& name : rest.waiting) {
    absl::StatusOr<uint32_t> node = node_of(name);
    if (!node.ok()) return node.status();
    triggers_.Fire(*node);
  }
  for (const SavedSend& send : rest.sends) {
    absl::StatusOr<uint32_t> node = node_of(send.node);
    if (!node.ok()) return node.status();
    sends_.push_back({*node, send.arg, send.timeout});
  }
  for (const SavedJoin& saved : rest.joins) {
    bool known = false;
    for (uint32_t i = 0; i < graph_->joins.size(); ++i) {
      if (graph_->joins[i].name != saved.name) continue;
      known = true;
      for (uint32_t source : saved.seen) {
        if (source < graph_->joins[i].sources)
          triggers_.RestoreSeen({i, source});
      }
    }
    if (!known) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "in thread '%s' the join '%s' has begun, which graph '%s' has not; "
          "run it with the graph that it stopped in, or from an earlier "
          "checkpoint, or say in CompileOptions::migrations what has become of "
          "its nodes%s",
          env_->session->thread(), saved.name, graph_->name, SavedByText()));
    }
  }
  line_->start = rest.start;
  line_->start_is_command = rest.start_is_command;
  if (rest.start != nullptr) {
    start_ = rest.start_is_command ? NodeResult(Command(*rest.start))
                                   : NodeResult(Update(rest.start->update));
    start_due_ = true;
  }
  return absl::OkStatus();
}

// Whether there is what few checkpoints have of the run's place.
bool Run::HasRest() const {
  return !triggers_.waiting().empty() || !sends_.empty() ||
         !triggers_.begun_joins().empty() || line_->start != nullptr;
}

// Whether `engine` is where the run is now.
bool Run::IsAt(const SavedEngine& engine) const {
  const absl::Span<const uint32_t> due = triggers_.due();
  const auto named = [this](uint32_t node, const std::string& name) {
    return graph_->nodes[node].name == name;
  };
  return engine.rest == nullptr && !HasRest() && engine.ran_here == RanHere() &&
         engine.wrote_output == wrote_output_ && engine.ran == line_->ran &&
         std::equal(due.begin(), due.end(), engine.due.begin(),
                    engine.due.end(), named);
}

std::shared_ptr<const SavedEngine> Run::EngineState() const {
  auto engine = std::make_shared<SavedEngine>();
  for (uint32_t node : triggers_.due()) {
    engine->due.push_back(graph_->nodes[node].name);
  }
  engine->ran = line_->ran;
  engine->ran_here = RanHere();
  engine->wrote_output = wrote_output_;
  if (HasRest()) {
    engine->rest = std::make_unique<SavedEngine::Rest>(RestState());
  }
  return engine;
}

SavedEngine::Rest Run::RestState() const {
  SavedEngine::Rest rest;
  for (uint32_t node : triggers_.waiting()) {
    rest.waiting.push_back(graph_->nodes[node].name);
  }
  for (const PendingSend& send : sends_) rest.sends.push_back(ToSaved(send));
  const absl::Span<const uint32_t> begun = triggers_.begun_joins();
  std::vector<uint32_t> joins(begun.begin(), begun.end());
  std::sort(joins.begin(), joins.end());
  for (uint32_t join : joins) {
    SavedJoin saved{graph_->joins[join].name, {}};
    for (uint32_t s = 0; s < graph_->joins[join].sources; ++s) {
      if (triggers_.join(join).contains(s)) saved.seen.push_back(s);
    }
    rest.joins.push_back(std::move(saved));
  }
  rest.start = line_->start;
  rest.start_is_command = line_->start_is_command;
  rest.names = graph_->names;
  return rest;
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

// The checkpoint after a barrier. As SaveCheckpoint().
bool Run::SaveStep() {
  line_->start = nullptr;
  line_->resuming = false;
  line_->travelling = false;
  line_->found.clear();
  return SaveCheckpoint("loop", step_ - 1);
}

// Makes the checkpoint of where the run is. True if the run may go on now;
// otherwise it does when the store is done, or has ended.
bool Run::SaveCheckpoint(std::string_view source, int64_t step) {
  MakeCheckpoint(source, step);
  if (env_->durability == Durability::kExit) return true;
  return StoreLine();
}

void Run::MakeCheckpoint(std::string_view source, int64_t step) {
  Line& line = *line_;
  line.saved_by = nullptr;
  std::erase_if(sends_,
                [](const PendingSend& send) { return send.node == kToEnd; });
  line.parent = line.current;
  line.current = env_->session->NewId();
  line.created_at = executor().Now();
  line.metadata.source = source;
  line.metadata.step = step;
  line.metadata.run_id = env_->run_id;
  line.metadata.custom = env_->rare().metadata;
  // Where a graph inside is changed by itself, those around it stay.
  if (parent_ != nullptr) line.metadata.parents.clear();
  for (const Run* run = this; run->parent_ != nullptr;) {
    run = run->parent_->run;
    if (run->line_ != nullptr) {
      line.metadata.parents[run->line_->ns] = run->line_->current;
    }
  }
  GatherChanges();
}

// Puts a channel, or the run's place, into the next checkpoint.
void Run::NoteUnstored(uint32_t channel, std::string_view name,
                       SavedValue value) {
  Line& line = *line_;
  std::vector<SavedChannel>& unstored = line.next.checkpoint.channels;
  line.place.resize(channels_.size() + 2, -1);
  int32_t& place = line.place[channel];
  if (place < 0) {
    place = static_cast<int32_t>(unstored.size());
    line.placed.push_back(channel);
    unstored.emplace_back().channel = name;
  }
  unstored[static_cast<size_t>(place)].value = std::move(value);
}

// Takes note of what has changed since the last checkpoint that was stored.
void Run::GatherChanges() {
  Line& line = *line_;
  if (line.engine == nullptr || !IsAt(*line.engine)) {
    line.engine = EngineState();
    NoteUnstored(channels_.size(), kEngineChannel, SaveRecord(line.engine));
  }
  if (!line.graph_noted) {
    NoteUnstored(channels_.size() + 1, kGraphChannel, graph_->saved_graph);
    line.graph_noted = true;
  }
  for (uint32_t i : channels_.changed()) {
    const ChannelInfo& info = graph_->channels[i];
    if (!info.kind->is_saved()) continue;
    Value value = channels_.Snapshot(i);
    SavedValue saved;
    if (value.has_value()) saved = Save(std::move(value));
    NoteUnstored(i, info.name, std::move(saved));
  }
  channels_.ClearChanged();
}

// Puts what has only grown since the base as what was added to it.
void Run::MakePieces() {
  Line& line = *line_;
  line.grown.resize(channels_.size());
  for (uint32_t i : line.placed) {
    if (i >= channels_.size()) continue;  // The run's place, and the graph.
    const Growth* growth = graph_->channels[i].kind->growth();
    if (growth == nullptr) continue;
    const auto place = static_cast<size_t>(line.place[i]);
    PutGrown(*growth, &line.next.checkpoint.channels[place], &line.grown[i]);
  }
}

// Stores the line's current checkpoint. As SaveCheckpoint().
bool Run::StoreLine() {
  Line& line = *line_;
  line.next.base = line.stored;
  Checkpoint& checkpoint = line.next.checkpoint;
  checkpoint.ns = line.ns;
  checkpoint.id = line.current;
  checkpoint.parent = line.parent;
  checkpoint.created_at = line.created_at;
  checkpoint.metadata = line.metadata;
  const uint64_t version = env_->session->NewVersion();
  for (SavedChannel& channel : checkpoint.channels) {
    channel.version = version;
    if (!line.next.removed.empty())
      std::erase(line.next.removed, channel.channel);
  }
  if (env_->session->takes_pieces()) MakePieces();
  for (uint32_t i : line.placed) line.place[i] = -1;
  line.placed.clear();
  line.stored = line.current;
  // A store that shares values has them when it is called.
  const bool listens = env_->durability == Durability::kSync ||
                       (env_->durability == Durability::kAsync &&
                        !env_->session->shares_values());
  if (listens) {
    behind_.fetch_add(kOneBehind, std::memory_order_relaxed);
    AddRef();  // Stored() drops it.
  }
  env_->session->Put(std::move(line.next), listens ? this : nullptr);
  checkpoint.channels.clear();
  line.next.removed.clear();
  return !listens || HasKeptUp();
}

// How many checkpoints the store may be behind while the run goes on.
uint64_t Run::MostBehind() const {
  if (env_->durability == Durability::kSync) return 0;
  return kOneBehind * static_cast<uint64_t>(env_->max_async_lag);
}

// Whether the store is near enough for the run to go on; if not, Stored() lets
// it.
bool Run::HasKeptUp() {
  uint64_t behind = behind_.load(std::memory_order_acquire);
  while (behind > MostBehind()) {
    if (behind_.compare_exchange_weak(behind, behind | kWaiting,
                                      std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
      return false;
    }
  }
  return true;
}

void Run::Stored() noexcept {
  Ref<Run> self = Ref<Run>::Adopt(this);
  uint64_t behind =
      behind_.fetch_sub(kOneBehind, std::memory_order_acq_rel) - kOneBehind;
  while ((behind & kWaiting) != 0 && behind - kWaiting <= MostBehind()) {
    if (behind_.compare_exchange_weak(behind, behind - kWaiting,
                                      std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
      executor().Post([self = std::move(self)] { self->GoOn(); });
      return;
    }
  }
}

// Goes on after a checkpoint was stored.
void Run::GoOn() {
  if (RoomForEvents() && PlanNext() && StartStep()) Work();
}

void Run::StoreWrites(std::vector<PendingWrite> writes) {
  if (writes.empty()) return;
  env_->session->PutWrites({line_->ns, line_->current, std::move(writes)});
}

absl::Status Run::StoreWritesAndWait(std::vector<PendingWrite> writes) {
  const auto wait = Ref<StoreWait>::Adopt(new StoreWait());
  wait->AddRef();  // Stored() drops it.
  env_->session->PutWrites({line_->ns, line_->current, std::move(writes)},
                           wait.get());
  if (!wait->done.HasBeenNotified() && !executor().RunUntil(wait->done)) {
    return absl::InternalError("the store has never answered");
  }
  return env_->session->error();
}

// Notes the nodes that ran in this superstep: an update without a node is that
// of the one that ran last. What Sends ran counts only where an edge had led
// there just before.
void Run::NoteRan() {
  SavedNames& ran = line_->ran;
  size_t count = 0;
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (tasks_[i].is_send()) continue;
    if (count == ran.size()) ran.emplace_back();
    ran[count++] = tasks_[i].node->name;
  }
  if (count > 0) {
    ran.resize(count);
  } else if (line_->ran_step != step_ - 1 || !KeepRanBySends()) {
    return;
  }
  line_->ran_step = step_;
}

// Keeps, of the nodes that ran last, those that Sends ran now. False, and all
// stay, if there are none.
bool Run::KeepRanBySends() {
  SavedNames kept;
  for (const std::string& name : line_->ran) {
    for (uint32_t i = 0; i < task_count_; ++i) {
      if (tasks_[i].node->name != name) continue;
      kept.push_back(name);
      break;
    }
  }
  if (kept.empty()) return false;
  line_->ran = std::move(kept);
  return true;
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

// Shows in the state what the tasks that have finished wrote, as the barrier
// will. Whether any of it is shown to readers.
bool Run::ApplyFinished() {
  bool any_shown = false;
  for (uint32_t i = 0; i < task_count_; ++i) {
    const StepTask& task = tasks_[i];
    const bool finished =
        task.stored || (task.ended && !task.interrupted && task.status.ok());
    if (!finished) continue;
    for (const Write& write : task.writes) {
      // What the barrier would refuse, it will refuse when it comes.
      try {
        if (!channels_.Apply(write.channel, write.value, write.overwrite != 0)
                 .ok()) {
          continue;
        }
      } catch (...) {
        continue;
      }
      any_shown |= graph_->in_output[write.channel] || parent_ == nullptr;
    }
  }
  return any_shown;
}

StateSnapshot Run::Snapshot(bool as_history) const {
  StateSnapshot state;
  state.ref = {env_->session->thread(), line_->ns, line_->current, {}};
  state.values = MakeValues();
  if (!line_->current.has_value()) return state;
  state.values = ReadAll(nullptr);
  const std::set<std::string> open = line_->found.Open();
  state.parent = line_->parent;
  state.metadata = line_->metadata;
  state.created_at = line_->created_at;
  for (const auto& [ns, id] : line_->metadata.parents) {
    state.ref.around[ns] = id;
  }
  for (uint32_t i = 0; i < task_count_; ++i) {
    const StepTask& task = tasks_[i];
    TaskState shown;
    shown.id = task.Id();
    shown.name = task.node->name;
    bool begun = false;
    if (task.found >= 0) {
      const TaskWrites& found = line_->found[static_cast<size_t>(task.found)];
      if (found.interrupts.has_value()) {
        shown.interrupts = found.interrupts->interrupts;
        for (const Interrupt& interrupt : shown.interrupts) {
          if (as_history || open.contains(interrupt.id)) {
            state.interrupts.push_back(interrupt);
          }
        }
      }
      // A task that has been given answers has begun, as LangGraph sees it.
      begun = !found.answers.empty();
      shown.error = found.error;
      shown.finished = found.finished();
      if (shown.finished) {
        shown.result = MakeValues();
        for (const Write& write : found.writes) {
          shown.result.Add(write.channel, write.value);
        }
      }
    }
    const CompiledNode& node = *task.node;
    const CompiledGraph* inside =
        node.graph != nullptr
            ? node.graph.get()
            : (node.calls.empty() ? nullptr : node.calls.front().get());
    if (inside != nullptr && inside->memory != Memory::kNone) {
      shown.inside = CheckpointRef{state.ref.thread_id,
                                   NamespaceInside(task, *inside, 0),
                                   {},
                                   state.ref.around};
      shown.inside->around[line_->ns] = line_->current;
    }
    if (as_history || (!shown.finished && !begun)) {
      state.next.push_back(shown.name);
    }
    state.tasks.push_back(std::move(shown));
  }
  return state;
}

// In exit durability: the latest checkpoint, and what the tasks after it have
// done.
void Run::StoreExit() {
  Line& line = *line_;
  if (line.exit_stored || !line.current.has_value()) return;
  line.exit_stored = true;
  // What a graph inside has done is in its task's result, if it has ended well.
  if (parent_ != nullptr && graph_->memory == Memory::kOfTask && status_.ok() &&
      end_ == RunEnd::kFinished) {
    return;
  }
  if (line.current != line.stored) {
    // The run's one checkpoint follows what the thread had before.
    line.parent = line.stored;
    StoreLine();
  }
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (!tasks_[i].ended) continue;
    std::vector<PendingWrite> writes = tasks_[i].Writes();
    if (!tasks_[i].succeeded()) {
      for (PendingWrite& within : tasks_[i].WritesWithin()) {
        writes.push_back(std::move(within));
      }
    }
    if (writes.empty()) continue;
    env_->session->PutWrites({line.ns, line.current, std::move(writes)});
  }
}

absl::Status Run::PlanRestored(bool with_finished) {
  TaskWrites null = TakeNullTask();
  if (absl::Status s = ApplyNullTask(null); !s.ok()) return s;
  PlanTasks();
  TakeFound();
  if (with_finished) ApplyFinished();
  return absl::OkStatus();
}

const CompiledNode* Run::FindNode(std::string_view name) const {
  if (name == kStart) return &graph_->start;
  const uint32_t node = graph_->Resolve(NodeRef(name));
  return node < graph_->nodes.size() ? &graph_->nodes[node] : nullptr;
}

const CompiledNode* Run::LastNode() const {
  if (!line_->current.has_value()) return &graph_->start;
  if (graph_->nodes.size() == 1) return &graph_->nodes[0];
  const SavedBy* const by = line_->saved_by.get();
  if (by != nullptr && by->dropped_ran()) return nullptr;
  if (line_->ran.empty()) return &graph_->start;
  return line_->ran.size() == 1 ? FindNode(line_->ran[0]) : nullptr;
}

absl::Status Run::UpdateAs(std::vector<NodeUpdateOf> updates) {
  // What edges led to lives for one superstep; what joins and the finish led to
  // waits until it has run.
  std::vector<const CompiledNode*> waited;
  // The planned tasks' ids, for the record of what each has done.
  std::vector<std::pair<std::string, std::string>> planned;
  for (uint32_t i = 0; i < task_count_; ++i) {
    const CompiledNode& node = *tasks_[i].node;
    if (!tasks_[i].is_send() &&
        (node.defer ||
         std::any_of(node.led_by_joins.begin(), node.led_by_joins.end(),
                     [this](uint32_t join) {
                       return triggers_.join(join).complete();
                     }))) {
      waited.push_back(&node);
    }
    if (tasks_[i].stored) continue;
    planned.emplace_back(node.name, tasks_[i].Id());
  }
  ReserveTasks(updates.size());
  task_count_ = 0;
  std::stable_sort(updates.begin(), updates.end(),
                   [](const NodeUpdateOf& a, const NodeUpdateOf& b) {
                     return a.node->name < b.node->name;
                   });
  for (NodeUpdateOf& update : updates) {
    StepTask& task = tasks_[task_count_];
    task.Plan(this, update.node, task_count_);
    ++task_count_;
    if (absl::Status s = task.TakeGiven(update.result); !s.ok()) return s;
    if (!line_->current.has_value()) continue;
    std::string id = std::move(update.task_id);
    for (auto& [node, task_id] : planned) {
      if (!id.empty() || node != update.node->name) continue;
      id = std::exchange(task_id, "");
    }
    std::vector<PendingWrite> writes = task.Writes();
    for (PendingWrite& write : writes) {
      if (!id.empty()) write.task_id = id;
    }
    env_->session->PutWrites({line_->ns, line_->current, std::move(writes)});
  }
  line_->found.clear();
  line_->start = nullptr;
  if (absl::Status s = Merge(); !s.ok()) return s;
  task_count_ = 0;
  for (const CompiledNode* node : waited) {
    const bool ran =
        std::any_of(updates.begin(), updates.end(),
                    [node](const NodeUpdateOf& u) { return u.node == node; });
    if (!ran)
      triggers_.RestoreDue(static_cast<uint32_t>(node - graph_->nodes.data()));
  }
  return absl::OkStatus();
}

absl::Status Run::TakeInput(Update update) {
  Input input = Input::Values(std::move(update));
  if (absl::Status s = PlanStart(input); !s.ok()) return s;
  DropPlanned();
  return absl::OkStatus();
}

absl::Status Run::EndPlanned() {
  absl::Status unmerged = CheckDropped(*this, line_->saved_by.get(),
                                       line_->found, env_->session->thread());
  if (!unmerged.ok()) return unmerged;
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (!tasks_[i].stored) {
      tasks_[i].fires_edges = false;
    }
  }
  line_->found.clear();
  line_->start = nullptr;
  if (absl::Status s = Merge(); !s.ok()) return s;
  task_count_ = 0;
  return absl::OkStatus();
}

void Run::SaveUpdate(std::string_view source, bool sibling) {
  const CheckpointId parent = line_->parent;
  const int64_t step = line_->current.has_value()
                           ? line_->metadata.step + 1
                           : (source == "input" ? -1 : 0);
  MakeCheckpoint(source, step);
  if (sibling) line_->parent = parent;
  static_cast<void>(StoreLine());
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
