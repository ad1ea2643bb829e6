#ifndef WEIR_TESTS_CONFORMANCE_SCRIPT_H_
#define WEIR_TESTS_CONFORMANCE_SCRIPT_H_

#include "tests/conformance/json_values.h"

#include "weir/checkpoint/checkpointer.h"

namespace weir::conformance {

// Builds the graph of a case, carries out its script with a fresh store and
// returns the results, a list. Throws where the case is faulty.
json RunCase(const Spec& a_case, Checkpointer* store);

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_SCRIPT_H_
