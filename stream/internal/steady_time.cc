#include "weir/stream/internal/steady_time.h"

#include <chrono>

#include "absl/time/clock.h"

namespace weir {
inline namespace v0 {
namespace internal {

int64_t SteadyNanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

absl::Time SteadyNow() {
  static const absl::Time start =
      absl::Now() - absl::Nanoseconds(SteadyNanos());
  return start + absl::Nanoseconds(SteadyNanos());
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
