// Readers who join runs at random moments, from random places, read in all the
// ways there are, leave at random and sometimes cancel.
//
// Allowed: a reader from an id gets that which follows it, and all up to the
// end or to where it left; one without gets all from some event on; OutOfRange,
// if the id was not published when it came; the end of a run that was
// cancelled. Forbidden: a gap, a duplicate, an event that others see as another
// under that id, an event of another run, an end before the last event; a
// payload that outlives the Runtime; waiting for ever.

#include <atomic>
#include <barrier>
#include <cstdint>
#include <cstdlib>
#include <iostream>
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
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace weir {
namespace {

constexpr int kRuns = 1'000;
constexpr int kReaders = 8;
constexpr int kSteps = 4;
constexpr int kMostPerStep = 40;

std::atomic<int64_t> payloads{0};

// What nodes emit: counted while it is there.
struct Payload {
  explicit Payload(int of_run, int place) : run(of_run), number(place) {
    payloads.fetch_add(1, std::memory_order_relaxed);
  }
  Payload(const Payload& other) : Payload(other.run, other.number) {}
  Payload& operator=(const Payload&) = default;
  ~Payload() { payloads.fetch_sub(1, std::memory_order_relaxed); }

  int run;
  int number;
};

// An event as a reader saw it.
struct Seen {
  uint64_t id = 0;
  std::string name;
  int number = -1;  // Of the payload, if it has one.

  friend bool operator==(const Seen&, const Seen&) = default;
};

// What the readers and the run share; a new one for each run.
struct Round {
  int run = 0;
  bool resumable = false;
  RunInfo info;
  // Events that were published for certain: relaxed, a lower bound.
  std::atomic<int64_t> published{0};
  std::vector<Seen> truth;  // Of the reader that was there first.
  absl::Status end;
};

// What one reader did.
struct Reading {
  std::optional<int64_t> from;
  bool cancels = false;
  bool left = false;      // Before the end.
  int64_t published = 0;  // When it came, at least.
  absl::Status joined;
  absl::Status end;
  std::vector<Seen> seen;
};

Seen See(const Event& event, int run) {
  Seen seen{event.id(), std::string(event.name()), -1};
  if (const auto* custom = event.As<CustomValue>()) {
    const auto* payload = custom->value.As<Payload>();
    EXPECT_EQ(payload->run, run);
    seen.number = payload->number;
  }
  return seen;
}

class JoinStressTest : public testing::Test {
 protected:
  JoinStressTest() {
    const auto left = builder_.AddChannel("left", LastValue<int>());
    const NodeId emit = builder_.AddNode(
        "emit", [this, left](NodeContext& node) -> Task<NodeResult> {
          const int step = node.Get(left);
          std::minstd_rand random(
              static_cast<uint32_t>(round_->run * kSteps + step + 1));
          const int count = static_cast<int>(random() % kMostPerStep);
          for (int i = 0; i < count; ++i) {
            if (node.stop_token().stop_requested()) break;
            node.Emit(Value(Payload(round_->run, step * kMostPerStep + i)));
            round_->published.fetch_add(1, std::memory_order_relaxed);
            if (random() % 16 == 0) std::this_thread::yield();
          }
          if (random() % 4 == 0) {
            const absl::Status slept =
                co_await node.Sleep(absl::Microseconds(50));
            if (!slept.ok()) co_return slept;
          }
          co_return Update(left, step + 1);
        });
    builder_.AddEdge(kStart, emit);
    builder_.AddConditionalEdges(emit, [left, emit](NodeContext& node) {
      return node.Get(left) < kSteps ? Target(emit) : Target(kEnd);
    });
  }

  // Reads up to `most` events, then leaves.
  void Read(RunStream& stream, int most, bool listens, Reading& reading) {
    const int run = round_->run;
    if (listens) {
      absl::Notification over;
      int left = most;
      stream.Listen(
          [&reading, &over, &left, run](const Event& event) {
            if (left < 0) return;
            reading.seen.push_back(See(event, run));
            if (--left < 0) over.Notify();
          },
          [&reading, &over, &left](const absl::Status& status) {
            reading.end = status;
            if (left >= 0) over.Notify();
          });
      over.WaitForNotification();
      reading.left = left < 0;
      // Waits for the call under way, which may look at the locals.
      RunStream ended(std::move(stream));
      return;
    }
    for (int i = 0; i <= most; ++i) {
      const Event* event = stream.Next();
      if (event == nullptr) {
        reading.end = stream.status();
        return;
      }
      reading.seen.push_back(See(*event, run));
    }
    reading.left = true;
  }

  // One reader's part in a round.
  Reading Join(std::minstd_rand& random) {
    Reading reading;
    for (auto wait = random() % 200; wait > 0; --wait) {
      if (random() % 8 == 0) std::this_thread::yield();
    }
    switch (random() % 4) {
      case 0:
        break;
      case 1:
        reading.from = -1;
        break;
      default:
        reading.from =
            static_cast<int64_t>(random() % (kSteps * kMostPerStep / 2));
    }
    reading.cancels = random() % 64 == 0;
    const bool leaves = random() % 4 == 0;
    const int most = leaves ? static_cast<int>(random() % 60) : 1'000'000;
    reading.published = round_->published.load(std::memory_order_relaxed);
    absl::StatusOr<RunStream> stream =
        runtime_->JoinStream(thread_, round_->info.id,
                             {.last_event_id = reading.from,
                              .cancel_on_disconnect = reading.cancels});
    reading.joined = stream.status();
    if (stream.ok()) Read(*stream, most, random() % 3 == 0, reading);
    return reading;
  }

  // Compares what a reader saw with what there was.
  void Check(const Reading& reading) {
    const Round& round = *round_;
    const auto newest = static_cast<int64_t>(round.truth.size()) - 1;
    if (!reading.joined.ok()) {
      if (!round.resumable) {
        EXPECT_TRUE(reading.from.has_value());
        EXPECT_EQ(reading.joined.code(), absl::StatusCode::kFailedPrecondition);
      } else {
        EXPECT_EQ(reading.joined.code(), absl::StatusCode::kOutOfRange);
        // The metadata is an event too.
        EXPECT_GT(*reading.from, reading.published);
      }
      return;
    }
    if (!reading.left) {
      EXPECT_EQ(reading.end, round.end);
    }
    uint64_t next = 0;
    if (!reading.seen.empty()) next = reading.seen.front().id;
    if (reading.from.has_value() && !reading.seen.empty()) {
      EXPECT_EQ(static_cast<int64_t>(next), *reading.from + 1);
    }
    for (const Seen& seen : reading.seen) {
      ASSERT_EQ(seen.id, next++);
      ASSERT_LT(seen.id, round.truth.size());
      ASSERT_EQ(seen, round.truth[seen.id]);
    }
    if (reading.left) return;
    if (!reading.seen.empty()) {
      EXPECT_EQ(static_cast<int64_t>(reading.seen.back().id), newest);
    } else if (reading.from.has_value()) {
      EXPECT_EQ(*reading.from, newest);
    }
  }

  StateGraph builder_;
  TbbExecutor executor_{4};
  std::unique_ptr<Runtime> runtime_;
  ThreadId thread_;
  std::unique_ptr<Round> round_;
};

TEST_F(JoinStressTest, EveryReaderGetsWhatTheRulesSay) {
  const uint32_t seed = std::random_device()();
  std::cout << "seed " << seed << '\n';
  runtime_ = std::make_unique<Runtime>(RuntimeOptions{.executor = &executor_});
  ASSERT_TRUE(runtime_->Register("graph", MustCompile(builder_)).ok());
  std::vector<Reading> readings(kReaders);
  std::barrier<> round_trip(kReaders + 1);
  std::vector<std::jthread> readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.emplace_back([this, i, seed, &readings, &round_trip] {
      std::minstd_rand random(seed + static_cast<uint32_t>(i));
      for (int run = 0; run < kRuns; ++run) {
        round_trip.arrive_and_wait();  // The run is started.
        readings[static_cast<size_t>(i)] = Join(random);
        round_trip.arrive_and_wait();
        round_trip.arrive_and_wait();  // It is checked.
      }
    });
  }
  std::minstd_rand random(seed);
  int cancelled = 0;
  for (int run = 0; run < kRuns; ++run) {
    if (run % 50 == 0) thread_ = runtime_->CreateThread();
    round_ = std::make_unique<Round>();
    round_->run = run;
    round_->resumable = random() % 2 == 0;
    absl::StatusOr<RunStream> first =
        runtime_->Stream(thread_, "graph", Update().Set("left", Value(0)),
                         {.modes = kCustom | kUpdates,
                          .durability = Durability::kExit,
                          .resumable = round_->resumable});
    ASSERT_TRUE(first.ok()) << first.status();
    round_->info.id = first->run_id();
    round_trip.arrive_and_wait();
    while (const Event* event = first->Next()) {
      round_->truth.push_back(See(*event, run));
    }
    round_->end = first->status();
    round_trip.arrive_and_wait();
    cancelled += round_->end.ok() ? 0 : 1;
    for (const Reading& reading : readings) Check(reading);
    if (HasFatalFailure()) std::abort();  // The readers would wait for ever.
    round_trip.arrive_and_wait();
  }
  readers.clear();
  EXPECT_LT(cancelled,
            kRuns / 2);  // On a busy machine readers may all be late.
  runtime_ = nullptr;
  EXPECT_EQ(payloads.load(), 0);
}

}  // namespace
}  // namespace weir
