#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ErrorHandlerTest : public testing::Test {
 protected:
  // Adds an entry node that fails, and `handler` for it.
  template <class F>
  void AddFailing(const std::string& name, F handler) {
    AddEntry(name, Failing(), {.error_handler = ErrorHandler(handler)});
  }
  template <class F>
  void AddEntry(const std::string& name, F body, NodeOptions options = {}) {
    builder_.AddNode(name, std::move(body), std::move(options));
    builder_.AddEdge(kStart, name);
  }
  struct Failing {
    absl::Status operator()(NodeContext&) const {
      return absl::NotFoundError("no milk");
    }
  };
  std::string Run(CompileOptions options = {}) {
    return NotesOf(MustCompile(builder_, std::move(options)), notes_,
                   {.executor = &executor_});
  }
  absl::Status Failure(CompileOptions options = {}, RunOptions run = {}) {
    run.executor = &executor_;
    return MustCompile(builder_, std::move(options))
        .Invoke(Update(), std::move(run))
        .status();
  }

  SimExecutor executor_{1};
  StateGraph builder_;
  const NotesChannel notes_ = AddNotes(builder_);
};

TEST_F(ErrorHandlerTest, RunsInPlaceOfTheNodeInTheSameSuperstep) {
  AddEntry("a", NoteStep{notes_});
  AddFailing("b", NoteStep{notes_});
  AddEntry("c", NoteStep{notes_});
  EXPECT_EQ(Run(), "a@1 b@1 c@1");
}

TEST_F(ErrorHandlerTest, IsToldWhatHappened) {
  AddFailing("a", [this](NodeContext& node) {
    EXPECT_NE(node.failure(), nullptr);
    EXPECT_EQ(node.failure()->node, "a");
    EXPECT_EQ(node.node(), "a");
    return Update(notes_, std::string(node.failure()->status.ToString()));
  });
  EXPECT_EQ(Run(), "NOT_FOUND: no milk");
}

TEST_F(ErrorHandlerTest, SeesWhatTheNodeSaw) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  std::string seen;
  const void* input = nullptr;
  AddEntry("a",
           [&input](NodeContext& node) {
             input = &node.input();
             return absl::NotFoundError("no milk");
           },
           {.error_handler = ErrorHandler([&](NodeContext& node) {
              EXPECT_EQ(&node.input(), input);
              EXPECT_EQ(node.Get(count), 5);
              seen = node.input().ToJson();
            })});
  MustInvoke(MustCompile(builder_), Update(count, 5));
  EXPECT_EQ(seen, R"({"notes": [], "count": 5})");
}

TEST_F(ErrorHandlerTest, OfASendSeesWhatWasSent) {
  builder_.AddNode("w", Failing(),
                   {.error_handler = ErrorHandler([this](NodeContext& node) {
                      return Update(notes_,
                                    absl::StrCat("sent ", *node.Input<int>()));
                    })});
  AddEntry("a", [](NodeContext&) {
    return Command{.go_to = {Send("w", 1), Send("w", 2)}};
  });
  EXPECT_EQ(Run(), "sent 1 sent 2");
}

TEST_F(ErrorHandlerTest, LeadsWhereItsCommandSaysAndNotAlongTheNodesEdges) {
  AddFailing("a", [this](NodeContext&) {
    return Command{.update = Update(notes_, "handled"), .go_to = {"c"}};
  });
  for (const char* name : {"b", "c", "d", "e"}) {
    builder_.AddNode(name, NoteStep{notes_});
  }
  builder_.AddEdge("a", "b");
  builder_.AddJoin({"a"}, "d");
  builder_.AddConditionalEdges("a", [](NodeContext&) { return "e"; });
  EXPECT_EQ(Run(), "handled c@2");
}

TEST_F(ErrorHandlerTest, WithoutAGotoThePathEndsThere) {
  AddFailing("a", [this](NodeContext&) { return Update(notes_, "handled"); });
  builder_.AddNode("b", NoteStep{notes_});
  builder_.AddEdge("a", "b");
  EXPECT_EQ(Run(), "handled");
}

TEST_F(ErrorHandlerTest, DoesNotRunIfTheNodeSucceeds) {
  AddEntry("a", NoteStep{notes_},
           {.error_handler = ErrorHandler(
                [this](NodeContext&) { return Update(notes_, "handled"); })});
  EXPECT_EQ(Run(), "a@1");
}

TEST_F(ErrorHandlerTest, HandlesExceptionsAndFailingRouters) {
  auto handler = [this](NodeContext& node) {
    return Update(notes_, std::string(node.failure()->status.message()));
  };
  AddEntry("a", [](NodeContext&) { throw std::runtime_error("thrown"); },
           {.error_handler = ErrorHandler(handler)});
  AddEntry("b", NoteStep{notes_}, {.error_handler = ErrorHandler(handler)});
  builder_.AddConditionalEdges(
      "b", [](NodeContext&) -> Route { throw std::runtime_error("lost"); });
  EXPECT_EQ(Run(), "thrown router 'branch': lost");
}

TEST_F(ErrorHandlerTest, HandlesTheFailureOfAGraphAsANode) {
  StateGraph inner;
  inner.AddNode("x", Failing());
  inner.AddEdge(kStart, "x");
  builder_.AddNode(
      "sub", MustCompile(inner),
      {.error_handler = ErrorHandler([this](NodeContext& node) {
         return Update(notes_, std::string(node.failure()->status.message()));
       })});
  builder_.AddEdge(kStart, "sub");
  EXPECT_THAT(Run(), HasSubstr("node 'x' failed in step 1: no milk"));
}

TEST_F(ErrorHandlerTest, HandlesATimeout) {
  AddEntry("a",
           [](NodeContext& node) -> Task<absl::Status> {
             co_return co_await node.Sleep(absl::Seconds(10));
           },
           {.timeout = TimeoutPolicy{.run = absl::Seconds(3)},
            .error_handler = ErrorHandler([this](NodeContext& node) {
              EXPECT_FALSE(node.stop_token().stop_requested())
                  << "the attempt's timeout is not the handler's";
              return Update(notes_, std::string(ErrorKindName(
                                        ErrorKindOf(node.failure()->status))));
            })});
  EXPECT_EQ(Run(), "NodeTimeoutError");
}

TEST_F(ErrorHandlerTest, ComesAfterTheLastAttempt) {
  AddEntry(
      "a",
      [](NodeContext& node) {
        return absl::UnavailableError(absl::StrCat("try ", node.attempt()));
      },
      {.retry = {RetryPolicy{.max_attempts = 3}},
       .error_handler = ErrorHandler([this](NodeContext& node) {
         return Update(notes_, std::string(node.failure()->status.message()));
       })});
  EXPECT_EQ(Run(), "try 3");
}

TEST_F(ErrorHandlerTest, MayWait) {
  AddFailing("a", [this](NodeContext& node) -> Task<Update> {
    (void)co_await node.Sleep(absl::Seconds(5));
    co_return Update(notes_, absl::StrCat("coroutine after ",
                                          std::string(node.failure()->node)));
  });
  AddFailing("b", [this](NodeContext&, Completion done) {
    executor_.PostAfter(absl::Seconds(3),
                        [this, done = std::move(done)]() mutable {
                          done(Update(notes_, "callback"));
                        });
  });
  EXPECT_EQ(Run(), "coroutine after a callback");
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch() + absl::Seconds(5));
}

TEST_F(ErrorHandlerTest, ThatFailsFailsTheRun) {
  AddFailing("a",
             [](NodeContext&) { throw std::runtime_error("nor any bread"); });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'a'", "step 1", "nor any bread"}));
}

TEST_F(ErrorHandlerTest, IsNeitherRetriedNorHandled) {
  int calls = 0;
  AddEntry("a", Failing(),
           {.retry = {RetryPolicy{.max_attempts = 5}},
            .error_handler = ErrorHandler([&calls](NodeContext&) {
              ++calls;
              return absl::UnavailableError("busy");
            })});
  EXPECT_FALSE(Failure({.error_handler =
                            ErrorHandler([&calls](NodeContext&) { ++calls; })})
                   .ok());
  EXPECT_EQ(calls, 1);
}

TEST_F(ErrorHandlerTest, DefaultIsForNodesWithoutOne) {
  AddEntry("a", Failing());
  AddFailing("b", [this](NodeContext&) { return Update(notes_, "own"); });
  EXPECT_EQ(Run({.error_handler = ErrorHandler([this](NodeContext& node) {
                   return Update(
                       notes_,
                       absl::StrCat("default for ", std::string(node.node())));
                 })}),
            "default for a own");
}

TEST_F(ErrorHandlerTest, DefaultDoesNotReachIntoGraphsInside) {
  StateGraph inner;
  inner.AddNode("x", Failing());
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  EXPECT_EQ(Run({.error_handler = ErrorHandler([this](NodeContext& node) {
                   return Update(notes_, std::string(node.node()));
                 })}),
            "sub");
}

TEST_F(ErrorHandlerTest, HandledFailureDoesNotDisturbSiblings) {
  AddFailing("a", [](NodeContext&) {});
  AddEntry("b", [this](NodeContext& node) -> Task<Update> {
    const absl::Status slept = co_await node.Sleep(absl::Seconds(1));
    co_return Update(notes_, slept.ok() ? "slept" : "stopped");
  });
  const absl::StatusOr<Values> values = MustCompile(builder_).Invoke(
      Update(),
      {.on_failure = OnFailure::kCancelSiblings, .executor = &executor_});
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_THAT(values->Get(notes_), ElementsAre("slept"));
}

TEST_F(ErrorHandlerTest, ShowsInEventsUnderANameOfItsOwn) {
  AddEntry("a", Failing());
  AddFailing("b", [this](NodeContext&) { return Update(notes_, "own"); });
  const Streamed run =
      StreamAll(MustCompile(builder_, {.error_handler = ErrorHandler(Idle())}),
                Update(), {.modes = kUpdates, .executor = &executor_});
  EXPECT_TRUE(run.status.ok()) << run.status;
  EXPECT_THAT(run.events,
              testing::UnorderedElementsAre(
                  R"(updates {"__default_error_handler__": null})",
                  R"(updates {"__error_handler__b": {"notes": "own"}})"));
}

TEST_F(ErrorHandlerTest, IsNotGivenADrainOfAGraphInside) {
  StateGraph inner;
  RunControl control;
  inner.AddNode("x",
                [&control](NodeContext&) { control.RequestDrain("closing"); });
  inner.AddNode("y", Idle());
  inner.AddEdge(kStart, "x");
  inner.AddEdge("x", "y");
  int handled = 0;
  builder_.AddNode(
      "sub", MustCompile(inner),
      {.error_handler = ErrorHandler([&handled](NodeContext&) { ++handled; })});
  builder_.AddEdge(kStart, "sub");
  EXPECT_THAT(Failure({}, {.control = &control}),
              IsError(ErrorKind::kGraphDrained, absl::StatusCode::kCancelled,
                      {"closing"}));
  EXPECT_EQ(handled, 0);
}

TEST_F(ErrorHandlerTest, IsNotGivenAParentCommand) {
  StateGraph inner;
  inner.AddNode(
      "x",
      [](NodeContext&) {
        return Command{.go_to = {"b"}, .graph = Command::Graph::kParent};
      },
      {.error_handler = ErrorHandler(
           [](NodeContext&) { ADD_FAILURE() << "it is no failure"; })});
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddNode("b", NoteStep{notes_});
  builder_.AddEdge(kStart, "sub");
  EXPECT_EQ(Run(), "b@2");
}

}  // namespace
}  // namespace weir
