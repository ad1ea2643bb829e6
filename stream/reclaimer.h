#ifndef WEIR_STREAM_RECLAIMER_H_
#define WEIR_STREAM_RECLAIMER_H_

#include "absl/functional/any_invocable.h"

namespace weir {
inline namespace v0 {

// Reclaimer: where a log has the events destroyed that nobody can read any
// more, so that no publisher or reader pays for a whole segment of them. Passed
// in EventLogOptions; an executor is the usual one.
//
// Threads:   called by publishers and readers, with no lock held.
// Lifetime:  must outlive the logs it serves and their cursors.
class Reclaimer {
 public:
  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;

  // Runs `job`, or destroys it, which does the same, on any worker, now or
  // later. It runs the events' destructors and gives their memory back.
  virtual void Reclaim(absl::AnyInvocable<void() &&> job) noexcept = 0;

 protected:
  Reclaimer() = default;
  ~Reclaimer() = default;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_RECLAIMER_H_
