#ifndef WEIR_RUNTIME_INTERNAL_SAVED_PIECES_H_
#define WEIR_RUNTIME_INTERNAL_SAVED_PIECES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/channels/channel.h"
#include "weir/channels/value.h"
#include "weir/checkpoint/checkpoint.h"
#include "weir/runtime/internal/compiled_graph.h"

// Values that grow, in stores that keep bytes: what was added to a value since
// it was last put is put alone, until such pieces have as many bytes as the
// last whole one. So what is written for a value that grows element by element
// is at most three times what it ends with, and reading it never takes more
// than its own bytes.
namespace weir {
inline namespace v0 {
namespace internal {

// What a store has of a channel in a checkpoint, for the next one to add to.
struct StoredGrowth {
  Value mark;  // See Growth; absent: the next value is put whole.
  uint64_t version = 0;
  size_t whole_bytes = 0;
  size_t piece_bytes = 0;  // Of all that were added to that.
};

// Makes `channel`, which is about to be put with a value that Save() gave,
// bytes: a piece behind what `stored` says that its base has, or all of it.
// Leaves it as it is if it has no bytes; the store then says why.
void PutGrown(const Growth& growth, SavedChannel* channel,
              StoredGrowth* stored);

// SavedPieces: puts values together that were stored in pieces. Checkpoints of
// one thread and namespace share what was read for one of them.
//
// Threads:  single-owner.
// Lifetime: the graph must outlive it.
class SavedPieces {
 public:
  explicit SavedPieces(const CompiledGraph* graph) : graph_(graph) {}

  // Takes note of a checkpoint whose channels are to be loaded.
  void Note(const Checkpoint& checkpoint);
  // Takes note of what History() has answered.
  void Note(const std::vector<std::vector<SavedChannel>>& histories);
  // Of which channels of `checkpoint` pieces are missing, that
  // Checkpointer::History() has.
  std::vector<std::string> Missing(const Checkpoint& checkpoint);

  // The value of the graph's channel of this kind, and what the store has of
  // it. Unavailable: a piece is missing.
  absl::StatusOr<Value> Load(const SavedChannel& saved, const ChannelKind& kind,
                             StoredGrowth* stored);
  // All bytes of a channel that the graph may not have as it was, whose pieces
  // are lists. Unavailable as above.
  absl::StatusOr<std::string> Bytes(const SavedChannel& saved);

 private:
  struct Piece {
    uint64_t appended_to = 0;
    SavedValue bytes;
    bool wanted = false;    // By a checkpoint that is to be loaded.
    bool complete = false;  // All before it is known.
    // If it is wanted, and once it is put together.
    Value value{};
    StoredGrowth stored{};
  };
  using Pieces = absl::flat_hash_map<uint64_t, Piece>;  // By version.

  Piece* NotePiece(const SavedChannel& saved);
  static bool Complete(Pieces& pieces, uint64_t version);
  static absl::Status Add(const Piece& piece, const ChannelKind& kind,
                          Value* value, StoredGrowth* stored);

  const CompiledGraph* const graph_;
  absl::flat_hash_map<std::string, Pieces> channels_;
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_SAVED_PIECES_H_
