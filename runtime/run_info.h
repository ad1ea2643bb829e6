#ifndef WEIR_RUNTIME_RUN_INFO_H_
#define WEIR_RUNTIME_RUN_INFO_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "weir/channels/value.h"
#include "weir/channels/values.h"
#include "weir/export.h"
#include "weir/runtime/event.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/thread.h"

// The runs of a Runtime: what they are started with, and what they show.
namespace weir {
inline namespace v0 {

// What becomes of the unfinished runs of a thread when another is started.
enum class MultitaskStrategy {
  kEnqueue,    // The new one waits for them.
  kReject,     // The new one is refused.
  kInterrupt,  // They are cancelled; the new one goes on from there.
  kRollback,   // They are undone; the new one goes on from before them.
};

// "enqueue", "reject", "interrupt", "rollback".
WEIR_EXPORT std::string_view MultitaskStrategyName(MultitaskStrategy strategy);

// What becomes of a run that is cancelled.
enum class CancelAction {
  kInterrupt,  // What the run has finished stays.
  // The run, its checkpoints, and what it did after those of other runs are
  // deleted: a question that it answered is open again.
  kRollback,
};

// Whether a run goes on when a reader leaves it before its end.
enum class OnDisconnect { kContinue, kCancel };

// Whether a run on a thread that is not there is refused, or makes the thread.
enum class IfNotExists { kReject, kCreate };

// What becomes of the thread of a stateless run at its end.
enum class OnCompletion {
  kDelete,  // It is deleted; nothing was stored.
  kKeep,    // It stays, with its checkpoints.
};

// RunOutcome: what a run left when it ended; always the same.
struct WEIR_EXPORT RunOutcome {
  RunStatus status = RunStatus::kSuccess;
  // The output channels of the thread.
  Values values{};
  // What it asks, if it paused.
  std::vector<Interrupt> interrupts{};
  // Why it is not a success; Cancelled if it was cancelled.
  absl::Status error{};

  // The values; with "__interrupt__" if it paused; {"__error__": {"error": ...,
  // "message": ...}} if it failed.
  std::string ToJson() const;
};

// RunInfo: what Runtime::GetRun() shows of a run.
struct WEIR_EXPORT RunInfo {
  RunId id{};
  ThreadId thread_id{};
  std::string graph{};
  RunStatus status = RunStatus::kPending;
  int attempt = 1;
  Metadata metadata{};  // The thread's, and over it the run's own.
  StreamModes modes = kValues;
  bool subgraphs = false;
  bool resumable = false;
  MultitaskStrategy multitask = MultitaskStrategy::kEnqueue;
  absl::Time created_at = absl::UnixEpoch();
  absl::Time start_after = absl::UnixEpoch();
  absl::Time updated_at = absl::UnixEpoch();
  std::optional<absl::Time> started_at{};
  std::optional<absl::Time> ended_at{};

  // {"run_id": ..., "thread_id": ..., "status": ..., ...}
  std::string ToJson() const;
};

// StartOptions: how a Runtime runs a graph on a thread. Every field has a
// default.
struct StartOptions {
  // As in RunOptions, but that the stream's modes are the run's: readers get
  // what was asked for here, or less. No modes are kValues.
  StreamModes modes = kValues;
  bool subgraphs = false;
  int64_t recursion_limit = 10'007;
  int max_concurrency = 0;
  OnFailure on_failure = OnFailure::kRunSiblings;
  absl::Duration step_timeout = absl::InfiniteDuration();
  Store* store = nullptr;  // Null: the Runtime's.
  Value context{};
  Durability durability = Durability::kAsync;
  int max_async_lag = 1;
  std::optional<CheckpointRef> from{};
  std::vector<std::string> interrupt_before{};
  std::vector<std::string> interrupt_after{};
  Metadata metadata{};  // Goes over the thread's.

  // Keeps the run's events for readers who come later: all of its modes, from
  // its first to `retention` after its end, or as far back as the limits allow.
  bool resumable = false;
  absl::Duration retention = absl::Seconds(120);
  uint64_t max_events = 0;  // 0 for any number.
  uint64_t max_bytes = 0;   // Of the events' data as JSON; 0 for any number.
  // Of a run that is not resumable: how many events a reader may be behind.
  uint64_t window = 4'096;

  MultitaskStrategy multitask = MultitaskStrategy::kEnqueue;
  // Whether a thread that is not there is made, with the run's metadata.
  IfNotExists if_not_exists = IfNotExists::kReject;
  OnCompletion on_completion = OnCompletion::kDelete;
  // The run begins no sooner.
  absl::Duration after = absl::ZeroDuration();
  // A run whose last superstep has not ended by then ends with kTimeout when
  // its nodes have returned, whatever they return, unless one fails by itself.
  absl::Duration timeout = absl::InfiniteDuration();
  // Of Stream() and Wait(): what becomes of the run if their caller leaves.
  OnDisconnect on_disconnect = OnDisconnect::kContinue;
  // Called once when the run has ended and all of its state is final, on a
  // worker. Not for runs that are rolled back.
  std::function<void(const RunInfo&, const RunOutcome&)> on_end{};
};

// RunQuery: which runs of a thread are meant; every field narrows it.
struct RunQuery {
  std::optional<RunStatus> status{};
  Metadata metadata{};  // Those that have all of it.
  size_t limit = 10;    // At least 1.
  size_t offset = 0;
};

// CancelOptions: how runs are cancelled.
struct CancelOptions {
  CancelAction action = CancelAction::kInterrupt;
  // Whether to return only when they have stopped.
  bool wait = false;
};

// CancelQuery: which runs are cancelled: those named, or all of a status.
struct CancelQuery {
  ThreadId thread{};  // Of those named.
  std::vector<RunId> runs{};
  // kPending or kRunning, of any thread.
  std::optional<RunStatus> status{};
  bool all = false;  // Both.
};

// JoinOptions: how a run's end is waited for.
struct JoinOptions {
  // Whether the run is cancelled if the caller leaves, by `stop`.
  bool cancel_on_disconnect = false;
  // Ends the wait with Cancelled.
  std::stop_token stop{};
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_RUN_INFO_H_
