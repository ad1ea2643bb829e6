#ifndef WEIR_RUNTIME_INTERNAL_READER_H_
#define WEIR_RUNTIME_INTERNAL_READER_H_

#include <coroutine>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

#include "weir/checkpoint/internal/mutex.h"
#include "weir/runtime/executor.h"
#include "weir/stream/wait.h"

namespace weir {
inline namespace v0 {
namespace internal {

// ReaderGate: counts the waits of a Runtime's readers, so that its end can wait
// until none of them needs the executor any more.
//
// Threads: thread-safe.
class ReaderGate {
 public:
  void Enter() {
    absl::MutexLock lock(&mutex_);
    ++inside_;
  }
  // Enters nobody, and says so, once somebody waits until it is empty: the
  // executor may be gone then.
  bool EnterIfOpen() {
    absl::MutexLock lock(&mutex_);
    if (closed_) return false;
    ++inside_;
    return true;
  }
  void Leave() {
    absl::MutexLock lock(&mutex_);
    if (--inside_ == 0 && empty_ != nullptr) empty_->Notify();
  }
  // Calls nothing and enters nobody: `empty` is notified once nobody is inside.
  void WhenEmpty(absl::Notification* empty) {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    if (inside_ == 0) {
      empty->Notify();
    } else {
      empty_ = empty;
    }
  }

 private:
  absl::Mutex mutex_;
  int inside_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Notification* empty_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

// Reader: the ways to read what comes one by one: waiting on the calling
// thread, by a coroutine, and by calls on the executor. A stream derives from
// it and says what there is.
//
// Threads:  single-owner; what the executor is given goes on by itself.
// Lifetime: jobs and armed waiters share ownership.
template <class Record>
class Reader : public std::enable_shared_from_this<Reader<Record>>,
               private Waiter {
 public:
  Reader(Executor* executor, std::shared_ptr<ReaderGate> gate)
      : Waiter(executor), executor_(executor), gate_(std::move(gate)) {}
  virtual ~Reader() = default;

  // The next record, or null at the end.
  const Record* Next() {
    const Record* record = Poll();
    if (record != nullptr || ended()) return record;
    const Inside inside(*gate_);
    while ((record = Poll()) == nullptr && !ended() && AwaitMore()) {
    }
    return record;
  }

  // Moves to the next record; null if there is none yet, or no more.
  virtual const Record* Poll() = 0;
  virtual bool ended() const = 0;
  virtual absl::Status status() const = 0;

  // For a coroutine: false if there is something already.
  bool Suspend(std::coroutine_handle<> reader) {
    if (Ready()) return false;
    gate_->Enter();
    resume_ = reader;
    // Not here: who resumes the coroutine must not be inside of its suspension.
    Post(this->shared_from_this(), &Reader::Look);
    return true;
  }
  const Record* TakeNext() {
    return std::exchange(has_next_, false) ? next_ : Poll();
  }
  bool Ready() {
    if (!has_next_) {
      next_ = Poll();
      has_next_ = next_ != nullptr || ended();
    }
    return has_next_;
  }

  void Listen(std::function<void(const Record&)> on_event,
              std::function<void(const absl::Status&)> on_end) {
    on_event_ = std::move(on_event);
    on_end_ = std::move(on_end);
    const std::shared_ptr<Reader> self = this->shared_from_this();
    if (gate_->EnterIfOpen()) return Post(self, &Reader::Drain);
    // All that will ever come is there.
    while (BeginCall()) {
      const Record* const record = Poll();
      record != nullptr ? on_event_(*record) : on_end_(status());
      EndCall();
      if (record == nullptr) return;
    }
  }

  // The owner leaves: no call of Listen() is made after this, and none is under
  // way but one that this is called from.
  void Stop() {
    absl::Notification idle;
    {
      MutexLock lock(&mutex_);
      stopped_ = true;
      if (!calling_ || caller_ == std::this_thread::get_id()) return;
      idle_ = &idle;
    }
    if (!executor_->RunUntil(idle)) idle.WaitForNotification();
  }
  // Takes the waiter back that Listen() or a coroutine has armed: nothing would
  // come of it. After Stop().
  void Release() {
    std::shared_ptr<Reader> armed;
    MutexLock lock(&mutex_);
    if (!arms_ || !Disarm()) return;
    armed = std::move(waiting_);
    gate_->Leave();
  }

 protected:
  // If Poll() has nothing to say, has `waiter` woken when it may have, and
  // returns true. Else returns false.
  virtual bool Arm(Waiter* waiter) = 0;
  // False if the waiter was woken, or is about to be.
  virtual bool Disarm() = 0;

  Executor& executor() const { return *executor_; }

 private:
  struct Inside {
    explicit Inside(ReaderGate& of) : gate(of) { gate.Enter(); }
    ~Inside() { gate.Leave(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ReaderGate& gate;
  };

  // Tells a thread that waits through the executor.
  class NotifyingWaiter final : public Waiter {
   public:
    void Wake() noexcept override { woken.Notify(); }
    absl::Notification woken;
  };

  // False if nothing will ever come: the executor has nothing left to run.
  bool AwaitMore() {
    NotifyingWaiter waiter;
    if (!Arm(&waiter) || executor_->RunUntil(waiter.woken)) return true;
    if (!Disarm()) waiter.woken.WaitForNotification();
    return false;
  }

  // Goes on once there is something, on the executor. There it also wakes those
  // of its executor that wait for the same, so that a publisher wakes one.
  void Wake() noexcept override { WakeWith(WakeChain()); }
  void WakeWith(WakeChain rest) noexcept override {
    Post(std::move(waiting_), on_event_ ? &Reader::Drain : &Reader::Look,
         std::move(rest));
  }

  // Runs `step` as a job: true if that was all. Lets go of the reader before it
  // leaves the gate: what it keeps alive may be what waits for that.
  void Post(std::shared_ptr<Reader> self, bool (Reader::*step)(),
            WakeChain rest = {}) {
    Executor* const executor = executor_;
    executor->Post(
        [self = std::move(self), step, rest = std::move(rest)]() mutable {
          std::move(rest).WakeNext();
          const std::shared_ptr<ReaderGate> gate = self->gate_;
          const bool ends = (self.get()->*step)();
          self = nullptr;
          if (ends) gate->Leave();
        });
  }

  // kArmed: this goes on in Wake(), on another worker, perhaps already.
  enum class Armed { kArmed, kNotNeeded, kStopped };
  Armed ArmSelf() {
    const std::shared_ptr<Reader> self = this->shared_from_this();
    // So that Release() does not meet an Arm() half done.
    MutexLock lock(&mutex_);
    if (stopped_) return Armed::kStopped;
    arms_ = true;
    waiting_ = self;
    if (Arm(this)) return Armed::kArmed;
    waiting_ = nullptr;
    return Armed::kNotNeeded;
  }

  // Resumes the coroutine if there is something, or waits for it.
  bool Look() {
    while (!stopped()) {
      if (Ready()) {
        resume_.resume();
        return true;
      }
      if (ArmSelf() == Armed::kArmed) return false;
    }
    return true;
  }

  // Makes the calls of Listen(): as many as there is something for, but not so
  // many that others wait long for the worker.
  bool Drain() {
    for (int calls = 0; calls < kCallsPerJob; ++calls) {
      if (!BeginCall()) return true;
      const Record* const record = Poll();
      if (record != nullptr) on_event_(*record);
      const bool at_end = record == nullptr && ended();
      if (at_end) on_end_(status());
      EndCall();
      if (at_end) return true;
      if (record == nullptr && ArmSelf() == Armed::kArmed) return false;
    }
    Post(this->shared_from_this(), &Reader::Drain);
    return false;
  }

  bool stopped() {
    MutexLock lock(&mutex_);
    return stopped_;
  }
  bool BeginCall() {
    MutexLock lock(&mutex_);
    if (stopped_) return false;
    calling_ = true;
    caller_ = std::this_thread::get_id();
    return true;
  }
  void EndCall() {
    MutexLock lock(&mutex_);
    calling_ = false;
    if (idle_ != nullptr) std::exchange(idle_, nullptr)->Notify();
  }

  static constexpr int kCallsPerJob = 64;

  Executor* const executor_;
  const std::shared_ptr<ReaderGate> gate_;
  // What Ready() has found and nobody has taken.
  const Record* next_ = nullptr;
  bool has_next_ = false;
  std::coroutine_handle<> resume_;
  std::function<void(const Record&)> on_event_;
  std::function<void(const absl::Status&)> on_end_;
  // While this is armed, itself: what is woken must be there. Then Wake()'s.
  std::shared_ptr<Reader> waiting_;

  // Free most of the time, and locked twice for each event.
  Mutex mutex_;
  bool arms_ ABSL_GUARDED_BY(mutex_) = false;  // Has ever been armed so.
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool calling_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread::id caller_ ABSL_GUARDED_BY(mutex_);
  absl::Notification* idle_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_READER_H_
