// Bytes of the files change while nobody has them open. Each answer is then as
// it was, or says that something is damaged.

#include <sqlite3.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/checkpointer_oracle.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waited_calls.h"

#include "weir/checkpoint/internal/checked_pages.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kFrame = kPage + 24;
constexpr size_t kLogHeader = 32;
constexpr uint64_t kSteps = 12;

// The parameter is SqliteOptions::pack_checkpoints.
class SqliteDamageTest : public testing::TestWithParam<size_t> {
 protected:
  SqliteDamageTest() {
    auto store = Opened(path_);
    EXPECT_TRUE(store.ok()) << store.status();
    for (const char* thread : {"one", "two"}) Fill(**store, thread);
    // What a log ends with may be lost; nobody asks for this.
    Fill(**store, "last");
    for (const char* thread : {"one", "two"}) {
      for (uint64_t at = 1; at <= kSteps; ++at) {
        expected_.push_back(ToText(**Get(**store, thread, at)));
      }
    }
    as_after_a_crash_ = FileBytes(path_);
    log_ = FileBytes(path_ + "-wal");
    CopyLogToDatabase();
    with_all_copied_ = FileBytes(path_);
    EXPECT_EQ(FileBytes(path_ + "-wal"), log_);
    store->reset();
    whole_ = FileBytes(path_);
  }

  absl::StatusOr<SqliteStore> Opened(const std::string& path) {
    return SqliteCheckpointer::Open(path, {.pack_checkpoints = GetParam()});
  }

  // Some of everything, in values short and long.
  static void Fill(Checkpointer& store, const std::string& thread) {
    const Fence fence = OpenThread(store, thread)->fence;
    for (uint64_t i = 1; i <= kSteps; ++i) {
      NewCheckpoint made = NextCheckpoint(i, absl::StrFormat("s%d", i));
      Checkpoint& c = made.checkpoint;
      c.metadata.run_id = i % 2 == 0 ? "run" : "";
      c.channels.push_back(
          {.channel = "pieces",
           .version = i,
           .appended_to = i - 1,
           .value = SavedValue::FromBytes(absl::StrFormat("piece %d", i))});
      if (i % 4 == 1) {
        c.channels.push_back({.channel = "long",
                              .version = i,
                              .value = SavedValue::FromBytes(Noise(6000, i))});
      }
      EXPECT_TRUE(PutCheckpoint(store, fence, std::move(made)).ok());
      NewWrites writes{.checkpoint = {i, 1}};
      writes.writes.push_back({.task_id = absl::StrFormat("task%d", i),
                               .channel = "a",
                               .value = SavedValue::FromBytes("w")});
      EXPECT_TRUE(PutTaskWrites(store, fence, std::move(writes)).ok());
    }
  }

  static absl::StatusOr<std::optional<CheckpointTuple>> Get(
      Checkpointer& store, const std::string& thread, uint64_t at) {
    return GetCheckpoint(store, {.thread = thread, .id = CheckpointId{at, 1}});
  }

  // Runs SQL that leaves pages with good checksums.
  void Execute(const std::string& path, const char* sql) {
    const auto vfs = internal::CheckedPages::Register("");
    ASSERT_TRUE(vfs.ok()) << vfs.status();
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE,
                              (*vfs)->name().c_str()),
              SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  void CopyLogToDatabase() { Execute(path_, "PRAGMA wal_checkpoint(PASSIVE)"); }

  // Opens these files; true if something was found to be damaged.
  bool Check(const std::string& database, const std::string& log = "") {
    std::filesystem::remove(damaged_ + "-shm");
    std::filesystem::remove(damaged_ + "-wal");
    WriteFileBytes(damaged_, database);
    if (!log.empty()) WriteFileBytes(damaged_ + "-wal", log);
    return CheckDamaged();
  }
  bool CheckDamaged() {
    const auto store = Opened(damaged_);
    if (!store.ok()) return true;
    bool found = false;
    size_t i = 0;
    for (const char* thread : {"one", "two"}) {
      for (uint64_t at = 1; at <= kSteps; ++at) {
        const auto tuple = Get(**store, thread, at);
        const std::string& right = expected_[i++];
        if (!tuple.ok()) {
          found = true;
          EXPECT_TRUE(absl::IsDataLoss(tuple.status())) << tuple.status();
          EXPECT_TRUE(absl::StrContains(tuple.status().message(), thread));
        } else if (!*tuple || ToText(**tuple) != right) {
          ++wrong_;
        }
      }
    }
    return found;
  }

  size_t Below(size_t n) { return random_() % n; }
  std::string Flipped(std::string bytes, size_t begin, size_t size) {
    char& byte = bytes[begin + Below(size)];
    byte = static_cast<char>(byte ^ 1 << Below(8));
    return bytes;
  }

  TempFolder folder_;
  const std::string path_ = folder_.File("db");
  const std::string damaged_ = folder_.File("damaged");
  std::string as_after_a_crash_;  // With `log_`.
  std::string with_all_copied_;   // With `log_`, which is not cut off yet.
  std::string log_;
  std::string whole_;  // Without a log.
  std::vector<std::string> expected_;
  int wrong_ = 0;
  std::mt19937_64 random_{1};
};

TEST_P(SqliteDamageTest, ABitOfAPageIsFoundByWhoeverReadsThePage) {
  EXPECT_FALSE(Check(whole_));
  size_t read = 0;
  for (size_t page = 0; page < whole_.size(); page += kPage) {
    int found = 0;
    for (int seed = 0; seed < 10; ++seed) {
      found += Check(Flipped(whole_, page, kPage)) ? 1 : 0;
    }
    // Nobody has read it, or everybody has found the damage.
    EXPECT_TRUE(found == 0 || found == 10) << page / kPage << " " << found;
    read += found == 10 ? 1 : 0;
  }
  EXPECT_EQ(wrong_, 0);
  EXPECT_GT(read, whole_.size() / kPage / 2);
}

TEST_P(SqliteDamageTest, APageThatIsZeroedOrElsewhereOrCutOffIsFound) {
  int found = 0;
  for (size_t page = kPage; page < whole_.size(); page += kPage) {
    std::string zeroed = whole_;
    zeroed.replace(page, kPage, kPage, '\0');
    found += Check(zeroed) ? 1 : 0;
    std::string moved = whole_;
    const size_t other = kPage * Below(whole_.size() / kPage);
    moved.replace(page, kPage, whole_, other, kPage);
    found += Check(moved) ? 1 : 0;
    found += Check(whole_.substr(0, page)) ? 1 : 0;
  }
  EXPECT_EQ(wrong_, 0);
  EXPECT_GT(found, 30);
}

TEST_P(SqliteDamageTest, AThousandFlippedBitsGiveNoWrongValue) {
  int found = 0;
  for (int i = 0; i < 1000; ++i) {
    found += Check(Flipped(whole_, 0, whole_.size())) ? 1 : 0;
  }
  EXPECT_EQ(wrong_, 0);
  EXPECT_GT(found, 500);
}

TEST_P(SqliteDamageTest, ARecordInThePlaceOfAnotherIsFound) {
  for (const char* table : {"checkpoint", "value", "task_write", "pack"}) {
    if (table == std::string_view("pack") && GetParam() > kSteps) continue;
    std::filesystem::remove(damaged_ + "-wal");
    WriteFileBytes(damaged_, whole_);
    // The records of one namespace go to the rows of another.
    const std::string sql = absl::StrFormat(
        "CREATE TEMP TABLE t AS SELECT row_number() OVER () AS n, record AS r"
        " FROM %1$s;"
        "UPDATE %1$s AS x SET record=(SELECT r FROM t WHERE t.n = 1 + (SELECT"
        " n FROM t WHERE r=x.record) %% (SELECT count(*) FROM t))",
        table);
    Execute(damaged_, sql.c_str());
    EXPECT_TRUE(CheckDamaged()) << table;
  }
  EXPECT_EQ(wrong_, 0);
}

// Of a log that a crash has left; with and without its pages copied.
TEST_P(SqliteDamageTest, ABitOfTheLogIsFoundOrWasNotKept) {
  for (const std::string* database : {&as_after_a_crash_, &with_all_copied_}) {
    EXPECT_FALSE(Check(*database, log_));
    EXPECT_TRUE(Check(*database, Flipped(log_, 0, kLogHeader)));
    int found = 0, all = 0;
    for (size_t at = kLogHeader; at + kFrame <= log_.size(); at += kFrame) {
      for (int seed = 0; seed < 10; ++seed) {
        found += Check(*database, Flipped(log_, at, kFrame)) ? 1 : 0;
        ++all;
      }
    }
    std::cout << found << " of " << all << " found, " << wrong_ << " wrong\n";
    EXPECT_EQ(wrong_, 0);
  }
}

// Those that say where a page belongs, where a transaction ends, and what it is
// checked by.
TEST_P(SqliteDamageTest, ALogWithoutItsDatabaseIsKept) {
  const auto refused = [this](const absl::Status& s) {
    EXPECT_TRUE(absl::IsDataLoss(s)) << s;
    EXPECT_TRUE(absl::StrContains(s.message(), damaged_ + "-wal")) << s;
    EXPECT_TRUE(FileBytes(damaged_ + "-wal") == log_);
  };
  WriteFileBytes(damaged_ + "-wal", log_);
  refused(SqliteCheckpointer::Open(damaged_).status());
  WriteFileBytes(damaged_, "");
  refused(SqliteCheckpointer::Open(damaged_).status());
}

TEST_P(SqliteDamageTest, ABitOfAHeaderInTheLogIsFoundOrWasNotKept) {
  int found = 0, all = 0;
  for (size_t at = kLogHeader; at + kFrame <= log_.size(); at += 5 * kFrame) {
    for (size_t byte = 0; byte < 24; ++byte) {
      found += Check(as_after_a_crash_, Flipped(log_, at + byte, 1)) ? 1 : 0;
      ++all;
    }
  }
  std::cout << found << " of " << all << " found\n";
  EXPECT_EQ(wrong_, 0);
}

TEST_P(SqliteDamageTest, PacksAreThereIfTheyAreToBe) {
  sqlite3* db = nullptr;
  sqlite3_stmt* count = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_prepare_v2(db, "SELECT count(DISTINCT kind) FROM pack", -1,
                               &count, nullptr),
            SQLITE_OK);
  EXPECT_EQ(sqlite3_step(count), SQLITE_ROW);
  // Of checkpoints, and of pieces.
  EXPECT_EQ(sqlite3_column_int64(count, 0), GetParam() > kSteps ? 0 : 2);
  sqlite3_finalize(count);
  sqlite3_close(db);
}

INSTANTIATE_TEST_SUITE_P(Sizes, SqliteDamageTest, testing::Values(64, 3));

// A damaged row keeps nobody from putting more.
using SqliteDamagedRecordTest = SqliteDamageTest;
TEST_P(SqliteDamagedRecordTest, WhatIsDamagedIsNotPacked) {
  WriteFileBytes(path_, whole_);
  Execute(path_,
          "UPDATE checkpoint SET record=x'57' WHERE ns_id=1 AND "
          "substr(id, 8, 1)=x'02'");
  const auto opened = SqliteCheckpointer::Open(path_, {.pack_checkpoints = 3});
  ASSERT_TRUE(opened.ok()) << opened.status();
  SqliteCheckpointer& store = **opened;
  const Fence fence = OpenThread(store, "one")->fence;
  for (uint64_t i = kSteps + 1; i <= kSteps + 20; ++i) {
    const absl::Status s =
        PutCheckpoint(store, fence, NextCheckpoint(i, "more"));
    ASSERT_TRUE(s.ok()) << s;
  }
  EXPECT_TRUE(
      absl::IsDataLoss(ListCheckpoints(store, {.thread = "one"}).status()));
  EXPECT_EQ(ListCheckpoints(store, {.thread = "two"})->size(), kSteps);
  EXPECT_TRUE(DeleteThread(store, "one").ok());
}
INSTANTIATE_TEST_SUITE_P(Rows, SqliteDamagedRecordTest, testing::Values(64));

using SqliteDamagedPackTest = SqliteDamageTest;
TEST_P(SqliteDamagedPackTest, ItIsNamedAndItsThreadCanBeDeleted) {
  WriteFileBytes(path_, whole_);
  Execute(path_, "UPDATE pack SET record=x'57' WHERE ns_id=1");
  const auto opened = Opened(path_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  const absl::Status s = Get(**opened, "one", 2).status();
  EXPECT_TRUE(absl::IsDataLoss(s)) << s;
  const std::string named = absl::StrFormat(
      "thread 'one', namespace '', the 3 packed checkpoints "
      "from %s to %s",
      CheckpointId{1, 1}.ToString(), CheckpointId{3, 1}.ToString());
  EXPECT_TRUE(absl::StrContains(s.message(), named)) << s;
  EXPECT_TRUE(Get(**opened, "one", kSteps).ok());
  EXPECT_TRUE(Get(**opened, "two", 2).ok());
  EXPECT_TRUE(DeleteThread(**opened, "one").ok());
  EXPECT_EQ(ListCheckpoints(**opened, {.thread = "two"})->size(), kSteps);
}
INSTANTIATE_TEST_SUITE_P(Packs, SqliteDamagedPackTest, testing::Values(3));

}  // namespace
}  // namespace weir
