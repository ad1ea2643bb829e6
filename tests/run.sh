#!/usr/bin/env bash
# Installs what is missing, builds the release preset and runs every test.
#
#   tests/run.sh [ctest option]...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cmake/install_deps.sh --tests-only
cmake --preset release
cmake --build --preset release
ctest --preset release -j "$(nproc)" "$@"
