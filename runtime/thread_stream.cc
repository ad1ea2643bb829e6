#include "weir/runtime/thread_stream.h"

#include <algorithm>
#include <ostream>
#include <utility>

#include "absl/strings/str_format.h"

#include "weir/runtime/internal/service.h"
#include "weir/runtime/internal/state_json.h"
#include "weir/runtime/internal/thread_reader.h"

namespace weir {
inline namespace v0 {
namespace {

using internal::JsonObject;
using internal::RunPtr;
using internal::ThreadPtr;
using internal::ThreadRecord;

using Kind = ThreadRecord::Kind;

struct AppendThreadPayload {
  std::string* out;

  void operator()(const Event& event) const { out->append(event.ToJson()); }
  void operator()(const RunStarted& started) const {
    JsonObject data(out);
    data.Text("run_id", started.run_id);
    data.Number("attempt", started.attempt);
  }
  void operator()(const RunDone& done) const {
    JsonObject data(out);
    data.Text("status", "run_done");
    data.Text("run_id", done.run_id);
  }
  void operator()(const StateUpdated& updated) const {
    std::string state = updated.state.ToJson();
    if (!updated.run_id.empty()) {
      state.pop_back();
      state.append(", \"run_id\": ");
      internal::AppendJsonString(updated.run_id, &state);
      state.push_back('}');
    }
    out->append(state);
  }
};

// The id in the thread's stream of an event of a run.
uint64_t IdOf(const internal::ServedRun& run, uint64_t event) {
  return run.first_id + 1 + event;
}

}  // namespace

absl::StatusOr<std::optional<int64_t>> ParseThreadEventId(
    std::string_view text) {
  if (text == "-") return std::optional<int64_t>(-1);
  absl::StatusOr<std::optional<int64_t>> id = ParseEventId(text);
  if (id.ok() && *id != -1) return id;
  return absl::InvalidArgumentError(absl::StrFormat(
      "'%s' is no id of a thread's stream: give that of the last event seen, a "
      "number that came with it, or - for all that is kept",
      text));
}

std::string_view ThreadEvent::name() const {
  if (const Event* event = As<Event>()) return event->name();
  return As<StateUpdated>() != nullptr ? "state_update" : "metadata";
}

std::string ThreadEvent::ToJson() const {
  std::string json;
  std::visit(AppendThreadPayload{&json}, payload);
  return json;
}

std::ostream& operator<<(std::ostream& out, const ThreadEvent& event) {
  return out << absl::StreamFormat("%-8s ", event.name()) << event.ToJson();
}

namespace internal {

uint64_t ServedThread::end_id() const {
  if (running == nullptr) return next_id;
  EventLog<Event>* const log = running->log.if_open();
  return next_id + (log == nullptr ? running->end_event : log->next_id());
}

// Adds a record, and lets go of those that are over for too long.
void Service::Record(ServedThread& thread, ThreadRecord record, Later* later) {
  DropOld(thread, later);
  record.time = executor->Now();
  if (record.kind == Kind::kDone) {
    thread.next_id += record.run->end_event;
    record.status = record.run->info.status;
  }
  record.id = thread.next_id++;
  if (record.kind == Kind::kStarted) {
    record.run->first_id = record.id;
    for (ThreadStream::Rep* const reader : thread.readers) {
      reader->WillStart(record.run, thread.end_record());
    }
  }
  thread.records.push_back(std::move(record));
  WakeReaders(thread, later);
}

bool Service::EnterStore() {
  absl::MutexLock lock(&mutex);
  if (!closed_) gate->Enter();
  return !closed_;
}

void Service::DropOld(ServedThread& thread, Later* later) {
  const absl::Time keep = executor->Now() - options_.thread_retention;
  size_t drop = 0;
  for (size_t i = 0; i < thread.records.size(); ++i) {
    const ThreadRecord& record = thread.records[i];
    if (record.time >= keep) break;
    // A run's start goes with its end.
    if (record.kind != Kind::kStarted) drop = i + 1;
  }
  if (drop == 0) return;
  std::vector<ThreadRecord> old(
      std::make_move_iterator(thread.records.begin()),
      std::make_move_iterator(thread.records.begin() +
                              static_cast<ptrdiff_t>(drop)));
  thread.records.erase(thread.records.begin(),
                       thread.records.begin() + static_cast<ptrdiff_t>(drop));
  thread.first_record += drop;
  // They may be the last to know their runs.
  later->Do([old = std::move(old)]() mutable { old.clear(); });
}

void Service::WakeReaders(ServedThread& thread, Later* later) {
  for (ThreadStream::Rep* const reader : thread.readers) {
    if (Waiter* const waiter = reader->TakeWaiter(); waiter != nullptr) {
      later->Do([waiter] { waiter->Wake(); });
    }
  }
}

absl::StatusOr<std::shared_ptr<ThreadStream::Rep>> Service::ReadThread(
    const ThreadId& id, const ThreadStreamOptions& options) {
  constexpr uint32_t kAll = kRunModes | kLifecycle | kStateUpdate;
  if (options.modes == 0 || (options.modes & ~kAll) != 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "thread '%s': ThreadStreamOptions::modes must be some of kRunModes, "
        "kLifecycle and kStateUpdate",
        id));
  }
  if (absl::Status s = Load(id); !s.ok()) return s;
  Later later;
  absl::MutexLock lock(&mutex);
  absl::StatusOr<ThreadPtr> thread = Find(id);
  if (!thread.ok()) return thread.status();
  DropOld(**thread, &later);
  auto reader = std::make_shared<ThreadStream::Rep>(shared_from_this(), *thread,
                                                    options.modes);
  if (absl::Status s = reader->Place(options.last_event_id); !s.ok()) return s;
  (*thread)->readers.push_back(reader.get());
  return reader;
}

}  // namespace internal

ThreadStream::Rep::Rep(std::shared_ptr<internal::Service> of, ThreadPtr on,
                       ThreadStreamModes wants)
    : Reader(of->executor, of->gate),
      service_(std::move(of)),
      thread_(std::move(on)),
      modes_(wants) {}

absl::StatusOr<Cursor<Event>> ThreadStream::Rep::Attach(
    const RunPtr& run, std::optional<int64_t> after) {
  service_->mutex.AssertHeld();
  CursorOptions options;
  options.mask = run->modes | kControl;
  options.on_lag = OnLag::kFail;
  if (run->resumable) {
    options.after = after;
    // Of what limits have dropped, a replay from the start does without.
    EventLog<Event>* const log = run->log.if_open();
    if (after == -1 && log != nullptr && log->oldest_id() > 0) {
      options.after = static_cast<int64_t>(log->oldest_id()) - 1;
    }
  }
  return service_->Attach(run, options);
}

absl::Status ThreadStream::Rep::Place(std::optional<int64_t> after) {
  const internal::ServedThread& thread = *thread_;
  const std::vector<ThreadRecord>& records = thread.records;
  const auto end = static_cast<int64_t>(thread.end_id());
  if (!after.has_value()) after = end - 1;
  last_id_ = *after;
  if (*after < -1) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d is no id of the stream of thread '%s': give that "
                        "of the last event seen, or -1 for all that is kept",
                        *after, thread.info.id));
  }
  if (*after >= end) {
    return absl::OutOfRangeError(absl::StrFormat(
        "thread '%s' has not come to event %d: the newest is %d",
        thread.info.id, *after, end - 1));
  }
  const int64_t oldest =
      records.empty() ? end : static_cast<int64_t>(records.front().id);
  if (*after != -1 && *after + 1 < oldest) {
    return absl::OutOfRangeError(absl::StrFormat(
        "thread '%s' does not keep what follows event %d: the oldest is %d",
        thread.info.id, *after, oldest));
  }
  const auto first = std::find_if(
      records.begin(), records.end(), [&after](const ThreadRecord& record) {
        return static_cast<int64_t>(record.id) > *after;
      });
  next_record_ =
      thread.first_record + static_cast<uint64_t>(first - records.begin());
  if ((modes_ & kRunModes) == 0) return absl::OkStatus();
  // It begins within a run if that started before.
  if (first != records.begin() && std::prev(first)->kind == Kind::kStarted) {
    const RunPtr& run = std::prev(first)->run;
    absl::StatusOr<Cursor<Event>> cursor =
        Attach(run, *after - static_cast<int64_t>(run->first_id) - 1);
    if (!cursor.ok()) return cursor.status();
    run_ = run;
    cursor_ = *std::move(cursor);
  }
  // And it may come to one that is running.
  if (thread.running != nullptr && thread.running != run_) {
    for (auto at = first; at != records.end(); ++at) {
      if (at->kind == Kind::kStarted && at->run == thread.running) {
        WillStart(at->run, thread.first_record +
                               static_cast<uint64_t>(at - records.begin()));
      }
    }
  }
  return absl::OkStatus();
}

void ThreadStream::Rep::WillStart(const RunPtr& run, uint64_t record) {
  if ((modes_ & kRunModes) == 0) return;
  absl::StatusOr<Cursor<Event>> cursor = Attach(run, -1);
  // A run that is running has a place for those who come now.
  if (cursor.ok()) waiting_.emplace(record, *std::move(cursor));
}

const ThreadEvent* ThreadStream::Rep::Poll() {
  while (!ended_) {
    switch (cursor_.has_value() ? ReadRun() : ReadRecord()) {
      case Found::kNothing:
        return nullptr;
      case Found::kRead:
        return &current_;
      case Found::kPassed:
        break;
    }
  }
  return nullptr;
}

// The next event of the run that the reader is in; at the end, leaves it.
ThreadStream::Rep::Found ThreadStream::Rep::ReadRun() {
  if (const auto entry = cursor_->TryNext()) {
    current_.id = IdOf(*run_, entry.id());
    current_.run_id = run_->id();
    last_id_ = static_cast<int64_t>(current_.id);
    Event event = *entry;
    event.set_id(entry.id());
    current_.payload = std::move(event);
    return Found::kRead;
  }
  if (!cursor_->ended()) return Found::kNothing;
  if (cursor_->overtaken()) {
    const absl::Status why = run_->ExplainOvertaken(cursor_->status());
    // Of a run that was deleted, the rest is passed over.
    if (!absl::IsNotFound(why)) return End(why);
  }
  cursor_.reset();
  run_ = nullptr;
  return Found::kPassed;
}

ThreadStream::Rep::Found ThreadStream::Rep::ReadRecord() {
  const std::optional<ThreadRecord> record = TakeRecord();
  if (!record.has_value()) {
    return ended_ ? Found::kPassed : Found::kNothing;
  }
  const bool of_runs = (modes_ & kRunModes) != 0;
  const bool of_lives = (modes_ & kLifecycle) != 0;
  current_.id = record->id;
  last_id_ = static_cast<int64_t>(record->id);
  current_.run_id = record->run == nullptr ? RunId() : record->run->id();
  switch (record->kind) {
    case Kind::kStarted:
      // Where the run's own events come, its metadata says so.
      if (of_runs || !of_lives) return Found::kPassed;
      current_.payload = RunStarted{current_.run_id, 1};
      return Found::kRead;
    case Kind::kDone:
      if (!of_runs && !of_lives) return Found::kPassed;
      current_.payload = RunDone{current_.run_id, record->status};
      return Found::kRead;
    case Kind::kState:
      break;
  }
  if ((modes_ & kStateUpdate) == 0) return Found::kPassed;
  current_.payload = StateOf(*record);
  return Found::kRead;
}

std::optional<ThreadRecord> ThreadStream::Rep::TakeRecord() {
  absl::MutexLock lock(&service_->mutex);
  const internal::ServedThread& thread = *thread_;
  if (thread.deleted) {
    End(absl::NotFoundError(
        absl::StrFormat("thread '%s' was deleted", thread.info.id)));
    return std::nullopt;
  }
  if (service_->closed_ && (next_record_ < thread.first_record ||
                            next_record_ == thread.end_record())) {
    End(absl::UnavailableError(absl::StrFormat(
        "the Runtime of thread '%s' has ended", thread.info.id)));
    return std::nullopt;
  }
  if (next_record_ < thread.first_record) {
    End(absl::DataLossError(absl::StrFormat(
        "a reader of thread '%s' is behind what is kept: it has read up to "
        "event %d; join again, and read the thread's state",
        thread.info.id, last_id_)));
    return std::nullopt;
  }
  if (next_record_ == thread.end_record()) return std::nullopt;
  const uint64_t place = next_record_++;
  const ThreadRecord& record = thread.records[place - thread.first_record];
  if (record.kind == Kind::kStarted) Enter(record.run, place);
  return record;
}

void ThreadStream::Rep::Enter(const RunPtr& run, uint64_t record) {
  if ((modes_ & kRunModes) == 0) return;
  auto place = waiting_.extract(record);
  if (!place.empty()) {
    cursor_ = std::move(place.mapped());
  } else if (run->resumable && !run->expired) {
    absl::StatusOr<Cursor<Event>> cursor = Attach(run, -1);
    if (cursor.ok()) cursor_ = *std::move(cursor);
  }
  if (cursor_.has_value()) run_ = run;
}

StateUpdated ThreadStream::Rep::StateOf(const ThreadRecord& record) const {
  StateUpdated updated{current_.run_id, {}};
  updated.state.ref.thread_id = thread_->info.id;
  if (record.state.has_value() && service_->EnterStore()) {
    StateOptions options{.at = CheckpointRef()};
    options.at->id = record.state;
    absl::StatusOr<StateSnapshot> state = record.graph->GetState(
        service_->OptionsFor(thread_->info.id, std::move(options)));
    if (state.ok()) updated.state = *std::move(state);
    service_->gate->Leave();
  }
  // Of a run without checkpoints, or one whose checkpoints are deleted.
  if (updated.state.values.empty() && record.run != nullptr &&
      record.run->outcome != nullptr) {
    updated.state.values = record.run->outcome->values;
  }
  return updated;
}

ThreadStream::Rep::Found ThreadStream::Rep::End(absl::Status status) {
  ended_ = true;
  status_ = std::move(status);
  return Found::kPassed;
}

bool ThreadStream::Rep::Arm(weir::Waiter* waiter) {
  armed_at_run_ = cursor_.has_value();
  if (armed_at_run_) return cursor_->Arm(waiter);
  absl::MutexLock lock(&service_->mutex);
  if (ended_ || thread_->deleted || service_->closed_ ||
      next_record_ != thread_->end_record()) {
    return false;
  }
  waiter_ = waiter;
  return true;
}

bool ThreadStream::Rep::Disarm() {
  // Once it has left the run, it was woken there.
  if (armed_at_run_) return cursor_.has_value() && cursor_->Disarm();
  absl::MutexLock lock(&service_->mutex);
  return TakeWaiter() != nullptr;
}

void ThreadStream::Rep::Leave() {
  Stop();
  Release();
  std::map<uint64_t, Cursor<Event>> left;
  absl::MutexLock lock(&service_->mutex);
  std::erase(thread_->readers, this);
  left.swap(waiting_);
}

ThreadStream::ThreadStream(std::shared_ptr<Rep> rep) : rep_(std::move(rep)) {}
ThreadStream::ThreadStream(ThreadStream&&) noexcept = default;

ThreadStream& ThreadStream::operator=(ThreadStream&& other) noexcept {
  const ThreadStream left(std::move(*this));
  rep_ = std::move(other.rep_);
  return *this;
}

ThreadStream::~ThreadStream() {
  if (rep_ != nullptr) rep_->Leave();
}

const ThreadEvent* ThreadStream::Next() { return rep_->Next(); }
const ThreadEvent* ThreadStream::TryNext() { return rep_->Poll(); }
ThreadStream::Call ThreadStream::NextAsync() { return Call(rep_.get()); }

void ThreadStream::Listen(std::function<void(const ThreadEvent&)> on_event,
                          std::function<void(const absl::Status&)> on_end) {
  rep_->Listen(std::move(on_event), std::move(on_end));
}

bool ThreadStream::ended() const { return rep_->ended(); }
absl::Status ThreadStream::status() const { return rep_->status(); }
int64_t ThreadStream::last_event_id() const { return rep_->last_id(); }

bool ThreadStream::Call::await_ready() { return rep_->Ready(); }
bool ThreadStream::Call::await_suspend(std::coroutine_handle<> reader) {
  return rep_->Suspend(reader);
}
const ThreadEvent* ThreadStream::Call::await_resume() {
  return rep_->TakeNext();
}

}  // namespace v0
}  // namespace weir
