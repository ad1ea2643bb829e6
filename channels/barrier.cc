#include "weir/channels/barrier.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"

#include "weir/channels/internal/refusals.h"

namespace weir {
inline namespace v0 {

SeenNames::SeenNames(std::vector<std::string> names) : seen_(0) {
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  seen_ = internal::BarrierSeen(names.size());
  all_ = std::make_shared<const std::vector<std::string>>(std::move(names));
}

std::vector<std::string> SeenNames::names() const {
  std::vector<std::string> names;
  for (size_t i = 0; i < all_->size(); ++i) {
    if (seen_.contains(i)) names.push_back((*all_)[i]);
  }
  return names;
}

std::optional<size_t> SeenNames::Find(std::string_view name) const {
  const auto at = std::ranges::lower_bound(*all_, name);
  if (at == all_->end() || *at != name) return std::nullopt;
  return static_cast<size_t>(at - all_->begin());
}

void Codec<SeenNames>::Encode(const SeenNames& v, std::string* out) {
  Codec<std::vector<std::string>>::Encode(v.names(), out);
}

absl::Status Codec<SeenNames>::Decode(std::string_view* in, SeenNames* v) {
  std::vector<std::string> names;
  absl::Status s = Codec<std::vector<std::string>>::Decode(in, &names);
  if (!s.ok()) return s;
  *v = SeenNames(names);
  for (const std::string& name : names) v->Add(*v->Find(name));
  return s;
}

void Codec<SeenNames>::AppendJson(const SeenNames& v, std::string* out) {
  Codec<std::vector<std::string>>::AppendJson(v.names(), out);
}

void Codec<SeenNames>::ForEachElement(const SeenNames& v,
                                      const internal::ElementVisitor& visit) {
  Codec<std::vector<std::string>>::ForEachElement(v.names(), visit);
}

namespace internal {
namespace {

// The names seen are hidden until the barrier is open: complete and, in the
// form that waits for it, finished.
class BarrierKind final : public ChannelKind {
 public:
  BarrierKind(std::vector<std::string> names, bool after_finish)
      : none_seen_(std::move(names)), after_finish_(after_finish) {}

  std::string_view name() const override {
    return after_finish_ ? "NamedBarrierAfterFinish" : "NamedBarrier";
  }
  const ValueType* read_type() const override {
    return &ValueTypeOf<SeenNames>::kType;
  }
  void Init(ChannelState& state) const override {
    state.value = Value(none_seen_);
    state.hidden = after_finish_ || !none_seen_.complete();
  }

  absl::StatusOr<bool> Apply(ChannelState& state, Value write,
                             bool /*overwrite*/) const override {
    const auto* name = write.As<std::string>();
    if (name == nullptr) return WrongType(write, TypeName<std::string>());
    const std::optional<size_t> index = none_seen_.Find(*name);
    if (!index.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("waits for no '%s'", *name));
    }
    if (Seen(state).contains(*index)) return false;
    auto* seen = state.value.Mutable<SeenNames>();
    seen->Add(*index);
    if (!after_finish_) state.hidden = !seen->complete();
    return true;
  }

  bool Consume(ChannelState& state) const override {
    if (state.hidden) return false;
    Init(state);
    return true;
  }

  bool Finish(ChannelState& state) const override {
    if (!after_finish_ || !state.hidden || !Seen(state).complete()) {
      return false;
    }
    state.hidden = false;
    return true;
  }
  bool reacts_to_finish() const override { return after_finish_; }

  Value Snapshot(const ChannelState& state) const override {
    if (!after_finish_) return state.value;
    return Value(Waiting(Seen(state), !state.hidden));
  }
  const ValueType* snapshot_type() const override {
    return after_finish_ ? &ValueTypeOf<Waiting>::kType : read_type();
  }
  absl::Status Restore(ChannelState& state, Value snapshot) const override {
    Init(state);
    if (!snapshot.has_value()) return absl::OkStatus();
    if (snapshot.type() != snapshot_type()) {
      return absl::DataLossError(absl::StrFormat("saved value is %s, not %s",
                                                 snapshot.type_name(),
                                                 snapshot_type()->name));
    }
    const auto* waiting = snapshot.As<Waiting>();
    const SeenNames* saved =
        waiting != nullptr ? &waiting->first : snapshot.As<SeenNames>();
    assert(saved != nullptr);
    // Names that the barrier waited for when it was saved, and does no more,
    // are passed over.
    auto* seen = state.value.Mutable<SeenNames>();
    for (const std::string& name : saved->names()) {
      if (auto index = seen->Find(name); index.has_value()) seen->Add(*index);
    }
    const bool finished = waiting == nullptr || waiting->second;
    state.hidden = !seen->complete() || !finished;
    return absl::OkStatus();
  }

 private:
  using Waiting = std::pair<SeenNames, bool>;  // Names seen; whether finished.

  static const SeenNames& Seen(const ChannelState& state) {
    return *state.value.As<SeenNames>();
  }

  const SeenNames none_seen_;
  const bool after_finish_;
};

}  // namespace
}  // namespace internal

ChannelDef<SeenNames, std::string> NamedBarrier(
    std::vector<std::string> names) {
  return {std::make_shared<internal::BarrierKind>(std::move(names), false)};
}

ChannelDef<SeenNames, std::string> NamedBarrierAfterFinish(
    std::vector<std::string> names) {
  return {std::make_shared<internal::BarrierKind>(std::move(names), true)};
}

}  // namespace v0
}  // namespace weir
