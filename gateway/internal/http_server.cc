#include "weir/gateway/internal/http_server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <unordered_set>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/strand.hpp"
#include "boost/asio/thread_pool.hpp"
#include "boost/asio/write.hpp"
#include "boost/beast/core.hpp"
#include "boost/beast/http.hpp"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
namespace net = boost::asio;
using tcp = net::ip::tcp;
using boost::system::error_code;

std::string_view View(beast::string_view text) {
  return {text.data(), text.size()};
}

std::chrono::nanoseconds Chrono(absl::Duration duration) {
  return absl::ToChronoNanoseconds(
      std::clamp(duration, absl::Milliseconds(1), absl::Hours(24 * 365)));
}

// What a request that is none is answered with; 0: nothing.
int StatusOf(const error_code& error) {
  if (error == http::error::header_limit) return 431;
  if (error == http::error::body_limit) return 413;
  if (error == http::error::end_of_stream ||
      error == http::error::partial_message) {
    return 0;
  }
  return error.category() == make_error_code(http::error::bad_method).category()
             ? 400
             : 0;
}

std::string_view Explain(int status) {
  switch (status) {
    case 431:
      return R"({"detail": "the request's header is too large"})";
    case 413:
      return R"({"detail": "the request's body is too large"})";
    case 503:
      return R"({"detail": "too many connections; try again later"})";
    default:
      return R"({"detail": "this is not an HTTP/1.1 request"})";
  }
}

HttpRequest RequestOf(http::request<http::string_body> message) {
  HttpRequest request;
  request.method = std::string(View(message.method_string()));
  request.target = std::string(View(message.target()));
  for (const auto& field : message) {
    request.fields.emplace_back(
        absl::AsciiStrToLower(absl::string_view(field.name_string().data(),
                                                field.name_string().size())),
        std::string(View(field.value())));
  }
  request.body = std::move(message.body());
  return request;
}

}  // namespace

struct HttpServer::Rep : std::enable_shared_from_this<Rep> {
  class Connection;
  class Exchange;
  class Delivery;

  Rep(HttpServerOptions options_in, Handler handler_in)
      : options(std::move(options_in)),
        handler(std::move(handler_in)),
        context(options.io_threads),
        runs(context.get_executor()),
        acceptor(net::make_strand(context)),
        retry(acceptor.get_executor()),
        calls(std::make_unique<net::thread_pool>(
            static_cast<size_t>(std::max(options.call_threads, 1)))) {}

  absl::Status Listen();
  void Accept();
  void Stop(absl::Duration deadline);

  // False if it is one too many.
  bool Add(Connection* connection) {
    absl::MutexLock lock(&mutex);
    connections.insert(connection);
    return !stopping && connections.size() <= options.max_connections;
  }
  void Remove(Connection* connection) {
    absl::MutexLock lock(&mutex);
    connections.erase(connection);
  }
  bool is_stopping() {
    absl::MutexLock lock(&mutex);
    return stopping;
  }
  bool has_stopped() {
    absl::MutexLock lock(&mutex);
    return stopped;
  }

  const HttpServerOptions options;
  const Handler handler;
  net::io_context context;
  // Until Stop(): answers may come when nothing else is left to be done.
  const net::executor_work_guard<net::io_context::executor_type> runs;
  tcp::acceptor acceptor;
  net::steady_timer retry;
  std::vector<std::thread> threads;
  uint16_t port = 0;

  absl::Mutex mutex;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  bool stopped ABSL_GUARDED_BY(mutex) = false;  // Nothing runs any more.
  std::unique_ptr<net::thread_pool> calls ABSL_GUARDED_BY(mutex);
  // The open ones. They take themselves out.
  std::unordered_set<Connection*> connections ABSL_GUARDED_BY(mutex);
};

// A client's connection: reads a request, waits for its answer, sends it, and
// reads the next.
//
// Threads:  the private methods run on the strand; the others anywhere.
// Lifetime: whatever is to come holds it: an operation, or the exchange.
class HttpServer::Rep::Connection final
    : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Rep> of, tcp::socket socket)
      : rep_(std::move(of)), stream_(std::move(socket)), timer_(strand()) {}
  ~Connection() { rep_->Remove(this); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Start() {
    error_code ignored;
    stream_.socket().set_option(tcp::no_delay(true), ignored);
    Run([](Connection& c) { c.ReadHeader(); });
  }

  // Answers no request, and closes.
  void Refuse(int status) {
    Run([status](Connection& c) { c.SendRefusal(status); });
  }

  void Reply(HttpResponse response) {
    Run([response = std::move(response)](Connection& c) mutable {
      c.SendWhole(std::move(response));
    });
  }

  void Watch(std::function<void()> left, std::function<void()> sent) {
    absl::MutexLock lock(&mutex_);
    if (left) left_ = std::make_shared<const Call>(std::move(left));
    if (sent) sent_ = std::make_shared<const Call>(std::move(sent));
  }

  void Begin(HttpResponse head, std::string keep_alive, absl::Duration every) {
    {
      absl::MutexLock lock(&mutex_);
      pending_.append(head.body);
    }
    Run([head = std::move(head), keep_alive = std::move(keep_alive),
         every](Connection& c) mutable {
      c.SendHead(std::move(head), std::move(keep_alive), every);
    });
  }

  void Write(std::string_view bytes) {
    {
      absl::MutexLock lock(&mutex_);
      if (over_) return;
      pending_.append(bytes);
      if (std::exchange(kicked_, true)) return;
    }
    Run([](Connection& c) { c.Send(); });
  }

  void End() {
    {
      absl::MutexLock lock(&mutex_);
      if (over_) return;
      ends_ = true;
    }
    Run([](Connection& c) { c.Send(); });
  }

  void Cut() {
    Run([](Connection& c) { c.Close(); });
  }

  // The server stops: `now`, or when the answer has been sent that is due.
  void Leave(bool now) {
    Run([now](Connection& c) {
      c.keep_open_ = false;
      if (now || c.state_ != State::kAnswering) c.Close();
    });
  }

  size_t unsent() {
    absl::MutexLock lock(&mutex_);
    return pending_.size() + sending_bytes_;
  }

 private:
  using Call = std::function<void()>;
  static constexpr size_t kMostAtOnce = 64 << 10;
  enum class State { kReading, kAnswering, kStreaming, kClosed };

  net::any_io_executor strand() { return stream_.get_executor(); }

  template <class F>
  void Run(F f) {
    // What is posted then would never run, and keep alive what it is posted to.
    if (rep_->has_stopped()) return;
    net::dispatch(strand(), [self = shared_from_this(),
                             f = std::move(f)]() mutable { f(*self); });
  }

  void ReadHeader() {
    if (state_ == State::kClosed) return;
    state_ = State::kReading;
    is_head_ = false;
    parser_.emplace();
    // Beast's own limit of a field is 64 KiB.
    parser_->header_limit(std::min(rep_->options.max_header_bytes, 60u << 10));
    parser_->body_limit(rep_->options.max_body_bytes);
    stream_.expires_after(Chrono(rep_->options.request_timeout));
    http::async_read_header(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, size_t) {
          self->HeaderRead(error);
        });
  }
  void HeaderRead(const error_code& error) {
    if (error) return SendRefusal(StatusOf(error));
    if (beast::iequals(parser_->get()[http::field::expect], "100-continue")) {
      static constexpr std::string_view kContinue =
          "HTTP/1.1 100 Continue\r\n\r\n";
      net::async_write(stream_, net::buffer(kContinue),
                       [self = shared_from_this()](error_code failed, size_t) {
                         failed ? self->Close() : self->ReadBody();
                       });
      return;
    }
    ReadBody();
  }
  void ReadBody() {
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, size_t) {
                       error ? self->SendRefusal(StatusOf(error))
                             : self->Handle();
                     });
  }

  void SendRefusal(int status) {
    if (status == 0 || state_ == State::kClosed) return Close();
    state_ = State::kAnswering;
    keep_open_ = false;
    version_ = 11;
    SendWhole({.status = status,
               .fields = {{"content-type", "application/json"}},
               .body = std::string(Explain(status))});
  }

  void Handle();

  template <class Body>
  http::response<Body> Head(const HttpResponse& response) {
    http::response<Body> head(
        http::int_to_status(static_cast<unsigned>(response.status)), version_);
    for (const auto& [name, value] : response.fields) {
      head.insert(beast::string_view(name.data(), name.size()),
                  beast::string_view(value.data(), value.size()));
    }
    head.keep_alive(keep_open_);
    return head;
  }

  void SendWhole(HttpResponse response) {
    if (state_ == State::kClosed) return;
    auto message = std::make_shared<http::response<http::string_body>>(
        Head<http::string_body>(response));
    message->body() = std::move(response.body);
    // No length of what is not there by definition.
    if (response.status != 204) message->prepare_payload();
    const auto parts = static_cast<int64_t>(message->body().size() >> 20);
    stream_.expires_after(Chrono(rep_->options.write_timeout * (1 + parts)));
    auto sent = [self = shared_from_this(), message](error_code error, size_t) {
      error ? self->Close() : self->Next();
    };
    if (is_head_) {
      auto only_head =
          std::make_shared<http::response_serializer<http::string_body>>(
              *message);
      http::async_write_header(
          stream_, *only_head,
          [sent = std::move(sent), only_head](
              error_code error, size_t size) mutable { sent(error, size); });
      return;
    }
    http::async_write(stream_, *message, std::move(sent));
  }

  // After an answer.
  void Next() {
    if (!keep_open_) return Shutdown();
    ReadHeader();
  }

  void SendHead(HttpResponse head, std::string keep_alive,
                absl::Duration every) {
    if (state_ == State::kClosed) return;
    state_ = State::kStreaming;
    if (version_ < 11) keep_open_ = false;
    auto message = std::make_shared<http::response<http::empty_body>>(
        Head<http::empty_body>(head));
    message->chunked(version_ >= 11);
    auto only_head =
        std::make_shared<http::response_serializer<http::empty_body>>(*message);
    stream_.expires_after(Chrono(rep_->options.write_timeout));
    writing_ = true;
    http::async_write_header(stream_, *only_head,
                             [self = shared_from_this(), message, only_head](
                                 error_code error, size_t) {
                               self->writing_ = false;
                               if (error) return self->Left();
                               self->Send();
                             });
    keep_alive_ = std::move(keep_alive);
    every_ = every;
    WaitToKeepAlive();
    LookForTheEnd();
  }

  // Sends what there is, one write at a time.
  void Send() {
    if (state_ != State::kStreaming || writing_) return;
    std::shared_ptr<const Call> sent;
    {
      absl::MutexLock lock(&mutex_);
      kicked_ = false;
      // Not more: the client has a time to take it. Best, whole events.
      size_t size = std::min(pending_.size(), kMostAtOnce);
      if (size < pending_.size()) {
        const size_t end = pending_.rfind("\n\n", size - 2);
        if (end != std::string::npos) size = end + 2;
      }
      sending_.assign(pending_, 0, size);
      pending_.erase(0, size);
      sending_bytes_ = sending_.size();
      if (sending_.empty()) {
        if (ends_) {
          over_ = true;
        } else {
          sent = sent_;
        }
      }
    }
    if (sending_.empty()) {
      if (over()) return Finish();
      if (std::exchange(wrote_some_, false) && sent != nullptr) (*sent)();
      return;
    }
    idle_ = false;
    wrote_some_ = true;
    writing_ = true;
    stream_.expires_after(Chrono(rep_->options.write_timeout));
    auto done = [self = shared_from_this()](error_code error, size_t) {
      self->writing_ = false;
      {
        absl::MutexLock lock(&self->mutex_);
        self->sending_bytes_ = 0;
      }
      error ? self->Left() : self->Send();
    };
    if (version_ >= 11) {
      net::async_write(stream_, http::make_chunk(net::buffer(sending_)),
                       std::move(done));
    } else {
      net::async_write(stream_, net::buffer(sending_), std::move(done));
    }
  }

  void Finish() {
    // A Send() may be on its way still.
    state_ = State::kAnswering;
    timer_.cancel();
    error_code ignored;
    stream_.socket().cancel(ignored);  // LookForTheEnd().
    Forget();
    if (version_ < 11) return Shutdown();
    stream_.expires_after(Chrono(rep_->options.write_timeout));
    net::async_write(stream_, http::make_chunk_last(),
                     [self = shared_from_this()](error_code error, size_t) {
                       if (error || self->state_ == State::kClosed) {
                         return self->Close();
                       }
                       self->Next();
                     });
  }

  void WaitToKeepAlive() {
    timer_.expires_after(Chrono(every_));
    idle_ = true;
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (error || self->state_ != State::kStreaming || self->over()) return;
      if (self->idle_ && !self->writing_) self->Write(self->keep_alive_);
      self->WaitToKeepAlive();
    });
  }

  // A client that is being sent a stream sends nothing but its end.
  void LookForTheEnd() {
    stream_.socket().async_wait(
        tcp::socket::wait_read,
        [self = shared_from_this()](const error_code& error) {
          if (error || self->state_ != State::kStreaming || self->over()) {
            return;
          }
          char byte = 0;
          error_code failed;
          self->stream_.socket().non_blocking(true, failed);
          const size_t size = self->stream_.socket().receive(
              net::buffer(&byte, 1), tcp::socket::message_peek, failed);
          if (failed == net::error::would_block) return self->LookForTheEnd();
          // Bytes are its next request, which waits; it is not heard leaving
          // then until a write fails.
          if (failed || size == 0) self->Left();
        });
  }

  // The client is gone.
  void Left() {
    std::shared_ptr<const Call> left;
    {
      absl::MutexLock lock(&mutex_);
      if (!over_) left = left_;
    }
    Close();
    if (left != nullptr) (*left)();
  }

  // The client closes: what it has sent and nobody reads would have the kernel
  // take back the answer.
  void Shutdown() {
    if (state_ == State::kClosed) return;
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(std::chrono::seconds(2));
    DropTheRest();
  }
  void DropTheRest() {
    buffer_.clear();
    stream_.async_read_some(
        buffer_.prepare(4096),
        [self = shared_from_this()](error_code error, size_t) {
          error ? self->Close() : self->DropTheRest();
        });
  }

  void Close() {
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    timer_.cancel();
    {
      absl::MutexLock lock(&mutex_);
      over_ = true;
      pending_.clear();
    }
    Forget();
    stream_.close();
    rep_->Remove(this);
  }

  // Drops the calls of Watch(), and with them what they hold.
  void Forget() {
    std::shared_ptr<const Call> left;
    std::shared_ptr<const Call> sent;
    absl::MutexLock lock(&mutex_);
    left.swap(left_);
    sent.swap(sent_);
    ends_ = false;
  }

  bool over() {
    absl::MutexLock lock(&mutex_);
    return over_;
  }

  const std::shared_ptr<Rep> rep_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  State state_ = State::kReading;
  unsigned version_ = 11;
  bool keep_open_ = true;
  bool is_head_ = false;

  // Of a stream.
  net::steady_timer timer_;
  std::string keep_alive_;
  absl::Duration every_;
  bool idle_ = true;  // Since the timer was set.
  bool writing_ = false;
  bool wrote_some_ = false;
  std::string sending_;

  absl::Mutex mutex_;
  std::string pending_ ABSL_GUARDED_BY(mutex_);
  size_t sending_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool kicked_ ABSL_GUARDED_BY(mutex_) = false;  // A Send() is on its way.
  bool ends_ ABSL_GUARDED_BY(mutex_) = false;    // After what is pending.
  bool over_ ABSL_GUARDED_BY(mutex_) = false;    // Nothing is sent any more.
  std::shared_ptr<const Call> left_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const Call> sent_ ABSL_GUARDED_BY(mutex_);
};

// The one answer that a connection owes.
class HttpServer::Rep::Exchange final : public HttpExchange {
 public:
  explicit Exchange(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)) {}
  ~Exchange() override {
    if (!answered_) connection_->Cut();
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void Reply(HttpResponse response) override {
    if (answered_.exchange(true)) return;
    connection_->Reply(std::move(response));
  }
  void Begin(HttpResponse head, std::string keep_alive,
             absl::Duration every) override {
    connection_->Begin(std::move(head), std::move(keep_alive), every);
  }
  void Write(std::string_view bytes) override {
    if (!answered_) connection_->Write(bytes);
  }
  void End() override {
    if (!answered_.exchange(true)) connection_->End();
  }
  void Cut() override {
    if (!answered_.exchange(true)) connection_->Cut();
  }
  size_t unsent() const override { return connection_->unsent(); }
  void Watch(std::function<void()> left, std::function<void()> sent) override {
    connection_->Watch(std::move(left), std::move(sent));
  }

 private:
  const std::shared_ptr<Connection> connection_;
  // The connection may have come to its next request. Publishes nothing: the
  // connection's own lock does.
  std::atomic<bool> answered_{false};
};

void HttpServer::Rep::Connection::Handle() {
  if (rep_->is_stopping()) return Close();
  state_ = State::kAnswering;
  http::request<http::string_body> message = parser_->release();
  parser_.reset();
  keep_open_ = message.keep_alive();
  version_ = message.version() == 10 ? 10 : 11;
  is_head_ = message.method() == http::verb::head;
  {
    absl::MutexLock lock(&mutex_);
    over_ = false;
    ends_ = false;
    kicked_ = false;
    pending_.clear();
  }
  stream_.expires_never();
  rep_->handler(RequestOf(std::move(message)),
                std::make_shared<Exchange>(shared_from_this()));
}

absl::Status HttpServer::Rep::Listen() {
  error_code error;
  const net::ip::address address =
      net::ip::make_address(options.address, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrFormat("'%s' is no IP address to listen at", options.address));
  }
  const tcp::endpoint endpoint(address, options.port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(net::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(net::socket_base::max_listen_connections, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrFormat("cannot listen at %s, port %d: %s", options.address,
                        options.port, error.message()));
  }
  port = acceptor.local_endpoint(error).port();
  Accept();
  for (int i = 0; i < std::max(options.io_threads, 1); ++i) {
    threads.emplace_back([this] { context.run(); });
  }
  return absl::OkStatus();
}

void HttpServer::Rep::Accept() {
  acceptor.async_accept(
      net::make_strand(context),
      [self = shared_from_this()](error_code error, tcp::socket socket) {
        if (self->is_stopping()) return;
        if (error) {
          // Most likely there are no more descriptors.
          self->retry.expires_after(std::chrono::milliseconds(50));
          self->retry.async_wait([self](const error_code& cancelled) {
            if (!cancelled) self->Accept();
          });
          return;
        }
        const auto connection =
            std::make_shared<Connection>(self, std::move(socket));
        if (self->Add(connection.get())) {
          connection->Start();
        } else {
          connection->Refuse(503);
        }
        self->Accept();
      });
}

void HttpServer::Rep::Stop(absl::Duration deadline) {
  const absl::Time until = absl::Now() + deadline;
  {
    absl::MutexLock lock(&mutex);
    if (std::exchange(stopping, true)) return;
  }
  const auto leave = [this](bool now) {
    std::vector<std::weak_ptr<Connection>> open;
    {
      absl::MutexLock lock(&mutex);
      for (Connection* connection : connections) {
        open.push_back(connection->weak_from_this());
      }
    }
    for (const auto& weak : open) {
      if (const auto connection = weak.lock()) connection->Leave(now);
    }
  };
  net::post(acceptor.get_executor(), [self = shared_from_this()] {
    error_code ignored;
    self->acceptor.close(ignored);
    self->retry.cancel();
  });
  leave(/*now=*/false);
  {
    absl::MutexLock lock(&mutex);
    mutex.AwaitWithDeadline(
        absl::Condition(
            +[](Rep* rep) ABSL_EXCLUSIVE_LOCKS_REQUIRED(rep->mutex) {
              return rep->connections.empty();
            },
            this),
        until);
  }
  leave(/*now=*/true);
  std::unique_ptr<net::thread_pool> last;
  {
    absl::MutexLock lock(&mutex);
    last = std::move(calls);
  }
  last->stop();
  last->join();
  last = nullptr;  // And what it has not run.
  context.stop();
  for (std::thread& thread : threads) thread.join();
  threads.clear();
  // What is left are operations that have been cancelled, and hold connections;
  // of a server that never began, all.
  {
    absl::MutexLock lock(&mutex);
    stopped = true;
  }
  context.restart();
  context.poll();
}

// A request of the gateway's own.
class HttpServer::Rep::Delivery final
    : public std::enable_shared_from_this<Delivery> {
 public:
  Delivery(Rep& rep, HttpUrl url, std::string body,
           std::function<void(absl::Status)> done)
      : resolver_(rep.context),
        stream_(net::make_strand(rep.context)),
        url_(std::move(url)),
        done_(std::move(done)) {
    request_.method(http::verb::post);
    request_.target(url_.target);
    request_.set(http::field::host,
                 url_.port == "80" ? url_.host
                                   : absl::StrCat(url_.host, ":", url_.port));
    request_.set(http::field::content_type, "application/json");
    request_.set(http::field::user_agent, "weir");
    request_.body() = std::move(body);
    request_.prepare_payload();
    answer_.body_limit(1 << 20);
  }

  void Start() {
    resolver_.async_resolve(
        url_.host, url_.port,
        [self = shared_from_this()](error_code error,
                                    const tcp::resolver::results_type& to) {
          if (error) return self->Done(error);
          self->stream_.expires_after(std::chrono::seconds(30));
          self->stream_.async_connect(
              to, [self](error_code failed, const tcp::endpoint&) {
                failed ? self->Done(failed) : self->Send();
              });
        });
  }

 private:
  void Send() {
    http::async_write(
        stream_, request_,
        [self = shared_from_this()](error_code error, size_t) {
          if (error) return self->Done(error);
          http::async_read(
              self->stream_, self->buffer_, self->answer_,
              [self](error_code failed, size_t) { self->Done(failed); });
        });
  }
  void Done(const error_code& error) {
    if (error) {
      done_(absl::UnavailableError(error.message()));
    } else if (answer_.get().result_int() / 100 != 2) {
      done_(absl::UnavailableError(
          absl::StrCat("answered with ", answer_.get().result_int())));
    } else {
      done_(absl::OkStatus());
    }
  }

  tcp::resolver resolver_;
  beast::tcp_stream stream_;
  const HttpUrl url_;
  const std::function<void(absl::Status)> done_;
  http::request<http::string_body> request_;
  beast::flat_buffer buffer_;
  http::response_parser<http::string_body> answer_;
};

std::string_view HttpRequest::Field(std::string_view name) const {
  for (const auto& [field, value] : fields) {
    if (field == name) return value;
  }
  return {};
}

std::optional<HttpRequest> ReadRequestForTesting(std::string_view bytes,
                                                 uint32_t max_header_bytes,
                                                 size_t max_body_bytes) {
  http::request_parser<http::string_body> parser;
  parser.header_limit(max_header_bytes);
  parser.body_limit(max_body_bytes);
  parser.eager(true);
  error_code error;
  while (!parser.is_done() && !bytes.empty()) {
    const size_t taken =
        parser.put(net::buffer(bytes.data(), bytes.size()), error);
    if (error || taken == 0) return std::nullopt;
    bytes.remove_prefix(taken);
  }
  if (!parser.is_done()) return std::nullopt;
  return RequestOf(parser.release());
}

HttpServer::HttpServer(HttpServerOptions options, Handler handler)
    : rep_(std::make_shared<Rep>(std::move(options), std::move(handler))) {}
HttpServer::~HttpServer() { Stop(absl::ZeroDuration()); }

absl::Status HttpServer::Start() { return rep_->Listen(); }
uint16_t HttpServer::port() const { return rep_->port; }
void HttpServer::Stop(absl::Duration deadline) { rep_->Stop(deadline); }
void HttpServer::Post(Job job) {
  absl::MutexLock lock(&rep_->mutex);
  if (rep_->calls != nullptr) net::post(*rep_->calls, std::move(job));
}

void HttpServer::PostJson(const std::string& url, std::string body,
                          std::function<void(absl::Status)> done) {
  HttpUrl to;
  if (absl::Status s = ParseHttpUrl(url, &to); !s.ok()) return done(s);
  auto delivery = std::make_shared<Rep::Delivery>(
      *rep_, std::move(to), std::move(body), std::move(done));
  net::post(rep_->context, [delivery] { delivery->Start(); });
}

absl::Status ParseHttpUrl(std::string_view text, HttpUrl* url) {
  const auto refused = [text](const char* why) {
    return absl::InvalidArgumentError(
        absl::StrFormat("'%s' is no URL to post to: %s", text, why));
  };
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return refused("it must begin with http://");
  std::string_view rest = text.substr(kScheme.size());
  if (std::any_of(rest.begin(), rest.end(), [](char c) {
        return !absl::ascii_isgraph(static_cast<unsigned char>(c));
      })) {
    return refused("it has spaces or control characters");
  }
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, end);
  rest.remove_prefix(end);
  rest = rest.substr(0, rest.find('#'));
  url->target = rest.starts_with('/') ? std::string(rest)
                                      : absl::StrCat("/", std::string(rest));
  if (authority.find('@') != std::string_view::npos) {
    return refused("it must not have a name and a password");
  }
  url->port = "80";
  const size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.back() != ']') {
    url->port = std::string(authority.substr(colon + 1));
    authority = authority.substr(0, colon);
    uint32_t port = 0;
    if (!absl::SimpleAtoi(url->port, &port) || port == 0 || port > 65535) {
      return refused("its port is no number from 1 to 65535");
    }
  }
  if (authority.starts_with('[') && authority.ends_with(']')) {
    authority = authority.substr(1, authority.size() - 2);
  }
  if (authority.empty()) return refused("it has no host");
  url->host = std::string(authority);
  return absl::OkStatus();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
