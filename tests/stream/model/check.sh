#!/usr/bin/env bash
# Looks at all that a model may do.
#
#   check.sh [--cycles] MODEL EXPECTED [NAME[=VALUE]...]
#
# EXPECTED is `holds`, or part of what Spin says it finds: "assertion violated", "invalid end state". The names are
# defined, and make the model smaller, or plant a bug in it. --cycles looks for executions that go round without end
# instead ("non-progress cycle"): the models have no progress labels, since all that they do is finite.
set -euo pipefail
models=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

options=(-O2 -DCOLLAPSE -DMEMLIM=4000)
search=(-m200000)
if [[ "$1" == --cycles ]]; then
  options+=(-DNP)
  search+=(-l)
  shift
else
  options+=(-DSAFETY)
fi
model=$1 expected=$2
defines=("${@:3}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$models"/*.pml "$work"
cd "$work"
spin -a "${defines[@]/#/-D}" "$model.pml"
cc "${options[@]}" -w -o pan pan.c
./pan "${search[@]}" | tee found
if [[ "$expected" == holds ]]; then
  # Not so if the search was cut short.
  grep -q 'errors: 0$' found && ! grep -qiE 'too small|not completed' found
else
  grep -q "^pan:1: $expected" found
fi
