// Joining a run at any moment: a node emits 200 events, and five readers come
// at different times, each from another place. Prints what each got; exits with
// 1 if one of them has a gap or a duplicate.

#include <array>
#include <iostream>
#include <latch>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"

namespace {

constexpr int kEvents = 200;

// A reader: after how many of the node's events it joins, and from where.
struct Joiner {
  std::string name;
  int after = 0;
  std::optional<int64_t> from;

  std::latch begins{1};
  std::latch joins{1};
  std::vector<uint64_t> ids{};
  absl::Status status{};
};

// Reads to the end of the run.
void Read(weir::Runtime& runtime, const weir::ThreadId& thread,
          const weir::RunId& run, Joiner& joiner) {
  joiner.begins.wait();
  joiner.joins.count_down();  // And the run goes on.
  absl::StatusOr<weir::RunStream> stream =
      runtime.JoinStream(thread, run, {.last_event_id = joiner.from});
  if (!stream.ok()) {
    joiner.status = stream.status();
    return;
  }
  while (const weir::Event* event = stream->Next()) {
    joiner.ids.push_back(event->id());
  }
  joiner.status = stream->status();
}

// Whether the reader got every event from its first to the run's last.
bool IsWhole(const Joiner& joiner, uint64_t last) {
  if (!joiner.status.ok()) return false;
  const std::vector<uint64_t>& ids = joiner.ids;
  // Who comes for what is live may come when nothing is.
  if (ids.empty()) return !joiner.from.has_value();
  if (joiner.from.has_value() &&
      ids.front() != static_cast<uint64_t>(*joiner.from + 1)) {
    return false;
  }
  for (size_t i = 1; i < ids.size(); ++i) {
    if (ids[i] != ids[i - 1] + 1) return false;
  }
  return ids.back() == last;
}

}  // namespace

int main() {
  std::array<Joiner, 5> joiners = {
      Joiner{.name = "from the start", .after = 0, .from = -1},
      Joiner{.name = "live at 50", .after = 50, .from = std::nullopt},
      Joiner{.name = "all at 100", .after = 100, .from = -1},
      Joiner{.name = "after 42 at 150", .after = 150, .from = 42},
      Joiner{.name = "all at the end", .after = kEvents, .from = -1}};

  weir::StateGraph builder;
  builder.AddNode("count", [&joiners](weir::NodeContext& node) {
    for (int i = 0; i <= kEvents; ++i) {
      for (Joiner& joiner : joiners) {
        if (joiner.after != i) continue;
        joiner.begins.count_down();
        joiner.joins.wait();
      }
      if (i < kEvents) node.Emit(i);
    }
  });
  builder.AddEdge(weir::kStart, "count");
  absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  weir::Runtime runtime;
  if (absl::Status s = runtime.Register("counter", *graph); !s.ok()) {
    std::cerr << s << '\n';
    return 1;
  }
  const weir::ThreadId thread = runtime.CreateThread();
  absl::StatusOr<weir::RunInfo> run =
      runtime.StartRun(thread, "counter", weir::Update(),
                       {.modes = weir::kCustom, .resumable = true});
  if (!run.ok()) {
    std::cerr << run.status() << '\n';
    return 1;
  }
  {
    std::vector<std::jthread> readers;
    readers.reserve(joiners.size());
    for (Joiner& joiner : joiners) {
      readers.emplace_back([&runtime, &thread, &run, &joiner] {
        Read(runtime, thread, run->id, joiner);
      });
    }
  }

  // The metadata has id 0.
  bool whole = true;
  for (const Joiner& joiner : joiners) {
    const bool is_whole = IsWhole(joiner, kEvents);
    whole &= is_whole;
    std::cout << joiner.name << ": " << joiner.ids.size() << " events";
    if (!joiner.ids.empty()) {
      std::cout << ", " << joiner.ids.front() << " to " << joiner.ids.back();
    }
    if (!is_whole) std::cout << ", NOT WHOLE " << joiner.status;
    std::cout << '\n';
  }
  return whole ? 0 : 1;
}
