#ifndef WEIR_GATEWAY_INTERNAL_WIRE_VALUE_H_
#define WEIR_GATEWAY_INTERNAL_WIRE_VALUE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "weir/channels/messages.h"
#include "weir/channels/value.h"
#include "weir/channels/values.h"
#include "weir/gateway/internal/json.h"
#include "weir/runtime/state.h"

// Values as the Agent Server's clients know them. It is weir's JSON, but for
// messages: a weir::Message is {"type": "human", "content": ..., "id": ...} and
// what else such an object has there. Messages that are JSON stay as they are.
namespace weir {
inline namespace v0 {
namespace internal {

// "user" and "assistant" are "human" and "ai" on the wire; other roles have one
// name.
std::string_view WireRole(std::string_view role);
std::string_view RoleFromWire(std::string_view type);

void AppendWireMessage(const Message& message, std::string* out);
// The reverse: {"role" or "type": ..., "content": a text, or a list of text
// blocks, "id": ...}. InvalidArgument, which reads on from "takes", for
// anything else.
absl::StatusOr<Message> MessageFromJson(const Json& json);

void AppendWireValue(const Value& value, std::string* out);
// {"channel": value, ...}
void AppendWireValues(const Values& values, std::string* out);
// What a task wrote: null for nothing, a record, or a list of records of one
// channel each if a channel was written twice.
void AppendWireUpdate(const Values& writes, std::string* out);
// [{"id": ..., "value": ...}, ...]
void AppendWireInterrupts(const std::vector<Interrupt>& interrupts,
                          std::string* out);
void AppendWireTexts(const std::vector<std::string>& texts, std::string* out);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_WIRE_VALUE_H_
