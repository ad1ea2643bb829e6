#include "weir/checkpoint/internal/checked_pages.h"

#include <sqlite3.h>
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr size_t kLargestPage = 65536;
constexpr int kReservedAt = 20;  // In the file: the bytes that pages reserve.
// In a file of fewer pages no other page's first byte is that of a tree's page,
// but those that map pages to their parents; half of what it could be, as pages
// of the log come after those of the file.
constexpr sqlite3_int64 kFewPages = 1 << 24;

// A database file; the one below follows it in memory.
struct File : sqlite3_file {
  bool checked = false;   // Once it has told that its pages reserve the bytes.
  sqlite3_int64 end = 0;  // At least the size that it has had since opened.

  sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

File* Cast(sqlite3_file* file) { return static_cast<File*>(file); }
sqlite3_file* Below(sqlite3_file* file) { return Cast(file)->below(); }

bool IsPage(int size, sqlite3_int64 at) {
  return size >= 512 && (size & (size - 1)) == 0 && at % size == 0;
}

uint64_t Checksum(const char* page, int size, sqlite3_int64 at) {
  const auto number = static_cast<uint64_t>(at / size) + 1;
  return XXH3_64bits_withSeed(
      page, static_cast<size_t>(size - CheckedPages::kCheckedBytes), number);
}

// The last bytes of a page, the least first.
void Append(uint64_t checksum, char* end) {
  for (int i = 0; i < CheckedPages::kCheckedBytes; ++i) {
    end[i - CheckedPages::kCheckedBytes] =
        static_cast<char>(checksum >> (8 * i));
  }
}

size_t Number16(const char* at) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(at);
  return size_t{bytes[0]} << 8 | bytes[1];
}

// Whether page `number`, from 1, maps others to their parents.
bool IsMap(sqlite3_int64 number, int size) {
  constexpr sqlite3_int64 kLockedByte = 0x40000000;
  if (number < 2) return false;
  const sqlite3_int64 group = (size - CheckedPages::kCheckedBytes) / 5 + 1;
  sqlite3_int64 map = (number - 2) / group * group + 2;
  if (map == kLockedByte / size + 1) ++map;
  return number == map;
}

// Overwrites the free bytes between the entries of a tree's page and what they
// point to: SQLite leaves there what it has moved to other pages, and does not
// know of it any more when it is to be deleted.
void ClearGap(char* page, int size, sqlite3_int64 at) {
  const size_t header = at == 0 ? 100 : 0;
  const char kind = page[header];
  const bool leaf = kind == 10 || kind == 13;
  if ((!leaf && kind != 2 && kind != 5) || IsMap(at / size + 1, size)) return;
  const size_t begin =
      header + (leaf ? 8 : 12) + 2 * Number16(page + header + 3);
  const size_t end = Number16(page + header + 5);  // 0 for 65536.
  const auto usable = static_cast<size_t>(size - CheckedPages::kCheckedBytes);
  if (begin < end && end <= usable) std::memset(page + begin, 0, end - begin);
}

void NoteReserved(File* file, const char* bytes, int size, sqlite3_int64 at) {
  if (at > kReservedAt || at + size <= kReservedAt) return;
  if (bytes[kReservedAt - at] == CheckedPages::kCheckedBytes) {
    file->checked = true;
  }
}

int Close(sqlite3_file* file) {
  return Below(file)->pMethods->xClose(Below(file));
}

int Read(sqlite3_file* file, void* to, int size, sqlite3_int64 at) {
  const int rc = Below(file)->pMethods->xRead(Below(file), to, size, at);
  // SQLite takes what is missing of a page for zeros.
  if (rc == SQLITE_IOERR_SHORT_READ && Cast(file)->checked &&
      IsPage(size, at)) {
    return SQLITE_IOERR_DATA;
  }
  if (rc != SQLITE_OK) return rc;
  const char* bytes = static_cast<const char*>(to);
  NoteReserved(Cast(file), bytes, size, at);
  if (!Cast(file)->checked || !IsPage(size, at)) return SQLITE_OK;
  char expected[CheckedPages::kCheckedBytes];
  Append(Checksum(bytes, size, at), expected + sizeof(expected));
  const bool same = std::memcmp(bytes + size - sizeof(expected), expected,
                                sizeof(expected)) == 0;
  return same ? SQLITE_OK : SQLITE_IOERR_DATA;
}

int Write(sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
  const char* bytes = static_cast<const char*>(from);
  NoteReserved(Cast(file), bytes, size, at);
  char page[kLargestPage];
  Cast(file)->end = std::max(Cast(file)->end, at + size);
  if (Cast(file)->checked && IsPage(size, at)) {
    std::memcpy(page, bytes, static_cast<size_t>(size));
    if (Cast(file)->end / size < kFewPages) ClearGap(page, size, at);
    Append(Checksum(page, size, at), page + size);
    bytes = page;
  }
  return Below(file)->pMethods->xWrite(Below(file), bytes, size, at);
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return Below(file)->pMethods->xTruncate(Below(file), size);
}
int Sync(sqlite3_file* file, int flags) {
  return Below(file)->pMethods->xSync(Below(file), flags);
}
int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  return Below(file)->pMethods->xFileSize(Below(file), size);
}
int Lock(sqlite3_file* file, int level) {
  return Below(file)->pMethods->xLock(Below(file), level);
}
int Unlock(sqlite3_file* file, int level) {
  return Below(file)->pMethods->xUnlock(Below(file), level);
}
int CheckReservedLock(sqlite3_file* file, int* held) {
  return Below(file)->pMethods->xCheckReservedLock(Below(file), held);
}
int FileControl(sqlite3_file* file, int op, void* arg) {
  return Below(file)->pMethods->xFileControl(Below(file), op, arg);
}
int SectorSize(sqlite3_file* file) {
  return Below(file)->pMethods->xSectorSize(Below(file));
}
int DeviceCharacteristics(sqlite3_file* file) {
  return Below(file)->pMethods->xDeviceCharacteristics(Below(file));
}
int ShmMap(sqlite3_file* file, int page, int size, int extend,
           void volatile** to) {
  return Below(file)->pMethods->xShmMap(Below(file), page, size, extend, to);
}
int ShmLock(sqlite3_file* file, int offset, int n, int flags) {
  return Below(file)->pMethods->xShmLock(Below(file), offset, n, flags);
}
void ShmBarrier(sqlite3_file* file) {
  Below(file)->pMethods->xShmBarrier(Below(file));
}
int ShmUnmap(sqlite3_file* file, int remove) {
  return Below(file)->pMethods->xShmUnmap(Below(file), remove);
}

// Version 2: no memory mapping, which would pass over Read().
constexpr sqlite3_io_methods kMethods = {2,
                                         &Close,
                                         &Read,
                                         &Write,
                                         &Truncate,
                                         &Sync,
                                         &FileSize,
                                         &Lock,
                                         &Unlock,
                                         &CheckReservedLock,
                                         &FileControl,
                                         &SectorSize,
                                         &DeviceCharacteristics,
                                         &ShmMap,
                                         &ShmLock,
                                         &ShmBarrier,
                                         &ShmUnmap,
                                         nullptr,
                                         nullptr};

sqlite3_vfs* Under(sqlite3_vfs* vfs) {
  return static_cast<sqlite3_vfs*>(vfs->pAppData);
}

int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags,
         int* out_flags) {
  sqlite3_vfs* under = Under(vfs);
  if ((flags & SQLITE_OPEN_MAIN_DB) == 0) {
    return under->xOpen(under, name, file, flags, out_flags);
  }
  File* opened = new (file) File();
  opened->pMethods = nullptr;
  const int rc = under->xOpen(under, name, opened->below(), flags, out_flags);
  // SQLite closes what has methods, also after a failure.
  if (opened->below()->pMethods == nullptr) return rc;
  opened->pMethods = &kMethods;
  return rc == SQLITE_OK ? FileSize(opened, &opened->end) : rc;
}

int Delete(sqlite3_vfs* vfs, const char* name, int sync) {
  return Under(vfs)->xDelete(Under(vfs), name, sync);
}
int Access(sqlite3_vfs* vfs, const char* name, int flags, int* result) {
  return Under(vfs)->xAccess(Under(vfs), name, flags, result);
}
int FullPathname(sqlite3_vfs* vfs, const char* name, int size, char* out) {
  return Under(vfs)->xFullPathname(Under(vfs), name, size, out);
}
int Randomness(sqlite3_vfs* vfs, int size, char* out) {
  return Under(vfs)->xRandomness(Under(vfs), size, out);
}
int Sleep(sqlite3_vfs* vfs, int microseconds) {
  return Under(vfs)->xSleep(Under(vfs), microseconds);
}
int CurrentTime(sqlite3_vfs* vfs, double* now) {
  return Under(vfs)->xCurrentTime(Under(vfs), now);
}
int GetLastError(sqlite3_vfs* vfs, int size, char* out) {
  return Under(vfs)->xGetLastError(Under(vfs), size, out);
}

}  // namespace

struct CheckedPages::Vfs : sqlite3_vfs {};

CheckedPages::CheckedPages() : vfs_(std::make_unique<Vfs>()) {}

absl::StatusOr<std::unique_ptr<CheckedPages>> CheckedPages::Register(
    const std::string& under) {
  sqlite3_vfs* below =
      sqlite3_vfs_find(under.empty() ? nullptr : under.c_str());
  if (below == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrFormat("SQLite has no VFS '%s'", under));
  }
  std::unique_ptr<CheckedPages> made(new CheckedPages());
  Vfs& vfs = *made->vfs_;
  made->name_ = absl::StrFormat("weir-%p", &vfs);
  vfs.iVersion = 1;
  vfs.szOsFile = static_cast<int>(sizeof(File)) + below->szOsFile;
  vfs.mxPathname = below->mxPathname;
  vfs.zName = made->name_.c_str();
  vfs.pAppData = below;
  vfs.xOpen = &Open;
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

bool CheckedPages::IsWhole(std::string_view page, uint32_t number) {
  const auto size = static_cast<int>(page.size());
  char expected[kCheckedBytes];
  Append(Checksum(page.data(), size, sqlite3_int64{size} * (number - 1)),
         expected + sizeof(expected));
  return page.substr(page.size() - sizeof(expected)) ==
         std::string_view(expected, sizeof(expected));
}

CheckedPages::~CheckedPages() { sqlite3_vfs_unregister(vfs_.get()); }

}  // namespace internal
}  // namespace v0
}  // namespace weir
