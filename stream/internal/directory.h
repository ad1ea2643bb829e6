#ifndef WEIR_STREAM_INTERNAL_DIRECTORY_H_
#define WEIR_STREAM_INTERNAL_DIRECTORY_H_

#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>

namespace weir {
inline namespace v0 {
namespace internal {

// Directory: finds the segment of a number.
//
// Shape:     an entry is null, then its segment, then Freed(), and never goes
//            back, so that nobody makes a segment again that is gone. Four
//            entries are here; others are in blocks, each four times as large
//            as the one before, which stay as long as the log.
template <typename Segment>
class Directory {
 public:
  using Entry = std::atomic<Segment*>;

  Directory() = default;
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    // Relaxed: nobody else uses the log any more.
    for (auto& block : blocks_) {
      delete[] block.load(std::memory_order_relaxed);
    }
  }

  // The mark of a segment that was there, never one itself.
  Segment* Freed() { return reinterpret_cast<Segment*>(this); }

  Entry& operator[](uint64_t number) noexcept {
    if (number < inline_.size()) return inline_[number];
    const size_t block = BlockOf(number);
    Entry* entries = blocks_[block].load(std::memory_order_acquire);
    if (entries == nullptr) entries = MakeBlock(block);
    return entries[number - FirstOf(block)];
  }

  // Its segment, if its block was made; when nobody else uses the directory.
  Segment* Find(uint64_t number) {
    if (number >= inline_.size() &&
        blocks_[BlockOf(number)].load(std::memory_order_relaxed) == nullptr) {
      return nullptr;
    }
    return (*this)[number].load(std::memory_order_relaxed);
  }

 private:
  static constexpr size_t kBlocks = 26;  // Of 2^54 segments.

  // Block i has the numbers whose highest bit is 2i + 2 or 2i + 3.
  static size_t BlockOf(uint64_t number) {
    const size_t block = static_cast<size_t>(std::bit_width(number) - 3) / 2;
    assert(block < kBlocks);
    return block;
  }
  static uint64_t FirstOf(size_t block) { return uint64_t{4} << (2 * block); }

  Entry* MakeBlock(size_t block) {
    auto* const made = new Entry[3 * FirstOf(block)]();
    Entry* there = nullptr;
    if (blocks_[block].compare_exchange_strong(there, made,
                                               std::memory_order_acq_rel,
                                               std::memory_order_acquire)) {
      return made;
    }
    delete[] made;
    return there;
  }

  std::array<Entry, 4> inline_ = {};

  // Each stored once, by MakeBlock(), whose release publishes the block's nulls
  // to the acquire load in operator[].
  std::array<std::atomic<Entry*>, kBlocks> blocks_ = {};
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_DIRECTORY_H_
