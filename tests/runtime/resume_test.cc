#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"
#include "tests/support/saved_graph.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// How a run goes on that waited for answers or was stopped at a node.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ResumeTest : public SavedGraphTest {
 protected:
  static Command GoTo(const std::string& node) { return {.go_to = {node}}; }
};

// Answers.

TEST_F(ResumeTest, StateStaysAsItWasBetweenTwoQuestionsOfANode) {
  AddPath(
      builder_, Node("a", NoteStep{notes_}),
      Node("b", [this](NodeContext& node) -> NodeResult {
        absl::StatusOr<std::string> one = node.Interrupt<std::string>("one?");
        if (!one.ok()) return one.status();
        absl::StatusOr<std::string> two = node.Interrupt<std::string>("two?");
        if (!two.ok()) return two.status();
        return Update(notes_, *one + *two);
      }));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  const StateSnapshot first = State(graph);
  Run(graph, Input::Resume(Value("1")));
  const StateSnapshot second = State(graph);
  EXPECT_EQ(second.ref.id, first.ref.id);
  EXPECT_EQ(second.values.ToJson(), R"({"notes": ["a@1"]})");
  ASSERT_THAT(second.interrupts, SizeIs(1));
  EXPECT_EQ(second.interrupts[0].value, Value("two?"));
  EXPECT_THAT(Run(graph, Input::Resume(Value("2"))).Get(notes_),
              ElementsAre("a@1", "12"));
}

TEST_F(ResumeTest, SendsThatAskAreAnsweredAllAtOnce) {
  AddPath(builder_, Node("fan", [](NodeContext&) {
            return Command{.go_to = {Send("w", 0), Send("w", 1), Send("w", 2)}};
          }));
  builder_.AddNode("w", [this](NodeContext& node) -> NodeResult {
    NoteRan(node);
    absl::StatusOr<int> answer = node.Interrupt<int>(*node.Input<int>());
    if (!answer.ok()) return answer.status();
    return Update(notes_, absl::StrCat(*node.Input<int>(), ":", *answer));
  });
  const Graph graph = MustCompile(builder_);
  const RunResult asked = Run(graph, Update());
  ASSERT_THAT(asked.interrupts, SizeIs(3));
  std::map<std::string, Value> answers;
  for (const Interrupt& interrupt : asked.interrupts) {
    answers[interrupt.id] = Value(*interrupt.value.As<int>() * 10);
  }
  EXPECT_THAT(answers, SizeIs(3)) << "each task has an id of its own";
  TakeRan();
  EXPECT_THAT(Run(graph, Input::ResumeEach(answers)).Get(notes_),
              ElementsAre("0:0", "1:10", "2:20"));
  EXPECT_THAT(TakeRan(), ElementsAre("w", "w", "w"));
}

TEST_F(ResumeTest, AnsweredOneByOneTheFinishedComeBackAsCached) {
  AddPath(builder_, Node("a", Asks{"a?"}));
  AddPath(builder_, Node("b", Asks{"b?"}));
  const Graph graph = MustCompile(builder_);
  const RunResult asked = Run(graph, Update());
  ASSERT_THAT(asked.interrupts, SizeIs(2));
  const bool a_first = asked.interrupts[0].value == Value("a?");
  const Interrupt& of_a = asked.interrupts[a_first ? 0 : 1];
  Run(graph, Input::ResumeEach({{of_a.id, Value("1")}}));
  TakeRan();
  EXPECT_THAT(
      Events(graph, Input::Resume(Value("2")), {.modes = kUpdates}),
      ElementsAre(
          R"(updates {"a": {"notes": "a? 1"}, "__metadata__": {"cached": true}})",
          R"(updates {"b": {"notes": "b? 2"}})"));
  EXPECT_THAT(TakeRan(), ElementsAre("b"));
}

TEST_F(ResumeTest, SlowSiblingOfAQuestionEndsAndShowsInTheResult) {
  AddPath(builder_, Node("ask", Asks{"name?"}));
  builder_.AddNode("slow", [this](NodeContext& node) -> Task<NodeResult> {
    NoteRan(node);
    const absl::Status slept = co_await node.Sleep(absl::Hours(1));
    co_return NodeResult(Update(notes_, slept.ok() ? "slept" : "stopped"));
  });
  builder_.AddEdge(kStart, "slow");
  const Graph graph = MustCompile(builder_);
  ForEachOrder(5, [&](SimExecutor& sim) {
    store_.DeleteThread("t", [](absl::Status) {});
    const RunResult asked = Run(graph, Update(), {.executor = &sim});
    EXPECT_EQ(asked.end, RunEnd::kInterrupted);
    EXPECT_THAT(asked.Get(notes_), ElementsAre("slept"));
    TakeRan();
    EXPECT_THAT(Run(graph, Input::Resume(Value("weir")), {.executor = &sim})
                    .Get(notes_),
                ElementsAre("name? weir", "slept"));
    EXPECT_THAT(TakeRan(), ElementsAre("ask"));
  });
}

TEST_F(ResumeTest, FirstEventIsTheStateAsItIs) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", Asks{"b?"}));
  const Graph graph = MustCompile(builder_);
  EXPECT_THAT(Events(graph, Update(), {.modes = kValues}),
              ElementsAre(R"(values {"notes": ["a@1"]})",
                          HasSubstr(R"("notes": ["a@1"], "__interrupt__")")));
  EXPECT_THAT(Events(graph, Input::Resume(Value("1")), {.modes = kValues}),
              ElementsAre(R"(values {"notes": ["a@1"]})",
                          R"(values {"notes": ["a@1", "b? 1"]})"));
}

TEST_F(ResumeTest, NodesBeforeTheOneThatAsksTakeNoAnswers) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", Asks{"b?"}),
          Node("c", NoteStep{notes_}), Node("d", Asks{"d?"}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  EXPECT_EQ(Run(graph, Input::Resume(Value("1"))).interrupts.at(0).value,
            Value("d?"));
  EXPECT_THAT(Run(graph, Input::Resume(Value("2"))).Get(notes_),
              ElementsAre("a@1", "b? 1", "c@3", "d? 2"));
  EXPECT_THAT(TakeRan(), ElementsAre("a", "b", "b", "c", "d", "d"));
}

TEST_F(ResumeTest, UpdateWithAnAnswerIsSeenByTheNodeThatAsked) {
  const auto tone = builder_.AddChannel("tone", LastValue<std::string>());
  AddPath(builder_, Node("a", [this, tone](NodeContext& node) -> NodeResult {
            absl::StatusOr<std::string> answer =
                node.Interrupt<std::string>("a?");
            if (!answer.ok()) return answer.status();
            return Update(notes_, *answer + node.Get(tone));
          }));
  builder_.AddNode("other", NoteStep{notes_});
  const Graph graph = MustCompile(builder_);
  Run(graph, Update(tone, "."));
  EXPECT_THAT(
      Run(graph, Input::Resume(Value("yes"), {.update = Update(tone, "!"),
                                              .go_to = {"other"}}))
          .Get(notes_),
      ElementsAre("yes!", "other@1"))
      << "both in the superstep that was not ended";
}

TEST_F(ResumeTest, QuestionThatWaitsIsClearedByAnUpdateAsTheEnd) {
  AddPath(builder_, Node("a", Asks{"a?"}), Node("b", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  Change(graph, {.as_node = std::string(kEnd)});
  EXPECT_THAT(State(graph).next, IsEmpty());
  EXPECT_THAT(State(graph).interrupts, IsEmpty());
  TakeRan();
  EXPECT_EQ(Run(graph, Input::Continue()).end, RunEnd::kFinished);
  EXPECT_THAT(TakeRan(), IsEmpty());
}

// D10 in docs/behaviours.md.
TEST_F(ResumeTest, QuestionIsNotCached) {
  builder_.AddNode("a",
                   [this](NodeContext& node) {
                     NoteRan(node);
                     return Asks{"a?"}(node);
                   },
                   {.cache = CachePolicy()});
  builder_.AddEdge(kStart, "a");
  const auto cache = std::make_shared<Cache>();
  const Graph graph = MustCompile(builder_, {.result_cache = cache});
  for (const char* thread : {"one", "two"}) {
    EXPECT_EQ(Run(graph, Update(), {.thread_id = thread}).end,
              RunEnd::kInterrupted);
    EXPECT_EQ(cache->size(), 0u);
  }
  EXPECT_THAT(TakeRan(), ElementsAre("a", "a"));
}

// Stops at nodes.

TEST_F(ResumeTest, CommandGoesOnFromAStopBesideTheNodeThatWaited) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}));
  builder_.AddNode("c", NoteStep{notes_});
  const Graph graph = MustCompile(builder_, {.interrupt_before = {"b"}});
  EXPECT_EQ(Run(graph, Update()).end, RunEnd::kStopped);
  EXPECT_THAT(Run(graph, Input::Command(GoTo("c"))).Get(notes_),
              ElementsAre("a@1", "b@2", "c@2"));
}

TEST_F(ResumeTest, CommandThatOnlyUpdatesGoesOnFromAStop) {
  AddPath(builder_, Node("a", NoteStep{notes_}), Node("b", NoteStep{notes_}));
  const Graph graph = MustCompile(builder_, {.interrupt_before = {"b"}});
  Run(graph, Update());
  EXPECT_THAT(Run(graph, Input::Command({.update = Update(notes_, "by hand")}))
                  .Get(notes_),
              ElementsAre("a@1", "by hand", "b@2"));
}

TEST_F(ResumeTest, StopsNeedNoStateToChange) {
  AddPath(builder_, Node("a"), Node("b"), Node("c"));
  const Graph graph = MustCompile(builder_, {.interrupt_before = {"*"}});
  EXPECT_EQ(Run(graph, Update()).end, RunEnd::kStopped);
  for (const char* node : {"a", "b", "c"}) {
    EXPECT_THAT(TakeRan(), IsEmpty());
    const bool last = *node == 'c';
    EXPECT_EQ(Run(graph, Input::Continue()).end,
              last ? RunEnd::kFinished : RunEnd::kStopped);
    EXPECT_THAT(TakeRan(), ElementsAre(node));
  }
}

}  // namespace
}  // namespace weir
