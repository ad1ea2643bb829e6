#ifndef WEIR_EXAMPLES_TABLE_CHECKPOINTER_H_
#define WEIR_EXAMPLES_TABLE_CHECKPOINTER_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "weir/channels/value.h"
#include "weir/checkpoint/checkpointer.h"

namespace example {

// TableCheckpointer: a store of checkpoints with no more than each must have,
// to begin one's own with. Its tables are maps of rows with plain bytes; those
// of a database take their place.
//
// Errors:  those of weir::Checkpointer, but for DataLoss.
// Threads: thread-safe; each call is complete, and has called `done` with no
//          lock held, when it returns.
class TableCheckpointer final : public weir::Checkpointer {
 public:
  // Without `history` a store is always given whole values. The calls that are
  // not here answer Unimplemented.
  weir::CheckpointerCapabilities capabilities() const override { return {}; }

  void Open(std::string_view thread, Done<weir::ThreadLease> done) override {
    done(NewLease(std::string(thread)));
  }
  void Put(const weir::Fence& fence, weir::NewCheckpoint&& checkpoint,
           StatusDone done) override {
    done(TryPut(fence, std::move(checkpoint)));
  }
  void PutWrites(const weir::Fence& fence, weir::NewWrites&& writes,
                 StatusDone done) override {
    done(TryPutWrites(fence, std::move(writes)));
  }
  void Get(weir::CheckpointKey key,
           Done<std::optional<weir::CheckpointTuple>> done) override {
    const std::vector<weir::CheckpointTuple> found =
        Find({.thread = key.thread, .ns = key.ns, .id = key.id, .limit = 1});
    if (found.empty()) {
      done(std::optional<weir::CheckpointTuple>());
    } else {
      done(found.front());
    }
  }
  void List(weir::CheckpointQuery query,
            Done<std::vector<weir::CheckpointTuple>> done) override {
    done(Find(query));
  }
  void DeleteThread(std::string_view thread, StatusDone done) override {
    {
      absl::MutexLock lock(&mutex_);
      threads_.erase(std::string(thread));
    }
    done(absl::OkStatus());
  }
  // What is done stays already.
  void Flush(StatusDone done) override { done(absl::OkStatus()); }

 private:
  // A checkpoint, the writes after it, or both: writes may come first.
  struct Row {
    std::optional<weir::Checkpoint> checkpoint;
    std::vector<weir::PendingWrite> writes;
  };
  using Rows = std::map<weir::CheckpointId, Row>;
  struct Thread {
    uint64_t epoch = 0;
    uint64_t last_sequence = 0;
    uint64_t last_version = 0;
    std::map<std::string, Rows> namespaces;
  };

  // A new epoch, also for a thread that was deleted, makes every other fence
  // void.
  weir::ThreadLease NewLease(const std::string& name) {
    absl::MutexLock lock(&mutex_);
    Thread& thread = threads_[name];
    thread.epoch = ++last_epoch_;
    return {.fence = {.thread = name, .epoch = thread.epoch},
            .last_sequence = thread.last_sequence,
            .last_version = thread.last_version};
  }

  absl::Status TryPut(const weir::Fence& fence, weir::NewCheckpoint put) {
    weir::Checkpoint& made = put.checkpoint;
    for (weir::SavedChannel& channel : made.channels) {
      absl::Status s = ToBytes(fence, channel.channel, channel.value);
      if (!s.ok()) return s;
    }
    absl::MutexLock lock(&mutex_);
    absl::StatusOr<Thread*> thread = Writable(fence, made.ns, made.id);
    if (!thread.ok()) return thread.status();
    Rows& rows = (*thread)->namespaces[made.ns];

    // A row has all channels; a new one begins with those of its base.
    std::map<std::string, weir::SavedChannel> channels;
    if (put.base.has_value()) {
      const auto base = rows.find(put.base);
      if (base == rows.end() || !base->second.checkpoint.has_value()) {
        return Refused(fence, made.id, "its base is not stored");
      }
      for (const auto& channel : base->second.checkpoint->channels) {
        channels[channel.channel] = channel;
      }
    }
    for (const std::string& name : put.removed) channels.erase(name);
    for (weir::SavedChannel& channel : made.channels) {
      (*thread)->last_version =
          std::max((*thread)->last_version, channel.version);
      channels[channel.channel] = std::move(channel);
    }
    made.channels.clear();
    for (auto& [name, channel] : channels) made.channels.push_back(channel);
    (*thread)->last_sequence =
        std::max((*thread)->last_sequence, made.id.sequence);
    rows[made.id].checkpoint = std::move(made);
    return absl::OkStatus();
  }

  absl::Status TryPutWrites(const weir::Fence& fence, weir::NewWrites put) {
    for (weir::PendingWrite& write : put.writes) {
      absl::Status s = ToBytes(fence, write.channel, write.value);
      if (!s.ok()) return s;
    }
    absl::MutexLock lock(&mutex_);
    absl::StatusOr<Thread*> thread = Writable(fence, put.ns, put.checkpoint);
    if (!thread.ok()) return thread.status();
    auto& writes = (*thread)->namespaces[put.ns][put.checkpoint].writes;
    for (weir::PendingWrite& write : put.writes) {
      // A task's writes are together, by index.
      auto at = std::ranges::find(writes, write.task_id,
                                  &weir::PendingWrite::task_id);
      const auto is_of_task = [&](auto place) {
        return place != writes.end() && place->task_id == write.task_id;
      };
      while (is_of_task(at) && at->index < write.index) ++at;
      if (!is_of_task(at) || at->index != write.index) {
        writes.insert(at, std::move(write));
      } else if (write.index < 0) {
        *at = std::move(write);  // The last one stays; of others, the first.
      }
    }
    return absl::OkStatus();
  }

  std::vector<weir::CheckpointTuple> Find(const weir::CheckpointQuery& query) {
    std::vector<weir::CheckpointTuple> found;
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, thread] : threads_) {
      if (query.thread.has_value() && name != *query.thread) continue;
      for (const auto& [ns, rows] : thread.namespaces) {
        if (query.ns.has_value() && ns != *query.ns) continue;
        for (const auto& [id, row] : rows) {
          if (!row.checkpoint.has_value()) continue;
          if (query.id.has_value() && id != *query.id) continue;
          if (query.before.has_value() && id >= *query.before) continue;
          if (!Matches(row.checkpoint->metadata, query.filter)) continue;
          found.push_back({name, *row.checkpoint, row.writes});
        }
      }
    }
    std::ranges::stable_sort(
        found, std::ranges::greater(),
        [](const auto& tuple) { return tuple.checkpoint.id; });
    found.resize(std::min(found.size(), query.limit.value_or(found.size())));
    return found;
  }

  // The thread, if who has `fence` may write to it at `id`.
  absl::StatusOr<Thread*> Writable(const weir::Fence& fence,
                                   const std::string& ns,
                                   const weir::CheckpointId& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!id.has_value()) {
      return absl::InvalidArgumentError("thread '" + fence.thread +
                                        "': a checkpoint has no id");
    }
    const auto thread = threads_.find(fence.thread);
    if (thread == threads_.end() || thread->second.epoch != fence.epoch) {
      return absl::AbortedError("thread '" + fence.thread +
                                "' has another writer");
    }
    const Rows& rows = thread->second.namespaces[ns];
    if (!rows.contains(id) && rows.upper_bound(id) != rows.end()) {
      return Refused(fence, id, "its id is not stored, nor the greatest");
    }
    return &thread->second;
  }

  static absl::Status Refused(const weir::Fence& fence,
                              const weir::CheckpointId& id,
                              const std::string& why) {
    return absl::FailedPreconditionError("thread '" + fence.thread +
                                         "', checkpoint " + id.ToString() +
                                         ": " + why);
  }

  static absl::Status ToBytes(const weir::Fence& fence,
                              const std::string& channel,
                              weir::SavedValue& value) {
    if (!value.has_value()) return absl::OkStatus();
    std::string bytes;
    if (absl::Status s = value.Encode(&bytes); !s.ok()) {
      return {s.code(), "thread '" + fence.thread + "', channel '" + channel +
                            "': " + std::string(s.message())};
    }
    value = weir::SavedValue::FromBytes(std::move(bytes));
    return absl::OkStatus();
  }

  static bool Matches(const weir::CheckpointMetadata& metadata,
                      const std::map<std::string, std::string>& filter) {
    std::map<std::string, std::string> known = metadata.custom;
    known["source"] = weir::Value(metadata.source).ToJson();
    known["step"] = std::to_string(metadata.step);
    known["run_id"] =
        metadata.run_id.empty() ? "" : weir::Value(metadata.run_id).ToJson();
    return std::ranges::all_of(filter, [&known](const auto& wanted) {
      const auto at = known.find(wanted.first);
      return at != known.end() && at->second == wanted.second;
    });
  }

  absl::Mutex mutex_;
  uint64_t last_epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Thread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace example

#endif  // WEIR_EXAMPLES_TABLE_CHECKPOINTER_H_
