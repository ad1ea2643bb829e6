#ifndef WEIR_RUNTIME_TASK_H_
#define WEIR_RUNTIME_TASK_H_

#include <coroutine>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace weir {
inline namespace v0 {

namespace internal {

// What a coroutine returns: co_return with a value, or without.
template <class T>
struct TaskValue {
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T Take() {
    if (!value.has_value()) {
      throw std::logic_error("a coroutine ended without co_return");
    }
    return *std::move(value);
  }
  std::optional<T> value;
};

template <>
struct TaskValue<void> {
  void return_void() {}
  void Take() {}
};

}  // namespace internal

// Task<T>: a coroutine that gives a T. It starts when it is awaited and resumes
// whoever awaits it when it is done. A node that is a coroutine returns
// Task<NodeResult> (or Task of anything that converts to it) and holds no
// worker while it waits. It may await anything that resumes it, once, on any
// thread: it goes on there, and its run waits for it, also when asked to stop.
//
//   weir::Task<weir::NodeResult> Ask(weir::NodeContext& node) {
//     absl::Status slept = co_await node.Sleep(absl::Seconds(1));
//     if (!slept.ok()) co_return slept;
//     co_return weir::Update(...);
//   }
//
// A Task<void> gives nothing; any other must co_return a value on every path.
//
// Errors:   an exception that leaves the coroutine is thrown where it is
//           awaited; in a node it becomes the node's error. So does reaching
//           the end without co_return, where the compiler lets that pass.
// Threads:  single-owner.
// Lifetime: destroying a Task destroys the coroutine, which must not be
//           running. A lambda's captures live in the lambda, not in the
//           coroutine: a node's lambda is kept by its graph.
template <class T>
class [[nodiscard]] Task {
 public:
  struct promise_type : internal::TaskValue<T> {
    std::exception_ptr error;
    std::coroutine_handle<> awaiting;

    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct ResumeAwaiting {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(
          std::coroutine_handle<promise_type> done) noexcept {
        return done.promise().awaiting;
      }
      void await_resume() noexcept {}
    };
    ResumeAwaiting final_suspend() noexcept { return {}; }
    void unhandled_exception() { error = std::current_exception(); }
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) {
    handle_.promise().awaiting = awaiting;
    return handle_;
  }
  T await_resume() {
    if (handle_.promise().error) {
      std::rethrow_exception(handle_.promise().error);
    }
    return handle_.promise().Take();
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}

  std::coroutine_handle<promise_type> handle_;
};

}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_TASK_H_
