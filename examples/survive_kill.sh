#!/usr/bin/env bash
# Kills the example `survive_kill` twice in the middle of its run, and compares with a run that was left alone:
# examples/survive_kill.sh PROGRAM
set -euo pipefail
program=${1:-build/release/examples/survive_kill}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/quiet" "$folder/killed"

"$program" "$folder/quiet" > "$folder/quiet/state"

# Starts the program, and kills it once its reader has noted so many events more.
kill_after() {
  local until=$(( $(wc -l < "$folder/killed/events") + $1 ))
  "$program" "$folder/killed" > /dev/null &
  local pid=$!
  until (( $(wc -l < "$folder/killed/events") >= until )); do
    kill -0 "$pid" || { echo "the program ended before it was killed" >&2; exit 1; }
    sleep 0.005
  done
  kill -9 "$pid"
  wait "$pid" 2> /dev/null || (( $? == 137 ))
  echo "killed after $(wc -l < "$folder/killed/events") events"
}
touch "$folder/killed/events"
kill_after 10
kill_after 10
"$program" "$folder/killed" > "$folder/killed/state"

awk '$1 != NR - 1 { print "event " $1 " in place of " NR - 1; exit 1 }' "$folder/killed/events"
cmp "$folder/quiet/state" "$folder/killed/state"
grep '"attempt": 3' "$folder/killed/events"
echo "events 0 to $(( $(wc -l < "$folder/killed/events") - 1 )) without gap or duplicate, and the same state:"
cat "$folder/killed/state"
