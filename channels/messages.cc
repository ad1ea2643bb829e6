#include "weir/channels/messages.h"

#include <atomic>
#include <cstdint>
#include <random>

#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace {

// SplitMix64's output function: a permutation, so that a sequence of inputs
// without repetition gives one without repetition.
uint64_t Mix(uint64_t n) {
  n += 0x9e3779b97f4a7c15;
  n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9;
  n = (n ^ (n >> 27)) * 0x94d049bb133111eb;
  return n ^ (n >> 31);
}

uint64_t Random64(std::random_device& source) {
  return (uint64_t{source()} << 32) | source();
}

class RandomIds {
 public:
  RandomIds() {
    std::random_device source;
    high_ = Random64(source);
    low_ = Random64(source);
  }

  std::string Next() {
    // Relaxed: only that each caller gets another number matters.
    const uint64_t n = count_.fetch_add(1, std::memory_order_relaxed);
    return absl::StrFormat("%016x%016x", Mix(high_ + n), Mix(low_ ^ Mix(n)));
  }

 private:
  // Fixed after construction.
  uint64_t high_;
  uint64_t low_;

  std::atomic<uint64_t> count_{0};  // Ids given; counted up by Next() alone.
};

}  // namespace

MessageIds RandomMessageIds() {
  auto ids = std::make_shared<RandomIds>();
  return [ids] { return ids->Next(); };
}

}  // namespace v0
}  // namespace weir
