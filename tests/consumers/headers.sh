#!/usr/bin/env bash
# Compiles the public headers of an installed weir, every warning an error: all in one by g++ and by clang++, as C++20 and
# as C++23, with and without RTTI; and each alone by g++, as C++23 without RTTI. (The preset `tidy` does that by clang++.)
# With --all also each alone in all of these ways, which takes eight times as long.
#
#   tests/consumers/headers.sh [--all] [PREFIX]
set -euo pipefail
ways=("g++ -std=c++2b -fno-rtti")
all_ways=({g++,clang++}" -std=c++2"{0,b}{," -fno-rtti"})
if [[ ${1-} == --all ]]; then
  ways=("${all_ways[@]}")
  shift
fi
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../../build/consumers/static}/include"

# compile <way> <header>...
compile() {
  # shellcheck disable=SC2086
  printf '#include "%s"\n' "${@:2}" |
    $1 -x c++ -I . -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror - ||
    { echo "FAILED  $1: ${*:2}"; exit 255; }  # With 255 xargs stops.
}
export -f compile

mapfile -t headers < <(find weir -name '*.h' -not -path '*/internal/*' | sort)
{
  for way in "${all_ways[@]}"; do printf '%s\0' "compile '$way' ${headers[*]}"; done
  for way in "${ways[@]}"; do printf "compile '$way' %s\0" "${headers[@]}"; done
} | xargs -0 -n 1 -P "$(nproc)" bash -c
echo "${#headers[@]} public headers compile"
