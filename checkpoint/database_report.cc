#include "weir/checkpoint/database_report.h"

#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/database.h"
#include "weir/checkpoint/internal/database_scan.h"
#include "weir/checkpoint/internal/file_stamp.h"
#include "weir/checkpoint/internal/lock_file.h"
#include "weir/checkpoint/internal/packed.h"
#include "weir/checkpoint/internal/page_file.h"
#include "weir/checkpoint/internal/read_calls.h"
#include "weir/checkpoint/internal/record.h"

namespace weir {
inline namespace v0 {
namespace {

using internal::Database;
using internal::DatabaseScan;
using internal::FileStamp;
using internal::PageFile;
using internal::TreeRow;

using OnScan = absl::FunctionRef<absl::Status(DatabaseScan&)>;

absl::Status Scan(const std::string& path, const std::string& vfs,
                  OnScan then) {
  const absl::StatusOr<std::unique_ptr<PageFile>> pages =
      PageFile::Open(path, vfs);
  if (!pages.ok()) return pages.status();
  DatabaseScan scan(**pages);
  if (absl::Status s = scan.Run(); !s.ok()) {
    return {s.code(), absl::StrFormat("'%s': %s", path, s.message())};
  }
  return then(scan);
}

// One that SQLite cannot open; so nobody writes it, or hardly.
absl::Status ScanAsItIs(const std::string& path, const std::string& vfs,
                        OnScan then) {
  constexpr int kAttempts = 3;
  for (int i = 0; i < kAttempts; ++i) {
    const FileStamp before(path);
    absl::Status s = Scan(path, vfs, then);
    if (before == FileStamp(path)) return s;
  }
  return absl::UnavailableError(
      absl::StrFormat("'%s' is changed while it is read; try again", path));
}

// Under a transaction that keeps writers from copying the log, if SQLite can
// begin one.
absl::Status ScanMoment(const std::string& path, const std::string& vfs,
                        OnScan then) {
  bool began = false;
  absl::Status s = internal::ReadCalls(path, vfs).Read([&](Database& /*db*/) {
    began = true;
    return Scan(path, vfs, then);
  });
  if (began || absl::IsNotFound(s)) return s;
  return ScanAsItIs(path, vfs, then);
}

// What is saved, on its way into a new database.
class Saving {
 public:
  explicit Saving(Database& db) : db_(db) {}

  absl::Status All(DatabaseScan& scan) {
    Run("BEGIN IMMEDIATE");
    Run("REPLACE INTO number VALUES(?1,?2)", std::string_view("sessions"),
        internal::EncodeNumber("sessions", scan.sessions()));
    scan.SavedNamespaces(
        [this](int64_t row, int64_t thread, std::string_view path) {
          Run("INSERT INTO ns VALUES(?1,?2,?3)", row, thread, path);
        });
    scan.SavedRows([this](std::string_view table, const TreeRow& row) {
      Put(table, row);
      KeepLogShort();
    });
    Run("COMMIT");
    return status_;
  }

 private:
  // Rows keep their numbers, which are in keys; so records are good as they
  // are.
  void Put(std::string_view table, const TreeRow& row) {
    const auto& f = row.fields;
    if (table == "thread") {
      Run("INSERT INTO thread VALUES(?1,?2,?3)", row.rowid, f[1].bytes,
          f[2].bytes);
    } else if (table == "checkpoint") {
      Run("INSERT INTO checkpoint VALUES(?1,?2,?3,?4)", f[0].number, f[1].bytes,
          f[2].bytes, f[3].bytes);
    } else if (table == "value") {
      Run("INSERT INTO value VALUES(?1,?2,?3,?4,?5)", f[0].number, f[1].bytes,
          f[2].number, f[3].number, f[4].bytes);
    } else if (table == "pack") {
      PutPack(f);
    } else if (table == "thread_row") {
      Run("INSERT INTO thread_row VALUES(?1,?2)", f[0].bytes, f[1].bytes);
    } else if (table == "run") {
      Run("INSERT INTO run VALUES(?1,?2,?3,?4,?5)", row.rowid, f[1].bytes,
          f[2].bytes, f[3].number, f[4].bytes);
    } else if (table == "event") {
      Run("INSERT INTO event VALUES(?1,?2,?3,?4)", f[0].bytes, f[1].number,
          f[2].number, f[3].bytes);
    } else {
      Run("INSERT INTO task_write VALUES(?1,?2,?3,?4,?5,?6)", f[0].number,
          f[1].bytes, f[2].bytes, f[3].number, f[4].bytes, f[5].bytes);
    }
    for (const internal::TreeField& field : f) bytes_ += field.bytes.size();
  }

  void PutPack(const std::vector<internal::TreeField>& f) {
    Run("INSERT INTO pack VALUES(?1,?2,?3,?4,?5,?6,?7)", f[0].number,
        f[1].bytes, f[2].bytes, f[3].bytes, f[4].number, f[5].bytes,
        f[6].bytes);
    const internal::PackRow row{.runs = std::string(f[5].bytes)};
    for (const std::string& run : internal::RunsOf(row)) {
      Run("INSERT INTO pack_run VALUES(?1,?2,?3)", run, f[0].number,
          f[2].bytes);
    }
  }

  void KeepLogShort() {
    constexpr size_t kAtOnce = size_t{16} << 20;
    if (bytes_ < kAtOnce) return;
    bytes_ = 0;
    Run("COMMIT");
    if (status_.ok()) status_ = db_.Checkpoint(/*truncate=*/false);
    Run("BEGIN IMMEDIATE");
  }

  template <class... Args>
  void Run(const char* sql, const Args&... args) {
    if (status_.ok()) status_ = db_.Run(sql, args...);
  }

  Database& db_;
  size_t bytes_ = 0;
  absl::Status status_;
};

absl::Status SaveAll(DatabaseScan& scan, const std::string& to) {
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::error_code ignored;  // Of an attempt before; mostly there is none.
    std::filesystem::remove(to + suffix, ignored);
  }
  const absl::StatusOr<std::unique_ptr<Database>> db = Database::Open(to, "");
  if (!db.ok()) return db.status();
  absl::Status s = Saving(**db).All(scan);
  if (s.ok()) return s;
  return {s.code(), absl::StrFormat("'%s': %s", to, s.message())};
}

}  // namespace

absl::StatusOr<DatabaseReport> VerifyDatabase(
    const std::string& path, const DatabaseReportOptions& options) {
  DatabaseReport report;
  const absl::Status s =
      ScanMoment(path, options.vfs, [&report](DatabaseScan& scan) {
        report = scan.report();
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return report;
}

absl::StatusOr<DatabaseReport> SalvageDatabase(
    const std::string& path, const std::string& to,
    const DatabaseReportOptions& options) {
  // Before anything is put beside it.
  if (!FileStamp(path).exists()) {
    return absl::NotFoundError(absl::StrFormat("there is no file '%s'", path));
  }
  for (const char* suffix : {"", "-wal", "-shm"}) {
    if (!std::filesystem::exists(to + suffix)) continue;
    return absl::AlreadyExistsError(absl::StrFormat(
        "'%s%s' exists; name a file that does not", to, suffix));
  }
  const absl::StatusOr<std::unique_ptr<internal::LockFile>> lock =
      internal::LockFile::Take(to + ".weir-lock");
  if (!lock.ok()) return lock.status();
  DatabaseReport report;
  const absl::Status s = ScanMoment(path, options.vfs, [&](DatabaseScan& scan) {
    report = scan.report();
    return SaveAll(scan, to);
  });
  if (!s.ok()) return s;
  return report;
}

}  // namespace v0
}  // namespace weir
