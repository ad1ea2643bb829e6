#!/usr/bin/env python3
"""Checks what the command `weir` says of a database, whole and damaged.

    check_weir_cli.py PATH_TO_WEIR PATH_TO_MAKE_DATABASE
"""

import json
import pathlib
import subprocess
import sys
import tempfile

WEIR, MAKE = sys.argv[1:3]
PAGE = 4096


def expect(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: found {found!r}, expected {expected!r}")


def expect_in(what, part, text):
    if part not in text:
        sys.exit(f"{what}: {part!r} is not in\n{text}")


def run(*words, code=0):
    """What a command prints on both outputs; it has to end with `code`."""
    done = subprocess.run([WEIR, *words], capture_output=True, check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    if done.returncode != code:
        sys.exit(f"weir {words}: ended with {done.returncode}, expected {code}\n{out}{err}")
    if code != 2 and out == "" and err == "":
        sys.exit(f"weir {words}: says nothing")
    return out if out else err


def data(*words, code=0):
    return json.loads(run(*words, "--json", code=code))


def check_reading(path):
    threads = {t["thread"]: t["namespaces"] for t in data("ls", path)["threads"]}
    expect("threads", list(threads), ["alice", "bob", "dora", "eve", "\\xff\\x0a"])
    expect("alice's namespaces", [n["ns"] for n in threads["alice"]], [""])
    for name in ("alice", "bob", "\\xff\\x0a"):
        expect_in("ls", name, run("ls", path))

    history = data("history", path, "alice")["checkpoints"]
    expect("steps", [c["step"] for c in history], [2, 1, 0, -1])
    expect("latest", history[0]["id"], threads["alice"][0]["latest"])
    expect("parents", [c["parent"] for c in history], [c["id"] for c in history[1:]] + [None])
    expect("lines of history", len(run("history", path, "alice").splitlines()), 4)

    shown = data("show", path, "bob")
    channels = {c["channel"]: c for c in shown["channels"]}
    expect("topic", channels["topic"]["value"], {"bytes": 5, "text": "cats"})
    expect("count", channels["count"]["value"], {"bytes": 1, "hex": "02"})
    expect("weir's own", [c for c in channels if channels[c]["weirs_own"]], ["__engine__", "__graph__"])
    expect("writes", [w["channel"] for w in shown["writes"]], ["__interrupt__"])
    text = run("show", path, "bob")
    expect_in("show", '"cats"', text)
    expect_in("show", "(weir's own)", text)
    expect_in("show", '"About cats. xxx', text)

    # A beginning that only one id has is enough; of one that has more, some are told.
    first, second = history[3]["id"], history[2]["id"]
    for end in (17, 32):
        expect("show", data("show", path, "alice", "--checkpoint", first[:end])["id"], first)
    expect_in("ambiguous id", "more of the id", run("show", path, "alice", "--checkpoint", "00", code=2))
    changes = {c["channel"]: c for c in data("diff", path, "alice", first, second[:18])["channels"]}
    expect("change of topic", changes["topic"]["change"], "added")
    expect("topic after", changes["topic"]["b"]["value"]["text"], "dogs")
    expect_in("diff", "added", run("diff", path, "alice", first, second))
    expect("no difference", data("diff", path, "alice", first, first)["channels"], [])

    expect("verify", data("verify", path)["whole"], True)
    expect_in("verify", "all whole", run("verify", path))


def check_runs(path):
    counts = {t["thread"]: (t["runs"], t["unfinished_runs"]) for t in data("ls", path)["threads"]}
    expect("runs", counts, {"alice": (0, 0), "bob": (0, 0), "dora": (2, 1), "eve": (1, 1), "\\xff\\x0a": (0, 0)})
    expect_in("ls", "dora\n  2 runs, 1 unfinished\n  (outermost)", run("ls", path))

    runs = {r["run"]: r for r in data("show", path, "dora")["runs"]}
    expect("status", [(r["graph"], r["status"], r["attempt"]) for r in runs.values()],
           [("write", "success", 1), ("write", "pending", 1)])
    expect("times", [runs["run-2"]["started_at"], runs["run-1"]["ended_at"] is None], [None, False])
    expect_in("show", "run-1  write  success, attempt 1", run("show", path, "dora"))
    expect("runs of no Runtime", data("show", path, "alice")["runs"], [])
    expect("a thread without checkpoints", [r["run"] for r in data("show", path, "eve")["runs"]], ["run-3"])
    expect_in("show", "no checkpoint\n1 runs\n  run-3", run("show", path, "eve"))

    found = data("events", path, "run-1")
    events = found["events"]
    expect("thread", found["thread"], "dora")
    expect("ids", [e["id"] for e in events], list(range(5)))
    expect("names", [e["name"] for e in events], ["metadata", "custom", "custom", "updates", "updates"])
    expect("custom", events[1]["data"], "writing")
    expect_in("a type of the graph's own", "Stamp", events[2]["data"]["$type"])
    expect("updates", events[4]["data"], {"check": {"count": 7}})
    expect("from", data("events", path, "run-1", "--from", "3")["events"], events[3:])
    expect("past the end", data("events", path, "run-1", "--from", "99")["events"], [])
    lines = run("events", path, "run-1").splitlines()
    expect("lines of events", len(lines), 5)
    expect("a line", lines[1], '     1  custom   "writing"')
    expect_in("no events", "no events", run("events", path, "run-2"))


def check_refusals(path, folder):
    for words in ((), ("ls",), ("what", path), ("ls", path, "more"), ("ls", path, "--checkpoint", "1"),
                  ("show", path, "alice", "--checkpoint"), ("ls", path, "--wrong")):
        expect_in(f"usage of {words}", "usage: weir", run(*words, code=2))
    expect_in("help", "usage: weir", run("--help"))
    missing = str(folder / "missing.db")
    for command in ("ls", "verify"):
        expect_in("no file", "there is no file", run(command, missing, code=1))
    expect_in("no thread", "is not in", run("show", path, "nobody", code=1))
    expect_in("no thread", "is not in", run("history", path, "nobody", code=1))
    expect_in("no run", "is not in", run("events", path, "run-9", code=1))
    expect_in("no id", "a number", run("events", path, "run-1", "--from", "x", code=2))
    expect_in("option", "takes no --from", run("ls", path, "--from", "1", code=2))
    expect_in("no checkpoint", "is not in", run("show", path, "alice", "--checkpoint", "ff", code=1))
    text = folder / "text"
    text.write_text("no database" * 1000, encoding="utf-8")
    for command in ("ls", "verify"):
        expect_in("other file", "not a weir database", run(command, str(text), code=1))


def check_damage(path, folder):
    whole = pathlib.Path(path).read_bytes()
    damaged = folder / "damaged.db"
    # The page with the names of threads, and that of the checkpoints.
    at = whole.index(b"alice") // PAGE
    for page in {at, 7}:
        spoilt = bytearray(whole)
        spoilt[page * PAGE + 5] ^= 16
        damaged.write_bytes(spoilt)
        report = data("verify", str(damaged), code=1)
        expect("whole", report["whole"], False)
        expect("damaged pages", report["damaged_pages"], [page + 1])
        expect_in("verify", f"page {page + 1}", run("verify", str(damaged), code=1))
        saved = folder / f"saved{page}.db"
        report = data("salvage", str(damaged), str(saved), code=1)
        kept = sum(t["state"] != "damaged" for t in report["threads"])
        expect("saved threads", report["saved_threads"], kept)
        threads = [t for t in data("ls", str(saved))["threads"] if t["namespaces"]]
        expect("threads of the new file", len(threads), kept)
        expect("verify of the new file", data("verify", str(saved))["whole"], True)
        expect("the damaged file", damaged.read_bytes(), bytes(spoilt))
        expect_in("a file that is there", "exists", run("salvage", str(damaged), str(saved), code=1))


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        path = str(folder / "agent.db")
        subprocess.run([MAKE, path], check=True)
        before = {p.name: p.read_bytes() for p in folder.iterdir()}
        check_reading(path)
        expect("files after reading", {p.name: p.read_bytes() for p in folder.iterdir()}, before)
        check_runs(path)
        check_refusals(path, folder)
        check_damage(path, folder)
        whole = str(folder / "whole.db")
        expect("saved threads", data("salvage", path, whole)["saved_threads"], 4)
        expect("threads after salvage", data("ls", whole), data("ls", path))
        expect("events after salvage", data("events", whole, "run-1"), data("events", path, "run-1"))
    print("weir shows, checks and saves what a database has")


if __name__ == "__main__":
    main()
