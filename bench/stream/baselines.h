#ifndef WEIR_BENCH_STREAM_BASELINES_H_
#define WEIR_BENCH_STREAM_BASELINES_H_

// What the event log is compared with: feeds, see feeds.h, made of what one
// would otherwise use. Each is written to be fast in its own way: readers take
// what is there at one go wherever the queue lets them.

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/base/optimization.h"
#include "bench/stream/feeds.h"
#include "oneapi/tbb/concurrent_queue.h"

#include "weir/stream/internal/parking.h"

#ifdef WEIR_BENCH_CONCURRENTQUEUE
#include "blockingconcurrentqueue.h"
#endif
#ifdef WEIR_BENCH_BOOST
#include "boost/lockfree/spsc_queue.hpp"
#endif

namespace weir {

// Of all that are bounded.
inline constexpr size_t kBound = 65'536;

// What a reader takes at one go, at most.
inline constexpr size_t kGulp = 256;

// For those that cannot sleep: looks some times, then lets others run.
class Patience {
 public:
  void operator()() {
    if (++looks_ < 100) {
      internal::Pause();
    } else {
      std::this_thread::yield();
    }
  }

 private:
  int looks_ = 0;
};

// A queue with a lock and a condition for each reader.
class DequeFeed {
 public:
  explicit DequeFeed(const Shape& shape)
      : queues_(static_cast<size_t>(shape.readers)) {}

  void Publish(int /*producer*/, const Payload& payload) {
    for (Queue& queue : queues_) {
      {
        const std::lock_guard lock(queue.mutex);
        queue.items.push_back(payload);
      }
      queue.filled.notify_one();
    }
  }

  template <class Look>
  void Read(int reader, int64_t count, Look&& look) {
    Queue& queue = queues_[static_cast<size_t>(reader)];
    for (; count > 0; --count) {
      if (queue.taken.empty()) Take(queue);
      look(queue.taken.front());
      queue.taken.pop_front();
    }
  }

 private:
  struct alignas(ABSL_CACHELINE_SIZE) Queue {
    std::mutex mutex;
    std::condition_variable filled;
    std::deque<Payload> items;  // Guarded by `mutex`.
    std::deque<Payload> taken;  // The reader's.
  };

  static void Take(Queue& queue) {
    std::unique_lock lock(queue.mutex);
    queue.filled.wait(lock, [&queue] { return !queue.items.empty(); });
    queue.items.swap(queue.taken);
  }

  std::vector<Queue> queues_;
};

// One vector of all events, with a lock and a condition.
class MutexLogFeed {
 public:
  explicit MutexLogFeed(const Shape& shape)
      : readers_(static_cast<size_t>(shape.readers)) {}

  void Publish(int /*producer*/, const Payload& payload) {
    {
      const std::lock_guard lock(mutex_);
      log_.push_back(payload);
    }
    grown_.notify_all();
  }

  template <class Look>
  void Read(int reader, int64_t count, Look&& look) {
    std::array<Payload, kGulp> gulp;
    size_t& from = readers_[static_cast<size_t>(reader)].value;
    while (count > 0) {
      const size_t taken =
          Copy(from, gulp.data(), std::min(gulp.size(), size_t(count)));
      for (size_t i = 0; i < taken; ++i) look(gulp[i]);
      from += taken;
      count -= static_cast<int64_t>(taken);
    }
  }

  void Rewind(int reader) { readers_[static_cast<size_t>(reader)].value = 0; }

 private:
  size_t Copy(size_t from, Payload* to, size_t most) {
    std::unique_lock lock(mutex_);
    grown_.wait(lock, [this, from] { return log_.size() > from; });
    const size_t taken = std::min(most, log_.size() - from);
    std::copy_n(log_.data() + from, taken, to);
    return taken;
  }

  std::mutex mutex_;
  std::condition_variable grown_;
  std::vector<Payload> log_;            // Guarded by mutex_.
  std::vector<Apart<size_t>> readers_;  // Where each is; its own.
};

// A ring in the manner of the LMAX Disruptor: producers claim by fetch_add and
// wait for the slowest reader, whom they look at seldom; a slot tells by its
// sequence that it is written; readers read in place.
class RingFeed {
 public:
  explicit RingFeed(const Shape& shape)
      : slots_(kBound), done_(static_cast<size_t>(shape.readers)) {}

  void Publish(int /*producer*/, const Payload& payload) {
    const uint64_t at = next_.value.fetch_add(1, std::memory_order_acq_rel);
    Patience patience;
    // Acquire: what the readers did before they let the slot go.
    while (at - slowest_.value.load(std::memory_order_acquire) >= kBound) {
      slowest_.value.store(Slowest(), std::memory_order_release);
      patience();
    }
    Slot& slot = slots_[at % kBound];
    slot.payload = payload;
    // Release: the payload, to Ready().
    slot.written.store(at + 1, std::memory_order_release);
  }

  template <class Look>
  void Read(int reader, int64_t count, Look&& look) {
    std::atomic<uint64_t>& done = done_[static_cast<size_t>(reader)].value;
    uint64_t at = done.load(std::memory_order_relaxed);  // Its own.
    while (count > 0) {
      for (Patience patience; !Ready(at);) patience();
      const uint64_t stop = at + std::min(kGulp, size_t(count));
      const uint64_t begin = at;
      do {
        look(slots_[at % kBound].payload);
      } while (++at < stop && Ready(at));
      count -= static_cast<int64_t>(at - begin);
      // Release: the slots, to Slowest().
      done.store(at, std::memory_order_release);
    }
  }

 private:
  struct Slot {
    std::atomic<uint64_t> written{0};  // Its event's sequence, plus one.
    Payload payload;
  };

  bool Ready(uint64_t at) const {
    return slots_[at % kBound].written.load(std::memory_order_acquire) ==
           at + 1;
  }

  uint64_t Slowest() const {
    uint64_t slowest = next_.value.load(std::memory_order_relaxed);
    for (const Apart<std::atomic<uint64_t>>& done : done_) {
      slowest = std::min(slowest, done.value.load(std::memory_order_acquire));
    }
    return slowest;
  }

  std::vector<Slot> slots_;
  std::vector<Apart<std::atomic<uint64_t>>> done_;
  Apart<std::atomic<uint64_t>> next_ = {};
  // Never above the slowest reader; how far below does not matter.
  Apart<std::atomic<uint64_t>> slowest_ = {};
};

// oneTBB's queue for each reader; it cannot wait.
class TbbQueueFeed {
 public:
  explicit TbbQueueFeed(const Shape& shape)
      : queues_(static_cast<size_t>(shape.readers)) {}

  void Publish(int /*producer*/, const Payload& payload) {
    for (auto& queue : queues_) queue.push(payload);
  }

  template <class Look>
  void Read(int reader, int64_t count, Look&& look) {
    auto& queue = queues_[static_cast<size_t>(reader)];
    for (Payload payload; count > 0; --count) {
      for (Patience patience; !queue.try_pop(payload);) patience();
      look(payload);
    }
  }

 private:
  std::vector<tbb::concurrent_queue<Payload>> queues_;
};

// oneTBB's bounded queue for each reader; it waits.
class TbbBoundedQueueFeed {
 public:
  explicit TbbBoundedQueueFeed(const Shape& shape)
      : queues_(static_cast<size_t>(shape.readers)) {
    for (auto& queue : queues_) queue.set_capacity(kBound);
  }

  void Publish(int /*producer*/, const Payload& payload) {
    for (auto& queue : queues_) queue.push(payload);
  }

  template <class Look>
  void Read(int reader, int64_t count, Look&& look) {
    auto& queue = queues_[static_cast<size_t>(reader)];
    for (Payload payload; count > 0; --count) {
      queue.pop(payload);
      look(payload);
    }
  }

 private:
  std::vector<tbb::concurrent_bounded_queue<Payload>> queues_;
};

#ifdef WEIR_BENCH_CONCURRENTQUEUE
// moodycamel's queue for each reader, with tokens and in bulk, as its manual
// advises.
class MoodycamelFeed {
 public:
  explicit MoodycamelFeed(const Shape& shape)
      : queues_(static_cast<size_t>(shape.readers)),
        producers_(static_cast<size_t>(shape.producers)) {
    for (Queue& queue : queues_) {
      readers_.push_back({moodycamel::ConsumerToken(queue)});
      for (auto& tokens : producers_) tokens.emplace_back(queue);
    }
  }

  void Publish(int producer, const Payload& payload) {
    auto& tokens = producers_[static_cast<size_t>(producer)];
    for (size_t i = 0; i < queues_.size(); ++i) {
      queues_[i].enqueue(tokens[i], payload);
    }
  }

  template <class Look>
  void Read(int reader, int64_t count, Look&& look) {
    std::array<Payload, kGulp> gulp;
    const auto i = static_cast<size_t>(reader);
    while (count > 0) {
      const size_t taken = queues_[i].wait_dequeue_bulk(
          readers_[i].value, gulp.data(), std::min(gulp.size(), size_t(count)));
      std::for_each_n(gulp.begin(), taken, look);
      count -= static_cast<int64_t>(taken);
    }
  }

 private:
  using Queue = moodycamel::BlockingConcurrentQueue<Payload>;

  std::vector<Queue> queues_;
  std::vector<std::vector<moodycamel::ProducerToken>> producers_;
  std::vector<Apart<moodycamel::ConsumerToken>> readers_;
};
#endif

#ifdef WEIR_BENCH_BOOST
// Boost's ring for one producer and one reader; it cannot wait.
class BoostSpscFeed {
 public:
  explicit BoostSpscFeed(const Shape& /*shape*/)
      : queue_(std::make_unique<Queue>()) {}

  void Publish(int /*producer*/, const Payload& payload) {
    for (Patience patience; !queue_->push(payload);) patience();
  }

  template <class Look>
  void Read(int /*reader*/, int64_t count, Look&& look) {
    std::array<Payload, kGulp> gulp;
    while (count > 0) {
      Patience patience;
      size_t taken = 0;
      const size_t most = std::min(gulp.size(), size_t(count));
      while ((taken = queue_->pop(gulp.data(), most)) == 0) patience();
      std::for_each_n(gulp.begin(), taken, look);
      count -= static_cast<int64_t>(taken);
    }
  }

 private:
  using Queue =
      boost::lockfree::spsc_queue<Payload, boost::lockfree::capacity<kBound>>;

  std::unique_ptr<Queue> queue_;
};
#endif

// Nothing but one wake: what a publish that must wake somebody cannot do
// without. One reader.
class WakeFeed {
 public:
  explicit WakeFeed(const Shape& /*shape*/) {}

  void Publish(int /*producer*/, const Payload& payload) {
    payload_ = payload;
    // Release: the payload, to Read().
    word_.fetch_add(1, std::memory_order_release);
    parking_.Wake(&word_, 1);
  }

  // `count` is 1.
  template <class Look>
  void Read(int /*reader*/, int64_t /*count*/, Look&& look) {
    while (word_.load(std::memory_order_acquire) == seen_) {
      parking_.Wait(word_, seen_, absl::InfiniteFuture());
    }
    ++seen_;
    look(payload_);
  }

 private:
  std::atomic<uint32_t> word_{0};
  Payload payload_;  // Written while the reader sleeps.
  uint32_t seen_ = 0;
  [[no_unique_address]] internal::Parking parking_;
};

}  // namespace weir

#endif  // WEIR_BENCH_STREAM_BASELINES_H_
