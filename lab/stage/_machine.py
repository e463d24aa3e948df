"""What the lab may do to this machine: install packages where it is Debian's family and it is root.

`LAB_INSTALL_ENGINE=0` forbids every installation. Waits are scaled by `LAB_PATIENCE` (default 1).
"""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import BadInput, EnvironmentFault


def is_debian_family() -> bool:
    """Whether this is Debian, Ubuntu, or something that calls itself like one of them."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return bool({"debian", "ubuntu"} & {release["ID"], *release.get("ID_LIKE", "").split()})


def is_root() -> bool:
    """Whether this process may install packages."""
    return os.geteuid() == 0


def may_install() -> bool:
    """Whether the user allows the lab to install packages."""
    return os.environ.get("LAB_INSTALL_ENGINE", "1") != "0"


def patience(seconds: float) -> float:
    """A time limit in seconds, stretched by `LAB_PATIENCE` for slow machines.

    Raises:
        BadInput: `LAB_PATIENCE` is no number above 0.
    """
    value = os.environ.get("LAB_PATIENCE", "1")
    try:
        factor = float(value)
    except ValueError:
        factor = 0.0
    if not factor > 0:
        raise BadInput(f"LAB_PATIENCE is {value!r}.", "Give a factor above 0, such as 2.")
    return seconds * factor


def cache_folder() -> Path:
    """The user's cache folder for the lab; made if need be.

    Raises:
        EnvironmentFault: it cannot be made.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "token-stream-lab"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(f"{folder}: {error.strerror}", "Set XDG_CACHE_HOME to a folder of yours.") from error
    return folder


@contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Let one run at a time through; the lock dies with its process, and its file stays in the cache."""
    with (cache_folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
