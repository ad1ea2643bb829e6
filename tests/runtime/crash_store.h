#ifndef WEIR_TESTS_RUNTIME_CRASH_STORE_H_
#define WEIR_TESTS_RUNTIME_CRASH_STORE_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/checkpoint/checkpointer.h"
#include "weir/checkpoint/internal/crash_point.h"
#include "weir/checkpoint/run_store.h"

namespace weir {

// CrashStore: a store with crash points where a Runtime gives it something, is
// about to be answered, and has been.
class CrashStore final : public Checkpointer, private RunStore {
  template <class T>
  using Done = Checkpointer::Done<T>;
  using StatusDone = Checkpointer::StatusDone;

 public:
  explicit CrashStore(Checkpointer& store) : store_(store) {}

  CheckpointerCapabilities capabilities() const override {
    return store_.capabilities();
  }
  RunStore* runs() override { return this; }
  void Open(std::string_view thread, Done<ThreadLease> done) override {
    internal::CrashPoint("thread: opened");
    store_.Open(thread, std::move(done));
  }
  void Put(const Fence& fence, NewCheckpoint&& made, StatusDone done) override {
    store_.Put(fence, std::move(made), std::move(done));
  }
  void PutWrites(const Fence& fence, NewWrites&& made,
                 StatusDone done) override {
    store_.PutWrites(fence, std::move(made), std::move(done));
  }
  void Get(CheckpointKey key,
           Done<std::optional<CheckpointTuple>> done) override {
    store_.Get(std::move(key), std::move(done));
  }
  void List(CheckpointQuery query,
            Done<std::vector<CheckpointTuple>> done) override {
    store_.List(std::move(query), std::move(done));
  }
  void History(CheckpointKey key, std::vector<std::string> channels,
               Done<std::vector<std::vector<SavedChannel>>> done) override {
    store_.History(std::move(key), std::move(channels), std::move(done));
  }
  void DeleteThread(std::string_view thread, StatusDone done) override {
    store_.DeleteThread(thread, Around("thread: deleted", std::move(done)));
  }
  void DeleteRuns(std::vector<std::string> runs, StatusDone done) override {
    store_.DeleteRuns(std::move(runs),
                      Around("runs: deleted", std::move(done)));
  }
  void CopyThread(std::string_view from, std::string_view to,
                  StatusDone done) override {
    store_.CopyThread(from, to, Around("thread: copied", std::move(done)));
  }
  void Prune(std::vector<std::string> threads, PruneMode mode,
             StatusDone done) override {
    store_.Prune(std::move(threads), mode,
                 Around("threads: pruned", std::move(done)));
  }
  void Flush(StatusDone done) override { store_.Flush(std::move(done)); }

 private:
  static const char* NameOf(const RunCommit& commit) {
    if (commit.checkpoint.has_value()) return "run: checkpoint";
    if (commit.writes.has_value()) return "run: writes";
    if (!commit.runs.empty() && !commit.runs[0].unfinished) return "run: ended";
    if (!commit.runs.empty()) {
      return commit.threads.empty() ? "run: begun" : "run: admitted";
    }
    if (!commit.events.empty()) return "run: events";
    return commit.threads.empty() ? "run: dropped" : "thread: changed";
  }
  // It is called before, and around `done`.
  static StatusDone Around(const char* name, StatusDone done) {
    internal::CrashPoint(name);
    return [name, done = std::move(done)](const absl::Status& s) mutable {
      const std::string before = std::string(name) + ", stored";
      internal::CrashPoint(before.c_str());
      done(s);
      const std::string after = std::string(name) + ", told";
      internal::CrashPoint(after.c_str());
    };
  }

  void Commit(RunCommit&& commit, StatusDone done) override {
    const char* const name = NameOf(commit);
    store_.runs()->Commit(std::move(commit), Around(name, std::move(done)));
  }
  void GetThread(std::string_view thread,
                 Done<std::optional<ThreadRows>> done) override {
    internal::CrashPoint("thread: looked for");
    store_.runs()->GetThread(thread, std::move(done));
  }
  void ListThreads(Done<std::vector<ThreadRow>> done) override {
    store_.runs()->ListThreads(std::move(done));
  }
  void GetRun(std::string_view run, Done<std::optional<RunRow>> done) override {
    store_.runs()->GetRun(run, std::move(done));
  }
  void ListUnfinished(Done<std::vector<RunRow>> done) override {
    internal::CrashPoint("runs: looked for");
    store_.runs()->ListUnfinished(std::move(done));
  }
  void ListEvents(std::string_view run, uint64_t first,
                  Done<std::vector<EventRow>> done) override {
    store_.runs()->ListEvents(run, first, std::move(done));
  }

  Checkpointer& store_;
};

}  // namespace weir

#endif  // WEIR_TESTS_RUNTIME_CRASH_STORE_H_
