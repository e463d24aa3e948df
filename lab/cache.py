"""The user's cache folder for the lab, and the locks in it.

Apart from `lab.files`, which the model server imports: its image has no libraries for this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from lab.errors import EnvironmentFault


def cache_folder() -> Path:
    """The user's cache folder for the lab; made if need be.

    Raises:
        EnvironmentFault: it cannot be made.
    """
    folder = user_cache_path("token-stream-lab", appauthor=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(f"{folder}: {error.strerror}", "Set XDG_CACHE_HOME to a folder of yours.") from error
    return folder


@contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Let one run at a time through; the lock dies with its process, and its file stays in the cache."""
    with FileLock(cache_folder() / f"{name}.lock"):
        yield
