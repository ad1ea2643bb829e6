#include "weir/runtime/stored_run.h"

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/support/graph_run.h"

#include "weir/channels/append_log.h"
#include "weir/channels/messages.h"
#include "weir/channels/record_codec.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/run_stream.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

namespace weir {

// A type that only its graph knows.
struct Postcard {
  std::string to;
  int grams = 0;
};

template <>
struct Codec<Postcard> : RecordCodec<Postcard> {
  static constexpr auto Fields() {
    return std::tuple(RecordField("to", &Postcard::to),
                      RecordField("grams", &Postcard::grams));
  }
};

// What a Runtime stores, read without its graph.
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

template <class T, class Call>
T Wait(Call call) {
  absl::Notification given;
  absl::StatusOr<T> result;
  call([&](absl::StatusOr<T> answer) {
    result = std::move(answer);
    given.Notify();
  });
  given.WaitForNotification();
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : T();
}

std::string TextOf(const Event& event) {
  std::ostringstream text;
  text << event.id() << " " << event;
  for (const NamespaceLevel& level : event.ns()) {
    text << " in " << level.node << ":" << level.task_id;
  }
  return text.str();
}

class StoredRunTest : public testing::Test {
 protected:
  StoredRunTest() {
    absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> opened =
        SqliteCheckpointer::Open(folder_.File("runs.db"));
    EXPECT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    Reopen();
  }

  // Goes on with a Runtime that knows what is stored.
  void Reopen() {
    runtime_ = nullptr;
    runtime_ = std::make_unique<Runtime>(
        RuntimeOptions{.executor = &executor_, .checkpointer = store_.get()});
    EXPECT_TRUE(runtime_->Register("graph", MustCompile(Outer())).ok());
  }

  // Writes, emits, has a graph inside, and asks.
  static StateGraph Outer() {
    StateGraph inner;
    const auto words =
        inner.AddChannel("words", AppendLogChannel<std::string>());
    inner.AddNode("say", [words](NodeContext& node) {
      node.Emit(7);
      return Update(words, "hello");
    });
    inner.AddEdge(kStart, "say");
    StateGraph outer;
    outer.AddType<Postcard>();
    outer.AddChannel("words", AppendLogChannel<std::string>());
    const auto sends = outer.AddChannel("sends", LastValue<bool>());
    const auto talk = outer.AddChannel("talk", Messages());
    outer.AddNode("inside", MustCompile(inner));
    outer.AddNode("talk", [=](NodeContext& node) -> NodeResult {
      if (node.Get(sends)) node.Emit(Postcard{"ann", 5});
      const absl::StatusOr<std::string> answer =
          node.Interrupt<std::string>("well?");
      if (!answer.ok()) return answer.status();
      return Update(talk, Message{"user", *answer, "1"});
    });
    outer.AddEdge(kStart, "inside");
    outer.AddEdge("inside", "talk");
    return outer;
  }

  RunInfo Run(Input input) {
    absl::StatusOr<RunInfo> run =
        runtime_->StartRun("thread", "graph", std::move(input),
                           {.modes = kValues | kUpdates | kCustom | kTasks |
                                     kCheckpoints | kDebug | kMessages,
                            .subgraphs = true,
                            .metadata = {{"user", "\"ann\""}},
                            .resumable = true,
                            .if_not_exists = IfNotExists::kCreate});
    EXPECT_TRUE(run.ok()) << run.status();
    if (!run.ok()) return RunInfo();
    EXPECT_TRUE(runtime_->Join("thread", run->id).ok());
    return *std::move(runtime_->GetRun("thread", run->id));
  }
  std::vector<EventRow> RowsOf(const RunInfo& run) {
    return Wait<std::vector<EventRow>>([&](auto done) {
      store_->runs()->ListEvents(run.id, 0, std::move(done));
    });
  }
  std::vector<std::string> Described(const RunInfo& run) {
    std::vector<std::string> lines;
    for (const EventRow& row : RowsOf(run)) {
      const absl::StatusOr<std::vector<Event>> events = DescribeEvents(row);
      EXPECT_TRUE(events.ok()) << events.status();
      if (!events.ok()) return lines;
      for (const Event& event : *events) lines.push_back(TextOf(event));
    }
    return lines;
  }
  std::vector<std::string> Streamed(const RunInfo& run) {
    absl::StatusOr<RunStream> stream =
        runtime_->JoinStream("thread", run.id, {.last_event_id = -1});
    EXPECT_TRUE(stream.ok()) << stream.status();
    std::vector<std::string> lines;
    while (const Event* event = stream->TryNext()) {
      lines.push_back(TextOf(*event));
    }
    return lines;
  }

  TempFolder folder_;
  InlineExecutor executor_;
  std::unique_ptr<SqliteCheckpointer> store_;
  std::unique_ptr<Runtime> runtime_;
};

TEST_F(StoredRunTest, EventsAreThoseThatReadersGet) {
  const RunInfo asks = Run(Update());
  const RunInfo ends = Run(Input::Resume(Value("fine")));
  for (const RunInfo& run : {asks, ends}) {
    const std::vector<std::string> lines = Described(run);
    EXPECT_GT(lines.size(), 10);
    EXPECT_EQ(lines, Streamed(run));
  }
  EXPECT_THAT(Described(asks), Contains(HasSubstr("custom   7 in inside:")));
  EXPECT_THAT(Described(asks), Contains(HasSubstr("well?")));
  EXPECT_THAT(Described(ends), Contains(HasSubstr("{\"role\": \"user\"")));
}

TEST_F(StoredRunTest, RunsAndThreadsAreThoseThatTheRuntimeShows) {
  const RunId id = Run(Update()).id;
  Reopen();
  const RunInfo run = *runtime_->GetRun("thread", id);
  const auto row = Wait<std::optional<RunRow>>(
      [&](auto done) { store_->runs()->GetRun(run.id, std::move(done)); });
  ASSERT_TRUE(row.has_value());
  const absl::StatusOr<RunInfo> described = DescribeRun(*row);
  ASSERT_TRUE(described.ok()) << described.status();
  EXPECT_EQ(described->ToJson(), run.ToJson());

  const auto threads = Wait<std::vector<ThreadRow>>(
      [&](auto done) { store_->runs()->ListThreads(std::move(done)); });
  ASSERT_EQ(threads.size(), 1);
  const absl::StatusOr<ThreadInfo> thread = DescribeThread(threads[0]);
  ASSERT_TRUE(thread.ok()) << thread.status();
  ThreadInfo shown = *runtime_->GetThread("thread");
  EXPECT_EQ(thread->status, ThreadStatus::kInterrupted);
  shown.values = Values();
  shown.interrupts.clear();
  EXPECT_EQ(thread->ToJson(), shown.ToJson());
}

TEST_F(StoredRunTest, ValuesOfOtherTypesAreOpaque) {
  const RunInfo run = Run(Update().Set("sends", Value(true)));
  std::vector<OpaqueValue> found;
  for (const EventRow& row : RowsOf(run)) {
    const absl::StatusOr<std::vector<Event>> events = DescribeEvents(row);
    ASSERT_TRUE(events.ok()) << events.status();
    for (const Event& event : *events) {
      const auto* custom = event.As<CustomValue>();
      if (custom == nullptr) continue;
      const auto* opaque = custom->value.As<OpaqueValue>();
      if (opaque == nullptr) continue;
      found.push_back(*opaque);
      EXPECT_EQ(event.ToJson(),
                absl::StrCat("{\"$type\": \"", opaque->type, "\"}"));
    }
  }
  ASSERT_EQ(found.size(), 1);
  EXPECT_THAT(found[0].type, HasSubstr("Postcard"));
  std::string bytes;
  Codec<Postcard>::Encode(Postcard{"ann", 5}, &bytes);
  EXPECT_EQ(found[0].bytes, bytes);
}

void ExpectRefused(const absl::Status& status, const std::string& what) {
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(what));
}

TEST_F(StoredRunTest, RowsThatAreCutOffAreRefused) {
  const RunInfo run = Run(Update());
  const auto whole = Wait<std::optional<ThreadRows>>(
      [&](auto done) { store_->runs()->GetThread("thread", std::move(done)); });
  ASSERT_TRUE(whole.has_value());
  const auto cut = [](auto row, size_t size) {
    row.record.resize(size);
    return row;
  };
  const RunRow& row = whole->runs[0];
  for (size_t i = 0; i < row.record.size(); ++i) {
    ExpectRefused(DescribeRun(cut(row, i)).status(), run.id);
  }
  const ThreadRow& thread = whole->thread;
  for (size_t i = 0; i < thread.record.size(); ++i) {
    ExpectRefused(DescribeThread(cut(thread, i)).status(), "'thread'");
  }
  for (const EventRow& events : RowsOf(run)) {
    for (size_t i = 0; i < events.record.size(); ++i) {
      ExpectRefused(DescribeEvents(cut(events, i)).status(), run.id);
    }
    EventRow other = events;
    ++other.count;
    ExpectRefused(DescribeEvents(other).status(), run.id);
  }
}

// What is read of any bytes can be shown, or is refused as damage, or as that
// of a later weir.
TEST_F(StoredRunTest, AnyBytesAreShownOrRefused) {
  const RunInfo run = Run(Update().Set("sends", Value(true)));
  const auto whole = Wait<std::optional<ThreadRows>>(
      [&](auto done) { store_->runs()->GetThread("thread", std::move(done)); });
  ASSERT_TRUE(whole.has_value());
  size_t shown = 0, refused = 0;
  const auto judge = [&](const auto& described, const auto& show) {
    if (described.ok()) {
      show(*described);
      ++shown;
    } else {
      EXPECT_TRUE(absl::IsDataLoss(described.status()) ||
                  absl::IsFailedPrecondition(described.status()))
          << described.status();
      ++refused;
    }
  };
  const auto each = [&](auto row, const auto& describe, const auto& show) {
    for (size_t i = 0; i < row.record.size(); ++i) {
      for (const char other : {'\x00', '\x01', '\x05', '\x7f', '\xff'}) {
        const char before = std::exchange(row.record[i], other);
        judge(describe(row), show);
        row.record[i] = before;
      }
    }
  };
  const auto to_json = [](const auto& info) {
    EXPECT_THAT(info.ToJson(), Not(IsEmpty()));
  };
  each(whole->runs[0], DescribeRun, to_json);
  each(whole->thread, DescribeThread, to_json);
  for (const EventRow& row : RowsOf(run)) {
    each(row, DescribeEvents, [](const std::vector<Event>& events) {
      for (const Event& event : events) {
        EXPECT_THAT(TextOf(event), Not(IsEmpty()));
      }
    });
  }
  EXPECT_GT(shown, 100);
  EXPECT_GT(refused, 100);
}

TEST_F(StoredRunTest, WhatALaterWeirHasStoredIsRefusedAsSuch) {
  const RunInfo run = Run(Update());
  for (EventRow row : RowsOf(run)) {
    row.record[0] = '\x7f';
    EXPECT_TRUE(absl::IsFailedPrecondition(DescribeEvents(row).status()));
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(
      DescribeRun({.run = "r", .thread = "t", .record = "\x7f"}).status()));
}

}  // namespace
}  // namespace weir
