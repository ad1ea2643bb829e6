#include "weir/channels/value.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

// Counts the live and the copied.
struct Counted {
  explicit Counted(int n = 0) : number(n) { ++live; }
  Counted(const Counted& other) : number(other.number) {
    ++live;
    ++copies;
  }
  Counted(Counted&& other) noexcept : number(other.number) { ++live; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --live; }

  int number;
  static inline int live = 0;
  static inline int copies = 0;
};

struct NoCodec {
  int number = 0;
};

struct Inline {
  int64_t a = 0;
  int64_t b = 0;
  friend bool operator==(const Inline&, const Inline&) = default;
};

class ValueTest : public testing::Test {
 protected:
  ValueTest() { Counted::live = Counted::copies = 0; }
};

TEST_F(ValueTest, IsTwentyFourBytes) { EXPECT_EQ(sizeof(Value), 24U); }

TEST_F(ValueTest, DefaultIsAbsentAndNotNull) {
  const Value value;
  EXPECT_FALSE(value.has_value());
  EXPECT_FALSE(value.is_null());
  EXPECT_EQ(value.type(), nullptr);
  EXPECT_EQ(value.type_name(), "nothing");
  EXPECT_EQ(value.ToJson(), "null");
  EXPECT_EQ(value.As<int>(), nullptr);
}

TEST_F(ValueTest, NoneIsNullAndNotAbsent) {
  const Value value{None()};
  EXPECT_TRUE(value.has_value());
  EXPECT_TRUE(value.is_null());
  EXPECT_EQ(value.ToJson(), "null");
}

TEST_F(ValueTest, AsGivesTheHeldTypeOnly) {
  const Value value(7);
  ASSERT_NE(value.As<int>(), nullptr);
  EXPECT_EQ(*value.As<int>(), 7);
  EXPECT_EQ(value.As<long>(), nullptr);
  EXPECT_EQ(value.As<std::string>(), nullptr);
}

TEST_F(ValueTest, SixteenTrivialBytesAreHeldInPlace) {
  const Value value(Inline{1, 2});
  const auto* at = reinterpret_cast<const char*>(value.As<Inline>());
  const auto* begin = reinterpret_cast<const char*>(&value);
  EXPECT_GE(at, begin);
  EXPECT_LT(at, begin + sizeof(Value));
}

TEST_F(ValueTest, CharactersAreHeldAsAString) {
  char writable[] = "abc";
  for (const Value& value :
       {Value("abc"), Value(writable), Value(std::string_view("abc"))}) {
    ASSERT_NE(value.As<std::string>(), nullptr);
    EXPECT_EQ(*value.As<std::string>(), "abc");
  }
}

TEST_F(ValueTest, CopiesShareWhatTheyHold) {
  Value first(std::in_place_type<Counted>, 7);
  {
    const Value second = first;
    EXPECT_EQ(second.As<Counted>(), first.As<Counted>());
    EXPECT_TRUE(first.shared());
  }
  EXPECT_FALSE(first.shared());
  EXPECT_EQ(Counted::copies, 0);
  EXPECT_EQ(Counted::live, 1);
  first.reset();
  EXPECT_EQ(Counted::live, 0);
}

TEST_F(ValueTest, MutableChangesInPlaceWhileUnshared) {
  Value value(std::in_place_type<Counted>, 7);
  const Counted* before = value.As<Counted>();
  value.Mutable<Counted>()->number = 8;
  EXPECT_EQ(value.As<Counted>(), before);
  EXPECT_EQ(before->number, 8);
  EXPECT_EQ(Counted::copies, 0);
}

TEST_F(ValueTest, MutableLeavesOtherOwnersAlone) {
  Value value(std::in_place_type<Counted>, 7);
  const Value other = value;
  value.Mutable<Counted>()->number = 8;
  EXPECT_EQ(other.As<Counted>()->number, 7);
  EXPECT_EQ(value.As<Counted>()->number, 8);
  EXPECT_EQ(Counted::copies, 1);
}

TEST_F(ValueTest, MutableOfAnotherTypeIsNull) {
  Value value(7);
  EXPECT_EQ(value.Mutable<long>(), nullptr);
  EXPECT_EQ(*value.Mutable<int>(), 7);
}

TEST_F(ValueTest, TakeMovesWhatNobodyShares) {
  Value value(std::vector<int>{1, 2, 3});
  const int* buffer = value.As<std::vector<int>>()->data();
  const auto taken = std::move(value).Take<std::vector<int>>();
  EXPECT_EQ(taken.data(), buffer);
  EXPECT_FALSE(
      value.has_value());  // NOLINT(bugprone-use-after-move): its state
}

TEST_F(ValueTest, TakeCopiesWhatOthersShare) {
  Value value(std::vector<int>{1, 2, 3});
  const Value other = value;
  const auto taken = std::move(value).Take<std::vector<int>>();
  EXPECT_EQ(taken, *other.As<std::vector<int>>());
  EXPECT_NE(taken.data(), other.As<std::vector<int>>()->data());
}

TEST_F(ValueTest, AssignmentFreesWhatWasHeld) {
  Value value(std::in_place_type<Counted>, 1);
  value = Value(std::in_place_type<Counted>, 2);
  EXPECT_EQ(Counted::live, 1);
  Value& self = value;
  value = self;
  value = std::move(self);
  EXPECT_EQ(value.As<Counted>()->number, 2);
}

TEST_F(ValueTest, CanBeAssignedAPartOfItself) {
  Value value(std::vector<Value>{Value("inner")});
  value = std::move(value.Mutable<std::vector<Value>>()->front());
  EXPECT_EQ(*value.As<std::string>(), "inner");
  value = Value(std::vector<Value>{Value("inner")});
  value = value.As<std::vector<Value>>()->front();
  EXPECT_EQ(*value.As<std::string>(), "inner");
}

TEST_F(ValueTest, EqualityComparesTypeAndContent) {
  EXPECT_EQ(Value("a"), Value("a"));
  EXPECT_NE(Value("a"), Value("b"));
  EXPECT_NE(Value(1), Value(1L));
  EXPECT_EQ(Value(), Value());
  EXPECT_NE(Value(), Value(None()));
  EXPECT_EQ(Value(Inline{1, 2}), Value(Inline{1, 2}));
}

TEST_F(ValueTest, IncomparableValuesAreEqualIfTheyShare) {
  const Value value(std::in_place_type<Counted>, 7);
  const Value copy = value;
  EXPECT_EQ(value, copy);
  EXPECT_NE(value, Value(std::in_place_type<Counted>, 7));
}

TEST_F(ValueTest, ContainersOfTheIncomparableMayBeHeld) {
  const NoCodec one;
  EXPECT_NE(Value(std::vector<NoCodec>{one}), Value(std::vector<NoCodec>{one}));
  EXPECT_NE(Value(std::map<int, NoCodec>()), Value(std::map<int, NoCodec>()));
  EXPECT_NE(Value(std::optional<NoCodec>()), Value(std::optional<NoCodec>()));
  EXPECT_NE(Value(std::tuple<int, NoCodec>()),
            Value(std::tuple<int, NoCodec>()));
  EXPECT_NE(Value(std::variant<int, NoCodec>()),
            Value(std::variant<int, NoCodec>()));
  using Comparable = std::map<int, std::variant<int, std::vector<bool>>>;
  EXPECT_EQ(Value(Comparable{{1, 2}}), Value(Comparable{{1, 2}}));
}

TEST_F(ValueTest, TypeWithoutCodecShowsItsName) {
  const Value value(NoCodec{});
  EXPECT_FALSE(value.has_codec());
  EXPECT_NE(value.type_name().find("NoCodec"), std::string_view::npos);
  EXPECT_EQ(value.ToJson(),
            "{\"$type\": \"" + std::string(value.type_name()) + "\"}");
  std::string bytes;
  const absl::Status s = value.Encode(&bytes);
  EXPECT_EQ(s.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(s.message().find("NoCodec"), s.message().npos) << s;
}

TEST_F(ValueTest, MapFromStringsIsARecord) {
  const Value value(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  EXPECT_TRUE(value.is_record());
  EXPECT_FALSE(value.is_list());
  EXPECT_EQ(value.Field("b"), Value(2));
  EXPECT_FALSE(value.Field("c").has_value());
  std::string seen;
  value.ForEachField([&seen](std::string_view name, Value field) {
    seen += std::string(name) + "=" + field.ToJson() + ";";
  });
  EXPECT_EQ(seen, "a=1;b=2;");
}

TEST_F(ValueTest, VectorIsAList) {
  const Value value(std::vector<bool>{true, false});
  EXPECT_TRUE(value.is_list());
  EXPECT_FALSE(value.is_record());
  std::string seen;
  value.ForEachElement([&seen](Value element) { seen += element.ToJson(); });
  EXPECT_EQ(seen, "truefalse");
}

TEST_F(ValueTest, ScalarHasNeitherFieldsNorElements) {
  const Value value(7);
  value.ForEachField([](std::string_view, Value) { FAIL(); });
  value.ForEachElement([](Value) { FAIL(); });
  EXPECT_FALSE(value.Field("a").has_value());
}

TEST_F(ValueTest, EmptyOptionalIsNull) {
  EXPECT_TRUE(Value(std::optional<int>()).is_null());
  EXPECT_FALSE(Value(std::optional<int>(7)).is_null());
}

TEST_F(ValueTest, DecodesToItself) {
  const Value value(std::map<std::string, std::vector<double>>{{"a", {0.5}}});
  std::string bytes;
  ASSERT_TRUE(value.Encode(&bytes).ok());
  std::string_view rest = bytes;
  Value read;
  ASSERT_TRUE(value.type()->decode(&rest, &read).ok());
  EXPECT_EQ(read, value);
}

TEST_F(ValueTest, CopiesMayBeDroppedByAnyWorker) {
  auto owner = std::make_unique<Value>(std::in_place_type<Counted>, 7);
  std::vector<std::jthread> workers;
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([copy = *owner]() mutable {
      for (int k = 0; k < 1000; ++k) {
        Value another = copy;
        copy = std::move(another);
      }
    });
  }
  owner.reset();
  workers.clear();
  EXPECT_EQ(Counted::live, 0);
}

}  // namespace
}  // namespace weir
