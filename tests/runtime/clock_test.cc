// Nothing that is stored is ordered by the clock on the wall, and nobody waits
// by it: processes whose clocks have been set, before they begin or while they
// work, write one file in turn. (The clocks are libfaketime's. The steady clock
// goes on, as it does when the other is set.)

#include <semaphore.h>
#include <sys/mman.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/runtime/crashed_file.h"

namespace weir {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kLongest = absl::Seconds(60);

class ClockTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string(WEIR_FAKETIME).empty()) {
      GTEST_SKIP() << "libfaketime is not there, or cannot be preloaded here";
    }
  }

  // What the library leaves of a process that is killed.
  void TearDown() override {
    for (const pid_t pid : pids_) {
      shm_unlink(absl::StrCat("/faketime_shm_", pid).c_str());
      sem_unlink(absl::StrCat("/faketime_sem_", pid).c_str());
    }
  }

  // An hour back, an hour ahead, at the epoch, in a leap second, and true.
  static std::string Clock(int i) {
    const std::vector<std::string> kClocks = {
        "-3600", "@1970-01-01 00:00:10", "+3600", "@2016-12-31 23:59:59", "+0"};
    return kClocks[static_cast<size_t>(i) % kClocks.size()];
  }
  // Sets the clock of the children. The file is never half written.
  void Set(const std::string& clock) const {
    const std::string next = folder_.File("next");
    std::ofstream(next) << clock << "\n";
    std::filesystem::rename(next, folder_.File("clock"));
  }
  // A child on that clock, which works until it is killed or until each thread
  // has so many runs.
  std::unique_ptr<ChildProcess> Begin(const std::string& file, int runs) {
    auto child = std::make_unique<ChildProcess>(
        std::vector<std::string>{WEIR_CRASH_CHILD, file, absl::StrCat(runs)},
        std::vector<std::string>{
            absl::StrCat("LD_PRELOAD=", WEIR_FAKETIME),
            absl::StrCat("FAKETIME_TIMESTAMP_FILE=", folder_.File("clock")),
            "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "DONT_FAKE_MONOTONIC=1"});
    pids_.push_back(child->pid());
    return child;
  }
  static std::string Next(ChildProcess& child) {
    return child.Line(absl::Now() + kLongest).value_or("nothing");
  }
  // Lets a child of a true clock, or of the one that is set, do all it is to.
  void RunToEnd(const std::string& file, int runs, bool true_clock) {
    std::unique_ptr<ChildProcess> child =
        true_clock ? std::make_unique<ChildProcess>(std::vector<std::string>{
                         WEIR_CRASH_CHILD, file, absl::StrCat(runs)})
                   : Begin(file, runs);
    const absl::Time end = absl::Now() + kLongest;
    while (const std::optional<std::string> line = child->Line(end)) {
      EXPECT_FALSE(absl::StartsWith(*line, "fault")) << *line;
    }
    ASSERT_LT(absl::Now(), end) << "it waits for a clock";
    EXPECT_EQ(child->Wait(), 0);
  }

  // What the threads have, without ids and times.
  static std::string Threads(const std::string& file) {
    const auto store = SqliteCheckpointer::Open(file);
    if (!store.ok()) return store.status().ToString();
    std::string text;
    for (int i = 0; i < CrashedFile::kThreads; ++i) {
      absl::Notification done;
      (*store)->List(
          {.thread = absl::StrCat("t", i)},
          [&](absl::StatusOr<std::vector<CheckpointTuple>> all) {
            EXPECT_TRUE(all.ok()) << all.status();
            for (const CheckpointTuple& tuple : *all) {
              const Checkpoint& is = tuple.checkpoint;
              absl::StrAppend(&text, "t", i, " ", is.id.sequence, " after ",
                              is.parent.sequence, " ", is.metadata.source, " ",
                              is.metadata.step, ":");
              for (const SavedChannel& channel : is.channels) {
                absl::StrAppend(&text, " ", channel.channel, " ",
                                channel.version);
              }
              absl::StrAppend(&text, ", ", tuple.writes.size(), " writes\n");
            }
            done.Notify();
          });
      done.WaitForNotification();
    }
    return text;
  }
  // When the runs of a thread began, the newest first.
  static std::vector<absl::Time> Begun(const std::string& file) {
    std::vector<absl::Time> begun;
    const auto store = SqliteCheckpointer::Open(file);
    if (!store.ok()) return begun;
    Runtime runtime({.checkpointer = store->get()});
    const auto runs = runtime.ListRuns("t0");
    if (!runs.ok()) return begun;
    for (const RunInfo& run : *runs) begun.push_back(run.created_at);
    return begun;
  }

  TempFolder folder_;
  std::vector<pid_t> pids_;
};

TEST_F(ClockTest, ThreadsAreAsWithATrueClock) {
  const std::string jumps = folder_.File("jumps.db");
  const std::string steady = folder_.File("steady.db");
  for (int i = 0; i < 5; ++i) {
    Set(Clock(i));
    RunToEnd(jumps, 2 * (i + 1), /*true_clock=*/false);
    RunToEnd(steady, 2 * (i + 1), /*true_clock=*/true);
    ASSERT_EQ(Threads(jumps), Threads(steady)) << "after " << Clock(i);
  }
  // The clocks were indeed set.
  const std::vector<absl::Time> begun = Begun(jumps);
  ASSERT_EQ(begun.size(), 10U);
  EXPECT_GT(begun[4], begun[0]);
  EXPECT_LT(begun[6], absl::FromUnixSeconds(1'000));
}

TEST_F(ClockTest, ProcessesThatAreKilledLoseNothing) {
  CrashedFile file(folder_.File("runs.db"));
  for (int i = 0; i < 12; ++i) {
    Set(Clock(i));
    const auto child = Begin(file.file(), 0);
    for (int line = 0; line < 200; ++line) {
      // It is set while it works, too.
      if (line % 50 == 49) Set(Clock(i + line / 50));
      const std::string told = Next(*child);
      ASSERT_NE(told, "nothing") << "it waits for a clock: " << Clock(i);
      file.Take(told);
    }
    child->Kill();
    while (const std::optional<std::string> told = child->Line()) {
      file.Take(*told);
    }
  }
  file.Check();
}

TEST_F(ClockTest, WhoHasTheFileIsNotDecidedByIt) {
  const std::string path = folder_.File("runs.db");
  Set(Clock(0));
  const auto owner = Begin(path, 0);
  while (!absl::StartsWith(Next(*owner), "run")) {
  }
  // An hour, and more, is no reason to take it over.
  for (const int clock : {1, 2}) {
    Set(Clock(clock));
    const auto second = Begin(path, 1);
    EXPECT_EQ(Next(*second), "ready");
    EXPECT_THAT(Next(*second), HasSubstr("FAILED_PRECONDITION"));
    EXPECT_EQ(second->Wait(), 0);
  }
  owner->Kill();
  owner->Wait();
  Set(Clock(1));
  RunToEnd(path, 1, /*true_clock=*/false);
}

}  // namespace
}  // namespace weir
