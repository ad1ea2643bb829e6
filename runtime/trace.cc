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

// Which of the times that a graph inside runs an event is of.
std::string CallOf(const Event& event) {
  if (event.ns().empty()) return {};
  const NamespaceLevel& level = event.ns().back();
  return absl::StrCat(level.task_id, " ", level.call);
}

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
  const std::pair<std::string, int64_t> superstep(CallOf(event), event.step());
  if (const auto* started = event.As<TaskStarted>()) {
    Begin(graph, *started, now);
    const std::string name = absl::StrCat("superstep ", event.step());
    graph.supersteps.try_emplace(superstep, Slice{name, now, now});
  } else if (const auto* finished = event.As<TaskFinished>()) {
    End(graph, *finished, now);
  } else if (const auto* retried = event.As<TaskRetried>()) {
    Retry(graph, *retried, now);
  }
  const auto step = graph.supersteps.find(superstep);
  if (step != graph.supersteps.end()) step->second.end = now;
}

void TraceRecorder::Begin(GraphTrace& graph, const TaskStarted& task,
                          absl::Time now) {
  graph.under_way[task.id] = graph.tasks.size();
  graph.tasks.push_back({.name = std::string(task.node),
                         .begin = now,
                         .end = now,
                         .args = {{"task", task.id}},
                         .open = true});
}

void TraceRecorder::Retry(GraphTrace& graph, const TaskRetried& task,
                          absl::Time now) {
  const auto it = graph.under_way.find(task.id);
  if (it == graph.under_way.end()) return;  // It began before the first event.
  Slice& slice = graph.tasks[it->second];
  const auto attempt = [](int number, absl::Time begin, absl::Time end) {
    return Slice{absl::StrCat("attempt ", number), begin, end};
  };
  if (slice.inside.empty()) {
    slice.inside.push_back(attempt(task.attempt, slice.begin, now));
  }
  Slice& failed = slice.inside.back();
  failed.end = now;
  failed.args.emplace_back("error", std::string(task.status.message()));
  const absl::Time again = now + task.wait;
  slice.inside.push_back({"wait", now, again});
  slice.inside.push_back(attempt(task.attempt + 1, again, again));
}

void TraceRecorder::End(GraphTrace& graph, const TaskFinished& task,
                        absl::Time now) {
  const auto it = graph.under_way.find(task.id);
  if (it == graph.under_way.end()) return;  // It began before the first event.
  Slice& slice = graph.tasks[it->second];
  graph.under_way.erase(it);
  slice.end = now;
  slice.open = false;
  if (!task.status.ok()) {
    slice.args.emplace_back("error", std::string(task.status.message()));
  }
  for (size_t i = 0; i < task.interrupts.size(); ++i) {
    slice.args.emplace_back(absl::StrCat("asks ", i + 1),
                            task.interrupts[i].value.ToJson());
  }
}

auto TraceRecorder::OnTracks(std::vector<Slice> slices)
    -> std::vector<std::vector<Slice>> {
  std::stable_sort(
      slices.begin(), slices.end(),
      [](const Slice& a, const Slice& b) { return a.begin < b.begin; });
  std::vector<std::vector<Slice>> tracks;
  for (Slice& slice : slices) {
    const auto free = std::find_if(tracks.begin(), tracks.end(),
                                   [&slice](const std::vector<Slice>& track) {
                                     return track.back().end <= slice.begin;
                                   });
    std::vector<Slice>& track =
        free == tracks.end() ? tracks.emplace_back() : *free;
    track.push_back(std::move(slice));
  }
  return tracks;
}

std::string TraceRecorder::ToJson() const {
  TraceWriter writer(first_);
  size_t process = 0;
  for (const auto& [path, graph] : graphs_) {
    ++process;
    size_t track = 0;
    const auto write = [&](const char* kind, std::vector<Slice> slices) {
      for (const std::vector<Slice>& on : OnTracks(std::move(slices))) {
        writer.Name("thread_name", process, track, absl::StrCat(kind, "s"));
        for (const Slice& slice : on) {
          writer.Slice(slice.name, kind, process, track, slice.begin, slice.end,
                       slice.args);
          // A run that was stopped while it waited has not waited until then.
          for (const Slice& part : slice.inside) {
            if (part.begin > slice.end) continue;
            const bool is_last = &part == &slice.inside.back();
            writer.Slice(part.name, "attempt", process, track, part.begin,
                         is_last ? slice.end : std::min(part.end, slice.end),
                         part.args);
          }
        }
        ++track;
      }
    };
    writer.Name("process_name", process, 0, path.empty() ? "graph" : path);
    std::vector<Slice> supersteps;
    for (const auto& [key, slice] : graph.supersteps) {
      supersteps.push_back(slice);
    }
    write("superstep", std::move(supersteps));
    std::vector<Slice> tasks = graph.tasks;
    for (Slice& task : tasks) {
      if (!task.open) continue;
      task.end = last_;
      task.args.emplace_back("state", "unfinished");
    }
    write("task", std::move(tasks));
    for (const Moment& moment : graph.moments) {
      writer.Instant(moment.name, process, 0, moment.time);
    }
  }
  return std::move(writer).Take();
}

}  // namespace v0
}  // namespace weir
