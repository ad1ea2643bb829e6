// Of internal/timer_queue.h, and of internal/caller_executor.h, whose timers
// and arena no public header shows.

#include "weir/runtime/internal/timer_queue.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "weir/runtime/executor.h"
#include "weir/runtime/internal/caller_executor.h"

namespace weir::internal {
namespace {

using ::testing::ElementsAre;

// Takes all jobs out and runs them, and returns what they appended.
std::vector<int> Drain(TimerHeap& heap, std::vector<int>& order) {
  while (!heap.empty()) heap.TakeFirst()();
  return std::exchange(order, {});
}

TEST(TimerHeapTest, TakesTheEarliestFirst) {
  TimerHeap heap;
  std::vector<int> order;
  for (const int due : {5, 1, 4, 2, 3}) {
    heap.Add(due, 0, [&order, due] { order.push_back(due); });
  }
  EXPECT_EQ(heap.next_due(), 1);
  EXPECT_THAT(Drain(heap, order), ElementsAre(1, 2, 3, 4, 5));
}

TEST(TimerHeapTest, BreaksTiesByTheTieThenByTheOrderAdded) {
  TimerHeap heap;
  std::vector<int> order;
  heap.Add(1, 2, [&order] { order.push_back(3); });
  heap.Add(1, 1, [&order] { order.push_back(1); });
  heap.Add(1, 1, [&order] { order.push_back(2); });
  EXPECT_THAT(Drain(heap, order), ElementsAre(1, 2, 3));
}

TEST(TimerHeapTest, AnIdNamesNoLaterTimer) {
  TimerHeap heap;
  const TimerHeap::TimerId taken = heap.Add(1, 0, [] {});
  EXPECT_NE(heap.TakeFirst(), nullptr);
  const TimerHeap::TimerId cancelled = heap.Add(2, 0, [] {});
  EXPECT_NE(heap.Cancel(cancelled), nullptr);
  heap.Add(3, 0, [] {});
  EXPECT_EQ(heap.Cancel(taken), nullptr);
  EXPECT_EQ(heap.Cancel(cancelled), nullptr);
  EXPECT_EQ(heap.Cancel(0), nullptr);
  EXPECT_EQ(heap.size(), 1u);
}

TEST(TimerHeapTest, KeepsOrderWhateverIsCancelled) {
  std::mt19937 random(20240601);
  for (int round = 0; round < 50; ++round) {
    TimerHeap heap;
    std::map<std::pair<int64_t, int>, TimerHeap::TimerId> model;
    std::vector<std::pair<int64_t, int>> ran;
    int added = 0;
    for (int i = 0; i < 400; ++i) {
      const uint32_t choice = random() % 8;
      if (choice < 5 || model.empty()) {
        const auto due = static_cast<int64_t>(random() % 50);
        const std::pair<int64_t, int> key(due, added++);
        model[key] = heap.Add(due, 0, [&ran, key] { ran.push_back(key); });
      } else if (choice == 5) {
        heap.TakeFirst()();
        ASSERT_EQ(ran.back(), model.begin()->first);
        model.erase(model.begin());
      } else {
        const auto victim = std::next(
            model.begin(), static_cast<int64_t>(random() % model.size()));
        TimerHeap::Job job = heap.Cancel(victim->second);
        ASSERT_NE(job, nullptr);
        job();
        ASSERT_EQ(ran.back(), victim->first);
        ASSERT_EQ(heap.Cancel(victim->second), nullptr);
        model.erase(victim);
      }
      ASSERT_EQ(heap.size(), model.size());
    }
    ran.clear();
    while (!heap.empty()) heap.TakeFirst()();
    std::vector<std::pair<int64_t, int>> expected;
    expected.reserve(model.size());
    for (const auto& [key, id] : model) expected.push_back(key);
    ASSERT_EQ(ran, expected);
  }
}

TEST(DueAfterTest, WaitsForTheLastFractionOfTheDelay) {
  EXPECT_EQ(DueAfter(5, absl::Nanoseconds(1) / 4), 6);
  EXPECT_EQ(DueAfter(5, absl::Nanoseconds(7) + absl::Nanoseconds(1) / 4), 13);
}

TEST(DueAfterTest, StopsAtTheEndOfTime) {
  EXPECT_EQ(DueAfter(5, absl::Nanoseconds(7)), 12);
  EXPECT_EQ(DueAfter(5, absl::Seconds(-1)), 5);
  EXPECT_EQ(DueAfter(5, absl::InfiniteDuration()), kNever);
  EXPECT_EQ(DueAfter(5, -absl::InfiniteDuration()), 5);
  EXPECT_EQ(DueAfter(kNever - 1, absl::Nanoseconds(2)), kNever);
}

TEST(TimerQueueTest, HandsJobsOverInTheOrderOfTheirTimes) {
  std::vector<int> order;  // The timer thread's, until `done`.
  absl::Notification done;
  TimerQueue queue([](TimerQueue::Job job) { job(); });
  for (int i = 0; i < 10; ++i) {
    queue.Add(absl::Microseconds(200 * (i / 2)), [&order, &done, i] {
      order.push_back(i);
      if (i == 9) done.Notify();
    });
  }
  done.WaitForNotification();
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
}

TEST(TimerQueueTest, AnEarlierTimerWakesTheThread) {
  absl::Notification done;
  TimerQueue queue([](TimerQueue::Job job) { job(); });
  queue.Add(absl::Hours(1), [] { ADD_FAILURE(); });
  queue.Add(absl::Milliseconds(1), [&done] { done.Notify(); });
  done.WaitForNotification();
}

TEST(TimerQueueTest, HandOverMayAddAndCancel) {
  TimerQueue* self = nullptr;
  absl::Notification done;
  TimerQueue queue([](TimerQueue::Job job) { job(); });
  self = &queue;
  const TimerQueue::TimerId later =
      queue.Add(absl::Hours(1), [] { ADD_FAILURE(); });
  queue.Add(absl::ZeroDuration(), [self, later, &done] {
    EXPECT_TRUE(self->Cancel(later));
    self->Add(absl::ZeroDuration(), [&done] { done.Notify(); });
  });
  done.WaitForNotification();
}

TEST(TimerQueueTest, StopDropsJobsAndLaterOnes) {
  const auto token = std::make_shared<int>();
  TimerQueue queue([](TimerQueue::Job) { ADD_FAILURE(); });
  const TimerQueue::TimerId timer = queue.Add(absl::Hours(1), [token] {});
  EXPECT_EQ(token.use_count(), 2);
  queue.Stop();
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_FALSE(queue.Cancel(timer));
  EXPECT_EQ(queue.Add(absl::ZeroDuration(), [token] {}), 0u);
  EXPECT_EQ(token.use_count(), 1);
  queue.Stop();
}

TEST(CallerExecutorTest, RunsWhatItsOwnerPosts) {
  for (int jobs = 0; jobs < 50; ++jobs) {
    CallerExecutor executor;
    std::atomic<int> left = jobs + 1;
    absl::Notification done;
    for (int i = 0; i <= jobs; ++i) {
      executor.Post([&left, &done] {
        if (--left == 0) done.Notify();
      });
    }
    ASSERT_TRUE(executor.RunUntil(done));
    executor.RetireJobs();
  }
}

TEST(CallerExecutorTest, RetireJobsRunsWhatIsQueued) {
  CallerExecutor executor;
  executor.RetireJobs();
  std::atomic<int> runs = 0;
  for (int i = 0; i < 20; ++i) {
    executor.Post([&executor, &runs] {
      executor.Post([&runs] { ++runs; });
      ++runs;
    });
  }
  executor.RetireJobs();
  EXPECT_EQ(runs, 40);
}

TEST(CallerExecutorTest, DestructionDropsWhatIsQueued) {
  const auto token = std::make_shared<int>();
  std::atomic<int> runs = 0;
  for (int round = 0; round < 100; ++round) {
    CallerExecutor executor;
    executor.PostAfter(absl::Hours(1), [token] { ADD_FAILURE(); });
    for (int i = 0; i < 10; ++i) {
      executor.Post([token, &executor, &runs] {
        executor.Post([token] {});
        ++runs;
      });
    }
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(CallerExecutorTest, RunsAtMostItsWorkersJobsAtOnce) {
  CallerExecutor executor;
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  for (int i = 0; i < 1000; ++i) {
    executor.Post([&running, &most] {
      const int now = ++running;
      int seen = most;
      while (seen < now && !most.compare_exchange_weak(seen, now)) {
      }
      std::this_thread::yield();
      --running;
    });
  }
  executor.RetireJobs();
  EXPECT_GE(most, 1);
  EXPECT_LE(most, executor.workers());
}

TEST(CallerExecutorTest, TimersRunWhileItsOwnerWaits) {
  CallerExecutor executor;
  absl::Notification done;
  EXPECT_FALSE(executor.Cancel(1));
  const Executor::TimerId later =
      executor.PostAfter(absl::Hours(1), [] { ADD_FAILURE(); });
  executor.PostAfter(absl::Milliseconds(2), [&executor, &done] {
    executor.PostAfter(absl::Milliseconds(2), [&done] { done.Notify(); });
  });
  EXPECT_TRUE(executor.RunUntil(done));
  EXPECT_TRUE(executor.Cancel(later));
}

// The first use is the other thread's, or the owner's.
TEST(CallerExecutorTest, RunsWhatAnotherThreadPosts) {
  for (int round = 0; round < 200; ++round) {
    CallerExecutor executor;
    absl::Notification done;
    std::jthread other([&executor, &done] {
      executor.Post(
          [&executor, &done] { executor.Post([&done] { done.Notify(); }); });
    });
    ASSERT_TRUE(executor.RunUntil(done));
    executor.RetireJobs();
  }
}

// A job that is finished elsewhere: its thread posts when the owner sleeps.
TEST(CallerExecutorTest, WakesForPostsLongAfterItsOwnJobs) {
  CallerExecutor executor;
  absl::Notification asked;
  absl::Notification done;
  std::jthread other([&executor, &asked, &done] {
    asked.WaitForNotification();
    for (int i = 0; i < 10; ++i) {
      absl::Notification ran;
      executor.PostAfter(absl::Milliseconds(1), [&ran] { ran.Notify(); });
      ran.WaitForNotification();
    }
    executor.Post([&done] { done.Notify(); });
  });
  executor.Post([&asked] { asked.Notify(); });
  EXPECT_TRUE(executor.RunUntil(done));
}

TEST(CallerExecutorTest, ReturnsWhenAnotherThreadNotifies) {
  CallerExecutor executor;
  absl::Notification done;
  std::jthread other([&done] { done.Notify(); });
  EXPECT_TRUE(executor.RunUntil(done));
}

TEST(CallerExecutorTest, RunUntilNestsInMoreJobsThanThereAreWorkers) {
  constexpr int kJobs = 20;
  CallerExecutor executor;
  std::atomic<int> left = kJobs;
  absl::Notification all_in;
  std::atomic<int> unfinished = kJobs;
  absl::Notification done;
  for (int i = 0; i < kJobs; ++i) {
    executor.Post([&executor, &left, &all_in, &unfinished, &done] {
      if (--left == 0) all_in.Notify();
      EXPECT_TRUE(executor.RunUntil(all_in));
      if (--unfinished == 0) done.Notify();
    });
  }
  EXPECT_TRUE(executor.RunUntil(done));
}

TEST(CallerExecutorTest, NestsInTheJobsOfAnother) {
  std::atomic<int> runs = 0;
  std::function<void(int)> invoke = [&runs, &invoke](int depth) {
    CallerExecutor executor;
    std::atomic<int> left = 3;
    absl::Notification done;
    for (int i = 0; i < 3; ++i) {
      executor.Post([&runs, &invoke, &left, &done, depth] {
        if (depth > 0) invoke(depth - 1);
        ++runs;
        if (--left == 0) done.Notify();
      });
    }
    EXPECT_TRUE(executor.RunUntil(done));
    executor.RetireJobs();
  };
  invoke(4);
  EXPECT_EQ(runs, 3 + 9 + 27 + 81 + 243);
}

TEST(CallerExecutorTest, AnInnerJobMayPostToTheOuterExecutor) {
  CallerExecutor outer;
  absl::Notification done;
  outer.Post([&outer, &done] {
    CallerExecutor inner;
    inner.Post([&outer, &done] { outer.Post([&done] { done.Notify(); }); });
    inner.RetireJobs();
    EXPECT_TRUE(outer.RunUntil(done));
  });
  EXPECT_TRUE(outer.RunUntil(done));
  outer.RetireJobs();
}

TEST(CallerExecutorTest, RunsOnTheWorkersOfATbbExecutor) {
  TbbExecutor host(2);
  std::atomic<int> left = 50;
  absl::Notification done;
  for (int i = 0; i < 50; ++i) {
    host.Post([&left, &done] {
      CallerExecutor executor;
      std::atomic<int> inner_left = 4;
      absl::Notification inner;
      for (int job = 0; job < 4; ++job) {
        executor.Post([&inner_left, &inner] {
          if (--inner_left == 0) inner.Notify();
        });
      }
      EXPECT_TRUE(executor.RunUntil(inner));
      executor.RetireJobs();
      if (--left == 0) done.Notify();
    });
  }
  EXPECT_TRUE(host.RunUntil(done));
}

// Owners may be all the workers that oneTBB has.
TEST(CallerExecutorTest, WaitsForTimersOnAllWorkersOfATbbExecutor) {
  TbbExecutor host(3);
  std::atomic<int> left = 12;
  absl::Notification done;
  for (int i = 0; i < 12; ++i) {
    host.Post([&left, &done] {
      CallerExecutor executor;
      absl::Notification inner;
      executor.PostAfter(absl::Milliseconds(1), [&executor, &inner] {
        executor.Post([&inner] { inner.Notify(); });
      });
      EXPECT_TRUE(executor.RunUntil(inner));
      executor.RetireJobs();
      if (--left == 0) done.Notify();
    });
  }
  EXPECT_TRUE(host.RunUntil(done));
}

TEST(CallerExecutorTest, MayGoWhileThePostThatItWaitedForReturns) {
  for (int round = 0; round < 500; ++round) {
    std::jthread other;  // Joined when the executor has gone.
    absl::Notification done;
    CallerExecutor executor;
    CallerExecutor* const raw = &executor;
    other =
        std::jthread([raw, &done] { raw->Post([&done] { done.Notify(); }); });
    ASSERT_TRUE(executor.RunUntil(done));
    executor.RetireJobs();
  }
}

// One round: jobs that post jobs, threads that post, a timer, all at once.
TEST(CallerExecutorTest, MixesPostsOfJobsOtherThreadsAndTimers) {
  for (int round = 0; round < 300; ++round) {
    CallerExecutor executor;
    std::atomic<int> left = 4 * 2 + 2 * 10 + 1;
    absl::Notification done;
    const auto count = [&left, &done] {
      if (--left == 0) done.Notify();
    };
    executor.PostAfter(absl::Microseconds(round), count);
    std::vector<std::jthread> threads;
    threads.reserve(2);
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&executor, count] {
        for (int job = 0; job < 10; ++job) executor.Post(count);
      });
    }
    for (int i = 0; i < 4; ++i) {
      executor.Post([&executor, count] {
        executor.Post(count);
        count();
      });
    }
    ASSERT_TRUE(executor.RunUntil(done));
    executor.RetireJobs();
  }
}

}  // namespace
}  // namespace weir::internal
