#ifndef WEIR_STREAM_INTERNAL_GATE_H_
#define WEIR_STREAM_INTERNAL_GATE_H_

#include <atomic>

namespace weir {
inline namespace v0 {
namespace internal {

// Gate: between taking a segment's address from the directory and taking a
// reference, a reader is inside, and what dies then is kept until it leaves.
//
// Threads:   one reader at a time, under the log's mutex; any number that call
//            Pass(), without.
//
// Who frees stores Freed() in the directory and then looks whether somebody is
// inside; who enters says so and then loads the directory. All four are
// sequentially consistent, so at least one of the two sees the other: the
// reader finds the segment freed, or it is kept. A reader that left before is
// no danger: the look acquires what its leaving released, so it holds a
// reference, which the count has, or none.
template <typename Segment>
class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void Enter() { state_.store(Busy(), std::memory_order_seq_cst); }

  // Returns what was kept, linked by `next`; the caller lets it go.
  [[nodiscard]] Segment* Leave() {
    return Kept(state_.exchange(nullptr, std::memory_order_seq_cst));
  }

  // Returns true if nobody can be looking at `segment`, whose entry is freed;
  // else keeps it for who is inside.
  [[nodiscard]] bool Pass(Segment* segment) {
    Segment* seen = state_.load(std::memory_order_seq_cst);
    while (seen != nullptr) {
      segment->next = Kept(seen);
      // That the list is the one of before, or one that came back, is the same:
      // it is only added to and taken as a whole.
      if (state_.compare_exchange_weak(seen, segment, std::memory_order_seq_cst,
                                       std::memory_order_seq_cst)) {
        return false;
      }
    }
    return true;
  }

 private:
  // Somebody is inside, and nothing is kept: a mark, never a segment.
  Segment* Busy() { return reinterpret_cast<Segment*>(this); }
  Segment* Kept(Segment* state) { return state == Busy() ? nullptr : state; }

  // Null while nobody is inside, else Busy() or the first that is kept.
  std::atomic<Segment*> state_{nullptr};
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_STREAM_INTERNAL_GATE_H_
