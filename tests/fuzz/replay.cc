// Runs a target without libFuzzer.
//
//   <target>_corpus FOLDER           each file of a folder, and each seed, once
//   <target>_corpus --seeds FOLDER   writes the seeds to a folder

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fuzz/fuzz.h"

namespace {

void Run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()),
                         input.size());
}

int WriteSeeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  int count = 0;
  for (const std::string& seed : weir::Seeds()) {
    std::ofstream(folder / ("seed" + std::to_string(count++)), std::ios::binary)
        << seed;
  }
  return count == 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--seeds") {
    return WriteSeeds(argv[2]);
  }
  if (argc != 2) return 2;
  int count = 0;
  for (const std::string& seed : weir::Seeds()) Run(seed);
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream file(entry.path(), std::ios::binary);
    Run({std::istreambuf_iterator<char>(file), {}});
    ++count;
  }
  std::printf("%d files\n", count);
  return count == 0 ? 1 : 0;
}
