#include "weir/runtime/internal/new_id.h"

#include <cstddef>
#include <cstdint>

#include "absl/random/random.h"

namespace weir {
inline namespace v0 {
namespace internal {

std::string NewUuid(absl::Time now) {
  // One for each thread: to seed one takes longer than all else here.
  thread_local absl::BitGen random;
  const auto ms = static_cast<uint64_t>(absl::ToUnixMillis(now));
  const auto a = absl::Uniform<uint16_t>(random) & 0x0fffu;
  const auto b = (absl::Uniform<uint64_t>(random) >> 2) | (uint64_t{2} << 62);
  const uint64_t halves[] = {(ms << 16) | (7u << 12) | a, b};
  std::string text = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  size_t digit = 0;
  for (char& c : text) {
    if (c == '-') continue;
    c = "0123456789abcdef"[(halves[digit / 16] >> (60 - digit % 16 * 4)) & 15];
    ++digit;
  }
  return text;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
