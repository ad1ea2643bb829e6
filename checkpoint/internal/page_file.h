#ifndef WEIR_CHECKPOINT_INTERNAL_PAGE_FILE_H_
#define WEIR_CHECKPOINT_INTERNAL_PAGE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/internal/checked_pages.h"
#include "weir/checkpoint/internal/vfs_file.h"

struct sqlite3_vfs;

namespace weir {
inline namespace v0 {
namespace internal {

struct LogHeader;

// PageFile: the pages of a weir database without SQLite's help, which ends at
// the first damaged one: those of the file, and over them what its write-ahead
// log has committed. It changes nothing.
//
// Errors:   a page that cannot be read, or differs from its checksum, is none.
// Threads:  single-owner.
// Lifetime: a writer must be kept from copying or beginning the log anew, or
//           the files be compared afterwards.
// Source:   SQLite's file format, "The Database File Format" 1 and 4.
class PageFile {
 public:
  // NotFound: there is no file. FailedPrecondition: it is not weir's, or a
  // newer one's, as far as damage lets it be told.
  static absl::StatusOr<std::unique_ptr<PageFile>> Open(const std::string& path,
                                                        const std::string& vfs);
  PageFile(const PageFile&) = delete;
  PageFile& operator=(const PageFile&) = delete;

  // Pages from 1 to count(); those past present() are cut off.
  uint32_t count() const { return count_; }
  uint32_t present() const { return present_; }
  // The bytes of a page that SQLite uses.
  size_t usable() const { return page_bytes_ - CheckedPages::kCheckedBytes; }

  std::optional<std::string> Read(uint32_t number) const;
  // Whether nothing has ever been written to a page.
  bool IsBlank(uint32_t number) const;

  // Frames at the end of the log that are not whole, and so are none.
  uint32_t cut_frames() const { return cut_frames_; }
  // Whether a whole transaction was among them or behind them.
  bool log_damaged() const { return log_damaged_; }

 private:
  PageFile() = default;

  absl::Status Begin(const std::string& path, sqlite3_vfs* vfs);
  absl::Status CheckHeader(const std::string& path);
  void ReadLog();
  void CountCutFrames(int64_t at, const LogHeader& header);
  bool AnyPageIsOurs() const;

  std::unique_ptr<VfsFile> file_;
  std::unique_ptr<VfsFile> log_;  // Null if there is none.
  size_t page_bytes_ = 4096;
  uint32_t count_ = 0;
  uint32_t present_ = 0;
  uint32_t committed_ = 0;  // Pages after the log's last transaction; or 0.
  absl::flat_hash_map<uint32_t, int64_t>
      frames_;  // Places of pages in the log.
  uint32_t cut_frames_ = 0;
  bool log_damaged_ = false;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_PAGE_FILE_H_
