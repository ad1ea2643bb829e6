#include "weir/checkpoint/memory_checkpointer.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/base/optimization.h"
#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

#include "weir/checkpoint/internal/contract.h"
#include "weir/checkpoint/internal/metadata_filter.h"
#include "weir/checkpoint/internal/mutex.h"
#include "weir/checkpoint/internal/saved_nodes.h"
#include "weir/checkpoint/internal/saved_thread.h"

namespace weir {
inline namespace v0 {
namespace {

using internal::Ended;
using internal::Entry;
using internal::Node;
using internal::NodeHeader;
using internal::NodeRef;
using internal::Piece;
using internal::Pieces;
using internal::SavedNamespace;
using internal::SavedThread;

bool Matches(const NodeHeader& header, const CheckpointQuery& query) {
  const internal::Circumstances& common = *header.common;
  return internal::Matches(common.source, header.step, common.run_id,
                           common.custom, query.filter);
}

// A checkpoint as it was found under the lock.
struct Found {
  std::string thread{};
  NodeRef<Node> node{};
  std::vector<PendingWrite> writes{};
};

Found FoundAt(const std::string& thread, const Entry& entry) {
  Found found{.thread = thread, .node = entry.node};
  if (!entry.writes.empty()) found.writes = entry.writes.Sorted();
  return found;
}

CheckpointTuple MakeTuple(Found found) {
  return {.thread = std::move(found.thread),
          .checkpoint = MakeCheckpoint(*found.node),
          .writes = std::move(found.writes)};
}

// Adds what `query` means of one namespace, the greatest id first.
void AddFound(const std::string& thread, const SavedNamespace& in,
              const CheckpointQuery& query, std::vector<Found>& found) {
  const size_t limit = query.limit.value_or(in.entries().size());
  size_t taken = 0;
  auto end = query.before ? in.From(*query.before) : in.entries().end();
  if (query.id) {
    const auto at = in.From(*query.id);
    if (at >= end) return;
    end = std::next(at);
  }
  while (end != in.entries().begin() && taken < limit) {
    const Entry& entry = *--end;
    if (query.id && entry.id != *query.id) return;
    if (!entry.node) continue;
    if (!Matches(entry.node->header, query)) continue;
    found.push_back(FoundAt(thread, entry));
    ++taken;
  }
}

constexpr size_t kAnySize = std::numeric_limits<size_t>::max();

absl::string_view AbslView(std::string_view text) {
  return {text.data(), text.size()};
}

// A Node that has yet to be put on its base; takes the channels.
NodeRef<Node> TakeNode(NewCheckpoint& made) {
  Checkpoint& checkpoint = made.checkpoint;
  NodeRef<Node> node(new Node{.header = {.id = checkpoint.id,
                                         .parent = checkpoint.parent,
                                         .step = checkpoint.metadata.step,
                                         .created_at = checkpoint.created_at}});
  Pieces& pieces = node->pieces;
  pieces.reserve(checkpoint.channels.size() + made.removed.size());
  for (SavedChannel& channel : checkpoint.channels) {
    pieces.emplace_back(new Piece{.channel = std::move(channel)});
  }
  for (std::string& name : made.removed) {
    pieces.emplace_back(
        new Piece{.channel = {.channel = std::move(name)}, .removed = true});
  }
  return node;
}

}  // namespace

struct MemoryCheckpointer::Rep {
  struct alignas(ABSL_CACHELINE_SIZE) Shard {
    internal::Mutex mutex;
    // Its entries stay where they are, for `last`.
    absl::node_hash_map<std::string, SavedThread> threads
        ABSL_GUARDED_BY(mutex);
    // The thread that was found last, if it is still there: a run writes to its
    // own again and again.
    std::pair<const std::string, SavedThread>* last ABSL_GUARDED_BY(mutex) =
        nullptr;

    SavedThread* Find(const std::string& thread)
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      if (last == nullptr || last->first != thread) {
        const auto at = threads.find(thread);
        if (at == threads.end()) return nullptr;
        last = &*at;
      }
      return &last->second;
    }
    // Null if the fence is void.
    SavedThread* Fenced(const Fence& fence)
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      SavedThread* thread = Find(fence.thread);
      const bool valid =
          thread != nullptr && fence.epoch != 0 && thread->epoch == fence.epoch;
      return valid ? thread : nullptr;
    }
  };

  std::array<Shard, 16> shards;
  // The last that Open() gave. Counted over all threads, so that a thread that
  // is deleted needs no trace for its writers to stay fenced. Only a counter:
  // relaxed is enough, as each value is given once.
  std::atomic<uint64_t> last_epoch{0};

  Shard& ShardOf(std::string_view thread) {
    // Another hash than the tables', which would else have only like ones.
    return shards[std::hash<std::string_view>()(thread) % shards.size()];
  }

  // These take of what they are given.
  absl::Status Put(const Fence& fence, NewCheckpoint& made);
  absl::Status PutWrites(const Fence& fence, NewWrites& writes);
  std::optional<Found> Get(const CheckpointKey& key);
  std::vector<CheckpointTuple> List(const CheckpointQuery& query);
  void DeleteThread(std::string_view thread);
  void DeleteRuns(const absl::flat_hash_set<std::string>& run_ids);
  absl::Status CopyThread(const std::string& from, const std::string& to);
  void KeepLatest(const std::string& thread);
};

absl::Status MemoryCheckpointer::Rep::Put(const Fence& fence,
                                          NewCheckpoint& made) {
  Checkpoint& checkpoint = made.checkpoint;
  const CheckpointId id = checkpoint.id;
  if (absl::Status s = internal::CheckId(fence.thread, id); !s.ok()) return s;
  NodeRef<Node> node = TakeNode(made);
  Ended ended;

  Shard& shard = ShardOf(fence.thread);
  internal::MutexLock lock(&shard.mutex);
  SavedThread* thread = shard.Fenced(fence);
  if (thread == nullptr) return internal::FencedError(fence);
  SavedNamespace* in = thread->Find(checkpoint.ns);
  if (in != nullptr && !in->Takes(id)) {
    return internal::Refused(fence.thread, id,
                             "its id is not stored, nor the greatest");
  }
  const Entry* base = nullptr;
  if (made.base.has_value()) {
    if (in != nullptr) base = in->Find(made.base);
    if (base == nullptr) {
      return internal::Refused(
          fence.thread, id,
          "its base " + made.base.ToString() + " is not stored");
    }
  }
  uint64_t last_version = thread->last_version;
  for (const NodeRef<Piece>& piece : node->pieces) {
    const SavedChannel& channel = piece->channel;
    last_version = std::max(last_version, channel.version);
    if (channel.appended_to == 0) continue;
    if (base != nullptr) {
      piece->before = FindChannel(*base->node, channel.channel);
    }
    if (!piece->before ||
        piece->before->channel.version != channel.appended_to) {
      return internal::Refused(
          fence.thread, id,
          absl::StrFormat("channel '%s' is appended to version %d, "
                          "which its base has not",
                          channel.channel, channel.appended_to));
    }
  }

  if (in == nullptr) in = &thread->namespaces[checkpoint.ns];
  // A replaced checkpoint may have a base that it cannot stand on.
  const bool whole = base != nullptr && base->id >= id;
  const NodeRef<Node> on = base == nullptr ? NodeRef<Node>() : base->node;
  node->header.common = TakeCircumstances(checkpoint, on.get());
  if (whole) {
    PutWhole(*node, *on);
  } else {
    PutOn(*node, on);
  }
  in->Put(std::move(node), ended);
  thread->last_sequence = std::max(thread->last_sequence, id.sequence);
  thread->last_version = last_version;
  return absl::OkStatus();
}

absl::Status MemoryCheckpointer::Rep::PutWrites(const Fence& fence,
                                                NewWrites& writes) {
  const CheckpointId id = writes.checkpoint;
  if (absl::Status s = internal::CheckId(fence.thread, id); !s.ok()) return s;
  Shard& shard = ShardOf(fence.thread);
  internal::MutexLock lock(&shard.mutex);
  SavedThread* thread = shard.Fenced(fence);
  if (thread == nullptr) return internal::FencedError(fence);
  SavedNamespace* in = thread->Find(writes.ns);
  if (in != nullptr && !in->Takes(id)) {
    return internal::Refused(fence.thread, id,
                             "it is not stored and never can be");
  }
  if (writes.writes.empty()) return absl::OkStatus();
  if (in == nullptr) in = &thread->namespaces[writes.ns];
  in->PutWrites(id, writes.writes);
  return absl::OkStatus();
}

std::optional<Found> MemoryCheckpointer::Rep::Get(const CheckpointKey& key) {
  Shard& shard = ShardOf(key.thread);
  internal::MutexLock lock(&shard.mutex);
  SavedThread* thread = shard.Find(key.thread);
  SavedNamespace* in = thread == nullptr ? nullptr : thread->Find(key.ns);
  if (in == nullptr) return std::nullopt;
  const Entry* entry = key.id ? in->Find(*key.id) : in->Latest();
  if (entry == nullptr) return std::nullopt;
  return FoundAt(key.thread, *entry);
}

std::vector<CheckpointTuple> MemoryCheckpointer::Rep::List(
    const CheckpointQuery& query) {
  std::vector<Found> found;
  const auto add = [&query, &found](const std::string& name,
                                    SavedThread& thread) {
    if (query.ns) {
      SavedNamespace* in = thread.Find(*query.ns);
      if (in != nullptr) AddFound(name, *in, query, found);
      return;
    }
    for (auto& [ns, in] : thread.namespaces) {
      AddFound(name, in, query, found);
    }
  };
  if (query.thread) {
    Shard& shard = ShardOf(*query.thread);
    internal::MutexLock lock(&shard.mutex);
    SavedThread* thread = shard.Find(*query.thread);
    if (thread != nullptr) add(*query.thread, *thread);
  } else {
    for (Shard& shard : shards) {
      internal::MutexLock lock(&shard.mutex);
      for (auto& [name, thread] : shard.threads) add(name, thread);
    }
  }

  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    const NodeHeader& x = a.node->header;
    const NodeHeader& y = b.node->header;
    return std::tie(y.id, a.thread, x.common->ns) <
           std::tie(x.id, b.thread, y.common->ns);
  });
  std::vector<CheckpointTuple> tuples;
  tuples.reserve(std::min(found.size(), query.limit.value_or(found.size())));
  for (Found& one : found) {
    if (tuples.size() == query.limit) break;
    tuples.push_back(MakeTuple(std::move(one)));
  }
  return tuples;
}

void MemoryCheckpointer::Rep::DeleteThread(std::string_view thread) {
  SavedThread deleted;
  Shard& shard = ShardOf(thread);
  internal::MutexLock lock(&shard.mutex);
  const auto at = shard.threads.find(AbslView(thread));
  if (at == shard.threads.end()) return;
  deleted = std::move(at->second);
  shard.last = nullptr;
  shard.threads.erase(at);
}

void MemoryCheckpointer::Rep::DeleteRuns(
    const absl::flat_hash_set<std::string>& run_ids) {
  const auto named = [&run_ids](const std::string& run_id) {
    return !run_id.empty() && run_ids.contains(run_id);
  };
  const auto of_them = [&named](const Entry& entry) {
    return entry.node && named(entry.node->header.common->run_id);
  };
  const auto put_by_them = [&named](const PendingWrite& write) {
    return write.run_id != nullptr && named(*write.run_id);
  };
  for (Shard& shard : shards) {
    Ended ended;
    internal::MutexLock lock(&shard.mutex);
    for (auto& [name, thread] : shard.threads) {
      for (auto& [ns, in] : thread.namespaces) {
        in.Drop(of_them, ended);
        in.DropWrites(put_by_them, ended);
      }
      absl::erase_if(thread.namespaces, [](const auto& in) {
        return in.second.entries().empty();
      });
    }
  }
}

absl::Status MemoryCheckpointer::Rep::CopyThread(const std::string& from,
                                                 const std::string& to) {
  SavedThread copy;
  {
    Shard& shard = ShardOf(from);
    internal::MutexLock lock(&shard.mutex);
    const SavedThread* thread = shard.Find(from);
    if (thread == nullptr || thread->namespaces.empty()) {
      return internal::NothingStored(from);
    }
    copy = *thread;
  }
  copy.epoch = 0;
  Shard& shard = ShardOf(to);
  internal::MutexLock lock(&shard.mutex);
  SavedThread& thread = shard.threads[to];
  if (!thread.namespaces.empty()) {
    return internal::SomethingStored(to);
  }
  copy.last_sequence = std::max(copy.last_sequence, thread.last_sequence);
  copy.last_version = std::max(copy.last_version, thread.last_version);
  std::swap(thread, copy);
  return absl::OkStatus();
}

void MemoryCheckpointer::Rep::KeepLatest(const std::string& name) {
  Ended ended;
  Shard& shard = ShardOf(name);
  internal::MutexLock lock(&shard.mutex);
  SavedThread* thread = shard.Find(name);
  if (thread == nullptr) return;
  for (auto& [ns, in] : thread->namespaces) {
    const Entry* latest = in.Latest();
    if (latest == nullptr) continue;
    const CheckpointId id = latest->id;
    in.Drop([id](const Entry& entry) { return entry.id < id; }, ended);
  }
}

MemoryCheckpointer::MemoryCheckpointer(MemoryCheckpointerOptions options)
    : options_(options), rep_(std::make_unique<Rep>()) {}
MemoryCheckpointer::~MemoryCheckpointer() = default;

CheckpointerCapabilities MemoryCheckpointer::capabilities() const {
  return {.delete_runs = true,
          .copy_thread = true,
          .prune = true,
          .history = true,
          .shares_values = !options_.as_bytes};
}

void MemoryCheckpointer::Open(std::string_view thread, Done<ThreadLease> done) {
  ThreadLease lease{.fence = {.thread = std::string(thread)}};
  {
    Rep::Shard& shard = rep_->ShardOf(thread);
    internal::MutexLock lock(&shard.mutex);
    SavedThread& opened = shard.threads[lease.fence.thread];
    opened.epoch = rep_->last_epoch.fetch_add(1, std::memory_order_relaxed) + 1;
    lease.fence.epoch = opened.epoch;
    lease.last_sequence = opened.last_sequence;
    lease.last_version = opened.last_version;
  }
  done(std::move(lease));
}

void MemoryCheckpointer::Put(const Fence& fence, NewCheckpoint&& checkpoint,
                             StatusDone done) {
  absl::Status encoded;
  if (options_.as_bytes) {
    size_t bytes = 0;
    encoded = internal::ToBytes(fence, checkpoint.checkpoint, kAnySize, bytes);
  }
  done(encoded.ok() ? rep_->Put(fence, checkpoint) : encoded);
}

void MemoryCheckpointer::PutWrites(const Fence& fence, NewWrites&& writes,
                                   StatusDone done) {
  absl::Status encoded;
  if (options_.as_bytes) {
    size_t bytes = 0;
    encoded = internal::ToBytes(fence, writes, kAnySize, bytes);
  }
  done(encoded.ok() ? rep_->PutWrites(fence, writes) : encoded);
}

void MemoryCheckpointer::Get(CheckpointKey key,
                             Done<std::optional<CheckpointTuple>> done) {
  std::optional<Found> found = rep_->Get(key);
  std::optional<CheckpointTuple> tuple;
  if (found) tuple = MakeTuple(*std::move(found));
  done(std::move(tuple));
}

void MemoryCheckpointer::List(CheckpointQuery query,
                              Done<std::vector<CheckpointTuple>> done) {
  done(rep_->List(query));
}

void MemoryCheckpointer::History(
    CheckpointKey key, std::vector<std::string> channels,
    Done<std::vector<std::vector<SavedChannel>>> done) {
  std::vector<std::vector<SavedChannel>> histories(channels.size());
  if (const std::optional<Found> found = rep_->Get(key)) {
    for (size_t i = 0; i < channels.size(); ++i) {
      const NodeRef<Piece> last = FindChannel(*found->node, channels[i]);
      for (const Piece* p = last.get(); p != nullptr; p = p->before.get()) {
        histories[i].push_back(p->channel);
      }
      std::reverse(histories[i].begin(), histories[i].end());
    }
  }
  done(std::move(histories));
}

void MemoryCheckpointer::DeleteThread(std::string_view thread,
                                      StatusDone done) {
  rep_->DeleteThread(thread);
  done(absl::OkStatus());
}

void MemoryCheckpointer::DeleteRuns(std::vector<std::string> run_ids,
                                    StatusDone done) {
  rep_->DeleteRuns({run_ids.begin(), run_ids.end()});
  done(absl::OkStatus());
}

void MemoryCheckpointer::CopyThread(std::string_view from, std::string_view to,
                                    StatusDone done) {
  done(rep_->CopyThread(std::string(from), std::string(to)));
}

void MemoryCheckpointer::Prune(std::vector<std::string> threads, PruneMode mode,
                               StatusDone done) {
  for (const std::string& thread : threads) {
    if (mode == PruneMode::kDeleteAll) {
      rep_->DeleteThread(thread);
    } else {
      rep_->KeepLatest(thread);
    }
  }
  done(absl::OkStatus());
}

void MemoryCheckpointer::Flush(StatusDone done) { done(absl::OkStatus()); }

}  // namespace v0
}  // namespace weir
