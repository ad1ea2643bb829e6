#include "json.h"

#include "absl/strings/str_format.h"
#include "shown.h"

namespace weir_cli {

Json Json::Text(std::string_view text) {
  std::string out = "\"";
  for (const char c : IsUtf8(text) ? std::string(text) : ShownName(text)) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += absl::StrFormat("\\u%04x", c);
    } else {
      out += c;
    }
  }
  return Json(out + "\"");
}

Json Json::List(const std::vector<Json>& elements) {
  std::string out = "[";
  for (const Json& element : elements) {
    if (out.size() > 1) out += ", ";
    out += element.text();
  }
  return Json(out + "]");
}

JsonObject& JsonObject::Add(std::string_view name, const Json& value) {
  text_.pop_back();
  if (text_.size() > 1) text_ += ", ";
  text_ += Text(name).text() + ": " + value.text() + "}";
  return *this;
}

}  // namespace weir_cli
