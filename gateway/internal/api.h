#ifndef WEIR_GATEWAY_INTERNAL_API_H_
#define WEIR_GATEWAY_INTERNAL_API_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "weir/gateway/gateway.h"
#include "weir/gateway/internal/http_path.h"
#include "weir/gateway/internal/http_server.h"
#include "weir/gateway/internal/json.h"
#include "weir/gateway/internal/run_request.h"
#include "weir/gateway/internal/served_graphs.h"
#include "weir/gateway/internal/wire_events.h"
#include "weir/runtime/runtime.h"

namespace weir {
inline namespace v0 {
namespace internal {

// What is remembered of the runs that clients have created, besides what the
// Runtime has: the newest of them.
//
// Threads: thread-safe.
class RunNotes {
 public:
  struct Note {
    ThreadId thread{};
    Json kwargs{};
  };

  void Add(const RunId& run, Note note);
  std::optional<Note> Find(const RunId& run) const;
  // Those of the run, or of the thread, of this id.
  void Forget(const std::string& id);

 private:
  static constexpr size_t kMost = 10'000;
  static constexpr size_t kMostBytes = 64 << 10;  // Of one's kwargs.

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<RunId, Note> notes_ ABSL_GUARDED_BY(mutex_);
  std::deque<RunId> oldest_first_ ABSL_GUARDED_BY(mutex_);
};

HttpResponse JsonAnswer(std::string body);

// A request on its way to its endpoint.
// NOLINTNEXTLINE(bugprone-exception-escape): moved JSON asserts its invariant.
struct ApiCall {
  HttpRequest request{};
  HttpPath path{};
  // The parts of the path that are ids.
  ThreadId thread{};
  std::string id{};  // Of a run, a checkpoint or an assistant.
  Json body{};       // Of a request that has one; else an empty object.
  std::shared_ptr<HttpExchange> exchange{};
};

// Api: the endpoints: who may call them, and what they do with the Runtime.
//
// Source:   LangGraph's Agent Server API; docs/gateway.md has the table.
//
// Threads:  thread-safe.
// Lifetime: calls under way share it.
class Api : public std::enable_shared_from_this<Api> {
 public:
  Api(Runtime& runtime, GatewayOptions options)
      : runtime_(runtime), options_(std::move(options)) {}

  ServedGraphs& graphs() { return graphs_; }
  // What it needs of a server, before any request comes: to have jobs run that
  // may wait, and to have JSON posted to an http URL.
  struct Links {
    std::function<void(HttpServer::Job)> post{};
    std::function<void(const std::string& url, std::string body)> deliver{};
  };
  void set_links(Links links) { links_ = std::move(links); }

  void Handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange);

  // An endpoint. `Answers` returns its answer; one that `Takes` the exchange
  // answers itself, unless it returns an error.
  using Answers = absl::StatusOr<HttpResponse> (Api::*)(ApiCall&);
  using Takes = absl::Status (Api::*)(ApiCall&);
  struct Route {
    std::string_view method;
    std::string_view path;  // "{t}", "{r}", "{c}" and "{a}" stand for ids.
    Answers answers = nullptr;
    Takes takes = nullptr;
    bool waits = true;     // Whether it may call the Runtime.
    bool open = false;     // Needs no key.
    bool no_body = false;  // It may come without a body.
  };

 private:
  static const Route* FindRoute(const HttpRequest& request,
                                const HttpPath& path, ApiCall* call,
                                std::string* allowed);
  static const std::vector<Route>& Routes();

  absl::Status CheckCaller(const HttpRequest& request, bool open) const;
  // Headers that let a browser's page read the answer; none for others.
  HttpFields CorsFields(const HttpRequest& request) const;
  bool IsOwnOrigin(const HttpRequest& request, std::string_view origin) const;
  void Run(const Route& route, std::shared_ptr<ApiCall> call);
  void Fail(const HttpRequest& request, HttpExchange& exchange,
            const absl::Status& status) const;

  // The endpoints, in the order of Routes().
  absl::StatusOr<HttpResponse> Page(ApiCall& call);
  absl::StatusOr<HttpResponse> Ok(ApiCall& call);
  absl::StatusOr<HttpResponse> Info(ApiCall& call);
  absl::StatusOr<HttpResponse> SearchAssistants(ApiCall& call);
  absl::StatusOr<HttpResponse> GetAssistant(ApiCall& call);
  absl::StatusOr<HttpResponse> DrawAssistant(ApiCall& call);
  absl::StatusOr<HttpResponse> CreateThread(ApiCall& call);
  absl::StatusOr<HttpResponse> SearchThreads(ApiCall& call);
  absl::StatusOr<HttpResponse> CountThreads(ApiCall& call);
  absl::StatusOr<HttpResponse> GetThread(ApiCall& call);
  absl::StatusOr<HttpResponse> UpdateThread(ApiCall& call);
  absl::Status DeleteThread(ApiCall& call);
  absl::StatusOr<HttpResponse> CopyThread(ApiCall& call);
  absl::StatusOr<HttpResponse> GetState(ApiCall& call);
  absl::StatusOr<HttpResponse> GetStateAt(ApiCall& call);
  absl::StatusOr<HttpResponse> UpdateState(ApiCall& call);
  absl::StatusOr<HttpResponse> GetHistory(ApiCall& call);
  absl::Status JoinThreadStream(ApiCall& call);
  absl::StatusOr<HttpResponse> StartRun(ApiCall& call);
  absl::Status StreamRun(ApiCall& call);
  absl::Status WaitRun(ApiCall& call);
  absl::StatusOr<HttpResponse> ListRuns(ApiCall& call);
  absl::StatusOr<HttpResponse> GetRun(ApiCall& call);
  absl::StatusOr<HttpResponse> DeleteRun(ApiCall& call);
  absl::Status Join(ApiCall& call);
  absl::Status JoinStream(ApiCall& call);
  absl::Status Cancel(ApiCall& call);
  absl::StatusOr<HttpResponse> CancelMany(ApiCall& call);
  absl::StatusOr<HttpResponse> StartBatch(ApiCall& call);
  absl::Status JoinStatelessStream(ApiCall& call);

  absl::StatusOr<RunRequest> ReadRun(const Json& body, bool stateless);
  absl::StatusOr<ServedGraphs::Ptr> GraphOf(const ThreadInfo& thread) const;
  // Whether a thread without a state has none, or one that nobody can read.
  absl::Status CheckRead(const ThreadInfo& thread) const;
  absl::StatusOr<StateUpdate> StateUpdateOf(const ServedGraph& graph,
                                            const Json& update) const;
  absl::StatusOr<std::string> ThreadText(const ThreadInfo& thread) const;
  // What a reader sees who gets all modes that the run was created with.
  WireEvents ViewOf(const ThreadId& thread, const RunId& run);
  WireEvents ViewOf(const RunInfo& run, uint32_t modes) const;
  absl::StatusOr<HttpResponse> StateAnswer(ApiCall& call,
                                           std::optional<CheckpointRef> at,
                                           bool subgraphs);
  std::string RunText(const RunInfo& run) const;
  absl::Status StreamTo(ApiCall& call, const RunInfo& run, RunStream stream,
                        uint32_t modes, HttpResponse head, int64_t seen,
                        bool cancels);
  void BeginWait(ApiCall& call, HttpResponse head, std::function<void()> left);
  void WaitFor(ApiCall& call, const RunInfo& run, HttpResponse head,
               bool cancels);
  // Calls `then` once none of the runs runs any more, somewhere that may wait.
  void WhenEnded(std::vector<RunInfo> runs, std::function<void()> then);
  void AddWebhook(RunRequest& request);

  Runtime& runtime_;
  const GatewayOptions options_;
  Links links_;
  ServedGraphs graphs_;
  RunNotes notes_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_API_H_
