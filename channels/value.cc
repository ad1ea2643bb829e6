#include "weir/channels/value.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "weir/channels/internal/json_text.h"

namespace weir {
inline namespace v0 {

bool Value::is_null() const {
  if (As<None>() != nullptr) return true;
  return type_ != nullptr && type_->is_null != nullptr &&
         type_->is_null(held());
}

std::string_view Value::type_name() const {
  return type_ == nullptr ? std::string_view("nothing") : type_->name;
}

bool Value::is_record() const {
  return type_ != nullptr && type_->is_record != nullptr &&
         type_->is_record(held());
}

bool Value::is_list() const {
  return type_ != nullptr && type_->is_list != nullptr &&
         type_->is_list(held());
}

void Value::ForEachField(
    absl::FunctionRef<void(std::string_view, Value)> visit) const {
  if (is_record()) type_->fields(held(), visit);
}

void Value::ForEachElement(absl::FunctionRef<void(Value)> visit) const {
  if (is_list()) type_->elements(held(), visit);
}

Value Value::Field(std::string_view name) const {
  Value field;
  if (!is_record() || !type_->field(held(), name, &field)) return Value();
  return field;
}

void Value::AppendJson(std::string* out) const {
  if (type_ == nullptr || As<None>() != nullptr) {
    out->append("null");
  } else if (type_->append_json != nullptr) {
    type_->append_json(held(), out);
  } else {
    out->append("{\"$type\": ");
    internal::AppendJsonString(type_->name, out);
    out->push_back('}');
  }
}

std::string Value::ToJson() const {
  std::string out;
  AppendJson(&out);
  return out;
}

absl::Status Value::Encode(std::string* out) const {
  if (!has_codec()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s has no Codec; specialize weir::Codec for it", type_name()));
  }
  type_->encode(held(), out);
  if (internal::Nesting::TakeRefusal()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s holds values nested more than 200 deep, which could not be read "
        "back",
        type_name()));
  }
  return absl::OkStatus();
}

bool Value::Equals(const Value& other) const {
  if (type_ != other.type_) return false;
  if (type_ == nullptr || held() == other.held()) return true;
  return type_->equal != nullptr && type_->equal(held(), other.held());
}

namespace internal {

std::string PlainName(std::string_view name) {
  const bool plain =
      !name.starts_with("weir::") &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
               c == ':';
      });
  return plain ? std::string(name) : std::string();
}

std::string NameOfParts(std::string_view what,
                        const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    if (part.empty()) return part;
  }
  return absl::StrCat(std::string(what), "<", absl::StrJoin(parts, ", "), ">");
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
