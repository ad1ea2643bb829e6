#include "weir/gateway/internal/event_session.h"

#include "absl/strings/str_format.h"

#include "weir/gateway/internal/json.h"
#include "weir/gateway/internal/wire_events.h"
#include "weir/runtime/errors.h"

namespace weir {
inline namespace v0 {
namespace internal {

std::string LastFrames(const absl::Status& status) {
  // A run's own failure has a kind, and was the run's last event.
  if (status.ok() || ErrorKindOf(status) != ErrorKind::kNone) return "";
  const char* error = nullptr;
  if (absl::IsDataLoss(status)) error = "StreamLagged";
  if (absl::IsNotFound(status)) error = "NotFound";
  if (error == nullptr) return "";
  std::string frames;
  AppendFrame(
      "error",
      JsonText({{"error", error}, {"message", std::string(status.message())}}),
      std::nullopt, &frames);
  return frames;
}

bool EndsByShutdown(const absl::Status& status) {
  return absl::IsUnavailable(status) && ErrorKindOf(status) == ErrorKind::kNone;
}

absl::Status Lagged(int64_t last_id, size_t unsent) {
  return absl::DataLossError(absl::StrFormat(
      "the client did not keep up: after event %d, %d bytes had not been sent; "
      "read the thread's state, or make the run resumable",
      last_id, unsent));
}

absl::Status NotRejoined(const absl::Status& status) {
  if (EndsByShutdown(status) || absl::IsNotFound(status)) return status;
  return absl::DataLossError(absl::StrFormat(
      "the client did not keep up, and cannot go on: %s", status.message()));
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
