#include "tests/conformance/script.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/conformance/case_graph.h"
#include "tests/conformance/event_json.h"
#include "tests/conformance/expression.h"
#include "tests/conformance/node_actions.h"

#include "weir/runtime/event.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state.h"

namespace weir::conformance {
namespace {

StreamModes ModeOf(const std::string& name) {
  if (name == "values") return kValues;
  if (name == "updates") return kUpdates;
  if (name == "custom") return kCustom;
  if (name == "tasks") return kTasks;
  if (name == "checkpoints") return kCheckpoints;
  if (name == "debug") return kDebug;
  throw std::invalid_argument("no mode '" + name + "'");
}

// Script: the ops of a case on its one compiled graph.
class Script {
 public:
  Script(const Spec& a_case, Checkpointer* store)
      : case_(a_case),
        store_(store),
        graph_(BuildGraph(a_case.at("graph"), &counters_)) {}

  json Run(const Spec& op) {
    absl::StatusOr<json> result = Result(op.at("op").get<std::string>(), op);
    if (result.ok()) return *std::move(result);
    return {{"error", ErrorJson(result.status())}};
  }

 private:
  absl::StatusOr<json> Result(const std::string& name, const Spec& op) {
    if (!graph_.ok()) return graph_.status();
    if (name == "compile") return json{{"ok", true}};
    if (name == "stream") return Stream(op);
    if (name == "invoke") return Invoke(op);
    if (name == "get_state") return GetState(op);
    if (name == "history") return History(op);
    if (name == "update_state") return UpdateState(op);
    if (name == "counters") return json{{"counters", counters_.ToJson()}};
    throw std::invalid_argument("no op '" + name + "'");
  }

  absl::StatusOr<json> Invoke(const Spec& op) {
    absl::StatusOr<RunOptions> options = OptionsOf(op);
    if (!options.ok()) return options.status();
    absl::StatusOr<Input> input = InputOf(op);
    if (!input.ok()) return input.status();
    absl::StatusOr<RunResult> result =
        graph_->Invoke(*std::move(input), *std::move(options));
    if (!result.ok()) return result.status();
    return json{{"values", ReturnedJson(*result)},
                {"interrupts", InterruptsJson(result->interrupts)}};
  }

  absl::StatusOr<json> GetState(const Spec& op) {
    absl::StatusOr<StateOptions> options = StateOptionsOf(op);
    if (!options.ok()) return options.status();
    options->subgraphs = op.value("subgraphs", false);
    absl::StatusOr<StateSnapshot> state = graph_->GetState(*options);
    if (!state.ok()) return state.status();
    return json{{"state", SnapshotJson(*state)}};
  }

  absl::StatusOr<json> History(const Spec& op) {
    absl::StatusOr<StateOptions> options = StateOptionsOf(op);
    if (!options.ok()) return options.status();
    HistoryOptions which;
    if (op.contains("limit")) which.limit = op["limit"].get<size_t>();
    if (op.contains("filter")) {
      for (const auto& [key, value] : op["filter"].items()) {
        which.filter[key] = value.dump();
      }
    }
    if (op.contains("before")) {
      absl::StatusOr<CheckpointRef> before = PointOf(op, op["before"]);
      if (!before.ok()) return before.status();
      which.before = before->id;
    }
    absl::StatusOr<std::vector<StateSnapshot>> history =
        graph_->GetHistory(*options, which);
    if (!history.ok()) return history.status();
    json list = json::array();
    for (const StateSnapshot& state : *history) {
      list.push_back(SnapshotJson(state));
    }
    return json{{"history", std::move(list)}};
  }

  absl::StatusOr<json> UpdateState(const Spec& op) {
    absl::StatusOr<StateOptions> options = StateOptionsOf(op);
    if (!options.ok()) return options.status();
    StateUpdate update;
    if (op.contains("values") && !op["values"].is_null()) {
      update.values = Update::FromValue(Value(json(op["values"])));
    }
    update.as_node = op.value("as_node", "");
    absl::StatusOr<CheckpointRef> made = graph_->UpdateState(*options, update);
    if (!made.ok()) return made.status();
    return json{{"checkpoint_id", made->id.ToString()}};
  }

  absl::StatusOr<json> Stream(const Spec& op) {
    absl::StatusOr<RunOptions> options = OptionsOf(op);
    if (!options.ok()) return options.status();
    absl::StatusOr<Input> input = InputOf(op);
    if (!input.ok()) return input.status();
    const bool subgraphs = options->subgraphs;
    RunStream stream = graph_->Stream(*std::move(input), *std::move(options));
    json result = {{"events", json::array()}};
    while (const Event* event = stream.Next()) {
      if (IsResult(*event)) {
        result["events"].push_back(EventJson(*event, subgraphs));
      }
    }
    if (!stream.status().ok()) result["error"] = ErrorJson(stream.status());
    return result;
  }

  // The checkpoint that {"history_index": n} stands for.
  absl::StatusOr<CheckpointRef> PointOf(const Spec& op, const Spec& point) {
    StateOptions options;
    options.thread_id = op.at("thread").get<std::string>();
    options.checkpointer = checkpointer();
    absl::StatusOr<std::vector<StateSnapshot>> history =
        graph_->GetHistory(options);
    if (!history.ok()) return history.status();
    return history->at(point.at("history_index").get<size_t>()).ref;
  }

  absl::StatusOr<StateOptions> StateOptionsOf(const Spec& op) {
    StateOptions options;
    options.thread_id = op.value("thread", "t");
    options.checkpointer = checkpointer();
    if (op.contains("from")) {
      absl::StatusOr<CheckpointRef> at = PointOf(op, op["from"]);
      if (!at.ok()) return at.status();
      options.at = *std::move(at);
    }
    if (op.contains("subgraph")) {
      absl::StatusOr<StateSnapshot> state = graph_->GetState(options);
      if (!state.ok()) return state.status();
      for (const TaskState& task : state->tasks) {
        if (task.name == op["subgraph"] && task.inside.has_value()) {
          options.at = task.inside;
        }
      }
    }
    return options;
  }

  Checkpointer* checkpointer() {
    return case_.value("checkpointer", false) ? store_ : nullptr;
  }

  absl::StatusOr<RunOptions> OptionsOf(const Spec& op) {
    RunOptions options;
    if (op.contains("modes")) {
      options.modes = StreamModes{};
      for (const Spec& mode : op["modes"]) {
        options.modes = options.modes | ModeOf(mode);
      }
    }
    options.subgraphs = op.value("subgraphs", false);
    options.recursion_limit = op.value(
        "recursion_limit", case_.value("recursion_limit", int64_t{25}));
    if (case_.value("checkpointer", false)) {
      options.thread_id = op.at("thread").get<std::string>();
      options.checkpointer = store_;
    }
    if (op.contains("from")) {
      absl::StatusOr<CheckpointRef> from = PointOf(op, op["from"]);
      if (!from.ok()) return from.status();
      options.from = *std::move(from);
    }
    const std::string durability = op.value("durability", "async");
    if (durability == "sync") options.durability = Durability::kSync;
    if (durability == "exit") options.durability = Durability::kExit;
    options.interrupt_before = StopsOf(op, "interrupt_before");
    options.interrupt_after = StopsOf(op, "interrupt_after");
    return options;
  }

  absl::StatusOr<Input> InputOf(const Spec& op) {
    if (!op.contains("command")) {
      const Spec& input = op.at("input");
      return input.is_null() ? Input::Continue()
                             : Input::FromValue(Value(json(input)));
    }
    const Spec& command = op["command"];
    Scope scope(json(), &counters_);
    Command change = ToCommand(command, scope);
    if (command.contains("resume")) {
      return Input::Resume(Value(json(command["resume"])), std::move(change));
    }
    if (command.contains("resume_each")) {
      absl::StatusOr<StateOptions> options = StateOptionsOf(op);
      if (!options.ok()) return options.status();
      absl::StatusOr<StateSnapshot> state = graph_->GetState(*options);
      if (!state.ok()) return state.status();
      std::map<std::string, Value> answers;
      for (const Spec& each : command["resume_each"]) {
        for (const Interrupt& interrupt : state->interrupts) {
          if (ToJson(interrupt.value) == json(each.at("interrupt"))) {
            answers.emplace(interrupt.id, Value(json(each.at("resume"))));
          }
        }
      }
      return Input::ResumeEach(std::move(answers), std::move(change));
    }
    return Input::Command(std::move(change));
  }

  const Spec& case_;
  Checkpointer* const store_;
  Counters counters_;
  const absl::StatusOr<Graph> graph_;
};

}  // namespace

json RunCase(const Spec& a_case, Checkpointer* store) {
  Script script(a_case, store);
  json results = json::array();
  for (const Spec& op : a_case.at("script")) results.push_back(script.Run(op));
  return results;
}

}  // namespace weir::conformance
