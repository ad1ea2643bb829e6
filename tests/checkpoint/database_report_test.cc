#include "weir/checkpoint/database_report.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/sample_threads.h"
#include "tests/checkpoint/temp_folder.h"

#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

using sample::AllOf;
using sample::FilesOf;
using sample::Fill;
using sample::Opened;
using sample::Store;
using sample::ToRead;

constexpr size_t kPageBytes = 4096;

// Threads of several sizes in one file, each with two namespaces. The name of a
// thread, or its 8 bytes in ids, is in each row of it but that of its namespace
// "".
class ManyThreads {
 public:
  explicit ManyThreads(const std::string& path, size_t pack_checkpoints = 0) {
    const Store store = Opened(path, {.pack_checkpoints = pack_checkpoints});
    for (int i = 0; i < kThreads; ++i) FillOne(*store, i);
    for (int i = 0; i < kThreads; ++i) {
      texts_[NameOf(i)] = AllOf(*store, NameOf(i));
    }
  }

  const std::map<std::string, std::string>& texts() const { return texts_; }

  // The threads that may have something in these bytes.
  std::set<std::string> In(std::string_view bytes) const {
    std::set<std::string> found;
    for (int i = 0; i < kThreads; ++i) {
      const bool in = bytes.find(NameOf(i)) != std::string_view::npos ||
                      bytes.find(MarkOf(i)) != std::string_view::npos;
      if (in) found.insert(NameOf(i));
    }
    return found;
  }

 private:
  static constexpr int kThreads = 7;

  static std::string NameOf(int i) {
    return absl::StrFormat("thread-%c", 'a' + i);
  }
  static uint64_t RandomOf(int i) {
    return 0x5a5a5a5a5a5a5a00 + static_cast<uint64_t>(i);
  }
  static std::string MarkOf(int i) {
    return "\x5a\x5a\x5a\x5a\x5a\x5a\x5a" +
           std::string(1, static_cast<char>(i));
  }
  // Again and again, but not so often that it would be compressed.
  static std::string Repeated(const std::string& name, size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += name + Noise(70, text.size() + bytes);
    return text;
  }

  static void FillOne(Checkpointer& store, int i) {
    const std::string name = NameOf(i);
    const Fence fence = sample::Open(store, name);
    uint64_t sequence = 0;
    for (const std::string& ns : {std::string(), "ns:" + name}) {
      CheckpointId base;
      const uint64_t end = sequence + 2 + static_cast<uint64_t>(i * 5 % 17);
      while (sequence < end) {
        ++sequence;
        NewCheckpoint made;
        Checkpoint& c = made.checkpoint;
        c.ns = ns;
        c.id = {sequence, RandomOf(i)};
        c.parent = made.base = base;
        c.metadata.run_id = sequence % 2 == 0 ? "run of " + name : "";
        c.metadata.custom["long"] =
            "\"" + Repeated(name, sequence % 9 == 0 ? 6000 : 100) + "\"";
        c.channels.push_back(
            {.channel = "of " + name,
             .version = sequence,
             .appended_to = base.has_value() ? sequence - 1 : 0,
             .value = SavedValue::FromBytes(
                 Repeated(name, sequence % 5 == 0 ? 9000 : 80))});
        base = c.id;
        ASSERT_TRUE(PutCheckpoint(store, fence, std::move(made)).ok());
        PendingWrite write{.task_id = "task of " + name,
                           .channel = "of " + name,
                           .value = SavedValue::FromBytes(
                               Repeated(name, sequence % 7 == 0 ? 5000 : 30))};
        ASSERT_TRUE(
            PutTaskWrites(store, fence, {ns, base, {std::move(write)}}).ok());
      }
    }
  }

  std::map<std::string, std::string> texts_;
};

std::map<std::string, DatabaseThread::State> StatesOf(
    const DatabaseReport& report) {
  std::map<std::string, DatabaseThread::State> states;
  for (const DatabaseThread& thread : report.threads) {
    states[thread.name] = thread.state;
  }
  return states;
}
std::string DamageOf(const DatabaseReport& report) {
  std::string text;
  for (const DatabaseDamage& damage : report.damage) {
    text +=
        absl::StrFormat("%s/%s %s\n", damage.thread, damage.ns, damage.what);
  }
  return text;
}

class DatabaseReportTest : public testing::Test {
 protected:
  TempFolder folder_;
  const std::string path_ = folder_.File("db");
  const std::string to_ = folder_.File("saved");

  DatabaseReport Verified(const std::string& path) {
    const absl::StatusOr<DatabaseReport> report = VerifyDatabase(path);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : DatabaseReport();
  }
  void RemoveSaved() {
    for (const char* suffix : {"", "-wal", "-shm", ".weir-lock"}) {
      std::filesystem::remove(to_ + suffix);
    }
  }
};

TEST_F(DatabaseReportTest, AWholeFileHasNoDamageAndIsSavedWhole) {
  const ManyThreads all(path_);
  const auto before = FilesOf(folder_.File(""));
  const DatabaseReport report = Verified(path_);
  EXPECT_TRUE(report.whole()) << DamageOf(report);
  EXPECT_EQ(report.threads.size(), all.texts().size());
  EXPECT_EQ(report.pages, before.at("db").size() / kPageBytes);
  EXPECT_EQ(FilesOf(folder_.File("")), before);

  ASSERT_TRUE(SalvageDatabase(path_, to_).ok());
  EXPECT_EQ(FileBytes(path_), before.at("db"));
  EXPECT_TRUE(Verified(to_).whole());
  const Store saved = Opened(to_);
  for (const auto& [name, text] : all.texts()) {
    EXPECT_EQ(AllOf(*saved, name), text);
  }
}

TEST_F(DatabaseReportTest, RunsAreSavedWithTheirThreads) {
  {
    const Store store = Opened(path_);
    Fill(*store, "both", 3);
    sample::FillRuns(*store, "both", 9000);
    sample::FillRuns(*store, "only rows");
    Fill(*store, "only checkpoints", 3);
  }
  const DatabaseReport report = Verified(path_);
  EXPECT_TRUE(report.whole()) << DamageOf(report);
  // Checkpoints make a thread of the report.
  EXPECT_EQ(report.threads.size(), 2);
  ASSERT_TRUE(SalvageDatabase(path_, to_).ok());
  EXPECT_TRUE(Verified(to_).whole());
  const Store before = Opened(path_);
  const Store saved = Opened(to_);
  for (const char* thread : {"both", "only rows"}) {
    const std::string rows = sample::RowsOf(*saved, thread);
    EXPECT_EQ(rows, sample::RowsOf(*before, thread));
    EXPECT_TRUE(absl::StrContains(rows, "events 0 to 2")) << rows;
  }
  EXPECT_EQ(sample::RowsOf(*saved, "only checkpoints"), "nothing");
  const auto unfinished = WaitFor<absl::StatusOr<std::vector<RunRow>>>(
      [&](auto done) { saved->runs()->ListUnfinished(std::move(done)); });
  ASSERT_TRUE(unfinished.ok()) << unfinished.status();
  ASSERT_EQ(unfinished->size(), 2);
  EXPECT_EQ((*unfinished)[0].run, "second run of both");
}

// Any page of the file may go: what has nothing in it stays, rows that are
// saved are those that were stored, and the new file is whole.
TEST_F(DatabaseReportTest, ADamagedPageCostsNoRunsThatAreNotInIt) {
  constexpr int kThreads = 5;
  std::map<std::string, std::string> rows;
  {
    const Store store = Opened(path_);
    for (int i = 0; i < kThreads; ++i) {
      const std::string thread = absl::StrFormat("thread-%c", 'a' + i);
      sample::FillRuns(*store, thread, size_t{900} << i);
      rows[thread] = sample::RowsOf(*store, thread);
    }
  }
  const std::string whole = FileBytes(path_);
  ASSERT_GT(whole.size() / kPageBytes, 30);
  size_t kept = 0, most = 0;
  for (size_t page = 0; page < whole.size() / kPageBytes; ++page) {
    SCOPED_TRACE(absl::StrFormat("page %d", page + 1));
    std::string bytes = whole;
    bytes[page * kPageBytes + 100] =
        static_cast<char>(bytes[page * kPageBytes + 100] ^ 4);
    WriteFileBytes(path_, bytes);
    const DatabaseReport report = Verified(path_);
    EXPECT_EQ(report.damaged_pages,
              (std::vector<uint32_t>{static_cast<uint32_t>(page + 1)}));
    EXPECT_FALSE(report.damage.empty());
    RemoveSaved();
    ASSERT_TRUE(SalvageDatabase(path_, to_).ok());
    EXPECT_TRUE(Verified(to_).whole());
    const Store saved = Opened(to_);
    const std::string lost = whole.substr(page * kPageBytes, kPageBytes);
    for (const auto& [thread, before] : rows) {
      const std::string after = sample::RowsOf(*saved, thread);
      if (after == before) ++kept;
      EXPECT_TRUE(after == before || absl::StrContains(lost, thread)) << thread;
      ++most;
    }
  }
  EXPECT_GT(kept, most * 7 / 10);
}

TEST_F(DatabaseReportTest, ASavedThreadGoesOnWhereItWas) {
  Fill(*Opened(path_), "t", 5);
  Store store = Opened(path_);
  const Fence before = sample::Open(*store, "t");
  store = nullptr;
  ASSERT_TRUE(SalvageDatabase(path_, to_).ok());
  store = Opened(to_);
  const Fence after = sample::Open(*store, "t");
  EXPECT_GT(after.epoch, before.epoch);
  NewCheckpoint made;
  made.checkpoint.id = {6, 1};
  made.base = {5, 1};
  EXPECT_TRUE(absl::IsAborted(PutCheckpoint(*store, before, made)));
  EXPECT_TRUE(PutCheckpoint(*store, after, made).ok());
}

// What is to be so, whatever has been done to a page: what is whole is saved,
// and what is not is listed.
void ExpectSaved(const ManyThreads& all, const std::string& path,
                 const std::string& to, const std::set<std::string>& touched,
                 size_t& saved) {
  const absl::StatusOr<DatabaseReport> report = SalvageDatabase(path, to);
  ASSERT_TRUE(report.ok()) << report.status();
  const auto states = StatesOf(*report);
  const Store store = Opened(to);
  for (const auto& [name, text] : all.texts()) {
    const auto state = states.find(name);
    const std::string found = AllOf(*store, name);
    if (state != states.end() && state->second == DatabaseThread::kWhole) {
      EXPECT_TRUE(found == text) << name;
    }
    if (!touched.contains(name)) {
      ASSERT_NE(state, states.end()) << name;
      EXPECT_NE(state->second, DatabaseThread::kDamaged) << name << "\n"
                                                         << DamageOf(*report);
      EXPECT_TRUE(found == text) << name;
    }
    if (found == text) ++saved;
  }
}

class EachPageTest : public DatabaseReportTest {
 protected:
  // `spoil` changes a page, given all of them and its place.
  template <class Spoil>
  void ForEachPage(size_t stride, Spoil spoil) {
    const ManyThreads all(path_);
    const std::string whole = FileBytes(path_);
    const size_t pages = whole.size() / kPageBytes;
    ASSERT_GT(pages, 80);
    const std::string damaged = folder_.File("damaged");
    size_t saved = 0, most = 0;
    for (size_t page = 0; page < pages; page += stride) {
      SCOPED_TRACE(absl::StrFormat("page %d", page + 1));
      std::string bytes = whole;
      spoil(bytes, page * kPageBytes);
      WriteFileBytes(damaged, bytes);
      const DatabaseReport report = Verified(damaged);
      EXPECT_EQ(report.damaged_pages,
                (std::vector<uint32_t>{static_cast<uint32_t>(page + 1)}));
      EXPECT_FALSE(report.damage.empty());
      RemoveSaved();
      const auto touched =
          all.In(std::string_view(whole).substr(page * kPageBytes, kPageBytes));
      ExpectSaved(all, damaged, to_, touched, saved);
      most += all.texts().size();
      EXPECT_EQ(FileBytes(damaged), bytes);
      ASSERT_FALSE(HasFatalFailure());
    }
    // A page is of few threads.
    EXPECT_GT(saved, most * 7 / 10);
    RecordProperty("saved_percent", static_cast<int>(100 * saved / most));
    RecordProperty("pages", static_cast<int>(pages));
  }
};

TEST_F(EachPageTest, AChangedBitCostsNoThreadThatItIsNotIn) {
  uint64_t random = 20240717;
  ForEachPage(1, [&random](std::string& bytes, size_t page) {
    random = random * 6364136223846793005 + 1442695040888963407;
    char& byte = bytes[page + (random >> 33) % kPageBytes];
    byte = static_cast<char>(byte ^ 1 << (random >> 20) % 8);
  });
}

TEST_F(EachPageTest, AnEmptyPageCostsNoThreadThatItIsNotIn) {
  ForEachPage(3, [](std::string& bytes, size_t page) {
    bytes.replace(page, kPageBytes, kPageBytes, '\0');
  });
}

TEST_F(EachPageTest, APageInTheWrongPlaceCostsNoThreadThatItIsNotIn) {
  ForEachPage(3, [](std::string& bytes, size_t page) {
    const std::string whole = bytes;
    const size_t other = page == kPageBytes ? 2 * kPageBytes : kPageBytes;
    bytes.replace(page, kPageBytes, whole, other, kPageBytes);
  });
}

// What is in a pack cannot be told from a page's bytes; but a thread is listed
// as damaged, or it is there.
TEST_F(DatabaseReportTest, APageOfPacksThatIsDamagedIsTold) {
  const ManyThreads all(path_, /*pack_checkpoints=*/4);
  const std::string whole = FileBytes(path_);
  EXPECT_TRUE(Verified(path_).whole()) << DamageOf(Verified(path_));
  ASSERT_TRUE(SalvageDatabase(path_, to_).ok());
  EXPECT_EQ(AllOf(*Opened(to_)), AllOf(*Opened(path_)));
  EXPECT_TRUE(Verified(to_).whole());
  // Runs are found by their packs in the new file, too.
  {
    const Store saved = Opened(to_);
    ASSERT_TRUE(WaitFor<absl::Status>([&](auto done) {
                  saved->DeleteRuns({"run of thread-c"}, std::move(done));
                }).ok());
    EXPECT_FALSE(absl::StrContains(AllOf(*saved), "run of thread-c"));
  }
  const std::string damaged = folder_.File("damaged");
  std::set<std::string> names;
  for (const auto& [name, text] : all.texts()) names.insert(name);
  size_t saved = 0, most = 0, packs = 0;
  for (size_t page = 0; page < whole.size(); page += kPageBytes) {
    SCOPED_TRACE(absl::StrFormat("page %d", page / kPageBytes + 1));
    std::string bytes = whole;
    bytes[page + 777] = static_cast<char>(bytes[page + 777] ^ 4);
    WriteFileBytes(damaged, bytes);
    RemoveSaved();
    ExpectSaved(all, damaged, to_, names, saved);
    most += names.size();
    packs += absl::StrContains(DamageOf(Verified(damaged)),
                               "packed checkpoints from 0000")
                 ? 1
                 : 0;
    ASSERT_FALSE(HasFatalFailure());
  }
  EXPECT_GT(saved, most / 2);
  EXPECT_GT(packs, 10);
}

TEST_F(DatabaseReportTest, OfAFileThatIsCutOffTheRestIsSaved) {
  const ManyThreads all(path_);
  const std::string whole = FileBytes(path_);
  for (size_t size = kPageBytes + 7; size < whole.size();
       size += 6 * kPageBytes) {
    WriteFileBytes(path_, whole.substr(0, size));
    RemoveSaved();
    size_t saved = 0;
    ExpectSaved(all, path_, to_,
                all.In(whole.substr(size / kPageBytes * kPageBytes)), saved);
    EXPECT_FALSE(Verified(path_).whole());
  }
}

TEST_F(DatabaseReportTest, WhatIsStillInTheLogCounts) {
  const Store store = Opened(path_);
  Fill(*store, "t", 12);
  const std::string text = AllOf(*store);
  // While it is written, and as a crash would leave it.
  EXPECT_TRUE(Verified(path_).whole());
  const TempFolder left;
  for (const char* name : {"db", "db-wal"}) {
    WriteFileBytes(left.File(name), FileBytes(folder_.File(name)));
  }
  const DatabaseReport report = Verified(left.File("db"));
  EXPECT_TRUE(report.whole()) << DamageOf(report);
  ASSERT_EQ(report.threads.size(), 1);
  EXPECT_EQ(report.threads[0].checkpoints, 12);
  EXPECT_EQ(report.threads[0].writes, 12);
  ASSERT_TRUE(SalvageDatabase(left.File("db"), to_).ok());
  EXPECT_EQ(AllOf(*Opened(to_)), text);
}

TEST_F(DatabaseReportTest, DamageInTheLogIsTold) {
  const Store store = Opened(path_);
  Fill(*store, "t", 12);
  const std::string log = FileBytes(path_ + "-wal");
  const TempFolder left;
  WriteFileBytes(left.File("db"), FileBytes(path_));
  // The header, and a frame in the middle.
  for (const size_t at : {size_t{18}, log.size() / 2}) {
    std::string damaged = log;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    WriteFileBytes(left.File("db-wal"), damaged);
    const DatabaseReport report = Verified(left.File("db"));
    EXPECT_TRUE(absl::StrContains(DamageOf(report), "log is damaged"));
  }
  // A transaction that was cut off is what a crash leaves.
  WriteFileBytes(left.File("db-wal"), log.substr(0, log.size() - 100));
  const DatabaseReport report = Verified(left.File("db"));
  EXPECT_TRUE(report.whole()) << DamageOf(report);
}

TEST_F(DatabaseReportTest, VerifiesWhileItIsWritten) {
  const Store store = Opened(path_, {.wal_bytes = 1});
  for (int i = 0; i < 20; ++i) {
    Fill(*store, absl::StrFormat("t%d", i), 3);
    const DatabaseReport report = Verified(path_);
    EXPECT_TRUE(report.whole()) << DamageOf(report);
    EXPECT_EQ(report.threads.size(), i + 1);
  }
}

TEST_F(DatabaseReportTest, WhatItCannotJudgeIsRefused) {
  EXPECT_TRUE(absl::IsNotFound(VerifyDatabase(path_).status()));
  EXPECT_TRUE(absl::IsNotFound(SalvageDatabase(path_, to_).status()));
  EXPECT_TRUE(FilesOf(folder_.File("")).empty());
  for (const size_t size : {size_t{0}, size_t{50}, size_t{50000}}) {
    WriteFileBytes(path_, std::string(size, 'x'));
    EXPECT_TRUE(absl::IsFailedPrecondition(VerifyDatabase(path_).status()));
  }
  const std::string there = folder_.File("there");
  Fill(*Opened(there), "t", 1);
  EXPECT_TRUE(absl::IsAlreadyExists(SalvageDatabase(there, there).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(SalvageDatabase(there, path_).status()));
}

}  // namespace
}  // namespace weir
