#include "weir/checkpoint/database_report.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/sample_threads.h"
#include "tests/checkpoint/temp_folder.h"

#include "weir/checkpoint/internal/database.h"
#include "weir/checkpoint/internal/record.h"
#include "weir/checkpoint/internal/stored.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

// Damage that no page tells of, and what a newer weir may have written.
namespace weir {
namespace {

using internal::Database;
using internal::Rows;
using sample::Opened;

class DatabaseDamageTest : public testing::Test {
 protected:
  DatabaseDamageTest() {
    const sample::Store store = Opened(path_);
    sample::Fill(*store, "one", 9, "ns");
    sample::Fill(*store, "two", 9, "ns");
  }

  template <class... Args>
  void Change(const char* sql, const Args&... args) {
    const absl::StatusOr<std::unique_ptr<Database>> db =
        Database::Open(path_, "");
    ASSERT_TRUE(db.ok()) << db.status();
    const absl::Status s = (*db)->Run(sql, args...);
    ASSERT_TRUE(s.ok()) << s;
  }

  // That "one" is damaged, just so, and "two" is not.
  void ExpectDamage(const DatabaseDamage& expected) {
    const absl::StatusOr<DatabaseReport> report = VerifyDatabase(path_);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->damaged_pages.empty());
    ASSERT_FALSE(report->damage.empty());
    const DatabaseDamage& damage = report->damage[0];
    EXPECT_TRUE(absl::StrContains(damage.what, expected.what)) << damage.what;
    EXPECT_EQ(damage.thread, expected.thread);
    EXPECT_EQ(damage.ns, expected.ns);
    EXPECT_EQ(damage.checkpoint, expected.checkpoint);
    EXPECT_EQ(damage.channel, expected.channel);
    ASSERT_EQ(report->threads.size(), 2);
    EXPECT_EQ(report->threads[0].state, DatabaseThread::kDamaged);
    EXPECT_EQ(report->threads[1].state, DatabaseThread::kWhole);
  }

  TempFolder folder_;
  const std::string path_ = folder_.File("db");
};

TEST_F(DatabaseDamageTest, ADamagedThreadIsNamed) {
  Change("UPDATE thread SET record=x'00' WHERE name=?1",
         std::string_view("one"));
  ExpectDamage({.what = "not a record", .thread = "one"});
}

TEST_F(DatabaseDamageTest, ADamagedCheckpointIsNamed) {
  const CheckpointId id{5, 1};
  Change("UPDATE checkpoint SET record=record||x'00' WHERE ns_id=1 AND id=?1",
         id);
  ExpectDamage(
      {.what = "damaged", .thread = "one", .ns = "ns", .checkpoint = id});
}

TEST_F(DatabaseDamageTest, ARecordInAnotherRowIsDamage) {
  Change(
      "UPDATE value SET record=(SELECT record FROM value AS v WHERE"
      " v.ns_id=2 AND v.channel=value.channel AND v.version=value.version)"
      " WHERE ns_id=1 AND channel=?1 AND version=5",
      std::string_view("long"));
  ExpectDamage(
      {.what = "damaged", .thread = "one", .ns = "ns", .channel = "long"});
}

TEST_F(DatabaseDamageTest, AMissingValueIsNamedOnce) {
  Change("DELETE FROM value WHERE ns_id=1 AND channel=?1 AND version=3",
         std::string_view("pieces"));
  ExpectDamage({.what = "version 3 is missing",
                .thread = "one",
                .ns = "ns",
                .checkpoint = {3, 1},
                .channel = "pieces"});
  EXPECT_EQ(VerifyDatabase(path_)->damage.size(), 1);
}

TEST_F(DatabaseDamageTest, ADamagedWriteIsNamed) {
  const CheckpointId id{7, 1};
  Change("UPDATE task_write SET record=x'57' WHERE ns_id=1 AND id=?1", id);
  ExpectDamage(
      {.what = "not a record", .thread = "one", .ns = "ns", .checkpoint = id});
}

TEST_F(DatabaseDamageTest, ADamagedPackIsNamedByTheIdsInIt) {
  {
    const sample::Store store = Opened(path_, {.pack_checkpoints = 3});
    const Fence fence = sample::Open(*store, "one");
    NewCheckpoint made;
    made.checkpoint.ns = "ns";
    made.checkpoint.id = {10, 1};
    made.base = {9, 1};
    ASSERT_TRUE(PutCheckpoint(*store, fence, std::move(made)).ok());
  }
  Change("UPDATE pack SET record=record||x'00' WHERE ns_id=1 AND kind=x'73'");
  ExpectDamage({.what = absl::StrCat("the 3 packed checkpoints from ",
                                     CheckpointId{1, 1}.ToString(), " to ",
                                     CheckpointId{3, 1}.ToString()),
                .thread = "one",
                .ns = "ns",
                .checkpoint = {3, 1}});
}

TEST_F(DatabaseDamageTest, ADamagedPackOfValuesIsNamed) {
  {
    const sample::Store store = Opened(path_, {.pack_checkpoints = 4});
    const Fence fence = sample::Open(*store, "one");
    NewCheckpoint made;
    made.checkpoint.ns = "ns";
    made.checkpoint.id = {10, 1};
    made.base = {9, 1};
    ASSERT_TRUE(PutCheckpoint(*store, fence, std::move(made)).ok());
  }
  Change("UPDATE pack SET record=x'57' WHERE ns_id=1 AND kind<>x'73'");
  ExpectDamage({.what = "2 packed values of channel 'pieces'",
                .thread = "one",
                .ns = "ns",
                .channel = "pieces"});
}

// A thread is whole without what its Runtime keeps: only rows are lost.
class DatabaseReportRunsTest : public DatabaseDamageTest {
 protected:
  DatabaseReportRunsTest() {
    const sample::Store store = Opened(path_);
    for (const char* thread : {"one", "two"}) {
      sample::FillRuns(*store, thread);
      rows_[thread] = sample::RowsOf(*store, thread);
    }
  }

  // That a row of `thread` is damaged, and nothing else; gives its rows as they
  // are saved.
  std::string SavedWithout(const std::string& thread, const std::string& what) {
    const absl::StatusOr<DatabaseReport> report =
        SalvageDatabase(path_, folder_.File("to"));
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) return "";
    EXPECT_EQ(report->damage.size(), 1);
    for (const DatabaseDamage& damage : report->damage) {
      EXPECT_EQ(damage.thread, thread);
      EXPECT_TRUE(absl::StrContains(damage.what, what)) << damage.what;
    }
    for (const DatabaseThread& told : report->threads) {
      EXPECT_EQ(told.state, DatabaseThread::kWhole) << told.name;
    }
    const absl::StatusOr<DatabaseReport> saved =
        VerifyDatabase(folder_.File("to"));
    EXPECT_TRUE(saved.ok() && saved->whole());
    const sample::Store store = Opened(folder_.File("to"));
    EXPECT_EQ(sample::RowsOf(*store, "two"), rows_["two"]);
    EXPECT_NE(sample::AllOf(*store, thread), "");
    return sample::RowsOf(*store, thread);
  }
  // What is left of the rows of `thread` without the lines that hold `part`.
  std::string Without(const std::string& thread, const std::string& part) {
    std::string left;
    for (const auto line : absl::StrSplit(rows_[thread], '\n')) {
      if (line.empty() || absl::StrContains(line, part)) continue;
      absl::StrAppend(&left, line, "\n");
    }
    return left;
  }

  std::map<std::string, std::string> rows_;
};

TEST_F(DatabaseReportRunsTest, ADamagedRunIsNamedAndGoesWithItsEvents) {
  Change("UPDATE run SET record=x'57' WHERE run=?1",
         std::string_view("first run of one"));
  EXPECT_EQ(SavedWithout("one", "run 'first run of one'"),
            Without("one", "first run of one"));
}

TEST_F(DatabaseReportRunsTest, ARunThatSaysOtherwiseThanItsRecordIsDamaged) {
  Change("UPDATE run SET unfinished=0 WHERE run=?1",
         std::string_view("second run of one"));
  EXPECT_EQ(SavedWithout("one", "run 'second run of one'"),
            Without("one", "second run of one"));
}

TEST_F(DatabaseReportRunsTest, DamagedEventsAreNamedAndTheOthersStay) {
  Change("UPDATE event SET record=record||x'00' WHERE run=?1 AND first=3",
         std::string_view("second run of one"));
  EXPECT_EQ(SavedWithout("one", "the 1 events from 3 on"),
            Without("one", "second run of one 3+1"));
}

TEST_F(DatabaseReportRunsTest, EventsInThePlaceOfOthersAreDamaged) {
  Change(
      "UPDATE event SET record=(SELECT record FROM event WHERE run=?1 AND"
      " first=0) WHERE run=?1 AND first=3",
      std::string_view("first run of one"));
  EXPECT_EQ(SavedWithout("one", "the 1 events from 3 on"),
            Without("one", "first run of one 3+1"));
}

// Its runs are saved, and found by their names.
TEST_F(DatabaseReportRunsTest, ADamagedRowOfAThreadIsNamed) {
  Change("UPDATE thread_row SET record=x'00' WHERE thread=?1",
         std::string_view("one"));
  EXPECT_EQ(SavedWithout("one", "the row of thread 'one'"), "nothing");
  const sample::Store store = Opened(folder_.File("to"));
  const auto run =
      WaitFor<absl::StatusOr<std::optional<RunRow>>>([&](auto done) {
        store->runs()->GetRun("first run of one", std::move(done));
      });
  ASSERT_TRUE(run.ok() && run->has_value()) << run.status();
  EXPECT_EQ((*run)->thread, "one");
}

TEST_F(DatabaseReportRunsTest, RowsOfADamagedThreadAreNotSaved) {
  Change("UPDATE thread SET record=x'00' WHERE name=?1",
         std::string_view("one"));
  ASSERT_TRUE(SalvageDatabase(path_, folder_.File("to")).ok());
  const sample::Store store = Opened(folder_.File("to"));
  EXPECT_EQ(sample::RowsOf(*store, "one"), "nothing");
  EXPECT_EQ(sample::RowsOf(*store, "two"), rows_["two"]);
}

TEST_F(DatabaseDamageTest, AValueThatIsAppendedToItselfIsDamage) {
  const internal::StoredNamespace in{.row = 1, .thread = "one", .ns = "ns"};
  Change(
      "UPDATE value SET record=?1 WHERE ns_id=1 AND channel=?2 AND "
      "version=1",
      internal::EncodeValue(in, "pieces", 1, {.appended_to = 9}),
      std::string_view("pieces"));
  ExpectDamage({.what = "is appended to itself",
                .thread = "one",
                .ns = "ns",
                .checkpoint = {2, 1},
                .channel = "pieces"});
}

void ExpectRefusedAndUntouched(const std::string& path,
                               const absl::Status& status,
                               const std::string& before) {
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "newer version of weir"))
      << status;
  EXPECT_EQ(FileBytes(path), before);
}

TEST_F(DatabaseDamageTest, ANewerSchemaIsRefusedAndLeftAsItIs) {
  Change("PRAGMA user_version=4");
  const std::string before = FileBytes(path_);
  ExpectRefusedAndUntouched(path_, VerifyDatabase(path_).status(), before);
  ExpectRefusedAndUntouched(
      path_, SalvageDatabase(path_, folder_.File("to")).status(), before);
  ExpectRefusedAndUntouched(
      path_, SqliteCheckpointer::Open(path_, {.read_only = true}).status(),
      before);
  ExpectRefusedAndUntouched(path_, SqliteCheckpointer::Open(path_).status(),
                            before);
}

TEST_F(DatabaseDamageTest, ARecordOfANewerFormatIsRefusedAndLeftAsItIs) {
  const CheckpointId id{9, 1};
  const std::string framed("\x57\x02\x00\x00\x01\x00\x00\x00p", 9);
  const std::string key =
      internal::Packer().Number('c').Text("one").Text("ns").Id(id).bytes();
  Change("UPDATE checkpoint SET record=?2 WHERE ns_id=1 AND id=?1", id,
         framed + internal::RecordChecksumForTesting(framed, key));
  const std::string before = FileBytes(path_);
  ExpectRefusedAndUntouched(path_, VerifyDatabase(path_).status(), before);
  ExpectRefusedAndUntouched(
      path_, SalvageDatabase(path_, folder_.File("to")).status(), before);
  const sample::Store reader = sample::ToRead(path_);
  ExpectRefusedAndUntouched(
      path_, GetCheckpoint(*reader, {.thread = "one", .ns = "ns"}).status(),
      before);
  EXPECT_TRUE(GetCheckpoint(*reader, {.thread = "two", .ns = "ns"}).ok());
}

// What is read without the first page has to be where it says.
TEST_F(DatabaseDamageTest, TreesBeginWhereTheScanLooksForThem) {
  const absl::StatusOr<std::unique_ptr<Database>> db =
      Database::Open(path_, "");
  Rows rows(**db,
            "SELECT group_concat(name||' '||rootpage, ', ') FROM (SELECT * FROM"
            " sqlite_schema WHERE rootpage <= 10 OR name IN "
            "('thread_row', 'run', 'event') ORDER BY rootpage)");
  ASSERT_TRUE(rows.Next());
  EXPECT_EQ(rows.Bytes(0),
            "number 3, thread 4, sqlite_autoindex_thread_1 5, ns 6, "
            "sqlite_autoindex_ns_1 7, checkpoint 8, value 9, task_write 10, "
            "thread_row 13, run 14, event 18");
}

}  // namespace
}  // namespace weir
