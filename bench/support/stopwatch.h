#ifndef WEIR_BENCH_SUPPORT_STOPWATCH_H_
#define WEIR_BENCH_SUPPORT_STOPWATCH_H_

#include <time.h>

#include <chrono>

#include "absl/functional/function_ref.h"

namespace weir {

// Seconds that `work` takes: for UseManualTime(), where what is not to be
// measured is too short for PauseTiming().
inline double Seconds(absl::FunctionRef<void()> work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  const auto end = std::chrono::steady_clock::now();
  return std::chrono::duration<double>(end - begin).count();
}

// Seconds that the calling worker has computed until now.
inline double OwnSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) +
         static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace weir

#endif  // WEIR_BENCH_SUPPORT_STOPWATCH_H_
