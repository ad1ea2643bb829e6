#ifndef WEIR_RUNTIME_INTERNAL_SAVED_FIELDS_H_
#define WEIR_RUNTIME_INTERNAL_SAVED_FIELDS_H_

#include <concepts>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

#include "weir/channels/codec.h"
#include "weir/channels/internal/type_table.h"
#include "weir/channels/internal/wire.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/internal/saved_bytes.h"
#include "weir/runtime/internal/saved_line.h"
#include "weir/runtime/stored_run.h"

// How records become bytes and come back: a Fields() for each says its fields
// in their order, for both directions.
namespace weir {
inline namespace v0 {
namespace internal {

inline constexpr uint8_t kRecordFormat = 1;

// What follows, where a Value is.
enum class Held : uint8_t {
  kTyped,    // A type's name, and a value of it; see TypeTable.
  kRecord,   // Values: the arguments of a Send, by channel.
  kFailure,  // Of a block that runs once.
  kUpdate,   // The argument of a Send that a command holds.
};

// The last value of each enum that records hold: what is greater is a later
// weir's, and says nothing to this one.
template <class E>
constexpr E LastOf() = delete;
template <>
constexpr Held LastOf() {
  return Held::kUpdate;
}
template <>
constexpr absl::StatusCode LastOf() {
  return absl::StatusCode::kUnauthenticated;
}
template <>
constexpr ErrorKind LastOf() {
  return ErrorKind::kRunTimeout;
}
template <>
constexpr Command::Graph LastOf() {
  return Command::Graph::kParent;
}

template <class T, class Of>
concept IsA = std::same_as<std::remove_const_t<T>, Of>;

template <class A, IsA<Interrupt> R>
void Fields(A& a, R& r) {
  a(r.id, r.value);
}
template <class A, IsA<SavedFailure> R>
void Fields(A& a, R& r) {
  a(r.code, r.kind, r.message, r.asked, r.graphs, r.functions);
}

template <class T>
concept Plain =
    std::integral<T> || std::is_enum_v<T> || std::same_as<T, std::string>;

// A list of any kind.
template <class T>
concept List = requires(T list) {
  typename T::value_type;
  list.begin();
}
&&!std::same_as<T, std::string>;

// Appends fields to bytes. After a failure it does nothing more.
class Writer {
 public:
  Writer(const TypeTable& types, std::string* out) : types_(types), out_(out) {}

  const absl::Status& status() const { return status_; }

  template <class... Ts>
  void operator()(const Ts&... fields) {
    (Put(fields), ...);
  }

  void Writes(const SavedTask& task) {
    Put(task.writes.size());
    for (const Write& write : task.writes) {
      const bool is_result = write.channel == kReturnValue;
      (*this)(is_result,
              is_result ? std::string() : task.names->names[write.channel],
              write.value, write.overwrite != 0);
    }
  }

 private:
  template <Plain T>
  void Put(const T& field) {
    Codec<T>::Encode(field, out_);
  }
  template <List T>
  void Put(const T& list) {
    Put(list.size());
    for (const auto& item : list) Put(item);
  }
  template <class T>
  requires requires(Writer& w, const T& record) { Fields(w, record); }
  void Put(const T& record) { Fields(*this, record); }

  template <class T>
  void Put(const std::optional<T>& field) {
    Put(field.has_value());
    if (field.has_value()) Put(*field);
  }
  template <class T>
  void Put(const std::map<std::string, T>& fields) {
    Put(fields.size());
    for (const auto& [name, field] : fields) (*this)(name, field);
  }
  void Put(std::string_view text) { Put(std::string(text)); }
  void Put(const absl::Duration& duration) {
    Put(absl::ToInt64Nanoseconds(duration));
  }
  void Put(const absl::Time& time) { Put(time - absl::UnixEpoch()); }
  void Put(const absl::Status& status) {
    Put(SavedFailure(status));
    Put(FailedNode(status));
  }
  void Put(const Values& values) {
    Put(values.size());
    for (const Values::Item& item : values.items()) {
      (*this)(values.name(item), item.value);
    }
  }
  template <class T>
  void Put(const std::unique_ptr<T>& record) {
    Put(record != nullptr);
    if (record != nullptr) Put(*record);
  }
  template <class T>
  void Put(const std::shared_ptr<const T>& record) {
    Put(record != nullptr);
    if (record != nullptr) Put(*record);
  }
  void Put(const Command& command) {
    (*this)(command.update, command.graph, command.go_to);
  }
  void Put(const Target& target) {
    const NodeRef& node = target.node();
    if (node.id().schema() != 0) Note(OfAnotherGraph());
    (*this)(node.name(), target.is_send(), target.arg(), target.timeout());
  }
  void Put(const Update& update) {
    Update copy = update;
    Put(UpdateAccess::refused(copy));
    Put(UpdateAccess::writes(copy).size());
    for (const Write& write : UpdateAccess::writes(copy)) {
      const std::string* name = UpdateAccess::name(copy, write);
      if (name == nullptr) return Note(OfAnotherGraph());
      (*this)(*name, write.value, write.overwrite != 0);
    }
  }
  void Put(const Value& value) {
    if (const auto* record = value.As<Values>()) {
      (*this)(Held::kRecord, *record);
    } else if (const auto* failure = value.As<SavedFailure>()) {
      (*this)(Held::kFailure, *failure);
    } else if (const auto* update = value.As<Update>()) {
      (*this)(Held::kUpdate, *update);
    } else {
      Put(Held::kTyped);
      Note(types_.Encode(value, out_));
    }
  }

  static absl::Status OfAnotherGraph() {
    return absl::FailedPreconditionError(
        "a command with handles of another graph cannot be stored");
  }
  void Note(const absl::Status& status) { status_.Update(status); }

  const TypeTable& types_;
  std::string* const out_;
  absl::Status status_;
};

// Texts that records only view, which stay where they are.
using TextPool = std::deque<std::string>;

// Takes fields off the front of bytes. After a failure it does nothing more.
class FieldReader {
 public:
  FieldReader(std::string_view in, const SavedFor& names,
              TextPool* texts = nullptr)
      : in_(in), names_(names), texts_(texts) {}

  // Values of types that are not in the table are read as OpaqueValue.
  void TakeUnknownTypes() { opaque_ = true; }

  bool AtEnd() const { return in_.empty(); }
  void Refuse(const char* why) { Note(BadBytes(why)); }
  // Of all that was read. DataLoss if something is left.
  absl::Status Finish() {
    if (status_.ok() && !in_.empty()) Note(BadBytes("bytes after its end"));
    return status_;
  }

  template <class... Ts>
  void operator()(Ts&... fields) {
    (Get(fields), ...);
  }

  void Writes(SavedTask& task) {
    task.names = names_;
    ForEach([&] {
      bool is_result = false;
      bool overwrite = false;
      std::string name;
      Value value;
      (*this)(is_result, name);
      const uint32_t channel = is_result ? kReturnValue : ChannelOf(name);
      // The graph may have lost the channel, and then its type.
      GetValue(&value, /*needed=*/channel != kNoChannel);
      (*this)(overwrite);
      if (!status_.ok() || channel == kNoChannel) return;
      task.writes.push_back(
          Write(std::move(value), channel, names_->schema, overwrite));
    });
  }

 private:
  static constexpr uint32_t kNoChannel = kReturnValue - 1;

  uint32_t ChannelOf(const std::string& name) const {
    for (size_t i = 0; i < names_->names.size(); ++i) {
      if (names_->names[i] == name) return static_cast<uint32_t>(i);
    }
    return kNoChannel;
  }

  // Calls `take` as often as the number that comes says, which is of things
  // that have at least a byte each.
  template <class F>
  void ForEach(F take) {
    size_t count = 0;
    Get(count);
    if (status_.ok() && count > in_.size()) {
      Note(BadBytes("fewer elements than announced"));
    }
    for (; status_.ok() && count > 0; --count) take();
  }

  template <Plain T>
  void Get(T& field) {
    if (status_.ok()) Note(Codec<T>::Decode(&in_, &field));
  }
  template <Plain T>
  requires std::is_enum_v<T>
  void Get(T& field) {
    std::underlying_type_t<T> number{};
    Get(number);
    if (!status_.ok()) return;
    if (number < 0 || number > static_cast<decltype(number)>(LastOf<T>())) {
      return Note(LaterNumber(static_cast<int64_t>(number)));
    }
    field = static_cast<T>(number);
  }
  template <List T>
  void Get(T& list) {
    ForEach([&] { Get(list.emplace_back()); });
  }
  template <class T>
  requires requires(FieldReader& r, T& record) { Fields(r, record); }
  void Get(T& record) { Fields(*this, record); }

  template <class T>
  void Get(std::optional<T>& field) {
    if (GetBool()) Get(field.emplace());
  }
  template <class T>
  void Get(std::map<std::string, T>& fields) {
    ForEach([&] {
      std::string name;
      Get(name);
      Get(fields[std::move(name)]);
    });
  }
  void Get(absl::Duration& duration) {
    int64_t nanos = 0;
    Get(nanos);
    duration = nanos == INT64_MAX ? absl::InfiniteDuration()
                                  : absl::Nanoseconds(nanos);
  }
  void Get(absl::Time& time) {
    absl::Duration since;
    Get(since);
    time = absl::UnixEpoch() + since;
  }
  // Only with a pool for it.
  void Get(std::string_view& text) {
    Get(texts_->emplace_back());
    text = texts_->back();
  }
  template <class T>
  void Get(std::shared_ptr<const T>& record) {
    if (!GetBool()) return;
    const Nesting nesting;
    if (nesting.too_deep()) return Refuse("records nested too deep");
    auto read = std::make_shared<T>();
    Get(*read);
    record = std::move(read);
  }
  void Get(absl::Status& status) {
    SavedFailure failure;
    Get(failure);
    std::string node;
    Get(node);
    status = failure.status();
    if (!node.empty()) NoteFailedNode(node, &status);
  }
  void Get(Values& values) {
    values = Values(names_);
    ForEach([&] {
      std::string name;
      Value item;
      (*this)(name, item);
      const uint32_t channel = ChannelOf(name);
      if (channel == kNoChannel) {
        values.Add(name, std::move(item));
      } else {
        values.Add(channel, std::move(item));
      }
    });
  }
  template <class T>
  void Get(std::unique_ptr<T>& record) {
    if (!GetBool()) return;
    record = std::make_unique<T>();
    record->names = names_;
    Get(*record);
  }
  void Get(Command& command) {
    Get(command.update);
    Get(command.graph);
    ForEach([&] { command.go_to.push_back(GetTarget()); });
  }
  Target GetTarget() {
    std::string node;
    bool is_send = false;
    Value arg;
    std::optional<absl::Duration> timeout;
    (*this)(node, is_send, arg, timeout);
    if (!is_send) return Target(std::move(node));
    Send send(NodeRef(std::move(node)), std::move(arg));
    send.timeout = timeout;
    return Target(std::move(send));
  }
  void Get(Update& update) {
    Value refused;
    Get(refused);
    if (refused.has_value()) update = Update::FromValue(std::move(refused));
    ForEach([&] {
      std::string name;
      Value value;
      bool overwrite = false;
      (*this)(name, value, overwrite);
      UpdateAccess::AddByName(update, name, std::move(value), overwrite);
    });
  }
  void Get(Value& value) { GetValue(&value, /*needed=*/true); }

  void GetValue(Value* value, bool needed) {
    const Nesting nesting;
    if (nesting.too_deep()) Note(BadBytes("values nested too deep"));
    Held held{};
    Get(held);
    if (!status_.ok()) return;
    switch (held) {
      case Held::kTyped: {
        const std::string_view typed = in_;
        const absl::Status read = names_->types->Decode(&in_, value);
        if (opaque_ && absl::IsFailedPrecondition(read)) {
          *value = Opaque(typed);
          return;
        }
        if (needed || absl::IsDataLoss(read)) Note(read);
        return;
      }
      case Held::kRecord: {
        Values record;
        Get(record);
        *value = Value(std::move(record));
        return;
      }
      case Held::kFailure: {
        SavedFailure failure;
        Get(failure);
        *value = Value(std::move(failure));
        return;
      }
      case Held::kUpdate: {
        Update update;
        Get(update);
        *value = Value(std::move(update));
        return;
      }
    }
    Note(BadBytes("a value of no known kind"));
  }
  // Of what TypeTable::Decode() has passed.
  static Value Opaque(std::string_view typed) {
    OpaqueValue value;
    Codec<std::string>::Decode(&typed, &value.type).IgnoreError();
    Codec<std::string>::Decode(&typed, &value.bytes).IgnoreError();
    return Value(std::move(value));
  }
  bool GetBool() {
    bool field = false;
    Get(field);
    return field;
  }
  static absl::Status LaterNumber(int64_t number) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "a record with the number %d, which says nothing to this weir, was "
        "stored by a later one; open it with that one",
        number));
  }
  void Note(const absl::Status& status) { status_.Update(status); }

  std::string_view in_;
  const SavedFor& names_;
  TextPool* const texts_;
  bool opaque_ = false;
  absl::Status status_;
};

template <class R>
absl::Status EncodeFields(const R& record, const SavedFor& names,
                          std::string* out) {
  static const TypeTable* const kNone = new TypeTable();
  Writer writer(names == nullptr ? *kNone : *names->types, out);
  out->push_back(static_cast<char>(kRecordFormat));
  writer(record);
  return writer.status();
}

// Has `read` take all fields of a record from a Reader.
template <class F>
absl::Status ReadRecord(std::string_view bytes, const SavedFor& names, F read,
                        TextPool* texts = nullptr) {
  if (bytes.empty()) return BadBytes("no format");
  const auto format = static_cast<uint8_t>(bytes[0]);
  if (format == 0) return BadBytes("no format");
  if (format > kRecordFormat) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "a record of the format %d was stored by a later weir; this one knows "
        "%d",
        format, kRecordFormat));
  }
  FieldReader reader(bytes.substr(1), names, texts);
  read(reader);
  return reader.Finish();
}

template <class R>
absl::Status DecodeFields(std::string_view bytes, const SavedFor& names,
                          R* record) {
  return ReadRecord(bytes, names,
                    [&](FieldReader& reader) { reader(*record); });
}

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_SAVED_FIELDS_H_
