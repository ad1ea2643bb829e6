#ifndef WEIR_RUNTIME_INTERNAL_NEW_ID_H_
#define WEIR_RUNTIME_INTERNAL_NEW_ID_H_

#include <string>

#include "absl/time/time.h"

namespace weir {
inline namespace v0 {
namespace internal {

// A UUID of version 7 (RFC 9562) for the time `now`: ordered by milliseconds,
// random within one.
std::string NewUuid(absl::Time now);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_NEW_ID_H_
