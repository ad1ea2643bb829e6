#include "weir/runtime/internal/saved_bytes.h"

#include <concepts>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"

#include "weir/channels/codec.h"
#include "weir/channels/internal/type_table.h"
#include "weir/channels/internal/wire.h"

namespace weir {
inline namespace v0 {
namespace internal {
namespace {

constexpr uint8_t kFormat = 1;

// What follows, where a Value is.
enum class Held : uint8_t {
  kTyped,    // A type's name, and a value of it; see TypeTable.
  kRecord,   // Values: the arguments of a Send, by channel.
  kFailure,  // Of a block that runs once.
  kUpdate,   // The argument of a Send that a command holds.
};

template <class T, class Of>
concept IsA = std::same_as<std::remove_const_t<T>, Of>;

// The fields of each record, in their order, for both directions.
template <class A, IsA<SavedSend> R>
void Fields(A& a, R& r) {
  a(r.node, r.arg, r.timeout);
}
template <class A, IsA<SavedJoin> R>
void Fields(A& a, R& r) {
  a(r.name, r.seen);
}
template <class A, IsA<Interrupt> R>
void Fields(A& a, R& r) {
  a(r.id, r.value);
}
template <class A, IsA<SavedFailure> R>
void Fields(A& a, R& r) {
  a(r.code, r.kind, r.message, r.asked, r.graphs, r.functions);
}
template <class A, IsA<SavedInterrupts> R>
void Fields(A& a, R& r) {
  a(r.interrupts, r.answers);
}
template <class A, IsA<SavedAnswers> R>
void Fields(A& a, R& r) {
  a(r.values);
}
template <class A, IsA<SavedEngine::Rest> R>
void Fields(A& a, R& r) {
  a(r.waiting, r.sends, r.joins, r.start, r.start_is_command);
}
template <class A, IsA<SavedEngine> R>
void Fields(A& a, R& r) {
  a(r.due, r.ran, r.ran_here, r.wrote_output, r.rest);
}
template <class A, IsA<SavedTask> R>
void Fields(A& a, R& r) {
  a.Writes(r);
  a(r.gotos, r.sends, r.fires_edges);
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

  void Put(const std::optional<absl::Duration>& duration) {
    Put(duration.has_value());
    if (duration.has_value()) Put(absl::ToInt64Nanoseconds(*duration));
  }
  void Put(const std::unique_ptr<SavedEngine::Rest>& rest) {
    Put(rest != nullptr);
    if (rest != nullptr) Put(*rest);
  }
  void Put(const std::shared_ptr<const Command>& command) {
    Put(command != nullptr);
    if (command != nullptr) Put(*command);
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
      (*this)(Held::kRecord, record->size());
      for (const Values::Item& item : record->items()) {
        (*this)(std::string(record->name(item)), item.value);
      }
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

// Takes fields off the front of bytes. After a failure it does nothing more.
class Reader {
 public:
  Reader(std::string_view in, const SavedFor& names) : in_(in), names_(names) {}

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
  template <List T>
  void Get(T& list) {
    ForEach([&] { Get(list.emplace_back()); });
  }
  template <class T>
  requires requires(Reader& r, T& record) { Fields(r, record); }
  void Get(T& record) { Fields(*this, record); }

  void Get(std::optional<absl::Duration>& duration) {
    if (!GetBool()) return;
    int64_t nanos = 0;
    Get(nanos);
    duration = nanos == INT64_MAX ? absl::InfiniteDuration()
                                  : absl::Nanoseconds(nanos);
  }
  void Get(std::unique_ptr<SavedEngine::Rest>& rest) {
    if (!GetBool()) return;
    rest = std::make_unique<SavedEngine::Rest>();
    rest->names = names_;
    Get(*rest);
  }
  void Get(std::shared_ptr<const Command>& command) {
    if (!GetBool()) return;
    auto read = std::make_shared<Command>();
    Get(read->update);
    Get(read->graph);
    ForEach([&] { read->go_to.push_back(GetTarget()); });
    command = std::move(read);
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
        const absl::Status read = names_->types->Decode(&in_, value);
        if (needed || absl::IsDataLoss(read)) Note(read);
        return;
      }
      case Held::kRecord:
        return GetRecord(value);
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
  void GetRecord(Value* value) {
    Values record(names_);
    ForEach([&] {
      std::string name;
      Value item;
      (*this)(name, item);
      const uint32_t channel = ChannelOf(name);
      if (channel == kNoChannel) {
        record.Add(name, std::move(item));
      } else {
        record.Add(channel, std::move(item));
      }
    });
    *value = Value(std::move(record));
  }
  bool GetBool() {
    bool field = false;
    Get(field);
    return field;
  }
  void Note(const absl::Status& status) { status_.Update(status); }

  std::string_view in_;
  const SavedFor& names_;
  absl::Status status_;
};

template <class R>
absl::Status Encode(const R& record, const SavedFor& names, std::string* out) {
  static const TypeTable* const kNone = new TypeTable();
  Writer writer(names == nullptr ? *kNone : *names->types, out);
  out->push_back(static_cast<char>(kFormat));
  writer(record);
  return writer.status();
}

template <class R>
absl::Status Decode(std::string_view bytes, const SavedFor& names, R* record) {
  if (bytes.empty()) return BadBytes("no format");
  const auto format = static_cast<uint8_t>(bytes[0]);
  if (format == 0) return BadBytes("no format");
  if (format > kFormat) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "a record of the format %d was stored by a later weir; this one knows "
        "%d",
        format, kFormat));
  }
  Reader reader(bytes.substr(1), names);
  reader(*record);
  return reader.Finish();
}

}  // namespace

absl::Status EncodeRecord(const SavedEngine& record, std::string* out) {
  return Encode(record, record.rest == nullptr ? nullptr : record.rest->names,
                out);
}
absl::Status EncodeRecord(const SavedTask& record, std::string* out) {
  return Encode(record, record.names, out);
}
absl::Status EncodeRecord(const SavedFailure& record, std::string* out) {
  return Encode(record, nullptr, out);
}
absl::Status EncodeRecord(const SavedInterrupts& record, std::string* out) {
  return Encode(record, record.names, out);
}
absl::Status EncodeRecord(const SavedAnswers& record, std::string* out) {
  return Encode(record, record.names, out);
}

absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedEngine* record) {
  return Decode(bytes, names, record);
}
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedTask* record) {
  return Decode(bytes, names, record);
}
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedFailure* record) {
  return Decode(bytes, names, record);
}
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedInterrupts* record) {
  record->names = names;
  return Decode(bytes, names, record);
}
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedAnswers* record) {
  record->names = names;
  return Decode(bytes, names, record);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
