#ifndef WEIR_EXAMPLES_FAKE_MODEL_H_
#define WEIR_EXAMPLES_FAKE_MODEL_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "chat_model.h"

namespace chat {

// FakeModel: answers from a script, a word at a time. It counts the replies in
// the conversation, so that one that goes on in another process, or from an
// earlier message, gets the reply that belongs there.
//
// Errors:  OutOfRange where the script ends.
// Threads: immutable.
class FakeModel final : public ChatModel {
 public:
  explicit FakeModel(std::vector<ChatMessage> replies)
      : replies_(std::move(replies)) {}

  absl::StatusOr<ChatMessage> Reply(
      const weir::MessageList<ChatMessage>& messages,
      absl::FunctionRef<void(std::string token)> on_token) override {
    const auto given = static_cast<size_t>(
        std::ranges::count_if(messages, [](const ChatMessage& message) {
          return message.role == "assistant";
        }));
    if (given >= replies_.size()) {
      return absl::OutOfRangeError("the script has " +
                                   std::to_string(replies_.size()) +
                                   " replies, and another is asked for");
    }
    const ChatMessage& reply = replies_[given];
    for (size_t from = 0; from < reply.content.size();) {
      const size_t space = reply.content.find(' ', from + 1);
      const size_t to = std::min(space, reply.content.size());
      on_token(reply.content.substr(from, to - from));
      from = to;
    }
    return reply;
  }

 private:
  const std::vector<ChatMessage> replies_;
};

}  // namespace chat

#endif  // WEIR_EXAMPLES_FAKE_MODEL_H_
