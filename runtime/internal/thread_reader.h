#ifndef WEIR_RUNTIME_INTERNAL_THREAD_READER_H_
#define WEIR_RUNTIME_INTERNAL_THREAD_READER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/runtime/event.h"
#include "weir/runtime/internal/reader.h"
#include "weir/runtime/internal/service.h"
#include "weir/runtime/thread_stream.h"
#include "weir/stream/event_log.h"

namespace weir {
inline namespace v0 {

// A reader of a thread: it goes from record to record, and where one says that
// a run has started, through that run's own events before it goes on.
//
// Threads: single-owner, but for what Service::mutex guards.
struct ThreadStream::Rep final : internal::Reader<ThreadEvent> {
  Rep(std::shared_ptr<internal::Service> of, internal::ThreadPtr on,
      ThreadStreamModes wants);

  const ThreadEvent* Poll() override;
  bool ended() const override { return ended_; }
  absl::Status status() const override { return status_; }
  bool Arm(weir::Waiter* waiter) override;
  bool Disarm() override;

  int64_t last_id() const { return last_id_; }
  void Leave();

  // The rest is called with Service::mutex held.

  // Takes the place after the event `after` of the thread's stream.
  absl::Status Place(std::optional<int64_t> after);
  // A run that the reader will come to is about to begin.
  void WillStart(const internal::RunPtr& run, uint64_t record);
  // Tells `waiter`, if any, when it is woken.
  weir::Waiter* TakeWaiter() { return std::exchange(waiter_, nullptr); }

 private:
  // kRead: current_ is the next. kPassed: something else comes first.
  enum class Found { kNothing, kPassed, kRead };
  Found ReadRun();
  Found ReadRecord();
  // The next record, or null; if there can be none any more, ends.
  std::optional<internal::ThreadRecord> TakeRecord();
  void Enter(const internal::RunPtr& run, uint64_t record);
  absl::StatusOr<Cursor<Event>> Attach(const internal::RunPtr& run,
                                       std::optional<int64_t> after);
  StateUpdated StateOf(const internal::ThreadRecord& record) const;
  Found End(absl::Status status);

  const std::shared_ptr<internal::Service> service_;
  const internal::ThreadPtr thread_;
  const ThreadStreamModes modes_;

  ThreadEvent current_;
  int64_t last_id_ = -1;
  bool ended_ = false;
  absl::Status status_;

  // The run that it is in, and where; none: it is between runs.
  internal::RunPtr run_;
  std::optional<Cursor<Event>> cursor_;
  bool armed_at_run_ = false;

  // Guarded by Service::mutex.
  uint64_t next_record_ = 0;
  // Places in runs that it will come to, by the records of their starts.
  std::map<uint64_t, Cursor<Event>> waiting_;
  weir::Waiter* waiter_ = nullptr;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_THREAD_READER_H_
