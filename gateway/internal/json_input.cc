#include "weir/gateway/internal/json_input.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <exception>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "weir/channels/channel_set.h"
#include "weir/channels/codec.h"
#include "weir/channels/messages.h"
#include "weir/channels/nlohmann_json.h"
#include "weir/gateway/internal/wire_value.h"
#include "weir/runtime/internal/compiled_graph.h"

// A channel's type is known by its name, which says how it is made of simpler
// ones ("map<string, list<int64>>"); so the name says how the bytes look that
// the type's codec reads. A value is made by writing these bytes from the JSON,
// and having the codec read them.
namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// Follows "channel 'x' " in messages.
absl::Status Takes(std::string_view wanted, const Json& given) {
  return absl::InvalidArgumentError(
      absl::StrCat("takes ", std::string(wanted), ", not ", ShownJson(given)));
}

// Where the first part of "part, part" ends.
size_t EndOfPart(std::string_view parts) {
  int depth = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] == '<') ++depth;
    if (parts[i] == '>') --depth;
    if (parts[i] == ',' && depth == 0) return i;
  }
  return parts.size();
}

// `type` split: "map<K, V>" is "map" with the parts K and V.
struct TypeParts {
  explicit TypeParts(std::string_view type) : what(type) {
    const size_t open = type.find('<');
    if (open == std::string_view::npos || type.back() != '>') return;
    what = type.substr(0, open);
    const std::string_view parts =
        type.substr(open + 1, type.size() - open - 2);
    const size_t end = EndOfPart(parts);
    first = parts.substr(0, end);
    if (end + 2 < parts.size()) second = parts.substr(end + 2);
  }
  std::string_view what;
  std::string_view first;
  std::string_view second;
};

template <class T>
absl::Status EncodeInteger(std::string_view type, const Json& json,
                           std::string* out) {
  using Limits = std::numeric_limits<T>;
  const auto refused = [&] {
    return Takes(absl::StrCat(std::string(type), ", an integer from ",
                              std::to_string(Limits::min()), " to ",
                              std::to_string(Limits::max())),
                 json);
  };
  if (json.is_number_unsigned()) {
    const auto number = json.get<uint64_t>();
    if (number > static_cast<uint64_t>(Limits::max())) return refused();
    Codec<T>::Encode(static_cast<T>(number), out);
    return absl::OkStatus();
  }
  if (!json.is_number_integer()) return refused();
  const auto number = json.get<int64_t>();  // Negative.
  if (Limits::min() == 0 || number < static_cast<int64_t>(Limits::min())) {
    return refused();
  }
  Codec<T>::Encode(static_cast<T>(number), out);
  return absl::OkStatus();
}

template <class T>
absl::Status EncodeFloat(std::string_view type, const Json& json,
                         std::string* out) {
  if (!json.is_number()) return Takes(type, json);
  const auto number = json.get<double>();
  if (std::abs(number) > static_cast<double>(std::numeric_limits<T>::max())) {
    return Takes(absl::StrCat(std::string(type), ", which ends before that"),
                 json);
  }
  Codec<T>::Encode(static_cast<T>(number), out);
  return absl::OkStatus();
}

absl::Status Encode(std::string_view type, const Json& json, std::string* out);

// A status of element or field `which` of a value.
absl::Status Within(const absl::Status& status, const std::string& which) {
  return absl::Status(status.code(),
                      absl::StrCat("at ", which, " ", status.message()));
}

absl::Status EncodeList(std::string_view type, std::string_view element,
                        const Json& json, std::string* out) {
  if (!json.is_array()) return Takes(type, json);
  PutVarint(json.size(), out);
  for (size_t i = 0; i < json.size(); ++i) {
    if (absl::Status s = Encode(element, json[i], out); !s.ok()) {
      return Within(s, absl::StrCat("[", i, "]"));
    }
  }
  return absl::OkStatus();
}

absl::Status EncodePair(std::string_view type, const TypeParts& parts,
                        const Json& json, std::string* out) {
  if (!json.is_array() || json.size() != 2) {
    return Takes(absl::StrCat(std::string(type), ", a list of two"), json);
  }
  if (absl::Status s = Encode(parts.first, json[0], out); !s.ok()) {
    return Within(s, "[0]");
  }
  absl::Status s = Encode(parts.second, json[1], out);
  return s.ok() ? s : Within(s, "[1]");
}

// An object where keys are texts, else a list of pairs.
absl::Status EncodeMap(std::string_view type, const TypeParts& parts,
                       const Json& json, std::string* out) {
  if (parts.first != "string") {
    if (!json.is_array()) {
      return Takes(absl::StrCat(std::string(type), ", a list of pairs"), json);
    }
    PutVarint(json.size(), out);
    for (const Json& entry : json) {
      absl::Status s = EncodePair("a key and its value", parts, entry, out);
      if (!s.ok()) return s;
    }
    return absl::OkStatus();
  }
  if (!json.is_object()) return Takes(type, json);
  PutVarint(json.size(), out);
  for (const auto& [key, field] : json.get_ref<const Json::object_t&>()) {
    Codec<std::string>::Encode(key, out);
    if (absl::Status s = Encode(parts.second, field, out); !s.ok()) {
      return Within(s, absl::StrCat("'", key, "'"));
    }
  }
  return absl::OkStatus();
}

struct Integer {
  std::string_view type;
  absl::Status (*encode)(std::string_view, const Json&, std::string*);
};
constexpr std::array<Integer, 9> kIntegers = {{
    {"int8", EncodeInteger<int8_t>},
    {"int16", EncodeInteger<int16_t>},
    {"int32", EncodeInteger<int32_t>},
    {"int64", EncodeInteger<int64_t>},
    {"uint8", EncodeInteger<uint8_t>},
    {"uint16", EncodeInteger<uint16_t>},
    {"uint32", EncodeInteger<uint32_t>},
    {"uint64", EncodeInteger<uint64_t>},
    {"char", EncodeInteger<char>},
}};

// Appends what the codec of `type` reads. Errors read on from "channel 'x' ".
absl::Status Encode(std::string_view type, const Json& json, std::string* out) {
  for (const Integer& integer : kIntegers) {
    if (type == integer.type) return integer.encode(type, json, out);
  }
  if (type == "float") return EncodeFloat<float>(type, json, out);
  if (type == "double") return EncodeFloat<double>(type, json, out);
  if (type == "none") {
    if (!json.is_null()) return Takes("null", json);
    Codec<None>::Encode({}, out);
    return absl::OkStatus();
  }
  if (type == "bool") {
    if (!json.is_boolean()) return Takes("true or false", json);
    Codec<bool>::Encode(json.get<bool>(), out);
    return absl::OkStatus();
  }
  if (type == "string") {
    if (!json.is_string()) return Takes("a string", json);
    Codec<std::string>::Encode(json.get_ref<const std::string&>(), out);
    return absl::OkStatus();
  }
  if (type == "json") {
    Codec<Json>::Encode(json, out);
    return absl::OkStatus();
  }
  if (type == "message") {
    absl::StatusOr<Message> message = MessageFromJson(json);
    if (!message.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("takes ", message.status().message()));
    }
    Codec<Message>::Encode(*message, out);
    return absl::OkStatus();
  }
  const TypeParts parts(type);
  if (parts.what == "list") return EncodeList(type, parts.first, json, out);
  if (parts.what == "map") return EncodeMap(type, parts, json, out);
  if (parts.what == "pair") return EncodePair(type, parts, json, out);
  if (parts.what == "optional") {
    Codec<bool>::Encode(!json.is_null(), out);
    if (json.is_null()) return absl::OkStatus();
    return Encode(parts.first, json, out);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "holds ", type.empty() ? "a type of the host's" : std::string(type),
      ", which is not made from JSON by itself: the host has to set "
      "GraphOptions::input"));
}

// Messages that are JSON, those without an id with a new one: in a list that
// replaces the channel's, as it is decoded here, nobody else gives them any.
absl::StatusOr<Json> WithIds(Json messages) {
  const MessageIds new_id = RandomMessageIds();
  for (Json& message : messages) {
    if (!message.is_object()) {
      return Takes("messages, which are objects", message);
    }
    Json& id = message["id"];
    if (id.is_null() || id == "") id = new_id();
    if (!id.is_string()) return Takes("messages with texts as ids", message);
  }
  return messages;
}

// Whether a channel of this kind is written one element or a list of them.
bool Gathers(const ChannelKind& kind) {
  return kind.name() == "AppendLog" || kind.name() == "Topic" ||
         kind.name() == "Messages";
}

// Errors read on from "channel 'x' ".
absl::StatusOr<Value> WriteFromJson(const ChannelKind& kind, Json json) {
  if (Gathers(kind) && !json.is_array()) json = Json::array({std::move(json)});
  const ValueType* const type = kind.read_type();
  const std::string name = type->stored_name();
  if (kind.messages() != nullptr && name == "list<json>") {
    absl::StatusOr<Json> messages = WithIds(std::move(json));
    if (!messages.ok()) return messages.status();
    json = *std::move(messages);
  }
  std::string bytes;
  if (absl::Status s = Encode(name, json, &bytes); !s.ok()) return s;
  Value value;
  std::string_view rest = bytes;
  absl::Status read = type->decode == nullptr
                          ? absl::InternalError("its type has no codec")
                          : type->decode(&rest, &value);
  if (read.ok() && !rest.empty()) {
    read = absl::InternalError("its type's codec reads less");
  }
  if (!read.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("takes ", name, ", not ", ShownJson(json), ": ",
                     std::string(read.message())));
  }
  // As a list of several, messages are given ids, also where they replace.
  if (const auto* messages = value.As<MessageList<Message>>()) {
    return Value(std::vector<Message>(messages->begin(), messages->end()));
  }
  return value;
}

// The value of {"__overwrite__": value}, or null.
const Json* Overwritten(const Json& json) {
  if (!json.is_object()) return nullptr;
  if (json.size() == 1 && json.contains("__overwrite__")) {
    return &json["__overwrite__"];
  }
  if (json.size() == 2 && json.contains("value") && json.contains("type") &&
      json["type"] == "__overwrite__") {
    return &json["value"];
  }
  return nullptr;
}

absl::Status AddWrite(const Graph& graph, const std::string& channel,
                      const Json& json, Update* update) {
  const CompiledGraph& compiled = graph.compiled();
  const std::optional<uint32_t> index = compiled.FindChannel(channel);
  if (!index.has_value()) {
    update->Set(channel, AnswerFromJson(json));
    return absl::OkStatus();
  }
  const Json* const overwritten = Overwritten(json);
  absl::StatusOr<Value> value =
      WriteFromJson(*compiled.channels[*index].kind,
                    overwritten == nullptr ? json : *overwritten);
  if (!value.ok()) {
    return absl::Status(
        value.status().code(),
        absl::StrCat("channel '", channel, "' ", value.status().message()));
  }
  if (overwritten != nullptr) {
    update->Overwrite(channel, *std::move(value));
  } else {
    update->Set(channel, *std::move(value));
  }
  return absl::OkStatus();
}

// What a function of the host makes of what a client sends. It may throw, as
// reading JSON does.
template <class T, class F>
absl::StatusOr<T> Called(const char* name, const F& function,
                         const Json& json) {
  try {
    return function(json);
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " refused ", ShownJson(json), ": ", e.what()));
  } catch (...) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " refused ", ShownJson(json)));
  }
}

// command["update"].
absl::StatusOr<Update> CommandUpdate(const Graph& graph,
                                     const GraphOptions& options,
                                     const Json& json) {
  if (!json.is_array()) return UpdateOf(graph, options, json);
  Update update;
  for (const Json& pair : json) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string()) {
      return absl::InvalidArgumentError(
          absl::StrCat("command.update has ", ShownJson(pair),
                       "; a list has to be one of [\"channel\", value]"));
    }
    absl::Status s = AddWrite(graph, pair[0].get_ref<const std::string&>(),
                              pair[1], &update);
    if (!s.ok()) return s;
  }
  return update;
}

// One element of command["goto"].
absl::StatusOr<Target> TargetFromJson(const Graph& graph, const Json& json) {
  if (json.is_string()) return Target(json.get_ref<const std::string&>());
  if (!json.is_object() || !json.contains("node") ||
      !json["node"].is_string()) {
    return absl::InvalidArgumentError(
        absl::StrCat("command.goto has ", ShownJson(json),
                     "; give \"node\", or {\"node\": ..., \"input\": ...}"));
  }
  const std::string node = json["node"].get<std::string>();
  const Json input = json.contains("input") ? json["input"] : Json();
  const bool all_channels =
      input.is_object() && !input.empty() &&
      std::ranges::all_of(
          input.get_ref<const Json::object_t&>(), [&graph](const auto& field) {
            return graph.compiled().FindChannel(field.first).has_value();
          });
  if (!all_channels) return Target(Send(node, AnswerFromJson(input)));
  absl::StatusOr<Update> channels = UpdateFromJson(graph, input);
  if (!channels.ok()) return channels.status();
  return Target(Send(node, *std::move(channels)));
}

bool IsById(const Json& resume) {
  return resume.is_object() && !resume.empty() &&
         std::ranges::all_of(
             resume.get_ref<const Json::object_t&>(),
             [](const auto& answer) { return IsHex(answer.first, 32); });
}

absl::StatusOr<Value> AnswerOf(const GraphOptions& options, const Json& json) {
  if (!options.answer) return AnswerFromJson(json);
  return Called<Value>("GraphOptions::answer", options.answer, json);
}

absl::StatusOr<Input> InputFromCommand(const Graph& graph,
                                       const GraphOptions& options,
                                       const Json& command) {
  if (!command.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("command is ", ShownJson(command),
                     "; it has to be an object with resume, update or goto"));
  }
  Command parts;
  const Json* resume = nullptr;
  for (const auto& [key, json] : command.get_ref<const Json::object_t&>()) {
    if (json.is_null()) continue;
    if (key == "resume") {
      resume = &json;
    } else if (key == "update") {
      absl::StatusOr<Update> update = CommandUpdate(graph, options, json);
      if (!update.ok()) return update.status();
      parts.update = *std::move(update);
    } else if (key == "goto") {
      const Json list = json.is_array() ? json : Json::array({json});
      for (const Json& one : list) {
        absl::StatusOr<Target> target = TargetFromJson(graph, one);
        if (!target.ok()) return target.status();
        parts.go_to.push_back(*std::move(target));
      }
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "command has '", key, "'; it takes resume, update and goto"));
    }
  }
  if (resume == nullptr) {
    if (parts.update.empty() && parts.go_to.empty()) {
      return absl::InvalidArgumentError(
          "command is empty: give it resume, update or goto");
    }
    return Input::Command(std::move(parts));
  }
  if (!IsById(*resume)) {
    absl::StatusOr<Value> answer = AnswerOf(options, *resume);
    if (!answer.ok()) return answer.status();
    return Input::Resume(*std::move(answer), std::move(parts));
  }
  std::map<std::string, Value> answers;
  for (const auto& [id, json] : resume->get_ref<const Json::object_t&>()) {
    absl::StatusOr<Value> answer = AnswerOf(options, json);
    if (!answer.ok()) return answer.status();
    answers.insert_or_assign(id, *std::move(answer));
  }
  return Input::ResumeEach(std::move(answers), std::move(parts));
}

bool IsGiven(const Json& json) {
  return !json.is_null() && !json.is_discarded();
}

}  // namespace

absl::StatusOr<Update> UpdateOf(const Graph& graph, const GraphOptions& options,
                                const Json& json) {
  if (!options.input) return UpdateFromJson(graph, json);
  return Called<Update>("GraphOptions::input", options.input, json);
}

absl::StatusOr<Update> UpdateFromJson(const Graph& graph, const Json& fields) {
  if (!fields.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(ShownJson(fields),
                     " is no input: give an object of channels and values"));
  }
  Update update;
  for (const auto& [channel, json] : fields.get_ref<const Json::object_t&>()) {
    absl::Status s = AddWrite(graph, channel, json, &update);
    if (!s.ok()) return s;
  }
  return update;
}

absl::StatusOr<Input> InputFromJson(const Graph& graph,
                                    const GraphOptions& options,
                                    const Json& input, const Json& command) {
  if (IsGiven(command)) {
    if (IsGiven(input)) {
      return absl::InvalidArgumentError(
          "input and command are both given: a run takes one of them");
    }
    return InputFromCommand(graph, options, command);
  }
  if (!IsGiven(input)) return Input::Continue();
  absl::StatusOr<Update> update = UpdateOf(graph, options, input);
  if (!update.ok()) return update.status();
  return Input::Values(*std::move(update));
}

Value AnswerFromJson(const Json& json) {
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_number_unsigned()) {
    const auto number = json.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Value(number);
    }
    return Value(static_cast<int64_t>(number));
  }
  if (json.is_number_integer()) return Value(json.get<int64_t>());
  if (json.is_number()) return Value(json.get<double>());
  if (json.is_string()) return Value(json.get<std::string>());
  if (json.is_structured()) return Value(nlohmann::json(json));
  return Value(None{});
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
