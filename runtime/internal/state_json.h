#ifndef WEIR_RUNTIME_INTERNAL_STATE_JSON_H_
#define WEIR_RUNTIME_INTERNAL_STATE_JSON_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "weir/channels/internal/json_text.h"
#include "weir/channels/values.h"
#include "weir/runtime/state.h"

// JSON text of what events and snapshots have in common.
namespace weir {
inline namespace v0 {
namespace internal {

// Writes one JSON object, field by field.
class JsonObject {
 public:
  explicit JsonObject(std::string* out) : out_(out) { out_->push_back('{'); }
  ~JsonObject() { out_->push_back('}'); }

  std::string* Field(std::string_view name) {
    if (!std::exchange(first_, false)) out_->append(", ");
    AppendJsonString(name, out_);
    out_->append(": ");
    return out_;
  }
  void Text(std::string_view name, std::string_view value) {
    AppendJsonString(value, Field(name));
  }
  void Number(std::string_view name, int64_t value) {
    absl::StrAppend(Field(name), value);
  }

 private:
  std::string* const out_;
  bool first_ = true;
};

// Whether a channel was written more than once.
bool AnyTwice(const Values& writes);

// A record; a channel that was written twice has {"$writes": [...]}.
void AppendResult(const Values& writes, std::string* out);

// {"error": <kind, else code>, "message": ...}, and "node" if one is at fault.
void AppendError(const absl::Status& error, std::string* out);

// "values", "updates", ...; a bit that is no mode by its number.
std::vector<std::string> StreamModeNames(uint32_t modes);

// 2026-01-31T12:00:00.000Z
std::string TimeText(absl::Time time);

// [{"id": ..., "value": ...}, ...]
void AppendInterrupts(const std::vector<Interrupt>& interrupts,
                      std::string* out);

}  // namespace internal
}  // namespace v0
}  // namespace weir

#endif  // WEIR_RUNTIME_INTERNAL_STATE_JSON_H_
