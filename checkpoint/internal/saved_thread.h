#ifndef WEIR_CHECKPOINT_INTERNAL_SAVED_THREAD_H_
#define WEIR_CHECKPOINT_INTERNAL_SAVED_THREAD_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"

#include "weir/checkpoint/checkpoint.h"
#include "weir/checkpoint/internal/saved_nodes.h"

// A thread as MemoryCheckpointer keeps it.
namespace weir {
inline namespace v0 {
namespace internal {

// Writes after one checkpoint.
class SavedWrites {
 public:
  SavedWrites() = default;
  SavedWrites(const SavedWrites& other)
      : writes_(other.writes_),
        places_(CopyOf(other.places_)),
        hidden_(CopyOf(other.hidden_)) {}
  SavedWrites(SavedWrites&&) = default;
  SavedWrites& operator=(SavedWrites&&) = default;

  bool empty() const { return writes_.empty(); }
  // What is not taken of `writes`, and what they replace, is left in them.
  void Put(std::vector<PendingWrite>& writes);
  // Moves those of which `drop` is true to `dropped`; it asks of the run alone.
  void Drop(absl::FunctionRef<bool(const PendingWrite&)> drop,
            std::vector<PendingWrite>& dropped);
  // In the order of CheckpointTuple.
  std::vector<PendingWrite> Sorted() const;

 private:
  using Place = std::pair<std::string, int32_t>;  // Task and index.
  using Places = absl::flat_hash_map<Place, size_t>;
  using Hidden = absl::flat_hash_map<Place, std::vector<PendingWrite>>;

  template <class T>
  static std::unique_ptr<T> CopyOf(const std::unique_ptr<T>& other) {
    return other == nullptr ? nullptr : std::make_unique<T>(*other);
  }
  PendingWrite* Find(const PendingWrite& write);
  void Add(PendingWrite write);
  void GiveWay(PendingWrite& stored, PendingWrite& write);
  void BringBack(PendingWrite& write, std::vector<PendingWrite>& dropped);

  std::vector<PendingWrite> writes_;  // In the order of arrival.
  std::unique_ptr<Places> places_;    // If there are many.
  // If there are any: what has given way to another run's, in the order in
  // which it came. A run has one write in a place, here or shown.
  std::unique_ptr<Hidden> hidden_;
};

// An id of a namespace: its checkpoint, the writes after it, or both.
struct Entry {
  CheckpointId id{};
  NodeRef<Node> node{};  // Null if only writes have arrived.
  SavedWrites writes{};
};

// What has been taken from a thread. Values are the user's, so they are to end
// when no lock is held.
struct Ended {
  std::vector<Entry> entries{};
  std::vector<PendingWrite> writes{};
  std::vector<NodeRef<Node>> nodes{};
};

// SavedNamespace: one line of checkpoints.
//
// Every Node that a checkpoint stands on is stored here too, under a smaller
// id. Before one goes, what is left of it goes to those that stand on it; so
// whatever is held is seen in some checkpoint.
//
// Threads: thread-compatible.
class SavedNamespace {
 public:
  const std::deque<Entry>& entries() const { return entries_; }  // By id.

  // The first entry of that id or a greater one.
  std::deque<Entry>::const_iterator From(const CheckpointId& id) const;
  // Null if that id has no checkpoint; it may have writes.
  const Entry* Find(const CheckpointId& id) const;
  // The checkpoint of the greatest id; null if there is none.
  const Entry* Latest() const;
  // Whether a checkpoint of that id is stored or may yet be.
  bool Takes(const CheckpointId& id) const;

  void Put(NodeRef<Node> node, Ended& ended);
  void PutWrites(const CheckpointId& id, std::vector<PendingWrite>& writes);
  // Removes the entries of which `drop` is true.
  void Drop(absl::FunctionRef<bool(const Entry&)> drop, Ended& ended);
  // Removes the writes of which `drop` is true, which asks of the run alone.
  void DropWrites(absl::FunctionRef<bool(const PendingWrite&)> drop,
                  Ended& ended);

 private:
  Entry& FindOrAdd(const CheckpointId& id);
  void RebaseAll(ChangedNodes changed, Ended& ended);

  // None moves when one is added at the end, however many there are.
  std::deque<Entry> entries_;
};

struct SavedThread {
  uint64_t epoch = 0;  // Of its writer; 0: it has none.
  uint64_t last_sequence = 0;
  uint64_t last_version = 0;
  absl::flat_hash_map<std::string, SavedNamespace> namespaces{};  // Not empty.

  SavedNamespace* Find(const std::string& ns) {
    // Most often it is the only one.
    const auto only = namespaces.begin();
    const auto at = namespaces.size() == 1 && only->first == ns
                        ? only
                        : namespaces.find(ns);
    return at == namespaces.end() ? nullptr : &at->second;
  }
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_CHECKPOINT_INTERNAL_SAVED_THREAD_H_
