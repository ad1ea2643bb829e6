#include "weir/channels/internal/type_table.h"

#include <vector>

#include "absl/strings/str_format.h"

#include "weir/channels/internal/wire.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

absl::Status NotKnown(std::string_view name) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "a value of the type %s is stored by the name of its type, which the "
      "graph does not know; name it by StateGraph::AddType()",
      std::string(name)));
}

}  // namespace

TypeTable::TypeTable() {
  // Names of their own: compilers spell some of these in several ways.
  Add(TypeOf<None>(), "none");
  Add(TypeOf<bool>(), "bool");
  Add(TypeOf<int>(), "int");
  Add(TypeOf<unsigned int>(), "uint");
  Add(TypeOf<long>(), "long");
  Add(TypeOf<unsigned long>(), "ulong");
  Add(TypeOf<long long>(), "long long");
  Add(TypeOf<unsigned long long>(), "ulong long");
  Add(TypeOf<float>(), "float");
  Add(TypeOf<double>(), "double");
  Add(TypeOf<std::string>(), "string");
  Add(TypeOf<std::vector<std::string>>(), "strings");
}

void TypeTable::Add(const ValueType* type) { Add(type, type->name); }

void TypeTable::Add(const ValueType* type, std::string_view name) {
  if (!names_.emplace(type, name).second) return;
  types_.emplace(absl::string_view(name.data(), name.size()), type);
}

absl::Status TypeTable::Encode(const Value& value, std::string* out) const {
  if (!value.has_value()) {
    Codec<std::string>::Encode("", out);
    return absl::OkStatus();
  }
  const auto name = names_.find(value.type());
  if (name == names_.end()) return NotKnown(value.type_name());
  std::string bytes;
  if (absl::Status s = value.Encode(&bytes); !s.ok()) return s;
  Codec<std::string>::Encode(name->second, out);
  Codec<std::string>::Encode(bytes, out);
  return absl::OkStatus();
}

absl::Status TypeTable::Decode(std::string_view* in, Value* value) const {
  std::string_view name;
  if (absl::Status s = GetSized(in, &name); !s.ok()) return s;
  value->reset();
  if (name.empty()) return absl::OkStatus();
  std::string_view bytes;
  if (absl::Status s = GetSized(in, &bytes); !s.ok()) return s;
  const auto type = types_.find(absl::string_view(name.data(), name.size()));
  if (type == types_.end()) return NotKnown(name);
  return DecodeAll(type->second, bytes, value);
}

absl::Status DecodeAll(const ValueType* type, std::string_view bytes,
                       Value* value) {
  if (type->decode == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrFormat("the type %s has no codec", std::string(type->name)));
  }
  if (absl::Status s = type->decode(&bytes, value); !s.ok()) return s;
  return bytes.empty() ? absl::OkStatus() : BadBytes("bytes after its end");
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
