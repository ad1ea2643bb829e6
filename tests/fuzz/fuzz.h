#ifndef WEIR_TESTS_FUZZ_FUZZ_H_
#define WEIR_TESTS_FUZZ_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

// What a target of libFuzzer is made of: each *_fuzzer.cc has one of these two,
// and is linked either with libFuzzer or with replay.cc.

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace weir {

// Valid inputs, which fuzzing begins with.
std::vector<std::string> Seeds();

// Ends the process, as a fault that was found.
inline void Require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %.*s\n", static_cast<int>(what.size()),
               what.data());
  std::abort();
}

// What a reader may say of bytes that are not its own.
inline void RequireRefusal(const absl::Status& s) {
  Require(absl::IsDataLoss(s) || absl::IsFailedPrecondition(s), s.ToString());
}

// Takes pieces off the front of an input; then they are empty.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size)
      : bytes_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return bytes_.empty(); }
  uint8_t Byte() {
    const std::string_view one = Take(1);
    return one.empty() ? 0 : static_cast<uint8_t>(one[0]);
  }
  // The greatest byte first.
  uint32_t Number(int bytes) {
    uint32_t number = 0;
    for (; bytes > 0; --bytes) number = number << 8 | Byte();
    return number;
  }
  std::string_view Take(size_t size) {
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view Rest() { return Take(bytes_.size()); }

 private:
  std::string_view bytes_;
};

}  // namespace weir

#endif  // WEIR_TESTS_FUZZ_FUZZ_H_
