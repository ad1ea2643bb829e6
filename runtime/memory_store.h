#ifndef WEIR_RUNTIME_MEMORY_STORE_H_
#define WEIR_RUNTIME_MEMORY_STORE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "weir/export.h"
#include "weir/runtime/store.h"

namespace weir {
inline namespace v0 {

// Gives each of `texts` a vector, such that similar texts have vectors of
// similar direction; all vectors are of one length. Must be safe to call from
// several threads at once.
using EmbedFunction =
    std::function<absl::StatusOr<std::vector<std::vector<float>>>(
        const std::vector<std::string>& texts)>;

// MemoryStoreOptions: every field has a default.
struct MemoryStoreOptions {
  // The time, for stamps and times to live; by default the time of day when the
  // process began, and steady from then on. Must be safe to call from several
  // threads at once. The store's time does not go back when this does.
  std::function<absl::Time()> now{};
  // Null: queries are ignored.
  EmbedFunction embed{};
  // What is embedded of an item whose PutOptions::index does not say.
  std::vector<std::string> index = {"$"};
};

// MemoryStore: keeps items in memory, for as long as it lives. It shares values
// and never encodes them, so any value can be put. Its scores are cosines, for
// an item that of its nearest vector.
//
// Cost:     Get and Put are logarithmic in what is stored. A search walks the
//           items of its prefix: all of them if there is a filter or a query,
//           else those passed over and given. Each call drops a few of the
//           items that have expired.
// Errors:   what the embedding function gives; FailedPrecondition if its
//           vectors are not one for each text, or not of one length.
// Threads:  thread-safe; the functions given and the codecs of values are
//           called with no lock held, and values end so.
// Lifetime: must outlive the runs that are given it; items outlive the store.
class WEIR_EXPORT MemoryStore final : public Store {
 public:
  explicit MemoryStore(MemoryStoreOptions options = {});
  ~MemoryStore() override;

  StoreCapabilities capabilities() const override;

 private:
  absl::StatusOr<std::vector<StoreResult>> Execute(
      std::vector<StoreOp> ops) override;

  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_MEMORY_STORE_H_
