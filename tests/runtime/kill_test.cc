// A process that is killed at any moment loses nothing that it had told, does
// nothing twice, and another goes on with what it was doing. WEIR_KILLS says
// how often it is killed.

#include <iostream>
#include <random>

#include "tests/runtime/crashed_file.h"

namespace weir {
namespace {

// Builds with asserts are sanitized, and slow.
#ifdef NDEBUG
constexpr int kDefaultKills = 1'000;
#else
constexpr int kDefaultKills = 100;
#endif

int Kills() {
  int kills = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread has begun
  const char* const text = getenv("WEIR_KILLS");
  return text != nullptr && absl::SimpleAtoi(text, &kills) ? kills
                                                           : kDefaultKills;
}

// Lets the child work for a while; false if it has ended by itself.
bool KillAfter(CrashedFile& file, absl::Duration delay) {
  ChildProcess child({WEIR_CRASH_CHILD, file.file(), "0"});
  if (child.Line() != "ready") return false;
  const absl::Time until = absl::Now() + delay;
  while (const std::optional<std::string> line = child.Line(until)) {
    file.Take(*line);
  }
  child.Kill();
  while (const std::optional<std::string> line = child.Line()) {
    file.Take(*line);
  }
  const int status = child.Wait();
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

TEST(KillTest, NothingIsLostOrDoneTwiceWhereverTheProcessIsKilled) {
  constexpr int kKillsOfAFile = 12;
  const unsigned seed = std::random_device{}();
  std::cout << "seed " << seed << '\n';
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> delay(0, 20);
  const int kills = Kills();
  size_t runs = 0;
  size_t events = 0;
  int kill = 0;
  while (kill < kills && !testing::Test::HasFailure()) {
    const TempFolder folder;
    CrashedFile file(folder.File("runs.db"));
    for (int i = 0; i < kKillsOfAFile && kill < kills; ++i, ++kill) {
      SCOPED_TRACE(absl::StrCat("kill ", kill));
      ASSERT_TRUE(KillAfter(file, absl::Milliseconds(delay(random))));
      // Else the next process goes on where this one was.
      if (random() % 2 == 0) file.Check();
      if (testing::Test::HasFailure()) break;
    }
    file.Check();
    runs += file.runs_told();
    events += file.events_told();
  }
  std::cout << kill << " kills, " << runs << " runs and " << events
            << " events told\n";
}

}  // namespace
}  // namespace weir
