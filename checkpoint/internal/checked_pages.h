#ifndef WEIR_CHECKPOINT_INTERNAL_CHECKED_PAGES_H_
#define WEIR_CHECKPOINT_INTERNAL_CHECKED_PAGES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace weir {
inline namespace v0 {
namespace internal {

// CheckedPages: a SQLite VFS that puts a checksum at the end of each page of a
// database file, and refuses to read a page that differs from it, with
// SQLITE_IOERR_DATA. Without it a changed byte in the tree that leads to a
// record could make the record seem never to have been stored. It also writes
// zeros for what SQLite has left in the free part of a page, so that what is
// deleted is nowhere; not so in files of 2^24 pages and more. It needs
// kCheckedBytes reserved in each page; other databases it leaves as they are.
// It counts what is written and synchronised, of databases and their logs.
//
// Lifetime: from Register() until destroyed SQLite knows it by name(), and
//           connections through it must be closed before.
// Source:   SQLite's cksumvfs, on its documented VFS interface; the checksum is
//           XXH3 of the page, with its number for a seed.
class CheckedPages {
 public:
  static constexpr int kCheckedBytes = 8;

  // `under` is the VFS below by name; "" for SQLite's default. InvalidArgument
  // if there is none.
  static absl::StatusOr<std::unique_ptr<CheckedPages>> Register(
      const std::string& under);
  ~CheckedPages();
  CheckedPages(const CheckedPages&) = delete;
  CheckedPages& operator=(const CheckedPages&) = delete;

  const std::string& name() const { return name_; }

  // What connections through it have done to databases and their logs, copied
  // in a checkpoint included. Relaxed: only the numbers count.
  uint64_t syncs() const {
    return counts_.syncs.load(std::memory_order_relaxed);
  }
  uint64_t bytes_written() const {
    return counts_.bytes.load(std::memory_order_relaxed);
  }

  struct Counts {
    std::atomic<uint64_t> syncs{0};
    std::atomic<uint64_t> bytes{0};
  };

  // Whether a page of a database is as it was written; numbers are from 1.
  static bool IsWhole(std::string_view page, uint32_t number);

 private:
  struct Vfs;
  CheckedPages();

  std::string name_;
  Counts counts_;
  std::unique_ptr<Vfs> vfs_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_CHECKED_PAGES_H_
