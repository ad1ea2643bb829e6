#ifndef WEIR_EXAMPLES_WEIR_CLI_JSON_H_
#define WEIR_EXAMPLES_WEIR_CLI_JSON_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir_cli {

// Json: text of a JSON value, made from its parts.
class Json {
 public:
  static Json Null() { return Json("null"); }
  static Json Bool(bool value) { return Json(value ? "true" : "false"); }
  static Json Number(uint64_t value) { return Json(std::to_string(value)); }
  static Json Signed(int64_t value) { return Json(std::to_string(value)); }
  // Bytes that are no UTF-8 are shown as ShownName() shows them.
  static Json Text(std::string_view text);
  static Json List(const std::vector<Json>& elements);
  // Of JSON text.
  static Json Raw(std::string text) { return Json(std::move(text)); }

  const std::string& text() const { return text_; }

 protected:
  explicit Json(std::string text) : text_(std::move(text)) {}

  std::string text_;
};

// JsonObject: members in the order in which they are added.
class JsonObject : public Json {
 public:
  JsonObject() : Json("{}") {}
  JsonObject& Add(std::string_view name, const Json& value);
};

}  // namespace weir_cli

#endif  // WEIR_EXAMPLES_WEIR_CLI_JSON_H_
