#!/usr/bin/env python3
"""Runs examples/curl.sh, and compares what it prints with what its first comment says, but for the ids.

    check_curl.py PATH_TO_CURL_SH PROGRAM
"""

import difflib
import pathlib
import re
import shutil
import subprocess
import sys


def with_names_for_ids(text):
    """The same id becomes the same name."""
    names = {}
    return re.sub(
        r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lambda id: names.setdefault(id[0], f"<id-{len(names) + 1}>"), text
    )


def documented(script):
    comment = script.split("This prints\n#\n")[1].split("\nset ")[0]
    return "".join(line.removeprefix("#").removeprefix("   ") + "\n" for line in comment.splitlines())


def main():
    if shutil.which("curl") is None:
        print("skipped: there is no curl")
        sys.exit(77)
    script = pathlib.Path(sys.argv[1])
    expected = with_names_for_ids(documented(script.read_text()))
    printed = subprocess.run([script, sys.argv[2]], check=True, stdout=subprocess.PIPE, text=True).stdout
    # An event ends with an empty line, which a comment does not.
    printed = with_names_for_ids(printed.rstrip("\n") + "\n")
    if printed != expected:
        sys.exit("".join(difflib.unified_diff(expected.splitlines(True), printed.splitlines(True), "said", "printed")))
    print("curl gets what the comment says")


if __name__ == "__main__":
    main()
