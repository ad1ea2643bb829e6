#include "shown.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

namespace weir_cli {
namespace {

constexpr size_t kShownText = 100;  // Bytes of a value on a line.
constexpr size_t kShownHex = 32;

uint32_t Byte(std::string_view bytes, size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

// How many bytes the character at `at` has; 0 if it is none of UTF-8.
size_t CharacterAt(std::string_view bytes, size_t at) {
  const uint32_t first = Byte(bytes, at);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || at + size > bytes.size()) return 0;
  uint32_t code = first & (0x7fU >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((Byte(bytes, at + i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (Byte(bytes, at + i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  return code < kLeast[size] || code > 0x10ffff || surrogate ? 0 : size;
}

bool IsControl(std::string_view bytes, size_t at) {
  return Byte(bytes, at) < 0x20 || Byte(bytes, at) == 0x7f ||
         (Byte(bytes, at) == 0xc2 && Byte(bytes, at + 1) < 0xa0);
}

// Whether it is UTF-8 with no control characters but tabs and ends of lines.
bool IsPrintable(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const size_t size = CharacterAt(bytes, at);
    const char c = bytes[at];
    const bool space = c == '\n' || c == '\t' || c == '\r';
    if (size == 0 || (IsControl(bytes, at) && !space)) return false;
    at += size;
  }
  return true;
}

std::string Hex(std::string_view bytes) {
  return absl::BytesToHexString(std::string(bytes.substr(0, kShownHex)));
}

}  // namespace

bool IsUtf8(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const size_t size = CharacterAt(bytes, at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

std::optional<std::string_view> TextIn(std::string_view bytes) {
  // With its length before it, which may look like a character.
  uint64_t size = 0;
  for (size_t at = 0; at < bytes.size() && at < 4; ++at) {
    size |= uint64_t{Byte(bytes, at) & 0x7f} << (7 * at);
    if (Byte(bytes, at) >= 0x80) continue;
    const std::string_view rest = bytes.substr(at + 1);
    if (rest.empty() || rest.size() != size || !IsPrintable(rest)) break;
    return rest;
  }
  if (IsPrintable(bytes)) return bytes;
  return std::nullopt;
}

std::string ShownName(std::string_view name) {
  std::string shown;
  for (size_t at = 0; at < name.size();) {
    const size_t size = CharacterAt(name, at);
    if (size != 0 && !IsControl(name, at)) {
      shown += name.substr(at, size);
      at += size;
    } else {
      shown += absl::StrFormat("\\x%02x", Byte(name, at));
      ++at;
    }
  }
  return shown;
}

std::string ShownNs(std::string_view ns) {
  return ns.empty() ? "(outermost)" : ShownName(ns);
}

std::string ShownTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

std::string ShownValue(const weir::SavedValue& value) {
  const std::string* bytes = value.bytes();
  if (bytes == nullptr) return "nothing";
  std::string size = absl::StrFormat("%d bytes", bytes->size());
  if (bytes->empty()) return size;
  const std::optional<std::string_view> text = TextIn(*bytes);
  if (!text) {
    const char* more = bytes->size() > kShownHex ? "..." : "";
    return absl::StrFormat("%s, hex %s%s", size, Hex(*bytes), more);
  }
  size_t end = 0;
  while (end < text->size() && end < kShownText) {
    end += CharacterAt(*text, end);
  }
  return absl::StrFormat(
      "%s \"%s\"%s", size,
      absl::Utf8SafeCEscape(std::string(text->substr(0, end))),
      end < text->size() ? "..." : "");
}

std::string ShownValue(const weir::SavedChannel& channel) {
  std::string shown = ShownValue(channel.value);
  if (channel.appended_to != 0) {
    shown += absl::StrFormat(", appended to version %d", channel.appended_to);
  }
  return shown;
}

Json JsonOfValue(const weir::SavedValue& value) {
  const std::string* bytes = value.bytes();
  if (bytes == nullptr) return Json::Null();
  JsonObject object;
  object.Add("bytes", Json::Number(bytes->size()));
  if (const std::optional<std::string_view> text = TextIn(*bytes)) {
    object.Add("text", Json::Text(*text));
  } else {
    object.Add("hex", Json::Text(Hex(*bytes)));
  }
  return object;
}

Json JsonOfId(const weir::CheckpointId& id) {
  return id.has_value() ? Json::Text(id.ToString()) : Json::Null();
}

bool IsWeirsOwn(std::string_view channel) {
  return channel.size() > 4 && channel.substr(0, 2) == "__" &&
         channel.substr(channel.size() - 2) == "__";
}

}  // namespace weir_cli
