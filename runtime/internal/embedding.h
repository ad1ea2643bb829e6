#ifndef WEIR_RUNTIME_INTERNAL_EMBEDDING_H_
#define WEIR_RUNTIME_INTERNAL_EMBEDDING_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"

#include "weir/channels/value.h"
#include "weir/runtime/memory_store.h"

namespace weir {
inline namespace v0 {
namespace internal {

using Vector = std::vector<float>;

// Adds the texts of `value` at `path`, a PutOptions::index: a string as it is,
// anything else as JSON. What is null, empty or not there has none.
void AddTexts(const Value& value, std::string_view path,
              std::vector<std::string>* texts);

// The cosine of `query` and the nearest of `vectors`, all from Embeddings;
// absent if there are none.
std::optional<double> Score(const Vector& query,
                            const std::vector<Vector>& vectors);

// Embeddings: the vectors of some texts, each embedded once, all in one call.
//
// Threads: single-owner.
class Embeddings {
 public:
  // Returns the text's index. Before Embed().
  size_t Add(std::string text);

  // FailedPrecondition if `embed` does not give one vector of finite numbers
  // for each text, all of one length; or what it gives.
  absl::Status Embed(const EmbedFunction& embed);

  // After Embed(): of length one, or zero.
  const Vector& vector(size_t index) const { return vectors_[index]; }
  // How many numbers a vector has; 0 if there are none.
  size_t dimensions() const {
    return vectors_.empty() ? 0 : vectors_.front().size();
  }

 private:
  std::vector<std::string> texts_;
  absl::flat_hash_map<std::string, size_t> indices_;
  std::vector<Vector> vectors_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_EMBEDDING_H_
