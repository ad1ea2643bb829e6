#include <atomic>
#include <functional>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/channel.h"
#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// What becomes of a run when something in it goes wrong.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class FailuresTest : public testing::Test {
 protected:
  // Adds a node that the start leads to.
  template <class F>
  void AddEntry(const std::string& name, F body, NodeOptions options = {}) {
    builder_.AddNode(name, std::move(body), std::move(options));
    builder_.AddEdge(kStart, name);
  }
  absl::Status Failure(RunOptions options = {}) {
    return MustCompile(builder_, {.name = "faulty"})
        .Invoke(Update(), std::move(options))
        .status();
  }

  StateGraph builder_;
};

// Nodes.

TEST_F(FailuresTest, ExceptionOfANodeIsItsFailure) {
  AddEntry("a", [](NodeContext&) { throw std::runtime_error("no more milk"); });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'a'", "step 1", "no more milk"}));
}

TEST_F(FailuresTest, LackOfMemoryIsResourceExhausted) {
  AddEntry("a", [](NodeContext&) { throw std::bad_alloc(); });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kNodeError,
                                 absl::StatusCode::kResourceExhausted,
                                 {"'a'", "step 1", "out of memory"}));
}

TEST_F(FailuresTest, ExceptionOfAnyTypeIsCaught) {
  AddEntry("a", [](NodeContext&) { throw 42; });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'a'", "step 1", "no std::exception"}));
}

TEST_F(FailuresTest, StatusOfANodeKeepsItsCodeAndPayload) {
  AddEntry("a", [](NodeContext&) {
    absl::Status status = absl::NotFoundError("no such customer");
    status.SetPayload("shop/customer", absl::Cord("17"));
    return status;
  });
  const absl::Status failure = Failure();
  EXPECT_THAT(failure,
              IsError(ErrorKind::kNodeError, absl::StatusCode::kNotFound,
                      {"'a'", "step 1", "no such customer"}));
  EXPECT_EQ(failure.GetPayload("shop/customer"), absl::Cord("17"));
}

TEST_F(FailuresTest, NodesMayReturnOkStatusOrStatusOr) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  AddEntry("a", [](NodeContext&) { return absl::OkStatus(); });
  AddEntry("b", [count](NodeContext&) {
    return absl::StatusOr<Update>(Update(count, 5));
  });
  EXPECT_EQ(MustInvoke(MustCompile(builder_), Update()).Get(count), 5);
  AddEntry("c", [](NodeContext&) {
    return absl::StatusOr<Update>(absl::AbortedError("lost the race"));
  });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kAborted,
                      {"'c'", "lost the race"}));
}

TEST_F(FailuresTest, NothingRunsAfterAFailedSuperstep) {
  bool ran = false;
  AddEntry("a", [](NodeContext&) { return absl::InternalError("x"); });
  AddEntry("b", Idle());
  builder_.AddNode("c", [&ran](NodeContext&) { ran = true; });
  builder_.AddEdge("b", "c");
  EXPECT_FALSE(Failure().ok());
  EXPECT_FALSE(ran);
}

TEST_F(FailuresTest, GraphRunsAgainAfterAFailure) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  AddEntry("a", [count](NodeContext& node) {
    if (node.Get(count) == 0) throw std::runtime_error("zero");
    return Update(count, node.Get(count) + 1);
  });
  const Graph graph = MustCompile(builder_);
  EXPECT_FALSE(graph.Invoke(Update()).ok());
  EXPECT_EQ(MustInvoke(graph, Update(count, 1)).Get(count), 2);
}

TEST_F(FailuresTest, FailureInAGraphInsideNamesBothNodes) {
  StateGraph inner;
  inner.AddNode("x", [](NodeContext&) { throw std::runtime_error("boom"); });
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'sub'", "'x'", "boom"}));
}

// Siblings.

TEST_F(FailuresTest, SiblingsOfAFailedTaskRunToTheirEnd) {
  for (const char* name : {"a", "c"}) {
    AddEntry(name, [](NodeContext&) { return absl::InternalError("x"); });
  }
  int ended = 0;
  AddEntry("b", [&ended](NodeContext& node) -> Task<absl::Status> {
    const absl::Status slept = co_await node.Sleep(absl::Seconds(5));
    EXPECT_FALSE(node.stop_token().stop_requested());
    ++ended;
    co_return slept;
  });
  AddEntry("d", [&ended](NodeContext&) { ++ended; });
  ForEachOrder(10, [&](SimExecutor& executor) {
    ended = 0;
    EXPECT_FALSE(Failure({.executor = &executor}).ok());
    EXPECT_EQ(ended, 2);
    EXPECT_EQ(executor.Now(), absl::UnixEpoch() + absl::Seconds(5));
  });
}

TEST_F(FailuresTest, ThrowingTaskDoesNotStopItsSiblingsOnManyWorkers) {
  std::atomic<int> ended{0};
  for (int i = 0; i < 64; ++i) {
    AddEntry(absl::StrFormat("n%02d", i), [&ended, i](NodeContext&) {
      ended.fetch_add(1, std::memory_order_relaxed);
      if (i % 2 == 0) throw std::runtime_error("even");
    });
  }
  TbbExecutor executor(4);
  EXPECT_THAT(Failure({.executor = &executor}),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'n00'", "also: node 'n02'", "even"}));
  EXPECT_EQ(ended.load(std::memory_order_relaxed), 64);
}

TEST_F(FailuresTest, LowestFailureIsReportedWithTheOthersAttached) {
  for (const auto& [name, delay] :
       std::vector<std::pair<std::string, int>>{{"b", 3}, {"c", 1}, {"a", 2}}) {
    AddEntry(
        name,
        [name = name, delay = delay](NodeContext& node) -> Task<absl::Status> {
          (void)co_await node.Sleep(absl::Seconds(delay));
          if (name == "a") co_return absl::DataLossError("first in order");
          co_return absl::InternalError("later in order");
        });
  }
  ForEachOrder(5, [&](SimExecutor& executor) {
    const absl::Status failure = Failure({.executor = &executor});
    EXPECT_THAT(
        failure,
        IsError(ErrorKind::kNodeError, absl::StatusCode::kDataLoss,
                {"first in order", "also: node 'b'", "also: node 'c'"}));
    EXPECT_THAT(std::string(failure.message()), StartsWith("node 'a'"));
  });
}

TEST_F(FailuresTest, ManyFailuresAreCounted) {
  for (int i = 0; i < 20; ++i) {
    AddEntry(absl::StrFormat("n%02d", i),
             [](NodeContext&) { return absl::InternalError("x"); });
  }
  const absl::Status failure = Failure();
  EXPECT_THAT(failure,
              IsError(ErrorKind::kNodeError, absl::StatusCode::kInternal,
                      {"'n00'", "'n05'", "and 14 more"}));
  EXPECT_THAT(std::string(failure.message()), Not(HasSubstr("'n06'")));
}

TEST_F(FailuresTest, SiblingsAreAskedToStopIfSoChosen) {
  AddEntry("a", [](NodeContext& node) -> Task<absl::Status> {
    (void)co_await node.Sleep(absl::Seconds(1));
    co_return absl::InternalError("the cause");
  });
  bool asked = false;
  AddEntry("b", [&asked](NodeContext& node) -> Task<absl::Status> {
    const absl::Status slept = co_await node.Sleep(absl::Hours(1));
    EXPECT_EQ(slept.code(), absl::StatusCode::kCancelled);
    asked = node.stop_token().stop_requested();
    co_return absl::OkStatus();
  });
  ForEachOrder(5, [&](SimExecutor& executor) {
    asked = false;
    EXPECT_THAT(Failure({.on_failure = OnFailure::kCancelSiblings,
                         .executor = &executor}),
                IsError(ErrorKind::kNodeError, absl::StatusCode::kInternal,
                        {"'a'", "the cause"}));
    EXPECT_TRUE(asked);
    EXPECT_EQ(executor.Now(), absl::UnixEpoch() + absl::Seconds(1));
  });
}

TEST_F(FailuresTest, SiblingsInGraphsInsideAreAskedToStopToo) {
  StateGraph inner;
  inner.AddNode("x", [](NodeContext& node) -> Task<absl::Status> {
    (void)co_await node.Sleep(absl::Hours(1));
    EXPECT_TRUE(node.stop_token().stop_requested());
    co_return absl::OkStatus();
  });
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  AddEntry("a", [](NodeContext&) { return absl::InternalError("the cause"); });
  SimExecutor executor(1);
  EXPECT_THAT(Failure({.on_failure = OnFailure::kCancelSiblings,
                       .executor = &executor}),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kInternal,
                      {"the cause"}));
  EXPECT_EQ(executor.Now(), absl::UnixEpoch());
}

// Reducers and channels.

TEST_F(FailuresTest, ExceptionOfAReducerFailsTheRun) {
  const auto sum = builder_.AddChannel("sum", Reducer<int>([](int, int) -> int {
                                         throw std::runtime_error("cannot add");
                                       }));
  AddEntry("a", [sum](NodeContext&) { return Update(sum, 1); });
  AddEntry("b", [sum](NodeContext&) { return Update(sum, 2); });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kReducerError, absl::StatusCode::kUnknown,
                      {"'sum'", "cannot add", "step 1", "'a', 'b'"}));
}

TEST_F(FailuresTest, StatusOfAReducerFailsTheRunWithItsCode) {
  const auto sum = builder_.AddChannel(
      "sum", Reducer<int>([](int, int) -> absl::StatusOr<int> {
        return absl::OutOfRangeError("too much");
      }));
  AddEntry("a", [sum](NodeContext&) { return Update(sum, 1); });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kReducerError, absl::StatusCode::kOutOfRange,
                      {"'sum'", "too much", "'a'"}));
}

TEST_F(FailuresTest, ReducerThatFailsUnderARouterFailsTheTask) {
  const auto sum = builder_.AddChannel(
      "sum", Reducer<int>([](int, int) -> absl::StatusOr<int> {
        return absl::OutOfRangeError("too much");
      }));
  AddEntry("a", [sum](NodeContext&) { return Update(sum, 1); });
  builder_.AddConditionalEdges("a", [sum](NodeContext& state) {
    EXPECT_EQ(state.Find(sum), nullptr);
    return kEnd;
  });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kReducerError, absl::StatusCode::kOutOfRange,
                      {"'a'", "'sum'", "too much"}));
}

// A channel of a host's own whose quiet superstep fails.
class BrittleKind final : public ChannelKind {
 public:
  std::string_view name() const override { return "Brittle"; }
  const internal::ValueType* read_type() const override {
    return LastValue<int>().kind->read_type();
  }
  absl::StatusOr<bool> Apply(ChannelState& state, Value write,
                             bool /*overwrite*/) const override {
    state.value = std::move(write);
    return true;
  }
  bool clears_when_quiet() const override { return true; }
  bool Quiet(ChannelState&) const override {
    throw std::runtime_error("cannot be quiet");
  }
};

TEST_F(FailuresTest, ExceptionOfAChannelKindFailsTheRun) {
  const auto brittle = builder_.AddChannel(
      "brittle", ChannelDef<int>{std::make_shared<BrittleKind>()});
  AddEntry("a", [brittle](NodeContext&) { return Update(brittle, 1); });
  builder_.AddNode("b", Idle());
  builder_.AddEdge("a", "b");
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kReducerError, absl::StatusCode::kUnknown,
                      {"cannot be quiet", "step 2"}));
}

TEST_F(FailuresTest, TwoWritersOfALastValueAreRefusedByName) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  for (const char* name : {"a", "b", "c"}) {
    AddEntry(name, [count](NodeContext&) { return Update(count, 1); });
  }
  EXPECT_THAT(
      Failure(),
      IsError(ErrorKind::kInvalidUpdate, absl::StatusCode::kInvalidArgument,
              {"'count'", "LastValue", "step 1", "'a', 'b', 'c'"}));
}

TEST_F(FailuresTest, OneTaskThatWritesALastValueTwiceIsRefusedToo) {
  const auto count = builder_.AddChannel("count", LastValue<int>());
  AddEntry("a",
           [count](NodeContext&) { return Update(count, 1).Set(count, 1); });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidUpdate,
                                 absl::StatusCode::kInvalidArgument,
                                 {"'count'", "'a', 'a'"}));
}

TEST_F(FailuresTest, TwoOverwritesOfAChannelAreRefused) {
  const auto sum = builder_.AddChannel(
      "sum", Reducer<int>([](int a, int b) { return a + b; }));
  for (const char* name : {"a", "b"}) {
    AddEntry(name, [sum](NodeContext&) { return Overwrite(sum, 1); });
  }
  EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidUpdate,
                                 absl::StatusCode::kInvalidArgument,
                                 {"'sum'", "Overwrite", "step 1", "'a', 'b'"}));
}

TEST_F(FailuresTest, WriteOfAWrongTypeIsRefused) {
  builder_.AddChannel("count", LastValue<int>());
  AddEntry("a",
           [](NodeContext&) { return Update().Set("count", Value("five")); });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidUpdate,
                                 absl::StatusCode::kInvalidArgument,
                                 {"'count'", "int", "std::string", "'a'"}));
}

// Routers.

TEST_F(FailuresTest, ExceptionOfARouterFailsTheTask) {
  AddEntry("a", Idle());
  builder_.AddConditionalEdges(
      "a", [](NodeContext&) -> Route { throw std::runtime_error("lost"); });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'a'", "step 1", "lost"}));
}

TEST_F(FailuresTest, StatusOfARouterFailsTheTask) {
  AddEntry("a", Idle());
  builder_.AddConditionalEdges("a", [](NodeContext&) {
    return absl::StatusOr<std::string>(absl::NotFoundError("no road"));
  });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kNotFound,
                      {"'a'", "no road"}));
}

TEST_F(FailuresTest, FailingRouterOfTheStartFailsTheRun) {
  builder_.AddConditionalEdges(
      kStart, [](NodeContext&) -> Route { throw std::runtime_error("lost"); });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'__start__'", "step 0", "lost"}));
}

TEST_F(FailuresTest, TaskWhoseRouterFailsLeavesNoWrites) {
  const NotesChannel notes = AddNotes(builder_);
  AddEntry("a", [notes](NodeContext&) {
    return Command{.update = Update(notes, "written"), .go_to = {"b"}};
  });
  builder_.AddConditionalEdges(
      "a", [](NodeContext&) -> Route { throw std::runtime_error("lost"); });
  builder_.AddNode("b", NoteStep{notes});
  SimExecutor executor(1);
  const Streamed run = StreamAll(MustCompile(builder_), Update(),
                                 {.modes = kUpdates | kTasks | kValues,
                                  .executor = &executor,
                                  .run_id = "r"});
  EXPECT_FALSE(run.status.ok());
  EXPECT_THAT(
      run.events,
      ElementsAre(
          HasSubstr(R"("name": "a", "input": {"notes": []})"),
          AllOf(HasSubstr(R"("name": "a", "error": "router 'branch': lost")"),
                HasSubstr(R"("result": null)"))));
}

// Handles of another graph.

class ForeignHandleTest : public FailuresTest {
 protected:
  ForeignHandleTest() {
    builder_.AddChannel("count", LastValue<int>());
    StateGraph other;
    foreign_ = other.AddChannel("count", LastValue<int>());
  }
  Channel<int> foreign_;
};

TEST_F(ForeignHandleTest, FindsNothingAndFailsTheTask) {
  AddEntry("a", [this](NodeContext& node) {
    EXPECT_EQ(node.Find(foreign_), nullptr);
    EXPECT_EQ(node.Get(foreign_), 0);
  });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kNodeError,
                                 absl::StatusCode::kFailedPrecondition,
                                 {"'a'", "another graph", "'faulty'",
                                  absl::StrCat("schema ", foreign_.schema())}));
}

TEST_F(ForeignHandleTest, FindsNothingInASendAndFailsTheTask) {
  AddEntry("a", [](NodeContext&) { return Send("w", 1); });
  builder_.AddNode("w", [this](NodeContext& node) {
    EXPECT_EQ(node.Find(foreign_), nullptr);
  });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kNodeError,
                                 absl::StatusCode::kFailedPrecondition,
                                 {"'w'", "another graph"}));
}

TEST_F(ForeignHandleTest, FindsNothingInARouterAndFailsTheTask) {
  AddEntry("a", Idle());
  builder_.AddConditionalEdges("a", [this](NodeContext& state) {
    EXPECT_EQ(state.Find(foreign_), nullptr);
    return kEnd;
  });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kNodeError,
                                 absl::StatusCode::kFailedPrecondition,
                                 {"'a'", "another graph"}));
}

TEST_F(ForeignHandleTest, IsRefusedAsAWrite) {
  AddEntry("a", [this](NodeContext&) { return Update(foreign_, 1); });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidUpdate,
                                 absl::StatusCode::kInvalidArgument,
                                 {"'a'", "another graph", "'faulty'",
                                  absl::StrCat("schema ", foreign_.schema())}));
}

TEST_F(ForeignHandleTest, OfNoGraphIsLikeOneOfAnother) {
  const Channel<int> none;
  AddEntry("a",
           [none](NodeContext& node) { EXPECT_EQ(node.Find(none), nullptr); });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kNodeError,
                                 absl::StatusCode::kFailedPrecondition,
                                 {"'a'", "another graph"}));
}

TEST_F(ForeignHandleTest, OfNoGraphIsRefusedAsAWrite) {
  const Channel<int> none;
  AddEntry("a", [none](NodeContext&) { return Update(none, 1); });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidUpdate,
                                 absl::StatusCode::kInvalidArgument,
                                 {"'a'", "no AddChannel()"}));
}

TEST_F(ForeignHandleTest, OfNoGraphIsNotTakenForAName) {
  const Channel<int> none;
  AddEntry("a", [none](NodeContext&) {
    return Update().Set("count", Value(1)).Set(none, 2);
  });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidUpdate,
                                 absl::StatusCode::kInvalidArgument,
                                 {"'a'", "no AddChannel()"}));
}

TEST_F(ForeignHandleTest, OfNoGraphIsRefusedAsInput) {
  const Channel<int> none;
  AddEntry("a", Idle());
  EXPECT_THAT(MustCompile(builder_).Invoke(Update(none, 1)).status(),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"no AddChannel()"}));
}

// Handles that a graph was compiled without.

TEST_F(FailuresTest, ChannelAddedLaterIsUnknownToTheGraph) {
  Channel<int> late;
  AddEntry("read",
           [&late](NodeContext& node) { EXPECT_EQ(node.Find(late), nullptr); });
  AddEntry("route", Idle());
  builder_.AddConditionalEdges("route", [&late](NodeContext& state) {
    EXPECT_EQ(state.Find(late), nullptr);
    return kEnd;
  });
  AddEntry("send", [](NodeContext&) { return Send("sent", 1); });
  builder_.AddNode("sent", Idle());
  AddEntry("write", [&late](NodeContext&) { return Update(late, 1); });
  const Graph graph = MustCompile(builder_);
  late = builder_.AddChannel("late", LastValue<int>());
  EXPECT_THAT(
      graph.Invoke(Update()).status(),
      IsError(
          ErrorKind::kNodeError, absl::StatusCode::kFailedPrecondition,
          {"'read' failed in step 1: read with the handle of a channel that "
           "was added after",
           "also: node 'route'", "also: node 'write'"}));
  EXPECT_THAT(
      graph.Invoke(Update(late, 1)).status(),
      IsError(ErrorKind::kInvalidUpdate, absl::StatusCode::kInvalidArgument,
              {"'__start__'", "added after"}));
}

TEST_F(FailuresTest, NodeAddedLaterIsUnknownToTheGraph) {
  NodeId late;
  AddEntry("a", [&late](NodeContext&) {
    return Command{.go_to = {late, Send(late, 1)}};
  });
  builder_.AddConditionalEdges("a", [&late](NodeContext&) { return late; });
  const Graph graph = MustCompile(builder_);
  bool ran = false;
  late = builder_.AddNode("late", [&ran](NodeContext&) { ran = true; });
  EXPECT_TRUE(graph.Invoke(Update()).ok());
  EXPECT_FALSE(ran);
}

// Dynamic results.

TEST_F(FailuresTest, DynamicResultThatIsNoRecordIsRefused) {
  for (const Value& value :
       {Value(5), Value("text"), Value(std::vector<int>{1})}) {
    builder_ = StateGraph();
    AddEntry("a",
             [value](NodeContext&) { return NodeResult::FromValue(value); });
    EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidUpdate,
                                   absl::StatusCode::kInvalidArgument,
                                   {"'a'", value.ToJson()}));
  }
}

TEST_F(FailuresTest, DynamicResultOfNothingIsNoUpdate) {
  builder_.AddChannel("count", LastValue<int>());
  AddEntry("a",
           [](NodeContext&) { return NodeResult::FromValue(Value(None())); });
  AddEntry("b", [](NodeContext&) { return NodeResult::FromValue(Value()); });
  EXPECT_TRUE(MustInvoke(MustCompile(builder_), Update()).empty());
}

TEST_F(FailuresTest, CommandsUpdateThatIsNoRecordIsRefused) {
  AddEntry("a", [](NodeContext&) {
    return Command{.update = Update::FromValue(Value(5))};
  });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kInvalidUpdate,
                      absl::StatusCode::kInvalidArgument, {"'a'", "5"}));
}

TEST_F(FailuresTest, WriteToAReservedNameIsRefused) {
  AddEntry("a", [](NodeContext&) {
    return Update().Set("__pregel_tasks", Value(1));
  });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kInvalidUpdate,
                                 absl::StatusCode::kInvalidArgument,
                                 {"'a'", "'__pregel_tasks'", "reserved"}));
}

TEST(ErrorKindTest, NamesAreThoseOfTheErrors) {
  EXPECT_EQ(ErrorKindName(ErrorKind::kNone), "");
  EXPECT_EQ(ErrorKindName(ErrorKind::kNodeError), "NodeError");
  EXPECT_EQ(ErrorKindName(ErrorKind::kInvalidUpdate), "InvalidUpdateError");
  EXPECT_EQ(ErrorKindName(ErrorKind::kGraphRecursion), "GraphRecursionError");
  EXPECT_EQ(ErrorKindName(ErrorKind::kEmptyInput), "EmptyInputError");
  EXPECT_EQ(ErrorKindName(ErrorKind::kNodeTimeout), "NodeTimeoutError");
  EXPECT_EQ(ErrorKindName(ErrorKind::kGraphDrained), "GraphDrained");
}

TEST(ErrorKindTest, StatusesThatAreNotWeirsHaveNone) {
  EXPECT_EQ(ErrorKindOf(absl::OkStatus()), ErrorKind::kNone);
  EXPECT_EQ(ErrorKindOf(absl::InternalError("x")), ErrorKind::kNone);
}

}  // namespace
}  // namespace weir
