#ifndef WEIR_BENCH_SUPPORT_PROCESS_H_
#define WEIR_BENCH_SUPPORT_PROCESS_H_

#include <cstdint>
#include <latch>
#include <thread>

namespace weir {

// SteadyProcess: while there is one, all benchmarks of a binary find the same
// process, whichever ran before. A second worker sleeps: with one alone, locks
// and counted pointers of the C library cost less than they will. And all
// workers have one heap: PeakMemory cannot give back what others hold.
class SteadyProcess {
 public:
  SteadyProcess();
  ~SteadyProcess() { end_.count_down(); }

 private:
  std::latch end_{1};
  std::jthread sleeper_;
};

// Page faults without disk access of the calling worker until now.
int64_t PageFaults();

// Returns when all other workers of this process are asleep, so that waking one
// costs what it costs.
void WaitUntilOthersSleep();

// PeakMemory: how much more memory the process has had since this was made:
// the high-water mark of its resident pages, which the kernel is told to forget
// (/proc/self/clear_refs), less what was resident. Includes the stacks of
// workers. 0 where there is no such file.
class PeakMemory {
 public:
  // Gives back what allocators hold of what went before, so that it does not
  // serve what comes.
  PeakMemory();

  int64_t bytes() const;

 private:
  int64_t before_;
};

}  // namespace weir

#endif  // WEIR_BENCH_SUPPORT_PROCESS_H_
