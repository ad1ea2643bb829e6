#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"
#include "tests/support/served_graph.h"

#include "weir/channels/last_value.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"
#include "weir/runtime/thread_stream.h"

// The end of a Runtime, with runs and readers under way.
namespace weir {
namespace {

using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class ShutdownTest : public ServedGraphTest {
 protected:
  // Goes on with a thread of `store` in another Runtime.
  std::string NotesAfter(Checkpointer* store, const ThreadId& thread) {
    Open({.checkpointer = store});
    EXPECT_TRUE(runtime_->CreateThread({.id = thread, .graph = "work"}).ok());
    (void)Start(thread, Input::Continue());
    RunAll();
    gate_.Open();
    RunAll();
    const std::string notes = StoredNotesOn(thread);
    runtime_ = nullptr;
    return notes;
  }
};

TEST_F(ShutdownTest, RunsAreStoppedAndCanBeContinued) {
  MemoryCheckpointer store;
  Open({.checkpointer = &store});
  const ThreadId thread = runtime_->CreateThread();
  Lines told;
  const auto tell = [&told](const RunInfo& run, const RunOutcome& left) {
    EXPECT_EQ(run.status, RunStatus::kInterrupted);
    told.push_back(std::string(left.error.message()));
    EXPECT_EQ(CodeOf(left.error), "UNAVAILABLE");
  };
  StartOptions options{.modes = kCustom, .on_end = tell};
  RunStream running = Stream(thread, "wait", options);
  RunStream pending = Stream(thread, "emit", options);
  options.after = absl::Hours(1);
  RunStream later = Stream(thread, "emit", options);
  RunAll();
  runtime_ = nullptr;
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch());
  EXPECT_THAT(told, SizeIs(3));
  EXPECT_EQ(Read(running), "0 end UNAVAILABLE");
  EXPECT_EQ(Read(pending), "end UNAVAILABLE");
  EXPECT_EQ(Read(later), "end UNAVAILABLE");
  EXPECT_EQ(running.run_status(), RunStatus::kInterrupted);
  EXPECT_EQ(CodeOf(running.Result().status()), "UNAVAILABLE");
  EXPECT_EQ(NotesAfter(&store, thread), "a wait, b wait");
  EXPECT_EQ(tries_, 2);
}

TEST_F(ShutdownTest, DrainedRunsStopAtTheirNextBarrier) {
  MemoryCheckpointer store;
  Open({.checkpointer = &store, .on_shutdown = OnShutdown::kDrain});
  const ThreadId thread = runtime_->CreateThread();
  RunStream stream = Stream(thread, "wait");
  RunAll();
  executor_.PostAfter(absl::Seconds(5), [this] { gate_.Open(); });
  runtime_ = nullptr;
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch() + absl::Seconds(5));
  EXPECT_EQ(Read(stream), "0 end UNAVAILABLE");
  EXPECT_EQ(NotesAfter(&store, thread), "a wait, b wait");
  EXPECT_EQ(tries_, 1) << "what was finished does not run again";
}

TEST_F(ShutdownTest, RunThatHasNothingLeftToDoEndsWell) {
  Open({.on_shutdown = OnShutdown::kDrain});
  RunStream stream = Stream(runtime_->CreateThread(), "x",
                            {.modes = kUpdates, .recursion_limit = 4});
  while (!absl::StrContains(EventText(*stream.Next()), "\"c\"")) {
  }
  runtime_ = nullptr;
  EXPECT_EQ(Read(stream), "end");
  EXPECT_EQ(stream.run_status(), RunStatus::kSuccess);
}

TEST_F(ShutdownTest, EveryKindOfReaderIsTold) {
  InEachOrder(20, [this] {
    const ThreadId thread = runtime_->CreateThread();
    const RunInfo run = Start(thread, "wait", {.modes = kCustom});
    Lines told;
    const auto tell = [&told](const std::string& who) {
      return [&told, who](const absl::Status& status) {
        told.push_back(who + " " + CodeOf(status));
      };
    };
    RunStream listens = Join(run);
    listens.Listen([](const Event&) {}, tell("run"));
    absl::StatusOr<ThreadStream> all =
        runtime_->JoinThreadStream(thread, {.modes = kRunModes | kStateUpdate});
    ASSERT_TRUE(all.ok());
    all->Listen([](const ThreadEvent&) {}, tell("thread"));
    absl::StatusOr<ThreadStream> idle =
        runtime_->JoinThreadStream(runtime_->CreateThread());
    ASSERT_TRUE(idle.ok());
    idle->Listen([](const ThreadEvent&) {}, tell("idle thread"));
    runtime_->Join(thread, run.id, {}, [&](absl::StatusOr<RunOutcome> left) {
      tell("join")(left.ok() ? left->error : left.status());
    });
    std::optional<RunStream> read = Join(run);
    StateGraph builder;
    builder.AddNode("read", [&](NodeContext&) -> Task<NodeResult> {
      while (co_await read->NextAsync() != nullptr) {
      }
      tell("node")(read->status());
      co_return NodeResult();
    });
    builder.AddEdge(kStart, "read");
    ASSERT_TRUE(runtime_->Register("reader", MustCompile(builder)).ok());
    ASSERT_TRUE(
        runtime_->StartRun(runtime_->CreateThread(), "reader", Update()).ok());
    RunAll();
    runtime_ = nullptr;
    EXPECT_THAT(told,
                UnorderedElementsAre("run UNAVAILABLE", "thread UNAVAILABLE",
                                     "idle thread UNAVAILABLE",
                                     "join UNAVAILABLE", "node UNAVAILABLE"));
  });
}

TEST_F(ShutdownTest, NothingIsStartedAnyMore) {
  const ThreadId thread = runtime_->CreateThread();
  Runtime* const ending = runtime_.get();
  Lines codes;
  const auto note = [&codes](const absl::Status& status) {
    codes.push_back(CodeOf(status));
  };
  (void)Start(thread, "wait", {.on_end = [&](const auto&, const auto&) {
                note(ending->StartRun(thread, "work", Job("x")).status());
                note(ending->StartRun("", "work", Job("x")).status());
                note(ending->CreateThread({}).status());
                note(ending->CopyThread(thread).status());
                note(ending->UpdateState(thread, {}).status());
              }});
  RunAll();
  runtime_ = nullptr;
  EXPECT_EQ(codes, Lines(5, "UNAVAILABLE"));
}

// With workers.

// Runs that never end by themselves, readers on threads of their own, and a
// Runtime that ends at a random moment among all of that.
class BusyShutdownTest : public testing::TestWithParam<OnShutdown> {
 protected:
  static constexpr int kRuns = 4;

  BusyShutdownTest() {
    const auto count = builder_.AddChannel("count", LastValue<int>());
    builder_.AddNode("a", [count](NodeContext& node) -> Task<NodeResult> {
      for (int i = 0; i < 10; ++i) node.Emit(i);
      const absl::Status slept = co_await node.Sleep(absl::Microseconds(100));
      if (!slept.ok()) co_return slept;
      co_return Update(count, node.Get(count) + 1);
    });
    builder_.AddEdge(kStart, "a");
    builder_.AddConditionalEdges("a", [](NodeContext&) { return Route("a"); });
  }
  void BeginRuns() {
    ASSERT_TRUE(runtime_->Register("graph", MustCompile(builder_)).ok());
    for (int i = 0; i < kRuns; ++i) {
      const ThreadId thread = runtime_->CreateThread();
      for (const ThreadStreamModes modes :
           {kRunModes, kLifecycle | kStateUpdate}) {
        absl::StatusOr<ThreadStream> all =
            runtime_->JoinThreadStream(thread, {.modes = modes});
        ASSERT_TRUE(all.ok()) << all.status();
        threads_.push_back(*std::move(all));
      }
      // One that runs, and two that wait.
      for (int n = 0; n < 3; ++n) {
        absl::StatusOr<RunStream> stream =
            runtime_->Stream(thread, "graph", Update(),
                             {.modes = kCustom | kValues,
                              .recursion_limit = 1'000'000,
                              .resumable = i % 2 == 0});
        ASSERT_TRUE(stream.ok()) << stream.status();
        runs_.push_back(*std::move(stream));
      }
    }
  }

  StateGraph builder_;
  std::unique_ptr<Runtime> runtime_;
  std::vector<RunStream> runs_;
  std::vector<ThreadStream> threads_;
};

TEST_P(BusyShutdownTest, ReadersOnOtherThreadsEndWithUnavailable) {
  for (int round = 0; round < 10; ++round) {
    runtime_ =
        std::make_unique<Runtime>(RuntimeOptions{.on_shutdown = GetParam()});
    runs_.clear();
    threads_.clear();
    BeginRuns();
    // Until the first run of each thread has given so many events.
    absl::BlockingCounter begun(kRuns);
    std::vector<std::jthread> readers;
    for (size_t i = 0; i < runs_.size(); ++i) {
      readers.emplace_back([this, i, round, &begun] {
        int events = 0;
        while (runs_[i].Next() != nullptr) {
          if (++events == 1 + round * 7 && i % 3 == 0) begun.DecrementCount();
        }
        EXPECT_TRUE(runs_[i].ended());
        EXPECT_EQ(runs_[i].status().code(), absl::StatusCode::kUnavailable);
      });
    }
    for (ThreadStream& thread : threads_) {
      readers.emplace_back([&thread] {
        while (thread.Next() != nullptr) {
        }
        EXPECT_TRUE(thread.ended());
        EXPECT_EQ(thread.status().code(), absl::StatusCode::kUnavailable);
      });
    }
    begun.Wait();
    runtime_ = nullptr;
  }
}

TEST_P(BusyShutdownTest, ListenersEndBeforeTheRuntimeDoes) {
  for (int round = 0; round < 10; ++round) {
    runtime_ =
        std::make_unique<Runtime>(RuntimeOptions{.on_shutdown = GetParam()});
    runs_.clear();
    threads_.clear();
    BeginRuns();
    absl::BlockingCounter begun(kRuns);
    // Not atomic: the end of the Runtime comes after the calls.
    std::vector<int> events(runs_.size()), ends(runs_.size());
    std::vector<int> thread_ends(threads_.size());
    for (size_t i = 0; i < runs_.size(); ++i) {
      runs_[i].Listen(
          [i, round, &begun, &events](const Event&) {
            if (++events[i] == 1 + round * 7 && i % 3 == 0) {
              begun.DecrementCount();
            }
          },
          [i, &ends](const absl::Status&) { ++ends[i]; });
    }
    for (size_t i = 0; i < threads_.size(); ++i) {
      threads_[i].Listen(
          [](const ThreadEvent&) {},
          [i, &thread_ends](const absl::Status&) { ++thread_ends[i]; });
    }
    begun.Wait();
    runtime_ = nullptr;
    EXPECT_THAT(ends, testing::Each(1));
    EXPECT_THAT(thread_ends, testing::Each(1));
  }
}

TEST_P(BusyShutdownTest, ReadersMayLeaveWhileTheRuntimeEnds) {
  for (int round = 0; round < 10; ++round) {
    runtime_ =
        std::make_unique<Runtime>(RuntimeOptions{.on_shutdown = GetParam()});
    runs_.clear();
    threads_.clear();
    BeginRuns();
    std::vector<std::jthread> readers;
    for (RunStream& run : runs_) {
      readers.emplace_back([round, stream = std::move(run)]() mutable {
        for (int i = 0; i < round * 5; ++i) {
          if (stream.Next() == nullptr) return;
        }
        stream.Cancel();
      });
    }
    for (ThreadStream& thread : threads_) {
      readers.emplace_back([round, stream = std::move(thread)]() mutable {
        for (int i = 0; i < round * 5; ++i) {
          if (stream.Next() == nullptr) return;
        }
      });
    }
    runtime_ = nullptr;
  }
}

INSTANTIATE_TEST_SUITE_P(, BusyShutdownTest,
                         testing::Values(OnShutdown::kCancel,
                                         OnShutdown::kDrain),
                         [](const auto& of) {
                           return of.param == OnShutdown::kCancel ? "Cancel"
                                                                  : "Drain";
                         });

}  // namespace
}  // namespace weir
