// The executors on oneTBB. Both keep their jobs in a queue of their own, a
// Crew, and use oneTBB for threads only: what it is given are helpers, small
// tasks that run jobs until there are none. So a thread in RunUntil() can run
// jobs as well, stop as soon as its `done` is notified, and do so again from
// inside a job, none of which waiting on a oneTBB task group allows; a job
// needs no task of its own while helpers are about; and dropping queued jobs is
// clearing the queue.
//
// A job that is queued is certain to be run because each of these holds:
// - Post() starts a helper unless as many as may run jobs are about, or the
//   thread that owns a CallerExecutor is busy and will look at the queue;
// - a helper, and a thread in RunUntil(), looks at the queue again, under the
//   lock, after each job and before it leaves or sleeps;
// - oneTBB runs what is enqueued even on a machine with one core. What is
//   spawned has no such promise: it may lie in the owner's task pool, so the
//   owner runs what is left there before it sleeps.

#include <algorithm>
#include <atomic>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "oneapi/tbb/global_control.h"
#include "oneapi/tbb/info.h"
#include "oneapi/tbb/task_arena.h"
#include "oneapi/tbb/task_group.h"

#include "weir/runtime/executor.h"
#include "weir/runtime/internal/caller_executor.h"
#include "weir/runtime/internal/timer_queue.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

using Job = Executor::Job;

// What a thread in RunUntil() spends before it sleeps. Waking it costs about as
// much.
constexpr std::chrono::microseconds kSpin(25);

// A helper makes room for the tasks of other arenas after this many jobs.
constexpr int kJobsPerHelper = 64;

// Inside a job, RunUntil() sleeps on the crew's lock and not on `done`, so that
// it can take a job that is posted: its thread may be the only one. These are
// the times between two looks at `done`, which is notified unseen if not by a
// job of the crew.
constexpr absl::Duration kFirstLook = absl::Microseconds(50);
constexpr absl::Duration kLastLook = absl::Milliseconds(5);

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// First in, first out.
class JobQueue {
 public:
  bool empty() const { return first_ == jobs_.size(); }
  size_t size() const { return jobs_.size() - first_; }

  void Push(Job job) { jobs_.push_back(std::move(job)); }

  Job Pop() {
    Job job = std::move(jobs_[first_++]);
    if (empty()) {
      jobs_.clear();
      first_ = 0;
    } else if (first_ >= 64 && first_ > jobs_.size() / 2) {
      jobs_.erase(jobs_.begin(), jobs_.begin() + std::ptrdiff_t(first_));
      first_ = 0;
    }
    return job;
  }

 private:
  std::vector<Job> jobs_;
  size_t first_ = 0;  // Those before it have been popped.
};

// Crew: a queue of jobs and the threads that run them.
//
// Threads: thread-safe.
class Crew {
 public:
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // `inside`: whether the thread is in the arena that the crew helps itself
  // from.
  void Post(Job job, bool inside) {
    if (Add(std::move(job), inside)) StartHelper(inside);
  }

  // Whether the calling thread is in a job of this crew.
  bool InJob() const;

  // Runs jobs until none is left that may run now. True once `done` is
  // notified.
  bool RunJobs(const absl::Notification* done);

  // RunUntil() from a job: the thread's part in the limit is free meanwhile.
  void RunUntilInJob(const absl::Notification& done);

  // Spins until `done` is notified or there is a job; false if neither happens
  // soon.
  bool Spin(const absl::Notification& done) const;

  // Drops the queued jobs and all that are posted from now on, and waits for
  // those that run.
  void Close();

 protected:
  // At most `limit` jobs run at once, and `max_helpers` helpers are about.
  Crew(int limit, int max_helpers, bool takes_outside_help)
      : limit_(limit),
        max_helpers_(max_helpers),
        takes_outside_help_(takes_outside_help) {}
  ~Crew() = default;

  // Has another thread call Help(), or at least a thread that is idle.
  virtual void StartHelper(bool inside) = 0;

  // A helper's work. `idle`: whether the thread is free for it; if not, the
  // helper ends.
  void Help(bool idle);

  // Whether there are neither jobs nor helpers.
  bool Idle() const {
    absl::MutexLock lock(&mutex_);
    return jobs_.empty() && helpers_ == 0;
  }

  void SetMaxHelpers(int max_helpers) {
    absl::MutexLock lock(&mutex_);
    max_helpers_ = max_helpers;
  }

  void TakeOutsideHelp() {
    absl::MutexLock lock(&mutex_);
    takes_outside_help_ = true;
  }

  int limit() const { return limit_; }

 private:
  // Marks a thread as being in a job, on its stack.
  class Frame;

  bool Add(Job job, bool inside) {
    absl::MutexLock lock(&mutex_);
    if (closed_) return false;
    jobs_.Push(std::move(job));
    UpdateReady();
    return (inside || takes_outside_help_) && AddHelper();
  }

  // Whether there is use for another helper; if so, counts it.
  bool AddHelper() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (helpers_ >= max_helpers_ || starting_ >= jobs_.size()) return false;
    ++helpers_;
    ++starting_;
    return true;
  }

  bool CanTake() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return !jobs_.empty() && running_ < limit_;
  }

  bool Take(Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!CanTake()) return false;
    job = jobs_.Pop();
    AddRunning(1);
    return true;
  }

  void AddRunning(int jobs) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    running_ += jobs;
    UpdateReady();
  }

  void UpdateReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ready_.store(CanTake(), std::memory_order_relaxed);
  }

  // Runs and destroys a job, with the lock released.
  void Run(Job& job) noexcept {
    job();
    job = nullptr;
  }

  const int limit_;

  // CanTake(): written under mutex_ by UpdateReady(), read by Spin(), which
  // decides nothing by it; so relaxed.
  std::atomic<bool> ready_{false};

  mutable absl::Mutex mutex_;
  JobQueue jobs_ ABSL_GUARDED_BY(mutex_);
  int running_ ABSL_GUARDED_BY(mutex_) = 0;  // Jobs, less those in RunUntil().
  int helpers_ ABSL_GUARDED_BY(mutex_) = 0;  // Started and not ended.
  size_t starting_ ABSL_GUARDED_BY(mutex_) = 0;  // Of those, not yet at work.
  int max_helpers_ ABSL_GUARDED_BY(mutex_);
  // Whether a Post() from outside of the arena may start a helper.
  bool takes_outside_help_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

class Crew::Frame {
 public:
  explicit Frame(const Crew* crew) : crew_(crew), outer_(innermost) {
    innermost = this;
  }
  ~Frame() { innermost = outer_; }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  static bool Has(const Crew* crew) {
    const Frame* frame = innermost;
    while (frame != nullptr && frame->crew_ != crew) frame = frame->outer_;
    return frame != nullptr;
  }

 private:
  static thread_local const Frame* innermost;

  const Crew* const crew_;
  const Frame* const outer_;
};

thread_local const Crew::Frame* Crew::Frame::innermost = nullptr;

bool Crew::InJob() const { return Frame::Has(this); }

void Crew::Help(bool idle) {
  Job job;
  {
    absl::MutexLock lock(&mutex_);
    --starting_;
    if (!idle || !Take(job)) {
      --helpers_;
      return;
    }
  }
  const Frame frame(this);
  for (int jobs = 1;; ++jobs) {
    Run(job);
    absl::MutexLock lock(&mutex_);
    AddRunning(-1);
    if (jobs < kJobsPerHelper && Take(job)) continue;
    if (jobs < kJobsPerHelper || jobs_.empty()) {
      --helpers_;
      return;
    }
    ++starting_;
    break;
  }
  StartHelper(/*inside=*/true);
}

bool Crew::RunJobs(const absl::Notification* done) {
  Job job;
  bool start_helper = false;
  {
    const Frame frame(this);
    absl::MutexLock lock(&mutex_);
    while ((done == nullptr || !done->HasBeenNotified()) && Take(job)) {
      mutex_.Unlock();
      Run(job);
      mutex_.Lock();
      AddRunning(-1);
    }
    // A helper may have left because this thread was at work.
    start_helper = CanTake() && AddHelper();
  }
  if (start_helper) StartHelper(/*inside=*/true);
  return done != nullptr && done->HasBeenNotified();
}

void Crew::RunUntilInJob(const absl::Notification& done) {
  {
    absl::MutexLock lock(&mutex_);
    AddRunning(-1);
  }
  absl::Duration look = kFirstLook;
  while (!RunJobs(&done)) {
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(this, &Crew::CanTake), look)) {
      look = kFirstLook;
    } else {
      look = std::min(2 * look, kLastLook);
    }
  }
  absl::MutexLock lock(&mutex_);
  AddRunning(1);
}

bool Crew::Spin(const absl::Notification& done) const {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 8; ++i) Pause();
    if (done.HasBeenNotified() || ready_.load(std::memory_order_relaxed)) {
      return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

void Crew::Close() {
  {
    JobQueue dropped;  // Destroyed once the lock is released.
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    std::swap(dropped, jobs_);
    UpdateReady();
  }
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](int* running) { return *running == 0; }, &running_));
}

// Helped by an arena of its own. Helpers share it: they may begin when the
// executor has gone.
class ArenaCrew final : public Crew,
                        public std::enable_shared_from_this<ArenaCrew> {
 public:
  explicit ArenaCrew(int workers)
      : Crew(workers, workers, /*takes_outside_help=*/true),
        arena_(workers, /*reserved_for_masters=*/0) {}

  using Crew::limit;

 private:
  void StartHelper(bool) override {
    arena_.enqueue([crew = shared_from_this()] { crew->Help(!crew->InJob()); });
  }

  tbb::task_arena arena_;
};

}  // namespace

// Helped by the arena of the owner, through a task group that the owner waits
// for.
struct CallerExecutor::Rep final : Crew {
  Rep(CallerExecutor* executor, int workers)
      : Crew(workers, workers - 1, /*takes_outside_help=*/false),
        owner(executor->owner_),
        timers([executor](Job job) { executor->Post(std::move(job)); }) {}

  bool OnOwner() const { return std::this_thread::get_id() == owner; }

  // Whether the thread is in the owner's arena; if a node has entered another
  // one, it is that arena's workers that help.
  bool Inside() const { return OnOwner() || InJob(); }

  void RunUntilOnOwner(const absl::Notification& done);
  void Retire();
  void StartHelper(bool inside) override;
  void WaitForHelpers();

  const std::thread::id owner;
  TimerQueue timers;
  // Isolated: who cancels the oneTBB tasks that the owner is in must not cancel
  // helpers.
  tbb::task_group_context context{tbb::task_group_context::isolated};
  tbb::task_group group{context};

  // Made by the owner; seen by others through the lock in TakeOutsideHelp().
  std::optional<tbb::task_arena> arena;

  // Whether the owner is in WaitForHelpers(). Used on the owner only.
  bool waits = false;
};

void CallerExecutor::Rep::StartHelper(bool inside) {
  // A node on the owner's thread may wait for oneTBB tasks of its own, and meet
  // its siblings' helper meanwhile, which then ends.
  auto help = [this] { Help(!InJob() && (!OnOwner() || waits)); };
  if (inside) {
    group.run(std::move(help));
  } else {
    arena->enqueue(group.defer(std::move(help)));
  }
}

// Runs the helpers that no worker has begun, and waits for the others.
void CallerExecutor::Rep::WaitForHelpers() {
  SetMaxHelpers(limit());
  waits = true;
  group.wait();
  waits = false;
}

void CallerExecutor::Rep::RunUntilOnOwner(const absl::Notification& done) {
  while (!RunJobs(&done)) {
    if (limit() > 1 && Spin(done)) continue;
    if (!arena.has_value()) {
      tbb::this_task_arena::isolate([] {});  // Gives the thread its arena.
      arena.emplace(tbb::attach{});
      TakeOutsideHelp();
    }
    WaitForHelpers();
    // From here on, a Post() starts a helper that does not need this thread.
    if (Idle()) done.WaitForNotification();
    SetMaxHelpers(limit() - 1);
  }
}

void CallerExecutor::Rep::Retire() {
  do {
    RunJobs(nullptr);
    WaitForHelpers();
  } while (!Idle());
  SetMaxHelpers(limit() - 1);
}

CallerExecutor::Rep& CallerExecutor::rep() {
  Rep* rep = rep_.load(std::memory_order_acquire);
  if (rep != nullptr) return *rep;
  auto made = std::make_unique<Rep>(this, workers());
  if (rep_.compare_exchange_strong(rep, made.get(), std::memory_order_acq_rel,
                                   std::memory_order_acquire)) {
    rep = made.release();
  }
  return *rep;
}

void CallerExecutor::Destroy(Rep* rep) {
  rep->timers.Stop();
  rep->Close();
  rep->WaitForHelpers();
  delete rep;
}

void CallerExecutor::Retire(Rep* rep) { rep->Retire(); }

void CallerExecutor::Post(Job job) {
  Rep& r = rep();
  r.Post(std::move(job), r.Inside());
}

Executor::TimerId CallerExecutor::PostAfter(absl::Duration delay, Job job) {
  return rep().timers.Add(delay, std::move(job));
}

bool CallerExecutor::Cancel(TimerId timer) {
  Rep* const rep = rep_.load(std::memory_order_acquire);
  return rep != nullptr && rep->timers.Cancel(timer);
}

absl::Time CallerExecutor::Now() const { return absl::Now(); }

int CallerExecutor::workers() const {
  int workers = workers_.load(std::memory_order_relaxed);
  if (workers == 0) {
    workers = std::max(1, tbb::this_task_arena::max_concurrency());
    workers_.store(workers, std::memory_order_relaxed);
  }
  return workers;
}

bool CallerExecutor::RunUntil(const absl::Notification& done) {
  if (done.HasBeenNotified()) return true;
  Rep& r = rep();
  if (r.InJob()) {
    r.RunUntilInJob(done);
  } else if (r.OnOwner()) {
    r.RunUntilOnOwner(done);
  } else {
    done.WaitForNotification();
  }
  return true;
}

}  // namespace internal

struct TbbExecutor::Rep {
  explicit Rep(int workers)
      : crew(std::make_shared<internal::ArenaCrew>(workers)),
        timers(
            [this](Job job) { crew->Post(std::move(job), /*inside=*/false); }) {
    // oneTBB has a thread for each core but the caller's, and the caller may be
    // asleep in RunUntil(), or none, or fewer than `workers`.
    constexpr auto kThreads = tbb::global_control::max_allowed_parallelism;
    const size_t needed = static_cast<size_t>(std::min(workers, 255)) + 1;
    if (tbb::global_control::active_value(kThreads) < needed) {
      threads.emplace(kThreads, needed);
    }
  }

  const bool spins = tbb::info::default_concurrency() > 1;
  std::optional<tbb::global_control> threads;
  const std::shared_ptr<internal::ArenaCrew> crew;
  internal::TimerQueue timers;
};

TbbExecutor::TbbExecutor(int workers)
    : rep_(std::make_unique<Rep>(
          workers > 0 ? workers
                      : std::max(1, tbb::info::default_concurrency()))) {}

TbbExecutor::~TbbExecutor() {
  rep_->timers.Stop();
  rep_->crew->Close();
}

void TbbExecutor::Post(Job job) {
  rep_->crew->Post(std::move(job), /*inside=*/false);
}

Executor::TimerId TbbExecutor::PostAfter(absl::Duration delay, Job job) {
  return rep_->timers.Add(delay, std::move(job));
}

bool TbbExecutor::Cancel(TimerId timer) { return rep_->timers.Cancel(timer); }

absl::Time TbbExecutor::Now() const { return absl::Now(); }

int TbbExecutor::workers() const { return rep_->crew->limit(); }

bool TbbExecutor::RunUntil(const absl::Notification& done) {
  if (done.HasBeenNotified()) return true;
  internal::Crew& crew = *rep_->crew;
  if (crew.InJob()) {
    crew.RunUntilInJob(done);
    return true;
  }
  do {
    if (crew.RunJobs(&done)) return true;
  } while (rep_->spins && crew.Spin(done));
  done.WaitForNotification();
  return true;
}

}  // namespace v0
}  // namespace weir
