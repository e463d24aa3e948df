"""Where the clients live: a virtual environment or an npm folder each, made once in the user's cache.

What is installed stands in a lock with the hash of every file, in `pins` and `npm`; `tools/renew_pins.py` writes
it. The folder's name has the digest of the lock, so another version makes another folder. A
half-made folder has no `ready` file and is made again. What pip and npm cannot bring (Node, a Chromium) is looked
for, and where it is missing the error names the command that mends it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lab.cache import cache_folder, machine_lock
from lab.files import write_whole

HERE = Path(__file__).parent
DRIVERS = HERE / "drivers"
PINS = HERE / "pins"
NPM_FILES = (HERE / "npm" / "package.json", HERE / "npm" / "package-lock.json")
_INSTALL_LIMIT = 600.0
_VERSION_LIMIT = 60.0


@dataclass(frozen=True)
class SystemProgram:
    """A program that an environment needs beside its packages.

    Args:
        names: what it may be called; the first that is found is taken.
        packages: Debian's, that bring it.
    """

    names: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f"apt-get install {' '.join(self.packages)}"

    def find(self) -> str | None:
        """Its path, if it is on this machine."""
        return next(filter(None, map(shutil.which, self.names)), None)


@dataclass(frozen=True)
class Environment:
    """A set of packages that can be installed together.

    Args:
        name: what the folder begins with.
        pins: pip requirements with exact versions; empty for npm, whose `package.json` has them.
        program: what must be there beside them.
        pins_folder: where the lock of that name is.
    """

    name: str
    pins: tuple[str, ...] = ()
    program: SystemProgram | None = None
    pins_folder: Path = PINS

    @property
    def lock(self) -> Path:
        """What is installed, to the last package, with hashes."""
        return self.pins_folder / f"{self.name}.txt" if self.pins else NPM_FILES[1]

    @property
    def folder(self) -> Path:
        """Where it is, made or not."""
        digest = hashlib.sha256(self.lock.read_bytes()).hexdigest()[:12]
        return cache_folder() / "clients" / f"{self.name}-{digest}"

    def contents(self) -> tuple[str, ...]:
        """What it holds, as name and version, and what its program says of itself."""
        packages = [pin.replace("==", " ") for pin in self.pins]
        if not packages:
            pinned = json.loads(NPM_FILES[0].read_text())["dependencies"]
            packages = [f"{name} {version}" for name, version in pinned.items()]
        path = self.program and self.program.find()
        return (*packages, f"{Path(path).name}: {_version_of(path)}") if path else tuple(packages)


CURRENT = Environment(
    "current",
    (
        "openai==3.54.0",
        "anthropic==2.12.0",
        "httpx==0.28.1",
        "aiohttp==3.14.5",
        "requests==2.34.2",
        "ollama==0.6.3",
    ),
)
OLDER = Environment("older", ("openai==1.109.1", "anthropic==0.125.0"))
LANGCHAIN = Environment(
    "langchain",
    # The SDKs below it are those of `current`, so that what differs is LangChain's own. Its core is one release below
    # the newest: 1.8.4 asks for langchain-protocol 0.0.22, and pip found no newer one than 0.0.20.
    (
        "langchain-openai==1.7.4",
        "langchain-anthropic==1.7.10",
        "langchain-core==1.8.3",
        "openai==3.54.0",
        "anthropic==2.12.0",
    ),
)
LITELLM = Environment("litellm", ("litellm==1.110.2",))
LITELLM_OLDER = Environment("litellm-older", ("litellm==1.106.2",))
NPM = Environment("npm", program=SystemProgram(("node",), ("nodejs", "npm")))
BROWSER = Environment(
    "browser",
    ("playwright==1.65.2",),
    SystemProgram(("chromium", "chromium-browser", "google-chrome"), ("chromium",)),
)


class CannotInstall(Exception):
    """The clients of an environment cannot be had; the message says why."""


def prepare(environment: Environment) -> Path:
    """Make the environment if need be; returns its folder.

    Raises:
        CannotInstall: pip or npm is missing or failed, or its program is not there.
    """
    folder, program = environment.folder, environment.program
    if program is not None and program.find() is None:
        raise CannotInstall(f"there is no {program.names[0]} on this machine; try: {program.remedy}")
    with machine_lock(f"clients-{environment.name}"):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _install(environment, folder)
            (folder / "ready").touch()
    if not environment.pins:
        # On every run: the drivers may be newer than the folder.
        for driver in DRIVERS.glob("*.mjs"):
            # Whole or not at all: another run may be about to read it.
            write_whole(folder / driver.name, driver.read_bytes())
    return folder


def command(environment: Environment | None, driver: str) -> tuple[str, ...]:
    """The command that runs a driver, in this Python itself without an environment; a browser's path comes behind."""
    if environment is None:
        return (sys.executable, str(DRIVERS / driver))
    if not environment.pins:
        return ("node", str(environment.folder / driver))
    browser = environment.program.find() if environment.program else None
    return (str(environment.folder / "bin" / "python"), str(DRIVERS / driver), *([browser] if browser else []))


def _version_of(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_VERSION_LIMIT)  # noqa: S603  # one of ours
    return done.stdout.strip()


def _install(environment: Environment, folder: Path) -> None:
    if environment.pins:
        _run([sys.executable, "-m", "venv", str(folder)], folder)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _run([*pip, "--require-hashes", "--requirement", str(environment.lock)], folder)
    else:
        for file in NPM_FILES:
            shutil.copy(file, folder)
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], folder)


def _run(words: list[str], folder: Path) -> None:
    quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(words, cwd=folder, env=quiet, capture_output=True, text=True, timeout=_INSTALL_LIMIT)  # noqa: S603  # our own pins
    except FileNotFoundError:
        raise CannotInstall(f"{words[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"{words[0]} took more than {_INSTALL_LIMIT:.0f} s") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise CannotInstall(f"{Path(words[0]).name}: {lines[-1][:200]}")
