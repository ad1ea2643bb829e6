#ifndef WEIR_CHANNELS_INTERNAL_REFUSALS_H_
#define WEIR_CHANNELS_INTERNAL_REFUSALS_H_

#include <string_view>

#include "absl/status/status.h"

#include "weir/channels/value.h"
#include "weir/export.h"

// The statuses that channel kinds have in common. All are InvalidArgument.
namespace weir {
inline namespace v0 {
namespace internal {

// A write of another type than the channel takes.
WEIR_EXPORT absl::Status WrongType(const Value& write,
                                   std::string_view expected);

// A second write in one superstep to a channel that takes one.
WEIR_EXPORT absl::Status SecondWrite(std::string_view kind);

// A second Overwrite in one superstep.
WEIR_EXPORT absl::Status SecondOverwrite();

// DataLoss: a snapshot of another type than the channel saves.
WEIR_EXPORT absl::Status WrongSnapshot(const Value& snapshot,
                                       std::string_view expected);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_INTERNAL_REFUSALS_H_
