// Does what a store in a file is asked depend on how much it has? The latest
// checkpoint of a thread, ten and a thousand of them, and one more, of threads
// with a state of 64 KiB of which little changes and with 100, 10,000 and
// 100,000 checkpoints, all in one file. Compared with each other.

#include <algorithm>
#include <cstdint>
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
#include "bench/support/check.h"
#include "bench/support/disk_file.h"
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
  static Threads& Get() {
    static Threads threads;
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

  Threads() : store_(*SqliteCheckpointer::Open(folder_.File("threads.db"))) {}

  const DiskFolder folder_;
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
