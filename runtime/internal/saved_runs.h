#ifndef WEIR_RUNTIME_INTERNAL_SAVED_RUNS_H_
#define WEIR_RUNTIME_INTERNAL_SAVED_RUNS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "weir/runtime/event.h"
#include "weir/runtime/internal/saved_bytes.h"
#include "weir/runtime/run_info.h"
#include "weir/runtime/thread.h"

// What a RunStore keeps of threads, runs and events, as bytes; see
// saved_bytes.h for the format and the errors.
namespace weir {
inline namespace v0 {
namespace internal {

struct CompiledGraph;

// What becomes of a value of a type that is not in the table.
enum class UnknownTypes {
  kRefuse,  // FailedPrecondition.
  kOpaque,  // It is read as an OpaqueValue.
};

// A thread of a Runtime, without its state, which its checkpoints have.
struct SavedThreadInfo {
  absl::Time created_at = absl::UnixEpoch();
  absl::Time updated_at = absl::UnixEpoch();
  absl::Time state_updated_at = absl::UnixEpoch();
  Metadata metadata{};
  std::string graph{};
  std::optional<absl::Duration> ttl{};
  ThreadStatus verdict = ThreadStatus::kIdle;
  uint64_t next_id = 0;  // Of its stream.
};

// A run of a Runtime. What only its graph can read is apart, as bytes.
struct SavedRunInfo {
  RunInfo info{};  // Without ids.
  std::optional<CancelAction> cancelled{};
  uint64_t first_id = 0;  // Of its start, in the thread's stream.
  absl::Duration retention{};
  uint64_t max_events = 0;
  uint64_t max_bytes = 0;
  uint64_t window = 0;
  std::string begins{};  // Until it has ended: see EncodeBeginning().

  // Once it has ended.
  RunEnd end = RunEnd::kFinished;
  CheckpointId checkpoint{};  // Whose state it left.
  absl::Status error{};
  uint64_t end_event = 0;
  std::string asks{};  // See EncodeInterrupts(); empty if it asks nothing.
};

// What it shows of itself, while none of its runs is unfinished.
ThreadInfo InfoOf(const std::string& id, const SavedThreadInfo& thread);

std::string EncodeThreadInfo(const SavedThreadInfo& thread);
absl::Status DecodeThreadInfo(std::string_view bytes, SavedThreadInfo* thread);
std::string EncodeRunInfo(const SavedRunInfo& run);
absl::Status DecodeRunInfo(std::string_view bytes, SavedRunInfo* run);

// What a run of `graph` begins with: the input, and those options that the row
// has nowhere else. A context that has no bytes is left out. FailedPrecondition
// for an input that cannot be read back.
absl::Status EncodeBeginning(const CompiledGraph& graph, const Input& input,
                             const StartOptions& options, std::string* out);
absl::Status DecodeBeginning(const CompiledGraph& graph, std::string_view bytes,
                             Input* input, StartOptions* options);

absl::Status EncodeInterrupts(const CompiledGraph& graph,
                              const std::vector<Interrupt>& interrupts,
                              std::string* out);
absl::Status DecodeInterrupts(const CompiledGraph& graph,
                              std::string_view bytes,
                              std::vector<Interrupt>* interrupts);

// An event, without its id.
absl::Status EncodeEvent(const CompiledGraph& graph, const Event& event,
                         std::string* out);
absl::Status DecodeEvent(const CompiledGraph& graph, std::string_view bytes,
                         Event* event);
// For those who have no graph.
absl::Status DecodeEvent(const SavedFor& names, UnknownTypes unknown,
                         std::string_view bytes, Event* event);

// Several, each as above, of one row.
std::string EncodeBatch(const std::vector<std::string>& events);
absl::Status DecodeBatch(std::string_view bytes,
                         std::vector<std::string>* events);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_SAVED_RUNS_H_
