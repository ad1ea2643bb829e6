#include "weir/runtime/internal/new_id.h"

#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"

namespace weir {
inline namespace v0 {
namespace internal {

std::string NewUuid(absl::Time now) {
  // One for each thread: to seed one takes long.
  thread_local absl::BitGen random;
  const auto ms = static_cast<uint64_t>(absl::ToUnixMillis(now));
  const auto a = absl::Uniform<uint16_t>(random) & 0x0fffu;
  const auto b = (absl::Uniform<uint64_t>(random) >> 2) | (uint64_t{2} << 62);
  return absl::StrCat(absl::Hex((ms >> 16) & 0xffffffff, absl::kZeroPad8), "-",
                      absl::Hex(ms & 0xffff, absl::kZeroPad4), "-7",
                      absl::Hex(a, absl::kZeroPad3), "-",
                      absl::Hex(b >> 48, absl::kZeroPad4), "-",
                      absl::Hex(b & 0xffffffffffff, absl::kZeroPad12));
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
