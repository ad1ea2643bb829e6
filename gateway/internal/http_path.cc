#include "weir/gateway/internal/http_path.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

#include "weir/gateway/internal/json.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// False if `text` is no percent-encoding.
bool Decode(std::string_view text, bool plus_is_space, std::string* out) {
  out->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out->push_back(' ');
    } else if (text[i] != '%') {
      out->push_back(text[i]);
    } else if (i + 2 < text.size() &&
               absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 1])) &&
               absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 2]))) {
      out->append(
          absl::HexStringToBytes(absl::string_view(text.data() + i + 1, 2)));
      i += 2;
    } else {
      return false;
    }
  }
  return true;
}

absl::Status NotEncoded(std::string_view target) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "'%s' is no path: write bytes that may not be in one as %%XX", target));
}

}  // namespace

const std::string* HttpPath::Find(std::string_view name) const {
  const auto it =
      std::find_if(query.begin(), query.end(),
                   [name](const auto& field) { return field.first == name; });
  return it == query.end() ? nullptr : &it->second;
}

std::vector<std::string> HttpPath::All(std::string_view name) const {
  std::vector<std::string> all;
  for (const auto& [key, value] : query) {
    if (key != name && key != std::string(name) + "[]") continue;
    if (value.starts_with('[')) {
      const absl::StatusOr<Json> list = ParseJson(value);
      if (list.ok() && list->is_array()) {
        for (const Json& element : *list) {
          all.push_back(element.is_string() ? element.get<std::string>()
                                            : element.dump());
        }
        continue;
      }
    }
    for (absl::string_view one :
         absl::StrSplit(value, ',', absl::SkipWhitespace())) {
      all.emplace_back(absl::StripAsciiWhitespace(one));
    }
  }
  return all;
}

absl::StatusOr<bool> HttpPath::Flag(std::string_view name) const {
  const std::string* const value = Find(name);
  if (value == nullptr || value->empty() || *value == "0" ||
      absl::EqualsIgnoreCase(*value, "false")) {
    return false;
  }
  if (*value == "1" || absl::EqualsIgnoreCase(*value, "true")) return true;
  return absl::InvalidArgumentError(absl::StrFormat(
      "%s: '%s' is neither true nor false, 1 nor 0", name, *value));
}

absl::StatusOr<std::optional<size_t>> HttpPath::Count(
    std::string_view name) const {
  const std::string* const value = Find(name);
  if (value == nullptr) return std::optional<size_t>();
  uint64_t count = 0;
  if (!absl::SimpleAtoi(*value, &count) || value->front() == '+') {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: '%s' is no number from 0 on", name, *value));
  }
  return std::optional<size_t>(count);
}

absl::StatusOr<HttpPath> ParseHttpPath(std::string_view target) {
  HttpPath path;
  if (!target.starts_with('/')) return NotEncoded(target);
  const size_t question = target.find('?');
  std::string_view rest = target.substr(0, question);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t slash = std::min(rest.find('/'), rest.size());
    std::string part;
    if (!Decode(rest.substr(0, slash), false, &part)) return NotEncoded(target);
    rest.remove_prefix(slash);
    // A slash at the end says nothing.
    if (!part.empty() || !rest.empty()) path.parts.push_back(std::move(part));
  }
  if (question == std::string_view::npos) return path;
  rest = target.substr(question + 1);
  for (absl::string_view field :
       absl::StrSplit(absl::string_view(rest.data(), rest.size()), '&',
                      absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> both =
        absl::StrSplit(field, absl::MaxSplits('=', 1));
    std::string name;
    std::string value;
    if (!Decode({both.first.data(), both.first.size()}, true, &name) ||
        !Decode({both.second.data(), both.second.size()}, true, &value)) {
      return NotEncoded(target);
    }
    path.query.emplace_back(std::move(name), std::move(value));
  }
  return path;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
