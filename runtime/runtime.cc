#include "weir/runtime/runtime.h"

#include <utility>

#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/internal/new_id.h"
#include "weir/runtime/internal/service.h"
#include "weir/runtime/internal/thread_reader.h"
#include "weir/runtime/memory_store.h"

namespace weir {
inline namespace v0 {

using internal::RunPtr;

struct Runtime::Rep {
  // What the Runtime makes for itself; null where the host gave its own.
  std::unique_ptr<Executor> executor;
  std::unique_ptr<Checkpointer> checkpointer;
  std::unique_ptr<Store> store;

  std::shared_ptr<internal::Service> service;
};

Runtime::Runtime(RuntimeOptions options) : rep_(std::make_unique<Rep>()) {
  if (options.executor == nullptr) {
    rep_->executor = std::make_unique<TbbExecutor>();
    options.executor = rep_->executor.get();
  }
  if (options.checkpointer == nullptr) {
    rep_->checkpointer = std::make_unique<MemoryCheckpointer>();
    options.checkpointer = rep_->checkpointer.get();
  }
  const auto now = [executor = options.executor] { return executor->Now(); };
  if (options.store == nullptr) {
    rep_->store = std::make_unique<MemoryStore>(MemoryStoreOptions{.now = now});
    options.store = rep_->store.get();
  }
  if (!options.new_id) {
    options.new_id = [now] { return internal::NewUuid(now()); };
  }
  rep_->service = std::make_shared<internal::Service>(std::move(options));
}

Runtime::~Runtime() {
  // Else nodes still wait; they may be completed later, and need it all.
  if (!rep_->service->Shutdown()) (void)rep_.release();
}

absl::Status Runtime::Register(std::string_view name, Graph graph) {
  return rep_->service->Register(name, std::move(graph));
}

ThreadId Runtime::CreateThread() {
  absl::StatusOr<ThreadInfo> made = CreateThread(ThreadOptions());
  return made.ok() ? made->id : ThreadId();
}

absl::StatusOr<ThreadInfo> Runtime::CreateThread(ThreadOptions options) {
  return rep_->service->CreateThread(std::move(options));
}

absl::StatusOr<ThreadInfo> Runtime::GetThread(const ThreadId& thread) const {
  return rep_->service->GetThread(thread);
}

absl::StatusOr<ThreadInfo> Runtime::UpdateThread(const ThreadId& thread,
                                                 ThreadChange change) {
  return rep_->service->UpdateThread(thread, std::move(change));
}

absl::Status Runtime::DeleteThread(const ThreadId& thread) {
  return rep_->service->DeleteThread(thread);
}

absl::StatusOr<ThreadInfo> Runtime::CopyThread(const ThreadId& thread) {
  return rep_->service->CopyThread(thread);
}

absl::StatusOr<ThreadList> Runtime::SearchThreads(
    const ThreadQuery& query) const {
  return rep_->service->SearchThreads(query);
}

absl::StatusOr<size_t> Runtime::CountThreads(const ThreadQuery& query) const {
  absl::StatusOr<ThreadList> list = SearchThreads(query);
  if (!list.ok()) return list.status();
  return list->total;
}

absl::StatusOr<StateSnapshot> Runtime::GetState(const ThreadId& thread,
                                                StateOptions options) const {
  return rep_->service->GetState(thread, std::move(options));
}

absl::StatusOr<std::vector<StateSnapshot>> Runtime::GetHistory(
    const ThreadId& thread, HistoryOptions which, StateOptions options) const {
  return rep_->service->GetHistory(thread, std::move(which),
                                   std::move(options));
}

absl::StatusOr<CheckpointRef> Runtime::UpdateState(const ThreadId& thread,
                                                   StateUpdate update,
                                                   StateOptions options) {
  return rep_->service->UpdateState(thread, std::move(update),
                                    std::move(options));
}

void Runtime::StartRun(const ThreadId& thread, std::string_view graph,
                       Input input, StartOptions options,
                       absl::AnyInvocable<void(absl::StatusOr<RunInfo>)> done) {
  rep_->service->Start(
      {thread, std::string(graph), std::move(input), std::move(options)},
      std::move(done));
}

absl::StatusOr<RunInfo> Runtime::StartRun(const ThreadId& thread,
                                          std::string_view graph, Input input,
                                          StartOptions options) {
  std::vector<internal::Service::NewRun> runs;
  runs.push_back(
      {thread, std::string(graph), std::move(input), std::move(options)});
  absl::StatusOr<std::vector<RunInfo>> started =
      rep_->service->Start(std::move(runs));
  if (!started.ok()) return started.status();
  return std::move(started->front());
}

absl::StatusOr<RunStream> Runtime::Stream(const ThreadId& thread,
                                          std::string_view graph, Input input,
                                          StartOptions options) {
  absl::StatusOr<std::shared_ptr<RunStream::Rep>> reader =
      rep_->service->Stream(
          {thread, std::string(graph), std::move(input), std::move(options)});
  if (!reader.ok()) return reader.status();
  return RunStream(*std::move(reader));
}

absl::StatusOr<RunOutcome> Runtime::Wait(const ThreadId& thread,
                                         std::string_view graph, Input input,
                                         StartOptions options,
                                         std::stop_token stop) {
  const JoinOptions join{options.on_disconnect == OnDisconnect::kCancel,
                         std::move(stop)};
  absl::StatusOr<RunPtr> run = rep_->service->StartOne(
      {thread, std::string(graph), std::move(input), std::move(options)});
  if (!run.ok()) return run.status();
  return rep_->service->Wait(*run, join);
}

absl::StatusOr<std::vector<RunInfo>> Runtime::StartBatch(
    std::vector<BatchRun> runs) {
  if (runs.empty()) {
    return absl::InvalidArgumentError("a batch needs at least one run");
  }
  std::vector<internal::Service::NewRun> all;
  all.reserve(runs.size());
  for (BatchRun& run : runs) {
    all.push_back({ThreadId(), std::move(run.graph), std::move(run.input),
                   std::move(run.options)});
  }
  return rep_->service->Start(std::move(all));
}

absl::StatusOr<RunInfo> Runtime::GetRun(const ThreadId& thread,
                                        const RunId& run) const {
  return rep_->service->GetRun(thread, run);
}

absl::StatusOr<std::vector<RunInfo>> Runtime::ListRuns(
    const ThreadId& thread, const RunQuery& query) const {
  return rep_->service->ListRuns(thread, query);
}

absl::StatusOr<RunOutcome> Runtime::Join(const ThreadId& thread,
                                         const RunId& run,
                                         JoinOptions options) {
  absl::StatusOr<RunPtr> found = rep_->service->FindRun(thread, run);
  if (!found.ok()) return found.status();
  return rep_->service->Wait(*found, options);
}

void Runtime::Join(const ThreadId& thread, const RunId& run,
                   JoinOptions options,
                   absl::AnyInvocable<void(absl::StatusOr<RunOutcome>)> done) {
  absl::StatusOr<RunPtr> found = rep_->service->FindRun(thread, run);
  if (found.ok()) {
    rep_->service->Join(*found, options, std::move(done));
  } else {
    rep_->service->Answer(std::move(done), found.status());
  }
}

absl::StatusOr<RunStream> Runtime::JoinStream(const ThreadId& thread,
                                              const RunId& run,
                                              JoinStreamOptions options) {
  absl::StatusOr<RunPtr> found = rep_->service->FindRun(thread, run);
  if (!found.ok()) return found.status();
  absl::StatusOr<std::shared_ptr<RunStream::Rep>> reader =
      rep_->service->Read(*found, options);
  if (!reader.ok()) return reader.status();
  return RunStream(*std::move(reader));
}

absl::StatusOr<ThreadStream> Runtime::JoinThreadStream(
    const ThreadId& thread, ThreadStreamOptions options) {
  absl::StatusOr<std::shared_ptr<ThreadStream::Rep>> reader =
      rep_->service->ReadThread(thread, options);
  if (!reader.ok()) return reader.status();
  return ThreadStream(*std::move(reader));
}

absl::Status Runtime::Cancel(const ThreadId& thread, const RunId& run,
                             CancelOptions options) {
  absl::StatusOr<RunPtr> found = rep_->service->FindRun(thread, run);
  if (!found.ok()) return found.status();
  return rep_->service->Cancel({*std::move(found)}, options);
}

absl::Status Runtime::CancelMany(const CancelQuery& query,
                                 CancelOptions options) {
  return rep_->service->CancelMany(query, options);
}

absl::Status Runtime::DeleteRun(const ThreadId& thread, const RunId& run) {
  return rep_->service->DeleteRun(thread, run);
}

absl::Status Runtime::Drain(absl::Duration deadline) {
  return rep_->service->Drain(deadline);
}

RuntimeCounters Runtime::counters() const { return rep_->service->Counters(); }

Store& Runtime::store() { return *rep_->service->store; }

}  // namespace v0
}  // namespace weir
