#!/usr/bin/env python3
"""Measures what weir promises about its speed, and writes it down.

    bench/report.py [--build build/release] [--out docs/performance] [--repetitions 7] [--from FILE]
    bench/report.py --only P1,P6 [--build build/release] [--repetitions 7]

Runs the benchmarks behind the rows below, each several times and in a random order, so that what else the machine does
touches all alike. Writes report.json (every sample), report.md (the table) and plots of cost against size; unless --out
is given, also the table in README.md. A figure is the median; min and max stand beside it. Needs a release build with
benchmarks. --from makes all anew from an earlier report.json; --only prints some rows, and writes nothing.
"""

import argparse
import dataclasses
import json
import math
import operator
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from typing import Callable, Optional

import check_instructions
from chart import Line, chart


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number that repetitions of a benchmark give: a counter of it, or its time for each iteration."""

    binary: str
    benchmark: str
    counter: str = ""
    scale: float = 1


@dataclasses.dataclass(frozen=True)
class Pair:
    """A number made of the medians of two: repetitions of two benchmarks have nothing to do with each other."""

    of: Callable[[float, float], float]
    first: Measure
    second: Measure


def Ratio(above, below):
    return Pair(operator.truediv, above, below)


def Difference(more, less):
    return Pair(operator.sub, more, less)


@dataclasses.dataclass(frozen=True)
class Row:
    id: str
    work: str
    measure: Measure | Pair
    unit: str  # A key of SHOW.
    target: Optional[float] = None
    stretch: Optional[float] = None
    baselines: dict[str, Measure | Pair] = dataclasses.field(default_factory=dict)
    # What the first of the baselines was on the machine that the target is for, when it was set.
    then: Optional[float] = None


def runtime(benchmark, counter="", scale=1.0):
    return Measure("runtime_benchmark", benchmark, counter, scale)


def checkpoint(benchmark, counter="", scale=1.0):
    return Measure("checkpoint_benchmark", benchmark, counter, scale)


def stream(benchmark, counter="", scale=1.0):
    return Measure("stream_benchmark", benchmark, counter, scale)


def instructions(row):
    """Those of one more of a row of bench/instructions.cc."""
    return Measure("instructions", row, "instructions")


def deliver(of, producers, readers, events):
    return stream(f"BM_{of}_Deliver/producers:{producers}/readers:{readers}/events:{events}", "items_per_second")


LOOP = "BM_Graph_Loop1000/nodes:{}"
SAVED = "BM_Graph_SavedLoop1000/idle_bytes:{}"
SQLITE = "BM_Sqlite_AppendLoop/steps:1000/bytes:100/durability:1/lag:{}"
WATCHED = "BM_Runtime_Watched/readers:{}"
CROWD = "BM_Runtime_Crowd/{}/runs:{}"
NS, US, MS, KIB = 1e-9, 1e-6, 1e-3, 1024


def among(id, work, graph):
    """A row of contention: a run with 16 readers among 64 such, on four workers for each core, against one alone."""
    return Row(id, f"{work}, 16 readers: a run of 64 at once, against one alone",
               Ratio(runtime(CROWD.format(graph, 64), "per_run"), runtime(CROWD.format(graph, 1), "per_run")), "ratio",
               1.5)


ROWS = [
    Row("P1", "three nodes in a line, one Invoke", runtime("BM_Graph_Seq3"), "time", 0.9 * US, 0.45 * US,
        {"oneTBB graph": runtime("BM_TbbFlowGraph_Seq3"), "floor": runtime("BM_Floor_Seq3")}, 0.19 * US),
    Row("P2", "a loop of 1,000 supersteps, each", runtime(LOOP.format(1), "per_superstep"), "time", 120 * NS, 60 * NS,
        {"oneTBB graph": runtime("BM_TbbFlowGraph_Loop1000", "per_superstep"),
         "floor": runtime("BM_Floor_Loop1000", "per_superstep")}, 47 * NS),
    Row("P2", "allocations in one of them", runtime(LOOP.format(1), "allocations_per_superstep"), "count", 0),
    Row("P3", "5 parallel nodes and a join", runtime("BM_Graph_Par/width:5"), "time", 1.5 * US, 0.8 * US,
        {"oneTBB graph": runtime("BM_TbbFlowGraph_Par/width:5"), "floor": runtime("BM_Floor_Par/width:5")}, 0.49 * US),
    among("P1", "three nodes in a line", "line"),
    among("P2", "a loop of 1,000 supersteps", "loop"),
    among("P3", "5 parallel nodes and a join", "par"),
    Row("P4", "1,000 parallel nodes and a join", runtime("BM_Graph_Par/width:1000"), "time", 150 * US, 80 * US,
        {"oneTBB graph": runtime("BM_TbbFlowGraph_Par/width:1000"), "floor": runtime("BM_Floor_Par/width:1000")},
        66 * US),
    Row("P4", "10,000 tasks by Send", runtime("BM_Graph_Send/width:10000"), "time", 2.5 * MS, 1.2 * MS,
        {"oneTBB graph": runtime("BM_TbbFlowGraph_Send/width:10000"), "floor": runtime("BM_Floor_Send/width:10000")},
        0.6 * MS),
    Row("P4", "a task by Send, of 10,000 against of 100",
        Ratio(runtime("BM_Graph_Send/width:10000", "per_task"), runtime("BM_Graph_Send/width:100", "per_task")),
        "ratio", 1.5),
    Row("P5", "a superstep saved in memory", runtime(SAVED.format(0), "per_superstep"), "time", 600 * NS, 300 * NS,
        {"not saved": runtime("BM_Graph_UnsavedLoop1000", "per_superstep"),
         "the store alone": runtime("BM_MemoryCheckpointer_Loop1000", "per_superstep")}),
    Row("P5", "the same beside an idle list of 1 MB, against without",
        Ratio(runtime(SAVED.format(1000000), "per_superstep"), runtime(SAVED.format(0), "per_superstep")), "ratio",
        1.1),
    Row("P6", "a superstep among 10,000 nodes, against 10",
        Ratio(runtime(LOOP.format(10000), "per_superstep"), runtime(LOOP.format(10), "per_superstep")), "ratio", 1.3,
        1.1),
    Row("P6", "compiling 10,000 nodes", runtime("BM_StateGraph_Compile/nodes:10000"), "time", 30 * MS, 15 * MS),
    Row("P7", "a superstep that appends 100 bytes, saved in memory",
        runtime("BM_Graph_SavedAppendLoop1000", "per_superstep"), "time", 1 * US, 0.5 * US,
        {"not saved": runtime("BM_Graph_UnsavedAppendLoop1000", "per_superstep")}),
    Row("P7", "the same in a file, the run's own time; 256 supersteps ahead at most",
        runtime(SQLITE.format(256), "own_us_per_superstep", US), "time", 10 * US, 5 * US,
        {"1 ahead": runtime(SQLITE.format(1), "own_us_per_superstep", US)}),
    Row("P7", "the file, against the final state", runtime(SQLITE.format(256), "state_x"), "ratio", 3, 2,
        {"whole states": runtime("BM_PlainRows_AppendLoop/steps:1000", "state_x")}),
    Row("P8", "10,000 runs that wait 100 ms", runtime("BM_Graph_WaitingRuns/runs:10000"), "time", 115 * MS, 105 * MS,
        {"timers alone": runtime("BM_Executor_Timers/runs:10000")}),
    Row("P8", "memory of each", runtime("BM_Graph_WaitingRuns/runs:10000", "bytes_per_run"), "bytes", 2 * KIB,
        1 * KIB),
    Row("P8", "the same as runs of a Runtime", runtime("BM_Runtime_WaitingRuns/runs:10000"), "time", 115 * MS,
        105 * MS, {"timers alone": runtime("BM_Executor_Timers/runs:10000")}),
    Row("P8", "memory of each", runtime("BM_Runtime_WaitingRuns/runs:10000", "bytes_per_run"), "bytes", 2 * KIB,
        1 * KIB),
    Row("P9", "publish what nobody reads", stream("BM_EventLog_PublishUnwanted/of_other_mode:0"), "time", 1 * NS),
    Row("P9", "publish", stream("BM_EventLog_PublishHot/batch:1", "per_event"), "time", 10 * NS, None,
        {"floor": stream("BM_Floor_PublishHot")}),
    Row("P9", "publish in batches of 16, each", stream("BM_EventLog_PublishHot/batch:16", "per_event"), "time",
        5 * NS),
    Row("P9", "publish what is kept", stream("BM_EventLog_PublishKept/events:1000000/pool:1", "per_event"), "time",
        12 * NS, None, {"mutex and vector": stream("BM_MutexLog_PublishKept/events:1000000", "per_event")}),
    Row("P9", "replay", stream("BM_EventLog_Replay", "items_per_second"), "rate", 500e6, None,
        {"a loop over plain memory": stream("BM_Floor_Replay", "items_per_second"),
         "mutex and vector": stream("BM_MutexLog_Replay", "items_per_second")}),
    Row("P9", "join anywhere in a million", stream("BM_EventLog_JoinAnywhere"), "time", 200 * NS, None,
        {"a look at plain memory": stream("BM_Floor_JoinAnywhere")}),
    Row("P9", "join and leave", stream("BM_EventLog_AttachAndLeave/deadlock_detection:0"), "time", 60 * NS),
    Row("P9", "1 producer, 1 reader", deliver("EventLog", 1, 1, 4000000), "rate", 80e6, 120e6,
        {"a ring": deliver("Ring", 1, 1, 4000000), "mutex and deque": deliver("Deque", 1, 1, 1000000)}),
    Row("P9", "1 producer, 4 readers", deliver("EventLog", 1, 4, 2000000), "rate", 50e6, None,
        {"a ring": deliver("Ring", 1, 4, 1000000), "mutex and deque": deliver("Deque", 1, 4, 200000)}),
    Row("P9", "2 producers, 1 reader", deliver("EventLog", 2, 1, 4000000), "rate", 50e6, None,
        {"a ring": deliver("Ring", 2, 1, 4000000), "mutex and deque": deliver("Deque", 2, 1, 1000000)}),
    Row("P9", "2 producers, 16 readers", deliver("EventLog", 2, 16, 1000000), "rate", 25e6, None,
        {"a ring": deliver("Ring", 2, 16, 500000), "mutex and deque": deliver("Deque", 2, 16, 20000)}),
    Row("P10", "a run nobody watches, against one nobody can: instructions",
        Ratio(instructions("unwatched_loop"), instructions("loop")), "ratio", 1.02, 1,
        {"time": Ratio(runtime(WATCHED.format(0), "per_step"), runtime("BM_Graph_Unwatchable", "per_step"))}),
    Row("P10", "an updates event with 1 reader",
        Difference(runtime(WATCHED.format(1), "per_step"), runtime(WATCHED.format(0), "per_step")), "time", 100 * NS,
        50 * NS),
    Row("P10", "16 readers against 1",
        Ratio(runtime(WATCHED.format(16), "per_step"), runtime(WATCHED.format(1), "per_step")), "ratio", 1.5),
    Row("P11", "synchronisations for each checkpoint that 64 runs wait for",
        runtime("BM_Sqlite_SyncRuns/runs:64/batch:256", "syncs"), "ratio", 0.10, None,
        {"not shared": runtime("BM_Sqlite_SyncRuns/runs:64/batch:1", "syncs")}),
    Row("P11", "time for each of them", runtime("BM_Sqlite_SyncRuns/runs:64/batch:256", "per_checkpoint"), "time",
        400 * US, None, {"not shared": runtime("BM_Sqlite_SyncRuns/runs:64/batch:1", "per_checkpoint")}),
    Row("P11", "bytes put of a list, against its final bytes", runtime(SQLITE.format(256), "value_x"), "ratio", 3),
    Row("P11", "the latest checkpoint of 100,000, 64 KiB", checkpoint("BM_Sqlite_GetLatest/checkpoints:100000"),
        "time", 200 * US, None, {"of 100": checkpoint("BM_Sqlite_GetLatest/checkpoints:100")}),
    Row("P11", "a list of 1,000 checkpoints", checkpoint("BM_Sqlite_ListThousand/checkpoints:100000"), "time",
        10 * MS),
    Row("P13", "8 nodes of 200 us: 2 workers against 1",
        Ratio(runtime("BM_Graph_CpuBound/workers:1"), runtime("BM_Graph_CpuBound/workers:2")), "speedup", 1.9, 1.97,
        {"floor": Ratio(runtime("BM_Floor_CpuBound/workers:1"), runtime("BM_Floor_CpuBound/workers:2"))}),
]


@dataclasses.dataclass(frozen=True)
class Plot:
    file: str
    title: str
    x: str
    y: str
    growth: float  # Of y with x: 0 is flat, 1 linear.
    points: dict[int, Measure]
    unit: str = "time"


def sweep(make: Callable[[int], Measure], sizes):
    return {size: make(size) for size in sizes}


PLOTS = [
    Plot("graph_size", "A superstep, by the size of its graph", "nodes", "time for each superstep", 0,
         sweep(lambda n: runtime(LOOP.format(n), "per_superstep"), [10, 100, 1000, 10000])),
    Plot("compile", "Compiling, by the size of the graph", "nodes", "time", 1,
         sweep(lambda n: runtime(f"BM_StateGraph_Compile/nodes:{n}"), [100, 1000, 10000])),
    Plot("state_size", "A superstep saved in memory, by the bytes of an idle list", "bytes",
         "time for each superstep", 0,
         sweep(lambda n: runtime(SAVED.format(n), "per_superstep"), [1000, 10000, 100000, 1000000])),
    Plot("fan_out", "Parallel nodes and a join", "nodes", "time", 1,
         sweep(lambda n: runtime(f"BM_Graph_Par/width:{n}"), [10, 100, 1000])),
    Plot("sends", "Tasks by Send", "tasks", "time", 1,
         sweep(lambda n: runtime(f"BM_Graph_Send/width:{n}"), [100, 1000, 10000])),
    Plot("readers", "A step of a run, by its readers", "readers", "time for each step", 0,
         sweep(lambda n: runtime(WATCHED.format(n), "per_step"), [1, 4, 16])),
    Plot("waiting_runs", "Memory of a run that waits, by how many there are", "runs", "bytes for each run", 0,
         sweep(lambda n: runtime(f"BM_Graph_WaitingRuns/runs:{n}", "bytes_per_run"), [1000, 10000, 100000]),
         "bytes"),
]

# Set for the report's figure of readers: every subject, one producer.
SUBJECTS = {
    "EventLog": "weir", "EventLogBounded": "weir, bounded", "Ring": "ring, bounded", "MutexLog": "mutex and one vector",
    "TbbQueue": "oneTBB queue each", "Moodycamel": "moodycamel queue each", "Deque": "mutex and deque each",
    "TbbBoundedQueue": "oneTBB bounded queue each",
}


def with_unit(value, units):
    for size, name in units:
        if abs(value) >= size:
            break
    return f"{value / size:.3g} {name}"


SHOW = {
    "time": lambda v: with_unit(v, [(1, "s"), (MS, "ms"), (US, "us"), (NS, "ns")]),
    "rate": lambda v: with_unit(v, [(1e6, "M/s"), (1e3, "k/s"), (1, "/s")]),
    "bytes": lambda v: with_unit(v, [(1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")]),
    "ratio": lambda v: f"{v:.3g}",
    "speedup": lambda v: f"{v:.3g}",
    "count": lambda v: f"{v:.3g}",
}
MORE_IS_BETTER = {"rate", "speedup"}
SECONDS = {"ns": NS, "us": US, "ms": MS, "s": 1}
SUFFIX = re.compile(r"/(real_time|manual_time|process_time|iterations:\d+|min_time:[\d.]+|repeats:\d+)")


class Samples:
    """What the repetitions of each benchmark gave."""

    def __init__(self, reports):
        self.rows = {}
        for binary, report in reports.items():
            for row in report["benchmarks"]:
                if row.get("run_type") != "iteration" or row.get("error_occurred"):
                    continue
                self.rows.setdefault((binary, SUFFIX.sub("", row["name"])), []).append(row)

    def of(self, measure):
        if isinstance(measure, Pair):
            first, second = self.of(measure.first), self.of(measure.second)
            return [measure.of(statistics.median(first), statistics.median(second))] if first and second else []
        rows = self.rows.get((measure.binary, measure.benchmark), [])
        if not measure.counter:
            return [row["real_time"] * SECONDS[row["time_unit"]] * measure.scale for row in rows]
        return [row[measure.counter] * measure.scale for row in rows if measure.counter in row]


def measures(rows, plots):
    for row in rows:
        for measure in (row.measure, *row.baselines.values()):
            yield from (measure.first, measure.second) if isinstance(measure, Pair) else (measure,)
    for plot in plots:
        yield from plot.points.values()


def run(build, wanted, repetitions):
    """The JSON reports by binary."""
    names = {}
    for measure in wanted:
        names.setdefault(measure.binary, set()).add(measure.benchmark)
    reports = {}
    for binary, benchmarks in names.items():
        if binary == "instructions":
            reports[binary] = count_instructions(build, sorted(benchmarks))
            continue
        pattern = "^(" + "|".join(map(re.escape, sorted(benchmarks))) + ")(/(real|manual)_time|/iterations.*|/min_time.*)?$"
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            command = [str(build / "bench" / binary), f"--benchmark_filter={pattern}",
                       f"--benchmark_repetitions={repetitions}", "--benchmark_enable_random_interleaving=true",
                       f"--benchmark_out={out.name}", "--benchmark_out_format=json"]
            print(f"{binary}: {len(benchmarks)} benchmarks, {repetitions} times each", file=sys.stderr)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            reports[binary] = json.load(open(out.name, encoding="utf-8"))
    return reports


def count_instructions(build, rows):
    """As a report of one sample each: a count is the same each time."""
    print(f"instructions: {len(rows)} rows", file=sys.stderr)
    return {"context": {}, "benchmarks": [
        {"name": row, "run_type": "iteration",
         "instructions": check_instructions.each(str(build / "bench/instructions"), row)} for row in rows]}


def exponent(points):
    """Of the power of x that y grows with, by least squares."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    x, y = statistics.fmean(xs), statistics.fmean(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys)) / sum((a - x) ** 2 for a in xs)


def meets(row, value, pace):
    """`pace`: how many times longer the baseline took than on the machine that the target is for."""
    if row.target is None:
        return ""
    better = (lambda a, b: a >= b) if row.unit in MORE_IS_BETTER else (lambda a, b: a <= b)
    if row.stretch is not None and better(value, row.stretch):
        return "stretch"
    if better(value, row.target):
        return "yes"
    return f"at the pace of {pace:.2g}" if pace is not None and better(value, row.target * pace) else "no"


def table(rows, samples, short=False):
    """As lines; if short, without the spread."""
    columns = ["row", "work", "weir", "min to max", "target (stretch)", "reached", "compared with"]
    shown = [column for column in columns if not short or column != "min to max"]
    yield "| " + " | ".join(shown) + " |"
    yield "|" + " --- |" * len(shown)
    for row in rows:
        values = samples.of(row.measure)
        if not values:
            continue
        show = SHOW[row.unit]
        median = statistics.median(values)
        spread = f"{show(min(values))} to {show(max(values))}" if len(values) > 1 else ""
        target = "" if row.target is None else show(row.target)
        if row.stretch is not None:
            target += f" ({show(row.stretch)})"
        others = "; ".join(f"{name} {show(statistics.median(samples.of(of)))}" for name, of in row.baselines.items()
                           if samples.of(of))
        first = [samples.of(of) for of in row.baselines.values()][:1] if row.then else []
        pace = statistics.median(first[0]) / row.then if first and first[0] else None
        cells = [row.id, row.work, show(median), spread, target, meets(row, median, pace), others]
        yield "| " + " | ".join(cell for column, cell in zip(columns, cells) if column in shown) + " |"


def growths(plots, samples):
    yield "| plot | grows with the power | expected |"
    yield "| --- | --- | --- |"
    for plot in plots:
        points = [(x, statistics.median(samples.of(of))) for x, of in plot.points.items() if samples.of(of)]
        if len(points) > 1:
            yield f"| [{plot.title}]({plot.file}.svg) | {exponent(points):.2f} | {plot.growth:g} |"


def instruction_counts(samples):
    yield "| work | instructions |"
    yield "| --- | ---: |"
    for row, work in check_instructions.WORK.items():
        if samples.of(instructions(row)):
            yield f"| {work} | {samples.of(instructions(row))[0]:,.0f} |"


def draw(plots, samples, out):
    for plot in plots:
        points = [(x, samples.of(of)) for x, of in plot.points.items() if samples.of(of)]
        if len(points) < 2:
            continue
        line = Line("weir", [(x, statistics.median(ys)) for x, ys in points],
                    [(min(ys), max(ys)) for _, ys in points], own=True)
        caption = f"grows with the power {exponent(line.points):.2f} of {plot.x}; expected {plot.growth:g}"
        (out / f"{plot.file}.svg").write_text(chart(plot.title, caption, [line], plot.x, plot.y, SHOW[plot.unit]))
    lines = []
    for subject, label in SUBJECTS.items():
        points = []
        for (_, name), rows in samples.rows.items():
            match = re.fullmatch(rf"BM_{subject}_Deliver/producers:1/readers:(\d+)/events:\d+", name)
            if match:
                points.append((int(match[1]), statistics.median(row["items_per_second"] for row in rows)))
        if len(points) > 1:
            lines.append(Line(label, sorted(points), own=subject.startswith("EventLog")))
    if lines:
        (out / "deliver.svg").write_text(
            chart("Events published per second, one producer", "every reader gets every event; more is better", lines,
                  "readers", "", SHOW["rate"]))


def machine(reports):
    context = next(report["context"] for report in reports.values() if report["context"])
    return (f"{context['num_cpus']} cores at {context['mhz_per_cpu'] / 1000:.1f} GHz, {platform.system()}, "
            f"{context['date'][:10]}")


def write_readme(rows, samples, path=pathlib.Path("README.md")):
    before, rest = path.read_text().split("<!-- bench/report.py: the table -->\n")
    after = rest.split("<!-- end -->\n", 1)[1]
    lines = ["<!-- bench/report.py: the table -->", *table(rows, samples, short=True), "<!-- end -->", ""]
    path.write_text(before + "\n".join(lines) + after)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", type=pathlib.Path, default="build/release")
    options.add_argument("--out", type=pathlib.Path)
    options.add_argument("--repetitions", type=int, default=7)
    options.add_argument("--only", default="")
    options.add_argument("--from", dest="earlier", type=pathlib.Path)
    given = options.parse_args()
    only = set(filter(None, given.only.split(",")))
    rows = [row for row in ROWS if not only or row.id in only]
    plots = PLOTS if not only else []
    if given.earlier:
        reports = json.loads(given.earlier.read_text())
    else:
        wanted = set(measures(rows, plots))
        if not only:
            wanted |= {deliver(subject, 1, readers, events) for subject, readers, events in deliver_points(given.build)}
            wanted |= {instructions(row) for row in check_instructions.TIMES}
        reports = run(given.build, wanted, given.repetitions)
    samples = Samples(reports)
    repetitions = max((len(rows) for rows in samples.rows.values()), default=0)
    text = ["# Performance", "", f"Made by `bench/report.py` on {machine(reports)}: medians of {repetitions}.", "",
            "*At the pace of 2*: reached if the target is taken for this machine as it was, which took twice as long for the "
            "first thing compared with as the one that the target was set on.", "",
            *table(rows, samples)]
    if plots:
        text += ["", "Instructions, as `bench/check_instructions.py` counts them on one thread, and holds them to 5 %:", "",
                 *instruction_counts(samples), "", "How cost grows, fitted to the medians:", "", *growths(plots, samples), "",
                 "![Events published per second against readers](deliver.svg)"]
        out = given.out or pathlib.Path("docs/performance")
        out.mkdir(parents=True, exist_ok=True)
        if not given.earlier:
            (out / "report.json").write_text(json.dumps(slim(reports), indent=1) + "\n")
        (out / "report.md").write_text("\n".join(text) + "\n")
        draw(plots, samples, out)
        if not given.out:
            write_readme(rows, samples)
    print("\n".join(text))


def deliver_points(build):
    listed = subprocess.run([build / "bench/stream_benchmark", "--benchmark_list_tests"], check=True,
                            capture_output=True, text=True).stdout
    for subject, readers, events in re.findall(r"BM_(\w+)_Deliver/producers:1/readers:(\d+)/events:(\d+)", listed):
        if subject in SUBJECTS:
            yield subject, int(readers), int(events)


def slim(reports):
    """Without what says nothing about a sample."""
    dropped = {"family_index", "per_family_instance_index", "run_name", "threads", "repetitions", "aggregate_name"}
    kept = ("date", "num_cpus", "mhz_per_cpu")
    return {binary: {"context": {k: v for k, v in report["context"].items() if k in kept},
                     "benchmarks": [{k: v for k, v in row.items() if k not in dropped}
                                    for row in report["benchmarks"] if row.get("run_type") == "iteration"]}
            for binary, report in reports.items()}


if __name__ == "__main__":
    main()
