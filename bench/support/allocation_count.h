#ifndef WEIR_BENCH_SUPPORT_ALLOCATION_COUNT_H_
#define WEIR_BENCH_SUPPORT_ALLOCATION_COUNT_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace weir {

// How often `work` and whatever else runs meanwhile call operator new, on any
// worker. Memory that a library gets in another way (oneTBB's pools) is not
// seen.
int64_t CountAllocations(absl::FunctionRef<void()> work);

}  // namespace weir

#endif  // WEIR_BENCH_SUPPORT_ALLOCATION_COUNT_H_
