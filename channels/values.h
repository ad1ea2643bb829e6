#ifndef WEIR_CHANNELS_VALUES_H_
#define WEIR_CHANNELS_VALUES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"

#include "weir/channels/channel.h"
#include "weir/channels/value.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

namespace internal {
class TypeTable;
}  // namespace internal

// The names of a schema's channels, by index.
struct ChannelNames {
  uint32_t schema = 0;  // Of the handles that fit; 0 for none.
  std::vector<std::string> names;
  // Of values that a graph stores with the names of their types; null for none.
  std::shared_ptr<const internal::TypeTable> types;
};

// Values: some channels of a graph and what they hold: what a run returns, what
// a node reads, what events carry. Empty channels are not in it. As the content
// of a Value it is a record.
//
// Errors:   looking for a channel that is not in it gives null.
// Threads:  immutable through a const Values.
// Lifetime: what is found lives as long as this object; names live as long as
//           any Values of the same graph.
class WEIR_EXPORT Values {
 public:
  // One channel and what it holds.
  struct Item {
    uint32_t channel;  // Index into the names.
    Value value;
  };

  Values() = default;
  explicit Values(std::shared_ptr<const ChannelNames> names)
      : names_(std::move(names)) {}

  // The channel's value, or null.
  template <class T, class W>
  const T* Find(const Channel<T, W>& channel) const {
    if (names_ == nullptr || channel.schema() != names_->schema) return nullptr;
    const Value* value = Find(channel.index());
    return value == nullptr ? nullptr : value->template As<T>();
  }
  const Value* Find(std::string_view name) const;
  const Value* Find(uint32_t index) const;

  // The channel's value, or a T{} where it is not in here.
  template <class T, class W>
  T Get(const Channel<T, W>& channel) const {
    const T* value = Find(channel);
    return value == nullptr ? T{} : *value;
  }

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  // In the order in which they were added.
  const std::vector<Item>& items() const { return items_; }
  std::string_view name(const Item& item) const {
    return names_->names[item.channel];
  }

  void Reserve(size_t n) { items_.reserve(n); }
  // Adds a channel; `index` is one of the names.
  void Add(uint32_t index, Value value) {
    items_.push_back({index, std::move(value)});
  }
  // Adds a field that the names need not hold; for values made by hand.
  void Add(std::string_view name, Value value);

  // {"topic": "cats", ...}
  std::string ToJson() const;

  friend WEIR_EXPORT bool operator==(const Values& a, const Values& b);

 private:
  std::shared_ptr<const ChannelNames> names_;
  std::vector<Item> items_;
};

// For looking only: what a Values holds is saved channel by channel.
template <>
struct WEIR_EXPORT Codec<Values> {
  static void AppendJson(const Values& values, std::string* out);
  static void ForEachField(const Values& values,
                           absl::FunctionRef<void(std::string_view, Value)> f);
  static bool FindField(const Values& values, std::string_view name,
                        Value* out);
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_VALUES_H_
