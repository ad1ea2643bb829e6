// The process that is killed: `crash_child FILE RUNS`. Eight threads of a
// Runtime over the database FILE do what crash_graph.h says, one run after
// another, until each has RUNS runs, or for ever if that is 0. What others are
// told is told to standard output, a line each:
//
//   ready                         before the file is opened
//   run THREAD N ID               StartRun() has returned it
//   event ID N TEXT               a reader has got it
//   end ID JSON                   Join() has returned that outcome
//   copy THREAD / deleted THREAD  of the chores: threads that come and go
//   fault TEXT                    something that must not be
//   point NAME                    with WEIR_CRASH_AT=?: a point was passed
//
// With WEIR_CRASH_AT=NAME:N it ends when it passes that point for the N-th
// time.

#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "tests/runtime/crash_graph.h"
#include "tests/runtime/crash_store.h"

#include "weir/checkpoint/internal/crash_point.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/runtime.h"

namespace weir {
namespace {

constexpr int kThreads = 8;

absl::Mutex out_mutex;

// In one piece, and at once: what was told is what the parent may rely on.
void Tell(const std::string& line) {
  absl::MutexLock lock(&out_mutex);
  const std::string whole = line + "\n";
  size_t done = 0;
  while (done < whole.size()) {
    const ssize_t n = write(1, whole.data() + done, whole.size() - done);
    if (n <= 0) _exit(3);
    done += static_cast<size_t>(n);
  }
}

void Fault(const std::string& where, const absl::Status& status) {
  Tell(absl::StrCat("fault ", where, ": ", status.ToString()));
}

// Where to end, as WEIR_CRASH_AT says.
struct EndAt {
  std::string name;
  int times = 0;
  absl::Mutex mutex;
  std::set<std::string> passed ABSL_GUARDED_BY(mutex);
} end_at;

void Pass(const char* name) {
  absl::MutexLock lock(&end_at.mutex);
  if (end_at.name == "?") {
    if (end_at.passed.insert(name).second) Tell(absl::StrCat("point ", name));
  } else if (end_at.name == name && --end_at.times == 0) {
    _exit(42);
  }
}

void ReadEnvironment() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread has begun
  const char* const at = getenv("WEIR_CRASH_AT");
  if (at == nullptr) return;
  const std::string whole = at;
  const size_t colon = whole.rfind(':');
  end_at.name = whole.substr(0, colon);
  if (colon != whole.npos) {
    if (!absl::SimpleAtoi(whole.substr(colon + 1), &end_at.times)) _exit(4);
  }
  internal::crash_hook.store(Pass, std::memory_order_relaxed);
}

// One of the threads, and who drives it.
class Driver {
 public:
  Driver(Runtime& runtime, const CrashGraph& graph, int index)
      : runtime_(runtime),
        graph_(graph),
        sync_(index % 2 == 0),
        thread_(absl::StrCat("t", index)) {}

  void Drive(int runs) {
    int n = 0;
    absl::StatusOr<std::vector<RunInfo>> before =
        runtime_.ListRuns(thread_, {.limit = 1'000'000});
    if (before.ok()) {
      n = static_cast<int>(before->size());
      for (size_t i = before->size(); i-- > 0;) {
        const RunInfo& run = (*before)[i];
        if (run.status == RunStatus::kPending ||
            run.status == RunStatus::kRunning) {
          Follow(run.id);
        }
      }
    } else if (!absl::IsNotFound(before.status())) {
      return Fault(thread_, before.status());
    }
    for (; runs == 0 || n < runs; ++n) {
      if (!StartNext(n)) return;
    }
  }

 private:
  bool StartNext(int n) {
    StartOptions options;
    options.modes = kUpdates | kCustom;
    options.durability = sync_ ? Durability::kSync : Durability::kAsync;
    options.max_async_lag = 1 + n % 3 * 8;
    options.resumable = true;
    options.retention = absl::InfiniteDuration();
    options.metadata["n"] = absl::StrCat(n);
    options.if_not_exists = IfNotExists::kCreate;
    if (n % 4 == 3) {
      options.from = Find(LogAfter(n - 2));
      if (!options.from.has_value()) return false;
    }
    const absl::StatusOr<RunInfo> run = runtime_.StartRun(
        thread_, "job",
        n % 4 == 2 ? Input::Resume(Value("yes")) : Update(graph_.job, n),
        std::move(options));
    if (!run.ok()) {
      Fault(absl::StrCat(thread_, ", run ", n), run.status());
      return false;
    }
    Tell(absl::StrCat("run ", thread_, " ", n, " ", run->id));
    return Follow(run->id);
  }

  // The checkpoint at which a run had left this log.
  std::optional<CheckpointRef> Find(const std::vector<std::string>& log) {
    const absl::StatusOr<std::vector<StateSnapshot>> history =
        runtime_.GetHistory(thread_, {.limit = 100});
    if (!history.ok()) {
      Fault(thread_, history.status());
      return std::nullopt;
    }
    for (const StateSnapshot& state : *history) {
      const auto there = state.values.Get(graph_.log);
      if (state.next.empty() &&
          std::vector<std::string>(there.begin(), there.end()) == log) {
        return state.ref;
      }
    }
    Fault(thread_, absl::NotFoundError("no checkpoint to fork from"));
    return std::nullopt;
  }

  bool Follow(const RunId& id) {
    absl::StatusOr<RunStream> stream =
        runtime_.JoinStream(thread_, id, {.last_event_id = -1});
    if (!stream.ok()) {
      Fault(absl::StrCat("stream of ", id), stream.status());
      return false;
    }
    while (const Event* event = stream->Next()) {
      std::ostringstream text;
      text << *event;
      Tell(absl::StrCat("event ", id, " ", event->id(), " ", text.str()));
    }
    if (!stream->status().ok()) {
      Fault(absl::StrCat("events of ", id), stream->status());
      return false;
    }
    const absl::StatusOr<RunOutcome> outcome = runtime_.Join(thread_, id);
    if (!outcome.ok()) {
      Fault(absl::StrCat("end of ", id), outcome.status());
      return false;
    }
    Tell(absl::StrCat("end ", id, " ", outcome->ToJson()));
    return true;
  }

  Runtime& runtime_;
  const CrashGraph& graph_;
  const bool sync_;
  const ThreadId thread_;
};

// What else changes a file: threads and databases that come and go.
class Chores {
 public:
  Chores(Runtime& runtime, Checkpointer& store, const CrashGraph& graph,
         std::string file)
      : runtime_(runtime),
        store_(store),
        graph_(graph),
        file_(std::move(file)) {}

  absl::Status Do(int round) {
    const ThreadId thread = absl::StrCat("c", getpid(), "-", round);
    absl::StatusOr<RunOutcome> outcome =
        runtime_.Wait(thread, "job", Job(0),
                      {.modes = kCustom,
                       .resumable = true,
                       .if_not_exists = IfNotExists::kCreate});
    if (!outcome.ok()) return outcome.status();
    const absl::StatusOr<ThreadInfo> copy = runtime_.CopyThread(thread);
    if (!copy.ok()) return copy.status();
    Tell(absl::StrCat("copy ", copy->id));
    const absl::StatusOr<RunInfo> asks =
        runtime_.StartRun(thread, "job", Job(1));
    if (!asks.ok()) return asks.status();
    outcome = runtime_.Join(thread, asks->id);
    if (!outcome.ok()) return outcome.status();
    if (absl::Status s = runtime_.DeleteRun(thread, asks->id); !s.ok()) {
      return s;
    }
    if (absl::Status s = Prune(copy->id); !s.ok()) return s;
    if (absl::Status s = runtime_.DeleteThread(thread); !s.ok()) return s;
    Tell(absl::StrCat("deleted ", thread));
    const absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> other =
        SqliteCheckpointer::Open(
            absl::StrCat(file_, ".", getpid(), ".", round));
    return other.status();
  }

 private:
  // With something large, whose pages are then free, and which is not to be
  // compressed.
  Input Job(int n) {
    std::mt19937_64 random;
    std::string noise;
    while (noise.size() < 1 << 19) noise += static_cast<char>(random());
    return Update(graph_.job, n).Set(graph_.large, std::move(noise));
  }
  absl::Status Prune(const ThreadId& thread) {
    absl::Status status;
    absl::Notification done;
    store_.Prune({thread}, PruneMode::kKeepLatest,
                 [&status, &done](const absl::Status& pruned) {
                   status = pruned;
                   done.Notify();
                 });
    done.WaitForNotification();
    return status;
  }

  Runtime& runtime_;
  Checkpointer& store_;
  const CrashGraph& graph_;
  const std::string file_;
};

void Live(const std::string& file, int runs) {
  CrashGraph graph;
  Tell("ready");
  // The log is copied often.
  const absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> opened =
      SqliteCheckpointer::Open(file,
                               {.wal_bytes = 1 << 18, .pack_checkpoints = 8});
  if (!opened.ok()) return Fault("opening", opened.status());
  CrashStore store(**opened);
  Runtime runtime({.checkpointer = &store});
  if (absl::Status s = runtime.Register("job", *graph.builder.Compile());
      !s.ok()) {
    return Fault("Register", s);
  }
  std::vector<std::jthread> drivers;
  drivers.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    drivers.emplace_back(
        [&runtime, &graph, i, runs] { Driver(runtime, graph, i).Drive(runs); });
  }
  Chores chores(runtime, store, graph, file);
  for (int i = 0; runs > 0 && i < 3; ++i) {
    if (absl::Status s = chores.Do(i); !s.ok()) Fault("chores", s);
  }
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  int runs = 0;
  if (argc != 3 || !absl::SimpleAtoi(argv[2], &runs)) return 2;
  weir::ReadEnvironment();
  weir::Live(argv[1], runs);
  return 0;
}
