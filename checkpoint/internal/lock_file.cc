#include "weir/checkpoint/internal/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

std::string Owner() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
  return absl::StrFormat("process %d on host %s", getpid(), host.data());
}

std::string Contents(int file) {
  std::array<char, 512> bytes{};
  const ssize_t size = pread(file, bytes.data(), bytes.size(), 0);
  if (size <= 0) return "another process";
  return {bytes.data(), static_cast<size_t>(size)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<LockFile>> LockFile::Take(
    const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) {
    return absl::ErrnoToStatus(errno, absl::StrFormat("opening '%s'", path));
  }
  std::unique_ptr<LockFile> lock(new LockFile(file));
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return absl::ErrnoToStatus(errno, absl::StrFormat("locking '%s'", path));
    }
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s has it open ('%s' is locked); a database has one writer",
        Contents(file), path));
  }
  const std::string owner = Owner();
  if (ftruncate(file, 0) != 0 || pwrite(file, owner.data(), owner.size(), 0) !=
                                     static_cast<ssize_t>(owner.size())) {
    return absl::ErrnoToStatus(errno, absl::StrFormat("writing '%s'", path));
  }
  return lock;
}

// Closing gives the lock back.
LockFile::~LockFile() { close(file_); }

}  // namespace internal
}  // namespace v0
}  // namespace weir
