#include "weir/runtime/internal/service.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_format.h"

#include "weir/channels/internal/json_text.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/end_signal.h"

// How the runs of a thread follow one another.
//
// One mutex guards the tables of threads and runs and all that is in them. It
// is held for a few assignments at a time, and never while user code or a store
// is called, or somebody is woken: what follows from a change is noted in a
// Later, which acts once the mutex is free. (Under it jobs are given to the
// executor, which does not run them there.)
//
// A run goes through these:
//
//   Admit      checked and in the tables, pending; its thread is busy. Where
//              threads are stored, it is held back until it is
//   Schedule   the thread's next run is marked running...
//   Launch     ...and begins on the executor
//   Ended      its last superstep is over and stored
//   Settle     its status, and what it left on its thread, in one step
//   Announce   its stream is closed, then whoever joined is answered
//   GoOn       the thread's stream tells; the next run is scheduled
//
// ServedThread::running is set from Schedule to GoOn, so that neither runs nor
// what is told of them overlap. Who was told of a run's end may change the
// thread at once: that waits for no more than the status.
namespace weir {
inline namespace v0 {
namespace internal {
namespace {

Event ControlEvent(EventPayload payload) {
  return Event(kControl,
               Ref<EventBody>::Adopt(new EventBody(std::move(payload))));
}

RunLog::Options LogOptions(const StartOptions& options, Service& service) {
  RunLog::Options log;
  log.log.pool = &service.pool;
  log.log.reclaimer = &service.reclaimer;
  log.log.resumable = options.resumable;
  log.log.recorded_modes = options.modes | kControl;
  if (options.resumable) {
    log.max_events = options.max_events;
    log.max_bytes = options.max_bytes;
  } else {
    log.log.window = options.window;
  }
  return log;
}

RunOptions ToRunOptions(StartOptions&& from) {
  RunOptions to;
  to.modes = from.modes;
  to.subgraphs = from.subgraphs;
  to.recursion_limit = from.recursion_limit;
  to.max_concurrency = from.max_concurrency;
  to.on_failure = from.on_failure;
  to.step_timeout = from.step_timeout;
  to.store = from.store;
  to.context = std::move(from.context);
  to.durability = from.durability;
  to.max_async_lag = from.max_async_lag;
  to.from = std::move(from.from);
  to.interrupt_before = std::move(from.interrupt_before);
  to.interrupt_after = std::move(from.interrupt_after);
  return to;
}

constexpr uint32_t kRunsModes =
    kValues | kUpdates | kCustom | kTasks | kCheckpoints | kDebug | kMessages;

absl::Status CheckOptions(const std::string& graph, const StartOptions& of) {
  const std::pair<bool, const char*> rules[] = {
      {(of.modes & ~kRunsModes) == 0, "modes has a bit that is no StreamMode"},
      {of.recursion_limit >= 1, "recursion_limit must be at least 1"},
      {of.max_concurrency >= 0, "max_concurrency must not be negative"},
      {of.max_async_lag >= 1, "max_async_lag must be at least 1"},
      {of.step_timeout > absl::ZeroDuration(), "step_timeout must be positive"},
      {of.timeout > absl::ZeroDuration(), "timeout must be positive"},
      {of.after >= absl::ZeroDuration(), "after must not be negative"},
      {of.retention >= absl::ZeroDuration(), "retention must not be negative"},
      {of.resumable || of.window >= 1, "window must be at least 1"},
      {of.resumable || (of.max_events == 0 && of.max_bytes == 0),
       "max_events and max_bytes limit what a resumable run keeps; set "
       "resumable"},
  };
  for (const auto& [holds, text] : rules) {
    if (holds) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("a run of graph '%s' cannot be started: "
                        "StartOptions::%s",
                        graph, text));
  }
  return absl::OkStatus();
}

absl::Status CheckStops(const Graph& graph, const StartOptions& of) {
  const auto& nodes = graph.compiled().node_index;
  for (const auto* stops : {&of.interrupt_before, &of.interrupt_after}) {
    for (const std::string& node : *stops) {
      if (node == "*" || nodes.contains(node)) continue;
      return absl::InvalidArgumentError(
          absl::StrFormat("a run is to be interrupted at '%s', which is no "
                          "node of graph '%s'; correct the name",
                          node, graph.compiled().name));
    }
  }
  return absl::OkStatus();
}

std::string JsonText(std::string_view text) {
  std::string json;
  AppendJsonString(text, &json);
  return json;
}

absl::Status RolledBackError(const RunId& run) {
  return MakeError(
      ErrorKind::kRollback, absl::StatusCode::kAborted,
      absl::StrFormat("run '%s' was rolled back: what its stream showed is "
                      "void, and the thread is as before it",
                      run));
}

}  // namespace

ServedRun::ServedRun(std::shared_ptr<Service> of, ThreadPtr on,
                     std::optional<Graph> runs, RunInfo about,
                     Input begins_with, StartOptions how)
    : service(std::move(of)),
      thread(std::move(on)),
      graph(std::move(runs)),
      modes(how.modes),
      resumable(how.resumable),
      stored(!thread->temporary),
      window(how.window),
      max_events(how.max_events),
      max_bytes(how.max_bytes),
      log(LogOptions(how, *service)),
      beginning(new Beginning{std::move(begins_with), std::move(how)}),
      info(std::move(about)),
      retention(beginning->options.retention),
      on_end(std::move(beginning->options.on_end)) {}

Ref<Run> ServedRun::Make(std::shared_ptr<RunEnv> env) {
  auto made =
      Ref<Run>::Adopt(new Run(graph->shared(), std::move(env), this, nullptr));
  made->MakeStoppable();
  return made;
}

absl::StatusOr<RunOutcome> ServedRun::Answer() const {
  if (!rolled_back.ok()) return rolled_back;
  return *outcome;
}

void ServedRun::Left(RunStream::Rep& reader, bool before_end) {
  if (before_end && reader.cancels) Cancel();
}

void ServedRun::Cancel() {
  // By interrupt, which nothing can refuse.
  (void)service->Cancel({shared_from_this()}, {});
}

RunStatus ServedRun::final_status() const {
  absl::MutexLock lock(&service->mutex);
  return info.status;
}

absl::StatusOr<RunResult> ServedRun::Result() {
  absl::StatusOr<RunOutcome> left = service->Wait(shared_from_this(), {});
  if (!left.ok()) return left.status();
  if (!left->error.ok()) return left->error;
  RunResult result(std::move(left->values));
  result.interrupts = std::move(left->interrupts);
  absl::MutexLock lock(&service->mutex);
  result.end = end;
  return result;
}

absl::Status ServedRun::Explain(absl::Status status) const {
  if (status.code() != absl::StatusCode::kDataLoss) return status;
  absl::MutexLock lock(&service->mutex);
  if (!deleted) return status;
  return absl::NotFoundError(
      absl::StrFormat("run '%s' was deleted while it was read", id()));
}

// What might throw is memory that is not there, which ends the process.
// NOLINTNEXTLINE(bugprone-exception-escape)
void ServedRun::RunEnded(Run& ended) noexcept {
  service->Ended(shared_from_this(), ended);
}

void ExecutorReclaimer::Reclaim(absl::AnyInvocable<void() &&> job) noexcept {
  {
    absl::MutexLock lock(&mutex_);
    if (executor_ != nullptr) {
      gate_->Enter();
      executor_->Post([gate = gate_, job = std::move(job)]() mutable {
        std::move(job)();
        gate->Leave();
      });
      return;
    }
  }
  std::move(job)();
}

Service::Service(RuntimeOptions options)
    : reclaimer(options.executor, gate),
      executor(options.executor),
      checkpointer(options.checkpointer),
      store(options.store),
      rows(checkpointer->runs()),
      options_(std::move(options)) {}

absl::Status Service::Open() const {
  if (!closed_) return absl::OkStatus();
  return absl::UnavailableError("the Runtime is ending, and starts no runs");
}

absl::Status Service::Check(const NewRun& run) {
  const StartOptions& options = run.options;
  if (absl::Status s = Open(); !s.ok()) return s;
  absl::StatusOr<Graph> graph = FindGraph(run.graph);
  if (!graph.ok()) return graph.status();
  if (absl::Status s = CheckOptions(run.graph, options); !s.ok()) return s;
  if (absl::Status s = CheckStops(*graph, options); !s.ok()) return s;
  if (options.multitask == MultitaskStrategy::kRollback &&
      !checkpointer->capabilities().delete_runs) {
    return absl::UnimplementedError(absl::StrFormat(
        "a run of graph '%s' is to roll others back, and the checkpointer "
        "cannot delete runs; choose another MultitaskStrategy",
        run.graph));
  }
  if (run.thread.empty()) return absl::OkStatus();
  absl::StatusOr<ThreadPtr> thread = Find(run.thread);
  if (!thread.ok()) {
    if (options.if_not_exists == IfNotExists::kReject) return thread.status();
    if (!threads_.contains(run.thread)) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrFormat(
        "thread '%s' is being deleted; start the run once it is gone",
        run.thread));
  }
  if ((*thread)->temporary) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "thread '%s' is that of a stateless run, and goes with it; start the "
        "run on another thread, or on none",
        run.thread));
  }
  if (options.multitask != MultitaskStrategy::kReject) return absl::OkStatus();
  for (const RunPtr& other : (*thread)->runs) {
    if (!other->unfinished()) continue;
    return absl::FailedPreconditionError(absl::StrFormat(
        "thread '%s' is busy with run '%s', and MultitaskStrategy::kReject "
        "refuses to wait; join that run first, or choose another strategy",
        run.thread, other->id()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RunInfo>> Service::Start(std::vector<NewRun> runs) {
  std::vector<RunInfo> started;
  absl::StatusOr<std::vector<RunPtr>> admitted = AdmitAndWait(
      std::move(runs), [&started](const std::vector<RunPtr>& added) {
        for (const RunPtr& run : added) started.push_back(Show(*run));
      });
  if (!admitted.ok()) return admitted.status();
  return started;
}

void Service::Start(NewRun run,
                    absl::AnyInvocable<void(absl::StatusOr<RunInfo>)> done) {
  if (absl::Status s = Load(run.thread); !s.ok()) return done(std::move(s));
  std::vector<NewRun> runs;
  runs.push_back(std::move(run));
  auto info = std::make_shared<RunInfo>();
  Admit(
      std::move(runs),
      [&info](const std::vector<RunPtr>& added) { *info = Show(*added[0]); },
      [info, done = std::move(done)](
          absl::StatusOr<std::vector<RunPtr>> admitted) mutable {
        if (!admitted.ok()) return done(admitted.status());
        done(std::move(*info));
      });
}

absl::StatusOr<RunPtr> Service::StartOne(NewRun run) {
  std::vector<NewRun> runs;
  runs.push_back(std::move(run));
  absl::StatusOr<std::vector<RunPtr>> admitted = AdmitAndWait(
      std::move(runs), [](const std::vector<RunPtr>& /*added*/) {});
  if (!admitted.ok()) return admitted.status();
  return admitted->front();
}

absl::StatusOr<std::shared_ptr<RunStream::Rep>> Service::Stream(NewRun run) {
  const bool cancels = run.options.on_disconnect == OnDisconnect::kCancel;
  std::vector<NewRun> runs;
  runs.push_back(std::move(run));
  absl::StatusOr<Cursor<Event>> cursor;
  absl::StatusOr<std::vector<RunPtr>> admitted = AdmitAndWait(
      std::move(runs), [this, &cursor](const std::vector<RunPtr>& added) {
        mutex.AssertHeld();
        const CursorOptions all{.mask = added[0]->modes | kControl,
                                .on_lag = OnLag::kFail};
        cursor = Attach(added[0], all);
      });
  if (!admitted.ok()) return admitted.status();
  if (!cursor.ok()) return cursor.status();
  return MakeReader(admitted->front(), *std::move(cursor), cancels);
}

absl::StatusOr<std::vector<RunPtr>> Service::AdmitAndWait(
    std::vector<NewRun> runs,
    absl::FunctionRef<void(const std::vector<RunPtr>&)> added) {
  for (const NewRun& run : runs) {
    if (absl::Status s = Load(run.thread); !s.ok()) return s;
  }
  absl::StatusOr<std::vector<RunPtr>> result;
  EndSignal done;
  Admit(std::move(runs), added, [&](absl::StatusOr<std::vector<RunPtr>> given) {
    result = std::move(given);
    done.End();
  });
  // Where nothing is stored it is there already.
  if (!done.ended()) done.notification().WaitForNotification();
  return result;
}

void Service::Admit(std::vector<NewRun> runs,
                    absl::FunctionRef<void(const std::vector<RunPtr>&)> added,
                    RunsDone done) {
  for (NewRun& run : runs) {
    if (absl::Status s = Encode(run); !s.ok()) return done(std::move(s));
  }
  std::vector<RunPtr> all;
  absl::Status refused;
  {
    Later later;
    absl::MutexLock lock(&mutex);
    for (const NewRun& run : runs) refused.Update(Check(run));
    RunCommit commit;
    for (size_t i = 0; refused.ok() && i < runs.size(); ++i) {
      const RunPtr& made = all.emplace_back(Add(std::move(runs[i])));
      if (!IsStored(*made->thread)) continue;
      commit.threads.push_back(RowOf(*made->thread));
      commit.runs.push_back(RowOf(*made));
    }
    if (refused.ok()) added(all);
    if (!commit.runs.empty()) {
      // Several are of new threads each, which nobody has yet.
      return Save(
          *all.front()->thread, std::move(commit),
          [self = shared_from_this(), all,
           done = std::move(done)](const absl::Status& stored) mutable {
            self->Admitted(all, stored);
            if (!stored.ok()) return done(stored);
            done(std::move(all));
          },
          &later);
    }
    for (const RunPtr& run : all) LetBegin(run, &later);
  }
  if (!refused.ok()) return done(std::move(refused));
  done(std::move(all));
}

// What a store would keep of what the run begins with. Without the mutex:
// codecs are the host's. An unknown graph is refused later.
absl::Status Service::Encode(NewRun& run) {
  const bool stateless =
      run.thread.empty() && run.options.on_completion == OnCompletion::kDelete;
  if (rows == nullptr || stateless) return absl::OkStatus();
  absl::StatusOr<Graph> graph;
  {
    absl::MutexLock lock(&mutex);
    graph = FindGraph(run.graph);
  }
  if (!graph.ok()) return absl::OkStatus();
  absl::Status s =
      EncodeBeginning(graph->compiled(), run.input, run.options, &run.begins);
  if (s.ok()) return s;
  return {s.code(), absl::StrFormat("a run of graph '%s' cannot be stored: %s",
                                    run.graph, s.message())};
}

void Service::Admitted(const std::vector<RunPtr>& runs,
                       const absl::Status& stored) {
  Later later;
  absl::MutexLock lock(&mutex);
  if (!stored.ok()) return Withdraw(runs, &later);
  for (const RunPtr& run : runs) LetBegin(run, &later);
}

// The new run is stored, if it is to be: what it takes the place of gives way.
void Service::LetBegin(const RunPtr& run, Later* later) {
  const MultitaskStrategy strategy = run->info.multitask;
  const bool undoes = strategy == MultitaskStrategy::kRollback;
  if (undoes || strategy == MultitaskStrategy::kInterrupt) {
    const std::vector<RunPtr> others = run->thread->runs;
    for (const RunPtr& other : others) {
      if (other == run) break;  // Those that come later.
      CancelOne(other,
                undoes ? CancelAction::kRollback : CancelAction::kInterrupt,
                later);
    }
  }
  run->held_back = false;
  Schedule(run->thread, later);
}

// The runs have not been stored, and were never there; nor was a thread that
// was made for one.
void Service::Withdraw(const std::vector<RunPtr>& runs, Later* later) {
  for (const RunPtr& run : runs) {
    const ThreadPtr& thread = run->thread;
    run->closed_with = absl::UnavailableError(
        absl::StrFormat("run '%s' could not be stored", run->id()));
    run->announced = run->answered = true;
    later->Do([run] { run->log.Close(run->closed_with, std::nullopt); });
    run->info.status = RunStatus::kError;
    run->outcome = std::make_unique<RunOutcome>(
        RunOutcome{RunStatus::kError, {}, {}, run->closed_with});
    pending_ -= std::erase(thread->pending, run);
    if (run->start_timer != 0) executor->Cancel(run->start_timer);
    const bool made_for_it = thread->made_for == run->id();
    ForgetRun(run, later);
    if (made_for_it && thread->runs.empty()) {
      Forget(thread, later);
    } else {
      Touch(*thread);
      Schedule(thread, later);
    }
  }
}

RunPtr Service::Add(NewRun run) {
  StartOptions& options = run.options;
  if (options.modes == 0) options.modes = kValues;
  if (options.store == nullptr) options.store = store;
  const Graph graph = graphs_.at(run.graph);
  const auto found = threads_.find(run.thread);
  ThreadPtr thread;
  const RunId id = NewId();
  if (found != threads_.end()) {
    thread = found->second;
  } else {
    ThreadInfo made;
    made.id = run.thread.empty() ? NewId() : run.thread;
    made.metadata = options.metadata;
    thread = AddThread(std::move(made));
    thread->temporary =
        run.thread.empty() && options.on_completion == OnCompletion::kDelete;
    thread->made_for = id;
  }
  RunInfo info;
  info.id = id;
  info.graph = std::move(run.graph);
  info.metadata = options.metadata;
  info.metadata.insert(thread->info.metadata.begin(),
                       thread->info.metadata.end());
  info.modes = options.modes;
  info.subgraphs = options.subgraphs;
  info.resumable = options.resumable;
  info.multitask = options.multitask;
  info.created_at = info.updated_at = executor->Now();
  info.start_after = info.created_at + options.after;
  auto added = std::make_shared<ServedRun>(
      shared_from_this(), thread, graph, std::move(info), std::move(run.input),
      std::move(options));
  added->begins = std::move(run.begins);
  added->held_back = true;
  if (added->resumable) added->log.Open();
  runs_.emplace(added->id(), added);
  thread->runs.push_back(added);
  thread->info.metadata.try_emplace("graph_id", JsonText(added->info.graph));
  Enqueue(added);
  Touch(*thread);
  return added;
}

void Service::Enqueue(const RunPtr& run) {
  ServedThread& thread = *run->thread;
  const auto after =
      std::find_if(thread.pending.begin(), thread.pending.end(),
                   [&run](const RunPtr& other) {
                     return other->info.start_after > run->info.start_after;
                   });
  thread.pending.insert(after, run);
  ++pending_;
  const absl::Duration wait = run->info.start_after - executor->Now();
  if (wait <= absl::ZeroDuration()) return;
  run->start_timer =
      executor->PostAfter(wait, [self = shared_from_this(), run] {
        Later later;
        absl::MutexLock lock(&self->mutex);
        self->Schedule(run->thread, &later);
      });
}

void Service::Schedule(const ThreadPtr& thread, Later* later) {
  if (thread->running != nullptr || thread->changing || thread->deleted ||
      closed_ || thread->pending.empty()) {
    return;
  }
  const RunPtr run = thread->pending.front();
  if (run->held_back) return;  // Who lets it begin will come here.
  const absl::Time now = executor->Now();
  if (run->info.start_after > now) return;  // Its timer will come here.
  thread->pending.erase(thread->pending.begin());
  --pending_;
  thread->running = run;
  ++running_;
  run->info.status = RunStatus::kRunning;
  run->info.started_at = run->info.updated_at = now;
  if (run->stored) {
    run->before = std::make_unique<ServedRun::Before>(ServedRun::Before{
        thread->verdict, thread->info.graph, thread->info.values,
        thread->info.interrupts, thread->checkpoint,
        thread->state_due || run->info.attempt > 1});
  }
  thread->info.graph = run->info.graph;
  Record(*thread, {ThreadRecord::Kind::kStarted, run}, later);
  SaveRun(*run, later);
  later->Do([self = shared_from_this(), run] { self->Launch(run); });
}

void Service::Launch(const RunPtr& run) {
  const std::unique_ptr<ServedRun::Beginning> begins =
      std::move(run->beginning);
  const absl::Duration timeout = begins->options.timeout;
  RunOptions options = ToRunOptions(std::move(begins->options));
  options.executor = executor;
  options.control = &run->control;
  options.run_id = run->id();
  options.thread_id = run->thread->info.id;
  if (run->stored) options.checkpointer = checkpointer;
  Ref<Run> made;
  {
    absl::MutexLock lock(&mutex);
    if (run->stored) options.metadata = run->info.metadata;
    const bool by_itself = options.durability != Durability::kExit;
    const auto env = std::make_shared<RunEnv>(std::move(options), executor);
    if (run->resumable && IsStored(*run->thread)) {
      run->log.StoreWith(std::make_shared<DurableEvents>(
          run->thread->line, run->id(), run->graph->shared(), &run->log,
          executor, gate, run->log.Open().next_id(), by_itself));
    }
    env->is_again = run->info.attempt > 1;
    env->counts = &counts_;
    const EventLog<Event>* const log = run->log.if_open();
    run->counted_from = log == nullptr ? run->log.first_id() : log->next_id();
    env->Watch(&run->log);
    made = run->run = run->Make(env);
    if (timeout < absl::InfiniteDuration()) WatchTimeout(run, timeout);
    // No node has seen it.
    if (run->cancelled.has_value() || closed_) made->Cancel();
  }
  run->log.Publish(kControl,
                   ControlEvent(RunMetadata{run->id(), run->info.attempt}));
  executor->Post([made, input = std::move(begins->input)]() mutable {
    made->Begin(std::move(input));
  });
}

void Service::WatchTimeout(const RunPtr& run, absl::Duration timeout) {
  run->timeout_timer =
      executor->CallAfter(timeout, [self = shared_from_this(), run] {
        Ref<Run> late;
        {
          absl::MutexLock lock(&self->mutex);
          // What stops a run first says how it ends.
          if (run->cancelled.has_value()) return;
          late = run->run;
          run->timed_out = true;
        }
        if (late) late->Cancel();
      });
}

// Stopping.

void Service::CancelOne(const RunPtr& run, CancelAction action, Later* later) {
  const bool undoes = action == CancelAction::kRollback;
  if (run->info.status == RunStatus::kPending) {
    const absl::Status why = absl::CancelledError(
        absl::StrFormat("run '%s' was cancelled before it began", run->id()));
    return EndPending(run, why, undoes, later);
  }
  if (run->info.status != RunStatus::kRunning || run->decided) return;
  if (undoes || !run->cancelled.has_value()) {
    run->cancelled = action;
    SaveRun(*run, later);
  }
  if (run->run) later->Do([under_way = run->run] { under_way->Cancel(); });
}

void Service::EndPending(const RunPtr& run, const absl::Status& why,
                         bool undoes, Later* later) {
  const ThreadPtr& thread = run->thread;
  pending_ -= std::erase(thread->pending, run);
  if (run->start_timer != 0) executor->Cancel(run->start_timer);
  if (undoes) {
    Undo(run, later);
  } else {
    run->info.status = RunStatus::kInterrupted;
    run->info.ended_at = run->info.updated_at = executor->Now();
    run->outcome = std::make_unique<RunOutcome>(
        RunOutcome{RunStatus::kInterrupted, thread->info.values, {}, why});
  }
  Touch(*thread);
  auto tell = [self = shared_from_this(), run] {
    self->Announce(run);
    if (!run->thread->temporary) return;
    Later after;
    absl::MutexLock lock(&self->mutex);
    self->Forget(run->thread, &after);
  };
  // What the Runtime's end keeps from beginning stays stored, for the next.
  if (!IsStored(*thread) || closed_) return later->Do(std::move(tell));
  RunCommit commit;
  if (undoes) {
    commit.dropped_runs.push_back(run->id());
  } else {
    commit.runs.push_back(RowOf(*run));
  }
  Save(
      *thread, std::move(commit),
      [tell = std::move(tell)](const absl::Status& /*status*/) mutable {
        tell();
      },
      later);
}

absl::Status Service::Cancel(const std::vector<RunPtr>& runs,
                             const CancelOptions& options) {
  if (options.action == CancelAction::kRollback &&
      !checkpointer->capabilities().delete_runs) {
    return absl::UnimplementedError(
        "runs cannot be rolled back: the checkpointer cannot delete runs; "
        "cancel with CancelAction::kInterrupt");
  }
  {
    Later later;
    absl::MutexLock lock(&mutex);
    for (const RunPtr& run : runs) CancelOne(run, options.action, &later);
  }
  if (!options.wait) return absl::OkStatus();
  for (const RunPtr& run : runs) {
    const absl::StatusOr<RunOutcome> left = Wait(run, {});
    // Aborted: it is gone, as it should be.
    if (!left.ok() && !absl::IsAborted(left.status())) return left.status();
  }
  return absl::OkStatus();
}

absl::Status Service::CancelMany(const CancelQuery& query,
                                 const CancelOptions& options) {
  const bool by_status = query.status.has_value() || query.all;
  if (by_status == !query.runs.empty()) {
    return absl::InvalidArgumentError(
        "CancelQuery names runs, or it has a status or all: one of these");
  }
  if (query.status.has_value() && *query.status != RunStatus::kPending &&
      *query.status != RunStatus::kRunning) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "runs that are '%s' cannot be cancelled: CancelQuery::status is "
        "kPending or kRunning",
        RunStatusName(*query.status)));
  }
  std::vector<RunPtr> runs;
  for (const RunId& id : query.runs) {
    absl::StatusOr<RunPtr> run = FindRun(query.thread, id);
    if (!run.ok()) return run.status();
    runs.push_back(*std::move(run));
  }
  if (by_status) {
    absl::MutexLock lock(&mutex);
    for (const auto& [id, run] : runs_) {
      if (run->unfinished() &&
          (query.all || run->info.status == *query.status)) {
        runs.push_back(run);
      }
    }
  }
  return Cancel(runs, options);
}

// Ending.

// What stops a run before its last superstep has ended says how it ends, though
// nothing may be left to do; what comes later is too late. A failure is one in
// any case.
absl::Status Service::Verdict(const ServedRun& run, const Run& ended,
                              RunStatus* verdict) {
  const absl::Status& status = ended.status();
  *verdict = status.ok() ? RunStatus::kSuccess : RunStatus::kError;
  const bool stopped =
      status.ok() ? ended.stopped() : absl::IsCancelled(status);
  if (!stopped) return status;
  if (run.timed_out) {
    *verdict = RunStatus::kTimeout;
    return MakeError(
        ErrorKind::kRunTimeout, absl::StatusCode::kDeadlineExceeded,
        absl::StrFormat(
            "run '%s' of graph '%s' took longer than StartOptions::timeout%s",
            run.id(), run.info.graph,
            run.thread->temporary ? "" : "; its thread can be continued"));
  }
  if (run.cancelled.has_value()) {
    *verdict = RunStatus::kInterrupted;
    return absl::CancelledError(
        absl::StrFormat("run '%s' was cancelled", run.id()));
  }
  if (closed_) {
    *verdict = RunStatus::kInterrupted;
    return absl::UnavailableError(absl::StrFormat(
        "run '%s' was stopped because its Runtime has ended; %s", run.id(),
        IsStored(*run.thread) ? "the next one goes on with it"
                              : "its thread can be continued"));
  }
  return status;
}

void Service::Ended(const RunPtr& run, Run& ended) {
  // Not under the mutex: it takes as long as the state has channels.
  RunOutcome outcome;
  outcome.values = ended.ReadAll(&ended.graph().in_output);
  outcome.interrupts = ended.interrupts();
  std::string asks;
  if (rows != nullptr && run->stored && !outcome.interrupts.empty()) {
    // They were stored with the checkpoint, by the same codecs.
    EncodeInterrupts(ended.graph(), outcome.interrupts, &asks).IgnoreError();
  }
  bool undoes = false;
  {
    Ref<Run> dropped;
    Later later;
    absl::MutexLock lock(&mutex);
    run->decided = true;
    undoes = run->cancelled == CancelAction::kRollback;
    outcome.error = Verdict(*run, ended, &outcome.status);
    if (!outcome.error.ok()) outcome.interrupts.clear();  // It has not paused.
    run->end = ended.end();
    run->checkpoint = ended.last_checkpoint();
    dropped = std::move(run->run);
    if (run->timeout_timer != 0) executor->Cancel(run->timeout_timer);
    // The next Runtime goes on with it.
    const bool left = closed_ && outcome.status == RunStatus::kInterrupted &&
                      !run->cancelled.has_value();
    if (DurableEvents* const events = run->log.durable(); left && events) {
      events->Drop();
    }
    if (!undoes && !left && IsStored(*run->thread)) {
      DurableEvents* const events = run->log.durable();
      std::optional<Event> last;
      if (events != nullptr && (outcome.status == RunStatus::kError ||
                                outcome.status == RunStatus::kTimeout)) {
        last = ControlEvent(RunError{outcome.error});
      }
      if (events == nullptr) {
        RunCommit end = EndOf(run, outcome, std::move(asks));
        Save(*run->thread, std::move(end), StoredEnd(run, std::move(outcome)),
             &later);
        return;
      }
      // Not under the mutex, as it is encoded.
      later.Do([self = shared_from_this(), run, last = std::move(last),
                outcome = std::move(outcome),
                asks = std::move(asks)]() mutable {
        if (last.has_value()) run->log.Publish(kControl, *std::move(last));
        self->SaveEnd(run, std::move(outcome), std::move(asks));
      });
      return;
    }
    if (!undoes) Settle(run, std::move(outcome), &later);
  }
  if (undoes) return RollBack(run);
  Announce(run);
  GoOn(run);
}

// Of a run with durable events, all of which have been published.
void Service::SaveEnd(const RunPtr& run, RunOutcome outcome, std::string asks) {
  DurableEvents* const events = run->log.durable();
  Later later;
  absl::MutexLock lock(&mutex);
  // Added under the mutex: what the thread's row says is its newest.
  RunCommit end = EndOf(run, outcome, std::move(asks));
  events->Add(std::move(end), StoredEnd(run, std::move(outcome)));
  later.Do([run, events] { events->Send(); });
}

RunStore::StatusDone Service::StoredEnd(const RunPtr& run, RunOutcome outcome) {
  return [self = shared_from_this(), run,
          outcome = std::move(outcome)](const absl::Status& status) mutable {
    self->EndStored(run, std::move(outcome), status);
  };
}

void Service::EndStored(const RunPtr& run, RunOutcome outcome,
                        const absl::Status& stored) {
  {
    Later later;
    absl::MutexLock lock(&mutex);
    if (!stored.ok() && outcome.error.ok()) {
      outcome.status = RunStatus::kError;
      outcome.error = stored;
      outcome.interrupts.clear();
    }
    Settle(run, std::move(outcome), &later);
  }
  Announce(run);
  GoOn(run);
}

RunCommit Service::EndOf(const RunPtr& run, const RunOutcome& outcome,
                         std::string asks) {
  ServedThread& thread = *run->thread;
  const absl::Time now = executor->Now();
  if (DurableEvents* const events = run->log.durable()) {
    run->end_event = events->next_id();
  } else if (const EventLog<Event>* const log = run->log.if_open()) {
    run->end_event = log->next_id() + 1;  // With an error.
  }
  SavedRunInfo saved = Describe(*run);
  saved.info.status = outcome.status;
  saved.info.ended_at = saved.info.updated_at = now;
  saved.begins.clear();
  saved.error = outcome.error;
  if (!saved.checkpoint.has_value()) saved.checkpoint = thread.checkpoint;
  if (!outcome.interrupts.empty()) saved.asks = std::move(asks);
  // Until the run has settled its thread is busy, and shows no verdict.
  thread.verdict = VerdictOf(outcome, run->end);
  thread.stored_next_id =
      std::max(thread.stored_next_id, thread.next_id + run->end_event +
                                          thread.held_records.size() + 2);
  SavedThreadInfo on = Describe(thread);
  on.updated_at = on.state_updated_at = now;
  RunCommit commit;
  commit.threads.push_back({thread.info.id, EncodeThreadInfo(on)});
  commit.runs.push_back(
      {run->id(), thread.info.id, /*unfinished=*/false, EncodeRunInfo(saved)});
  return commit;
}

ThreadStatus Service::VerdictOf(const RunOutcome& outcome, RunEnd end) {
  if (outcome.status == RunStatus::kError ||
      outcome.status == RunStatus::kTimeout) {
    return ThreadStatus::kError;
  }
  return outcome.status == RunStatus::kSuccess && end != RunEnd::kFinished
             ? ThreadStatus::kInterrupted
             : ThreadStatus::kIdle;
}

void Service::Settle(const RunPtr& run, RunOutcome outcome, Later* later) {
  ServedThread& thread = *run->thread;
  const absl::Time now = executor->Now();
  // A run that failed before it had read the thread has none of its values.
  const bool has_read = run->checkpoint.has_value() || !run->stored;
  if (outcome.status != RunStatus::kSuccess &&
      (outcome.values.empty() || !has_read)) {
    outcome.values = thread.info.values;
  }
  run->info.status = outcome.status;
  run->info.ended_at = run->info.updated_at = now;
  run->begins = std::string();
  // What it was may end here, which is for its owner's code to do.
  later->Do([values = std::exchange(thread.info.values, outcome.values),
             before = std::move(run->before)]() mutable { values = Values(); });
  thread.info.interrupts = outcome.interrupts;
  thread.info.state_updated_at = now;
  if (run->checkpoint.has_value()) thread.checkpoint = run->checkpoint;
  run->checkpoint = thread.checkpoint;
  thread.verdict = VerdictOf(outcome, run->end);
  thread.state_due = false;
  run->outcome = std::make_unique<RunOutcome>(std::move(outcome));
  Touch(thread);
}

void Service::RollBack(const RunPtr& run) {
  if (DurableEvents* const events = run->log.durable()) events->Drop();
  if (!run->stored) return RolledBack(run, absl::OkStatus());
  checkpointer->DeleteRuns(
      {run->id()}, [self = shared_from_this(), run](const absl::Status& done) {
        self->RolledBack(run, done);
      });
}

void Service::RolledBack(const RunPtr& run, const absl::Status& deleted) {
  {
    Later later;
    absl::MutexLock lock(&mutex);
    if (deleted.ok()) {
      ServedThread& thread = *run->thread;
      if (run->stored) {
        thread.verdict = run->before->verdict;
        thread.info.graph = std::move(run->before->graph);
        std::swap(thread.info.values, run->before->values);
        thread.info.interrupts = std::move(run->before->interrupts);
        thread.checkpoint = run->before->checkpoint;
        thread.state_due = run->before->state_due;
      }
      run->checkpoint = thread.checkpoint;
      thread.info.state_updated_at = executor->Now();
      Undo(run, &later);
      Touch(thread);
    } else {
      Settle(run, {RunStatus::kError, {}, {}, deleted}, &later);
    }
  }
  Announce(run);
  GoOn(run);
}

// The run is gone.
void Service::Undo(const RunPtr& run, Later* later) {
  run->info.status = RunStatus::kInterrupted;
  run->info.ended_at = run->info.updated_at = executor->Now();
  run->rolled_back = RolledBackError(run->id());
  ForgetRun(run, later);
}

void Service::Announce(const RunPtr& run) {
  std::optional<Event> last;
  std::vector<std::shared_ptr<JoinCall>> joins;
  {
    absl::MutexLock lock(&mutex);
    const bool undone = !run->rolled_back.ok();
    run->closed_with = undone ? run->rolled_back : run->outcome->error;
    // Of one whose events are stored the error is, or cannot be.
    if (undone || (run->log.durable() == nullptr &&
                   (run->info.status == RunStatus::kError ||
                    run->info.status == RunStatus::kTimeout))) {
      last = ControlEvent(RunError{run->closed_with});
    }
    if (run->thread->deleted) {
      run->closed_with = absl::NotFoundError(
          absl::StrFormat("run '%s' was deleted with its thread '%s'",
                          run->id(), run->thread->info.id));
    }
    run->announced = true;
  }
  // Nobody opens it now: see Attach().
  run->log.Close(run->closed_with, std::move(last));
  std::unique_ptr<EventLog<Event>> dropped;
  {
    absl::MutexLock lock(&mutex);
    joins.swap(run->joins);
    run->answered = true;
    if (const EventLog<Event>* const log = run->log.if_open()) {
      run->end_event = log->next_id();
      if (run->counted_from.has_value()) {
        ended_.events += run->end_event - *run->counted_from;
      }
    }
    Count(run->info.status);
    if (run->thread->running == run) ++ending_;
    if (run->resumable) {
      Retain(run);
    } else {
      dropped = run->log.Take();
    }
  }
  for (const std::shared_ptr<JoinCall>& join : joins) {
    join->Answer(run->Answer());
  }
  CallOnEnd(run);
}

void Service::Count(RunStatus ended) {
  switch (ended) {
    case RunStatus::kPending:
    case RunStatus::kRunning:
      break;  // It has ended.
    case RunStatus::kSuccess:
      ++ended_.succeeded;
      break;
    case RunStatus::kError:
      ++ended_.failed;
      break;
    case RunStatus::kTimeout:
      ++ended_.timed_out;
      break;
    case RunStatus::kInterrupted:
      ++ended_.interrupted;
      break;
  }
}

RuntimeCounters Service::Counters() {
  RuntimeCounters counters;
  {
    absl::MutexLock lock(&mutex);
    counters = ended_;
    counters.pending = pending_;
    counters.running = running_ - ending_;
    counters.threads = threads_.size();
  }
  counters.supersteps = counts_.supersteps.load(std::memory_order_relaxed);
  counters.tasks = counts_.tasks.load(std::memory_order_relaxed);
  counters.store = checkpointer->counters();
  return counters;
}

void Service::CallOnEnd(const RunPtr& run) {
  if (!run->on_end || !run->rolled_back.ok()) return;
  gate->Enter();
  executor->Post([self = shared_from_this(), run = RunPtr(run)]() mutable {
    RunInfo info;
    {
      absl::MutexLock lock(&self->mutex);
      info = Show(*run);
    }
    run->on_end(info, *run->outcome);
    run->on_end = nullptr;
    run = nullptr;  // Before whoever waits at the gate goes on.
    self->gate->Leave();
  });
}

void Service::GoOn(const RunPtr& run) {
  Later later;
  absl::MutexLock lock(&mutex);
  const ThreadPtr& thread = run->thread;
  Record(*thread, {ThreadRecord::Kind::kDone, run}, &later);
  Record(*thread,
         {ThreadRecord::Kind::kState, run, run->checkpoint, *run->graph},
         &later);
  for (ThreadRecord& held : std::exchange(thread->held_records, {})) {
    Record(*thread, std::move(held), &later);
  }
  thread->running = nullptr;
  if (absl::Notification* const quiet = thread->quiet;
      quiet != nullptr && !thread->changing) {
    thread->quiet = nullptr;
    later.Do([quiet] { quiet->Notify(); });
  }
  if (thread->temporary) {
    Forget(thread, &later);
  } else {
    Schedule(thread, &later);
  }
  --ending_;
  if (--running_ == 0 && idle_ != nullptr) {
    later.Do([idle = std::exchange(idle_, nullptr)] { idle->Notify(); });
  }
}

// Keeps the events of a run that has ended for a while.
void Service::Retain(const RunPtr& run) {
  if (run->retention == absl::InfiniteDuration() || run->deleted || closed_) {
    return;
  }
  // No longer than that, if the clock has been set back since its end.
  const absl::Duration left =
      *run->info.ended_at + run->retention - executor->Now();
  run->retention_timer = executor->PostAfter(
      std::clamp(left, absl::ZeroDuration(), run->retention),
      [self = shared_from_this(), run] {
        std::unique_ptr<EventLog<Event>> dropped;
        Later later;
        absl::MutexLock lock(&self->mutex);
        // The log of a deleted run goes with the run: whoever deletes it may
        // be dropping its events right now.
        if (run->deleted) return;
        run->expired = true;
        dropped = run->log.Take();
        if (!self->IsStored(*run->thread) || self->closed_) return;
        RunCommit commit;
        commit.dropped_events.emplace_back(run->id(),
                                           std::numeric_limits<int64_t>::max());
        self->Save(*run->thread, std::move(commit), nullptr, &later);
      });
}

absl::Status Service::Drain(absl::Duration deadline) {
  absl::Notification over;
  {
    absl::MutexLock lock(&mutex);
    closed_ = true;
    for (const auto& [id, thread] : threads_) {
      if (thread->running == nullptr) continue;
      thread->running->control.RequestDrain("the Runtime is drained");
    }
    if (running_ == 0) return absl::OkStatus();
    idle_ = &over;
  }
  // Short, and not to wait for a worker that a node has.
  const Executor::TimerId timer =
      executor->CallAfter(deadline, [self = shared_from_this(), &over] {
        absl::MutexLock lock(&self->mutex);
        if (self->idle_ != &over) return;  // It is told already.
        self->idle_ = nullptr;
        over.Notify();
      });
  if (!executor->RunUntil(over)) over.WaitForNotification();
  executor->Cancel(timer);
  RunId late;
  Later later;
  absl::MutexLock lock(&mutex);
  for (const auto& [id, thread] : threads_) {
    if (thread->running == nullptr) continue;
    late = thread->running->id();
    if (!thread->running->run) continue;
    later.Do([stops = thread->running->run] { stops->Cancel(); });
  }
  if (late.empty()) return absl::OkStatus();
  return absl::DeadlineExceededError(absl::StrFormat(
      "run '%s' and perhaps others have not come to a barrier in %s; their "
      "nodes have been asked to stop",
      late, absl::FormatDuration(deadline)));
}

bool Service::Shutdown() {
  absl::Notification idle;
  {
    Later later;
    absl::MutexLock lock(&mutex);
    closed_ = true;
    for (const auto& [id, thread] : threads_) {
      if (thread->ttl_timer != 0) executor->Cancel(thread->ttl_timer);
      const std::vector<RunPtr> pending = thread->pending;
      for (const RunPtr& run : pending) {
        EndPending(
            run,
            absl::UnavailableError(absl::StrFormat(
                "run '%s' had not begun when its Runtime ended", run->id())),
            /*undoes=*/false, &later);
      }
      if (thread->running != nullptr) {
        if (options_.on_shutdown == OnShutdown::kDrain) {
          thread->running->control.RequestDrain("the Runtime ends");
        } else if (thread->running->run) {
          later.Do([stops = thread->running->run] { stops->Cancel(); });
        }
      }
      WakeReaders(*thread, &later);
    }
    for (const auto& [id, run] : runs_) {
      if (run->retention_timer != 0) executor->Cancel(run->retention_timer);
    }
    if (running_ == 0) {
      idle.Notify();
    } else {
      idle_ = &idle;
    }
  }
  if (!executor->RunUntil(idle)) {
    absl::MutexLock lock(&mutex);
    idle_ = nullptr;
    return false;
  }
  reclaimer.Close();
  absl::Notification unread;
  gate->WhenEmpty(&unread);
  if (!executor->RunUntil(unread)) unread.WaitForNotification();
  // They and this keep each other.
  Threads threads;
  Runs runs;
  absl::MutexLock lock(&mutex);
  threads.swap(threads_);
  runs.swap(runs_);
  for (const auto& [id, thread] : threads) {
    thread->runs.clear();  // Which `runs` has.
    thread->first_record += thread->records.size();
    thread->records.clear();
  }
  return true;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
