#include <limits>
#include <stop_token>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

#include "weir/gateway/internal/api.h"
#include "weir/gateway/internal/event_session.h"
#include "weir/gateway/internal/wire_state.h"
#include "weir/gateway/internal/wire_value.h"

// The endpoints of runs.
namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// A run's stream for EventSession. What the client had before it came is passed
// over: the messages that it is of may go on.
struct WireReader {
  WireEvents events;
  int64_t seen = -1;  // The id of the last event that the client had.

  void Append(const Event& event, std::string* frames) {
    if (static_cast<int64_t>(event.id()) <= seen) return events.Skip(event);
    events.Append(event, frames);
  }
  void End(const RunStream& stream, std::string* frames) {
    if (const std::optional<RunStatus> status = stream.run_status()) {
      events.End(*status, frames);
    }
  }
};

// Where a run is, as clients are told; of a stateless one, by itself.
std::string RunPath(const ThreadId& thread, const RunId& run) {
  return thread.empty() ? absl::StrFormat("/runs/%s", run)
                        : absl::StrFormat("/threads/%s/runs/%s", thread, run);
}

HttpResponse StreamHead(const std::string& path, bool resumable) {
  HttpResponse head{.fields = {{"content-type", "text/event-stream"},
                               {"cache-control", "no-cache"},
                               {"content-location", path}}};
  // Clients that are cut off come back there, and would miss what a run does
  // not keep.
  if (resumable) head.fields.emplace_back("location", path + "/stream");
  return head;
}

// Ends the answer of one who waits for a run.
void EndWait(HttpExchange& exchange, absl::StatusOr<RunOutcome> outcome) {
  if (!outcome.ok()) {
    if (EndsByShutdown(outcome.status())) return exchange.Cut();
    outcome = RunOutcome{.status = RunStatus::kError,
                         .error = std::move(outcome).status()};
  }
  exchange.Write(OutcomeJson(*outcome));
  exchange.End();
}

// One who waits for a run that may have ended before its answer has begun.
//
// Threads: thread-safe.
class Waiter {
 public:
  explicit Waiter(std::shared_ptr<HttpExchange> exchange)
      : exchange_(std::move(exchange)) {}

  // A run that is rolled back tells nobody that it has ended.
  ~Waiter() {
    if (begun_ && !outcome_.has_value()) {
      EndWait(*exchange_, absl::AbortedError("the run was rolled back"));
    }
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  void Begin() { Step(std::nullopt); }
  void Answer(RunOutcome outcome) { Step(std::move(outcome)); }

 private:
  void Step(std::optional<RunOutcome> outcome) {
    absl::MutexLock lock(&mutex_);
    if (outcome.has_value()) {
      outcome_ = std::move(outcome);
    } else {
      begun_ = true;
    }
    if (begun_ && outcome_.has_value()) EndWait(*exchange_, *outcome_);
  }

  const std::shared_ptr<HttpExchange> exchange_;
  absl::Mutex mutex_;
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<RunOutcome> outcome_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<CancelAction> ActionOf(const std::string& text) {
  if (text == "interrupt") return CancelAction::kInterrupt;
  if (text == "rollback") return CancelAction::kRollback;
  return absl::InvalidArgumentError(absl::StrFormat(
      "action: '%s' is neither \"interrupt\" nor \"rollback\"", text));
}

absl::StatusOr<CancelAction> ActionOf(const ApiCall& call) {
  const std::string* const text = call.path.Find("action");
  return ActionOf(text == nullptr ? "interrupt" : *text);
}

absl::StatusOr<RunStatus> RunStatusOf(const std::string& text) {
  for (const RunStatus status :
       {RunStatus::kPending, RunStatus::kRunning, RunStatus::kSuccess,
        RunStatus::kError, RunStatus::kTimeout, RunStatus::kInterrupted}) {
    if (text == RunStatusName(status)) return status;
  }
  return absl::InvalidArgumentError(absl::StrFormat(
      "status: '%s' is none of \"pending\", \"running\", \"success\", "
      "\"error\", \"timeout\", \"interrupted\"",
      text));
}

}  // namespace

absl::StatusOr<RunRequest> Api::ReadRun(const Json& body, bool stateless) {
  absl::StatusOr<RunRequest> request = ParseRunRequest(body, graphs_);
  if (!request.ok()) return request;
  request->kwargs["temporary"] =
      stateless && request->options.on_completion == OnCompletion::kDelete;
  if (!request->webhook.empty() && !options_.allow_webhooks) {
    return absl::InvalidArgumentError(
        "webhook: this gateway posts to nobody; GatewayOptions::allow_webhooks "
        "lets it");
  }
  if (!request->webhook.empty()) AddWebhook(*request);
  request->options.window = options_.window;
  return request;
}

void Api::AddWebhook(RunRequest& request) {
  request.options.on_end = [weak = weak_from_this(), kwargs = request.kwargs,
                            url = request.webhook](const RunInfo& run,
                                                   const RunOutcome& outcome) {
    const std::shared_ptr<Api> self = weak.lock();
    if (self == nullptr) return;
    absl::StatusOr<Json> body = ParseJson(RunJson(run, kwargs));
    if (!body.ok()) return;
    if (run.started_at) (*body)["run_started_at"] = WireTime(*run.started_at);
    if (run.ended_at) (*body)["run_ended_at"] = WireTime(*run.ended_at);
    (*body)["webhook_sent_at"] = WireTime(absl::Now());
    if (outcome.status != RunStatus::kInterrupted) {
      std::string text;
      AppendWireValues(outcome.values, &text);
      absl::StatusOr<Json> values = ParseJson(text);
      if (values.ok()) (*body)["values"] = *std::move(values);
      if (!outcome.error.ok()) {
        (*body)["error"] = std::string(outcome.error.message());
      }
    }
    self->links_.deliver(url, JsonText(*body));
  };
}

std::string Api::RunText(const RunInfo& run) const {
  std::optional<RunNotes::Note> note = notes_.Find(run.id);
  Json kwargs = note.has_value() ? std::move(note->kwargs) : Json::object();
  if (!note.has_value()) {
    kwargs["config"] = Json::object();
    kwargs["context"] = Json::object();
    kwargs["stream_mode"] = WireModeNames(WireModesOf(run));
    kwargs["temporary"] = false;
    kwargs["subgraphs"] = run.subgraphs;
    kwargs["resumable"] = run.resumable;
  }
  return RunJson(run, kwargs);
}

WireEvents Api::ViewOf(const RunInfo& run, uint32_t modes) const {
  WireRun wire{.run_id = run.id,
               .thread_id = run.thread_id,
               .graph = run.graph,
               .assistant_id = AssistantId(run.graph),
               .attempt = run.attempt,
               .metadata = run.metadata};
  const std::optional<RunNotes::Note> note = notes_.Find(run.id);
  if (note.has_value() && note->kwargs.contains("config")) {
    const absl::StatusOr<int64_t> limit =
        IntField(note->kwargs["config"], "recursion_limit",
                 wire.recursion_limit, 1, std::numeric_limits<int32_t>::max());
    if (limit.ok()) wire.recursion_limit = *limit;
  }
  return WireEvents(std::move(wire), modes);
}

WireEvents Api::ViewOf(const ThreadId& thread, const RunId& run) {
  const absl::StatusOr<RunInfo> info = runtime_.GetRun(thread, run);
  if (info.ok()) return ViewOf(*info, WireModesOf(*info));
  // Deleted meanwhile.
  return ViewOf(RunInfo{.id = run, .thread_id = thread}, kWireValues);
}

absl::StatusOr<HttpResponse> Api::StartRun(ApiCall& call) {
  absl::StatusOr<RunRequest> request = ReadRun(call.body, call.thread.empty());
  if (!request.ok()) return request.status();
  const absl::StatusOr<RunInfo> run =
      runtime_.StartRun(call.thread, request->graph->name,
                        std::move(request->input), std::move(request->options));
  if (!run.ok()) return run.status();
  notes_.Add(run->id, {.thread = run->thread_id, .kwargs = request->kwargs});
  HttpResponse response = JsonAnswer(RunJson(*run, request->kwargs));
  response.fields.emplace_back("content-location",
                               RunPath(call.thread, run->id));
  return response;
}

absl::StatusOr<HttpResponse> Api::StartBatch(ApiCall& call) {
  if (!call.body.is_array() || call.body.empty()) {
    return absl::InvalidArgumentError(
        "the body must be a list of runs, at least one");
  }
  std::vector<BatchRun> runs;
  std::vector<Json> kwargs;
  for (const Json& body : call.body) {
    absl::StatusOr<RunRequest> request = ReadRun(body, /*stateless=*/true);
    if (!request.ok()) {
      return absl::Status(
          request.status().code(),
          absl::StrCat("run ", runs.size(), ": ",
                       std::string(request.status().message())));
    }
    kwargs.push_back(std::move(request->kwargs));
    runs.push_back({.graph = request->graph->name,
                    .input = std::move(request->input),
                    .options = std::move(request->options)});
  }
  const absl::StatusOr<std::vector<RunInfo>> started =
      runtime_.StartBatch(std::move(runs));
  if (!started.ok()) return started.status();
  std::string body = "[";
  for (size_t i = 0; i < started->size(); ++i) {
    const RunInfo& run = (*started)[i];
    notes_.Add(run.id, {.thread = run.thread_id, .kwargs = kwargs[i]});
    absl::StrAppend(&body, i > 0 ? ", " : "", RunJson(run, kwargs[i]));
  }
  return JsonAnswer(body + "]");
}

absl::Status Api::StreamRun(ApiCall& call) {
  absl::StatusOr<RunRequest> request = ReadRun(call.body, call.thread.empty());
  if (!request.ok()) return request.status();
  const bool resumable = request->options.resumable;
  const bool cancels = request->options.on_disconnect == OnDisconnect::kCancel;
  // The stream may have to go for a while though the client stays.
  request->options.on_disconnect = OnDisconnect::kContinue;
  RunInfo run{.graph = request->graph->name,
              .metadata = request->options.metadata,
              .resumable = resumable};
  absl::StatusOr<RunStream> stream =
      runtime_.Stream(call.thread, request->graph->name,
                      std::move(request->input), std::move(request->options));
  if (!stream.ok()) return stream.status();
  run.id = stream->run_id();
  run.thread_id = stream->thread_id();
  notes_.Add(run.id,
             {.thread = run.thread_id, .kwargs = std::move(request->kwargs)});
  return StreamTo(call, run, *std::move(stream), request->wire_modes,
                  StreamHead(RunPath(call.thread, run.id), resumable), -1,
                  cancels);
}

absl::Status Api::StreamTo(ApiCall& call, const RunInfo& run, RunStream stream,
                           uint32_t modes, HttpResponse head, int64_t seen,
                           bool cancels) {
  for (auto& field : CorsFields(call.request)) {
    head.fields.push_back(std::move(field));
  }
  using Session = EventSession<RunStream, Event, WireReader>;
  Session::Options options{.heartbeat = ": heartbeat\n",
                           .every = options_.heartbeat,
                           .max_unsent_bytes = options_.max_unsent_bytes,
                           .post = links_.post};
  const auto self = shared_from_this();
  if (run.resumable) {
    options.rejoin = [self, thread = run.thread_id,
                      id = run.id](int64_t last_id) {
      return self->runtime_.JoinStream(thread, id, {.last_event_id = last_id});
    };
  }
  if (cancels) {
    options.left = [self, thread = run.thread_id, id = run.id] {
      (void)self->runtime_.Cancel(thread, id);
    };
  }
  const auto session = std::make_shared<Session>(
      call.exchange, WireReader{ViewOf(run, modes), seen}, std::move(options));
  session->Start(std::move(stream), std::move(head));
  return absl::OkStatus();
}

absl::Status Api::JoinStream(ApiCall& call) {
  const absl::StatusOr<RunInfo> run = runtime_.GetRun(call.thread, call.id);
  if (!run.ok()) return run.status();
  const absl::StatusOr<bool> cancels = call.path.Flag("cancel_on_disconnect");
  if (!cancels.ok()) return cancels.status();
  std::vector<std::string> names = call.path.All("stream_mode");
  if (names.empty()) names = call.path.All("stream_modes");
  const absl::StatusOr<uint32_t> wanted = ParseWireModes(names);
  if (!wanted.ok()) return wanted.status();
  const uint32_t modes = WireModesOf(*run);
  if ((*wanted & ~modes) != 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "stream_mode: run '%s' was not created with %s; it has %s", run->id,
        absl::StrJoin(WireModeNames(*wanted & ~modes), ", "),
        absl::StrJoin(WireModeNames(modes), ", ")));
  }
  const absl::StatusOr<std::optional<int64_t>> last =
      ParseEventId(call.request.Field("last-event-id"));
  if (!last.ok()) return last.status();
  JoinStreamOptions options;
  int64_t seen = -1;
  // What clients send who have none to send: see docs/gateway.md.
  if (run->resumable && last->has_value()) {
    options.last_event_id = *last;
    seen = **last;
  }
  const uint32_t shown = *wanted == 0 ? modes : *wanted;
  absl::StatusOr<RunStream> stream =
      runtime_.JoinStream(call.thread, call.id, options);
  // The beginnings of messages that go on.
  if (stream.ok() && seen >= 0 &&
      (shown & (kWireMessages | kWireEvents)) != 0) {
    absl::StatusOr<RunStream> all =
        runtime_.JoinStream(call.thread, call.id, {.last_event_id = -1});
    if (all.ok()) stream = std::move(all);
  }
  if (absl::IsOutOfRange(stream.status()) && seen >= 0) {
    // Beyond the run's last event there is only what comes; what is not kept
    // any more is an error.
    const absl::StatusOr<RunStream> all =
        runtime_.JoinStream(call.thread, call.id, {.last_event_id = -1});
    if (all.ok()) {
      stream = runtime_.JoinStream(call.thread, call.id);
      seen = -1;
    }
  }
  if (!stream.ok()) return stream.status();
  const bool stateless = call.path.parts.front() == "runs";
  return StreamTo(call, *run, *std::move(stream), shown,
                  StreamHead(RunPath(stateless ? "" : call.thread, run->id),
                             run->resumable),
                  seen, *cancels);
}

absl::Status Api::JoinStatelessStream(ApiCall& call) {
  const std::optional<RunNotes::Note> note = notes_.Find(call.id);
  if (!note.has_value()) {
    return absl::NotFoundError(
        absl::StrFormat("run '%s' not found among those without a thread; if "
                        "it has one, ask for /threads/{thread}/runs/%s/stream",
                        call.id, call.id));
  }
  call.thread = note->thread;
  absl::Status joined = JoinStream(call);
  if (!absl::IsNotFound(joined)) return joined;
  return absl::NotFoundError(absl::StrFormat(
      "run '%s' is over and deleted, as runs without a thread are; start it on "
      "a thread, or with on_completion \"keep\"",
      call.id));
}

absl::Status Api::WaitRun(ApiCall& call) {
  absl::StatusOr<RunRequest> request = ReadRun(call.body, call.thread.empty());
  if (!request.ok()) return request.status();
  const bool cancels = request->options.on_disconnect == OnDisconnect::kCancel;
  const auto waiter = std::make_shared<Waiter>(call.exchange);
  const bool stateless = call.thread.empty();
  // Its thread goes with it, and it cannot be joined once it has ended.
  if (stateless) {
    request->options.on_end = [waiter, webhook = request->options.on_end](
                                  const RunInfo& run,
                                  const RunOutcome& outcome) {
      if (webhook != nullptr) webhook(run, outcome);
      waiter->Answer(outcome);
    };
  }
  const absl::StatusOr<RunInfo> run =
      runtime_.StartRun(call.thread, request->graph->name,
                        std::move(request->input), std::move(request->options));
  if (!run.ok()) return run.status();
  notes_.Add(run->id,
             {.thread = run->thread_id, .kwargs = std::move(request->kwargs)});
  const std::string path = RunPath(call.thread, run->id);
  HttpResponse head = JsonAnswer("");
  head.fields.emplace_back("content-location", path);
  if (!stateless) {
    head.fields.emplace_back("location", path + "/join");
    WaitFor(call, *run, std::move(head), cancels);
    return absl::OkStatus();
  }
  std::function<void()> left;
  if (cancels) {
    left = [self = shared_from_this(), thread = run->thread_id, id = run->id] {
      self->links_.post(
          [self, thread, id] { (void)self->runtime_.Cancel(thread, id); });
    };
  }
  BeginWait(call, std::move(head), std::move(left));
  waiter->Begin();
  return absl::OkStatus();
}

absl::Status Api::Join(ApiCall& call) {
  const absl::StatusOr<RunInfo> run = runtime_.GetRun(call.thread, call.id);
  if (!run.ok()) return run.status();
  const absl::StatusOr<bool> cancels = call.path.Flag("cancel_on_disconnect");
  if (!cancels.ok()) return cancels.status();
  WaitFor(call, *run, JsonAnswer(""), *cancels);
  return absl::OkStatus();
}

void Api::BeginWait(ApiCall& call, HttpResponse head,
                    std::function<void()> left) {
  for (auto& field : CorsFields(call.request)) {
    head.fields.push_back(std::move(field));
  }
  call.exchange->Watch(std::move(left), nullptr);
  // What JSON readers pass over shows that this lives.
  call.exchange->Begin(std::move(head), "\n", absl::Seconds(1));
}

void Api::WaitFor(ApiCall& call, const RunInfo& run, HttpResponse head,
                  bool cancels) {
  const auto stop = std::make_shared<std::stop_source>();
  BeginWait(call, std::move(head), [post = links_.post, stop] {
    post([stop] { stop->request_stop(); });
  });
  runtime_.Join(run.thread_id, run.id,
                {.cancel_on_disconnect = cancels, .stop = stop->get_token()},
                [exchange = call.exchange](absl::StatusOr<RunOutcome> outcome) {
                  EndWait(*exchange, std::move(outcome));
                });
}

absl::StatusOr<HttpResponse> Api::ListRuns(ApiCall& call) {
  RunQuery query;
  const absl::StatusOr<std::optional<size_t>> limit = call.path.Count("limit");
  if (!limit.ok()) return limit.status();
  query.limit = limit->value_or(10);
  const absl::StatusOr<std::optional<size_t>> offset =
      call.path.Count("offset");
  if (!offset.ok()) return offset.status();
  query.offset = offset->value_or(0);
  if (const std::string* status = call.path.Find("status")) {
    const absl::StatusOr<RunStatus> parsed = RunStatusOf(*status);
    if (!parsed.ok()) return parsed.status();
    query.status = *parsed;
  }
  const absl::StatusOr<std::vector<RunInfo>> runs =
      runtime_.ListRuns(call.thread, query);
  if (!runs.ok()) return runs.status();
  std::string body = "[";
  for (const RunInfo& run : *runs) {
    absl::StrAppend(&body, body.size() > 1 ? ", " : "", RunText(run));
  }
  return JsonAnswer(body + "]");
}

absl::StatusOr<HttpResponse> Api::GetRun(ApiCall& call) {
  const absl::StatusOr<RunInfo> run = runtime_.GetRun(call.thread, call.id);
  if (!run.ok()) return run.status();
  return JsonAnswer(RunText(*run));
}

absl::StatusOr<HttpResponse> Api::DeleteRun(ApiCall& call) {
  if (absl::Status s = runtime_.DeleteRun(call.thread, call.id); !s.ok()) {
    return s;
  }
  notes_.Forget(call.id);
  return HttpResponse{.status = 204};
}

void Api::WhenEnded(std::vector<RunInfo> runs, std::function<void()> then) {
  if (runs.empty()) return then();
  const RunInfo run = std::move(runs.back());
  runs.pop_back();
  runtime_.Join(
      run.thread_id, run.id, {},
      [self = shared_from_this(), runs = std::move(runs),
       then = std::move(then)](const absl::StatusOr<RunOutcome>&) mutable {
        self->links_.post(
            [self, runs = std::move(runs), then = std::move(then)]() mutable {
              self->WhenEnded(std::move(runs), std::move(then));
            });
      });
}

absl::Status Api::Cancel(ApiCall& call) {
  const absl::StatusOr<CancelAction> action = ActionOf(call);
  if (!action.ok()) return action.status();
  const absl::StatusOr<bool> wait = call.path.Flag("wait");
  if (!wait.ok()) return wait.status();
  if (absl::Status s =
          runtime_.Cancel(call.thread, call.id, {.action = *action});
      !s.ok()) {
    return s;
  }
  if (!*wait) {
    call.exchange->Reply({.status = 202, .fields = CorsFields(call.request)});
    return absl::OkStatus();
  }
  // Not by CancelOptions::wait, which would hold a thread.
  WhenEnded({RunInfo{.id = call.id, .thread_id = call.thread}},
            [exchange = call.exchange, fields = CorsFields(call.request)] {
              exchange->Reply({.status = 204, .fields = fields});
            });
  return absl::OkStatus();
}

absl::StatusOr<HttpResponse> Api::CancelMany(ApiCall& call) {
  const absl::StatusOr<CancelAction> action = ActionOf(call);
  if (!action.ok()) return action.status();
  CancelQuery query;
  const absl::StatusOr<std::string> thread = TextField(call.body, "thread_id");
  if (!thread.ok()) return thread.status();
  query.thread = *thread;
  absl::StatusOr<std::vector<std::string>> runs =
      TextsField(call.body, "run_ids");
  if (!runs.ok()) return runs.status();
  query.runs = *std::move(runs);
  const absl::StatusOr<std::string> status = TextField(call.body, "status");
  if (!status.ok()) return status.status();
  if (*status == "all") {
    query.all = true;
  } else if (*status == "pending" || *status == "running") {
    query.status =
        *status == "pending" ? RunStatus::kPending : RunStatus::kRunning;
  } else if (!status->empty() || query.runs.empty()) {
    return absl::InvalidArgumentError(
        "give run_ids, with their thread_id, or the status \"pending\", "
        "\"running\" or \"all\"");
  }
  if (absl::Status s = runtime_.CancelMany(query, {.action = *action});
      !s.ok()) {
    return s;
  }
  return HttpResponse{.status = 204};
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
