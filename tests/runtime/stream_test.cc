#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// The events of a run: what they hold, in which order, and who gets them.
namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr StreamModes kAll =
    kValues | kUpdates | kCustom | kTasks | kCheckpoints | kDebug;

class StreamTest : public testing::Test {
 protected:
  template <class F>
  void AddEntry(const std::string& name, F body, NodeOptions options = {}) {
    builder_.AddNode(name, std::move(body), std::move(options));
    builder_.AddEdge(kStart, name);
  }
  // The events of a run in virtual time; each id is shown as ID.
  std::vector<std::string> Events(StreamModes modes, RunOptions options = {},
                                  Input input = Update(),
                                  CompileOptions compile = {}) {
    options.modes = modes;
    options.executor = &executor_;
    const Streamed run = StreamAll(MustCompile(builder_, std::move(compile)),
                                   std::move(input), std::move(options));
    status_ = run.status;
    static const std::regex id("[0-9a-f]{32}");
    std::vector<std::string> events;
    for (const std::string& event : run.events) {
      events.push_back(std::regex_replace(event, id, "ID"));
    }
    return events;
  }

  SimExecutor executor_{1};
  StateGraph builder_;
  const Channel<int> count_ = builder_.AddChannel("count", LastValue<int>());
  absl::Status status_;
};

// A graph of two nodes in a row, of which the first also emits.
class TwoNodesTest : public StreamTest {
 protected:
  TwoNodesTest() {
    AddEntry("a", [this](NodeContext& node) {
      node.Emit("working");
      return Update(count_, node.Get(count_) + 1);
    });
    builder_.AddNode("b", [](NodeContext&) {});
    builder_.AddEdge("a", "b");
  }
};

TEST_F(TwoNodesTest, EventsComeInTheOrderOfWhatHappens) {
  EXPECT_THAT(
      Events(kValues | kUpdates | kCustom | kTasks, {}, Update(count_, 1)),
      ElementsAre(
          R"(values {"count": 1})",
          R"(tasks {"id": "ID", "name": "a", "input": {"count": 1}, "triggers": ["branch:to:a"]})",
          R"(custom "working")",             //
          R"(updates {"a": {"count": 2}})",  //
          R"(tasks {"id": "ID", "name": "a", "error": null, "result": {"count": 2}, "interrupts": []})",
          R"(values {"count": 2})",
          R"(tasks {"id": "ID", "name": "b", "input": {"count": 2}, "triggers": ["branch:to:b"]})",
          R"(updates {"b": null})",
          R"(tasks {"id": "ID", "name": "b", "error": null, "result": {}, "interrupts": []})"));
  EXPECT_TRUE(status_.ok()) << status_;
}

TEST_F(TwoNodesTest, ModesFilterAndNeverReorder) {
  const std::vector<std::string> all =
      Events(kAll, {.run_id = "r", .thread_id = "t"}, Update(count_, 1));
  for (const StreamModes modes :
       {kValues, kUpdates, kCustom, kTasks, kCheckpoints, kDebug,
        kUpdates | kValues, kCustom | kTasks | kCheckpoints}) {
    std::vector<std::string> expected;
    for (const std::string& event : all) {
      const std::map<std::string, StreamModes> by_name = {
          {"values", kValues}, {"updates", kUpdates},
          {"custom", kCustom}, {"tasks", kTasks},
          {"debug", kDebug},   {"checkpoints", kCheckpoints}};
      if ((by_name.at(event.substr(0, event.find(' '))) & modes) != 0) {
        expected.push_back(event);
      }
    }
    EXPECT_EQ(
        Events(modes, {.run_id = "r", .thread_id = "t"}, Update(count_, 1)),
        expected);
  }
}

TEST_F(TwoNodesTest, UpdatesAreTheDefault) {
  const Graph graph = MustCompile(builder_);
  EXPECT_THAT(
      StreamAll(graph, Update(), {.executor = &executor_}).events,
      ElementsAre(R"(updates {"a": {"count": 1}})", R"(updates {"b": null})"));
}

TEST_F(TwoNodesTest, IdsAreDenseAndStepsAreTheSupersteps) {
  RunStream stream = MustCompile(builder_).Stream(
      Update(), {.modes = kUpdates | kTasks, .executor = &executor_});
  std::vector<std::string> seen;
  while (const Event* event = stream.Next()) {
    seen.push_back(absl::StrCat(event->id(), " in ", event->step()));
    EXPECT_THAT(event->ns(), IsEmpty());
  }
  EXPECT_THAT(seen, ElementsAre("0 in 1", "1 in 1", "2 in 1", "3 in 2",
                                "4 in 2", "5 in 2"));
}

TEST_F(TwoNodesTest, TaskIdsTieEventsTogetherAndTellTasksApart) {
  RunStream stream = MustCompile(builder_).Stream(
      Update(), {.modes = kTasks, .executor = &executor_, .run_id = "r"});
  std::map<std::string, std::string> started;
  std::map<std::string, std::string> finished;
  while (const Event* event = stream.Next()) {
    if (const auto* start = event->As<TaskStarted>()) {
      started[start->id] = std::string(start->node);
    } else {
      const auto* end = event->As<TaskFinished>();
      finished[end->id] = std::string(end->node);
    }
  }
  EXPECT_EQ(started.size(), 2U);
  EXPECT_EQ(started, finished);
}

TEST_F(TwoNodesTest, EventsOutliveTheirRunAndGraph) {
  std::vector<Event> kept;
  {
    RunStream stream = MustCompile(builder_).Stream(
        Update(), {.modes = kUpdates | kTasks, .executor = &executor_});
    while (const Event* event = stream.Next()) kept.push_back(*event);
    builder_ = StateGraph();
  }
  EXPECT_EQ(EventText(kept[1]), R"(updates {"a": {"count": 1}})");
  EXPECT_EQ(kept[1].As<NodeUpdate>()->node, "a");
  EXPECT_EQ(*kept[1].As<NodeUpdate>()->writes.Find("count")->As<int>(), 1);
  EXPECT_EQ(kept[1].As<TaskFinished>(), nullptr);
}

TEST_F(TwoNodesTest, EventsPrintAsNameAndData) {
  RunStream stream = MustCompile(builder_).Stream(
      Update(),
      {.modes = kUpdates | kCustom | kValues, .executor = &executor_});
  std::ostringstream out;
  while (const Event* event = stream.Next()) out << *event << '\n';
  EXPECT_EQ(out.str(),
            "custom   \"working\"\n"
            "updates  {\"a\": {\"count\": 1}}\n"
            "values   {\"count\": 1}\n"
            "updates  {\"b\": null}\n");
}

// Values.

TEST_F(StreamTest, ValuesComeAfterSuperstepsThatWroteState) {
  AddEntry("a", Idle());
  builder_.AddNode("b", [this](NodeContext&) { return Update(count_, 5); });
  builder_.AddNode("c", [this](NodeContext&) { return Update(count_, 5); });
  builder_.AddNode("d", Idle());
  builder_.AddEdge("a", "b");
  builder_.AddEdge("b", "c");
  builder_.AddEdge("c", "d");
  // Also where nothing changed.
  EXPECT_THAT(Events(kValues),
              ElementsAre(R"(values {"count": 5})", R"(values {"count": 5})"));
}

TEST_F(StreamTest, ValuesAreAsTheyWereThen) {
  const NotesChannel notes = AddNotes(builder_);
  AddEntry("a", NoteStep{notes});
  builder_.AddNode("b", NoteStep{notes});
  builder_.AddEdge("a", "b");
  RunStream stream = MustCompile(builder_).Stream(
      Update(notes, "in"), {.modes = kValues, .executor = &executor_});
  std::vector<Event> kept;
  while (const Event* event = stream.Next()) kept.push_back(*event);
  ASSERT_EQ(kept.size(), 3U);
  EXPECT_EQ(kept[0].ToJson(), R"({"notes": ["in"]})");
  EXPECT_EQ(kept[1].ToJson(), R"({"notes": ["in", "a@1"]})");
  EXPECT_EQ(kept[2].ToJson(), R"({"notes": ["in", "a@1", "b@2"]})");
}

// Updates.

TEST_F(StreamTest, UpdateOfNothingIsNull) {
  AddEntry("a", Idle());
  AddEntry("b", [](NodeContext&) { return Update(); });
  AddEntry("c", [](NodeContext&) { return Update().Set("ghost", Value(1)); });
  AddEntry("d", [](NodeContext&) { return Command{.go_to = {"z"}}; });
  AddEntry("e", [](NodeContext&) { return Send("z", 1); });
  builder_.AddNode("z", [](NodeContext&) { return NodeResult(); });
  EXPECT_THAT(Events(kUpdates),
              testing::UnorderedElementsAre(
                  R"(updates {"a": null})", R"(updates {"b": null})",
                  R"(updates {"c": null})", R"(updates {"d": null})",
                  R"(updates {"e": null})", R"(updates {"z": null})",
                  R"(updates {"z": null})"));
}

TEST_F(StreamTest, UpdateIsARecordInTheOrderWritten) {
  const auto text = builder_.AddChannel("text", LastValue<std::string>());
  AddEntry("a", [this, text](NodeContext&) {
    return Update(text, "\"x\"").Set(count_, 5);
  });
  EXPECT_THAT(Events(kUpdates),
              ElementsAre(R"(updates {"a": {"text": "\"x\"", "count": 5}})"));
}

TEST_F(StreamTest, UpdateThatWritesAChannelTwiceIsAList) {
  const NotesChannel notes = AddNotes(builder_);
  AddEntry("a", [this, notes](NodeContext&) {
    return std::vector<NodeResult::Item>{Command{.update = Update(notes, "1")},
                                         Update(count_, 5),
                                         Command{.update = Update(notes, "2")}};
  });
  EXPECT_THAT(
      Events(kUpdates | kTasks),
      ElementsAre(
          HasSubstr("triggers"),
          R"(updates {"a": [{"notes": "1"}, {"count": 5}, {"notes": "2"}]})",
          R"(tasks {"id": "ID", "name": "a", "error": null, "result": {"notes": {"$writes": ["1", "2"]}, "count": 5}, "interrupts": []})"));
}

TEST_F(StreamTest, UpdatesComeAsTasksEnd) {
  for (const auto& [name, delay] :
       std::map<std::string, int>{{"a", 3}, {"b", 1}, {"c", 2}}) {
    AddEntry(name, [delay = delay](NodeContext& node) -> Task<NodeResult> {
      (void)co_await node.Sleep(absl::Seconds(delay));
      co_return NodeResult();
    });
  }
  EXPECT_THAT(Events(kUpdates),
              ElementsAre(R"(updates {"b": null})", R"(updates {"c": null})",
                          R"(updates {"a": null})"));
}

TEST_F(StreamTest, TypeWithoutACodecShowsItsName) {
  struct Opaque {};
  const auto opaque = builder_.AddChannel("opaque", LastValue<Opaque>());
  AddEntry("a", [opaque](NodeContext&) { return Update(opaque, Opaque()); });
  EXPECT_THAT(Events(kUpdates),
              ElementsAre(HasSubstr(R"({"a": {"opaque": {"$type": )")));
}

// Tasks, debug and custom.

TEST_F(StreamTest, TaskOfASendHasItsInputAndItsTrigger) {
  AddEntry("a", [](NodeContext&) { return Send("w", std::vector<int>{1, 2}); });
  builder_.AddNode("w", Idle());
  EXPECT_THAT(
      Events(kTasks)[2],
      R"(tasks {"id": "ID", "name": "w", "input": [1, 2], "triggers": ["__pregel_push"]})");
}

TEST_F(StreamTest, TriggersAreAllThatLeadToTheNode) {
  AddEntry("a", Idle());
  AddEntry("b", Idle());
  builder_.AddNode("z", Idle());
  builder_.AddEdge("a", "z");
  builder_.AddJoin({"b", "a"}, "z");
  EXPECT_THAT(Events(kTasks)[4],
              HasSubstr(R"("triggers": ["branch:to:z", "join:a+b:z"])"));
}

TEST_F(StreamTest, TriggersOfADeferredNodeAreAllToo) {
  AddEntry("a", Idle());
  AddEntry("b", Idle());
  builder_.AddNode("z", Idle(), {.defer = true});
  builder_.AddEdge("a", "z");
  builder_.AddJoin({"b", "a"}, "z");
  EXPECT_THAT(Events(kTasks)[4],
              HasSubstr(R"("triggers": ["branch:to:z", "join:a+b:z"])"));
}

TEST_F(StreamTest, FailedTaskShowsItsErrorAndNoUpdate) {
  AddEntry("a", [](NodeContext&) { return absl::NotFoundError("no milk"); });
  AddEntry("b", Idle());
  const std::vector<std::string> events = Events(kUpdates | kTasks);
  EXPECT_FALSE(status_.ok());
  EXPECT_THAT(
      events,
      testing::IsSupersetOf(
          {R"(tasks {"id": "ID", "name": "a", "error": "no milk", "result": null, "interrupts": []})",
           R"(updates {"b": null})",
           R"(tasks {"id": "ID", "name": "b", "error": null, "result": {}, "interrupts": []})"}));
  EXPECT_EQ(events.size(), 5U);
}

TEST_F(StreamTest, DebugHasStepTimeAndTypeOfTasks) {
  AddEntry("a", [](NodeContext& node) -> Task<NodeResult> {
    (void)co_await node.Sleep(absl::Milliseconds(1500));
    co_return NodeResult();
  });
  EXPECT_THAT(
      Events(kDebug),
      ElementsAre(
          R"(debug {"step": 1, "timestamp": "1970-01-01T00:00:00.000Z", "type": "task", "payload": {"id": "ID", "name": "a", "input": {}, "triggers": ["branch:to:a"]}})",
          R"(debug {"step": 1, "timestamp": "1970-01-01T00:00:01.500Z", "type": "task_result", "payload": {"id": "ID", "name": "a", "error": null, "result": {}, "interrupts": []}})"));
}

TEST_F(StreamTest, DebugHasWarnings) {
  AddEntry("a", [](NodeContext&) { return Command{.go_to = {"ghost"}}; });
  EXPECT_THAT(Events(kDebug)[1],
              AllOf(HasSubstr(R"("type": "warning")"),
                    HasSubstr(R"({"warning": "node 'a' goes to 'ghost')")));
}

TEST_F(StreamTest, CustomIsAnyValueAtOnce) {
  AddEntry("a", [](NodeContext& node) {
    node.Emit(1);
    node.Emit("two");
    node.Emit(std::map<std::string, bool>{{"three", true}});
    node.Emit(Value(None()));
  });
  EXPECT_THAT(
      Events(kCustom | kUpdates),
      ElementsAre("custom 1", R"(custom "two")", R"(custom {"three": true})",
                  "custom null", R"(updates {"a": null})"));
}

TEST_F(StreamTest, SavedRunShowsItsCheckpoints) {
  AddEntry("a", [this](NodeContext&) { return Update(count_, 5); });
  MemoryCheckpointer checkpointer;
  const std::vector<std::string> events =
      Events(kCheckpoints,
             {.run_id = "r", .thread_id = "t", .checkpointer = &checkpointer});
  EXPECT_THAT(
      events,
      ElementsAre(
          AllOf(StartsWith(
                    R"(checkpoints {"values": {}, "next": ["__start__"], )"),
                HasSubstr(R"("metadata": {"source": "input", "step": -1, )"),
                HasSubstr(R"("parent_checkpoint_id": null)")),
          AllOf(StartsWith(R"(checkpoints {"values": {}, "next": ["a"], )"),
                HasSubstr(R"("tasks": [{"id": "ID", "name": "a", )"),
                HasSubstr(R"("metadata": {"source": "loop", "step": 0, )"),
                HasSubstr(R"("parent_checkpoint_id": "ID")")),
          AllOf(StartsWith(
                    R"(checkpoints {"values": {"count": 5}, "next": [], )"),
                HasSubstr(R"("metadata": {"source": "loop", "step": 1, )"))));
  EXPECT_THAT(Events(kCheckpoints, {.thread_id = "t"}), IsEmpty())
      << "it is not saved";
}

TEST_F(StreamTest, EventsOfManyWorkersAreDenseAndOrderedForEachTask) {
  for (int i = 0; i < 100; ++i) {
    AddEntry(absl::StrCat("n", i), [](NodeContext& node) { node.Emit(1); });
  }
  const Graph graph = MustCompile(builder_);
  TbbExecutor executor(4);
  for (int round = 0; round < 5; ++round) {
    RunStream stream = graph.Stream(
        Update(),
        {.modes = kTasks | kUpdates | kCustom, .executor = &executor});
    uint64_t expected_id = 0;
    std::map<std::string, int> seen;  // How many events of each task.
    while (const Event* event = stream.Next()) {
      EXPECT_EQ(event->id(), expected_id++);
      if (const auto* start = event->As<TaskStarted>()) {
        EXPECT_EQ(seen[std::string(start->node)]++, 0);
      } else if (const auto* custom = event->As<CustomValue>()) {
        EXPECT_EQ(seen[std::string(custom->node)]++, 1);
      } else if (const auto* update = event->As<NodeUpdate>()) {
        EXPECT_EQ(seen[std::string(update->node)]++, 2);
      } else if (const auto* end = event->As<TaskFinished>()) {
        EXPECT_EQ(seen[std::string(end->node)]++, 3);
      }
    }
    EXPECT_EQ(expected_id, 400U);
  }
}

// Graphs inside.

class SubgraphStreamTest : public StreamTest {
 protected:
  // Adds an entry node that is a graph of a graph.
  void AddNested() {
    StateGraph leaf;
    leaf.AddNode("x", [](NodeContext& node) { node.Emit("from x"); });
    leaf.AddEdge(kStart, "x");
    StateGraph middle;
    middle.AddNode("leaf", MustCompile(leaf));
    middle.AddEdge(kStart, "leaf");
    builder_.AddNode("sub", MustCompile(middle));
    builder_.AddEdge(kStart, "sub");
  }
  // Each event behind the names of the graphs it comes from.
  std::vector<std::string> WithPaths(RunOptions options) {
    options.executor = &executor_;
    RunStream stream = MustCompile(builder_).Stream(Update(), options);
    std::vector<std::string> out;
    while (const Event* event = stream.Next()) {
      std::string line;
      for (const NamespaceLevel& level : event->ns()) {
        absl::StrAppend(&line, level.node);
        if (level.call > 0) absl::StrAppend(&line, "#", level.call);
        line += "/";
      }
      out.push_back(line + " " + EventText(*event));
    }
    return out;
  }
};

TEST_F(SubgraphStreamTest, EventsOfGraphsInsideComeWithTheirPath) {
  AddNested();
  EXPECT_THAT(WithPaths({.modes = kUpdates | kCustom, .subgraphs = true}),
              ElementsAre(R"(sub/leaf/ custom "from x")",
                          R"(sub/leaf/ updates {"x": null})",
                          R"(sub/ updates {"leaf": null})",
                          R"( updates {"sub": null})"));
}

TEST_F(SubgraphStreamTest, EventsOfGraphsInsideComeOnlyIfAskedFor) {
  AddNested();
  EXPECT_THAT(WithPaths({.modes = kUpdates | kCustom}),
              ElementsAre(R"( updates {"sub": null})"));
}

TEST_F(SubgraphStreamTest, PathHasTheTaskOfEachLevel) {
  AddNested();
  RunStream stream = MustCompile(builder_).Stream(
      Update(), {.modes = kTasks, .subgraphs = true, .executor = &executor_});
  std::vector<std::string> open;  // Tasks begun and not ended.
  while (const Event* event = stream.Next()) {
    if (const auto* start = event->As<TaskStarted>()) {
      std::vector<std::string> path;
      for (const NamespaceLevel& level : event->ns()) {
        path.push_back(level.task_id);
      }
      EXPECT_EQ(path, open);
      open.push_back(start->id);
    } else {
      EXPECT_EQ(event->As<TaskFinished>()->id, open.back());
      open.pop_back();
    }
  }
}

TEST_F(SubgraphStreamTest, GraphsThatOneTaskCallsAreNumbered) {
  StateGraph inner;
  inner.AddNode("x", Idle());
  inner.AddEdge(kStart, "x");
  AddEntry(
      "a",
      [graph = MustCompile(inner)](NodeContext& node) -> Task<absl::Status> {
        const absl::StatusOr<Values> first = node.Invoke(graph, Update());
        const absl::StatusOr<Values> second =
            co_await node.Invoke(graph, Update());
        co_return first.ok() ? second.status() : first.status();
      });
  EXPECT_THAT(
      WithPaths({.modes = kUpdates, .subgraphs = true}),
      ElementsAre(R"(a/ updates {"x": null})", R"(a#1/ updates {"x": null})",
                  R"( updates {"a": null})"));
}

TEST_F(SubgraphStreamTest, EventsOfGraphsInsideShowTheirOutput) {
  StateGraph inner;
  const auto in = inner.AddChannel("in", LastValue<int>());
  const auto out = inner.AddChannel("out", LastValue<int>());
  inner.SetOutput({out});
  inner.AddNode("x",
                [in, out](NodeContext&) { return Update(in, 1).Set(out, 2); });
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  EXPECT_THAT(
      WithPaths({.modes = kUpdates | kValues, .subgraphs = true}),
      ElementsAre(R"(sub/ updates {"x": {"out": 2}})",
                  R"(sub/ values {"out": 2})", R"( updates {"sub": null})"));
}

TEST_F(SubgraphStreamTest,
       EventsOfGraphsInsideComeWhileTheSuperstepAroundRuns) {
  AddNested();
  bool ended = false;
  AddEntry("slow", [&ended](NodeContext& node) -> Task<NodeResult> {
    (void)co_await node.Sleep(absl::Hours(1));
    ended = true;
    co_return NodeResult();
  });
  RunStream stream = MustCompile(builder_).Stream(
      Update(), {.modes = kCustom, .subgraphs = true, .executor = &executor_});
  const Event* event = stream.Next();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(EventText(*event), R"(custom "from x")");
  EXPECT_FALSE(ended);
  EXPECT_EQ(stream.Next(), nullptr);
  EXPECT_TRUE(ended);
}

// The stream itself.

class RunStreamTest : public StreamTest {
 protected:
  // A node that sleeps for long and then notes that it ended.
  void AddSleeping() {
    AddEntry("a", [this](NodeContext& node) -> Task<NodeResult> {
      node.Emit("asleep");
      const absl::Status slept = co_await node.Sleep(absl::Hours(1));
      ended_ = slept.ok() ? "in time" : "stopped";
      co_return NodeResult();
    });
    builder_.AddNode("b", Idle());
    builder_.AddEdge("a", "b");
  }
  RunStream Start(StreamModes modes = kCustom) {
    return MustCompile(builder_).Stream(
        Update(), {.modes = modes, .executor = &executor_});
  }
  std::string ended_;
};

TEST_F(RunStreamTest, GivesNothingAfterItsEnd) {
  AddEntry("a", Idle());
  RunStream stream = Start(kUpdates);
  EXPECT_NE(stream.Next(), nullptr);
  EXPECT_EQ(stream.Next(), nullptr);
  EXPECT_EQ(stream.Next(), nullptr);
  EXPECT_TRUE(stream.status().ok());
}

TEST_F(RunStreamTest, ResultIsWhatInvokeReturns) {
  AddEntry("a", [this](NodeContext&) { return Update(count_, 5); });
  RunStream stream = Start();
  EXPECT_EQ(stream.Next(), nullptr);
  const absl::StatusOr<Values> values = stream.Result();
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(values->Get(count_), 5);
}

TEST_F(RunStreamTest, ResultMayBeAskedForBeforeTheEvents) {
  AddEntry("a", [this](NodeContext&) { return Update(count_, 5); });
  RunStream stream = Start(kUpdates);
  const absl::StatusOr<Values> values = stream.Result();
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(values->Get(count_), 5);
  EXPECT_THAT(ReadAll(stream).events,
              ElementsAre(R"(updates {"a": {"count": 5}})"));
}

TEST_F(RunStreamTest, FailureIsItsStatusAndItsResult) {
  AddEntry("a", [](NodeContext&) { return absl::NotFoundError("no milk"); });
  RunStream stream = Start();
  EXPECT_TRUE(stream.status().ok()) << "it has not ended";
  EXPECT_EQ(stream.Next(), nullptr);
  for (const absl::Status& status :
       {stream.status(), stream.Result().status()}) {
    EXPECT_THAT(status,
                IsError(ErrorKind::kNodeError, absl::StatusCode::kNotFound,
                        {"'a'", "no milk"}));
  }
}

TEST_F(RunStreamTest, ErrorBeforeTheFirstEventIsItsStatus) {
  AddEntry("a", Idle());
  RunStream stream =
      MustCompile(builder_).Stream(Input::Continue(), {.executor = &executor_});
  EXPECT_EQ(stream.Next(), nullptr);
  EXPECT_EQ(ErrorKindOf(stream.status()), ErrorKind::kEmptyInput);
}

TEST_F(RunStreamTest, NextRunsTheGraphOnAnExecutorWithoutWorkers) {
  const std::thread::id here = std::this_thread::get_id();
  bool ran = false;
  AddEntry("a", [&ran, here](NodeContext&) {
    EXPECT_EQ(std::this_thread::get_id(), here);
    ran = true;
  });
  InlineExecutor executor;
  RunStream stream =
      MustCompile(builder_).Stream(Update(), {.executor = &executor});
  EXPECT_FALSE(ran);
  EXPECT_NE(stream.Next(), nullptr);
  EXPECT_TRUE(ran);
  EXPECT_EQ(stream.Next(), nullptr);
}

TEST_F(RunStreamTest, EventComesWhileItsNodeRuns) {
  AddSleeping();
  RunStream stream = Start();
  const Event* event = stream.Next();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(EventText(*event), R"(custom "asleep")");
  EXPECT_EQ(ended_, "");
  EXPECT_TRUE(stream.status().ok());
  EXPECT_EQ(stream.Next(), nullptr);
  EXPECT_EQ(ended_, "in time");
}

TEST_F(RunStreamTest, DestroyingItStopsTheRunAndWaitsForItsNodes) {
  AddSleeping();
  {
    RunStream stream = Start();
    EXPECT_NE(stream.Next(), nullptr);
  }
  EXPECT_EQ(ended_, "stopped");
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch());
}

TEST_F(RunStreamTest, DestroyingItUnreadStopsTheRun) {
  AddSleeping();
  { RunStream stream = Start(); }
  EXPECT_NE(ended_, "in time");
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch());
}

TEST_F(RunStreamTest, DestroyingItWaitsForNodesOfOtherWorkers) {
  absl::Notification running;
  bool ended = false;
  AddEntry("a", [&running, &ended](NodeContext& node) {
    running.Notify();
    const std::stop_token stop = node.stop_token();
    absl::Notification stopped;
    const std::stop_callback notify(stop, [&stopped] { stopped.Notify(); });
    stopped.WaitForNotification();
    ended = true;
  });
  {
    RunStream stream = MustCompile(builder_).Stream(Update());
    running.WaitForNotification();
  }
  EXPECT_TRUE(ended);
}

TEST_F(RunStreamTest, CancelStopsTheRunWhoseEventsGoOnToItsEnd) {
  AddSleeping();
  RunStream stream = Start(kCustom | kUpdates);
  EXPECT_NE(stream.Next(), nullptr);
  stream.Cancel();
  stream.Cancel();
  const Streamed rest = ReadAll(stream);
  EXPECT_THAT(rest.events, ElementsAre(R"(updates {"a": null})"));
  EXPECT_THAT(rest.status,
              IsError(ErrorKind::kCancelled, absl::StatusCode::kCancelled));
  EXPECT_EQ(ended_, "stopped");
  stream.Cancel();
}

TEST_F(RunStreamTest, CancelAfterTheEndChangesNothing) {
  AddEntry("a", [this](NodeContext&) { return Update(count_, 5); });
  RunStream stream = Start();
  EXPECT_EQ(stream.Next(), nullptr);
  stream.Cancel();
  EXPECT_TRUE(stream.status().ok());
  EXPECT_TRUE(stream.Result().ok());
}

TEST_F(RunStreamTest, StopTokenOfTheOptionsStopsItToo) {
  AddSleeping();
  std::stop_source stop;
  RunStream stream = MustCompile(builder_).Stream(
      Update(),
      {.modes = kCustom, .stop = stop.get_token(), .executor = &executor_});
  EXPECT_NE(stream.Next(), nullptr);
  stop.request_stop();
  EXPECT_EQ(stream.Next(), nullptr);
  EXPECT_EQ(ErrorKindOf(stream.status()), ErrorKind::kCancelled);
  EXPECT_EQ(ended_, "stopped");
}

TEST_F(RunStreamTest, MayBeMovedBetweenEvents) {
  AddEntry("a", [](NodeContext& node) {
    for (int i = 0; i < 3; ++i) node.Emit(i);
  });
  RunStream first = Start();
  EXPECT_EQ(EventText(*first.Next()), "custom 0");
  RunStream second = std::move(first);
  EXPECT_EQ(EventText(*second.Next()), "custom 1");
  std::optional<RunStream> third(std::move(second));
  EXPECT_EQ(EventText(*third->Next()), "custom 2");
  EXPECT_EQ(third->Next(), nullptr);
}

TEST_F(RunStreamTest, AssigningToItEndsTheRunItHad) {
  AddSleeping();
  RunStream stream = Start();
  EXPECT_NE(stream.Next(), nullptr);
  StateGraph other;
  other.AddNode("x", [](NodeContext& node) { node.Emit("other"); });
  other.AddEdge(kStart, "x");
  stream = MustCompile(other).Stream(
      Update(), {.modes = kCustom, .executor = &executor_});
  EXPECT_EQ(ended_, "stopped");
  EXPECT_THAT(ReadAll(stream).events, ElementsAre(R"(custom "other")"));
}

TEST_F(RunStreamTest, SeveralRunsShareAnExecutor) {
  AddSleeping();
  RunStream first = Start();
  RunStream second = Start();
  EXPECT_EQ(ReadAll(second).events, ReadAll(first).events);
  EXPECT_EQ(executor_.Now(), absl::UnixEpoch() + absl::Hours(1));
}

TEST_F(RunStreamTest, WithoutAnExecutorTheRunGoesOnThoughNobodyReads) {
  absl::Notification ran;
  AddEntry("a", [this](NodeContext&) { return Update(count_, 5); });
  builder_.AddNode("b", [&ran](NodeContext&) { ran.Notify(); });
  builder_.AddEdge("a", "b");
  RunStream stream = MustCompile(builder_).Stream(Update());
  ran.WaitForNotification();
  EXPECT_THAT(
      ReadAll(stream).events,
      ElementsAre(R"(updates {"a": {"count": 5}})", R"(updates {"b": null})"));
}

}  // namespace
}  // namespace weir
