// A host that is told to end by SIGTERM drains its Runtime: another process
// goes on with its runs within a second of the drain's deadline, and nothing
// that was written is lost or written again.

#include "tests/runtime/crashed_file.h"
#include "tests/runtime/drain_graph.h"

namespace weir {
namespace {

using testing::UnorderedElementsAre;

constexpr absl::Duration kDeadline = absl::Milliseconds(300);

class DrainTest : public testing::Test {
 protected:
  // Has a host do `jobs`, tells it to end, and goes on with them.
  void Drain(const std::vector<std::string>& jobs) {
    std::vector<std::string> command = {WEIR_DRAIN_CHILD,
                                        folder_.File("runs.db")};
    command.insert(command.end(), jobs.begin(), jobs.end());
    ChildProcess child(command);
    ASSERT_EQ(child.Line(), "ready");
    const absl::Time told = absl::Now();
    child.Kill(SIGTERM);
    said_ = child.Line().value_or("");
    EXPECT_EQ(child.Wait(), 0);
    GoOn(jobs);
    EXPECT_LE(claimed_ - told, kDeadline + absl::Seconds(1));
  }

  std::string said_;

 private:
  void GoOn(const std::vector<std::string>& jobs) {
    DrainGraph graph(false, [] {});
    absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> store =
        SqliteCheckpointer::Open(folder_.File("runs.db"));
    ASSERT_TRUE(store.ok()) << store.status();
    Runtime runtime({.checkpointer = store->get()});
    const absl::Status registered =
        runtime.Register("drain", MustCompile(graph.builder));
    ASSERT_TRUE(registered.ok()) << registered;
    claimed_ = absl::Now();
    for (const std::string& job : jobs) {
      SCOPED_TRACE(job);
      absl::StatusOr<RunOutcome> outcome;
      if (job == "ask") {
        outcome = runtime.Wait(job, "drain", Input::Resume(Value("yes")));
      } else {
        const absl::StatusOr<std::vector<RunInfo>> runs = runtime.ListRuns(job);
        ASSERT_TRUE(runs.ok()) << runs.status();
        ASSERT_EQ(runs->size(), 1U);
        EXPECT_EQ(runs->front().attempt, 2);
        outcome = runtime.Join(job, runs->front().id);
      }
      ASSERT_TRUE(outcome.ok()) << outcome.status();
      EXPECT_EQ(outcome->status, RunStatus::kSuccess) << outcome->error;
      const auto log = outcome->values.Get(graph.log);
      EXPECT_THAT(std::vector<std::string>(log.begin(), log.end()),
                  UnorderedElementsAre("done", "busy"));
    }
  }

  TempFolder folder_;
  absl::Time claimed_;
};

TEST_F(DrainTest, RunsOfAHostThatIsToldToEndAreThereForTheNext) {
  Drain({"long", "ask", "retry"});
  EXPECT_THAT(said_, testing::HasSubstr("DEADLINE_EXCEEDED"));
}

TEST_F(DrainTest, NodeThatDoesNotHearHoldsNobodyUp) {
  Drain({"deaf", "long"});
  EXPECT_THAT(said_, testing::HasSubstr("DEADLINE_EXCEEDED"));
}

TEST_F(DrainTest, QuestionsAndNothingElseAreDrainedAtOnce) {
  Drain({"ask"});
  EXPECT_EQ(said_, "OK");
}

}  // namespace
}  // namespace weir
