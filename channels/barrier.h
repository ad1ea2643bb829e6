#ifndef WEIR_CHANNELS_BARRIER_H_
#define WEIR_CHANNELS_BARRIER_H_

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "weir/channels/channel.h"
#include "weir/channels/codec.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {
namespace internal {

// BarrierSeen: which of `n` sources, numbered from 0, have arrived. This is the
// rule of a join; SeenNames adds names to it.
//
// Threads:  thread-compatible.
// Cost:     nothing is allocated for up to 64 sources, nor after construction.
class BarrierSeen {
 public:
  explicit BarrierSeen(size_t n)
      : size_(n), missing_(n), rest_(n > 64 ? (n - 1) / 64 : 0) {}

  // Notes that `source` has arrived. Whether it had not before.
  bool Add(size_t source) {
    assert(source < size_);
    uint64_t& word = source < 64 ? first_ : rest_[source / 64 - 1];
    const uint64_t bit = uint64_t{1} << (source % 64);
    if ((word & bit) != 0) return false;
    word |= bit;
    --missing_;
    return true;
  }
  bool contains(size_t source) const {
    assert(source < size_);
    const uint64_t word = source < 64 ? first_ : rest_[source / 64 - 1];
    return ((word >> (source % 64)) & 1) != 0;
  }
  bool complete() const { return missing_ == 0; }
  bool any() const { return missing_ < size_; }
  // The number of sources, arrived or not.
  size_t size() const { return size_; }

  // Forgets all arrivals.
  void Reset() {
    missing_ = size_;
    first_ = 0;
    rest_.assign(rest_.size(), 0);
  }

 private:
  size_t size_;
  size_t missing_;
  uint64_t first_ = 0;          // A bit for each of the first 64 sources.
  std::vector<uint64_t> rest_;  // And for each of the others.
};

}  // namespace internal

// SeenNames: those of a barrier's names that have been written.
class WEIR_EXPORT SeenNames {
 public:
  SeenNames() : SeenNames(std::vector<std::string>()) {}
  // Of `names`, which may come in any order, none has been seen.
  explicit SeenNames(std::vector<std::string> names);

  bool complete() const { return seen_.complete(); }
  // The names seen, in the order of their bytes.
  std::vector<std::string> names() const;

  // The number of `name` among the barrier's, if it is one.
  std::optional<size_t> Find(std::string_view name) const;
  bool contains(size_t index) const { return seen_.contains(index); }
  void Add(size_t index) { seen_.Add(index); }
  void Reset() { seen_.Reset(); }

  friend bool operator==(const SeenNames& a, const SeenNames& b) {
    return a.names() == b.names();
  }

 private:
  // Sorted; shared by the copies.
  std::shared_ptr<const std::vector<std::string>> all_;
  internal::BarrierSeen seen_;
};

// A list of the names seen. What is decoded knows no other names.
template <>
struct WEIR_EXPORT Codec<SeenNames> {
  static std::string Name() { return "names"; }
  static void Encode(const SeenNames& v, std::string* out);
  static absl::Status Decode(std::string_view* in, SeenNames* v);
  static void AppendJson(const SeenNames& v, std::string* out);
  static void ForEachElement(const SeenNames& v,
                             const internal::ElementVisitor& visit);
};

// NamedBarrier(names): waits until each of `names` has been written, in
// whatever supersteps; it is empty until then. Names may be written more than
// once; any other name is refused. It starts anew when a node that it triggers
// has run.
WEIR_EXPORT ChannelDef<SeenNames, std::string> NamedBarrier(
    std::vector<std::string> names);

// NamedBarrierAfterFinish(names): the same, and stays empty until a superstep
// has left nothing else to run.
WEIR_EXPORT ChannelDef<SeenNames, std::string> NamedBarrierAfterFinish(
    std::vector<std::string> names);

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHANNELS_BARRIER_H_
