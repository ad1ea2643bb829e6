#!/usr/bin/env python3
"""Fails if a row of bench/instructions.cc takes more instructions than it did, or fewer, by more than 5 %.

    bench/check_instructions.py PROGRAM [--update]

Counts by valgrind's callgrind: of so many times less those of half as many, so that what a process does once does not
count. The counts are in bench/instructions.json, for g++ 12 and Debian 12's libraries; --update writes them. Also checks
that a row which has become slower would be found.
"""

import json
import pathlib
import re
import subprocess
import sys

# What one of each row is.
WORK = {
    "seq3": "a run of three nodes in a line",
    "loop": "a superstep of a loop that nobody can watch",
    "saved_loop": "a superstep of a loop that is saved in memory, and its part of dropping what is saved",
    "unwatched_loop": "a superstep of a loop that nobody watches",
    "watched_loop": "a superstep of a loop with a reader of its updates, and reading them",
    "par5": "a run of five parallel nodes and a join",
    "publish": "an event that is published and read",
}
TIMES = {row: 2000 if row in ("seq3", "par5") else 10000 for row in WORK} | {"publish": 100000}
KEPT = pathlib.Path(__file__).parent / "instructions.json"
BAND = 0.05


def total(program, row, times, *more):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, row, str(times), *more]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return int(re.search(r"Collected : (\d+)", printed)[1])


def each(program, row, *more):
    times = TIMES[row]
    return (total(program, row, times, *more) - total(program, row, times // 2, *more)) / (times - times // 2)


def differs(count, kept):
    return abs(count / kept - 1) > BAND


def main():
    program = sys.argv[1]
    counts = {row: each(program, row) for row in TIMES}
    if "--update" in sys.argv:
        KEPT.write_text(json.dumps({row: round(count, 1) for row, count in counts.items()}, indent=2) + "\n")
    kept = json.loads(KEPT.read_text())
    for row, count in counts.items():
        print(f"{row:12} {count:10.1f} instructions, kept {kept[row]:10.1f}, {100 * (count / kept[row] - 1):+.1f} %")
    slow = each(program, "loop", "slow")
    print(f"loop, slowed {slow:10.1f} instructions, {100 * (slow / kept['loop'] - 1):+.1f} %")
    if not differs(slow, kept["loop"]):
        sys.exit("a loop that does more was not found")
    changed = [row for row in counts if differs(counts[row], kept[row])]
    if changed:
        sys.exit(f"{', '.join(changed)}: more than {BAND:.0%} from {KEPT.name}; if that is wanted, run with --update")


if __name__ == "__main__":
    main()
