// A host that is told to end: `drain_child FILE JOB...` runs a job on a thread
// of its own each, says "ready" when they are where they are to be, and at
// SIGTERM drains its Runtime and ends, whatever still runs.

#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <iostream>
#include <latch>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/runtime/drain_graph.h"

#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/runtime.h"

namespace weir {
namespace {

// Whether the sibling's writes are stored.
bool HasDone(const StateSnapshot& state) {
  return std::any_of(state.tasks.begin(), state.tasks.end(),
                     [](const TaskState& task) {
                       return task.name == "done" && task.finished;
                     });
}

int Serve(const std::string& file, const std::vector<std::string>& jobs) {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, nullptr);

  const auto asks = std::count(jobs.begin(), jobs.end(), "ask");
  std::latch begun(static_cast<ptrdiff_t>(jobs.size()) - asks);
  DrainGraph graph(true, [&begun] { begun.count_down(); });
  const absl::StatusOr<std::unique_ptr<SqliteCheckpointer>> store =
      SqliteCheckpointer::Open(file);
  if (!store.ok()) return 2;
  TbbExecutor executor(static_cast<int>(jobs.size()) + 2);
  Runtime runtime({.executor = &executor, .checkpointer = store->get()});
  if (!runtime.Register("drain", *graph.builder.Compile()).ok()) return 2;
  for (const std::string& job : jobs) {
    const absl::StatusOr<RunInfo> run = runtime.StartRun(
        job, "drain", Update(graph.job, job),
        {.resumable = true, .if_not_exists = IfNotExists::kCreate});
    if (!run.ok()) return 2;
    if (job == "ask" && !runtime.Join(job, run->id).ok()) return 2;
  }
  begun.wait();
  for (const std::string& job : jobs) {
    while (true) {
      const absl::StatusOr<StateSnapshot> state = runtime.GetState(job);
      if (!state.ok()) return 2;
      if (HasDone(*state)) break;
    }
  }
  std::cout << "ready" << std::endl;
  int signal = 0;
  sigwait(&term, &signal);
  const absl::Status drained = runtime.Drain(absl::Milliseconds(300));
  std::cout << drained << std::endl;
  // Nodes that do not hear are not waited for.
  _Exit(0);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  return weir::Serve(argv[1], {argv + 2, argv + argc});
}
