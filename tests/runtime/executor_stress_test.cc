// Outcomes allowed, in whatever way threads, jobs and timers meet:
// - a posted job runs once, or, if its executor was destroyed, not at all; then
//   it was destroyed;
// - a timer runs once and every Cancel() of it was false, or it does not run
// and
//   one Cancel() was true, or its executor was destroyed.
// Forbidden:
// - a job that runs twice, or runs after the destructor has returned;
// - a timer that runs although Cancel() was true, or is lost although no
//   Cancel() was;
// - more jobs at once than the executor has workers;
// - RunUntil() that sleeps on although `done` is notified or, on an executor
//   that runs jobs on the calling thread, a job waits.

#include "weir/runtime/executor.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

uint32_t Seed() {
  static const uint32_t seed = [] {
    const uint32_t value = std::random_device()();
    std::cout << "seed " << value << std::endl;
    return value;
  }();
  return seed;
}

// What runs, and how much of it at once.
class Gauge {
 public:
  void Enter() {
    const int now = ++running_;
    int seen = most_;
    while (seen < now && !most_.compare_exchange_weak(seen, now)) {
    }
  }
  void Leave() { --running_; }
  int most() const { return most_; }

 private:
  std::atomic<int> running_ = 0;
  std::atomic<int> most_ = 0;
};

// Counts down and then notifies. The last CountDown() does not touch it after.
class Countdown {
 public:
  explicit Countdown(int count) : left_(count) {}
  void CountDown() {
    if (--left_ == 0) done_.Notify();
  }
  const absl::Notification& done() const { return done_; }

 private:
  std::atomic<int> left_;
  absl::Notification done_;
};

// Threads that post jobs, some of which post further ones, and wait for them.
void PostFromSeveralThreads(Executor& executor, int threads, int jobs,
                            uint32_t seed) {
  Gauge gauge;
  std::vector<std::jthread> posters;
  posters.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    posters.emplace_back([&executor, &gauge, jobs,
                          thread_seed = seed + static_cast<uint32_t>(i)] {
      std::mt19937 random(thread_seed);
      for (int batch = 0; batch < 20; ++batch) {
        Countdown countdown(2 * jobs);
        for (int job = 0; job < jobs; ++job) {
          const bool nest = random() % 16 == 0;
          executor.Post([&executor, &gauge, &countdown, nest] {
            gauge.Enter();
            absl::Notification inner;
            executor.Post([&gauge, &countdown, &inner, nest] {
              gauge.Enter();
              gauge.Leave();
              if (nest) inner.Notify();
              countdown.CountDown();
            });
            gauge.Leave();
            if (nest) {
              EXPECT_TRUE(executor.RunUntil(inner));
            }
            countdown.CountDown();
          });
        }
        ASSERT_TRUE(executor.RunUntil(countdown.done()));
      }
    });
  }
  posters.clear();
  EXPECT_LE(gauge.most(), executor.workers());
}

TEST(ExecutorStressTest, TbbRunsEachJobOnce) {
  for (const int workers : {1, 2, 4}) {
    TbbExecutor executor(workers);
    PostFromSeveralThreads(executor, 3, 50, Seed());
  }
}

TEST(ExecutorStressTest, InlineRunsEachJobOnce) {
  InlineExecutor executor;
  PostFromSeveralThreads(executor, 3, 50, Seed());
}

// Timers of about the time it takes to cancel them.
void CancelWhileTimersRun(Executor& executor, uint32_t seed) {
  constexpr int kThreads = 3;
  constexpr int kTimers = 300;
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&executor,
                          thread_seed = seed + static_cast<uint32_t>(i)] {
      std::mt19937 random(thread_seed);
      struct Timer {
        std::atomic<int> runs = 0;
        Executor::TimerId id = 0;
        bool cancelled = false;
      };
      std::vector<Timer> timers(kTimers);
      Countdown countdown(kTimers);
      for (Timer& timer : timers) {
        timer.id = executor.PostAfter(absl::Microseconds(random() % 300),
                                      [&timer, &countdown] {
                                        ++timer.runs;
                                        countdown.CountDown();
                                      });
        Timer& victim = timers[random() % kTimers];
        if (victim.id != 0 && !victim.cancelled && executor.Cancel(victim.id)) {
          victim.cancelled = true;
          countdown.CountDown();
        }
      }
      ASSERT_TRUE(executor.RunUntil(countdown.done()));
      for (Timer& timer : timers) {
        EXPECT_EQ(timer.runs, timer.cancelled ? 0 : 1);
        EXPECT_FALSE(executor.Cancel(timer.id));
      }
    });
  }
}

TEST(ExecutorStressTest, TbbTimersRunOrAreCancelled) {
  for (int round = 0; round < 10; ++round) {
    TbbExecutor executor(2);
    CancelWhileTimersRun(executor, Seed() + static_cast<uint32_t>(round));
  }
}

TEST(ExecutorStressTest, InlineTimersRunOrAreCancelled) {
  for (int round = 0; round < 10; ++round) {
    InlineExecutor executor;
    CancelWhileTimersRun(executor, Seed() + static_cast<uint32_t>(round));
  }
}

TEST(ExecutorStressTest, TbbDestructionMeetsJobsAndTimersThatPost) {
  std::mt19937 random(Seed());
  for (int round = 0; round < 300; ++round) {
    auto executor = std::make_unique<TbbExecutor>(1 + round % 3);
    std::atomic<bool> destroyed = false;
    const auto token = std::make_shared<int>();
    // A job that posts itself again, for ever.
    std::function<void()> again = [raw = executor.get(), &again, &destroyed,
                                   &token] {
      EXPECT_FALSE(destroyed);
      raw->Post([&again, token] { again(); });
    };
    for (auto i = random() % 20; i > 0; --i) {
      executor->Post([&again, token] { again(); });
      executor->PostAfter(absl::Microseconds(random() % 100),
                          [&again, token] { again(); });
    }
    if (random() % 2 == 0) {
      absl::Notification done;
      executor->Post([&done] { done.Notify(); });
      EXPECT_TRUE(executor->RunUntil(done));
    }
    executor.reset();
    destroyed = true;
    EXPECT_EQ(token.use_count(), 1);
  }
}

}  // namespace
}  // namespace weir
