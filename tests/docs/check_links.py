#!/usr/bin/env python3
"""Checks that the links of the pages lead somewhere.

    check_links.py <root>

Of README.md and docs/**/*.md: files and folders of the repository, and headings
of pages, named as GitHub names them. Addresses on the network are not looked at.
"""

import pathlib
import re
import sys


def prose(page):
    """A page without its code and comments."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"<!--.*?-->|`[^`]*`", "", text, flags=re.DOTALL)


def anchors(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def main():
    root = pathlib.Path(sys.argv[1])
    faults, count = [], 0
    for page in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", prose(page)):
            if re.match(r"\w+:", target):
                continue
            count += 1
            to = page.parent / target if target else page
            if not to.exists():
                faults.append(f"{page}: there is no {target}")
            elif anchor and anchor not in anchors(to):
                faults.append(f"{page}: {target} has no heading '{anchor}'")
    if faults:
        sys.exit("\n".join(faults))
    print(f"{count} links lead somewhere")


if __name__ == "__main__":
    main()
