#ifndef WEIR_STREAM_WAIT_H_
#define WEIR_STREAM_WAIT_H_

#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

#include "weir/export.h"

namespace weir {
inline namespace v0 {

class Waiter;

namespace internal {
class ArmedLists;
struct ArmedNode;
}  // namespace internal

// WakeChain: armed waiters of one group that wait to be woken.
//
// Threads:   single-owner; may be handed to another worker.
// Lifetime:  independent of log and cursors. Destroying it wakes, there and
//            then, all that are left, so that none is forgotten.
class WEIR_EXPORT WakeChain {
 public:
  WakeChain() = default;
  WakeChain(WakeChain&& other) noexcept
      : first_(std::exchange(other.first_, nullptr)) {}
  WakeChain& operator=(WakeChain&&) = delete;
  ~WakeChain();

  // Wakes the next one, which gets all that are left after it.
  void WakeNext() && noexcept;

 private:
  friend class internal::ArmedLists;
  explicit WakeChain(internal::ArmedNode* first) : first_(first) {}

  // Takes the next waiter that was not taken back, or null.
  Waiter* Pop() noexcept;

  internal::ArmedNode* first_ = nullptr;
};

// Waiter: what a Cursor arms in order to be told that its log has something
// new; callbacks and coroutines are built on it. EventLog::ArmSpace() takes one
// as well.
//
// Shape:     waiters may name a group: what runs them, such as an executor. A
//            publisher wakes one waiter of each group, which passes the wake on
//            to the others; so publishing does not cost more with many readers.
//            Those with no group are woken one by one by the publisher.
// Threads:   Wake() and WakeWith() are called with no lock held on the worker
//            that publishes or closes; WakeWith() also on those that pass the
//            wake on.
// Ordering:  what the publishing worker did before is visible inside them.
// Lifetime:  its owner keeps it from an Arm() that returned true until one of
//            the two is called or Disarm() returns true. They may destroy it,
//            or arm it again.
class Waiter {
 public:
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Called once for each Arm() that returned true and was not taken back, if
  // not WakeWith(). It is a hint: the cursor may find nothing after all, and is
  // then armed again. The publisher waits for it, so it must not block, and
  // should hand the reader's work to an executor.
  virtual void Wake() noexcept = 0;

  // Called in place of Wake() for a waiter with a group: `rest` are the others.
  // To pass the wake on, hand `rest` to the executor together with the reader's
  // work, and there call std::move(rest).WakeNext() before that work. As it
  // stands here, all of them are woken at once.
  virtual void WakeWith(WakeChain /*rest*/) noexcept { Wake(); }

  const void* group() const { return group_; }

 protected:
  Waiter() = default;
  explicit Waiter(const void* group) : group_(group) {}
  ~Waiter() = default;

 private:
  const void* const group_ = nullptr;
};

// BlockingWaiter: lets the worker that owns a cursor sleep until it is woken,
// once.
//
// Lifetime:  may be destroyed as soon as a wait returned true, even while
//            Wake() is still returning.
class BlockingWaiter final : public Waiter {
 public:
  void Wake() noexcept override { woken_.Notify(); }

  void Wait() const { woken_.WaitForNotification(); }

  // Returns false if `deadline` passed first.
  [[nodiscard]] bool WaitUntil(absl::Time deadline) const {
    return woken_.WaitForNotificationWithDeadline(deadline);
  }

 private:
  absl::Notification woken_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_WAIT_H_
