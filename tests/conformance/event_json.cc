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
            {"interrupts", InterruptsJson(e.interrupts)}};
  }
  json operator()(const CheckpointReached& e) const {
    return SnapshotJson(*e.state);
  }
};

json DebugJson(const Event& event, json payload) {
  std::string_view type = "task_result";
  int64_t step = event.step();
  if (const auto* checkpoint = event.As<CheckpointReached>()) {
    type = "checkpoint";
    step = checkpoint->state->metadata->step;
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
  const std::string type(ErrorKindName(ErrorKindOf(status)));
  return {{"type", type}, {"message", std::string(status.message())}};
}

json InterruptsJson(const std::vector<Interrupt>& interrupts) {
  json list = json::array();
  for (const Interrupt& interrupt : interrupts) {
    list.push_back(
        {{"interrupt_id", interrupt.id}, {"value", ToJson(interrupt.value)}});
  }
  return list;
}

json SnapshotJson(const StateSnapshot& state) {
  json tasks = json::array();
  for (const TaskState& task : state.tasks) {
    json shown = {{"task_id", task.id},
                  {"name", task.name},
                  {"interrupts", InterruptsJson(task.interrupts)}};
    if (!task.error.empty()) shown["error"] = {{"message", task.error}};
    if (task.finished) shown["result"] = ResultJson(task.result);
    if (task.state != nullptr) shown["state"] = SnapshotJson(*task.state);
    tasks.push_back(std::move(shown));
  }
  json shown = {
      {"values", ToJson(state.values)}, {"next", state.next},
      {"tasks", std::move(tasks)},      {"metadata", nullptr},
      {"checkpoint_id", nullptr},       {"parent_checkpoint_id", nullptr}};
  if (state.metadata.has_value()) {
    shown["metadata"] = {{"source", state.metadata->source},
                         {"step", state.metadata->step}};
    shown["checkpoint_id"] = state.ref.id.ToString();
  }
  if (state.parent.has_value()) {
    shown["parent_checkpoint_id"] = state.parent.ToString();
  }
  return shown;
}

bool IsResult(const Event& event) {
  return event.mode() != kControl && event.As<RunWarning>() == nullptr &&
         event.As<TaskRetried>() == nullptr;
}

json EventJson(const Event& event, bool with_ns) {
  json data = std::visit(DataOf(), event.payload());
  const bool debug = event.mode() == kDebug;
  json out = {
      {"mode", event.name()},
      {"data", debug ? DebugJson(event, std::move(data)) : std::move(data)}};
  if (with_ns) out["ns"] = NsJson(event);
  if (const auto* asked = event.As<RunInterrupted>()) {
    out.erase("data");
    out["interrupts"] = InterruptsJson(asked->interrupts);
  }
  if (const auto* update = event.As<NodeUpdate>();
      update != nullptr && update->cached) {
    out["cached"] = true;
  }
  return out;
}

}  // namespace weir::conformance
