#include "weir/runtime/internal/own_run.h"

#include <utility>

#include "absl/synchronization/notification.h"

#include "weir/runtime/internal/new_id.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

std::shared_ptr<RunEnv> MakeEnv(RunOptions options, RunLog* log) {
  Executor* const executor = options.executor;
  if (options.run_id.empty()) options.run_id = NewUuid(executor->Now());
  auto env = std::make_shared<RunEnv>(std::move(options), executor);
  env->Watch(log);
  return env;
}

}  // namespace

OwnRun::OwnRun(std::shared_ptr<const CompiledGraph> graph, RunOptions options,
               std::unique_ptr<Executor> owned)
    : owned_executor_(std::move(owned)),
      log_({}),
      env_(MakeEnv(std::move(options), &log_)),
      run_(Ref<Run>::Adopt(new Run(std::move(graph), env_, this, nullptr))) {
  run_->MakeStoppable();
}

std::shared_ptr<RunStream::Rep> OwnRun::Start(Input input) {
  // A reader of a plain log that asks for what is to come is not refused.
  auto reader = std::make_shared<RunStream::Rep>(
      shared_from_this(), *log_.Open().Attach({.mask = env_->modes}),
      env_->executor, gate_);
  env_->executor->Post([run = run_, input = std::move(input)]() mutable {
    run->Begin(std::move(input));
  });
  return reader;
}

void OwnRun::Left(RunStream::Rep& /*reader*/, bool before_end) {
  if (before_end) run_->Cancel();
  if (!run_->AwaitEnd()) {
    self_ = shared_from_this();
    return;
  }
  absl::Notification unread;
  gate_->WhenEmpty(&unread);
  if (!env_->executor->RunUntil(unread)) unread.WaitForNotification();
}

RunStatus OwnRun::final_status() const {
  if (run_->status().ok()) return RunStatus::kSuccess;
  return absl::IsCancelled(run_->status()) ? RunStatus::kInterrupted
                                           : RunStatus::kError;
}

absl::StatusOr<RunResult> OwnRun::Result() {
  if (!run_->AwaitEnd()) return run_->NeverEndsError();
  if (!run_->status().ok()) return run_->status();
  return run_->Result();
}

void OwnRun::RunEnded(Run& ended) noexcept {
  log_.Open().Close(ended.status());
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
