#include "weir/runtime/state.h"

#include <algorithm>
#include <set>

#include "weir/runtime/internal/state_json.h"

namespace weir {
inline namespace v0 {
namespace internal {

bool AnyTwice(const Values& writes) {
  std::set<uint32_t> seen;
  return std::any_of(writes.items().begin(), writes.items().end(),
                     [&seen](const Values::Item& item) {
                       return !seen.insert(item.channel).second;
                     });
}

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

void AppendInterrupts(const std::vector<Interrupt>& interrupts,
                      std::string* out) {
  out->push_back('[');
  for (size_t i = 0; i < interrupts.size(); ++i) {
    if (i > 0) out->append(", ");
    JsonObject interrupt(out);
    interrupt.Text("id", interrupts[i].id);
    interrupts[i].value.AppendJson(interrupt.Field("value"));
  }
  out->push_back(']');
}

}  // namespace internal

namespace {

using internal::JsonObject;

void AppendRef(const CheckpointRef& ref, std::string* out) {
  JsonObject data(out);
  data.Text("thread_id", ref.thread_id);
  data.Text("checkpoint_ns", ref.ns);
  if (ref.id.has_value()) data.Text("checkpoint_id", ref.id.ToString());
}

void AppendMetadata(const CheckpointMetadata& metadata, std::string* out) {
  JsonObject data(out);
  data.Text("source", metadata.source);
  data.Number("step", metadata.step);
  {
    JsonObject parents(data.Field("parents"));
    for (const auto& [ns, id] : metadata.parents) {
      parents.Text(ns, id.ToString());
    }
  }
  if (!metadata.run_id.empty()) data.Text("run_id", metadata.run_id);
  for (const auto& [key, json] : metadata.custom) {
    data.Field(key)->append(json);
  }
}

void AppendTask(const TaskState& task, std::string* out) {
  JsonObject data(out);
  data.Text("id", task.id);
  data.Text("name", task.name);
  if (!task.error.empty()) data.Text("error", task.error);
  internal::AppendInterrupts(task.interrupts, data.Field("interrupts"));
  if (task.finished) internal::AppendResult(task.result, data.Field("result"));
  if (task.state != nullptr) {
    data.Field("state")->append(task.state->ToJson());
  } else if (task.inside.has_value()) {
    AppendRef(*task.inside, data.Field("state"));
  }
}

}  // namespace

std::string StateSnapshot::ToJson() const {
  std::string out;
  {
    JsonObject data(&out);
    Codec<Values>::AppendJson(values, data.Field("values"));
    Codec<std::vector<std::string>>::AppendJson(next, data.Field("next"));
    std::string* list = data.Field("tasks");
    list->push_back('[');
    for (size_t i = 0; i < tasks.size(); ++i) {
      if (i > 0) list->append(", ");
      AppendTask(tasks[i], list);
    }
    list->push_back(']');
    internal::AppendInterrupts(interrupts, data.Field("interrupts"));
    if (metadata.has_value()) {
      AppendMetadata(*metadata, data.Field("metadata"));
      data.Text("created_at",
                absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", created_at,
                                 absl::UTCTimeZone()));
    } else {
      data.Field("metadata")->append("null");
    }
    AppendRef(ref, data.Field("checkpoint"));
    if (parent.has_value()) {
      data.Text("parent_checkpoint_id", parent.ToString());
    } else {
      data.Field("parent_checkpoint_id")->append("null");
    }
  }
  return out;
}

}  // namespace v0
}  // namespace weir
