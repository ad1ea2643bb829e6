#ifndef WEIR_BENCH_SUPPORT_CHECK_H_
#define WEIR_BENCH_SUPPORT_CHECK_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "benchmark/benchmark.h"

#include "weir/channels/channel.h"
#include "weir/channels/values.h"

namespace weir {

// Whether `result` is OK; if not, ends the benchmark with its status.
template <class T>
bool Succeeded(benchmark::State& state, const absl::StatusOr<T>& result) {
  if (result.ok()) return true;
  state.SkipWithError(result.status().ToString().c_str());
  return false;
}

// Whether a benchmark computed what it should; if not, ends it with an error.
inline bool Equal(benchmark::State& state, int64_t got, int64_t want) {
  if (got == want) return true;
  state.SkipWithError(absl::StrFormat("got %d, want %d", got, want).c_str());
  return false;
}

// Whether a run left `want` in `channel`; if not, ends the benchmark.
template <class W>
bool Holds(benchmark::State& state, const absl::StatusOr<Values>& result,
           const Channel<int, W>& channel, int want) {
  return Succeeded(state, result) && Equal(state, result->Get(channel), want);
}

// Counters that show the time, in seconds, of one of the `count` equal parts of
// an iteration.
inline benchmark::Counter TimePer(int64_t count) {
  return benchmark::Counter(static_cast<double>(count),
                            benchmark::Counter::kIsIterationInvariantRate |
                                benchmark::Counter::kInvert);
}

}  // namespace weir

#endif  // WEIR_BENCH_SUPPORT_CHECK_H_
