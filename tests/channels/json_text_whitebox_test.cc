#include "weir/channels/internal/json_text.h"

#include <limits>
#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace weir::internal {
namespace {

std::string Quoted(std::string_view text) {
  std::string out;
  AppendJsonString(text, &out);
  return out;
}

template <class Number>
std::string Printed(Number number) {
  std::string out;
  AppendJsonNumber(number, &out);
  return out;
}

TEST(JsonTextTest, EscapesWhatJsonAsksFor) {
  EXPECT_EQ(Quoted(""), "\"\"");
  EXPECT_EQ(Quoted("plain"), "\"plain\"");
  EXPECT_EQ(Quoted("\"\\/"), R"("\"\\/")");
  EXPECT_EQ(Quoted("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(Quoted(std::string_view("a\0b\x1f\x7f", 5)),
            "\"a\\u0000b\\u001f\x7f\"");
}

TEST(JsonTextTest, KeepsUtf8) {
  for (const char* text :
       {"é", "€", "😀", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xe0\xa0\x80", "\xf0\x90\x80\x80", "\xc2\x80", "aéb€c😀d"}) {
    EXPECT_EQ(Quoted(text), std::string("\"") + text + "\"");
  }
}

TEST(JsonTextTest, RepairsWhatIsNoUtf8) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(Quoted("a\x80z"), "\"a" + bad + "z\"");
  EXPECT_EQ(Quoted("\xff"), "\"" + bad + "\"");
  // Cut short, overlong, a surrogate, above the last code point.
  EXPECT_EQ(Quoted("\xe2\x82"), "\"" + bad + bad + "\"");
  EXPECT_EQ(Quoted("\xc0\xaf"), "\"" + bad + bad + "\"");
  EXPECT_EQ(Quoted("\xe0\x80\x80"), "\"" + bad + bad + bad + "\"");
  EXPECT_EQ(Quoted("\xed\xa0\x80"), "\"" + bad + bad + bad + "\"");
  EXPECT_EQ(Quoted("\xf4\x90\x80\x80"), "\"" + bad + bad + bad + bad + "\"");
  EXPECT_EQ(Quoted("\xf0\x9f\x98"
                   "é"),
            "\"" + bad + bad + bad + "é\"");
}

TEST(JsonTextTest, NumbersReadBackAndStayFloating) {
  EXPECT_EQ(Printed(0.0), "0.0");
  EXPECT_EQ(Printed(-0.0), "-0.0");
  EXPECT_EQ(Printed(0.1), "0.1");
  EXPECT_EQ(Printed(100.0), "100.0");
  EXPECT_EQ(Printed(1e300), "1e+300");
  EXPECT_EQ(Printed(5e-324), "5e-324");
  EXPECT_EQ(Printed(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(Printed(0.3f), "0.3");
  for (const double number :
       {1e15, 1e16, 1e17, 123456789.125, std::numeric_limits<double>::max(),
        std::numeric_limits<double>::lowest()}) {
    EXPECT_EQ(std::stod(Printed(number)), number);
  }
}

TEST(JsonTextTest, NumbersThatAreNotFiniteAreNull) {
  EXPECT_EQ(Printed(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(Printed(std::numeric_limits<double>::quiet_NaN()), "null");
}

TEST(JsonTextTest, SpacesCompactTextOutsideStrings) {
  std::string out;
  AppendSpacedJson(R"({"a,:":[1,"b\",c"],"d\\":2})", &out);
  EXPECT_EQ(out, R"({"a,:": [1, "b\",c"], "d\\": 2})");
}

}  // namespace
}  // namespace weir::internal
