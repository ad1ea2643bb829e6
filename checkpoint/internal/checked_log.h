#ifndef WEIR_CHECKPOINT_INTERNAL_CHECKED_LOG_H_
#define WEIR_CHECKPOINT_INTERNAL_CHECKED_LOG_H_

#include <string>

#include "absl/status/status.h"

namespace weir {
inline namespace v0 {
namespace internal {

// DataLoss if a byte of the write-ahead log at `path` is not what it was, as
// far as can be told; to be called before SQLite opens the database. SQLite
// itself takes a log to end where a checksum is wrong: it cannot know whether
// that is damage, or what a loss of power has left of the last transaction. But
// if another transaction follows, the one before it had been synchronised.
//
// Damage of the last transaction is not told from a loss of power.
//
// Source: SQLite's description of its file format, section 4.
absl::Status CheckLog(const std::string& path);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_CHECKED_LOG_H_
