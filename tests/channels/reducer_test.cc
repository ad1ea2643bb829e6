#include "weir/channels/reducer.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

using IntList = std::vector<int>;

IntList Extend(IntList list, const IntList& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

class ReducerTest : public testing::Test {
 protected:
  template <class T, class W>
  void Use(ChannelDef<T, W> def) {
    kind_ = std::move(def.kind);
    state_ = ChannelState();
    kind_->Init(state_);
  }
  absl::Status Write(Value write) {
    return kind_->Apply(state_, std::move(write), false).status();
  }
  const IntList& numbers() const { return *state_.value.As<IntList>(); }

  std::shared_ptr<const ChannelKind> kind_;
  ChannelState state_;
};

TEST_F(ReducerTest, ReducesInPlaceWhileUnshared) {
  IntList initial;
  initial.reserve(100);
  Use(Reducer<IntList>(Extend));
  state_.value = Value(std::move(initial));
  const IntList* list = &numbers();
  const int* buffer = list->data();
  ASSERT_TRUE(Write(Value(IntList{1, 2})).ok());
  ASSERT_TRUE(Write(Value(IntList{3})).ok());
  EXPECT_EQ(&numbers(), list);
  EXPECT_EQ(numbers().data(), buffer);
  EXPECT_EQ(numbers(), (IntList{1, 2, 3}));
}

TEST_F(ReducerTest, ReducesACopyWhenShared) {
  Use(Reducer<IntList>(Extend));
  ASSERT_TRUE(Write(Value(IntList{1})).ok());
  const Value seen = state_.value;
  ASSERT_TRUE(Write(Value(IntList{2})).ok());
  EXPECT_EQ(*seen.As<IntList>(), IntList{1});
  EXPECT_EQ(numbers(), (IntList{1, 2}));
}

TEST_F(ReducerTest, RunsDoNotShareTheirInitialValue) {
  const auto def = Reducer<IntList>(Extend, IntList{7});
  Use(def);
  ASSERT_TRUE(Write(Value(IntList{8})).ok());
  EXPECT_EQ(numbers(), (IntList{7, 8}));
  Use(def);
  EXPECT_EQ(numbers(), IntList{7});
}

TEST_F(ReducerTest, FoldsInOrder) {
  Use(Reducer<std::string>(std::plus<>()));
  for (const char* part : {"a", "b", "c"}) ASSERT_TRUE(Write(Value(part)).ok());
  EXPECT_EQ(state_.value, Value("abc"));
}

TEST_F(ReducerTest, WritesMayBeOfAnotherType) {
  Use(Reducer<IntList, std::string>(
      [](IntList lengths, const std::string& text) {
        lengths.push_back(static_cast<int>(text.size()));
        return lengths;
      }));
  ASSERT_TRUE(Write(Value("abc")).ok());
  EXPECT_EQ(numbers(), IntList{3});
  EXPECT_EQ(Write(Value(IntList{1})).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ReducerTest, ResultMayConvert) {
  Use(Reducer<short>([](short a, short b) { return a + b; }));
  ASSERT_TRUE(Write(Value(short{2})).ok());
  EXPECT_EQ(state_.value, Value(short{2}));
}

TEST_F(ReducerTest, StatusOfAReducerIsPassedOn) {
  Use(Reducer<IntList>(
      [](IntList list, const IntList& more) -> absl::StatusOr<IntList> {
        if (more.empty()) return absl::OutOfRangeError("nothing there");
        return Extend(std::move(list), more);
      }));
  ASSERT_TRUE(Write(Value(IntList{1})).ok());
  const absl::Status s = Write(Value(IntList{}));
  EXPECT_EQ(s.code(), absl::StatusCode::kOutOfRange);
}

TEST_F(ReducerTest, FirstWriteBecomesTheValueOfOneThatStartsEmpty) {
  int calls = 0;
  Use(Reducer<int>(
      [&calls](int a, int b) {
        ++calls;
        return a - b;
      },
      kStartEmpty));
  ASSERT_TRUE(Write(Value(5)).ok());
  EXPECT_EQ(calls, 0);
  ASSERT_TRUE(Write(Value(3)).ok());
  EXPECT_EQ(state_.value, Value(2));
}

TEST_F(ReducerTest, OverwriteFillsOneThatStartsEmpty) {
  Use(Reducer<int>(std::plus<>(), kStartEmpty));
  ASSERT_TRUE(kind_->Apply(state_, Value(5), true).ok());
  EXPECT_EQ(state_.value, Value(5));
}

}  // namespace
}  // namespace weir
