// Of internal/end_signal.h: whoever looks or waits sees what the ending left,
// and may destroy the signal at once.

#include "weir/runtime/internal/end_signal.h"

#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace weir::internal {
namespace {

TEST(EndSignalTest, TellsThatItHasEnded) {
  EndSignal signal;
  EXPECT_FALSE(signal.ended());
  signal.End();
  EXPECT_TRUE(signal.ended());
}

TEST(EndSignalTest, NotifiesThoseWhoCameBefore) {
  EndSignal signal;
  const absl::Notification& first = signal.notification();
  EXPECT_FALSE(first.HasBeenNotified());
  EXPECT_EQ(&signal.notification(), &first) << "one for all";
  signal.End();
  EXPECT_TRUE(first.HasBeenNotified());
  EXPECT_EQ(&signal.notification(), &first);
}

TEST(EndSignalTest, NotifiesThoseWhoComeAfter) {
  EndSignal signal;
  signal.End();
  EXPECT_TRUE(signal.notification().HasBeenNotified());
}

// Owned by those who wait, and not by who ends it.
struct Work {
  EndSignal signal;
  int left = 0;
};

TEST(EndSignalTest, EndsWhileOthersLookAndWait) {
  constexpr int kRounds = 1000;
  for (int round = 1; round <= kRounds; ++round) {
    auto work = std::make_shared<Work>();
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([work, round, i]() mutable {
        if (i == 0) {
          while (!work->signal.ended()) std::this_thread::yield();
        } else {
          work->signal.notification().WaitForNotification();
        }
        EXPECT_EQ(work->left, round);
        work = nullptr;
      });
    }
    Work* const ended = work.get();
    threads.emplace_back([ended, round] {
      ended->left = round;
      ended->signal.End();
    });
    work = nullptr;
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace weir::internal
