#ifndef WEIR_CHANNELS_INTERNAL_VALUE_TYPE_H_
#define WEIR_CHANNELS_INTERNAL_VALUE_TYPE_H_

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "weir/channels/codec_fwd.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

class Value;

namespace internal {

struct ValueType;

// The head of a heap-allocated value.
class Box {
 public:
  explicit Box(const ValueType* type) : type_(type) {}
  Box(const Box&) = delete;
  Box& operator=(const Box&) = delete;

  // Relaxed: whoever copies a reference already holds one.
  void Ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  inline void Unref() noexcept;
  // Acquire pairs with the release in Unref(): what other owners did with the
  // value happened before its last owner changes it.
  bool unique() const noexcept {
    return refs_.load(std::memory_order_acquire) == 1;
  }

 private:
  const ValueType* type_;
  std::atomic<uint32_t> refs_{1};  // Values that point here.
};

template <class T>
struct BoxOf : Box {
  template <class... Args>
  explicit BoxOf(Args&&... args);
  T value;
};

template <class T>
inline constexpr bool kStoredInline =
    sizeof(T) <= 16 && alignof(T) <= 8 && std::is_trivially_copyable_v<T>;

// What a Value made of a T holds: never borrowed characters.
template <class T>
using HeldAs = std::conditional_t<std::is_same_v<T, const char*> ||
                                      std::is_same_v<T, char*> ||
                                      std::is_same_v<T, std::string_view> ||
                                      std::is_same_v<T, absl::string_view>,
                                  std::string, T>;

// Passed by reference below: as a parameter they would need Value complete.
using FieldVisitor = absl::FunctionRef<void(std::string_view, Value)>;
using ElementVisitor = absl::FunctionRef<void(Value)>;

// How codecs, which Value is built on, hand out the parts of a value.
template <class T>
void VisitField(const FieldVisitor& visit, std::string_view name,
                const T& field);
template <class T>
void VisitElement(const ElementVisitor& visit, const T& element);
template <class T>
void SetValue(const T& value, Value* out);

// What can be done with a value without knowing its type. One per type; its
// address identifies the type. Functions that a type does not offer are null.
struct ValueType {
  std::string_view name;
  std::string (*stored_name)();    // See StoredName().
  void (*destroy)(Box*) noexcept;  // Null for types stored inline.
  const void* (*get)(const Box*);  // The value in a box; null when inline.
  bool (*equal)(const void*, const void*);
  void (*encode)(const void*, std::string*);
  absl::Status (*decode)(std::string_view*, Value*);
  void (*append_json)(const void*, std::string*);
  bool (*is_null)(const void*);
  bool (*is_record)(const void*);
  void (*fields)(const void*, const FieldVisitor&);
  bool (*field)(const void*, std::string_view name, Value* out);
  bool (*is_list)(const void*);
  void (*elements)(const void*, const ElementVisitor&);
};

void Box::Unref() noexcept {
  // Release publishes this owner's reads and writes to the owner that destroys
  // the value; acquire is that owner's side.
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) type_->destroy(this);
}

// T's name from the compiler's own text, since typeid needs RTTI.
template <class T>
constexpr std::string_view TypeName() {
  // The compilers spell this one out.
  if constexpr (std::is_same_v<T, std::string>) return "std::string";
  std::string_view text = __PRETTY_FUNCTION__;
  const size_t begin = text.find("T = ") + 4;
  size_t end = text.find(';', begin);
  if (end == std::string_view::npos) end = text.rfind(']');
  return text.substr(begin, end - begin);
}

// `name`, if every compiler spells it so: no template, and in no unnamed or
// inline namespace of weir's; else "".
WEIR_EXPORT std::string PlainName(std::string_view name);

// What T is called in what is stored, on every machine: what its codec says, or
// its plain name. "" if it has none.
template <class T>
std::string StoredName() {
  if constexpr (requires {
                  { Codec<T>::Name() } -> std::convertible_to<std::string>;
                }) {
    return Codec<T>::Name();
  } else {
    return PlainName(TypeName<T>());
  }
}

// "what<part, part>"; "" if some part has no name.
WEIR_EXPORT std::string NameOfParts(std::string_view what,
                                    const std::vector<std::string>& parts);

// Whether two T can be compared. The standard's containers claim so even where
// their elements cannot.
template <class T>
struct IsComparable {
  static constexpr bool Value() {
    if constexpr (!std::equality_comparable<T>) {
      return false;
    } else if constexpr (requires { typename T::value_type; }) {
      using Element = std::remove_cv_t<typename T::value_type>;
      if constexpr (std::is_same_v<Element, T>) {
        return true;
      } else {
        return IsComparable<Element>::Value();
      }
    } else {
      return true;
    }
  }
};
template <class... Ts>
struct AreComparable {
  static constexpr bool Value() {
    return (IsComparable<std::remove_cv_t<Ts>>::Value() && ...);
  }
};
template <class A, class B>
struct IsComparable<std::pair<A, B>> : AreComparable<A, B> {};
template <class... Ts>
struct IsComparable<std::tuple<Ts...>> : AreComparable<Ts...> {};
template <class... Ts>
struct IsComparable<std::variant<Ts...>> : AreComparable<Ts...> {};

template <class T>
struct ValueOps {
  static const T& At(const void* p) { return *static_cast<const T*>(p); }

  static void Destroy(Box* box) noexcept { delete static_cast<BoxOf<T>*>(box); }
  static const void* Get(const Box* box) {
    return &static_cast<const BoxOf<T>*>(box)->value;
  }
  static bool Equal(const void* a, const void* b) { return At(a) == At(b); }
  static void Encode(const void* p, std::string* out) {
    Codec<T>::Encode(At(p), out);
  }
  static absl::Status Decode(std::string_view* in, Value* out);
  static void AppendJson(const void* p, std::string* out) {
    Codec<T>::AppendJson(At(p), out);
  }
  static bool IsNull(const void* p) { return Codec<T>::IsNull(At(p)); }
  // A codec with fields is a record's, unless it says that it depends on the
  // value; likewise lists.
  static bool IsRecord(const void* p) {
    if constexpr (requires { Codec<T>::IsRecord(At(p)); }) {
      return Codec<T>::IsRecord(At(p));
    } else {
      return true;
    }
  }
  static void Fields(const void* p, const FieldVisitor& visit) {
    Codec<T>::ForEachField(At(p), visit);
  }
  static bool Field(const void* p, std::string_view name, Value* out) {
    return Codec<T>::FindField(At(p), name, out);
  }
  static bool IsList(const void* p) {
    if constexpr (requires { Codec<T>::IsList(At(p)); }) {
      return Codec<T>::IsList(At(p));
    } else {
      return true;
    }
  }
  static void Elements(const void* p, const ElementVisitor& visit) {
    Codec<T>::ForEachElement(At(p), visit);
  }
};

template <class T>
constexpr ValueType MakeValueType() {
  using Ops = ValueOps<T>;
  ValueType type{};
  type.name = TypeName<T>();
  type.stored_name = &StoredName<T>;
  if constexpr (!kStoredInline<T>) {
    type.destroy = &Ops::Destroy;
    type.get = &Ops::Get;
  }
  if constexpr (IsComparable<T>::Value()) type.equal = &Ops::Equal;
  if constexpr (HasCodec<T>) {
    type.encode = &Ops::Encode;
    type.decode = &Ops::Decode;
  }
  // A codec may be for looking only: its type is shown, and never saved.
  if constexpr (requires(const T& v, std::string* out) {
                  Codec<T>::AppendJson(v, out);
                }) {
    type.append_json = &Ops::AppendJson;
    if constexpr (requires(const T& v) { Codec<T>::IsNull(v); }) {
      type.is_null = &Ops::IsNull;
    }
    if constexpr (requires(const T& v, const FieldVisitor& f) {
                    Codec<T>::ForEachField(v, f);
                  }) {
      type.is_record = &Ops::IsRecord;
      type.fields = &Ops::Fields;
      type.field = &Ops::Field;
    }
    if constexpr (requires(const T& v, const ElementVisitor& f) {
                    Codec<T>::ForEachElement(v, f);
                  }) {
      type.is_list = &Ops::IsList;
      type.elements = &Ops::Elements;
    }
  }
  return type;
}

// Visible across shared libraries, so that one type has one address.
template <class T>
struct WEIR_EXPORT ValueTypeOf {
  static constexpr ValueType kType = MakeValueType<T>();
};

template <class T>
template <class... Args>
BoxOf<T>::BoxOf(Args&&... args)
    : Box(&ValueTypeOf<T>::kType), value(std::forward<Args>(args)...) {}

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_INTERNAL_VALUE_TYPE_H_
