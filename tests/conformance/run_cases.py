#!/usr/bin/env python3
"""Runs those conformance cases that weir can do so far, by compare.py.

    run_cases.py --runner PATH [--jobs 2] [--list]
    run_cases.py --runner PATH --all

Without --all: the cases that need no checkpointer, that is those whose graph has
no interrupts, whose script neither looks at nor changes saved states nor goes on
from one, and that run once on each thread. Other options go to compare.py. Exit
status: compare.py's.
"""

import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def has_interrupts(spec):
    """Whether something in a part of a case stops or asks."""
    if isinstance(spec, list):
        return any(map(has_interrupts, spec))
    if not isinstance(spec, dict):
        return False
    return (any(spec.get(k) for k in ("interrupt_before", "interrupt_after")) or "interrupt" in spec
            or any(map(has_interrupts, spec.values())))


def is_run(op):
    return op["op"] in ("stream", "invoke")


def needs_no_checkpoint(op):
    command = op.get("command") or {}
    return (op["op"] in ("compile", "counters") or is_run(op)) and not (
        any(k in op for k in ("from", "durability", "interrupt_before", "interrupt_after"))
        or any(k in command for k in ("resume", "resume_each")))


def needs_no_checkpointer(case):
    threads = [op.get("thread") for op in case["script"] if is_run(op)]
    return (not has_interrupts(case["graph"]) and all(map(needs_no_checkpoint, case["script"]))
            and (not case["checkpointer"] or len(threads) == len(set(threads))))


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--all", action="store_true", help="every case")
    ap.add_argument("--list", action="store_true", help="only print the cases' files")
    args, rest = ap.parse_known_args()
    paths = sorted(os.path.join(root, f) for root, _, files in os.walk(os.path.join(HERE, "cases")) for f in files)
    if not args.all:
        paths = [p for p in paths if needs_no_checkpointer(load(p))]
    if args.list:
        print("\n".join(paths))
        return 0
    return subprocess.call([sys.executable, os.path.join(HERE, "compare.py"), *rest, *paths])


if __name__ == "__main__":
    sys.exit(main())
