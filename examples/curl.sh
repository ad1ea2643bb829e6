#!/usr/bin/env bash
# Talks to a gateway with curl alone: creates a thread, streams a run, and joins the stream of a run in the background:
# examples/curl.sh PROGRAM
#
# PROGRAM is weir-gateway; it is started at a port that is free, and ended. This prints
#
#   thread 01a204aa-1f0e-7d2c-9b1e-6f0a3f3a5c11
#
#   event: metadata
#   data: {"run_id": "01a204aa-1f19-7a40-8c53-52d7f1c0b9e2", "attempt": 1}
#   id: 0
#
#   event: updates
#   data: {"refine_topic": {"topic": "ice cream and cats"}}
#   id: 1
#
#   event: updates
#   data: {"generate_joke": {"joke": "This is a joke about ice cream and cats"}}
#   id: 2
#
#   run 01a204aa-1f2b-7c11-a3b5-0d0f5b1f6d47
#
#   event: metadata
#   data: {"run_id": "01a204aa-1f2b-7c11-a3b5-0d0f5b1f6d47", "attempt": 1}
#   id: 0
#
#   event: custom
#   data: {"tick": 0}
#   id: 1
#
#   event: custom
#   data: {"tick": 1}
#   id: 2
set -euo pipefail
program=${1:-build/release/gateway/program/weir-gateway}

exec {said}< <(exec "$program" --port 0)
gateway=$!
trap 'kill "$gateway"' EXIT
read -r -u "$said" line || { echo "$program ended before it listened" >&2; exit 1; }
url=${line#listening at }

call() {
  curl --silent --show-error --fail-with-body --no-buffer "$@"
}
# The text field of this name in the JSON that comes.
field() {
  sed -E "s/.*\"$1\": *\"([^\"]*)\".*/\1/"
}

# Create a thread.
thread=$(call --request POST \
  --url "$url/threads" \
  --header 'Content-Type: application/json' \
  --data '{}' | field thread_id)
echo "thread $thread"
echo

# Stream a run.
call --request POST \
  --url "$url/threads/$thread/runs/stream" \
  --header 'Content-Type: application/json' \
  --data '{
    "assistant_id": "joke",
    "input": {"topic": "ice cream"},
    "stream_mode": "updates"
  }'

# A run in the background; whoever joins it may have all of its events, as it is resumable.
run=$(call --request POST \
  --url "$url/threads/$thread/runs" \
  --header 'Content-Type: application/json' \
  --data '{
    "assistant_id": "slow",
    "input": {"n": 2, "ms": 50},
    "stream_mode": "custom",
    "stream_resumable": true
  }' | field run_id)
echo "run $run"
echo

# Join its stream, from before its first event. Without an id, one gets what comes from now on.
call --request GET \
  --url "$url/threads/$thread/runs/$run/stream" \
  --header 'Last-Event-ID: -1'
