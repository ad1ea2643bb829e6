// What happens between two steps of a log: the test does there, on the same
// worker, what another worker might do.

#include "weir/stream/event_log.h"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "weir/stream/cursor.h"
#include "weir/stream/internal/directory.h"
#include "weir/stream/internal/gate.h"
#include "weir/stream/internal/parking.h"
#include "weir/stream/internal/policy.h"
#include "weir/stream/segment_pool.h"
#include "weir/stream/wait.h"

namespace weir {
namespace {

using internal::Race;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Runs a step once, the next time that a log is at a race.
class Intruder {
 public:
  static void At(Race race) {
    if (!step_ || race != race_ || skip_-- > 0) return;
    std::exchange(step_, nullptr)();
  }

  // After that race was passed `skip` times.
  static void Come(Race race, std::function<void()> step, int skip = 0) {
    race_ = race;
    step_ = std::move(step);
    skip_ = skip;
  }

  // Whether it did.
  static bool Came() { return !step_; }

 private:
  static inline Race race_;
  static inline std::function<void()> step_;
  static inline int skip_ = 0;
};

// Segments of four slots.
struct SmallPolicy {
  static constexpr uint32_t kFirstSlots = 4;
  static constexpr uint32_t kSlots = 4;
  using Parking = internal::Parking;
  static void At(Race race) { Intruder::At(race); }
};

// Segments of eight, so that batches have four events.
struct BatchPolicy : SmallPolicy {
  static constexpr uint32_t kFirstSlots = 8;
  static constexpr uint32_t kSlots = 8;
};

// Owns memory, so that a sanitizer sees one that is read too late.
using Number = std::shared_ptr<int>;

template <typename Policy = SmallPolicy>
struct Numbers {
  explicit Numbers(EventLogOptions options = {}) : log(WithPool(options)) {}
  ~Numbers() { EXPECT_TRUE(Intruder::Came()); }

  EventLogOptions WithPool(EventLogOptions options) {
    options.pool = &pool;
    return options;
  }

  void Publish(int count = 1) {
    for (; count > 0; --count) log.Publish(1, std::make_shared<int>(next++));
  }

  void PublishBatch(int count) {
    std::vector<BatchEvent<Number>> batch;
    for (; count > 0; --count) {
      batch.push_back({1, std::make_shared<int>(next++)});
    }
    log.PublishBatch(batch);
  }

  Cursor<Number, Policy> Attach(CursorOptions options = {}) {
    return *log.Attach(options);
  }

  static std::vector<int> Read(Cursor<Number, Policy>& cursor) {
    std::vector<int> out;
    while (auto entry = cursor.TryNext()) out.push_back(**entry);
    return out;
  }

  SegmentPool pool;
  int next = 0;
  EventLog<Number, Policy> log;
};

class WakeCounter final : public Waiter {
 public:
  void Wake() noexcept override { ++wakes; }
  int wakes = 0;
};

TEST(EventLogRaceTest, SegmentThatDiesWhileAReaderReachesForItIsKept) {
  Numbers numbers;
  std::optional reader = numbers.Attach();
  numbers.Publish(3);
  // The newcomer knows the first segment's address. Then that is full, and its
  // last reader leaves it.
  Intruder::Come(Race::kHolding, [&] {
    numbers.Publish(2);
    EXPECT_THAT(numbers.Read(*reader), ElementsAre(0, 1, 2, 3, 4));
  });
  auto newcomer = numbers.Attach();
  numbers.Publish();
  EXPECT_THAT(numbers.Read(newcomer), ElementsAre(5));
  EXPECT_LE(numbers.pool.in_use(), 3u);
}

TEST(EventLogRaceTest, NewcomerWhosePlaceHasPassedStartsLater) {
  Numbers numbers;
  auto reader = numbers.Attach();
  numbers.Publish(3);
  Intruder::Come(Race::kPlacing, [&] {
    numbers.Publish(6);
    numbers.Read(reader);
  });
  auto newcomer = numbers.Attach();
  EXPECT_EQ(newcomer.last_id(), 8);
  numbers.Publish();
  EXPECT_THAT(numbers.Read(newcomer), ElementsAre(9));
}

TEST(EventLogRaceTest, EventThatEverybodyLeftIsDestroyedByItsPublisher) {
  Numbers numbers;
  std::optional reader = numbers.Attach();
  const Number first = std::make_shared<int>(-1);
  numbers.log.Publish(1, first);
  numbers.Publish();
  // The third event has its id. The segment fills up, and all leave.
  Intruder::Come(Race::kClaimed, [&] {
    numbers.Publish(3);
    reader.reset();
    EXPECT_EQ(first.use_count(), 2);
  });
  numbers.Publish();
  EXPECT_EQ(first.use_count(), 1);
}

TEST(EventLogRaceTest, PublisherMayFindItsSegmentMadeByAnother) {
  Numbers numbers;
  auto reader = numbers.Attach();
  Intruder::Come(
      Race::kMaking, [&] { numbers.Publish(10); }, 1);
  numbers.Publish(20);
  EXPECT_EQ(numbers.Read(reader).size(), 30u);
}

TEST(EventLogRaceTest, SegmentIsReleasedBeforeItsClaimersMadeIt) {
  Numbers numbers({.window = 1});
  auto skipping = numbers.Attach({.on_lag = OnLag::kSkip});
  numbers.Publish();
  // All four of the second segment wait; the third's raise the floor.
  Intruder::Come(Race::kClaimed, [&] {
    Intruder::Come(Race::kClaimed, [&] { numbers.Publish(8); });
    numbers.Publish();
  });
  numbers.Publish();
  EXPECT_EQ(skipping.lag(), 11u);
  EXPECT_EQ(numbers.Read(skipping).size(), 1u);
  EXPECT_LE(numbers.pool.in_use(), 4u);
}

TEST(EventLogRaceTest, NobodyReplaysFromInsideABatch) {
  Numbers<BatchPolicy> numbers({.resumable = true});
  numbers.Publish();
  // Of ids 1 to 4 the last is ready.
  Intruder::Come(
      Race::kWritten,
      [&] {
        for (const int64_t after : {1, 2, 3}) {
          EXPECT_EQ(numbers.log.Attach({.after = after}).status().code(),
                    absl::StatusCode::kOutOfRange);
        }
        EXPECT_TRUE(numbers.log.Attach({.after = 0}).ok());
        EXPECT_TRUE(numbers.log.Attach({.after = 4}).ok());
        EXPECT_TRUE(numbers.log.Attach().ok());
      },
      1);
  numbers.PublishBatch(4);
}

TEST(EventLogRaceTest, ReaderOvertakenByABatchWaitsBeforeIt) {
  Numbers<BatchPolicy> numbers({.window = 4});
  auto reader = numbers.Attach({.on_lag = OnLag::kSkip});
  WakeCounter waiter;
  numbers.Publish();
  Intruder::Come(
      Race::kWritten,
      [&] {
        numbers.Publish(2);  // Ids 5 and 6: the window begins at 3.
        EXPECT_FALSE(reader.TryNext());
        EXPECT_EQ(reader.last_id(), -1);
        EXPECT_TRUE(reader.Arm(&waiter));
      },
      0);
  numbers.PublishBatch(4);  // Ids 1 to 4.
  EXPECT_EQ(waiter.wakes, 1);
  EXPECT_EQ(numbers.Read(reader).back(), 6);
}

TEST(EventLogRaceTest, BatchWakesAReaderThatWaitsForItsFirst) {
  Numbers<BatchPolicy> numbers;
  auto reader = numbers.Attach();
  WakeCounter waiter;
  // In each of two segments: ids 6 to 9.
  numbers.Publish(6);
  numbers.Read(reader);
  Intruder::Come(
      Race::kWritten, [&] { EXPECT_TRUE(reader.Arm(&waiter)); }, 3);
  numbers.PublishBatch(4);
  EXPECT_EQ(waiter.wakes, 1);
  EXPECT_EQ(numbers.Read(reader).size(), 4u);
}

TEST(EventLogRaceTest, EventThatComesWhileArmingIsNotMissed) {
  Numbers numbers;
  auto reader = numbers.Attach();
  WakeCounter waiter;
  // Listed, but the slot has no flag.
  Intruder::Come(Race::kArming, [&] { numbers.Publish(); });
  EXPECT_FALSE(reader.Arm(&waiter));
  EXPECT_EQ(waiter.wakes, 0);
  EXPECT_THAT(numbers.Read(reader), ElementsAre(0));
  ASSERT_TRUE(reader.Arm(&waiter));
  numbers.Publish();
  EXPECT_EQ(waiter.wakes, 1);
}

TEST(EventLogRaceTest, WaiterTakenWhileArmingIsWoken) {
  Numbers numbers;
  auto reader = numbers.Attach();
  auto other = numbers.Attach();
  WakeCounter waiter;
  WakeCounter other_waiter;
  ASSERT_TRUE(other.Arm(&other_waiter));
  Intruder::Come(Race::kArming, [&] { numbers.Publish(); });
  EXPECT_TRUE(reader.Arm(&waiter));
  EXPECT_EQ(waiter.wakes, 1);
  EXPECT_EQ(other_waiter.wakes, 1);
}

TEST(EventLogRaceTest, EventThatComesBeforeSleepingEndsTheWait) {
  Numbers numbers;
  auto reader = numbers.Attach();
  Intruder::Come(Race::kSleeping, [&] { numbers.Publish(); });
  EXPECT_EQ(**reader.Next(), 0);
}

TEST(EventLogRaceTest, CloseThatOvertakesAPublishEndsAfterIt) {
  Numbers numbers;
  auto reader = numbers.Attach();
  Intruder::Come(Race::kClaimed, [&] {
    numbers.log.Close(absl::AbortedError("stop"), std::make_shared<int>(7));
    EXPECT_FALSE(reader.TryNext());
    EXPECT_FALSE(reader.ended());
  });
  numbers.Publish();
  EXPECT_THAT(numbers.Read(reader), ElementsAre(0, 7));
  EXPECT_TRUE(reader.ended());
  EXPECT_EQ(reader.status(), absl::AbortedError("stop"));
}

TEST(EventLogRaceTest, WhoComesToALogBeingClosedIsAtItsEnd) {
  Numbers numbers({.resumable = true});
  auto reader = numbers.Attach();
  numbers.Publish(2);
  Intruder::Come(Race::kClosing, [&] {
    auto late = numbers.Attach();
    EXPECT_FALSE(late.Next());
    EXPECT_TRUE(late.ended());
    EXPECT_EQ(numbers.log.next_id(), 3u);
    EXPECT_EQ(numbers.log.Attach({.after = 2}).status().code(),
              absl::StatusCode::kOutOfRange);
    auto replay = numbers.Attach({.after = 0});
    EXPECT_THAT(numbers.Read(replay), ElementsAre(1));
    EXPECT_FALSE(replay.ended());
  });
  numbers.log.Close(absl::OkStatus(), std::make_shared<int>(2));
  EXPECT_THAT(numbers.Read(reader), ElementsAre(0, 1, 2));
}

TEST(EventLogRaceTest, EndIsFoundWhereverItFallsInItsSegment) {
  for (int events = 0; events < 10; ++events) {
    for (const bool with_last : {false, true}) {
      Numbers numbers({.resumable = true});
      auto reader = numbers.Attach();
      numbers.Publish(events);
      numbers.log.Close(absl::OkStatus(),
                        with_last
                            ? std::optional<Number>(std::make_shared<int>(-1))
                            : std::nullopt);
      const size_t all = static_cast<size_t>(events) + (with_last ? 1 : 0);
      auto replay = numbers.Attach({.after = -1});
      auto late = numbers.Attach();
      EXPECT_EQ(numbers.Read(reader).size(), all);
      EXPECT_EQ(numbers.Read(replay).size(), all);
      EXPECT_THAT(numbers.Read(late), IsEmpty());
      EXPECT_TRUE(reader.ended() && replay.ended() && late.ended());
      numbers.log.DropBefore(100);
      EXPECT_EQ(numbers.log.Attach({.after = -1}).ok(), all == 0);
      EXPECT_TRUE(numbers.log.Attach().ok());
    }
  }
}

TEST(EventLogRaceTest, ReaderIsToldWhatItMissedWhenItsNextSegmentIsGone) {
  Numbers numbers({.resumable = true});
  auto skipping = numbers.Attach({.on_lag = OnLag::kSkip});
  auto ending = numbers.Attach();
  numbers.Publish(20);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(skipping.TryNext());
    ASSERT_TRUE(ending.TryNext());
  }
  // At the ends of the first segment, with the next one there.
  Intruder::Come(Race::kCrossing, [&] { numbers.log.DropBefore(14); });
  auto entry = skipping.TryNext();
  EXPECT_EQ(entry.id(), 14u);
  EXPECT_EQ(entry.missed(), 10u);
  EXPECT_FALSE(ending.TryNext());
  EXPECT_EQ(ending.status().code(), absl::StatusCode::kDataLoss);
}

TEST(EventLogRaceTest, DropWhileAReplayIsPlacedIsRefusedOrKept) {
  Numbers numbers({.resumable = true});
  numbers.Publish(20);
  Intruder::Come(Race::kHolding, [&] { numbers.log.DropBefore(14); });
  EXPECT_EQ(numbers.log.Attach({.after = 2}).status().code(),
            absl::StatusCode::kOutOfRange);
  Intruder::Come(
      Race::kHolding, [&] { numbers.log.DropBefore(20); }, 1);
  EXPECT_EQ(
      numbers.log.Attach({.after = 16, .on_lag = OnLag::kKeep}).status().code(),
      absl::StatusCode::kOutOfRange);
  EXPECT_LE(numbers.pool.in_use(), 3u);
}

TEST(DirectoryTest, EachNumberHasAnEntryOfItsOwn) {
  internal::Directory<int> directory;
  std::vector<int> segments(70000);
  for (size_t i = 0; i < segments.size(); ++i) {
    EXPECT_EQ(directory[i].load(std::memory_order_relaxed), nullptr);
    directory[i].store(&segments[i], std::memory_order_relaxed);
  }
  for (size_t i = 0; i < segments.size(); ++i) {
    EXPECT_EQ(directory.Find(i), &segments[i]);
  }
  EXPECT_EQ(directory.Find(uint64_t{1} << 50), nullptr);
}

TEST(GateTest, KeepsWhatComesWhileSomebodyIsInside) {
  struct Part {
    Part* next = nullptr;
  };
  internal::Gate<Part> gate;
  Part first;
  Part second;
  EXPECT_TRUE(gate.Pass(&first));
  gate.Enter();
  EXPECT_EQ(gate.Leave(), nullptr);
  gate.Enter();
  EXPECT_FALSE(gate.Pass(&first));
  EXPECT_FALSE(gate.Pass(&second));
  EXPECT_EQ(gate.Leave(), &second);
  EXPECT_EQ(second.next, &first);
  EXPECT_EQ(first.next, nullptr);
  EXPECT_TRUE(gate.Pass(&first));
}

}  // namespace
}  // namespace weir
