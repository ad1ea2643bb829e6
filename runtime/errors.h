#ifndef WEIR_RUNTIME_ERRORS_H_
#define WEIR_RUNTIME_ERRORS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

#include "weir/channels/value.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// ErrorKind: what went wrong, finer than the absl::StatusCode. It travels in a
// payload of the Status. docs/errors/ has a page for each: when it comes, what
// it says and what to do.
//
// Source: the names are those of LangGraph's errors.
enum class ErrorKind {
  kNone,              // OK, or a Status that is not weir's.
  kNodeError,         // A node failed; the code is the node's own, or Unknown.
  kInvalidUpdate,     // InvalidArgument: a write or a node result is refused.
  kInvalidBranch,     // InvalidArgument: a router's answer leads nowhere.
  kReducerError,      // A reducer failed or threw; its code, or Unknown.
  kInvalidGraph,      // InvalidArgument: the graph does not compile.
  kEmptyInput,        // InvalidArgument, NotFound: nothing to run.
  kGraphRecursion,    // ResourceExhausted: the recursion limit is reached.
  kGraphDrained,      // Cancelled: stopped at a barrier as asked.
  kParentCommand,     // FailedPrecondition: a command for a parent at the root.
  kNodeTimeout,       // DeadlineExceeded: one attempt of a node took too long.
  kStepTimeout,       // DeadlineExceeded: one superstep took too long.
  kCancelled,         // Cancelled: the run was stopped from outside.
  kInterrupt,         // Cancelled: a node asks and has no answer; return it.
  kNoCheckpointer,    // FailedPrecondition: there is no checkpointer to ask.
  kInvalidNamespace,  // InvalidArgument: a store takes no such namespace.
  kUnknownOutcome,    // Aborted: a block that runs once may have run.
  kRollback,          // Aborted: the run was undone.
  kRunTimeout,        // DeadlineExceeded: a run took too long.
};

// "NodeError", "InvalidUpdateError", ... ; "" for kNone.
WEIR_EXPORT std::string_view ErrorKindName(ErrorKind kind);

// The kind that `status` carries; kNone if it carries none.
WEIR_EXPORT ErrorKind ErrorKindOf(const absl::Status& status);

// The node whose failure `status` is; of graphs inside, the innermost. Empty if
// it is no node's.
WEIR_EXPORT std::string FailedNode(const absl::Status& status);

namespace internal {

// Has FailedNode() say `node`, if it does not say another.
void NoteFailedNode(std::string_view node, absl::Status* status);
absl::Status MakeError(ErrorKind kind, absl::StatusCode code,
                       const std::string& message);
// A value for a message: its JSON, cut where it is long, and its type.
std::string Shown(const Value& value);
// `status` with another message; payloads are kept, and `kind` is set if it
// carries none.
absl::Status Annotate(const absl::Status& status, ErrorKind kind,
                      const std::string& message);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_ERRORS_H_
