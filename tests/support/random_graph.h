#ifndef WEIR_TESTS_SUPPORT_RANDOM_GRAPH_H_
#define WEIR_TESTS_SUPPORT_RANDOM_GRAPH_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

#include "weir/channels/any_value.h"
#include "weir/channels/append_log.h"
#include "weir/channels/ephemeral.h"
#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/channels/reducer.h"
#include "weir/channels/topic.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/state_graph.h"

// Random graphs: a plan drawn from a seed, its description, and the graph made
// of it.
//
// What a node writes and where it leads follows from its input, its superstep
// and its attempt alone, and from the answers that it gets, which follow from
// the questions. Nearly everything that it writes tells what it had read and,
// in channels that keep the order of writes, when it was merged. How long it
// takes, and on which of several ways it ends, follows from the Host, which
// each run may be given another of.
namespace weir {
namespace random_graph {

// Draws numbers from a seed, the same everywhere.
//
// Source: S. Vigna, splitmix64.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  int Below(int end) {
    return static_cast<int>(Next() % static_cast<uint64_t>(end));
  }
  int Between(int first, int last) { return first + Below(last - first + 1); }
  bool Chance(int percent) { return Below(100) < percent; }

 private:
  uint64_t state_;
};

// A status, for tests that compare: Status::ToString() has the payloads in any
// order.
inline std::string StatusText(const absl::Status& status) {
  return absl::StrFormat(
      "%s [%s, %s]",
      status.ToString(absl::StatusToStringMode::kWithNoExtraData),
      ErrorKindName(ErrorKindOf(status)), FailedNode(status));
}

// How tests are told how many graphs, or which one.
inline std::optional<uint64_t> NumberFromEnvironment(const char* name) {
  const char* text = std::getenv(name);
  uint64_t number = 0;
  if (text == nullptr || !absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

// What the graphs are to have. Counted as it happens in a run.
enum Feature {
  kTask,
  kFanOut,         // A superstep with several tasks.
  kCycle,          // A node triggered again in a later superstep.
  kJoined,         // A node that only a join leads to.
  kDeferred,       // A deferred node.
  kRouted,         // A router that answered with a node,
  kRoutedToMany,   // with several,
  kRoutedBySend,   // with Sends,
  kRoutedByLabel,  // or with a label of its path map.
  kSentByNode,     // A Send that a node returned.
  kSendTask,       // A task made by a Send.
  kGoto,           // A Command that leads to nodes,
  kCommandList,    // or is in a list.
  kCommandForParent,
  kGotoUnknown,      // Somewhere that does not exist.
  kSlept,            // A coroutine that slept.
  kCallbackAtOnce,   // A callback that completed in its body,
  kCallbackPosted,   // in a job,
  kCallbackDelayed,  // or after some time.
  kGraphNode,        // A superstep of a graph that is a node.
  kGraphCalled,      // A graph run by a function,
  kGraphAwaited,     // or by a coroutine.
  kRetry,            // An attempt after the first,
  kRecovered,        // and one that succeeded.
  kFailedTask,
  kThrown,
  kCompletionDropped,
  kHandled,  // By an error handler.
  kOverwritten,
  kTopicRead,   // A topic that had something in it.
  kSecretRead,  // A private channel that had.
  kEmitted,
  kRunOk,
  kRunFailed,      // By a task,
  kRunRefused,     // by a write at the barrier,
  kRunOutOfSteps,  // or by its recursion limit.
  kFeatures,
};

inline constexpr std::array<std::string_view, kFeatures> kFeatureNames = {
    "task",
    "fan_out",
    "cycle",
    "joined",
    "deferred",
    "routed",
    "routed_to_many",
    "routed_by_send",
    "routed_by_label",
    "sent_by_node",
    "send_task",
    "goto",
    "command_list",
    "command_for_parent",
    "goto_unknown",
    "slept",
    "callback_at_once",
    "callback_posted",
    "callback_delayed",
    "graph_node",
    "graph_called",
    "graph_awaited",
    "retry",
    "recovered",
    "failed_task",
    "thrown",
    "completion_dropped",
    "handled",
    "overwritten",
    "topic_read",
    "secret_read",
    "emitted",
    "run_ok",
    "run_failed",
    "run_refused",
    "run_out_of_steps"};

class Tally {
 public:
  // Relaxed: read when all that count have been joined.
  void Count(Feature feature) {
    counts_[feature].fetch_add(1, std::memory_order_relaxed);
  }
  int64_t operator[](Feature feature) const {
    return counts_[feature].load(std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<int64_t>, kFeatures> counts_{};
};

// What is to happen in bodies beside what their plan says.
class Director {
 public:
  enum Moment { kBodyStarts, kBodyActs };

  virtual ~Director() = default;
  // A failure ends the attempt, which has done nothing yet. `may_fail`: nobody
  // would notice, had the run been continued.
  virtual absl::Status Meet(const NodeContext& node, Moment moment,
                            bool is_inside, bool may_fail) = 0;
  virtual absl::StatusOr<std::string> Ask(const NodeContext& node,
                                          const std::string& question,
                                          bool is_inside) = 0;
};

// Where a run takes place. Nodes find it as their context.
struct Host {
  Executor* executor = nullptr;  // Null: callbacks complete at once.
  uint64_t delays = 0;           // Seeds how long nodes take.
  absl::Duration longest_delay = absl::ZeroDuration();
  Tally* tally = nullptr;
  // If not null, draws what `delays` seeds, for runs whose tasks have other ids
  // each time.
  Dice* whims = nullptr;
  // Null: nodes ask nobody, and know the answers.
  Director* director = nullptr;

  void Count(Feature feature) const {
    if (tally != nullptr) tally->Count(feature);
  }
};

enum class Form {
  kFunction,
  kCoroutine,  // Sleeps first.
  kCallback,
  kGraph,
  kCaller,   // A function that runs a graph,
  kAwaiter,  // and a coroutine that does.
};

enum class Failing { kUnavailable, kInvalid, kThrow, kDropped };

// What a node writes, besides one more turn.
enum Written : uint32_t {
  kToList = 1u << 0,
  kTwiceToList = 1u << 1,
  kToSum = 1u << 2,
  kToFold = 1u << 3,
  kToAny = 1u << 4,
  kToLate = 1u << 5,
  kToTopic = 1u << 6,
  kToTopics = 1u << 7,
  kToOwn = 1u << 8,      // The node's own LastValue.
  kToShared = 1u << 9,   // A LastValue of all nodes.
  kToSecret = 1u << 10,  // A private channel.
  kOverwrite = 1u << 11,
  kCareless = 1u << 12,  // To its own also when it was sent to.
  kByName = 1u << 13,
};

// Stand for a node that does not exist and for the end.
inline constexpr int kNoNode = -1;
inline constexpr int kTheEnd = -2;

struct RouterPlan {
  enum Kind { kOne, kSeveral, kSends, kLabel } kind;
  std::vector<int> to;
};

struct GraphPlan;

struct NodePlan {
  Form form = Form::kFunction;
  int rank = 0;  // In the order of names, which is that of merging.
  bool defer = false;
  bool reads_secret = false;
  uint32_t writes = 0;
  int emits = 0;
  int naps = 0;

  std::optional<Failing> failing;
  int failing_attempts = 0;  // The first so many,
  int failing_turn = -1;     // or all from this turn on, if not -1.
  int max_attempts = 0;      // 0: no retry policy.
  bool handled = false;

  // While there are turns left.
  std::vector<int> gotos;
  int packets = 0;
  int packets_to = 0;
  bool commands_parent = false;
  std::vector<RouterPlan> routers;

  std::shared_ptr<const GraphPlan> inner;
  int calls = 1;  // Of kCaller and kAwaiter.

  // Questions, each for the host. A node that calls graphs asks the first of
  // several before it does.
  int asks = 0;
};

struct JoinPlan {
  std::vector<int> from;
  int to;
};

struct GraphPlan {
  std::vector<NodePlan> nodes;
  std::vector<std::pair<int, int>> edges;  // From kNoNode: from the start.
  std::vector<JoinPlan> joins;
  // Each task counts one turn. From this one on, only edges and joins lead on,
  // so that every run ends.
  int turns = 0;
  bool has_secret = false;
  bool starts_by_command = false;
  int64_t recursion_limit = 0;

  // What AddPauses() draws. Where runs of the graph are to stop counts for
  // graphs inside.
  Memory memory = Memory::kOfTask;
  std::vector<int> stops_before;
  std::vector<int> stops_after;
  bool has_more_channels = false;
};

namespace internal {

inline std::vector<int> DrawNodes(Dice& dice, int count, int nodes) {
  std::vector<int> drawn;
  for (int i = 0; i < count; ++i) {
    drawn.push_back(dice.Chance(2)   ? kNoNode
                    : dice.Chance(8) ? kTheEnd
                                     : dice.Below(nodes));
  }
  return drawn;
}

inline uint32_t DrawWrites(Dice& dice, bool has_secret) {
  constexpr std::pair<uint32_t, int> kPercent[] = {
      {kToList, 70}, {kTwiceToList, 10}, {kToSum, 50},    {kToFold, 50},
      {kToAny, 20},  {kToLate, 15},      {kToTopic, 25},  {kToTopics, 25},
      {kToOwn, 60},  {kToShared, 1},     {kOverwrite, 3}, {kCareless, 5},
      {kByName, 10}};
  uint32_t writes = 0;
  for (const auto& [bit, percent] : kPercent) {
    if (dice.Chance(percent)) writes |= bit;
  }
  if (has_secret && dice.Chance(40)) writes |= kToSecret;
  return writes;
}

inline Form DrawForm(Dice& dice, int depth) {
  const int roll = dice.Below(depth < 2 ? 100 : 82);
  if (roll < 45) return Form::kFunction;
  if (roll < 65) return Form::kCoroutine;
  if (roll < 82) return Form::kCallback;
  if (depth == 1 && dice.Chance(70)) return Form::kFunction;
  if (roll < 90) return Form::kGraph;
  return roll < 95 ? Form::kCaller : Form::kAwaiter;
}

inline void DrawFailure(Dice& dice, NodePlan& node) {
  const int roll = dice.Below(100);
  if (roll >= 8) return;
  node.failing = static_cast<Failing>(dice.Below(4));
  if (node.form == Form::kCallback && dice.Chance(25)) {
    node.failing = Failing::kDropped;
  }
  node.handled = dice.Chance(30);
  if (roll < 6) {  // Enough attempts, if the failure is one to retry.
    node.failing_attempts = dice.Between(1, 2);
    node.max_attempts = node.failing_attempts + 1;
    if (dice.Chance(80) && node.failing != Failing::kDropped) {
      node.failing = dice.Chance(50) ? Failing::kUnavailable : Failing::kThrow;
    }
  } else {
    node.failing_turn = dice.Below(8);
    node.max_attempts = dice.Below(3);
  }
  if (node.form != Form::kCallback && node.failing == Failing::kDropped) {
    node.failing = Failing::kUnavailable;
  }
}

inline GraphPlan DrawGraph(Dice& dice, int depth);

inline NodePlan DrawNode(Dice& dice, int depth, int nodes, bool has_secret) {
  NodePlan node;
  node.form = DrawForm(dice, depth);
  node.defer = dice.Chance(10);
  node.reads_secret = has_secret && dice.Chance(30);
  node.writes = DrawWrites(dice, has_secret);
  if (dice.Chance(40)) node.emits = dice.Between(1, 2);
  if (node.form == Form::kCoroutine) node.naps = dice.Between(1, 2);
  DrawFailure(dice, node);
  if (node.form == Form::kGraph || node.form == Form::kCaller ||
      node.form == Form::kAwaiter) {
    node.inner = std::make_shared<const GraphPlan>(DrawGraph(dice, depth + 1));
    node.calls = dice.Between(1, 2);
  }
  if (dice.Chance(12)) node.gotos = DrawNodes(dice, dice.Between(1, 2), nodes);
  if (dice.Chance(15)) {
    node.packets = dice.Between(1, 3);
    node.packets_to = dice.Below(nodes);
  }
  node.commands_parent = depth > 0 && dice.Chance(4);
  for (int percent = 35; dice.Chance(percent); percent = 10) {
    const auto kind = static_cast<RouterPlan::Kind>(dice.Below(4));
    node.routers.push_back({kind, DrawNodes(dice, dice.Between(1, 3), nodes)});
  }
  return node;
}

inline GraphPlan DrawGraph(Dice& dice, int depth) {
  GraphPlan graph;
  const int nodes = depth == 0 ? dice.Between(3, 12) : dice.Between(2, 4);
  graph.turns = depth == 0 ? dice.Between(4, 12) : dice.Between(2, 8);
  graph.has_secret = dice.Chance(20);
  graph.starts_by_command = depth == 0 && dice.Chance(15);
  graph.recursion_limit = dice.Chance(6) ? dice.Between(2, 8) : 200;
  for (int i = 0; i < nodes; ++i) {
    graph.nodes.push_back(DrawNode(dice, depth, nodes, graph.has_secret));
  }
  for (int i = 0; i < nodes; ++i) graph.nodes[static_cast<size_t>(i)].rank = i;
  for (int i = nodes - 1; i > 0; --i) {
    std::swap(graph.nodes[static_cast<size_t>(i)].rank,
              graph.nodes[static_cast<size_t>(dice.Below(i + 1))].rank);
  }

  graph.edges.push_back({kNoNode, 0});
  for (int to = 1; to < nodes; ++to) {
    const int roll = dice.Below(100);
    if (to < 4 && dice.Chance(40)) {
      graph.edges.push_back({kNoNode, to});
    } else if (roll < 22 && to >= 2) {
      JoinPlan join{{}, to};
      for (int from = 0; from < to; ++from) {
        if (join.from.size() < 4 && dice.Chance(50)) join.from.push_back(from);
      }
      if (join.from.size() >= 2) graph.joins.push_back(std::move(join));
    } else if (roll < 88) {
      graph.edges.push_back({dice.Below(to), to});
      if (dice.Chance(30)) graph.edges.push_back({dice.Below(to), to});
    }
  }
  return graph;
}

}  // namespace internal

inline GraphPlan DrawGraph(uint64_t seed) {
  Dice dice(seed);
  return internal::DrawGraph(dice, 0);
}

namespace internal {

// The nodes that a Send may lead to.
inline std::set<int> SentTo(const GraphPlan& graph) {
  std::set<int> sent_to;
  for (const NodePlan& node : graph.nodes) {
    if (node.packets > 0) sent_to.insert(node.packets_to);
    for (const RouterPlan& router : node.routers) {
      if (router.kind != RouterPlan::kSends) continue;
      sent_to.insert(router.to.begin(), router.to.end());
    }
  }
  return sent_to;
}

// `may_pause`: its runs have checkpoints, and whoever waits for one waits until
// it has ended. `alone`: no two run at once.
inline void AddPauses(Dice& dice, GraphPlan& graph, bool may_pause,
                      bool alone) {
  const std::set<int> sent_to = SentTo(graph);
  // A command for the parent ends the graph, whether its siblings have answers
  // or not.
  for (const NodePlan& node : graph.nodes) may_pause &= !node.commands_parent;
  graph.has_more_channels = true;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    NodePlan& node = graph.nodes[i];
    if (may_pause && dice.Chance(20)) node.asks = dice.Between(1, 3);
    if (node.inner == nullptr) continue;
    GraphPlan inner = *node.inner;
    const bool inner_alone = alone && !sent_to.contains(static_cast<int>(i));
    if (dice.Chance(20)) {
      inner.memory = Memory::kNone;
    } else if (inner_alone && dice.Chance(40)) {
      // Two at once would take turns with one memory, in any order.
      inner.memory = Memory::kOfThread;
    }
    const bool inner_pauses = may_pause && inner.memory != Memory::kNone;
    AddPauses(dice, inner, inner_pauses, inner_alone);
    if (inner_pauses && dice.Chance(15)) {
      std::vector<int>& stops =
          dice.Chance(50) ? inner.stops_before : inner.stops_after;
      stops.push_back(dice.Below(static_cast<int>(inner.nodes.size())));
    }
    node.inner = std::make_shared<const GraphPlan>(std::move(inner));
  }
}

}  // namespace internal

// Adds what only runs with a checkpointer can do: questions, graphs inside that
// remember, and places inside to stop at.
inline void AddPauses(uint64_t seed, GraphPlan& graph) {
  Dice dice(seed);
  internal::AddPauses(dice, graph, true, true);
}

// What the node is called in what it writes.
inline std::string Label(int node) {
  return node == kNoNode   ? "nowhere"
         : node == kTheEnd ? "end"
                           : absl::StrFormat("n%02d", node);
}

// One line for each node and edge, to find out by reading what a graph does.
inline std::string Describe(const GraphPlan& graph, int indent = 0) {
  constexpr std::string_view kForms[] = {"function", "coroutine", "callback",
                                         "graph",    "caller",    "awaiter"};
  constexpr std::string_view kFailings[] = {"unavailable", "invalid", "throw",
                                            "dropped"};
  constexpr std::string_view kWrites[] = {
      "list",   "list_twice", "sum",      "fold",   "any",
      "late",   "topic",      "topics",   "own",    "shared",
      "secret", "overwrite",  "careless", "by_name"};
  constexpr std::string_view kRouters[] = {"one of", "all of", "packets to",
                                           "a label for one of"};
  const auto labels = [](const std::vector<int>& nodes) {
    return absl::StrJoin(nodes, " ", [](std::string* out, int node) {
      out->append(Label(node));
    });
  };
  const std::string margin(static_cast<size_t>(indent), ' ');
  std::string out = absl::StrFormat(
      "%sgraph: %d nodes, leads on for %d turns, recursion limit %d%s%s%s",
      margin, graph.nodes.size(), graph.turns, graph.recursion_limit,
      graph.has_secret ? ", has a private channel" : "",
      graph.starts_by_command ? ", started by a command to n00" : "",
      graph.memory == Memory::kOfThread ? ", remembers its thread"
      : graph.memory == Memory::kNone   ? ", remembers nothing"
                                        : "");
  if (!graph.stops_before.empty()) {
    absl::StrAppend(&out, ", stops before ", labels(graph.stops_before));
  }
  if (!graph.stops_after.empty()) {
    absl::StrAppend(&out, ", stops after ", labels(graph.stops_after));
  }
  out += '\n';
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const NodePlan& node = graph.nodes[i];
    absl::StrAppendFormat(&out, "%s  %s: %s, merged as %d, writes", margin,
                          Label(static_cast<int>(i)),
                          kForms[static_cast<size_t>(node.form)], node.rank);
    for (size_t bit = 0; bit < std::size(kWrites); ++bit) {
      if ((node.writes >> bit) & 1u)
        absl::StrAppend(&out, " ", std::string(kWrites[bit]));
    }
    if (node.defer) out += "; deferred";
    if (node.reads_secret) out += "; reads the private channel";
    if (node.emits > 0) absl::StrAppend(&out, "; emits ", node.emits);
    if (node.naps > 0) absl::StrAppend(&out, "; sleeps ", node.naps, " times");
    if (node.asks > 0) absl::StrAppend(&out, "; asks ", node.asks, " times");
    if (node.failing.has_value()) {
      absl::StrAppendFormat(
          &out, "; fails (%s) %s %d, has %d attempts%s",
          kFailings[static_cast<size_t>(*node.failing)],
          node.failing_turn < 0 ? "in attempts up to" : "from turn",
          node.failing_turn < 0 ? node.failing_attempts : node.failing_turn,
          std::max(1, node.max_attempts),
          node.handled ? " and an error handler" : "");
    }
    if (!node.gotos.empty()) {
      absl::StrAppend(&out, "; goes to ", labels(node.gotos));
    }
    if (node.packets > 0) {
      absl::StrAppend(&out, "; sends ", node.packets, " packets to ",
                      Label(node.packets_to));
    }
    if (node.commands_parent) out += "; commands the parent";
    for (const RouterPlan& router : node.routers) {
      absl::StrAppend(&out, "; routes to ",
                      std::string(kRouters[static_cast<size_t>(router.kind)]),
                      " ", labels(router.to));
    }
    if (node.form == Form::kCaller || node.form == Form::kAwaiter) {
      absl::StrAppend(&out, "; calls it ", node.calls, " times");
    }
    out += '\n';
    if (node.inner != nullptr) out += Describe(*node.inner, indent + 4);
  }
  for (const auto& [from, to] : graph.edges) {
    absl::StrAppendFormat(&out, "%s  %s -> %s\n", margin,
                          from == kNoNode ? "start" : Label(from), Label(to));
  }
  for (const JoinPlan& join : graph.joins) {
    absl::StrAppendFormat(&out, "%s  %s -> %s together\n", margin,
                          labels(join.from), Label(join.to));
  }
  return out;
}

struct Channels {
  Channel<AppendLog<std::string>, OneOrMany<std::string>> list;
  Channel<uint64_t> turns;
  Channel<uint64_t> sum;
  Channel<uint64_t> fold;
  Channel<std::string> any;
  Channel<std::string> late;
  Channel<std::vector<std::string>, OneOrMany<std::string>> topic;
  Channel<std::vector<std::string>, OneOrMany<std::string>> topics;
  Channel<int> shared;
  Channel<AppendLog<std::string>, OneOrMany<std::string>> secret;
  std::vector<Channel<int>> own;  // Of each node.
  // Only of graphs that have more channels.
  Channel<std::string> brief;
  Channel<MessageList<>, OneOrMany<Message>> messages;
};

namespace internal {

// What the nodes of one graph have in common. Complete before it runs.
struct Wiring {
  Channels channels;
  int turns = 0;
  std::vector<std::string> names;  // Of nodes.
  std::vector<NodeId> ids;
  std::vector<std::string> parent_names;  // Empty at the root.
  bool has_more_channels = false;
  // What fails in a graph around this one is handled.
  bool handled = false;
  std::vector<bool> only_joined;
  std::vector<bool> is_graph;
};

struct Actor {
  NodePlan plan;
  int index = 0;
  std::shared_ptr<const Wiring> wiring;
  std::optional<Graph> inner;
};

inline const Host& HostOf(const NodeContext& node) {
  return **node.context<const Host*>();
}

inline uint64_t Mix(uint64_t seed, std::string_view text) {
  uint64_t hash = seed ^ 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return Dice(hash).Next();
}

// Differs from task to task, attempt to attempt and run to run.
inline uint64_t Whim(const NodeContext& node, int which) {
  if (Dice* whims = HostOf(node).whims) return whims->Next();
  return Mix(
      HostOf(node).delays + static_cast<uint64_t>(64 * node.attempt() + which),
      node.task_id());
}

// The host's answer to a question.
inline std::string AnswerTo(std::string_view question) {
  return absl::StrCat("answer ", Mix(3, question) % 997);
}

// One of a few, so that some end at the same time.
inline absl::Duration Delay(const NodeContext& node, int which) {
  return HostOf(node).longest_delay *
         static_cast<double>(Whim(node, which) % 8) / 8;
}

// What the Send that made this task carried, or null.
inline const std::string* Packet(const NodeContext& node) {
  if (const Value* packet = node.Find("packet")) {
    return packet->As<std::string>();
  }
  return node.Input<std::string>();
}

// The packet `number` of `from`. Who gets it does not see the state, so it says
// which turn it is.
inline Send MakePacket(const Wiring& wiring, int from, int number, int to,
                       uint64_t turn) {
  std::string text = absl::StrCat(Label(from), "#", number, "@", turn);
  NodeRef node = to < 0 ? NodeRef("nowhere")
                 : number % 2 == 0
                     ? NodeRef(wiring.ids[static_cast<size_t>(to)])
                     : NodeRef(wiring.names[static_cast<size_t>(to)]);
  const bool to_graph = to >= 0 && wiring.is_graph[static_cast<size_t>(to)];
  if (number % 3 == 0 && !to_graph) {
    return Send(std::move(node), std::move(text));
  }
  if (number % 3 == 1) {
    return Send(std::move(node), Update(wiring.channels.turns, turn)
                                     .Set(wiring.channels.sum, turn)
                                     .Set("packet", Value(std::move(text))));
  }
  Values record;
  record.Add("packet", Value(std::move(text)));
  record.Add("turns", Value(turn));
  record.Add("sum", Value(turn));
  return Send(std::move(node), Value(std::move(record)));
}

inline uint64_t Turn(const NodeContext& node, const Wiring& wiring) {
  const std::string* packet = Packet(node);
  if (packet == nullptr) return node.Get(wiring.channels.turns);
  uint64_t turn = 0;
  const bool read =
      absl::SimpleAtoi(packet->substr(packet->rfind('@') + 1), &turn);
  return read ? turn : 0;
}

inline bool IsToFail(const NodeContext& node, const Actor& self) {
  const NodePlan& plan = self.plan;
  if (!plan.failing.has_value()) return false;
  if (plan.failing_turn < 0) return node.attempt() <= plan.failing_attempts;
  return Turn(node, *self.wiring) >= static_cast<uint64_t>(plan.failing_turn);
}

inline NodeResult Fail(const NodeContext& node, const Actor& self) {
  const std::string text =
      absl::StrCat(Label(self.index), " fails in attempt ", node.attempt());
  switch (*self.plan.failing) {
    case Failing::kThrow:
      HostOf(node).Count(kThrown);
      throw std::runtime_error(text);
    case Failing::kInvalid:
      return absl::InvalidArgumentError(text);
    default:
      return absl::UnavailableError(text);
  }
}

// Something may happen to the body.
inline absl::Status Meet(const NodeContext& node, const Actor& self,
                         Director::Moment moment) {
  Director* director = HostOf(node).director;
  if (director == nullptr) return absl::OkStatus();
  return director->Meet(node, moment, !self.wiring->parent_names.empty(),
                        !self.wiring->handled && !self.plan.handled);
}

// What the node has read, as text.
inline std::string Seen(const NodeContext& node, const Actor& self,
                        std::string_view found) {
  const Channels& of = self.wiring->channels;
  const std::string* packet = Packet(node);
  std::string text = absl::StrCat(
      Label(self.index), "@", node.step(), packet == nullptr ? "" : "<",
      packet == nullptr ? "" : *packet, ":", node.Get(of.list).size(), ".",
      node.Get(of.sum) % 997, ".", node.Get(of.fold) % 997, ".",
      node.Get(of.any), ".", node.Get(of.topic).size());
  const Host& host = HostOf(node);
  if (!node.Get(of.topic).empty()) {
    host.Count(kTopicRead);
    absl::StrAppend(&text, "[", node.Get(of.topic).back(), "]");
  }
  if (self.wiring->has_more_channels && packet == nullptr) {
    absl::StrAppend(&text, "(", node.Get(of.brief), ",",
                    node.Get(of.messages).size(), ")");
  }
  if (self.plan.reads_secret && !node.Get(of.secret).empty()) {
    host.Count(kSecretRead);
    absl::StrAppend(&text, "?", node.Get(of.secret).size());
  }
  if (!found.empty()) absl::StrAppend(&text, "=", Mix(0, found) % 997);
  return text;
}

inline Update MakeUpdate(const NodeContext& node, const Actor& self,
                         std::string_view found) {
  const Channels& to = self.wiring->channels;
  const uint32_t writes = self.plan.writes;
  const std::string seen = Seen(node, self, found);
  const std::string brief = absl::StrCat(Label(self.index), "@", node.step());
  const uint64_t number = Mix(1, seen) % 1000;
  const bool sent = Packet(node) != nullptr;
  Update update(to.turns, 1);
  if (writes & kToList) update.Set(to.list, seen);
  if (writes & kTwiceToList) {
    update.Set(to.list, std::vector<std::string>{brief + "a", brief + "b"});
  }
  if (writes & kToSum) {
    if (writes & kByName) {
      update.Set("sum", Value(number)).Set("no such channel", Value(1));
    } else {
      update.Set(to.sum, number);
    }
  }
  if (writes & kToFold) {
    if (writes & kOverwrite) {
      HostOf(node).Count(kOverwritten);
      update.Overwrite(to.fold, number);
    } else {
      update.Set(to.fold, number);
    }
  }
  if (writes & kToAny) update.Set(to.any, brief);
  if (writes & kToLate) update.Set(to.late, brief);
  if (writes & kToTopic) update.Set(to.topic, brief);
  if (writes & kToTopics) update.Set(to.topics, brief);
  if (writes & kToSecret) update.Set(to.secret, brief);
  if ((writes & kToOwn) && (!sent || (writes & kCareless))) {
    update.Set(to.own[static_cast<size_t>(self.index)],
               static_cast<int>(number));
  }
  if (writes & kToShared) update.Set(to.shared, self.index);
  if (self.wiring->has_more_channels) {
    if (writes & kToTopic) update.Set(to.brief, brief);
    // Two of three replace another.
    if (writes & kToTopics) {
      update.Set(to.messages,
                 Message{"assistant", brief, absl::StrCat("id ", number % 3)});
    }
  }
  return update;
}

inline void EmitFew(const NodeContext& node, const Actor& self,
                    std::string_view when) {
  for (int i = 0; i < self.plan.emits; ++i) {
    HostOf(node).Count(kEmitted);
    node.Emit(absl::StrCat(node.task_id(), " ", Label(self.index), " ",
                           std::string(when), " ", i, " of attempt ",
                           node.attempt()));
  }
}

inline Command ForParent(const Actor& self) {
  Command command;
  command.graph = Command::Graph::kParent;
  command.update.Set("list", Value(Label(self.index) + " to parent"))
      .Set("turns", Value(uint64_t{1}));
  const std::vector<std::string>& names = self.wiring->parent_names;
  command.go_to.push_back(
      names[static_cast<size_t>(self.index) % names.size()]);
  return command;
}

// Asks the node's questions from `first` up to `end`, and adds the answers to
// `found`.
inline absl::Status AskAll(const NodeContext& node, const Actor& self,
                           int first, int end, std::string* found) {
  const std::string* packet = Packet(node);
  for (int i = first; i < end; ++i) {
    const std::string question =
        absl::StrCat(Label(self.index), "@", node.step(), "<",
                     packet == nullptr ? "" : *packet, "#",
                     Turn(node, *self.wiring), " asks ", i);
    Director* director = HostOf(node).director;
    absl::StatusOr<std::string> answer = AnswerTo(question);
    if (director != nullptr)
      answer =
          director->Ask(node, question, !self.wiring->parent_names.empty());
    if (!answer.ok()) return answer.status();
    absl::StrAppend(found, "!", *answer);
  }
  return absl::OkStatus();
}

// How many questions come before the graphs that the node calls.
inline int FirstAsks(const NodePlan& plan) {
  return plan.inner != nullptr && plan.asks > 1 ? 1 : 0;
}

// What every node does once it is its turn. `found` is what graphs that it
// called returned, and what it was answered.
inline NodeResult Act(NodeContext& node, const Actor& self,
                      std::string found = {}) {
  const Host& host = HostOf(node);
  const Wiring& wiring = *self.wiring;
  const NodePlan& plan = self.plan;
  absl::Status met = Meet(node, self,
                          plan.form == Form::kFunction ? Director::kBodyStarts
                                                       : Director::kBodyActs);
  if (met.ok()) met = AskAll(node, self, FirstAsks(plan), plan.asks, &found);
  if (!met.ok()) return met;
  host.Count(kTask);
  if (node.attempt() > 1) host.Count(kRetry);
  EmitFew(node, self, "acts");
  if (IsToFail(node, self)) return Fail(node, self);
  if (node.attempt() > 1) host.Count(kRecovered);
  if (plan.defer) host.Count(kDeferred);
  if (Packet(node) != nullptr) host.Count(kSendTask);
  if (wiring.only_joined[static_cast<size_t>(self.index)]) host.Count(kJoined);

  const uint64_t turn = Turn(node, wiring);
  Update update = MakeUpdate(node, self, found);
  const bool leads_on = turn < static_cast<uint64_t>(wiring.turns);
  if (leads_on && plan.commands_parent && !wiring.parent_names.empty()) {
    host.Count(kCommandForParent);
    return ForParent(self);
  }
  if (!leads_on || (plan.gotos.empty() && plan.packets == 0)) return update;

  Command command{.update = std::move(update)};
  for (const int to : plan.gotos) {
    host.Count(to == kNoNode ? kGotoUnknown : kGoto);
    if (to == kTheEnd) {
      command.go_to.push_back(kEnd);
    } else if (to == kNoNode) {
      command.go_to.push_back("nowhere");
    } else {
      command.go_to.push_back(wiring.ids[static_cast<size_t>(to)]);
    }
  }
  Command sends;
  for (int i = 0; i < plan.packets; ++i) {
    host.Count(kSentByNode);
    sends.go_to.push_back(
        MakePacket(wiring, self.index, i, plan.packets_to, turn + 4));
  }
  if (sends.go_to.empty()) return command;
  host.Count(kCommandList);
  std::vector<NodeResult::Item> list;
  list.emplace_back(std::move(command));
  list.emplace_back(Update(wiring.channels.sum, 1));
  list.emplace_back(std::move(sends));
  return list;
}

inline Route ActAsRouter(NodeContext& state, const Actor& self,
                         const RouterPlan& router) {
  const Host& host = HostOf(state);
  const Wiring& wiring = *self.wiring;
  const uint64_t turn = state.Get(wiring.channels.turns);
  const std::string seen = Seen(state, self, {});
  if (turn >= static_cast<uint64_t>(wiring.turns)) {
    return router.kind == RouterPlan::kLabel ? Target("stop") : Target(kEnd);
  }
  const size_t pick = Mix(2, seen) % router.to.size();
  const auto target = [&wiring, pick](int to) {
    if (to == kTheEnd) return Target(kEnd);
    if (to == kNoNode) return Target("nowhere");
    if (pick % 2 == 0) return Target(wiring.ids[static_cast<size_t>(to)]);
    return Target(wiring.names[static_cast<size_t>(to)]);
  };
  std::vector<Target> targets;
  switch (router.kind) {
    case RouterPlan::kOne:
      host.Count(kRouted);
      return target(router.to[pick]);
    case RouterPlan::kSeveral:
      host.Count(kRoutedToMany);
      for (const int to : router.to) targets.push_back(target(to));
      return targets;
    case RouterPlan::kSends:
      for (size_t i = 0; i <= pick; ++i) {
        host.Count(kRoutedBySend);
        targets.push_back(MakePacket(wiring, self.index, static_cast<int>(i),
                                     router.to[i], turn));
      }
      return targets;
    case RouterPlan::kLabel:
      host.Count(kRoutedByLabel);
      return Target(absl::StrCat("to ", pick));
  }
  return Route();
}

// Named locals, and no lambda: see Drive() in the runtime.
inline Task<int> Nap(NodeContext& node, int which) {
  const absl::Duration delay = Delay(node, which);
  const absl::Status slept = co_await node.Sleep(delay);
  HostOf(node).Count(kSlept);
  co_return slept.ok() ? 0 : 1;
}

inline Task<NodeResult> Sleeper(NodeContext& node,
                                std::shared_ptr<const Actor> self) {
  int stopped = 0;
  absl::Status met = Meet(node, *self, Director::kBodyStarts);
  for (int i = 0; i < self->plan.naps && met.ok(); ++i) {
    EmitFew(node, *self, "sleeps");
    Task<int> nap = Nap(node, i);
    stopped += co_await nap;
  }
  if (met.ok() && stopped > 0) met = absl::CancelledError("stopped");
  NodeResult result(met);
  if (met.ok()) result = Act(node, *self);
  co_return std::move(result);
}

inline Update InnerInput(const NodeContext& node, const Actor& self, int call) {
  const Channels& of = self.wiring->channels;
  return Update()
      .Set("turns", Value(Turn(node, *self.wiring)))
      .Set("sum", Value(node.Get(of.sum) + static_cast<uint64_t>(call)))
      .Set("fold", Value(node.Get(of.fold)));
}

inline NodeResult Caller(NodeContext& node, const Actor& self) {
  std::string found;
  absl::Status met = Meet(node, self, Director::kBodyStarts);
  if (met.ok()) met = AskAll(node, self, 0, FirstAsks(self.plan), &found);
  if (!met.ok()) return met;
  for (int i = 0; i < self.plan.calls; ++i) {
    HostOf(node).Count(kGraphCalled);
    absl::StatusOr<Values> values =
        node.Invoke(*self.inner, InnerInput(node, self, i));
    if (!values.ok()) return values.status();
    found += values->ToJson();
  }
  return Act(node, self, found);
}

inline Task<NodeResult> Awaiter(NodeContext& node,
                                std::shared_ptr<const Actor> self) {
  std::string found;
  absl::Status failed = Meet(node, *self, Director::kBodyStarts);
  if (failed.ok()) {
    failed = AskAll(node, *self, 0, FirstAsks(self->plan), &found);
  }
  for (int i = 0; i < self->plan.calls && failed.ok(); ++i) {
    HostOf(node).Count(kGraphAwaited);
    GraphCall call = node.Invoke(*self->inner, InnerInput(node, *self, i));
    absl::StatusOr<Values> values = co_await call;
    if (values.ok()) {
      found += values->ToJson();
    } else {
      failed = values.status();
    }
  }
  NodeResult result(failed);
  if (failed.ok()) result = Act(node, *self, found);
  co_return std::move(result);
}

inline void CallBack(NodeContext& node, Completion done,
                     const std::shared_ptr<const Actor>& self) {
  const Host& host = HostOf(node);
  const absl::Status met = Meet(node, *self, Director::kBodyStarts);
  if (!met.ok()) return done(met);
  const bool drops =
      self->plan.failing == Failing::kDropped && IsToFail(node, *self);
  if (drops) host.Count(kCompletionDropped);
  auto complete = [&node, self, drops, done = std::move(done)]() mutable {
    if (!drops) done(Act(node, *self));
    done = Completion(nullptr);  // Drops what was not used.
  };
  // What throws does so in the body, where weir catches it.
  const bool throws =
      self->plan.failing == Failing::kThrow && IsToFail(node, *self);
  const uint64_t way = Whim(node, 9) % 3;
  if (host.executor == nullptr || throws || way == 0) {
    host.Count(kCallbackAtOnce);
    complete();
  } else if (way == 1) {
    host.Count(kCallbackPosted);
    host.executor->Post(std::move(complete));
  } else {
    host.Count(kCallbackDelayed);
    host.executor->PostAfter(Delay(node, 10), std::move(complete));
  }
}

inline Channels AddChannels(StateGraph& builder, const GraphPlan& plan) {
  const auto add = [](uint64_t a, const uint64_t& b) { return a + b; };
  const auto fold = [](uint64_t a, const uint64_t& b) { return a * 31 + b; };
  Channels channels;
  channels.list = builder.AddChannel("list", AppendLogChannel<std::string>());
  channels.turns = builder.AddChannel("turns", Reducer<uint64_t>(add));
  channels.sum = builder.AddChannel("sum", Reducer<uint64_t>(add));
  channels.fold = builder.AddChannel("fold", Reducer<uint64_t>(fold));
  channels.any = builder.AddChannel("any", AnyValue<std::string>());
  channels.late =
      builder.AddChannel("late", LastValueAfterFinish<std::string>());
  channels.topic = builder.AddChannel("topic", Topic<std::string>());
  channels.topics = builder.AddChannel("topics", Topic<std::string>(true));
  channels.shared = builder.AddChannel("shared", LastValue<int>());
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    channels.own.push_back(
        builder.AddChannel(Label(static_cast<int>(i)), LastValue<int>()));
  }
  if (plan.has_secret) {
    channels.secret =
        builder.AddPrivateChannel("secret", AppendLogChannel<std::string>());
  }
  if (plan.has_more_channels) {
    channels.brief =
        builder.AddChannel("brief", Ephemeral<std::string>(/*guard=*/false));
    channels.messages = builder.AddChannel("messages", Messages());
  }
  return channels;
}

inline NodeOptions MakeOptions(const NodePlan& plan, const Channels& channels,
                               const std::shared_ptr<const Actor>& self) {
  NodeOptions options;
  options.defer = plan.defer;
  if (plan.reads_secret) {
    options.input =
        std::vector<ChannelRef>{channels.list, channels.turns, channels.sum,
                                channels.topic, channels.secret};
  }
  if (plan.max_attempts > 0) {
    options.retry.push_back({.initial_interval = absl::Microseconds(2),
                             .max_attempts = plan.max_attempts,
                             .jitter = false});
  }
  if (plan.handled) {
    options.error_handler = ErrorHandler([self](NodeContext& node) {
      HostOf(node).Count(kHandled);
      // Siblings may have been stopped as well, if the run was.
      std::string text(node.failure()->status.message());
      text.resize(std::min(text.size(), text.find("; also: ")));
      return Update(self->wiring->channels.list,
                    absl::StrCat("handled: ", text))
          .Set(self->wiring->channels.turns, 1);
    });
  }
  return options;
}

inline NodeId AddNode(StateGraph& builder, const std::string& name,
                      const std::shared_ptr<const Actor>& self,
                      NodeOptions options) {
  switch (self->plan.form) {
    case Form::kFunction:
      return builder.AddNode(
          name, [self](NodeContext& node) { return Act(node, *self); },
          std::move(options));
    case Form::kCoroutine:
      return builder.AddNode(
          name, [self](NodeContext& node) { return Sleeper(node, self); },
          std::move(options));
    case Form::kCallback:
      return builder.AddNode(
          name,
          [self](NodeContext& node, Completion done) {
            CallBack(node, std::move(done), self);
          },
          std::move(options));
    case Form::kGraph:
      return builder.AddNode(name, *self->inner, std::move(options));
    case Form::kCaller:
      return builder.AddNode(
          name, [self](NodeContext& node) { return Caller(node, *self); },
          std::move(options));
    case Form::kAwaiter:
      return builder.AddNode(
          name, [self](NodeContext& node) { return Awaiter(node, self); },
          std::move(options));
  }
  return NodeId();
}

inline void AddEdges(StateGraph& builder, const GraphPlan& plan,
                     const std::vector<NodeId>& ids) {
  const auto ref = [&ids](int node) {
    return node == kNoNode ? NodeRef(kStart)
                           : NodeRef(ids[static_cast<size_t>(node)]);
  };
  for (const auto& [from, to] : plan.edges) builder.AddEdge(ref(from), ref(to));
  for (const JoinPlan& join : plan.joins) {
    std::vector<NodeRef> from;
    for (const int node : join.from) from.push_back(ref(node));
    builder.AddJoin(std::move(from), ref(join.to));
  }
}

inline void AddRouters(StateGraph& builder, const NodeId& id,
                       const std::shared_ptr<const Actor>& self,
                       const std::vector<std::string>& names) {
  for (const RouterPlan& router : self->plan.routers) {
    BranchOptions options;
    if (router.kind == RouterPlan::kLabel) {
      options.path_map.emplace("stop", std::string(kEnd));
      for (size_t i = 0; i < router.to.size(); ++i) {
        const int to = router.to[i];
        options.path_map.emplace(
            absl::StrCat("to ", i),
            to < 0 ? std::string(kEnd) : names[static_cast<size_t>(to)]);
      }
    }
    builder.AddConditionalEdges(
        id,
        [self, router](NodeContext& state) {
          return ActAsRouter(state, *self, router);
        },
        std::move(options));
  }
}

inline std::string NodeName(int rank, int node, bool turn_merge_order) {
  return absl::StrFormat("%02d_%s", turn_merge_order ? 99 - rank : rank,
                         Label(node));
}

}  // namespace internal

// BuildOptions: what is made of a plan.
struct BuildOptions {
  // The names of nodes sort the other way round; nothing else differs that a
  // node reads or writes.
  bool turn_merge_order = false;
  // Runs of graphs inside stop where their plans say.
  bool stops_inside = false;
};

namespace internal {

inline absl::StatusOr<Graph> Build(const GraphPlan& plan,
                                   const BuildOptions& options,
                                   const Wiring* around, bool handled) {
  StateGraph builder;
  auto wiring = std::make_shared<Wiring>();
  wiring->channels = AddChannels(builder, plan);
  wiring->turns = plan.turns;
  if (around != nullptr) wiring->parent_names = around->names;
  wiring->has_more_channels = plan.has_more_channels;
  wiring->handled = handled;
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const int rank = plan.nodes[i].rank;
    wiring->names.push_back(
        NodeName(rank, static_cast<int>(i), options.turn_merge_order));
    wiring->is_graph.push_back(plan.nodes[i].form == Form::kGraph);
    wiring->only_joined.push_back(
        std::none_of(plan.edges.begin(), plan.edges.end(),
                     [i](const auto& edge) {
                       return edge.second == static_cast<int>(i);
                     }) &&
        std::any_of(plan.joins.begin(), plan.joins.end(),
                    [i](const JoinPlan& join) {
                      return join.to == static_cast<int>(i);
                    }));
  }
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    auto self = std::make_shared<Actor>();
    self->plan = plan.nodes[i];
    self->index = static_cast<int>(i);
    self->wiring = wiring;
    if (self->plan.inner != nullptr) {
      absl::StatusOr<Graph> inner =
          Build(*self->plan.inner, options, wiring.get(),
                handled || self->plan.handled);
      if (!inner.ok()) return inner;
      self->inner = *std::move(inner);
    }
    wiring->ids.push_back(
        AddNode(builder, wiring->names[i], self,
                MakeOptions(self->plan, wiring->channels, self)));
    AddRouters(builder, wiring->ids.back(), self, wiring->names);
  }
  AddEdges(builder, plan, wiring->ids);
  if (around == nullptr) return builder.Compile();
  // A list that went both ways would double with each run of the graph.
  builder.SetInput(
      {wiring->channels.turns, wiring->channels.sum, wiring->channels.fold});
  builder.SetOutput({wiring->channels.list, wiring->channels.turns,
                     wiring->channels.sum, wiring->channels.fold,
                     wiring->channels.any, wiring->channels.topics});
  CompileOptions compile{.memory = plan.memory};
  if (options.stops_inside) {
    for (const int node : plan.stops_before) {
      compile.interrupt_before.push_back(
          wiring->names[static_cast<size_t>(node)]);
    }
    for (const int node : plan.stops_after) {
      compile.interrupt_after.push_back(
          wiring->names[static_cast<size_t>(node)]);
    }
  }
  return builder.Compile(std::move(compile));
}

}  // namespace internal

// Makes the graph.
inline absl::StatusOr<Graph> Build(const GraphPlan& plan,
                                   const BuildOptions& options = {}) {
  return internal::Build(plan, options, nullptr, false);
}

// The names of the plan's nodes, for who stops before or after them.
inline std::string NodeName(const GraphPlan& plan, int node) {
  return internal::NodeName(plan.nodes[static_cast<size_t>(node)].rank, node,
                            false);
}

// The input that the plan's runs start with.
inline Input MakeInput(const GraphPlan& plan, bool turn_merge_order = false) {
  Update update =
      Update().Set("list", Value("input")).Set("fold", Value(uint64_t{7}));
  if (!plan.starts_by_command) return Input::Values(std::move(update));
  Command command{.update = std::move(update)};
  command.go_to.push_back(
      internal::NodeName(plan.nodes.front().rank, 0, turn_merge_order));
  return Input::Command(std::move(command));
}

}  // namespace random_graph
}  // namespace weir

#endif  // WEIR_TESTS_SUPPORT_RANDOM_GRAPH_H_
