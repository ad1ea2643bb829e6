#!/usr/bin/env bash
# Installs the Debian packages that weir needs and that are missing; says nothing when none is.
#
#   cmake/install_deps.sh [--build-only | --tests-only]
#
# --build-only: the library and the examples. --tests-only: also tests and benchmarks. Otherwise also what `.ci/run`
# needs beyond that: clang, Doxygen and the source packages' tools.
set -euo pipefail

build=(g++ cmake ninja-build libabsl-dev libtbb-dev libsqlite3-dev libzstd-dev libxxhash-dev)
tests=(ccache libgtest-dev libgmock-dev libbenchmark-dev libprotobuf-dev protobuf-compiler
       nlohmann-json3-dev python3 spin libboost-dev libconcurrentqueue-dev faketime)
checks=(clang libclang-rt-dev clang-format clang-tidy valgrind doxygen dpkg-dev git make pkg-config xz-utils curl chromium)

case "${1:-}" in
  --build-only) wanted=("${build[@]}") ;;
  --tests-only) wanted=("${build[@]}" "${tests[@]}") ;;
  "") wanted=("${build[@]}" "${tests[@]}" "${checks[@]}") ;;
  *) sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2 ;;
esac

if ! command -v apt-get > /dev/null; then
  echo "$0: not a Debian system, nothing installed; needed: ${wanted[*]}" >&2
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  command -v sudo > /dev/null || { echo "$0: run as root, or install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi

# Shown only when it fails: apt's progress is long.
quietly() {
  local log
  log=$(mktemp)
  "$@" > "$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; return 1; }
  rm -f "$log"
}

echo "installing ${missing[*]}" >&2
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=600)
quietly "${apt[@]}" update
quietly "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
