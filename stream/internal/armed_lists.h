#ifndef WEIR_STREAM_INTERNAL_ARMED_LISTS_H_
#define WEIR_STREAM_INTERNAL_ARMED_LISTS_H_

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "weir/export.h"
#include "weir/stream/wait.h"

namespace weir {
inline namespace v0 {
namespace internal {

struct ArmedList;

// ArmedNode: stands for an armed waiter in a list, so that the waiter may go
// while its node is still listed.
//
// Lifetime:  counted: one reference of its cursor, or of the idle nodes, and
//            one of the list or chain that holds it.
struct ArmedNode {
  explicit ArmedNode(ArmedList* of) : list(of) {}

  void Unref() {
    // Acquire and release: who deletes it comes after all who used it.
    if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  ArmedList* const list;           // For its cursor, which keeps the log.
  ArmedNode* next = nullptr;       // Owned by who set `listed`, then the taker.
  ArmedNode* next_idle = nullptr;  // Guarded by the mutex of ArmedLists.

  // Stored by Push(); taken by exchange, by WakeChain::Pop() or by Disarm(), so
  // that one of the two gets it. The store releases and the exchanges acquire:
  // Wake() sees what the owner did before it armed.
  std::atomic<Waiter*> waiter{nullptr};

  // Whether it is in a list or chain. Push() stores `waiter`, then sets this;
  // Pop() clears this, then takes `waiter`. Both change it by exchanges that
  // acquire and release, so a Push() that finds it set has stored its waiter
  // before that Pop() looks.
  std::atomic<bool> listed{false};

  std::atomic<uint32_t> refs{1};
};

// The nodes of one group.
struct ArmedList {
  explicit ArmedList(const void* of) : group(of) {}

  const void* const group;

  // A stack; Push() adds one node, WakeAll() takes all, so a node that comes
  // back in between does no harm. The push releases the node to the take, which
  // acquires it.
  std::atomic<ArmedNode*> head{nullptr};

  // Stored once, by Adopt(), whose release publishes the list to the acquire
  // load in WakeAll().
  std::atomic<ArmedList*> next{nullptr};

  ArmedNode* idle = nullptr;  // Guarded by the mutex of ArmedLists.
};

// ArmedLists: the armed waiters of a log, by group.
//
// Shape:     a cursor that leaves gives its node to one that comes, listed or
//            not: there are never more nodes than there were cursors that armed
//            at once, however many come and go while nothing is published.
// Threads:   thread-safe. Push() and WakeAll() take no lock.
class WEIR_EXPORT ArmedLists {
 public:
  ArmedLists() = default;
  ArmedLists(const ArmedLists&) = delete;
  ArmedLists& operator=(const ArmedLists&) = delete;
  ~ArmedLists();

  // A node for one cursor that arms waiters of `group`, and taking it back,
  // with no waiter armed.
  ArmedNode* Adopt(const void* group);
  void Return(ArmedNode* node);

  // Lists `waiter`. There is none in `node`.
  static void Push(ArmedNode* node, Waiter* waiter);

  // Takes the waiter back; false if there is none, or it is being woken.
  static bool Disarm(ArmedNode* node) {
    return node->waiter.exchange(nullptr, std::memory_order_acq_rel) != nullptr;
  }

  // Wakes what was pushed, for a publisher that found kArmed in a slot: that
  // was set by a read-modify-write after the push, so the push, and its list,
  // happen before this.
  void WakeAll();

 private:
  ArmedList* ListOf(const void* group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ArmedList first_{nullptr};
  absl::Mutex mutex_;  // For the idle nodes, and for adding a list.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_ARMED_LISTS_H_
