#include "weir/gateway/gateway.h"

#include <utility>

#include "weir/gateway/internal/api.h"
#include "weir/gateway/internal/http_server.h"
#include "weir/gateway/internal/served_graphs.h"
#include "weir/gateway/internal/wire_state.h"

namespace weir {
inline namespace v0 {

// The server calls the endpoints, which answer through it.
struct Gateway::Rep {
  Rep(Runtime& of, GatewayOptions options)
      : runtime(of),
        api(std::make_shared<internal::Api>(of, options)),
        server(std::make_shared<internal::HttpServer>(
            internal::HttpServerOptions{
                .address = options.address,
                .port = options.port,
                .max_connections = options.max_connections,
                .max_header_bytes = options.max_header_bytes,
                .max_body_bytes = options.max_body_bytes,
                .request_timeout = options.request_timeout,
                .write_timeout = options.write_timeout,
                .io_threads = options.io_threads,
                .call_threads = options.call_threads},
            [weak = std::weak_ptr(api)](
                internal::HttpRequest request,
                std::shared_ptr<internal::HttpExchange> exchange) {
              if (const auto endpoints = weak.lock()) {
                endpoints->Handle(std::move(request), std::move(exchange));
              }
            })) {
    api->set_links(
        {.post =
             [to = server](internal::HttpServer::Job job) {
               to->Post(std::move(job));
             },
         .deliver =
             [to = server](const std::string& url, std::string body) {
               // One that fails changes nothing.
               to->PostJson(url, std::move(body), [](const absl::Status&) {});
             }});
  }

  Runtime& runtime;
  const std::shared_ptr<internal::Api> api;
  const std::shared_ptr<internal::HttpServer> server;
};

Gateway::Gateway(Runtime& runtime, GatewayOptions options)
    : rep_(std::make_unique<Rep>(runtime, std::move(options))) {}

Gateway::~Gateway() { Stop(); }

absl::Status Gateway::Serve(std::string_view name, Graph graph,
                            GraphOptions options) {
  auto served = std::make_shared<internal::ServedGraph>(
      internal::ServedGraph{.name = std::string(name),
                            .assistant_id = internal::AssistantId(name),
                            .graph = graph,
                            .options = std::move(options)});
  absl::Status status = rep_->runtime.Register(name, std::move(graph));
  if (absl::IsAlreadyExists(status)) return status;
  rep_->api->graphs().Add(std::move(served));
  return status;
}

absl::Status Gateway::Start() { return rep_->server->Start(); }
uint16_t Gateway::port() const { return rep_->server->port(); }
void Gateway::Stop(absl::Duration deadline) { rep_->server->Stop(deadline); }

}  // namespace v0
}  // namespace weir
