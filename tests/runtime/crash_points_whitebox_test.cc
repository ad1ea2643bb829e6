// A process that ends at any of the points that its database and its Runtime
// pass leaves what one that is killed leaves: see kill_test.cc.

#include <iostream>

#include "absl/base/config.h"
#include "tests/runtime/crashed_file.h"

namespace weir {
namespace {

constexpr int kRuns = 9;
#if defined(ABSL_HAVE_THREAD_SANITIZER) || defined(ABSL_HAVE_ADDRESS_SANITIZER)
constexpr int kTimes = 1;  // Processes begin slowly.
#else
constexpr int kTimes = 3;
#endif

// Has the child work until it ends by itself; returns what it exits with.
int Work(CrashedFile& file, const std::string& at,
         std::vector<std::string>* points = nullptr) {
  ChildProcess child({WEIR_CRASH_CHILD, file.file(), absl::StrCat(kRuns)},
                     {absl::StrCat("WEIR_CRASH_AT=", at)});
  EXPECT_EQ(child.Line(), "ready");
  while (std::optional<std::string> line = child.Line()) {
    if (absl::StartsWith(*line, "point ")) {
      if (points != nullptr) points->push_back(line->substr(6));
      continue;
    }
    file.Take(*line);
  }
  const int status = child.Wait();
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Those that a process passes that does all of what crash_child does.
std::vector<std::string> Points() {
  const TempFolder folder;
  CrashedFile file(folder.File("runs.db"));
  std::vector<std::string> points;
  EXPECT_EQ(Work(file, "?", &points), 0);
  file.Check();
  return points;
}

// Points that are passed once, when a process opens a file or ends.
bool IsRare(const std::string& point) { return point == "runs: looked for"; }

TEST(CrashPointsTest, NothingIsLostOrDoneTwiceAtWhicheverPointTheProcessEnds) {
  const std::vector<std::string> points = Points();
  // What must be among them, whatever else is.
  for (const char* part : {"migration: step",
                           "migration: end",
                           "migration: ended",
                           "BEGIN",
                           "COMMIT",
                           "committed",
                           "answer",
                           "log: copied",
                           "log: was copied",
                           "log: cut off",
                           "log: was cut off",
                           "close",
                           "closed",
                           "REPLACE INTO checkpoint",
                           "INTO value",
                           "INTO task_write",
                           "INTO event",
                           "INTO run",
                           "INTO thread_row",
                           "DELETE FROM checkpoint",
                           "DELETE FROM value",
                           "DELETE FROM task_write",
                           "DELETE FROM event",
                           "DELETE FROM run",
                           "DELETE FROM thread",
                           "INSERT INTO pack",
                           "DELETE FROM pack",
                           "incremental_vacuum",
                           "run: admitted, stored",
                           "run: begun, stored",
                           "run: checkpoint, told",
                           "run: writes, stored",
                           "run: events, stored",
                           "run: ended, stored",
                           "run: ended, told",
                           "thread: copied, stored",
                           "thread: deleted, told",
                           "runs: deleted, stored",
                           "threads: pruned, stored"}) {
    EXPECT_THAT(points, testing::Contains(testing::HasSubstr(part)));
  }
  int ends = 0;
  for (const std::string& point : points) {
    for (int times = 1; times <= kTimes; ++times) {
      if (testing::Test::HasFailure()) return;
      SCOPED_TRACE(absl::StrCat(point, ":", times));
      const TempFolder folder;
      CrashedFile file(folder.File("runs.db"));
      const int code = Work(file, absl::StrCat(point, ":", times));
      const bool was_there = code == 42;
      EXPECT_TRUE(was_there || (times > 1 && IsRare(point)))
          << "not passed; it ended with " << code;
      ends += was_there ? 1 : 0;
      file.Check();
    }
  }
  std::cout << points.size() << " points, ended " << ends << " times\n";
}

}  // namespace
}  // namespace weir
