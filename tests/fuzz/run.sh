#!/usr/bin/env bash
# Builds the targets of libFuzzer and runs each for a time, two at once, on its corpus and its seeds; ends at the first
# finding, whose input stays in the build folder.
#
#   tests/fuzz/run.sh [seconds per target, 60 if absent] [target]...
#
# With MERGE=1 what was found anew goes into tests/fuzz/corpus, cut down to what reaches other code and to 50 files and
# 100 KB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-60}
shift || true
targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then
  for source in tests/fuzz/*_fuzzer.cc; do
    targets+=("$(basename "$source" _fuzzer.cc)")
  done
fi

cmake --preset asan > /dev/null
cmake --build --preset asan -j "$(nproc)" --target "${targets[@]/#/fuzz_}" $(printf 'fuzz_%s_corpus ' "${targets[@]}")

run() {
  local name=$1 at=build/asan/tests/fuzz
  mkdir -p "$at/found/$name"
  "$at/fuzz_${name}_corpus" --seeds "$at/seeds/$name"
  # Less memory for what was freed, so that the limit is of what is in use.
  ASAN_OPTIONS=quarantine_size_mb=32 "$at/fuzz_$name" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=512 \
    -timeout=1 -print_final_stats=1 -artifact_prefix="$at/$name-" "$at/found/$name" \
    "tests/fuzz/corpus/$name" "$at/seeds/$name" > "$at/$name.log" 2>&1 ||
    { tail -n 40 "$at/$name.log"; return 255; }
  grep -E "number_of_executed_units|peak_rss|slowest_unit" "$at/$name.log" | sed "s/^/$name /"
}
merge() {
  local name=$1 at=build/asan/tests/fuzz merged=build/asan/tests/fuzz/merged/$1 bytes=0
  rm -rf "$merged" && mkdir -p "$merged"
  "$at/fuzz_$name" -merge=1 -rss_limit_mb=512 "$merged" "tests/fuzz/corpus/$name" "$at/seeds/$name" \
    "$at/found/$name" > /dev/null 2>&1
  # From the smallest to the largest, as many of each size.
  mapfile -t sorted < <(find "$merged" -type f -size -16k -printf '%s %p\n' | sort -n)
  rm -f "tests/fuzz/corpus/$name"/*
  local step=$(((${#sorted[@]} + 49) / 50)) i size file
  for ((i = 0; i < ${#sorted[@]}; i += step)); do
    read -r size file <<< "${sorted[$i]}"
    bytes=$((bytes + size))
    [[ $bytes -gt 100000 ]] && break
    cp "$file" "tests/fuzz/corpus/$name/"
  done
}
for name in "${targets[@]}"; do mkdir -p "tests/fuzz/corpus/$name"; done
export seconds
export -f run
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -c 'set -euo pipefail; run {}'
if [[ ${MERGE:-0} == 1 ]]; then
  for name in "${targets[@]}"; do merge "$name"; done
fi
