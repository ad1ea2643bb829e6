#include "weir/checkpoint/sqlite_checkpointer.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/commit_queue.h"
#include "weir/checkpoint/internal/contract.h"
#include "weir/checkpoint/internal/database.h"
#include "weir/checkpoint/internal/lock_file.h"
#include "weir/checkpoint/internal/stored_threads.h"

namespace weir {
inline namespace v0 {
namespace {

using internal::Call;
using internal::StoredThreads;

constexpr size_t kCallBytes = 256;  // What a call stores beside its values.

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
      options.wal_bytes <= 0 || options.max_value_bytes == 0) {
    return absl::InvalidArgumentError(
        "each number of SqliteOptions must be more than 0");
  }
  return absl::OkStatus();
}

}  // namespace

// Members end in the reverse order: calls, database, lock.
struct SqliteCheckpointer::Rep {
  std::unique_ptr<internal::LockFile> lock;
  SqliteOptions options;
  std::unique_ptr<internal::CommitQueue> queue;
};

SqliteCheckpointer::SqliteCheckpointer(std::unique_ptr<Rep> rep)
    : rep_(std::move(rep)) {}
SqliteCheckpointer::~SqliteCheckpointer() = default;

absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> SqliteCheckpointer::Open(
    std::string path, SqliteOptions options) {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  const absl::StatusOr<std::string> whole = PathOf(path);
  if (!whole.ok()) return whole.status();
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
                             options.wal_bytes});
  if (absl::Status s = queue->Begin(); !s.ok()) {
    return absl::Status(s.code(),
                        absl::StrFormat("'%s': %s", *whole, s.message()));
  }
  return std::unique_ptr<SqliteCheckpointer>(
      new SqliteCheckpointer(std::make_unique<Rep>(
          Rep{*std::move(lock), std::move(options), std::move(queue)})));
}

CheckpointerCapabilities SqliteCheckpointer::capabilities() const {
  return {
      .delete_runs = true, .copy_thread = true, .prune = true, .history = true};
}

void SqliteCheckpointer::Open(std::string_view thread, Done<ThreadLease> done) {
  const std::string name(thread);
  rep_->queue->Add(CallFor<ThreadLease>(
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
  rep_->queue->Add(ChangeFor(
      NameOf(fence.thread), bytes,
      [fence, made = std::move(checkpoint)](StoredThreads& threads) {
        return threads.Put(fence, made);
      },
      std::move(done)));
}

void SqliteCheckpointer::PutWrites(const Fence& fence, NewWrites&& writes,
                                   StatusDone done) {
  size_t bytes = 0;
  absl::Status s =
      internal::ToBytes(fence, writes, rep_->options.max_value_bytes, bytes);
  if (!s.ok()) return done(std::move(s));
  rep_->queue->Add(ChangeFor(
      NameOf(fence.thread), bytes,
      [fence, made = std::move(writes)](StoredThreads& threads) {
        return threads.PutWrites(fence, made);
      },
      std::move(done)));
}

void SqliteCheckpointer::Get(CheckpointKey key,
                             Done<std::optional<CheckpointTuple>> done) {
  std::string subject = NameOf(key.thread);
  rep_->queue->Add(CallFor<std::optional<CheckpointTuple>>(
      false, std::move(subject),
      [key = std::move(key)](StoredThreads& threads) {
        return threads.Get(key);
      },
      std::move(done)));
}

void SqliteCheckpointer::List(CheckpointQuery query,
                              Done<std::vector<CheckpointTuple>> done) {
  std::string subject = query.thread ? NameOf(*query.thread) : "threads";
  rep_->queue->Add(CallFor<std::vector<CheckpointTuple>>(
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
  rep_->queue->Add(CallFor<std::vector<std::vector<SavedChannel>>>(
      false, std::move(subject),
      [key = std::move(key), channels = std::move(channels)](
          StoredThreads& threads) { return threads.History(key, channels); },
      std::move(done)));
}

void SqliteCheckpointer::DeleteThread(std::string_view thread,
                                      StatusDone done) {
  const std::string name(thread);
  rep_->queue->Add(ChangeFor(
      NameOf(name), 0,
      [name](StoredThreads& threads) { return threads.DeleteThread(name); },
      std::move(done)));
}

void SqliteCheckpointer::DeleteRuns(std::vector<std::string> run_ids,
                                    StatusDone done) {
  rep_->queue->Add(ChangeFor(
      "runs to be deleted", 0,
      [run_ids = std::move(run_ids)](StoredThreads& threads) {
        return threads.DeleteRuns(run_ids);
      },
      std::move(done)));
}

void SqliteCheckpointer::CopyThread(std::string_view from, std::string_view to,
                                    StatusDone done) {
  rep_->queue->Add(ChangeFor(
      NameOf(from), 0,
      [from = std::string(from), to = std::string(to)](StoredThreads& threads) {
        return threads.CopyThread(from, to);
      },
      std::move(done)));
}

void SqliteCheckpointer::Prune(std::vector<std::string> threads, PruneMode mode,
                               StatusDone done) {
  rep_->queue->Add(ChangeFor(
      "threads to be pruned", 0,
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
  rep_->queue->Add({.subject = "flush",
                    .make = [](StoredThreads&) { return absl::OkStatus(); },
                    .answer = std::move(done)});
}

}  // namespace v0
}  // namespace weir
