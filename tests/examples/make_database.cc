// Makes a database for check_weir_cli.py, by runs of a graph.
//
//     make_database FILE
//
// Thread "alice" has a run that has ended, "bob" one that waits for an answer,
// and the name of the third is no text. Then come those of a Runtime: "dora"
// has a run "run-1" that has ended and kept its events, and "run-2" that is to
// begin in an hour; "eve" has only such a one, "run-3".

#include <iostream>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "weir/channels/last_value.h"
#include "weir/channels/record_codec.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

// A type that only the graph knows.
struct Stamp {
  int cents = 0;
};

template <>
struct weir::Codec<Stamp> : weir::RecordCodec<Stamp> {
  static constexpr auto Fields() {
    return std::tuple(weir::RecordField("cents", &Stamp::cents));
  }
};

namespace {

absl::Status Serve(const weir::Graph& graph, const weir::Update& input,
                   weir::Checkpointer* store) {
  int ids = 0;
  weir::Runtime runtime({.checkpointer = store, .new_id = [&ids] {
                           return "run-" + std::to_string(++ids);
                         }});
  if (absl::Status s = runtime.Register("write", graph); !s.ok()) return s;
  for (const auto& [thread, after] :
       {std::pair("dora", absl::ZeroDuration()),
        std::pair("dora", absl::Hours(1)), std::pair("eve", absl::Hours(1))}) {
    const auto run =
        runtime.StartRun(thread, "write", input,
                         {.modes = weir::kUpdates | weir::kCustom,
                          .resumable = true,
                          .if_not_exists = weir::IfNotExists::kCreate,
                          .after = after});
    if (!run.ok()) return run.status();
    if (after > absl::ZeroDuration()) continue;
    const auto outcome = runtime.Join(thread, run->id);
    if (!outcome.ok()) return outcome.status();
  }
  return absl::OkStatus();
}

absl::Status Make(const std::string& path) {
  weir::StateGraph builder;
  const auto topic =
      builder.AddChannel("topic", weir::LastValue<std::string>());
  const auto count = builder.AddChannel("count", weir::LastValue<int>());
  const auto draft =
      builder.AddChannel("draft", weir::LastValue<std::string>());
  builder.AddType<Stamp>();
  builder.AddNode("write", [=](weir::NodeContext& node) {
    node.Emit("writing");
    node.Emit(Stamp{95});
    weir::Update update(
        draft, "About " + node.Get(topic) + ". " + std::string(30, 'x'));
    update.Set(count, node.Get(count) + 1);
    return update;
  });
  builder.AddNode("check", [=](weir::NodeContext& node) -> weir::NodeResult {
    if (node.Get(topic) != "cats") return weir::Update(count, 7);
    const absl::StatusOr<bool> good = node.Interrupt<bool>("is it good?");
    if (!good.ok()) return good.status();
    return weir::Update(count, *good ? 1 : 0);
  });
  builder.AddEdge(weir::kStart, "write");
  builder.AddEdge("write", "check");
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) return graph.status();

  const absl::StatusOr<std::unique_ptr<weir::SqliteCheckpointer>> store =
      weir::SqliteCheckpointer::Open(path);
  if (!store.ok()) return store.status();
  weir::RunOptions options;
  options.checkpointer = store->get();
  for (const auto& [thread, about] :
       {std::pair("alice", "dogs"), std::pair("bob", "cats"),
        std::pair("\xff\n", "birds")}) {
    options.thread_id = thread;
    const auto result = graph->Invoke(weir::Update(topic, about), options);
    if (!result.ok()) return result.status();
  }
  return Serve(*graph, weir::Update(topic, "ice"), store->get());
}

}  // namespace

int main(int argc, char** argv) {
  const absl::Status s =
      argc == 2 ? Make(argv[1]) : absl::InvalidArgumentError("give a FILE");
  if (!s.ok()) std::cerr << s << '\n';
  return s.ok() ? 0 : 1;
}
