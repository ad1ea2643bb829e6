#ifndef WEIR_RUNTIME_INTERNAL_SAVED_BYTES_H_
#define WEIR_RUNTIME_INTERNAL_SAVED_BYTES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/channels/value.h"
#include "weir/channels/values.h"
#include "weir/checkpoint/checkpoint.h"
#include "weir/runtime/internal/saved_line.h"

// The engine's records as bytes, for stores that outlive the process.
//
// Format: a byte that is the format's number, then the record's fields in order
//         as the codecs write them. A Value has the name of its type before it
//         (see TypeTable). docs/checkpoint_format.md has the records.
namespace weir {
inline namespace v0 {
namespace internal {

// Appends the bytes of a record. FailedPrecondition for a value that could not
// be read back.
absl::Status EncodeRecord(const SavedGraph& record, std::string* out);
absl::Status EncodeRecord(const SavedEngine& record, std::string* out);
absl::Status EncodeRecord(const SavedTask& record, std::string* out);
absl::Status EncodeRecord(const SavedFailure& record, std::string* out);
absl::Status EncodeRecord(const SavedInterrupts& record, std::string* out);
absl::Status EncodeRecord(const SavedAnswers& record, std::string* out);

// The reverse, for the graph that has these names. DataLoss for bytes that
// EncodeRecord() cannot have written; FailedPrecondition for those of a later
// format, or with values of types that the graph does not know.
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedGraph* record);
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedEngine* record);
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedTask* record);
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedFailure* record);
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedInterrupts* record);
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedAnswers* record);

// A record on its way to a store and back. LoadRecord() gives the one that was
// saved, which lives as long as `saved`, if the store has kept it; or decodes
// it.
template <class R>
SavedValue SaveRecord(std::shared_ptr<const R> record) {
  return SavedValue(std::move(record), [](const void* saved, std::string* out) {
    return EncodeRecord(*static_cast<const R*>(saved), out);
  });
}
template <class R>
SavedValue SaveRecord(R record) {
  return SaveRecord<R>(std::make_shared<const R>(std::move(record)));
}
template <class R>
absl::StatusOr<std::shared_ptr<const R>> LoadRecord(const SavedValue& saved,
                                                    const SavedFor& names) {
  if (saved.shared() != nullptr) {
    // Not an owner: `saved` is.
    return std::shared_ptr<const R>(std::shared_ptr<const void>(),
                                    static_cast<const R*>(saved.shared()));
  }
  if (!saved.has_value()) return absl::DataLossError("nothing is stored");
  auto record = std::make_shared<R>();
  if (absl::Status s = DecodeRecord(*saved.bytes(), names, record.get());
      !s.ok()) {
    return s;
  }
  return record;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_SAVED_BYTES_H_
