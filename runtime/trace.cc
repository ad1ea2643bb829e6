#include "weir/runtime/trace.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "weir/runtime/internal/state_json.h"

namespace weir {
inline namespace v0 {
namespace {

// Writes the list of trace events.
class TraceWriter {
 public:
  explicit TraceWriter(absl::Time zero) : zero_(zero) {}

  void Name(const char* what, size_t process, size_t track,
            std::string_view name) {
    internal::JsonObject event(Next());
    event.Text("ph", "M");
    event.Text("name", what);
    Place(event, process, track);
    internal::JsonObject args(event.Field("args"));
    args.Text("name", name);
  }
  void Slice(std::string_view name, const char* kind, size_t process,
             size_t track, absl::Time begin, absl::Time end,
             const std::vector<std::pair<std::string, std::string>>& args) {
    internal::JsonObject event(Next());
    event.Text("ph", "X");
    event.Text("name", name);
    event.Text("cat", kind);
    Place(event, process, track);
    Time(event, "ts", begin - zero_);
    Time(event, "dur", end - begin);
    internal::JsonObject said(event.Field("args"));
    for (const auto& [key, value] : args) said.Text(key, value);
  }
  void Instant(std::string_view name, size_t process, size_t track,
               absl::Time at) {
    internal::JsonObject event(Next());
    event.Text("ph", "i");
    event.Text("name", name);
    event.Text("s", "t");
    Place(event, process, track);
    Time(event, "ts", at - zero_);
  }
  std::string Take() && {
    return "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [" + out_ + "\n]}\n";
  }

 private:
  std::string* Next() {
    absl::StrAppend(&out_, out_.empty() ? "\n" : ",\n");
    return &out_;
  }
  static void Place(internal::JsonObject& event, size_t process, size_t track) {
    event.Number("pid", static_cast<int64_t>(process));
    event.Number("tid", static_cast<int64_t>(track));
  }
  static void Time(internal::JsonObject& event, const char* name,
                   absl::Duration time) {
    absl::StrAppendFormat(event.Field(name), "%.3f",
                          absl::ToDoubleMicroseconds(time));
  }

  const absl::Time zero_;
  std::string out_;
};

std::string PathOf(const Event& event) {
  std::string path;
  for (const NamespaceLevel& level : event.ns()) {
    absl::StrAppend(&path, path.empty() ? "" : " > ", level.node);
  }
  return path;
}

}  // namespace

void TraceRecorder::Add(const Event& event) {
  if (event.mode() != kDebug) return;
  const absl::Time now = event.time();
  first_ = std::min(first_, now);
  last_ = std::max(last_, now);
  GraphTrace& graph = graphs_[PathOf(event)];
  if (const auto* warning = event.As<RunWarning>()) {
    graph.moments.push_back({warning->text, now});
    return;
  }
  if (event.As<CheckpointReached>() != nullptr) {
    graph.moments.push_back({"checkpoint", now});
  }
  if (const auto* started = event.As<TaskStarted>()) {
    Begin(graph, *started, now);
    Slice& step = graph.supersteps[event.step()];
    if (step.name.empty()) {
      step = {absl::StrCat("superstep ", event.step()), now, now};
    }
  } else if (const auto* finished = event.As<TaskFinished>()) {
    End(graph, *finished, now);
  }
  const auto step = graph.supersteps.find(event.step());
  if (step != graph.supersteps.end()) step->second.end = now;
}

void TraceRecorder::Begin(GraphTrace& graph, const TaskStarted& task,
                          absl::Time now) {
  const auto free = std::find(graph.busy.begin(), graph.busy.end(), false);
  const auto track = static_cast<size_t>(free - graph.busy.begin());
  if (free == graph.busy.end()) graph.busy.push_back(false);
  graph.busy[track] = true;
  graph.under_way[task.id] = graph.tasks.size();
  graph.tasks.push_back({.name = std::string(task.node),
                         .begin = now,
                         .end = now,
                         .track = track,
                         .args = {{"task", task.id}}});
}

void TraceRecorder::End(GraphTrace& graph, const TaskFinished& task,
                        absl::Time now) {
  const auto it = graph.under_way.find(task.id);
  if (it == graph.under_way.end()) return;  // It began before the first event.
  Slice& slice = graph.tasks[it->second];
  graph.under_way.erase(it);
  graph.busy[slice.track] = false;
  slice.end = now;
  slice.open = false;
  if (!task.status.ok()) {
    slice.args.emplace_back("error", std::string(task.status.message()));
  }
  for (const Interrupt& asked : task.interrupts) {
    slice.args.emplace_back("asks", asked.value.ToJson());
  }
}

std::string TraceRecorder::ToJson() const {
  TraceWriter writer(first_);
  size_t process = 0;
  for (const auto& [path, graph] : graphs_) {
    ++process;
    writer.Name("process_name", process, 0, path.empty() ? "graph" : path);
    writer.Name("thread_name", process, 0, "supersteps");
    for (size_t track = 0; track < graph.busy.size(); ++track) {
      writer.Name("thread_name", process, track + 1, "tasks");
    }
    for (const auto& [number, step] : graph.supersteps) {
      writer.Slice(step.name, "superstep", process, 0, step.begin, step.end,
                   {});
    }
    for (const Slice& task : graph.tasks) {
      auto args = task.args;
      if (task.open) args.emplace_back("state", "unfinished");
      writer.Slice(task.name, "task", process, task.track + 1, task.begin,
                   task.open ? last_ : task.end, args);
    }
    for (const Moment& moment : graph.moments) {
      writer.Instant(moment.name, process, 0, moment.time);
    }
  }
  return std::move(writer).Take();
}

}  // namespace v0
}  // namespace weir
