#include "weir/runtime/internal/durable_events.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"

#include "weir/channels/internal/type_table.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/reader.h"
#include "weir/runtime/internal/run_log.h"
#include "weir/runtime/internal/saved_runs.h"

namespace weir {
inline namespace v0 {
namespace internal {

void CommitLine::Add(RunCommit&& commit, RunStore::StatusDone done) {
  absl::MutexLock lock(&mutex_);
  waiting_.push_back({std::move(commit), std::move(done)});
}

void CommitLine::Send() {
  absl::MutexLock lock(&mutex_);
  if (sending_) return;
  sending_ = true;
  while (!waiting_.empty()) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    mutex_.Unlock();  // The destructor of `lock` finds it locked again.
    store_->Commit(std::move(next.commit), std::move(next.done));
    mutex_.Lock();
  }
  sending_ = false;
}

DurableEvents::DurableEvents(std::shared_ptr<CommitLine> line, std::string run,
                             std::shared_ptr<const CompiledGraph> graph,
                             RunLog* log, Executor* executor,
                             std::shared_ptr<ReaderGate> gate,
                             uint64_t first_id, bool by_itself)
    : run_(std::move(run)),
      graph_(std::move(graph)),
      log_(log),
      executor_(executor),
      gate_(std::move(gate)),
      by_itself_(by_itself),
      line_(std::move(line)),
      next_id_(first_id) {}

void DurableEvents::Opened(const Fence& fence) {
  bool first = false;
  {
    absl::MutexLock lock(&mutex_);
    fence_ = fence;
    first = by_itself_ && !pending_.empty() && !std::exchange(timed_, true);
  }
  if (first) FlushLater();
}

absl::Status DurableEvents::Check(const Value& value) const {
  std::string unused;
  absl::Status s = graph_->names->types->Encode(value, &unused);
  if (s.ok()) return s;
  return {s.code(),
          absl::StrFormat("a value was emitted that run '%s', which is "
                          "resumable, cannot keep: %s",
                          run_, s.message())};
}

absl::Status DurableEvents::Publish(uint32_t mode, Event event) {
  std::string bytes;
  if (absl::Status s = EncodeEvent(*graph_, event, &bytes); !s.ok()) {
    return {s.code(),
            absl::StrFormat("an event '%s' of run '%s' cannot be kept for "
                            "readers: %s",
                            std::string(event.name()), run_, s.message())};
  }
  bool full = false;
  bool first = false;
  {
    absl::MutexLock lock(&mutex_);
    if (dropped_ || !error_.ok()) return error_;
    ++next_id_;
    pending_.emplace_back(mode, std::move(event));
    pending_size_ += bytes.size();
    unstored_ += bytes.size();
    pending_bytes_.push_back(std::move(bytes));
    const bool alone = by_itself_ && fence_.epoch != 0;
    full = alone && pending_size_ >= kMostBytes;
    first = alone && !full && !timed_;
    timed_ |= first;
    // Relaxed: see behind_.
    if (alone && unstored_ > kMostUnstored) {
      behind_.store(true, std::memory_order_relaxed);
    }
  }
  if (full) Flush();
  if (first) FlushLater();
  return absl::OkStatus();
}

void DurableEvents::AwaitStored(Executor::Job job) {
  {
    absl::MutexLock lock(&mutex_);
    if (behind()) {
      waiting_.push_back(std::move(job));
      return;
    }
  }
  job();
}

// So many bytes less are not stored.
void DurableEvents::CatchUp(size_t bytes) {
  unstored_ -= std::min(unstored_, bytes);
  if (unstored_ > kMostUnstored / 2) return;
  // Relaxed: see behind_.
  behind_.store(false, std::memory_order_relaxed);
  for (Executor::Job& job : std::exchange(waiting_, {})) {
    executor_->Post(std::move(job));
  }
}

void DurableEvents::FlushLater() {
  executor_->PostAfter(kLongestWait, [self = shared_from_this()] {
    {
      absl::MutexLock lock(&self->mutex_);
      self->timed_ = false;
    }
    self->Flush();
  });
}

void DurableEvents::Flush() {
  {
    absl::MutexLock lock(&mutex_);
    if (pending_.empty() || !error_.ok()) return;
    RunCommit commit;
    commit.fence = fence_;
    AddLocked(std::move(commit), [](const absl::Status& /*status*/) {});
  }
  Send();
}

void DurableEvents::Commit(RunCommit&& commit, RunStore::StatusDone done) {
  Add(std::move(commit), std::move(done));
  Send();
}

void DurableEvents::Add(RunCommit&& commit, RunStore::StatusDone done) {
  absl::MutexLock lock(&mutex_);
  AddLocked(std::move(commit), std::move(done));
}

void DurableEvents::AddLocked(RunCommit&& commit, RunStore::StatusDone done) {
  BatchPtr batch = Take(commit);
  gate_->Enter();
  line_->Add(std::move(commit),
             [self = shared_from_this(), batch = std::move(batch),
              done = std::move(done)](const absl::Status& status) mutable {
               if (batch != nullptr) self->Stored(batch, status);
               done(status);
               done = nullptr;
               self->gate_->Leave();
             });
}

DurableEvents::BatchPtr DurableEvents::Take(RunCommit& commit) {
  if (oldest_ != 0) {
    commit.dropped_events.emplace_back(run_, std::exchange(oldest_, 0));
  }
  if (pending_.empty()) return nullptr;
  auto batch = std::make_shared<Batch>();
  batch->events.swap(pending_);
  batch->bytes = pending_size_;
  const uint64_t count = batch->events.size();
  commit.events.push_back(
      {run_, next_id_ - count, count, EncodeBatch(pending_bytes_)});
  pending_bytes_.clear();
  pending_size_ = 0;
  under_way_.push_back(batch);
  return batch;
}

void DurableEvents::Stored(const BatchPtr& batch, const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    batch->stored = true;
    if (!status.ok()) Fail(status);
  }
  Release();
}

void DurableEvents::Release() {
  mutex_.Lock();
  if (releasing_) return mutex_.Unlock();
  releasing_ = true;
  while (!under_way_.empty() && under_way_.front()->stored) {
    const BatchPtr batch = std::move(under_way_.front());
    under_way_.pop_front();
    mutex_.Unlock();
    for (auto& [mode, event] : batch->events) {
      log_->Deliver(mode, std::move(event));
    }
    mutex_.Lock();
    CatchUp(batch->bytes);
    if (log_->limited()) oldest_ = log_->oldest_id();
  }
  releasing_ = false;
  mutex_.Unlock();
}

void DurableEvents::Drop() {
  absl::MutexLock lock(&mutex_);
  dropped_ = true;
  pending_.clear();
  pending_bytes_.clear();
  CatchUp(unstored_);
}

void DurableEvents::Fail(const absl::Status& why) {
  if (error_.ok()) error_ = why;
  // Relaxed: see failed_.
  failed_.store(true, std::memory_order_relaxed);
  under_way_.clear();
  pending_.clear();
  pending_bytes_.clear();
  CatchUp(unstored_);
}

void DurableEvents::Note(const absl::Status& status) {
  if (status.ok()) return;
  absl::MutexLock lock(&mutex_);
  Fail(status);
}

absl::Status DurableEvents::error() const {
  if (!failed_.load(std::memory_order_relaxed)) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  return error_;
}

uint64_t DurableEvents::next_id() const {
  absl::MutexLock lock(&mutex_);
  return next_id_;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
