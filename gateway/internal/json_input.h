#ifndef WEIR_GATEWAY_INTERNAL_JSON_INPUT_H_
#define WEIR_GATEWAY_INTERNAL_JSON_INPUT_H_

#include "absl/status/statusor.h"

#include "weir/channels/value.h"
#include "weir/gateway/gateway.h"
#include "weir/gateway/internal/json.h"
#include "weir/runtime/command.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/run.h"

// What a graph takes, from the JSON that a client sends.
namespace weir {
inline namespace v0 {
namespace internal {

// One write for each field of `fields`, in its order, of the type that the
// channel of that name holds. A channel that gathers (AppendLog, Topic,
// Messages) takes a list or one element. {"__overwrite__": v} replaces a
// channel's value. A name that is no channel is written all the same: the graph
// drops or refuses it.
//
// Errors: InvalidArgument: `fields` is no object; a value is not of its
//         channel's type; or the type is none of weir's own (codec.h) but the
//         host's, which GraphOptions::input is there for. So is it for a
//         reducer whose writes are of another type than its value.
absl::StatusOr<Update> UpdateFromJson(const Graph& graph, const Json& fields);

// The same by GraphOptions::input, if the host has set that.
absl::StatusOr<Update> UpdateOf(const Graph& graph, const GraphOptions& options,
                                const Json& json);

// What a run starts with: `input`, or `command`, or neither, to go on. Null is
// as good as not given.
//
//   command: {"resume": ..., "update": {...} or [[channel, value], ...],
//             "goto": "node" or {"node": ..., "input": ...}, or a list of
//             these}
//
// A "resume" whose keys are all ids of interrupts has an answer for each, else
// it is the one answer. The "input" of a goto is what its node gets: channels,
// if all of its fields are, else JSON.
//
// Errors: InvalidArgument: both are given, or something is of another form.
absl::StatusOr<Input> InputFromJson(const Graph& graph,
                                    const GraphOptions& options,
                                    const Json& input, const Json& command);

// None, a bool, int64_t (uint64_t beyond its range), double or std::string; an
// nlohmann::json for a list or an object.
Value AnswerFromJson(const Json& json);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_JSON_INPUT_H_
