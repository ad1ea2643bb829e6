#ifndef WEIR_GATEWAY_INTERNAL_JSON_H_
#define WEIR_GATEWAY_INTERNAL_JSON_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace weir {
inline namespace v0 {
namespace internal {

// JSON that comes from a client; keys keep their order.
using Json = nlohmann::ordered_json;

inline constexpr int kMaxJsonDepth = 64;
// Of one object: nlohmann looks for a key in an ordered object by walking it.
inline constexpr size_t kMaxJsonKeys = 4'096;

// Reads one JSON text. Of a key that an object has twice, the last counts.
//
// Errors: InvalidArgument: it is none, with the place where it goes wrong; or
//         it goes deeper, or has an object with more keys, than said above.
absl::StatusOr<Json> ParseJson(std::string_view text);

// `json` as weir writes JSON.
std::string JsonText(const Json& json);

// `json` for a message: its kind and its beginning: `the string "abc"`.
std::string ShownJson(const Json& json);

// 2026-01-31T12:00:00.000Z
std::string WireTime(absl::Time time);

// Whether `text` is `digits` lower-case hexadecimal digits.
bool IsHex(std::string_view text, size_t digits);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_JSON_H_
