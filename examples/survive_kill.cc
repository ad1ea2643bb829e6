// A run that survives kill -9: started again on the same folder, this program
// finds the run as it was stored and goes on with it, and with its events after
// the last one that it had noted. Run it as `survive_kill FOLDER`;
// survive_kill.sh kills it twice.

#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "weir/channels/append_log.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace {

constexpr int kSteps = 40;
constexpr char kThread[] = "counting";

absl::StatusOr<weir::Graph> MakeGraph() {
  weir::StateGraph builder;
  const auto log = builder.AddChannel("log", weir::AppendLogChannel<int>());
  builder.AddNode(
      "count", [log](weir::NodeContext& node) -> weir::Task<weir::NodeResult> {
        const absl::Status slept = co_await node.Sleep(absl::Milliseconds(10));
        if (!slept.ok()) co_return slept;
        const int next = static_cast<int>(node.Get(log).size());
        node.Emit(next);
        co_return weir::Update(log, next);
      });
  builder.AddEdge(weir::kStart, "count");
  builder.AddConditionalEdges(
      "count", [log](const weir::NodeContext& node) -> weir::Route {
        if (node.Get(log).size() == kSteps) return weir::kEnd;
        return "count";
      });
  return builder.Compile();
}

// The run, from whichever process it is.
absl::StatusOr<weir::RunInfo> FindOrStart(weir::Runtime& runtime) {
  const absl::StatusOr<std::vector<weir::RunInfo>> runs =
      runtime.ListRuns(kThread);
  if (runs.ok() && !runs->empty()) return runs->front();
  return runtime.StartRun(kThread, "counter", weir::Update(),
                          {.modes = weir::kCustom,
                           .resumable = true,
                           .if_not_exists = weir::IfNotExists::kCreate});
}

// The id at the beginning of the last line, or -1.
int64_t LastNoted(const std::string& path) {
  std::ifstream notes(path);
  int64_t last = -1;
  for (std::string line; std::getline(notes, line);) last = std::stoll(line);
  return last;
}

// Notes each event before it asks for the next.
absl::Status ReadOn(weir::Runtime& runtime, const weir::RunInfo& run,
                    const std::string& path) {
  absl::StatusOr<weir::RunStream> stream =
      runtime.JoinStream(kThread, run.id, {.last_event_id = LastNoted(path)});
  if (!stream.ok()) return stream.status();
  std::ofstream notes(path, std::ios::app);
  while (const weir::Event* event = stream->Next()) {
    notes << event->id() << ' ' << *event << std::endl;
  }
  return stream->status();
}

absl::Status CountIn(const std::string& folder) {
  const absl::StatusOr<std::unique_ptr<weir::SqliteCheckpointer>> store =
      weir::SqliteCheckpointer::Open(folder + "/runs.db");
  if (!store.ok()) return store.status();
  const absl::StatusOr<weir::Graph> graph = MakeGraph();
  if (!graph.ok()) return graph.status();

  weir::Runtime runtime({.checkpointer = store->get()});
  // Here an unfinished run goes on.
  if (absl::Status s = runtime.Register("counter", *graph); !s.ok()) return s;
  const absl::StatusOr<weir::RunInfo> run = FindOrStart(runtime);
  if (!run.ok()) return run.status();
  if (absl::Status s = ReadOn(runtime, *run, folder + "/events"); !s.ok()) {
    return s;
  }
  const absl::StatusOr<weir::RunOutcome> outcome =
      runtime.Join(kThread, run->id);
  if (!outcome.ok()) return outcome.status();
  std::cout << outcome->ToJson() << '\n';
  return outcome->error;
}

}  // namespace

int main(int argc, char** argv) {
  const absl::Status s = CountIn(argc > 1 ? argv[1] : ".");
  if (!s.ok()) std::cerr << s << '\n';
  return s.ok() ? 0 : 1;
}
