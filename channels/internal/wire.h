#ifndef WEIR_CHANNELS_INTERNAL_WIRE_H_
#define WEIR_CHANNELS_INTERNAL_WIRE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

#include "weir/export.h"

// The pieces that encoded values are made of. The readers take bytes off the
// front of `in` and return DataLoss where they do not find what they look for.
namespace weir {
inline namespace v0 {
namespace internal {

// DataLoss: "encoded value has `what`".
WEIR_EXPORT absl::Status BadBytes(std::string_view what);

inline void PutVarint(uint64_t n, std::string* out) {
  for (; n >= 0x80; n >>= 7) out->push_back(static_cast<char>(n | 0x80));
  out->push_back(static_cast<char>(n));
}
WEIR_EXPORT absl::Status GetVarint(std::string_view* in, uint64_t* n);

WEIR_EXPORT absl::Status GetBytes(std::string_view* in, uint64_t size,
                                  std::string_view* bytes);
// Bytes that follow their size.
WEIR_EXPORT absl::Status GetSized(std::string_view* in,
                                  std::string_view* bytes);

// Counts how deep the coding of one value has descended on this worker's stack,
// as a type that contains itself could go on for as long as there are bytes.
// Codecs have no argument to count in, hence a thread-local.
class WEIR_EXPORT Nesting {
 public:
  Nesting();
  ~Nesting();
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  bool too_deep() const;
  // The same for Encode(), which cannot fail: TakeRefusal() tells its caller.
  bool RefusesToEncode() const;
  static bool TakeRefusal();
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_INTERNAL_WIRE_H_
