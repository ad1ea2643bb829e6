#include "tests/conformance/script.h"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/conformance/case_graph.h"
#include "tests/conformance/event_json.h"
#include "tests/conformance/expression.h"
#include "tests/conformance/node_actions.h"

#include "weir/runtime/event.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/run.h"

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

absl::Status NotYet(const std::string& what) {
  return absl::UnimplementedError(absl::StrCat("weir has no ", what, " yet"));
}

// Script: the ops of a case on its one compiled graph.
class Script {
 public:
  explicit Script(const Spec& a_case)
      : case_(a_case), graph_(BuildGraph(a_case.at("graph"), &counters_)) {}

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
    if (name == "get_state") return NotYet("checkpoints");
    if (name == "history") return NotYet("checkpoints");
    if (name == "update_state") return NotYet("checkpoints");
    if (name == "counters") return json{{"counters", counters_.ToJson()}};
    throw std::invalid_argument("no op '" + name + "'");
  }

  absl::StatusOr<json> Invoke(const Spec& op) {
    absl::StatusOr<RunOptions> options = OptionsOf(op);
    if (!options.ok()) return options.status();
    absl::StatusOr<Input> input = InputOf(op);
    if (!input.ok()) return input.status();
    absl::StatusOr<Values> values =
        graph_->Invoke(*std::move(input), *std::move(options));
    if (!values.ok()) return values.status();
    return json{{"values", ReturnedJson(*values)},
                {"interrupts", json::array()}};
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

  absl::StatusOr<RunOptions> OptionsOf(const Spec& op) const {
    for (const char* field :
         {"from", "durability", "interrupt_before", "interrupt_after"}) {
      if (op.contains(field)) return NotYet(field);
    }
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
    }
    return options;
  }

  absl::StatusOr<Input> InputOf(const Spec& op) {
    if (!op.contains("command")) {
      const Spec& input = op.at("input");
      return input.is_null() ? Input::Continue()
                             : Input::FromValue(Value(json(input)));
    }
    const Spec& command = op["command"];
    if (command.contains("resume") || command.contains("resume_each")) {
      return NotYet("interrupts");
    }
    Scope scope(json(), &counters_);
    return Input::Command(ToCommand(command, scope));
  }

  const Spec& case_;
  Counters counters_;
  const absl::StatusOr<Graph> graph_;
};

}  // namespace

json RunCase(const Spec& a_case) {
  Script script(a_case);
  json results = json::array();
  for (const Spec& op : a_case.at("script")) results.push_back(script.Run(op));
  return results;
}

}  // namespace weir::conformance
