// A host's program: runs a graph that saves into a file, reads the run's
// events, has a node throw, and checks all three.

#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <tuple>

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/record_codec.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"
#include "weir/version.h"

namespace {

struct Place {
  std::string name;
  int floor = 0;
  bool operator==(const Place&) const = default;
};

}  // namespace

template <>
struct weir::Codec<Place> : weir::RecordCodec<Place> {
  static constexpr auto Fields() {
    return std::tuple(weir::RecordField("name", &Place::name),
                      weir::RecordField("floor", &Place::floor));
  }
};

namespace {

class OutOfPaper : public std::exception {
 public:
  const char* what() const noexcept override { return "out of paper"; }
};

absl::Status Unexpected(const std::string& what) {
  return absl::InternalError("unexpected: " + what);
}

// Reads the run's events to their end: so many updates, and None by nodes.
absl::Status Count(weir::RunStream& stream, int updates, int nones) {
  while (const weir::Event* event = stream.Next()) {
    if (event->As<weir::NodeUpdate>() != nullptr) --updates;
    const auto* custom = event->As<weir::CustomValue>();
    if (custom != nullptr && custom->value.As<weir::None>() != nullptr) --nones;
  }
  if (!stream.status().ok()) return stream.status();
  if (updates != 0) return Unexpected("number of updates");
  return nones == 0 ? absl::OkStatus() : Unexpected("number of Nones");
}

absl::Status RunAGraph(const std::string& file) {
  absl::StatusOr<std::unique_ptr<weir::SqliteCheckpointer>> store =
      weir::SqliteCheckpointer::Open(file);
  if (!store.ok()) return store.status();

  weir::StateGraph builder;
  const auto place = builder.AddChannel("place", weir::LastValue<Place>());
  const auto seen = builder.AddChannel("seen", weir::AppendLogChannel<int>());
  builder.AddNode("climb", [place, seen](weir::NodeContext& node) {
    Place next = node.Get(place);
    ++next.floor;
    node.Emit(weir::None());
    return weir::Update(place, next).Set(seen, next.floor);
  });
  builder.AddNode(
      "rest", [](weir::NodeContext& node) -> weir::Task<weir::NodeResult> {
        const absl::Status slept = co_await node.Sleep(absl::Milliseconds(1));
        co_return slept;
      });
  builder.AddEdge(weir::kStart, "climb");
  builder.AddEdge("climb", "rest");
  builder.AddConditionalEdges(
      "rest", [place](const weir::NodeContext& node) -> weir::Route {
        if (node.Get(place).floor == 3) return weir::kEnd;
        return "climb";
      });
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) return graph.status();

  weir::RunId run;
  const weir::ThreadId thread = "anna";
  {
    weir::Runtime runtime({.checkpointer = store->get()});
    if (absl::Status s = runtime.Register("tower", *graph); !s.ok()) return s;
    absl::StatusOr<weir::RunStream> stream =
        runtime.Stream(thread, "tower", weir::Update(place, Place{"tower"}),
                       {.modes = weir::kUpdates | weir::kCustom,
                        .resumable = true,
                        .if_not_exists = weir::IfNotExists::kCreate});
    if (!stream.ok()) return stream.status();
    run = stream->run_id();
    if (absl::Status s = Count(*stream, 6, 3); !s.ok()) return s;
    const absl::StatusOr<weir::RunResult> result = stream->Result();
    if (!result.ok()) return result.status();
    if (result->Get(place) != Place{"tower", 3}) return Unexpected("place");
    if (result->Get(seen).size() != 3) return Unexpected("length of the list");
  }
  // From the file. What it has is what the program knows as None, too.
  weir::Runtime runtime({.checkpointer = store->get()});
  if (absl::Status s = runtime.Register("tower", *graph); !s.ok()) return s;
  absl::StatusOr<weir::RunStream> stream =
      runtime.JoinStream(thread, run, {.last_event_id = -1});
  if (!stream.ok()) return stream.status();
  return Count(*stream, 6, 3);
}

absl::Status RunANodeThatThrows() {
  weir::StateGraph builder;
  const auto pages = builder.AddChannel("pages", weir::LastValue<int>());
  builder.AddNode("print", [](weir::NodeContext&) -> weir::NodeResult {
    throw OutOfPaper();
  });
  builder.AddEdge(weir::kStart, "print");
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) return graph.status();
  const absl::Status s = graph->Invoke(weir::Update(pages, 1)).status();
  if (s.code() != absl::StatusCode::kUnknown ||
      s.ToString().find("out of paper") == std::string::npos) {
    return Unexpected("what was thrown became: " + s.ToString());
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  absl::Status s = RunAGraph(argc > 1 ? argv[1] : "app.db");
  if (s.ok()) s = RunANodeThatThrows();
  std::cout << "weir " << weir::kVersion << ": " << s << '\n';
  return s.ok() ? 0 : 1;
}
