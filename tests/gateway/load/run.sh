#!/usr/bin/env bash
# Measures a gateway under load, and the Agent Server of LangGraph.js beside it, on this machine:
#
#   tests/gateway/load/run.sh [PROGRAM [FOLDER]]
#
# PROGRAM is weir-gateway, by default of the release build. FOLDER, by default build/load, gets the Agent Server, by
# npm, and the results: readers.json, readers_few.json, readers_few_js.json and rates.json, and results.md of them all.
# It takes five minutes. Both servers and their clients share the machine's cores, so nothing else should need them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
program=${1:-build/release/gateway/program/weir-gateway}
folder=${2:-build/load}
here=tests/gateway/load

mkdir -p "$folder/js"
cp "$here"/js/{.npmrc,*} "$folder/js/"
# Not `npm ci`, which wants packages of other systems, too.
[[ -e "$folder/js/node_modules/.package-lock.json" ]] ||
  (cd "$folder/js" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error)
server=$folder/js/server.js

few=(--readers=200 --runs=20 --seconds=15)
{
  echo "Readers of live runs, weir-gateway:"
  echo
  node "$here/readers.js" --out="$folder/readers.json" "$program"
  echo
  echo "Fewer of them, weir-gateway:"
  echo
  node "$here/readers.js" "${few[@]}" --out="$folder/readers_few.json" "$program"
  echo
  echo "As many, the JavaScript Agent Server:"
  echo
  node "$here/readers.js" "${few[@]}" --out="$folder/readers_few_js.json" "$server"
  echo
  echo "Rates:"
  echo
  node "$here/rates.js" --out="$folder/rates.json" "$program" "$server"
} | tee "$folder/results.md"
