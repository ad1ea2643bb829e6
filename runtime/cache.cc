#include <utility>

#include "absl/strings/str_cat.h"

#include "weir/runtime/internal/result_cache.h"

namespace weir {
inline namespace v0 {

Cache::Cache() : rep_(std::make_unique<Rep>()) {}
Cache::~Cache() = default;
void Cache::Clear(std::string_view node) { rep_->Clear(node); }
void Cache::Clear() { rep_->Clear(""); }
size_t Cache::size() const { return rep_->size(); }

std::optional<internal::CachedResult> Cache::Rep::Get(const std::string& key,
                                                      absl::Time now) {
  absl::MutexLock lock(&mutex_);
  auto it = entries_.find(key);
  if (it == entries_.end()) return std::nullopt;
  if (it->second.expires <= now) {
    entries_.erase(it);
    return std::nullopt;
  }
  return it->second.result;
}

void Cache::Rep::Put(const std::string& key, std::string_view node,
                     internal::CachedResult result, absl::Time expires) {
  absl::MutexLock lock(&mutex_);
  entries_.insert_or_assign(
      key, Entry{std::string(node), std::move(result), expires});
}

void Cache::Rep::Clear(std::string_view node) {
  absl::MutexLock lock(&mutex_);
  if (node.empty()) {
    entries_.clear();
    return;
  }
  absl::erase_if(entries_, [node](const auto& entry) {
    return entry.second.node == node;
  });
}

size_t Cache::Rep::size() const {
  absl::MutexLock lock(&mutex_);
  return entries_.size();
}

namespace internal {

absl::StatusOr<std::string> CacheKey(const CompiledGraph& graph,
                                     const CompiledNode& node, bool called,
                                     const CachePolicy& policy,
                                     const Value& input) {
  // No name holds a NUL, so the parts cannot run into each other.
  std::string key = absl::StrCat(
      graph.schema, absl::string_view("\0", 1), called ? "call" : "node",
      absl::string_view("\0", 1), node.name, absl::string_view("\0", 1));
  if (policy.key) return key + policy.key(input);
  // Each value with its type: equal bytes of two types are two inputs.
  auto append = [&key](std::string_view name, const Value& value) {
    std::string bytes;
    if (absl::Status s = value.Encode(&bytes); !s.ok()) return s;
    for (const std::string_view part :
         {name, value.type_name(), std::string_view(bytes)}) {
      absl::StrAppend(&key, part.size(), ":",
                      absl::string_view(part.data(), part.size()));
    }
    return absl::OkStatus();
  };
  const Values* channels = input.As<Values>();
  if (channels == nullptr) {
    if (absl::Status s = append("", input); !s.ok()) return s;
    return key;
  }
  for (const Values::Item& item : channels->items()) {
    if (absl::Status s = append(channels->name(item), item.value); !s.ok()) {
      return s;
    }
  }
  return key;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
