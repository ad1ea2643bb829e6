#ifndef WEIR_GATEWAY_GATEWAY_H_
#define WEIR_GATEWAY_GATEWAY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "nlohmann/json_fwd.hpp"

#include "weir/channels/value.h"
#include "weir/export.h"
#include "weir/runtime/command.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/runtime.h"

namespace weir {
inline namespace v0 {

// GraphOptions: how a Gateway serves a graph. Every field has a default.
struct GraphOptions {
  std::string description{};
  // An input to begin with, as JSON text, for the page.
  std::string example_input = "{}";
  // Makes the graph's input, and what is written to its state from outside, of
  // a JSON value. By default each field of an object is a channel, and its
  // value becomes the channel's type: numbers, strings, lists, maps, messages,
  // JSON. Set this for channels of types of your own.
  std::function<absl::StatusOr<Update>(const nlohmann::ordered_json&)> input{};
  // Makes what NodeContext::Interrupt<T>() returns of a JSON value. By default
  // a null is a None, true and false are a bool, integers are int64_t, other
  // numbers double, texts std::string; what has parts is an nlohmann::json.
  std::function<absl::StatusOr<Value>(const nlohmann::ordered_json&)> answer{};
};

// GatewayOptions: where a Gateway listens, who may come, and how much it takes.
// Every field has a default.
struct GatewayOptions {
  // An IP address of this machine: only its own programs come to a loopback
  // one, and "0.0.0.0" and "::" are for everybody: set an api_key then.
  std::string address = "127.0.0.1";
  uint16_t port = 2024;  // 0: one that is free.
  // If set, each request but those for the page, /ok and /info must have it in
  // the header `x-api-key`.
  std::string api_key{};
  // From which pages' origins browsers may send requests, besides its own page:
  // "https://example.org", or "*" for all.
  std::vector<std::string> allowed_origins{};
  // Which names clients may call this machine by, in the header `host`. Empty:
  // on a loopback address those of loopback, so that no other name that a
  // browser is made to believe leads here; else all.
  std::vector<std::string> allowed_hosts{};
  // Whether runs may name a `webhook`, an http URL to which the gateway posts
  // their end. It goes wherever the client says, as seen from here.
  bool allow_webhooks = false;

  // Connections at once; more are answered 503 and closed.
  size_t max_connections = 10'000;
  uint32_t max_header_bytes = 16 << 10;  // At most 60 KiB.
  size_t max_body_bytes = 16 << 20;
  // For a whole request to come, from the end of the one before.
  absl::Duration request_timeout = absl::Seconds(60);
  // For a client to take some of what it was sent: of a stream, 64 KiB; of a
  // whole answer, each MiB.
  absl::Duration write_timeout = absl::Seconds(60);
  // How often a stream shows that it lives, where nothing else does.
  absl::Duration heartbeat = absl::Seconds(5);
  // How many events of a run that is not resumable are kept for its readers:
  // StartOptions::window.
  uint64_t window = 65'536;
  // What is kept for a stream's client that does not keep up. The events of a
  // resumable run then wait in its log; the stream of another run ends with an
  // `error` event, StreamLagged.
  size_t max_unsent_bytes = 4 << 20;

  // Threads that read and write connections.
  int io_threads = 1;
  // Threads that make calls of the Runtime, which may wait for its store.
  // Streams, and requests that wait for a run, hold none.
  int call_threads = 4;
};

// Gateway: serves a Runtime over HTTP/1.1 and server-sent events, as
// LangGraph's Agent Server does, so that its clients need no change.
//
//   weir::Gateway gateway(runtime, {.port = 2024});
//   absl::Status s = gateway.Serve("joke", *std::move(graph));
//   if (s.ok()) s = gateway.Start();
//
// There is no TLS: put a proxy before it that has. docs/gateway.md has the
// endpoints and where they differ.
//
// Errors:   a refused request is answered with {"detail": why} and changes
//           nothing.
// Threads:  thread-safe, but for Start() and Stop(), which are the owner's.
// Lifetime: the Runtime must outlive it, and so must what the options hold.
class WEIR_EXPORT Gateway {
 public:
  explicit Gateway(Runtime& runtime, GatewayOptions options = {});
  // Stop(), at once.
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Runtime::Register(), and serves the graph: clients name it as their
  // assistant, by `name` or by the id that has been made of it.
  absl::Status Serve(std::string_view name, Graph graph,
                     GraphOptions options = {});

  // Begins to listen. InvalidArgument for an address that is none; Unavailable:
  // it is not this machine's, or the port is taken.
  absl::Status Start();
  // Where it listens, once started.
  uint16_t port() const;

  // Takes no more connections, cuts streams, whose clients then come back to
  // whoever listens next, and lets other requests end, until the deadline. Runs
  // go on. Idempotent.
  void Stop(absl::Duration deadline = absl::ZeroDuration());

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_GATEWAY_H_
