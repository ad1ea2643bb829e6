#ifndef WEIR_CHANNELS_CODEC_FWD_H_
#define WEIR_CHANNELS_CODEC_FWD_H_

#include <concepts>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace weir {
inline namespace v0 {

// Codec<T>: how a T becomes bytes, JSON text, and back. codec.h has the ready
// ones and says what to write for a type of your own.
template <class T, class Enable = void>
struct Codec;

// Whether T has a Codec.
template <class T>
concept HasCodec = std::default_initializable<T> &&
    requires(const T& v, T* t, std::string* out, std::string_view* in) {
  Codec<T>::Encode(v, out);
  { Codec<T>::Decode(in, t) } -> std::same_as<absl::Status>;
  Codec<T>::AppendJson(v, out);
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_CODEC_FWD_H_
