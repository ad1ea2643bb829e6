#ifndef WEIR_RUNTIME_INTERNAL_TASK_ID_H_
#define WEIR_RUNTIME_INTERNAL_TASK_ID_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weir/runtime/event.h"

namespace weir {
inline namespace v0 {
namespace internal {

class Run;
struct StepTask;

// 32 hex digits: a hash of the checkpoint that the superstep follows (of the
// run and its namespace, where it is not saved), step, node, kind and, for a
// Send, its index. Planning the same superstep again gives the same id.
std::string TaskId(const Run& run, const StepTask& task);

// That of a task of a node by this name, in the superstep that `run` is to
// plan. `send`: which Send's, or -1.
std::string PlannedTaskId(const Run& run, std::string_view node, int32_t send);

// Of a block that runs once in a task.
std::string OnceId(const StepTask& task, std::string_view name);

// Of what a task asks: the same however often it asks.
std::string TaskInterruptId(const Run& run, const StepTask& task);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_TASK_ID_H_
