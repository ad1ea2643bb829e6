#include "weir/checkpoint/internal/checked_log.h"

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"

#include "weir/checkpoint/internal/log_format.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

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
void Parse(const LogHeader& header, Frame& frame, LogSums& sums) {
  const std::string_view bytes = frame.bytes;
  const bool of_this_log = header.IsOfThisLog(bytes);
  frame.number = BigEndian(bytes, 0);
  frame.commit = of_this_log && BigEndian(bytes, 4) != 0;
  const LogSums sum = header.AddFrame(sums, bytes);
  sums = LogSums::At(bytes, 16);
  frame.linked = of_this_log && frame.number != 0 && sum == sums;
}

}  // namespace

absl::Status CheckLog(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string begin;
  if (!file || !Read(file, kLogHeaderBytes, begin)) return absl::OkStatus();
  const std::optional<LogHeader> header = LogHeader::Parse(begin);
  // It is synchronised before anything follows it.
  const bool alone = file.peek() == std::ifstream::traits_type::eof();
  if (!header) return alone ? absl::OkStatus() : Damaged(path, 0);
  const size_t frame_bytes = kFrameHeaderBytes + header->page;
  LogSums sums = header->sums;
  size_t broken = 0;  // Where the first frame is that is not linked; 0 if none.
  Frame last, next;
  for (size_t at = kLogHeaderBytes; Read(file, frame_bytes, next.bytes);
       at += frame_bytes) {
    Parse(*header, next, sums);
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
