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

#include "weir/checkpoint/internal/passing_vfs.h"

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

// A database file or its log.
struct CheckedFile : sqlite3_file {
  CheckedPages::Counts* counts = nullptr;
  bool is_log = false;
  bool checked = false;   // Once it has told that its pages reserve the bytes.
  sqlite3_int64 end = 0;  // At least the size that it has had since opened.
};

CheckedFile* AsChecked(sqlite3_file* file) {
  return static_cast<CheckedFile*>(file);
}

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

void NoteReserved(CheckedFile* file, const char* bytes, int size,
                  sqlite3_int64 at) {
  if (file->is_log || at > kReservedAt || at + size <= kReservedAt) return;
  if (bytes[kReservedAt - at] == CheckedPages::kCheckedBytes) {
    file->checked = true;
  }
}

int Read(sqlite3_file* file, void* to, int size, sqlite3_int64 at) {
  const int rc =
      Pass<CheckedFile, &sqlite3_io_methods::xRead>(file, to, size, at);
  // SQLite takes what is missing of a page for zeros.
  if (rc == SQLITE_IOERR_SHORT_READ && AsChecked(file)->checked &&
      IsPage(size, at)) {
    return SQLITE_IOERR_DATA;
  }
  if (rc != SQLITE_OK) return rc;
  const char* bytes = static_cast<const char*>(to);
  NoteReserved(AsChecked(file), bytes, size, at);
  if (!AsChecked(file)->checked || !IsPage(size, at)) return SQLITE_OK;
  char expected[CheckedPages::kCheckedBytes];
  Append(Checksum(bytes, size, at), expected + sizeof(expected));
  const bool same = std::memcmp(bytes + size - sizeof(expected), expected,
                                sizeof(expected)) == 0;
  return same ? SQLITE_OK : SQLITE_IOERR_DATA;
}

int Write(sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
  const char* bytes = static_cast<const char*>(from);
  NoteReserved(AsChecked(file), bytes, size, at);
  char page[kLargestPage];
  AsChecked(file)->end = std::max(AsChecked(file)->end, at + size);
  if (AsChecked(file)->checked && IsPage(size, at)) {
    std::memcpy(page, bytes, static_cast<size_t>(size));
    if (AsChecked(file)->end / size < kFewPages) ClearGap(page, size, at);
    Append(Checksum(page, size, at), page + size);
    bytes = page;
  }
  AsChecked(file)->counts->bytes.fetch_add(static_cast<uint64_t>(size),
                                           std::memory_order_relaxed);
  return Pass<CheckedFile, &sqlite3_io_methods::xWrite>(
      file, static_cast<const void*>(bytes), size, at);
}

int Sync(sqlite3_file* file, int flags) {
  AsChecked(file)->counts->syncs.fetch_add(1, std::memory_order_relaxed);
  return Pass<CheckedFile, &sqlite3_io_methods::xSync>(file, flags);
}

constexpr sqlite3_io_methods kMethods = [] {
  sqlite3_io_methods all = PassingMethods<CheckedFile>();
  all.xRead = &Read;
  all.xWrite = &Write;
  all.xSync = &Sync;
  return all;
}();

struct CountingVfs : sqlite3_vfs {
  CheckedPages::Counts* counts = nullptr;
};

int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags,
         int* out_flags) {
  if ((flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) == 0) {
    return Pass<&sqlite3_vfs::xOpen>(vfs, name, file, flags, out_flags);
  }
  CheckedFile* opened = new (file) CheckedFile();
  opened->pMethods = nullptr;
  opened->counts = static_cast<CountingVfs*>(vfs)->counts;
  opened->is_log = (flags & SQLITE_OPEN_WAL) != 0;
  sqlite3_file* const below = Below<CheckedFile>(opened);
  const int rc = Pass<&sqlite3_vfs::xOpen>(vfs, name, below, flags, out_flags);
  // SQLite closes what has methods, also after a failure.
  if (below->pMethods == nullptr) return rc;
  opened->pMethods = &kMethods;
  if (rc != SQLITE_OK) return rc;
  return Pass<CheckedFile, &sqlite3_io_methods::xFileSize>(opened,
                                                           &opened->end);
}

}  // namespace

struct CheckedPages::Vfs : CountingVfs {};

CheckedPages::CheckedPages() : vfs_(std::make_unique<Vfs>()) {
  vfs_->counts = &counts_;
}

absl::StatusOr<std::unique_ptr<CheckedPages>> CheckedPages::Register(
    const std::string& under) {
  std::unique_ptr<CheckedPages> made(new CheckedPages());
  Vfs& vfs = *made->vfs_;
  made->name_ = absl::StrFormat("weir-%p", &vfs);
  vfs.xOpen = &Open;
  absl::Status s = RegisterBefore<CheckedFile>(under, made->name_, vfs);
  if (!s.ok()) return s;
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
