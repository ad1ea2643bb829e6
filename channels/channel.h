#ifndef WEIR_CHANNELS_CHANNEL_H_
#define WEIR_CHANNELS_CHANNEL_H_

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/channels/value.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// Channel<T, W>: the typed handle of a channel: T is what is read, W what one
// write carries. It is an index into the state of the graph whose builder made
// it, so that a wrong type does not compile and a look-up is an array access.
//
// Errors:   in another graph the handle finds nothing, and the task that used
//           it fails with a message that names both graphs' schemas.
// Threads:  immutable; copy it freely.
template <class T, class W = T>
class Channel {
 public:
  using ReadType = T;
  using WriteType = W;

  // A handle of no graph.
  Channel() = default;
  Channel(uint32_t index, uint32_t schema) : index_(index), schema_(schema) {}

  uint32_t index() const { return index_; }
  // Identifies the builder that made the handle; 0 for none.
  uint32_t schema() const { return schema_; }

 private:
  uint32_t index_ = ~uint32_t{0};
  uint32_t schema_ = 0;
};

// ChannelState: what one run holds of one channel.
struct ChannelState {
  Value value;               // What is read, unless hidden; absent while empty.
  bool hidden = false;       // Holds something that is not to be read yet.
  bool overwritten = false;  // By an Overwrite in the current superstep.
  uint32_t writes = 0;       // Applied in the current superstep.

  // The value that nodes read, or null while the channel is empty.
  const Value* Read() const {
    return value.has_value() && !hidden ? &value : nullptr;
  }
};

// MessageReader: finds the messages in what a channel of messages is written
// and holds, for the stream of messages.
//
// Threads: immutable.
class WEIR_EXPORT MessageReader {
 public:
  using Visitor =
      absl::FunctionRef<void(std::string_view id, const Value& message)>;

  // Calls `visit` with each message in `write`, in order; those without an id
  // are first given one, in `write` too: what `first_id` returns, or, once that
  // is empty, a new one. Nothing for a write that the channel refuses.
  virtual void Visit(Value& write, absl::FunctionRef<std::string()> first_id,
                     Visitor visit) const = 0;
  // Whether `value`, the channel's or one written to it, has a message with
  // this id.
  virtual bool Contains(const Value& value, std::string_view id) const = 0;

 protected:
  ~MessageReader() = default;
};

// Growth: how a channel whose values mostly grow at their end is stored in
// pieces, each of which is what was added to the one before.
//
// Threads: immutable.
class WEIR_EXPORT Growth {
 public:
  // What is kept of a value that Snapshot() gave, to know later ones by.
  virtual Value Mark(const Value& snapshot) const = 0;
  // What `snapshot` has behind the value that `mark` is of. Absent if it does
  // not begin with that, or this cannot be told at once.
  virtual Value Added(const Value& mark, const Value& snapshot) const = 0;
  // The type of that, for reading it back from its bytes.
  virtual const internal::ValueType* added_type() const = 0;
  // Puts what was added behind `snapshot`. DataLoss if either is of another
  // type.
  virtual absl::Status Add(const Value& added, Value* snapshot) const = 0;

 protected:
  ~Growth() = default;
};

// ChannelKind: how the writes of one superstep become a channel's next value.
// A kind of your own derives from this and is passed to StateGraph::AddChannel
// in a ChannelDef.
//
// Errors:   Apply() returns InvalidArgument for a write that the channel
//           refuses (the run then fails with an InvalidUpdateError), any other
//           code when the user's reducer failed (ReducerError). Messages say
//           what is wrong with the write; the caller adds the channel's name
//           and the nodes that wrote. Each reads on from "channel 'x' ".
// Threads:  immutable; one kind serves any number of runs at once. A
//           ChannelState is single-owner.
// Source:   the operations and their order are those of LangGraph's channels
//           (update, update with nothing, consume, finish, checkpoint).
class WEIR_EXPORT ChannelKind {
 public:
  virtual ~ChannelKind() = default;

  // "LastValue", for messages and drawings.
  virtual std::string_view name() const = 0;
  // The type that is read: TypeOf<T>().
  virtual const internal::ValueType* read_type() const = 0;

  // Brings a new state to its initial value.
  virtual void Init(ChannelState& /*state*/) const {}

  // Applies one write of the superstep; called in merge order. `state.writes`
  // counts the writes before this one in the superstep. With `overwrite` the
  // write replaces the value unreduced. Returns whether the state changed.
  virtual absl::StatusOr<bool> Apply(ChannelState& state, Value write,
                                     bool overwrite) const = 0;

  // Called at the end of a superstep in which nothing wrote the channel, if
  // clears_when_quiet(). Returns whether the state changed.
  virtual bool Quiet(ChannelState& /*state*/) const { return false; }
  virtual bool clears_when_quiet() const { return false; }

  // Called before the writes of a superstep in which a node ran that this
  // channel triggers. Returns whether the state changed.
  virtual bool Consume(ChannelState& /*state*/) const { return false; }

  // Called when a superstep leaves nothing to run, if reacts_to_finish().
  // Returns whether the state changed.
  virtual bool Finish(ChannelState& /*state*/) const { return false; }
  virtual bool reacts_to_finish() const { return false; }

  // Whether checkpoints have the channel at all.
  virtual bool is_saved() const { return true; }
  // What a checkpoint saves: absent if there is nothing to save.
  virtual Value Snapshot(const ChannelState& state) const {
    return state.value;
  }
  // The type of that, for reading it back from its bytes.
  virtual const internal::ValueType* snapshot_type() const {
    return read_type();
  }
  // Of a channel that is stored in pieces; null for every other kind.
  virtual const Growth* growth() const { return nullptr; }
  // Of a channel of messages; null for every other kind.
  virtual const MessageReader* messages() const { return nullptr; }

  // Brings a new state to what Snapshot() saved. DataLoss if `snapshot` is not
  // of the channel's type.
  virtual absl::Status Restore(ChannelState& state, Value snapshot) const;
};

// ChannelDef<T, W>: a kind with its types; what LastValue<T>() and the other
// makers return and StateGraph::AddChannel() takes.
template <class T, class W = T>
struct ChannelDef {
  std::shared_ptr<const ChannelKind> kind;
};

// OneOrMany<T>: a write that is one T or a list of them.
template <class T>
class OneOrMany {
 public:
  using Element = T;

  // NOLINTBEGIN(google-explicit-constructor): writes deduce from the handle.
  OneOrMany(T one) : value_(std::in_place_type<T>, std::move(one)) {}
  OneOrMany(std::vector<T> many) : value_(std::move(many)) {}
  OneOrMany(std::initializer_list<T> many) : value_(std::vector<T>(many)) {}
  // What converts to a T ("ice cream", say, to a string).
  template <class U>
  requires(!std::same_as<std::remove_cvref_t<U>, OneOrMany> &&
           !std::same_as<std::remove_cvref_t<U>, std::vector<T>> &&
           std::convertible_to<U, T>) OneOrMany(U&& one)
      : OneOrMany(static_cast<T>(std::forward<U>(one))) {}
  // NOLINTEND(google-explicit-constructor)
  Value TakeValue() && { return std::move(value_); }

 private:
  Value value_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_CHANNEL_H_
