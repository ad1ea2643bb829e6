#ifndef WEIR_STREAM_INTERNAL_LOG_READER_H_
#define WEIR_STREAM_INTERNAL_LOG_READER_H_

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "absl/base/optimization.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "weir/stream/internal/armed_lists.h"
#include "weir/stream/internal/log_core.h"
#include "weir/stream/internal/parking.h"
#include "weir/stream/internal/policy.h"
#include "weir/stream/internal/pressure.h"
#include "weir/stream/internal/segment.h"
#include "weir/stream/internal/steady_time.h"
#include "weir/stream/options.h"
#include "weir/stream/wait.h"

namespace weir {
inline namespace v0 {
namespace internal {

// LogReader: a cursor's place, and how it moves.
//
// Shape:     at a slot of a segment that it holds, or past the last one of it,
//            so that the event before stays readable. A strict reader holds by
//            a reference, a lossy one by a pin, see LogCore.
// Threads:   single-owner.
template <typename E, typename Policy>
class LogReader {
 public:
  using Core = LogCore<E, Policy>;
  using Slot = typename Core::Slot;
  using Segment = typename Core::Segment;

  // A slot, or nothing yet, or the end.
  struct Found {
    const Slot* slot = nullptr;
    uint64_t id = 0;
    uint64_t missed = 0;  // Since the one found before.
  };

  static absl::StatusOr<LogReader> Attach(const std::shared_ptr<Core>& core,
                                          const CursorOptions& options) {
    LogReader reader(options.mask, options.on_lag,
                     core->Strict(options.on_lag));
    auto spot = core->Attach(reader.mask_, reader.strict_, options.after);
    if (!spot.ok()) return spot.status();
    reader.Begin(core, *spot, options.backpressure);
    return reader;
  }

  LogReader(LogReader&&) noexcept = default;
  LogReader& operator=(LogReader&& other) noexcept {
    if (this == &other) return *this;
    this->~LogReader();
    return *new (this) LogReader(std::move(other));
  }
  ~LogReader() {
    if (core_ != nullptr) Leave();
  }

  // Lets go of the event found before, and moves past the next one it wants,
  // which stays until the next call.
  Found Poll() {
    if (Advance() != Step::kEvent) return {};
    if (index_ - nothing_at_ >= kFarBehind) PrefetchAhead();
    last_id_ = static_cast<int64_t>(core_->first_id() + index_++);
    return {at_++, static_cast<uint64_t>(last_id_), std::exchange(skipped_, 0)};
  }

  // Waits until there is something, after Poll() found nothing. Returns false
  // if `deadline` passed first.
  bool Wait(absl::Time deadline);

  bool Arm(Waiter* waiter);
  bool Disarm() { return node_ != nullptr && ArmedLists::Disarm(node_); }

  // Once Poll() or Arm() came to the end.
  bool ended() const { return ended_; }
  const absl::Status& status() const { return status_; }
  bool overtaken() const { return overtaken_; }

  int64_t last_id() const { return last_id_; }
  uint64_t missed() const { return missed_; }
  uint64_t lag() const { return core_->end() - index_; }

 private:
  enum class Step { kEvent, kNothing, kEnd };

  // How long a reader that finds nothing stays away before it looks again, in
  // pauses: a writer and a reader at the same cache line slow each other down.
  // Longer each time while many events come meanwhile.
  static constexpr uint32_t kLeastBackOff = 32;
  static constexpr uint32_t kMostBackOff = 512;
  static constexpr uint64_t kManyEvents = 64;
  static constexpr int kPausesInLook = 16;

  // Having read so many since it found nothing, a reader is taken to be far
  // behind the writers, and asks early for memory that its core does not have.
  // Near them it must not: it would take lines away that are being written.
  static constexpr uint64_t kFarBehind = 1024;
  static constexpr int kSlotsAhead = 32;

  LogReader(uint32_t mask, OnLag on_lag, bool strict)
      : mask_(mask), on_lag_(on_lag), strict_(strict) {}

  void Begin(const std::shared_ptr<Core>& core, typename Core::Spot spot,
             uint64_t backpressure) {
    core_ = core;
    looks_ = core->spins();
    SetPlace(spot.segment, spot.index);
    nothing_at_ = index_;
    last_id_ = static_cast<int64_t>(core->first_id() + index_) - 1;
    if (backpressure == 0) return;
    pressure_ = std::make_unique<Pressure::Reader>(backpressure, index_);
    core->pressure().Add(pressure_.get());
  }

  // `segment` is held; null: at the end of a closed log.
  void SetPlace(Segment* segment, uint64_t index) {
    segment_ = segment;
    index_ = index;
    if (segment == nullptr) return;
    at_ = segment->slots() + (index - segment->first);
    stop_ = segment->slots() + segment->size;
  }

  // Moves to the next slot that is an event it wants, or not ready.
  Step Advance() {
    if (ended_) return Step::kEnd;
    const Step step = Find();
    if (ABSL_PREDICT_FALSE(pressure_ != nullptr) && pressure_->Due(index_)) {
      core_->pressure().Tell(pressure_.get(), index_);
    }
    return step;
  }

  Step Find() {
    while (true) {
      if (!strict_ && ABSL_PREDICT_FALSE(index_ < core_->floor())) CatchUp();
      if (ABSL_PREDICT_FALSE(at_ == stop_) && !Cross()) return Step::kEnd;
      // Acquire: pairs with LogCore::MakeReady(), for the event.
      const uint32_t state = at_->state.load(std::memory_order_acquire);
      if (!IsReady(state)) {
        nothing_at_ = index_;
        return Step::kNothing;
      }
      if (state == kEnded) return End(core_->end_status());
      if ((at_->mode & mask_) != 0) return Step::kEvent;
      ++at_;
      ++index_;
    }
  }

  void PrefetchAhead() const {
    if (stop_ - at_ > kSlotsAhead) __builtin_prefetch(at_ + kSlotsAhead);
  }

  // Goes to the next segment. Returns false at the end.
  bool Cross();
  // For a lossy reader whose next event the log does not keep.
  void CatchUp();
  // The lowest place in `segment`, before `index`, where a reader may wait and
  // from where all to `index` are not ready; or `index`.
  static uint64_t SafePlace(Segment* segment, uint64_t index);

  Step End(const absl::Status& status) {
    status_ = status;
    ended_ = true;
    Leave();
    return Step::kEnd;
  }

  // Gives everything back; destroying the reader does so otherwise.
  void Leave();

  // Looks at the slot for a while before sleeping on it.
  bool LookAgain();
  bool SlotReady() const {
    return IsReady(at_->state.load(std::memory_order_acquire));
  }

  std::shared_ptr<Core> core_;  // Null if moved from.
  uint32_t mask_;
  OnLag on_lag_;
  bool strict_;
  bool attached_ = true;
  bool ended_ = false;
  bool overtaken_ = false;
  Segment* segment_ = nullptr;  // Held; null at the end.
  Slot* at_ = nullptr;
  Slot* stop_ = nullptr;
  uint64_t index_ = 0;  // Of `at_`.
  int64_t last_id_ = 0;
  uint64_t skipped_ = 0;  // Not told yet by an event found.
  uint64_t missed_ = 0;
  uint64_t nothing_at_ = 0;  // Index when it last found nothing.
  uint64_t waited_at_ = 0;   // And when it then waited.
  uint32_t back_off_ = kLeastBackOff;
  uint32_t looks_ = 0;  // How often LookAgain() looks after that.
  ArmedNode* node_ = nullptr;
  std::unique_ptr<Pressure::Reader> pressure_;
  absl::Status status_;
};

template <typename E, typename Policy>
bool LogReader<E, Policy>::Cross() {
  if (segment_ == nullptr) {
    if (!ended_) End(core_->end_status());
    return false;
  }
  Policy::At(Race::kCrossing);
  Segment* const next =
      strict_ ? core_->Follow(segment_) : core_->Pin(segment_->number + 1);
  if (next == nullptr) {
    CatchUp();  // The floor has passed that segment.
    return !ended_;
  }
  Segment* const left = segment_;
  SetPlace(next, index_);
  core_->Release(left, strict_);
  return true;
}

template <typename E, typename Policy>
void LogReader<E, Policy>::CatchUp() {
  if (on_lag_ == OnLag::kFail) {
    const uint64_t next = core_->first_id() + index_;
    const uint64_t oldest = core_->oldest_id();
    overtaken_ = true;
    End(absl::DataLossError(
        absl::StrCat("reader overtaken: after id ", last_id_,
                     " the first missing id is ", next, ", the oldest kept is ",
                     oldest, ", so ", oldest - next, " were missed")));
    return;
  }
  const typename Core::Spot floor = core_->PinFloor();
  // Where it is it may stay, if that is in the same segment.
  const uint64_t place =
      std::max(index_, SafePlace(floor.segment, floor.index));
  skipped_ += place - index_;
  missed_ += place - index_;
  Segment* const left = segment_;
  SetPlace(floor.segment, place);
  core_->Release(left, strict_);
}

template <typename E, typename Policy>
uint64_t LogReader<E, Policy>::SafePlace(Segment* segment, uint64_t index) {
  const auto ready = [segment](uint64_t i) {
    return IsReady(segment->slots()[i - segment->first].state.load(
        std::memory_order_acquire));
  };
  if (ready(index)) return index;
  // After a slot that is ready, or at the segment's first: LogCore's fifth
  // invariant.
  while (index != segment->first && !ready(index - 1)) --index;
  return index;
}

template <typename E, typename Policy>
bool LogReader<E, Policy>::Wait(absl::Time deadline) {
  if (LookAgain()) return true;
  // Relaxed: Flag() releases the count to the slot's writer, and so to each
  // reader that finds the slot ready and then takes itself out.
  core_->sleepers().fetch_add(1, std::memory_order_relaxed);
  bool ready = SlotReady();
  while (!ready &&
         (deadline == absl::InfiniteFuture() || SteadyNow() < deadline)) {
    Policy::At(Race::kSleeping);
    const uint32_t state = at_->Flag(kSleepers);
    if (!IsReady(state)) core_->parking().Wait(at_->state, state, deadline);
    ready = SlotReady();
  }
  const bool others =
      core_->sleepers().fetch_sub(1, std::memory_order_relaxed) > 1;
  // The writer woke one, which may be us, whatever ended our wait: so that all
  // get awake and no writer wakes more than one.
  if (ready && others) core_->parking().Wake(&at_->state, 2);
  return ready;
}

template <typename E, typename Policy>
bool LogReader<E, Policy>::LookAgain() {
  const bool many = index_ - std::exchange(waited_at_, index_) >= kManyEvents;
  if (Cores() > 1) {
    for (uint32_t i = 0; i < back_off_; ++i) Pause();
    const bool ready = SlotReady();
    back_off_ = ready && many ? std::min(2 * back_off_, kMostBackOff)
                              : std::max(back_off_ / 2, kLeastBackOff);
    if (ready) return true;
  }
  for (uint32_t look = 0; look < looks_; ++look) {
    for (int i = 0; i < kPausesInLook; ++i) Pause();
    if (!SlotReady()) continue;
    looks_ = std::min(2 * looks_, core_->spins());
    return true;
  }
  looks_ = std::max(looks_ / 2, (core_->spins() + 15) / 16);
  return false;
}

template <typename E, typename Policy>
bool LogReader<E, Policy>::Arm(Waiter* waiter) {
  if (Advance() != Step::kNothing) return false;
  if (node_ == nullptr || node_->list->group != waiter->group()) {
    if (node_ != nullptr) core_->armed().Return(node_);
    node_ = core_->armed().Adopt(waiter->group());
  }
  // First the list, then the flag: who gets the flag finds the list. If the
  // waiter is taken before the flag is set, it is woken all the same.
  ArmedLists::Push(node_, waiter);
  Policy::At(Race::kArming);
  return !IsReady(at_->Flag(kArmed)) || !ArmedLists::Disarm(node_);
}

template <typename E, typename Policy>
void LogReader<E, Policy>::Leave() {
  if (!std::exchange(attached_, false)) return;
  if (node_ != nullptr) {
    ArmedLists::Disarm(node_);
    core_->armed().Return(std::exchange(node_, nullptr));
  }
  if (pressure_ != nullptr) {
    core_->pressure().Remove(pressure_.get());
    pressure_ = nullptr;
  }
  core_->Detach(mask_);
  Policy::At(Race::kLeaving);
  at_ = stop_ = nullptr;
  if (Segment* const held = std::exchange(segment_, nullptr)) {
    core_->Release(held, strict_);
  }
}

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_LOG_READER_H_
