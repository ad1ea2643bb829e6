#include "weir/runtime/runtime.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class RuntimeTest : public testing::Test {
 protected:
  RuntimeTest() {
    const auto count = good_.AddChannel("count", LastValue<int>());
    good_.AddNode("a", [count](NodeContext& node) {
      return Update(count, node.Get(count) + 1);
    });
    good_.AddEdge(kStart, "a");
    bad_.AddNode("a",
                 [](NodeContext&) { return absl::NotFoundError("no milk"); });
    bad_.AddEdge(kStart, "a");
  }
  static Input Count(int number) {
    return Update().Set("count", Value(number));
  }
  RuntimeOptions Options() {
    return {.executor = &executor_,
            .new_id = [this] { return absl::StrCat("id-", ++ids_); }};
  }

  SimExecutor executor_{1};
  int ids_ = 0;
  StateGraph good_;
  StateGraph bad_;
};

TEST_F(RuntimeTest, StreamsMetadataFirst) {
  Runtime runtime(Options());
  ASSERT_TRUE(runtime.Register("good", MustCompile(good_)).ok());
  const ThreadId thread = runtime.CreateThread();
  EXPECT_EQ(thread, "id-1");
  absl::StatusOr<RunStream> stream =
      runtime.Stream(thread, "good", Count(1), {.modes = kUpdates});
  ASSERT_TRUE(stream.ok()) << stream.status();
  const Streamed run = ReadAll(*stream);
  EXPECT_THAT(run.events,
              ElementsAre(R"(metadata {"run_id": "id-2", "attempt": 1})",
                          R"(updates {"a": {"count": 2}})"));
  EXPECT_TRUE(run.status.ok()) << run.status;
}

TEST_F(RuntimeTest, StreamsAFailureAsTheLastEvent) {
  Runtime runtime(Options());
  ASSERT_TRUE(runtime.Register("bad", MustCompile(bad_)).ok());
  absl::StatusOr<RunStream> stream = runtime.Stream(
      runtime.CreateThread(), "bad", Update(), {.modes = kUpdates});
  ASSERT_TRUE(stream.ok()) << stream.status();
  const Streamed run = ReadAll(*stream);
  EXPECT_THAT(
      run.events,
      ElementsAre(
          StartsWith("metadata"),
          R"(error {"error": "NodeError", "message": "node 'a' failed in step 1: no milk", "node": "a"})"));
  EXPECT_EQ(ErrorKindOf(run.status), ErrorKind::kNodeError);
}

TEST_F(RuntimeTest, EventsOfEachModeComeBetweenMetadataAndError) {
  Runtime runtime(Options());
  ASSERT_TRUE(runtime.Register("bad", MustCompile(bad_)).ok());
  absl::StatusOr<RunStream> stream =
      runtime.Stream(runtime.CreateThread(), "bad", Update(),
                     {.modes = kTasks | kCheckpoints});
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_THAT(ReadAll(*stream).events,
              ElementsAre(StartsWith("metadata"), StartsWith("checkpoints"),
                          StartsWith("checkpoints"), StartsWith("tasks"),
                          AllOf(StartsWith("tasks"), HasSubstr("no milk")),
                          StartsWith("error")));
}

TEST_F(RuntimeTest, ErrorBeforeTheFirstNodeIsAnEventToo) {
  Runtime runtime(Options());
  ASSERT_TRUE(runtime.Register("good", MustCompile(good_)).ok());
  absl::StatusOr<RunStream> stream =
      runtime.Stream(runtime.CreateThread(), "good", Input::Continue());
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_THAT(
      ReadAll(*stream).events,
      ElementsAre(StartsWith("metadata"),
                  HasSubstr(R"({"error": "EmptyInputError", "message": )")));
}

TEST_F(RuntimeTest, ErrorWithoutAKindShowsItsCode) {
  Runtime runtime(Options());
  ASSERT_TRUE(runtime.Register("good", MustCompile(good_)).ok());
  CheckpointRef nowhere;
  nowhere.id.sequence = 77;
  absl::StatusOr<RunStream> stream = runtime.Stream(
      runtime.CreateThread(), "good", Count(1), {.from = nowhere});
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_THAT(ReadAll(*stream).events.back(), HasSubstr(R"(error {"error": )"));
}

TEST_F(RuntimeTest, NameIsTakenOnce) {
  Runtime runtime(Options());
  EXPECT_TRUE(runtime.Register("good", MustCompile(good_)).ok());
  const absl::Status again = runtime.Register("good", MustCompile(bad_));
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(again.message()), HasSubstr("'good'"));
  EXPECT_TRUE(runtime.Register("bad", MustCompile(bad_)).ok());
  absl::StatusOr<RunStream> stream =
      runtime.Stream(runtime.CreateThread(), "good", Count(1));
  ASSERT_TRUE(stream.ok());
  EXPECT_TRUE(ReadAll(*stream).status.ok()) << "the first graph stays";
}

TEST_F(RuntimeTest, UnknownGraphIsNotFound) {
  Runtime runtime(Options());
  const absl::Status status =
      runtime.Stream(runtime.CreateThread(), "ghost", Update()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'ghost'"));
}

TEST_F(RuntimeTest, UnknownThreadIsNotFound) {
  Runtime runtime(Options());
  ASSERT_TRUE(runtime.Register("good", MustCompile(good_)).ok());
  const absl::Status status =
      runtime.Stream("nobody's", "good", Update()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'nobody's'"));
}

TEST_F(RuntimeTest, TellsNodesTheirThreadAndRun) {
  StateGraph builder;
  builder.AddNode("a", [](NodeContext& node) {
    EXPECT_EQ(node.thread_id(), "id-1");
    EXPECT_EQ(node.run_id(), "id-2");
  });
  builder.AddEdge(kStart, "a");
  Runtime runtime(Options());
  ASSERT_TRUE(runtime.Register("graph", MustCompile(builder)).ok());
  absl::StatusOr<RunStream> stream =
      runtime.Stream(runtime.CreateThread(), "graph", Update());
  ASSERT_TRUE(stream.ok());
  EXPECT_TRUE(ReadAll(*stream).status.ok());
}

TEST_F(RuntimeTest, RunsOfOneThreadHaveIdsOfTheirOwn) {
  Runtime runtime(Options());
  ASSERT_TRUE(runtime.Register("good", MustCompile(good_)).ok());
  const ThreadId thread = runtime.CreateThread();
  const StartOptions updates{.modes = kUpdates};
  absl::StatusOr<RunStream> first =
      runtime.Stream(thread, "good", Count(1), updates);
  absl::StatusOr<RunStream> second =
      runtime.Stream(thread, "good", Count(5), updates);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(second.ok());
  EXPECT_THAT(ReadAll(*second).events,
              ElementsAre(HasSubstr("id-3"), HasSubstr(R"("count": 6)")));
  EXPECT_THAT(ReadAll(*first).events,
              ElementsAre(HasSubstr("id-2"), HasSubstr(R"("count": 2)")));
}

TEST_F(RuntimeTest, IdsAreUuidsOfVersion7) {
  Runtime runtime;
  const std::string uuid =
      "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
  const ThreadId first = runtime.CreateThread();
  const ThreadId second = runtime.CreateThread();
  EXPECT_THAT(first, MatchesRegex(uuid));
  EXPECT_THAT(second, MatchesRegex(uuid));
  EXPECT_NE(first, second);
}

TEST_F(RuntimeTest, MakesWorkersOfItsOwn) {
  Runtime runtime;
  ASSERT_TRUE(runtime.Register("good", MustCompile(good_)).ok());
  std::vector<RunStream> streams;
  for (int i = 0; i < 10; ++i) {
    absl::StatusOr<RunStream> stream = runtime.Stream(
        runtime.CreateThread(), "good", Count(i), {.modes = kUpdates});
    ASSERT_TRUE(stream.ok());
    streams.push_back(*std::move(stream));
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    EXPECT_THAT(
        ReadAll(streams[i]).events,
        ElementsAre(StartsWith("metadata"), HasSubstr(absl::StrCat(i + 1))));
  }
}

TEST_F(RuntimeTest, CancelledRunEndsWithoutAnEvent) {
  StateGraph builder;
  builder.AddNode("a", [](NodeContext& node) -> Task<absl::Status> {
    co_return co_await node.Sleep(absl::Hours(1));
  });
  builder.AddEdge(kStart, "a");
  Runtime runtime(Options());
  ASSERT_TRUE(runtime.Register("graph", MustCompile(builder)).ok());
  absl::StatusOr<RunStream> stream =
      runtime.Stream(runtime.CreateThread(), "graph", Update());
  ASSERT_TRUE(stream.ok());
  EXPECT_NE(stream->Next(), nullptr);
  stream->Cancel();
  const Streamed rest = ReadAll(*stream);
  EXPECT_THAT(rest.events, IsEmpty());
  EXPECT_EQ(rest.status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(stream->run_status(), RunStatus::kInterrupted);
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch());
}

}  // namespace
}  // namespace weir
