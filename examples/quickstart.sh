#!/usr/bin/env bash
# Builds the example `joke`, with what it needs, and runs it: examples/quickstart.sh "ice cream"
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_dir=$source_dir/build/release

"$source_dir/cmake/install_deps.sh" --build-only

# Without tests a machine that only tries weir needs no test libraries. An existing build keeps its options.
build() {
  if [[ ! -f "$build_dir/build.ninja" ]]; then
    cmake -S "$source_dir" --preset release -DWEIR_BUILD_TESTS=OFF -DWEIR_BUILD_BENCH=OFF -DWEIR_GATEWAY=OFF \
      -DWEIR_WERROR=OFF || return
  fi
  cmake --build "$build_dir" --target joke
}
echo "building weir in ${build_dir#"$PWD"/}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
build > "$log" 2>&1 || { cat "$log" >&2; exit 1; }

"$build_dir/examples/joke" "$@"
