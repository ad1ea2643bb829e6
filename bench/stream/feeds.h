#ifndef WEIR_BENCH_STREAM_FEEDS_H_
#define WEIR_BENCH_STREAM_FEEDS_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/optimization.h"

#include "weir/stream/cursor.h"
#include "weir/stream/event_log.h"
#include "weir/stream/segment_pool.h"
#include "weir/stream/wait.h"

namespace weir {

// What is published: 24 bytes, all of which a reader looks at.
struct Payload {
  uint64_t number = 0;
  uint64_t twice = 0;
  uint64_t four_times = 0;

  uint64_t Sum() const { return number + twice + four_times; }
};

inline Payload MakePayload(uint64_t number) {
  return {number, 2 * number, 4 * number};
}

// The sum of `count` payloads with the numbers from 0 on.
inline uint64_t SumOfPayloads(int64_t count) {
  const auto n = static_cast<uint64_t>(count);
  return 7 * (n * (n - 1) / 2);
}

// Ends the last one's readers, where they do not know how many come.
inline constexpr uint64_t kStop = uint64_t{1} << 60;

struct Shape {
  int producers = 1;
  int readers = 1;
  SegmentPool* pool = nullptr;  // For weir's logs; others use the heap.
};

// A feed brings every event of every producer to every reader. Feeds have one
// shape, here and in baselines.h:
//
//   explicit Feed(const Shape& shape);  The readers are there from now on.
//   void Publish(int producer, const Payload& payload);
//   void Read(int reader, int64_t count, auto&& look);
//     Waits for the next `count` payloads, and passes each to `look`.

// Things of several workers, each on its own cache lines.
template <typename T>
struct alignas(ABSL_CACHELINE_SIZE) Apart {
  T value;
};

// kBackpressure: 0, or how far behind a reader makes the producers wait.
template <uint64_t kBackpressure>
class EventLogFeed {
 public:
  explicit EventLogFeed(const Shape& shape) : log_({.pool = shape.pool}) {
    for (int i = 0; i < shape.readers; ++i) {
      cursors_.push_back({*log_.Attach({.backpressure = kBackpressure})});
    }
  }

  void Publish(int /*producer*/, const Payload& payload) {
    if constexpr (kBackpressure != 0) WaitForSpace();
    log_.Publish(1, payload);
  }

  template <class Look>
  void Read(int reader, int64_t count, Look&& look) {
    Cursor<Payload>& cursor = cursors_[static_cast<size_t>(reader)].value;
    for (; count > 0; --count) look(*cursor.Next());
  }

  // As Read(), but never sleeps.
  template <class Look>
  void SpinAndRead(int reader, int64_t count, Look&& look) {
    Cursor<Payload>& cursor = cursors_[static_cast<size_t>(reader)].value;
    while (count > 0) {
      const auto entry = cursor.TryNext();
      if (!entry) continue;
      look(*entry);
      --count;
    }
  }

 private:
  void WaitForSpace() {
    while (log_.congested()) {
      BlockingWaiter room;
      if (log_.ArmSpace(&room)) room.Wait();
    }
  }

  EventLog<Payload> log_;
  std::vector<Apart<Cursor<Payload>>> cursors_;
};

}  // namespace weir

#endif  // WEIR_BENCH_STREAM_FEEDS_H_
