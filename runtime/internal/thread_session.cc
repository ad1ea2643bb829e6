#include "weir/runtime/internal/thread_session.h"

#include <xxhash.h>

#include <utility>

#include "absl/random/random.h"

#include "weir/runtime/internal/durable_events.h"

namespace weir {
inline namespace v0 {
namespace internal {

void ThreadSession::Opened(ThreadLease lease) {
  fence_ = std::move(lease.fence);
  if (events_ != nullptr) events_->Opened(fence_);
  sequence_.store(lease.last_sequence, std::memory_order_relaxed);
  version_.store(lease.last_version, std::memory_order_relaxed);
  absl::BitGen random;
  seed_ = absl::Uniform<uint64_t>(random);
}

CheckpointId ThreadSession::NewId() {
  CheckpointId id;
  id.sequence = sequence_.fetch_add(1, std::memory_order_relaxed) + 1;
  id.random = XXH3_64bits_withSeed(&id.sequence, sizeof(id.sequence), seed_);
  return id;
}

void ThreadSession::Put(NewCheckpoint&& checkpoint, StoreListener* listener) {
  under_way_.fetch_add(1, std::memory_order_relaxed);
  if (events_ == nullptr) {
    return store_->Put(fence_, std::move(checkpoint), WhenDone(listener));
  }
  RunCommit commit{.fence = fence_, .checkpoint = std::move(checkpoint)};
  events_->Commit(std::move(commit), WhenDone(listener));
}

void ThreadSession::PutWrites(NewWrites&& writes, StoreListener* listener) {
  for (PendingWrite& write : writes.writes) write.run_id = run_id_;
  under_way_.fetch_add(1, std::memory_order_relaxed);
  if (events_ == nullptr) {
    return store_->PutWrites(fence_, std::move(writes), WhenDone(listener));
  }
  RunCommit commit{.fence = fence_, .writes = std::move(writes)};
  events_->Commit(std::move(commit), WhenDone(listener));
}

// A run that waits for the store, or has ended but for it, is kept until
// Ended() says so.
Checkpointer::StatusDone ThreadSession::WhenDone(StoreListener* listener) {
  return [this, listener](const absl::Status& status) {
    if (!status.ok()) NoteFailure(status);
    if (listener != nullptr) listener->Stored();
    Ended();
  };
}

absl::Status ThreadSession::error() const {
  if (!failed_.load(std::memory_order_relaxed)) {
    return events_ == nullptr ? absl::OkStatus() : events_->error();
  }
  absl::MutexLock lock(&mutex_);
  return error_;
}

void ThreadSession::NoteFailure(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (error_.ok()) error_ = status;
  failed_.store(true, std::memory_order_relaxed);
}

bool ThreadSession::WhenStored(absl::AnyInvocable<void()> then) {
  then_ = std::move(then);
  if (under_way_.fetch_sub(1, std::memory_order_acq_rel) != 1) return false;
  under_way_.store(1, std::memory_order_relaxed);
  then_ = nullptr;  // It holds the run, which holds this.
  return true;
}

// A call has ended; the last one goes on with what waits for it. `this` may be
// gone when that returns.
void ThreadSession::Ended() {
  if (under_way_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  under_way_.store(1, std::memory_order_relaxed);
  absl::AnyInvocable<void()> then = std::exchange(then_, nullptr);
  then();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
