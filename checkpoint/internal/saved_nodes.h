#ifndef WEIR_CHECKPOINT_INTERNAL_SAVED_NODES_H_
#define WEIR_CHECKPOINT_INTERNAL_SAVED_NODES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"

#include "weir/checkpoint/checkpoint.h"

// Checkpoints as MemoryCheckpointer keeps them: each shares with others what it
// has in common with them.
//
// A Node has no base of which it changes every channel that the base changes:
// it goes on to the base's own. When the differences along a line of bases
// outnumber the channels at its beginning, the next Node has all channels and
// no base. So a new Node costs what it carries, over some of them, and to read
// one passes about twice as many Pieces as there are channels.
//
// Threads: Nodes and Pieces do not change once they are stored, and may be read
//          and let go anywhere.
namespace weir {
inline namespace v0 {
namespace internal {

// NodeRef: owns a T together with others. `T::before` is what the T owns in
// turn; a line of them of any length ends without recursion.
template <class T>
class NodeRef {
 public:
  NodeRef() = default;
  explicit NodeRef(T* made) noexcept : target_(made) {}
  NodeRef(const NodeRef& other) noexcept : target_(other.target_) {
    if (target_ != nullptr) {
      target_->owners.fetch_add(1, std::memory_order_relaxed);
    }
  }
  NodeRef(NodeRef&& other) noexcept
      : target_(std::exchange(other.target_, nullptr)) {}
  NodeRef& operator=(NodeRef other) noexcept {
    std::swap(target_, other.target_);
    return *this;
  }
  ~NodeRef() {
    T* target = target_;
    while (target != nullptr &&
           target->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      T* before = std::exchange(target->before.target_, nullptr);
      delete target;
      target = before;
    }
  }

  T* get() const { return target_; }
  T* operator->() const { return target_; }
  T& operator*() const { return *target_; }
  explicit operator bool() const { return target_ != nullptr; }

 private:
  T* target_ = nullptr;
};

// A channel as a checkpoint changed it.
struct Piece {
  SavedChannel channel{};
  NodeRef<Piece> before{};  // What `channel` is appended to.
  // A counter; the last to count down, by acquire and release, is behind all
  // uses.
  std::atomic<uint32_t> owners{1};
  bool removed = false;  // The checkpoint has it not.
};
using Pieces = absl::InlinedVector<NodeRef<Piece>, 2>;

// What checkpoints of one run most often have in common.
struct Circumstances {
  std::string ns{};
  std::string source{};
  std::string run_id{};
  std::map<std::string, CheckpointId> parents{};
  std::map<std::string, std::string> custom{};
};

// What is stored of a checkpoint beside its channels.
struct NodeHeader {
  CheckpointId id{};
  CheckpointId parent{};
  int64_t step = 0;
  std::shared_ptr<const Circumstances> common{};
  absl::Time created_at{};
};

// A checkpoint: what of its channels differs from its base, and the base.
struct Node {
  NodeHeader header{};
  Pieces pieces{};         // By name.
  NodeRef<Node> before{};  // Its base. If none, `pieces` are all channels.
  uint32_t whole = 0;      // How many pieces the first Node of the line has.
  uint32_t since = 0;      // And how many those behind it, one each at least.
  std::atomic<uint32_t> owners{1};  // As that of Piece.
};

// Takes what `checkpoint` may have in common with others. `like`, if any,
// shares it.
std::shared_ptr<const Circumstances> TakeCircumstances(Checkpoint& checkpoint,
                                                       const Node* like);

// Puts a new Node on its base, if it has one. Its pieces, which are what it
// changes, the newest first, are put in order.
void PutOn(Node& node, const NodeRef<Node>& base);

// The same, but it gets all that it has in common with `base`.
void PutWhole(Node& node, const Node& base);

// The checkpoint whole, its channels by name.
Checkpoint MakeCheckpoint(const Node& node);

// A channel of `node`; null if it has it not.
NodeRef<Piece> FindChannel(const Node& node, const std::string& channel);

// What became of Nodes that were stored: others, or nothing.
using ChangedNodes = absl::flat_hash_map<const Node*, NodeRef<Node>>;

// `node` without those that are gone in its line; null if it needs no change.
NodeRef<Node> Rebase(const Node& node, const ChangedNodes& changed);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_SAVED_NODES_H_
