// weir: looks into database files of weir::SqliteCheckpointer, checks them, and
// saves what is whole of a damaged one.

#include <cstdio>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "arguments.h"
#include "commands.h"

#include "weir/version.h"

namespace weir_cli {
namespace {

constexpr int kWrongUsage = 2;

std::string Usage() {
  std::string usage = "usage: weir COMMAND FILE ... [--json]\n\n";
  for (const Command& command : Commands()) {
    std::string words =
        absl::StrFormat("%s FILE%s", command.name, command.words);
    if (command.takes_checkpoint) words += " [--checkpoint ID]";
    if (command.takes_ns) words += " [--ns NAMESPACE]";
    if (command.takes_from) words += " [--from EVENT]";
    usage += absl::StrFormat("  %s\n      %s\n", words, command.says);
  }
  return usage +
         "\nAn ID is a checkpoint's, or as much of its beginning as no other "
         "has.\nOnly salvage writes: to its new file. Files may be in use by "
         "another process.\nExit codes: 0, 1 for damage or what is not found, "
         "2 for wrong usage.\n";
}

int Wrong(const std::string& why) {
  std::cerr << "weir: " << why << "\n\n" << Usage();
  return kWrongUsage;
}

int RunCommand(const Command& command, const Arguments& arguments) {
  if (arguments.words.size() != command.count + 1) {
    return Wrong(
        absl::StrFormat("%s needs FILE%s", command.name, command.words));
  }
  const std::pair<bool, const char*> wrong[] = {
      {arguments.ns && !command.takes_ns, "--ns"},
      {arguments.checkpoint && !command.takes_checkpoint, "--checkpoint"},
      {arguments.from && !command.takes_from, "--from"}};
  for (const auto& [is_wrong, option] : wrong) {
    if (!is_wrong) continue;
    return Wrong(absl::StrFormat("%s takes no %s", command.name, option));
  }
  const absl::StatusOr<Outcome> outcome = command.run(arguments);
  if (!outcome.ok()) {
    std::cerr << "weir: " << outcome.status().message() << "\n";
    return outcome.status().code() == absl::StatusCode::kInvalidArgument
               ? kWrongUsage
               : 1;
  }
  std::cout << outcome->text << std::flush;
  return std::cout.good() ? outcome->exit_code : 1;
}

int Main(const std::vector<std::string>& given) {
  if (!given.empty() && (given[0] == "--help" || given[0] == "help")) {
    std::cout << Usage();
    return 0;
  }
  if (!given.empty() && given[0] == "--version") {
    std::cout << "weir " << weir::kVersion << "\n";
    return 0;
  }
  const absl::StatusOr<Arguments> arguments = ParseArguments(given);
  if (!arguments.ok()) return Wrong(std::string(arguments.status().message()));
  if (arguments->words.empty()) return Wrong("no command is given");
  for (const Command& command : Commands()) {
    if (arguments->words[0] == command.name) {
      return RunCommand(command, *arguments);
    }
  }
  return Wrong(absl::StrFormat("unknown command '%s'", arguments->words[0]));
}

}  // namespace
}  // namespace weir_cli

int main(int argc, char** argv) {
  return weir_cli::Main(std::vector<std::string>(argv + 1, argv + argc));
}
