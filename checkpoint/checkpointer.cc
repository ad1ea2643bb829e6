#include "weir/checkpoint/checkpointer.h"

#include "absl/strings/str_format.h"

namespace weir {
inline namespace v0 {
namespace {

absl::Status Unimplemented(const char* call) {
  return absl::UnimplementedError(
      absl::StrFormat("this checkpointer has no %s", call));
}

}  // namespace

void Checkpointer::History(CheckpointKey /*key*/,
                           std::vector<std::string> /*channels*/,
                           Done<std::vector<std::vector<SavedChannel>>> done) {
  done(Unimplemented("History"));
}

void Checkpointer::DeleteRuns(std::vector<std::string> /*run_ids*/,
                              StatusDone done) {
  done(Unimplemented("DeleteRuns"));
}

void Checkpointer::CopyThread(std::string_view /*from*/,
                              std::string_view /*to*/, StatusDone done) {
  done(Unimplemented("CopyThread"));
}

void Checkpointer::Prune(std::vector<std::string> /*threads*/,
                         PruneMode /*mode*/, StatusDone done) {
  done(Unimplemented("Prune"));
}

}  // namespace v0
}  // namespace weir
