#include "weir/runtime/errors.h"

#include <array>
#include <exception>
#include <new>
#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

#include "weir/runtime/internal/node_body.h"

namespace weir {
inline namespace v0 {
namespace {

constexpr char kPayload[] = "weir/error_kind";
constexpr char kNodePayload[] = "weir/node";

constexpr std::array<std::string_view, 19> kKindNames = {
    "",
    "NodeError",
    "InvalidUpdateError",
    "InvalidBranchError",
    "ReducerError",
    "InvalidGraphError",
    "EmptyInputError",
    "GraphRecursionError",
    "GraphDrained",
    "ParentCommand",
    "NodeTimeoutError",
    "StepTimeoutError",
    "RunCancelled",
    "Interrupt",
    "NoCheckpointerError",
    "InvalidNamespaceError",
    "UnknownOutcome",
    "Rollback",
    "RunTimeoutError"};

}  // namespace

std::string_view ErrorKindName(ErrorKind kind) {
  return kKindNames[static_cast<size_t>(kind)];
}

ErrorKind ErrorKindOf(const absl::Status& status) {
  const absl::optional<absl::Cord> name = status.GetPayload(kPayload);
  if (!name.has_value()) return ErrorKind::kNone;
  for (size_t i = 1; i < kKindNames.size(); ++i) {
    if (*name ==
        absl::string_view(kKindNames[i].data(), kKindNames[i].size())) {
      return static_cast<ErrorKind>(i);
    }
  }
  return ErrorKind::kNone;
}

std::string FailedNode(const absl::Status& status) {
  const absl::optional<absl::Cord> node = status.GetPayload(kNodePayload);
  return node.has_value() ? std::string(*node) : std::string();
}

namespace internal {

void NoteFailedNode(std::string_view node, absl::Status* status) {
  if (status->GetPayload(kNodePayload).has_value()) return;
  status->SetPayload(kNodePayload,
                     absl::Cord(absl::string_view(node.data(), node.size())));
}

absl::Status MakeError(ErrorKind kind, absl::StatusCode code,
                       const std::string& message) {
  absl::Status status(code, message);
  const std::string_view name = ErrorKindName(kind);
  status.SetPayload(kPayload,
                    absl::Cord(absl::string_view(name.data(), name.size())));
  return status;
}

std::string Shown(const Value& value) {
  constexpr size_t kLongest = 200;
  std::string text;
  try {
    value.AppendJson(&text);  // The user's codec.
  } catch (...) {
    text = "a value";
  }
  if (text.size() > kLongest) text.replace(kLongest, text.npos, "...");
  absl::StrAppend(&text, " (", std::string(value.type_name()), ")");
  return text;
}

absl::Status Annotate(const absl::Status& status, ErrorKind kind,
                      const std::string& message) {
  absl::Status annotated = MakeError(kind, status.code(), message);
  status.ForEachPayload(
      [&annotated](absl::string_view url, const absl::Cord& payload) {
        annotated.SetPayload(url, payload);
      });
  return annotated;
}

absl::Status CurrentException() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const std::exception& e) {
    return absl::UnknownError(e.what());
  } catch (...) {
    return absl::UnknownError("threw something that is no std::exception");
  }
}

absl::Status ThrownByReducer() {
  const absl::Status thrown = CurrentException();
  return absl::Status(thrown.code(), "has a reducer that threw: " +
                                         std::string(thrown.message()));
}

}  // namespace internal
}  // namespace v0
}  // namespace weir
