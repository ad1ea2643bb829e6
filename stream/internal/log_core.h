#ifndef WEIR_STREAM_INTERNAL_LOG_CORE_H_
#define WEIR_STREAM_INTERNAL_LOG_CORE_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

#include "weir/stream/internal/armed_lists.h"
#include "weir/stream/internal/directory.h"
#include "weir/stream/internal/gate.h"
#include "weir/stream/internal/interest.h"
#include "weir/stream/internal/policy.h"
#include "weir/stream/internal/pressure.h"
#include "weir/stream/internal/segment.h"
#include "weir/stream/options.h"
#include "weir/stream/reclaimer.h"
#include "weir/stream/segment_pool.h"

namespace weir {
inline namespace v0 {

template <typename E>
struct BatchEvent;

namespace internal {

// LogCore: what an EventLog and its cursors share.
//
// Threads:   thread-safe. Publishing takes no lock and waits for nobody, but
//            for memory; attaching, detaching and closing take a short one.
// Lifetime:  shared by log and cursors; nobody uses it when it is destroyed.
//
// How it works
//
// An event's index (its id less first_id) is claimed by one fetch_add, which
// also says where it goes: segment and slot follow from the index. Segments
// have 64 slots, then 1,024 each, and are found through a directory; whoever
// first needs one makes it, and usually it was made when the one before was
// half full. The writer fills its slot and exchanges the slot's state to
// kReady. Readers walk the slots, and wait at the first that is not ready: they
// set a flag in its state and sleep, or leave a waiter in a list. The exchange
// gives the writer those flags, so it knows whether to wake somebody, and else
// does nothing. It wakes one; who is woken wakes two more.
//
// What a writer may touch needs no protection but its claim: a segment is
// evicted slot by slot, and eviction stops at a slot that is not ready, flags
// it kDead, and leaves the rest to that slot's writer. So there are no hazard
// pointers, epochs, or counts of writers.
//
// A segment is kept for the log by one reference, which goes when the floor,
// the index below which the log itself keeps nothing, has passed it; for strict
// readers by one for each in it; and by one of the segment before. A resumable
// log's floor moves by DropBefore() alone, a window's follows the newest index
// at its distance, a plain log's follows full segments. When the references
// are gone the segment is evicted: it leaves the directory for ever, and lets
// go of the one after it. Lossy readers do not count: they pin the segment they
// read, so that its memory stays, evicted or not, and compare their index with
// the floor. When the pins are gone its events are destroyed. Somebody who took
// the segment's address from the directory but has no reference yet is inside
// the gate, which keeps what is destroyed until he leaves.
//
// Invariants, named where they are used:
// 1. A claimed slot that is not ready keeps its segment, in the directory.
// 2. Who holds a segment by a reference holds all that follow.
// 3. A directory entry is null, then a segment, then freed, and never goes
// back.
// 4. A segment is freed only if nobody was inside the gate after its entry was
//    freed, or by the one who was, leaving.
// 5. A reader flags only the first slot of a claim, or of a segment: later
// slots
//    of a batch become ready by plain stores, which would lose flags. A reader
//    starts at the claim word, which is where the next claim begins, or after a
//    slot that is ready, and then its own is ready or begins a claim: a batch
//    becomes ready from its last slot to its first, in each segment.
// 6. The segment of the last slot, which says that the log ends, is not
// evicted.
// 7. Indices count logged events only; they are dense and the same for all. If
//    one publish happens before another its index is lower.
// 8. A reader gets exactly the ready slots from its start to the end, in order,
//    that pass its mask, but for those that the floor took from it; and it
//    knows which.
// 9. The floor only rises, and not above what is claimed; each of its steps
//    releases each segment that it passes once.
//
// A model checker goes through all but 7 and 8 in tests/stream/model/.
//
// Memory orders stand where the operations are. There are no fences, so that
// ThreadSanitizer sees all. Sequential consistency is needed only in the gate,
// see there, and so for the directory entries it looks at.
template <typename E, typename Policy>
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): claim_ stands
// alone.
class LogCore {
 public:
  using Slot = internal::Slot<E>;
  using Segment = internal::Segment<E>;

  // At most half a segment, so that a claim never needs two new ones.
  static constexpr size_t kMaxBatch = Policy::kSlots / 2;

  // Where a reader begins; no segment if that is the end of a closed log.
  struct Spot {
    Segment* segment;
    uint64_t index;
  };

  explicit LogCore(const EventLogOptions& options);
  LogCore(const LogCore&) = delete;
  LogCore& operator=(const LogCore&) = delete;
  ~LogCore();

  uint32_t interest() const {
    // Relaxed: an Attach() that happened before is seen by coherence alone, and
    // nothing is read through the mask.
    return interest_.load(std::memory_order_relaxed);
  }

  // Logs an event and returns its id, or nullopt after Close().
  std::optional<uint64_t> Append(uint32_t mode, E&& event) noexcept {
    // Acquire and release, though relaxed would do: what readers need comes by
    // the slots, and a claim that happens after another gets the higher index
    // by coherence (invariant 7).
    const uint64_t index = claim_.word.fetch_add(1, std::memory_order_acq_rel);
    if ((index & kClosed) != 0) return std::nullopt;
    Policy::At(Race::kClaimed);
    const Place place = Locate(index);
    Segment* const segment = Get(place.segment);
    segment->slots()[place.slot].Fill(mode, std::move(event));
    Policy::At(Race::kWritten);
    MakeReady(segment, place.slot, kReady);
    // From here on the segment may be gone.
    constexpr uint32_t kMark = Policy::kFirstSlots / 2;
    if ((place.slot + 1) % kMark == 0 || ((index + 1) & step_mask_) == 0) {
      AfterAppend(index, 1);
    }
    return first_id_ + index;
  }

  // Logs, by moving, those of `batch` with one of the modes `wanted`, `count`
  // of them, from 1 to kMaxBatch. Returns the first one's id, or nullopt after
  // Close().
  std::optional<uint64_t> AppendBatch(std::span<BatchEvent<E>> batch,
                                      uint32_t wanted, size_t count) noexcept;

  bool Close(absl::Status status, std::optional<E> last);

  bool closed() const {
    return (claim_.word.load(std::memory_order_acquire) & kClosed) != 0;
  }

  // For those who were told so by a slot, or by Attach().
  const absl::Status& end_status() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return status_;
  }

  uint64_t first_id() const { return first_id_; }

  // One past the newest index.
  uint64_t end() const;

  // The oldest id that a reader may still come for.
  uint64_t oldest_id() const {
    return first_id_ + (resumable_ || window_ != 0 ? floor() : end());
  }

  uint64_t floor() const {
    // Acquire: see RaiseFloor().
    return floor_.load(std::memory_order_acquire);
  }

  void DropBefore(uint64_t id) noexcept {
    if (id > first_id_) RaiseFloor(std::min(id - first_id_, end()));
  }

  // For readers.

  // Whether such a reader keeps what it has not read.
  bool Strict(OnLag on_lag) const {
    return on_lag == OnLag::kKeep || (!resumable_ && window_ == 0);
  }

  // Finds the spot, and holds its segment: refs of a strict reader, pins of
  // another.
  absl::StatusOr<Spot> Attach(uint32_t mask, bool strict,
                              std::optional<int64_t> after);
  void Detach(uint32_t mask);

  // The segment after `segment`, both held by references, for a strict reader.
  Segment* Follow(Segment* segment) noexcept {
    Segment* const next = Get(segment->number + 1);  // There by invariant 2.
    // Relaxed: a reference is held until Release().
    next->refs.fetch_add(1, std::memory_order_relaxed);
    return next;
  }

  // Pins the segment of `number` for a lossy reader, or returns null if the
  // floor has passed it.
  Segment* Pin(uint64_t number);
  // Pins the floor's segment, and returns the floor as it was then.
  Spot PinFloor();

  void Release(Segment* segment, bool strict) noexcept {
    strict ? Unref(segment) : Unpin(segment);
  }

  uint32_t spins() const { return spins_; }
  typename Policy::Parking& parking() { return parking_; }
  std::atomic<uint32_t>& sleepers() { return sleepers_; }
  ArmedLists& armed() { return armed_; }
  Pressure& pressure() { return pressure_; }
  const Pressure& pressure() const { return pressure_; }

 private:
  static_assert(std::has_single_bit(Policy::kSlots) &&
                std::has_single_bit(Policy::kFirstSlots) &&
                Policy::kFirstSlots >= 2 &&
                Policy::kFirstSlots <= Policy::kSlots);

  static constexpr uint64_t kClosed = uint64_t{1} << 63;
  static constexpr uint64_t kOpen = std::numeric_limits<uint64_t>::max();

  struct Place {
    uint64_t segment;
    uint32_t slot;
  };

  // A dead segment on its way to be destroyed.
  class Dead {
   public:
    Dead(SegmentPool* pool, Segment* segment)
        : pool_(pool), segment_(segment) {}
    Dead(Dead&& other) noexcept
        : pool_(other.pool_),
          segment_(std::exchange(other.segment_, nullptr)) {}
    Dead& operator=(Dead&&) = delete;
    ~Dead() { (*this)(); }

    void operator()() noexcept {
      if (segment_ == nullptr) return;
      segment_->DestroyEvents();
      Segment::Free(pool_, std::exchange(segment_, nullptr));
    }

   private:
    SegmentPool* pool_;
    Segment* segment_;
  };

  static Place Locate(uint64_t index) {
    if (index < Policy::kFirstSlots) return {0, static_cast<uint32_t>(index)};
    const uint64_t rest = index - Policy::kFirstSlots;
    return {1 + rest / Policy::kSlots,
            static_cast<uint32_t>(rest % Policy::kSlots)};
  }

  static uint32_t SizeOf(uint64_t number) {
    return number == 0 ? Policy::kFirstSlots : Policy::kSlots;
  }

  // The index after its last slot.
  static uint64_t EndOf(uint64_t number) {
    return Policy::kFirstSlots + number * Policy::kSlots;
  }

  // The segment of `number`, made if need be. For those for whom it is not
  // freed: they have a claim in it (invariant 1), or a reference before it
  // (invariant 2), or the log's own, which goes when the floor passes.
  Segment* Get(uint64_t number) noexcept {
    // Acquire: pairs with Make(), for the segment's fields and empty slots.
    Segment* segment = directory_[number].load(std::memory_order_acquire);
    if (ABSL_PREDICT_FALSE(segment == nullptr)) segment = Make(number);
    assert(segment != directory_.Freed());
    return segment;
  }

  void Prepare(uint64_t number) noexcept {
    // Relaxed: only whether there is one.
    if (directory_[number].load(std::memory_order_relaxed) == nullptr) {
      Make(number);
    }
  }

  // Makes it unless there is, or was, one; then returns that.
  Segment* Make(uint64_t number) noexcept;

  // Exchanges a slot that is written, and does what its flags ask for. Touches
  // neither slot nor segment after the exchange, unless kDead made them ours.
  void MakeReady(Segment* segment, uint32_t slot, uint32_t state) noexcept {
    std::atomic<uint32_t>& word = segment->slots()[slot].state;
    // Release: the event, to readers; acquire: what those did who set flags.
    const uint32_t flags = word.exchange(state, std::memory_order_acq_rel);
    assert(!IsReady(flags));
    if (ABSL_PREDICT_FALSE(flags != kEmpty)) {
      Settle(segment, slot, &word, flags);
    }
  }

  ABSL_ATTRIBUTE_NOINLINE void Settle(Segment* segment, uint32_t slot,
                                      const void* word,
                                      uint32_t flags) noexcept {
    Policy::At(Race::kReady);
    // One: it wakes others, see LogReader::Wait(). Its memory may be gone, but
    // not while somebody sleeps who has not seen that it is ready.
    if ((flags & kSleepers) != 0) parking_.Wake(word, 1);
    Policy::At(Race::kTaken);
    if ((flags & kArmed) != 0) armed_.WakeAll();
    if ((flags & kDead) != 0) Evict(segment, slot);
  }

  // Fills the slots of one segment, of indices [first, last], with the wanted
  // events that end before `item`, backwards; returns where it stopped.
  BatchEvent<E>* FillBackwards(uint64_t first, uint64_t last,
                               BatchEvent<E>* item, uint32_t wanted) noexcept;

  // Writes the last event, unless null, and the end after it.
  void WriteEnd(uint64_t end, E* last) noexcept;

  // What is due after indices were made ready: the next segment, the floor.
  ABSL_ATTRIBUTE_NOINLINE void AfterAppend(uint64_t first,
                                           uint64_t count) noexcept;
  void RaiseFloor(uint64_t to) noexcept;

  void Unref(Segment* segment) noexcept {
    if (segment->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      Evict(segment, 0);
    }
  }

  void Unpin(Segment* segment) noexcept {
    if (segment->pins.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      if (gate_.Pass(segment)) Dispose(segment);
    }
  }

  // For who dropped the last reference, or found kDead in `slot`.
  void Evict(Segment* segment, uint32_t slot) noexcept;
  // Destroys it, or has that done. Nobody else can reach it.
  void Dispose(Segment* segment) noexcept;
  void DisposeAll(Segment* list) noexcept {
    while (list != nullptr) Dispose(std::exchange(list, list->next));
  }

  absl::StatusOr<Spot> FindSpot(bool strict, std::optional<int64_t> after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<uint64_t> ReplayIndex(int64_t after, uint64_t end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Inside the gate. Null if freed.
  Segment* Look(uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Published(uint64_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void UpdateInterest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Alone on its cache line, because every publisher writes it.
  struct alignas(ABSL_CACHELINE_SIZE) Claim {
    // The next index, and whether the log is closed; what is added after that
    // means nothing. Changed by Append(), AppendBatch() and Close().
    std::atomic<uint64_t> word{0};
  };

  Claim claim_;

  // Fixed, or seldom written, and read by every publish. Modes worth
  // publishing, 0 once closed: written under mutex_, see interest().
  std::atomic<uint32_t> interest_;
  const bool resumable_;
  const uint32_t recorded_modes_;  // 0 unless resumable_.
  const uint32_t spins_;
  const uint64_t first_id_;
  const uint64_t window_;
  const uint64_t step_mask_;  // A window's floor rises if index & this is 0.
  SegmentPool* const pool_;
  Reclaimer* const reclaimer_;
  Directory<Segment> directory_;

  // See RaiseFloor().
  std::atomic<uint64_t> floor_{0};

  // The end of a closed log, else kOpen. Stored by Close() under mutex_; the
  // store releases nothing, it is read by end() for itself.
  std::atomic<uint64_t> end_{kOpen};

  // A segment's memory, for the next one. Changed by exchange only, which
  // release and acquire what was done to it.
  std::atomic<Segment*> spare_{nullptr};

  // Readers in LogReader::Wait(), see there.
  std::atomic<uint32_t> sleepers_{0};

  Gate<Segment> gate_;  // Entered under mutex_.
  ArmedLists armed_;
  Pressure pressure_{claim_.word};
  [[no_unique_address]] typename Policy::Parking parking_;

  mutable absl::Mutex mutex_;  // No publisher takes it.
  Interest wanted_ ABSL_GUARDED_BY(mutex_);
  size_t readers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);  // See end_status().
};

template <typename E, typename Policy>
LogCore<E, Policy>::LogCore(const EventLogOptions& options)
    : interest_(options.resumable ? options.recorded_modes : 0),
      resumable_(options.resumable),
      recorded_modes_(options.resumable ? options.recorded_modes : 0),
      spins_(options.spins.value_or(Cores() > 2 ? 128 : 0)),
      first_id_(options.first_id),
      window_(options.window),
      step_mask_(window_ == 0
                     ? kOpen
                     : std::min<uint64_t>(
                           std::bit_floor(std::max<uint64_t>(window_ / 16, 1)),
                           Policy::kSlots) -
                           1),
      pool_(options.pool),
      reclaimer_(options.reclaimer) {}

template <typename E, typename Policy>
LogCore<E, Policy>::~LogCore() {
  // Those below the floor are gone: nobody holds them. Relaxed: see Lifetime.
  for (uint64_t number = Locate(floor_.load(std::memory_order_relaxed)).segment;
       ; ++number) {
    Segment* const segment = directory_.Find(number);
    if (segment == nullptr) break;
    assert(segment != directory_.Freed());
    Dispose(segment);
  }
  if (Segment* spare = spare_.load(std::memory_order_relaxed)) {
    Segment::Free(pool_, spare);
  }
}

template <typename E, typename Policy>
std::optional<uint64_t> LogCore<E, Policy>::AppendBatch(
    std::span<BatchEvent<E>> batch, uint32_t wanted, size_t count) noexcept {
  // As in Append().
  const uint64_t index =
      claim_.word.fetch_add(count, std::memory_order_acq_rel);
  if ((index & kClosed) != 0) return std::nullopt;
  Policy::At(Race::kClaimed);
  BatchEvent<E>* item = batch.data() + batch.size();
  for (uint64_t left = index + count; left > index;) {
    const uint64_t number = Locate(left - 1).segment;
    const uint64_t first = std::max(index, number == 0 ? 0 : EndOf(number - 1));
    item = FillBackwards(first, left - 1, item, wanted);
    left = first;
  }
  AfterAppend(index, count);
  return first_id_ + index;
}

template <typename E, typename Policy>
BatchEvent<E>* LogCore<E, Policy>::FillBackwards(uint64_t first, uint64_t last,
                                                 BatchEvent<E>* item,
                                                 uint32_t wanted) noexcept {
  Segment* const segment = Get(Locate(first).segment);
  for (uint64_t index = last;; --index) {
    do {
      --item;
    } while ((item->mode & wanted) == 0);
    const uint32_t slot = Locate(index).slot;
    segment->slots()[slot].Fill(item->mode, std::move(item->event));
    Policy::At(Race::kWritten);
    if (index == first) {
      MakeReady(segment, slot, kReady);
      return item;
    }
    // No flags to lose (invariant 5). While the first slot is not ready, no
    // eviction comes here (invariant 1).
    segment->slots()[slot].state.store(kReady, std::memory_order_release);
  }
}

template <typename E, typename Policy>
void LogCore<E, Policy>::AfterAppend(uint64_t first, uint64_t count) noexcept {
  const uint64_t end = first + count;
  for (uint64_t number = Locate(first).segment;
       number <= Locate(end - 1).segment; ++number) {
    const auto has = [first, end](uint64_t index) {
      return first <= index && index < end;
    };
    // Away from where readers wait, and by one publisher. By now it may be
    // there, and even freed.
    if (has(EndOf(number) - 1 - SizeOf(number) / 2)) Prepare(number + 1);
    const bool full = has(EndOf(number) - 1);
    if (full && !resumable_ && window_ == 0) RaiseFloor(EndOf(number));
  }
  // If [first, end) has the last index before a step.
  if (window_ != 0 && end > window_ && (end & ~step_mask_) > first) {
    RaiseFloor(end - window_);
  }
}

template <typename E, typename Policy>
void LogCore<E, Policy>::RaiseFloor(uint64_t to) noexcept {
  // Release, with acquire in floor(): who finds a segment freed, or its slots
  // gone, reads a floor above it, since that happened before. Each worker whose
  // compare-exchange succeeds has a range of its own (invariant 9).
  uint64_t from = floor_.load(std::memory_order_relaxed);
  do {
    if (to <= from) return;
  } while (!floor_.compare_exchange_weak(from, to, std::memory_order_acq_rel,
                                         std::memory_order_relaxed));
  Policy::At(Race::kFloorRaised);
  // The segment that `to` is in stays, so the end's does (invariant 6). Those
  // who claimed slots here may not have made the segment yet.
  for (uint64_t number = Locate(from).segment; number < Locate(to).segment;
       ++number) {
    Unref(Get(number));
  }
}

template <typename E, typename Policy>
auto LogCore<E, Policy>::Make(uint64_t number) noexcept -> Segment* {
  Segment* memory = number == 0
                        ? nullptr
                        : spare_.exchange(nullptr, std::memory_order_acq_rel);
  Segment* const made = Segment::New(
      memory, pool_, number, EndOf(number) - SizeOf(number), SizeOf(number));
  Policy::At(Race::kMaking);
  Segment* there = nullptr;
  // Invariant 3. Release: the segment, to Get(). Sequentially consistent for
  // Look(), see Gate.
  if (directory_[number].compare_exchange_strong(
          there, made, std::memory_order_seq_cst, std::memory_order_seq_cst)) {
    return made;
  }
  Segment::Free(pool_, made);
  return there;
}

template <typename E, typename Policy>
void LogCore<E, Policy>::Evict(Segment* segment, uint32_t slot) noexcept {
  while (true) {
    for (; slot < segment->size; ++slot) {
      // Invariant 1: its writer comes here again, alone. Acquires the event,
      // for who destroys it.
      if (!IsReady(segment->slots()[slot].Flag(kDead))) return;
    }
    Segment* const next = Get(segment->number + 1);
    Policy::At(Race::kEvicting);
    directory_[segment->number].store(directory_.Freed(),
                                      std::memory_order_seq_cst);
    Policy::At(Race::kFreed);
    Unpin(segment);
    if (next->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    segment = next;
    slot = 0;
  }
}

template <typename E, typename Policy>
void LogCore<E, Policy>::Dispose(Segment* segment) noexcept {
  if constexpr (!std::is_trivially_destructible_v<E>) {
    if (reclaimer_ != nullptr) {
      reclaimer_->Reclaim(Dead(pool_, segment));
      return;
    }
    segment->DestroyEvents();
  }
  if (segment->size == Policy::kSlots) {
    segment = spare_.exchange(segment, std::memory_order_acq_rel);
  }
  if (segment != nullptr) Segment::Free(pool_, segment);
}

template <typename E, typename Policy>
bool LogCore<E, Policy>::Close(absl::Status status, std::optional<E> last) {
  uint64_t end = 0;
  bool tell = false;
  {
    const absl::MutexLock lock(&mutex_);
    if (closed_) return false;
    closed_ = true;
    status_ = std::move(status);
    // From here on the next two slots are ours: one claim, as of a batch.
    end = claim_.word.fetch_or(kClosed, std::memory_order_acq_rel);
    // Unless nobody is there to read them: who comes later is told by Attach().
    tell = readers_ != 0 || (resumable_ && (end != 0 || last.has_value()));
    if (tell && last.has_value()) ++end;
    end_.store(end, std::memory_order_relaxed);
    interest_.store(0, std::memory_order_relaxed);
  }
  Policy::At(Race::kClosing);
  if (tell) WriteEnd(end, last.has_value() ? &*last : nullptr);
  pressure_.Close();
  return true;
}

template <typename E, typename Policy>
void LogCore<E, Policy>::WriteEnd(uint64_t end, E* last) noexcept {
  const Place end_place = Locate(end);
  Segment* const end_segment = Get(end_place.segment);
  if (last == nullptr) return MakeReady(end_segment, end_place.slot, kEnded);
  const Place place = Locate(end - 1);
  Segment* const segment = Get(place.segment);
  segment->slots()[place.slot].Fill(kAllModes, std::move(*last));
  Policy::At(Race::kWritten);
  if (segment == end_segment) {
    // As in FillBackwards().
    segment->slots()[end_place.slot].state.store(kEnded,
                                                 std::memory_order_release);
  } else {
    MakeReady(end_segment, end_place.slot, kEnded);
  }
  MakeReady(segment, place.slot, kReady);
  AfterAppend(end - 1, 1);
}

template <typename E, typename Policy>
uint64_t LogCore<E, Policy>::end() const {
  const uint64_t next = claim_.word.load(std::memory_order_acquire);
  if ((next & kClosed) == 0) return next;
  // Relaxed: the number is all that is read.
  const uint64_t end = end_.load(std::memory_order_relaxed);
  if (end != kOpen) return end;
  const absl::MutexLock lock(&mutex_);  // Close() is just between the two.
  return end_.load(std::memory_order_relaxed);
}

template <typename E, typename Policy>
auto LogCore<E, Policy>::Attach(uint32_t mask, bool strict,
                                std::optional<int64_t> after)
    -> absl::StatusOr<Spot> {
  Segment* kept = nullptr;
  absl::StatusOr<Spot> spot = Spot{};
  {
    const absl::MutexLock lock(&mutex_);
    gate_.Enter();
    spot = FindSpot(strict, after);
    kept = gate_.Leave();
    if (spot.ok()) {
      ++readers_;
      wanted_.Add(mask);
      UpdateInterest();
    }
  }
  DisposeAll(kept);
  return spot;
}

template <typename E, typename Policy>
void LogCore<E, Policy>::Detach(uint32_t mask) {
  const absl::MutexLock lock(&mutex_);
  --readers_;
  wanted_.Remove(mask);
  UpdateInterest();
}

template <typename E, typename Policy>
void LogCore<E, Policy>::UpdateInterest() {
  // Relaxed: see interest().
  interest_.store(closed_ ? 0 : recorded_modes_ | wanted_.modes(),
                  std::memory_order_relaxed);
}

template <typename E, typename Policy>
auto LogCore<E, Policy>::Look(uint64_t number) -> Segment* {
  // Sequentially consistent: see Gate.
  Segment* segment = directory_[number].load(std::memory_order_seq_cst);
  if (segment == nullptr) segment = Make(number);
  Policy::At(Race::kHolding);
  return segment == directory_.Freed() ? nullptr : segment;
}

template <typename E, typename Policy>
bool LogCore<E, Policy>::Published(uint64_t index) {
  const Place place = Locate(index);
  Segment* const segment = Look(place.segment);
  // Acquire: the next slot is ready as well, or begins a claim (invariant 5).
  return segment == nullptr || IsReady(segment->slots()[place.slot].state.load(
                                   std::memory_order_acquire));
}

template <typename E, typename Policy>
auto LogCore<E, Policy>::FindSpot(bool strict, std::optional<int64_t> after)
    -> absl::StatusOr<Spot> {
  while (true) {
    // Acquire, though relaxed would do: an older value gives an older start, or
    // a segment that is gone, and then this is done again; and what was
    // published before Attach() is in by coherence.
    const uint64_t end = closed_ ? end_.load(std::memory_order_relaxed)
                                 : claim_.word.load(std::memory_order_acquire);
    uint64_t index = end;
    if (after.has_value()) {
      const absl::StatusOr<uint64_t> replay = ReplayIndex(*after, end);
      if (!replay.ok()) return replay.status();
      index = *replay;
    }
    if (closed_ && index == end) return Spot{nullptr, index};
    Policy::At(Race::kPlacing);
    Segment* const segment = Look(Locate(index).segment);
    // Gone: the floor, and so the claim word, has moved on.
    if (segment == nullptr) continue;
    if (AddUnlessZero(strict ? segment->refs : segment->pins)) {
      return Spot{segment, index};
    }
  }
}

template <typename E, typename Policy>
absl::StatusOr<uint64_t> LogCore<E, Policy>::ReplayIndex(int64_t after,
                                                         uint64_t end) {
  if (after < -1) {
    return absl::InvalidArgumentError(
        absl::StrCat("event id ", after, " is less than -1"));
  }
  if (!resumable_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot join after event id ", after, ": the log is not resumable"));
  }
  const uint64_t id =
      after == -1 ? first_id_ : static_cast<uint64_t>(after) + 1;
  if (id > first_id_ + end) {
    return absl::OutOfRangeError(absl::StrCat(
        "event id ", after, " is not reached: ",
        end == 0 ? std::string("no event is logged yet")
                 : absl::StrCat("the newest id is ", first_id_ + end - 1)));
  }
  if (const uint64_t oldest = first_id_ + floor(); id < oldest) {
    return absl::OutOfRangeError(absl::StrCat("the event after id ", after,
                                              " is not kept: the oldest id is ",
                                              oldest));
  }
  const uint64_t index = id - first_id_;
  if (index != 0 && !Published(index - 1)) {
    return absl::OutOfRangeError(absl::StrCat(
        "event id ", after, " is not reached: it is being published"));
  }
  return index;
}

template <typename E, typename Policy>
auto LogCore<E, Policy>::Pin(uint64_t number) -> Segment* {
  Segment* kept = nullptr;
  Segment* segment = nullptr;
  {
    const absl::MutexLock lock(&mutex_);
    gate_.Enter();
    segment = Look(number);
    if (segment != nullptr && !AddUnlessZero(segment->pins)) segment = nullptr;
    kept = gate_.Leave();
  }
  DisposeAll(kept);
  return segment;
}

template <typename E, typename Policy>
auto LogCore<E, Policy>::PinFloor() -> Spot {
  while (true) {
    const uint64_t index = floor();
    if (Segment* segment = Pin(Locate(index).segment)) {
      return Spot{segment, index};
    }
  }
}

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_LOG_CORE_H_
