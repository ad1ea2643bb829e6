#ifndef WEIR_CHECKPOINT_INTERNAL_READ_CALLS_H_
#define WEIR_CHECKPOINT_INTERNAL_READ_CALLS_H_

#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/internal/commit_queue.h"
#include "weir/checkpoint/internal/database.h"

namespace weir {
inline namespace v0 {
namespace internal {

// ReadCalls: makes calls that only read, in the caller's thread. Each has a
// connection and a transaction of its own and leaves nothing open, so a writer
// is not in the way of it, nor it of a writer.
//
// Where nobody has the database open there is no lock that would keep a writer
// from coming: then the files are compared with what they were before, and the
// call is made again if they have changed.
//
// Threads: thread-safe.
class ReadCalls {
 public:
  // The file is looked at when a call is made.
  ReadCalls(std::string path, std::string vfs)
      : path_(std::move(path)), vfs_(std::move(vfs)) {}

  // Gives `read` the database as it is at one moment; again, if that was no
  // moment, so it must not add to what it has done. NotFound: there is no file.
  // FailedPrecondition: it is not weir's, or a newer one's.
  absl::Status Read(absl::FunctionRef<absl::Status(Database&)> read) const;

  // Refuses a call that changes, with FailedPrecondition.
  void Add(Call call) const;

 private:
  absl::Status ReadOnce(absl::FunctionRef<absl::Status(Database&)> read,
                        bool& alone) const;

  const std::string path_;
  const std::string vfs_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_READ_CALLS_H_
