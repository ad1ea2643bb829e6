#ifndef WEIR_TESTS_RUNTIME_CRASHED_FILE_H_
#define WEIR_TESTS_RUNTIME_CRASHED_FILE_H_

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/temp_folder.h"
#include "tests/runtime/crash_graph.h"
#include "tests/support/graph_run.h"

#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/runtime.h"

namespace weir {

// ChildProcess: a program whose standard output is read until it ends.
class ChildProcess {
 public:
  ChildProcess(const std::vector<std::string>& command,
               const std::vector<std::string>& environment = {}) {
    int ends[2];
    if (pipe(ends) != 0) abort();
    pid_ = fork();
    if (pid_ < 0) abort();
    if (pid_ == 0) {
      dup2(ends[1], 1);
      close(ends[0]);
      close(ends[1]);
      std::vector<char*> argv;
      for (const std::string& arg : command) {
        argv.push_back(const_cast<char*>(arg.c_str()));
      }
      argv.push_back(nullptr);
      for (const std::string& e : environment) {
        putenv(const_cast<char*>(e.c_str()));
      }
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    out_ = ends[0];
  }
  ~ChildProcess() {
    Kill();
    Wait();
    close(out_);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void Kill(int signal = SIGKILL) const {
    if (pid_ > 0) kill(pid_, signal);
  }
  // The next line, whole; absent at the end, or at `until`.
  std::optional<std::string> Line(absl::Time until = absl::InfiniteFuture()) {
    while (true) {
      const size_t end = text_.find('\n', at_);
      if (end != text_.npos) {
        const size_t begin = std::exchange(at_, end + 1);
        return text_.substr(begin, end - begin);
      }
      text_.erase(0, std::exchange(at_, 0));
      timespec wait = absl::ToTimespec(std::clamp(
          until - absl::Now(), absl::ZeroDuration(), absl::Hours(1)));
      pollfd ready{out_, POLLIN, 0};
      if (ppoll(&ready, 1, &wait, nullptr) <= 0) return std::nullopt;
      char buffer[1 << 16];
      const ssize_t n = read(out_, buffer, sizeof(buffer));
      if (n <= 0) return std::nullopt;
      text_.append(buffer, static_cast<size_t>(n));
    }
  }
  // As waitpid() tells it.
  int Wait() {
    if (pid_ > 0) {
      waitpid(pid_, &status_, 0);
      pid_ = 0;
    }
    return status_;
  }

 private:
  pid_t pid_ = 0;
  int out_ = -1;
  int status_ = 0;
  std::string text_;
  size_t at_ = 0;
};

// CrashedFile: a database on which crash_child works and ends, what the child
// has told, and what must therefore be there.
class CrashedFile {
 public:
  static constexpr int kThreads = 8;

  explicit CrashedFile(std::string file) : file_(std::move(file)) {}

  const std::string& file() const { return file_; }
  size_t runs_told() const { return runs_.size(); }
  size_t events_told() const { return told_; }

  // Takes a line of the child.
  void Take(const std::string& line) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::MaxSplits(' ', 3));
    if (words[0] == "run") {
      RunIs(words[1], std::stoi(words[2]), words[3]);
    } else if (words[0] == "event") {
      ++told_;
      EventIs(words[1], std::stoull(words[2]), words[3]);
    } else if (words[0] == "end") {
      EndIs(words[1], line.substr(5 + words[1].size()));
    } else if (words[0] == "copy") {
      copies_.insert(words[1]);
    } else if (words[0] == "deleted") {
      deleted_.insert(words[1]);
    } else {
      EXPECT_NE(words[0], "fault") << line;
    }
  }

  // Lets what is unfinished go on to its end, and compares.
  void Check() {
    absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> store =
        SqliteCheckpointer::Open(file_);
    ASSERT_TRUE(store.ok()) << store.status();
    Runtime runtime({.checkpointer = store->get()});
    const absl::Status registered =
        runtime.Register("job", MustCompile(graph_.builder));
    ASSERT_TRUE(registered.ok()) << registered;
    std::set<RunId> found;
    for (int i = 0; i < kThreads; ++i) {
      CheckThread(runtime, absl::StrCat("t", i), &found);
    }
    for (const auto& [id, run] : runs_) {
      EXPECT_TRUE(!run.on_its_own || found.contains(id))
          << "run " << id << " is missing";
    }
    CheckOthers(runtime);
    CheckOrphans(runtime, **store);
  }

 private:
  struct KnownRun {
    bool on_its_own = false;  // StartRun() had returned its id.
    int n = -1;
    std::vector<std::string> events{};  // From the first on.
    std::optional<std::string> end{};
    bool replayed = false;  // To its end.
  };

  void RunIs(const ThreadId& thread, int n, const RunId& id) {
    KnownRun& run = runs_[id];
    run.on_its_own = true;
    run.n = n;
    EXPECT_TRUE(ids_.emplace(absl::StrCat(thread, " ", n), id).second)
        << thread << " has two runs " << n;
  }
  void EventIs(const RunId& id, uint64_t event, const std::string& text) {
    std::vector<std::string>& events = runs_[id].events;
    ASSERT_LE(event, events.size()) << "a gap in the events of " << id;
    if (event == events.size()) {
      events.push_back(text);
    } else {
      EXPECT_EQ(events[event], text) << "event " << event << " of " << id;
    }
  }
  void EndIs(const RunId& id, const std::string& json) {
    KnownRun& run = runs_[id];
    if (run.end.has_value()) {
      EXPECT_EQ(*run.end, json) << "end of " << id;
    }
    run.end = json;
  }

  void CheckThread(Runtime& runtime, const ThreadId& thread,
                   std::set<RunId>* found) {
    SCOPED_TRACE(thread);
    const absl::StatusOr<std::vector<RunInfo>> runs =
        runtime.ListRuns(thread, {.limit = 1'000'000});
    if (absl::IsNotFound(runs.status())) return;
    ASSERT_TRUE(runs.ok()) << runs.status();
    const int count = static_cast<int>(runs->size());
    for (int n = 0; n < count; ++n) {
      const RunInfo& run = (*runs)[static_cast<size_t>(count - 1 - n)];
      found->insert(run.id);
      EXPECT_EQ(run.metadata.at("n"), absl::StrCat(n));
      runs_[run.id].n = n;
      CheckEvents(runtime, run);
      CheckEnd(runtime, run, n);
    }
    const absl::StatusOr<StateSnapshot> state = runtime.GetState(thread);
    ASSERT_TRUE(state.ok()) << state.status();
    CheckLog(state->values, LogAfter(count));
  }

  // Readers that come with the last id that they had seen, wherever that was.
  void CheckEvents(Runtime& runtime, const RunInfo& info) {
    KnownRun& run = runs_[info.id];
    if (run.replayed) return;
    const int64_t seen = static_cast<int64_t>(run.events.size()) - 1;
    std::vector<RunStream> streams;
    for (const int64_t last : {seen, int64_t{-1}, (seen - 1) / 2, seen - 1}) {
      absl::StatusOr<RunStream> stream =
          runtime.JoinStream(info.thread_id, info.id,
                             {.last_event_id = std::max<int64_t>(last, -1)});
      ASSERT_TRUE(stream.ok()) << stream.status();
      streams.push_back(*std::move(stream));
    }
    for (RunStream& stream : streams) {
      uint64_t next = static_cast<uint64_t>(stream.last_event_id() + 1);
      while (const Event* event = stream.Next()) {
        EXPECT_EQ(event->id(), next++) << info.id;
        std::ostringstream text;
        text << *event;
        EventIs(info.id, event->id(), text.str());
      }
      EXPECT_TRUE(stream.status().ok()) << stream.status();
      EXPECT_EQ(next, run.events.size()) << info.id;
    }
    CheckUpdates(run);
    run.replayed = true;
  }
  // What each task wrote is told, and again only by another attempt.
  void CheckUpdates(const KnownRun& run) {
    std::set<std::string> all;
    std::set<std::string> of_attempt;
    for (const std::string& event : run.events) {
      if (absl::StartsWith(event, "metadata")) of_attempt.clear();
      if (!absl::StartsWith(event, "updates") ||
          absl::StrContains(event, "__interrupt__")) {
        continue;
      }
      EXPECT_TRUE(of_attempt.insert(event).second) << event;
      all.insert(event);
    }
    EXPECT_EQ(all.size(), UpdatesOf(run.n));
  }

  static size_t UpdatesOf(int n) {
    const size_t after = LogAfter(n + 1).size();
    return n % 4 == 3 ? after - LogAfter(n - 2).size()
                      : after - LogAfter(n).size();
  }

  void CheckEnd(Runtime& runtime, const RunInfo& run, int n) {
    const absl::StatusOr<RunOutcome> outcome =
        runtime.Join(run.thread_id, run.id);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(outcome->status, RunStatus::kSuccess) << outcome->error;
    EXPECT_EQ(outcome->interrupts.size(), n % 4 == 1 ? 1U : 0U);
    CheckLog(outcome->values, LogAfter(n + 1));
    EndIs(run.id, outcome->ToJson());
  }
  void CheckLog(const Values& values, const std::vector<std::string>& log) {
    const auto there = values.Get(graph_.log);
    EXPECT_EQ(std::vector<std::string>(there.begin(), there.end()), log);
    EXPECT_EQ(values.Get(graph_.count), static_cast<int>(log.size()));
  }

  // Threads of the chores: as they were made, or gone.
  void CheckOthers(Runtime& runtime) {
    absl::StatusOr<ThreadList> all = runtime.SearchThreads({.limit = 1'000});
    ASSERT_TRUE(all.ok()) << all.status();
    for (const ThreadInfo& info : all->threads) {
      if (info.id[0] == 't') continue;
      SCOPED_TRACE(info.id);
      EXPECT_FALSE(deleted_.contains(info.id)) << "it had been deleted";
      const absl::StatusOr<std::vector<RunInfo>> runs =
          runtime.ListRuns(info.id);
      ASSERT_TRUE(runs.ok()) << runs.status();
      for (const RunInfo& run : *runs) {
        const absl::StatusOr<RunOutcome> outcome =
            runtime.Join(info.id, run.id);
        ASSERT_TRUE(outcome.ok()) << outcome.status();
        EXPECT_EQ(outcome->status, RunStatus::kSuccess) << outcome->error;
      }
      const absl::StatusOr<StateSnapshot> state = runtime.GetState(info.id);
      ASSERT_TRUE(state.ok()) << state.status();
      const int count = static_cast<int>(runs->size());
      const bool half_copied = runs->empty() && !copies_.contains(info.id);
      if (half_copied && !state->ref.id.has_value()) continue;
      CheckLog(state->values, LogAfter(std::max(count, 1)));
    }
    for (const ThreadId& copy : copies_) {
      EXPECT_TRUE(runtime.GetThread(copy).ok()) << "copy " << copy;
    }
  }

  // No checkpoint is of a thread that is not there.
  static void CheckOrphans(Runtime& runtime, Checkpointer& store) {
    absl::Notification done;
    absl::StatusOr<std::vector<CheckpointTuple>> all;
    store.List({}, [&](absl::StatusOr<std::vector<CheckpointTuple>> found) {
      all = std::move(found);
      done.Notify();
    });
    done.WaitForNotification();
    ASSERT_TRUE(all.ok()) << all.status();
    std::set<std::string> threads;
    for (const CheckpointTuple& tuple : *all) threads.insert(tuple.thread);
    for (const std::string& thread : threads) {
      EXPECT_TRUE(runtime.GetThread(thread).ok())
          << "checkpoints of no thread: " << thread;
    }
  }

  const std::string file_;
  const CrashGraph graph_;
  std::map<RunId, KnownRun> runs_;
  std::map<std::string, RunId> ids_;  // By thread and number.
  std::set<ThreadId> copies_;
  std::set<ThreadId> deleted_;
  size_t told_ = 0;
};

}  // namespace weir

#endif  // WEIR_TESTS_RUNTIME_CRASHED_FILE_H_
