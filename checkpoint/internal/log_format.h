#ifndef WEIR_CHECKPOINT_INTERNAL_LOG_FORMAT_H_
#define WEIR_CHECKPOINT_INTERNAL_LOG_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// The headers of SQLite's write-ahead log, and the checksum that goes on from
// each frame to the next.
//
// Source: SQLite's file format, section 4.
namespace weir {
inline namespace v0 {
namespace internal {

inline constexpr size_t kLogHeaderBytes = 32;
inline constexpr size_t kFrameHeaderBytes = 24;

// A number in SQLite's files, of those of its bytes that are there.
uint32_t BigEndian(std::string_view bytes, size_t at, size_t size = 4);

struct LogSums {
  uint32_t first = 0;
  uint32_t second = 0;

  static LogSums At(std::string_view bytes, size_t at) {
    return {BigEndian(bytes, at), BigEndian(bytes, at + 4)};
  }
  friend bool operator==(const LogSums&, const LogSums&) = default;
};

struct LogHeader {
  bool big_endian = false;  // The words that are summed.
  size_t page = 0;          // Its bytes.
  std::string salts{};      // Which the frames of this log have, too.
  LogSums sums{};

  // Nothing if the bytes are no header of a log.
  static std::optional<LogHeader> Parse(std::string_view bytes);

  // The sums after those of `to` and of a frame.
  LogSums AddFrame(LogSums to, std::string_view frame) const;
  bool IsOfThisLog(std::string_view frame) const {
    return frame.substr(8, salts.size()) == salts;
  }
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_LOG_FORMAT_H_
