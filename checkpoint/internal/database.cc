#include "weir/checkpoint/internal/database.h"

#include <errno.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/checked_log.h"
#include "weir/checkpoint/internal/crash_point.h"
#include "weir/checkpoint/internal/log_format.h"
#include "weir/checkpoint/internal/record.h"
#include "weir/checkpoint/internal/vfs_file.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr int64_t kApplicationId = 0x57454952;  // "WEIR"
constexpr int64_t kUserVersion = 3;

// Before a file is known to be weir's nothing of this may change it.
constexpr char kPragmas[] =
    "PRAGMA cell_size_check=ON;"
    "PRAGMA mmap_size=0;"
    "PRAGMA foreign_keys=OFF;"
    "PRAGMA secure_delete=ON;"
    "PRAGMA synchronous=FULL;";

// What is in a record comes last, so that the columns before it can be read
// without it. Step i makes the tables of version i + 1 from those of version i;
// a new database takes all of them. A step that has been released stays as it
// is.
constexpr const char* kSteps[kUserVersion] = {
    "CREATE TABLE number(name BLOB PRIMARY KEY, record BLOB NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE thread(thread_id INTEGER PRIMARY KEY,"
    " name BLOB UNIQUE NOT NULL, record BLOB NOT NULL);"
    "CREATE TABLE ns(ns_id INTEGER PRIMARY KEY, thread_id INTEGER NOT NULL,"
    " path BLOB NOT NULL, UNIQUE(thread_id, path));"
    "CREATE TABLE checkpoint(ns_id INTEGER, id BLOB, run BLOB NOT NULL,"
    " record BLOB NOT NULL, PRIMARY KEY(ns_id, id)) WITHOUT ROWID;"
    "CREATE TABLE value(ns_id INTEGER, channel BLOB, version INTEGER,"
    " appended_to INTEGER NOT NULL, record BLOB NOT NULL,"
    " PRIMARY KEY(ns_id, channel, version)) WITHOUT ROWID;"
    "CREATE TABLE task_write(ns_id INTEGER, id BLOB, task BLOB, idx INTEGER,"
    " run BLOB, record BLOB NOT NULL, PRIMARY KEY(ns_id, id, task, idx, run))"
    " WITHOUT ROWID;"
    "CREATE INDEX checkpoint_run ON checkpoint(run) WHERE run <> x'';"
    "CREATE INDEX task_write_run ON task_write(run) WHERE run <> x'';",

    "CREATE TABLE thread_row(thread BLOB PRIMARY KEY, record BLOB NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE run(number INTEGER PRIMARY KEY, run BLOB UNIQUE NOT NULL,"
    " thread BLOB NOT NULL, unfinished INTEGER NOT NULL,"
    " record BLOB NOT NULL);"
    "CREATE INDEX run_thread ON run(thread, number);"
    "CREATE INDEX run_unfinished ON run(number) WHERE unfinished=1;"
    "CREATE TABLE event(run BLOB, first INTEGER, count INTEGER NOT NULL,"
    " record BLOB NOT NULL, PRIMARY KEY(run, first)) WITHOUT ROWID;",

    "CREATE TABLE pack(ns_id INTEGER, kind BLOB, last BLOB,"
    " first BLOB NOT NULL, count INTEGER NOT NULL, runs BLOB NOT NULL,"
    " record BLOB NOT NULL, PRIMARY KEY(ns_id, kind, last)) WITHOUT ROWID;"
    "CREATE TABLE pack_run(run BLOB, ns_id INTEGER, last BLOB,"
    " PRIMARY KEY(run, ns_id, last)) WITHOUT ROWID;",
};

absl::Status Newer(const std::string& path, int64_t version) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "'%s' was made by a newer version of weir (schema %d, this one knows "
      "%d); open it with that one",
      path, version, kUserVersion));
}

// A path of any bytes as SQLite takes it together with parameters.
std::string UriOf(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    const bool plain = c != '%' && c != '?' && c != '#';
    uri += plain ? std::string(1, c) : absl::StrFormat("%%%02x", c);
  }
  return uri + "?readonly_shm=1";
}

absl::Status Older(const std::string& path, int64_t version) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "'%s' was made by an older version of weir (schema %d, this one reads "
      "%d); open it for writing once, which brings it up to date",
      path, version, kUserVersion));
}

// Whether a database was not made to the end, if it begins with `header`: then
// SQLite takes back what there is.
bool IsUnfinished(const std::string& path, std::string_view header) {
  if (header.find_first_not_of('\0') != header.npos) return false;
  const std::unique_ptr<VfsFile> journal = VfsFile::Open(
      sqlite3_vfs_find(nullptr), path + "-journal", SQLITE_OPEN_MAIN_JOURNAL);
  return journal != nullptr && journal->Read(0, 1);
}

// Of a file that is missing or empty. A log is begun only after the first page
// has been synchronised, and SQLite would remove it with what it holds.
absl::Status CheckNew(const std::string& path) {
  std::error_code unknown;
  const uintmax_t size = std::filesystem::file_size(path + "-wal", unknown);
  if (unknown || size <= kLogHeaderBytes) return absl::OkStatus();
  return absl::DataLossError(absl::StrFormat(
      "'%s' is missing or empty, but '%s-wal' beside it holds what was stored "
      "last; restore the database, or move the log away to begin anew",
      path, path));
}

// Looks at a file without a connection, which might change it.
absl::Status CheckFile(const std::string& path) {
  constexpr int64_t kHeader = 100;
  const std::unique_ptr<VfsFile> file =
      VfsFile::Open(sqlite3_vfs_find(nullptr), path, SQLITE_OPEN_MAIN_DB);
  if (file == nullptr || !file->Read(0, 1)) return CheckNew(path);
  const std::string header = file->Read(0, kHeader).value_or("");
  if (IsUnfinished(path, header)) return absl::OkStatus();
  return Database::CheckHeader(path, header);
}

// Of writing: a file may not grow. SQLite knows a full disk, and no other
// limit.
bool IsLimit(int error) { return error == EFBIG || error == EDQUOT; }

absl::StatusCode CodeOf(int code) {
  if (code == SQLITE_IOERR_DATA) return absl::StatusCode::kDataLoss;
  if (code == SQLITE_IOERR_NOMEM || code == SQLITE_IOERR_SHMSIZE) {
    return absl::StatusCode::kResourceExhausted;
  }
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

Rows::Rows(Database* db, const char* sql) : db_(*db), statement_(nullptr) {
  absl::StatusOr<sqlite3_stmt*> statement = db->Prepare(sql);
  if (statement.ok()) {
    statement_ = *statement;
  } else {
    status_ = statement.status();
  }
}

Rows::~Rows() {
  if (statement_ == nullptr) return;
  // What it returns is the failure of the last step, told already.
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

bool Rows::Next() {
  if (!status_.ok()) return false;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) status_ = db_.Failure("a statement");
  return false;
}

int64_t Rows::Int(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string_view Rows::Bytes(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes),
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

CheckpointId Rows::Id(int column) const { return IdFromBytes(Bytes(column)); }

void Rows::Bind(int at, int64_t value) {
  if (status_.ok()) sqlite3_bind_int64(statement_, at, value);
}

void Rows::Bind(int at, std::string_view value) {
  if (!status_.ok()) return;
  // Null would be SQL's. Most often the bytes outlive the Rows, but an argument
  // may be made for the call.
  const char* bytes = value.data() == nullptr ? "" : value.data();
  if (sqlite3_bind_blob64(statement_, at, bytes, value.size(),
                          SQLITE_TRANSIENT) != SQLITE_OK) {
    status_ = db_.Failure("an argument");
  }
}

void Rows::Bind(int at, const CheckpointId& value) {
  Bind(at, std::string_view(IdToBytes(value)));
}

absl::Status Database::NotOurs(const std::string& path,
                               const std::string& why) {
  return absl::FailedPreconditionError(
      absl::StrFormat("'%s' is not a weir database: %s", path, why));
}

absl::Status Database::CheckHeader(const std::string& path,
                                   std::string_view header) {
  if (header.size() < 100 || header.substr(0, 15) != "SQLite format 3") {
    return NotOurs(path, "it is not a database of SQLite");
  }
  const int64_t id = BigEndian(header, 68);
  // 0 is what a new one has until its tables leave the write-ahead log.
  if ((id != kApplicationId && id != 0) ||
      header[20] != CheckedPages::kCheckedBytes) {
    return NotOurs(path, "another program has made it");
  }
  const int64_t version = BigEndian(header, 60);
  return version > kUserVersion ? Newer(path, version) : absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(
    const std::string& path, const std::string& vfs) {
  if (absl::Status s = CheckFile(path); !s.ok()) return s;
  if (absl::Status s = CheckLog(path + "-wal"); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<CheckedPages>> pages =
      CheckedPages::Register(vfs);
  if (!pages.ok()) return pages.status();
  std::unique_ptr<Database> db(new Database());
  db->pages_ = *std::move(pages);
  if (absl::Status s = db->Connect(path); !s.ok()) return s;
  if (absl::Status s = db->SetUp(path); !s.ok()) return s;
  return db;
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenToRead(
    const std::string& path, const std::string& vfs, bool& alone) {
  absl::StatusOr<std::unique_ptr<ObservedFiles>> observed =
      ObservedFiles::Register(vfs);
  if (!observed.ok()) return observed.status();
  absl::StatusOr<std::unique_ptr<CheckedPages>> pages =
      CheckedPages::Register((*observed)->name());
  if (!pages.ok()) return pages.status();
  std::unique_ptr<Database> db(new Database());
  db->observed_ = *std::move(observed);
  db->pages_ = *std::move(pages);
  absl::Status s = db->ConnectToRead(path);
  alone = db->alone();
  if (!s.ok()) return s;
  return db;
}

absl::Status Database::Check(const std::string& path) {
  return CheckFile(path);
}

Database::~Database() {
  if (db_ == nullptr) return;
  for (const auto& [sql, statement] : prepared_) sqlite3_finalize(statement);
  CrashPoint("close");
  const bool clean = ours_ && Checkpoint(/*truncate=*/true).ok();
  // A clean close also removes the write-ahead log.
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, clean ? 0 : 1,
                    nullptr);
  sqlite3_close(db_);
  CrashPoint("closed");
}

absl::Status Database::Connect(const std::string& path) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (sqlite3_open_v2(path.c_str(), &db_, flags, pages_->name().c_str()) !=
      SQLITE_OK) {
    const absl::Status s = Failure("opening");
    return {s.code(), absl::StrFormat("'%s': %s", path, s.message())};
  }
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_busy_timeout(db_, 5000);
  return Execute(kPragmas);
}

absl::Status Database::ConnectToRead(const std::string& path) {
  const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code =
      sqlite3_open_v2(UriOf(path).c_str(), &db_, flags, pages_->name().c_str());
  absl::Status s = code == SQLITE_OK ? absl::OkStatus() : Failure("opening");
  if (s.ok()) {
    sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_busy_timeout(db_, 5000);
    s = Execute("PRAGMA cell_size_check=ON; BEGIN");
  }
  if (!s.ok()) {
    return {s.code(), absl::StrFormat("'%s': %s", path, s.message())};
  }
  const absl::StatusOr<int64_t> version = Version(path);
  if (sqlite3_errcode(db_) == SQLITE_NOTADB) {
    return NotOurs(path, "it is not a database of SQLite");
  }
  if (!version.ok()) return version.status();
  if (*version == 0) return NotOurs(path, "nothing has been stored in it");
  if (*version < kUserVersion) return Older(path, *version);
  int reserved = -1;
  sqlite3_file_control(db_, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
  if (reserved == CheckedPages::kCheckedBytes) return absl::OkStatus();
  return NotOurs(path, "another program has made it");
}

absl::Status Database::SetUp(const std::string& path) {
  const absl::StatusOr<int64_t> size = Number("PRAGMA page_count");
  if (!size.ok()) return size.status();
  if (*size == 0) {
    int reserved = CheckedPages::kCheckedBytes;
    sqlite3_file_control(db_, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    absl::Status s = Execute("PRAGMA auto_vacuum=INCREMENTAL");
    if (!s.ok()) return s;
  }
  const absl::StatusOr<int64_t> version = Version(path);
  if (!version.ok()) return version.status();
  absl::Status s =
      Execute("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0");
  if (!s.ok()) return s;
  ours_ = true;
  sqlite3_wal_hook(
      db_,
      [](void* self, sqlite3* /*db*/, const char* /*name*/, int pages) {
        constexpr int64_t kAbout = 4096;
        static_cast<Database*>(self)->wal_bytes_ = pages * kAbout;
        return SQLITE_OK;
      },
      this);
  return Migrate(*version);
}

// The version of its tables, 0 if it has yet to be given some; fails if it is
// not ours.
absl::StatusOr<int64_t> Database::Version(const std::string& path) {
  const absl::StatusOr<int64_t> id = Number("PRAGMA application_id");
  if (!id.ok()) return id.status();
  const absl::StatusOr<int64_t> version = Number("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (*id == kApplicationId && *version > 0) {
    if (*version > kUserVersion) return Newer(path, *version);
    return *version;
  }
  const absl::StatusOr<int64_t> tables =
      Number("SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.status();
  if (*id != 0 || *version != 0 || *tables != 0) {
    return NotOurs(path, "another program has made it");
  }
  return 0;
}

// Brings the tables from `version` to this one's, in one transaction.
absl::Status Database::Migrate(int64_t version) {
  if (version == kUserVersion) return absl::OkStatus();
  absl::Status s = Execute("BEGIN IMMEDIATE");
  for (int64_t step = version; s.ok() && step < kUserVersion; ++step) {
    CrashPoint("migration: step");
    s = Execute(kSteps[step]);
  }
  const std::string end = absl::StrFormat(
      "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
      kApplicationId, kUserVersion);
  CrashPoint("migration: end");
  if (s.ok()) s = Execute(end.c_str());
  if (!s.ok()) return s;
  CrashPoint("migration: ended");
  return Checkpoint(/*truncate=*/true);
}

absl::StatusOr<int64_t> Database::Number(const char* sql) {
  Rows rows(*this, sql);
  const int64_t number = rows.Next() ? rows.Int(0) : 0;
  if (!rows.status().ok()) return rows.status();
  return number;
}

absl::Status Database::Execute(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Failure("setting up");
}

absl::Status Database::Failure(const char* doing) {
  const int code = sqlite3_extended_errcode(db_);
  // SQLite's own note of it is not made where a transaction ends.
  const bool at_limit = code == SQLITE_IOERR_WRITE && IsLimit(errno);
  const absl::StatusCode status =
      at_limit ? absl::StatusCode::kResourceExhausted : CodeOf(code);
  // A damaged page is found by reading it, and harms no other.
  io_failed_ = (code & 0xff) == SQLITE_IOERR && code != SQLITE_IOERR_DATA &&
               code != SQLITE_IOERR_NOMEM && !at_limit;
  return {status, absl::StrFormat("SQLite, %s: %s (%d)", doing,
                                  sqlite3_errmsg(db_), code)};
}

absl::StatusOr<sqlite3_stmt*> Database::Prepare(const char* sql) {
  sqlite3_stmt*& statement = prepared_[sql];
  if (statement != nullptr) return statement;
  if (sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                         nullptr) != SQLITE_OK) {
    return Failure(sql);
  }
  return statement;
}

bool Database::in_transaction() const {
  return sqlite3_get_autocommit(db_) == 0;
}
int64_t Database::last_row() const { return sqlite3_last_insert_rowid(db_); }
int64_t Database::changes() const { return sqlite3_changes64(db_); }

absl::Status Database::Checkpoint(bool truncate) {
  const int mode =
      truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
  CrashPoint(truncate ? "log: cut off" : "log: copied");
  const int code =
      sqlite3_wal_checkpoint_v2(db_, nullptr, mode, nullptr, nullptr);
  CrashPoint(truncate ? "log: was cut off" : "log: was copied");
  if (code != SQLITE_OK) return Failure("a checkpoint");
  // Pages in memory have what CheckedPages has left out of the file.
  if (truncate) sqlite3_db_release_memory(db_);
  wal_bytes_ = 0;
  return absl::OkStatus();
}

absl::StatusOr<bool> Database::Shrink() {
  constexpr int64_t kFew = 256;  // Free pages that are left as they are.
  const absl::StatusOr<int64_t> pages = Number("PRAGMA page_count");
  if (!pages.ok()) return pages.status();
  const int64_t keep = std::max(kFew, *pages / 4);
  const absl::StatusOr<int64_t> free = Number("PRAGMA freelist_count");
  if (!free.ok()) return free.status();
  if (*free <= keep) return false;
  if (absl::Status s = Run("PRAGMA incremental_vacuum(256)"); !s.ok()) return s;
  return *free - kFew > keep;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
