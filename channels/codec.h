#ifndef WEIR_CHANNELS_CODEC_H_
#define WEIR_CHANNELS_CODEC_H_

#include <algorithm>
#include <bit>
#include <climits>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "weir/channels/codec_fwd.h"
#include "weir/channels/internal/json_text.h"
#include "weir/channels/internal/value_type.h"
#include "weir/channels/internal/wire.h"

// The ready codecs: bool, integers, float and double, enums, std::string,
// std::vector, std::map and std::unordered_map, std::optional, std::pair, None
// and Protobuf messages. "weir/channels/value.h" includes this header.
//
// A struct of your own gets one from a list of its fields: "record_codec.h".
// Any other type gets one by hand. The first three functions are required, and
// T is default-constructible; the rest say what the type looks like as dynamic
// state and are left out where they do not apply:
//
//   template <>
//   struct weir::Codec<Money> {
//     // Appends at least one byte.
//     static void Encode(const Money& m, std::string* out) {
//       weir::Codec<int64_t>::Encode(m.cents, out);
//     }
//     // Reads what Encode() wrote off the front of `in`. The bytes may be
//     // anything: answer what does not decode with DataLoss.
//     static absl::Status Decode(std::string_view* in, Money* m) {
//       return weir::Codec<int64_t>::Decode(in, &m->cents);
//     }
//     static void AppendJson(const Money& m, std::string* out) {
//       weir::Codec<int64_t>::AppendJson(m.cents, out);
//     }
//     static bool IsNull(const Money& m);
//     // A type with these two is a record, unless IsRecord() says that it
//     // depends on the value.
//     static bool IsRecord(const Money& m);
//     static void ForEachField(
//         const Money& m,
//         absl::FunctionRef<void(std::string_view, weir::Value)> visit);
//     static bool FindField(const Money& m, std::string_view name,
//                           weir::Value* out);
//     // Names the type in what is stored, so that a channel of another type
//     // is told from this one. By default the type's own name, if that is no
//     // template's and in no unnamed namespace; then the type has to keep it.
//     static std::string Name() { return "bank.Money"; }
//     // A type with this is a list, unless IsList() depends on the value.
//     static bool IsList(const Money& m);
//     static void ForEachElement(const Money& m,
//                                absl::FunctionRef<void(weir::Value)> visit);
//   };
//
// Put the codec in the header of its type: it has to be seen wherever a Value
// of the type is made, and has to be the same everywhere. Where shared
// libraries are built with hidden visibility, a type that several of them use
// is to be visible, or each takes it for a type of its own.
//
// Errors:  Decode() returns DataLoss for bytes that Encode() cannot have
//          written. It allocates in proportion to the bytes it has read.
//          Values nested more than 200 deep are neither decoded nor, by
//          Value::Encode(), encoded.
// Format:  integers of one byte as that byte, wider ones as LEB128 varints
//          (signed ones zigzagged), floating numbers little-endian, everything
//          of variable size after its size.
namespace weir {
inline namespace v0 {

struct None;

template <>
struct Codec<None> {
  static std::string Name() { return "none"; }
  static void Encode(const None&, std::string* out) { out->push_back('\0'); }
  static absl::Status Decode(std::string_view* in, None*) {
    std::string_view byte;
    if (absl::Status s = internal::GetBytes(in, 1, &byte); !s.ok()) return s;
    return byte[0] == 0 ? absl::OkStatus() : internal::BadBytes("no null");
  }
  static void AppendJson(const None&, std::string* out) { out->append("null"); }
  static bool IsNull(const None&) { return true; }
};

template <>
struct Codec<bool> {
  static std::string Name() { return "bool"; }
  static void Encode(bool v, std::string* out) {
    out->push_back(v ? '\1' : '\0');
  }
  static absl::Status Decode(std::string_view* in, bool* v) {
    std::string_view byte;
    if (absl::Status s = internal::GetBytes(in, 1, &byte); !s.ok()) return s;
    if (byte[0] != 0 && byte[0] != 1) return internal::BadBytes("no bool");
    *v = byte[0] == 1;
    return absl::OkStatus();
  }
  static void AppendJson(bool v, std::string* out) {
    out->append(v ? "true" : "false");
  }
};

template <class T>
requires(std::integral<T> && !std::same_as<T, bool> &&
         sizeof(T) <= 8) struct Codec<T> {
  // By its size, which is what machines agree on.
  static std::string Name() {
    if constexpr (std::same_as<T, char>) return "char";
    return (std::is_signed_v<T> ? "int" : "uint") +
           std::to_string(CHAR_BIT * sizeof(T));
  }
  static void Encode(T v, std::string* out) {
    if constexpr (sizeof(T) == 1) {
      out->push_back(static_cast<char>(v));
    } else if constexpr (std::is_signed_v<T>) {
      // Zigzag: small numbers of either sign become small unsigned ones.
      const auto n = static_cast<int64_t>(v);
      internal::PutVarint(
          (static_cast<uint64_t>(n) << 1) ^ static_cast<uint64_t>(n >> 63),
          out);
    } else {
      internal::PutVarint(v, out);
    }
  }
  static absl::Status Decode(std::string_view* in, T* v) {
    if constexpr (sizeof(T) == 1) {
      std::string_view byte;
      if (absl::Status s = internal::GetBytes(in, 1, &byte); !s.ok()) return s;
      *v = static_cast<T>(byte[0]);
    } else {
      uint64_t n = 0;
      if (absl::Status s = internal::GetVarint(in, &n); !s.ok()) return s;
      if constexpr (std::is_signed_v<T>) {
        const auto wide = static_cast<int64_t>((n >> 1) ^ (~(n & 1) + 1));
        if (wide < std::numeric_limits<T>::min() ||
            wide > std::numeric_limits<T>::max()) {
          return internal::BadBytes("an integer out of its type's range");
        }
        *v = static_cast<T>(wide);
      } else {
        if (n > std::numeric_limits<T>::max()) {
          return internal::BadBytes("an integer out of its type's range");
        }
        *v = static_cast<T>(n);
      }
    }
    return absl::OkStatus();
  }
  static void AppendJson(T v, std::string* out) {
    if constexpr (std::is_signed_v<T>) {
      internal::AppendJsonInteger(int64_t{v}, out);
    } else {
      internal::AppendJsonInteger(uint64_t{v}, out);
    }
  }
};

template <class T>
requires(std::same_as<T, float> || std::same_as<T, double>) struct Codec<T> {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

  static std::string Name() { return sizeof(T) == 4 ? "float" : "double"; }
  static void Encode(T v, std::string* out) {
    const auto bits = std::bit_cast<Bits>(v);
    for (size_t i = 0; i < sizeof(T); ++i) {
      out->push_back(static_cast<char>(bits >> (8 * i)));
    }
  }
  static absl::Status Decode(std::string_view* in, T* v) {
    std::string_view bytes;
    if (absl::Status s = internal::GetBytes(in, sizeof(T), &bytes); !s.ok()) {
      return s;
    }
    Bits bits = 0;
    for (size_t i = 0; i < sizeof(T); ++i) {
      bits |= static_cast<Bits>(static_cast<unsigned char>(bytes[i]))
              << (8 * i);
    }
    *v = std::bit_cast<T>(bits);
    return absl::OkStatus();
  }
  static void AppendJson(T v, std::string* out) {
    internal::AppendJsonNumber(v, out);
  }
};

// An enum is its number.
template <class T>
requires std::is_enum_v<T>
struct Codec<T> {
  using Number = std::underlying_type_t<T>;

  static void Encode(T v, std::string* out) {
    Codec<Number>::Encode(static_cast<Number>(v), out);
  }
  static absl::Status Decode(std::string_view* in, T* v) {
    Number number{};
    if (absl::Status s = Codec<Number>::Decode(in, &number); !s.ok()) return s;
    *v = static_cast<T>(number);
    return absl::OkStatus();
  }
  static void AppendJson(T v, std::string* out) {
    Codec<Number>::AppendJson(static_cast<Number>(v), out);
  }
};

// In JSON, bytes that are not UTF-8 show as U+FFFD.
template <>
struct Codec<std::string> {
  static std::string Name() { return "string"; }
  static void Encode(std::string_view v, std::string* out) {
    internal::PutVarint(v.size(), out);
    out->append(v);
  }
  static absl::Status Decode(std::string_view* in, std::string* v) {
    std::string_view bytes;
    if (absl::Status s = internal::GetSized(in, &bytes); !s.ok()) return s;
    v->assign(bytes);
    return absl::OkStatus();
  }
  static void AppendJson(std::string_view v, std::string* out) {
    internal::AppendJsonString(v, out);
  }
};

namespace internal {

// Decodes a list element by element, so that memory follows the bytes that were
// there, not the number that precedes them.
template <class T, class F>
absl::Status DecodeEach(std::string_view* in, F take) {
  Nesting nesting;
  if (nesting.too_deep()) return BadBytes("values nested too deep");
  uint64_t count = 0;
  if (absl::Status s = GetVarint(in, &count); !s.ok()) return s;
  // Every element has at least a byte.
  if (count > in->size()) return BadBytes("fewer elements than announced");
  for (; count > 0; --count) {
    T element{};
    if (absl::Status s = Codec<T>::Decode(in, &element); !s.ok()) return s;
    if (!take(std::move(element))) return BadBytes("one key twice");
  }
  return absl::OkStatus();
}

// The functions of a list type that follow from iterating over it.
template <class List, class T>
struct ListCodec {
  static std::string Name() { return NameOfParts("list", {StoredName<T>()}); }
  static void Encode(const List& v, std::string* out) {
    Nesting nesting;
    if (nesting.RefusesToEncode()) return;
    PutVarint(v.size(), out);
    for (const auto& element : v) Codec<T>::Encode(element, out);
  }
  static void AppendJson(const List& v, std::string* out) {
    std::string_view separator = "[";
    for (const auto& element : v) {
      out->append(separator);
      Codec<T>::AppendJson(element, out);
      separator = ", ";
    }
    out->append(v.empty() ? "[]" : "]");
  }
  static void ForEachElement(const List& v, const ElementVisitor& visit) {
    for (const auto& element : v) VisitElement<T>(visit, element);
  }
};

// std::map and std::unordered_map. Unordered ones are written in the order of
// their keys where keys have one, so that equal maps give equal bytes.
template <class Map>
struct MapCodec {
  using K = typename Map::key_type;
  using V = typename Map::mapped_type;

  static std::string Name() {
    return NameOfParts("map", {StoredName<K>(), StoredName<V>()});
  }
  template <class F>
  static void ForEachEntry(const Map& map, F visit) {
    if constexpr (requires { typename Map::hasher; } &&
                  std::totally_ordered<K>) {
      std::vector<const typename Map::value_type*> entries;
      entries.reserve(map.size());
      for (const auto& entry : map) entries.push_back(&entry);
      std::ranges::sort(entries, {},
                        [](const auto* e) -> const K& { return e->first; });
      for (const auto* entry : entries) visit(entry->first, entry->second);
    } else {
      for (const auto& [key, value] : map) visit(key, value);
    }
  }

  static void Encode(const Map& map, std::string* out) {
    Nesting nesting;
    if (nesting.RefusesToEncode()) return;
    PutVarint(map.size(), out);
    ForEachEntry(map, [out](const K& key, const V& value) {
      Codec<K>::Encode(key, out);
      Codec<V>::Encode(value, out);
    });
  }
  static absl::Status Decode(std::string_view* in, Map* map) {
    map->clear();
    return DecodeEach<std::pair<K, V>>(in, [map](std::pair<K, V> entry) {
      return map->emplace(std::move(entry)).second;
    });
  }
  // An object; with keys that are not strings, an array of pairs.
  static void AppendJson(const Map& map, std::string* out) {
    constexpr bool kObject = std::same_as<K, std::string>;
    std::string_view separator = "";
    out->push_back(kObject ? '{' : '[');
    ForEachEntry(map, [&separator, out](const K& key, const V& value) {
      out->append(separator);
      separator = ", ";
      if (!kObject) out->push_back('[');
      Codec<K>::AppendJson(key, out);
      out->append(kObject ? ": " : ", ");
      Codec<V>::AppendJson(value, out);
      if (!kObject) out->push_back(']');
    });
    out->push_back(kObject ? '}' : ']');
  }
  static void ForEachField(const Map& map, const FieldVisitor& visit) requires
      std::same_as<K, std::string> {
    ForEachEntry(map, [&visit](const K& key, const V& value) {
      VisitField<V>(visit, key, value);
    });
  }
  static bool FindField(const Map& map, std::string_view name,
                        Value* out) requires std::same_as<K, std::string> {
    auto it = map.find(std::string(name));
    if (it == map.end()) return false;
    SetValue<V>(it->second, out);
    return true;
  }
};

}  // namespace internal

template <HasCodec T, class A>
struct Codec<std::vector<T, A>> : internal::ListCodec<std::vector<T, A>, T> {
  static absl::Status Decode(std::string_view* in, std::vector<T, A>* v) {
    v->clear();
    return internal::DecodeEach<T>(in, [v](T element) {
      v->push_back(std::move(element));
      return true;
    });
  }
};

template <HasCodec K, HasCodec V, class C, class A>
struct Codec<std::map<K, V, C, A>> : internal::MapCodec<std::map<K, V, C, A>> {
};

template <HasCodec K, HasCodec V, class H, class E, class A>
struct Codec<std::unordered_map<K, V, H, E, A>>
    : internal::MapCodec<std::unordered_map<K, V, H, E, A>> {};

// JSON: an array of two.
template <HasCodec A, HasCodec B>
struct Codec<std::pair<A, B>> {
  static std::string Name() {
    return internal::NameOfParts(
        "pair", {internal::StoredName<A>(), internal::StoredName<B>()});
  }
  static void Encode(const std::pair<A, B>& v, std::string* out) {
    Codec<A>::Encode(v.first, out);
    Codec<B>::Encode(v.second, out);
  }
  static absl::Status Decode(std::string_view* in, std::pair<A, B>* v) {
    if (absl::Status s = Codec<A>::Decode(in, &v->first); !s.ok()) return s;
    return Codec<B>::Decode(in, &v->second);
  }
  static void AppendJson(const std::pair<A, B>& v, std::string* out) {
    out->push_back('[');
    Codec<A>::AppendJson(v.first, out);
    out->append(", ");
    Codec<B>::AppendJson(v.second, out);
    out->push_back(']');
  }
};

// JSON: null or the value.
template <HasCodec T>
struct Codec<std::optional<T>> {
  static std::string Name() {
    return internal::NameOfParts("optional", {internal::StoredName<T>()});
  }
  static void Encode(const std::optional<T>& v, std::string* out) {
    internal::Nesting nesting;
    if (nesting.RefusesToEncode()) return;
    Codec<bool>::Encode(v.has_value(), out);
    if (v.has_value()) Codec<T>::Encode(*v, out);
  }
  static absl::Status Decode(std::string_view* in, std::optional<T>* v) {
    internal::Nesting nesting;
    if (nesting.too_deep()) return internal::BadBytes("values nested too deep");
    bool present = false;
    if (absl::Status s = Codec<bool>::Decode(in, &present); !s.ok()) return s;
    v->reset();
    return present ? Codec<T>::Decode(in, &v->emplace()) : absl::OkStatus();
  }
  static void AppendJson(const std::optional<T>& v, std::string* out) {
    if (v.has_value()) {
      Codec<T>::AppendJson(*v, out);
    } else {
      out->append("null");
    }
  }
  static bool IsNull(const std::optional<T>& v) { return !v.has_value(); }
};

// What weir uses of a Protobuf message, through its own members.
template <class M>
concept ProtobufMessage = requires(const M& c, M& m, std::string* out,
                                   const void* data, int size) {
  { c.AppendPartialToString(out) } -> std::same_as<bool>;
  { c.ByteSizeLong() } -> std::convertible_to<size_t>;
  { c.GetTypeName() } -> std::convertible_to<std::string>;
  { m.ParsePartialFromArray(data, size) } -> std::same_as<bool>;
};

namespace internal {

template <class M>
struct ProtobufCodec {
  static std::string Name() { return std::string(M().GetTypeName()); }
  static void Encode(const M& v, std::string* out) {
    PutVarint(v.ByteSizeLong(), out);
    v.AppendPartialToString(out);
  }
  static absl::Status Decode(std::string_view* in, M* v) {
    std::string_view bytes;
    if (absl::Status s = GetSized(in, &bytes); !s.ok()) return s;
    if (bytes.size() > INT_MAX ||
        !v->ParsePartialFromArray(bytes.data(),
                                  static_cast<int>(bytes.size()))) {
      return BadBytes(std::string("no message of type ") + v->GetTypeName());
    }
    return absl::OkStatus();
  }
  static void AppendJson(const M& v, std::string* out) {
    out->append("{\"$type\": ");
    AppendJsonString(v.GetTypeName(), out);
    out->push_back('}');
  }
};

}  // namespace internal

// In JSON a message shows as {"$type": "its full name"}; "protobuf_json.h" says
// how to get its content.
template <ProtobufMessage M>
struct Codec<M> : internal::ProtobufCodec<M> {};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_CODEC_H_
