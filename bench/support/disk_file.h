#ifndef WEIR_BENCH_SUPPORT_DISK_FILE_H_
#define WEIR_BENCH_SUPPORT_DISK_FILE_H_

#include <sqlite3.h>
#include <stdlib.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace weir {

// SyncCount: a VFS of SQLite over its default one that counts how often files
// are synchronised with the disk. Made once a process, before files on it.
class SyncCount {
 public:
  static constexpr char kName[] = "weir-sync-count";

  static SyncCount& Get() {
    static auto* const kCount = new SyncCount();
    return *kCount;
  }
  // Read while no store is at work.
  int64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }

 private:
  SyncCount() : under_(sqlite3_vfs_find(nullptr)), vfs_(*under_) {
    vfs_.zName = kName;
    vfs_.xOpen = &Open;
    // The file of the VFS below comes first, so that its own functions serve.
    vfs_.szOsFile = under_->szOsFile + static_cast<int>(sizeof(Methods));
    sqlite3_vfs_register(&vfs_, 0);
  }

  // Behind a file of the VFS below: its methods with another xSync.
  struct Methods {
    sqlite3_io_methods counting;
    const sqlite3_io_methods* below;
  };
  static Methods* MethodsOf(sqlite3_file* file) {
    return reinterpret_cast<Methods*>(reinterpret_cast<char*>(file) +
                                      Get().under_->szOsFile);
  }
  static int Sync(sqlite3_file* file, int flags) {
    // Relaxed: a count.
    Get().syncs_.fetch_add(1, std::memory_order_relaxed);
    return MethodsOf(file)->below->xSync(file, flags);
  }
  static int Open(sqlite3_vfs* /*vfs*/, const char* name, sqlite3_file* file,
                  int flags, int* out_flags) {
    const int code =
        Get().under_->xOpen(Get().under_, name, file, flags, out_flags);
    if (code != SQLITE_OK || file->pMethods == nullptr) return code;
    Methods* methods = MethodsOf(file);
    methods->below = file->pMethods;
    methods->counting = *file->pMethods;
    methods->counting.xSync = &Sync;
    file->pMethods = &methods->counting;
    return code;
  }

  sqlite3_vfs* const under_;
  sqlite3_vfs vfs_;
  std::atomic<int64_t> syncs_{0};
};

// DiskFolder: a folder of a benchmark's own on the disk that holds temporary
// files (TMPDIR), gone when this ends.
class DiskFolder {
 public:
  DiskFolder()
      : path_(std::filesystem::temp_directory_path().string() +
              "/weir-bench-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~DiskFolder() { std::filesystem::remove_all(path_); }
  DiskFolder(const DiskFolder&) = delete;
  DiskFolder& operator=(const DiskFolder&) = delete;

  std::string File(const std::string& name) const { return path_ + "/" + name; }
  // Of all files in it.
  int64_t bytes() const {
    int64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      bytes += static_cast<int64_t>(entry.file_size());
    }
    return bytes;
  }

 private:
  std::string path_;
};

}  // namespace weir

#endif  // WEIR_BENCH_SUPPORT_DISK_FILE_H_
