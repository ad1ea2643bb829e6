#ifndef WEIR_GATEWAY_INTERNAL_WIRE_STATE_H_
#define WEIR_GATEWAY_INTERNAL_WIRE_STATE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/gateway/internal/json.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/state.h"
#include "weir/runtime/thread.h"

// Threads, runs and states as the Agent Server's clients know them.
namespace weir {
inline namespace v0 {
namespace internal {

// The id of a graph's assistant: the UUID of version 5 of its name.
std::string AssistantId(std::string_view graph);

// Whether `text` is a UUID, in lower case.
bool IsUuid(std::string_view text);

// A checkpoint's id as a UUID, whose order is that of ids; "" for none.
std::string CheckpointIdText(const CheckpointId& id);
// The reverse; takes 32 hexadecimal digits as well. InvalidArgument for any
// other text.
absl::StatusOr<CheckpointId> ParseCheckpointId(std::string_view text);

// {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"}, or null
// for no checkpoint. checkpoint_map is null for the outermost graph.
void AppendCheckpointRef(const CheckpointRef& ref, std::string* out);
// The reverse; what is missing stays empty. InvalidArgument for another form.
absl::StatusOr<CheckpointRef> RefFromJson(const Json& checkpoint);

// From an object, null or nothing. InvalidArgument for anything else, and for
// names that are not shown.
absl::StatusOr<Metadata> MetadataFromJson(const Json& json);
// Whether clients see metadata of this name: not the gateway's own, which
// begins with "__weir_".
bool IsShown(std::string_view name);

// With `state`, the thread's, interrupts are by the tasks that ask or wait;
// without it, by their own ids.
std::string ThreadJson(const ThreadInfo& thread,
                       const StateSnapshot* state = nullptr);
// `kwargs`: what the run was created with.
std::string RunJson(const RunInfo& run, const Json& kwargs);
// A ThreadState. `graph`: that of the thread, where its metadata does not say
// so.
std::string StateJson(const StateSnapshot& state, std::string_view graph = {});
// What Join() and Wait() answer: the values, with "__interrupt__" if the run
// paused; {"__error__": {"error", "message"}} if it failed.
std::string OutcomeJson(const RunOutcome& outcome);

// {"source", "step", "parents"}.
void AppendCheckpointMetadata(const CheckpointMetadata& metadata,
                              std::string* out);

// The HTTP status for a failure of a call.
int HttpStatus(const absl::Status& status);
// {"detail": the message}
std::string ErrorBody(const absl::Status& status);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_WIRE_STATE_H_
