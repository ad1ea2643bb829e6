// How a run is brought to what a checkpoint holds.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/internal/saved_by.h"
#include "weir/runtime/internal/saved_bytes.h"
#include "weir/runtime/internal/task_id.h"

namespace weir {
inline namespace v0 {
namespace internal {

// Brings the run to what a checkpoint holds.
absl::Status Run::Restore(CheckpointTuple tuple, SavedPieces& pieces) {
  Checkpoint& checkpoint = tuple.checkpoint;
  auto failed = [&](const absl::Status& why, const std::string& what = "") {
    return absl::Status(
        why.code(),
        absl::StrFormat("checkpoint %s of thread '%s': %s%s",
                        checkpoint.id.ToString(), env_->session->thread(), what,
                        std::string(why.message())));
  };
  auto lost = [&](const std::string& what, const absl::Status& why) {
    // What a later weir has stored, or of a type that is not known, is whole.
    const bool whole =
        absl::IsFailedPrecondition(why) || absl::IsUnavailable(why);
    return failed(whole ? why : absl::DataLossError(why.message()), what);
  };
  const bool here = checkpoint.ns == line_->ns;
  if (here && env_->session->takes_pieces()) {
    line_->grown.resize(channels_.size());
  }
  if (absl::Status s = RestoreGraph(checkpoint, pieces); !s.ok()) {
    return failed(s);
  }
  SavedBy* const by = line_->saved_by.get();
  const bool migrates = by != nullptr && by->migrates();
  line_->graph_noted &= here;
  for (const SavedChannel& saved : checkpoint.channels) {
    if (saved.channel == kGraphChannel) continue;
    if (saved.channel == kEngineChannel) {
      const auto engine = LoadRecord<SavedEngine>(saved.value, StoredNames());
      if (!engine.ok()) {
        return lost("the run's place in the graph: ", engine.status());
      }
      SavedEngine now;
      if (migrates) {
        absl::Status s = by->Migrate(**engine, &now);
        if (!s.ok()) return failed(s);
      }
      absl::Status s =
          RestoreEngine(migrates ? now : **engine, checkpoint.metadata.step);
      if (!s.ok()) return s;
      continue;
    }
    if (migrates) continue;
    absl::Status s =
        RestoreChannel({.name = saved.channel, .stored = &saved}, here, pieces);
    if (!s.ok()) {
      return lost(absl::StrFormat("channel '%s': ", saved.channel), s);
    }
  }
  if (migrates) {
    for (const SavedBy::Saved& saved : by->channels()) {
      absl::Status s = RestoreChannel(saved, here, pieces);
      if (!s.ok()) {
        return lost(absl::StrFormat("channel '%s': ", saved.name), s);
      }
    }
  }
  line_->current = checkpoint.id;
  line_->stored = here ? checkpoint.id : CheckpointId();
  line_->travelled_from = checkpoint.id;
  if (checkpoint.metadata.source == "fork") {
    line_->travelled_from = checkpoint.parent;
  }
  line_->parent = checkpoint.parent;
  line_->metadata = std::move(checkpoint.metadata);
  line_->created_at = checkpoint.created_at;
  step_ = line_->metadata.step + 1;
  last_step_ = step_ + limit();
  if (absl::Status s = LoadWrites(tuple.writes); !s.ok()) return s;
  if (by != nullptr) DropTasks(*by);
  return absl::OkStatus();
}

// Forgets the tasks of nodes that a migration has dropped. What ended ones have
// done is kept; see CheckDropped().
void Run::DropTasks(const SavedBy& by) {
  if (by.dropped_tasks().empty()) return;
  for (const auto& [node, send] : by.dropped_tasks()) {
    const std::string id = PlannedTaskId(*this, node, send);
    const TaskWrites* const task = line_->found.Find(id);
    if (task != nullptr && !task->finished()) line_->found.Drop(id);
  }
  const bool sends =
      std::any_of(sends_.begin(), sends_.end(),
                  [](const PendingSend& send) { return send.node != kToEnd; });
  if (triggers_.any_due() || sends) return;
  const TaskWrites* const null = line_->found.Find(kNullTask);
  if (null != nullptr &&
      (!null->gotos.empty() ||
       std::any_of(null->sends.begin(), null->sends.end(),
                   [](const SavedSend& send) { return !send.node.empty(); }))) {
    return;
  }
  // Nothing else was left to run.
  channels_.Finish();
  triggers_.Finish();
}

// What has saved the checkpoint, and its channels as migrations leave them.
absl::Status Run::RestoreGraph(const Checkpoint& checkpoint,
                               SavedPieces& pieces) {
  absl::StatusOr<std::unique_ptr<SavedBy>> by =
      SavedBy::Find(*graph_, checkpoint);
  if (!by.ok()) return by.status();
  line_->saved_by = *std::move(by);
  line_->graph_noted =
      line_->saved_by == nullptr &&
      std::any_of(
          checkpoint.channels.begin(), checkpoint.channels.end(),
          [](const SavedChannel& c) { return c.channel == kGraphChannel; });
  if (line_->saved_by == nullptr || !line_->saved_by->migrates()) {
    return absl::OkStatus();
  }
  return line_->saved_by->Migrate(checkpoint, &pieces);
}

// The names by which what the checkpoint has is read.
const SavedFor& Run::StoredNames() const {
  return line_->saved_by == nullptr ? graph_->names : line_->saved_by->names();
}

// `here`: the channel is stored where the run is.
absl::Status Run::RestoreChannel(const SavedBy::Saved& saved, bool here,
                                 SavedPieces& pieces) {
  const SavedChannel* const stored = saved.stored;
  // Set to nothing.
  if (stored == nullptr && !saved.value.has_value()) return absl::OkStatus();
  const bool moved = stored == nullptr || stored->channel != saved.name;
  if (stored != nullptr && moved && here) {
    line_->next.removed.push_back(stored->channel);
  }
  const std::optional<uint32_t> channel = graph_->FindChannel(saved.name);
  if (!channel.has_value()) {
    // A channel that the graph has no more keeps its value in the history.
    if (saved.name.empty() || (!moved && !saved.value.has_value())) {
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(
        absl::StrFormat("a migration sets it, and graph '%s' has it not; "
                        "rename it to \"\" to drop it",
                        graph_->name));
  }
  const ChannelKind& kind = *graph_->channels[*channel].kind;
  StoredGrowth grown;
  absl::StatusOr<Value> value = saved.value;
  if (saved.value.has_value()) {
    if (value->type() != kind.snapshot_type()) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "a migration gives it %s, and graph '%s' keeps %s in it",
          std::string(value->type_name()), graph_->name,
          std::string(kind.snapshot_type()->name)));
    }
  } else {
    const std::string& own = graph_->type_names[*channel];
    const std::string was = line_->saved_by == nullptr
                                ? own
                                : line_->saved_by->TypeOf(stored->channel);
    if (stored->value.has_value() && !was.empty() && !own.empty() &&
        was != own) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "it is stored as %s, and graph '%s' has it as %s; raise "
          "CompileOptions::version and convert it in a migration, or give the "
          "type its old name by Codec<T>::Name() if only that has changed, or "
          "run the thread with the graph that it was saved by%s",
          was, graph_->name, own, SavedByText()));
    }
    value = pieces.Load(*stored, kind, &grown);
    if (!value.ok()) return value.status();
  }
  if (absl::Status s = channels_.Restore(*channel, *value); !s.ok()) return s;
  if (!here || moved || saved.value.has_value()) {
    // From another place in the thread, or changed: nothing of it is stored.
    const bool as_it_is = !saved.value.has_value() && stored->appended_to == 0;
    NoteUnstored(*channel, saved.name, as_it_is ? stored->value : Save(*value));
  } else if (!line_->grown.empty()) {
    line_->grown[*channel] = std::move(grown);
  }
  return absl::OkStatus();
}

absl::Status Run::LoadWrites(const std::vector<PendingWrite>& writes) {
  for (const PendingWrite& write : writes) {
    TaskWrites* const at = &line_->found.FindOrAdd(write.task_id);
    const bool own = IsOwn(write.run_id == nullptr ? "" : *write.run_id);
    at->own |= own;
    if (write.channel == kInterruptChannel) at->asked_own = own;
    if (write.channel == kTaskChannel) {
      auto record = LoadRecord<SavedTask>(write.value, StoredNames());
      if (!record.ok()) return record.status();
      const int version = (*record)->version.value_or(graph_->version);
      if (line_->saved_by != nullptr) {
        record = line_->saved_by->Migrate(*std::move(record),
                                          write.task_id == kNullTask);
        if (!record.ok()) {
          return absl::Status(
              record.status().code(),
              absl::StrFormat("in thread '%s': %s", env_->session->thread(),
                              std::string(record.status().message())));
        }
      } else if (version != graph_->version) {
        return absl::FailedPreconditionError(absl::StrFormat(
            "in thread '%s' a task of the superstep that has begun has run in "
            "version %d of the graph, and '%s' is version %d; run it with the "
            "later one",
            env_->session->thread(), version, graph_->name, graph_->version));
      }
      if (write.index < 0 || write.index >= kMostRecords) {
        return absl::DataLossError(absl::StrFormat(
            "checkpoint %s: what task '%s' has done is stored at the place %d, "
            "which no run takes",
            line_->current.ToString(), write.task_id, write.index));
      }
      if (absl::Status s = CheckNodes(**record); !s.ok()) return s;
      AddRecord(**record, at);
      // Those of a run that was undone are missing.
      at->records = std::max(at->records, write.index + 1);
      continue;
    }
    if (absl::Status s = LoadWrite(write, at); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// What is not what an ended task did.
absl::Status Run::LoadWrite(const PendingWrite& write, TaskWrites* at) const {
  const SavedFor& names = StoredNames();
  if (write.channel == kErrorChannel) {
    absl::StatusOr<Value> value = Load(write.value, TypeOf<std::string>());
    if (!value.ok()) return value.status();
    const auto* text = value->As<std::string>();
    at->error = text == nullptr ? "" : *text;
  } else if (write.channel == kFailureChannel) {
    const auto failure = LoadRecord<SavedFailure>(write.value, names);
    if (!failure.ok()) return failure.status();
    at->failure = **failure;
  } else if (write.channel == kInterruptChannel) {
    const auto asks = LoadRecord<SavedInterrupts>(write.value, names);
    if (!asks.ok()) return asks.status();
    at->interrupts = **asks;
  } else if (write.channel == kResumeChannel) {
    const auto answers = LoadRecord<SavedAnswers>(write.value, names);
    if (!answers.ok()) return answers.status();
    at->answers = (*answers)->values;
  } else if (write.channel == kBegunChannel) {
    at->begun = true;
  }
  return absl::OkStatus();
}

// Adds to `task` what `record` has of it, as far as this graph knows it.
void Run::AddRecord(const SavedTask& record, TaskWrites* task) const {
  for (const Write& write : record.writes) {
    uint32_t channel = write.channel;
    if (channel != kReturnValue && record.names != graph_->names) {
      const std::optional<uint32_t> same =
          graph_->FindChannel(record.names->names[channel]);
      if (!same.has_value()) continue;
      channel = *same;
    }
    task->writes.push_back(
        Write(write.value, channel, graph_->schema, write.overwrite != 0));
  }
  task->gotos.insert(task->gotos.end(), record.gotos.begin(),
                     record.gotos.end());
  task->sends.insert(task->sends.end(), record.sends.begin(),
                     record.sends.end());
  task->fires_edges = record.fires_edges;
}

// For the end of a message.
std::string Run::SavedByText() const {
  return line_->saved_by == nullptr
             ? ""
             : absl::StrCat("; it ", line_->saved_by->ToString());
}

// A node that the thread is to go on at, by the name that is stored; kToEnd for
// the one of a Send that a migration has dropped.
absl::StatusOr<uint32_t> Run::StoredNode(const std::string& name) const {
  if (name.empty()) {
    if (line_->saved_by != nullptr && line_->saved_by->migrates()) {
      return kToEnd;
    }
    return absl::DataLossError(absl::StrFormat(
        "thread '%s' is to go on at a node without a name, which no run stores",
        env_->session->thread()));
  }
  const uint32_t node = graph_->Resolve(NodeRef(name));
  if (node < graph_->nodes.size()) return node;
  return absl::FailedPreconditionError(absl::StrFormat(
      "thread '%s' is to go on at node '%s', which graph '%s' has not; run "
      "it with the graph that it stopped in, or from an earlier checkpoint, or "
      "say in CompileOptions::migrations what has become of the node%s",
      env_->session->thread(), name, graph_->name, SavedByText()));
}

// Whether this graph has the nodes that a task which has ended leads to.
absl::Status Run::CheckNodes(const SavedTask& record) const {
  absl::Status s;
  for (const std::string& name : record.gotos) {
    s.Update(StoredNode(name).status());
  }
  for (const SavedSend& send : record.sends) {
    s.Update(StoredNode(send.node).status());
  }
  return s;
}

// `step` is that of the checkpoint.
absl::Status Run::RestoreEngine(const SavedEngine& engine, int64_t step) {
  auto node_of = [this](const std::string& name) { return StoredNode(name); };
  for (const std::string& name : engine.due) {
    absl::StatusOr<uint32_t> node = node_of(name);
    if (!node.ok()) return node.status();
    triggers_.RestoreDue(*node);
  }
  line_->had_output = engine.wrote_output;
  line_->ran = engine.ran;
  line_->ran_step = engine.ran_here ? step : step - 1;
  if (engine.rest == nullptr) return absl::OkStatus();
  const SavedEngine::Rest& rest = *engine.rest;
  for (const std::string& name : rest.waiting) {
    absl::StatusOr<uint32_t> node = node_of(name);
    if (!node.ok()) return node.status();
    triggers_.Fire(*node);
  }
  for (const SavedSend& send : rest.sends) {
    absl::StatusOr<uint32_t> node = node_of(send.node);
    if (!node.ok()) return node.status();
    sends_.push_back({*node, send.arg, send.timeout});
  }
  for (const SavedJoin& saved : rest.joins) {
    bool known = false;
    for (uint32_t i = 0; i < graph_->joins.size(); ++i) {
      if (graph_->joins[i].name != saved.name) continue;
      known = true;
      for (uint32_t source : saved.seen) {
        if (source < graph_->joins[i].sources)
          triggers_.RestoreSeen({i, source});
      }
    }
    if (!known) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "in thread '%s' the join '%s' has begun, which graph '%s' has not; "
          "run it with the graph that it stopped in, or from an earlier "
          "checkpoint, or say in CompileOptions::migrations what has become of "
          "its nodes%s",
          env_->session->thread(), saved.name, graph_->name, SavedByText()));
    }
  }
  line_->start = rest.start;
  line_->start_is_command = rest.start_is_command;
  if (rest.start != nullptr) {
    start_ = rest.start_is_command ? NodeResult(Command(*rest.start))
                                   : NodeResult(Update(rest.start->update));
    start_due_ = true;
  }
  return absl::OkStatus();
}

// Refuses to go on where a task of a dropped node has ended, and what it did is
// not merged.
absl::Status Run::CheckDropped() const {
  const SavedBy* const by = line_->saved_by.get();
  if (by == nullptr) return absl::OkStatus();
  for (const auto& [node, send] : by->dropped_tasks()) {
    const TaskWrites* const task =
        line_->found.Find(PlannedTaskId(*this, node, send));
    if (task == nullptr || !task->finished()) continue;
    const bool led =
        !task->gotos.empty() ||
        std::any_of(task->sends.begin(), task->sends.end(),
                    [](const SavedSend& to) { return !to.node.empty(); });
    if (task->writes.empty() && !led) continue;
    return absl::FailedPreconditionError(absl::StrFormat(
        "in thread '%s' a task of node '%s' has ended, the superstep has not, "
        "and a migration drops the node, with what the task did; go on with "
        "the graph that saved the thread until the superstep has ended, or "
        "rename the node to one of graph '%s'",
        env_->session->thread(), node, graph_->name));
  }
  return absl::OkStatus();
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
