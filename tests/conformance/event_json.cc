#include "tests/conformance/event_json.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "weir/channels/values.h"
#include "weir/runtime/errors.h"

namespace weir::conformance {
namespace {

// What a task wrote: the values by channel, and in the order of the writes.
struct Writes {
  explicit Writes(const Values& values) {
    for (const Values::Item& item : values.items()) {
      const std::string channel(values.name(item));
      const json value = ToJson(item.value);
      by_channel[channel].push_back(value);
      in_order.push_back({{channel, value}});
    }
  }
  bool has_repeats() const { return by_channel.size() != in_order.size(); }

  std::map<std::string, std::vector<json>> by_channel;
  std::vector<json> in_order;
};

json UpdateJson(const Values& values) {
  if (values.empty()) return nullptr;
  const Writes writes(values);
  return writes.has_repeats() ? json(writes.in_order) : ToJson(values);
}

json ResultJson(const Values& values) {
  if (values.empty()) return nullptr;
  json result = json::object();
  for (const auto& [channel, written] : Writes(values).by_channel) {
    if (written.size() == 1) {
      result[channel] = written[0];
    } else {
      result[channel] = {{"$writes", written}};
    }
  }
  return result;
}

// The data of the events, by their payloads.
struct DataOf {
  // Of payloads that no EVENT has.
  template <class Other>
  json operator()(const Other&) const {
    return nullptr;
  }
  json operator()(const StateValues& e) const { return ToJson(e.values); }
  json operator()(const NodeUpdate& e) const {
    return {{std::string(e.node), UpdateJson(e.writes)}};
  }
  json operator()(const CustomValue& e) const { return ToJson(e.value); }
  json operator()(const TaskStarted& e) const {
    return {{"task_id", e.id}, {"name", e.node}, {"input", ToJson(e.input)}};
  }
  json operator()(const TaskFinished& e) const {
    return {{"task_id", e.id},
            {"name", e.node},
            {"result", ResultJson(e.writes)},
            {"interrupts", json::array()}};
  }
  json operator()(const CheckpointReached& e) const {
    json next = json::array();
    json tasks = json::array();
    for (const CheckpointReached::Next& task : e.tasks) {
      next.push_back(task.node);
      tasks.push_back({{"task_id", task.id},
                       {"name", task.node},
                       {"interrupts", json::array()}});
    }
    return {{"values", ToJson(e.values)},
            {"next", std::move(next)},
            {"tasks", std::move(tasks)},
            {"metadata", {{"source", e.source}, {"step", e.step}}},
            {"checkpoint_id", e.id},
            {"parent_checkpoint_id",
             e.parent_id.empty() ? json() : json(e.parent_id)}};
  }
};

json DebugJson(const Event& event, json payload) {
  std::string_view type = "task_result";
  int64_t step = event.step();
  if (const auto* checkpoint = event.As<CheckpointReached>()) {
    type = "checkpoint";
    step = checkpoint->step;
  } else if (event.As<TaskStarted>() != nullptr) {
    type = "task";
  }
  return {{"step", step}, {"type", type}, {"payload", std::move(payload)}};
}

json NsJson(const Event& event) {
  json ns = json::array();
  for (const NamespaceLevel& level : event.ns()) {
    ns.push_back({{"node", level.node}, {"task_id", level.task_id}});
  }
  return ns;
}

}  // namespace

json ErrorJson(const absl::Status& status) {
  std::string type(ErrorKindName(ErrorKindOf(status)));
  if (absl::IsUnimplemented(status)) type = "Unsupported";
  return {{"type", type}, {"message", std::string(status.message())}};
}

bool IsResult(const Event& event) {
  return event.mode() != kControl && event.As<RunWarning>() == nullptr;
}

json EventJson(const Event& event, bool with_ns) {
  json data = std::visit(DataOf(), event.payload());
  const bool debug = event.mode() == kDebug;
  json out = {
      {"mode", event.name()},
      {"data", debug ? DebugJson(event, std::move(data)) : std::move(data)}};
  if (with_ns) out["ns"] = NsJson(event);
  if (const auto* update = event.As<NodeUpdate>();
      update != nullptr && update->cached) {
    out["cached"] = true;
  }
  return out;
}

}  // namespace weir::conformance
