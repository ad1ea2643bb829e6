#ifndef WEIR_TESTS_FUZZ_FUZZ_GRAPH_H_
#define WEIR_TESTS_FUZZ_FUZZ_GRAPH_H_

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/record_codec.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/state_graph.h"

namespace weir {

// A type that contains itself.
struct Parcel {
  std::string to;
  int grams = 0;
  std::vector<Parcel> inside{};
  std::map<std::string, std::optional<double>> notes{};
};

template <>
struct Codec<Parcel> : RecordCodec<Parcel> {
  static constexpr auto Fields() {
    return std::tuple(RecordField("to", &Parcel::to),
                      RecordField("grams", &Parcel::grams),
                      RecordField("inside", &Parcel::inside),
                      RecordField("notes", &Parcel::notes));
  }
};

// The graph that records are read for.
inline const internal::CompiledGraph& FuzzedGraph() {
  static const Graph* const kGraph = [] {
    StateGraph builder;
    builder.AddType<Parcel>();
    builder.AddChannel("count", LastValue<int>());
    builder.AddChannel("notes", AppendLogChannel<std::string>());
    builder.AddChannel("parcel", LastValue<Parcel>());
    builder.AddNode("a", [](NodeContext&) {});
    builder.AddNode("b", [](NodeContext&) {});
    builder.AddEdge(kStart, "a");
    builder.AddEdge("a", "b");
    return new Graph(*builder.Compile());
  }();
  return kGraph->compiled();
}

}  // namespace weir

#endif  // WEIR_TESTS_FUZZ_FUZZ_GRAPH_H_
