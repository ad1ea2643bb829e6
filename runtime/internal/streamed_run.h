#ifndef WEIR_RUNTIME_INTERNAL_STREAMED_RUN_H_
#define WEIR_RUNTIME_INTERNAL_STREAMED_RUN_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/runtime/event.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/internal/reader.h"
#include "weir/runtime/run.h"
#include "weir/runtime/run_stream.h"
#include "weir/stream/event_log.h"

namespace weir {
inline namespace v0 {

namespace internal {

// StreamedRun: what a RunStream is a stream of.
class StreamedRun {
 public:
  virtual ~StreamedRun() = default;

  virtual const RunId& id() const = 0;
  virtual const std::string& thread_id() const = 0;
  // A reader leaves, perhaps before the end.
  virtual void Left(RunStream::Rep& reader, bool before_end) = 0;
  virtual void Cancel() = 0;
  virtual RunStatus final_status() const = 0;
  virtual absl::StatusOr<RunResult> Result() = 0;
  // What a reader is told that ends with `status`.
  virtual absl::Status Explain(absl::Status status) const { return status; }
  // The same, if the log has overtaken the reader.
  absl::Status ExplainOvertaken(absl::Status status) const;
};

}  // namespace internal

struct RunStream::Rep final : internal::Reader<Event> {
  Rep(std::shared_ptr<internal::StreamedRun> of, Cursor<Event> from,
      Executor* executor, std::shared_ptr<internal::ReaderGate> gate)
      : Reader(executor, std::move(gate)),
        run(std::move(of)),
        cursor(std::move(from)) {}

  const Event* Poll() override;
  bool ended() const override { return cursor.ended(); }
  absl::Status status() const override {
    return cursor.overtaken() ? run->ExplainOvertaken(cursor.status())
                              : run->Explain(cursor.status());
  }
  bool Arm(weir::Waiter* waiter) override { return cursor.Arm(waiter); }
  bool Disarm() override { return cursor.Disarm(); }

  const std::shared_ptr<internal::StreamedRun> run;
  Cursor<Event> cursor;
  Event current;
  bool cancels = false;  // The run, if its owner leaves before the end.
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_STREAMED_RUN_H_
