#ifndef WEIR_CHECKPOINT_INTERNAL_LOCK_FILE_H_
#define WEIR_CHECKPOINT_INTERNAL_LOCK_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace weir {
inline namespace v0 {
namespace internal {

// LockFile: keeps others from what a file stands for, in this process too, for
// as long as it lives. The file says who has it, and stays behind.
class LockFile {
 public:
  // FailedPrecondition, naming process and host, if another has it.
  static absl::StatusOr<std::unique_ptr<LockFile>> Take(
      const std::string& path);
  ~LockFile();
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

 private:
  explicit LockFile(int file) : file_(file) {}

  const int file_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_LOCK_FILE_H_
