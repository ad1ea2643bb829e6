#ifndef WEIR_GATEWAY_INTERNAL_HTTP_PATH_H_
#define WEIR_GATEWAY_INTERNAL_HTTP_PATH_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {
inline namespace v0 {
namespace internal {

// A request's target, taken apart: the parts of its path and the fields of its
// query, decoded.
struct HttpPath {
  std::vector<std::string> parts{};  // Of "/a/b" these two; none of "/".
  std::vector<std::pair<std::string, std::string>> query{};

  // The first of that name, or null.
  const std::string* Find(std::string_view name) const;
  // All that are given as `name` or `name[]`: one by one, separated by commas,
  // or as a JSON array.
  std::vector<std::string> All(std::string_view name) const;
  // "1" and "true"; "0", "false", "" and nothing. InvalidArgument for others.
  absl::StatusOr<bool> Flag(std::string_view name) const;
  absl::StatusOr<std::optional<size_t>> Count(std::string_view name) const;
};

// InvalidArgument for a path that does not begin with '/', and for what is no
// percent-encoding.
absl::StatusOr<HttpPath> ParseHttpPath(std::string_view target);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_HTTP_PATH_H_
