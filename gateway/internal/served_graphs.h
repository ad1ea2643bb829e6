#ifndef WEIR_GATEWAY_INTERNAL_SERVED_GRAPHS_H_
#define WEIR_GATEWAY_INTERNAL_SERVED_GRAPHS_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "weir/gateway/gateway.h"
#include "weir/runtime/graph.h"

namespace weir {
inline namespace v0 {
namespace internal {

// A graph that clients may run.
struct ServedGraph {
  std::string name{};
  std::string assistant_id{};
  Graph graph;
  GraphOptions options{};
};

// ServedGraphs: by name, and by the id of their assistant.
//
// Threads: thread-safe.
class ServedGraphs {
 public:
  using Ptr = std::shared_ptr<const ServedGraph>;

  void Add(Ptr graph);
  // NotFound names those there are.
  absl::StatusOr<Ptr> Find(std::string_view assistant) const;
  std::vector<Ptr> all() const;

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, Ptr, std::less<>> by_name_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_SERVED_GRAPHS_H_
