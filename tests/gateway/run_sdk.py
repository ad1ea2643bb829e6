#!/usr/bin/env python3
"""Drives a gateway with the JavaScript SDK of LangGraph's Agent Server.

    run_sdk.py PROGRAM FOLDER

PROGRAM is weir-gateway. The SDK is installed into FOLDER, in the build tree, by `npm ci`: the versions are those of
sdk/package-lock.json. npm.py says when the test is skipped.
"""

import pathlib
import subprocess
import sys

import npm


def main():
    program, folder = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    npm.check_node()
    npm.install(pathlib.Path(__file__).parent / "sdk", folder)
    sys.exit(subprocess.run(["node", "--test-reporter=spec", "main.js", program], cwd=folder).returncode)


if __name__ == "__main__":
    main()
