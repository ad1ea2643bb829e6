#ifndef WEIR_STREAM_INTERNAL_POLICY_H_
#define WEIR_STREAM_INTERNAL_POLICY_H_

#include <cstdint>

#include "weir/stream/internal/parking.h"

namespace weir {
inline namespace v0 {
namespace internal {

// The points between two steps of which another worker may do anything.
enum class Race {
  kClaimed,      // Ids are claimed, their slots not written.
  kWritten,      // A slot is written, not ready.
  kReady,        // A slot is ready, its readers not woken.
  kTaken,        // Armed waiters are about to be taken.
  kMaking,       // A segment is allocated, not in the directory.
  kFloorRaised,  // The floor is raised, segments below it not released.
  kEvicting,  // All slots of a dead segment are ready, its entry is not freed.
  kFreed,     // The entry is freed, the gate not looked at.
  kPlacing,   // A reader knows its id, not its segment.
  kHolding,   // A reader has its segment's address, not a reference.
  kCrossing,  // A reader is at the end of its segment.
  kArming,    // A waiter is listed, its slot not flagged.
  kSleeping,  // A reader is about to flag its slot and sleep.
  kLeaving,   // A reader is not counted any more, its segment still held.
  kClosing,   // The log is closed, its end not written.
};

// What a log is built with; tests have small segments, and hooks at the races.
struct LogPolicy {
  // Slots of the first segment and of the others: powers of two from 2 up, the
  // first not larger.
  static constexpr uint32_t kFirstSlots = 64;
  static constexpr uint32_t kSlots = 1024;

  using Parking = internal::Parking;

  static void At(Race) {}
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_POLICY_H_
