#!/usr/bin/env bash
# Makes the pictures of this folder: the graph of examples/map_reduce.cc with what a run did in it, and that run on a
# time line (map_reduce.json, for ui.perfetto.dev). Needs a release build and Graphviz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

../../build/release/examples/map_reduce . > /dev/null
dot -Tsvg -Nfontname=sans-serif map_reduce.dot > map_reduce.svg
