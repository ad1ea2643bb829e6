#!/usr/bin/env python3
"""Drives the gateway's page in a browser.

    run_page.py PROGRAM FOLDER [IMAGES]

PROGRAM is weir-gateway. Playwright is installed into FOLDER, in the build tree, by `npm ci`: the versions are those of
page/package-lock.json. Pictures of the page go to the folder IMAGES, which is docs/images when they are to be made anew.
npm.py says when the test is skipped; it is, too, where there is no chromium.
"""

import pathlib
import shutil
import subprocess
import sys

import npm


def main():
    program, folder, *images = [pathlib.Path(argument).resolve() for argument in sys.argv[1:]]
    npm.check_node()
    browser = shutil.which("chromium")
    if browser is None:
        npm.give_up("there is no chromium")
    npm.install(pathlib.Path(__file__).parent / "page", folder)
    command = ["node", "--test-reporter=spec", "page_test.js", program, browser, *images]
    sys.exit(subprocess.run(command, cwd=folder).returncode)


if __name__ == "__main__":
    main()
