#ifndef WEIR_CHECKPOINT_INTERNAL_METADATA_FILTER_H_
#define WEIR_CHECKPOINT_INTERNAL_METADATA_FILTER_H_

#include <cstdint>
#include <map>
#include <string>

namespace weir {
inline namespace v0 {
namespace internal {

// Whether a checkpoint with this metadata has all that CheckpointQuery::filter
// asks for.
bool Matches(const std::string& source, int64_t step, const std::string& run_id,
             const std::map<std::string, std::string>& custom,
             const std::map<std::string, std::string>& filter);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_METADATA_FILTER_H_
