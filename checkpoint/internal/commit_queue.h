#ifndef WEIR_CHECKPOINT_INTERNAL_COMMIT_QUEUE_H_
#define WEIR_CHECKPOINT_INTERNAL_COMMIT_QUEUE_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "weir/checkpoint/checkpointer.h"
#include "weir/checkpoint/internal/database.h"
#include "weir/checkpoint/internal/stored_threads.h"

namespace weir {
inline namespace v0 {
namespace internal {

// A call on its way to the database and back.
struct Call {
  bool changes = false;   // Else it reads, once all before it is committed.
  bool erases = false;    // What it removes is to be found in no file after.
  size_t bytes = 0;       // About as many as it stores.
  bool precedes = false;  // Most often another follows at once.
  std::string subject{};  // What a failure is to name.
  absl::AnyInvocable<absl::Status(StoredThreads&)> make{};
  absl::AnyInvocable<void(absl::Status)> answer{};
  absl::Status status{};  // Of `make`.
};

struct CommitLimits {
  size_t calls = 0;
  size_t bytes = 0;
  int64_t wal_bytes = 0;
};

// CommitQueue: makes calls in the order in which they are added, on a worker of
// its own, many in one transaction; then answers them.
//
// A call that fails takes back what it has done, and no other. When the
// transaction fails, so do all in it. After a failure to bring it to the disk
// nobody knows what is there: from then on every call fails.
//
// Threads: Add() is thread-safe; answers come from the worker, with no lock
//          held. The destructor makes what waits, and leaves the database.
class CommitQueue {
 public:
  // `pack_checkpoints` as StoredThreads has it.
  CommitQueue(std::unique_ptr<Database> db, CommitLimits limits,
              size_t pack_checkpoints);
  ~CommitQueue();
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;

  // To be called first, before anything is added.
  absl::Status Begin();
  void Add(Call call);

  // Thread-safe.
  CheckpointerCounters counters() const;

  // Gives a call that has been made its answer: its own failure or `commit`,
  // with its subject.
  static void Answer(Call& call, const absl::Status& commit);

 private:
  using Batch = std::vector<Call>;

  void Work();
  bool Pending() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Ready() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Linger() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Batch Take();
  void MakeAll(Batch batch);
  void MakeReads(std::span<Call> calls);
  void MakeChange(Call& call);
  void Commit(Batch& made);
  absl::Status End();
  absl::Status Erase();
  void KeepLogShort();
  bool Shrink();
  void Fail(const absl::Status& failure);

  // Fixed after construction.
  const CommitLimits limits_;

  // The worker's, but for files(); before it starts and after it ends, whose
  // this is.
  std::unique_ptr<Database> db_;
  StoredThreads threads_;
  bool shrinking_ = false;  // The file has more pages free than it is to keep.
  absl::Status lost_;       // Why the transaction under way is no more.
  absl::Status failed_;     // Why there will be no other.

  // Relaxed: only the number counts.
  std::atomic<uint64_t> transactions_{0};

  absl::Mutex mutex_;
  std::deque<Call> calls_ ABSL_GUARDED_BY(mutex_);
  size_t preceding_ ABSL_GUARDED_BY(mutex_) = 0;  // Of these; see Call.
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  // Whether the worker waits for Ready(), or a while, and sleeps on ready_.
  bool lingering_ ABSL_GUARDED_BY(mutex_) = false;
  std::condition_variable_any ready_;

  std::thread worker_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_COMMIT_QUEUE_H_
