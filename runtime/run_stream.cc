#include "weir/runtime/internal/run_stream.h"

#include <utility>

#include "absl/synchronization/notification.h"

#include "weir/runtime/internal/new_id.h"

namespace weir {
inline namespace v0 {
namespace {

// Tells a thread that waits through an executor.
class NotifyingWaiter final : public Waiter {
 public:
  void Wake() noexcept override { woken.Notify(); }
  absl::Notification woken;
};

std::shared_ptr<internal::RunEnv> MakeEnv(RunOptions options) {
  Executor* const executor = options.executor;
  if (options.run_id.empty()) {
    options.run_id = internal::NewUuid(executor->Now());
  }
  auto env = internal::MakeRunEnv(std::move(options), executor);
  env->sent_messages = std::make_unique<internal::SentMessages>();
  return env;
}

Event ControlEvent(EventPayload payload) {
  return Event(kControl, internal::Ref<internal::EventBody>::Adopt(
                             new internal::EventBody(std::move(payload))));
}

}  // namespace

RunStream::Rep::Rep(std::shared_ptr<const internal::CompiledGraph> graph,
                    RunOptions options, std::unique_ptr<Executor> owned)
    : owned_executor(std::move(owned)),
      env(MakeEnv(std::move(options))),
      // A reader of a plain log that asks for what is to come is not refused.
      cursor(*log.Attach({.mask = env->options.modes | kControl})),
      run((env->log = &log,
           internal::Ref<internal::Run>::Adopt(
               new internal::Run(std::move(graph), env, this, nullptr)))) {
  run->MakeStoppable();
}

bool RunStream::Rep::Stop() {
  if (run->done().HasBeenNotified()) return true;
  run->Cancel();
  return env->executor->RunUntil(run->done());
}

void RunStream::Rep::AnnounceRun() {
  announces = true;
  log.Publish(kControl, ControlEvent(RunMetadata{env->options.run_id, 1}));
}

void RunStream::Rep::Start(Input input) {
  env->executor->Post([self = run, input = std::move(input)]() mutable {
    self->Begin(std::move(input));
  });
}

const Event* RunStream::Rep::Next() {
  while (true) {
    if (auto entry = cursor.TryNext()) {
      current = *entry;
      current.set_id(entry.id());
      return &current;
    }
    if (cursor.ended()) return nullptr;
    NotifyingWaiter waiter;
    if (!cursor.Arm(&waiter)) continue;
    if (env->executor->RunUntil(waiter.woken)) continue;
    // Nothing is left to run, and the run has not ended: a node waits for
    // something that never comes.
    if (!cursor.Disarm()) waiter.woken.WaitForNotification();
    return nullptr;
  }
}

void RunStream::Rep::RunEnded(internal::Run& ended) noexcept {
  if (ended.status().ok() || !announces) {
    log.Close(ended.status());
  } else {
    log.Close(ended.status(), ControlEvent(RunError{ended.status()}));
  }
}

RunStream::RunStream(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
RunStream::RunStream(RunStream&&) noexcept = default;

RunStream& RunStream::operator=(RunStream&& other) noexcept {
  const RunStream ended(std::move(*this));
  rep_ = std::move(other.rep_);
  return *this;
}

RunStream::~RunStream() {
  // Else its nodes still wait; they may be completed later.
  if (rep_ != nullptr && !rep_->Stop()) (void)rep_.release();
}

const Event* RunStream::Next() { return rep_->Next(); }

absl::Status RunStream::status() const { return rep_->cursor.status(); }

absl::StatusOr<RunResult> RunStream::Result() {
  if (!rep_->env->executor->RunUntil(rep_->run->done())) {
    return rep_->run->NeverEndsError();
  }
  if (!rep_->run->status().ok()) return rep_->run->status();
  return rep_->run->Result();
}

void RunStream::Cancel() { rep_->run->Cancel(); }

}  // namespace v0
}  // namespace weir
