"""`compare.json`: what was compared, the figures and the advice; text and page can be made from it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from lab.compare.advice import Advice, Need
from lab.compare.figures import LevelFigures
from lab.compare.growth import Growth
from lab.saved import Format, load_saved, write_saved
from lab.vocabulary import Saved

FORMAT_VERSION = 4


@dataclass(frozen=True)
class Comparison:
    """One comparison.

    Args:
        over: the endpoint's address, or the case of a scenario.
        wire_format: the dialect.
        generations: what was generated, in words.
        rounds: how often each level was repeated.
        started: local date and time in ISO 8601.
        need: what the application needs, as the user said.
        levels: the figures.
        growth: whether requests per second grow with the level, for each way.
        advice: what follows; None where nothing was measured both ways.
        notes: what a reader must know to read the figures.
        stopped: why the comparison ended early; empty if it did not.
        remedy: what to do about that.
    """

    format_version: int
    lab_version: str
    over: str
    wire_format: str
    generations: str
    rounds: int
    started: str
    need: Need
    levels: tuple[LevelFigures, ...]
    growth: tuple[Growth, ...]
    advice: Advice | None
    notes: tuple[str, ...] = ()
    stopped: str = ""
    remedy: str = ""
    kind: Literal[Saved.COMPARISON] = Saved.COMPARISON


FORMAT = Format(Saved.COMPARISON, FORMAT_VERSION, TypeAdapter(Comparison))


def save(comparison: Comparison, path: Path) -> None:
    """Write `compare.json`, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_saved(path, FORMAT, comparison)


def load(path: Path) -> Comparison:
    """Read it back.

    Raises:
        BadInput: names the file and what is wrong in it.
    """
    return load_saved(path, FORMAT)
