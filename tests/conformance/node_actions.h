#ifndef WEIR_TESTS_CONFORMANCE_NODE_ACTIONS_H_
#define WEIR_TESTS_CONFORMANCE_NODE_ACTIONS_H_

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "tests/conformance/expression.h"
#include "tests/conformance/json_values.h"

#include "weir/runtime/command.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/task.h"

namespace weir::conformance {

class ActionSequence;

// NodeActions: what a node does: its list of ACTIONs and the graphs they call.
//
// Threads:  immutable.
// Lifetime: the case and its counters must outlive it.
class NodeActions {
 public:
  NodeActions(const Spec& actions, std::map<std::string, Graph> graphs,
              Counters* counters)
      : actions_(actions), graphs_(std::move(graphs)), counters_(counters) {}

  // Whether some action sleeps or calls a graph. Such a node is a coroutine, so
  // that it holds no worker meanwhile; any other is a function.
  bool waits() const;

  // The bodies of the two.
  NodeResult Run(NodeContext& node) const;
  Task<NodeResult> RunWaiting(NodeContext& node) const;

 private:
  // Carries out an action that does not wait. The node's result, if it is that.
  std::optional<NodeResult> Perform(const Spec& action, const NodeContext& node,
                                    Scope& scope,
                                    ActionSequence& sequence) const;

  const Spec& actions_;
  const std::map<std::string, Graph> graphs_;
  Counters* const counters_;
};

// An update, and a command, whose parts are EXPRs.
Update ToUpdate(const Spec& spec, Scope& scope);
Command ToCommand(const Spec& spec, Scope& scope);

// The class of an error that the action `raise` made; "" for any other.
std::string RaisedClass(const absl::Status& status);

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_NODE_ACTIONS_H_
