#include "weir/channels/append_log.h"

#include <cstddef>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

std::vector<int> Numbers(int n) {
  std::vector<int> numbers(static_cast<size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

template <class T>
std::vector<T> Elements(const AppendLog<T>& log) {
  return std::vector<T>(log.begin(), log.end());
}

AppendLog<int> LogOf(int n) {
  AppendLog<int> log;
  for (int i = 0; i < n; ++i) log.Append(i);
  return log;
}

TEST(AppendLogTest, StartsEmpty) {
  const AppendLog<int> log;
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.size(), 0U);
  EXPECT_TRUE(log.begin() == log.end());
}

TEST(AppendLogTest, KeepsElementsInOrder) {
  // Sizes around the ends of chunks.
  for (const int n : {1, 7, 8, 9, 23, 24, 25, 2039, 2040, 2041, 10000}) {
    const AppendLog<int> log = LogOf(n);
    EXPECT_EQ(log.size(), static_cast<size_t>(n));
    EXPECT_EQ(Elements(log), Numbers(n));
    EXPECT_EQ(log.back(), n - 1);
  }
}

TEST(AppendLogTest, FindsAnyElement) {
  const AppendLog<int> log = LogOf(100'000);
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_EQ(log[static_cast<size_t>(i)], i);
  }
}

TEST(AppendLogTest, CopySharesElements) {
  const AppendLog<std::string> log{"a", "b"};
  const AppendLog<std::string> copy =
      log;  // NOLINT(performance-unnecessary-copy-initialization):
            // what is tested
  EXPECT_EQ(&copy[0], &log[0]);
  EXPECT_EQ(copy, log);
}

TEST(AppendLogTest, CopiesGrowApart) {
  for (int n = 0; n < 40; ++n) {
    AppendLog<int> left = LogOf(n);
    AppendLog<int> right = left;
    const AppendLog<int> unchanged = left;
    left.Append(-1);
    right.Append(-2);
    right.Append(-3);
    std::vector<int> expected = Numbers(n);
    EXPECT_EQ(Elements(unchanged), expected);
    expected.push_back(-1);
    EXPECT_EQ(Elements(left), expected);
    expected.back() = -2;
    expected.push_back(-3);
    EXPECT_EQ(Elements(right), expected);
    EXPECT_EQ(right[static_cast<size_t>(n)], -2);
    EXPECT_NE(left, right);
  }
}

TEST(AppendLogTest, FirstToAppendBehindACopyDoesSoInPlace) {
  AppendLog<int> log = LogOf(3);
  const AppendLog<int> snapshot = log;
  log.Append(3);
  EXPECT_EQ(&log[0], &snapshot[0]);
  AppendLog<int> late = snapshot;
  late.Append(4);
  EXPECT_NE(&late[0], &snapshot[0]) << "the place was taken";
}

TEST(AppendLogTest, OnlyTheLastChunkIsCopied) {
  AppendLog<int> log = LogOf(30);  // Chunks of 8, 16 and 32.
  AppendLog<int> fork = log;
  log.Append(30);
  fork.Append(-1);
  EXPECT_EQ(&fork[0], &log[0]);
  EXPECT_EQ(&fork[23], &log[23]);
  EXPECT_NE(&fork[24], &log[24]);
}

TEST(AppendLogTest, SpaceOfDroppedCopiesIsUsedAgain) {
  AppendLog<std::string> log{"a"};
  AppendLog<std::string> longer = log;
  longer.Append("b");
  const std::string* place = &longer[1];
  longer = {};
  log.Append("c");
  EXPECT_EQ(&log[1], place);
  EXPECT_EQ(log[1], "c");
}

TEST(AppendLogTest, TruncateKeepsTheBeginning) {
  for (const size_t keep : {0U, 1U, 7U, 8U, 9U, 24U, 39U, 40U, 50U}) {
    AppendLog<int> log = LogOf(40);
    const AppendLog<int> whole = log;
    log.Truncate(keep);
    std::vector<int> expected = Numbers(40);
    if (keep < 40) expected.resize(keep);
    EXPECT_EQ(Elements(log), expected);
    log.Append(-1);
    expected.push_back(-1);
    EXPECT_EQ(Elements(log), expected);
    EXPECT_EQ(Elements(whole), Numbers(40));
  }
}

TEST(AppendLogTest, TellsWhatItSharesWithACopy) {
  for (const int n : {1, 7, 8, 9, 24, 30, 3000}) {
    SCOPED_TRACE(n);
    const auto size = static_cast<size_t>(n);
    const AppendLog<int> base = LogOf(n);
    AppendLog<int> log = base;
    EXPECT_EQ(log.SharedWith(base), size);
    for (int i = 0; i < 5000; ++i) log.Append(-i);
    EXPECT_EQ(log.SharedWith(base), size);
    EXPECT_EQ(log.SharedWith(AppendLog<int>()), 0U);
    EXPECT_EQ(base.SharedWith(log), 0U) << "it is shorter";
    // Changed, and as long as before.
    log.Truncate(size - 1);
    log.Append(-1);
    EXPECT_LT(log.SharedWith(base), size);
    EXPECT_EQ(LogOf(n).SharedWith(base), 0U) << "equal, but not the same";
  }
  const AppendLog<int> base = LogOf(20);
  AppendLog<int> first = base;
  AppendLog<int> second = base;
  first.Append(1);
  second.Append(2);  // Has copied the last chunk.
  EXPECT_EQ(first.SharedWith(base), 20U);
  EXPECT_EQ(second.SharedWith(base), 8U);
}

// Whether what `log` has behind `base` is seen.
template <class T>
bool GrowthIsSeen(const AppendLog<T>& base, const AppendLog<T>& log) {
  const auto kind = AppendLogChannel<T>().kind;
  const Growth& growth = *kind->growth();
  return growth.Added(growth.Mark(Value(base)), Value(log)).has_value();
}

TEST(AppendLogTest, GrowthIsSeenBehindACopiedChunk) {
  const AppendLog<int> base = LogOf(2000);
  AppendLog<int> scratch = base;
  AppendLog<int> log = base;
  scratch.Append(1);
  log.Append(2);
  EXPECT_TRUE(GrowthIsSeen(base, log));
  EXPECT_TRUE(GrowthIsSeen(LogOf(20), LogOf(21))) << "equal, and few";
  EXPECT_FALSE(GrowthIsSeen(LogOf(2000), LogOf(2001)));
  log = base;
  log.Truncate(1999);
  log.Append(-1);
  EXPECT_FALSE(GrowthIsSeen(base, log));
  EXPECT_FALSE(GrowthIsSeen(base, LogOf(1999)));
}

// Equal, as far as == looks.
struct Labelled {
  int id = 0;
  int rest = 0;
  friend bool operator==(const Labelled& a, const Labelled& b) {
    return a.id == b.id;
  }
};

}  // namespace

template <>
struct Codec<Labelled> {
  static void Encode(const Labelled& v, std::string* out) {
    Codec<int>::Encode(v.id, out);
    Codec<int>::Encode(v.rest, out);
  }
  static absl::Status Decode(std::string_view* in, Labelled* v) {
    if (absl::Status s = Codec<int>::Decode(in, &v->id); !s.ok()) return s;
    return Codec<int>::Decode(in, &v->rest);
  }
  static void AppendJson(const Labelled& v, std::string* out) {
    Codec<int>::AppendJson(v.id, out);
  }
};

namespace {

TEST(AppendLogTest, GrowthComparesWhatIsStored) {
  EXPECT_TRUE(GrowthIsSeen<Labelled>({{1, 1}}, {{1, 1}, {2, 2}}));
  EXPECT_FALSE(GrowthIsSeen<Labelled>({{1, 1}}, {{1, 9}, {2, 2}}));
}

TEST(AppendLogTest, GrowthGivesWhatWasAddedAndTakesItBack) {
  const auto kind = AppendLogChannel<int>().kind;
  const Growth& growth = *kind->growth();
  AppendLog<int> log = LogOf(20);
  const Value mark = growth.Mark(Value(log));
  Value rebuilt(LogOf(20));
  for (int i = 20; i < 23; ++i) log.Append(i);
  const Value added = growth.Added(mark, Value(log));
  EXPECT_EQ(added.type(), growth.added_type());
  EXPECT_EQ(added, Value(AppendLog<int>{20, 21, 22}));
  ASSERT_TRUE(growth.Add(added, &rebuilt).ok());
  EXPECT_EQ(rebuilt, Value(log));
  EXPECT_FALSE(growth.Added(mark, Value(LogOf(19))).has_value());
  EXPECT_FALSE(growth.Added(Value(), Value(log)).has_value());
  EXPECT_FALSE(growth.Added(mark, Value(7)).has_value());
  EXPECT_TRUE(absl::IsDataLoss(growth.Add(Value(7), &rebuilt)));
  Value number(7);
  EXPECT_TRUE(absl::IsDataLoss(growth.Add(added, &number)));
}

TEST(AppendLogTest, AppendsAnElementOfItself) {
  AppendLog<std::string> log{"a rather long string that is not held in place"};
  const AppendLog<std::string> other = log;
  for (int i = 0; i < 100; ++i) log.Append(log[0]);
  EXPECT_EQ(log.back(), other[0]);
}

TEST(AppendLogTest, MovedFromIsEmpty) {
  AppendLog<int> log = LogOf(3);
  const AppendLog<int> moved = std::move(log);
  EXPECT_TRUE(log.empty());  // NOLINT(bugprone-use-after-move): its state
  log.Append(7);
  EXPECT_EQ(Elements(log), std::vector<int>{7});
  EXPECT_EQ(moved.size(), 3U);
}

TEST(AppendLogTest, EqualityComparesElements) {
  EXPECT_EQ(LogOf(30), LogOf(30));
  EXPECT_NE(LogOf(30), LogOf(31));
  EXPECT_NE((AppendLog<int>{1, 2}), (AppendLog<int>{1, 3}));
}

TEST(AppendLogTest, FreesEveryElementOnce) {
  struct Counted {
    explicit Counted(int* count) : live(count) { ++*live; }
    Counted(const Counted& other) : live(other.live) { ++*live; }
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --*live; }
    int* live;
  };
  int live = 0;
  {
    AppendLog<Counted> log;
    for (int i = 0; i < 100; ++i) log.Append(Counted(&live));
    AppendLog<Counted> fork = log;
    log.Append(Counted(&live));
    fork.Append(Counted(&live));
    fork.Truncate(50);
    fork.Append(Counted(&live));
    log.Truncate(10);
    log.Append(Counted(&live));
  }
  EXPECT_EQ(live, 0);
}

TEST(AppendLogTest, LongLogsAreFreedWithoutRecursion) {
  // Large elements make many chunks.
  struct Large {
    char bytes[4096] = {};
  };
  AppendLog<Large> log;
  for (int i = 0; i < 20'000; ++i) log.Append(Large());
  AppendLog<int> forks = LogOf(8);
  for (int i = 0; i < 200'000; ++i) forks.Append(i);
}

TEST(AppendLogTest, OveralignedElementsAreAligned) {
  struct alignas(64) Aligned {
    char byte = 0;
  };
  AppendLog<Aligned> log;
  for (int i = 0; i < 100; ++i) log.Append(Aligned());
  for (const Aligned& element : log) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&element) % 64, 0U);
  }
}

// A copy may throw; so may a move.
struct Throwing {
  explicit Throwing(int n) : number(n) {}
  Throwing(const Throwing& other) : number(other.number) {
    if (number == bomb) throw std::runtime_error("bomb");
  }
  Throwing& operator=(const Throwing&) = default;
  int number;
  static inline int bomb = -1;
};

TEST(AppendLogTest, ElementThatThrowsLeavesTheLogAsItWas) {
  Throwing::bomb = -1;
  AppendLog<Throwing> log;
  for (int i = 0; i < 5; ++i) log.Append(Throwing(i));
  AppendLog<Throwing> fork = log;
  Throwing::bomb = 99;
  EXPECT_THROW(log.Append(Throwing(99)), std::runtime_error);
  EXPECT_EQ(log.size(), 5U);
  Throwing::bomb = -1;
  log.Append(Throwing(5));  // In the place that was given back.
  EXPECT_EQ(log.size(), 6U);
  EXPECT_EQ(&fork[0], &log[0]);

  Throwing::bomb = 3;  // Copying the last chunk throws.
  EXPECT_THROW(fork.Append(Throwing(6)), std::runtime_error);
  EXPECT_EQ(fork.size(), 5U);
  Throwing::bomb = -1;
}

TEST(AppendLogChannelTest, AppendsInPlaceWhileARunIsItsOnlyOwner) {
  const auto kind = AppendLogChannel<int>().kind;
  ChannelState state;
  kind->Init(state);
  ASSERT_TRUE(kind->Apply(state, Value(1), false).ok());
  const auto* log = state.value.As<AppendLog<int>>();
  const int* first = &(*log)[0];
  ASSERT_TRUE(kind->Apply(state, Value(2), false).ok());
  EXPECT_EQ(state.value.As<AppendLog<int>>(), log);
  EXPECT_EQ(&(*log)[0], first);
}

TEST(AppendLogChannelTest, SnapshotSharesTheElements) {
  const auto kind = AppendLogChannel<int>().kind;
  ChannelState state;
  kind->Init(state);
  ASSERT_TRUE(kind->Apply(state, Value(Numbers(100)), false).ok());
  const Value snapshot = kind->Snapshot(state);
  ASSERT_TRUE(kind->Apply(state, Value(100), false).ok());
  const auto& saved = *snapshot.As<AppendLog<int>>();
  const auto& current = *state.value.As<AppendLog<int>>();
  EXPECT_EQ(saved.size(), 100U);
  EXPECT_EQ(current.size(), 101U);
  EXPECT_EQ(&saved[99], &current[99]);
}

TEST(AppendLogChannelTest, MovesAWriteThatNothingShares) {
  const auto kind = AppendLogChannel<std::string>().kind;
  ChannelState state;
  kind->Init(state);
  const std::string text(100, 'x');
  Value write(text);
  const char* characters = write.As<std::string>()->data();
  ASSERT_TRUE(kind->Apply(state, std::move(write), false).ok());
  EXPECT_EQ(state.value.As<AppendLog<std::string>>()->back().data(),
            characters);

  Value shared(text);
  const Value other = shared;
  ASSERT_TRUE(kind->Apply(state, std::move(shared), false).ok());
  EXPECT_EQ(*other.As<std::string>(), text);
}

TEST(AppendLogChannelTest, OverwriteTakesAVectorToo) {
  const auto kind = AppendLogChannel<int>().kind;
  ChannelState state;
  kind->Init(state);
  ASSERT_TRUE(kind->Apply(state, Value(1), false).ok());
  ASSERT_TRUE(kind->Apply(state, Value(std::vector<int>{5, 6}), true).ok());
  EXPECT_EQ(state.value.ToJson(), "[5, 6]");
}

TEST(AppendLogChannelTest, ListOfListsTakesAListAsOneElement) {
  const auto kind = AppendLogChannel<std::vector<int>>().kind;
  ChannelState state;
  kind->Init(state);
  ASSERT_TRUE(kind->Apply(state, Value(std::vector<int>{1, 2}), false).ok());
  EXPECT_EQ(state.value.ToJson(), "[[1, 2]]");
}

TEST(AppendLogChannelTest, WriteConvertsFromAnElementOrAList) {
  const auto json = [](OneOrMany<std::string> write) {
    return ToValue(std::move(write)).ToJson();
  };
  EXPECT_EQ(json("ice cream"), "\"ice cream\"");
  EXPECT_EQ(json(std::string("ice cream")), "\"ice cream\"");
  EXPECT_EQ(json(std::vector<std::string>{"ice", "cream"}),
            R"(["ice", "cream"])");
}

}  // namespace
}  // namespace weir
