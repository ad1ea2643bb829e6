#ifndef WEIR_EXAMPLES_WEIR_CLI_SHOWN_H_
#define WEIR_EXAMPLES_WEIR_CLI_SHOWN_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "json.h"

#include "weir/checkpoint/checkpoint.h"

// How the command shows what a store has: names and values are any bytes.
namespace weir_cli {

bool IsUtf8(std::string_view bytes);
// The text that a value is: all of it, or what follows its size, as weir's
// codec of strings writes it. Absent if it is neither, or not to be printed.
std::optional<std::string_view> TextIn(std::string_view bytes);

// A name on one line: what cannot be printed is \xNN.
std::string ShownName(std::string_view name);
std::string ShownNs(std::string_view ns);  // "" says which that is.
std::string ShownTime(absl::Time time);
// The size of a value, and its text or the first bytes of it.
std::string ShownValue(const weir::SavedChannel& channel);
std::string ShownValue(const weir::SavedValue& value);

// {"bytes": 5, "text": "hello"} or {"bytes": 4096, "hex": "..."}, of the first
// bytes; null for an absent value.
Json JsonOfValue(const weir::SavedValue& value);
Json JsonOfId(const weir::CheckpointId& id);  // Null for none.

// Whether a channel is the engine's own, not one of the user's graph.
bool IsWeirsOwn(std::string_view channel);

}  // namespace weir_cli

#endif  // WEIR_EXAMPLES_WEIR_CLI_SHOWN_H_
