#include "weir/channels/barrier.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

TEST(BarrierSeenTest, IsCompleteOnceEachSourceHasArrived) {
  for (const size_t n : {1U, 2U, 63U, 64U, 65U, 128U, 129U, 1000U}) {
    internal::BarrierSeen seen(n);
    EXPECT_EQ(seen.size(), n);
    for (size_t i = n; i > 0; --i) {
      EXPECT_FALSE(seen.complete()) << n;
      EXPECT_FALSE(seen.contains(i - 1));
      EXPECT_TRUE(seen.Add(i - 1));
      EXPECT_FALSE(seen.Add(i - 1)) << "twice";
      EXPECT_TRUE(seen.contains(i - 1));
    }
    EXPECT_TRUE(seen.complete()) << n;
    seen.Reset();
    EXPECT_FALSE(seen.complete()) << n;
    EXPECT_FALSE(seen.contains(n - 1));
    EXPECT_TRUE(seen.Add(n - 1));
  }
}

TEST(BarrierSeenTest, WithoutSourcesIsComplete) {
  EXPECT_TRUE(internal::BarrierSeen(0).complete());
}

class Barrier {
 public:
  explicit Barrier(ChannelDef<SeenNames, std::string> def)
      : kind_(std::move(def.kind)) {
    kind_->Init(state_);
  }

  absl::StatusOr<bool> Write(const std::string& name) {
    return kind_->Apply(state_, Value(name), false);
  }
  bool open() const { return state_.Read() != nullptr; }
  const ChannelKind* operator->() const { return kind_.get(); }
  ChannelState& state() { return state_; }

 private:
  std::shared_ptr<const ChannelKind> kind_;
  ChannelState state_;
};

TEST(NamedBarrierTest, OpensWhenEachNameWasWritten) {
  Barrier barrier(NamedBarrier({"b", "a", "b"}));
  EXPECT_TRUE(*barrier.Write("b"));
  EXPECT_FALSE(*barrier.Write("b")) << "a name written again is no change";
  EXPECT_FALSE(barrier.open());
  EXPECT_TRUE(*barrier.Write("a"));
  EXPECT_TRUE(barrier.open());
}

TEST(NamedBarrierTest, RefusesAnUnknownName) {
  Barrier barrier(NamedBarrier({"a"}));
  const absl::Status s = barrier.Write("z").status();
  EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(s.message().find("'z'"), s.message().npos) << s;
}

TEST(NamedBarrierTest, ConsumeLeavesAnIncompleteOneAlone) {
  Barrier barrier(NamedBarrier({"a", "b"}));
  ASSERT_TRUE(barrier.Write("a").ok());
  EXPECT_FALSE(barrier->Consume(barrier.state()));
  ASSERT_TRUE(barrier.Write("b").ok());
  EXPECT_TRUE(barrier.open());
  EXPECT_TRUE(barrier->Consume(barrier.state()));
  EXPECT_FALSE(barrier.open());
  ASSERT_TRUE(barrier.Write("b").ok());
  EXPECT_FALSE(barrier.open()) << "it starts anew";
}

TEST(NamedBarrierTest, SavesTheNamesSeen) {
  Barrier barrier(NamedBarrier({"a", "b"}));
  ASSERT_TRUE(barrier.Write("b").ok());
  const Value snapshot = barrier->Snapshot(barrier.state());
  EXPECT_EQ(snapshot.ToJson(), R"(["b"])");

  Barrier resumed(NamedBarrier({"a", "b"}));
  ASSERT_TRUE(resumed->Restore(resumed.state(), snapshot).ok());
  EXPECT_FALSE(resumed.open());
  ASSERT_TRUE(resumed.Write("a").ok());
  EXPECT_TRUE(resumed.open());
}

TEST(NamedBarrierTest, NameThatIsNoLongerWaitedForIsPassedOver) {
  Barrier barrier(NamedBarrier({"a", "old"}));
  ASSERT_TRUE(barrier.Write("old").ok());
  Barrier changed(NamedBarrier({"a", "new"}));
  ASSERT_TRUE(
      changed->Restore(changed.state(), barrier->Snapshot(barrier.state()))
          .ok());
  ASSERT_TRUE(changed.Write("a").ok());
  EXPECT_FALSE(changed.open());
  ASSERT_TRUE(changed.Write("new").ok());
  EXPECT_TRUE(changed.open());
}

TEST(NamedBarrierAfterFinishTest, WaitsForTheFinishToo) {
  Barrier barrier(NamedBarrierAfterFinish({"a", "b"}));
  ASSERT_TRUE(barrier.Write("a").ok());
  EXPECT_FALSE(barrier->Finish(barrier.state())) << "not complete";
  ASSERT_TRUE(barrier.Write("b").ok());
  EXPECT_FALSE(barrier.open());
  EXPECT_FALSE(barrier->Consume(barrier.state())) << "not open";
  EXPECT_TRUE(barrier->Finish(barrier.state()));
  EXPECT_TRUE(barrier.open());
  EXPECT_FALSE(*barrier.Write("a"));
  EXPECT_TRUE(barrier.open());
  EXPECT_TRUE(barrier->Consume(barrier.state()));
  EXPECT_FALSE(barrier.open());
}

TEST(NamedBarrierAfterFinishTest, SavesNamesAndFinish) {
  Barrier barrier(NamedBarrierAfterFinish({"a"}));
  ASSERT_TRUE(barrier.Write("a").ok());
  EXPECT_EQ(barrier->Snapshot(barrier.state()).ToJson(), R"([["a"], false])");
  barrier->Finish(barrier.state());
  EXPECT_EQ(barrier->Snapshot(barrier.state()).ToJson(), R"([["a"], true])");
}

}  // namespace
}  // namespace weir
