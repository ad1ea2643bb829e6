#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"
#include "tests/support/served_graph.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/event.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/run_stream.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

// What readers get who join a run, whenever they come.
namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class JoinStreamTest : public ServedGraphTest {
 protected:
  // Of a stream read to where it is now: names and data.
  Lines Texts(RunStream& stream) {
    RunAll();
    Lines texts;
    while (const Event* event = stream.TryNext()) {
      texts.push_back(EventText(*event));
    }
    return texts;
  }
};

// Places.

// When the reader comes to a run whose events have the ids 0 to 15. In the
// middle, 7 is the newest; of the last, only 12 to 15 are kept.
enum class When { kBefore, kMidRun, kAfter, kDropped };

struct JoinRow {
  const char* name;
  bool resumable;
  When when;
  int64_t newest;
  // What a reader gets that gives no id, -1, 5, the newest, the one after it.
  const char* gets[5];
};
constexpr const char* kOutOfRange = "OUT_OF_RANGE";
constexpr const char* kNotResumable = "FAILED_PRECONDITION";
constexpr JoinRow kJoinRows[] = {
    {"resumable, before it starts",
     true,
     When::kBefore,
     -1,
     {"0..15 end", "0..15 end", kOutOfRange, "0..15 end", kOutOfRange}},
    {"resumable, while it runs",
     true,
     When::kMidRun,
     7,
     {"8..15 end", "0..15 end", "6..15 end", "8..15 end", kOutOfRange}},
    {"resumable, after its end",
     true,
     When::kAfter,
     15,
     {"end", "0..15 end", "6..15 end", "end", kOutOfRange}},
    {"resumable, no longer kept",
     true,
     When::kDropped,
     15,
     {"end", kOutOfRange, kOutOfRange, "end", kOutOfRange}},
    {"plain, before it starts",
     false,
     When::kBefore,
     -1,
     {"0..15 end", kNotResumable, kNotResumable, kNotResumable, kNotResumable}},
    {"plain, while it runs",
     false,
     When::kMidRun,
     7,
     {"8..15 end", kNotResumable, kNotResumable, kNotResumable, kNotResumable}},
    {"plain, after its end",
     false,
     When::kAfter,
     15,
     {"end", kNotResumable, kNotResumable, kNotResumable, kNotResumable}},
};

class JoinPlacesTest : public JoinStreamTest {
 protected:
  // Brings a run to where `row` wants it.
  RunInfo Prepare(const JoinRow& row) {
    Open();
    hold_after_ = row.when == When::kMidRun ? 7 : -1;
    StartOptions options{.modes = kCustom, .resumable = row.resumable};
    if (row.when == When::kBefore) options.after = absl::Seconds(1);
    if (row.when == When::kDropped) options.max_events = 4;
    const ThreadId thread = runtime_->CreateThread();
    first_.emplace(Stream(thread, "emit", options));
    RunAll();
    return {.id = first_->run_id(), .thread_id = thread};
  }
  std::string Gets(const RunInfo& run, std::optional<int64_t> after) {
    absl::StatusOr<RunStream> stream =
        runtime_->JoinStream(run.thread_id, run.id, {.last_event_id = after});
    if (!stream.ok()) return CodeOf(stream.status());
    gate_.Open();
    RunFor(absl::Seconds(1));
    return Read(*stream);
  }

  std::optional<RunStream> first_;
};

TEST_F(JoinPlacesTest, ReaderGetsWhatItsPlaceSays) {
  for (const JoinRow& row : kJoinRows) {
    const std::optional<int64_t> places[] = {std::nullopt, -1, 5, row.newest,
                                             row.newest + 1};
    for (size_t i = 0; i < std::size(places); ++i) {
      SCOPED_TRACE(absl::StrCat(row.name, ", column ", i));
      // A plain run's -1 in the fourth column is the second's.
      EXPECT_EQ(Gets(Prepare(row), places[i]), row.gets[i]);
    }
  }
}

TEST_F(JoinPlacesTest, IdBelowMinusOneIsRefused) {
  for (const JoinRow& row : kJoinRows) {
    SCOPED_TRACE(row.name);
    for (const int64_t garbage : {int64_t{-2}, int64_t{-5}, INT64_MIN}) {
      EXPECT_EQ(Gets(Prepare(row), garbage), "INVALID_ARGUMENT");
    }
  }
}

TEST_F(JoinPlacesTest, JoiningDoesNotDisturbWhoWasThere) {
  for (const JoinRow& row : kJoinRows) {
    SCOPED_TRACE(row.name);
    const RunInfo run = Prepare(row);
    (void)Gets(run, std::nullopt);
    gate_.Open();
    EXPECT_EQ(Read(*first_),
              row.when == When::kDropped ? "end DATA_LOSS" : "0..15 end");
  }
}

TEST_F(JoinPlacesTest, OldestKeptIsWhereAReplayMayBegin) {
  const RunInfo run = Prepare(kJoinRows[3]);
  EXPECT_EQ(Gets(run, 11), "12..15 end");
  EXPECT_EQ(Gets(run, 10), kOutOfRange);
}

TEST_F(JoinPlacesTest, RefusalsSayWhatToDo) {
  const auto refusal = [this](const RunInfo& run, int64_t after) {
    return runtime_->JoinStream(run.thread_id, run.id, {.last_event_id = after})
        .status();
  };
  RunInfo run = Prepare(kJoinRows[1]);
  EXPECT_THAT(refusal(run, 8),
              Refused(absl::StatusCode::kOutOfRange, {run.id, "8", "7"}));
  EXPECT_THAT(refusal(run, -7), Refused(absl::StatusCode::kInvalidArgument,
                                        {run.id, "-7", "-1"}));
  run = Prepare(kJoinRows[3]);
  EXPECT_THAT(refusal(run, 3), Refused(absl::StatusCode::kOutOfRange,
                                       {run.id, "3", "oldest", "12"}));
  run = Prepare(kJoinRows[5]);
  EXPECT_THAT(refusal(run, 3), Refused(absl::StatusCode::kFailedPrecondition,
                                       {run.id, "3", "resumable"}));
  run = Prepare(kJoinRows[6]);
  EXPECT_THAT(refusal(run, 3), Refused(absl::StatusCode::kFailedPrecondition,
                                       {run.id, "3", "resumable"}));
}

TEST_F(JoinPlacesTest, EventIdIsReadAsText) {
  const std::pair<const char*, std::optional<int64_t>> good[] = {
      {"", std::nullopt}, {"-1", -1},   {"0", 0},
      {"17", 17},         {"0017", 17}, {"9223372036854775807", INT64_MAX},
  };
  for (const auto& [text, id] : good) {
    SCOPED_TRACE(text);
    const absl::StatusOr<std::optional<int64_t>> parsed = ParseEventId(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, id);
  }
}

TEST_F(JoinPlacesTest, TextThatIsNoEventIdIsRefusedWithItsForm) {
  for (const std::string text :
       {"2.5", "-5", "+3", "3 ", " 3", "-", "--1", "x", "1e3", "-1 ", "-01",
        "9223372036854775808", "1718000000000-0",
        "1f0a3b5c-7d9e-6f00-8001-2a3b4c5d6e7f"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseEventId(text).status(),
                Refused(absl::StatusCode::kInvalidArgument,
                        {"'" + text + "'", "event id", "number", "-1"}));
  }
}

// Ids.

TEST_F(JoinStreamTest, IdsBeginAtZeroAndHaveNoHoles) {
  for (const bool resumable : {false, true}) {
    RunStream stream = Stream(
        runtime_->CreateThread(), "emit",
        {.modes = kValues | kUpdates | kCustom | kTasks | kCheckpoints | kDebug,
         .resumable = resumable});
    EXPECT_EQ(stream.last_event_id(), -1);
    uint64_t next = 0;
    while (const Event* event = stream.Next()) {
      EXPECT_EQ(event->name() == "metadata", next == 0);
      EXPECT_EQ(event->id(), next++);
    }
    EXPECT_GT(next, 30u);
  }
}

TEST_F(JoinStreamTest, FilterHidesEventsAndKeepsTheirIds) {
  const ThreadId thread = runtime_->CreateThread();
  RunStream all =
      Stream(thread, "emit", {.modes = kUpdates | kCustom, .resumable = true});
  RunStream some = Join({.id = all.run_id(), .thread_id = thread},
                        {.last_event_id = -1, .modes = kUpdates});
  EXPECT_EQ(Read(all), "0..18 end");
  EXPECT_EQ(Read(some), "0..1 17..18 end");
  // Ids apply before the filter.
  RunStream later = Join({.id = all.run_id(), .thread_id = thread},
                         {.last_event_id = 1, .modes = kUpdates});
  EXPECT_EQ(Read(later), "17..18 end");
}

TEST_F(JoinStreamTest, ReaderThatCountsOnWhatItSawMissesNothing) {
  hold_after_ = 7;
  const ThreadId thread = runtime_->CreateThread();
  RunStream first =
      Stream(thread, "emit", {.modes = kCustom, .resumable = true});
  const RunInfo run{.id = first.run_id(), .thread_id = thread};
  for (int i = 0; i < 4; ++i) EXPECT_NE(first.Next(), nullptr);
  RunStream second = Join(run, {.last_event_id = first.last_event_id()});
  EXPECT_EQ(second.last_event_id(), 3);
  EXPECT_EQ(Read(second), "4..7");
  gate_.Open();
  EXPECT_EQ(Read(second), "8..15 end");
}

TEST_F(JoinStreamTest, FirstReaderOfAPlainRunCountsFromWhereItCame) {
  hold_after_ = 7;
  const RunInfo run =
      Start(runtime_->CreateThread(), "emit", {.modes = kCustom});
  RunAll();
  RunStream stream = Join(run);
  gate_.Open();
  EXPECT_THAT(Texts(stream),
              ElementsAre("custom 8", "custom 9", "custom 10", "custom 11",
                          "custom 12", "custom 13", "custom 14", "custom 15"));
}

TEST_F(JoinStreamTest, WhetherARunIsResumableIsFixedWhenItStarts) {
  for (const bool resumable : {false, true}) {
    hold_after_ = 7;
    const RunInfo run = Start(runtime_->CreateThread(), "emit",
                              {.modes = kCustom, .resumable = resumable});
    RunStream first = Join(run);
    RunAll();
    EXPECT_EQ(
        runtime_->JoinStream(run.thread_id, run.id, {.last_event_id = -1}).ok(),
        resumable);
    gate_.Open();
    RunAll();
    EXPECT_EQ(
        runtime_->JoinStream(run.thread_id, run.id, {.last_event_id = -1}).ok(),
        resumable);
    EXPECT_EQ(runtime_->GetRun(run.thread_id, run.id)->resumable, resumable);
  }
}

// Filters.

class JoinFilterTest : public JoinStreamTest {
 protected:
  JoinFilterTest() {
    StateGraph inner;
    (void)inner.AddChannel("note", LastValue<std::string>());
    inner.AddNode("leaf", [](NodeContext& node) {
      node.Emit(1);
      return Update().Set("note", Value("leaf"));
    });
    inner.AddEdge(kStart, "leaf");
    StateGraph outer;
    (void)outer.AddChannel("note", LastValue<std::string>());
    outer.AddNode("inside", MustCompile(inner));
    outer.AddNode("last", [](NodeContext&) -> absl::Status {
      return absl::DataLossError("spilt");
    });
    outer.AddEdge(kStart, "inside");
    outer.AddEdge("inside", "last");
    EXPECT_TRUE(runtime_->Register("nested", MustCompile(outer)).ok());
  }
  RunInfo StartNested(bool subgraphs) {
    absl::StatusOr<RunInfo> run =
        runtime_->StartRun(runtime_->CreateThread(), "nested", Update(),
                           {.modes = kUpdates | kCustom | kTasks,
                            .subgraphs = subgraphs,
                            .resumable = true});
    EXPECT_TRUE(run.ok()) << run.status();
    return *std::move(run);
  }
  // The names of events, with the node of the graph that they come from.
  Lines Names(const RunInfo& run, std::optional<StreamModes> modes) {
    RunStream stream = Join(run, {.last_event_id = -1, .modes = modes});
    RunAll();
    Lines names;
    while (const Event* event = stream.TryNext()) {
      names.push_back(std::string(event->name()));
      for (const NamespaceLevel& level : event->ns()) {
        names.back().append("|" + level.node);
      }
    }
    EXPECT_TRUE(stream.ended());
    return names;
  }
};

TEST_F(JoinFilterTest, FilterPassesTheEventsOfGraphsInside) {
  const RunInfo run = StartNested(true);
  EXPECT_THAT(Names(run, kCustom),
              ElementsAre("metadata", "custom|inside", "error"));
  EXPECT_THAT(Names(run, kUpdates),
              ElementsAre("metadata", "updates|inside", "updates", "error"));
}

TEST_F(JoinFilterTest, WhetherGraphsInsideShowIsTheRunsChoice) {
  EXPECT_THAT(Names(StartNested(false), kUpdates),
              ElementsAre("metadata", "updates", "error"));
  EXPECT_THAT(Names(StartNested(false), std::nullopt),
              Not(testing::Contains(HasSubstr("|"))));
  EXPECT_THAT(Names(StartNested(true), std::nullopt),
              testing::Contains("tasks|inside"));
}

TEST_F(JoinFilterTest, MetadataAndErrorPassEveryFilter) {
  EXPECT_THAT(Names(StartNested(false), kCustom),
              ElementsAre("metadata", "error"));
}

TEST_F(JoinFilterTest, ModeThatTheRunHasNotIsRefusedWithThoseItHas) {
  const RunInfo run = StartNested(false);
  const auto refusal = [&](StreamModes modes) {
    return runtime_->JoinStream(run.thread_id, run.id, {.modes = modes})
        .status();
  };
  EXPECT_THAT(refusal(kValues),
              Refused(absl::StatusCode::kInvalidArgument,
                      {run.id, "'values'", "updates, custom, tasks"}));
  EXPECT_THAT(refusal(kValues | kUpdates),
              Refused(absl::StatusCode::kInvalidArgument, {"'values'"}));
  EXPECT_THAT(refusal(static_cast<StreamModes>(1u << 20)),
              Refused(absl::StatusCode::kInvalidArgument));
}

TEST_F(JoinFilterTest, RunPublishesOnlyTheModesItWasStartedWith) {
  EXPECT_THAT(Names(StartNested(true), std::nullopt),
              Not(testing::Contains(
                  AllOf(Not(StartsWith("metadata")), Not(StartsWith("updates")),
                        Not(StartsWith("custom")), Not(StartsWith("tasks")),
                        Not(StartsWith("error"))))));
  const RunInfo plain = Start(runtime_->CreateThread(), "emit", {});
  EXPECT_EQ(plain.modes, kValues) << "no modes are values";
  const RunInfo none = Start(runtime_->CreateThread(), "emit",
                             {.modes = static_cast<StreamModes>(0)});
  EXPECT_EQ(none.modes, kValues);
}

// Ends and errors.

TEST_F(JoinStreamTest, EndCarriesTheStatusOfTheRun) {
  struct Row {
    const char* job;
    RunStatus status;
    const char* end;
  };
  const Row rows[] = {
      {"emit", RunStatus::kSuccess, "end"},
      {"ask", RunStatus::kSuccess, "end"},
      {"fail", RunStatus::kError, "end UNAVAILABLE"},
      {"sleep", RunStatus::kTimeout, "end DEADLINE_EXCEEDED"},
      {"wait", RunStatus::kInterrupted, "end CANCELLED"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.job);
    RunStream stream = Stream(runtime_->CreateThread(), row.job,
                              {.timeout = absl::Seconds(9)});
    RunAll();
    if (row.status == RunStatus::kInterrupted) stream.Cancel();
    if (row.status == RunStatus::kTimeout) RunFor(absl::Seconds(10));
    EXPECT_EQ(stream.run_status(), std::nullopt);
    EXPECT_THAT(Read(stream), testing::EndsWith(row.end));
    EXPECT_EQ(stream.run_status(), row.status);
  }
}

TEST_F(JoinStreamTest, EndComesAtOnce) {
  hold_after_ = 3;
  RunStream stream = Stream(runtime_->CreateThread(), "emit");
  EXPECT_EQ(Read(stream), "0..3");
  const absl::Time before = executor_.Now();
  gate_.Open();
  while (stream.Next() != nullptr) {
  }
  EXPECT_TRUE(stream.ended());
  EXPECT_EQ(executor_.Now(), before);
}

TEST_F(JoinStreamTest, ErrorIsTheLastEventAndIsReplayed) {
  const RunInfo run = Start(runtime_->CreateThread(), "fail",
                            {.modes = kCustom, .resumable = true});
  (void)Outcome(run);
  for (int i = 0; i < 2; ++i) {
    RunStream stream = Join(run, {.last_event_id = -1});
    EXPECT_THAT(Texts(stream),
                ElementsAre(StartsWith("metadata"),
                            AllOf(StartsWith("error "),
                                  HasSubstr(R"("error": "NodeError")"),
                                  HasSubstr("no milk"))));
    EXPECT_EQ(ErrorKindOf(stream.status()), ErrorKind::kNodeError);
  }
}

TEST_F(JoinStreamTest, ErrorOfANodeHasItsName) {
  RunStream stream = Stream(runtime_->CreateThread(), "fail");
  EXPECT_THAT(Texts(stream).back(), HasSubstr(R"("node": "b")"));
}

TEST_F(JoinStreamTest, CancelPublishesNothing) {
  RunStream stream = Stream(runtime_->CreateThread(), "wait");
  EXPECT_EQ(Read(stream), "0");
  stream.Cancel();
  EXPECT_EQ(Read(stream), "end CANCELLED");
}

TEST_F(JoinStreamTest, RollbackIsTheLastEvent) {
  const ThreadId thread = runtime_->CreateThread();
  RunStream stream = Stream(thread, "wait");
  EXPECT_EQ(Read(stream), "0");
  EXPECT_TRUE(runtime_
                  ->Cancel(thread, stream.run_id(),
                           {.action = CancelAction::kRollback, .wait = true})
                  .ok());
  EXPECT_THAT(Texts(stream),
              ElementsAre(AllOf(StartsWith("error "),
                                HasSubstr(R"("error": "Rollback")"))));
  EXPECT_EQ(stream.status().code(), absl::StatusCode::kAborted);
}

TEST_F(JoinStreamTest, ReadersOfAStatelessRunThatIsGoneGetItAll) {
  for (const bool resumable : {false, true}) {
    SCOPED_TRACE(resumable);
    RunStream stream =
        Stream("", "emit", {.modes = kCustom, .resumable = resumable});
    RunAll();
    EXPECT_EQ(Read(stream), "0..15 end");
  }
}

TEST_F(JoinStreamTest, ReadersOwnTroubleIsNoEvent) {
  const ThreadId thread = runtime_->CreateThread();
  RunStream slow = Stream(
      thread, "emit", {.modes = kCustom, .resumable = true, .max_events = 4});
  RunStream other = Join({.id = slow.run_id(), .thread_id = thread});
  RunAll();
  EXPECT_THAT(Texts(slow), IsEmpty());
  EXPECT_EQ(slow.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(slow.run_status(), std::nullopt) << "it was not there for the end";
  RunStream late =
      Join({.id = slow.run_id(), .thread_id = thread}, {.last_event_id = 11});
  EXPECT_THAT(Texts(late), Not(testing::Contains(StartsWith("error"))));
}

// What cannot be found.

using RunCall =
    std::function<absl::Status(Runtime&, const ThreadId&, const RunId&)>;
const std::pair<const char*, RunCall> kRunCalls[] = {
    {"GetRun",
     [](Runtime& runtime, const ThreadId& thread, const RunId& run) {
       return runtime.GetRun(thread, run).status();
     }},
    {"Join",
     [](Runtime& runtime, const ThreadId& thread, const RunId& run) {
       return runtime.Join(thread, run).status();
     }},
    {"JoinStream",
     [](Runtime& runtime, const ThreadId& thread, const RunId& run) {
       return runtime.JoinStream(thread, run).status();
     }},
    {"Cancel", [](Runtime& runtime, const ThreadId& thread,
                  const RunId& run) { return runtime.Cancel(thread, run); }},
    {"CancelMany",
     [](Runtime& runtime, const ThreadId& thread, const RunId& run) {
       return runtime.CancelMany({.thread = thread, .runs = {run}});
     }},
    {"DeleteRun",
     [](Runtime& runtime, const ThreadId& thread, const RunId& run) {
       return runtime.DeleteRun(thread, run);
     }},
};

TEST_F(JoinStreamTest, RunIsFoundOnItsOwnThreadOnly) {
  const ThreadId thread = runtime_->CreateThread();
  const ThreadId other = runtime_->CreateThread();
  const RunInfo run = Start(thread, "wait");
  RunAll();
  for (const auto& [name, call] : kRunCalls) {
    SCOPED_TRACE(name);
    EXPECT_THAT(call(*runtime_, "nobody's", run.id),
                Refused(absl::StatusCode::kNotFound, {"'nobody's'"}));
    EXPECT_THAT(call(*runtime_, thread, "no run"),
                Refused(absl::StatusCode::kNotFound, {"'no run'"}));
    EXPECT_THAT(call(*runtime_, other, run.id),
                Refused(absl::StatusCode::kNotFound, {run.id, other}));
  }
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch()) << "and at once";
  EXPECT_EQ(StatusOf(run), "running");
}

TEST_F(JoinStreamTest, JoinOfAnUnknownRunByCallIsToldNotFound) {
  std::vector<absl::Status> told;
  runtime_->Join(runtime_->CreateThread(), "no run", {},
                 [&told](absl::StatusOr<RunOutcome> outcome) {
                   told.push_back(outcome.status());
                 });
  EXPECT_THAT(told, IsEmpty()) << "never inside the call";
  RunAll();
  EXPECT_THAT(told, ElementsAre(Refused(absl::StatusCode::kNotFound)));
}

TEST_F(JoinStreamTest, ReaderOfADeletedRunEndsWithNotFound) {
  const ThreadId thread = runtime_->CreateThread();
  RunStream stream =
      Stream(thread, "emit", {.modes = kCustom, .resumable = true});
  const RunInfo run{.id = stream.run_id(), .thread_id = thread};
  EXPECT_EQ(Outcome(run).status, RunStatus::kSuccess);
  EXPECT_NE(stream.Next(), nullptr);
  EXPECT_TRUE(runtime_->DeleteRun(thread, run.id).ok());
  EXPECT_EQ(stream.Next(), nullptr);
  EXPECT_THAT(stream.status(),
              Refused(absl::StatusCode::kNotFound, {run.id, "deleted"}));
}

TEST_F(JoinStreamTest, ReadersOfADeletedThreadEndWithNotFound) {
  for (const bool resumable : {false, true}) {
    for (const absl::Duration after : {absl::ZeroDuration(), absl::Hours(1)}) {
      SCOPED_TRACE(absl::StrCat(resumable ? "resumable" : "plain",
                                absl::FormatDuration(after)));
      const ThreadId thread = runtime_->CreateThread();
      RunStream stream =
          Stream(thread, "wait",
                 {.modes = kCustom, .resumable = resumable, .after = after});
      (void)Read(stream);
      EXPECT_TRUE(runtime_->DeleteThread(thread).ok());
      EXPECT_EQ(Read(stream), "end NOT_FOUND");
    }
  }
}

}  // namespace
}  // namespace weir
