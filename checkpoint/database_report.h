#ifndef WEIR_CHECKPOINT_DATABASE_REPORT_H_
#define WEIR_CHECKPOINT_DATABASE_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/export.h"

// Looks for damage in a file of SqliteCheckpointer, and saves what is whole.
//
// Shape:    the file is read past SQLite, which ends at the first damaged page:
//           all rows of all other pages are found, also below a damaged page of
//           a tree, or without the first page. Each row is checked by its own
//           checksum, and what it refers to is looked for.
// Cost:     reads the whole file. Keys of all values and checkpoints are in
//           memory, and one row.
// Errors:   NotFound: there is no file. FailedPrecondition: it is not weir's,
//           or it has something that a newer weir has written. Damage is no
//           error: it is in the report.
// Threads:  thread-safe; works in the caller's thread. The file is never
//           changed, and another process may write it meanwhile: what is seen
//           is one moment.
// Source:   docs/checkpoint_format.md.
namespace weir {
inline namespace v0 {

// DatabaseDamage: something that is lost, or cannot be told to be whole. What
// is not known, or of no meaning, is empty.
struct DatabaseDamage {
  std::string what{};  // In words.
  uint32_t page = 0;   // Of the file, from 1.
  std::string thread{};
  std::string ns{};
  CheckpointId checkpoint{};
  std::string channel{};
};

// DatabaseThread: a thread as the file has it.
struct DatabaseThread {
  // Whether what the thread had is all there.
  enum State {
    kWhole,
    // All that is there is good, but rows have been lost of which it is not
    // known whether they were this thread's or another's.
    kDoubtful,
    kDamaged,
  };
  std::string name{};
  State state = kWhole;
  uint64_t checkpoints = 0;
  uint64_t writes = 0;
};

// DatabaseReport: what a file has, and what is wrong with it.
struct DatabaseReport {
  uint64_t pages = 0;
  uint64_t records = 0;  // That have been checked.
  std::vector<uint32_t> damaged_pages{};
  // Of the write-ahead log's end: what a crash has cut off there, or damage,
  // which reads the same.
  uint64_t cut_log_frames = 0;
  std::vector<DatabaseDamage> damage{};
  std::vector<DatabaseThread> threads{};  // By name.

  bool whole() const { return damaged_pages.empty() && damage.empty(); }
};

// DatabaseReportOptions: every field has a default.
struct DatabaseReportOptions {
  // The VFS of SQLite that files are reached through; "" is its default.
  std::string vfs{};
};

// Checks every page and every record.
[[nodiscard]] WEIR_EXPORT absl::StatusOr<DatabaseReport> VerifyDatabase(
    const std::string& path, const DatabaseReportOptions& options = {});

// Does the same, and makes a database at `to` of all threads that are whole or
// doubtful. AlreadyExists: there is a file at `to`. Errors of writing are those
// of SqliteCheckpointer; what has been written of `to` then stays, and is not
// to be used.
[[nodiscard]] WEIR_EXPORT absl::StatusOr<DatabaseReport> SalvageDatabase(
    const std::string& path, const std::string& to,
    const DatabaseReportOptions& options = {});

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_DATABASE_REPORT_H_
