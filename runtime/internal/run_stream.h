#ifndef WEIR_RUNTIME_INTERNAL_RUN_STREAM_H_
#define WEIR_RUNTIME_INTERNAL_RUN_STREAM_H_

#include <memory>

#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/run.h"
#include "weir/stream/event_log.h"

namespace weir {
inline namespace v0 {

// A run, its log, and the one reader that was there before it began.
struct RunStream::Rep final : internal::RunListener {
  // `owned` is the options' executor, if the stream is to keep it.
  Rep(std::shared_ptr<const internal::CompiledGraph> graph, RunOptions options,
      std::unique_ptr<Executor> owned);

  // Ends the run, unless it can never end: false then.
  bool Stop();

  // Publishes the run's metadata, and later its failure, as events.
  void AnnounceRun();
  // Begins the run on the executor.
  void Start(Input input);

  const Event* Next();
  void RunEnded(internal::Run& ended) noexcept override;

  const std::unique_ptr<Executor> owned_executor;
  const std::shared_ptr<internal::RunEnv> env;
  EventLog<Event> log;
  Cursor<Event> cursor;
  const internal::Ref<internal::Run> run;
  bool announces = false;
  Event current;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_RUN_STREAM_H_
