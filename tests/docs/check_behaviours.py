#!/usr/bin/env python3
"""Checks that docs/behaviours.md has every row and names tests that exist.

    check_behaviours.py docs/behaviours.md .

The second argument is the root of the sources. A row names at least one test, or
says that it does not apply, or that it concerns the HTTP gateway alone.
"""

import pathlib
import re
import sys

# How many rows each table has, by the letter before their numbers.
TABLES = {"": 90, "D": 10, "U": 13, "S": 15}
ROWS = [f"{letter}{n}" for letter, count in TABLES.items() for n in range(1, count + 1)]
REASONS = ("does not apply: ", "concerns the HTTP gateway: ")


def fault_of(reference, root, cases):
    """What is wrong with a reference to a test, or None."""
    place, _, name = reference.partition(": ")
    if place == "conformance":
        return None if name in cases else "no such case"
    path = root / place
    if not path.is_file():
        return "no such file"
    suite, _, test = name.partition(".")
    defined = re.compile(rf"^TEST(_F|_P)?\(\s*{re.escape(suite)},\s*{re.escape(test)}\)", re.MULTILINE)
    return None if defined.search(path.read_text(encoding="utf-8")) else "no such test"


def main():
    page, root = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    cases = {path.stem for path in (root / "tests/conformance/cases").rglob("*.json")}
    faults = []
    rows = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| ([A-Z]?\d+) \| .* \| ([^|]*) \|$", line)
        if not row:
            continue
        if row[1] in rows:
            faults.append(f"row {row[1]} is there twice")
        rows[row[1]] = row[2]
    faults += [f"row {name} is missing" for name in ROWS if name not in rows]
    faults += [f"row {name} is not known here" for name in rows if name not in ROWS]
    for name, shown_by in rows.items():
        references = re.findall(r"`([^`]+: [^`]+)`", shown_by)
        if not references and not shown_by.startswith(REASONS):
            faults.append(f"row {name} names no test and does not say why")
        for reference in references:
            if fault := fault_of(reference, root, cases):
                faults.append(f"row {name}: {fault}: {reference}")
    if faults:
        sys.exit("\n".join(f"{page}: {fault}" for fault in faults))
    print(f"the {len(rows)} rows of {page} name tests that exist")


if __name__ == "__main__":
    main()
