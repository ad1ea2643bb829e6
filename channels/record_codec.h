#ifndef WEIR_CHANNELS_RECORD_CODEC_H_
#define WEIR_CHANNELS_RECORD_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "absl/status/status.h"

#include "weir/channels/codec.h"
#include "weir/channels/internal/json_text.h"
#include "weir/channels/internal/value_type.h"
#include "weir/channels/internal/wire.h"
#include "weir/channels/value.h"

namespace weir {
inline namespace v0 {

// One field of a RecordCodec.
template <class T, class M>
struct RecordField {
  constexpr RecordField(std::string_view field_name, M T::*field)
      : name(field_name), member(field) {}
  std::string_view name;
  M T::*member;
};

// RecordCodec<T>: the codec of a struct, from the list of its fields. As
// dynamic state such a struct is a record.
//
//   struct Order {
//     std::string item;
//     int count = 0;
//   };
//
//   template <>
//   struct weir::Codec<Order> : weir::RecordCodec<Order> {
//     static constexpr auto Fields() {
//       return std::tuple(weir::RecordField("item", &Order::item),
//                         weir::RecordField("count", &Order::count));
//     }
//   };
//
// Format:  the number of fields, then each after its size. A field may be added
//          at the end of the list: bytes written without it leave it at its
//          default, and a reader without it skips it.
template <class T>
struct RecordCodec {
  static void Encode(const T& v, std::string* out) {
    internal::Nesting nesting;
    if (nesting.RefusesToEncode()) return;
    std::apply(
        [&v, out](const auto&... field) {
          internal::PutVarint(sizeof...(field), out);
          std::string bytes;
          (EncodeField(v.*field.member, &bytes, out), ...);
        },
        Codec<T>::Fields());
  }

  static absl::Status Decode(std::string_view* in, T* v) {
    internal::Nesting nesting;
    if (nesting.too_deep()) return internal::BadBytes("values nested too deep");
    uint64_t count = 0;
    if (absl::Status s = internal::GetVarint(in, &count); !s.ok()) return s;
    absl::Status status;
    std::apply(
        [&](const auto&... field) {
          static_cast<void>(
              ((status = DecodeField(in, &count, &(v->*field.member)),
                status.ok()) &&
               ...));
        },
        Codec<T>::Fields());
    for (; status.ok() && count > 0; --count) {
      std::string_view unknown;
      status = internal::GetSized(in, &unknown);
    }
    return status;
  }

  static void AppendJson(const T& v, std::string* out) {
    std::string_view separator = "";
    out->push_back('{');
    ForEach([&](std::string_view name, const auto& member) {
      out->append(separator);
      separator = ", ";
      internal::AppendJsonString(name, out);
      out->append(": ");
      JsonOf(v.*member, out);
    });
    out->push_back('}');
  }

  static void ForEachField(const T& v, const internal::FieldVisitor& visit) {
    ForEach([&](std::string_view name, const auto& member) {
      internal::VisitField<std::decay_t<decltype(v.*member)>>(visit, name,
                                                              v.*member);
    });
  }

  static bool FindField(const T& v, std::string_view name, Value* out) {
    bool found = false;
    ForEach([&](std::string_view field, const auto& member) {
      if (field != name) return;
      internal::SetValue<std::decay_t<decltype(v.*member)>>(v.*member, out);
      found = true;
    });
    return found;
  }

 private:
  template <class F>
  static void ForEach(F visit) {
    std::apply(
        [&visit](const auto&... field) {
          (visit(field.name, field.member), ...);
        },
        Codec<T>::Fields());
  }

  template <class M>
  static void JsonOf(const M& member, std::string* out) {
    Codec<M>::AppendJson(member, out);
  }

  template <class M>
  static void EncodeField(const M& member, std::string* bytes,
                          std::string* out) {
    bytes->clear();
    Codec<M>::Encode(member, bytes);
    internal::PutVarint(bytes->size(), out);
    out->append(*bytes);
  }

  template <class M>
  static absl::Status DecodeField(std::string_view* in, uint64_t* count,
                                  M* member) {
    if (*count == 0) return absl::OkStatus();
    --*count;
    std::string_view bytes;
    if (absl::Status s = internal::GetSized(in, &bytes); !s.ok()) return s;
    if (absl::Status s = Codec<M>::Decode(&bytes, member); !s.ok()) return s;
    return bytes.empty() ? absl::OkStatus()
                         : internal::BadBytes("more than a field's value");
  }
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_RECORD_CODEC_H_
