#include "weir/runtime/command.h"

#include <utility>

namespace weir {
inline namespace v0 {

namespace internal {

bool UnwrapOverwrite(Value& value) {
  if (!value.is_record()) return false;
  Value inner = value.Field("__overwrite__");
  if (inner.has_value()) {
    int fields = 0;
    value.ForEachField([&fields](std::string_view, const Value&) { ++fields; });
    if (fields != 1) return false;
  } else {
    const Value type = value.Field("type");
    if (!type.has_value() || type.ToJson() != "\"__overwrite__\"") return false;
    inner = value.Field("value");
    if (!inner.has_value()) return false;
  }
  value = std::move(inner);
  return true;
}

void UpdateAccess::AddByName(Update& update, std::string_view channel,
                             Value value, bool overwrite) {
  if (update.dynamic_ == nullptr) {
    update.dynamic_ = std::make_unique<Update::Dynamic>();
  }
  std::vector<std::string>& names = update.dynamic_->names;
  names.emplace_back(channel);
  update.Add(static_cast<uint32_t>(names.size() - 1), Write::kByName,
             std::move(value), overwrite);
}

}  // namespace internal

Update& Update::Set(std::string_view channel, Value value) & {
  const bool overwrite = internal::UnwrapOverwrite(value);
  internal::UpdateAccess::AddByName(*this, channel, std::move(value),
                                    overwrite);
  return *this;
}

Update& Update::Overwrite(std::string_view channel, Value value) & {
  Set(channel, std::move(value));
  writes_.back().overwrite = 1;
  return *this;
}

Update Update::FromValue(Value record) {
  if (const Update* update = record.As<Update>()) return *update;
  Update update;
  if (!record.is_record()) {
    update.dynamic_ = std::make_unique<Dynamic>();
    update.dynamic_->refused = std::move(record);
    return update;
  }
  record.ForEachField([&update](std::string_view name, Value value) {
    update.Set(name, std::move(value));
  });
  return update;
}

Update::Update(const Update& other)
    : writes_(other.writes_),
      dynamic_(other.dynamic_ == nullptr
                   ? nullptr
                   : std::make_unique<Dynamic>(*other.dynamic_)) {}

Send::Send(NodeRef node_ref, Update channels)
    : node(std::move(node_ref)), arg(std::move(channels)) {}

NodeResult NodeResult::FromValue(Value value) {
  if (!value.has_value() || value.is_null()) return NodeResult();
  return NodeResult(Update::FromValue(std::move(value)));
}

}  // namespace v0
}  // namespace weir
