#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gateway/program/graphs.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/transcript.h"

#include "weir/gateway/internal/json.h"
#include "weir/gateway/internal/json_input.h"
#include "weir/gateway/internal/wire_events.h"
#include "weir/gateway/internal/wire_state.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/runtime.h"

// What the example graphs do in process, on the wire, is what an Agent Server
// was recorded to send.
namespace weir {
namespace {

using internal::Json;
using internal::ParseJson;
using ::testing::IsEmpty;

using Kind = Difference::Kind;

const std::vector<Difference>& Expected() {
  static const std::vector<Difference> kExpected = {
      // The recorded host's own.
      {Kind::kMissing, "ls_integration", "names a library"},
      {Kind::kMissing, "ls_model_type", "names a library's model"},
      {Kind::kMissing, "ls_provider", "names a library's model"},
      {Kind::kMissing, "langgraph_version", "weir is another program"},
      {Kind::kMissing, "langgraph_plan", "of a platform"},
      {Kind::kMissing, "langgraph_host", "of a platform"},
      {Kind::kMissing, "versions", "of libraries"},
      {Kind::kValue, "config.recursion_limit", "each has its default"},
      {Kind::kValue, "parent_config.recursion_limit", "each has its default"},
      {Kind::kValue, "multitask_strategy", "enqueue is weir's default"},
      // The fuller form that SDKs have types for.
      {Kind::kExtra, "checkpoints.config", "fuller form"},
      {Kind::kExtra, "checkpoints.tasks", "fuller form"},
      {Kind::kExtra, "checkpoints.checkpoint", "fuller form"},
      {Kind::kExtra, "checkpoints.parent_checkpoint", "fuller form"},
      {Kind::kExtra, "checkpoints.parent_config", "fuller form"},
      // What a graph is called.
      {Kind::kValue, "events.name", "the graph's name, not LangGraph"},
      // Failures.
      {Kind::kExtra, "tasks.error", "SDKs have a type for it"},
      {Kind::kValue, "error.error", "C++ has no CustomError"},
      {Kind::kValue, "error.message", "names the node"},
      {Kind::kExtra, "error.node", "says whose failure it is"},
      {Kind::kValue, "__error__.error", "C++ has no CustomError"},
      {Kind::kValue, "__error__.message", "names the node"},
      {Kind::kExtra, "__error__.node", "says whose failure it is"},
      {Kind::kValue, "state.tasks.[].error", "a text, not JSON in a text"},
      // Threads and states.
      {Kind::kExtra, "thread.state_updated_at", "SDKs have a type for it"},
      {Kind::kExtra, "state.interrupts", "in the API's description"},
      {Kind::kExtra, "history.[].interrupts", "in the API's description"},
      {Kind::kMissing, "state.metadata.created_by", "not in checkpoints"},
      {Kind::kMissing, "state.metadata.run_attempt", "not in checkpoints"},
      {Kind::kMissing, "history.[].metadata.created_by", "not in checkpoints"},
      {Kind::kMissing, "history.[].metadata.run_attempt", "not in checkpoints"},
      // Of a state that was set by hand.
      {Kind::kExtra, "update.checkpoint.checkpoint_map", "as everywhere else"},
  };
  return kExpected;
}

struct Transcribed {
  std::string_view file;
  // Whether nodes run in the order of their names, in real time.
  bool in_order = false;
  // Whether the run has events that the reader does not get, whose ids are
  // missing.
  bool gaps = false;
  std::vector<Difference> more{};
  // How many exchanges are played; others are about the server's own.
  size_t first = 1'000;
};

void PrintTo(const Transcribed& recording, std::ostream* out) {
  *out << recording.file;
}

class WireTranscriptTest : public ::testing::TestWithParam<Transcribed> {
 protected:
  WireTranscriptTest() {
    if (GetParam().in_order) {
      executor_ = std::make_unique<InlineExecutor>();
    } else {
      executor_ = std::make_unique<SimExecutor>(1);
    }
    runtime_ =
        std::make_unique<Runtime>(RuntimeOptions{.executor = executor_.get()});
    for (ExampleGraph& example : graphs_) {
      EXPECT_TRUE(runtime_->Register(example.name, example.graph).ok());
      names_.Bind(absl::StrCat("<assistant:", example.name, ">"),
                  internal::AssistantId(example.name));
    }
    expected_ = Expected();
    expected_.insert(expected_.end(), GetParam().more.begin(),
                     GetParam().more.end());
  }

  const Graph& GraphOf(std::string_view name) const {
    return std::find_if(
               graphs_.begin(), graphs_.end(),
               [name](const auto& example) { return example.name == name; })
        ->graph;
  }

  std::string GraphOn(const ThreadId& thread) const {
    return runtime_->GetThread(thread).value().graph;
  }

  // "<thread-1>" made or found.
  ThreadId Thread(const std::string& name) {
    if (names_.Find(name) == nullptr) {
      names_.Bind(name, runtime_->CreateThread());
    }
    return *names_.Find(name);
  }

  void Same(const std::string& what, std::string_view recorded,
            std::string_view actual) {
    SCOPED_TRACE(what);
    absl::StatusOr<Json> wanted = ParseJson(recorded);
    absl::StatusOr<Json> got = ParseJson(actual);
    ASSERT_TRUE(wanted.ok()) << recorded << wanted.status();
    ASSERT_TRUE(got.ok()) << actual << got.status();
    std::vector<std::string> found;
    Compare(what, *wanted, *got, expected_, &names_, &found);
    EXPECT_THAT(found, IsEmpty()) << absl::StrJoin(found, "\n");
  }

  void SameEvents(std::string_view recorded, std::string_view actual) {
    absl::StatusOr<std::vector<SseEvent>> wanted = ParseSse(recorded);
    absl::StatusOr<std::vector<SseEvent>> got = ParseSse(actual);
    ASSERT_TRUE(wanted.ok()) << wanted.status();
    ASSERT_TRUE(got.ok()) << got.status();
    // A defect of the recorded server: nobody has asked for them.
    if (GetParam().file == "11-subgraphs") {
      std::erase_if(*wanted, [](const SseEvent& event) {
        return event.name.substr(0, 11) == "checkpoints";
      });
    }
    int64_t last_id = -1;
    for (size_t i = 0; i < std::min(wanted->size(), got->size()); ++i) {
      const SseEvent& want = (*wanted)[i];
      const SseEvent& have = (*got)[i];
      SCOPED_TRACE(absl::StrCat("event ", i, ": ", have.name, " ", have.data));
      EXPECT_TRUE(names_.Match(want.name, have.name))
          << "recorded " << want.name << " " << want.data;
      Same(want.name, want.data, have.data);
      if (!GetParam().gaps) {
        EXPECT_EQ(have.id, std::to_string(i));
      } else if (have.id.has_value()) {
        EXPECT_GT(std::stoll(*have.id), last_id);
        last_id = std::stoll(*have.id);
      }
    }
    EXPECT_EQ(got->size(), wanted->size()) << actual;
  }

  struct Started {
    std::string graph;
    uint32_t modes = 0;
    Input input = Input::Continue();
    StartOptions options;
  };
  Started Start(const Exchange& exchange) {
    Started started;
    const Json body = ParseJson(names_.Fill(exchange.request_body)).value();
    started.graph = body["assistant_id"].get<std::string>();
    std::vector<std::string> modes = {"values"};
    if (body.contains("stream_mode")) {
      const Json& given = body["stream_mode"];
      modes = given.is_array() ? given.get<std::vector<std::string>>()
                               : std::vector{given.get<std::string>()};
    }
    started.modes = internal::ParseWireModes(modes).value();
    started.options.subgraphs = body.value("stream_subgraphs", false);
    started.options.resumable = body.value("stream_resumable", false);
    started.options.interrupt_before =
        body.value("interrupt_before", std::vector<std::string>());
    started.options.modes = internal::RunModesFor(
        started.modes, !started.options.interrupt_before.empty());
    absl::StatusOr<Input> input = internal::InputFromJson(
        GraphOf(started.graph), {}, body.value("input", Json()),
        body.value("command", Json()));
    EXPECT_TRUE(input.ok()) << input.status();
    if (input.ok()) started.input = *std::move(input);
    return started;
  }
  // The run that a response names.
  static std::string RunName(const Exchange& exchange) {
    const std::string location = exchange.header("content-location");
    return location.substr(location.rfind('/') + 1);
  }

  void PlayStream(const Exchange& exchange, const ThreadId& thread) {
    Started started = Start(exchange);
    absl::StatusOr<RunStream> stream =
        runtime_->Stream(thread, started.graph, std::move(started.input),
                         std::move(started.options));
    ASSERT_TRUE(stream.ok()) << stream.status();
    names_.Bind(RunName(exchange), stream->run_id());
    ReadStream(exchange, thread, started, *std::move(stream));
  }
  void ReadStream(const Exchange& exchange, const ThreadId& thread,
                  const Started& started, RunStream stream) {
    internal::WireEvents events(
        {.run_id = stream.run_id(),
         .thread_id = thread,
         .graph = started.graph,
         .assistant_id = internal::AssistantId(started.graph)},
        started.modes);
    std::string frames;
    while (const Event* event = stream.Next()) events.Append(*event, &frames);
    ASSERT_TRUE(stream.run_status().has_value());
    events.End(*stream.run_status(), &frames);
    SameEvents(exchange.body, frames);
  }

  void PlayStart(const Exchange& exchange, const ThreadId& thread) {
    background_ = Start(exchange);
    absl::StatusOr<RunInfo> run = runtime_->StartRun(
        thread, background_.graph, background_.input, background_.options);
    ASSERT_TRUE(run.ok()) << run.status();
    names_.Bind(RunName(exchange), run->id);
    SameRun(exchange, *run);
    if (GetParam().file == "25-join-resumable-after-minus1") {
      EXPECT_TRUE(runtime_->Join(thread, run->id).ok());
    }
  }
  void PlayJoin(const Exchange& exchange, const ThreadId& thread,
                const RunId& run) {
    ASSERT_EQ(exchange.request_headers.size(), 1u);
    ASSERT_EQ(exchange.request_headers[0].first, "Last-Event-ID");
    absl::StatusOr<RunStream> stream = runtime_->JoinStream(
        thread, run,
        {.last_event_id =
             ParseEventId(exchange.request_headers[0].second).value()});
    ASSERT_TRUE(stream.ok()) << stream.status();
    ReadStream(exchange, thread, background_, *std::move(stream));
  }
  void SameRun(const Exchange& exchange, const RunInfo& run) {
    // What it was created with is the server's to know.
    const Json kwargs = ParseJson(names_.Fill(exchange.body)).value()["kwargs"];
    Same("run", exchange.body, internal::RunJson(run, kwargs));
  }

  void PlayWait(const Exchange& exchange, const ThreadId& thread) {
    Started started = Start(exchange);
    absl::StatusOr<RunOutcome> outcome =
        runtime_->Wait(thread, started.graph, std::move(started.input),
                       std::move(started.options));
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    names_.Bind(RunName(exchange),
                runtime_->ListRuns(thread).value().front().id);
    Same("outcome", exchange.body, internal::OutcomeJson(*outcome));
  }

  void PlayUpdate(const Exchange& exchange, const ThreadId& thread) {
    const Json body = ParseJson(exchange.request_body).value();
    absl::StatusOr<Update> values =
        internal::UpdateFromJson(GraphOf(GraphOn(thread)), body["values"]);
    ASSERT_TRUE(values.ok()) << values.status();
    absl::StatusOr<CheckpointRef> updated = runtime_->UpdateState(
        thread, {.values = *std::move(values),
                 .as_node = body.value("as_node", std::string())});
    if (exchange.status != 200) {  // An unknown node; recorded as a bare 500.
      EXPECT_EQ(internal::HttpStatus(updated.status()), 422);
      return;
    }
    ASSERT_TRUE(updated.ok()) << updated.status();
    std::string ref;
    internal::AppendCheckpointRef(*updated, &ref);
    // Its fields are in another order there.
    Json recorded = ParseJson(exchange.body).value();
    Json& checkpoint = recorded["checkpoint"];
    checkpoint = {{"thread_id", checkpoint["thread_id"]},
                  {"checkpoint_id", checkpoint["checkpoint_id"]},
                  {"checkpoint_ns", checkpoint["checkpoint_ns"]}};
    Same("update", recorded.dump(),
         absl::StrCat("{\"checkpoint\": ", ref, "}"));
  }

  void PlayHistory(const Exchange& exchange, const ThreadId& thread) {
    absl::StatusOr<std::vector<StateSnapshot>> history =
        runtime_->GetHistory(thread);
    ASSERT_TRUE(history.ok()) << history.status();
    if (exchange.cut) {
      // The newest is there.
      const size_t end = exchange.body.find(",{\"values\"");
      ASSERT_NE(end, std::string::npos);
      Same("history", exchange.body.substr(0, end) + "]",
           absl::StrCat("[",
                        internal::StateJson(history->front(), GraphOn(thread)),
                        "]"));
      return;
    }
    std::string all;
    for (const StateSnapshot& state : *history) {
      absl::StrAppend(&all, all.empty() ? "[" : ", ",
                      internal::StateJson(state, GraphOn(thread)));
    }
    Same("history", exchange.body, all + "]");
  }

  // Does what the request asks for, and compares the response.
  void Play(const Exchange& exchange) {
    SCOPED_TRACE(absl::StrCat(exchange.method, " ", exchange.target));
    const std::vector<std::string> path = absl::StrSplit(
        exchange.target.substr(0, exchange.target.find('?')), '/');
    ASSERT_GE(path.size(), 3u);
    ASSERT_EQ(path[1], "threads");
    const ThreadId thread = Thread(path[2]);
    const std::string what = path.size() > 3 ? path[3] : "";
    if (what == "runs" && path.size() > 4 && exchange.method == "POST") {
      return path[4] == "stream" ? PlayStream(exchange, thread)
                                 : PlayWait(exchange, thread);
    }
    if (what == "runs") {
      if (path.size() == 4) return PlayStart(exchange, thread);
      ASSERT_NE(names_.Find(path[4]), nullptr);
      const RunId run_id = *names_.Find(path[4]);
      if (path.size() > 5) return PlayJoin(exchange, thread, run_id);
      absl::StatusOr<RunInfo> run = runtime_->GetRun(thread, run_id);
      ASSERT_TRUE(run.ok()) << run.status();
      return SameRun(exchange, *run);
    }
    if (what == "history") return PlayHistory(exchange, thread);
    const std::string which = path.size() > 4 ? path[4] : "";
    if (what == "state" && exchange.method == "POST" && which.empty()) {
      return PlayUpdate(exchange, thread);
    }
    StateOptions options;
    if (which == "checkpoint") {
      const Json body = ParseJson(names_.Fill(exchange.request_body)).value();
      options.at = internal::RefFromJson(body["checkpoint"]).value();
    } else if (!which.empty()) {  // Recorded as an empty state.
      options.at = CheckpointRef{.id = {.sequence = 99, .random = 1}};
      EXPECT_EQ(
          internal::HttpStatus(runtime_->GetState(thread, options).status()),
          404);
      return;
    }
    absl::StatusOr<StateSnapshot> state =
        runtime_->GetState(thread, std::move(options));
    ASSERT_TRUE(state.ok()) << state.status();
    if (what == "state") {
      return Same("state", exchange.body,
                  internal::StateJson(*state, GraphOn(thread)));
    }
    ASSERT_EQ(what, "");
    absl::StatusOr<ThreadInfo> info = runtime_->GetThread(thread);
    ASSERT_TRUE(info.ok()) << info.status();
    Same("thread", exchange.body, internal::ThreadJson(*info, &*state));
  }

  std::vector<ExampleGraph> graphs_ = ExampleGraphs();
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Runtime> runtime_;
  Names names_;
  std::vector<Difference> expected_;
  Started background_;  // The run that was started without a reader.
};

TEST(ExampleGraphsTest, TakeTheInputsThatTheyAreShownWith) {
  SimExecutor executor(1);
  Runtime runtime({.executor = &executor});
  for (ExampleGraph& example : ExampleGraphs()) {
    SCOPED_TRACE(example.name);
    EXPECT_NE(example.options.description, "");
    const Json input = ParseJson(example.options.example_input).value();
    absl::StatusOr<Input> made =
        internal::InputFromJson(example.graph, example.options, input, Json());
    ASSERT_TRUE(made.ok()) << made.status();
    ASSERT_TRUE(runtime.Register(example.name, example.graph).ok());
    absl::StatusOr<RunOutcome> outcome =
        runtime.Wait(runtime.CreateThread(), example.name, *std::move(made));
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(outcome->status,
              example.name == "boom" ? RunStatus::kError : RunStatus::kSuccess);
    EXPECT_EQ(outcome->interrupts.empty(), example.name != "ask");
  }
}

TEST_P(WireTranscriptTest, IsWhatWasRecorded) {
  absl::StatusOr<std::vector<Exchange>> exchanges = ReadTranscript(
      absl::StrCat("tests/gateway/sse/", std::string(GetParam().file), ".txt"));
  ASSERT_TRUE(exchanges.ok()) << exchanges.status();
  ASSERT_FALSE(exchanges->empty());
  if (GetParam().file == "65-state-update-history") {
    // A run that was not recorded comes first.
    ASSERT_TRUE(
        runtime_->Wait(Thread("<thread-1>"), "joke", Update().Set("topic", "a"))
            .ok());
  }
  exchanges->resize(std::min(exchanges->size(), GetParam().first));
  for (const Exchange& exchange : *exchanges) {
    Play(exchange);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Recorded, WireTranscriptTest,
    ::testing::Values(
        Transcribed{.file = "01-values"}, Transcribed{.file = "02-updates"},
        Transcribed{.file = "03-custom"},
        Transcribed{.file = "04-messages", .gaps = true},
        Transcribed{.file = "05-messages-tuple"},
        Transcribed{.file = "06-tasks"}, Transcribed{.file = "07-checkpoints"},
        Transcribed{.file = "08-debug"},
        Transcribed{.file = "09-events", .gaps = true},
        Transcribed{.file = "10-updates-and-values"},
        Transcribed{.file = "11-subgraphs"},
        Transcribed{
            .file = "12-parallel-nodes",
            .in_order = true,
            .more = {{Kind::kValue, "tasks.triggers",
                      "weir's joins name sources in order, and each node "
                      "may be branched to"}}},
        Transcribed{.file = "13-error"},
        Transcribed{.file = "14-interrupt-and-resume",
                    .more = {{Kind::kValue, "history.[].tasks.[].result",
                              "a task that was answered has its result, too"}}},
        Transcribed{.file = "15-interrupt-before", .gaps = true},
        Transcribed{.file = "16-seven-modes"},
        Transcribed{.file = "20-join-resumable-mid-minus1"},
        Transcribed{.file = "25-join-resumable-after-minus1"},
        Transcribed{.file = "50-multitask-reject", .first = 1},
        Transcribed{
            .file = "60-wait",
            .more = {{Kind::kExtra, "outcome.question", "the values come, too"},
                     {Kind::kExtra, "outcome.log", "the values come, too"}},
            .first = 4},
        Transcribed{.file = "65-state-update-history",
                    .more = {{Kind::kExtra, "metadata.assistant_id",
                              "of an update, too"},
                             {Kind::kValue, "history.[].tasks.[].result",
                              "a task that was answered has its result, too"}}},
        Transcribed{.file = "67-framing-newlines-unicode"}),
    [](const auto& param_info) {
      std::string name(param_info.param.file);
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

}  // namespace
}  // namespace weir
