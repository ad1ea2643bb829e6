// Files of every schema that was released open in this weir, with all that they
// held; a migration that is cut off anywhere leaves the old schema or the new.
//
// When the schema changes: build this test before the change, and have it write
// the file of the schema that it knows, which is committed with its text:
//
//   WEIR_WRITE_GOLDEN=1 build/release/tests/checkpoint/tests
//       --file=checkpoint/sqlite_golden_whitebox_test.cc

#include <sqlite3.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/fault_vfs.h"
#include "tests/checkpoint/golden_files.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waited_calls.h"

#include "weir/checkpoint/database_report.h"
#include "weir/checkpoint/internal/checked_pages.h"
#include "weir/checkpoint/internal/record.h"
#include "weir/checkpoint/run_store.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

constexpr int64_t kVersion = 3;  // Of this weir.
const std::string kGolden = "tests/checkpoint/golden/";

class SqliteGoldenTest : public testing::Test {
 protected:
  SqliteStore Opened() {
    auto store = SqliteCheckpointer::Open(path_, {.pack_checkpoints = 4});
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  static std::string Text(SqliteCheckpointer& store) {
    return CheckpointsText(store) + RowsText(*store.runs());
  }
  // A number that SQLite says of the file.
  int64_t Ask(const char* sql) const {
    sqlite3* db = nullptr;
    sqlite3_stmt* asked = nullptr;
    EXPECT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    EXPECT_EQ(sqlite3_prepare_v2(db, sql, -1, &asked, nullptr), SQLITE_OK);
    EXPECT_EQ(sqlite3_step(asked), SQLITE_ROW) << sqlite3_errmsg(db);
    const int64_t number = sqlite3_column_int64(asked, 0);
    sqlite3_finalize(asked);
    sqlite3_close(db);
    return number;
  }
  // The old schema with none of the new tables, or the new with all of them.
  void ExpectOldOrNew() const {
    const int64_t version = Ask("PRAGMA user_version");
    const int64_t tables =
        Ask("SELECT count(*) FROM sqlite_schema WHERE name IN"
            " ('thread_row', 'run', 'event', 'run_thread', 'run_unfinished',"
            " 'pack', 'pack_run')");
    EXPECT_TRUE((version == 1 && tables == 0) ||
                (version == kVersion && tables == 7))
        << version << " with " << tables;
    seen_[version] = true;
  }
  void ExpectAllOfSchema1() {
    ExpectOldOrNew();
    const SqliteStore store = Opened();
    ASSERT_NE(store, nullptr);
    EXPECT_EQ(Text(*store), schema_1_);
  }

  // Makes byte `at` of the record of 'run-1' greater by two, under a checksum
  // that is right, as a later weir would have stored it.
  void SetInRunRow(size_t at) {
    std::string record = RecordOfRun();
    record[at] = static_cast<char>(record[at] + 2);
    const std::string key = internal::Packer()
                                .Number('r')
                                .Text("run-1")
                                .Text("ann")
                                .Number(0)
                                .bytes();
    record.resize(record.size() - 8);
    record += internal::RecordChecksumForTesting(record, key);
    record_set_ = record;
    RunOnRow("UPDATE run SET record=?1 WHERE run=CAST('run-1' AS BLOB)",
             &record_set_);
  }
  std::string RecordOfRun() {
    return RunOnRow("SELECT record FROM run WHERE run=CAST('run-1' AS BLOB)",
                    nullptr);
  }
  const std::string& RecordSet() const { return record_set_; }
  // Runs SQL that leaves pages with good checksums.
  std::string RunOnRow(const char* sql, const std::string* bytes) {
    const auto vfs = internal::CheckedPages::Register("");
    sqlite3* db = nullptr;
    sqlite3_stmt* run = nullptr;
    EXPECT_EQ(sqlite3_open_v2(path_.c_str(), &db, SQLITE_OPEN_READWRITE,
                              (*vfs)->name().c_str()),
              SQLITE_OK);
    EXPECT_EQ(sqlite3_prepare_v2(db, sql, -1, &run, nullptr), SQLITE_OK);
    if (bytes != nullptr) {
      sqlite3_bind_blob64(run, 1, bytes->data(), bytes->size(), SQLITE_STATIC);
    }
    std::string found;
    if (sqlite3_step(run) == SQLITE_ROW) {
      found.assign(static_cast<const char*>(sqlite3_column_blob(run, 0)),
                   static_cast<size_t>(sqlite3_column_bytes(run, 0)));
    }
    sqlite3_finalize(run);
    sqlite3_close(db);
    return found;
  }

  const TempFolder folder_;
  const std::string path_ = folder_.File("db");
  std::string record_set_;
  const std::string schema_1_ = FileBytes(kGolden + "schema_1.txt");
  mutable bool seen_[kVersion + 1] = {};
};

TEST_F(SqliteGoldenTest, AFileOfEachSchemaHasAllThatItHeld) {
  for (int64_t version = 1; version <= kVersion; ++version) {
    SCOPED_TRACE(version);
    const std::string golden = absl::StrCat(kGolden, "schema_", version);
    const std::string bytes = FileBytes(golden + ".db");
    EXPECT_LE(bytes.size(), 100000U);
    WriteFileBytes(path_, bytes);
    EXPECT_EQ(Ask("PRAGMA user_version"), version);
    const std::string text = FileBytes(golden + ".txt");
    EXPECT_FALSE(text.empty());
    for (int opening = 0; opening < 2; ++opening) {
      const SqliteStore store = Opened();
      ASSERT_NE(store, nullptr);
      EXPECT_EQ(Text(*store), text);
    }
    EXPECT_EQ(Ask("PRAGMA user_version"), kVersion);
  }
}

TEST_F(SqliteGoldenTest, AFileOfEachSchemaIsWholeAndIsSaved) {
  for (int64_t version = 1; version <= kVersion; ++version) {
    SCOPED_TRACE(version);
    const std::string golden = absl::StrCat(kGolden, "schema_", version);
    const std::string from = absl::StrCat(path_, version);
    WriteFileBytes(from, FileBytes(golden + ".db"));
    const absl::StatusOr<DatabaseReport> report = SalvageDatabase(from, path_);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->whole()) << report->damage.at(0).what;
    EXPECT_EQ(Text(*Opened()), FileBytes(golden + ".txt"));
    std::filesystem::remove(path_);
  }
}

TEST_F(SqliteGoldenTest, WhatIsStoredTheSameNowIsTheSame) {
  SqliteStore store = Opened();
  FillGolden1(*store);
  EXPECT_EQ(Text(*store), schema_1_);
  FillGolden2(*store);
  EXPECT_EQ(Text(*store), FileBytes(kGolden + "schema_2.txt"));
  FillGolden3(*store);
  EXPECT_EQ(Text(*store), FileBytes(kGolden + "schema_3.txt"));
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here sets it.
  if (std::getenv("WEIR_WRITE_GOLDEN") == nullptr) return;
  const std::string golden = absl::StrCat(kGolden, "schema_", kVersion);
  WriteFileBytes(golden + ".txt", Text(*store));
  store = nullptr;
  WriteFileBytes(golden + ".db", FileBytes(path_));
}

TEST_F(SqliteGoldenTest, AMigratedFileTakesWhatIsNew) {
  WriteFileBytes(path_, FileBytes(kGolden + "schema_1.db"));
  FillGolden2(*Opened());
  EXPECT_EQ(Text(*Opened()), FileBytes(kGolden + "schema_2.txt"));
  FillGolden3(*Opened());
  EXPECT_EQ(Text(*Opened()), FileBytes(kGolden + "schema_3.txt"));
  EXPECT_GT(Ask("SELECT count(*) FROM pack"), 3);
  // What was there before is packed, too.
  WriteFileBytes(path_, FileBytes(kGolden + "schema_2.db"));
  FillGolden3(*Opened());
  EXPECT_EQ(Text(*Opened()), FileBytes(kGolden + "schema_3.txt"));
  EXPECT_GT(Ask("SELECT count(*) FROM pack WHERE ns_id=(SELECT ns_id FROM ns"
                " JOIN thread USING(thread_id) WHERE path=x'' AND"
                " name=CAST('ann' AS BLOB))"),
            0);
}

// Of one record the record's bytes, as the file counts its openings; else the
// whole file.
TEST_F(SqliteGoldenTest, WhatALaterWeirHasStoredIsRefusedAndLeftAsItIs) {
  const std::string old = FileBytes(kGolden + "schema_2.db");
  for (const size_t at : {1u, 2u, 3u}) {  // The format, the codec, the flags.
    SCOPED_TRACE(at);
    WriteFileBytes(path_, old);
    SetInRunRow(at);
    {
      const SqliteStore store = Opened();
      ASSERT_NE(store, nullptr);
      const auto row = WaitFor<absl::StatusOr<std::optional<RunRow>>>(
          [&](auto done) { store->runs()->GetRun("run-1", std::move(done)); });
      EXPECT_TRUE(absl::IsFailedPrecondition(row.status())) << row.status();
      EXPECT_TRUE(absl::StrContains(row.status().message(), "'run-1'"));
      EXPECT_TRUE(absl::StrContains(row.status().message(), "newer version"));
    }
    EXPECT_EQ(RecordOfRun(), RecordSet());
  }
  std::string newer = old;
  newer[63] = kVersion + 1;  // user_version, as the file's header has it.
  WriteFileBytes(path_, newer);
  const absl::Status s = SqliteCheckpointer::Open(path_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
  EXPECT_TRUE(absl::StrContains(s.message(), "newer version")) << s;
  EXPECT_EQ(FileBytes(path_), newer);
  EXPECT_FALSE(std::filesystem::exists(path_ + "-wal"));
}

TEST_F(SqliteGoldenTest, AMigrationThatFailsAnywhereLeavesOldOrNew) {
  FaultVfs vfs;
  const std::string old = FileBytes(kGolden + "schema_1.db");
  for (const bool forever : {true, false}) {
    for (int64_t at = 0, operations = 1; at <= operations; ++at) {
      SCOPED_TRACE(absl::StrCat("operation ", at, forever ? " on" : ""));
      WriteFiles({{FileKind::kDatabase, old}}, path_);
      const int64_t first = vfs.operations();
      vfs.Fail([=](const FileOperation& made, int64_t number) {
        const int64_t n = number - first;
        return n == at || (forever && n > at) ? IoErrorOf(made) : SQLITE_OK;
      });
      const absl::Status s =
          SqliteCheckpointer::Open(path_, {.vfs = FaultVfs::kName}).status();
      operations = vfs.operations() - first;
      vfs.Fail({});
      EXPECT_TRUE(s.ok() || absl::IsUnavailable(s) || absl::IsDataLoss(s)) << s;
      ExpectAllOfSchema1();
    }
  }
  EXPECT_TRUE(seen_[1] && seen_[kVersion]);
}

TEST_F(SqliteGoldenTest, AMigrationThatIsCutOffAnywhereLeavesOldOrNew) {
  FaultVfs vfs;
  WriteFiles({{FileKind::kDatabase, FileBytes(kGolden + "schema_1.db")}},
             path_);
  vfs.Record();
  ASSERT_TRUE(SqliteCheckpointer::Open(path_, {.vfs = FaultVfs::kName}).ok());
  CutDisk disk;
  disk.Make({.op = FileOp::kOpen});
  disk.Make(
      {.op = FileOp::kWrite, .bytes = FileBytes(kGolden + "schema_1.db")});
  disk.Make({.op = FileOp::kSync});
  uint64_t made = 0;
  for (const FileOperation& operation : vfs.TakeRecord()) {
    disk.Make(operation);
    ++made;
    for (const CutDisk::Lost lost :
         {CutDisk::Lost::kAll, CutDisk::Lost::kNone, CutDisk::Lost::kTail,
          CutDisk::Lost::kSome}) {
      SCOPED_TRACE(
          absl::StrCat("cut after ", made, " as ", static_cast<int>(lost)));
      WriteFiles(disk.Cut(lost, made), path_);
      ExpectAllOfSchema1();
    }
  }
  EXPECT_TRUE(seen_[1] && seen_[kVersion]);
  std::cout << made << " operations\n";
}

}  // namespace
}  // namespace weir
