#ifndef WEIR_RUNTIME_INTERNAL_CALLED_FUNCTION_H_
#define WEIR_RUNTIME_INTERNAL_CALLED_FUNCTION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"

#include "weir/channels/value.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/step_task.h"
#include "weir/runtime/policy.h"

namespace weir {
inline namespace v0 {
namespace internal {

// CalledFunction: a function that a task's body calls as a task of its own. Its
// StepTask is in no superstep's list: it runs while the calling task does, and
// what it leaves is its result, as its one write.
//
// Threads:  Run() and ended() by anyone; Ended() by who ended it; the rest by
//           the calling body. `stop` is thread-safe.
// Lifetime: shared by the calling task, its FunctionCall and the job that may
//           begin it; what it refers to lives while it has not ended.
struct CalledFunction {
  CalledFunction(StepTask* of, std::string_view name, int at_index,
                 NodeBody body, Value argument, CallOptions options);

  // Runs the function if nobody has begun it.
  void Run();
  // The function's task has ended.
  void Ended();
  bool ended() const {
    return mark.load(std::memory_order_acquire) == kHasEnded;
  }
  // False if it has ended; else calls `then` when it has, once.
  bool WhenEnded(absl::AnyInvocable<void()> then);
  absl::StatusOr<Value> Result(const ValueType* wanted);

  StepTask* const parent;
  const int index;  // Which of the calls of its parent's attempt.
  const std::shared_ptr<const CompiledNode> node;
  StepTask task;
  std::stop_source stop;
  std::optional<std::stop_callback<std::function<void()>>> stop_link;
  bool noted = false;  // What it asks is among what its parent asks.
  // Whether someone has begun it. Relaxed: it says nothing else.
  std::atomic<bool> begun{false};
  // The hand-shake with who waits: it marks what is open, and Ended() then
  // calls `then`; or finds that it has ended, which stays. acq_rel: Ended()
  // sees `then`, and who waits what the function did.
  enum Mark : uint8_t { kIsOpen, kIsAwaited, kHasEnded };
  std::atomic<uint8_t> mark{kIsOpen};
  absl::AnyInvocable<void()> then;
  absl::Notification done;  // Notified only for a worker that is held.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_CALLED_FUNCTION_H_
