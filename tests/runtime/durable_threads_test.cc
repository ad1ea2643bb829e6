#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/support/graph_run.h"

#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

// Threads in a file, which go on when it is opened again.
namespace weir {
namespace {

using ::testing::ElementsAre;

class DurableThreadsTest : public testing::Test {
 protected:
  DurableThreadsTest() { Reopen(); }

  // As another process would find it.
  void Reopen() {
    store_ = nullptr;
    absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> opened =
        SqliteCheckpointer::Open(folder_.File("threads.db"));
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }
  RunOptions Saved() {
    return {.thread_id = "t", .checkpointer = store_.get()};
  }
  // "a" asks, "b" fails as often as told.
  Graph Asking() {
    StateGraph builder;
    notes_ = AddNotes(builder);
    builder.AddNode("a", [notes = notes_](NodeContext& node) -> NodeResult {
      absl::StatusOr<std::string> answer = node.Interrupt<std::string>("milk?");
      if (!answer.ok()) return answer.status();
      return Update(notes, "a " + *answer);
    });
    builder.AddNode("b", [this](NodeContext&) -> NodeResult {
      if (failures_-- > 0) return absl::UnavailableError("no milk");
      return Update(notes_, "b");
    });
    builder.AddEdge(kStart, "a");
    builder.AddEdge("a", "b");
    return MustCompile(builder);
  }

  TempFolder folder_;
  std::unique_ptr<SqliteCheckpointer> store_;
  NotesChannel notes_;
  int failures_ = 0;
};

TEST_F(DurableThreadsTest, QuestionIsAnsweredAndAFailureRepeatedLater) {
  const Graph graph = Asking();
  absl::StatusOr<RunResult> run = graph.Invoke(Update(), Saved());
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(run->interrupts.size(), 1U);
  EXPECT_EQ(run->interrupts[0].value, Value("milk?"));

  Reopen();
  absl::StatusOr<StateSnapshot> state =
      graph.GetState({.checkpointer = store_.get(), .thread_id = "t"});
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_THAT(state->next, ElementsAre("a"));
  ASSERT_EQ(state->interrupts.size(), 1U);
  EXPECT_EQ(state->interrupts[0].value, Value("milk?"));
  failures_ = 1;
  EXPECT_EQ(graph.Invoke(Input::Resume(Value("yes")), Saved()).status().code(),
            absl::StatusCode::kUnavailable);

  Reopen();
  run = graph.Invoke(Input::Continue(), Saved());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_THAT(run->Get(notes_), ElementsAre("a yes", "b"));
}

TEST_F(DurableThreadsTest, ThreadOfARuntimeGoesOn) {
  const Graph graph = Asking();
  for (const char* answer : {"", "yes"}) {
    Runtime runtime({.checkpointer = store_.get()});
    ASSERT_TRUE(runtime.Register("graph", graph).ok());
    ASSERT_TRUE(
        runtime.CreateThread({.id = "t", .if_exists = IfExists::kDoNothing})
            .ok());
    Input input = *answer == '\0' ? Input(Update())
                                  : Input::Resume(Value(std::string(answer)));
    const absl::StatusOr<RunOutcome> run =
        runtime.Wait("t", "graph", std::move(input));
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_TRUE(run->error.ok()) << run->error;
    EXPECT_EQ(run->interrupts.size(), *answer == '\0' ? 1U : 0U);
    if (*answer != '\0') {
      EXPECT_THAT(run->values.Get(notes_), ElementsAre("a yes", "b"));
    }
  }
}

// The store answers on a thread of its own.
TEST_F(DurableThreadsTest, WorkersWaitForTheFile) {
  const Graph graph = Asking();
  TbbExecutor workers(2);
  for (const Durability durability :
       {Durability::kSync, Durability::kAsync, Durability::kExit}) {
    RunOptions options = Saved();
    options.executor = &workers;
    options.durability = durability;
    const absl::StatusOr<RunResult> run = graph.Invoke(Update(), options);
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_EQ(run->interrupts.size(), 1U);
  }
}

}  // namespace
}  // namespace weir
