#ifndef WEIR_RUNTIME_INTERNAL_TRIGGERS_H_
#define WEIR_RUNTIME_INTERNAL_TRIGGERS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "weir/channels/barrier.h"
#include "weir/runtime/internal/compiled_graph.h"

namespace weir {
inline namespace v0 {
namespace internal {

// Triggers: which nodes a run has been led to: the rules of edges, joins and
// deferred nodes. The barrier calls Consume() for the nodes that ran, then
// Fire() and Arrive() for where they led, then Finish() if that was nowhere;
// Take() gives the nodes of the next superstep.
//
// Threads: single-owner: the barrier's.
// Cost:    each call follows what it touches, not the graph.
// Source:  LangGraph's trigger channels. An edge's channel lives for one
//          superstep, so a mark on its target says as much; joins are
//          NamedBarriers; the channels of a deferred node wait for the finish.
class Triggers {
 public:
  explicit Triggers(const CompiledGraph& graph)
      : graph_(graph),
        marks_(graph.nodes.size(), kIdle),
        place_of_join_(graph.joins.size()) {
    joins_.reserve(graph.joins.size());
    for (const CompiledJoin& join : graph.joins) {
      joins_.emplace_back(join.sources);
    }
  }

  // `node` ran because it was triggered: its complete joins begin anew. One
  // that is not complete keeps what it has.
  void Consume(const CompiledNode& node) {
    for (uint32_t join : node.led_by_joins) {
      if (joins_[join].complete()) Reset(join);
    }
  }

  // An edge, a router or a goto leads to `node`.
  void Fire(uint32_t node) {
    if (marks_[node] != kIdle) return;  // However often, it runs once.
    if (graph_.nodes[node].defer) {
      marks_[node] = kWaiting;
      waiting_.push_back(node);
    } else {
      marks_[node] = kDue;
      due_.push_back(node);
    }
  }

  // One source of a join has run.
  void Arrive(JoinSource at) {
    if (Add(at) && joins_[at.join].complete()) {
      Fire(graph_.joins[at.join].target);
    }
  }

  // Nothing else is left to run: deferred nodes that were led to are due.
  void Finish() {
    for (uint32_t node : waiting_) marks_[node] = kDue;
    due_.swap(waiting_);
  }

  bool any_due() const { return !due_.empty(); }

  // What a checkpoint saves, and brings back.
  const std::vector<uint32_t>& due() const { return due_; }
  const std::vector<uint32_t>& waiting() const { return waiting_; }
  const BarrierSeen& join(uint32_t i) const { return joins_[i]; }
  // The joins of which some source has run, in no order.
  const std::vector<uint32_t>& begun_joins() const { return begun_joins_; }
  void RestoreDue(uint32_t node) {
    if (marks_[node] != kIdle) return;
    marks_[node] = kDue;
    due_.push_back(node);
  }
  void RestoreSeen(JoinSource at) { Add(at); }

  // The nodes of the next superstep, in merge order. Valid until Taken().
  const std::vector<uint32_t>& Take() {
    if (!std::is_sorted(due_.begin(), due_.end())) {
      std::sort(due_.begin(), due_.end());
    }
    return due_;
  }
  void Taken() {
    for (uint32_t node : due_) marks_[node] = kIdle;
    due_.clear();
  }

 private:
  enum Mark : uint8_t { kIdle, kWaiting, kDue };

  bool Add(JoinSource at) {
    if (!joins_[at.join].any()) {
      place_of_join_[at.join] = static_cast<uint32_t>(begun_joins_.size());
      begun_joins_.push_back(at.join);
    }
    return joins_[at.join].Add(at.source);
  }
  void Reset(uint32_t join) {
    const uint32_t place = place_of_join_[join];
    begun_joins_[place] = begun_joins_.back();
    place_of_join_[begun_joins_[place]] = place;
    begun_joins_.pop_back();
    joins_[join].Reset();
  }

  const CompiledGraph& graph_;
  std::vector<Mark> marks_;        // Of each node.
  std::vector<uint32_t> due_;      // Nodes that run next.
  std::vector<uint32_t> waiting_;  // Deferred nodes that wait for the finish.
  std::vector<BarrierSeen> joins_;
  std::vector<uint32_t> begun_joins_;
  std::vector<uint32_t> place_of_join_;  // In begun_joins_, where it is begun.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_TRIGGERS_H_
