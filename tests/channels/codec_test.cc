#include "weir/channels/codec.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

#include "weir/channels/append_log.h"
#include "weir/channels/barrier.h"
#include "weir/channels/messages.h"
#include "weir/channels/record_codec.h"
#include "weir/channels/value.h"

namespace bank {

struct Account {
  int number = 0;
};
struct Renamed {
  int number = 0;
};

}  // namespace bank

template <>
struct weir::Codec<bank::Renamed> : weir::RecordCodec<bank::Renamed> {
  static constexpr auto Fields() {
    return std::tuple(RecordField("number", &bank::Renamed::number));
  }
  static std::string Name() { return "bank.Old"; }
};

namespace weir {
namespace {

enum class Color : uint8_t { kRed = 1, kBlue = 200 };

struct Order {
  std::string item;
  int count = 0;
  std::optional<Color> color;
  friend bool operator==(const Order&, const Order&) = default;
};

// The same, as an older program knows it.
struct OldOrder {
  std::string item;
};

// A type that contains itself.
struct Tree {
  std::vector<Tree> children;
  friend bool operator==(const Tree&, const Tree&) = default;
};

struct Uncoded {};

}  // namespace
}  // namespace weir

template <>
struct weir::Codec<weir::Order> : weir::RecordCodec<weir::Order> {
  static constexpr auto Fields() {
    return std::tuple(RecordField("item", &Order::item),
                      RecordField("count", &Order::count),
                      RecordField("color", &Order::color));
  }
};

template <>
struct weir::Codec<weir::OldOrder> : weir::RecordCodec<weir::OldOrder> {
  static constexpr auto Fields() {
    return std::tuple(RecordField("item", &OldOrder::item));
  }
};

template <>
struct weir::Codec<weir::Tree> {
  static void Encode(const Tree& v, std::string* out) {
    Codec<std::vector<Tree>>::Encode(v.children, out);
  }
  static absl::Status Decode(std::string_view* in, Tree* v) {
    return Codec<std::vector<Tree>>::Decode(in, &v->children);
  }
  static void AppendJson(const Tree& v, std::string* out) {
    Codec<std::vector<Tree>>::AppendJson(v.children, out);
  }
};

namespace weir {
namespace {

static_assert(HasCodec<std::vector<std::map<int, Order>>>);
static_assert(!HasCodec<Uncoded>);
static_assert(!HasCodec<std::vector<Uncoded>>);
static_assert(!HasCodec<std::map<std::string, Uncoded>>);
static_assert(!HasCodec<std::optional<Uncoded>>);
static_assert(!HasCodec<long double>);
static_assert(!HasCodec<int*>);

template <class T>
std::string Encoded(const T& value) {
  std::string bytes;
  Codec<T>::Encode(value, &bytes);
  return bytes;
}

template <class T>
absl::Status DecodeAll(std::string_view bytes, T* value) {
  if (absl::Status s = Codec<T>::Decode(&bytes, value); !s.ok()) return s;
  return bytes.empty() ? absl::OkStatus()
                       : absl::InternalError("bytes left over");
}

template <class T>
std::string AsJson(const T& value) {
  std::string text;
  Codec<T>::AppendJson(value, &text);
  return text;
}

// Decodes `value`'s bytes whole, cut short at each place, and with each byte
// changed.
template <class T>
void ExpectRoundTrip(const T& value) {
  SCOPED_TRACE(AsJson(value));
  const std::string bytes = Encoded(value);
  ASSERT_FALSE(bytes.empty());
  T read{};
  absl::Status s = DecodeAll(bytes, &read);
  ASSERT_TRUE(s.ok()) << s;
  EXPECT_EQ(read, value);

  std::string followed = bytes + "xyz";
  std::string_view rest = followed;
  ASSERT_TRUE(Codec<T>::Decode(&rest, &read).ok());
  EXPECT_EQ(rest, "xyz");

  for (size_t n = 0; n < bytes.size(); ++n) {
    // A copy of the right size, so that a sanitizer sees any byte read too far.
    const std::vector<char> prefix(bytes.begin(),
                                   bytes.begin() + static_cast<ptrdiff_t>(n));
    T cut{};
    s = DecodeAll(std::string_view(prefix.data(), n), &cut);
    EXPECT_EQ(s.code(), absl::StatusCode::kDataLoss) << n << " bytes: " << s;
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x02, 0x7f, 0x80, 0xff}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      T other{};
      std::string_view in = changed;
      s = Codec<T>::Decode(&in, &other);
      EXPECT_TRUE(s.ok() || s.code() == absl::StatusCode::kDataLoss) << s;
    }
  }
}

template <class T>
void ExpectLimitsRoundTrip() {
  using Limits = std::numeric_limits<T>;
  for (const T value : {Limits::lowest(), static_cast<T>(0), static_cast<T>(1),
                        static_cast<T>(100), Limits::max()}) {
    ExpectRoundTrip(value);
  }
}

TEST(CodecTest, NumbersRoundTrip) {
  ExpectLimitsRoundTrip<char>();
  ExpectLimitsRoundTrip<int8_t>();
  ExpectLimitsRoundTrip<uint8_t>();
  ExpectLimitsRoundTrip<int16_t>();
  ExpectLimitsRoundTrip<uint16_t>();
  ExpectLimitsRoundTrip<int>();
  ExpectLimitsRoundTrip<unsigned>();
  ExpectLimitsRoundTrip<int64_t>();
  ExpectLimitsRoundTrip<uint64_t>();
  ExpectLimitsRoundTrip<float>();
  ExpectLimitsRoundTrip<double>();
  ExpectRoundTrip(-1);
  ExpectRoundTrip(int64_t{-1});
  ExpectRoundTrip(true);
  ExpectRoundTrip(false);
  ExpectRoundTrip(std::numeric_limits<double>::infinity());
  ExpectRoundTrip(std::numeric_limits<double>::denorm_min());
}

TEST(CodecTest, NanKeepsItsBits) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  double read = 0;
  ASSERT_TRUE(DecodeAll(Encoded(nan), &read).ok());
  EXPECT_NE(read, read);
}

TEST(CodecTest, SmallNumbersTakeOneByte) {
  EXPECT_EQ(Encoded(int64_t{-64}).size(), 1U);
  EXPECT_EQ(Encoded(int64_t{63}).size(), 1U);
  EXPECT_EQ(Encoded(uint64_t{127}).size(), 1U);
}

TEST(CodecTest, FormatIsStable) {
  using Bytes = std::string;
  EXPECT_EQ(Encoded(300), Bytes("\xd8\x04"));
  EXPECT_EQ(Encoded(uint32_t{300}), Bytes("\xac\x02"));
  EXPECT_EQ(Encoded(1.0), Bytes("\0\0\0\0\0\0\xf0\x3f", 8));
  EXPECT_EQ(Encoded(Bytes("hi")), Bytes("\2hi"));
  EXPECT_EQ(Encoded(std::vector<int>{1, 2}), Bytes("\2\2\4"));
  EXPECT_EQ(Encoded(std::map<Bytes, bool>{{"a", true}}), Bytes("\1\1a\1"));
  EXPECT_EQ(Encoded(std::optional<int>(1)), Bytes("\1\2"));
  EXPECT_EQ(Encoded(None()), Bytes("\0", 1));
  EXPECT_EQ(Encoded(Order{"x", 1, Color::kRed}), Bytes("\3\2\1x\1\2\2\1\1"));
}

TEST(CodecTest, ContainersRoundTrip) {
  ExpectRoundTrip(std::string());
  ExpectRoundTrip(std::string("a\0b\xff", 4));
  ExpectRoundTrip(std::string(300, 'x'));
  ExpectRoundTrip(std::vector<int>());
  ExpectRoundTrip(std::vector<std::string>{"", "a", "bc"});
  ExpectRoundTrip(std::vector<bool>{true, false, true});
  ExpectRoundTrip(std::vector<std::vector<int>>{{}, {1}, {2, 3}});
  ExpectRoundTrip(std::map<std::string, int>{{"a", 1}, {"b", -2}});
  ExpectRoundTrip(std::map<int, std::string>{{1, "a"}, {-2, "b"}});
  ExpectRoundTrip(std::unordered_map<std::string, int>{{"a", 1}, {"b", 2}});
  ExpectRoundTrip(std::optional<std::string>());
  ExpectRoundTrip(std::optional<std::string>("a"));
  ExpectRoundTrip(std::pair<int, std::string>(1, "a"));
  ExpectRoundTrip(Color::kBlue);
  ExpectRoundTrip(None());
}

TEST(CodecTest, WeirsOwnTypesRoundTrip) {
  ExpectRoundTrip(AppendLog<int>{1, 2, 3});
  ExpectRoundTrip(Message{"user", "hi", "1"});
  ExpectRoundTrip(MessageList<>({{"user", "hi", "1"}, {"ai", "ho", "2"}}));
  SeenNames seen({"b", "a", "c"});
  seen.Add(*seen.Find("b"));
  ExpectRoundTrip(seen);
}

TEST(CodecTest, RecordsAndTypesThatContainThemselvesRoundTrip) {
  ExpectRoundTrip(Order{"tea", -7, std::nullopt});
  ExpectRoundTrip(std::vector<Order>{{"tea", 1, Color::kRed}, {}});
  ExpectRoundTrip(Tree{{Tree{}, Tree{{Tree{}}}}});
}

TEST(CodecTest, FieldsAddedAtTheEndAreCompatible) {
  OldOrder old;
  ASSERT_TRUE(DecodeAll(Encoded(Order{"tea", 3, Color::kRed}), &old).ok());
  EXPECT_EQ(old.item, "tea");

  Order order{"", 7, Color::kBlue};
  ASSERT_TRUE(DecodeAll(Encoded(OldOrder{"tea"}), &order).ok());
  EXPECT_EQ(order, (Order{"tea", 7, Color::kBlue}));
}

TEST(CodecTest, DecodingReplacesWhatWasThere) {
  std::vector<int> list{9, 9};
  ASSERT_TRUE(DecodeAll(Encoded(std::vector<int>{1}), &list).ok());
  EXPECT_EQ(list, std::vector<int>{1});
  std::map<std::string, int> map{{"z", 1}};
  ASSERT_TRUE(
      DecodeAll(Encoded(std::map<std::string, int>{{"a", 1}}), &map).ok());
  EXPECT_FALSE(map.contains("z"));
  std::optional<int> some = 7;
  ASSERT_TRUE(DecodeAll(Encoded(std::optional<int>()), &some).ok());
  EXPECT_FALSE(some.has_value());
}

template <class T>
absl::StatusCode CodeOf(std::string_view bytes) {
  T value{};
  return DecodeAll(bytes, &value).code();
}

TEST(CodecTest, SizesThatCannotBeAreDataLoss) {
  std::string huge;
  internal::PutVarint(std::numeric_limits<uint64_t>::max(), &huge);
  EXPECT_EQ(CodeOf<std::string>(huge), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf<std::vector<None>>(huge), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf<std::vector<int>>(huge + "abc"),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ((CodeOf<std::map<std::string, int>>(huge)),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf<AppendLog<std::string>>(huge), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf<Order>(huge), absl::StatusCode::kDataLoss);
}

TEST(CodecTest, NumbersThatDoNotFitAreDataLoss) {
  EXPECT_EQ(CodeOf<uint16_t>(Encoded(uint32_t{65536})),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf<int16_t>(Encoded(40000)), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf<int16_t>(Encoded(-40000)), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf<uint64_t>(std::string(9, '\xff') + '\x02'),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf<uint64_t>(std::string(11, '\x80')),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf<bool>("\x02"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf<None>("\x02"), absl::StatusCode::kDataLoss);
}

TEST(CodecTest, KeyThatComesTwiceIsDataLoss) {
  EXPECT_EQ(
      (CodeOf<std::map<std::string, bool>>(std::string_view("\2\1a\1\1a\1"))),
      absl::StatusCode::kDataLoss);
}

TEST(CodecTest, FieldWithBytesLeftOverIsDataLoss) {
  EXPECT_EQ(CodeOf<OldOrder>("\1\3\1ab"), absl::StatusCode::kDataLoss);
}

TEST(CodecTest, DeepNestingIsDataLoss) {
  // A million lists of one list.
  EXPECT_EQ(CodeOf<Tree>(std::string(1'000'000, '\1')),
            absl::StatusCode::kDataLoss);
  std::string deep(150, '\1');
  deep.push_back('\0');
  EXPECT_EQ(CodeOf<Tree>(deep), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf<Tree>(deep), absl::StatusCode::kOk) << "counted per value";
}

TEST(CodecTest, RandomBytesDecodeOrAreDataLoss) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  using Everything =
      std::map<std::string,
               std::pair<std::vector<std::optional<Order>>,
                         std::unordered_map<int, std::vector<Tree>>>>;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(random() % 40, '\0');
    // Small numbers, so that sizes are often plausible.
    for (char& c : bytes) {
      c = static_cast<char>(random() % 8 == 0 ? random() : random() % 4);
    }
    std::string_view in = bytes;
    Everything value;
    const absl::Status s = Codec<Everything>::Decode(&in, &value);
    if (s.ok()) {
      Everything again;
      EXPECT_TRUE(DecodeAll(Encoded(value), &again).ok());
      EXPECT_EQ(again, value);
    } else {
      EXPECT_EQ(s.code(), absl::StatusCode::kDataLoss) << s;
    }
  }
}

TEST(CodecTest, JsonTextIsAsOthersPrintIt) {
  EXPECT_EQ(AsJson(None()), "null");
  EXPECT_EQ(AsJson(true), "true");
  EXPECT_EQ(AsJson(int8_t{-5}), "-5");
  EXPECT_EQ(AsJson('A'), "65");
  EXPECT_EQ(AsJson(std::numeric_limits<uint64_t>::max()),
            "18446744073709551615");
  EXPECT_EQ(AsJson(0.1), "0.1");
  EXPECT_EQ(AsJson(0.1f), "0.1");
  EXPECT_EQ(AsJson(2.0), "2.0");
  EXPECT_EQ(AsJson(Color::kBlue), "200");
  EXPECT_EQ(AsJson(std::string("a\"b")), R"("a\"b")");
  EXPECT_EQ(AsJson(std::vector<int>()), "[]");
  EXPECT_EQ(AsJson(std::vector<int>{1, 2}), "[1, 2]");
  EXPECT_EQ(AsJson(std::map<std::string, int>()), "{}");
  EXPECT_EQ(
      AsJson(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}}),
      R"({"a": [1], "b": []})");
  EXPECT_EQ(AsJson(std::map<int, bool>{{1, true}, {2, false}}),
            "[[1, true], [2, false]]");
  EXPECT_EQ(AsJson(std::optional<int>()), "null");
  EXPECT_EQ(AsJson(std::optional<int>(1)), "1");
  EXPECT_EQ(AsJson(std::pair<int, std::string>(1, "a")), R"([1, "a"])");
  EXPECT_EQ(AsJson(AppendLog<int>{1, 2}), "[1, 2]");
  EXPECT_EQ(AsJson(Order{"tea", 2, std::nullopt}),
            R"({"item": "tea", "count": 2, "color": null})");
}

TEST(CodecTest, UnorderedMapsAreWrittenInTheOrderOfTheirKeys) {
  std::unordered_map<std::string, int> map;
  for (const char* key : {"d", "a", "c", "e", "b"}) map[key] = 1;
  EXPECT_EQ(AsJson(map), R"({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1})");
  EXPECT_EQ(Encoded(map),
            Encoded(std::map<std::string, int>(map.begin(), map.end())));
}

TEST(CodecTest, RecordHasItsFields) {
  const Value order(Order{"tea", 2, Color::kRed});
  EXPECT_TRUE(order.is_record());
  EXPECT_EQ(order.Field("item"), Value("tea"));
  EXPECT_EQ(order.Field("color"), Value(std::optional(Color::kRed)));
  EXPECT_FALSE(order.Field("price").has_value());
  std::string names;
  order.ForEachField([&names](std::string_view name, Value) { names += name; });
  EXPECT_EQ(names, "itemcountcolor");
}

template <class T>
std::string NameOf() {
  return TypeOf<T>()->stored_name();
}

TEST(CodecTest, TypesHaveANameThatMachinesAgreeOn) {
  EXPECT_EQ(NameOf<None>(), "none");
  EXPECT_EQ(NameOf<bool>(), "bool");
  EXPECT_EQ(NameOf<char>(), "char");
  EXPECT_EQ(NameOf<int8_t>(), "int8");
  EXPECT_EQ(NameOf<int>(), "int32");
  EXPECT_EQ(NameOf<int64_t>(), "int64");
  EXPECT_EQ(NameOf<long long>(), "int64");
  EXPECT_EQ(NameOf<uint16_t>(), "uint16");
  EXPECT_EQ(NameOf<float>(), "float");
  EXPECT_EQ(NameOf<double>(), "double");
  EXPECT_EQ(NameOf<std::string>(), "string");
  EXPECT_EQ((NameOf<std::vector<std::map<std::string, std::optional<int>>>>()),
            "list<map<string, optional<int32>>>");
  EXPECT_EQ((NameOf<std::unordered_map<int, std::pair<bool, char>>>()),
            "map<int32, pair<bool, char>>");
  EXPECT_EQ(NameOf<AppendLog<int>>(), "list<int32>");
  EXPECT_EQ(NameOf<MessageList<Message>>(), "list<message>");
  EXPECT_EQ(NameOf<SeenNames>(), "names");
  EXPECT_EQ(NameOf<bank::Account>(), "bank::Account");
  EXPECT_EQ(NameOf<bank::Renamed>(), "bank.Old");
  EXPECT_EQ(NameOf<std::vector<bank::Renamed>>(), "list<bank.Old>");
}

TEST(CodecTest, TypesThatCompilersSpellInSeveralWaysHaveNoName) {
  EXPECT_EQ(NameOf<Order>(), "");
  EXPECT_EQ(NameOf<std::vector<Color>>(), "");
  EXPECT_EQ((NameOf<std::pair<int, Order>>()), "");
  EXPECT_EQ((NameOf<std::tuple<int>>()), "");
}

}  // namespace
}  // namespace weir
