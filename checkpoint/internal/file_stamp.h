#ifndef WEIR_CHECKPOINT_INTERNAL_FILE_STAMP_H_
#define WEIR_CHECKPOINT_INTERNAL_FILE_STAMP_H_

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <string>

namespace weir {
inline namespace v0 {
namespace internal {

// FileStamp: which files a database had at a moment, and when each was last
// changed. Equal stamps: nobody has written it in between.
class FileStamp {
 public:
  explicit FileStamp(const std::string& path)
      : files_{Look(path), Look(path + "-wal"), Look(path + "-shm")} {}

  bool exists() const { return files_[0].exists; }

  friend bool operator==(const FileStamp&, const FileStamp&) = default;

 private:
  struct File {
    bool exists = false;
    uint64_t inode = 0;
    int64_t bytes = 0;
    int64_t seconds = 0;
    int64_t nanoseconds = 0;
    friend bool operator==(const File&, const File&) = default;
  };

  static File Look(const std::string& path) {
    struct stat found {};
    if (stat(path.c_str(), &found) != 0) return {};
    return {true, found.st_ino, found.st_size, found.st_mtim.tv_sec,
            found.st_mtim.tv_nsec};
  }

  std::array<File, 3> files_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_FILE_STAMP_H_
