#ifndef WEIR_CHANNELS_EPHEMERAL_H_
#define WEIR_CHANNELS_EPHEMERAL_H_

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
class EphemeralKind final : public ChannelKind {
 public:
  explicit EphemeralKind(bool guard) : guard_(guard) {}

  std::string_view name() const override { return "Ephemeral"; }
  const ValueType* read_type() const override { return &ValueTypeOf<T>::kType; }

  absl::StatusOr<bool> Apply(ChannelState& state, Value write,
                             bool /*overwrite*/) const override {
    if (write.As<T>() == nullptr) return WrongType(write, TypeName<T>());
    if (guard_ && state.writes > 0) return SecondWrite(name());
    state.value = std::move(write);
    return true;
  }

  bool Quiet(ChannelState& state) const override {
    const bool held = state.value.has_value();
    state.value.reset();
    return held;
  }
  bool clears_when_quiet() const override { return true; }

 private:
  const bool guard_;
};

}  // namespace internal

// Ephemeral<T>(guard): the value written in the superstep before; then empty
// again. A second write in one superstep is refused; without `guard` the last
// counts.
template <class T>
ChannelDef<T> Ephemeral(bool guard = true) {
  return {std::make_shared<internal::EphemeralKind<T>>(guard)};
}

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_EPHEMERAL_H_
