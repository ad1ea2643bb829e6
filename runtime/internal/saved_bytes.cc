#include "weir/runtime/internal/saved_bytes.h"

#include "weir/runtime/internal/saved_fields.h"

namespace weir {
inline namespace v0 {
namespace internal {

// The format of a task's record that begins with the version of the graph that
// it ran in; the record as otherwise follows.
constexpr char kTaskOfVersion = 2;

template <class A, IsA<SavedGraph> R>
void Fields(A& a, R& r) {
  a(r.version, r.fingerprint, r.types, r.filler);
}
template <class A, IsA<SavedSend> R>
void Fields(A& a, R& r) {
  a(r.node, r.arg, r.timeout);
}
template <class A, IsA<SavedJoin> R>
void Fields(A& a, R& r) {
  a(r.name, r.seen);
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

absl::Status EncodeRecord(const SavedGraph& record, std::string* out) {
  return EncodeFields(record, nullptr, out);
}
absl::Status EncodeRecord(const SavedEngine& record, std::string* out) {
  return EncodeFields(
      record, record.rest == nullptr ? nullptr : record.rest->names, out);
}
absl::Status EncodeRecord(const SavedTask& record, std::string* out) {
  if (record.version.has_value()) {
    out->push_back(kTaskOfVersion);
    Codec<int>::Encode(*record.version, out);
  }
  return EncodeFields(record, record.names, out);
}
absl::Status EncodeRecord(const SavedFailure& record, std::string* out) {
  return EncodeFields(record, nullptr, out);
}
absl::Status EncodeRecord(const SavedInterrupts& record, std::string* out) {
  return EncodeFields(record, record.names, out);
}
absl::Status EncodeRecord(const SavedAnswers& record, std::string* out) {
  return EncodeFields(record, record.names, out);
}

absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedGraph* record) {
  return DecodeFields(bytes, names, record);
}
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedEngine* record) {
  return DecodeFields(bytes, names, record);
}
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedTask* record) {
  if (!bytes.empty() && bytes[0] == kTaskOfVersion) {
    bytes.remove_prefix(1);
    absl::Status s = Codec<int>::Decode(&bytes, &record->version.emplace());
    if (!s.ok()) return s;
  }
  return DecodeFields(bytes, names, record);
}
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedFailure* record) {
  return DecodeFields(bytes, names, record);
}
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedInterrupts* record) {
  record->names = names;
  return DecodeFields(bytes, names, record);
}
absl::Status DecodeRecord(std::string_view bytes, const SavedFor& names,
                          SavedAnswers* record) {
  record->names = names;
  return DecodeFields(bytes, names, record);
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
