#!/usr/bin/env python3
"""Checks that README.md shows examples/joke.cc as it is.

    check_readme.py README.md examples/joke.cc
"""

import re
import sys


def main():
    readme, example = (open(path, encoding="utf-8").read() for path in sys.argv[1:3])
    code = example[example.index("#include"):]
    blocks = re.findall(r"```cpp\n(.*?)```", readme, re.DOTALL)
    if code not in blocks:
        sys.exit(f"{sys.argv[1]} has no block equal to {sys.argv[2]} from its first include on; copy it there")
    print("the README shows the example that is compiled")


if __name__ == "__main__":
    main()
