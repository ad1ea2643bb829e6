#ifndef WEIR_RUNTIME_STORED_RUN_H_
#define WEIR_RUNTIME_STORED_RUN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "weir/channels/codec.h"
#include "weir/checkpoint/run_store.h"
#include "weir/export.h"
#include "weir/runtime/event.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/thread.h"

// For tools that look into a RunStore without the graphs whose runs it has:
//
//   for (const EventRow& row : rows) {  // Of RunStore::ListEvents().
//     absl::StatusOr<std::vector<Event>> events = DescribeEvents(row);
//     ...
//   }
//
// Errors:   DataLoss for bytes that no Runtime has made; FailedPrecondition for
//           those of a later weir. Messages name the row.
// Threads:  any; nothing is shared.
// Lifetime: what is returned is independent of the row and the store.
namespace weir {
inline namespace v0 {

// OpaqueValue: what an event holds in place of a value of a type that its graph
// knows and nobody here. As JSON {"$type": "acme::Parcel"}.
struct WEIR_EXPORT OpaqueValue {
  std::string type{};
  std::string bytes{};  // As the type's codec wrote them.
};

// For looking only: it cannot be stored.
template <>
struct WEIR_EXPORT Codec<OpaqueValue> {
  static void AppendJson(const OpaqueValue& value, std::string* out);
};

// A run as it was last stored: one that was running when its process ended is
// running still.
[[nodiscard]] WEIR_EXPORT absl::StatusOr<RunInfo> DescribeRun(
    const RunRow& row);

// A thread without its values and interrupts, which its checkpoints have. The
// status is what its ended runs left: whether others are unfinished is in their
// rows.
[[nodiscard]] WEIR_EXPORT absl::StatusOr<ThreadInfo> DescribeThread(
    const ThreadRow& row);

// The events of a row, with their ids. Numbers, bool, strings, lists of strings
// and messages (Message) are read as what they are, others as OpaqueValue.
[[nodiscard]] WEIR_EXPORT absl::StatusOr<std::vector<Event>> DescribeEvents(
    const EventRow& row);

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_STORED_RUN_H_
