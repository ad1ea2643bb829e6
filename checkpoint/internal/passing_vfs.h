#ifndef WEIR_CHECKPOINT_INTERNAL_PASSING_VFS_H_
#define WEIR_CHECKPOINT_INTERNAL_PASSING_VFS_H_

#include <sqlite3.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

// A SQLite VFS that stands before another one, and passes on what it does not
// do itself. The VFS below is its pAppData; a File, which has the methods, is
// followed in memory by the file below.
//
// Source: SQLite's description of its VFS.
namespace weir {
inline namespace v0 {
namespace internal {

inline sqlite3_vfs* Below(sqlite3_vfs* vfs) {
  return static_cast<sqlite3_vfs*>(vfs->pAppData);
}
template <class File>
sqlite3_file* Below(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(static_cast<File*>(file) + 1);
}

template <class File, auto kMethod, class... Args>
auto Pass(sqlite3_file* file, Args... args) {
  sqlite3_file* const below = Below<File>(file);
  return (below->pMethods->*kMethod)(below, args...);
}
template <auto kMethod, class... Args>
int Pass(sqlite3_vfs* vfs, Args... args) {
  return (Below(vfs)->*kMethod)(Below(vfs), args...);
}

// All methods of a File. Version 2: no memory mapping, which would pass over
// its xRead.
template <class File>
constexpr sqlite3_io_methods PassingMethods() {
  using M = sqlite3_io_methods;
  M all = {};
  all.iVersion = 2;
  all.xClose = &Pass<File, &M::xClose>;
  all.xRead = &Pass<File, &M::xRead, void*, int, sqlite3_int64>;
  all.xWrite = &Pass<File, &M::xWrite, const void*, int, sqlite3_int64>;
  all.xTruncate = &Pass<File, &M::xTruncate, sqlite3_int64>;
  all.xSync = &Pass<File, &M::xSync, int>;
  all.xFileSize = &Pass<File, &M::xFileSize, sqlite3_int64*>;
  all.xLock = &Pass<File, &M::xLock, int>;
  all.xUnlock = &Pass<File, &M::xUnlock, int>;
  all.xCheckReservedLock = &Pass<File, &M::xCheckReservedLock, int*>;
  all.xFileControl = &Pass<File, &M::xFileControl, int, void*>;
  all.xSectorSize = &Pass<File, &M::xSectorSize>;
  all.xDeviceCharacteristics = &Pass<File, &M::xDeviceCharacteristics>;
  all.xShmMap = &Pass<File, &M::xShmMap, int, int, int, void volatile**>;
  all.xShmLock = &Pass<File, &M::xShmLock, int, int, int>;
  all.xShmBarrier = &Pass<File, &M::xShmBarrier>;
  all.xShmUnmap = &Pass<File, &M::xShmUnmap, int>;
  return all;
}

// Makes `vfs`, which has an xOpen and is otherwise empty, known to SQLite by
// `name`, which must outlive it, before the VFS `under`; "" is SQLite's
// default. InvalidArgument if there is none of that name.
template <class File>
absl::Status RegisterBefore(const std::string& under, const std::string& name,
                            sqlite3_vfs& vfs) {
  using V = sqlite3_vfs;
  V* const below = sqlite3_vfs_find(under.empty() ? nullptr : under.c_str());
  if (below == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrFormat("SQLite has no VFS '%s'", under));
  }
  vfs.iVersion = 1;
  vfs.szOsFile = static_cast<int>(sizeof(File)) + below->szOsFile;
  vfs.mxPathname = below->mxPathname;
  vfs.zName = name.c_str();
  vfs.pAppData = below;
  vfs.xDelete = &Pass<&V::xDelete, const char*, int>;
  vfs.xAccess = &Pass<&V::xAccess, const char*, int, int*>;
  vfs.xFullPathname = &Pass<&V::xFullPathname, const char*, int, char*>;
  vfs.xRandomness = &Pass<&V::xRandomness, int, char*>;
  vfs.xSleep = &Pass<&V::xSleep, int>;
  vfs.xCurrentTime = &Pass<&V::xCurrentTime, double*>;
  vfs.xGetLastError = &Pass<&V::xGetLastError, int, char*>;
  if (sqlite3_vfs_register(&vfs, /*makeDflt=*/0) != SQLITE_OK) {
    return absl::ResourceExhaustedError("SQLite takes no further VFS");
  }
  return absl::OkStatus();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_PASSING_VFS_H_
