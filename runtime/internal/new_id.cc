#include "weir/runtime/internal/new_id.h"

#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace internal {

std::string NewUuid(absl::Time now) {
  absl::BitGen random;
  const auto ms = static_cast<uint64_t>(absl::ToUnixMillis(now));
  const auto a = absl::Uniform<uint16_t>(random) & 0x0fffu;
  const auto b = (absl::Uniform<uint64_t>(random) >> 2) | (uint64_t{2} << 62);
  return absl::StrFormat("%08x-%04x-7%03x-%04x-%012x", (ms >> 16) & 0xffffffff,
                         ms & 0xffff, a, b >> 48, b & 0xffffffffffff);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
