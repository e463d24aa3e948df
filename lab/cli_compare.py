"""`lab compare`: the same generations streamed and batch, and what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lab.cli_out import writing_to
from lab.compare.advice import Choice, Need, advise
from lab.compare.figures import figures
from lab.compare.made import Ask, Turn, count_requests, make_all
from lab.compare.results import FORMAT_VERSION, Comparison, save
from lab.compare.text import print_comparison
from lab.errors import ExitCode

RESULT = "compare.json"


@dataclass(frozen=True)
class Subject:
    """What is compared.

    Args:
        path: enters the path and gives what makes one generation over it.
        over: the path's name, as it is printed and saved.
        wire_format: the dialect.
        generations: what is generated, in words.
    """

    path: AbstractAsyncContextManager[Ask]
    over: str
    wire_format: str
    generations: str


@dataclass(frozen=True)
class Extent:
    """How much is measured: how many at once, one level after another, and how often each."""

    levels: tuple[int, ...]
    rounds: int

    @property
    def requests(self) -> int:
        """How many requests that is."""
        return count_requests(self.levels, self.rounds)


def compare_and_report(subject: Subject, extent: Extent, need: Need, to: Path, *, out: Console, err: Console) -> int:
    """Compare, save and print; returns the exit code: 1 where the path is to be mended first.

    Whatever stops it, figures of what was measured until then are kept.

    Raises:
        LabError: the path cannot be had, or the result cannot be written.
        KeyboardInterrupt: after what was measured has been kept.
    """
    with writing_to(to):
        to.mkdir(parents=True, exist_ok=True)
    began, turns = datetime.now().astimezone(), list[Turn]()
    stopped: BaseException | None = None
    try:
        asyncio.run(_measure(subject, extent, turns, err))
    except (KeyboardInterrupt, Exception) as error:
        if not turns:
            raise
        stopped = error
    comparison = _comparison(subject, extent, need, began, turns, _words(stopped))
    with writing_to(to):
        save(comparison, to / RESULT)
    print_comparison(comparison, out)
    out.print(f"Figures: {to / RESULT}", soft_wrap=True, highlight=False, markup=False)
    if stopped is not None:
        raise stopped
    mend = comparison.advice is not None and comparison.advice.choice is Choice.MEND_THE_PATH
    return ExitCode.REQUIREMENT_FAILED if mend else ExitCode.AS_REQUIRED


def _comparison(
    subject: Subject, extent: Extent, need: Need, began: datetime, turns: Sequence[Turn], stopped: str
) -> Comparison:
    levels = figures(turns)
    return Comparison(
        format_version=FORMAT_VERSION,
        lab_version=version("token-stream-lab"),
        over=subject.over,
        wire_format=subject.wire_format,
        generations=subject.generations,
        rounds=extent.rounds,
        started=began.isoformat(timespec="seconds"),
        need=need,
        levels=levels,
        advice=advise(levels, need) if levels else None,
        stopped=stopped,
    )


async def _measure(subject: Subject, extent: Extent, turns: list[Turn], err: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("setting up", total=extent.requests)

        def on_turn(turn: Turn) -> None:
            turns.append(turn)
            way = "streamed" if turn.made[0].stream else "batch"
            progress.update(task, advance=len(turn.made), description=f"{len(turn.made)} at once, {way}")

        async with subject.path as ask:
            await make_all(ask, extent.levels, extent.rounds, on_turn)


def _words(stopped: BaseException | None) -> str:
    if stopped is None:
        return ""
    return "by the user" if isinstance(stopped, KeyboardInterrupt) else str(stopped)


def read_levels(text: str) -> tuple[int, ...]:
    """Levels as the command line takes them: `1,4,16`.

    Raises:
        ValueError: one of them is no whole number from 1, or stands twice.
    """
    levels: Sequence[int] = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(levels) < 1 or len(set(levels)) < len(levels):
        raise ValueError(f"{text!r}: write whole numbers from 1, each once, like 1,4,16")
    return tuple(levels)
