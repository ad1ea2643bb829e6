#ifndef WEIR_RUNTIME_INTERNAL_JOIN_CALL_H_
#define WEIR_RUNTIME_INTERNAL_JOIN_CALL_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/runtime/run_info.h"

namespace weir {
inline namespace v0 {
namespace internal {

// JoinCall: one caller who waits for a run's end, or leaves before it.
//
// Threads: thread-safe: who comes first, the end or the leaving, is answered.
class JoinCall : public std::enable_shared_from_this<JoinCall> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<RunOutcome>)>;

  // `left` is called if the caller leaves, before `done`.
  JoinCall(Done done, absl::AnyInvocable<void(JoinCall&)> left)
      : done_(std::move(done)), left_(std::move(left)) {}

  // The caller leaves when asked to. Once, when the run has been told of this.
  void LeaveOn(const std::stop_token& stop) {
    if (!stop.stop_possible()) return;
    link_.emplace(stop, [this] {
      const std::shared_ptr<JoinCall> self = shared_from_this();
      if (answered_.exchange(true, std::memory_order_acq_rel)) return;
      left_(*this);
      done_(absl::CancelledError("the wait for the run was stopped"));
    });
  }

  // Nobody waits any more. False if the answer has come or is about to.
  bool Abandon() {
    return !answered_.exchange(true, std::memory_order_acq_rel);
  }
  void Answer(absl::StatusOr<RunOutcome> outcome) {
    if (answered_.exchange(true, std::memory_order_acq_rel)) return;
    done_(std::move(outcome));
  }

 private:
  // Set by who answers, who then owns the functions. acq_rel: it sees them as
  // they were made.
  std::atomic<bool> answered_{false};
  Done done_;
  absl::AnyInvocable<void(JoinCall&)> left_;
  std::optional<std::stop_callback<std::function<void()>>> link_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_JOIN_CALL_H_
