#ifndef WEIR_RUNTIME_COUNTERS_H_
#define WEIR_RUNTIME_COUNTERS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "weir/checkpoint/checkpointer.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// RuntimeCounters: what a Runtime has done since it was made, and what it has
// to do now; for metrics. Each number is right by itself: runs go on while they
// are read, so that sums may differ by what has changed meanwhile.
struct WEIR_EXPORT RuntimeCounters {
  // Now: runs that wait to run, and those that run; threads in memory.
  size_t pending = 0;
  size_t running = 0;
  size_t threads = 0;

  // Runs that have ended, by how. Those that paused to ask have succeeded:
  // Runtime::CountThreads() tells how many threads wait for an answer. Those
  // that were rolled back count as interrupted.
  uint64_t succeeded = 0;
  uint64_t failed = 0;
  uint64_t timed_out = 0;
  uint64_t interrupted = 0;

  // Of all runs, with the graphs inside: supersteps begun, and their tasks. The
  // start counts as one of both; so do tasks that an earlier run had finished.
  uint64_t supersteps = 0;
  uint64_t tasks = 0;
  // Events of runs that have ended, without those of an earlier process. What
  // nobody has asked for is none.
  uint64_t events = 0;

  // Of the checkpointer, whoever uses it.
  CheckpointerCounters store;

  // {"pending": 0, "running": 1, ..., "store": {"transactions": 3, ...}}
  std::string ToJson() const;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_COUNTERS_H_
