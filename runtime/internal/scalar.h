#ifndef WEIR_RUNTIME_INTERNAL_SCALAR_H_
#define WEIR_RUNTIME_INTERNAL_SCALAR_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "weir/channels/value.h"

namespace weir {
inline namespace v0 {
namespace internal {

// A value without parts, whatever its type in the program: what its JSON text
// is.
using Scalar = std::variant<None, bool, int64_t, uint64_t, double, std::string>;

// Absent if `value` is a record or a list, or shows as one. An absent value is
// None.
std::optional<Scalar> ScalarOf(const Value& value);

// Orders numbers exactly, whatever their types, and strings by their bytes.
// Unordered if the two are of different kinds.
std::partial_ordering Compare(const Scalar& a, const Scalar& b);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_SCALAR_H_
