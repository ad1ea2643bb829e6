// What a run stores as it goes: checkpoints of what has changed, and what its
// tasks have done.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/types/span.h"

#include "weir/runtime/internal/run_loop.h"
#include "weir/runtime/internal/saved_by.h"
#include "weir/runtime/internal/saved_bytes.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// For a worker that waits for the store.
struct StoreWait final : RefCounted<StoreWait>, StoreListener {
  void Stored() noexcept override {
    done.Notify();
    DropRef();
  }
  absl::Notification done;
};

}  // namespace

// What a store keeps of a Send: channels that are not saved are not in it.
SavedSend Run::ToSaved(const PendingSend& send) const {
  SavedSend saved{graph_->nodes[send.node].name, send.arg, send.timeout};
  if (!graph_->has_unsaved) return saved;
  bool any = false;
  Values rest = MakeValues();
  send.arg.ForEachField([&](std::string_view name, Value value) {
    const std::optional<uint32_t> channel = graph_->FindChannel(name);
    if (channel.has_value() && !graph_->channels[*channel].kind->is_saved()) {
      any = true;
    } else {
      rest.Add(name, std::move(value));
    }
  });
  if (any) saved.arg = Value(std::move(rest));
  return saved;
}

std::shared_ptr<SavedTask> Run::ToSaved(
    absl::Span<const Write> writes, absl::Span<const uint32_t> gotos,
    absl::Span<const PendingSend> sends) const {
  auto record = std::make_shared<SavedTask>();
  record->names = graph_->names;
  if (line_ != nullptr && line_->saved_by != nullptr &&
      line_->saved_by->migrates()) {
    record->version = graph_->version;
  }
  for (const Write& write : writes) {
    if (write.channel == kReturnValue ||
        graph_->channels[write.channel].kind->is_saved()) {
      record->writes.push_back(write);
    }
  }
  for (uint32_t node : gotos) record->gotos.push_back(graph_->nodes[node].name);
  for (const PendingSend& send : sends) record->sends.push_back(ToSaved(send));
  return record;
}

// Whether there is what few checkpoints have of the run's place.
bool Run::HasRest() const {
  return !triggers_.waiting().empty() || !sends_.empty() ||
         !triggers_.begun_joins().empty() || line_->start != nullptr;
}

// Whether `engine` is where the run is now.
bool Run::IsAt(const SavedEngine& engine) const {
  const absl::Span<const uint32_t> due = triggers_.due();
  const auto named = [this](uint32_t node, const std::string& name) {
    return graph_->nodes[node].name == name;
  };
  return engine.rest == nullptr && !HasRest() && engine.ran_here == RanHere() &&
         engine.wrote_output == wrote_output_ && engine.ran == line_->ran &&
         std::equal(due.begin(), due.end(), engine.due.begin(),
                    engine.due.end(), named);
}

std::shared_ptr<const SavedEngine> Run::EngineState() const {
  auto engine = std::make_shared<SavedEngine>();
  for (uint32_t node : triggers_.due()) {
    engine->due.push_back(graph_->nodes[node].name);
  }
  engine->ran = line_->ran;
  engine->ran_here = RanHere();
  engine->wrote_output = wrote_output_;
  if (HasRest()) {
    engine->rest = std::make_unique<SavedEngine::Rest>(RestState());
  }
  return engine;
}

SavedEngine::Rest Run::RestState() const {
  SavedEngine::Rest rest;
  for (uint32_t node : triggers_.waiting()) {
    rest.waiting.push_back(graph_->nodes[node].name);
  }
  for (const PendingSend& send : sends_) rest.sends.push_back(ToSaved(send));
  const absl::Span<const uint32_t> begun = triggers_.begun_joins();
  std::vector<uint32_t> joins(begun.begin(), begun.end());
  std::sort(joins.begin(), joins.end());
  for (uint32_t join : joins) {
    SavedJoin saved{graph_->joins[join].name, {}};
    for (uint32_t s = 0; s < graph_->joins[join].sources; ++s) {
      if (triggers_.join(join).contains(s)) saved.seen.push_back(s);
    }
    rest.joins.push_back(std::move(saved));
  }
  rest.start = line_->start;
  rest.start_is_command = line_->start_is_command;
  rest.names = graph_->names;
  return rest;
}

// The checkpoint after a barrier. As SaveCheckpoint().
bool Run::SaveStep() {
  line_->start = nullptr;
  line_->resuming = false;
  line_->travelling = false;
  line_->found.clear();
  return SaveCheckpoint("loop", step_ - 1);
}

// Makes the checkpoint of where the run is. True if the run may go on now;
// otherwise it does when the store is done, or has ended.
bool Run::SaveCheckpoint(std::string_view source, int64_t step) {
  MakeCheckpoint(source, step);
  if (env_->durability == Durability::kExit) return true;
  return StoreLine();
}

void Run::MakeCheckpoint(std::string_view source, int64_t step) {
  Line& line = *line_;
  line.saved_by = nullptr;
  std::erase_if(sends_,
                [](const PendingSend& send) { return send.node == kToEnd; });
  line.parent = line.current;
  line.current = env_->session->NewId();
  line.created_at = executor().Now();
  line.metadata.source = source;
  line.metadata.step = step;
  line.metadata.run_id = env_->run_id;
  line.metadata.custom = env_->rare().metadata;
  // Where a graph inside is changed by itself, those around it stay.
  if (parent_ != nullptr) line.metadata.parents.clear();
  for (const Run* run = this; run->parent_ != nullptr;) {
    run = run->parent_->run;
    if (run->line_ != nullptr) {
      line.metadata.parents[run->line_->ns] = run->line_->current;
    }
  }
  GatherChanges();
}

// Puts a channel, or the run's place, into the next checkpoint.
void Run::NoteUnstored(uint32_t channel, std::string_view name,
                       SavedValue value) {
  Line& line = *line_;
  std::vector<SavedChannel>& unstored = line.next.checkpoint.channels;
  line.place.resize(channels_.size() + 2, -1);
  int32_t& place = line.place[channel];
  if (place < 0) {
    place = static_cast<int32_t>(unstored.size());
    line.placed.push_back(channel);
    unstored.emplace_back().channel = name;
  }
  unstored[static_cast<size_t>(place)].value = std::move(value);
}

// Takes note of what has changed since the last checkpoint that was stored.
void Run::GatherChanges() {
  Line& line = *line_;
  if (line.engine == nullptr || !IsAt(*line.engine)) {
    line.engine = EngineState();
    NoteUnstored(channels_.size(), kEngineChannel, SaveRecord(line.engine));
  }
  if (!line.graph_noted) {
    NoteUnstored(channels_.size() + 1, kGraphChannel, graph_->saved_graph);
    line.graph_noted = true;
  }
  for (uint32_t i : channels_.changed()) {
    const ChannelInfo& info = graph_->channels[i];
    if (!info.kind->is_saved()) continue;
    Value value = channels_.Snapshot(i);
    SavedValue saved;
    if (value.has_value()) saved = Save(std::move(value));
    NoteUnstored(i, info.name, std::move(saved));
  }
  channels_.ClearChanged();
}

// Puts what has only grown since the base as what was added to it.
void Run::MakePieces() {
  Line& line = *line_;
  line.grown.resize(channels_.size());
  for (uint32_t i : line.placed) {
    if (i >= channels_.size()) continue;  // The run's place, and the graph.
    const Growth* growth = graph_->channels[i].kind->growth();
    if (growth == nullptr) continue;
    const auto place = static_cast<size_t>(line.place[i]);
    PutGrown(*growth, &line.next.checkpoint.channels[place], &line.grown[i]);
  }
}

// Stores the line's current checkpoint. As SaveCheckpoint().
bool Run::StoreLine() {
  Line& line = *line_;
  line.next.base = line.stored;
  Checkpoint& checkpoint = line.next.checkpoint;
  checkpoint.ns = line.ns;
  checkpoint.id = line.current;
  checkpoint.parent = line.parent;
  checkpoint.created_at = line.created_at;
  checkpoint.metadata = line.metadata;
  const uint64_t version = env_->session->NewVersion();
  for (SavedChannel& channel : checkpoint.channels) {
    channel.version = version;
    if (!line.next.removed.empty())
      std::erase(line.next.removed, channel.channel);
  }
  if (env_->session->takes_pieces()) MakePieces();
  for (uint32_t i : line.placed) line.place[i] = -1;
  line.placed.clear();
  line.stored = line.current;
  // A store that shares values has them when it is called.
  const bool listens = env_->durability == Durability::kSync ||
                       (env_->durability == Durability::kAsync &&
                        !env_->session->shares_values());
  if (listens) {
    behind_.fetch_add(kOneBehind, std::memory_order_relaxed);
    AddRef();  // Stored() drops it.
  }
  env_->session->Put(std::move(line.next), listens ? this : nullptr);
  checkpoint.channels.clear();
  line.next.removed.clear();
  return !listens || HasKeptUp();
}

// How many checkpoints the store may be behind while the run goes on.
uint64_t Run::MostBehind() const {
  if (env_->durability == Durability::kSync) return 0;
  return kOneBehind * static_cast<uint64_t>(env_->max_async_lag);
}

// Whether the store is near enough for the run to go on; if not, Stored() lets
// it.
bool Run::HasKeptUp() {
  uint64_t behind = behind_.load(std::memory_order_acquire);
  while (behind > MostBehind()) {
    if (behind_.compare_exchange_weak(behind, behind | kWaiting,
                                      std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
      return false;
    }
  }
  return true;
}

void Run::Stored() noexcept {
  Ref<Run> self = Ref<Run>::Adopt(this);
  uint64_t behind =
      behind_.fetch_sub(kOneBehind, std::memory_order_acq_rel) - kOneBehind;
  while ((behind & kWaiting) != 0 && behind - kWaiting <= MostBehind()) {
    if (behind_.compare_exchange_weak(behind, behind - kWaiting,
                                      std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
      executor().Post([self = std::move(self)] { self->GoOn(); });
      return;
    }
  }
}

// Goes on after a checkpoint was stored.
void Run::GoOn() {
  if (RoomForEvents() && PlanNext() && StartStep()) Work();
}

void Run::StoreWrites(std::vector<PendingWrite> writes) {
  if (writes.empty()) return;
  env_->session->PutWrites({line_->ns, line_->current, std::move(writes)});
}

absl::Status Run::StoreWritesAndWait(std::vector<PendingWrite> writes) {
  const auto wait = Ref<StoreWait>::Adopt(new StoreWait());
  wait->AddRef();  // Stored() drops it.
  env_->session->PutWrites({line_->ns, line_->current, std::move(writes)},
                           wait.get());
  if (!wait->done.HasBeenNotified() && !executor().RunUntil(wait->done)) {
    return absl::InternalError("the store has never answered");
  }
  return env_->session->error();
}

// Notes the nodes that ran in this superstep: an update without a node is that
// of the one that ran last. What Sends ran counts only where an edge had led
// there just before.
void Run::NoteRan() {
  SavedNames& ran = line_->ran;
  size_t count = 0;
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (tasks_[i].is_send()) continue;
    if (count == ran.size()) ran.emplace_back();
    ran[count++] = tasks_[i].node->name;
  }
  if (count > 0) {
    ran.resize(count);
  } else if (line_->ran_step != step_ - 1 || !KeepRanBySends()) {
    return;
  }
  line_->ran_step = step_;
}

// Keeps, of the nodes that ran last, those that Sends ran now. False, and all
// stay, if there are none.
bool Run::KeepRanBySends() {
  SavedNames kept;
  for (const std::string& name : line_->ran) {
    for (uint32_t i = 0; i < task_count_; ++i) {
      if (tasks_[i].node->name != name) continue;
      kept.push_back(name);
      break;
    }
  }
  if (kept.empty()) return false;
  line_->ran = std::move(kept);
  return true;
}

// In exit durability: the latest checkpoint, and what the tasks after it have
// done.
void Run::StoreExit() {
  Line& line = *line_;
  if (line.exit_stored || !line.current.has_value()) return;
  line.exit_stored = true;
  // What a graph inside has done is in its task's result, if it has ended well.
  if (parent_ != nullptr && graph_->memory == Memory::kOfTask && status_.ok() &&
      end_ == RunEnd::kFinished) {
    return;
  }
  if (line.current != line.stored) {
    // The run's one checkpoint follows what the thread had before.
    line.parent = line.stored;
    StoreLine();
  }
  for (uint32_t i = 0; i < task_count_; ++i) {
    if (!tasks_[i].ended) continue;
    std::vector<PendingWrite> writes = tasks_[i].Writes();
    if (!tasks_[i].succeeded()) {
      for (PendingWrite& within : tasks_[i].WritesWithin()) {
        writes.push_back(std::move(within));
      }
    }
    if (writes.empty()) continue;
    env_->session->PutWrites({line.ns, line.current, std::move(writes)});
  }
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
