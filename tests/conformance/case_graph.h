#ifndef WEIR_TESTS_CONFORMANCE_CASE_GRAPH_H_
#define WEIR_TESTS_CONFORMANCE_CASE_GRAPH_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/conformance/expression.h"
#include "tests/conformance/json_values.h"

#include "weir/runtime/graph.h"

namespace weir::conformance {

// Builds and compiles the graph that a GRAPH describes.
//
// Errors:   those of StateGraph::Compile(), also of graphs inside. Throws where
//           `spec` is faulty.
// Lifetime: `spec` and `counters` must outlive the graph.
absl::StatusOr<Graph> BuildGraph(const Spec& spec, Counters* counters);

// The nodes to stop at that `field` names, one or many; "*" for all.
std::vector<std::string> StopsOf(const Spec& spec, const char* field);

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_CASE_GRAPH_H_
