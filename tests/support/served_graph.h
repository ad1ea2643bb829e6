#ifndef WEIR_TESTS_SUPPORT_SERVED_GRAPH_H_
#define WEIR_TESTS_SUPPORT_SERVED_GRAPH_H_

#include <algorithm>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/graph_run.h"

#include "weir/channels/last_value.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/run_stream.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

// For tests of a Runtime: one on virtual time, with a graph that does as told.
namespace weir {

// Gate: where nodes wait for the test.
//
// Threads: for executors that run on the thread of the test.
class Gate {
 public:
  explicit Gate(Executor* executor) : executor_(executor) {}

  // What nodes await: true once the gate was opened, false if they are asked to
  // stop before.
  class Call {
   public:
    Call(Gate* gate, std::stop_token stop)
        : gate_(gate), stop_(std::move(stop)) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> node) {
      node_ = node;
      gate_->waiting_.push_back(this);
      link_.emplace(stop_, [this] { gate_->Pass(this, false); });
    }
    bool await_resume() const { return opened_; }

   private:
    friend class Gate;
    Gate* const gate_;
    const std::stop_token stop_;
    std::coroutine_handle<> node_;
    bool opened_ = false;
    std::optional<std::stop_callback<std::function<void()>>> link_;
  };
  Call Wait(const NodeContext& node) { return {this, node.stop_token()}; }
  // For nodes that do not hear that they are asked to stop.
  Call WaitDeaf() { return {this, std::stop_token()}; }

  // Lets those pass that wait now.
  void Open() {
    while (!waiting_.empty()) Pass(waiting_.front(), true);
  }
  size_t waiting() const { return waiting_.size(); }

 private:
  void Pass(Call* call, bool opened) {
    if (std::erase(waiting_, call) == 0) return;
    call->opened_ = opened;
    executor_->Post([node = call->node_] { node.resume(); });
  }

  Executor* const executor_;
  std::vector<Call*> waiting_;
};

// Matches a Status of this code whose message holds all of `parts`.
inline testing::Matcher<const absl::Status&> Refused(
    absl::StatusCode code, const std::vector<std::string>& parts = {}) {
  std::vector<testing::Matcher<const std::string&>> in_message;
  for (const std::string& part : parts) {
    in_message.push_back(testing::HasSubstr(part));
  }
  return testing::AllOf(
      testing::Property("code", &absl::Status::code, testing::Eq(code)),
      testing::ResultOf(
          "message",
          [](const absl::Status& s) { return std::string(s.message()); },
          testing::AllOfArray(in_message)));
}

class ServedGraphTest : public testing::Test {
 protected:
  using Lines = std::vector<std::string>;

  static constexpr int kEvents = 15;

  ServedGraphTest() { Open(); }

  // Begins anew with another Runtime. It knows the graph "work": its node "a"
  // notes the job it was given, then "b" does the job and notes that: it waits
  // at the gate ("wait", "deaf"), sleeps a minute ("sleep"), fails ("fail"),
  // asks ("ask", "ask-twice"), emits 1 to 15 ("emit"), or nothing; "c" does
  // nothing. Custom events have the ids that they say.
  void Open(RuntimeOptions options = {}) {
    runtime_ = nullptr;
    ids_ = 0;
    if (options.executor == nullptr) options.executor = &executor_;
    if (!options.new_id) {
      options.new_id = [this] { return absl::StrCat("id-", ++ids_); };
    }
    runtime_ = std::make_unique<Runtime>(std::move(options));
    EXPECT_TRUE(runtime_->Register("work", MustCompile(Work())).ok());
  }

  // Calls `test` once for each of `seeds` orders of jobs, on another Runtime.
  void InEachOrder(uint64_t seeds, const std::function<void()>& test) {
    for (uint64_t seed = 0; seed < seeds && !HasFailure(); ++seed) {
      SCOPED_TRACE(absl::StrFormat("seed %d", seed));
      runtime_ = nullptr;
      sim_.emplace(seed);  // Where it was.
      Open();
      test();
    }
  }

  static Input Job(const std::string& job) {
    return Update().Set("job", Value(job));
  }
  RunInfo Start(const ThreadId& thread, const std::string& job,
                StartOptions options = {}) {
    return Start(thread, Job(job), std::move(options));
  }
  RunInfo Start(const ThreadId& thread, Input input,
                StartOptions options = {}) {
    absl::StatusOr<RunInfo> run = runtime_->StartRun(
        thread, "work", std::move(input), std::move(options));
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *std::move(run) : RunInfo();
  }
  RunStream Stream(const ThreadId& thread, const std::string& job,
                   StartOptions options = {.modes = kCustom}) {
    absl::StatusOr<RunStream> stream =
        runtime_->Stream(thread, "work", Job(job), std::move(options));
    EXPECT_TRUE(stream.ok()) << stream.status();
    return *std::move(stream);
  }
  RunStream Join(const RunInfo& run, JoinStreamOptions options = {}) {
    absl::StatusOr<RunStream> stream =
        runtime_->JoinStream(run.thread_id, run.id, std::move(options));
    EXPECT_TRUE(stream.ok()) << stream.status();
    return *std::move(stream);
  }
  RunOutcome Outcome(const RunInfo& run) {
    absl::StatusOr<RunOutcome> left = runtime_->Join(run.thread_id, run.id);
    EXPECT_TRUE(left.ok()) << left.status();
    return left.ok() ? *std::move(left) : RunOutcome();
  }
  // "gone" if it is not there.
  std::string StatusOf(const ThreadId& thread, const RunId& run) {
    absl::StatusOr<RunInfo> info = runtime_->GetRun(thread, run);
    return info.ok() ? std::string(RunStatusName(info->status)) : "gone";
  }
  std::string StatusOf(const RunInfo& run) {
    return StatusOf(run.thread_id, run.id);
  }
  std::string StatusOf(const ThreadId& thread) {
    absl::StatusOr<ThreadInfo> info = runtime_->GetThread(thread);
    return info.ok() ? std::string(ThreadStatusName(info->status)) : "gone";
  }
  // What the runs of a thread have noted: "a emit, b emit".
  std::string NotesOn(const ThreadId& thread) {
    absl::StatusOr<ThreadInfo> info = runtime_->GetThread(thread);
    return info.ok() ? absl::StrJoin(info->values.Get(notes_), ", ") : "gone";
  }
  // The same, as the store has it.
  std::string StoredNotesOn(const ThreadId& thread) {
    absl::StatusOr<StateSnapshot> state = runtime_->GetState(thread);
    EXPECT_TRUE(state.ok()) << state.status();
    return state.ok() ? absl::StrJoin(state->values.Get(notes_), ", ") : "";
  }
  Lines NextOf(const ThreadId& thread) {
    absl::StatusOr<StateSnapshot> state = runtime_->GetState(thread);
    EXPECT_TRUE(state.ok()) << state.status();
    return state.ok() ? state->next : Lines();
  }

  // Runs what there is to run until `time` has passed; by default all that can
  // run without waiting.
  void RunFor(absl::Duration time) {
    absl::Notification over;
    executor_.PostAfter(time, [&over] { over.Notify(); });
    EXPECT_TRUE(executor_.RunUntil(over));
  }
  void RunAll() { RunFor(absl::ZeroDuration()); }

  // The ids that a reader gets now, and the end with the code of its status if
  // it comes to it: "0..7", "3..5 9 end", "end ABORTED".
  std::string Read(RunStream& stream) {
    RunAll();
    Lines ranges;
    std::optional<uint64_t> first;
    uint64_t last = 0;
    const auto flush = [&] {
      if (!first.has_value()) return;
      ranges.push_back(*first == last ? absl::StrCat(last)
                                      : absl::StrCat(*first, "..", last));
    };
    while (const Event* event = stream.TryNext()) {
      EXPECT_EQ(static_cast<int64_t>(event->id()), stream.last_event_id());
      if (first.has_value() && event->id() == last + 1) {
        last = event->id();
        continue;
      }
      flush();
      first = last = event->id();
    }
    flush();
    if (stream.ended()) {
      ranges.push_back("end");
      if (!stream.status().ok()) {
        ranges.push_back(absl::StatusCodeToString(stream.status().code()));
      }
    }
    return absl::StrJoin(ranges, " ");
  }
  static std::string CodeOf(const absl::Status& status) {
    return absl::StatusCodeToString(status.code());
  }

  std::optional<SimExecutor> sim_;
  SimExecutor& executor_ = sim_.emplace(1);
  Gate gate_{&executor_};
  int hold_after_ = -1;  // The event of "emit" after which it waits at the
                         // gate; 0: so does "ask", with its answer.
  int tries_ = 0;        // How often "b" has run.
  int ids_ = 0;
  NotesChannel notes_;
  std::unique_ptr<Runtime> runtime_;

  StateGraph Work() {
    StateGraph builder;
    notes_ = AddNotes(builder);
    const auto job = builder.AddChannel("job", LastValue<std::string>());
    builder.SetOutput({notes_});
    builder.AddNode("a", [notes = notes_, job](NodeContext& node) {
      return Update(notes, "a " + node.Get(job));
    });
    builder.AddNode("b", [this, job](NodeContext& node) {
      ++tries_;
      return Do(node, node.Get(job));
    });
    builder.AddEdge(kStart, "a");
    builder.AddNode("c", Idle());
    builder.AddEdge("a", "b");
    builder.AddEdge("b", "c");
    return builder;
  }

 private:
  static absl::Status Stopped() { return absl::CancelledError("as asked"); }
  Task<NodeResult> Do(NodeContext& node, std::string job) {
    if (job == "fail") co_return absl::UnavailableError("no milk");
    if (job == "wait" && !co_await gate_.Wait(node)) co_return Stopped();
    if (job == "deaf") co_await gate_.WaitDeaf();
    if (job == "sleep" && !(co_await node.Sleep(absl::Minutes(1))).ok()) {
      co_return Stopped();
    }
    if (job == "ask") {
      absl::StatusOr<std::string> answer =
          co_await node.Interrupt<std::string>("milk?");
      if (!answer.ok()) co_return answer.status();
      if (hold_after_ == 0 && !co_await gate_.Wait(node)) co_return Stopped();
      co_return Update(notes_, *answer);
    }
    if (job == "ask-twice") {
      for (int i = 0; i < 2; ++i) {
        absl::StatusOr<std::string> answer =
            co_await node.Interrupt<std::string>(i == 0 ? "milk?" : "sugar?");
        if (!answer.ok()) co_return answer.status();
      }
    }
    for (int i = 0; job == "emit" && i < kEvents; ++i) {
      if (i == hold_after_ && !co_await gate_.Wait(node)) co_return Stopped();
      node.Emit(i + 1);
    }
    co_return Update(notes_, "b " + job);
  }
};

}  // namespace weir

#endif  // WEIR_TESTS_SUPPORT_SERVED_GRAPH_H_
