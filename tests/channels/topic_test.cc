#include "weir/channels/topic.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

class TopicTest : public testing::Test {
 protected:
  void Use(bool accumulate) {
    kind_ = Topic<int>(accumulate).kind;
    kind_->Init(state_);
  }
  bool Write(std::vector<int> write) {
    const absl::StatusOr<bool> changed =
        kind_->Apply(state_, Value(std::move(write)), false);
    ++state_.writes;
    return changed.ok() && *changed;
  }
  void NextStep() { state_.writes = 0; }

  std::shared_ptr<const ChannelKind> kind_;
  ChannelState state_;
};

TEST_F(TopicTest, EmptyWriteClearsTheOldList) {
  Use(/*accumulate=*/false);
  EXPECT_FALSE(Write({})) << "there was nothing";
  EXPECT_TRUE(Write({1}));
  NextStep();
  EXPECT_TRUE(Write({}));
  EXPECT_EQ(state_.Read(), nullptr);
}

TEST_F(TopicTest, EmptyWriteDoesNotChangeOneThatAccumulates) {
  Use(/*accumulate=*/true);
  EXPECT_TRUE(Write({1}));
  NextStep();
  EXPECT_FALSE(Write({}));
  EXPECT_EQ(state_.Read()->ToJson(), "[1]");
}

TEST_F(TopicTest, KeepsItsMemoryWhileNobodyReadsIt) {
  Use(/*accumulate=*/false);
  Write({1, 2, 3});
  const int* buffer = state_.value.As<std::vector<int>>()->data();
  NextStep();
  Write({4});
  EXPECT_EQ(state_.value.As<std::vector<int>>()->data(), buffer);
}

TEST_F(TopicTest, EmptyListIsSaved) {
  Use(/*accumulate=*/false);
  EXPECT_EQ(kind_->Snapshot(state_).ToJson(), "[]");
}

TEST_F(TopicTest, FlattensOneLevel) {
  const auto kind = Topic<std::vector<int>>().kind;
  kind->Init(state_);
  const std::vector<std::vector<int>> write{{1, 2}, {3}};
  ASSERT_TRUE(kind->Apply(state_, Value(write), false).ok());
  EXPECT_EQ(state_.Read()->ToJson(), "[[1, 2], [3]]");
}

TEST_F(TopicTest, HoldsBools) {
  const auto kind = Topic<bool>().kind;
  kind->Init(state_);
  ASSERT_TRUE(kind->Apply(state_, Value(true), false).ok());
  ++state_.writes;
  const std::vector<bool> more{false, true};
  ASSERT_TRUE(kind->Apply(state_, Value(more), false).ok());
  EXPECT_EQ(state_.Read()->ToJson(), "[true, false, true]");
}

}  // namespace
}  // namespace weir
