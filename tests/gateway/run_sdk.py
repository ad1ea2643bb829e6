#!/usr/bin/env python3
"""Drives a gateway with the JavaScript SDK of LangGraph's Agent Server.

    run_sdk.py PROGRAM FOLDER

PROGRAM is weir-gateway. The SDK is installed into FOLDER, in the build tree, by `npm ci`: the versions are those of
sdk/package-lock.json. Where there is no npm or node, or what is missing cannot be fetched, the test is skipped, unless
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


def check_node():
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            give_up(f"there is no {tool}")
    version = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout
    if int(re.match(r"v(\d+)", version)[1]) < OLDEST_NODE:
        give_up(f"node is {version.strip()}, and the SDK needs v{OLDEST_NODE}")


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
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=80)
    except subprocess.TimeoutExpired:
        give_up("npm cannot fetch the SDK: it takes too long")
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        give_up("npm cannot install the SDK")
    installed.write_text(lock)


def main():
    program, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    check_node()
    install(pathlib.Path(__file__).parent / "sdk", folder)
    sys.exit(subprocess.run(["node", "--test-reporter=spec", "main.js", program], cwd=folder).returncode)


if __name__ == "__main__":
    main()
