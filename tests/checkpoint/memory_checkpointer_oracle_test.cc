// MemoryCheckpointer against the oracle; the values it holds are those alive.

#include <cstdint>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "tests/checkpoint/checkpointer_oracle.h"

#include "weir/checkpoint/memory_checkpointer.h"

namespace weir {
namespace {

class Memory final : public OracleSubject {
 public:
  Checkpointer& store() override { return store_; }
  std::set<std::string> Stored(std::set<std::string> alive) override {
    return alive;
  }

 private:
  MemoryCheckpointer store_;
};

class MemoryCheckpointerOracleTest : public testing::TestWithParam<uint64_t> {};

TEST_P(MemoryCheckpointerOracleTest, AnswersAsAStoreThatKeepsAllWhole) {
  Memory memory;
  OraclePlayer(GetParam(), memory).Play(20000);
}

INSTANTIATE_TEST_SUITE_P(Seeds, MemoryCheckpointerOracleTest,
                         testing::Range<uint64_t>(1, 5));

}  // namespace
}  // namespace weir
