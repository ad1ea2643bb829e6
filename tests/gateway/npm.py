"""What tests need that drive the gateway with packages from npm.

Where there is no npm or node, or what is missing cannot be fetched, such a test is skipped, unless WEIR_REQUIRE_NPM=1 is
in the environment: then it fails.
"""

import os
import re
import shutil
import subprocess
import sys

OLDEST_NODE = 20
SKIPPED = 77
REQUIRED = os.environ.get("WEIR_REQUIRE_NPM") == "1"


def give_up(why):
    if REQUIRED:
        sys.exit(f"{why}, and WEIR_REQUIRE_NPM=1 asks for it")
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def check_node():
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            give_up(f"there is no {tool}")
    version = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout
    if int(re.match(r"v(\d+)", version)[1]) < OLDEST_NODE:
        give_up(f"node is {version.strip()}, and v{OLDEST_NODE} is needed")


def install(source, folder):
    """Copies the sources into the folder, and installs what they need, by their lock file, unless it is there."""
    lock = (source / "package-lock.json").read_text()
    installed = folder / "installed.json"
    is_installed = installed.exists() and installed.read_text() == lock
    folder.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    if is_installed:
        return
    command = ["npm", "ci", "--ignore-scripts"] + ([] if REQUIRED else ["--fetch-retries=0"])
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=80)
    except subprocess.TimeoutExpired:
        give_up(f"npm cannot fetch what {source.name} needs: it takes too long")
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        give_up(f"npm cannot install what {source.name} needs")
    installed.write_text(lock)
