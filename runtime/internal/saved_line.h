#ifndef WEIR_RUNTIME_INTERNAL_SAVED_LINE_H_
#define WEIR_RUNTIME_INTERNAL_SAVED_LINE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "weir/channels/value.h"
#include "weir/channels/values.h"
#include "weir/checkpoint/checkpoint.h"
#include "weir/runtime/command.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/state.h"

// What a run's checkpoints hold beside the channels of its state, and how it
// gets in and out of them.
namespace weir {
inline namespace v0 {
namespace internal {

// The graph that a record is of.
using SavedFor = std::shared_ptr<const ChannelNames>;

// Channels of a checkpoint and of pending writes that are the engine's.
inline constexpr std::string_view kEngineChannel = "__engine__";
inline constexpr std::string_view kGraphChannel = "__graph__";
inline constexpr std::string_view kTaskChannel = "__task__";
inline constexpr std::string_view kErrorChannel = "__error__";
inline constexpr std::string_view kInterruptChannel = "__interrupt__";
inline constexpr std::string_view kResumeChannel = "__resume__";
// That a block that runs once is begun.
inline constexpr std::string_view kBegunChannel = "__begun__";
// The failure that a task's error handler was given.
inline constexpr std::string_view kFailureChannel = "__error_source__";

// Write::channel of what a called function has returned, or a block that runs
// once.
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

struct CompiledGraph;

// `command` without what only this compiled graph knows: its handles are names.
// Those of other graphs stay, to be refused.
Command ByName(const CompiledGraph& graph, const Command& command);

struct SavedJoin {
  std::string name;
  std::vector<uint32_t> seen;  // Which of its sources have run.
};

// Few and short, as they mostly are, they take no memory of their own.
using SavedNames = absl::InlinedVector<std::string, 1>;

// kEngineChannel: where the run has got to.
struct SavedEngine {
  SavedNames due;  // Nodes that run next.
  SavedNames ran;  // The nodes that ran last.
  // What few checkpoints have.
  struct Rest {
    std::vector<std::string> waiting;  // Deferred nodes that were led to.
    std::vector<SavedSend> sends;
    std::vector<SavedJoin> joins;  // Those with something seen.
    // What the start is to write, before its superstep; see ByName().
    std::shared_ptr<const Command> start;
    bool start_is_command = false;
    std::shared_ptr<const ChannelNames> names;  // The graph's.
  };
  std::unique_ptr<Rest> rest;
  bool ran_here = false;  // In the superstep that the checkpoint ends.
  // Whether something was written to an output channel since the last input.
  bool wrote_output = false;
};

// kGraphChannel: the graph that has saved the checkpoint.
struct SavedGraph {
  int version = 0;
  uint64_t fingerprint = 0;
  // Of the channels that are saved and whose types have a name.
  std::map<std::string, std::string> types;
  // So that a store has the record once, and not in each checkpoint as it has
  // what is small.
  std::string filler;
};

// kTaskChannel: all that a task did that has ended well. One write, as it is
// stored and found as one.
struct SavedTask {
  // The version of the graph that it ran in, if its checkpoint is of another.
  std::optional<int> version;
  // The graph's, of the writes' channels.
  std::shared_ptr<const ChannelNames> names;
  absl::InlinedVector<Write, 1> writes;  // To channels that are saved.
  SavedNames gotos;
  std::vector<SavedSend> sends;
  bool fires_edges = true;
};

// A failure, as a Value; and, of one that an error handler was given, how many
// questions, graphs and functions the body had come to: the handler's follow.
struct SavedFailure {
  SavedFailure() = default;
  explicit SavedFailure(const absl::Status& status);
  absl::Status status() const;

  absl::StatusCode code = absl::StatusCode::kUnknown;
  ErrorKind kind = ErrorKind::kNone;
  std::string message;
  size_t asked = 0;
  int graphs = 0;
  int functions = 0;
};

// kInterruptChannel: what a task asks.
struct SavedInterrupts {
  std::vector<Interrupt> interrupts;
  // The answers that it had when it asked: with more, it is answered.
  size_t answers = 0;
  std::shared_ptr<const ChannelNames> names{};  // The graph's.
};

// kResumeChannel: the answers that a task has been given, in order.
struct SavedAnswers {
  std::vector<Value> values;
  std::shared_ptr<const ChannelNames> names;  // The graph's.
};

// A value of a type that is known where it is read, on its way to a store and
// back. The records above: see saved_bytes.h.
SavedValue Save(Value value);
// DataLoss for bytes that are no value of `type`.
absl::StatusOr<Value> Load(const SavedValue& saved, const ValueType* type);

// The records of a null task are numbered from 0 and end below this.
inline constexpr int32_t kMostRecords = 1 << 30;

// The writes of one task, of a checkpoint's pending ones.
struct TaskWrites {
  std::string task_id;
  // What ended tasks did, with the graph's indices. Of the null task, all of
  // its records as one.
  std::vector<Write> writes;
  SavedNames gotos;
  std::vector<SavedSend> sends;
  bool fires_edges = true;
  int32_t records = 0;
  std::string error;
  std::optional<SavedFailure> failure;  // That the error handler was given.
  std::optional<SavedInterrupts> interrupts;
  std::vector<Value> answers;
  bool begun = false;  // Of a block that runs once.
  // Put by this run, in an earlier attempt; and so was what it asks.
  bool own = false;
  bool asked_own = false;

  // Its writes are all there, and it is not to run again.
  bool finished() const { return records > 0; }
  // It asks, and has no answer yet.
  bool asks() const {
    return !finished() && interrupts.has_value() &&
           answers.size() <= interrupts->answers;
  }
  // Whether its open question may be the one of this id. What it asked may be
  // lost.
  bool MayBeAnswered(std::string_view id) const {
    if (!interrupts.has_value()) return true;
    return asks() &&
           std::any_of(
               interrupts->interrupts.begin(), interrupts->interrupts.end(),
               [id](const Interrupt& interrupt) { return interrupt.id == id; });
  }
};

// All that tasks have done since a checkpoint.
class FoundWrites {
 public:
  // Forgets what a task has done, and what it asks.
  void Drop(const std::string& task_id);

  bool empty() const { return tasks_.empty(); }
  std::vector<TaskWrites>::iterator begin() { return tasks_.begin(); }
  std::vector<TaskWrites>::iterator end() { return tasks_.end(); }
  std::vector<TaskWrites>::const_iterator begin() const {
    return tasks_.begin();
  }
  std::vector<TaskWrites>::const_iterator end() const { return tasks_.end(); }
  const TaskWrites& operator[](size_t i) const { return tasks_[i]; }

  // Null if it has done nothing.
  const TaskWrites* Find(std::string_view task_id) const;
  TaskWrites& FindOrAdd(const std::string& task_id);
  int32_t IndexOf(const TaskWrites& task) const {
    return static_cast<int32_t>(&task - tasks_.data());
  }
  void clear() {
    tasks_.clear();
    index_.clear();
  }

  // The ids of the questions that wait for answers. What a function asks that
  // a task calls, both show; it is open while both ask.
  std::set<std::string> Open() const;
  // Whether an earlier attempt of this run has put any.
  bool any_own() const {
    return std::any_of(tasks_.begin(), tasks_.end(),
                       [](const TaskWrites& task) { return task.own; });
  }

 private:
  std::vector<TaskWrites> tasks_;
  absl::flat_hash_map<std::string, size_t> index_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_SAVED_LINE_H_
