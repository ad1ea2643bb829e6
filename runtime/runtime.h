#ifndef WEIR_RUNTIME_RUNTIME_H_
#define WEIR_RUNTIME_RUNTIME_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpointer.h"
#include "weir/export.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"

namespace weir {
inline namespace v0 {

using ThreadId = std::string;

// RuntimeOptions: every field has a default.
struct RuntimeOptions {
  // Null: the Runtime makes a TbbExecutor. Otherwise it must outlive the
  // Runtime.
  Executor* executor = nullptr;
  // Where threads are kept. Null: in a MemoryCheckpointer of the Runtime's own.
  // Otherwise it must outlive the Runtime.
  Checkpointer* checkpointer = nullptr;
  // What nodes remember from one thread to the next. Null: a MemoryStore of the
  // Runtime's own, on the executor's time. Otherwise it must outlive the
  // Runtime.
  Store* store = nullptr;
  // Makes the ids of threads and runs; by default UUIDs of version 7. Must be
  // safe to call from several threads at once.
  std::function<std::string()> new_id{};
};

// Runtime: graphs by name, threads, and runs on them.
//
// Errors:   NotFound for an unknown graph or thread; the message names it.
// Threads:  thread-safe.
// Lifetime: streams must be destroyed before it.
class WEIR_EXPORT Runtime {
 public:
  explicit Runtime(RuntimeOptions options = {});
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Makes `graph` known by `name`. AlreadyExists if the name is taken.
  absl::Status Register(std::string_view name, Graph graph);

  // Makes a thread for runs to belong to.
  ThreadId CreateThread();

  // Starts a run of the graph `name` on `thread` and returns its events: the
  // run's metadata first, then those of options.modes. The thread goes on from
  // where its last run left it; see Input for how. Runs of one thread follow
  // one another: one that is still under way ends Aborted. The Runtime sets the
  // options' executor, checkpointer, thread_id and run_id, and their store if
  // they have none.
  [[nodiscard]] absl::StatusOr<RunStream> Stream(const ThreadId& thread,
                                                 std::string_view name,
                                                 Input input,
                                                 RunOptions options = {});

  // The store that runs get whose options have none.
  Store& store();

  // The state of a thread as the graph `name` reads it, its checkpoints, and a
  // change to it, as Graph::GetState(), GetHistory() and UpdateState() of a
  // StateOptions whose checkpointer and thread_id are set here.
  [[nodiscard]] absl::StatusOr<StateSnapshot> GetState(
      const ThreadId& thread, std::string_view name, StateOptions options = {});
  [[nodiscard]] absl::StatusOr<std::vector<StateSnapshot>> GetHistory(
      const ThreadId& thread, std::string_view name, HistoryOptions which = {},
      StateOptions options = {});
  [[nodiscard]] absl::StatusOr<CheckpointRef> UpdateState(
      const ThreadId& thread, std::string_view name, StateUpdate update,
      StateOptions options = {});

 private:
  absl::StatusOr<Graph> Find(const ThreadId& thread, std::string_view name);

  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_RUNTIME_H_
