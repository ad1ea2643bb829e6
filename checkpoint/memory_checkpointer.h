#ifndef WEIR_CHECKPOINT_MEMORY_CHECKPOINTER_H_
#define WEIR_CHECKPOINT_MEMORY_CHECKPOINTER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weir/checkpoint/checkpointer.h"
#include "weir/export.h"

namespace weir {
inline namespace v0 {

// MemoryCheckpointerOptions: every field has a default.
struct MemoryCheckpointerOptions {
  // Keeps values as the bytes that a durable store would keep. For tests of
  // whether a state can be stored: what has no bytes fails its run.
  bool as_bytes = false;
};

// MemoryCheckpointer: keeps threads in memory, for as long as it lives. It
// shares values with the runs and does not encode them, unless told to, and has
// every other capability.
//
// Cost:     Put() and PutWrites() follow what they carry, not the state nor the
//           length of the history; Put() over some calls. Get() follows the
//           channels. DeleteRuns() looks at all that is stored.
// Errors:   those of Checkpointer, but for DataLoss and Unimplemented; as
//           bytes, FailedPrecondition for a value that has none.
// Threads:  thread-safe; each call is complete, and has called `done`, when it
//           returns. `done` is called, and values end, with no lock held.
// Lifetime: must outlive the runs that are saved in it.
class WEIR_EXPORT MemoryCheckpointer final : public Checkpointer {
 public:
  explicit MemoryCheckpointer(MemoryCheckpointerOptions options = {});
  ~MemoryCheckpointer() override;

  CheckpointerCapabilities capabilities() const override;
  void Open(std::string_view thread, Done<ThreadLease> done) override;
  void Put(const Fence& fence, NewCheckpoint&& checkpoint,
           StatusDone done) override;
  void PutWrites(const Fence& fence, NewWrites&& writes,
                 StatusDone done) override;
  void Get(CheckpointKey key,
           Done<std::optional<CheckpointTuple>> done) override;
  void List(CheckpointQuery query,
            Done<std::vector<CheckpointTuple>> done) override;
  void History(CheckpointKey key, std::vector<std::string> channels,
               Done<std::vector<std::vector<SavedChannel>>> done) override;
  void DeleteThread(std::string_view thread, StatusDone done) override;
  void DeleteRuns(std::vector<std::string> run_ids, StatusDone done) override;
  void CopyThread(std::string_view from, std::string_view to,
                  StatusDone done) override;
  void Prune(std::vector<std::string> threads, PruneMode mode,
             StatusDone done) override;
  void Flush(StatusDone done) override;

 private:
  struct Rep;
  const MemoryCheckpointerOptions options_;
  std::unique_ptr<Rep> rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_MEMORY_CHECKPOINTER_H_
