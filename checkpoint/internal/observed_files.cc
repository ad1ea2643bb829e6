#include "weir/checkpoint/internal/observed_files.h"

#include <sqlite3.h>

#include <cstddef>
#include <cstring>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/passing_vfs.h"

namespace weir {
inline namespace v0 {
namespace internal {

struct ObservedFiles::Vfs : sqlite3_vfs {
  bool alone = false;
};

namespace {

// A database file.
struct ObservedFile : sqlite3_file {
  const char* name = nullptr;  // SQLite's, which outlives the file.
  sqlite3_vfs* vfs = nullptr;  // The one below.
  bool* told_alone = nullptr;
  bool asked = false;  // Whether `alone` is known.
  bool alone = false;
};

ObservedFile* AsObserved(sqlite3_file* file) {
  return static_cast<ObservedFile*>(file);
}

using M = sqlite3_io_methods;

int NoWrite(sqlite3_file* /*file*/, const void* /*from*/, int /*size*/,
            sqlite3_int64 /*at*/) {
  return SQLITE_READONLY;
}
int NoTruncate(sqlite3_file* /*file*/, sqlite3_int64 /*size*/) {
  return SQLITE_READONLY;
}

// Asked once, so that what is locked is also unlocked.
bool IsAlone(ObservedFile* file) {
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
  if (IsAlone(AsObserved(file))) return SQLITE_READONLY_CANTINIT;
  return Pass<ObservedFile, &M::xShmMap>(file, page, size, extend, to);
}
int ShmLock(sqlite3_file* file, int offset, int n, int flags) {
  if (IsAlone(AsObserved(file))) return SQLITE_OK;
  return Pass<ObservedFile, &M::xShmLock>(file, offset, n, flags);
}
void ShmBarrier(sqlite3_file* file) {
  if (!IsAlone(AsObserved(file))) Pass<ObservedFile, &M::xShmBarrier>(file);
}
int ShmUnmap(sqlite3_file* file, int /*remove*/) {
  if (IsAlone(AsObserved(file))) return SQLITE_OK;
  return Pass<ObservedFile, &M::xShmUnmap>(file, 0);
}

constexpr sqlite3_io_methods kDatabase = [] {
  sqlite3_io_methods all = PassingMethods<ObservedFile>();
  all.xWrite = &NoWrite;
  all.xTruncate = &NoTruncate;
  all.xShmMap = &ShmMap;
  all.xShmLock = &ShmLock;
  all.xShmBarrier = &ShmBarrier;
  all.xShmUnmap = &ShmUnmap;
  return all;
}();

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
  ObservedFile* opened = new (file) ObservedFile();
  opened->pMethods = nullptr;
  opened->name = name;
  opened->vfs = below;
  opened->told_alone = told_alone;
  sqlite3_file* const below_it = Below<ObservedFile>(opened);
  const int rc = below->xOpen(below, name, below_it, flags, out_flags);
  // SQLite closes what has methods, also after a failure.
  if (below_it->pMethods != nullptr) opened->pMethods = &kDatabase;
  return rc;
}

int Delete(sqlite3_vfs* /*vfs*/, const char* /*name*/, int /*sync*/) {
  return SQLITE_IOERR_DELETE;
}

}  // namespace

ObservedFiles::ObservedFiles() : vfs_(std::make_unique<Vfs>()) {}

absl::StatusOr<std::unique_ptr<ObservedFiles>> ObservedFiles::Register(
    const std::string& under) {
  std::unique_ptr<ObservedFiles> made(new ObservedFiles());
  Vfs& vfs = *made->vfs_;
  made->name_ = absl::StrFormat("weir-observed-%p", &vfs);
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
  absl::Status s = RegisterBefore<ObservedFile>(under, made->name_, vfs);
  if (!s.ok()) return s;
  vfs.xDelete = &Delete;
  return made;
}

ObservedFiles::~ObservedFiles() { sqlite3_vfs_unregister(vfs_.get()); }

bool ObservedFiles::alone() const { return vfs_->alone; }

}  // namespace internal
}  // namespace v0
}  // namespace weir
