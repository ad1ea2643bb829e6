#include "weir/runtime/memory_store.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

#include "weir/runtime/internal/embedding.h"
#include "weir/runtime/internal/ref.h"
#include "weir/stream/internal/steady_time.h"

// An item is immutable: what is found under the lock is shared, and filtered,
// scored and copied after it. So a batch runs in four parts: it embeds texts
// and makes the items of its puts; under the lock it finds what it reads, then
// puts; it works on what was found; and, if the items that it gives live for a
// time, it takes the lock again to begin that time anew.
//
// Times to live: each entry that has one is in a queue by time. A read that
// refreshes an entry leaves it where it is in the queue; it moves when its turn
// comes. Each batch looks at a few of the first whose time has come, more than
// it can add, so that the rest keeps pace; reads pass over what has expired and
// is still there.

namespace weir {
inline namespace v0 {
namespace {

using internal::Embeddings;
using internal::Ref;
using internal::Vector;

struct Item : internal::RefCounted<Item> {
  std::shared_ptr<const StoreNamespace> ns;  // Shared by all in a namespace.
  std::string key;
  Value value;
  absl::Time created_at;
  absl::Time updated_at;
  absl::Duration ttl;
  std::vector<Vector> vectors;
};
using Items = std::vector<Ref<Item>>;

struct Entry;
using Due = std::multimap<absl::Time, Entry*>;

struct Entry {
  Ref<Item> item;
  absl::Time expires;
  Due::iterator due;  // The end if it never expires. Not after `expires`.
};

struct Space {
  std::shared_ptr<const StoreNamespace> name;
  std::map<std::string, Entry> entries;  // Never empty.
};

// A put or a deletion that is to be done.
struct Write {
  PutOp* op;
  Ref<Item> item{};             // Null: deletes.
  std::vector<size_t> texts{};  // Of the embeddings.
};

// A search under way.
struct Look {
  const SearchOp* op;
  StoreResult* result;
  std::optional<size_t> query{};  // Of the embeddings.
  Items found{};

  // How many items are looked for, those that are passed over included.
  size_t wanted() const {
    const SearchOptions& options = op->options;
    return std::min(options.limit,
                    std::numeric_limits<size_t>::max() - options.offset) +
           options.offset;
  }
  // How many of the prefix have to be looked at to find them.
  size_t needed() const {
    return op->options.filter.empty() && !query.has_value()
               ? wanted()
               : std::numeric_limits<size_t>::max();
  }
};

bool StartsWith(const StoreNamespace& ns, absl::Span<const std::string> with) {
  return ns.size() >= with.size() &&
         std::equal(with.begin(), with.end(), ns.begin());
}

StoreItem ToStoreItem(const Item& item) {
  return {.ns = *item.ns,
          .key = item.key,
          .value = item.value,
          .created_at = item.created_at,
          .updated_at = item.updated_at};
}

// The puts of a batch that are to be done: the last of each key.
std::vector<Write> LastPuts(std::vector<StoreOp>& ops) {
  std::vector<Write> writes;
  for (StoreOp& op : ops) {
    if (auto* put = std::get_if<PutOp>(&op)) writes.push_back({.op = put});
  }
  if (writes.size() < 2) return writes;
  const auto where = [](const Write& w) {
    return std::tie(w.op->ns, w.op->key);
  };
  std::stable_sort(
      writes.begin(), writes.end(),
      [&where](const Write& a, const Write& b) { return where(a) < where(b); });
  // From the back, as std::unique() keeps the first.
  const auto dropped = std::unique(writes.rbegin(), writes.rend(),
                                   [&where](const Write& a, const Write& b) {
                                     return where(a) == where(b);
                                   });
  writes.erase(writes.begin(), dropped.base());
  return writes;
}

// Makes the items of `writes`, without what is known only under the lock.
void MakeItems(absl::Span<Write> writes) {
  for (Write& write : writes) {
    if (!write.op->value.has_value()) continue;
    write.item = Ref<Item>::Adopt(new Item);
    write.item->key = write.op->key;
    write.item->value = std::move(write.op->value);
    write.item->ttl = write.op->options.ttl;
  }
}

// Leaves of what `look` has found that which is to be given, with scores.
std::vector<std::optional<double>> Choose(const Embeddings& embeddings,
                                          Look& look) {
  const SearchOptions& options = look.op->options;
  Items& found = look.found;
  const size_t wanted = look.wanted();
  if (!options.filter.empty()) {
    Items matching;
    for (Ref<Item>& item : found) {
      if (!look.query.has_value() && matching.size() == wanted) break;
      if (Matches(item->value, options.filter)) {
        matching.push_back(std::move(item));
      }
    }
    found = std::move(matching);
  }
  struct Scored {
    std::optional<double> score;
    size_t index;
  };
  std::vector<Scored> scored(found.size());
  for (size_t i = 0; i < found.size(); ++i) {
    scored[i].index = i;
    if (look.query.has_value()) {
      scored[i].score =
          internal::Score(embeddings.vector(*look.query), found[i]->vectors);
    }
  }
  const size_t end = std::min(wanted, scored.size());
  const size_t begin = std::min(options.offset, end);
  if (look.query.has_value()) {
    // An absent score is less than any.
    std::partial_sort(
        scored.begin(), scored.begin() + static_cast<ptrdiff_t>(end),
        scored.end(), [](const Scored& a, const Scored& b) {
          return a.score != b.score ? a.score > b.score : a.index < b.index;
        });
  }
  Items chosen;
  std::vector<std::optional<double>> scores;
  for (size_t i = begin; i < end; ++i) {
    chosen.push_back(std::move(found[scored[i].index]));
    scores.push_back(scored[i].score);
  }
  found = std::move(chosen);
  return scores;
}

}  // namespace

struct MemoryStore::Rep {
  // Fixed after construction.
  MemoryStoreOptions options;

  absl::Mutex mutex;
  std::map<StoreNamespace, Space> spaces ABSL_GUARDED_BY(mutex);
  Due due ABSL_GUARDED_BY(mutex);
  // The greatest that a batch had, and the least that the next has: else one
  // that is late would find some of what a sweep has left of what expired.
  absl::Time latest ABSL_GUARDED_BY(mutex) = absl::InfinitePast();
  // How many numbers a vector has; 0 before the first.
  size_t dimensions ABSL_GUARDED_BY(mutex) = 0;

  absl::Status Embed(absl::Span<Write> writes, absl::Span<Look> looks,
                     Embeddings& embeddings);

  // What these take out goes to `ended`, to end without the lock.
  absl::Status Do(absl::Time now, const std::vector<StoreOp>& ops,
                  const Embeddings& embeddings, absl::Span<Write> writes,
                  absl::Span<Look> looks, std::vector<StoreResult>& results,
                  Items& ended) ABSL_LOCKS_EXCLUDED(mutex);
  void Refresh(absl::Time now, absl::Span<const Look> looks)
      ABSL_LOCKS_EXCLUDED(mutex);

  Entry* Find(const StoreNamespace& ns, const std::string& key, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Find(absl::Time now, Look& look) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  std::vector<StoreNamespace> List(absl::Time now,
                                   const ListNamespacesOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Put(absl::Time now, Write& write, Items& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Delete(const StoreNamespace& ns, const std::string& key, Items& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Sweep(absl::Time now, size_t most, Items& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
};

// Embeds the queries of `looks` and the texts of `writes`.
absl::Status MemoryStore::Rep::Embed(absl::Span<Write> writes,
                                     absl::Span<Look> looks,
                                     Embeddings& embeddings) {
  if (!options.embed) return absl::OkStatus();
  for (Look& look : looks) {
    const std::string& query = look.op->options.query;
    if (!query.empty()) look.query = embeddings.Add(query);
  }
  for (Write& write : writes) {
    if (!write.item) continue;
    std::vector<std::string> texts;
    for (const std::string& path :
         write.op->options.index.value_or(options.index)) {
      internal::AddTexts(write.item->value, path, &texts);
    }
    for (std::string& text : texts) {
      write.texts.push_back(embeddings.Add(std::move(text)));
    }
  }
  if (absl::Status s = embeddings.Embed(options.embed); !s.ok()) return s;
  for (Write& write : writes) {
    for (size_t text : write.texts) {
      write.item->vectors.push_back(embeddings.vector(text));
    }
  }
  return absl::OkStatus();
}

absl::Status MemoryStore::Rep::Do(
    absl::Time now, const std::vector<StoreOp>& ops,
    const Embeddings& embeddings, absl::Span<Write> writes,
    absl::Span<Look> looks, std::vector<StoreResult>& results, Items& ended) {
  absl::MutexLock lock(&mutex);
  if (const size_t numbers = embeddings.dimensions(); numbers > 0) {
    if (dimensions == 0) dimensions = numbers;
    if (dimensions != numbers) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "the embedding function gave vectors of %d numbers; those before "
          "have %d",
          numbers, dimensions));
    }
  }
  now = latest = std::max(latest, now);
  Sweep(now, 16 + 2 * writes.size(), ended);
  for (size_t i = 0; i < ops.size(); ++i) {
    if (const auto* get = std::get_if<GetOp>(&ops[i])) {
      Entry* entry = Find(get->ns, get->key, now);
      if (entry == nullptr) continue;
      results[i].item = ToStoreItem(*entry->item);
      if (get->options.refresh_ttl) {
        entry->expires = std::max(entry->expires, now + entry->item->ttl);
      }
    } else if (const auto* list = std::get_if<ListNamespacesOp>(&ops[i])) {
      results[i].namespaces = List(now, list->options);
    }
  }
  for (Look& look : looks) Find(now, look);
  for (Write& write : writes) {
    if (write.item) {
      Put(now, write, ended);
    } else {
      Delete(write.op->ns, write.op->key, ended);
    }
  }
  return absl::OkStatus();
}

void MemoryStore::Rep::Refresh(absl::Time now, absl::Span<const Look> looks) {
  absl::MutexLock lock(&mutex);
  now = latest = std::max(latest, now);
  for (const Look& look : looks) {
    if (!look.op->options.refresh_ttl) continue;
    for (const Ref<Item>& item : look.found) {
      Entry* entry = Find(*item->ns, item->key, now);
      if (entry == nullptr || entry->item.get() != item.get()) continue;
      entry->expires = std::max(entry->expires, now + item->ttl);
    }
  }
}

// Null if there is none, or it has expired.
Entry* MemoryStore::Rep::Find(const StoreNamespace& ns, const std::string& key,
                              absl::Time now) {
  const auto space = spaces.find(ns);
  if (space == spaces.end()) return nullptr;
  const auto at = space->second.entries.find(key);
  if (at == space->second.entries.end()) return nullptr;
  return at->second.expires > now ? &at->second : nullptr;
}

void MemoryStore::Rep::Find(absl::Time now, Look& look) {
  const size_t needed = look.needed();
  const StoreNamespace& prefix = look.op->prefix;
  for (auto space = spaces.lower_bound(prefix);
       space != spaces.end() && StartsWith(space->first, prefix); ++space) {
    for (const auto& [key, entry] : space->second.entries) {
      if (look.found.size() >= needed) return;
      if (entry.expires > now) look.found.push_back(entry.item);
    }
  }
}

std::vector<StoreNamespace> MemoryStore::Rep::List(
    absl::Time now, const ListNamespacesOptions& conditions) {
  // The labels before the first that may be any.
  const absl::Span<const std::string> literal(
      conditions.prefix.data(),
      static_cast<size_t>(std::distance(
          conditions.prefix.begin(),
          std::find(conditions.prefix.begin(), conditions.prefix.end(), "*"))));
  std::vector<StoreNamespace> listed;
  StoreNamespace last;
  bool any = false;
  size_t passed_over = 0;
  for (auto space = spaces.lower_bound({literal.begin(), literal.end()});
       space != spaces.end() && StartsWith(space->first, literal); ++space) {
    const StoreNamespace& ns = space->first;
    const size_t depth =
        std::min(ns.size(), conditions.max_depth.value_or(ns.size()));
    // In this order those that become equal are next to one another.
    if (any && last.size() == depth && StartsWith(ns, last)) continue;
    const auto& entries = space->second.entries;
    if (!Matches(ns, conditions) ||
        std::none_of(entries.begin(), entries.end(), [now](const auto& entry) {
          return entry.second.expires > now;
        })) {
      continue;
    }
    any = true;
    last.assign(ns.begin(), ns.begin() + static_cast<ptrdiff_t>(depth));
    if (passed_over < conditions.offset) {
      ++passed_over;
      continue;
    }
    if (listed.size() == conditions.limit) break;
    listed.push_back(last);
  }
  return listed;
}

void MemoryStore::Rep::Put(absl::Time now, Write& write, Items& ended) {
  Space& space = spaces[write.op->ns];
  if (space.name == nullptr) {
    space.name = std::make_shared<const StoreNamespace>(write.op->ns);
  }
  Ref<Item>& item = write.item;
  item->ns = space.name;
  item->created_at = now;
  item->updated_at = now;
  const auto [at, added] = space.entries.try_emplace(write.op->key);
  Entry& entry = at->second;
  if (!added) {
    if (entry.expires > now) item->created_at = entry.item->created_at;
    ended.push_back(std::move(entry.item));
    if (entry.due != due.end()) due.erase(entry.due);
  }
  entry.expires = now + item->ttl;
  entry.due = item->ttl < absl::InfiniteDuration()
                  ? due.emplace(entry.expires, &entry)
                  : due.end();
  entry.item = std::move(item);
}

void MemoryStore::Rep::Delete(const StoreNamespace& ns, const std::string& key,
                              Items& ended) {
  const auto space = spaces.find(ns);
  if (space == spaces.end()) return;
  const auto at = space->second.entries.find(key);
  if (at == space->second.entries.end()) return;
  if (at->second.due != due.end()) due.erase(at->second.due);
  ended.push_back(std::move(at->second.item));
  space->second.entries.erase(at);
  if (space->second.entries.empty()) spaces.erase(space);
}

// Looks at no more than `most` entries whose time has come.
void MemoryStore::Rep::Sweep(absl::Time now, size_t most, Items& ended) {
  for (; most > 0 && !due.empty() && due.begin()->first <= now; --most) {
    Entry* entry = due.begin()->second;
    if (entry->expires > now) {
      auto node = due.extract(due.begin());
      node.key() = entry->expires;
      entry->due = due.insert(std::move(node));
    } else {
      const Ref<Item> item = entry->item;
      Delete(*item->ns, item->key, ended);
    }
  }
}

MemoryStore::MemoryStore(MemoryStoreOptions options)
    : rep_(std::make_unique<Rep>()) {
  rep_->options = std::move(options);
  if (!rep_->options.now) rep_->options.now = &internal::SteadyNow;
}

MemoryStore::~MemoryStore() = default;

StoreCapabilities MemoryStore::capabilities() const { return {.ttl = true}; }

absl::StatusOr<std::vector<StoreResult>> MemoryStore::Execute(
    std::vector<StoreOp> ops) {
  const absl::Time now = rep_->options.now();
  std::vector<StoreResult> results(ops.size());
  std::vector<Write> writes = LastPuts(ops);
  MakeItems(absl::MakeSpan(writes));
  std::vector<Look> looks;
  for (size_t i = 0; i < ops.size(); ++i) {
    if (const auto* search = std::get_if<SearchOp>(&ops[i])) {
      looks.push_back({.op = search, .result = &results[i]});
    }
  }
  Embeddings embeddings;
  absl::Status status =
      rep_->Embed(absl::MakeSpan(writes), absl::MakeSpan(looks), embeddings);
  if (!status.ok()) return status;

  Items ended;
  status = rep_->Do(now, ops, embeddings, absl::MakeSpan(writes),
                    absl::MakeSpan(looks), results, ended);
  if (!status.ok()) return status;

  bool refresh = false;
  for (Look& look : looks) {
    const std::vector<std::optional<double>> scores = Choose(embeddings, look);
    for (size_t i = 0; i < look.found.size(); ++i) {
      const Item& item = *look.found[i];
      refresh = refresh || item.ttl < absl::InfiniteDuration();
      StoreItem& given = look.result->items.emplace_back(ToStoreItem(item));
      given.score = scores[i];
    }
  }
  if (refresh) rep_->Refresh(now, looks);
  return results;
}

}  // namespace v0
}  // namespace weir
