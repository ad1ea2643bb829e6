// Callers on several threads do to a few threads of one Runtime whatever they
// like, while it lives and then while it ends.
//
// Allowed:
// - Any call is refused with a code that its header names.
// - A reader gets any part of a run, in the order of ids, and any end.
//
// Forbidden:
// - Internal, or a code that the headers do not name.
// - Two runs of one thread whose nodes run at the same time.
// - Events of a run, or of a thread, with ids that do not grow; in a run's,
// with
//   holes.
// - A run that shows a terminal status and then another.
// - A run or a node's captures that outlive the Runtime and its streams.
// - A call, a reader or the end of the Runtime that hangs.

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"
#include "weir/runtime/thread_stream.h"

namespace weir {
namespace {

using ::testing::AnyOf;

constexpr int kThreads = 3;
constexpr uint64_t kCallers = 4;
constexpr int kCalls = 150;

// Counts the nodes of each thread that run.
struct Traffic {
  std::array<std::atomic<int>, kThreads> running{};
};

class ServiceStress {
 public:
  ServiceStress(OnShutdown on_shutdown, uint64_t seed)
      : seed_(seed), traffic_(std::make_shared<Traffic>()) {
    RuntimeOptions options;
    options.on_shutdown = on_shutdown;
    options.thread_retention = absl::Milliseconds(5);
    runtime_ = std::make_unique<Runtime>(std::move(options));
    EXPECT_TRUE(runtime_->Register("graph", Compiled()).ok());
  }

  void Run() {
    {
      std::vector<std::jthread> callers;
      callers.reserve(kCallers);
      for (uint64_t i = 0; i < kCallers; ++i) {
        callers.emplace_back([this, i] { Call(seed_ * kCallers + i); });
      }
    }
    std::vector<RunStream> left;
    std::vector<ThreadStream> threads_left;
    {
      absl::MutexLock lock(&mutex_);
      left.swap(left_);
      threads_left.swap(threads_left_);
    }
    std::vector<std::jthread> readers;
    readers.reserve(left.size() + threads_left.size());
    for (RunStream& stream : left) {
      readers.emplace_back([&stream] { ReadAll(stream); });
    }
    for (ThreadStream& stream : threads_left) {
      readers.emplace_back([&stream] { ReadAll(stream); });
    }
    runtime_ = nullptr;
    readers.clear();
    left.clear();
    threads_left.clear();
    EXPECT_EQ(traffic_.use_count(), 1) << "a graph has outlived it all";
  }

 private:
  using Random = std::mt19937_64;

  Graph Compiled() {
    StateGraph builder;
    const auto count = builder.AddChannel("count", LastValue<int>());
    builder.AddNode(
        "a",
        [count, traffic = traffic_](NodeContext& node) -> Task<NodeResult> {
          std::optional<std::atomic<int>*> running;
          const std::string id(node.thread_id());
          if (id.size() == 1) {
            running = &traffic->running[static_cast<size_t>(id[0] - '0')];
            EXPECT_EQ((*running)->fetch_add(1, std::memory_order_relaxed), 0);
          }
          for (int i = 0; i < 5; ++i) node.Emit(i);
          const absl::Status slept =
              co_await node.Sleep(absl::Microseconds(200));
          if (running) (*running)->fetch_sub(1, std::memory_order_relaxed);
          if (!slept.ok()) co_return slept;
          co_return Update(count, node.Get(count) + 1);
        });
    builder.AddEdge(kStart, "a");
    builder.AddConditionalEdges("a", [count](NodeContext& node) -> Route {
      if (node.Get(count) % 7 == 5) return absl::UnavailableError("five");
      return node.step() % 4 == 3 ? Route(kEnd) : Route("a");
    });
    return MustCompile(builder);
  }

  // What a call may be refused with.
  static void Expect(const absl::Status& status) {
    EXPECT_THAT(
        status.code(),
        AnyOf(absl::StatusCode::kOk, absl::StatusCode::kNotFound,
              absl::StatusCode::kFailedPrecondition, absl::StatusCode::kAborted,
              absl::StatusCode::kCancelled, absl::StatusCode::kAlreadyExists,
              absl::StatusCode::kOutOfRange))
        << status;
  }

  // Reads up to `most` events.
  static void ReadAll(RunStream& stream, int most = 1 << 30) {
    int64_t last = stream.last_event_id();
    const Event* event = nullptr;
    while (most-- > 0 && (event = stream.Next()) != nullptr) {
      EXPECT_EQ(static_cast<int64_t>(event->id()), last + 1);
      last = static_cast<int64_t>(event->id());
    }
    if (event == nullptr && most > 0) {
      EXPECT_TRUE(stream.ended());
      EXPECT_NE(stream.status().code(), absl::StatusCode::kInternal);
    }
  }
  static void ReadAll(ThreadStream& stream, int most = 1 << 30) {
    int64_t last = stream.last_event_id();
    const ThreadEvent* event = nullptr;
    while (most-- > 0 && (event = stream.Next()) != nullptr) {
      EXPECT_GT(static_cast<int64_t>(event->id), last);
      last = static_cast<int64_t>(event->id);
    }
  }

  StartOptions Options(Random& random) {
    constexpr MultitaskStrategy kStrategies[] = {
        MultitaskStrategy::kEnqueue, MultitaskStrategy::kReject,
        MultitaskStrategy::kInterrupt, MultitaskStrategy::kRollback};
    StartOptions options{.modes = kCustom | kValues};
    options.resumable = random() % 2 == 0;
    options.retention = absl::Milliseconds(random() % 4);
    options.multitask = kStrategies[random() % 4];
    options.if_not_exists = IfNotExists::kCreate;
    options.after = absl::Microseconds(random() % 3 * 200);
    if (random() % 4 == 0) options.timeout = absl::Microseconds(500);
    if (random() % 4 == 0) options.on_disconnect = OnDisconnect::kCancel;
    return options;
  }
  RunId AnyRun(const ThreadId& thread, Random& random) {
    absl::StatusOr<std::vector<RunInfo>> runs = runtime_->ListRuns(thread);
    Expect(runs.status());
    if (!runs.ok() || runs->empty()) return "none";
    return (*runs)[random() % runs->size()].id;
  }

  void Call(uint64_t seed) {
    Random random(seed);
    for (int i = 0; i < kCalls; ++i) {
      const ThreadId thread = absl::StrCat(random() % kThreads);
      Call(thread, AnyRun(thread, random), random);
    }
  }
  void Call(const ThreadId& thread, const RunId& run, Random& random) {
    switch (random() % 16) {
      case 0:
      case 1:
        return Expect(runtime_
                          ->StartRun(random() % 8 == 0 ? "" : thread, "graph",
                                     Update(), Options(random))
                          .status());
      case 2:
      case 3: {
        absl::StatusOr<RunStream> stream =
            runtime_->Stream(thread, "graph", Update(), Options(random));
        return stream.ok() ? Use(*std::move(stream), random)
                           : Expect(stream.status());
      }
      case 4:
      case 5: {
        JoinStreamOptions options;
        if (random() % 2 == 0) options.last_event_id = -1;
        options.cancel_on_disconnect = random() % 8 == 0;
        absl::StatusOr<RunStream> stream =
            runtime_->JoinStream(thread, run, options);
        if (stream.ok()) return Use(*std::move(stream), random);
        if (absl::IsOutOfRange(stream.status())) return;
        return Expect(stream.status());
      }
      case 6:
        return Expect(
            runtime_->Cancel(thread, run,
                             {random() % 2 == 0 ? CancelAction::kInterrupt
                                                : CancelAction::kRollback,
                              random() % 2 == 0}));
      case 7:
        return Expect(random() % 8 == 0
                          ? runtime_->CancelMany({.all = true}, {.wait = true})
                          : runtime_->DeleteRun(thread, run));
      case 8:
        return Expect(random() % 4 == 0 ? runtime_->DeleteThread(thread)
                                        : absl::OkStatus());
      case 9:
        return Expect(
            runtime_->UpdateState(thread, {.values = Update(), .as_node = "a"})
                .status());
      case 10:
        return Expect(runtime_->GetState(thread).status());
      case 11:
      case 12: {
        ThreadStreamOptions options{.modes = kRunModes | kStateUpdate};
        if (random() % 2 == 0) options.last_event_id = -1;
        absl::StatusOr<ThreadStream> stream =
            runtime_->JoinThreadStream(thread, options);
        return stream.ok() ? Use(*std::move(stream), random)
                           : Expect(stream.status());
      }
      case 13: {
        absl::StatusOr<ThreadInfo> copy = runtime_->CopyThread(thread);
        return Expect(copy.ok() ? runtime_->DeleteThread(copy->id)
                                : copy.status());
      }
      case 14:
        return Expect(runtime_->SearchThreads({.ids = {thread}}).status());
      default:
        return Watch(thread, run, random);
    }
  }
  // A run that has ended stays as it is.
  void Watch(const ThreadId& thread, const RunId& run, Random& random) {
    std::stop_source stop;
    if (random() % 4 == 0) stop.request_stop();
    const absl::StatusOr<RunOutcome> left = runtime_->Join(
        thread, run,
        {.cancel_on_disconnect = random() % 4 == 0, .stop = stop.get_token()});
    Expect(left.status());
    if (!left.ok()) return;
    const absl::StatusOr<RunInfo> info = runtime_->GetRun(thread, run);
    Expect(info.status());
    EXPECT_EQ(info.ok() ? info->status : left->status, left->status);
  }
  template <class Stream>
  void Use(Stream stream, Random& random) {
    if (random() % 4 != 0) {
      return ReadSome(stream, static_cast<int>(random() % 10));
    }
    absl::MutexLock lock(&mutex_);
    if constexpr (std::is_same_v<Stream, RunStream>) {
      left_.push_back(std::move(stream));
    } else {
      threads_left_.push_back(std::move(stream));
    }
  }
  static void ReadSome(RunStream& stream, int most) { ReadAll(stream, most); }
  // Next() might wait for ever.
  static void ReadSome(ThreadStream& stream, int most) {
    while (most-- > 0 && stream.TryNext() != nullptr) {
    }
  }

  const uint64_t seed_;
  const std::shared_ptr<Traffic> traffic_;
  std::unique_ptr<Runtime> runtime_;
  absl::Mutex mutex_;
  std::vector<RunStream> left_ ABSL_GUARDED_BY(mutex_);
  std::vector<ThreadStream> threads_left_ ABSL_GUARDED_BY(mutex_);
};

TEST(ServiceStressTest, CallersMayDoAnythingAtOnce) {
  const char* const given = std::getenv("WEIR_STRESS_SEED");
  const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10)
                                          : std::random_device()();
  std::printf("WEIR_STRESS_SEED=%llu\n",
              static_cast<unsigned long long>(first));
  for (uint64_t round = 0; round < 40; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", first + round));
    ServiceStress(round % 2 == 0 ? OnShutdown::kCancel : OnShutdown::kDrain,
                  first + round)
        .Run();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace weir
