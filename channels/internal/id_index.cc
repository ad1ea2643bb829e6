#include "weir/channels/internal/id_index.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr size_t kMaxRecent = 16;

}  // namespace

struct IdIndex::Table {
  absl::flat_hash_map<std::string, size_t> positions;
};

std::optional<size_t> IdIndex::Find(std::string_view id) const {
  for (size_t i = recent_.size(); i > 0; --i) {
    if (recent_[i - 1].first == id) return recent_[i - 1].second;
  }
  for (size_t i = tables_.size(); i > 0; --i) {
    const auto& positions = tables_[i - 1]->positions;
    // Abseil may have a string_view of its own.
    const auto it = positions.find(absl::string_view(id.data(), id.size()));
    if (it != positions.end()) return it->second;
  }
  return std::nullopt;
}

void IdIndex::Set(std::string_view id, size_t position) {
  recent_.emplace_back(id, position);
  if (recent_.size() == kMaxRecent) Freeze();
}

// Turns the recent ids into a table, and takes in the older tables that are not
// more than twice its size. What is newer wins: it is inserted first.
void IdIndex::Freeze() {
  auto table = std::make_shared<Table>();
  for (size_t i = recent_.size(); i > 0; --i) {
    table->positions.insert(std::move(recent_[i - 1]));
  }
  recent_.clear();
  while (!tables_.empty() &&
         tables_.back()->positions.size() <= 2 * table->positions.size()) {
    const auto& older = tables_.back()->positions;
    table->positions.reserve(table->positions.size() + older.size());
    table->positions.insert(older.begin(), older.end());
    tables_.pop_back();
  }
  tables_.push_back(std::move(table));
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
