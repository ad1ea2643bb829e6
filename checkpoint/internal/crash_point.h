#ifndef WEIR_CHECKPOINT_INTERNAL_CRASH_POINT_H_
#define WEIR_CHECKPOINT_INTERNAL_CRASH_POINT_H_

#include <atomic>

namespace weir {
inline namespace v0 {
namespace internal {

// What is called wherever the worker of a database passes a point at which its
// process might end, with the point's name; a test sets it to end the process
// there. The one global in weir: what it stands for happens to a process.
// Relaxed: it is set before the database is opened, and thus before its worker
// begins.
inline std::atomic<void (*)(const char* name)> crash_hook{nullptr};

inline void CrashPoint(const char* name) {
  if (auto* const hook = crash_hook.load(std::memory_order_relaxed)) hook(name);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_CRASH_POINT_H_
