#ifndef WEIR_CHANNELS_MESSAGES_H_
#define WEIR_CHANNELS_MESSAGES_H_

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/channels/append_log.h"
#include "weir/channels/channel.h"
#include "weir/channels/codec.h"
#include "weir/channels/internal/id_index.h"
#include "weir/channels/internal/refusals.h"
#include "weir/channels/internal/written.h"
#include "weir/channels/record_codec.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// One message of a conversation.
struct WEIR_EXPORT Message {
  std::string role{};  // "user", "assistant" and the like; kRemoveRole.
  std::string content{};
  std::string id{};  // Given by the channel where it is empty.

  friend bool operator==(const Message&, const Message&) = default;
};

template <>
struct Codec<Message> : RecordCodec<Message> {
  static std::string Name() { return "message"; }
  static constexpr auto Fields() {
    return std::tuple(RecordField("role", &Message::role),
                      RecordField("content", &Message::content),
                      RecordField("id", &Message::id));
  }
};

// A message of this role is no message: it removes the one that has its id.
inline constexpr std::string_view kRemoveRole = "remove";
// A removal of this id removes all messages, and voids what precedes it in its
// write.
inline constexpr std::string_view kRemoveAllMessages = "__remove_all__";

inline Message RemoveMessage(std::string id) {
  return {std::string(kRemoveRole), "", std::move(id)};
}

// MessageTraits<M>: what a channel of messages asks of M. These serve any
// struct with the members `role` and `id`; specialize them for another type.
template <class M>
struct MessageTraits {
  // Empty for a message that has none yet.
  static std::string_view Id(const M& message) { return message.id; }
  static void SetId(M& message, std::string&& id) {
    message.id = std::move(id);
  }
  static bool IsRemove(const M& message) { return message.role == kRemoveRole; }
  // Optional, for types with values that are no messages; those are refused:
  // static bool IsMessage(const M& message);
};

// Gives a new id at each call. Called by the barrier of any run at any time, so
// it must be thread-safe.
using MessageIds = std::function<std::string()>;

// Ids of 32 hexadecimal digits: a random sequence that starts elsewhere each
// time this is called.
WEIR_EXPORT MessageIds RandomMessageIds();

// MessageList: messages in order, with an index of their ids.
//
// Shape:    an AppendLog, so that copies share messages, and an index that
//           copies share too.
// Cost:     copy and Find() O(log size). Merge() O(log size) for each message
//           that it adds; replacing a message rewrites those behind it, and
//           removing one walks over all.
// Threads:  thread-compatible; copies are independent.
template <class M = Message>
class WEIR_EXPORT MessageList {
 public:
  using value_type = M;
  using const_iterator = typename AppendLog<M>::const_iterator;
  using iterator = const_iterator;

  MessageList() = default;
  // Exactly these messages; those without an id get one.
  explicit MessageList(std::vector<M> messages,
                       const MessageIds& new_id = RandomMessageIds()) {
    for (M& message : messages) {
      EnsureId(message, new_id);
      Append(std::move(message));
    }
  }

  size_t size() const { return messages_.size(); }
  bool empty() const { return messages_.empty(); }
  const M& operator[](size_t i) const { return messages_[i]; }
  const M& back() const { return messages_.back(); }
  const_iterator begin() const { return messages_.begin(); }
  const_iterator end() const { return messages_.end(); }

  // The message with this id (the last, if there are several), or null.
  const M* Find(std::string_view id) const {
    const std::optional<size_t> at = ids_.Find(id);
    return at.has_value() ? &messages_[*at] : nullptr;
  }

  // Takes in `update` in order: a message whose id is known takes the place of
  // the one that has it, any other comes last; a removal drops the message of
  // its id once all is taken in, unless the message is written again.
  // NotFound, and nothing changes, if a removal's id is unknown.
  absl::Status Merge(std::vector<M> update, const MessageIds& new_id);

  friend bool operator==(const MessageList& a, const MessageList& b) requires
      std::equality_comparable<M> {
    return a.messages_ == b.messages_;
  }

 private:
  using Traits = MessageTraits<M>;
  friend struct Codec<MessageList>;
  friend class internal::LogGrowth<MessageList, M>;

  static void EnsureId(M& message, const MessageIds& new_id) {
    if (Traits::Id(message).empty()) Traits::SetId(message, new_id());
  }
  static bool RemovesAll(const M& message) {
    return Traits::IsRemove(message) &&
           Traits::Id(message) == kRemoveAllMessages;
  }

  void Append(M message) {
    ids_.Set(Traits::Id(message), messages_.size());
    messages_.Append(std::move(message));
  }

  void Replace(std::map<size_t, M> replaced);
  void Remove(const std::set<std::string, std::less<>>& ids);

  AppendLog<M> messages_;
  internal::IdIndex ids_;  // Of several messages with one id, the last.
};

template <class M>
absl::Status MessageList<M>::Merge(std::vector<M> update,
                                   const MessageIds& new_id) {
  for (M& message : update) EnsureId(message, new_id);
  const auto last_removes_all =
      std::find_if(update.rbegin(), update.rend(), RemovesAll);
  if (last_removes_all != update.rend()) {
    *this = MessageList(
        std::vector<M>(std::make_move_iterator(last_removes_all.base()),
                       std::make_move_iterator(update.end())),
        new_id);
    return absl::OkStatus();
  }

  // Only a removal can fail; it works on a copy.
  const bool removes = std::ranges::any_of(update, Traits::IsRemove);
  MessageList merged = removes ? *this : std::move(*this);
  std::map<size_t, M> replaced;
  std::set<std::string, std::less<>> removed;
  for (M& message : update) {
    const std::optional<size_t> at = merged.ids_.Find(Traits::Id(message));
    if (Traits::IsRemove(message)) {
      std::string id(Traits::Id(message));
      if (!at.has_value()) {
        return absl::NotFoundError("no message has the id '" + id +
                                   "', which was to be removed");
      }
      removed.insert(std::move(id));
    } else if (at.has_value()) {
      if (auto it = removed.find(Traits::Id(message)); it != removed.end()) {
        removed.erase(it);
      }
      replaced.insert_or_assign(*at, std::move(message));
    } else {
      merged.Append(std::move(message));
    }
  }
  if (!replaced.empty()) merged.Replace(std::move(replaced));
  if (!removed.empty()) merged.Remove(removed);
  *this = std::move(merged);
  return absl::OkStatus();
}

// Puts messages in the places of others with the same ids.
template <class M>
void MessageList<M>::Replace(std::map<size_t, M> replaced) {
  const size_t first = replaced.begin()->first;
  std::vector<M> rest;
  rest.reserve(messages_.size() - first);
  for (size_t i = first; i < messages_.size(); ++i) {
    auto it = replaced.find(i);
    rest.push_back(it != replaced.end() ? std::move(it->second) : messages_[i]);
  }
  messages_.Truncate(first);
  for (M& message : rest) messages_.Append(std::move(message));
}

template <class M>
void MessageList<M>::Remove(const std::set<std::string, std::less<>>& ids) {
  MessageList kept;
  for (const M& message : messages_) {
    if (!ids.contains(Traits::Id(message))) kept.Append(message);
  }
  *this = std::move(kept);
}

template <HasCodec M>
struct Codec<MessageList<M>> : internal::ListCodec<MessageList<M>, M> {
  static absl::Status Decode(std::string_view* in, MessageList<M>* list) {
    *list = MessageList<M>();
    return internal::DecodeEach<M>(in, [list](M message) {
      list->Append(std::move(message));
      return true;
    });
  }
};

namespace internal {

template <class M>
class MessagesKind final : public ChannelKind, private MessageReader {
 public:
  explicit MessagesKind(MessageIds new_id) : new_id_(std::move(new_id)) {}

  std::string_view name() const override { return "Messages"; }
  const ValueType* read_type() const override {
    return &ValueTypeOf<MessageList<M>>::kType;
  }
  void Init(ChannelState& state) const override {
    state.value = Value(MessageList<M>());
  }

  absl::StatusOr<bool> Apply(ChannelState& state, Value write,
                             bool overwrite) const override {
    // A list is what a graph inside another is given and gives back.
    const auto* whole = write.As<MessageList<M>>();
    if (whole == nullptr && !CarriesWritten<M>(write)) {
      return WrongType(write, TypeName<M>());
    }
    std::vector<M> messages;
    if (whole != nullptr) {
      if (!overwrite) messages.assign(whole->begin(), whole->end());
    } else {
      ForEachWritten<M>(write, [&messages](M message) {
        messages.push_back(std::move(message));
      });
      if (!AreMessages(messages)) return WrongType(write, "messages");
    }
    if (overwrite && state.overwritten) return SecondOverwrite();
    if (state.overwritten) return false;  // Writes after an Overwrite are void.
    if (!overwrite) {
      auto* list = state.value.template Mutable<MessageList<M>>();
      absl::Status merged = list->Merge(std::move(messages), new_id_);
      if (!merged.ok()) return merged;
      return true;
    }
    state.overwritten = true;
    state.value = whole != nullptr
                      ? std::move(write)
                      : Value(MessageList<M>(std::move(messages), new_id_));
    return true;
  }

  const Growth* growth() const override {
    return &kLogGrowth<MessageList<M>, M>;
  }
  const MessageReader* messages() const override { return this; }

 private:
  using Traits = MessageTraits<M>;

  void Visit(Value& write, absl::FunctionRef<std::string()> first_id,
             Visitor visit) const override {
    if (const auto* whole = write.As<MessageList<M>>()) {
      for (const M& message : *whole) {
        visit(Traits::Id(message), Value(std::in_place_type<M>, message));
      }
      return;
    }
    if (!CarriesWritten<M>(write)) return;
    std::vector<M> messages;
    ForEachWritten<M>(write, [&messages](M message) {
      messages.push_back(std::move(message));
    });
    if (!AreMessages(messages)) return;
    bool any_new = false;
    for (M& message : messages) {
      if (Traits::Id(message).empty()) {
        any_new = true;
        std::string id = first_id();
        Traits::SetId(message, id.empty() ? new_id_() : std::move(id));
      }
      if (Traits::IsRemove(message)) continue;
      visit(Traits::Id(message), Value(std::in_place_type<M>, message));
    }
    if (!any_new) return;
    const bool is_one = messages.size() == 1 && !write.is_list();
    write = is_one ? Value(std::move(messages[0])) : Value(std::move(messages));
  }

  bool Contains(const Value& value, std::string_view id) const override {
    if (const auto* whole = value.As<MessageList<M>>()) {
      return whole->Find(id) != nullptr;
    }
    if (!CarriesWritten<M>(value)) return false;
    bool found = false;
    ForEachWritten<M>(value, [&found, id](const M& message) {
      found |= IsMessage(message) && Traits::Id(message) == id;
    });
    return found;
  }

  static bool IsMessage(const M& message) {
    if constexpr (requires { Traits::IsMessage(message); }) {
      return Traits::IsMessage(message);
    } else {
      return true;
    }
  }
  static bool AreMessages(const std::vector<M>& messages) {
    return std::ranges::all_of(messages, IsMessage);
  }

  const MessageIds new_id_;
};

}  // namespace internal

// Messages<M>(new_id): a list of messages that starts empty and takes in each
// write, one M or a std::vector<M>, as MessageList::Merge() does. An Overwrite
// with messages or a MessageList<M> replaces it.
//
// Errors:  NotFound (a ReducerError) for the removal of an unknown id.
template <class M = Message>
ChannelDef<MessageList<M>, OneOrMany<M>> Messages(
    MessageIds new_id = RandomMessageIds()) {
  return {std::make_shared<internal::MessagesKind<M>>(std::move(new_id))};
}

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_MESSAGES_H_
