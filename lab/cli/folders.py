"""Where the files of a run go: a folder of its own, so that no run takes another one's place, and `latest`."""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from lab.cli.shell import RESULTS

LATEST = RESULTS / "latest"
"""A link to the folder of the last run whose results were written."""


@contextmanager
def folder_of_run(given: Path | None) -> Iterator[Path]:
    """The folder that a user gave, or a new one; it is there inside the block, and a new one goes if it stays empty.

    Raises:
        OSError: it cannot be made.
    """
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    folder = _new_folder()
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _new_folder() -> Path:
    """Named after the moment; two runs of one second get one each."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
    numbers = itertools.count(2)
    folder = RESULTS / name
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            folder = RESULTS / f"{name}-{next(numbers)}"
        else:
            return folder


def lead_to(folder: Path) -> None:
    """Let `latest` lead to that folder; whoever follows it meanwhile comes to the old one or to the new one.

    Raises:
        OSError: there is something else of that name, or links cannot be made there.
    """
    part = LATEST.with_name(f"{LATEST.name}.{secrets.token_hex(8)}.part")
    try:
        part.symlink_to(folder.name)
        part.replace(LATEST)
    except OSError as error:
        part.unlink(missing_ok=True)
        error.filename, error.filename2 = str(LATEST), None
        raise
