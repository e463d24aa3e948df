"""Where the commands write: whatever prevents it names the folder, and what to do; and how far long work has come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lab.errors import EnvironmentFault


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Results and reports are written inside the block.

    Raises:
        EnvironmentFault: the disk is full, or the folder not ours to write to; names it or the file in it.
    """
    try:
        yield
    except OSError as error:
        place = folder if error.filename is None else error.filename
        raise EnvironmentFault(f"{place}: {error.strerror or error}", "Give another folder with --out.") from error


def progress_columns() -> tuple[ProgressColumn, ...]:
    """What a bar of long work shows: what is done now, how much of it, how long it has taken, and the time left."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
