#ifndef WEIR_EXAMPLES_CHAT_MODEL_H_
#define WEIR_EXAMPLES_CHAT_MODEL_H_

#include <string>
#include <tuple>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

#include "weir/channels/messages.h"
#include "weir/channels/record_codec.h"

// What an agent asks of a model. One that speaks to a server implements
// ChatModel; see fake_model.h for one that needs none.
namespace chat {

// A function that the model wants to be called.
struct ToolCall {
  std::string id;
  std::string name;
  std::string argument;
};

// A message of a conversation. A type of one's own is one for weir if it has a
// role, an id and a codec.
struct ChatMessage {
  std::string role;  // "user", "assistant", "tool".
  std::string content{};
  std::string id{};                    // Given by the channel.
  std::vector<ToolCall> tool_calls{};  // Of "assistant".
  std::string tool_call_id{};          // Of "tool": what this answers.
};

// ChatModel: gives the message that follows others.
//
// Threads: thread-safe.
class ChatModel {
 public:
  virtual ~ChatModel() = default;

  // Calls `on_token` with each piece of the message's content as it comes, and
  // returns the whole. Blocks meanwhile; event_loop.cc shows how a node waits
  // without.
  [[nodiscard]] virtual absl::StatusOr<ChatMessage> Reply(
      const weir::MessageList<ChatMessage>& messages,
      absl::FunctionRef<void(std::string token)> on_token) = 0;
};

}  // namespace chat

template <>
struct weir::Codec<chat::ToolCall> : weir::RecordCodec<chat::ToolCall> {
  static constexpr auto Fields() {
    return std::tuple(RecordField("id", &chat::ToolCall::id),
                      RecordField("name", &chat::ToolCall::name),
                      RecordField("argument", &chat::ToolCall::argument));
  }
};

template <>
struct weir::Codec<chat::ChatMessage> : weir::RecordCodec<chat::ChatMessage> {
  static constexpr auto Fields() {
    return std::tuple(
        RecordField("role", &chat::ChatMessage::role),
        RecordField("content", &chat::ChatMessage::content),
        RecordField("id", &chat::ChatMessage::id),
        RecordField("tool_calls", &chat::ChatMessage::tool_calls),
        RecordField("tool_call_id", &chat::ChatMessage::tool_call_id));
  }
};

#endif  // WEIR_EXAMPLES_CHAT_MODEL_H_
