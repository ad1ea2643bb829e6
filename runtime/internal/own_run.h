#ifndef WEIR_RUNTIME_INTERNAL_OWN_RUN_H_
#define WEIR_RUNTIME_INTERNAL_OWN_RUN_H_

#include <memory>

#include "weir/runtime/executor.h"
#include "weir/runtime/internal/ref.h"
#include "weir/runtime/internal/run_log.h"
#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/internal/streamed_run.h"
#include "weir/runtime/run.h"

namespace weir {
inline namespace v0 {
namespace internal {

// OwnRun: the run of a Graph::Stream(), which belongs to its one reader.
class OwnRun final : public StreamedRun,
                     public std::enable_shared_from_this<OwnRun>,
                     private RunListener {
 public:
  // `owned` is the options' executor, if the stream is to keep it.
  OwnRun(std::shared_ptr<const CompiledGraph> graph, RunOptions options,
         std::unique_ptr<Executor> owned);

  // Begins the run on the executor; for the reader returned.
  std::shared_ptr<RunStream::Rep> Start(Input input);

  const RunId& id() const override { return env_->run_id; }
  const std::string& thread_id() const override { return env_->thread_id; }
  // Ends the run.
  void Left(RunStream::Rep& reader, bool before_end) override;
  void Cancel() override { run_->Cancel(); }
  RunStatus final_status() const override;
  absl::StatusOr<RunResult> Result() override;

 private:
  void RunEnded(Run& ended) noexcept override;

  const std::unique_ptr<Executor> owned_executor_;
  RunLog log_;
  const std::shared_ptr<RunEnv> env_;
  const Ref<Run> run_;
  const std::shared_ptr<ReaderGate> gate_ = std::make_shared<ReaderGate>();
  // Itself, if nobody reads any more and its nodes still wait: they may be
  // completed later.
  std::shared_ptr<OwnRun> self_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_OWN_RUN_H_
