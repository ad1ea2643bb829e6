#include "weir/checkpoint/internal/read_calls.h"

#include <memory>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "weir/checkpoint/internal/file_stamp.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// A writer that opens or closes is done with the files in a moment.
constexpr int kAttempts = 50;
constexpr absl::Duration kPause = absl::Milliseconds(2);

}  // namespace

absl::Status ReadCalls::Read(
    absl::FunctionRef<absl::Status(Database&)> read) const {
  absl::Status s;
  for (int i = 0; i < kAttempts; ++i) {
    if (i > 0) absl::SleepFor(kPause);
    const FileStamp before(path_);
    if (!before.exists()) {
      return absl::NotFoundError(
          absl::StrFormat("there is no file '%s'", path_));
    }
    bool alone = false;
    s = ReadOnce(read, alone);
    const bool same = !alone || before == FileStamp(path_);
    if (same && !absl::IsUnavailable(s)) return s;
    if (!same) {
      s = absl::UnavailableError(absl::StrFormat(
          "'%s' is changed while it is read; try again", path_));
    }
  }
  return s;
}

absl::Status ReadCalls::ReadOnce(
    absl::FunctionRef<absl::Status(Database&)> read, bool& alone) const {
  absl::StatusOr<std::unique_ptr<Database>> db =
      Database::OpenToRead(path_, vfs_, alone);
  if (!db.ok()) return db.status();
  absl::Status s = read(**db);
  alone = alone || (*db)->alone();
  return s;
}

void ReadCalls::Add(Call call) const {
  if (call.changes) {
    call.status = absl::FailedPreconditionError(absl::StrFormat(
        "'%s' has been opened only to be read; to change it, open it without "
        "SqliteOptions::read_only",
        path_));
  } else {
    call.status = Read([&call](Database& db) {
      StoredThreads threads(db);
      return call.make(threads);
    });
  }
  CommitQueue::Answer(call, absl::OkStatus());
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
