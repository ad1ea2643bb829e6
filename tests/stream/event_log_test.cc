#include "weir/stream/event_log.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <latch>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "weir/stream/cursor.h"
#include "weir/stream/reclaimer.h"
#include "weir/stream/segment_pool.h"
#include "weir/stream/wait.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint32_t kValues = 1;
constexpr uint32_t kCustom = 2;
constexpr uint32_t kTasks = 4;

constexpr std::optional<int64_t> kNoId;

using StringLog = EventLog<std::string>;

// What `cursor` can read now, as "id:event".
std::vector<std::string> Drain(Cursor<std::string>& cursor) {
  std::vector<std::string> out;
  while (auto entry = cursor.TryNext()) {
    out.push_back(std::to_string(entry.id()) + ":" + *entry);
  }
  return out;
}

Cursor<std::string> MustAttach(StringLog& log, CursorOptions options = {}) {
  absl::StatusOr<Cursor<std::string>> cursor = log.Attach(options);
  EXPECT_TRUE(cursor.ok()) << cursor.status();
  return *std::move(cursor);
}

Cursor<std::string> AttachAfter(StringLog& log, std::optional<int64_t> after) {
  return MustAttach(log, {.after = after});
}

void ExpectRefused(StringLog& log, int64_t after, absl::StatusCode code,
                   const std::string& message) {
  const absl::StatusOr<Cursor<std::string>> cursor =
      log.Attach({.after = after});
  EXPECT_EQ(cursor.status().code(), code) << "after " << after;
  EXPECT_THAT(std::string(cursor.status().message()), HasSubstr(message));
}

class CountingWaiter final : public Waiter {
 public:
  explicit CountingWaiter(std::function<void()> then = [] {})
      : then_(std::move(then)) {}
  void Wake() noexcept override {
    ++wakes;
    then_();
  }
  int wakes = 0;

 private:
  std::function<void()> then_;
};

// Counts the payloads that exist, and may do something when one ends.
struct Payload {
  explicit Payload(
      const std::shared_ptr<int>& number,
      const std::function<void()>& at_end = [] {})
      : counted(nullptr, [number, at_end](void*) {
          --*number;
          at_end();
        }) {
    ++*number;
  }
  std::shared_ptr<void> counted;
};

// What a joiner gets: the table of runs and joins, row by row.

TEST(EventLogTest, ResumableJoinBeforeStart) {
  StringLog log({.resumable = true});
  Cursor<std::string> live = AttachAfter(log, kNoId);
  Cursor<std::string> all = AttachAfter(log, -1);
  ExpectRefused(log, 0, absl::StatusCode::kOutOfRange, "no event is logged");
  ExpectRefused(log, -2, absl::StatusCode::kInvalidArgument, "-2");
  log.Publish(kValues, "a");
  log.Publish(kValues, "b");
  EXPECT_THAT(Drain(live), ElementsAre("0:a", "1:b"));
  EXPECT_THAT(Drain(all), ElementsAre("0:a", "1:b"));
}

TEST(EventLogTest, ResumableJoinMidRun) {
  StringLog log({.resumable = true});
  for (const char* event : {"a", "b", "c"}) log.Publish(kValues, event);
  Cursor<std::string> live = AttachAfter(log, kNoId);
  Cursor<std::string> all = AttachAfter(log, -1);
  Cursor<std::string> after_first = AttachAfter(log, 0);
  Cursor<std::string> after_newest = AttachAfter(log, 2);
  ExpectRefused(log, 3, absl::StatusCode::kOutOfRange, "newest id is 2");
  ExpectRefused(log, std::numeric_limits<int64_t>::max(),
                absl::StatusCode::kOutOfRange, "newest id is 2");
  ExpectRefused(log, -5, absl::StatusCode::kInvalidArgument, "-5");
  ExpectRefused(log, std::numeric_limits<int64_t>::min(),
                absl::StatusCode::kInvalidArgument, "less than -1");
  EXPECT_THAT(Drain(all), ElementsAre("0:a", "1:b", "2:c"));
  log.Publish(kValues, "d");
  EXPECT_THAT(Drain(live), ElementsAre("3:d"));
  EXPECT_THAT(Drain(all), ElementsAre("3:d"));
  EXPECT_THAT(Drain(after_first), ElementsAre("1:b", "2:c", "3:d"));
  EXPECT_THAT(Drain(after_newest), ElementsAre("3:d"));
}

TEST(EventLogTest, ResumableJoinAfterTheEnd) {
  StringLog log({.resumable = true});
  for (const char* event : {"a", "b", "c"}) log.Publish(kValues, event);
  log.Close(absl::OkStatus());
  Cursor<std::string> live = AttachAfter(log, kNoId);
  Cursor<std::string> all = AttachAfter(log, -1);
  Cursor<std::string> after_first = AttachAfter(log, 0);
  Cursor<std::string> after_newest = AttachAfter(log, 2);
  ExpectRefused(log, 3, absl::StatusCode::kOutOfRange, "newest id is 2");
  ExpectRefused(log, -2, absl::StatusCode::kInvalidArgument, "-2");
  EXPECT_THAT(Drain(live), IsEmpty());
  EXPECT_THAT(Drain(all), ElementsAre("0:a", "1:b", "2:c"));
  EXPECT_THAT(Drain(after_first), ElementsAre("1:b", "2:c"));
  EXPECT_THAT(Drain(after_newest), IsEmpty());
  for (Cursor<std::string>* cursor :
       {&live, &all, &after_first, &after_newest}) {
    EXPECT_TRUE(cursor->ended());
  }
}

TEST(EventLogTest, ResumableJoinBeforeWhatIsKept) {
  // Ids below first_id are those of an earlier attempt.
  StringLog log({.first_id = 100, .resumable = true});
  ExpectRefused(log, 50, absl::StatusCode::kOutOfRange, "oldest id is 100");
  ExpectRefused(log, 100, absl::StatusCode::kOutOfRange, "no event is logged");
  log.Publish(kValues, "a");
  ExpectRefused(log, 0, absl::StatusCode::kOutOfRange, "oldest id is 100");
  ExpectRefused(log, 98, absl::StatusCode::kOutOfRange, "oldest id is 100");
  ExpectRefused(log, 101, absl::StatusCode::kOutOfRange, "newest id is 100");
  ExpectRefused(log, -2, absl::StatusCode::kInvalidArgument, "-2");
  Cursor<std::string> all = AttachAfter(log, -1);
  Cursor<std::string> after_earlier = AttachAfter(log, 99);
  EXPECT_THAT(Drain(all), ElementsAre("100:a"));
  EXPECT_THAT(Drain(after_earlier), ElementsAre("100:a"));
}

TEST(EventLogTest, PlainJoinBeforeStartMidRunAndAfterTheEnd) {
  StringLog log;
  const auto expect_refusals = [&log] {
    for (const int64_t after : {-1, 0, 1, 5}) {
      ExpectRefused(log, after, absl::StatusCode::kFailedPrecondition,
                    "not resumable");
    }
    ExpectRefused(log, -2, absl::StatusCode::kInvalidArgument, "-2");
  };
  expect_refusals();
  Cursor<std::string> before = AttachAfter(log, kNoId);
  log.Publish(kValues, "a");
  expect_refusals();
  Cursor<std::string> mid = AttachAfter(log, kNoId);
  log.Publish(kValues, "b");
  log.Close(absl::OkStatus());
  expect_refusals();
  Cursor<std::string> late = AttachAfter(log, kNoId);
  EXPECT_THAT(Drain(late), IsEmpty());
  EXPECT_TRUE(late.ended());
  EXPECT_THAT(Drain(before), ElementsAre("0:a", "1:b"));
  EXPECT_THAT(Drain(mid), ElementsAre("1:b"));
}

// Ids, modes and retention.

TEST(EventLogTest, UnwantedEventIsNotBuiltAndGetsNoId) {
  StringLog log;
  int built = 0;
  const auto make = [&built] {
    ++built;
    return std::string("x");
  };
  EXPECT_EQ(log.interest(), 0u);
  EXPECT_EQ(log.Publish(kValues, make), std::nullopt);
  Cursor<std::string> cursor = MustAttach(log, {.mask = kCustom});
  EXPECT_EQ(log.interest(), kCustom);
  EXPECT_EQ(log.Publish(kValues, make), std::nullopt);
  EXPECT_EQ(log.Publish(0, make), std::nullopt);
  EXPECT_EQ(built, 0);
  EXPECT_EQ(log.Publish(kCustom, make), 0u);
  EXPECT_EQ(log.Publish(kValues | kCustom, make), 1u);
  EXPECT_EQ(built, 2);
}

TEST(EventLogTest, InterestFollowsCursors) {
  StringLog log({.resumable = true, .recorded_modes = kTasks});
  EXPECT_EQ(log.interest(), kTasks);
  std::optional<Cursor<std::string>> values =
      MustAttach(log, {.mask = kValues});
  std::optional<Cursor<std::string>> both =
      MustAttach(log, {.mask = kValues | kCustom | kTasks});
  EXPECT_EQ(log.interest(), kValues | kCustom | kTasks);
  both.reset();
  EXPECT_EQ(log.interest(), kValues | kTasks);
  values.reset();
  EXPECT_EQ(log.interest(), kTasks);
  EXPECT_EQ(log.Publish(kValues, "x"), std::nullopt);
  EXPECT_FALSE(log.Attach({.after = 7}).ok());
  EXPECT_EQ(log.interest(), kTasks);  // A refused join wants nothing.
  log.Close(absl::OkStatus());
  EXPECT_EQ(log.interest(), 0u);
  values = MustAttach(log);
  EXPECT_EQ(log.interest(), 0u);
}

TEST(EventLogTest, MaskHidesEventsAndDoesNotRenumber) {
  StringLog log({.resumable = true});
  Cursor<std::string> live = MustAttach(log, {.mask = kCustom});
  log.Publish(kValues, "a");
  log.Publish(kCustom, "b");
  log.Publish(kTasks, "c");
  log.Publish(kTasks | kCustom, "d");
  EXPECT_THAT(Drain(live), ElementsAre("1:b", "3:d"));
  Cursor<std::string> replay = MustAttach(log, {.mask = kTasks, .after = 1});
  auto entry = replay.TryNext();
  EXPECT_EQ(entry.id(), 2u);
  EXPECT_EQ(entry.mode(), kTasks);
  EXPECT_EQ(entry->size(), 1u);
  EXPECT_THAT(Drain(replay), ElementsAre("3:d"));
}

TEST(EventLogTest, IdsStartAtFirstIdAndAreDense) {
  StringLog log({.first_id = uint64_t{1} << 40});
  Cursor<std::string> values = MustAttach(log, {.mask = kValues});
  for (uint64_t i = 0; i < 3000; ++i) {
    EXPECT_EQ(log.Publish(kCustom, "x"), std::nullopt);
    EXPECT_EQ(log.Publish(kValues, "y"), (uint64_t{1} << 40) + i);
  }
  for (uint64_t i = 0; i < 3000; ++i) {
    EXPECT_EQ(values.TryNext().id(), (uint64_t{1} << 40) + i);
  }
  EXPECT_FALSE(values.TryNext());
  EXPECT_FALSE(values.ended());
}

TEST(EventLogTest, BatchLogsWantedEventsUnderConsecutiveIds) {
  StringLog log;
  std::array<BatchEvent<std::string>, 4> batch = {
      {{kValues, "a"}, {kTasks, "b"}, {kCustom, "c"}, {kValues, "d"}}};
  EXPECT_EQ(log.PublishBatch(batch), std::nullopt);
  EXPECT_EQ(batch[3].event, "d");  // Left alone.
  EXPECT_EQ(log.PublishBatch({}), std::nullopt);
  Cursor<std::string> cursor = MustAttach(log, {.mask = kValues | kCustom});
  log.Publish(kValues, "before");
  EXPECT_EQ(log.PublishBatch(batch), 1u);
  EXPECT_EQ(log.Publish(kValues, "after"), 4u);
  EXPECT_THAT(Drain(cursor),
              ElementsAre("0:before", "1:a", "2:c", "3:d", "4:after"));
  log.Close(absl::OkStatus());
  EXPECT_EQ(log.PublishBatch(batch), std::nullopt);
}

TEST(EventLogTest, EveryCursorGetsEveryEvent) {
  StringLog log;
  Cursor<std::string> slow = MustAttach(log);
  Cursor<std::string> fast = MustAttach(log);
  for (const char* event : {"a", "b", "c"}) {
    log.Publish(kValues, event);
    EXPECT_EQ(*fast.TryNext(), event);
  }
  EXPECT_EQ(slow.lag(), 3u);
  EXPECT_THAT(Drain(slow), ElementsAre("0:a", "1:b", "2:c"));
}

TEST(EventLogTest, EntryStaysValidWhileTheLogGrows) {
  StringLog log;
  Cursor<std::string> reading = MustAttach(log);
  Cursor<std::string> other = MustAttach(log);
  log.Publish(kValues, "a long enough event to be on the heap");
  auto entry = reading.TryNext();
  const std::string* const address = &*entry;
  for (int i = 0; i < 5000; ++i) log.Publish(kValues, "x");
  EXPECT_EQ(Drain(other).size(), 5001u);
  const Cursor<std::string> moved = std::move(reading);
  EXPECT_EQ(&*entry, address);
  EXPECT_EQ(*entry, "a long enough event to be on the heap");
  EXPECT_EQ(moved.last_id(), 0);
}

TEST(EventLogTest, LastIdAndLag) {
  StringLog log({.resumable = true});
  Cursor<std::string> first = MustAttach(log, {.mask = kValues});
  EXPECT_EQ(first.last_id(), -1);
  EXPECT_EQ(first.lag(), 0u);
  for (const uint32_t mode : {kValues, kCustom, kCustom, kValues}) {
    log.Publish(mode, "x");
  }
  EXPECT_EQ(first.lag(), 4u);
  first.Next();
  EXPECT_EQ(first.last_id(), 0);
  EXPECT_EQ(first.lag(), 3u);
  first.Next();
  EXPECT_EQ(first.last_id(), 3);
  EXPECT_EQ(first.lag(), 0u);
  EXPECT_EQ(AttachAfter(log, kNoId).last_id(), 3);
  EXPECT_EQ(AttachAfter(log, 1).last_id(), 1);
  EXPECT_EQ(AttachAfter(log, 1).lag(), 2u);
  EXPECT_EQ(AttachAfter(log, -1).last_id(), -1);
}

TEST(EventLogTest, ThrowingMakeLogsNothing) {
  StringLog log;
  Cursor<std::string> cursor = MustAttach(log);
  EXPECT_THROW(log.Publish(kValues,
                           []() -> std::string {
                             throw std::runtime_error("no event");
                           }),
               std::runtime_error);
  EXPECT_EQ(log.Publish(kValues, "a"), 0u);
}

// The end.

TEST(EventLogTest, FirstCloserWins) {
  StringLog log({.resumable = true});
  Cursor<std::string> cursor = MustAttach(log, {.mask = kValues});
  log.Publish(kValues, "a");
  EXPECT_TRUE(log.Close(absl::AbortedError("node 'n' failed"), "error"));
  EXPECT_FALSE(log.Close(absl::OkStatus(), "again"));
  EXPECT_EQ(log.Publish(kValues, "b"), std::nullopt);
  EXPECT_EQ(*cursor.Next(), "a");
  EXPECT_EQ(*cursor.Next(), "error");  // Passes the mask.
  EXPECT_EQ(cursor.last_id(), 1);
  EXPECT_FALSE(cursor.ended());
  EXPECT_TRUE(cursor.status().ok());
  EXPECT_FALSE(cursor.Next());
  EXPECT_TRUE(cursor.ended());
  EXPECT_EQ(cursor.status(), absl::AbortedError("node 'n' failed"));
  EXPECT_FALSE(cursor.TryNext());
  EXPECT_FALSE(cursor.NextFor(absl::InfiniteDuration()));
  EXPECT_EQ(cursor.lag(), 0u);
  Cursor<std::string> replay = AttachAfter(log, -1);
  EXPECT_THAT(Drain(replay), ElementsAre("0:a", "1:error"));
  EXPECT_EQ(replay.status().code(), absl::StatusCode::kAborted);
}

TEST(EventLogTest, CloseDuringMakeDropsTheEvent) {
  StringLog log;
  Cursor<std::string> cursor = MustAttach(log);
  EXPECT_EQ(log.Publish(kValues,
                        [&log] {
                          log.Close(absl::OkStatus());
                          return std::string("late");
                        }),
            std::nullopt);
  EXPECT_FALSE(cursor.Next());
}

TEST(EventLogTest, LastEventOfUnwatchedPlainLogIsNotKept) {
  auto live = std::make_shared<int>(0);
  EventLog<Payload> log;
  EXPECT_TRUE(log.Close(absl::OkStatus(), Payload(live)));
  EXPECT_EQ(*live, 0);
}

TEST(EventLogTest, CursorOutlivesItsLog) {
  std::optional<StringLog> log(std::in_place);
  Cursor<std::string> cursor = MustAttach(*log);
  log->Publish(kValues, "a");
  log.reset();
  EXPECT_EQ(*cursor.Next(), "a");
  EXPECT_FALSE(cursor.Next());
  EXPECT_EQ(cursor.status().code(), absl::StatusCode::kUnavailable);
}

TEST(EventLogTest, LogOutlivesItsCursors) {
  StringLog log;
  { const Cursor<std::string> cursor = MustAttach(log); }
  EXPECT_EQ(log.interest(), 0u);
  EXPECT_EQ(log.Publish(kValues, "a"), std::nullopt);
}

// Payloads.

TEST(EventLogTest, PlainLogFreesWhatTheSlowestCursorPassed) {
  // A plain log may keep up to this much more than it must.
  constexpr int kSegment = 1024;
  auto live = std::make_shared<int>(0);
  std::optional<EventLog<Payload>> log(std::in_place);
  const auto publish = [&](int events) {
    for (int i = 0; i < events; ++i) {
      log->Publish(kValues, [&] { return Payload(live); });
    }
  };
  const auto read = [](Cursor<Payload>& cursor, int events) {
    for (int i = 0; i < events; ++i) EXPECT_TRUE(cursor.TryNext());
  };
  publish(10);
  EXPECT_EQ(*live, 0);
  std::optional<Cursor<Payload>> slow = *log->Attach();
  Cursor<Payload> fast = *log->Attach();
  publish(5 * kSegment);
  read(fast, 5 * kSegment);
  EXPECT_EQ(*live, 5 * kSegment);
  read(*slow, 3 * kSegment);
  EXPECT_GE(*live, 2 * kSegment);
  EXPECT_LE(*live, 3 * kSegment + 1);
  slow.reset();
  fast.TryNext();
  EXPECT_LE(*live, kSegment);
  publish(2 * kSegment);
  { const Cursor<Payload> gone = std::move(fast); }
  EXPECT_LE(*live, kSegment);
  log.reset();
  EXPECT_EQ(*live, 0);
}

TEST(EventLogTest, MaskedOutEventsAreFreedToo) {
  auto live = std::make_shared<int>(0);
  EventLog<Payload> log;
  Cursor<Payload> values = *log.Attach({.mask = kValues});
  Cursor<Payload> custom = *log.Attach({.mask = kCustom});
  for (int i = 0; i < 5000; ++i) log.Publish(kCustom, Payload(live));
  while (custom.TryNext()) {
  }
  EXPECT_EQ(*live, 5000);
  EXPECT_FALSE(values.TryNext());
  EXPECT_LE(*live, 1024);
}

TEST(EventLogTest, ResumableLogKeepsEventsUntilItAndItsCursorsAreGone) {
  auto live = std::make_shared<int>(0);
  std::optional<EventLog<Payload>> log(EventLogOptions{.resumable = true});
  for (int i = 0; i < 100; ++i) log->Publish(kValues, Payload(live));
  std::optional<Cursor<Payload>> cursor = *log->Attach({.after = -1});
  while (cursor->TryNext()) {
  }
  EXPECT_EQ(*live, 100);
  log.reset();
  EXPECT_EQ(*live, 100);
  cursor.reset();
  EXPECT_EQ(*live, 0);
}

TEST(EventLogTest, PayloadsAreDestroyedWithNoLockHeld) {
  auto live = std::make_shared<int>(0);
  int joins = 0;
  std::function<void()> at_end;
  EventLog<Payload> log;
  // Under the lock this would not return.
  at_end = [&] { joins += log.Attach().ok() ? 1 : 0; };
  const auto publish = [&](int events) {
    for (int i = 0; i < events; ++i) {
      log.Publish(kValues, Payload(live, [&at_end] { at_end(); }));
    }
  };
  std::optional<Cursor<Payload>> cursor = *log.Attach();
  publish(3000);
  while (cursor->TryNext()) {
  }
  EXPECT_GE(joins, 1000);  // By the reader.
  publish(3000);
  cursor.reset();
  EXPECT_GE(joins, 4000);  // By the one that leaves.
  log.Close(absl::OkStatus());
  publish(1);
  EXPECT_GE(joins, 4001);  // By the publisher.
  at_end = [] {};
}

TEST(EventLogTest, MoveOnlyEventsWork) {
  EventLog<std::unique_ptr<int>> log;
  Cursor<std::unique_ptr<int>> cursor = *log.Attach();
  log.Publish(kValues, std::make_unique<int>(1));
  log.Publish(kValues, [] { return std::make_unique<int>(2); });
  log.Close(absl::OkStatus(), std::make_unique<int>(3));
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(**cursor.Next(), i);
}

TEST(EventLogTest, EventsOfAnySizeAndAlignmentWork) {
  struct alignas(64) Large {
    std::array<int, 50> numbers;
  };
  EventLog<Large> large;
  EventLog<char> small;
  Cursor<Large> larges = *large.Attach();
  Cursor<char> smalls = *small.Attach();
  for (int i = 0; i < 3000; ++i) {
    large.Publish(kValues, Large{{i}});
    small.Publish(kValues, static_cast<char>(i));
  }
  for (int i = 0; i < 3000; ++i) {
    auto entry = larges.TryNext();
    EXPECT_EQ(entry->numbers[0], i);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&*entry) % 64, 0u);
    EXPECT_EQ(*smalls.TryNext(), static_cast<char>(i));
  }
}

// Across segments, the first of which has 64 slots and the others 1,024.

TEST(EventLogTest, ReplayStartsAnywhere) {
  constexpr int64_t kEvents = 64 + 70 * 1024 + 10;
  EventLog<int64_t> log({.first_id = 7, .resumable = true});
  for (int64_t i = 0; i < kEvents; ++i) log.Publish(kValues, i);
  for (int64_t after = -1; after < kEvents; after += after < 1100 ? 1 : 511) {
    Cursor<int64_t> cursor = *log.Attach({.after = after + 7});
    for (int64_t i = after + 1; i < std::min(after + 4, kEvents); ++i) {
      EXPECT_EQ(*cursor.TryNext(), i);
    }
  }
}

TEST(EventLogTest, BatchesOfAnySizeKeepTheirOrder) {
  EventLog<int> log;
  Cursor<int> cursor = *log.Attach();
  int published = 0;
  int read = 0;
  for (const int size : {1, 2, 63, 64, 65, 511, 512, 513, 1024, 3000}) {
    std::vector<BatchEvent<int>> batch;
    for (int i = 0; i < size; ++i) batch.push_back({kValues, published + i});
    EXPECT_EQ(log.PublishBatch(batch), static_cast<uint64_t>(published));
    published += size;
    while (auto entry = cursor.TryNext()) EXPECT_EQ(*entry, read++);
    EXPECT_EQ(read, published);
  }
}

// What is kept.

TEST(EventLogTest, NextAndOldestId) {
  StringLog plain({.first_id = 5});
  EXPECT_EQ(plain.next_id(), 5u);
  EXPECT_EQ(plain.oldest_id(), 5u);
  const Cursor<std::string> cursor = MustAttach(plain);
  plain.Publish(kValues, "a");
  EXPECT_EQ(plain.next_id(), 6u);
  EXPECT_EQ(plain.oldest_id(), 6u);
  plain.Close(absl::OkStatus(), "last");
  EXPECT_EQ(plain.Publish(kValues, "late"), std::nullopt);
  EXPECT_EQ(plain.next_id(), 7u);
  StringLog resumable({.first_id = 5, .resumable = true});
  resumable.Publish(kValues, "a");
  EXPECT_EQ(resumable.next_id(), 6u);
  EXPECT_EQ(resumable.oldest_id(), 5u);
}

TEST(EventLogTest, DroppedEventsAreNotReplayed) {
  StringLog log({.first_id = 10, .resumable = true});
  for (const char* event : {"a", "b", "c", "d"}) log.Publish(kValues, event);
  log.DropBefore(12);
  EXPECT_EQ(log.oldest_id(), 12u);
  log.DropBefore(11);  // Never back.
  EXPECT_EQ(log.oldest_id(), 12u);
  ExpectRefused(log, -1, absl::StatusCode::kOutOfRange, "oldest id is 12");
  ExpectRefused(log, 10, absl::StatusCode::kOutOfRange, "oldest id is 12");
  ExpectRefused(log, 14, absl::StatusCode::kOutOfRange, "newest id is 13");
  Cursor<std::string> cursor = AttachAfter(log, 11);
  EXPECT_THAT(Drain(cursor), ElementsAre("12:c", "13:d"));
  log.DropBefore(1000);  // All that there is.
  EXPECT_EQ(log.oldest_id(), 14u);
  EXPECT_EQ(log.next_id(), 14u);
  cursor = AttachAfter(log, 13);
  log.Publish(kValues, "e");
  EXPECT_THAT(Drain(cursor), ElementsAre("14:e"));
}

TEST(EventLogTest, DroppingFreesWholeSegments) {
  auto live = std::make_shared<int>(0);
  EventLog<Payload> log({.resumable = true});
  for (int i = 0; i < 5000; ++i) log.Publish(kValues, Payload(live));
  EXPECT_EQ(*live, 5000);
  log.DropBefore(4000);
  EXPECT_GE(*live, 1000);
  EXPECT_LE(*live, 1000 + 1024);
  log.Close(absl::OkStatus());
  log.DropBefore(5000);
  EXPECT_LE(*live, 1024);
}

TEST(EventLogTest, ReaderOfDroppedEventsEndsWithDataLoss) {
  StringLog log({.resumable = true});
  Cursor<std::string> reader = AttachAfter(log, -1);
  Cursor<std::string> keeper =
      MustAttach(log, {.after = -1, .on_lag = OnLag::kKeep});
  Cursor<std::string> fast = AttachAfter(log, -1);
  for (const char* event : {"a", "b", "c", "d"}) log.Publish(kValues, event);
  EXPECT_EQ(*reader.TryNext(), "a");
  EXPECT_EQ(Drain(fast).size(), 4u);
  EXPECT_EQ(log.interest(), kAllModes);
  log.DropBefore(3);
  EXPECT_FALSE(reader.TryNext());
  EXPECT_TRUE(reader.ended());
  EXPECT_EQ(reader.status(),
            absl::DataLossError(
                "reader overtaken: after id 0 the first missing id is 1, the "
                "oldest kept is 3, so 2 were missed"));
  EXPECT_FALSE(reader.Next());
  EXPECT_EQ(reader.last_id(), 0);
  EXPECT_THAT(Drain(keeper), ElementsAre("0:a", "1:b", "2:c", "3:d"));
  log.Close(absl::OkStatus());
  EXPECT_FALSE(fast.Next());
  EXPECT_TRUE(fast.status().ok());
}

TEST(EventLogTest, WindowOfAPlainLogKeepsThatManyEvents) {
  auto live = std::make_shared<int>(0);
  EventLog<Payload> log({.window = 2000});
  Cursor<Payload> slow = *log.Attach();
  Cursor<Payload> within = *log.Attach();
  for (int i = 0; i < 2000; ++i) log.Publish(kValues, Payload(live));
  EXPECT_TRUE(slow.TryNext());
  EXPECT_TRUE(within.TryNext());
  for (int i = 0; i < 10000; ++i) {
    log.Publish(kValues, Payload(live));
    ASSERT_TRUE(within.TryNext());
  }
  EXPECT_LE(log.oldest_id(), log.next_id() - 2000);
  EXPECT_GE(log.oldest_id(), log.next_id() - 2000 - 2000 / 16);
  EXPECT_LE(*live, 2000 + 2000 / 16 + 2 * 1024);
  EXPECT_EQ(within.lag(), 1999u);
  EXPECT_FALSE(slow.TryNext());
  EXPECT_EQ(slow.status().code(), absl::StatusCode::kDataLoss);
  // It is gone, also for those who publish.
  EXPECT_EQ(log.interest(), kAllModes);
  { const Cursor<Payload> gone = std::move(within); }
  EXPECT_EQ(log.interest(), 0u);
}

TEST(EventLogTest, WindowOfAResumableLogCapsIt) {
  StringLog log({.resumable = true, .window = 3});
  for (const char* event : {"a", "b", "c", "d", "e"}) {
    log.Publish(kValues, event);
  }
  EXPECT_EQ(log.oldest_id(), 2u);
  ExpectRefused(log, -1, absl::StatusCode::kOutOfRange, "oldest id is 2");
  Cursor<std::string> cursor = AttachAfter(log, 1);
  EXPECT_THAT(Drain(cursor), ElementsAre("2:c", "3:d", "4:e"));
}

TEST(EventLogTest, OvertakenReaderMaySkip) {
  StringLog log({.window = 2});
  Cursor<std::string> all = MustAttach(log, {.on_lag = OnLag::kSkip});
  Cursor<std::string> custom =
      MustAttach(log, {.mask = kCustom, .on_lag = OnLag::kSkip});
  log.Publish(kCustom, "a");
  EXPECT_EQ(all.TryNext().missed(), 0u);
  for (const char* event : {"b", "c", "d", "e"}) log.Publish(kValues, event);
  auto entry = all.TryNext();
  EXPECT_EQ(*entry, "d");
  EXPECT_EQ(entry.missed(), 2u);
  EXPECT_EQ(all.missed(), 2u);
  EXPECT_EQ(all.TryNext().missed(), 0u);
  EXPECT_FALSE(custom.TryNext());
  EXPECT_FALSE(custom.ended());
  EXPECT_EQ(custom.missed(), 3u);
  log.Close(absl::OkStatus(), "last");
  entry = custom.TryNext();
  EXPECT_EQ(*entry, "last");
  EXPECT_EQ(entry.missed(), 3u);
  EXPECT_EQ(all.missed(), 2u);
}

TEST(EventLogTest, EventBeingReadStaysWhenItsReaderIsOvertaken) {
  auto live = std::make_shared<int>(0);
  EventLog<Payload> log({.window = 1});
  Cursor<Payload> reader = *log.Attach({.on_lag = OnLag::kSkip});
  log.Publish(kValues, Payload(live));
  auto entry = reader.TryNext();
  for (int i = 0; i < 5000; ++i) log.Publish(kValues, Payload(live));
  EXPECT_EQ(entry->counted.use_count(), 1);
  EXPECT_LE(*live, 64 + 2 * 1024);
  EXPECT_EQ(reader.TryNext().missed(), 4999u);
}

// Memory.

// Keeps what it is given.
class LazyReclaimer final : public Reclaimer {
 public:
  void Reclaim(absl::AnyInvocable<void() &&> job) noexcept override {
    jobs.push_back(std::move(job));
  }
  std::vector<absl::AnyInvocable<void() &&>> jobs;
};

TEST(EventLogTest, ReclaimerDestroysDeadEvents) {
  auto live = std::make_shared<int>(0);
  LazyReclaimer reclaimer;
  SegmentPool pool;
  std::optional<EventLog<Payload>> log(
      EventLogOptions{.pool = &pool, .reclaimer = &reclaimer});
  std::optional<Cursor<Payload>> cursor = *log->Attach();
  for (int i = 0; i < 64 + 1024 + 1; ++i) log->Publish(kValues, Payload(live));
  while (cursor->TryNext()) {
  }
  EXPECT_EQ(*live, 64 + 1024 + 1);
  ASSERT_EQ(reclaimer.jobs.size(), 2u);
  std::move(reclaimer.jobs[0])();
  EXPECT_EQ(*live, 1024 + 1);
  cursor.reset();
  log.reset();
  EXPECT_EQ(*live, 1024 + 1);
  reclaimer.jobs.clear();  // As good as running them.
  EXPECT_EQ(*live, 0);
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(EventLogTest, LogWhoseReadersKeepUpUsesFewSegments) {
  SegmentPool pool;
  EventLog<std::array<uint64_t, 3>> log({.pool = &pool});
  EXPECT_EQ(pool.in_use(), 0u);
  auto first = *log.Attach();
  auto second = *log.Attach();
  for (uint64_t i = 0; i < 200000; ++i) {
    log.Publish(kValues, {i});
    EXPECT_EQ((*first.TryNext())[0], i);
    EXPECT_EQ((*second.TryNext())[0], i);
    ASSERT_LE(pool.in_use(), 4u);
  }
  EXPECT_EQ(pool.slab_bytes(), size_t{2} << 20);
}

// Back-pressure.

TEST(EventLogTest, LogIsCongestedWhileAReaderIsTooFarBehind) {
  StringLog log;
  Cursor<std::string> other = MustAttach(log);
  std::optional<Cursor<std::string>> slow =
      MustAttach(log, {.mask = kValues, .backpressure = 2});
  CountingWaiter waiter;
  log.Publish(kValues, "a");
  EXPECT_FALSE(log.congested());
  EXPECT_FALSE(log.ArmSpace(&waiter));
  log.Publish(kCustom, "b");
  EXPECT_TRUE(log.congested());
  EXPECT_EQ(log.Publish(kValues, "c"), 2u);  // Goes on all the same.
  ASSERT_TRUE(log.ArmSpace(&waiter));
  slow->TryNext();  // Is with a.
  EXPECT_EQ(waiter.wakes, 0);
  EXPECT_TRUE(log.congested());
  slow->TryNext();  // Passes b over, is with c.
  EXPECT_EQ(waiter.wakes, 1);
  EXPECT_FALSE(log.congested());
  EXPECT_FALSE(log.DisarmSpace(&waiter));
}

TEST(EventLogTest, RoomComesWhenTheSlowReaderLeavesOrTheLogIsClosed) {
  StringLog log;
  CountingWaiter waiter;
  std::optional<Cursor<std::string>> slow =
      MustAttach(log, {.backpressure = 1});
  log.Publish(kValues, "a");
  ASSERT_TRUE(log.ArmSpace(&waiter));
  EXPECT_TRUE(log.DisarmSpace(&waiter));
  ASSERT_TRUE(log.ArmSpace(&waiter));
  slow.reset();
  EXPECT_EQ(waiter.wakes, 1);
  EXPECT_FALSE(log.congested());
  slow = MustAttach(log, {.backpressure = 1});
  log.Publish(kValues, "a");
  ASSERT_TRUE(log.ArmSpace(&waiter));
  log.Close(absl::OkStatus());
  EXPECT_EQ(waiter.wakes, 2);
  EXPECT_FALSE(log.congested());
  EXPECT_FALSE(log.ArmSpace(&waiter));
}

TEST(EventLogTest, OvertakenReaderMakesRoom) {
  StringLog log({.window = 4});
  Cursor<std::string> slow = MustAttach(log, {.backpressure = 2});
  CountingWaiter waiter;
  for (int i = 0; i < 6; ++i) log.Publish(kValues, "a");
  ASSERT_TRUE(log.ArmSpace(&waiter));
  EXPECT_FALSE(slow.TryNext());
  EXPECT_EQ(slow.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(waiter.wakes, 1);
}

// Moving cursors.

TEST(CursorTest, MovedCursorGoesOnWhereItWas) {
  StringLog log;
  Cursor<std::string> first = MustAttach(log);
  log.Publish(kValues, "a");
  log.Publish(kValues, "b");
  EXPECT_EQ(*first.TryNext(), "a");
  Cursor<std::string> second = std::move(first);
  EXPECT_EQ(second.last_id(), 0);
  EXPECT_EQ(*second.TryNext(), "b");
  log.Close(absl::AbortedError("stop"));
  EXPECT_FALSE(second.TryNext());
  const Cursor<std::string> third = std::move(second);
  EXPECT_TRUE(third.ended());
  EXPECT_EQ(third.status().code(), absl::StatusCode::kAborted);
}

TEST(CursorTest, AssignmentLeavesTheOldLog) {
  StringLog old_log;
  StringLog new_log;
  Cursor<std::string> cursor = MustAttach(old_log);
  cursor = MustAttach(new_log, {.mask = kCustom});
  EXPECT_EQ(old_log.interest(), 0u);
  EXPECT_EQ(new_log.interest(), kCustom);
  new_log.Publish(kCustom, "a");
  EXPECT_EQ(*cursor.TryNext(), "a");
}

// Waiting.

TEST(CursorTest, NextWaitsForAnEventItWants) {
  StringLog log;
  Cursor<std::string> cursor = MustAttach(log, {.mask = kCustom});
  Cursor<std::string> all = MustAttach(log);
  std::latch started(1);
  std::jthread publisher([&log, &started] {
    started.wait();
    log.Publish(kValues, "not wanted");
    log.Publish(kCustom, "wanted");
  });
  started.count_down();
  auto entry = cursor.Next();
  EXPECT_EQ(entry.id(), 1u);
  EXPECT_EQ(*entry, "wanted");
}

TEST(CursorTest, CloseWakesEveryBlockedReader) {
  StringLog log;
  std::latch attached(4);
  std::vector<std::jthread> readers;
  readers.reserve(4);
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&log, &attached] {
      Cursor<std::string> cursor = MustAttach(log);
      attached.count_down();
      EXPECT_EQ(*cursor.Next(), "last");
      EXPECT_FALSE(cursor.Next());
      EXPECT_TRUE(cursor.ended());
    });
  }
  attached.wait();
  log.Close(absl::OkStatus(), "last");
}

TEST(CursorTest, NextForGivesUp) {
  StringLog log;
  Cursor<std::string> cursor = MustAttach(log, {.mask = kCustom});
  Cursor<std::string> all = MustAttach(log);
  EXPECT_FALSE(cursor.NextFor(absl::ZeroDuration()));
  EXPECT_FALSE(cursor.NextFor(-absl::InfiniteDuration()));
  log.Publish(kValues, "not wanted");
  EXPECT_FALSE(cursor.NextFor(absl::Milliseconds(1)));
  EXPECT_FALSE(cursor.ended());
  log.Publish(kCustom, "a");
  EXPECT_EQ(*cursor.NextFor(absl::ZeroDuration()), "a");
  log.Close(absl::OkStatus());
  EXPECT_FALSE(cursor.NextFor(absl::ZeroDuration()));
  EXPECT_TRUE(cursor.ended());
}

TEST(CursorTest, ArmedWaiterIsWokenOnce) {
  StringLog log;
  Cursor<std::string> cursor = MustAttach(log);
  CountingWaiter waiter;
  ASSERT_TRUE(cursor.Arm(&waiter));
  log.Publish(kValues, "a");
  log.Publish(kValues, "b");
  EXPECT_EQ(waiter.wakes, 1);
  EXPECT_FALSE(cursor.Disarm());
  EXPECT_FALSE(cursor.Arm(&waiter));  // There is an event.
  EXPECT_THAT(Drain(cursor), ElementsAre("0:a", "1:b"));
  ASSERT_TRUE(cursor.Arm(&waiter));
  log.Close(absl::OkStatus());
  EXPECT_EQ(waiter.wakes, 2);
  EXPECT_FALSE(cursor.Arm(&waiter));  // There is the end.
  EXPECT_FALSE(cursor.TryNext());
  EXPECT_FALSE(cursor.Arm(&waiter));
  EXPECT_EQ(waiter.wakes, 2);
}

TEST(CursorTest, BatchWakesOnceAndOnlyWhoWantsIt) {
  StringLog log;
  Cursor<std::string> values = MustAttach(log, {.mask = kValues});
  Cursor<std::string> custom = MustAttach(log, {.mask = kCustom});
  CountingWaiter values_waiter;
  CountingWaiter custom_waiter;
  ASSERT_TRUE(values.Arm(&values_waiter));
  ASSERT_TRUE(custom.Arm(&custom_waiter));
  std::array<BatchEvent<std::string>, 2> batch = {
      {{kValues, "a"}, {kValues, "b"}}};
  log.PublishBatch(batch);
  EXPECT_EQ(values_waiter.wakes, 1);
  // A log may wake those who find nothing then, so that they arm again.
  EXPECT_FALSE(custom.TryNext());
  EXPECT_EQ(custom.Disarm(), custom_waiter.wakes == 0);
}

TEST(CursorTest, DisarmedWaiterIsNotWoken) {
  StringLog log;
  std::optional<Cursor<std::string>> cursor = MustAttach(log);
  CountingWaiter waiter;
  EXPECT_FALSE(cursor->Disarm());
  ASSERT_TRUE(cursor->Arm(&waiter));
  EXPECT_TRUE(cursor->Disarm());
  EXPECT_FALSE(cursor->Disarm());
  ASSERT_TRUE(cursor->Arm(&waiter));
  cursor.reset();  // Disarms.
  log.Publish(kValues, "a");
  log.Close(absl::OkStatus());
  EXPECT_EQ(waiter.wakes, 0);
}

TEST(CursorTest, MovedCursorStaysArmed) {
  StringLog log;
  Cursor<std::string> cursor = MustAttach(log);
  CountingWaiter waiter;
  ASSERT_TRUE(cursor.Arm(&waiter));
  const Cursor<std::string> moved = std::move(cursor);
  log.Publish(kValues, "a");
  EXPECT_EQ(waiter.wakes, 1);
}

// One of a group; keeps the rest of the chain until told to pass it on.
class GroupWaiter final : public Waiter {
 public:
  explicit GroupWaiter(const void* group) : Waiter(group) {}
  void Wake() noexcept override { ++wakes; }
  void WakeWith(WakeChain chain) noexcept override {
    ++wakes;
    rest.emplace(std::move(chain));
  }
  int wakes = 0;
  std::optional<WakeChain> rest;
};

struct ArmedReader {
  ArmedReader(StringLog& log, const void* group)
      : cursor(MustAttach(log)), waiter(group) {
    EXPECT_TRUE(cursor.Arm(&waiter));
  }
  Cursor<std::string> cursor;
  GroupWaiter waiter;
};

int Woken(const std::vector<std::unique_ptr<ArmedReader>>& readers) {
  int woken = 0;
  for (const auto& reader : readers) {
    EXPECT_LE(reader->waiter.wakes, 1);
    woken += reader->waiter.wakes;
  }
  return woken;
}

TEST(CursorTest, PublisherWakesOneOfAGroupWhichPassesItOn) {
  StringLog log;
  int group = 0;
  int other_group = 0;
  std::vector<std::unique_ptr<ArmedReader>> readers;
  for (int i = 0; i < 1000; ++i) {
    readers.push_back(std::make_unique<ArmedReader>(log, &group));
  }
  ArmedReader other(log, &other_group);
  EXPECT_TRUE(readers[500]->cursor.Disarm());
  log.Publish(kValues, "a");
  EXPECT_EQ(Woken(readers), 1);
  EXPECT_EQ(other.waiter.wakes, 1);
  for (int woken = 1; woken < 999; ++woken) {
    for (const auto& reader : readers) {
      if (!reader->waiter.rest.has_value()) continue;
      WakeChain rest = *std::move(reader->waiter.rest);
      reader->waiter.rest.reset();
      std::move(rest).WakeNext();
      break;
    }
    EXPECT_EQ(Woken(readers), woken + 1);
  }
  EXPECT_EQ(readers[500]->waiter.wakes, 0);
}

TEST(CursorTest, DroppedChainWakesTheRest) {
  StringLog log;
  int group = 0;
  std::vector<std::unique_ptr<ArmedReader>> readers;
  for (int i = 0; i < 10; ++i) {
    readers.push_back(std::make_unique<ArmedReader>(log, &group));
  }
  log.Close(absl::OkStatus());
  for (const auto& reader : readers) reader->waiter.rest.reset();
  EXPECT_EQ(Woken(readers), 10);
}

TEST(CursorTest, ReaderMayArmAgainBeforeTheWakeIsPassedOn) {
  StringLog log;
  int group = 0;
  ArmedReader first(log, &group);
  ArmedReader second(log, &group);  // Is woken first, and keeps the chain.
  log.Publish(kValues, "a");
  EXPECT_EQ(second.waiter.wakes, 1);
  EXPECT_TRUE(first.cursor.Disarm());
  EXPECT_EQ(*first.cursor.TryNext(), "a");
  ASSERT_TRUE(first.cursor.Arm(&first.waiter));
  EXPECT_EQ(*second.cursor.TryNext(), "a");
  log.Publish(kValues, "b");
  second.waiter.rest.reset();
  EXPECT_EQ(first.waiter.wakes, 1);
}

TEST(CursorTest, WaitersOfOneCursorMayHaveDifferentGroups) {
  StringLog log;
  int group = 0;
  ArmedReader reader(log, nullptr);
  EXPECT_TRUE(reader.cursor.Disarm());
  GroupWaiter waiter(&group);
  ASSERT_TRUE(reader.cursor.Arm(&waiter));
  log.Publish(kValues, "a");
  EXPECT_EQ(waiter.wakes, 1);
  EXPECT_EQ(reader.waiter.wakes, 0);
}

TEST(CursorTest, LogMayGoOnceItsEndIsRead) {
  for (int i = 0; i < 100; ++i) {
    auto log = std::make_unique<StringLog>();
    std::latch attached(1);
    std::jthread reader([&log, &attached] {
      Cursor<std::string> cursor = MustAttach(*log);
      attached.count_down();
      while (cursor.Next()) {
      }
      log = nullptr;
    });
    attached.wait();
    log->Close(absl::OkStatus(), "last");
  }
}

TEST(CursorTest, WakeMayUseTheLogAndTheCursor) {
  StringLog log;
  Cursor<std::string> cursor = MustAttach(log);
  std::vector<std::string> seen;
  CountingWaiter* self = nullptr;
  CountingWaiter waiter([&] {
    do {
      for (std::string& event : Drain(cursor)) seen.push_back(std::move(event));
      if (seen.size() == 1) log.Publish(kValues, "from Wake()");
    } while (!cursor.ended() && !cursor.Arm(self));
  });
  self = &waiter;
  ASSERT_TRUE(cursor.Arm(&waiter));
  log.Publish(kValues, "a");
  log.Publish(kValues, "b");
  log.Close(absl::OkStatus(), "last");
  EXPECT_THAT(seen, ElementsAre("0:a", "1:from Wake()", "2:b", "3:last"));
  EXPECT_TRUE(cursor.ended());
}

TEST(CursorTest, WakeMayDestroyItsWaiterAndCursor) {
  StringLog log;
  std::optional<Cursor<std::string>> cursor = MustAttach(log);
  std::unique_ptr<CountingWaiter> waiter;
  waiter = std::make_unique<CountingWaiter>([&cursor] { cursor.reset(); });
  std::optional<Cursor<std::string>> other = MustAttach(log);
  CountingWaiter other_waiter;
  ASSERT_TRUE(cursor->Arm(waiter.get()));
  ASSERT_TRUE(other->Arm(&other_waiter));
  log.Publish(kValues, "a");
  EXPECT_FALSE(cursor.has_value());
  EXPECT_EQ(other_waiter.wakes, 1);
}

}  // namespace
}  // namespace weir
