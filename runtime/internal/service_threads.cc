#include <algorithm>
#include <set>
#include <tuple>

#include "absl/strings/str_format.h"

#include "weir/channels/values.h"
#include "weir/runtime/internal/service.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

bool Contains(const Metadata& all, const Metadata& some) {
  return std::all_of(some.begin(), some.end(), [&all](const auto& item) {
    const auto it = all.find(item.first);
    return it != all.end() && it->second == item.second;
  });
}

bool Contains(const Values& all, const Metadata& some) {
  return std::all_of(some.begin(), some.end(), [&all](const auto& item) {
    const Value* const value = all.Find(item.first);
    if (value == nullptr) return false;
    std::string json;
    value->AppendJson(&json);
    return json == item.second;
  });
}

bool Matches(const ThreadInfo& thread, const ThreadQuery& query) {
  return (!query.status.has_value() || *query.status == thread.status) &&
         (query.ids.empty() || std::find(query.ids.begin(), query.ids.end(),
                                         thread.id) != query.ids.end()) &&
         Contains(thread.metadata, query.metadata) &&
         Contains(thread.values, query.values);
}

// Whether `a` comes before `b`; those that are equal by their ids.
bool Before(const ThreadInfo& a, const ThreadInfo& b, ThreadOrder order) {
  switch (order) {
    case ThreadOrder::kCreatedAt:
      return std::tie(a.created_at, a.id) < std::tie(b.created_at, b.id);
    case ThreadOrder::kUpdatedAt:
      return std::tie(a.updated_at, a.id) < std::tie(b.updated_at, b.id);
    case ThreadOrder::kStatus:
      return std::tie(a.status, a.id) < std::tie(b.status, b.id);
    case ThreadOrder::kId:
      break;
  }
  return a.id < b.id;
}

absl::Status CheckTtl(const std::optional<absl::Duration>& ttl) {
  if (!ttl.has_value() || *ttl > absl::ZeroDuration()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "a thread's ttl must be positive, and is %s; without one it stays",
      absl::FormatDuration(*ttl)));
}

// Whether one of `runs` has put writes after a checkpoint.
bool HasWrites(const CheckpointTuple& tuple, const std::set<RunId>& runs) {
  return std::any_of(tuple.writes.begin(), tuple.writes.end(),
                     [&runs](const PendingWrite& write) {
                       return write.run_id != nullptr &&
                              runs.contains(*write.run_id);
                     });
}

absl::Status NoCheckpoint(const ThreadId& thread, const CheckpointId& id) {
  return absl::NotFoundError(
      absl::StrFormat("thread '%s' has no checkpoint '%s'; GetHistory() lists "
                      "those it has",
                      thread, id.ToString()));
}

}  // namespace

absl::Status Service::Register(std::string_view name, Graph graph) {
  {
    absl::MutexLock lock(&mutex);
    if (!graphs_.try_emplace(std::string(name), graph).second) {
      return absl::AlreadyExistsError(absl::StrFormat(
          "a graph is registered as '%s' already; choose another name", name));
    }
    // Those that came from the store without it.
    for (const auto& [id, run] : runs_) {
      if (run->info.graph == name && !run->graph.has_value()) {
        run->graph = graph;
      }
    }
  }
  return Recover(std::string(name));
}

absl::StatusOr<Graph> Service::FindGraph(const std::string& name) {
  const auto it = graphs_.find(name);
  if (it != graphs_.end()) return it->second;
  return absl::NotFoundError(absl::StrFormat(
      "no graph is registered as '%s'; call Register() first", name));
}

absl::StatusOr<ThreadPtr> Service::Find(const ThreadId& id) {
  const auto it = threads_.find(id);
  if (it != threads_.end() && !it->second->deleted) return it->second;
  return absl::NotFoundError(absl::StrFormat(
      "thread '%s' does not exist; call CreateThread() first", id));
}

absl::StatusOr<Service::Readable> Service::FindReadable(const ThreadId& id) {
  if (absl::Status s = Load(id); !s.ok()) return s;
  absl::MutexLock lock(&mutex);
  absl::StatusOr<ThreadPtr> thread = Find(id);
  if (!thread.ok()) return thread.status();
  Readable found{*std::move(thread), std::nullopt};
  const std::string& name = found.thread->info.graph;
  if (const auto it = graphs_.find(name); it != graphs_.end()) {
    found.graph = it->second;
  }
  return found;
}

ThreadPtr Service::AddThread(ThreadInfo info) {
  auto thread = std::make_shared<ServedThread>(rows);
  thread->info = std::move(info);
  thread->info.created_at = executor->Now();
  thread->info.state_updated_at = thread->info.created_at;
  Touch(*thread);
  threads_.emplace(thread->info.id, thread);
  WatchTtl(thread);
  return thread;
}

void Service::Touch(ServedThread& thread) {
  thread.info.updated_at = executor->Now();
  const bool busy = !thread.pending.empty() ||
                    (thread.running != nullptr && thread.running->unfinished());
  thread.info.status = busy ? ThreadStatus::kBusy : thread.verdict;
}

void Service::WatchTtl(const ThreadPtr& thread) {
  if (thread->ttl_timer != 0) executor->Cancel(thread->ttl_timer);
  thread->ttl_timer = 0;
  if (!thread->info.ttl.has_value() || closed_) return;
  // A busy thread is looked at again after as long.
  const absl::Duration left =
      thread->info.status == ThreadStatus::kBusy || thread->changing
          ? *thread->info.ttl
          : thread->info.updated_at + *thread->info.ttl - executor->Now();
  thread->ttl_timer = executor->PostAfter(
      std::max(left, absl::ZeroDuration()),
      [self = shared_from_this(), thread] { self->TtlOver(thread); });
}

void Service::TtlOver(const ThreadPtr& thread) {
  {
    absl::MutexLock lock(&mutex);
    if (thread->deleted || closed_) return;
    thread->ttl_timer = 0;
    const ThreadInfo& info = thread->info;
    if (!info.ttl.has_value() ||
        info.updated_at + *info.ttl > executor->Now() ||
        info.status == ThreadStatus::kBusy || thread->changing) {
      return WatchTtl(thread);
    }
    gate->Enter();  // The store is needed until this has ended.
  }
  // If the store fails, the thread is deleted by whoever deletes it again.
  (void)DeleteThread(thread->info.id);
  gate->Leave();
}

absl::StatusOr<ThreadInfo> Service::CreateThread(ThreadOptions options) {
  if (absl::Status s = CheckTtl(options.ttl); !s.ok()) return s;
  if (absl::Status s = Load(options.id); !s.ok()) return s;
  std::optional<Graph> graph;
  ThreadPtr thread;
  {
    absl::MutexLock lock(&mutex);
    if (absl::Status s = Open(); !s.ok()) return s;
    if (const auto it = threads_.find(options.id); it != threads_.end()) {
      if (options.if_exists == IfExists::kDoNothing) return it->second->info;
      return absl::AlreadyExistsError(absl::StrFormat(
          "thread '%s' exists; use it, or leave ThreadOptions::id empty",
          options.id));
    }
    if (!options.graph.empty()) {
      absl::StatusOr<Graph> found = FindGraph(options.graph);
      if (!found.ok()) return found.status();
      graph = *std::move(found);
    } else if (!options.supersteps.empty()) {
      return absl::InvalidArgumentError(
          "ThreadOptions::supersteps need ThreadOptions::graph, which says "
          "what they mean");
    }
    ThreadInfo info;
    info.id = options.id.empty() ? NewId() : std::move(options.id);
    info.metadata = std::move(options.metadata);
    info.ttl = options.ttl;
    info.graph = std::move(options.graph);
    thread = AddThread(std::move(info));
    thread->changing = true;
  }
  if (absl::Status s = SaveThreadAndWait(*thread); !s.ok()) {
    Later later;
    absl::MutexLock lock(&mutex);
    Forget(thread, &later);
    return s;
  }
  if (options.supersteps.empty()) {
    EndChange(thread);
  } else {
    absl::StatusOr<CheckpointRef> made =
        Change(thread, *graph, {}, std::move(options.supersteps));
    if (!made.ok()) {
      (void)DeleteThread(thread->info.id);
      return made.status();
    }
  }
  absl::MutexLock lock(&mutex);
  return thread->info;
}

absl::StatusOr<ThreadInfo> Service::GetThread(const ThreadId& id) {
  if (absl::Status s = Load(id); !s.ok()) return s;
  absl::MutexLock lock(&mutex);
  absl::StatusOr<ThreadPtr> thread = Find(id);
  if (!thread.ok()) return thread.status();
  return (*thread)->info;
}

absl::StatusOr<ThreadInfo> Service::UpdateThread(const ThreadId& id,
                                                 ThreadChange change) {
  if (absl::Status s = CheckTtl(change.ttl); !s.ok()) return s;
  if (absl::Status s = Load(id); !s.ok()) return s;
  ThreadPtr thread;
  ThreadInfo before;
  {
    absl::MutexLock lock(&mutex);
    absl::StatusOr<ThreadPtr> found = Find(id);
    if (!found.ok()) return found.status();
    thread = *std::move(found);
    before = thread->info;
    for (auto& [name, value] : change.metadata) {
      thread->info.metadata[name] = std::move(value);
    }
    Touch(*thread);
    if (change.ttl.has_value()) thread->info.ttl = change.ttl;
    WatchTtl(thread);
  }
  absl::Status stored = SaveThreadAndWait(*thread);
  absl::MutexLock lock(&mutex);
  if (stored.ok()) return thread->info;
  thread->info.metadata = std::move(before.metadata);
  thread->info.ttl = before.ttl;
  WatchTtl(thread);
  return stored;
}

absl::Status Service::AwaitStatus(
    absl::FunctionRef<void(Checkpointer::StatusDone)> start) {
  absl::Status result;
  absl::Notification done;
  start([&result, &done](absl::Status status) {
    result = std::move(status);
    done.Notify();
  });
  if (!executor->RunUntil(done)) done.WaitForNotification();
  return result;
}

absl::Status Service::DeleteThread(const ThreadId& id) {
  if (absl::Status s = Load(id); !s.ok()) return s;
  ThreadPtr thread;
  absl::Notification quiet;
  {
    Later later;
    absl::MutexLock lock(&mutex);
    absl::StatusOr<ThreadPtr> found = Find(id);
    if (!found.ok()) return found.status();
    thread = *std::move(found);
    thread->deleted = true;  // Nobody finds it any more.
    const std::vector<RunPtr> runs = thread->runs;
    for (const RunPtr& run : runs) {
      CancelOne(run, CancelAction::kInterrupt, &later);
    }
    if (thread->running == nullptr && !thread->changing) {
      quiet.Notify();
    } else {
      thread->quiet = &quiet;
    }
  }
  if (!executor->RunUntil(quiet)) {
    absl::MutexLock lock(&mutex);
    thread->quiet = nullptr;
    thread->deleted = false;
    return absl::InternalError(absl::StrFormat(
        "thread '%s' cannot be deleted: its run never ends", id));
  }
  absl::Status deleted =
      AwaitStatus([this, &id](Checkpointer::StatusDone done) {
        checkpointer->DeleteThread(id, std::move(done));
      });
  Later later;
  absl::MutexLock lock(&mutex);
  if (deleted.ok()) {
    Forget(thread, &later);
  } else {
    thread->deleted = false;
  }
  return deleted;
}

void Service::Forget(const ThreadPtr& thread, Later* later) {
  thread->deleted = true;
  ++forgotten_;
  if (thread->ttl_timer != 0) executor->Cancel(thread->ttl_timer);
  std::vector<RunPtr> runs = thread->runs;
  for (const RunPtr& run : runs) ForgetRun(run, later);
  WakeReaders(*thread, later);
  threads_.erase(std::string_view(thread->info.id));
  later->Do([thread, runs = std::move(runs),
             records = std::move(thread->records)]() mutable {
    runs.clear();
    records.clear();
  });
  thread->records.clear();
}

void Service::ForgetRun(const RunPtr& run, Later* later) {
  run->deleted = true;
  ++forgotten_;
  if (run->retention_timer != 0) executor->Cancel(run->retention_timer);
  runs_.erase(std::string_view(run->id()));
  std::erase(run->thread->runs, run);
  // Whoever reads what is kept of it has come to its end; but a stateless run
  // that ends is not taken from its readers.
  if (run->resumable && run->announced && !run->expired &&
      !run->thread->temporary) {
    later->Do([run] {
      EventLog<Event>* const log = run->log.if_open();
      if (log != nullptr) log->DropBefore(log->next_id());
    });
  }
}

absl::StatusOr<ThreadInfo> Service::CopyThread(const ThreadId& id) {
  if (absl::Status s = Load(id); !s.ok()) return s;
  ThreadPtr made;
  {
    absl::MutexLock lock(&mutex);
    if (absl::Status s = Open(); !s.ok()) return s;
    absl::StatusOr<ThreadPtr> thread = Find(id);
    if (!thread.ok()) return thread.status();
    if (!checkpointer->capabilities().copy_thread) {
      return absl::UnimplementedError(absl::StrFormat(
          "thread '%s' cannot be copied: the checkpointer cannot", id));
    }
    ThreadInfo copy = (*thread)->info;
    copy.id = NewId();
    copy.interrupts.clear();
    made = AddThread(std::move(copy));
    made->checkpoint = (*thread)->checkpoint;
    made->changing = true;
  }
  // The row comes first: checkpoints without one could not be deleted.
  absl::Status copied = SaveThreadAndWait(*made);
  if (copied.ok()) {
    copied = AwaitStatus([this, &id, &made](Checkpointer::StatusDone done) {
      checkpointer->CopyThread(id, made->info.id, std::move(done));
    });
  }
  EndChange(made);
  // A thread that has not run has nothing stored.
  if (!copied.ok() && !absl::IsNotFound(copied)) {
    DeleteThread(made->info.id).IgnoreError();
    return copied;
  }
  absl::MutexLock lock(&mutex);
  return made->info;
}

absl::StatusOr<ThreadList> Service::SearchThreads(const ThreadQuery& query) {
  if (query.limit < 1 || query.limit > 1'000) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "ThreadQuery::limit is %d; it must be 1 to 1,000", query.limit));
  }
  absl::StatusOr<std::vector<ThreadInfo>> all = AllThreads(query);
  if (!all.ok()) return all.status();
  ThreadList list;
  for (ThreadInfo& thread : *all) {
    if (Matches(thread, query)) list.threads.push_back(std::move(thread));
  }
  std::sort(list.threads.begin(), list.threads.end(),
            [&query](const ThreadInfo& a, const ThreadInfo& b) {
              return query.ascending ? Before(a, b, query.order)
                                     : Before(b, a, query.order);
            });
  list.total = list.threads.size();
  const size_t begin = std::min(query.offset, list.total);
  list.threads.erase(list.threads.begin(),
                     list.threads.begin() + static_cast<ptrdiff_t>(begin));
  if (list.threads.size() > query.limit) list.threads.resize(query.limit);
  // What a page shows is read; what is not looked at stays in the store.
  for (ThreadInfo& thread : list.threads) {
    absl::StatusOr<ThreadInfo> whole =
        rows == nullptr ? thread : GetThread(thread.id);
    if (whole.ok()) thread = *std::move(whole);
  }
  return list;
}

StateOptions Service::OptionsFor(const ThreadId& id,
                                 StateOptions options) const {
  options.checkpointer = checkpointer;
  options.executor = executor;
  options.thread_id = id;
  return options;
}

absl::StatusOr<StateSnapshot> Service::GetState(const ThreadId& id,
                                                StateOptions options) {
  absl::StatusOr<Readable> found = FindReadable(id);
  if (!found.ok()) return found.status();
  const CheckpointId at =
      options.at.has_value() ? options.at->id : CheckpointId();
  const bool named = at.has_value();
  if (!found->graph.has_value()) {
    if (named) return NoCheckpoint(id, at);
    StateSnapshot empty;
    empty.ref.thread_id = id;
    return empty;
  }
  absl::StatusOr<StateSnapshot> state =
      found->graph->GetState(OptionsFor(id, std::move(options)));
  if (state.ok() && named && !state->ref.id.has_value()) {
    return NoCheckpoint(id, at);
  }
  return state;
}

absl::StatusOr<std::vector<StateSnapshot>> Service::GetHistory(
    const ThreadId& id, HistoryOptions which, StateOptions options) {
  absl::StatusOr<Readable> found = FindReadable(id);
  if (!found.ok()) return found.status();
  if (!found->graph.has_value()) return std::vector<StateSnapshot>();
  if (!which.limit.has_value()) which.limit = 10;
  return found->graph->GetHistory(OptionsFor(id, std::move(options)),
                                  std::move(which));
}

absl::Status Service::BeginChange(ServedThread& thread) {
  if (absl::Status s = Open(); !s.ok()) return s;
  if (thread.info.status == ThreadStatus::kBusy || thread.changing) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "thread '%s' is busy: its state can be changed when its runs have "
        "ended; join or cancel them first",
        thread.info.id));
  }
  thread.changing = true;
  return absl::OkStatus();
}

void Service::EndChange(const ThreadPtr& thread) {
  Later later;
  absl::MutexLock lock(&mutex);
  thread->changing = false;
  if (thread->quiet != nullptr && thread->running == nullptr) {
    later.Do(
        [quiet = std::exchange(thread->quiet, nullptr)] { quiet->Notify(); });
  }
  Schedule(thread, &later);
}

absl::StatusOr<CheckpointRef> Service::UpdateState(const ThreadId& id,
                                                   StateUpdate update,
                                                   StateOptions options) {
  ThreadPtr thread;
  std::optional<Graph> graph;
  if (absl::Status s = Load(id); !s.ok()) return s;
  {
    absl::MutexLock lock(&mutex);
    absl::StatusOr<ThreadPtr> found = Find(id);
    if (!found.ok()) return found.status();
    thread = *std::move(found);
    const auto it = graphs_.find(thread->info.graph);
    if (it == graphs_.end()) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "thread '%s' has no graph yet that could say what an update means; "
          "run one on it, or create it with ThreadOptions::graph",
          id));
    }
    graph = it->second;
  }
  if (options.at.has_value()) {
    if (absl::Status s = GetState(id, options).status(); !s.ok()) return s;
  }
  {
    absl::MutexLock lock(&mutex);
    if (absl::Status s = BeginChange(*thread); !s.ok()) return s;
  }
  return Change(thread, *graph, std::move(options), {{std::move(update)}});
}

absl::StatusOr<CheckpointRef> Service::Change(
    const ThreadPtr& thread, const Graph& graph, StateOptions options,
    std::vector<std::vector<StateUpdate>> supersteps) {
  absl::StatusOr<CheckpointRef> made = graph.UpdateState(
      OptionsFor(thread->info.id, std::move(options)), std::move(supersteps));
  if (made.ok()) {
    Refresh(thread, graph);
    Later later;
    absl::MutexLock lock(&mutex);
    ThreadRecord record{ThreadRecord::Kind::kState, nullptr, made->id, graph};
    if (thread->running == nullptr) {
      Record(*thread, std::move(record), &later);
    } else {
      thread->held_records.push_back(std::move(record));
    }
    SaveThread(*thread, &later);
  }
  EndChange(thread);
  return made;
}

void Service::Refresh(const ThreadPtr& thread, const Graph& graph) {
  absl::StatusOr<StateSnapshot> state =
      graph.GetState(OptionsFor(thread->info.id, {}));
  if (!state.ok()) return;
  absl::MutexLock lock(&mutex);
  thread->checkpoint = state->ref.id;
  thread->state_due = false;
  std::swap(thread->info.values, state->values);
  thread->info.interrupts = std::move(state->interrupts);
  thread->info.state_updated_at = executor->Now();
  if (state->next.empty()) thread->verdict = ThreadStatus::kIdle;
  Touch(*thread);
}

absl::StatusOr<std::vector<RunInfo>> Service::ListRuns(const ThreadId& id,
                                                       const RunQuery& query) {
  if (query.limit < 1) {
    return absl::InvalidArgumentError("RunQuery::limit must be at least 1");
  }
  if (absl::Status s = Load(id); !s.ok()) return s;
  absl::MutexLock lock(&mutex);
  absl::StatusOr<ThreadPtr> thread = Find(id);
  if (!thread.ok()) return thread.status();
  std::vector<RunInfo> runs;
  size_t skip = query.offset;
  const std::vector<RunPtr>& all = (*thread)->runs;
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    const RunInfo& info = (*it)->info;
    if (query.status.has_value() && *query.status != info.status) continue;
    if (!Contains(info.metadata, query.metadata)) continue;
    if (skip > 0) {
      --skip;
    } else if (runs.size() < query.limit) {
      runs.push_back(Show(**it));
    }
  }
  return runs;
}

// Whether a checkpoint of another run, or an update, follows one of this; or a
// later run has done something after one of this, or after another's with what
// this has done there.
absl::StatusOr<bool> Service::IsBuiltOn(const ServedRun& run) {
  absl::StatusOr<std::vector<CheckpointTuple>> all;
  const absl::Status asked =
      AwaitStatus([this, &run, &all](Checkpointer::StatusDone done) {
        CheckpointQuery query;
        query.thread = run.thread->info.id;
        checkpointer->List(
            std::move(query),
            [&all, done = std::move(done)](
                absl::StatusOr<std::vector<CheckpointTuple>> list) mutable {
              all = std::move(list);
              done(absl::OkStatus());
            });
      });
  if (!asked.ok() || !all.ok()) return all.status();
  std::set<RunId> later;
  {
    absl::MutexLock lock(&mutex);
    for (const RunPtr& other : run.thread->runs) {
      if (other->first_id > run.first_id) later.insert(other->id());
    }
  }
  std::set<std::pair<std::string, CheckpointId>> own;
  for (const CheckpointTuple& tuple : *all) {
    const Checkpoint& checkpoint = tuple.checkpoint;
    const bool made = checkpoint.metadata.run_id == run.id();
    if (made) own.emplace(checkpoint.ns, checkpoint.id);
    if ((made || HasWrites(tuple, {run.id()})) && HasWrites(tuple, later)) {
      return true;
    }
  }
  return std::any_of(all->begin(), all->end(),
                     [&own, &run](const CheckpointTuple& tuple) {
                       const Checkpoint& checkpoint = tuple.checkpoint;
                       return checkpoint.metadata.run_id != run.id() &&
                              own.contains({checkpoint.ns, checkpoint.parent});
                     });
}

bool Service::IsLastThatRan(const ServedRun& run) const {
  const std::vector<RunPtr>& all = run.thread->runs;
  return run.info.started_at.has_value() &&
         std::none_of(all.begin(), all.end(), [&run](const RunPtr& other) {
           return other->info.started_at.has_value() &&
                  other->first_id > run.first_id;
         });
}

// The run's row and its events go from the store; its checkpoints stay.
absl::Status Service::DropRow(const ServedRun& run) {
  if (!IsStored(*run.thread)) return absl::OkStatus();
  return SaveAndWait(*run.thread, [&run] {
    RunCommit commit;
    commit.dropped_runs.push_back(run.id());
    return commit;
  });
}

absl::Status Service::DeleteRun(const ThreadId& thread, const RunId& id) {
  absl::StatusOr<RunPtr> found = FindRun(thread, id);
  if (!found.ok()) return found.status();
  const RunPtr run = *std::move(found);
  bool keeps = !run->stored;
  {
    absl::MutexLock lock(&mutex);
    if (run->unfinished()) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "run '%s' is %s: cancel it first, and wait until it has stopped", id,
          RunStatusName(run->info.status)));
    }
    // What another run has begun from stays.
    keeps |= run->thread->info.status == ThreadStatus::kBusy;
    if (!keeps) {
      if (absl::Status s = BeginChange(*run->thread); !s.ok()) return s;
    }
  }
  if (keeps) {
    absl::Status dropped = DropRow(*run);
    Later later;
    absl::MutexLock lock(&mutex);
    if (dropped.ok()) ForgetRun(run, &later);
    return dropped;
  }
  absl::StatusOr<bool> built_on = IsBuiltOn(*run);
  absl::Status deleted = built_on.status();
  if (deleted.ok() && *built_on) deleted = DropRow(*run);
  if (deleted.ok() && !*built_on) {
    deleted = AwaitStatus([this, &id](Checkpointer::StatusDone done) {
      checkpointer->DeleteRuns({id}, std::move(done));
    });
    if (deleted.ok() && run->graph.has_value()) {
      Refresh(run->thread, *run->graph);
    }
  }
  if (deleted.ok()) {
    Later later;
    absl::MutexLock lock(&mutex);
    ServedThread& on = *run->thread;
    // A question is open again that it had answered.
    if (IsLastThatRan(*run) && !on.info.interrupts.empty()) {
      on.verdict = ThreadStatus::kInterrupted;
      Touch(on);
    }
    ForgetRun(run, &later);
  }
  EndChange(run->thread);
  return deleted;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
