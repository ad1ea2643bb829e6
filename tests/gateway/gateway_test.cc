#include "weir/gateway/gateway.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/gateway/http_client.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/node.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace weir {
namespace {

using PlainJson = nlohmann::json;
using testing::HasSubstr;

constexpr char kUnknown[] = "01a2049e-97e4-767e-8d50-470cc4dbd02b";

// A graph of one node that emits `count` texts of `size` bytes, and then waits
// for the test, or until it is cancelled, if it is told to.
class Emitter {
 public:
  Graph Compile() {
    StateGraph builder;
    const auto count = builder.AddChannel("count", LastValue<int>());
    const auto size = builder.AddChannel("size", LastValue<int>());
    const auto wait = builder.AddChannel("wait", LastValue<bool>());
    const auto done = builder.AddChannel("done", LastValue<int>());
    builder.AddNode("emit", [=, this](NodeContext& node) -> Update {
      const int times = node.Get(count);
      for (int i = 0; i < times; ++i) {
        node.Emit(Value(absl::StrCat(
            i, ":", std::string(static_cast<size_t>(node.Get(size)), 'x'))));
      }
      if (node.Get(wait)) {
        started_.Notify();
        absl::Notification stopped;
        const std::stop_callback stop(node.stop_token(),
                                      [&stopped] { stopped.Notify(); });
        absl::Notification& until = stops_ ? stopped : go_on_;
        until.WaitForNotification();
      }
      return Update(done, times);
    });
    builder.AddEdge(kStart, "emit");
    return *builder.Compile();
  }
  void AwaitStart() { started_.WaitForNotification(); }
  void GoOn() { go_on_.Notify(); }
  // From now on it is a cancellation that the node waits for.
  void WaitForStop() { stops_ = true; }

 private:
  bool stops_ = false;  // Set before the run.
  absl::Notification started_;
  absl::Notification go_on_;
};

class GatewayTest : public testing::Test {
 protected:
  void Serve(GatewayOptions options = {}) {
    options.port = 0;
    gateway_ = std::make_unique<Gateway>(*runtime_, std::move(options));
    ASSERT_TRUE(gateway_->Serve("emit", emitter_.Compile()).ok());
    ASSERT_TRUE(gateway_->Start().ok());
  }
  uint16_t port() const { return gateway_->port(); }

  HttpClient::Response Call(std::string_view method, std::string_view target,
                            std::string_view body = "",
                            std::string_view fields = "") {
    return Fetch(port(), method, target, body, fields);
  }
  PlainJson Get(std::string_view target) {
    return PlainJson::parse(Call("GET", target).body(), nullptr, false);
  }
  PlainJson Post(std::string_view target, const PlainJson& body) {
    return PlainJson::parse(Call("POST", target, body.dump()).body(), nullptr,
                            false);
  }
  std::string NewThread() {
    return Post("/threads", PlainJson::object())["thread_id"];
  }
  static PlainJson Job(int count, int size, bool wait = false) {
    return {{"assistant_id", "emit"},
            {"input", {{"count", count}, {"size", size}, {"wait", wait}}},
            {"stream_mode", "custom"}};
  }

  Emitter emitter_;
  std::unique_ptr<Runtime> runtime_ = std::make_unique<Runtime>();
  std::unique_ptr<Gateway> gateway_;
};

// The ids of a stream's frames.
std::vector<int> Ids(const std::string& body) {
  std::vector<int> ids;
  for (absl::string_view line : absl::StrSplit(body, '\n')) {
    if (absl::ConsumePrefix(&line, "id: ")) {
      ids.push_back(std::stoi(std::string(line)));
    }
  }
  return ids;
}

std::vector<int> UpTo(int end) {
  std::vector<int> ids;
  for (int i = 0; i < end; ++i) ids.push_back(i);
  return ids;
}

TEST_F(GatewayTest, RefusalsSayWhy) {
  Serve();
  const auto detail = [this](std::string_view method, std::string_view target,
                             std::string_view body = "") {
    const HttpClient::Response response = Call(method, target, body);
    return absl::StrCat(response.result_int(), " ", response.body());
  };
  EXPECT_THAT(detail("GET", "/nothing"), HasSubstr("404 {\"detail\": "));
  EXPECT_THAT(detail("PUT", "/threads"), HasSubstr("405"));
  EXPECT_THAT(detail("GET", "/threads/nope"), HasSubstr("'nope'"));
  EXPECT_THAT(detail("GET", absl::StrCat("/threads/", kUnknown)),
              testing::AllOf(HasSubstr("404"), HasSubstr(kUnknown)));
  EXPECT_THAT(detail("GET", "/threads/%zz"), HasSubstr("422"));
  EXPECT_THAT(detail("POST", "/threads", "{"), HasSubstr("422"));
  EXPECT_THAT(detail("POST", "/threads", "[1]"), HasSubstr("422"));
  EXPECT_THAT(detail("POST", "/runs", R"({"input": {}})"),
              HasSubstr("assistant_id"));
  EXPECT_THAT(detail("POST", "/runs", R"({"assistant_id": "x"})"),
              testing::AllOf(HasSubstr("404"), HasSubstr("(emit)")));
  for (const char* field :
       {R"("stream_mode": "bogus")", R"("multitask_strategy": "bogus")",
        R"("on_disconnect": 1)", R"("after_seconds": -1)", R"("metadata": [])",
        R"("config": {"recursion_limit": 0})", R"("durability": "never")",
        R"("stream_resumable": "yes")",
        R"("command": {"resume": 1}, "input": {"count": 1})",
        R"("input": {"count": "many"})", R"("webhook": "http://a")",
        R"("checkpoint_id": "x")", R"("interrupt_before": 3)"}) {
    EXPECT_THAT(
        detail("POST", "/runs",
               absl::StrCat(R"({"assistant_id": "emit", )", field, "}")),
        HasSubstr("422"))
        << field;
  }
  // None of them has left anything.
  EXPECT_EQ(Post("/threads/count", PlainJson::object()), PlainJson(0));
}

TEST_F(GatewayTest, OnlyThoseWithTheKeyMayCall) {
  Serve({.api_key = "secret"});
  EXPECT_EQ(Call("GET", "/ok").result_int(), 200u);
  EXPECT_EQ(Call("GET", "/").result_int(), 200u);
  EXPECT_EQ(Call("POST", "/threads", "{}").result_int(), 401u);
  for (const char* wrong : {"", "secre", "secrets", "Secret"}) {
    EXPECT_EQ(Call("POST", "/threads", "{}",
                   absl::StrCat("x-api-key: ", wrong, "\r\n"))
                  .result_int(),
              401u)
        << wrong;
  }
  EXPECT_EQ(
      Call("POST", "/threads", "{}", "x-api-key: secret\r\n").result_int(),
      200u);
}

TEST_F(GatewayTest, OtherPagesMayNotCall) {
  Serve({.allowed_origins = {"https://good.example"}});
  const auto from = [this](const char* origin) {
    return Call("POST", "/threads", "{}",
                absl::StrCat("origin: ", origin, "\r\n"));
  };
  EXPECT_EQ(from("https://evil.example").result_int(), 403u);
  EXPECT_EQ(from("null").result_int(), 403u);
  const HttpClient::Response good = from("https://good.example");
  EXPECT_EQ(good.result_int(), 200u);
  EXPECT_EQ(good["access-control-allow-origin"], "https://good.example");
  EXPECT_THAT(std::string(good["access-control-expose-headers"]),
              HasSubstr("content-location"));
  EXPECT_EQ(from("http://localhost").result_int(), 200u);  // Its own.
  const HttpClient::Response asks =
      Call("OPTIONS", "/threads", "",
           "origin: https://good.example\r\n"
           "access-control-request-headers: x-api-key\r\n");
  EXPECT_EQ(asks.result_int(), 204u);
  EXPECT_EQ(asks["access-control-allow-headers"], "x-api-key");
  EXPECT_EQ(Call("OPTIONS", "/threads", "", "origin: https://evil.example\r\n")
                .result_int(),
            403u);
}

TEST_F(GatewayTest, AnswersToItsOwnNamesOnly) {
  Serve();
  HttpClient client(port());
  for (const char* name : {"evil.example", "127.evil.example", "localhost.a"}) {
    client.Send(absl::StrCat("GET /ok HTTP/1.1\r\nhost: ", name, "\r\n\r\n"));
    EXPECT_EQ(client.Read().result_int(), 403u) << name;
  }
  client.Send("GET /ok HTTP/1.1\r\nhost: [::1]:80\r\n\r\n");
  EXPECT_EQ(client.Read().result_int(), 200u);
}

TEST_F(GatewayTest, PageRunsNothingOfOthers) {
  Serve();
  const HttpClient::Response page = Call("GET", "/");
  EXPECT_EQ(page["content-type"], "text/html; charset=utf-8");
  const std::string policy(page["content-security-policy"]);
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  const size_t at = policy.find("'nonce-") + 7;
  const std::string nonce = policy.substr(at, policy.find('\'', at) - at);
  EXPECT_EQ(nonce.size(), 32u);
  EXPECT_THAT(page.body(), HasSubstr(absl::StrCat("nonce=\"", nonce, "\"")));
  EXPECT_THAT(page.body(), testing::Not(HasSubstr("{{nonce}}")));
  EXPECT_NE(std::string(Call("GET", "/")["content-security-policy"]), policy);
}

TEST_F(GatewayTest, StreamOfAStatelessRunCanBeJoined) {
  Serve();
  PlainJson job = Job(3, 1, /*wait=*/true);
  job["stream_resumable"] = true;
  HttpClient first(port());
  first.Request("POST", "/runs/stream", job.dump());
  const std::string head = first.ReadUntil("\r\n\r\n");
  const size_t at = head.find("content-location: ") + 18;
  const std::string path = head.substr(at, head.find('\r', at) - at);
  EXPECT_THAT(path, testing::StartsWith("/runs/"));
  emitter_.AwaitStart();
  HttpClient second(port());
  second.Request("GET", path + "/stream", "", "last-event-id: 0\r\n");
  second.ReadUntil("id: 3");
  emitter_.GoOn();
  first.ReadUntil("id: 3\n\n\r\n0\r\n\r\n");
  second.ReadUntil("0\r\n\r\n");
}

TEST_F(GatewayTest, StatelessRunIsWaitedFor) {
  Serve();
  EXPECT_EQ(Post("/runs/wait", Job(5, 1))["done"], 5);
  EXPECT_EQ(Post("/threads/count", PlainJson::object()), PlainJson(0));
}

TEST_F(GatewayTest, SlowReaderOfAResumableRunGetsAll) {
  Serve({.max_unsent_bytes = 1 << 16});
  const std::string thread = NewThread();
  PlainJson job = Job(2'000, 10'000);
  job["stream_resumable"] = true;
  HttpClient slow(port());
  slow.Request("POST", absl::StrCat("/threads/", thread, "/runs/stream"),
               job.dump());
  // The run does not wait for who does not read: another reader sees its end.
  slow.ReadUntil("id: 0\n\n");
  const PlainJson runs = Get(absl::StrCat("/threads/", thread, "/runs"));
  const std::string run = runs[0]["run_id"];
  EXPECT_EQ(
      Get(absl::StrCat("/threads/", thread, "/runs/", run, "/join"))["done"],
      2'000);
  const std::string rest = slow.ReadUntil("\r\n0\r\n\r\n");
  std::vector<int> ids = Ids(rest);
  ids.insert(ids.begin(), 0);
  EXPECT_EQ(ids, UpTo(2'001));
}

TEST_F(GatewayTest, SlowReaderOfAnotherRunIsToldThatItLags) {
  Serve({.max_unsent_bytes = 1 << 16});
  const std::string thread = NewThread();
  HttpClient slow(port());
  slow.Request("POST", absl::StrCat("/threads/", thread, "/runs/stream"),
               Job(2'000, 10'000).dump());
  slow.ReadUntil("id: 0\n\n");
  const PlainJson runs = Get(absl::StrCat("/threads/", thread, "/runs"));
  const std::string run = runs[0]["run_id"];
  EXPECT_EQ(
      Get(absl::StrCat("/threads/", thread, "/runs/", run, "/join"))["done"],
      2'000);
  const std::string rest = slow.ReadUntil("\r\n0\r\n\r\n");
  EXPECT_THAT(rest.substr(rest.size() - 400), HasSubstr("StreamLagged"));
  // What came before is whole and in order.
  const std::vector<int> ids = Ids(rest);
  for (size_t i = 1; i < ids.size(); ++i) EXPECT_EQ(ids[i], ids[i - 1] + 1);
}

TEST_F(GatewayTest, LeavingReaderCancelsIfItSaidSo) {
  Serve();
  const std::string thread = NewThread();
  const std::string runs = absl::StrCat("/threads/", thread, "/runs");
  emitter_.WaitForStop();
  PlainJson job = Job(1, 1, /*wait=*/true);
  job["on_disconnect"] = "cancel";
  auto leaves = std::make_unique<HttpClient>(port());
  leaves->Request("POST", runs + "/stream", job.dump());
  leaves->ReadUntil("id: 1\n\n");
  emitter_.AwaitStart();
  const std::string run = Get(runs)[0]["run_id"];
  // Somebody else's stream ends well.
  HttpClient stays(port());
  stays.Request("GET", absl::StrCat(runs, "/", run, "/stream"));
  stays.ReadUntil("\r\n\r\n");
  leaves = nullptr;
  stays.ReadUntil("0\r\n\r\n");
  EXPECT_EQ(Get(absl::StrCat(runs, "/", run))["status"], "interrupted");
}

TEST_F(GatewayTest, EndOfTheGatewayCutsStreamsAndLeavesRuns) {
  Serve();
  const std::string thread = NewThread();
  PlainJson job = Job(1, 1, /*wait=*/true);
  job["on_disconnect"] = "cancel";
  HttpClient reader(port());
  reader.Request("POST", absl::StrCat("/threads/", thread, "/runs/stream"),
                 job.dump());
  reader.ReadUntil("id: 1\n\n\r\n");
  emitter_.AwaitStart();
  gateway_->Stop();
  EXPECT_EQ(reader.ReadUntil("0\r\n\r\n"), "");  // Without an end.
  const std::vector<RunInfo> runs = *runtime_->ListRuns(thread);
  emitter_.GoOn();
  EXPECT_EQ(runtime_->Join(thread, runs.at(0).id)->status, RunStatus::kSuccess);
}

TEST_F(GatewayTest, EndOfTheRuntimeCutsStreams) {
  Serve();
  const std::string thread = NewThread();
  HttpClient reader(port());
  reader.Request("GET", absl::StrCat("/threads/", thread, "/stream"));
  reader.ReadUntil("\r\n\r\n");
  std::thread ends([this] { runtime_ = nullptr; });
  EXPECT_EQ(reader.ReadUntil("0\r\n\r\n"), "");
  ends.join();
  gateway_ = nullptr;
}

TEST_F(GatewayTest, ThreadStreamFollowsItsRuns) {
  Serve();
  const std::string thread = NewThread();
  HttpClient reader(port());
  reader.Request("GET",
                 absl::StrCat("/threads/", thread,
                              "/stream?stream_modes=run_modes,state_update"));
  reader.ReadUntil("\r\n\r\n");
  for (int i = 0; i < 2; ++i) {
    (void)Post(absl::StrCat("/threads/", thread, "/runs/wait"), Job(1, 1));
    const std::string text = reader.ReadUntil("event: state_update");
    EXPECT_THAT(text, HasSubstr("event: custom"));
    EXPECT_THAT(text, HasSubstr("run_done"));
  }
}

TEST_F(GatewayTest, DeletingAThreadWaitsForItsRuns) {
  Serve();
  const std::string thread = NewThread();
  (void)Post(absl::StrCat("/threads/", thread, "/runs"),
             Job(1, 1, /*wait=*/true));
  emitter_.AwaitStart();
  HttpClient deletes(port());
  deletes.Request("DELETE", absl::StrCat("/threads/", thread));
  // It holds none of the threads that make calls.
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(NewThread().size() == 36);
  emitter_.GoOn();
  EXPECT_EQ(deletes.Read().result_int(), 204u);
  EXPECT_EQ(Call("GET", absl::StrCat("/threads/", thread)).result_int(), 404u);
}

TEST_F(GatewayTest, RunsTellTheirWebhooks) {
  Serve({.allow_webhooks = true});
  // What a run's end is posted to is a thread's creation here.
  PlainJson job = Job(1, 1);
  job["webhook"] = absl::StrCat("http://127.0.0.1:", port(), "/threads");
  (void)Post("/runs/wait", job);
  // The posted run's metadata becomes the thread's.
  HttpClient waits(port());
  while (Post("/threads/count", PlainJson::object()) == PlainJson(0)) {
  }
  EXPECT_EQ(
      Post("/threads/search", PlainJson::object())[0]["metadata"]["graph_id"],
      "emit");
}

TEST_F(GatewayTest, SearchSaysHowMuchThereIs) {
  Serve();
  for (int i = 0; i < 3; ++i) NewThread();
  const HttpClient::Response page =
      Call("POST", "/threads/search", R"({"limit": 2})");
  EXPECT_EQ(page["x-pagination-total"], "3");
  EXPECT_EQ(page["x-pagination-next"], "2");
  EXPECT_EQ(PlainJson::parse(page.body()).size(), 2u);
  EXPECT_EQ(Call("POST", "/threads/search", R"({"offset": 2})")
                .count("x-pagination-next"),
            0u);
}

}  // namespace
}  // namespace weir
