#include "weir/channels/values.h"

#include <algorithm>

#include "weir/channels/codec.h"
#include "weir/channels/internal/json_text.h"

namespace weir {
inline namespace v0 {

const Value* Values::Find(uint32_t index) const {
  for (const Item& item : items_) {
    if (item.channel == index) return &item.value;
  }
  return nullptr;
}

const Value* Values::Find(std::string_view name) const {
  for (const Item& item : items_) {
    if (this->name(item) == name) return &item.value;
  }
  return nullptr;
}

void Values::Add(std::string_view name, Value value) {
  // The graph's names are shared; these become this object's own.
  auto names = names_ == nullptr ? std::make_shared<ChannelNames>()
                                 : std::make_shared<ChannelNames>(*names_);
  names->names.emplace_back(name);
  Add(static_cast<uint32_t>(names->names.size() - 1), std::move(value));
  names_ = std::move(names);
}

std::string Values::ToJson() const {
  std::string out;
  Codec<Values>::AppendJson(*this, &out);
  return out;
}

bool operator==(const Values& a, const Values& b) {
  return std::equal(a.items_.begin(), a.items_.end(), b.items_.begin(),
                    b.items_.end(),
                    [&](const Values::Item& x, const Values::Item& y) {
                      return a.name(x) == b.name(y) && x.value == y.value;
                    });
}

void Codec<Values>::AppendJson(const Values& values, std::string* out) {
  out->push_back('{');
  bool first = true;
  for (const Values::Item& item : values.items()) {
    if (!std::exchange(first, false)) out->append(", ");
    internal::AppendJsonString(values.name(item), out);
    out->append(": ");
    item.value.AppendJson(out);
  }
  out->push_back('}');
}

void Codec<Values>::ForEachField(
    const Values& values, absl::FunctionRef<void(std::string_view, Value)> f) {
  for (const Values::Item& item : values.items()) {
    f(values.name(item), item.value);
  }
}

bool Codec<Values>::FindField(const Values& values, std::string_view name,
                              Value* out) {
  const Value* value = values.Find(name);
  if (value == nullptr) return false;
  *out = *value;
  return true;
}

}  // namespace v0
}  // namespace weir
