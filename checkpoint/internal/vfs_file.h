#ifndef WEIR_CHECKPOINT_INTERNAL_VFS_FILE_H_
#define WEIR_CHECKPOINT_INTERNAL_VFS_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct sqlite3_file;
struct sqlite3_vfs;

namespace weir {
inline namespace v0 {
namespace internal {

// VfsFile: a file of a database to be read past SQLite, but opened by it. To
// close a file that has been opened in another way gives back every lock that
// the process has on it, a connection's too.
//
// Threads:  single-owner.
// Lifetime: the VFS must outlive it.
class VfsFile {
 public:
  // `kind` is SQLITE_OPEN_MAIN_DB or SQLITE_OPEN_WAL. Null if there is no file
  // that can be read.
  static std::unique_ptr<VfsFile> Open(sqlite3_vfs* vfs,
                                       const std::string& path, int kind);
  ~VfsFile();
  VfsFile(const VfsFile&) = delete;
  VfsFile& operator=(const VfsFile&) = delete;

  int64_t Size();
  // Nothing if they are not all there.
  std::optional<std::string> Read(int64_t at, size_t size);

 private:
  VfsFile() = default;
  sqlite3_file* file();

  const char* name_ = nullptr;
  std::vector<char> bytes_;  // Of the size that the VFS needs.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_VFS_FILE_H_
