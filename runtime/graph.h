#ifndef WEIR_RUNTIME_GRAPH_H_
#define WEIR_RUNTIME_GRAPH_H_

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpointer.h"
#include "weir/export.h"
#include "weir/runtime/command.h"
#include "weir/runtime/run.h"
#include "weir/runtime/run_stream.h"
#include "weir/runtime/state.h"

namespace weir {
inline namespace v0 {

namespace internal {
struct CompiledGraph;
}  // namespace internal

// StateOptions: which state of a thread is meant.
struct StateOptions {
  Checkpointer* checkpointer = nullptr;
  std::string thread_id{};
  // A checkpoint of the thread, or a graph inside; its thread_id may be left
  // out. By default the outermost graph at the thread's end.
  std::optional<CheckpointRef> at{};
  // Whether TaskState::state holds the states of graphs inside.
  bool subgraphs = false;
  // What the calling thread takes part in while it waits for the store, whose
  // answers may be jobs of it. Null: it only waits. Otherwise it must outlive
  // the call.
  Executor* executor = nullptr;
};

// HistoryOptions: which checkpoints of a thread are meant; every field narrows
// it.
struct HistoryOptions {
  // Of the metadata: "source", "step", "run_id" and RunOptions::metadata, as
  // JSON text ("\"loop\"", "3").
  std::map<std::string, std::string> filter{};
  std::optional<CheckpointId> before{};  // Only older ones.
  std::optional<size_t> limit{};
};

// StateUpdate: a change to a thread's state, as if a node had returned it.
struct StateUpdate {
  // Absent: nothing is written, and the node's edges are followed.
  std::optional<Update> values{};
  // The node; kStart: the input's; kEnd, without values: all that waits is
  // ended; kInputUpdate, kCopyUpdate. Empty: the node that ran last.
  std::string as_node{};
  // The task; by default the node's next.
  std::string task_id{};
};

// Names for StateUpdate::as_node: new input; a copy of the checkpoint beside
// it, without values.
inline constexpr std::string_view kInputUpdate = "__input__";
inline constexpr std::string_view kCopyUpdate = "__copy__";

// Graph: a compiled graph, ready to run any number of times at once; what
// StateGraph::Compile() returns.
//
// Errors:   a run fails with a Status whose ErrorKind says what happened; the
//           message names node, channel and step.
// Threads:  immutable.
// Lifetime: copies share one compiled graph; runs keep it alive.
class WEIR_EXPORT Graph {
 public:
  explicit Graph(std::shared_ptr<const internal::CompiledGraph> compiled)
      : compiled_(std::move(compiled)) {}

  // Runs the graph on `input` until it ends or waits, and returns the channels
  // of its output schema, or no values if the run wrote to none of them; and
  // what it waits for. The calling thread takes part, unless
  // RunOptions::executor has workers of its own.
  [[nodiscard]] absl::StatusOr<RunResult> Invoke(Input input,
                                                 RunOptions options = {}) const;

  // The same without waiting: `done`, which must not throw, is called once, on
  // a worker of RunOptions::executor. That has to be given and must outlive the
  // run; `done` is not called, and what it holds not freed, if it does not. A
  // run that waits holds no thread.
  //
  // Errors: InvalidArgument, before this returns: there is no executor.
  void Invoke(Input input, RunOptions options,
              absl::AnyInvocable<void(absl::StatusOr<RunResult>)> done) const;

  // Starts a run and returns its events. Errors that come before the first
  // event (no input, a bad option) are the stream's status.
  [[nodiscard]] RunStream Stream(Input input, RunOptions options = {}) const;

  // The state of a thread; empty if it has none. Without a checkpoint's id,
  // what tasks have finished since the last one shows, and only questions that
  // have no answer. Blocks until the store has answered, as the next two do;
  // see StateOptions::executor.
  //
  // Errors: NoCheckpointer. NotFound for a graph inside that is not there.
  //         FailedPrecondition for a thread that another graph has saved and
  //         this one cannot go on with; see CompileOptions::version.
  [[nodiscard]] absl::StatusOr<StateSnapshot> GetState(
      const StateOptions& options) const;

  // The checkpoints of a thread, the newest first, each with what the tasks
  // after it did.
  [[nodiscard]] absl::StatusOr<std::vector<StateSnapshot>> GetHistory(
      const StateOptions& options, HistoryOptions which = {}) const;

  // Changes a thread's state: each list is one superstep, in which only the
  // nodes it names ran; whatever else waited is dropped. Returns the new
  // checkpoint. The thread must not be running: its run would end Aborted.
  //
  // Errors: NoCheckpointer. InvalidUpdate for an unknown node, for none where
  //         several ran last, and for what a channel refuses.
  [[nodiscard]] absl::StatusOr<CheckpointRef> UpdateState(
      const StateOptions& options,
      std::vector<std::vector<StateUpdate>> supersteps) const;
  [[nodiscard]] absl::StatusOr<CheckpointRef> UpdateState(
      const StateOptions& options, StateUpdate update) const;

  // CompileOptions::version.
  int version() const;
  // 16 hexadecimal digits: a hash of the names of nodes, edges and channels and
  // of the channels' types, the same in every process. It tells in messages
  // which graph has saved a thread, and decides nothing.
  std::string fingerprint() const;

  const internal::CompiledGraph& compiled() const { return *compiled_; }
  const std::shared_ptr<const internal::CompiledGraph>& shared() const {
    return compiled_;
  }

 private:
  std::shared_ptr<const internal::CompiledGraph> compiled_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_GRAPH_H_
