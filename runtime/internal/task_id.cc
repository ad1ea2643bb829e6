#include "weir/runtime/internal/task_id.h"

#include <xxhash.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "weir/runtime/internal/run_loop.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

std::string HashHex(const std::string& text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return absl::StrFormat("%016x%016x", hash.high64, hash.low64);
}

// Names and ids hold no NUL, so that one text stands for one set of parts.
constexpr absl::string_view kSeparator("\0", 1);

std::string RunAndNamespace(const Run& run) {
  if (run.saved()) {
    return absl::StrCat(run.checkpoint().ToString(), kSeparator, run.ns());
  }
  std::string text = run.env().options.run_id;
  for (const NamespaceLevel& level : run.Namespace()) {
    absl::StrAppend(&text, kSeparator, level.node, kSeparator, level.task_id,
                    kSeparator, level.call);
  }
  return text;
}

}  // namespace

std::string TaskId(const Run& run, const StepTask& task) {
  return HashHex(absl::StrCat(RunAndNamespace(run), kSeparator, run.step(),
                              kSeparator, task.node->name, kSeparator,
                              task.is_send() ? "push" : "pull", kSeparator,
                              task.send_index));
}

std::string TaskInterruptId(const Run& run, const StepTask& task) {
  return HashHex(absl::StrCat("interrupt", kSeparator, RunAndNamespace(run),
                              kSeparator, TaskId(run, task)));
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
