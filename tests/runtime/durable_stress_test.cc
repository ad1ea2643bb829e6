// Runs on workers and a store on its own thread: what is stored, what readers
// get and what ends do not get in each other's way.

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/support/graph_run.h"

#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/runtime.h"

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

}  // namespace
}  // namespace weir
