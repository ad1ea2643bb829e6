#include "weir/channels/nlohmann_json.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

using Json = nlohmann::json;

std::string Encoded(const Json& value) {
  std::string bytes;
  Codec<Json>::Encode(value, &bytes);
  return bytes;
}

absl::Status Decode(std::string_view bytes, Json* value) {
  if (absl::Status s = Codec<Json>::Decode(&bytes, value); !s.ok()) return s;
  return bytes.empty() ? absl::OkStatus()
                       : absl::InternalError("bytes left over");
}

std::string Text(const Json& value) {
  std::string out;
  Codec<Json>::AppendJson(value, &out);
  return out;
}

Json Everything() {
  return Json({{"null", nullptr},
               {"bools", {true, false}},
               {"integers",
                {std::numeric_limits<int64_t>::min(), -1, 0,
                 std::numeric_limits<uint64_t>::max()}},
               {"numbers", {0.5, 1.0, 1e300}},
               {"text", "a\"b\xff"},
               {"empty", {Json::array(), Json::object(), ""}},
               {"binary", Json::binary({1, 2, 255})},
               {"typed", Json::binary({1}, 7)}});
}

TEST(NlohmannJsonTest, EveryValueRoundTrips) {
  const Json value = Everything();
  Json read;
  const absl::Status s = Decode(Encoded(value), &read);
  ASSERT_TRUE(s.ok()) << s;
  EXPECT_EQ(read, value);
  EXPECT_TRUE(read["numbers"][1].is_number_float());
  EXPECT_TRUE(read["integers"][3].is_number_unsigned());
  EXPECT_EQ(read["typed"].get_binary().subtype(), 7U);
}

TEST(NlohmannJsonTest, NanRoundTrips) {
  Json read;
  ASSERT_TRUE(Decode(Encoded(Json(std::nan(""))), &read).ok());
  EXPECT_TRUE(std::isnan(read.get<double>()));
}

TEST(NlohmannJsonTest, EveryPrefixIsDataLoss) {
  const std::string bytes = Encoded(Everything());
  for (size_t n = 0; n < bytes.size(); ++n) {
    Json read;
    EXPECT_EQ(Decode(bytes.substr(0, n), &read).code(),
              absl::StatusCode::kDataLoss);
  }
}

TEST(NlohmannJsonTest, ChangedBytesDecodeOrAreDataLoss) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string bytes = Encoded(Everything());
  for (int i = 0; i < 20000; ++i) {
    std::string changed = bytes;
    for (int k = 0; k < 3; ++k) {
      changed[random() % changed.size()] = static_cast<char>(random());
    }
    Json read;
    std::string_view in = changed;
    const absl::Status s = Codec<Json>::Decode(&in, &read);
    EXPECT_TRUE(s.ok() || s.code() == absl::StatusCode::kDataLoss) << s;
    if (s.ok()) Text(read);
  }
}

TEST(NlohmannJsonTest, DeepNestingIsDataLoss) {
  std::string bytes;
  for (int i = 0; i < 1'000'000; ++i) bytes += "\x07\x01";
  Json read;
  EXPECT_EQ(Decode(bytes, &read).code(), absl::StatusCode::kDataLoss);
}

TEST(NlohmannJsonTest, FormatIsStable) {
  EXPECT_EQ(Encoded(Json({{"a", {1, -1, nullptr}}})),
            std::string("\x08\x01\x01"
                        "a\x07\x03\x03\x02\x03\x01\x00",
                        11));
}

TEST(NlohmannJsonTest, TextIsWeirs) {
  EXPECT_EQ(Text(Json::object()), "{}");
  EXPECT_EQ(Text(Json::array()), "[]");
  EXPECT_EQ(Text(Json({{"b", {1, 2.0, nullptr}}, {"a", "x:y,z"}})),
            R"({"a": "x:y,z", "b": [1, 2.0, null]})");
  EXPECT_EQ(Text(Json("\xff")), "\"\xEF\xBF\xBD\"");
  EXPECT_EQ(Text(Json(std::numeric_limits<uint64_t>::max())),
            "18446744073709551615");
  EXPECT_EQ(Text(Json::binary({1, 2})),
            R"({"bytes": [1, 2], "subtype": null})");
  EXPECT_TRUE(Json::parse(Text(Json("\x01\n\"€"))) == Json("\x01\n\"€"));
}

TEST(NlohmannJsonTest, ObjectIsARecordAndArrayAList) {
  const Value object(Json({{"a", 1}, {"b", nullptr}}));
  EXPECT_TRUE(object.is_record());
  EXPECT_FALSE(object.is_list());
  EXPECT_EQ(object.Field("a"), Value(Json(1)));
  EXPECT_TRUE(object.Field("b").is_null());
  EXPECT_FALSE(object.Field("c").has_value());
  std::string names;
  object.ForEachField(
      [&names](std::string_view name, Value) { names += name; });
  EXPECT_EQ(names, "ab");

  const Value array(Json::array({1, 2}));
  EXPECT_TRUE(array.is_list());
  EXPECT_FALSE(array.is_record());
  EXPECT_FALSE(array.Field("a").has_value());
  int sum = 0;
  array.ForEachElement([&sum](Value v) { sum += v.As<Json>()->get<int>(); });
  EXPECT_EQ(sum, 3);

  const Value number(Json(1));
  EXPECT_FALSE(number.is_record());
  EXPECT_FALSE(number.is_list());
  EXPECT_FALSE(number.is_null());
  EXPECT_TRUE(Value(Json()).is_null());
}

// `json x{y}` is an array of y; weir must never make a value so.
TEST(NlohmannJsonTest, ValueHoldsTheJsonItIsGiven) {
  const Json object = Json({{"a", 1}});
  EXPECT_EQ(*Value(object).As<Json>(), object);
  EXPECT_EQ(*ToValue(object).As<Json>(), object);
  EXPECT_EQ(*ToValue(OneOrMany<Json>(object)).As<Json>(), object);
  EXPECT_EQ(Value(object).Take<Json>(), object);
  const Value list(std::vector<Json>{object});
  list.ForEachElement(
      [&object](Value element) { EXPECT_EQ(*element.As<Json>(), object); });
}

TEST(NlohmannJsonTest, OrderedJsonKeepsItsOrder) {
  using Ordered = nlohmann::ordered_json;
  const Ordered value = Ordered({{"b", 1}, {"a", {2}}});
  std::string text;
  Codec<Ordered>::AppendJson(value, &text);
  EXPECT_EQ(text, R"({"b": 1, "a": [2]})");
  std::string bytes;
  Codec<Ordered>::Encode(value, &bytes);
  std::string_view in = bytes;
  Ordered read;
  ASSERT_TRUE(Codec<Ordered>::Decode(&in, &read).ok());
  EXPECT_EQ(read, value);
}

TEST(NlohmannJsonTest, MessagesAreObjects) {
  const auto kind = Messages<Json>([] { return "new"; }).kind;
  ChannelState state;
  kind->Init(state);
  const auto write = [&](const Json& message) {
    return kind->Apply(state, Value(message), false).status().code();
  };
  EXPECT_EQ(write({{"role", "user"}, {"content", "hi"}}),
            absl::StatusCode::kOk);
  EXPECT_EQ(state.value.ToJson(),
            R"([{"content": "hi", "id": "new", "role": "user"}])");
  EXPECT_EQ(write({{"role", "remove"}, {"id", "new"}}), absl::StatusCode::kOk);
  EXPECT_EQ(state.value.ToJson(), "[]");
  EXPECT_EQ(write({{"role", "remove"}, {"id", "new"}}),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(write("hi"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(write(Json::array({1})), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace weir
