#ifndef WEIR_TESTS_CHECKPOINT_FAILING_CHECKPOINTER_H_
#define WEIR_TESTS_CHECKPOINT_FAILING_CHECKPOINTER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "weir/checkpoint/checkpointer.h"

namespace weir {

// FailingCheckpointer: another store, of which calls can be made to fail.
//
// Threads: thread-safe.
class FailingCheckpointer final : public Checkpointer {
 public:
  explicit FailingCheckpointer(std::shared_ptr<Checkpointer> store)
      : store_(std::move(store)) {}

  // From now on, `call` ("Put") fails with `status` after `after` more of it;
  // the store does not hear of it. OkStatus() ends it.
  void Fail(std::string call, absl::Status status, int64_t after = 0) {
    absl::MutexLock lock(&mutex_);
    call_ = std::move(call);
    status_ = std::move(status);
    after_ = after;
  }

  CheckpointerCapabilities capabilities() const override {
    return store_->capabilities();
  }
  void Open(std::string_view thread, Done<ThreadLease> done) override {
    if (Fails("Open", done)) return;
    store_->Open(thread, std::move(done));
  }
  void Put(const Fence& fence, NewCheckpoint&& checkpoint,
           StatusDone done) override {
    if (Fails("Put", done)) return;
    store_->Put(fence, std::move(checkpoint), std::move(done));
  }
  void PutWrites(const Fence& fence, NewWrites&& writes,
                 StatusDone done) override {
    if (Fails("PutWrites", done)) return;
    store_->PutWrites(fence, std::move(writes), std::move(done));
  }
  void Get(CheckpointKey key,
           Done<std::optional<CheckpointTuple>> done) override {
    if (Fails("Get", done)) return;
    store_->Get(std::move(key), std::move(done));
  }
  void List(CheckpointQuery query,
            Done<std::vector<CheckpointTuple>> done) override {
    if (Fails("List", done)) return;
    store_->List(std::move(query), std::move(done));
  }
  void History(CheckpointKey key, std::vector<std::string> channels,
               Done<std::vector<std::vector<SavedChannel>>> done) override {
    if (Fails("History", done)) return;
    store_->History(std::move(key), std::move(channels), std::move(done));
  }
  void DeleteThread(std::string_view thread, StatusDone done) override {
    if (Fails("DeleteThread", done)) return;
    store_->DeleteThread(thread, std::move(done));
  }
  void DeleteRuns(std::vector<std::string> run_ids, StatusDone done) override {
    if (Fails("DeleteRuns", done)) return;
    store_->DeleteRuns(std::move(run_ids), std::move(done));
  }
  void CopyThread(std::string_view from, std::string_view to,
                  StatusDone done) override {
    if (Fails("CopyThread", done)) return;
    store_->CopyThread(from, to, std::move(done));
  }
  void Prune(std::vector<std::string> threads, PruneMode mode,
             StatusDone done) override {
    if (Fails("Prune", done)) return;
    store_->Prune(std::move(threads), mode, std::move(done));
  }
  void Flush(StatusDone done) override {
    if (Fails("Flush", done)) return;
    store_->Flush(std::move(done));
  }

 private:
  template <class DoneType>
  bool Fails(std::string_view call, DoneType& done) {
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      if (status_.ok() || call != call_ || after_-- > 0) return false;
      status = status_;
    }
    done(std::move(status));
    return true;
  }

  const std::shared_ptr<Checkpointer> store_;

  absl::Mutex mutex_;
  std::string call_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  int64_t after_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_FAILING_CHECKPOINTER_H_
