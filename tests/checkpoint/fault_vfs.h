#ifndef WEIR_TESTS_CHECKPOINT_FAULT_VFS_H_
#define WEIR_TESTS_CHECKPOINT_FAULT_VFS_H_

#include <sqlite3.h>

#include <atomic>
#include <new>

#include "gtest/gtest.h"

namespace weir {

// A VFS of SQLite over its default one, that counts how often a file is
// synchronised, and fails on demand. Databases on it must be closed before.
class FaultVfs {
 public:
  static constexpr char kName[] = "weir-faults";

  FaultVfs() : under_(sqlite3_vfs_find(nullptr)) {
    vfs_ = *under_;
    vfs_.zName = kName;
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + under_->szOsFile;
    vfs_.xOpen = &Open;
    EXPECT_EQ(sqlite3_vfs_register(&vfs_, 0), SQLITE_OK);
  }
  ~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  // Read and set while no call is under way; a call's own order makes them
  // visible to the store's worker, so relaxed is enough.
  int syncs() const { return syncs_.load(std::memory_order_relaxed); }
  // Codes of SQLite that each xWrite and xSync fails with; SQLITE_OK for none.
  void FailWrites(int code) { write_.store(code, std::memory_order_relaxed); }
  void FailSyncs(int code) { sync_.store(code, std::memory_order_relaxed); }

 private:
  struct File : sqlite3_file {
    FaultVfs* vfs = nullptr;
    sqlite3_io_methods methods{};
    sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

  template <auto kMethod, class... Args>
  static int Pass(sqlite3_file* file, Args... args) {
    sqlite3_file* below = static_cast<File*>(file)->below();
    return (below->pMethods->*kMethod)(below, args...);
  }
  static void Barrier(sqlite3_file* file) {
    sqlite3_file* below = static_cast<File*>(file)->below();
    below->pMethods->xShmBarrier(below);
  }
  static int Write(sqlite3_file* file, const void* from, int size,
                   sqlite3_int64 at) {
    const int code =
        static_cast<File*>(file)->vfs->write_.load(std::memory_order_relaxed);
    if (code != SQLITE_OK) return code;
    return Pass<&sqlite3_io_methods::xWrite>(file, from, size, at);
  }
  static int Sync(sqlite3_file* file, int flags) {
    FaultVfs* vfs = static_cast<File*>(file)->vfs;
    const int code = vfs->sync_.load(std::memory_order_relaxed);
    if (code != SQLITE_OK) return code;
    vfs->syncs_.fetch_add(1, std::memory_order_relaxed);
    return Pass<&sqlite3_io_methods::xSync>(file, flags);
  }
  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file,
                  int flags, int* out_flags) {
    auto* self = static_cast<FaultVfs*>(vfs->pAppData);
    File* opened = new (file) File();
    opened->pMethods = nullptr;
    opened->vfs = self;
    const int code = self->under_->xOpen(self->under_, name, opened->below(),
                                         flags, out_flags);
    if (opened->below()->pMethods == nullptr) return code;
    using M = sqlite3_io_methods;
    M& m = opened->methods;
    m.iVersion = 2;
    m.xClose = &Pass<&M::xClose>;
    m.xRead = &Pass<&M::xRead, void*, int, sqlite3_int64>;
    m.xWrite = &Write;
    m.xTruncate = &Pass<&M::xTruncate, sqlite3_int64>;
    m.xSync = &Sync;
    m.xFileSize = &Pass<&M::xFileSize, sqlite3_int64*>;
    m.xLock = &Pass<&M::xLock, int>;
    m.xUnlock = &Pass<&M::xUnlock, int>;
    m.xCheckReservedLock = &Pass<&M::xCheckReservedLock, int*>;
    m.xFileControl = &Pass<&M::xFileControl, int, void*>;
    m.xSectorSize = &Pass<&M::xSectorSize>;
    m.xDeviceCharacteristics = &Pass<&M::xDeviceCharacteristics>;
    m.xShmMap = &Pass<&M::xShmMap, int, int, int, void volatile**>;
    m.xShmLock = &Pass<&M::xShmLock, int, int, int>;
    m.xShmBarrier = &Barrier;
    m.xShmUnmap = &Pass<&M::xShmUnmap, int>;
    opened->pMethods = &m;
    return code;
  }

  sqlite3_vfs* const under_;
  sqlite3_vfs vfs_{};
  std::atomic<int> syncs_{0};
  std::atomic<int> write_{SQLITE_OK};
  std::atomic<int> sync_{SQLITE_OK};
};

}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_FAULT_VFS_H_
