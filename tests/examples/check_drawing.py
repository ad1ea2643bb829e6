#!/usr/bin/env python3
"""Checks what `map_reduce FOLDER` writes: a drawing as the one in the documentation, but for its times, and a time line
in the Trace Event Format, as trace viewers want it.

    check_drawing.py PROGRAM DOCUMENTED_FOLDER
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

TIME = re.compile(r"[0-9.]+(ns|us|ms|s)\b")


def drawing(folder):
    return TIME.sub("TIME", (pathlib.Path(folder) / "map_reduce.dot").read_text())


def check_trace(path):
    """Each event has what its phase needs; slices of a track lie beside or inside each other."""
    events = json.loads(path.read_text())["traceEvents"]
    tracks = {}
    for event in events:
        assert event["ph"] in "MXi", event
        assert isinstance(event["name"], str) and isinstance(event["pid"], int) and isinstance(event["tid"], int), event
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name") and isinstance(event["args"]["name"], str), event
            continue
        assert event["ts"] >= 0, event
        if event["ph"] == "i":
            assert event["s"] in "gpt", event
            continue
        assert event["dur"] >= 0 and isinstance(event["cat"], str), event
        tracks.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    for track in tracks.values():
        open_until = []
        for begin, end in sorted(track, key=lambda slice: (slice[0], -slice[1])):
            while open_until and open_until[-1] <= begin:
                open_until.pop()
            assert not open_until or end <= open_until[-1], track
            open_until.append(end)
    return [event for event in events if event["ph"] == "X"]


def main():
    program, documented = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, folder], check=True, stdout=subprocess.DEVNULL)
        if drawing(folder) != drawing(documented):
            sys.exit(f"{documented}/map_reduce.dot is of another graph: run {documented}/make.sh")
        made = check_trace(pathlib.Path(folder) / "map_reduce.json")
    shown = check_trace(documented / "map_reduce.json")
    for slices in (made, shown):
        names = sorted(event["name"] for event in slices)
        assert names == ["count"] * 3 + ["pick", "superstep 1", "superstep 2"], names


if __name__ == "__main__":
    main()
