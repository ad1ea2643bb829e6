#include "weir/gateway/internal/wire_state.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "boost/uuid/name_generator_sha1.hpp"
#include "boost/uuid/uuid.hpp"
#include "boost/uuid/uuid_io.hpp"

#include "weir/channels/internal/json_text.h"
#include "weir/gateway/internal/wire_value.h"
#include "weir/runtime/internal/state_json.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr std::string_view kHiddenPrefix = "__weir_";

// Of the form 8-4-4-4-12.
constexpr bool IsHyphen(size_t i) {
  return i == 8 || i == 13 || i == 18 || i == 23;
}

const std::string* ValueOf(const Metadata& metadata, const std::string& name) {
  const auto it = metadata.find(name);
  return it == metadata.end() ? nullptr : &it->second;
}

// The fields of `metadata` that clients see, but for those named.
void AppendOthers(const Metadata& metadata,
                  std::initializer_list<std::string_view> named,
                  JsonObject* data) {
  for (const auto& [name, json] : metadata) {
    if (!IsShown(name)) continue;
    if (std::find(named.begin(), named.end(), name) != named.end()) continue;
    data->Field(name)->append(json);
  }
}

// The graph and its assistant, if `metadata` or `graph` says which, then the
// rest.
void AppendMetadata(const Metadata& metadata, std::string_view graph,
                    std::initializer_list<std::string_view> named,
                    JsonObject* data) {
  const std::string* const graph_id = ValueOf(metadata, "graph_id");
  const std::string* const assistant = ValueOf(metadata, "assistant_id");
  if (graph_id != nullptr) {
    data->Field("graph_id")->append(*graph_id);
  } else if (!graph.empty()) {
    data->Text("graph_id", graph);
  }
  if (assistant != nullptr) {
    data->Field("assistant_id")->append(*assistant);
  } else if (!graph.empty()) {
    data->Text("assistant_id", AssistantId(graph));
  }
  AppendOthers(metadata, named, data);
}

void AppendOrigin(const CheckpointMetadata& metadata, JsonObject* data) {
  data->Text("source", metadata.source);
  data->Number("step", metadata.step);
  JsonObject parents(data->Field("parents"));
  for (const auto& [ns, id] : metadata.parents) {
    parents.Text(ns, CheckpointIdText(id));
  }
}

void AppendTask(const TaskState& task, std::string_view graph,
                std::string* out) {
  JsonObject data(out);
  data.Text("id", task.id);
  data.Text("name", task.name);
  if (task.error.empty()) {
    data.Field("error")->append("null");
  } else {
    data.Text("error", task.error);
  }
  AppendWireInterrupts(task.interrupts, data.Field("interrupts"));
  // Of a Send's task, too: a snapshot does not say which it is.
  AppendWireTexts({"__pregel_pull", task.name}, data.Field("path"));
  std::string* const checkpoint = data.Field("checkpoint");
  if (task.inside.has_value()) {
    // Where its state is: at its latest, if no id is known.
    JsonObject ref(checkpoint);
    ref.Text("thread_id", task.inside->thread_id);
    ref.Text("checkpoint_ns", task.inside->ns);
    if (task.inside->id.has_value()) {
      ref.Text("checkpoint_id", CheckpointIdText(task.inside->id));
    }
  } else {
    checkpoint->append("null");
  }
  data.Field("state")->append(
      task.state == nullptr ? "null" : StateJson(*task.state, graph));
  std::string* const result = data.Field("result");
  if (!task.finished) {
    result->append("null");
  } else if (task.result.empty()) {
    result->append("{}");
  } else {
    AppendWireUpdate(task.result, result);
  }
}

absl::Status BadRef(std::string_view field, const Json& json) {
  return absl::InvalidArgumentError(
      absl::StrCat("checkpoint.", std::string(field), " is ", ShownJson(json)));
}

// The text of a field of a checkpoint; "" if it is null or not there.
absl::StatusOr<std::string> RefField(const Json& checkpoint,
                                     const char* field) {
  const auto it = checkpoint.find(field);
  if (it == checkpoint.end() || it->is_null()) return std::string();
  if (!it->is_string()) return BadRef(field, *it);
  return it->get<std::string>();
}

}  // namespace

std::string AssistantId(std::string_view graph) {
  // 6ba7b821-9dad-11d1-80b4-00c04fd430c8: the Agent Server's namespace.
  constexpr boost::uuids::uuid kGraphs = {
      {0x6b, 0xa7, 0xb8, 0x21, 0x9d, 0xad, 0x11, 0xd1,  //
       0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}};
  const boost::uuids::name_generator_sha1 id_of(kGraphs);
  return boost::uuids::to_string(id_of(std::string(graph)));
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (IsHyphen(i) != (text[i] == '-')) return false;
    if (!IsHyphen(i)) digits.push_back(text[i]);
  }
  return IsHex(digits, 32);
}

std::string CheckpointIdText(const CheckpointId& id) {
  std::string text = id.ToString();
  if (text.empty()) return text;
  for (const size_t at : {8u, 13u, 18u, 23u}) text.insert(at, 1, '-');
  return text;
}

absl::StatusOr<CheckpointId> ParseCheckpointId(std::string_view text) {
  std::string digits(text);
  if (IsUuid(text)) std::erase(digits, '-');
  absl::StatusOr<CheckpointId> id = CheckpointId::FromString(digits);
  if (id.ok() && id->has_value()) return id;
  return absl::InvalidArgumentError(
      absl::StrCat("'", std::string(text),
                   "' is no checkpoint's id: give one that a state or a "
                   "history has shown"));
}

void AppendCheckpointRef(const CheckpointRef& ref, std::string* out) {
  if (!ref.id.has_value()) {
    out->append("null");
    return;
  }
  JsonObject data(out);
  data.Text("thread_id", ref.thread_id);
  data.Text("checkpoint_id", CheckpointIdText(ref.id));
  data.Text("checkpoint_ns", ref.ns);
  std::string* const map = data.Field("checkpoint_map");
  if (ref.around.empty()) {
    map->append("null");
    return;
  }
  JsonObject around(map);
  for (const auto& [ns, id] : ref.around) around.Text(ns, CheckpointIdText(id));
}

absl::StatusOr<CheckpointRef> RefFromJson(const Json& checkpoint) {
  if (!checkpoint.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoint is ", ShownJson(checkpoint),
                     "; give an object as a state has it"));
  }
  CheckpointRef ref;
  absl::StatusOr<std::string> thread = RefField(checkpoint, "thread_id");
  if (!thread.ok()) return thread.status();
  ref.thread_id = *std::move(thread);
  absl::StatusOr<std::string> ns = RefField(checkpoint, "checkpoint_ns");
  if (!ns.ok()) return ns.status();
  ref.ns = *std::move(ns);
  absl::StatusOr<std::string> id_text = RefField(checkpoint, "checkpoint_id");
  if (!id_text.ok()) return id_text.status();
  if (!id_text->empty()) {
    absl::StatusOr<CheckpointId> id = ParseCheckpointId(*id_text);
    if (!id.ok()) return id.status();
    ref.id = *id;
  }
  const auto map = checkpoint.find("checkpoint_map");
  if (map == checkpoint.end() || map->is_null()) return ref;
  if (!map->is_object()) return BadRef("checkpoint_map", *map);
  for (const auto& [around, json] : map->get_ref<const Json::object_t&>()) {
    if (!json.is_string()) return BadRef("checkpoint_map", *map);
    absl::StatusOr<CheckpointId> id =
        ParseCheckpointId(json.get_ref<const std::string&>());
    if (!id.ok()) return id.status();
    ref.around.insert_or_assign(around, *id);
  }
  return ref;
}

bool IsShown(std::string_view name) {
  return name.substr(0, kHiddenPrefix.size()) != kHiddenPrefix;
}

absl::StatusOr<Metadata> MetadataFromJson(const Json& json) {
  Metadata metadata;
  if (json.is_null() || json.is_discarded()) return metadata;
  if (!json.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("metadata is ", ShownJson(json), "; give an object"));
  }
  for (const auto& [name, value] : json.get_ref<const Json::object_t&>()) {
    if (!IsShown(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("metadata has '", name, "': names that begin with ",
                       std::string(kHiddenPrefix), " are the gateway's own"));
    }
    metadata.insert_or_assign(name, JsonText(value));
  }
  return metadata;
}

std::string ThreadJson(const ThreadInfo& thread, const StateSnapshot* state) {
  const bool has_run = !thread.graph.empty();
  const bool waits = thread.status == ThreadStatus::kInterrupted ||
                     thread.status == ThreadStatus::kError;
  // A first run that is under way has left nothing yet.
  const bool has_state = has_run && (waits || !thread.values.items().empty());
  std::string out;
  {
    JsonObject data(&out);
    data.Text("thread_id", thread.id);
    data.Text("created_at", WireTime(thread.created_at));
    data.Text("updated_at", WireTime(thread.updated_at));
    data.Text("state_updated_at", WireTime(thread.state_updated_at));
    {
      JsonObject metadata(data.Field("metadata"));
      AppendMetadata(thread.metadata, thread.graph,
                     {"graph_id", "assistant_id"}, &metadata);
    }
    data.Text("status", ThreadStatusName(thread.status));
    data.Field("config")->append(has_run ? "{\"configurable\": {}}" : "{}");
    if (thread.ttl.has_value()) {
      JsonObject ttl(data.Field("ttl"));
      ttl.Text("strategy", "delete");
      ttl.Field("ttl")->append(
          absl::StrCat(absl::ToDoubleMinutes(*thread.ttl)));
    }
    if (has_state) {
      AppendWireValues(thread.values, data.Field("values"));
      JsonObject interrupts(data.Field("interrupts"));
      if (state != nullptr) {
        for (const TaskState& task : state->tasks) {
          if (!waits) break;
          AppendWireInterrupts(task.interrupts, interrupts.Field(task.id));
        }
      } else {
        for (const Interrupt& interrupt : thread.interrupts) {
          AppendWireInterrupts({interrupt}, interrupts.Field(interrupt.id));
        }
      }
    }
  }
  return out;
}

namespace {

// `kwargs`, whose config says which run and graph it is of.
Json WithIds(Json kwargs, const RunInfo& run, const std::string& assistant,
             const std::string& metadata) {
  const auto config = kwargs.find("config");
  if (config == kwargs.end() || !config->is_object()) return kwargs;
  Json& configurable = (*config)["configurable"];
  if (!configurable.is_object()) configurable = Json::object();
  configurable["run_id"] = run.id;
  configurable["thread_id"] = run.thread_id;
  configurable["graph_id"] = run.graph;
  configurable["assistant_id"] = assistant;
  absl::StatusOr<Json> all = ParseJson(metadata);
  if (all.ok()) (*config)["metadata"] = *std::move(all);
  return kwargs;
}

}  // namespace

std::string RunJson(const RunInfo& run, const Json& kwargs) {
  const std::string assistant = AssistantId(run.graph);
  std::string out;
  {
    JsonObject data(&out);
    data.Text("run_id", run.id);
    data.Text("thread_id", run.thread_id);
    data.Text("assistant_id", assistant);
    std::string metadata_text;
    {
      JsonObject metadata(&metadata_text);
      metadata.Text("created_by", "system");
      metadata.Text("graph_id", run.graph);
      metadata.Text("assistant_id", assistant);
      AppendOthers(run.metadata, {"created_by", "graph_id", "assistant_id"},
                   &metadata);
    }
    data.Field("metadata")->append(metadata_text);
    data.Text("status", RunStatusName(run.status));
    data.Field("kwargs")->append(
        JsonText(WithIds(kwargs, run, assistant, metadata_text)));
    data.Text("multitask_strategy", MultitaskStrategyName(run.multitask));
    data.Text("created_at", WireTime(run.created_at));
    data.Text("updated_at", WireTime(run.updated_at));
    if (run.start_after > run.created_at) {
      data.Text("start_after", WireTime(run.start_after));
    }
  }
  return out;
}

void AppendCheckpointMetadata(const CheckpointMetadata& metadata,
                              std::string* out) {
  JsonObject data(out);
  AppendOrigin(metadata, &data);
}

std::string StateJson(const StateSnapshot& state, std::string_view graph) {
  std::string out;
  {
    JsonObject data(&out);
    AppendWireValues(state.values, data.Field("values"));
    AppendWireTexts(state.next, data.Field("next"));
    std::string* const tasks = data.Field("tasks");
    tasks->push_back('[');
    for (size_t i = 0; i < state.tasks.size(); ++i) {
      if (i > 0) tasks->append(", ");
      AppendTask(state.tasks[i], graph, tasks);
    }
    tasks->push_back(']');
    if (state.metadata.has_value()) {
      JsonObject metadata(data.Field("metadata"));
      AppendMetadata(state.metadata->custom, graph,
                     {"graph_id", "assistant_id", "thread_id", "run_id",
                      "source", "step", "parents"},
                     &metadata);
      const bool by_run = !state.metadata->run_id.empty();
      if (by_run) {
        metadata.Text("thread_id", state.ref.thread_id);
        metadata.Text("run_id", state.metadata->run_id);
      }
      AppendOrigin(*state.metadata, &metadata);
      if (!by_run) metadata.Text("thread_id", state.ref.thread_id);
    }
    if (state.ref.id.has_value()) {
      data.Text("created_at", WireTime(state.created_at));
    } else {
      data.Field("created_at")->append("null");
    }
    AppendCheckpointRef(state.ref, data.Field("checkpoint"));
    CheckpointRef parent = state.ref;
    parent.id = state.parent;
    AppendCheckpointRef(parent, data.Field("parent_checkpoint"));
    AppendWireInterrupts(state.interrupts, data.Field("interrupts"));
  }
  return out;
}

std::string OutcomeJson(const RunOutcome& outcome) {
  if (outcome.status == RunStatus::kError ||
      outcome.status == RunStatus::kTimeout) {
    return outcome.ToJson();
  }
  std::string out;
  {
    JsonObject data(&out);
    for (const Values::Item& item : outcome.values.items()) {
      AppendWireValue(item.value, data.Field(outcome.values.name(item)));
    }
    if (!outcome.interrupts.empty()) {
      AppendWireInterrupts(outcome.interrupts, data.Field("__interrupt__"));
    }
  }
  return out;
}

int HttpStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
      return 422;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

std::string ErrorBody(const absl::Status& status) {
  std::string out;
  {
    JsonObject data(&out);
    data.Text("detail", std::string(status.message()));
  }
  return out;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
