#ifndef WEIR_CHECKPOINT_CHECKPOINT_H_
#define WEIR_CHECKPOINT_CHECKPOINT_H_

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "weir/export.h"

// What a store keeps of a thread: plain structs that know no channel types.
namespace weir {
inline namespace v0 {

// CheckpointId: names a checkpoint within its thread; a later one is greater.
struct WEIR_EXPORT CheckpointId {
  uint64_t sequence = 0;  // Counts the thread's checkpoints; 0: no checkpoint.
  uint64_t random = 0;    // Tells apart what two writers count alike.

  bool has_value() const { return sequence != 0; }
  // 32 hexadecimal digits, in the order of ids; "" for no checkpoint.
  std::string ToString() const;
  // The reverse of ToString(). InvalidArgument for any other text.
  static absl::StatusOr<CheckpointId> FromString(std::string_view text);

  friend auto operator<=>(const CheckpointId&, const CheckpointId&) = default;
};

// SavedValue: a value on its way into or out of a store.
//
// Shape:    shared with whoever saved it, with the means to make its bytes, or
//           those bytes. A store that outlives the process calls Encode(); one
//           in memory keeps the value itself.
// Threads:  immutable; copies share.
// Lifetime: holds what it shares.
class WEIR_EXPORT SavedValue {
 public:
  // Appends the bytes of the value to `out`; FailedPrecondition if its type has
  // none.
  using Encoder = absl::Status (*)(const void* value, std::string* out);

  // Absent.
  SavedValue() = default;
  SavedValue(std::shared_ptr<const void> value, Encoder encode)
      : value_(std::move(value)), encode_(encode) {}
  static SavedValue FromBytes(std::string bytes);

  bool has_value() const { return value_ != nullptr; }
  // The value as it was saved, or null if this has bytes or nothing.
  const void* shared() const {
    return bytes() == nullptr ? value_.get() : nullptr;
  }
  // The bytes, or null if this is shared or absent.
  const std::string* bytes() const;
  // Appends the bytes either way; FailedPrecondition if absent or not to be
  // encoded.
  absl::Status Encode(std::string* out) const;

 private:
  std::shared_ptr<const void> value_;  // A std::string, if this has bytes.
  Encoder encode_ = nullptr;
};

// One channel of a checkpoint.
struct SavedChannel {
  std::string channel{};
  // Of the thread's counter when the channel last changed; never used for
  // another value.
  uint64_t version = 0;
  // 0: `value` is all of it. Else `value` is what follows the value that the
  // channel had at that version, in the base of the checkpoint;
  // Checkpointer::History() gives the pieces.
  uint64_t appended_to = 0;
  SavedValue value{};  // Absent: the channel has changed, and holds nothing.
};

// What is known of a checkpoint beside its state.
struct CheckpointMetadata {
  std::string source{};  // "input", "loop", "update" or "fork".
  int64_t step = 0;      // -1 for a thread's first input.
  std::string run_id{};  // Empty if the run has none.
  // The namespace of each graph around this one, and where it stood.
  std::map<std::string, CheckpointId> parents{};
  // The host's own; values are JSON text.
  std::map<std::string, std::string> custom{};
};

// Checkpoint: the state of one graph of a thread between two supersteps.
struct Checkpoint {
  // The path to the graph, "node:task_id" for each level, joined by '|'; empty
  // for the outermost.
  std::string ns{};
  CheckpointId id{};
  CheckpointId parent{};  // None for the first.
  absl::Time created_at = absl::UnixEpoch();
  CheckpointMetadata metadata{};
  std::vector<SavedChannel> channels{};  // In the order of their names.
};

// Places of writes that are not numbered: each replaces the one before.
inline constexpr int32_t kErrorWrite = -1;      // What the task failed with.
inline constexpr int32_t kScheduledWrite = -2;  // None of weir's own.
inline constexpr int32_t kInterruptWrite = -3;  // What the task asks.
inline constexpr int32_t kResumeWrite = -4;     // What it was answered.
inline constexpr int32_t kFailureWrite = -5;    // What its handler is told.

// PendingWrite: something a task of the superstep after a checkpoint has done,
// kept until the superstep's own checkpoint.
struct PendingWrite {
  std::string task_id{};
  std::string task_path{};
  // From 0 in the order of a task's writes, of which the first under an index
  // stays; or one of the places above.
  int32_t index = 0;
  std::string channel{};
  SavedValue value{};
  // Of the run that put it, which shares it with all of its writes; null if no
  // run did.
  std::shared_ptr<const std::string> run_id{};
};

// A checkpoint and what came after it.
struct CheckpointTuple {
  std::string thread{};
  Checkpoint checkpoint{};
  // Tasks in the order of their first writes; those of a task together, by
  // index.
  std::vector<PendingWrite> writes{};
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_CHECKPOINT_H_
