#include "weir/checkpoint/internal/metadata_filter.h"

#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

std::string JsonString(const std::string& text) {
  std::string json = "\"";
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&json, "\\u%04x", c);
    } else {
      if (c == '"' || c == '\\') json.push_back('\\');
      json.push_back(c);
    }
  }
  json.push_back('"');
  return json;
}

}  // namespace

bool Matches(const std::string& source, int64_t step, const std::string& run_id,
             const std::map<std::string, std::string>& custom,
             const std::map<std::string, std::string>& filter) {
  for (const auto& [key, json] : filter) {
    bool equal = false;
    if (key == "source") {
      equal = JsonString(source) == json;
    } else if (key == "step") {
      equal = std::to_string(step) == json;
    } else if (key == "run_id") {
      equal = !run_id.empty() && JsonString(run_id) == json;
    } else {
      const auto at = custom.find(key);
      equal = at != custom.end() && at->second == json;
    }
    if (!equal) return false;
  }
  return true;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
