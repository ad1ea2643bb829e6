#include "weir/gateway/internal/json_input.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/channels/nlohmann_json.h"
#include "weir/channels/record_codec.h"
#include "weir/channels/reducer.h"
#include "weir/channels/topic.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/gateway/internal/json.h"
#include "weir/runtime/state_graph.h"

// What a client's JSON becomes: a run's input, typed by the graph's channels.
namespace weir {

struct Order {
  int count = 0;
};
template <>
struct Codec<Order> : RecordCodec<Order> {
  static constexpr auto Fields() {
    return std::tuple(RecordField("count", &Order::count));
  }
};

namespace {

using internal::InputFromJson;
using internal::Json;
using internal::ParseJson;
using internal::UpdateFromJson;
using ::testing::HasSubstr;

Json Parsed(std::string_view text) {
  absl::StatusOr<Json> json = ParseJson(text);
  EXPECT_TRUE(json.ok()) << text << json.status();
  return json.ok() ? *std::move(json) : Json();
}

TEST(ParseJsonTest, KeepsKeysInTheirOrder) {
  EXPECT_EQ(internal::JsonText(Parsed(R"({"b": 1, "a": [1.5, "x"]})")),
            R"({"b": 1, "a": [1.5, "x"]})");
}

TEST(ParseJsonTest, SaysWhereItGoesWrong) {
  for (const char* text :
       {"", "{", "{not json", "[1,]", "\"\xff\"", "1 2", "1e999"}) {
    const absl::Status status = ParseJson(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_GT(status.message().size(), 40u) << status;
  }
  EXPECT_THAT(std::string(ParseJson("{\"a\": x}").status().message()),
              HasSubstr("line 1, column 7"));
}

TEST(ParseJsonTest, RefusesWhatIsTooDeepOrTooWide) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(ParseJson(nested(internal::kMaxJsonDepth)).ok());
  EXPECT_THAT(
      std::string(
          ParseJson(nested(internal::kMaxJsonDepth + 1)).status().message()),
      HasSubstr("nested more than 64 deep"));
  // Far beyond what a stack would hold.
  EXPECT_FALSE(ParseJson(std::string(1'000'000, '[')).ok());
  EXPECT_FALSE(ParseJson(nested(1'000'000)).ok());

  const auto keys = [](size_t count) {
    std::string text = "{";
    for (size_t i = 0; i < count; ++i) {
      absl::StrAppend(&text, i == 0 ? "" : ",", "\"", i, "\":0");
    }
    return text + "}";
  };
  EXPECT_TRUE(ParseJson(keys(internal::kMaxJsonKeys)).ok());
  EXPECT_THAT(
      std::string(
          ParseJson(keys(internal::kMaxJsonKeys + 1)).status().message()),
      HasSubstr("more than 4096 keys"));
}

class JsonInputTest : public ::testing::Test {
 protected:
  JsonInputTest() {
    StateGraph builder;
    builder.AddChannel("flag", LastValue<bool>());
    builder.AddChannel("i8", LastValue<int8_t>());
    builder.AddChannel("i16", LastValue<int16_t>());
    builder.AddChannel("i32", LastValue<int32_t>());
    builder.AddChannel("i64", LastValue<int64_t>());
    builder.AddChannel("u8", LastValue<uint8_t>());
    builder.AddChannel("u32", LastValue<uint32_t>());
    builder.AddChannel("u64", LastValue<uint64_t>());
    builder.AddChannel("f", LastValue<float>());
    builder.AddChannel("d", LastValue<double>());
    builder.AddChannel("text", LastValue<std::string>());
    builder.AddChannel("nothing", LastValue<None>());
    builder.AddChannel("maybe", LastValue<std::optional<int64_t>>());
    builder.AddChannel("pair", LastValue<std::pair<std::string, int64_t>>());
    builder.AddChannel(
        "map", LastValue<std::map<std::string, std::vector<int64_t>>>());
    builder.AddChannel("by_number",
                       LastValue<std::map<int64_t, std::string>>());
    builder.AddChannel("list", LastValue<std::vector<std::string>>());
    builder.AddChannel("json", LastValue<nlohmann::json>());
    builder.AddChannel("ordered", LastValue<Json>());
    builder.AddChannel(
        "sum", Reducer<int64_t>([](int64_t a, int64_t b) { return a + b; }));
    builder.AddChannel("log", AppendLogChannel<std::string>());
    builder.AddChannel("topic", Topic<int64_t>(true));
    builder.AddChannel("messages", Messages());
    builder.AddChannel("json_messages", Messages<nlohmann::json>());
    builder.AddChannel("order", LastValue<Order>());
    builder.AddChannel("orders", LastValue<std::vector<Order>>());
    builder.AddNode("ask", [](NodeContext& node) -> NodeResult {
      absl::StatusOr<Value> answer = node.Interrupt("?");
      if (!answer.ok()) return answer.status();
      return Update().Set("text", answer->ToJson());
    });
    builder.AddNode("last", [](NodeContext& node) {
      return Update().Set("text", node.input().ToJson());
    });
    builder.AddEdge(kStart, "ask");
    builder.AddType<nlohmann::json>();
    graph_ = std::make_unique<Graph>(builder.Compile().value());
  }

  // What `channel` holds when it was given `json`, or why it is refused.
  std::string Held(const std::string& channel, std::string_view json) {
    const Json input = {{channel, Parsed(json)}};
    absl::StatusOr<Input> made =
        InputFromJson(*graph_, options_, input, Json());
    if (!made.ok()) {
      EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
      return std::string(made.status().message());
    }
    ++thread_;
    return After(*std::move(made), channel);
  }
  // What `channel` holds after a run of the thread.
  std::string After(Input input, const std::string& channel) {
    absl::StatusOr<RunResult> result = graph_->Invoke(
        std::move(input),
        {.thread_id = absl::StrCat(thread_), .checkpointer = &store_});
    if (!result.ok()) return result.status().ToString();
    const Value* const value = result->Find(channel);
    return value == nullptr ? "nothing" : value->ToJson();
  }
  absl::StatusOr<Input> Commanded(std::string_view command) {
    return InputFromJson(*graph_, options_, Json(), Parsed(command));
  }
  std::string Refusal(std::string_view command) {
    const absl::Status status = Commanded(command).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << command;
    return std::string(status.message());
  }

  std::unique_ptr<Graph> graph_;
  GraphOptions options_;
  MemoryCheckpointer store_;
  int thread_ = 0;
};

TEST_F(JsonInputTest, ChannelsHoldWhatTheyAreGiven) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"flag", "true"},
      {"flag", "false"},
      {"i8", "-128"},
      {"i8", "127"},
      {"i16", "-32768"},
      {"i32", "2147483647"},
      {"i32", "-2147483648"},
      {"i64", "9223372036854775807"},
      {"i64", "-9223372036854775808"},
      {"u8", "255"},
      {"u32", "4294967295"},
      {"u64", "18446744073709551615"},
      {"f", "0.5"},
      {"d", "-1e+300"},
      {"text", R"("line1\nline2 \u0000 ü")"},
      {"nothing", "null"},
      {"maybe", "null"},
      {"maybe", "-7"},
      {"pair", R"(["a", 1])"},
      {"map", R"({"a": [1, 2], "b": []})"},
      {"by_number", R"([[1, "a"], [2, "b"]])"},
      {"list", R"(["a", "b"])"},
      {"json", R"({"a": [1, -1, 1.5, null, true, {"b": "c"}]})"},
      {"ordered", R"({"b": 1, "a": 2})"},
      {"sum", "5"},
      {"log", R"(["a", "b"])"},
      {"topic", "[1, 2]"},
  };
  for (const auto& [channel, json] : cases) {
    EXPECT_EQ(Held(channel, json), json) << channel;
  }
}

TEST_F(JsonInputTest, AnIntegerIsANumberAnywhere) {
  EXPECT_EQ(Held("d", "3"), "3.0");
  EXPECT_EQ(Held("f", "-3"), "-3.0");
}

TEST_F(JsonInputTest, ChannelsThatGatherTakeOneElement) {
  EXPECT_EQ(Held("log", R"("a")"), R"(["a"])");
  EXPECT_EQ(Held("topic", "7"), "[7]");
  EXPECT_EQ(Held("messages", R"({"role": "user", "content": "hi", "id": "1"})"),
            R"([{"role": "user", "content": "hi", "id": "1"}])");
  // One that holds a list does not.
  EXPECT_EQ(Held("list", R"("a")"),
            R"(channel 'list' takes list<string>, not the string "a")");
}

TEST_F(JsonInputTest, ValuesOfOtherTypesAreRefused) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"flag", "1"},
      {"flag", "null"},
      {"i8", "128"},
      {"i8", "-129"},
      {"i16", "32768"},
      {"i32", "2147483648"},
      {"i32", "1.0"},
      {"i32", "\"1\""},
      {"i64", "9223372036854775808"},
      {"i64", "-9223372036854775809"},
      {"i64", "123456789012345678901234567890"},
      {"u8", "-1"},
      {"u8", "256"},
      {"u32", "4294967296"},
      {"u64", "-1"},
      {"u64", "18446744073709551616"},
      {"f", "1e39"},
      {"d", "\"1\""},
      {"d", "null"},
      {"text", "1"},
      {"text", "null"},
      {"nothing", "0"},
      {"maybe", "\"x\""},
      {"pair", "[\"a\"]"},
      {"pair", "[1, 1]"},
      {"pair", "{}"},
      {"map", "[]"},
      {"map", "{\"a\": 1}"},
      {"by_number", "{}"},
      {"by_number", "[[1]]"},
      {"by_number", "[[1, \"a\"], [1, \"b\"]]"},
      {"list", "{}"},
      {"list", "[1]"},
      {"sum", "\"1\""},
      {"log", "[1]"},
      {"topic", "[\"a\"]"},
      {"messages", "7"},
      {"messages", "[[]]"},
      {"json_messages", "[7]"},
      {"json_messages", "{\"id\": 7}"},
  };
  for (const auto& [channel, json] : cases) {
    EXPECT_THAT(Held(channel, json),
                HasSubstr(absl::StrCat("channel '", channel, "' ")))
        << json;
  }
}

TEST_F(JsonInputTest, RefusalsSayWhatIsWantedAndWhatWasGiven) {
  EXPECT_EQ(Held("i8", "300"),
            "channel 'i8' takes int8, an integer from -128 to 127, not the "
            "number 300");
  EXPECT_EQ(Held("map", R"({"a": [1, "x"]})"),
            "channel 'map' at 'a' at [1] takes int64, an integer from "
            "-9223372036854775808 to 9223372036854775807, not the string "
            "\"x\"");
  EXPECT_EQ(Held("text", "[1]"),
            "channel 'text' takes a string, not the list [1]");
  EXPECT_EQ(Held("pair", "null"),
            "channel 'pair' takes pair<string, int64>, a list of two, not "
            "null");
}

TEST_F(JsonInputTest, TypesOfTheHostsOwnNeedItsHelp) {
  EXPECT_THAT(Held("order", R"({"count": 1})"),
              HasSubstr("the host has to set GraphOptions::input"));
  EXPECT_THAT(Held("orders", R"([{"count": 1}])"),
              HasSubstr("the host has to set GraphOptions::input"));
  options_.input = [](const Json& json) -> absl::StatusOr<Update> {
    return Update().Set("order", Order{json["order"]["count"].get<int>() + 1});
  };
  EXPECT_EQ(Held("order", R"({"count": 1})"), R"({"count": 2})");
}

TEST_F(JsonInputTest, MessagesComeInEitherForm) {
  const auto held = [this](std::string_view json) {
    return Held("messages", json);
  };
  EXPECT_EQ(held(R"([{"type": "human", "content": "hi", "id": "1"},
                     {"type": "ai", "content": "ho", "id": "2"},
                     {"role": "system", "content": "be", "id": "3"}])"),
            R"([{"role": "user", "content": "hi", "id": "1"}, )"
            R"({"role": "assistant", "content": "ho", "id": "2"}, )"
            R"({"role": "system", "content": "be", "id": "3"}])");
  EXPECT_EQ(held(R"({"type": "human", "id": "1", "content":
                     ["a", {"type": "text", "text": "b"}]})"),
            R"([{"role": "user", "content": "ab", "id": "1"}])");
  EXPECT_THAT(held(R"({"type": "human", "content": [{"type": "image"}]})"),
              HasSubstr("content that is more than text"));
  EXPECT_THAT(held(R"({"type": "human", "content": 7})"),
              HasSubstr("content that is no text"));
  EXPECT_THAT(held(R"({"content": "hi"})"), HasSubstr("has no role"));
  EXPECT_THAT(held(R"({"role": 7, "content": "hi"})"),
              HasSubstr("a role that is no text"));
  EXPECT_THAT(held(R"({"role": "user", "id": 7})"),
              HasSubstr("an id that is no text"));
}

TEST_F(JsonInputTest, MessagesWithoutIdsAreGivenSome) {
  for (const char* channel : {"messages", "json_messages"}) {
    const Json held = Parsed(Held(channel, R"([{"role": "user", "content": "a"},
                                 {"role": "user", "content": "b"}])"));
    ASSERT_EQ(held.size(), 2u);
    ASSERT_TRUE(held[0]["id"].is_string());
    EXPECT_NE(held[0]["id"], "");
    EXPECT_NE(held[0]["id"], held[1]["id"]);
    const Json replaced = Parsed(Held(
        channel, R"({"__overwrite__": [{"role": "user", "content": "c"}]})"));
    ASSERT_EQ(replaced.size(), 1u);
    ASSERT_TRUE(replaced[0]["id"].is_string());
    EXPECT_NE(replaced[0]["id"], "");
  }
}

TEST_F(JsonInputTest, AMessageReplacesAndRemoves) {
  Held("messages", R"([{"role": "user", "content": "a", "id": "1"},
                       {"role": "user", "content": "b", "id": "2"}])");
  absl::StatusOr<Input> more = InputFromJson(
      *graph_, options_,
      Parsed(R"({"messages": [{"type": "human", "content": "c", "id": "2"},
                              {"type": "remove", "id": "1"}]})"),
      Json());
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_EQ(After(*std::move(more), "messages"),
            R"([{"role": "user", "content": "c", "id": "2"}])");
}

TEST_F(JsonInputTest, MessagesThatAreJsonStayAsTheyAre) {
  const std::string message =
      R"([{"content": [{"type": "image"}], "id": "1", "role": "human"}])";
  EXPECT_EQ(Held("json_messages", message), message);
}

TEST_F(JsonInputTest, AnOverwriteReplaces) {
  EXPECT_EQ(Held("sum", R"({"__overwrite__": 7})"), "7");
  EXPECT_EQ(Held("sum", R"({"type": "__overwrite__", "value": 8})"), "8");
  EXPECT_EQ(Held("log", R"({"__overwrite__": ["z"]})"), R"(["z"])");
  EXPECT_THAT(Held("sum", R"({"__overwrite__": "x"})"),
              HasSubstr("channel 'sum' takes int64"));
}

TEST_F(JsonInputTest, AnInputIsAnObjectOfChannels) {
  for (const char* input : {"[]", "\"text\"", "7", "true"}) {
    EXPECT_THAT(
        std::string(InputFromJson(*graph_, options_, Parsed(input), Json())
                        .status()
                        .message()),
        HasSubstr("is no input: give an object"));
  }
  // Of other names, the graph decides: this one drops them.
  EXPECT_EQ(Held("unknown", "7"), "nothing");
}

TEST_F(JsonInputTest, NothingGivenIsGoingOn) {
  absl::StatusOr<Input> none = InputFromJson(*graph_, options_, Json(), Json());
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->is_continue());
  const Json discarded = Json::value_t::discarded;
  none = InputFromJson(*graph_, options_, Json(), discarded);
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->is_continue());
  // An empty input is one.
  none = InputFromJson(*graph_, options_, Json::object(), Json());
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->is_continue());
}

TEST_F(JsonInputTest, ACommandAnswersWhatANodeAsks) {
  const std::vector<std::pair<std::string, std::string>> answers = {
      {"\"yes\"", "\"yes\""},
      {"7", "7"},
      {"-7", "-7"},
      {"1.5", "1.5"},
      {"true", "true"},
      {"[1]", "[1]"},
      {"{\"a\":1}", "{\"a\": 1}"}};
  for (const auto& [answer, seen] : answers) {
    Held("text", "\"\"");  // A run that asks.
    absl::StatusOr<Input> input =
        Commanded(absl::StrCat("{\"resume\": ", answer, "}"));
    ASSERT_TRUE(input.ok()) << input.status();
    EXPECT_EQ(Parsed(After(*std::move(input), "text")), Json(seen));
  }
}

TEST_F(JsonInputTest, AnswersAreByTheIdsOfInterruptsWhereAllKeysAre) {
  const std::string id(32, 'a');
  absl::StatusOr<Input> input =
      Commanded(absl::StrCat("{\"resume\": {\"", id, "\": 7}}"));
  ASSERT_TRUE(input.ok());
  ASSERT_EQ(input->answers().size(), 1u);
  EXPECT_EQ(input->answers().at(id), Value(int64_t{7}));
  input = Commanded(absl::StrCat("{\"resume\": {\"", id, "\": 7, \"b\": 8}}"));
  ASSERT_TRUE(input.ok());
  EXPECT_TRUE(input->answers().empty());
  EXPECT_TRUE(input->answer().has_value());
}

TEST_F(JsonInputTest, TheHostMayMakeTheAnswer) {
  options_.answer = [](const Json& json) -> absl::StatusOr<Value> {
    if (!json.is_number()) return absl::InvalidArgumentError("no number");
    return Value(json.get<int>() + 1);
  };
  EXPECT_EQ(Commanded("{\"resume\": 1}")->answer(), Value(2));
  EXPECT_EQ(Refusal("{\"resume\": \"x\"}"), "no number");
}

TEST_F(JsonInputTest, ACommandWritesAndGoes) {
  ++thread_;
  absl::StatusOr<Input> input = Commanded(
      R"({"update": {"i64": 5, "log": "a"}, "goto": "last", "resume": null})");
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_THAT(After(*std::move(input), "text"), HasSubstr("i64"));

  ++thread_;
  input = Commanded(R"({"update": [["log", "a"], ["log", ["b"]]],
                        "goto": ["last"]})");
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(After(*std::move(input), "log"), R"(["a", "b"])");
}

TEST_F(JsonInputTest, AGotoMayHaveAnInputOfItsOwn) {
  ++thread_;
  absl::StatusOr<Input> input =
      Commanded(R"({"goto": {"node": "last", "input": {"i8": 7}}})");
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(After(*std::move(input), "text"), R"("{\"i8\": 7}")");
  ++thread_;
  input = Commanded(R"({"goto": [{"node": "last", "input": {"x": [1]}}]})");
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(After(*std::move(input), "text"), R"("{\"x\": [1]}")");
  EXPECT_THAT(Refusal(R"({"goto": {"node": "last", "input": {"i8": "x"}}})"),
              HasSubstr("channel 'i8' takes int8"));
}

TEST_F(JsonInputTest, CommandsOfOtherFormsAreRefused) {
  EXPECT_THAT(Refusal("[]"), HasSubstr("has to be an object"));
  EXPECT_THAT(Refusal("{}"), HasSubstr("command is empty"));
  EXPECT_THAT(Refusal(R"({"resume": null})"), HasSubstr("command is empty"));
  EXPECT_THAT(Refusal(R"({"answer": 1})"), HasSubstr("command has 'answer'"));
  EXPECT_THAT(Refusal(R"({"goto": 7})"), HasSubstr("command.goto has"));
  EXPECT_THAT(Refusal(R"({"goto": [{"node": 7}]})"),
              HasSubstr("command.goto has"));
  EXPECT_THAT(Refusal(R"({"update": 7})"), HasSubstr("is no input"));
  EXPECT_THAT(Refusal(R"({"update": [["a"]]})"),
              HasSubstr("command.update has"));
  EXPECT_THAT(Refusal(R"({"update": {"i8": "x"}})"),
              HasSubstr("channel 'i8' takes int8"));
  EXPECT_EQ(InputFromJson(*graph_, options_, Json::object(),
                          Parsed(R"({"resume": 1})"))
                .status()
                .message(),
            "input and command are both given: a run takes one of them");
}

}  // namespace
}  // namespace weir
