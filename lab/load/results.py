"""`load.json`: what was asked of which target, and the figures."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from lab.load.figures import Figures
from lab.saved import Format
from lab.vocabulary import Saved


@dataclass(frozen=True)
class LoadResults:
    """One load over one target, or over several, one after the other.

    Args:
        streams: how many over each.
        ramp: seconds over which they began.
        hold: seconds for which all of them were open.
        interval: seconds from one token to the next.
        processes: that made the load.
        loads: the figures of each target.
    """

    streams: int
    ramp: float
    hold: float
    interval: float
    processes: int
    loads: tuple[Figures, ...]


FORMAT = Format(Saved.LOAD, 4, TypeAdapter(LoadResults))
