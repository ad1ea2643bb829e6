#ifndef WEIR_CHANNELS_VALUE_H_
#define WEIR_CHANNELS_VALUE_H_

#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/channels/codec.h"
#include "weir/channels/internal/value_type.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// None: the null value. A channel that holds None is not empty.
struct WEIR_EXPORT None {
  friend bool operator==(None, None) { return true; }
};

// Value: an immutable, shared, type-erased box for what channels hold, nodes
// write and events carry.
//
// Shape:    24 bytes. Trivially copyable types of up to 16 bytes are stored
//           inline; others in a reference-counted box, so that copying a Value
//           never copies what it holds.
// Errors:   asking for another type than the one held gives null; encoding a
//           type without a Codec gives FailedPrecondition naming the type.
// Threads:  immutable through a const Value; copies may be used and dropped by
//           any worker. Mutable() is for the one owner of this Value.
// Lifetime: what As() and Find() point to lives as long as this Value.
class WEIR_EXPORT Value {
 public:
  // An absent value: no type, no content.
  Value() = default;

  // Holds `value`; character strings and string views become a std::string.
  // Include the header of T's Codec, if it has one, wherever a Value of T is
  // made: the codec is bound here.
  template <class T>
  requires(!std::same_as<std::remove_cvref_t<T>, Value>) explicit Value(
      T&& value)
      : Value(std::in_place_type<internal::HeldAs<std::decay_t<T>>>,
              std::forward<T>(value)) {}

  template <class T, class... Args>
  explicit Value(std::in_place_type_t<T>, Args&&... args)
      : type_(&internal::ValueTypeOf<T>::kType) {
    static_assert(std::copy_constructible<T>,
                  "a Value may be shared, and a writer then needs a copy");
    if constexpr (internal::kStoredInline<T>) {
      ::new (static_cast<void*>(data_)) T(std::forward<Args>(args)...);
    } else {
      SetBox(new internal::BoxOf<T>(std::forward<Args>(args)...));
    }
  }

  Value(const Value& other) noexcept : type_(other.type_) {
    std::memcpy(data_, other.data_, sizeof(data_));
    if (boxed()) box()->Ref();
  }
  Value(Value&& other) noexcept : type_(std::exchange(other.type_, nullptr)) {
    std::memcpy(data_, other.data_, sizeof(data_));
  }
  Value& operator=(const Value& other) noexcept {
    if (this != &other) *this = Value(other);
    return *this;
  }
  Value& operator=(Value&& other) noexcept {
    Value taken(std::move(other));  // First: what this drops may hold `other`.
    std::swap(type_, taken.type_);
    std::swap(data_, taken.data_);
    return *this;
  }
  ~Value() {
    if (boxed()) box()->Unref();
  }

  bool has_value() const { return type_ != nullptr; }
  void reset() { *this = Value(); }

  // Whether this is None, or a dynamic type's null (JSON null, say).
  bool is_null() const;

  // The held T, or null if this holds another type or nothing.
  template <class T>
  const T* As() const {
    return type_ == &internal::ValueTypeOf<T>::kType ? Held<T>() : nullptr;
  }

  // As As(), for changing it in place. If other Values share the box, this one
  // first gets a copy of its own.
  template <class T>
  T* Mutable() {
    if (type_ != &internal::ValueTypeOf<T>::kType) return nullptr;
    if constexpr (!internal::kStoredInline<T>) {
      if (!box()->unique()) *this = Value(std::in_place_type<T>, *Held<T>());
    }
    return const_cast<T*>(Held<T>());
  }

  // Whether other Values share what this one holds: Mutable() would copy it.
  bool shared() const { return boxed() && !box()->unique(); }

  // Moves the held T out, or copies it if other Values share it. Requires that
  // a T is held; this Value is absent afterwards.
  template <class T>
  T Take() && {
    assert(As<T>() != nullptr);
    Value taken(std::move(*this));
    if (taken.shared()) return *taken.Held<T>();
    return std::move(*const_cast<T*>(taken.Held<T>()));
  }

  // The type's name, for messages; "nothing" when absent.
  std::string_view type_name() const;

  // A record is a value with named fields (a map from strings, a JSON object).
  bool is_record() const;
  // A list is a value with elements (a vector, a JSON array).
  bool is_list() const;
  // Calls `visit` for each field, in the record's order; nothing if this is no
  // record.
  void ForEachField(
      absl::FunctionRef<void(std::string_view, Value)> visit) const;
  // Calls `visit` for each element in order; nothing if this is no list.
  void ForEachElement(absl::FunctionRef<void(Value)> visit) const;
  // The field `name`, or an absent Value.
  Value Field(std::string_view name) const;

  // Appends this value as JSON text. A type without a Codec shows as
  // {"$type": "its name"}, an absent value as null.
  void AppendJson(std::string* out) const;
  std::string ToJson() const;

  // Whether both hold equal values of one type. Types that cannot be compared
  // are equal only if they share one box.
  friend bool operator==(const Value& a, const Value& b) { return a.Equals(b); }

  // Appends the bytes that Decode() of the same type reads.
  // FailedPrecondition if the type has no Codec.
  absl::Status Encode(std::string* out) const;
  bool has_codec() const {
    return type_ != nullptr && type_->encode != nullptr;
  }

  // Identifies the held type within this process; null when absent.
  const internal::ValueType* type() const { return type_; }

 private:
  bool boxed() const { return type_ != nullptr && type_->destroy != nullptr; }
  internal::Box* box() const {
    internal::Box* box;
    std::memcpy(&box, data_, sizeof(void*));
    return box;
  }
  void SetBox(internal::Box* box) { std::memcpy(data_, &box, sizeof(void*)); }

  template <class T>
  const T* Held() const {
    if constexpr (internal::kStoredInline<T>) {
      return std::launder(reinterpret_cast<const T*>(data_));
    } else {
      return &static_cast<const internal::BoxOf<T>*>(box())->value;
    }
  }
  // The address of what is held, for the functions of its ValueType.
  const void* held() const { return boxed() ? type_->get(box()) : data_; }

  bool Equals(const Value& other) const;

  // The type and what it says of data_: the value itself, or a Box*.
  const internal::ValueType* type_ = nullptr;
  alignas(8) unsigned char data_[16] = {};
};

// Identifies T within this process; what ChannelKind::read_type() returns.
template <class T>
const internal::ValueType* TypeOf() {
  return &internal::ValueTypeOf<T>::kType;
}

// The Value of a channel write: W itself, or, for write types that carry a
// Value of their own (OneOrMany), that.
template <class W>
Value ToValue(W write) {
  if constexpr (requires {
                  { std::move(write).TakeValue() } -> std::same_as<Value>;
                }) {
    return std::move(write).TakeValue();
  } else {
    return Value(std::move(write));
  }
}

namespace internal {

template <class T>
void VisitField(const FieldVisitor& visit, std::string_view name,
                const T& field) {
  visit(name, Value(std::in_place_type<T>, field));
}

template <class T>
void VisitElement(const ElementVisitor& visit, const T& element) {
  visit(Value(std::in_place_type<T>, element));
}

template <class T>
void SetValue(const T& value, Value* out) {
  *out = Value(std::in_place_type<T>, value);
}

template <class T>
absl::Status ValueOps<T>::Decode(std::string_view* in, Value* out) {
  T value{};
  if (absl::Status s = Codec<T>::Decode(in, &value); !s.ok()) return s;
  *out = Value(std::move(value));
  return absl::OkStatus();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_VALUE_H_
