#ifndef WEIR_CHECKPOINT_INTERNAL_STORED_H_
#define WEIR_CHECKPOINT_INTERNAL_STORED_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpoint.h"

// What SqliteCheckpointer's records hold, and the keys they are sealed with:
// each Encode is sealed, each Decode unseals. Errors of Decode are those of
// UnsealRecord(), and name what the record is.
namespace weir {
inline namespace v0 {
namespace internal {

// `s`, an error, and what it is of.
absl::Status In(const std::string& what, const absl::Status& s);

// Each opening of a database numbers from a multiple of two to this power.
inline constexpr int kCountBits = 40;

// Values of so many bytes are kept inside their checkpoint.
inline constexpr size_t kInlineBytes = 64;

struct StoredThread {
  int64_t row = 0;  // A part of the key.
  std::string name{};
  uint64_t epoch = 0;  // Of its writer; 0: it has none.
  uint64_t last_sequence = 0;
  uint64_t last_version = 0;
};

// Where a checkpoint, a value or a write is.
struct StoredNamespace {
  int64_t row = 0;  // No part of any key.
  std::string thread{};
  std::string ns{};
};

// A channel in a checkpoint.
struct StoredChannel {
  enum Kind { kNothing, kInline, kApart };  // In the format.
  std::string name{};
  uint64_t version = 0;
  Kind kind = kNothing;
  std::string value{};  // If it is inline.
};

struct StoredCheckpoint {
  Checkpoint header{};                    // Without channels.
  std::vector<StoredChannel> channels{};  // By name.

  const StoredChannel* Find(std::string_view name) const;
};

// A value of a channel that is not inline.
struct StoredValue {
  uint64_t appended_to = 0;
  SavedValue value{};  // Absent, or bytes.
};

struct StoredWrite {
  PendingWrite write{};  // The value is absent, or bytes.
  // When the first write to its place came that has led to it, and when itself:
  // numbers that grow over the life of the database.
  uint64_t place = 0;
  uint64_t arrival = 0;
};

// What is in the record of each, without its frame; and back. False: it does
// not decode. (A checkpoint's id and namespace, and a write's task, index and
// run, are not in it.)
std::string PayloadOf(const StoredCheckpoint& checkpoint);
std::string PayloadOf(const StoredValue& value);
std::string PayloadOf(const StoredWrite& write);
bool FromPayload(std::string_view payload, StoredCheckpoint& checkpoint);
bool FromPayload(std::string_view payload, StoredValue& value);
bool FromPayload(std::string_view payload, StoredWrite& write);

std::string EncodeThread(const StoredThread& thread);
absl::StatusOr<StoredThread> DecodeThread(int64_t row, std::string name,
                                          std::string_view record);

std::string EncodeCheckpoint(const StoredNamespace& in,
                             const StoredCheckpoint& checkpoint);
absl::StatusOr<StoredCheckpoint> DecodeCheckpoint(const StoredNamespace& in,
                                                  const CheckpointId& id,
                                                  std::string_view record);

std::string EncodeValue(const StoredNamespace& in, std::string_view channel,
                        uint64_t version, const StoredValue& value);
absl::StatusOr<StoredValue> DecodeValue(const StoredNamespace& in,
                                        std::string_view channel,
                                        uint64_t version,
                                        std::string_view record);

std::string EncodeWrite(const StoredNamespace& in, const CheckpointId& id,
                        const StoredWrite& write);
// `run` as RunColumn() has it.
absl::StatusOr<StoredWrite> DecodeWrite(const StoredNamespace& in,
                                        const CheckpointId& id,
                                        std::string_view task, int64_t index,
                                        std::string_view run,
                                        std::string_view record);

// A run's id so that no run differs from a run of an empty id; and back.
std::string RunColumn(const PendingWrite& write);
std::shared_ptr<const std::string> RunOfColumn(std::string_view run);

// What a number of the database itself is kept as.
std::string EncodeNumber(std::string_view name, uint64_t number);
absl::StatusOr<uint64_t> DecodeNumber(std::string_view name,
                                      std::string_view record);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_STORED_H_
