#ifndef WEIR_CHECKPOINT_RUN_STORE_H_
#define WEIR_CHECKPOINT_RUN_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpointer.h"
#include "weir/export.h"

// What a store keeps for a Runtime beside checkpoints: threads, runs and their
// events, as rows of bytes that the Runtime makes, with what they are found by.
namespace weir {
inline namespace v0 {

// A thread of a Runtime.
struct ThreadRow {
  std::string thread{};
  std::string record{};
};

// A run of a Runtime.
struct RunRow {
  std::string run{};
  std::string thread{};
  bool unfinished = true;
  std::string record{};
};

// Events of a run that follow one another.
struct EventRow {
  std::string run{};
  uint64_t first = 0;  // The id of the first of them.
  uint64_t count = 0;  // At least 1.
  std::string record{};
};

// A thread and its runs, as they were first stored.
struct ThreadRows {
  ThreadRow thread{};
  std::vector<RunRow> runs{};
};

// What is stored together, or not at all.
struct RunCommit {
  // Of the thread's writer; without an epoch nobody needs to be it.
  Fence fence{};
  std::optional<NewCheckpoint> checkpoint{};  // As Checkpointer::Put().
  std::optional<NewWrites> writes{};          // As Checkpointer::PutWrites().
  // Each takes the place of the row of that id.
  std::vector<ThreadRow> threads{};
  std::vector<RunRow> runs{};
  std::vector<EventRow> events{};
  // Runs that go, with their events.
  std::vector<std::string> dropped_runs{};
  // Of these runs go the rows whose events all come before the id.
  std::vector<std::pair<std::string, uint64_t>> dropped_events{};
};

// RunStore: where a Runtime keeps what it would have to know after the end of
// its process. A checkpointer that can gives it by Checkpointer::runs().
//
// Every call gives its result to `done` as those of Checkpointer do, in one
// order with them, and without the help of the caller or its executor, who may
// wait for it. What DeleteThread() removes includes the rows of the thread,
// its runs and their events; DeleteRuns() those of the runs.
//
// Errors:   those of Checkpointer, of what a commit has of it.
// Threads:  thread-safe.
// Lifetime: that of the checkpointer.
class WEIR_EXPORT RunStore {
 public:
  template <class T>
  using Done = absl::AnyInvocable<void(absl::StatusOr<T>)>;
  using StatusDone = absl::AnyInvocable<void(absl::Status)>;

  virtual ~RunStore() = default;

  // Stores all of a commit, in one transaction. Aborted if its fence is not the
  // thread's latest, or if a run is of another thread than it was.
  virtual void Commit(RunCommit&& commit, StatusDone done) = 0;

  // A thread with its runs, in the order in which they were first stored;
  // absent if it has no row.
  virtual void GetThread(std::string_view thread,
                         Done<std::optional<ThreadRows>> done) = 0;
  // All of them, by their names.
  virtual void ListThreads(Done<std::vector<ThreadRow>> done) = 0;
  virtual void GetRun(std::string_view run,
                      Done<std::optional<RunRow>> done) = 0;
  // In the order in which they were first stored.
  virtual void ListUnfinished(Done<std::vector<RunRow>> done) = 0;
  // The rows that have events of `first` or after it, in their order.
  virtual void ListEvents(std::string_view run, uint64_t first,
                          Done<std::vector<EventRow>> done) = 0;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_RUN_STORE_H_
