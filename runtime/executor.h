#ifndef WEIR_RUNTIME_EXECUTOR_H_
#define WEIR_RUNTIME_EXECUTOR_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

#include "weir/export.h"

namespace weir {
inline namespace v0 {

// Executor: where and when jobs run. All of weir's time and parallelism come
// through it, so that a host can bring its own and a test can bring virtual
// time. Jobs must not throw.
//
// Threads:  thread-safe.
// Ordering: what happened before Post(job) happens before the job runs.
// Lifetime: must outlive the runs that use it. Jobs still queued when an
//           executor is destroyed are destroyed without being run.
class WEIR_EXPORT Executor {
 public:
  using Job = absl::AnyInvocable<void()>;
  using TimerId = uint64_t;

  virtual ~Executor() = default;

  // Runs `job` soon, on some worker; never inside Post() itself.
  virtual void Post(Job job) = 0;

  // Runs `job` once `delay` has passed; where, and how soon then, as Post().
  virtual TimerId PostAfter(absl::Duration delay, Job job) = 0;

  // The same for a job that is short and must not wait for a worker to be free,
  // such as asking one that is busy to stop: an executor that has a thread for
  // timers runs it there.
  virtual TimerId CallAfter(absl::Duration delay, Job job) {
    return PostAfter(delay, std::move(job));
  }

  // Drops a job given to either. False if it has run or may be running.
  virtual bool Cancel(TimerId timer) = 0;

  // Never goes back; timeouts and times to live are measured by it.
  virtual absl::Time Now() const = 0;

  // How many jobs may run at once, those that a caller of RunUntil() runs
  // included; >= 1.
  virtual int workers() const = 0;

  // Returns once `done` is notified. Executors without workers run jobs on the
  // calling thread meanwhile, and so does any executor when this is called in
  // a job; other threads only wait, so that no job holds them up. False if
  // nothing is left that could notify it.
  virtual bool RunUntil(const absl::Notification& done) = 0;

  // Whether every task should be posted by itself, even where running several
  // in a row would be cheaper: for executors that choose the order of jobs.
  virtual bool picks_order() const { return false; }
};

// TbbExecutor: a oneTBB arena and a timer thread that starts with the first
// timer.
//
// Lifetime: the destructor waits for the jobs that run and drops the timers.
class WEIR_EXPORT TbbExecutor final : public Executor {
 public:
  // At most `workers` jobs at once; 0 stands for the machine's. A job that
  // blocks, such as a node that is a plain function and waits, holds one.
  explicit TbbExecutor(int workers = 0);
  ~TbbExecutor() override;

  void Post(Job job) override;
  TimerId PostAfter(absl::Duration delay, Job job) override;
  TimerId CallAfter(absl::Duration delay, Job job) override;
  bool Cancel(TimerId timer) override;
  absl::Time Now() const override;
  int workers() const override;
  // A task of a oneTBB arena of the host's own that waits here takes one of
  // oneTBB's workers; all of them must not do so.
  bool RunUntil(const absl::Notification& done) override;

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

// InlineExecutor: runs jobs in the order posted, on the thread that calls
// RunUntil(), in real time. For tests, and for hosts too small for workers.
// Other threads may post to it; RunUntil() waits for them while it has nothing
// to do.
class WEIR_EXPORT InlineExecutor final : public Executor {
 public:
  InlineExecutor();
  ~InlineExecutor() override;

  void Post(Job job) override;
  TimerId PostAfter(absl::Duration delay, Job job) override;
  bool Cancel(TimerId timer) override;
  absl::Time Now() const override;
  int workers() const override { return 1; }
  bool RunUntil(const absl::Notification& done) override;

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

// SimExecutor: runs jobs on the thread that calls RunUntil(), in an order drawn
// from a seed and in virtual time: when nothing is ready, time jumps to the
// next timer. One seed gives one interleaving; many seeds explore many.
//
// Threads: thread-compatible: everything that posts to it must run in its jobs
//          or on the thread that calls RunUntil().
class WEIR_EXPORT SimExecutor final : public Executor {
 public:
  explicit SimExecutor(uint64_t seed);
  ~SimExecutor() override;

  void Post(Job job) override;
  TimerId PostAfter(absl::Duration delay, Job job) override;
  bool Cancel(TimerId timer) override;
  // Starts at the Unix epoch.
  absl::Time Now() const override;
  int workers() const override { return 1; }
  // False as soon as nothing is ready, no timer is left and `done` is not set.
  bool RunUntil(const absl::Notification& done) override;
  bool picks_order() const override { return true; }

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_EXECUTOR_H_
