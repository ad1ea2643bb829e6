#include "weir/checkpoint/memory_checkpointer.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/checkpointer_conformance.h"
#include "tests/checkpoint/failing_checkpointer.h"

namespace weir {
namespace {

// Keeps bytes instead of values, answers later from a worker of its own, and
// can do no more than each store must: what the suite has to bear.
class EncodingCheckpointer final : public Checkpointer {
 public:
  EncodingCheckpointer() : worker_([this] { Work(); }) {}
  ~EncodingCheckpointer() override {
    Later(nullptr);
    worker_.join();
  }

  CheckpointerCapabilities capabilities() const override { return {}; }
  void Open(std::string_view thread, Done<ThreadLease> done) override {
    Later(
        [this, thread = std::string(thread), done = std::move(done)]() mutable {
          store_.Open(thread, std::move(done));
        });
  }
  void Put(const Fence& fence, NewCheckpoint&& made, StatusDone done) override {
    Later([this, fence, made = std::move(made),
           done = std::move(done)]() mutable {
      for (SavedChannel& channel : made.checkpoint.channels) {
        absl::Status s = Encode(channel.value);
        if (!s.ok()) return done(std::move(s));
      }
      store_.Put(fence, std::move(made), std::move(done));
    });
  }
  void PutWrites(const Fence& fence, NewWrites&& writes,
                 StatusDone done) override {
    Later([this, fence, writes = std::move(writes),
           done = std::move(done)]() mutable {
      for (PendingWrite& write : writes.writes) {
        absl::Status s = Encode(write.value);
        if (!s.ok()) return done(std::move(s));
      }
      store_.PutWrites(fence, std::move(writes), std::move(done));
    });
  }
  void Get(CheckpointKey key,
           Done<std::optional<CheckpointTuple>> done) override {
    Later([this, key = std::move(key), done = std::move(done)]() mutable {
      store_.Get(std::move(key), std::move(done));
    });
  }
  void List(CheckpointQuery query,
            Done<std::vector<CheckpointTuple>> done) override {
    Later([this, query = std::move(query), done = std::move(done)]() mutable {
      store_.List(std::move(query), std::move(done));
    });
  }
  void DeleteThread(std::string_view thread, StatusDone done) override {
    Later(
        [this, thread = std::string(thread), done = std::move(done)]() mutable {
          store_.DeleteThread(thread, std::move(done));
        });
  }
  void Flush(StatusDone done) override {
    Later([done = std::move(done)]() mutable { done(absl::OkStatus()); });
  }

 private:
  using Job = absl::AnyInvocable<void()>;

  static absl::Status Encode(SavedValue& value) {
    if (!value.has_value()) return absl::OkStatus();
    std::string bytes;
    absl::Status s = value.Encode(&bytes);
    value = SavedValue::FromBytes(std::move(bytes));
    return s;
  }

  void Later(Job job) {
    absl::MutexLock lock(&mutex_);
    jobs_.push_back(std::move(job));
  }
  void Work() {
    while (true) {
      Job job;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(
            +[](std::deque<Job>* jobs) { return !jobs->empty(); }, &jobs_));
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      if (job == nullptr) return;
      job();
    }
  }

  MemoryCheckpointer store_;
  absl::Mutex mutex_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);  // Null: the end.
  std::thread worker_;
};

}  // namespace

INSTANTIATE_TEST_SUITE_P(
    Stores, CheckpointerConformanceTest,
    testing::Values(
        CheckpointerCase{"Memory",
                         [] { return std::make_unique<MemoryCheckpointer>(); }},
        CheckpointerCase{
            "Encoding",
            [] { return std::make_unique<EncodingCheckpointer>(); }},
        CheckpointerCase{"Failing",
                         [] {
                           return std::make_unique<FailingCheckpointer>(
                               std::make_shared<MemoryCheckpointer>());
                         }}),
    [](const auto& store) { return store.param.name; });

namespace {

template <class T>
auto Into(std::optional<T>& result) {
  return [&result](T given) {
    EXPECT_FALSE(result.has_value());
    result = std::move(given);
  };
}

ThreadLease Open(Checkpointer& store, std::string_view thread) {
  ThreadLease lease;
  store.Open(thread, [&lease](absl::StatusOr<ThreadLease> result) {
    ASSERT_TRUE(result.ok()) << result.status();
    lease = *std::move(result);
  });
  return lease;
}

absl::Status Put(Checkpointer& store, const Fence& fence, NewCheckpoint made) {
  std::optional<absl::Status> result;
  store.Put(fence, std::move(made), Into(result));
  return result.value_or(absl::InternalError("no answer"));
}

NewCheckpoint Make(uint64_t sequence, CheckpointId base, const char* channel,
                   SavedValue value) {
  NewCheckpoint made;
  made.checkpoint.id = {sequence, 1};
  made.checkpoint.parent = base;
  made.base = base;
  made.checkpoint.channels.push_back(
      {.channel = channel, .version = sequence, .value = std::move(value)});
  return made;
}

TEST(CheckpointIdTest, TextIsInOrderOfIds) {
  const CheckpointId id{0x0123456789abcdef, 0xf};
  EXPECT_EQ(id.ToString(), "0123456789abcdef000000000000000f");
  EXPECT_EQ(CheckpointId().ToString(), "");
  EXPECT_LT((CheckpointId{1, 9}), (CheckpointId{2, 0}));
  EXPECT_LT((CheckpointId{9, 9}).ToString(), (CheckpointId{16, 0}).ToString());
  EXPECT_EQ(*CheckpointId::FromString(id.ToString()), id);
  EXPECT_EQ(*CheckpointId::FromString(""), CheckpointId());
}

TEST(CheckpointIdTest, OtherTextIsRefused) {
  for (const char* text :
       {"0", "0123456789abcdef000000000000000",
        "0123456789ABCDEF000000000000000f", "0123456789abcdef000000000000000f0",
        "0x23456789abcdef000000000000000f", "+123456789abcdef000000000000000f",
        "0123456789abcdef -00000000000000f",
        "00000000000000000000000000000001"}) {
    EXPECT_EQ(CheckpointId::FromString(text).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(SavedValueTest, IsAbsentSharedOrBytes) {
  std::string out = "+";
  const SavedValue absent;
  EXPECT_FALSE(absent.has_value());
  EXPECT_EQ(absent.shared(), nullptr);
  EXPECT_EQ(absent.bytes(), nullptr);
  EXPECT_EQ(absent.Encode(&out).code(), absl::StatusCode::kFailedPrecondition);

  const auto number = std::make_shared<const int>(7);
  const SavedValue shared(number, [](const void* value, std::string* to) {
    to->append(std::to_string(*static_cast<const int*>(value)));
    return absl::OkStatus();
  });
  EXPECT_EQ(shared.shared(), number.get());
  EXPECT_EQ(shared.bytes(), nullptr);
  EXPECT_TRUE(shared.Encode(&out).ok());

  const SavedValue bytes = SavedValue::FromBytes("bytes");
  EXPECT_TRUE(bytes.has_value());
  EXPECT_EQ(bytes.shared(), nullptr);
  EXPECT_EQ(*bytes.bytes(), "bytes");
  EXPECT_TRUE(bytes.Encode(&out).ok());
  EXPECT_EQ(out, "+7bytes");
  EXPECT_TRUE(SavedValue::FromBytes("").has_value());

  const SavedValue opaque(number, nullptr);
  EXPECT_EQ(opaque.shared(), number.get());
  EXPECT_EQ(opaque.Encode(&out).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(MemoryCheckpointerTest, ValuesAreSharedAndNeverEncoded) {
  MemoryCheckpointer store;
  const Fence fence = Open(store, "t").fence;
  const auto value = std::make_shared<const int>(7);
  const auto never = [](const void*, std::string*) {
    ADD_FAILURE() << "encoded";
    return absl::OkStatus();
  };
  ASSERT_TRUE(Put(store, fence, Make(1, {}, "a", {value, never})).ok());
  std::optional<absl::StatusOr<std::optional<CheckpointTuple>>> tuple;
  store.Get({.thread = "t"}, Into(tuple));
  EXPECT_EQ((**tuple)->checkpoint.channels[0].value.shared(), value.get());
}

TEST(MemoryCheckpointerTest, AnswersBeforeACallReturnsAndHoldsNoLock) {
  MemoryCheckpointer store;
  int answers = 0;
  store.Open("t", [&](absl::StatusOr<ThreadLease> lease) {
    // From within an answer all calls can be made, of the same thread too.
    store.Put(lease->fence, Make(1, {}, "a", {}), [&](absl::Status put) {
      EXPECT_TRUE(put.ok());
      store.Get({.thread = "t"},
                [&](absl::StatusOr<std::optional<CheckpointTuple>> tuple) {
                  EXPECT_TRUE((*tuple).has_value());
                  store.List(
                      {},
                      [&](absl::StatusOr<std::vector<CheckpointTuple>> tuples) {
                        EXPECT_EQ(tuples->size(), 1);
                        store.DeleteThread("t", [&](absl::Status deleted) {
                          EXPECT_TRUE(deleted.ok());
                          ++answers;
                        });
                        ++answers;
                      });
                  ++answers;
                });
      ++answers;
    });
    ++answers;
  });
  EXPECT_EQ(answers, 5);
}

// A value that looks into the store when it ends.
struct Looker {
  explicit Looker(Checkpointer& s) : store(s) {}
  Looker(const Looker&) = delete;
  Looker& operator=(const Looker&) = delete;
  ~Looker() {
    store.List({}, [](absl::StatusOr<std::vector<CheckpointTuple>>) {});
    ++ended;
  }
  Checkpointer& store;
  static inline int ended = 0;
};

TEST(MemoryCheckpointerTest, ValuesEndWithNoLockHeld) {
  MemoryCheckpointer store;
  Looker::ended = 0;
  const auto looker = [&store] {
    return SavedValue(std::make_shared<Looker>(store), nullptr);
  };
  const auto ok = [](absl::Status s) { EXPECT_TRUE(s.ok()) << s; };
  Fence fence = Open(store, "t").fence;
  const auto put = [&](uint64_t sequence, CheckpointId base) {
    EXPECT_TRUE(Put(store, fence, Make(sequence, base, "a", looker())).ok());
  };
  const auto write = [&](int32_t index) {
    PendingWrite made{.task_id = "task", .index = index, .value = looker()};
    store.PutWrites(fence, {"", {1, 1}, {std::move(made)}}, ok);
  };
  put(1, {});
  put(1, {});
  EXPECT_EQ(Looker::ended, 1);  // What was replaced.
  write(kErrorWrite);
  write(kErrorWrite);
  write(0);
  write(0);
  EXPECT_EQ(Looker::ended, 3);
  put(2, {1, 1});
  store.Prune({"t"}, PruneMode::kKeepLatest, ok);
  EXPECT_EQ(Looker::ended, 6);
  NewCheckpoint made = Make(3, {2, 1}, "a", looker());
  made.checkpoint.metadata.run_id = "run";
  EXPECT_TRUE(Put(store, fence, std::move(made)).ok());
  PendingWrite of_run{.task_id = "task", .value = looker()};
  of_run.run_id = std::make_shared<const std::string>("run");
  store.PutWrites(fence, {"", {2, 1}, {std::move(of_run)}}, ok);
  store.DeleteRuns({"run"}, ok);
  EXPECT_EQ(Looker::ended, 8);
  store.CopyThread("t", "other", ok);
  store.DeleteThread("t", ok);
  EXPECT_EQ(Looker::ended, 8);
  store.DeleteThread("other", ok);
  EXPECT_EQ(Looker::ended, 9);
  // A call that is refused.
  EXPECT_FALSE(Put(store, fence, Make(4, {}, "a", looker())).ok());
  EXPECT_EQ(Looker::ended, 10);
}

TEST(MemoryCheckpointerTest, LongChainsEndWithoutRecursion) {
  static constexpr uint64_t kLong = 200000;
  MemoryCheckpointer store;
  const Fence fence = Open(store, "t").fence;
  for (uint64_t i = 1; i <= kLong; ++i) {
    const CheckpointId base = i == 1 ? CheckpointId() : CheckpointId{i - 1, 1};
    NewCheckpoint made = Make(i, base, "pieces", SavedValue::FromBytes("p"));
    made.checkpoint.channels[0].appended_to = i - 1;
    ASSERT_TRUE(Put(store, fence, std::move(made)).ok());
  }
  const auto ok = [](absl::Status s) { EXPECT_TRUE(s.ok()) << s; };
  store.Prune({"t"}, PruneMode::kKeepLatest, ok);
  store.History(
      {.thread = "t"}, {"pieces"},
      [](absl::StatusOr<std::vector<std::vector<SavedChannel>>> history) {
        EXPECT_EQ(history->at(0).size(), kLong);
      });
  store.DeleteThread("t", ok);
}

TEST(FailingCheckpointerTest, FailuresOfEachCallReachTheCaller) {
  FailingCheckpointer store(std::make_shared<MemoryCheckpointer>());
  const Fence fence = Open(store, "t").fence;
  const absl::Status failure = absl::UnavailableError("the store is away");
  std::vector<std::string> failed;
  const auto status = [&](const char* call) {
    return [&failed, failure, call](absl::Status s) {
      if (s == failure) failed.push_back(call);
    };
  };
  const auto result = [&](const char* call) {
    return [&failed, failure, call](const auto& r) {
      if (r.status() == failure) failed.push_back(call);
    };
  };
  const std::vector<std::string> calls = {
      "Open",         "Put",        "PutWrites",  "Get",   "List", "History",
      "DeleteThread", "DeleteRuns", "CopyThread", "Prune", "Flush"};
  for (const std::string& call : calls) {
    failed.clear();
    store.Fail(call, failure);
    store.Open("other", result("Open"));
    store.Put(fence, Make(1, {}, "a", {}), status("Put"));
    store.PutWrites(fence, {"", {1, 1}, {}}, status("PutWrites"));
    store.Get({.thread = "t"}, result("Get"));
    store.List({}, result("List"));
    store.History({.thread = "t"}, {"a"}, result("History"));
    store.DeleteThread("other", status("DeleteThread"));
    store.DeleteRuns({"run"}, status("DeleteRuns"));
    store.CopyThread("t", "copy", status("CopyThread"));
    store.Prune({"t"}, PruneMode::kKeepLatest, status("Prune"));
    store.Flush(status("Flush"));
    EXPECT_EQ(failed, std::vector<std::string>{call});
  }
  store.Fail("Put", failure, /*after=*/1);
  EXPECT_TRUE(Put(store, fence, Make(2, {}, "a", {})).ok());
  EXPECT_EQ(Put(store, fence, Make(3, {}, "a", {})), failure);
  store.Fail("Put", absl::OkStatus());
  EXPECT_TRUE(Put(store, fence, Make(3, {}, "a", {})).ok());
}

}  // namespace
}  // namespace weir
