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

// 32 hex digits: a hash of run, namespace, step, node, kind and, for a Send,
// its index. Planning the same superstep of the same run again gives the same
// id.
std::string TaskId(const Run& run, const StepTask& task);

// 32 hex digits for the checkpoint before superstep `step` + 1 of a run.
std::string CheckpointId(const Run& run, int64_t step);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_TASK_ID_H_
