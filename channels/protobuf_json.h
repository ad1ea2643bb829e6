#ifndef WEIR_CHANNELS_PROTOBUF_JSON_H_
#define WEIR_CHANNELS_PROTOBUF_JSON_H_

#include <string>

#include "google/protobuf/util/json_util.h"

#include "weir/channels/codec.h"
#include "weir/channels/internal/json_text.h"

namespace weir {
inline namespace v0 {

// ProtobufJsonCodec<M>: the codec of a Protobuf message whose content shows in
// JSON, as Protobuf's own JSON mapping has it:
//
//   template <>
//   struct weir::Codec<my::Order> : weir::ProtobufJsonCodec<my::Order> {};
//
// A message without this line is encoded the same, and shows its type alone.
// The line goes into a header that is included wherever a Value of the message
// is made, as with any codec: that is why this header cannot do it by being
// included somewhere.
template <ProtobufMessage M>
struct ProtobufJsonCodec : internal::ProtobufCodec<M> {
  static void AppendJson(const M& v, std::string* out) {
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(v, &json).ok()) {
      internal::ProtobufCodec<M>::AppendJson(v, out);
      return;
    }
    internal::AppendSpacedJson(json, out);
  }
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_PROTOBUF_JSON_H_
