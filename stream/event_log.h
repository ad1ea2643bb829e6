#ifndef WEIR_STREAM_EVENT_LOG_H_
#define WEIR_STREAM_EVENT_LOG_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/stream/cursor.h"
#include "weir/stream/internal/log_core.h"

namespace weir {
inline namespace v0 {

struct EventLogOptions {
  // Id of the first event; at most 2^62.
  uint64_t first_id = 0;

  // Keeps every logged event for readers that come later.
  bool resumable = false;

  // Modes that a resumable log logs even if nobody reads them.
  uint32_t recorded_modes = kAllModes;

  uint64_t window = 0;
};

// One event of EventLog::PublishBatch().
template <typename E>
struct BatchEvent {
  uint32_t mode;
  E event;
};

// EventLog: an in-memory log of events, written by any worker and read by any
// number of cursors, each at its own pace and from its own place.
//
// Shape:     an event has one or more modes, bits of a mask. It is logged, and
//            gets an id, if a cursor wants one of them or a resumable log
//            records it. Ids start at `first_id` and have no holes. A plain log
//            keeps an event until the slowest cursor has passed it, and at most
//            1,024 events longer.
// Errors:    publishing to a closed log returns nullopt; Attach() lists its
//            own. Out of memory ends the process.
// Threads:   thread-safe; publishing never waits for a reader to read. A Cursor
//            is single-owner.
// Ordering:  what a worker did before publishing an event is visible to whoever
//            reads it. A publish that happens before another gets the lower id.
//            A cursor misses nothing that is published after its Attach().
// Lifetime:  cursors share ownership of the events; either side may go first.
//            Events are destroyed and waiters woken on any worker, and never
//            under a lock.
template <typename E>
class EventLog {
  static_assert(std::is_nothrow_move_constructible_v<E> &&
                    std::is_nothrow_destructible_v<E>,
                "an event that has its id must arrive");

 public:
  explicit EventLog(EventLogOptions options = {})
      : core_(std::make_shared<Core>(options.first_id, options.resumable,
                                     options.recorded_modes)) {}
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // Closes an open log with Unavailable, so that no reader waits for ever.
  ~EventLog() {
    Close(absl::UnavailableError("event log destroyed before it was closed"));
  }

  uint64_t next_id() const { return core_->next_id(); }
  uint64_t oldest_id() const { return core_->oldest_id(); }
  void DropBefore(uint64_t id) { core_->DropBefore(id); }

  // The modes that are worth publishing now; 0 once closed. One atomic load.
  uint32_t interest() const { return core_->interest(); }

  // Logs what `make_event` returns, and returns its id; or nullopt if nobody
  // wants `mode`, and then does not call it, or if the log is closed. It is
  // called with no lock held; if it throws, nothing is logged.
  template <typename Make>
  std::optional<uint64_t> Publish(uint32_t mode, Make&& make_event) requires
      std::is_invocable_r_v<E, Make> {
    if ((interest() & mode) == 0) return std::nullopt;
    return Append(mode, std::forward<Make>(make_event)());
  }

  std::optional<uint64_t> Publish(uint32_t mode, E event) {
    if ((interest() & mode) == 0) return std::nullopt;
    return Append(mode, std::move(event));
  }

  // Logs, by moving, the events of `batch` that somebody wants, and returns the
  // id of the first one logged, or nullopt if none was. Their ids are
  // consecutive; a batch of more than 512 may be logged in pieces.
  std::optional<uint64_t> PublishBatch(
      std::span<BatchEvent<E>> batch) noexcept {
    const uint32_t wanted = interest();
    std::vector<std::unique_ptr<Slot>> slots;
    for (BatchEvent<E>& item : batch) {
      if ((item.mode & wanted) == 0) continue;
      slots.push_back(std::make_unique<Slot>(item.mode, std::move(item.event)));
    }
    if (slots.empty()) return std::nullopt;
    return core_->Append(slots);
  }

  // Ends the log: cursors read on to its end, `last_event` being the last of
  // all, and get `status` there. Returns false, and changes nothing, if it was
  // closed before.
  bool Close(absl::Status status,
             std::optional<E> last_event = std::nullopt) noexcept {
    std::unique_ptr<Slot> last;
    if (last_event.has_value()) {
      last = std::make_unique<Slot>(kAllModes, *std::move(last_event));
    }
    return core_->Close(std::move(status), std::move(last));
  }

  // Adds a reader. A replay runs on into what is being published, with no gap
  // and no duplicate. On a closed log a resumable one is replayed, and a plain
  // one is at its end: its events were for those who were there.
  //
  // InvalidArgument: `after` is less than -1. FailedPrecondition: `after` is
  // given, and the log is plain. OutOfRange: the event `after` is not logged
  // yet, or the one that follows it is not kept.
  [[nodiscard]] absl::StatusOr<Cursor<E>> Attach(
      CursorOptions options = {}) noexcept {
    absl::StatusOr<std::unique_ptr<typename Core::Reader>> reader =
        Core::Attach(core_, options.mask, options.after);
    if (!reader.ok()) return reader.status();
    return Cursor<E>(*std::move(reader));
  }

 private:
  using Core = internal::LogCore<E>;
  using Slot = typename Core::Slot;

  std::optional<uint64_t> Append(uint32_t mode, E&& event) noexcept {
    auto slot = std::make_unique<Slot>(mode, std::move(event));
    return core_->Append(std::span(&slot, 1));
  }

  const std::shared_ptr<Core> core_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_EVENT_LOG_H_
