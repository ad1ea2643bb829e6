#ifndef WEIR_EXAMPLES_WEIR_CLI_ARGUMENTS_H_
#define WEIR_EXAMPLES_WEIR_CLI_ARGUMENTS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace weir_cli {

// What a command is given: words in their order, and options anywhere.
struct Arguments {
  std::vector<std::string> words;
  bool json = false;
  std::optional<std::string> ns;
  std::optional<std::string> checkpoint;
  std::optional<std::string> from;
};

// InvalidArgument, saying what is wrong. What follows `--` is words.
absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& given);

}  // namespace weir_cli

#endif  // WEIR_EXAMPLES_WEIR_CLI_ARGUMENTS_H_
