"""Files that are written whole or not at all, and the folder for what is worth keeping between runs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import EnvironmentFault


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever reads half of it.

    Raises:
        OSError: it cannot be written; what stood there before still does.
    """
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


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
