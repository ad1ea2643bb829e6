#ifndef WEIR_RUNTIME_THREAD_STREAM_H_
#define WEIR_RUNTIME_THREAD_STREAM_H_

#include <coroutine>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"

#include "weir/export.h"
#include "weir/runtime/event.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/state.h"
#include "weir/runtime/thread.h"

namespace weir {
inline namespace v0 {

// The modes of a thread's stream, to be combined with |.
enum ThreadStreamModes : uint32_t {
  kRunModes = 1u << 0,     // The runs' events, and RunDone.
  kLifecycle = 1u << 1,    // RunStarted and RunDone.
  kStateUpdate = 1u << 2,  // StateUpdated.
};
constexpr ThreadStreamModes operator|(ThreadStreamModes a,
                                      ThreadStreamModes b) {
  return static_cast<ThreadStreamModes>(static_cast<uint32_t>(a) |
                                        static_cast<uint32_t>(b));
}

// ThreadStreamOptions: what a reader of a thread gets.
struct ThreadStreamOptions {
  ThreadStreamModes modes = kRunModes;
  // Absent: what comes from now on. -1: from the oldest that is kept. k: what
  // follows the event k of this thread's stream.
  std::optional<int64_t> last_event_id{};
};

// Reads an id of a thread's stream as it is written on a wire: "" is absent,
// "-" is -1, "17". InvalidArgument for anything else.
WEIR_EXPORT absl::StatusOr<std::optional<int64_t>> ParseThreadEventId(
    std::string_view text);

// A run has begun. With kRunModes its own metadata event says so.
struct RunStarted {
  RunId run_id{};
  int attempt = 1;
};

// A run has ended.
struct RunDone {
  RunId run_id{};
  RunStatus status = RunStatus::kSuccess;
};

// The thread has another state: a run has ended, or UpdateState() was called.
struct StateUpdated {
  RunId run_id{};  // Empty for an update.
  StateSnapshot state{};
};

// ThreadEvent: one record of what happens on a thread.
struct WEIR_EXPORT ThreadEvent {
  // Grows along the thread, over all its runs; with holes.
  uint64_t id = 0;
  RunId run_id{};
  // An Event is a run's own, with the id that it has there.
  std::variant<Event, RunStarted, RunDone, StateUpdated> payload{};

  // The payload if it is a T, else null.
  template <class T>
  const T* As() const {
    return std::get_if<T>(&payload);
  }
  // That of a run's event; "metadata" for starts and ends; "state_update".
  std::string_view name() const;
  // The data as JSON text.
  std::string ToJson() const;
};

// Prints the name, padded to eight columns, and the data.
WEIR_EXPORT std::ostream& operator<<(std::ostream& out,
                                     const ThreadEvent& event);

// ThreadStream: one reader's place in what happens on a thread: run after run,
// those that were there and those to come. It waits where nothing happens, and
// never ends by itself; whoever has to leave while nothing happens reads by
// TryNext(), NextAsync() or Listen().
//
// Shape:    of the past it has starts, ends and states as far as they are kept
//           (RuntimeOptions::thread_retention), and the events of resumable
//           runs as far as these are. Those of a deleted run are passed over.
// Errors:   status(), once Next() has returned null: NotFound, the thread was
//           deleted; DataLoss, the reader was overtaken by a run; Unavailable,
//           the Runtime is gone.
// Threads:  single-owner; on an executor without workers, Next() runs what
//           there is to run, and returns null when there is nothing: ended() is
//           false then.
// Lifetime: independent of the Runtime.
class WEIR_EXPORT ThreadStream {
 public:
  struct Rep;  // In weir/runtime/internal/.
  explicit ThreadStream(std::shared_ptr<Rep> rep);
  ThreadStream(ThreadStream&& other) noexcept;
  ThreadStream& operator=(ThreadStream&& other) noexcept;
  ~ThreadStream();

  // As those of RunStream.
  const ThreadEvent* Next();
  const ThreadEvent* TryNext();
  class Call;
  [[nodiscard]] Call NextAsync();
  void Listen(std::function<void(const ThreadEvent&)> on_event,
              std::function<void(const absl::Status&)> on_end);

  bool ended() const;
  absl::Status status() const;
  int64_t last_event_id() const;

 private:
  std::shared_ptr<Rep> rep_;
};

// What ThreadStream::NextAsync() returns, to be awaited at once.
class WEIR_EXPORT ThreadStream::Call {
 public:
  bool await_ready();
  bool await_suspend(std::coroutine_handle<> reader);
  const ThreadEvent* await_resume();

 private:
  friend class ThreadStream;
  explicit Call(Rep* rep) : rep_(rep) {}
  Rep* rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_THREAD_STREAM_H_
