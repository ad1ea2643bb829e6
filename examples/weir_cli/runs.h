#ifndef WEIR_EXAMPLES_WEIR_CLI_RUNS_H_
#define WEIR_EXAMPLES_WEIR_CLI_RUNS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "arguments.h"
#include "commands.h"
#include "json.h"

#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/run_info.h"

// What a Runtime has left in a file beside checkpoints.
namespace weir_cli {

using Store = std::unique_ptr<weir::SqliteCheckpointer>;

absl::StatusOr<Store> Open(const Arguments& arguments);
absl::Status NotFound(const Arguments& arguments, const std::string& what);

// A call of a store that only reads: it answers before it returns.
template <class T, class Call>
absl::StatusOr<T> Ask(Call call) {
  absl::StatusOr<T> answer = absl::InternalError("the store has not answered");
  call([&answer](absl::StatusOr<T> given) { answer = std::move(given); });
  return answer;
}

struct RunCounts {
  uint64_t all = 0;
  uint64_t unfinished = 0;
};

// Of all threads of Runtimes, by their names.
absl::StatusOr<std::map<std::string, RunCounts>> CountRuns(
    weir::SqliteCheckpointer& store);
// None if the thread is of no Runtime.
absl::StatusOr<std::vector<weir::RunInfo>> RunsOf(
    weir::SqliteCheckpointer& store, const std::string& thread);
std::string TextOfRuns(const std::vector<weir::RunInfo>& runs);
Json JsonOfRuns(const std::vector<weir::RunInfo>& runs);

absl::StatusOr<Outcome> Events(const Arguments& arguments);

}  // namespace weir_cli

#endif  // WEIR_EXAMPLES_WEIR_CLI_RUNS_H_
