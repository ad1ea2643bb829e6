#include "weir/gateway/internal/wire_events.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/gateway/transcript.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/channels/nlohmann_json.h"
#include "weir/gateway/internal/json.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

// Events as frames, beyond what recordings show; those are in
// wire_transcripts_whitebox_test.cc.
namespace weir {
namespace {

using internal::AppendFrame;
using internal::Json;
using internal::ParseWireModes;
using internal::RunModesFor;
using internal::WireEvents;
using internal::WireThreadEvents;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(WireModesTest, AreReadAndNamed) {
  const std::vector<std::string> all = {"values",         "updates", "messages",
                                        "messages-tuple", "custom",  "tasks",
                                        "checkpoints",    "debug",   "events"};
  absl::StatusOr<uint32_t> modes = ParseWireModes(all);
  ASSERT_TRUE(modes.ok());
  EXPECT_EQ(*modes, 0x1ffu);
  EXPECT_EQ(internal::WireModeNames(*modes), all);
  EXPECT_EQ(ParseWireModes({"tasks", "tasks"}).value(), internal::kWireTasks);
  EXPECT_EQ(ParseWireModes({}).value(), 0u);
}

TEST(WireModesTest, AnUnknownOneIsRefusedWithThoseThereAre) {
  for (const char* name : {"value", "", "VALUES", "tools"}) {
    const absl::Status status = ParseWireModes({"values", name}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(status.message()),
              absl::StrCat("'", name,
                           "' is no stream mode: there are values, updates, "
                           "messages, messages-tuple, custom, tasks, "
                           "checkpoints, debug, events"));
  }
}

TEST(WireModesTest, SayWhatARunHasToTell) {
  EXPECT_EQ(RunModesFor(internal::kWireValues), kValues);
  EXPECT_EQ(RunModesFor(internal::kWireValues, /*may_stop=*/true),
            kValues | kUpdates);
  EXPECT_EQ(RunModesFor(internal::kWireCustom, /*may_stop=*/true), kCustom);
  EXPECT_EQ(RunModesFor(internal::kWireMessages), kMessages | kValues);
  EXPECT_EQ(RunModesFor(internal::kWireMessagesTuple), kMessages);
  EXPECT_EQ(RunModesFor(internal::kWireEvents), kTasks | kValues);
  EXPECT_EQ(RunModesFor(internal::kWireUpdates | internal::kWireDebug),
            kUpdates | kDebug);
}

TEST(AppendFrameTest, HasTheBytesThatWereRecorded) {
  std::string frames;
  AppendFrame("updates", "{\"a\":1}", 17, &frames);
  AppendFrame("error", "{}", std::nullopt, &frames);
  EXPECT_EQ(frames,
            "event: updates\ndata: {\"a\":1}\nid: 17\n\n"
            "event: error\ndata: {}\n\n");
}

class WireEventsTest : public ::testing::Test {
 protected:
  WireEventsTest() : runtime_({.executor = &executor_}) {}

  // Serves a graph of one node.
  template <class F>
  void Serve(StateGraph& builder, F node) {
    builder.AddNode("node", std::move(node));
    builder.AddEdge(kStart, "node");
    builder.AddType<Json>();
    absl::StatusOr<Graph> graph = builder.Compile();
    ASSERT_TRUE(graph.ok()) << graph.status();
    ASSERT_TRUE(runtime_.Register("graph", *graph).ok());
  }
  static internal::WireRun RunOf(const RunId& run, const ThreadId& thread) {
    return {
        .run_id = run,
        .thread_id = thread,
        .graph = "graph",
        .assistant_id = "assistant",
        .metadata = {
            {"who", "\"me\""}, {"graph_id", "\"x\""}, {"__weir_secret", "1"}}};
  }
  // The events of a run, for readers of `modes` on the wire.
  std::vector<Event> Run(uint32_t modes, Input input = Update()) {
    thread_ = runtime_.CreateThread();
    absl::StatusOr<RunStream> stream =
        runtime_.Stream(thread_, "graph", std::move(input),
                        {.modes = RunModesFor(modes), .subgraphs = true});
    EXPECT_TRUE(stream.ok()) << stream.status();
    std::vector<Event> events;
    while (const Event* event = stream->Next()) events.push_back(*event);
    run_ = stream->run_id();
    status_ = stream->run_status().value_or(RunStatus::kPending);
    return events;
  }
  // As frames, for a reader who has had those up to `last_id`.
  std::vector<SseEvent> Frames(const std::vector<Event>& events, uint32_t modes,
                               int64_t last_id = -1) {
    WireEvents view(RunOf(run_, thread_), modes);
    std::string frames;
    for (const Event& event : events) {
      if (static_cast<int64_t>(event.id()) <= last_id) {
        view.Skip(event);
      } else {
        view.Append(event, &frames);
      }
    }
    view.End(status_, &frames);
    absl::StatusOr<std::vector<SseEvent>> parsed = ParseSse(frames);
    EXPECT_TRUE(parsed.ok()) << parsed.status() << frames;
    return parsed.ok() ? *std::move(parsed) : std::vector<SseEvent>();
  }
  static std::vector<std::string> NamesOf(const std::vector<SseEvent>& frames) {
    std::vector<std::string> names;
    for (const SseEvent& frame : frames) names.push_back(frame.name);
    return names;
  }
  static Json Data(const SseEvent& frame) {
    return Json::parse(frame.data, nullptr, false);
  }
  // A graph that streams one message and returns another whole.
  void ServeModel() {
    StateGraph builder;
    const auto messages = builder.AddChannel("messages", Messages());
    Serve(builder, [messages](NodeContext& node) {
      node.EmitMessage(Message{"assistant", "Hel", "m"}, {"draft"});
      node.EmitMessage(Message{"", "lo", "m"});
      return Update(messages, {Message{"assistant", "Hello", "m"},
                               Message{"tool", "42", "t"}});
    });
  }

  SimExecutor executor_{1};
  Runtime runtime_;
  ThreadId thread_;
  RunId run_;
  RunStatus status_ = RunStatus::kPending;
};

TEST_F(WireEventsTest, PartsOfAMessageGrow) {
  ServeModel();
  const uint32_t modes = internal::kWireMessages;
  const std::vector<SseEvent> frames = Frames(Run(modes), modes);
  ASSERT_THAT(NamesOf(frames),
              ElementsAre("metadata", "messages/metadata", "messages/partial",
                          "messages/partial", "messages/complete"));
  EXPECT_EQ(Data(frames[2])[0]["content"], "Hel");
  EXPECT_EQ(Data(frames[3])[0]["content"], "Hello");
  EXPECT_EQ(Data(frames[3])[0]["type"], "ai");
  EXPECT_EQ(Data(frames[3])[0]["id"], "m");
  // What was streamed, and what was not.
  ASSERT_THAT(Data(frames[4]), SizeIs(2));
  EXPECT_EQ(Data(frames[4])[0]["content"], "Hello");
  EXPECT_EQ(Data(frames[4])[1]["type"], "tool");
}

TEST_F(WireEventsTest, OnlyTheLastFrameOfAnEventHasItsId) {
  ServeModel();
  const uint32_t modes = internal::kWireMessages | internal::kWireValues;
  const std::vector<Event> events = Run(modes);
  const std::vector<SseEvent> frames = Frames(events, modes);
  ASSERT_THAT(NamesOf(frames),
              ElementsAre("metadata", "messages/metadata", "messages/partial",
                          "messages/partial", "values", "messages/complete"));
  EXPECT_EQ(frames[1].id, std::nullopt);
  EXPECT_TRUE(frames[2].id.has_value());
  EXPECT_EQ(frames[4].id, std::nullopt);
  EXPECT_EQ(frames[5].id, std::to_string(events.back().id()));
}

TEST_F(WireEventsTest, AReaderWhoComesAgainMissesNothingAndHasNothingTwice) {
  ServeModel();
  const uint32_t modes = internal::kWireMessages | internal::kWireValues |
                         internal::kWireEvents | internal::kWireTasks;
  const std::vector<Event> events = Run(modes);
  const std::vector<SseEvent> all = Frames(events, modes);
  // Cut anywhere, also within the frames of one event.
  for (size_t had = 0; had < all.size(); ++had) {
    std::optional<std::string> last;
    size_t seen = 0;  // Up to the last id.
    for (size_t i = 0; i < had; ++i) {
      if (all[i].id.has_value()) {
        last = all[i].id;
        seen = i + 1;
      }
    }
    const std::vector<SseEvent> rest =
        Frames(events, modes, last.has_value() ? std::stoll(*last) : -1);
    ASSERT_EQ(rest.size(), all.size() - seen);
    for (size_t i = 0; i < rest.size(); ++i) {
      EXPECT_EQ(rest[i].name, all[seen + i].name);
      EXPECT_EQ(rest[i].data, all[seen + i].data);
      EXPECT_EQ(rest[i].id, all[seen + i].id);
    }
  }
}

TEST_F(WireEventsTest, TuplesHaveEachPieceAndWhereItIsFrom) {
  ServeModel();
  const uint32_t modes = internal::kWireMessagesTuple;
  const std::vector<SseEvent> frames = Frames(Run(modes), modes);
  ASSERT_THAT(NamesOf(frames),
              ElementsAre("metadata", "messages", "messages", "messages"));
  EXPECT_EQ(Data(frames[1])[1]["tags"], Json({"draft"}));
  EXPECT_EQ(Data(frames[2])[0]["content"], "lo");
  EXPECT_EQ(Data(frames[2])[0]["type"], "ai");     // The piece does not say it.
  EXPECT_EQ(Data(frames[3])[0]["content"], "42");  // Came whole.
  EXPECT_EQ(Data(frames[3])[1]["langgraph_node"], "node");
}

TEST_F(WireEventsTest, MetadataOfTheRunIsShownAndTheGatewaysOwnIsNot) {
  ServeModel();
  const uint32_t modes = internal::kWireTasks;
  const std::vector<SseEvent> frames = Frames(Run(modes), modes);
  const Json metadata = Data(frames[1])["metadata"];
  EXPECT_EQ(metadata["who"], "me");
  EXPECT_EQ(metadata["graph_id"], "graph");
  EXPECT_EQ(metadata["assistant_id"], "assistant");
  EXPECT_EQ(metadata["run_attempt"], 1);
  EXPECT_FALSE(metadata.contains("__weir_secret"));
}

TEST_F(WireEventsTest, MessagesThatAreJsonGrowAndStayAsTheyAre) {
  StateGraph builder;
  const auto messages = builder.AddChannel("messages", Messages<Json>());
  Serve(builder, [messages](NodeContext& node) {
    node.EmitMessage(Json({{"role", "ai"},
                           {"content", "a"},
                           {"id", "m"},
                           {"calls", {1}},
                           {"name", "bob"}}));
    node.EmitMessage(Json({{"role", ""},
                           {"content", "b"},
                           {"id", "m"},
                           {"calls", {2}},
                           {"name", nullptr},
                           {"n", 1}}));
    return Update(messages,
                  Json({{"role", "ai"}, {"content", "ab"}, {"id", "m"}}));
  });
  const uint32_t modes = internal::kWireMessages;
  const std::vector<SseEvent> frames = Frames(Run(modes), modes);
  ASSERT_THAT(NamesOf(frames),
              ElementsAre("metadata", "messages/metadata", "messages/partial",
                          "messages/partial", "messages/complete"));
  EXPECT_EQ(frames[3].data,
            R"([{"role": "ai", "content": "ab", "id": "m", "calls": [1, 2], )"
            R"("name": "bob", "n": 1}])");
  EXPECT_EQ(frames[4].data, R"([{"role": "ai", "content": "ab", "id": "m"}])");
}

TEST_F(WireEventsTest, ListsOfOtherThingsAreNoMessages) {
  StateGraph builder;
  const auto list = builder.AddChannel("list", AppendLogChannel<Json>());
  const auto texts =
      builder.AddChannel("texts", AppendLogChannel<std::string>());
  Serve(builder, [list, texts](NodeContext&) {
    return Update(list, {Json({{"id", "1"}, {"title", "x"}})})
        .Set(texts, {"role"});
  });
  const uint32_t modes = internal::kWireMessages;
  EXPECT_THAT(NamesOf(Frames(Run(modes), modes)), ElementsAre("metadata"));
}

TEST_F(WireEventsTest, ValuesHaveMessagesAsClientsKnowThem) {
  ServeModel();
  const uint32_t modes = internal::kWireValues | internal::kWireUpdates;
  const std::vector<SseEvent> frames = Frames(Run(modes), modes);
  ASSERT_THAT(NamesOf(frames), ElementsAre("metadata", "updates", "values"));
  EXPECT_EQ(Data(frames[1])["node"]["messages"][0]["type"], "ai");
  EXPECT_EQ(Data(frames[2])["messages"][0]["type"], "ai");
  EXPECT_EQ(Data(frames[2])["messages"][0]["content"], "Hello");
}

TEST_F(WireEventsTest, GraphsInsideAreInTheNames) {
  StateGraph inner;
  const auto messages = inner.AddChannel("messages", Messages());
  inner.AddNode("model", [messages](NodeContext& node) {
    node.EmitMessage(Message{"assistant", "a", "m"});
    return Update(messages, Message{"assistant", "a", "m"});
  });
  inner.AddEdge(kStart, "model");
  const Graph inside = inner.Compile().value();
  StateGraph builder;
  builder.AddChannel("messages", Messages());
  Serve(builder, [inside](NodeContext& node) -> NodeResult {
    absl::StatusOr<Values> first = node.Invoke(inside, Update());
    if (!first.ok()) return first.status();
    absl::StatusOr<Values> second = node.Invoke(inside, Update());
    if (!second.ok()) return second.status();
    return Update();
  });
  const uint32_t modes = internal::kWireMessages;
  const std::vector<SseEvent> frames = Frames(Run(modes), modes);
  ASSERT_THAT(frames, SizeIs(7));
  const std::string task =
      Data(frames[1])["m"]["metadata"]["langgraph_checkpoint_ns"];
  const std::string path = task.substr(0, task.find('|'));
  EXPECT_EQ(path.substr(0, 5), "node:");
  EXPECT_THAT(
      NamesOf(frames),
      ElementsAre("metadata", "messages/metadata|" + path,
                  "messages/partial|" + path, "messages/complete|" + path,
                  // The second graph that the task calls.
                  absl::StrCat("messages/metadata|", path, "|1"),
                  absl::StrCat("messages/partial|", path, "|1"),
                  absl::StrCat("messages/complete|", path, "|1")));
}

TEST_F(WireEventsTest, AnErrorIsTheLastEventAndSaysWhoseItIs) {
  StateGraph builder;
  builder.AddChannel("x", LastValue<int>());
  Serve(builder, [](NodeContext&) { return absl::NotFoundError("no x"); });
  const uint32_t modes = internal::kWireEvents | internal::kWireTasks;
  const std::vector<SseEvent> frames = Frames(Run(modes), modes);
  ASSERT_THAT(NamesOf(frames), ElementsAre("metadata", "tasks", "events",
                                           "events", "tasks", "error"));
  EXPECT_THAT(std::string(Data(frames[4])["error"]), HasSubstr("no x"));
  EXPECT_EQ(Data(frames[5])["error"], "NodeError");
  EXPECT_EQ(Data(frames[5])["node"], "node");
}

TEST_F(WireEventsTest, AReaderWhoComesLateHasEndsWithoutStarts) {
  ServeModel();
  const uint32_t modes = internal::kWireEvents;
  std::vector<Event> events = Run(modes);
  // Live from the end of the node on: nothing was had before.
  while (events.front().As<TaskFinished>() == nullptr) {
    events.erase(events.begin());
  }
  const std::vector<SseEvent> frames = Frames(events, modes);
  ASSERT_THAT(NamesOf(frames), ElementsAre("events", "events"));
  EXPECT_EQ(Data(frames[0])["event"], "on_chain_end");
  EXPECT_EQ(Data(frames[0])["name"], "node");
  EXPECT_FALSE(Data(frames[0])["data"].contains("input"));
  EXPECT_EQ(Data(frames[1])["event"], "on_chain_end");
  EXPECT_EQ(Data(frames[1])["name"], "graph");
}

TEST_F(WireEventsTest, AStopBeforeANodeIsSaidInValuesAlone) {
  ServeModel();
  thread_ = runtime_.CreateThread();
  const uint32_t modes = internal::kWireValues;
  absl::StatusOr<RunStream> stream = runtime_.Stream(
      thread_, "graph", Update(),
      {.modes = RunModesFor(modes, true), .interrupt_before = {"*"}});
  ASSERT_TRUE(stream.ok());
  std::vector<Event> events;
  while (const Event* event = stream->Next()) events.push_back(*event);
  const std::vector<SseEvent> frames = Frames(events, modes);
  ASSERT_THAT(NamesOf(frames), ElementsAre("metadata", "values"));
  EXPECT_EQ(frames[1].data, "{\"__interrupt__\": []}");
}

TEST_F(WireEventsTest, RetriesAndWarningsAreDebugEvents) {
  StateGraph builder;
  builder.AddChannel("x", LastValue<int>());
  builder.AddNode("node",
                  [](NodeContext& node) -> NodeResult {
                    if (node.attempt() == 1)
                      return absl::UnavailableError("busy");
                    return Command{.go_to = {"nowhere"}};
                  },
                  {.retry = {RetryPolicy{}}});
  builder.AddEdge(kStart, "node");
  ASSERT_TRUE(runtime_.Register("graph", builder.Compile().value()).ok());
  const uint32_t modes = internal::kWireDebug;
  std::vector<std::string> types;
  for (const SseEvent& frame : Frames(Run(modes), modes)) {
    if (frame.name == "debug") types.push_back(Data(frame)["type"]);
  }
  EXPECT_THAT(types,
              ElementsAre("checkpoint", "checkpoint", "task", "task_retry",
                          "warning", "task_result", "checkpoint"));
}

TEST_F(WireEventsTest, SomeoneWhoWantsNothingGetsMetadataOnly) {
  ServeModel();
  EXPECT_THAT(NamesOf(Frames(Run(0x1ff), 0)), ElementsAre("metadata"));
}

TEST_F(WireEventsTest, AThreadTellsOfItsRunsAndItsState) {
  ServeModel();
  const ThreadId thread = runtime_.CreateThread();
  absl::StatusOr<ThreadStream> stream = runtime_.JoinThreadStream(
      thread, {.modes = kRunModes | kLifecycle | kStateUpdate});
  ASSERT_TRUE(stream.ok());
  ASSERT_TRUE(runtime_
                  .Wait(thread, "graph", Update(),
                        {.modes = RunModesFor(internal::kWireUpdates |
                                              internal::kWireEvents),
                         .resumable = true})
                  .ok());
  WireThreadEvents view([&thread](const RunId& run) {
    return WireEvents(RunOf(run, thread),
                      internal::kWireUpdates | internal::kWireEvents);
  });
  std::string text;
  uint64_t last_id = 0;
  while (const ThreadEvent* event = stream->TryNext()) {
    view.Append(*event, &text);
    last_id = event->id;
  }
  const std::vector<SseEvent> frames = ParseSse(text).value();
  ASSERT_THAT(NamesOf(frames),
              ElementsAre("metadata", "events", "events", "updates", "events",
                          "events", "metadata", "state_update"));
  const RunId run = runtime_.ListRuns(thread)->front().id;
  EXPECT_EQ(Data(frames[0]), Json({{"run_id", run}, {"attempt", 1}}));
  EXPECT_EQ(Data(frames[1])["event"], "on_chain_start");
  EXPECT_EQ(Data(frames[1])["data"], Json({{"input", Json::object()}}));
  EXPECT_EQ(Data(frames[5])["event"], "on_chain_end");
  EXPECT_EQ(frames[5].id, std::nullopt);
  EXPECT_EQ(Data(frames[6]), Json({{"status", "run_done"}, {"run_id", run}}));
  const Json state = Data(frames[7]);
  EXPECT_EQ(state["values"]["messages"][0]["type"], "ai");
  EXPECT_EQ(state["run_id"], run);
  EXPECT_EQ(state["metadata"]["graph_id"], "graph");
  EXPECT_EQ(frames[7].id, std::to_string(last_id));
}

}  // namespace
}  // namespace weir
