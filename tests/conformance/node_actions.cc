#include "tests/conformance/node_actions.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "weir/runtime/run.h"

namespace weir::conformance {

// ActionSequence: the actions still to be carried out; those that an `if` leads
// to come before those that follow it.
class ActionSequence {
 public:
  explicit ActionSequence(const Spec& actions) { Enter(actions); }

  void Enter(const Spec& actions) {
    lists_.push_back({actions.begin(), actions.end()});
  }

  // The next action, or null.
  const Spec* Next() {
    while (!lists_.empty() && lists_.back().next == lists_.back().end) {
      lists_.pop_back();
    }
    return lists_.empty() ? nullptr : &*lists_.back().next++;
  }

 private:
  struct List {
    Spec::const_iterator next;
    Spec::const_iterator end;
  };
  std::vector<List> lists_;
};

namespace {

constexpr char kRaisedClassUrl[] = "weir.tests/raised_class";

bool AnyWaits(const Spec& actions) {
  return std::any_of(actions.begin(), actions.end(), [](const Spec& action) {
    if (!action.contains("if")) {
      return action.contains("sleep_ms") || action.contains("call");
    }
    const Spec& parts = action["if"];
    return std::any_of(parts.begin() + 1, parts.end(), AnyWaits);
  });
}

absl::Status Raise(const Spec& spec, Scope& scope) {
  const auto error_class = spec.at("class").get<std::string>();
  const auto message = scope.Eval(spec.at("message")).get<std::string>();
  absl::Status status =
      absl::UnknownError(absl::StrCat(error_class, ": ", message));
  status.SetPayload(kRaisedClassUrl, absl::Cord(error_class));
  return status;
}

NodeResult ToList(const Spec& spec, Scope& scope) {
  std::vector<NodeResult::Item> items;
  for (const Spec& item : spec) {
    if (item.contains("command")) {
      items.emplace_back(ToCommand(item["command"], scope));
    } else {
      items.emplace_back(ToUpdate(item.at("update"), scope));
    }
  }
  return items;
}

}  // namespace

Update ToUpdate(const Spec& spec, Scope& scope) {
  Update update;
  for (const auto& [channel, expr] : spec.items()) {
    update.Set(channel, Value(scope.Eval(expr)));
  }
  return update;
}

Command ToCommand(const Spec& spec, Scope& scope) {
  Command command;
  if (spec.contains("update")) {
    command.update = ToUpdate(spec["update"], scope);
  }
  if (spec.contains("goto")) {
    command.go_to = ToTargets(scope.Eval(spec["goto"]));
  }
  if (spec.value("graph", "") == "parent") {
    command.graph = Command::Graph::kParent;
  }
  return command;
}

std::string RaisedClass(const absl::Status& status) {
  return std::string(status.GetPayload(kRaisedClassUrl).value_or(absl::Cord()));
}

bool NodeActions::waits() const { return AnyWaits(actions_); }

NodeResult NodeActions::Run(NodeContext& node) const {
  Scope scope(ToJson(node.input()), counters_);
  ActionSequence sequence(actions_);
  while (const Spec* action = sequence.Next()) {
    if (auto result = Perform(*action, node, scope, sequence)) {
      return *std::move(result);
    }
  }
  return {};
}

// Named locals only; see internal::Drive().
Task<NodeResult> NodeActions::RunWaiting(NodeContext& node) const {
  Scope scope(ToJson(node.input()), counters_);
  ActionSequence sequence(actions_);
  while (const Spec* action = sequence.Next()) {
    if (action->contains("sleep_ms")) {
      const auto ms = (*action)["sleep_ms"].get<int64_t>();
      SleepCall sleep = node.Sleep(absl::Milliseconds(ms));
      absl::Status slept = co_await sleep;
      if (!slept.ok()) co_return slept;
    } else if (action->contains("call")) {
      const Graph& graph = graphs_.at((*action)["call"].get<std::string>());
      Input input = Input::FromValue(Value(scope.Eval(action->at("input"))));
      GraphCall call = node.Invoke(graph, std::move(input));
      absl::StatusOr<Values> returned = co_await call;
      if (!returned.ok()) co_return std::move(returned).status();
      scope.Bind(action->at("as").get<std::string>(), ReturnedJson(*returned));
    } else {
      std::optional<NodeResult> result =
          Perform(*action, node, scope, sequence);
      if (result.has_value()) co_return *std::move(result);
    }
  }
  co_return NodeResult();
}

std::optional<NodeResult> NodeActions::Perform(const Spec& action,
                                               const NodeContext& node,
                                               Scope& scope,
                                               ActionSequence& sequence) const {
  if (action.contains("update")) return ToUpdate(action["update"], scope);
  if (action.contains("command")) return ToCommand(action["command"], scope);
  if (action.contains("return")) return ToList(action["return"], scope);
  if (action.contains("return_value")) {
    return NodeResult::FromValue(Value(scope.Eval(action["return_value"])));
  }
  if (action.contains("raise")) return Raise(action["raise"], scope);
  if (action.contains("interrupt")) {
    absl::StatusOr<Value> answer =
        node.Interrupt(Value(scope.Eval(action["interrupt"])));
    if (!answer.ok()) return NodeResult(std::move(answer).status());
    scope.Bind(action.at("as").get<std::string>(), ToJson(*answer));
  } else if (action.contains("emit")) {
    node.Emit(Value(scope.Eval(action["emit"])));
  } else if (action.contains("let")) {
    for (const auto& [variable, expr] : action["let"].items()) {
      scope.Bind(variable, scope.Eval(expr));
    }
  } else {
    const Spec& parts = action.at("if");
    const size_t taken = scope.Eval(parts.at(0)).get<bool>() ? 1 : 2;
    if (taken < parts.size()) sequence.Enter(parts[taken]);
  }
  return std::nullopt;
}

}  // namespace weir::conformance
