#include "weir/runtime/graph.h"

#include <memory>
#include <utility>

#include "weir/runtime/internal/caller_executor.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/own_run.h"
#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/run_stream.h"

namespace weir {
inline namespace v0 {
namespace {

// About as long as it takes to wake a sleeping thread. Spinning that long for a
// run that other workers are about to end never costs more than twice the wait.
constexpr int kSpins = 1000;

}  // namespace

absl::StatusOr<RunResult> Graph::Invoke(Input input, RunOptions options) const {
  internal::CallerExecutor caller;
  Executor* const executor =
      options.executor != nullptr ? options.executor : &caller;
  auto env = internal::MakeRunEnv(std::move(options), executor);
  auto run = internal::Ref<internal::Run>::Adopt(
      new internal::Run(compiled_, env, nullptr, nullptr));
  run->Begin(std::move(input));
  // Some tasks are on other workers, or wait. Takes part in what comes next.
  if (env->executor->workers() > 1) {
    for (int i = 0; i < kSpins && !run->done().HasBeenNotified(); ++i) {
      run->Work();
    }
  }
  if (!run->done().HasBeenNotified() && !env->executor->RunUntil(run->done())) {
    const absl::Status never_ends = run->NeverEndsError();
    run.release();  // Its nodes still wait; they may be completed later.
    return never_ends;
  }
  caller.RetireJobs();
  if (!run->status().ok()) return run->status();
  return run->Result();
}

RunStream Graph::Stream(Input input, RunOptions options) const {
  std::unique_ptr<Executor> workers;
  if (options.executor == nullptr) {
    workers = std::make_unique<TbbExecutor>();
    options.executor = workers.get();
  }
  auto run = std::make_shared<internal::OwnRun>(compiled_, std::move(options),
                                                std::move(workers));
  return RunStream(run->Start(std::move(input)));
}

}  // namespace v0
}  // namespace weir
