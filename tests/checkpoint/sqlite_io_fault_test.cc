// Each operation on the files fails in turn, once or from then on; a disk is
// full for one kind of file; a disk is slow.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/fault_vfs.h"
#include "tests/checkpoint/pack_count.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waited_calls.h"

#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

constexpr uint64_t kStored = 12;

std::string ValueAt(uint64_t step) {
  return absl::StrFormat("%d %s", step, Noise(step * 200));
}

// Puts a line of checkpoints while the disk fails, opening the store anew when
// it says so, and gives up when that does not help.
class Line {
 public:
  Line(std::string path, FaultVfs& vfs) : path_(std::move(path)), vfs_(vfs) {}

  // `code` is what operation `at`, and all later ones if `forever`, fail with.
  void Run(int64_t at, bool forever, int (*code)(const FileOperation&)) {
    std::filesystem::remove(path_);
    const int64_t first = vfs_.operations();
    // Called on the store's worker or within a call that is waited for.
    vfs_.Fail([this, at, forever, code, first](const FileOperation& made,
                                               int64_t number) {
      const int64_t n = number - first;
      if (n != at && !(forever && n > at)) return SQLITE_OK;
      const int failure = code(made);
      sync_failed_ |= failure != SQLITE_OK && made.op == FileOp::kSync;
      return failure;
    });
    Reopen();
    while (answered_ < kStored && tries_ < 4) Step();
    List();
    store_ = nullptr;
    operations_ = vfs_.operations() - first;
    vfs_.Fail({});
    ExpectAllAnswered();
    if (answered_ == kStored) {
      EXPECT_GT(CountPacks(path_), 0);
    }
  }

  int64_t operations() const { return operations_; }

 private:
  void Expect(const absl::Status& s) {
    EXPECT_TRUE(s.ok() || absl::IsUnavailable(s) || absl::IsDataLoss(s)) << s;
    EXPECT_FALSE(sync_failed_ && s.ok());
    if (!s.ok()) ++tries_;
  }

  void Reopen() {
    store_ = nullptr;
    sync_failed_ = false;
    auto opened = SqliteCheckpointer::Open(
        path_,
        {.wal_bytes = 50000, .pack_checkpoints = 2, .vfs = FaultVfs::kName});
    Expect(opened.status());
    sync_failed_ = false;  // What was not opened cannot fail again.
    if (!opened.ok()) return;
    store_ = *std::move(opened);
    const absl::StatusOr<ThreadLease> lease = OpenThread(*store_, "t");
    Expect(lease.status());
    fence_ = lease.ok() ? lease->fence : Fence{.thread = "t"};
  }

  void Step() {
    if (store_ == nullptr || fence_.epoch == 0 || answered_ == kStored / 2) {
      Reopen();
      if (store_ == nullptr || fence_.epoch == 0) return;
    }
    const bool poisoned = sync_failed_;
    const uint64_t next = answered_ + 1;
    const absl::Status s =
        PutCheckpoint(*store_, fence_, NextCheckpoint(next, ValueAt(next)));
    EXPECT_FALSE(poisoned && s.ok());
    if (s.ok()) {
      answered_ = next;
      return;
    }
    EXPECT_TRUE(absl::IsUnavailable(s) || absl::IsDataLoss(s)) << s;
    ++tries_;
    store_ = nullptr;
  }

  void List() {
    if (store_ == nullptr) return;
    const auto all = ListCheckpoints(*store_);
    if (all.ok()) ExpectLine(*all);
  }

  void ExpectAllAnswered() {
    auto opened = SqliteCheckpointer::Open(path_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    const auto all = ListCheckpoints(**opened);
    ASSERT_TRUE(all.ok()) << all.status();
    ExpectLine(*all);
  }

  // One more may be there: that nobody could tell.
  void ExpectLine(const std::vector<CheckpointTuple>& all) const {
    EXPECT_GE(all.size(), answered_);
    EXPECT_LE(all.size(), answered_ + 1);
    for (const CheckpointTuple& tuple : all) {
      EXPECT_EQ(*tuple.checkpoint.channels.at(0).value.bytes(),
                ValueAt(tuple.checkpoint.id.sequence));
    }
  }

  const std::string path_;
  FaultVfs& vfs_;
  SqliteStore store_;
  Fence fence_;
  uint64_t answered_ = 0;
  int tries_ = 0;
  int64_t operations_ = 0;
  bool sync_failed_ = false;
};

int ShortReadOf(const FileOperation& made) {
  return made.op == FileOp::kRead ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}
int NoErrorOf(const FileOperation&) { return SQLITE_OK; }

class SqliteIoFaultTest : public testing::Test {
 protected:
  int64_t OperationsOfALine() {
    Line line(path_, vfs_);
    line.Run(0, false, &NoErrorOf);
    return line.operations();
  }

  void FailEach(bool forever, int (*code)(const FileOperation&)) {
    const int64_t n = OperationsOfALine();
    for (int64_t at = 0; at < n && !HasFailure(); ++at) {
      SCOPED_TRACE(absl::StrFormat("operation %d of %d", at, n));
      Line(path_, vfs_).Run(at, forever, code);
    }
    std::cout << n << " operations\n";
  }

  TempFolder folder_;
  const std::string path_ = folder_.File("db");
  FaultVfs vfs_;
};

TEST_F(SqliteIoFaultTest, AnOperationThatFailsOnceLosesNothingAnswered) {
  FailEach(false, &IoErrorOf);
}

TEST_F(SqliteIoFaultTest, ADiskThatGoesBadLosesNothingAnswered) {
  FailEach(true, &IoErrorOf);
}

TEST_F(SqliteIoFaultTest, AShortReadGivesNoWrongValue) {
  FailEach(false, &ShortReadOf);
  FailEach(true, &ShortReadOf);
}

FaultVfs::Rule FullFor(FileKind kind) {
  return [kind](const FileOperation& made, int64_t) {
    return made.op == FileOp::kWrite && made.file == kind ? SQLITE_FULL
                                                          : SQLITE_OK;
  };
}

TEST_F(SqliteIoFaultTest, AFullLogFailsWhatIsPutUntilThereIsSpace) {
  auto store = SqliteCheckpointer::Open(path_, {.vfs = FaultVfs::kName});
  ASSERT_TRUE(store.ok()) << store.status();
  const Fence fence = OpenThread(**store, "t")->fence;
  ASSERT_TRUE(PutCheckpoint(**store, fence, NextCheckpoint(1, "v")).ok());
  vfs_.Fail(FullFor(FileKind::kLog));
  const absl::Status s = PutCheckpoint(**store, fence, NextCheckpoint(2, "v"));
  EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  EXPECT_TRUE(absl::StrContains(s.message(), "thread 't'")) << s;
  EXPECT_EQ(ListCheckpoints(**store)->size(), 1);
  vfs_.Fail({});
  EXPECT_TRUE(PutCheckpoint(**store, fence, NextCheckpoint(2, "v")).ok());
  store->reset();
}

TEST_F(SqliteIoFaultTest, WhatDoesNotFitTheDatabaseStaysInTheLog) {
  auto store = SqliteCheckpointer::Open(
      path_, {.wal_bytes = 20000, .vfs = FaultVfs::kName});
  ASSERT_TRUE(store.ok()) << store.status();
  const Fence fence = OpenThread(**store, "t")->fence;
  vfs_.Fail(FullFor(FileKind::kDatabase));
  for (uint64_t i = 1; i <= 20; ++i) {
    const absl::Status s =
        PutCheckpoint(**store, fence, NextCheckpoint(i, ValueAt(i)));
    ASSERT_TRUE(s.ok()) << s;
  }
  const absl::Status removed = DeleteThread(**store, "other");
  EXPECT_TRUE(absl::IsResourceExhausted(removed)) << removed;
  EXPECT_TRUE(absl::StrContains(removed.message(), "still in the")) << removed;
  const auto grown = std::filesystem::file_size(path_ + "-wal");
  EXPECT_EQ(ListCheckpoints(**store)->size(), 20);
  vfs_.Fail({});
  for (uint64_t i = 21; i <= 23; ++i) {
    ASSERT_TRUE(
        PutCheckpoint(**store, fence, NextCheckpoint(i, ValueAt(i))).ok());
  }
  EXPECT_TRUE(DeleteThread(**store, "other").ok());
  EXPECT_LT(std::filesystem::file_size(path_ + "-wal"), grown);
  EXPECT_EQ(ListCheckpoints(**store)->size(), 23);
  store->reset();
}

TEST_F(SqliteIoFaultTest, WhatIsFullWhenTheFileIsMadeIsNoHarmLater) {
  for (const FileKind kind :
       {FileKind::kJournal, FileKind::kDatabase, FileKind::kLog}) {
    std::filesystem::remove(path_);
    vfs_.Fail(FullFor(kind));
    const absl::Status s =
        SqliteCheckpointer::Open(path_, {.vfs = FaultVfs::kName}).status();
    EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
    vfs_.Fail({});
    auto store = SqliteCheckpointer::Open(path_, {.vfs = FaultVfs::kName});
    ASSERT_TRUE(store.ok()) << store.status();
    const Fence fence = OpenThread(**store, "t")->fence;
    EXPECT_TRUE(PutCheckpoint(**store, fence, NextCheckpoint(1, "v")).ok());
  }
}

// What waits is what callers have under way, and is made in few transactions
// once the disk answers.
TEST_F(SqliteIoFaultTest, WhatIsCalledDuringASlowSynchronisationSharesTheNext) {
  auto store = SqliteCheckpointer::Open(path_, {.vfs = FaultVfs::kName});
  ASSERT_TRUE(store.ok()) << store.status();
  const Fence fence = OpenThread(**store, "t")->fence;
  absl::Notification slow, go;
  vfs_.Fail([&slow, &go](const FileOperation& made, int64_t) {
    if (made.op != FileOp::kSync || slow.HasBeenNotified()) return SQLITE_OK;
    slow.Notify();
    go.WaitForNotification();
    return SQLITE_OK;
  });
  const int before = vfs_.syncs();
  constexpr uint64_t kCalls = 1001;
  uint64_t answered = 0;
  for (uint64_t i = 1; i <= kCalls; ++i) {
    (*store)->Put(fence, NextCheckpoint(i, "v"), [&answered](absl::Status s) {
      EXPECT_TRUE(s.ok()) << s;
      ++answered;
    });
    if (i == 1) slow.WaitForNotification();
  }
  go.Notify();
  EXPECT_TRUE(Flush(**store).ok());
  EXPECT_EQ(answered, kCalls);
  EXPECT_EQ(vfs_.syncs() - before, 1 + (kCalls - 1 + 255) / 256);
  store->reset();
}

}  // namespace
}  // namespace weir
