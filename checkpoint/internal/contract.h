#ifndef WEIR_CHECKPOINT_INTERNAL_CONTRACT_H_
#define WEIR_CHECKPOINT_INTERNAL_CONTRACT_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/checkpointer.h"

// What weir's stores do alike: how they refuse what the contract forbids, and
// make the bytes of what they are given.
namespace weir {
inline namespace v0 {
namespace internal {

// FailedPrecondition.
absl::Status Refused(const std::string& thread, const CheckpointId& id,
                     const std::string& why);
// InvalidArgument for no id.
absl::Status CheckId(const std::string& thread, const CheckpointId& id);
// Aborted.
absl::Status FencedError(const Fence& fence);
// Of CopyThread(): NotFound, and AlreadyExists.
absl::Status NothingStored(const std::string& thread);
absl::Status SomethingStored(const std::string& thread);

// ResourceExhausted.
absl::Status TooLarge(const std::string& name, size_t size, size_t max_bytes);

// Makes each value its bytes, in its own place, and adds up about how much
// there is to store. The encoder's status for one that has none, and
// ResourceExhausted for more than `max_bytes`; both name it.
absl::Status ToBytes(const Fence& fence, Checkpoint& checkpoint,
                     size_t max_bytes, size_t& bytes);
absl::Status ToBytes(const Fence& fence, NewWrites& writes, size_t max_bytes,
                     size_t& bytes);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_CONTRACT_H_
