#include "weir/runtime/run_info.h"

#include <array>
#include <utility>

#include "weir/channels/internal/json_text.h"
#include "weir/runtime/internal/state_json.h"
#include "weir/runtime/thread.h"

namespace weir {
inline namespace v0 {
namespace {

using internal::JsonObject;
using internal::TimeText;

void AppendMetadata(const Metadata& metadata, std::string* out) {
  JsonObject data(out);
  for (const auto& [name, json] : metadata) data.Field(name)->append(json);
}

void AppendModes(StreamModes modes, std::string* out) {
  out->push_back('[');
  const char* separator = "";
  for (const std::string& name : internal::StreamModeNames(modes)) {
    out->append(std::exchange(separator, ", "));
    internal::AppendJsonString(name, out);
  }
  out->push_back(']');
}

}  // namespace

std::string_view RunStatusName(RunStatus status) {
  constexpr std::array<std::string_view, 6> kNames = {
      "pending", "running", "success", "error", "timeout", "interrupted"};
  return kNames[static_cast<size_t>(status)];
}

std::string_view MultitaskStrategyName(MultitaskStrategy strategy) {
  constexpr std::array<std::string_view, 4> kNames = {"enqueue", "reject",
                                                      "interrupt", "rollback"};
  return kNames[static_cast<size_t>(strategy)];
}

std::string_view ThreadStatusName(ThreadStatus status) {
  constexpr std::array<std::string_view, 4> kNames = {"idle", "busy",
                                                      "interrupted", "error"};
  return kNames[static_cast<size_t>(status)];
}

std::string RunOutcome::ToJson() const {
  std::string json;
  {
    JsonObject data(&json);
    if (status == RunStatus::kError || status == RunStatus::kTimeout) {
      internal::AppendError(error, data.Field("__error__"));
    } else {
      for (const Values::Item& item : values.items()) {
        item.value.AppendJson(data.Field(values.name(item)));
      }
      if (!interrupts.empty()) {
        internal::AppendInterrupts(interrupts, data.Field("__interrupt__"));
      }
    }
  }
  return json;
}

std::string RunInfo::ToJson() const {
  std::string json;
  {
    JsonObject data(&json);
    data.Text("run_id", id);
    data.Text("thread_id", thread_id);
    data.Text("assistant_id", graph);
    data.Text("status", RunStatusName(status));
    data.Number("attempt", attempt);
    AppendMetadata(metadata, data.Field("metadata"));
    AppendModes(modes, data.Field("stream_mode"));
    data.Field("subgraphs")->append(subgraphs ? "true" : "false");
    data.Field("resumable")->append(resumable ? "true" : "false");
    data.Text("multitask_strategy", MultitaskStrategyName(multitask));
    data.Text("created_at", TimeText(created_at));
    data.Text("updated_at", TimeText(updated_at));
    data.Text("start_after", TimeText(start_after));
    if (started_at) data.Text("run_started_at", TimeText(*started_at));
    if (ended_at) data.Text("run_ended_at", TimeText(*ended_at));
  }
  return json;
}

std::string ThreadInfo::ToJson() const {
  std::string json;
  {
    JsonObject data(&json);
    data.Text("thread_id", id);
    data.Text("status", ThreadStatusName(status));
    data.Text("created_at", TimeText(created_at));
    data.Text("updated_at", TimeText(updated_at));
    data.Text("state_updated_at", TimeText(state_updated_at));
    AppendMetadata(metadata, data.Field("metadata"));
    Codec<Values>::AppendJson(values, data.Field("values"));
    internal::AppendInterrupts(interrupts, data.Field("interrupts"));
  }
  return json;
}

}  // namespace v0
}  // namespace weir
