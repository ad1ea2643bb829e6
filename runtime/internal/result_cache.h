#ifndef WEIR_RUNTIME_INTERNAL_RESULT_CACHE_H_
#define WEIR_RUNTIME_INTERNAL_RESULT_CACHE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "weir/runtime/internal/step_task.h"
#include "weir/runtime/policy.h"

namespace weir {
inline namespace v0 {
namespace internal {

// All that a successful task left for the barrier. Nodes by name: graphs that
// share a cache may number them otherwise.
struct CachedResult {
  struct Sent {
    std::string node;
    Value arg;
    std::optional<absl::Duration> timeout;
  };
  std::vector<Write> writes;
  std::vector<std::string> gotos;
  std::vector<Sent> sends;
};

// The entry's key: graph, node, or function that is called, and the policy's
// key of the input. FailedPrecondition if the input has no Codec and the policy
// no key function.
absl::StatusOr<std::string> CacheKey(const CompiledGraph& graph,
                                     const CompiledNode& node, bool called,
                                     const CachePolicy& policy,
                                     const Value& input);

}  // namespace internal

struct Cache::Rep {
 public:
  std::optional<internal::CachedResult> Get(const std::string& key,
                                            absl::Time now);
  void Put(const std::string& key, std::string_view node,
           internal::CachedResult result, absl::Time expires);
  void Clear(std::string_view node);  // "" for all.
  size_t size() const;

 private:
  struct Entry {
    std::string node;
    internal::CachedResult result;
    absl::Time expires;
  };

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_RESULT_CACHE_H_
