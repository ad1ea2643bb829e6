#ifndef WEIR_RUNTIME_STATE_GRAPH_H_
#define WEIR_RUNTIME_STATE_GRAPH_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "weir/channels/channel.h"
#include "weir/export.h"
#include "weir/runtime/command.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/internal/node_body.h"
#include "weir/runtime/migration.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"

namespace weir {
inline namespace v0 {

// ChannelRef: a channel by name or by handle.
class ChannelRef {
 public:
  template <class T, class W>
  // NOLINTNEXTLINE(google-explicit-constructor): a reference to either
  ChannelRef(const Channel<T, W>& channel)
      : index_(channel.index()), schema_(channel.schema()) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  ChannelRef(std::string name) : name_(std::move(name)) {}
  // NOLINTNEXTLINE(google-explicit-constructor): implicit by design
  ChannelRef(const char* name) : name_(name) {}

  uint32_t index() const { return index_; }
  uint32_t schema() const { return schema_; }  // 0: by name.
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  uint32_t index_ = 0;
  uint32_t schema_ = 0;
};

// ErrorHandler: runs in place of a node that has finally failed, in the same
// superstep and on the same input; NodeContext::failure() says what happened.
// It returns what a node returns. The failed node's edges do not fire. It is
// called once: no retry, timeout or cache policy applies to it. A node that was
// only asked to stop is not handled.
class ErrorHandler {
 public:
  template <class F>
  requires internal::kIsFunctionNode<F> || internal::kIsCallbackNode<F>
  // NOLINTNEXTLINE(google-explicit-constructor): a function is one
  ErrorHandler(F body)
      : body_(std::make_shared<internal::NodeBody>(
            internal::MakeNodeBody(std::move(body)))) {}

  const std::shared_ptr<const internal::NodeBody>& body() const {
    return body_;
  }

 private:
  std::shared_ptr<const internal::NodeBody> body_;
};

// NodeOptions: every field has a default.
struct NodeOptions {
  // Wait until nothing else is left to run, and run once for all that led here.
  bool defer = false;
  // The channels that the node reads; by default all that are not private.
  std::optional<std::vector<ChannelRef>> input{};
  // The first policy whose retry_on accepts a failure decides.
  std::vector<RetryPolicy> retry{};
  std::optional<TimeoutPolicy> timeout{};
  std::optional<CachePolicy> cache{};
  std::optional<ErrorHandler> error_handler{};
  // Where the node's Commands and Sends may go, checked at Compile() and, when
  // the graph is strict, at run time. Absent: anywhere.
  std::optional<std::vector<NodeRef>> destinations{};
  // The graphs that the body runs by NodeContext::Invoke(), so that snapshots
  // of a state show theirs.
  std::vector<Graph> calls{};
};

// BranchOptions: of conditional edges.
struct BranchOptions {
  // Names the branch; the branches of one node have different names. By default
  // "branch", "branch_2", ...
  std::string name{};
  // Looks up the router's answers: label to node or kEnd. An answer that is not
  // in it is an InvalidBranchError. Empty: answers are nodes.
  std::map<std::string, std::string> path_map{};
  // Without a path map: where the router may go. Absent: anywhere.
  std::optional<std::vector<NodeRef>> destinations{};
  // The channels that the router reads; by default those that its node reads.
  std::optional<std::vector<ChannelRef>> input{};
};

// CompileOptions: defaults for the nodes that have no policy of their own. They
// do not reach into graphs used as nodes.
struct CompileOptions {
  std::vector<RetryPolicy> retry{};
  std::optional<TimeoutPolicy> timeout{};
  std::optional<CachePolicy> cache{};
  std::optional<ErrorHandler> error_handler{};
  // Makes cache policies work. Graphs used as nodes use it as well if they have
  // none of their own.
  std::shared_ptr<Cache> result_cache{};
  // Whether a Command, Send or router that names an unknown or undeclared node,
  // or an update that names an unknown channel, fails the task. Otherwise it is
  // ignored, with a warning for readers of kDebug.
  bool strict = false;
  // Nodes before and after which every run stops, "*" for all, until it is
  // continued; see Input::Continue().
  std::vector<std::string> interrupt_before{};
  std::vector<std::string> interrupt_after{};
  // Of a graph inside another.
  Memory memory = Memory::kOfTask;
  // Of what threads are saved by: raised when a saved thread could not go on
  // with the graph as it is now, together with a migration that lets it. Nodes
  // and channels may be added without. A thread that is saved by a later
  // version, or has no path of migrations to this one, is refused with
  // FailedPrecondition.
  int version = 0;
  std::vector<Migration> migrations{};
  // Names the graph, for messages.
  std::string name = "graph";
};

// StateGraph: builds a graph: channels for its state, nodes that read and write
// them, edges that say which nodes run after which.
//
//   weir::StateGraph builder;
//   const auto count = builder.AddChannel("count", weir::LastValue<int>());
//   builder.AddNode("add", [count](weir::NodeContext& node) {
//     return weir::Update(count, node.Get(count) + 1);
//   });
//   builder.AddEdge(weir::kStart, "add");
//   absl::StatusOr<weir::Graph> graph = builder.Compile();
//
// Errors:   building never fails; Compile() reports every mistake at once, each
//           with the node, edge or channel and what to do.
// Threads:  thread-compatible.
// Lifetime: the compiled graph shares the node functions and needs no builder.
// Source:   the rules are LangGraph's StateGraph's.
class WEIR_EXPORT StateGraph {
 public:
  StateGraph();
  ~StateGraph();
  StateGraph(StateGraph&&) noexcept;
  StateGraph& operator=(StateGraph&&) noexcept;

  // Adds a channel to the state.
  template <class T, class W>
  Channel<T, W> AddChannel(std::string name, ChannelDef<T, W> def) {
    AddTypes<T, W>();
    return {AddChannelKind(std::move(name), std::move(def.kind), false),
            schema()};
  }
  // Adds a channel that is not in the state: any node may write it, only nodes
  // that list it in NodeOptions::input read it, and Invoke() does not return
  // it.
  template <class T, class W>
  Channel<T, W> AddPrivateChannel(std::string name, ChannelDef<T, W> def) {
    AddTypes<T, W>();
    return {AddChannelKind(std::move(name), std::move(def.kind), true),
            schema()};
  }
  // Has durable stores keep values of T where only the value says what it is:
  // what a Send carries, what nodes ask and are answered, what called functions
  // and blocks that run once return. Those of channels, None, bool, numbers,
  // strings and lists of strings are known without; a run that is to store a
  // value of any other fails with FailedPrecondition. In such a store the name
  // of T stands for it, which has to stay.
  template <class T>
  void AddType() {
    static_assert(HasCodec<T>, "a type that is stored needs a Codec");
    AddValueType(TypeOf<T>());
  }
  // The channels that a run's input may set, and those that Invoke() returns;
  // by default all of the state.
  void SetInput(std::vector<ChannelRef> channels);
  void SetOutput(std::vector<ChannelRef> channels);

  // Adds a node. `body` is called by several runs at once and is one of
  //
  //   R body(NodeContext&)                 a function
  //   Task<R> body(NodeContext&)           a coroutine
  //   void body(NodeContext&, Completion)  a callback, which ends when the
  //                                        Completion is called, from any
  //                                        thread
  //
  // where R is void or anything that converts to NodeResult. A function holds
  // a worker until it returns; the other two hold none while they wait.
  template <class F>
  requires(!std::is_same_v<F, Graph>) NodeId
      AddNode(std::string name, F body, NodeOptions options = {}) {
    return AddNodeBody(std::move(name),
                       std::make_shared<internal::NodeBody>(
                           internal::MakeNodeBody(std::move(body))),
                       std::move(options));
  }
  // Adds a graph as a node. Channels are shared by name: its input is the
  // node's input, and its output is the node's update.
  NodeId AddNode(std::string name, const Graph& graph,
                 NodeOptions options = {});

  // `to` runs in the superstep after `from`. From kStart: first. To kEnd: the
  // path ends, as it does at any node without edges.
  void AddEdge(NodeRef from, NodeRef to);
  // `to` runs once all of `from` have run, whichever superstep each runs in.
  void AddJoin(std::vector<NodeRef> from, NodeRef to);
  // After each task of `from`, `Route router(NodeContext&)` says where to go
  // next: it sees the state with this task's writes, and returns anything that
  // converts to Route.
  template <class F>
  requires std::is_invocable_v<const F&, NodeContext&>
  void AddConditionalEdges(NodeRef from, F router, BranchOptions options = {}) {
    AddBranch(std::move(from), internal::MakeRouterBody(std::move(router)),
              std::move(options));
  }
  // An edge from kStart, and one to kEnd.
  void SetEntryPoint(NodeRef node) { AddEdge(kStart, std::move(node)); }
  void SetFinishPoint(NodeRef node) { AddEdge(std::move(node), kEnd); }

  // Checks the graph and makes it ready to run. InvalidArgument, of kind
  // InvalidGraphError, lists every mistake. The builder may be changed and
  // compiled again.
  [[nodiscard]] absl::StatusOr<Graph> Compile(
      CompileOptions options = {}) const;

 private:
  // The types of what a channel is given and holds.
  template <class T, class W>
  void AddTypes() {
    AddValueType(TypeOf<T>());
    if constexpr (requires { typename W::Element; }) {
      AddValueType(TypeOf<typename W::Element>());
      AddValueType(TypeOf<std::vector<typename W::Element>>());
    } else {
      AddValueType(TypeOf<W>());
    }
  }
  void AddValueType(const internal::ValueType* type);
  uint32_t schema() const;
  uint32_t AddChannelKind(std::string name,
                          std::shared_ptr<const ChannelKind> kind,
                          bool is_private);
  NodeId AddNodeBody(std::string name,
                     std::shared_ptr<const internal::NodeBody> body,
                     NodeOptions options);
  void AddBranch(NodeRef from, internal::RouterBody router,
                 BranchOptions options);

  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_STATE_GRAPH_H_
