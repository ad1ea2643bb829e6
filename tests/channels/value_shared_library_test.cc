// Values and channel kinds that cross the border of a shared library keep their
// types.

#include "tests/channels/value_shared_library.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "weir/channels/channel.h"
#include "weir/channels/reducer.h"
#include "weir/channels/value.h"

namespace weir::testing {
namespace {

TEST(ValueSharedLibraryTest, LibrarysValuesAreOfTheProgramsTypes) {
  const Value text = MakeText("abc");
  ASSERT_NE(text.As<std::string>(), nullptr);
  EXPECT_EQ(text, Value("abc"));
  EXPECT_EQ(text.type(), Value("").type());
  EXPECT_EQ(MakeList({1, 2}), Value(std::vector<int>{1, 2}));
}

TEST(ValueSharedLibraryTest, ProgramsValuesAreOfTheLibrarysTypes) {
  EXPECT_EQ(TitleOf(Value(Ticket{"x", 1})), "x");
  EXPECT_EQ(TitleOf(MakeTicket("y", 2)), "y");
  EXPECT_EQ(MakeTicket("y", 2).As<Ticket>()->number, 2);
  EXPECT_EQ(TitleOf(Value(1)), "another type");
}

TEST(ValueSharedLibraryTest, LibrarysChannelTakesTheProgramsWrites) {
  const auto kind = MakeSum();
  ChannelState state;
  kind->Init(state);
  ASSERT_TRUE(kind->Apply(state, Value(2), false).ok());
  ASSERT_TRUE(kind->Apply(state, Value(3), false).ok());
  EXPECT_EQ(state.value, Value(5));
}

TEST(ValueSharedLibraryTest, ProgramsChannelTakesTheLibrarysWrites) {
  const auto kind = Reducer<std::vector<int>>([](std::vector<int> list,
                                                 const std::vector<int>& more) {
                      list.insert(list.end(), more.begin(), more.end());
                      return list;
                    }).kind;
  ChannelState state;
  kind->Init(state);
  ASSERT_TRUE(kind->Apply(state, MakeList({1, 2}), false).ok());
  ASSERT_TRUE(kind->Apply(state, MakeList({3}), false).ok());
  EXPECT_EQ(state.value, MakeList({1, 2, 3}));
}

}  // namespace
}  // namespace weir::testing
