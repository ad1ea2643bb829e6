// Producers, readers that come and go, droppers and closers meet at random
// moments, on segments of a few slots, with delays at the races.
//
// Allowed:
// - A publish that overlaps a join is before or after it; so is one that
//   overlaps a close, and is then logged or not.
// - A publish that nobody wanted when it began is logged or not, if somebody
//   came, or left, while it ran.
// - A reader that leaves early saw the beginning of what it was due.
// - A reader with OnLag::kFail ends with DataLoss, and one with OnLag::kSkip
//   misses events, that were below what a window or a drop may have taken by
//   then.
//
// Forbidden:
// - Ids with a hole, a duplicate, or below first_id.
// - An id that two readers, or a reader and its producer, connect with
//   different events.
// - A publish that returned before another began and has the higher id.
// - A reader that misses an event, gets one twice, out of order, of a mode it
//   did not ask for, or from before its place; one that is told of more or
//   fewer missed events than it did not get.
// - A live join that began after a publish returned and sees it, or that
//   returned before a publish began and does not.
// - A replay refused though its id was published before and could not be
//   dropped, or granted though its id was not published until after, or dropped
//   before.
// - A publish dropped though it was recorded or wanted all the time and the log
//   was open; one logged that began after a close returned.
// - Two closers that win; an end with another status, or before the last event.
// - A waiter woken twice, after it was taken back, or never; a publisher left
//   waiting for room (the test hangs).
// - An event or a segment that is alive after the log and its cursors are gone.

#include "weir/stream/event_log.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <latch>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "weir/stream/cursor.h"
#include "weir/stream/internal/parking.h"
#include "weir/stream/internal/policy.h"
#include "weir/stream/reclaimer.h"
#include "weir/stream/segment_pool.h"
#include "weir/stream/wait.h"

namespace weir {
namespace {

constexpr int kModes = 4;
constexpr uint32_t kCloser = 1000;
constexpr int kRaces = static_cast<int>(internal::Race::kClosing) + 1;

// No synchronisation of their own, so that they hide no race from
// ThreadSanitizer; the steady clock is one for all cores.
using Stamp = std::chrono::steady_clock::time_point;
Stamp Now() { return std::chrono::steady_clock::now(); }

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(engine_() % n); }
  bool OneIn(uint32_t n) { return Below(n) == 0; }
  void Dawdle(uint32_t most) {
    for (uint32_t i = Below(most); i > 0; --i) std::this_thread::yield();
  }

 private:
  std::mt19937_64 engine_;
};

// Delays at the races: long ones at one race a round, short ones at others.
std::atomic<int> slow_race{0};  // Relaxed: set while no worker runs.
thread_local std::minstd_rand chaos;

void Chaos(internal::Race race) {
  const auto dice = static_cast<uint32_t>(chaos());
  const bool slow =
      static_cast<int>(race) == slow_race.load(std::memory_order_relaxed);
  if (dice % 256 == 0 || (slow && dice % 16 == 0)) {
    std::this_thread::sleep_for(std::chrono::microseconds(dice / 256 % 100));
  } else if (dice % (slow ? 4 : 32) == 1) {
    std::this_thread::yield();
  }
}

template <uint32_t kFirst, uint32_t kOther, typename Sleep>
struct ChaosPolicy {
  static constexpr uint32_t kFirstSlots = kFirst;
  static constexpr uint32_t kSlots = kOther;
  using Parking = Sleep;
  static void At(internal::Race race) { Chaos(race); }
};

std::atomic<int64_t> live_events{0};  // Relaxed: read when all workers joined.

struct Event {
  Event(uint32_t from, uint32_t number) : producer(from), index(number) {
    live_events.fetch_add(1, std::memory_order_relaxed);
  }
  Event(Event&& other) noexcept : Event(other.producer, other.index) {}
  ~Event() { live_events.fetch_sub(1, std::memory_order_relaxed); }

  uint32_t producer;
  uint32_t index;
};

// What happened, from the view of one worker.
struct Published {
  std::optional<uint64_t> id;
  uint32_t producer;
  uint32_t index;
  uint32_t mode;
  Stamp begin;
  Stamp end;
};

struct Seen {
  uint64_t id;
  uint32_t producer;
  uint32_t index;
  uint64_t missed;
};

struct Visit {
  CursorOptions options;
  Stamp begin;
  Stamp end;
  absl::Status refused;
  int64_t start = 0;
  std::vector<Seen> seen;
  Stamp last_read;  // When its last call began.
  Stamp leave;
  bool ended = false;
  absl::Status status;
  uint64_t missed = 0;
};

struct Closing {
  bool won = false;
  absl::Status status;
  Stamp begin;
  Stamp end;
};

struct Drop {
  uint64_t id;
  uint64_t next_id;  // Before.
  Stamp begin;
  Stamp end;
};

// Runs jobs on a worker of its own; some it destroys instead.
class Worker final : public Reclaimer {
 public:
  explicit Worker(uint64_t seed) : random_(seed), thread_([this] { Run(); }) {}
  ~Worker() {
    Post(nullptr);
    thread_.join();
  }

  void Post(absl::AnyInvocable<void() &&> job) {
    const absl::MutexLock lock(&mutex_);
    jobs_.push_back(std::move(job));
  }
  void Reclaim(absl::AnyInvocable<void() &&> job) noexcept override {
    Post(std::move(job));
  }

 private:
  bool HasJob() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !jobs_.empty();
  }

  void Run() {
    while (true) {
      mutex_.LockWhen(absl::Condition(this, &Worker::HasJob));
      absl::AnyInvocable<void()&&> job = std::move(jobs_.front());
      jobs_.pop_front();
      mutex_.Unlock();
      if (job == nullptr) return;
      if (!random_.OneIn(8)) std::move(job)();
    }
  }

  Random random_;
  absl::Mutex mutex_;
  std::deque<absl::AnyInvocable<void() &&>> jobs_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

class StressWaiter final : public Waiter {
 public:
  // `worker` may be null.
  explicit StressWaiter(Worker* worker) : Waiter(worker), worker_(worker) {}

  void Wake() noexcept override {
    wakes.fetch_add(1, std::memory_order_relaxed);
    woken.Notify();
  }
  void WakeWith(WakeChain rest) noexcept override {
    worker_->Post(Job{this, std::move(rest)});
  }

  std::atomic<int> wakes{0};  // Relaxed: read when all workers joined.
  int expected_wakes = 1;
  absl::Notification woken;

 private:
  // As an executor's job that may be destroyed without being run.
  struct Job {
    Job(StressWaiter* of, WakeChain chain)
        : waiter(of), rest(std::move(chain)) {}
    Job(Job&& other) noexcept
        : waiter(std::exchange(other.waiter, nullptr)),
          rest(std::move(other.rest)) {}
    ~Job() {
      if (waiter != nullptr) waiter->Wake();
    }
    void operator()() { std::move(rest).WakeNext(); }

    StressWaiter* waiter;
    WakeChain rest;
  };

  Worker* const worker_;
};

template <typename Policy>
class Round {
 public:
  Round(uint64_t seed, SegmentPool* pool)
      : random_(seed),
        worker_(std::in_place, Seed()),
        options_(SomeOptions(pool)),
        log_(std::in_place, options_),
        producers_(1 + random_.Below(3)),
        readers_(1 + random_.Below(4)),
        closings_(1 + random_.Below(2)),
        drops_(random_.OneIn(2) ? 1 : 0) {
    slow_race.store(static_cast<int>(random_.Below(kRaces)),
                    std::memory_order_relaxed);
  }

  void Run() {
    const bool close_early = random_.OneIn(2);
    std::latch start(static_cast<ptrdiff_t>(producers_.size() +
                                            readers_.size() + drops_.size() +
                                            closings_.size()));
    std::latch produced(static_cast<ptrdiff_t>(producers_.size()));
    std::vector<std::jthread> workers;
    const auto spawn = [this, &workers, &start](auto body) {
      workers.emplace_back([seed = Seed(), &start, body] {
        chaos.seed(static_cast<uint32_t>(seed));
        start.arrive_and_wait();
        body(Random(seed));
      });
    };
    for (uint32_t i = 0; i < producers_.size(); ++i) {
      spawn([this, i, &produced](Random random) {
        Produce(i, random);
        produced.count_down();
      });
    }
    for (Reader& reader : readers_) {
      spawn([this, &reader](Random random) { Read(reader, random); });
    }
    for (std::vector<Drop>& drops : drops_) {
      spawn([this, &drops, &produced](Random random) {
        while (!produced.try_wait()) DropSome(drops, random);
      });
    }
    for (uint32_t i = 0; i < closings_.size(); ++i) {
      spawn([this, i, close_early, &produced](Random random) {
        close_early ? random.Dawdle(200) : produced.wait();
        Close(i);
      });
    }
    workers.clear();
    next_id_ = log_->next_id();
    log_.reset();
    worker_.reset();
    Check();
  }

 private:
  struct Reader {
    std::vector<Visit> visits;
    std::vector<std::unique_ptr<StressWaiter>> waiters;
  };

  uint64_t Seed() {
    return uint64_t{random_.Below(std::numeric_limits<uint32_t>::max())};
  }

  EventLogOptions SomeOptions(SegmentPool* pool) {
    constexpr std::array<uint64_t, 3> kFirstIds = {0, 5, uint64_t{1} << 40};
    constexpr std::array<uint64_t, 6> kWindows = {0, 0, 1, 3, 20, 100};
    EventLogOptions options;
    options.first_id = kFirstIds[random_.Below(kFirstIds.size())];
    options.resumable = random_.OneIn(2);
    if (random_.OneIn(2)) options.recorded_modes = 5;
    options.window = kWindows[random_.Below(kWindows.size())];
    if (random_.OneIn(2)) options.spins = random_.Below(3) * 20;
    if (random_.OneIn(2)) options.pool = pool;
    if (random_.OneIn(3)) options.reclaimer = &*worker_;
    return options;
  }

  // Whether the log may let go of what a reader has not read.
  bool lossy() const { return options_.resumable || options_.window != 0; }

  void Produce(uint32_t producer, Random& random) {
    std::vector<Published>& out = producers_[producer];
    const bool polite = random.OneIn(2);
    for (uint32_t index = 0; index < 200;) {
      if (polite) WaitForSpace(random);
      const uint32_t mode = 1u << random.Below(kModes);
      const uint32_t events = random.OneIn(4) ? 1 + random.Below(kMaxBatch) : 1;
      std::optional<uint64_t> id;
      const Stamp begin = Now();
      if (events > 1) {
        std::vector<BatchEvent<Event>> batch;
        for (uint32_t i = 0; i < events; ++i) {
          batch.push_back({mode, Event(producer, index + i)});
        }
        id = log_->PublishBatch(batch);
      } else if (random.OneIn(2)) {
        id = log_->Publish(mode, Event(producer, index));
      } else {
        id = log_->Publish(mode, [&] { return Event(producer, index); });
      }
      const Stamp end = Now();
      for (uint32_t i = 0; i < events; ++i, ++index) {
        out.push_back({id, producer, index, mode, begin, end});
        if (id.has_value()) ++*id;
      }
      if (random.OneIn(4)) random.Dawdle(8);
    }
  }

  void WaitForSpace(Random& random) {
    if (!log_->congested()) return;
    StressWaiter waiter(nullptr);
    if (!log_->ArmSpace(&waiter)) return;
    if (random.OneIn(8) && log_->DisarmSpace(&waiter)) return;
    waiter.woken.WaitForNotification();
    EXPECT_FALSE(log_->DisarmSpace(&waiter));
  }

  void DropSome(std::vector<Drop>& drops, Random& random) {
    random.Dawdle(60);
    Drop& drop = drops.emplace_back();
    drop.begin = Now();
    drop.next_id = log_->next_id();
    drop.id = drop.next_id - std::min<uint64_t>(drop.next_id, random.Below(50));
    if (random.OneIn(8)) drop.id += 100;
    log_->DropBefore(drop.id);
    drop.end = Now();
  }

  void Close(uint32_t closer) {
    Closing& closing = closings_[closer];
    closing.status =
        closer == 0 ? absl::OkStatus() : absl::AbortedError("closer 1");
    closing.begin = Now();
    closing.won = log_->Close(closing.status, Event(kCloser, closer));
    closing.end = Now();
  }

  void Read(Reader& reader, Random& random) {
    while (reader.visits.empty() || !random.OneIn(4)) {
      random.Dawdle(60);
      Visit& visit = reader.visits.emplace_back();
      visit.options = SomeVisit(random);
      visit.begin = Now();
      absl::StatusOr<Cursor<Event, Policy>> cursor =
          log_->Attach(visit.options);
      visit.end = Now();
      visit.refused = cursor.status();
      if (!cursor.ok()) continue;
      visit.start = cursor->last_id();
      ReadFrom(*std::move(cursor), visit, reader, random);
    }
  }

  CursorOptions SomeVisit(Random& random) const {
    CursorOptions options;
    if (!random.OneIn(3)) options.mask = random.Below(1 << kModes);
    options.on_lag =
        std::array{OnLag::kFail, OnLag::kSkip, OnLag::kKeep}[random.Below(3)];
    if (random.OneIn(4)) options.backpressure = 1 + random.Below(30);
    if (options_.resumable && !random.OneIn(3)) {
      const uint64_t id = options_.first_id + random.Below(200);
      options.after = random.OneIn(3) ? -1 : static_cast<int64_t>(id) - 1;
    }
    return options;
  }

  void ReadFrom(Cursor<Event, Policy> cursor, Visit& visit, Reader& reader,
                Random& random) {
    const uint32_t patience = random.OneIn(2) ? 1000000 : 100;
    const uint32_t haste = random.OneIn(2) ? 5 : 50;
    visit.last_read = visit.end;
    while (!cursor.ended() && !random.OneIn(patience)) {
      visit.last_read = Now();
      if (auto entry = ReadOne(cursor, reader, random)) {
        visit.seen.push_back(
            {entry.id(), entry->producer, entry->index, entry.missed()});
        EXPECT_EQ(cursor.last_id(), static_cast<int64_t>(entry.id()));
      }
      if (random.OneIn(50)) {
        Cursor<Event, Policy> moved = std::move(cursor);
        cursor = std::move(moved);
      }
      if (random.OneIn(haste)) random.Dawdle(40);
    }
    visit.ended = cursor.ended();
    visit.status = cursor.status();
    visit.missed = cursor.missed();
    visit.leave = Now();
  }

  auto ReadOne(Cursor<Event, Policy>& cursor, Reader& reader, Random& random) {
    switch (random.Below(4)) {
      case 0:
        return cursor.Next();
      case 1:
        return cursor.NextFor(absl::Microseconds(random.Below(100)));
      case 2:
        WaitArmed(cursor, reader, random);
        [[fallthrough]];
      default:
        return cursor.TryNext();
    }
  }

  void WaitArmed(Cursor<Event, Policy>& cursor, Reader& reader,
                 Random& random) {
    reader.waiters.push_back(
        std::make_unique<StressWaiter>(random.OneIn(2) ? &*worker_ : nullptr));
    StressWaiter& waiter = *reader.waiters.back();
    if (!cursor.Arm(&waiter)) {
      waiter.expected_wakes = 0;
    } else if (random.OneIn(4)) {
      random.Dawdle(5);
      if (cursor.Disarm()) waiter.expected_wakes = 0;
    } else {
      waiter.woken.WaitForNotification();
    }
  }

  // All workers joined.
  void Check() {
    EXPECT_EQ(live_events.load(std::memory_order_relaxed), 0);
    if (options_.pool != nullptr) {
      EXPECT_EQ(options_.pool->in_use(), 0u);
    }
    for (const Closing& closing : closings_) {
      if (!closing.won) continue;
      EXPECT_EQ(winner_, nullptr);
      winner_ = &closing;
    }
    ASSERT_NE(winner_, nullptr);
    CheckIds();
    for (const Reader& reader : readers_) {
      for (const auto& waiter : reader.waiters) {
        EXPECT_EQ(waiter->wakes.load(std::memory_order_relaxed),
                  waiter->expected_wakes);
      }
      for (const Visit& visit : reader.visits) {
        if (visit.refused.ok()) CheckVisit(visit);
        CheckJoin(visit);
      }
    }
    for (const auto& producer : producers_) {
      for (const Published& event : producer) {
        if (!event.id.has_value()) CheckDropped(event);
      }
    }
  }

  void CheckIds() {
    for (const auto& producer : producers_) {
      for (const Published& event : producer) {
        if (!event.id.has_value()) continue;
        EXPECT_TRUE(logged_.emplace(*event.id, &event).second)
            << "id " << *event.id << " twice";
        EXPECT_LE(event.begin, winner_->end);
      }
    }
    last_id_ = options_.first_id + logged_.size();
    EXPECT_GE(next_id_, last_id_);
    EXPECT_LE(next_id_, last_id_ + 1);
    if (logged_.empty()) return;
    EXPECT_EQ(logged_.begin()->first, options_.first_id);
    EXPECT_EQ(logged_.rbegin()->first, last_id_ - 1);
    Stamp earliest_end = Stamp::max();  // Of all with a higher id.
    for (auto i = logged_.rbegin(); i != logged_.rend(); ++i) {
      EXPECT_LE(i->second->begin, earliest_end) << "id " << i->first;
      earliest_end = std::min(earliest_end, i->second->end);
    }
  }

  // What the visit's mask lets pass from its start on.
  std::vector<Seen> Due(const Visit& visit) const {
    std::vector<Seen> due;
    const auto first = static_cast<uint64_t>(visit.start + 1);
    for (auto i = logged_.lower_bound(first); i != logged_.end(); ++i) {
      if ((i->second->mode & visit.options.mask) == 0) continue;
      due.push_back({i->first, i->second->producer, i->second->index, 0});
    }
    if (visit.options.mask != 0 && first <= last_id_ && last_id_ < next_id_) {
      due.push_back({last_id_, kCloser,
                     static_cast<uint32_t>(winner_ - closings_.data()), 0});
    }
    return due;
  }

  void CheckVisit(const Visit& visit) const {
    const std::vector<Seen> due = Due(visit);
    auto next = due.begin();
    int64_t last = visit.start;
    uint64_t missed = 0;
    for (const Seen& seen : visit.seen) {
      const auto skipped = next;
      while (next != due.end() && next->id < seen.id) ++next;
      ASSERT_NE(next, due.end());
      EXPECT_EQ(seen.id, next->id);
      EXPECT_EQ(seen.producer, next->producer);
      EXPECT_EQ(seen.index, next->index);
      const uint64_t between = seen.id - static_cast<uint64_t>(last + 1);
      EXPECT_LE(static_cast<uint64_t>(next - skipped), seen.missed);
      EXPECT_LE(seen.missed, between);
      if (visit.options.mask == kAllModes) {
        EXPECT_EQ(seen.missed, between);
      }
      if (seen.missed != 0) {
        EXPECT_LT(static_cast<uint64_t>(last) + seen.missed,
                  MostDropped(visit.leave));
      }
      missed += seen.missed;
      last = static_cast<int64_t>(seen.id);
      ++next;
    }
    if (visit.missed != 0) {
      EXPECT_EQ(visit.options.on_lag, OnLag::kSkip);
      EXPECT_TRUE(lossy());
    }
    const bool overtaken = absl::IsDataLoss(visit.status);
    if (overtaken) {
      CheckOvertaken(visit, last, next == due.end() ? last_id_ + 1 : next->id);
    } else if (visit.ended) {
      EXPECT_EQ(visit.status, winner_->status);
      EXPECT_LE(static_cast<uint64_t>(due.end() - next), visit.missed - missed);
    }
  }

  // `last` is the last id it saw, `next` the next that it was due.
  void CheckOvertaken(const Visit& visit, int64_t last, uint64_t next) const {
    EXPECT_EQ(visit.options.on_lag, OnLag::kFail);
    EXPECT_TRUE(lossy());
    long long named_last = 0;
    unsigned long long first = 0;
    unsigned long long oldest = 0;
    unsigned long long missed = 0;
    ASSERT_EQ(std::sscanf(std::string(visit.status.message()).c_str(),
                          "reader overtaken: after id %lld the first missing "
                          "id is %llu, the oldest kept is %llu, so %llu",
                          &named_last, &first, &oldest, &missed),
              4)
        << visit.status;
    EXPECT_EQ(named_last, last);
    EXPECT_GT(static_cast<int64_t>(first), last);
    EXPECT_LE(first, next);
    EXPECT_EQ(missed, oldest - first);
    EXPECT_GT(missed, 0u);
    EXPECT_LE(oldest, MostDropped(visit.leave));
  }

  // No id from here on was dropped before `when`.
  uint64_t MostDropped(Stamp when) const {
    uint64_t begun = options_.first_id + (winner_->begin <= when ? 1 : 0);
    for (const auto& [id, event] : logged_) {
      if (event->begin <= when) begun = std::max(begun, id + 2);
    }
    uint64_t dropped = options_.first_id;
    if (options_.window != 0 && begun > options_.window) {
      dropped = std::max(dropped, begun - options_.window);
    }
    for (const std::vector<Drop>& drops : drops_) {
      for (const Drop& drop : drops) {
        if (drop.begin <= when) {
          dropped = std::max(dropped, std::min(drop.id, begun));
        }
      }
    }
    return dropped;
  }

  // All before this was dropped before `when`.
  uint64_t LeastDropped(Stamp when) const {
    uint64_t dropped = options_.first_id;
    for (const std::vector<Drop>& drops : drops_) {
      for (const Drop& drop : drops) {
        if (drop.end < when) {
          dropped = std::max(dropped, std::min(drop.id, drop.next_id));
        }
      }
    }
    return dropped;
  }

  void CheckJoin(const Visit& visit) const {
    if (visit.options.after.has_value()) return CheckReplay(visit);
    EXPECT_TRUE(visit.refused.ok()) << visit.refused;
    for (const auto& [id, event] : logged_) {
      if (static_cast<int64_t>(id) > visit.start) {
        EXPECT_LE(visit.begin, event->end) << "id " << id;
      } else {
        EXPECT_LE(event->begin, visit.end) << "id " << id;
      }
    }
  }

  void CheckReplay(const Visit& visit) const {
    const auto before_all = static_cast<int64_t>(options_.first_id) - 1;
    const int64_t after =
        *visit.options.after == -1 ? before_all : *visit.options.after;
    // When the event `after` was published: never, always, or in a publish.
    Stamp begin = Stamp::max();
    Stamp end = Stamp::max();
    if (after == before_all) {
      begin = end = Stamp::min();
    } else if (const auto i = logged_.find(static_cast<uint64_t>(after));
               i != logged_.end()) {
      begin = i->second->begin;
      end = i->second->end;
    } else if (static_cast<uint64_t>(after) == last_id_) {
      begin = winner_->begin;
      end = winner_->end;
    }
    const auto place = static_cast<uint64_t>(after + 1);
    if (visit.refused.ok()) {
      EXPECT_EQ(visit.start, after);
      EXPECT_LE(begin, visit.end);
      EXPECT_GE(place, LeastDropped(visit.begin));
    } else {
      EXPECT_EQ(visit.refused.code(), absl::StatusCode::kOutOfRange);
      EXPECT_TRUE(visit.begin <= end || place < MostDropped(visit.end));
    }
  }

  void CheckDropped(const Published& event) const {
    if (winner_->begin <= event.end) return;
    if (options_.resumable) {
      EXPECT_EQ(options_.recorded_modes & event.mode, 0u);
    }
    for (const Reader& reader : readers_) {
      for (const Visit& visit : reader.visits) {
        EXPECT_FALSE(visit.refused.ok() &&
                     (visit.options.mask & event.mode) != 0 &&
                     visit.end < event.begin && event.end < visit.last_read);
      }
    }
  }

  static constexpr uint32_t kMaxBatch = std::min(9u, Policy::kSlots / 2);

  Random random_;
  std::optional<Worker> worker_;
  const EventLogOptions options_;
  std::optional<EventLog<Event, Policy>> log_;

  // Each worker writes its own, and Check() reads them all.
  std::vector<std::vector<Published>> producers_;
  std::vector<Reader> readers_;
  std::vector<Closing> closings_;
  std::vector<std::vector<Drop>> drops_;

  const Closing* winner_ = nullptr;
  std::map<uint64_t, const Published*> logged_;  // Without the last event.
  uint64_t last_id_ = 0;  // The last event's, if it was logged.
  uint64_t next_id_ = 0;
};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other worker runs yet.
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

template <typename Policy>
class EventLogStressTest : public testing::Test {};

using Policies = testing::Types<ChaosPolicy<4, 4, internal::Parking>,
                                ChaosPolicy<2, 8, internal::TableParking>,
                                ChaosPolicy<64, 1024, internal::Parking>>;
TYPED_TEST_SUITE(EventLogStressTest, Policies);

TYPED_TEST(EventLogStressTest, ReadersGetExactlyWhatTheyAreDue) {
  const uint64_t seed =
      FromEnvironment("WEIR_STRESS_SEED", std::random_device{}());
  const uint64_t rounds = FromEnvironment("WEIR_STRESS_ROUNDS", 300);
  const auto seconds =
      std::chrono::seconds(FromEnvironment("WEIR_STRESS_SECONDS", 12));
  std::printf("WEIR_STRESS_SEED=%llu\n", static_cast<unsigned long long>(seed));
  SegmentPool pool;
  const Stamp begin = Now();
  for (uint64_t i = 0;
       i < rounds && Now() - begin < seconds && !testing::Test::HasFailure();
       ++i) {
    SCOPED_TRACE("round seed " + std::to_string(seed + i));
    Round<TypeParam>(seed + i, &pool).Run();
  }
}

}  // namespace
}  // namespace weir
