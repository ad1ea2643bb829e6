#include "weir/checkpoint/internal/checked_log.h"

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr size_t kHeaderBytes = 32;
constexpr size_t kFrameHeaderBytes = 24;

uint32_t BigEndian(std::string_view bytes, size_t at) {
  uint32_t number = 0;
  for (size_t i = at; i < at + 4; ++i) {
    number = number << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return number;
}
uint32_t LittleEndian(std::string_view bytes, size_t at) {
  uint32_t number = 0;
  for (size_t i = at + 4; i > at; --i) {
    number = number << 8 | static_cast<unsigned char>(bytes[i - 1]);
  }
  return number;
}

struct Sums {
  uint32_t first = 0;
  uint32_t second = 0;

  friend bool operator==(const Sums&, const Sums&) = default;
};

template <auto kWord>
Sums Added(Sums sums, std::string_view bytes) {
  for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    sums.first += kWord(bytes, at) + sums.second;
    sums.second += kWord(bytes, at + 4) + sums.first;
  }
  return sums;
}

struct Header {
  bool big_endian = false;  // The words that are summed.
  size_t page = 0;
  std::string_view salts{};
  Sums sums{};

  Sums Add(Sums to, std::string_view bytes) const {
    return big_endian ? Added<&BigEndian>(to, bytes)
                      : Added<&LittleEndian>(to, bytes);
  }
};

Sums SumsAt(std::string_view bytes, size_t at) {
  return {BigEndian(bytes, at), BigEndian(bytes, at + 4)};
}

// False if it is no header of a log.
bool Parse(std::string_view bytes, Header& header) {
  const uint32_t magic = BigEndian(bytes, 0);
  header.big_endian = (magic & 1) != 0;
  header.page = BigEndian(bytes, 8);
  header.salts = bytes.substr(16, 8);
  header.sums = SumsAt(bytes, 24);
  return (magic | 1) == 0x377f0683 && header.page >= 512 &&
         header.page <= 65536 &&
         header.sums == header.Add({}, bytes.substr(0, 24));
}

struct Frame {
  uint32_t number = 0;  // Of the page.
  bool commit = false;  // The last of a transaction.
  bool linked = false;  // Written after the one before, and as it was.
  std::string bytes{};
};

absl::Status Damaged(const std::string& path, size_t at) {
  return absl::DataLossError(absl::StrFormat(
      "'%s' is damaged at byte %d, before the end of what it has kept", path,
      at));
}

bool Read(std::ifstream& file, size_t size, std::string& bytes) {
  bytes.resize(size);
  file.read(bytes.data(), static_cast<std::streamsize>(size));
  return static_cast<size_t>(file.gcount()) == size;
}

// Of frames: SQLite may fill up a sector with copies of the last.
bool IsCopy(const Frame& a, const Frame& b) {
  return b.commit && a.number == b.number &&
         std::string_view(a.bytes).substr(kFrameHeaderBytes) ==
             std::string_view(b.bytes).substr(kFrameHeaderBytes);
}

// What `frame` has is in its bytes; `sums` are those before it, and then its.
void Parse(const Header& header, Frame& frame, Sums& sums) {
  const std::string_view bytes = frame.bytes;
  const bool of_this_log = bytes.substr(8, 8) == header.salts;
  frame.number = BigEndian(bytes, 0);
  frame.commit = of_this_log && BigEndian(bytes, 4) != 0;
  const Sums sum = header.Add(header.Add(sums, bytes.substr(0, 8)),
                              bytes.substr(kFrameHeaderBytes));
  sums = SumsAt(bytes, 16);
  frame.linked = of_this_log && frame.number != 0 && sum == sums;
}

}  // namespace

absl::Status CheckLog(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string begin;
  if (!file || !Read(file, kHeaderBytes, begin)) return absl::OkStatus();
  Header header;
  // It is synchronised before anything follows it.
  const bool alone = file.peek() == std::ifstream::traits_type::eof();
  if (!Parse(begin, header)) {
    return alone ? absl::OkStatus() : Damaged(path, 0);
  }
  const size_t frame_bytes = kFrameHeaderBytes + header.page;
  Sums sums = header.sums;
  size_t broken = 0;  // Where the first frame is that is not linked; 0 if none.
  Frame last, next;
  for (size_t at = kHeaderBytes; Read(file, frame_bytes, next.bytes);
       at += frame_bytes) {
    Parse(header, next, sums);
    const bool kept = broken != 0 && next.linked && last.commit;
    if (kept && !IsCopy(last, next)) return Damaged(path, broken);
    if (broken == 0 && !next.linked) broken = at;
    std::swap(last, next);
  }
  return absl::OkStatus();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
