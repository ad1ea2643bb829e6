#include "weir/runtime/internal/saved_line.h"

#include "weir/channels/internal/type_table.h"
#include "weir/runtime/internal/compiled_graph.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

Update ByName(const CompiledGraph& graph, Update update) {
  if (UpdateAccess::refused(update).has_value()) return update;
  Update named;
  for (Write& write : UpdateAccess::writes(update)) {
    const std::string* name = UpdateAccess::name(update, write);
    if (name == nullptr && write.schema == graph.schema &&
        write.channel < graph.channels.size()) {
      name = &graph.channels[write.channel].name;
    }
    if (name != nullptr) {
      UpdateAccess::AddByName(named, *name, std::move(write.value),
                              write.overwrite != 0);
    } else {
      UpdateAccess::writes(named).push_back(std::move(write));
    }
  }
  return named;
}

NodeRef ByName(const CompiledGraph& graph, const NodeRef& ref) {
  const uint32_t node =
      ref.id().schema() == 0 ? kToUnknown : graph.Resolve(ref);
  return node < graph.nodes.size() ? NodeRef(graph.nodes[node].name) : ref;
}

}  // namespace

Command ByName(const CompiledGraph& graph, const Command& command) {
  Command named{.update = ByName(graph, command.update),
                .graph = command.graph};
  for (const Target& target : command.go_to) {
    NodeRef node = ByName(graph, target.node());
    if (!target.is_send()) {
      named.go_to.emplace_back(std::move(node));
      continue;
    }
    const Update* update = target.arg().As<Update>();
    Send send(std::move(node),
              update == nullptr ? target.arg() : Value(ByName(graph, *update)));
    send.timeout = target.timeout();
    named.go_to.emplace_back(std::move(send));
  }
  return named;
}

SavedValue Save(Value value) {
  return SavedValue(std::make_shared<const Value>(std::move(value)),
                    [](const void* saved, std::string* out) {
                      return static_cast<const Value*>(saved)->Encode(out);
                    });
}

absl::StatusOr<Value> Load(const SavedValue& saved, const ValueType* type) {
  if (!saved.has_value()) return Value();
  if (saved.shared() != nullptr) {
    return *static_cast<const Value*>(saved.shared());
  }
  Value value;
  if (absl::Status s = DecodeAll(type, *saved.bytes(), &value); !s.ok()) {
    return s;
  }
  return value;
}

SavedFailure::SavedFailure(const absl::Status& status)
    : code(status.code()),
      kind(ErrorKindOf(status)),
      message(std::string(status.message())) {}

absl::Status SavedFailure::status() const {
  if (kind == ErrorKind::kNone) return absl::Status(code, message);
  return MakeError(kind, code, message);
}

const TaskWrites* FoundWrites::Find(std::string_view task_id) const {
  const auto at =
      index_.find(absl::string_view(task_id.data(), task_id.size()));
  return at == index_.end() ? nullptr : &tasks_[at->second];
}

TaskWrites& FoundWrites::FindOrAdd(const std::string& task_id) {
  const auto [at, added] = index_.emplace(task_id, tasks_.size());
  if (added) tasks_.emplace_back().task_id = task_id;
  return tasks_[at->second];
}

void FoundWrites::Drop(const std::string& task_id) {
  const auto at = index_.find(task_id);
  if (at == index_.end()) return;
  TaskWrites nothing;
  nothing.task_id = task_id;
  const TaskWrites dropped =
      std::exchange(tasks_[at->second], std::move(nothing));
  if (!dropped.interrupts.has_value()) return;
  // Functions that it has called show the same questions.
  for (TaskWrites& task : tasks_) {
    if (!task.interrupts.has_value()) continue;
    for (const Interrupt& of : dropped.interrupts->interrupts) {
      std::erase_if(task.interrupts->interrupts, [&of](const Interrupt& asked) {
        return asked.id == of.id;
      });
    }
  }
}

std::set<std::string> FoundWrites::Open() const {
  std::set<std::string> open;
  std::vector<std::string> answered;
  for (const TaskWrites& task : tasks_) {
    if (!task.interrupts.has_value()) continue;
    for (const Interrupt& interrupt : task.interrupts->interrupts) {
      if (task.asks()) {
        open.insert(interrupt.id);
      } else {
        answered.push_back(interrupt.id);
      }
    }
  }
  for (const std::string& id : answered) open.erase(id);
  return open;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
