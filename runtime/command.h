#ifndef WEIR_RUNTIME_COMMAND_H_
#define WEIR_RUNTIME_COMMAND_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "weir/channels/channel.h"
#include "weir/channels/value.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// The names of a graph's start and end, for edges, routers and commands.
inline constexpr std::string_view kStart = "__start__";
inline constexpr std::string_view kEnd = "__end__";

// NodeId: a node as StateGraph::AddNode() returns it. Routers that return it
// save the look-up of a name.
class NodeId {
 public:
  NodeId() = default;
  NodeId(uint32_t ordinal, uint32_t schema)
      : ordinal_(ordinal), schema_(schema) {}
  // In the order in which the builder's nodes were added.
  uint32_t ordinal() const { return ordinal_; }
  // Identifies the builder; 0 for none.
  uint32_t schema() const { return schema_; }

 private:
  uint32_t ordinal_ = 0;
  uint32_t schema_ = 0;
};

namespace internal {

// One write as it travels from a node to the barrier.
struct Write {
  static constexpr uint32_t kByName = 0;  // `channel` indexes Update's names.

  Write(Value to_write, uint32_t to_channel, uint32_t of_schema, bool replaces)
      : value(std::move(to_write)),
        channel(to_channel),
        schema(of_schema & 0x7fffffffu),
        overwrite(replaces ? 1 : 0) {}

  Value value;
  uint32_t channel;
  uint32_t schema : 31;
  uint32_t overwrite : 1;
};

struct UpdateAccess;

// Whether `value` is one of the records by which dynamic state says Overwrite:
// {"__overwrite__": v}, or {"type": "__overwrite__", "value": v}. Then it
// becomes v.
bool UnwrapOverwrite(Value& value);

}  // namespace internal

// Update: what a node writes: values for channels, in order. A channel may be
// written several times.
//
// Errors:   a write of another graph's handle, or of a type that the channel
//           does not take, fails the task or the barrier with an
//           InvalidUpdateError that names the channel. Names that are no
//           channels are dropped.
// Threads:  single-owner.
class WEIR_EXPORT Update {
 public:
  // Writes nothing. As a run's input it is input all the same.
  Update() = default;
  Update(Update&&) = default;
  Update& operator=(Update&&) = default;
  Update(const Update& other);
  Update& operator=(const Update& other) { return *this = Update(other); }

  // Writes `value` to `channel`.
  template <class T, class W>
  Update(const Channel<T, W>& channel, std::type_identity_t<W> value) {
    Add(channel.index(), channel.schema(), weir::ToValue(std::move(value)),
        false);
  }

  template <class T, class W>
  Update& Set(const Channel<T, W>& channel, std::type_identity_t<W> value) & {
    Add(channel.index(), channel.schema(), weir::ToValue(std::move(value)),
        false);
    return *this;
  }
  template <class T, class W>
  Update&& Set(const Channel<T, W>& channel, std::type_identity_t<W> value) && {
    return std::move(Set(channel, std::move(value)));
  }
  // By name, for graphs whose state is dynamic. The records {"__overwrite__":
  // v} and {"type": "__overwrite__", "value": v} count as an Overwrite with v;
  // in a write by handle they are values like any other.
  Update& Set(std::string_view channel, Value value) &;
  Update&& Set(std::string_view channel, Value value) && {
    return std::move(Set(channel, std::move(value)));
  }
  template <class T>
  requires(!std::is_same_v<std::decay_t<T>, Value>) Update& Set(
      std::string_view channel, T&& value) & {
    return Set(channel, Value(std::forward<T>(value)));
  }
  template <class T>
  requires(!std::is_same_v<std::decay_t<T>, Value>) Update &&
      Set(std::string_view channel, T&& value) && {
    return std::move(Set(channel, Value(std::forward<T>(value))));
  }

  // Replaces a reducing channel's value unreduced. Other writes to the channel
  // in the same superstep are dropped; a second Overwrite is refused.
  template <class T, class W>
  Update& Overwrite(const Channel<T, W>& channel,
                    std::type_identity_t<T> value) & {
    Add(channel.index(), channel.schema(), Value(std::move(value)), true);
    return *this;
  }
  template <class T, class W>
  Update&& Overwrite(const Channel<T, W>& channel,
                     std::type_identity_t<T> value) && {
    return std::move(Overwrite(channel, std::move(value)));
  }
  Update& Overwrite(std::string_view channel, Value value) &;
  Update&& Overwrite(std::string_view channel, Value value) && {
    return std::move(Overwrite(channel, std::move(value)));
  }

  // One write for each field of `record`, in its order. A value that is no
  // record makes an update that the task refuses.
  static Update FromValue(Value record);

  bool empty() const { return writes_.empty(); }

 private:
  friend struct internal::UpdateAccess;

  void Add(uint32_t channel, uint32_t schema, Value value, bool overwrite) {
    writes_.emplace_back(std::move(value), channel, schema, overwrite);
  }

  // The first writes are stored inline: most updates have one or two.
  absl::InlinedVector<internal::Write, 2> writes_;
  // What only dynamic updates have.
  struct Dynamic {
    std::vector<std::string> names;
    Value refused;  // What FromValue() was given, if it was no record.
  };
  std::unique_ptr<Dynamic> dynamic_;
};

// An Update that replaces the value of one reducing channel.
template <class T, class W>
Update Overwrite(const Channel<T, W>& channel, std::type_identity_t<T> value) {
  return Update().Overwrite(channel, std::move(value));
}

// NodeRef: a node by name or by id.
class NodeRef {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): a reference to either
  NodeRef(NodeId id) : id_(id) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  NodeRef(std::string name) : name_(std::move(name)) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  NodeRef(std::string_view name) : name_(name) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  NodeRef(const char* name) : name_(name) {}

  const NodeId& id() const { return id_; }  // schema() 0: by name.
  const std::string& name() const { return name_; }

 private:
  NodeId id_;
  std::string name_;
};

// Send: runs a node once in the next superstep, with exactly `arg` as its input
// in place of the state. Several Sends to one node are several tasks.
struct WEIR_EXPORT Send {
  Send(NodeRef node_ref, Value input)
      : node(std::move(node_ref)), arg(std::move(input)) {}
  // The node finds the update's channels as it would find the state's.
  Send(NodeRef node_ref, Update channels);
  template <class T>
  requires(!std::is_convertible_v<T, Value> &&
           !std::is_same_v<std::decay_t<T>, Update>)
      Send(NodeRef node_ref, T&& input)
      : Send(std::move(node_ref), Value(std::forward<T>(input))) {}

  NodeRef node;
  Value arg;
  // Takes the place of the node's run timeout.
  std::optional<absl::Duration> timeout;
};

// Target: where to go next: a node, kEnd (nowhere), or a Send.
class WEIR_EXPORT Target {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): routers return any of these
  Target(NodeId node) : ref_(node) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  Target(NodeRef node) : ref_(std::move(node)) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  Target(std::string name) : ref_(std::move(name)) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  Target(std::string_view name) : ref_(name) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  Target(const char* name) : ref_(name) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  Target(Send send)
      : ref_(std::move(send.node)),
        arg_(std::move(send.arg)),
        timeout_(send.timeout),
        is_send_(true) {}

  bool is_send() const { return is_send_; }
  const NodeRef& node() const { return ref_; }
  const Value& arg() const { return arg_; }  // Of a Send.
  Value TakeArg() && { return std::move(arg_); }
  std::optional<absl::Duration> timeout() const { return timeout_; }

 private:
  NodeRef ref_;
  Value arg_;
  std::optional<absl::Duration> timeout_;
  bool is_send_ = false;
};

// Command: an update and where to go, in addition to the node's edges.
struct Command {
  // Whose nodes and channels are meant.
  enum class Graph {
    kThis,
    kParent,  // For the graph that contains this one, one level up.
  };

  Update update{};
  std::vector<Target> go_to{};
  Graph graph = Graph::kThis;
};

// Route: a router's answer: any number of targets, or a Status that is the
// task's failure.
class WEIR_EXPORT Route {
 public:
  Route() = default;  // Nowhere.
  template <class T>
  requires std::is_convertible_v<T, Target>
  // NOLINTNEXTLINE(google-explicit-constructor): routers return any of these
  Route(T&& target) {
    targets_.emplace_back(std::forward<T>(target));
  }
  template <class T>
  requires std::is_convertible_v<T, Target>
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  Route(std::vector<T> targets) {
    targets_.reserve(targets.size());
    for (T& target : targets) targets_.emplace_back(std::move(target));
  }
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  Route(absl::Status failure) : status_(std::move(failure)) {}
  template <class T>
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  Route(absl::StatusOr<T> answer)
      : Route(answer.ok() ? Route(*std::move(answer))
                          : Route(std::move(answer).status())) {}

  const absl::Status& status() const { return status_; }
  absl::InlinedVector<Target, 1>& targets() { return targets_; }

 private:
  absl::Status status_;
  absl::InlinedVector<Target, 1> targets_;
};

// NodeResult: what a node returns: an Update, a Command, a Send, a list of
// updates and commands with at least one Command, nothing, or a Status that is
// its failure; StatusOr of these.
class WEIR_EXPORT NodeResult {
 public:
  // One element of a list.
  class Item {
   public:
    // NOLINTNEXTLINE(google-explicit-constructor): list elements
    Item(Update update) { command_.update = std::move(update); }
    // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
    Item(Command command) : command_(std::move(command)), is_command_(true) {}
    bool is_command() const { return is_command_; }
    Command& command() { return command_; }

   private:
    Command command_;
    bool is_command_ = false;
  };

  NodeResult() = default;  // No writes; the node's edges fire.
  // NOLINTNEXTLINE(google-explicit-constructor): nodes return any of these
  NodeResult(Update update) : update_(std::move(update)) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  NodeResult(Command command) {
    list_ = std::make_unique<std::vector<Item>>();
    list_->emplace_back(std::move(command));
  }
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  NodeResult(Send send)
      : NodeResult(Command{.go_to = {Target(std::move(send))}}) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  NodeResult(std::vector<Item> list)
      : list_(std::make_unique<std::vector<Item>>(std::move(list))) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  NodeResult(absl::Status failure) : status_(std::move(failure)) {}
  template <class T>
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  NodeResult(absl::StatusOr<T> result)
      : NodeResult(result.ok() ? NodeResult(*std::move(result))
                               : NodeResult(std::move(result).status())) {}

  // What a dynamic node returned: None for nothing, a record for an update;
  // anything else is refused with an InvalidUpdateError.
  static NodeResult FromValue(Value value);

  const absl::Status& status() const { return status_; }
  // The update, if this is one; else see list().
  Update& update() { return update_; }
  // Null unless this is a Command or a list.
  std::vector<Item>* list() { return list_.get(); }

 private:
  absl::Status status_;
  Update update_;
  std::unique_ptr<std::vector<Item>> list_;
};

namespace internal {

// The engine's way into an Update.
struct UpdateAccess {
  static absl::InlinedVector<Write, 2>& writes(Update& update) {
    return update.writes_;
  }
  static void AddByName(Update& update, std::string_view channel, Value value,
                        bool overwrite);
  // Of a write by name; null for the write of a handle, also of one of no
  // graph.
  static const std::string* name(const Update& update, const Write& write) {
    return write.schema == Write::kByName && update.dynamic_ != nullptr &&
                   write.channel < update.dynamic_->names.size()
               ? &update.dynamic_->names[write.channel]
               : nullptr;
  }
  // What was given for a record and is none; absent if nothing was.
  static Value refused(const Update& update) {
    return update.dynamic_ == nullptr ? Value() : update.dynamic_->refused;
  }
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_COMMAND_H_
