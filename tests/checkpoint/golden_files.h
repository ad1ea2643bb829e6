#ifndef WEIR_TESTS_CHECKPOINT_GOLDEN_FILES_H_
#define WEIR_TESTS_CHECKPOINT_GOLDEN_FILES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/waited_calls.h"

#include "weir/checkpoint/run_store.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

// What the files in tests/checkpoint/golden hold: one for each schema, written
// by the weir that had it, and beside it what that weir answered, as text.
namespace weir {

// A channel's value; with `appended_to`, a piece.
inline SavedChannel GoldenChannel(std::string name, uint64_t version,
                                  std::string bytes, uint64_t appended_to = 0) {
  return {.channel = std::move(name),
          .version = version,
          .appended_to = appended_to,
          .value = SavedValue::FromBytes(std::move(bytes))};
}

// The `i`th checkpoint of `thread`; each third is of a graph inside.
inline NewCheckpoint GoldenCheckpoint(const std::string& thread, uint64_t i,
                                      const CheckpointId& last) {
  NewCheckpoint made;
  Checkpoint& c = made.checkpoint;
  c.ns = i % 3 == 0 ? "sub:1" : "";
  c.id = {i, i * 77};
  c.parent = last;
  c.created_at = absl::FromUnixSeconds(1700000000 + static_cast<int64_t>(i));
  c.metadata.source = i == 1 ? "input" : "loop";
  c.metadata.step = static_cast<int64_t>(i) - 2;
  c.metadata.run_id = i < 4 ? "run-1" : "run-2";
  c.metadata.custom["user"] = absl::StrCat("\"", thread, "\"");
  c.channels.push_back(GoldenChannel("count", i, absl::StrCat(i)));
  if (!c.ns.empty()) return made;
  made.base = last;
  c.channels.push_back(
      i == 1 ? GoldenChannel("notes", i, std::string(200, 'a'))
             : GoldenChannel("notes", i,
                             std::string(80, static_cast<char>('a' + i)),
                             i == 4 ? 2 : i - 1));
  return made;
}

inline NewWrites GoldenWrites(uint64_t i) {
  NewWrites made{.ns = i % 3 == 0 ? "sub:1" : "", .checkpoint = {i, i * 77}};
  made.writes.push_back(
      {.task_id = absl::StrCat("task-", i),
       .task_path = "p",
       .index = i == 5 ? kInterruptWrite : 0,
       .channel = "count",
       .value = SavedValue::FromBytes(absl::StrCat("w", i)),
       .run_id = std::make_shared<const std::string>("run-1")});
  return made;
}

// What schema 1 can hold.
inline void FillGolden1(Checkpointer& store) {
  for (const char* thread : {"ann", "bob"}) {
    const Fence fence = OpenThread(store, thread)->fence;
    CheckpointId last;
    for (uint64_t i = 1; i <= 6; ++i) {
      NewCheckpoint made = GoldenCheckpoint(thread, i, last);
      if (made.checkpoint.ns.empty()) last = made.checkpoint.id;
      EXPECT_TRUE(PutCheckpoint(store, fence, std::move(made)).ok());
      EXPECT_TRUE(PutTaskWrites(store, fence, GoldenWrites(i)).ok());
    }
  }
}

// What came with schema 2.
inline void FillGolden2(Checkpointer& store) {
  RunCommit commit;
  commit.threads = {{"ann", "a thread"}, {"bob", std::string("\0\1", 2)}};
  commit.runs = {{"run-1", "ann", false, "ended"},
                 {"run-2", "ann", true, "runs"},
                 {"run-3", "bob", true, std::string(300, 'r')}};
  commit.events = {{"run-1", 0, 3, std::string(100, 'e')},
                   {"run-1", 3, 1, "the last"},
                   {"run-3", 5, 2, "from the fifth on"}};
  EXPECT_TRUE(WaitFor<absl::Status>([&](auto done) {
                store.runs()->Commit(std::move(commit), std::move(done));
              }).ok());
}

// What schema 3 keeps in another way: a line that is long enough to be packed,
// where it ends; and a value that is compressed.
inline void FillGolden3(Checkpointer& store) {
  const Fence fence = OpenThread(store, "ann")->fence;
  for (uint64_t i = 7; i <= 24; ++i) {
    NewCheckpoint made;
    Checkpoint& c = made.checkpoint;
    c.id = {i, i * 77};
    made.base = c.parent = {i == 7 ? 5 : i - 1, (i == 7 ? 5 : i - 1) * 77};
    c.created_at = absl::FromUnixSeconds(1700000000 + static_cast<int64_t>(i));
    c.metadata.source = "loop";
    c.metadata.step = static_cast<int64_t>(i) - 2;
    c.metadata.run_id = i < 12 ? "run-2" : "run-3";
    c.metadata.custom["user"] = "\"ann\"";
    c.channels.push_back(
        i == 7 ? GoldenChannel("notes", i, std::string(1500, 'n'))
               : GoldenChannel("notes", i,
                               std::string(70, static_cast<char>('a' + i)),
                               i - 1));
    EXPECT_TRUE(PutCheckpoint(store, fence, std::move(made)).ok());
    NewWrites writes = GoldenWrites(i);
    writes.ns = "";
    EXPECT_TRUE(PutTaskWrites(store, fence, std::move(writes)).ok());
  }
}

inline std::string TextOf(const SavedValue& value) {
  return value.has_value() ? "'" + *value.bytes() + "'" : "nothing";
}
inline std::string TextOf(const SavedChannel& channel) {
  return absl::StrFormat("  %s %d on %d: %s\n", channel.channel,
                         channel.version, channel.appended_to,
                         TextOf(channel.value));
}

// All that a store answers of checkpoints, as text.
inline std::string CheckpointsText(Checkpointer& store) {
  const auto all = ListCheckpoints(store);
  EXPECT_TRUE(all.ok()) << all.status();
  if (!all.ok()) return "";
  std::string text;
  for (const CheckpointTuple& tuple : *all) {
    const Checkpoint& c = tuple.checkpoint;
    absl::StrAppendFormat(&text, "%s '%s' %s after %s at %d: %s %d '%s' %s\n",
                          tuple.thread, c.ns, c.id.ToString(),
                          c.parent.ToString(), absl::ToUnixNanos(c.created_at),
                          c.metadata.source, c.metadata.step, c.metadata.run_id,
                          c.metadata.custom.at("user"));
    std::vector<std::string> names;
    for (const SavedChannel& channel : c.channels) {
      text += TextOf(channel);
      names.push_back(channel.channel);
    }
    using Histories = std::vector<std::vector<SavedChannel>>;
    const auto pieces = WaitFor<absl::StatusOr<Histories>>([&](auto done) {
      store.History({tuple.thread, c.ns, c.id}, names, std::move(done));
    });
    EXPECT_TRUE(pieces.ok()) << pieces.status();
    for (const auto& line : pieces.ok() ? *pieces : Histories()) {
      for (const SavedChannel& piece : line) text += "  of" + TextOf(piece);
    }
    for (const PendingWrite& w : tuple.writes) {
      absl::StrAppendFormat(&text, "  %s %s %d %s %s by %s\n", w.task_id,
                            w.task_path, w.index, w.channel, TextOf(w.value),
                            w.run_id == nullptr ? "none" : *w.run_id);
    }
  }
  return text;
}

// The rows of `threads`, their runs and events, as text.
inline std::string RowsText(RunStore& rows) {
  std::string text;
  const auto threads = WaitFor<absl::StatusOr<std::vector<ThreadRow>>>(
      [&](auto done) { rows.ListThreads(std::move(done)); });
  EXPECT_TRUE(threads.ok()) << threads.status();
  for (const ThreadRow& thread : *threads) {
    absl::StrAppendFormat(&text, "%s '%s'\n", thread.thread, thread.record);
    const auto of = WaitFor<absl::StatusOr<std::optional<ThreadRows>>>(
        [&](auto done) { rows.GetThread(thread.thread, std::move(done)); });
    EXPECT_TRUE(of.ok() && of->has_value()) << of.status();
    for (const RunRow& run : (*of)->runs) {
      absl::StrAppendFormat(&text, "  %s %d '%s'\n", run.run, run.unfinished,
                            run.record);
      const auto events = WaitFor<absl::StatusOr<std::vector<EventRow>>>(
          [&](auto done) { rows.ListEvents(run.run, 0, std::move(done)); });
      EXPECT_TRUE(events.ok()) << events.status();
      for (const EventRow& row : *events) {
        absl::StrAppendFormat(&text, "    %d+%d '%s'\n", row.first, row.count,
                              row.record);
      }
    }
  }
  return text;
}

}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_GOLDEN_FILES_H_
