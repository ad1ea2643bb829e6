#ifndef WEIR_CHANNELS_REDUCER_H_
#define WEIR_CHANNELS_REDUCER_H_

#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"

#include "weir/channels/channel.h"
#include "weir/channels/internal/refusals.h"

namespace weir {
inline namespace v0 {
namespace internal {

template <class T, class W, class F>
class ReducerKind final : public ChannelKind {
 public:
  ReducerKind(F reduce, Value initial)
      : reduce_(std::move(reduce)), initial_(std::move(initial)) {}

  std::string_view name() const override { return "Reducer"; }
  const ValueType* read_type() const override { return &ValueTypeOf<T>::kType; }
  void Init(ChannelState& state) const override { state.value = initial_; }

  absl::StatusOr<bool> Apply(ChannelState& state, Value write,
                             bool overwrite) const override {
    if (overwrite) {
      if (write.As<T>() == nullptr) return WrongType(write, TypeName<T>());
      if (state.overwritten) return SecondOverwrite();
      state.overwritten = true;
      state.value = std::move(write);
      return true;
    }
    const W* item = write.As<W>();
    if (item == nullptr) return WrongType(write, TypeName<W>());
    if (state.overwritten) return false;  // Writes after an Overwrite are void.
    if (!state.value.has_value()) {
      if constexpr (std::is_same_v<T, W>) {
        state.value = std::move(write);
        return true;
      } else {
        state.value = Value(T{});
      }
    }
    // Moved through the reducer and back: in place while this run is the only
    // owner, on a copy when a checkpoint or an event shares the value.
    T& held = *state.value.template Mutable<T>();
    using Result = std::invoke_result_t<const F&, T, const W&>;
    if constexpr (std::is_same_v<Result, absl::StatusOr<T>>) {
      absl::StatusOr<T> reduced = reduce_(std::move(held), *item);
      if (!reduced.ok()) return reduced.status();
      held = *std::move(reduced);
    } else {
      held = static_cast<T>(reduce_(std::move(held), *item));
    }
    return true;
  }

 private:
  const F reduce_;
  const Value initial_;  // Absent: empty until the first write.
};

}  // namespace internal

// Says that a reducer channel starts empty: its first write becomes its value
// unreduced, or, where a write is of another type, is reduced onto a T{}.
struct StartEmpty {};
inline constexpr StartEmpty kStartEmpty;

// Reducer<T>(reduce, initial): folds each write into the value, in merge order:
// `T reduce(T value, const W& write)`. W is T where it is not named. The
// channel starts with `initial`, by default a T{}. An Overwrite replaces the
// value.
//
// Errors:   a reducer may return StatusOr<T>; it then must not return
//           InvalidArgument, which stands for a refused write. An exception
//           fails the run as a ReducerError. Either way the value that it was
//           given is gone, with the run.
template <class T, class W = T, class F>
requires std::is_invocable_v<const F&, T, const W&> ChannelDef<T, W> Reducer(
    F reduce, T initial = T{}) {
  return {std::make_shared<internal::ReducerKind<T, W, F>>(
      std::move(reduce), Value(std::move(initial)))};
}
template <class T, class W = T, class F>
requires std::is_invocable_v<const F&, T, const W&> ChannelDef<T, W> Reducer(
    F reduce, StartEmpty) {
  return {std::make_shared<internal::ReducerKind<T, W, F>>(std::move(reduce),
                                                           Value())};
}

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_REDUCER_H_
