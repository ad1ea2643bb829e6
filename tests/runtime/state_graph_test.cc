#include "weir/runtime/state_graph.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/errors.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A graph of two nodes that compiles as it is; a test adds one mistake.
class StateGraphTest : public testing::Test {
 protected:
  StateGraphTest()
      : count_(builder_.AddChannel("count", LastValue<int>())),
        a_(builder_.AddNode("a", Idle())),
        b_(builder_.AddNode("b", Idle())) {
    builder_.AddEdge(kStart, "a");
  }

  // Expects that compiling is refused with a message that holds all of `parts`.
  void ExpectRefused(const std::vector<std::string>& parts,
                     CompileOptions options = {}) {
    EXPECT_THAT(builder_.Compile(std::move(options)).status(),
                IsError(ErrorKind::kInvalidGraph,
                        absl::StatusCode::kInvalidArgument, parts));
  }

  void ExpectCompiles() {
    const absl::StatusOr<Graph> graph = builder_.Compile();
    EXPECT_TRUE(graph.ok()) << graph.status();
  }

  // Some node and some channel of another graph.
  NodeId ForeignNode() { return foreign_.AddNode("x", Idle()); }
  Channel<int> ForeignChannel() {
    return foreign_.AddChannel("x", LastValue<int>());
  }

  StateGraph builder_;
  const Channel<int> count_;
  const NodeId a_;
  const NodeId b_;
  StateGraph foreign_;
};

Route ToEnd(NodeContext&) { return kEnd; }

TEST_F(StateGraphTest, GraphWithoutEntryIsRefused) {
  StateGraph builder;
  builder.AddNode("a", Idle());
  EXPECT_THAT(builder.Compile().status(),
              IsError(ErrorKind::kInvalidGraph,
                      absl::StatusCode::kInvalidArgument, {"__start__"}));
}

TEST_F(StateGraphTest, EdgeFromUnknownNodeIsRefused) {
  builder_.AddEdge("ghost", "a");
  ExpectRefused({"edge 'ghost' -> 'a'", "leaves 'ghost'"});
}

TEST_F(StateGraphTest, EdgeToUnknownNodeIsRefused) {
  builder_.AddEdge("a", "ghost");
  ExpectRefused({"edge 'a' -> 'ghost'", "leads to 'ghost'"});
}

TEST_F(StateGraphTest, EdgeOutOfTheEndIsRefused) {
  builder_.AddEdge(kEnd, "a");
  ExpectRefused({"edge '__end__' -> 'a'", "leaves __end__"});
}

TEST_F(StateGraphTest, EdgeIntoTheStartIsRefused) {
  builder_.AddEdge("a", kStart);
  ExpectRefused({"edge 'a' -> '__start__'", "leads to __start__"});
}

TEST_F(StateGraphTest, JoinOfUnknownNodeIsRefused) {
  builder_.AddJoin({"a", "ghost"}, "b");
  ExpectRefused({"join of 'a', 'ghost' -> 'b'", "leaves 'ghost'"});
}

TEST_F(StateGraphTest, JoinIntoUnknownNodeIsRefused) {
  builder_.AddJoin({"a", "b"}, "ghost");
  ExpectRefused({"join of 'a', 'b' -> 'ghost'", "leads to 'ghost'"});
}

TEST_F(StateGraphTest, JoinOfTheStartIsRefused) {
  builder_.AddJoin({kStart, "a"}, "b");
  ExpectRefused({"join of '__start__', 'a' -> 'b'", "cannot be joined"});
}

TEST_F(StateGraphTest, JoinOfTheEndIsRefused) {
  builder_.AddJoin({kEnd, "a"}, "b");
  ExpectRefused({"join of '__end__', 'a' -> 'b'", "leaves __end__"});
}

TEST_F(StateGraphTest, JoinIntoTheStartIsRefused) {
  builder_.AddJoin({"a", "b"}, kStart);
  ExpectRefused({"join of 'a', 'b' -> '__start__'", "leads to __start__"});
}

TEST_F(StateGraphTest, JoinOfNothingIsRefused) {
  builder_.AddJoin({}, "b");
  ExpectRefused({"join -> 'b'", "no sources"});
}

TEST_F(StateGraphTest, ConditionalEdgesOfUnknownNodeAreRefused) {
  builder_.AddConditionalEdges("ghost", ToEnd);
  ExpectRefused({"conditional edge of 'ghost'", "leaves 'ghost'"});
}

TEST_F(StateGraphTest, ConditionalEdgesOfTheEndAreRefused) {
  builder_.AddConditionalEdges(kEnd, ToEnd);
  ExpectRefused({"conditional edge of '__end__'", "leaves __end__"});
}

TEST_F(StateGraphTest, PathMapToUnknownNodeIsRefused) {
  builder_.AddConditionalEdges("a", ToEnd,
                               {.name = "pick", .path_map = {{"x", "ghost"}}});
  ExpectRefused({"conditional edge 'pick' of 'a'", "leads to 'ghost'"});
}

TEST_F(StateGraphTest, PathMapToTheStartIsRefused) {
  builder_.AddConditionalEdges("a", ToEnd,
                               {.path_map = {{"x", std::string(kStart)}}});
  ExpectRefused({"conditional edge of 'a'", "leads to __start__"});
}

TEST_F(StateGraphTest, UnknownDestinationOfConditionalEdgesIsRefused) {
  builder_.AddConditionalEdges("a", ToEnd, {.destinations = {{"ghost"}}});
  ExpectRefused({"conditional edge of 'a'", "leads to 'ghost'"});
}

TEST_F(StateGraphTest, UnknownDestinationOfANodeIsRefused) {
  builder_.AddNode("c", Idle(), {.destinations = {{"a", "ghost"}}});
  ExpectRefused({"node 'c' declares the destination", "'ghost'"});
}

TEST_F(StateGraphTest, BranchesOfOneNameOnOneNodeAreRefused) {
  builder_.AddConditionalEdges("a", ToEnd, {.name = "pick"});
  builder_.AddConditionalEdges("a", ToEnd, {.name = "pick"});
  ExpectRefused({"node 'a' has two branches named 'pick'"});
}

TEST_F(StateGraphTest, NodeAddedTwiceIsRefused) {
  builder_.AddNode("a", Idle());
  ExpectRefused({"node 'a' is added twice"});
}

TEST_F(StateGraphTest, ReservedNodeNameIsRefused) {
  builder_.AddNode(std::string(kStart), Idle());
  builder_.AddNode(std::string(kEnd), Idle());
  builder_.AddNode("__mine", Idle());
  ExpectRefused(
      {"node '__start__'", "node '__end__'", "node '__mine'", "reserved"});
}

TEST_F(StateGraphTest, NodeNameWithASeparatorIsRefused) {
  builder_.AddNode("x|y", Idle());
  builder_.AddNode("x:y", Idle());
  builder_.AddNode(std::string("x\0y", 3), Idle());
  ExpectRefused({"node 'x|y'", "node 'x:y'", std::string("node 'x\0y'", 10)});
}

TEST_F(StateGraphTest, NodeWithoutANameIsRefused) {
  builder_.AddNode("", Idle());
  ExpectRefused({"node 2 has no name"});
}

TEST_F(StateGraphTest, ChannelAddedTwiceIsRefused) {
  builder_.AddChannel("count", LastValue<int>());
  ExpectRefused({"channel 'count' is added twice"});
}

TEST_F(StateGraphTest, PrivateChannelOfATakenNameIsRefused) {
  builder_.AddPrivateChannel("count", LastValue<int>());
  ExpectRefused({"channel 'count' is added twice"});
}

TEST_F(StateGraphTest, ReservedChannelNameIsRefused) {
  builder_.AddChannel("__root__", LastValue<int>());
  ExpectRefused({"channel '__root__'", "reserved"});
}

TEST_F(StateGraphTest, ChannelWithoutANameIsRefused) {
  builder_.AddChannel("", LastValue<int>());
  ExpectRefused({"channel 1 has no name"});
}

TEST_F(StateGraphTest, ChannelWithoutAKindIsRefused) {
  builder_.AddChannel("empty", ChannelDef<int>());
  ExpectRefused({"channel 'empty' has no kind"});
}

TEST_F(StateGraphTest, UnknownChannelInASchemaIsRefused) {
  builder_.SetInput({"in"});
  builder_.SetOutput({"out"});
  builder_.AddNode("c", Idle(), {.input = {{"own"}}});
  ExpectRefused({"the input schema names channel 'in'",
                 "the output schema names channel 'out'",
                 "the input of node 'c' names channel 'own'"});
}

TEST_F(StateGraphTest, ForeignHandleInASchemaIsRefused) {
  builder_.SetInput({ForeignChannel()});
  builder_.SetOutput({ForeignChannel()});
  builder_.AddNode("c", Idle(), {.input = {{ForeignChannel()}}});
  ExpectRefused({"the input schema names a channel handle of another graph",
                 "the output schema names a channel handle of another graph",
                 "the input of node 'c' names a channel handle of another "
                 "graph"});
}

TEST_F(StateGraphTest, ForeignNodeIsRefused) {
  builder_.AddEdge(ForeignNode(), "b");
  builder_.AddEdge("b", ForeignNode());
  builder_.AddJoin({"a", ForeignNode()}, "b");
  builder_.AddConditionalEdges(ForeignNode(), ToEnd);
  builder_.AddNode("c", Idle(), {.destinations = {{ForeignNode()}}});
  ExpectRefused({"edge '(a node of another graph)' -> 'b'",
                 "edge 'b' -> '(a node of another graph)'",
                 "join of '(a node of another graph)', 'a' -> 'b'",
                 "conditional edge of '(a node of another graph)'",
                 "node 'c' declares the destination"});
}

TEST_F(StateGraphTest, SubgraphThatSharesAChannelOfAnotherTypeIsRefused) {
  StateGraph inner;
  inner.AddChannel("count", LastValue<std::string>());
  inner.AddNode("x", Idle());
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner));
  ExpectRefused({"node 'sub'", "channel 'count'", "std::string", "int"});
}

TEST_F(StateGraphTest, RetryWithoutAnAttemptIsRefused) {
  builder_.AddNode("c", Idle(), {.retry = {RetryPolicy{.max_attempts = 0}}});
  ExpectRefused({"node 'c'", "max_attempts is 0"});
}

TEST_F(StateGraphTest, RetryWithAShrinkingOrNegativeIntervalIsRefused) {
  builder_.AddNode("c", Idle(),
                   {.retry = {RetryPolicy{.backoff_factor = 0.5}}});
  builder_.AddNode(
      "d", Idle(),
      {.retry = {RetryPolicy{.initial_interval = -absl::Seconds(1)}}});
  ExpectRefused({"node 'c': a retry", "node 'd': a retry"});
}

TEST_F(StateGraphTest, TimeoutThatIsNotPositiveIsRefused) {
  builder_.AddNode("c", Idle(),
                   {.timeout = TimeoutPolicy{.run = absl::ZeroDuration()}});
  builder_.AddNode("d", Idle(),
                   {.timeout = TimeoutPolicy{.idle = -absl::Seconds(1)}});
  ExpectRefused({"node 'c': a timeout", "node 'd': a timeout"});
}

TEST_F(StateGraphTest, DefaultPolicyIsCheckedLikeANodesOwn) {
  ExpectRefused({"CompileOptions", "max_attempts is 0"},
                {.retry = {RetryPolicy{.max_attempts = 0}}});
  ExpectRefused({"CompileOptions", "a timeout"},
                {.timeout = TimeoutPolicy{.run = absl::ZeroDuration()}});
}

TEST_F(StateGraphTest, AllMistakesAreReportedAtOnceWithTheGraphsName) {
  builder_.AddEdge("a", "ghost");
  builder_.AddNode("a", Idle());
  builder_.AddChannel("count", LastValue<int>());
  builder_.AddJoin({"a", "phantom"}, "b");
  builder_.AddConditionalEdges("b", ToEnd, {.path_map = {{"x", "spirit"}}});
  ExpectRefused({"graph 'haunted'", "'ghost'", "node 'a' is added twice",
                 "channel 'count' is added twice", "'phantom'", "'spirit'"},
                {.name = "haunted"});
}

TEST_F(StateGraphTest, RefusedBuilderCanBeMendedAndRun) {
  builder_.AddEdge("a", "late");
  ExpectRefused({"'late'"});
  builder_.AddNode("late",
                   [count = count_](NodeContext&) { return Update(count, 7); });
  EXPECT_EQ(MustInvoke(MustCompile(builder_), Update()).Get(count_), 7);
}

TEST_F(StateGraphTest, CompiledGraphIsNotChangedThroughItsBuilder) {
  const Graph before = MustCompile(builder_);
  builder_.AddNode("c",
                   [count = count_](NodeContext&) { return Update(count, 3); });
  builder_.AddEdge("a", "c");
  const Graph after = MustCompile(builder_);
  EXPECT_EQ(MustInvoke(before, Update()).Get(count_), 0);
  EXPECT_EQ(MustInvoke(after, Update()).Get(count_), 3);
}

TEST_F(StateGraphTest, GraphOutlivesItsBuilder) {
  auto builder = std::make_unique<StateGraph>();
  const NotesChannel notes = AddNotes(*builder);
  builder->AddNode("a", NoteStep{notes});
  builder->AddEdge(kStart, "a");
  const Graph graph = MustCompile(*builder);
  builder.reset();
  EXPECT_EQ(NotesOf(graph, notes), "a@1");
}

TEST_F(StateGraphTest, MovedBuilderKeepsItsHandles) {
  StateGraph builder;
  const NotesChannel notes = AddNotes(builder);
  const NodeId a = builder.AddNode("a", NoteStep{notes});
  StateGraph moved = std::move(builder);
  moved.AddEdge(kStart, a);
  EXPECT_EQ(NotesOf(MustCompile(moved), notes), "a@1");
}

TEST_F(StateGraphTest, NodesMayBeNamedBeforeTheyAreAdded) {
  StateGraph builder;
  const NotesChannel notes = AddNotes(builder);
  builder.SetEntryPoint("first");
  builder.AddEdge("first", "last");
  builder.SetFinishPoint("last");
  builder.AddNode("last", NoteStep{notes});
  builder.AddNode("first", NoteStep{notes}, {.destinations = {{"last"}}});
  EXPECT_EQ(NotesOf(MustCompile(builder), notes), "first@1 last@2");
}

TEST_F(StateGraphTest, NodesMayBeNamedById) {
  StateGraph builder;
  const NotesChannel notes = AddNotes(builder);
  // The order of adding is not the order of names.
  const NodeId z = builder.AddNode("z", NoteStep{notes});
  const NodeId a = builder.AddNode("a", NoteStep{notes});
  const NodeId m = builder.AddNode("m", NoteStep{notes});
  builder.AddEdge(kStart, z);
  builder.AddEdge(kStart, a);
  builder.AddJoin({z, a}, m);
  EXPECT_EQ(NotesOf(MustCompile(builder), notes), "a@1 z@1 m@2");
}

TEST_F(StateGraphTest, ConditionalEdgesAreAnEntry) {
  StateGraph builder;
  const NotesChannel notes = AddNotes(builder);
  builder.AddNode("a", NoteStep{notes});
  builder.AddConditionalEdges(kStart, [](NodeContext&) { return "a"; });
  EXPECT_EQ(NotesOf(MustCompile(builder), notes), "a@1");
}

TEST_F(StateGraphTest, EdgeFromTheStartToTheEndIsAnEntry) {
  StateGraph builder;
  const Channel<int> count = builder.AddChannel("count", LastValue<int>());
  builder.AddEdge(kStart, kEnd);
  EXPECT_EQ(MustInvoke(MustCompile(builder), Update(count, 5)).Get(count), 5);
}

TEST_F(StateGraphTest, UnreachableNodeIsAllowed) {
  builder_.AddNode("island", Idle());
  ExpectCompiles();
}

TEST_F(StateGraphTest, NamesMayHoldAnyOtherCharacter) {
  builder_.AddNode("größe + 大小/ \"x\"", Idle());
  ExpectCompiles();
}

TEST_F(StateGraphTest, BranchesWithoutANameDoNotCollide) {
  builder_.AddConditionalEdges("a", ToEnd);
  builder_.AddConditionalEdges("a", ToEnd);
  builder_.AddConditionalEdges("b", ToEnd);
  ExpectCompiles();
}

TEST_F(StateGraphTest, EdgeOrJoinAddedTwiceCountsOnce) {
  StateGraph builder;
  const NotesChannel notes = AddNotes(builder);
  for (const char* name : {"a", "b", "c"}) {
    builder.AddNode(name, NoteStep{notes});
  }
  for (int i = 0; i < 2; ++i) {
    builder.AddEdge(kStart, "a");
    builder.AddEdge(kStart, "b");
    builder.AddJoin({"a", "b"}, "c");
  }
  EXPECT_EQ(NotesOf(MustCompile(builder), notes), "a@1 b@1 c@2");
}

TEST_F(StateGraphTest, JoinsAreToldApartByTheirSources) {
  StateGraph builder;
  const NotesChannel notes = AddNotes(builder);
  for (const char* name : {"a", "b", "a+b", "c"}) {
    builder.AddNode(name, NoteStep{notes});
  }
  builder.AddEdge(kStart, "a+b");
  builder.AddJoin({"a", "b"}, "c");
  builder.AddJoin({"a+b"}, "c");
  EXPECT_EQ(NotesOf(MustCompile(builder), notes), "a+b@1 c@2");
}

TEST_F(StateGraphTest, MessageSaysNothingOfWhatIsRight) {
  builder_.AddEdge("a", "ghost");
  const absl::Status status = builder_.Compile().status();
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("'count'")));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("__start__")));
}

}  // namespace
}  // namespace weir
