#include "weir/gateway/internal/api.h"

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "weir/gateway/internal/page.h"
#include "weir/gateway/internal/wire_state.h"
#include "weir/runtime/draw.h"
#include "weir/version.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// Takes as long for every key of one length.
bool IsKey(std::string_view given, std::string_view key) {
  unsigned char differs = given.size() == key.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const char other = key[i % key.size()];
    differs = static_cast<unsigned char>(differs | (given[i] ^ other));
  }
  return differs == 0;
}

// "[::1]:2024" without its port.
std::string_view HostName(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool IsLoopback(std::string_view name) {
  return name == "localhost" || name == "::1" || name == "[::1]" ||
         (name.starts_with("127.") &&
          name.find_first_not_of("0123456789.") == std::string_view::npos);
}

bool Has(const std::vector<std::string>& list, std::string_view what) {
  return std::find(list.begin(), list.end(), what) != list.end();
}

}  // namespace

HttpResponse JsonAnswer(std::string body) {
  return {.fields = {{"content-type", "application/json"}},
          .body = std::move(body)};
}

void RunNotes::Add(const RunId& run, Note note) {
  if (note.kwargs.dump(-1, ' ', false, Json::error_handler_t::replace).size() >
      kMostBytes) {
    note.kwargs = Json::object();
  }
  absl::MutexLock lock(&mutex_);
  if (!notes_.insert_or_assign(run, std::move(note)).second) return;
  oldest_first_.push_back(run);
  if (oldest_first_.size() <= kMost) return;
  notes_.erase(oldest_first_.front());
  oldest_first_.pop_front();
}

void RunNotes::Forget(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  const auto is_meant = [&id](const auto& note) {
    return note.first == id || note.second.thread == id;
  };
  absl::erase_if(notes_, is_meant);  // oldest_first_ forgets them in time.
}

std::optional<RunNotes::Note> RunNotes::Find(const RunId& run) const {
  absl::MutexLock lock(&mutex_);
  const auto it = notes_.find(run);
  if (it == notes_.end()) return std::nullopt;
  return it->second;
}

const std::vector<Api::Route>& Api::Routes() {
  static const auto* const kRoutes = new std::vector<Route>{
      {.method = "GET",
       .path = "/",
       .answers = &Api::Page,
       .waits = false,
       .open = true},
      {.method = "GET",
       .path = "/ok",
       .answers = &Api::Ok,
       .waits = false,
       .open = true},
      {.method = "GET",
       .path = "/info",
       .answers = &Api::Info,
       .waits = false,
       .open = true},
      {.method = "POST",
       .path = "/assistants/search",
       .answers = &Api::SearchAssistants,
       .waits = false},
      {.method = "GET",
       .path = "/assistants/{a}",
       .answers = &Api::GetAssistant,
       .waits = false},
      {.method = "GET",
       .path = "/assistants/{a}/graph",
       .answers = &Api::DrawAssistant,
       .waits = false},
      {.method = "POST", .path = "/threads", .answers = &Api::CreateThread},
      {.method = "POST",
       .path = "/threads/search",
       .answers = &Api::SearchThreads},
      {.method = "POST",
       .path = "/threads/count",
       .answers = &Api::CountThreads},
      {.method = "GET", .path = "/threads/{t}", .answers = &Api::GetThread},
      {.method = "PATCH",
       .path = "/threads/{t}",
       .answers = &Api::UpdateThread},
      {.method = "DELETE", .path = "/threads/{t}", .takes = &Api::DeleteThread},
      {.method = "POST",
       .path = "/threads/{t}/copy",
       .answers = &Api::CopyThread,
       .no_body = true},
      {.method = "GET",
       .path = "/threads/{t}/state",
       .answers = &Api::GetState},
      {.method = "POST",
       .path = "/threads/{t}/state",
       .answers = &Api::UpdateState},
      {.method = "POST",
       .path = "/threads/{t}/state/checkpoint",
       .answers = &Api::GetStateAt},
      {.method = "GET",
       .path = "/threads/{t}/state/{c}",
       .answers = &Api::GetStateAt},
      {.method = "GET",
       .path = "/threads/{t}/history",
       .answers = &Api::GetHistory},
      {.method = "POST",
       .path = "/threads/{t}/history",
       .answers = &Api::GetHistory},
      {.method = "GET",
       .path = "/threads/{t}/stream",
       .takes = &Api::JoinThreadStream},
      {.method = "POST",
       .path = "/threads/{t}/runs",
       .answers = &Api::StartRun},
      {.method = "GET", .path = "/threads/{t}/runs", .answers = &Api::ListRuns},
      {.method = "POST",
       .path = "/threads/{t}/runs/stream",
       .takes = &Api::StreamRun},
      {.method = "POST",
       .path = "/threads/{t}/runs/wait",
       .takes = &Api::WaitRun},
      {.method = "GET",
       .path = "/threads/{t}/runs/{r}",
       .answers = &Api::GetRun},
      {.method = "DELETE",
       .path = "/threads/{t}/runs/{r}",
       .answers = &Api::DeleteRun},
      {.method = "GET",
       .path = "/threads/{t}/runs/{r}/join",
       .takes = &Api::Join},
      {.method = "GET",
       .path = "/threads/{t}/runs/{r}/stream",
       .takes = &Api::JoinStream},
      {.method = "POST",
       .path = "/threads/{t}/runs/{r}/cancel",
       .takes = &Api::Cancel,
       .no_body = true},
      {.method = "POST", .path = "/runs", .answers = &Api::StartRun},
      {.method = "POST", .path = "/runs/stream", .takes = &Api::StreamRun},
      {.method = "POST", .path = "/runs/wait", .takes = &Api::WaitRun},
      {.method = "POST", .path = "/runs/batch", .answers = &Api::StartBatch},
      {.method = "POST", .path = "/runs/cancel", .answers = &Api::CancelMany},
      {.method = "GET",
       .path = "/runs/{r}/stream",
       .takes = &Api::JoinStatelessStream},
  };
  return *kRoutes;
}

const Api::Route* Api::FindRoute(const HttpRequest& request,
                                 const HttpPath& path, ApiCall* call,
                                 std::string* allowed) {
  for (const Route& route : Routes()) {
    std::string_view rest = route.path.substr(1);
    ThreadId thread;
    std::string id;
    size_t at = 0;
    bool same = true;
    for (; same && !rest.empty(); ++at) {
      const size_t slash = std::min(rest.find('/'), rest.size());
      const std::string_view part = rest.substr(0, slash);
      rest.remove_prefix(std::min(slash + 1, rest.size()));
      if (at == path.parts.size()) {
        same = false;
      } else if (part == "{t}") {
        thread = path.parts[at];
      } else if (part.starts_with('{')) {
        id = path.parts[at];
      } else {
        same = part == path.parts[at];
      }
    }
    if (!same || at != path.parts.size()) continue;
    const bool is_head = request.method == "HEAD" && route.method == "GET" &&
                         route.answers != nullptr;
    if (route.method != request.method && !is_head) {
      if (!absl::StrContains(*allowed, std::string(route.method))) {
        absl::StrAppend(allowed, allowed->empty() ? "" : ", ",
                        std::string(route.method));
      }
      continue;
    }
    call->thread = std::move(thread);
    call->id = std::move(id);
    return &route;
  }
  return nullptr;
}

bool Api::IsOwnOrigin(const HttpRequest& request,
                      std::string_view origin) const {
  const std::string_view host = request.Field("host");
  return origin == absl::StrCat("http://", std::string(host)) ||
         origin == absl::StrCat("https://", std::string(host));
}

absl::Status Api::CheckCaller(const HttpRequest& request, bool open) const {
  const std::string_view host = HostName(request.Field("host"));
  const bool known_host = options_.allowed_hosts.empty()
                              ? !IsLoopback(options_.address) ||
                                    request.Field("host").empty() ||
                                    IsLoopback(host)
                              : Has(options_.allowed_hosts, host);
  if (!known_host) {
    return absl::PermissionDeniedError(absl::StrFormat(
        "this is not '%s': name it in GatewayOptions::allowed_hosts if it is",
        host));
  }
  const std::string_view origin = request.Field("origin");
  if (!origin.empty() && !IsOwnOrigin(request, origin) &&
      !Has(options_.allowed_origins, origin) &&
      !Has(options_.allowed_origins, "*")) {
    return absl::PermissionDeniedError(
        absl::StrFormat("pages from '%s' may not call this: name it in "
                        "GatewayOptions::allowed_origins if they may",
                        origin));
  }
  if (!open && !options_.api_key.empty() &&
      !IsKey(request.Field("x-api-key"), options_.api_key)) {
    return absl::UnauthenticatedError(
        request.Field("x-api-key").empty()
            ? "send the key in the header x-api-key"
            : "x-api-key: this is not the key");
  }
  return absl::OkStatus();
}

HttpFields Api::CorsFields(const HttpRequest& request) const {
  const std::string_view origin = request.Field("origin");
  if (origin.empty() || (!Has(options_.allowed_origins, origin) &&
                         !Has(options_.allowed_origins, "*"))) {
    return {};
  }
  return {{"access-control-allow-origin", std::string(origin)},
          {"access-control-expose-headers",
           "content-location, location, x-pagination-total, "
           "x-pagination-next"},
          {"vary", "origin"}};
}

void Api::Fail(const HttpRequest& request, HttpExchange& exchange,
               const absl::Status& status) const {
  HttpResponse response = JsonAnswer(ErrorBody(status));
  response.status = HttpStatus(status);
  for (auto& field : CorsFields(request)) {
    response.fields.push_back(std::move(field));
  }
  exchange.Reply(std::move(response));
}

void Api::Handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
  absl::StatusOr<HttpPath> path = ParseHttpPath(request.target);
  if (!path.ok()) return Fail(request, *exchange, path.status());
  auto call = std::make_shared<ApiCall>();
  std::string allowed;
  const Route* const route = FindRoute(request, *path, call.get(), &allowed);
  if (absl::Status s = CheckCaller(request, (route != nullptr && route->open) ||
                                                request.method == "OPTIONS");
      !s.ok()) {
    return Fail(request, *exchange, s);
  }
  if (request.method == "OPTIONS") {
    HttpResponse response{.status = 204, .fields = CorsFields(request)};
    if (!response.fields.empty()) {
      response.fields.emplace_back("access-control-allow-methods",
                                   "GET, POST, PATCH, DELETE");
      response.fields.emplace_back(
          "access-control-allow-headers",
          std::string(request.Field("access-control-request-headers")));
      response.fields.emplace_back("access-control-max-age", "600");
    }
    response.fields.emplace_back("allow", allowed);
    return exchange->Reply(std::move(response));
  }
  if (route == nullptr) {
    HttpResponse response = JsonAnswer(ErrorBody(absl::NotFoundError(
        absl::StrFormat("there is no %s %s", request.method, request.target))));
    response.status = 404;
    for (auto& field : CorsFields(request)) {
      response.fields.push_back(std::move(field));
    }
    if (!allowed.empty()) {
      response.status = 405;
      response.fields.emplace_back("allow", allowed);
    }
    return exchange->Reply(std::move(response));
  }
  call->request = std::move(request);
  call->path = *std::move(path);
  call->exchange = std::move(exchange);
  if (!route->waits) return Run(*route, std::move(call));
  links_.post([self = shared_from_this(), route, call = std::move(call)] {
    self->Run(*route, call);
  });
}

void Api::Run(const Route& route, std::shared_ptr<ApiCall> call) {
  const auto check = [&call, &route]() -> absl::Status {
    if (absl::StrContains(std::string(route.path), "{t}") &&
        !IsUuid(call->thread)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("thread_id: '%s' is no UUID", call->thread));
    }
    if (absl::StrContains(std::string(route.path), "{r}") &&
        !IsUuid(call->id)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("run_id: '%s' is no UUID", call->id));
    }
    call->body = Json::object();
    if (call->request.body.empty()) {
      if (route.method == "GET" || route.method == "DELETE" || route.no_body) {
        return absl::OkStatus();
      }
      return absl::InvalidArgumentError(
          "the body is empty; send JSON, {} if there is nothing to say");
    }
    absl::StatusOr<Json> body = ParseJson(call->request.body);
    if (!body.ok()) return body.status();
    if (!body->is_object() && route.answers != &Api::StartBatch) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "the body must be an object, and is %s", ShownJson(*body)));
    }
    call->body = *std::move(body);
    call->request.body = {};
    return absl::OkStatus();
  };
  absl::Status status = check();
  if (status.ok() && route.takes != nullptr) {
    status = (this->*route.takes)(*call);
  } else if (status.ok()) {
    absl::StatusOr<HttpResponse> response = (this->*route.answers)(*call);
    if (response.ok()) {
      for (auto& field : CorsFields(call->request)) {
        response->fields.push_back(std::move(field));
      }
      call->exchange->Reply(*std::move(response));
      return;
    }
    status = std::move(response).status();
  }
  if (!status.ok()) Fail(call->request, *call->exchange, status);
}

absl::StatusOr<HttpResponse> Api::Page(ApiCall&) {
  // What runs on the page is what came with it.
  std::random_device random;
  const std::string nonce = absl::StrFormat("%08x%08x%08x%08x", random(),
                                            random(), random(), random());
  return HttpResponse{
      .fields = {{"content-type", "text/html; charset=utf-8"},
                 {"content-security-policy",
                  absl::StrFormat("default-src 'none'; script-src 'nonce-%s'; "
                                  "style-src 'nonce-%s'; connect-src 'self'; "
                                  "base-uri 'none'; form-action 'none'; "
                                  "frame-ancestors 'none'",
                                  nonce, nonce)},
                 {"x-content-type-options", "nosniff"},
                 {"referrer-policy", "no-referrer"},
                 {"cache-control", "no-store"}},
      .body = PageText(nonce)};
}

absl::StatusOr<HttpResponse> Api::Ok(ApiCall&) {
  return JsonAnswer(R"({"ok": true})");
}

absl::StatusOr<HttpResponse> Api::Info(ApiCall&) {
  return JsonAnswer(absl::StrFormat(
      R"({"name": "weir", "version": "%s", "flags": {"assistants": true, "crons": false, "api_key": %s}})",
      kVersion, options_.api_key.empty() ? "false" : "true"));
}

namespace {

Json AssistantJson(const ServedGraph& graph) {
  return {{"assistant_id", graph.assistant_id},
          {"graph_id", graph.name},
          {"name", graph.name},
          {"description", graph.options.description},
          {"config", Json::object()},
          {"context", Json::object()},
          {"metadata",
           {{"created_by", "system"},
            {"example_input", graph.options.example_input}}},
          {"version", std::max(graph.graph.version(), 1)}};
}

// Nodes and edges as the Agent Server names them; and of which graph a node is,
// if it is one.
Json ShapeJson(const GraphShape& shape) {
  Json nodes = Json::array();
  for (const GraphShape::Node& node : shape.nodes) {
    Json one = {{"id", node.name},
                {"type", "runnable"},
                {"data", {{"name", node.name}}}};
    if (node.graph != nullptr) one["graph"] = ShapeJson(*node.graph);
    nodes.push_back(std::move(one));
  }
  Json edges = Json::array();
  for (const GraphShape::Edge& edge : shape.edges) {
    Json one = {{"source", edge.from}, {"target", edge.to}};
    if (!edge.label.empty()) one["data"] = edge.label;
    if (edge.kind == EdgeKind::kChoice || edge.kind == EdgeKind::kAnywhere) {
      one["conditional"] = true;
    }
    if (edge.kind == EdgeKind::kAnywhere) {
      one["anywhere"] = true;  // weir's own: nothing is declared.
    }
    edges.push_back(std::move(one));
  }
  return {{"nodes", std::move(nodes)}, {"edges", std::move(edges)}};
}

}  // namespace

absl::StatusOr<HttpResponse> Api::SearchAssistants(ApiCall& call) {
  const absl::StatusOr<std::string> wanted = TextField(call.body, "graph_id");
  if (!wanted.ok()) return wanted.status();
  Json found = Json::array();
  for (const ServedGraphs::Ptr& graph : graphs_.all()) {
    if (wanted->empty() || graph->name == *wanted) {
      found.push_back(AssistantJson(*graph));
    }
  }
  return JsonAnswer(JsonText(found));
}

absl::StatusOr<HttpResponse> Api::GetAssistant(ApiCall& call) {
  const absl::StatusOr<ServedGraphs::Ptr> graph = graphs_.Find(call.id);
  if (!graph.ok()) return graph.status();
  return JsonAnswer(JsonText(AssistantJson(**graph)));
}

absl::StatusOr<HttpResponse> Api::DrawAssistant(ApiCall& call) {
  const absl::StatusOr<ServedGraphs::Ptr> graph = graphs_.Find(call.id);
  if (!graph.ok()) return graph.status();
  return JsonAnswer(JsonText(ShapeJson(ShapeOf((*graph)->graph))));
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
