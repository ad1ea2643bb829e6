#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/state_graph.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A graph whose node doubles a number and counts how often it is executed.
class CacheTest : public testing::Test {
 protected:
  static constexpr absl::Duration kHour = absl::Hours(1);

  void AddDoubling(NodeOptions options = {.cache = CachePolicy()}) {
    builder_.AddNode(
        "double",
        [this](NodeContext& node) {
          ++executed_;
          return Update(out_, 2 * node.Get(in_));
        },
        std::move(options));
    builder_.AddEdge(kStart, "double");
  }
  Graph Compile() { return MustCompile(builder_, {.result_cache = cache_}); }
  int Run(const Graph& graph, int number) {
    return MustInvoke(graph, Update(in_, number), {.executor = &executor_})
        .Get(out_);
  }
  void Wait(absl::Duration time) {
    absl::Notification done;
    executor_.PostAfter(time, [&done] { done.Notify(); });
    executor_.RunUntil(done);
  }

  SimExecutor executor_{1};
  const std::shared_ptr<Cache> cache_ = std::make_shared<Cache>();
  StateGraph builder_;
  const Channel<int> in_ = builder_.AddChannel("in", LastValue<int>());
  const Channel<int> out_ = builder_.AddChannel("out", LastValue<int>());
  int executed_ = 0;
};

TEST_F(CacheTest, EqualInputIsNotExecutedAgain) {
  AddDoubling();
  const Graph graph = Compile();
  EXPECT_EQ(Run(graph, 1), 2);
  EXPECT_EQ(Run(graph, 1), 2);
  EXPECT_EQ(executed_, 1);
  EXPECT_EQ(Run(graph, 2), 4);
  EXPECT_EQ(executed_, 2);
  EXPECT_EQ(cache_->size(), 2U);
}

TEST_F(CacheTest, NodeWithoutAPolicyIsExecuted) {
  AddDoubling({});
  const Graph graph = Compile();
  Run(graph, 1);
  Run(graph, 1);
  EXPECT_EQ(executed_, 2);
  EXPECT_EQ(cache_->size(), 0U);
}

TEST_F(CacheTest, PolicyWithoutACacheHasNoEffect) {
  AddDoubling();
  const Graph graph = MustCompile(builder_);
  Run(graph, 1);
  Run(graph, 1);
  EXPECT_EQ(executed_, 2);
}

TEST_F(CacheTest, DefaultPolicyIsForNodesWithoutOne) {
  AddDoubling({});
  const Graph graph =
      MustCompile(builder_, {.cache = CachePolicy(), .result_cache = cache_});
  Run(graph, 1);
  Run(graph, 1);
  EXPECT_EQ(executed_, 1);
}

TEST_F(CacheTest, HitLeadsWhereTheResultLed) {
  builder_.AddNode("a",
                   [this](NodeContext&) {
                     ++executed_;
                     return Command{.update = Update(in_, 5),
                                    .go_to = {"by goto", Send("by send", 7)}};
                   },
                   {.cache = CachePolicy()});
  const NotesChannel notes = AddNotes(builder_);
  for (const char* name : {"by edge", "by goto", "by router", "by send"}) {
    builder_.AddNode(name, [notes](NodeContext& node) {
      const int* sent = node.Input<int>();
      return Update(notes, absl::StrCat(std::string(node.node()), " ",
                                        sent == nullptr ? 0 : *sent));
    });
  }
  builder_.AddEdge(kStart, "a");
  builder_.AddEdge("a", "by edge");
  builder_.AddConditionalEdges("a", [](NodeContext&) { return "by router"; });
  const Graph graph = Compile();
  for (int i = 0; i < 2; ++i) {
    const Values values = MustInvoke(graph, Update());
    EXPECT_EQ(values.Get(in_), 5);
    EXPECT_THAT(values.Get(notes), ElementsAre("by edge 0", "by goto 0",
                                               "by router 0", "by send 7"));
  }
  EXPECT_EQ(executed_, 1);
}

TEST_F(CacheTest, HitShowsAsCachedUpdateWithoutAResultEvent) {
  AddDoubling();
  const Graph graph = Compile();
  Run(graph, 1);
  const Streamed run = StreamAll(
      graph, Update(in_, 1),
      {.modes = kUpdates | kTasks, .executor = &executor_, .run_id = "r"});
  EXPECT_THAT(
      run.events,
      ElementsAre(
          HasSubstr(R"("triggers")"),
          R"(updates {"double": {"out": 2}, "__metadata__": {"cached": true}})"));
}

TEST_F(CacheTest, EntryExpires) {
  AddDoubling({.cache = CachePolicy{.ttl = kHour}});
  const Graph graph = Compile();
  Run(graph, 1);
  Wait(kHour - absl::Nanoseconds(1));
  Run(graph, 1);
  EXPECT_EQ(executed_, 1);
  Wait(absl::Nanoseconds(1));
  Run(graph, 1);
  EXPECT_EQ(executed_, 2);
  Wait(kHour - absl::Nanoseconds(1));
  Run(graph, 1);
  EXPECT_EQ(executed_, 2) << "it counts from the last execution";
}

TEST_F(CacheTest, KeyFunctionSaysWhatIsEqual) {
  AddDoubling({.cache = CachePolicy{.key = [](const Value& input) {
                 const Value in = input.Field("in");
                 return *in.As<int>() % 2 == 0 ? "even" : "odd";
               }}});
  const Graph graph = Compile();
  EXPECT_EQ(Run(graph, 1), 2);
  EXPECT_EQ(Run(graph, 3), 2);
  EXPECT_EQ(Run(graph, 4), 8);
  EXPECT_EQ(executed_, 2);
}

TEST_F(CacheTest, KeyFunctionThatThrowsFailsTheNode) {
  AddDoubling({.cache = CachePolicy{.key = [](const Value&) -> std::string {
                 throw std::runtime_error("no key");
               }}});
  EXPECT_THAT(Compile().Invoke(Update(in_, 1)).status(),
              IsError(ErrorKind::kNodeError, absl::StatusCode::kUnknown,
                      {"'double'", "no key"}));
  EXPECT_EQ(executed_, 0);
}

TEST_F(CacheTest, KeyIsOfWhatTheNodeReadsOnly) {
  const auto other = builder_.AddChannel("other", LastValue<int>());
  AddDoubling({.input = {{in_}}, .cache = CachePolicy()});
  const Graph graph = Compile();
  MustInvoke(graph, Update(in_, 1).Set(other, 1));
  MustInvoke(graph, Update(in_, 1).Set(other, 2));
  EXPECT_EQ(executed_, 1);
}

TEST_F(CacheTest, KeyTellsAnEmptyChannelFromADefaultOne) {
  AddDoubling();
  const Graph graph = Compile();
  Run(graph, 0);
  MustInvoke(graph, Update());
  EXPECT_EQ(executed_, 2);
}

TEST_F(CacheTest, KeyTellsOneChannelFromAnother) {
  const auto other = builder_.AddChannel("other", LastValue<int>());
  AddDoubling();
  const Graph graph = Compile();
  MustInvoke(graph, Update(in_, 1));
  MustInvoke(graph, Update(other, 1));
  EXPECT_EQ(executed_, 2);
}

TEST_F(CacheTest, SendsAreCachedByWhatTheyCarry) {
  builder_.AddNode("w",
                   [this](NodeContext&) {
                     ++executed_;
                     return NodeResult();
                   },
                   {.cache = CachePolicy()});
  builder_.AddNode("a", [this](NodeContext&) {
    return Command{.go_to = {Send("w", 1), Send("w", 2), Send("w", 1),
                             Send("w", Update(in_, 5)),
                             Send("w", Update(in_, 5))}};
  });
  builder_.AddEdge(kStart, "a");
  MustInvoke(Compile(), Update(), {.executor = &executor_});
  EXPECT_EQ(executed_, 3);
}

struct Opaque {};

TEST_F(CacheTest, InputWithoutACodecIsNotCached) {
  const auto opaque = builder_.AddChannel("opaque", LastValue<Opaque>());
  AddDoubling();
  const Graph graph = Compile();
  MustInvoke(graph, Update(opaque, Opaque()));
  std::vector<std::string> warnings;
  RunStream stream = graph.Stream(Update(opaque, Opaque()),
                                  {.modes = kDebug, .executor = &executor_});
  while (const Event* event = stream.Next()) {
    if (const auto* warning = event->As<RunWarning>()) {
      warnings.push_back(warning->text);
    }
  }
  EXPECT_EQ(executed_, 2);
  EXPECT_THAT(warnings,
              ElementsAre(AllOf(HasSubstr("'double'"), HasSubstr("not cached"),
                                HasSubstr("Opaque"))));
}

TEST_F(CacheTest, FailureIsNotKept) {
  builder_.AddNode("a",
                   [this](NodeContext&) {
                     return ++executed_ == 1
                                ? NodeResult(absl::NotFoundError("no milk"))
                                : NodeResult(Update(out_, 5));
                   },
                   {.cache = CachePolicy()});
  builder_.AddEdge(kStart, "a");
  const Graph graph = Compile();
  EXPECT_FALSE(graph.Invoke(Update()).ok());
  EXPECT_EQ(cache_->size(), 0U);
  EXPECT_EQ(MustInvoke(graph, Update()).Get(out_), 5);
  EXPECT_EQ(MustInvoke(graph, Update()).Get(out_), 5);
  EXPECT_EQ(executed_, 2);
}

TEST_F(CacheTest, TaskWhoseRouterFailsIsNotKept) {
  AddDoubling();
  bool lost = true;
  builder_.AddConditionalEdges("double", [&lost](NodeContext&) -> Route {
    if (lost) throw std::runtime_error("lost");
    return kEnd;
  });
  const Graph graph = Compile();
  EXPECT_FALSE(graph.Invoke(Update(in_, 1)).ok());
  lost = false;
  EXPECT_EQ(Run(graph, 1), 2);
  EXPECT_EQ(executed_, 2);
}

TEST_F(CacheTest, ResultOfAnErrorHandlerIsNotKept) {
  int handled = 0;
  builder_.AddNode(
      "a",
      [this](NodeContext&) {
        ++executed_;
        return absl::NotFoundError("no milk");
      },
      {.cache = CachePolicy(),
       .error_handler = ErrorHandler([&handled](NodeContext&) { ++handled; })});
  builder_.AddEdge(kStart, "a");
  const Graph graph = Compile();
  MustInvoke(graph, Update());
  MustInvoke(graph, Update());
  EXPECT_EQ(executed_, 2);
  EXPECT_EQ(handled, 2);
}

TEST_F(CacheTest, ResultOfALaterAttemptIsKept) {
  builder_.AddNode("a",
                   [this](NodeContext& node) {
                     ++executed_;
                     return node.attempt() == 1
                                ? NodeResult(absl::AbortedError("once more"))
                                : NodeResult(Update(out_, 5));
                   },
                   {.retry = {RetryPolicy()}, .cache = CachePolicy()});
  builder_.AddEdge(kStart, "a");
  const Graph graph = Compile();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(MustInvoke(graph, Update(), {.executor = &executor_}).Get(out_),
              5);
  }
  EXPECT_EQ(executed_, 2);
}

TEST_F(CacheTest, EqualInputOfAnotherNodeIsExecuted) {
  AddDoubling();
  builder_.AddNode("other", [this](NodeContext&) { ++executed_; },
                   {.cache = CachePolicy()});
  builder_.AddEdge(kStart, "other");
  Run(Compile(), 1);
  EXPECT_EQ(executed_, 2);
}

TEST_F(CacheTest, EqualInputOfAnotherGraphIsExecuted) {
  AddDoubling();
  Run(Compile(), 1);
  builder_ = StateGraph();
  builder_.AddChannel("in", LastValue<int>());
  builder_.AddChannel("out", LastValue<int>());
  builder_.AddNode("double", [this](NodeContext&) { ++executed_; },
                   {.cache = CachePolicy()});
  builder_.AddEdge(kStart, "double");
  MustInvoke(Compile(), Update().Set("in", Value(1)));
  EXPECT_EQ(executed_, 2);
}

TEST_F(CacheTest, GraphsOfOneBuilderShareTheirResults) {
  AddDoubling();
  Run(Compile(), 1);
  Run(Compile(), 1);
  EXPECT_EQ(executed_, 1);
}

TEST_F(CacheTest, ClearForgetsOneNodeOrAll) {
  AddDoubling();
  int others = 0;
  builder_.AddNode("other", [&others](NodeContext&) { ++others; },
                   {.cache = CachePolicy()});
  builder_.AddEdge(kStart, "other");
  const Graph graph = Compile();
  Run(graph, 1);
  EXPECT_EQ(cache_->size(), 2U);
  cache_->Clear("double");
  EXPECT_EQ(cache_->size(), 1U);
  Run(graph, 1);
  EXPECT_EQ(executed_, 2);
  EXPECT_EQ(others, 1);
  cache_->Clear();
  EXPECT_EQ(cache_->size(), 0U);
  Run(graph, 1);
  EXPECT_EQ(executed_, 3);
  EXPECT_EQ(others, 2);
}

TEST_F(CacheTest, GraphAsANodeUsesTheCacheAroundIt) {
  StateGraph inner;
  inner.AddChannel("in", LastValue<int>());
  inner.AddNode("x", [this](NodeContext&) { ++executed_; },
                {.cache = CachePolicy()});
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner));
  builder_.AddEdge(kStart, "sub");
  const Graph graph = Compile();
  Run(graph, 1);
  Run(graph, 1);
  EXPECT_EQ(executed_, 1);
  EXPECT_EQ(cache_->size(), 1U);
}

TEST_F(CacheTest, GraphAsANodePrefersACacheOfItsOwn) {
  StateGraph inner;
  inner.AddNode("x", [this](NodeContext&) { ++executed_; },
                {.cache = CachePolicy()});
  inner.AddEdge(kStart, "x");
  const auto own = std::make_shared<Cache>();
  builder_.AddNode("sub", MustCompile(inner, {.result_cache = own}));
  builder_.AddEdge(kStart, "sub");
  Run(Compile(), 1);
  EXPECT_EQ(cache_->size(), 0U);
  EXPECT_EQ(own->size(), 1U);
}

TEST_F(CacheTest, GraphAsANodeIsItselfCached) {
  StateGraph inner;
  const auto in = inner.AddChannel("in", LastValue<int>());
  const auto out = inner.AddChannel("out", LastValue<int>());
  inner.AddNode("x", [this, in, out](NodeContext& node) {
    ++executed_;
    return Update(out, node.Get(in) + 1);
  });
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner), {.cache = CachePolicy()});
  builder_.AddEdge(kStart, "sub");
  const Graph graph = Compile();
  EXPECT_EQ(Run(graph, 1), 2);
  EXPECT_EQ(Run(graph, 1), 2);
  EXPECT_EQ(executed_, 1);
}

TEST_F(CacheTest, CommandForTheParentIsNotKept) {
  StateGraph inner;
  inner.AddNode("x",
                [this](NodeContext&) {
                  ++executed_;
                  return Command{.go_to = {"b"},
                                 .graph = Command::Graph::kParent};
                },
                {.cache = CachePolicy()});
  inner.AddEdge(kStart, "x");
  builder_.AddNode("sub", MustCompile(inner));
  int reached = 0;
  builder_.AddNode("b", [&reached](NodeContext&) { ++reached; });
  builder_.AddEdge(kStart, "sub");
  const Graph graph = Compile();
  Run(graph, 1);
  Run(graph, 1);
  EXPECT_EQ(executed_, 2);
  EXPECT_EQ(reached, 2);
}

}  // namespace
}  // namespace weir
