#include "weir/runtime/store.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/channels/nlohmann_json.h"
#include "weir/channels/record_codec.h"
#include "weir/channels/values.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/memory_store.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

namespace weir {

struct Person {
  std::string name;
  int age = 0;

  friend bool operator==(const Person&, const Person&) = default;
};

template <>
struct Codec<Person> : RecordCodec<Person> {
  static constexpr auto Fields() {
    return std::tuple(RecordField("name", &Person::name),
                      RecordField("age", &Person::age));
  }
};

namespace {

using Json = nlohmann::json;
using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

using Strings = std::vector<std::string>;
using IntRecord = std::map<std::string, int>;

std::string SaidBy(const absl::Status& status) {
  return std::string(status.message());
}

// "users/7/diet"
std::string Path(const StoreItem& item) {
  return absl::StrJoin(item.ns, "/") + "/" + item.key;
}

Strings Paths(const absl::StatusOr<std::vector<StoreItem>>& items) {
  Strings paths;
  if (!items.ok()) return {SaidBy(items.status())};
  for (const StoreItem& item : *items) paths.push_back(Path(item));
  return paths;
}

Strings Joined(const absl::StatusOr<std::vector<StoreNamespace>>& namespaces) {
  Strings joined;
  if (!namespaces.ok()) return {SaidBy(namespaces.status())};
  for (const StoreNamespace& ns : *namespaces) {
    joined.push_back(absl::StrJoin(ns, "/"));
  }
  return joined;
}

class StoreTest : public testing::Test {
 protected:
  MemoryStoreOptions Clock() {
    return {.now = [this] { return now_; }};
  }

  static void Put(Store& store, StoreNamespace ns, std::string key, Value value,
                  PutOptions options = {}) {
    const absl::Status status = store.Put(std::move(ns), std::move(key),
                                          std::move(value), std::move(options));
    EXPECT_TRUE(status.ok()) << status;
  }
  void Put(StoreNamespace ns, std::string key, Value value = Value(0),
           PutOptions options = {}) {
    Put(store_, std::move(ns), std::move(key), std::move(value),
        std::move(options));
  }
  std::optional<StoreItem> Get(StoreNamespace ns, std::string key,
                               GetOptions options = {}) {
    absl::StatusOr<std::optional<StoreItem>> item =
        store_.Get(std::move(ns), std::move(key), options);
    EXPECT_TRUE(item.ok()) << item.status();
    return item.ok() ? *std::move(item) : std::nullopt;
  }
  // The keys in {"n"} whose values match.
  std::string Found(StoreFilter filter) {
    absl::StatusOr<std::vector<StoreItem>> items =
        store_.Search({"n"}, {.filter = std::move(filter)});
    if (!items.ok()) return SaidBy(items.status());
    Strings keys;
    for (const StoreItem& item : *items) keys.push_back(item.key);
    return absl::StrJoin(keys, " ");
  }

  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  MemoryStore store_{Clock()};
};

TEST_F(StoreTest, GetGivesWhatWasPut) {
  Put({"users", "7"}, "diet", Value("vegan"));
  const std::optional<StoreItem> item = Get({"users", "7"}, "diet");
  ASSERT_TRUE(item.has_value());
  EXPECT_THAT(item->ns, ElementsAre("users", "7"));
  EXPECT_EQ(item->key, "diet");
  EXPECT_EQ(*item->As<std::string>(), "vegan");
  EXPECT_EQ(item->As<int>(), nullptr);
  EXPECT_EQ(item->created_at, now_);
  EXPECT_EQ(item->updated_at, now_);
  EXPECT_EQ(item->score, std::nullopt);
}

TEST_F(StoreTest, GetOfWhatIsNotThereGivesNothing) {
  Put({"users", "7"}, "diet");
  EXPECT_EQ(Get({"users", "7"}, "name"), std::nullopt);
  EXPECT_EQ(Get({"users"}, "diet"), std::nullopt);
  EXPECT_EQ(Get({}, ""), std::nullopt);
}

TEST_F(StoreTest, PutReplacesTheValueAndKeepsTheTimeOfCreation) {
  const absl::Time created = now_;
  Put({"users"}, "a", Value(1));
  now_ += absl::Hours(1);
  Put({"users"}, "a", Value(2));
  const std::optional<StoreItem> item = Get({"users"}, "a");
  ASSERT_TRUE(item.has_value());
  EXPECT_EQ(*item->As<int>(), 2);
  EXPECT_EQ(item->created_at, created);
  EXPECT_EQ(item->updated_at, now_);
}

TEST_F(StoreTest, DeletedItemIsGone) {
  Put({"users"}, "a");
  Put({"users"}, "b");
  EXPECT_TRUE(store_.Delete({"users"}, "a").ok());
  EXPECT_EQ(Get({"users"}, "a"), std::nullopt);
  EXPECT_TRUE(store_.Delete({"users"}, "a").ok()) << "nothing to delete";
  EXPECT_TRUE(store_.Delete({"strangers"}, "a").ok());
  EXPECT_NE(Get({"users"}, "b"), std::nullopt);
}

TEST_F(StoreTest, PutOfAnAbsentValueDeletes) {
  Put({"users"}, "a");
  Put({"users"}, "a", Value());
  EXPECT_EQ(Get({"users"}, "a"), std::nullopt);
}

TEST_F(StoreTest, NullIsAValue) {
  Put({"users"}, "a", Value(None()));
  EXPECT_NE(Get({"users"}, "a"), std::nullopt);
}

TEST_F(StoreTest, DeletedItemIsCreatedAnew) {
  Put({"users"}, "a");
  EXPECT_TRUE(store_.Delete({"users"}, "a").ok());
  now_ += absl::Hours(1);
  Put({"users"}, "a");
  EXPECT_EQ(Get({"users"}, "a")->created_at, now_);
}

TEST_F(StoreTest, ValueIsShared) {
  const auto shared = std::make_shared<int>(3);
  Put({"users"}, "a", Value(shared));
  EXPECT_EQ(shared.use_count(), 2) << "no copy of what is held";
  const std::optional<StoreItem> item = Get({"users"}, "a");
  EXPECT_EQ(shared.use_count(), 2);
  EXPECT_TRUE(store_.Delete({"users"}, "a").ok());
  EXPECT_EQ(**item->As<std::shared_ptr<int>>(), 3);
}

struct BadNamespace {
  StoreNamespace ns;
  Strings in_message;
};

TEST_F(StoreTest, PutRefusesBadNamespaces) {
  const std::vector<BadNamespace> cases = {
      {{}, {"'diet'", "[]", "it is empty"}},
      {{"users", ""}, {"'diet'", R"(["users", ""])", "of its labels is empty"}},
      {{"users", "a.b"}, {"'diet'", R"(["users", "a.b"])", "'a.b' has a '.'"}},
      {{"langgraph", "x"}, {"'diet'", R"(["langgraph", "x"])", "'langgraph'"}},
  };
  for (const BadNamespace& bad : cases) {
    EXPECT_THAT(store_.Put(bad.ns, "diet", Value(1)),
                IsError(ErrorKind::kInvalidNamespace,
                        absl::StatusCode::kInvalidArgument, bad.in_message));
  }
  Put({"users", "langgraph"}, "diet", Value(1));
  EXPECT_EQ(ErrorKindName(ErrorKind::kInvalidNamespace),
            "InvalidNamespaceError");
}

TEST_F(StoreTest, BatchWithABadPutStoresNothing) {
  std::vector<StoreOp> ops;
  ops.emplace_back(PutOp{.ns = {"users"}, .key = "a", .value = Value(1)});
  ops.emplace_back(PutOp{.ns = {"a.b"}, .key = "b", .value = Value(1)});
  EXPECT_THAT(store_.Batch(std::move(ops)).status(),
              IsError(ErrorKind::kInvalidNamespace,
                      absl::StatusCode::kInvalidArgument, {"'b'"}));
  EXPECT_EQ(Get({"users"}, "a"), std::nullopt);
}

TEST_F(StoreTest, SearchGivesWhatIsUnderAPrefixByNamespaceThenKey) {
  Put({"b"}, "2");
  Put({"b"}, "1");
  Put({"a", "x"}, "4");
  Put({"a"}, "5");
  Put({"ab"}, "6");
  EXPECT_THAT(Paths(store_.Search({})),
              ElementsAre("a/5", "a/x/4", "ab/6", "b/1", "b/2"));
  EXPECT_THAT(Paths(store_.Search({"a"})), ElementsAre("a/5", "a/x/4"));
  EXPECT_THAT(Paths(store_.Search({"a", "x"})), ElementsAre("a/x/4"));
  EXPECT_THAT(Paths(store_.Search({"c"})), IsEmpty());
  EXPECT_THAT(Paths(store_.Search({"*"})), IsEmpty()) << "no wildcard";
}

TEST_F(StoreTest, SearchGivesTenByDefault) {
  for (int i = 0; i < 12; ++i) Put({"n"}, std::to_string(10 + i));
  EXPECT_THAT(*store_.Search({"n"}), SizeIs(10));
  EXPECT_THAT(*store_.Search({"n"}, {.limit = 100}), SizeIs(12));
}

TEST_F(StoreTest, SearchPassesOverTheOffset) {
  for (int i = 0; i < 5; ++i) Put({"n"}, std::to_string(i), Value(IntRecord()));
  EXPECT_THAT(Paths(store_.Search({"n"}, {.limit = 2, .offset = 1})),
              ElementsAre("n/1", "n/2"));
  EXPECT_THAT(Paths(store_.Search({}, {.limit = 9, .offset = 4})),
              ElementsAre("n/4"));
  EXPECT_THAT(Paths(store_.Search({}, {.offset = 5})), IsEmpty());
  EXPECT_THAT(Paths(store_.Search({}, {.limit = 0})), IsEmpty());
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  EXPECT_THAT(Paths(store_.Search({}, {.limit = kMost, .offset = 3})),
              ElementsAre("n/3", "n/4"));
}

TEST_F(StoreTest, OffsetCountsWhatTheFilterFinds) {
  for (int i = 0; i < 6; ++i) {
    Put({"n"}, std::to_string(i), Value(IntRecord{{"odd", i % 2}}));
  }
  EXPECT_THAT(
      Paths(store_.Search(
          {}, {.filter = {{"odd", Value(1)}}, .limit = 1, .offset = 1})),
      ElementsAre("n/3"));
}

TEST_F(StoreTest, FilterComparesFields) {
  Put({"n"}, "a", Value(Json{{"kind", "fact"}, {"level", 3}}));
  Put({"n"}, "b", Value(Json{{"kind", "fact"}, {"level", 4}}));
  Put({"n"}, "c", Value(Json{{"kind", "guess"}, {"level", 3}}));
  EXPECT_EQ(Found({{"kind", Value("fact")}}), "a b");
  EXPECT_EQ(Found({{"kind", Value("fact")}, {"level", Value(3)}}), "a");
  EXPECT_EQ(Found({{"kind", Value(3)}}), "");
  EXPECT_EQ(Found({}), "a b c");
}

TEST_F(StoreTest, FilterWorksOnRecordsOfAnyType) {
  Put({"n"}, "json", Value(Json{{"name", "Ada"}, {"age", 36}}));
  Put({"n"}, "map", Value(std::map<std::string, std::string>{{"name", "Ada"}}));
  Put({"n"}, "struct", Value(Person{.name = "Ada", .age = 36}));
  Values values;
  values.Add("name", Value("Ada"));
  Put({"n"}, "values", Value(values));
  Put({"n"}, "zero", Value("Ada"));
  EXPECT_EQ(Found({{"name", Value("Ada")}}), "json map struct values");
  EXPECT_EQ(Found({{"name", Value(Json("Ada"))}}), "json map struct values");
  EXPECT_EQ(Found({{"age", Value(36.0)}}), "json struct");
}

TEST_F(StoreTest, NothingOfAValueThatIsNoRecordMatchesAFilter) {
  Put({"n"}, "a", Value(3));
  EXPECT_EQ(Found({{"x", Value(None())}}), "");
  EXPECT_EQ(Found({{"x", Value(IntRecord{{"$ne", 3}})}}), "");
  EXPECT_EQ(Found({}), "a");
}

TEST_F(StoreTest, FilterComparesNumbersOfAllTypesAsNumbers) {
  constexpr int64_t kBig = (int64_t{1} << 53) + 1;  // No double is this.
  Put({"n"}, "a", Value(std::map<std::string, int64_t>{{"x", kBig}}));
  Put({"n"}, "b", Value(std::map<std::string, double>{{"x", 2.0}}));
  Put({"n"}, "c", Value(std::map<std::string, uint8_t>{{"x", 2}}));
  Put({"n"}, "d", Value(Json{{"x", 2}}));
  Put({"n"}, "e", Value(Json{{"x", 2.5}}));
  Put({"n"}, "f", Value(Json{{"x", std::numeric_limits<uint64_t>::max()}}));
  Put({"n"}, "g", Value(Json{{"x", "2"}}));
  Put({"n"}, "h", Value(Json{{"x", true}}));
  Put({"n"}, "i", Value(std::map<std::string, double>{{"x", std::nan("")}}));
  EXPECT_EQ(Found({{"x", Value(2)}}), "b c d");
  EXPECT_EQ(Found({{"x", Value(2.0)}}), "b c d");
  EXPECT_EQ(Found({{"x", Value(2.5F)}}), "e");
  EXPECT_EQ(Found({{"x", Value(static_cast<double>(kBig))}}), "");
  EXPECT_EQ(Found({{"x", Value(kBig)}}), "a");
  EXPECT_EQ(Found({{"x", Value(int64_t{-1})}}), "");
  EXPECT_EQ(Found({{"x", Value(std::map<std::string, double>{{"$gt", 2}})}}),
            "a e f");
  EXPECT_EQ(Found({{"x", Value(std::map<std::string, double>{
                             {"$lt", static_cast<double>(kBig)}})}}),
            "b c d e");
  EXPECT_EQ(Found({{"x", Value(std::map<std::string, double>{
                             {"$gt", static_cast<double>(kBig) - 1}})}}),
            "a f");
}

TEST_F(StoreTest, FieldThatIsNotThereIsNull) {
  Put({"n"}, "a", Value(Json{{"x", nullptr}}));
  Put({"n"}, "b", Value(Json{{"y", 1}}));
  Put({"n"}, "c", Value(Json{{"x", 1}}));
  EXPECT_EQ(Found({{"x", Value(None())}}), "a b");
  EXPECT_EQ(Found({{"x", Value(Json(nullptr))}}), "a b");
  EXPECT_EQ(Found({{"x", Value()}}), "a b");
  EXPECT_EQ(Found({{"x", Value(IntRecord{{"$ne", 1}})}}), "a b");
  EXPECT_EQ(Found({{"x", Value(IntRecord{{"$lt", 2}})}}), "c");
}

TEST_F(StoreTest, FilterOfARecordLooksOnlyAtItsFields) {
  Put({"n"}, "a", Value(Json{{"by", {{"name", "Ada"}, {"age", 36}}}}));
  Put({"n"}, "b", Value(Json{{"by", {{"name", "Ida"}, {"age", 36}}}}));
  Put({"n"}, "c", Value(Json{{"by", "Ada"}}));
  EXPECT_EQ(Found({{"by", Value(Json{{"name", "Ada"}})}}), "a");
  EXPECT_EQ(Found({{"by", Value(IntRecord{{"age", 36}})}}), "a b");
  EXPECT_EQ(Found({{"by", Value(Json{{"age", {{"$gte", 36}}}})}}), "a b");
  EXPECT_EQ(Found({{"by", Value(IntRecord())}}), "a b");
  EXPECT_EQ(Found({{"by", Value(Person{"Ida", 36})}}), "b");
}

TEST_F(StoreTest, FilterOfAListComparesElements) {
  Put({"n"}, "a", Value(Json{{"tags", {"x", "y"}}}));
  Put({"n"}, "b", Value(Json{{"tags", {"x", "y", "z"}}}));
  Put({"n"}, "c", Value(std::map<std::string, Strings>{{"tags", {"x", "y"}}}));
  Put({"n"}, "d", Value(Json{{"tags", "x"}}));
  EXPECT_EQ(Found({{"tags", Value(Strings{"x", "y"})}}), "a c");
  EXPECT_EQ(Found({{"tags", Value(Json{"x", "y"})}}), "a c");
  EXPECT_EQ(Found({{"tags", Value(Json{"x", {{"$gt", "x"}}})}}), "a c");
  EXPECT_EQ(Found({{"tags", Value(Strings())}}), "");
}

TEST_F(StoreTest, EqCompareWholeValues) {
  Put({"n"}, "a", Value(Json{{"by", {{"name", "Ada"}, {"age", 36}}}}));
  Put({"n"}, "b", Value(Json{{"by", {{"name", "Ada"}}}}));
  Put({"n"}, "c", Value(Json{{"by", {{"nom", nullptr}}}}));
  EXPECT_EQ(Found({{"by", Value(Json{{"$eq", {{"name", "Ada"}}}})}}), "b");
  EXPECT_EQ(Found({{"by", Value(Json{{"$ne", {{"name", "Ada"}}}})}}), "a c");
  EXPECT_EQ(Found({{"by", Value(Json{{"$eq", {{"name", nullptr}}}})}}), "");
  EXPECT_EQ(
      Found(
          {{"by", Value(std::map<std::string, Person>{{"$eq", {"Ada", 36}}})}}),
      "a");
}

TEST_F(StoreTest, OperatorsOrderNumbers) {
  for (int i = 1; i <= 5; ++i) {
    Put({"n"}, std::to_string(i), Value(IntRecord{{"x", i}}));
  }
  EXPECT_EQ(Found({{"x", Value(IntRecord{{"$gt", 3}})}}), "4 5");
  EXPECT_EQ(Found({{"x", Value(IntRecord{{"$gte", 3}})}}), "3 4 5");
  EXPECT_EQ(Found({{"x", Value(IntRecord{{"$lt", 3}})}}), "1 2");
  EXPECT_EQ(Found({{"x", Value(IntRecord{{"$lte", 3}})}}), "1 2 3");
  EXPECT_EQ(Found({{"x", Value(IntRecord{{"$eq", 3}})}}), "3");
  EXPECT_EQ(Found({{"x", Value(IntRecord{{"$ne", 3}})}}), "1 2 4 5");
  EXPECT_EQ(Found({{"x", Value(IntRecord{{"$gt", 1}, {"$lte", 4}})}}), "2 3 4");
  EXPECT_EQ(Found({{"x", Value(Json{{"$gt", 1.5}, {"$lt", 2.5}})}}), "2");
}

TEST_F(StoreTest, OperatorsOrderStrings) {
  Put({"n"}, "a", Value(Json{{"day", "2024-01-31"}}));
  Put({"n"}, "b", Value(Json{{"day", "2024-02-01"}}));
  Put({"n"}, "c", Value(Json{{"day", 20240301}}));
  EXPECT_EQ(Found({{"day", Value(Json{{"$gte", "2024-02"}})}}), "b");
  EXPECT_EQ(Found({{"day", Value(Json{{"$lt", "2024-02"}})}}), "a");
  EXPECT_EQ(Found({{"day", Value(Json{{"$gt", 0}})}}), "c");
}

TEST_F(StoreTest, StringsCompareWhateverHoldsThem) {
  const std::string odd = "\"quotes\"\\ \n\t\x01 \xC3\xA9";
  Put({"n"}, "a", Value(Json{{"x", odd}}));
  Put({"n"}, "b", Value(std::map<std::string, std::string>{{"x", odd}}));
  EXPECT_EQ(Found({{"x", Value(odd)}}), "a b");
  EXPECT_EQ(Found({{"x", Value(Json(odd))}}), "a b");
  EXPECT_EQ(Found({{"x", Value(Json{{"$gte", odd}, {"$lte", odd}})}}), "a b");
}

TEST_F(StoreTest, UnknownOperatorIsRefusedByName) {
  const auto status = [this](StoreFilter filter) {
    return store_.Search({}, {.filter = std::move(filter)}).status();
  };
  EXPECT_THAT(status({{"age", Value(IntRecord{{"$in", 3}})}}),
              IsError(ErrorKind::kNone, absl::StatusCode::kInvalidArgument,
                      {"'age'", "'$in'", "$gte"}));
  EXPECT_THAT(status({{"by", Value(Json{{"age", {{"$near", 3}}}})}}),
              IsError(ErrorKind::kNone, absl::StatusCode::kInvalidArgument,
                      {"'by.age'", "'$near'"}));
  EXPECT_THAT(status({{"ages", Value(Json{1, {{"$near", 3}}})}}),
              IsError(ErrorKind::kNone, absl::StatusCode::kInvalidArgument,
                      {"'ages'", "'$near'"}));
  EXPECT_THAT(status({{"age", Value(Json{{"$gt", 1}, {"lt", 3}})}}),
              IsError(ErrorKind::kNone, absl::StatusCode::kInvalidArgument,
                      {"'age'", "'lt'"}));
  EXPECT_THAT(status({{"$or", Value(Json{{{"a", 1}}})}}),
              IsError(ErrorKind::kNone, absl::StatusCode::kInvalidArgument,
                      {"'$or'", "name of a field"}));
}

TEST_F(StoreTest, OperatorThatOrdersTakesANumberOrAString) {
  for (const Json& operand :
       {Json(nullptr), Json(true), Json{1, 2}, Json{{"a", 1}}}) {
    const absl::Status status =
        store_.Search({}, {.filter = {{"age", Value(Json{{"$lte", operand}})}}})
            .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(SaidBy(status), AllOf(HasSubstr("'age'"), HasSubstr("'$lte'"),
                                      HasSubstr(operand.dump().substr(0, 2))));
  }
}

TEST_F(StoreTest, ListsNamespacesSorted) {
  Put({"b"}, "1");
  Put({"b"}, "2");
  Put({"a", "y"}, "1");
  Put({"a"}, "1");
  Put({"a", "x", "z"}, "1");
  EXPECT_THAT(Joined(store_.ListNamespaces()),
              ElementsAre("a", "a/x/z", "a/y", "b"));
}

TEST_F(StoreTest, NamespaceWithoutItemsIsNotListed) {
  Put({"a"}, "1");
  Put({"b"}, "1");
  EXPECT_EQ(Get({"c"}, "1"), std::nullopt);
  EXPECT_TRUE(store_.Delete({"a"}, "1").ok());
  EXPECT_THAT(Joined(store_.ListNamespaces()), ElementsAre("b"));
}

TEST_F(StoreTest, ListsNamespacesThatFitBothConditions) {
  for (const StoreNamespace& ns :
       std::vector<StoreNamespace>{{"users", "7", "facts"},
                                   {"users", "7", "plans"},
                                   {"users", "8", "facts"},
                                   {"teams", "7", "facts"},
                                   {"facts"}}) {
    Put(ns, "k");
  }
  EXPECT_THAT(Joined(store_.ListNamespaces({.prefix = {"users"}})),
              ElementsAre("users/7/facts", "users/7/plans", "users/8/facts"));
  EXPECT_THAT(
      Joined(store_.ListNamespaces({.suffix = {"facts"}})),
      ElementsAre("facts", "teams/7/facts", "users/7/facts", "users/8/facts"));
  EXPECT_THAT(
      Joined(store_.ListNamespaces({.prefix = {"users"}, .suffix = {"facts"}})),
      ElementsAre("users/7/facts", "users/8/facts"));
  EXPECT_THAT(Joined(store_.ListNamespaces({.prefix = {"facts", "x"}})),
              IsEmpty());
}

TEST_F(StoreTest, StarStandsForOneLabel) {
  for (const StoreNamespace& ns :
       std::vector<StoreNamespace>{{"users", "7", "facts"},
                                   {"users", "facts"},
                                   {"teams", "7", "facts"},
                                   {"users", "8", "plans"}}) {
    Put(ns, "k");
  }
  EXPECT_THAT(
      Joined(store_.ListNamespaces({.prefix = {"users", "*", "facts"}})),
      ElementsAre("users/7/facts"));
  EXPECT_THAT(Joined(store_.ListNamespaces({.prefix = {"*", "7"}})),
              ElementsAre("teams/7/facts", "users/7/facts"));
  EXPECT_THAT(Joined(store_.ListNamespaces({.suffix = {"7", "*"}})),
              ElementsAre("teams/7/facts", "users/7/facts"));
  EXPECT_THAT(Joined(store_.ListNamespaces({.prefix = {"*", "*", "*"}})),
              ElementsAre("teams/7/facts", "users/7/facts", "users/8/plans"));
}

TEST_F(StoreTest, MaxDepthCutsNamespacesAndGivesEachOnce) {
  for (const StoreNamespace& ns :
       std::vector<StoreNamespace>{{"a", "b", "c"},
                                   {"a", "b", "d", "e"},
                                   {"a", "b", "d", "i"},
                                   {"a", "b", "f"},
                                   {"a", "c", "f"},
                                   {"b"}}) {
    Put(ns, "k");
  }
  EXPECT_THAT(
      Joined(store_.ListNamespaces({.prefix = {"a", "b"}, .max_depth = 3})),
      ElementsAre("a/b/c", "a/b/d", "a/b/f"));
  EXPECT_THAT(Joined(store_.ListNamespaces({.max_depth = 2})),
              ElementsAre("a/b", "a/c", "b"));
  EXPECT_THAT(Joined(store_.ListNamespaces({.suffix = {"f"}, .max_depth = 1})),
              ElementsAre("a"));
}

TEST_F(StoreTest, OffsetAndLimitOfAListCountWhatIsCut) {
  for (const StoreNamespace& ns : std::vector<StoreNamespace>{
           {"a", "1"}, {"a", "2"}, {"b", "1"}, {"c", "1"}, {"c", "2"}}) {
    Put(ns, "k");
  }
  EXPECT_THAT(
      Joined(store_.ListNamespaces({.max_depth = 1, .limit = 1, .offset = 1})),
      ElementsAre("b"));
  EXPECT_THAT(Joined(store_.ListNamespaces({.limit = 0})), IsEmpty());
  EXPECT_THAT(Joined(store_.ListNamespaces({.offset = 9})), IsEmpty());
}

TEST_F(StoreTest, ListGivesAHundredByDefault) {
  for (int i = 0; i < 120; ++i) Put({std::to_string(i)}, "k");
  EXPECT_THAT(*store_.ListNamespaces(), SizeIs(100));
}

TEST_F(StoreTest, BatchGivesResultsInTheOrderOfItsOperations) {
  Put({"n"}, "a", Value(1));
  std::vector<StoreOp> ops;
  ops.emplace_back(ListNamespacesOp{});
  ops.emplace_back(GetOp{.ns = {"n"}, .key = "a"});
  ops.emplace_back(PutOp{.ns = {"n"}, .key = "b", .value = Value(2)});
  ops.emplace_back(SearchOp{.prefix = {"n"}});
  ops.emplace_back(GetOp{.ns = {"n"}, .key = "none"});
  absl::StatusOr<std::vector<StoreResult>> results =
      store_.Batch(std::move(ops));
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->size(), 5);
  EXPECT_THAT(Joined((*results)[0].namespaces), ElementsAre("n"));
  ASSERT_TRUE((*results)[1].item.has_value());
  EXPECT_EQ(*(*results)[1].item->As<int>(), 1);
  EXPECT_FALSE((*results)[2].item.has_value());
  EXPECT_THAT(Paths((*results)[3].items), ElementsAre("n/a"));
  EXPECT_FALSE((*results)[4].item.has_value());
  EXPECT_TRUE(store_.Batch({}).ok());
}

TEST_F(StoreTest, ReadsOfABatchSeeWhatWasThereBeforeItsPuts) {
  Put({"n"}, "a", Value(1));
  std::vector<StoreOp> ops;
  ops.emplace_back(PutOp{.ns = {"n"}, .key = "a", .value = Value(2)});
  ops.emplace_back(PutOp{.ns = {"new"}, .key = "b", .value = Value(3)});
  ops.emplace_back(GetOp{.ns = {"n"}, .key = "a"});
  ops.emplace_back(GetOp{.ns = {"new"}, .key = "b"});
  ops.emplace_back(SearchOp{});
  ops.emplace_back(ListNamespacesOp{});
  absl::StatusOr<std::vector<StoreResult>> results =
      store_.Batch(std::move(ops));
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(*(*results)[2].item->As<int>(), 1);
  EXPECT_FALSE((*results)[3].item.has_value());
  EXPECT_THAT(Paths((*results)[4].items), ElementsAre("n/a"));
  EXPECT_THAT(Joined((*results)[5].namespaces), ElementsAre("n"));
  EXPECT_EQ(*Get({"n"}, "a")->As<int>(), 2);
  EXPECT_EQ(*Get({"new"}, "b")->As<int>(), 3);
}

TEST_F(StoreTest, OfSeveralPutsOfOneKeyTheLastWins) {
  Put({"n"}, "kept", Value(0));
  const absl::Time created = now_;
  now_ += absl::Hours(1);
  std::vector<StoreOp> ops;
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, Value>>{{"a", Value(1)},
                                                  {"gone", Value(1)},
                                                  {"b", Value(1)},
                                                  {"a", Value(2)},
                                                  {"gone", Value()},
                                                  {"kept", Value()},
                                                  {"a", Value(3)},
                                                  {"kept", Value(4)}}) {
    ops.emplace_back(PutOp{.ns = {"n"}, .key = key, .value = value});
  }
  ASSERT_TRUE(store_.Batch(std::move(ops)).ok());
  EXPECT_EQ(*Get({"n"}, "a")->As<int>(), 3);
  EXPECT_EQ(*Get({"n"}, "b")->As<int>(), 1);
  EXPECT_EQ(Get({"n"}, "gone"), std::nullopt);
  EXPECT_EQ(*Get({"n"}, "kept")->As<int>(), 4);
  EXPECT_EQ(Get({"n"}, "kept")->created_at, created)
      << "its deletion was not done";
}

TEST_F(StoreTest, ItemExpiresAfterItsTimeToLive) {
  Put({"n"}, "a", Value(1), {.ttl = absl::Minutes(10)});
  Put({"n"}, "b", Value(1));
  now_ += absl::Minutes(10) - absl::Nanoseconds(1);
  EXPECT_NE(Get({"n"}, "a", {.refresh_ttl = false}), std::nullopt);
  now_ += absl::Nanoseconds(1);
  EXPECT_EQ(Get({"n"}, "a"), std::nullopt);
  EXPECT_THAT(Paths(store_.Search({"n"})), ElementsAre("n/b"));
}

TEST_F(StoreTest, NamespaceOfExpiredItemsIsNotListed) {
  for (int i = 0; i < 100; ++i) {
    Put({"n"}, std::to_string(i), Value(1), {.ttl = absl::Minutes(1)});
  }
  Put({"o"}, "a");
  now_ += absl::Minutes(1);
  EXPECT_THAT(Joined(store_.ListNamespaces()), ElementsAre("o"));
}

TEST_F(StoreTest, GetBeginsTheTimeToLiveAnew) {
  Put({"n"}, "a", Value(1), {.ttl = absl::Minutes(10)});
  for (int i = 0; i < 5; ++i) {
    now_ += absl::Minutes(9);
    ASSERT_NE(Get({"n"}, "a"), std::nullopt);
  }
  now_ += absl::Minutes(9);
  EXPECT_NE(Get({"n"}, "a", {.refresh_ttl = false}), std::nullopt);
  now_ += absl::Minutes(1);
  EXPECT_EQ(Get({"n"}, "a"), std::nullopt);
}

TEST_F(StoreTest, SearchBeginsTheTimeToLiveAnewOfWhatItGives) {
  Put({"n"}, "a", Value(1), {.ttl = absl::Minutes(10)});
  Put({"n"}, "b", Value(1), {.ttl = absl::Minutes(10)});
  now_ += absl::Minutes(9);
  EXPECT_THAT(Paths(store_.Search({"n"}, {.limit = 1})), ElementsAre("n/a"));
  EXPECT_THAT(Paths(store_.Search({"n"}, {.offset = 1, .refresh_ttl = false})),
              ElementsAre("n/b"));
  now_ += absl::Minutes(9);
  EXPECT_THAT(Paths(store_.Search({"n"})), ElementsAre("n/a"));
}

TEST_F(StoreTest, PutDecidesTheTimeToLiveAnew) {
  Put({"n"}, "a", Value(1), {.ttl = absl::Minutes(1)});
  Put({"n"}, "a", Value(2));
  Put({"n"}, "b", Value(1));
  Put({"n"}, "b", Value(2), {.ttl = absl::Minutes(1)});
  now_ += absl::Hours(1);
  EXPECT_THAT(Paths(store_.Search({"n"})), ElementsAre("n/a"));
}

TEST_F(StoreTest, ExpiredItemIsCreatedAnew) {
  Put({"n"}, "a", Value(1), {.ttl = absl::Minutes(1)});
  now_ += absl::Minutes(1);
  Put({"n"}, "a", Value(2));
  EXPECT_EQ(Get({"n"}, "a")->created_at, now_);
}

TEST_F(StoreTest, ValuesOfExpiredItemsEndWithoutBeingAskedFor) {
  const auto held = std::make_shared<int>(0);
  for (int i = 0; i < 1000; ++i) {
    Put({"n", std::to_string(i % 7)}, std::to_string(i), Value(held),
        {.ttl = absl::Minutes(1)});
  }
  Put({"n"}, "lives", Value(held));
  Put({"n"}, "read", Value(held), {.ttl = absl::Minutes(1)});
  EXPECT_EQ(held.use_count(), 1003);
  now_ += absl::Seconds(59);
  EXPECT_NE(Get({"n"}, "read"), std::nullopt);
  now_ += absl::Seconds(2);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Get({"o"}, "a"), std::nullopt);
  EXPECT_EQ(held.use_count(), 3);
  now_ += absl::Minutes(1);
  EXPECT_EQ(Get({"o"}, "a"), std::nullopt);
  EXPECT_EQ(held.use_count(), 2);
}

TEST_F(StoreTest, ReplacedValuesWithATimeToLiveEndAtOnce) {
  const auto held = std::make_shared<int>(0);
  for (int i = 0; i < 100; ++i) {
    Put({"n"}, "a", Value(held), {.ttl = absl::Minutes(1)});
  }
  EXPECT_EQ(held.use_count(), 2);
  EXPECT_TRUE(store_.Delete({"n"}, "a").ok());
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(StoreTest, TimeToLiveIsAboveZero) {
  EXPECT_THAT(store_.Put({"n"}, "a", Value(1), {.ttl = absl::ZeroDuration()}),
              IsError(ErrorKind::kNone, absl::StatusCode::kInvalidArgument,
                      {"'a'", R"(["n"])", "ttl"}));
}

// Embeds texts as what they say of cats, of dogs and of trees.
absl::StatusOr<std::vector<std::vector<float>>> EmbedAnimals(
    const Strings& texts) {
  std::vector<std::vector<float>> vectors;
  for (const std::string& text : texts) {
    std::vector<float> vector;
    for (const std::string word : {"cat", "dog", "tree"}) {
      float count = 0;
      for (size_t at = text.find(word); at != text.npos;
           at = text.find(word, at + 1)) {
        ++count;
      }
      vector.push_back(count);
    }
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

class SimilarityTest : public StoreTest {
 protected:
  MemoryStoreOptions Options(std::vector<std::string> index = {"$"}) {
    MemoryStoreOptions options = Clock();
    options.index = std::move(index);
    options.embed = [this](const Strings& texts) {
      calls_.push_back(texts);
      return EmbedAnimals(texts);
    };
    return options;
  }

  std::vector<Strings> calls_;
};

TEST_F(SimilarityTest, NearestComesFirst) {
  MemoryStore store(Options());
  Put(store, {"n"}, "a", Value("a dog, a dog, a cat"));
  Put(store, {"n"}, "b", Value("a cat, a cat, a dog"));
  Put(store, {"n"}, "c", Value("a cat"));
  Put(store, {"n"}, "d", Value("a tree"));
  absl::StatusOr<std::vector<StoreItem>> items =
      store.Search({"n"}, {.query = "cats"});
  EXPECT_THAT(Paths(items), ElementsAre("n/c", "n/b", "n/a", "n/d"));
  EXPECT_THAT((*items)[0].score, Optional(DoubleNear(1, 1e-6)));
  EXPECT_THAT((*items)[1].score, Optional(DoubleNear(2 / std::sqrt(5), 1e-6)));
  EXPECT_THAT((*items)[2].score, Optional(DoubleNear(1 / std::sqrt(5), 1e-6)));
  EXPECT_THAT((*items)[3].score, Optional(DoubleNear(0, 1e-6)));
}

TEST_F(SimilarityTest, EquallyNearItemsComeByNamespaceThenKey) {
  MemoryStore store(Options());
  Put(store, {"b"}, "1", Value("cat"));
  Put(store, {"a"}, "2", Value("a cat"));
  Put(store, {"a"}, "1", Value("the cat"));
  EXPECT_THAT(Paths(store.Search({}, {.query = "cat"})),
              ElementsAre("a/1", "a/2", "b/1"));
}

TEST_F(SimilarityTest, ItemCountsByItsNearestVector) {
  MemoryStore store(Options({"title", "parts[*].text"}));
  Put(store, {"n"}, "a",
      Value(Json{{"title", "trees"},
                 {"parts", {{{"text", "dogs"}}, {{"text", "cats"}}}}}));
  Put(store, {"n"}, "b", Value(Json{{"title", "cats and dogs"}}));
  absl::StatusOr<std::vector<StoreItem>> items =
      store.Search({"n"}, {.query = "cat"});
  EXPECT_THAT(Paths(items), ElementsAre("n/a", "n/b"));
  EXPECT_THAT((*items)[0].score, Optional(DoubleNear(1, 1e-6)));
}

TEST_F(SimilarityTest, ItemsWithoutVectorsComeLastWithoutAScore) {
  MemoryStore store(Options());
  Put(store, {"n"}, "a", Value("cat"), {.index = Strings()});
  Put(store, {"n"}, "b", Value("dog"));
  Put(store, {"n"}, "c", Value("cat"), {.index = Strings{"title"}});
  Put(store, {"n"}, "d", Value("cat"));
  absl::StatusOr<std::vector<StoreItem>> items =
      store.Search({"n"}, {.query = "cat"});
  EXPECT_THAT(Paths(items), ElementsAre("n/d", "n/b", "n/a", "n/c"));
  EXPECT_EQ((*items)[2].score, std::nullopt);
  EXPECT_THAT(
      Paths(store.Search({"n"}, {.query = "cat", .limit = 2, .offset = 1})),
      ElementsAre("n/b", "n/a"));
}

TEST_F(SimilarityTest, IndexOfAPutChoosesItsFields) {
  MemoryStore store(Options({"title"}));
  const Json value = {{"title", "cat"}, {"by", {{"name", "dog"}}}};
  Put(store, {"n"}, "a", Value(value));
  Put(store, {"n"}, "b", Value(value), {.index = Strings{"by.name"}});
  Put(store, {"n"}, "c", Value(value), {.index = Strings{"by"}});
  EXPECT_THAT(calls_, ElementsAre(ElementsAre("cat"), ElementsAre("dog"),
                                  ElementsAre(R"({"name": "dog"})")));
}

TEST_F(SimilarityTest, TextsOfAValueAreStringsAsTheyAreAndJsonOfTheRest) {
  MemoryStore store(Options({"$", "s", "n", "null", "none", "l", "l[*]", "e"}));
  Put(store, {"n"}, "a",
      Value(Json{{"s", "a \"dog\"\n"},
                 {"n", 3},
                 {"null", nullptr},
                 {"l", {1, "x"}},
                 {"e", ""}}));
  EXPECT_THAT(
      calls_,
      ElementsAre(ElementsAre(
          R"({"e": "", "l": [1, "x"], "n": 3, "null": null, "s": "a \"dog\"\n"})",
          "a \"dog\"\n", "3", R"([1, "x"])", "1", "x")));
}

TEST_F(SimilarityTest, PutReplacesTheVectors) {
  MemoryStore store(Options());
  Put(store, {"n"}, "a", Value("cat"));
  Put(store, {"n"}, "a", Value("dog"));
  Put(store, {"n"}, "b", Value("cat and dog"));
  EXPECT_THAT(Paths(store.Search({"n"}, {.query = "cat"})),
              ElementsAre("n/b", "n/a"));
}

TEST_F(SimilarityTest, ABatchEmbedsEachTextOnceInOneCall) {
  MemoryStore store(Options());
  std::vector<StoreOp> ops;
  ops.emplace_back(PutOp{.ns = {"n"}, .key = "a", .value = Value("cat")});
  ops.emplace_back(PutOp{.ns = {"n"}, .key = "b", .value = Value("cat")});
  ops.emplace_back(PutOp{.ns = {"n"}, .key = "c", .value = Value("old")});
  ops.emplace_back(PutOp{.ns = {"n"}, .key = "c", .value = Value("dog")});
  ops.emplace_back(PutOp{.ns = {"n"}, .key = "d", .value = Value()});
  ops.emplace_back(SearchOp{.prefix = {}, .options = {.query = "dog"}});
  ASSERT_TRUE(store.Batch(std::move(ops)).ok());
  ASSERT_THAT(calls_, SizeIs(1));
  EXPECT_THAT(calls_[0], testing::UnorderedElementsAre("cat", "dog"));
}

TEST_F(SimilarityTest, QueryAndFilterWorkTogether) {
  MemoryStore store(Options());
  Put(store, {"n"}, "a", Value(Json{{"text", "cat"}, {"year", 1}}));
  Put(store, {"n"}, "b", Value(Json{{"text", "dog"}, {"year", 2}}));
  Put(store, {"n"}, "c", Value(Json{{"text", "cat"}, {"year", 2}}));
  EXPECT_THAT(
      Paths(store.Search({}, {.query = "cat", .filter = {{"year", Value(2)}}})),
      ElementsAre("n/c", "n/b"));
}

TEST_F(SimilarityTest, StoreWithoutAnEmbeddingFunctionIgnoresTheQuery) {
  Put({"n"}, "a", Value("dog"));
  Put({"n"}, "b", Value("cat"), {.index = Strings{"$"}});
  absl::StatusOr<std::vector<StoreItem>> items =
      store_.Search({"n"}, {.query = "cat", .limit = 1});
  EXPECT_THAT(Paths(items), ElementsAre("n/a"));
  EXPECT_EQ((*items)[0].score, std::nullopt);
}

TEST_F(SimilarityTest, FailureToEmbedStoresNothing) {
  absl::Status failure = absl::UnavailableError("no model");
  MemoryStore store({.embed = [&failure](const Strings& texts)
                         -> absl::StatusOr<std::vector<std::vector<float>>> {
    if (!failure.ok()) return failure;
    return EmbedAnimals(texts);
  }});
  EXPECT_EQ(store.Put({"n"}, "a", Value("cat")), failure);
  EXPECT_THAT(Paths(store.Search({})), IsEmpty());
  EXPECT_EQ(store.Search({}, {.query = "cat"}).status(), failure);
  failure = absl::OkStatus();
  EXPECT_TRUE(store.Put({"n"}, "a", Value("cat")).ok());
}

TEST_F(SimilarityTest, BadVectorsAreRefused) {
  std::vector<std::vector<float>> vectors;
  MemoryStore store({.embed = [&vectors](const Strings&) { return vectors; }});
  const auto put = [&] { return store.Put({"n"}, "a", Value("cat")); };
  EXPECT_EQ(put().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(SaidBy(put()), HasSubstr("0 vectors for 1 texts"));
  vectors = {{}};
  EXPECT_EQ(put().code(), absl::StatusCode::kFailedPrecondition);
  vectors = {{1, std::numeric_limits<float>::infinity()}};
  EXPECT_THAT(SaidBy(put()), HasSubstr("finite"));
  vectors = {{1, 2}};
  EXPECT_TRUE(put().ok());
  vectors = {{1, 2, 3}};
  EXPECT_EQ(put().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(SaidBy(put()), AllOf(HasSubstr("of 3"), HasSubstr("have 2")));
  EXPECT_THAT(Paths(store.Search({})), ElementsAre("n/a"));
}

// A host's store: one item, and none that expires.
class OneItemStore final : public Store {
 public:
  StoreCapabilities capabilities() const override { return {}; }

  int executed = 0;

 private:
  absl::StatusOr<std::vector<StoreResult>> Execute(
      std::vector<StoreOp> ops) override {
    ++executed;
    std::vector<StoreResult> results;
    for (StoreOp& op : ops) {
      StoreResult& result = results.emplace_back();
      if (auto* put = std::get_if<PutOp>(&op)) {
        if (put->key == "throw") throw std::runtime_error("disk full");
        if (put->key == "memory") throw std::bad_alloc();
        if (put->key == "short") return std::vector<StoreResult>();
        item_ = StoreItem{
            .ns = put->ns, .key = put->key, .value = std::move(put->value)};
      } else if (std::holds_alternative<GetOp>(op)) {
        result.item = item_;
      } else if (auto* search = std::get_if<SearchOp>(&op)) {
        if (Matches(item_->value, search->options.filter)) {
          result.items.push_back(*item_);
        }
      } else if (auto* list = std::get_if<ListNamespacesOp>(&op)) {
        if (Matches(item_->ns, list->options)) {
          result.namespaces.push_back(item_->ns);
        }
      }
    }
    return results;
  }

  std::optional<StoreItem> item_;
};

TEST(HostStoreTest, NeedsOneFunction) {
  OneItemStore store;
  ASSERT_TRUE(store.Put({"n"}, "a", Value(IntRecord{{"x", 3}})).ok());
  EXPECT_EQ((*store.Get({"n"}, "a"))->key, "a");
  EXPECT_THAT(Paths(store.Search({}, {.filter = {{"x", Value(3)}}})),
              ElementsAre("n/a"));
  EXPECT_THAT(Paths(store.Search({}, {.filter = {{"x", Value(4)}}})),
              IsEmpty());
  EXPECT_THAT(Joined(store.ListNamespaces({.prefix = {"*"}})),
              ElementsAre("n"));
  EXPECT_TRUE(store.Delete({"n"}, "a").ok());
}

TEST(HostStoreTest, IsNotAskedForWhatIsRefused) {
  OneItemStore store;
  EXPECT_FALSE(store.Put({"a.b"}, "a", Value(1)).ok());
  EXPECT_FALSE(
      store.Search({}, {.filter = {{"x", Value(IntRecord{{"$no", 1}})}}}).ok());
  EXPECT_EQ(store.executed, 0);
}

TEST(HostStoreTest, TimeToLiveIsUnimplementedWhereThereIsNone) {
  OneItemStore store;
  EXPECT_THAT(store.Put({"n"}, "a", Value(1), {.ttl = absl::Minutes(5)}),
              IsError(ErrorKind::kNone, absl::StatusCode::kUnimplemented,
                      {"'a'", R"(["n"])", "ttl"}));
  EXPECT_EQ(store.executed, 0);
}

TEST(HostStoreTest, WhatItThrowsIsAStatus) {
  OneItemStore store;
  EXPECT_THAT(store.Put({"n"}, "throw", Value(1)),
              IsError(ErrorKind::kNone, absl::StatusCode::kUnknown,
                      {"store threw", "disk full"}));
  EXPECT_EQ(store.Put({"n"}, "memory", Value(1)).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(HostStoreTest, TooFewResultsAreInternal) {
  OneItemStore store;
  EXPECT_THAT(store.Put({"n"}, "short", Value(1)),
              IsError(ErrorKind::kNone, absl::StatusCode::kInternal,
                      {"0 results for 1 operations"}));
}

// A node that counts its calls in the store; "none" without one.
struct CountInStore {
  Channel<std::string> out;

  NodeResult operator()(NodeContext& node) const {
    Store* store = node.store();
    if (store == nullptr) return Update(out, "none");
    absl::StatusOr<std::optional<StoreItem>> item =
        store->Get({"counts"}, "calls");
    if (!item.ok()) return item.status();
    const int calls = item->has_value() ? *(*item)->As<int>() + 1 : 1;
    if (absl::Status s = store->Put({"counts"}, "calls", Value(calls));
        !s.ok()) {
      return s;
    }
    return Update(out, std::to_string(calls));
  }
};

struct CountingGraph {
  CountingGraph() : out(builder.AddChannel("out", LastValue<std::string>())) {
    builder.AddNode("count", CountInStore{out});
    builder.AddEdge(kStart, "count");
  }
  StateGraph builder;
  Channel<std::string> out;
};

TEST(NodeStoreTest, NodeHasTheStoreOfItsRun) {
  CountingGraph counting;
  const Graph graph = MustCompile(counting.builder);
  MemoryStore store;
  EXPECT_EQ(MustInvoke(graph, Update(), {.store = &store}).Get(counting.out),
            "1");
  EXPECT_EQ(MustInvoke(graph, Update(), {.store = &store}).Get(counting.out),
            "2");
}

TEST(NodeStoreTest, NodeHasNoneIfItsRunHasNone) {
  CountingGraph counting;
  EXPECT_EQ(
      MustInvoke(MustCompile(counting.builder), Update()).Get(counting.out),
      "none");
}

TEST(NodeStoreTest, GraphsInsideHaveTheStoreAroundThem) {
  CountingGraph counting;
  const Graph inner = MustCompile(counting.builder);
  StateGraph builder;
  const auto out = builder.AddChannel("out", LastValue<std::string>());
  builder.AddNode("node", inner);
  builder.AddNode("call", [inner](NodeContext& node) -> NodeResult {
    absl::StatusOr<Values> values = node.Invoke(inner, Update());
    return values.status();
  });
  builder.AddEdge(kStart, "node");
  builder.AddEdge("node", "call");
  MemoryStore store;
  EXPECT_EQ(
      MustInvoke(MustCompile(builder), Update(), {.store = &store}).Get(out),
      "1");
  EXPECT_EQ(*(*store.Get({"counts"}, "calls"))->As<int>(), 2);
}

TEST(NodeStoreTest, RouterHasTheStoreOfItsRun) {
  StateGraph builder;
  const auto out = builder.AddChannel("out", LastValue<std::string>());
  builder.AddNode("a", Idle());
  builder.AddNode(
      "b", [out](NodeContext&) { return Update(out, std::string("b")); });
  builder.AddEdge(kStart, "a");
  builder.AddConditionalEdges("a", [](NodeContext& node) -> Route {
    return node.store() == nullptr ? std::string(kEnd) : std::string("b");
  });
  MemoryStore store;
  EXPECT_EQ(
      MustInvoke(MustCompile(builder), Update(), {.store = &store}).Get(out),
      "b");
}

class RuntimeStoreTest : public testing::Test {
 protected:
  std::string Run(Runtime& runtime, StartOptions options = {}) {
    options.modes = kUpdates;
    absl::StatusOr<RunStream> stream = runtime.Stream(
        runtime.CreateThread(), "count", Update(), std::move(options));
    EXPECT_TRUE(stream.ok()) << stream.status();
    absl::StatusOr<RunResult> result = stream->Result();
    EXPECT_TRUE(result.ok()) << result.status();
    return result->Get(counting_.out);
  }

  CountingGraph counting_;
  SimExecutor executor_{1};
};

TEST_F(RuntimeStoreTest, ThreadsShareTheRuntimesOwn) {
  Runtime runtime({.executor = &executor_});
  ASSERT_TRUE(runtime.Register("count", MustCompile(counting_.builder)).ok());
  EXPECT_EQ(Run(runtime), "1");
  EXPECT_EQ(Run(runtime), "2");
  EXPECT_EQ(*(*runtime.store().Get({"counts"}, "calls"))->As<int>(), 2);
  EXPECT_EQ((*runtime.store().Get({"counts"}, "calls"))->updated_at,
            executor_.Now());
}

TEST_F(RuntimeStoreTest, StoreOfTheOptionsTakesItsPlace) {
  MemoryStore store;
  Runtime runtime({.executor = &executor_, .store = &store});
  ASSERT_TRUE(runtime.Register("count", MustCompile(counting_.builder)).ok());
  EXPECT_EQ(&runtime.store(), &store);
  EXPECT_EQ(Run(runtime), "1");
  MemoryStore of_run;
  EXPECT_EQ(Run(runtime, {.store = &of_run}), "1");
  EXPECT_EQ(Run(runtime), "2");
}

}  // namespace
}  // namespace weir
