#!/usr/bin/env python3
"""Compiles every C++ snippet of the documentation.

    check_snippets.py <root> <folder for generated code> <compiler> <file of flags>

The snippets are the ```cpp fences of README.md and docs/**/*.md under the root.
What the compiler says names the page and the line there.

A snippet that has an #include is compiled as it is, as a file of its own. Any
other is the body of a function after `#include "tests/docs/prelude.h"`; several
share a file, for the sake of time. A comment on the lines right before the
fence, which no reader sees, says what else there is:

    <!-- setup: int a = 1; -->      code that comes before the snippet, there
    <!-- continues -->              the snippet goes on where the one before ended
    <!-- not compiled: <reason> --> it is no C++ by itself; at most MAX_SKIPPED
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

MAX_SKIPPED = 3
FENCE = re.compile(r"^```cpp *\n(.*?)^``` *$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!-- (setup:|continues|not compiled:)((?:(?!-->).)*?)-->\n+\Z", re.DOTALL)
# A reader of a snippet does not see what uses a name.
FLAGS = ["-fsyntax-only", "-Werror", "-Wno-unused-variable", "-Wno-unused-but-set-variable", "-Wno-unused-function",
         "-Wno-unused-parameter", "-Wno-unused-local-typedefs"]


def located(code, page, line):
    return f'#line {line} "{page}"\n{code}'


class Snippets:
    def __init__(self):
        self.files = []  # Whole files, as text.
        self.functions = []  # Bodies of functions, as lists of text.
        self.skipped = []
        self.faults = []

    def read(self, page, text):
        """Takes all snippets of a page."""
        goes_on = None  # The body that <!-- continues --> adds to.
        opened = len(re.findall(r"^ *(```|~~~) *(cpp|c\+\+|cc|cxx)(?!\w)", text, re.MULTILINE))
        if opened != len(FENCE.findall(text)):
            self.faults.append(f"{page}: a C++ fence is not closed, is indented, or is not opened by ```cpp")
        for fence in FENCE.finditer(text):
            line = text.count("\n", 0, fence.start()) + 2
            code = located(fence[1], page, line)
            comment = COMMENT.search(text, 0, fence.start())
            kind, rest = (comment[1], comment[2].strip()) if comment else ("", "")
            if kind == "not compiled:":
                self.skipped.append(f"{page}:{line}: {rest}")
                if not rest:
                    self.faults.append(f"{page}:{line}: no reason is given why this is not compiled")
            elif kind == "continues":
                if goes_on is None:
                    self.faults.append(f"{page}:{line}: there is no snippet to go on with")
                else:
                    goes_on.append(code)
            elif "#include" in fence[1]:
                self.files.append(code)
                goes_on = None
            else:
                before = located(rest + "\n", page, text.count("\n", 0, comment.start()) + 1) if rest else ""
                goes_on = [before + code]
                self.functions.append(goes_on)

    def translation_units(self, count):
        """The files to compile: those that are whole, and `count` or fewer with the functions."""
        units = list(self.files)
        for i in range(min(count, len(self.functions))):
            bodies = ["".join(parts) for parts in self.functions[i::count]]
            units.append('#include "tests/docs/prelude.h"\n' +
                         "".join(f"auto Snippet{n}() {{\n{body}}}\n" for n, body in enumerate(bodies)))
        return units


def main():
    root, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    compiler, flags = sys.argv[3], sys.argv[4]
    snippets = Snippets()
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    for page in pages:
        snippets.read(page.relative_to(root), page.read_text(encoding="utf-8"))
    if len(snippets.skipped) > MAX_SKIPPED:
        snippets.faults += ["more snippets are not compiled than may be:", *snippets.skipped]

    workers = len(os.sched_getaffinity(0))
    out.mkdir(parents=True, exist_ok=True)

    def compile_unit(numbered):
        number, code = numbered
        source = out / f"snippets_{number}.cc"
        source.write_text(code, encoding="utf-8")
        done = subprocess.run([compiler, f"@{flags}", *FLAGS, f"-I{root}", str(source)], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return None if done.returncode == 0 else done.stdout or f"{compiler} failed on {source}"

    units = snippets.translation_units(workers)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        snippets.faults += [fault for fault in pool.map(compile_unit, enumerate(units)) if fault]
    if snippets.faults:
        sys.exit("\n".join(snippets.faults))
    count = len(snippets.files) + sum(map(len, snippets.functions))
    print(f"{count} snippets of {len(pages)} pages compile, in {len(units)} files; {len(snippets.skipped)} are not compiled")


if __name__ == "__main__":
    main()
