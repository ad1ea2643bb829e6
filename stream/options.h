#ifndef WEIR_STREAM_OPTIONS_H_
#define WEIR_STREAM_OPTIONS_H_

#include <cstdint>
#include <optional>

namespace weir {
inline namespace v0 {

class Reclaimer;
class SegmentPool;

inline constexpr uint32_t kAllModes = ~uint32_t{0};

// EventLogOptions: every field has a default.
struct EventLogOptions {
  // Id of the first event; at most 2^62.
  uint64_t first_id = 0;

  // Keeps logged events for readers that come later.
  bool resumable = false;

  // Modes that a resumable log logs even if nobody reads them.
  uint32_t recorded_modes = kAllModes;

  // Keeps at least the newest `window` events, and at most a sixteenth more;
  // readers that are further behind are overtaken, see OnLag. 0: no limit.
  uint64_t window = 0;

  // How often a reader that waits looks again, some tenths of a microsecond
  // apart, before it sleeps; it looks less often while that does not help.
  // Absent: 128 times with more than two cores, else never. With more than one
  // core it looks once in any case, some microseconds after it found nothing.
  std::optional<uint32_t> spins = std::nullopt;

  // Where memory for events comes from; null: the heap. Must outlive the log,
  // its cursors, and the jobs that they gave to `reclaimer`.
  SegmentPool* pool = nullptr;

  // Where events are destroyed that nobody can read any more; null: by the
  // reader or publisher that was last to hold them. Must outlive the log and
  // its cursors.
  Reclaimer* reclaimer = nullptr;
};

// What becomes of a reader whose next event the log does not keep: a window has
// passed it, or EventLog::DropBefore().
enum class OnLag {
  kFail,  // It ends with DataLoss.
  kSkip,  // It goes on at the oldest kept event, which says how many it missed.
  kKeep,  // It is never overtaken: all that it has not read stays in memory.
};

// CursorOptions: which events a reader gets; every field has a default.
struct CursorOptions {
  // An event passes if it has one of these modes; others are passed over. The
  // last event of EventLog::Close() passes every mask but 0.
  uint32_t mask = kAllModes;

  // Absent: begin with what is published from now on. -1: with the first event
  // of the log. k: with the event after id k.
  std::optional<int64_t> after = std::nullopt;

  // A plain log without a window overtakes nobody.
  OnLag on_lag = OnLag::kFail;

  // The log is congested() while this reader is so many events behind, or an
  // eighth less. 0: it does not care.
  uint64_t backpressure = 0;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_OPTIONS_H_
