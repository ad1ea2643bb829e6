// The power is cut after each operation that a store has made on its files, and
// the store is opened on what the disk then has. What was answered must be
// there; what is there must be the first of the calls, in their order; and the
// store must go on from there.
//
// The operations are recorded once, and every cut made from the record. The
// environment's WEIR_FAULTS_FULL asks for 50,000 cuts and more, on all cores.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/checkpointer_oracle.h"
#include "tests/checkpoint/fault_vfs.h"
#include "tests/checkpoint/pack_count.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waited_calls.h"

#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

// So that checkpoints are packed, and unpacked, all the time.
constexpr size_t kPacks = 2;

// What a store answers after so many calls, and when that was: how many
// operations the files had seen.
struct Moment {
  std::string all;
  size_t begun = 0;  // Before the last of the calls.
  // At its answer. The worker writes it, which the answers waited for publish.
  size_t answered = 0;
};

std::string AllIn(const Oracle& oracle) {
  return absl::StrJoin(oracle.List({}), "\n");
}
absl::StatusOr<std::string> AllIn(Checkpointer& store) {
  const absl::StatusOr<std::vector<CheckpointTuple>> all =
      ListCheckpoints(store);
  if (!all.ok()) return all.status();
  std::vector<std::string> texts;
  for (const CheckpointTuple& tuple : *all) texts.push_back(ToText(tuple));
  return absl::StrJoin(texts, "\n");
}

// Random calls to a store, a few to a transaction, with the model beside it.
class Workload {
 public:
  Workload(const std::string& path, int commits, uint64_t seed)
      : path_(path), random_(seed) {
    vfs_.Record();
    moments_.push_back(std::make_unique<Moment>());
    Reopen();
    for (int i = 1; i <= commits; ++i) {
      Commit();
      if (i % 67 == 0) Reopen();
    }
    store_ = nullptr;
    EXPECT_GT(packs_, 0);
    log_ = vfs_.TakeRecord();
  }

  const std::vector<FileOperation>& log() const { return log_; }

  // Of the states in `moments()`, the first and last that there may be once
  // `made` operations have been.
  std::pair<size_t, size_t> Allowed(size_t made) const {
    std::pair<size_t, size_t> allowed{0, 0};
    for (size_t i = 1; i < moments_.size(); ++i) {
      if (moments_[i]->answered <= made) allowed.first = i;
      if (moments_[i]->begun < made) allowed.second = i;
    }
    // One that changed nothing may have been answered at once.
    allowed.second = std::max(allowed.first, allowed.second);
    return allowed;
  }
  const std::string& StateAt(size_t i) const { return moments_[i]->all; }

 private:
  static constexpr const char* kThreads[] = {"one", "two", "three"};

  int Below(int n) {
    return static_cast<int>(random_() % static_cast<uint64_t>(n));
  }

  void Reopen() {
    if (store_ != nullptr) {
      store_ = nullptr;
      packs_ += CountPacks(path_);
    }
    auto opened = SqliteCheckpointer::Open(path_, {.wal_bytes = 100000,
                                                   .pack_checkpoints = kPacks,
                                                   .vfs = FaultVfs::kName});
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  void Commit() {
    // Leases are needed before what they allow.
    for (const char* thread : kThreads) {
      if (oracle_.threads[thread].epoch == 0) Open(thread);
    }
    {
      const HeldWorker held(*store_);
      for (int calls = 1 + Below(3); calls > 0; --calls) Call();
    }
    ASSERT_TRUE(Flush(*store_).ok());
  }

  void Open(const std::string& thread) {
    Checkpointer::StatusDone done = Next();
    const absl::StatusOr<ThreadLease> lease =
        WaitFor<absl::StatusOr<ThreadLease>>([&](auto give) {
          store_->Open(thread, [give = std::move(give), done = std::move(done)](
                                   absl::StatusOr<ThreadLease> got) mutable {
            done(got.status());
            give(std::move(got));
          });
        });
    ASSERT_TRUE(lease.ok()) << lease.status();
    oracle_.threads[thread].epoch = lease->fence.epoch;
    Note();
  }

  void Call() {
    const std::string thread = kThreads[Below(3)];
    OracleThread& in = oracle_.threads[thread];
    const int kind = in.epoch == 0 ? 100 : Below(100);
    if (kind < 60) {
      Put(thread);
    } else if (kind < 85) {
      PutWrites(thread);
    } else if (kind < 90) {
      oracle_.KeepLatest(thread);
      store_->Prune({thread}, PruneMode::kKeepLatest, Next());
    } else if (kind < 93) {
      const std::string run = absl::StrFormat("r%d", Below(3));
      oracle_.DeleteRuns({run});
      store_->DeleteRuns({run}, Next());
    } else if (kind < 96) {
      oracle_.threads.erase("copy");
      store_->DeleteThread("copy", Next());
      Note();
      if (in.empty()) return;
      EXPECT_EQ(oracle_.CopyThread(thread, "copy"), absl::StatusCode::kOk);
      store_->CopyThread(thread, "copy", Next());
    } else {
      oracle_.threads.erase(thread);
      store_->DeleteThread(thread, Next());
    }
    Note();
  }

  void Put(const std::string& thread) {
    OracleThread& in = oracle_.threads[thread];
    NewCheckpoint made;
    Checkpoint& c = made.checkpoint;
    c.ns = Below(4) == 0 ? "child:1" : "";
    c.id = {in.last_sequence + 1, random_()};
    c.metadata.run_id = absl::StrFormat("r%d", Below(3));
    const OracleNamespace& ns = in.namespaces[c.ns];
    const OracleCheckpoint* base = nullptr;
    if (!ns.checkpoints.empty()) {
      made.base = c.parent = ns.checkpoints.rbegin()->first;
      base = &ns.checkpoints.rbegin()->second;
    }
    for (const char* name : {"a", "b", "c"}) {
      if (Below(3) == 0) continue;
      SavedChannel s{.channel = name, .version = ++in.last_version};
      s.value = Value();
      if (base != nullptr && base->channels.contains(name) && Below(3) != 0) {
        s.appended_to = base->channels.at(name).back().version;
      }
      c.channels.push_back(std::move(s));
    }
    const Fence fence{.thread = thread, .epoch = in.epoch};
    EXPECT_EQ(oracle_.Put(fence, made), absl::StatusCode::kOk);
    store_->Put(fence, std::move(made), Next());
  }

  void PutWrites(const std::string& thread) {
    OracleThread& in = oracle_.threads[thread];
    NewWrites made{.checkpoint = {in.last_sequence + 1, 5}};
    const OracleNamespace& ns = in.namespaces[""];
    if (!ns.checkpoints.empty()) {
      made.checkpoint = ns.checkpoints.rbegin()->first;
    }
    const std::string task = absl::StrFormat("task%d", Below(5));
    for (int i = 0; i <= Below(3); ++i) {
      made.writes.push_back(
          {.task_id = task, .index = i, .channel = "a", .value = Value()});
    }
    const Fence fence{.thread = thread, .epoch = in.epoch};
    EXPECT_EQ(oracle_.PutWrites(fence, made), absl::StatusCode::kOk);
    store_->PutWrites(fence, std::move(made), Next());
  }

  // Some go into their checkpoint, some beside it, some over several pages.
  SavedValue Value() {
    const int size = Below(20) == 0 ? 9000 : Below(200);
    return SavedValue::FromBytes(
        absl::StrCat(++values_, Noise(static_cast<size_t>(size))));
  }

  // Begins a call: what notes its answer.
  Checkpointer::StatusDone Next() {
    moments_.push_back(std::make_unique<Moment>());
    Moment* moment = moments_.back().get();
    moment->begun = vfs_.recorded();
    return [this, moment](absl::Status s) {
      EXPECT_TRUE(s.ok()) << s;
      moment->answered = vfs_.recorded();
    };
  }
  void Note() { moments_.back()->all = AllIn(oracle_); }

  const std::string path_;
  std::mt19937_64 random_;
  FaultVfs vfs_;
  SqliteStore store_;
  Oracle oracle_;
  int values_ = 0;
  int64_t packs_ = 0;  // That there were whenever it was opened anew.
  std::vector<std::unique_ptr<Moment>> moments_;
  std::vector<FileOperation> log_;
};

// What is wrong with a store on what a cut has left; "" if nothing is.
std::string Wrong(const Workload& workload, size_t made,
                  const std::string& path) {
  auto store =
      SqliteCheckpointer::Open(path, SqliteOptions{.pack_checkpoints = kPacks});
  if (!store.ok()) return store.status().ToString();
  const absl::StatusOr<std::string> all = AllIn(**store);
  if (!all.ok()) return all.status().ToString();
  const auto [first, last] = workload.Allowed(made);
  size_t at = first;
  while (at <= last && workload.StateAt(at) != *all) ++at;
  if (at > last) {
    return absl::StrFormat("not the state after %d to %d calls", first, last);
  }
  // It goes on.
  const absl::StatusOr<ThreadLease> lease = OpenThread(**store, "one");
  if (!lease.ok()) return lease.status().ToString();
  NewCheckpoint next;
  next.checkpoint.id = {lease->last_sequence + 1, 1};
  next.checkpoint.channels = {{.channel = "a",
                               .version = lease->last_version + 1,
                               .value = SavedValue::FromBytes("next")}};
  const absl::Status put = PutCheckpoint(**store, lease->fence, next);
  if (!put.ok()) return put.ToString();
  const auto got = GetCheckpoint(**store, {.thread = "one"});
  if (!got.ok()) return got.status().ToString();
  const bool there =
      got->has_value() && (*got)->checkpoint.id == next.checkpoint.id;
  if (!there) return "what was put after the cut is not there";
  // It opens again, as weir's own.
  store->reset();
  store = SqliteCheckpointer::Open(path);
  return store.ok() ? "" : store.status().ToString();
}

struct Plan {
  int seeds = 1;     // Of each random way to lose something.
  size_t every = 1;  // Operations from one cut to the next.
  size_t workers = 1;
  bool syncs_count = true;
  size_t stop_at = SIZE_MAX;  // Cuts after which to end.
};

struct Outcome {
  size_t cuts = 0;
  std::vector<std::string> wrong{};
};

// Cuts at the places of one of several workers.
Outcome CutFor(const Workload& workload, const Plan& plan, size_t worker) {
  const TempFolder folder;
  const std::string path = folder.File("db");
  CutDisk disk(plan.syncs_count);
  Outcome outcome;
  size_t made = 0;
  const auto cut = [&](CutDisk::Lost lost, uint64_t seed) {
    if (outcome.cuts >= plan.stop_at || outcome.wrong.size() >= 20) return;
    WriteFiles(disk.Cut(lost, seed), path);
    ++outcome.cuts;
    const std::string wrong = Wrong(workload, made, path);
    if (wrong.empty()) return;
    outcome.wrong.push_back(
        absl::StrFormat("cut after %d operations, way %d, seed %d: %s", made,
                        static_cast<int>(lost), seed, wrong));
  };
  for (const FileOperation& operation : workload.log()) {
    disk.Make(operation);
    ++made;
    // At first the file is made, which is done once, and in other ways.
    const bool making = made < 60 && plan.syncs_count;
    if (made / plan.every % plan.workers != worker) continue;
    if (made % plan.every != 0 && !making) continue;
    cut(CutDisk::Lost::kAll, 0);
    cut(CutDisk::Lost::kNone, 0);
    for (int i = 0; i < (making ? 20 : plan.seeds); ++i) {
      const uint64_t seed = made * 1000 + static_cast<uint64_t>(i);
      cut(CutDisk::Lost::kSome, seed);
      if (i % 8 == 0) cut(CutDisk::Lost::kTail, seed);
    }
  }
  return outcome;
}

Outcome CutAll(const Workload& workload, const Plan& plan) {
  std::vector<Outcome> of_workers(plan.workers);
  std::vector<std::thread> workers;
  for (size_t i = 0; i < plan.workers; ++i) {
    workers.emplace_back([&of_workers, &workload, &plan, i] {
      of_workers[i] = CutFor(workload, plan, i);
    });
  }
  for (std::thread& worker : workers) worker.join();
  Outcome all;
  for (Outcome& one : of_workers) {
    all.cuts += one.cuts;
    for (std::string& wrong : one.wrong) all.wrong.push_back(std::move(wrong));
  }
  return all;
}

TEST(SqlitePowerCutTest, WhatIsThereIsAPrefixWithAllThatWasAnswered) {
  const TempFolder folder;
  const Workload workload(folder.File("db"), 200, 1);
  const size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const Plan plan = FaultsInFull() ? Plan{.seeds = 20, .workers = cores}
                                   : Plan{.seeds = 1, .every = 7};
  const auto begun = std::chrono::steady_clock::now();
  const Outcome outcome = CutAll(workload, plan);
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - begun;
  for (const std::string& wrong : outcome.wrong) ADD_FAILURE() << wrong;
  std::cout << workload.log().size() << " operations, " << outcome.cuts
            << " cuts in " << took.count() << " s\n";
  EXPECT_GE(outcome.cuts, FaultsInFull() ? 50000U : 2000U);
}

TEST(SqlitePowerCutTest, ADiskThatForgetsToSynchroniseIsFoundOut) {
  const TempFolder folder;
  const Workload workload(folder.File("db"), 200, 2);
  const Outcome outcome =
      CutAll(workload,
             {.seeds = 1, .every = 10, .syncs_count = false, .stop_at = 500});
  std::cout << outcome.wrong.size() << " wrong of " << outcome.cuts
            << " cuts\n";
  EXPECT_FALSE(outcome.wrong.empty());
  EXPECT_LE(outcome.cuts, 500U);
}

// Puts checkpoints, each followed by writes of a task after it, and waits for
// few of them. `answered` are the operations there had been at each answer; it
// is the worker's until the store is closed.
void PutLine(Checkpointer& store, const std::string& thread, uint64_t steps,
             const FaultVfs& vfs, std::vector<size_t>& answered) {
  const Fence fence = OpenThread(store, thread)->fence;
  for (uint64_t i = 1; i <= steps; ++i) {
    store.Put(fence, NextCheckpoint(i, "v"), [&vfs, &answered](absl::Status s) {
      EXPECT_TRUE(s.ok()) << s;
      answered.push_back(vfs.recorded());
    });
    store.PutWrites(fence, {"", {i, 1}, {{.task_id = "task", .channel = "a"}}},
                    [](absl::Status s) { EXPECT_TRUE(s.ok()) << s; });
    if (i % 3 == 0) {
      ASSERT_TRUE(Flush(store).ok());
    }
  }
}

// At least `least` checkpoints, and with each the writes that the next took.
void ExpectLine(Checkpointer& store, const std::string& thread, size_t least) {
  const auto all = ListCheckpoints(store, {.thread = thread});
  ASSERT_TRUE(all.ok()) << all.status();
  const size_t n = all->size();
  EXPECT_GE(n, least);
  for (size_t i = 0; i < n; ++i) {
    const CheckpointTuple& tuple = (*all)[n - 1 - i];
    EXPECT_EQ(tuple.checkpoint.id.sequence, i + 1);
    EXPECT_GE(tuple.writes.size(), i + 1 < n ? 1U : 0U);
  }
}

TEST(SqlitePowerCutTest, ACheckpointIsNotThereWithoutTheWritesThatItTook) {
  constexpr size_t kThreads = 4;
  const TempFolder folder;
  FaultVfs vfs;
  vfs.Record();
  std::vector<std::vector<size_t>> answered(kThreads);
  {
    auto store =
        SqliteCheckpointer::Open(folder.File("db"), {.wal_bytes = 100000,
                                                     .pack_checkpoints = kPacks,
                                                     .vfs = FaultVfs::kName});
    ASSERT_TRUE(store.ok()) << store.status();
    std::vector<std::thread> writers;
    for (size_t t = 0; t < kThreads; ++t) {
      writers.emplace_back([&store, &vfs, &answered, t] {
        PutLine(**store, absl::StrCat(t), 30, vfs, answered[t]);
      });
    }
    for (std::thread& writer : writers) writer.join();
  }
  CutDisk disk;
  size_t made = 0;
  for (const FileOperation& operation : vfs.TakeRecord()) {
    disk.Make(operation);
    if (++made % (FaultsInFull() ? 1 : 5) != 0) continue;
    SCOPED_TRACE(absl::StrCat("cut after ", made));
    WriteFiles(disk.Cut(CutDisk::Lost::kSome, made), folder.File("cut"));
    auto store = SqliteCheckpointer::Open(folder.File("cut"));
    ASSERT_TRUE(store.ok()) << store.status();
    for (size_t t = 0; t < kThreads; ++t) {
      const auto least =
          std::count_if(answered[t].begin(), answered[t].end(),
                        [made](size_t at) { return at <= made; });
      ExpectLine(**store, absl::StrCat(t), static_cast<size_t>(least));
    }
  }
}

}  // namespace
}  // namespace weir
