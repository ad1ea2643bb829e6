// Workers append to copies of one log, read them and drop them, all at once.
//
// Allowed:    of the logs that append behind the same element, any one does so
//             in place, and the others copy.
// Forbidden:  a log that shows an element that was not appended to it, or not
//             the one that was; a copy that changes; an element freed while a
//             log has it, freed twice, or not freed; a data race.

#include "weir/channels/append_log.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace weir {
namespace {

constexpr int kWorkers = 4;

// Counts the live, and knows if it is used after it was freed.
class Element {
 public:
  explicit Element(uint64_t n) : number_(n) { Born(); }
  Element(const Element& other) : number_(other.number()) { Born(); }
  Element& operator=(const Element&) = delete;
  ~Element() {
    EXPECT_EQ(mark_, kAlive);
    mark_ = 0;
    live.fetch_sub(1, std::memory_order_relaxed);
  }
  uint64_t number() const {
    EXPECT_EQ(mark_, kAlive);
    return number_;
  }

  static inline std::atomic<int64_t> live{0};  // A counter.

 private:
  static constexpr uint64_t kAlive = 0x600dcafe;
  void Born() { live.fetch_add(1, std::memory_order_relaxed); }

  uint64_t number_;
  uint64_t mark_ = kAlive;
};

void ExpectNumbers(const AppendLog<Element>& log,
                   const std::vector<uint64_t>& expected) {
  ASSERT_EQ(log.size(), expected.size());
  size_t i = 0;
  for (const Element& element : log) {
    ASSERT_EQ(element.number(), expected[i++]);
  }
}

TEST(AppendLogStressTest, CopiesOfOneLogGrowIndependently) {
  const auto seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    AppendLog<Element> common;
    std::vector<uint64_t> numbers;
    const size_t size = random() % 40;
    for (size_t i = 0; i < size; ++i) {
      common.Append(Element(i));
      numbers.push_back(i);
    }
    std::latch start(kWorkers);
    std::vector<std::jthread> workers;
    for (int w = 0; w < kWorkers; ++w) {
      workers.emplace_back([log = common, expected = numbers, w, &start,
                            worker_seed = random()]() mutable {
        std::mt19937 choose(worker_seed);
        const AppendLog<Element> before = log;
        const std::vector<uint64_t> expected_before = expected;
        start.arrive_and_wait();
        for (uint64_t i = 0; i < 100; ++i) {
          const uint64_t n = static_cast<uint64_t>(w + 1) * 1000 + i;
          switch (choose() % 8) {
            case 0: {  // A copy goes its own way for a while.
              AppendLog<Element> branch = log;
              branch.Append(Element(n));
              branch.Append(Element(n));
              break;
            }
            case 1:
              if (!expected.empty()) {
                expected.resize(choose() % expected.size());
                log.Truncate(expected.size());
              }
              break;
            default:
              log.Append(Element(n));
              expected.push_back(n);
          }
        }
        ExpectNumbers(log, expected);
        ExpectNumbers(before, expected_before);
      });
    }
    if (round % 2 == 0) common = {};  // The copies outlive it.
    workers.clear();
    if (round % 2 != 0) ExpectNumbers(common, numbers);
    common = {};
    ASSERT_EQ(Element::live.load(std::memory_order_relaxed), 0);
  }
}

// Lets workers go on at the same moment, or nearly so.
class StartLine {
 public:
  void Wait() {
    const uint32_t round = round_.load(std::memory_order_relaxed);
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == kPair) {
      waiting_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; round_.load(std::memory_order_acquire) == round;) {
      if (++spins > 1000) std::this_thread::yield();
    }
  }

  static constexpr uint32_t kPair = 2;

 private:
  // Workers at the line; the last one, whose acquire pairs with the others'
  // release, resets it.
  std::atomic<uint32_t> waiting_{0};
  // Written by the last worker: the release publishes what all did before to
  // the acquire with which the others leave.
  std::atomic<uint32_t> round_{0};
};

TEST(AppendLogStressTest, TwoWorkersAppendBehindOneElementAtOnce) {
  const auto seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE(seed);
  StartLine line;
  // Many logs a round: most attempts miss the moment.
  constexpr size_t kLogs = 100;
  std::vector<std::vector<AppendLog<Element>>> copies(StartLine::kPair);
  const auto work = [&line, &copies, seed](uint32_t w) {
    std::mt19937 random(seed + w);
    int wrong = 0;  // Counted, as the other worker waits for this one.
    for (uint64_t round = 0; round < 1000; ++round) {
      const size_t common = 1 + round % 9;
      if (w == 0) {
        AppendLog<Element> log;
        for (size_t i = 0; i < common; ++i) log.Append(Element(i));
        // Each with a last chunk of its own.
        std::vector<AppendLog<Element>> logs;
        for (size_t k = 0; k < kLogs; ++k) {
          logs.emplace_back(log.begin(), log.end());
        }
        for (auto& logs_of_worker : copies) logs_of_worker = logs;
      }
      const bool early = random() % 2 == 0;
      line.Wait();
      // Each log is dropped at once, or after all have been checked.
      for (AppendLog<Element>& log : copies[w]) {
        log.Append(Element(100 + w));
        if (early) log = {};
      }
      for (const AppendLog<Element>& log : copies[w]) {
        if (log.size() != (early ? 0 : common + 1)) ++wrong;
        for (size_t i = 0; i < log.size(); ++i) {
          if (log[i].number() != (i < common ? i : 100 + w)) ++wrong;
        }
      }
      copies[w].clear();
      line.Wait();
    }
    EXPECT_EQ(wrong, 0);
  };
  std::vector<std::jthread> workers;
  for (uint32_t w = 0; w < StartLine::kPair; ++w) workers.emplace_back(work, w);
  workers.clear();
  EXPECT_EQ(Element::live.load(std::memory_order_relaxed), 0);
}

TEST(AppendLogStressTest, ReadersSeeTheirLogWhileItGrowsElsewhere) {
  for (int round = 0; round < 50; ++round) {
    AppendLog<Element> growing;
    std::vector<std::jthread> readers;
    for (uint64_t i = 0; i < 2000; ++i) {
      growing.Append(Element(i));
      if (i % 500 == 100) {
        readers.emplace_back([log = growing, i] {
          uint64_t expected = 0;
          for (const Element& element : log) {
            ASSERT_EQ(element.number(), expected++);
          }
          ASSERT_EQ(expected, i + 1);
          ASSERT_EQ(log[i / 2].number(), i / 2);
        });
      }
    }
  }
  EXPECT_EQ(Element::live.load(std::memory_order_relaxed), 0);
}

}  // namespace
}  // namespace weir
