#ifndef WEIR_TESTS_CHECKPOINT_CHILD_PROCESS_H_
#define WEIR_TESTS_CHECKPOINT_CHILD_PROCESS_H_

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace weir {

// Another process of a test's, which runs `body` and ends with what it returns.
// To be started while this process has one thread.
class ChildProcess {
 public:
  // The child's way to tell something: a line for NextLine(), whole.
  class Teller {
   public:
    explicit Teller(int file) : file_(file) {}
    void Tell(const std::string& line) const {
      const std::string whole = line + "\n";
      if (write(file_, whole.data(), whole.size()) < 0) _exit(99);
    }

   private:
    int file_;
  };

  template <class Body>
  explicit ChildProcess(Body body) {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe(ends.data()), 0);
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      _exit(body(Teller(ends[1])));
    }
    close(ends[1]);
    from_ = ends[0];
  }
  ~ChildProcess() {
    if (!ended_) {
      Signal(SIGKILL);
      Join();
    }
    close(from_);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const { kill(pid_, signal); }

  // Waits for a line; "" if there are no more.
  std::string NextLine() const {
    std::string line;
    char next = 0;
    while (read(from_, &next, 1) == 1) {
      if (next == '\n') return line;
      line += next;
    }
    return line;
  }
  // Waits until it has stopped, after SIGSTOP.
  void WaitUntilStopped() const {
    int status = 0;
    waitpid(pid_, &status, WUNTRACED);
    EXPECT_TRUE(WIFSTOPPED(status));
  }
  // Waits for its end: what it returned, or 128 and the signal.
  int Join() {
    int status = 0;
    waitpid(pid_, &status, 0);
    ended_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
  int from_ = -1;
  bool ended_ = false;
};

}  // namespace weir

#endif  // WEIR_TESTS_CHECKPOINT_CHILD_PROCESS_H_
