// A file system that has no space left, and a limit to the size of files: what
// was answered is kept, and the store goes on once there is space.

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/checkpoint/waited_calls.h"

#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

// Of another checkpoint, another; neither to be compressed.
std::string ValueOf(uint64_t sequence) { return Noise(10000, sequence); }

// Puts checkpoints after `last` until one fails; its status.
absl::Status PutUntilFull(Checkpointer& store, const Fence& fence,
                          uint64_t& last) {
  while (true) {
    absl::Status s = PutCheckpoint(store, fence,
                                   NextCheckpoint(last + 1, ValueOf(last + 1)));
    if (!s.ok()) return s;
    ++last;
  }
}

void ExpectLine(Checkpointer& store, const std::string& thread, uint64_t n) {
  const auto all = ListCheckpoints(store, {.thread = thread});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->size(), n);
  for (const CheckpointTuple& tuple : *all) {
    EXPECT_EQ(*tuple.checkpoint.channels.at(0).value.bytes(),
              ValueOf(tuple.checkpoint.id.sequence));
  }
}

// A file system of 2 MiB, if this process may mount one.
class SmallDisk {
 public:
  SmallDisk() : path_(folder_.File("disk")) {
    std::filesystem::create_directory(path_);
    mounted_ = mount("weir", path_.c_str(), "tmpfs", 0, "size=2m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  TempFolder folder_;
  std::string path_;
  bool mounted_ = false;
};

TEST(SqliteFullDiskTest, AFullDiskKeepsWhatWasAnsweredAndGoesOnLater) {
  const SmallDisk disk;
  if (!disk.mounted()) {
    GTEST_SKIP() << "NOT TESTED: a full file system; mounting one needs root";
  }
  auto store = SqliteCheckpointer::Open(
      disk.File("db"),
      SqliteOptions{.wal_bytes = 200000, .pack_checkpoints = 4});
  ASSERT_TRUE(store.ok()) << store.status();
  uint64_t kept = 0;
  for (int cycle = 0; cycle < 50 && !testing::Test::HasFailure(); ++cycle) {
    SCOPED_TRACE(absl::StrCat("cycle ", cycle));
    WriteFileBytes(disk.File("other"), std::string(1200000, 'x'));
    const std::string thread = absl::StrCat("thread", cycle);
    const Fence fence = OpenThread(**store, thread)->fence;
    uint64_t last = 0;
    const absl::Status full = PutUntilFull(**store, fence, last);
    EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
    EXPECT_TRUE(absl::StrContains(full.message(), thread)) << full;
    ExpectLine(**store, thread, last);
    std::filesystem::remove(disk.File("other"));
    // The same writer.
    const absl::Status more = PutCheckpoint(
        **store, fence, NextCheckpoint(last + 1, ValueOf(last + 1)));
    ASSERT_TRUE(more.ok()) << more;
    ExpectLine(**store, thread, last + 1);
    kept += last + 1;
    ASSERT_TRUE(DeleteThread(**store, thread).ok());
    if (cycle % 10 != 9) continue;
    store->reset();
    store = SqliteCheckpointer::Open(
        disk.File("db"),
        SqliteOptions{.wal_bytes = 200000, .pack_checkpoints = 4});
    ASSERT_TRUE(store.ok()) << store.status();
  }
  std::cout << kept << " checkpoints\n";
}

// What a child of this process is told and tells.
constexpr char kChildPath[] = "WEIR_FULL_DISK_CHILD";
constexpr char kChildIgnores[] = "WEIR_FULL_DISK_IGNORES";

// The child: puts until its files may not grow, and tells how far it came.
TEST(SqliteFullDiskTest, DISABLED_Child) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here sets it.
  const char* path = std::getenv(kChildPath);
  ASSERT_NE(path, nullptr);
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here sets it.
  if (std::getenv(kChildIgnores) != nullptr) signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlim_t before = std::exchange(limit.rlim_cur, 2 << 20);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  auto store = SqliteCheckpointer::Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  const Fence fence = OpenThread(**store, "t")->fence;
  uint64_t last = 0;
  absl::Status s;
  while (s.ok()) {
    s = PutCheckpoint(**store, fence,
                      NextCheckpoint(last + 1, ValueOf(last + 1)));
    if (!s.ok()) break;
    ++last;
    ASSERT_EQ(write(STDOUT_FILENO, "+", 1), 1);
  }
  EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  ExpectLine(**store, "t", last);
  limit.rlim_cur = before;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  s = PutCheckpoint(**store, fence,
                    NextCheckpoint(last + 1, ValueOf(last + 1)));
  EXPECT_TRUE(s.ok()) << s;
  ASSERT_EQ(write(STDOUT_FILENO, "+", 1), 1);
}

// Runs the child; how it ended, and how many of its puts were answered.
std::pair<int, uint64_t> RunChild(const std::string& path, bool ignores) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe(ends.data()), 0);
  const std::string at = absl::StrCat(kChildPath, "=", path);
  const std::string ignore = absl::StrCat(kChildIgnores, "=1");
  const std::array<const char*, 5> arguments = {
      "/proc/self/exe", "--gtest_also_run_disabled_tests",
      "--gtest_filter=*DISABLED_Child", "--gtest_brief=1", nullptr};
  const std::array<const char*, 3> environment = {
      at.c_str(), ignores ? ignore.c_str() : nullptr, nullptr};
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    execve(arguments[0], const_cast<char**>(arguments.data()),
           const_cast<char**>(environment.data()));
    _exit(126);
  }
  close(ends[1]);
  uint64_t answered = 0;
  char byte = 0;
  std::string said;
  while (read(ends[0], &byte, 1) == 1) {
    answered += byte == '+' ? 1 : 0;
    said += byte;
  }
  close(ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(!WIFEXITED(status) || WEXITSTATUS(status) == 0) << said;
  return {status, answered};
}

void ExpectAnsweredInFile(const std::string& path, uint64_t answered) {
  EXPECT_GT(answered, 20U);
  const auto store = SqliteCheckpointer::Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  const auto all = ListCheckpoints(**store);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_GE(all->size(), answered);
  EXPECT_LE(all->size(), answered + 1);
}

TEST(SqliteFullDiskTest, AFileThatMayNotGrowIsAsAFullDiskIfTheSignalIsIgnored) {
  const TempFolder folder;
  const auto [status, answered] = RunChild(folder.File("db"), /*ignores=*/true);
  EXPECT_TRUE(WIFEXITED(status));
  ExpectAnsweredInFile(folder.File("db"), answered);
}

TEST(SqliteFullDiskTest, AFileThatMayNotGrowEndsAProcessThatLetsTheSignalDoIt) {
  const TempFolder folder;
  const auto [status, answered] =
      RunChild(folder.File("db"), /*ignores=*/false);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
  ExpectAnsweredInFile(folder.File("db"), answered);
}

}  // namespace
}  // namespace weir
