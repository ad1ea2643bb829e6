#ifndef WEIR_RUNTIME_ENTRYPOINT_H_
#define WEIR_RUNTIME_ENTRYPOINT_H_

#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/channels/channel.h"
#include "weir/channels/ephemeral.h"
#include "weir/channels/last_value.h"
#include "weir/runtime/call.h"
#include "weir/runtime/command.h"
#include "weir/runtime/graph.h"
#include "weir/runtime/node.h"
#include "weir/runtime/run.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"

namespace weir {
inline namespace v0 {

// Final: what the body of an Entrypoint returns when what the caller gets and
// what the thread remembers differ.
template <class Out, class Saved>
struct Final {
  Out value;
  Saved save;
};

// Entrypoint: one function as a whole graph, for a program that reads best as
// code that calls functions (NodeContext::Call) rather than as nodes and edges.
// The body is given what it returned, or saved, when its thread last ran.
//
//   auto add = [](weir::NodeContext&, const int& n, const int* previous) {
//     return n + (previous == nullptr ? 0 : *previous);
//   };
//   weir::Entrypoint<int, int> sum("sum", add);
//   absl::StatusOr<weir::Graph> graph = sum.Compile();
//   auto result = graph->Invoke(sum.Input(1), options);
//   int so_far = result->Get(sum.result());
//
// The body takes (NodeContext&, const In&, const Saved* previous); `previous`
// is null on a thread's first run, and without a checkpointer. It returns an
// Out or a Final<Out, Saved>, an absl::StatusOr of one, or a Task of these.
//
// It is a StateGraph with one node and the channels "input", "result" and
// "previous": Graph::UpdateState() with previous() sets what the next run is
// given.
//
// Errors:   the body's failure is a node's: see NodeError in docs/errors.md.
// Threads:  thread-compatible.
// Lifetime: the graph keeps the body.
// Source:   LangGraph's functional API. There the body runs in superstep 0,
//           which here is the start's, as in every graph.
template <class In, class Out, class Saved = Out>
class Entrypoint {
 public:
  template <class F>
  Entrypoint(std::string name, F body, NodeOptions options = {}) {
    auto node = [body = std::move(body), input = input_, result = result_,
                 previous = previous_](NodeContext& context) {
      auto returned = body(context, context.Get(input), context.Find(previous));
      if constexpr (internal::kIsTask<decltype(returned)>) {
        return Await(std::move(returned), result, previous);
      } else {
        return ToUpdate(std::move(returned), result, previous);
      }
    };
    builder_.AddNode(name, std::move(node), std::move(options));
    builder_.AddEdge(kStart, name);
    builder_.SetInput({input_});
    builder_.SetOutput({result_});
  }

  // Errors: as of StateGraph::Compile().
  [[nodiscard]] absl::StatusOr<Graph> Compile(
      CompileOptions options = {}) const {
    return builder_.Compile(std::move(options));
  }

  weir::Input Input(In input) const { return Update(input_, std::move(input)); }
  const Channel<Out>& result() const { return result_; }
  const Channel<Saved>& previous() const { return previous_; }

 private:
  template <class R>
  static NodeResult ToUpdate(R returned, Channel<Out> result,
                             Channel<Saved> previous) {
    if constexpr (std::is_same_v<R, Final<Out, Saved>>) {
      return Update(result, std::move(returned.value))
          .Set(previous, std::move(returned.save));
    } else if constexpr (requires { returned.status(); }) {
      if (!returned.ok()) return std::move(returned).status();
      return ToUpdate(*std::move(returned), result, previous);
    } else {
      static_assert(std::is_convertible_v<R, Out> && std::is_same_v<Out, Saved>,
                    "an Entrypoint's body returns an Out, if that is what is "
                    "saved too, or a Final<Out, Saved>");
      Out value = std::move(returned);
      return Update(result, value).Set(previous, std::move(value));
    }
  }

  template <class R>
  static Task<NodeResult> Await(Task<R> body, Channel<Out> result,
                                Channel<Saved> previous) {
    R returned = co_await body;
    co_return ToUpdate(std::move(returned), result, previous);
  }

  StateGraph builder_;
  const Channel<In> input_ = builder_.AddChannel("input", Ephemeral<In>());
  const Channel<Out> result_ = builder_.AddChannel("result", LastValue<Out>());
  const Channel<Saved> previous_ =
      builder_.AddChannel("previous", LastValue<Saved>());
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_ENTRYPOINT_H_
