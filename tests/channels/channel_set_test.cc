#include "weir/channels/channel_set.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

#include "weir/channels/append_log.h"
#include "weir/channels/ephemeral.h"
#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/channels/topic.h"

namespace weir {
namespace {

enum : uint32_t { kLast, kSum, kLog, kTopic, kOnce, kLate, kChannels };

class ChannelSetTest : public testing::Test {
 protected:
  ChannelSetTest()
      : schema_{{"last", LastValue<int>().kind},
                {"sum", Reducer<int>(std::plus<>()).kind},
                {"log", AppendLogChannel<int>().kind},
                {"topic", Topic<int>().kind},
                {"once", Ephemeral<int>().kind},
                {"late", LastValueAfterFinish<int>().kind}},
        set_(schema_) {}

  void Write(uint32_t channel, int value, bool overwrite = false) {
    const absl::Status s = set_.Apply(channel, Value(value), overwrite);
    ASSERT_TRUE(s.ok()) << s;
  }
  std::string Reading(uint32_t channel) const {
    const Value* value = set_.Read(channel);
    return value == nullptr ? "" : value->ToJson();
  }

  const std::vector<ChannelInfo> schema_;
  ChannelSet set_;
};

TEST_F(ChannelSetTest, StartsWithInitialValues) {
  EXPECT_EQ(set_.size(), kChannels);
  EXPECT_EQ(Reading(kLast), "");
  EXPECT_EQ(Reading(kSum), "0");
  EXPECT_EQ(Reading(kLog), "[]");
  EXPECT_EQ(Reading(kTopic), "");
}

TEST_F(ChannelSetTest, WritesOfASuperstepCombine) {
  Write(kSum, 1);
  Write(kSum, 2);
  Write(kTopic, 1);
  Write(kTopic, 2);
  EXPECT_EQ(Reading(kSum), "3");
  EXPECT_EQ(Reading(kTopic), "[1, 2]");
}

TEST_F(ChannelSetTest, SecondWriteIsRefusedWithinASuperstepOnly) {
  Write(kLast, 1);
  EXPECT_EQ(set_.Apply(kLast, Value(2), false).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Reading(kLast), "1");
  set_.EndStep();
  Write(kLast, 3);
  EXPECT_EQ(Reading(kLast), "3");
}

TEST_F(ChannelSetTest, OverwriteHoldsForItsSuperstep) {
  Write(kSum, 1);
  Write(kSum, 10, /*overwrite=*/true);
  Write(kSum, 5);
  EXPECT_EQ(Reading(kSum), "10");
  EXPECT_EQ(set_.Apply(kSum, Value(1), true).code(),
            absl::StatusCode::kInvalidArgument);
  set_.EndStep();
  Write(kSum, 5);
  EXPECT_EQ(Reading(kSum), "15");
}

TEST_F(ChannelSetTest, WhatLivesForASuperstepIsClearedByAQuietOne) {
  Write(kTopic, 1);
  Write(kOnce, 2);
  Write(kLast, 3);
  set_.EndStep();
  EXPECT_EQ(Reading(kTopic), "[1]");
  EXPECT_EQ(Reading(kOnce), "2");

  Write(kTopic, 4);  // Not quiet for the topic.
  set_.EndStep();
  EXPECT_EQ(Reading(kTopic), "[4]");
  EXPECT_EQ(Reading(kOnce), "");
  EXPECT_EQ(Reading(kLast), "3");

  set_.EndStep();
  EXPECT_EQ(Reading(kTopic), "");
  set_.EndStep();
  Write(kOnce, 5);
  set_.EndStep();
  EXPECT_EQ(Reading(kOnce), "5");
}

TEST_F(ChannelSetTest, FinishShowsWhatWaited) {
  Write(kLate, 1);
  set_.EndStep();
  EXPECT_EQ(Reading(kLate), "");
  set_.Finish();
  EXPECT_EQ(Reading(kLate), "1");
}

TEST_F(ChannelSetTest, ValuesReadOutliveTheSuperstep) {
  Write(kLog, 1);
  const Value kept = *set_.Read(kLog);
  set_.EndStep();
  Write(kLog, 2);
  EXPECT_EQ(kept.ToJson(), "[1]");
  EXPECT_EQ(Reading(kLog), "[1, 2]");
}

}  // namespace
}  // namespace weir
