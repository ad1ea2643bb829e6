// conformance_runner [--as-bytes] CASE.json: carries out a conformance case
// with weir's public API and JSON state, and prints the results as one JSON
// array. README.md has the format of cases and results; compare.py compares
// them with the recorded ones. With --as-bytes, what the case saves is stored
// as bytes.

#include <exception>
#include <fstream>
#include <iostream>
#include <string_view>

#include "tests/conformance/json_values.h"
#include "tests/conformance/script.h"

int main(int argc, char** argv) {
  const bool as_bytes = argc == 3 && std::string_view(argv[1]) == "--as-bytes";
  if (argc != 2 && !as_bytes) {
    std::cerr << "usage: conformance_runner [--as-bytes] CASE.json\n";
    return 2;
  }
  const char* const name = argv[argc - 1];
  try {
    std::ifstream file(name);
    const auto a_case = weir::conformance::Spec::parse(file);
    const auto results =
        weir::conformance::RunCase(a_case, {.as_bytes = as_bytes});
    std::cout << results.dump() << '\n';
  } catch (const std::exception& e) {
    std::cerr << name << ": " << e.what() << '\n';
    return 1;
  }
}
