#!/usr/bin/env python3
"""Runs the example `serve` and calls it as its comment says: check_serve.py PROGRAM"""

import json
import re
import subprocess
import sys
import urllib.request

program = subprocess.Popen([sys.argv[1], "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
port = re.match(r"http://localhost:(\d+)/ until", program.stdout.readline())[1]


def post(path, body):
    request = urllib.request.Request(f"http://localhost:{port}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


values = post("/runs/wait", {"assistant_id": "count", "input": {"text": "to be or not to be"}})
assert values["counts"] == {"be": 2, "not": 1, "or": 1, "to": 2}, values
post("/threads", {})
program.stdin.write("\n")
program.stdin.flush()
assert program.stdout.readline() == "1 threads\n"
program.stdin.close()
assert program.wait() == 0
