#include "weir/runtime/internal/saved_runs.h"

#include <bit>
#include <memory>
#include <utility>
#include <variant>

#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/saved_fields.h"

namespace weir {
inline namespace v0 {
namespace internal {

template <>
constexpr ThreadStatus LastOf() {
  return ThreadStatus::kError;
}
template <>
constexpr RunStatus LastOf() {
  return RunStatus::kInterrupted;
}
template <>
constexpr RunEnd LastOf() {
  return RunEnd::kStopped;
}
template <>
constexpr CancelAction LastOf() {
  return CancelAction::kRollback;
}
template <>
constexpr MultitaskStrategy LastOf() {
  return MultitaskStrategy::kRollback;
}
template <>
constexpr OnFailure LastOf() {
  return OnFailure::kCancelSiblings;
}
template <>
constexpr Durability LastOf() {
  return Durability::kExit;
}
template <>
constexpr StreamModes LastOf() {  // A set of them.
  return static_cast<StreamModes>(kControl | (kMessages * 2 - 1));
}

template <class A, IsA<CheckpointId> R>
void Fields(A& a, R& r) {
  a(r.sequence, r.random);
}
template <class A, IsA<CheckpointRef> R>
void Fields(A& a, R& r) {
  a(r.thread_id, r.ns, r.id, r.around);
}
template <class A, IsA<CheckpointMetadata> R>
void Fields(A& a, R& r) {
  a(r.source, r.step, r.run_id, r.parents, r.custom);
}
template <class A, IsA<SavedThreadInfo> R>
void Fields(A& a, R& r) {
  a(r.created_at, r.updated_at, r.state_updated_at, r.metadata, r.graph, r.ttl,
    r.verdict, r.next_id);
}
template <class A, IsA<RunInfo> R>
void Fields(A& a, R& r) {
  a(r.graph, r.status, r.attempt, r.metadata, r.modes, r.subgraphs, r.resumable,
    r.multitask, r.created_at, r.start_after, r.updated_at, r.started_at,
    r.ended_at);
}
template <class A, IsA<SavedRunInfo> R>
void Fields(A& a, R& r) {
  a(r.info, r.cancelled, r.first_id, r.retention, r.max_events, r.max_bytes,
    r.window, r.begins, r.end, r.checkpoint, r.error, r.end_event, r.asks);
}

// The options that the row has nowhere else.
template <class A, IsA<StartOptions> R>
void Fields(A& a, R& r) {
  a(r.recursion_limit, r.max_concurrency, r.on_failure, r.step_timeout,
    r.timeout, r.durability, r.from, r.interrupt_before, r.interrupt_after);
}

template <class A, IsA<NamespaceLevel> R>
void Fields(A& a, R& r) {
  a(r.node, r.task_id, r.call);
}
template <class A, IsA<StateSnapshot> R>
void Fields(A& a, R& r) {
  a(r.values, r.next, r.tasks, r.interrupts, r.ref, r.parent, r.metadata,
    r.created_at);
}
template <class A, IsA<TaskState> R>
void Fields(A& a, R& r) {
  a(r.id, r.name, r.interrupts, r.error, r.finished, r.result, r.inside,
    r.state);
}
template <class A, IsA<RunMetadata> R>
void Fields(A& a, R& r) {
  a(r.run_id, r.attempt);
}
template <class A, IsA<RunError> R>
void Fields(A& a, R& r) {
  a(r.status);
}
template <class A, IsA<StateValues> R>
void Fields(A& a, R& r) {
  a(r.values);
}
template <class A, IsA<NodeUpdate> R>
void Fields(A& a, R& r) {
  a(r.node, r.writes, r.cached, r.returned);
}
template <class A, IsA<CustomValue> R>
void Fields(A& a, R& r) {
  a(r.node, r.value);
}
template <class A, IsA<MessageChunk> R>
void Fields(A& a, R& r) {
  a(r.node, r.task_id, r.id, r.message, r.whole, r.send, r.triggers, r.tags);
}
template <class A, IsA<TaskStarted> R>
void Fields(A& a, R& r) {
  a(r.id, r.node, r.input, r.triggers);
}
template <class A, IsA<TaskFinished> R>
void Fields(A& a, R& r) {
  a(r.id, r.node, r.writes, r.status, r.interrupts, r.returned);
}
template <class A, IsA<CheckpointReached> R>
void Fields(A& a, R& r) {
  a(r.state);
}
template <class A, IsA<RunInterrupted> R>
void Fields(A& a, R& r) {
  a(r.interrupts, r.values);
}
template <class A, IsA<RunWarning> R>
void Fields(A& a, R& r) {
  a(r.text);
}
template <class A, IsA<TaskRetried> R>
void Fields(A& a, R& r) {
  a(r.id, r.node, r.attempt, r.status, r.wait);
}

namespace {

// What an Input is made of; the numbers are in the format.
enum class InputKind : uint8_t {
  kContinue,
  kValues,
  kCommand,
  kResume,
  kResumeEach,
};

}  // namespace

template <>
constexpr InputKind LastOf() {
  return InputKind::kResumeEach;
}

namespace {

InputKind KindOf(Input& input) {
  if (input.is_continue()) return InputKind::kContinue;
  if (!input.is_command()) return InputKind::kValues;
  if (!input.is_resume()) return InputKind::kCommand;
  return input.answer().has_value() ? InputKind::kResume
                                    : InputKind::kResumeEach;
}

Input MakeInput(InputKind kind, Command command, Value answer,
                std::map<std::string, Value> answers) {
  switch (kind) {
    case InputKind::kContinue:
      break;
    case InputKind::kValues:
      return Input::Values(std::move(command.update));
    case InputKind::kCommand:
      return Input::Command(std::move(command));
    case InputKind::kResume:
      return Input::Resume(std::move(answer), std::move(command));
    case InputKind::kResumeEach:
      return Input::ResumeEach(std::move(answers), std::move(command));
  }
  return Input::Continue();
}

// Begins a record that is written field by field.
class Record {
 public:
  Record(const CompiledGraph& graph, std::string* out)
      : writer_(*graph.names->types, out) {
    out->push_back(static_cast<char>(kRecordFormat));
  }
  template <class... Ts>
  absl::Status Put(const Ts&... fields) {
    writer_(fields...);
    return writer_.status();
  }

 private:
  Writer writer_;
};

// The bytes of a record that has no values.
template <class R>
std::string EncodePlain(const R& record) {
  std::string bytes;
  EncodeFields(record, nullptr, &bytes).IgnoreError();  // It has nothing to.
  return bytes;
}

// Whether `value` is one of those up to `last`: bytes may be any.
template <class E>
bool IsUpTo(E last, E value) {
  return static_cast<uint32_t>(value) <= static_cast<uint32_t>(last);
}
absl::Status KnownOrBad(bool known) {
  return known ? absl::OkStatus() : BadBytes("a status of no known kind");
}

template <class R>
absl::Status DecodePlain(std::string_view bytes, R* record) {
  return DecodeFields(bytes, SavedFor(), record);
}

struct Batch {
  std::vector<std::string> events;
};
template <class A, IsA<Batch> R>
void Fields(A& a, R& r) {
  a(r.events);
}

// Makes the payload that is the `index`-th of the variant, and reads it.
template <size_t... kIndex>
bool ReadPayload(FieldReader& reader, size_t index, EventPayload& payload,
                 std::index_sequence<kIndex...> /*all*/) {
  return ((index == kIndex && (reader(payload.emplace<kIndex>()), true)) ||
          ...);
}

}  // namespace

ThreadInfo InfoOf(const std::string& id, const SavedThreadInfo& thread) {
  ThreadInfo info;
  info.id = id;
  info.status = thread.verdict;
  info.created_at = thread.created_at;
  info.updated_at = thread.updated_at;
  info.state_updated_at = thread.state_updated_at;
  info.metadata = thread.metadata;
  info.graph = thread.graph;
  info.ttl = thread.ttl;
  return info;
}

std::string EncodeThreadInfo(const SavedThreadInfo& thread) {
  return EncodePlain(thread);
}
absl::Status DecodeThreadInfo(std::string_view bytes, SavedThreadInfo* thread) {
  absl::Status s = DecodePlain(bytes, thread);
  s.Update(KnownOrBad(IsUpTo(ThreadStatus::kError, thread->verdict)));
  return s;
}
std::string EncodeRunInfo(const SavedRunInfo& run) { return EncodePlain(run); }
absl::Status DecodeRunInfo(std::string_view bytes, SavedRunInfo* run) {
  absl::Status s = DecodePlain(bytes, run);
  s.Update(
      KnownOrBad(IsUpTo(RunStatus::kInterrupted, run->info.status) &&
                 IsUpTo(MultitaskStrategy::kRollback, run->info.multitask) &&
                 IsUpTo(RunEnd::kStopped, run->end) &&
                 IsUpTo(CancelAction::kRollback,
                        run->cancelled.value_or(CancelAction::kInterrupt))));
  return s;
}

absl::Status EncodeBeginning(const CompiledGraph& graph, const Input& input,
                             const StartOptions& options, std::string* out) {
  Input copy = input;
  // Only what can be read back: a host's context seldom can.
  std::string tried;
  Value context = options.context;
  if (!graph.names->types->Encode(context, &tried).ok()) context = Value();
  Record record(graph, out);
  absl::Status s = record.Put(KindOf(copy), ByName(graph, copy.command()),
                              copy.answer(), copy.answers(), options, context);
  // Where it is left out, as in records of those who did not know it, it is 1.
  if (options.max_async_lag != 1) s.Update(record.Put(options.max_async_lag));
  return s;
}

absl::Status DecodeBeginning(const CompiledGraph& graph, std::string_view bytes,
                             Input* input, StartOptions* options) {
  InputKind kind{};
  std::shared_ptr<Command> command = std::make_shared<Command>();
  Value answer;
  std::map<std::string, Value> answers;
  absl::Status read = ReadRecord(bytes, graph.names, [&](FieldReader& reader) {
    reader(kind, *command, answer, answers, *options, options->context);
    if (!reader.AtEnd()) reader(options->max_async_lag);
    if (options->max_async_lag < 1) reader.Refuse("a lag of no superstep");
  });
  if (!read.ok()) return read;
  *input = MakeInput(kind, std::move(*command), std::move(answer),
                     std::move(answers));
  return absl::OkStatus();
}

absl::Status EncodeInterrupts(const CompiledGraph& graph,
                              const std::vector<Interrupt>& interrupts,
                              std::string* out) {
  return Record(graph, out).Put(interrupts);
}
absl::Status DecodeInterrupts(const CompiledGraph& graph,
                              std::string_view bytes,
                              std::vector<Interrupt>* interrupts) {
  return ReadRecord(bytes, graph.names,
                    [&](FieldReader& reader) { reader(*interrupts); });
}

absl::Status EncodeEvent(const CompiledGraph& graph, const Event& event,
                         std::string* out) {
  const EventBody& body = EventAccess::body(event);
  Record record(graph, out);
  absl::Status s = record.Put(event.mode(), event.ns(), body.step, body.time,
                              body.payload.index());
  s.Update(
      std::visit([&record](const auto& payload) { return record.Put(payload); },
                 body.payload));
  return s;
}

absl::Status DecodeEvent(const CompiledGraph& graph, std::string_view bytes,
                         Event* event) {
  return DecodeEvent(graph.names, UnknownTypes::kRefuse, bytes, event);
}

absl::Status DecodeEvent(const SavedFor& names, UnknownTypes unknown,
                         std::string_view bytes, Event* event) {
  uint32_t mode = 0;
  std::vector<NamespaceLevel> ns;
  size_t index = 0;
  auto body = Ref<EventBody>::Adopt(new EventBody(EventPayload()));
  // For what the payload only views.
  auto texts = std::make_shared<TextPool>();
  absl::Status read = ReadRecord(
      bytes, names,
      [&](FieldReader& reader) {
        if (unknown == UnknownTypes::kOpaque) reader.TakeUnknownTypes();
        reader(mode, ns, body->step, body->time, index);
        if (!ReadPayload(reader, index, body->payload,
                         std::make_index_sequence<
                             std::variant_size_v<EventPayload>>())) {
          reader.Refuse("an event of no known kind");
        }
        const auto* at = std::get_if<CheckpointReached>(&body->payload);
        if (at != nullptr && at->state == nullptr) {
          reader.Refuse("a checkpoint without its state");
        }
        if (!std::has_single_bit(mode)) reader.Refuse("an event of no mode");
      },
      texts.get());
  if (!read.ok()) return read;
  if (!ns.empty()) {
    body->ns =
        std::make_shared<const std::vector<NamespaceLevel>>(std::move(ns));
  }
  body->names = std::move(texts);
  *event = Event(mode, std::move(body));
  return absl::OkStatus();
}

std::string EncodeBatch(const std::vector<std::string>& events) {
  return EncodePlain(Batch{events});
}
absl::Status DecodeBatch(std::string_view bytes,
                         std::vector<std::string>* events) {
  Batch batch;
  absl::Status read = DecodePlain(bytes, &batch);
  *events = std::move(batch.events);
  return read;
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
