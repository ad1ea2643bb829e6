#include "weir/checkpoint/internal/database.h"

#include <sqlite3.h>

#include <cstddef>
#include <fstream>
#include <utility>

#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/record.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr int64_t kApplicationId = 0x57454952;  // "WEIR"
constexpr int64_t kUserVersion = 1;

// Before a file is known to be weir's nothing of this may change it.
constexpr char kPragmas[] =
    "PRAGMA cell_size_check=ON;"
    "PRAGMA mmap_size=0;"
    "PRAGMA foreign_keys=OFF;"
    "PRAGMA synchronous=FULL;";

// What is in a record comes last, so that the columns before it can be read
// without it.
constexpr char kSchema[] =
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
    "CREATE INDEX task_write_run ON task_write(run) WHERE run <> x'';";

absl::Status NotOurs(const std::string& path, const std::string& why) {
  return absl::FailedPreconditionError(
      absl::StrFormat("'%s' is not a weir database: %s", path, why));
}
absl::Status Newer(const std::string& path, int64_t version) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "'%s' was made by a newer version of weir (schema %d, this one knows "
      "%d); open it with that one",
      path, version, kUserVersion));
}

int64_t BigEndian(std::string_view bytes) {
  int64_t number = 0;
  for (char c : bytes) number = number << 8 | static_cast<unsigned char>(c);
  return number;
}

// Looks at a file without SQLite, which might change it. True if it is new.
absl::StatusOr<bool> CheckFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string header(100, '\0');
  if (!file) return true;
  file.read(header.data(), static_cast<std::streamsize>(header.size()));
  if (file.gcount() == 0) return true;
  const std::string_view view = header;
  if (file.gcount() < 100 || view.substr(0, 15) != "SQLite format 3") {
    return NotOurs(path, "it is not a database of SQLite");
  }
  const int64_t id = BigEndian(view.substr(68, 4));
  // 0 is what a new one has until its tables leave the write-ahead log.
  if ((id != kApplicationId && id != 0) ||
      view[20] != CheckedPages::kCheckedBytes) {
    return NotOurs(path, "another program has made it");
  }
  const int64_t version = BigEndian(view.substr(60, 4));
  if (version > kUserVersion) return Newer(path, version);
  return false;
}

absl::StatusCode CodeOf(int code) {
  if (code == SQLITE_IOERR_DATA) return absl::StatusCode::kDataLoss;
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

absl::StatusOr<std::unique_ptr<Database>> Database::Open(
    const std::string& path, const std::string& vfs) {
  const absl::StatusOr<bool> is_new = CheckFile(path);
  if (!is_new.ok()) return is_new.status();
  absl::StatusOr<std::unique_ptr<CheckedPages>> pages =
      CheckedPages::Register(vfs);
  if (!pages.ok()) return pages.status();
  std::unique_ptr<Database> db(new Database());
  db->pages_ = *std::move(pages);
  if (absl::Status s = db->Connect(path); !s.ok()) return s;
  if (absl::Status s = db->SetUp(path, *is_new); !s.ok()) return s;
  return db;
}

absl::Status Database::Check(const std::string& path) {
  return CheckFile(path).status();
}

Database::~Database() {
  if (db_ == nullptr) return;
  for (const auto& [sql, statement] : prepared_) sqlite3_finalize(statement);
  const bool clean = ours_ && Checkpoint(/*truncate=*/true).ok();
  // A clean close also removes the write-ahead log.
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, clean ? 0 : 1,
                    nullptr);
  sqlite3_close(db_);
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

absl::Status Database::SetUp(const std::string& path, bool is_new) {
  if (is_new) {
    int reserved = CheckedPages::kCheckedBytes;
    sqlite3_file_control(db_, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    absl::Status s = Execute("PRAGMA auto_vacuum=INCREMENTAL");
    if (!s.ok()) return s;
  }
  const absl::StatusOr<bool> empty = IsEmpty(path);
  if (!empty.ok()) return empty.status();
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
  return *empty ? Create() : absl::OkStatus();
}

// Whether it has yet to be given its tables; fails if it is not ours.
absl::StatusOr<bool> Database::IsEmpty(const std::string& path) {
  const absl::StatusOr<int64_t> id = Number("PRAGMA application_id");
  if (!id.ok()) return id.status();
  const absl::StatusOr<int64_t> version = Number("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (*id == kApplicationId) {
    if (*version > kUserVersion) return Newer(path, *version);
    return false;
  }
  const absl::StatusOr<int64_t> tables =
      Number("SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.status();
  if (*id != 0 || *version != 0 || *tables != 0) {
    return NotOurs(path, "another program has made it");
  }
  return true;
}

absl::Status Database::Create() {
  const std::string sql = absl::StrFormat(
      "BEGIN IMMEDIATE; %s PRAGMA application_id=%d; PRAGMA user_version=%d; "
      "COMMIT",
      kSchema, kApplicationId, kUserVersion);
  if (absl::Status s = Execute(sql.c_str()); !s.ok()) return s;
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
  const absl::StatusCode status = CodeOf(code);
  // A damaged page is found by reading it, and harms no other.
  io_failed_ = (code & 0xff) == SQLITE_IOERR && code != SQLITE_IOERR_DATA;
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
  const int code =
      sqlite3_wal_checkpoint_v2(db_, nullptr, mode, nullptr, nullptr);
  wal_bytes_ = 0;
  return code == SQLITE_OK ? absl::OkStatus() : Failure("a checkpoint");
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
