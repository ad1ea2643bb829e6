#ifndef WEIR_TESTS_CONFORMANCE_JSON_VALUES_H_
#define WEIR_TESTS_CONFORMANCE_JSON_VALUES_H_

#include "nlohmann/json.hpp"

#include "weir/channels/nlohmann_json.h"
#include "weir/channels/value.h"
#include "weir/channels/values.h"

namespace weir::conformance {

// Data: what channels hold, nodes read and write, and results show.
using json = nlohmann::json;

// A part of a case: what to do. Its fields stay in the order of the file, which
// is the order in which variables are bound and channels written.
using Spec = nlohmann::ordered_json;

// Any Value as JSON, whatever its type.
json ToJson(const Value& value);

// {channel: value}
json ToJson(const Values& values);

// What a graph returned: null where it had nothing to show.
json ReturnedJson(const Values& values);

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_JSON_VALUES_H_
