#ifndef WEIR_EXAMPLES_WEIR_CLI_COMMANDS_H_
#define WEIR_EXAMPLES_WEIR_CLI_COMMANDS_H_

#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "arguments.h"

namespace weir_cli {

// What a command has found: its output, and how the process is to end.
struct Outcome {
  std::string text;
  int exit_code = 0;
};

struct Command {
  const char* name = "";
  // Words after the file, as the usage shows them, and how many they are with
  // it.
  const char* words = "";
  size_t count = 1;
  bool takes_ns = false;
  bool takes_checkpoint = false;
  bool takes_from = false;
  const char* says = "";
  absl::StatusOr<Outcome> (*run)(const Arguments& arguments) = nullptr;
};

std::span<const Command> Commands();

}  // namespace weir_cli

#endif  // WEIR_EXAMPLES_WEIR_CLI_COMMANDS_H_
