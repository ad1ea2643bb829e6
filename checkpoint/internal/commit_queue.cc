#include "weir/checkpoint/internal/commit_queue.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace internal {

CommitQueue::CommitQueue(std::unique_ptr<Database> db, CommitLimits limits)
    : limits_(limits), db_(std::move(db)), threads_(*db_) {}

CommitQueue::~CommitQueue() {
  if (!worker_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
  }
  worker_.join();
}

absl::Status CommitQueue::Begin() {
  if (absl::Status s = db_->Run("BEGIN IMMEDIATE"); !s.ok()) return s;
  if (absl::Status s = threads_.Begin(); !s.ok()) return s;
  if (absl::Status s = db_->Run("COMMIT"); !s.ok()) return s;
  worker_ = std::thread([this] { Work(); });
  return absl::OkStatus();
}

void CommitQueue::Add(Call call) {
  absl::MutexLock lock(&mutex_);
  calls_.push_back(std::move(call));
}

void CommitQueue::Work() {
  while (true) {
    Batch batch = Take();
    if (batch.empty()) return;
    MakeAll(std::move(batch));
  }
}

bool CommitQueue::Pending() const { return closing_ || !calls_.empty(); }

// Waits for calls; none if there will be no more.
CommitQueue::Batch CommitQueue::Take() {
  Batch batch;
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &CommitQueue::Pending));
  size_t bytes = 0;
  while (!calls_.empty() && batch.size() < limits_.calls &&
         (batch.empty() || bytes + calls_.front().bytes <= limits_.bytes)) {
    bytes += calls_.front().bytes;
    batch.push_back(std::move(calls_.front()));
    calls_.pop_front();
  }
  return batch;
}

void CommitQueue::MakeAll(Batch batch) {
  Batch made;
  for (Call& call : batch) {
    if (call.changes) {
      MakeChange(call);
      made.push_back(std::move(call));
      continue;
    }
    Commit(made);
    call.status = failed_.ok() ? call.make(threads_) : failed_;
    Answer(call, absl::OkStatus());
  }
  Commit(made);
  KeepLogShort();
}

void CommitQueue::MakeChange(Call& call) {
  call.status = failed_.ok() ? lost_ : failed_;
  if (call.status.ok() && !db_->in_transaction()) {
    call.status = db_->Run("BEGIN IMMEDIATE");
  }
  if (call.status.ok()) call.status = db_->Run("SAVEPOINT one");
  if (!call.status.ok()) return;
  call.status = call.make(threads_);
  absl::Status s;
  if (!call.status.ok() && db_->in_transaction())
    s = db_->Run("ROLLBACK TO one");
  if (s.ok() && db_->in_transaction()) s = db_->Run("RELEASE one");
  // SQLite takes back the whole transaction after some failures.
  if (!db_->in_transaction()) lost_ = call.status;
  if (!s.ok()) lost_ = s;
}

void CommitQueue::Commit(Batch& made) {
  if (made.empty()) return;
  const absl::Status commit = End();
  for (Call& call : made) Answer(call, commit);
  made.clear();
}

// Ends the transaction under way, if there is one.
absl::Status CommitQueue::End() {
  absl::Status s = std::exchange(lost_, absl::OkStatus());
  if (s.ok() && db_->in_transaction()) {
    s = db_->Run("COMMIT");
    if (!s.ok() && db_->io_failed()) Fail(s);
  }
  if (!s.ok() && db_->in_transaction()) {
    if (absl::Status r = db_->Run("ROLLBACK"); !r.ok()) Fail(r);
  }
  return s;
}

void CommitQueue::KeepLogShort() {
  if (!failed_.ok() || db_->wal_bytes() < limits_.wal_bytes) return;
  if (absl::Status s = db_->Checkpoint(/*truncate=*/false); !s.ok()) Fail(s);
}

void CommitQueue::Fail(const absl::Status& failure) {
  db_->LeaveAsIs();
  failed_ = absl::UnavailableError(absl::StrFormat(
      "the database is to be opened anew, as this has failed: %s",
      failure.message()));
}

void CommitQueue::Answer(Call& call, const absl::Status& commit) {
  const absl::Status& s = call.status.ok() ? commit : call.status;
  if (s.ok() || absl::StrContains(s.message(), call.subject)) {
    call.answer(s);
    return;
  }
  call.answer({s.code(), absl::StrFormat("%s: %s", call.subject, s.message())});
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
