#ifndef WEIR_CHANNELS_INTERNAL_TYPE_TABLE_H_
#define WEIR_CHANNELS_INTERNAL_TYPE_TABLE_H_

#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "weir/channels/internal/value_type.h"
#include "weir/channels/value.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {
namespace internal {

// TypeTable: the types of values that are stored with the name of their type,
// since nothing else says what they are when they are read back. Bytes never
// lead to code but through this table.
//
// Threads: thread-compatible.
class WEIR_EXPORT TypeTable {
 public:
  // bool, numbers, std::string, lists of strings, None.
  TypeTable();
  void Add(const ValueType* type);

  // Appends the type's name, and the value's bytes after their size; an absent
  // value is a type without a name. FailedPrecondition if the type is not in
  // here, or has no codec.
  absl::Status Encode(const Value& value, std::string* out) const;
  // Reads that off the front of `in`. DataLoss for other bytes;
  // FailedPrecondition for a type that is not in here.
  absl::Status Decode(std::string_view* in, Value* value) const;

 private:
  void Add(const ValueType* type, std::string_view name);

  absl::flat_hash_map<const ValueType*, std::string_view> names_;
  absl::flat_hash_map<absl::string_view, const ValueType*> types_;
};

// Decodes all of `bytes` as a value of `type`.
WEIR_EXPORT absl::Status DecodeAll(const ValueType* type,
                                   std::string_view bytes, Value* value);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_INTERNAL_TYPE_TABLE_H_
