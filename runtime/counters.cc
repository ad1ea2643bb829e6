#include "weir/runtime/counters.h"

#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {

std::string RuntimeCounters::ToJson() const {
  return absl::StrFormat(
      R"({"pending": %d, "running": %d, "threads": %d, "succeeded": %d, )"
      R"("failed": %d, "timed_out": %d, "interrupted": %d, "supersteps": %d, )"
      R"("tasks": %d, "events": %d, "store": {"transactions": %d, )"
      R"("syncs": %d, "bytes_written": %d}})",
      pending, running, threads, succeeded, failed, timed_out, interrupted,
      supersteps, tasks, events, store.transactions, store.syncs,
      store.bytes_written);
}

}  // namespace v0
}  // namespace weir
