#ifndef WEIR_TESTS_CHECKPOINT_FAULT_VFS_H_
#define WEIR_TESTS_CHECKPOINT_FAULT_VFS_H_

#include <sqlite3.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace weir {

// What SQLite asks of a file system, and of which of a database's files.
enum class FileOp { kOpen, kDelete, kRead, kWrite, kTruncate, kSync, kOther };
enum class FileKind { kDatabase, kLog, kJournal, kShared };

struct FileOperation {
  FileOp op = FileOp::kOther;
  FileKind file = FileKind::kDatabase;
  int64_t at = 0;     // Of a write; of a truncation, the size.
  bool sync = false;  // Of a removal: it is to stay at once.
  std::string bytes{};
};

// A VFS of SQLite over its default one, that counts what is asked of it, keeps
// a log of what changes files, and fails on demand. Databases on it must be
// closed before, and there is to be one at a time.
//
// Threads: thread-safe.
class FaultVfs {
 public:
  static constexpr char kName[] = "weir-faults";

  // The code of SQLite that an operation, the `number`th of all from 0, fails
  // with; SQLITE_OK for none. It is called with no lock held, so it may wait.
  // A write that fails has written the sectors in its first half; a read that
  // fails with SQLITE_IOERR_SHORT_READ has read half of its bytes.
  using Rule = std::function<int(const FileOperation&, int64_t number)>;

  FaultVfs();
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  int64_t operations() const;
  int syncs() const;
  int syncs(FileKind file) const;

  // From now on; an empty one for none.
  void Fail(Rule rule);
  // Codes that each write and each synchronisation fails with.
  void FailWrites(int code);
  void FailSyncs(int code);

  // Keeps what changes files from now on.
  void Record();
  size_t recorded() const;
  std::vector<FileOperation> TakeRecord();

 private:
  struct File;
  struct Methods;

  // Takes note of an operation, whose `bytes` may be left out, and says what it
  // fails with.
  int Begin(const FileOperation& operation);
  void Done(FileOperation operation);

  sqlite3_vfs* const under_;
  sqlite3_vfs vfs_{};

  mutable absl::Mutex mutex_;
  std::shared_ptr<const Rule> rule_ ABSL_GUARDED_BY(mutex_);
  int64_t operations_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<int, 4> syncs_ ABSL_GUARDED_BY(mutex_){};
  bool recording_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<FileOperation> record_ ABSL_GUARDED_BY(mutex_);
};

// The code that a failing disk answers an operation with.
int IoErrorOf(const FileOperation& operation);

// A disk that operations are made on in their order, and what it has when the
// power is cut. What was synchronised is there. Of what was not, every sector
// of every write, and every removal and truncation, may be there or not. A name
// is there to stay once a file that was made beside it is synchronised: then
// the folder is, too.
class CutDisk {
 public:
  enum class Lost {
    kAll,  // Of what is not synchronised.
    kNone,
    kTail,  // What comes after a random sector of the last write.
    kSome,  // Random sectors, of 512 or 4096 bytes.
  };
  using Files = std::map<FileKind, std::string>;

  // `syncs_count` is false for a disk that forgets to synchronise.
  explicit CutDisk(bool syncs_count = true) : syncs_count_(syncs_count) {}

  void Make(const FileOperation& operation);
  Files Cut(Lost lost, uint64_t seed) const;

 private:
  struct Kept {
    std::optional<std::string> durable{};  // Absent: there is no such file.
    std::vector<FileOperation> pending{};
    bool created = false;  // And not synchronised since.
  };

  static void Settle(Kept& kept);

  const bool syncs_count_;
  std::map<FileKind, Kept> files_;
};

// Makes `files` the files of the database at `path`, whose others are removed.
void WriteFiles(const CutDisk::Files& files, const std::string& path);

}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_FAULT_VFS_H_
