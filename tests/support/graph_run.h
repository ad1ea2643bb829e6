#ifndef WEIR_TESTS_SUPPORT_GRAPH_RUN_H_
#define WEIR_TESTS_SUPPORT_GRAPH_RUN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state_graph.h"

// For tests that build a graph, run it and look at what it did.
namespace weir {

// What the nodes of a run noted, a line each, in merge order.
using Notes = std::vector<std::string>;
using NotesChannel = Channel<Notes, std::string>;

inline NotesChannel AddNotes(StateGraph& builder) {
  return builder.AddChannel(
      "notes", Reducer<Notes, std::string>([](Notes notes, const auto& line) {
        notes.push_back(line);
        return notes;
      }));
}

// A node that notes its name and superstep: "name@step".
struct NoteStep {
  NotesChannel notes;

  Update operator()(NodeContext& node) const {
    return Update(notes, absl::StrFormat("%s@%d", node.node(), node.step()));
  }
};

// A node that does nothing.
struct Idle {
  void operator()(NodeContext&) const {}
};

inline Graph MustCompile(const StateGraph& builder,
                         CompileOptions options = {}) {
  absl::StatusOr<Graph> graph = builder.Compile(std::move(options));
  EXPECT_TRUE(graph.ok()) << graph.status();
  return *std::move(graph);
}

inline Values MustInvoke(const Graph& graph, Input input,
                         RunOptions options = {}) {
  absl::StatusOr<Values> values =
      graph.Invoke(std::move(input), std::move(options));
  EXPECT_TRUE(values.ok()) << values.status();
  return values.ok() ? *std::move(values) : Values();
}

// The notes of a run on empty input that ends well: "a@1 b@2".
inline std::string NotesOf(const Graph& graph, NotesChannel notes,
                           RunOptions options = {}) {
  return absl::StrJoin(
      MustInvoke(graph, Update(), std::move(options)).Get(notes), " ");
}

// Matches a Status of this kind and code whose message holds all of `parts`.
inline testing::Matcher<const absl::Status&> IsError(
    ErrorKind kind, absl::StatusCode code,
    const std::vector<std::string>& parts = {}) {
  std::vector<testing::Matcher<const std::string&>> in_message;
  for (const std::string& part : parts) {
    in_message.push_back(testing::HasSubstr(part));
  }
  return testing::AllOf(
      testing::ResultOf(
          "kind",
          [](const absl::Status& s) {
            return std::string(ErrorKindName(ErrorKindOf(s)));
          },
          testing::Eq(std::string(ErrorKindName(kind)))),
      testing::Property("code", &absl::Status::code, testing::Eq(code)),
      testing::ResultOf(
          "message",
          [](const absl::Status& s) { return std::string(s.message()); },
          testing::AllOfArray(in_message)));
}

// An event as its name and its data: `updates {"a": null}`.
inline std::string EventText(const Event& event) {
  return std::string(event.name()) + " " + event.ToJson();
}

// A stream read to its end.
struct Streamed {
  std::vector<std::string> events;
  absl::Status status;
};

inline Streamed ReadAll(RunStream& stream) {
  Streamed out;
  while (const Event* event = stream.Next()) {
    out.events.push_back(EventText(*event));
  }
  out.status = stream.status();
  return out;
}

inline Streamed StreamAll(const Graph& graph, Input input, RunOptions options) {
  RunStream stream = graph.Stream(std::move(input), std::move(options));
  return ReadAll(stream);
}

// Runs `test` on virtual time, once for each of `seeds` orders of its jobs.
inline void ForEachOrder(uint64_t seeds,
                         const std::function<void(SimExecutor&)>& test) {
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE(absl::StrFormat("seed %d", seed));
    SimExecutor executor(seed);
    test(executor);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace weir

#endif  // WEIR_TESTS_SUPPORT_GRAPH_RUN_H_
