#include "weir/runtime/event.h"

#include <algorithm>
#include <ostream>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "weir/channels/internal/json_text.h"
#include "weir/runtime/errors.h"

namespace weir {
inline namespace v0 {
namespace {

using internal::AppendJsonString;

// Writes one JSON object, field by field.
class JsonObject {
 public:
  explicit JsonObject(std::string* out) : out_(out) { out_->push_back('{'); }
  ~JsonObject() { out_->push_back('}'); }

  std::string* Field(std::string_view name) {
    if (!std::exchange(first_, false)) out_->append(", ");
    AppendJsonString(name, out_);
    out_->append(": ");
    return out_;
  }
  void Text(std::string_view name, std::string_view value) {
    AppendJsonString(value, Field(name));
  }
  void Number(std::string_view name, int64_t value) {
    absl::StrAppend(Field(name), value);
  }

 private:
  std::string* const out_;
  bool first_ = true;
};

bool AnyTwice(const Values& writes) {
  std::set<uint32_t> seen;
  return std::any_of(writes.items().begin(), writes.items().end(),
                     [&seen](const Values::Item& item) {
                       return !seen.insert(item.channel).second;
                     });
}

// null for nothing, a record, or a list of one-channel records if a channel was
// written twice.
void AppendUpdate(const Values& writes, std::string* out) {
  if (writes.empty()) {
    out->append("null");
  } else if (!AnyTwice(writes)) {
    Codec<Values>::AppendJson(writes, out);
  } else {
    out->push_back('[');
    bool first = true;
    for (const Values::Item& item : writes.items()) {
      if (!std::exchange(first, false)) out->append(", ");
      JsonObject one(out);
      item.value.AppendJson(one.Field(writes.name(item)));
    }
    out->push_back(']');
  }
}

// A record; a channel that was written twice has {"$writes": [...]}.
void AppendResult(const Values& writes, std::string* out) {
  if (!AnyTwice(writes)) {
    Codec<Values>::AppendJson(writes, out);
    return;
  }
  JsonObject record(out);
  std::set<uint32_t> done;
  for (const Values::Item& item : writes.items()) {
    if (!done.insert(item.channel).second) continue;
    std::string list;
    int count = 0;
    for (const Values::Item& other : writes.items()) {
      if (other.channel != item.channel) continue;
      if (count++ > 0) list.append(", ");
      other.value.AppendJson(&list);
    }
    std::string* field = record.Field(writes.name(item));
    if (count == 1) {
      field->append(list);
    } else {
      absl::StrAppend(field, "{\"$writes\": [", list, "]}");
    }
  }
}

// Each payload's data.
struct AppendPayload {
  const Event& event;
  std::string* out;

  void operator()(const RunMetadata& metadata) const {
    JsonObject data(out);
    data.Text("run_id", metadata.run_id);
    data.Number("attempt", metadata.attempt);
  }
  void operator()(const RunError& error) const {
    const absl::Status& status = error.status;
    const std::string_view kind = ErrorKindName(ErrorKindOf(status));
    JsonObject data(out);
    data.Text("error", kind.empty() ? absl::StatusCodeToString(status.code())
                                    : std::string(kind));
    data.Text("message", std::string(status.message()));
  }
  void operator()(const StateValues& state) const {
    Codec<Values>::AppendJson(state.values, out);
  }
  void operator()(const NodeUpdate& update) const {
    JsonObject data(out);
    AppendUpdate(update.writes, data.Field(update.node));
    if (update.cached) {
      data.Field("__metadata__")->append("{\"cached\": true}");
    }
  }
  void operator()(const CustomValue& custom) const {
    custom.value.AppendJson(out);
  }
  // The message, and where it comes from under LangGraph's names.
  void operator()(const MessageChunk& chunk) const {
    out->push_back('[');
    chunk.message.AppendJson(out);
    out->append(", ");
    {
      JsonObject data(out);
      data.Text("langgraph_node", chunk.node);
      data.Number("langgraph_step", event.step());
      Codec<std::vector<std::string>>::AppendJson(
          chunk.triggers, data.Field("langgraph_triggers"));
      std::string* path = data.Field("langgraph_path");
      if (chunk.send >= 0) {
        absl::StrAppend(path, "[\"__pregel_push\", ", chunk.send, ", false]");
      } else {
        path->append("[\"__pregel_pull\", ");
        AppendJsonString(chunk.node, path);
        path->push_back(']');
      }
      std::string ns;
      for (const NamespaceLevel& level : event.ns()) {
        absl::StrAppend(&ns, level.node, ":", level.task_id, "|");
      }
      absl::StrAppend(&ns, std::string(chunk.node), ":", chunk.task_id);
      data.Text("langgraph_checkpoint_ns", ns);
      if (!chunk.tags.empty()) {
        Codec<std::vector<std::string>>::AppendJson(chunk.tags,
                                                    data.Field("tags"));
      }
    }
    out->push_back(']');
  }
  void operator()(const TaskStarted& task) const {
    JsonObject data(out);
    data.Text("id", task.id);
    data.Text("name", task.node);
    task.input.AppendJson(data.Field("input"));
    Codec<std::vector<std::string>>::AppendJson(task.triggers,
                                                data.Field("triggers"));
  }
  void operator()(const TaskFinished& task) const {
    JsonObject data(out);
    data.Text("id", task.id);
    data.Text("name", task.node);
    if (task.status.ok()) {
      data.Field("error")->append("null");
      AppendResult(task.writes, data.Field("result"));
    } else {
      data.Text("error", std::string(task.status.message()));
      data.Field("result")->append("null");
    }
    data.Field("interrupts")->append("[]");
  }
  void operator()(const CheckpointReached& checkpoint) const {
    JsonObject data(out);
    data.Text("checkpoint_id", checkpoint.id);
    if (checkpoint.parent_id.empty()) {
      data.Field("parent_checkpoint_id")->append("null");
    } else {
      data.Text("parent_checkpoint_id", checkpoint.parent_id);
    }
    {
      JsonObject metadata(data.Field("metadata"));
      metadata.Text("source", checkpoint.source);
      metadata.Number("step", checkpoint.step);
    }
    Codec<Values>::AppendJson(checkpoint.values, data.Field("values"));
    std::vector<std::string> next;
    for (const CheckpointReached::Next& task : checkpoint.tasks) {
      next.emplace_back(task.node);
    }
    Codec<std::vector<std::string>>::AppendJson(next, data.Field("next"));
    std::string* tasks = data.Field("tasks");
    tasks->push_back('[');
    for (size_t i = 0; i < checkpoint.tasks.size(); ++i) {
      if (i > 0) tasks->append(", ");
      JsonObject task(tasks);
      task.Text("id", checkpoint.tasks[i].id);
      task.Text("name", checkpoint.tasks[i].node);
    }
    tasks->push_back(']');
  }
  void operator()(const RunWarning& warning) const {
    JsonObject data(out);
    data.Text("warning", warning.text);
  }
};

// The type of a kDebug event.
struct DebugType {
  std::string_view operator()(const TaskStarted&) const { return "task"; }
  std::string_view operator()(const TaskFinished&) const {
    return "task_result";
  }
  std::string_view operator()(const CheckpointReached&) const {
    return "checkpoint";
  }
  template <class Other>
  std::string_view operator()(const Other&) const {
    return "warning";
  }
};

}  // namespace

std::string_view Event::name() const {
  switch (mode_) {
    case kValues:
      return "values";
    case kUpdates:
      return "updates";
    case kCustom:
      return "custom";
    case kTasks:
      return "tasks";
    case kCheckpoints:
      return "checkpoints";
    case kDebug:
      return "debug";
    case kMessages:
      return "messages";
    default:
      return As<RunError>() != nullptr ? "error" : "metadata";
  }
}

const std::vector<NamespaceLevel>& Event::ns() const {
  static const std::vector<NamespaceLevel> kRoot;
  return body_->ns == nullptr ? kRoot : *body_->ns;
}

std::string Event::ToJson() const {
  std::string out;
  if (mode_ != kDebug) {
    std::visit(AppendPayload{*this, &out}, payload());
    return out;
  }
  {
    JsonObject data(&out);
    data.Number("step", step());
    data.Text("timestamp", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", body_->time,
                                            absl::UTCTimeZone()));
    data.Text("type", std::visit(DebugType{}, payload()));
    std::visit(AppendPayload{*this, data.Field("payload")}, payload());
  }
  return out;
}

std::ostream& operator<<(std::ostream& out, const Event& event) {
  return out << absl::StrFormat("%-8s ", event.name()) << event.ToJson();
}

}  // namespace v0
}  // namespace weir
