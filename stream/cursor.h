#ifndef WEIR_STREAM_CURSOR_H_
#define WEIR_STREAM_CURSOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "weir/stream/internal/log_core.h"
#include "weir/stream/wait.h"

namespace weir {
inline namespace v0 {

template <typename E>
class EventLog;

inline constexpr uint32_t kAllModes = ~uint32_t{0};

struct CursorOptions {
  // An event passes if it has one of these modes; others are passed over. The
  // last event of EventLog::Close() passes every mask but 0.
  uint32_t mask = kAllModes;

  // Absent: begin with what is published from now on. -1: with the first event
  // of the log. k: with the event after id k.
  std::optional<int64_t> after = std::nullopt;

  enum class OnLag { kKeep, kFail, kSkip };
  OnLag on_lag = OnLag::kKeep;
};

// Cursor: one reader's place in an EventLog, from EventLog::Attach().
//
// Errors:    status() tells how the log was closed; reading does not fail.
// Threads:   single-owner. Events are shared: other cursors may read the same
//            one at the same time.
// Ordering:  events come in the order of their ids, the same for every cursor.
// Lifetime:  shares ownership of the log's events; either side may go first.
//            In a plain log a cursor that does not read keeps what it has not
//            read. One that was moved from may only be assigned or destroyed.
template <typename E>
class Cursor {
  using Core = internal::LogCore<E>;

 public:
  // An event, or none; it borrows from the cursor that returned it until that
  // one's next Next(), TryNext(), NextFor() or Arm(). Moving the cursor does
  // not disturb it.
  class Entry {
   public:
    Entry() = default;

    explicit operator bool() const { return slot_ != nullptr; }
    uint64_t id() const { return id_; }
    uint32_t mode() const { return slot_->mode; }
    const E& operator*() const { return slot_->event; }
    const E* operator->() const { return &slot_->event; }

   private:
    friend class Cursor;
    Entry(uint64_t id, const typename Core::Slot* slot)
        : id_(id), slot_(slot) {}

    uint64_t id_ = 0;
    const typename Core::Slot* slot_ = nullptr;
  };

  // Waits for the next event and returns it, or none at the end. No waiter may
  // be armed.
  Entry Next() { return NextBefore(absl::InfiniteFuture()); }

  // Returns the next event, or none if there is none yet or no more; ended()
  // says which.
  Entry TryNext() {
    if (ended_) return {};
    const typename Core::Found found = reader_->core->Poll(reader_.get());
    if (found.lost) {
      ended_ = true;
      status_ = absl::DataLossError("overtaken");
      return {};
    }
    if (found.slot != nullptr) last_id_ = static_cast<int64_t>(found.id);
    if (found.ended) {
      ended_ = true;
      status_ = reader_->core->status();
    }
    return Entry(found.id, found.slot);
  }

  // As Next(), but returns none after `timeout`.
  Entry NextFor(absl::Duration timeout) {
    return NextBefore(absl::Now() + timeout);
  }

  bool overtaken() const {
    return status_.code() == absl::StatusCode::kDataLoss;
  }
  uint64_t missed() const { return 0; }

  // True once one of the above came to the end.
  bool ended() const { return ended_; }

  // What the log was closed with, once ended(); OK before.
  const absl::Status& status() const { return status_; }

  // The id of the last event returned; until there is one, the id just below
  // where the cursor began. A cursor attached after last_id() goes on from
  // here.
  int64_t last_id() const { return last_id_; }

  // How many logged events are ahead, also counting those that the mask will
  // pass over.
  uint64_t lag() const { return reader_->core->Lag(*reader_); }

  // If there is neither an event nor the end, arms `waiter` and returns true.
  // Else returns false: TryNext() has something to say. At most one waiter may
  // be armed.
  [[nodiscard]] bool Arm(Waiter* waiter) {
    return !ended_ && reader_->core->Arm(reader_.get(), waiter);
  }

  // Takes the armed waiter back. Returns false if none is armed: Wake() was
  // called, or is about to be. Destroying the cursor disarms too, but does not
  // tell.
  bool Disarm() { return reader_->core->Disarm(reader_.get()); }

 private:
  friend class EventLog<E>;

  explicit Cursor(std::unique_ptr<typename Core::Reader> reader)
      : reader_(std::move(reader)),
        last_id_(static_cast<int64_t>(reader_->place) - 1) {}

  Entry NextBefore(absl::Time deadline) {
    while (true) {
      if (Entry entry = TryNext(); entry || ended_) return entry;
      BlockingWaiter waiter;
      if (!Arm(&waiter) || waiter.WaitUntil(deadline)) continue;
      if (Disarm()) return {};
      waiter.Wait();  // A publisher has taken it and will touch it.
    }
  }

  std::unique_ptr<typename Core::Reader> reader_;
  int64_t last_id_;
  bool ended_ = false;
  absl::Status status_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_CURSOR_H_
