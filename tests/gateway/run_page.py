#!/usr/bin/env python3
"""Drives the gateway's page in a browser.

    run_page.py PROGRAM FOLDER [IMAGES]

PROGRAM is weir-gateway. Playwright is installed into FOLDER, in the build tree, by `npm ci`: the versions are those of
page/package-lock.json. Pictures of the page go to the folder IMAGES, which is docs/images when they are to be made anew.
Where there is no npm, no node or no chromium, or what is missing cannot be fetched, the test is skipped, unless
WEIR_REQUIRE_NPM=1 is in the environment: then it fails.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

OLDEST_NODE = 20
SKIPPED = 77


def give_up(why):
    if os.environ.get("WEIR_REQUIRE_NPM") == "1":
        sys.exit(f"{why}, and WEIR_REQUIRE_NPM=1 asks for it")
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def find_tools():
    """Returns the browser."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            give_up(f"there is no {tool}")
    version = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout
    if int(re.match(r"v(\d+)", version)[1]) < OLDEST_NODE:
        give_up(f"node is {version.strip()}, and Playwright needs v{OLDEST_NODE}")
    browser = shutil.which("chromium")
    if browser is None:
        give_up("there is no chromium")
    return browser


def install(source, folder):
    """Copies the sources into the folder, and installs what they need unless it is there."""
    lock = (source / "package-lock.json").read_text()
    installed = folder / "installed.json"
    is_installed = installed.exists() and installed.read_text() == lock
    folder.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    if is_installed:
        return
    required = os.environ.get("WEIR_REQUIRE_NPM") == "1"
    command = ["npm", "ci", "--ignore-scripts"] + ([] if required else ["--fetch-retries=0"])
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        give_up("npm cannot fetch Playwright: it takes too long")
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        give_up("npm cannot install Playwright")
    installed.write_text(lock)


def main():
    program, folder, *images = [pathlib.Path(argument).resolve() for argument in sys.argv[1:]]
    browser = find_tools()
    install(pathlib.Path(__file__).parent / "page", folder)
    command = ["node", "--test-reporter=spec", "page_test.js", program, browser, *images]
    sys.exit(subprocess.run(command, cwd=folder).returncode)


if __name__ == "__main__":
    main()
