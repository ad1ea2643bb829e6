#ifndef WEIR_CHECKPOINT_INTERNAL_PACKED_H_
#define WEIR_CHECKPOINT_INTERNAL_PACKED_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/internal/stored.h"

// Packs: many old rows of a namespace in one record, where what they have in
// common is compressed away. docs/checkpoint_format.md has the layout.
namespace weir {
inline namespace v0 {
namespace internal {

// What a pack is filled up to, before it is compressed; one checkpoint alone
// may be more. And of that, the writes of one checkpoint.
inline constexpr size_t kMaxPackBytes = size_t{1} << 20;
inline constexpr size_t kMaxPackedWritesBytes = size_t{64} << 10;
// What each part of a pack takes at most, beside its payloads and texts.
inline constexpr size_t kPackedPartBytes = 48;

// What a pack's plain columns say, all of it a part of the record's key.
struct PackRow {
  std::string kind{};   // kCheckpointPack or ValuePackOf().
  std::string last{};   // The greatest id or version in it, as bytes,
  std::string first{};  // and the least.
  uint64_t count = 0;   // Of checkpoints or values.
  std::string runs{};   // Texts: ids of runs that are in it, each once.
};

// The kind of a pack of checkpoints with their writes, and of one of values of
// a channel; these come first in the table, as checkpoints refer to them.
inline constexpr std::string_view kCheckpointPack = "s";
std::string ValuePackOf(std::string_view channel);
// The channel of a pack of values.
std::string_view ChannelOf(const PackRow& row);

// Versions as bytes that sort as they do.
std::string VersionToBytes(uint64_t version);

// A checkpoint, and of its writes those that are in the same pack, by task,
// index and run.
struct PackedCheckpoint {
  StoredCheckpoint checkpoint{};
  std::vector<StoredWrite> writes{};
};
// A value and its version.
using PackedValue = std::pair<uint64_t, StoredValue>;

std::vector<std::string> RunsOf(const PackRow& row);
// What is in it, in words.
std::string TextOf(const PackRow& row);

// Fills the row with what is given, which is in order, not empty and no more
// than a pack holds; returns the record.
std::string EncodePack(const StoredNamespace& in,
                       const std::vector<PackedCheckpoint>& checkpoints,
                       PackRow& row);
std::string EncodePack(const StoredNamespace& in, std::string_view channel,
                       const std::vector<PackedValue>& values, PackRow& row);

// Of the checkpoints in a pack those from `from` to `to`, these included.
// Errors are those of UnsealRecord(), and name the checkpoints.
absl::StatusOr<std::vector<PackedCheckpoint>> DecodePack(
    const StoredNamespace& in, const PackRow& row, std::string_view record,
    const CheckpointId& from, const CheckpointId& to);
absl::StatusOr<std::vector<PackedCheckpoint>> DecodePack(
    const StoredNamespace& in, const PackRow& row, std::string_view record);
// All values in a pack of them.
absl::StatusOr<std::vector<PackedValue>> DecodeValuePack(
    const StoredNamespace& in, const PackRow& row, std::string_view record);

// The record as it is in another namespace.
absl::StatusOr<std::string> CopyPack(const StoredNamespace& from,
                                     const StoredNamespace& to,
                                     const PackRow& row,
                                     std::string_view record);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_PACKED_H_
