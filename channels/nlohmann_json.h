#ifndef WEIR_CHANNELS_NLOHMANN_JSON_H_
#define WEIR_CHANNELS_NLOHMANN_JSON_H_

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"

#include "weir/channels/codec.h"
#include "weir/channels/internal/json_text.h"
#include "weir/channels/internal/wire.h"
#include "weir/channels/messages.h"
#include "weir/channels/value.h"

// Dynamic state: nlohmann::json (or ordered_json) as the type of a channel. Its
// objects are records and its arrays lists, and a channel of messages takes
// {"role": …, "content": …, "id": …}. Include this header wherever a Value of
// such a type is made.
//
// Make values with `=` or parentheses: `json x{y}` is an array that holds y.
namespace weir {
inline namespace v0 {

// The types of nlohmann that weir takes.
template <class J>
concept NlohmannJson =
    std::same_as<J, nlohmann::json> || std::same_as<J, nlohmann::ordered_json>;

// Format:  a byte for the type, then what codec.h has for such a value. Unlike
//          JSON text this keeps every value as it is: NaN, binary values, bytes
//          that are not UTF-8, and whether a number was an integer.
template <NlohmannJson J>
struct Codec<J> {
  static std::string Name() { return "json"; }
  static void Encode(const J& v, std::string* out) {
    internal::Nesting nesting;
    if (nesting.RefusesToEncode()) return;
    switch (v.type()) {
      case J::value_t::null:
      case J::value_t::discarded:
        out->push_back(kNull);
        return;
      case J::value_t::boolean:
        out->push_back(v.template get<bool>() ? kTrue : kFalse);
        return;
      case J::value_t::number_integer:
        out->push_back(kSigned);
        Codec<int64_t>::Encode(v.template get<int64_t>(), out);
        return;
      case J::value_t::number_unsigned:
        out->push_back(kUnsigned);
        Codec<uint64_t>::Encode(v.template get<uint64_t>(), out);
        return;
      case J::value_t::number_float:
        out->push_back(kDouble);
        Codec<double>::Encode(v.template get<double>(), out);
        return;
      case J::value_t::string:
        out->push_back(kString);
        Codec<std::string>::Encode(v.template get_ref<const std::string&>(),
                                   out);
        return;
      case J::value_t::array:
        out->push_back(kArray);
        internal::PutVarint(v.size(), out);
        for (const J& element : v) Encode(element, out);
        return;
      case J::value_t::object:
        out->push_back(kObject);
        internal::PutVarint(v.size(), out);
        for (const auto& [key, field] :
             v.template get_ref<const typename J::object_t&>()) {
          Codec<std::string>::Encode(key, out);
          Encode(field, out);
        }
        return;
      case J::value_t::binary:
        out->push_back(kBinary);
        EncodeBinary(v.get_binary(), out);
        return;
    }
  }

  static absl::Status Decode(std::string_view* in, J* v) {
    internal::Nesting nesting;
    if (nesting.too_deep()) return internal::BadBytes("values nested too deep");
    std::string_view type;
    if (absl::Status s = internal::GetBytes(in, 1, &type); !s.ok()) return s;
    switch (type[0]) {
      case kNull:
        *v = nullptr;
        return absl::OkStatus();
      case kFalse:
      case kTrue:
        *v = type[0] == kTrue;
        return absl::OkStatus();
      case kSigned:
        return DecodeAs<int64_t>(in, v);
      case kUnsigned:
        return DecodeAs<uint64_t>(in, v);
      case kDouble:
        return DecodeAs<double>(in, v);
      case kString:
        return DecodeAs<std::string>(in, v);
      case kArray:
        return DecodeArray(in, v);
      case kObject:
        return DecodeObject(in, v);
      case kBinary:
        return DecodeBinary(in, v);
      default:
        return internal::BadBytes("an unknown JSON type");
    }
  }

  static void AppendJson(const J& v, std::string* out) {
    std::string_view separator = "";
    switch (v.type()) {
      case J::value_t::number_float:
        Codec<double>::AppendJson(v.template get<double>(), out);
        return;
      case J::value_t::string:
        internal::AppendJsonString(v.template get_ref<const std::string&>(),
                                   out);
        return;
      case J::value_t::array:
        out->push_back('[');
        for (const J& element : v) {
          out->append(separator);
          separator = ", ";
          AppendJson(element, out);
        }
        out->push_back(']');
        return;
      case J::value_t::object:
        out->push_back('{');
        for (const auto& [key, field] :
             v.template get_ref<const typename J::object_t&>()) {
          out->append(separator);
          separator = ", ";
          internal::AppendJsonString(key, out);
          out->append(": ");
          AppendJson(field, out);
        }
        out->push_back('}');
        return;
      case J::value_t::discarded:
        out->append("null");
        return;
      default:  // A null, a bool, an integer; binary as nlohmann shows it.
        internal::AppendSpacedJson(v.dump(), out);
    }
  }

  static bool IsNull(const J& v) { return v.is_null(); }

  static bool IsRecord(const J& v) { return v.is_object(); }
  static void ForEachField(const J& v, const internal::FieldVisitor& visit) {
    if (!v.is_object()) return;
    for (const auto& [key, field] :
         v.template get_ref<const typename J::object_t&>()) {
      internal::VisitField<J>(visit, key, field);
    }
  }
  static bool FindField(const J& v, std::string_view name, Value* out) {
    if (!v.is_object()) return false;
    const auto it = v.find(std::string(name));
    if (it == v.end()) return false;
    internal::SetValue<J>(*it, out);
    return true;
  }

  static bool IsList(const J& v) { return v.is_array(); }
  static void ForEachElement(const J& v,
                             const internal::ElementVisitor& visit) {
    if (!v.is_array()) return;
    for (const J& element : v) internal::VisitElement<J>(visit, element);
  }

 private:
  // On disk: never renumber.
  static constexpr char kNull = 0;
  static constexpr char kFalse = 1;
  static constexpr char kTrue = 2;
  static constexpr char kSigned = 3;
  static constexpr char kUnsigned = 4;
  static constexpr char kDouble = 5;
  static constexpr char kString = 6;
  static constexpr char kArray = 7;
  static constexpr char kObject = 8;
  static constexpr char kBinary = 9;

  template <class T>
  static absl::Status DecodeAs(std::string_view* in, J* v) {
    T value{};
    if (absl::Status s = Codec<T>::Decode(in, &value); !s.ok()) return s;
    *v = std::move(value);
    return absl::OkStatus();
  }

  static absl::Status DecodeArray(std::string_view* in, J* v) {
    *v = J::array();
    auto& elements = v->template get_ref<typename J::array_t&>();
    return internal::DecodeEach<J>(in, [&elements](J element) {
      elements.push_back(std::move(element));
      return true;
    });
  }

  static absl::Status DecodeObject(std::string_view* in, J* v) {
    *v = J::object();
    auto& fields = v->template get_ref<typename J::object_t&>();
    return internal::DecodeEach<std::pair<std::string, J>>(
        in, [&fields](std::pair<std::string, J> field) {
          return fields.emplace(std::move(field.first), std::move(field.second))
              .second;
        });
  }

  static void EncodeBinary(const typename J::binary_t& v, std::string* out) {
    std::optional<uint64_t> subtype;
    if (v.has_subtype()) subtype = v.subtype();
    Codec<std::optional<uint64_t>>::Encode(subtype, out);
    Codec<std::vector<uint8_t>>::Encode(v, out);
  }
  static absl::Status DecodeBinary(std::string_view* in, J* v) {
    std::optional<uint64_t> subtype;
    absl::Status s = Codec<std::optional<uint64_t>>::Decode(in, &subtype);
    if (!s.ok()) return s;
    std::vector<uint8_t> bytes;
    s = Codec<std::vector<uint8_t>>::Decode(in, &bytes);
    if (!s.ok()) return s;
    *v = subtype.has_value() ? J::binary(std::move(bytes), *subtype)
                             : J::binary(std::move(bytes));
    return s;
  }
};

// A JSON object is a message.
template <NlohmannJson J>
struct MessageTraits<J> {
  static bool IsMessage(const J& message) {
    if (!message.is_object()) return false;
    const auto id = message.find("id");
    return id == message.end() || id->is_string() || id->is_null();
  }
  static std::string_view Id(const J& message) { return Text(message, "id"); }
  static void SetId(J& message, std::string&& id) {
    message["id"] = std::move(id);
  }
  static bool IsRemove(const J& message) {
    return Text(message, "role") == kRemoveRole;
  }

 private:
  static std::string_view Text(const J& message, const char* name) {
    const auto it = message.find(name);
    if (it == message.end() || !it->is_string()) return {};
    return it->template get_ref<const std::string&>();
  }
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_NLOHMANN_JSON_H_
