// Workers put and delete pairs of items, each pair in one batch, while others
// get, search and list, and time goes on.
//
// Allowed:    a reader that finds both items of a pair, or none.
// Forbidden:  one item of a pair without the other, or two of different puts;
//             an item that was updated before it was created; a namespace that
//             is listed of a pair that the same batch does not find; a value
//             that ends twice or never; a data race.

#include "weir/runtime/store.h"

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <latch>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "weir/channels/value.h"
#include "weir/runtime/memory_store.h"

namespace weir {

struct Counted {
  Counted() { live.fetch_add(1, std::memory_order_relaxed); }
  explicit Counted(uint64_t n) : number(n) {
    live.fetch_add(1, std::memory_order_relaxed);
  }
  Counted(const Counted& other) : number(other.number) {
    live.fetch_add(1, std::memory_order_relaxed);
  }
  Counted& operator=(const Counted&) = default;
  ~Counted() { live.fetch_sub(1, std::memory_order_relaxed); }

  uint64_t number = 0;
  static inline std::atomic<int64_t> live{0};  // A counter.
};

// A record of one field, for looking only.
template <>
struct Codec<Counted> {
  static void AppendJson(const Counted& v, std::string* out) {
    Codec<uint64_t>::AppendJson(v.number, out);
  }
  static void ForEachField(const Counted& v,
                           absl::FunctionRef<void(std::string_view, Value)> f) {
    f("number", Value(v.number));
  }
  static bool FindField(const Counted& v, std::string_view name, Value* out) {
    if (name != "number") return false;
    *out = Value(v.number);
    return true;
  }
};

namespace {

constexpr int kWorkers = 4;
constexpr int kRounds = 10'000;
constexpr uint64_t kPairs = 40;

class Stress {
 public:
  explicit Stress(bool embeds)
      : store_({.now =
                    [this] {
                      return absl::FromUnixMicros(
                          time_.fetch_add(1, std::memory_order_relaxed));
                    },
                .embed = embeds ? EmbedFunction(Embed) : nullptr}) {}

  void Round(std::mt19937_64& random) {
    const uint64_t pair = random() % kPairs;
    const StoreNamespace ns = {"pairs", absl::StrFormat("%d", pair)};
    switch (random() % 6) {
      case 0:
        return PutBoth(ns, Value(Counted(random())), random);
      case 1:
        return PutBoth(ns, Value(), random);
      case 2:
        return GetBoth(ns, random() % 2 == 0);
      case 3:
        return SearchBoth(ns, random);
      case 4:
        return SearchAll(random);
      default:
        return List(ns);
    }
  }

 private:
  static absl::StatusOr<std::vector<std::vector<float>>> Embed(
      const std::vector<std::string>& texts) {
    std::vector<std::vector<float>> vectors;
    vectors.reserve(texts.size());
    for (const std::string& text : texts) {
      vectors.push_back({static_cast<float>(text.size()), 1.0F});
    }
    return vectors;
  }

  static void Check(const StoreItem& item) {
    ASSERT_LE(item.created_at, item.updated_at);
    ASSERT_NE(item.As<Counted>(), nullptr);
  }
  static void CheckPair(const StoreItem& a, const StoreItem& b) {
    Check(a);
    Check(b);
    ASSERT_EQ(a.ns, b.ns);
    ASSERT_EQ(a.As<Counted>(), b.As<Counted>()) << "two values";
    ASSERT_EQ(a.updated_at, b.updated_at);
    ASSERT_EQ(a.created_at, b.created_at);
  }

  void PutBoth(const StoreNamespace& ns, const Value& value,
               std::mt19937_64& random) {
    PutOptions options;
    if (random() % 2 == 0) {
      options.ttl =
          absl::Microseconds(1 + static_cast<int64_t>(random() % 200));
    }
    std::vector<StoreOp> ops;
    for (const char* key : {"b", "a"}) {
      ops.emplace_back(
          PutOp{.ns = ns, .key = key, .value = value, .options = options});
    }
    ASSERT_TRUE(store_.Batch(std::move(ops)).ok());
  }

  void GetBoth(const StoreNamespace& ns, bool refresh) {
    std::vector<StoreOp> ops;
    for (const char* key : {"a", "b"}) {
      ops.emplace_back(
          GetOp{.ns = ns, .key = key, .options = {.refresh_ttl = refresh}});
    }
    absl::StatusOr<std::vector<StoreResult>> results =
        store_.Batch(std::move(ops));
    ASSERT_TRUE(results.ok());
    const StoreResult& a = (*results)[0];
    const StoreResult& b = (*results)[1];
    ASSERT_EQ(a.item.has_value(), b.item.has_value());
    if (a.item.has_value()) CheckPair(*a.item, *b.item);
  }

  void SearchBoth(const StoreNamespace& ns, std::mt19937_64& random) {
    SearchOptions options{.refresh_ttl = random() % 2 == 0};
    if (random() % 2 == 0) {
      options.filter["number"] =
          Value(std::map<std::string, uint64_t>{{"$gte", random()}});
    }
    if (random() % 2 == 0) options.query = "numbers";
    absl::StatusOr<std::vector<StoreItem>> items =
        store_.Search(ns, std::move(options));
    ASSERT_TRUE(items.ok());
    if (items->empty()) return;
    ASSERT_EQ(items->size(), 2);
    CheckPair((*items)[0], (*items)[1]);
  }

  void SearchAll(std::mt19937_64& random) {
    absl::StatusOr<std::vector<StoreItem>> items = store_.Search(
        {}, {.limit = 2 * kPairs, .refresh_ttl = random() % 2 == 0});
    ASSERT_TRUE(items.ok());
    ASSERT_EQ(items->size() % 2, 0);
    for (size_t i = 0; i < items->size(); i += 2) {
      CheckPair((*items)[i], (*items)[i + 1]);
    }
  }

  void List(const StoreNamespace& ns) {
    std::vector<StoreOp> ops;
    ops.emplace_back(ListNamespacesOp{{.prefix = ns}});
    ops.emplace_back(GetOp{.ns = ns, .key = "a"});
    ops.emplace_back(GetOp{.ns = ns, .key = "b"});
    absl::StatusOr<std::vector<StoreResult>> results =
        store_.Batch(std::move(ops));
    ASSERT_TRUE(results.ok());
    ASSERT_EQ((*results)[0].namespaces.size(),
              (*results)[1].item.has_value() ? 1 : 0);
  }

  // Microseconds: one for each batch. Only a counter: relaxed is enough.
  std::atomic<int64_t> time_{0};
  MemoryStore store_;
};

uint64_t Seed() {
  const uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

class StoreStressTest : public testing::TestWithParam<bool> {};

TEST_P(StoreStressTest, PairsStayTogether) {
  const uint64_t seed = Seed();
  {
    Stress stress(GetParam());
    std::latch start(kWorkers);
    std::vector<std::jthread> workers;
    workers.reserve(kWorkers);
    for (int i = 0; i < kWorkers; ++i) {
      workers.emplace_back([i, seed, &start, &stress] {
        std::mt19937_64 random(seed + static_cast<uint64_t>(i));
        start.arrive_and_wait();
        for (int round = 0;
             round < kRounds && !testing::Test::HasFatalFailure(); ++round) {
          stress.Round(random);
        }
      });
    }
  }
  EXPECT_EQ(Counted::live.load(std::memory_order_relaxed), 0);
}

INSTANTIATE_TEST_SUITE_P(Queries, StoreStressTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& param) {
                           return std::string(param.param ? "Embedded"
                                                          : "Ignored");
                         });

}  // namespace
}  // namespace weir
