#include "weir/checkpoint/internal/log_format.h"

#include <algorithm>

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// Words of four bytes, many of which are summed.
uint32_t LittleEndianWord(std::string_view bytes, size_t at) {
  uint32_t number = 0;
  for (size_t i = at + 4; i > at; --i) {
    number = number << 8 | static_cast<unsigned char>(bytes[i - 1]);
  }
  return number;
}
uint32_t BigEndianWord(std::string_view bytes, size_t at) {
  uint32_t number = 0;
  for (size_t i = at; i < at + 4; ++i) {
    number = number << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return number;
}

template <auto kWord>
LogSums Added(LogSums sums, std::string_view bytes) {
  for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    sums.first += kWord(bytes, at) + sums.second;
    sums.second += kWord(bytes, at + 4) + sums.first;
  }
  return sums;
}

LogSums Add(bool big_endian, LogSums to, std::string_view bytes) {
  return big_endian ? Added<&BigEndianWord>(to, bytes)
                    : Added<&LittleEndianWord>(to, bytes);
}

}  // namespace

uint32_t BigEndian(std::string_view bytes, size_t at, size_t size) {
  uint32_t number = 0;
  for (const char c : bytes.substr(std::min(at, bytes.size()), size)) {
    number = number << 8 | static_cast<unsigned char>(c);
  }
  return number;
}

std::optional<LogHeader> LogHeader::Parse(std::string_view bytes) {
  const uint32_t magic = BigEndian(bytes, 0);
  LogHeader header{.big_endian = (magic & 1) != 0,
                   .page = BigEndian(bytes, 8),
                   .salts = std::string(bytes.substr(16, 8)),
                   .sums = LogSums::At(bytes, 24)};
  if ((magic | 1) != 0x377f0683 || header.page < 512 || header.page > 65536 ||
      header.sums != Add(header.big_endian, {}, bytes.substr(0, 24))) {
    return std::nullopt;
  }
  return header;
}

LogSums LogHeader::AddFrame(LogSums to, std::string_view frame) const {
  return Add(big_endian, Add(big_endian, to, frame.substr(0, 8)),
             frame.substr(kFrameHeaderBytes));
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
