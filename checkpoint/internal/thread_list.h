#ifndef WEIR_CHECKPOINT_INTERNAL_THREAD_LIST_H_
#define WEIR_CHECKPOINT_INTERNAL_THREAD_LIST_H_

#include <vector>

#include "absl/status/statusor.h"

#include "weir/checkpoint/internal/database.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
inline namespace v0 {
namespace internal {

// What SqliteCheckpointer::ListThreads() answers.
absl::StatusOr<std::vector<ThreadSummary>> ListThreads(Database& db);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_THREAD_LIST_H_
