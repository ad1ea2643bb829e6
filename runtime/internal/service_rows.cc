// What a store keeps of threads and runs, and how it comes back.
//
// Where the checkpointer has a RunStore, a run is stored before its id is
// returned, and again when it begins, is cancelled and ends. One that is stored
// as unfinished when its graph is registered was left by another process: it
// goes on, as another attempt if it had begun. A thread is brought here, with
// its runs, when somebody first asks for it.

#include <algorithm>
#include <limits>

#include "absl/strings/str_format.h"
#include "absl/synchronization/blocking_counter.h"

#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/service.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// Where the ids of an attempt's events begin, of a run that keeps none.
uint64_t FirstEventOf(int attempt) {
  return static_cast<uint64_t>(attempt - 1) << 40;
}

// The output channels of a graph, of all of its channels.
Values OutputOf(const CompiledGraph& graph, const Values& all) {
  Values output(graph.names);
  for (const Values::Item& item : all.items()) {
    if (graph.in_output[item.channel]) output.Add(item.channel, item.value);
  }
  return output;
}

// How many answers are waited for at once: many, and not all that a store has.
// Events may be megabytes for each run.
constexpr size_t kCallsAtOnce = 1'000;
constexpr size_t kRunsAtOnce = 50;

absl::Status GraphMissing(const ServedRun& run) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "run '%s' is of graph '%s', which is not registered; call Register() "
      "first",
      run.id(), run.info.graph));
}

}  // namespace

SavedThreadInfo Service::Describe(const ServedThread& thread) {
  const ThreadInfo& info = thread.info;
  return {.created_at = info.created_at,
          .updated_at = info.updated_at,
          .state_updated_at = info.state_updated_at,
          .metadata = info.metadata,
          .graph = info.graph,
          .ttl = info.ttl,
          .verdict = thread.verdict,
          .next_id = std::max(thread.next_id, thread.stored_next_id)};
}

SavedRunInfo Service::Describe(const ServedRun& run) {
  SavedRunInfo saved{.info = run.info,
                     .cancelled = run.cancelled,
                     .first_id = run.first_id,
                     .retention = run.retention,
                     .max_events = run.max_events,
                     .max_bytes = run.max_bytes,
                     .window = run.window,
                     .begins = run.begins,
                     .end = run.end,
                     .checkpoint = run.checkpoint,
                     .end_event = run.end_event,
                     .asks = run.asks};
  if (run.outcome != nullptr) saved.error = run.outcome->error;
  return saved;
}

ThreadRow Service::RowOf(const ServedThread& thread) {
  return {thread.info.id, EncodeThreadInfo(Describe(thread))};
}

RunRow Service::RowOf(const ServedRun& run) {
  return {run.id(), run.thread->info.id, run.unfinished(),
          EncodeRunInfo(Describe(run))};
}

void Service::Save(const ServedThread& thread, RunCommit&& commit,
                   RunStore::StatusDone done, Later* later) {
  gate->Enter();
  thread.line->Add(std::move(commit),
                   [self = shared_from_this(), done = std::move(done)](
                       const absl::Status& status) mutable {
                     if (done) done(status);
                     done = nullptr;
                     self->gate->Leave();
                   });
  later->Do([line = thread.line] { line->Send(); });
}

// If this fails, so does what the thread or the run stores next.
void Service::SaveThread(ServedThread& thread, Later* later) {
  if (!IsStored(thread) || thread.deleted) return;
  RunCommit commit;
  commit.threads.push_back(RowOf(thread));
  Save(thread, std::move(commit), nullptr, later);
}

void Service::SaveRun(const ServedRun& run, Later* later) {
  if (!IsStored(*run.thread) || run.thread->deleted || run.deleted) return;
  RunCommit commit;
  commit.runs.push_back(RowOf(run));
  Save(*run.thread, std::move(commit), nullptr, later);
}

absl::Status Service::SaveThreadAndWait(const ServedThread& thread) {
  if (!IsStored(thread)) return absl::OkStatus();
  return SaveAndWait(thread, [&thread] {
    RunCommit commit;
    commit.threads.push_back(RowOf(thread));
    return commit;
  });
}

absl::Status Service::SaveAndWait(const ServedThread& thread,
                                  absl::FunctionRef<RunCommit()> make) {
  absl::Status result;
  absl::Notification done;
  {
    Later later;
    absl::MutexLock lock(&mutex);
    Save(
        thread, make(),
        [&result, &done](const absl::Status& status) {
          result = status;
          done.Notify();
        },
        &later);
  }
  done.WaitForNotification();
  return result;
}

template <class T>
absl::StatusOr<T> Service::AwaitRows(
    absl::FunctionRef<void(RunStore::Done<T>)> start) const {
  absl::StatusOr<T> result;
  absl::Notification done;
  start([&result, &done](absl::StatusOr<T> given) {
    result = std::move(given);
    done.Notify();
  });
  // Not by RunUntil(), which may run a node meanwhile, for as long as it takes.
  done.WaitForNotification();
  return result;
}

template <class T>
std::vector<absl::StatusOr<T>> Service::AwaitEach(
    size_t count,
    absl::FunctionRef<void(size_t, RunStore::Done<T>)> start) const {
  std::vector<absl::StatusOr<T>> results(count);
  absl::BlockingCounter left(static_cast<int>(count));
  for (size_t i = 0; i < count; ++i) {
    start(i, [&results, &left, i](absl::StatusOr<T> given) {
      results[i] = std::move(given);
      left.DecrementCount();
    });
  }
  left.Wait();
  return results;
}

void Service::LoadAhead(std::vector<ThreadId> all) {
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  for (size_t at = 0; at < all.size(); at += kCallsAtOnce) {
    std::vector<ThreadId> ids;
    uint64_t forgotten = 0;
    {
      absl::MutexLock lock(&mutex);
      const size_t end = std::min(all.size(), at + kCallsAtOnce);
      for (size_t i = at; i < end; ++i) {
        if (!threads_.contains(all[i])) ids.push_back(all[i]);
      }
      forgotten = forgotten_;
    }
    using Found = std::optional<ThreadRows>;
    const auto stored =
        AwaitEach<Found>(ids.size(), [this, &ids](size_t i, auto done) {
          rows->GetThread(ids[i], std::move(done));
        });
    absl::MutexLock lock(&mutex);
    for (const absl::StatusOr<Found>& found : stored) {
      if (forgotten != forgotten_) break;
      if (!found.ok() || !found->has_value()) continue;
      const ThreadRows& thread = **found;
      if (threads_.contains(thread.thread.thread)) continue;
      AddLoaded(thread).IgnoreError();  // Load() will tell.
    }
  }
}

absl::Status Service::Load(const ThreadId& id, bool with_state) {
  if (rows == nullptr || id.empty()) return absl::OkStatus();
  while (true) {
    uint64_t forgotten = 0;
    ThreadPtr here;
    {
      absl::MutexLock lock(&mutex);
      const auto it = threads_.find(id);
      if (it != threads_.end()) here = it->second;
      forgotten = forgotten_;
    }
    if (here != nullptr) {
      if (with_state) ReadState(here);
      return absl::OkStatus();
    }
    using Found = std::optional<ThreadRows>;
    const absl::StatusOr<Found> stored = AwaitRows<Found>(
        [this, &id](auto done) { rows->GetThread(id, std::move(done)); });
    if (!stored.ok()) return stored.status();
    if (!stored->has_value()) return absl::OkStatus();
    absl::MutexLock lock(&mutex);
    if (forgotten != forgotten_ || threads_.contains(id)) continue;
    if (absl::Status s = AddLoaded(**stored); !s.ok()) return s;
  }
}

absl::Status Service::LoadRun(const RunId& id) {
  if (rows == nullptr) return absl::OkStatus();
  {
    absl::MutexLock lock(&mutex);
    if (runs_.contains(id)) return absl::OkStatus();
  }
  using Found = std::optional<RunRow>;
  const absl::StatusOr<Found> stored = AwaitRows<Found>(
      [this, &id](auto done) { rows->GetRun(id, std::move(done)); });
  if (!stored.ok()) return stored.status();
  return stored->has_value() ? Load((*stored)->thread) : absl::OkStatus();
}

absl::Status Service::AddLoaded(const ThreadRows& stored) {
  SavedThreadInfo saved;
  absl::Status s = DecodeThreadInfo(stored.thread.record, &saved);
  if (!s.ok()) {
    return {s.code(), absl::StrFormat("the row of thread '%s': %s",
                                      stored.thread.thread, s.message())};
  }
  auto thread = std::make_shared<ServedThread>(rows);
  thread->info = InfoOf(stored.thread.thread, saved);
  thread->verdict = saved.verdict;
  thread->next_id = thread->stored_next_id = saved.next_id;
  thread->state_due = true;
  for (const RunRow& row : stored.runs) {
    s = AddLoadedRun(thread, row);
    if (s.ok()) continue;
    for (const RunPtr& run : thread->runs) {
      runs_.erase(std::string_view(run->id()));
    }
    thread->runs.clear();  // They and it keep each other.
    pending_ -= thread->pending.size();
    thread->pending.clear();
    return {s.code(), absl::StrFormat("thread '%s', run '%s': %s", row.thread,
                                      row.run, s.message())};
  }
  threads_.emplace(thread->info.id, thread);
  Touch(*thread);
  // By a clock that has been set back since, it is not of the future.
  thread->info.updated_at = std::min(saved.updated_at, executor->Now());
  WatchTtl(thread);
  return absl::OkStatus();
}

absl::Status Service::AddLoadedRun(const ThreadPtr& thread, const RunRow& row) {
  SavedRunInfo saved;
  if (absl::Status s = DecodeRunInfo(row.record, &saved); !s.ok()) return s;
  RunInfo info = std::move(saved.info);
  info.id = row.run;
  if (row.unfinished) {
    // Whatever it has come to, it comes to again. It waits no longer than it
    // was to at first, by a clock that may have been set back since.
    absl::Duration after = info.start_after - info.created_at;
    if (info.status == RunStatus::kRunning) {
      ++info.attempt;
      after = absl::ZeroDuration();
    }
    info.start_after = std::min(info.start_after, executor->Now() + after);
    info.status = RunStatus::kPending;
  }
  StartOptions options;
  options.modes = info.modes;
  options.resumable = info.resumable;
  options.retention = saved.retention;
  options.max_events = saved.max_events;
  options.max_bytes = saved.max_bytes;
  options.window = saved.window;
  std::optional<Graph> graph;
  if (const auto it = graphs_.find(info.graph); it != graphs_.end()) {
    graph = it->second;
  }
  auto run = std::make_shared<ServedRun>(shared_from_this(), thread,
                                         std::move(graph), std::move(info),
                                         Input::Continue(), std::move(options));
  run->cancelled = saved.cancelled;
  run->first_id = saved.first_id;
  run->begins = std::move(saved.begins);
  run->asks = std::move(saved.asks);
  run->events_due = run->resumable;
  if (!run->resumable) run->log.BeginAt(FirstEventOf(run->info.attempt));
  if (row.unfinished) {
    run->held_back = true;
    thread->next_id = std::max(thread->next_id, saved.first_id + 1);
    Enqueue(run);
  } else {
    run->end = saved.end;
    run->checkpoint = saved.checkpoint;
    run->end_event = saved.end_event;
    run->closed_with = saved.error;
    run->outcome = std::make_unique<RunOutcome>(
        RunOutcome{run->info.status, {}, {}, saved.error});
    run->outcome_due = true;
    run->announced = run->answered = true;
    Retain(run);
  }
  runs_.emplace(run->id(), run);
  thread->runs.push_back(std::move(run));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ThreadInfo>> Service::AllThreads(
    const ThreadQuery& query) {
  std::vector<ThreadInfo> all;
  if (rows != nullptr) {
    const absl::StatusOr<std::vector<ThreadRow>> stored =
        AwaitRows<std::vector<ThreadRow>>(
            [this](auto done) { rows->ListThreads(std::move(done)); });
    if (!stored.ok()) return stored.status();
    for (const ThreadRow& row : *stored) {
      {
        absl::MutexLock lock(&mutex);
        if (threads_.contains(row.thread)) continue;
      }
      if (!query.values.empty()) {
        if (absl::Status s = Load(row.thread); !s.ok()) return s;
        continue;
      }
      SavedThreadInfo saved;
      if (absl::Status s = DecodeThreadInfo(row.record, &saved); !s.ok()) {
        return s;
      }
      all.push_back(InfoOf(row.thread, saved));
    }
  }
  absl::MutexLock lock(&mutex);
  for (const auto& [id, thread] : threads_) {
    if (!thread->deleted && !thread->temporary) all.push_back(thread->info);
  }
  return all;
}

// Brings what a thread shows from the store, once there is a graph to read it.
void Service::ReadState(const ThreadPtr& thread) {
  std::optional<Graph> graph;
  {
    absl::MutexLock lock(&mutex);
    if (!thread->state_due) return;
    const auto it = graphs_.find(thread->info.graph);
    if (it == graphs_.end()) return;
    graph = it->second;
  }
  absl::StatusOr<StateSnapshot> state =
      graph->GetState(OptionsFor(thread->info.id, {}));
  if (!state.ok()) return;  // It is tried again.
  Values values = OutputOf(graph->compiled(), state->values);
  absl::MutexLock lock(&mutex);
  // A run may have ended meanwhile, and know better.
  if (!std::exchange(thread->state_due, false)) return;
  thread->checkpoint = state->ref.id;
  std::swap(thread->info.values, values);
  thread->info.interrupts = std::move(state->interrupts);
}

absl::Status Service::ReadOutcome(const RunPtr& run) {
  std::optional<Graph> graph;
  RunOutcome outcome;
  {
    absl::MutexLock lock(&mutex);
    if (!run->outcome_due) return absl::OkStatus();
    if (!run->graph.has_value()) return GraphMissing(*run);
    graph = run->graph;
    outcome = *run->outcome;
  }
  if (!run->asks.empty()) {
    absl::Status s =
        DecodeInterrupts(graph->compiled(), run->asks, &outcome.interrupts);
    if (!s.ok()) {
      return {s.code(), absl::StrFormat("run '%s', what it asks: %s", run->id(),
                                        s.message())};
    }
  }
  if (run->checkpoint.has_value()) {
    StateOptions at;
    at.at = CheckpointRef{run->thread->info.id, "", run->checkpoint, {}};
    absl::StatusOr<StateSnapshot> state =
        graph->GetState(OptionsFor(run->thread->info.id, std::move(at)));
    if (!state.ok()) return state.status();
    if (!state->ref.id.has_value()) {
      return absl::NotFoundError(absl::StrFormat(
          "run '%s': the checkpoint %s, which it left, is not stored any more",
          run->id(), run->checkpoint.ToString()));
    }
    outcome.values = OutputOf(graph->compiled(), state->values);
  }
  absl::MutexLock lock(&mutex);
  if (std::exchange(run->outcome_due, false)) {
    *run->outcome = std::move(outcome);
  }
  return absl::OkStatus();
}

absl::Status Service::ReadEvents(const RunPtr& run) {
  {
    absl::MutexLock lock(&mutex);
    if (!run->events_due || run->expired) return absl::OkStatus();
  }
  return TakeEvents(run, AwaitRows<std::vector<EventRow>>([&](auto done) {
                      rows->ListEvents(run->id(), 0, std::move(done));
                    }));
}

absl::Status Service::TakeEvents(
    const RunPtr& run, const absl::StatusOr<std::vector<EventRow>>& stored) {
  std::optional<Graph> graph;
  {
    absl::MutexLock lock(&mutex);
    if (!run->events_due || run->expired) return absl::OkStatus();
    if (!run->graph.has_value()) return GraphMissing(*run);
    graph = run->graph;
  }
  if (!stored.ok()) return stored.status();
  std::vector<Event> events;
  uint64_t next = stored->empty() ? run->end_event : stored->front().first;
  const uint64_t first = next;
  for (const EventRow& row : *stored) {
    std::vector<std::string> batch;
    absl::Status s = DecodeBatch(row.record, &batch);
    if (s.ok() && (row.first != next || row.count != batch.size())) {
      s = absl::DataLossError("they do not follow those before");
    }
    for (size_t i = 0; s.ok() && i < batch.size(); ++i) {
      s = DecodeEvent(graph->compiled(), batch[i], &events.emplace_back());
    }
    if (!s.ok()) {
      return {s.code(), absl::StrFormat("run '%s', the events from %d on: %s",
                                        run->id(), row.first, s.message())};
    }
    next += row.count;
  }
  Later later;
  absl::MutexLock lock(&mutex);
  if (!std::exchange(run->events_due, false)) return absl::OkStatus();
  run->log.BeginAt(first);
  run->log.Open();
  for (Event& event : events) {
    const uint32_t mode = event.mode();
    run->log.Deliver(mode, std::move(event));
  }
  if (run->announced) run->log.Close(run->closed_with, std::nullopt);
  return absl::OkStatus();
}

// What fails here does so again for the run alone.
void Service::ReadEventsAhead(const std::vector<RunPtr>& all) {
  std::vector<RunPtr> runs;
  for (const RunPtr& run : all) {
    if (run->resumable) runs.push_back(run);
  }
  for (size_t at = 0; at < runs.size(); at += kRunsAtOnce) {
    const size_t count = std::min(kRunsAtOnce, runs.size() - at);
    using Found = std::vector<EventRow>;
    const auto stored =
        AwaitEach<Found>(count, [this, &runs, at](size_t i, auto done) {
          rows->ListEvents(runs[at + i]->id(), 0, std::move(done));
        });
    for (size_t i = 0; i < count; ++i) {
      TakeEvents(runs[at + i], stored[i]).IgnoreError();
    }
  }
}

absl::StatusOr<bool> Service::HasOwnCheckpoint(const ServedRun& run) {
  using Found = std::optional<CheckpointTuple>;
  const absl::StatusOr<Found> latest = AwaitRows<Found>([&](auto done) {
    checkpointer->Get({run.thread->info.id, "", std::nullopt}, std::move(done));
  });
  if (!latest.ok()) return latest.status();
  return latest->has_value() &&
         (*latest)->checkpoint.metadata.run_id == run.id();
}

// Gives a run that was found in the store what it begins with.
absl::Status Service::MakeReady(const RunPtr& run) {
  if (absl::Status s = ReadEvents(run); !s.ok()) return s;
  auto beginning = std::make_unique<ServedRun::Beginning>(
      ServedRun::Beginning{Input::Continue(), {}});
  StartOptions& options = beginning->options;
  absl::Status s = DecodeBeginning(run->graph->compiled(), run->begins,
                                   &beginning->input, &options);
  if (!s.ok()) {
    return {s.code(), absl::StrFormat("run '%s', what it begins with: %s",
                                      run->id(), s.message())};
  }
  if (options.from.has_value()) {
    // Once it has gone there, it goes on from where it has got to.
    const absl::StatusOr<bool> began = HasOwnCheckpoint(*run);
    if (!began.ok()) return began.status();
    if (*began) options.from.reset();
  }
  RunInfo info;
  {
    absl::MutexLock lock(&mutex);
    info = Show(*run);
  }
  options.modes = info.modes;
  options.subgraphs = info.subgraphs;
  options.store = store;
  if (options_.on_recover) options_.on_recover(info, options);
  Later later;
  absl::MutexLock lock(&mutex);
  run->on_end = std::move(options.on_end);
  run->beginning = std::move(beginning);
  run->held_back = false;
  Schedule(run->thread, &later);
  return absl::OkStatus();
}

// Threads that are to live for a time end though nobody asks for them.
absl::Status Service::LoadMortal() {
  {
    absl::MutexLock lock(&mutex);
    if (std::exchange(mortal_loaded_, true)) return absl::OkStatus();
  }
  const absl::StatusOr<std::vector<ThreadRow>> all =
      AwaitRows<std::vector<ThreadRow>>(
          [this](auto done) { rows->ListThreads(std::move(done)); });
  if (!all.ok()) return all.status();
  absl::Status first;
  std::vector<ThreadId> mortal;
  for (const ThreadRow& row : *all) {
    SavedThreadInfo saved;
    first.Update(DecodeThreadInfo(row.record, &saved));
    if (saved.ttl.has_value()) mortal.push_back(row.thread);
  }
  LoadAhead(mortal);
  for (const ThreadId& thread : mortal) {
    first.Update(Load(thread, /*with_state=*/false));
  }
  return first;
}

absl::Status Service::Recover(const std::string& graph) {
  if (rows == nullptr) return absl::OkStatus();
  const absl::StatusOr<std::vector<RunRow>> unfinished =
      AwaitRows<std::vector<RunRow>>(
          [this](auto done) { rows->ListUnfinished(std::move(done)); });
  if (!unfinished.ok()) return unfinished.status();
  absl::Status first = LoadMortal();
  std::vector<const RunRow*> of_graph;
  std::vector<ThreadId> threads;
  for (const RunRow& row : *unfinished) {
    SavedRunInfo saved;
    absl::Status s = DecodeRunInfo(row.record, &saved);
    first.Update(s);
    if (!s.ok() || saved.info.graph != graph) continue;
    of_graph.push_back(&row);
    threads.push_back(row.thread);
  }
  LoadAhead(std::move(threads));
  std::vector<RunPtr> found;
  for (const RunRow* const row : of_graph) {
    first.Update(Load(row->thread, /*with_state=*/false));
    absl::MutexLock lock(&mutex);
    const auto it = runs_.find(row->run);
    if (it == runs_.end() || !it->second->held_back ||
        it->second->begins.empty()) {
      continue;
    }
    it->second->graph = graphs_.at(graph);
    found.push_back(it->second);
  }
  // None goes on before all are here, or the store would have more to do.
  ReadEventsAhead(found);
  for (const RunPtr& run : found) {
    {
      absl::MutexLock lock(&mutex);
      if (run->deleted || !run->unfinished()) continue;
    }
    first.Update(MakeReady(run));  // The others go on.
  }
  return first;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
