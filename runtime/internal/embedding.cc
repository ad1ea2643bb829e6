#include "weir/runtime/internal/embedding.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <variant>

#include "absl/strings/str_format.h"

#include "weir/runtime/internal/scalar.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr std::string_view kWhole = "$";
constexpr std::string_view kEach = "[*]";

void AddText(const Value& value, std::vector<std::string>* texts) {
  const std::optional<Scalar> scalar = ScalarOf(value);
  const auto* string =
      scalar.has_value() ? std::get_if<std::string>(&*scalar) : nullptr;
  if (scalar == Scalar(None())) return;
  std::string text = string != nullptr ? *string : value.ToJson();
  if (!text.empty()) texts->push_back(std::move(text));
}

double Dot(const Vector& a, const Vector& b) {
  return std::inner_product(
      a.begin(), a.end(), b.begin(), 0.0,
      [](double x, double y) { return x + y; },
      [](float x, float y) { return double{x} * y; });
}

// Makes `vector` of length one. False if that cannot be.
bool Normalise(Vector* vector) {
  const double length = std::sqrt(Dot(*vector, *vector));
  if (!std::isfinite(length)) return false;
  if (length == 0) return true;
  for (float& number : *vector) {
    number = static_cast<float>(number / length);
  }
  return true;
}

}  // namespace

void AddTexts(const Value& value, std::string_view path,
              std::vector<std::string>* texts) {
  if (path.empty() || path == kWhole) return AddText(value, texts);
  const size_t dot = path.find('.');
  std::string_view name = path.substr(0, dot);
  path = dot == path.npos ? "" : path.substr(dot + 1);
  const bool each = name.ends_with(kEach);
  if (each) name.remove_suffix(kEach.size());
  const Value field = name.empty() ? value : value.Field(name);
  if (!each) return AddTexts(field, path, texts);
  field.ForEachElement(
      [path, texts](const Value& element) { AddTexts(element, path, texts); });
}

std::optional<double> Score(const Vector& query,
                            const std::vector<Vector>& vectors) {
  std::optional<double> best;
  for (const Vector& vector : vectors) {
    const double score = Dot(query, vector);
    if (!best.has_value() || score > *best) best = score;
  }
  return best;
}

size_t Embeddings::Add(std::string text) {
  const auto [at, added] = indices_.try_emplace(text, texts_.size());
  if (added) texts_.push_back(std::move(text));
  return at->second;
}

absl::Status Embeddings::Embed(const EmbedFunction& embed) {
  if (texts_.empty()) return absl::OkStatus();
  absl::StatusOr<std::vector<Vector>> vectors = embed(texts_);
  if (!vectors.ok()) return vectors.status();
  vectors_ = *std::move(vectors);
  if (vectors_.size() != texts_.size()) {
    return absl::FailedPreconditionError(
        absl::StrFormat("the embedding function gave %d vectors for %d texts",
                        vectors_.size(), texts_.size()));
  }
  for (Vector& vector : vectors_) {
    if (vector.empty() || vector.size() != dimensions() ||
        !Normalise(&vector)) {
      return absl::FailedPreconditionError(
          "the embedding function gave vectors that are empty, not of one "
          "length, or not of finite numbers");
    }
  }
  return absl::OkStatus();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
