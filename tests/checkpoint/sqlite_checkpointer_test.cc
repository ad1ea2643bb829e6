#include "weir/checkpoint/sqlite_checkpointer.h"

#include <sqlite3.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/checkpointer_conformance.h"
#include "tests/checkpoint/failing_checkpointer.h"
#include "tests/checkpoint/fault_vfs.h"
#include "tests/checkpoint/sample_threads.h"
#include "tests/checkpoint/temp_folder.h"

namespace weir {
namespace {

using sample::AllOf;
using sample::Open;
using sample::Opened;
using sample::Store;

// One in a folder of its own, which goes with it.
std::unique_ptr<Checkpointer> InFolder(SqliteOptions options) {
  auto folder = std::make_shared<TempFolder>();
  Store store = Opened(folder->File("db"), std::move(options));
  return std::make_unique<FailingCheckpointer>(std::shared_ptr<Checkpointer>(
      store.release(), [folder](Checkpointer* made) { delete made; }));
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(
    Stores, CheckpointerConformanceTest,
    testing::Values(
        CheckpointerCase{"Sqlite", [] { return InFolder({}); }},
        CheckpointerCase{
            "SqliteOneByOne",
            [] { return InFolder({.max_batch_calls = 1, .wal_bytes = 1}); }},
        CheckpointerCase{"SqlitePacks",
                         [] { return InFolder({.pack_checkpoints = 1}); }},
        CheckpointerCase{"SqlitePacksOfThree",
                         [] { return InFolder({.pack_checkpoints = 3}); }}),
    [](const auto& store) { return store.param.name; });

namespace {

NewCheckpoint Make(uint64_t sequence, CheckpointId base, const char* channel,
                   std::string value) {
  NewCheckpoint made;
  made.checkpoint.id = {sequence, 1};
  made.checkpoint.parent = base;
  made.base = base;
  made.checkpoint.channels.push_back(
      {.channel = channel,
       .version = sequence,
       .value = SavedValue::FromBytes(std::move(value))});
  return made;
}

// Some of everything, in values short and long.
void Fill(Checkpointer& store) {
  for (const char* thread : {"one", "two"}) {
    const Fence fence = Open(store, thread);
    CheckpointId base;
    for (uint64_t i = 1; i <= 12; ++i) {
      NewCheckpoint made = Make(i, base, "short", absl::StrFormat("s%d", i));
      Checkpoint& c = made.checkpoint;
      c.channels.insert(
          c.channels.begin(),
          {.channel = "pieces",
           .version = i,
           .appended_to = i - 1,
           .value = SavedValue::FromBytes(absl::StrFormat("piece %d", i))});
      if (i % 4 == 1) {
        c.channels.insert(c.channels.begin(),
                          {.channel = "long",
                           .version = i,
                           .value = SavedValue::FromBytes(
                               std::string(3000, static_cast<char>('a' + i)))});
      }
      c.created_at = absl::FromUnixNanos(1785000000123456789);
      c.metadata.run_id = i % 2 == 0 ? "run" : "";
      c.metadata.step = -1;
      base = c.id;
      ASSERT_TRUE(PutCheckpoint(store, fence, std::move(made)).ok());
      PendingWrite write{.task_id = absl::StrFormat("task%d", i),
                         .channel = "short",
                         .value = SavedValue::FromBytes("w")};
      ASSERT_TRUE(
          PutTaskWrites(store, fence, {"", base, {std::move(write)}}).ok());
    }
  }
}

class SqliteCheckpointerTest : public testing::Test {
 protected:
  TempFolder folder_;
  const std::string path_ = folder_.File("db");
};

TEST_F(SqliteCheckpointerTest, OpeningAgainFindsAllAsItWas) {
  Store store = Opened(path_);
  Fill(*store);
  const std::string before = AllOf(*store);
  store = nullptr;
  EXPECT_FALSE(std::filesystem::exists(path_ + "-wal"));
  store = Opened(path_);
  EXPECT_EQ(AllOf(*store), before);
  const absl::StatusOr<ThreadLease> lease = OpenThread(*store, "one");
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(lease->last_sequence, 12);
  EXPECT_EQ(lease->last_version, 12);
}

TEST_F(SqliteCheckpointerTest, FencesHoldAcrossOpenings) {
  Store store = Opened(path_);
  const Fence stale = Open(*store, "t");
  const Fence valid = Open(*store, "t");
  const Fence deleted = Open(*store, "deleted");
  ASSERT_TRUE(WaitFor<absl::Status>([&](auto done) {
                store->DeleteThread("deleted", std::move(done));
              }).ok());
  store = nullptr;
  store = Opened(path_);
  EXPECT_EQ(PutCheckpoint(*store, stale, Make(1, {}, "a", "v")).code(),
            absl::StatusCode::kAborted);
  EXPECT_TRUE(PutCheckpoint(*store, valid, Make(1, {}, "a", "v")).ok());
  EXPECT_GT(Open(*store, "deleted").epoch, deleted.epoch);
  EXPECT_EQ(PutCheckpoint(*store, deleted, Make(1, {}, "a", "v")).code(),
            absl::StatusCode::kAborted);
  EXPECT_GT(Open(*store, "t").epoch, valid.epoch);
}

TEST_F(SqliteCheckpointerTest, OrderOfWritesHoldsAcrossOpenings) {
  Store store = Opened(path_);
  const Fence fence = Open(*store, "t");
  ASSERT_TRUE(PutCheckpoint(*store, fence, Make(1, {}, "a", "v")).ok());
  for (const char* task : {"z", "m", "a"}) {
    PendingWrite write{.task_id = task, .index = kResumeWrite};
    for (const char* run : {"r1", "r2"}) {
      write.run_id = std::make_shared<const std::string>(run);
      ASSERT_TRUE(PutTaskWrites(*store, fence, {"", {1, 1}, {write}}).ok());
    }
    store = nullptr;
    store = Opened(path_);
  }
  const absl::StatusOr<std::optional<CheckpointTuple>> tuple =
      GetCheckpoint(*store, {.thread = "t"});
  std::string order;
  for (const PendingWrite& w : (*tuple)->writes) {
    order += w.task_id + *w.run_id + " ";
  }
  EXPECT_EQ(order, "zr2 mr2 ar2 ");
}

TEST_F(SqliteCheckpointerTest, ASecondWriterIsRefusedByName) {
  Store store = Opened(path_);
  const absl::Status second = SqliteCheckpointer::Open(path_).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(
      second.message(), absl::StrFormat("process %d on host ", getpid())))
      << second;
  // By another name too.
  std::filesystem::create_symlink(path_, folder_.File("link"));
  EXPECT_EQ(SqliteCheckpointer::Open(folder_.File("link")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  store = nullptr;
  EXPECT_NE(Opened(path_), nullptr);
}

// Changes a number in the file's header, by SQLite.
void SetNumber(const std::string& path, const char* pragma) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, pragma, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
}

void ExpectRefusedAndUntouched(const std::string& path,
                               const std::string& message) {
  const std::string before = FileBytes(path);
  const absl::Status s = SqliteCheckpointer::Open(path).status();
  EXPECT_EQ(s.code(), absl::StatusCode::kFailedPrecondition) << s;
  EXPECT_TRUE(absl::StrContains(s.message(), message)) << s;
  EXPECT_EQ(FileBytes(path), before);
}

TEST_F(SqliteCheckpointerTest, ANewerSchemaIsRefusedAndLeftAsItIs) {
  Fill(*Opened(path_));
  SetNumber(path_, "PRAGMA user_version=4");
  ExpectRefusedAndUntouched(path_, "newer version of weir");
}

TEST_F(SqliteCheckpointerTest, WhatIsNoWeirDatabaseIsRefusedAndLeftAsItIs) {
  const std::string text = folder_.File("text");
  WriteFileBytes(text, std::string(5000, 'x'));
  ExpectRefusedAndUntouched(text, "not a weir database");
  const std::string brief = folder_.File("brief");
  WriteFileBytes(brief, "x");
  ExpectRefusedAndUntouched(brief, "not a weir database");
  for (const char* pragma :
       {"CREATE TABLE t(a)", "PRAGMA journal_mode=WAL; CREATE TABLE t(a)",
        "PRAGMA application_id=7; CREATE TABLE t(a)"}) {
    const std::string other = folder_.File("other");
    std::filesystem::remove(other);
    SetNumber(other, pragma);
    ExpectRefusedAndUntouched(other, "not a weir database");
  }
  EXPECT_FALSE(std::filesystem::exists(text + ".weir-lock"));
}

TEST_F(SqliteCheckpointerTest, BadArgumentsAreRefused) {
  for (const SqliteOptions& options : std::vector<SqliteOptions>{
           {.max_batch_calls = 0}, {.wal_bytes = 0}, {.vfs = "no such"}}) {
    EXPECT_EQ(SqliteCheckpointer::Open(path_, options).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(SqliteCheckpointer::Open("").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(SqliteCheckpointer::Open(folder_.File("no/such")).ok());
}

TEST_F(SqliteCheckpointerTest, ACallThatFailsLeavesItsNeighboursAlone) {
  Store store = Opened(path_);
  const Fence fence = Open(*store, "t");
  const Fence void_fence{.thread = "t", .epoch = fence.epoch + 7};
  std::vector<absl::StatusCode> codes;
  const auto note = [&codes](absl::Status s) { codes.push_back(s.code()); };
  // Held up by an answer, so that all are there for one transaction.
  absl::Notification held, go;
  store->Flush([&held, &go](absl::Status) {
    held.Notify();
    go.WaitForNotification();
  });
  held.WaitForNotification();
  store->Put(fence, Make(1, {}, "a", "1"), note);
  store->Put(void_fence, Make(2, {1, 1}, "a", "2"), note);
  store->Put(fence, Make(2, {9, 9}, "a", "2"), note);
  NewCheckpoint half = Make(2, {1, 1}, "b", std::string(100, 'b'));
  half.checkpoint.channels.push_back(
      {.channel = "c", .version = 2, .appended_to = 9});
  store->Put(fence, std::move(half), note);
  store->Put(fence, Make(2, {1, 1}, "a", "2"), note);
  go.Notify();
  EXPECT_TRUE(WaitFor<absl::Status>([&](auto done) {
                store->Flush(std::move(done));
              }).ok());
  using absl::StatusCode;
  EXPECT_EQ(codes, (std::vector<StatusCode>{
                       StatusCode::kOk, StatusCode::kAborted,
                       StatusCode::kFailedPrecondition,
                       StatusCode::kFailedPrecondition, StatusCode::kOk}));
  EXPECT_EQ(ListCheckpoints(*store)->size(), 2);
}

TEST_F(SqliteCheckpointerTest, TheDestructorMakesWhatWaits) {
  Store store = Opened(path_);
  const Fence fence = Open(*store, "t");
  int answers = 0;
  for (uint64_t i = 1; i <= 1000; ++i) {
    const CheckpointId base = i == 1 ? CheckpointId() : CheckpointId{i - 1, 1};
    store->Put(fence, Make(i, base, "a", "v"), [&answers](absl::Status s) {
      EXPECT_TRUE(s.ok()) << s;
      ++answers;
    });
  }
  store = nullptr;
  EXPECT_EQ(answers, 1000);
  EXPECT_EQ(ListCheckpoints(*Opened(path_))->size(), 1000);
}

TEST_F(SqliteCheckpointerTest, ValuesThatCannotBeStoredAreNamed) {
  Store store = Opened(path_, {.max_value_bytes = 10});
  const Fence fence = Open(*store, "t");
  NewCheckpoint made = Make(1, {}, "a", "v");
  made.checkpoint.channels[0].value =
      SavedValue(std::make_shared<const int>(1), nullptr);
  absl::Status s = PutCheckpoint(*store, fence, std::move(made));
  EXPECT_EQ(s.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(s.message(), "thread 't', channel 'a'")) << s;
  s = PutCheckpoint(*store, fence, Make(1, {}, "a", "more than ten bytes"));
  EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(ListCheckpoints(*store)->empty());
}

TEST_F(SqliteCheckpointerTest, AVersionIsOfOneValue) {
  Store store = Opened(path_);
  const Fence fence = Open(*store, "t");
  const std::string value(100, 'v');
  ASSERT_TRUE(PutCheckpoint(*store, fence, Make(1, {}, "a", value)).ok());
  NewCheckpoint made = Make(2, {}, "a", value);
  made.checkpoint.channels[0].version = 1;
  EXPECT_TRUE(PutCheckpoint(*store, fence, made).ok());
  made = Make(3, {}, "a", std::string(100, 'w'));
  made.checkpoint.channels[0].version = 1;
  EXPECT_EQ(PutCheckpoint(*store, fence, made).code(),
            absl::StatusCode::kFailedPrecondition);
}

int64_t Count(const std::string& path, const char* sql) {
  sqlite3* db = nullptr;
  sqlite3_stmt* statement = nullptr;
  EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_prepare_v2(db, sql, -1, &statement, nullptr), SQLITE_OK);
  EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
  const int64_t count = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return count;
}

TEST_F(SqliteCheckpointerTest, AnUnchangedValueIsStoredOnce) {
  Store store = Opened(path_);
  const Fence fence = Open(*store, "t");
  ASSERT_TRUE(
      PutCheckpoint(*store, fence, Make(1, {}, "long", Noise(100000))).ok());
  for (uint64_t i = 2; i <= 100; ++i) {
    ASSERT_TRUE(
        PutCheckpoint(*store, fence, Make(i, {i - 1, 1}, "a", "v")).ok());
  }
  store = nullptr;
  EXPECT_EQ(Count(path_, "SELECT count(*) FROM value"), 1);
  EXPECT_LT(std::filesystem::file_size(path_), 200000);
}

// The same in rows and in packs of several sizes.
TEST_F(SqliteCheckpointerTest, PacksAnswerAsRowsDo) {
  std::string expected;
  for (const size_t size : std::vector<size_t>{0, 1, 2, 3, 5, 64}) {
    SCOPED_TRACE(size);
    const std::string path = folder_.File(absl::StrFormat("of%d", size));
    Store store = Opened(path, {.pack_checkpoints = size});
    Fill(*store);
    for (const char* thread : {"one", "two"}) {
      const Fence fence = Open(*store, thread);
      for (uint64_t i = 13; i <= 20; ++i) {
        NewCheckpoint made = Make(i, {i - 1, 1}, "pieces", "piece");
        made.checkpoint.channels[0].appended_to = i == 13 ? 12 : i - 1;
        ASSERT_TRUE(PutCheckpoint(*store, fence, std::move(made)).ok());
      }
    }
    const std::string all = AllOf(*store);
    if (size == 0) expected = all;
    EXPECT_EQ(all, expected);
    for (const size_t limit : std::vector<size_t>{0, 1, 7, 39, 100}) {
      for (const uint64_t before : std::vector<uint64_t>{1, 2, 9, 21}) {
        const auto some =
            ListCheckpoints(*store, {.thread = "one",
                                     .before = CheckpointId{before, 1},
                                     .filter = {{"source", "\"\""}},
                                     .limit = limit});
        ASSERT_TRUE(some.ok()) << some.status();
        ASSERT_EQ(some->size(), std::min<size_t>(limit, before - 1));
        for (size_t i = 0; i < some->size(); ++i) {
          EXPECT_EQ((*some)[i].checkpoint.id.sequence, before - 1 - i);
        }
      }
    }
    const auto threads = WaitFor<absl::StatusOr<std::vector<ThreadSummary>>>(
        [&](auto done) { store->ListThreads(std::move(done)); });
    ASSERT_TRUE(threads.ok()) << threads.status();
    ASSERT_EQ(threads->size(), 2);
    EXPECT_EQ((*threads)[1].namespaces.at(0).checkpoints, 20);
    EXPECT_EQ((*threads)[1].namespaces[0].latest, (CheckpointId{20, 1}));
    store = nullptr;
    EXPECT_EQ(AllOf(*Opened(path, {.read_only = true})), expected);
    const auto packed = [&](const char* kind) {
      return Count(path, absl::StrFormat("SELECT total(count) FROM pack "
                                         "WHERE CAST(kind AS TEXT) LIKE '%s'",
                                         kind)
                             .c_str());
    };
    const bool some = size > 0 && size < 64;
    EXPECT_GE(packed("s"), some ? 20 : 0);
    EXPECT_EQ(packed("s") + Count(path, "SELECT count(*) FROM checkpoint"), 40);
    EXPECT_EQ(packed("cpieces") > 0, size > 2 && size < 64);
  }
}

TEST_F(SqliteCheckpointerTest, RowsOfAnOlderOpeningArePackedByAndBy) {
  Store store = Opened(path_, {.pack_checkpoints = 0});
  Fill(*store);
  const std::string before = AllOf(*store);
  store = nullptr;
  EXPECT_EQ(Count(path_, "SELECT count(*) FROM pack"), 0);
  store = Opened(path_, {.pack_checkpoints = 3});
  EXPECT_EQ(AllOf(*store), before);
  const Fence fence = Open(*store, "one");
  for (uint64_t i = 13; i <= 16; ++i) {
    ASSERT_TRUE(
        PutCheckpoint(*store, fence, Make(i, {i - 1, 1}, "short", "v")).ok());
  }
  const std::string after = AllOf(*store);
  EXPECT_TRUE(absl::EndsWith(after, before.substr(before.find('\n') + 1)));
  store = nullptr;
  EXPECT_EQ(Count(path_, "SELECT count(*) FROM checkpoint WHERE ns_id=1"), 4);
  EXPECT_EQ(Count(path_,
                  "SELECT count(*) FROM pack WHERE ns_id=1 AND "
                  "kind=x'73'"),
            4);
}

TEST_F(SqliteCheckpointerTest, WhatIsPutToAPackedCheckpointIsThere) {
  Store store = Opened(path_, {.pack_checkpoints = 3});
  Fill(*store);
  const Fence fence = Open(*store, "one");
  const std::string before = AllOf(*store, "one");
  // Stays the first under its index; and another task's.
  for (const char* task : {"task2", "late"}) {
    PendingWrite write{.task_id = task,
                       .channel = "short",
                       .value = SavedValue::FromBytes("late")};
    ASSERT_TRUE(
        PutTaskWrites(*store, fence, {"", {2, 1}, {std::move(write)}}).ok());
  }
  std::string expected = before;
  const size_t at = expected.find(" task2.0 short=w by nobody");
  ASSERT_NE(at, std::string::npos);
  expected.insert(expected.find('\n', at), " late.0 short=late by nobody");
  EXPECT_EQ(AllOf(*store, "one"), expected);
  // Another checkpoint of its id, and none of an id between.
  NewCheckpoint between = Make(4, {4, 1}, "x", "new");
  between.checkpoint.id = {4, 9};
  EXPECT_TRUE(
      absl::IsFailedPrecondition(PutCheckpoint(*store, fence, between)));
  NewCheckpoint again = Make(5, {4, 1}, "short", "again");
  again.checkpoint.channels[0].version = 13;
  ASSERT_TRUE(PutCheckpoint(*store, fence, std::move(again)).ok());
  const auto got =
      GetCheckpoint(*store, {.thread = "one", .id = CheckpointId{5, 1}});
  ASSERT_TRUE(got.ok() && got->has_value()) << got.status();
  EXPECT_EQ((*got)->writes.size(), 1);
  EXPECT_EQ(ListCheckpoints(*store, {.thread = "one"})->size(), 12);
  // A version that is packed is still of one value.
  NewCheckpoint other = Make(13, {12, 1}, "long", std::string(3000, '#'));
  other.checkpoint.channels[0].version = 5;
  EXPECT_TRUE(absl::IsFailedPrecondition(PutCheckpoint(*store, fence, other)));
}

// What is large stays as it is, beside packs of what is not.
TEST_F(SqliteCheckpointerTest, LargeWritesAndHeadersDoNotMakeLargePacks) {
  std::string expected;
  for (const size_t size : {size_t{0}, size_t{4}}) {
    const std::string path = folder_.File(absl::StrFormat("of%d", size));
    Store store = Opened(path, {.pack_checkpoints = size});
    const Fence fence = Open(*store, "t");
    for (uint64_t i = 1; i <= 20; ++i) {
      NewCheckpoint made = Make(i, {}, "a", Noise(i % 3 * 3000 + 100, i));
      made.checkpoint.metadata.custom["long"] = Noise(i % 5 == 0 ? 700000 : 5);
      ASSERT_TRUE(PutCheckpoint(*store, fence, std::move(made)).ok());
      PendingWrite write{
          .task_id = "task",
          .channel = "a",
          .value = SavedValue::FromBytes(Noise(i % 4 == 0 ? 100000 : 500, i))};
      ASSERT_TRUE(
          PutTaskWrites(*store, fence, {"", {i, 1}, {std::move(write)}}).ok());
    }
    const std::string all = AllOf(*store);
    if (size == 0) expected = all;
    EXPECT_TRUE(all == expected);
    store = nullptr;
    if (size == 0) continue;
    EXPECT_GE(Count(path, "SELECT count(*) FROM pack WHERE kind=x'73'"), 4);
    EXPECT_LE(Count(path, "SELECT max(length(record)) FROM pack"), 1100000);
    EXPECT_GE(Count(path, "SELECT count(*) FROM task_write"), 5);
    EXPECT_LE(Count(path, "SELECT count(*) FROM task_write"), 13);
    EXPECT_LE(Count(path, "SELECT count(*) FROM checkpoint"), 8);
  }
}

// A write that compresses well is small in its row, and large in a pack.
TEST_F(SqliteCheckpointerTest, WritesThatCompressWellDoNotMakeLargePacks) {
  std::string expected;
  for (const size_t size : {size_t{0}, size_t{64}}) {
    const std::string path = folder_.File(absl::StrFormat("of%d", size));
    Store store = Opened(path, {.pack_checkpoints = size});
    const Fence fence = Open(*store, "t");
    for (uint64_t i = 1; i <= 130; ++i) {
      ASSERT_TRUE(PutCheckpoint(*store, fence, Make(i, {}, "a", "v")).ok());
      PendingWrite write{
          .task_id = "task",
          .channel = "a",
          .value = SavedValue::FromBytes(i == 1 ? std::string(1'200'000, '#')
                                                : Noise(40'000, i))};
      ASSERT_TRUE(
          PutTaskWrites(*store, fence, {"", {i, 1}, {std::move(write)}}).ok());
    }
    const std::string all = AllOf(*store);
    if (size == 0) expected = all;
    EXPECT_TRUE(all == expected);
  }
}

TEST_F(SqliteCheckpointerTest, WhatIsDeletedIsNotInTheFileAnyMore) {
  Store store = Opened(path_);
  Fill(*store);
  for (const char* thread : {"one", "two"}) {
    const Fence fence = Open(*store, thread);
    NewCheckpoint made = Make(13, {}, "marked", std::string(100, '#'));
    made.checkpoint.metadata.run_id = "marked";
    ASSERT_TRUE(PutCheckpoint(*store, fence, std::move(made)).ok());
    ASSERT_TRUE(
        PutTaskWrites(*store, fence,
                      {"", {13, 1}, {{.task_id = std::string(100, '#')}}})
            .ok());
  }
  EXPECT_TRUE(WaitFor<absl::Status>([&](auto done) {
                store->DeleteRuns({"marked"}, std::move(done));
              }).ok());
  store = nullptr;
  EXPECT_EQ(FileBytes(path_).find("####"), std::string::npos);
  store = Opened(path_);
  EXPECT_EQ(ListCheckpoints(*store)->size(), 24);
  EXPECT_TRUE(
      WaitFor<absl::Status>([&](auto done) {
        store->Prune({"one", "two"}, PruneMode::kKeepLatest, std::move(done));
      }).ok());
  EXPECT_EQ(ListCheckpoints(*store)->size(), 2);
  store = nullptr;
  // A piece for each checkpoint is still read by History().
  EXPECT_EQ(
      Count(path_, "SELECT count(*) FROM value WHERE channel=x'6c6f6e67'"), 2);
  EXPECT_EQ(Count(path_, "SELECT count(*) FROM task_write"), 2);
}

// Puts `n` checkpoints that all wait for the same transaction, after `base`.
std::vector<absl::Status> PutTogether(Checkpointer& store, const Fence& fence,
                                      uint64_t base, uint64_t n) {
  std::vector<absl::Status> answers;
  absl::Notification held, go;
  store.Flush([&held, &go](absl::Status) {
    held.Notify();
    go.WaitForNotification();
  });
  held.WaitForNotification();
  for (uint64_t i = base + 1; i <= base + n; ++i) {
    const CheckpointId parent =
        i == 1 ? CheckpointId() : CheckpointId{i - 1, 1};
    store.Put(fence, Make(i, parent, "a", "v"),
              [&answers](absl::Status s) { answers.push_back(std::move(s)); });
  }
  go.Notify();
  WaitFor<bool>([&](auto done) {
    store.Flush([done = std::move(done)](absl::Status s) { done(s.ok()); });
  });
  return answers;
}

TEST_F(SqliteCheckpointerTest, CountersTellWhatItHasWritten) {
  FaultVfs vfs;
  Store store = Opened(path_, {.wal_bytes = 1, .vfs = FaultVfs::kName});
  const Fence fence = Open(*store, "t");
  const CheckpointerCounters before = store->counters();
  const int syncs = vfs.syncs();
  ASSERT_TRUE(
      PutCheckpoint(*store, fence, Make(1, {}, "a", Noise(99'999))).ok());
  ASSERT_TRUE(GetCheckpoint(*store, {.thread = "t"}).ok());
  const CheckpointerCounters after = store->counters();
  EXPECT_EQ(after.transactions - before.transactions, 1u);
  EXPECT_EQ(after.syncs - before.syncs,
            static_cast<uint64_t>(vfs.syncs() - syncs));
  // Once to the log, which is then copied to the database.
  EXPECT_GE(after.bytes_written - before.bytes_written, 200'000u);
  EXPECT_LE(after.bytes_written - before.bytes_written, 300'000u);
  store = Opened(path_, {.read_only = true});
  EXPECT_EQ(store->counters().bytes_written, 0u);
}

TEST_F(SqliteCheckpointerTest, WhatWaitsSharesOneSynchronisation) {
  FaultVfs vfs;
  Store store = Opened(path_, {.vfs = FaultVfs::kName});
  const Fence fence = Open(*store, "t");
  int before = vfs.syncs();
  ASSERT_TRUE(PutCheckpoint(*store, fence, Make(1, {}, "a", "v")).ok());
  EXPECT_EQ(vfs.syncs() - before, 1);
  before = vfs.syncs();
  EXPECT_EQ(PutTogether(*store, fence, 1, 200).size(), 200);
  EXPECT_EQ(vfs.syncs() - before, 1);
  before = vfs.syncs();
  EXPECT_TRUE(GetCheckpoint(*store, {.thread = "t"}).ok());
  EXPECT_EQ(vfs.syncs() - before, 0);
  store = nullptr;
}

TEST_F(SqliteCheckpointerTest, AfterAFailedSynchronisationEveryCallFails) {
  FaultVfs vfs;
  Store store = Opened(path_, {.vfs = FaultVfs::kName});
  const Fence fence = Open(*store, "t");
  ASSERT_TRUE(PutCheckpoint(*store, fence, Make(1, {}, "a", "v")).ok());
  vfs.FailSyncs(SQLITE_IOERR_FSYNC);
  for (const absl::Status& s : PutTogether(*store, fence, 1, 3)) {
    EXPECT_EQ(s.code(), absl::StatusCode::kUnavailable) << s;
    EXPECT_TRUE(absl::StrContains(s.message(), "thread 't'")) << s;
  }
  vfs.FailSyncs(SQLITE_OK);
  for (const absl::Status& s :
       {PutCheckpoint(*store, fence, Make(2, {1, 1}, "a", "v")),
        GetCheckpoint(*store, {.thread = "t"}).status(),
        ListCheckpoints(*store).status()}) {
    EXPECT_EQ(s.code(), absl::StatusCode::kUnavailable) << s;
    EXPECT_TRUE(absl::StrContains(s.message(), "opened anew")) << s;
  }
  store = nullptr;
  store = Opened(path_);
  EXPECT_GE(ListCheckpoints(*store)->size(), 1);
  EXPECT_TRUE(PutCheckpoint(*store, fence, Make(9, {1, 1}, "a", "v")).ok());
}

TEST_F(SqliteCheckpointerTest, AFullDiskFailsTheTransactionAlone) {
  FaultVfs vfs;
  Store store = Opened(path_, {.vfs = FaultVfs::kName});
  const Fence fence = Open(*store, "t");
  ASSERT_TRUE(PutCheckpoint(*store, fence, Make(1, {}, "a", "v")).ok());
  const std::string before = AllOf(*store);
  vfs.FailWrites(SQLITE_FULL);
  for (const absl::Status& s : PutTogether(*store, fence, 1, 3)) {
    EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted) << s;
  }
  EXPECT_EQ(AllOf(*store), before);
  vfs.FailWrites(SQLITE_OK);
  EXPECT_TRUE(PutCheckpoint(*store, fence, Make(2, {1, 1}, "a", "v")).ok());
  store = nullptr;
  EXPECT_EQ(ListCheckpoints(*Opened(path_))->size(), 2);
}

// Puts checkpoints, each followed by a write of a task of its own.
void PutLine(Checkpointer& store, uint64_t n) {
  const Fence fence = Open(store, "t");
  for (uint64_t i = 1; i <= n; ++i) {
    const CheckpointId base = i == 1 ? CheckpointId() : CheckpointId{i - 1, 1};
    ASSERT_TRUE(PutCheckpoint(store, fence,
                              Make(i, base, "a", std::string(i * 10, 'x')))
                    .ok());
    PendingWrite write{.task_id = "task", .channel = "a"};
    ASSERT_TRUE(PutTaskWrites(store, fence, {"", {i, 1}, {write}}).ok());
  }
}

// How many of them there are; fails if they are not the first of the line.
size_t CountLine(Checkpointer& store) {
  const absl::StatusOr<std::vector<CheckpointTuple>> all =
      ListCheckpoints(store);
  EXPECT_TRUE(all.ok()) << all.status();
  const size_t n = all.ok() ? all->size() : 0;
  for (size_t i = 0; i < n; ++i) {
    const CheckpointTuple& tuple = (*all)[n - 1 - i];
    EXPECT_EQ(tuple.checkpoint.id.sequence, i + 1);
    EXPECT_EQ(tuple.checkpoint.channels.at(0).value.bytes()->size(),
              (i + 1) * 10);
    EXPECT_GE(tuple.writes.size(), i + 1 < n ? 1 : 0);
  }
  return n;
}

TEST_F(SqliteCheckpointerTest, AfterACrashThereIsWhatWasDone) {
  Store store = Opened(path_);
  PutLine(*store, 20);
  // As the files are at this moment, and with less and less of the log.
  const std::string file = FileBytes(path_);
  const std::string log = FileBytes(path_ + "-wal");
  const std::string copy = folder_.File("copy");
  size_t last = 20;
  for (size_t lost = 0; lost < log.size(); lost += 5000) {
    std::filesystem::remove(copy + "-shm");
    WriteFileBytes(copy, file);
    WriteFileBytes(copy + "-wal", log.substr(0, log.size() - lost));
    const size_t n = CountLine(*Opened(copy));
    EXPECT_LE(n, last);
    EXPECT_TRUE(lost != 0 || n == 20);
    last = n;
  }
  EXPECT_LT(last, 3);
}

TEST_F(SqliteCheckpointerTest, TheLogIsCopiedWhenItHasGrown) {
  Store store = Opened(path_, {.wal_bytes = 1 << 20});
  const Fence fence = Open(*store, "t");
  for (uint64_t i = 1; i <= 100; ++i) {
    const CheckpointId base = i == 1 ? CheckpointId() : CheckpointId{i - 1, 1};
    ASSERT_TRUE(
        PutCheckpoint(*store, fence, Make(i, base, "a", Noise(100000, i)))
            .ok());
  }
  EXPECT_LT(std::filesystem::file_size(path_ + "-wal"), 2 << 20);
  EXPECT_EQ(ListCheckpoints(*store)->size(), 100);
}

}  // namespace
}  // namespace weir
