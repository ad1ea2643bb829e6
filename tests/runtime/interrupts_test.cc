#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"
#include "tests/support/saved_graph.h"

#include "weir/channels/append_log.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// Nodes that ask, and runs that are resumed with answers.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class InterruptsTest : public SavedGraphTest {
 protected:
  // A node that asks `question` and notes the answer.
  auto AsksAndCounts(const std::string& question) {
    return [this, question](NodeContext& node) -> NodeResult {
      ++times_[std::string(node.node())];
      absl::StatusOr<std::string> answer =
          node.Interrupt<std::string>(question);
      if (!answer.ok()) return answer.status();
      return Update(notes_, question + " " + *answer);
    };
  }

  std::map<std::string, int> times_;
};

TEST_F(InterruptsTest, PausesAndGoesOnWithTheAnswer) {
  AddEntry("a", AsksAndCounts("name?"));
  const Graph graph = MustCompile(builder_);
  RunResult result = Run(graph, Update());
  EXPECT_EQ(result.end, RunEnd::kInterrupted);
  ASSERT_THAT(result.interrupts, SizeIs(1));
  EXPECT_EQ(result.interrupts[0].value, Value("name?"));
  EXPECT_THAT(State(graph).next, ElementsAre("a"));
  EXPECT_EQ(State(graph).interrupts, result.interrupts);
  result = Run(graph, Input::Resume(Value("weir")));
  EXPECT_EQ(result.end, RunEnd::kFinished);
  EXPECT_THAT(result.Get(notes_), ElementsAre("name? weir"));
  EXPECT_EQ(times_["a"], 2) << "a node that asked runs again from its start";
  EXPECT_THAT(State(graph).interrupts, IsEmpty());
}

TEST_F(InterruptsTest, CoroutinesAskToo) {
  AddEntry("a", [this](NodeContext& node) -> Task<NodeResult> {
    auto call = node.Interrupt<int>("how many?");
    absl::StatusOr<int> answer = co_await call;
    if (!answer.ok()) co_return answer.status();
    co_return Update(notes_, absl::StrCat(*answer));
  });
  const Graph graph = MustCompile(builder_);
  EXPECT_EQ(Run(graph, Update()).end, RunEnd::kInterrupted);
  EXPECT_THAT(Run(graph, Input::Resume(Value(3))).Get(notes_),
              ElementsAre("3"));
}

TEST_F(InterruptsTest, SeveralQuestionsOfANodeAreAnsweredInOrder) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    std::string answers;
    for (const char* question : {"one?", "two?", "three?"}) {
      absl::StatusOr<std::string> answer =
          node.Interrupt<std::string>(question);
      if (!answer.ok()) return answer.status();
      answers += *answer;
    }
    return Update(notes_, answers);
  });
  const Graph graph = MustCompile(builder_);
  RunResult result = Run(graph, Update());
  const std::string id = result.interrupts.at(0).id;
  for (const char* answer : {"1", "2"}) {
    result = Run(graph, Input::Resume(Value(answer)));
    EXPECT_EQ(result.interrupts.at(0).id, id) << "the id is the task's";
  }
  EXPECT_EQ(result.interrupts[0].value, Value("three?"));
  EXPECT_THAT(Run(graph, Input::Resume(Value("3"))).Get(notes_),
              ElementsAre("123"));
}

TEST_F(InterruptsTest, OneAnswerForSeveralQuestionsIsRefused) {
  AddEntry("a", AsksAndCounts("a?"));
  AddEntry("b", AsksAndCounts("b?"));
  AddEntry("c", NoteStep{notes_});
  const Graph graph = MustCompile(builder_);
  RunResult result = Run(graph, Update());
  ASSERT_THAT(result.interrupts, SizeIs(2));
  EXPECT_THAT(result.Get(notes_), ElementsAre("c@1")) << "siblings finish";
  EXPECT_EQ(Invoke(graph, Input::Resume(Value("x"))).status().code(),
            absl::StatusCode::kFailedPrecondition);
  // With one answered, the other is the only one.
  result = Run(graph,
               Input::ResumeEach({{result.interrupts[0].id, Value("first")}}));
  ASSERT_THAT(result.interrupts, SizeIs(1));
  result = Run(graph, Input::Resume(Value("second")));
  EXPECT_THAT(result.Get(notes_), ElementsAre("a? first", "b? second", "c@1"));
}

TEST_F(InterruptsTest, AQuestionAskedAgainIsStillOpen) {
  // The task has an answer already when it asks for the second time.
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> one = node.Interrupt<std::string>("one?");
    if (!one.ok()) return one.status();
    absl::StatusOr<std::string> two = node.Interrupt<std::string>("two?");
    if (!two.ok()) return two.status();
    return Update(notes_, *one + *two);
  });
  AddEntry("b", AsksAndCounts("b?"));
  const Graph graph = MustCompile(builder_);
  RunResult result = Run(graph, Update());
  std::string of_a;
  for (const Interrupt& interrupt : result.interrupts) {
    if (interrupt.value == Value("one?")) of_a = interrupt.id;
  }
  result = Run(graph, Input::ResumeEach({{of_a, Value("1")}}));
  ASSERT_THAT(result.interrupts, SizeIs(2));
  EXPECT_EQ(Invoke(graph, Input::Resume(Value("x"))).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(InterruptsTest, AnswersAreKeptOverRetries) {
  int failures = 0;
  AddEntry("a",
           [this, &failures](NodeContext& node) -> NodeResult {
             absl::StatusOr<std::string> answer =
                 node.Interrupt<std::string>("a?");
             if (!answer.ok()) return answer.status();
             if (failures++ == 0) return absl::UnavailableError("once");
             return Update(notes_, *answer);
           },
           {.retry = {RetryPolicy{.initial_interval = absl::ZeroDuration(),
                                  .jitter = false}}});
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  EXPECT_THAT(Run(graph, Input::Resume(Value("yes"))).Get(notes_),
              ElementsAre("yes"));
}

TEST_F(InterruptsTest, AnswersAreKeptOverFailures) {
  bool broken = true;
  AddEntry("a", [this, &broken](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> answer = node.Interrupt<std::string>("a?");
    if (!answer.ok()) return answer.status();
    if (broken) return absl::UnavailableError("not now");
    return Update(notes_, *answer);
  });
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  EXPECT_FALSE(Invoke(graph, Input::Resume(Value("yes"))).ok());
  broken = false;
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_), ElementsAre("yes"));
}

TEST_F(InterruptsTest, AnAnswerGivenAgainIsNotThatOfTheNextQuestion) {
  int ran = 0;
  AddEntry("a", [this, &ran](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> one = node.Interrupt<std::string>("one?");
    if (!one.ok()) return one.status();
    if (++ran == 1) return absl::InternalError("not now");
    absl::StatusOr<std::string> two = node.Interrupt<std::string>("two?");
    if (!two.ok()) return two.status();
    return Update(notes_, *one + *two);
  });
  const Graph graph = MustCompile(builder_);
  const std::string id = Run(graph, Update()).interrupts.at(0).id;
  EXPECT_FALSE(Invoke(graph, Input::ResumeEach({{id, Value("1")}})).ok());
  // The host does not know that the store has the answer.
  const RunResult result = Run(graph, Input::ResumeEach({{id, Value("1")}}));
  ASSERT_THAT(result.interrupts, SizeIs(1));
  EXPECT_EQ(result.interrupts[0].value, Value("two?"));
  EXPECT_THAT(Run(graph, Input::Resume(Value("2"))).Get(notes_),
              ElementsAre("12"));
}

TEST_F(InterruptsTest, AnswersInsideAreGivenOnceOverRetriesOfTheNodeAround) {
  StateGraph inner;
  const auto notes = inner.AddChannel("log", AppendLogChannel<std::string>());
  int ran = 0;
  inner.AddNode("ask", [notes, &ran](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> one = node.Interrupt<std::string>("one?");
    if (!one.ok()) return one.status();
    if (++ran == 1) return absl::UnavailableError("once");
    absl::StatusOr<std::string> two = node.Interrupt<std::string>("two?");
    if (!two.ok()) return two.status();
    return Update(notes, *one + *two);
  });
  inner.AddEdge(kStart, "ask");
  AddEntry("inside", MustCompile(inner),
           {.retry = {RetryPolicy{.initial_interval = absl::ZeroDuration(),
                                  .jitter = false}}});
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  const RunResult result = Run(graph, Input::Resume(Value("1")));
  ASSERT_THAT(result.interrupts, SizeIs(1));
  EXPECT_EQ(result.interrupts[0].value, Value("two?"));
}

TEST_F(InterruptsTest, AnAnswerThatNobodyTookIsGone) {
  bool asks = false;
  AddEntry("a", [this, &asks](NodeContext& node) -> NodeResult {
    if (!asks) return Update(notes_, "quiet");
    absl::StatusOr<std::string> answer = node.Interrupt<std::string>("a?");
    if (!answer.ok()) return answer.status();
    return Update(notes_, *answer);
  });
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(), {.interrupt_before = {"a"}});
  Run(graph, Input::Resume(Value("stray")));
  asks = true;
  EXPECT_EQ(Run(graph, Update()).end, RunEnd::kInterrupted);
}

TEST_F(InterruptsTest, FinishedSiblingsDoNotRunAgainAlsoFromANamedCheckpoint) {
  AddEntry("a", AsksAndCounts("a?"));
  AddEntry("b", [this](NodeContext& node) {
    ++times_[std::string(node.node())];
    return Update(notes_, "b");
  });
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  const RunResult end =
      Run(graph, Input::Resume(Value("yes")), {.from = State(graph).ref});
  EXPECT_THAT(end.Get(notes_), ElementsAre("a? yes", "b"));
  EXPECT_EQ(times_["b"], 1);
}

TEST_F(InterruptsTest, SwallowedQuestionFailsTheNode) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> answer = node.Interrupt<std::string>("a?");
    return Update(notes_, answer.ok() ? *answer : "never mind");
  });
  const absl::Status status = Invoke(MustCompile(builder_), Update()).status();
  EXPECT_EQ(ErrorKindOf(status), ErrorKind::kNodeError);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("was told to pause by Interrupt()"));
}

TEST_F(InterruptsTest, SwallowedQuestionIsForgottenByTheNextAttempt) {
  int attempts = 0;
  AddEntry("a",
           [this, &attempts](NodeContext& node) -> NodeResult {
             absl::StatusOr<std::string> answer =
                 node.Interrupt<std::string>("a?");
             if (++attempts == 1) return Update(notes_, "never mind");
             if (!answer.ok()) return answer.status();
             return Update(notes_, *answer);
           },
           {.retry = {RetryPolicy{
                .initial_interval = absl::ZeroDuration(),
                .jitter = false,
                .retry_on = [](const absl::Status&) { return true; }}}});
  EXPECT_THAT(Run(MustCompile(builder_), Update()).interrupts, SizeIs(1));
}

TEST_F(InterruptsTest, SwallowedQuestionDoesNotFailTheHandler) {
  AddEntry("a",
           [](NodeContext& node) {
             static_cast<void>(absl::StatusOr<Value>(node.Interrupt("a?")));
           },
           {.error_handler = ErrorHandler(
                [this](NodeContext&) { return Update(notes_, "handled"); })});
  EXPECT_THAT(Run(MustCompile(builder_), Update()).Get(notes_),
              ElementsAre("handled"));
}

TEST_F(InterruptsTest, InterruptsAreNeitherRetriedNorHandled) {
  bool handled = false;
  AddEntry("a", AsksAndCounts("a?"),
           {.retry = {RetryPolicy{
                .retry_on = [](const absl::Status&) { return true; }}},
            .error_handler =
                ErrorHandler([&handled](NodeContext&) { handled = true; })});
  EXPECT_EQ(Run(MustCompile(builder_), Update()).end, RunEnd::kInterrupted);
  EXPECT_EQ(times_["a"], 1);
  EXPECT_FALSE(handled);
}

TEST_F(InterruptsTest, AskingNeedsACheckpointer) {
  AddEntry("a", AsksAndCounts("a?"));
  const absl::Status status = MustCompile(builder_).Invoke(Update()).status();
  EXPECT_EQ(ErrorKindOf(status), ErrorKind::kNoCheckpointer);
  EXPECT_EQ(
      ErrorKindOf(
          MustCompile(builder_).Invoke(Input::Resume(Value("x"))).status()),
      ErrorKind::kNoCheckpointer);
}

TEST_F(InterruptsTest, AnswerOfAnotherTypeFailsTheNode) {
  AddEntry("a", AsksAndCounts("a?"));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  const absl::Status status = Invoke(graph, Input::Resume(Value(7))).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("asked for"));
}

TEST_F(InterruptsTest, QuestionsInsideGraphsReachTheHost) {
  StateGraph inner;
  const auto notes = inner.AddChannel("log", AppendLogChannel<std::string>());
  int ran = 0;
  inner.AddNode("before", [&ran](NodeContext&) { ++ran; });
  inner.AddNode("ask", [notes](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> answer = node.Interrupt<std::string>("deep?");
    if (!answer.ok()) return answer.status();
    return Update(notes, *answer);
  });
  inner.AddEdge(kStart, "before");
  inner.AddEdge("before", "ask");
  const Graph inside = MustCompile(inner);
  for (const bool called : {false, true}) {
    StateGraph outer;
    const auto outer_notes =
        outer.AddChannel("log", AppendLogChannel<std::string>());
    if (called) {
      outer.AddNode(
          "inside",
          [inside, outer_notes](NodeContext& node) -> NodeResult {
            absl::StatusOr<Values> end = node.Invoke(inside, Update());
            if (!end.ok()) return end.status();
            return Update(outer_notes,
                          (*end->Find("log")->As<AppendLog<std::string>>())[0]);
          },
          {.calls = {inside}});
    } else {
      outer.AddNode("inside", inside);
    }
    outer.AddEdge(kStart, "inside");
    const Graph graph = MustCompile(outer);
    store_.DeleteThread("t", [](absl::Status) {});
    ran = 0;
    RunResult result = Run(graph, Update());
    ASSERT_THAT(result.interrupts, SizeIs(1));
    EXPECT_EQ(result.interrupts[0].value, Value("deep?"));
    const absl::StatusOr<StateSnapshot> state = graph.GetState(
        {.checkpointer = &store_, .thread_id = "t", .subgraphs = true});
    ASSERT_TRUE(state.ok());
    ASSERT_NE(state->tasks.at(0).state, nullptr);
    EXPECT_THAT(state->tasks[0].state->next, ElementsAre("ask"));
    result = Run(graph, Input::Resume(Value("found")));
    EXPECT_EQ(result.end, RunEnd::kFinished);
    EXPECT_EQ(result.ToJson(), R"({"log": ["found"]})");
    EXPECT_EQ(ran, 1) << "the graph inside goes on where it stopped";
  }
}

TEST_F(InterruptsTest, EventsShowTheQuestion) {
  AddEntry("a", AsksAndCounts("a?"));
  const Streamed run = StreamAll(MustCompile(builder_), Update(),
                                 {.modes = kUpdates | kValues | kTasks,
                                  .thread_id = "t",
                                  .checkpointer = &store_});
  ASSERT_THAT(run.events, SizeIs(4));
  EXPECT_THAT(run.events[1],
              HasSubstr(R"(updates {"__interrupt__": [{"id": ")"));
  EXPECT_THAT(run.events[2],
              HasSubstr(R"(values {"notes": [], "__interrupt__": )"));
  EXPECT_THAT(run.events[3], HasSubstr(R"("interrupts": [{"id": ")"));
}

}  // namespace
}  // namespace weir
