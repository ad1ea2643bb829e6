#ifndef WEIR_CHANNELS_LAST_VALUE_H_
#define WEIR_CHANNELS_LAST_VALUE_H_

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
class LastValueKind final : public ChannelKind {
 public:
  explicit LastValueKind(bool after_finish) : after_finish_(after_finish) {}

  std::string_view name() const override {
    return after_finish_ ? "LastValueAfterFinish" : "LastValue";
  }
  const ValueType* read_type() const override { return &ValueTypeOf<T>::kType; }

  absl::StatusOr<bool> Apply(ChannelState& state, Value write,
                             bool /*overwrite*/) const override {
    if (write.As<T>() == nullptr) return WrongType(write, TypeName<T>());
    // The form that waits for the finish keeps the last of several writes.
    if (state.writes > 0 && !after_finish_) return SecondWrite(name());
    state.value = std::move(write);
    state.hidden = after_finish_;
    return true;
  }

  bool Finish(ChannelState& state) const override {
    if (!after_finish_ || !state.value.has_value() || !state.hidden) {
      return false;
    }
    state.hidden = false;
    return true;
  }
  bool reacts_to_finish() const override { return after_finish_; }

  bool Consume(ChannelState& state) const override {
    if (!after_finish_ || state.hidden || !state.value.has_value()) {
      return false;
    }
    state.value.reset();
    return true;
  }

  // The form that waits saves whether it has seen the finish beside the value.
  Value Snapshot(const ChannelState& state) const override {
    if (!after_finish_ || !state.value.has_value()) return state.value;
    return Value(Waiting(*state.value.template As<T>(), !state.hidden));
  }
  const ValueType* snapshot_type() const override {
    return after_finish_ ? &ValueTypeOf<Waiting>::kType : read_type();
  }
  absl::Status Restore(ChannelState& state, Value snapshot) const override {
    if (!after_finish_ || !snapshot.has_value()) {
      return ChannelKind::Restore(state, std::move(snapshot));
    }
    const Waiting* waiting = snapshot.As<Waiting>();
    if (waiting == nullptr) return WrongSnapshot(snapshot, TypeName<Waiting>());
    state.value = Value(std::in_place_type<T>, waiting->first);
    state.hidden = !waiting->second;
    return absl::OkStatus();
  }

 private:
  using Waiting = std::pair<T, bool>;  // The value; whether finished.

  const bool after_finish_;
};

}  // namespace internal

// LastValue<T>(): holds the value last written. A second write in one
// superstep is refused, also when the values are equal.
template <class T>
ChannelDef<T> LastValue() {
  return {std::make_shared<internal::LastValueKind<T>>(false)};
}

// LastValueAfterFinish<T>(): holds the value last written, and shows it only
// once a superstep has left nothing else to run. Several writes in one
// superstep are fine: the last counts.
template <class T>
ChannelDef<T> LastValueAfterFinish() {
  return {std::make_shared<internal::LastValueKind<T>>(true)};
}

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_LAST_VALUE_H_
