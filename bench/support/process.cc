#include "bench/support/process.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

#include "oneapi/tbb/scalable_allocator.h"

namespace weir {
namespace {

// Of /proc/self/status; 0 if there is none.
int64_t StatusBytes(std::string_view name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(name)) continue;
    return std::strtoll(line.c_str() + name.size(), nullptr, 10) * 1024;
  }
  return 0;
}

bool Sleeps(const std::filesystem::path& task) {
  std::ifstream file(task / "stat");
  std::string stat;
  // Its name, in brackets, may have any characters; then comes its state.
  if (!std::getline(file, stat)) return true;
  const size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.compare(name_end, 3, ") S") == 0;
}

bool OthersSleep() {
  const std::string self = std::to_string(gettid());
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() != self && !Sleeps(task.path())) return false;
  }
  return true;
}

}  // namespace

int64_t PageFaults() {
  rusage usage = {};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_minflt;
}

void WaitUntilOthersSleep() {
  while (!OthersSleep()) std::this_thread::yield();
}

SteadyProcess::SteadyProcess() {
  // First: the sleeper would get a heap of its own.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other worker runs yet.
  mallopt(M_ARENA_MAX, 1);
  sleeper_ = std::jthread([this] { end_.wait(); });
}

PeakMemory::PeakMemory() {
  scalable_allocation_command(TBBMALLOC_CLEAN_ALL_BUFFERS, nullptr);
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;
  before_ = StatusBytes("VmRSS:");
}

int64_t PeakMemory::bytes() const { return StatusBytes("VmHWM:") - before_; }

}  // namespace weir
