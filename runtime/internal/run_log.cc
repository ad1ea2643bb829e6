#include "weir/runtime/internal/run_log.h"

#include <algorithm>
#include <memory>

namespace weir {
inline namespace v0 {
namespace internal {

EventLog<Event>& RunLog::Open() {
  if (EventLog<Event>* const log = if_open(); log != nullptr) return *log;
  auto made = std::make_unique<EventLog<Event>>(options_.log);
  EventLog<Event>* other = nullptr;
  // Release publishes the log; acquire sees the one that came first.
  if (log_.compare_exchange_strong(other, made.get(), std::memory_order_acq_rel,
                                   std::memory_order_acquire)) {
    return *made.release();
  }
  return *other;
}

void RunLog::PublishWithin(EventLog<Event>& log, uint32_t mode, Event event) {
  const uint64_t bytes = BytesOf(event);
  const std::optional<uint64_t> id = log.Publish(mode, std::move(event));
  if (id.has_value()) Keep(log, *id, bytes);
}

void RunLog::Close(const absl::Status& status,
                   std::optional<Event> last_event) {
  EventLog<Event>* const log = if_open();
  if (log == nullptr) return;
  const bool limited = kept_ != nullptr && last_event.has_value();
  const uint64_t bytes = limited ? BytesOf(*last_event) : 0;
  log->Close(status, std::move(last_event));
  if (limited) Keep(*log, log->next_id() - 1, bytes);
}

uint64_t RunLog::BytesOf(const Event& event) const {
  return options_.max_bytes == 0 ? 0 : event.ToJson().size();
}

void RunLog::Keep(EventLog<Event>& log, uint64_t id, uint64_t bytes) {
  uint64_t oldest = 0;
  {
    Kept& kept = *kept_;
    absl::MutexLock lock(&kept.mutex);
    kept.events.emplace_back(id, bytes);
    kept.bytes += bytes;
    const uint64_t most =
        options_.max_events == 0 ? kept.events.size() : options_.max_events;
    while (kept.events.size() > most ||
           (options_.max_bytes != 0 && kept.bytes > options_.max_bytes &&
            kept.events.size() > 1)) {
      oldest = std::max(oldest, kept.events.front().first + 1);
      kept.bytes -= kept.events.front().second;
      kept.events.pop_front();
    }
  }
  if (oldest != 0) log.DropBefore(oldest);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
