#include "weir/runtime/internal/scalar.h"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

template <class T>
std::optional<T> Parse(std::string_view text) {
  T number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::optional<Scalar> ParseNumber(std::string_view text) {
  if (const auto n = Parse<int64_t>(text)) return Scalar(*n);
  if (const auto n = Parse<uint64_t>(text)) return Scalar(*n);
  if (const auto n = Parse<double>(text)) return Scalar(*n);
  return std::nullopt;
}

// What AppendJsonString() was given, but for bytes that were not UTF-8.
std::string Unquote(std::string_view text) {
  text = text.substr(1, text.size() - 2);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out.push_back(text[i]);
      continue;
    }
    constexpr std::string_view kLetters = "bfnrt";
    constexpr std::string_view kMeant = "\b\f\n\r\t";
    const char letter = text[++i];
    const size_t at = kLetters.find(letter);
    int code = 0;  // Only control characters are written as numbers.
    if (at != kLetters.npos) {
      out.push_back(kMeant[at]);
    } else if (letter == 'u' && i + 4 < text.size() &&
               std::from_chars(text.data() + i + 1, text.data() + i + 5, code,
                               16)
                       .ec == std::errc()) {
      out.push_back(static_cast<char>(code));
      i += 4;
    } else {
      out.push_back(letter);
    }
  }
  return out;
}

template <class Integer>
std::partial_ordering CompareToDouble(Integer a, double b) {
  // Both bounds are powers of two, or zero, and so exact.
  constexpr auto kLeast =
      static_cast<double>(std::numeric_limits<Integer>::min());
  const double above = std::ldexp(1.0, std::numeric_limits<Integer>::digits);
  if (std::isnan(b)) return std::partial_ordering::unordered;
  if (b >= above) return std::partial_ordering::less;
  if (b < kLeast) return std::partial_ordering::greater;
  const auto whole = static_cast<Integer>(b);
  if (a != whole) return a <=> whole;
  return static_cast<double>(whole) <=> b;
}

template <class T>
inline constexpr bool kIsInteger =
    std::is_same_v<T, int64_t> || std::is_same_v<T, uint64_t>;

struct Comparison {
  template <class A, class B>
  std::partial_ordering operator()(const A& a, const B& b) const {
    if constexpr (std::is_same_v<A, None> && std::is_same_v<B, None>) {
      return std::partial_ordering::equivalent;
    } else if constexpr (std::is_same_v<A, B>) {
      return a <=> b;
    } else if constexpr (kIsInteger<A> && kIsInteger<B>) {
      if (std::cmp_equal(a, b)) return std::partial_ordering::equivalent;
      return std::cmp_less(a, b) ? std::partial_ordering::less
                                 : std::partial_ordering::greater;
    } else if constexpr (kIsInteger<A> && std::is_same_v<B, double>) {
      return CompareToDouble(a, b);
    } else if constexpr (std::is_same_v<A, double> && kIsInteger<B>) {
      return 0 <=> CompareToDouble(b, a);
    } else {
      return std::partial_ordering::unordered;
    }
  }
};

}  // namespace

std::optional<Scalar> ScalarOf(const Value& value) {
  if (!value.has_value() || value.is_null()) return Scalar(None());
  if (value.is_record() || value.is_list()) return std::nullopt;
  if (const auto* v = value.As<std::string>()) return Scalar(*v);
  if (const auto* v = value.As<bool>()) return Scalar(*v);
  if (const auto* v = value.As<int>()) return Scalar(int64_t{*v});
  if (const auto* v = value.As<int64_t>()) return Scalar(*v);
  if (const auto* v = value.As<double>()) return Scalar(*v);
  const std::string text = value.ToJson();
  if (text == "true" || text == "false") return Scalar(text == "true");
  if (text.size() >= 2 && text.front() == '"') return Scalar(Unquote(text));
  return ParseNumber(text);
}

std::partial_ordering Compare(const Scalar& a, const Scalar& b) {
  return std::visit(Comparison(), a, b);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
