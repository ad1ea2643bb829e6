#ifndef WEIR_STREAM_INTERNAL_STEADY_TIME_H_
#define WEIR_STREAM_INTERNAL_STEADY_TIME_H_

#include <cstdint>

#include "absl/time/time.h"

#include "weir/export.h"

namespace weir {
inline namespace v0 {
namespace internal {

// The steady clock, in nanoseconds.
WEIR_EXPORT int64_t SteadyNanos();

// The time of day when the process first asked, and what the steady clock has
// counted since: it never goes back, and no step of the clock moves it.
WEIR_EXPORT absl::Time SteadyNow();

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_STEADY_TIME_H_
