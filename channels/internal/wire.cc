#include "weir/channels/internal/wire.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr int kMaxNesting = 200;

thread_local int nesting = 0;
thread_local bool refused_to_encode = false;

}  // namespace

absl::Status BadBytes(std::string_view what) {
  return absl::DataLossError(absl::StrFormat("encoded value has %s", what));
}

absl::Status GetVarint(std::string_view* in, uint64_t* n) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (in->empty()) return BadBytes("an end in the middle of a number");
    const auto byte = static_cast<unsigned char>(in->front());
    in->remove_prefix(1);
    // The tenth byte has room for one bit.
    if (shift == 63 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *n = value;
      return absl::OkStatus();
    }
  }
  return BadBytes("a number of more than 64 bits");
}

absl::Status GetBytes(std::string_view* in, uint64_t size,
                      std::string_view* bytes) {
  if (size > in->size()) return BadBytes("fewer bytes than announced");
  *bytes = in->substr(0, size);
  in->remove_prefix(size);
  return absl::OkStatus();
}

absl::Status GetSized(std::string_view* in, std::string_view* bytes) {
  uint64_t size = 0;
  if (absl::Status s = GetVarint(in, &size); !s.ok()) return s;
  return GetBytes(in, size, bytes);
}

Nesting::Nesting() { ++nesting; }
Nesting::~Nesting() { --nesting; }
bool Nesting::too_deep() const { return nesting > kMaxNesting; }
bool Nesting::RefusesToEncode() const {
  if (too_deep()) refused_to_encode = true;
  return too_deep();
}
bool Nesting::TakeRefusal() { return std::exchange(refused_to_encode, false); }

}  // namespace internal
}  // namespace v0
}  // namespace weir
