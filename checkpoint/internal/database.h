#ifndef WEIR_CHECKPOINT_INTERNAL_DATABASE_H_
#define WEIR_CHECKPOINT_INTERNAL_DATABASE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/internal/checked_pages.h"
#include "weir/checkpoint/internal/crash_point.h"
#include "weir/checkpoint/internal/observed_files.h"

struct sqlite3;
struct sqlite3_stmt;

namespace weir {
inline namespace v0 {
namespace internal {

class Database;

// Rows: what a statement gives, one row at a time. A statement gives one Rows
// at a time.
//
// Lifetime: the Database must outlive it.
class Rows {
 public:
  // `sql` is a constant, prepared at its first use; `args` are integers, bytes
  // or ids, for ?1 and so on.
  template <class... Args>
  explicit Rows(Database& db, const char* sql, const Args&... args)
      : Rows(&db, sql) {
    [[maybe_unused]] int at = 0;
    (Bind(++at, args), ...);
  }
  ~Rows();
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  // Goes to the next row; false after the last, or after a failure.
  bool Next();
  const absl::Status& status() const { return status_; }

  // Columns of the row, from 0. Views end with the row.
  int64_t Int(int column) const;
  std::string_view Bytes(int column) const;
  CheckpointId Id(int column) const;

 private:
  Rows(Database* db, const char* sql);
  void Bind(int at, int64_t value);
  void Bind(int at, std::string_view value);
  void Bind(int at, const CheckpointId& value);

  Database& db_;
  sqlite3_stmt* statement_;  // Null if it could not be prepared.
  absl::Status status_;
};

// Database: the one connection to a file of SqliteCheckpointer, which it makes
// if there is none, with the pragmas and tables of docs/checkpoint_format.md.
//
// Errors:  ResourceExhausted if the disk or memory is full; DataLoss for a page
//          that is damaged; Unavailable for other failures of the file.
// Threads: single-owner.
class Database {
 public:
  // FailedPrecondition for a file that is no weir database or a newer one's,
  // which is left as it is.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path,
                                                        const std::string& vfs);
  // Only to be read, in one transaction that lasts as long as this does. No
  // file is made, changed or removed. `alone` is what alone() is after a
  // failure.
  static absl::StatusOr<std::unique_ptr<Database>> OpenToRead(
      const std::string& path, const std::string& vfs, bool& alone);
  // FailedPrecondition for a header (100 bytes) that Open() refuses.
  static absl::Status CheckHeader(const std::string& path,
                                  std::string_view header);
  static absl::Status NotOurs(const std::string& path, const std::string& why);
  // Whether Open() refuses what is there, as far as can be told by reading it.
  static absl::Status Check(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Takes all rows.
  template <class... Args>
  absl::Status Run(const char* sql, const Args&... args) {
    CrashPoint(sql);
    Rows rows(*this, sql, args...);
    while (rows.Next()) {
    }
    return rows.status();
  }

  // Whether a transaction has begun, and not been undone by a failure.
  bool in_transaction() const;
  int64_t last_row() const;
  // How many rows the last statement that changes any has changed.
  int64_t changes() const;
  // Whether the last failure was one to read, write or synchronise a file.
  bool io_failed() const { return io_failed_; }

  // Copies what the write-ahead log has to the database; all of it and for
  // good if `truncate`.
  absl::Status Checkpoint(bool truncate);
  // Takes up to a few hundred free pages off the end of the file, outside a
  // transaction, if it has many; true if there are still many.
  absl::StatusOr<bool> Shrink();
  // Nothing is written when it is closed, nor the log removed.
  void LeaveAsIs() { ours_ = false; }
  // Of OpenToRead(): whether nothing has kept writers from changing the file.
  bool alone() const { return observed_ != nullptr && observed_->alone(); }
  // Of this connection. Thread-safe.
  const CheckedPages& files() const { return *pages_; }
  // Bytes of the write-ahead log since it was last begun anew.
  int64_t wal_bytes() const { return wal_bytes_; }

 private:
  friend class Rows;
  Database() = default;

  absl::Status Connect(const std::string& path);
  absl::Status SetUp(const std::string& path);
  absl::Status ConnectToRead(const std::string& path);
  absl::StatusOr<int64_t> Version(const std::string& path);
  absl::Status Migrate(int64_t version);
  absl::StatusOr<int64_t> Number(const char* sql);
  absl::Status Execute(const char* sql);
  absl::Status Failure(const char* doing);
  absl::StatusOr<sqlite3_stmt*> Prepare(const char* sql);

  std::unique_ptr<ObservedFiles> observed_;  // If it is only read.
  std::unique_ptr<CheckedPages> pages_;
  sqlite3* db_ = nullptr;
  absl::flat_hash_map<const void*, sqlite3_stmt*> prepared_;
  int64_t wal_bytes_ = 0;
  bool ours_ = false;  // Else it is to be left as it is.
  bool io_failed_ = false;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_DATABASE_H_
