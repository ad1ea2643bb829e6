// The executors on oneTBB. Both keep their jobs in a queue of their own, a
// Crew, and use oneTBB for threads only: what it is given are helpers, small
// tasks that run jobs until there are none. So a thread in RunUntil() can run
// jobs as well, stop as soon as its `done` is notified, and do so again from
// inside a job, none of which waiting for a oneTBB task group allows. Few
// helpers serve many jobs, and dropping queued jobs is clearing the queue.
//
// A queued job is certain to be run:
// - on a TbbExecutor, Post() starts a helper unless as many as may run jobs are
//   about, and each looks at the queue before it ends, under the lock. oneTBB
//   runs what is enqueued, even on a machine with one core;
// - of a CallerExecutor, the owner is in RunUntil() sooner or later, and awake
//   while there are jobs. It needs no helper. A helper is spawned rather than
//   enqueued, which is cheaper, so it may lie in the owner's own task pool for
//   as long as no worker is free.
//
// A job may sleep in RunUntil(), and with it a worker of oneTBB, which has no
// more of them than cores. Such a thread runs jobs meanwhile, or else all
// workers might wait for jobs that none of them runs.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "oneapi/tbb/global_control.h"
#include "oneapi/tbb/info.h"
#include "oneapi/tbb/spin_mutex.h"
#include "oneapi/tbb/task_arena.h"
#include "oneapi/tbb/task_group.h"

#include "weir/runtime/executor.h"
#include "weir/runtime/internal/caller_executor.h"
#include "weir/runtime/internal/timer_queue.h"
#include "weir/stream/internal/parking.h"
#include "weir/stream/internal/steady_time.h"

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

// A thread that has to take jobs while it waits sleeps on the crew and not on
// `done`; it wakes when a job is posted and when one ends. If a job notifies
// `done` long before it ends, or no job does, it is seen at the next look. The
// time between two looks doubles from the first to the last.
constexpr absl::Duration kFirstLook = absl::Microseconds(50);
constexpr absl::Duration kLastLook = absl::Milliseconds(10);

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// For the few instructions at the queue, twice for each job. An absl::Mutex
// costs several times as much where Abseil was built to look for deadlocks, as
// distributions do; and it takes a lock of the whole process then.
class ABSL_LOCKABLE QueueLock {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  tbb::spin_mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE QueueLockHolder {
 public:
  explicit QueueLockHolder(QueueLock* lock) ABSL_EXCLUSIVE_LOCK_FUNCTION(lock)
      : lock_(lock) {
    lock_->Lock();
  }
  ~QueueLockHolder() ABSL_UNLOCK_FUNCTION() { lock_->Unlock(); }
  QueueLockHolder(const QueueLockHolder&) = delete;
  QueueLockHolder& operator=(const QueueLockHolder&) = delete;

 private:
  QueueLock* const lock_;
};

// First in, first out.
class JobQueue {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  void Push(Job job) {
    if (size_ == capacity_) Grow();
    jobs_[(first_ + size_++) & (capacity_ - 1)] = std::move(job);
  }

  Job Pop() {
    Job job = std::move(jobs_[first_]);
    first_ = (first_ + 1) & (capacity_ - 1);
    --size_;
    return job;
  }

 private:
  void Grow() {
    const size_t capacity = std::max<size_t>(8, 2 * capacity_);
    auto jobs = std::make_unique<Job[]>(capacity);
    for (size_t i = 0; i < size_; ++i) {
      jobs[i] = std::move(jobs_[(first_ + i) & (capacity_ - 1)]);
    }
    jobs_ = std::move(jobs);
    capacity_ = capacity;
    first_ = 0;
  }

  std::unique_ptr<Job[]> jobs_;
  size_t capacity_ = 0;  // Or a power of two.
  size_t first_ = 0;
  size_t size_ = 0;
};

// Crew: a queue of jobs and the threads that run them.
//
// Threads: thread-safe.
class Crew {
 public:
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // `may_help`: whether a helper may be started.
  void Post(Job job, bool may_help);

  // Whether the calling thread is in a job of this crew, or of any.
  bool InJob() const;
  static bool InAnyJob();

  // Runs jobs until none is left that may run now. True once `done` is
  // notified.
  bool RunJobs(const absl::Notification* done);

  // Spins until `done` is notified or there is a job; false if neither happens
  // soon.
  bool Spin(const absl::Notification& done) const;

  // Runs jobs and sleeps until `done` is notified. If the thread is in a job,
  // another may run in its place.
  void RunUntil(const absl::Notification& done);

  // Drops the queued jobs and all that are posted from now on, and waits for
  // those that run and for calls of Post() to leave.
  void Close();

  int limit() const { return limit_; }

 protected:
  // At most `limit` jobs run at once, and `max_helpers` helpers are about.
  Crew(int limit, int max_helpers, bool spins)
      : limit_(limit), max_helpers_(max_helpers), spins_(spins) {}
  ~Crew() = default;

  // Has Help() called, by an idle thread if there is one.
  virtual void StartHelper() = 0;

  // A helper's work. `idle`: whether the thread is free for it; if not, the
  // helper ends.
  void Help(bool idle);

  // Whether there are neither jobs nor helpers.
  bool Idle() const {
    QueueLockHolder lock(&lock_);
    return jobs_.empty() && helpers_ == 0;
  }

 private:
  // Marks a thread as being in a job, on its stack.
  class Frame;

  // A thread in Sleep(), on its stack.
  struct Sleeper {
    // Set to 1 by Wake(), under the lock; relaxed, as it is only slept on
    // without.
    std::atomic<uint32_t> woken{0};
    Sleeper* next = nullptr;
  };

  bool CanTake() const ABSL_SHARED_LOCKS_REQUIRED(lock_) {
    return !jobs_.empty() && running_ < limit_;
  }
  bool Quiet() const ABSL_SHARED_LOCKS_REQUIRED(lock_) {
    return running_ == 0 && starters_ == 0;
  }
  bool Take(Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Counts a job that begins, or with -1 one that ends.
  void AddRunning(int jobs) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void UpdateReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    ready_.store(CanTake(), std::memory_order_relaxed);
  }
  // Whether there is use for another helper; if so, counts it, and Start() must
  // follow.
  bool AddHelper() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void Start() ABSL_LOCKS_EXCLUDED(lock_);

  // Runs `job`, which was taken, and then others, until `max_jobs` have run,
  // `done` is notified or none may run now.
  void Work(Job& job, int max_jobs, const absl::Notification* done,
            bool as_helper) ABSL_LOCKS_EXCLUDED(lock_);

  // Sleeps until Wake(), unless `awake` holds or `done` is notified. False if
  // one of them is so now.
  bool Sleep(absl::Duration longest, bool (Crew::*awake)() const,
             const absl::Notification* done) ABSL_LOCKS_EXCLUDED(lock_);
  // Under the lock: the crew may be gone as soon as it is released.
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  const int limit_;
  const int max_helpers_;
  const bool spins_;  // Where there is another core.

  // CanTake(): written under lock_ by UpdateReady(), read by Spin(), which
  // decides nothing by it; so relaxed.
  std::atomic<bool> ready_{false};

  mutable QueueLock lock_;
  JobQueue jobs_ ABSL_GUARDED_BY(lock_);
  int running_ ABSL_GUARDED_BY(lock_) = 0;  // Jobs, less those in RunUntil().
  int helpers_ ABSL_GUARDED_BY(lock_) = 0;  // Counted and not ended.
  size_t starting_ ABSL_GUARDED_BY(lock_) = 0;  // Of those, not yet at work.
  int starters_ ABSL_GUARDED_BY(lock_) = 0;  // Threads that are to Start() one.
  Sleeper* sleepers_ ABSL_GUARDED_BY(lock_) = nullptr;
  bool closed_ ABSL_GUARDED_BY(lock_) = false;
  [[no_unique_address]] Parking parking_;
};

class Crew::Frame {
 public:
  explicit Frame(const Crew* crew) : crew_(crew), outer_(innermost) {
    innermost = this;
  }
  ~Frame() { innermost = outer_; }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  static bool HasAny() { return innermost != nullptr; }
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

bool Crew::InAnyJob() { return Frame::HasAny(); }

void Crew::Post(Job job, bool may_help) {
  bool start_helper = false;
  {
    QueueLockHolder lock(&lock_);
    if (closed_) return;
    jobs_.Push(std::move(job));
    UpdateReady();
    start_helper = may_help && AddHelper();
    Wake();
  }
  if (start_helper) Start();
}

bool Crew::Take(Job& job) {
  if (!CanTake()) return false;
  job = jobs_.Pop();
  AddRunning(1);
  return true;
}

void Crew::AddRunning(int jobs) {
  running_ += jobs;
  UpdateReady();
}

bool Crew::AddHelper() {
  if (helpers_ >= max_helpers_ || starting_ >= jobs_.size() || !CanTake()) {
    return false;
  }
  ++helpers_;
  ++starting_;
  ++starters_;
  return true;
}

void Crew::Start() {
  StartHelper();
  QueueLockHolder lock(&lock_);
  --starters_;
  Wake();
}

void Crew::Help(bool idle) {
  Job job;
  {
    QueueLockHolder lock(&lock_);
    --starting_;
    if (!idle || !Take(job)) {
      --helpers_;
      return;
    }
  }
  Work(job, kJobsPerHelper, /*done=*/nullptr, /*as_helper=*/true);
}

bool Crew::RunJobs(const absl::Notification* done) {
  if (done != nullptr && done->HasBeenNotified()) return true;
  Job job;
  bool start_helper = false;
  {
    QueueLockHolder lock(&lock_);
    if (!Take(job)) return false;
    start_helper = AddHelper();
  }
  if (start_helper) Start();
  Work(job, std::numeric_limits<int>::max(), done, /*as_helper=*/false);
  return done != nullptr && done->HasBeenNotified();
}

void Crew::Work(Job& job, int max_jobs, const absl::Notification* done,
                bool as_helper) {
  const Frame frame(this);
  bool more = true;
  for (int jobs = 1; more; ++jobs) {
    [&job]() noexcept {
      job();
      job = nullptr;
    }();
    bool start_helper = false;
    {
      QueueLockHolder lock(&lock_);
      AddRunning(-1);
      more = jobs < max_jobs && (done == nullptr || !done->HasBeenNotified()) &&
             Take(job);
      if (!more && as_helper) --helpers_;
      // There may be jobs whose Post() was to start none, or for which others
      // had no part in the limit while this thread was at work.
      start_helper = AddHelper();
      Wake();
    }
    if (start_helper) Start();
  }
}

bool Crew::Spin(const absl::Notification& done) const {
  if (!spins_) return false;
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 8; ++i) Pause();
    if (done.HasBeenNotified() || ready_.load(std::memory_order_relaxed)) {
      return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

void Crew::RunUntil(const absl::Notification& done) {
  const bool in_job = InJob();
  if (in_job) {
    QueueLockHolder lock(&lock_);
    AddRunning(-1);
  }
  absl::Duration look = kFirstLook;
  while (!RunJobs(&done)) {
    if (look == kFirstLook && Spin(done)) continue;
    look = Sleep(look, &Crew::CanTake, &done) ? std::min(2 * look, kLastLook)
                                              : kFirstLook;
  }
  if (in_job) {
    QueueLockHolder lock(&lock_);
    AddRunning(1);
  }
}

void Crew::Close() {
  std::vector<Job> dropped;
  {
    QueueLockHolder lock(&lock_);
    closed_ = true;
    while (!jobs_.empty()) dropped.push_back(jobs_.Pop());
    UpdateReady();
  }
  dropped.clear();
  const auto quiet = [this] {
    QueueLockHolder lock(&lock_);
    return Quiet();
  };
  while (!quiet()) {
    Sleep(absl::InfiniteDuration(), &Crew::Quiet, /*done=*/nullptr);
  }
}

bool Crew::Sleep(absl::Duration longest, bool (Crew::*awake)() const,
                 const absl::Notification* done) {
  const auto is_awake = [this, awake, done] {
    return (this->*awake)() || (done != nullptr && done->HasBeenNotified());
  };
  Sleeper sleeper;
  {
    QueueLockHolder lock(&lock_);
    if (is_awake()) return false;
    sleeper.next = sleepers_;
    sleepers_ = &sleeper;
  }
  parking_.Wait(sleeper.woken, 0, internal::SteadyNow() + longest);
  QueueLockHolder lock(&lock_);
  if (sleeper.woken.load(std::memory_order_relaxed) == 0) {
    Sleeper** link = &sleepers_;
    while (*link != &sleeper) link = &(*link)->next;
    *link = sleeper.next;
  }
  return !is_awake();
}

void Crew::Wake() {
  while (sleepers_ != nullptr) {
    Sleeper* const sleeper = sleepers_;
    sleepers_ = sleeper->next;
    sleeper->woken.exchange(1, std::memory_order_relaxed);
    parking_.Wake(&sleeper->woken, 1);
  }
}

// Helped by an arena of its own. To be closed before it is destroyed.
class ArenaCrew final : public Crew {
 public:
  explicit ArenaCrew(int workers)
      : Crew(workers, workers, tbb::info::default_concurrency() > 1),
        arena_(workers, /*reserved_for_masters=*/0) {}

  // From inside of the arena, so that no worker is needed to end the helpers
  // that are left.
  ~ArenaCrew() {
    arena_.execute([this] { group_.wait(); });
  }

 private:
  void StartHelper() override {
    arena_.enqueue(group_.defer([this] { Help(!InJob()); }));
  }

  tbb::task_arena arena_;
  tbb::task_group_context context_{tbb::task_group_context::isolated};
  tbb::task_group group_{context_};
};

}  // namespace

// Helped by the arena of the owner, through a task group.
struct CallerExecutor::Rep final : Crew {
  explicit Rep(CallerExecutor* of)
      : Crew(of->workers(), of->workers() - 1, of->workers() > 1),
        executor(of),
        owner(of->owner_) {}
  ~Rep();

  bool OnOwner() const { return std::this_thread::get_id() == owner; }

  // Whether the thread is in the owner's arena. If a node has entered another
  // one, it is that arena's workers that help.
  bool Inside() const { return OnOwner() || InJob(); }

  void Retire();
  void StartHelper() override;
  void WaitForHelpers();
  TimerQueue& Timers();

  CallerExecutor* const executor;
  const std::thread::id owner;

  QueueLock timers_lock;
  // Made by the first timer, and then the same.
  std::unique_ptr<TimerQueue> timers ABSL_GUARDED_BY(timers_lock);

  // Isolated: who cancels the oneTBB tasks that the owner is in must not cancel
  // helpers.
  tbb::task_group_context context{tbb::task_group_context::isolated};
  tbb::task_group group{context};

  // Whether the owner is in WaitForHelpers(). Used on the owner only.
  bool waits = false;
};

CallerExecutor::Rep::~Rep() {
  TimerQueue* queue = nullptr;
  {
    QueueLockHolder lock(&timers_lock);
    queue = timers.get();
  }
  if (queue != nullptr) queue->Stop();
  Close();
  WaitForHelpers();
}

TimerQueue& CallerExecutor::Rep::Timers() {
  QueueLockHolder lock(&timers_lock);
  if (timers == nullptr) {
    timers = std::make_unique<TimerQueue>(
        [this](Job job) { executor->Post(std::move(job)); });
  }
  return *timers;
}

void CallerExecutor::Rep::StartHelper() {
  // A node on the owner's thread may wait for oneTBB tasks of its own, and meet
  // its siblings' helper meanwhile, which then ends.
  group.run([this] { Help(!InJob() && (!OnOwner() || waits)); });
}

// Runs the helpers that no worker has begun, and waits for the others.
void CallerExecutor::Rep::WaitForHelpers() {
  waits = true;
  group.wait();
  waits = false;
}

void CallerExecutor::Rep::Retire() {
  do {
    RunJobs(/*done=*/nullptr);
    WaitForHelpers();
  } while (!Idle());
}

CallerExecutor::Rep& CallerExecutor::rep() {
  Rep* rep = rep_.load(std::memory_order_acquire);
  if (rep != nullptr) return *rep;
  auto made = std::make_unique<Rep>(this);
  if (rep_.compare_exchange_strong(rep, made.get(), std::memory_order_acq_rel,
                                   std::memory_order_acquire)) {
    rep = made.release();
  }
  return *rep;
}

void CallerExecutor::Destroy(Rep* rep) { delete rep; }

void CallerExecutor::Retire(Rep* rep) { rep->Retire(); }

void CallerExecutor::Post(Job job) {
  Rep& r = rep();
  r.Post(std::move(job), /*may_help=*/r.Inside());
}

Executor::TimerId CallerExecutor::PostAfter(absl::Duration delay, Job job) {
  return rep().Timers().Add(delay, std::move(job));
}

Executor::TimerId CallerExecutor::CallAfter(absl::Duration delay, Job job) {
  return rep().Timers().Add(delay, std::move(job), TimerQueue::kHere);
}

bool CallerExecutor::Cancel(TimerId timer) {
  Rep* const rep = rep_.load(std::memory_order_acquire);
  return rep != nullptr && rep->Timers().Cancel(timer);
}

absl::Time CallerExecutor::Now() const { return SteadyNow(); }

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
  if (r.Inside()) {
    r.RunUntil(done);
  } else {
    done.WaitForNotification();
  }
  return true;
}

}  // namespace internal

namespace {

// ThreadWish: asks oneTBB for enough threads while it lives. oneTBB obeys the
// smallest of all limits in force, so all wishes of the process share one, of
// the largest of them.
//
// Threads: thread-safe.
class ThreadWish {
 public:
  explicit ThreadWish(size_t threads) : threads_(threads) {
    Wishes& wishes = Of();
    absl::MutexLock lock(&wishes.mutex);
    if (wishes.threads.empty() &&
        tbb::global_control::active_value(kLimit) <
            static_cast<size_t>(tbb::info::default_concurrency())) {
      threads_ = 0;  // A limit that the host has set stays.
      return;
    }
    wishes.threads.insert(threads_);
    wishes.Apply();
  }
  ~ThreadWish() {
    if (threads_ == 0) return;
    Wishes& wishes = Of();
    absl::MutexLock lock(&wishes.mutex);
    wishes.threads.erase(wishes.threads.find(threads_));
    wishes.Apply();
  }
  ThreadWish(const ThreadWish&) = delete;
  ThreadWish& operator=(const ThreadWish&) = delete;

 private:
  static constexpr auto kLimit = tbb::global_control::max_allowed_parallelism;

  struct Wishes {
    void Apply() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      control.reset();
      if (threads.empty()) return;
      const size_t wanted = *threads.rbegin();
      if (wanted > tbb::global_control::active_value(kLimit)) {
        control.emplace(kLimit, wanted);
      }
    }
    absl::Mutex mutex;
    std::multiset<size_t> threads ABSL_GUARDED_BY(mutex);
    std::optional<tbb::global_control> control ABSL_GUARDED_BY(mutex);
  };
  // Never destroyed: executors may live as long as the process.
  static Wishes& Of() {
    static Wishes& wishes = *new Wishes;
    return wishes;
  }

  size_t threads_;  // 0: none is asked for.
};

}  // namespace

struct TbbExecutor::Rep {
  // oneTBB has a worker less than cores, counting on the caller, who may be
  // asleep in RunUntil(); and a caller may ask for more workers than cores.
  explicit Rep(int workers)
      : threads(static_cast<size_t>(std::min(workers, 255)) + 1),
        crew(workers),
        timers([this](Job job) {
          crew.Post(std::move(job), /*may_help=*/true);
        }) {}

  const ThreadWish threads;
  internal::ArenaCrew crew;
  internal::TimerQueue timers;
};

TbbExecutor::TbbExecutor(int workers)
    : rep_(std::make_unique<Rep>(
          workers > 0 ? workers
                      : std::max(1, tbb::info::default_concurrency()))) {}

TbbExecutor::~TbbExecutor() {
  rep_->timers.Stop();
  rep_->crew.Close();
}

void TbbExecutor::Post(Job job) {
  rep_->crew.Post(std::move(job), /*may_help=*/true);
}

Executor::TimerId TbbExecutor::PostAfter(absl::Duration delay, Job job) {
  return rep_->timers.Add(delay, std::move(job));
}

Executor::TimerId TbbExecutor::CallAfter(absl::Duration delay, Job job) {
  return rep_->timers.Add(delay, std::move(job), internal::TimerQueue::kHere);
}

bool TbbExecutor::Cancel(TimerId timer) { return rep_->timers.Cancel(timer); }

absl::Time TbbExecutor::Now() const { return internal::SteadyNow(); }

int TbbExecutor::workers() const { return rep_->crew.limit(); }

bool TbbExecutor::RunUntil(const absl::Notification& done) {
  if (done.HasBeenNotified()) return true;
  internal::Crew& crew = rep_->crew;
  // A worker of oneTBB must not sleep on `done`, as it might be the last one.
  if (internal::Crew::InAnyJob() ||
      tbb::this_task_arena::current_thread_index() > 0) {
    crew.RunUntil(done);
    return true;
  }
  // Any other thread just waits: a job may last, and `done` not wait for it.
  crew.Spin(done);
  done.WaitForNotification();
  return true;
}

}  // namespace v0
}  // namespace weir
