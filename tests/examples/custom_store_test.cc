#include <memory>

#include "examples/table_checkpointer.h"
#include "gtest/gtest.h"
#include "tests/checkpoint/checkpointer_conformance.h"

// The suite that every store passes, for the one of custom_store.cc.
namespace weir {

INSTANTIATE_TEST_SUITE_P(
    Stores, CheckpointerConformanceTest,
    testing::Values(CheckpointerCase{
        "Table",
        [] { return std::make_unique<example::TableCheckpointer>(); }}),
    [](const auto& store) { return store.param.name; });

}  // namespace weir
