#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gateway/program/graphs.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/gateway/http_client.h"
#include "tests/gateway/paced_executor.h"
#include "tests/gateway/replay_differences.h"
#include "tests/gateway/transcript.h"

#include "weir/gateway/gateway.h"
#include "weir/runtime/runtime.h"

// The requests of recorded exchanges, sent to a Gateway over HTTP: what it
// answers is what was recorded, but where Departures() says otherwise.
namespace weir {
namespace {

using Json = nlohmann::ordered_json;
using Kind = Difference::Kind;
using ::testing::AnyOf;
using ::testing::IsEmpty;

constexpr char kFolder[] = "tests/gateway/sse";
// Where the recorded server posted to.
constexpr char kRecordedHook[] = "127.0.0.1:23199";

Json Parse(const std::string& text) {
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

std::string PathOf(const Exchange& exchange) {
  return exchange.target.substr(0, exchange.target.find('?'));
}

// "/threads/{t}/runs/{r}/stream" is of the kind "stream", and
// "/threads/{t}/runs/{r}" of the kind "runs".
std::string KindOf(const Exchange& exchange) {
  std::string kind;
  for (const absl::string_view part : absl::StrSplit(PathOf(exchange), '/')) {
    if (!part.empty() && part[0] != '<') kind = std::string(part);
  }
  return kind;
}

size_t CountEvents(const std::string& body) {
  size_t count = 0;
  for (size_t at = 0; (at = body.find("\n\n", at)) != std::string::npos;
       at += 2) {
    ++count;
  }
  return count;
}
std::string FirstEvents(const std::string& body, size_t count) {
  size_t end = 0;
  while (count-- > 0)
    end = std::min(body.find("\n\n", end), body.size() - 2) + 2;
  return body.substr(0, end);
}

// How many events the recorded client took before it left; 0 for all.
size_t EventsTaken(const Exchange& exchange) {
  for (const std::string& note : exchange.notes) {
    if (absl::StartsWith(note, "client closed after ")) {
      return std::stoul(
          note.substr(std::string("client closed after ").size()));
    }
  }
  return 0;
}

class Replay;

struct Recording {
  std::string_view file;
  // Plays it; null: one exchange after the other.
  void (*play)(Replay& replay) = nullptr;
  int workers = 0;  // Of the Runtime; 0: as many as the machine has.
};
void PrintTo(const Recording& recording, std::ostream* out) {
  *out << recording.file;
}

// Replay: a Gateway, and the exchanges of a file, to be played with it.
class Replay {
 public:
  explicit Replay(std::string_view file, int workers = 0)
      : file_(file), executor_(workers) {
    gateway_ = std::make_unique<Gateway>(
        *runtime_, GatewayOptions{.port = 0, .allow_webhooks = true});
    for (ExampleGraph& example : ExampleGraphs()) {
      EXPECT_TRUE(gateway_
                      ->Serve(example.name, std::move(example.graph),
                              std::move(example.options))
                      .ok());
    }
    EXPECT_TRUE(gateway_->Start().ok());
    for (const Json& assistant :
         Parse(Send("POST", "/assistants/search", "{}"))) {
      names_.Bind(absl::StrCat("<assistant:",
                               assistant["graph_id"].get<std::string>(), ">"),
                  assistant["assistant_id"]);
    }
    names_.Bind("<unknown-thread>", "01a2049e-97e4-767e-8d50-470cc4dbd02b");
    names_.Bind("<unknown-run>", "01a2049e-97e4-767e-8d50-470cc4dbd02c");
    names_.Bind("<unknown-checkpoint>", "01a2049e-97e4-767e-8d50-470cc4dbd02d");
    names_.Bind("<hook-1>", absl::StrCat("127.0.0.1:", hook_.port()));
  }

  absl::Status Read() {
    absl::StatusOr<std::vector<Exchange>> read =
        ReadTranscript(absl::StrCat(kFolder, "/", std::string(file_), ".txt"));
    if (!read.ok()) return read.status();
    exchanges_ = *std::move(read);
    for (Exchange& exchange : exchanges_) {
      std::vector<std::string*> texts = {
          &exchange.target, &exchange.request_body, &exchange.body};
      for (std::string& remark : exchange.remarks) texts.push_back(&remark);
      for (std::string* text : texts) {
        absl::StrReplaceAll({{kRecordedHook, "<hook-1>"}}, text);
      }
    }
    return absl::OkStatus();
  }
  size_t size() const { return exchanges_.size(); }

  PacedExecutor& time() { return executor_; }

  // A request that was not recorded; its answer.
  std::string Send(std::string_view method, const std::string& target,
                   std::string_view body = "") {
    return Fetch(gateway_->port(), method, names_.Fill(target), body).body();
  }

  using Answer = std::unique_ptr<HttpClient>;

  // Sends a request, and compares the head of its answer.
  Answer Open(size_t i) {
    const Exchange& exchange = exchanges_[i];
    auto client = std::make_unique<HttpClient>(gateway_->port());
    std::string fields;
    for (const auto& [name, value] : exchange.request_headers) {
      absl::StrAppend(&fields, name, ": ", value, "\r\n");
    }
    NameThreads(exchange);
    client->Request(exchange.method, names_.Fill(exchange.target),
                    names_.Fill(exchange.request_body), fields);
    CompareHead(i, client->ReadHead());
    return client;
  }
  // Reads so many of its events.
  static void ReadEvents(HttpClient& answer, size_t count) {
    while (CountEvents(answer.body()) < count && answer.ReadMore()) {
    }
    EXPECT_GE(CountEvents(answer.body()), count) << answer.body();
  }
  // Reads the rest of it, as the recorded client did, and compares it.
  void End(size_t i, const Answer& answer) {
    const size_t taken = EventsTaken(exchanges_[i]);
    if (taken > 0) {
      ReadEvents(*answer, taken);
      answer->Close();
      return CompareBody(i, *answer, FirstEvents(answer->body(), taken));
    }
    while (answer->ReadMore()) {
    }
    EXPECT_TRUE(answer->IsWhole()) << answer->body();
    CompareBody(i, *answer, answer->body());
  }
  void Play(size_t i) { End(i, Open(i)); }
  void PlayFrom(size_t first, size_t end = 1'000) {
    for (size_t i = first; i < std::min(end, size()); ++i) Play(i);
  }
  // Asks until the answer has the recorded status, and then plays it.
  void Await(size_t i) {
    const Exchange& exchange = exchanges_[i];
    const Json wanted = Parse(exchange.body);
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    for (bool same = false; !same && absl::Now() < deadline;) {
      const HttpClient::Response got = Fetch(gateway_->port(), exchange.method,
                                             names_.Fill(exchange.target));
      const Json body = Parse(got.body());
      same = static_cast<int>(got.result_int()) == exchange.status;
      for (const char* field : {"status", "next"}) {
        same = same && (!wanted.is_object() || wanted.value(field, Json()) ==
                                                   body.value(field, Json()));
      }
    }
    Play(i);
  }
  // A reader of all that the run tells.
  Answer Watch(const std::string& run) {
    auto client = std::make_unique<HttpClient>(gateway_->port());
    client->Request("GET", names_.Fill(run + "/stream"), "",
                    "last-event-id: -1\r\n");
    client->ReadHead();
    return client;
  }
  void AwaitEnd(const std::string& run) { Send("GET", run + "/join"); }

  // Compares what a run has told its webhook with what was recorded before the
  // exchange.
  void TakeHook(size_t i) {
    const std::vector<std::string>& remarks = exchanges_[i].remarks;
    const auto begin = std::find(remarks.begin(), remarks.end(), "{");
    const Json recorded = Parse(
        absl::StrJoin(begin, std::find(begin, remarks.end(), "}"), "") + "}");
    const HttpSink::Request got = hook_.Next();
    SCOPED_TRACE(absl::StrCat(std::string(file_), ", webhook before ", i));
    Same(i, "webhook.head",
         {{"url", recorded["url"]},
          {"content-type", recorded["headers"]["content-type"]}},
         {{"url", std::string(got.target())},
          {"content-type", std::string(got["content-type"])}});
    Same(i, "webhook", Parse(recorded["body"]), Parse(got.body()));
  }

  // Makes the first thread, for what comes before the first exchange.
  void NameThread() {
    names_.Bind("<thread-1>",
                Parse(Send("POST", "/threads", "{}"))["thread_id"]);
  }

  // Which of Departures() were met with.
  const std::set<size_t>& met() const { return met_; }

 private:
  // The threads that a request names are there, or are to be made by it.
  void NameThreads(const Exchange& exchange) {
    for (int i = 1; i < 10; ++i) {
      const std::string name = absl::StrCat("<thread-", i, ">");
      if (names_.Find(name) != nullptr) continue;
      if (absl::StrContains(exchange.target, name)) {
        names_.Bind(name, Parse(Send("POST", "/threads", "{}"))["thread_id"]);
      } else if (absl::StrContains(exchange.request_body, name)) {
        names_.Bind(name,
                    absl::StrCat("01a2049e-97e4-767e-8d50-47000000000", i));
      }
    }
  }

  // Those of Departures() that are for the exchange.
  std::vector<Difference> ExpectedIn(size_t i) {
    std::vector<Difference> expected;
    indices_.clear();
    for (size_t k = 0; k < Departures().size(); ++k) {
      const Departure& departure = Departures()[k];
      if (!departure.IsFor(file_, i)) continue;
      expected.push_back(departure.difference);
      indices_.push_back(k);
    }
    return expected;
  }
  void Met(const std::set<size_t>& used) {
    for (const size_t k : used) met_.insert(indices_[k]);
  }
  bool Expects(size_t i, Kind kind, const std::string& path, const Json& weir) {
    std::set<size_t> used;
    const bool expects = IsExpected(ExpectedIn(i), kind, path, weir, &used);
    Met(used);
    return expects;
  }
  void Same(size_t i, const std::string& path, const Json& recorded,
            const Json& actual) {
    std::vector<std::string> found;
    std::set<size_t> used;
    Compare(path, recorded, actual, ExpectedIn(i), &names_, &found, &used);
    Met(used);
    EXPECT_THAT(found, IsEmpty()) << absl::StrJoin(found, "\n");
  }

  std::string Trace(size_t i) const {
    return absl::StrCat(std::string(file_), ", exchange ", i, ": ",
                        exchanges_[i].method, " ", exchanges_[i].target);
  }

  void CompareHead(size_t i, const HttpClient::Response& got) {
    const Exchange& exchange = exchanges_[i];
    SCOPED_TRACE(Trace(i));
    Json recorded = {{"status", exchange.status}};
    Json actual = {{"status", got.result_int()}};
    for (const auto& [name, value] : exchange.headers) recorded[name] = value;
    // Where clients come back to after a cut.
    const std::string body = exchange.request_body;
    const std::string run = exchange.header("content-location");
    if (KindOf(exchange) == "wait" && absl::StartsWith(run, "/threads")) {
      recorded["location"] = run + "/join";
    } else if (exchange.method == "POST" && KindOf(exchange) == "stream" &&
               absl::StrContains(body, "\"stream_resumable\":true")) {
      recorded["location"] = run + "/stream";
    }
    std::set<std::string> names = {"content-location", "location"};
    for (const auto& [name, value] : recorded.items()) {
      if (got.count(name) > 0) actual[name] = std::string(got[name]);
      names.erase(name);
    }
    for (const std::string& name : names) {
      if (got.count(name) > 0) actual[name] = std::string(got[name]);
    }
    if (got.result_int() >= 400 && exchange.status < 400) {
      // What else the head has goes with it.
      Same(i, KindOf(exchange) + ".head", {{"status", recorded["status"]}},
           {{"status", actual["status"]}});
      EXPECT_EQ(actual.value("content-type", ""), "application/json");
      return;
    }
    Same(i, KindOf(exchange) + ".head", recorded, actual);
    // Joined streams say which run they are of, and where they can be joined.
    const std::string joined = actual.value("content-location", "");
    if (exchange.method == "GET" && !joined.empty()) {
      EXPECT_EQ(names_.Fill(PathOf(exchange)), joined + "/stream");
      EXPECT_THAT(actual.value("location", ""),
                  AnyOf(std::string(), joined + "/stream"));
    }
  }

  void CompareBody(size_t i, HttpClient& answer, const std::string& body) {
    const Exchange& exchange = exchanges_[i];
    SCOPED_TRACE(Trace(i));
    const std::string kind = KindOf(exchange);
    const HttpClient::Response& head = answer.head();
    if (head.result_int() >= 400) {
      const Json got = Parse(body);
      EXPECT_TRUE(got.is_object() && got.size() == 1 &&
                  got.contains("detail") && got["detail"].is_string() &&
                  got["detail"] != "")
          << body;
      return;
    }
    if (exchange.status >= 400) return;  // The status is a difference.
    if (head["content-type"] == "text/event-stream") {
      return CompareEvents(i, body);
    }
    if (exchange.body.empty() || body.empty()) {
      EXPECT_EQ(body, exchange.body);
      return;
    }
    if (exchange.cut) {
      // The newest is there.
      const std::string first =
          exchange.body.substr(0, exchange.body.find(",{\"values\"")) + "]";
      Json got = Parse(body);
      ASSERT_TRUE(got.is_array() && got.size() > 1) << body;
      return Same(i, kind, Parse(first), Json::array({got[0]}));
    }
    Same(i, kind, Parse(exchange.body), Parse(body));
  }

  void CompareEvents(size_t i, const std::string& body) {
    absl::StatusOr<std::vector<SseEvent>> recorded =
        ParseSse(exchanges_[i].body);
    const absl::StatusOr<std::vector<SseEvent>> got = ParseSse(body);
    ASSERT_TRUE(recorded.ok()) << recorded.status();
    ASSERT_TRUE(got.ok()) << got.status();
    std::erase_if(*recorded, [this, i](const SseEvent& event) {
      return Expects(
          i, Kind::kMissing,
          absl::StrCat("event ", event.name.substr(0, event.name.find('|'))),
          Json());
    });
    Json recorded_ids = Json::array();
    Json ids = Json::array();
    for (size_t k = 0; k < std::min(recorded->size(), got->size()); ++k) {
      const SseEvent& want = (*recorded)[k];
      const SseEvent& have = (*got)[k];
      SCOPED_TRACE(absl::StrCat("event ", k, ": ", have.name, " ", have.data));
      EXPECT_TRUE(names_.Match(want.name, have.name))
          << "recorded " << want.name << " " << want.data;
      Same(i, want.name, Parse(want.data), Parse(have.data));
      recorded_ids.push_back(want.id ? Json(*want.id) : Json());
      ids.push_back(have.id ? Json(*have.id) : Json());
    }
    EXPECT_EQ(got->size(), recorded->size()) << body;
    Same(i, "ids", recorded_ids, ids);
  }

  const std::string_view file_;
  PacedExecutor executor_;
  std::unique_ptr<Runtime> runtime_ =
      std::make_unique<Runtime>(RuntimeOptions{.executor = &executor_});
  std::unique_ptr<Gateway> gateway_;
  HttpSink hook_;
  std::vector<Exchange> exchanges_;
  Names names_;
  std::vector<size_t> indices_;  // Of ExpectedIn(), in Departures().
  std::set<size_t> met_;
};

// 20 to 24: joined when six of the ticks have been told.
void JoinInMidRun(Replay& replay) {
  replay.time().Hold();
  replay.Play(0);
  replay.time().Allow(6);
  // Another reader sees how far the run is.
  const Replay::Answer other = replay.Watch("/threads/<thread-1>/runs/<run-1>");
  Replay::ReadEvents(*other, 8);
  const Replay::Answer joined = replay.Open(1);
  replay.time().Flow();
  replay.End(1, joined);
}

void JoinAfterEnd(Replay& replay) {
  replay.Play(0);
  replay.AwaitEnd("/threads/<thread-1>/runs/<run-1>");
  replay.PlayFrom(1);
}

void FiveReaders(Replay& replay) {
  replay.time().Hold();
  std::vector<Replay::Answer> answers;
  answers.push_back(replay.Open(0));
  replay.time().Allow(6);
  Replay::ReadEvents(*answers[0], 7);
  for (size_t i = 1; i < 4; ++i) answers.push_back(replay.Open(i));
  replay.time().Flow();
  for (size_t i = 0; i < 4; ++i) replay.End(i, answers[i]);
  replay.Play(4);
}

void CreatorLeaves(Replay& replay) {
  replay.time().Allow(3);
  replay.Play(0);
  replay.Await(1);
  replay.PlayFrom(2);
}

void JoinerLeaves(Replay& replay) {
  replay.time().Allow(6);
  replay.Play(0);
  const Replay::Answer leaves = replay.Open(1);
  const Replay::Answer stays = replay.Open(2);
  Replay::ReadEvents(*stays, 8);
  replay.End(1, leaves);
  replay.End(2, stays);
  replay.PlayFrom(3);
}

void CancelRunning(Replay& replay) {
  // The thread has had a run of one tick.
  replay.NameThread();
  replay.Send("POST", "/threads/<thread-1>/runs/wait",
              R"({"assistant_id": "slow", "input": {"n": 1, "ms": 50}})");
  replay.time().Allow(8);
  const Replay::Answer stream = replay.Open(0);
  Replay::ReadEvents(*stream, 10);
  replay.Play(1);
  replay.End(0, stream);
  replay.PlayFrom(2);
}

void CancelPending(Replay& replay) {
  replay.PlayFrom(0, 3);
  replay.Await(3);
  replay.PlayFrom(4);
}

void ChangeWhileBusy(Replay& replay) {
  replay.time().Hold();
  replay.PlayFrom(0, 3);
  replay.Await(3);
  replay.PlayFrom(4);
}

void SecondIsRejected(Replay& replay) {
  replay.time().Allow(2);
  const Replay::Answer first = replay.Open(0);
  Replay::ReadEvents(*first, 6);
  replay.PlayFrom(1, 5);
  replay.time().Flow();
  replay.End(0, first);
  replay.PlayFrom(5);
}

void SecondIsEnqueued(Replay& replay) {
  replay.time().Allow(2);
  const Replay::Answer first = replay.Open(0);
  Replay::ReadEvents(*first, 6);
  const Replay::Answer second = replay.Open(1);
  replay.PlayFrom(2, 6);
  replay.time().Flow();
  replay.End(0, first);
  replay.End(1, second);
  replay.PlayFrom(6);
}

void SecondInterrupts(Replay& replay) {
  replay.time().Allow(3);
  const Replay::Answer first = replay.Open(0);
  Replay::ReadEvents(*first, 8);
  const Replay::Answer second = replay.Open(1);
  replay.End(0, first);
  replay.Play(2);
  replay.Await(3);
  replay.PlayFrom(4, 6);
  replay.time().Flow();
  replay.End(1, second);
  replay.PlayFrom(6);
}

void Wait(Replay& replay) {
  replay.Play(0);
  // What keeps the connection comes before the end.
  replay.time().Hold();
  const Replay::Answer slow = replay.Open(1);
  while (slow->body().size() < 2 && slow->ReadMore()) {
  }
  EXPECT_EQ(slow->body(), "\n\n");
  replay.time().Flow();
  replay.End(1, slow);
  replay.PlayFrom(2);
}

void Stateless(Replay& replay) {
  replay.PlayFrom(0, 4);
  replay.Await(4);
  replay.PlayFrom(5, 7);
  replay.Await(7);
  replay.PlayFrom(8);
}

void AfterJoke(Replay& replay) {
  // A run that was not recorded comes first.
  replay.NameThread();
  replay.Send("POST", "/threads/<thread-1>/runs/wait",
              R"({"assistant_id": "joke", "input": {"topic": "a"}})");
  replay.PlayFrom(0);
}

void Webhooks(Replay& replay) {
  for (size_t i = 0; i < 3; ++i) {
    replay.Play(i);
    replay.TakeHook(i + 1);
  }
  replay.time().Hold();
  replay.Play(3);
  const std::string run = "/threads/<thread-4>/runs/<run-4>";
  while (Parse(replay.Send("GET", run)).value("status", "") == "pending") {
  }
  replay.Send("POST", run + "/cancel");
  replay.TakeHook(4);
  replay.time().Flow();
  replay.Play(4);
  replay.Await(5);
}

class ReplayTest : public ::testing::TestWithParam<Recording> {
 protected:
  static void SetUpTestSuite() { played_ = {}; }
  static void TearDownTestSuite();

  // For differences that are listed for any file: which files were played, and
  // which of Departures() were met with.
  struct Played {
    std::set<std::string_view> files;
    std::set<size_t> met;
  };
  static Played played_;
};

ReplayTest::Played ReplayTest::played_;

TEST_P(ReplayTest, IsWhatWasRecorded) {
  Replay replay(GetParam().file, GetParam().workers);
  const absl::Status read = replay.Read();
  ASSERT_TRUE(read.ok()) << read;
  ASSERT_GT(replay.size(), 0u);
  if (GetParam().play != nullptr) {
    GetParam().play(replay);
  } else {
    replay.PlayFrom(0);
  }
  for (size_t k = 0; k < Departures().size(); ++k) {
    const Departure& departure = Departures()[k];
    if (departure.file.empty() || !departure.IsFor(GetParam().file)) continue;
    EXPECT_TRUE(replay.met().contains(k))
        << "listed, but did not occur: " << departure.difference.path << ", "
        << departure.difference.why;
  }
  played_.met.insert(replay.met().begin(), replay.met().end());
  played_.files.insert(GetParam().file);
}

const std::vector<Recording>& Recordings() {
  static const std::vector<Recording> kRecordings = {
      {"01-values"},
      {"02-updates"},
      {"03-custom"},
      {"04-messages"},
      {"05-messages-tuple"},
      {"06-tasks"},
      {"07-checkpoints"},
      {"08-debug"},
      {"09-events"},
      {"10-updates-and-values"},
      {"11-subgraphs"},
      {"12-parallel-nodes", nullptr, 1},  // Which begin in order.
      {"13-error"},
      {"14-interrupt-and-resume"},
      {"15-interrupt-before"},
      {"16-seven-modes"},
      {"20-join-resumable-mid-minus1", JoinInMidRun},
      {"21-join-resumable-mid-3", JoinInMidRun},
      {"22-join-resumable-mid-none", JoinInMidRun},
      {"23-join-resumable-mid-too-large", JoinInMidRun},
      {"24-join-resumable-mid-garbage", JoinInMidRun},
      {"25-join-resumable-after-minus1", JoinAfterEnd},
      {"26-join-resumable-after-none", JoinAfterEnd},
      {"27-resumable-five-consumers", FiveReaders},
      {"40-on-disconnect-cancel", CreatorLeaves},
      {"41-cancel-on-disconnect-hits-all", JoinerLeaves},
      {"42-cancel-interrupt", CancelRunning},
      {"44-cancel-pending", CancelPending},
      {"45-update-state-while-busy", ChangeWhileBusy},
      {"50-multitask-reject", SecondIsRejected},
      {"51-multitask-enqueue", SecondIsEnqueued},
      {"52-multitask-interrupt", SecondInterrupts},
      {"60-wait", Wait},
      {"61-stateless", Stateless},
      {"62-unknown-ids", JoinAfterEnd},
      {"63-validation"},
      {"64-threads"},
      {"65-state-update-history", AfterJoke},
      {"66-webhook", Webhooks},
      {"67-framing-newlines-unicode"},
      {"70-protocol-v2-thread-events"},
  };
  return kRecordings;
}

void ReplayTest::TearDownTestSuite() {
  if (played_.files.size() < Recordings().size()) return;  // Filtered.
  for (size_t k = 0; k < Departures().size(); ++k) {
    EXPECT_TRUE(played_.met.contains(k))
        << "listed, but occurs nowhere: " << Departures()[k].difference.path
        << ", " << Departures()[k].difference.why;
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, ReplayTest,
                         ::testing::ValuesIn(Recordings()),
                         [](const auto& param_info) {
                           std::string name(param_info.param.file);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// What `od -c` shows.
std::string BytesOf(std::istream& od) {
  std::string bytes, line;
  while (std::getline(od, line)) {
    for (size_t at = 7; at + 4 <= line.size(); at += 4) {
      const std::string cell = line.substr(at, 4);
      bytes.push_back(cell == "  \\n" ? '\n' : cell[3]);
    }
  }
  return bytes;
}

// The stream's text, but for spaces in its JSON and for what its run is called.
std::string Plain(const std::string& stream) {
  std::vector<std::string> lines = absl::StrSplit(stream, '\n');
  std::string run;
  for (std::string& line : lines) {
    if (!absl::StartsWith(line, "data: ")) continue;
    const Json data = Parse(line.substr(6));
    if (run.empty()) run = data.value("run_id", "none");
    line = "data: " + data.dump();
  }
  return absl::StrReplaceAll(absl::StrJoin(lines, "\n"), {{run, "<run>"}});
}

TEST(ReplayBytesTest, AStreamIsByteForByteWhatWasRecorded) {
  std::ifstream file(absl::StrCat(kFolder, "/00-raw-bytes.txt"));
  for (std::string line; line != "# od";) {
    ASSERT_TRUE(std::getline(file, line));
  }
  const std::string recorded = BytesOf(file);
  ASSERT_EQ(CountEvents(recorded), 3u) << recorded;

  Replay replay("00-raw-bytes");
  replay.NameThread();
  EXPECT_EQ(
      Plain(replay.Send("POST", "/threads/<thread-1>/runs/stream",
                        R"({"assistant_id": "joke", "stream_mode": "updates",
                    "input": {"topic": "ice cream"}})")),
      Plain(recorded));
}

// What is copied here is played.
TEST(RecordingsTest, AreAllPlayed) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    files.insert(entry.path().stem());
  }
  EXPECT_EQ(files.erase("00-raw-bytes"), 1u);
  for (const Recording& recording : Recordings()) {
    EXPECT_EQ(files.erase(std::string(recording.file)), 1u) << recording.file;
  }
  EXPECT_THAT(files, IsEmpty());
}

}  // namespace
}  // namespace weir
