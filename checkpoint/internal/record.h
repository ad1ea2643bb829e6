#ifndef WEIR_CHECKPOINT_INTERNAL_RECORD_H_
#define WEIR_CHECKPOINT_INTERNAL_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "weir/checkpoint/checkpoint.h"

// Records: how what is stored becomes bytes that tell whether they are whole.
// docs/checkpoint_format.md has the layout.
namespace weir {
inline namespace v0 {
namespace internal {

// What a payload that is compressed may have at most; and so what a record
// makes its reader allocate, beyond its own bytes.
inline constexpr size_t kMaxCompressedBytes = size_t{64} << 20;

// Puts `payload`, of less than 4 GiB, in a frame with a checksum of what is
// stored and of the key that it will be stored under, so that a record is good
// only there. From 1 KiB on it is compressed, where that saves an eighth.
std::string SealRecord(std::string_view payload, std::string_view key);

// The payload of `record`: a part of it, or of `buffer`, if it was compressed.
// DataLoss if a byte of it or of the key is not what it was; FailedPrecondition
// if a newer weir made it.
absl::StatusOr<std::string_view> UnsealRecord(std::string_view record,
                                              std::string_view key,
                                              std::string& buffer);

// Of a record that SealRecord() has made: its payload's, before it was
// compressed, and those of the frame.
size_t WholeBytes(std::string_view record);

// The last bytes of a record that begins with `framed`.
std::string RecordChecksumForTesting(std::string_view framed,
                                     std::string_view key);

// Appends fields to a payload or a key.
class Packer {
 public:
  Packer& Number(uint64_t number);  // 1 to 10 bytes, the fewer the smaller.
  Packer& Signed(int64_t number);   // The same, by distance from 0.
  Packer& Text(std::string_view text);
  Packer& Id(const CheckpointId& id);
  Packer& Rest(std::string_view text);  // The last field, without its length.

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Reads them back, in the same order. After bytes that no Packer made, fields
// are empty and ok() is false.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : bytes_(bytes) {}

  uint64_t Number();
  int64_t Signed();
  std::string_view Text();
  CheckpointId Id();
  std::string_view Rest();
  // A number of fields, each of a byte or more, that follow.
  uint64_t Count();

  bool ok() const { return ok_; }
  bool done() const { return ok_ && bytes_.empty(); }

 private:
  std::string_view Take(uint64_t size);

  std::string_view bytes_;
  bool ok_ = true;
};

// 16 bytes, which sort as ids do; and back, from no other number of them.
std::string IdToBytes(const CheckpointId& id);
CheckpointId IdFromBytes(std::string_view bytes);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_RECORD_H_
