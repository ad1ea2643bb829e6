#include "weir/runtime/run_stream.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

#include "weir/runtime/internal/streamed_run.h"

namespace weir {
inline namespace v0 {

absl::StatusOr<std::optional<int64_t>> ParseEventId(std::string_view text) {
  if (text.empty()) return std::optional<int64_t>();
  if (text == "-1") return std::optional<int64_t>(-1);
  int64_t id = 0;
  // SimpleAtoi() takes signs and spaces.
  if (text.find_first_not_of("0123456789") != std::string_view::npos ||
      !absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &id)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "'%s' is not an event id: give the id of the last event seen, a number "
        "that came with it, or -1 for all events",
        text));
  }
  return std::optional<int64_t>(id);
}

absl::Status internal::StreamedRun::ExplainOvertaken(
    absl::Status status) const {
  status = Explain(std::move(status));
  if (!absl::IsDataLoss(status)) return status;
  return absl::DataLossError(
      absl::StrFormat("run '%s': %s; join again, and read the thread's state",
                      id(), std::string(status.message())));
}

const Event* RunStream::Rep::Poll() {
  const auto entry = cursor.TryNext();
  if (!entry) return nullptr;
  current = *entry;
  current.set_id(entry.id());
  return &current;
}

RunStream::RunStream(std::shared_ptr<Rep> rep) : rep_(std::move(rep)) {}
RunStream::RunStream(RunStream&&) noexcept = default;

RunStream& RunStream::operator=(RunStream&& other) noexcept {
  const RunStream left(std::move(*this));
  rep_ = std::move(other.rep_);
  return *this;
}

RunStream::~RunStream() {
  if (rep_ == nullptr) return;
  rep_->Stop();
  rep_->Release();
  rep_->run->Left(*rep_, !rep_->ended());
}

const RunId& RunStream::run_id() const { return rep_->run->id(); }
const std::string& RunStream::thread_id() const {
  return rep_->run->thread_id();
}
const Event* RunStream::Next() { return rep_->Next(); }
const Event* RunStream::TryNext() { return rep_->Poll(); }
RunStream::Call RunStream::NextAsync() { return Call(rep_.get()); }

void RunStream::Listen(std::function<void(const Event&)> on_event,
                       std::function<void(const absl::Status&)> on_end) {
  rep_->Listen(std::move(on_event), std::move(on_end));
}

bool RunStream::ended() const { return rep_->ended(); }
absl::Status RunStream::status() const { return rep_->status(); }

std::optional<RunStatus> RunStream::run_status() const {
  if (!rep_->ended() || rep_->cursor.overtaken()) return std::nullopt;
  return rep_->run->final_status();
}

int64_t RunStream::last_event_id() const { return rep_->cursor.last_id(); }
uint64_t RunStream::lag() const { return rep_->cursor.lag(); }
uint64_t RunStream::missed() const { return rep_->cursor.missed(); }
absl::StatusOr<RunResult> RunStream::Result() { return rep_->run->Result(); }
void RunStream::Cancel() { rep_->run->Cancel(); }

bool RunStream::Call::await_ready() { return rep_->Ready(); }
bool RunStream::Call::await_suspend(std::coroutine_handle<> reader) {
  return rep_->Suspend(reader);
}
const Event* RunStream::Call::await_resume() { return rep_->TakeNext(); }

}  // namespace v0
}  // namespace weir
