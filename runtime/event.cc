#include "weir/runtime/event.h"

#include <algorithm>
#include <ostream>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "weir/channels/internal/json_text.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/internal/state_json.h"

namespace weir {
inline namespace v0 {
namespace {

using internal::AppendJsonString;

using internal::AnyTwice;
using internal::AppendResult;
using internal::JsonObject;

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
    internal::AppendError(error.status, out);
  }
  void operator()(const StateValues& state) const {
    Codec<Values>::AppendJson(state.values, out);
  }
  void operator()(const NodeUpdate& update) const {
    JsonObject data(out);
    if (update.returned.has_value()) {
      update.returned.AppendJson(data.Field(update.node));
    } else {
      AppendUpdate(update.writes, data.Field(update.node));
    }
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
      if (task.returned.has_value()) {
        task.returned.AppendJson(data.Field("result"));
      } else {
        AppendResult(task.writes, data.Field("result"));
      }
    } else {
      data.Text("error", std::string(task.status.message()));
      data.Field("result")->append("null");
    }
    internal::AppendInterrupts(task.interrupts, data.Field("interrupts"));
  }
  void operator()(const CheckpointReached& checkpoint) const {
    out->append(checkpoint.state->ToJson());
  }
  // A state with "__interrupt__" in it, or that alone.
  void operator()(const RunInterrupted& interrupted) const {
    JsonObject data(out);
    if (interrupted.values.has_value()) {
      for (const Values::Item& item : interrupted.values->items()) {
        item.value.AppendJson(data.Field(interrupted.values->name(item)));
      }
    }
    internal::AppendInterrupts(interrupted.interrupts,
                               data.Field("__interrupt__"));
  }
  void operator()(const RunWarning& warning) const {
    JsonObject data(out);
    data.Text("warning", warning.text);
  }
  void operator()(const TaskRetried& task) const {
    JsonObject data(out);
    data.Text("id", task.id);
    data.Text("name", task.node);
    data.Number("attempt", task.attempt);
    data.Text("error", std::string(task.status.message()));
    data.Text("wait", absl::FormatDuration(task.wait));
  }
};

// "" for what is no mode, and for control events.
std::string_view ModeName(uint32_t mode) {
  switch (mode) {
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
      return "";
  }
}

// The type of a kDebug event.
struct DebugType {
  std::string_view operator()(const TaskStarted&) const { return "task"; }
  std::string_view operator()(const TaskFinished&) const {
    return "task_result";
  }
  std::string_view operator()(const CheckpointReached&) const {
    return "checkpoint";
  }
  std::string_view operator()(const TaskRetried&) const { return "task_retry"; }
  template <class Other>
  std::string_view operator()(const Other&) const {
    return "warning";
  }
};

}  // namespace

namespace internal {

void AppendError(const absl::Status& error, std::string* out) {
  const std::string_view kind = ErrorKindName(ErrorKindOf(error));
  JsonObject data(out);
  data.Text("error", kind.empty() ? absl::StatusCodeToString(error.code())
                                  : std::string(kind));
  data.Text("message", std::string(error.message()));
  const std::string node = FailedNode(error);
  if (!node.empty()) data.Text("node", node);
}

std::vector<std::string> StreamModeNames(uint32_t modes) {
  std::vector<std::string> names;
  for (uint32_t bit = 1; bit != 0 && modes != 0; bit <<= 1) {
    if ((modes & bit) == 0) continue;
    modes &= ~bit;
    const std::string_view name = ModeName(bit);
    names.push_back(name.empty() ? absl::StrFormat("%#x", bit)
                                 : std::string(name));
  }
  return names;
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

}  // namespace internal

std::string_view Event::name() const {
  const std::string_view name = ModeName(mode_);
  if (!name.empty()) return name;
  return As<RunError>() != nullptr ? "error" : "metadata";
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
    data.Text("timestamp", internal::TimeText(body_->time));
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
