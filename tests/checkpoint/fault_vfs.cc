#include "tests/checkpoint/fault_vfs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <random>
#include <string_view>
#include <utility>

#include "gtest/gtest.h"

namespace weir {
namespace {

FileKind KindOfFlags(int flags) {
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) return FileKind::kDatabase;
  if ((flags & SQLITE_OPEN_WAL) != 0) return FileKind::kLog;
  return FileKind::kJournal;
}

FileKind KindOfName(std::string_view name) {
  if (name.ends_with("-wal")) return FileKind::kLog;
  if (name.ends_with("-journal")) return FileKind::kJournal;
  return FileKind::kDatabase;
}

constexpr int64_t kSector = 512;  // Written as a whole, or not at all.

// Of a write, the bytes of the sectors that end in its first half.
int HalfOf(int64_t at, int size) {
  const int64_t end = (at + size / 2) / kSector * kSector;
  return static_cast<int>(std::max<int64_t>(0, end - at));
}

bool Changes(FileOp op) { return op != FileOp::kRead && op != FileOp::kOther; }

}  // namespace

struct FaultVfs::File : sqlite3_file {
  FaultVfs* vfs = nullptr;
  FileKind kind = FileKind::kDatabase;

  sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

struct FaultVfs::Methods {
  static sqlite3_file* Below(sqlite3_file* file) {
    return static_cast<File*>(file)->below();
  }
  template <auto kMethod, class... Args>
  static int Pass(sqlite3_file* file, Args... args) {
    return (Below(file)->pMethods->*kMethod)(Below(file), args...);
  }
  // One that may fail; `kind` if it is not of the file itself.
  template <auto kMethod, FileKind kKind, class... Args>
  static int Try(sqlite3_file* file, Args... args) {
    File* of = static_cast<File*>(file);
    const FileKind kind = kKind == FileKind::kShared ? kKind : of->kind;
    const int code = of->vfs->Begin({.op = FileOp::kOther, .file = kind});
    return code != SQLITE_OK ? code : Pass<kMethod>(file, args...);
  }
  static void Barrier(sqlite3_file* file) {
    Below(file)->pMethods->xShmBarrier(Below(file));
  }

  static int Read(sqlite3_file* file, void* to, int size, sqlite3_int64 at) {
    File* of = static_cast<File*>(file);
    const int code =
        of->vfs->Begin({.op = FileOp::kRead, .file = of->kind, .at = at});
    if (code == SQLITE_OK)
      return Pass<&sqlite3_io_methods::xRead>(file, to, size, at);
    if (code == SQLITE_IOERR_SHORT_READ) {
      Pass<&sqlite3_io_methods::xRead>(file, to, size, at);
      std::fill(static_cast<char*>(to) + size / 2,
                static_cast<char*>(to) + size, '\0');
    }
    return code;
  }

  static int Write(sqlite3_file* file, const void* from, int size,
                   sqlite3_int64 at) {
    File* of = static_cast<File*>(file);
    FileOperation made{.op = FileOp::kWrite, .file = of->kind, .at = at};
    const int code = of->vfs->Begin(made);
    const int written = code == SQLITE_OK ? size : HalfOf(at, size);
    const int below = written == 0 ? SQLITE_OK
                                   : Pass<&sqlite3_io_methods::xWrite>(
                                         file, from, written, at);
    if (below == SQLITE_OK) {
      made.bytes.assign(static_cast<const char*>(from),
                        static_cast<size_t>(written));
      of->vfs->Done(std::move(made));
    }
    return code != SQLITE_OK ? code : below;
  }

  static int Truncate(sqlite3_file* file, sqlite3_int64 size) {
    File* of = static_cast<File*>(file);
    const FileOperation made{
        .op = FileOp::kTruncate, .file = of->kind, .at = size};
    int code = of->vfs->Begin(made);
    if (code != SQLITE_OK) return code;
    code = Pass<&sqlite3_io_methods::xTruncate>(file, size);
    if (code == SQLITE_OK) of->vfs->Done(made);
    return code;
  }

  static int Sync(sqlite3_file* file, int flags) {
    File* of = static_cast<File*>(file);
    const FileOperation made{.op = FileOp::kSync, .file = of->kind};
    int code = of->vfs->Begin(made);
    if (code != SQLITE_OK) return code;
    code = Pass<&sqlite3_io_methods::xSync>(file, flags);
    if (code == SQLITE_OK) of->vfs->Done(made);
    return code;
  }

  static int Delete(sqlite3_vfs* vfs, const char* name, int sync) {
    auto* self = static_cast<FaultVfs*>(vfs->pAppData);
    const FileOperation made{
        .op = FileOp::kDelete, .file = KindOfName(name), .sync = sync != 0};
    int code = self->Begin(made);
    if (code != SQLITE_OK) return code;
    code = self->under_->xDelete(self->under_, name, sync);
    if (code == SQLITE_OK) self->Done(made);
    return code;
  }

  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file,
                  int flags, int* out_flags) {
    auto* self = static_cast<FaultVfs*>(vfs->pAppData);
    File* opened = new (file) File();
    opened->pMethods = nullptr;
    opened->vfs = self;
    opened->kind = KindOfFlags(flags);
    const FileOperation made{.op = FileOp::kOpen, .file = opened->kind};
    int code = self->Begin(made);
    if (code != SQLITE_OK) return code;
    const bool is_new = name != nullptr && access(name, F_OK) != 0;
    code = self->under_->xOpen(self->under_, name, opened->below(), flags,
                               out_flags);
    if (opened->below()->pMethods == nullptr) return code;
    if (code == SQLITE_OK && is_new) self->Done(made);
    opened->pMethods = Table();
    return code;
  }

  static const sqlite3_io_methods* Table() {
    using M = sqlite3_io_methods;
    constexpr FileKind kOwn = FileKind::kDatabase;
    constexpr FileKind kShm = FileKind::kShared;
    static const M kTable = {
        2,
        &Pass<&M::xClose>,
        &Read,
        &Write,
        &Truncate,
        &Sync,
        &Try<&M::xFileSize, kOwn, sqlite3_int64*>,
        &Try<&M::xLock, kOwn, int>,
        &Pass<&M::xUnlock, int>,
        &Pass<&M::xCheckReservedLock, int*>,
        &Pass<&M::xFileControl, int, void*>,
        &Pass<&M::xSectorSize>,
        &Pass<&M::xDeviceCharacteristics>,
        &Try<&M::xShmMap, kShm, int, int, int, void volatile**>,
        &Pass<&M::xShmLock, int, int, int>,
        &Barrier,
        &Pass<&M::xShmUnmap, int>,
        nullptr,
        nullptr};
    return &kTable;
  }
};

FaultVfs::FaultVfs() : under_(sqlite3_vfs_find(nullptr)) {
  vfs_ = *under_;
  vfs_.zName = kName;
  vfs_.pAppData = this;
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + under_->szOsFile;
  vfs_.xOpen = &Methods::Open;
  vfs_.xDelete = &Methods::Delete;
  EXPECT_EQ(sqlite3_vfs_register(&vfs_, 0), SQLITE_OK);
}

FaultVfs::~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }

int64_t FaultVfs::operations() const {
  absl::MutexLock lock(&mutex_);
  return operations_;
}
int FaultVfs::syncs() const {
  absl::MutexLock lock(&mutex_);
  int all = 0;
  for (const int of_kind : syncs_) all += of_kind;
  return all;
}
int FaultVfs::syncs(FileKind file) const {
  absl::MutexLock lock(&mutex_);
  return syncs_[static_cast<size_t>(file)];
}

void FaultVfs::Fail(Rule rule) {
  absl::MutexLock lock(&mutex_);
  rule_ = rule ? std::make_shared<const Rule>(std::move(rule)) : nullptr;
}
void FaultVfs::FailWrites(int code) {
  Fail([code](const FileOperation& made, int64_t) {
    return made.op == FileOp::kWrite ? code : SQLITE_OK;
  });
}
void FaultVfs::FailSyncs(int code) {
  Fail([code](const FileOperation& made, int64_t) {
    return made.op == FileOp::kSync ? code : SQLITE_OK;
  });
}

void FaultVfs::Record() {
  absl::MutexLock lock(&mutex_);
  recording_ = true;
}
size_t FaultVfs::recorded() const {
  absl::MutexLock lock(&mutex_);
  return record_.size();
}
std::vector<FileOperation> FaultVfs::TakeRecord() {
  absl::MutexLock lock(&mutex_);
  recording_ = false;
  return std::exchange(record_, {});
}

int FaultVfs::Begin(const FileOperation& operation) {
  std::shared_ptr<const Rule> rule;
  int64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    rule = rule_;
    number = operations_++;
  }
  return rule == nullptr ? SQLITE_OK : (*rule)(operation, number);
}

void FaultVfs::Done(FileOperation operation) {
  absl::MutexLock lock(&mutex_);
  if (operation.op == FileOp::kSync) {
    ++syncs_[static_cast<size_t>(operation.file)];
  }
  if (recording_ && Changes(operation.op)) {
    record_.push_back(std::move(operation));
  }
}

int IoErrorOf(const FileOperation& operation) {
  switch (operation.op) {
    case FileOp::kOpen:
      return SQLITE_CANTOPEN;
    case FileOp::kDelete:
      return SQLITE_IOERR_DELETE;
    case FileOp::kRead:
      return SQLITE_IOERR_READ;
    case FileOp::kWrite:
      return SQLITE_IOERR_WRITE;
    case FileOp::kTruncate:
      return SQLITE_IOERR_TRUNCATE;
    case FileOp::kSync:
      return SQLITE_IOERR_FSYNC;
    case FileOp::kOther:
      break;
  }
  return operation.file == FileKind::kShared ? SQLITE_IOERR_SHMMAP
                                             : SQLITE_IOERR_FSTAT;
}

namespace {

void PutBytes(std::string& file, size_t at, std::string_view bytes) {
  if (file.size() < at + bytes.size()) file.resize(at + bytes.size());
  std::copy(bytes.begin(), bytes.end(),
            file.begin() + static_cast<ptrdiff_t>(at));
}

void MakeWhole(const FileOperation& made, std::optional<std::string>& file) {
  if (made.op == FileOp::kDelete) {
    file.reset();
    return;
  }
  if (!file) file.emplace();
  const auto at = static_cast<size_t>(made.at);
  if (made.op == FileOp::kTruncate) file->resize(at);
  if (made.op == FileOp::kWrite) PutBytes(*file, at, made.bytes);
}

// Calls `visit(begin, end)` with the part of a write in each sector.
template <class Visit>
void EachSector(const FileOperation& write, size_t sector, Visit visit) {
  const auto first = static_cast<size_t>(write.at);
  for (size_t at = 0; at < write.bytes.size();) {
    const size_t end = std::min(write.bytes.size(),
                                ((first + at) / sector + 1) * sector - first);
    visit(at, end);
    at = end;
  }
}

// What a cut leaves of one file.
class Leftover {
 public:
  Leftover(CutDisk::Lost lost, uint64_t seed) : lost_(lost), random_(seed) {
    static constexpr double kChances[] = {0.1, 0.5, 0.9, 0.98};
    chance_ = kChances[random_() % 4];
    sector_ = random_() % 2 == 0 ? 512 : 4096;
  }

  std::optional<std::string> Of(std::optional<std::string> file,
                                const std::vector<FileOperation>& pending) {
    if (lost_ == CutDisk::Lost::kAll) return file;
    for (const FileOperation& made : pending) {
      const bool tail =
          lost_ == CutDisk::Lost::kTail && &made == &pending.back();
      if (lost_ == CutDisk::Lost::kSome
              ? !Some(made, file)
              : !(tail ? Tail(made, file) : Whole(made, file))) {
        break;
      }
    }
    return file;
  }

 private:
  bool Chance() {
    return static_cast<double>(random_() % 1000) < chance_ * 1000;
  }
  static bool Whole(const FileOperation& made,
                    std::optional<std::string>& file) {
    MakeWhole(made, file);
    return true;
  }

  // False if what follows is of another file of the name, which is not there.
  bool Some(const FileOperation& made, std::optional<std::string>& file) {
    if (made.op != FileOp::kWrite) {
      const bool there = Chance();
      if (there) MakeWhole(made, file);
      return there || made.op == FileOp::kTruncate;
    }
    if (!file) return false;
    EachSector(made, sector_, [&](size_t begin, size_t end) {
      if (!Chance()) return;
      PutBytes(*file, static_cast<size_t>(made.at) + begin,
               std::string_view(made.bytes).substr(begin, end - begin));
    });
    return true;
  }

  bool Tail(const FileOperation& made, std::optional<std::string>& file) {
    if (made.op != FileOp::kWrite) return false;
    size_t kept = 0;
    EachSector(made, 512, [&](size_t begin, size_t) {
      if (random_() % 4 == 0) kept = begin;
    });
    if (!file) file.emplace();
    PutBytes(*file, static_cast<size_t>(made.at),
             std::string_view(made.bytes).substr(0, kept));
    return true;
  }

  const CutDisk::Lost lost_;
  std::mt19937_64 random_;
  double chance_ = 0;
  size_t sector_ = 0;
};

void WriteFile(const std::string& path, const std::string& bytes) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  EXPECT_EQ(write(file, bytes.data(), bytes.size()),
            static_cast<ssize_t>(bytes.size()));
  close(file);
}

}  // namespace

void CutDisk::Settle(Kept& kept) {
  for (const FileOperation& made : kept.pending) MakeWhole(made, kept.durable);
  kept.pending.clear();
  kept.created = false;
}

void CutDisk::Make(const FileOperation& operation) {
  Kept& kept = files_[operation.file];
  if (operation.op != FileOp::kSync) kept.pending.push_back(operation);
  if (operation.op == FileOp::kOpen) kept.created = true;
  const bool stays = operation.op == FileOp::kSync || operation.sync;
  if (!syncs_count_ || !stays) return;
  if (kept.created || operation.sync) {
    for (auto& [kind, other] : files_) {
      const bool gone =
          !other.pending.empty() && other.pending.back().op == FileOp::kDelete;
      if (gone) Settle(other);
    }
  }
  Settle(kept);
}

CutDisk::Files CutDisk::Cut(Lost lost, uint64_t seed) const {
  Files files;
  Leftover leftover(lost, seed);
  for (const auto& [kind, kept] : files_) {
    const std::optional<std::string> file =
        leftover.Of(kept.durable, kept.pending);
    if (file) files[kind] = *file;
  }
  return files;
}

void WriteFiles(const CutDisk::Files& files, const std::string& path) {
  unlink((path + "-shm").c_str());
  for (const auto& [kind, suffix] :
       {std::pair(FileKind::kDatabase, ""), std::pair(FileKind::kLog, "-wal"),
        std::pair(FileKind::kJournal, "-journal")}) {
    const auto at = files.find(kind);
    const std::string name = path + suffix;
    if (at == files.end()) {
      unlink(name.c_str());
    } else {
      WriteFile(name, at->second);
    }
  }
}

}  // namespace weir
