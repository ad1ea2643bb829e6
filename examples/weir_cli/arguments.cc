#include "arguments.h"

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

namespace weir_cli {
namespace {

// Where the value of an option goes; null for what takes none.
std::optional<std::string>* ValueOf(const std::string& option,
                                    Arguments& arguments) {
  if (option == "--ns") return &arguments.ns;
  if (option == "--checkpoint") return &arguments.checkpoint;
  return option == "--from" ? &arguments.from : nullptr;
}

}  // namespace

absl::StatusOr<Arguments> ParseArguments(
    const std::vector<std::string>& given) {
  Arguments arguments;
  bool only_words = false;
  for (size_t i = 0; i < given.size(); ++i) {
    const std::string& word = given[i];
    if (only_words || !absl::StartsWith(word, "-") || word == "-") {
      arguments.words.push_back(word);
    } else if (word == "--") {
      only_words = true;
    } else if (word == "--json") {
      arguments.json = true;
    } else if (std::optional<std::string>* value = ValueOf(word, arguments)) {
      if (++i == given.size()) {
        return absl::InvalidArgumentError(
            absl::StrFormat("%s needs a value after it", word));
      }
      *value = given[i];
    } else {
      return absl::InvalidArgumentError(absl::StrFormat(
          "unknown option '%s'; put -- before a name that begins so", word));
    }
  }
  return arguments;
}

}  // namespace weir_cli
