#ifndef WEIR_RUNTIME_STATE_H_
#define WEIR_RUNTIME_STATE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "weir/channels/value.h"
#include "weir/channels/values.h"
#include "weir/checkpoint/checkpoint.h"
#include "weir/export.h"

// What a thread's checkpoints say: snapshots of a graph's state, and addresses
// of them.
namespace weir {
inline namespace v0 {

// CheckpointRef: addresses a checkpoint of a thread. A snapshot has its own in
// StateSnapshot::ref; give it back to read, change or run on from that point.
struct CheckpointRef {
  std::string thread_id{};
  // The path to a graph inside, as snapshots of it have it; empty: the
  // outermost.
  std::string ns{};
  CheckpointId id{};  // None: the latest.
  // Of a graph inside: where the graphs around it stood, by their paths.
  std::map<std::string, CheckpointId> around{};
};

// Interrupt: a question that a node asks the host, by NodeContext::Interrupt().
struct Interrupt {
  // Of the task that asks: one that asks again has the same.
  std::string id{};
  Value value{};

  friend bool operator==(const Interrupt&, const Interrupt&) = default;
};

struct StateSnapshot;

// One task of the superstep that follows a checkpoint.
struct TaskState {
  std::string id{};
  std::string name{};  // The node's.
  // What the task asked last, answered or not.
  std::vector<Interrupt> interrupts{};
  std::string error{};    // Of a task that failed.
  bool finished = false;  // Its writes are stored, and it will not run again.
  Values result{};        // What a finished task wrote.
  // Of a node that is or calls a graph: where its state is.
  std::optional<CheckpointRef> inside{};
  // And that state, if it was asked for.
  std::shared_ptr<const StateSnapshot> state{};
};

// StateSnapshot: the state of one graph of a thread at a checkpoint.
//
// Shape:    of a thread that has no checkpoint: no values, no tasks, no
//           metadata, and ref.id is none.
// Threads:  immutable; shares values with the run that made them.
// Lifetime: independent of the graph, its runs and the store.
struct WEIR_EXPORT StateSnapshot {
  Values values{};
  // Nodes that are still to run; without those that have been given an answer,
  // of a thread's latest state.
  std::vector<std::string> next{};
  std::vector<TaskState> tasks{};
  // Of all tasks: what is not answered yet; in a past state, all.
  std::vector<Interrupt> interrupts{};
  CheckpointRef ref{};
  CheckpointId parent{};
  std::optional<CheckpointMetadata> metadata{};
  absl::Time created_at = absl::UnixEpoch();

  // {"values": {...}, "next": [...], "tasks": [...], "metadata": {...}, ...}
  std::string ToJson() const;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_STATE_H_
