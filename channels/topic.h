#ifndef WEIR_CHANNELS_TOPIC_H_
#define WEIR_CHANNELS_TOPIC_H_

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/channels/channel.h"
#include "weir/channels/internal/refusals.h"
#include "weir/channels/internal/written.h"

namespace weir {
inline namespace v0 {
namespace internal {

// The list is hidden while it has no elements.
template <class T>
class TopicKind final : public ChannelKind {
 public:
  explicit TopicKind(bool accumulate) : accumulate_(accumulate) {}

  std::string_view name() const override { return "Topic"; }
  const ValueType* read_type() const override {
    return &ValueTypeOf<std::vector<T>>::kType;
  }
  void Init(ChannelState& state) const override {
    state.value = Value(std::vector<T>());
    state.hidden = true;
  }

  absl::StatusOr<bool> Apply(ChannelState& state, Value write,
                             bool overwrite) const override {
    if (!CarriesWritten<T>(write)) return WrongType(write, TypeName<T>());
    if (overwrite && state.overwritten) return SecondOverwrite();
    if (state.overwritten) return false;  // Writes after an Overwrite are void.
    state.overwritten = overwrite;
    // The first write of a superstep takes the place of the one before.
    bool changed =
        (overwrite || (!accumulate_ && state.writes == 0)) && Clear(state);
    std::vector<T>& list = *state.value.template Mutable<std::vector<T>>();
    ForEachWritten<T>(std::move(write), [&list, &changed](T one) {
      list.push_back(std::move(one));
      changed = true;
    });
    state.hidden = list.empty();
    return changed;
  }

  bool Quiet(ChannelState& state) const override {
    return !accumulate_ && Clear(state);
  }
  bool clears_when_quiet() const override { return !accumulate_; }

  absl::Status Restore(ChannelState& state, Value snapshot) const override {
    absl::Status s = ChannelKind::Restore(state, std::move(snapshot));
    if (!s.ok()) return s;
    state.hidden = state.value.template As<std::vector<T>>()->empty();
    return s;
  }

 private:
  // Returns whether there was anything. Keeps the memory for the next superstep
  // unless a reader still has the list.
  static bool Clear(ChannelState& state) {
    if (state.hidden) return false;
    if (state.value.shared()) {
      state.value = Value(std::vector<T>());
    } else {
      state.value.template Mutable<std::vector<T>>()->clear();
    }
    state.hidden = true;
    return true;
  }

  const bool accumulate_;
};

}  // namespace internal

// Topic<T>(accumulate): the list of the values written in the superstep before,
// in merge order; with `accumulate`, of all values ever written. One write
// carries a T, or several as a std::vector<T> or, where a T may itself be a
// list (nlohmann::json), as such a list. An Overwrite replaces the list. The
// channel is empty while its list is.
template <class T>
ChannelDef<std::vector<T>, OneOrMany<T>> Topic(bool accumulate = false) {
  return {std::make_shared<internal::TopicKind<T>>(accumulate)};
}

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_TOPIC_H_
