#include "weir/stream/segment_pool.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace weir {
namespace {

constexpr size_t kSegmentBytes = 64 + 1024 * 32;
constexpr size_t kSlabBytes = size_t{2} << 20;

TEST(SegmentPoolTest, GivesMemoryOfEachSizeThatOverlapsNothing) {
  SegmentPool pool;
  std::vector<std::pair<void*, size_t>> taken;
  for (size_t i = 0; i < 200; ++i) {
    const size_t bytes = i % 3 == 0 ? 100 * i + 64 : kSegmentBytes;
    void* const memory = pool.Allocate(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 64, 0u);
    std::memset(memory, static_cast<int>(i), bytes);
    taken.emplace_back(memory, bytes);
  }
  EXPECT_EQ(pool.in_use(), 200u);
  for (size_t i = 0; i < taken.size(); ++i) {
    const auto* const bytes = static_cast<unsigned char*>(taken[i].first);
    EXPECT_EQ(bytes[0], i);
    EXPECT_EQ(bytes[taken[i].second - 1], i);
    pool.Free(taken[i].first, taken[i].second);
  }
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(SegmentPoolTest, GivesAgainWhatItGotBack) {
  SegmentPool pool;
  std::set<void*> seen;
  for (int i = 0; i < 1000; ++i) {
    void* const first = pool.Allocate(kSegmentBytes);
    void* const second = pool.Allocate(kSegmentBytes);
    seen.insert({first, second});
    pool.Free(first, kSegmentBytes);
    pool.Free(second, kSegmentBytes);
  }
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(pool.slab_bytes(), kSlabBytes);
}

TEST(SegmentPoolTest, GivesEmptySlabsBackToTheSystem) {
  SegmentPool pool;
  std::vector<void*> taken;
  taken.reserve(500);
  for (int i = 0; i < 500; ++i) taken.push_back(pool.Allocate(kSegmentBytes));
  EXPECT_EQ(pool.slab_bytes(), 8 * kSlabBytes);
  for (void* memory : taken) pool.Free(memory, kSegmentBytes);
  // One with the spare segments, and an empty one.
  EXPECT_LE(pool.slab_bytes(), 2 * kSlabBytes);
}

TEST(SegmentPoolTest, ServesManyWorkers) {
  SegmentPool pool;
  std::vector<std::jthread> workers;
  workers.reserve(4);
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&pool, w] {
      std::vector<unsigned char*> mine;
      for (size_t i = 0; i < 2000; ++i) {
        if (i % 40 < 20) {
          mine.push_back(
              static_cast<unsigned char*>(pool.Allocate(kSegmentBytes)));
          *mine.back() = static_cast<unsigned char>(w);
        } else {
          EXPECT_EQ(*mine.back(), w);
          pool.Free(mine.back(), kSegmentBytes);
          mine.pop_back();
        }
      }
    });
  }
  workers.clear();
  EXPECT_EQ(pool.in_use(), 0u);
}

}  // namespace
}  // namespace weir
