// An agent: a model that calls tools until it needs no more, and whose words
// come as it writes them. The model is any ChatModel; this one is a script.

#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "chat_model.h"
#include "fake_model.h"

#include "weir/channels/messages.h"
#include "weir/runtime/state_graph.h"

namespace {

using chat::ChatMessage;
using chat::ToolCall;

using Tool = std::function<absl::StatusOr<std::string>(const std::string&)>;

absl::StatusOr<std::string> Weather(const std::string& city) {
  if (city == "Oslo") return "rain, 12 degrees";
  if (city == "Rome") return "sun, 25 degrees";
  return absl::NotFoundError("no city is called " + city);
}

// What the model is told. A tool that fails tells it why: it may know better.
std::string Result(const std::map<std::string, Tool>& tools,
                   const ToolCall& call) {
  const auto tool = tools.find(call.name);
  if (tool == tools.end()) return "there is no tool " + call.name;
  const absl::StatusOr<std::string> result = tool->second(call.argument);
  return result.ok() ? *result : std::string(result.status().message());
}

}  // namespace

int main() {
  const std::map<std::string, Tool> tools = {{"weather", Weather}};
  chat::FakeModel model(
      {{.role = "assistant",
        .content = "I look at both.",
        .tool_calls = {{"call-1", "weather", "Oslo"},
                       {"call-2", "weather", "Roma"}}},
       {.role = "assistant", .tool_calls = {{"call-3", "weather", "Rome"}}},
       {.role = "assistant", .content = "Rome is warmer, and dry."}});

  weir::StateGraph builder;
  const auto messages =
      builder.AddChannel("messages", weir::Messages<ChatMessage>());
  builder.AddNode(
      "model", [messages, &model](weir::NodeContext& node) -> weir::NodeResult {
        absl::StatusOr<ChatMessage> reply =
            model.Reply(node.Get(messages), [&node](std::string token) {
              node.EmitMessage(ChatMessage{.role = "assistant",
                                           .content = std::move(token)});
            });
        if (!reply.ok()) return reply.status();
        return weir::Update(messages, *std::move(reply));
      });
  // One task for each call, side by side.
  builder.AddNode("tool", [messages, &tools](weir::NodeContext& node) {
    const auto* call = node.Input<ToolCall>();
    return weir::Update(messages, ChatMessage{.role = "tool",
                                              .content = Result(tools, *call),
                                              .tool_call_id = call->id});
  });
  builder.AddEdge(weir::kStart, "model");
  builder.AddConditionalEdges(
      "model",
      [messages](weir::NodeContext& state) {
        std::vector<weir::Send> sends;
        for (const ToolCall& call : state.Get(messages).back().tool_calls) {
          sends.emplace_back("tool", call);
        }
        return weir::Route(std::move(sends));  // None: the agent is done.
      },
      {.destinations = {{"tool"}}});
  builder.AddEdge("tool", "model");
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  weir::RunStream stream = graph->Stream(
      weir::Update(messages,
                   ChatMessage{.role = "user", .content = "Oslo or Roma?"}),
      {.modes = weir::kMessages, .recursion_limit = 20});
  std::cout << "as it comes:";
  std::string task;
  while (const weir::Event* event = stream.Next()) {
    const auto* chunk = event->As<weir::MessageChunk>();
    if (chunk->whole) continue;  // What the tools say.
    if (chunk->task_id != std::exchange(task, chunk->task_id))
      std::cout << '\n';
    std::cout << '|' << chunk->message.As<ChatMessage>()->content << std::flush;
  }
  const absl::StatusOr<weir::RunResult> result = stream.Result();
  if (!result.ok()) {
    std::cerr << result.status() << '\n';
    return 1;
  }
  std::cout << "\nin the end:\n";
  for (const ChatMessage& message : result->Get(messages)) {
    std::cout << message.role << ": " << message.content;
    for (const ToolCall& call : message.tool_calls) {
      std::cout << " [" << call.name << ' ' << call.argument << ']';
    }
    std::cout << '\n';
  }
  return 0;
}
