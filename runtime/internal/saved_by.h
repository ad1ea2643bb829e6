#ifndef WEIR_RUNTIME_INTERNAL_SAVED_BY_H_
#define WEIR_RUNTIME_INTERNAL_SAVED_BY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "weir/channels/value.h"
#include "weir/checkpoint/checkpoint.h"
#include "weir/runtime/internal/compiled_graph.h"
#include "weir/runtime/internal/saved_line.h"
#include "weir/runtime/internal/saved_pieces.h"
#include "weir/runtime/migration.h"

namespace weir {
inline namespace v0 {
namespace internal {

std::string ShownFingerprint(uint64_t fingerprint);

// Fills what `graph`, which is otherwise complete, is saved as.
void NameGraph(CompiledGraph* graph);

// What is wrong with the migrations of a graph.
std::vector<std::string> MigrationMistakes(const CompiledGraph& graph);

// SavedBy: the graph that has saved a checkpoint, where it is not the one that
// loads it, and how names and values of the first become the second's.
//
// Errors:   FailedPrecondition where they cannot.
// Threads:  single-owner.
// Lifetime: the graph must outlive it; what Migrate() was given too, until
//           channels() has been looked at.
class SavedBy {
 public:
  // Null if it is the same graph, or nothing is known and there is nothing to
  // migrate.
  static absl::StatusOr<std::unique_ptr<SavedBy>> Find(
      const CompiledGraph& graph, const Checkpoint& checkpoint);

  // Whether the versions differ.
  bool migrates() const { return !steps_.empty(); }
  // "was saved by version ...", of both, for messages.
  std::string ToString() const;
  // The names by which the records are read.
  const SavedFor& names() const { return names_; }
  // The type that a channel was saved with; "" if it is not known.
  const std::string& TypeOf(const std::string& channel) const;

  // A channel, as the migrations leave it.
  struct Saved {
    std::string name;                      // "" if it is dropped.
    const SavedChannel* stored = nullptr;  // As it was; null for a new one.
    Value value{};                         // If they have set it.
  };
  // Brings the channels of `checkpoint` to the graph's version.
  absl::Status Migrate(const Checkpoint& checkpoint, SavedPieces* pieces);
  const std::vector<Saved>& channels() const { return channels_; }

  // The same of records. A Send to a node that is dropped is left without a
  // node, in its place.
  absl::Status Migrate(const SavedEngine& stored, SavedEngine* now);
  // `is_command`: it is the null task's, which plans tasks. After the engine's.
  absl::StatusOr<std::shared_ptr<const SavedTask>> Migrate(
      std::shared_ptr<const SavedTask> stored, bool is_command);

  // What tasks of a node are called in ids, as long as they are those of the
  // checkpoint. For names of the graph's.
  const std::string& NameInIds(const std::string& node) const {
    const auto at = names_in_ids_.find(node);
    return at == names_in_ids_.end() ? node : at->second;
  }
  // The tasks that were to run and are not: the node's old name, and which
  // Send's it is, or -1.
  const std::vector<std::pair<std::string, int32_t>>& dropped_tasks() const {
    return dropped_tasks_;
  }
  // Whether a node that ran last is dropped.
  bool dropped_ran() const { return dropped_ran_; }

 private:
  friend class weir::SavedState;

  using Steps = absl::Span<const Migration* const>;
  struct Conversion {
    const Migration* in;
    std::string channel;
    const ValueType* from;
    std::function<Value(const Value&)> convert;
  };

  SavedBy(const CompiledGraph& graph, std::optional<SavedGraph> record)
      : graph_(graph), record_(std::move(record)) {}

  int version() const { return record_.has_value() ? record_->version : 0; }
  absl::Status FindSteps();
  void FindNames();
  Saved* FindSaved(std::string_view channel);
  absl::Status Rename(const Migration& migration);
  absl::StatusOr<Value> ValueOf(const Saved& saved, const ValueType* type);
  absl::Status NoteTask(const std::string& stored, const std::string& now,
                        int32_t send);

  static std::string NodeNow(Steps steps, std::string name);
  absl::Status AddJoin(const SavedJoin& stored, SavedEngine::Rest* rest) const;
  bool IsUnclear(const std::string& sources) const;
  absl::StatusOr<std::shared_ptr<const SavedTask>> TaskNow(
      Steps steps, const SavedTask& stored) const;
  absl::Status NoteCommand(Steps before, const SavedTask& stored,
                           const SavedTask& now);
  absl::Status WriteNow(Steps steps, std::string* channel, Value* value) const;
  absl::StatusOr<SavedSend> SendNow(Steps steps, const SavedSend& stored) const;
  absl::StatusOr<Value> ArgNow(Steps steps, const Value& stored) const;
  absl::StatusOr<Update> UpdateNow(Steps steps, Update stored) const;
  absl::StatusOr<Command> CommandNow(Steps steps, const Command& stored) const;

  const CompiledGraph& graph_;
  const std::optional<SavedGraph> record_;
  std::vector<const Migration*> steps_;  // In order.
  SavedFor names_;

  SavedPieces* pieces_ = nullptr;
  std::vector<Saved> channels_;
  std::vector<Conversion> conversions_;
  const Migration* step_ = nullptr;  // Whose values are being changed.
  std::map<std::string, std::string> names_in_ids_;  // By the graph's.
  std::vector<std::pair<std::string, int32_t>> dropped_tasks_;
  bool dropped_ran_ = false;
  int32_t sends_ = 0;  // The planned ones, so far.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_SAVED_BY_H_
