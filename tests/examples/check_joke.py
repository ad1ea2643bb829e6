#!/usr/bin/env python3
"""Checks what the example `joke` prints.

    check_joke.py PATH_TO_JOKE
"""

import re
import subprocess
import sys

EXPECTED = [
    r'metadata \{"run_id": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "attempt": 1\}',
    r'updates  \{"refine_topic": \{"topic": "ice cream and cats"\}\}',
    r'updates  \{"generate_joke": \{"joke": "This is a joke about ice cream and cats"\}\}',
]


def main():
    lines = subprocess.run([sys.argv[1], "ice cream"], check=True, capture_output=True, text=True).stdout.splitlines()
    for line, expected in zip(lines, EXPECTED):
        if not re.fullmatch(expected, line):
            sys.exit(f"printed {line}\nexpected {expected}")
    if len(lines) != len(EXPECTED):
        sys.exit(f"printed {len(lines)} lines, expected {len(EXPECTED)}")
    print("the joke graph streams its metadata and its two updates")


if __name__ == "__main__":
    main()
