#include "weir/gateway/internal/run_request.h"

#include <initializer_list>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"

#include "weir/channels/nlohmann_json.h"
#include "weir/gateway/internal/http_server.h"
#include "weir/gateway/internal/json_input.h"
#include "weir/gateway/internal/wire_events.h"
#include "weir/gateway/internal/wire_state.h"
#include "weir/runtime/internal/compiled_graph.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// In a run's metadata: the names of its modes, where the Runtime's own do not
// tell them apart.
constexpr char kModesKey[] = "__weir_stream_mode";

absl::Status Wrong(const char* name, const std::string& wanted,
                   const Json& given) {
  std::string shown =
      given.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (shown.size() > 80) shown = shown.substr(0, 77) + "...";
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: must be %s, and is %s", name, wanted, shown));
}

// Null for what is absent or null.
const Json* FieldOf(const Json& body, const char* name) {
  const auto it = body.find(name);
  return it == body.end() || it->is_null() ? nullptr : &*it;
}

// The value that a text stands for.
template <class E>
absl::StatusOr<E> EnumField(
    const Json& body, const char* name, E absent,
    std::initializer_list<std::pair<const char*, E>> values) {
  const Json* const field = FieldOf(body, name);
  if (field == nullptr) return absent;
  std::vector<std::string> names;
  for (const auto& [text, value] : values) {
    if (field->is_string() && field->get_ref<const std::string&>() == text) {
      return value;
    }
    names.push_back(absl::StrCat("\"", text, "\""));
  }
  return Wrong(name, absl::StrJoin(names, " or "), *field);
}

// Reads one field after another, and keeps the first error.
class Reader {
 public:
  template <class T>
  void Read(absl::StatusOr<T> field, T* out) {
    if (!status_.ok()) return;
    if (field.ok()) {
      *out = *std::move(field);
    } else {
      status_ = std::move(field).status();
    }
  }
  const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
};

absl::StatusOr<absl::Duration> SecondsField(const Json& body, const char* name,
                                            absl::Duration absent) {
  const Json* const field = FieldOf(body, name);
  if (field == nullptr) return absent;
  if (!field->is_number() || field->get<double>() < 0) {
    return Wrong(name, "a number of seconds from 0 on", *field);
  }
  return absl::Seconds(field->get<double>());
}

absl::StatusOr<std::optional<CheckpointRef>> From(const Json& body) {
  absl::StatusOr<Json> checkpoint = ObjectField(body, "checkpoint");
  if (!checkpoint.ok()) return checkpoint.status();
  if (checkpoint->is_null()) {
    absl::StatusOr<std::string> id = TextField(body, "checkpoint_id");
    if (!id.ok()) return id.status();
    if (id->empty()) return std::optional<CheckpointRef>();
    *checkpoint = Json{{"checkpoint_id", *id}};
  }
  absl::StatusOr<CheckpointRef> ref = RefFromJson(*checkpoint);
  if (!ref.ok()) return ref.status();
  return std::optional<CheckpointRef>(*std::move(ref));
}

// What a run's own modes say of those on the wire. One that the host has
// started has whatever is asked for.
uint32_t WireModesFrom(StreamModes of_run) {
  constexpr std::pair<StreamModes, uint32_t> kModes[] = {
      {kValues, kWireValues},
      {kUpdates, kWireUpdates},
      {kCustom, kWireCustom},
      {kTasks, kWireTasks},
      {kCheckpoints, kWireCheckpoints},
      {kDebug, kWireDebug},
      {kMessages, kWireMessages | kWireMessagesTuple}};
  uint32_t modes = 0;
  for (const auto& [mode, wire] : kModes) {
    if ((of_run & mode) != 0) modes |= wire;
  }
  return modes;
}

// Whether the run may stop before or after a node.
bool MayStop(const Graph& graph, const StartOptions& options) {
  return !options.interrupt_before.empty() ||
         !options.interrupt_after.empty() ||
         !graph.compiled().interrupt_before.empty() ||
         !graph.compiled().interrupt_after.empty();
}

Json Kwargs(const Json& body, const std::vector<std::string>& modes,
            const RunRequest& request) {
  Json kwargs = Json::object();
  for (const char* name : {"input", "command"}) {
    const auto it = body.find(name);
    if (it != body.end()) kwargs[name] = *it;
  }
  for (const char* name : {"config", "context"}) {
    const Json* const given = FieldOf(body, name);
    kwargs[name] = given == nullptr ? Json::object() : *given;
  }
  kwargs["stream_mode"] =
      modes.empty() ? WireModeNames(request.wire_modes) : modes;
  for (const char* name : {"interrupt_before", "interrupt_after", "webhook"}) {
    const auto it = body.find(name);
    if (it != body.end() && !it->is_null()) kwargs[name] = *it;
  }
  kwargs["temporary"] = false;  // Which the endpoint knows.
  kwargs["subgraphs"] = request.options.subgraphs;
  kwargs["resumable"] = request.options.resumable;
  return kwargs;
}

}  // namespace

absl::StatusOr<std::string> TextField(const Json& body, const char* name,
                                      std::string absent) {
  const Json* const field = FieldOf(body, name);
  if (field == nullptr) return absent;
  if (!field->is_string()) return Wrong(name, "a text", *field);
  return field->get<std::string>();
}

absl::StatusOr<bool> BoolField(const Json& body, const char* name,
                               bool absent) {
  const Json* const field = FieldOf(body, name);
  if (field == nullptr) return absent;
  if (!field->is_boolean()) return Wrong(name, "true or false", *field);
  return field->get<bool>();
}

absl::StatusOr<int64_t> IntField(const Json& body, const char* name,
                                 int64_t absent, int64_t least, int64_t most) {
  const Json* const field = FieldOf(body, name);
  if (field == nullptr) return absent;
  const bool in_range =
      field->is_number_integer() &&
      (!field->is_number_unsigned() ||
       field->get<uint64_t>() <=
           static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) &&
      field->get<int64_t>() >= least && field->get<int64_t>() <= most;
  if (!in_range) {
    return Wrong(name, absl::StrFormat("a number from %d to %d", least, most),
                 *field);
  }
  return field->get<int64_t>();
}

absl::StatusOr<std::vector<std::string>> TextsField(const Json& body,
                                                    const char* name) {
  const Json* const field = FieldOf(body, name);
  std::vector<std::string> texts;
  if (field == nullptr) return texts;
  if (field->is_string()) return std::vector{field->get<std::string>()};
  if (!field->is_array()) return Wrong(name, "a text or a list", *field);
  for (const Json& text : *field) {
    if (!text.is_string()) return Wrong(name, "a list of texts", *field);
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

absl::StatusOr<Json> ObjectField(const Json& body, const char* name) {
  const Json* const field = FieldOf(body, name);
  if (field == nullptr) return Json();
  if (!field->is_object()) return Wrong(name, "an object", *field);
  return *field;
}

absl::StatusOr<RunRequest> ParseRunRequest(const Json& body,
                                           const ServedGraphs& graphs) {
  if (!body.is_object()) return Wrong("the body", "an object", body);
  RunRequest request;
  StartOptions& options = request.options;
  Reader reader;
  std::string assistant;
  reader.Read(TextField(body, "assistant_id"), &assistant);
  std::vector<std::string> modes;
  reader.Read(TextsField(body, "stream_mode"), &modes);
  reader.Read(BoolField(body, "stream_subgraphs"), &options.subgraphs);
  reader.Read(BoolField(body, "stream_resumable"), &options.resumable);
  reader.Read(EnumField(body, "on_disconnect", OnDisconnect::kContinue,
                        {{"continue", OnDisconnect::kContinue},
                         {"cancel", OnDisconnect::kCancel}}),
              &options.on_disconnect);
  reader.Read(EnumField(body, "multitask_strategy", MultitaskStrategy::kEnqueue,
                        {{"enqueue", MultitaskStrategy::kEnqueue},
                         {"reject", MultitaskStrategy::kReject},
                         {"interrupt", MultitaskStrategy::kInterrupt},
                         {"rollback", MultitaskStrategy::kRollback}}),
              &options.multitask);
  reader.Read(EnumField(body, "if_not_exists", IfNotExists::kReject,
                        {{"reject", IfNotExists::kReject},
                         {"create", IfNotExists::kCreate}}),
              &options.if_not_exists);
  reader.Read(EnumField(body, "on_completion", OnCompletion::kDelete,
                        {{"delete", OnCompletion::kDelete},
                         {"keep", OnCompletion::kKeep}}),
              &options.on_completion);
  reader.Read(EnumField(body, "durability", Durability::kAsync,
                        {{"async", Durability::kAsync},
                         {"sync", Durability::kSync},
                         {"exit", Durability::kExit}}),
              &options.durability);
  reader.Read(SecondsField(body, "after_seconds", absl::ZeroDuration()),
              &options.after);
  reader.Read(TextsField(body, "interrupt_before"), &options.interrupt_before);
  reader.Read(TextsField(body, "interrupt_after"), &options.interrupt_after);
  reader.Read(TextField(body, "webhook"), &request.webhook);
  Json metadata;
  reader.Read(ObjectField(body, "metadata"), &metadata);
  Json config;
  reader.Read(ObjectField(body, "config"), &config);
  Json context;
  reader.Read(ObjectField(body, "context"), &context);
  Json command;
  reader.Read(ObjectField(body, "command"), &command);
  reader.Read(From(body), &options.from);
  if (config.is_object()) {
    reader.Read(IntField(config, "recursion_limit", options.recursion_limit, 1,
                         std::numeric_limits<int32_t>::max()),
                &options.recursion_limit);
    // Before there was a context, this was where it came.
    if (context.is_null()) {
      reader.Read(ObjectField(config, "configurable"), &context);
    }
  }
  if (!reader.status().ok()) return reader.status();
  if (assistant.empty()) {
    return absl::InvalidArgumentError(
        "assistant_id: give the name of a graph, or its assistant's id");
  }
  if (!request.webhook.empty()) {
    HttpUrl url;
    if (absl::Status s = ParseHttpUrl(request.webhook, &url); !s.ok()) return s;
  }

  absl::StatusOr<uint32_t> wire_modes = ParseWireModes(modes);
  if (!wire_modes.ok()) return wire_modes.status();
  request.wire_modes = *wire_modes == 0 ? kWireValues : *wire_modes;
  absl::StatusOr<ServedGraphs::Ptr> graph = graphs.Find(assistant);
  if (!graph.ok()) return graph.status();
  request.graph = *std::move(graph);
  options.modes =
      RunModesFor(request.wire_modes, MayStop(request.graph->graph, options));
  absl::StatusOr<Metadata> pairs = MetadataFromJson(metadata);
  if (!pairs.ok()) return pairs.status();
  options.metadata = *std::move(pairs);
  if (WireModesFrom(options.modes) != request.wire_modes) {
    options.metadata[kModesKey] =
        Json(WireModeNames(request.wire_modes)).dump();
  }
  if (!context.is_null() && !context.empty()) {
    options.context = Value(nlohmann::json(context));
  }
  const auto input = body.find("input");
  absl::StatusOr<Input> begins =
      InputFromJson(request.graph->graph, request.graph->options,
                    input == body.end() ? Json() : *input, command);
  if (!begins.ok()) return begins.status();
  request.input = *std::move(begins);
  request.kwargs = Kwargs(body, modes, request);
  return request;
}

uint32_t WireModesOf(const RunInfo& run) {
  const auto it = run.metadata.find(kModesKey);
  if (it != run.metadata.end()) {
    if (const absl::StatusOr<Json> names = ParseJson(it->second); names.ok()) {
      std::vector<std::string> texts;
      for (const Json& name : *names) {
        if (name.is_string()) texts.push_back(name.get<std::string>());
      }
      if (absl::StatusOr<uint32_t> modes = ParseWireModes(texts); modes.ok()) {
        return *modes;
      }
    }
  }
  return WireModesFrom(run.modes);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
