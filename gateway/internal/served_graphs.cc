#include "weir/gateway/internal/served_graphs.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace internal {

void ServedGraphs::Add(Ptr graph) {
  absl::MutexLock lock(&mutex_);
  std::string name = graph->name;
  by_name_.insert_or_assign(std::move(name), std::move(graph));
}

absl::StatusOr<ServedGraphs::Ptr> ServedGraphs::Find(
    std::string_view assistant) const {
  absl::MutexLock lock(&mutex_);
  const auto it = by_name_.find(assistant);
  if (it != by_name_.end()) return it->second;
  std::string names;
  for (const auto& [name, graph] : by_name_) {
    if (graph->assistant_id == assistant) return graph;
    absl::StrAppend(&names, names.empty() ? "" : ", ", name);
  }
  return absl::NotFoundError(
      absl::StrFormat("there is no assistant '%s': give the name of a graph "
                      "(%s) or its assistant's id",
                      assistant, names));
}

std::vector<ServedGraphs::Ptr> ServedGraphs::all() const {
  absl::MutexLock lock(&mutex_);
  std::vector<Ptr> graphs;
  for (const auto& [name, graph] : by_name_) graphs.push_back(graph);
  return graphs;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
