#ifndef WEIR_STREAM_INTERNAL_PRESSURE_H_
#define WEIR_STREAM_INTERNAL_PRESSURE_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "weir/export.h"
#include "weir/stream/wait.h"

namespace weir {
inline namespace v0 {
namespace internal {

// Pressure: how far a log may go before its slowest reader that asks for
// back-pressure is too far behind, and who waits until it may.
//
// Threads:   thread-safe.
class WEIR_EXPORT Pressure {
 public:
  // One reader that asks for it.
  class Reader {
   public:
    // `window` is not 0.
    Reader(uint64_t window, uint64_t index);

    // Whether Tell() is due: eight times in a window, so that it costs little,
    // and the reader never waits while it keeps others waiting.
    bool Due(uint64_t index) const { return index - told_ >= step_; }

   private:
    friend class Pressure;
    const uint64_t window_;
    const uint64_t step_;
    uint64_t told_;  // Written under mutex_, read also by its reader.
  };

  // `claim` is the log's counter of events, and outlives this.
  explicit Pressure(const std::atomic<uint64_t>& claim) : claim_(claim) {}
  Pressure(const Pressure&) = delete;
  Pressure& operator=(const Pressure&) = delete;

  // Whether a reader is too far behind; one load if none asks for this.
  bool congested() const {
    // Relaxed, both: advice. Arm() asks again under the lock.
    const uint64_t limit = limit_.load(std::memory_order_relaxed);
    return limit != kNone && claim_.load(std::memory_order_relaxed) >= limit;
  }

  void Add(Reader* reader);
  void Remove(Reader* reader);
  // The reader is done with all before `index`.
  void Tell(Reader* reader, uint64_t index);
  // There is room for ever.
  void Close();

  // Arms `waiter` unless there is room.
  bool Arm(Waiter* waiter);
  bool Disarm(Waiter* waiter);

 private:
  static constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

  void Recount() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Makes `change`, then wakes all if there is room.
  template <typename Change>
  void Update(Change change);

  const std::atomic<uint64_t>& claim_;

  absl::Mutex mutex_;
  std::vector<Reader*> readers_ ABSL_GUARDED_BY(mutex_);
  std::vector<Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;

  // The lowest index that is too far, or kNone. Written under mutex_, read by
  // congested(); publishes nothing.
  std::atomic<uint64_t> limit_{kNone};
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_PRESSURE_H_
