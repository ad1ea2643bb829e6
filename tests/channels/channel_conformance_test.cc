// What holds for every channel kind, and the table of the kinds, row by row.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "weir/channels/any_value.h"
#include "weir/channels/append_log.h"
#include "weir/channels/barrier.h"
#include "weir/channels/channel.h"
#include "weir/channels/ephemeral.h"
#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/channels/nlohmann_json.h"
#include "weir/channels/reducer.h"
#include "weir/channels/topic.h"
#include "weir/channels/untracked.h"

namespace weir {
namespace {

using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr char kEmpty[] = "(empty)";
constexpr char kRefused[] = "(refused)";

// A kind, and what is read from it as JSON text, or kEmpty.
struct KindCase {
  std::string title;
  std::shared_ptr<const ChannelKind> kind;
  std::string name;
  Value first, second;  // Two writes.
  Value wrong;          // One of another type.

  std::string initially;
  std::string after_first;
  std::string after_both;     // In one superstep; kRefused if that may not be.
  std::string in_next_step;   // `second` a superstep after `first`.
  std::string after_quiet;    // A superstep after `first` that does not write.
  std::string after_finish;   // `first`, then nothing is left to run.
  std::string after_consume;  // That, and a node it triggers has run.
  std::string after_resume;   // `first`, saved and brought back.

  Value whole;                  // What an Overwrite carries.
  std::string after_overwrite;  // `first`, Overwrite(whole), `second`.
  bool reduces = false;         // Whether Overwrite is more than a write.
  bool saved = true;            // Whether it is in checkpoints at all.
};

std::string Reading(const ChannelState& state) {
  const Value* value = state.Read();
  return value == nullptr ? kEmpty : value->ToJson();
}

class ChannelConformanceTest : public testing::TestWithParam<KindCase> {
 protected:
  ChannelConformanceTest() { kind().Init(state_); }

  const KindCase& expected() const { return GetParam(); }
  const ChannelKind& kind() const { return *GetParam().kind; }
  std::string Reading() const { return weir::Reading(state_); }

  // Writes in the current superstep. Whether that changed the channel.
  absl::StatusOr<bool> Apply(Value write, bool overwrite = false) {
    absl::StatusOr<bool> changed =
        kind().Apply(state_, std::move(write), overwrite);
    if (changed.ok()) ++state_.writes;
    return changed;
  }
  void Write(Value write, bool overwrite = false) {
    const absl::Status s = Apply(std::move(write), overwrite).status();
    ASSERT_TRUE(s.ok()) << s;
  }
  bool EndStep() {
    const bool quiet = state_.writes == 0;
    state_.writes = 0;
    state_.overwritten = false;
    return quiet && kind().clears_when_quiet() && kind().Quiet(state_);
  }

  // `snapshot`, written to bytes and read back.
  Value Reread(const Value& snapshot) {
    if (!snapshot.has_value()) return snapshot;
    EXPECT_EQ(snapshot.type(), kind().snapshot_type());
    std::string bytes;
    EXPECT_TRUE(snapshot.Encode(&bytes).ok());
    std::string_view rest = bytes;
    Value read;
    EXPECT_TRUE(kind().snapshot_type()->decode(&rest, &read).ok());
    EXPECT_TRUE(rest.empty());
    return read;
  }

  ChannelState state_;
};

TEST_P(ChannelConformanceTest, HasAName) {
  EXPECT_EQ(kind().name(), expected().name);
}

TEST_P(ChannelConformanceTest, StartsAtItsInitialValue) {
  EXPECT_EQ(Reading(), expected().initially);
}

TEST_P(ChannelConformanceTest, TakesInAWrite) {
  absl::StatusOr<bool> changed = Apply(expected().first);
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_TRUE(*changed);
  EXPECT_EQ(Reading(), expected().after_first);
}

TEST_P(ChannelConformanceTest, CombinesTwoWritesOfASuperstepOrRefusesThem) {
  Write(expected().first);
  const absl::Status s = Apply(expected().second).status();
  if (expected().after_both == kRefused) {
    EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(s.message().find("one write in a superstep"), s.message().npos)
        << s;
  } else {
    ASSERT_TRUE(s.ok()) << s;
    EXPECT_EQ(Reading(), expected().after_both);
  }
}

TEST_P(ChannelConformanceTest, TakesInAWriteOfTheNextSuperstep) {
  Write(expected().first);
  EndStep();
  Write(expected().second);
  EXPECT_EQ(Reading(), expected().in_next_step);
}

TEST_P(ChannelConformanceTest, QuietSuperstepClearsOrKeeps) {
  Write(expected().first);
  EXPECT_FALSE(EndStep());
  const std::string before = Reading();
  EXPECT_EQ(before, expected().after_first);
  EXPECT_EQ(EndStep(), expected().after_quiet != before);
  EXPECT_EQ(Reading(), expected().after_quiet);
  EXPECT_FALSE(EndStep()) << "there was nothing left to clear";
}

TEST_P(ChannelConformanceTest, FinishShowsWhatWaitsForIt) {
  EXPECT_FALSE(kind().Finish(state_)) << "there is nothing to show";
  Write(expected().first);
  const bool shows = expected().after_finish != expected().after_first;
  EXPECT_EQ(kind().Finish(state_), shows);
  EXPECT_EQ(Reading(), expected().after_finish);
  EXPECT_FALSE(kind().Finish(state_)) << "twice";
  EXPECT_TRUE(!shows || kind().reacts_to_finish());
}

TEST_P(ChannelConformanceTest, ConsumeStartsAnewWhatWasComplete) {
  EXPECT_FALSE(kind().Consume(state_)) << "there is nothing to consume";
  Write(expected().first);
  kind().Finish(state_);
  const bool consumes = expected().after_consume != expected().after_finish;
  EXPECT_EQ(kind().Consume(state_), consumes);
  EXPECT_EQ(Reading(), expected().after_consume);
  EXPECT_FALSE(kind().Consume(state_)) << "twice";
}

TEST_P(ChannelConformanceTest, SnapshotBringsTheValueBack) {
  Write(expected().first);
  EndStep();
  const Value snapshot = kind().Snapshot(state_);
  EXPECT_EQ(snapshot.has_value(), expected().saved);

  ChannelState resumed;
  const absl::Status s = kind().Restore(resumed, Reread(snapshot));
  ASSERT_TRUE(s.ok()) << s;
  EXPECT_EQ(weir::Reading(resumed), expected().after_resume);
  EXPECT_EQ(kind().Snapshot(resumed), snapshot);

  // It goes on from there as the one that was saved does.
  kind().Finish(resumed);
  kind().Finish(state_);
  if (expected().saved) {
    EXPECT_EQ(weir::Reading(resumed), Reading());
  }
}

TEST_P(ChannelConformanceTest, SnapshotSavesWhetherTheFinishWasSeen) {
  Write(expected().first);
  kind().Finish(state_);
  ChannelState resumed;
  ASSERT_TRUE(kind().Restore(resumed, Reread(kind().Snapshot(state_))).ok());
  EXPECT_EQ(weir::Reading(resumed),
            expected().saved ? expected().after_finish : expected().initially);
}

TEST_P(ChannelConformanceTest, InitialStateSurvivesASnapshot) {
  ChannelState resumed;
  ASSERT_TRUE(kind().Restore(resumed, Reread(kind().Snapshot(state_))).ok());
  EXPECT_EQ(weir::Reading(resumed), expected().initially);
}

TEST_P(ChannelConformanceTest, NoSnapshotRestoresTheInitialState) {
  ChannelState resumed;
  ASSERT_TRUE(kind().Restore(resumed, Value()).ok());
  EXPECT_EQ(weir::Reading(resumed), expected().initially);
}

TEST_P(ChannelConformanceTest, SnapshotOfAnotherTypeIsDataLoss) {
  struct Other {};
  ChannelState resumed;
  // What is not saved does not look at snapshots.
  EXPECT_EQ(
      kind().Restore(resumed, Value(Other())).code(),
      expected().saved ? absl::StatusCode::kDataLoss : absl::StatusCode::kOk);
}

TEST_P(ChannelConformanceTest, SnapshotDoesNotFollowLaterWrites) {
  Write(expected().first);
  EndStep();
  const Value snapshot = kind().Snapshot(state_);
  const std::string before = snapshot.ToJson();
  Write(expected().second);
  EndStep();
  EndStep();
  kind().Finish(state_);
  kind().Consume(state_);
  EXPECT_EQ(snapshot.ToJson(), before);
}

TEST_P(ChannelConformanceTest, ReadValueDoesNotFollowLaterWrites) {
  Write(expected().first);
  kind().Finish(state_);
  EndStep();
  const Value* read = state_.Read();
  if (read == nullptr) return;  // One write does not show.
  EXPECT_EQ(read->type(), kind().read_type());
  const Value kept = *read;
  Write(expected().second);
  EndStep();
  EndStep();
  EXPECT_EQ(kept.ToJson(), expected().after_finish);
}

TEST_P(ChannelConformanceTest, RefusesAWriteOfAnotherType) {
  Write(expected().first);
  EndStep();
  for (const bool overwrite : {false, true}) {
    const absl::Status s = Apply(expected().wrong, overwrite).status();
    EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument) << s;
    EXPECT_NE(s.message().find(std::string(expected().wrong.type_name())),
              s.message().npos)
        << s;
    EXPECT_EQ(Reading(), expected().after_first);
  }
}

TEST_P(ChannelConformanceTest, RefusesAnAbsentValue) {
  EXPECT_EQ(Apply(Value()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(ChannelConformanceTest, OverwriteReplacesInReducersAndWritesElsewhere) {
  Write(expected().first);
  if (expected().reduces) {
    Write(expected().whole, /*overwrite=*/true);
    absl::StatusOr<bool> changed = Apply(expected().second);
    ASSERT_TRUE(changed.ok()) << changed.status();
    EXPECT_FALSE(*changed) << "a write after an Overwrite is void";
  } else {
    EndStep();
    Write(expected().whole, /*overwrite=*/true);
  }
  EXPECT_EQ(Reading(), expected().after_overwrite);
}

TEST_P(ChannelConformanceTest, SecondOverwriteOfASuperstepIsRefused) {
  if (!expected().reduces) return;  // An Overwrite is a write.
  Write(expected().whole, /*overwrite=*/true);
  const absl::Status s = Apply(expected().whole, /*overwrite=*/true).status();
  EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(s.message().find("Overwrite"), s.message().npos) << s;
  EndStep();
  Write(expected().whole, /*overwrite=*/true);
  EndStep();
  Write(expected().second);  // Reduced again.
  EXPECT_NE(Reading(), expected().after_overwrite);
}

TEST_P(ChannelConformanceTest, StatesOfOneKindAreIndependent) {
  ChannelState other;
  kind().Init(other);
  Write(expected().first);
  EndStep();
  Write(expected().second);
  EXPECT_EQ(weir::Reading(other), expected().initially);
}

Message Said(std::string content, std::string id) {
  return {"user", std::move(content), std::move(id)};
}

Json Spoken(const std::string& content, const std::string& id) {
  return Json({{"role", "user"}, {"content", content}, {"id", id}});
}

const auto kAdd = [](int a, int b) { return a + b; };

INSTANTIATE_TEST_SUITE_P(
    Kinds, ChannelConformanceTest,
    testing::ValuesIn(std::vector<KindCase>{
        {.title = "LastValue",
         .kind = LastValue<std::string>().kind,
         .name = "LastValue",
         .first = Value("a"),
         .second = Value("b"),
         .wrong = Value(7),
         .initially = kEmpty,
         .after_first = "\"a\"",
         .after_both = kRefused,
         .in_next_step = "\"b\"",
         .after_quiet = "\"a\"",
         .after_finish = "\"a\"",
         .after_consume = "\"a\"",
         .after_resume = "\"a\"",
         .whole = Value("c"),
         .after_overwrite = "\"c\""},
        {.title = "LastValueOfNone",
         .kind = LastValue<None>().kind,
         .name = "LastValue",
         .first = Value(None()),
         .second = Value(None()),
         .wrong = Value(7),
         .initially = kEmpty,
         .after_first = "null",
         .after_both = kRefused,
         .in_next_step = "null",
         .after_quiet = "null",
         .after_finish = "null",
         .after_consume = "null",
         .after_resume = "null",
         .whole = Value(None()),
         .after_overwrite = "null"},
        {.title = "LastValueAfterFinish",
         .kind = LastValueAfterFinish<std::string>().kind,
         .name = "LastValueAfterFinish",
         .first = Value("a"),
         .second = Value("b"),
         .wrong = Value(7),
         .initially = kEmpty,
         .after_first = kEmpty,
         .after_both = kEmpty,
         .in_next_step = kEmpty,
         .after_quiet = kEmpty,
         .after_finish = "\"a\"",
         .after_consume = kEmpty,
         .after_resume = kEmpty,
         .whole = Value("c"),
         .after_overwrite = kEmpty},
        {.title = "Reducer",
         .kind = Reducer<int>(kAdd).kind,
         .name = "Reducer",
         .first = Value(1),
         .second = Value(20),
         .wrong = Value("a"),
         .initially = "0",
         .after_first = "1",
         .after_both = "21",
         .in_next_step = "21",
         .after_quiet = "1",
         .after_finish = "1",
         .after_consume = "1",
         .after_resume = "1",
         .whole = Value(300),
         .after_overwrite = "300",
         .reduces = true},
        {.title = "ReducerThatStartsEmpty",
         .kind =
             Reducer<int>([](int a, int b) { return a * b; }, kStartEmpty).kind,
         .name = "Reducer",
         .first = Value(5),
         .second = Value(20),
         .wrong = Value("a"),
         .initially = kEmpty,
         .after_first = "5",
         .after_both = "100",
         .in_next_step = "100",
         .after_quiet = "5",
         .after_finish = "5",
         .after_consume = "5",
         .after_resume = "5",
         .whole = Value(300),
         .after_overwrite = "300",
         .reduces = true},
        {.title = "AppendLog",
         .kind = AppendLogChannel<int>().kind,
         .name = "AppendLog",
         .first = Value(1),
         .second = Value(std::vector<int>{2, 3}),
         .wrong = Value("a"),
         .initially = "[]",
         .after_first = "[1]",
         .after_both = "[1, 2, 3]",
         .in_next_step = "[1, 2, 3]",
         .after_quiet = "[1]",
         .after_finish = "[1]",
         .after_consume = "[1]",
         .after_resume = "[1]",
         .whole = Value(AppendLog<int>{7, 8}),
         .after_overwrite = "[7, 8]",
         .reduces = true},
        {.title = "AppendLogOfJson",
         .kind = AppendLogChannel<Json>().kind,
         .name = "AppendLog",
         .first = Value(Json(1)),
         .second = Value(Json::array({2, Json::array({3})})),
         .wrong = Value(1),
         .initially = "[]",
         .after_first = "[1]",
         .after_both = "[1, 2, [3]]",
         .in_next_step = "[1, 2, [3]]",
         .after_quiet = "[1]",
         .after_finish = "[1]",
         .after_consume = "[1]",
         .after_resume = "[1]",
         .whole = Value(Json::array({7, 8})),
         .after_overwrite = "[7, 8]",
         .reduces = true},
        {.title = "Messages",
         .kind = Messages().kind,
         .name = "Messages",
         .first = Value(Said("hi", "1")),
         .second = Value(std::vector<Message>{Said("bye", "1")}),
         .wrong = Value("a"),
         .initially = "[]",
         .after_first = R"([{"role": "user", "content": "hi", "id": "1"}])",
         .after_both = R"([{"role": "user", "content": "bye", "id": "1"}])",
         .in_next_step = R"([{"role": "user", "content": "bye", "id": "1"}])",
         .after_quiet = R"([{"role": "user", "content": "hi", "id": "1"}])",
         .after_finish = R"([{"role": "user", "content": "hi", "id": "1"}])",
         .after_consume = R"([{"role": "user", "content": "hi", "id": "1"}])",
         .after_resume = R"([{"role": "user", "content": "hi", "id": "1"}])",
         .whole = Value(MessageList<Message>()),
         .after_overwrite = "[]",
         .reduces = true},
        {.title = "MessagesOfJson",
         .kind = Messages<Json>().kind,
         .name = "Messages",
         .first = Value(Spoken("hi", "1")),
         .second = Value(Json::array({Spoken("bye", "1")})),
         .wrong = Value(7),
         .initially = "[]",
         .after_first = R"([{"content": "hi", "id": "1", "role": "user"}])",
         .after_both = R"([{"content": "bye", "id": "1", "role": "user"}])",
         .in_next_step = R"([{"content": "bye", "id": "1", "role": "user"}])",
         .after_quiet = R"([{"content": "hi", "id": "1", "role": "user"}])",
         .after_finish = R"([{"content": "hi", "id": "1", "role": "user"}])",
         .after_consume = R"([{"content": "hi", "id": "1", "role": "user"}])",
         .after_resume = R"([{"content": "hi", "id": "1", "role": "user"}])",
         .whole = Value(std::vector<Json>()),
         .after_overwrite = "[]",
         .reduces = true},
        {.title = "Topic",
         .kind = Topic<int>().kind,
         .name = "Topic",
         .first = Value(1),
         .second = Value(std::vector<int>{2, 3}),
         .wrong = Value("a"),
         .initially = kEmpty,
         .after_first = "[1]",
         .after_both = "[1, 2, 3]",
         .in_next_step = "[2, 3]",
         .after_quiet = kEmpty,
         .after_finish = "[1]",
         .after_consume = "[1]",
         .after_resume = "[1]",
         .whole = Value(9),
         .after_overwrite = "[9]",
         .reduces = true},
        {.title = "TopicThatAccumulates",
         .kind = Topic<Json>(/*accumulate=*/true).kind,
         .name = "Topic",
         .first = Value(Json(1)),
         .second = Value(Json::array({2, 3})),
         .wrong = Value("a"),
         .initially = kEmpty,
         .after_first = "[1]",
         .after_both = "[1, 2, 3]",
         .in_next_step = "[1, 2, 3]",
         .after_quiet = "[1]",
         .after_finish = "[1]",
         .after_consume = "[1]",
         .after_resume = "[1]",
         .whole = Value(Json(9)),
         .after_overwrite = "[9]",
         .reduces = true},
        {.title = "Ephemeral",
         .kind = Ephemeral<int>().kind,
         .name = "Ephemeral",
         .first = Value(1),
         .second = Value(2),
         .wrong = Value("a"),
         .initially = kEmpty,
         .after_first = "1",
         .after_both = kRefused,
         .in_next_step = "2",
         .after_quiet = kEmpty,
         .after_finish = "1",
         .after_consume = "1",
         .after_resume = "1",
         .whole = Value(3),
         .after_overwrite = "3"},
        {.title = "EphemeralUnguarded",
         .kind = Ephemeral<int>(/*guard=*/false).kind,
         .name = "Ephemeral",
         .first = Value(1),
         .second = Value(2),
         .wrong = Value("a"),
         .initially = kEmpty,
         .after_first = "1",
         .after_both = "2",
         .in_next_step = "2",
         .after_quiet = kEmpty,
         .after_finish = "1",
         .after_consume = "1",
         .after_resume = "1",
         .whole = Value(3),
         .after_overwrite = "3"},
        {.title = "AnyValue",
         .kind = AnyValue<int>().kind,
         .name = "AnyValue",
         .first = Value(1),
         .second = Value(2),
         .wrong = Value("a"),
         .initially = kEmpty,
         .after_first = "1",
         .after_both = "2",
         .in_next_step = "2",
         .after_quiet = kEmpty,
         .after_finish = "1",
         .after_consume = "1",
         .after_resume = "1",
         .whole = Value(3),
         .after_overwrite = "3"},
        {.title = "Untracked",
         .kind = Untracked<int>().kind,
         .name = "Untracked",
         .first = Value(1),
         .second = Value(2),
         .wrong = Value("a"),
         .initially = kEmpty,
         .after_first = "1",
         .after_both = kRefused,
         .in_next_step = "2",
         .after_quiet = "1",
         .after_finish = "1",
         .after_consume = "1",
         .after_resume = kEmpty,
         .whole = Value(3),
         .after_overwrite = "3",
         .saved = false},
        {.title = "UntrackedUnguarded",
         .kind = Untracked<int>(/*guard=*/false).kind,
         .name = "Untracked",
         .first = Value(1),
         .second = Value(2),
         .wrong = Value("a"),
         .initially = kEmpty,
         .after_first = "1",
         .after_both = "2",
         .in_next_step = "2",
         .after_quiet = "1",
         .after_finish = "1",
         .after_consume = "1",
         .after_resume = kEmpty,
         .whole = Value(3),
         .after_overwrite = "3",
         .saved = false},
        {.title = "NamedBarrier",
         .kind = NamedBarrier({"x", "y"}).kind,
         .name = "NamedBarrier",
         .first = Value("x"),
         .second = Value("y"),
         .wrong = Value(7),
         .initially = kEmpty,
         .after_first = kEmpty,
         .after_both = R"(["x", "y"])",
         .in_next_step = R"(["x", "y"])",
         .after_quiet = kEmpty,
         .after_finish = kEmpty,
         .after_consume = kEmpty,
         .after_resume = kEmpty,
         .whole = Value("y"),
         .after_overwrite = R"(["x", "y"])"},
        {.title = "NamedBarrierOfOne",
         .kind = NamedBarrier({"x"}).kind,
         .name = "NamedBarrier",
         .first = Value("x"),
         .second = Value("x"),
         .wrong = Value(7),
         .initially = kEmpty,
         .after_first = R"(["x"])",
         .after_both = R"(["x"])",
         .in_next_step = R"(["x"])",
         .after_quiet = R"(["x"])",
         .after_finish = R"(["x"])",
         .after_consume = kEmpty,
         .after_resume = R"(["x"])",
         .whole = Value("x"),
         .after_overwrite = R"(["x"])"},
        {.title = "NamedBarrierAfterFinish",
         .kind = NamedBarrierAfterFinish({"x"}).kind,
         .name = "NamedBarrierAfterFinish",
         .first = Value("x"),
         .second = Value("x"),
         .wrong = Value(7),
         .initially = kEmpty,
         .after_first = kEmpty,
         .after_both = kEmpty,
         .in_next_step = kEmpty,
         .after_quiet = kEmpty,
         .after_finish = R"(["x"])",
         .after_consume = kEmpty,
         .after_resume = kEmpty,
         .whole = Value("x"),
         .after_overwrite = kEmpty},
    }),
    [](const testing::TestParamInfo<KindCase>& kind) {
      return kind.param.title;
    });

}  // namespace
}  // namespace weir
