#include "weir/gateway/internal/wire_value.h"

#include <set>
#include <utility>

#include "absl/status/status.h"

#include "weir/channels/internal/json_text.h"
#include "weir/channels/nlohmann_json.h"
#include "weir/runtime/internal/state_json.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

template <class List>
void AppendMessages(const List& messages, std::string* out) {
  out->push_back('[');
  std::string_view separator = "";
  for (const Message& message : messages) {
    out->append(std::exchange(separator, ", "));
    AppendWireMessage(message, out);
  }
  out->push_back(']');
}

// The text of a field, "" if it is not there or null, or null if it is no text.
const std::string* TextIn(const Json& json, const char* name) {
  static const std::string kNone;
  const auto it = json.find(name);
  if (it == json.end() || it->is_null()) return &kNone;
  return it->is_string() ? &it->get_ref<const std::string&>() : nullptr;
}

}  // namespace

std::string_view WireRole(std::string_view role) {
  if (role == "user") return "human";
  return role == "assistant" ? "ai" : role;
}

std::string_view RoleFromWire(std::string_view type) {
  if (type == "human") return "user";
  return type == "ai" ? "assistant" : type;
}

void AppendWireMessage(const Message& message, std::string* out) {
  const std::string_view type = WireRole(message.role);
  JsonObject data(out);
  data.Text("content", message.content);
  if (type == "ai") {
    for (const char* list :
         {"tool_calls", "invalid_tool_calls", "tool_call_chunks"}) {
      data.Field(list)->append("[]");
    }
  }
  data.Text("id", message.id);
  data.Field("additional_kwargs")->append("{}");
  data.Field("response_metadata")->append("{}");
  data.Text("type", type);
}

absl::StatusOr<Message> MessageFromJson(const Json& json) {
  const auto refused = [&json](std::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("messages, {\"role\": \"user\", \"content\": ...}; ",
                     ShownJson(json), " ", std::string(why)));
  };
  if (!json.is_object()) return refused("is none");
  const std::string* role = TextIn(json, "role");
  if (role != nullptr && role->empty()) role = TextIn(json, "type");
  if (role == nullptr) return refused("has a role that is no text");
  if (role->empty()) return refused("has no role");
  const std::string* const id = TextIn(json, "id");
  if (id == nullptr) return refused("has an id that is no text");

  Message message{std::string(RoleFromWire(*role)), "", *id};
  if (const std::string* text = TextIn(json, "content")) {
    message.content = *text;
    return message;
  }
  const Json& content = json["content"];
  if (!content.is_array()) return refused("has content that is no text");
  for (const Json& block : content) {
    const std::string* text = nullptr;
    if (block.is_string()) {
      text = &block.get_ref<const std::string&>();
    } else if (block.is_object() && block.contains("text")) {
      text = TextIn(block, "text");
    }
    if (text == nullptr) return refused("has content that is more than text");
    message.content += *text;
  }
  return message;
}

void AppendWireValue(const Value& value, std::string* out) {
  if (const auto* message = value.As<Message>()) {
    AppendWireMessage(*message, out);
  } else if (const auto* list = value.As<MessageList<Message>>()) {
    AppendMessages(*list, out);
  } else if (const auto* written = value.As<std::vector<Message>>()) {
    AppendMessages(*written, out);
  } else if (const auto* values = value.As<Values>()) {
    AppendWireValues(*values, out);
  } else {
    value.AppendJson(out);
  }
}

void AppendWireValues(const Values& values, std::string* out) {
  JsonObject data(out);
  for (const Values::Item& item : values.items()) {
    AppendWireValue(item.value, data.Field(values.name(item)));
  }
}

void AppendWireUpdate(const Values& writes, std::string* out) {
  if (writes.empty()) {
    out->append("null");
    return;
  }
  std::set<uint32_t> seen;
  for (const Values::Item& item : writes.items()) seen.insert(item.channel);
  if (seen.size() == writes.size()) {
    AppendWireValues(writes, out);
    return;
  }
  out->push_back('[');
  std::string_view separator = "";
  for (const Values::Item& item : writes.items()) {
    out->append(std::exchange(separator, ", "));
    JsonObject one(out);
    AppendWireValue(item.value, one.Field(writes.name(item)));
  }
  out->push_back(']');
}

void AppendWireInterrupts(const std::vector<Interrupt>& interrupts,
                          std::string* out) {
  out->push_back('[');
  std::string_view separator = "";
  for (const Interrupt& interrupt : interrupts) {
    out->append(std::exchange(separator, ", "));
    JsonObject data(out);
    data.Text("id", interrupt.id);
    AppendWireValue(interrupt.value, data.Field("value"));
  }
  out->push_back(']');
}

void AppendWireTexts(const std::vector<std::string>& texts, std::string* out) {
  Codec<std::vector<std::string>>::AppendJson(texts, out);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
