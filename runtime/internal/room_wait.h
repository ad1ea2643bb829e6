#ifndef WEIR_RUNTIME_INTERNAL_ROOM_WAIT_H_
#define WEIR_RUNTIME_INTERNAL_ROOM_WAIT_H_

#include <stop_token>
#include <utility>

#include "absl/time/time.h"

#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/internal/ref.h"
#include "weir/runtime/internal/timed_wait.h"
#include "weir/stream/event_log.h"

namespace weir {
inline namespace v0 {
namespace internal {

// RoomWait: a run's wait for readers that asked it to.
//
// Threads:  thread-safe.
// Lifetime: reference-counted: by its job, and by the log while that may wake
//           it.
class RoomWait final : public RefCounted<RoomWait>, private Waiter {
 public:
  // Calls `job` once, on the executor: when `log` is not congested any more,
  // when `most` has passed, or when asked to stop. The log must live until
  // then.
  static void Begin(Executor& executor, EventLog<Event>& log,
                    absl::Duration most, const std::stop_token& stop,
                    Executor::Job job) {
    const auto wait = Ref<RoomWait>::Adopt(new RoomWait(log));
    const auto timed = Ref<TimedWait>::Adopt(
        new TimedWait(executor, [wait, job = std::move(job)]() mutable {
          wait->End();
          job();
        }));
    wait->timed_ = timed;
    wait->AddRef();  // The log's.
    if (!log.ArmSpace(wait.get())) wait->Wake();
    timed->Arm(most, stop);
  }

 private:
  friend class RefCounted<RoomWait>;

  explicit RoomWait(EventLog<Event>& log) : log_(log) {}

  void Wake() noexcept override {
    const auto self = Ref<RoomWait>::Adopt(this);
    timed_->FireNow();
  }
  void End() {
    if (log_.DisarmSpace(this)) DropRef();
  }

  EventLog<Event>& log_;
  Ref<TimedWait> timed_;  // It holds this until it fires.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_ROOM_WAIT_H_
