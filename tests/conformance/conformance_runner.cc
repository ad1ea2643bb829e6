// conformance_runner [--store STORE] CASE.json: carries out a conformance case
// with weir's public API and JSON state, and prints the results as one JSON
// array. README.md has the format of cases and results; compare.py compares
// them with the recorded ones. What the case saves is kept in memory, in memory
// as bytes (STORE is `bytes`), or in a file (`sqlite`).

#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "tests/checkpoint/temp_folder.h"
#include "tests/conformance/json_values.h"
#include "tests/conformance/script.h"

#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/checkpoint/sqlite_checkpointer.h"

namespace {

// In a folder that is gone with it.
class FileStore {
 public:
  FileStore() {
    auto opened = weir::SqliteCheckpointer::Open(folder_.File("case.db"));
    if (!opened.ok()) throw std::runtime_error(opened.status().ToString());
    store_ = *std::move(opened);
  }
  weir::Checkpointer* get() { return store_.get(); }

 private:
  weir::TempFolder folder_;
  std::unique_ptr<weir::Checkpointer> store_;
};

weir::conformance::json RunCase(const weir::conformance::Spec& a_case,
                                std::string_view store) {
  if (store == "sqlite") {
    FileStore file;
    return weir::conformance::RunCase(a_case, file.get());
  }
  weir::MemoryCheckpointer memory({.as_bytes = store == "bytes"});
  return weir::conformance::RunCase(a_case, &memory);
}

}  // namespace

int main(int argc, char** argv) {
  const bool named = argc == 4 && std::string_view(argv[1]) == "--store";
  if (argc != 2 && !named) {
    std::cerr << "usage: conformance_runner [--store STORE] CASE.json\n";
    return 2;
  }
  const char* const name = argv[argc - 1];
  try {
    std::ifstream file(name);
    const auto a_case = weir::conformance::Spec::parse(file);
    std::cout << RunCase(a_case, named ? argv[2] : "memory").dump() << '\n';
  } catch (const std::exception& e) {
    std::cerr << name << ": " << e.what() << '\n';
    return 1;
  }
}
