#include "gateway/program/graphs.h"

#include <cassert>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/channels/nlohmann_json.h"
#include "weir/channels/reducer.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace weir {
inline namespace v0 {
namespace {

using Json = nlohmann::ordered_json;

Graph Compiled(const StateGraph& builder, std::string name) {
  absl::StatusOr<Graph> graph = builder.Compile({.name = std::move(name)});
  assert(graph.ok());
  return *std::move(graph);
}

Graph Joke() {
  StateGraph builder;
  const auto topic = builder.AddChannel("topic", LastValue<std::string>());
  const auto joke = builder.AddChannel("joke", LastValue<std::string>());
  builder.AddNode("refine_topic", [topic](NodeContext& node) {
    return Update(topic, node.Get(topic) + " and cats");
  });
  builder.AddNode("generate_joke", [topic, joke](NodeContext& node) {
    return Update(joke, "This is a joke about " + node.Get(topic));
  });
  builder.AddEdge(kStart, "refine_topic");
  builder.AddEdge("refine_topic", "generate_joke");
  return Compiled(builder, "joke");
}

// Emits `n` times, one every `ms` milliseconds.
Graph Slow() {
  StateGraph builder;
  const auto n = builder.AddChannel("n", LastValue<int64_t>());
  const auto ms = builder.AddChannel("ms", LastValue<int64_t>());
  const auto done = builder.AddChannel("done", LastValue<Json>());
  builder.AddNode("ticker",
                  [n, ms, done](NodeContext& node) -> Task<NodeResult> {
                    const int64_t ticks = node.Get(n);
                    for (int64_t i = 0; i < ticks; ++i) {
                      absl::Status slept =
                          co_await node.Sleep(absl::Milliseconds(node.Get(ms)));
                      if (!slept.ok()) co_return slept;
                      node.Emit(Json({{"tick", i}}));
                    }
                    co_return Update(done, Json(ticks));
                  });
  builder.AddNode("finish", [done](NodeContext& node) {
    return Update(done, Json("ticked " + node.Get(done).dump()));
  });
  builder.AddEdge(kStart, "ticker");
  builder.AddEdge("ticker", "finish");
  return Compiled(builder, "slow");
}

Graph Ask() {
  StateGraph builder;
  const auto question =
      builder.AddChannel("question", LastValue<std::string>());
  const auto answer = builder.AddChannel("answer", LastValue<std::string>());
  const auto log = builder.AddChannel("log", AppendLogChannel<std::string>());
  builder.AddNode("prepare",
                  [log](NodeContext&) { return Update(log, {"prepare"}); });
  builder.AddNode(
      "human", [question, answer, log](NodeContext& node) -> NodeResult {
        const absl::StatusOr<std::string> said =
            node.Interrupt<std::string>(Json({{"ask", node.Get(question)}}));
        if (!said.ok()) return said.status();
        return Update(answer, *said).Set(log, {"human"});
      });
  builder.AddNode("after",
                  [log](NodeContext&) { return Update(log, {"after"}); });
  builder.AddEdge(kStart, "prepare");
  builder.AddEdge("prepare", "human");
  builder.AddEdge("human", "after");
  builder.AddType<Json>();
  return Compiled(builder, "ask");
}

Graph Boom() {
  StateGraph builder;
  const auto x = builder.AddChannel("x", LastValue<std::string>());
  builder.AddNode("ok", [x](NodeContext&) { return Update(x, "was ok"); });
  builder.AddNode("bad",
                  [](NodeContext&) { return absl::UnknownError("Boo!"); });
  builder.AddEdge(kStart, "ok");
  builder.AddEdge("ok", "bad");
  return Compiled(builder, "boom");
}

Graph Child() {
  StateGraph builder;
  const auto foo = builder.AddChannel("foo", LastValue<std::string>());
  const auto bar = builder.AddChannel("bar", LastValue<std::string>());
  builder.AddNode("inner_1", [bar](NodeContext& node) {
    node.Emit(Json({{"from", "inner_1"}}));
    return Update(bar, "bar");
  });
  builder.AddNode("inner_2", [foo, bar](NodeContext& node) {
    return Update(foo, node.Get(foo) + node.Get(bar));
  });
  builder.AddEdge(kStart, "inner_1");
  builder.AddEdge("inner_1", "inner_2");
  builder.AddType<Json>();
  return Compiled(builder, "child");
}

Graph Parent() {
  StateGraph builder;
  const auto foo = builder.AddChannel("foo", LastValue<std::string>());
  builder.AddNode("outer", [foo](NodeContext& node) {
    return Update(foo, "hi! " + node.Get(foo));
  });
  builder.AddNode("child", Child());
  builder.AddEdge(kStart, "outer");
  builder.AddEdge("outer", "child");
  return Compiled(builder, "parent");
}

Graph Chat() {
  StateGraph builder;
  const auto messages = builder.AddChannel("messages", Messages());
  builder.AddNode("call_model", [messages](NodeContext& node) {
    // Of one task, each time it runs, the same.
    const std::string id = absl::StrCat("run-", node.task_id());
    for (const char* token : {"Hel", "lo", "!"}) {
      node.EmitMessage(Message{"assistant", token, id});
    }
    return Update(messages, Message{"assistant", "Hello!", id});
  });
  builder.AddEdge(kStart, "call_model");
  return Compiled(builder, "chat");
}

// Goes round until `i` is `k`, in `ms` milliseconds each time.
Graph Steps() {
  StateGraph builder;
  const auto k = builder.AddChannel("k", LastValue<int64_t>());
  const auto ms = builder.AddChannel("ms", LastValue<int64_t>());
  const auto i = builder.AddChannel(
      "i", Reducer<int64_t>([](int64_t, int64_t now) { return now; }));
  const auto trail =
      builder.AddChannel("trail", AppendLogChannel<std::string>());
  const auto tag = builder.AddChannel("tag", LastValue<std::string>());
  builder.AddNode("step",
                  [ms, i, trail, tag](NodeContext& node) -> Task<NodeResult> {
                    absl::Status slept =
                        co_await node.Sleep(absl::Milliseconds(node.Get(ms)));
                    if (!slept.ok()) co_return slept;
                    const int64_t at = node.Get(i);
                    co_return Update(i, at + 1).Set(
                        trail, std::vector{absl::StrCat(node.Get(tag), at)});
                  });
  const auto next = [k, i](NodeContext& node) {
    return Route(node.Get(i) < node.Get(k) ? "step" : kEnd);
  };
  builder.AddConditionalEdges(kStart, next, {.name = "start"});
  builder.AddConditionalEdges("step", next, {.name = "again"});
  return Compiled(builder, "steps");
}

Graph Fan() {
  StateGraph builder;
  const auto out = builder.AddChannel("out", AppendLogChannel<std::string>());
  const auto x = builder.AddChannel("x", LastValue<std::string>());
  const std::vector<std::pair<std::string, absl::Duration>> nodes = {
      {"slowest", absl::Milliseconds(150)},
      {"fastest", absl::Milliseconds(20)},
      {"middle", absl::Milliseconds(80)}};
  for (const auto& [name, takes] : nodes) {
    builder.AddNode(name,
                    [out, wait = takes](NodeContext& node) -> Task<NodeResult> {
                      const std::string self(node.node());
                      node.Emit(Json({{"node", self}, {"at", "begin"}}));
                      absl::Status slept = co_await node.Sleep(wait);
                      if (!slept.ok()) co_return slept;
                      node.Emit(Json({{"node", self}, {"at", "end"}}));
                      co_return Update(out, std::vector{self});
                    });
    builder.AddEdge(kStart, name);
  }
  builder.AddNode("last", [out, x](NodeContext& node) {
    return Update(x, absl::StrJoin(node.Get(out), ","));
  });
  builder.AddJoin({"slowest", "fastest", "middle"}, "last");
  builder.AddType<Json>();
  return Compiled(builder, "fan");
}

}  // namespace

std::vector<ExampleGraph> ExampleGraphs() {
  std::vector<ExampleGraph> graphs;
  const auto add = [&graphs](std::string name, Graph graph,
                             std::string description, std::string input) {
    graphs.push_back({std::move(name),
                      std::move(graph),
                      {.description = std::move(description),
                       .example_input = std::move(input)}});
  };
  add("joke", Joke(), "makes a joke about a topic",
      R"({"topic": "ice cream"})");
  add("slow", Slow(), "tells of n ticks, one every ms milliseconds",
      R"({"n": 12, "ms": 50})");
  add("ask", Ask(), "asks a person, and goes on with the answer",
      R"({"question": "ok?"})");
  add("boom", Boom(), "fails in its second node", R"({"x": "in"})");
  add("parent", Parent(), "has a graph as a node", R"({"foo": "x"})");
  add("chat", Chat(), "answers in a message that comes piece by piece",
      R"({"messages": [{"role": "human", "content": "hi"}]})");
  add("steps", Steps(), "goes round k times, in ms milliseconds each",
      R"({"k": 8, "ms": 120, "tag": "A"})");
  add("fan", Fan(), "runs three nodes side by side", R"({"x": "0"})");
  return graphs;
}

}  // namespace v0
}  // namespace weir
