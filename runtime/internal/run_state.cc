// A thread's state as it is shown, and changed by hand.

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/internal/saved_by.h"

namespace weir {
inline namespace v0 {
namespace internal {

// Shows in the state what the tasks that have finished wrote, as the barrier
// will. Whether any of it is shown to readers.
bool Run::ApplyFinished() {
  bool any_shown = false;
  for (uint32_t i = 0; i < task_count_; ++i) {
    const StepTask& task = tasks_[i];
    const bool finished =
        task.stored || (task.ended && !task.interrupted && task.status.ok());
    if (!finished) continue;
    for (const Write& write : task.writes) {
      // What the barrier would refuse, it will refuse when it comes.
      try {
        if (!channels_.Apply(write.channel, write.value, write.overwrite != 0)
                 .ok()) {
          continue;
        }
      } catch (...) {
        continue;
      }
      any_shown |= graph_->in_output[write.channel] || parent_ == nullptr;
    }
  }
  return any_shown;
}

StateSnapshot Run::Snapshot(bool as_history) const {
  StateSnapshot state;
  state.ref = {env_->session->thread(), line_->ns, line_->current, {}};
  state.values = MakeValues();
  if (!line_->current.has_value()) return state;
  state.values = ReadAll(nullptr);
  const std::set<std::string> open = line_->found.Open();
  state.parent = line_->parent;
  state.metadata = line_->metadata;
  state.created_at = line_->created_at;
  for (const auto& [ns, id] : line_->metadata.parents) {
    state.ref.around[ns] = id;
  }
  for (uint32_t i = 0; i < task_count_; ++i) {
    const StepTask& task = tasks_[i];
    TaskState shown;
    shown.id = task.Id();
    shown.name = task.node->name;
    bool begun = false;
    if (task.found >= 0) {
      const TaskWrites& found = line_->found[static_cast<size_t>(task.found)];
      if (found.interrupts.has_value()) {
        shown.interrupts = found.interrupts->interrupts;
        for (const Interrupt& interrupt : shown.interrupts) {
          if (as_history || open.contains(interrupt.id)) {
            state.interrupts.push_back(interrupt);
          }
        }
      }
      // A task that has been given answers has begun, as LangGraph sees it.
      begun = !found.answers.empty();
      shown.error = found.error;
      shown.finished = found.finished();
      if (shown.finished) {
        shown.result = MakeValues();
        for (const Write& write : found.writes) {
          shown.result.Add(write.channel, write.value);
        }
      }
    }
    const CompiledNode& node = *task.node;
    const CompiledGraph* inside =
        node.graph != nullptr
            ? node.graph.get()
            : (node.calls.empty() ? nullptr : node.calls.front().get());
    if (inside != nullptr && inside->memory != Memory::kNone) {
      shown.inside = CheckpointRef{state.ref.thread_id,
                                   NamespaceInside(task, *inside, 0),
                                   {},
                                   state.ref.around};
      shown.inside->around[line_->ns] = line_->current;
    }
    if (as_history || (!shown.finished && !begun)) {
      state.next.push_back(shown.name);
    }
    state.tasks.push_back(std::move(shown));
  }
  return state;
}

absl::Status Run::PlanRestored(bool with_finished) {
  TaskWrites null = TakeNullTask();
  if (absl::Status s = ApplyNullTask(null); !s.ok()) return s;
  PlanTasks();
  TakeFound();
  if (with_finished) ApplyFinished();
  return absl::OkStatus();
}

const CompiledNode* Run::FindNode(std::string_view name) const {
  if (name == kStart) return &graph_->start;
  const uint32_t node = graph_->Resolve(NodeRef(name));
  return node < graph_->nodes.size() ? &graph_->nodes[node] : nullptr;
}

const CompiledNode* Run::LastNode() const {
  if (!line_->current.has_value()) return &graph_->start;
  if (graph_->nodes.size() == 1) return &graph_->nodes[0];
  const SavedBy* const by = line_->saved_by.get();
  if (by != nullptr && by->dropped_ran()) return nullptr;
  if (line_->ran.empty()) return &graph_->start;
  return line_->ran.size() == 1 ? FindNode(line_->ran[0]) : nullptr;
}

absl::Status Run::UpdateAs(std::vector<NodeUpdateOf> updates) {
  // What edges led to lives for one superstep; what joins and the finish led to
  // waits until it has run.
  std::vector<const CompiledNode*> waited;
  // The planned tasks' ids, for the record of what each has done.
  std::vector<std::pair<std::string, std::string>> planned;
  for (uint32_t i = 0; i < task_count_; ++i) {
    const CompiledNode& node = *tasks_[i].node;
    if (!tasks_[i].is_send() &&
        (node.defer ||
         std::any_of(node.led_by_joins.begin(), node.led_by_joins.end(),
                     [this](uint32_t join) {
                       return triggers_.join(join).complete();
                     }))) {
      waited.push_back(&node);
    }
    if (tasks_[i].stored) continue;
    planned.emplace_back(node.name, tasks_[i].Id());
  }
  ReserveTasks(updates.size());
  task_count_ = 0;
  std::stable_sort(updates.begin(), updates.end(),
                   [](const NodeUpdateOf& a, const NodeUpdateOf& b) {
                     return a.node->name < b.node->name;
                   });
  for (NodeUpdateOf& update : updates) {
    StepTask& task = tasks_[task_count_];
    task.Plan(this, update.node, task_count_);
    ++task_count_;
    if (absl::Status s = task.TakeGiven(update.result); !s.ok()) return s;
    if (!line_->current.has_value()) continue;
    std::string id = std::move(update.task_id);
    for (auto& [node, task_id] : planned) {
      if (!id.empty() || node != update.node->name) continue;
      id = std::exchange(task_id, "");
    }
    std::vector<PendingWrite> writes = task.Writes();
    for (PendingWrite& write : writes) {
      if (!id.empty()) write.task_id = id;
    }
    env_->session->PutWrites({line_->ns, line_->current, std::move(writes)});
  }
  line_->found.clear();
  line_->start = nullptr;
  if (absl::Status s = Merge(); !s.ok()) return s;
  task_count_ = 0;
  for (const CompiledNode* node : waited) {
    const bool ran =
        std::any_of(updates.begin(), updates.end(),
                    [node](const NodeUpdateOf& u) { return u.node == node; });
    if (!ran)
      triggers_.RestoreDue(static_cast<uint32_t>(node - graph_->nodes.data()));
  }
  return absl::OkStatus();
}

absl::Status Run::TakeInput(Update update) {
  Input input = Input::Values(std::move(update));
  if (absl::Status s = PlanStart(input); !s.ok()) return s;
  DropPlanned();
  return absl::OkStatus();
}

absl::Status Run::EndPlanned() {
  absl::Status unmerged = CheckDropped();
  if (!unmerged.ok()) return unmerged;
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (!tasks_[i].stored) {
      tasks_[i].fires_edges = false;
    }
  }
  line_->found.clear();
  line_->start = nullptr;
  if (absl::Status s = Merge(); !s.ok()) return s;
  task_count_ = 0;
  return absl::OkStatus();
}

void Run::SaveUpdate(std::string_view source, bool sibling) {
  const CheckpointId parent = line_->parent;
  const int64_t step = line_->current.has_value()
                           ? line_->metadata.step + 1
                           : (source == "input" ? -1 : 0);
  MakeCheckpoint(source, step);
  if (sibling) line_->parent = parent;
  static_cast<void>(StoreLine());
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
