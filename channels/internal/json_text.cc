#include "weir/channels/internal/json_text.h"

#include <charconv>
#include <cmath>
#include <cstddef>

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// The length of the UTF-8 sequence that `text` begins with, or 0 if it begins
// with none: no overlong forms, no surrogates, nothing above U+10FFFF.
size_t Utf8Length(std::string_view text) {
  const auto byte = [text](size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto continues = [&byte](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!continues(1) || !continues(2)) return 0;
    if (first == 0xE0 && byte(1) < 0xA0) return 0;
    if (first == 0xED && byte(1) > 0x9F) return 0;
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (first == 0xF0 && byte(1) < 0x90) return 0;
    if (first == 0xF4 && byte(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

void AppendEscape(char c, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out->append("\\\"");
      return;
    case '\\':
      out->append("\\\\");
      return;
    case '\b':
      out->append("\\b");
      return;
    case '\f':
      out->append("\\f");
      return;
    case '\n':
      out->append("\\n");
      return;
    case '\r':
      out->append("\\r");
      return;
    case '\t':
      out->append("\\t");
      return;
    default:
      out->append("\\u00");
      out->push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      out->push_back(kHex[static_cast<unsigned char>(c) & 0xF]);
  }
}

template <class Integer>
void AppendInteger(Integer number, std::string* out) {
  char buffer[20];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), number);
  out->append(buffer, result.ptr);
}

template <class Number>
void AppendNumber(Number number, std::string* out) {
  if (!std::isfinite(number)) {
    out->append("null");
    return;
  }
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), number);
  const std::string_view text(buffer, static_cast<size_t>(result.ptr - buffer));
  out->append(text);
  if (text.find_first_of(".e") == std::string_view::npos) out->append(".0");
}

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  size_t plain = 0;  // What precedes `i` from here is yet to be appended.
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
      ++i;
      continue;
    }
    const size_t length = c < 0x80 ? 0 : Utf8Length(text.substr(i));
    if (length > 0) {
      i += length;
      continue;
    }
    out->append(text.substr(plain, i - plain));
    if (c < 0x80) {
      AppendEscape(text[i], out);
    } else {
      out->append("\xEF\xBF\xBD");
    }
    plain = ++i;
  }
  out->append(text.substr(plain));
  out->push_back('"');
}

void AppendJsonInteger(int64_t number, std::string* out) {
  AppendInteger(number, out);
}

void AppendJsonInteger(uint64_t number, std::string* out) {
  AppendInteger(number, out);
}

void AppendJsonNumber(double number, std::string* out) {
  AppendNumber(number, out);
}

void AppendJsonNumber(float number, std::string* out) {
  AppendNumber(number, out);
}

void AppendSpacedJson(std::string_view compact, std::string* out) {
  bool quoted = false;
  for (size_t i = 0; i < compact.size(); ++i) {
    const char c = compact[i];
    out->push_back(c);
    if (quoted && c == '\\' && i + 1 < compact.size()) {
      out->push_back(compact[++i]);
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == ':' || c == ',')) {
      out->push_back(' ');
    }
  }
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
