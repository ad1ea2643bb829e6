// What is removed is gone from the files, byte for byte, and what stays is as
// it was. The environment's WEIR_FAULTS_FULL asks for 10,000 threads.

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/checkpointer_oracle.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waited_calls.h"

#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

class SqliteRemovalTest : public testing::Test {
 protected:
  SqliteRemovalTest() { Reopen({}); }

  void Reopen(SqliteOptions options) {
    store_ = nullptr;
    auto opened = SqliteCheckpointer::Open(path_, std::move(options));
    EXPECT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  // The middles of all records of packs, in which no other has the same.
  std::vector<std::string> Packs() const {
    std::vector<std::string> found;
    sqlite3* file = nullptr;
    sqlite3_stmt* rows = nullptr;
    EXPECT_EQ(
        sqlite3_open_v2(path_.c_str(), &file, SQLITE_OPEN_READONLY, nullptr),
        SQLITE_OK);
    EXPECT_EQ(
        sqlite3_prepare_v2(file, "SELECT record FROM pack", -1, &rows, nullptr),
        SQLITE_OK);
    while (sqlite3_step(rows) == SQLITE_ROW) {
      const std::string record(
          static_cast<const char*>(sqlite3_column_blob(rows, 0)),
          static_cast<size_t>(sqlite3_column_bytes(rows, 0)));
      found.push_back(record.substr(record.size() / 2 - 8, 16));
    }
    sqlite3_finalize(rows);
    sqlite3_close(file);
    return found;
  }

  // Whether any file of the database has these bytes.
  bool InFiles(const std::string& bytes) const {
    return FileBytes(path_).find(bytes) != std::string::npos ||
           FileBytes(path_ + "-wal").find(bytes) != std::string::npos;
  }

  // Bytes of random length that name `mark` over and over.
  SavedValue Marked(const std::string& mark) {
    std::string text;
    const size_t size = 10 + random_() % (random_() % 10 == 0 ? 6000 : 400);
    while (text.size() < size) text += mark;
    return SavedValue::FromBytes(std::move(text));
  }

  // A line of checkpoints, each with a write, all of the run `mark`.
  void Fill(const std::string& thread, const std::string& mark,
            uint64_t checkpoints) {
    const Fence fence = OpenThread(*store_, thread)->fence;
    for (uint64_t i = 1; i <= checkpoints; ++i) {
      NewCheckpoint made = NextCheckpoint(i, "");
      SavedChannel& channel = made.checkpoint.channels[0];
      channel.value = Marked(mark);
      if (i > 1 && i % 5 != 0) channel.appended_to = i - 1;
      made.checkpoint.metadata.run_id = mark;
      made.checkpoint.metadata.custom["mark"] = absl::StrCat("\"", mark, "\"");
      NewWrites writes{.checkpoint = made.checkpoint.id};
      writes.writes.push_back(
          {.task_id = mark,
           .channel = "a",
           .value = Marked(mark),
           .run_id = std::make_shared<const std::string>(mark)});
      store_->Put(fence, std::move(made), ExpectOk());
      store_->PutWrites(fence, std::move(writes), ExpectOk());
    }
    ASSERT_TRUE(Flush(*store_).ok());
  }

  static Checkpointer::StatusDone ExpectOk() {
    return [](absl::Status s) { EXPECT_TRUE(s.ok()) << s; };
  }

  TempFolder folder_;
  const std::string path_ = folder_.File("db");
  SqliteStore store_;
  std::mt19937_64 random_{1};
};

TEST_F(SqliteRemovalTest, NothingOfItIsInTheFilesOnceItIsAnswered) {
  for (int i = 0; i < 60; ++i) {
    Fill(absl::StrFormat("<gone%d>", i), absl::StrFormat("<gone%d>", i), 8);
    Fill(absl::StrFormat("kept%d", i), absl::StrFormat("<kept%d>", i), 3);
  }
  for (int i = 0; i < 60 && !HasFailure(); ++i) {
    const std::string mark = absl::StrFormat("<gone%d>", i);
    ASSERT_TRUE(InFiles(mark));
    ASSERT_TRUE(DeleteThread(*store_, mark).ok());
    EXPECT_FALSE(InFiles(mark)) << mark;
    // Pages are joined and divided by what comes and goes beside it.
    Fill(absl::StrFormat("more%d", i), absl::StrFormat("<kept%d>", 100 + i), 2);
  }
  EXPECT_EQ(ListCheckpoints(*store_)->size(), 60 * 3 + 60 * 2);
  EXPECT_FALSE(InFiles("<gone"));
}

TEST_F(SqliteRemovalTest, NothingOfARunOrOfOlderCheckpointsIsInTheFiles) {
  for (int i = 0; i < 20; ++i) {
    const std::string thread = absl::StrFormat("thread%d", i);
    const Fence fence = OpenThread(*store_, thread)->fence;
    for (uint64_t k = 1; k <= 6; ++k) {
      NewCheckpoint made = NextCheckpoint(k, "");
      const std::string mark =
          k == 6 ? "<kept>" : absl::StrCat(k % 2 == 0 ? "<r" : "<p", i, ">");
      made.checkpoint.channels[0].value = Marked(mark);
      made.checkpoint.metadata.run_id = mark;
      store_->Put(fence, std::move(made), ExpectOk());
    }
  }
  for (int i = 0; i < 20 && !HasFailure(); ++i) {
    const std::string run = absl::StrFormat("<r%d>", i);
    EXPECT_TRUE(WaitFor<absl::Status>([&](auto done) {
                  store_->DeleteRuns({run}, std::move(done));
                }).ok());
    EXPECT_FALSE(InFiles(run)) << run;
    EXPECT_TRUE(WaitFor<absl::Status>([&](auto done) {
                  store_->Prune({absl::StrFormat("thread%d", i)},
                                PruneMode::kKeepLatest, std::move(done));
                }).ok());
    EXPECT_FALSE(InFiles(absl::StrFormat("<p%d>", i))) << i;
  }
  EXPECT_EQ(ListCheckpoints(*store_)->size(), 20);
}

// What was packed is not in the files either, packed or not; and what was
// packed with it is as it was.
TEST_F(SqliteRemovalTest, NothingOfPacksIsInTheFiles) {
  Reopen({.pack_checkpoints = 4});
  for (int i = 0; i < 10; ++i) {
    const std::string thread = absl::StrFormat("thread%d", i);
    const Fence fence = OpenThread(*store_, thread)->fence;
    for (uint64_t k = 1; k <= 20; ++k) {
      NewCheckpoint made = NextCheckpoint(k, "");
      const std::string mark =
          absl::StrCat(k < 10 && k % 2 == 0 ? "<r" : "<p", i, ">");
      // Noise, so that packs have bytes that are not those of any other.
      made.checkpoint.channels[0].value = SavedValue::FromBytes(
          mark + Noise(70, 1000 * k + static_cast<uint64_t>(i)));
      made.checkpoint.metadata.run_id = mark;
      NewWrites writes{.checkpoint = made.checkpoint.id};
      writes.writes.push_back({.task_id = mark,
                               .channel = "a",
                               .value = Marked(mark),
                               .run_id = std::make_shared<std::string>(mark)});
      store_->Put(fence, std::move(made), ExpectOk());
      store_->PutWrites(fence, std::move(writes), ExpectOk());
    }
  }
  ASSERT_TRUE(Flush(*store_).ok());
  const auto gone = [this](const std::vector<std::string>& packs) {
    int still = 0;
    for (const std::string& pack : packs) still += InFiles(pack) ? 1 : 0;
    return still == 0;
  };
  const std::vector<std::string> all = Packs();
  ASSERT_GE(all.size(), 60);
  for (const std::string& pack : all) EXPECT_TRUE(InFiles(pack));
  for (int i = 0; i < 10 && !HasFailure(); ++i) {
    const std::string run = absl::StrFormat("<r%d>", i);
    const std::string thread = absl::StrFormat("thread%d", i);
    EXPECT_TRUE(WaitFor<absl::Status>([&](auto done) {
                  store_->DeleteRuns({run}, std::move(done));
                }).ok());
    EXPECT_FALSE(InFiles(run)) << run;
    EXPECT_EQ(ListCheckpoints(*store_, {.thread = thread})->size(), 16);
  }
  const std::vector<std::string> left = Packs();
  ASSERT_GE(left.size(), 20);
  for (int i = 0; i < 10 && !HasFailure(); ++i) {
    const std::string thread = absl::StrFormat("thread%d", i);
    EXPECT_TRUE(WaitFor<absl::Status>([&](auto done) {
                  store_->Prune({thread}, PruneMode::kKeepLatest,
                                std::move(done));
                }).ok());
    EXPECT_EQ(ListCheckpoints(*store_, {.thread = thread})->size(), 1);
    EXPECT_TRUE(DeleteThread(*store_, thread).ok());
    EXPECT_FALSE(InFiles(absl::StrFormat("<p%d>", i))) << i;
  }
  EXPECT_TRUE(Packs().empty());
  EXPECT_TRUE(gone(left));
  EXPECT_TRUE(gone(all));
}

// Writers of threads of their own, and the seconds that their puts take.
class Live {
 public:
  Live(Checkpointer& store, int threads) {
    for (int i = 0; i < threads; ++i) {
      workers_.emplace_back(
          [this, &store, i] { Put(store, absl::StrFormat("live%d", i)); });
    }
  }
  // At the latest of those since the last call, which are `least` or more.
  double Percentile99(size_t least) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [this, least]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return took_.size() >= least;
    };
    mutex_.Await(absl::Condition(&enough));
    std::sort(took_.begin(), took_.end());
    const double at = took_.empty() ? 0 : took_[took_.size() * 99 / 100];
    took_.clear();
    return at;
  }
  void Stop() {
    stop_.store(true, std::memory_order_relaxed);
    for (std::thread& worker : workers_) worker.join();
  }

 private:
  void Put(Checkpointer& store, const std::string& thread) {
    const Fence fence = OpenThread(store, thread)->fence;
    for (uint64_t i = 1; !stop_.load(std::memory_order_relaxed); ++i) {
      const Clock::time_point begun = Clock::now();
      const absl::Status s =
          PutCheckpoint(store, fence, NextCheckpoint(i, "live"));
      EXPECT_TRUE(s.ok()) << s;
      absl::MutexLock lock(&mutex_);
      took_.push_back(SecondsSince(begun));
    }
  }

  // Written by Stop(), read by the workers; it carries nothing, so relaxed.
  std::atomic<bool> stop_{false};
  absl::Mutex mutex_;
  std::vector<double> took_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> workers_;
};

TEST_F(SqliteRemovalTest, ManyThreadsGoWhileOthersAreWritten) {
  const int threads = FaultsInFull() ? 10000 : 300;
  for (int i = 0; i < threads; ++i) {
    Fill(absl::StrFormat("<gone%d>", i), "<gone>", 20);
  }
  store_ = nullptr;
  auto opened = SqliteCheckpointer::Open(path_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  store_ = *std::move(opened);
  const auto full = std::filesystem::file_size(path_);
  constexpr int kLive = 8;
  Live live(*store_, kLive);
  const double before = live.Percentile99(1000);
  const Clock::time_point begun = Clock::now();
  for (int i = 0; i < threads; ++i) {
    const absl::Status s =
        DeleteThread(*store_, absl::StrFormat("<gone%d>", i));
    EXPECT_TRUE(s.ok()) << s;
  }
  EXPECT_FALSE(InFiles("<gone"));
  const double removing = SecondsSince(begun);
  const double during = live.Percentile99(0);
  live.Stop();
  for (int i = 0; i < kLive; ++i) {
    EXPECT_TRUE(DeleteThread(*store_, absl::StrFormat("live%d", i)).ok());
  }
  // After each, some of the free pages go.
  for (auto i = full >> 19; i > 0; --i) EXPECT_TRUE(Flush(*store_).ok());
  store_ = nullptr;
  const auto left = std::filesystem::file_size(path_);
  std::cout << threads << " threads in " << removing << " s, file from " << full
            << " to " << left << " bytes; 99 of 100 live puts within "
            << before * 1000 << " ms before, " << during * 1000 << " ms then\n";
  EXPECT_LT(left, full / 2);
}

// A thread whose checkpoints are a random tree, with channels that are appended
// to along its branches; and the model of it.
class Tree {
 public:
  Tree(Checkpointer& store, uint64_t seed)
      : store_(store), name_(absl::StrCat("tree", seed)), random_(seed) {
    const Fence fence = OpenThread(store, name_)->fence;
    oracle_.threads[name_].epoch = fence.epoch;
    for (int i = Below(30); i >= 0; --i) Put(fence);
  }

  // Removes some of it, in a random way.
  void Remove() {
    const int way = Below(3);
    if (way == 0) {
      oracle_.KeepLatest(name_);
      store_.Prune({name_}, PruneMode::kKeepLatest, ExpectOk());
    } else if (way == 1) {
      const std::string run = Run();
      oracle_.DeleteRuns({run});
      store_.DeleteRuns({run}, ExpectOk());
    } else if (!oracle_.threads[name_].empty()) {
      const std::string copy = name_ + "+";
      EXPECT_EQ(oracle_.CopyThread(name_, copy), absl::StatusCode::kOk);
      store_.CopyThread(name_, copy, ExpectOk());
      oracle_.threads.erase(name_);
      store_.DeleteThread(name_, ExpectOk());
      name_ = copy;
    }
  }

  void ExpectAsTheModel(sqlite3* file) {
    const auto all = ListCheckpoints(store_, {.thread = name_});
    ASSERT_TRUE(all.ok()) << all.status();
    std::vector<std::string> texts;
    for (const CheckpointTuple& tuple : *all) texts.push_back(ToText(tuple));
    EXPECT_EQ(texts, oracle_.List({.thread = name_}));
    for (const CheckpointTuple& tuple : *all) ExpectHistory(tuple);
    EXPECT_EQ(RowsIn(file), RowsOfTheModel());
  }

 private:
  static Checkpointer::StatusDone ExpectOk() {
    return [](absl::Status s) { EXPECT_TRUE(s.ok()) << s; };
  }
  int Below(int n) {
    return static_cast<int>(random_() % static_cast<uint64_t>(n));
  }
  std::string Run() { return absl::StrCat(name_, " run ", Below(4)); }

  void Put(const Fence& fence) {
    OracleThread& in = oracle_.threads[name_];
    NewCheckpoint made;
    Checkpoint& c = made.checkpoint;
    c.ns = Below(4) == 0 ? "child:1" : "";
    c.id = {in.last_sequence + 1, 1};
    c.metadata.run_id = Run();
    const auto& there = in.namespaces[c.ns].checkpoints;
    const OracleCheckpoint* base = nullptr;
    if (!there.empty() && Below(8) != 0) {
      auto at = there.begin();
      std::advance(at, Below(static_cast<int>(there.size())));
      made.base = c.parent = at->first;
      base = &at->second;
    }
    for (const char* channel : {"a", "b"}) {
      if (Below(4) == 0) continue;
      SavedChannel s{.channel = channel, .version = ++in.last_version};
      s.value = SavedValue::FromBytes(
          std::string(static_cast<size_t>(Below(130)), 'x'));
      if (base != nullptr && base->channels.contains(channel) &&
          Below(5) != 0) {
        s.appended_to = base->channels.at(channel).back().version;
      }
      c.channels.push_back(std::move(s));
    }
    EXPECT_EQ(oracle_.Put(fence, made), absl::StatusCode::kOk);
    store_.Put(fence, std::move(made), ExpectOk());
  }

  void ExpectHistory(const CheckpointTuple& tuple) {
    const Checkpoint& c = tuple.checkpoint;
    const auto got =
        WaitFor<absl::StatusOr<std::vector<std::vector<SavedChannel>>>>(
            [&](auto done) {
              store_.History({.thread = name_, .ns = c.ns, .id = c.id},
                             {"a", "b"}, std::move(done));
            });
    ASSERT_TRUE(got.ok()) << got.status();
    std::string text, expected;
    for (const std::vector<SavedChannel>& pieces : *got) {
      for (const SavedChannel& s : pieces) {
        text +=
            ChannelText(s.channel, {s.version, s.appended_to, Text(s.value)});
      }
    }
    const OracleCheckpoint& model =
        oracle_.threads[name_].namespaces[c.ns].checkpoints.at(c.id);
    for (const auto& [channel, pieces] : model.channels) {
      for (const OraclePiece& piece : pieces) {
        expected += ChannelText(channel, piece);
      }
    }
    EXPECT_EQ(text, expected);
  }

  // Values that are stored apart: those of chains, and long ones.
  int64_t RowsOfTheModel() {
    std::set<std::tuple<std::string, std::string, uint64_t>> rows;
    for (const auto& [ns, in] : oracle_.threads[name_].namespaces) {
      for (const auto& [id, checkpoint] : in.checkpoints) {
        for (const auto& [channel, pieces] : checkpoint.channels) {
          for (const OraclePiece& piece : pieces) {
            if (pieces.size() == 1 && piece.text->size() <= 64) continue;
            rows.emplace(ns, channel, piece.version);
          }
        }
      }
    }
    return static_cast<int64_t>(rows.size());
  }
  int64_t RowsIn(sqlite3* file) const {
    return Count(file, "SELECT count(*) FROM value") +
           Count(file, "SELECT total(count * (kind<>x'73')) FROM pack");
  }
  int64_t Count(sqlite3* file, const std::string& what) const {
    sqlite3_stmt* rows = nullptr;
    const std::string sql =
        absl::StrCat(what,
                     " JOIN ns USING(ns_id) JOIN thread USING(thread_id)"
                     " WHERE CAST(name AS TEXT)=?1");
    EXPECT_EQ(sqlite3_prepare_v2(file, sql.c_str(), -1, &rows, nullptr),
              SQLITE_OK);
    sqlite3_bind_text(rows, 1, name_.c_str(), -1, SQLITE_TRANSIENT);
    EXPECT_EQ(sqlite3_step(rows), SQLITE_ROW);
    const int64_t count = sqlite3_column_int64(rows, 0);
    sqlite3_finalize(rows);
    return count;
  }

  Checkpointer& store_;
  std::string name_;
  std::mt19937_64 random_;
  Oracle oracle_;
};

TEST_F(SqliteRemovalTest, WhatStaysOfATreeIsAsItWasAndNothingElseIsLeft) {
  Reopen({.pack_checkpoints = 3});
  sqlite3* file = nullptr;
  ASSERT_EQ(
      sqlite3_open_v2(path_.c_str(), &file, SQLITE_OPEN_READONLY, nullptr),
      SQLITE_OK);
  for (uint64_t seed = 1; seed <= 1000 && !HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Tree tree(*store_, seed);
    tree.Remove();
    tree.Remove();
    tree.ExpectAsTheModel(file);
  }
  sqlite3_close(file);
  EXPECT_GT(Packs().size(), 500);
}

}  // namespace
}  // namespace weir
