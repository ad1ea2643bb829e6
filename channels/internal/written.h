#ifndef WEIR_CHANNELS_INTERNAL_WRITTEN_H_
#define WEIR_CHANNELS_INTERNAL_WRITTEN_H_

#include <concepts>
#include <cstddef>
#include <utility>
#include <vector>

#include "weir/channels/codec_fwd.h"
#include "weir/channels/value.h"

// What one write to a channel of many values carries: a T, or several as a
// std::vector<T>. Where values of T may be lists themselves, as those of
// nlohmann::json may, a list stands for its elements.
namespace weir {
inline namespace v0 {
namespace internal {

template <class T>
concept DynamicType = requires(const T& v) {
  { Codec<T>::IsList(v) } -> std::same_as<bool>;
};

// Whether `write` carries any number of T.
template <class T>
bool CarriesWritten(const Value& write) {
  return write.As<T>() != nullptr || write.As<std::vector<T>>() != nullptr;
}

// Calls `take` with each T in `write`, moved where nothing else shares it.
template <class T, class F>
void ForEachWritten(Value write, F take) {
  if (const auto* many = write.As<std::vector<T>>()) {
    if (write.shared()) {
      for (const auto& one : *many) take(T(one));
    } else {
      for (auto&& one : *write.Mutable<std::vector<T>>()) {
        take(T(std::move(one)));
      }
    }
    return;
  }
  if constexpr (DynamicType<T>) {
    if (write.is_list()) {
      write.ForEachElement(
          [&take](Value one) { take(std::move(one).Take<T>()); });
      return;
    }
  }
  take(std::move(write).Take<T>());
}

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_INTERNAL_WRITTEN_H_
