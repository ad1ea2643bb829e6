#!/usr/bin/env python3
"""Draws events published per second against the number of readers, from stream_benchmark's JSON.

    build/release/bench/stream_benchmark --benchmark_filter=Deliver --benchmark_repetitions=7 \\
        --benchmark_enable_random_interleaving=true --benchmark_out=readers.json --benchmark_out_format=json
    bench/plot_readers.py readers.json docs/readers.svg

One line for each subject, at the median of its repetitions, one producer.
"""

import json
import math
import re
import statistics
import sys
from html import escape

# Subject, label, colour; the event log's own are drawn thicker, and last.
SUBJECTS = [
    ("TbbBoundedQueue", "oneTBB bounded queue each", "#9c755f"),
    ("Deque", "mutex and deque each", "#b07aa1"),
    ("Moodycamel", "moodycamel queue each", "#c98a00"),
    ("TbbQueue", "oneTBB queue each", "#59a14f"),
    ("MutexLog", "mutex and one vector", "#76b7b2"),
    ("Ring", "Disruptor-style ring, bounded", "#e15759"),
    ("BoostSpsc", "Boost spsc_queue, bounded", "#79706e"),
    ("EventLogBounded", "weir, bounded", "#7fa8d9"),
    ("EventLog", "weir", "#1f5fa8"),
]
WIDTH, HEIGHT = 900, 520
LEFT, RIGHT, TOP, BOTTOM = 74, 606, 74, 462  # Of the plot.
LABEL_GAP = 17

NAME = re.compile(r"BM_(\w+)_Deliver/producers:1/readers:(\d+)/")


def medians(report):
    """{subject: [(readers, events per second), ...]}, by readers."""
    samples = {}
    for row in report["benchmarks"]:
        match = NAME.match(row["name"])
        if not match or "items_per_second" not in row or row.get("error_occurred"):
            continue
        if row.get("run_type") == "aggregate" and row.get("aggregate_name") != "median":
            continue
        # A report of aggregates alone has the median in place of the repetitions.
        kind = row.get("run_type", "iteration")
        point = samples.setdefault(match[1], {}).setdefault(int(match[2]), {})
        point.setdefault(kind, []).append(row["items_per_second"])
    return {
        subject: sorted((readers, statistics.median(kinds.get("iteration") or kinds["aggregate"]))
                        for readers, kinds in points.items())
        for subject, points in samples.items()
    }


def text(x, y, what, **style):
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(what)}</text>'


def line(x1, y1, x2, y2, colour, **style):
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{attributes}/>'


def rate(value):
    """1000 -> 1 k, 2500000 -> 2.5 M."""
    for unit, name in ((1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def spread(wanted, lowest, highest):
    """Moves labels, given by their y, apart by LABEL_GAP, keeping their order."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [0.0] * len(wanted)
    above = lowest - LABEL_GAP
    for i in order:
        above = placed[i] = max(wanted[i], above + LABEL_GAP)
    below = highest + LABEL_GAP
    for i in reversed(order):
        below = placed[i] = min(placed[i], below - LABEL_GAP)
    return placed


class Axes:
    def __init__(self, points):
        readers = sorted({r for r, _ in points})
        rates = [value for _, value in points]
        self.readers = readers
        self.low = math.log10(min(rates) / 2)
        self.high = math.log10(max(rates) * 1.5)

    def x(self, readers):
        first, last = math.log2(self.readers[0]), math.log2(self.readers[-1])
        return LEFT + (math.log2(readers) - first) / max(last - first, 1) * (RIGHT - LEFT)

    def y(self, value):
        return BOTTOM - (math.log10(value) - self.low) / (self.high - self.low) * (BOTTOM - TOP)

    def draw(self):
        for power in range(math.ceil(self.low), math.floor(self.high) + 1):
            y = self.y(10**power)
            yield line(LEFT, y, RIGHT, y, "#dddddd")
            yield text(LEFT - 8, y + 4, rate(10**power), text_anchor="end")
        for readers in self.readers:
            x = self.x(readers)
            yield line(x, BOTTOM, x, BOTTOM + 5, "#888888")
            yield text(x, BOTTOM + 20, str(readers), text_anchor="middle")
        yield line(LEFT, BOTTOM, RIGHT, BOTTOM, "#888888")
        yield text((LEFT + RIGHT) / 2, BOTTOM + 42, "readers, each of which gets every event", text_anchor="middle")


def draw(lines, caption):
    axes = Axes([point for points in lines.values() for point in points])
    shown = [(lines[subject], label, colour, subject.startswith("EventLog"))
             for subject, label, colour in SUBJECTS if subject in lines]
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="13" fill="#333333">')
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    yield text(24, 30, "Events published per second, one producer", font_size="17", font_weight="600")
    yield text(24, 50, caption, fill="#666666")
    yield from axes.draw()
    ends = [(axes.x(points[-1][0]), axes.y(points[-1][1])) for points, *_ in shown]
    # Those that do not reach the right edge have their label at their end.
    at_edge = [i for i, (x, _) in enumerate(ends) if x > RIGHT - 1]
    placed = dict(zip(at_edge, spread([ends[i][1] for i in at_edge], TOP, BOTTOM)))
    for i, (points, label, colour, ours) in enumerate(shown):
        path = " ".join(f"{axes.x(r):.1f},{axes.y(v):.1f}" for r, v in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{3 if ours else 1.8}"/>'
        for readers, value in points:
            yield f'<circle cx="{axes.x(readers):.1f}" cy="{axes.y(value):.1f}" r="{4 if ours else 3}" fill="{colour}"/>'
        x, y = ends[i]
        if i in placed:
            yield line(x + 5, y, x + 20, placed[i], colour, stroke_width="0.8")
        weight = "600" if ours else "400"
        end = f"{label}, {rate(points[-1][1])}"
        yield text(x + (23 if i in placed else 9), placed.get(i, y) + 4, end, fill=colour, font_weight=weight)
    yield "</svg>"


def caption_of(report):
    context = report["context"]
    return (f"{context['num_cpus']} cores at {context['mhz_per_cpu'] / 1000:.1f} GHz, {context['date'][:10]}; "
            "logarithmic axes; more is better")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    lines = medians(report)
    if not lines:
        sys.exit(f"{sys.argv[1]}: no rows of BM_..._Deliver with producers:1")
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write("\n".join(draw(lines, caption_of(report))) + "\n")


if __name__ == "__main__":
    main()
