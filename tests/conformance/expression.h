#ifndef WEIR_TESTS_CONFORMANCE_EXPRESSION_H_
#define WEIR_TESTS_CONFORMANCE_EXPRESSION_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/conformance/json_values.h"

#include "weir/runtime/command.h"

namespace weir::conformance {

// Counters: the counters of a case.
//
// Threads:  thread-safe.
class Counters {
 public:
  // Adds one to the counter `name` and returns its new value.
  int64_t Count(const std::string& name);
  // {name: count}
  json ToJson() const;

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, int64_t> counts_ ABSL_GUARDED_BY(mutex_);
};

// Scope: what an EXPR can refer to: an input, variables and the counters.
//
// Errors:   throws std::exception where an EXPR is faulty.
// Threads:  single-owner.
// Lifetime: `counters` must outlive it.
class Scope {
 public:
  Scope(json input, Counters* counters)
      : input_(std::move(input)), counters_(counters) {}

  // An overwrite becomes the record that Update::Set() takes for one, a packet
  // a record that ToTargets() knows.
  json Eval(const Spec& expr);

  void Bind(const std::string& variable, json value) {
    variables_[variable] = std::move(value);
  }

  const json& input() const { return input_; }
  const json& variable(const std::string& name) const {
    return variables_.at(name);
  }
  Counters& counters() { return *counters_; }

 private:
  const json input_;
  std::map<std::string, json> variables_;
  Counters* const counters_;
};

// The targets that the value of a `goto` or a `path` names.
std::vector<Target> ToTargets(const json& value);

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_EXPRESSION_H_
