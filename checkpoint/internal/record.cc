#include "weir/checkpoint/internal/record.h"

#include <xxhash.h>
#include <zstd.h>

#include <cstddef>

#include "absl/status/status.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr char kMagic = 0x57;
constexpr char kFormat = 1;
enum Codec : char {
  kRaw = 0,  // The payload as it is.
  kZstd = 1,
};
constexpr char kNoFlags = 0;
constexpr size_t kLeastCompressed = 1024;
constexpr int kLevel = 3;
constexpr size_t kHeaderBytes = 8;
constexpr size_t kChecksumBytes = 8;

// Little-endian.
void AppendFixed(uint64_t number, size_t bytes, std::string& out) {
  for (size_t i = 0; i < bytes; ++i) {
    out.push_back(static_cast<char>(number >> (8 * i)));
  }
}
uint64_t Fixed(std::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = bytes.size(); i > 0; --i) {
    number = number << 8 | static_cast<unsigned char>(bytes[i - 1]);
  }
  return number;
}

uint64_t Checksum(std::string_view framed, std::string_view key) {
  return XXH3_64bits_withSeed(framed.data(), framed.size(),
                              XXH3_64bits(key.data(), key.size()));
}

// `payload` compressed, if that is to be; else nothing.
std::string Compressed(std::string_view payload) {
  std::string bytes;
  if (payload.size() < kLeastCompressed ||
      payload.size() > kMaxCompressedBytes) {
    return bytes;
  }
  // In no more room than it may take.
  bytes.resize(payload.size() - payload.size() / 8);
  const size_t size = ZSTD_compress(bytes.data(), bytes.size(), payload.data(),
                                    payload.size(), kLevel);
  bytes.resize(ZSTD_isError(size) != 0 ? 0 : size);
  return bytes;
}

// Into `buffer`, of `size` bytes; false if it does not give just as many.
bool Decompress(std::string_view bytes, uint64_t size, std::string& buffer) {
  // Before anything is allocated.
  if (size > kMaxCompressedBytes ||
      ZSTD_getFrameContentSize(bytes.data(), bytes.size()) != size) {
    return false;
  }
  buffer.resize(size);
  return ZSTD_decompress(buffer.data(), size, bytes.data(), bytes.size()) ==
         size;
}

}  // namespace

std::string SealRecord(std::string_view payload, std::string_view key) {
  const std::string compressed = Compressed(payload);
  const std::string_view stored =
      compressed.empty() ? payload : std::string_view(compressed);
  const char codec = compressed.empty() ? kRaw : kZstd;
  std::string record;
  record.reserve(kHeaderBytes + stored.size() + kChecksumBytes);
  record.append({kMagic, kFormat, codec, kNoFlags});
  AppendFixed(payload.size(), 4, record);
  record.append(stored);
  AppendFixed(Checksum(record, key), kChecksumBytes, record);
  return record;
}

absl::StatusOr<std::string_view> UnsealRecord(std::string_view record,
                                              std::string_view key,
                                              std::string& buffer) {
  if (record.size() < kHeaderBytes + kChecksumBytes || record[0] != kMagic) {
    return absl::DataLossError("the stored bytes are not a record");
  }
  const std::string_view framed =
      record.substr(0, record.size() - kChecksumBytes);
  if (Fixed(record.substr(framed.size())) != Checksum(framed, key)) {
    return absl::DataLossError(
        "the stored bytes are damaged: they differ from their checksum");
  }
  // The checksum is at the end in every format, so this is no damage.
  const char codec = record[2];
  if (record[1] != kFormat || (codec != kRaw && codec != kZstd) ||
      record[3] != kNoFlags) {
    return absl::FailedPreconditionError(
        "the record was written by a newer version of weir; open the database "
        "with that one");
  }
  const std::string_view stored = framed.substr(kHeaderBytes);
  const uint64_t size = Fixed(record.substr(4, 4));
  if (codec == kZstd ? !Decompress(stored, size, buffer)
                     : size != stored.size()) {
    return absl::DataLossError("the record has another length than it says");
  }
  return codec == kZstd ? std::string_view(buffer) : stored;
}

size_t WholeBytes(std::string_view record) {
  return kHeaderBytes + Fixed(record.substr(4, 4)) + kChecksumBytes;
}

std::string RecordChecksumForTesting(std::string_view framed,
                                     std::string_view key) {
  std::string bytes;
  AppendFixed(Checksum(framed, key), kChecksumBytes, bytes);
  return bytes;
}

Packer& Packer::Number(uint64_t number) {
  while (number >= 0x80) {
    bytes_.push_back(static_cast<char>(number | 0x80));
    number >>= 7;
  }
  bytes_.push_back(static_cast<char>(number));
  return *this;
}

Packer& Packer::Signed(int64_t number) {
  const uint64_t twice = static_cast<uint64_t>(number) << 1;
  return Number(number < 0 ? ~twice : twice);
}

Packer& Packer::Text(std::string_view text) {
  Number(text.size());
  return Rest(text);
}

Packer& Packer::Id(const CheckpointId& id) { return Rest(IdToBytes(id)); }

Packer& Packer::Rest(std::string_view text) {
  bytes_.append(text);
  return *this;
}

uint64_t Unpacker::Number() {
  uint64_t number = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const std::string_view next = Take(1);
    if (next.empty()) return 0;
    const auto byte = static_cast<unsigned char>(next[0]);
    number |= uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return number;
  }
  ok_ = false;
  return 0;
}

int64_t Unpacker::Signed() {
  const uint64_t number = Number();
  const uint64_t half = number >> 1;
  return static_cast<int64_t>((number & 1) != 0 ? ~half : half);
}

std::string_view Unpacker::Text() { return Take(Number()); }

CheckpointId Unpacker::Id() { return IdFromBytes(Take(16)); }

std::string_view Unpacker::Rest() { return Take(bytes_.size()); }

uint64_t Unpacker::Count() {
  const uint64_t count = Number();
  if (count > bytes_.size()) ok_ = false;
  return ok_ ? count : 0;
}

std::string_view Unpacker::Take(uint64_t size) {
  if (!ok_ || size > bytes_.size()) {
    ok_ = false;
    return {};
  }
  const std::string_view taken = bytes_.substr(0, size);
  bytes_.remove_prefix(size);
  return taken;
}

std::string IdToBytes(const CheckpointId& id) {
  std::string bytes;
  for (const uint64_t number : {id.sequence, id.random}) {
    for (int shift = 56; shift >= 0; shift -= 8) {
      bytes.push_back(static_cast<char>(number >> shift));
    }
  }
  return bytes;
}

CheckpointId IdFromBytes(std::string_view bytes) {
  CheckpointId id;
  if (bytes.size() != 16) return id;
  for (size_t i = 0; i < 16; ++i) {
    uint64_t& number = i < 8 ? id.sequence : id.random;
    number = number << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return id;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
