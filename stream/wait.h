#ifndef WEIR_STREAM_WAIT_H_
#define WEIR_STREAM_WAIT_H_

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace weir {
inline namespace v0 {

namespace internal {
class WakeList;
}  // namespace internal

// Waiter: what a Cursor arms in order to be told that its log has something
// new; callbacks and coroutines are built on it.
//
// Threads:   Wake() is called on the worker that publishes or closes, with no
//            lock held.
// Ordering:  what that worker did before is visible inside Wake().
// Lifetime:  its owner keeps it from a Cursor::Arm() that returned true until
//            Wake() is called or Cursor::Disarm() returns true. Wake() may
//            destroy it, or arm it again.
class Waiter {
 public:
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Called once for each Arm() that returned true and was not taken back. It is
  // a hint: the cursor may find nothing after all, and is then armed again. The
  // publisher waits for it, so it must not block, and should hand the reader's
  // work to an executor.
  virtual void Wake() noexcept = 0;

 protected:
  Waiter() = default;
  ~Waiter() = default;

 private:
  friend class internal::WakeList;

  Waiter* next_ = nullptr;  // The log's, from Arm() to Wake().
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

namespace internal {

// WakeList: waiters that a log took under its lock, to be woken after it.
class WakeList {
 public:
  void Add(Waiter* waiter) {
    waiter->next_ = first_;
    first_ = waiter;
  }

  void WakeAll() {
    while (first_ != nullptr) {
      Waiter* const waiter = first_;
      first_ = waiter->next_;  // Read first: Wake() may destroy the waiter.
      waiter->Wake();
    }
  }

 private:
  Waiter* first_ = nullptr;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_WAIT_H_
