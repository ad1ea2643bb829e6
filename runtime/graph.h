#ifndef WEIR_RUNTIME_GRAPH_H_
#define WEIR_RUNTIME_GRAPH_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"

#include "weir/channels/values.h"
#include "weir/export.h"
#include "weir/runtime/run.h"

namespace weir {
inline namespace v0 {

namespace internal {
struct CompiledGraph;
}  // namespace internal

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

  // Runs the graph on `input` to its end and returns the channels of its output
  // schema: empty if nothing was written to one. The calling thread takes part.
  [[nodiscard]] absl::StatusOr<Values> Invoke(Input input,
                                              RunOptions options = {}) const;

  // Starts a run and returns its events. Errors that come before the first
  // event (no input, a bad option) are the stream's status.
  [[nodiscard]] RunStream Stream(Input input, RunOptions options = {}) const;

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
