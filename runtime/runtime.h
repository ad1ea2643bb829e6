#ifndef WEIR_RUNTIME_RUNTIME_H_
#define WEIR_RUNTIME_RUNTIME_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

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
  // run's metadata first, then those of options.modes. The Runtime sets the
  // options' executor, thread_id and run_id.
  [[nodiscard]] absl::StatusOr<RunStream> Stream(const ThreadId& thread,
                                                 std::string_view name,
                                                 Input input,
                                                 RunOptions options = {});

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_RUNTIME_H_
