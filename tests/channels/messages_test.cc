#include "weir/channels/messages.h"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

Message Says(std::string content, std::string id) {
  return {"user", std::move(content), std::move(id)};
}

Message RemoveAll() { return RemoveMessage(std::string(kRemoveAllMessages)); }

// A merge of `update` into `state`, each message shown as "content/id".
std::string Merged(std::vector<Message> state, std::vector<Message> update) {
  int given = 0;
  const MessageIds ids = [&given] { return "new" + std::to_string(++given); };
  MessageList<> list(std::move(state), ids);
  const MessageList<> before = list;
  if (absl::Status s = list.Merge(std::move(update), ids); !s.ok()) {
    EXPECT_EQ(list, before) << "a failed merge changes nothing";
    return std::string(s.message());
  }
  std::string text;
  for (const Message& message : list) {
    if (!text.empty()) text += " ";
    text += message.content + "/" + message.id;
  }
  return text;
}

TEST(MessageListTest, AppendsMessagesWithNewIds) {
  EXPECT_EQ(Merged({}, {}), "");
  EXPECT_EQ(Merged({Says("a", "1")}, {Says("b", "2"), Says("c", "3")}),
            "a/1 b/2 c/3");
}

TEST(MessageListTest, GrowthIsOfPureAdditionsOnly) {
  const auto kind = Messages().kind;
  const Growth& growth = *kind->growth();
  MessageList<> list({Says("a", "1"), Says("b", "2")});
  const MessageIds ids = RandomMessageIds();
  const Value mark = growth.Mark(Value(list));
  Value rebuilt(MessageList<>({Says("a", "1"), Says("b", "2")}));
  ASSERT_TRUE(list.Merge({Says("c", "3")}, ids).ok());
  const Value added = growth.Added(mark, Value(list));
  EXPECT_EQ(added, Value(AppendLog<Message>{Says("c", "3")}));
  ASSERT_TRUE(growth.Add(added, &rebuilt).ok());
  EXPECT_EQ(rebuilt, Value(list));
  EXPECT_EQ(rebuilt.As<MessageList<>>()->Find("3")->content, "c");

  MessageList<> replaced = list;
  ASSERT_TRUE(replaced.Merge({Says("B", "2")}, ids).ok());
  EXPECT_FALSE(growth.Added(mark, Value(replaced)).has_value());
  MessageList<> removed = list;
  ASSERT_TRUE(removed.Merge({RemoveMessage("1")}, ids).ok());
  EXPECT_FALSE(growth.Added(mark, Value(removed)).has_value());
}

TEST(MessageListTest, ReplacesInPlace) {
  EXPECT_EQ(Merged({Says("a", "1"), Says("b", "2"), Says("c", "3")},
                   {Says("B", "2")}),
            "a/1 B/2 c/3");
}

TEST(MessageListTest, ReplacesAMessageOfTheSameUpdate) {
  EXPECT_EQ(Merged({}, {Says("q1", "1"), Says("q2", "1")}), "q2/1");
}

TEST(MessageListTest, RemovesById) {
  EXPECT_EQ(Merged({Says("a", "1"), Says("b", "2")}, {RemoveMessage("1")}),
            "b/2");
}

TEST(MessageListTest, RemovesAMessageOfTheSameUpdate) {
  EXPECT_EQ(Merged({Says("a", "1")}, {Says("b", "2"), RemoveMessage("2")}),
            "a/1");
}

TEST(MessageListTest, WritingAgainRevokesARemovalAndKeepsThePlace) {
  EXPECT_EQ(Merged({Says("a", "1")}, {RemoveMessage("1"), Says("a'", "1")}),
            "a'/1");
  EXPECT_EQ(Merged({Says("a", "1"), Says("b", "2")},
                   {RemoveMessage("1"), Says("c", "3"), Says("A", "1")}),
            "A/1 b/2 c/3");
}

TEST(MessageListTest, RemovingTwiceIsFine) {
  EXPECT_EQ(Merged({Says("a", "1"), Says("b", "2")},
                   {RemoveMessage("1"), RemoveMessage("1")}),
            "b/2");
}

TEST(MessageListTest, RemovingAnUnknownIdIsNotFound) {
  MessageList<> list({Says("a", "1")});
  const absl::Status s =
      list.Merge({Says("b", "2"), RemoveMessage("x7")}, RandomMessageIds());
  EXPECT_EQ(s.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(s.message().find("'x7'"), s.message().npos) << s;
  EXPECT_EQ(list, MessageList<>({Says("a", "1")}));
}

TEST(MessageListTest, RemovingBeforeItIsWrittenIsNotFound) {
  EXPECT_EQ(Merged({}, {RemoveMessage("1"), Says("a", "1")}),
            "no message has the id '1', which was to be removed");
}

TEST(MessageListTest, RemoveAllLeavesWhatFollowsTheLastOne) {
  EXPECT_EQ(Merged({Says("a", "1")}, {Says("b", "2"), RemoveAll()}), "");
  EXPECT_EQ(
      Merged({Says("a", "1")}, {Says("b", "2"), RemoveAll(), Says("c", "3"),
                                RemoveAll(), Says("d", "1"), Says("e", "1")}),
      "d/1 e/1");
  EXPECT_EQ(Merged({}, {RemoveMessage("unknown"), RemoveAll()}), "");
}

TEST(MessageListTest, GivesIdsToMessagesOnBothSides) {
  EXPECT_EQ(Merged({Says("a", "")}, {Says("b", ""), Says("c", "7")}),
            "a/new1 b/new2 c/7");
}

TEST(MessageListTest, OfEqualIdsInTheStateTheLastIsReplaced) {
  EXPECT_EQ(Merged({Says("a", "1"), Says("b", "1")}, {Says("c", "1")}),
            "a/1 c/1");
  EXPECT_EQ(Merged({Says("a", "1"), Says("b", "1"), Says("c", "2")},
                   {RemoveMessage("1")}),
            "c/2");
}

TEST(MessageListTest, FindsByIdAfterEveryKindOfMerge) {
  MessageList<> list;
  const MessageIds ids = RandomMessageIds();
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(list.Merge({Says("a", std::to_string(i))}, ids).ok());
  }
  ASSERT_TRUE(list.Merge({Says("b", "7")}, ids).ok());
  ASSERT_TRUE(list.Merge({RemoveMessage("3")}, ids).ok());
  EXPECT_EQ(list.size(), 499U);
  EXPECT_EQ(list.Find("3"), nullptr);
  EXPECT_EQ(list.Find("7")->content, "b");
  for (int i = 4; i < 500; ++i) {
    ASSERT_EQ(list.Find(std::to_string(i)), &list[static_cast<size_t>(i - 1)]);
  }
}

TEST(MessageListTest, CopiesAreIndependent) {
  MessageList<> list;
  const MessageIds ids = RandomMessageIds();
  std::vector<MessageList<>> versions;
  for (int i = 0; i < 100; ++i) {
    versions.push_back(list);
    ASSERT_TRUE(list.Merge({Says("a", std::to_string(i))}, ids).ok());
  }
  for (size_t n = 0; n < versions.size(); ++n) {
    EXPECT_EQ(versions[n].size(), n);
    EXPECT_EQ(versions[n].Find(std::to_string(n)), nullptr);
    ASSERT_TRUE(versions[n].Merge({Says("b", "0")}, ids).ok());
  }
  EXPECT_EQ(versions[5][0].content, "b");
  EXPECT_EQ(list[0].content, "a");
  EXPECT_EQ(&versions[50].begin()->content, &versions[50][0].content);
}

TEST(MessageListTest, CopySharesMessages) {
  MessageList<> list({Says("a", "1")});
  const MessageList<> before = list;
  ASSERT_TRUE(list.Merge({Says("b", "2")}, RandomMessageIds()).ok());
  EXPECT_EQ(&before[0], &list[0]);
}

TEST(MessagesTest, RandomIdsAreHexadecimalAndDoNotRepeat) {
  std::set<std::string> seen;
  for (const MessageIds& ids : {RandomMessageIds(), RandomMessageIds()}) {
    for (int i = 0; i < 1000; ++i) {
      const std::string id = ids();
      EXPECT_EQ(id.size(), 32U);
      EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), id.npos) << id;
      EXPECT_TRUE(seen.insert(id).second);
    }
  }
}

TEST(MessagesTest, ChannelTakesIdsFromItsSource) {
  const auto kind = Messages([] { return "mine"; }).kind;
  ChannelState state;
  kind->Init(state);
  ASSERT_TRUE(kind->Apply(state, Value(Says("hi", "")), false).ok());
  EXPECT_EQ(state.value.ToJson(),
            R"([{"role": "user", "content": "hi", "id": "mine"}])");
}

TEST(MessagesTest, FailedRemovalIsNoRefusal) {
  const auto kind = Messages().kind;
  ChannelState state;
  kind->Init(state);
  EXPECT_EQ(
      kind->Apply(state, Value(RemoveMessage("x")), false).status().code(),
      absl::StatusCode::kNotFound);
}

TEST(MessagesTest, OverwriteKeepsMessagesAsTheyAre) {
  const auto kind = Messages([] { return "new"; }).kind;
  ChannelState state;
  kind->Init(state);
  ASSERT_TRUE(kind->Apply(state, Value(Says("x", "1")), false).ok());
  const std::vector<Message> messages{Says("a", "1"), Says("b", "1"),
                                      Says("c", "")};
  ASSERT_TRUE(kind->Apply(state, Value(messages), true).ok());
  const auto& list = *state.value.As<MessageList<>>();
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[1].content, "b");
  EXPECT_EQ(list[2].id, "new");
}

// A message type of the user's, which names its parts otherwise.
struct Utterance {
  std::string key;
  std::string text;
  bool gone = false;
};

}  // namespace

template <>
struct MessageTraits<Utterance> {
  static std::string_view Id(const Utterance& u) { return u.key; }
  static void SetId(Utterance& u, std::string id) { u.key = std::move(id); }
  static bool IsRemove(const Utterance& u) { return u.gone; }
};

namespace {

TEST(MessagesTest, OtherTypesServeThroughTheirTraits) {
  MessageList<Utterance> list;
  const MessageIds ids = RandomMessageIds();
  ASSERT_TRUE(list.Merge({{"1", "a"}, {"2", "b"}}, ids).ok());
  ASSERT_TRUE(list.Merge({{"1", "c"}, {"2", "", true}}, ids).ok());
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].text, "c");
}

}  // namespace
}  // namespace weir
