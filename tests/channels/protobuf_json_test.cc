#include "weir/channels/protobuf_json.h"

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/struct.pb.h"
#include "gtest/gtest.h"

#include "weir/channels/value.h"

template <>
struct weir::Codec<google::protobuf::ListValue>
    : weir::ProtobufJsonCodec<google::protobuf::ListValue> {};

namespace weir {
namespace {

using google::protobuf::Duration;
using google::protobuf::ListValue;

static_assert(HasCodec<Duration>);
static_assert(!ProtobufMessage<std::string>);

Duration Seconds(int64_t n) {
  Duration duration;
  duration.set_seconds(n);
  return duration;
}

TEST(ProtobufTest, MessageRoundTrips) {
  const Value value(Seconds(90));
  std::string bytes;
  ASSERT_TRUE(value.Encode(&bytes).ok());
  std::string_view in = bytes;
  Value read;
  ASSERT_TRUE(value.type()->decode(&in, &read).ok());
  EXPECT_TRUE(in.empty());
  EXPECT_EQ(read.As<Duration>()->seconds(), 90);
}

TEST(ProtobufTest, EmptyMessageHasBytes) {
  std::string bytes;
  ASSERT_TRUE(Value(std::vector<Duration>(3)).Encode(&bytes).ok());
  std::string_view in = bytes;
  std::vector<Duration> read;
  ASSERT_TRUE(Codec<std::vector<Duration>>::Decode(&in, &read).ok());
  EXPECT_EQ(read.size(), 3U);
}

TEST(ProtobufTest, BytesThatAreNoMessageAreDataLoss) {
  Duration read;
  for (const std::string_view bytes : {"", "\5\x08", "\2\x08\xff", "\1\xff"}) {
    std::string_view in = bytes;
    EXPECT_EQ(Codec<Duration>::Decode(&in, &read).code(),
              absl::StatusCode::kDataLoss);
  }
}

TEST(ProtobufTest, MessageShowsItsType) {
  EXPECT_EQ(Value(Seconds(90)).ToJson(),
            R"({"$type": "google.protobuf.Duration"})");
}

TEST(ProtobufTest, ContentShowsWithTheJsonCodec) {
  ListValue list;
  list.add_values()->set_string_value("a,b");
  // No map: its layout differs under ThreadSanitizer, where the library's does
  // not.
  list.add_values()->mutable_list_value()->add_values()->set_number_value(1.5);
  EXPECT_EQ(Value(list).ToJson(), R"(["a,b", [1.5]])");
}

}  // namespace
}  // namespace weir
