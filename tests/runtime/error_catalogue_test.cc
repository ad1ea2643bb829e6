// Every kind of error, provoked by the public API: what it says, and that the
// page of docs/errors that is about it shows what it says.

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/call.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/memory_store.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

#if defined(ABSL_HAVE_ADDRESS_SANITIZER)
#include <sanitizer/lsan_interface.h>
#endif

namespace weir {
namespace {

using Code = absl::StatusCode;

// A graph with one channel, whose name is that of the sample in the pages, and
// what it runs with.
struct Sample {
  StateGraph builder;
  const Channel<std::string> topic =
      builder.AddChannel("topic", LastValue<std::string>());
  MemoryCheckpointer store;
  SimExecutor executor{1};

  // Adds a node behind the start.
  template <class F>
  void Add(const std::string& name, F body, NodeOptions options = {}) {
    builder.AddNode(name, std::move(body), std::move(options));
    builder.AddEdge(kStart, name);
  }
  RunOptions Saved() {
    RunOptions options;
    options.executor = &executor;
    options.checkpointer = &store;
    options.thread_id = "ann";
    options.durability = Durability::kSync;
    return options;
  }
  absl::Status Run(Input input = Update(), RunOptions options = {}) {
    options.executor = &executor;
    return MustCompile(builder, {.name = "agent"})
        .Invoke(std::move(input), std::move(options))
        .status();
  }
};

// A node that waits until it is asked to stop, and then says so.
Task<NodeResult> Wait(NodeContext& node) {
  co_return co_await node.Sleep(absl::InfiniteDuration());
}

// A node that asks.
NodeResult Ask(NodeContext& node) {
  return absl::StatusOr<bool>(node.Interrupt<bool>("publish?")).status();
}

// A Runtime of a graph "agent" with one node, and a thread "id-1".
struct Served : Sample {
  std::unique_ptr<Runtime> runtime;
  ThreadId thread;

  template <class F>
  explicit Served(F body, Checkpointer* checkpointer = nullptr) {
    Add("write", std::move(body));
    RuntimeOptions options;
    options.executor = &executor;
    options.checkpointer = checkpointer;
    options.new_id = [n = 0]() mutable { return absl::StrCat("id-", ++n); };
    runtime = std::make_unique<Runtime>(std::move(options));
    EXPECT_TRUE(
        runtime->Register("agent", MustCompile(builder, {.name = "agent"}))
            .ok());
    thread = runtime->CreateThread();
  }
  RunId Start(StartOptions options = {}) {
    absl::StatusOr<RunInfo> run =
        runtime->StartRun(thread, "agent", Update(), std::move(options));
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? run->id : RunId();
  }
  // Why a run was no success.
  absl::Status ErrorOf(const RunId& run) {
    absl::StatusOr<RunOutcome> outcome = runtime->Join(thread, run);
    return outcome.ok() ? outcome->error : outcome.status();
  }
};

absl::Status InvalidGraph() {
  StateGraph builder;
  builder.AddNode("write", Idle());
  builder.AddEdge(kStart, "wirte");
  return builder.Compile({.name = "agent"}).status();
}

absl::Status EmptyInput() {
  Sample sample;
  sample.Add("write", Idle());
  return sample.Run(Input::Continue());
}

absl::Status InvalidUpdate() {
  Sample sample;
  for (const char* node : {"draft", "write"}) {
    sample.Add(node, [topic = sample.topic](NodeContext&) {
      return Update(topic, "cats");
    });
  }
  return sample.Run();
}

absl::Status InvalidBranch() {
  Sample sample;
  sample.Add("write", Idle());
  sample.builder.AddConditionalEdges(
      "write", [](NodeContext&) { return "maybe"; },
      {.name = "again", .path_map = {{"yes", "write"}, {"no", "__end__"}}});
  return sample.Run();
}

absl::Status ReducerFails() {
  Sample sample;
  const auto budget = sample.builder.AddChannel(
      "budget", Reducer<int>([](int left, int cost) -> absl::StatusOr<int> {
        if (cost > left) return absl::ResourceExhaustedError("has too little");
        return left - cost;
      }));
  sample.Add("write", [budget](NodeContext&) { return Update(budget, 7); });
  return sample.Run();
}

absl::Status NodeFails() {
  Sample sample;
  sample.Add("write", [](NodeContext&) -> NodeResult {
    return absl::NotFoundError("no such topic");
  });
  return sample.Run();
}

absl::Status NodeTimeout() {
  Sample sample;
  sample.Add("write", Wait, {.timeout = {{.run = absl::Seconds(5)}}});
  return sample.Run();
}

absl::Status StepTimeout() {
  Sample sample;
  sample.Add("write", Wait);
  return sample.Run(Update(), {.step_timeout = absl::Seconds(5)});
}

absl::Status GraphRecursion() {
  Sample sample;
  sample.Add("write", Idle());
  sample.builder.AddEdge("write", "write");
  return sample.Run(Update(), {.recursion_limit = 25});
}

absl::Status Drained() {
  Sample sample;
  RunControl control;
  sample.Add("write", [&control](NodeContext&) {
    control.RequestDrain("the host restarts");
  });
  sample.builder.AddNode("check", Idle());
  sample.builder.AddEdge("write", "check");
  return sample.Run(Update(), {.control = &control});
}

absl::Status Cancelled() {
  Sample sample;
  std::stop_source stop;
  sample.Add("write", [&stop](NodeContext&) { stop.request_stop(); });
  sample.builder.AddNode("check", Idle());
  sample.builder.AddEdge("write", "check");
  return sample.Run(Update(), {.stop = stop.get_token()});
}

absl::Status WaitsForAnAnswer() {
  Sample sample;
  absl::Status seen;
  sample.Add("write", [&seen](NodeContext& node) {
    NodeResult asked = Ask(node);
    seen = asked.status();
    return asked;
  });
  EXPECT_TRUE(sample.Run(Update(), sample.Saved()).ok());
  return seen;
}

absl::Status NoCheckpointer() {
  Sample sample;
  sample.Add("write", Ask);
  return sample.Run();
}

absl::Status OutcomeUnknown() {
  Sample sample;
  sample.Add("pay", [&sample](NodeContext& node) -> NodeResult {
    const absl::StatusOr<None> paid = node.Once(
        "charge",
        [&sample] {
          // As if the process ended here: the store has what it has by now.
          sample.store.CopyThread("ann", "after", [](absl::Status copied) {
            EXPECT_TRUE(copied.ok()) << copied;
          });
        },
        OnceMode::kAtMostOnce);
    return paid.status();
  });
  EXPECT_TRUE(sample.Run(Update(), sample.Saved()).ok());
  RunOptions after = sample.Saved();
  after.thread_id = "after";
  return sample.Run(Input::Continue(), std::move(after));
}

absl::Status InvalidNamespace() {
  MemoryStore store;
  return store.Put({"users", "ann.lee"}, "diet", Value("vegan"));
}

absl::Status RunTimeout() {
  Served served(Wait);
  return served.ErrorOf(served.Start({.timeout = absl::Minutes(5)}));
}

absl::Status RolledBack() {
  Served served(Wait);
  const RunId run = served.Start();
  EXPECT_TRUE(
      served.runtime
          ->Cancel(served.thread, run, {.action = CancelAction::kRollback})
          .ok());
  return served.ErrorOf(run);
}

absl::Status CommandForNoParent() {
  Sample sample;
  sample.Add("write", [](NodeContext&) {
    return Command{.go_to = {"review"}, .graph = Command::Graph::kParent};
  });
  return sample.Run();
}

absl::Status Overtaken() {
  Sample sample;
  sample.Add("write", [&sample](NodeContext&) {
    sample.store.Open("ann", [](absl::StatusOr<ThreadLease> other) {
      EXPECT_TRUE(other.ok()) << other.status();
    });
  });
  return sample.Run(Update(), sample.Saved());
}

absl::Status NameTaken() {
  Served served(Idle{});
  return served.runtime->Register("agent", MustCompile(served.builder));
}

absl::Status ReaderOvertaken() {
  Served served([](NodeContext& node) {
    for (int i = 0; i < 20; ++i) node.Emit(i);
  });
  absl::StatusOr<RunStream> stream = served.runtime->Stream(
      served.thread, "agent", Update(), {.modes = kCustom, .window = 8});
  if (!stream.ok()) return stream.status();
  while (stream->Next() != nullptr) {
  }
  return stream->status();
}

absl::Status TwoQuestions() {
  Sample sample;
  sample.Add("publish", Ask);
  sample.Add("write", Ask);
  EXPECT_TRUE(sample.Run(Update(), sample.Saved()).ok());
  return sample.Run(Input::Resume(Value(true)), sample.Saved());
}

// A run that can never end is never freed.
absl::Status NeverEnds() {
#if defined(ABSL_HAVE_ADDRESS_SANITIZER)
  const __lsan::ScopedDisabler leaks_allowed;
#endif
  Sample sample;
  std::vector<Completion> kept;
  sample.Add("write", [&kept](NodeContext&, Completion done) {
    kept.push_back(std::move(done));
  });
  return sample.Run();
}

absl::Status OptionOutOfRange() {
  Sample sample;
  sample.Add("write", Idle());
  return sample.Run(Update(), {.recursion_limit = 0});
}

absl::Status UnknownGraph() {
  Served served(Idle{});
  return served.runtime->StartRun(served.thread, "agnet", Update()).status();
}

absl::Status EventNotReached() {
  Served served(Idle{});
  const RunId run = served.Start({.resumable = true});
  EXPECT_TRUE(served.ErrorOf(run).ok());
  return served.runtime
      ->JoinStream(served.thread, run, {.last_event_id = 1'000})
      .status();
}

absl::Status RuntimeGone() {
  Served served(Wait);
  absl::StatusOr<RunStream> stream =
      served.runtime->Stream(served.thread, "agent", Update());
  if (!stream.ok()) return stream.status();
  served.runtime.reset();
  while (stream->Next() != nullptr) {
  }
  return stream->status();
}

// A store that keeps items until they are deleted.
class PlainStore : public Store {
 public:
  StoreCapabilities capabilities() const override { return {}; }

 private:
  absl::StatusOr<std::vector<StoreResult>> Execute(
      std::vector<StoreOp> ops) override {
    return std::vector<StoreResult>(ops.size());
  }
};

absl::Status CannotDo() {
  PlainStore store;
  return store.Put({"users", "ann"}, "diet", Value("vegan"),
                   {.ttl = absl::Hours(1)});
}

// One page of docs/errors.
struct Case {
  std::string_view page;
  ErrorKind kind;
  Code code;
  absl::Status (*provoke)();
  // Where it happened, and what to do.
  std::vector<std::string> says;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.page; }

const std::vector<Case>& Cases() {
  static const auto* const cases = new std::vector<Case>{
      {"NodeError",
       ErrorKind::kNodeError,
       Code::kNotFound,
       NodeFails,
       {"node 'write'", "step 1", "no such topic"}},
      {"InvalidUpdateError",
       ErrorKind::kInvalidUpdate,
       Code::kInvalidArgument,
       InvalidUpdate,
       {"channel 'topic'", "step 1", "'draft'", "'write'", "reducer"}},
      {"InvalidBranchError",
       ErrorKind::kInvalidBranch,
       Code::kInvalidArgument,
       InvalidBranch,
       {"node 'write'", "step 1", "router 'again'", "'maybe'"}},
      {"ReducerError",
       ErrorKind::kReducerError,
       Code::kResourceExhausted,
       ReducerFails,
       {"channel 'budget'", "step 1", "'write'", "has too little"}},
      {"InvalidGraphError",
       ErrorKind::kInvalidGraph,
       Code::kInvalidArgument,
       InvalidGraph,
       {"graph 'agent'", "'wirte'", "add it or correct the name"}},
      {"EmptyInputError",
       ErrorKind::kEmptyInput,
       Code::kInvalidArgument,
       EmptyInput,
       {"graph 'agent'", "Input::Values"}},
      {"GraphRecursionError",
       ErrorKind::kGraphRecursion,
       Code::kResourceExhausted,
       GraphRecursion,
       {"graph 'agent'", "25", "write", "RunOptions::recursion_limit"}},
      {"GraphDrained",
       ErrorKind::kGraphDrained,
       Code::kCancelled,
       Drained,
       {"graph 'agent'", "step 2", "the host restarts"}},
      {"ParentCommand",
       ErrorKind::kParentCommand,
       Code::kFailedPrecondition,
       CommandForNoParent,
       {"node 'write'", "step 1", "graph 'agent'", "kThis"}},
      {"NodeTimeoutError",
       ErrorKind::kNodeTimeout,
       Code::kDeadlineExceeded,
       NodeTimeout,
       {"node 'write'", "step 1", "5s", "stop_token()"}},
      {"StepTimeoutError",
       ErrorKind::kStepTimeout,
       Code::kDeadlineExceeded,
       StepTimeout,
       {"graph 'agent'", "step 1", "RunOptions::step_timeout", "write"}},
      {"RunCancelled",
       ErrorKind::kCancelled,
       Code::kCancelled,
       Cancelled,
       {"graph 'agent'", "step 2"}},
      {"Interrupt",
       ErrorKind::kInterrupt,
       Code::kCancelled,
       WaitsForAnAnswer,
       {"node 'write'", "return"}},
      {"NoCheckpointerError",
       ErrorKind::kNoCheckpointer,
       Code::kFailedPrecondition,
       NoCheckpointer,
       {"node 'write'", "step 1", "RunOptions::checkpointer"}},
      {"InvalidNamespaceError",
       ErrorKind::kInvalidNamespace,
       Code::kInvalidArgument,
       InvalidNamespace,
       {"item 'diet'", "ann.lee", "'.'"}},
      {"UnknownOutcome",
       ErrorKind::kUnknownOutcome,
       Code::kAborted,
       OutcomeUnknown,
       {"node 'pay'", "step 1", "'charge'", "find out what it did"}},
      {"Rollback",
       ErrorKind::kRollback,
       Code::kAborted,
       RolledBack,
       {"run 'id-2'", "thread"}},
      {"RunTimeoutError",
       ErrorKind::kRunTimeout,
       Code::kDeadlineExceeded,
       RunTimeout,
       {"run 'id-2'", "graph 'agent'", "StartOptions::timeout"}},
      // Without a kind, by code.
      {"Aborted",
       ErrorKind::kNone,
       Code::kAborted,
       Overtaken,
       {"thread 'ann'"}},
      {"AlreadyExists",
       ErrorKind::kNone,
       Code::kAlreadyExists,
       NameTaken,
       {"'agent'", "choose another name"}},
      {"DataLoss", ErrorKind::kNone, Code::kDataLoss, ReaderOvertaken, {}},
      {"FailedPrecondition",
       ErrorKind::kNone,
       Code::kFailedPrecondition,
       TwoQuestions,
       {"thread 'ann'", "Input::ResumeEach"}},
      {"Internal",
       ErrorKind::kNone,
       Code::kInternal,
       NeverEnds,
       {"graph 'agent'", "never comes"}},
      {"InvalidArgument",
       ErrorKind::kNone,
       Code::kInvalidArgument,
       OptionOutOfRange,
       {"recursion_limit", "0", "at least 1"}},
      {"NotFound",
       ErrorKind::kNone,
       Code::kNotFound,
       UnknownGraph,
       {"'agnet'", "Register()"}},
      {"OutOfRange",
       ErrorKind::kNone,
       Code::kOutOfRange,
       EventNotReached,
       {"1000", "newest"}},
      {"Unavailable",
       ErrorKind::kNone,
       Code::kUnavailable,
       RuntimeGone,
       {"run 'id-2'", "Runtime has ended"}},
      {"Unimplemented",
       ErrorKind::kNone,
       Code::kUnimplemented,
       CannotDo,
       {"item 'diet'", "PutOptions::ttl"}},
  };
  return *cases;
}

std::string PageText(std::string_view page) {
  std::ifstream in(absl::StrCat("docs/errors/", std::string(page), ".md"));
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

class ErrorCatalogueTest : public testing::TestWithParam<Case> {};

TEST_P(ErrorCatalogueTest, MessageSaysWhatAndWhereAndIsInItsPage) {
  const Case& c = GetParam();
  const absl::Status status = c.provoke();
  EXPECT_THAT(status, IsError(c.kind, c.code, c.says));
  const std::string shown = std::regex_replace(
      absl::StrCat(absl::StatusCodeToString(c.code), ": ", status.message()),
      std::regex("[0-9a-f]{32}"), "<id>");
  EXPECT_THAT(PageText(c.page), testing::HasSubstr("\n" + shown + "\n"));
}

INSTANTIATE_TEST_SUITE_P(All, ErrorCatalogueTest, testing::ValuesIn(Cases()),
                         [](const testing::TestParamInfo<Case>& param) {
                           return std::string(param.param.page);
                         });

TEST(ErrorCataloguePagesTest, EachKindIsProvokedAndHasItsPage) {
  std::set<ErrorKind> provoked;
  for (const Case& c : Cases()) {
    provoked.insert(c.kind);
    if (c.kind == ErrorKind::kNone) continue;
    EXPECT_EQ(c.page, ErrorKindName(c.kind));
  }
  // The last kind of the enumeration.
  const auto last = static_cast<size_t>(ErrorKind::kRunTimeout);
  EXPECT_EQ(provoked.size(), last + 1);
}

TEST(ErrorCataloguePagesTest, EachPageIsAboutAnErrorAndIsInTheIndex) {
  std::set<std::string> known;
  for (const Case& c : Cases()) known.insert(std::string(c.page));
  std::ifstream in("docs/errors.md");
  std::ostringstream index;
  index << in.rdbuf();
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("docs/errors")) {
    const std::string name = entry.path().stem().string();
    found.insert(name);
    EXPECT_THAT(index.str(), testing::HasSubstr("](errors/" + name + ".md)"));
  }
  EXPECT_EQ(found, known);
}

}  // namespace
}  // namespace weir
