#ifndef WEIR_CHANNELS_INTERNAL_JSON_TEXT_H_
#define WEIR_CHANNELS_INTERNAL_JSON_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "weir/export.h"

// weir's JSON text, in the one form it is printed: a space after ':' and ','.
namespace weir {
inline namespace v0 {
namespace internal {

// Appends `text` in quotes, escaped as RFC 8259 asks. Bytes that are not UTF-8
// become U+FFFD.
WEIR_EXPORT void AppendJsonString(std::string_view text, std::string* out);

WEIR_EXPORT void AppendJsonInteger(int64_t number, std::string* out);
WEIR_EXPORT void AppendJsonInteger(uint64_t number, std::string* out);

// The shortest text that reads back as `number`, with a ".0" where it would
// look like an integer; null if it is not finite.
WEIR_EXPORT void AppendJsonNumber(double number, std::string* out);
WEIR_EXPORT void AppendJsonNumber(float number, std::string* out);

// Appends the JSON text `compact`, which has no spaces, with weir's.
WEIR_EXPORT void AppendSpacedJson(std::string_view compact, std::string* out);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_INTERNAL_JSON_TEXT_H_
