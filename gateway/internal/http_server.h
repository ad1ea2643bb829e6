#ifndef WEIR_GATEWAY_INTERNAL_HTTP_SERVER_H_
#define WEIR_GATEWAY_INTERNAL_HTTP_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

// HTTP/1.1 for the gateway: connections, requests and answers, and nothing of
// weir. What is on the wire is Boost.Beast's.
namespace weir {
inline namespace v0 {
namespace internal {

using HttpFields = std::vector<std::pair<std::string, std::string>>;

// A request that has come whole.
struct HttpRequest {
  std::string method{};
  std::string target{};  // As it came: the path, and what follows a '?'.
  HttpFields fields{};   // Names in lower case.
  std::string body{};

  // The first of that name, in lower case; "" if there is none.
  std::string_view Field(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  HttpFields fields{};
  std::string body{};
};

// HttpExchange: a request's answer, which may come at any time: whole by
// Reply(), or in parts.
//
// Threads:  thread-safe.
// Lifetime: if it is dropped without an answer the connection is cut.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;

  // The answer. No other call after this.
  virtual void Reply(HttpResponse response) = 0;

  // An answer in parts: its head and first part, more of them, and the end.
  // `keep_alive` is sent whenever nothing else was for so long.
  virtual void Begin(HttpResponse head, std::string keep_alive,
                     absl::Duration every) = 0;
  virtual void Write(std::string_view bytes) = 0;
  virtual void End() = 0;
  // Cuts the connection, so that the client sees that this was not the end.
  virtual void Cut() = 0;

  // How much has been written and not been sent.
  virtual size_t unsent() const = 0;
  // Before Begin(). `left` is called if the client goes before End(), and
  // `sent` each time when all has been sent; on an I/O thread, and not after
  // End() or Cut() but for calls under way.
  virtual void Watch(std::function<void()> left,
                     std::function<void()> sent) = 0;
};

struct HttpServerOptions {
  std::string address{};
  uint16_t port = 0;
  size_t max_connections = 0;
  uint32_t max_header_bytes = 0;
  size_t max_body_bytes = 0;
  absl::Duration request_timeout{};
  absl::Duration write_timeout{};
  int io_threads = 1;
  int call_threads = 1;
};

// HttpServer: listens, and calls `handler` for each request, on an I/O thread.
// A connection's requests are answered one after another.
//
// Threads:  Start() and Stop() are the owner's; the rest is thread-safe.
class HttpServer {
 public:
  using Handler = std::function<void(HttpRequest request,
                                     std::shared_ptr<HttpExchange> exchange)>;
  using Job = absl::AnyInvocable<void()>;

  HttpServer(HttpServerOptions options, Handler handler);
  ~HttpServer();

  absl::Status Start();
  uint16_t port() const;
  // See Gateway::Stop(). Afterwards no handler is called, and no job runs.
  void Stop(absl::Duration deadline);

  // Runs `job`, which may wait, on a thread for that. Dropped after Stop().
  void Post(Job job);
  // Sends a request with this JSON body to an http URL, and forgets it.
  // `done` is called with what came of it, unless Stop() comes first.
  void PostJson(const std::string& url, std::string body,
                std::function<void(absl::Status)> done);

 private:
  struct Rep;
  std::shared_ptr<Rep> rep_;
};

// The request that these bytes begin with, as the server reads it; nothing if
// they are none.
std::optional<HttpRequest> ReadRequestForTesting(std::string_view bytes,
                                                 uint32_t max_header_bytes,
                                                 size_t max_body_bytes);

// Splits an http URL; InvalidArgument for what is none.
struct HttpUrl {
  std::string host{};
  std::string port{};
  std::string target{};
};
absl::Status ParseHttpUrl(std::string_view text, HttpUrl* url);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_HTTP_SERVER_H_
