// MemoryStore against a store that keeps its items in one map and looks at all
// of them for everything: random batches, filters, queries, lists and times to
// live; what is answered must be the same.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "weir/channels/nlohmann_json.h"
#include "weir/runtime/memory_store.h"
#include "weir/runtime/store.h"

namespace weir {
namespace {

using Json = nlohmann::json;

// Squares: no two texts are equally far from a third.
double AngleOf(double number) { return number * number * 0.05; }

std::vector<float> VectorOf(const std::string& text) {
  const double angle = AngleOf(std::stod(text));
  return {static_cast<float>(std::cos(angle)),
          static_cast<float>(std::sin(angle))};
}

absl::StatusOr<std::vector<std::vector<float>>> Embed(
    const std::vector<std::string>& texts) {
  std::vector<std::vector<float>> vectors;
  vectors.reserve(texts.size());
  for (const std::string& text : texts) vectors.push_back(VectorOf(text));
  return vectors;
}

struct OracleItem {
  Json value;
  bool indexed = true;
  absl::Time created_at;
  absl::Time updated_at;
  absl::Duration ttl;
  absl::Time expires;
};

std::string Describe(const StoreNamespace& ns, const std::string& key,
                     const Json& value, absl::Time created,
                     absl::Time updated) {
  return absl::StrCat(absl::StrJoin(ns, "/"), ":", key, "=", value.dump(), "@",
                      absl::ToUnixSeconds(created), ",",
                      absl::ToUnixSeconds(updated));
}

std::string Describe(const StoreItem& item) {
  return Describe(item.ns, item.key, *item.As<Json>(), item.created_at,
                  item.updated_at);
}

bool Fits(const Json& value, const Json& condition) {
  if (!condition.is_object()) return value == condition;
  bool all = true;
  bool operators = false;
  for (const auto& [name, part] : condition.items()) {
    operators = operators || name[0] == '$';
    if (name == "$eq") {
      all = all && value == part;
    } else if (name == "$ne") {
      all = all && value != part;
    } else if (name[0] == '$') {
      all = all && value.is_number() &&
            (name == "$gt"    ? value > part
             : name == "$gte" ? value >= part
             : name == "$lt"  ? value < part
                              : value <= part);
    } else {
      all = all && value.is_object() &&
            Fits(value.contains(name) ? value[name] : Json(), part);
    }
  }
  return all && (operators || value.is_object());
}

class Oracle {
 public:
  std::vector<std::string> Batch(const std::vector<StoreOp>& ops,
                                 absl::Time now) {
    std::erase_if(items_, [now](const auto& entry) {
      return entry.second.expires <= now;
    });
    std::vector<std::string> results;
    std::vector<Place> refreshed;
    for (const StoreOp& op : ops) {
      if (const auto* get = std::get_if<GetOp>(&op)) {
        results.push_back(Get(*get, &refreshed));
      } else if (const auto* search = std::get_if<SearchOp>(&op)) {
        results.push_back(Search(*search, &refreshed));
      } else if (const auto* list = std::get_if<ListNamespacesOp>(&op)) {
        results.push_back(List(list->options));
      } else {
        results.emplace_back();
      }
    }
    for (const Place& place : refreshed) {
      items_[place].expires = now + items_[place].ttl;
    }
    std::map<Place, const PutOp*> puts;
    for (const StoreOp& op : ops) {
      if (const auto* put = std::get_if<PutOp>(&op)) {
        puts[{put->ns, put->key}] = put;
      }
    }
    for (const auto& [place, put] : puts) Put(place, *put, now);
    return results;
  }

 private:
  using Place = std::pair<StoreNamespace, std::string>;

  static std::string Describe(const Place& place, const OracleItem& item) {
    return weir::Describe(place.first, place.second, item.value,
                          item.created_at, item.updated_at);
  }

  std::string Get(const GetOp& get, std::vector<Place>* refreshed) {
    const Place place(get.ns, get.key);
    const auto at = items_.find(place);
    if (at == items_.end()) return "";
    if (get.options.refresh_ttl) refreshed->push_back(place);
    return Describe(place, at->second);
  }

  std::string Search(const SearchOp& search, std::vector<Place>* refreshed) {
    const SearchOptions& options = search.options;
    std::vector<Place> found;
    for (const auto& [place, item] : items_) {
      StoreNamespace start = place.first;
      start.resize(std::min(start.size(), search.prefix.size()));
      bool matches = start == search.prefix;
      for (const auto& [field, condition] : options.filter) {
        matches = matches &&
                  Fits(item.value.contains(field) ? item.value[field] : Json(),
                       *condition.As<Json>());
      }
      if (matches) found.push_back(place);
    }
    if (!options.query.empty()) {
      const double angle = AngleOf(std::stod(options.query));
      const auto distance = [&](const Place& place) {
        const OracleItem& item = items_[place];
        return item.indexed
                   ? std::abs(AngleOf(item.value["x"].get<double>()) - angle)
                   : 100.0;
      };
      std::stable_sort(found.begin(), found.end(),
                       [&](const Place& a, const Place& b) {
                         return distance(a) < distance(b) - 1e-9;
                       });
    }
    std::vector<std::string> given;
    for (size_t i = options.offset;
         i < found.size() && given.size() < options.limit; ++i) {
      given.push_back(Describe(found[i], items_[found[i]]));
      if (options.refresh_ttl) refreshed->push_back(found[i]);
    }
    return absl::StrJoin(given, " ");
  }

  std::string List(const ListNamespacesOptions& options) {
    std::set<StoreNamespace> namespaces;
    for (const auto& [place, item] : items_) {
      StoreNamespace ns = place.first;
      bool fits = ns.size() >= options.prefix.size() &&
                  ns.size() >= options.suffix.size();
      for (size_t i = 0; fits && i < options.prefix.size(); ++i) {
        fits = options.prefix[i] == "*" || options.prefix[i] == ns[i];
      }
      for (size_t i = 0; fits && i < options.suffix.size(); ++i) {
        const std::string& wanted = options.suffix[i];
        fits = wanted == "*" ||
               wanted == ns[ns.size() - options.suffix.size() + i];
      }
      if (!fits) continue;
      ns.resize(std::min(ns.size(), options.max_depth.value_or(ns.size())));
      namespaces.insert(ns);
    }
    std::vector<std::string> listed;
    size_t index = 0;
    for (const StoreNamespace& ns : namespaces) {
      if (index++ < options.offset || listed.size() == options.limit) continue;
      listed.push_back(absl::StrJoin(ns, "/"));
    }
    return absl::StrJoin(listed, " ");
  }

  void Put(const Place& place, const PutOp& put, absl::Time now) {
    if (!put.value.has_value()) {
      items_.erase(place);
      return;
    }
    const auto [at, added] = items_.try_emplace(place);
    OracleItem& item = at->second;
    item.value = *put.value.As<Json>();
    item.indexed = !put.options.index.has_value();
    if (added) item.created_at = now;
    item.updated_at = now;
    item.ttl = put.options.ttl;
    item.expires = now + item.ttl;
  }

  std::map<Place, OracleItem> items_;
};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  size_t Below(size_t n) { return random_() % n; }

  StoreOp Op() {
    switch (Below(6)) {
      case 0:
        return GetOp{.ns = Namespace(1),
                     .key = Key(),
                     .options = {.refresh_ttl = Below(2) == 0}};
      case 1:
        return SearchOp{.prefix = Namespace(0), .options = Search()};
      case 2:
        return ListNamespacesOp{List()};
      case 3:
        return PutOp{.ns = Namespace(1), .key = Key()};
      default:
        return Put();
    }
  }

 private:
  std::string Label() {
    return std::vector<std::string>{"a", "ab", "b"}[Below(3)];
  }
  StoreNamespace Namespace(size_t least) {
    StoreNamespace ns;
    for (size_t n = least + Below(3); n > 0; --n) ns.push_back(Label());
    return ns;
  }
  StoreNamespace Pattern() {
    StoreNamespace pattern = Namespace(0);
    for (std::string& label : pattern) {
      if (Below(3) == 0) label = "*";
    }
    return pattern;
  }
  std::string Key() { return std::to_string(Below(4)); }
  Json Number() {
    return Below(2) == 0 ? Json(static_cast<int>(Below(6)))
                         : Json(static_cast<double>(Below(6)));
  }

  StoreOp Put() {
    Json value = {{"x", static_cast<int>(Below(6))}};
    if (Below(2) == 0) value["y"] = {{"z", Number()}, {"s", Label()}};
    if (Below(2) == 0) value["l"] = {Number(), Label()};
    PutOp put{.ns = Namespace(1), .key = Key(), .value = Value(value)};
    if (Below(3) == 0) put.options.index.emplace();
    if (Below(2) == 0) {
      put.options.ttl = absl::Seconds(static_cast<int64_t>(1 + Below(20)));
    }
    return put;
  }

  SearchOptions Search() {
    SearchOptions options{
        .limit = Below(12), .offset = Below(4), .refresh_ttl = Below(2) == 0};
    if (Below(3) == 0) options.query = std::to_string(Below(6));
    if (Below(3) == 0) options.filter["x"] = Value(Condition());
    if (Below(4) == 0) options.filter["y"] = Value(Json{{"z", Condition()}});
    if (Below(6) == 0) {
      options.filter["y"] = Value(Json{{"$ne", {{"z", 1}, {"s", "a"}}}});
    }
    if (Below(6) == 0) options.filter["l"] = Value(Json{Number(), Label()});
    return options;
  }
  Json Condition() {
    if (Below(3) == 0) return Number();
    Json condition = Json::object();
    for (size_t n = 1 + Below(2); n > 0; --n) {
      constexpr const char* kNames[] = {"$eq",  "$ne", "$gt",
                                        "$gte", "$lt", "$lte"};
      condition[kNames[Below(6)]] = Number();
    }
    return condition;
  }

  ListNamespacesOptions List() {
    ListNamespacesOptions options{.limit = Below(12), .offset = Below(4)};
    if (Below(2) == 0) options.prefix = Pattern();
    if (Below(2) == 0) options.suffix = Pattern();
    if (Below(2) == 0) options.max_depth = Below(4);
    return options;
  }

  std::mt19937_64 random_;
};

std::string Describe(const StoreResult& result) {
  std::vector<std::string> parts;
  if (result.item.has_value()) parts.push_back(Describe(*result.item));
  for (const StoreItem& item : result.items) parts.push_back(Describe(item));
  for (const StoreNamespace& ns : result.namespaces) {
    parts.push_back(absl::StrJoin(ns, "/"));
  }
  return absl::StrJoin(parts, " ");
}

TEST(MemoryStoreOracleTest, AnswersAsAStoreThatLooksAtEverything) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Generator generator(seed);
    absl::Time now = absl::FromUnixSeconds(1'000);
    MemoryStore store(
        {.now = [&now] { return now; }, .embed = Embed, .index = {"x"}});
    Oracle oracle;
    for (int batch = 0; batch < 150; ++batch) {
      std::vector<StoreOp> ops;
      for (size_t n = 1 + generator.Below(6); n > 0; --n) {
        ops.push_back(generator.Op());
      }
      const std::vector<std::string> expected = oracle.Batch(ops, now);
      const absl::StatusOr<std::vector<StoreResult>> results =
          store.Batch(std::move(ops));
      ASSERT_TRUE(results.ok()) << results.status();
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ(Describe((*results)[i]), expected[i])
            << "batch " << batch << ", operation " << i;
      }
      now += absl::Seconds(static_cast<int64_t>(generator.Below(4)));
    }
  }
}

}  // namespace
}  // namespace weir
