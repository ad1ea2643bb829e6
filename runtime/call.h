#ifndef WEIR_RUNTIME_CALL_H_
#define WEIR_RUNTIME_CALL_H_

#include <coroutine>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "weir/channels/value.h"
#include "weir/export.h"
#include "weir/runtime/internal/node_body.h"
#include "weir/runtime/node.h"
#include "weir/runtime/policy.h"
#include "weir/runtime/task.h"

// Functions that a node calls, and blocks of code that run once. Both are
// remembered with the node's task: when the node runs again, after an interrupt
// or a failure, what has finished is not done again.
//
//   weir::Task<weir::NodeResult> Report(weir::NodeContext& node) {
//     auto news = node.Call("fetch", Fetch, std::string("news"));
//     auto mail = node.Call("fetch", Fetch, std::string("mail"));
//     absl::StatusOr<std::string> a = co_await std::move(news);
//     absl::StatusOr<std::string> b = co_await std::move(mail);
//     ...
//   }
namespace weir {
inline namespace v0 {
namespace internal {

struct CalledFunction;

// What a FunctionCall holds, whatever the function returns.
class WEIR_EXPORT CallHandle {
 public:
  explicit CallHandle(std::shared_ptr<CalledFunction> call);
  CallHandle(CallHandle&&) noexcept;
  ~CallHandle();

  // Runs the function here if nobody has begun it. Whether it has ended.
  bool Run();
  // False if the function has ended; else resumes `caller` when it has.
  bool Await(std::coroutine_handle<> caller);
  // Holds the worker until the function has ended.
  absl::Status Wait();
  // Of a function that has ended. `wanted` is the type it is to be of.
  absl::StatusOr<Value> Result(const ValueType* wanted);
  void Cancel();

 private:
  std::shared_ptr<CalledFunction> call_;
};

// What a function gives: the T of T, StatusOr<T>, Task<T> or Task<StatusOr<T>>;
// None of void and Status.
template <class R>
struct ResultOfCall {
  using type = R;
};
template <>
struct ResultOfCall<void> {
  using type = None;
};
template <>
struct ResultOfCall<absl::Status> {
  using type = None;
};
template <class T>
struct ResultOfCall<absl::StatusOr<T>> {
  using type = T;
};
template <class R>
struct ResultOfCall<Task<R>> : ResultOfCall<R> {};

// The value of what a function returned, or its failure.
template <class R>
absl::StatusOr<Value> CallResult(R result) {
  if constexpr (std::is_same_v<R, absl::Status>) {
    if (!result.ok()) return result;
    return Value(None());
  } else if constexpr (std::is_same_v<R, Value>) {
    return result;
  } else {
    return Value(std::move(result));
  }
}
template <class T>
absl::StatusOr<Value> CallResult(absl::StatusOr<T> result) {
  if (!result.ok()) return std::move(result).status();
  return CallResult(*std::move(result));
}

// Calls `body` as it takes its arguments.
template <class F>
auto CallWith(const F& body, NodeContext& task) {
  if constexpr (std::is_invocable_v<const F&, NodeContext&>) {
    return body(task);
  } else {
    return body();
  }
}
template <class A, class F>
auto CallWithArgument(const F& body, NodeContext& task) {
  if constexpr (std::is_invocable_v<const F&, NodeContext&, const A&>) {
    return body(task, *task.Input<A>());
  } else {
    return body(*task.Input<A>());
  }
}

WEIR_EXPORT NodeResult ReturnFromCall(NodeContext& task,
                                      absl::StatusOr<Value> result);

// As Drive(), of a function that is a coroutine.
template <class R>
Detached DriveCall(Task<R> body, NodeContext* task, Completion done) {
  absl::StatusOr<Value> result;
  try {
    if constexpr (std::is_void_v<R>) {
      co_await body;
      result = Value(None());
    } else {
      R returned = co_await body;
      result = CallResult(std::move(returned));
    }
  } catch (...) {
    result = CurrentException();
  }
  { Task<R> ended = std::move(body); }
  done(ReturnFromCall(*task, std::move(result)));
}

template <class Invoke>
NodeBody MakeCallBody(Invoke invoke) {
  using R = std::invoke_result_t<const Invoke&, NodeContext&>;
  NodeBody out;
  if constexpr (kIsTask<R>) {
    out.async = [invoke = std::move(invoke)](NodeContext& task,
                                             Completion done) {
      DriveCall(invoke(task), &task, std::move(done));
    };
  } else {
    out.sync = [invoke = std::move(invoke)](NodeContext& task) {
      if constexpr (std::is_void_v<R>) {
        invoke(task);
        return ReturnFromCall(task, Value(None()));
      } else {
        return ReturnFromCall(task, CallResult(invoke(task)));
      }
    };
  }
  return out;
}

WEIR_EXPORT CallHandle StartCall(const NodeContext& node, std::string_view name,
                                 NodeBody body, Value argument,
                                 CallOptions options);
WEIR_EXPORT absl::StatusOr<Value> RunOnce(
    const NodeContext& node, std::string_view name, OnceMode mode,
    const ValueType* wanted, absl::FunctionRef<absl::StatusOr<Value>()> block);

}  // namespace internal

// FunctionCall<T>: a function that a node has called: what
// NodeContext::Call() returns. It runs beside the node, and has ended before
// the node's task ends, also if nobody asks for its result. Gives the result
// once, as absl::StatusOr<T>: by conversion, which holds the worker while the
// function waits, or by `co_await`. Dropping it drops the result alone: the
// function goes on, so that it must own what it uses, and not refer to locals
// of a body that may return before it has ended.
//
// Errors:   the function's own, or what it threw, as a NodeError that names the
//           call; the node may go on. kInterrupt if the function asks: return
//           it at once, as of NodeContext::Interrupt().
// Threads:  single-owner: of the body that made the call.
// Lifetime: within that body.
template <class T>
class [[nodiscard]] FunctionCall {
 public:
  explicit FunctionCall(internal::CallHandle handle)
      : handle_(std::move(handle)) {}

  // NOLINTNEXTLINE(google-explicit-constructor): see above
  operator absl::StatusOr<T>() && { return std::move(*this).Get(); }
  absl::StatusOr<T> Get() && {
    if (absl::Status s = handle_.Wait(); !s.ok()) return s;
    return await_resume();
  }

  bool await_ready() { return handle_.Run(); }
  bool await_suspend(std::coroutine_handle<> caller) {
    return handle_.Await(caller);
  }
  absl::StatusOr<T> await_resume() {
    if constexpr (std::is_same_v<T, Value>) {
      return handle_.Result(nullptr);
    } else {
      absl::StatusOr<Value> result = handle_.Result(TypeOf<T>());
      if (!result.ok()) return std::move(result).status();
      return *std::move(result)->template As<T>();
    }
  }

  // Triggers the function's stop token; one that has not begun never does, and
  // is Cancelled.
  void Cancel() { handle_.Cancel(); }

 private:
  internal::CallHandle handle_;
};

template <class F>
auto NodeContext::Call(std::string_view name, F body,
                       CallOptions options) const {
  auto invoke = [body = std::move(body)](NodeContext& task) {
    return internal::CallWith(body, task);
  };
  using R = std::invoke_result_t<const decltype(invoke)&, NodeContext&>;
  return FunctionCall<typename internal::ResultOfCall<R>::type>(
      internal::StartCall(*this, name,
                          internal::MakeCallBody(std::move(invoke)),
                          Value(None()), std::move(options)));
}

template <class F, class A>
requires(!std::is_same_v<A, CallOptions>) auto NodeContext::Call(
    std::string_view name, F body, A argument, CallOptions options) const {
  using Held = internal::HeldAs<A>;
  auto invoke = [body = std::move(body)](NodeContext& task) {
    return internal::CallWithArgument<Held>(body, task);
  };
  using R = std::invoke_result_t<const decltype(invoke)&, NodeContext&>;
  return FunctionCall<typename internal::ResultOfCall<R>::type>(
      internal::StartCall(*this, name,
                          internal::MakeCallBody(std::move(invoke)),
                          Value(std::in_place_type<Held>, std::move(argument)),
                          std::move(options)));
}

template <class F>
auto NodeContext::Once(std::string_view name, F block, OnceMode mode) const {
  using T = typename internal::ResultOfCall<std::invoke_result_t<F&>>::type;
  const internal::ValueType* wanted = nullptr;
  if constexpr (!std::is_same_v<T, Value>) wanted = TypeOf<T>();
  absl::StatusOr<Value> result = internal::RunOnce(
      *this, name, mode, wanted, [&block]() -> absl::StatusOr<Value> {
        if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
          block();
          return Value(None());
        } else {
          return internal::CallResult(block());
        }
      });
  if constexpr (std::is_same_v<T, Value>) {
    return result;
  } else {
    return result.ok() ? absl::StatusOr<T>(*result->template As<T>())
                       : absl::StatusOr<T>(std::move(result).status());
  }
}

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_CALL_H_
