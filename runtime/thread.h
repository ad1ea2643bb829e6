#ifndef WEIR_RUNTIME_THREAD_H_
#define WEIR_RUNTIME_THREAD_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "weir/channels/values.h"
#include "weir/export.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/state.h"

// The threads of a Runtime: what they are made with, what they show, and how
// they are searched for.
namespace weir {
inline namespace v0 {

// Names a thread of a Runtime, and its checkpoints.
using ThreadId = std::string;

// Names and their values as JSON text: {{"user", "\"ann\""}, {"age", "7"}}.
using Metadata = std::map<std::string, std::string>;

// What a thread is doing, or how its last run ended.
enum class ThreadStatus {
  kIdle,         // No run is unfinished; the last one ended or was cancelled.
  kBusy,         // A run is running or waits to.
  kInterrupted,  // The last run paused: nodes are due.
  kError,        // The last run failed.
};

// "idle", "busy", "interrupted", "error".
WEIR_EXPORT std::string_view ThreadStatusName(ThreadStatus status);

// ThreadInfo: what Runtime::GetThread() shows of a thread.
struct WEIR_EXPORT ThreadInfo {
  ThreadId id{};
  ThreadStatus status = ThreadStatus::kIdle;
  absl::Time created_at = absl::UnixEpoch();
  absl::Time updated_at = absl::UnixEpoch();
  absl::Time state_updated_at = absl::UnixEpoch();
  // With "graph_id", the graph of the first run.
  Metadata metadata{};
  // The graph that ran last: the one that the thread's state is read by. Empty
  // before the first run.
  std::string graph{};
  // The output channels after the last run or update.
  Values values{};
  // What the last run asked.
  std::vector<Interrupt> interrupts{};
  // How long it stays after its last change; absent: until it is deleted.
  std::optional<absl::Duration> ttl{};

  // {"thread_id": ..., "status": ..., "values": {...}, ...}
  std::string ToJson() const;
};

// What happens where a thread of that id is there.
enum class IfExists {
  kRaise,      // AlreadyExists.
  kDoNothing,  // The thread is returned as it is.
};

// ThreadOptions: what a thread is made with. Every field has a default.
struct ThreadOptions {
  ThreadId id{};  // Empty: a fresh one.
  Metadata metadata{};
  IfExists if_exists = IfExists::kRaise;
  std::optional<absl::Duration> ttl{};  // Positive.
  // The graph that reads the thread before its first run.
  std::string graph{};
  // What the thread begins with, by Graph::UpdateState() of `graph`.
  std::vector<std::vector<StateUpdate>> supersteps{};
};

// ThreadChange: what Runtime::UpdateThread() changes.
struct ThreadChange {
  Metadata metadata{};  // Added to what is there; the same names are replaced.
  std::optional<absl::Duration> ttl{};  // Absent: as it was.
};

// By what threads are sorted that a search finds.
enum class ThreadOrder { kCreatedAt, kUpdatedAt, kId, kStatus };

// ThreadQuery: which threads are meant; every field narrows it.
struct ThreadQuery {
  Metadata metadata{};  // Those that have all of it.
  Metadata values{};    // By channel, as JSON text.
  std::optional<ThreadStatus> status{};
  std::vector<ThreadId> ids{};
  size_t limit = 10;  // 1 to 1,000.
  size_t offset = 0;
  ThreadOrder order = ThreadOrder::kCreatedAt;
  bool ascending = false;
};

// ThreadList: a page of the threads that were asked for.
struct ThreadList {
  std::vector<ThreadInfo> threads{};
  size_t total = 0;  // Of all pages.
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_THREAD_H_
