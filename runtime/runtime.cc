#include "weir/runtime/runtime.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"

#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/runtime/internal/new_id.h"
#include "weir/runtime/internal/run_stream.h"
#include "weir/runtime/memory_store.h"

namespace weir {
inline namespace v0 {

struct Runtime::Rep {
  // Fixed after construction.
  std::unique_ptr<Executor> owned_executor;
  Executor* executor = nullptr;
  std::unique_ptr<Checkpointer> owned_checkpointer;
  Checkpointer* checkpointer = nullptr;
  std::unique_ptr<Store> owned_store;
  Store* store = nullptr;
  std::function<std::string()> new_id;

  absl::Mutex mutex;
  absl::flat_hash_map<std::string, Graph> graphs ABSL_GUARDED_BY(mutex);
  absl::flat_hash_set<ThreadId> threads ABSL_GUARDED_BY(mutex);
};

Runtime::Runtime(RuntimeOptions options) : rep_(std::make_unique<Rep>()) {
  rep_->executor = options.executor;
  if (rep_->executor == nullptr) {
    rep_->owned_executor = std::make_unique<TbbExecutor>();
    rep_->executor = rep_->owned_executor.get();
  }
  rep_->checkpointer = options.checkpointer;
  if (rep_->checkpointer == nullptr) {
    rep_->owned_checkpointer = std::make_unique<MemoryCheckpointer>();
    rep_->checkpointer = rep_->owned_checkpointer.get();
  }
  rep_->store = options.store;
  if (rep_->store == nullptr) {
    rep_->owned_store = std::make_unique<MemoryStore>(MemoryStoreOptions{
        .now = [executor = rep_->executor] { return executor->Now(); }});
    rep_->store = rep_->owned_store.get();
  }
  rep_->new_id = std::move(options.new_id);
  if (!rep_->new_id) {
    rep_->new_id = [executor = rep_->executor] {
      return internal::NewUuid(executor->Now());
    };
  }
}

Runtime::~Runtime() = default;

absl::Status Runtime::Register(std::string_view name, Graph graph) {
  absl::MutexLock lock(&rep_->mutex);
  if (!rep_->graphs.try_emplace(std::string(name), std::move(graph)).second) {
    return absl::AlreadyExistsError(absl::StrFormat(
        "a graph is registered as '%s' already; choose another name", name));
  }
  return absl::OkStatus();
}

ThreadId Runtime::CreateThread() {
  ThreadId id = rep_->new_id();
  absl::MutexLock lock(&rep_->mutex);
  rep_->threads.insert(id);
  return id;
}

Store& Runtime::store() { return *rep_->store; }

absl::StatusOr<Graph> Runtime::Find(const ThreadId& thread,
                                    std::string_view name) {
  absl::MutexLock lock(&rep_->mutex);
  auto it = rep_->graphs.find(std::string(name));
  if (it == rep_->graphs.end()) {
    return absl::NotFoundError(absl::StrFormat(
        "no graph is registered as '%s'; call Register() first", name));
  }
  if (!rep_->threads.contains(thread)) {
    return absl::NotFoundError(absl::StrFormat(
        "thread '%s' does not exist; call CreateThread() first", thread));
  }
  return it->second;
}

absl::StatusOr<RunStream> Runtime::Stream(const ThreadId& thread,
                                          std::string_view name, Input input,
                                          RunOptions options) {
  absl::StatusOr<Graph> graph = Find(thread, name);
  if (!graph.ok()) return graph.status();
  options.executor = rep_->executor;
  options.checkpointer = rep_->checkpointer;
  if (options.store == nullptr) options.store = rep_->store;
  options.thread_id = thread;
  options.run_id = rep_->new_id();
  auto stream = std::make_unique<RunStream::Rep>(graph->shared(),
                                                 std::move(options), nullptr);
  stream->AnnounceRun();
  stream->Start(std::move(input));
  return RunStream(std::move(stream));
}

absl::StatusOr<StateSnapshot> Runtime::GetState(const ThreadId& thread,
                                                std::string_view name,
                                                StateOptions options) {
  absl::StatusOr<Graph> graph = Find(thread, name);
  if (!graph.ok()) return graph.status();
  options.checkpointer = rep_->checkpointer;
  options.thread_id = thread;
  return graph->GetState(options);
}

absl::StatusOr<std::vector<StateSnapshot>> Runtime::GetHistory(
    const ThreadId& thread, std::string_view name, HistoryOptions which,
    StateOptions options) {
  absl::StatusOr<Graph> graph = Find(thread, name);
  if (!graph.ok()) return graph.status();
  options.checkpointer = rep_->checkpointer;
  options.thread_id = thread;
  return graph->GetHistory(options, std::move(which));
}

absl::StatusOr<CheckpointRef> Runtime::UpdateState(const ThreadId& thread,
                                                   std::string_view name,
                                                   StateUpdate update,
                                                   StateOptions options) {
  absl::StatusOr<Graph> graph = Find(thread, name);
  if (!graph.ok()) return graph.status();
  options.checkpointer = rep_->checkpointer;
  options.thread_id = thread;
  return graph->UpdateState(options, std::move(update));
}

}  // namespace v0
}  // namespace weir
