#ifndef WEIR_TESTS_CONFORMANCE_CASE_CHANNELS_H_
#define WEIR_TESTS_CONFORMANCE_CASE_CHANNELS_H_

#include <string>

#include "tests/conformance/json_values.h"

#include "weir/runtime/state_graph.h"

namespace weir::conformance {

// Adds the channel that a CHANNEL describes.
void AddChannel(StateGraph& builder, const std::string& name,
                const Spec& channel, bool is_private);

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_CASE_CHANNELS_H_
