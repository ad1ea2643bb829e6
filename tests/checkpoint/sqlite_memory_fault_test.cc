// SQLite gets no memory, at each of its allocations in turn, once or from then
// on. The environment's WEIR_FAULTS_FULL asks for each; else it is some.
//
// A program of its own: SQLite takes its allocator before its first use.

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/pack_count.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waited_calls.h"

#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

// SQLite's own allocator, that fails on demand. Set between calls, whose order
// makes it visible to the store's worker: relaxed is enough.
class Memory {
 public:
  static void Install() {
    ASSERT_EQ(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &own), SQLITE_OK);
    sqlite3_mem_methods failing = own;
    failing.xMalloc = [](int size) {
      return Fails() ? nullptr : own.xMalloc(size);
    };
    failing.xRealloc = [](void* at, int size) {
      return Fails() ? nullptr : own.xRealloc(at, size);
    };
    ASSERT_EQ(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing), SQLITE_OK);
  }

  // The `at`th allocation from now on fails, and all later if `forever`.
  static void FailAt(int64_t at, bool forever) {
    all_fail.store(forever, std::memory_order_relaxed);
    left.store(at, std::memory_order_relaxed);
    made.store(0, std::memory_order_relaxed);
  }
  static void Mend() { FailAt(INT64_MAX, false); }
  static int64_t Made() { return made.load(std::memory_order_relaxed); }

 private:
  static bool Fails() {
    const int64_t n = made.fetch_add(1, std::memory_order_relaxed);
    const int64_t at = left.load(std::memory_order_relaxed);
    return n == at || (n > at && all_fail.load(std::memory_order_relaxed));
  }

  static inline sqlite3_mem_methods own{};
  static inline std::atomic<int64_t> left{INT64_MAX};
  static inline std::atomic<int64_t> made{0};
  static inline std::atomic<bool> all_fail{false};
};

class SqliteMemoryFaultTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { Memory::Install(); }

  static void Expect(const absl::Status& s) {
    EXPECT_TRUE(s.ok() || absl::IsResourceExhausted(s)) << s;
  }

  SqliteStore Opened() {
    auto store = SqliteCheckpointer::Open(
        path_, {.wal_bytes = 100000, .pack_checkpoints = 4});
    Expect(store.status());
    return store.ok() ? *std::move(store) : nullptr;
  }

  // Puts what has not been answered yet; true when all is done.
  bool Go() {
    const SqliteStore store = Opened();
    if (store == nullptr) return false;
    const absl::StatusOr<ThreadLease> lease = OpenThread(*store, "t");
    Expect(lease.status());
    if (!lease.ok()) return false;
    while (answered_ < kCommits) {
      const absl::Status s =
          PutCheckpoint(*store, lease->fence,
                        NextCheckpoint(answered_ + 1, Noise(answered_ * 100)));
      Expect(s);
      if (!s.ok()) return false;
      ++answered_;
    }
    const auto all = ListCheckpoints(*store);
    Expect(all.status());
    const absl::Status removed = DeleteThread(*store, "other");
    Expect(removed);
    return all.ok() && removed.ok();
  }

  void ExpectAllAnswered() {
    SqliteStore store = Opened();
    ASSERT_NE(store, nullptr);
    const auto all = ListCheckpoints(*store);
    ASSERT_TRUE(all.ok()) << all.status();
    EXPECT_EQ(all->size(), answered_);
    for (const CheckpointTuple& tuple : *all) {
      EXPECT_EQ(tuple.checkpoint.channels.at(0).value.bytes()->size(),
                (tuple.checkpoint.id.sequence - 1) * 100);
    }
    store = nullptr;
    EXPECT_GT(CountPacks(path_), 0);
  }

  void FailEach(bool forever, int64_t step) {
    Memory::Mend();
    EXPECT_TRUE(Go());
    const int64_t allocations = Memory::Made();
    const sqlite3_int64 before = sqlite3_memory_used();
    int runs = 0;
    for (int64_t at = 0; at < allocations && !HasFailure(); at += step) {
      SCOPED_TRACE(absl::StrFormat("allocation %d of %d", at, allocations));
      std::filesystem::remove(path_);
      answered_ = 0;
      Memory::FailAt(at, forever);
      // Once there is memory again the same store's file is good for more.
      const bool done = Go();
      Memory::Mend();
      EXPECT_TRUE(done || Go());
      ExpectAllAnswered();
      EXPECT_LE(sqlite3_memory_used(), before);
      ++runs;
    }
    std::cout << allocations << " allocations, " << runs << " failed\n";
  }

  static constexpr uint64_t kCommits = 50;
  const TempFolder folder_;
  const std::string path_ = folder_.File("db");
  uint64_t answered_ = 0;
};

TEST_F(SqliteMemoryFaultTest, AnAllocationThatFailsOnceLosesNothing) {
  FailEach(false, FaultsInFull() ? 1 : 29);
}

TEST_F(SqliteMemoryFaultTest, NoMemoryFromSomewhereOnLosesNothing) {
  FailEach(true, FaultsInFull() ? 7 : 97);
}

}  // namespace
}  // namespace weir
