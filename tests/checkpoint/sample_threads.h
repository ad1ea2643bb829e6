#ifndef WEIR_TESTS_CHECKPOINT_SAMPLE_THREADS_H_
#define WEIR_TESTS_CHECKPOINT_SAMPLE_THREADS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/waited_calls.h"

#include "weir/checkpoint/run_store.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

// Threads to store and to find again, by calls that wait for their answers.
namespace weir {
namespace sample {

using Store = std::unique_ptr<SqliteCheckpointer>;

inline Store Opened(const std::string& path, SqliteOptions options = {}) {
  absl::StatusOr<Store> store = SqliteCheckpointer::Open(path, options);
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}
inline Store ToRead(const std::string& path) {
  return Opened(path, {.read_only = true});
}

inline Fence Open(Checkpointer& store, const std::string& thread) {
  const absl::StatusOr<ThreadLease> lease = OpenThread(store, thread);
  EXPECT_TRUE(lease.ok()) << lease.status();
  return lease.ok() ? lease->fence : Fence();
}

inline std::string TextOf(const CheckpointTuple& tuple) {
  const Checkpoint& c = tuple.checkpoint;
  std::string text = absl::StrFormat(
      "%s/%s/%s<%s@%d %s %d %s", tuple.thread, c.ns, c.id.ToString(),
      c.parent.ToString(), absl::ToUnixNanos(c.created_at), c.metadata.source,
      c.metadata.step, c.metadata.run_id);
  for (const SavedChannel& s : c.channels) {
    text += absl::StrFormat(" %s/%d/%d=%s", s.channel, s.version, s.appended_to,
                            s.value.has_value() ? *s.value.bytes() : "-");
  }
  for (const PendingWrite& w : tuple.writes) {
    text += absl::StrFormat(" %s.%d %s=%s by %s", w.task_id, w.index, w.channel,
                            w.value.has_value() ? *w.value.bytes() : "-",
                            w.run_id == nullptr ? "nobody" : *w.run_id);
  }
  return text;
}

// All checkpoints of a thread, or of all of them.
inline std::string AllOf(Checkpointer& store,
                         std::optional<std::string> thread = {}) {
  const absl::StatusOr<std::vector<CheckpointTuple>> all =
      ListCheckpoints(store, {.thread = std::move(thread)});
  EXPECT_TRUE(all.ok()) << all.status();
  std::string text;
  if (!all.ok()) return text;
  for (const CheckpointTuple& tuple : *all) text += TextOf(tuple) + "\n";
  return text;
}

// A line of `n` checkpoints of one thread, with values short and long, pieces,
// runs and writes.
inline void Fill(Checkpointer& store, const std::string& thread, uint64_t n,
                 const std::string& ns = "") {
  const Fence fence = Open(store, thread);
  CheckpointId base;
  for (uint64_t i = 1; i <= n; ++i) {
    NewCheckpoint made;
    Checkpoint& c = made.checkpoint;
    c.ns = ns;
    c.id = {i, 1};
    c.parent = made.base = base;
    const auto add = [&](const char* channel, uint64_t to, std::string value) {
      c.channels.push_back({.channel = channel,
                            .version = i,
                            .appended_to = to,
                            .value = SavedValue::FromBytes(std::move(value))});
    };
    if (i % 4 == 1) {
      add("long", 0, std::string(3000, static_cast<char>('a' + i % 26)));
    }
    add("pieces", i - 1, absl::StrFormat("%s: piece %d", thread, i));
    add("short", 0, absl::StrFormat("s%d", i));
    c.created_at = absl::FromUnixNanos(1785000000123456789);
    c.metadata.source = "loop";
    c.metadata.run_id = i % 2 == 0 ? "run" : "";
    c.metadata.step = static_cast<int64_t>(i);
    base = c.id;
    ASSERT_TRUE(PutCheckpoint(store, fence, std::move(made)).ok());
    PendingWrite write{.task_id = absl::StrFormat("task%d", i),
                       .channel = "short",
                       .value = SavedValue::FromBytes("w")};
    ASSERT_TRUE(
        PutTaskWrites(store, fence, {ns, base, {std::move(write)}}).ok());
  }
}

// The rows of a thread that has two runs of two rows of events each; the
// second run is unfinished. What is in the rows says where it belongs.
inline void FillRuns(SqliteCheckpointer& store, const std::string& thread,
                     size_t bytes = 40) {
  const auto record = [&](const std::string& what) {
    std::string text = what + " of " + thread + " ";
    // What is long is not to be compressed, so that pages show whose they are.
    while (text.size() < bytes) {
      text += bytes < 1000 ? text : thread + Noise(70, text.size());
    }
    return text;
  };
  RunCommit commit;
  commit.threads.push_back({thread, record("row")});
  for (const char* which : {"first", "second"}) {
    const std::string run = absl::StrFormat("%s run of %s", which, thread);
    const bool unfinished = which == std::string("second");
    commit.runs.push_back({run, thread, unfinished, record(which)});
    commit.events.push_back({run, 0, 3, record("events 0 to 2")});
    commit.events.push_back({run, 3, 1, record("event 3")});
  }
  const absl::Status s = WaitFor<absl::Status>([&](auto done) {
    store.runs()->Commit(std::move(commit), std::move(done));
  });
  ASSERT_TRUE(s.ok()) << s;
}

// All rows of a thread, as RunStore gives them; "nothing" if it has none.
inline std::string RowsOf(SqliteCheckpointer& store,
                          const std::string& thread) {
  RunStore& rows = *store.runs();
  using Found = absl::StatusOr<std::optional<ThreadRows>>;
  const Found found = WaitFor<Found>(
      [&](auto done) { rows.GetThread(thread, std::move(done)); });
  if (!found.ok()) return std::string(found.status().message());
  if (!found->has_value()) return "nothing";
  std::string text = (*found)->thread.record + "\n";
  for (const RunRow& run : (*found)->runs) {
    text += absl::StrFormat("%s %d %s\n", run.run, run.unfinished ? 1 : 0,
                            run.record);
    using Events = absl::StatusOr<std::vector<EventRow>>;
    const Events events = WaitFor<Events>(
        [&](auto done) { rows.ListEvents(run.run, 0, std::move(done)); });
    if (!events.ok()) return std::string(events.status().message());
    for (const EventRow& event : *events) {
      text += absl::StrFormat("%s %d+%d %s\n", event.run, event.first,
                              event.count, event.record);
    }
  }
  return text;
}

// All files of a folder and what is in them.
inline std::map<std::string, std::string> FilesOf(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files[entry.path().filename()] = FileBytes(entry.path());
  }
  return files;
}

}  // namespace sample
}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_SAMPLE_THREADS_H_
