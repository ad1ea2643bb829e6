#include "weir/channels/internal/id_index.h"

#include <cstddef>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace weir::internal {
namespace {

TEST(IdIndexTest, AnswersAsAMapDoes) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::vector<std::pair<IdIndex, std::map<std::string, size_t>>> versions(1);
  for (size_t i = 0; i < 5000; ++i) {
    auto& [index, map] = versions.back();
    const std::string id = std::to_string(random() % 1000);
    index.Set(id, i);
    map[id] = i;
    if (i % 500 == 0) versions.push_back(versions.back());
  }
  for (const auto& [index, map] : versions) {
    for (int n = 0; n < 1100; ++n) {
      const std::string id = std::to_string(n);
      const auto at = map.find(id);
      EXPECT_EQ(index.Find(id), at == map.end()
                                    ? std::nullopt
                                    : std::optional<size_t>(at->second));
    }
  }
}

}  // namespace
}  // namespace weir::internal
