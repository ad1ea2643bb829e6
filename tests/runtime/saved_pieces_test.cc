#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/support/graph_run.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/checkpointer.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"
#include "weir/runtime/state_graph.h"

// Lists that grow, in stores that keep bytes: what is put, and that whatever is
// put comes back.
namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

using Log = AppendLog<std::string>;

constexpr size_t kTextBytes = 40;

std::string Text(int i) {
  std::string text = absl::StrCat("text ", i, " ");
  text.resize(kTextBytes, '.');
  return text;
}
Log Texts(int n) {
  Log log;
  for (int i = 0; i < n; ++i) log.Append(Text(i));
  return log;
}

template <class T>
T Wait(absl::FunctionRef<void(Checkpointer::Done<T>)> call) {
  absl::StatusOr<T> result;
  absl::Notification done;
  call([&](absl::StatusOr<T> given) {
    result = std::move(given);
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : T();
}
void WaitFor(absl::FunctionRef<void(Checkpointer::StatusDone)> call) {
  absl::Status result;
  absl::Notification done;
  call([&](absl::Status given) {
    result = std::move(given);
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_TRUE(result.ok()) << result;
}

// Counts calls of History().
template <class Store>
class Counting : public Checkpointer {
 public:
  explicit Counting(Store* store) : store_(store) {}
  int histories() const { return histories_; }

  CheckpointerCapabilities capabilities() const override {
    return store_->capabilities();
  }
  void Open(std::string_view thread, Done<ThreadLease> done) override {
    store_->Open(thread, std::move(done));
  }
  void Put(const Fence& fence, NewCheckpoint&& made, StatusDone done) override {
    store_->Put(fence, std::move(made), std::move(done));
  }
  void PutWrites(const Fence& fence, NewWrites&& writes,
                 StatusDone done) override {
    store_->PutWrites(fence, std::move(writes), std::move(done));
  }
  void Get(CheckpointKey key,
           Done<std::optional<CheckpointTuple>> done) override {
    store_->Get(std::move(key), std::move(done));
  }
  void List(CheckpointQuery query,
            Done<std::vector<CheckpointTuple>> done) override {
    store_->List(std::move(query), std::move(done));
  }
  void History(CheckpointKey key, std::vector<std::string> channels,
               Done<std::vector<std::vector<SavedChannel>>> done) override {
    ++histories_;
    store_->History(std::move(key), std::move(channels), std::move(done));
  }
  void DeleteThread(std::string_view thread, StatusDone done) override {
    store_->DeleteThread(thread, std::move(done));
  }
  void Flush(StatusDone done) override { store_->Flush(std::move(done)); }

 private:
  Store* const store_;
  int histories_ = 0;
};

// Of a channel in a namespace: what was put of it, each version once.
struct Put {
  int wholes = 0;
  int pieces = 0;
  size_t bytes = 0;
  size_t last_whole = 0;
};

class SavedPiecesTest : public testing::TestWithParam<std::string> {
 protected:
  SavedPiecesTest() {
    log_ = builder_.AddChannel("log", AppendLogChannel<std::string>());
    messages_ = builder_.AddChannel("messages", Messages());
    count_ = builder_.AddChannel("count", LastValue<int>());
    until_ = builder_.AddChannel("until", LastValue<int>());
    const auto add = [this](NodeContext& node) {
      const int count = node.Get(count_);
      return Update(count_, count + 1)
          .Set(log_, Text(count))
          .Set(messages_, Message{"user", Text(count), absl::StrCat(count)});
    };
    builder_.AddNode("add", add);
    builder_.AddEdge(kStart, "add");
    builder_.AddConditionalEdges("add", [this](NodeContext& state) {
      return state.Get(count_) < state.Get(until_) ? Target("add")
                                                   : Target(kEnd);
    });
    Reopen();
  }

  // As another process would find it, if it is a file.
  void Reopen() {
    if (GetParam() == "memory") {
      if (store_ == nullptr) {
        store_ = std::make_unique<MemoryCheckpointer>(
            MemoryCheckpointerOptions{.as_bytes = true});
      }
      return;
    }
    store_ = nullptr;
    absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> opened =
        SqliteCheckpointer::Open(folder_.File("threads.db"));
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  RunOptions Saved(RunOptions options = {}) {
    if (options.thread_id.empty()) options.thread_id = "t";
    options.checkpointer = store_.get();
    return options;
  }
  // Goes on to that many texts.
  void Grow(const Graph& graph, int until, RunOptions options = {}) {
    const absl::StatusOr<RunResult> run =
        graph.Invoke(Update(until_, until), Saved(std::move(options)));
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_EQ(run->Get(log_), Texts(until));
  }
  StateOptions Thread(std::optional<CheckpointRef> at = {}) {
    return {.checkpointer = store_.get(), .thread_id = "t", .at = at};
  }
  StateSnapshot State(const Graph& graph,
                      std::optional<CheckpointRef> at = {}) {
    absl::StatusOr<StateSnapshot> state = graph.GetState(Thread(at));
    EXPECT_TRUE(state.ok()) << state.status();
    return state.ok() ? *std::move(state) : StateSnapshot();
  }
  std::vector<StateSnapshot> History(const Graph& graph,
                                     HistoryOptions which = {}) {
    absl::StatusOr<std::vector<StateSnapshot>> history =
        graph.GetHistory(Thread(), std::move(which));
    EXPECT_TRUE(history.ok()) << history.status();
    return history.ok() ? *std::move(history) : std::vector<StateSnapshot>();
  }
  CheckpointRef Change(const Graph& graph, Update update,
                       std::optional<CheckpointRef> at = {}) {
    absl::StatusOr<CheckpointRef> made = graph.UpdateState(
        Thread(at), {.values = std::move(update), .as_node = "add"});
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : CheckpointRef();
  }

  Put PutOf(const std::string& channel, const std::string& ns = "") {
    std::map<uint64_t, SavedChannel> versions;
    for (const CheckpointTuple& tuple : Stored(ns)) {
      for (const SavedChannel& saved : tuple.checkpoint.channels) {
        if (saved.channel == channel) versions[saved.version] = saved;
      }
    }
    Put put;
    for (const auto& [version, saved] : versions) {
      const size_t bytes = saved.value.bytes()->size();
      put.bytes += bytes;
      ++(saved.appended_to == 0 ? put.wholes : put.pieces);
      if (saved.appended_to == 0) put.last_whole = bytes;
    }
    return put;
  }
  std::vector<CheckpointTuple> Stored(const std::string& ns = "") {
    return Wait<std::vector<CheckpointTuple>>([&](auto done) {
      CheckpointQuery query;
      query.thread = "t";
      query.ns = ns;
      store_->List(std::move(query), std::move(done));
    });
  }
  // Whether the newest checkpoint has the channel as a piece.
  bool LastIsPiece(const std::string& channel, const std::string& ns = "") {
    const std::vector<CheckpointTuple> stored = Stored(ns);
    for (const SavedChannel& saved : stored.front().checkpoint.channels) {
      if (saved.channel == channel) return saved.appended_to != 0;
    }
    ADD_FAILURE() << "there is no channel " << channel;
    return false;
  }

  TempFolder folder_;
  std::unique_ptr<Checkpointer> store_;
  StateGraph builder_;
  Channel<Log, OneOrMany<std::string>> log_;
  Channel<MessageList<>, OneOrMany<Message>> messages_;
  Channel<int> count_;
  Channel<int> until_;
};

INSTANTIATE_TEST_SUITE_P(Stores, SavedPiecesTest,
                         testing::Values("memory", "file"),
                         [](const auto& store) { return store.param; });

TEST_P(SavedPiecesTest, WhatIsPutFollowsWhatIsAdded) {
  const Graph graph = MustCompile(builder_);
  Grow(graph, 300);
  for (const char* channel : {"log", "messages"}) {
    SCOPED_TRACE(channel);
    const Put put = PutOf(channel);
    EXPECT_THAT(put.pieces, Gt(280));
    EXPECT_THAT(put.wholes, Le(12));
    std::string whole;
    ASSERT_TRUE(State(graph).values.Find(channel)->Encode(&whole).ok());
    EXPECT_THAT(put.bytes, AllOf(Ge(whole.size()), Le(3 * whole.size())));
    EXPECT_THAT(put.last_whole, Ge(whole.size() / 2));
  }
}

TEST_P(SavedPiecesTest, RunsOfOneStepPutPiecesToo) {
  const Graph graph = MustCompile(builder_);
  for (int i = 1; i <= 60; ++i) {
    if (i % 20 == 0) Reopen();
    Grow(graph, i,
         {.durability = i % 3 == 0   ? Durability::kExit
                        : i % 3 == 1 ? Durability::kSync
                                     : Durability::kAsync});
  }
  for (const char* channel : {"log", "messages"}) {
    SCOPED_TRACE(channel);
    const Put put = PutOf(channel);
    EXPECT_THAT(put.wholes, Le(10));
    std::string whole;
    ASSERT_TRUE(State(graph).values.Find(channel)->Encode(&whole).ok());
    EXPECT_THAT(put.bytes, Le(3 * whole.size()));
  }
}

TEST_P(SavedPiecesTest, EachCheckpointHasItsOwnValue) {
  const Graph graph = MustCompile(builder_);
  Grow(graph, 50);
  const std::vector<StateSnapshot> history = History(graph);
  ASSERT_THAT(history, SizeIs(52));
  for (size_t i = 0; i < history.size(); ++i) {
    const int count = history[i].values.Get(count_);
    EXPECT_EQ(history[i].values.Get(log_), Texts(count));
    EXPECT_EQ(history[i].values.Get(messages_).size(),
              static_cast<size_t>(count));
    // By itself, too, and with those just before it.
    EXPECT_EQ(State(graph, history[i].ref).values.Get(log_), Texts(count));
    const std::vector<StateSnapshot> few =
        History(graph, {.before = history[i].ref.id, .limit = 2});
    for (size_t j = 0; j < few.size(); ++j) {
      EXPECT_EQ(few[j].values.Get(log_), history[i + 1 + j].values.Get(log_));
    }
  }
}

TEST_P(SavedPiecesTest, PiecesThatCheckpointsShareAreReadOnce) {
  const Graph graph = MustCompile(builder_);
  Grow(graph, 50);
  Counting<Checkpointer> counting(store_.get());
  StateOptions options = Thread();
  options.checkpointer = &counting;
  ASSERT_TRUE(graph.GetHistory(options).ok());
  EXPECT_EQ(counting.histories(), 0) << "the list has all of them";
  ASSERT_TRUE(graph.GetHistory(options, {.limit = 10}).ok());
  EXPECT_EQ(counting.histories(), 1);
  ASSERT_TRUE(graph.GetState(options).ok());
  EXPECT_EQ(counting.histories(), 2);
}

TEST_P(SavedPiecesTest, WhatIsNoAdditionIsPutWhole) {
  const Graph graph = MustCompile(builder_);
  Grow(graph, 20);
  const auto whole_and_then_a_piece = [&](const Update& update,
                                          const std::string& channel) {
    SCOPED_TRACE(channel);
    Change(graph, update);
    EXPECT_FALSE(LastIsPiece(channel));
    Change(graph, Update(log_, "one more")
                      .Set(messages_, Message{"user", "one more", ""}));
    EXPECT_TRUE(LastIsPiece(channel));
  };
  // As many as before, but one.
  Log other = Texts(19);
  other.Append("other");
  whole_and_then_a_piece(Overwrite(log_, other), "log");
  other.Append("one more");
  EXPECT_EQ(State(graph).values.Get(log_), other);

  whole_and_then_a_piece(Update(messages_, Message{"user", "new", "3"}),
                         "messages");
  EXPECT_EQ(State(graph).values.Get(messages_).Find("3")->content, "new");
  whole_and_then_a_piece(Update(messages_, RemoveMessage("4")), "messages");
  EXPECT_EQ(State(graph).values.Get(messages_).Find("4"), nullptr);
  whole_and_then_a_piece(Update(messages_, Message{"user", "last", "19"}),
                         "messages");
  const MessageList<> now = State(graph).values.Get(messages_);
  EXPECT_EQ(now.Find("19")->content, "last");
  EXPECT_EQ(now.size(), 19U + 4U);
  EXPECT_EQ(now.back().content, "one more");

  Change(graph, Overwrite(log_, Log()));
  EXPECT_THAT(State(graph).values.Get(log_), IsEmpty());
  Change(graph, Update(log_, "first"));
  EXPECT_EQ(State(graph).values.Get(log_), Log{"first"});
  EXPECT_EQ(History(graph).back().values.Get(log_), Log());
}

// As one does to ask a model with a list and something more.
TEST_P(SavedPiecesTest, NodesMayAppendToCopiesOfTheirOwn) {
  StateGraph builder;
  const auto log = builder.AddChannel("log", AppendLogChannel<std::string>());
  builder.AddNode("ask", [log](NodeContext& node) {
    Log own = node.Get(log);
    const auto size = static_cast<int>(own.size());
    own.Append("and now?");
    return Update(log, Text(size));
  });
  builder.AddEdge(kStart, "ask");
  builder.AddConditionalEdges("ask", [log](NodeContext& state) {
    return state.Get(log).size() < 100 ? Target("ask") : Target(kEnd);
  });
  const Graph graph = MustCompile(builder);
  const absl::StatusOr<RunResult> run = graph.Invoke(Update(), Saved());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(State(graph).values.Get(log), Texts(100));
  EXPECT_THAT(PutOf("log").wholes, Le(11));
}

TEST_P(SavedPiecesTest, BranchesGrowApart) {
  const Graph graph = MustCompile(builder_);
  Grow(graph, 30);
  std::map<CheckpointId, Log> expected;
  for (const StateSnapshot& state : History(graph)) {
    expected[state.ref.id] = state.values.Get(log_);
  }
  // Each from another place in the thread: by an update, and by a run.
  for (int at : {5, 17, 29, 30}) {
    for (const StateSnapshot& state : History(graph)) {
      if (state.values.Get(log_) != Texts(at)) continue;
      Log branch = Texts(at);
      branch.Append("branch");
      const CheckpointRef made =
          Change(graph, Update(log_, "branch"), state.ref);
      expected[made.id] = branch;
      const absl::StatusOr<RunResult> run =
          graph.Invoke(Input::Continue(), Saved({.from = made}));
      ASSERT_TRUE(run.ok()) << run.status();
      for (int i = at; i < 30 && run->Get(log_).size() > branch.size(); ++i) {
        branch.Append(Text(i));
      }
      EXPECT_EQ(run->Get(log_), branch);
      EXPECT_EQ(State(graph).values.Get(log_), branch);
      break;
    }
  }
  Reopen();
  size_t known = 0;
  for (const StateSnapshot& state : History(graph)) {
    if (!expected.contains(state.ref.id)) continue;
    ++known;
    EXPECT_EQ(state.values.Get(log_), expected[state.ref.id]);
  }
  EXPECT_EQ(known, expected.size());
}

TEST_P(SavedPiecesTest, CopiesAndWhatPruningLeavesStillLoad) {
  const Graph graph = MustCompile(builder_);
  Grow(graph, 29);
  ASSERT_TRUE(LastIsPiece("log"));
  WaitFor([&](auto done) { store_->CopyThread("t", "copy", std::move(done)); });
  WaitFor([&](auto done) {
    store_->Prune({"t"}, PruneMode::kKeepLatest, std::move(done));
  });
  EXPECT_THAT(History(graph), SizeIs(1));
  EXPECT_EQ(State(graph).values.Get(log_), Texts(29));
  Grow(graph, 31);
  EXPECT_TRUE(LastIsPiece("log"));
  Grow(graph, 33, {.thread_id = "copy"});
  WaitFor([&](auto done) { store_->DeleteThread("t", std::move(done)); });
  Grow(graph, 35, {.thread_id = "copy"});
}

TEST_P(SavedPiecesTest, GraphsInsidePutPiecesOfTheirOwn) {
  StateGraph inner;
  const auto own = inner.AddChannel("own", AppendLogChannel<std::string>());
  inner.SetInput({});
  inner.SetOutput({});
  inner.AddNode("note", [own](NodeContext& node) {
    const auto size = static_cast<int>(node.Get(own).size());
    return Update(own, Text(size));
  });
  inner.AddEdge(kStart, "note");
  StateGraph outer;
  (void)outer.AddChannel("count", LastValue<int>());
  const Graph remembering = MustCompile(inner, {.memory = Memory::kOfThread});
  outer.AddNode("inside", remembering);
  outer.AddEdge(kStart, "inside");
  const Graph graph = MustCompile(outer);
  for (int i = 0; i < 30; ++i) {
    const absl::StatusOr<RunResult> run = graph.Invoke(Update(), Saved());
    ASSERT_TRUE(run.ok()) << run.status();
  }
  const StateSnapshot state =
      State(graph, CheckpointRef{.thread_id = "t", .ns = "inside"});
  EXPECT_EQ(state.values.Get(own), Texts(30));
  const Put put = PutOf("own", "inside");
  EXPECT_THAT(put.pieces, Gt(15));
  EXPECT_THAT(put.bytes, Le(size_t{90} * (kTextBytes + 1)));
}

TEST_P(SavedPiecesTest, QuestionsDoNotKeepListsFromGrowing) {
  StateGraph builder;
  const auto log = builder.AddChannel("log", AppendLogChannel<std::string>());
  builder.AddNode("ask", [log](NodeContext& node) -> NodeResult {
    absl::StatusOr<std::string> answer = node.Interrupt<std::string>("?");
    if (!answer.ok()) return answer.status();
    return Update(log, Text(static_cast<int>(node.Get(log).size())));
  });
  builder.AddEdge(kStart, "ask");
  builder.AddEdge("ask", "ask");
  const Graph graph = MustCompile(builder);
  ASSERT_TRUE(graph.Invoke(Update(log, Text(0)), Saved()).ok());
  for (int i = 1; i < 30; ++i) {
    Reopen();
    const absl::StatusOr<RunResult> run =
        graph.Invoke(Input::Resume(Value("yes")), Saved());
    ASSERT_TRUE(run.ok()) << run.status();
    ASSERT_THAT(run->interrupts, SizeIs(1));
  }
  EXPECT_EQ(State(graph).values.Get(log), Texts(30));
  EXPECT_THAT(PutOf("log").wholes, Le(9));
}

TEST_P(SavedPiecesTest, OtherKindOfChannelSaysThatItCannotReadPieces) {
  Grow(MustCompile(builder_), 29);
  StateGraph builder;
  (void)builder.AddChannel("log", LastValue<std::vector<std::string>>());
  builder.AddNode("add", Idle());
  builder.AddEdge(kStart, "add");
  EXPECT_THAT(MustCompile(builder).GetState(Thread()).status(),
              IsError(ErrorKind::kNone, absl::StatusCode::kDataLoss,
                      {"'log'", "in pieces", "LastValue"}));
}

// A whole value costs this store nothing.
TEST(SavedPiecesInMemoryTest, SharedValuesAreWhole) {
  StateGraph builder;
  const auto log = builder.AddChannel("log", AppendLogChannel<std::string>());
  builder.AddNode("add", [log](NodeContext&) { return Update(log, Text(0)); });
  builder.AddEdge(kStart, "add");
  const Graph graph = MustCompile(builder);
  MemoryCheckpointer store;
  for (int i = 0; i < 20; ++i) {
    MustInvoke(graph, Update(), {.thread_id = "t", .checkpointer = &store});
  }
  store.List({.thread = "t"},
             [](absl::StatusOr<std::vector<CheckpointTuple>> list) {
               ASSERT_TRUE(list.ok());
               for (const CheckpointTuple& tuple : *list) {
                 for (const SavedChannel& saved : tuple.checkpoint.channels) {
                   EXPECT_EQ(saved.appended_to, 0U);
                   EXPECT_NE(saved.value.shared(), nullptr);
                 }
               }
             });
}

}  // namespace
}  // namespace weir
