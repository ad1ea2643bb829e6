// Requests of HTTP clients: what is on the wire, and what the endpoints make of
// it, on a Runtime whose runs run when a call waits for them.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzz.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/channels/nlohmann_json.h"
#include "weir/gateway/internal/api.h"
#include "weir/gateway/internal/http_server.h"
#include "weir/gateway/internal/wire_state.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

using internal::HttpRequest;
using internal::HttpResponse;

// A client that takes what comes.
class Answer final : public internal::HttpExchange {
 public:
  void Reply(HttpResponse response) override {
    Require(++replies_ == 1, "a second answer");
    Require(response.status >= 200 && response.status < 600, "a status");
    const bool is_json = !response.fields.empty() &&
                         response.fields.front().second == "application/json";
    if (is_json) {
      Require(nlohmann::json::accept(response.body), "an answer is no JSON");
    }
    if (response.status >= 400) {
      Require(response.status != 500, response.body);
      Require(response.body.find("\"detail\"") != std::string::npos,
              "no reason is given");
    }
  }
  void Begin(HttpResponse, std::string, absl::Duration) override {
    Require(++replies_ == 1, "a second answer");
  }
  void Write(std::string_view) override {}
  void End() override {}
  void Cut() override {}
  size_t unsent() const override { return 0; }
  void Watch(std::function<void()>, std::function<void()>) override {}

 private:
  int replies_ = 0;
};

struct World {
  World() {
    StateGraph builder;
    builder.AddChannel("text", LastValue<std::string>());
    builder.AddChannel("number", LastValue<int>());
    builder.AddChannel("list", AppendLogChannel<std::string>());
    builder.AddChannel("messages", Messages());
    builder.AddChannel("json", LastValue<nlohmann::json>());
    builder.AddNode("node", [](NodeContext&) { return Update(); });
    builder.AddEdge(kStart, "node");
    Graph graph = *builder.Compile();
    api->graphs().Add(std::make_shared<internal::ServedGraph>(
        internal::ServedGraph{.name = "graph",
                              .assistant_id = internal::AssistantId("graph"),
                              .graph = graph}));
    Require(runtime.Register("graph", graph).ok(), "the graph");
    api->set_links(
        {.post = [](internal::HttpServer::Job job) { std::move(job)(); },
         .deliver = [](const std::string&, std::string) {}});
    Require(runtime
                .CreateThread({.id = "00000000-0000-7000-8000-000000000001",
                               .graph = "graph"})
                .ok(),
            "the thread");
  }

  InlineExecutor executor;
  uint64_t ids = 1;
  Runtime runtime{{.executor = &executor, .new_id = [this] {
                     return absl::StrFormat("00000000-0000-7000-8000-%012d",
                                            ++ids);
                   }}};
  std::shared_ptr<internal::Api> api =
      std::make_shared<internal::Api>(runtime, GatewayOptions());
};

std::string Request(std::string_view method, std::string_view target,
                    std::string_view body) {
  return absl::StrCat(std::string(method), " ", std::string(target),
                      " HTTP/1.1\r\nhost: localhost\r\nlast-event-id: 3\r\n"
                      "content-length: ",
                      body.size(), "\r\n\r\n", std::string(body));
}

}  // namespace

std::vector<std::string> Seeds() {
  const std::string thread = "/threads/00000000-0000-7000-8000-000000000001";
  const std::string run = thread + "/runs/00000000-0000-7000-8000-000000000002";
  std::vector<std::string> seeds = {
      Request("GET", "/", ""),
      Request("GET", "/info", ""),
      Request("POST", "/assistants/search", "{}"),
      Request("GET", "/assistants/graph/graph", ""),
      Request(
          "POST", "/threads",
          R"({"metadata": {"a": [1, null]}, "if_exists": "do_nothing",)"
          R"( "ttl": {"ttl": 5}, "graph_id": "graph", "supersteps":)"
          R"( [{"updates": [{"values": {"text": "a"}, "as_node": "node"}]}]})"),
      Request("POST", "/threads/search",
              R"({"status": "idle", "limit": 3, "sort_by": "updated_at",)"
              R"( "metadata": {"a": 1}, "values": {"text": "x"}})"),
      Request("PATCH", thread, R"({"metadata": {"b": "\u00e9"}})"),
      Request("POST", thread + "/copy", ""),
      Request("GET", thread + "/state?subgraphs=true", ""),
      Request("POST", thread + "/state",
              R"({"values": {"list": ["a"], "messages": [{"role": "user",)"
              R"( "content": "hi"}]}, "as_node": "node"})"),
      Request("GET", thread + "/history?limit=2", ""),
      Request("POST", thread + "/history",
              R"({"before": {"configurable": {"checkpoint_id":)"
              R"( "00000000-0000-0001-0000-000000000000"}}, "limit": 2})"),
      Request("GET", thread + "/stream?stream_modes=lifecycle,run_modes", ""),
      Request("GET", thread + "/runs?limit=1&status=pending", ""),
      Request("GET", run, ""),
      Request("DELETE", run, ""),
      Request("GET", run + "/join?cancel_on_disconnect=1", ""),
      Request("GET", run + "/stream?stream_mode=[\"values\"]", ""),
      Request("POST", run + "/cancel?wait=1&action=rollback", ""),
      Request("POST", "/runs/cancel", R"({"status": "all"})"),
      Request("POST", "/runs/batch", R"([{"assistant_id": "graph"}])")};
  for (const char* path : {"/runs", "/runs/wait", "/runs/stream"}) {
    seeds.push_back(Request(
        "POST", thread + path,
        R"({"assistant_id": "graph", "input": {"text": "a", "number": 1,)"
        R"( "json": {"x": [1.5]}}, "stream_mode": ["messages", "events"],)"
        R"( "stream_resumable": true, "config": {"recursion_limit": 5},)"
        R"( "interrupt_before": "*", "multitask_strategy": "reject",)"
        R"( "after_seconds": 1, "metadata": {"k": "v"}, "context": {"c": 1}})"));
    seeds.push_back(Request(
        "POST", path,
        R"({"assistant_id": "graph", "command": {"resume": {"a": 1},)"
        R"( "update": [["text", "b"]], "goto": [{"node": "node", "input":)"
        R"( {"text": "c"}}, "node"]}, "on_completion": "keep"})"));
  }
  return seeds;
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;  // NOLINT(google-build-using-namespace)
  std::optional<HttpRequest> request = weir::internal::ReadRequestForTesting(
      {reinterpret_cast<const char*>(data), size}, 2'048, 4'096);
  if (!request.has_value()) return 0;
  // One world serves many requests, which leave little behind.
  static std::unique_ptr<World> world;
  static int served = 0;
  if (world == nullptr || ++served % 100 == 0) {
    world = nullptr;
    world = std::make_unique<World>();
  }
  world->api->Handle(*std::move(request), std::make_shared<Answer>());
  return 0;
}
