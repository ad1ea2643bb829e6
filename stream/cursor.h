#ifndef WEIR_STREAM_CURSOR_H_
#define WEIR_STREAM_CURSOR_H_

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "weir/stream/internal/log_reader.h"
#include "weir/stream/internal/policy.h"
#include "weir/stream/internal/steady_time.h"
#include "weir/stream/options.h"
#include "weir/stream/wait.h"

namespace weir {
inline namespace v0 {

template <typename E, typename Policy>
class EventLog;

// Cursor: one reader's place in an EventLog, from EventLog::Attach().
//
// Errors:    status() tells how the log was closed, or that the reader was
//            overtaken (DataLoss, see OnLag); it names the last event
//            delivered, the first one missing, the oldest one kept and how many
//            were missed. Reading does not fail otherwise.
// Threads:   single-owner. Events are shared: other cursors may read the same
//            one at the same time.
// Ordering:  events come in the order of their ids, the same for every cursor.
// Lifetime:  shares ownership of the log's events; either side may go first.
//            What is not kept by the log a cursor keeps that cannot be
//            overtaken, from its place on. One that was moved from may only be
//            assigned or destroyed.
template <typename E, typename Policy = internal::LogPolicy>
class Cursor {
  using Reader = internal::LogReader<E, Policy>;

 public:
  // An event, or none; it borrows from the cursor that returned it until that
  // one's next Next(), TryNext(), NextFor() or Arm(). Moving the cursor does
  // not disturb it.
  class Entry {
   public:
    Entry() = default;

    explicit operator bool() const { return found_.slot != nullptr; }
    uint64_t id() const { return found_.id; }
    uint32_t mode() const { return found_.slot->mode; }
    // How many logged events there were between the one before and this one
    // that the log did not keep; not 0 with OnLag::kSkip only.
    uint64_t missed() const { return found_.missed; }
    const E& operator*() const { return found_.slot->event(); }
    const E* operator->() const { return &found_.slot->event(); }

   private:
    friend class Cursor;
    explicit Entry(typename Reader::Found found) : found_(found) {}

    typename Reader::Found found_;
  };

  // Waits for the next event and returns it, or none at the end. No waiter may
  // be armed.
  Entry Next() { return NextBefore(absl::InfiniteFuture()); }

  // Returns the next event, or none if there is none yet or no more; ended()
  // says which.
  Entry TryNext() { return Entry(reader_.Poll()); }

  // As Next(), but returns none after `timeout`.
  Entry NextFor(absl::Duration timeout) {
    if (Entry entry = TryNext(); entry || ended()) return entry;
    return NextBefore(internal::SteadyNow() + timeout);
  }

  // True once one of the above came to the end.
  bool ended() const { return reader_.ended(); }

  // What the log was closed with, or that the reader was overtaken, once
  // ended(); OK before.
  const absl::Status& status() const { return reader_.status(); }

  // Whether it ended because it was overtaken; then the status is its own.
  bool overtaken() const { return reader_.overtaken(); }

  // The id of the last event returned; until there is one, the id just below
  // where the cursor began. A cursor attached after last_id() goes on from
  // here.
  int64_t last_id() const { return reader_.last_id(); }

  // How many logged events are ahead, also counting those that the mask will
  // pass over, and those that are not kept.
  uint64_t lag() const { return reader_.lag(); }

  // How many events it missed, with OnLag::kSkip.
  uint64_t missed() const { return reader_.missed(); }

  // If there is neither an event nor the end, arms `waiter` and returns true.
  // Else returns false: TryNext() has something to say. At most one waiter may
  // be armed.
  [[nodiscard]] bool Arm(Waiter* waiter) { return reader_.Arm(waiter); }

  // Takes the armed waiter back. Returns false if none is armed: it was woken,
  // or is about to be. Destroying the cursor disarms too, but does not tell.
  bool Disarm() { return reader_.Disarm(); }

 private:
  friend class EventLog<E, Policy>;

  explicit Cursor(Reader reader) : reader_(std::move(reader)) {}

  Entry NextBefore(absl::Time deadline) {
    do {
      if (Entry entry = TryNext(); entry || ended()) return entry;
    } while (reader_.Wait(deadline));
    return {};
  }

  Reader reader_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_CURSOR_H_
