#ifndef WEIR_RUNTIME_INTERNAL_NODE_BODY_H_
#define WEIR_RUNTIME_INTERNAL_NODE_BODY_H_

#include <coroutine>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/functional/any_invocable.h"

#include "weir/export.h"
#include "weir/runtime/command.h"
#include "weir/runtime/node.h"
#include "weir/runtime/task.h"

// The three forms of a node brought to the two that the loop knows.
namespace weir {
inline namespace v0 {
namespace internal {

using SyncBody = absl::AnyInvocable<NodeResult(NodeContext&) const>;
using AsyncBody = absl::AnyInvocable<void(NodeContext&, Completion) const>;
using RouterBody = absl::AnyInvocable<Route(NodeContext&) const>;

// One of the two is set.
struct NodeBody {
  SyncBody sync;
  AsyncBody async;
  bool may_lead = true;  // Whether what it returns can say where to go.
};

// The Status of the exception being handled: ResourceExhausted for
// std::bad_alloc, else Unknown with its what().
WEIR_EXPORT absl::Status CurrentException();

// The same, of what a channel's reducer threw: "has a reducer that threw: ...".
absl::Status ThrownByReducer();

template <class T>
inline constexpr bool kIsTask = false;
template <class T>
inline constexpr bool kIsTask<Task<T>> = true;

// Awaits the end of a coroutine, and leaves its result with it.
template <class R>
class TaskEnd {
 public:
  explicit TaskEnd(Task<R>& task) : task_(task) {}
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) {
    return task_.await_suspend(awaiting);
  }
  void await_resume() const noexcept {}

 private:
  Task<R>& task_;
};

// A coroutine that nobody awaits: it starts at once and frees itself.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

// What a coroutine that has ended gave. It and what it holds are gone then.
template <class R>
NodeResult ResultOf(Task<R>& task) {
  Task<R> ended = std::move(task);
  try {
    if constexpr (std::is_void_v<R>) {
      ended.await_resume();
      return NodeResult();
    } else {
      return NodeResult(ended.await_resume());
    }
  } catch (...) {
    return NodeResult(CurrentException());
  }
}

// Runs a coroutine node to its end. Its frame is there as long as the node
// waits: ResultOf() is a function so that its locals are not in it. Named
// locals only: g++ 12 destroys some temporaries of a co_await expression twice.
template <class R>
Detached Drive(Task<R> task, Completion done) {
  TaskEnd<R> end(task);
  co_await end;
  done(ResultOf(task));
}

template <class F>
inline constexpr bool kIsCallbackNode =
    std::is_invocable_v<const F&, NodeContext&, Completion>;
template <class F>
inline constexpr bool kIsFunctionNode =
    std::is_invocable_v<const F&, NodeContext&>;

// Whether a node may return an R.
template <class R>
inline constexpr bool kIsNodeResult =
    std::is_void_v<R> || std::is_convertible_v<R, NodeResult>;
template <class R>
inline constexpr bool kIsNodeResult<Task<R>> = kIsNodeResult<R>;

// Whether an R can say where to go. A status does only where it passes on the
// command of a graph that the node has called.
template <class R>
inline constexpr bool kMayLead = true;
template <>
inline constexpr bool kMayLead<void> = false;
template <>
inline constexpr bool kMayLead<Update> = false;
template <>
inline constexpr bool kMayLead<absl::Status> = false;
template <class R>
inline constexpr bool kMayLead<absl::StatusOr<R>> = kMayLead<R>;
template <class R>
inline constexpr bool kMayLead<Task<R>> = kMayLead<R>;

template <class F>
NodeBody MakeNodeBody(F body) {
  static_assert(kIsFunctionNode<F> || kIsCallbackNode<F>,
                "a node takes (NodeContext&) or (NodeContext&, Completion), "
                "and is callable while const: no mutable lambda");
  NodeBody out;
  if constexpr (kIsCallbackNode<F>) {
    out.async = std::move(body);
  } else {
    using R = std::invoke_result_t<const F&, NodeContext&>;
    static_assert(kIsNodeResult<R>,
                  "a node returns void, Update, Command, Send, Status or "
                  "StatusOr of these, or a Task of one; several Sends are "
                  "Command{.go_to = ...}");
    out.may_lead = kMayLead<R>;
    if constexpr (kIsTask<R>) {
      out.async = [body = std::move(body)](NodeContext& node, Completion done) {
        Drive(body(node), std::move(done));
      };
    } else if constexpr (std::is_void_v<R>) {
      out.sync = [body = std::move(body)](NodeContext& node) {
        body(node);
        return NodeResult();
      };
    } else if constexpr (std::is_same_v<R, NodeResult>) {
      out.sync = std::move(body);
    } else {
      out.sync = [body = std::move(body)](NodeContext& node) {
        return NodeResult(body(node));
      };
    }
  }
  return out;
}

template <class F>
RouterBody MakeRouterBody(F router) {
  static_assert(
      std::is_convertible_v<std::invoke_result_t<const F&, NodeContext&>,
                            Route>,
      "a router returns a node, a Send, a vector of these, or a Status");
  return [router = std::move(router)](NodeContext& state) {
    return Route(router(state));
  };
}

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_NODE_BODY_H_
