#ifndef WEIR_GATEWAY_INTERNAL_RUN_REQUEST_H_
#define WEIR_GATEWAY_INTERNAL_RUN_REQUEST_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "weir/gateway/internal/json.h"
#include "weir/gateway/internal/served_graphs.h"
#include "weir/runtime/run.h"
#include "weir/runtime/run_info.h"

namespace weir {
inline namespace v0 {
namespace internal {

// What a client asks for when it creates a run.
struct RunRequest {
  ServedGraphs::Ptr graph;
  Input input = Input::Continue();
  StartOptions options{};
  uint32_t wire_modes = 0;
  std::string webhook{};
  // What the run shows of it.
  Json kwargs{};
};

// Reads the body of a request that creates a run. NotFound for an unknown
// assistant; InvalidArgument for what is wrong in it, by the field's name.
// Fields that are not weir's are passed over.
absl::StatusOr<RunRequest> ParseRunRequest(const Json& body,
                                           const ServedGraphs& graphs);

// The modes on the wire that a run was created with.
uint32_t WireModesOf(const RunInfo& run);

// The fields of an object, each of its type or InvalidArgument: absent or null
// is the default.
absl::StatusOr<std::string> TextField(const Json& body, const char* name,
                                      std::string absent = "");
absl::StatusOr<bool> BoolField(const Json& body, const char* name,
                               bool absent = false);
absl::StatusOr<int64_t> IntField(const Json& body, const char* name,
                                 int64_t absent, int64_t least, int64_t most);
// One text or a list of them.
absl::StatusOr<std::vector<std::string>> TextsField(const Json& body,
                                                    const char* name);
// An object; a null one if absent.
absl::StatusOr<Json> ObjectField(const Json& body, const char* name);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_GATEWAY_INTERNAL_RUN_REQUEST_H_
