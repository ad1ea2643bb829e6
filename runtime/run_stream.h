#ifndef WEIR_RUNTIME_RUN_STREAM_H_
#define WEIR_RUNTIME_RUN_STREAM_H_

#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "weir/export.h"
#include "weir/runtime/event.h"
#include "weir/runtime/run.h"
#include "weir/stream/options.h"

namespace weir {
inline namespace v0 {

// JoinStreamOptions: what a reader of a run gets.
struct JoinStreamOptions {
  // Absent: what is published from now on. -1: everything. k: what follows the
  // event k. With one of these, the run must be resumable.
  std::optional<int64_t> last_event_id{};
  // Some of the run's modes; absent: all of them. Metadata and errors always
  // come.
  std::optional<StreamModes> modes{};
  // Whether the run is cancelled, for every reader, if this one leaves it.
  bool cancel_on_disconnect = false;
  // When it has fallen further behind than StartOptions::window.
  OnLag on_lag = OnLag::kFail;
  // Lets the run wait at its barriers, and in co_await NodeContext::Emit(), for
  // this reader when it is half of the window behind, up to
  // the time given, each time. The reader's speed becomes the run's.
  absl::Duration backpressure = absl::ZeroDuration();
};

// Reads an event id as it is written on a wire: "" is absent, "-1", "17".
// InvalidArgument for anything else.
WEIR_EXPORT absl::StatusOr<std::optional<int64_t>> ParseEventId(
    std::string_view text);

// RunStream: one reader's place in a run's events, as they come.
//
// Errors:   status(), once Next() has returned null: the run's failure;
//           Cancelled, if it was cancelled; Aborted, if it was rolled back. Or
//           the reader's own: DataLoss, it was overtaken; NotFound, the run was
//           deleted; Unavailable, the Runtime is gone.
// Threads:  single-owner; the run itself goes on on the executor's workers. On
//           an executor without workers, Next() runs it.
// Ordering: the order of ids, the same for every reader. What a node did before
//           it wrote an event is visible to whoever reads it. Who has seen the
//           end sees what the run has left on its thread.
// Lifetime: independent of the Runtime. Destroying it before its end is leaving
//           the run; one from Graph::Stream() then cancels its run and waits
//           for the running nodes to return.
class WEIR_EXPORT RunStream {
 public:
  struct Rep;  // In weir/runtime/internal/.
  explicit RunStream(std::shared_ptr<Rep> rep);
  RunStream(RunStream&& other) noexcept;
  RunStream& operator=(RunStream&& other) noexcept;
  ~RunStream();

  const RunId& run_id() const;
  // The run's thread, of a stateless run the one of its own; empty for a run
  // that has none.
  const std::string& thread_id() const;

  // The next event, or null at the end. Waits for it. Valid until the next
  // call of these.
  const Event* Next();
  // The same, without waiting: null also if there is none yet; see ended().
  const Event* TryNext();
  // For coroutines: `const Event* event = co_await stream.NextAsync();`. They
  // are resumed on the executor's workers.
  class Call;
  [[nodiscard]] Call NextAsync();

  // Has the rest read on the executor's workers, one call at a time, each event
  // and then the end; once the Runtime is gone, in this call. No other reading
  // after this. Destroying the stream waits for a call under way, unless it is
  // done within one.
  void Listen(std::function<void(const Event&)> on_event,
              std::function<void(const absl::Status&)> on_end);

  bool ended() const;
  absl::Status status() const;
  // How the run ended, once ended() and if the reader was there for it.
  std::optional<RunStatus> run_status() const;
  // The id of the last event returned; before there is one, the id before the
  // first that it may get. To go on elsewhere, join after it.
  int64_t last_event_id() const;
  // How many events are ahead, also counting those of other modes.
  uint64_t lag() const;
  // How many events were skipped, with OnLag::kSkip.
  uint64_t missed() const;

  // The run's values, as Graph::Invoke() returns them. Waits for the run's end;
  // the events stay to be read.
  absl::StatusOr<RunResult> Result();
  // Asks the run to stop; its events go on until it has. Thread-safe.
  void Cancel();

 private:
  std::shared_ptr<Rep> rep_;
};

// What RunStream::NextAsync() returns, to be awaited at once.
class WEIR_EXPORT RunStream::Call {
 public:
  bool await_ready();
  bool await_suspend(std::coroutine_handle<> reader);
  const Event* await_resume();

 private:
  friend class RunStream;
  explicit Call(Rep* rep) : rep_(rep) {}
  Rep* rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_RUN_STREAM_H_
