// Workers write threads of their own and one that all fight for, while others
// read, prune, copy and delete.
//
// Allowed:    a writer that is fenced, at any call; a reader that finds any
//             checkpoint that was put and not deleted, or none.
// Forbidden:  a checkpoint whose channels are not those that were put with it;
//             two writers of one thread whose puts both succeed after the later
//             one's Open(); a thread of one's own that has anything but one's
//             own; a value that ends twice or never; a data race.

#include "weir/checkpoint/memory_checkpointer.h"

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <latch>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

constexpr int kWorkers = 4;
constexpr int kSteps = 3000;

struct Number {
  explicit Number(uint64_t n) : number(n) {
    live.fetch_add(1, std::memory_order_relaxed);
  }
  Number(const Number&) = delete;
  Number& operator=(const Number&) = delete;
  ~Number() { live.fetch_sub(1, std::memory_order_relaxed); }

  const uint64_t number;
  static inline std::atomic<int64_t> live{0};  // A counter.
};

SavedValue Value(uint64_t number) {
  return {std::make_shared<const Number>(number), nullptr};
}

uint64_t NumberOf(const SavedValue& value) {
  return static_cast<const Number*>(value.shared())->number;
}

ThreadLease Open(Checkpointer& store, const std::string& thread) {
  ThreadLease lease;
  store.Open(thread, [&lease](absl::StatusOr<ThreadLease> result) {
    lease = *std::move(result);
  });
  return lease;
}

// "sum" is all that "a" and "b" are, in every checkpoint.
NewCheckpoint Make(uint64_t sequence, uint64_t tag, CheckpointId base,
                   uint64_t a, std::optional<uint64_t> b, uint64_t sum,
                   const std::string& run_id) {
  NewCheckpoint made;
  made.checkpoint.id = {sequence, tag};
  made.checkpoint.parent = base;
  made.checkpoint.metadata.run_id = run_id;
  made.base = base;
  auto& channels = made.checkpoint.channels;
  channels.push_back({.channel = "a", .version = sequence, .value = Value(a)});
  if (b) {
    channels.push_back(
        {.channel = "b", .version = sequence, .value = Value(*b)});
  }
  channels.push_back(
      {.channel = "sum", .version = sequence, .value = Value(sum)});
  return made;
}

void Check(const CheckpointTuple& tuple) {
  const std::vector<SavedChannel>& channels = tuple.checkpoint.channels;
  ASSERT_EQ(channels.size(), 3);
  ASSERT_EQ(NumberOf(channels[0].value) + NumberOf(channels[1].value),
            NumberOf(channels[2].value));
  for (const PendingWrite& write : tuple.writes) {
    ASSERT_EQ(NumberOf(write.value), tuple.checkpoint.id.sequence);
  }
}

// Writes a thread until fenced, at most `steps` checkpoints. How many.
int WriteThread(Checkpointer& store, const std::string& thread, int steps,
                std::mt19937_64& random, const std::string& run_id) {
  const ThreadLease lease = Open(store, thread);
  CheckpointId base;
  uint64_t a = 0, b = 0;
  for (int i = 0; i < steps; ++i) {
    const uint64_t sequence =
        lease.last_sequence + static_cast<uint64_t>(i) + 1;
    a = random() % 1000;
    const bool both = !base.has_value() || random() % 4 == 0;
    if (both) b = random() % 1000;
    absl::Status status;
    const auto done = [&status](absl::Status s) { status = std::move(s); };
    NewCheckpoint made =
        Make(sequence, lease.fence.epoch, base, a,
             both ? std::optional<uint64_t>(b) : std::nullopt, a + b, run_id);
    base = made.checkpoint.id;
    store.Put(lease.fence, std::move(made), done);
    if (!status.ok()) {
      // Fenced; or the base has been deleted under a writer that is not.
      EXPECT_TRUE(absl::IsAborted(status) || absl::IsFailedPrecondition(status))
          << status;
      return i;
    }
    std::vector<PendingWrite> writes;
    writes.push_back({.task_id = absl::StrFormat("task%d", i),
                      .channel = "a",
                      .value = Value(sequence)});
    store.PutWrites(lease.fence, {"", base, std::move(writes)}, done);
    EXPECT_TRUE(status.ok() || absl::IsAborted(status) ||
                absl::IsFailedPrecondition(status))
        << status;
  }
  return steps;
}

void Read(Checkpointer& store, const std::string& thread,
          std::mt19937_64& random) {
  store.Get({.thread = thread},
            [](absl::StatusOr<std::optional<CheckpointTuple>> tuple) {
              ASSERT_TRUE(tuple.ok());
              if (tuple->has_value()) Check(**tuple);
            });
  CheckpointQuery query{.limit = random() % 20};
  if (random() % 2 == 0) query.thread = thread;
  if (random() % 4 == 0) query.filter["run_id"] = "\"run1\"";
  store.List(query, [](absl::StatusOr<std::vector<CheckpointTuple>> tuples) {
    ASSERT_TRUE(tuples.ok());
    for (const CheckpointTuple& tuple : *tuples) Check(tuple);
  });
  store.History({.thread = thread}, {"a", "b", "sum"},
                [](const auto& histories) {
                  ASSERT_TRUE(histories.ok());
                  if (histories->at(0).empty()) return;
                  ASSERT_EQ(NumberOf(histories->at(0)[0].value) +
                                NumberOf(histories->at(1)[0].value),
                            NumberOf(histories->at(2)[0].value));
                });
}

uint64_t Seed() {
  const uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

template <class Work>
void RunWorkers(int workers, uint64_t seed, Work work) {
  std::latch start(workers);
  std::vector<std::jthread> threads;
  for (int i = 0; i < workers; ++i) {
    threads.emplace_back([i, seed, &start, &work] {
      std::mt19937_64 random(seed + static_cast<uint64_t>(i));
      start.arrive_and_wait();
      work(i, random);
    });
  }
}

TEST(MemoryCheckpointerStressTest, ThreadsOfOnesOwn) {
  {
    MemoryCheckpointer store;
    RunWorkers(kWorkers, Seed(), [&store](int worker, std::mt19937_64& random) {
      const std::string thread = absl::StrFormat("own%d", worker);
      EXPECT_EQ(WriteThread(store, thread, kSteps, random, "run"), kSteps);
      store.List({.thread = thread},
                 [](absl::StatusOr<std::vector<CheckpointTuple>> tuples) {
                   ASSERT_EQ(tuples->size(), kSteps);
                   for (const CheckpointTuple& tuple : *tuples) {
                     Check(tuple);
                     ASSERT_EQ(tuple.writes.size(), 1);
                   }
                 });
      Read(store, thread, random);
    });
  }
  EXPECT_EQ(Number::live.load(std::memory_order_relaxed), 0);
}

TEST(MemoryCheckpointerStressTest, OneThreadFoughtFor) {
  {
    MemoryCheckpointer store;
    std::atomic<int> stored{0};  // A counter.
    RunWorkers(kWorkers, Seed(), [&](int /*worker*/, std::mt19937_64& random) {
      for (int i = 0; i < kSteps / 50; ++i) {
        const int steps = 1 + static_cast<int>(random() % 50);
        stored.fetch_add(WriteThread(store, "shared", steps, random, "run"),
                         std::memory_order_relaxed);
        Read(store, "shared", random);
      }
    });
    store.List({}, [&](absl::StatusOr<std::vector<CheckpointTuple>> tuples) {
      EXPECT_EQ(tuples->size(),
                static_cast<size_t>(stored.load(std::memory_order_relaxed)));
      // Each writer's checkpoints are a run of sequences, and a later writer's
      // are all greater than those of an earlier one (the tag is its epoch).
      for (size_t i = 1; i < tuples->size(); ++i) {
        const CheckpointId later = (*tuples)[i - 1].checkpoint.id;
        const CheckpointId earlier = (*tuples)[i].checkpoint.id;
        ASSERT_EQ(later.sequence, earlier.sequence + 1);
        ASSERT_GE(later.random, earlier.random);
        Check((*tuples)[i]);
      }
    });
  }
  EXPECT_EQ(Number::live.load(std::memory_order_relaxed), 0);
}

TEST(MemoryCheckpointerStressTest, AllCallsAtOnce) {
  {
    MemoryCheckpointer store;
    const std::vector<std::string> threads = {"t0", "t1", "t2", "t3", "t4"};
    RunWorkers(kWorkers, Seed(), [&](int /*worker*/, std::mt19937_64& random) {
      const auto ok = [](absl::Status s) { EXPECT_TRUE(s.ok()) << s; };
      for (int i = 0; i < kSteps / 10; ++i) {
        const std::string& thread = threads[random() % threads.size()];
        const std::string& other = threads[random() % threads.size()];
        switch (random() % 16) {
          case 0:
            store.DeleteThread(thread, ok);
            break;
          case 1:
            store.Prune({thread, other}, PruneMode::kKeepLatest, ok);
            break;
          case 2:
            store.DeleteRuns({absl::StrFormat("run%d", random() % 4)}, ok);
            break;
          case 3:
            store.DeleteThread(other, ok);
            [[fallthrough]];
          case 4:
            store.CopyThread(thread, other, [](absl::Status s) {
              EXPECT_TRUE(s.ok() || absl::IsNotFound(s) ||
                          absl::IsAlreadyExists(s))
                  << s;
            });
            break;
          case 5:
          case 6:
          case 7:
          case 8:
            Read(store, thread, random);
            break;
          default:
            WriteThread(store, thread, static_cast<int>(random() % 40), random,
                        absl::StrFormat("run%d", random() % 4));
        }
      }
    });
  }
  EXPECT_EQ(Number::live.load(std::memory_order_relaxed), 0);
}

}  // namespace
}  // namespace weir
