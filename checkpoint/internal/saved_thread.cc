#include "weir/checkpoint/internal/saved_thread.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "absl/strings/string_view.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr size_t kFewWrites = 16;  // As many are compared one by one.

bool Numbered(const std::vector<PendingWrite>& writes) {
  const auto broken = [](const PendingWrite& a, const PendingWrite& b) {
    return a.index >= b.index || a.task_id != b.task_id;
  };
  return std::adjacent_find(writes.begin(), writes.end(), broken) ==
         writes.end();
}

bool OfOneRun(const PendingWrite& a, const PendingWrite& b) {
  if (a.run_id == nullptr || b.run_id == nullptr) return a.run_id == b.run_id;
  return a.run_id == b.run_id || *a.run_id == *b.run_id;
}

// Moves those of which `drop` is true to `dropped`. Whether there are any.
bool Extract(std::vector<PendingWrite>& writes,
             absl::FunctionRef<bool(const PendingWrite&)> drop,
             std::vector<PendingWrite>& dropped) {
  const auto kept =
      std::stable_partition(writes.begin(), writes.end(),
                            [drop](const PendingWrite& w) { return !drop(w); });
  if (kept == writes.end()) return false;
  std::move(kept, writes.end(), std::back_inserter(dropped));
  writes.erase(kept, writes.end());
  return true;
}

}  // namespace

PendingWrite* SavedWrites::Find(const PendingWrite& write) {
  if (places_ != nullptr) {
    const auto at = places_->find(std::pair(write.task_id, write.index));
    return at == places_->end() ? nullptr : &writes_[at->second];
  }
  for (PendingWrite& w : writes_) {
    if (w.index == write.index && w.task_id == write.task_id) return &w;
  }
  return nullptr;
}

void SavedWrites::Add(PendingWrite write) {
  writes_.push_back(std::move(write));
  if (writes_.size() <= kFewWrites) return;
  if (places_ == nullptr) places_ = std::make_unique<Places>();
  for (size_t i = places_->size(); i < writes_.size(); ++i) {
    places_->emplace(std::pair(writes_[i].task_id, writes_[i].index), i);
  }
}

void SavedWrites::Put(std::vector<PendingWrite>& writes) {
  if (writes_.empty() && writes.size() <= kFewWrites && Numbered(writes)) {
    writes_ = std::move(writes);
    return;
  }
  for (PendingWrite& write : writes) {
    PendingWrite* stored = Find(write);
    if (stored == nullptr) {
      Add(std::move(write));
    } else {
      GiveWay(*stored, write);
    }
  }
}

// Leaves in `stored` which of the two shows in their place. The other one, if
// it is another run's, is hidden; what nobody needs is left in `write`.
void SavedWrites::GiveWay(PendingWrite& stored, PendingWrite& write) {
  if (write.index < 0) std::swap(stored, write);
  if (OfOneRun(stored, write)) return;
  if (hidden_ == nullptr) hidden_ = std::make_unique<Hidden>();
  std::vector<PendingWrite>& hidden =
      (*hidden_)[Place(write.task_id, write.index)];
  const auto same =
      std::find_if(hidden.begin(), hidden.end(), [&](const PendingWrite& w) {
        return OfOneRun(w, stored) || OfOneRun(w, write);
      });
  if (same == hidden.end()) {
    hidden.push_back(std::move(write));
  } else if (write.index < 0) {
    std::swap(*same, write);
    std::rotate(same, std::next(same), hidden.end());
  }
}

void SavedWrites::Drop(absl::FunctionRef<bool(const PendingWrite&)> drop,
                       std::vector<PendingWrite>& dropped) {
  if (hidden_ != nullptr) {
    for (auto& [place, hidden] : *hidden_) Extract(hidden, drop, dropped);
    for (PendingWrite& write : writes_) {
      if (drop(write)) BringBack(write, dropped);
    }
    absl::erase_if(*hidden_, [](const auto& at) { return at.second.empty(); });
  }
  if (Extract(writes_, drop, dropped)) places_ = nullptr;
}

// Puts what gave way to `write`, if anything did, in its place.
void SavedWrites::BringBack(PendingWrite& write,
                            std::vector<PendingWrite>& dropped) {
  const auto at = hidden_->find(Place(write.task_id, write.index));
  if (at == hidden_->end() || at->second.empty()) return;
  std::vector<PendingWrite>& hidden = at->second;
  const auto back = write.index < 0 ? hidden.end() - 1 : hidden.begin();
  dropped.push_back(std::exchange(write, std::move(*back)));
  hidden.erase(back);
}

std::vector<PendingWrite> SavedWrites::Sorted() const {
  absl::flat_hash_map<absl::string_view, size_t> tasks;
  using Key = std::tuple<size_t, int32_t, const PendingWrite*>;
  std::vector<Key> places;
  places.reserve(writes_.size());
  for (const PendingWrite& write : writes_) {
    const size_t task =
        tasks.emplace(write.task_id, tasks.size()).first->second;
    places.emplace_back(task, write.index, &write);
  }
  std::sort(places.begin(), places.end());
  std::vector<PendingWrite> sorted;
  sorted.reserve(places.size());
  for (const Key& place : places) sorted.push_back(*std::get<2>(place));
  return sorted;
}

std::deque<Entry>::const_iterator SavedNamespace::From(
    const CheckpointId& id) const {
  // Most often it is the last or behind it.
  if (entries_.empty() || entries_.back().id < id) return entries_.end();
  if (entries_.back().id == id) return std::prev(entries_.end());
  return std::partition_point(entries_.begin(), entries_.end(),
                              [&id](const Entry& e) { return e.id < id; });
}

const Entry* SavedNamespace::Find(const CheckpointId& id) const {
  const auto at = From(id);
  return at != entries_.end() && at->id == id && at->node ? &*at : nullptr;
}

const Entry* SavedNamespace::Latest() const {
  for (auto at = entries_.rbegin(); at != entries_.rend(); ++at) {
    if (at->node) return &*at;
  }
  return nullptr;
}

bool SavedNamespace::Takes(const CheckpointId& id) const {
  const Entry* latest = Latest();
  return latest == nullptr || id >= latest->id || Find(id) != nullptr;
}

Entry& SavedNamespace::FindOrAdd(const CheckpointId& id) {
  // Most often it is the last or behind it.
  if (entries_.empty() || entries_.back().id < id) {
    entries_.emplace_back().id = id;
  }
  if (entries_.back().id == id) return entries_.back();
  const auto at = entries_.begin() + (From(id) - entries_.cbegin());
  return at->id == id ? *at : *entries_.insert(at, Entry{.id = id});
}

void SavedNamespace::Put(NodeRef<Node> node, Ended& ended) {
  Entry& entry = FindOrAdd(node->header.id);
  NodeRef<Node> replaced = std::exchange(entry.node, std::move(node));
  if (!replaced) return;
  ChangedNodes changed;
  changed.emplace(replaced.get(), NodeRef<Node>());
  ended.nodes.push_back(std::move(replaced));
  RebaseAll(std::move(changed), ended);
}

void SavedNamespace::PutWrites(const CheckpointId& id,
                               std::vector<PendingWrite>& writes) {
  FindOrAdd(id).writes.Put(writes);
}

void SavedNamespace::Drop(absl::FunctionRef<bool(const Entry&)> drop,
                          Ended& ended) {
  const auto kept =
      std::stable_partition(entries_.begin(), entries_.end(),
                            [drop](const Entry& e) { return !drop(e); });
  if (kept == entries_.end()) return;
  ChangedNodes changed;
  for (auto at = kept; at != entries_.end(); ++at) {
    if (at->node) changed.emplace(at->node.get(), NodeRef<Node>());
  }
  std::move(kept, entries_.end(), std::back_inserter(ended.entries));
  entries_.erase(kept, entries_.end());
  RebaseAll(std::move(changed), ended);
}

void SavedNamespace::DropWrites(
    absl::FunctionRef<bool(const PendingWrite&)> drop, Ended& ended) {
  for (Entry& entry : entries_) entry.writes.Drop(drop, ended.writes);
  Drop([](const Entry& e) { return !e.node && e.writes.empty(); }, ended);
}

void SavedNamespace::RebaseAll(ChangedNodes changed, Ended& ended) {
  for (Entry& entry : entries_) {
    if (!entry.node) continue;
    NodeRef<Node> rebased = Rebase(*entry.node, changed);
    if (!rebased) continue;
    changed[entry.node.get()] = rebased;
    ended.nodes.push_back(std::exchange(entry.node, std::move(rebased)));
  }
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
