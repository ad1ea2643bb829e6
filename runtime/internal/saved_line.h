#ifndef WEIR_RUNTIME_INTERNAL_SAVED_LINE_H_
#define WEIR_RUNTIME_INTERNAL_SAVED_LINE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "weir/channels/value.h"
#include "weir/checkpoint/checkpoint.h"
#include "weir/runtime/command.h"
#include "weir/runtime/state.h"

// What a run's checkpoints hold beside the channels of its state, and how it
// gets in and out of them.
namespace weir {
inline namespace v0 {
namespace internal {

// Channels of a checkpoint and of pending writes that are the engine's.
inline constexpr std::string_view kEngineChannel = "__engine__";
inline constexpr std::string_view kEndChannel = "__end__";
inline constexpr std::string_view kErrorChannel = "__error__";
inline constexpr std::string_view kInterruptChannel = "__interrupt__";
inline constexpr std::string_view kResumeChannel = "__resume__";
// What a called function has returned; what a block that runs once has given,
// and that it is begun.
inline constexpr std::string_view kReturnChannel = "__return__";
inline constexpr std::string_view kBegunChannel = "__begun__";

// Write::channel of the former.
inline constexpr uint32_t kReturnValue = ~uint32_t{0};

// The task that a Command given as input counts as: no task of the graph.
inline constexpr std::string_view kNullTask =
    "00000000000000000000000000000000";

// Kept by name, for a graph that is compiled anew.
struct SavedSend {
  std::string node;
  Value arg;
  std::optional<absl::Duration> timeout;
};

struct SavedJoin {
  std::string name;
  std::vector<uint32_t> seen;  // Which of its sources have run.
};

// Few and short, as they mostly are, they take no memory of their own.
using SavedNames = absl::InlinedVector<std::string, 2>;

// kEngineChannel: where the run has got to.
struct SavedEngine {
  SavedNames due;      // Nodes that run next.
  SavedNames waiting;  // Deferred nodes that were led to.
  std::vector<SavedSend> sends;
  std::vector<SavedJoin> joins;  // Those with something seen.
  // The nodes that ran last, and the superstep in which they did.
  SavedNames ran;
  int64_t ran_step = 0;
  // What the start is to write, before its superstep.
  std::shared_ptr<const Command> start;
  bool start_is_command = false;
};

// kEndChannel, the last of a task's writes: what it did beside them.
struct SavedEnd {
  SavedNames gotos;
  std::vector<SavedSend> sends;
  bool fires_edges = true;
};

// A write that replaces a reducing channel's value.
struct SavedOverwrite {
  Value value;
};

// kInterruptChannel: what a task asks.
struct SavedInterrupts {
  std::vector<Interrupt> interrupts;
  // The answers that it had when it asked: with more, it is answered.
  size_t answers = 0;
};

// kResumeChannel: the answers that a task has been given, in order.
using SavedAnswers = std::vector<Value>;

// A Value on its way to a store and back.
SavedValue Save(Value value);
// DataLoss if `saved` is not what this process saved.
absl::StatusOr<Value> Load(const SavedValue& saved);

// The same of kEngineChannel.
SavedValue SaveEngine(std::shared_ptr<const SavedEngine> engine);
absl::StatusOr<const SavedEngine*> LoadEngine(const SavedValue& saved);

// The writes of one task, of a checkpoint's pending ones.
struct TaskWrites {
  std::string task_id;
  std::vector<Write> writes;  // Of channels that the graph has.
  std::optional<SavedEnd> end;
  std::string error;
  std::optional<SavedInterrupts> interrupts;
  SavedAnswers answers;
  bool begun = false;  // Of a block that runs once.

  // Its writes are all there, and it is not to run again.
  bool finished() const { return end.has_value(); }
  // It asks, and has no answer yet.
  bool asks() const {
    return !finished() && interrupts.has_value() &&
           answers.size() <= interrupts->answers;
  }
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_SAVED_LINE_H_
