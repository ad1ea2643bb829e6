// Does what a store in a file is asked depend on how much it has? The latest
// checkpoint of a thread, ten and a thousand of them, and one more, of threads
// with a state of 64 KiB of which little changes and with 100, 10,000 and
// 100,000 checkpoints, all in one file. Compared with each other. And do other
// processes that read the file slow its writer? Compared with none, and with
// some that read another file, which take as much of the machine.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bench/support/check.h"
#include "bench/support/disk_file.h"
#include "bench/support/stopwatch.h"
#include "benchmark/benchmark.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/checkpointer.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

namespace weir {
namespace {

constexpr size_t kStateBytes = size_t{64} << 10;

// The result of an asynchronous call.
template <class T, class Call>
absl::StatusOr<T> Await(Call call) {
  absl::StatusOr<T> result;
  absl::Notification done;
  call([&](absl::StatusOr<T> given) {
    result = std::move(given);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

// A file of threads, each made when it is first asked for.
class Threads {
 public:
  explicit Threads(std::string path)
      : store_(*SqliteCheckpointer::Open(std::move(path))) {}

  static Threads& Get() {
    static const DiskFolder folder;
    static Threads threads(folder.File("threads.db"));
    return threads;
  }

  SqliteCheckpointer& store() { return *store_; }
  // The name of one with that many checkpoints.
  std::string WithHistory(int64_t checkpoints) {
    std::string name = absl::StrCat(checkpoints);
    Made& made = made_[name];
    if (made.last.has_value()) return name;
    made.fence =
        Await<ThreadLease>([&](auto done) { store_->Open(name, done); })->fence;
    while (made.last.sequence < static_cast<uint64_t>(checkpoints)) Put(name);
    (void)Flush();
    return name;
  }
  // One checkpoint more.
  void Put(const std::string& thread) {
    Made& made = made_[thread];
    const uint64_t step = made.last.sequence + 1;
    NewCheckpoint put;
    put.base = made.last;
    put.checkpoint.id = {step, step};
    put.checkpoint.parent = made.last;
    put.checkpoint.metadata.source = "loop";
    put.checkpoint.metadata.step = static_cast<int64_t>(step);
    put.checkpoint.channels.push_back(
        {"counter", step, 0, SavedValue::FromBytes(absl::StrCat(step))});
    if (step == 1) {
      put.checkpoint.channels.push_back(
          {"state", step, 0,
           SavedValue::FromBytes(std::string(kStateBytes, 'x'))});
    }
    made.last = put.checkpoint.id;
    store_->Put(made.fence, std::move(put), [](const absl::Status&) {});
  }
  absl::Status Flush() {
    return Await<int>([this](auto done) {
             store_->Flush([done](absl::Status s) mutable {
               done(s.ok() ? absl::StatusOr<int>(0) : s);
             });
           })
        .status();
  }

 private:
  struct Made {
    Fence fence;
    CheckpointId last;
  };

  const std::unique_ptr<SqliteCheckpointer> store_;
  std::map<std::string, Made> made_;
};

void BM_Sqlite_GetLatest(benchmark::State& state) {
  const std::string thread = Threads::Get().WithHistory(state.range(0));
  using Found = std::optional<CheckpointTuple>;
  for (auto _ : state) {
    const absl::StatusOr<Found> found = Await<Found>([&](auto done) {
      Threads::Get().store().Get({.thread = thread}, done);
    });
    if (!Succeeded(state, found)) return;
    if (!Equal(state,
               static_cast<int64_t>((*found)->checkpoint.channels.size()), 2)) {
      return;
    }
  }
}

void List(benchmark::State& state, size_t limit) {
  const std::string thread = Threads::Get().WithHistory(state.range(0));
  using Found = std::vector<CheckpointTuple>;
  for (auto _ : state) {
    const absl::StatusOr<Found> found = Await<Found>([&](auto done) {
      CheckpointQuery query;
      query.thread = thread;
      query.limit = limit;
      Threads::Get().store().List(std::move(query), done);
    });
    if (!Succeeded(state, found)) return;
    const auto want =
        std::min(static_cast<int64_t>(limit), int64_t{state.range(0)});
    if (!Equal(state, static_cast<int64_t>(found->size()), want)) return;
  }
}
void BM_Sqlite_ListTen(benchmark::State& state) { List(state, 10); }
void BM_Sqlite_ListThousand(benchmark::State& state) { List(state, 1'000); }

// Without the disk's synchronisation, which many share.
void BM_Sqlite_PutInBatch(benchmark::State& state) {
  constexpr int kBatch = 256;
  Threads& threads = Threads::Get();
  const std::string thread = threads.WithHistory(state.range(0));
  for (auto _ : state) {
    for (int i = 0; i < kBatch; ++i) threads.Put(thread);
    const absl::Status done = threads.Flush();
    if (!done.ok()) state.SkipWithError(done.ToString().c_str());
  }
  state.counters["per_checkpoint"] = TimePer(kBatch);
}

// Another process that reads the latest checkpoint of "100" again and again.
// To be made while this one does not have the file open.
class ReadingProcess {
 public:
  ReadingProcess(const std::string& path, absl::Duration pause) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) Read(path, pause, ends[1]);
    close(ends[1]);
    ready_ = ends[0];
  }
  ~ReadingProcess() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(ready_);
  }
  ReadingProcess(const ReadingProcess&) = delete;
  ReadingProcess& operator=(const ReadingProcess&) = delete;

  // Whether it has read something.
  bool IsReading() const {
    char byte = 0;
    return read(ready_, &byte, 1) == 1;
  }

 private:
  [[noreturn]] static void Read(const std::string& path, absl::Duration pause,
                                int ready) {
    absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> store;
    using Found = std::optional<CheckpointTuple>;
    for (bool told = false;; absl::SleepFor(pause)) {
      if (!store.ok() || *store == nullptr) {
        store = SqliteCheckpointer::Open(path, {.read_only = true});
        continue;
      }
      const absl::StatusOr<Found> found = Await<Found>(
          [&](auto done) { (*store)->Get({.thread = "100"}, done); });
      if (!found.ok() || !found->has_value()) continue;
      if (!std::exchange(told, true) && write(ready, "r", 1) != 1) _exit(1);
    }
  }

  pid_t pid_ = 0;
  int ready_ = -1;
};

void BM_Sqlite_PutBesideReaders(benchmark::State& state) {
  const DiskFolder folder;
  const std::string read =
      folder.File(state.range(2) == 0 ? "threads.db" : "other.db");
  if (state.range(2) != 0) Threads(read).WithHistory(100);
  std::vector<std::unique_ptr<ReadingProcess>> readers;
  for (int64_t i = 0; i < state.range(0); ++i) {
    readers.push_back(std::make_unique<ReadingProcess>(
        read, absl::Milliseconds(state.range(1))));
  }
  Threads threads(folder.File("threads.db"));
  const std::string thread = threads.WithHistory(100);
  for (const auto& reader : readers) {
    if (!Equal(state, reader->IsReading() ? 1 : 0, 1)) return;
  }
  std::vector<double> micros;
  for (auto _ : state) {
    absl::Status done;
    micros.push_back(1e6 * Seconds([&] {
                       threads.Put(thread);
                       done = threads.Flush();
                     }));
    if (!done.ok()) state.SkipWithError(done.ToString().c_str());
  }
  std::sort(micros.begin(), micros.end());
  state.counters["p50_us"] = micros[micros.size() / 2];
  state.counters["p99_us"] = micros[micros.size() * 99 / 100];
}
BENCHMARK(BM_Sqlite_PutBesideReaders)
    ->ArgNames({"readers", "pause_ms", "elsewhere"})
    ->Args({0, 0, 0})
    ->Args({8, 10, 0})
    ->Args({8, 10, 1})
    ->Args({8, 0, 0})
    ->Args({8, 0, 1})
    ->Iterations(10'000)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

void Histories(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("checkpoints")
      ->Arg(100)
      ->Arg(10'000)
      ->Arg(100'000)
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}
BENCHMARK(BM_Sqlite_GetLatest)->Apply(Histories);
BENCHMARK(BM_Sqlite_ListTen)->Apply(Histories);
BENCHMARK(BM_Sqlite_ListThousand)
    ->ArgName("checkpoints")
    ->Arg(10'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK(BM_Sqlite_PutInBatch)->Apply(Histories)->Iterations(8);

}  // namespace
}  // namespace weir
