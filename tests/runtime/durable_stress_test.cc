// Runs on workers and a store on its own thread: what is stored, what readers
// get and what ends do not get in each other's way.

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/task.h"

namespace weir {
namespace {

constexpr int kEmits = 40;
constexpr int kStarters = 4;
constexpr int kRunsEach = 6;

// "a" and "b" run side by side and emit; "c" follows.
Graph Emitting() {
  StateGraph builder;
  const NotesChannel notes = AddNotes(builder);
  for (const char* name : {"a", "b"}) {
    builder.AddNode(name, [notes](NodeContext& node) {
      for (int i = 0; i < kEmits; ++i) node.Emit(i);
      return Update(notes, std::string(node.node()));
    });
    builder.AddEdge(kStart, name);
    builder.AddEdge(name, "c");
  }
  builder.AddNode("c", NoteStep{notes});
  return MustCompile(builder);
}

// Reads a run from its first event to its end: ids must have no gap.
void ReadAll(Runtime& runtime, const RunInfo& run, std::atomic<int>& whole) {
  absl::StatusOr<RunStream> stream =
      runtime.JoinStream(run.thread_id, run.id, {.last_event_id = -1});
  ASSERT_TRUE(stream.ok()) << stream.status();
  uint64_t next = 0;
  while (const Event* event = stream->Next()) {
    ASSERT_EQ(event->id(), next++);
  }
  EXPECT_TRUE(stream->status().ok()) << stream->status();
  // Metadata, two tasks' emits, three updates.
  EXPECT_EQ(next, 1U + 2 * kEmits + 3);
  ++whole;
}

TEST(DurableStressTest, ReadersGetAllOfManyRunsThatAreStored) {
  TempFolder folder;
  std::vector<RunInfo> runs;
  std::atomic<int> whole{0};
  for (int round = 0; round < 2; ++round) {
    absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> store =
        SqliteCheckpointer::Open(folder.File("stress.db"));
    ASSERT_TRUE(store.ok()) << store.status();
    TbbExecutor workers(4);
    Runtime runtime({.executor = &workers, .checkpointer = store->get()});
    ASSERT_TRUE(runtime.Register("emitting", Emitting()).ok());
    if (round == 1) {
      // What was stored is there, once more.
      for (const RunInfo& run : runs) ReadAll(runtime, run, whole);
      EXPECT_EQ(whole, 2 * kStarters * kRunsEach);
      break;
    }
    std::vector<std::vector<RunInfo>> started(kStarters);
    std::vector<std::thread> starters;
    for (int s = 0; s < kStarters; ++s) {
      starters.emplace_back([&, s] {
        const ThreadId thread = runtime.CreateThread();
        for (int i = 0; i < kRunsEach; ++i) {
          absl::StatusOr<RunInfo> run =
              runtime.StartRun(thread, "emitting", Update(),
                               {.modes = kUpdates | kCustom,
                                .durability = i % 2 == 0 ? Durability::kSync
                                                         : Durability::kAsync,
                                .resumable = true});
          ASSERT_TRUE(run.ok()) << run.status();
          started[static_cast<size_t>(s)].push_back(*run);
          ReadAll(runtime, *run, whole);
        }
      });
    }
    for (std::thread& starter : starters) starter.join();
    for (const std::vector<RunInfo>& of : started) {
      runs.insert(runs.end(), of.begin(), of.end());
    }
  }
}

// The end of a Runtime meets runs that have begun, wait or end; the next goes
// on with them.
TEST(DurableStressTest, RuntimesFollowOneAnother) {
  TempFolder folder;
  std::vector<RunInfo> runs;
  for (int round = 0; round < 8; ++round) {
    absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> store =
        SqliteCheckpointer::Open(folder.File("stress.db"));
    ASSERT_TRUE(store.ok()) << store.status();
    TbbExecutor workers(4);
    Runtime runtime({.executor = &workers,
                     .checkpointer = store->get(),
                     .on_shutdown = round % 2 == 0 ? OnShutdown::kCancel
                                                   : OnShutdown::kDrain});
    ASSERT_TRUE(runtime.Register("emitting", Emitting()).ok());
    const ThreadId thread = runtime.CreateThread();
    for (int i = 0; i < kRunsEach; ++i) {
      absl::StatusOr<RunInfo> run =
          runtime.StartRun(thread, "emitting", Update(),
                           {.modes = kCustom, .resumable = i % 2 == 0});
      ASSERT_TRUE(run.ok()) << run.status();
      runs.push_back(*run);
    }
    if (round < 7) continue;
    for (const RunInfo& run : runs) {
      const absl::StatusOr<RunOutcome> left =
          runtime.Join(run.thread_id, run.id);
      ASSERT_TRUE(left.ok()) << left.status();
      EXPECT_EQ(left->status, RunStatus::kSuccess) << left->error;
    }
  }
}

// Where coroutines wait for one another: the last to come lets all go on, as
// jobs of their own.
class Together {
 public:
  Together(Executor& executor, size_t count)
      : executor_(executor), count_(count) {}

  struct Call {
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> node) const {
      together->Come(node);
    }
    void await_resume() const {}

    Together* together;
  };
  Call Wait() { return {this}; }

 private:
  void Come(std::coroutine_handle<> node) {
    std::vector<std::coroutine_handle<>> all;
    {
      absl::MutexLock lock(&mutex_);
      waiting_.push_back(node);
      if (waiting_.size() < count_) return;
      all.swap(waiting_);
    }
    for (const std::coroutine_handle<> one : all) {
      executor_.Post([one] { one.resume(); });
    }
  }
  Executor& executor_;
  const size_t count_;
  absl::Mutex mutex_;
  std::vector<std::coroutine_handle<>> waiting_ ABSL_GUARDED_BY(mutex_);
};

// Rounds of 64 tasks that end together. Each adds a bit of its own to a sum,
// and 1 to a count, which the next superstep looks at.
struct Rounds {
  static constexpr uint64_t kTasks = 64;

  StateGraph builder;
  Channel<uint64_t> round = builder.AddChannel("round", LastValue<uint64_t>());
  Channel<uint64_t> bits =
      builder.AddChannel("bits", Reducer<uint64_t>(std::plus<uint64_t>()));
  Channel<uint64_t> count =
      builder.AddChannel("count", Reducer<uint64_t>(std::plus<uint64_t>()));
  Together together;

  Rounds(Executor& executor, uint64_t rounds) : together(executor, kTasks) {
    builder.AddNode("fan", [this, rounds](NodeContext& node) -> NodeResult {
      const uint64_t done = node.Get(round);
      if (node.Get(count) != done * kTasks || node.Get(bits) + done != 0) {
        return absl::DataLossError(absl::StrFormat("after round %d: %d writes",
                                                   done, node.Get(count)));
      }
      Command next{.update = Update(round, done + 1)};
      if (done == rounds) return Update();
      for (uint64_t i = 0; i < kTasks; ++i) {
        next.go_to.push_back(Send("part", uint64_t{1} << i));
      }
      return next;
    });
    builder.AddNode("part", [this](NodeContext& node) -> Task<NodeResult> {
      co_await together.Wait();
      co_return Update(bits, *node.Input<uint64_t>()).Set(count, uint64_t{1});
    });
    builder.AddEdge(kStart, "fan");
    builder.AddEdge("part", "fan");
  }
};

// How many tasks of a thread that had siblings have stored what they wrote.
size_t StoredWrites(Checkpointer& store, const ThreadId& thread) {
  std::set<std::string> tasks;
  absl::Notification done;
  store.List({.thread = thread},
             [&](absl::StatusOr<std::vector<CheckpointTuple>> all) {
               EXPECT_TRUE(all.ok()) << all.status();
               for (const CheckpointTuple& tuple : *all) {
                 if (tuple.writes.size() < 2) continue;
                 for (const PendingWrite& write : tuple.writes) {
                   tasks.insert(write.task_id);
                 }
               }
               done.Notify();
             });
  done.WaitForNotification();
  return tasks.size();
}

// By the environment, for tests/faults.sh.
int64_t NumberOf(const char* name, int64_t otherwise) {
  const char* const text = getenv(name);
  int64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number
                                                            : otherwise;
}

TEST(DurableStressTest, NoWriteOfTasksThatEndTogetherIsLost) {
  constexpr int64_t kRounds = 25;
  const int64_t all = NumberOf("WEIR_ROUNDS", 100);
  TempFolder folder;
  absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> store =
      SqliteCheckpointer::Open(folder.File("stress.db"));
  ASSERT_TRUE(store.ok()) << store.status();
  TbbExecutor workers(4);
  Rounds rounds(workers, kRounds);
  Runtime runtime({.executor = &workers, .checkpointer = store->get()});
  ASSERT_TRUE(runtime.Register("rounds", MustCompile(rounds.builder)).ok());
  for (int64_t done = 0; done < all; done += kRounds) {
    const ThreadId thread = runtime.CreateThread();
    const absl::StatusOr<RunOutcome> left = runtime.Wait(
        thread, "rounds", Update(rounds.round, uint64_t{0}),
        {.durability = done % (2 * kRounds) == 0 ? Durability::kSync
                                                 : Durability::kAsync});
    ASSERT_TRUE(left.ok()) << left.status();
    ASSERT_TRUE(left->error.ok()) << left->error;
    EXPECT_EQ(left->values.Get(rounds.count), kRounds * Rounds::kTasks);
    EXPECT_EQ(StoredWrites(**store, thread), kRounds * Rounds::kTasks);
    ASSERT_TRUE(runtime.DeleteThread(thread).ok());
  }
}

// One heap for all workers: else each keeps of its own what was ever in it.
[[maybe_unused]] const int kOneHeap = mallopt(M_ARENA_MAX, 1);

// Bytes of this process that are in memory; 0 where a sanitizer has its own.
int64_t Resident() {
#if defined(ABSL_HAVE_ADDRESS_SANITIZER) || defined(ABSL_HAVE_THREAD_SANITIZER)
  return 0;
#else
  int64_t pages = 0;
  int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
#endif
}

// A run emits far more than it keeps, while two of its readers sleep. A third
// gets all, and the run waits for it.
TEST(DurableStressTest, ReadersThatSleepCostNeitherMemoryNorOthersAnything) {
  constexpr int64_t kKept = 8'192;
  const int64_t events = NumberOf("WEIR_EVENTS", 30'000);
  TempFolder folder;
  absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> store =
      SqliteCheckpointer::Open(folder.File("stress.db"));
  ASSERT_TRUE(store.ok()) << store.status();
  TbbExecutor workers(4);
  absl::Notification readers_are_there;
  StateGraph builder;
  builder.AddNode("emit", [&](NodeContext& node) -> Task<NodeResult> {
    readers_are_there.WaitForNotification();
    for (int64_t i = 0; i < events; ++i) {
      co_await node.Emit(std::string(1'000, 'x'));
    }
    co_return NodeResult();
  });
  builder.AddEdge(kStart, "emit");
  Runtime runtime({.executor = &workers, .checkpointer = store->get()});
  ASSERT_TRUE(runtime.Register("emit", MustCompile(builder)).ok());
  const absl::StatusOr<RunInfo> run =
      runtime.StartRun(runtime.CreateThread(), "emit", Update(),
                       {.modes = kCustom,
                        .resumable = true,
                        .max_events = static_cast<uint64_t>(kKept)});
  ASSERT_TRUE(run.ok()) << run.status();
  std::vector<RunStream> streams;
  for (const JoinStreamOptions& how :
       {JoinStreamOptions{.last_event_id = -1,
       .backpressure = absl::InfiniteDuration()},
        JoinStreamOptions{.last_event_id = -1},
        JoinStreamOptions{.last_event_id = -1, .on_lag = OnLag::kSkip}}) {
    absl::StatusOr<RunStream> stream =
        runtime.JoinStream(run->thread_id, run->id, how);
    ASSERT_TRUE(stream.ok()) << stream.status();
    streams.push_back(*std::move(stream));
  }
  readers_are_there.Notify();

  RunStream& awake = streams[0];
  int64_t first = 0;
  int64_t most = 0;
  int64_t next = 0;
  while (const Event* event = awake.Next()) {
    ASSERT_EQ(event->id(), static_cast<uint64_t>(next++));
    if (next % 1'024 != 0) continue;
    if (next <= 2 * kKept) first = Resident();
    most = std::max(most, Resident());
  }
  EXPECT_TRUE(awake.status().ok()) << awake.status();
  EXPECT_EQ(next, events + 1) << "and the run's metadata";
  EXPECT_LT(most - first, int64_t{24} << 20);
  RecordProperty("grown_by_kB", static_cast<int>((most - first) / 1'000));

  RunStream& overtaken = streams[1];
  EXPECT_EQ(overtaken.Next(), nullptr);
  EXPECT_TRUE(absl::IsDataLoss(overtaken.status())) << overtaken.status();
  RunStream& skipping = streams[2];
  int64_t got = 0;
  while (const Event* event = skipping.Next()) {
    ++got;
    next = static_cast<int64_t>(event->id());
  }
  EXPECT_TRUE(skipping.status().ok()) << skipping.status();
  EXPECT_EQ(next, events);
  EXPECT_LE(got, kKept + 1);
  EXPECT_EQ(got + static_cast<int64_t>(skipping.missed()), events + 1);
}

}  // namespace
}  // namespace weir
