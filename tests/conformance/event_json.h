#ifndef WEIR_TESTS_CONFORMANCE_EVENT_JSON_H_
#define WEIR_TESTS_CONFORMANCE_EVENT_JSON_H_

#include <vector>

#include "absl/status/status.h"
#include "tests/conformance/json_values.h"

#include "weir/runtime/event.h"
#include "weir/runtime/state.h"

namespace weir::conformance {

// An ERROR.
json ErrorJson(const absl::Status& status);

// INTERRUPTs.
json InterruptsJson(const std::vector<Interrupt>& interrupts);

// The SNAPSHOT.
json SnapshotJson(const StateSnapshot& state);

// Whether an event is one that results show: control events and warnings are
// weir's own.
bool IsResult(const Event& event);

// The EVENT, with the path of its graph if `with_ns`.
json EventJson(const Event& event, bool with_ns);

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_EVENT_JSON_H_
