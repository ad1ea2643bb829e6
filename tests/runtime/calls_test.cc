#include <coroutine>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
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
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/call.h"
#include "weir/runtime/entrypoint.h"
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

// Functions that nodes call, blocks that run once, and entrypoints.
namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CallsTest : public SavedGraphTest {
 protected:
  absl::Status Failure(const Graph& graph, Input input = Update(),
                       RunOptions options = {}) {
    return Invoke(graph, std::move(input), std::move(options)).status();
  }
  // A function that counts its calls and doubles.
  auto Double() {
    return [this](int n) {
      ++times_["double"];
      return 2 * n;
    };
  }

  std::map<std::string, int> times_;
};

TEST_F(CallsTest, GivesWhatTheFunctionReturns) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> six = node.Call("double", Double(), 3);
    if (!six.ok()) return six.status();
    absl::StatusOr<std::string> text = node.Call(
        "text", [](const std::string& s) { return s + "!"; },
        std::string("hi"));
    if (!text.ok()) return text.status();
    absl::StatusOr<None> nothing = node.Call("nothing", [] {});
    if (!nothing.ok()) return nothing.status();
    return Update(notes_, absl::StrCat(*six, *text));
  });
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes_), "6hi!");
}

TEST_F(CallsTest, FunctionsHaveAContextOfTheirOwn) {
  std::string outer;
  std::string inner;
  AddEntry("a", [&](NodeContext& node) -> NodeResult {
    outer = node.task_id();
    absl::StatusOr<bool> seen = node.Call(
        "look",
        [&](NodeContext& task, const int& argument) {
          inner = task.task_id();
          EXPECT_EQ(task.node(), "look");
          EXPECT_EQ(task.Input<int>(), &argument);
          EXPECT_EQ(task.Find("notes"), nullptr) << "not the node's state";
          return true;
        },
        7);
    return seen.status();
  });
  MustInvoke(MustCompile(builder_), Update());
  EXPECT_THAT(inner, SizeIs(32));
  EXPECT_NE(inner, outer);
}

TEST_F(CallsTest, CoroutinesCallCoroutinesSideBySide) {
  auto nap = [](NodeContext& task, const int& seconds) -> Task<int> {
    static_cast<void>(co_await task.Sleep(absl::Seconds(seconds)));
    co_return seconds;
  };
  AddEntry("a", [this, nap](NodeContext& node) -> Task<NodeResult> {
    auto one = node.Call("nap", nap, 1);
    auto two = node.Call("nap", nap, 2);
    absl::StatusOr<int> a = co_await std::move(one);
    absl::StatusOr<int> b = co_await std::move(two);
    co_return Update(notes_, absl::StrCat(*a + *b));
  });
  const Graph graph = MustCompile(builder_);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SimExecutor executor(seed);
    EXPECT_EQ(NotesOf(graph, notes_, {.executor = &executor}), "3");
    EXPECT_EQ(executor.Now(), absl::UnixEpoch() + absl::Seconds(2));
  }
}

TEST_F(CallsTest, PlainFunctionsWaitForCoroutines) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> n =
        node.Call("nap", [](NodeContext& task) -> Task<absl::StatusOr<int>> {
          const absl::Status slept = co_await task.Sleep(absl::Milliseconds(1));
          if (!slept.ok()) co_return slept;
          co_return 5;
        });
    return Update(notes_, absl::StrCat(n.value_or(-1)));
  });
  const Graph graph = MustCompile(builder_);
  EXPECT_EQ(NotesOf(graph, notes_), "5");
  EXPECT_EQ(NotesOf(graph, notes_, {.executor = &executor_}), "5");
}

TEST_F(CallsTest, FunctionsCallFunctions) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> n = node.Call(
        "outer",
        [this](NodeContext& task, const int& start) -> absl::StatusOr<int> {
          absl::StatusOr<int> twice = task.Call("double", Double(), start);
          if (!twice.ok()) return twice.status();
          return *twice + 1;
        },
        10);
    return Update(notes_, absl::StrCat(n.value_or(-1)));
  });
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes_), "21");
}

TEST_F(CallsTest, TheNodeEndsAfterItsCallsAlsoWithoutAskingForTheirResults) {
  bool ended = false;
  AddEntry("a", [&ended](NodeContext& node) {
    auto call = node.Call("nap", [&ended](NodeContext& task) -> Task<void> {
      static_cast<void>(co_await task.Sleep(absl::Seconds(9)));
      ended = true;
    });
  });
  builder_.AddNode("b", [this, &ended](NodeContext&) {
    return Update(notes_, ended ? "after" : "before");
  });
  builder_.AddEdge("a", "b");
  const Graph graph = MustCompile(builder_);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    ended = false;
    SimExecutor executor(seed);
    EXPECT_EQ(NotesOf(graph, notes_, {.executor = &executor}), "after");
  }
}

TEST_F(CallsTest, CaughtFailureDoesNotFailTheNode) {
  AddEntry("a", [this](NodeContext& node) {
    absl::StatusOr<int> n =
        node.Call("boom", []() -> int { throw std::runtime_error("no luck"); });
    EXPECT_THAT(std::string(n.status().message()),
                AllOf(HasSubstr("'boom'"), HasSubstr("called by 'a'"),
                      HasSubstr("no luck")));
    EXPECT_EQ(ErrorKindOf(n.status()), ErrorKind::kNodeError);
    return Update(notes_, "went on");
  });
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes_), "went on");
}

TEST_F(CallsTest, FailureThatIsReturnedFailsTheNode) {
  AddEntry("a", [](NodeContext& node) {
    absl::StatusOr<int> n = node.Call("boom", []() -> absl::StatusOr<int> {
      return absl::DataLossError("gone");
    });
    return n.status();
  });
  const absl::Status status = Failure(MustCompile(builder_));
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("node 'a'"), HasSubstr("'boom'")));
}

TEST_F(CallsTest, FinishedCallsAreNotRunAgainAfterAnInterrupt) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> six = node.Call("double", Double(), 3);
    absl::StatusOr<std::string> name = node.Interrupt<std::string>("name?");
    if (!name.ok()) return name.status();
    absl::StatusOr<int> ten = node.Call("double", Double(), 5);
    return Update(notes_, absl::StrCat(*name, *six, *ten));
  });
  const Graph graph = MustCompile(builder_);
  for (const Durability durability :
       {Durability::kSync, Durability::kAsync, Durability::kExit}) {
    times_.clear();
    EXPECT_THAT(Run(graph, Update(), {.durability = durability}).interrupts,
                SizeIs(1));
    EXPECT_EQ(times_["double"], 1);
    EXPECT_EQ(
        Run(graph, Input::Resume(Value("weir")), {.durability = durability})
            .Get(notes_)
            .back(),
        "weir610");
    EXPECT_EQ(times_["double"], 2);
  }
}

TEST_F(CallsTest, FinishedCallsAreNotRunAgainAfterAFailure) {
  bool broken = true;
  AddEntry("a", [this, &broken](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> six = node.Call("double", Double(), 3);
    if (broken) return absl::UnavailableError("not now");
    return Update(notes_, absl::StrCat(*six));
  });
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(Failure(graph).ok());
  broken = false;
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_), ElementsAre("6"));
  EXPECT_EQ(times_["double"], 1);
}

TEST_F(CallsTest, FailedCallsRunAgain) {
  int attempts = 0;
  AddEntry("a", [this, &attempts](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> n =
        node.Call("flaky", [&attempts]() -> absl::StatusOr<int> {
          if (++attempts == 1) return absl::UnavailableError("not now");
          return attempts;
        });
    if (!n.ok()) return n.status();
    return Update(notes_, absl::StrCat(*n));
  });
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(Failure(graph).ok());
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_), ElementsAre("2"));
}

TEST_F(CallsTest, CallsAreNumberedAnewInEachAttemptAndKeptOverThem) {
  int attempts = 0;
  AddEntry("a",
           [this, &attempts](NodeContext& node) -> NodeResult {
             absl::StatusOr<int> one = node.Call("double", Double(), 1);
             absl::StatusOr<int> two = node.Call("double", Double(), 2);
             if (++attempts < 3) return absl::UnavailableError("not now");
             return Update(notes_, absl::StrCat(*one, *two));
           },
           {.retry = {RetryPolicy{.jitter = false}}});
  SimExecutor executor(1);
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes_, {.executor = &executor}),
            "24");
  EXPECT_EQ(attempts, 3);
  EXPECT_EQ(times_["double"], 2);
}

TEST_F(CallsTest, EmptyResultCountsAsAResult) {
  int ran = 0;
  AddEntry("a", [&ran](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> zero = node.Call("zero", [&ran] { return 0 * ++ran; });
    absl::StatusOr<None> none = node.Call("none", [&ran] { ++ran; });
    absl::StatusOr<std::string> name = node.Interrupt<std::string>("name?");
    if (!name.ok()) return name.status();
    EXPECT_EQ(*zero, 0);
    EXPECT_TRUE(none.ok());
    return Update();
  });
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  Run(graph, Input::Resume(Value("weir")));
  EXPECT_EQ(ran, 2);
}

TEST_F(CallsTest, QuestionsOfFunctionsShowOnceAndAnswersReachTheRightOne) {
  auto ask = [this](NodeContext& task,
                    const std::string& what) -> absl::StatusOr<std::string> {
    ++times_[what];
    absl::StatusOr<std::string> answer = task.Interrupt<std::string>(what);
    if (!answer.ok()) return answer.status();
    return what + *answer;
  };
  AddEntry("a", [this, ask](NodeContext& node) -> NodeResult {
    auto first = node.Call("ask", ask, std::string("one?"));
    auto second = node.Call("ask", ask, std::string("two?"));
    absl::StatusOr<std::string> one = std::move(first);
    if (!one.ok()) return one.status();
    absl::StatusOr<std::string> two = std::move(second);
    if (!two.ok()) return two.status();
    return Update(notes_, *one + *two);
  });
  const Graph graph = MustCompile(builder_);
  RunResult result = Run(graph, Update());
  ASSERT_THAT(result.interrupts, SizeIs(2));
  EXPECT_EQ(result.interrupts[0].value, Value("one?"));
  EXPECT_EQ(result.interrupts[1].value, Value("two?"));
  EXPECT_EQ(graph.GetState(Thread())->interrupts, result.interrupts);
  const std::string second = result.interrupts[1].id;
  result = Run(graph, Input::ResumeEach({{second, Value("B")}}));
  ASSERT_THAT(result.interrupts, SizeIs(1));
  EXPECT_EQ(result.interrupts[0].value, Value("one?"));
  EXPECT_THAT(Run(graph, Input::Resume(Value("A"))).Get(notes_),
              ElementsAre("one?Atwo?B"));
  EXPECT_EQ(times_["two?"], 2) << "it had ended";
}

TEST_F(CallsTest, QuestionThatTheNodeDoesNotAskForPausesItAllTheSame) {
  AddEntry("a", [this](NodeContext& node) {
    auto call = node.Call("ask", [this](NodeContext& task) -> absl::Status {
      absl::StatusOr<std::string> answer = task.Interrupt<std::string>("well?");
      if (answer.ok()) times_[*answer] = 1;
      return answer.status();
    });
    return Update(notes_, "done");
  });
  const Graph graph = MustCompile(builder_);
  RunResult result = Run(graph, Update());
  ASSERT_THAT(result.interrupts, SizeIs(1));
  EXPECT_THAT(result.Get(notes_), IsEmpty());
  EXPECT_THAT(Run(graph, Input::Resume(Value("yes"))).Get(notes_),
              ElementsAre("done"));
  EXPECT_EQ(times_["yes"], 1);
}

TEST_F(CallsTest, SwallowedQuestionOfAFunctionFailsTheNode) {
  AddEntry("a", [](NodeContext& node) {
    absl::StatusOr<None> asked =
        node.Call("ask", [](NodeContext& task) -> absl::Status {
          return absl::StatusOr<int>(task.Interrupt<int>("well?")).status();
        });
    EXPECT_EQ(ErrorKindOf(asked.status()), ErrorKind::kInterrupt);
    return Update();
  });
  EXPECT_THAT(std::string(Failure(MustCompile(builder_)).message()),
              HasSubstr("told to pause"));
}

TEST_F(CallsTest, FunctionsRunGraphs) {
  StateGraph inner;
  const NotesChannel inner_notes = AddNotes(inner);
  inner.AddNode("deep", [inner_notes](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> answer = node.Interrupt<std::string>("deep?");
    if (!answer.ok()) return answer.status();
    return Update(inner_notes, *answer);
  });
  inner.AddEdge(kStart, "deep");
  const Graph inside = MustCompile(inner);
  AddEntry("a", [this, inside, inner_notes](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> got =
        node.Call("run", [&](NodeContext& task) -> absl::StatusOr<std::string> {
          absl::StatusOr<Values> end = task.Invoke(inside, Update());
          if (!end.ok()) return end.status();
          return end->Get(inner_notes).at(0);
        });
    if (!got.ok()) return got.status();
    return Update(notes_, *got);
  });
  const Graph graph = MustCompile(builder_);
  EXPECT_THAT(Run(graph, Update()).interrupts, SizeIs(1));
  EXPECT_THAT(Run(graph, Input::Resume(Value("here"))).Get(notes_),
              ElementsAre("here"));
}

TEST_F(CallsTest, PoliciesAreTheCallsOwn) {
  int attempts = 0;
  AddEntry("a", [this, &attempts](NodeContext& node) -> Task<NodeResult> {
    auto retried = node.Call(
        "flaky",
        [&attempts]() -> absl::StatusOr<int> {
          if (++attempts < 3) return absl::UnavailableError("not now");
          return attempts;
        },
        CallOptions{.retry = {RetryPolicy{.jitter = false}}});
    absl::StatusOr<int> n = co_await std::move(retried);
    auto timed = node.Call(
        "slow",
        [](NodeContext& task) -> Task<absl::Status> {
          absl::Status slept = co_await task.Sleep(absl::Hours(1));
          co_return slept;
        },
        CallOptions{.timeout = {.run = absl::Seconds(5)}});
    absl::StatusOr<None> late = co_await std::move(timed);
    EXPECT_EQ(ErrorKindOf(late.status()), ErrorKind::kNodeTimeout);
    co_return Update(notes_, absl::StrCat(*n));
  });
  SimExecutor executor(1);
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes_, {.executor = &executor}),
            "3");
}

TEST_F(CallsTest, BadOptionsAreTheCallsFailure) {
  AddEntry("a", [](NodeContext& node) {
    absl::StatusOr<int> n = node.Call(
        "f", [] { return 1; },
        CallOptions{.retry = {RetryPolicy{.max_attempts = 0}}});
    return n.status();
  });
  EXPECT_THAT(std::string(Failure(MustCompile(builder_)).message()),
              HasSubstr("call of 'f': RetryPolicy::max_attempts is 0"));
}

TEST_F(CallsTest, CacheKeysCoverTheArgument) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    int sum = 0;
    for (const int n : {1, 2, 1}) {
      absl::StatusOr<int> twice =
          node.Call("double", Double(), n, CallOptions{.cache = CachePolicy{}});
      sum += *twice;
    }
    return Update(notes_, absl::StrCat(sum));
  });
  const Graph graph =
      MustCompile(builder_, {.result_cache = std::make_shared<Cache>()});
  EXPECT_EQ(NotesOf(graph, notes_, {.executor = &executor_}), "8");
  EXPECT_EQ(times_["double"], 2);
  EXPECT_EQ(NotesOf(graph, notes_, {.executor = &executor_}), "8");
  EXPECT_EQ(times_["double"], 2);
}

TEST_F(CallsTest, EventsOfACallComeBeforeTheCallersNext) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> one = node.Call("double", Double(), 1);
    node.Emit("between");
    absl::StatusOr<int> two = node.Call("double", Double(), 2);
    return Update(notes_, absl::StrCat(*one, *two));
  });
  const Streamed run =
      StreamAll(MustCompile(builder_), Update(),
                {.modes = kUpdates | kCustom, .executor = &executor_});
  EXPECT_TRUE(run.status.ok()) << run.status;
  EXPECT_THAT(run.events,
              ElementsAre("updates {\"double\": 2}", "custom \"between\"",
                          "updates {\"double\": 4}",
                          "updates {\"a\": {\"notes\": \"24\"}}"));
}

TEST_F(CallsTest, CallsShowAmongTheTasks) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> one = node.Call("double", Double(), 1);
    return one.status();
  });
  const Streamed run = StreamAll(MustCompile(builder_), Update(),
                                 {.modes = kTasks, .executor = &executor_});
  ASSERT_THAT(run.events, SizeIs(4));
  EXPECT_THAT(run.events[1],
              AllOf(HasSubstr("\"name\": \"double\""),
                    HasSubstr("\"input\": 1"), HasSubstr("__pregel_push")));
  EXPECT_THAT(run.events[2], HasSubstr("\"result\": 2"));
}

TEST_F(CallsTest, CancelledCallStops) {
  AddEntry("a", [this](NodeContext& node) -> Task<NodeResult> {
    auto call = node.Call("nap", [](NodeContext& task) -> Task<absl::Status> {
      absl::Status slept = co_await task.Sleep(absl::Hours(1));
      co_return slept;
    });
    static_cast<void>(co_await node.Sleep(absl::Seconds(1)));
    call.Cancel();
    absl::StatusOr<None> result = co_await std::move(call);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
    co_return Update(notes_, "went on");
  });
  SimExecutor executor(1);
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes_, {.executor = &executor}),
            "went on");
  EXPECT_EQ(executor.Now(), absl::UnixEpoch() + absl::Seconds(1));
}

TEST_F(CallsTest, StoppedRunStopsItsCalls) {
  AddEntry("a", [](NodeContext& node) -> Task<NodeResult> {
    auto call = node.Call("nap", [](NodeContext& task) -> Task<absl::Status> {
      absl::Status slept = co_await task.Sleep(absl::Hours(1));
      co_return slept;
    });
    absl::StatusOr<None> result = co_await std::move(call);
    co_return result.status();
  });
  const Graph graph = MustCompile(builder_);
  SimExecutor executor(1);
  std::stop_source stop;
  executor.PostAfter(absl::Seconds(1), [&stop] { stop.request_stop(); });
  EXPECT_EQ(ErrorKindOf(graph
                            .Invoke(Update(), {.stop = stop.get_token(),
                                               .executor = &executor})
                            .status()),
            ErrorKind::kCancelled);
  EXPECT_EQ(executor.Now(), absl::UnixEpoch() + absl::Seconds(1));
}

TEST_F(CallsTest, RecordOfAnotherTypeIsNamed) {
  bool changed = false;
  AddEntry("a", [&changed](NodeContext& node) -> NodeResult {
    absl::Status status;
    if (changed) {
      status = absl::StatusOr<std::string>(node.Call("f", [] {
                 return std::string("x");
               })).status();
    } else {
      status = absl::StatusOr<int>(node.Call("f", [] { return 1; })).status();
    }
    if (!status.ok()) return status;
    absl::StatusOr<int> answer = node.Interrupt<int>("go on?");
    return answer.status();
  });
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  changed = true;
  EXPECT_THAT(std::string(Failure(graph, Input::Resume(Value(1))).message()),
              AllOf(HasSubstr("'f'"), HasSubstr("another name")));
}

TEST_F(CallsTest, RoutersCallNothing) {
  builder_.AddNode("b", Idle());
  AddEntry("a", Idle());
  builder_.AddConditionalEdges("a", [](NodeContext& node) -> Route {
    absl::StatusOr<int> n = node.Call("f", [] { return 1; });
    if (!n.ok()) return Route(n.status());
    return Route("b");
  });
  EXPECT_THAT(std::string(Failure(MustCompile(builder_)).message()),
              HasSubstr("router"));
}

TEST_F(CallsTest, ForkOfThePastRunsItsCallsAgain) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> six = node.Call("double", Double(), 3);
    return Update(notes_, absl::StrCat(*six));
  });
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  const auto history = *graph.GetHistory(Thread());
  ASSERT_THAT(history[1].next, ElementsAre("a"));
  Run(graph, Input::Continue(), {.from = history[1].ref});
  EXPECT_EQ(times_["double"], 2);
}

TEST_F(CallsTest, CallThatHasEndedIsNotWaitedForByTheNextAttempt) {
  AddEntry("a",
           [this](NodeContext& node) -> Task<NodeResult> {
             auto call = node.Call("nap", [](NodeContext& task) -> Task<int> {
               static_cast<void>(co_await task.Sleep(absl::Seconds(1)));
               co_return 7;
             });
             if (node.attempt() == 1) {
               // It ends between the caller's look and its going to sleep.
               EXPECT_FALSE(call.await_ready());
               static_cast<void>(co_await node.Sleep(absl::Seconds(2)));
               EXPECT_FALSE(call.await_suspend(std::noop_coroutine()));
               EXPECT_TRUE(call.await_resume().ok());
               co_return absl::UnavailableError("not now");
             }
             absl::StatusOr<int> n = co_await std::move(call);
             co_return Update(notes_, absl::StrCat(n.value_or(-1)));
           },
           {.retry = {RetryPolicy{.jitter = false}}});
  SimExecutor executor(1);
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes_, {.executor = &executor}),
            "7");
}

TEST_F(CallsTest, NodesAndFunctionsOfOneNameShareNoCache) {
  AddEntry("fan", [](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> s = node.Call(
        "fetch", [](const std::string& u) { return u + "!"; }, std::string("u"),
        CallOptions{.cache = CachePolicy{}});
    if (!s.ok()) return s.status();
    Command command;
    command.go_to.emplace_back(Send("fetch", Value(std::string("u"))));
    return command;
  });
  builder_.AddNode("fetch",
                   [this](NodeContext&) { return Update(notes_, "node"); },
                   {.cache = CachePolicy{}});
  const Graph graph =
      MustCompile(builder_, {.result_cache = std::make_shared<Cache>()});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(NotesOf(graph, notes_, {.executor = &executor_}), "node");
  }
}

TEST_F(CallsTest, CancelledCallThatHasNotBegunNeverDoes) {
  AddEntry("a", [this](NodeContext& node) {
    auto call = node.Call("double", Double(), 1);
    call.Cancel();
    absl::StatusOr<int> n = std::move(call);
    EXPECT_EQ(n.status().code(), absl::StatusCode::kCancelled);
  });
  MustInvoke(MustCompile(builder_), Update(), {.executor = &executor_});
  EXPECT_EQ(times_["double"], 0);
}

TEST_F(CallsTest, RefusedCallIsNotTriedAgain) {
  AddEntry("a", [this](NodeContext& node) {
    absl::StatusOr<int> n = node.Call(
        "double", Double(), 1,
        CallOptions{.retry = {RetryPolicy{
                        .retry_on = [](const absl::Status&) { return true; }}},
                    .timeout = {.run = absl::ZeroDuration()}});
    EXPECT_EQ(n.status().code(), absl::StatusCode::kInvalidArgument);
  });
  MustInvoke(MustCompile(builder_), Update(), {.executor = &executor_});
  EXPECT_EQ(times_["double"], 0);
}

TEST_F(CallsTest, AnswerOfAFunctionIsGivenOnceAndNoLongerOpen) {
  bool broken = true;
  AddEntry("a", [this, &broken](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> both = node.Call(
        "ask", [&broken](NodeContext& task) -> absl::StatusOr<std::string> {
          absl::StatusOr<std::string> one = task.Interrupt<std::string>("one?");
          if (!one.ok()) return one.status();
          if (broken) return absl::DataLossError("broken");
          absl::StatusOr<std::string> two = task.Interrupt<std::string>("two?");
          if (!two.ok()) return two.status();
          return *one + *two;
        });
    if (!both.ok()) return both.status();
    return Update(notes_, *both);
  });
  const Graph graph = MustCompile(builder_);
  const RunResult result = Run(graph, Update());
  ASSERT_THAT(result.interrupts, SizeIs(1));
  const std::string id = result.interrupts[0].id;
  EXPECT_FALSE(Failure(graph, Input::ResumeEach({{id, Value("A")}})).ok());
  EXPECT_THAT(graph.GetState(Thread())->interrupts, IsEmpty());
  broken = false;
  const RunResult again = Run(graph, Input::ResumeEach({{id, Value("A")}}));
  ASSERT_THAT(again.interrupts, SizeIs(1));
  EXPECT_EQ(again.interrupts[0].value, Value("two?"));
  EXPECT_THAT(Run(graph, Input::Resume(Value("B"))).Get(notes_),
              ElementsAre("AB"));
}

TEST_F(CallsTest, GraphWithinACallGoesOnWhereItStoppedWhenTheNodeIsRetried) {
  StateGraph inner;
  const NotesChannel inner_notes = AddNotes(inner);
  inner.AddNode("charge", [this](NodeContext& node) {
    return node
        .Once(
            "charge", [this] { ++times_["charge"]; }, OnceMode::kAtMostOnce)
        .status();
  });
  inner.AddNode("then", [this, inner_notes](NodeContext&) -> NodeResult {
    if (times_["then"]++ == 0) return absl::UnavailableError("not now");
    return Update(inner_notes, "x");
  });
  inner.AddEdge(kStart, "charge");
  inner.AddEdge("charge", "then");
  const Graph inside = MustCompile(inner);
  AddEntry("a",
           [this, inside](NodeContext& node) -> NodeResult {
             absl::StatusOr<None> done =
                 node.Call("run", [&inside](NodeContext& task) -> absl::Status {
                   return absl::StatusOr<Values>(task.Invoke(inside, Update()))
                       .status();
                 });
             if (!done.ok()) return done.status();
             return Update(notes_, "done");
           },
           {.retry = {RetryPolicy{.initial_interval = absl::ZeroDuration(),
                                  .jitter = false}}});
  EXPECT_THAT(Run(MustCompile(builder_), Update()).Get(notes_),
              ElementsAre("done"));
  EXPECT_EQ(times_["charge"], 1);
}

TEST_F(CallsTest, HandlerThatRunsAgainHasItsOwnAnswersAndCalls) {
  bool broken = true;
  AddEntry("a",
           [](NodeContext& node) -> NodeResult {
             absl::StatusOr<std::string> answer =
                 node.Interrupt<std::string>("body?");
             if (!answer.ok()) return answer.status();
             absl::StatusOr<std::string> told =
                 node.Call("tell", [] { return std::string("started"); });
             return absl::DataLossError("gone");
           },
           {.error_handler =
                ErrorHandler([this, &broken](NodeContext& node) -> NodeResult {
                  absl::StatusOr<std::string> answer =
                      node.Interrupt<std::string>("handler?");
                  if (!answer.ok()) return answer.status();
                  absl::StatusOr<std::string> told =
                      node.Call("tell", [] { return std::string("failed"); });
                  if (!told.ok()) return told.status();
                  if (broken) return absl::UnavailableError("not now");
                  return Update(notes_, *answer + " " + *told);
                })});
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  ASSERT_THAT(Run(graph, Input::Resume(Value("to body"))).interrupts,
              SizeIs(1));
  EXPECT_FALSE(Failure(graph, Input::Resume(Value("to handler"))).ok());
  broken = false;
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_),
              ElementsAre("to handler failed"));
}

TEST_F(CallsTest, CommandsGivenToThePastLeaveItAsItIs) {
  AddEntry("a", NoteStep{notes_});
  builder_.AddNode("b", NoteStep{notes_});
  builder_.AddEdge("a", "b");
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  const auto history = *graph.GetHistory(Thread());
  ASSERT_THAT(history[1].next, ElementsAre("b"));
  for (const char* note : {"first", "second"}) {
    const RunResult result =
        Run(graph, Input::Command({.update = Update(notes_, note)}),
            {.from = history[1].ref});
    EXPECT_THAT(result.Get(notes_), ElementsAre("a@1", note, testing::_));
  }
  EXPECT_THAT(
      graph
          .GetState(
              {.checkpointer = &store_, .thread_id = "t", .at = history[1].ref})
          ->values.Get(notes_),
      ElementsAre("a@1"));
}

TEST_F(CallsTest, BlockThatRunsAtMostOnceCannotAsk) {
  AddEntry("a", [](NodeContext& node) {
    return node
        .Once(
            "charge",
            [&node]() -> absl::Status {
              return absl::StatusOr<int>(node.Interrupt<int>("sure?")).status();
            },
            OnceMode::kAtMostOnce)
        .status();
  });
  EXPECT_THAT(std::string(Failure(MustCompile(builder_)).message()),
              HasSubstr("ask outside it"));
}

// Once.

TEST_F(CallsTest, BlockRunsOnceOverInterrupts) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> n =
        node.Once("charge", [this] { return ++times_["x"]; });
    absl::StatusOr<int> more =
        node.Once("more", [this] { return ++times_["x"]; });
    absl::StatusOr<std::string> answer = node.Interrupt<std::string>("ok?");
    if (!answer.ok()) return answer.status();
    return Update(notes_, absl::StrCat(*n, *more));
  });
  const Graph graph = MustCompile(builder_);
  for (const Durability durability :
       {Durability::kSync, Durability::kAsync, Durability::kExit}) {
    times_.clear();
    Run(graph, Update(), {.durability = durability});
    EXPECT_EQ(Run(graph, Input::Resume(Value("y")), {.durability = durability})
                  .Get(notes_)
                  .back(),
              "12");
    EXPECT_EQ(times_["x"], 2);
  }
}

TEST_F(CallsTest, BlockRunsOnceOverFailuresAndAttempts) {
  int attempts = 0;
  AddEntry("a",
           [this, &attempts](NodeContext& node) -> NodeResult {
             absl::StatusOr<None> done =
                 node.Once("charge", [this] { ++times_["x"]; });
             if (++attempts < 5) return absl::UnavailableError("not now");
             return Update(notes_, "done");
           },
           {.retry = {RetryPolicy{.initial_interval = absl::ZeroDuration(),
                                  .jitter = false}}});
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(Failure(graph).ok());
  EXPECT_EQ(attempts, 3);
  EXPECT_THAT(Run(graph, Input::Continue()).Get(notes_), ElementsAre("done"));
  EXPECT_EQ(times_["x"], 1);
}

TEST_F(CallsTest, BlocksNeedNoStore) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<int> one = node.Once("f", [this] { return ++times_["x"]; });
    absl::StatusOr<int> same = node.Once("f", [this] { return ++times_["x"]; });
    return Update(notes_, absl::StrCat(*one, *same));
  });
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes_), "11");
}

TEST_F(CallsTest, FailedBlockRunsAgain) {
  AddEntry("a",
           [this](NodeContext& node) -> NodeResult {
             absl::StatusOr<int> n =
                 node.Once("charge", [this]() -> absl::StatusOr<int> {
                   if (++times_["x"] == 1) throw std::runtime_error("boom");
                   return times_["x"];
                 });
             if (!n.ok()) return n.status();
             return Update(notes_, absl::StrCat(*n));
           },
           {.retry = {RetryPolicy{.jitter = false}}});
  SimExecutor executor(1);
  EXPECT_EQ(NotesOf(MustCompile(builder_), notes_, {.executor = &executor}),
            "2");
}

TEST_F(CallsTest, BlockThatMayRunOnceAtMostKeepsItsFailure) {
  AddEntry("a",
           [this](NodeContext& node) -> NodeResult {
             absl::StatusOr<int> n = node.Once(
                 "charge",
                 [this]() -> absl::StatusOr<int> {
                   ++times_["x"];
                   return absl::UnavailableError("bank is closed");
                 },
                 OnceMode::kAtMostOnce);
             return n.status();
           },
           {.retry = {RetryPolicy{.initial_interval = absl::ZeroDuration(),
                                  .jitter = false}}});
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(Failure(graph).ok());
  const absl::Status again = Failure(graph, Input::Continue());
  EXPECT_EQ(again.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(again.message()), HasSubstr("bank is closed"));
  EXPECT_EQ(times_["x"], 1);
}

// The process ends within the block: what the store has by then is copied, and
// gone on from.
TEST_F(CallsTest, UnknownOutcomeIsReported) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<None> n = node.Once(
        "charge",
        [this] {
          ++times_["x"];
          store_.CopyThread("t", "after the crash", [](absl::Status copied) {
            EXPECT_TRUE(copied.ok()) << copied;
          });
        },
        OnceMode::kAtMostOnce);
    return n.status();
  });
  const Graph graph = MustCompile(builder_);
  Run(graph, Update());
  RunOptions options = Saved();
  options.thread_id = "after the crash";
  const absl::Status status =
      graph.Invoke(Input::Continue(), std::move(options)).status();
  EXPECT_EQ(ErrorKindOf(status), ErrorKind::kUnknownOutcome);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("'charge'"), HasSubstr("will not run again")));
  EXPECT_EQ(times_["x"], 1);
}

TEST_F(CallsTest, AtMostOnceNeedsAStore) {
  AddEntry("a", [](NodeContext& node) {
    absl::StatusOr<None> n = node.Once(
        "charge", [] {}, OnceMode::kAtMostOnce);
    return n.status();
  });
  const Graph graph = MustCompile(builder_);
  EXPECT_EQ(graph.Invoke(Update()).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Failure(graph, Update(), {.durability = Durability::kExit}).code(),
            absl::StatusCode::kFailedPrecondition);
}

// Entrypoints.

TEST_F(CallsTest, EntrypointIsGivenWhatItReturnedBefore) {
  const Entrypoint<int, int> sum(
      "sum", [](NodeContext&, const int& n, const int* previous) {
        return n + (previous == nullptr ? 0 : *previous);
      });
  const Graph graph = *sum.Compile();
  EXPECT_EQ(Run(graph, sum.Input(1)).Get(sum.result()), 1);
  EXPECT_EQ(Run(graph, sum.Input(2)).Get(sum.result()), 3);
  ASSERT_TRUE(
      graph.UpdateState(Thread(), {.values = Update(sum.previous(), 100)})
          .ok());
  EXPECT_EQ(Run(graph, sum.Input(3)).Get(sum.result()), 103);
  EXPECT_EQ(graph.Invoke(sum.Input(4))->Get(sum.result()), 4)
      << "without a thread nothing is remembered";
}

TEST_F(CallsTest, EntrypointMayRememberSomethingElse) {
  using End = Final<std::string, int>;
  const Entrypoint<std::string, std::string, int> turn(
      "turn",
      [](NodeContext& node, const std::string& said,
         const int* turns) -> Task<absl::StatusOr<End>> {
        const int n = turns == nullptr ? 1 : *turns + 1;
        auto call = node.Call("shout", [&said] { return said + "!"; });
        absl::StatusOr<std::string> loud = co_await std::move(call);
        if (!loud.ok()) co_return loud.status();
        End end{absl::StrCat(n, ": ", *loud), n};
        co_return end;
      });
  const Graph graph = *turn.Compile();
  EXPECT_EQ(Run(graph, turn.Input("hi")).Get(turn.result()), "1: hi!");
  EXPECT_EQ(Run(graph, turn.Input("ho")).Get(turn.result()), "2: ho!");
}

}  // namespace
}  // namespace weir
