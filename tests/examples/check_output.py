#!/usr/bin/env python3
"""Runs an example and compares what it prints, whole.

    check_output.py EXPECTED_FILE PROGRAM [ARGUMENT]...
"""

import difflib
import pathlib
import subprocess
import sys


def main():
    expected = pathlib.Path(sys.argv[1]).read_text()
    printed = subprocess.run(sys.argv[2:], check=True, capture_output=True, text=True).stdout
    if printed != expected:
        sys.exit("".join(difflib.unified_diff(expected.splitlines(True), printed.splitlines(True), sys.argv[1], "printed")))


if __name__ == "__main__":
    main()
