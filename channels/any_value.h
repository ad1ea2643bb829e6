#ifndef WEIR_CHANNELS_ANY_VALUE_H_
#define WEIR_CHANNELS_ANY_VALUE_H_

#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

#include "weir/channels/channel.h"
#include "weir/channels/internal/refusals.h"

namespace weir {
inline namespace v0 {
namespace internal {

template <class T>
class AnyValueKind final : public ChannelKind {
 public:
  std::string_view name() const override { return "AnyValue"; }
  const ValueType* read_type() const override { return &ValueTypeOf<T>::kType; }

  absl::StatusOr<bool> Apply(ChannelState& state, Value write,
                             bool /*overwrite*/) const override {
    if (write.As<T>() == nullptr) return WrongType(write, TypeName<T>());
    state.value = std::move(write);
    return true;
  }

  bool Quiet(ChannelState& state) const override {
    const bool held = state.value.has_value();
    state.value.reset();
    return held;
  }
  bool clears_when_quiet() const override { return true; }
};

}  // namespace internal

// AnyValue<T>(): the value written in the superstep before, for writers that
// all write the same one: the last counts, and they are not compared. A
// superstep without a write empties it.
template <class T>
ChannelDef<T> AnyValue() {
  return {std::make_shared<internal::AnyValueKind<T>>()};
}

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_ANY_VALUE_H_
