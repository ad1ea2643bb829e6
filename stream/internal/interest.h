#ifndef WEIR_STREAM_INTERNAL_INTEREST_H_
#define WEIR_STREAM_INTERNAL_INTEREST_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace weir {
inline namespace v0 {
namespace internal {

// Interest: the modes that a changing set of masks has.
//
// Threads:   thread-compatible.
class Interest {
 public:
  uint32_t modes() const { return all_ != 0 ? kAll : modes_; }

  void Add(uint32_t mask) {
    if (mask == kAll) {
      ++all_;
      return;
    }
    for (uint32_t left = mask; left != 0; left &= left - 1) ++Count(left);
    modes_ |= mask;
  }

  void Remove(uint32_t mask) {
    if (mask == kAll) {
      --all_;
      return;
    }
    for (uint32_t left = mask; left != 0; left &= left - 1) {
      if (--Count(left) == 0) modes_ &= ~(left & (~left + 1));
    }
  }

 private:
  static constexpr uint32_t kAll = std::numeric_limits<uint32_t>::max();

  // Of the lowest mode of `modes`.
  uint32_t& Count(uint32_t modes) {
    return counts_[static_cast<size_t>(std::countr_zero(modes))];
  }

  uint32_t all_ = 0;    // Masks of all modes, which most are.
  uint32_t modes_ = 0;  // Those that counts_ is not 0 for.
  std::array<uint32_t, std::numeric_limits<uint32_t>::digits> counts_ = {};
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_INTEREST_H_
