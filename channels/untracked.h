#ifndef WEIR_CHANNELS_UNTRACKED_H_
#define WEIR_CHANNELS_UNTRACKED_H_

#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/channels/channel.h"
#include "weir/channels/internal/refusals.h"

namespace weir {
inline namespace v0 {
namespace internal {

template <class T>
class UntrackedKind final : public ChannelKind {
 public:
  explicit UntrackedKind(bool guard) : guard_(guard) {}

  std::string_view name() const override { return "Untracked"; }
  const ValueType* read_type() const override { return &ValueTypeOf<T>::kType; }

  absl::StatusOr<bool> Apply(ChannelState& state, Value write,
                             bool /*overwrite*/) const override {
    if (write.As<T>() == nullptr) return WrongType(write, TypeName<T>());
    if (guard_ && state.writes > 0) return SecondWrite(name());
    state.value = std::move(write);
    return true;
  }

  bool is_saved() const override { return false; }
  Value Snapshot(const ChannelState& /*state*/) const override {
    return Value();
  }
  absl::Status Restore(ChannelState& state, Value /*snapshot*/) const override {
    Init(state);
    return absl::OkStatus();
  }

 private:
  const bool guard_;
};

}  // namespace internal

// Untracked<T>(guard): holds the value last written, and is in no checkpoint: a
// run that is resumed finds it empty. A second write in one superstep is
// refused; without `guard` the last counts.
template <class T>
ChannelDef<T> Untracked(bool guard = true) {
  return {std::make_shared<internal::UntrackedKind<T>>(guard)};
}

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_UNTRACKED_H_
