#ifndef WEIR_TESTS_CHECKPOINT_WAITING_CHECKPOINTER_H_
#define WEIR_TESTS_CHECKPOINT_WAITING_CHECKPOINTER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"

#include "weir/checkpoint/checkpointer.h"
#include "weir/checkpoint/run_store.h"

namespace weir {

// Answers on the caller's thread, before a call returns, whatever the store
// below does. That one must outlive it.
class WaitingCheckpointer final : public Checkpointer, private RunStore {
  template <class T>
  using Done = Checkpointer::Done<T>;
  using StatusDone = Checkpointer::StatusDone;

 public:
  explicit WaitingCheckpointer(Checkpointer& store) : store_(store) {}

  RunStore* runs() override {
    return store_.runs() == nullptr ? nullptr : this;
  }

  CheckpointerCapabilities capabilities() const override {
    return store_.capabilities();
  }
  void Open(std::string_view thread, Done<ThreadLease> done) override {
    Wait<absl::StatusOr<ThreadLease>>(
        done, [&](auto to) { store_.Open(thread, std::move(to)); });
  }
  void Put(const Fence& fence, NewCheckpoint&& made, StatusDone done) override {
    Wait<absl::Status>(done, [&](auto to) {
      store_.Put(fence, std::move(made), std::move(to));
    });
  }
  void PutWrites(const Fence& fence, NewWrites&& writes,
                 StatusDone done) override {
    Wait<absl::Status>(done, [&](auto to) {
      store_.PutWrites(fence, std::move(writes), std::move(to));
    });
  }
  void Get(CheckpointKey key,
           Done<std::optional<CheckpointTuple>> done) override {
    Wait<absl::StatusOr<std::optional<CheckpointTuple>>>(
        done, [&](auto to) { store_.Get(std::move(key), std::move(to)); });
  }
  void List(CheckpointQuery query,
            Done<std::vector<CheckpointTuple>> done) override {
    Wait<absl::StatusOr<std::vector<CheckpointTuple>>>(
        done, [&](auto to) { store_.List(std::move(query), std::move(to)); });
  }
  void History(CheckpointKey key, std::vector<std::string> channels,
               Done<std::vector<std::vector<SavedChannel>>> done) override {
    Wait<absl::StatusOr<std::vector<std::vector<SavedChannel>>>>(
        done, [&](auto to) {
          store_.History(std::move(key), std::move(channels), std::move(to));
        });
  }
  void DeleteThread(std::string_view thread, StatusDone done) override {
    Wait<absl::Status>(
        done, [&](auto to) { store_.DeleteThread(thread, std::move(to)); });
  }
  void DeleteRuns(std::vector<std::string> run_ids, StatusDone done) override {
    Wait<absl::Status>(done, [&](auto to) {
      store_.DeleteRuns(std::move(run_ids), std::move(to));
    });
  }
  void CopyThread(std::string_view from, std::string_view to,
                  StatusDone done) override {
    Wait<absl::Status>(
        done, [&](auto give) { store_.CopyThread(from, to, std::move(give)); });
  }
  void Prune(std::vector<std::string> threads, PruneMode mode,
             StatusDone done) override {
    Wait<absl::Status>(done, [&](auto to) {
      store_.Prune(std::move(threads), mode, std::move(to));
    });
  }
  void Flush(StatusDone done) override {
    Wait<absl::Status>(done, [&](auto to) { store_.Flush(std::move(to)); });
  }

 private:
  void Commit(RunCommit&& commit, StatusDone done) override {
    Wait<absl::Status>(done, [&](auto to) {
      store_.runs()->Commit(std::move(commit), std::move(to));
    });
  }
  void GetThread(std::string_view thread,
                 Done<std::optional<ThreadRows>> done) override {
    Wait<absl::StatusOr<std::optional<ThreadRows>>>(done, [&](auto to) {
      store_.runs()->GetThread(thread, std::move(to));
    });
  }
  void ListThreads(Done<std::vector<ThreadRow>> done) override {
    Wait<absl::StatusOr<std::vector<ThreadRow>>>(
        done, [&](auto to) { store_.runs()->ListThreads(std::move(to)); });
  }
  void GetRun(std::string_view run, Done<std::optional<RunRow>> done) override {
    Wait<absl::StatusOr<std::optional<RunRow>>>(
        done, [&](auto to) { store_.runs()->GetRun(run, std::move(to)); });
  }
  void ListUnfinished(Done<std::vector<RunRow>> done) override {
    Wait<absl::StatusOr<std::vector<RunRow>>>(
        done, [&](auto to) { store_.runs()->ListUnfinished(std::move(to)); });
  }
  void ListEvents(std::string_view run, uint64_t first,
                  Done<std::vector<EventRow>> done) override {
    Wait<absl::StatusOr<std::vector<EventRow>>>(done, [&](auto to) {
      store_.runs()->ListEvents(run, first, std::move(to));
    });
  }

  template <class Result, class D, class Call>
  static void Wait(D& done, Call call) {
    absl::Notification given;
    std::optional<Result> result;
    call([&](Result answer) {
      result.emplace(std::move(answer));
      given.Notify();
    });
    given.WaitForNotification();
    done(*std::move(result));
  }

  Checkpointer& store_;
};

}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_WAITING_CHECKPOINTER_H_
