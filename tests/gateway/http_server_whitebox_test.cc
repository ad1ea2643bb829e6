#include "weir/gateway/internal/http_server.h"

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/http_client.h"

namespace weir {
namespace {

using internal::HttpExchange;
using internal::HttpRequest;
using internal::HttpResponse;
using internal::HttpServer;
using internal::HttpServerOptions;
using internal::HttpUrl;
using internal::ParseHttpUrl;
using testing::HasSubstr;
using Held = std::shared_ptr<HttpExchange>;

HttpServerOptions Options() {
  return {.address = "127.0.0.1",
          .port = 0,
          .max_connections = 100,
          .max_header_bytes = 4'096,
          .max_body_bytes = 10'000,
          .request_timeout = absl::Seconds(60),
          .write_timeout = absl::Seconds(60),
          .io_threads = 2,
          .call_threads = 2};
}

// A server whose answers a test gives.
class Served {
 public:
  explicit Served(HttpServer::Handler handler,
                  HttpServerOptions options = Options())
      : server_(std::move(options), std::move(handler)) {
    EXPECT_TRUE(server_.Start().ok());
  }
  HttpServer& server() { return server_; }
  uint16_t port() const { return server_.port(); }

 private:
  HttpServer server_;
};

void Echo(const HttpRequest& request, const Held& exchange) {
  exchange->Reply({.fields = {{"content-type", "text/plain"}},
                   .body = absl::StrCat(
                       request.method, " ", request.target, " ",
                       std::string(request.Field("x-test")), request.body)});
}

TEST(HttpServerTest, AnswersRequestsOfAConnectionOneAfterAnother) {
  Served served(Echo);
  HttpClient client(served.port());
  client.Request("POST", "/a?b=c", "body", "X-Test: field \r\n");
  client.Request("GET", "/second");
  EXPECT_EQ(client.Read().body(), "POST /a?b=c fieldbody");
  EXPECT_EQ(client.Read().body(), "GET /second ");
  client.Send(
      "POST /chunks HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(client.Read().body(), "POST /chunks abcde");
}

TEST(HttpServerTest, HeadHasNoBody) {
  Served served(Echo);
  HttpClient client(served.port());
  client.Request("HEAD", "/a", "", "");
  const HttpClient::Response response = client.Read(/*to_head=*/true);
  EXPECT_EQ(response.result_int(), 200u);
  EXPECT_EQ(response["content-length"], "8");
  client.Request("GET", "/b");
  EXPECT_EQ(client.Read().body(), "GET /b ");
}

TEST(HttpServerTest, OldClientsAreAnsweredAndClosed) {
  Served served(Echo);
  HttpClient client(served.port());
  client.Send("GET /old HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("none"), HasSubstr("GET /old "));
}

TEST(HttpServerTest, BodyMayWaitForAWord) {
  Served served(Echo);
  HttpClient client(served.port());
  client.Send(
      "POST /w HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
      "content-length: 2\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), HasSubstr("100 Continue"));
  client.Send("ok");
  EXPECT_EQ(client.Read().body(), "POST /w ok");
}

TEST(HttpServerTest, AnswersInParts) {
  Held held;
  absl::Notification came;
  Served served([&](const HttpRequest& request, const Held& exchange) {
    if (request.target != "/parts") return Echo(request, exchange);
    held = exchange;
    came.Notify();
  });
  HttpClient client(served.port());
  client.Request("GET", "/parts");
  came.WaitForNotification();
  held->Begin({.fields = {{"content-type", "text/event-stream"}}, .body = "a"},
              ".", absl::InfiniteDuration());
  held->Write("b");
  EXPECT_THAT(client.ReadUntil("b"), HasSubstr("text/event-stream"));
  held->Write("c");
  held->End();
  held->Write("what comes after the end is dropped");
  client.ReadUntil("0\r\n\r\n");
  client.Request("GET", "/next");
  EXPECT_EQ(client.Read().body(), "GET /next ");
}

TEST(HttpServerTest, EndsOnceHoweverManyCallsAreOnTheirWay) {
  Served served([](const HttpRequest& request, const Held& exchange) {
    if (request.target != "/parts") return Echo(request, exchange);
    // Both calls come to the connection before it looks for what is due.
    exchange->Watch({}, [exchange] {
      std::thread([exchange] {
        exchange->Write("");
        exchange->End();
      }).join();
    });
    exchange->Begin({.body = "a"}, ".", absl::InfiniteDuration());
  });
  HttpClient client(served.port());
  for (int i = 0; i < 100; ++i) {
    client.Request("GET", "/parts");
    ASSERT_EQ(client.Read().body(), "a");
    client.Request("GET", "/next");
    ASSERT_EQ(client.Read().body(), "GET /next ");
  }
}

TEST(HttpServerTest, OldClientsGetPartsAsTheyAre) {
  Served served([](const HttpRequest&, const Held& exchange) {
    exchange->Begin({.body = "one "}, ".", absl::InfiniteDuration());
    exchange->Write("two");
    exchange->End();
  });
  HttpClient client(served.port());
  client.Send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("none"), testing::EndsWith("\r\n\r\none two"));
}

TEST(HttpServerTest, StreamShowsThatItLives) {
  Held held;
  Served served([&held](const HttpRequest&, const Held& exchange) {
    exchange->Begin({}, ": alive\n", absl::Milliseconds(1));
    held = exchange;
  });
  HttpClient client(served.port());
  client.Request("GET", "/");
  client.ReadUntil(": alive\n");
  client.ReadUntil(": alive\n");
  served.server().Stop(absl::ZeroDuration());
  EXPECT_TRUE(client.IsClosed());
}

TEST(HttpServerTest, TellsThatAClientHasLeft) {
  absl::Notification left;
  Held held;
  Served served([&](const HttpRequest&, const Held& exchange) {
    held = exchange;
    exchange->Watch([&left] { left.Notify(); }, nullptr);
    exchange->Begin({.body = "first"}, ".", absl::InfiniteDuration());
  });
  HttpClient client(served.port());
  client.Request("GET", "/");
  client.ReadUntil("first");
  client.Close();
  left.WaitForNotification();
  held->Write("to nobody");
  held->End();
}

TEST(HttpServerTest, SaysWhatIsNotSentAndWhenAllIs) {
  Held held;
  absl::Notification begun;
  absl::Mutex mutex;
  int sent = 0;
  Served served([&](const HttpRequest&, const Held& exchange) {
    held = exchange;
    exchange->Watch(nullptr, [&] {
      absl::MutexLock lock(&mutex);
      ++sent;
    });
    exchange->Begin({}, ".", absl::InfiniteDuration());
    begun.Notify();
  });
  HttpClient client(served.port());
  client.Request("GET", "/");
  begun.WaitForNotification();
  // More than the kernel takes for a client that does not read.
  const std::string part(1 << 20, 'x');
  while (held->unsent() < 3 * part.size()) held->Write(part);
  // Before the last of it is read, it has not all been sent.
  int before = 0;
  {
    absl::MutexLock lock(&mutex);
    before = std::exchange(sent, 0);
  }
  EXPECT_GT(held->unsent(), 0u);
  held->Write("last");
  client.ReadUntil("last");
  absl::MutexLock lock(&mutex);
  mutex.Await(absl::Condition(
      +[](int* times) { return *times > 0; }, &sent));
  EXPECT_EQ(held->unsent(), 0u) << before;
}

TEST(HttpServerTest, WhatIsNoRequestIsRefused) {
  Served served(Echo);
  for (const auto& [bytes, status] :
       std::vector<std::pair<std::string, unsigned>>{
           {"hello\r\n\r\n", 400},
           {"GET\r\n\r\n", 400},
           {"GET / HTTP/9.9\r\n\r\n", 400},
           {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
           {"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400},
           {"GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            400},
           {"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400},
           {absl::StrCat("GET /", std::string(5'000, 'a'), " HTTP/1.1\r\n"),
            431},
           {absl::StrCat("GET / HTTP/1.1\r\nx: ", std::string(5'000, 'a'),
                         "\r\n\r\n"),
            431},
           {"POST / HTTP/1.1\r\ncontent-length: 10001\r\n\r\n", 413},
           {"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n10000\r\n" +
                std::string(65'536, 'x') + "\r\n0\r\n\r\n",
            413}}) {
    HttpClient client(served.port());
    client.Send(bytes);
    const HttpClient::Response response = client.Read();
    EXPECT_EQ(response.result_int(), status) << bytes.substr(0, 80);
    EXPECT_THAT(response.body(), HasSubstr("detail")) << bytes.substr(0, 80);
    client.EndSending();
    EXPECT_TRUE(client.IsClosed());
  }
}

TEST(HttpServerTest, SlowAndHalfOpenClientsAreClosed) {
  HttpServerOptions options = Options();
  options.request_timeout = absl::Milliseconds(50);
  Served served(Echo, options);
  HttpClient silent(served.port());
  HttpClient slow(served.port());
  slow.Send("GET / HTTP/1.1\r\nx-");
  HttpClient half(served.port());
  half.Send("POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc");
  half.EndSending();
  HttpClient idle(served.port());
  idle.Request("GET", "/");
  EXPECT_EQ(idle.Read().body(), "GET / ");
  EXPECT_TRUE(silent.IsClosed());
  EXPECT_TRUE(slow.IsClosed());
  EXPECT_TRUE(half.IsClosed());
  EXPECT_TRUE(idle.IsClosed());
}

TEST(HttpServerTest, RefusesMoreConnectionsThanItTakes) {
  HttpServerOptions options = Options();
  options.max_connections = 2;
  Served served(Echo, options);
  HttpClient first(served.port());
  first.Request("GET", "/");
  EXPECT_EQ(first.Read().result_int(), 200u);
  auto second = std::make_unique<HttpClient>(served.port());
  second->Request("GET", "/");
  EXPECT_EQ(second->Read().result_int(), 200u);
  HttpClient third(served.port());
  EXPECT_EQ(third.Read().result_int(), 503u);
  // The others are not disturbed.
  first.Request("GET", "/again");
  EXPECT_EQ(first.Read().body(), "GET /again ");
}

TEST(HttpServerTest, AnswerThatIsDroppedIsACutConnection) {
  Served served([](const HttpRequest&, const Held&) {});
  EXPECT_EQ(Fetch(served.port(), "GET", "/").result_int(), 0u);
}

TEST(HttpServerTest, StopsWhenAnswersAreOut) {
  Held late;
  absl::Notification waits;
  absl::Notification streams;
  Held stream;
  Served served([&](const HttpRequest& request, const Held& exchange) {
    if (request.target == "/late") {
      late = exchange;
      waits.Notify();
    } else {
      stream = exchange;
      exchange->Begin({.body = "first"}, ".", absl::InfiniteDuration());
      streams.Notify();
    }
  });
  HttpClient waiting(served.port());
  waiting.Request("GET", "/late");
  waits.WaitForNotification();
  HttpClient streaming(served.port());
  streaming.Request("GET", "/stream");
  streams.WaitForNotification();
  std::thread stops([&] { served.server().Stop(absl::Seconds(60)); });
  // Cut, without its last part.
  EXPECT_EQ(streaming.Read().result_int(), 0u);
  late->Reply({.body = "late"});
  EXPECT_EQ(waiting.Read().body(), "late");
  waiting.Close();
  stops.join();
  EXPECT_EQ(Fetch(served.port(), "GET", "/").result_int(), 0u);
}

TEST(HttpServerTest, StopDoesNotWaitLongerThanItIsTold) {
  Held late;
  absl::Notification waits;
  Served served([&](const HttpRequest&, const Held& exchange) {
    late = exchange;
    waits.Notify();
  });
  HttpClient waiting(served.port());
  waiting.Request("GET", "/");
  waits.WaitForNotification();
  served.server().Stop(absl::Milliseconds(1));
  EXPECT_EQ(waiting.Read().result_int(), 0u);
  late->Reply({.body = "to nobody"});
}

TEST(HttpServerTest, PortThatIsTakenIsRefused) {
  Served served(Echo);
  HttpServerOptions options = Options();
  options.port = served.port();
  HttpServer second(options, Echo);
  const absl::Status s = second.Start();
  EXPECT_TRUE(absl::IsUnavailable(s));
  EXPECT_THAT(std::string(s.message()), HasSubstr(absl::StrCat(served.port())));
  options.address = "nowhere";
  HttpServer third(options, Echo);
  EXPECT_TRUE(absl::IsInvalidArgument(third.Start()));
}

TEST(HttpServerTest, PostsToOthers) {
  HttpRequest got;
  Served other([&got](const HttpRequest& request, const Held& exchange) {
    got = request;
    exchange->Reply({.status = request.target == "/refuse" ? 500 : 200});
  });
  Served served(Echo);
  const auto post = [&](const std::string& url) {
    absl::Notification done;
    absl::Status result;
    served.server().PostJson(url, "{}", [&](const absl::Status& s) {
      result = s;
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  };
  const std::string to = absl::StrCat("http://127.0.0.1:", other.port());
  EXPECT_TRUE(post(to + "/hook?a=b").ok());
  EXPECT_EQ(got.method + got.target + got.body, "POST/hook?a=b{}");
  EXPECT_EQ(got.Field("content-type"), "application/json");
  EXPECT_TRUE(absl::IsUnavailable(post(to + "/refuse")));
  other.server().Stop(absl::ZeroDuration());
  EXPECT_TRUE(absl::IsUnavailable(post(to)));
  EXPECT_TRUE(absl::IsInvalidArgument(post("ftp://x")));
}

TEST(HttpUrlTest, IsTakenApart) {
  HttpUrl url;
  ASSERT_TRUE(ParseHttpUrl("http://a.b:81/c?d=e#f", &url).ok());
  EXPECT_EQ(url.host + "|" + url.port + "|" + url.target, "a.b|81|/c?d=e");
  ASSERT_TRUE(ParseHttpUrl("http://[::1]", &url).ok());
  EXPECT_EQ(url.host + "|" + url.port + "|" + url.target, "::1|80|/");
  ASSERT_TRUE(ParseHttpUrl("http://[::1]:8080?q", &url).ok());
  EXPECT_EQ(url.host + "|" + url.port + "|" + url.target, "::1|8080|/?q");
  for (const char* bad :
       {"", "https://a", "http://", "http://a:0", "http://a:x", "http://u:p@a",
        "http://a b", "http://a\r\nb"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseHttpUrl(bad, &url))) << bad;
  }
}

}  // namespace
}  // namespace weir
