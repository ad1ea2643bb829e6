#ifndef WEIR_STREAM_INTERNAL_LOG_CORE_H_
#define WEIR_STREAM_INTERNAL_LOG_CORE_H_

#include <array>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

#include "weir/stream/wait.h"

namespace weir {
inline namespace v0 {
namespace internal {

// LogCore: what an EventLog and its cursors share.
//
// Shape:     a deque of heap slots behind one mutex. Each slot counts the
//            readers that stand on it; a plain log drops slots from the front
//            as far as nobody stands.
// Threads:   thread-safe; a Reader is single-owner.
// Lifetime:  readers share ownership.
template <typename E>
class LogCore {
 public:
  struct Slot {
    Slot(uint32_t event_mode, E&& e) noexcept
        : event(std::move(e)), mode(event_mode) {}

    const E event;
    const uint32_t mode;
    uint32_t readers = 0;  // Those whose place this is; guarded by mutex_.
    Slot* next = nullptr;  // In Leftovers.
  };

  // One cursor's place, which it leaves when destroyed.
  struct Reader {
    Reader(std::shared_ptr<LogCore> log, uint32_t modes, uint64_t first)
        : core(std::move(log)), mask(modes), place(first) {}
    ~Reader() { core->Detach(this); }

    const std::shared_ptr<LogCore> core;
    const uint32_t mask;

    // Guarded by core->mutex_.
    uint64_t place;          // The id it reads, or looks at next.
    bool reading = false;    // Which of the two.
    size_t armed_index = 0;  // Its index in armed_, while `waiter` is not null.
    Waiter* waiter = nullptr;
  };

  // A slot, or nothing yet, or the end.
  struct Found {
    const Slot* slot = nullptr;
    uint64_t id = 0;
    bool ended = false;
    bool lost = false;
  };

  LogCore(uint64_t first_id, bool resumable, uint32_t recorded_modes)
      : first_id_(first_id),
        resumable_(resumable),
        recorded_modes_(resumable ? recorded_modes : 0),
        base_(first_id),
        interest_(recorded_modes_) {}
  LogCore(const LogCore&) = delete;
  LogCore& operator=(const LogCore&) = delete;

  uint32_t interest() const {
    // Relaxed: an Attach() that happened before is seen by coherence alone, and
    // nothing is read through the mask.
    return interest_.load(std::memory_order_relaxed);
  }

  // Logs all of `slots`, which is not empty, and returns the first id, or
  // nullopt after Close().
  std::optional<uint64_t> Append(std::span<std::unique_ptr<Slot>> slots) {
    Leftovers leftovers;
    absl::MutexLock lock(&mutex_);
    if (closed_) return std::nullopt;
    const uint64_t first = end();
    for (std::unique_ptr<Slot>& slot : slots) {
      Push(std::move(slot), &leftovers);
    }
    Trim(&leftovers);  // The last reader may have left since interest().
    return first;
  }

  bool Close(absl::Status status, std::unique_ptr<Slot> last) {
    Leftovers leftovers;
    absl::MutexLock lock(&mutex_);
    if (closed_) return false;
    if (last != nullptr) Push(std::move(last), &leftovers);
    Trim(&leftovers);
    closed_ = true;
    status_ = std::move(status);
    UpdateInterest();
    while (!armed_.empty()) leftovers.wake.Add(Unarm(armed_.back()));
    return true;
  }

  static absl::StatusOr<std::unique_ptr<Reader>> Attach(
      const std::shared_ptr<LogCore>& core, uint32_t mask,
      std::optional<int64_t> after) {
    absl::MutexLock lock(&core->mutex_);
    const absl::StatusOr<uint64_t> place = core->PlaceAfter(after);
    if (!place.ok()) return place.status();
    ++core->ReadersAt(*place);
    core->Want(mask, 1);
    return std::make_unique<Reader>(core, mask, *place);
  }

  // Lets go of what `reader` was reading and moves it to the next event it
  // wants, which lives until the next call for that reader.
  uint64_t next_id() const {
    absl::MutexLock lock(&mutex_);
    return base_ + slots_.size();
  }
  uint64_t oldest_id() const {
    absl::MutexLock lock(&mutex_);
    return floor_ > base_ ? floor_ : base_;
  }
  void DropBefore(uint64_t id) {
    absl::MutexLock lock(&mutex_);
    if (id > floor_) floor_ = id;
  }
  Found Poll(Reader* reader) {
    Leftovers leftovers;
    absl::MutexLock lock(&mutex_);
    if (reader->place + (reader->reading ? 1 : 0) < floor_)
      return {.lost = true};
    Advance(reader, &leftovers);
    if (reader->place == end()) return {.ended = closed_};
    reader->reading = true;
    return {.slot = SlotAt(reader->place), .id = reader->place};
  }

  bool Arm(Reader* reader, Waiter* waiter) {
    Leftovers leftovers;
    absl::MutexLock lock(&mutex_);
    assert(reader->waiter == nullptr);
    Advance(reader, &leftovers);
    if (reader->place != end() || closed_) return false;
    reader->waiter = waiter;
    reader->armed_index = armed_.size();
    armed_.push_back(reader);
    return true;
  }

  bool Disarm(Reader* reader) {
    absl::MutexLock lock(&mutex_);
    return reader->waiter != nullptr && Unarm(reader) != nullptr;
  }

  uint64_t Lag(const Reader& reader) const {
    absl::MutexLock lock(&mutex_);
    return end() - reader.place - (reader.reading ? 1 : 0);
  }

  absl::Status status() const {
    absl::MutexLock lock(&mutex_);
    return status_;
  }

 private:
  // User code that must not run under the lock. Declared before the MutexLock,
  // so that it wakes and frees after the unlock.
  struct Leftovers {
    Leftovers() = default;
    Leftovers(const Leftovers&) = delete;
    Leftovers& operator=(const Leftovers&) = delete;
    ~Leftovers() {
      wake.WakeAll();
      while (slots != nullptr) delete std::exchange(slots, slots->next);
    }

    WakeList wake;
    Slot* slots = nullptr;
  };

  void Detach(Reader* reader) {
    Leftovers leftovers;
    absl::MutexLock lock(&mutex_);
    if (reader->waiter != nullptr) Unarm(reader);
    --ReadersAt(reader->place);
    Want(reader->mask, -1);
    Trim(&leftovers);
  }

  // One past the newest id.
  uint64_t end() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return base_ + slots_.size();
  }

  Slot* SlotAt(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return slots_[static_cast<size_t>(id - base_)].get();
  }

  uint32_t& ReadersAt(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return id == end() ? readers_at_end_ : SlotAt(id)->readers;
  }

  void Push(std::unique_ptr<Slot> slot, Leftovers* leftovers)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (size_t i = armed_.size(); i-- > 0;) {
      if ((armed_[i]->mask & slot->mode) == 0) continue;
      leftovers->wake.Add(Unarm(armed_[i]));
    }
    slot->readers = std::exchange(readers_at_end_, 0);
    slots_.push_back(std::move(slot));
  }

  // Takes the waiter of `reader`; the last of armed_ fills its place.
  Waiter* Unarm(Reader* reader) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    armed_.back()->armed_index = reader->armed_index;
    armed_[reader->armed_index] = armed_.back();
    armed_.pop_back();
    return std::exchange(reader->waiter, nullptr);
  }

  void Advance(Reader* reader, Leftovers* leftovers)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    uint64_t place = reader->place + (reader->reading ? 1 : 0);
    while (place != end() && (SlotAt(place)->mode & reader->mask) == 0) ++place;
    --ReadersAt(reader->place);
    ++ReadersAt(place);
    reader->place = place;
    reader->reading = false;
    Trim(leftovers);
  }

  void Trim(Leftovers* leftovers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (resumable_) return;
    while (!slots_.empty() && slots_.front()->readers == 0) {
      Slot* const slot = slots_.front().release();
      slot->next = std::exchange(leftovers->slots, slot);
      slots_.pop_front();
      ++base_;
    }
  }

  // Adds `change` to the number of readers that want the modes of `mask`.
  void Want(uint32_t mask, int change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (size_t bit = 0; bit < wanted_.size(); ++bit) {
      if ((mask >> bit & 1) != 0) wanted_[bit] += change;
    }
    UpdateInterest();
  }

  void UpdateInterest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    uint32_t interest = recorded_modes_;
    for (size_t bit = 0; bit < wanted_.size(); ++bit) {
      if (wanted_[bit] != 0) interest |= uint32_t{1} << bit;
    }
    // Relaxed: see interest().
    interest_.store(closed_ ? 0 : interest, std::memory_order_relaxed);
  }

  absl::StatusOr<uint64_t> PlaceAfter(std::optional<int64_t> after) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!after.has_value()) return end();
    if (*after < -1) {
      return absl::InvalidArgumentError(
          absl::StrCat("event id ", *after, " is less than -1"));
    }
    if (!resumable_) {
      return absl::FailedPreconditionError(absl::StrCat(
          "cannot join after event id ", *after, ": the log is not resumable"));
    }
    const uint64_t place =
        *after == -1 ? first_id_ : static_cast<uint64_t>(*after) + 1;
    if (place > end()) {
      return absl::OutOfRangeError(absl::StrCat(
          "event id ", *after, " is not reached: ",
          end() == first_id_ ? std::string("no event is logged yet")
                             : absl::StrCat("the newest id is ", end() - 1)));
    }
    if (place < base_ || place < floor_) {
      return absl::OutOfRangeError(
          absl::StrCat("the event after id ", *after,
                       " is not kept: the oldest id is ", base_));
    }
    return place;
  }

  const uint64_t first_id_;
  const bool resumable_;
  const uint32_t recorded_modes_;  // 0 unless resumable_.

  mutable absl::Mutex mutex_;
  std::deque<std::unique_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);
  uint64_t base_ ABSL_GUARDED_BY(mutex_);  // Id of slots_.front().
  uint64_t floor_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t readers_at_end_ ABSL_GUARDED_BY(mutex_) = 0;
  // For each bit, how many readers have it in their mask.
  std::array<int, std::numeric_limits<uint32_t>::digits> wanted_
      ABSL_GUARDED_BY(mutex_) = {};
  std::vector<Reader*> armed_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);

  // Modes worth publishing, 0 once closed. Written by UpdateInterest() under
  // mutex_, read by interest(); both relaxed, as it publishes no data.
  std::atomic<uint32_t> interest_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_LOG_CORE_H_
