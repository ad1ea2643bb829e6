// The suite for whoever writes a store, on one of weir's own.

#include <memory>

#include "gtest/gtest.h"

#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/testing/checkpointer_conformance.h"

namespace weir {

INSTANTIATE_TEST_SUITE_P(MemoryCheckpointer, CheckpointerConformanceTest,
                         testing::Values(CheckpointerCase{
                             "MemoryCheckpointer", [] {
                               return std::make_unique<MemoryCheckpointer>();
                             }}));

}  // namespace weir
