#ifndef WEIR_STREAM_EVENT_LOG_H_
#define WEIR_STREAM_EVENT_LOG_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/stream/cursor.h"
#include "weir/stream/internal/log_core.h"
#include "weir/stream/internal/policy.h"
#include "weir/stream/options.h"
#include "weir/stream/wait.h"

namespace weir {
inline namespace v0 {

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
//            records it. Ids start at `first_id` and have no holes. Events are
//            in segments of 1,024 slots, the first of 64, and let go by the
//            segment. A plain log without a window keeps an event until the
//            slowest cursor has passed it; see EventLogOptions for others.
// Errors:    publishing to a closed log returns nullopt; Attach() lists its
//            own. Out of memory ends the process: an event that has its id must
//            arrive.
// Threads:   thread-safe. Publishing takes no lock and never waits for a
//            reader; it costs one load if nobody wants the event, and does not
//            cost more with more readers. A Cursor is single-owner.
// Ordering:  what a worker did before publishing an event is visible to whoever
//            reads it. A publish that happens before another gets the lower id.
//            A cursor misses nothing that is published after its Attach().
// Lifetime:  cursors share ownership of the events; either side may go first.
//            Events are destroyed and waiters woken on any worker, and never
//            under a lock. The log may go once somebody has read its end.
// Source:    claims by fetch_add and a state per slot after folly's
//            UnboundedQueue and the Disruptor, hand-over of destruction after
//            crossbeam's list channel.
template <typename E, typename Policy = internal::LogPolicy>
class EventLog {
  static_assert(std::is_nothrow_move_constructible_v<E> &&
                    std::is_nothrow_destructible_v<E>,
                "an event that has its id must arrive");

 public:
  explicit EventLog(EventLogOptions options = {})
      : core_(std::make_shared<Core>(options)) {}
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // Closes an open log with Unavailable, so that no reader waits for ever.
  ~EventLog() {
    if (core_->closed()) return;
    Close(absl::UnavailableError("event log destroyed before it was closed"));
  }

  // The modes that are worth publishing now; 0 once closed. One atomic load.
  uint32_t interest() const { return core_->interest(); }

  // Logs what `make_event` returns, and returns its id; or nullopt if nobody
  // wants `mode`, and then does not call it, or if the log is closed. It is
  // called with no lock held; if it throws, nothing is logged.
  template <typename Make>
  std::optional<uint64_t> Publish(uint32_t mode, Make&& make_event) requires
      std::is_invocable_r_v<E, Make> {
    if ((interest() & mode) == 0) return std::nullopt;
    return core_->Append(mode, std::forward<Make>(make_event)());
  }

  std::optional<uint64_t> Publish(uint32_t mode, E event) {
    if ((interest() & mode) == 0) return std::nullopt;
    return core_->Append(mode, std::move(event));
  }

  // Logs, by moving, the events of `batch` that somebody wants, and returns the
  // id of the first one logged, or nullopt if none was. Their ids are
  // consecutive; a batch of more than 512 is logged in pieces.
  std::optional<uint64_t> PublishBatch(
      std::span<BatchEvent<E>> batch) noexcept {
    const uint32_t wanted = interest();
    std::optional<uint64_t> first;
    for (size_t from = 0, to = 0; from < batch.size(); from = to) {
      size_t count = 0;
      for (; to < batch.size() && count < Core::kMaxBatch; ++to) {
        if ((batch[to].mode & wanted) != 0) ++count;
      }
      if (count == 0) break;
      const std::optional<uint64_t> id =
          core_->AppendBatch(batch.subspan(from, to - from), wanted, count);
      if (!id.has_value()) break;
      if (!first.has_value()) first = id;
    }
    return first;
  }

  // Ends the log: cursors read on to its end, `last_event` being the last of
  // all, and get `status` there. Returns false, and changes nothing, if it was
  // closed before.
  bool Close(absl::Status status,
             std::optional<E> last_event = std::nullopt) noexcept {
    // A reader may find the end, and destroy the log, before this returns.
    const std::shared_ptr<Core> core = core_;
    return core->Close(std::move(status), std::move(last_event));
  }

  // Adds a reader. A replay runs on into what is being published, with no gap
  // and no duplicate. On a closed log a resumable one is replayed, and a plain
  // one is at its end: its events were for those who were there.
  //
  // InvalidArgument: `after` is less than -1. FailedPrecondition: `after` is
  // given, and the log is plain. OutOfRange: the event `after` is not published
  // yet, or the one that follows it is not kept; the message names the newest
  // or the oldest id.
  [[nodiscard]] absl::StatusOr<Cursor<E, Policy>> Attach(
      CursorOptions options = {}) noexcept {
    auto reader = internal::LogReader<E, Policy>::Attach(core_, options);
    if (!reader.ok()) return reader.status();
    return Cursor<E, Policy>(*std::move(reader));
  }

  // One past the newest id.
  uint64_t next_id() const { return core_->first_id() + core_->end(); }

  // The oldest id that the log keeps, next_id() if it keeps none. A plain log
  // without a window keeps none: what is in memory is there for its cursors.
  uint64_t oldest_id() const { return core_->oldest_id(); }

  // Lets go of all events before `id`, or before next_id() if that is lower.
  // Readers that still need one are overtaken, see OnLag. Memory is given back
  // by the segment. In a plain log without a window it does nothing.
  void DropBefore(uint64_t id) noexcept { core_->DropBefore(id); }

  // Whether a reader that asked for back-pressure is as far behind as it said.
  // Publishing goes on all the same: it is for the publisher to wait. One load
  // if no reader asked.
  bool congested() const { return core_->pressure().congested(); }

  // If the log is congested(), arms `waiter`, which is woken once when it is
  // not, because readers read on or leave or the log is closed. Else returns
  // false. Its group is not looked at.
  [[nodiscard]] bool ArmSpace(Waiter* waiter) {
    return core_->pressure().Arm(waiter);
  }

  // Takes it back. Returns false if it was woken, or is about to be.
  bool DisarmSpace(Waiter* waiter) { return core_->pressure().Disarm(waiter); }

 private:
  using Core = internal::LogCore<E, Policy>;

  const std::shared_ptr<Core> core_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_EVENT_LOG_H_
