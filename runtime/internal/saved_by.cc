#include "weir/runtime/internal/saved_by.h"

#include <xxhash.h>

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "weir/channels/internal/type_table.h"
#include "weir/runtime/internal/saved_bytes.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

// What is larger, a store keeps once for all checkpoints that have it.
constexpr size_t kSmallBytes = 64;

// The texts of what a graph is made of, each followed by a NUL, which no name
// holds. All lists are in an order that does not depend on how it was built.
class GraphText {
 public:
  GraphText& Add(std::string_view text) {
    text_.append(text);
    text_.push_back('\0');
    return *this;
  }
  void AddNode(const CompiledGraph& graph, const CompiledNode& node) {
    Add("node").Add(node.name);
    for (const uint32_t to : node.edges) {
      Add("edge").Add(graph.nodes[to].name);
    }
    std::map<std::string, std::string> branches;
    for (const CompiledBranch& branch : node.branches) {
      std::set<std::string> targets;
      for (const auto& [label, to] : branch.path_map) {
        targets.insert(absl::StrCat(label, ":", Name(graph, to)));
      }
      for (const uint32_t to :
           branch.destinations.value_or(std::vector<uint32_t>())) {
        targets.insert(Name(graph, to));
      }
      branches[branch.name] = absl::StrJoin(targets, "|");
    }
    for (const auto& [name, targets] : branches) {
      Add("branch").Add(name).Add(targets);
    }
  }
  uint64_t Hash() const { return XXH3_64bits(text_.data(), text_.size()); }

 private:
  static std::string Name(const CompiledGraph& graph, uint32_t node) {
    return node < graph.nodes.size() ? graph.nodes[node].name
                                     : std::string(kEnd);
  }
  std::string text_;
};

// Whether the node's name says where some graph inside finds what it remembers.
bool RemembersByName(const CompiledNode& node) {
  const auto remembers = [](const std::shared_ptr<const CompiledGraph>& graph) {
    return graph != nullptr &&
           (graph->memory == Memory::kOfThread ||
            std::any_of(graph->nodes.begin(), graph->nodes.end(),
                        RemembersByName));
  };
  return remembers(node.graph) ||
         std::any_of(node.calls.begin(), node.calls.end(), remembers);
}

bool HasInside(const CompiledNode& node) {
  return node.graph != nullptr || !node.calls.empty();
}

// Whether `name` is one of `names`, which are joined by '+'.
bool IsAmong(const std::string& names, const std::string& name) {
  return absl::StrContains(absl::StrCat("+", names, "+"),
                           absl::StrCat("+", name, "+"));
}

// The name that `names` gives, or the old one.
const std::string& Renamed(const std::map<std::string, std::string>& names,
                           const std::string& name) {
  const auto at = names.find(name);
  return at == names.end() ? name : at->second;
}

// The bytes of what NameGraph() made, however a store has kept it.
const std::string* RecordOf(const SavedValue& saved) {
  return saved.shared() == nullptr
             ? saved.bytes()
             : static_cast<const std::string*>(saved.shared());
}

absl::StatusOr<Value> DecodeAs(const ValueType* type, std::string_view bytes) {
  Value value;
  if (absl::Status s = DecodeAll(type, bytes, &value); !s.ok()) return s;
  return value;
}

}  // namespace

std::string ShownFingerprint(uint64_t fingerprint) {
  return absl::StrFormat("%016x", fingerprint);
}

void NameGraph(CompiledGraph* graph) {
  SavedGraph record;
  record.version = graph->version;
  GraphText text;
  text.AddNode(*graph, graph->start);
  for (const CompiledNode& node : graph->nodes) text.AddNode(*graph, node);
  std::set<std::string> joins;
  for (const CompiledJoin& join : graph->joins) joins.insert(join.name);
  for (const std::string& join : joins) text.Add("join").Add(join);
  std::map<std::string, std::string> channels;
  for (const ChannelInfo& channel : graph->channels) {
    std::string type = channel.kind->snapshot_type()->stored_name();
    if (channel.kind->is_saved() && !type.empty()) {
      record.types[channel.name] = type;
    }
    channels[channel.name] = type;
    graph->type_names.push_back(std::move(type));
  }
  for (const auto& [name, type] : channels) {
    text.Add("channel").Add(name).Add(type);
  }
  graph->fingerprint = record.fingerprint = text.Hash();
  std::string bytes;
  EncodeRecord(record, &bytes).IgnoreError();  // It has no values.
  if (bytes.size() <= kSmallBytes) {
    record.filler.assign(kSmallBytes + 1 - bytes.size(), '\0');
    bytes.clear();
    EncodeRecord(record, &bytes).IgnoreError();
  }
  // The bytes, made once, as what a store may share.
  graph->saved_graph =
      SavedValue(std::make_shared<const std::string>(std::move(bytes)),
                 [](const void* saved, std::string* out) {
                   out->append(*static_cast<const std::string*>(saved));
                   return absl::OkStatus();
                 });
}

std::vector<std::string> MigrationMistakes(const CompiledGraph& graph) {
  std::vector<std::string> mistakes;
  if (graph.version < 0) {
    mistakes.push_back(absl::StrFormat(
        "CompileOptions::version is %d; versions begin at 0", graph.version));
  }
  const std::vector<Migration>& all = graph.migrations;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].from < 0 || all[i].from >= all[i].to ||
        all[i].to > graph.version) {
      mistakes.push_back(absl::StrFormat(
          "a migration is from version %d to %d of a graph of version %d; it "
          "leads upwards, at most to the graph's own",
          all[i].from, all[i].to, graph.version));
    }
    if (i > 0 && all[i].from == all[i - 1].from) {
      mistakes.push_back(absl::StrFormat(
          "two migrations are from version %d; leave one", all[i].from));
    }
    for (const auto& [was, renamed] : all[i].nodes) {
      std::string now = renamed;
      for (size_t next = i + 1; next < all.size(); ++next) {
        if (all[next].from >= all[i].to) now = Renamed(all[next].nodes, now);
      }
      if (now == was) continue;
      const auto at = graph.node_index.find(now);
      const auto again = graph.node_index.find(was);
      if (again != graph.node_index.end() &&
          (HasInside(graph.nodes[again->second]) ||
           (at != graph.node_index.end() &&
            HasInside(graph.nodes[at->second])))) {
        mistakes.push_back(absl::StrFormat(
            "a migration from version %d %s node '%s', the graph has another "
            "'%s', and graphs inside are found by the names of nodes; give the "
            "new node another name",
            all[i].from, now.empty() ? "drops" : "renames", was, was));
        continue;
      }
      if (at == graph.node_index.end() ||
          !RemembersByName(graph.nodes[at->second])) {
        continue;
      }
      mistakes.push_back(absl::StrFormat(
          "a migration from version %d renames node '%s' to '%s', in which a "
          "graph remembers its thread by the names of nodes; keep the name",
          all[i].from, was, now));
    }
  }
  return mistakes;
}

absl::StatusOr<std::unique_ptr<SavedBy>> SavedBy::Find(
    const CompiledGraph& graph, const Checkpoint& checkpoint) {
  std::optional<SavedGraph> record;
  for (const SavedChannel& saved : checkpoint.channels) {
    if (saved.channel != kGraphChannel) continue;
    const std::string* bytes = RecordOf(saved.value);
    if (bytes == nullptr) return absl::DataLossError("nothing is stored");
    if (*bytes == *RecordOf(graph.saved_graph)) return nullptr;
    absl::Status s = DecodeRecord(*bytes, graph.names, &record.emplace());
    if (!s.ok()) return s;
  }
  // Not make_unique(): the constructor is private.
  std::unique_ptr<SavedBy> by(new SavedBy(graph, std::move(record)));
  if (!by->record_.has_value() && graph.version == 0) return nullptr;
  if (absl::Status s = by->FindSteps(); !s.ok()) return s;
  by->FindNames();
  return by;
}

absl::Status SavedBy::FindSteps() {
  int at = version();
  if (at > graph_.version) {
    return absl::FailedPreconditionError(absl::StrCat(
        "it ", ToString(),
        "; run it with the graph that saved it, or a later version"));
  }
  for (const Migration& migration : graph_.migrations) {
    if (migration.from != at) continue;
    steps_.push_back(&migration);
    at = migration.to;
  }
  if (at == graph_.version) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("it %s, and no migration is from version %d; add one to "
                      "CompileOptions::migrations",
                      ToString(), at));
}

// Records name channels as they were called; the graph has those names in
// front that it has now.
void SavedBy::FindNames() {
  names_ = graph_.names;
  if (!migrates()) return;
  auto names = std::make_shared<ChannelNames>(*graph_.names);
  for (const Migration* step : steps_) {
    for (const auto& [was, now] : step->channels) {
      if (std::find(names->names.begin(), names->names.end(), was) ==
          names->names.end()) {
        names->names.push_back(was);
      }
    }
  }
  names_ = std::move(names);
}

std::string SavedBy::ToString() const {
  const std::string by =
      record_.has_value()
          ? absl::StrFormat("version %d (fingerprint %s) of the graph",
                            record_->version,
                            ShownFingerprint(record_->fingerprint))
          : "an older weir, which counts as version 0";
  return absl::StrFormat(
      "was saved by %s, and '%s' is version %d (fingerprint %s)", by,
      graph_.name, graph_.version, ShownFingerprint(graph_.fingerprint));
}

const std::string& SavedBy::TypeOf(const std::string& channel) const {
  static const std::string* const kUnknown = new std::string();
  if (!record_.has_value()) return *kUnknown;
  const auto at = record_->types.find(channel);
  return at == record_->types.end() ? *kUnknown : at->second;
}

absl::Status SavedBy::Migrate(const Checkpoint& checkpoint,
                              SavedPieces* pieces) {
  pieces_ = pieces;
  for (const SavedChannel& saved : checkpoint.channels) {
    if (saved.channel == kEngineChannel || saved.channel == kGraphChannel) {
      continue;
    }
    channels_.push_back({.name = saved.channel, .stored = &saved});
  }
  for (const Migration* step : steps_) {
    absl::Status s = Rename(*step);
    if (s.ok() && step->values != nullptr) {
      step_ = step;
      SavedState state(this);
      try {
        s = step->values(state);
      } catch (...) {
        s = CurrentException();
      }
    }
    if (s.ok()) continue;
    return absl::Status(
        s.code(), absl::StrFormat("the migration of graph '%s' from version "
                                  "%d to %d: %s",
                                  graph_.name, step->from, step->to,
                                  std::string(s.message())));
  }
  return absl::OkStatus();
}

absl::Status SavedBy::Rename(const Migration& migration) {
  std::map<std::string, std::string> was;
  for (Saved& saved : channels_) {
    if (saved.name.empty()) continue;
    const std::string& now = Renamed(migration.channels, saved.name);
    if (!now.empty()) {
      const auto [at, is_new] = was.try_emplace(now, saved.name);
      if (!is_new) {
        return absl::FailedPreconditionError(absl::StrFormat(
            "the channels '%s' and '%s' both become '%s'; drop one", at->second,
            saved.name, now));
      }
    }
    saved.name = now;
  }
  return absl::OkStatus();
}

SavedBy::Saved* SavedBy::FindSaved(std::string_view channel) {
  if (channel.empty()) return nullptr;
  for (Saved& saved : channels_) {
    if (saved.name == channel) return &saved;
  }
  return nullptr;
}

absl::StatusOr<Value> SavedBy::ValueOf(const Saved& saved,
                                       const ValueType* type) {
  const auto other = [&](std::string_view held, std::string_view wanted) {
    return absl::FailedPreconditionError(
        absl::StrFormat("channel '%s' holds %s, and is taken for %s",
                        saved.name, std::string(held), std::string(wanted)));
  };
  const Value* value = &saved.value;
  if (!value->has_value() && saved.stored != nullptr) {
    value = static_cast<const Value*>(saved.stored->value.shared());
    if (value == nullptr && saved.stored->value.has_value()) {
      const std::string wanted = type->stored_name();
      const std::string& held = TypeOf(saved.stored->channel);
      if (!held.empty() && !wanted.empty() && held != wanted) {
        return other(held, wanted);
      }
      absl::StatusOr<std::string> bytes = pieces_->Bytes(*saved.stored);
      if (!bytes.ok()) return bytes.status();
      absl::StatusOr<Value> read = DecodeAs(type, *bytes);
      if (read.ok()) return read;
      return absl::Status(
          read.status().code(),
          absl::StrFormat("channel '%s': %s", saved.name,
                          std::string(read.status().message())));
    }
  }
  if (value == nullptr || !value->has_value()) {
    return absl::NotFoundError(
        absl::StrFormat("channel '%s' holds nothing", saved.name));
  }
  if (value->type() != type) return other(value->type_name(), type->name);
  return *value;
}

std::string SavedBy::NodeNow(Steps steps, std::string name) {
  for (const Migration* step : steps) name = Renamed(step->nodes, name);
  return name;
}

// Takes note of a task that the checkpoint has planned.
absl::Status SavedBy::NoteTask(const std::string& stored,
                               const std::string& now, int32_t send) {
  if (now.empty()) {
    dropped_tasks_.emplace_back(stored, send);
    return absl::OkStatus();
  }
  const auto [at, is_new] = names_in_ids_.try_emplace(now, stored);
  if (is_new || at->second == stored) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "the nodes '%s' and '%s' are both to run, and both become '%s'; go on "
      "with the graph that saved the thread until one has",
      at->second, stored, now));
}

absl::Status SavedBy::Migrate(const SavedEngine& stored, SavedEngine* now) {
  const auto add = [this](const std::string& name, auto* to) {
    std::string node = NodeNow(steps_, name);
    if (!node.empty()) to->push_back(node);
    return node;
  };
  for (const std::string& name : stored.due) {
    absl::Status s = NoteTask(name, add(name, &now->due), -1);
    if (!s.ok()) return s;
  }
  for (const std::string& name : stored.ran) {
    dropped_ran_ |= add(name, &now->ran).empty();
  }
  now->ran_here = stored.ran_here;
  now->wrote_output = stored.wrote_output;
  if (stored.rest == nullptr) return absl::OkStatus();
  const SavedEngine::Rest& was = *stored.rest;
  now->rest = std::make_unique<SavedEngine::Rest>();
  SavedEngine::Rest& rest = *now->rest;
  rest.names = graph_.names;
  for (const std::string& name : was.waiting) add(name, &rest.waiting);
  for (const SavedSend& send : was.sends) {
    absl::StatusOr<SavedSend> sent = SendNow(steps_, send);
    if (!sent.ok()) return sent.status();
    absl::Status s = NoteTask(send.node, sent->node, sends_++);
    if (!s.ok()) return s;
    rest.sends.push_back(*std::move(sent));
  }
  for (const SavedJoin& join : was.joins) {
    if (absl::Status s = AddJoin(join, &rest); !s.ok()) return s;
  }
  rest.start_is_command = was.start_is_command;
  if (was.start != nullptr) {
    absl::StatusOr<Command> start = CommandNow(steps_, *was.start);
    if (!start.ok()) return start.status();
    rest.start = std::make_shared<const Command>(*std::move(start));
  }
  return absl::OkStatus();
}

// Whether a name that holds '+' may be among the sources of a join.
bool SavedBy::IsUnclear(const std::string& sources) const {
  const auto unclear = [&sources](const std::string& name) {
    return absl::StrContains(name, '+') && IsAmong(sources, name);
  };
  for (const CompiledNode& node : graph_.nodes) {
    if (unclear(node.name)) return true;
  }
  for (const Migration* step : steps_) {
    for (const auto& [was, now] : step->nodes) {
      if (unclear(was)) return true;
    }
  }
  return false;
}

// A join is known by the names of its nodes, and its sources by their places in
// the order of names.
absl::Status SavedBy::AddJoin(const SavedJoin& stored,
                              SavedEngine::Rest* rest) const {
  const auto keep = [&] {
    rest->joins.push_back(stored);
    return absl::OkStatus();
  };
  const std::vector<std::string> parts = absl::StrSplit(stored.name, ':');
  if (parts.size() != 3) return keep();
  const std::string target = NodeNow(steps_, parts[2]);
  if (IsUnclear(parts[1])) {
    bool changes = target != parts[2];
    for (const Migration* step : steps_) {
      for (const auto& [was, now] : step->nodes) {
        changes |= IsAmong(parts[1], was);
      }
    }
    if (!changes) return keep();
    return absl::FailedPreconditionError(absl::StrFormat(
        "the join '%s' has begun, a migration changes it, and the name of a "
        "node holds '+', so that it is not clear whose it is; go on with the "
        "graph that saved the thread until it has led to '%s'",
        stored.name, parts[2]));
  }
  const std::vector<std::string> sources = absl::StrSplit(parts[1], '+');
  std::set<std::string> now;
  std::set<std::string> unseen;
  for (uint32_t i = 0; i < sources.size(); ++i) {
    std::string source = NodeNow(steps_, sources[i]);
    if (source.empty()) continue;
    if (std::find(stored.seen.begin(), stored.seen.end(), i) ==
        stored.seen.end()) {
      unseen.insert(source);
    }
    now.insert(std::move(source));
  }
  if (target.empty() || unseen.size() == now.size()) return absl::OkStatus();
  SavedJoin joined;
  joined.name = absl::StrCat("join:", absl::StrJoin(now, "+"), ":", target);
  if (joined.name == stored.name) return keep();
  uint32_t i = 0;
  for (const std::string& source : now) {
    if (!unseen.contains(source)) joined.seen.push_back(i);
    ++i;
  }
  const bool known =
      std::any_of(graph_.joins.begin(), graph_.joins.end(),
                  [&](const CompiledJoin& j) { return j.name == joined.name; });
  // Where it waited only for what is dropped, what it led to is due. The graph
  // may then have an edge in its place.
  const bool dropped = now.size() < sources.size() && unseen.empty();
  if (dropped) rest->waiting.push_back(target);
  if (known || !dropped) rest->joins.push_back(std::move(joined));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const SavedTask>> SavedBy::Migrate(
    std::shared_ptr<const SavedTask> stored, bool is_command) {
  const int since = stored->version.value_or(version());
  if (since == graph_.version) {
    if (is_command) sends_ += static_cast<int32_t>(stored->sends.size());
    return stored;
  }
  if (since > graph_.version) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "a task of the superstep that has begun has run in version %d of the "
        "graph, and '%s' is version %d; run it with version %d or a later one",
        since, graph_.name, graph_.version, since));
  }
  const auto first = std::find_if(
      steps_.begin(), steps_.end(),
      [since](const Migration* step) { return step->from == since; });
  if (first == steps_.end()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "what a task has done in version %d of the graph has no migration to "
        "version %d of '%s'; add one from there to CompileOptions::migrations",
        since, graph_.version, graph_.name));
  }
  const auto before = static_cast<size_t>(first - steps_.begin());
  const Steps steps = absl::MakeConstSpan(steps_);
  auto now = TaskNow(steps.subspan(before), *stored);
  if (!now.ok() || !is_command) return now;
  absl::Status s = NoteCommand(steps.first(before), *stored, **now);
  if (!s.ok()) return s;
  return now;
}

// Takes note of the tasks that a command has planned: `now` is `stored`,
// migrated by the steps after those `before`.
absl::Status SavedBy::NoteCommand(Steps before, const SavedTask& stored,
                                  const SavedTask& now) {
  const Steps after = absl::MakeConstSpan(steps_).subspan(before.size());
  const auto note = [&](const std::string& was, const std::string& is,
                        int32_t send) {
    // It may have been planned already, by a name that is older still.
    const auto at = names_in_ids_.find(is);
    if (at != names_in_ids_.end() && NodeNow(before, at->second) == was) {
      return absl::OkStatus();
    }
    return NoteTask(was, is, send);
  };
  for (const std::string& name : stored.gotos) {
    absl::Status s = note(name, NodeNow(after, name), -1);
    if (!s.ok()) return s;
  }
  for (size_t i = 0; i < stored.sends.size(); ++i) {
    absl::Status s = note(stored.sends[i].node, now.sends[i].node, sends_++);
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const SavedTask>> SavedBy::TaskNow(
    Steps steps, const SavedTask& stored) const {
  auto now = std::make_shared<SavedTask>();
  now->names = graph_.names;
  now->fires_edges = stored.fires_edges;
  for (const Write& write : stored.writes) {
    if (write.channel == kReturnValue) {
      now->writes.push_back(write);
      continue;
    }
    std::string name = stored.names->names[write.channel];
    Value value = write.value;
    if (absl::Status s = WriteNow(steps, &name, &value); !s.ok()) return s;
    const std::optional<uint32_t> channel = graph_.FindChannel(name);
    if (!channel.has_value()) continue;  // As where nothing is migrated.
    now->writes.push_back(
        Write(std::move(value), *channel, graph_.schema, write.overwrite != 0));
  }
  for (const std::string& name : stored.gotos) {
    std::string node = NodeNow(steps, name);
    if (!node.empty()) now->gotos.push_back(std::move(node));
  }
  for (const SavedSend& send : stored.sends) {
    absl::StatusOr<SavedSend> sent = SendNow(steps, send);
    if (!sent.ok()) return sent.status();
    now->sends.push_back(*std::move(sent));
  }
  return std::shared_ptr<const SavedTask>(std::move(now));
}

// One write of `value` to `channel`; the latter is empty if it is dropped.
absl::Status SavedBy::WriteNow(Steps steps, std::string* channel,
                               Value* value) const {
  for (const Migration* step : steps) {
    *channel = Renamed(step->channels, *channel);
    for (const Conversion& conversion : conversions_) {
      if (conversion.in != step || conversion.channel != *channel ||
          conversion.from != value->type()) {
        continue;
      }
      try {
        *value = conversion.convert(*value);
      } catch (...) {
        return CurrentException();
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<SavedSend> SavedBy::SendNow(Steps steps,
                                           const SavedSend& stored) const {
  absl::StatusOr<Value> arg = ArgNow(steps, stored.arg);
  if (!arg.ok()) return arg.status();
  return SavedSend{NodeNow(steps, stored.node), *std::move(arg),
                   stored.timeout};
}

// What a Send carries: channels, or a value of the host's.
absl::StatusOr<Value> SavedBy::ArgNow(Steps steps, const Value& stored) const {
  if (const auto* update = stored.As<Update>()) {
    absl::StatusOr<Update> now = UpdateNow(steps, *update);
    if (!now.ok()) return now.status();
    return Value(*std::move(now));
  }
  if (stored.As<Values>() == nullptr) return stored;
  Values now(graph_.names);
  absl::Status failed;
  stored.ForEachField([&](std::string_view field, Value value) {
    std::string name(field);
    failed.Update(WriteNow(steps, &name, &value));
    if (name.empty()) return;
    const std::optional<uint32_t> channel = graph_.FindChannel(name);
    if (channel.has_value()) {
      now.Add(*channel, std::move(value));
    } else {
      now.Add(name, std::move(value));
    }
  });
  if (!failed.ok()) return failed;
  return Value(std::move(now));
}

absl::StatusOr<Update> SavedBy::UpdateNow(Steps steps, Update stored) const {
  if (UpdateAccess::refused(stored).has_value()) return stored;
  Update now;
  for (const Write& write : UpdateAccess::writes(stored)) {
    const std::string* stored_name = UpdateAccess::name(stored, write);
    if (stored_name == nullptr) return stored;  // To be refused; see ByName().
    std::string name = *stored_name;
    Value value = write.value;
    if (absl::Status s = WriteNow(steps, &name, &value); !s.ok()) return s;
    if (name.empty()) continue;
    UpdateAccess::AddByName(now, name, std::move(value), write.overwrite != 0);
  }
  return now;
}

absl::StatusOr<Command> SavedBy::CommandNow(Steps steps,
                                            const Command& stored) const {
  absl::StatusOr<Update> update = UpdateNow(steps, stored.update);
  if (!update.ok()) return update.status();
  Command now{.update = *std::move(update), .graph = stored.graph};
  for (const Target& target : stored.go_to) {
    std::string node = NodeNow(steps, target.node().name());
    if (target.node().id().schema() != 0) {
      now.go_to.push_back(target);
    } else if (node.empty()) {
      continue;
    } else if (!target.is_send()) {
      now.go_to.emplace_back(std::move(node));
    } else {
      absl::StatusOr<Value> arg = ArgNow(steps, target.arg());
      if (!arg.ok()) return arg.status();
      Send send(NodeRef(std::move(node)), *std::move(arg));
      send.timeout = target.timeout();
      now.go_to.emplace_back(std::move(send));
    }
  }
  return now;
}

}  // namespace internal

bool SavedState::Has(std::string_view channel) const {
  const internal::SavedBy::Saved* saved = of_->FindSaved(channel);
  return saved != nullptr &&
         (saved->value.has_value() ||
          (saved->stored != nullptr && saved->stored->value.has_value()));
}

absl::StatusOr<Value> SavedState::Read(std::string_view channel,
                                       const internal::ValueType* type) const {
  const internal::SavedBy::Saved* saved = of_->FindSaved(channel);
  if (saved == nullptr) {
    return absl::NotFoundError(
        absl::StrFormat("channel '%s' holds nothing", std::string(channel)));
  }
  return of_->ValueOf(*saved, type);
}

void SavedState::Write(std::string_view channel, Value value) {
  internal::SavedBy::Saved* saved = of_->FindSaved(channel);
  if (saved == nullptr) {
    of_->channels_.push_back({.name = std::string(channel)});
    saved = &of_->channels_.back();
  }
  saved->value = std::move(value);
}

absl::Status SavedState::ConvertValue(
    std::string_view channel, const internal::ValueType* type,
    std::function<Value(const Value&)> convert) {
  if (Has(channel)) {
    const absl::StatusOr<Value> old = Read(channel, type);
    if (!old.ok()) return old.status();
    Write(channel, convert(*old));
  }
  ConvertWritten(channel, type, std::move(convert));
  return absl::OkStatus();
}

void SavedState::ConvertWritten(std::string_view channel,
                                const internal::ValueType* type,
                                std::function<Value(const Value&)> convert) {
  of_->conversions_.push_back(
      {of_->step_, std::string(channel), type, std::move(convert)});
}

}  // namespace v0
}  // namespace weir
