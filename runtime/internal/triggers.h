#ifndef WEIR_RUNTIME_INTERNAL_TRIGGERS_H_
#define WEIR_RUNTIME_INTERNAL_TRIGGERS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"

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
        joins_(graph.joins.empty() ? nullptr : std::make_unique<Joins>(graph)) {
    due_.reserve(kFewNodes);
  }

  // `node` ran because it was triggered: its complete joins begin anew. One
  // that is not complete keeps what it has.
  void Consume(const CompiledNode& node) {
    for (uint32_t join : node.led_by_joins) {
      if (joins_->seen[join].complete()) Reset(join);
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
    if (Add(at) && joins_->seen[at.join].complete()) {
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
  absl::Span<const uint32_t> due() const { return due_; }
  absl::Span<const uint32_t> waiting() const { return waiting_; }
  const BarrierSeen& join(uint32_t i) const { return joins_->seen[i]; }
  // The joins of which some source has run, in no order.
  absl::Span<const uint32_t> begun_joins() const {
    return joins_ == nullptr ? absl::Span<const uint32_t>() : joins_->begun;
  }
  void RestoreDue(uint32_t node) {
    if (marks_[node] != kIdle) return;
    marks_[node] = kDue;
    due_.push_back(node);
  }
  void RestoreSeen(JoinSource at) { Add(at); }

  // The nodes of the next superstep, in merge order. Valid until Taken().
  absl::Span<const uint32_t> Take() {
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

  // As many take no more memory than one: allocators give 24 bytes at least.
  static constexpr size_t kFewNodes = 6;

  bool Add(JoinSource at) {
    if (!joins_->seen[at.join].any()) {
      joins_->place[at.join] = static_cast<uint32_t>(joins_->begun.size());
      joins_->begun.push_back(at.join);
    }
    return joins_->seen[at.join].Add(at.source);
  }
  void Reset(uint32_t join) {
    const uint32_t place = joins_->place[join];
    joins_->begun[place] = joins_->begun.back();
    joins_->place[joins_->begun[place]] = place;
    joins_->begun.pop_back();
    joins_->seen[join].Reset();
  }

  struct Joins {
    explicit Joins(const CompiledGraph& graph) : place(graph.joins.size()) {
      seen.reserve(graph.joins.size());
      for (const CompiledJoin& join : graph.joins) {
        seen.emplace_back(join.sources);
      }
    }
    std::vector<BarrierSeen> seen;
    std::vector<uint32_t> begun;
    std::vector<uint32_t> place;  // In `begun`, where it is begun.
  };

  const CompiledGraph& graph_;
  // Of each node. No larger than a vector, and small graphs need no memory
  // beyond it.
  absl::InlinedVector<Mark, 16> marks_;
  std::vector<uint32_t> due_;      // Nodes that run next.
  std::vector<uint32_t> waiting_;  // Deferred nodes that wait for the finish.
  std::unique_ptr<Joins> joins_;   // Null: the graph has none.
};

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_TRIGGERS_H_
