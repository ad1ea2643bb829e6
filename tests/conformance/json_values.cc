#include "tests/conformance/json_values.h"

#include <string>
#include <string_view>

namespace weir::conformance {

json ToJson(const Value& value) {
  if (const json* held = value.As<json>()) return *held;
  if (!value.has_value() || value.is_null()) return nullptr;
  if (value.is_record()) {
    json record = json::object();
    value.ForEachField([&record](std::string_view name, const Value& field) {
      record[std::string(name)] = ToJson(field);
    });
    return record;
  }
  if (value.is_list()) {
    json list = json::array();
    value.ForEachElement(
        [&list](const Value& element) { list.push_back(ToJson(element)); });
    return list;
  }
  return json::parse(value.ToJson());
}

json ToJson(const Values& values) {
  json record = json::object();
  for (const Values::Item& item : values.items()) {
    record[std::string(values.name(item))] = ToJson(item.value);
  }
  return record;
}

json ReturnedJson(const Values& values) {
  return values.empty() ? json() : ToJson(values);
}

}  // namespace weir::conformance
