#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

#if defined(ABSL_HAVE_ADDRESS_SANITIZER)
#include <sanitizer/lsan_interface.h>
#endif

// What waits without a thread: nodes that are coroutines or callbacks, graphs
// that nodes call, and runs whose caller does not wait.
namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class AsyncNodesTest : public testing::Test {
 protected:
  template <class F>
  void AddEntry(const std::string& name, F body, NodeOptions options = {}) {
    builder_.AddNode(name, std::move(body), std::move(options));
    builder_.AddEdge(kStart, name);
  }
  std::string Run() {
    return NotesOf(MustCompile(builder_), notes_, {.executor = &executor_});
  }
  absl::Status Failure() {
    return MustCompile(builder_)
        .Invoke(Update(), {.executor = &executor_})
        .status();
  }
  absl::Duration Elapsed() const { return executor_.Now() - absl::UnixEpoch(); }

  SimExecutor executor_{1};
  StateGraph builder_;
  const NotesChannel notes_ = AddNotes(builder_);
};

// Coroutines.

using CoroutineTest = AsyncNodesTest;

TEST_F(CoroutineTest, SleepsForTheTimeGiven) {
  AddEntry("a", [this](NodeContext& node) -> Task<Update> {
    const absl::Status slept = co_await node.Sleep(absl::Seconds(90));
    EXPECT_TRUE(slept.ok()) << slept;
    EXPECT_EQ(Elapsed(), absl::Seconds(90));
    co_return Update(notes_, "rested");
  });
  EXPECT_EQ(Run(), "rested");
}

// As of a coroutine of the node's own that waits for whatever comes first.
TEST_F(CoroutineTest, SleepMayOutliveItsNode) {
  struct Alone {
    struct promise_type {
      Alone get_return_object() { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() {}
      void unhandled_exception() { std::terminate(); }
    };
  };
  int woken = 0;
  auto sleep = [](NodeContext& node, int* count) -> Alone {
    (void)co_await node.Sleep(absl::Seconds(1));
    ++*count;
  };
  AddEntry("a", [this, &sleep, &woken](NodeContext& node) {
    sleep(node, &woken);
    return Update(notes_, "done");
  });
  EXPECT_EQ(Run(), "done");
  EXPECT_EQ(woken, 0);
  const absl::Notification never;
  executor_.RunUntil(never);
  EXPECT_EQ(woken, 1);
}

TEST_F(CoroutineTest, SleepIsAwaitedTwice) {
  AddEntry("a", [this](NodeContext& node) -> Task<Update> {
    SleepCall sleep = node.Sleep(absl::Seconds(1));
    EXPECT_TRUE((co_await sleep).ok());
    EXPECT_TRUE((co_await sleep).ok());
    EXPECT_EQ(Elapsed(), absl::Seconds(2));
    co_return Update(notes_, "rested");
  });
  EXPECT_EQ(Run(), "rested");
}

TEST_F(CoroutineTest, SleepOfNoTimeDoesNotWait) {
  AddEntry("a", [this](NodeContext& node) -> Task<Update> {
    EXPECT_TRUE((co_await node.Sleep(absl::ZeroDuration())).ok());
    EXPECT_TRUE((co_await node.Sleep(-absl::Seconds(1))).ok());
    co_return Update(notes_, "awake");
  });
  EXPECT_EQ(Run(), "awake");
  EXPECT_EQ(Elapsed(), absl::ZeroDuration());
}

TEST_F(CoroutineTest, HoldsNoWorkerWhileItWaits) {
  for (const char* name : {"a", "b", "c"}) {
    AddEntry(name, [this](NodeContext& node) -> Task<Update> {
      (void)co_await node.Sleep(absl::Seconds(10));
      co_return NoteStep{notes_}(node);
    });
  }
  EXPECT_EQ(Run(), "a@1 b@1 c@1");
  EXPECT_EQ(Elapsed(), absl::Seconds(10)) << "all slept at once";
}

TEST_F(CoroutineTest, MayNeverSuspend) {
  AddEntry("a", [this](NodeContext& node) -> Task<Update> {
    co_return NoteStep{notes_}(node);
  });
  builder_.AddNode("b", [this](NodeContext& node) -> Task<Update> {
    co_return NoteStep{notes_}(node);
  });
  builder_.AddEdge("a", "b");
  EXPECT_EQ(Run(), "a@1 b@2");
}

TEST_F(CoroutineTest, ThatNeverSuspendsMayLoopForLong) {
  AddEntry("a",
           [](NodeContext&) -> Task<NodeResult> { co_return NodeResult(); });
  builder_.AddEdge("a", "a");
  EXPECT_EQ(ErrorKindOf(MustCompile(builder_)
                            .Invoke(Update(), {.recursion_limit = 100'000,
                                               .executor = &executor_})
                            .status()),
            ErrorKind::kGraphRecursion);
}

TEST_F(CoroutineTest, MayReturnAllThatFunctionsReturn) {
  AddEntry("command", [this](NodeContext& node) -> Task<Command> {
    co_return Command{.update = NoteStep{notes_}(node), .go_to = {"last"}};
  });
  AddEntry("result", [this](NodeContext& node) -> Task<NodeResult> {
    co_return NoteStep{notes_}(node);
  });
  AddEntry("send",
           [](NodeContext&) -> Task<Send> { co_return Send("last", 1); });
  AddEntry("status", [](NodeContext&) -> Task<absl::Status> {
    co_return absl::OkStatus();
  });
  AddEntry("status_or",
           [this](NodeContext& node) -> Task<absl::StatusOr<Update>> {
             co_return NoteStep{notes_}(node);
           });
  builder_.AddNode("last", NoteStep{notes_});
  EXPECT_EQ(Run(), "command@1 result@1 status_or@1 last@2 last@2");
}

Task<int> Twice(NodeContext& node, int number) {
  if (number < 0) throw std::out_of_range("negative");
  const absl::Status slept = co_await node.Sleep(absl::Seconds(1));
  EXPECT_TRUE(slept.ok());
  co_return 2 * number;
}

Task<int> FourTimes(NodeContext& node, int number) {
  const int twice = co_await Twice(node, number);
  co_return co_await Twice(node, twice);
}

TEST_F(CoroutineTest, AwaitsCoroutinesOfItsOwn) {
  AddEntry("a", [this](NodeContext& node) -> Task<Update> {
    const int number = co_await FourTimes(node, 5);
    co_return Update(notes_, absl::StrCat(number));
  });
  EXPECT_EQ(Run(), "20");
  EXPECT_EQ(Elapsed(), absl::Seconds(2));
}

TEST_F(CoroutineTest, CatchesWhatItsCoroutinesThrow) {
  AddEntry("a", [this](NodeContext& node) -> Task<Update> {
    std::string caught;
    try {
      (void)co_await FourTimes(node, -1);
    } catch (const std::out_of_range& e) {
      caught = e.what();
    }
    co_return Update(notes_, caught);
  });
  EXPECT_EQ(Run(), "negative");
}

TEST_F(CoroutineTest, ThatThrowsFailsLikeAFunction) {
  AddEntry("a", [](NodeContext& node) -> Task<Update> {
    (void)co_await node.Sleep(absl::Seconds(1));
    (void)co_await FourTimes(node, -1);
    co_return Update();
  });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'a'", "step 1", "negative"}));
}

TEST_F(CoroutineTest, ThatThrowsAtOnceFailsLikeAFunction) {
  AddEntry("a", [](NodeContext&) -> Task<Update> {
    throw std::bad_alloc();
    co_return Update();
  });
  EXPECT_THAT(Failure(), IsError(ErrorKind::kNodeError,
                                 absl::StatusCode::kResourceExhausted,
                                 {"'a'", "out of memory"}));
}

TEST_F(CoroutineTest, IsGoneBeforeTheRunGoesOn) {
  auto alive = std::make_shared<int>();
  std::weak_ptr<int> watch = alive;
  AddEntry("a",
           [alive = std::exchange(alive, nullptr)](
               NodeContext& node) -> Task<NodeResult> {
             // The lambda's captures live with the graph; locals do not.
             const auto local = std::make_shared<int>();
             const std::weak_ptr<int> in_frame = local;
             (void)co_await node.Sleep(absl::Seconds(1));
             co_return NodeResult();
           });
  std::weak_ptr<int> in_frame;
  builder_.AddNode("b", [&in_frame](NodeContext& node) -> Task<NodeResult> {
    const auto local = std::make_shared<int>();
    in_frame = local;
    (void)co_await node.Sleep(absl::Seconds(1));
    co_return NodeResult();
  });
  builder_.AddNode(
      "c", [&in_frame](NodeContext&) { EXPECT_TRUE(in_frame.expired()); });
  builder_.AddEdge("a", "b");
  builder_.AddEdge("b", "c");
  {
    const Graph graph = MustCompile(builder_);
    builder_ = StateGraph();
    MustInvoke(graph, Update(), {.executor = &executor_});
    EXPECT_FALSE(watch.expired()) << "the graph keeps its nodes' lambdas";
  }
  EXPECT_TRUE(watch.expired());
}

TEST_F(CoroutineTest, RunKeepsItsGraphAlive) {
  StateGraph builder;
  const auto captured = std::make_shared<std::string>("still here");
  const NotesChannel notes = AddNotes(builder);
  builder.AddNode("a", [captured, notes](NodeContext& node) -> Task<Update> {
    (void)co_await node.Sleep(absl::Seconds(1));
    co_return Update(notes, *captured);
  });
  builder.AddEdge(kStart, "a");
  std::optional<Graph> graph = MustCompile(builder);
  RunStream stream = graph->Stream(Update(), {.executor = &executor_});
  graph.reset();
  builder = StateGraph();
  EXPECT_THAT(ReadAll(stream).events,
              ElementsAre(R"(updates {"a": {"notes": "still here"}})"));
}

TEST_F(CoroutineTest, RunsOnRealTimeAndManyWorkers) {
  for (int i = 0; i < 20; ++i) {
    AddEntry(absl::StrCat("n", i), [](NodeContext& node) -> Task<NodeResult> {
      for (int nap = 0; nap < 10; ++nap) {
        const absl::Status slept = co_await node.Sleep(absl::Microseconds(50));
        if (!slept.ok()) co_return slept;
      }
      co_return NodeResult();
    });
  }
  const Graph graph = MustCompile(builder_);
  EXPECT_TRUE(graph.Invoke(Update()).ok()) << "on the caller and its workers";
  TbbExecutor workers(2);
  EXPECT_TRUE(graph.Invoke(Update(), {.executor = &workers}).ok());
  InlineExecutor one_thread;
  EXPECT_TRUE(graph.Invoke(Update(), {.executor = &one_thread}).ok());
}

TEST_F(CoroutineTest, TenThousandWaitAtOnce) {
  AddEntry("fan", [](NodeContext&) {
    Command command;
    for (int i = 0; i < 10'000; ++i) command.go_to.emplace_back(Send("w", i));
    return command;
  });
  const auto sum = builder_.AddChannel(
      "sum", Reducer<int>([](int a, int b) { return a + b; }));
  int waiting = 0;
  int most = 0;
  builder_.AddNode("w",
                   [sum, &waiting, &most](NodeContext& node) -> Task<Update> {
                     most = std::max(most, ++waiting);
                     const absl::Status slept = co_await node.Sleep(
                         absl::Milliseconds(1000 - *node.Input<int>() % 100));
                     --waiting;
                     co_return Update(sum, slept.ok() ? 1 : 0);
                   });
  EXPECT_EQ(
      MustInvoke(MustCompile(builder_), Update(), {.executor = &executor_})
          .Get(sum),
      10'000);
  EXPECT_EQ(most, 10'000);
  EXPECT_EQ(Elapsed(), absl::Seconds(1));
}

// Callers that do not wait.

class DetachedRunTest : public AsyncNodesTest {
 protected:
  // Starts a run, whose end is noted in ends_.
  void Start(const Graph& graph, Input input, RunOptions options = {}) {
    options.executor = &executor_;
    graph.Invoke(std::move(input), std::move(options),
                 [this](absl::StatusOr<RunResult> result) {
                   ends_.push_back(std::move(result));
                 });
  }
  void RunFor(absl::Duration time) {
    absl::Notification over;
    executor_.PostAfter(time, [&over] { over.Notify(); });
    EXPECT_TRUE(executor_.RunUntil(over));
  }

  std::vector<absl::StatusOr<RunResult>> ends_;
};

TEST_F(DetachedRunTest, EndsOnTheExecutor) {
  AddEntry("a", [this](NodeContext& node) -> Task<NodeResult> {
    const absl::Status slept = co_await node.Sleep(absl::Seconds(1));
    if (!slept.ok()) co_return slept;
    co_return Update(notes_, "rested");
  });
  std::optional<Graph> graph = MustCompile(builder_);
  for (int i = 0; i < 1'000; ++i) Start(*graph, Update());
  graph.reset();  // The runs keep it.
  EXPECT_THAT(ends_, IsEmpty());
  RunFor(absl::Milliseconds(999));
  EXPECT_THAT(ends_, IsEmpty());
  RunFor(absl::Milliseconds(2));
  EXPECT_EQ(ends_.size(), 1'000U);
  for (const absl::StatusOr<RunResult>& end : ends_) {
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_THAT(end->Get(notes_), ElementsAre("rested"));
  }
}

TEST_F(DetachedRunTest, FailureIsTold) {
  AddEntry("a", [](NodeContext&) { return absl::DataLossError("no milk"); });
  const Graph graph = MustCompile(builder_);
  Start(graph, Update());
  Start(graph, Update(), {.recursion_limit = 0});
  RunFor(absl::ZeroDuration());
  ASSERT_THAT(ends_, SizeIs(2));
  std::sort(ends_.begin(), ends_.end(), [](const auto& a, const auto& b) {
    return a.status().code() > b.status().code();
  });
  EXPECT_THAT(ends_[0].status(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kDataLoss,
                      {"'a'", "no milk"}));
  EXPECT_THAT(ends_[1].status(),
              IsError(ErrorKind::kNone, absl::StatusCode::kInvalidArgument,
                      {"recursion_limit"}));
}

TEST_F(DetachedRunTest, NeedsAnExecutor) {
  AddEntry("a", [](NodeContext&) {});
  absl::Status told;
  MustCompile(builder_).Invoke(
      Update(), {},
      [&told](const absl::StatusOr<RunResult>& end) { told = end.status(); });
  EXPECT_THAT(told,
              IsError(ErrorKind::kNone, absl::StatusCode::kInvalidArgument,
                      {"RunOptions::executor"}));
}

TEST_F(DetachedRunTest, StopsWhenAskedTo) {
  AddEntry("a", [](NodeContext& node) -> Task<NodeResult> {
    co_return co_await node.Sleep(absl::Hours(1));
  });
  std::stop_source stop;
  Start(MustCompile(builder_), Update(), {.stop = stop.get_token()});
  RunFor(absl::Seconds(1));
  EXPECT_THAT(ends_, IsEmpty());
  stop.request_stop();
  RunFor(absl::ZeroDuration());
  ASSERT_THAT(ends_, SizeIs(1));
  EXPECT_EQ(ends_[0].status().code(), absl::StatusCode::kCancelled);
}

TEST_F(DetachedRunTest, AsksAndIsResumed) {
  AddEntry("a", [this](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> answer = node.Interrupt<std::string>("milk?");
    if (!answer.ok()) return answer.status();
    return Update(notes_, *answer);
  });
  const Graph graph = MustCompile(builder_);
  MemoryCheckpointer memory;
  const RunOptions saved = {.thread_id = "t", .checkpointer = &memory};
  Start(graph, Update(), saved);
  RunFor(absl::ZeroDuration());
  ASSERT_THAT(ends_, SizeIs(1));
  ASSERT_TRUE(ends_[0].ok()) << ends_[0].status();
  EXPECT_EQ(ends_[0]->end, RunEnd::kInterrupted);
  Start(graph, Input::Resume(Value("yes")), saved);
  RunFor(absl::ZeroDuration());
  ASSERT_THAT(ends_, SizeIs(2));
  ASSERT_TRUE(ends_[1].ok()) << ends_[1].status();
  EXPECT_THAT(ends_[1]->Get(notes_), ElementsAre("yes"));
}

TEST_F(DetachedRunTest, EndMayStartTheNext) {
  AddEntry("a", [this](NodeContext&) { return Update(notes_, "a"); });
  const Graph graph = MustCompile(builder_);
  int ended = 0;
  std::function<void(absl::StatusOr<RunResult>)> next =
      [&](const absl::StatusOr<RunResult>& end) {
        EXPECT_TRUE(end.ok()) << end.status();
        if (++ended == 10'000) return;
        graph.Invoke(Update(), {.executor = &executor_}, next);
      };
  next(RunResult());
  RunFor(absl::ZeroDuration());
  EXPECT_EQ(ended, 10'000);
}

// Many at once, on real workers: their ends, and those of coroutines that are
// resumed there, come in any order.
TEST_F(DetachedRunTest, ManyEndOnWorkersAtOnce) {
  AddEntry("a", [this](NodeContext& node) -> Task<NodeResult> {
    for (int nap = 0; nap < 3; ++nap) {
      const absl::Status slept = co_await node.Sleep(absl::Microseconds(1));
      if (!slept.ok()) co_return slept;
    }
    co_return Update(notes_, "rested");
  });
  const Graph graph = MustCompile(builder_);
  TbbExecutor workers;
  constexpr int kRuns = 2'000;
  std::atomic<int> left{kRuns};
  std::atomic<int> rested{0};
  absl::Notification done;
  for (int i = 0; i < kRuns; ++i) {
    graph.Invoke(
        Update(), {.executor = &workers},
        [this, &rested, &left, &done](const absl::StatusOr<RunResult>& end) {
          if (end.ok() && end->Get(notes_).size() == 1) {
            rested.fetch_add(1, std::memory_order_relaxed);
          }
          // acq_rel: the last sees what all have counted.
          if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            done.Notify();
          }
        });
  }
  EXPECT_TRUE(workers.RunUntil(done));
  EXPECT_EQ(rested, kRuns);
}

// Callbacks.

class CallbackTest : public AsyncNodesTest {
 protected:
  void TearDown() override { threads_.clear(); }
  std::vector<std::jthread> threads_;
};

TEST_F(CallbackTest, MayCompleteBeforeItReturns) {
  AddEntry("a", [this](NodeContext& node, Completion done) {
    done(NoteStep{notes_}(node));
  });
  builder_.AddNode("b", NoteStep{notes_});
  builder_.AddEdge("a", "b");
  EXPECT_EQ(Run(), "a@1 b@2");
}

TEST_F(CallbackTest, ThatCompletesAtOnceMayLoopForLong) {
  AddEntry("a", [](NodeContext&, Completion done) { done(NodeResult()); });
  builder_.AddEdge("a", "a");
  EXPECT_EQ(ErrorKindOf(MustCompile(builder_)
                            .Invoke(Update(), {.recursion_limit = 100'000,
                                               .executor = &executor_})
                            .status()),
            ErrorKind::kGraphRecursion);
}

TEST_F(CallbackTest, MayCompleteLaterOnTheExecutor) {
  AddEntry("a", [this](NodeContext&, Completion done) {
    executor_.PostAfter(absl::Seconds(5),
                        [this, done = std::move(done)]() mutable {
                          done(Update(notes_, "late"));
                        });
  });
  EXPECT_EQ(Run(), "late");
  EXPECT_EQ(Elapsed(), absl::Seconds(5));
}

TEST_F(CallbackTest, MayCompleteFromAnyThread) {
  for (const char* name : {"a", "b", "c"}) {
    AddEntry(name, [this](NodeContext& node, Completion done) {
      const std::string line(node.node());
      static std::mutex mutex;
      const std::lock_guard<std::mutex> lock(mutex);
      threads_.emplace_back([this, line, done = std::move(done)]() mutable {
        done(Update(notes_, line));
      });
    });
  }
  builder_.AddNode("z", NoteStep{notes_});
  builder_.AddJoin({"a", "b", "c"}, "z");
  const Graph graph = MustCompile(builder_);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(NotesOf(graph, notes_), "a b c z@2");
    InlineExecutor one_thread;
    EXPECT_EQ(NotesOf(graph, notes_, {.executor = &one_thread}), "a b c z@2");
    TbbExecutor workers(2);
    EXPECT_EQ(NotesOf(graph, notes_, {.executor = &workers}), "a b c z@2");
    threads_.clear();
  }
}

TEST_F(CallbackTest, ContextServesTheThreadThatCompletes) {
  AddEntry("a", [this](NodeContext& node, Completion done) {
    threads_.emplace_back([this, &node, done = std::move(done)]() mutable {
      node.Emit("from another thread");
      node.Heartbeat();
      EXPECT_FALSE(node.stop_token().stop_requested());
      done(Update(notes_, "done"));
    });
  });
  InlineExecutor one_thread;
  const Streamed run =
      StreamAll(MustCompile(builder_), Update(),
                {.modes = kCustom | kUpdates, .executor = &one_thread});
  EXPECT_THAT(run.events, ElementsAre(R"(custom "from another thread")",
                                      R"(updates {"a": {"notes": "done"}})"));
}

TEST_F(CallbackTest, CompletionThatIsDroppedFailsTheTask) {
  AddEntry("a", [](NodeContext&, Completion) {});
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kInternal,
                      {"'a'", "completion dropped"}));
}

TEST_F(CallbackTest, CompletionThatIsDroppedLaterFailsTheTask) {
  AddEntry("a", [this](NodeContext&, Completion done) {
    executor_.PostAfter(absl::Seconds(5),
                        [done = std::move(done)]() mutable {});
  });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kInternal,
                      {"'a'", "completion dropped"}));
  EXPECT_EQ(Elapsed(), absl::Seconds(5));
}

TEST_F(CallbackTest, SecondCallOfACompletionHasNoEffect) {
  AddEntry("a", [this](NodeContext&, Completion done) {
    done(Update(notes_, "first"));
    done(Update(notes_, "second"));
    done(absl::InternalError("third"));
  });
  EXPECT_EQ(Run(), "first");
}

TEST_F(CallbackTest, CompletionMayBeMoved) {
  AddEntry("a", [this](NodeContext&, Completion done) {
    Completion moved = std::move(done);
    Completion kept(nullptr);
    kept = std::move(moved);
    kept(Update(notes_, "once"));
  });
  EXPECT_EQ(Run(), "once");
}

TEST_F(CallbackTest, MayFail) {
  AddEntry("a", [](NodeContext&, Completion done) {
    done(absl::NotFoundError("no milk"));
  });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kNotFound,
                      {"'a'", "no milk"}));
}

TEST_F(CallbackTest, BodyThatThrowsFailsTheTask) {
  AddEntry("a", [](NodeContext&, Completion) {
    throw std::runtime_error("no milk");
  });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'a'", "no milk"}));
}

TEST_F(CallbackTest, BodyThatThrowsAfterCompletingFailsTheTask) {
  AddEntry("a", [this](NodeContext&, Completion done) {
    done(Update(notes_, "done"));
    throw std::runtime_error("no milk");
  });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'a'", "no milk"}));
}

TEST_F(CallbackTest, BodyThatThrowsIsWaitedForIfItGaveItsCompletionAway) {
  bool completed = false;
  AddEntry("a", [this, &completed](NodeContext&, Completion done) {
    executor_.PostAfter(absl::Seconds(5),
                        [&completed, done = std::move(done)]() mutable {
                          completed = true;
                          done(NodeResult());
                        });
    throw std::runtime_error("no milk");
  });
  EXPECT_THAT(Failure(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'a'", "no milk"}));
  EXPECT_TRUE(completed);
}

TEST_F(CallbackTest, IsRetried) {
  AddEntry("a",
           [this](NodeContext& node, Completion done) {
             const int attempt = node.attempt();
             executor_.PostAfter(
                 absl::Seconds(1),
                 [this, attempt, done = std::move(done)]() mutable {
                   if (attempt == 1) return done(absl::AbortedError("again"));
                   if (attempt == 2) return;  // Drops it.
                   done(Update(notes_, absl::StrCat("attempt ", attempt)));
                 });
           },
           {.retry = {RetryPolicy{
                .max_attempts = 3,
                .retry_on = [](const absl::Status&) { return true; }}}});
  EXPECT_EQ(Run(), "attempt 3");
}

// Graphs that wait, as nodes and called by nodes.

class GraphCallTest : public AsyncNodesTest {
 protected:
  // A graph that waits a second and adds one.
  static Graph Adding() {
    StateGraph inner;
    const auto count = inner.AddChannel("count", LastValue<int>());
    inner.AddNode("sleep", [](NodeContext& node) -> Task<absl::Status> {
      co_return co_await node.Sleep(absl::Seconds(1));
    });
    inner.AddNode("add", [count](NodeContext& node) {
      return Update(count, node.Get(count) + 1);
    });
    inner.AddEdge(kStart, "sleep");
    inner.AddEdge("sleep", "add");
    return MustCompile(inner, {.name = "adding"});
  }
  static Input Count(int number) {
    return Update().Set("count", Value(number));
  }
  static int CountOf(const Values& values) {
    const Value* count = values.Find("count");
    return count == nullptr ? -1 : *count->As<int>();
  }
  static Graph FailingGraph() {
    StateGraph inner;
    inner.AddNode("x", [](NodeContext& node) -> Task<absl::Status> {
      (void)co_await node.Sleep(absl::Seconds(1));
      co_return absl::NotFoundError("no milk");
    });
    inner.AddEdge(kStart, "x");
    return MustCompile(inner);
  }
};

TEST_F(GraphCallTest, CoroutineAwaitsAGraph) {
  AddEntry("a",
           [this, graph = Adding()](NodeContext& node) -> Task<NodeResult> {
             const absl::StatusOr<Values> first =
                 co_await node.Invoke(graph, Count(1));
             if (!first.ok()) co_return first.status();
             const absl::StatusOr<Values> second =
                 co_await node.Invoke(graph, Count(CountOf(*first)));
             if (!second.ok()) co_return second.status();
             co_return Update(notes_, absl::StrCat(CountOf(*second)));
           });
  EXPECT_EQ(Run(), "3");
  EXPECT_EQ(Elapsed(), absl::Seconds(2));
}

TEST_F(GraphCallTest, CoroutinesAwaitGraphsSideBySide) {
  for (const char* name : {"a", "b", "c"}) {
    AddEntry(name,
             [this, graph = Adding()](NodeContext& node) -> Task<NodeResult> {
               const absl::StatusOr<Values> values =
                   co_await node.Invoke(graph, Count(1));
               if (!values.ok()) co_return values.status();
               co_return NoteStep{notes_}(node);
             });
  }
  ForEachOrder(10, [&](SimExecutor& executor) {
    EXPECT_EQ(NotesOf(MustCompile(builder_), notes_, {.executor = &executor}),
              "a@1 b@1 c@1");
    EXPECT_EQ(executor.Now(), absl::UnixEpoch() + absl::Seconds(1));
  });
}

TEST_F(GraphCallTest, FunctionRunsAGraphToItsEnd) {
  AddEntry("a", [this, graph = Adding()](NodeContext& node) -> NodeResult {
    const absl::StatusOr<Values> values = node.Invoke(graph, Count(1));
    if (!values.ok()) return values.status();
    return Update(notes_, absl::StrCat(CountOf(*values)));
  });
  EXPECT_EQ(Run(), "2");
  EXPECT_EQ(Elapsed(), absl::Seconds(1));
}

TEST_F(GraphCallTest, FunctionsRunGraphsToTheirEndOnAnyExecutor) {
  StateGraph inner;
  inner.AddNode("x", [](NodeContext& node) -> Task<absl::Status> {
    co_return co_await node.Sleep(absl::Milliseconds(1));
  });
  inner.AddEdge(kStart, "x");
  const Graph graph = MustCompile(inner);
  for (int i = 0; i < 8; ++i) {
    AddEntry(absl::StrCat("n", i), [graph](NodeContext& node) {
      const absl::StatusOr<Values> values = node.Invoke(graph, Update());
      return values.status();
    });
  }
  const Graph outer = MustCompile(builder_);
  EXPECT_TRUE(outer.Invoke(Update()).ok()) << "on the caller and its workers";
  for (const int workers : {1, 2}) {
    TbbExecutor executor(workers);
    EXPECT_TRUE(outer.Invoke(Update(), {.executor = &executor}).ok());
  }
  InlineExecutor one_thread;
  EXPECT_TRUE(outer.Invoke(Update(), {.executor = &one_thread}).ok());
  ForEachOrder(10, [&](SimExecutor& executor) {
    EXPECT_TRUE(outer.Invoke(Update(), {.executor = &executor}).ok());
  });
}

TEST_F(GraphCallTest, FailureOfACalledGraphIsTheCallersToHandle) {
  AddEntry("a",
           [this, graph = FailingGraph()](NodeContext& node) -> Task<Update> {
             const absl::StatusOr<Values> values =
                 co_await node.Invoke(graph, Update());
             co_return Update(notes_, std::string(values.status().message()));
           });
  AddEntry("b", [this, graph = FailingGraph()](NodeContext& node) {
    const absl::StatusOr<Values> values = node.Invoke(graph, Update());
    return Update(notes_, std::string(values.status().message()));
  });
  EXPECT_EQ(Run(),
            "node 'x' failed in step 1: no milk "
            "node 'x' failed in step 1: no milk");
}

TEST_F(GraphCallTest, CalledGraphMayBeGivenACommandOrBadInput) {
  AddEntry("a", [this, graph = Adding()](NodeContext& node) {
    const absl::StatusOr<Values> none = node.Invoke(graph, Input::Continue());
    EXPECT_EQ(ErrorKindOf(none.status()), ErrorKind::kEmptyInput);
    const absl::StatusOr<Values> command = node.Invoke(
        graph, Input::Command({.update = Update().Set("count", Value(5))}));
    return Update(notes_, absl::StrCat(command.ok() ? CountOf(*command) : -1));
  });
  EXPECT_EQ(Run(), "6");
}

TEST_F(GraphCallTest, CommandForTheParentReachesAnAwaitingNode) {
  StateGraph inner;
  inner.AddNode("x", [](NodeContext& node) -> Task<Command> {
    (void)co_await node.Sleep(absl::Seconds(1));
    co_return Command{.update = Update().Set("notes", Value("up")),
                      .go_to = {"b"},
                      .graph = Command::Graph::kParent};
  });
  inner.AddEdge(kStart, "x");
  AddEntry(
      "a",
      [graph = MustCompile(inner)](NodeContext& node) -> Task<absl::Status> {
        const absl::StatusOr<Values> values =
            co_await node.Invoke(graph, Update());
        co_return values.status();
      });
  builder_.AddNode("b", NoteStep{notes_});
  EXPECT_EQ(Run(), "up b@2");
}

TEST_F(GraphCallTest, GraphsAsNodesWaitSideBySide) {
  for (const char* name : {"a", "b", "c"}) {
    StateGraph inner;
    inner.AddNode("x", [](NodeContext& node) -> Task<absl::Status> {
      co_return co_await node.Sleep(absl::Seconds(2));
    });
    inner.AddNode("y", [](NodeContext& node) -> Task<absl::Status> {
      co_return co_await node.Sleep(absl::Seconds(3));
    });
    inner.AddEdge(kStart, "x");
    inner.AddEdge("x", "y");
    builder_.AddNode(name, MustCompile(inner));
    builder_.AddEdge(kStart, name);
  }
  builder_.AddNode("z", NoteStep{notes_});
  builder_.AddJoin({"a", "b", "c"}, "z");
  ForEachOrder(10, [&](SimExecutor& executor) {
    EXPECT_EQ(NotesOf(MustCompile(builder_), notes_, {.executor = &executor}),
              "z@2");
    EXPECT_EQ(executor.Now(), absl::UnixEpoch() + absl::Seconds(5));
  });
}

TEST_F(GraphCallTest, GraphsMayBeManyDeep) {
  Graph graph = Adding();
  for (int depth = 0; depth < 20; ++depth) {
    StateGraph outer;
    outer.AddChannel("count", LastValue<int>());
    outer.AddNode("sub", graph);
    outer.AddEdge(kStart, "sub");
    graph = MustCompile(outer);
  }
  EXPECT_EQ(CountOf(MustInvoke(graph, Count(1), {.executor = &executor_})), 2);
  EXPECT_EQ(Elapsed(), absl::Seconds(1));
}

// Runs that can never end, which an executor in virtual time can tell. They are
// never freed.

#if defined(ABSL_HAVE_ADDRESS_SANITIZER)
using LeaksAllowed = __lsan::ScopedDisabler;
#else
struct LeaksAllowed {
  LeaksAllowed() {}
};
#endif

class StuckRunTest : public AsyncNodesTest {
 protected:
  StuckRunTest() {
    AddEntry("a", [this](NodeContext&, Completion done) {
      kept_ = std::make_unique<Completion>(std::move(done));
    });
  }
  std::unique_ptr<Completion> kept_;
};

TEST_F(StuckRunTest, InvokeSaysSo) {
  const LeaksAllowed leaks;
  EXPECT_THAT(Failure(), IsError(ErrorKind::kNone, absl::StatusCode::kInternal,
                                 {"'graph'", "never comes"}));
  kept_.reset();
}

TEST_F(StuckRunTest, CallOfAGraphSaysSo) {
  const LeaksAllowed leaks;
  StateGraph outer;
  outer.AddNode("call", [graph = MustCompile(builder_)](NodeContext& node) {
    const absl::StatusOr<Values> values = node.Invoke(graph, Update());
    return values.status();
  });
  outer.AddEdge(kStart, "call");
  EXPECT_THAT(
      MustCompile(outer).Invoke(Update(), {.executor = &executor_}).status(),
      IsError(ErrorKind::kNodeError, absl::StatusCode::kInternal,
              {"'call'", "never comes"}));
}

TEST_F(StuckRunTest, StreamEndsAndItsResultSaysSo) {
  const LeaksAllowed leaks;
  {
    RunStream stream =
        MustCompile(builder_).Stream(Update(), {.executor = &executor_});
    EXPECT_EQ(stream.Next(), nullptr);
    EXPECT_THAT(stream.Result().status(),
                IsError(ErrorKind::kNone, absl::StatusCode::kInternal,
                        {"'graph'", "never comes"}));
  }
  // The node is still there, and completes after all.
  (*kept_)(NodeResult());
  const absl::Notification never;
  executor_.RunUntil(never);
}

TEST_F(StuckRunTest, StreamGoesOnWhenTheNodeCompletesAfterAll) {
  RunStream stream =
      MustCompile(builder_).Stream(Update(), {.executor = &executor_});
  EXPECT_EQ(stream.Next(), nullptr);
  (*kept_)(Update(notes_, "after all"));
  EXPECT_THAT(ReadAll(stream).events,
              ElementsAre(R"(updates {"a": {"notes": "after all"}})"));
  EXPECT_TRUE(stream.Result().ok());
}

}  // namespace
}  // namespace weir
