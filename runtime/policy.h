#ifndef WEIR_RUNTIME_POLICY_H_
#define WEIR_RUNTIME_POLICY_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "weir/channels/value.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// RetryPolicy: when a failed attempt of a node is followed by another, and
// after what delay: min(max_interval, initial_interval * backoff_factor^(k-1))
// after the k-th failure, plus up to a second of jitter.
struct RetryPolicy {
  absl::Duration initial_interval = absl::Milliseconds(500);
  double backoff_factor = 2.0;
  absl::Duration max_interval = absl::Seconds(128);
  int max_attempts = 3;  // The first one included.
  bool jitter = true;
  // Whether a failure is retried. By default those that are a body's own and
  // may pass: Unknown, Unavailable, DeadlineExceeded, Aborted. Must be safe to
  // call from several workers at once.
  std::function<bool(const absl::Status&)> retry_on{};
};

// TimeoutPolicy: how long one attempt of a node may take. When it has, the
// attempt's stop token is triggered, the run waits for the body to return, and
// whatever it returns or wrote is dropped: the attempt has failed with a
// NodeTimeoutError, which can be retried or handled.
struct TimeoutPolicy {
  // From the attempt's start.
  absl::Duration run = absl::InfiniteDuration();
  // From the attempt's last sign of progress.
  absl::Duration idle = absl::InfiniteDuration();
  // What counts as progress: what the node emits and its heartbeats, or
  // heartbeats alone.
  bool only_heartbeats = false;
};

// Cache: results of nodes by their input, shared by all graphs, runs and
// threads that are given it.
//
// Threads:  thread-safe.
class WEIR_EXPORT Cache {
 public:
  Cache();
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // Forgets the results of `node`, or of every node.
  void Clear(std::string_view node);
  void Clear();

  // Entries kept; those that have expired are dropped when they are looked for.
  size_t size() const;

  struct Rep;
  // For the engine.
  Rep* rep() const { return rep_.get(); }

 private:
  std::unique_ptr<Rep> rep_;
};

// What a graph inside another remembers in the checkpoints of its run's thread.
enum class Memory {
  // Where it stopped within one task: it goes on there when the task runs
  // again, and starts empty in every other task.
  kOfTask,
  // Its state from one run of the thread to the next, as the outermost graph.
  kOfThread,
  // Nothing: it starts anew whenever its task does.
  kNone,
};

// CachePolicy: a node's successful result is kept and given again for an equal
// key. It has no effect unless the graph is compiled with a Cache.
struct CachePolicy {
  // The key of an input; by default its encoded content, for which every
  // channel that the node reads needs a Codec.
  std::function<std::string(const Value& input)> key{};
  absl::Duration ttl = absl::InfiniteDuration();
};

// CallOptions: how a function is called by a node; as NodeOptions.
struct CallOptions {
  std::vector<RetryPolicy> retry{};
  TimeoutPolicy timeout{};
  std::optional<CachePolicy> cache{};
};

// What becomes of a block that runs once if the process ends within it.
enum class OnceMode {
  kAtLeastOnce,  // It runs again.
  kAtMostOnce,   // It does not: the node is told so by an UnknownOutcome.
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_POLICY_H_
