#include <memory>
#include <regex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/run.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

// The stream of messages: pieces as they are made, and whole messages once.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// One run's messages as "node id: content", with " (whole)" behind whole ones.
std::vector<std::string> Sent(const Graph& graph, Input input,
                              RunOptions options = {}) {
  SimExecutor executor(1);
  options.modes = options.modes | kMessages;
  if (options.executor == nullptr) options.executor = &executor;
  std::vector<std::string> sent;
  RunStream stream = graph.Stream(std::move(input), std::move(options));
  while (const Event* event = stream.Next()) {
    const auto* chunk = event->As<MessageChunk>();
    if (chunk == nullptr) continue;
    const auto* message = chunk->message.As<Message>();
    sent.push_back(absl::StrCat(
        std::string(chunk->node), " ", chunk->id, ": ",
        message == nullptr ? chunk->message.ToJson() : message->content,
        chunk->whole ? " (whole)" : ""));
  }
  EXPECT_TRUE(stream.status().ok()) << stream.status();
  return sent;
}

class MessageStreamTest : public testing::Test {
 protected:
  template <class F>
  void AddInTurn(const std::string& name, F body, NodeOptions options = {}) {
    builder_.AddNode(name, std::move(body), std::move(options));
    if (last_.empty()) {
      builder_.AddEdge(kStart, name);
    } else {
      builder_.AddEdge(last_, name);
    }
    last_ = name;
  }
  Graph Compile() { return MustCompile(builder_); }

  StateGraph builder_;
  const Channel<MessageList<>, OneOrMany<Message>> messages_ =
      builder_.AddChannel(
          "messages", Messages([this] { return absl::StrCat("new", ++ids_); }));
  int ids_ = 0;
  std::string last_;
};

TEST_F(MessageStreamTest, PiecesComeAtOnceAndTheirMessageNotAgain) {
  AddInTurn("call", [this](NodeContext& node) {
    node.EmitMessage(Message{"assistant", "Hel", "m"});
    node.EmitMessage(Message{"assistant", "lo", "m"});
    return Update(messages_, Message{"assistant", "Hello", "m"});
  });
  EXPECT_THAT(Sent(Compile(), Update()),
              ElementsAre("call m: Hel", "call m: lo"));
}

TEST_F(MessageStreamTest, ReturnedMessagesComeWhole) {
  AddInTurn("one", [this](NodeContext&) {
    return Update(messages_, Message{"assistant", "1", "a"});
  });
  AddInTurn("two", [this](NodeContext&) {
    return Update(messages_, std::vector<Message>{{"assistant", "2", "b"},
                                                  {"tool", "3", "c"}});
  });
  EXPECT_THAT(
      Sent(Compile(), Update()),
      ElementsAre("one a: 1 (whole)", "two b: 2 (whole)", "two c: 3 (whole)"));
}

TEST_F(MessageStreamTest, MessagesThatTheNodeWasGivenDoNotComeAgain) {
  AddInTurn("echo", [this](NodeContext& node) {
    const MessageList<>& given = node.Get(messages_);
    std::vector<Message> all(given.begin(), given.end());
    all.push_back({"assistant", "answer", "a"});
    return Update(messages_, all);
  });
  EXPECT_THAT(
      Sent(Compile(), Update(messages_, Message{"user", "question", "q"})),
      ElementsAre("echo a: answer (whole)"));
}

TEST_F(MessageStreamTest, AMessageComesOnceInARun) {
  const auto say = [this](NodeContext&) {
    return Update(messages_, Message{"assistant", "hi", "a"});
  };
  AddInTurn("first", say);
  AddInTurn("drop", [this](NodeContext&) {
    return Update(messages_, RemoveMessage("a"));
  });
  AddInTurn("again", say);
  EXPECT_THAT(Sent(Compile(), Update()), ElementsAre("first a: hi (whole)"));
}

TEST_F(MessageStreamTest, AMessageWithoutAnIdGetsTheOneThatTheStateHas) {
  AddInTurn("call", [this](NodeContext&) {
    return Update(messages_, Message{"assistant", "hi", ""});
  });
  SimExecutor executor(1);
  RunStream stream =
      Compile().Stream(Update(), {.modes = kMessages, .executor = &executor});
  std::string id;
  while (const Event* event = stream.Next()) {
    if (const auto* chunk = event->As<MessageChunk>()) id = chunk->id;
  }
  EXPECT_EQ(id, "new1");
  const MessageList<>& state =
      *stream.Result()->Find("messages")->As<MessageList<>>();
  ASSERT_EQ(state.size(), 1u);
  EXPECT_EQ(state[0].id, id);
}

TEST_F(MessageStreamTest, PiecesWithoutAnIdAreOfTheFirstMessageWithoutOne) {
  AddInTurn("call", [this](NodeContext& node) {
    node.EmitMessage(Message{"assistant", "Hel", ""});
    node.EmitMessage(Message{"assistant", "lo", ""});
    return Update(messages_, std::vector<Message>{{"tool", "t", "t"},
                                                  {"assistant", "Hello", ""},
                                                  {"assistant", "Bye", ""}});
  });
  const std::vector<std::string> sent = Sent(Compile(), Update());
  ASSERT_EQ(sent.size(), 4u);
  const std::string id = sent[0].substr(5, 32);
  EXPECT_EQ(sent[0], "call " + id + ": Hel");
  EXPECT_EQ(sent[1], "call " + id + ": lo");
  EXPECT_EQ(sent[2], "call t: t (whole)");
  EXPECT_EQ(sent[3], "call new1: Bye (whole)");
}

TEST_F(MessageStreamTest, MessagesPrecedeTheUpdateOfTheirNode) {
  AddInTurn("call", [this](NodeContext&) {
    return Update(messages_, Message{"assistant", "hi", "a"});
  });
  const Streamed run =
      StreamAll(Compile(), Update(), {.modes = kMessages | kUpdates | kTasks});
  std::vector<std::string> names;
  for (const std::string& event : run.events) {
    names.push_back(event.substr(0, event.find(' ')));
  }
  EXPECT_THAT(names, ElementsAre("tasks", "messages", "updates", "tasks"));
}

TEST_F(MessageStreamTest, JsonIsTheMessageAndWhereItComesFrom) {
  AddInTurn("call", [](NodeContext& node) {
    node.EmitMessage(Message{"assistant", "Hel", "m"}, {"draft"});
    return Update();
  });
  const Streamed run = StreamAll(Compile(), Update(), {.modes = kMessages});
  ASSERT_EQ(run.events.size(), 1u);
  EXPECT_EQ(std::regex_replace(run.events[0], std::regex("[0-9a-f]{32}"), "ID"),
            R"(messages [{"role": "assistant", "content": "Hel", "id": "m"}, )"
            R"({"langgraph_node": "call", "langgraph_step": 1, )"
            R"("langgraph_triggers": ["branch:to:call"], )"
            R"("langgraph_path": ["__pregel_pull", "call"], )"
            R"("langgraph_checkpoint_ns": "call:ID", "tags": ["draft"]}])");
}

TEST_F(MessageStreamTest, ASendsNodeIsGivenWhatTheSendCarries) {
  builder_.AddNode("call", [this](NodeContext& node) {
    std::vector<Message> all(node.Get(messages_).begin(),
                             node.Get(messages_).end());
    all.push_back({"assistant", "answer", "a"});
    return Update(messages_, all);
  });
  builder_.AddConditionalEdges(kStart, [this](NodeContext&) {
    return Send("call", Update(messages_, Message{"user", "question", "q"}));
  });
  EXPECT_THAT(Sent(Compile(), Update()), ElementsAre("call a: answer (whole)"));
}

TEST_F(MessageStreamTest, AGraphInsideSendsItsMessagesOnce) {
  StateGraph inner;
  const auto messages = inner.AddChannel("messages", Messages());
  inner.AddNode("model", [messages](NodeContext& node) {
    node.EmitMessage(Message{"assistant", "Hel", "m"});
    return Update(messages, std::vector<Message>{{"assistant", "Hello", "m"},
                                                 {"tool", "done", "t"}});
  });
  inner.AddEdge(kStart, "model");
  builder_.AddNode("agent", MustCompile(inner));
  builder_.AddEdge(kStart, "agent");
  const Update question(messages_, Message{"user", "question", "q"});
  EXPECT_THAT(Sent(Compile(), question, {.subgraphs = true}),
              ElementsAre("model m: Hel", "model t: done (whole)"));
  // Without the events of the graph inside, they are its node's.
  EXPECT_THAT(Sent(Compile(), question),
              ElementsAre("agent m: Hello (whole)", "agent t: done (whole)"));
}

TEST_F(MessageStreamTest, ACachedResultSendsNothing) {
  AddInTurn("call",
            [this](NodeContext&) {
              return Update(messages_, Message{"assistant", "hi", "a"});
            },
            {.cache = CachePolicy{}});
  const Graph graph =
      MustCompile(builder_, {.result_cache = std::make_shared<Cache>()});
  EXPECT_THAT(Sent(graph, Update()), ElementsAre("call a: hi (whole)"));
  EXPECT_THAT(Sent(graph, Update()), IsEmpty());
}

TEST_F(MessageStreamTest, AnErrorHandlersMessagesAreItsOwn) {
  const ErrorHandler apologize([this](NodeContext&) {
    return Update(messages_, Message{"assistant", "sorry", "s"});
  });
  AddInTurn("call",
            [](NodeContext&) { return absl::UnavailableError("no model"); },
            {.error_handler = apologize});
  EXPECT_THAT(Sent(Compile(), Update()),
              ElementsAre("__error_handler__call s: sorry (whole)"));
}

TEST_F(MessageStreamTest, NobodyListeningLeavesTheWritesAlone) {
  AddInTurn("call", [this](NodeContext& node) {
    node.EmitMessage(Message{"assistant", "h", "a"});
    return Update(messages_, Message{"assistant", "hi", "a"});
  });
  const absl::StatusOr<Values> end = Compile().Invoke(Update());
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->Find("messages")->As<MessageList<>>()->size(), 1u);
}

TEST(MessageIdsTest, IdsThatThrowFailTheChannelOnce) {
  StateGraph builder;
  const auto messages = builder.AddChannel(
      "messages",
      Messages([]() -> std::string { throw std::runtime_error("no ids"); }));
  builder.AddNode("call", [messages](NodeContext&) {
    return Update(messages, Message{"assistant", "hi", ""});
  });
  builder.AddEdge(kStart, "call");
  const Streamed run =
      StreamAll(MustCompile(builder), Update(), {.modes = kMessages});
  EXPECT_THAT(run.events, IsEmpty());
  EXPECT_EQ(ErrorKindOf(run.status), ErrorKind::kReducerError);
  EXPECT_THAT(std::string(run.status.message()), HasSubstr("no ids"));
}

}  // namespace
}  // namespace weir
