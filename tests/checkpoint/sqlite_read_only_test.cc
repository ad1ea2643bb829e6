#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/child_process.h"
#include "tests/checkpoint/sample_threads.h"
#include "tests/checkpoint/temp_folder.h"

#include "weir/checkpoint/database_report.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

// What is opened only to be read, and which processes may have a file open.
namespace weir {
namespace {

using sample::AllOf;
using sample::FilesOf;
using sample::Fill;
using sample::Opened;
using sample::Store;
using sample::ToRead;

class SqliteReadOnlyTest : public testing::Test {
 protected:
  TempFolder folder_;
  const std::string path_ = folder_.File("db");
};

NewCheckpoint Next(uint64_t sequence) {
  NewCheckpoint made;
  made.checkpoint.id = {sequence, 1};
  if (sequence > 1) made.base = {sequence - 1, 1};
  made.checkpoint.channels.push_back(
      {.channel = "a",
       .version = sequence,
       .value = SavedValue::FromBytes(std::string(200, 'v'))});
  return made;
}

TEST_F(SqliteReadOnlyTest, SeesWhatAWriterHasDone) {
  Store writer = Opened(path_, {.pack_checkpoints = 3});
  const Store reader = ToRead(path_);
  const Fence fence = sample::Open(*writer, "t");
  for (uint64_t i = 1; i <= 20; ++i) {
    ASSERT_TRUE(PutCheckpoint(*writer, fence, Next(i)).ok());
    const auto latest = GetCheckpoint(*reader, {.thread = "t"});
    ASSERT_TRUE(latest.ok()) << latest.status();
    EXPECT_EQ((*latest)->checkpoint.id.sequence, i);
  }
  EXPECT_EQ(AllOf(*reader), AllOf(*writer));
  writer = nullptr;
  EXPECT_FALSE(std::filesystem::exists(path_ + "-wal"));
  EXPECT_EQ(ListCheckpoints(*reader)->size(), 20);
  writer = Opened(path_);
  ASSERT_TRUE(PutCheckpoint(*writer, fence, Next(21)).ok());
  EXPECT_EQ(ListCheckpoints(*reader)->size(), 21);
}

TEST_F(SqliteReadOnlyTest, ChangesNoFileOfOneThatNobodyHasOpen) {
  Fill(*Opened(path_), "t", 12);
  const auto before = FilesOf(folder_.File(""));
  const Store reader = ToRead(path_);
  EXPECT_EQ(ListCheckpoints(*reader)->size(), 12);
  EXPECT_EQ(FilesOf(folder_.File("")), before);
}

TEST_F(SqliteReadOnlyTest, ChangesNoFileThatACrashHasLeft) {
  Store store = Opened(path_);
  Fill(*store, "t", 12);
  const std::string all = AllOf(*store);
  for (const bool with_index : {false, true}) {
    const TempFolder left;
    for (const auto& [name, bytes] : FilesOf(folder_.File(""))) {
      if (name == "db-shm" && !with_index) continue;
      WriteFileBytes(left.File(name), bytes);
    }
    const auto before = FilesOf(left.File(""));
    ASSERT_GT(before.at("db-wal").size(), 50000);
    EXPECT_EQ(AllOf(*ToRead(left.File("db"))), all);
    EXPECT_EQ(FilesOf(left.File("")), before);
    // And nothing of it is in the way of the next writer.
    EXPECT_EQ(AllOf(*Opened(left.File("db"))), all);
  }
}

// Whether a process that may write neither reads all of `path`.
void ExpectReadByOthers(const std::string& folder, const std::string& path,
                        size_t checkpoints) {
  std::filesystem::permissions(folder, std::filesystem::perms(0555));
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::filesystem::permissions(entry, std::filesystem::perms(0444));
  }
  ChildProcess child([&](const ChildProcess::Teller& teller) {
    constexpr uid_t kNobody = 65534;
    if (geteuid() == 0 && setuid(kNobody) != 0) return 1;
    if (access(folder.c_str(), W_OK) == 0) return 2;
    auto reader = SqliteCheckpointer::Open(path, {.read_only = true});
    if (!reader.ok()) return teller.Tell(reader.status().ToString()), 3;
    const auto all = ListCheckpoints(**reader);
    if (!all.ok()) return teller.Tell(all.status().ToString()), 4;
    return all->size() == checkpoints ? 0 : 5;
  });
  EXPECT_EQ(child.NextLine(), "");
  EXPECT_EQ(child.Join(), 0);
  std::filesystem::permissions(folder, std::filesystem::perms(0755));
}

TEST_F(SqliteReadOnlyTest, ReadsInAFolderThatCannotBeWritten) {
  Fill(*Opened(path_), "t", 12);
  ExpectReadByOthers(folder_.File(""), path_, 12);
  const TempFolder left, live;
  {
    const Store store = Opened(live.File("db"));
    Fill(*store, "t", 12);
    for (const char* name : {"db", "db-wal"}) {
      WriteFileBytes(left.File(name), FileBytes(live.File(name)));
    }
  }
  ExpectReadByOthers(left.File(""), left.File("db"), 12);
}

TEST_F(SqliteReadOnlyTest, CallsThatChangeAreRefused) {
  Fill(*Opened(path_), "t", 3);
  const auto before = FilesOf(folder_.File(""));
  const Store reader = ToRead(path_);
  std::vector<absl::Status> refused;
  const auto note = [&refused](absl::Status s) { refused.push_back(s); };
  reader->Open("t", [&](auto lease) { note(lease.status()); });
  reader->Put({.thread = "t", .epoch = 1}, Next(4), note);
  reader->PutWrites({.thread = "t", .epoch = 1}, {"", {3, 1}, {}}, note);
  reader->DeleteThread("t", note);
  reader->DeleteRuns({"run"}, note);
  reader->CopyThread("t", "u", note);
  reader->Prune({"t"}, PruneMode::kDeleteAll, note);
  ASSERT_EQ(refused.size(), 7);
  for (const absl::Status& s : refused) {
    EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
    EXPECT_TRUE(absl::StrContains(s.message(), "read_only")) << s;
  }
  EXPECT_TRUE(WaitFor<absl::Status>([&](auto done) {
                reader->Flush(std::move(done));
              }).ok());
  EXPECT_EQ(FilesOf(folder_.File("")), before);
}

TEST_F(SqliteReadOnlyTest, WhatIsNoDatabaseOfWeirIsRefused) {
  EXPECT_TRUE(absl::IsNotFound(
      SqliteCheckpointer::Open(path_, {.read_only = true}).status()));
  for (const std::string& bytes : {std::string(), std::string(5000, 'x')}) {
    WriteFileBytes(path_, bytes);
    const absl::Status s =
        SqliteCheckpointer::Open(path_, {.read_only = true}).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
    EXPECT_TRUE(absl::StrContains(s.message(), "not a weir database")) << s;
    EXPECT_EQ(FileBytes(path_), bytes);
  }
}

TEST_F(SqliteReadOnlyTest, DamageIsToldAndNotReadOver) {
  Fill(*Opened(path_), "t", 12);
  std::string bytes = FileBytes(path_);
  for (size_t page = 4096; page < bytes.size(); page += 4096) {
    bytes[page + 100] = static_cast<char>(bytes[page + 100] ^ 4);
  }
  WriteFileBytes(path_, bytes);
  const auto reader = SqliteCheckpointer::Open(path_, {.read_only = true});
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_TRUE(absl::IsDataLoss(ListCheckpoints(**reader).status()));
}

// What a process with the file open says when it has it.
int HoldOpen(const ChildProcess::Teller& teller, const std::string& path) {
  const auto store = SqliteCheckpointer::Open(path);
  teller.Tell(store.ok() ? "open" : store.status().ToString());
  pause();
  return 0;
}

TEST_F(SqliteReadOnlyTest, ASecondProcessIsRefusedUntilTheFirstIsGone) {
  ChildProcess owner([this](const ChildProcess::Teller& teller) {
    return HoldOpen(teller, path_);
  });
  ASSERT_EQ(owner.NextLine(), "open");
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  const std::string name =
      absl::StrFormat("process %d on host %s", owner.pid(), host.data());
  absl::Duration fastest = absl::InfiniteDuration();
  const auto expect_refused = [&] {
    const absl::Time begin = absl::Now();
    const absl::Status s = SqliteCheckpointer::Open(path_).status();
    fastest = std::min(fastest, absl::Now() - begin);
    EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
    EXPECT_TRUE(absl::StrContains(s.message(), name)) << s;
  };
  expect_refused();
  // One that is stopped may go on at any moment.
  owner.Signal(SIGSTOP);
  owner.WaitUntilStopped();
  for (int i = 0; i < 5; ++i) expect_refused();
  EXPECT_EQ(ListCheckpoints(*ToRead(path_))->size(), 0);
  EXPECT_LT(fastest, absl::Milliseconds(100));
  owner.Signal(SIGKILL);
  owner.Join();
  EXPECT_NE(Opened(path_), nullptr);
}

TEST_F(SqliteReadOnlyTest, AFileIsTakenOverAsSoonAsItsOwnerIsDead) {
  absl::Duration fastest = absl::InfiniteDuration();
  for (int i = 0; i < 3; ++i) {
    ChildProcess owner([this](const ChildProcess::Teller& teller) {
      return HoldOpen(teller, path_);
    });
    ASSERT_EQ(owner.NextLine(), "open");
    owner.Signal(SIGKILL);
    const absl::Time killed = absl::Now();
    owner.Join();
    ASSERT_NE(Opened(path_), nullptr);
    fastest = std::min(fastest, absl::Now() - killed);
  }
  EXPECT_LT(fastest, absl::Seconds(1));
}

// The locks that processes have on a file. While other processes take and leave
// some, the kernel may tell a lock twice or pass it over.
std::set<std::string> LocksOn(const std::string& path) {
  struct stat found {};
  EXPECT_EQ(stat(path.c_str(), &found), 0);
  const std::string inode = absl::StrFormat(":%d ", found.st_ino);
  const auto read = [&inode] {
    std::ifstream all("/proc/locks");
    std::set<std::string> locks;
    for (std::string line; std::getline(all, line);) {
      if (!absl::StrContains(line, inode)) continue;
      locks.insert(line.substr(line.find(':') + 1));
    }
    return locks;
  };
  std::set<std::string> locks = read();
  for (int more = 0; more < 10; ++more) locks.merge(read());
  return locks;
}

// What is looked at in the writer's own process takes none of its locks away,
// without which another program may remove the log.
TEST_F(SqliteReadOnlyTest, AWriterKeepsItsLocks) {
  const Store store = Opened(path_);
  Fill(*store, "t", 3);
  const std::set<std::string> locks = LocksOn(path_);
  ASSERT_FALSE(locks.empty());
  EXPECT_FALSE(SqliteCheckpointer::Open(path_).ok());
  EXPECT_EQ(LocksOn(path_), locks);
  EXPECT_EQ(ListCheckpoints(*ToRead(path_))->size(), 3);
  EXPECT_EQ(LocksOn(path_), locks);
  EXPECT_TRUE(VerifyDatabase(path_).ok());
  EXPECT_EQ(LocksOn(path_), locks);
}

TEST_F(SqliteReadOnlyTest, ListsThreads) {
  const Store store = Opened(path_);
  Fill(*store, "b", 3);
  Fill(*store, "a", 5, "ns");
  sample::Open(*store, "none");
  const Store reader = ToRead(path_);
  for (SqliteCheckpointer* from : {store.get(), reader.get()}) {
    const auto threads = WaitFor<absl::StatusOr<std::vector<ThreadSummary>>>(
        [&](auto done) { from->ListThreads(std::move(done)); });
    ASSERT_TRUE(threads.ok()) << threads.status();
    std::string text;
    for (const ThreadSummary& thread : *threads) {
      text += thread.thread + ":";
      for (const auto& in : thread.namespaces) {
        text += absl::StrFormat(" '%s' %d to %d", in.ns, in.checkpoints,
                                in.latest.sequence);
      }
      text += "\n";
    }
    EXPECT_EQ(text, "a: 'ns' 5 to 5\nb: '' 3 to 3\nnone:\n");
  }
}

TEST_F(SqliteReadOnlyTest, ObserversSeeAPrefixAndHoldUpNobody) {
  constexpr uint64_t kCheckpoints = 300;
  constexpr int kObservers = 8;
  Fill(*Opened(path_), "other", 3);
  std::vector<std::unique_ptr<ChildProcess>> observers;
  for (int i = 0; i < kObservers; ++i) {
    observers.push_back(std::make_unique<ChildProcess>(
        [this](const ChildProcess::Teller& teller) {
          const auto reader =
              SqliteCheckpointer::Open(path_, {.read_only = true});
          if (!reader.ok()) return teller.Tell(reader.status().ToString()), 1;
          teller.Tell("ready");
          uint64_t last = 0;
          while (last < kCheckpoints) {
            const auto all = ListCheckpoints(**reader, {.thread = "t"});
            if (!all.ok()) return teller.Tell(all.status().ToString()), 2;
            // As many as the newest says, and none less than before.
            const uint64_t n = all->size();
            if (n < last) return 3;
            if (n > 0 && all->front().checkpoint.id.sequence != n) return 4;
            last = n;
          }
          return 0;
        }));
  }
  for (const auto& observer : observers) {
    ASSERT_EQ(observer->NextLine(), "ready");
  }
  {
    // The log is copied after each batch, which is when readers could be met.
    const Store writer = Opened(path_, {.wal_bytes = 1, .pack_checkpoints = 4});
    const Fence fence = sample::Open(*writer, "t");
    for (uint64_t i = 1; i <= kCheckpoints; ++i) {
      ASSERT_TRUE(PutCheckpoint(*writer, fence, Next(i)).ok());
    }
    RecordProperty(
        "log_bytes",
        static_cast<int>(std::filesystem::file_size(path_ + "-wal")));
  }
  for (const auto& observer : observers) {
    EXPECT_EQ(observer->NextLine(), "");
    EXPECT_EQ(observer->Join(), 0);
  }
}

}  // namespace
}  // namespace weir
