#include "weir/checkpoint/sqlite_checkpointer.h"

#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/commit_queue.h"
#include "weir/checkpoint/internal/contract.h"
#include "weir/checkpoint/internal/database.h"
#include "weir/checkpoint/internal/lock_file.h"
#include "weir/checkpoint/internal/read_calls.h"
#include "weir/checkpoint/internal/stored_threads.h"
#include "weir/checkpoint/internal/thread_list.h"

namespace weir {
inline namespace v0 {
namespace {

using internal::Call;
using internal::StoredThreads;

constexpr size_t kCallBytes = 256;  // What a call stores beside its values.
// What a removal is taken to change, so that few of them are in a transaction
// that others wait for.
constexpr size_t kRemovalBytes = size_t{256} << 10;

std::string NameOf(std::string_view thread) {
  return absl::StrFormat("thread '%s'", std::string(thread));
}

// A call whose result is a T: `make` gives a StatusOr of it.
template <class T, class Make>
Call CallFor(bool changes, std::string subject, Make make,
             Checkpointer::Done<T> done) {
  auto result = std::make_shared<absl::StatusOr<T>>();
  Call call{.changes = changes, .bytes = kCallBytes};
  call.subject = std::move(subject);
  call.make = [result, make = std::move(make)](StoredThreads& threads) mutable {
    *result = make(threads);
    return result->status();
  };
  call.answer = [result, done = std::move(done)](absl::Status s) mutable {
    if (!s.ok()) *result = std::move(s);
    done(*std::move(result));
  };
  return call;
}

template <class Make>
Call ChangeFor(std::string subject, size_t bytes, Make make,
               Checkpointer::StatusDone done) {
  return {.changes = true,
          .bytes = kCallBytes + bytes,
          .subject = std::move(subject),
          .make = std::move(make),
          .answer = std::move(done)};
}

template <class Make>
Call RemovalFor(std::string subject, Make make, Checkpointer::StatusDone done) {
  Call call = ChangeFor(std::move(subject), kRemovalBytes, std::move(make),
                        std::move(done));
  call.erases = true;
  return call;
}

absl::StatusOr<std::string> PathOf(const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError("the path of the database is empty");
  }
  // By one name for all, for the lock; and of no meaning to SQLite but a path.
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::weakly_canonical(
      std::filesystem::absolute(path, error), error);
  if (!error) return whole.string();
  return absl::UnavailableError(
      absl::StrFormat("'%s': %s", path, error.message()));
}

absl::Status CheckOptions(const SqliteOptions& options) {
  if (options.max_batch_calls == 0 || options.max_batch_bytes == 0 ||
      options.wal_bytes <= 0 || options.max_value_bytes == 0 ||
      options.max_header_bytes == 0) {
    return absl::InvalidArgumentError(
        "each number of SqliteOptions must be more than 0");
  }
  return absl::OkStatus();
}

// The rows of a Runtime, in the same queue.
class SqliteRunStore final : public RunStore {
 public:
  // `add` makes a call in its turn.
  SqliteRunStore(std::function<void(Call)> add, size_t max_value_bytes,
                 size_t max_header_bytes)
      : add_(std::move(add)),
        max_value_bytes_(max_value_bytes),
        max_header_bytes_(max_header_bytes) {}

  void Commit(RunCommit&& commit, StatusDone done) override {
    size_t bytes = 0;
    absl::Status s = ToBytes(commit, bytes);
    if (!s.ok()) return done(std::move(s));
    // What leaves while a run goes on is written over in time.
    const bool erases =
        !commit.checkpoint && !commit.writes && commit.events.empty() &&
        !(commit.dropped_runs.empty() && commit.dropped_events.empty());
    std::string subject = SubjectOf(commit);
    Call call = ChangeFor(
        std::move(subject), bytes,
        [made = std::move(commit),
         max_header_bytes = max_header_bytes_](StoredThreads& threads) {
          return threads.Commit(made, max_header_bytes);
        },
        std::move(done));
    call.erases = erases;
    add_(std::move(call));
  }
  void GetThread(std::string_view thread,
                 Done<std::optional<ThreadRows>> done) override {
    Read<std::optional<ThreadRows>>(
        NameOf(thread),
        [thread = std::string(thread)](StoredThreads& threads) {
          return threads.runs().GetThread(thread);
        },
        std::move(done));
  }
  void ListThreads(Done<std::vector<ThreadRow>> done) override {
    Read<std::vector<ThreadRow>>(
        "threads",
        [](StoredThreads& threads) { return threads.runs().ListThreads(); },
        std::move(done));
  }
  void GetRun(std::string_view run, Done<std::optional<RunRow>> done) override {
    Read<std::optional<RunRow>>(
        NameOfRun(run),
        [run = std::string(run)](StoredThreads& threads) {
          return threads.runs().GetRun(run);
        },
        std::move(done));
  }
  void ListUnfinished(Done<std::vector<RunRow>> done) override {
    Read<std::vector<RunRow>>(
        "runs",
        [](StoredThreads& threads) { return threads.runs().ListUnfinished(); },
        std::move(done));
  }
  void ListEvents(std::string_view run, uint64_t first,
                  Done<std::vector<EventRow>> done) override {
    Read<std::vector<EventRow>>(
        NameOfRun(run),
        [run = std::string(run), first](StoredThreads& threads) {
          return threads.runs().ListEvents(run, first);
        },
        std::move(done));
  }

 private:
  static std::string NameOfRun(std::string_view run) {
    return absl::StrFormat("run '%s'", std::string(run));
  }
  static std::string SubjectOf(const RunCommit& commit) {
    if (!commit.fence.thread.empty()) return NameOf(commit.fence.thread);
    if (!commit.runs.empty()) return NameOfRun(commit.runs.front().run);
    if (!commit.threads.empty()) return NameOf(commit.threads.front().thread);
    return "a Runtime's rows";
  }
  template <class T, class Make>
  void Read(std::string subject, Make make, Done<T> done) {
    add_(CallFor<T>(/*changes=*/false, std::move(subject), std::move(make),
                    std::move(done)));
  }
  absl::Status ToBytes(RunCommit& commit, size_t& bytes) const {
    const auto note = [&](const std::string& name, const std::string& record) {
      bytes += record.size();
      if (record.size() <= max_value_bytes_) return absl::OkStatus();
      return internal::TooLarge(name, record.size(), max_value_bytes_);
    };
    absl::Status s;
    if (commit.checkpoint) {
      s.Update(internal::ToBytes(commit.fence, commit.checkpoint->checkpoint,
                                 max_value_bytes_, bytes));
    }
    if (commit.writes) {
      s.Update(internal::ToBytes(commit.fence, *commit.writes, max_value_bytes_,
                                 bytes));
    }
    for (const ThreadRow& row : commit.threads) {
      s.Update(note("the row of " + NameOf(row.thread), row.record));
    }
    for (const RunRow& row : commit.runs) {
      s.Update(note("the row of " + NameOfRun(row.run), row.record));
    }
    for (const EventRow& row : commit.events) {
      s.Update(note("events of " + NameOfRun(row.run), row.record));
    }
    return s;
  }

  const std::function<void(Call)> add_;
  const size_t max_value_bytes_;
  const size_t max_header_bytes_;
};

}  // namespace

// Members end in the reverse order: calls, database, lock.
struct SqliteCheckpointer::Rep {
  Rep(std::unique_ptr<internal::LockFile> its_lock, SqliteOptions its_options,
      std::unique_ptr<internal::CommitQueue> its_queue,
      std::unique_ptr<internal::ReadCalls> its_reader)
      : lock(std::move(its_lock)),
        options(std::move(its_options)),
        queue(std::move(its_queue)),
        reader(std::move(its_reader)) {}

  std::unique_ptr<internal::LockFile> lock;
  SqliteOptions options;
  std::unique_ptr<internal::CommitQueue> queue;
  std::unique_ptr<internal::ReadCalls> reader;  // Instead, if it only reads.

  void Add(Call call) {
    if (queue != nullptr) return queue->Add(std::move(call));
    reader->Add(std::move(call));
  }
  SqliteRunStore runs{[this](Call call) { Add(std::move(call)); },
                      options.max_value_bytes, options.max_header_bytes};
};

SqliteCheckpointer::SqliteCheckpointer(std::unique_ptr<Rep> rep)
    : rep_(std::move(rep)) {}
SqliteCheckpointer::~SqliteCheckpointer() = default;

absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> SqliteCheckpointer::Open(
    std::string path, SqliteOptions options) {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  const absl::StatusOr<std::string> whole = PathOf(path);
  if (!whole.ok()) return whole.status();
  if (options.read_only) {
    auto reader = std::make_unique<internal::ReadCalls>(*whole, options.vfs);
    absl::Status s = reader->Read([](auto&) { return absl::OkStatus(); });
    if (!s.ok()) return s;
    return std::unique_ptr<SqliteCheckpointer>(
        new SqliteCheckpointer(std::make_unique<Rep>(
            nullptr, std::move(options), nullptr, std::move(reader))));
  }
  // Before anything is put beside a file that is not weir's.
  if (absl::Status s = internal::Database::Check(*whole); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<internal::LockFile>> lock =
      internal::LockFile::Take(*whole + ".weir-lock");
  if (!lock.ok()) {
    return absl::Status(
        lock.status().code(),
        absl::StrFormat("'%s': %s", *whole, lock.status().message()));
  }
  absl::StatusOr<std::unique_ptr<internal::Database>> db =
      internal::Database::Open(*whole, options.vfs);
  if (!db.ok()) return db.status();
  auto queue = std::make_unique<internal::CommitQueue>(
      *std::move(db),
      internal::CommitLimits{options.max_batch_calls, options.max_batch_bytes,
                             options.wal_bytes},
      options.pack_checkpoints);
  if (absl::Status s = queue->Begin(); !s.ok()) {
    return absl::Status(s.code(),
                        absl::StrFormat("'%s': %s", *whole, s.message()));
  }
  return std::unique_ptr<SqliteCheckpointer>(
      new SqliteCheckpointer(std::make_unique<Rep>(
          *std::move(lock), std::move(options), std::move(queue), nullptr)));
}

CheckpointerCapabilities SqliteCheckpointer::capabilities() const {
  return {
      .delete_runs = true, .copy_thread = true, .prune = true, .history = true};
}

CheckpointerCounters SqliteCheckpointer::counters() const {
  return rep_->queue == nullptr ? CheckpointerCounters()
                                : rep_->queue->counters();
}

RunStore* SqliteCheckpointer::runs() { return &rep_->runs; }

void SqliteCheckpointer::Open(std::string_view thread, Done<ThreadLease> done) {
  const std::string name(thread);
  rep_->Add(CallFor<ThreadLease>(
      true, NameOf(name),
      [name](StoredThreads& threads) { return threads.Open(name); },
      std::move(done)));
}

void SqliteCheckpointer::Put(const Fence& fence, NewCheckpoint&& checkpoint,
                             StatusDone done) {
  size_t bytes = 0;
  absl::Status s = internal::ToBytes(fence, checkpoint.checkpoint,
                                     rep_->options.max_value_bytes, bytes);
  if (!s.ok()) return done(std::move(s));
  rep_->Add(ChangeFor(
      NameOf(fence.thread), bytes,
      [fence, made = std::move(checkpoint),
       max_header_bytes =
           rep_->options.max_header_bytes](StoredThreads& threads) {
        return threads.Put(fence, made, max_header_bytes);
      },
      std::move(done)));
}

void SqliteCheckpointer::PutWrites(const Fence& fence, NewWrites&& writes,
                                   StatusDone done) {
  size_t bytes = 0;
  absl::Status s =
      internal::ToBytes(fence, writes, rep_->options.max_value_bytes, bytes);
  if (!s.ok()) return done(std::move(s));
  Call call = ChangeFor(
      NameOf(fence.thread), bytes,
      [fence, made = std::move(writes)](StoredThreads& threads) {
        return threads.PutWrites(fence, made);
      },
      std::move(done));
  call.precedes = true;
  rep_->Add(std::move(call));
}

void SqliteCheckpointer::Get(CheckpointKey key,
                             Done<std::optional<CheckpointTuple>> done) {
  std::string subject = NameOf(key.thread);
  rep_->Add(CallFor<std::optional<CheckpointTuple>>(
      false, std::move(subject),
      [key = std::move(key)](StoredThreads& threads) {
        return threads.Get(key);
      },
      std::move(done)));
}

void SqliteCheckpointer::List(CheckpointQuery query,
                              Done<std::vector<CheckpointTuple>> done) {
  std::string subject = query.thread ? NameOf(*query.thread) : "threads";
  rep_->Add(CallFor<std::vector<CheckpointTuple>>(
      false, std::move(subject),
      [query = std::move(query)](StoredThreads& threads) {
        return threads.List(query);
      },
      std::move(done)));
}

void SqliteCheckpointer::History(
    CheckpointKey key, std::vector<std::string> channels,
    Done<std::vector<std::vector<SavedChannel>>> done) {
  std::string subject = NameOf(key.thread);
  rep_->Add(CallFor<std::vector<std::vector<SavedChannel>>>(
      false, std::move(subject),
      [key = std::move(key), channels = std::move(channels)](
          StoredThreads& threads) { return threads.History(key, channels); },
      std::move(done)));
}

void SqliteCheckpointer::DeleteThread(std::string_view thread,
                                      StatusDone done) {
  const std::string name(thread);
  rep_->Add(RemovalFor(
      NameOf(name),
      [name](StoredThreads& threads) { return threads.DeleteThread(name); },
      std::move(done)));
}

void SqliteCheckpointer::DeleteRuns(std::vector<std::string> run_ids,
                                    StatusDone done) {
  rep_->Add(RemovalFor(
      "runs to be deleted",
      [run_ids = std::move(run_ids)](StoredThreads& threads) {
        return threads.DeleteRuns(run_ids);
      },
      std::move(done)));
}

void SqliteCheckpointer::CopyThread(std::string_view from, std::string_view to,
                                    StatusDone done) {
  rep_->Add(ChangeFor(
      NameOf(from), 0,
      [from = std::string(from), to = std::string(to)](StoredThreads& threads) {
        return threads.CopyThread(from, to);
      },
      std::move(done)));
}

void SqliteCheckpointer::Prune(std::vector<std::string> threads, PruneMode mode,
                               StatusDone done) {
  rep_->Add(RemovalFor(
      "threads to be pruned",
      [names = std::move(threads), mode](StoredThreads& stored) {
        absl::Status s;
        for (size_t i = 0; s.ok() && i < names.size(); ++i) {
          s = mode == PruneMode::kDeleteAll ? stored.DeleteThread(names[i])
                                            : stored.KeepLatest(names[i]);
        }
        return s;
      },
      std::move(done)));
}

void SqliteCheckpointer::Flush(StatusDone done) {
  rep_->Add({.subject = "flush",
             .make = [](StoredThreads&) { return absl::OkStatus(); },
             .answer = std::move(done)});
}

void SqliteCheckpointer::ListThreads(Done<std::vector<ThreadSummary>> done) {
  rep_->Add(CallFor<std::vector<ThreadSummary>>(
      false, "threads",
      [](StoredThreads& threads) {
        return internal::ListThreads(threads.database());
      },
      std::move(done)));
}

}  // namespace v0
}  // namespace weir
