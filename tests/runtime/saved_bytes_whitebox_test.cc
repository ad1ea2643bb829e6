#include "weir/runtime/internal/saved_bytes.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/channels/record_codec.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/command.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/saved_line.h"
#include "weir/runtime/internal/saved_runs.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"

namespace weir {

// A type that no channel holds.
struct Parcel {
  std::string to;
  int grams = 0;
  friend bool operator==(const Parcel&, const Parcel&) = default;
};

template <>
struct Codec<Parcel> : RecordCodec<Parcel> {
  static constexpr auto Fields() {
    return std::tuple(RecordField("to", &Parcel::to),
                      RecordField("grams", &Parcel::grams));
  }
};

// The engine's records as bytes.
namespace internal {
namespace {

using ::testing::ElementsAre;

class SavedBytesTest : public testing::Test {
 protected:
  SavedBytesTest() {
    count_ = builder_.AddChannel("count", LastValue<int>());
    builder_.AddNode("a", [](NodeContext&) {});
    builder_.AddEdge(kStart, "a");
  }
  SavedFor Names() { return MustCompile(builder_).compiled().names; }

  template <class R>
  static std::string BytesOf(const R& record) {
    std::string bytes;
    const absl::Status encoded = EncodeRecord(record, &bytes);
    EXPECT_TRUE(encoded.ok()) << encoded;
    return bytes;
  }
  // What was saved, read back by a graph of these names.
  template <class R>
  static std::shared_ptr<const R> ReadBack(const R& record,
                                           const SavedFor& names) {
    auto read = LoadRecord<R>(SavedValue::FromBytes(BytesOf(record)), names);
    EXPECT_TRUE(read.ok()) << read.status();
    return read.ok() ? *read : std::make_shared<const R>();
  }
  // One with something in each field.
  SavedTask FullTask(const SavedFor& names) {
    SavedTask task;
    task.names = names;
    task.writes.emplace_back(Value(5), 0U, names->schema, true);
    task.writes.emplace_back(Value("result"), kReturnValue, 0U, false);
    task.writes.emplace_back(Value(SavedFailure(absl::DataLossError("no"))),
                             kReturnValue, 0U, false);
    task.gotos = {"a"};
    Values record(names);
    record.Add(0, Value(7));
    record.Add("other", Value(None()));
    task.sends.push_back({"a", Value(std::move(record)), absl::Seconds(2)});
    task.sends.push_back({"a", Value("cats"), absl::InfiniteDuration()});
    task.fires_edges = false;
    return task;
  }

  StateGraph builder_;
  Channel<int> count_;
};

TEST_F(SavedBytesTest, TaskComesBackAsItWas) {
  const SavedFor names = Names();
  const auto task = ReadBack(FullTask(names), names);
  ASSERT_EQ(task->writes.size(), 3U);
  EXPECT_EQ(task->writes[0].value, Value(5));
  EXPECT_EQ(task->writes[0].channel, 0U);
  EXPECT_EQ(task->writes[0].overwrite, 1U);
  EXPECT_EQ(task->writes[1].value, Value("result"));
  EXPECT_EQ(task->writes[1].channel, kReturnValue);
  const auto* failure = task->writes[2].value.As<SavedFailure>();
  ASSERT_NE(failure, nullptr);
  EXPECT_EQ(failure->status(), absl::DataLossError("no"));
  EXPECT_THAT(task->gotos, ElementsAre("a"));
  ASSERT_EQ(task->sends.size(), 2U);
  const auto* record = task->sends[0].arg.As<Values>();
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->Get(count_), 7);
  EXPECT_EQ(record->ToJson(), R"({"count": 7, "other": null})");
  EXPECT_EQ(task->sends[0].timeout, absl::Seconds(2));
  EXPECT_EQ(task->sends[1].arg, Value("cats"));
  EXPECT_EQ(task->sends[1].timeout, absl::InfiniteDuration());
  EXPECT_FALSE(task->fires_edges);
  EXPECT_EQ(task->version, std::nullopt);
}

TEST_F(SavedBytesTest, TaskOfAVersionComesBackAsItWas) {
  const SavedFor names = Names();
  SavedTask full = FullTask(names);
  full.version = 300;
  const auto task = ReadBack(full, names);
  EXPECT_EQ(task->version, 300);
  EXPECT_EQ(task->writes.size(), 3U);
  EXPECT_EQ(task->sends.size(), 2U);
}

TEST_F(SavedBytesTest, GraphComesBackAsItWas) {
  const std::map<std::string, std::string> types = {{"a", ""}, {"b", "int32"}};
  const auto graph =
      ReadBack(SavedGraph{7, ~uint64_t{0}, types, "fill"}, Names());
  EXPECT_EQ(graph->version, 7);
  EXPECT_EQ(graph->fingerprint, ~uint64_t{0});
  EXPECT_EQ(graph->types, types);
  EXPECT_EQ(graph->filler, "fill");
}

TEST_F(SavedBytesTest, PlaceComesBackAsItWas) {
  const SavedFor names = Names();
  SavedEngine engine;
  engine.due = {"a", "b"};
  engine.ran = {"c"};
  engine.ran_here = true;
  engine.wrote_output = true;
  engine.rest = std::make_unique<SavedEngine::Rest>();
  engine.rest->names = names;
  engine.rest->waiting = {"d"};
  engine.rest->sends.push_back({"a", Value(1.5), std::nullopt});
  engine.rest->joins.push_back({"j", {0, 2}});
  auto start = std::make_shared<Command>();
  start->update.Set("count", Value(3));
  Send send("a", Update().Set("count", Value(4)));
  send.timeout = absl::Milliseconds(1);
  start->go_to = {Target("a"), Target(std::move(send))};
  engine.rest->start = start;
  engine.rest->start_is_command = true;

  const auto read = ReadBack(engine, names);
  EXPECT_THAT(read->due, ElementsAre("a", "b"));
  EXPECT_THAT(read->ran, ElementsAre("c"));
  EXPECT_TRUE(read->ran_here);
  EXPECT_TRUE(read->wrote_output);
  ASSERT_NE(read->rest, nullptr);
  EXPECT_THAT(read->rest->waiting, ElementsAre("d"));
  ASSERT_EQ(read->rest->sends.size(), 1U);
  EXPECT_EQ(read->rest->sends[0].arg, Value(1.5));
  ASSERT_EQ(read->rest->joins.size(), 1U);
  EXPECT_THAT(read->rest->joins[0].seen, ElementsAre(0, 2));
  EXPECT_TRUE(read->rest->start_is_command);
  ASSERT_NE(read->rest->start, nullptr);
  Command command = *read->rest->start;
  ASSERT_EQ(UpdateAccess::writes(command.update).size(), 1U);
  EXPECT_EQ(UpdateAccess::writes(command.update)[0].value, Value(3));
  ASSERT_EQ(command.go_to.size(), 2U);
  EXPECT_FALSE(command.go_to[0].is_send());
  EXPECT_EQ(command.go_to[1].timeout(), absl::Milliseconds(1));
  EXPECT_NE(command.go_to[1].arg().As<Update>(), nullptr);

  SavedEngine plain;
  plain.due = {"a"};
  EXPECT_EQ(ReadBack(plain, names)->rest, nullptr);
}

TEST_F(SavedBytesTest, QuestionsAndAnswersComeBackAsTheyWere) {
  const SavedFor names = Names();
  const auto asks = ReadBack(
      SavedInterrupts{{{"id", Value("milk?")}, {"id-2", Value(2)}}, 1, names},
      names);
  EXPECT_THAT(asks->interrupts, ElementsAre(Interrupt{"id", Value("milk?")},
                                            Interrupt{"id-2", Value(2)}));
  EXPECT_EQ(asks->answers, 1U);
  const auto answers =
      ReadBack(SavedAnswers{{Value(true), Value()}, names}, names);
  EXPECT_THAT(answers->values, ElementsAre(Value(true), Value()));
  SavedFailure failure(MakeError(ErrorKind::kNodeTimeout,
                                 absl::StatusCode::kDeadlineExceeded, "late"));
  failure.asked = 1;
  failure.graphs = 2;
  failure.functions = 3;
  const auto read = ReadBack(failure, names);
  EXPECT_EQ(read->status(), failure.status());
  EXPECT_EQ(ErrorKindOf(read->status()), ErrorKind::kNodeTimeout);
  EXPECT_EQ(read->asked, 1U);
  EXPECT_EQ(read->graphs, 2);
  EXPECT_EQ(read->functions, 3);
}

TEST_F(SavedBytesTest, TypeHasToBeNamed) {
  const SavedFor names = Names();
  std::string bytes;
  EXPECT_THAT(
      EncodeRecord(SavedAnswers{{Value(Parcel{"ann", 5})}, names}, &bytes),
      IsError(ErrorKind::kNone, absl::StatusCode::kFailedPrecondition,
              {"Parcel", "StateGraph::AddType()"}));
  builder_.AddType<Parcel>();
  const SavedFor knowing = Names();
  const SavedAnswers answers{{Value(Parcel{"ann", 5})}, knowing};
  EXPECT_THAT(ReadBack(answers, knowing)->values,
              ElementsAre(Value(Parcel{"ann", 5})));
  // Another graph may not know it.
  EXPECT_THAT(
      LoadRecord<SavedAnswers>(SavedValue::FromBytes(BytesOf(answers)), names)
          .status(),
      IsError(ErrorKind::kNone, absl::StatusCode::kFailedPrecondition,
              {"Parcel", "StateGraph::AddType()"}));
}

TEST_F(SavedBytesTest, WriteOfAChannelThatIsGoneIsPassedOver) {
  StateGraph before;
  (void)before.AddChannel("parcel", LastValue<Parcel>());
  (void)before.AddChannel("count", LastValue<int>());
  before.AddNode("a", [](NodeContext&) {});
  before.AddEdge(kStart, "a");
  SavedTask task;
  task.names = MustCompile(before).compiled().names;
  task.writes.emplace_back(Value(Parcel{"ann", 5}), 0U, 1U, false);
  task.writes.emplace_back(Value(5), 1U, 1U, false);
  const SavedFor names = Names();
  const auto read = ReadBack(task, names);
  ASSERT_EQ(read->writes.size(), 1U);
  EXPECT_EQ(read->writes[0].channel, 0U);
  EXPECT_EQ(read->writes[0].value, Value(5));
}

TEST_F(SavedBytesTest, LaterFormatIsRefused) {
  std::string bytes = BytesOf(SavedFailure(absl::DataLossError("no")));
  bytes[0] = 9;
  EXPECT_THAT(
      LoadRecord<SavedFailure>(SavedValue::FromBytes(bytes), Names()).status(),
      IsError(ErrorKind::kNone, absl::StatusCode::kFailedPrecondition,
              {"format 9", "later weir"}));
}

TEST_F(SavedBytesTest, NumberThatSaysNothingYetIsRefused) {
  const auto refused =
      IsError(ErrorKind::kNone, absl::StatusCode::kFailedPrecondition,
              {"number 60", "later"});
  const SavedFailure failure(absl::DataLossError("no"));
  std::string bytes = BytesOf(failure);
  for (const size_t at : {size_t{1}, size_t{2}}) {  // The code and the kind.
    std::string changed = bytes;
    changed[at] = 2 * 60;
    EXPECT_THAT(
        LoadRecord<SavedFailure>(SavedValue::FromBytes(changed), Names())
            .status(),
        refused);
  }
  // Of the rows of threads and runs.
  SavedRunInfo run;
  run.info.status = RunStatus::kInterrupted;
  run.end = RunEnd::kStopped;
  bytes = EncodeRunInfo(run);
  EXPECT_TRUE(DecodeRunInfo(bytes, &run).ok());
  run.info.status = static_cast<RunStatus>(60);
  EXPECT_THAT(DecodeRunInfo(EncodeRunInfo(run), &run), refused);
  run = SavedRunInfo();
  run.end = static_cast<RunEnd>(60);
  EXPECT_THAT(DecodeRunInfo(EncodeRunInfo(run), &run), refused);
  run = SavedRunInfo();
  run.cancelled = static_cast<CancelAction>(60);
  EXPECT_THAT(DecodeRunInfo(EncodeRunInfo(run), &run), refused);
  run = SavedRunInfo();
  run.info.multitask = static_cast<MultitaskStrategy>(60);
  EXPECT_THAT(DecodeRunInfo(EncodeRunInfo(run), &run), refused);
  SavedThreadInfo thread;
  thread.verdict = static_cast<ThreadStatus>(60);
  EXPECT_THAT(DecodeThreadInfo(EncodeThreadInfo(thread), &thread), refused);
}

// Whatever the bytes are, the answer is a status or a record.
template <class R>
void ReadDamaged(const std::string& bytes, const SavedFor& names) {
  for (size_t size = 0; size < bytes.size(); ++size) {
    SCOPED_TRACE(size);
    EXPECT_EQ(LoadRecord<R>(SavedValue::FromBytes(bytes.substr(0, size)), names)
                  .status()
                  .code(),
              absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(
      LoadRecord<R>(SavedValue::FromBytes(bytes + "x"), names).status().code(),
      absl::StatusCode::kDataLoss);
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string changed = bytes;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << (i % 8)));
    (void)LoadRecord<R>(SavedValue::FromBytes(changed), names);
  }
}

TEST_F(SavedBytesTest, DamagedBytesAreAnError) {
  const SavedFor names = Names();
  SavedTask task = FullTask(names);
  ReadDamaged<SavedTask>(BytesOf(task), names);
  task.version = 300;
  ReadDamaged<SavedTask>(BytesOf(task), names);
  ReadDamaged<SavedGraph>(BytesOf(SavedGraph{1, 2, {{"a", "int32"}}, "x"}),
                          names);
  ReadDamaged<SavedFailure>(BytesOf(SavedFailure(absl::DataLossError("no"))),
                            names);
  ReadDamaged<SavedInterrupts>(
      BytesOf(SavedInterrupts{{{"id", Value("milk?")}}, 1, names}), names);
  SavedEngine engine;
  engine.due = {"a"};
  engine.rest = std::make_unique<SavedEngine::Rest>();
  engine.rest->names = names;
  auto start = std::make_shared<Command>();
  start->update.Set("count", Value(3));
  start->go_to = {Target(Send("a", Update().Set("count", Value(4))))};
  engine.rest->start = start;
  ReadDamaged<SavedEngine>(BytesOf(engine), names);
}

TEST_F(SavedBytesTest, ValuesInsideEachOtherEnd) {
  const SavedFor names = Names();
  std::string bytes = BytesOf(SavedAnswers{{Value(true)}, names});
  // The kind of a record, and that it has one field.
  std::string deep = bytes.substr(0, 2);
  for (int i = 0; i < 100'000; ++i) deep += std::string("\1\1\1x", 4);
  EXPECT_EQ(LoadRecord<SavedAnswers>(SavedValue::FromBytes(deep), names)
                .status()
                .code(),
            absl::StatusCode::kDataLoss);
}

// Through a run.

TEST_F(SavedBytesTest, RunThatStoresWhatHasNoBytesFails) {
  StateGraph builder;
  builder.AddNode("a", [](NodeContext&) {
    return Send("b", Parcel{"ann", 5});
  });
  builder.AddNode("b", [](NodeContext& node) {
    EXPECT_EQ(node.Input<Parcel>()->to, "ann");
  });
  builder.AddEdge(kStart, "a");
  MemoryCheckpointer store({.as_bytes = true});
  const RunOptions saved{.thread_id = "t", .checkpointer = &store};
  EXPECT_THAT(MustCompile(builder).Invoke(Update(), saved).status(),
              IsError(ErrorKind::kNone, absl::StatusCode::kFailedPrecondition,
                      {"'t'", "Parcel", "StateGraph::AddType()"}));
  builder.AddType<Parcel>();
  const absl::StatusOr<RunResult> result =
      MustCompile(builder).Invoke(Update(), saved);
  EXPECT_TRUE(result.ok()) << result.status();
}

// Only a migration leaves a Send without a node.
TEST_F(SavedBytesTest, SendToANodeWithoutANameIsRefused) {
  StateGraph builder;
  builder.AddNode("a", [](NodeContext&) {});
  builder.AddEdge(kStart, "a");
  const Graph graph = MustCompile(builder);
  MemoryCheckpointer store({.as_bytes = true});
  const StateOptions asked{.checkpointer = &store, .thread_id = "t"};
  ASSERT_TRUE(graph
                  .Invoke(Update(), {.thread_id = "t",
                                     .checkpointer = &store,
                                     .interrupt_before = {"a"}})
                  .ok());
  const auto state = graph.GetState(asked);
  ASSERT_TRUE(state.ok()) << state.status();
  auto task = std::make_shared<SavedTask>();
  task->names = graph.compiled().names;
  task->sends.push_back({"", Value(1), std::nullopt});
  std::vector<PendingWrite> writes(1);
  writes[0].task_id = kNullTask;
  writes[0].channel = kTaskChannel;
  writes[0].value = SavedValue::FromBytes(BytesOf(*task));
  store.Open("t", [&](absl::StatusOr<ThreadLease> lease) {
    ASSERT_TRUE(lease.ok()) << lease.status();
    store.PutWrites(lease->fence, {"", state->ref.id, std::move(writes)},
                    [](const absl::Status& s) { EXPECT_TRUE(s.ok()) << s; });
  });
  const auto refused =
      IsError(ErrorKind::kNone, absl::StatusCode::kDataLoss, {"'t'", "name"});
  EXPECT_THAT(graph.GetState(asked).status(), refused);
  EXPECT_THAT(
      graph
          .Invoke(Input::Continue(), {.thread_id = "t", .checkpointer = &store})
          .status(),
      refused);
}

}  // namespace
}  // namespace internal
}  // namespace weir
