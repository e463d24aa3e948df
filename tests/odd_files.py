"""Files that a user's folder may hold and that no reader can read to the end; a disk that is full."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def disk_with(size: int) -> Iterator[None]:
    """No file can be longer than that many bytes, as on a disk that is full by then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def make_pipe(path: Path) -> Path:
    """A named pipe; whoever waits for its end gets it, so that a fault fails and does not hang."""
    os.mkfifo(path)
    threading.Thread(target=lambda: path.open("wb").close(), daemon=True).start()
    return path


def make_long(path: Path, size: int) -> Path:
    """A file of that length, or one that is made longer; it takes no room on the disk."""
    with path.open("ab") as file:
        file.truncate(size)
    return path
