// Reading and changing the state of a thread. Each brings a run to what a
// checkpoint holds, as if to go on from it, and looks at it or changes it; the
// run never begins.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"

#include "weir/runtime/errors.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/run_loop.h"

namespace weir {
inline namespace v0 {
namespace {

using internal::CompiledGraph;
using internal::CompiledNode;
using internal::MakeError;
using internal::Ref;
using internal::Run;

void WaitFor(const absl::Notification& done, Executor* executor) {
  if (done.HasBeenNotified()) return;
  if (executor == nullptr || !executor->RunUntil(done)) {
    done.WaitForNotification();
  }
}

// The result of an asynchronous call.
template <class T>
absl::StatusOr<T> Await(Executor* executor,
                        absl::FunctionRef<void(Checkpointer::Done<T>)> start) {
  absl::StatusOr<T> result;
  absl::Notification done;
  start([&result, &done](absl::StatusOr<T> given) {
    result = std::move(given);
    done.Notify();
  });
  WaitFor(done, executor);
  return result;
}

// Time for runs that never begin.
class NoExecutor final : public Executor {
 public:
  void Post(Job /*job*/) override {}
  TimerId PostAfter(absl::Duration /*delay*/, Job /*job*/) override {
    return 0;
  }
  bool Cancel(TimerId /*timer*/) override { return false; }
  absl::Time Now() const override { return clock_.Now(); }
  int workers() const override { return 1; }
  bool RunUntil(const absl::Notification& /*done*/) override { return false; }

 private:
  InlineExecutor clock_;
};

bool IsInput(const std::vector<StateUpdate>& updates) {
  return updates.size() == 1 && updates.front().as_node == kInputUpdate;
}

// Whether a superstep of updates leaves the checkpoint's state and what comes
// next as they are.
bool Copies(const std::vector<StateUpdate>& updates) {
  if (updates.size() != 1) return false;
  const StateUpdate& update = updates.front();
  return update.as_node == kCopyUpdate ||
         (update.as_node.empty() && !update.values.has_value());
}

absl::Status InvalidUpdate(const std::string& message) {
  return MakeError(ErrorKind::kInvalidUpdate,
                   absl::StatusCode::kInvalidArgument, message);
}

// What a thread's state is asked of.
class Access {
 public:
  Access(std::shared_ptr<const CompiledGraph> graph,
         const StateOptions& options)
      : graph_(std::move(graph)), options_(options) {}

  // The graph that is addressed, which may be one inside.
  absl::Status Find() {
    if (options_.checkpointer == nullptr) {
      return MakeError(ErrorKind::kNoCheckpointer,
                       absl::StatusCode::kFailedPrecondition,
                       absl::StrFormat("graph '%s' has no checkpointer to ask; "
                                       "set StateOptions::checkpointer",
                                       graph_->name));
    }
    thread_ = options_.thread_id;
    if (options_.at.has_value()) {
      ns_ = options_.at->ns;
      if (options_.at->id.has_value()) id_ = options_.at->id;
      if (thread_.empty()) thread_ = options_.at->thread_id;
    }
    if (thread_.empty()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("graph '%s' is asked for a state of no thread; set "
                          "StateOptions::thread_id",
                          graph_->name));
    }
    if (absl::Status s = FindGraph(); !s.ok()) return s;
    pieces_.emplace(graph_.get());
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<CheckpointTuple>> Get() const {
    return Await<std::optional<CheckpointTuple>>(
        options_.executor,
        [this](Checkpointer::Done<std::optional<CheckpointTuple>> done) {
          options_.checkpointer->Get({thread_, ns_, id_}, std::move(done));
        });
  }

  // Asks for pieces that are missing of what a checkpoint has in pieces.
  absl::Status LoadPieces(const Checkpoint& checkpoint) {
    std::vector<std::string> missing = pieces_->Missing(checkpoint);
    if (missing.empty()) return absl::OkStatus();
    using Histories = std::vector<std::vector<SavedChannel>>;
    const absl::StatusOr<Histories> histories = Await<Histories>(
        options_.executor, [&](Checkpointer::Done<Histories> done) {
          options_.checkpointer->History({thread_, ns_, checkpoint.id},
                                         std::move(missing), std::move(done));
        });
    if (!histories.ok()) return histories.status();
    pieces_->Note(*histories);
    return absl::OkStatus();
  }

  // Takes note of what several checkpoints have before the first is looked at,
  // so that pieces that they share are read once.
  void Note(const std::vector<CheckpointTuple>& tuples) {
    for (const CheckpointTuple& tuple : tuples) {
      pieces_->Note(tuple.checkpoint);
    }
  }

  // A run that is brought to a checkpoint, and has planned what comes next.
  absl::StatusOr<Ref<Run>> Plan(std::optional<CheckpointTuple> tuple,
                                bool with_finished) {
    const bool empty = !tuple.has_value();
    absl::StatusOr<Ref<Run>> run = Restore(std::move(tuple));
    if (!run.ok() || empty) return run;
    if (absl::Status s = (*run)->PlanRestored(with_finished); !s.ok()) return s;
    return run;
  }

  absl::StatusOr<Ref<Run>> Restore(std::optional<CheckpointTuple> tuple) {
    RunOptions options;
    options.thread_id = thread_;
    options.checkpointer = options_.checkpointer;
    env_ = std::make_shared<internal::RunEnv>(std::move(options), &executor_);
    auto run = Ref<Run>::Adopt(new Run(graph_, env_, nullptr, nullptr));
    run->SetNamespace(ns_);
    if (!tuple.has_value()) return run;
    pieces_->Note(tuple->checkpoint);
    if (absl::Status s = LoadPieces(tuple->checkpoint); !s.ok()) return s;
    absl::Status s = run->Restore(*std::move(tuple), *pieces_);
    if (!s.ok()) return s;
    return run;
  }

  absl::StatusOr<StateSnapshot> Snapshot(std::optional<CheckpointTuple> tuple) {
    absl::StatusOr<Ref<Run>> run =
        Plan(std::move(tuple), /*with_finished=*/!id_.has_value());
    if (!run.ok()) return run.status();
    StateSnapshot state = (*run)->Snapshot(/*as_history=*/id_.has_value());
    if (options_.at.has_value()) {
      for (const auto& [ns, id] : options_.at->around) {
        state.ref.around.try_emplace(ns, id);
      }
    }
    return state;
  }

  absl::Status Update(Run& run, std::vector<StateUpdate>& updates);

  const std::string& thread() const { return thread_; }
  const std::string& ns() const { return ns_; }
  const std::optional<CheckpointId>& id() const { return id_; }
  void set_id(CheckpointId id) { id_ = id; }
  const internal::RunEnv& env() const { return *env_; }

 private:
  absl::Status FindGraph();

  std::shared_ptr<const CompiledGraph> graph_;
  const StateOptions& options_;
  std::string thread_;
  std::string ns_;
  std::optional<CheckpointId> id_;
  NoExecutor executor_;
  std::shared_ptr<internal::RunEnv> env_;
  std::optional<internal::SavedPieces> pieces_;
};

absl::Status Access::FindGraph() {
  if (ns_.empty()) return absl::OkStatus();
  std::shared_ptr<const CompiledGraph> at = graph_;
  std::vector<std::string> levels = absl::StrSplit(ns_, '|');
  for (size_t i = 0; i < levels.size(); ++i) {
    const std::string name = levels[i].substr(0, levels[i].find(':'));
    const CompiledNode* const node = at->FindNode(name);
    size_t call = 0;
    if (i + 1 < levels.size() &&
        levels[i + 1].find_first_not_of("0123456789") == std::string::npos) {
      call = static_cast<size_t>(std::stoul(levels[++i]));
    }
    std::shared_ptr<const CompiledGraph> inside;
    if (node != nullptr) {
      inside = node->graph;
      if (inside == nullptr && !node->calls.empty()) {
        inside = node->calls[std::min(call, node->calls.size() - 1)];
      }
    }
    if (inside == nullptr) {
      return absl::NotFoundError(absl::StrFormat(
          "graph '%s' has no graph inside at '%s'; nodes that call graphs "
          "declare them in NodeOptions::calls",
          graph_->name, ns_));
    }
    at = std::move(inside);
  }
  graph_ = std::move(at);
  return absl::OkStatus();
}

// Applies one superstep of updates to a run that is brought to its checkpoint.
absl::Status Access::Update(Run& run, std::vector<StateUpdate>& updates) {
  if (updates.empty()) {
    return absl::InvalidArgumentError(
        "a superstep of no updates was given; give it at least one");
  }
  for (const StateUpdate& update : updates) {
    const bool special = update.as_node == kEnd ||
                         update.as_node == kInputUpdate ||
                         update.as_node == kCopyUpdate;
    if (updates.size() == 1) break;
    if (special || update.as_node.empty()) {
      return InvalidUpdate(absl::StrFormat(
          "of several updates in a superstep each names its node; '%s' stands "
          "alone",
          update.as_node));
    }
  }
  StateUpdate& first = updates.front();
  if (Copies(updates)) {
    const bool beside = first.as_node == kCopyUpdate;
    run.SaveUpdate(beside ? "fork" : "update", beside);
    return absl::OkStatus();
  }
  if (first.as_node == kEnd) {
    if (first.values.has_value()) {
      return InvalidUpdate(absl::StrFormat(
          "an update as '%s' ends what waits and writes nothing; leave out "
          "its values",
          std::string(kEnd)));
    }
    if (absl::Status s = run.EndPlanned(); !s.ok()) return s;
    run.SaveUpdate("update", false);
    return absl::OkStatus();
  }
  if (IsInput(updates)) {
    if (!first.values.has_value()) {
      return InvalidUpdate(absl::StrFormat(
          "an update as '%s' is new input; give it values, which may be empty",
          std::string(kInputUpdate)));
    }
    if (absl::Status s = run.TakeInput(*std::move(first.values)); !s.ok()) {
      return s;
    }
    run.SaveUpdate("input", false);
    return absl::OkStatus();
  }
  std::vector<Run::NodeUpdateOf> as;
  for (StateUpdate& update : updates) {
    const CompiledNode* node =
        update.as_node.empty() ? run.LastNode() : run.FindNode(update.as_node);
    if (node == nullptr && update.as_node.empty()) {
      return InvalidUpdate(
          "several nodes ran last, or a migration has dropped one that did, so "
          "that the update must name its node; set StateUpdate::as_node");
    }
    if (node == nullptr) {
      return InvalidUpdate(absl::StrFormat(
          "the update is as node '%s', which graph '%s' has not",
          update.as_node, graph_->name));
    }
    as.push_back({node,
                  update.values.has_value()
                      ? NodeResult(*std::move(update.values))
                      : NodeResult(),
                  std::move(update.task_id)});
  }
  if (absl::Status s = run.UpdateAs(std::move(as)); !s.ok()) return s;
  run.SaveUpdate("update", false);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StateSnapshot> Graph::GetState(
    const StateOptions& options) const {
  Access access(compiled_, options);
  if (absl::Status s = access.Find(); !s.ok()) return s;
  absl::StatusOr<std::optional<CheckpointTuple>> tuple = access.Get();
  if (!tuple.ok()) return tuple.status();
  absl::StatusOr<StateSnapshot> state = access.Snapshot(*std::move(tuple));
  if (!state.ok() || !options.subgraphs) return state;
  for (TaskState& task : state->tasks) {
    if (!task.inside.has_value()) continue;
    StateOptions inside = options;
    inside.at = task.inside;
    absl::StatusOr<StateSnapshot> child = GetState(inside);
    if (!child.ok()) return child.status();
    task.state = std::make_shared<const StateSnapshot>(*std::move(child));
  }
  return state;
}

absl::StatusOr<std::vector<StateSnapshot>> Graph::GetHistory(
    const StateOptions& options, HistoryOptions which) const {
  Access access(compiled_, options);
  if (absl::Status s = access.Find(); !s.ok()) return s;
  CheckpointQuery query;
  query.thread = access.thread();
  query.ns = access.ns();
  query.before = which.before;
  query.filter = std::move(which.filter);
  query.limit = which.limit;
  absl::StatusOr<std::vector<CheckpointTuple>> tuples =
      Await<std::vector<CheckpointTuple>>(
          options.executor,
          [&](Checkpointer::Done<std::vector<CheckpointTuple>> done) {
            options.checkpointer->List(std::move(query), std::move(done));
          });
  if (!tuples.ok()) return tuples.status();
  access.Note(*tuples);
  std::vector<StateSnapshot> history;
  for (CheckpointTuple& tuple : *tuples) {
    access.set_id(tuple.checkpoint.id);
    absl::StatusOr<StateSnapshot> state = access.Snapshot(std::move(tuple));
    if (!state.ok()) return state.status();
    history.push_back(*std::move(state));
  }
  return history;
}

absl::StatusOr<CheckpointRef> Graph::UpdateState(
    const StateOptions& options,
    std::vector<std::vector<StateUpdate>> supersteps) const {
  if (supersteps.empty()) {
    return absl::InvalidArgumentError(
        "no supersteps of updates were given; give at least one");
  }
  Access access(compiled_, options);
  if (absl::Status s = access.Find(); !s.ok()) return s;
  absl::StatusOr<ThreadLease> lease = Await<ThreadLease>(
      options.executor, [&](Checkpointer::Done<ThreadLease> done) {
        options.checkpointer->Open(access.thread(), std::move(done));
      });
  if (!lease.ok()) return lease.status();
  CheckpointRef ref;
  for (std::vector<StateUpdate>& superstep : supersteps) {
    absl::StatusOr<std::optional<CheckpointTuple>> tuple = access.Get();
    if (!tuple.ok()) return tuple.status();
    absl::StatusOr<Ref<Run>> run =
        Copies(superstep) || IsInput(superstep)
            ? access.Restore(*std::move(tuple))
            : access.Plan(*std::move(tuple), /*with_finished=*/false);
    if (!run.ok()) return run.status();
    access.env().session->Opened(*lease);
    if (absl::Status s = access.Update(**run, superstep); !s.ok()) return s;
    absl::Notification stored;
    if (!access.env().session->WhenStored([&stored] { stored.Notify(); })) {
      WaitFor(stored, options.executor);
    }
    if (absl::Status s = access.env().session->error(); !s.ok()) return s;
    ref = {access.thread(), access.ns(), (*run)->checkpoint(), {}};
    if (options.at.has_value()) ref.around = options.at->around;
    lease->last_sequence = ref.id.sequence;
    ++lease->last_version;
    access.set_id(ref.id);
  }
  return ref;
}

absl::StatusOr<CheckpointRef> Graph::UpdateState(const StateOptions& options,
                                                 StateUpdate update) const {
  std::vector<std::vector<StateUpdate>> supersteps(1);
  supersteps[0].push_back(std::move(update));
  return UpdateState(options, std::move(supersteps));
}

}  // namespace v0
}  // namespace weir
