// Workers write threads of their own and one that all fight for, while others
// read, prune, copy and delete; the store is opened anew at the end.
//
// Allowed:    a writer that is fenced, at any call; a reader that finds any
//             checkpoint that was put and not deleted, or none.
// Forbidden:  a checkpoint whose channels are not those that were put with it;
//             a call that is answered twice, never, or out of order; a thread
//             of one's own that has anything but all of one's own; a data race.

#include "weir/checkpoint/sqlite_checkpointer.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waiting_checkpointer.h"

namespace weir {
namespace {

constexpr int kWorkers = 4;
constexpr uint64_t kSteps = 2000;

Fence Open(Checkpointer& store, const std::string& thread) {
  Fence fence;
  WaitingCheckpointer(store).Open(thread,
                                  [&fence](absl::StatusOr<ThreadLease> lease) {
                                    ASSERT_TRUE(lease.ok()) << lease.status();
                                    fence = lease->fence;
                                  });
  return fence;
}

// Both channels hold the same number, one of them far from the other.
NewCheckpoint Make(uint64_t i, uint64_t tag) {
  NewCheckpoint made;
  made.checkpoint.id = {i, tag};
  const std::string number = absl::StrFormat("%d.%d.", i, tag);
  made.checkpoint.channels = {
      {.channel = "a",
       .version = i * 100 + tag,
       .value = SavedValue::FromBytes(number)},
      {.channel = "b",
       .version = i * 100 + tag,
       .value = SavedValue::FromBytes(number + std::string(100, '.'))}};
  return made;
}

void ExpectWhole(const CheckpointTuple& tuple) {
  const Checkpoint& c = tuple.checkpoint;
  const std::string number =
      absl::StrFormat("%d.%d.", c.id.sequence, c.id.random);
  ASSERT_EQ(c.channels.size(), 2);
  EXPECT_EQ(*c.channels[0].value.bytes(), number);
  EXPECT_EQ(*c.channels[1].value.bytes(), number + std::string(100, '.'));
}

// Puts without waiting; answers must come in order.
void WriteOwn(Checkpointer& store, const std::string& thread) {
  const Fence fence = Open(store, thread);
  auto answered = std::make_shared<uint64_t>(0);
  for (uint64_t i = 1; i <= kSteps; ++i) {
    NewCheckpoint made = Make(i, 1);
    if (i > 1) made.base = {i - 1, 1};
    store.Put(fence, std::move(made), [answered, i](absl::Status s) {
      EXPECT_TRUE(s.ok()) << s;
      EXPECT_EQ(++*answered, i);
    });
    if (i % 50 != 0) continue;
    WaitingCheckpointer(store).Flush(
        [](absl::Status s) { EXPECT_TRUE(s.ok()) << s; });
    EXPECT_EQ(*answered, i);
  }
}

void Fight(Checkpointer& store, uint64_t tag) {
  for (int round = 0; round < 20; ++round) {
    const Fence fence = Open(store, "shared");
    for (uint64_t i = 0; i < 5; ++i) {
      NewCheckpoint made = Make(static_cast<uint64_t>(round) * 5 + i + 1, tag);
      store.Put(fence, std::move(made), [](absl::Status s) {
        EXPECT_TRUE(s.ok() || absl::IsAborted(s) ||
                    absl::IsFailedPrecondition(s))
            << s;
      });
    }
  }
}

void Disturb(Checkpointer& store, const std::atomic<bool>& stop) {
  WaitingCheckpointer waiting(store);
  for (int i = 0; !stop.load(std::memory_order_relaxed); ++i) {
    waiting.Get({.thread = i % 2 == 0 ? "shared" : "own0"},
                [](absl::StatusOr<std::optional<CheckpointTuple>> tuple) {
                  ASSERT_TRUE(tuple.ok()) << tuple.status();
                  if (*tuple) ExpectWhole(**tuple);
                });
    if (i % 5 == 0) waiting.CopyThread("shared", "copy", [](absl::Status) {});
    if (i % 7 == 0)
      waiting.Prune({"shared"}, PruneMode::kKeepLatest,
                    [](absl::Status s) { EXPECT_TRUE(s.ok()) << s; });
    if (i % 11 == 0)
      waiting.DeleteThread("copy",
                           [](absl::Status s) { EXPECT_TRUE(s.ok()) << s; });
  }
}

void ExpectAllOwn(Checkpointer& store) {
  WaitingCheckpointer waiting(store);
  for (int w = 0; w < kWorkers; ++w) {
    waiting.List({.thread = absl::StrFormat("own%d", w)},
                 [](absl::StatusOr<std::vector<CheckpointTuple>> all) {
                   ASSERT_TRUE(all.ok()) << all.status();
                   ASSERT_EQ(all->size(), kSteps);
                   for (const CheckpointTuple& tuple : *all) ExpectWhole(tuple);
                 });
  }
}

TEST(SqliteCheckpointerStressTest, ManyThreadsAreWrittenAtOnce) {
  TempFolder folder;
  auto store = SqliteCheckpointer::Open(folder.File("db"));
  ASSERT_TRUE(store.ok()) << store.status();
  // Written once all workers have ended; it carries nothing, so relaxed.
  std::atomic<bool> stop{false};
  std::thread disturber([&] { Disturb(**store, stop); });
  std::vector<std::thread> workers;
  workers.reserve(kWorkers);
  for (int w = 0; w < kWorkers; ++w) {
    workers.emplace_back([&store, w] {
      WriteOwn(**store, absl::StrFormat("own%d", w));
      Fight(**store, static_cast<uint64_t>(w) + 1);
    });
  }
  for (std::thread& worker : workers) worker.join();
  stop.store(true, std::memory_order_relaxed);
  disturber.join();
  ExpectAllOwn(**store);
  store->reset();
  store = SqliteCheckpointer::Open(folder.File("db"));
  ASSERT_TRUE(store.ok()) << store.status();
  ExpectAllOwn(**store);
}

}  // namespace
}  // namespace weir
