#include "weir/channels/channel.h"

#include "absl/strings/str_format.h"

#include "weir/channels/internal/refusals.h"

namespace weir {
inline namespace v0 {

absl::Status ChannelKind::Restore(ChannelState& state, Value snapshot) const {
  if (!snapshot.has_value()) {
    Init(state);
    return absl::OkStatus();
  }
  if (snapshot.type() != read_type()) {
    return internal::WrongSnapshot(snapshot, read_type()->name);
  }
  state.value = std::move(snapshot);
  return absl::OkStatus();
}

namespace internal {

absl::Status WrongType(const Value& write, std::string_view expected) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "takes %s, and was written %s", expected, write.type_name()));
}

absl::Status SecondWrite(std::string_view kind) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "%s takes one write in a superstep; use a reducer channel to combine "
      "several",
      kind));
}

absl::Status SecondOverwrite() {
  return absl::InvalidArgumentError(
      "takes one Overwrite in a superstep, and got two");
}

absl::Status WrongSnapshot(const Value& snapshot, std::string_view expected) {
  return absl::DataLossError(absl::StrFormat("saved value is %s, not %s",
                                             snapshot.type_name(), expected));
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
