#include "weir/checkpoint/internal/vfs_file.h"

#include <sqlite3.h>

namespace weir {
inline namespace v0 {
namespace internal {

std::unique_ptr<VfsFile> VfsFile::Open(sqlite3_vfs* vfs,
                                       const std::string& path, int kind) {
  std::unique_ptr<VfsFile> made(new VfsFile());
  // A name of SQLite's, behind which it may look for parameters.
  made->name_ = sqlite3_create_filename(path.c_str(), "", "", 0, nullptr);
  made->bytes_.resize(static_cast<size_t>(vfs->szOsFile));
  int flags = kind | SQLITE_OPEN_READONLY;
  if (vfs->xOpen(vfs, made->name_, made->file(), flags, &flags) != SQLITE_OK) {
    return nullptr;
  }
  return made;
}

VfsFile::~VfsFile() {
  if (file()->pMethods != nullptr) file()->pMethods->xClose(file());
  sqlite3_free_filename(name_);
}

int64_t VfsFile::Size() {
  sqlite3_int64 size = 0;
  return file()->pMethods->xFileSize(file(), &size) == SQLITE_OK ? size : 0;
}

std::optional<std::string> VfsFile::Read(int64_t at, size_t size) {
  std::string bytes(size, '\0');
  const int rc =
      file()->pMethods->xRead(file(), bytes.data(), static_cast<int>(size), at);
  if (rc != SQLITE_OK) return std::nullopt;
  return bytes;
}

sqlite3_file* VfsFile::file() {
  return reinterpret_cast<sqlite3_file*>(bytes_.data());
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
