#include "weir/checkpoint/checkpoint.h"

#include <charconv>
#include <cstddef>
#include <system_error>

#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace {

constexpr size_t kDigits = 16;  // Of one of an id's two numbers.

bool ParseNumber(std::string_view digits, uint64_t& number) {
  for (char digit : digits) {
    const bool ok =
        (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f');
    if (!ok) return false;
  }
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number, 16);
  return error == std::errc() && stop == end;
}

// The encoder of a value that is its bytes, by which it is known as one.
absl::Status AppendBytes(const void* value, std::string* out) {
  out->append(*static_cast<const std::string*>(value));
  return absl::OkStatus();
}

}  // namespace

std::string CheckpointId::ToString() const {
  if (!has_value()) return "";
  return absl::StrFormat("%016x%016x", sequence, random);
}

absl::StatusOr<CheckpointId> CheckpointId::FromString(std::string_view text) {
  CheckpointId id;
  if (text.empty()) return id;
  if (text.size() == 2 * kDigits &&
      ParseNumber(text.substr(0, kDigits), id.sequence) &&
      ParseNumber(text.substr(kDigits), id.random) && id.has_value()) {
    return id;
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("'%s' is not a checkpoint id", std::string(text)));
}

SavedValue SavedValue::FromBytes(std::string bytes) {
  return {std::make_shared<const std::string>(std::move(bytes)), &AppendBytes};
}

const std::string* SavedValue::bytes() const {
  return encode_ == &AppendBytes ? static_cast<const std::string*>(value_.get())
                                 : nullptr;
}

absl::Status SavedValue::Encode(std::string* out) const {
  if (value_ == nullptr) {
    return absl::FailedPreconditionError("an absent value has no bytes");
  }
  if (encode_ == nullptr) {
    return absl::FailedPreconditionError("the value has no encoder");
  }
  return encode_(value_.get(), out);
}

}  // namespace v0
}  // namespace weir
