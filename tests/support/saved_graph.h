#ifndef WEIR_TESTS_SUPPORT_SAVED_GRAPH_H_
#define WEIR_TESTS_SUPPORT_SAVED_GRAPH_H_

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/checkpoint/checkpointer.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"

// For tests of graphs whose threads are saved.
namespace weir {

class SavedGraphTest : public testing::Test {
 protected:
  using Lines = std::vector<std::string>;

  // Adds a node behind the start.
  template <class F>
  void AddEntry(const std::string& name, F body, NodeOptions options = {}) {
    builder_.AddNode(name, std::move(body), std::move(options));
    builder_.AddEdge(kStart, name);
  }
  // Adds nodes to `builder` that log that they ran, each behind the one before
  // and the first behind the start.
  template <class... Bodies>
  void AddPath(StateGraph& builder, Bodies... bodies) {
    std::string last(kStart);
    (AddBehind(builder, &last, std::move(bodies)), ...);
  }
  // A node of AddPath().
  template <class F>
  struct Named {
    std::string name;
    F body;
  };
  template <class F>
  static Named<F> Node(std::string name, F body) {
    return {std::move(name), std::move(body)};
  }
  static Named<Idle> Node(std::string name) { return {std::move(name), {}}; }

  // Asks `question` and writes "question answer" to the channel of that name.
  struct Asks {
    std::string question;
    std::string channel = "notes";

    NodeResult operator()(NodeContext& node) const {
      absl::StatusOr<std::string> answer =
          node.Interrupt<std::string>(question);
      if (!answer.ok()) return answer.status();
      return Update().Set(channel, Value(question + " " + *answer));
    }
  };

  RunOptions Saved(RunOptions options = {}) {
    if (options.thread_id.empty()) options.thread_id = "t";
    options.checkpointer = &store_;
    if (options.executor == nullptr) options.executor = &executor_;
    return options;
  }
  absl::StatusOr<RunResult> Invoke(const Graph& graph, Input input,
                                   RunOptions options = {}) {
    return graph.Invoke(std::move(input), Saved(std::move(options)));
  }
  RunResult Run(const Graph& graph, Input input, RunOptions options = {}) {
    absl::StatusOr<RunResult> result =
        Invoke(graph, std::move(input), std::move(options));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : RunResult();
  }
  // The events of a run in the modes that `options` name.
  Lines Events(const Graph& graph, Input input, RunOptions options) {
    const Streamed run =
        StreamAll(graph, std::move(input), Saved(std::move(options)));
    EXPECT_TRUE(run.status.ok()) << run.status;
    return run.events;
  }

  StateOptions Thread(std::optional<CheckpointRef> at = {}) {
    return {.checkpointer = &store_, .thread_id = "t", .at = std::move(at)};
  }
  // The state of the thread and of the graphs inside, or of one of these.
  StateSnapshot State(const Graph& graph,
                      std::optional<CheckpointRef> at = {}) {
    StateOptions options = Thread(std::move(at));
    options.subgraphs = true;
    absl::StatusOr<StateSnapshot> state = graph.GetState(options);
    EXPECT_TRUE(state.ok()) << state.status();
    return state.ok() ? *std::move(state) : StateSnapshot();
  }
  std::vector<StateSnapshot> History(const Graph& graph,
                                     std::optional<CheckpointRef> at = {}) {
    absl::StatusOr<std::vector<StateSnapshot>> history =
        graph.GetHistory(Thread(std::move(at)));
    EXPECT_TRUE(history.ok()) << history.status();
    return history.ok() ? *std::move(history) : std::vector<StateSnapshot>();
  }
  // The newest checkpoint of the thread after which `node` comes next.
  StateSnapshot Before(const Graph& graph, const std::string& node) {
    for (StateSnapshot& state : History(graph)) {
      if (state.next == Lines{node}) return std::move(state);
    }
    ADD_FAILURE() << "nothing is about to run '" << node << "'";
    return {};
  }
  CheckpointRef Change(const Graph& graph, StateUpdate update,
                       std::optional<CheckpointRef> at = {}) {
    absl::StatusOr<CheckpointRef> made =
        graph.UpdateState(Thread(std::move(at)), std::move(update));
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : CheckpointRef();
  }
  // What the store has of a namespace, the newest first.
  std::vector<CheckpointTuple> Stored(const std::string& ns = "") {
    std::vector<CheckpointTuple> stored;
    CheckpointQuery query;
    query.thread = "t";
    query.ns = ns;
    store_.List(std::move(query),
                [&stored](absl::StatusOr<std::vector<CheckpointTuple>> list) {
                  ASSERT_TRUE(list.ok()) << list.status();
                  stored = *std::move(list);
                });
    return stored;
  }

  // Which nodes have run since this was last asked.
  Lines TakeRan() { return std::exchange(ran_, {}); }
  void NoteRan(const NodeContext& node) {
    ran_.push_back(std::string(node.node()));
  }

  StateGraph builder_;
  const NotesChannel notes_ = AddNotes(builder_);
  MemoryCheckpointer store_;
  // Runs one node at a time.
  InlineExecutor executor_;
  Lines ran_;

 private:
  template <class F>
  void AddBehind(StateGraph& builder, std::string* last, Named<F> node) {
    builder.AddNode(node.name, [this, body = node.body](NodeContext& context) {
      NoteRan(context);
      return Result(body, context);
    });
    builder.AddEdge(*last, node.name);
    *last = node.name;
  }
  template <class F>
  static NodeResult Result(const F& body, NodeContext& context) {
    if constexpr (std::is_void_v<decltype(body(context))>) {
      body(context);
      return NodeResult();
    } else {
      return NodeResult(body(context));
    }
  }
};

}  // namespace weir

#endif  // WEIR_TESTS_SUPPORT_SAVED_GRAPH_H_
