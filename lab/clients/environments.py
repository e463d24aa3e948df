"""Where the clients live: a virtual environment or an npm folder each, made once in the user's cache.

The folder's name has the digest of the pinned versions, so another version makes another folder. A
half-made folder has no `ready` file and is made again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lab.files import cache_folder, machine_lock

HERE = Path(__file__).parent
DRIVERS = HERE / "drivers"
_INSTALL_LIMIT = 600.0


@dataclass(frozen=True)
class Environment:
    """A set of packages that can be installed together.

    Args:
        name: what the folder begins with.
        pins: pip requirements with exact versions; empty for npm, whose `package.json` has them.
    """

    name: str
    pins: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where it is, made or not."""
        told = "\n".join(self.pins) or (HERE / "npm" / "package.json").read_text()
        digest = hashlib.sha256(told.encode()).hexdigest()[:12]
        return cache_folder() / "clients" / f"{self.name}-{digest}"


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
    ("langchain-openai==1.7.3", "langchain-anthropic==1.7.7", "langchain-core==1.7.2"),
)
NPM = Environment("npm")


class CannotInstall(Exception):
    """The clients of an environment cannot be had; the message says why."""


def prepare(environment: Environment) -> Path:
    """Make the environment if need be; returns its folder.

    Raises:
        CannotInstall: pip or npm is missing or failed.
    """
    folder = environment.folder
    with machine_lock(f"clients-{environment.name}"):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _install(environment, folder)
            (folder / "ready").touch()
    if not environment.pins:
        # On every run: the driver may be newer than the folder.
        shutil.copy(DRIVERS / "node.mjs", folder)
    return folder


def command(environment: Environment | None, driver: str) -> tuple[str, ...]:
    """The command that runs a driver; without an environment with this Python itself."""
    if environment is None:
        return (sys.executable, str(DRIVERS / driver))
    if not environment.pins:
        return ("node", str(environment.folder / driver))
    return (str(environment.folder / "bin" / "python"), str(DRIVERS / driver))


def _install(environment: Environment, folder: Path) -> None:
    if environment.pins:
        _run([sys.executable, "-m", "venv", str(folder)], folder)
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *environment.pins], folder)
    else:
        shutil.copy(HERE / "npm" / "package.json", folder)
        _run(["npm", "install", "--no-audit", "--no-fund", "--silent"], folder)


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
