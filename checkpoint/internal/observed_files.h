#ifndef WEIR_CHECKPOINT_INTERNAL_OBSERVED_FILES_H_
#define WEIR_CHECKPOINT_INTERNAL_OBSERVED_FILES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace weir {
inline namespace v0 {
namespace internal {

// ObservedFiles: a SQLite VFS for a connection that only reads, through which
// it can make, change or remove no file. Without it SQLite makes a write-ahead
// log and its index beside a database that has none, and where the index is
// missing it reads no database at all.
//
// A log that is missing reads as empty. An index (`-shm`) that is missing is
// one that may not be trusted, so that SQLite makes its own in memory; then no
// lock tells a writer of this reader, who has to look afterwards whether the
// files are still the same. To be used with the parameter readonly_shm=1.
//
// Threads:  of one connection, whose owner's this is.
// Lifetime: as CheckedPages.
// Source:   SQLite's "read-only WAL-mode databases".
class ObservedFiles {
 public:
  // `under` is the VFS below by name; "" for SQLite's default. InvalidArgument
  // if there is none.
  static absl::StatusOr<std::unique_ptr<ObservedFiles>> Register(
      const std::string& under);
  ~ObservedFiles();
  ObservedFiles(const ObservedFiles&) = delete;
  ObservedFiles& operator=(const ObservedFiles&) = delete;

  const std::string& name() const { return name_; }
  // Whether it has met a database without an index.
  bool alone() const;

 private:
  struct Vfs;
  ObservedFiles();

  std::string name_;
  std::unique_ptr<Vfs> vfs_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_OBSERVED_FILES_H_
