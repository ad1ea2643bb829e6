#include "weir/gateway/internal/json.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "weir/channels/nlohmann_json.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// Goes through a text without making anything of it, and stops where it is not
// to be parsed.
class Check final : public nlohmann::json_sax<Json> {
 public:
  const std::string& mistake() const { return mistake_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return Enter(); }
  bool start_array(size_t) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool end_array() override { return Leave(); }
  bool key(string_t&) override {
    if (++keys_.back() <= kMaxJsonKeys) return true;
    mistake_ = absl::StrFormat("an object has more than %d keys", kMaxJsonKeys);
    return false;
  }
  bool parse_error(size_t, const std::string&,
                   const nlohmann::json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    const std::string_view what = error.what();
    const size_t end = what.find("] ");
    mistake_ = what.substr(end == std::string_view::npos ? 0 : end + 2);
    return false;
  }

 private:
  bool Enter() {
    keys_.push_back(0);
    if (keys_.size() <= kMaxJsonDepth) return true;
    mistake_ = absl::StrFormat("it is nested more than %d deep", kMaxJsonDepth);
    return false;
  }
  bool Leave() {
    keys_.pop_back();
    return true;
  }

  std::string mistake_;
  std::vector<size_t> keys_;  // Of each object or list around.
};

}  // namespace

absl::StatusOr<Json> ParseJson(std::string_view text) {
  Check check;
  if (Json::sax_parse(text, &check)) {
    Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_discarded()) return json;
  }
  return absl::InvalidArgumentError("not JSON that can be read: " +
                                    check.mistake());
}

std::string JsonText(const Json& json) {
  std::string text;
  Codec<Json>::AppendJson(json, &text);
  return text;
}

std::string ShownJson(const Json& json) {
  if (json.is_null() || json.is_discarded()) return "null";
  constexpr size_t kMost = 60;
  std::string text = JsonText(json);
  if (text.size() > kMost) {
    text.resize(kMost);
    text += "...";
  }
  if (json.is_array()) return "the list " + text;
  return absl::StrCat("the ", json.type_name(), " ", text);
}

std::string WireTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
