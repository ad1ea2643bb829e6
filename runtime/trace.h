#ifndef WEIR_RUNTIME_TRACE_H_
#define WEIR_RUNTIME_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "weir/export.h"
#include "weir/runtime/event.h"

namespace weir {
inline namespace v0 {

// TraceRecorder: a run on a time line: add each event of a reader of kDebug,
// and open what ToJson() gives with ui.perfetto.dev or chrome://tracing. Each
// graph is a process: its first track has its supersteps, checkpoints and
// warnings, others its tasks, as many tracks as there were tasks at once, with
// their attempts and the waits between where there was more than one; a graph
// inside that runs several times at once has as many for supersteps.
// Events of other modes are ignored: they have no time.
//
//   weir::TraceRecorder trace;
//   weir::RunStream stream = graph.Stream(
//       std::move(input), {.modes = weir::kDebug, .subgraphs = true});
//   while (const weir::Event* event = stream.Next()) trace.Add(*event);
//   std::ofstream("run.json") << trace.ToJson();
//
// Threads: thread-compatible.
// Source:  the Trace Event Format of Chrome's about:tracing.
class WEIR_EXPORT TraceRecorder {
 public:
  void Add(const Event& event);

  // What has been added so far; a task that has not ended is as long as all of
  // it and says "unfinished".
  std::string ToJson() const;

 private:
  using Args = std::vector<std::pair<std::string, std::string>>;
  struct Slice {
    std::string name;
    absl::Time begin;
    absl::Time end;
    Args args{};
    bool open = false;
    // Of a task that has tried more than once: its attempts, and its waits
    // between them. The last attempt is as long as the task.
    std::vector<Slice> inside{};
  };
  struct Moment {
    std::string name;
    absl::Time time;
  };
  struct GraphTrace {
    std::vector<Slice> tasks;
    // By the call of the graph, and by number.
    std::map<std::pair<std::string, int64_t>, Slice> supersteps;
    std::vector<Moment> moments;
    std::map<std::string, size_t> under_way;  // Tasks by their ids.
  };

  void Begin(GraphTrace& graph, const TaskStarted& task, absl::Time now);
  void Retry(GraphTrace& graph, const TaskRetried& task, absl::Time now);
  void End(GraphTrace& graph, const TaskFinished& task, absl::Time now);
  // Gives each slice the first track that is free when it begins.
  static std::vector<std::vector<Slice>> OnTracks(std::vector<Slice> slices);

  std::map<std::string, GraphTrace> graphs_;  // By path.
  absl::Time first_ = absl::InfiniteFuture();
  absl::Time last_ = absl::InfinitePast();
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_TRACE_H_
