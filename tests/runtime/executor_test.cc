#include "weir/runtime/executor.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <latch>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// Notifies when it is destroyed.
class Token {
 public:
  explicit Token(absl::Notification* destroyed) : destroyed_(destroyed) {}
  Token(Token&& other) noexcept
      : destroyed_(std::exchange(other.destroyed_, nullptr)) {}
  ~Token() {
    if (destroyed_ != nullptr) destroyed_->Notify();
  }

 private:
  absl::Notification* destroyed_;
};

// Calls a function when it is destroyed.
class AtEnd {
 public:
  explicit AtEnd(std::function<void()> call) : call_(std::move(call)) {}
  AtEnd(AtEnd&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  ~AtEnd() {
    if (call_ != nullptr) call_();
  }

 private:
  std::function<void()> call_;
};

struct Kind {
  std::string name;
  std::function<std::unique_ptr<Executor>()> make;
  int workers;
  bool takes_foreign_posts = true;
};

// gtest prints the parameters of its tests.
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

// What every executor does.
class ExecutorTest : public ::testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<Executor> executor_ = GetParam().make();
};

INSTANTIATE_TEST_SUITE_P(
    , ExecutorTest,
    ::testing::Values(
        Kind{"Tbb1", [] { return std::make_unique<TbbExecutor>(1); }, 1},
        Kind{"Tbb2", [] { return std::make_unique<TbbExecutor>(2); }, 2},
        Kind{"Tbb5", [] { return std::make_unique<TbbExecutor>(5); }, 5},
        Kind{"Inline", [] { return std::make_unique<InlineExecutor>(); }, 1},
        Kind{"Sim", [] { return std::make_unique<SimExecutor>(7); }, 1, false}),
    [](const auto& test) { return test.param.name; });

TEST_P(ExecutorTest, RunsAPostedJob) {
  absl::Notification done;
  executor_->Post([&done] { done.Notify(); });
  EXPECT_TRUE(executor_->RunUntil(done));
}

TEST_P(ExecutorTest, HasTheWorkersItWasMadeWith) {
  EXPECT_EQ(executor_->workers(), GetParam().workers);
}

TEST_P(ExecutorTest, NeverRunsAJobInsidePost) {
  static thread_local bool posting = false;
  std::atomic<int> left = 1000;
  std::atomic<int> inside = 0;
  absl::Notification done;
  for (int i = 0; i < 1000; ++i) {
    posting = true;
    executor_->Post([&left, &inside, &done] {
      if (posting) ++inside;
      if (--left == 0) done.Notify();
    });
    posting = false;
  }
  EXPECT_TRUE(executor_->RunUntil(done));
  EXPECT_EQ(inside, 0);
}

TEST_P(ExecutorTest, RunsEachJobOnceAlsoThoseThatJobsPost) {
  constexpr int kDepth = 10;
  std::atomic<int> runs = 0;
  absl::Notification done;
  std::function<void(int)> grow = [this, &runs, &done, &grow](int depth) {
    if (depth < kDepth) {
      executor_->Post([&grow, depth] { grow(depth + 1); });
      executor_->Post([&grow, depth] { grow(depth + 1); });
    }
    if (++runs == (2 << kDepth) - 1) done.Notify();
  };
  executor_->Post([&grow] { grow(0); });
  EXPECT_TRUE(executor_->RunUntil(done));
  EXPECT_EQ(runs, (2 << kDepth) - 1);
}

TEST_P(ExecutorTest, DestroysAJobOnceItHasRun) {
  absl::Notification destroyed;
  executor_->Post([token = Token(&destroyed)] {});
  EXPECT_TRUE(executor_->RunUntil(destroyed));
}

TEST_P(ExecutorTest, RunUntilReturnsAtOnceIfAlreadyNotified) {
  absl::Notification done;
  done.Notify();
  EXPECT_TRUE(executor_->RunUntil(done));
}

TEST_P(ExecutorTest, RunUntilFollowsManyJobsOneAfterTheOther) {
  for (int i = 0; i < 2000; ++i) {
    absl::Notification done;
    executor_->Post([&done] { done.Notify(); });
    ASSERT_TRUE(executor_->RunUntil(done));
  }
}

TEST_P(ExecutorTest, RunsATimerOnceItsDelayHasPassed) {
  const absl::Duration delay = absl::Milliseconds(20);
  absl::Time ran;
  absl::Notification done;
  const absl::Time start = executor_->Now();
  executor_->PostAfter(delay, [this, &ran, &done] {
    ran = executor_->Now();
    done.Notify();
  });
  EXPECT_TRUE(executor_->RunUntil(done));
  // Now() may be of another clock than timers.
  EXPECT_GE(ran - start, delay - absl::Milliseconds(1));
}

TEST_P(ExecutorTest, RunsTimersWithoutDelay) {
  std::atomic<int> left = 3;
  absl::Notification done;
  for (const absl::Duration delay :
       {absl::ZeroDuration(), absl::Seconds(-1), -absl::InfiniteDuration()}) {
    executor_->PostAfter(delay, [&left, &done] {
      if (--left == 0) done.Notify();
    });
  }
  EXPECT_TRUE(executor_->RunUntil(done));
}

TEST_P(ExecutorTest, ATimerAddedLaterCanBeDueFirst) {
  executor_->PostAfter(absl::Hours(1), [] { ADD_FAILURE(); });
  absl::Notification done;
  executor_->PostAfter(absl::Milliseconds(1), [&done] { done.Notify(); });
  EXPECT_TRUE(executor_->RunUntil(done));
}

TEST_P(ExecutorTest, ATimerCanBeSetByATimer) {
  absl::Notification done;
  executor_->PostAfter(absl::Milliseconds(1), [this, &done] {
    executor_->PostAfter(absl::Milliseconds(1), [&done] { done.Notify(); });
  });
  EXPECT_TRUE(executor_->RunUntil(done));
}

TEST_P(ExecutorTest, CancelDropsATimer) {
  absl::Notification destroyed;
  const Executor::TimerId timer = executor_->PostAfter(
      absl::Hours(1), [token = Token(&destroyed)] { ADD_FAILURE(); });
  EXPECT_NE(timer, Executor::TimerId{0});
  EXPECT_TRUE(executor_->Cancel(timer));
  EXPECT_TRUE(destroyed.HasBeenNotified());
  EXPECT_FALSE(executor_->Cancel(timer));
}

TEST_P(ExecutorTest, CancelIsTooLateOnceATimerHasRun) {
  absl::Notification done;
  const Executor::TimerId timer =
      executor_->PostAfter(absl::Milliseconds(1), [&done] { done.Notify(); });
  EXPECT_TRUE(executor_->RunUntil(done));
  EXPECT_FALSE(executor_->Cancel(timer));
  // Nor does the old id stand for a new timer.
  const Executor::TimerId next = executor_->PostAfter(absl::Hours(1), [] {});
  EXPECT_FALSE(executor_->Cancel(timer));
  EXPECT_TRUE(executor_->Cancel(next));
}

TEST_P(ExecutorTest, CancelKnowsNoOtherTimers) {
  EXPECT_FALSE(executor_->Cancel(0));
  EXPECT_FALSE(executor_->Cancel(12345));
}

TEST_P(ExecutorTest, AJobCanCancelATimer) {
  const Executor::TimerId timer =
      executor_->PostAfter(absl::Hours(1), [] { ADD_FAILURE(); });
  absl::Notification done;
  executor_->Post([this, &done, timer] {
    EXPECT_TRUE(executor_->Cancel(timer));
    done.Notify();
  });
  EXPECT_TRUE(executor_->RunUntil(done));
}

TEST_P(ExecutorTest, ATimerWithoutEndCanBeCancelled) {
  const Executor::TimerId timer =
      executor_->PostAfter(absl::InfiniteDuration(), [] { ADD_FAILURE(); });
  absl::Notification done;
  executor_->PostAfter(absl::Milliseconds(1), [&done] { done.Notify(); });
  EXPECT_TRUE(executor_->RunUntil(done));
  EXPECT_TRUE(executor_->Cancel(timer));
}

TEST_P(ExecutorTest, RunUntilRunsJobsFromInsideAJob) {
  absl::Notification done;
  executor_->Post([this, &done] {
    absl::Notification inner;
    executor_->Post([&inner] { inner.Notify(); });
    EXPECT_TRUE(executor_->RunUntil(inner));
    done.Notify();
  });
  EXPECT_TRUE(executor_->RunUntil(done));
}

TEST_P(ExecutorTest, RunUntilWaitsForATimerFromInsideAJob) {
  absl::Notification done;
  executor_->Post([this, &done] {
    absl::Notification inner;
    executor_->PostAfter(absl::Milliseconds(5), [&inner] { inner.Notify(); });
    EXPECT_TRUE(executor_->RunUntil(inner));
    done.Notify();
  });
  EXPECT_TRUE(executor_->RunUntil(done));
}

TEST_P(ExecutorTest, RunUntilNestsInMoreJobsThanThereAreWorkers) {
  constexpr int kJobs = 30;
  std::atomic<int> left = kJobs;
  absl::Notification all_in;
  std::atomic<int> unfinished = kJobs;
  absl::Notification done;
  for (int i = 0; i < kJobs; ++i) {
    executor_->Post([this, &left, &all_in, &unfinished, &done] {
      if (--left == 0) all_in.Notify();
      EXPECT_TRUE(executor_->RunUntil(all_in));
      if (--unfinished == 0) done.Notify();
    });
  }
  EXPECT_TRUE(executor_->RunUntil(done));
}

TEST_P(ExecutorTest, DestructionDropsQueuedTimers) {
  absl::Notification destroyed;
  executor_->PostAfter(absl::Hours(1),
                       [token = Token(&destroyed)] { ADD_FAILURE(); });
  executor_.reset();
  EXPECT_TRUE(destroyed.HasBeenNotified());
}

TEST_P(ExecutorTest, WhatADroppedJobPostsIsDroppedToo) {
  Executor* const executor = executor_.get();
  absl::Notification destroyed;
  executor->PostAfter(absl::Hours(1),
                      [end = AtEnd([executor, &destroyed] {
                         executor->Post([token = Token(&destroyed)] {});
                         executor->PostAfter(absl::Hours(1), [] {});
                       })] {});
  executor_.reset();
  EXPECT_TRUE(destroyed.HasBeenNotified());
}

TEST_P(ExecutorTest, OnlyTheSimulatedOnePicksOrder) {
  EXPECT_EQ(executor_->picks_order(), GetParam().name == "Sim");
}

TEST_P(ExecutorTest, RunsJobsThatOtherThreadsPost) {
  if (!GetParam().takes_foreign_posts) return;
  absl::Notification done;
  std::atomic<int> left = 300;
  std::vector<std::jthread> posters;
  posters.reserve(3);
  for (int i = 0; i < 3; ++i) {
    posters.emplace_back([this, &left, &done] {
      for (int job = 0; job < 100; ++job) {
        executor_->Post([&left, &done] {
          if (--left == 0) done.Notify();
        });
      }
    });
  }
  EXPECT_TRUE(executor_->RunUntil(done));
}

TEST_P(ExecutorTest, RunUntilWakesForAJobThatAnotherThreadPosts) {
  if (!GetParam().takes_foreign_posts) return;
  for (int i = 0; i < 50; ++i) {
    absl::Notification done;
    std::jthread poster(
        [this, &done] { executor_->Post([&done] { done.Notify(); }); });
    ASSERT_TRUE(executor_->RunUntil(done));
  }
}

TEST_P(ExecutorTest, RunUntilReturnsWhenAnotherThreadNotifies) {
  if (!GetParam().takes_foreign_posts) return;
  for (int i = 0; i < 20; ++i) {
    absl::Notification done;
    std::jthread other([&done] { done.Notify(); });
    ASSERT_TRUE(executor_->RunUntil(done));
  }
}

TEST_P(ExecutorTest, RunUntilInAJobReturnsWhenAnotherThreadNotifies) {
  if (!GetParam().takes_foreign_posts) return;
  absl::Notification in_job;
  absl::Notification inner;
  absl::Notification done;
  std::jthread other([&in_job, &inner] {
    in_job.WaitForNotification();
    inner.Notify();
  });
  executor_->Post([this, &in_job, &inner, &done] {
    in_job.Notify();
    EXPECT_TRUE(executor_->RunUntil(inner));
    done.Notify();
  });
  EXPECT_TRUE(executor_->RunUntil(done));
}

TEST_P(ExecutorTest, SeveralThreadsMayBeInRunUntil) {
  if (!GetParam().takes_foreign_posts) return;
  constexpr int kThreads = 4;
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this] {
      for (int job = 0; job < 100; ++job) {
        absl::Notification done;
        executor_->Post([&done] { done.Notify(); });
        ASSERT_TRUE(executor_->RunUntil(done));
      }
    });
  }
}

TEST_P(ExecutorTest, RunsAtMostItsWorkersJobsAtOnce) {
  if (!GetParam().takes_foreign_posts) return;
  constexpr int kThreads = 3;
  constexpr int kJobs = 500;
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this, &running, &most] {
      std::atomic<int> left = kJobs;
      absl::Notification done;
      for (int job = 0; job < kJobs; ++job) {
        executor_->Post([&running, &most, &left, &done] {
          const int now = ++running;
          int seen = most;
          while (seen < now && !most.compare_exchange_weak(seen, now)) {
          }
          std::this_thread::yield();
          --running;
          if (--left == 0) done.Notify();
        });
      }
      ASSERT_TRUE(executor_->RunUntil(done));
    });
  }
  threads.clear();
  EXPECT_LE(most, executor_->workers());
}

TEST(TbbExecutorTest, HasAWorkerForEachCoreByDefault) {
  EXPECT_GE(TbbExecutor().workers(), 1);
}

TEST(TbbExecutorTest, RunsJobsWhileNobodyIsInRunUntil) {
  for (const int workers : {1, 2, 0}) {
    TbbExecutor executor(workers);
    absl::Notification done;
    executor.Post([&done] { done.Notify(); });
    done.WaitForNotification();
  }
}

// A job may go on for long after what it told.
TEST(TbbExecutorTest, ARunningJobHoldsUpNobodyOutside) {
  TbbExecutor executor(1);
  for (int round = 0; round < 100; ++round) {
    absl::Notification done;
    absl::Notification may_end;
    absl::Notification ended;
    executor.Post([&] {
      done.Notify();
      may_end.WaitForNotification();
      ended.Notify();
    });
    EXPECT_TRUE(executor.RunUntil(done));
    EXPECT_FALSE(ended.HasBeenNotified());
    may_end.Notify();
    ended.WaitForNotification();
  }
}

TEST(TbbExecutorTest, RunsTimersWhileNobodyIsInRunUntil) {
  TbbExecutor executor(1);
  absl::Notification done;
  executor.PostAfter(absl::Milliseconds(1), [&done] { done.Notify(); });
  done.WaitForNotification();
}

// Also where there are fewer cores than workers.
TEST(TbbExecutorTest, RunsAsManyJobsAtOnceAsItHasWorkers) {
  constexpr int kWorkers = 5;
  for (const bool take_part : {false, true}) {
    TbbExecutor executor(kWorkers);
    std::latch all_in(kWorkers);
    std::latch all_out(kWorkers);
    absl::Notification done;
    for (int i = 0; i < kWorkers; ++i) {
      executor.Post([&all_in, &all_out, &done, i] {
        all_in.arrive_and_wait();
        all_out.count_down();
        if (i == 0) {
          all_out.wait();
          done.Notify();
        }
      });
    }
    if (take_part) {
      EXPECT_TRUE(executor.RunUntil(done));
    } else {
      done.WaitForNotification();
    }
  }
}

TEST(TbbExecutorTest, ABlockedJobLeavesTheOtherWorkersBusy) {
  TbbExecutor executor(2);
  absl::Notification go;
  absl::Notification released;
  executor.Post([&go, &released] {
    go.WaitForNotification();
    released.Notify();
  });
  std::atomic<int> left = 500;
  for (int i = 0; i < 500; ++i) {
    executor.Post([&left, &go] {
      if (--left == 0) go.Notify();
    });
  }
  EXPECT_TRUE(executor.RunUntil(released));
}

TEST(TbbExecutorTest, JobsMayWaitForThoseOfAnother) {
  TbbExecutor outer(3);
  TbbExecutor inner(1);
  std::atomic<int> left = 10;
  absl::Notification done;
  for (int i = 0; i < 10; ++i) {
    outer.Post([&inner, &left, &done] {
      absl::Notification ran;
      inner.PostAfter(absl::Microseconds(100),
                      [&inner, &ran] { inner.Post([&ran] { ran.Notify(); }); });
      EXPECT_TRUE(inner.RunUntil(ran));
      if (--left == 0) done.Notify();
    });
  }
  EXPECT_TRUE(outer.RunUntil(done));
}

TEST(TbbExecutorTest, DestructionWaitsForRunningJobsAndDropsQueuedOnes) {
  auto executor = std::make_unique<TbbExecutor>(1);
  absl::Notification started;
  absl::Notification dropped;
  bool finished = false;
  executor->Post([&started, &dropped, &finished] {
    started.Notify();
    dropped.WaitForNotification();
    finished = true;
  });
  started.WaitForNotification();
  executor->Post([token = Token(&dropped)] { ADD_FAILURE(); });
  executor.reset();
  EXPECT_TRUE(finished);
}

TEST(TbbExecutorTest, DropsWhatARunningJobPostsDuringDestruction) {
  auto executor = std::make_unique<TbbExecutor>(1);
  TbbExecutor* const raw = executor.get();
  absl::Notification started;
  absl::Notification closing;
  absl::Notification destroyed;
  raw->Post([raw, &started, &closing, &destroyed] {
    started.Notify();
    closing.WaitForNotification();
    raw->Post([token = Token(&destroyed)] { ADD_FAILURE(); });
    raw->PostAfter(absl::ZeroDuration(), [] { ADD_FAILURE(); });
  });
  started.WaitForNotification();
  raw->Post([token = Token(&closing)] {});
  executor.reset();
  EXPECT_TRUE(destroyed.HasBeenNotified());
}

TEST(InlineExecutorTest, RunsJobsInTheOrderPosted) {
  InlineExecutor executor;
  std::vector<int> order;
  absl::Notification done;
  executor.Post([&executor, &order, &done] {
    order.push_back(0);
    executor.Post([&order, &done] {
      order.push_back(3);
      done.Notify();
    });
  });
  executor.Post([&order] { order.push_back(1); });
  executor.Post([&order] { order.push_back(2); });
  EXPECT_TRUE(executor.RunUntil(done));
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3));
}

TEST(InlineExecutorTest, StopsAsSoonAsItIsNotified) {
  InlineExecutor executor;
  std::vector<int> order;
  absl::Notification first;
  absl::Notification second;
  executor.Post([&order, &first] {
    order.push_back(0);
    first.Notify();
  });
  executor.Post([&order, &second] {
    order.push_back(1);
    second.Notify();
  });
  EXPECT_TRUE(executor.RunUntil(first));
  EXPECT_THAT(order, ElementsAre(0));
  EXPECT_TRUE(executor.RunUntil(second));
  EXPECT_THAT(order, ElementsAre(0, 1));
}

TEST(InlineExecutorTest, ANestedRunUntilGoesOnInTheSameOrder) {
  InlineExecutor executor;
  std::vector<int> order;
  absl::Notification inner;
  absl::Notification done;
  executor.Post([&executor, &order, &inner] {
    order.push_back(0);
    EXPECT_TRUE(executor.RunUntil(inner));
    order.push_back(3);
  });
  executor.Post([&order] { order.push_back(1); });
  executor.Post([&order, &inner] {
    order.push_back(2);
    inner.Notify();
  });
  executor.Post([&order, &done] {
    order.push_back(4);
    done.Notify();
  });
  EXPECT_TRUE(executor.RunUntil(done));
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
}

TEST(InlineExecutorTest, RunsTimersInTheOrderOfTheirTimes) {
  InlineExecutor executor;
  std::vector<int> order;
  absl::Notification done;
  for (int i = 1; i <= 3; ++i) {
    executor.PostAfter(absl::Milliseconds(i), [&order, &done, i] {
      order.push_back(i);
      if (i == 3) done.Notify();
    });
  }
  executor.Post([&order] { order.push_back(0); });
  EXPECT_TRUE(executor.RunUntil(done));
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3));
}

TEST(InlineExecutorTest, RunsEveryJobOnTheThreadThatIsInRunUntil) {
  InlineExecutor executor;
  absl::Notification done;
  std::thread::id ran_on;
  std::jthread poster([&executor, &ran_on, &done] {
    executor.Post([&ran_on, &done] {
      ran_on = std::this_thread::get_id();
      done.Notify();
    });
  });
  EXPECT_TRUE(executor.RunUntil(done));
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

template <typename E>
void ExpectDropsQueuedJobs(std::unique_ptr<E> executor) {
  absl::Notification first;
  absl::Notification second;
  E* const raw = executor.get();
  raw->Post([token = Token(&first)] { ADD_FAILURE(); });
  raw->Post([end = AtEnd([raw, &second] {
               raw->Post([token = Token(&second)] { ADD_FAILURE(); });
             })] { ADD_FAILURE(); });
  executor.reset();
  EXPECT_TRUE(first.HasBeenNotified());
  EXPECT_TRUE(second.HasBeenNotified());
}

TEST(InlineExecutorTest, DestructionDropsQueuedJobs) {
  ExpectDropsQueuedJobs(std::make_unique<InlineExecutor>());
}

TEST(SimExecutorTest, DestructionDropsQueuedJobs) {
  ExpectDropsQueuedJobs(std::make_unique<SimExecutor>(1));
}

// The order in which `jobs` jobs run that were posted one after the other.
std::vector<int> SimOrder(uint64_t seed, int jobs) {
  SimExecutor executor(seed);
  std::vector<int> order;
  for (int i = 0; i < jobs; ++i) {
    executor.Post([&order, i] { order.push_back(i); });
  }
  const absl::Notification never;
  EXPECT_FALSE(executor.RunUntil(never));
  return order;
}

TEST(SimExecutorTest, OneSeedGivesOneOrder) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(SimOrder(seed, 10), SimOrder(seed, 10)) << seed;
  }
}

// On every platform, so that a seed from a report can be run again anywhere.
TEST(SimExecutorTest, TheOrderOfASeedIsFixed) {
  EXPECT_THAT(SimOrder(42, 8), ElementsAre(5, 1, 6, 7, 0, 2, 3, 4));
}

TEST(SimExecutorTest, SeedsReachEveryOrder) {
  std::set<std::vector<int>> orders;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    orders.insert(SimOrder(seed, 4));
  }
  EXPECT_THAT(orders, SizeIs(24));
}

TEST(SimExecutorTest, PostedJobsMixWithThoseThatWait) {
  std::set<std::vector<int>> orders;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SimExecutor executor(seed);
    std::vector<int> order;
    executor.Post([&executor, &order] {
      order.push_back(0);
      executor.Post([&order] { order.push_back(1); });
    });
    executor.Post([&order] { order.push_back(2); });
    const absl::Notification never;
    EXPECT_FALSE(executor.RunUntil(never));
    orders.insert(order);
  }
  EXPECT_THAT(orders, ElementsAre(ElementsAre(0, 1, 2), ElementsAre(0, 2, 1),
                                  ElementsAre(2, 0, 1)));
}

TEST(SimExecutorTest, TimeStartsAtTheEpochAndJumpsToTimers) {
  SimExecutor executor(1);
  EXPECT_EQ(executor.Now(), absl::UnixEpoch());
  std::vector<absl::Duration> times;
  absl::Notification done;
  const auto note = [&executor, &times] {
    times.push_back(executor.Now() - absl::UnixEpoch());
  };
  executor.PostAfter(absl::Hours(5000), [&done, note] {
    note();
    done.Notify();
  });
  executor.PostAfter(absl::Nanoseconds(1), [&executor, note] {
    note();
    executor.PostAfter(absl::Hours(1), note);
    executor.Post(note);
  });
  EXPECT_TRUE(executor.RunUntil(done));
  EXPECT_THAT(times, ElementsAre(absl::Nanoseconds(1), absl::Nanoseconds(1),
                                 absl::Hours(1) + absl::Nanoseconds(1),
                                 absl::Hours(5000)));
}

TEST(SimExecutorTest, ReadyJobsComeBeforeTimers) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimExecutor executor(seed);
    std::vector<int> order;
    executor.PostAfter(absl::Nanoseconds(1), [&order] { order.push_back(9); });
    executor.Post([&executor, &order] {
      executor.Post([&order] { order.push_back(1); });
    });
    const absl::Notification never;
    EXPECT_FALSE(executor.RunUntil(never));
    EXPECT_THAT(order, ElementsAre(1, 9)) << seed;
  }
}

TEST(SimExecutorTest, TimersOfOneTimeRunInAnyOrder) {
  std::set<std::vector<int>> orders;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    SimExecutor executor(seed);
    std::vector<int> order;
    for (int i = 0; i < 3; ++i) {
      executor.PostAfter(absl::Seconds(1), [&order, i] { order.push_back(i); });
    }
    const absl::Notification never;
    EXPECT_FALSE(executor.RunUntil(never));
    orders.insert(order);
  }
  EXPECT_THAT(orders, SizeIs(6));
}

TEST(SimExecutorTest, ATimerOfTheSameTimeMayBePastCancelling) {
  int cancelled = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SimExecutor executor(seed);
    Executor::TimerId timers[2];
    int runs = 0;
    bool cancel = false;
    for (int i = 0; i < 2; ++i) {
      timers[i] = executor.PostAfter(
          absl::Seconds(1), [&executor, &timers, &runs, &cancel, i] {
            if (++runs == 1) cancel = executor.Cancel(timers[1 - i]);
          });
    }
    const absl::Notification never;
    EXPECT_FALSE(executor.RunUntil(never));
    EXPECT_EQ(runs, cancel ? 1 : 2) << seed;
    if (cancel) ++cancelled;
  }
  EXPECT_GT(cancelled, 0);
  EXPECT_LT(cancelled, 200);
}

TEST(SimExecutorTest, RunUntilIsFalseWhenNothingIsLeft) {
  SimExecutor executor(1);
  absl::Notification done;
  EXPECT_FALSE(executor.RunUntil(done));
  int runs = 0;
  executor.Post([&runs] { ++runs; });
  executor.PostAfter(absl::Hours(1), [&runs] { ++runs; });
  executor.PostAfter(absl::InfiniteDuration(), [&runs] { ++runs; });
  EXPECT_FALSE(executor.RunUntil(done));
  EXPECT_EQ(runs, 2);
  executor.Post([&done] { done.Notify(); });
  EXPECT_TRUE(executor.RunUntil(done));
}

TEST(SimExecutorTest, RunUntilIsFalseInsideAJobAsWell) {
  SimExecutor executor(1);
  absl::Notification done;
  executor.Post([&executor, &done] {
    const absl::Notification never;
    EXPECT_FALSE(executor.RunUntil(never));
    done.Notify();
  });
  EXPECT_TRUE(executor.RunUntil(done));
}

TEST(SimExecutorTest, RunUntilIsTrueIfTheLastJobNotifies) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SimExecutor executor(seed);
    absl::Notification done;
    int left = 5;
    for (int i = 0; i < 5; ++i) {
      executor.Post([&left, &done] {
        if (--left == 0) done.Notify();
      });
    }
    EXPECT_TRUE(executor.RunUntil(done));
  }
}

}  // namespace
}  // namespace weir
