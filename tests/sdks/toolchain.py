"""Gets an SDK, once, into a folder under the system's temporary one; runs a program on it against a new emulator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROGRAMS: Final = Path(__file__).with_name("programs")
NOBODY: Final = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
INSTALL_S: Final = 500
PROGRAM_S: Final = 500


def need(*commands: str) -> None:
    """Skip the test unless these are there."""
    for command in commands:
        if shutil.which(command) is None:
            pytest.skip(f"there is no `{command}` on the PATH")


def cache() -> Path:
    """The folder of all that is downloaded; it is nobody else's."""
    folder = Path(tempfile.gettempdir()) / f"busframe-sdks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    return folder


def installed(name: str, install: Callable[[Path], None]) -> Path:
    """A folder of the cache, made by `install` if it is not there yet. It appears whole or not at all."""
    folder = cache() / name
    if not folder.exists():
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=cache()))
        try:
            install(draft)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


def run(
    *words: str | Path, within: Path, timeout_s: float = INSTALL_S, environment: Mapping[str, str] | None = None
) -> str:
    """What a command prints; it is to succeed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        words,
        cwd=within,
        env={**kept, **(environment or {})},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=timeout_s,
    )
    if done.returncode:
        pytest.fail(f"{words[0]} ended with {done.returncode}: {done.stdout[-1000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def seen_by(*words: str | Path, environment: Mapping[str, str] | None = None) -> Any:
    """What a program saw of an emulator, whose address is its last argument."""
    with run_in_thread() as server:
        surroundings = {**NOBODY, **(environment or {})}
        printed = run(*words, server.url, within=PROGRAMS, timeout_s=PROGRAM_S, environment=surroundings)
    return json.loads(printed)


def python_with(*requirements: str) -> Path:
    """The Python of a virtual environment that has these."""

    def install(folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder, within=folder)
        run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", *requirements, within=folder)

    minor = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return installed("-".join((minor, *requirements)), install) / "bin" / "python"


def node_modules(package: str, version: str) -> Path:
    """A folder for NODE_PATH that has this package."""
    need("node", "npm")

    def install(folder: Path) -> None:
        options = ("--silent", "--no-audit", "--no-fund", "--no-package-lock", "--cache", cache() / "npm")
        run("npm", "install", *options, f"{package}@{version}", "--prefix", folder, within=folder)

    return installed(f"{package.replace('/', '-')}-{version}", install) / "node_modules"


def jars(group: str, artifact: str, version: str) -> Path:
    """A folder with this artefact's jar and all it depends on."""
    need("java", "mvn")

    def install(folder: Path) -> None:
        dependency = f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
        project = "<groupId>judge</groupId><artifactId>judge</artifactId><version>1</version>"
        (folder / "pom.xml").write_text(
            f"<project><modelVersion>4.0.0</modelVersion>{project}"
            f"<dependencies><dependency>{dependency}</dependency></dependencies></project>\n",
            encoding="utf-8",
        )
        copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
        run("mvn", "-q", "-B", f"-Dmaven.repo.local={cache() / 'm2'}", copy, "-DoutputDirectory=lib", within=folder)

    return installed(f"{artifact}-{version}", install) / "lib"


def go_program(source: Path, package: str, version: str) -> Path:
    """The program, built with this version of the package."""
    need("go")
    environment = {
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOMODCACHE": str(cache() / "gomod"),
        "GOCACHE": str(cache() / "gobuild"),
    }

    def install(folder: Path) -> None:
        shutil.copy(source, folder)
        run("go", "mod", "init", "judge", within=folder, environment=environment)
        run("go", "get", f"{package}@{version}", within=folder, environment=environment)

    folder = installed(f"go-{package.rpartition('/')[2]}-{version}", install)
    shutil.copy(source, folder)
    run("go", "build", "-o", "judge", ".", within=folder, environment=environment)
    return folder / "judge"
