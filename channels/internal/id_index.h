#ifndef WEIR_CHANNELS_INTERNAL_ID_INDEX_H_
#define WEIR_CHANNELS_INTERNAL_ID_INDEX_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/export.h"

namespace weir {
inline namespace v0 {
namespace internal {

// IdIndex: from ids to positions, as a value of which copies are cheap.
//
// Shape:    a few recent ids as they came, and immutable hash tables, each more
//           than twice the size of the next, that copies share.
// Cost:     Find() O(log n) look-ups; Set() O(log n) on average; copy O(log n).
// Threads:  thread-compatible; copies are independent.
// Source:   the sizes follow Bentley and Saxe, "Decomposable searching
//           problems" (1980).
class WEIR_EXPORT IdIndex {
 public:
  std::optional<size_t> Find(std::string_view id) const;
  // From now on `id` is at `position`.
  void Set(std::string_view id, size_t position);

 private:
  struct Table;

  void Freeze();

  std::vector<std::shared_ptr<const Table>> tables_;  // The newest last.
  std::vector<std::pair<std::string, size_t>> recent_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_INTERNAL_ID_INDEX_H_
