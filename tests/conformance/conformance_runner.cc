// conformance_runner CASE.json: carries out a conformance case with weir's
// public API and JSON state, and prints the results as one JSON array.
// README.md has the format of cases and results; compare.py compares them with
// the recorded ones.

#include <exception>
#include <fstream>
#include <iostream>

#include "tests/conformance/json_values.h"
#include "tests/conformance/script.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: conformance_runner CASE.json\n";
    return 2;
  }
  try {
    std::ifstream file(argv[1]);
    const auto a_case = weir::conformance::Spec::parse(file);
    std::cout << weir::conformance::RunCase(a_case).dump() << '\n';
  } catch (const std::exception& e) {
    std::cerr << argv[1] << ": " << e.what() << '\n';
    return 1;
  }
}
