// Those who ask for a run, wait for its end or read its events.

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "weir/runtime/internal/service.h"
#include "weir/runtime/internal/state_json.h"

namespace weir {
inline namespace v0 {
namespace internal {

absl::StatusOr<RunPtr> Service::FindRun(const ThreadId& thread,
                                        const RunId& id) {
  if (absl::Status s = thread.empty() ? LoadRun(id) : Load(thread); !s.ok()) {
    return s;
  }
  absl::MutexLock lock(&mutex);
  if (!thread.empty()) {
    if (absl::Status s = Find(thread).status(); !s.ok()) return s;
  }
  const auto it = runs_.find(id);
  if (it == runs_.end() ||
      (!thread.empty() && it->second->thread->info.id != thread)) {
    return absl::NotFoundError(absl::StrFormat(
        "run '%s' is not there%s; it was never started, or is deleted", id,
        thread.empty() ? "" : absl::StrFormat(" on thread '%s'", thread)));
  }
  return it->second;
}

absl::StatusOr<RunInfo> Service::GetRun(const ThreadId& thread,
                                        const RunId& id) {
  absl::StatusOr<RunPtr> run = FindRun(thread, id);
  if (!run.ok()) return run.status();
  absl::MutexLock lock(&mutex);
  return Show(**run);
}

RunInfo Service::Show(const ServedRun& run) {
  RunInfo info = run.info;
  info.thread_id = run.thread->info.id;
  return info;
}

void Service::Join(const RunPtr& run, const JoinOptions& options,
                   JoinCall::Done done) {
  if (absl::Status s = ReadOutcome(run); !s.ok()) {
    return Answer(std::move(done), std::move(s));
  }
  auto posted = [self = shared_from_this(), done = std::move(done)](
                    absl::StatusOr<RunOutcome> outcome) mutable {
    self->Answer(std::move(done), std::move(outcome));
  };
  AddJoin(run, options,
          std::make_shared<JoinCall>(std::move(posted), Leaver(run, options)));
}

void Service::Answer(JoinCall::Done done, absl::StatusOr<RunOutcome> answer) {
  gate->Enter();
  executor->Post([inside = gate, done = std::move(done),
                  answer = std::move(answer)]() mutable {
    std::exchange(done, nullptr)(std::move(answer));
    inside->Leave();
  });
}

absl::StatusOr<RunOutcome> Service::Wait(const RunPtr& run,
                                         const JoinOptions& options) {
  if (absl::Status s = ReadOutcome(run); !s.ok()) return s;
  absl::Notification answered;
  absl::StatusOr<RunOutcome> answer;
  auto call = std::make_shared<JoinCall>(
      [&answered, &answer](absl::StatusOr<RunOutcome> outcome) {
        answer = std::move(outcome);
        answered.Notify();
      },
      Leaver(run, options));
  AddJoin(run, options, call);
  // A run that has ended may be asked without its Runtime.
  if (answered.HasBeenNotified()) return answer;
  gate->Enter();
  const bool ends = executor->RunUntil(answered);
  gate->Leave();
  if (ends) return answer;
  if (call->Abandon()) {
    return absl::InternalError(absl::StrFormat(
        "run '%s' waits for something that never comes: nothing is left to "
        "run, and it has not ended",
        run->id()));
  }
  answered.WaitForNotification();
  return answer;
}

void Service::AddJoin(const RunPtr& run, const JoinOptions& options,
                      const std::shared_ptr<JoinCall>& call) {
  bool answered = false;
  {
    absl::MutexLock lock(&mutex);
    answered = run->answered;
    if (!answered) run->joins.push_back(call);
  }
  // Nothing of an answered run changes.
  if (answered) return call->Answer(run->Answer());
  call->LeaveOn(options.stop);
}

absl::AnyInvocable<void(JoinCall&)> Service::Leaver(
    const RunPtr& run, const JoinOptions& options) {
  return [run, cancels = options.cancel_on_disconnect](JoinCall& call) {
    {
      absl::MutexLock lock(&run->service->mutex);
      std::erase_if(run->joins,
                    [&call](const auto& join) { return join.get() == &call; });
    }
    if (cancels) run->Cancel();
  };
}

absl::StatusOr<Cursor<Event>> Service::Attach(const RunPtr& run,
                                              const CursorOptions& options) {
  const bool over = run->resumable ? run->expired : run->announced;
  absl::StatusOr<Cursor<Event>> cursor =
      over ? AttachToEnd(*run, options) : run->log.Open().Attach(options);
  if (cursor.ok()) return cursor;
  return absl::Status(cursor.status().code(),
                      absl::StrFormat("run '%s': %s", run->id(),
                                      std::string(cursor.status().message())));
}

// To a run of which no events are kept.
absl::StatusOr<Cursor<Event>> Service::AttachToEnd(const ServedRun& run,
                                                   CursorOptions options) {
  if (options.after.has_value()) {
    if (!run.resumable) {
      return absl::FailedPreconditionError(
          absl::StrFormat("no events were kept to go on from after event %d: "
                          "the run was not started resumable",
                          *options.after));
    }
    const auto end = static_cast<int64_t>(run.end_event);
    if (*options.after + 1 < end) {
      return absl::OutOfRangeError(absl::StrFormat(
          "the events after %d are not kept any more, nor are others; read "
          "the thread's state",
          *options.after));
    }
    if (*options.after >= end) {
      return absl::OutOfRangeError(
          absl::StrFormat("event %d is not reached: the newest is %d",
                          *options.after, end - 1));
    }
    options.after = std::nullopt;
  }
  EventLog<Event> log({.first_id = run.end_event});
  absl::StatusOr<Cursor<Event>> cursor = log.Attach(options);
  log.Close(run.closed_with);
  return cursor;
}

absl::StatusOr<std::shared_ptr<RunStream::Rep>> Service::Read(
    const RunPtr& run, const JoinStreamOptions& options) {
  const uint32_t modes = options.modes.value_or(run->modes);
  if ((modes & ~uint32_t{run->modes}) != 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "run '%s' does not publish '%s': it was started with '%s'", run->id(),
        absl::StrJoin(StreamModeNames(modes & ~uint32_t{run->modes}), ", "),
        absl::StrJoin(StreamModeNames(run->modes), ", ")));
  }
  if (options.last_event_id.has_value() && *options.last_event_id < -1) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%d is no event id of run '%s': give that of the last event seen, or "
        "-1 for all events",
        *options.last_event_id, run->id()));
  }
  if (absl::Status s = ReadEvents(run); !s.ok()) return s;
  CursorOptions place;
  place.mask = modes | kControl;
  place.after = options.last_event_id;
  place.on_lag = options.on_lag;
  if (options.backpressure > absl::ZeroDuration()) {
    // What a superstep publishes meanwhile has the other half.
    place.backpressure = std::max<uint64_t>(run->window / 2, 1);
    run->log.WaitUpTo(options.backpressure);
  }
  absl::MutexLock lock(&mutex);
  absl::StatusOr<Cursor<Event>> cursor = Attach(run, place);
  if (!cursor.ok()) return cursor.status();
  return MakeReader(run, *std::move(cursor), options.cancel_on_disconnect);
}

std::shared_ptr<RunStream::Rep> Service::MakeReader(const RunPtr& run,
                                                    Cursor<Event> cursor,
                                                    bool cancels) {
  auto reader =
      std::make_shared<RunStream::Rep>(run, std::move(cursor), executor, gate);
  reader->cancels = cancels;
  return reader;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
