#include "weir/stream/internal/parking.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "weir/stream/internal/steady_time.h"

namespace weir {
namespace {

template <typename Parking>
class ParkingTest : public testing::Test {
 protected:
  // Sleeps while `word` is 0.
  void Sleep(const std::atomic<uint32_t>& word) {
    while (word.load(std::memory_order_acquire) == 0) {
      parking_.Wait(word, 0, absl::InfiniteFuture());
    }
  }

  Parking parking_;
};

using Parkings = testing::Types<internal::Parking, internal::TableParking>;
TYPED_TEST_SUITE(ParkingTest, Parkings);

TYPED_TEST(ParkingTest, DoesNotSleepOnAnotherValue) {
  const std::atomic<uint32_t> word{1};
  this->parking_.Wait(word, 0, absl::InfiniteFuture());
}

TYPED_TEST(ParkingTest, GivesUpAtTheDeadline) {
  const std::atomic<uint32_t> word{0};
  this->parking_.Wait(word, 0, absl::InfinitePast());
  this->parking_.Wait(word, 0, internal::SteadyNow());
  const absl::Time deadline = internal::SteadyNow() + absl::Milliseconds(2);
  while (internal::SteadyNow() < deadline) {
    this->parking_.Wait(word, 0, deadline);
  }
}

TYPED_TEST(ParkingTest, WakeReachesAllThatSleepThere) {
  for (int round = 0; round < 200; ++round) {
    std::atomic<uint32_t> word{0};
    std::atomic<uint32_t> other{0};
    std::vector<std::jthread> sleepers;
    sleepers.reserve(4);
    for (int i = 0; i < 3; ++i) {
      sleepers.emplace_back([this, &word] { this->Sleep(word); });
    }
    sleepers.emplace_back([this, &other] { this->Sleep(other); });
    word.store(1, std::memory_order_release);
    this->parking_.Wake(&word, 2);
    this->parking_.Wake(&word, 1);
    other.store(1, std::memory_order_release);
    this->parking_.Wake(&other, 1);
  }
}

TYPED_TEST(ParkingTest, WakeNeedsNoMemory) {
  const void* gone;
  {
    const auto word = std::make_unique<std::atomic<uint32_t>>(0);
    gone = word.get();
  }
  this->parking_.Wake(gone, 1);
}

}  // namespace
}  // namespace weir
