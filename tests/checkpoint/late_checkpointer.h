#ifndef WEIR_TESTS_CHECKPOINT_LATE_CHECKPOINTER_H_
#define WEIR_TESTS_CHECKPOINT_LATE_CHECKPOINTER_H_

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

#include "weir/checkpoint/checkpointer.h"
#include "weir/runtime/executor.h"

namespace weir {

// LateCheckpointer: another store, whose answers come after `delay`, as jobs of
// an executor.
class LateCheckpointer final : public Checkpointer {
 public:
  LateCheckpointer(Checkpointer* store, Executor* executor,
                   absl::Duration delay = absl::Milliseconds(1))
      : store_(store), executor_(executor), delay_(delay) {}

  CheckpointerCapabilities capabilities() const override { return {}; }
  void Open(std::string_view thread, Done<ThreadLease> done) override {
    store_->Open(thread, Late(std::move(done)));
  }
  void Put(const Fence& fence, NewCheckpoint&& checkpoint,
           StatusDone done) override {
    store_->Put(fence, std::move(checkpoint), Late(std::move(done)));
  }
  void PutWrites(const Fence& fence, NewWrites&& writes,
                 StatusDone done) override {
    store_->PutWrites(fence, std::move(writes), Late(std::move(done)));
  }
  void Get(CheckpointKey key,
           Done<std::optional<CheckpointTuple>> done) override {
    store_->Get(std::move(key), Late(std::move(done)));
  }
  void List(CheckpointQuery query,
            Done<std::vector<CheckpointTuple>> done) override {
    store_->List(std::move(query), Late(std::move(done)));
  }
  void DeleteThread(std::string_view thread, StatusDone done) override {
    store_->DeleteThread(thread, Late(std::move(done)));
  }
  void Flush(StatusDone done) override { store_->Flush(Late(std::move(done))); }

 private:
  template <class Result>
  absl::AnyInvocable<void(Result)> Late(absl::AnyInvocable<void(Result)> done) {
    return [this, done = std::move(done)](Result result) mutable {
      executor_->PostAfter(delay_, [done = std::move(done),
                                    result = std::move(result)]() mutable {
        done(std::move(result));
      });
    };
  }

  Checkpointer* const store_;
  Executor* const executor_;
  const absl::Duration delay_;
};

}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_LATE_CHECKPOINTER_H_
