#ifndef WEIR_RUNTIME_INTERNAL_RUN_LOG_H_
#define WEIR_RUNTIME_INTERNAL_RUN_LOG_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "weir/runtime/event.h"
#include "weir/runtime/internal/durable_events.h"
#include "weir/stream/event_log.h"

namespace weir {
inline namespace v0 {
namespace internal {

// RunLog: a run's event log, made when somebody first wants it, so that a run
// that nobody watches has a pointer; and the limits of what it keeps.
//
// Threads:  thread-safe.
// Lifetime: must outlive the run; cursors share ownership of the events.
class RunLog {
 public:
  struct Options {
    EventLogOptions log{};
    uint64_t max_events = 0;  // Of a resumable log; 0 for any number.
    uint64_t max_bytes = 0;   // Likewise, of the events' JSON.
  };

  explicit RunLog(const Options& options)
      : options_(options),
        kept_(options_.max_events == 0 && options_.max_bytes == 0
                  ? nullptr
                  : std::make_unique<Kept>()) {}
  ~RunLog() { delete log_.load(std::memory_order_acquire); }
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  // The modes worth publishing now.
  uint32_t interest() const {
    const EventLog<Event>* const log = if_open();
    return log == nullptr ? 0 : log->interest();
  }

  // What cannot be stored is noted in the durable events' error().
  void Publish(uint32_t mode, Event event) {
    EventLog<Event>* const log = if_open();
    if (log == nullptr || (log->interest() & mode) == 0) return;
    if (durable_ != nullptr) {
      durable_->Note(durable_->Publish(mode, std::move(event)));
    } else if (kept_ == nullptr) {
      log->Publish(mode, std::move(event));
    } else {
      PublishWithin(*log, mode, std::move(event));
    }
  }

  // Before anything is published: readers get only what is stored.
  void StoreWith(std::shared_ptr<DurableEvents> durable) {
    durable_ = std::move(durable);
  }
  // Null: nothing of it is stored.
  DurableEvents* durable() const { return durable_.get(); }
  // For the durable events: one that is stored. The log is open.
  void Deliver(uint32_t mode, Event event) {
    if (kept_ == nullptr) {
      if_open()->Publish(mode, std::move(event));
    } else {
      PublishWithin(*if_open(), mode, std::move(event));
    }
  }
  bool limited() const { return kept_ != nullptr; }
  uint64_t oldest_id() const { return if_open()->oldest_id(); }
  // Before it is opened: the id of its first event.
  void BeginAt(uint64_t first_id) { options_.log.first_id = first_id; }
  uint64_t first_id() const { return options_.log.first_id; }

  // Whether a reader that the run is to wait for is far behind. One load where
  // there is no such reader.
  bool congested() const {
    const EventLog<Event>* const log = if_open();
    return log != nullptr && log->congested();
  }
  // The longest that a run waits for readers each time; it grows with theirs.
  absl::Duration patience() const {
    return absl::Nanoseconds(patience_ns_.load(std::memory_order_relaxed));
  }
  void WaitUpTo(absl::Duration patience) {
    const int64_t ns = absl::ToInt64Nanoseconds(patience);
    int64_t longest = patience_ns_.load(std::memory_order_relaxed);
    while (ns > longest && !patience_ns_.compare_exchange_weak(
                               longest, ns, std::memory_order_relaxed)) {
    }
  }

  // Ends the log, if anybody has wanted it.
  void Close(const absl::Status& status, std::optional<Event> last_event);

  // Where readers attach. Once it is there it stays, until it is taken.
  EventLog<Event>& Open();

  // Gives the log away, once nobody publishes any more.
  std::unique_ptr<EventLog<Event>> Take() {
    return std::unique_ptr<EventLog<Event>>(
        log_.exchange(nullptr, std::memory_order_acq_rel));
  }

  // The log, or null if nobody has wanted it.
  EventLog<Event>* if_open() const {
    // Acquire: pairs with Open(), and sees the log made. Who publishes after a
    // reader has attached sees the pointer, since the two are ordered.
    return log_.load(std::memory_order_acquire);
  }

 private:
  void PublishWithin(EventLog<Event>& log, uint32_t mode, Event event);
  uint64_t BytesOf(const Event& event) const;
  // Drops what the event `id` leaves no room for.
  void Keep(EventLog<Event>& log, uint64_t id, uint64_t bytes);

  Options options_;
  std::shared_ptr<DurableEvents> durable_;
  // Relaxed: nothing but the number counts.
  std::atomic<int64_t> patience_ns_{0};
  // Set once, by the Open() that comes first (release): the log.
  std::atomic<EventLog<Event>*> log_{nullptr};

  // What a log with limits keeps: the ids and the bytes of each.
  struct Kept {
    absl::Mutex mutex;  // Publishers alone take it.
    std::deque<std::pair<uint64_t, uint64_t>> events ABSL_GUARDED_BY(mutex);
    uint64_t bytes ABSL_GUARDED_BY(mutex) = 0;
  };
  const std::unique_ptr<Kept> kept_;  // Null: no limits.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_RUN_LOG_H_
