// Coroutine nodes on the host's own event loop: weir's work and the host's take
// turns on one thread, and a node that waits for an answer holds nothing. An
// API with callbacks becomes something to co_await in a few lines.

#include <coroutine>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

#include "weir/channels/append_log.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace {

// Stands for the loop that the host has anyway: jobs by their time. It does not
// sleep until a job is due; its clock jumps there. Only its own thread adds
// jobs; where others do as well, such as the one of a store on disk, Add() and
// Remove() need a lock.
class EventLoop {
 public:
  using Job = absl::AnyInvocable<void()>;

  uint64_t Add(absl::Duration delay, Job job) {
    const uint64_t id = ++last_id_;
    jobs_.emplace(std::pair(now_ + delay, id), std::move(job));
    return id;
  }
  bool Remove(uint64_t id) {
    return std::erase_if(jobs_, [id](const auto& job) {
             return job.first.second == id;
           }) > 0;
  }
  // False if there is nothing to run.
  bool RunOne() {
    if (jobs_.empty()) return false;
    auto next = jobs_.extract(jobs_.begin());
    now_ = next.key().first;
    next.mapped()();
    return true;
  }
  absl::Time now() const { return now_; }

 private:
  absl::Time now_ = absl::UnixEpoch();
  uint64_t last_id_ = 0;
  std::map<std::pair<absl::Time, uint64_t>, Job> jobs_;
};

// All that weir asks of a loop.
class LoopExecutor final : public weir::Executor {
 public:
  explicit LoopExecutor(EventLoop& loop) : loop_(loop) {}

  void Post(Job job) override {
    loop_.Add(absl::ZeroDuration(), std::move(job));
  }
  TimerId PostAfter(absl::Duration delay, Job job) override {
    return loop_.Add(delay, std::move(job));
  }
  bool Cancel(TimerId timer) override { return loop_.Remove(timer); }
  absl::Time Now() const override { return loop_.now(); }
  int workers() const override { return 1; }
  // Of calls that wait, which a host with a loop does not make.
  bool RunUntil(const absl::Notification& done) override {
    while (!done.HasBeenNotified()) {
      if (!loop_.RunOne()) return false;
    }
    return true;
  }

 private:
  EventLoop& loop_;
};

void Print(const EventLoop& loop, const std::string& line) {
  std::cout << loop.now() - absl::UnixEpoch() << ": " + line + "\n";
}

// Stands for an API of the host's that calls back from its loop.
using OnPage = absl::AnyInvocable<void(absl::StatusOr<std::string>)>;
void Fetch(EventLoop& loop, const std::string& url, OnPage on_page) {
  Print(loop, "fetch " + url);
  loop.Add(absl::Milliseconds(5 * url.size()),
           [url, on_page = std::move(on_page)]() mutable {
             on_page("the page of " + url);
           });
}

// The same, to be awaited. It may resume the node wherever the answer comes.
class FetchCall {
 public:
  FetchCall(EventLoop& loop, std::string url)
      : loop_(loop), url_(std::move(url)) {}

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> node) {
    Fetch(loop_, url_, [this, node](absl::StatusOr<std::string> page) {
      page_ = std::move(page);
      node.resume();
    });
  }
  absl::StatusOr<std::string> await_resume() { return std::move(page_); }

 private:
  EventLoop& loop_;
  const std::string url_;
  absl::StatusOr<std::string> page_;
};

}  // namespace

int main() {
  EventLoop loop;
  weir::StateGraph builder;
  const auto pages =
      builder.AddChannel("pages", weir::AppendLogChannel<std::string>());
  for (const std::string url : {"trains.example", "weather.example"}) {
    builder.AddNode(url,
                    [&loop, pages,
                     url](weir::NodeContext&) -> weir::Task<weir::NodeResult> {
                      FetchCall fetch(loop, url);
                      const absl::StatusOr<std::string> page = co_await fetch;
                      if (!page.ok()) co_return page.status();
                      Print(loop, "got " + *page);
                      co_return weir::Update(pages, *page);
                    });
    builder.AddEdge(weir::kStart, url);
  }
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  LoopExecutor executor(loop);
  absl::Status status = absl::UnknownError("the run has not ended");
  bool ended = false;
  // Returns at once; the function is called on the loop.
  graph->Invoke(weir::Update(), {.executor = &executor},
                [&](const absl::StatusOr<weir::RunResult>& result) {
                  status = result.status();
                  ended = true;
                  if (result.ok()) Print(loop, result->ToJson());
                });
  // What else the host does meanwhile.
  const std::function<void()> draw = [&] {
    if (ended) return;
    Print(loop, "the host draws a frame");
    loop.Add(absl::Milliseconds(20), draw);
  };
  draw();

  while (loop.RunOne()) {
  }
  if (!status.ok()) {
    std::cerr << status << '\n';
    return 1;
  }
  return 0;
}
