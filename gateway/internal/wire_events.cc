#include "weir/gateway/internal/wire_events.h"

#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "weir/channels/internal/json_text.h"
#include "weir/channels/nlohmann_json.h"
#include "weir/gateway/internal/wire_state.h"
#include "weir/gateway/internal/wire_value.h"
#include "weir/runtime/internal/state_json.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

struct Mode {
  std::string_view name;
  uint32_t mode;
  StreamModes needs;
};
constexpr std::array<Mode, 9> kModes = {{
    {"values", kWireValues, kValues},
    {"updates", kWireUpdates, kUpdates},
    {"messages", kWireMessages, kMessages | kValues},
    {"messages-tuple", kWireMessagesTuple, kMessages},
    {"custom", kWireCustom, kCustom},
    {"tasks", kWireTasks, kTasks},
    {"checkpoints", kWireCheckpoints, kCheckpoints},
    {"debug", kWireDebug, kDebug},
    {"events", kWireEvents, kTasks | kValues},
}};

// "outer:task|inner:task", as the namespaces of checkpoints have it.
std::string Path(const std::vector<NamespaceLevel>& levels) {
  std::string path;
  for (const NamespaceLevel& level : levels) {
    if (!path.empty()) path.push_back('|');
    absl::StrAppend(&path, level.node, ":", level.task_id);
    if (level.call > 0) absl::StrAppend(&path, "|", level.call);
  }
  return path;
}

// What the metadata of a task's events says of the task. `send` is -1 for a
// task of which only its triggers tell that it is a Send's, not which.
void AppendTaskMetadata(const Event& event, std::string_view node,
                        std::string_view task_id,
                        const std::vector<std::string>& triggers, int64_t send,
                        JsonObject* data) {
  data->Number("langgraph_step", event.step());
  data->Text("langgraph_node", node);
  AppendWireTexts(triggers, data->Field("langgraph_triggers"));
  const bool pushed = triggers.size() == 1 && triggers[0] == "__pregel_push";
  if (!pushed) {
    AppendWireTexts({"__pregel_pull", std::string(node)},
                    data->Field("langgraph_path"));
  } else if (send >= 0) {
    absl::StrAppend(data->Field("langgraph_path"), "[\"__pregel_push\", ", send,
                    ", false]");
  }
  std::string ns = Path(event.ns());
  if (!ns.empty()) ns.push_back('|');
  absl::StrAppend(&ns, std::string(node), ":", std::string(task_id));
  data->Text("langgraph_checkpoint_ns", ns);
  data->Text("checkpoint_ns", ns);
}

// A field of a message as text, of whatever type; "" if it is none.
std::string TextOf(const Value& record, std::string_view field) {
  const Json json = Json::parse(record.Field(field).ToJson(), nullptr, false);
  return json.is_string() ? json.get<std::string>() : "";
}

// Of a record with an id.
bool IsMessage(const Value& record) {
  return record.Field("content").has_value() &&
         (!TextOf(record, "role").empty() || !TextOf(record, "type").empty());
}

// Adds a piece of a message to what there is of it: text and lists grow, other
// fields are the newest that say something.
void Accumulate(const Json& piece, Json* message) {
  for (const auto& [field, json] : piece.get_ref<const Json::object_t&>()) {
    Json& held = (*message)[field];
    if (field == "content" && held.is_string() && json.is_string()) {
      held.get_ref<std::string&>() += json.get_ref<const std::string&>();
    } else if (held.is_array() && json.is_array()) {
      held.insert(held.end(), json.begin(), json.end());
    } else if (held.is_null() ||
               !(json.is_null() || json.empty() || json == "")) {
      held = json;
    }
  }
}

}  // namespace

absl::StatusOr<uint32_t> ParseWireModes(const std::vector<std::string>& names) {
  uint32_t modes = 0;
  for (const std::string& name : names) {
    uint32_t found = 0;
    for (const Mode& mode : kModes) {
      if (mode.name == name) found = mode.mode;
    }
    if (found == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", name, "' is no stream mode: there are ",
                       absl::StrJoin(WireModeNames(~uint32_t{0}), ", ")));
    }
    modes |= found;
  }
  return modes;
}

std::vector<std::string> WireModeNames(uint32_t modes) {
  std::vector<std::string> names;
  for (const Mode& mode : kModes) {
    if ((modes & mode.mode) != 0) names.emplace_back(mode.name);
  }
  return names;
}

StreamModes RunModesFor(uint32_t modes, bool may_stop) {
  auto needed = static_cast<StreamModes>(0);
  if (may_stop && (modes & kWireValues) != 0) needed |= kUpdates;
  for (const Mode& mode : kModes) {
    if ((modes & mode.mode) != 0) needed |= mode.needs;
  }
  return needed;
}

void AppendFrame(std::string_view name, std::string_view json,
                 std::optional<int64_t> id, std::string* frames) {
  frames->append("event: ").append(name);
  frames->append("\ndata: ").append(json).push_back('\n');
  if (id.has_value()) absl::StrAppend(frames, "id: ", *id, "\n");
  frames->push_back('\n');
}

// Each payload's frames.
struct WireEvents::Payload {
  WireEvents& view;

  bool Shows(uint32_t mode) const { return (view.modes_ & mode) != 0; }
  const Event& event() const { return *view.event_; }

  void operator()(const RunMetadata& metadata) const {
    view.run_.attempt = metadata.attempt;
    if (view.graph_start_ == GraphStart::kUnknown)
      view.graph_start_ = GraphStart::kAhead;
    view.Add("metadata", event().ToJson());
  }
  void operator()(const RunError&) const {
    view.Add("error", event().ToJson());
  }

  void operator()(const StateValues& state) const {
    if (Shows(kWireValues | kWireEvents)) {
      std::string json;
      AppendWireValues(state.values, &json);
      const bool outermost = event().ns().empty();
      if (Shows(kWireEvents) && outermost) {
        view.values_ = json;
        StartGraph();
      }
      if (Shows(kWireValues)) view.Add("values", std::move(json));
    }
    if (Shows(kWireMessages)) view.CompleteMessages(state.values);
  }
  // With the first state; without one, the first task says so. Not for a reader
  // who came later.
  void StartGraph() const {
    if (std::exchange(view.graph_start_, GraphStart::kSaid) ==
        GraphStart::kAhead) {
      view.Add("events", view.GraphEvent("on_chain_start", "input"));
    }
  }

  void operator()(const RunInterrupted& interrupted) const {
    std::string json;
    {
      JsonObject data(&json);
      AppendWireInterrupts(interrupted.interrupts, data.Field("__interrupt__"));
    }
    const bool in_updates = event().mode() == kUpdates;
    if (in_updates && Shows(kWireUpdates)) view.Add("updates", json);
    // A stop before or after a node has no event of its own in kValues.
    if ((!in_updates || interrupted.interrupts.empty()) && Shows(kWireValues)) {
      view.Add("values", std::move(json));
    }
  }

  void operator()(const NodeUpdate& update) const {
    if (!Shows(kWireUpdates)) return;
    std::string json;
    {
      JsonObject data(&json);
      std::string* const field = data.Field(update.node);
      if (update.returned.has_value()) {
        AppendWireValue(update.returned, field);
      } else {
        AppendWireUpdate(update.writes, field);
      }
      if (update.cached) {
        data.Field("__metadata__")->append("{\"cached\": true}");
      }
    }
    view.Add("updates", std::move(json));
  }

  void operator()(const CustomValue& custom) const {
    if (!Shows(kWireCustom)) return;
    std::string json;
    AppendWireValue(custom.value, &json);
    view.Add("custom", std::move(json));
  }

  void operator()(const MessageChunk& chunk) const { view.AddPiece(chunk); }

  void operator()(const TaskStarted& task) const {
    std::string json;
    if (Shows(kWireTasks | kWireDebug)) {
      JsonObject data(&json);
      data.Text("id", task.id);
      data.Text("name", task.node);
      AppendWireValue(task.input, data.Field("input"));
      AppendWireTexts(task.triggers, data.Field("triggers"));
      data.Field("interrupts")->append("[]");
      JsonObject metadata(data.Field("metadata"));
      view.AppendRunMetadata(&metadata);
      metadata.Text("run_id", view.run_.run_id);
    }
    AddTask("task", std::move(json));
    if (!Shows(kWireEvents) || event().mode() != kTasks) return;
    if (event().ns().empty()) StartGraph();
    Started started;
    AppendWireValue(task.input, &started.input);
    started.triggers = task.triggers;
    view.started_.insert_or_assign(task.id, std::move(started));
    AddNodeEvent("on_chain_start", task.id, task.node, "");
  }
  void operator()(const TaskFinished& task) const {
    std::string result;
    if (task.returned.has_value()) {
      AppendWireValue(task.returned, &result);
    } else if (task.writes.empty()) {
      result = "{}";
    } else {
      AppendWireUpdate(task.writes, &result);
    }
    std::string json;
    if (Shows(kWireTasks | kWireDebug)) {
      JsonObject data(&json);
      data.Text("id", task.id);
      data.Text("name", task.node);
      if (!task.status.ok()) {
        data.Text("error", std::string(task.status.message()));
      }
      data.Field("result")->append(result);
      AppendWireInterrupts(task.interrupts, data.Field("interrupts"));
    }
    AddTask("task_result", std::move(json));
    if (!Shows(kWireEvents) || event().mode() != kTasks) return;
    if (task.status.ok() && task.interrupts.empty()) {
      AddNodeEvent("on_chain_end", task.id, task.node, result);
    }
    view.started_.erase(task.id);
  }
  // In kTasks as it is, in kDebug within what that adds.
  void AddTask(std::string_view type, std::string json) const {
    if (event().mode() == kDebug) {
      AddDebug(type, json);
    } else if (Shows(kWireTasks)) {
      view.Add("tasks", std::move(json));
    }
  }
  void AddNodeEvent(std::string_view what, const std::string& id,
                    std::string_view node, std::string_view output) const {
    // A reader may have come after the start.
    const auto started = view.started_.find(id);
    const Started from =
        started == view.started_.end() ? Started() : started->second;
    const bool is_end = !output.empty();
    std::string json;
    {
      JsonObject data(&json);
      data.Text("event", what);
      {
        JsonObject parts(data.Field("data"));
        if (is_end) parts.Field("output")->append(output);
        if (!from.input.empty()) parts.Field("input")->append(from.input);
      }
      if (is_end) data.Text("run_id", id);
      data.Text("name", node);
      AppendWireTexts({absl::StrCat("graph:step:", event().step())},
                      data.Field("tags"));
      if (!is_end) data.Text("run_id", id);
      JsonObject metadata(data.Field("metadata"));
      view.AppendRunMetadata(&metadata);
      metadata.Text("thread_id", view.run_.thread_id);
      metadata.Text("run_id", view.run_.run_id);
      AppendTaskMetadata(event(), node, id, from.triggers, -1, &metadata);
    }
    view.Add("events", std::move(json));
  }

  void operator()(const CheckpointReached& reached) const {
    if (event().mode() == kDebug ? !Shows(kWireDebug)
                                 : !Shows(kWireCheckpoints)) {
      return;
    }
    std::string json = view.CheckpointJson(*reached.state);
    if (event().mode() == kDebug) {
      AddDebug("checkpoint", json);
    } else {
      view.Add("checkpoints", std::move(json));
    }
  }

  void operator()(const RunWarning& warning) const {
    std::string json;
    {
      JsonObject data(&json);
      data.Text("warning", warning.text);
    }
    AddDebug("warning", json);
  }
  void operator()(const TaskRetried& task) const {
    std::string json;
    {
      JsonObject data(&json);
      data.Text("id", task.id);
      data.Text("name", task.node);
      data.Number("attempt", task.attempt);
      data.Text("error", std::string(task.status.message()));
      data.Text("wait", absl::FormatDuration(task.wait));
    }
    AddDebug("task_retry", json);
  }
  void AddDebug(std::string_view type, std::string_view payload) const {
    if (!Shows(kWireDebug)) return;
    std::string json;
    {
      JsonObject data(&json);
      data.Number("step", event().step());
      data.Text("type", type);
      data.Text("timestamp", WireTime(event().time()));
      data.Field("payload")->append(payload);
    }
    view.Add("debug", std::move(json));
  }
};

WireEvents::WireEvents(WireRun run, uint32_t modes)
    : run_(std::move(run)), modes_(modes) {}

void WireEvents::Append(const Event& event, int64_t id, std::string* frames) {
  event_ = &event;
  frames_.clear();
  std::visit(Payload{*this}, event.payload());
  for (size_t i = 0; i < frames_.size(); ++i) {
    const bool last = i + 1 == frames_.size();
    AppendFrame(frames_[i].first, frames_[i].second,
                last ? std::optional<int64_t>(id) : std::nullopt, frames);
  }
}

void WireEvents::Skip(const Event& event) {
  std::string had;
  Append(event, &had);
}

void WireEvents::End(RunStatus status, std::string* frames) {
  if ((modes_ & kWireEvents) == 0 || status != RunStatus::kSuccess) return;
  if (graph_start_ != GraphStart::kSaid) return;
  AppendFrame("events", GraphEvent("on_chain_end", "output"), std::nullopt,
              frames);
}

void WireEvents::Add(std::string_view name, std::string json) {
  std::string full(name);
  const std::string path = Path(event_->ns());
  if (!path.empty()) absl::StrAppend(&full, "|", path);
  frames_.emplace_back(std::move(full), std::move(json));
}

void WireEvents::CompleteMessages(const Values& values) {
  const std::string path = Path(event_->ns());
  std::vector<std::string> complete;
  for (const Values::Item& item : values.items()) {
    bool messages = item.value.is_list();
    item.value.ForEachElement([&](Value element) {
      if (!messages) return;
      const std::string id = TextOf(element, "id");
      std::string key = absl::StrCat(path, "|", id);
      if (complete_.contains(key)) return;
      // Of a list of other things, only the first is looked at.
      messages = !id.empty() && IsMessage(element);
      if (!messages) return;
      pieces_.erase(id);
      complete_.insert(std::move(key));
      AppendWireValue(element, &complete.emplace_back());
    });
  }
  if (complete.empty()) return;
  Add("messages/complete",
      absl::StrCat("[", absl::StrJoin(complete, ", "), "]"));
}

void WireEvents::AddPiece(const MessageChunk& chunk) {
  if ((modes_ & (kWireMessages | kWireMessagesTuple)) == 0) return;
  std::string text;
  if (const auto* message = chunk.message.As<Message>();
      message != nullptr && message->role.empty()) {
    // Pieces after the first need not say it, and models are who sends pieces.
    AppendWireMessage({"assistant", message->content, chunk.id}, &text);
  } else {
    AppendWireValue(chunk.message, &text);
  }
  absl::StatusOr<Json> piece = ParseJson(text);
  if (piece.ok() && piece->is_object()) {
    (*piece)["id"] = chunk.id;
    text = JsonText(*piece);
  }

  if ((modes_ & kWireMessagesTuple) != 0) {
    std::string json = absl::StrCat("[", text, ", ");
    {
      JsonObject metadata(&json);
      AppendWireTexts(chunk.tags, metadata.Field("tags"));
      AppendRunMetadata(&metadata);
      metadata.Text("thread_id", run_.thread_id);
      metadata.Text("run_id", run_.run_id);
      AppendTaskMetadata(*event_, chunk.node, chunk.task_id, chunk.triggers,
                         chunk.send, &metadata);
    }
    json.push_back(']');
    Add("messages", std::move(json));
  }
  // Whole ones come with the state that they are in.
  if ((modes_ & kWireMessages) == 0 || chunk.whole) return;
  if (!piece.ok() || !piece->is_object()) return;
  const auto [so_far, is_first] = pieces_.try_emplace(chunk.id, *piece);
  if (is_first) {
    std::string json;
    {
      JsonObject by_id(&json);
      JsonObject outer(by_id.Field(chunk.id));
      JsonObject metadata(outer.Field("metadata"));
      AppendRunMetadata(&metadata);
      metadata.Text("thread_id", run_.thread_id);
      metadata.Text("run_id", run_.run_id);
      AppendTaskMetadata(*event_, chunk.node, chunk.task_id, chunk.triggers,
                         chunk.send, &metadata);
    }
    Add("messages/metadata", std::move(json));
  } else {
    Accumulate(*piece, &so_far->second);
  }
  Add("messages/partial", absl::StrCat("[", JsonText(so_far->second), "]"));
}

void WireEvents::AppendRunMetadata(JsonObject* data) const {
  data->Text("created_by", "system");
  data->Text("graph_id", run_.graph);
  data->Text("assistant_id", run_.assistant_id);
  for (const auto& [name, json] : run_.metadata) {
    if (IsShown(name) && name != "created_by" && name != "graph_id" &&
        name != "assistant_id") {
      data->Field(name)->append(json);
    }
  }
  data->Number("run_attempt", run_.attempt);
}

// The start or the end of the graph, with the state.
std::string WireEvents::GraphEvent(std::string_view what,
                                   std::string_view field) const {
  std::string json;
  {
    JsonObject data(&json);
    data.Text("event", what);
    {
      JsonObject parts(data.Field("data"));
      parts.Field(field)->append(values_);
    }
    const bool is_end = field == "output";
    if (is_end) data.Text("run_id", run_.run_id);
    data.Text("name", run_.graph);
    data.Field("tags")->append("[]");
    if (!is_end) data.Text("run_id", run_.run_id);
    JsonObject metadata(data.Field("metadata"));
    AppendRunMetadata(&metadata);
    metadata.Text("thread_id", run_.thread_id);
    metadata.Text("run_id", run_.run_id);
  }
  return json;
}

void WireEvents::AppendConfig(const StateSnapshot& state,
                              const CheckpointId& id, std::string* out) const {
  JsonObject config(out);
  {
    JsonObject configurable(config.Field("configurable"));
    configurable.Text("checkpoint_ns", state.ref.ns);
    configurable.Text("run_id", run_.run_id);
    configurable.Text("thread_id", run_.thread_id);
    configurable.Text("graph_id", run_.graph);
    configurable.Text("assistant_id", run_.assistant_id);
    if (id.has_value()) {
      configurable.Text("checkpoint_id", CheckpointIdText(id));
    }
  }
  {
    JsonObject metadata(config.Field("metadata"));
    AppendRunMetadata(&metadata);
    metadata.Text("thread_id", run_.thread_id);
    metadata.Text("run_id", run_.run_id);
  }
  config.Number("recursion_limit", run_.recursion_limit);
  config.Field("tags")->append("[]");
}

std::string WireEvents::CheckpointJson(const StateSnapshot& state) const {
  std::string json;
  {
    JsonObject data(&json);
    AppendConfig(state, state.ref.id, data.Field("config"));
    AppendWireValues(state.values, data.Field("values"));
    std::string* const metadata = data.Field("metadata");
    if (state.metadata.has_value()) {
      AppendCheckpointMetadata(*state.metadata, metadata);
    } else {
      metadata->append("null");
    }
    AppendWireTexts(state.next, data.Field("next"));
    std::string* const tasks = data.Field("tasks");
    tasks->push_back('[');
    std::string_view separator = "";
    for (const TaskState& task : state.tasks) {
      tasks->append(std::exchange(separator, ", "));
      JsonObject one(tasks);
      one.Text("id", task.id);
      one.Text("name", task.name);
      if (!task.error.empty()) one.Text("error", task.error);
      AppendWireTexts({"__pregel_pull", task.name}, one.Field("path"));
      AppendWireInterrupts(task.interrupts, one.Field("interrupts"));
    }
    tasks->push_back(']');
    AppendCheckpointRef(state.ref, data.Field("checkpoint"));
    CheckpointRef parent = state.ref;
    parent.id = state.parent;
    AppendCheckpointRef(parent, data.Field("parent_checkpoint"));
    if (state.parent.has_value()) {
      AppendConfig(state, state.parent, data.Field("parent_config"));
    }
  }
  return json;
}

WireThreadEvents::WireThreadEvents(
    std::function<WireEvents(const RunId&)> view_of)
    : view_of_(std::move(view_of)) {}

WireEvents& WireThreadEvents::ViewOf(const RunId& run) {
  auto it = views_.find(run);
  if (it == views_.end()) it = views_.emplace(run, view_of_(run)).first;
  return it->second;
}

void WireThreadEvents::Append(const ThreadEvent& event, std::string* frames) {
  const auto id = static_cast<int64_t>(event.id);
  if (const Event* of_run = event.As<Event>()) {
    ViewOf(event.run_id).Append(*of_run, id, frames);
    return;
  }
  if (const auto* done = event.As<RunDone>()) {
    if (const auto view = views_.find(done->run_id); view != views_.end()) {
      view->second.End(done->status, frames);
      views_.erase(view);
    }
  }
  std::string json;
  if (const auto* updated = event.As<StateUpdated>()) {
    if (!updated->run_id.empty())
      graph_ = view_of_(updated->run_id).run().graph;
    json = StateJson(updated->state, graph_);
    if (!updated->run_id.empty()) {
      json.pop_back();
      json.append(", \"run_id\": ");
      AppendJsonString(updated->run_id, &json);
      json.push_back('}');
    }
  } else {
    json = event.ToJson();
  }
  AppendFrame(event.name(), json, id, frames);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
