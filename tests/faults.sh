#!/usr/bin/env bash
# The fault matrix of docs/reliability.md in its full form, which takes more than an hour on two cores:
# tests/faults.sh [<seconds for each fuzz target>]. Ends at the first failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}

cmake --preset release
cmake --build --preset release
run() {
  echo "=== $*"
  env "$@"
}
tests=build/release/tests

# The tests under clang++ without sanitizers, whose warnings are errors, and a deep look at everything.
cmake --preset tidy -B build/tidy-deep -DWEIR_BUILD_TESTS=ON -DBUILD_SHARED_LIBS=OFF -DCMAKE_UNITY_BUILD=OFF
cmake --build build/tidy-deep
find channels checkpoint stream runtime gateway examples -name '*.cc' -print0 |
  xargs -0 -r -n 1 -P "$(nproc)" clang-tidy -p build/tidy-deep --quiet

# Each cut, allocation and removal.
for test in power_cut memory_fault removal; do
  run WEIR_FAULTS_FULL=1 "$tests/checkpoint/sqlite_${test}_test"
done
# The store against a model, opened anew among a million calls.
run WEIR_ORACLE_CALLS=500000 "$tests/checkpoint/sqlite_checkpointer_oracle_test"
# Tasks that end together, and readers that sleep.
run WEIR_ROUNDS=10000 WEIR_EVENTS=1000000 "$tests/runtime/durable_stress_test"
# Clocks that are set.
run "$tests/runtime/clock_test"
# Processes that are killed.
run WEIR_KILLS=20000 "$tests/runtime/kill_test"
# Graphs that are disturbed in each way.
run WEIR_RANDOM_RESUMES=100000 "$tests/runtime/random_resumes_test"
# Hostile bytes.
tests/fuzz/run.sh "$seconds"
