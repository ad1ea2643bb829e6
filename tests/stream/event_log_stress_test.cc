// Producers, readers that come and go, and closers meet at random moments.
//
// Allowed:
// - A publish that overlaps a join is before or after it; so is one that
//   overlaps a close, and is then logged or not.
// - A publish that nobody wanted when it began is logged or not, if somebody
//   came, or left, while it ran.
// - A reader that leaves early saw the beginning of what it was due.
//
// Forbidden:
// - Ids with a hole, a duplicate, or below first_id.
// - An id that two readers, or a reader and its producer, connect with
//   different events.
// - A publish that returned before another began and has the higher id.
// - A reader that misses an event, gets one twice, out of order, of a mode it
//   did not ask for, or from before its place.
// - A live join that began after a publish returned and sees it, or that
//   returned before a publish began and does not.
// - A replay refused though its id was published before, or granted though its
//   id was not published until after.
// - A publish dropped though it was recorded or wanted all the time and the log
//   was open; one logged that began after a close returned.
// - Two closers that win; an end with another status, or before the last event.
// - A waiter woken twice, after it was taken back, or never (the test hangs).
// - An event that is alive after the log and its cursors are gone.

#include "weir/stream/event_log.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
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

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "weir/stream/cursor.h"
#include "weir/stream/wait.h"

namespace weir {
namespace {

constexpr int kModes = 4;
constexpr uint32_t kMaxBatch = 9;
constexpr uint32_t kCloser = 1000;

// No synchronisation of their own, so that they hide no race from
// ThreadSanitizer; the steady clock is one for all cores.
using Stamp = std::chrono::steady_clock::time_point;
Stamp Now() { return std::chrono::steady_clock::now(); }

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
};

struct Visit {
  uint32_t mask = 0;
  std::optional<int64_t> after;
  Stamp begin;
  Stamp end;
  absl::Status refused;
  int64_t start = 0;
  std::vector<Seen> seen;
  Stamp leave;
  bool ended = false;
  absl::Status status;
};

struct Closing {
  bool won = false;
  absl::Status status;
  Stamp begin;
  Stamp end;
};

class StressWaiter final : public Waiter {
 public:
  void Wake() noexcept override {
    wakes.fetch_add(1, std::memory_order_relaxed);
    woken.Notify();
  }
  std::atomic<int> wakes{0};  // Relaxed: read when all workers joined.
  int expected_wakes = 1;
  absl::Notification woken;
};

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

class Round {
 public:
  explicit Round(uint64_t seed)
      : random_(seed),
        options_{.first_id =
                     std::array<uint64_t, 3>{
                         0, 5, uint64_t{1} << 40}[random_.Below(3)],
                 .resumable = random_.OneIn(2),
                 .recorded_modes = random_.OneIn(2) ? kAllModes : 5},
        log_(std::in_place, options_),
        producers_(1 + random_.Below(3)),
        readers_(1 + random_.Below(4)),
        closings_(1 + random_.Below(2)) {}

  void Run() {
    const bool close_early = random_.OneIn(2);
    std::latch start(static_cast<ptrdiff_t>(
        producers_.size() + readers_.size() + closings_.size()));
    std::latch produced(static_cast<ptrdiff_t>(producers_.size()));
    std::vector<std::jthread> workers;
    for (uint32_t i = 0; i < producers_.size(); ++i) {
      workers.emplace_back([this, i, seed = Seed(), &start, &produced] {
        start.arrive_and_wait();
        Produce(i, Random(seed));
        produced.count_down();
      });
    }
    for (Reader& reader : readers_) {
      workers.emplace_back([this, &reader, seed = Seed(), &start] {
        start.arrive_and_wait();
        Read(reader, Random(seed));
      });
    }
    for (size_t i = 0; i < closings_.size(); ++i) {
      workers.emplace_back(
          [this, i, close_early, seed = Seed(), &start, &produced] {
            start.arrive_and_wait();
            Random random(seed);
            if (close_early) {
              random.Dawdle(200);
            } else {
              produced.wait();
            }
            Close(static_cast<uint32_t>(i));
          });
    }
    workers.clear();
    log_.reset();
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

  void Produce(uint32_t producer, Random random) {
    std::vector<Published>& out = producers_[producer];
    for (uint32_t index = 0; index < 200;) {
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

  void Close(uint32_t closer) {
    Closing& closing = closings_[closer];
    closing.status =
        closer == 0 ? absl::OkStatus() : absl::AbortedError("closer 1");
    closing.begin = Now();
    closing.won = log_->Close(closing.status, Event(kCloser, closer));
    closing.end = Now();
  }

  void Read(Reader& reader, Random random) {
    while (reader.visits.empty() || !random.OneIn(4)) {
      random.Dawdle(60);
      Visit& visit = reader.visits.emplace_back();
      visit.mask = random.OneIn(3) ? kAllModes : random.Below(1 << kModes);
      if (options_.resumable && !random.OneIn(3)) {
        visit.after =
            random.OneIn(3)
                ? -1
                : static_cast<int64_t>(options_.first_id + random.Below(200)) -
                      1;
      }
      visit.begin = Now();
      absl::StatusOr<Cursor<Event>> cursor =
          log_->Attach({.mask = visit.mask, .after = visit.after});
      visit.end = Now();
      visit.refused = cursor.status();
      if (!cursor.ok()) continue;
      visit.start = cursor->last_id();
      ReadFrom(*std::move(cursor), visit, reader, random);
    }
  }

  void ReadFrom(Cursor<Event> cursor, Visit& visit, Reader& reader,
                Random& random) {
    const uint32_t patience = random.OneIn(2) ? 1000000 : 100;
    while (!cursor.ended() && !random.OneIn(patience)) {
      if (auto entry = ReadOne(cursor, reader, random)) {
        visit.seen.push_back({entry.id(), entry->producer, entry->index});
        EXPECT_EQ(cursor.last_id(), static_cast<int64_t>(entry.id()));
      }
      if (random.OneIn(50)) {
        Cursor<Event> moved = std::move(cursor);
        cursor = std::move(moved);
      }
      if (random.OneIn(20)) random.Dawdle(20);
    }
    visit.ended = cursor.ended();
    visit.status = cursor.status();
    visit.leave = Now();
  }

  static Cursor<Event>::Entry ReadOne(Cursor<Event>& cursor, Reader& reader,
                                      Random& random) {
    switch (random.Below(4)) {
      case 0:
        return cursor.Next();
      case 1:
        return cursor.NextFor(absl::Microseconds(random.Below(100)));
      case 2: {
        reader.waiters.push_back(std::make_unique<StressWaiter>());
        StressWaiter& waiter = *reader.waiters.back();
        if (!cursor.Arm(&waiter)) {
          waiter.expected_wakes = 0;
        } else if (random.OneIn(4)) {
          random.Dawdle(5);
          if (cursor.Disarm()) waiter.expected_wakes = 0;
        } else {
          waiter.woken.WaitForNotification();
        }
        [[fallthrough]];
      }
      default:
        return cursor.TryNext();
    }
  }

  // All workers joined.
  void Check() {
    EXPECT_EQ(live_events.load(std::memory_order_relaxed), 0);
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
    if (logged_.empty()) return;
    EXPECT_EQ(logged_.begin()->first, options_.first_id);
    EXPECT_EQ(logged_.rbegin()->first, last_id_ - 1);
    Stamp earliest_end = Stamp::max();  // Of all with a higher id.
    for (auto i = logged_.rbegin(); i != logged_.rend(); ++i) {
      EXPECT_LE(i->second->begin, earliest_end) << "id " << i->first;
      earliest_end = std::min(earliest_end, i->second->end);
    }
  }

  void CheckVisit(const Visit& visit) const {
    std::vector<Seen> due;
    const auto first = static_cast<uint64_t>(visit.start + 1);
    for (auto i = logged_.lower_bound(first); i != logged_.end(); ++i) {
      if ((i->second->mode & visit.mask) == 0) continue;
      due.push_back({i->first, i->second->producer, i->second->index});
    }
    if (visit.mask != 0 && first <= last_id_) {
      due.push_back({last_id_, kCloser,
                     static_cast<uint32_t>(winner_ - closings_.data())});
    }
    if (visit.ended) {
      EXPECT_EQ(visit.seen.size(), due.size());
      EXPECT_EQ(visit.status, winner_->status);
    }
    ASSERT_LE(visit.seen.size(), due.size());
    for (size_t i = 0; i < visit.seen.size(); ++i) {
      EXPECT_EQ(visit.seen[i].id, due[i].id);
      EXPECT_EQ(visit.seen[i].producer, due[i].producer);
      EXPECT_EQ(visit.seen[i].index, due[i].index);
    }
  }

  void CheckJoin(const Visit& visit) const {
    if (visit.after.has_value()) return CheckReplay(visit);
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
    const int64_t after = *visit.after == -1 ? before_all : *visit.after;
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
    if (visit.refused.ok()) {
      EXPECT_EQ(visit.start, after);
      EXPECT_LE(begin, visit.end);
    } else {
      EXPECT_EQ(visit.refused.code(), absl::StatusCode::kOutOfRange);
      EXPECT_LE(visit.begin, end);
    }
  }

  void CheckDropped(const Published& event) const {
    if (winner_->begin <= event.end) return;
    if (options_.resumable) {
      EXPECT_EQ(options_.recorded_modes & event.mode, 0u);
    }
    for (const Reader& reader : readers_) {
      for (const Visit& visit : reader.visits) {
        EXPECT_FALSE(visit.refused.ok() && (visit.mask & event.mode) != 0 &&
                     visit.end < event.begin && event.end < visit.leave);
      }
    }
  }

  Random random_;
  const EventLogOptions options_;
  std::optional<EventLog<Event>> log_;

  // Each worker writes its own, and Check() reads them all.
  std::vector<std::vector<Published>> producers_;
  std::vector<Reader> readers_;
  std::vector<Closing> closings_;

  const Closing* winner_ = nullptr;
  std::map<uint64_t, const Published*> logged_;  // Without the last event.
  uint64_t last_id_ = 0;  // The last event's, if it was logged.
};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other worker runs yet.
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(EventLogStressTest, ReadersGetExactlyWhatTheyAreDue) {
  const uint64_t seed =
      FromEnvironment("WEIR_STRESS_SEED", std::random_device{}());
  const uint64_t rounds = FromEnvironment("WEIR_STRESS_ROUNDS", 1000);
  std::printf("WEIR_STRESS_SEED=%llu\n", static_cast<unsigned long long>(seed));
  for (uint64_t i = 0; i < rounds && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("round seed " + std::to_string(seed + i));
    Round(seed + i).Run();
  }
}

}  // namespace
}  // namespace weir
