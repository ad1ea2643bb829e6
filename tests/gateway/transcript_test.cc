#include "tests/gateway/transcript.h"

#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

// The reader of recordings, on which other tests rely.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

using Json = nlohmann::ordered_json;
using Kind = Difference::Kind;

absl::StatusOr<std::vector<Exchange>> Read(const std::string& text) {
  const std::string path = ::testing::TempDir() + "/transcript.txt";
  std::ofstream(path) << text;
  return ReadTranscript(path);
}

TEST(ReadTranscriptTest, ReadsRequestsAndResponses) {
  absl::StatusOr<std::vector<Exchange>> read = Read(R"(# a title

# of two

> POST /threads/<thread-1>/runs/stream?a=1
> Last-Event-ID: -1
> {"input":"x: y"}
< HTTP 200
< Content-Location: /threads/<thread-1>/runs/<run-1>
< (client closed after 5 events)
----- body
event: metadata
data: {}


----- end of body

# next

> POST /threads
> 
< HTTP 400
< content-type: text/plain
----- body
> not a request
----- end of body

> DELETE /threads/<thread-1>
< HTTP 204
----- body

----- end of body

> GET /x
< HTTP 200
----- body
{"a": ... (cut)
----- end of body
)");
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_THAT(*read, SizeIs(4));
  const Exchange& first = (*read)[0];
  EXPECT_THAT(first.remarks, ElementsAre("a title", "of two"));
  EXPECT_EQ(first.method, "POST");
  EXPECT_EQ(first.target, "/threads/<thread-1>/runs/stream?a=1");
  EXPECT_THAT(first.request_headers, ElementsAre(Pair("Last-Event-ID", "-1")));
  EXPECT_EQ(first.request_body, R"({"input":"x: y"})");
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.header("content-location"),
            "/threads/<thread-1>/runs/<run-1>");
  EXPECT_EQ(first.header("location"), "");
  EXPECT_THAT(first.notes, ElementsAre("client closed after 5 events"));
  EXPECT_EQ(first.body, "event: metadata\ndata: {}\n\n");
  EXPECT_FALSE(first.cut);
  EXPECT_THAT((*read)[1].remarks, ElementsAre("next"));
  EXPECT_EQ((*read)[1].request_body, "");
  EXPECT_EQ((*read)[1].body, "> not a request");
  EXPECT_EQ((*read)[2].status, 204);
  EXPECT_EQ((*read)[2].body, "");
  EXPECT_TRUE((*read)[3].cut);
}

TEST(ReadTranscriptTest, RefusesWhatIsNone) {
  EXPECT_EQ(ReadTranscript("no such file").status().code(),
            absl::StatusCode::kNotFound);
  for (const char* text :
       {"> {\"a\":1}\n", "< HTTP 200\n", "----- body\n----- end of body\n",
        "> GET /x\n< HTTP 200\n----- body\nx\n", "> GET /x\n< what\n",
        "> GET /x\n< HTTP abc\n"}) {
    const absl::Status status = Read(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(": line ")) << text;
  }
}

TEST(ParseSseTest, ReadsEventsAndComments) {
  absl::StatusOr<std::vector<SseEvent>> events = ParseSse(
      "event: a\ndata: {}\nid: 0\n\n: heartbeat\nevent: b\ndata: 1\n\n\n");
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_THAT(*events, SizeIs(2));
  EXPECT_EQ((*events)[0].name, "a");
  EXPECT_EQ((*events)[0].data, "{}");
  EXPECT_EQ((*events)[0].id, "0");
  EXPECT_EQ((*events)[1].name, "b");
  EXPECT_EQ((*events)[1].id, std::nullopt);
}

TEST(ParseSseTest, RefusesOtherForms) {
  for (const char* body :
       {"event: a\ndata: 1\n", "event: a\ndata: 1\ndata: 2\n\n", "evnt: a\n\n",
        "event:a\n\n"}) {
    EXPECT_FALSE(ParseSse(body).ok()) << body;
  }
}

TEST(NamesTest, ANameStandsForOneThing) {
  Names names;
  EXPECT_TRUE(names.Match("/runs/<run-1>", "/runs/abc"));
  EXPECT_TRUE(names.Match("run <run-1>!", "run abc!"));
  EXPECT_FALSE(names.Match("<run-1>", "abd"));
  EXPECT_FALSE(names.Match("<run-2>", "abc"));  // That is <run-1>.
  EXPECT_TRUE(names.Match("<id-1>", "abc"));    // Of another kind.
  EXPECT_FALSE(names.Match("<run-3>", ""));
  EXPECT_EQ(names.Fill("/threads/<thread-1>/runs/<run-1> <"),
            "/threads/<thread-1>/runs/abc <");
  names.Bind("<thread-1>", "t");
  EXPECT_EQ(names.Fill("<thread-1><run-1>"), "tabc");
}

TEST(NamesTest, WhatDoesNotMatchBindsNothing) {
  Names names;
  EXPECT_FALSE(names.Match("<a-1>:<b-1>x", "1:2y"));
  EXPECT_EQ(names.Find("<a-1>"), nullptr);
  EXPECT_FALSE(names.Match("<a-1>:<a-1>", "1:2"));
  EXPECT_FALSE(names.Match("<a-1>:<a-2>", "1:1"));
  EXPECT_TRUE(names.Match("<a-1>:<a-2>", "1:2"));
  EXPECT_EQ(*names.Find("<a-2>"), "2");
}

TEST(NamesTest, TimesAreAnyTimes) {
  Names names;
  EXPECT_TRUE(names.Match("<time>", "2026-01-31T12:00:00.000Z"));
  EXPECT_TRUE(names.Match("<time>", "2027-01-31T12:00:00.000Z"));
  EXPECT_FALSE(names.Match("<time>", "2027-01-31 12:00:00.000Z"));
  EXPECT_FALSE(names.Match("<time>", "now"));
  EXPECT_TRUE(names.Match("a < b > c", "a < b > c"));
}

std::vector<std::string> Differences(std::string_view recorded,
                                     std::string_view actual,
                                     const std::vector<Difference>& expected) {
  Names names;
  std::vector<std::string> found;
  Compare("x", Json::parse(recorded), Json::parse(actual), expected, &names,
          &found);
  return found;
}

TEST(CompareTest, FindsWhatDiffers) {
  EXPECT_THAT(Differences(R"({"a":[1,"<id-1>"],"b":"<id-1>"})",
                          R"({"a":[1,"i"],"b":"i"})", {}),
              IsEmpty());
  for (const char* actual :
       {R"({"a":[1,"i"],"b":"j"})", R"({"a":[2,"i"],"b":"i"})",
        R"({"a":["1","i"],"b":"i"})", R"({"a":[1],"b":"i"})",
        R"({"a":[1,"i"]})", R"({"a":[1,"i"],"b":"i","c":1})",
        R"({"b":"i","a":[1,"i"]})", R"({"a":{},"b":"i"})", "[]", "null"}) {
    EXPECT_THAT(Differences(R"({"a":[1,"<id-1>"],"b":"<id-1>"})", actual, {}),
                SizeIs(1))
        << actual;
  }
}

TEST(CompareTest, PassesOverWhatIsExpectedToDiffer) {
  const auto differences = [](Kind kind, const std::string& path) {
    return Differences(R"({"a":{"b":1},"c":[{"d":1}]})",
                       R"({"a":{},"c":[{"d":2,"e":3}]})", {{kind, path, ""}});
  };
  EXPECT_THAT(differences(Kind::kMissing, "a.b"), SizeIs(2));
  EXPECT_THAT(differences(Kind::kValue, "c.[].d"), SizeIs(2));
  EXPECT_THAT(differences(Kind::kExtra, "x.c.[].e"), SizeIs(2));
  EXPECT_THAT(differences(Kind::kExtra, "e"), SizeIs(2));
  EXPECT_THAT(differences(Kind::kMissing, "e"), SizeIs(3));
  EXPECT_THAT(differences(Kind::kMissing, "[].b"), SizeIs(3));
}

TEST(CompareTest, SaysWhichOfTheExpectedItMet) {
  const std::vector<Difference> expected = {
      {Kind::kValue, "a", "", "2"},      // Is 2, indeed.
      {Kind::kValue, "b", "", "3"},      // Is 2.
      {Kind::kValue, "c", ""},           // The same.
      {Kind::kOrder, "d", ""},           // The other way round.
      {Kind::kOrder, "x", ""},           // Fields, too.
      {Kind::kExtra, "e", "", "[]"},     // Is there, and is that.
      {Kind::kMissing, "f", ""},         // Missing.
      {Kind::kMissing, "elsewhere", ""}  // Is not looked at.
  };
  Names names;
  std::vector<std::string> found;
  std::set<size_t> used;
  Compare("x",
          Json::parse(R"({"a":1,"b":1,"c":"<id-1>","d":[1,"<id-1>"],"f":0})"),
          Json::parse(R"({"e":[],"b":2,"a":2,"c":"i","d":["i",1]})"), expected,
          &names, &found, &used);
  EXPECT_THAT(found, ElementsAre(HasSubstr("x.b: recorded 1, weir has 2")));
  EXPECT_THAT(used, ElementsAre(0, 3, 4, 5, 6));
}

TEST(CompareTest, KeysMayBeNames) {
  EXPECT_THAT(Differences(R"({"run-<message-1>":{"a":1},"b":"<message-1>"})",
                          R"({"run-m":{"a":1},"b":"m"})", {}),
              IsEmpty());
  EXPECT_THAT(Differences(R"({"<id-1>":[]})", R"({})", {}), SizeIs(1));
}

// All that there is can be read.
TEST(ReadTranscriptTest, ReadsTheRecordings) {
  for (const char* file : {"08-debug", "14-interrupt-and-resume", "60-wait",
                           "65-state-update-history"}) {
    absl::StatusOr<std::vector<Exchange>> read =
        ReadTranscript(std::string("tests/gateway/sse/") + file + ".txt");
    ASSERT_TRUE(read.ok()) << read.status();
    for (const Exchange& exchange : *read) {
      EXPECT_NE(exchange.status, 0) << file << exchange.target;
    }
  }
}

}  // namespace
}  // namespace weir
