#ifndef WEIR_TESTS_RUNTIME_CRASH_GRAPH_H_
#define WEIR_TESTS_RUNTIME_CRASH_GRAPH_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "weir/channels/append_log.h"
#include "weir/channels/last_value.h"
#include "weir/channels/reducer.h"
#include "weir/runtime/state_graph.h"

// What a process does that is killed, so that another can tell what it must
// have left: the graph, which run comes as a thread's n-th, and the state after
// it.
namespace weir {

// CrashGraph: notes in a log, and counts, each node that runs. Its job forks to
// siblings and to Sends; every fourth asks.
struct CrashGraph {
  StateGraph builder;
  Channel<int> job = builder.AddChannel("job", LastValue<int>());
  Channel<AppendLog<std::string>, OneOrMany<std::string>> log =
      builder.AddChannel("log", AppendLogChannel<std::string>());
  Channel<int> count =
      builder.AddChannel("count", Reducer<int>(std::plus<int>()));
  // Input that is told at once, as events are that do not wait for more.
  Channel<std::string> large =
      builder.AddChannel("large", LastValue<std::string>());

  CrashGraph() {
    builder.AddNode("plan", [this](NodeContext& node) {
      const int n = node.Get(job);
      if (const std::string* what = node.Find(large)) node.Emit(*what);
      return Command{.update = Note(node, absl::StrCat(n, " plan")),
                     .go_to = {Send("part", absl::StrCat(n, " part 0")),
                               Send("part", absl::StrCat(n, " part 1"))}};
    });
    builder.AddNode("part", [this](NodeContext& node) {
      return Note(node, *node.Input<std::string>());
    });
    for (const std::string name : {"left", "right", "join", "finish"}) {
      builder.AddNode(name, [this, name](NodeContext& node) {
        return Note(node, absl::StrCat(node.Get(job), " ", name));
      });
    }
    builder.AddNode("ask", [this](NodeContext& node) -> NodeResult {
      const absl::StatusOr<std::string> answer =
          node.Interrupt<std::string>("go on?");
      if (!answer.ok()) return answer.status();
      return Note(node, absl::StrCat(node.Get(job), " ask ", *answer));
    });
    builder.AddEdge(kStart, "plan");
    for (const char* sibling : {"left", "right"}) {
      builder.AddEdge("plan", sibling);
      builder.AddEdge(sibling, "join");
    }
    builder.AddConditionalEdges("join",
                                [this](const NodeContext& node) -> Route {
                                  if (node.Get(job) % 4 == 1) return "ask";
                                  return "finish";
                                });
    builder.AddEdge("ask", "finish");
  }
  CrashGraph(const CrashGraph&) = delete;
  CrashGraph& operator=(const CrashGraph&) = delete;

 private:
  Update Note(NodeContext& node, const std::string& what) const {
    node.Emit(what);
    return Update(log, what).Set(count, 1);
  }
};

// The log after the first `runs` runs of a thread. Of four, the first does a
// job; the second asks within one; the third answers; the fourth does a job
// from where the first had come to.
inline std::vector<std::string> LogAfter(int runs) {
  std::vector<std::string> log;
  std::vector<std::string> first;
  const auto add = [&log](int job, const std::vector<std::string>& what) {
    for (const std::string& w : what) log.push_back(absl::StrCat(job, " ", w));
  };
  const std::vector<std::string> begin = {"plan",   "left",   "right",
                                          "part 0", "part 1", "join"};
  for (int n = 0; n < runs; ++n) {
    if (n % 4 == 2) {
      add(n - 1, {"ask yes", "finish"});
      continue;
    }
    if (n % 4 == 3) log = first;
    add(n, begin);
    if (n % 4 != 1) add(n, {"finish"});
    if (n % 4 == 0) first = log;
  }
  return log;
}

}  // namespace weir

#endif  // WEIR_TESTS_RUNTIME_CRASH_GRAPH_H_
