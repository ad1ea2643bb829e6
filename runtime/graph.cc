#include "weir/runtime/graph.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"

#include "weir/runtime/internal/caller_executor.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/own_run.h"
#include "weir/runtime/internal/ref.h"
#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/internal/saved_by.h"
#include "weir/runtime/internal/step_task.h"
#include "weir/runtime/run_stream.h"

namespace weir {
inline namespace v0 {
namespace {

// About as long as it takes to wake a sleeping thread. Spinning that long for a
// run that other workers are about to end never costs more than twice the wait.
constexpr int kSpins = 1000;

// The run of a caller who does not wait for it. It keeps itself until its end.
class DetachedRun final : public internal::RunListener {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<RunResult>)>;

  // What it is made of. The worker that begins it makes it, so that what many
  // runs are made of is not all of one thread's memory.
  struct Parts {
    std::shared_ptr<const internal::CompiledGraph> graph;
    Input input;
    RunOptions options;
    Done done;
  };

  DetachedRun(RunOptions options, Executor* executor, Done done)
      : env_(std::move(options), executor), done_(std::move(done)) {}

  static void Begin(Parts&& of) {
    Executor* const executor = of.options.executor;
    const auto self = std::make_shared<DetachedRun>(
        std::move(of.options), executor, std::move(of.done));
    // One piece of memory with it.
    std::shared_ptr<internal::RunEnv> env(self, &self->env_);
    const auto run = internal::Ref<internal::Run>::Adopt(new internal::Run(
        std::move(of.graph), std::move(env), self.get(), nullptr));
    self->run_ = run;
    run->Begin(std::move(of.input));
  }

 private:
  void RunEnded(internal::Run& run) noexcept override {
    // The run has this, and ends with it.
    const internal::Ref<internal::Run> last = std::move(run_);
    Done done = std::move(done_);
    if (run.status().ok()) {
      done(run.Result());
    } else {
      done(run.status());
    }
  }

  internal::RunEnv env_;
  internal::Ref<internal::Run> run_;  // Has this; until its end.
  Done done_;
};

}  // namespace

absl::StatusOr<RunResult> Graph::Invoke(Input input, RunOptions options) const {
  internal::CallerExecutor caller;
  Executor* const executor =
      options.executor != nullptr ? options.executor : &caller;
  auto env = std::make_shared<internal::RunEnv>(std::move(options), executor);
  auto run = internal::Ref<internal::Run>::Adopt(
      new internal::Run(compiled_, env, nullptr, nullptr));
  run->Begin(std::move(input));
  // Some tasks are on other workers, or wait. Takes part in what comes next.
  if (env->executor->workers() > 1) {
    for (int i = 0; i < kSpins && !run->ended(); ++i) {
      run->Work();
    }
  }
  if (!run->AwaitEnd()) {
    const absl::Status never_ends = run->NeverEndsError();
    run.release();  // Its nodes still wait; they may be completed later.
    return never_ends;
  }
  caller.RetireJobs();
  if (!run->status().ok()) return run->status();
  return run->Result();
}

void Graph::Invoke(
    Input input, RunOptions options,
    absl::AnyInvocable<void(absl::StatusOr<RunResult>)> done) const {
  Executor* const executor = options.executor;
  if (executor == nullptr) {
    return done(absl::InvalidArgumentError(
        "Invoke() that does not wait needs RunOptions::executor: nothing else "
        "would run the graph"));
  }
  executor->Post(
      [of = std::make_unique<DetachedRun::Parts>(DetachedRun::Parts{
           compiled_, std::move(input), std::move(options), std::move(done)})] {
        DetachedRun::Begin(std::move(*of));
      });
}

int Graph::version() const { return compiled_->version; }

std::string Graph::fingerprint() const {
  return internal::ShownFingerprint(compiled_->fingerprint);
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
