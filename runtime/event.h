#ifndef WEIR_RUNTIME_EVENT_H_
#define WEIR_RUNTIME_EVENT_H_

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "weir/channels/values.h"
#include "weir/export.h"
#include "weir/runtime/internal/ref.h"
#include "weir/runtime/state.h"

namespace weir {
inline namespace v0 {

// The modes of a stream, to be combined with |. The payloads are below.
enum StreamModes : uint32_t {
  kValues = 1u << 0,       // The state after each superstep that wrote some.
  kUpdates = 1u << 1,      // What each task wrote, as it finishes.
  kCustom = 1u << 2,       // What nodes emit.
  kTasks = 1u << 3,        // Starts and ends of tasks.
  kCheckpoints = 1u << 4,  // Each checkpoint, with the tasks that come next.
  kDebug = 1u << 5,  // Tasks, their retries, checkpoints, warnings; with times.
  kMessages = 1u << 6,  // Pieces of messages, and the messages nodes return.
  // The metadata and error events of a Runtime's run; every reader gets them.
  kControl = 1u << 31,
};
constexpr StreamModes operator|(StreamModes a, StreamModes b) {
  return static_cast<StreamModes>(static_cast<uint32_t>(a) |
                                  static_cast<uint32_t>(b));
}
constexpr StreamModes& operator|=(StreamModes& a, StreamModes b) {
  return a = a | b;
}

// The payloads of events. Each is immutable and holds Values, not text.

// Control: a run starts.
struct RunMetadata {
  std::string run_id;
  int attempt = 1;
};

// Control: the run failed; the last event of its stream.
struct RunError {
  absl::Status status;
};

// kValues: all channels of the state that are not empty.
struct StateValues {
  Values values;
};

// kUpdates: what one task wrote, in its order; a channel may occur twice.
// `node` is its node, or the function that a node called.
struct NodeUpdate {
  std::string_view node;
  Values writes;
  bool cached = false;  // The result of an earlier execution.
  Value returned{};     // Of a function that a node called: its result.
};

// kCustom: what a node emitted.
struct CustomValue {
  std::string_view node;
  Value value;
};

// kMessages: a piece of a message that a node emitted, or a whole message that
// a node returned. A message is sent whole only to readers that it is new to:
// it was neither sent in pieces nor among the messages that the node was given.
struct MessageChunk {
  std::string_view node;
  std::string task_id;
  std::string id;
  Value message;  // A piece holds only what is new.
  bool whole = false;
  int64_t send = -1;  // Which Send the task is; -1 for a triggered node.
  std::vector<std::string> triggers;
  std::vector<std::string> tags;  // The emitter's.
};

// kTasks: a task is about to run.
struct TaskStarted {
  std::string id;
  std::string_view node;
  Value input;
  std::vector<std::string> triggers;
};

// kTasks: a task has ended.
struct TaskFinished {
  std::string id;
  std::string_view node;
  Values writes;
  absl::Status status;                  // Its failure, if it failed.
  std::vector<Interrupt> interrupts{};  // What it asks, if it was interrupted.
  Value returned{};  // Of a function that a node called: its result.
};

// kCheckpoints: the state between two supersteps, and what comes next.
struct CheckpointReached {
  std::shared_ptr<const StateSnapshot> state;  // Not null.
};

// kUpdates and kValues: a task asks, or the run stops before or after a node
// and nobody asks. In kValues with the state.
struct RunInterrupted {
  std::vector<Interrupt> interrupts{};
  std::optional<Values> values{};
};

// kDebug: something was ignored that may be a mistake.
struct RunWarning {
  std::string text;
};

// kDebug: an attempt has failed, and the task is to try again. `node` is as in
// NodeUpdate.
struct TaskRetried {
  std::string id;
  std::string_view node;
  int attempt = 1;  // The one that failed; the first is 1.
  absl::Status status;
  absl::Duration wait;  // Until the next begins.
};

using EventPayload =
    std::variant<RunMetadata, RunError, StateValues, NodeUpdate, CustomValue,
                 MessageChunk, TaskStarted, TaskFinished, CheckpointReached,
                 RunInterrupted, RunWarning, TaskRetried>;

// One level of the path to a graph inside a graph: the node that is or called
// the graph, and its task.
struct NamespaceLevel {
  std::string node;
  std::string task_id;
  int call = 0;  // Which of the graphs that the task ran, in its order.
};

namespace internal {

struct EventAccess;

struct EventBody : RefCounted<EventBody> {
  explicit EventBody(EventPayload&& of) : payload(std::move(of)) {}

  EventPayload payload;
  std::shared_ptr<const std::vector<NamespaceLevel>> ns;  // Null at the root.
  std::shared_ptr<const void> names;  // Keeps those in the payload alive.
  int64_t step = 0;
  absl::Time time;  // Set for kDebug only: others read no clock.
};

}  // namespace internal

// Event: one record of what a run does.
//
// Threads:  immutable; copies share the payload.
// Lifetime: independent of the run and of its graph.
class WEIR_EXPORT Event {
 public:
  Event() = default;  // Holds nothing, and is only to be assigned to.
  Event(uint32_t mode, internal::Ref<const internal::EventBody> body)
      : body_(std::move(body)), mode_(mode) {}

  // Dense within a run: 0 is the first event.
  uint64_t id() const { return id_; }
  // One of StreamModes.
  uint32_t mode() const { return mode_; }
  // "updates", "metadata", ...
  std::string_view name() const;
  const EventPayload& payload() const { return body_->payload; }
  // The payload if it is a T, else null.
  template <class T>
  const T* As() const {
    return std::get_if<T>(&body_->payload);
  }
  // The graph that the event comes from: empty for the outermost, else the path
  // to it from the outside in.
  const std::vector<NamespaceLevel>& ns() const;
  // The superstep in which it came to be.
  int64_t step() const { return body_->step; }
  // When it came to be, by the executor's clock; of kDebug only, as others read
  // no clock and have absl::Time().
  absl::Time time() const { return body_->time; }

  // The data as JSON text.
  std::string ToJson() const;

  // For RunStream: the id comes with the place in the log.
  void set_id(uint64_t id) { id_ = id; }

 private:
  friend struct internal::EventAccess;

  internal::Ref<const internal::EventBody> body_;
  uint64_t id_ = 0;
  uint32_t mode_ = 0;
};

namespace internal {

// For those who store events.
struct EventAccess {
  static const EventBody& body(const Event& event) { return *event.body_; }
};

}  // namespace internal

// Prints the name, padded to eight columns, and the data:
// `updates  {"refine_topic": {"topic": "ice cream and cats"}}`.
WEIR_EXPORT std::ostream& operator<<(std::ostream& out, const Event& event);

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_EVENT_H_
