#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "weir/gateway/internal/api.h"
#include "weir/gateway/internal/event_session.h"
#include "weir/gateway/internal/json_input.h"
#include "weir/gateway/internal/wire_events.h"
#include "weir/gateway/internal/wire_state.h"

// The endpoints of threads.
namespace weir {
inline namespace v0 {
namespace internal {
namespace {

absl::StatusOr<absl::Duration> TtlOf(const Json& ttl) {
  // A number of minutes, or an object that has it.
  const Json* minutes = &ttl;
  if (ttl.is_object() && ttl.contains("ttl")) minutes = &ttl["ttl"];
  if (!minutes->is_number() || minutes->get<double>() <= 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "ttl: must be a number of minutes above 0, and is %s", ShownJson(ttl)));
  }
  return absl::Minutes(minutes->get<double>());
}

bool IsGiven(const Json& body, const char* name) {
  const auto it = body.find(name);
  return it != body.end() && !it->is_null();
}

absl::StatusOr<ThreadStatus> StatusOf(const std::string& text) {
  for (const ThreadStatus status :
       {ThreadStatus::kIdle, ThreadStatus::kBusy, ThreadStatus::kInterrupted,
        ThreadStatus::kError}) {
    if (text == ThreadStatusName(status)) return status;
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("status: '%s' is none of \"idle\", \"busy\", "
                      "\"interrupted\", \"error\"",
                      text));
}

absl::StatusOr<ThreadQuery> QueryOf(const Json& body) {
  ThreadQuery query;
  for (const auto& [name, field] : {std::pair("metadata", &query.metadata),
                                    std::pair("values", &query.values)}) {
    const absl::StatusOr<Json> object = ObjectField(body, name);
    if (!object.ok()) return object.status();
    absl::StatusOr<Metadata> pairs = MetadataFromJson(*object);
    if (!pairs.ok()) return pairs.status();
    *field = *std::move(pairs);
  }
  const absl::StatusOr<std::string> status = TextField(body, "status");
  if (!status.ok()) return status.status();
  if (!status->empty()) {
    const absl::StatusOr<ThreadStatus> parsed = StatusOf(*status);
    if (!parsed.ok()) return parsed.status();
    query.status = *parsed;
  }
  absl::StatusOr<std::vector<std::string>> ids = TextsField(body, "ids");
  if (!ids.ok()) return ids.status();
  query.ids = *std::move(ids);
  const absl::StatusOr<int64_t> limit = IntField(body, "limit", 10, 1, 1'000);
  if (!limit.ok()) return limit.status();
  query.limit = static_cast<size_t>(*limit);
  const absl::StatusOr<int64_t> offset =
      IntField(body, "offset", 0, 0, std::numeric_limits<int32_t>::max());
  if (!offset.ok()) return offset.status();
  query.offset = static_cast<size_t>(*offset);
  const absl::StatusOr<std::string> by =
      TextField(body, "sort_by", "created_at");
  if (!by.ok()) return by.status();
  if (*by == "created_at") {
    query.order = ThreadOrder::kCreatedAt;
  } else if (*by == "updated_at") {
    query.order = ThreadOrder::kUpdatedAt;
  } else if (*by == "thread_id") {
    query.order = ThreadOrder::kId;
  } else if (*by == "status") {
    query.order = ThreadOrder::kStatus;
  } else {
    return absl::InvalidArgumentError(
        absl::StrFormat("sort_by: '%s' is none of \"created_at\", "
                        "\"updated_at\", \"thread_id\", \"status\"",
                        *by));
  }
  const absl::StatusOr<std::string> order =
      TextField(body, "sort_order", "desc");
  if (!order.ok()) return order.status();
  if (*order != "asc" && *order != "desc") {
    return absl::InvalidArgumentError(absl::StrFormat(
        "sort_order: '%s' is neither \"asc\" nor \"desc\"", *order));
  }
  query.ascending = *order == "asc";
  return query;
}

// What `before` names: a checkpoint's id, or a reference or a config that has
// it.
absl::StatusOr<CheckpointId> BeforeOf(const Json& before) {
  const Json* at = &before;
  if (at->is_object() && at->contains("configurable")) {
    at = &(*at)["configurable"];
  }
  if (at->is_object() && at->contains("checkpoint_id")) {
    at = &(*at)["checkpoint_id"];
  }
  if (!at->is_string()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("before: must be a checkpoint or its id, and is %s",
                        ShownJson(before)));
  }
  return ParseCheckpointId(at->get<std::string>());
}

// A thread's stream for EventSession.
struct WireThread {
  WireThreadEvents events;

  void Append(const ThreadEvent& event, std::string* frames) {
    events.Append(event, frames);
  }
  void End(const ThreadStream&, std::string*) {}
};

}  // namespace

absl::StatusOr<ServedGraphs::Ptr> Api::GraphOf(const ThreadInfo& thread) const {
  if (thread.graph.empty()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "thread '%s' has no graph yet: run one on it first", thread.id));
  }
  return graphs_.Find(thread.graph);
}

absl::Status Api::CheckRead(const ThreadInfo& thread) const {
  if (thread.graph.empty() || graphs_.Find(thread.graph).ok()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrFormat(
      "thread '%s' is of graph '%s', which is not served here, and only that "
      "can read its state",
      thread.id, thread.graph));
}

absl::StatusOr<StateUpdate> Api::StateUpdateOf(const ServedGraph& graph,
                                               const Json& update) const {
  StateUpdate change;
  const absl::StatusOr<std::string> node = TextField(update, "as_node");
  if (!node.ok()) return node.status();
  change.as_node = *node;
  if (IsGiven(update, "values")) {
    absl::StatusOr<Update> values =
        UpdateOf(graph.graph, graph.options, update["values"]);
    if (!values.ok()) return values.status();
    change.values = *std::move(values);
  }
  return change;
}

absl::StatusOr<HttpResponse> Api::CreateThread(ApiCall& call) {
  ThreadOptions options;
  absl::StatusOr<std::string> id = TextField(call.body, "thread_id");
  if (!id.ok()) return id.status();
  options.id = *std::move(id);
  if (!options.id.empty() && !IsUuid(options.id)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("thread_id: '%s' is no UUID", options.id));
  }
  const absl::StatusOr<Json> metadata = ObjectField(call.body, "metadata");
  if (!metadata.ok()) return metadata.status();
  absl::StatusOr<Metadata> pairs = MetadataFromJson(*metadata);
  if (!pairs.ok()) return pairs.status();
  options.metadata = *std::move(pairs);
  const absl::StatusOr<std::string> exists =
      TextField(call.body, "if_exists", "raise");
  if (!exists.ok()) return exists.status();
  if (*exists != "raise" && *exists != "do_nothing") {
    return absl::InvalidArgumentError(absl::StrFormat(
        "if_exists: '%s' is neither \"raise\" nor \"do_nothing\"", *exists));
  }
  if (*exists == "do_nothing") options.if_exists = IfExists::kDoNothing;
  if (IsGiven(call.body, "ttl")) {
    const absl::StatusOr<absl::Duration> ttl = TtlOf(call.body["ttl"]);
    if (!ttl.ok()) return ttl.status();
    options.ttl = *ttl;
  }
  absl::StatusOr<std::string> graph = TextField(call.body, "graph_id");
  // Where the SDKs put it.
  if (graph.ok() && graph->empty() && metadata->is_object()) {
    graph = TextField(*metadata, "graph_id");
  }
  if (!graph.ok()) return graph.status();
  if (IsGiven(call.body, "supersteps")) {
    const Json& supersteps = call.body["supersteps"];
    if (graph->empty()) {
      return absl::InvalidArgumentError(
          "supersteps: graph_id must say by which graph they are to be read");
    }
    const absl::StatusOr<ServedGraphs::Ptr> served = graphs_.Find(*graph);
    if (!served.ok()) return served.status();
    if (!supersteps.is_array()) {
      return absl::InvalidArgumentError("supersteps: must be a list");
    }
    for (const Json& superstep : supersteps) {
      const auto updates =
          superstep.is_object() ? superstep.find("updates") : superstep.end();
      if (updates == superstep.end() || !updates->is_array()) {
        return absl::InvalidArgumentError(
            "supersteps: each must be {\"updates\": [...]}");
      }
      std::vector<StateUpdate>& changes = options.supersteps.emplace_back();
      for (const Json& update : *updates) {
        if (!update.is_object()) {
          return absl::InvalidArgumentError(
              "supersteps: an update must be an object");
        }
        absl::StatusOr<StateUpdate> change = StateUpdateOf(**served, update);
        if (!change.ok()) return change.status();
        changes.push_back(*std::move(change));
      }
    }
    options.graph = (*served)->name;
  } else if (!graph->empty()) {
    const absl::StatusOr<ServedGraphs::Ptr> served = graphs_.Find(*graph);
    if (!served.ok()) return served.status();
    options.graph = (*served)->name;
  }
  const absl::StatusOr<ThreadInfo> made =
      runtime_.CreateThread(std::move(options));
  if (!made.ok()) return made.status();
  return JsonAnswer(ThreadJson(*made));
}

absl::StatusOr<HttpResponse> Api::SearchThreads(ApiCall& call) {
  const absl::StatusOr<ThreadQuery> query = QueryOf(call.body);
  if (!query.ok()) return query.status();
  const absl::StatusOr<ThreadList> found = runtime_.SearchThreads(*query);
  if (!found.ok()) return found.status();
  std::string body = "[";
  for (const ThreadInfo& thread : found->threads) {
    const absl::StatusOr<std::string> text = ThreadText(thread);
    if (!text.ok()) return text.status();
    absl::StrAppend(&body, body.size() > 1 ? ", " : "", *text);
  }
  HttpResponse response = JsonAnswer(body + "]");
  response.fields.emplace_back("x-pagination-total",
                               absl::StrCat(found->total));
  const size_t next = query->offset + found->threads.size();
  if (next < found->total && !found->threads.empty()) {
    response.fields.emplace_back("x-pagination-next", absl::StrCat(next));
  }
  return response;
}

absl::StatusOr<HttpResponse> Api::CountThreads(ApiCall& call) {
  const absl::StatusOr<ThreadQuery> query = QueryOf(call.body);
  if (!query.ok()) return query.status();
  const absl::StatusOr<size_t> count = runtime_.CountThreads(*query);
  if (!count.ok()) return count.status();
  return JsonAnswer(absl::StrCat(*count));
}

absl::StatusOr<HttpResponse> Api::GetThread(ApiCall& call) {
  const absl::StatusOr<ThreadInfo> thread = runtime_.GetThread(call.thread);
  if (!thread.ok()) return thread.status();
  absl::StatusOr<std::string> text = ThreadText(*thread);
  if (!text.ok()) return text.status();
  return JsonAnswer(*std::move(text));
}

absl::StatusOr<std::string> Api::ThreadText(const ThreadInfo& thread) const {
  if (thread.status != ThreadStatus::kInterrupted &&
      thread.status != ThreadStatus::kError) {
    return ThreadJson(thread);
  }
  // Which tasks ask, or have failed.
  const absl::StatusOr<StateSnapshot> state = runtime_.GetState(thread.id);
  // Or it cannot be read, which whoever asks for it is told.
  return ThreadJson(thread, state.ok() ? &*state : nullptr);
}

absl::StatusOr<HttpResponse> Api::UpdateThread(ApiCall& call) {
  ThreadChange change;
  const absl::StatusOr<Json> metadata = ObjectField(call.body, "metadata");
  if (!metadata.ok()) return metadata.status();
  absl::StatusOr<Metadata> pairs = MetadataFromJson(*metadata);
  if (!pairs.ok()) return pairs.status();
  change.metadata = *std::move(pairs);
  if (IsGiven(call.body, "ttl")) {
    const absl::StatusOr<absl::Duration> ttl = TtlOf(call.body["ttl"]);
    if (!ttl.ok()) return ttl.status();
    change.ttl = *ttl;
  }
  const absl::StatusOr<ThreadInfo> thread =
      runtime_.UpdateThread(call.thread, std::move(change));
  if (!thread.ok()) return thread.status();
  return JsonAnswer(ThreadJson(*thread));
}

absl::Status Api::DeleteThread(ApiCall& call) {
  std::vector<RunInfo> unfinished;
  for (const RunStatus status : {RunStatus::kPending, RunStatus::kRunning}) {
    absl::StatusOr<std::vector<RunInfo>> runs = runtime_.ListRuns(
        call.thread,
        {.status = status, .limit = std::numeric_limits<int32_t>::max()});
    if (!runs.ok()) return runs.status();
    for (RunInfo& run : *runs) unfinished.push_back(std::move(run));
  }
  for (const RunInfo& run : unfinished) {
    // One that has ended meanwhile stays as it is.
    (void)runtime_.Cancel(call.thread, run.id);
  }
  WhenEnded(
      std::move(unfinished),
      [self = shared_from_this(), thread = call.thread,
       fields = call.request.fields, exchange = call.exchange] {
        const absl::Status s = self->runtime_.DeleteThread(thread);
        const HttpRequest request{.fields = fields};
        if (!s.ok()) return self->Fail(request, *exchange, s);
        exchange->Reply({.status = 204, .fields = self->CorsFields(request)});
      });
  return absl::OkStatus();
}

absl::StatusOr<HttpResponse> Api::CopyThread(ApiCall& call) {
  const absl::StatusOr<ThreadInfo> copy = runtime_.CopyThread(call.thread);
  if (absl::IsNotFound(copy.status())) {  // 409, as the API's description says.
    return absl::FailedPreconditionError(copy.status().message());
  }
  if (!copy.ok()) return copy.status();
  return JsonAnswer(ThreadJson(*copy));
}

absl::StatusOr<HttpResponse> Api::StateAnswer(ApiCall& call,
                                              std::optional<CheckpointRef> at,
                                              bool subgraphs) {
  const absl::StatusOr<ThreadInfo> thread = runtime_.GetThread(call.thread);
  if (!thread.ok()) return thread.status();
  const absl::StatusOr<StateSnapshot> state = runtime_.GetState(
      call.thread, {.at = std::move(at), .subgraphs = subgraphs});
  if (!state.ok()) return state.status();
  if (!state->ref.id.has_value()) {
    if (absl::Status s = CheckRead(*thread); !s.ok()) return s;
  }
  return JsonAnswer(StateJson(*state, thread->graph));
}

absl::StatusOr<HttpResponse> Api::GetState(ApiCall& call) {
  const absl::StatusOr<bool> subgraphs = call.path.Flag("subgraphs");
  if (!subgraphs.ok()) return subgraphs.status();
  return StateAnswer(call, std::nullopt, *subgraphs);
}

absl::StatusOr<HttpResponse> Api::GetStateAt(ApiCall& call) {
  if (call.request.method == "GET") {
    const absl::StatusOr<bool> subgraphs = call.path.Flag("subgraphs");
    if (!subgraphs.ok()) return subgraphs.status();
    const absl::StatusOr<CheckpointId> id = ParseCheckpointId(call.id);
    if (!id.ok()) return id.status();
    return StateAnswer(call, CheckpointRef{.id = *id}, *subgraphs);
  }
  const absl::StatusOr<bool> subgraphs = BoolField(call.body, "subgraphs");
  if (!subgraphs.ok()) return subgraphs.status();
  const absl::StatusOr<Json> checkpoint = ObjectField(call.body, "checkpoint");
  if (!checkpoint.ok()) return checkpoint.status();
  if (checkpoint->is_null()) {
    return absl::InvalidArgumentError("checkpoint: say which one");
  }
  absl::StatusOr<CheckpointRef> at = RefFromJson(*checkpoint);
  if (!at.ok()) return at.status();
  return StateAnswer(call, *std::move(at), *subgraphs);
}

absl::StatusOr<HttpResponse> Api::UpdateState(ApiCall& call) {
  const absl::StatusOr<ThreadInfo> thread = runtime_.GetThread(call.thread);
  if (!thread.ok()) return thread.status();
  const absl::StatusOr<ServedGraphs::Ptr> graph = GraphOf(*thread);
  if (!graph.ok()) return graph.status();
  absl::StatusOr<StateUpdate> update = StateUpdateOf(**graph, call.body);
  if (!update.ok()) return update.status();
  StateOptions at;
  absl::StatusOr<Json> checkpoint = ObjectField(call.body, "checkpoint");
  if (!checkpoint.ok()) return checkpoint.status();
  if (checkpoint->is_null()) {
    const absl::StatusOr<std::string> id =
        TextField(call.body, "checkpoint_id");
    if (!id.ok()) return id.status();
    if (!id->empty()) *checkpoint = Json{{"checkpoint_id", *id}};
  }
  if (!checkpoint->is_null()) {
    absl::StatusOr<CheckpointRef> ref = RefFromJson(*checkpoint);
    if (!ref.ok()) return ref.status();
    at.at = *std::move(ref);
  }
  const absl::StatusOr<CheckpointRef> made =
      runtime_.UpdateState(call.thread, *std::move(update), std::move(at));
  if (!made.ok()) return made.status();
  return JsonAnswer(
      JsonText({{"checkpoint",
                 {{"thread_id", call.thread},
                  {"checkpoint_ns", made->ns},
                  {"checkpoint_id", CheckpointIdText(made->id)}}}}));
}

absl::StatusOr<HttpResponse> Api::GetHistory(ApiCall& call) {
  HistoryOptions which;
  StateOptions of;
  std::optional<size_t> limit;
  Json before;
  if (call.request.method == "GET") {
    absl::StatusOr<std::optional<size_t>> given = call.path.Count("limit");
    if (!given.ok()) return given.status();
    limit = *given;
    if (limit.value_or(0) > 100'000) {
      return absl::InvalidArgumentError("limit: must be at most 100000");
    }
    if (const std::string* id = call.path.Find("before")) before = *id;
  } else {
    const absl::StatusOr<int64_t> given =
        IntField(call.body, "limit", 10, 0, 100'000);
    if (!given.ok()) return given.status();
    limit = static_cast<size_t>(*given);
    if (IsGiven(call.body, "before")) before = call.body["before"];
    const absl::StatusOr<Json> metadata = ObjectField(call.body, "metadata");
    if (!metadata.ok()) return metadata.status();
    absl::StatusOr<Metadata> pairs = MetadataFromJson(*metadata);
    if (!pairs.ok()) return pairs.status();
    which.filter = *std::move(pairs);
    const absl::StatusOr<Json> checkpoint =
        ObjectField(call.body, "checkpoint");
    if (!checkpoint.ok()) return checkpoint.status();
    if (!checkpoint->is_null()) {
      absl::StatusOr<CheckpointRef> ref = RefFromJson(*checkpoint);
      if (!ref.ok()) return ref.status();
      of.at = *std::move(ref);
    }
  }
  which.limit = limit.value_or(10);
  if (!before.is_null()) {
    const absl::StatusOr<CheckpointId> id = BeforeOf(before);
    if (!id.ok()) return id.status();
    which.before = *id;
  }
  const absl::StatusOr<ThreadInfo> thread = runtime_.GetThread(call.thread);
  if (!thread.ok()) return thread.status();
  const absl::StatusOr<std::vector<StateSnapshot>> history =
      runtime_.GetHistory(call.thread, std::move(which), std::move(of));
  if (!history.ok()) return history.status();
  if (history->empty()) {
    if (absl::Status s = CheckRead(*thread); !s.ok()) return s;
  }
  std::string body = "[";
  for (const StateSnapshot& state : *history) {
    absl::StrAppend(&body, body.size() > 1 ? ", " : "",
                    StateJson(state, thread->graph));
  }
  return JsonAnswer(body + "]");
}

absl::Status Api::JoinThreadStream(ApiCall& call) {
  ThreadStreamOptions options;
  std::vector<std::string> modes = call.path.All("stream_modes");
  if (modes.empty()) modes = call.path.All("stream_mode");
  uint32_t wanted = 0;
  for (const std::string& mode : modes) {
    if (mode == "run_modes") {
      wanted |= kRunModes;
    } else if (mode == "lifecycle") {
      wanted |= kLifecycle;
    } else if (mode == "state_update") {
      wanted |= kStateUpdate;
    } else {
      return absl::InvalidArgumentError(
          absl::StrFormat("stream_modes: '%s' is none of \"run_modes\", "
                          "\"lifecycle\", \"state_update\"",
                          mode));
    }
  }
  if (wanted != 0) options.modes = static_cast<ThreadStreamModes>(wanted);
  const absl::StatusOr<std::optional<int64_t>> last =
      ParseThreadEventId(call.request.Field("last-event-id"));
  if (!last.ok()) return last.status();
  options.last_event_id = *last;
  absl::StatusOr<ThreadStream> stream =
      runtime_.JoinThreadStream(call.thread, options);
  if (!stream.ok()) return stream.status();
  HttpResponse head{.fields = {{"content-type", "text/event-stream"},
                               {"cache-control", "no-cache"}}};
  for (auto& field : CorsFields(call.request)) {
    head.fields.push_back(std::move(field));
  }
  using Session = EventSession<ThreadStream, ThreadEvent, WireThread>;
  const auto session = std::make_shared<Session>(
      call.exchange,
      WireThread{WireThreadEvents(
          [self = shared_from_this(), thread = call.thread](const RunId& run) {
            return self->ViewOf(thread, run);
          })},
      Session::Options{.heartbeat = ": heartbeat\n",
                       .every = options_.heartbeat,
                       .max_unsent_bytes = options_.max_unsent_bytes,
                       .post = links_.post});
  session->Start(*std::move(stream), std::move(head));
  return absl::OkStatus();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
