#include "weir/checkpoint/internal/observed_files.h"

#include <sqlite3.h>

#include <cstddef>
#include <cstring>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace internal {

struct ObservedFiles::Vfs : sqlite3_vfs {
  sqlite3_vfs* below = nullptr;
  bool alone = false;
};

namespace {

// A database file; the one below follows it in memory.
struct File : sqlite3_file {
  const char* name = nullptr;  // SQLite's, which outlives the file.
  sqlite3_vfs* vfs = nullptr;  // The one below.
  bool* told_alone = nullptr;
  bool asked = false;  // Whether `alone` is known.
  bool alone = false;

  sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

File* Cast(sqlite3_file* file) { return static_cast<File*>(file); }

template <auto kMethod, class... Args>
int Pass(sqlite3_file* file, Args... args) {
  sqlite3_file* below = Cast(file)->below();
  return (below->pMethods->*kMethod)(below, args...);
}

int NoWrite(sqlite3_file* /*file*/, const void* /*from*/, int /*size*/,
            sqlite3_int64 /*at*/) {
  return SQLITE_READONLY;
}
int NoTruncate(sqlite3_file* /*file*/, sqlite3_int64 /*size*/) {
  return SQLITE_READONLY;
}

// Asked once, so that what is locked is also unlocked.
bool IsAlone(File* file) {
  if (file->asked) return file->alone;
  file->asked = true;
  const std::string index = std::string(file->name) + "-shm";
  int exists = 0;
  file->vfs->xAccess(file->vfs, index.c_str(), SQLITE_ACCESS_EXISTS, &exists);
  file->alone = exists == 0;
  if (file->alone) *file->told_alone = true;
  return file->alone;
}
int ShmMap(sqlite3_file* file, int page, int size, int extend,
           void volatile** to) {
  *to = nullptr;
  if (IsAlone(Cast(file))) return SQLITE_READONLY_CANTINIT;
  return Pass<&sqlite3_io_methods::xShmMap>(file, page, size, extend, to);
}
int ShmLock(sqlite3_file* file, int offset, int n, int flags) {
  if (IsAlone(Cast(file))) return SQLITE_OK;
  return Pass<&sqlite3_io_methods::xShmLock>(file, offset, n, flags);
}
void ShmBarrier(sqlite3_file* file) {
  if (IsAlone(Cast(file))) return;
  sqlite3_file* below = Cast(file)->below();
  below->pMethods->xShmBarrier(below);
}
int ShmUnmap(sqlite3_file* file, int /*remove*/) {
  if (IsAlone(Cast(file))) return SQLITE_OK;
  return Pass<&sqlite3_io_methods::xShmUnmap>(file, 0);
}

using M = sqlite3_io_methods;
constexpr sqlite3_io_methods kDatabase = {
    2,
    &Pass<&M::xClose>,
    &Pass<&M::xRead, void*, int, sqlite3_int64>,
    &NoWrite,
    &NoTruncate,
    &Pass<&M::xSync, int>,
    &Pass<&M::xFileSize, sqlite3_int64*>,
    &Pass<&M::xLock, int>,
    &Pass<&M::xUnlock, int>,
    &Pass<&M::xCheckReservedLock, int*>,
    &Pass<&M::xFileControl, int, void*>,
    &Pass<&M::xSectorSize>,
    &Pass<&M::xDeviceCharacteristics>,
    &ShmMap,
    &ShmLock,
    &ShmBarrier,
    &ShmUnmap,
    nullptr,
    nullptr};

int EmptyClose(sqlite3_file* /*file*/) { return SQLITE_OK; }
int EmptyRead(sqlite3_file* /*file*/, void* to, int size,
              sqlite3_int64 /*at*/) {
  std::memset(to, 0, static_cast<size_t>(size));
  return SQLITE_IOERR_SHORT_READ;
}
int EmptySize(sqlite3_file* /*file*/, sqlite3_int64* size) {
  *size = 0;
  return SQLITE_OK;
}
int EmptyDo(sqlite3_file* /*file*/, int /*how*/) { return SQLITE_OK; }
int EmptyCheck(sqlite3_file* /*file*/, int* held) {
  *held = 0;
  return SQLITE_OK;
}
int EmptyControl(sqlite3_file* /*file*/, int /*op*/, void* /*arg*/) {
  return SQLITE_NOTFOUND;
}
int EmptyTell(sqlite3_file* /*file*/) { return 0; }

// A log that is not there. Version 1: nobody maps it.
constexpr sqlite3_io_methods kEmpty = {
    1,          &EmptyClose, &EmptyRead, &NoWrite,    &NoTruncate,   &EmptyDo,
    &EmptySize, &EmptyDo,    &EmptyDo,   &EmptyCheck, &EmptyControl, &EmptyTell,
    &EmptyTell, nullptr,     nullptr,    nullptr,     nullptr,       nullptr,
    nullptr};

sqlite3_vfs* Below(sqlite3_vfs* vfs) {
  return static_cast<sqlite3_vfs*>(vfs->pAppData);
}

int OpenLog(sqlite3_vfs* below, const char* name, sqlite3_file* file,
            int* out_flags) {
  constexpr int kFlags = SQLITE_OPEN_WAL | SQLITE_OPEN_READONLY;
  int exists = 0;
  below->xAccess(below, name, SQLITE_ACCESS_EXISTS, &exists);
  if (exists != 0) return below->xOpen(below, name, file, kFlags, out_flags);
  file->pMethods = &kEmpty;
  if (out_flags != nullptr) *out_flags = kFlags;
  return SQLITE_OK;
}

int OpenDatabase(sqlite3_vfs* below, bool* told_alone, const char* name,
                 sqlite3_file* file, int flags, int* out_flags) {
  File* opened = new (file) File();
  opened->pMethods = nullptr;
  opened->name = name;
  opened->vfs = below;
  opened->told_alone = told_alone;
  const int rc = below->xOpen(below, name, opened->below(), flags, out_flags);
  // SQLite closes what has methods, also after a failure.
  if (opened->below()->pMethods != nullptr) opened->pMethods = &kDatabase;
  return rc;
}

int Delete(sqlite3_vfs* /*vfs*/, const char* /*name*/, int /*sync*/) {
  return SQLITE_IOERR_DELETE;
}
int Access(sqlite3_vfs* vfs, const char* name, int flags, int* result) {
  return Below(vfs)->xAccess(Below(vfs), name, flags, result);
}
int FullPathname(sqlite3_vfs* vfs, const char* name, int size, char* out) {
  return Below(vfs)->xFullPathname(Below(vfs), name, size, out);
}
int Randomness(sqlite3_vfs* vfs, int size, char* out) {
  return Below(vfs)->xRandomness(Below(vfs), size, out);
}
int Sleep(sqlite3_vfs* vfs, int microseconds) {
  return Below(vfs)->xSleep(Below(vfs), microseconds);
}
int CurrentTime(sqlite3_vfs* vfs, double* now) {
  return Below(vfs)->xCurrentTime(Below(vfs), now);
}
int GetLastError(sqlite3_vfs* vfs, int size, char* out) {
  return Below(vfs)->xGetLastError(Below(vfs), size, out);
}

}  // namespace

ObservedFiles::ObservedFiles() : vfs_(std::make_unique<Vfs>()) {}

absl::StatusOr<std::unique_ptr<ObservedFiles>> ObservedFiles::Register(
    const std::string& under) {
  sqlite3_vfs* below =
      sqlite3_vfs_find(under.empty() ? nullptr : under.c_str());
  if (below == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrFormat("SQLite has no VFS '%s'", under));
  }
  std::unique_ptr<ObservedFiles> made(new ObservedFiles());
  Vfs& vfs = *made->vfs_;
  made->name_ = absl::StrFormat("weir-observed-%p", &vfs);
  vfs.below = below;
  vfs.iVersion = 1;
  vfs.szOsFile = static_cast<int>(sizeof(File)) + below->szOsFile;
  vfs.mxPathname = below->mxPathname;
  vfs.zName = made->name_.c_str();
  vfs.pAppData = below;
  vfs.xOpen = [](sqlite3_vfs* self, const char* name, sqlite3_file* file,
                 int flags, int* out_flags) {
    if ((flags & SQLITE_OPEN_WAL) != 0) {
      return OpenLog(Below(self), name, file, out_flags);
    }
    if ((flags & SQLITE_OPEN_MAIN_DB) == 0) {
      return Below(self)->xOpen(Below(self), name, file, flags, out_flags);
    }
    return OpenDatabase(Below(self), &static_cast<Vfs*>(self)->alone, name,
                        file, flags, out_flags);
  };
  vfs.xDelete = &Delete;
  vfs.xAccess = &Access;
  vfs.xFullPathname = &FullPathname;
  vfs.xRandomness = &Randomness;
  vfs.xSleep = &Sleep;
  vfs.xCurrentTime = &CurrentTime;
  vfs.xGetLastError = &GetLastError;
  if (sqlite3_vfs_register(&vfs, /*makeDflt=*/0) != SQLITE_OK) {
    return absl::ResourceExhaustedError("SQLite takes no further VFS");
  }
  return made;
}

ObservedFiles::~ObservedFiles() { sqlite3_vfs_unregister(vfs_.get()); }

bool ObservedFiles::alone() const { return vfs_->alone; }

}  // namespace internal
}  // namespace v0
}  // namespace weir
