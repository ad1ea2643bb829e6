#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/graph_run.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/nlohmann_json.h"
#include "weir/channels/reducer.h"
#include "weir/channels/topic.h"
#include "weir/runtime/command.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// What nodes and graphs inside return, in its rarer forms.
namespace weir {
namespace {

using Json = nlohmann::json;

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ResultsTest : public testing::Test {
 protected:
  template <class F>
  void AddEntry(const std::string& name, F body, NodeOptions options = {}) {
    builder_.AddNode(name, std::move(body), std::move(options));
    builder_.AddEdge(kStart, name);
  }

  StateGraph builder_;
  const Channel<int> count_ = builder_.AddChannel("count", LastValue<int>());
};

TEST_F(ResultsTest, CoroutineMayGiveNothing) {
  int ran = 0;
  AddEntry("a", [&ran](NodeContext& node) -> Task<void> {
    absl::Status slept = co_await node.Sleep(absl::Milliseconds(1));
    if (slept.ok()) ++ran;
  });
  EXPECT_TRUE(MustCompile(builder_).Invoke(Update()).ok());
  EXPECT_EQ(ran, 1);
}

TEST_F(ResultsTest, ListsOfWritesMayBeBraced) {
  const auto log = builder_.AddChannel("log", AppendLogChannel<std::string>());
  AddEntry("a", [log](NodeContext&) { return Update(log, {"x", "y"}); });
  const absl::StatusOr<Values> end = MustCompile(builder_).Invoke(Update());
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->ToJson(), R"({"log": ["x", "y"]})");
}

TEST_F(ResultsTest, ValuesByNameNeedNoWrapping) {
  AddEntry("a", [](NodeContext&) { return Update().Set("count", 3); });
  const absl::StatusOr<Values> end = MustCompile(builder_).Invoke(Update());
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->Get(count_), 3);
}

TEST_F(ResultsTest, StrictGraphsRefuseNamesThatAreNoChannels) {
  AddEntry("a", [](NodeContext&) { return Update().Set("cuont", 3); });
  const absl::Status status =
      MustCompile(builder_, {.strict = true}).Invoke(Update()).status();
  EXPECT_EQ(ErrorKindOf(status), ErrorKind::kInvalidUpdate);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'cuont'"));
}

TEST_F(ResultsTest, NamesThatAreNoChannelsAreWarnedOf) {
  AddEntry("a", [](NodeContext&) { return Update().Set("cuont", 3); });
  const Streamed run =
      StreamAll(MustCompile(builder_), Update(), {.modes = kDebug});
  EXPECT_TRUE(run.status.ok());
  EXPECT_THAT(run.events, ::testing::Contains(HasSubstr("'cuont'")));
}

TEST_F(ResultsTest, UnderscoresAloneReserveNoName) {
  AddEntry("a", [](NodeContext&) {
    return Update().Set("__typename", "Count").Set("count", 1);
  });
  EXPECT_TRUE(MustCompile(builder_).Invoke(Update()).ok());
}

TEST_F(ResultsTest, BothRecordsOfAnOverwriteCount) {
  const auto list =
      builder_.AddChannel("list", Reducer<Json>(
                                      [](Json all, const Json& more) {
                                        all.push_back(more);
                                        return all;
                                      },
                                      Json::array()));
  static_cast<void>(list);
  for (const char* record : {R"({"__overwrite__": [9]})",
                             R"({"type": "__overwrite__", "value": [9]})"}) {
    StateGraph builder;
    builder.AddChannel("list", Reducer<Json>(
                                   [](Json all, const Json& more) {
                                     all.push_back(more);
                                     return all;
                                   },
                                   Json::array()));
    builder.AddNode("a", [record](NodeContext&) {
      return Update().Set("list", Value(Json::parse(record)));
    });
    builder.AddEdge(kStart, "a");
    const absl::StatusOr<Values> end =
        MustCompile(builder).Invoke(Update().Set("list", Value(Json(1))));
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_EQ(end->ToJson(), R"({"list": [9]})");
  }
}

TEST_F(ResultsTest, OverwriteReplacesWhatATopicHas) {
  const auto topic = builder_.AddChannel("topic", Topic<int>(true));
  AddEntry("a", [topic](NodeContext&) {
    return Overwrite(topic, std::vector<int>{9});
  });
  const absl::StatusOr<Values> end =
      MustCompile(builder_).Invoke(Update(topic, 1));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->ToJson(), R"({"topic": [9]})");
}

TEST_F(ResultsTest, GraphInsideThatWroteNothingLeavesTheStateAlone) {
  StateGraph inner;
  const auto mine =
      inner.AddChannel("sum", Reducer<int>([](int a, int b) { return a + b; }));
  static_cast<void>(mine);
  inner.SetInput({});
  inner.AddNode("idle", [](NodeContext&) {});
  inner.AddEdge(kStart, "idle");
  const auto sum = builder_.AddChannel("sum", LastValue<int>());
  builder_.AddNode("inside", MustCompile(inner));
  builder_.AddEdge(kStart, "inside");
  const absl::StatusOr<Values> end =
      MustCompile(builder_).Invoke(Update(sum, 7));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->Get(sum), 7);
}

// A graph whose node returns a command for a parent that it has not.
Graph Orphan() {
  StateGraph builder;
  builder.AddNode("a", [](NodeContext&) {
    return Command{.go_to = {"x"}, .graph = Command::Graph::kParent};
  });
  builder.AddEdge(kStart, "a");
  return MustCompile(builder);
}

TEST_F(ResultsTest, StatusOfAParentCommandFromElsewhereIsAFailure) {
  StateGraph inner;
  inner.AddNode(
      "a", [](NodeContext&) { return Orphan().Invoke(Update()).status(); });
  inner.AddEdge(kStart, "a");
  builder_.AddNode("inside", MustCompile(inner));
  builder_.AddEdge(kStart, "inside");
  EXPECT_FALSE(MustCompile(builder_).Invoke(Update()).ok());
}

TEST_F(ResultsTest, RouterThatPassesOnAParentCommandFails) {
  AddEntry("a", [](NodeContext&) {});
  const Graph orphan = Orphan();
  builder_.AddConditionalEdges("a", [orphan](NodeContext& node) -> Route {
    absl::StatusOr<Values> called = node.Invoke(orphan, Update());
    return called.status();
  });
  EXPECT_FALSE(MustCompile(builder_).Invoke(Update()).ok());
}

TEST_F(ResultsTest, RouterMayReadPrivateChannelsThatItNames) {
  const auto secret = builder_.AddPrivateChannel("secret", LastValue<int>());
  AddEntry("a", [secret](NodeContext&) { return Update(secret, 5); });
  int seen = 0;
  builder_.AddConditionalEdges("a",
                               [secret, &seen](NodeContext& state) {
                                 seen = state.Get(secret);
                                 return kEnd;
                               },
                               {.input = {{secret}}});
  EXPECT_TRUE(MustCompile(builder_).Invoke(Update()).ok());
  EXPECT_EQ(seen, 5);
}

TEST_F(ResultsTest, GraphThatWasMovedFromIsAMistake) {
  StateGraph inner;
  inner.AddNode("a", [](NodeContext&) {});
  inner.AddEdge(kStart, "a");
  Graph graph = MustCompile(inner);
  const Graph taken = std::move(graph);
  builder_.AddNode("inside", graph);  // NOLINT(bugprone-use-after-move)
  builder_.AddEdge(kStart, "inside");
  EXPECT_THAT(std::string(builder_.Compile().status().message()),
              HasSubstr("'inside' is a Graph that was moved from"));
}

TEST_F(ResultsTest, WhatASendCarriedGoesWithItsSuperstep) {
  const auto carried = std::make_shared<int>(1);
  std::vector<long> held;
  AddEntry("fan", [carried](NodeContext&) {
    Command command;
    for (int i = 0; i < 10; ++i) command.go_to.push_back(Send("leaf", carried));
    return command;
  });
  builder_.AddNode("leaf", [](NodeContext&) {});
  builder_.AddNode("after", [&held, carried](NodeContext&) {
    held.push_back(carried.use_count());
  });
  builder_.AddEdge("leaf", "after");
  builder_.AddEdge("after", "later");
  builder_.AddNode("later", [&held, carried](NodeContext&) {
    held.push_back(carried.use_count());
  });
  const long before = carried.use_count();
  EXPECT_TRUE(MustCompile(builder_).Invoke(Update()).ok());
  ASSERT_EQ(held.size(), 2u);
  EXPECT_EQ(held[0], before);
  EXPECT_EQ(held[1], before);
}

TEST_F(ResultsTest, CachedGotoFollowsItsNodeInAnotherCompilation) {
  const auto cache = std::make_shared<Cache>();
  std::vector<std::string> ran;
  AddEntry("a", [](NodeContext&) { return Command{.go_to = {"z"}}; },
           {.cache = CachePolicy{}});
  builder_.AddNode("z", [&ran](NodeContext&) { ran.push_back("z"); });
  EXPECT_TRUE(
      MustCompile(builder_, {.result_cache = cache}).Invoke(Update()).ok());
  builder_.AddNode("b", [&ran](NodeContext&) { ran.push_back("b"); });
  builder_.AddNode("c", [&ran](NodeContext&) { ran.push_back("c"); });
  EXPECT_TRUE(
      MustCompile(builder_, {.result_cache = cache}).Invoke(Update()).ok());
  EXPECT_THAT(ran, ElementsAre("z", "z"));
}

TEST_F(ResultsTest, CacheTellsTypesAndFieldsApart) {
  const auto log = builder_.AddChannel("log", AppendLogChannel<std::string>());
  AddEntry("fan", [](NodeContext&) {
    Values foo;
    foo.Add("foo", Value(1));
    Values bar;
    bar.Add("bar", Value(1));
    return Command{.go_to = {Send("leaf", 1), Send("leaf", uint64_t{2}),
                             Send("leaf", Value(foo)),
                             Send("leaf", Value(bar))}};
  });
  builder_.AddNode(
      "leaf",
      [log](NodeContext& node) { return Update(log, node.input().ToJson()); },
      {.cache = CachePolicy{}});
  InlineExecutor executor;
  const absl::StatusOr<Values> end =
      MustCompile(builder_, {.result_cache = std::make_shared<Cache>()})
          .Invoke(Update(), {.executor = &executor});
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->ToJson(),
            R"({"log": ["1", "2", "{\"foo\": 1}", "{\"bar\": 1}"]})");
}

TEST_F(ResultsTest, NodesByIdAreNamedInMessages) {
  StateGraph other;
  const NodeId elsewhere = other.AddNode("x", [](NodeContext&) {});
  AddEntry("a",
           [elsewhere](NodeContext&) { return Command{.go_to = {elsewhere}}; });
  const absl::Status status =
      MustCompile(builder_, {.strict = true}).Invoke(Update()).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("a node of another graph"));
}

TEST(NestedValueTest, WhatCouldNotBeReadBackIsNotEncoded) {
  nlohmann::json deep = nlohmann::json::array();
  for (int i = 0; i < 250; ++i) {
    nlohmann::json outer = nlohmann::json::array();
    outer.push_back(std::move(deep));
    deep = std::move(outer);
  }
  std::string bytes;
  EXPECT_EQ(Value(deep).Encode(&bytes).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Value(1).Encode(&bytes).ok());
}

}  // namespace
}  // namespace weir
