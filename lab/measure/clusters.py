"""Deaths that agree: which of a family's deaths may be one timeout's, at what value, and how surely. Pure.

Lateness only adds: a death is seen when the timeout strikes or after it, so the early ones tell the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

TOLERANCE = (1.0, 0.005)
"""Seconds, and part of the value, whichever is more: how far the deaths of one timeout may lie apart. Some products
look at their timeouts once a second."""

TIGHT = 0.3
"""Seconds within which the deaths of a timeout lie that is exact: nginx renews no timer that would move by less."""

PROMISED = (0.5, 0.02)
"""Seconds, and part of the value, whichever is more: a value that is less certain is not named."""

AGREEING, AGREEING_PART = 3, 0.6
"""Deaths, and part of a family's deaths, that must agree to be a timeout's. The streams of a family begin so far apart
that fewer than this part of an outage's deaths can agree in their age."""

LOOSELY_AGREEING = 4
"""Deaths that must agree where they lie further apart than those of an exact timeout: three faults may."""

LEAST_UNCERTAINTY = 0.05
"""Seconds; no value is claimed to be nearer than this."""


def tolerance(value: float) -> float:
    """How far two deaths of a timeout of that value may lie apart, in seconds."""
    least, part = TOLERANCE
    return max(least, part * value)


@dataclass(frozen=True)
class Cluster:
    """Deaths that agree.

    Args:
        value: of the timeout, in seconds.
        uncertainty: seconds.
        members: the deaths' indices.
        contradicted: why it is no timeout; empty if nothing says so.
    """

    value: float
    uncertainty: float
    members: frozenset[int]
    contradicted: str = ""

    @property
    def certain(self) -> bool:
        """Whether the value is as near as is promised."""
        least, part = PROMISED
        return self.uncertainty <= max(least, part * self.value)


def cluster_of(
    terminations: Sequence[tuple[float, float]], survived: Iterable[float], waited: Iterable[float] = ()
) -> Cluster | None:
    """The timeout that explains most of a family's deaths; None if too few agree.

    Args:
        terminations: what was waited at each death, and by how much it may have been seen late, in seconds.
        survived: waits that were survived.
        waited: waits that something else cut off.
    """
    best = _agreeing(terminations, lambda _: TIGHT, AGREEING) or _agreeing(terminations, tolerance, LOOSELY_AGREEING)
    if not best:
        return None
    members = sorted(terminations[n] for n in best)
    punctual = [(value, late) for value, late in members if late <= TIGHT]
    values = punctual if len(punctual) >= AGREEING else members
    least, most = values[0][0], max(value - late for value, late in values)
    if most - least <= TIGHT:
        # Lateness only adds; but the very least may be a fault's that came a little before the timeout.
        value, late = values[len(values) // 4]
        uncertainty = max(LEAST_UNCERTAINTY, values[len(values) // 2][0] - least, late)
    else:
        value, uncertainty = (least + most) / 2, (most - least) / 2
    # A whole answer outlived every death by any margin; another death only by more than timeouts differ.
    limit = value + tolerance(value)
    outlived = sum(each - late > limit for each, late in terminations) + sum(each > limit for each in waited)
    outlived += sum(each > members[-1][0] + LEAST_UNCERTAINTY for each in survived)
    why = f"{outlived} outlived it, so that several ways behind one address may have different ones" if outlived else ""
    return Cluster(value, uncertainty, frozenset(best), why)


def _agreeing(terminations: Sequence[tuple[float, float]], width: Callable[[float], float], least: int) -> list[int]:
    """The most deaths that lie so close together; empty if they are too few to be a timeout's."""
    best: list[int] = []
    for low, _ in sorted(terminations, reverse=True):
        members = [n for n, (value, late) in enumerate(terminations) if low <= value <= low + width(low) + late]
        if len(members) > len(best):
            best = members
    return best if len(best) >= least and len(best) >= AGREEING_PART * len(terminations) else []
