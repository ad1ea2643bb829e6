// A run on a time line, in virtual time.

#include "weir/runtime/trace.h"

#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "weir/channels/last_value.h"
#include "weir/runtime/call.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Json = nlohmann::json;

auto Sleeper(absl::Duration duration) {
  return [duration](NodeContext& node) -> Task<NodeResult> {
    (void)co_await node.Sleep(duration);
    co_return NodeResult();
  };
}

// Two tasks at once, one of them of a graph; then one that fails.
Json TraceOfSample() {
  StateGraph inner;
  inner.AddNode("deep", Sleeper(absl::Milliseconds(2)));
  inner.AddEdge(kStart, "deep");
  StateGraph builder;
  builder.AddNode("slow", Sleeper(absl::Milliseconds(5)));
  builder.AddNode("graph", *inner.Compile());
  builder.AddNode("fails", [](NodeContext&) -> absl::Status {
    return absl::InternalError("\"no\" luck");
  });
  builder.AddEdge(kStart, "slow");
  builder.AddEdge(kStart, "graph");
  builder.AddJoin({"slow", "graph"}, "fails");
  const absl::StatusOr<Graph> graph = builder.Compile();
  EXPECT_TRUE(graph.ok()) << graph.status();
  SimExecutor executor(1);
  TraceRecorder trace;
  RunStream stream = graph->Stream(
      Update(),
      {.modes = kDebug | kValues, .subgraphs = true, .executor = &executor});
  while (const Event* event = stream.Next()) trace.Add(*event);
  return Json::parse(trace.ToJson());
}

// "process/track name begin+duration" of the slices of a kind, in order.
std::vector<std::string> Slices(const Json& trace, const std::string& kind) {
  std::vector<std::string> texts;
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] != "X" || event["cat"] != kind) continue;
    texts.push_back(std::to_string(event["pid"].get<int>()) + "/" +
                    std::to_string(event["tid"].get<int>()) + " " +
                    event["name"].get<std::string>() + " " +
                    std::to_string(event["ts"].get<int>()) + "+" +
                    std::to_string(event["dur"].get<int>()));
  }
  return texts;
}

TEST(TraceTest, TasksLieOnTracksAndSuperstepsOnTheirOwn) {
  const Json trace = TraceOfSample();
  EXPECT_THAT(Slices(trace, "task"),
              ElementsAre("1/1 graph 0+2000", "1/1 fails 5000+0",
                          "1/2 slow 0+5000", "2/1 deep 0+2000"));
  EXPECT_THAT(Slices(trace, "superstep"),
              ElementsAre("1/0 superstep 1 0+5000", "1/0 superstep 2 5000+0",
                          "2/0 superstep 1 0+2000"));
}

TEST(TraceTest, NamesGraphsAndSaysWhatWentWrong) {
  const Json trace = TraceOfSample();
  std::vector<std::string> processes;
  std::vector<std::string> errors;
  for (const Json& event : trace["traceEvents"]) {
    if (event["name"] == "process_name") {
      processes.push_back(event["args"]["name"].get<std::string>());
    }
    if (event.contains("args") && event["args"].contains("error")) {
      errors.push_back(event["args"]["error"].get<std::string>());
    }
  }
  EXPECT_THAT(processes, ElementsAre("graph", "graph"));
  EXPECT_THAT(errors, ElementsAre("\"no\" luck"));
}

TEST(TraceTest, EachCallOfAGraphInsideHasItsOwnSupersteps) {
  StateGraph inner;
  inner.AddNode("first", Sleeper(absl::Milliseconds(1)));
  inner.AddNode("second", Sleeper(absl::Milliseconds(1)));
  inner.AddEdge(kStart, "first");
  inner.AddEdge("first", "second");
  StateGraph builder;
  builder.AddNode("one", *inner.Compile());
  builder.AddNode(
      "two", [graph = *inner.Compile()](NodeContext& node) -> Task<NodeResult> {
        for (int i = 0; i < 2; ++i) {
          (void)co_await node.Invoke(graph, Update());
        }
        co_return NodeResult();
      });
  builder.AddEdge(kStart, "one");
  builder.AddEdge("one", "two");
  const absl::StatusOr<Graph> graph = builder.Compile();
  SimExecutor executor(1);
  TraceRecorder trace;
  RunStream stream = graph->Stream(
      Update(), {.modes = kDebug, .subgraphs = true, .executor = &executor});
  while (const Event* event = stream.Next()) trace.Add(*event);
  EXPECT_THAT(
      Slices(Json::parse(trace.ToJson()), "superstep"),
      ElementsAre("1/0 superstep 1 0+2000", "1/0 superstep 2 2000+4000",
                  "2/0 superstep 1 0+1000", "2/0 superstep 2 1000+1000",
                  "3/0 superstep 1 2000+1000", "3/0 superstep 2 3000+1000",
                  "3/0 superstep 1 4000+1000", "3/0 superstep 2 5000+1000"));
}

TEST(TraceTest, WhatHasNotEndedSaysSo) {
  StateGraph builder;
  builder.AddNode("nap", Sleeper(absl::Seconds(1)));
  builder.AddEdge(kStart, "nap");
  const absl::StatusOr<Graph> graph = builder.Compile();
  SimExecutor executor(1);
  RunStream stream =
      graph->Stream(Update(), {.modes = kDebug, .executor = &executor});
  TraceRecorder trace;
  EXPECT_THAT(Slices(Json::parse(trace.ToJson()), "task"), IsEmpty());
  while (const Event* event = stream.Next()) {
    trace.Add(*event);
    if (event->As<TaskStarted>() != nullptr) break;
  }
  const Json json = Json::parse(trace.ToJson());
  EXPECT_THAT(Slices(json, "task"), ElementsAre("1/1 nap 0+0"));
  EXPECT_EQ(json["traceEvents"].back()["args"]["state"], "unfinished");
}

TEST(TraceTest, AttemptsAndWaitsLieInTheirTask) {
  StateGraph builder;
  int attempts = 0;
  builder.AddNode(
      "flaky",
      [&attempts](NodeContext& node) -> Task<NodeResult> {
        (void)co_await node.Sleep(absl::Milliseconds(5));
        if (++attempts < 3) co_return absl::UnavailableError("not now");
        co_return NodeResult();
      },
      {.retry = {RetryPolicy{.initial_interval = absl::Milliseconds(10),
                             .backoff_factor = 2,
                             .jitter = false}}});
  builder.AddEdge(kStart, "flaky");
  const absl::StatusOr<Graph> graph = builder.Compile();
  ASSERT_TRUE(graph.ok()) << graph.status();
  SimExecutor executor(1);
  TraceRecorder trace;
  std::vector<std::string> texts;
  RunStream stream =
      graph->Stream(Update(), {.modes = kDebug, .executor = &executor});
  while (const Event* event = stream.Next()) {
    trace.Add(*event);
    if (event->As<TaskRetried>() == nullptr) continue;
    Json data = Json::parse(event->ToJson());
    EXPECT_EQ(data["type"], "task_retry");
    data["payload"].erase("id");
    texts.push_back(data["payload"].dump());
  }
  EXPECT_THAT(
      texts,
      ElementsAre(
          R"({"attempt":1,"error":"not now","name":"flaky","wait":"10ms"})",
          R"({"attempt":2,"error":"not now","name":"flaky","wait":"20ms"})"));
  const Json json = Json::parse(trace.ToJson());
  EXPECT_THAT(Slices(json, "task"), ElementsAre("1/1 flaky 0+45000"));
  EXPECT_THAT(Slices(json, "attempt"),
              ElementsAre("1/1 attempt 1 0+5000", "1/1 wait 5000+10000",
                          "1/1 attempt 2 15000+5000", "1/1 wait 20000+20000",
                          "1/1 attempt 3 40000+5000"));
}

TEST(TraceTest, WaitThatIsCutShortEndsWithItsTask) {
  StateGraph builder;
  builder.AddNode(
      "flaky", [](NodeContext&) { return absl::UnavailableError("not now"); },
      {.retry = {
           RetryPolicy{.initial_interval = absl::Hours(1), .jitter = false}}});
  builder.AddEdge(kStart, "flaky");
  const absl::StatusOr<Graph> graph = builder.Compile();
  ASSERT_TRUE(graph.ok()) << graph.status();
  SimExecutor executor(1);
  TraceRecorder trace;
  std::stop_source stop;
  executor.PostAfter(absl::Milliseconds(7), [&stop] { stop.request_stop(); });
  RunStream stream = graph->Stream(
      Update(),
      {.modes = kDebug, .stop = stop.get_token(), .executor = &executor});
  while (const Event* event = stream.Next()) trace.Add(*event);
  EXPECT_FALSE(stream.status().ok());
  const Json json = Json::parse(trace.ToJson());
  EXPECT_THAT(Slices(json, "task"), ElementsAre("1/1 flaky 0+7000"));
  EXPECT_THAT(Slices(json, "attempt"),
              ElementsAre("1/1 attempt 1 0+0", "1/1 wait 0+7000"));
}

// Its name is the function's own, which nothing else keeps.
TEST(TraceTest, RetryOfACalledFunctionIsReadAfterItsRun) {
  StateGraph builder;
  builder.AddNode("caller", [](NodeContext& node) -> Task<NodeResult> {
    int attempts = 0;
    const auto fetch = [&attempts]() -> absl::StatusOr<int> {
      if (++attempts == 1) return absl::UnavailableError("not now");
      return 7;
    };
    auto call =
        node.Call("fetch a long name that no string holds inside", fetch,
                  CallOptions{.retry = {RetryPolicy{.jitter = false}}});
    const absl::StatusOr<int> got = co_await std::move(call);
    EXPECT_EQ(got.value_or(0), 7);
    co_return NodeResult();
  });
  builder.AddEdge(kStart, "caller");
  SimExecutor executor(1);
  std::vector<Event> retries;
  {
    const absl::StatusOr<Graph> graph = builder.Compile();
    ASSERT_TRUE(graph.ok()) << graph.status();
    RunStream stream =
        graph->Stream(Update(), {.modes = kDebug, .executor = &executor});
    while (const Event* event = stream.Next()) {
      if (event->As<TaskRetried>() != nullptr) retries.push_back(*event);
    }
    EXPECT_TRUE(stream.status().ok()) << stream.status();
  }
  ASSERT_EQ(retries.size(), 1u);
  EXPECT_EQ(retries[0].As<TaskRetried>()->node,
            "fetch a long name that no string holds inside");
}

}  // namespace
}  // namespace weir
