// What does a thread cost that is saved in a file? A loop of supersteps each of
// which appends a message of 100 bytes, which must cost what is added, in time
// and in the file, and not what the list has grown to. Compared with the same
// states as rows of a plain SQLite database that hold the whole list each, as
// stores without pieces keep them. And many runs at once that each wait for the
// disk at every superstep, whose checkpoints are to share its synchronisations:
// compared with the same store told not to let them. And what a new Runtime
// takes to find the runs that another has left: compared with a look at their
// rows.
//
// `state_x`: bytes of the file for each byte of the final list, whose messages
// are a letter over and over, or random letters, which compression can only
// make 0.6 of. `value_x`: bytes that were put of the list alone for each.
// `syncs`: synchronisations of
// the disk for each checkpoint.

#include <sqlite3.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bench/support/check.h"
#include "bench/support/disk_file.h"
#include "bench/support/stopwatch.h"
#include "benchmark/benchmark.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/checkpointer.h"
#include "weir/checkpoint/run_store.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace weir {
namespace {

using Log = AppendLog<std::string>;

// A loop that appends `bytes` in each of `steps` supersteps, to a log or to a
// list of messages; or puts so many in the place of those before.
struct LoopGraph {
  enum class Writes { kLog, kMessages, kValue };

  StateGraph builder;
  Channel<int> counter = builder.AddChannel("counter", LastValue<int>());
  Channel<Log, OneOrMany<std::string>> log =
      builder.AddChannel("log", AppendLogChannel<std::string>());
  Channel<MessageList<>, OneOrMany<Message>> messages =
      builder.AddChannel("messages", Messages());
  Channel<std::string> value =
      builder.AddChannel("value", LastValue<std::string>());

  enum class Text { kOneLetter, kLetters };
  static std::string TextOf(Text text, size_t bytes, int count) {
    std::string letters(bytes, static_cast<char>('a' + count % 26));
    if (text == Text::kOneLetter) return letters;
    std::minstd_rand random(static_cast<uint32_t>(count));
    for (char& letter : letters) {
      letter = static_cast<char>('a' + random() % 26);
    }
    return letters;
  }

  absl::StatusOr<Graph> Compile(Writes writes, int steps, size_t bytes,
                                Text of = Text::kOneLetter) {
    const auto body = [this, writes, bytes, of](NodeContext& node) {
      const int count = node.Get(counter) + 1;
      Update update(counter, count);
      std::string text = TextOf(of, bytes, count);
      if (writes == Writes::kLog)
        return std::move(update).Set(log, std::move(text));
      if (writes == Writes::kValue)
        return std::move(update).Set(value, std::move(text));
      return std::move(update).Set(messages,
                                   Message{"user", std::move(text), ""});
    };
    const NodeId loop = builder.AddNode("loop", body);
    builder.AddEdge(kStart, loop);
    builder.AddConditionalEdges(
        loop,
        [counter = counter, steps, loop](NodeContext& state) {
          return state.Get(counter) < steps ? Target(loop) : Target(kEnd);
        },
        {.destinations = {{loop, kEnd}}});
    return builder.Compile();
  }
};

std::unique_ptr<SqliteCheckpointer> OpenStore(benchmark::State& state,
                                              const DiskFolder& folder,
                                              SqliteOptions options = {}) {
  (void)SyncCount::Get();
  options.vfs = SyncCount::kName;
  absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> store =
      SqliteCheckpointer::Open(folder.File("threads.db"), std::move(options));
  return Succeeded(state, store) ? *std::move(store) : nullptr;
}

// The bytes that were put of a channel, each version once.
int64_t BytesPut(SqliteCheckpointer& store, const std::string& channel) {
  int64_t bytes = 0;
  absl::Notification done;
  store.List({.thread = "t"},
             [&](absl::StatusOr<std::vector<CheckpointTuple>> list) {
               std::set<uint64_t> versions;
               for (const CheckpointTuple& tuple : *list) {
                 for (const SavedChannel& saved : tuple.checkpoint.channels) {
                   if (saved.channel != channel || !saved.value.has_value() ||
                       !versions.insert(saved.version).second) {
                     continue;
                   }
                   bytes += static_cast<int64_t>(saved.value.bytes()->size());
                 }
               }
               done.Notify();
             });
  done.WaitForNotification();
  return bytes;
}

int64_t EncodedBytes(const Value& value) {
  std::string bytes;
  return value.Encode(&bytes).ok() ? static_cast<int64_t>(bytes.size()) : 0;
}

void AppendLoop(benchmark::State& state, LoopGraph::Writes writes,
                Durability durability, int lag, int steps, size_t bytes,
                LoopGraph::Text text = LoopGraph::Text::kOneLetter) {
  LoopGraph of;
  const absl::StatusOr<Graph> graph = of.Compile(writes, steps, bytes, text);
  if (!Succeeded(state, graph)) return;
  const std::string channel =
      writes == LoopGraph::Writes::kLog ? "log" : "messages";
  double own = 0;
  double loading = 0;
  double listing = 0;
  int64_t written = 0;
  int64_t syncs = 0;
  int64_t put = 0;
  int64_t final_bytes = 0;
  int64_t file_bytes = 0;
  for (auto _ : state) {
    const DiskFolder folder;
    std::unique_ptr<SqliteCheckpointer> store = OpenStore(state, folder);
    if (store == nullptr) return;
    const int64_t syncs_before = SyncCount::Get().syncs();
    const double own_before = OwnSeconds();
    absl::StatusOr<Values> result;
    state.SetIterationTime(Seconds([&] {
      result = graph->Invoke(Update(), {.recursion_limit = steps + 2,
                                        .thread_id = "t",
                                        .checkpointer = store.get(),
                                        .durability = durability,
                                        .max_async_lag = lag});
    }));
    own += OwnSeconds() - own_before;
    syncs += SyncCount::Get().syncs() - syncs_before;
    if (!Holds(state, result, of.counter, steps)) return;
    final_bytes = EncodedBytes(*result->Find(channel));
    written += static_cast<int64_t>(store->counters().bytes_written);
    put = BytesPut(*store, channel);
    absl::StatusOr<std::vector<StateSnapshot>> history;
    listing += Seconds([&] {
      history = graph->GetHistory(
          {.checkpointer = store.get(), .thread_id = "t"}, {.limit = 1'000});
    });
    if (!Succeeded(state, history)) return;
    store = nullptr;
    file_bytes = folder.bytes();
    // As the next process finds the thread.
    store = OpenStore(state, folder);
    if (store == nullptr) return;
    absl::StatusOr<StateSnapshot> found;
    loading += Seconds([&] {
      found = graph->GetState({.checkpointer = store.get(), .thread_id = "t"});
    });
    if (!Succeeded(state, found)) return;
    if (!Equal(state, EncodedBytes(*found->values.Find(channel)),
               final_bytes)) {
      return;
    }
  }
  const auto runs = static_cast<double>(state.iterations());
  const auto bytes_of_state = static_cast<double>(final_bytes);
  state.counters["per_superstep"] = TimePer(steps);
  state.counters["own_us_per_superstep"] = 1e6 * own / runs / steps;
  state.counters["load_ms"] = 1e3 * loading / runs;
  state.counters["history_ms"] = 1e3 * listing / runs;
  state.counters["written_x"] =
      static_cast<double>(written) / runs / bytes_of_state;
  state.counters["syncs"] = static_cast<double>(syncs) / runs / steps;
  state.counters["value_x"] = static_cast<double>(put) / bytes_of_state;
  state.counters["state_x"] = static_cast<double>(file_bytes) / bytes_of_state;
  state.counters["file_kB"] = static_cast<double>(file_bytes) / 1e3;
}

void BM_Sqlite_AppendLoop(benchmark::State& state) {
  AppendLoop(state, LoopGraph::Writes::kLog,
             static_cast<Durability>(state.range(2)),
             static_cast<int>(state.range(3)), static_cast<int>(state.range(0)),
             static_cast<size_t>(state.range(1)));
}
BENCHMARK(BM_Sqlite_AppendLoop)
    ->ArgNames({"steps", "bytes", "durability", "lag"})
    ->Args({1'000, 100, static_cast<int>(Durability::kSync), 1})
    ->Args({1'000, 100, static_cast<int>(Durability::kAsync), 1})
    ->Args({1'000, 100, static_cast<int>(Durability::kAsync), 16})
    ->Args({1'000, 100, static_cast<int>(Durability::kAsync), 256})
    ->Args({10'000, 200, static_cast<int>(Durability::kAsync), 1})
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime();

void BM_Sqlite_AppendLetters(benchmark::State& state) {
  AppendLoop(state, LoopGraph::Writes::kLog, Durability::kAsync, 1,
             static_cast<int>(state.range(0)),
             static_cast<size_t>(state.range(1)), LoopGraph::Text::kLetters);
}
BENCHMARK(BM_Sqlite_AppendLetters)
    ->ArgNames({"steps", "bytes"})
    ->Args({1'000, 100})
    ->Args({10'000, 200})
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime();

void BM_Sqlite_MessageLoop(benchmark::State& state) {
  AppendLoop(state, LoopGraph::Writes::kMessages, Durability::kAsync, 1,
             static_cast<int>(state.range(0)), 100);
}
BENCHMARK(BM_Sqlite_MessageLoop)
    ->ArgName("steps")
    ->Arg(1'000)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime();

// The states of AppendLoop() as a table of whole states, and one of writes, a
// transaction for each superstep: with nothing beside them that weir keeps.
class PlainRows {
 public:
  explicit PlainRows(const std::string& path) {
    sqlite3_open_v2(path.c_str(), &db_,
                    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    Run("PRAGMA journal_mode=WAL");
    Run("PRAGMA synchronous=FULL");
    Run("CREATE TABLE checkpoint(thread TEXT, id INTEGER, state BLOB,"
        " PRIMARY KEY(thread, id))");
    Run("CREATE TABLE task_write(thread TEXT, id INTEGER, task TEXT,"
        " value BLOB, PRIMARY KEY(thread, id, task))");
    sqlite3_prepare_v2(db_, "INSERT INTO checkpoint VALUES('t',?1,?2)", -1,
                       &put_, nullptr);
    sqlite3_prepare_v2(db_, "INSERT INTO task_write VALUES('t',?1,'task',?2)",
                       -1, &put_write_, nullptr);
  }
  ~PlainRows() {
    sqlite3_finalize(put_);
    sqlite3_finalize(put_write_);
    sqlite3_close(db_);
  }
  PlainRows(const PlainRows&) = delete;
  PlainRows& operator=(const PlainRows&) = delete;

  bool Put(int id, const std::string& state, const std::string& write) {
    return Run("BEGIN") && Insert(put_, id, state) &&
           Insert(put_write_, id, write) && Run("COMMIT");
  }

 private:
  bool Run(const char* sql) {
    return sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  static bool Insert(sqlite3_stmt* insert, int id, const std::string& bytes) {
    sqlite3_bind_int(insert, 1, id);
    sqlite3_bind_blob(insert, 2, bytes.data(), static_cast<int>(bytes.size()),
                      SQLITE_STATIC);
    const int code = sqlite3_step(insert);
    sqlite3_reset(insert);
    return code == SQLITE_DONE;
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt* put_ = nullptr;
  sqlite3_stmt* put_write_ = nullptr;
};

void BM_PlainRows_AppendLoop(benchmark::State& state) {
  const auto steps = static_cast<int>(state.range(0));
  int64_t final_bytes = 0;
  int64_t file_bytes = 0;
  for (auto _ : state) {
    const DiskFolder folder;
    std::vector<std::string> list;
    auto rows = std::make_unique<PlainRows>(folder.File("rows.db"));
    bool ok = true;
    state.SetIterationTime(Seconds([&] {
      for (int step = 0; ok && step < steps; ++step) {
        list.emplace_back(100, 'x');
        std::string whole;
        std::string write;
        Codec<std::vector<std::string>>::Encode(list, &whole);
        Codec<std::string>::Encode(list.back(), &write);
        ok = rows->Put(step, whole, write);
      }
    }));
    if (!Equal(state, ok ? 1 : 0, 1)) return;
    rows = nullptr;
    std::string whole;
    Codec<std::vector<std::string>>::Encode(list, &whole);
    final_bytes = static_cast<int64_t>(whole.size());
    file_bytes = folder.bytes();
  }
  state.counters["per_superstep"] = TimePer(steps);
  state.counters["state_x"] =
      static_cast<double>(file_bytes) / static_cast<double>(final_bytes);
  state.counters["file_kB"] = static_cast<double>(file_bytes) / 1e3;
}
BENCHMARK(BM_PlainRows_AppendLoop)
    ->ArgName("steps")
    ->Arg(1'000)
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime();

// Runs at once, each of so many supersteps that replace 2 kB and wait for the
// disk. The time of one checkpoint of all.
void BM_Sqlite_SyncRuns(benchmark::State& state) {
  const auto runs = static_cast<int>(state.range(0));
  const auto batch = static_cast<size_t>(state.range(1));
  const int steps = std::max(10, 640 / runs) / (batch == 1 ? 5 : 1);
  LoopGraph of;
  const absl::StatusOr<Graph> graph =
      of.Compile(LoopGraph::Writes::kValue, steps, 2'000);
  if (!Succeeded(state, graph)) return;
  TbbExecutor executor(2);
  int64_t syncs = 0;
  const int64_t checkpoints = int64_t{runs} * (steps + 2);
  for (auto _ : state) {
    const DiskFolder folder;
    const std::unique_ptr<SqliteCheckpointer> store =
        OpenStore(state, folder, {.max_batch_calls = batch});
    if (store == nullptr) return;
    const int64_t before = SyncCount::Get().syncs();
    std::vector<absl::StatusOr<RunResult>> results(static_cast<size_t>(runs));
    absl::BlockingCounter left(runs);
    state.SetIterationTime(Seconds([&] {
      for (int i = 0; i < runs; ++i) {
        graph->Invoke(Update(),
                      {.executor = &executor,
                       .thread_id = absl::StrCat("t", i),
                       .checkpointer = store.get(),
                       .durability = Durability::kSync},
                      [&results, &left, i](absl::StatusOr<RunResult> result) {
                        results[static_cast<size_t>(i)] = std::move(result);
                        left.DecrementCount();
                      });
      }
      left.Wait();
    }));
    syncs += SyncCount::Get().syncs() - before;
    for (const absl::StatusOr<RunResult>& result : results) {
      if (!Succeeded(state, result)) return;
      if (!Equal(state, result->Get(of.counter), steps)) return;
    }
  }
  state.counters["per_checkpoint"] = TimePer(checkpoints);
  state.counters["syncs"] = static_cast<double>(syncs) /
                            static_cast<double>(state.iterations()) /
                            static_cast<double>(checkpoints);
}
BENCHMARK(BM_Sqlite_SyncRuns)
    ->ArgNames({"runs", "batch"})
    ->Args({1, 256})
    ->Args({64, 1})
    ->Args({64, 256})
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime();

// Threads with an unfinished run each: one that waits in its node, or one that
// has not begun.
class LeftRuns {
 public:
  LeftRuns(int threads, bool begun, bool resumable)
      : threads_(threads), begun_(begun) {
    builder_.AddNode("wait", [this](NodeContext& node) -> Task<NodeResult> {
      waiting_->DecrementCount();
      co_return co_await node.Sleep(absl::Hours(1));
    });
    builder_.AddEdge(kStart, "wait");
    const Found first(*this);
    absl::BlockingCounter left(threads);
    for (int i = 0; i < threads; ++i) {
      first.runtime->StartRun(
          absl::StrCat("thread-", i), "job",
          Update(job_, std::string(200, 'x')),
          {.durability = Durability::kSync,
           .resumable = resumable,
           .if_not_exists = IfNotExists::kCreate,
           .after = begun ? absl::ZeroDuration() : absl::Hours(1)},
          [&left](const absl::StatusOr<RunInfo>&) { left.DecrementCount(); });
    }
    left.Wait();
    if (begun) waiting_->Wait();
  }

  // A Runtime that finds them.
  struct Found {
    explicit Found(LeftRuns& of)
        : store(*SqliteCheckpointer::Open(of.folder_.File("threads.db"))) {
      of.waiting_.emplace(of.threads_);
      runtime = std::make_unique<Runtime>(RuntimeOptions{
          .checkpointer = store.get(),
          .on_recover = [this](const RunInfo&, StartOptions&) { ++runs; }});
      seconds = Seconds(
          [&] { status = runtime->Register("job", *of.builder_.Compile()); });
      if (runs > 0 && of.begun_) of.waiting_->Wait();
    }

    std::unique_ptr<SqliteCheckpointer> store;
    std::unique_ptr<Runtime> runtime;
    absl::Status status;
    int64_t runs = 0;
    double seconds = 0;
  };

 private:
  const DiskFolder folder_;
  const int threads_;
  const bool begun_;
  StateGraph builder_;
  const Channel<std::string> job_ =
      builder_.AddChannel("job", LastValue<std::string>());
  std::optional<absl::BlockingCounter> waiting_;
};

void BM_Sqlite_Recover(benchmark::State& state) {
  const auto threads = static_cast<int>(state.range(0));
  LeftRuns left(threads, state.range(1) != 0, state.range(2) != 0);
  for (auto _ : state) {
    const LeftRuns::Found found(left);
    state.SetIterationTime(found.seconds);
    if (!found.status.ok()) {
      state.SkipWithError(found.status.ToString().c_str());
    }
    if (!Equal(state, found.runs, threads)) return;
  }
  state.counters["per_run"] = TimePer(threads);
}
BENCHMARK(BM_Sqlite_Recover)
    ->ArgNames({"threads", "begun", "resumable"})
    ->ArgsProduct({{10'000}, {0, 1}, {0, 1}})
    ->Unit(benchmark::kMillisecond)
    ->Iterations(5)
    ->UseManualTime();

void BM_Sqlite_ListUnfinished(benchmark::State& state) {
  const auto threads = static_cast<int>(state.range(0));
  LeftRuns left(threads, /*begun=*/false, /*resumable=*/false);
  const LeftRuns::Found found(left);
  for (auto _ : state) {
    absl::Notification done;
    int64_t runs = 0;
    found.store->runs()->ListUnfinished([&](const auto& rows) {
      if (rows.ok()) runs = static_cast<int64_t>(rows->size());
      done.Notify();
    });
    done.WaitForNotification();
    if (!Equal(state, runs, threads)) return;
  }
  state.counters["per_run"] = TimePer(threads);
}
BENCHMARK(BM_Sqlite_ListUnfinished)
    ->ArgName("threads")
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace weir
