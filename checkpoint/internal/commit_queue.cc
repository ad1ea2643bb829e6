#include "weir/checkpoint/internal/commit_queue.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/crash_point.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// What a task has done is most often followed by the checkpoint that ends its
// superstep, which can share its synchronisation; this is less than one takes.
constexpr auto kLinger = std::chrono::microseconds(100);

// For the standard library, whose timeouts are of the steady clock; those of
// Abseil are of the wall clock, and last as much longer as that is set back.
struct StdMutex {
  absl::Mutex& mutex;
  void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.Lock(); }
  void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.Unlock(); }
};

}  // namespace

CommitQueue::CommitQueue(std::unique_ptr<Database> db, CommitLimits limits,
                         size_t pack_checkpoints)
    : limits_(limits), db_(std::move(db)), threads_(*db_, pack_checkpoints) {}

CommitQueue::~CommitQueue() {
  if (!worker_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    if (lingering_) ready_.notify_one();
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
  if (call.precedes) ++preceding_;
  calls_.push_back(std::move(call));
  if (lingering_ && Ready()) ready_.notify_one();
}

CheckpointerCounters CommitQueue::counters() const {
  return {.transactions = transactions_.load(std::memory_order_relaxed),
          .syncs = db_->files().syncs(),
          .bytes_written = db_->files().bytes_written()};
}

void CommitQueue::Work() {
  while (true) {
    Batch batch = Take();
    if (batch.empty() && !shrinking_) return;
    MakeAll(std::move(batch));
    shrinking_ = shrinking_ && Shrink();
  }
}

bool CommitQueue::Pending() const { return closing_ || !calls_.empty(); }

// Whether there is a call that no other is to be waited for with.
bool CommitQueue::Ready() const {
  return closing_ || calls_.size() > preceding_;
}

void CommitQueue::Linger() {
  StdMutex mutex{mutex_};
  lingering_ = true;
  ready_.wait_for(mutex, kLinger);  // Sooner for no reason does no harm.
  lingering_ = false;
}

// Waits for calls, unless there is something else to do; none if there will be
// no more.
CommitQueue::Batch CommitQueue::Take() {
  Batch batch;
  absl::MutexLock lock(&mutex_);
  if (!shrinking_) {
    mutex_.Await(absl::Condition(this, &CommitQueue::Pending));
    if (!Ready()) Linger();
  }
  if (closing_) shrinking_ = false;
  size_t bytes = 0;
  while (!calls_.empty() && batch.size() < limits_.calls &&
         (batch.empty() || bytes + calls_.front().bytes <= limits_.bytes)) {
    bytes += calls_.front().bytes;
    if (calls_.front().precedes) --preceding_;
    batch.push_back(std::move(calls_.front()));
    calls_.pop_front();
  }
  return batch;
}

void CommitQueue::MakeAll(Batch batch) {
  Batch made;
  for (auto call = batch.begin(); call != batch.end(); ++call) {
    if (call->changes) {
      MakeChange(*call);
      made.push_back(std::move(*call));
      continue;
    }
    Commit(made);
    const auto end = std::find_if(call, batch.end(),
                                  [](const Call& c) { return c.changes; });
    MakeReads({&*call, static_cast<size_t>(end - call)});
    call = end - 1;
  }
  Commit(made);
  KeepLogShort();
}

// In one transaction, as each takes and gives back the locks of the file.
void CommitQueue::MakeReads(std::span<Call> calls) {
  // Else each has its own, and tells what is wrong.
  const bool together =
      calls.size() > 1 && failed_.ok() && db_->Run("BEGIN").ok();
  for (Call& call : calls) {
    call.status = failed_.ok() ? call.make(threads_) : failed_;
    Answer(call, absl::OkStatus());
  }
  if (!together || !db_->in_transaction()) return;
  if (const absl::Status s = db_->Run("END"); !s.ok()) Fail(s);
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
  if (s.ok() && db_->in_transaction()) s = threads_.Finish();
  // SQLite takes back the whole transaction after some failures.
  if (!db_->in_transaction()) lost_ = call.status;
  if (!s.ok()) lost_ = s;
}

void CommitQueue::Commit(Batch& made) {
  if (made.empty()) return;
  const absl::Status commit = End();
  const bool erases =
      commit.ok() && std::any_of(made.begin(), made.end(), [](const Call& c) {
        return c.erases && c.status.ok();
      });
  const absl::Status erased = erases ? Erase() : commit;
  for (Call& call : made) Answer(call, call.erases ? erased : commit);
  made.clear();
}

// Older states of pages are in the log until it is copied and cut off.
absl::Status CommitQueue::Erase() {
  shrinking_ = true;
  absl::Status s = db_->Checkpoint(/*truncate=*/true);
  if (s.ok()) return s;
  if (db_->io_failed()) Fail(s);
  return {s.code(),
          absl::StrFormat("it is removed, but its bytes are still in the "
                          "write-ahead log, as this has failed: %s",
                          s.message())};
}

// Gives some of the free pages back to the file system; true if there are more.
bool CommitQueue::Shrink() {
  if (!failed_.ok()) return false;
  const absl::StatusOr<bool> more = db_->Shrink();
  if (!more.ok() && db_->io_failed()) Fail(more.status());
  KeepLogShort();
  return more.ok() && *more;
}

// Ends the transaction under way, if there is one.
absl::Status CommitQueue::End() {
  absl::Status s = std::exchange(lost_, absl::OkStatus());
  if (s.ok() && db_->in_transaction()) {
    s = db_->Run("COMMIT");
    CrashPoint("committed");
    if (s.ok()) transactions_.fetch_add(1, std::memory_order_relaxed);
    if (!s.ok() && db_->io_failed()) Fail(s);
  }
  if (!s.ok() && db_->in_transaction()) {
    if (absl::Status r = db_->Run("ROLLBACK"); !r.ok()) Fail(r);
  }
  return s;
}

void CommitQueue::KeepLogShort() {
  if (!failed_.ok() || db_->wal_bytes() < limits_.wal_bytes) return;
  // With a full disk it is tried again after the next transaction.
  const absl::Status s = db_->Checkpoint(/*truncate=*/false);
  if (!s.ok() && db_->io_failed()) Fail(s);
}

void CommitQueue::Fail(const absl::Status& failure) {
  db_->LeaveAsIs();
  failed_ = absl::UnavailableError(absl::StrFormat(
      "the database is to be opened anew, as this has failed: %s",
      failure.message()));
}

void CommitQueue::Answer(Call& call, const absl::Status& commit) {
  CrashPoint("answer");
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
